/*
 * TONG_DROP_OLDEST: a sender without room gives up the oldest of its own messages.
 *
 * It raises `oldest` in its link past the victim (link/oldest.c) and takes the room. A receiver that
 * is copying the victim at that moment either sees that and throws its copy away, or has looked before
 * and delivers it: so only the receiver knows which were dropped, and counts them (overtaken.c). The
 * sender is told of every victim.
 *
 * I1  What is kept of a link is sent - max(next, oldest), at most link_capacity. A claimed message
 *     holds no room: its receiver has a copy.
 * I2  Where the whole mailbox is bounded, the rooms of what was given up and not passed by a receiver
 *     yet are free (given_up_rooms). oldest is stored in the room file behind the link's own, so a
 *     sender killed between leaves a room too few, which its successor makes good.
 * I3  Who made room in the bounded mailbox may find it taken by another sender: then it gives up one
 *     more; with none left its send is refused (-EAGAIN), for the others' messages are theirs.
 * I4  No memory is given back while receivers may read it (no one-shot segments): a load from a hole may
 *     be a signal.
 */
#include <errno.h>

#include "mailbox/box.h"

/* Numbers are compared by their difference: so many may be dropped without a receiver that comes by. */
#define UNSEEN_MOST (UINT32_C(1) << 30)

/* What receivers have passed, as the box has it: numbers below need no room. A lie is none. */
static void refresh(struct tg_box *box)
{
    struct tg_sender *tx = &box->tx;
    const struct tg_link_place place = tg_sender_place(box);
    const uint32_t next = tg_place_sequence(place.next);
    if (place.known && (int32_t)(next - tx->done_seen) > 0 &&
        (int32_t)(tx->writer.sequence - next) >= 0) {
        tx->done_seen = next;
    }
}

static bool link_has_room(const struct tg_box *box)
{
    const struct tg_sender *tx = &box->tx;
    return box->link_capacity == TONG_UNBOUNDED ||
           tx->writer.sequence - tx->done_seen < box->link_capacity;
}

static bool has_room(struct tg_box *box)
{
    struct tg_sender *tx = &box->tx;
    if (!link_has_room(box)) {
        refresh(box);
    }
    if (!link_has_room(box)) {
        return false;
    }
    if (box->capacity != TONG_UNBOUNDED && !tx->holds_room) {
        tx->holds_room = tg_room_take(box, NULL) == 0;
        return tx->holds_room;
    }
    return true;
}

/* 1: one less; 0: there is none; -errno. */
static int give_up_one(struct tg_box *box)
{
    struct tg_sender *tx = &box->tx;
    const uint32_t seen = tx->done_seen;
    refresh(box);
    if (tx->done_seen != seen) {
        return 1; /* a receiver took it */
    }
    const struct tg_link_place place = tg_sender_place(box);
    const uint32_t passed = place.known
                                ? tg_place_sequence(place.next)
                                : tg_place_sequence(tg_load_relaxed(&tx->writer.head->first));
    if (seen == tx->writer.sequence || seen - passed >= UNSEEN_MOST) {
        return 0;
    }
    const int r = tg_writer_raise_oldest(&tx->writer, seen + 1);
    if (r < 0) {
        return r;
    }
    tx->done_seen = seen + 1;
    tx->given_up++;
    if (box->capacity != TONG_UNBOUNDED) {
        tg_store_release(&box->room_rows[tx->writer.row].oldest, seen + 1); /* I2 */
    }
    return 1;
}

int tg_give_up_for_room(struct tg_box *box)
{
    while (!has_room(box)) {
        const int r = give_up_one(box);
        if (r <= 0) {
            return r < 0 ? r : -EAGAIN;
        }
    }
    return 0;
}

struct tg_link_place tg_give_up_place(struct tg_box *box)
{
    struct tg_sender *tx = &box->tx;
    refresh(box);
    const int r = tg_writer_raise_oldest(&tx->writer, tx->done_seen);
    return (struct tg_link_place){ .known = r == 0,
                                   .head = tx->writer.oldest,
                                   .next = tx->writer.oldest };
}

int tg_give_up_for_memory(struct tg_box *box, uint64_t len, uint8_t **ret_data)
{
    struct tg_writer *w = &box->tx.writer;
    int r = -ENOSPC;
    while (r == -ENOSPC && tg_writer_can_give_up(w, len)) {
        const uint32_t segment = w->oldest_segment;
        int left = 1;
        while (left == 1 && w->oldest_segment == segment) {
            left = give_up_one(box);
            if (left == 1) {
                (void)tg_give_up_place(box);
            }
        }
        if (left <= 0) {
            return left < 0 ? left : r;
        }
        const struct tg_link_place place = tg_give_up_place(box);
        r = tg_writer_reserve(w, len, &place, ret_data);
    }
    return r;
}
