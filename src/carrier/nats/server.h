/*
 * A server, as this process knows it: what is shared by all its handles there; and the book of a space, in
 * which stands what mailboxes there are and who uses them.
 *
 * The book is a stream, SPACE, that keeps the last message of each subject:
 *
 *   SPACE.d.NAME                                   a mailbox: its id, its options, its owner, as JSON
 *   SPACE.h.NAME.ID.PROC.HANDLE.ROLE.PID.UID[.AS]  a handle that is open; of one that sends as a process, whose id
 *   SPACE.b.NAME.ID.PROC.HANDLE                    its sender is blocked
 *   SPACE.c.NAME.ID.PROC.HANDLE.NUMBER             a message it has claimed: the subject for its ack
 *   SPACE.w.NAME.ID.PROC.HANDLE.NUMBER             it is writing a long message (long.h)
 *   SPACE.n.NAME.ID.all                            what happened to the mailbox, counted
 *
 * I1  Who makes, changes or ends a line says which version of it he has seen, and the server refuses it
 *     if there is another one by then. So exactly one of several creates, and one removes.
 * I2  A process is alive while the server has its connection: it listens to SPACE.p.PROC, and who
 *     asks there learns from the server at once if nobody does. No line says that somebody is alive.
 * I3  A line of a dead one is deleted by whoever finds it.
 */
#ifndef TG_CARRIER_NATS_SERVER_H
#define TG_CARRIER_NATS_SERVER_H

#include "base/gate.h"
#include "carrier/nats/js.h"

#define TG_NATS_PROC_SIZE 25 /* 24 hex digits */
#define TG_NATS_ID_SIZE 33   /* 32 hex digits */
#define TG_NATS_SUBJECT_SIZE 448

struct tg_nats_keeper;

struct tg_nats_server {
    struct tg_nats_server *next;
    uint32_t uses; /* handles and calls */
    uint32_t next_handle;
    struct tg_nats_url url;
    char space[32];
    char proc[TG_NATS_PROC_SIZE];
    struct tg_gate gate; /* guards what stands below */
    struct tg_nats_conn *conn;
    struct tg_nats_keeper *keeper;
    int64_t lost_ns;       /* when a connection was lost last */
    int64_t clock_ns;      /* what to add to tg_boot_ns() to have the server's time */
    int64_t clock_seen_ns; /* when that was looked at, 0 never */
    bool knows_book;       /* it is there */
};

/* One more use of the server. Connects if nobody has yet. */
int tg_nats_server_get(const struct tg_nats_url *url, struct tg_nats_server **ret_server);
void tg_nats_server_put(struct tg_nats_server *server);

/* The connection of the server's book, for one thread: until tg_nats_leave(). */
int tg_nats_enter(struct tg_nats_server *server, struct tg_js *ret_js);
void tg_nats_leave(struct tg_nats_server *server);

/* Whether it is one of several that must agree. */
bool tg_nats_is_clustered(struct tg_nats_server *server);

/* How many copies a stream has: TONG_NATS_REPLICAS. */
unsigned tg_nats_replicas(void);

/* A name as one token of a subject. */
void tg_nats_add_name(struct tg_text *text, const char *name);

/* ---- lines of the book; between enter and leave */

struct tg_nats_line {
    uint64_t seq; /* 0: there is none */
    int64_t time_ns;
    size_t len;
    char text[8192]; /* NUL behind it */
};

/* The line of a subject. 0, also if there is none. */
int tg_book_get(struct tg_nats_server *server, const struct tg_js *js, const char *subject,
                struct tg_nats_line *ret_line);
#define TG_BOOK_ANY UINT64_MAX
/* Write it, if its version is still seen: 0 there is none, TG_BOOK_ANY whatever it is. -ESTALE: it is not. */
int tg_book_put(struct tg_nats_server *server, const struct tg_js *js, const char *subject,
                const char *text, uint64_t seen, uint64_t *ret_seq);
/* -ESTALE: it is gone already. */
int tg_book_delete(struct tg_nats_server *server, const struct tg_js *js, uint64_t seq);
/* All lines of subjects that match. */
int tg_book_purge(struct tg_nats_server *server, const struct tg_js *js, const char *filter);
typedef int tg_book_fn(void *arg, const char *subject);
/* Their subjects, in no order. Calls each() with the connection in use. */
int tg_book_list(struct tg_nats_server *server, const struct tg_js *js, const char *filter,
                 tg_book_fn *each, void *arg);

/* The subjects of a stream that match, and how many messages each has. */
typedef int tg_js_count_fn(void *arg, const char *subject, uint64_t n);
int tg_js_count_subjects(const struct tg_js *js, const char *stream, const char *filter,
                         tg_js_count_fn *each, void *arg);
/* The subjects alone. */
int tg_js_list_subjects(const struct tg_js *js, const char *stream, const char *filter,
                        tg_book_fn *each, void *arg);

/* Take away what stands under those subjects (clear.c). */
int tg_js_clear(const struct tg_js *js, const char *stream, const char *filter);

/* ---- who is alive */

/* Make this process known: from now on it is alive to others, and stays so. */
int tg_nats_be_known(struct tg_nats_server *server);
/* Answer for this process without a call of its own: starts the only thread there is. */
int tg_nats_keep(struct tg_nats_server *server);
/* Whether each of these processes is there, at this moment. */
int tg_nats_probe(const struct tg_nats_server *server, const struct tg_js *js,
                  const char procs[][TG_NATS_PROC_SIZE], size_t n, bool ret_there[]);

/* The server's time, nanoseconds since 1970. */
int tg_nats_time(struct tg_nats_server *server, int64_t *ret_ns);

#endif
