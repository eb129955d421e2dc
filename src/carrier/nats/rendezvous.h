/*
 * Capacity 0: a send returns when its message was taken.
 *
 *   SPACE.v.NAME.ID.PROC.HANDLE     in the book: how the handle's offer stands. Its version is the offer's token.
 *
 *   sender                                        receiver
 *   the message, with the token, to the stream    fetches it
 *   at its time-out: write W over the token       write T over the token
 *
 * I1  The server lets exactly one of the two write: the token is the version that both have seen. So an offer that was
 *     taken back is never delivered, and one that was taken is not taken back, whoever is slow, cut off or dead.
 * I2  What was taken back is deleted from the stream before the next offer. So what is still there when the line has moved
 *     on was taken, by a receiver that died with it in hand.
 * I3  The server's answer to T goes to a subject to which both listen: the version that T became is the next offer's token.
 *     An answer that is lost the sender finds in the book, tick by tick.
 */
#ifndef TG_CARRIER_NATS_RENDEZVOUS_H
#define TG_CARRIER_NATS_RENDEZVOUS_H

#include "carrier/nats/box.h"

/* A token for the next offer, and the subject to tell of it. */
int tg_nats_prepare_offer(struct tg_nats_box *box, char *ret_tell, size_t size);
/* How many receivers wait. */
int tg_nats_count_waiting(struct tg_nats_box *box, uint64_t *ret_n);
/* The offer is in the stream as seq: until it is taken, or the call is over. */
int tg_nats_await_taking(struct tg_nats_box *box, uint64_t number, uint64_t seq,
                         struct tg_nats_call *call);
/* A receiver takes it. -ENODATA: it was taken back. */
int tg_nats_accept(struct tg_nats_box *box, const struct tg_nats_taken *taken);

#endif
