/* Inside the receiving side: requests for messages, and what comes of them. The side's gate is held. */
#ifndef TG_CARRIER_NATS_FETCH_H
#define TG_CARRIER_NATS_FETCH_H

#include "carrier/nats/box.h"

#define TG_NATS_STANDING_NS INT64_C(3600000000000)

enum {
    TG_NATS_NOTHING = -1000, /* the request is over, and nothing came */
    TG_NATS_LOOK = -1001,    /* it is time to look whether the wait is in vain */
};

/* Ask for n messages; for_ns 0: of those that are there now. */
int tg_nats_ask_for(struct tg_nats_box *box, unsigned n, int64_t for_ns);
/* Ask for one, as who waits: it may be drawn by lot whose it is. */
int tg_nats_stand(struct tg_nats_box *box, int64_t for_ns);
/* What was asked for has come, or will not. */
void tg_nats_is_served(struct tg_nats_side *side);
/* Take a request back. 1: its message has come meanwhile; 0, -errno. */
int tg_nats_take_back(struct tg_nats_box *box, struct tg_nats_msg *ret_msg);
/* A tick is over: if messages are there that the request was not served with, take it back. As tg_nats_take_back(). */
int tg_nats_renew(struct tg_nats_box *box, struct tg_nats_msg *ret_msg);
/* One that is there now: 1, TG_NATS_NOTHING, -errno. */
int tg_nats_try_once(struct tg_nats_box *box, struct tg_nats_msg *ret_msg);
/* The next of a batch of those that are there now: the same. */
int tg_nats_await_batch(struct tg_nats_box *box, struct tg_nats_msg *ret_msg);
/* What has come by now: 1 a message, 0 none, -errno. */
int tg_nats_await_now(struct tg_nats_box *box, struct tg_nats_msg *ret_msg);
/* head.c: what it says, out of taken->msg. -EPROTO: it is no message that was handed out. */
int tg_nats_read_head(struct tg_nats_box *box, struct tg_nats_taken *taken);
/* The same of its head and its subject alone. */
void tg_nats_read_said(struct tg_nats_box *box, struct tg_nats_taken *taken);
/* Read what a message says: 1, or 0: it was not sent in time or has expired, and is acknowledged. */
int tg_nats_read_taken(struct tg_nats_box *box, struct tg_nats_taken *taken);
/* The same, while a request is open: nothing is waited for. */
int tg_nats_read_batched(struct tg_nats_box *box, struct tg_nats_taken *taken);
/* Acknowledge the last one of n, and tell of the room of all. is_awaited: until it is carried out. */
int tg_nats_acknowledge_row(struct tg_nats_box *box, const char *ack, size_t n, bool is_awaited);
/* quorum.c: these messages are this handle's alone, and come never again. -ENOENT: one of them may be another's. */
int tg_nats_forget(struct tg_nats_box *box, const uint64_t seqs[], size_t n);
/* To everyone a message is nobody's alone; who is handed it again knows it (mark_seen() in receive.c). */
static inline bool tg_nats_has_replicas(const struct tg_nats_box *box)
{
    return box->record.replicas > 1 && box->record.options.delivery != TONG_EVERYONE;
}
/* A message has gone, or at capacity 0 somebody waits for one. */
int tg_nats_tell_of_room(struct tg_nats_box *box);
/* pocket.c: it is fetched, and stays for the next call on this handle. */
int tg_nats_pocket(struct tg_nats_box *box, const struct tg_nats_taken *taken);
bool tg_nats_from_pocket(struct tg_nats_box *box, struct tg_nats_msg *ret_msg);
/* The handle is being closed. */
void tg_nats_empty_pocket(struct tg_nats_box *box);

#endif
