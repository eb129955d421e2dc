/* Deaths of those who use a mailbox, noted in the book and told to who watches. */
#ifndef TG_CARRIER_NATS_WATCH_H
#define TG_CARRIER_NATS_WATCH_H

#include "carrier/nats/box.h"

/* As tong_watch(). */
int tg_nats_watch(struct tg_nats_box *box, int64_t timeout_ns, tong_death *ret_death);
/* Between enter and leave, before the lines of the dead one go. */
int tg_nats_note_death(struct tg_nats_box *box, const struct tg_js *js, const char *proc,
                       const tong_death *death);

#endif
