/*
 * Request and reply over a socket. The reply is a message to a mailbox that the caller makes; that there will be none
 * is said by a connection of its own. See call.c.
 */
#ifndef TG_CARRIER_UNIX_CALL_H
#define TG_CARRIER_UNIX_CALL_H

#include "carrier/unix/unix.h"

/* ---- the caller's side */

/* A mailbox for replies, of the handle that calls: one call at a time has it. It stays until the handle is closed. */
struct tg_unix_reply {
    struct tg_unix_reply *next;
    tg_a32 is_used;    /* 0: its mailbox is closed */
    int bell;          /* ends the sleep of its call */
    int watch;         /* by which its call hears of ends; -1 none */
    tg_a64 asked;      /* which message is its request, as tg_unix_asked() says; 0 not known */
    tg_a32 is_dropped; /* by its sender, for a newer one */
};

/* Of a handle, and its lanes by priority: the lane and the number of a message there. */
static inline uint64_t tg_unix_asked(const struct tg_unix_handle *h, uint64_t number)
{
    return (uint64_t)h->lane << 56 | (number + 1);
}

/* As the functions of carrier.h with these names. */
int tg_unix_reply_open(tg_handle h, tg_handle *ret_reply, char ret_name[TONG_NAME_MAX],
                       uint64_t *ret_number);
int tg_unix_ask(tg_handle h, tg_handle reply, const void *data, size_t len,
                const tong_send_options *with, int64_t timeout_ns, uint64_t ret_where[2]);
ssize_t tg_unix_await(tg_handle h, tg_handle reply, const uint64_t where[2], uint64_t number,
                      void *buf, size_t size, int64_t timeout_ns, tong_message *ret_info);

/* The handle's gate is held: a message of that number was taken back, and is nobody's. */
void tg_unix_call_taken_back(const struct tg_unix_handle *h, uint64_t number);
/* Async-signal-safe. */
void tg_unix_call_interrupt(const struct tg_unix_handle *h);
/* The handle is being closed: of a mailbox for replies, or what it had of these. */
void tg_unix_call_close(struct tg_unix_handle *h, bool forked);

/* ---- the server's side */

#define TG_UNIX_RECEIVED UINT64_MAX /* less its note: in tong_message.private_[0] */
#define TG_UNIX_ANSWERED UINT64_MAX /* as a note */

int tg_unix_caller_open(tg_handle h, const char *rest, tg_handle *ret_caller);
int tg_unix_answered(tg_handle h, tong_message *request);

/* Lock held, here and below. Whether a message is a request. */
bool tg_unix_is_request(const struct tg_unix_message *m);
/* One that is received, not claimed, and may be answered, is noted at its handle. 0, -ENOMEM. */
int tg_unix_call_note(struct tg_unix_handle *h, struct tg_unix_message *m);
/* No lock held: it is answered. at: of tong_message. */
void tg_unix_call_forget(struct tg_unix_handle *h, uint64_t at);
/* The handle is being closed: what it received and has not answered is answered by nobody. */
void tg_unix_call_leave(struct tg_unix_handle *h);
/* What a message that is finished says, if it is a request that nobody has answered or noted; the caller's then. */
struct tg_said *tg_unix_call_unanswered(struct tg_unix_message *m);
/* Nobody will answer such a one, of that user: its caller is told. */
void tg_unix_call_over(struct tg_unix_box *box, uint32_t uid, const struct tg_said *said);
/* The same, of one that stays. */
void tg_unix_call_set_aside(struct tg_unix_box *box, const struct tg_unix_message *m);
/* Those that ended while a packet was read. */
void tg_unix_call_tell(struct tg_unix_box *box);
void tg_unix_requests_free(struct tg_unix_request *requests);

#endif
