/* Inside layer 3: who has a request, and who waits for its reply. See request.c. */
#ifndef TG_MAILBOX_REQUEST_H
#define TG_MAILBOX_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

struct tg_box;
struct tg_said;
struct tg_take;
struct tg_waitset;

/* Token held, unless said. */

/* Whether a message is a request. */
bool tg_request_is(const struct tg_said *said);
/* Whether it is a message the present call wants: one of another call's replies is none. */
bool tg_request_is_reply(const struct tg_take *take, const struct tg_said *said);
/* A request that came back and is not to be handed out again. state: of its entry. */
bool tg_request_is_over(const struct tg_box *box, const struct tg_said *said, uint32_t state);
/* Before a message that was copied out or is thrown away leaves the mailbox: if it is a request, note who
 * answers it, or that nobody does. */
void tg_request_keep(struct tg_box *box, struct tg_take *take, bool thrown_away);
/* The same of one whose entry it has, CLAIMED by this receiver. */
void tg_request_leave(struct tg_box *box, struct tg_take *take, bool thrown_away);
/* Who waits for a reply looks again, when the token is given back. */
void tg_request_tell(struct tg_box *box);
/* The same at once; no token held. */
void tg_request_tell_now(struct tg_box *box);
/* 0 while somebody may answer; -EOWNERDEAD, -EIDRM, ... No token, any thread. */
int tg_request_check(struct tg_box *box, const uint64_t where[2]);
/* The set has the own bells: add what ends the wait for the reply. False: look again. */
bool tg_request_may_sleep(struct tg_box *box, const uint64_t where[2], struct tg_waitset *set);

#endif
