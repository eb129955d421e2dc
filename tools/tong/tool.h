/*
 * tool.h - what the commands of `tong` share.
 *
 * The tool knows the library by <tong/tong.h> alone. A command is one cmd_x.c with one constant
 * struct tool_command and a row in the table of main.c. Results go to standard output; everything
 * else goes to standard error as `tong: what: why; what to do`, through say.c.
 *
 * Nouns: args (a parsed command line), box (an open mailbox and how it is used), stop signal (the
 * signal that asked the tool to end), watch (the thread that draws progress on a terminal and says
 * for whom a sender waits).
 */
#ifndef TONG_TOOL_H
#define TONG_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <tong/tong.h>

/* Exit codes. A stop signal ends the tool with 128 + its number. */
enum {
    TOOL_DONE = 0,
    TOOL_FAILED = 1,
    TOOL_USAGE = 2,
    TOOL_LATE = 3, /* timed out, or would have waited */
    TOOL_NO_NAME = 4
};

/* ------------------------------------------------------------------ args.c: the command line */

#define TOOL_OPTIONS_MAX 24

/* One option of a command. arg is the word that stands for its value, NULL for a switch. */
struct tool_option {
    const char *name;
    const char *arg;
    const char *text;
};

struct tool_args;
struct tool_cursor;

/* One command. Tables of options end with a row whose name is NULL. */
struct tool_command {
    const char *name;
    const char *line;     /* what it does, in one line */
    const char *usage;    /* behind "usage: tong " */
    const char *examples; /* two or more lines, each one works as it stands */
    const char *about;    /* further sentences, or NULL */
    const struct tool_option *options;
    int (*run)(const struct tool_args *args);

    /* What may stand at the cursor as a word: tool_offer() and its like. NULL: nothing can be said. */
    void (*complete)(const struct tool_cursor *cursor);

    /* Of a command with verbs of its own: whether this option goes with them. NULL: all options do. */
    bool (*takes)(const struct tool_args *args, const char *option);
};

/* A parsed command line. words are what is not an option; those from after on stood behind "--". */
struct tool_args {
    const struct tool_command *command;
    const char *values[TOOL_OPTIONS_MAX];
    char **words;
    size_t n_words;
    size_t after;
    bool help;
};

/* Sorts argv[0..n), with a NULL behind it, into options and words, in place. Returns 0 or TOOL_USAGE, with a message. */
int tool_args_parse(const struct tool_command *command, char **argv, size_t n,
                    struct tool_args *ret_args);

/* The row of the option name[0..len) and its place in the table, or NULL. */
const struct tool_option *tool_find_option(const struct tool_command *command, const char *name,
                                           size_t len, size_t *ret_index);

/* The value of an option, "" for a switch that was given, NULL if it was not given. */
const char *tool_value(const struct tool_args *args, const char *name);
bool tool_given(const struct tool_args *args, const char *name);

/* 0 if exactly n words were given, else TOOL_USAGE with a message that names the first missing one,
 * called what. */
int tool_need_words(const struct tool_args *args, size_t n, const char *what);

/* 0 if at most one of the options named (list ends with NULL) was given, else TOOL_USAGE. */
int tool_only_one_of(const struct tool_args *args, const char *const *names);

/* Values of options. Absent ones keep *ret_value. Return 0, or TOOL_USAGE with a message. */
int tool_value_size(const struct tool_args *args, const char *name, uint64_t most,
                    uint64_t *ret_value);
int tool_value_capacity(const struct tool_args *args, const char *name, bool zero,
                        uint32_t *ret_value);
int tool_value_mode(const struct tool_args *args, uint32_t *ret_mode);
int tool_value_timeout(const struct tool_args *args, int64_t *ret_timeout_ns);
/* --expiry. */
int tool_value_expiry(const struct tool_args *args, int64_t *ret_expiry_ns);
/* --every, an hour at most. */
int tool_value_every(const struct tool_args *args, uint64_t *ret_ns);
int tool_value_word(const struct tool_args *args, const char *name, const char *const *choices,
                    uint32_t *ret_index);

/* ------------------------------------------------------------------ complete.c: a shell asks */

/* A place in a command line that is being typed. */
struct tool_cursor {
    const struct tool_command *const *commands; /* all there are */
    size_t n_commands;
    const struct tool_args *args; /* what stands before it: words, and which options were given */
    bool after_options;           /* "--" stands before it */
    const char *start;            /* what has been typed of the word, "" nothing */
    const char *before;           /* before_len bytes that belong to the word, but not to start */
    size_t before_len;
};

/* The word is a candidate, if it begins as what has been typed. text: a few words about it, or NULL. */
void tool_offer(const struct tool_cursor *cursor, const char *word, const char *text);

/* So is every mailbox, or every one of a process, that does not stand before the cursor already. */
void tool_offer_mailboxes(const struct tool_cursor *cursor, bool owned);

/* So is every command. */
void tool_offer_commands(const struct tool_cursor *cursor);

/* For the table of a command: one NAME of a mailbox; any number; behind "--" a program and its words. */
void tool_complete_mailbox(const struct tool_cursor *cursor);
void tool_complete_mailboxes(const struct tool_cursor *cursor);
void tool_complete_program(const struct tool_cursor *cursor);

/* `tong complete WORD...`: prints the candidates for the last word. Returns an exit code. */
int tool_complete(const struct tool_command *const *commands, size_t n_commands, char **words,
                  size_t n);

/* ------------------------------------------------------------------ options.c: what a mailbox is */

extern const char *const tool_delivery_words[];
/* In front of the name of a user's policy; and room for both. */
#define TOOL_OWN "own:"
#define TOOL_DELIVERY_TEXT (TONG_POLICY_MAX + 8)
/* As the command line takes it; a static text or in buffer. */
const char *tool_delivery_text(const tong_status *s, char buffer[TOOL_DELIVERY_TEXT]);
extern const char *const tool_owner_words[];
extern const char *const tool_full_words[];
/* The columns of `tong top`. */
extern const char *const tool_top_words[];

/* Rows for the table of a command that makes mailboxes. */
#define TOOL_MAILBOX_OPTIONS                                                                       \
    { "--capacity", "N", "messages in the whole mailbox: 0 (rendezvous) or more, or unbounded" },  \
        { "--link-capacity", "N", "messages from each sender: 1 or more, or unbounded" },          \
        { "--message-size", "N", "bytes every message has; without it any length" },               \
        { "--max-bytes", "N", "memory the messages may take, as 256M or 2G" },                     \
        { "--delivery", "P",                                                                       \
          "who gets a message: first-come, any, exclusive, round-robin, random, "                  \
          "least-loaded, by-key, everyone, or own:NAME" },                                         \
        { "--full", "F", "what a send does at a full mailbox: block, drop-newest, drop-oldest" },  \
        { "--by-priority", NULL, "what has a higher --priority is received first" },               \
        { "--max-deliveries", "N", "hand a message out at most N times" },                         \
        { "--dead-letter", "NAME", "the mailbox for those that came back N times" },               \
    {                                                                                              \
        "--mode", "M", "permissions in octal, 0600 without it"                                     \
    }

/* The options on a command line of the mailbox that its first word names. Returns 0 or TOOL_USAGE. */
int tool_mailbox_options(const struct tool_args *args, uint32_t owner, tong_options *ret_options);

/* --delivery alone. Returns 0 or TOOL_USAGE. */
int tool_value_delivery(const struct tool_args *args, tong_options *options);

/* Says so if its dead-letter mailbox is not there yet. */
void tool_warn_dead_letter(const struct tool_args *args, const char *name,
                           const tong_options *options);

/* Says that NAME exists with other options than these, and which one differs. Returns TOOL_FAILED. */
int tool_options_differ(const struct tool_args *args, const char *name,
                        const tong_options *options);

/* Reports why a mailbox with these options was not made. Returns an exit code. */
int tool_make_error(const struct tool_args *args, const char *name, int error,
                    const tong_options *options);

/* ------------------------------------------------------------------ say.c: standard error */

/* True if standard error is a terminal. */
bool tool_on_terminal(void);

/* True if it is a terminal and the user did not say NO_COLOR. */
bool tool_has_colour(int fd);

/* A name as it can be printed: quoted and escaped where it has to be, shortened where it is long. */
const char *tool_shown(const char *name);

/* One line on standard error, "tong: COMMAND NAME: why; way out". name may be NULL. */
void tool_say(const struct tool_args *args, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* tool_say(), and return TOOL_FAILED, or TOOL_USAGE with a pointer to the help. */
int tool_failed(const struct tool_args *args, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int tool_wrong_usage(const struct tool_args *args, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Says what tong_strerror() says, and way_out, or if that is NULL the usual way out of this error.
 * Returns the exit code for the error. */
int tool_error(const struct tool_args *args, const char *name, int error, const char *way_out);

/* The exit code of an error of the library. */
int tool_exit_code(int error);

/* The same for errno of a system call on a file: what it is about, the cause. TOOL_FAILED. */
int tool_file_error(const struct tool_args *args, const char *file, int error);

/* Bytes as a person reads them: "64.0 MiB". The answer lives until the fourth call after. */
const char *tool_amount(uint64_t bytes);

/* ------------------------------------------------------------------ signals.c: ending cleanly */

/* SIGINT, SIGTERM and SIGHUP end the tool through its own clean-up; SIGPIPE is ignored. */
void tool_signals_catch(void);

/* From now on the end of a child ends waits as a stop signal does. */
void tool_signals_watch_child(void);

/* True if waits are to end: a stop signal came, or the child that is watched for ended. */
bool tool_stopping(void);

/* The signal that asked the tool to stop, 0 if none did. */
int tool_stop_signal(void);

/* True if it came from a process, which has to be handed on to a program that runs for us; one of
 * the terminal's keys reaches that program by itself. */
bool tool_stop_was_sent(void);

/* The handle whose waits a stop signal ends; NULL for none. */
void tool_signals_interrupt(tong_mailbox *box);

/* True if a call of the library or a system call was merely disturbed and is to be made again. */
bool tool_again(ssize_t answer);

/* ------------------------------------------------------------------ box.c: a mailbox in use */

struct tool_box {
    const struct tool_args *args;
    const char *name;
    tong_mailbox *box;
    int64_t timeout_ns;
    uint64_t sent;                    /* messages this process has put in */
    const tong_send_options *with;    /* what is said of each, NULL nothing */
    const tong_receive_options *want; /* which are received, NULL any */
    void *copy; /* of a reservation, where the carrier has no place to write in */
};

/* said.c: --key, --tag, --priority, --expiry of send; --tag, --min-priority of receive. 0 or TOOL_USAGE. */
int tool_value_said(const struct tool_args *args, tong_send_options *ret_with, bool *ret_given);
int tool_value_want(const struct tool_args *args, tong_receive_options *ret_want);

/* Opens the mailbox, or makes it with options (NULL: the defaults) unless --no-create was given,
 * and says so on a terminal. --timeout goes into the box. Returns an exit code. */
int tool_box_open(const struct tool_args *args, const char *name, unsigned flags,
                  const tong_options *options, struct tool_box *ret_box);

/* Closes the handle. Returns code, or 128 + the stop signal if there was one. */
int tool_box_close(struct tool_box *box, int code);

/* What a mailbox without room looks like just now, for a message to the user. */
void tool_box_describe(const char *name, char *out, size_t size);

/* Reports what a send, or a receive, answered. Silent when waits are to end. Returns an exit code. */
int tool_box_send_error(const struct tool_box *box, int error, size_t len);
int tool_box_receive_error(const struct tool_box *box, int error);

/* tong_send, tong_reserve, tong_commit, tong_claim with the box's time-out, begun again where they
 * were merely disturbed. A mailbox without memory is waited for while messages of this process wait
 * in it. They answer as the library does. */
int tool_box_send(struct tool_box *box, const void *data, size_t len);
/* with: what is said of the message, NULL nothing. */
int tool_box_send_with(struct tool_box *box, const void *data, size_t len,
                       const tong_send_options *with);
int tool_box_reserve(struct tool_box *box, size_t len, tong_slot *ret_slot);
int tool_box_commit(struct tool_box *box, tong_slot *slot, size_t len);
void tool_box_abort(struct tool_box *box, tong_slot *slot);
int tool_box_claim(struct tool_box *box, int64_t timeout_ns, tong_message *ret_message);

/* tong_send_many() in the same manner; the answer is how many went. */
ssize_t tool_box_send_many(struct tool_box *box, const struct iovec *messages, size_t n);

/* ------------------------------------------------------------------ request.c */

/* Room for a reply, as long as a message of that mailbox may be, to be unmapped. 0 or -errno. */
int tool_request_room(const char *name, struct iovec *ret_room);

/* Whether a request that comes back is handed out again there. */
bool tool_request_comes_again(const char *name);

/* Nobody answers it: back with it, or its caller is told. As tong_return() and tong_done(). */
int tool_request_refuse(const struct tool_box *box, tong_message *request);

/* Answers it. A reply that cannot be sent, within 10 seconds, is said, *ret_failed set, and the request done
 * without. Returns 0 or -errno. */
int tool_request_reply(const struct tool_box *box, tong_message *request, const void *data,
                       size_t len, bool *ret_failed);

/* ------------------------------------------------------------------ file.c: bytes in and out */

/* A file that is read or written. rest: bytes left of a regular file, else UINT64_MAX. */
struct tool_file {
    int fd;
    const char *name; /* "standard input", "standard output", or the path */
    bool terminal;
    bool regular;
    bool created; /* made by this command; taken away again if nothing came */
    bool touched; /* something was written */
    uint64_t rest;
};

/* path NULL: the standard one. Return 0 or TOOL_FAILED with a message. */
int tool_file_open_input(const struct tool_args *args, const char *path,
                         struct tool_file *ret_file);
int tool_file_open_output(const struct tool_args *args, const char *path,
                          struct tool_file *ret_file);

/* Closes it. An output of this command's making to which nothing came is taken away. Returns code,
 * or TOOL_FAILED with a message if it was TOOL_DONE and the bytes did not reach the file. */
int tool_file_close(const struct tool_args *args, struct tool_file *file, int code);

/* Reads at most size bytes; waits for the first. Returns bytes, 0 at the end, or a negative errno;
 * -EINTR only when waits are to end. */
ssize_t tool_file_read(struct tool_file *file, void *buf, size_t size);

/* Reads to the end into memory of the heap, at most limit bytes (-EFBIG beyond). */
int tool_file_read_all(struct tool_file *file, size_t limit, char **ret_data, size_t *ret_len);

/* What was written is where it lasts: on the disk, if it goes to a file. 0 or a negative errno. */
int tool_file_sync(const struct tool_file *file);

/* Writes all parts, in order, and uses them up. Returns 0 or a negative errno; -EINTR only
 * when waits are to end. What was written of them into a regular file is cut off again after a failure. */
int tool_file_write(struct tool_file *file, struct iovec *parts, size_t n_parts);

/* ------------------------------------------------------------------ watch.c: on a terminal */

/* Starts the thread that draws. Does nothing if standard error is not a terminal. */
void tool_watch_start(const struct tool_box *box, bool sends);
void tool_watch_stop(void);

/* Around every call that may wait. */
void tool_watch_wait(void);
void tool_watch_go_on(void);

/* A transfer begins, of so many bytes (0: not known); bytes were moved. */
void tool_watch_total(uint64_t bytes);
void tool_watch_moved(uint64_t bytes);

/* Erases what is drawn, so that a line can be printed; it is drawn again later. */
void tool_watch_hide(void);
void tool_watch_show(void);

/* ------------------------------------------------------------------ stream.c: one chunk */

#define TOOL_CHUNK_HEAD 32u

enum {
    TOOL_CHUNK_END = 1,     /* the last one: value is the bytes of the whole stream */
    TOOL_CHUNK_GIVEN_UP = 2 /* the sender stopped: nothing more comes */
};

struct tool_chunk {
    uint32_t flags;
    uint64_t id;     /* the same in every chunk of one stream */
    uint64_t number; /* 0, 1, 2, ... */
    uint64_t value;  /* bytes that follow the head */
};

void tool_chunk_encode(const struct tool_chunk *chunk, unsigned char *ret_head);

/* False if the message is not a chunk of a stream. */
bool tool_chunk_decode(const void *data, size_t len, struct tool_chunk *ret_chunk);

/* The options of a mailbox that is made for a stream, and the size of a chunk for a mailbox. */
tong_options tool_stream_options(void);
size_t tool_stream_chunk(const tong_status *status);

int tool_send_stream(struct tool_box *box, struct tool_file *input);
int tool_receive_stream(struct tool_box *box, struct tool_file *output);

/* ------------------------------------------------------------------ parts of send and receive */

/* Each part of the input that ends with mark is a message. */
int tool_send_parts(struct tool_box *box, struct tool_file *input, char mark);

/* Messages on their way out of a mailbox: each is claimed, handed over, and done or returned. */
struct tool_receive {
    struct tool_box box;
    struct tool_file output;
    const char *exec; /* a command for each message, or NULL: it goes to output */
    uint64_t count;   /* messages still wanted; UINT64_MAX: all */
    bool json;
    bool acks;      /* --ack: see cmd_receive.c */
    bool owned;     /* the mailbox ends with this process */
    bool lost;      /* a receive failed: the mailbox is no longer there for us */
    bool may_close; /* no failure if the output is read no more */
    bool is_reply;  /* what is written is one, and not in the mailbox any more */
    int mark;       /* the byte behind each message, or -1 */
};

/* --lines, --null, --json of a command line. Returns 0 or an exit code with a message. */
int tool_receive_form(const struct tool_args *args, struct tool_receive *rx);

/* Until count messages came, something failed, or waits are to end. Returns an exit code. */
int tool_receive_run(struct tool_receive *rx);

/* Write one to the output, in the form that was asked for. Returns an exit code. */
int tool_receive_write(struct tool_receive *rx, const tong_message *message);

/* The message becomes the standard input of `sh -c command`, and output, if it is not -1, its standard
 * output. Returns 0 and the exit code of that, 128
 * + signal if one ended it; or an exit code with a message: it could not be run, or waits are to end. */
int tool_receive_exec(const struct tool_box *box, const char *command, const tong_message *message,
                      int output, int *ret_code);

/* Starts a program. input, output: descriptors of its standard input and output; output -1: this one's.
 * Returns 0 or a negative errno. */
int tool_spawn(const char *const *argv, int input, int output, pid_t *ret_pid);

/* Waits for it; hands a stop signal on to it. Returns its exit code, or 128 + signal. */
int tool_spawn_wait(pid_t pid);

/* ------------------------------------------------------------------ json.c */

/* 0, or TOOL_FAILED with a message: this tool was built without JSON. */
int tool_json_need(const struct tool_args *args);

/* One value of an object. */
enum tool_kind {
    TOOL_TEXT,     /* const char * */
    TOOL_NUMBER,   /* uint64_t */
    TOOL_SIGNED,   /* int64_t */
    TOOL_NO_LIMIT, /* null: a number without a limit */
    TOOL_TRUTH,    /* number 0 or 1 */
    TOOL_BYTES     /* text and number = length: text, or base64 under NAME_base64 */
};

struct tool_field {
    const char *name; /* words joined by _ */
    enum tool_kind kind;
    const char *text;
    uint64_t number;
};

/* The fields as one JSON object and a newline, in memory of the heap; NULL: no memory. */
char *tool_json_object(const struct tool_field *fields, size_t n);

/* Prints the fields to standard output: as JSON in one line, or one "name value" a line. */
int tool_print_fields(const struct tool_args *args, const struct tool_field *fields, size_t n);

/* Standard output has everything, or TOOL_FAILED with a message. */
int tool_flush(const struct tool_args *args, int code);

#define TOOL_STATUS_FIELDS_MAX 33
#define TOOL_STATUS_WORDS 160

/* Where a dead letter comes from, as fields; words holds their text. Returns how many. */
#define TOOL_ORIGIN_FIELDS_MAX 6
size_t tool_origin_fields(const tong_origin *origin, struct tool_field *ret_fields,
                          char ret_words[TOOL_STATUS_WORDS]);

/* The name by which to open a mailbox that is told of: its carrier in front, if that is not shared memory.
 * size TOOL_NAME_TEXT. Returns ret_name. */
#define TOOL_NAME_TEXT (TONG_NAME_MAX + 16)
const char *tool_name_text(const tong_status *status, char ret_name[TOOL_NAME_TEXT]);

/* The 16 bytes of a mailbox's id, in hexadecimal. */
void tool_id_text(const uint8_t *id, char ret_text[33]);

/* What a mailbox is and holds, as fields; words holds their text. Returns how many. */
size_t tool_status_fields(const tong_status *status, struct tool_field *ret_fields,
                          char ret_words[TOOL_STATUS_WORDS]);

/* ------------------------------------------------------------------ scene.c: all there is to see */

struct tool_scene_box {
    tong_status status;
    size_t first; /* its parties: first, first + 1, ... */
    size_t n;
};

struct tool_scene_party {
    tong_party party;
    size_t box;
    size_t process;
};

struct tool_scene_process {
    uint64_t number; /* 0: nobody, closed links */
    int32_t pid;
    uint32_t uid;
    bool alive;
    bool asleep;    /* somewhere */
    bool stuck;     /* all it waits for are asleep, too, and wait for each other */
    bool in_circle; /* and one of them is a sender that waits for room: see scene.c */
    const char *carrier;
};

struct tool_scene {
    const struct tool_args *args; /* whose errors are said; NULL: they are counted only */
    struct tool_scene_box *boxes;
    struct tool_scene_party *parties;
    struct tool_scene_process *processes;
    size_t n_boxes;
    size_t n_parties;
    size_t n_processes;
    size_t unseen; /* mailboxes that could not be looked at */
    bool grew;
};

/* Looks at everything. 0, or a negative errno. */
int tool_scene_take(const struct tool_args *args, struct tool_scene *ret_scene);
void tool_scene_free(struct tool_scene *scene);

/* The program of a process, for people; "" if it cannot be told. */
void tool_scene_program(const struct tool_scene_process *process, char ret_name[17]);

/* ------------------------------------------------------------------ listen.c */

/* Makes a page, on the heap; NULL: it could not. */
typedef char *tool_page_fn(void *arg, size_t *ret_len);

/* Answers HTTP at an address, "127.0.0.1:9464" or a port, until a stop signal. Returns an exit code. */
int tool_listen(const struct tool_args *args, const char *where, tool_page_fn *make, void *arg);

/* ------------------------------------------------------------------ the commands */

/* ---- direct.c: processes that name each other */

/* `send --as P --to Q` and `receive --as Q [--from P]`. Exit codes. */
int tool_direct_send(const struct tool_args *args);
int tool_direct_receive(const struct tool_args *args);

extern const struct tool_command tool_create;
extern const struct tool_command tool_hold;
extern const struct tool_command tool_send;
extern const struct tool_command tool_receive;
extern const struct tool_command tool_call;
extern const struct tool_command tool_serve;
extern const struct tool_command tool_ls;
extern const struct tool_command tool_stat;
extern const struct tool_command tool_relay;
extern const struct tool_command tool_chat;
extern const struct tool_command tool_rm;
extern const struct tool_command tool_give;
extern const struct tool_command tool_set;
extern const struct tool_command tool_watch;
extern const struct tool_command tool_region;
extern const struct tool_command tool_top;
extern const struct tool_command tool_tap;
extern const struct tool_command tool_graph;
extern const struct tool_command tool_metrics;
extern const struct tool_command tool_tour;
extern const struct tool_command tool_bench;
extern const struct tool_command tool_doctor;

#endif
