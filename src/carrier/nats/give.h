/* A mailbox is given on. */
#ifndef TG_CARRIER_NATS_GIVE_H
#define TG_CARRIER_NATS_GIVE_H

#include "carrier/nats/box.h"

/* As tong_give(). */
int tg_nats_give(struct tg_nats_box *box, const char *process);
/* Between enter and leave: a handle that is opened to receive, where the mailbox was given to this process. */
int tg_nats_be_given(struct tg_nats_box *box, const struct tg_js *js);

/* What the book says of its owner now. */
void tg_nats_adopt(struct tg_nats_box *box, const struct tg_nats_record *now);
/* The same as this handle knows it. */
void tg_nats_owner_of(struct tg_nats_box *box, struct tg_nats_record *ret_record);
bool tg_nats_may_receive(struct tg_nats_box *box);
/* tg_nats_look(), and -EPERM: it is another process's. */
int tg_nats_look_as_receiver(struct tg_nats_box *box);

#endif
