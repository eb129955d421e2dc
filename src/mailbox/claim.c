/*
 * Claims: messages handed out and not finished.
 *
 *   entry      facts                                              left by
 *   FREE       its fields mean nothing                            take: fields, then CLAIMED
 *   CLAIMED    its receiver works on it; void while its message   done, return: one store by its
 *              is not past `next`                                 receiver; repair after its death
 *   RELEASED   finished, still counted                            collect
 *   RETURNED   to be served before new messages                   take, by any receiver
 *   PARKED     handed out too often, not served, still counted    collect: RETURNED, to try the
 *                                                                 dead-letter mailbox again; skip
 *   ANSWERING  no message any more: its receiver has a copy and   reply, by its receiver; repair;
 *              is to answer it (request.c)                        take, for want of a free one
 *
 * I1  Fields are written while FREE, the state last; then `next` moves: the hand-out.
 * I2  While CLAIMED or ANSWERING only its receiver writes the state, in every other state only the
 *     holder.
 * I3  head and done are recomputed from the entries and never added to, so a collect that died is
 *     made good by the next.
 * I4  Who finishes a claim stores the state, then finds the token free and collects, or leaves
 *     PENDING in it, past which its holder cannot unlock.
 * I5  Memory is given back before head says so (tg_reader_leave).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>

#include "base/probe.h"
#include "mailbox/box.h"

struct tg_box_entry *tg_claims_of(struct tg_box *box, uint32_t slot)
{
    return &box->entries[(size_t)slot * TG_CLAIMS_MAX];
}

/* ---- room */

void tg_claims_note_done(struct tg_box *box, uint32_t n)
{
    tg_store_release(&box->head->done_total, tg_load_relaxed(&box->head->done_total) + n);
}

void tg_claims_free_room(struct tg_box *box, struct tg_attached *at, uint64_t head, uint32_t done)
{
    struct tg_box_row *row = at->row;
    const uint64_t old_head = tg_load_relaxed(&row->head);
    const uint32_t old_done = tg_load_relaxed(&row->done);
    if (head == old_head && done == old_done) {
        return;
    }
    if (box->capacity != 0 && !box->lossy && !box->everyone && box->way == NULL) {
        tg_reader_leave(&at->reader, old_head, head);
    }
    /* release: what was read there is read; pairs with the sender's acquire before it overwrites. */
    tg_store_release(&row->head, head);
    tg_store_release(&row->done, done);
    if (box->capacity != 0) {
        tg_claims_note_done(box, done - old_done);
    }
    if (!at->ring_due) {
        at->ring_due = true;
        box->rx.ring_one = box->rx.ring_due ? NULL : at;
        box->rx.ring_due = true;
    }
}

static __attribute__((noinline)) void ring_link_slow(struct tg_box *box, struct tg_attached *at,
                                                     bool always)
{
    const struct tg_link_head *head = at->reader.head;
    if (tg_reader_refresh(&at->reader) < 0) {
        return;
    }
    /* acquire: `want` was stored before it; an older one would skip a ring for good. */
    const uint32_t waits = tg_load_acquire(&head->waits);
    if (waits == at->waits_note) {
        return;
    }
    /* A sender that fills what it gets faster than it is freed wants more at a time. */
    const uint32_t tail = tg_place_sequence(tg_load_relaxed(&head->tail));
    const uint32_t used = tail - tg_load_relaxed(&at->row->done);
    const uint32_t wanted = tg_load_relaxed(&head->want);
    if (always || box->link_capacity == TONG_UNBOUNDED || used > box->link_capacity ||
        box->link_capacity - used >= wanted) {
        TG_PROBE(wake, box->name, TONG_SEND);
        (void)tg_add(&at->row->bell, 1);
        tg_sys_futex_wake(&at->row->bell, INT_MAX);
        if (tg_poll_ring_sender(box, at, always)) {
            at->waits_note = waits;
        }
    }
}

static inline void ring_link(struct tg_box *box, struct tg_attached *at, bool always)
{
    at->ring_due = false;
    if (at->reader.foreign != NULL || tg_load_acquire(&at->reader.head->waits) != at->waits_note) {
        ring_link_slow(box, at, always);
    }
}

void tg_claims_ring(struct tg_box *box)
{
    struct tg_receiver *rx = &box->rx;
    /* Partner: a sender counts its sleep (waits, want), fence, looks for room again. One of the two
     * sees the other; else it would sleep beside free room. */
    tg_fence();
    if (rx->ring_one != NULL) {
        ring_link(box, rx->ring_one, rx->ring_always);
    } else {
        for (uint32_t i = 0; i < rx->n_attached; i++) {
            if (rx->attached[i]->ring_due || rx->ring_always) {
                ring_link(box, rx->attached[i], rx->ring_always);
            }
        }
    }
    /* acquire: `wish` was stored before it. */
    const uint32_t want = tg_load_acquire(&box->room->want);
    if (rx->ring_always || (want != rx->want_note && tg_room_is_enough(box))) {
        rx->want_note = want;
        TG_PROBE(wake, box->name, TONG_SEND);
        (void)tg_add(&box->main.head->room, 1);
        tg_sys_futex_wake(&box->main.head->room, INT_MAX);
    }
    /* acquire: what they armed was stored before it. */
    const uint32_t arms = tg_load_acquire(&box->room->arms);
    if (arms != rx->arms_note && tg_poll_ring_senders(box)) {
        rx->arms_note = arms;
    }
    rx->ring_one = NULL;
    rx->ring_due = false;
    rx->ring_always = false;
}

/* What is before head is finished, whatever done says: who died between the two stores left it behind, and
 * the link may be gone by now, drained. */
static void settle_done(struct tg_box *box, struct tg_box_row *row)
{
    const uint32_t freed = tg_place_sequence(tg_load_relaxed(&row->head));
    if (box->capacity != 0 && (int32_t)(freed - tg_load_relaxed(&row->done)) > 0) {
        tg_store_release(&row->done, freed);
    }
}

void tg_claims_sum(struct tg_box *box)
{
    uint32_t sum = 0;
    const uint32_t n = tg_load_relaxed(&box->head->n_rows);
    for (uint32_t i = 0; i < n && i < TG_LINKS_MAX; i++) {
        settle_done(box, &box->rows[i]);
        sum += tg_load_relaxed(&box->rows[i].done);
    }
    if (box->capacity != 0) {
        /* What a dead one had not added yet; never less. */
        const int32_t missing = (int32_t)(sum - (uint32_t)tg_load_relaxed(&box->head->done_total));
        if (missing > 0) {
            tg_claims_note_done(box, (uint32_t)missing);
        }
    }
}

/* ---- collect */

struct tg_attached *tg_claims_link_of(const struct tg_box *box, const struct tg_box_entry *entry)
{
    const uint32_t row = tg_load_relaxed(&entry->row);
    return row < TG_LINKS_MAX && box->rx.by_row != NULL ? box->rx.by_row[row] : NULL;
}

/* Calls each for all entries ever used. */
static void for_entries(struct tg_box *box,
                        void (*each)(struct tg_box *box, struct tg_box_entry *entry,
                                     uint32_t state))
{
    const uint32_t n = tg_load_relaxed(&box->head->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX; i++) {
        struct tg_box_entry *e = tg_claims_of(box, i);
        const uint32_t used = tg_load_acquire(&box->slots[i].entries);
        for (uint32_t k = 0; k < used && k < TG_CLAIMS_MAX; k++) {
            /* acquire: pairs with the release of done and return. */
            each(box, &e[k], tg_load_acquire(&e[k].state));
        }
    }
}

/* One that was asked is to be answered from now on, unless its receiver did that meanwhile. */
static void end_released(struct tg_box_entry *entry, uint32_t state)
{
    uint32_t asked = state;
    if ((state & TG_ASKED) == 0 ||
        !tg_cas(&entry->state, &asked, TG_ENTRY(TG_ANSWERING, TG_ENTRY_DELIVERIES(state)))) {
        tg_store_release(&entry->state, TG_ENTRY(TG_FREE, 0));
    }
}

static void free_released(struct tg_box *box, struct tg_box_entry *entry, uint32_t state)
{
    if (TG_ENTRY_STATE(state) != TG_RELEASED) {
        return;
    }
    struct tg_attached *at = tg_claims_link_of(box, entry);
    if (at == NULL) {
        /* Its link cannot be seen now: it stays RELEASED for a collect that can. */
        box->rx.dirty = true;
        return;
    }
    at->touched = true;
    tg_carried_finish(box, entry);
    end_released(entry, state);
    if (box->capacity == 0) {
        tg_claims_note_done(box, 1);
    }
}

static void begin_link(struct tg_box *box, struct tg_attached *at)
{
    const uint64_t next = tg_load_relaxed(&at->row->next);
    if (box->capacity == 0) {
        const uint64_t verdict = tg_load_relaxed(&at->row->verdict);
        at->lowest = (uint32_t)(verdict >> 32) + 1;
        at->lowest_place = (uint64_t)at->lowest << 32;
    } else {
        at->lowest = tg_place_sequence(next);
        at->lowest_place = next;
    }
    at->unfinished = 0;
}

static void count_entry(struct tg_box *box, struct tg_box_entry *entry, uint32_t state)
{
    if (TG_ENTRY_STATE(state) == TG_FREE || TG_ENTRY_STATE(state) == TG_ANSWERING) {
        return;
    }
    struct tg_attached *at = tg_claims_link_of(box, entry);
    if (at == NULL || !at->touched) {
        return;
    }
    const uint32_t sequence = tg_load_relaxed(&entry->sequence);
    at->unfinished++;
    if ((int32_t)(sequence - at->lowest) < 0) {
        at->lowest = sequence;
        at->lowest_place = (uint64_t)sequence << 32 | tg_load_relaxed(&entry->offset);
    }
}

static void one_more(tg_a32 *count)
{
    tg_store_relaxed(count, tg_load_relaxed(count) + 1);
}

/* A message set aside is tried again now and then. */
#define PARKED_NS TONG_SEC(1)

bool tg_claims_want_retry(const struct tg_box *box)
{
    return tg_load_relaxed(&box->head->n_parked) != 0 && box->dead_letter[0] != '\0' &&
           tg_now_ns() - box->rx.parked_ns >= PARKED_NS;
}

/* All of them, whether this receiver could read them or not: another one may. */
static void count_waiting(struct tg_box *box, struct tg_box_entry *entry, uint32_t state)
{
    if (TG_ENTRY_STATE(state) == TG_PARKED && box->rx.retry) {
        state = TG_ENTRY(TG_RETURNED, TG_ENTRY_DELIVERIES(state));
        tg_store_release(&entry->state, state);
    }
    if (TG_ENTRY_STATE(state) == TG_RETURNED) {
        one_more(&box->head->n_returned);
    } else if (TG_ENTRY_STATE(state) == TG_PARKED) {
        one_more(&box->head->n_parked);
    }
}

/* The number behind the last message handed out of a link. */
static uint32_t handed_out(const struct tg_box *box, const struct tg_attached *at)
{
    if (box->capacity == 0) {
        return (uint32_t)(tg_load_relaxed(&at->row->verdict) >> 32) + 1;
    }
    return tg_place_sequence(tg_load_relaxed(&at->row->next));
}

/* A receiver that died may have left a place behind its number. */
static void settle_all(struct tg_box *box)
{
    for (uint32_t i = 0; i < box->rx.n_attached; i++) {
        struct tg_attached *at = box->rx.attached[i];
        if (!at->reader.damaged && tg_links_is_current(box, at)) {
            (void)tg_overtaken_settle(box, at);
        }
    }
}

void tg_claims_collect(struct tg_box *box, bool all)
{
    struct tg_receiver *rx = &box->rx;
    if (tg_links_stale(box)) {
        (void)tg_links_refresh(box);
    }
    rx->dirty = false;
    if (all && box->lossy) {
        settle_all(box);
    }
    for (uint32_t i = 0; i < rx->n_attached; i++) {
        rx->attached[i]->touched = all;
    }
    for_entries(box, free_released);
    for (uint32_t i = 0; i < rx->n_attached; i++) {
        begin_link(box, rx->attached[i]);
    }
    for_entries(box, count_entry);
    for (uint32_t i = 0; i < rx->n_attached; i++) {
        struct tg_attached *at = rx->attached[i];
        if (at->touched) {
            tg_claims_free_room(box, at, at->lowest_place, handed_out(box, at) - at->unfinished);
            at->touched = false;
        }
    }
    rx->retry = tg_claims_want_retry(box);
    rx->parked_ns = rx->retry ? tg_now_ns() : rx->parked_ns;
    tg_store_relaxed(&box->head->n_returned, UINT32_C(0));
    tg_store_relaxed(&box->head->n_parked, UINT32_C(0));
    for_entries(box, count_waiting);
    if (tg_load_relaxed(&box->head->n_returned) != 0) {
        tg_queue_nudge_first(box);
    }
}

void tg_claims_collect_one(struct tg_box *box, struct tg_attached *at)
{
    at->touched = true;
    begin_link(box, at);
    for_entries(box, count_entry);
    at->touched = false;
    tg_claims_free_room(box, at, at->lowest_place, handed_out(box, at) - at->unfinished);
}

/* ---- the own entries */

/* The first entry of a slot reserves the memory of all of them. */
static int use_one_more(struct tg_box *box, uint32_t slot, uint32_t used)
{
    const uint64_t off =
        TG_BOX_ENTRIES_OFF + (uint64_t)slot * TG_CLAIMS_MAX * sizeof(struct tg_box_entry);
    if (used == 0) {
        tg_fd fd = tg_sys_open(box->dir, box->desk, O_RDWR, 0);
        const int r =
            fd < 0 ? fd : tg_sys_allocate(fd, off, TG_CLAIMS_MAX * sizeof(struct tg_box_entry));
        if (r < 0) {
            return r;
        }
    }
    /* release: who sees the count may read the entries. */
    tg_store_release(&box->slots[slot].entries, used + 1);
    return 0;
}

/* But the one that is being served. */
static struct tg_box_entry *find_in(struct tg_box *box, uint32_t slot, uint32_t state)
{
    struct tg_box_entry *e = tg_claims_of(box, slot);
    const uint32_t used = tg_load_relaxed(&box->slots[slot].entries);
    for (uint32_t k = 0; k < used && k < TG_CLAIMS_MAX; k++) {
        if (TG_ENTRY_STATE(tg_load_relaxed(&e[k].state)) == state && &e[k] != box->rx.serving) {
            return &e[k];
        }
    }
    return NULL;
}

static int find_free(struct tg_box *box, uint32_t slot, struct tg_box_entry **ret_entry)
{
    struct tg_box_entry *entry = find_in(box, slot, TG_FREE);
    const uint32_t used = tg_load_relaxed(&box->slots[slot].entries);
    int r = 0;
    if (entry == NULL) {
        r = used < TG_CLAIMS_MAX ? use_one_more(box, slot, used) : -ENOBUFS;
        entry = tg_claims_of(box, slot) + used;
    }
    if (r == 0) {
        *ret_entry = entry;
    }
    return r;
}

/* A free entry in a slot that nobody has. */
static int find_spare(struct tg_box *box, struct tg_box_entry **ret_entry)
{
    uint32_t slot = 0;
    int r = -ENOBUFS;
    const uint32_t n = tg_load_relaxed(&box->head->n_slots);
    for (; slot < n && slot < TG_SLOTS_MAX && r == -ENOBUFS; slot++) {
        r = tg_load_relaxed(&box->slots[slot].owner) == 0 ? find_free(box, slot, ret_entry) : r;
    }
    if (r == -ENOBUFS && tg_slot_add(box, &slot) == 0) {
        r = find_free(box, slot, ret_entry);
    }
    return r;
}

void tg_claims_copy_fields(struct tg_box_entry *to, const struct tg_box_entry *from)
{
    tg_store_relaxed(&to->row, tg_load_relaxed(&from->row));
    tg_store_relaxed(&to->sequence, tg_load_relaxed(&from->sequence));
    tg_store_relaxed(&to->offset, tg_load_relaxed(&from->offset));
    tg_store_relaxed(&to->length, tg_load_relaxed(&from->length));
    tg_store_relaxed(&to->pid, tg_load_relaxed(&from->pid));
    tg_store_relaxed(&to->extension, tg_load_relaxed(&from->extension));
    tg_store_relaxed(&to->number, tg_load_relaxed(&from->number));
}

/* Those set aside, and those passed over, must not use up the claims of a receiver: one goes to a slot that
 * nobody has. */
static int move_one_away(struct tg_box *box)
{
    struct tg_box_entry *from = find_in(box, box->rx.slot, TG_PARKED);
    from = from != NULL ? from : find_in(box, box->rx.slot, TG_RETURNED);
    struct tg_box_entry *to = NULL;
    const int r = from == NULL ? -ENOBUFS : find_spare(box, &to);
    if (r == 0) {
        tg_claims_copy_fields(to, from);
        /* Killed between the two, its slot is repaired and the old one freed. */
        tg_store_release(&to->state, tg_load_relaxed(&from->state));
        tg_store_release(&from->state, TG_ENTRY(TG_FREE, 0));
    }
    return r;
}

/* One of a request to be answered, another one each time. Who asked is told first that there may be some
 * that no entry speaks of. */
static int forget_request(struct tg_box *box, struct tg_box_entry **ret_entry)
{
    struct tg_box_entry *e = tg_claims_of(box, box->rx.slot);
    for (uint32_t k = 0; k < TG_CLAIMS_MAX; k++) {
        struct tg_box_entry *entry = &e[box->rx.forgets++ % TG_CLAIMS_MAX];
        if (TG_ENTRY_STATE(tg_load_relaxed(&entry->state)) == TG_ANSWERING) {
            tg_store_release(&box->slots[box->rx.slot].crowded, UINT32_C(1));
            tg_store_release(&entry->state, TG_ENTRY(TG_FREE, 0));
            *ret_entry = entry;
            return 0;
        }
    }
    return -ENOBUFS;
}

int tg_claims_free_entry(struct tg_box *box, struct tg_box_entry **ret_entry)
{
    int r = find_free(box, box->rx.slot, ret_entry);
    if (r == -ENOBUFS) {
        tg_claims_collect(box, false);
        r = find_free(box, box->rx.slot, ret_entry);
    }
    if (r == -ENOBUFS && move_one_away(box) == 0) {
        r = find_free(box, box->rx.slot, ret_entry);
    }
    return r == -ENOBUFS ? forget_request(box, ret_entry) : r;
}

/* ---- done and return: no token needed (I4) */

void tg_claims_finish(struct tg_box *box, struct tg_box_entry *entry, uint32_t state)
{
    /* release: the reading of the message comes before its room is free. */
    tg_store_release(&entry->state, state);
    tg_fence();
    if (!tg_box_lock_or_pend(box)) {
        return;
    }
    struct tg_attached *at = tg_claims_link_of(box, entry);
    if (TG_ENTRY_STATE(state) == TG_RELEASED && at != NULL && tg_links_is_current(box, at) &&
        TG_ENTRY_STATE(tg_load_relaxed(&entry->state)) == TG_RELEASED) {
        /* The common case: nobody else's entries are touched by it. */
        free_released(box, entry, state);
        tg_claims_collect_one(box, at);
    } else {
        tg_claims_collect(box, false);
    }
    tg_box_unlock(box);
}

struct tg_box_entry *tg_claims_entry_in(struct tg_box *box, const tong_message *message,
                                        uint32_t *ret_state)
{
    const uint64_t index = message->private_[0];
    if (!box->rx.has_slot || index == 0 || index > TG_CLAIMS_MAX ||
        index > tg_load_relaxed(&box->slots[box->rx.slot].entries)) {
        return NULL;
    }
    struct tg_box_entry *entry = tg_claims_of(box, box->rx.slot) + (index - 1);
    *ret_state = tg_load_relaxed(&entry->state);
    const uint64_t which =
        (uint64_t)tg_load_relaxed(&entry->row) << 32 | tg_load_relaxed(&entry->sequence);
    return which == message->private_[1] ? entry : NULL;
}

struct tg_box_entry *tg_claims_entry_of(struct tg_box *box, const tong_message *message,
                                        uint32_t *ret_state)
{
    struct tg_box_entry *entry = tg_claims_entry_in(box, message, ret_state);
    return entry != NULL && TG_ENTRY_STATE(*ret_state) == TG_CLAIMED ? entry : NULL;
}

void tg_claims_mark(struct tg_box *box, const struct tg_box_entry *entry, tong_message *message)
{
    message->private_[0] = (uint64_t)(entry - tg_claims_of(box, box->rx.slot)) + 1;
    message->private_[1] =
        (uint64_t)tg_load_relaxed(&entry->row) << 32 | tg_load_relaxed(&entry->sequence);
}

void tg_claims_drop_copy(struct tg_box *box, uint64_t index)
{
    free(box->rx.copies[index - 1]);
    box->rx.copies[index - 1] = NULL;
}

/* The end of a claim, as its receiver wants it. */
static int finish_message(struct tg_box *box, tong_message *message, enum tg_entry_state as)
{
    if (box->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    uint32_t state;
    struct tg_box_entry *entry = tg_claims_entry_of(box, message, &state);
    if (entry == NULL) {
        return -EINVAL;
    }
    tg_claims_drop_copy(box, message->private_[0]);
    message->private_[0] = 0;
    message->data = NULL;
    uint32_t deliveries = TG_ENTRY_DELIVERIES(state);
    if (as == TG_RETURNED) {
        (void)tg_add(&box->head->redelivered, 1);
        deliveries += deliveries < UINT16_MAX ? 1 : 0;
    }
    tg_claims_finish(box, entry, TG_ENTRY(as, deliveries));
    return 0;
}

int tg_box_done(struct tg_box *box, tong_message *message)
{
    const int r = finish_message(box, message, TG_RELEASED);
    if (r == 0 && message->call != 0 && message->reply_to[0] != '\0') {
        tg_request_tell_now(box); /* unanswered */
    }
    return r;
}

int tg_box_return(struct tg_box *box, tong_message *message)
{
    return finish_message(box, message, TG_RETURNED);
}
