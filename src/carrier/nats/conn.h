/*
 * One connection to a NATS server, and the client protocol on it: INFO, CONNECT, PUB, SUB, MSG, PING.
 *
 * It has no thread and calls nobody back: whoever waits on it reads it. One thread at a time uses it.
 * What is published stands in a buffer until tg_nats_flush(), or until something is waited for.
 */
#ifndef TG_CARRIER_NATS_CONN_H
#define TG_CARRIER_NATS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "carrier/nats/url.h"

struct tg_nats_tls;

/* The most that a chunk of a long message, or a message that is none, takes of a server's limit. */
#define TG_NATS_HEAD_MOST 1024u

/* How long a call waits for an answer of the server itself, whatever its time-out is. */
#define TG_NATS_PATIENCE_NS INT64_C(2000000000)

/* A message, as it lies in the connection's buffer: until the next call on the connection. */
struct tg_nats_msg {
    const char *subject; /* with a NUL behind it */
    const char *reply;   /* the same; "" none */
    const char *head;    /* the header lines, head_len bytes; NULL none */
    size_t head_len;
    const char *data;
    size_t len;
    uint64_t sid;
    int status; /* of a header's first line: 503 nobody is there, 404, 408, 409; 0 none */
};

/* What ends a wait. */
struct tg_nats_wait {
    int64_t deadline;
    int cancel_fd;  /* readable: -ECANCELED; -1 none */
    bool by_signal; /* a signal handler that ran: -EINTR */
};

struct tg_nats_conn {
    struct tg_nats_conn *next; /* fork.c */
    struct tg_nats_conn **before;
    int fd;
    struct tg_nats_tls *tls;
    bool is_lost; /* by the network or the server; every call on it gives -ENOTCONN */
    int refused;  /* a refusal that the server has told and no call has taken: a negative errno */
    uint32_t max_payload;
    bool is_clustered;
    int64_t way_ns; /* to the server and back, when it was connected */
    char inbox[48]; /* "_INBOX.RANDOM" */
    uint64_t next_reply;
    uint64_t next_sid;
    uint64_t pings; /* sent, and answered */
    uint64_t pongs;
    char *in; /* what came and is not read yet: in[in_at..in_end) */
    size_t in_size;
    size_t in_at;
    size_t in_end;
    char *out; /* what is to be sent: out[out_at..out_end) */
    size_t out_size;
    size_t out_at;
    size_t out_end;
    char names[512]; /* subject and reply of the message at hand */
};

/*
 * Connect to one of the servers, those whose network answers last come last. The inbox is subscribed to: what is
 * sent to INBOX.N for any N comes with sid 1.
 * -EHOSTUNREACH: none answers, -EACCES: refused, -EKEYREJECTED: its certificate is, -ETIMEDOUT, -ENOMEM, ...
 */
int tg_nats_connect(const struct tg_nats_url *url, int64_t deadline,
                    struct tg_nats_conn **ret_conn);
/* NULL is allowed. */
void tg_nats_disconnect(struct tg_nats_conn *conn);
/* In a forked child: the descriptor is closed, nothing is said to the server. */
void tg_nats_abandon(struct tg_nats_conn *conn);

/* Put a message into the buffer. head: header lines without the first one and the empty last one, each
 * ended by \r\n; NULL none. -ENOMEM, -ENOTCONN. */
int tg_nats_publish(struct tg_nats_conn *conn, const char *subject, const char *reply,
                    const char *head, const struct iovec *parts, size_t n_parts);
int tg_nats_publish_text(struct tg_nats_conn *conn, const char *subject, const char *reply,
                         const char *text);
/* Whether it may be written to a line: no wildcards, spaces, or ends of lines. */
bool tg_nats_is_subject(const char *subject);
int tg_nats_subscribe(struct tg_nats_conn *conn, const char *subject, const char *group,
                      uint64_t *ret_sid);
int tg_nats_unsubscribe(struct tg_nats_conn *conn, uint64_t sid);
/* Once n messages have come there. */
int tg_nats_unsubscribe_after(struct tg_nats_conn *conn, uint64_t sid, uint64_t n);

/* A fresh subject of the inbox; its number is what tg_nats_reply_of() tells of the answer. */
uint64_t tg_nats_reply_subject(struct tg_nats_conn *conn, char *ret_subject, size_t size);
/* The number of the inbox subject that it came to; 0 another one. */
uint64_t tg_nats_reply_of(const struct tg_nats_conn *conn, const struct tg_nats_msg *msg);

/* Send what is in the buffer, until the deadline. */
int tg_nats_flush(struct tg_nats_conn *conn, int64_t deadline);
/* How much waits to be sent. */
size_t tg_nats_unsent(const struct tg_nats_conn *conn);

/* Flush, and the next message: 0, -ETIMEDOUT, -ECANCELED, -EINTR, -ENOTCONN, -ENOMEM; or a refusal, as
 * -EACCES. Pings are answered here. A deadline of 0 takes what is there. -ETIMEDOUT also when a ping was
 * answered. */
int tg_nats_next(struct tg_nats_conn *conn, const struct tg_nats_wait *wait,
                 struct tg_nats_msg *ret_msg);
/* A ping is put into the buffer: when the answer of it has come, so has all that was to come before. */
int tg_nats_ping(struct tg_nats_conn *conn);
static inline bool tg_nats_is_answered(const struct tg_nats_conn *conn)
{
    return conn->pongs == conn->pings;
}
/* Something may be there without the descriptor being readable. */
bool tg_nats_has_input(const struct tg_nats_conn *conn);

#endif
