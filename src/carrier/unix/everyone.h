/* Inside the carrier unix: delivery to everyone. See everyone.c. Lock held. */
#ifndef TG_CARRIER_UNIX_EVERYONE_H
#define TG_CARRIER_UNIX_EVERYONE_H

#include "carrier/unix/unix.h"

/* A receiver comes: its slot is its; it begins with what is sent from now on, or with the oldest kept. */
void tg_unix_everyone_join(struct tg_unix_handle *h, bool from_oldest);
/* It goes; what it had claimed is not in its claims any more. */
void tg_unix_everyone_leave(struct tg_unix_handle *h);
/* What a forked child has of its parent's: memory. */
void tg_unix_everyone_free(struct tg_unix_handle *h);

/* A message is in the list. */
void tg_unix_everyone_arrive(struct tg_unix_box *box, struct tg_unix_message *m);
/* Something is there for it. */
bool tg_unix_everyone_has(const struct tg_unix_handle *h);
/* Calls of those for whom something is there, but that one, NULL: of all of them. */
void tg_unix_everyone_wake(struct tg_unix_box *box, const struct tg_unix_waiter *but);
/* The next one for this receiver; its deliveries are those to it. */
struct tg_unix_found tg_unix_everyone_turn(struct tg_unix_handle *h,
                                           const struct tg_unix_want *want, bool may_ask);
/* That one is handed out. 0, -ENOMEM; -EMFILE: there is none left for its descriptor. */
int tg_unix_everyone_take(struct tg_unix_handle *h, struct tg_unix_message *m,
                          const struct tg_unix_want *want);
/* Its descriptor, for this receiver; -1: it has none. */
int tg_unix_everyone_fd(struct tg_unix_handle *h, struct tg_unix_message *m);
/* What was handed out goes into the claims; out of them, before one of the next three. */
void tg_unix_everyone_keep(struct tg_unix_handle *h, uint32_t claim);
void tg_unix_everyone_unkeep(struct tg_unix_handle *h, uint32_t claim);
void tg_unix_everyone_finish(struct tg_unix_handle *h, struct tg_unix_message *m);
void tg_unix_everyone_back(struct tg_unix_handle *h, struct tg_unix_message *m, bool counts);
/* The receiver goes: nobody's, unless it is the last. */
void tg_unix_everyone_let_go(struct tg_unix_handle *h, struct tg_unix_message *m);
bool tg_unix_everyone_drop_oldest(struct tg_unix_box *box, const struct tg_unix_link *link);

#endif
