/*
 * Receiving: look, spin briefly, queue, sleep.
 *
 *   hint?  no: time-out 0 answers at once; else spin while nobody sleeps before us
 *   token; is it our turn? take
 *   nothing: ticket, prepare the sleep (queue.c), sleep, look again
 *
 * The sleep has a back-stop: it ends after 1 s (doubling to 8 s) for one look at everything, locks
 * of lives included. Nothing relies on it; what it finds is counted.
 *
 * Spinning. Worth it only if the other side runs meanwhile: each side tells its processor. On the same
 * one there is no spin at all; else 1024 pauses, half as many after each failure, all again after
 * a success and at every 16th sleep.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "mailbox/box.h"

#define SPIN_MOST 1024u
#define SPIN_LEAST 16u
#define SHORT_MOST 256u /* messages of one link in a row the short way */
#define SHORT_LEN 65536u

struct call {
    int64_t deadline;
    uint32_t interrupts; /* as the call began */
    bool queued;
    bool spun;
    uint32_t sleeps;
};

/* ---- spinning */

/* Other threads of this handle may attach and forget links meanwhile. */
static bool hint(struct tg_box *box)
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
}

static bool spin(struct tg_box *box)
{
    const uint32_t budget = spin_budget(box);
    bool found = false;
    for (uint32_t i = 0; i < budget && !found; i++) {
        found = hint(box);
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
static inline struct tg_attached *short_link(struct tg_box *box)
{
    struct tg_receiver *rx = &box->rx;
    if (rx->cursor >= rx->n_attached || rx->served >= SHORT_MOST || box->threads ||
        box->capacity == 0) {
        return NULL;
    }
    struct tg_attached *at = rx->attached[rx->cursor];
    return at->reader.record != NULL && !at->reader.oneshot ? at : NULL;
}

/* Under the token: nothing needs the long way. */
static inline bool is_short(const struct tg_box *box, const struct tg_attached *at)
{
    const struct tg_box_head *head = box->head;
    const struct tg_box_row *row = at->row;
    const uint64_t next = tg_load_relaxed(&row->next);
    return tg_box_may_take(box) && tg_load_relaxed(&head->n_taken) == 1 &&
           tg_load_relaxed(&head->n_returned) == 0 && !tg_links_stale(box) &&
           tg_load_relaxed(&row->link_id) == at->reader.link_id && next == at->reader.next &&
           tg_load_relaxed(&row->head) == next;
}

static inline bool is_committed(const struct tg_record *record)
{
    /* acquire: pairs with the commit. */
    return tg_load_acquire(&record->commit) == TG_COMMITTED;
}

static bool spin_short(struct tg_box *box, const struct tg_attached *at, uint32_t budget)
{
    const struct tg_record *record = at->reader.record;
    bool found = false;
    for (uint32_t i = 0; i < budget && !found; i++) {
        /* A jump ends the wait, too: it is the long way's, and so is what else may have come. */
        found = tg_load_relaxed(&record->commit) != 0 || (i % 16 == 15 && hint(box));
        /* A message of more than some bytes ends in the next line: asked for at every turn, it
         * comes together with the line of the head and not behind it. */
        __builtin_prefetch((const char *)record + 64);
        if (!found) {
            tg_pause();
        }
        if (i % 16 == 15 &&
            tg_load_relaxed(&box->head->state) != tg_load_relaxed(&box->state_seen)) {
            break;
        }
    }
    note_spin(&box->rx, budget, found);
    return found && is_committed(record);
}

/* Token held, the record is committed. */
static inline bool consume_short(struct tg_box *box, struct tg_attached *at, struct tg_take *take)
{
    struct tg_reader *r = &at->reader;
    struct tg_box_row *row = at->row;
    struct tg_message_view view;
    if (!tg_reader_view(r, &view) || view.len > take->size || view.len >= SHORT_LEN ||
        tg_place_offset(view.next) >= r->left_end || r->begin != r->left_begin) {
        return false;
    }
    tg_box_copy(take->buf, view.data, view.len);
    take->len = view.len;
    tg_store_release(&row->next, view.next);
    tg_reader_advance(r, &view);
    tg_store_release(&row->head, view.next);
    tg_store_release(&row->done, view.sequence + 1);
    tg_store_release(&box->head->done_total, tg_load_relaxed(&box->head->done_total) + 1);
    at->ring_due = true;
    box->rx.ring_one = at;
    box->rx.served++;
    tg_claims_ring(box);
    return true;
}

/* True: taken. wait: it may spin; *ret_spun: it did. */
static bool take_short(struct tg_box *box, struct tg_take *take, bool wait, bool *ret_spun)
{
    struct tg_attached *at = short_link(box);
    if (at == NULL) {
        return false;
    }
    const bool ready = is_committed(at->reader.record);
    uint32_t budget = 0;
    if (!ready) {
        budget = wait && box->rx.n_attached == 1 ? spin_budget(box) : 0;
        if (budget == 0) {
            return false;
        }
    }
    if (!ready) {
        *ret_spun = true;
        if (!spin_short(box, at, budget)) {
            return false;
        }
    }
    uint64_t free_ = 0;
    if (!tg_cas(&box->head->token, &free_, box->me)) {
        return false;
    }
    bool ok = is_short(box, at);
    if (ok) {
        ok = consume_short(box, at, take);
    }
    while (!tg_token_unlock(&box->head->token, box->me)) {
        tg_claims_collect(box, false);
        tg_claims_ring(box);
    }
    return ok;
}

/* ---- one look, token held */

static bool is_our_turn(struct tg_box *box, const struct call *call)
{
    const uint32_t sleepers = tg_queue_sleepers(box);
    if (sleepers == 0 || (call->queued && tg_queue_is_first(box))) {
        return true;
    }
    const uint32_t needed = box->policy->needed(sleepers);
    if (needed <= 1) {
        return true;
    }
    return !call->queued && tg_take_count(box, needed) >= needed;
}

/* Every so often, and when there is nothing else to do: has a receiver died with claims? */
static void look_after_others(struct tg_box *box, bool idle)
{
    if (tg_load_relaxed(&box->head->n_slots) > 1 && (idle || ++box->rx.looks % 64 == 0) &&
        tg_slot_any_dead(box)) {
        (void)tg_slot_repair(box);
    }
}

static int look(struct tg_box *box, const struct call *call, struct tg_take *take)
{
    /* While one user keeps it busy another one may have come. */
    if (++box->rx.user_looks % 64 == 0) {
        tg_box_fresh_users(box);
    }
    int r = tg_links_stale(box) ? tg_links_refresh(box) : 0;
    if (r < 0) {
        return tg_box_gone(box, r);
    }
    look_after_others(box, false);
    if (tg_claims_want_retry(box)) {
        tg_claims_collect(box, false);
    }
    r = is_our_turn(box, call) ? tg_take_one(box, take) : 0;
    if (r == 0 && box->rx.stale) {
        /* A row spoke of another file than the one attached. */
        r = tg_links_refresh(box);
        if (r < 0) {
            return tg_box_gone(box, r);
        }
        r = is_our_turn(box, call) ? tg_take_one(box, take) : 0;
    }
    if (r == 0 && tg_load_relaxed(&box->head->n_slots) > 1) {
        look_after_others(box, true);
        r = is_our_turn(box, call) ? tg_take_one(box, take) : 0;
    }
    return r == -ENOENT ? tg_box_gone(box, r) : r;
}

static void leave_queue(struct tg_box *box, struct call *call)
{
    if (call->queued) {
        tg_queue_leave(box, box->rx.slot);
        call->queued = false;
    }
}

/* Out of the queue without the token yet; r is handed through. */
static int give_up(struct tg_box *box, struct call *call, int r)
{
    if (call->queued) {
        while (tg_box_lock(box, TG_NEVER) < 0) {
        }
        leave_queue(box, call);
        tg_box_unlock(box);
    }
    return r;
}

/* ---- sleeping */

/* The back-stop: look at everything, and trust the locks alone. */
static void backstop(struct tg_box *box)
{
    const uint32_t n = tg_load_relaxed(&box->head->n_slots);
    bool found = hint(box);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX && !found; i++) {
        const uint64_t owner = tg_load_relaxed(&box->slots[i].owner);
        found = owner != 0 && owner != box->me &&
                !tg_life_is_alive_surely(box->root, owner, box->dir_uid);
    }
    if (found && (tg_load_relaxed(&box->head->n_sleepers) == 1 || tg_queue_is_first(box))) {
        (void)tg_add(&box->head->finds, 1);
    }
}

static int sleep_once(struct tg_box *box, struct call *call, const struct tg_waitset *set)
{
    const int64_t piece = tg_now_ns() + tg_backstop_ns(call->sleeps);
    const bool is_backstop = piece < call->deadline;
    tg_gate_set_asleep(&box->rx.gate, true);
    const int r = tg_waitset_sleep(set, is_backstop ? piece : call->deadline);
    tg_gate_set_asleep(&box->rx.gate, false);
    tg_life_pass_on(set);
    if (r == -ETIMEDOUT && is_backstop) {
        call->sleeps++;
        backstop(box);
    }
    return r == -EINTR ? r : 0;
}

/* Token held; given back in any case. 0: look again. */
static int queue_and_sleep(struct tg_box *box, struct call *call)
{
    if (!call->queued) {
        tg_queue_enter(box);
        call->queued = true;
    }
    tg_life_renew(box->root);
    tg_life_watch_begin(box->root);
    struct tg_waitset set;
    int r = tg_queue_prepare(box, &set);
    if (r == 1) {
        tg_box_unlock(box);
        r = 0;
    } else if (tg_box_may_sleep(box, &set) && tg_box_may_receive(box) &&
               atomic_load_explicit(&box->interrupts, memory_order_seq_cst) == call->interrupts) {
        /* Both were asked after the bell was read: who ends the mailbox or interrupts rings it. */
        r = sleep_once(box, call, &set);
    }
    tg_life_watch_end(box->root);
    return r;
}

/* ---- the call, gate held */

/* Whether a call that must not wait takes the token though nothing is seen: for what a dead receiver
 * holds, and now and then for what a sender that died in its send told nobody of. */
static bool looks_closer(struct tg_box *box)
{
    return ++box->rx.polls % 64 == 0 ||
           (tg_load_relaxed(&box->head->n_slots) > 1 && tg_slot_any_dead(box));
}

static int check(struct tg_box *box)
{
    const int r = tg_box_check(box);
    return r == 0 && !tg_box_may_receive(box) ? -EPERM : r;
}

static bool has_parked(const struct tg_box *box, const struct tg_take *take)
{
    return take->how == TG_TAKE_SKIP && tg_load_relaxed(&box->head->n_parked) != 0;
}

/* 0: it may. */
static int why_not_sleep(struct tg_box *box, const struct call *call)
{
    if (call->deadline == 0) {
        return -EAGAIN;
    }
    if (tg_box_is_interrupted(box, call->interrupts)) {
        return -ECANCELED;
    }
    return tg_is_over(call->deadline) ? -ETIMEDOUT : 0;
}

static int receive_turns(struct tg_box *box, struct tg_take *take, struct call *call)
{
    bool may_spin = call->deadline != 0 && !call->spun;
    for (;;) {
        if (take->how == TG_TAKE_COPY && !call->queued) {
            bool spun = false;
            if (take_short(box, take, may_spin, &spun)) {
                return 1;
            }
            may_spin = may_spin && !spun;
        }
        int r = check(box);
        if (r < 0) {
            return give_up(box, call, r);
        }
        if (!call->queued && !hint(box) && !has_parked(box, take)) {
            if (call->deadline == 0 && !looks_closer(box)) {
                return -EAGAIN;
            }
            if (may_spin && tg_load_relaxed(&box->head->n_sleepers) == 0) {
                may_spin = false;
                if (spin(box)) {
                    continue;
                }
            }
        }
        r = tg_box_lock(box, call->deadline);
        if (r < 0) {
            return give_up(box, call, r);
        }
        if (!tg_box_may_take(box)) {
            /* It was given away while this call waited for the token. */
            leave_queue(box, call);
            tg_box_unlock(box);
            continue;
        }
        r = look(box, call, take);
        if (r == TG_TAKE_TOO_OFTEN) {
            leave_queue(box, call);
            tg_dead_letter(box);
            continue;
        }
        r = r == 0 ? why_not_sleep(box, call) : r;
        if (r != 0) {
            leave_queue(box, call);
            tg_box_unlock(box);
            return r;
        }
        r = queue_and_sleep(box, call);
        if (r < 0) {
            return give_up(box, call, r);
        }
    }
}

static int receive_gated(struct tg_box *box, struct tg_take *take, struct call *call)
{
    if (box->capacity != 0 || call->deadline == 0) {
        return receive_turns(box, take, call);
    }
    /* A sender that must not wait asks whether somebody does. */
    tg_a32 *waiting = &box->slots[box->rx.slot].waiting;
    tg_store_release(waiting, UINT32_C(1));
    const int r = receive_turns(box, take, call);
    tg_store_release(waiting, UINT32_C(0));
    return r;
}

/* Begin a receive call. */
static int begin(struct tg_box *box, int64_t deadline, struct call *call)
{
    *call = (struct call){ .deadline = deadline, .interrupts = tg_box_interrupts(box) };
    const int r = tg_box_begin(box);
    if (r < 0 || !box->rx.has_slot) {
        return r < 0 ? r : -EBADF;
    }
    return tg_box_may_receive(box) ? 0 : -EPERM;
}

/* Begin, and get the gate. */
static int enter(struct tg_box *box, int64_t timeout_ns, struct call *call)
{
    const int r = begin(box, tg_deadline(timeout_ns), call);
    if (r < 0) {
        return r;
    }
    return tg_gate_enter(&box->rx.gate, call->deadline, &box->interrupts, call->interrupts);
}

/* A long copy: made from the claim, without the token, and then finished. */
static int finish_copy(struct tg_box *box, struct tg_take *take)
{
    if (take->how != TG_TAKE_COPY || take->entry == NULL) {
        return 1;
    }
    const int copied = tg_take_copy(take, take->buf);
    if (copied < 0 && copied != -EPROTO) {
        /* It could not be read now: it is there for the next call, as if not handed out. */
        const uint32_t state = tg_load_relaxed(&take->entry->state);
        tg_claims_finish(box, take->entry, TG_ENTRY(TG_RETURNED, TG_ENTRY_DELIVERIES(state)));
        return copied;
    }
    tong_message message = TONG_MESSAGE_INIT;
    const struct tg_box_entry *own = tg_claims_of(box, box->rx.slot);
    message.private_[0] = (uint64_t)(take->entry - own) + 1;
    message.private_[1] = (uint64_t)take->at->reader.row << 32 | take->sequence;
    const int r = tg_box_done(box, &message);
    return copied < 0 ? copied : r < 0 ? r : 1;
}

static int receive(struct tg_box *box, struct tg_take *take, int64_t timeout_ns, bool spun)
{
    struct call call;
    int r = enter(box, timeout_ns, &call);
    if (r < 0) {
        return r;
    }
    call.spun = spun;
    r = receive_gated(box, take, &call);
    if (r == 1) {
        r = finish_copy(box, take);
    }
    tg_gate_leave(&box->rx.gate);
    return r;
}

ssize_t tg_box_receive(struct tg_box *box, void *buf, size_t size, int64_t timeout_ns)
{
    struct tg_take take = { .how = TG_TAKE_COPY, .buf = buf, .size = size };
    bool spun = false;
    /* With one thread nobody else is inside: the gate is free. */
    if (__libc_single_threaded && box->rx.has_slot && tg_box_is_simple(box) &&
        take_short(box, &take, timeout_ns != 0, &spun)) {
        return (ssize_t)take.len;
    }
    const int r = receive(box, &take, timeout_ns, spun);
    return r == 1 ? (ssize_t)take.len : r;
}

ssize_t tg_box_skip(struct tg_box *box)
{
    struct tg_take take = { .how = TG_TAKE_SKIP };
    const int r = receive(box, &take, 0, false);
    return r == 1 ? (ssize_t)take.len : r;
}

int tg_box_claim(struct tg_box *box, int64_t timeout_ns, tong_message *ret_message)
{
    struct tg_take take = { .how = TG_TAKE_CLAIM };
    const int r = receive(box, &take, timeout_ns, false);
    if (r != 1 || take.at == NULL || take.entry == NULL) {
        return r;
    }
    const struct tg_reader *reader = &take.at->reader;
    const struct tg_box_entry *own = tg_claims_of(box, box->rx.slot);
    box->rx.copies[take.entry - own] = take.copy;
    ret_message->deliveries = take.deliveries;
    ret_message->data = take.data;
    ret_message->len = take.len;
    ret_message->sequence = tg_reader_full_sequence(reader, take.sequence);
    ret_message->uid = reader->uid;
    ret_message->gid = tg_load_relaxed(&reader->head->gid);
    ret_message->pid = (int32_t)take.pid;
    ret_message->verified = TONG_VERIFIED_UID;
    ret_message->private_[0] = (uint64_t)(take.entry - own) + 1;
    ret_message->private_[1] = (uint64_t)reader->row << 32 | take.sequence;
    return 0;
}

/* ---- many at once */

/* A buffer of no bytes may have no address, and memcpy wants one. */
static struct tg_take copy_into(const struct iovec *buffer)
{
    static uint8_t nowhere;
    return (struct tg_take){ .how = TG_TAKE_COPY,
                             .buf = buffer->iov_base != NULL ? buffer->iov_base : &nowhere,
                             .size = buffer->iov_len };
}

/* More, as long as they are there and fit; the token is held. */
static size_t take_more(struct tg_box *box, const struct iovec *buffers, size_t n, size_t taken,
                        const struct call *call, size_t *ret_lens)
{
    while (taken < n && is_our_turn(box, call)) {
        struct tg_take take = copy_into(&buffers[taken]);
        if (tg_take_one(box, &take) != 1) {
            break;
        }
        if (take.entry != NULL) {
            /* A long one among many: copied here, its claim given up in one store. */
            const int copied = tg_take_copy(&take, take.buf);
            const bool is_there = copied < 0 && copied != -EPROTO;
            tg_store_release(&take.entry->state, TG_ENTRY(is_there ? TG_RETURNED : TG_RELEASED, 1));
            tg_claims_collect(box, false);
            if (copied < 0) {
                break;
            }
        }
        ret_lens[taken++] = take.len;
    }
    return taken;
}

ssize_t tg_box_receive_many(struct tg_box *box, const struct iovec *buffers, size_t n,
                            int64_t timeout_ns, size_t *ret_lens)
{
    struct call call;
    int r = enter(box, n == 0 ? 0 : timeout_ns, &call);
    if (r < 0 || n == 0) {
        if (r == 0) {
            tg_gate_leave(&box->rx.gate);
        }
        return r;
    }
    struct tg_take take = copy_into(&buffers[0]);
    r = receive_gated(box, &take, &call);
    if (r == 1) {
        r = finish_copy(box, &take);
    }
    size_t taken = 0;
    if (r == 1) {
        ret_lens[taken++] = take.len;
        if (n > 1 && hint(box) && tg_box_lock(box, call.deadline) == 0) {
            taken = take_more(box, buffers, n, taken, &call, ret_lens);
            tg_box_unlock(box);
        }
    }
    tg_gate_leave(&box->rx.gate);
    return r == 1 ? (ssize_t)taken : r;
}

/* ---- several mailboxes */

/* One look at one mailbox: 1 something to do there (a message, or its end), 0 nothing, or
 * TG_TAKE_TOO_OFTEN. */
static int look_at(struct tg_box *box, const struct call *call)
{
    if (check(box) < 0) {
        return 1;
    }
    struct tg_take take = { .how = TG_TAKE_LOOK };
    tg_box_fresh_users(box);
    const int r = look(box, call, &take);
    return r == TG_TAKE_TOO_OFTEN ? r : r != 0;
}

static void leave_all(struct tg_box *const boxes[], size_t n, struct call calls[])
{
    for (size_t i = 0; i < n; i++) {
        (void)give_up(boxes[i], &calls[i], 0);
    }
}

/* Look at all, and prepare a sleep on those that have nothing. Index, -1 nothing, or -errno - 2. */
static int look_at_all(struct tg_box *const boxes[], size_t n, struct call calls[],
                       struct tg_waitset *all)
{
    tg_waitset_clear(all);
    for (size_t i = 0; i < n; i++) {
        struct tg_box *box = boxes[i];
        struct call *call = &calls[i];
        for (;;) {
            while (tg_box_lock(box, TG_NEVER) < 0) {
            }
            const int found = look_at(box, call);
            if (found == TG_TAKE_TOO_OFTEN) {
                leave_queue(box, call);
                tg_dead_letter(box);
                continue;
            }
            if (found != 0) {
                tg_box_unlock(box);
                return (int)i;
            }
            if (call->deadline == 0) {
                tg_box_unlock(box);
                break;
            }
            if (!call->queued) {
                tg_queue_enter(box);
                call->queued = true;
            }
            struct tg_waitset one;
            if (tg_queue_prepare(box, &one) == 0) {
                tg_waitset_merge(all, &one);
                break;
            }
            tg_box_unlock(box);
        }
    }
    return -1;
}

static bool any_interrupted(struct tg_box *const boxes[], size_t n, const struct call calls[])
{
    for (size_t i = 0; i < n; i++) {
        if (tg_box_is_interrupted(boxes[i], calls[i].interrupts)) {
            return true;
        }
    }
    return false;
}

static int sleep_on_all(struct tg_box *const boxes[], size_t n, struct call calls[],
                        struct tg_waitset *all)
{
    for (size_t i = 0; i < n; i++) {
        if (!tg_box_may_sleep(boxes[i], all) || !tg_box_may_receive(boxes[i])) {
            return 0;
        }
    }
    if (any_interrupted(boxes, n, calls)) {
        return -ECANCELED;
    }
    const int64_t piece = tg_now_ns() + tg_backstop_ns(calls[0].sleeps++);
    for (size_t i = 0; i < n; i++) {
        tg_gate_set_asleep(&boxes[i]->rx.gate, true);
    }
    const int r = tg_waitset_sleep(all, piece < calls[0].deadline ? piece : calls[0].deadline);
    for (size_t i = 0; i < n; i++) {
        tg_gate_set_asleep(&boxes[i]->rx.gate, false);
    }
    tg_life_pass_on(all);
    return r == -EINTR ? r : 0;
}

static int wait_gated(struct tg_box *const boxes[], size_t n, struct call calls[])
{
    for (;;) {
        struct tg_waitset all;
        tg_life_watch_begin(boxes[0]->root);
        int r = look_at_all(boxes, n, calls, &all);
        if (r < 0 && calls[0].deadline == 0) {
            r = -EAGAIN;
        } else if (r < 0 && tg_is_over(calls[0].deadline)) {
            r = -ETIMEDOUT;
        } else if (r < 0) {
            r = sleep_on_all(boxes, n, calls, &all);
            r = r == 0 ? -1000 : r;
        }
        tg_life_watch_end(boxes[0]->root);
        if (r != -1000) {
            leave_all(boxes, n, calls);
            return r;
        }
    }
}

#define WAIT_ANY_MOST 64

/* The order of addresses, in which gates are taken so that two such calls never wait for each
 * other. */
static void sort_by_address(struct tg_box *const boxes[], size_t n, size_t order[])
{
    for (size_t i = 0; i < n; i++) {
        size_t k = i;
        for (; k > 0 && (uintptr_t)boxes[order[k - 1]] > (uintptr_t)boxes[i]; k--) {
            order[k] = order[k - 1];
        }
        order[k] = i;
    }
}

/* Begin on all. 0; what has ended is something to tell: its index + 1; -errno. */
static int begin_all(struct tg_box *const boxes[], size_t n, int64_t deadline, struct call calls[])
{
    for (size_t i = 0; i < n; i++) {
        const int r = begin(boxes[i], deadline, &calls[i]);
        if (r == -EIDRM || r == -EOWNERDEAD || r == -EPERM) {
            return (int)i + 1;
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int tg_box_wait_any(struct tg_box *const boxes[], size_t n, int64_t timeout_ns)
{
    if (n == 0 || n > WAIT_ANY_MOST) {
        return -EINVAL;
    }
    size_t order[WAIT_ANY_MOST];
    struct call calls[WAIT_ANY_MOST];
    sort_by_address(boxes, n, order);
    for (size_t i = 1; i < n; i++) {
        if (boxes[order[i]] == boxes[order[i - 1]]) {
            return -EINVAL;
        }
    }
    const int64_t deadline = tg_deadline(timeout_ns);
    int r = begin_all(boxes, n, deadline, calls);
    if (r != 0) {
        return r > 0 ? r - 1 : r;
    }
    size_t entered = 0;
    for (; entered < n; entered++) {
        struct tg_box *box = boxes[order[entered]];
        r = tg_gate_enter(&box->rx.gate, deadline, &box->interrupts,
                          calls[order[entered]].interrupts);
        if (r < 0) {
            break;
        }
    }
    if (r == 0) {
        r = wait_gated(boxes, n, calls);
    }
    while (entered-- > 0) {
        tg_gate_leave(&boxes[order[entered]]->rx.gate);
    }
    return r;
}
