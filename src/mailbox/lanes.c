/*
 * Order by priority: a link for each priority that a sender uses.
 *
 * A link gives its messages in the order in which they were sent. So where a mailbox is ordered by
 * priority, a handle sends what has another priority than 0 on a link of its own for that, a lane, whose
 * head says which. The lane is a handle inside the handle, opened at the first message of that priority:
 * with its own room, its own place among those that are blocked. Receivers keep the links they know in
 * the order of their lanes, the highest first, and take from the first that has something.
 *
 *   priority    31 ... 9   link.7    of sender A
 *                      9   link.4    of sender B        looked at in this order;
 *                      0   link.0    of sender A        within a lane in turn, as elsewhere
 *                      0   link.2    of sender B
 *
 * I1  Messages of one sender and one priority keep their order: they are of one link.
 * I2  The lane of a link is written at its birth, and a link that was left is taken over by a sender of the
 *     same lane alone.
 * I3  What came back is of the lane of its link, and stands before what is new of that lane.
 * I4  A lane is opened once, by the thread that needs it first, and closed with the handle, before it.
 * I5  The short way is none while a higher lane may have something.
 */
#include "mailbox/lanes.h"

#include <errno.h>
#include <string.h>

#include "mailbox/box.h"

/* ---- sending */

static int open_lane(struct tg_box *box, uint32_t priority, struct tg_box **ret_lane)
{
    char name[TONG_NAME_MAX];
    tg_process_name(box, name);
    const struct tg_opening how = { .interrupted_with = box,
                                    .lane = priority,
                                    .handle = box->handle };
    int r = tg_box_open_with(name, TONG_SEND, NULL, &how, ret_lane);
    if (r == 0 && memcmp((*ret_lane)->id, box->id, sizeof box->id) != 0) {
        (void)tg_box_close(*ret_lane); /* another mailbox has the name by now */
        *ret_lane = NULL;
        r = -EIDRM;
    }
    return r == 0 ? 0 : tg_box_gone(box, r);
}

int tg_lane_get(struct tg_box *box, uint32_t priority, struct tg_box **ret_lane)
{
    if (!box->by_priority || box->way != NULL || priority == 0) {
        *ret_lane = box;
        return 0;
    }
    int r = tg_box_begin(box);
    if (r < 0 || (box->flags & TONG_SEND) == 0) {
        return r < 0 ? r : -EBADF;
    }
    struct tg_box *_Atomic *place = &box->lanes[priority];
    struct tg_box *lane = atomic_load_explicit(place, memory_order_acquire);
    if (lane == NULL) {
        (void)tg_gate_enter(&box->lanes_gate, TG_NEVER, NULL, 0);
        lane = atomic_load_explicit(place, memory_order_acquire);
        if (lane == NULL) {
            r = open_lane(box, priority, &lane);
            /* release: the handle is whole first. */
            atomic_store_explicit(place, lane, memory_order_release);
        }
        tg_gate_leave(&box->lanes_gate);
    }
    *ret_lane = lane;
    return r;
}

struct tg_box *tg_lane_with(struct tg_box *box, uint64_t link_id)
{
    for (uint32_t i = 0; i < TG_PRIORITIES && box->by_priority; i++) {
        struct tg_box *lane = atomic_load_explicit(&box->lanes[i], memory_order_acquire);
        if (lane != NULL && lane->tx.has_link && lane->tx.writer.link_id == link_id) {
            return lane;
        }
    }
    return box;
}

void tg_lanes_stir(struct tg_box *box)
{
    for (uint32_t i = 0; i < TG_PRIORITIES && box->by_priority; i++) {
        struct tg_box *lane = atomic_load_explicit(&box->lanes[i], memory_order_acquire);
        if (lane != NULL) {
            tg_gate_stir(&lane->tx.gate);
        }
    }
}

void tg_lanes_close(struct tg_box *box)
{
    for (uint32_t i = 0; i < TG_PRIORITIES; i++) {
        (void)tg_box_close(atomic_load_explicit(&box->lanes[i], memory_order_relaxed));
    }
}

/* ---- receiving */

void tg_lane_attach(struct tg_box *box, struct tg_attached *at)
{
    struct tg_receiver *rx = &box->rx;
    const uint32_t lane = box->by_priority ? tg_load_relaxed(&at->reader.head->lane) : 0;
    at->lane = lane < TG_PRIORITIES ? lane : 0;
    uint32_t i = rx->n_attached++;
    for (; i > 0 && rx->attached[i - 1]->lane < at->lane; i--) {
        rx->attached[i] = rx->attached[i - 1];
    }
    rx->attached[i] = at;
}

uint32_t tg_lane_end(const struct tg_box *box, uint32_t begin)
{
    const struct tg_receiver *rx = &box->rx;
    uint32_t end = begin + 1;
    while (end < rx->n_attached && rx->attached[end]->lane == rx->attached[begin]->lane) {
        end++;
    }
    return end;
}
