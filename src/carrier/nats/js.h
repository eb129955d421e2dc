/* JetStream over a connection: requests of its API, and publishing with an acknowledgement. */
#ifndef TG_CARRIER_NATS_JS_H
#define TG_CARRIER_NATS_JS_H

#include "carrier/nats/conn.h"
#include "carrier/nats/text.h"

/* What a server says when it will not. */
enum {
    TG_JS_NOBODY = 503, /* nobody is there under this subject: no such stream or consumer */
    TG_JS_ACCOUNT_FULL = 10002,
    TG_JS_INCOMPLETE = 10004,
    TG_JS_NO_PEERS = 10005, /* fewer servers of the cluster are there than are to keep it */
    TG_JS_BUSY = 10008,     /* no leader now */
    TG_JS_NOT_LEADER = 10009,
    TG_JS_NO_CONSUMER = 10014,
    TG_JS_NO_RESOURCES = 10023,
    TG_JS_MANY_CONSUMERS = 10026,
    TG_JS_MANY_STREAMS = 10027,
    TG_JS_NO_MEMORY = 10028,
    TG_JS_NO_MESSAGE = 10037,
    TG_JS_NOT_ENABLED = 10039,
    TG_JS_NO_STORAGE = 10047,
    TG_JS_DELETE_FAILED = 10057,
    TG_JS_NAME_TAKEN = 10058,
    TG_JS_NO_STREAM = 10059,
    TG_JS_OVERLAP = 10065,
    TG_JS_WRONG_LAST = 10071,
    TG_JS_NO_CLUSTER = 10074, /* a server alone was asked for replicas */
    TG_JS_OFF = 10076,
    TG_JS_FULL = 10077,
    TG_JS_STREAM_OFFLINE = 10118,
    TG_JS_CONSUMER_OFFLINE = 10119,
};

struct tg_js_answer {
    struct tg_json json; /* in the connection's buffer, until the next call on it */
    unsigned error;      /* TG_JS_, or another number of the server's; 0 none */
    uint64_t seq;        /* of a publish */
    bool duplicate;
    bool full_of_bytes; /* TG_JS_FULL: of bytes, not of messages */
};

/* Messages that are no answer of what was asked: see tg_js_await(). */
typedef void tg_js_other_fn(void *arg, const struct tg_nats_msg *msg);

struct tg_js {
    struct tg_nats_conn *conn;
    tg_js_other_fn *other; /* NULL: thrown away */
    void *arg;
};

/* What a message is as an answer. */
struct tg_js_answer tg_js_read(const struct tg_nats_msg *msg);
/* The errno of an answer that its caller has no use for. 0: no error. */
int tg_js_errno(const struct tg_js_answer *answer);

/* Wait for the answer to an inbox subject. 0, whatever the answer is, or -ENOTCONN (also after
 * TG_NATS_PATIENCE_NS without a word), -EACCES, -ENOMEM, -EPROTO. */
int tg_js_await(const struct tg_js *js, uint64_t reply, struct tg_js_answer *ret_answer);
/* The same of a message as it is. */
int tg_js_await_message(const struct tg_js *js, uint64_t reply, struct tg_nats_msg *ret_msg);
/* The same of n answers that may come in any order, the first of them with this number: which one it is, from 0
 * on, or the error. */
int tg_js_await_one_of(const struct tg_js *js, uint64_t first, uint64_t n,
                       struct tg_nats_msg *ret_msg);

/* Put a message into the buffer whose answer has this number. */
int tg_js_post(struct tg_nats_conn *conn, const char *subject, const char *head,
               const struct iovec *parts, size_t n_parts, uint64_t *ret_reply);
/* The same of a request that a message of a stream is deleted. */
int tg_js_post_delete(struct tg_nats_conn *conn, const char *stream, uint64_t seq,
                      uint64_t *ret_reply);
/* Post and wait. */
int tg_js_publish(const struct tg_js *js, const char *subject, const char *head,
                  const struct iovec *parts, size_t n_parts, struct tg_js_answer *ret_answer);
int tg_js_request(const struct tg_js *js, const char *subject, const char *text,
                  struct tg_js_answer *ret_answer);

/* Whether JetStream is that of another server, which this one leads to. */
bool tg_js_has_domain(void);

/* The subject of an API: "$JS.API.VERB.STREAM[.MORE]", or that of TONG_NATS_DOMAIN. */
const char *tg_js_subject(struct tg_text *text, const char *verb, const char *stream,
                          const char *more);

/* Nanoseconds since 1970 of "2024-01-31T12:34:56.123456789Z"; 0: it is no such time. */
int64_t tg_js_time(struct tg_json value);
/* The bytes of a base64 string: how many, at most size. */
size_t tg_js_bytes(struct tg_json value, void *ret_bytes, size_t size);

#endif
