/*
 * Receivers come, go, and die.
 *
 *   slot       facts                                         left by
 *   free       owner 0; entries may be RETURNED              tg_slot_join
 *   taken      owner alive                                   tg_slot_leave; its death
 *   orphaned   owner dead                                    tg_slot_repair, by any holder
 *
 * I1  Slots are given and freed by the token's holder only, owner last.
 * I2  An orphaned slot is repaired before it is given away: else the dead one's claims would
 *     be the newcomer's for ever. Entries in a free slot belong to the holder.
 * I3  Repair is one store an entry and can be done again: a repairer that dies is repaired in turn.
 * I4  Who joins rings the blocked senders, which then watch its life too, and nudges the first
 *     sleeper, which then watches it too.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/probe.h"
#include "mailbox/select.h"

bool tg_slot_any_dead(struct tg_box *box)
{
    const uint32_t n = tg_n_slots(box->head);
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t owner = tg_load_acquire(&box->slots[i].owner);
        if (owner != 0 && owner != box->me &&
            !tg_life_is_alive_of(box->root, owner, box->dir_uid)) {
            return true;
        }
    }
    return false;
}

/* Whether the same message lies RETURNED or PARKED elsewhere: its new holder died while moving it. */
static bool lies_elsewhere(struct tg_box *box, const struct tg_box_entry *entry)
{
    const uint32_t n = tg_n_slots(box->head);
    for (uint32_t i = 0; i < n; i++) {
        struct tg_box_entry *e = tg_claims_of(box, i);
        const uint32_t used = tg_load_acquire(&box->slots[i].entries);
        for (uint32_t k = 0; k < used && k < TG_CLAIMS_MAX; k++) {
            const uint32_t state = TG_ENTRY_STATE(tg_load_relaxed(&e[k].state));
            if (&e[k] != entry && (state == TG_RETURNED || state == TG_PARKED) &&
                tg_load_relaxed(&e[k].row) == tg_load_relaxed(&entry->row) &&
                tg_load_relaxed(&e[k].sequence) == tg_load_relaxed(&entry->sequence)) {
                return true;
            }
        }
    }
    return false;
}

/* Never handed out: its receiver died between entry and hand-out. */
static bool is_void(const struct tg_box *box, const struct tg_box_entry *entry)
{
    const uint32_t row = tg_load_relaxed(&entry->row);
    if (row >= TG_LINKS_MAX || row >= tg_load_acquire(&box->head->n_rows)) {
        return true;
    }
    const uint32_t sequence = tg_load_relaxed(&entry->sequence);
    if (box->capacity == 0) {
        const uint64_t verdict = tg_load_relaxed(&box->rows[row].verdict);
        const int32_t past = (int32_t)((uint32_t)(verdict >> 32) - sequence);
        return past < 0 || (past == 0 && (uint32_t)verdict != TG_TAKEN);
    }
    const struct tg_box_row *r = &box->rows[row];
    const uint32_t next =
        box->lossy ? tg_overtaken_next(r) : tg_place_sequence(tg_load_relaxed(&r->next));
    return (int32_t)(sequence - next) >= 0;
}

/* Marked: of a request its receiver may have done a part. Counted first: who looks for a request that is
 * moved about meanwhile relies on it (request.c, I4). */
static void give_back(struct tg_box *box, struct tg_box_entry *entry, uint32_t state)
{
    if (is_void(box, entry) || lies_elsewhere(box, entry)) {
        tg_store_release(&entry->state, TG_ENTRY(TG_FREE, 0));
        return;
    }
    const uint32_t deliveries = TG_ENTRY_DELIVERIES(state);
    if (deliveries == 0) {
        /* It was being passed over, and nobody had it. */
        tg_store_release(&entry->state, TG_ENTRY(TG_RETURNED, 0));
        return;
    }
    const uint32_t more = deliveries < UINT16_MAX ? deliveries + 1 : deliveries;
    (void)tg_add(&box->head->redelivered, 1);
    tg_store_release(&entry->state, TG_ENTRY(TG_RETURNED, more) | TG_LEFT);
}

/* What the receiver of a slot held goes to whoever receives next. True: there was something. */
static bool give_all_back(struct tg_box *box, uint32_t slot)
{
    bool any = false;
    struct tg_box_entry *e = tg_claims_of(box, slot);
    const uint32_t used = tg_load_acquire(&box->slots[slot].entries);
    for (uint32_t k = 0; k < used && k < TG_CLAIMS_MAX; k++) {
        const uint32_t state = tg_load_acquire(&e[k].state);
        const bool is_claimed = TG_ENTRY_STATE(state) == TG_CLAIMED;
        any = any || is_claimed || TG_ENTRY_STATE(state) == TG_ANSWERING || (state & TG_ASKED) != 0;
        if (is_claimed) {
            give_back(box, &e[k], state);
        } else if (TG_ENTRY_STATE(state) == TG_RELEASED && (state & TG_ASKED) != 0) {
            /* Nobody is to answer it any more. */
            tg_store_release(&e[k].state, state & ~TG_ASKED);
        } else if (TG_ENTRY_STATE(state) == TG_ANSWERING ||
                   ((TG_ENTRY_STATE(state) == TG_PARKED || TG_ENTRY_STATE(state) == TG_RETURNED) &&
                    lies_elsewhere(box, &e[k]))) {
            tg_store_release(&e[k].state, TG_ENTRY(TG_FREE, 0));
        }
    }
    return any;
}

/* Counted, not added to: who died half way is made good. */
static void count_taken(struct tg_box *box)
{
    uint32_t taken = 0;
    const uint32_t n = tg_n_slots(box->head);
    for (uint32_t i = 0; i < n; i++) {
        taken += tg_load_relaxed(&box->slots[i].owner) != 0;
    }
    tg_store_relaxed(&box->head->n_taken, taken);
}

static void reap(struct tg_box *box, uint32_t slot, uint64_t owner)
{
    TG_PROBE(recover, box->name, TG_RECOVERED_RECEIVER);
    (void)give_all_back(box, slot);
    tg_keys_give_up(box, slot);
    /* Whatever it was doing with the queue when it died. */
    tg_queue_leave(box, slot);
    tg_poll_clear_slot(box, slot);
    tg_store_relaxed(&box->head->deaths, tg_load_relaxed(&box->head->deaths) + 1);
    tg_store_release(&box->slots[slot].owner, UINT64_C(0));
    count_taken(box);
    /* The kernel woke one of those who watched; that one may be dead, too. */
    tg_life_wake_watchers(box->root, owner);
}

bool tg_slot_repair(struct tg_box *box)
{
    bool any = false;
    const uint32_t n = tg_n_slots(box->head);
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t owner = tg_load_relaxed(&box->slots[i].owner);
        if (owner != 0 && owner != box->me &&
            !tg_life_is_alive_of(box->root, owner, box->dir_uid)) {
            reap(box, i, owner);
            any = true;
        }
    }
    if (any) {
        tg_claims_collect(box, true);
        box->rx.ring_due = true;
        box->rx.ring_always = true;
        tg_queue_nudge_first(box);
    }
    return any;
}

/* ---- joining */

static int reserve_slot_memory(struct tg_box *box, uint32_t slot)
{
    const uint64_t off = TG_BOX_SLOTS_OFF + (uint64_t)slot * sizeof(struct tg_box_slot);
    if (off % TG_PAGE != 0 || slot == 0) {
        return 0;
    }
    tg_fd fd = tg_sys_open(box->dir, "box", O_RDWR, 0);
    return fd < 0 ? fd : tg_sys_allocate(fd, off, TG_PAGE);
}

int tg_slot_add(struct tg_box *box, uint32_t *ret_slot)
{
    const uint32_t n = tg_n_slots(box->head);
    int r = n == TG_SLOTS_MAX ? -EUSERS : reserve_slot_memory(box, n);
    if (r == 0) {
        tg_store_release(&box->head->n_slots, n + 1);
        *ret_slot = n;
    }
    return r;
}

static int find_free_slot(struct tg_box *box, uint32_t *ret_slot)
{
    const uint32_t n = tg_n_slots(box->head);
    uint32_t taken = 0;
    uint32_t free_ = n;
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t owner = tg_load_relaxed(&box->slots[i].owner);
        const uint64_t only = tg_load_relaxed(&box->owner);
        if (owner != 0) {
            /* One that had to give the mailbox away does not receive any more. */
            taken += only == 0 || owner == only;
        } else if (free_ == n) {
            free_ = i;
        }
    }
    if (taken >= box->policy->max_receivers) {
        return -EBUSY;
    }
    if (free_ == n) {
        return tg_slot_add(box, ret_slot);
    }
    *ret_slot = free_;
    return 0;
}

/* Who had to give the mailbox away waits no more, even if it is stopped and cannot say so. */
static void forget_tickets(struct tg_box *box)
{
    const uint32_t n = tg_n_slots(box->head);
    for (uint32_t i = 0; i < n; i++) {
        if (tg_load_relaxed(&box->slots[i].ticket) != 0 &&
            tg_load_relaxed(&box->slots[i].owner) != box->me) {
            tg_queue_leave(box, i);
        }
    }
}

static void take_slot(struct tg_box *box, uint32_t slot)
{
    struct tg_box_slot *s = &box->slots[slot];
    tg_store_relaxed(&s->gen, tg_load_relaxed(&s->gen) + 1);
    tg_store_relaxed(&s->ticket, UINT64_C(0));
    tg_store_relaxed(&s->pid, (uint32_t)getpid());
    tg_store_relaxed(&s->cpu, UINT32_MAX);
    tg_store_relaxed(&s->waiting, UINT32_C(0));
    tg_store_relaxed(&s->crowded, UINT32_C(0));
    const uint32_t joins = tg_load_relaxed(&box->head->joins) + 1;
    tg_store_relaxed(&s->came, joins);
    tg_store_relaxed(&box->head->joins, joins);
    /* release: pairs with the acquire of senders that make a list of receivers to watch. */
    tg_store_release(&s->owner, box->me);
    (void)tg_add(&box->head->arrivals, 1);
    if (!box->has_no_name) {
        tg_sys_futex_wake(&box->head->arrivals, INT_MAX);
    }
    count_taken(box);
    box->rx.slot = slot;
    box->rx.has_slot = true;
}

int tg_slot_join(struct tg_box *box)
{
    int r = tg_sys_random(&box->rx.random, sizeof box->rx.random);
    if (r < 0 || box->everyone) {
        return r < 0 ? r : tg_everyone_join(box);
    }
    do {
        r = tg_box_lock(box, TG_NEVER);
    } while (r == -EINTR);
    if (r < 0) {
        return r;
    }
    if (tg_slot_any_dead(box)) {
        (void)tg_links_refresh(box);
        tg_box_announce(box);
        (void)tg_slot_repair(box);
    }
    if (tg_load_relaxed(&box->owner) == box->me) {
        forget_tickets(box);
    }
    uint32_t slot = 0;
    r = find_free_slot(box, &slot);
    if (r == 0) {
        take_slot(box, slot);
        tg_box_fresh_users(box);
        r = tg_links_stale(box) ? tg_links_refresh(box) : 0;
        box->rx.ring_due = !box->has_no_name;
        box->rx.ring_always = !box->has_no_name;
        tg_queue_nudge_first(box);
    }
    tg_box_unlock(box);
    return r;
}

void tg_slot_leave(struct tg_box *box)
{
    if (box->everyone) {
        tg_everyone_leave(box);
        return;
    }
    int r;
    do {
        r = tg_box_lock(box, TG_NEVER);
    } while (r == -EINTR);
    if (r < 0) {
        return;
    }
    if (give_all_back(box, box->rx.slot)) {
        tg_request_tell(box);
    }
    tg_keys_give_up(box, box->rx.slot);
    if (tg_load_relaxed(&box->slots[box->rx.slot].ticket) != 0) {
        tg_queue_leave(box, box->rx.slot);
    }
    tg_poll_clear_slot(box, box->rx.slot);
    tg_claims_collect(box, true);
    tg_store_release(&box->slots[box->rx.slot].owner, UINT64_C(0));
    count_taken(box);
    box->rx.has_slot = false;
    box->rx.ring_due = true;
    tg_queue_nudge_first(box);
    tg_box_unlock(box);
}
