/*
 * Messages that were claimed too often: sent on to the dead-letter mailbox, or set aside.
 *
 * A server counts how often it has handed a message out, also when nobody has claimed it (a connection was lost, a buffer was
 * too short). So where a mailbox limits the claims they are counted in the book:
 *
 *   SPACE.n.NAME.ID.k.SEQ    the message with this number in the stream has been claimed so often; written before the claim
 *                            is handed to its caller, gone when the message is
 *   SPACE.n.NAME.ID.a.SEQ    it is set aside
 *
 * I1  A message is acknowledged when the dead-letter mailbox has stored it, under an id that is its origin: who is killed in
 *     between leaves it to the next one, and for TG_NATS_DUPLICATES_NS it is stored once all the same.
 * I2  A claim is counted under the version of the line that was seen: a message that a server has handed to two receivers
 *     (one was taken for dead) is handed to no more callers than the limit says.
 * I3  One that is set aside stays in the stream. It is given back to the server for TG_NATS_ASIDE_NS: who gets it then
 *     tries again.
 * I4  One that has an origin is set aside, so that a circle of dead-letter mailboxes ends.
 */
#ifndef TG_CARRIER_NATS_DEAD_LETTER_H
#define TG_CARRIER_NATS_DEAD_LETTER_H

#include "carrier/nats/box.h"

#define TG_NATS_NAK_SOON "-NAK {\"delay\":50000000}"
#define TG_NATS_NAK_ASIDE "-NAK {\"delay\":1000000000}"

/* How often a message was claimed before: into taken. */
int tg_nats_look_up_claims(struct tg_nats_box *box, struct tg_nats_taken *taken);
/* It is being claimed. -ESTALE: others have, meanwhile, as often as may be; it goes back. */
int tg_nats_count_claim(struct tg_nats_box *box, struct tg_nats_taken *taken);
bool tg_nats_is_too_often(const struct tg_nats_box *box, const struct tg_nats_taken *taken);
/* Send it on or set it aside: 0, it is not in hand any more; -errno. No request is open. */
int tg_nats_dead_letter(struct tg_nats_box *box, struct tg_nats_taken *taken);
/* Of one that is to be thrown away: 1, or 0: it was set aside, and is again. */
int tg_nats_pass_over(struct tg_nats_box *box, const struct tg_nats_taken *taken);
/* Throw one away that is set aside: its length, -EAGAIN: there is none. */
ssize_t tg_nats_skip_set_aside(struct tg_nats_box *box);
/* Between enter and leave of the server. */
int tg_nats_count_set_aside(struct tg_nats_server *server, const struct tg_js *js,
                            const struct tg_nats_record *record, uint32_t *ret_n);
int tg_nats_origin(struct tg_nats_box *box, const tong_message *message, tong_origin *ret_origin);

#endif
