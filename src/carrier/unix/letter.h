/* Inside the carrier unix: messages that were handed out too often. See letter.c. Lock held, given back in
 * between. */
#ifndef TG_CARRIER_UNIX_LETTER_H
#define TG_CARRIER_UNIX_LETTER_H

#include "carrier/unix/unix.h"

/* Whether it was handed out too often to be handed out again. */
bool tg_unix_is_spent(const struct tg_unix_box *box, const struct tg_unix_message *m);
/* Such a one, in no list: sent on, or set aside. */
void tg_unix_letter(struct tg_unix_box *box, struct tg_unix_message *m);
/* Now and then those set aside are tried again; the first of them is thrown away: its length, -EAGAIN. */
void tg_unix_letter_again(struct tg_unix_box *box);
ssize_t tg_unix_letter_skip(struct tg_unix_box *box);

#endif
