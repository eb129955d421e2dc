/*
 * A mailbox on a NATS server.
 *
 *   the book's line d.NAME           what it is: id, options, owner. NAME here is what it is called now; in all that
 *                                    follows it is the name it was made with (direct.h)
 *   the stream SPACE_ID              its messages: a work queue; what is acknowledged is gone
 *   the consumer "r" of that stream  what is handed out and not acknowledged; to everyone each has one (everyone.h)
 *
 *   SPACE.q.NAME.ID.FROM.PROC.HANDLE     a message, from the process whose mailbox's id is FROM ("-": one without a name)
 *   SPACE.r.NAME.ID                      a message was acknowledged: there is room
 *   SPACE.e.NAME.ID                      look at the book: it has changed
 *   SPACE.g.NAME.ID                      messages for one of those who wait, drawn by lot
 *
 * I1  The stream is made from the book's line, and by whoever finds it missing: its configuration is a function
 *     of the line, so that any number may make it at once. The id is in its name: what is made
 *     under a name that was removed is another stream, and old handles never reach it.
 * I2  Each side of a handle has a connection of its own and a gate: one call at a time is inside.
 * I3  A message that was handed to this handle is acknowledged, given back, or in hand (claims) before the
 *     call that fetched it returns.
 */
#ifndef TG_CARRIER_NATS_BOX_H
#define TG_CARRIER_NATS_BOX_H

#include <sys/types.h>
#include <tong/tong.h>

#include "base/clock.h"
#include "carrier/nats/keeper.h"
#include "carrier/nats/server.h"

#define TG_NATS_CLAIMS 64
#define TG_NATS_FIRST_CONSUMER "r" /* which is made with the stream */
#define TG_NATS_RECEIVERS 256
#define TG_NATS_TICK_NS INT64_C(250000000)
#define TG_NATS_TURMOIL_NS INT64_C(3000000000) /* after a loss nobody is declared dead */
#define TG_NATS_RETRY_NS INT64_C(20000000)     /* before a server that was lost is tried again */
#define TG_NATS_DUPLICATES_NS                                                                      \
    INT64_C(30000000000) /* so long a stream knows the ids of its messages */
#define TG_NATS_IDLE_NS                                                                            \
    INT64_C(1000000000) /* behind it a connection is looked at before it is used */

/* The line d.NAME. */
struct tg_nats_record {
    uint64_t seq;
    char id[TG_NATS_ID_SIZE];
    char home[TONG_NAME_MAX]; /* the name it was made with */
    bool is_process;          /* made by tong_process_open */
    bool is_reply;            /* for replies: nobody is told of it */
    bool was_given;           /* once at least: others may not have heard whose it is */
    tong_options options;
    char dead_letter[TONG_NAME_MAX];
    char policy[TONG_POLICY_MAX];
    char proc[TG_NATS_PROC_SIZE]; /* the owner's, "" the system's */
    uint32_t handle;
    int32_t pid;
    uint32_t uid;      /* who made it */
    uint32_t replicas; /* of its stream; 0 one, too */
};

struct tg_nats_loop;

struct tg_nats_side {
    struct tg_gate gate;
    struct tg_nats_conn *conn;
    int bell;        /* readable: an interrupt */
    int64_t used_ns; /* when a call ended last */
    uint64_t end_sid;
    uint64_t room_sid;  /* sending, blocked */
    uint64_t fetch_sid; /* receiving */
    uint64_t newest;    /* the message furthest back in the stream that was seen here, */
    int64_t newest_ns;  /* and when it was stored */
    char fetch_subject[96];
    bool is_fetching;          /* a request stands at the server */
    bool is_drawn;             /* fetch_sid is the group's of which one is drawn by lot (ask.c) */
    bool is_passed_over;       /* messages are there, and the request was not served */
    bool is_closing;           /* it was taken back, and the word of the server is awaited */
    uint64_t told;             /* the number of the subject that tells of an offer */
    uint64_t told_token;       /* it was taken: the next token */
    bool is_rung;              /* there may be room */
    bool must_look;            /* the book has changed */
    uint64_t line;             /* in the book: seq of h.…; 0 none */
    struct tg_nats_loop *loop; /* its descriptor for event loops; NULL: nobody has asked for one */
};

struct tg_nats_claim {
    struct tg_nats_kept kept;
    char owner[96];  /* of the pieces of a long one, "" none */
    uint64_t number; /* 0: free */
    uint64_t line;   /* seq of c.… */
    uint64_t asked;  /* as of tg_nats_taken */
    uint64_t counted;
    struct tg_nats_origin *origin; /* NULL: it is no dead letter */
    bool is_request;
    void *data;
};

/* Interrupts of a handle, and of those that send as it. */
struct tg_nats_stop {
    tg_a32 asked; /* for */
    tg_a32 used;  /* up */
};

struct tg_nats_stashed;
struct tg_nats_request;

struct tg_nats_box {
    struct tg_nats_server *server;
    struct tg_nats_box *as;           /* the process that it sends as; NULL: none */
    const struct tg_nats_box *shares; /* whose bell and interrupts it has; NULL: its own */
    struct tg_nats_stop *stop;        /* its own, or theirs */
    struct tg_nats_stop own_stop;
    unsigned flags;
    uint32_t forks;
    uint32_t handle;
    tg_a32 ended;   /* a positive errno: for ever */
    uint64_t token; /* of the next offer; 0 none */
    uint64_t place; /* of the one receiver of an exclusive mailbox: seq of its line */
    uint64_t n_sent;
    char consumer[48]; /* of its stream, from which it receives */
    bool has_sent_long;
    struct tg_nats_record record;
    struct tg_nats_side tx;
    struct tg_nats_side rx;
    struct tg_nats_msg pocket; /* pocket.c */
    char *pocket_bytes;
    int64_t pocket_until_ns;
    struct tg_nats_stashed *stash;     /* stash.c; in the order in which they came */
    struct tg_nats_stashed *unstashed; /* taken out of it last */
    uint32_t n_stashed;
    bool has_pocket;
    bool is_process;                 /* made by tong_process_open */
    bool is_reply;                   /* a mailbox for replies, or to send there */
    char name[TONG_NAME_MAX];        /* record.home */
    struct tg_gate watch_gate;       /* watch.c; one call at a time is inside */
    bool is_watching;                /* it has looked once */
    char (*seen)[TG_NATS_PROC_SIZE]; /* who died and was told of, of those that are noted */
    size_t n_seen;
    struct tg_gate claims_gate; /* guards what stands below */
    uint32_t n_claims;
    struct tg_nats_request *requests; /* call.c */
    uint64_t last_request;
    uint64_t last_claim;
    struct tg_nats_claim claims[TG_NATS_CLAIMS];
    char called[TONG_NAME_MAX]; /* by which it was found; of a process, now */
};

/* A call on one side. */
struct tg_nats_call {
    int64_t timeout_ns;
    int64_t deadline;
    uint32_t interrupts;
    uint32_t signals;         /* of this thread, when it began */
    uint32_t ticks;           /* that it has slept through */
    const char *from;         /* of this process alone; NULL whoever */
    bool tells;               /* what it receives can be answered */
    bool skips;               /* what it receives is thrown away */
    struct tg_nats_box *peer; /* the process of that name; NULL none */
    /* What may end it besides: looked at tick by tick. 0, or how it ends, behind what is there. NULL: nothing. */
    int (*look)(const struct tg_nats_call *call);
    struct tg_nats_box *looked_at;
    uint64_t asked; /* by the call, as this message there */
    int64_t looked_ns;
    int64_t began_ns;
};

/* The next tick: soon, then less often. */
static inline int64_t tg_nats_tick(uint32_t nth)
{
    return tg_now_ns() + (TG_NATS_TICK_NS >> (nth < 2 ? 2 - nth : 0));
}

/* ---- book.c: what the book says of mailboxes */

/* Between enter and leave of the server. *ret_record.seq 0: there is none. */
int tg_nats_read_record(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                        struct tg_nats_record *ret_record);
int tg_nats_write_record(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                         struct tg_nats_record *record, uint64_t seen);
/* Make the stream and its first consumer if they are not there. */
int tg_nats_make_stream(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                        const struct tg_nats_record *record);
int tg_nats_stream_info(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                        struct tg_js_answer *ret_answer);
/* start: the number of the first message for it, 0 all that are there. */
int tg_nats_make_consumer(struct tg_nats_server *server, const struct tg_js *js,
                          const struct tg_nats_record *record, const char *consumer,
                          uint64_t start);
int tg_nats_consumer_info(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                          const char *consumer, struct tg_js_answer *ret_answer);
/* A message of its stream, by its number. -ENOENT: it is not there. */
int tg_nats_delete_message(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                           uint64_t seq);
int tg_nats_has_message(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                        uint64_t seq);
/* The subjects in a mailbox's stream that match. */
int tg_nats_list_subjects(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                          const char *filter, tg_book_fn *each, void *arg);
/* End a mailbox: its line, if it is still that, its stream, all that stands in the book of it. -ENOENT: somebody
 * else did. */
int tg_nats_end(struct tg_nats_server *server, const struct tg_js *js,
                const struct tg_nats_record *record);
int tg_nats_clear(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                  const char *id);
/* "SPACE.KIND.NAME.ID", and then more with a dot before it. */
void tg_nats_subject(struct tg_text *text, const struct tg_nats_server *server, char kind,
                     const char *name, const char *id);
void tg_nats_stream(struct tg_text *text, const struct tg_nats_server *server, const char *id);

enum tg_nats_count {
    TG_NATS_REDELIVERED,
    TG_NATS_DEATHS,
    TG_NATS_DROPPED,
    TG_NATS_EXPIRED,
    TG_NATS_DEAD_LETTERS,
    TG_NATS_DONE_BEFORE, /* to everyone: by those who are gone */
    TG_NATS_COUNTS
};
/* Add to a count of the mailbox. */
int tg_nats_count(struct tg_nats_box *box, enum tg_nats_count what, uint64_t n);
/* The same between enter and leave. */
int tg_nats_add_count(struct tg_nats_box *box, const struct tg_js *js, enum tg_nats_count what,
                      uint64_t n);
int tg_nats_read_counts(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                        const char *id, uint64_t ret_counts[TG_NATS_COUNTS]);

/* The words between the dots of a subject: how many, at most n. They are cut out of a copy. */
size_t tg_nats_split(char *subject, char *ret_words[], size_t n);

/* ---- box.c */

int tg_nats_open(const char *rest, unsigned flags, const tong_options *options,
                 struct tg_nats_box **ret_box);
/* Another one on the same server. */
int tg_nats_open_beside(const struct tg_nats_box *box, const char *name, unsigned flags,
                        struct tg_nats_box **ret_box);
int tg_nats_close(struct tg_nats_box *box);
int tg_nats_remove(const char *rest);
int tg_nats_interrupt(struct tg_nats_box *box);

/* Begin a call on a side: -EBADF, -ECHILD, its end, what ends the wait for the side. */
int tg_nats_begin(struct tg_nats_box *box, struct tg_nats_side *side, unsigned way,
                  int64_t timeout_ns, struct tg_nats_call *ret_call);
void tg_nats_finish(struct tg_nats_side *side);
/* Is the side connected? Tries once. -ENOTCONN, -EHOSTUNREACH, ... */
int tg_nats_connect_side(struct tg_nats_box *box, struct tg_nats_side *side);
/* The connection was lost: wait and connect again, until the call's time is over. */
int tg_nats_reconnect(struct tg_nats_box *box, struct tg_nats_side *side,
                      const struct tg_nats_call *call);
struct tg_js tg_nats_js(struct tg_nats_side *side);
/* What came on a side while nobody read it. */
void tg_nats_drain(struct tg_nats_side *side);
/* What came on a side that its call did not wait for. */
void tg_nats_note(void *arg, const struct tg_nats_msg *msg);
/* The stream or the consumer is not there: make it, or say how the mailbox has ended. 0: try again. */
int tg_nats_look(struct tg_nats_box *box);
/* What a call answers that got no answer itself: the mailbox may have ended meanwhile. */
int tg_nats_why_lost(struct tg_nats_box *box, int error);
bool tg_nats_is_interrupted(struct tg_nats_box *box, uint32_t seen);
/* Write a line of the book about this handle: h for a role, b, c. */
int tg_nats_write_line(struct tg_nats_box *box, char kind, const char *more, const char *text,
                       uint64_t *ret_line);
/* The same between enter and leave. */
int tg_nats_put_line(struct tg_nats_box *box, const struct tg_js *js, char kind, const char *more,
                     const char *text, uint64_t *ret_line);
void tg_nats_delete_line(struct tg_nats_box *box, uint64_t *line);

/* ---- send.c, receive.c, claim.c */

int tg_nats_send(struct tg_nats_box *box, const void *data, size_t len,
                 const tong_send_options *with, int64_t timeout_ns);
/* A dead letter, at once: its origin, and when it expires in the server's time. */
int tg_nats_send_on(struct tg_nats_box *box, const void *data, size_t len,
                    const tong_send_options *with, const struct tg_nats_origin *origin,
                    int64_t expiry_ns);
ssize_t tg_nats_send_many(struct tg_nats_box *box, const struct iovec *messages, size_t n,
                          int64_t timeout_ns);

/* Where a dead letter comes from. */
struct tg_nats_origin {
    char id[TG_NATS_ID_SIZE]; /* of the mailbox; "" it is none */
    char name[TONG_NAME_MAX];
    uint64_t seq; /* in its stream; not known any more to who receives it */
    uint64_t sequence;
    uint32_t deliveries;
    uint32_t uid;
    int32_t pid;
};

/* A message that was fetched, and what is known of it. */
struct tg_nats_taken {
    struct tg_nats_msg msg; /* until the connection is used again */
    char ack[TG_NATS_ACK_SIZE];
    uint32_t deliveries;
    uint64_t seq;    /* in the stream */
    int64_t time_ns; /* when it was stored */
    uint64_t number; /* its sender's */
    uint32_t uid;
    uint32_t gid;
    int32_t pid;
    int64_t until_ns; /* stored later it was not sent; 0 never */
    int64_t expiry_ns;
    tong_send_options said;
    uint64_t sent_ns;
    char reply_to[TONG_NAME_MAX];
    size_t len;       /* of the message, also of one in pieces */
    bool is_pocketed; /* it was fetched by an earlier call */
    bool is_claimed;  /* it is taken for a claim */
    bool is_long;     /* it is in pieces: */
    uint64_t n_pieces;
    uint64_t first_seq;
    uint32_t claims;  /* how often it was claimed before, where that is counted (dead_letter.h) */
    uint64_t counted; /* the line that says so; 0 none */
    uint64_t token;   /* of an offer (rendezvous.h), and whom to tell */
    char tell[96];
    uint64_t asked; /* it is a request, and this its holder's line (call.h); 0 none */
    char owner[96]; /* "PROC.HANDLE", and ".NUMBER" of a long one: its sender */
    char from_id[TG_NATS_ID_SIZE]; /* of the process that sent it, "" none */
    char from_name[TONG_NAME_MAX]; /* what that is called, or was */
    struct tg_nats_origin origin;
};
/* The bytes of a message that was taken: len of them. -ENODATA: they are gone, as it is. */
int tg_nats_copy(struct tg_nats_box *box, const struct tg_nats_taken *taken, void *ret_data);
/* Get the next message: acknowledge it or give it back before the connection is used for another. */
int tg_nats_take(struct tg_nats_box *box, struct tg_nats_call *call,
                 struct tg_nats_taken *ret_taken);
/* It was taken and stays, for the next call on this handle that asks for it. */
int tg_nats_set_aside(struct tg_nats_box *box, const struct tg_nats_taken *taken);
int tg_nats_acknowledge(struct tg_nats_box *box, const char *ack);
/* The same, and the pieces of a long one go. With replicas: it is marked where it may come again (quorum.c). */
int tg_nats_acknowledge_taken(struct tg_nats_box *box, struct tg_nats_taken *taken);
int tg_nats_give_back(struct tg_nats_box *box, const char *ack);
/* It was not received, for this reason: it is gone as it is (-ENODATA), or goes back. 0, or the reason. */
int tg_nats_refuse(struct tg_nats_box *box, const struct tg_nats_taken *taken, int reason);
/* All that was said so far has reached the server. */
int tg_nats_settle(struct tg_nats_side *side);
/* Who sent it, and what was said with it. */
void tg_nats_tell(const struct tg_nats_taken *taken, tong_message *ret_info);

ssize_t tg_nats_receive(struct tg_nats_box *box, void *buf, size_t size,
                        const tong_receive_options *with, int64_t timeout_ns,
                        tong_message *ret_info);
ssize_t tg_nats_receive_many(struct tg_nats_box *box, const struct iovec *buffers, size_t n,
                             int64_t timeout_ns, size_t *ret_lens);
ssize_t tg_nats_skip(struct tg_nats_box *box);
int tg_nats_wait_any(struct tg_nats_box *const boxes[], size_t n, int64_t timeout_ns);

int tg_nats_claim(struct tg_nats_box *box, int64_t timeout_ns, tong_message *ret_message);
int tg_nats_done(struct tg_nats_box *box, tong_message *message);
int tg_nats_return(struct tg_nats_box *box, tong_message *message);
/* All claims go back: the handle is being closed. */
void tg_nats_return_all(struct tg_nats_box *box);
/* What the dead hold is given back on their behalf, and their lines go. only_claims: if messages are in hand at all. */
int tg_nats_relieve(struct tg_nats_box *box, bool only_claims);

/* ---- look.c */

/* A receiver comes: its line in the book; the lines of the dead go. -EUSERS. */
int tg_nats_come(struct tg_nats_box *box);
/* Between enter and leave: the line alone. */
int tg_nats_write_receiver(struct tg_nats_box *box, const struct tg_js *js);

/* An id out of its hex digits. */
void tg_nats_id_bytes(const char *id, uint8_t ret_bytes[16]);
int tg_nats_stat(const char *rest, tong_status *ret_status);
int tg_nats_list(tong_list_fn *each, void *arg);

#endif
