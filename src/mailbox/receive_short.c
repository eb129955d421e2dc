/*
 * Receiving without a sleep: the spin before it, and the short way of the common case.
 *
 * Spinning is worth it only if the other side runs meanwhile: each side tells its processor. On the
 * same one there is no spin at all; else 1024 pauses, half as many after each failure, all again
 * after a success and at every 16th sleep. Where messages are long the next one takes long to be copied:
 * as many pauses more as that takes, or an answer would always come just after the sleep had begun.
 */
#include "base/probe.h"
#include "mailbox/receive.h"

#define SPIN_MOST 1024u
#define SPIN_LEAST 16u
#define SPIN_LEN (UINT32_C(256) << 10) /* a message of so many bytes doubles a spin, */
#define SPIN_LEN_MOST 4u               /* and this many times that is the most */
#define SHORT_MOST 256u                /* messages of one link in a row the short way */
#define SHORT_LEN 65536u
#define LOOKS_A_CALL 16u /* where a look is a system call */

/* ---- spinning */

/* Other threads of this handle may attach and forget links meanwhile. */
bool tg_receive_hint(struct tg_box *box)
{
    if (!box->threads) {
        return tg_take_hint(box);
    }
    (void)tg_gate_enter(&box->rx.short_, TG_NEVER, NULL, 0);
    const bool r = tg_take_hint(box);
    tg_gate_leave(&box->rx.short_);
    return r;
}

static bool sender_runs_elsewhere(struct tg_box *box, uint32_t cpu)
{
    bool r = false;
    if (box->threads) {
        (void)tg_gate_enter(&box->rx.short_, TG_NEVER, NULL, 0);
    }
    for (uint32_t i = 0; i < box->rx.n_attached; i++) {
        r |= tg_load_relaxed(&box->rx.attached[i]->reader.head->cpu) != cpu;
    }
    if (box->threads) {
        tg_gate_leave(&box->rx.short_);
    }
    return r;
}

/* How many pauses the next spin may take; 0: none, the senders run on this processor. */
static uint32_t spin_budget(struct tg_box *box)
{
    struct tg_receiver *rx = &box->rx;
    const uint32_t cpu = tg_sys_cpu();
    if (cpu != rx->cpu || tg_load_relaxed(&box->slots[rx->slot].cpu) != cpu) {
        rx->cpu = cpu;
        tg_store_relaxed(&box->slots[rx->slot].cpu, cpu);
    }
    if (!sender_runs_elsewhere(box, cpu)) {
        return 0;
    }
    rx->sleeps++;
    return rx->spin == 0 || rx->sleeps % 16 == 0 ? SPIN_MOST : rx->spin;
}

static void note_spin(struct tg_receiver *rx, uint32_t budget, bool found)
{
    const uint32_t half = budget / 2 < SPIN_LEAST ? SPIN_LEAST : budget / 2;
    rx->spin = found ? SPIN_MOST : half;
    rx->long_len = found ? rx->long_len : rx->long_len / 2;
}

static uint32_t pauses_of(const struct tg_receiver *rx, uint32_t budget)
{
    const uint32_t most = SPIN_LEN * SPIN_LEN_MOST;
    const uint32_t len = rx->long_len < most ? rx->long_len : most;
    return budget + (uint32_t)((uint64_t)budget * len / SPIN_LEN);
}

static bool look_is_a_call(struct tg_box *box)
{
    if (box->threads) {
        (void)tg_gate_enter(&box->rx.short_, TG_NEVER, NULL, 0);
    }
    const bool r = box->way != NULL && tg_counted_is_asked(box);
    if (box->threads) {
        tg_gate_leave(&box->rx.short_);
    }
    return r;
}

bool tg_receive_spin(struct tg_box *box)
{
    const uint32_t budget = spin_budget(box);
    const uint32_t looks = look_is_a_call(box) ? LOOKS_A_CALL : 1;
    const uint32_t pauses = pauses_of(&box->rx, budget) / looks;
    bool found = false;
    for (uint32_t i = 0; i < pauses && !found; i++) {
        found = tg_receive_hint(box);
        tg_pause();
    }
    if (budget != 0) {
        note_spin(&box->rx, budget, found);
    }
    return found;
}

/* ---- the short way: the common case in one piece */

/*
 * One receiver, one thread, no claims: copy the next message of the link looked at first. The steps
 * are those of tg_take_one() and tg_claims_free_room(), in their order. Whatever else there may be to
 * do sends it the long way, with nothing done.
 *
 * It spins without the token, on the one commit word: taken before (which would save a
 * compare-and-swap behind the message) a round trip was measured half as long again.
 */
TG_INLINE struct tg_attached *short_link(struct tg_box *box)
{
    struct tg_receiver *rx = &box->rx;
    if (rx->cursor >= rx->n_attached || rx->served >= SHORT_MOST || box->threads ||
        box->goes_long) {
        return NULL;
    }
    struct tg_attached *at = rx->attached[rx->cursor];
    return at->reader.record != NULL ? at : NULL;
}

/* Under the token: nothing needs the long way. */
TG_INLINE bool is_short(struct tg_box *box, const struct tg_attached *at)
{
    const struct tg_box_head *head = box->head;
    const struct tg_box_row *row = at->row;
    const uint64_t next = tg_load_relaxed(&row->next);
    return !(box->by_priority && tg_take_hint_above(box, at)) && tg_box_may_take(box) &&
           tg_load_relaxed(&head->n_taken) == 1 && tg_load_relaxed(&head->n_returned) == 0 &&
           !tg_links_stale(box) && tg_load_relaxed(&row->link_id) == at->reader.link_id &&
           next == at->reader.next && tg_load_relaxed(&row->head) == next;
}

static inline bool is_committed(const struct tg_record *record)
{
    /* acquire: pairs with the commit. */
    return tg_load_acquire(&record->commit) == TG_COMMITTED;
}

static bool spin_short(struct tg_box *box, const struct tg_attached *at, uint32_t budget)
{
    const struct tg_record *record = at->reader.record;
    const uint32_t pauses = pauses_of(&box->rx, budget);
    bool found = false;
    for (uint32_t i = 0; i < pauses && !found; i++) {
        /* A jump ends the wait, too: it is the long way's, and so is what else may have come. */
        found = tg_load_relaxed(&record->commit) != 0 || (i % 16 == 15 && tg_receive_hint(box));
        /* A message of more than some bytes ends in the next line: asked for at every turn, it
         * comes together with the line of the head and not behind it. */
        __builtin_prefetch((const char *)record + 64);
        if (!found) {
            tg_pause();
        }
        if (i % 16 == 15 &&
            tg_load_relaxed(&box->main.head->state) != tg_load_relaxed(&box->state_seen)) {
            break;
        }
    }
    note_spin(&box->rx, budget, found);
    return found && is_committed(record);
}

/* The record is committed: a message for size bytes that needs nothing of the long way. To everyone no receiver
 * gives memory back when it leaves a segment. */
TG_INLINE bool view_short(const struct tg_box *box, const struct tg_reader *r, size_t size,
                          struct tg_message_view *ret_view)
{
    return tg_reader_view(r, ret_view) && ret_view->len <= size && ret_view->len < SHORT_LEN &&
           ((tg_place_offset(ret_view->next) < r->left_limit && r->begin == r->left_begin) ||
            box->everyone);
}

/* n messages were copied, the last one is view; the reader stands behind it. */
TG_INLINE void finish_short(struct tg_box *box, struct tg_attached *at, uint32_t n,
                            const struct tg_message_view *view)
{
    struct tg_box_row *row = at->row;
    tg_store_release(&row->next, view->next);
    tg_store_release(&row->head, view->next);
    tg_store_release(&row->done, view->sequence + 1);
    tg_store_release(&box->head->done_total, tg_load_relaxed(&box->head->done_total) + n);
    at->ring_due = true;
    box->rx.ring_one = at;
    box->rx.served += n;
    tg_claims_ring(box);
}

/* Token held, the record is committed. */
TG_INLINE bool consume_short(struct tg_box *box, struct tg_attached *at, struct tg_take *take)
{
    struct tg_message_view view;
    if (!view_short(box, &at->reader, take->size, &view)) {
        return false;
    }
    tg_box_copy(take->buf, view.data, view.len);
    take->len = view.len;
    tg_reader_advance(&at->reader, &view);
    finish_short(box, at, 1, &view);
    return true;
}

/* The same for as many as are there, fit, and lie in this segment. They are consumed together, by one store
 * of next: who dies before it has taken none of them. Returns how many. */
static size_t consume_some(struct tg_box *box, struct tg_attached *at, const struct iovec *buffers,
                           size_t n, size_t *ret_lens)
{
    struct tg_reader *r = &at->reader;
    struct tg_message_view view;
    struct tg_message_view last = { .data = NULL };
    const size_t room = SHORT_MOST - box->rx.served;
    const size_t most = n < room ? n : room;
    size_t taken = 0;
    while (taken < most && is_committed(r->record) &&
           view_short(box, r, buffers[taken].iov_len, &view)) {
        tg_box_copy(buffers[taken].iov_base, view.data, view.len);
        ret_lens[taken++] = view.len;
        TG_PROBE(receive, box->name, view.len);
        tg_reader_advance(r, &view);
        last = view;
    }
    if (taken != 0) {
        finish_short(box, at, (uint32_t)taken, &last);
    }
    return taken;
}

TG_INLINE bool lock_short(struct tg_box *box)
{
    uint64_t free_ = 0;
    return tg_cas(&box->head->token, &free_, box->me);
}

/* Waits for a message of the link the short way serves, and gets the token. False: go the long way. */
TG_INLINE bool begin_short(struct tg_box *box, struct tg_attached *at, bool wait, bool *ret_spun)
{
    if (!is_committed(at->reader.record)) {
        const uint32_t budget = wait && box->rx.n_attached == 1 ? spin_budget(box) : 0;
        if (budget == 0) {
            return false;
        }
        *ret_spun = true;
        if (!spin_short(box, at, budget)) {
            return false;
        }
    }
    return lock_short(box);
}

TG_INLINE void end_short(struct tg_box *box)
{
    while (!tg_token_unlock(&box->head->token, box->me)) {
        tg_claims_collect(box, false);
        tg_claims_ring(box);
    }
}

/*
 * The same in a backlog, whose memory another receiver may give back: the record is looked at under the token, where the head
 * has not left its segment. The message behind which there is memory to give back goes the long way.
 */
static __attribute__((noinline)) bool receive_backlog(struct tg_box *box, struct tg_attached *at,
                                                      struct tg_take *take)
{
    if (at->reader.foreign != NULL || !lock_short(box)) {
        return false;
    }
    const bool ok =
        is_short(box, at) && is_committed(at->reader.record) && consume_short(box, at, take);
    if (ok) {
        tg_link_fetch((const uint8_t *)at->reader.record, take->len);
    }
    end_short(box);
    return ok;
}

static __attribute__((noinline)) size_t receive_backlog_many(struct tg_box *box,
                                                             struct tg_attached *at,
                                                             const struct iovec *buffers, size_t n,
                                                             size_t *ret_lens)
{
    if (at->reader.foreign != NULL || !lock_short(box)) {
        return 0;
    }
    const size_t taken = is_short(box, at) ? consume_some(box, at, buffers, n, ret_lens) : 0;
    end_short(box);
    return taken;
}

bool tg_receive_short(struct tg_box *box, struct tg_take *take, bool wait, bool *ret_spun)
{
    struct tg_attached *at = short_link(box);
    if (at == NULL) {
        return box->way != NULL && tg_carried_short(box, take, wait, &box->rx.empty);
    }
    if (at->reader.oneshot) {
        return receive_backlog(box, at, take);
    }
    if (!begin_short(box, at, wait, ret_spun)) {
        return false;
    }
    const bool ok = is_short(box, at) && consume_short(box, at, take);
    end_short(box);
    return ok;
}

size_t tg_receive_short_many(struct tg_box *box, const struct iovec *buffers, size_t n, bool wait,
                             bool *ret_spun, size_t *ret_lens)
{
    struct tg_attached *at = short_link(box);
    if (at == NULL) {
        return 0;
    }
    if (at->reader.oneshot) {
        return receive_backlog_many(box, at, buffers, n, ret_lens);
    }
    if (!begin_short(box, at, wait, ret_spun)) {
        return 0;
    }
    const size_t taken = is_short(box, at) ? consume_some(box, at, buffers, n, ret_lens) : 0;
    end_short(box);
    return taken;
}
