/*
 * A carrier: what moves the messages of a mailbox.
 *
 * One file, one table of functions, one row in carrier.c. Each function does what the call of tong.h
 * with its name says, with arguments already checked for NULL where that is a caller's mistake. A
 * carrier that cannot do something answers -EOPNOTSUPP, never something else; where it never can, the
 * function is NULL (open, close, remove, send, receive and stat are not). Calls may come from any
 * thread at once; close comes once, and no call is inside then. docs/carriers.md says who can do what.
 */
#ifndef TG_CARRIER_CARRIER_H
#define TG_CARRIER_CARRIER_H

#include <errno.h>
#include <stdbool.h>
#include <tong/tong.h>

/* A carrier's own handle. */
typedef void *tg_handle;

struct tg_carrier {
    /* The word before the colon in "WORD:NAME", and in tong_status.carrier. */
    const char *prefix;
    /* What it does is in another library: load it. NULL and the error; NULL: it is all here. */
    const struct tg_carrier *(*load)(int *ret_error);
    char begins; /* how its names begin behind it, where two carriers have one word; 0 */

    /* rest: the name behind the prefix, not checked yet. May not block. */
    int (*open)(const char *rest, unsigned flags, const tong_options *options,
                tg_handle *ret_handle);
    /* Frees the handle, also when it answers -ECHILD. */
    int (*close)(tg_handle h);
    int (*remove)(const char *rest);

    /* May block until timeout_ns; every one of these ends early by interrupt. */
    int (*send)(tg_handle h, const void *data, size_t len, int64_t timeout_ns);
    /* with is not NULL. */
    int (*send_with)(tg_handle h, const void *data, size_t len, const tong_send_options *with,
                     int64_t timeout_ns);
    /* fd is 0 or more; whether it is open is the carrier's to see. */
    int (*send_fd)(tg_handle h, const void *data, size_t len, int fd, int64_t timeout_ns);
    ssize_t (*send_many)(tg_handle h, const struct iovec *messages, size_t n, int64_t timeout_ns);
    int (*reserve)(tg_handle h, size_t len, int64_t timeout_ns, tong_slot *ret_slot);
    int (*commit)(tg_handle h, tong_slot *slot, size_t len);
    ssize_t (*receive)(tg_handle h, void *buf, size_t size, int64_t timeout_ns);
    /* with and ret_info may be NULL. */
    ssize_t (*receive_with)(tg_handle h, void *buf, size_t size, const tong_receive_options *with,
                            int64_t timeout_ns, tong_message *ret_info);
    /* ret_info may be NULL. */
    ssize_t (*receive_fd)(tg_handle h, void *buf, size_t size, int64_t timeout_ns, int *ret_fd,
                          tong_message *ret_info);
    ssize_t (*receive_many)(tg_handle h, const struct iovec *buffers, size_t n, int64_t timeout_ns,
                            size_t *ret_lens);
    int (*claim)(tg_handle h, int64_t timeout_ns, tong_message *ret_message);
    /* with is not NULL. NULL: it cannot. */
    int (*claim_with)(tg_handle h, const tong_receive_options *with, int64_t timeout_ns,
                      tong_message *ret_message);
    /* Ends early by interrupt, too. */
    int (*watch)(tg_handle h, int64_t timeout_ns, tong_death *ret_death);
    /* All handles are this carrier's. */
    int (*wait_any)(tg_handle const handles[], size_t n, int64_t timeout_ns);

    /* Never block. */
    int (*abort)(tg_handle h, tong_slot *slot);
    int (*done)(tg_handle h, tong_message *message);
    int (*give_back)(tg_handle h, tong_message *message);
    ssize_t (*skip)(tg_handle h);
    int (*origin)(tg_handle h, const tong_message *message, tong_origin *ret_origin);
    /* process NULL: the system. */
    int (*give)(tg_handle h, const char *process);
    /* A descriptor for event loops, of the handle until it is closed; what: TONG_RECEIVE, TONG_SEND. */
    int (*fd)(tg_handle h, unsigned what);
    /* what: TONG_SET_ bits, checked here. */
    int (*set)(tg_handle h, const tong_options *options, unsigned what);
    /* Async-signal-safe. */
    int (*interrupt)(tg_handle h);

    /* Processes that name each other. A process's handle is one of its mailbox, too. */
    int (*process_open)(const char *rest, const tong_options *options, tg_handle *ret_me);
    /* Comes while no other one of these on me or its peers is inside, but for send and receive. */
    int (*process_rename)(tg_handle me, const char *rest);
    /* Wait, until deadline_ns or interrupt: 0, -EINTR, -ECANCELED. */
    int (*process_pause)(tg_handle me, int64_t deadline_ns);
    ssize_t (*receive_any)(tg_handle me, void *buf, size_t size, int64_t timeout_ns,
                           char ret_from[TONG_NAME_MAX]);
    /* peer NULL: nobody's end ends it. Also -ENOENT: peer has another name now. */
    ssize_t (*receive_from)(tg_handle me, const char *rest, tg_handle peer, void *buf, size_t size,
                            int64_t timeout_ns);
    /* A handle to send to another process as me, which is closed before me and ended by its interrupt. */
    int (*peer_open)(tg_handle me, const char *rest, tg_handle *ret_peer);
    /* 0 it lives under the name it was opened by; -ENOENT another one; -EOWNERDEAD, -EIDRM, -ECHILD. */
    int (*peer_check)(tg_handle peer);
    /* The same of another name, which it has from then on. */
    int (*peer_look_up)(tg_handle peer, const char *rest);
    bool (*peer_is_same)(tg_handle a, tg_handle b);
    /* The process it sends as has another name now. */
    void (*peer_rename)(tg_handle peer, const char *rest);
    int (*links)(tong_links_fn *each, void *arg);

    /* Request and reply; NULL, all five: it cannot. A mailbox for the replies to calls on h, which is closed before h and ended by its
     * interrupt: its name, as this carrier knows it, and a number to begin with that nobody can guess. */
    int (*reply_open)(tg_handle h, tg_handle *ret_reply, char ret_name[TONG_NAME_MAX],
                      uint64_t *ret_number);
    /* As send_with, of a request whose reply comes to reply; where it is, for await. 0: it is in the mailbox. */
    int (*ask)(tg_handle h, tg_handle reply, const void *data, size_t len,
               const tong_send_options *with, int64_t timeout_ns, uint64_t ret_where[2]);
    /* The reply of that number out of reply, as receive_with; all else that is there is thrown away. Comes
     * for one call at a time. Also -EOWNERDEAD: nobody will answer the request. */
    ssize_t (*await)(tg_handle h, tg_handle reply, const uint64_t where[2], uint64_t number,
                     void *buf, size_t size, int64_t timeout_ns, tong_message *ret_info);
    /* To send a reply to the mailbox that a request names; closed before h, ended by its interrupt.
     * -ENOENT: its caller is gone. */
    int (*caller_open)(tg_handle h, const char *rest, tg_handle *ret_caller);
    /* The reply was sent: a claim is done. Makes request->call 0. */
    int (*answered)(tg_handle h, tong_message *request);

    /* A handle of its own, which only these two take. */
    int (*observer_open)(const char *rest, tg_handle *ret_observer);
    int (*observer_close)(tg_handle observer);
    /* May block until timeout_ns. ret_info and ret_missed may be NULL. */
    ssize_t (*peek)(tg_handle observer, void *buf, size_t size, int64_t timeout_ns,
                    tong_message *ret_info, uint64_t *ret_missed);

    int (*stat)(const char *rest, tong_status *ret_status);
    int (*parties)(const char *rest, tong_parties_fn *each, void *arg);
    int (*list)(tong_list_fn *each, void *arg);
    /* As tong_doctor. */
    int (*doctor)(int repair, tong_doctor_fn *each, void *arg);
};

extern const struct tg_carrier tg_carrier_shm;
extern const struct tg_carrier tg_carrier_unix;
extern const struct tg_carrier tg_carrier_nats;
extern const struct tg_carrier tg_carrier_mq;
extern const struct tg_carrier tg_carrier_mq_plain; /* queues that other programs made */

/* Call a function of a carrier, or answer that it cannot. */
#define tg_carrier_call(carrier, function, ...)                                                    \
    ((carrier)->function == NULL ? -EOPNOTSUPP : (carrier)->function(__VA_ARGS__))

/* The carrier a name speaks of, and the rest of the name. NULL: the prefix is unknown; then *ret_rest is
 * NULL. */
const struct tg_carrier *tg_carrier_of(const char *name, const char **ret_rest);
/* The i-th carrier, NULL behind the last. */
const struct tg_carrier *tg_carrier_at(size_t i);

#endif
