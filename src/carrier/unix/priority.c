/*
 * Order by priority: what has a higher one is received first.
 *
 *   side        what is done
 *   a sender    sends what has another priority than 0 by a lane, a handle inside the handle, with a connection, a row
 *               and room of its own: opened at the first message of that priority, closed with the handle
 *   the owner   reads all that is in the sockets before a call takes something, and keeps its lists in this order
 *
 *   list     31 31 | 9 9 9 | 0 0 0      last[31], last[9] and last[0] are where the next of each goes behind
 *
 * I1  last[p] is the last message of that priority in the list, NULL: there is none.
 * I2  What came back stands before what is new of its priority alone (deliver.c, match.c).
 * I3  While the memory for messages is taken they stay in the sockets, but for one that goes before all that was
 *     read: the call that reads it takes it. So at most one of each priority is beyond that memory.
 * I4  A client without lanes sends all by one connection: there what is behind others waits for them where
 *     the memory is taken, or the mailbox has no room at all.
 * I5  A lane is opened once, and belongs to its handle until that is closed. Of a handle one row is counted as the
 *     sender, that of the first that linked.
 */
#include "carrier/unix/priority.h"

#include "base/clock.h"

#define READS 16u /* for one that goes before all */

/* ---- the lists */

void tg_unix_priority_add(struct tg_unix_list *list, struct tg_unix_message *m)
{
    const uint32_t own = tg_unix_priority_of(m);
    struct tg_unix_message *before = NULL;
    for (uint32_t p = own; p < TG_PRIORITIES && before == NULL; p++) {
        before = list->last[p];
    }
    struct tg_unix_message **at = before != NULL ? &before->next : &list->first;
    m->next = *at;
    *at = m;
    if (m->next == NULL) {
        list->end = &m->next;
    }
    list->last[own] = m; /* I1 */
    list->n++;
}

void tg_unix_priority_remove(struct tg_unix_list *list, const struct tg_unix_message *m,
                             struct tg_unix_message *before)
{
    const uint32_t own = tg_unix_priority_of(m);
    if (list->last[own] == m) {
        list->last[own] = before != NULL && tg_unix_priority_of(before) == own ? before : NULL;
    }
}

/* ---- the sockets */

/* Of the next message there; what is none has none. */
static uint32_t priority_at(const struct tg_unix_channel *channel)
{
    struct tg_said said;
    struct tg_unix_packet packet;
    return tg_unix_packet_look(channel, &packet, &said) < 0 ? 0 : said.attributes.priority;
}

/* The highest of the lists, -1: they are empty. */
static int64_t highest(const struct tg_unix_box *box)
{
    const struct tg_unix_message *const first[] = { box->returned.first, box->waiting.first };
    int64_t top = -1;
    for (size_t i = 0; i < 2; i++) {
        const int64_t p = first[i] != NULL ? (int64_t)tg_unix_priority_of(first[i]) : -1;
        top = p > top ? p : top;
    }
    return top;
}

/* One that may have something before all that was read; or who is new, and says first who it is. */
static struct tg_unix_channel *find_urgent(const struct tg_unix_box *box)
{
    struct tg_unix_channel *urgent = NULL;
    int64_t top = highest(box);
    for (struct tg_unix_channel *c = box->ready; c != NULL; c = c->next) {
        if (!c->link->greeted) {
            return c;
        }
        const int64_t p = priority_at(c);
        if (p > top) {
            top = p;
            urgent = c;
        }
    }
    return urgent;
}

void tg_unix_priority_read(struct tg_unix_box *box)
{
    struct tg_unix_channel *urgent = NULL;
    tg_unix_drive_all(box);
    if (box->ended != 0 || !tg_unix_is_full(box)) {
        return;
    }
    tg_unix_drive_ask(box); /* I3 */
    for (uint32_t i = 0; i < READS && (urgent = find_urgent(box)) != NULL; i++) {
        if (tg_unix_drive_read(box, urgent) > 0) {
            return;
        }
    }
}

/* ---- offers, at capacity 0 */

static void sort_offers(struct tg_unix_box *box)
{
    struct tg_unix_channel *first[TG_PRIORITIES] = { NULL };
    struct tg_unix_channel **end[TG_PRIORITIES];
    struct tg_unix_channel *next;
    for (uint32_t p = 0; p < TG_PRIORITIES; p++) {
        end[p] = &first[p];
    }
    for (struct tg_unix_channel *c = box->offers; c != NULL; c = next) {
        const uint32_t p = priority_at(c);
        next = c->next;
        c->next = NULL;
        *end[p] = c;
        end[p] = &c->next;
    }
    box->offers = NULL;
    box->offers_end = &box->offers;
    for (uint32_t p = TG_PRIORITIES; p-- > 0;) {
        if (first[p] != NULL) {
            *box->offers_end = first[p];
            box->offers_end = end[p];
        }
    }
}

int tg_unix_priority_offers(struct tg_unix_box *box, const char *from)
{
    sort_offers(box);
    const struct tg_unix_channel *c = tg_unix_drive_next_offer(box, from);
    return c != NULL ? (int)priority_at(c) : -1;
}

/* ---- lanes of a sender */

static bool is_by_priority(const struct tg_unix_handle *h)
{
    return h->sender != NULL ? tg_unix_sender_place(h->sender)->head.by_priority != 0
                             : h->box->by_priority;
}

int tg_unix_lane_get(struct tg_unix_handle *h, const struct tg_said *said,
                     struct tg_unix_handle **ret_lane)
{
    const uint32_t priority = said != NULL ? said->attributes.priority : 0;
    /* What a call cannot do on the handle it is told by that. */
    if (priority == 0 || tg_unix_check_fast(h) < 0 || (h->flags & TONG_SEND) == 0 ||
        !is_by_priority(h)) {
        *ret_lane = h;
        return 0;
    }
    struct tg_unix_handle *_Atomic *place = &h->lanes[priority];
    struct tg_unix_handle *lane = atomic_load_explicit(place, memory_order_acquire);
    int r = 0;
    if (lane == NULL) {
        (void)tg_gate_enter(&h->lanes_gate, TG_NEVER, NULL, 0);
        lane = atomic_load_explicit(place, memory_order_relaxed);
        r = lane != NULL ? 0 : tg_unix_open_lane(h, priority, &lane);
        if (r == 0) {
            /* release: pairs with the acquire above and in stir; the lane is whole first. */
            atomic_store_explicit(place, lane, memory_order_release);
        }
        tg_gate_leave(&h->lanes_gate);
    }
    if (r == 0) {
        *ret_lane = lane;
    }
    return r;
}

bool tg_unix_lane_links(struct tg_unix_handle *h)
{
    struct tg_unix_handle *main = h->main != NULL ? h->main : h;
    return tg_exchange(&main->linked, 1u) != 0;
}

void tg_unix_lane_links_not(struct tg_unix_handle *h, bool more)
{
    struct tg_unix_handle *main = h->main != NULL ? h->main : h;
    if (!more) {
        tg_store_relaxed(&main->linked, 0u);
    }
}

void tg_unix_lanes_stir(struct tg_unix_handle *h)
{
    for (uint32_t i = 0; i < TG_PRIORITIES; i++) {
        struct tg_unix_handle *lane = atomic_load_explicit(&h->lanes[i], memory_order_acquire);
        if (lane != NULL) {
            tg_gate_stir(&lane->gate);
        }
    }
}

void tg_unix_lanes_close(struct tg_unix_handle *h)
{
    for (uint32_t i = 0; i < TG_PRIORITIES; i++) {
        struct tg_unix_handle *lane = atomic_load_explicit(&h->lanes[i], memory_order_relaxed);
        if (lane != NULL) {
            (void)tg_unix_close(lane);
        }
    }
}
