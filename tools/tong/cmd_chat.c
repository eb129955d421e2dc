/*
 * cmd_chat.c - `tong chat`: people in a room, each in a process of its own.
 *
 * One loop waits for what is typed and for what others say, and prints as it comes: plain lines, so that a
 * pipe may take part, too. Where mailboxes have no descriptor to wait for, a thread waits for what is typed, and
 * interrupts the wait for what others say.
 */
#include "chat.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct typed {
    char text[CHAT_LINE];
    size_t len;
    bool end;
    bool too_long; /* the rest of the line is thrown away, too */
};

static const char *own_nick(const struct tool_args *args)
{
    const char *const given = tool_value(args, "--as");
    const struct passwd *const user = given ? NULL : getpwuid(geteuid());
    return given ? given : user ? user->pw_name : "me";
}

static int do_line(struct chat *chat, const char *text, size_t len, bool *ret_over)
{
    if (strcmp(text, "/quit") == 0) {
        *ret_over = true;
        return TOOL_DONE;
    }
    if (strcmp(text, "/who") == 0) {
        return chat_print_people(chat);
    }
    if (text[0] == '/') {
        tool_say(chat->args, chat->name, "say /who, /quit, @nick text, or just text");
        return TOOL_DONE;
    }
    return len == 0 ? TOOL_DONE : chat_say(chat, CHAT_TEXT, text, len);
}

/* What was typed so far: whole lines are done and taken out. */
static int do_lines(struct chat *chat, struct typed *typed, bool *ret_over)
{
    int code = TOOL_DONE;
    char *at = typed->text;
    char *end;
    while (code == TOOL_DONE && !*ret_over &&
           (end = memchr(at, '\n', typed->len - (size_t)(at - typed->text))) != NULL) {
        *end = '\0';
        if (!typed->too_long) {
            code = do_line(chat, at, (size_t)(end - at), ret_over);
        }
        typed->too_long = false;
        at = end + 1;
    }
    typed->len -= (size_t)(at - typed->text);
    memmove(typed->text, at, typed->len);
    if (typed->len == sizeof(typed->text) - 1) {
        if (!typed->too_long) {
            tool_say(chat->args, chat->name, "a line is too long and was not sent");
        }
        typed->too_long = true;
    }
    typed->len = typed->too_long ? 0 : typed->len;
    return code;
}

static int read_typed(struct chat *chat, struct typed *typed, bool *ret_over)
{
    const ssize_t n =
        read(STDIN_FILENO, typed->text + typed->len, sizeof(typed->text) - 1 - typed->len);
    if (n < 0 && errno == EINTR) {
        return TOOL_DONE;
    }
    if (n <= 0) {
        /* A last line without its newline is one. */
        typed->text[typed->len] = '\0';
        typed->end = true;
        *ret_over = true;
        bool over = false;
        return typed->len > 0 && !typed->too_long ? do_line(chat, typed->text, typed->len, &over)
                                                  : TOOL_DONE;
    }
    typed->len += (size_t)n;
    return do_lines(chat, typed, ret_over);
}

static int talk(struct chat *chat, int room, int own)
{
    struct typed typed = { .len = 0 };
    bool over = false;
    int code = TOOL_DONE;
    while (code == TOOL_DONE && !over && !tool_stopping()) {
        struct pollfd fds[] = { { .fd = room, .events = POLLIN },
                                { .fd = own, .events = POLLIN },
                                { .fd = STDIN_FILENO, .events = POLLIN } };
        if (poll(fds, 3, -1) < 0) {
            continue; /* disturbed: by a stop signal, which ends this, or not */
        }
        if (fds[0].revents || fds[1].revents) {
            code = tool_flush(chat->args, chat_print_new(chat));
        }
        if (code == TOOL_DONE && fds[2].revents) {
            code = tool_flush(chat->args, read_typed(chat, &typed, &over));
        }
    }
    return code;
}

/* ------------------------------------------------------------------ without descriptors */

struct typist {
    pthread_t thread;
    tong_mailbox *box; /* of the wait that is interrupted */
    int told[2];       /* a pipe: a byte when what was typed is read; its end, to end the thread */
};

static bool is_typed(int timeout_ms)
{
    struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
    return poll(&in, 1, timeout_ms) > 0 && in.revents != 0;
}

static void *watch_typing(void *arg)
{
    const struct typist *const typist = arg;
    struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
                            { .fd = typist->told[0], .events = POLLIN } };
    char c;
    do {
        if (poll(fds, 2, -1) > 0 && !fds[1].revents) {
            (void)tong_interrupt(typist->box);
        }
    } while (read(typist->told[0], &c, 1) > 0);
    return NULL;
}

/* An interrupt is used up by whatever call comes next; so after each it is looked whether something was typed. */
static int talk_and_wait(struct chat *chat, const struct typist *typist)
{
    struct typed typed = { .len = 0 };
    bool over = false;
    int code = TOOL_DONE;
    while (code == TOOL_DONE && !over && !tool_stopping()) {
        const int r = tong_wait_any(&chat->own, 1, TONG_FOREVER);
        if (r < 0 && !tool_again(r) && !tool_stopping()) {
            code = tool_error(chat->args, chat->name, r, NULL);
        } else if (r >= 0) {
            code = tool_flush(chat->args, chat_print_new(chat));
        }
        if (code == TOOL_DONE && !tool_stopping() && is_typed(0)) {
            code = tool_flush(chat->args, read_typed(chat, &typed, &over));
            (void)!write(typist->told[1], "", 1);
        }
    }
    return code;
}

static int talk_without_fds(struct chat *chat)
{
    struct typist typist = { .box = chat->own };
    sigset_t all;
    sigset_t before;
    if (pipe2(typist.told, O_CLOEXEC) < 0) {
        return tool_error(chat->args, chat->name, -errno, NULL);
    }
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&typist.thread, NULL, watch_typing, &typist);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    const int code =
        error ? tool_error(chat->args, chat->name, -error, NULL) : talk_and_wait(chat, &typist);
    close(typist.told[1]);
    if (error == 0) {
        pthread_join(typist.thread, NULL);
    }
    close(typist.told[0]);
    return code;
}

/* ------------------------------------------------------------------ the command */

static int come_in(struct chat *chat)
{
    int code = chat->room ? chat_print_history(chat) : chat_apart_come(chat);
    if (code == TOOL_DONE) {
        code = chat_print_people(chat);
    }
    if (code == TOOL_DONE) {
        code = chat_print_new(chat); /* what waited while one was away */
    }
    if (code == TOOL_DONE) {
        code = chat_say(chat, CHAT_CAME, "", 0);
    }
    return tool_flush(chat->args, code);
}

/* A room on a server that the name says: what is listed is that of TONG_NATS_URL, so it says the same. */
static const char *name_of_room(const char *word)
{
    static char name[TONG_NAME_MAX + 8];
    const char *const slash = strrchr(word, '/');
    char *const server = strncmp(word, "nats://", 7) == 0 && slash - word > 7
                             ? strndup(word, (size_t)(slash - word))
                             : NULL;
    if (!server || strlen(slash + 1) >= TONG_NAME_MAX || setenv("TONG_NATS_URL", server, 1) < 0) {
        free(server);
        return word;
    }
    free(server);
    snprintf(name, sizeof(name), "nats:%s", slash + 1);
    return name;
}

static int be_there(struct chat *chat)
{
    tool_signals_interrupt(chat->room ? chat->room : chat->own);
    const int room = chat->room ? tong_fd(chat->room, TONG_RECEIVE) : -1;
    const int own = tong_fd(chat->own, TONG_RECEIVE);
    const int r = chat->room && room < 0 ? room : own;
    if (r < 0 && (r != -EOPNOTSUPP || chat->room)) {
        return tool_error(chat->args, chat->name, r, NULL);
    }
    const int code = come_in(chat);
    if (code != TOOL_DONE) {
        return code;
    }
    if (tool_on_terminal()) {
        tool_say(chat->args, chat->name, "you are %s; /who, @nick text, /quit",
                 tool_shown(chat->nick));
    }
    return own < 0 ? talk_without_fds(chat) : talk(chat, room, own);
}

static int run(const struct tool_args *args)
{
    struct chat chat = { .args = args };
    if (tool_need_words(args, 1, "the NAME of the room")) {
        return TOOL_USAGE;
    }
    chat.name = name_of_room(args->words[0]);
    chat.nick = own_nick(args);
    if (chat.nick[0] == '\0' || strlen(chat.nick) >= CHAT_NICK) {
        return tool_wrong_usage(args, "--as: a name here has 1 to %d bytes", CHAT_NICK - 1);
    }
    const int code = chat_open(&chat);
    return chat_close(&chat, code == TOOL_DONE ? be_there(&chat) : code);
}

const struct tool_command tool_chat = {
    .name = "chat",
    .line = "talk with people in a room",
    .usage = "chat NAME [--as NICK]",
    .examples =
        "tong chat lunch                 what you type is said, what others say is printed\n"
        "tong chat lunch --as ada        under another name than the user's\n"
        "echo done | tong chat builds    a script says a line",
    .about =
        "Prints the last lines that were said, and who is here. A line goes to all who are here;\n"
        "\"@nick text\" to one, and waits for one who is away; \"/who\" tells who is here; "
        "\"/quit\",\n"
        "the end of the input or Ctrl-C leaves. With nats:NAME the room is on other computers,\n"
        "too; what was said there before is told by one of those who are here.",
    .options =
        (const struct tool_option[]){
            { "--as", "NICK", "the name to talk under; without it the user's" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = tool_complete_mailbox,
};
