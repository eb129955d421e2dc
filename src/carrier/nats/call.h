/*
 * Request and reply.
 *
 *   SPACE.d.reply-PROC-N      a mailbox for the replies to calls of a handle; nobody is told of it
 *   SPACE.v.NAME.ID.ask.SEQ   who has the request that is message SEQ, "PROC ACK": from before it is handed out until it
 *                             is answered, finished without a reply, or given back
 *
 * I1  Of several that are handed a request one makes the line, and who finds one there has no right to it: a request
 *     whose holder died is nobody's any more (at most once). Who gives it back deletes the line first.
 * I2  The reply is in its mailbox before the line goes. So where neither the message nor the line is, and no reply, there
 *     will be none. Who waits looks, tick by tick.
 * I3  With max_deliveries a claimed one comes back when its holder died, which its line says ("PROC+ACK"): who gets it then
 *     takes the line over. Handed out too often, which at 1 it is by then, it is over: the line goes with the message, or says
 *     so ("-") while that is set aside.
 */
#ifndef TG_CARRIER_NATS_CALL_H
#define TG_CARRIER_NATS_CALL_H

#include "carrier/nats/box.h"

/* As the functions of carrier.h with these names. */
int tg_nats_reply_open(struct tg_nats_box *box, struct tg_nats_box **ret_reply,
                       char ret_name[TONG_NAME_MAX], uint64_t *ret_number);
int tg_nats_ask(struct tg_nats_box *box, const void *data, size_t len,
                const tong_send_options *with, int64_t timeout_ns, uint64_t ret_where[2]);
ssize_t tg_nats_await(struct tg_nats_box *box, struct tg_nats_box *reply, const uint64_t where[2],
                      uint64_t number, void *buf, size_t size, int64_t timeout_ns,
                      tong_message *ret_info);
int tg_nats_caller_open(struct tg_nats_box *box, const char *name, struct tg_nats_box **ret_caller);
int tg_nats_answered(struct tg_nats_box *box, tong_message *request);

/* open.c: a mailbox for replies, or a handle to send there; it is ended by the interrupts of box. */
int tg_nats_open_reply(struct tg_nats_box *box, const char *name, unsigned flags,
                       struct tg_nats_box **ret_reply);

/* A message is about to be handed out: taken as an offer is, and as a request. tells: as one that can be answered.
 * -ENODATA: it is nobody's any more; -ESTALE: somebody else's. */
int tg_nats_take_over(struct tg_nats_box *box, struct tg_nats_taken *taken, bool tells);
/* A message that is handed out no more, if it is a request: it is gone; or it is set aside. */
int tg_nats_end_request(struct tg_nats_box *box, const struct tg_js *js,
                        const struct tg_nats_taken *taken, bool is_gone);
/* One that was received, not claimed, can be answered from now on. */
void tg_nats_note_request(struct tg_nats_box *box, const struct tg_nats_taken *taken,
                          tong_message *info);
/* The handle is being closed: what it received and has not answered is answered by nobody. */
void tg_nats_forget_requests(struct tg_nats_box *box);
/* The memory alone. */
void tg_nats_free_requests(struct tg_nats_box *box);

#endif
