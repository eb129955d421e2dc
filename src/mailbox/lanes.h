/* Inside layer 3: order by priority. See lanes.c. */
#ifndef TG_MAILBOX_LANES_H
#define TG_MAILBOX_LANES_H

#include <stdint.h>

struct tg_attached;
struct tg_box;

/* The handle that sends messages of a priority; box itself for 0, and where they are not ordered. */
int tg_lane_get(struct tg_box *box, uint32_t priority, struct tg_box **ret_lane);
/* Of those, and box, the one that sends on that link; box: none does. */
struct tg_box *tg_lane_with(struct tg_box *box, uint64_t link_id);
/* Those who wait for their turn on one of them look again. Async-signal-safe. */
void tg_lanes_stir(struct tg_box *box);
void tg_lanes_close(struct tg_box *box);
/* Token held: a link has just been attached; put it in its place. */
void tg_lane_attach(struct tg_box *box, struct tg_attached *at);
/* The end of the lane that begins with that link: the links of a lane stand together. */
uint32_t tg_lane_end(const struct tg_box *box, uint32_t begin);

#endif
