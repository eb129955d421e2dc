/* Inside the carrier unix: order by priority. See priority.c. */
#ifndef TG_CARRIER_UNIX_PRIORITY_H
#define TG_CARRIER_UNIX_PRIORITY_H

#include "carrier/unix/unix.h"

/* ---- the owner; lock held */

static inline uint32_t tg_unix_priority_of(const struct tg_unix_message *m)
{
    return m->said != NULL ? m->said->attributes.priority : 0;
}
/* Into a list by priority, and out of it: before it is the one that stands before it, NULL none. */
void tg_unix_priority_add(struct tg_unix_list *list, struct tg_unix_message *m);
void tg_unix_priority_remove(struct tg_unix_list *list, const struct tg_unix_message *m,
                             struct tg_unix_message *before);
/* Read what there is; of that for which no memory is left at least one that goes before all that was read. */
void tg_unix_priority_read(struct tg_unix_box *box);
/* At capacity 0: the offers of others, the highest first. Returns the priority of the first of that sender's
 * (NULL: anybody's), -1: there is none. */
int tg_unix_priority_offers(struct tg_unix_box *box, const char *from);

/* ---- lanes of a sender */

/* The handle by which a message is sent that says this: h, where all go by one. */
int tg_unix_lane_get(struct tg_unix_handle *h, const struct tg_said *said,
                     struct tg_unix_handle **ret_lane);
/* Whether the handle, or a lane of its, is a sender already: it is, from now on. */
bool tg_unix_lane_links(struct tg_unix_handle *h);
void tg_unix_lane_links_not(struct tg_unix_handle *h, bool more);
void tg_unix_lanes_stir(struct tg_unix_handle *h);
void tg_unix_lanes_close(struct tg_unix_handle *h);

#endif
