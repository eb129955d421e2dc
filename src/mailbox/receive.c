/*
 * Receiving: look, spin briefly, queue, sleep.
 *
 *   hint?  no: time-out 0 answers at once; else spin while nobody sleeps before us
 *   token; is it our turn? take
 *   nothing: ticket, prepare the sleep (queue.c), sleep, look again
 *
 * The sleep has a back-stop: it ends after 1 s (doubling to 8 s) for one look at everything, locks
 * of lives included. Nothing relies on it; what it finds is counted.
 */
#include "mailbox/receive.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/name.h"
#include "base/probe.h"
#include "mailbox/select.h"

#define TRIES 3 /* others may be faster */

/* ---- one look, token held */

/* Of who takes whatever comes; of such messages only where some have a key. */
static bool is_next(struct tg_box *box, const struct tg_call *call)
{
    const uint32_t sleepers = tg_queue_sleepers(box);
    if (sleepers == 0 || (call->queued && tg_queue_is_first(box))) {
        return true;
    }
    const uint32_t needed = tg_choice_needed(box, sleepers);
    if (needed <= 1) {
        return true;
    }
    const struct tg_viewer who = box->policy->by_key ? tg_select_nobody() : tg_select_me(box);
    return !call->queued && needed != TG_NEVER_TAKES && tg_take_count(box, &who, needed) >= needed;
}

static bool is_our_turn(struct tg_box *box, const struct tg_call *call)
{
    /* Who asks for some messages only, or has keys, finds out at each message. */
    if (box->rx.wish.selects || box->policy->by_key) {
        box->rx.takes_any = box->rx.wish.selects || is_next(box, call);
        return true;
    }
    return is_next(box, call);
}

bool tg_receive_is_turn(struct tg_box *box)
{
    const struct tg_call comes = { .queued = false };
    return is_our_turn(box, &comes);
}

/* Every so often, and when there is nothing else to do: has a receiver died with claims? */
static void look_after_others(struct tg_box *box, bool idle)
{
    if (tg_load_relaxed(&box->head->n_slots) > 1 && (idle || ++box->rx.looks % 64 == 0) &&
        tg_slot_any_dead(box)) {
        (void)tg_slot_repair(box);
    }
}

int tg_receive_look(struct tg_box *box, const struct tg_call *call, struct tg_take *take)
{
    int r = tg_choice_admits(box);
    if (r < 0) {
        /* One of those that came before may be dead. */
        r = tg_slot_any_dead(box) && tg_slot_repair(box) ? tg_choice_admits(box) : r;
        if (r < 0) {
            return r;
        }
    }
    /* While one user keeps it busy another one may have come. */
    if (++box->rx.user_looks % 64 == 0) {
        tg_box_fresh_users(box);
    }
    r = tg_links_stale(box) ? tg_links_refresh(box) : 0;
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

void tg_receive_leave_queue(struct tg_box *box, struct tg_call *call)
{
    if (call->queued) {
        tg_queue_leave(box, box->rx.slot);
        call->queued = false;
    }
}

/* Out of the queue without the token yet; r is handed through. */
int tg_receive_give_up(struct tg_box *box, struct tg_call *call, int r)
{
    if (call->queued) {
        while (tg_box_lock(box, TG_NEVER) < 0) {
        }
        tg_receive_leave_queue(box, call);
        tg_box_unlock(box);
    }
    return r;
}

/* ---- sleeping */

static bool takes_all(const struct tg_box *box)
{
    return !box->rx.wish.selects && !box->policy->by_key;
}

/* The back-stop: look at everything, and trust the locks alone. What is rung for by now it has not found. */
static void backstop(struct tg_box *box, const struct tg_waitset *set)
{
    const uint32_t n = tg_load_relaxed(&box->head->n_slots);
    /* What is there may not be for this one: then the next look tells. */
    bool found = takes_all(box) && tg_receive_hint(box);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX && !found; i++) {
        const uint64_t owner = tg_load_relaxed(&box->slots[i].owner);
        found = owner != 0 && owner != box->me &&
                !tg_life_is_alive_surely(box->root, owner, box->dir_uid);
    }
    found = found && !tg_waitset_changed(set);
    if (found && (tg_load_relaxed(&box->head->n_sleepers) == 1 || tg_queue_is_named(box))) {
        (void)tg_add(&box->head->finds, 1);
    }
}

static int sleep_once(struct tg_box *box, struct tg_call *call, const struct tg_waitset *set)
{
    const int64_t piece = tg_now_ns() + tg_backstop_ns(call->sleeps);
    const bool is_backstop = piece < call->deadline;
    TG_PROBE(wait, box->name, TONG_RECEIVE);
    tg_gate_set_asleep(&box->rx.gate, true);
    const int r = tg_waitset_sleep(set, is_backstop ? piece : call->deadline);
    tg_gate_set_asleep(&box->rx.gate, false);
    tg_life_pass_on(set);
    call->by_backstop = r == -ETIMEDOUT && is_backstop;
    if (call->by_backstop) {
        call->sleeps++;
        backstop(box, set);
        call->by_backstop = !tg_waitset_changed(set);
    }
    return r == -EINTR ? r : 0;
}

/* Of a call that waits for somebody, beside the mailbox: the process whose messages it wants, or who has
 * its request. 0, or why it waits no more. */
static int why_it_ends(const struct tg_call *call)
{
    return call->where != NULL ? tg_request_check(call->peer, call->where)
                               : tg_from_check(call->peer);
}

static bool may_sleep_beside(const struct tg_call *call, struct tg_waitset *set)
{
    if (call->peer == NULL || call->where == NULL) {
        return tg_from_may_sleep(call->peer, set);
    }
    /* What interrupts it rings no bell of the mailbox for replies. */
    tg_waitset_add(set, &call->peer->interrupts->now, call->interrupts);
    return tg_request_may_sleep(call->peer, call->where, set);
}

/* Token held; given back in any case. 0: look again. */
static int queue_and_sleep(struct tg_box *box, struct tg_call *call)
{
    if (!call->queued) {
        tg_queue_enter(box);
        call->queued = true;
    }
    tg_life_renew(box->root);
    tg_life_watch_begin(box->root);
    if (call->peer != NULL) {
        tg_life_watch_begin(call->peer->root);
    }
    struct tg_waitset set;
    call->delivery = box->rx.delivery;
    if (box->capacity == 0) {
        tg_poll_ring_waiting(box);
    }
    int r = tg_queue_prepare(box, &set);
    if (r == 1) {
        tg_box_unlock(box);
        r = 0;
    } else if (tg_box_may_sleep(box, &set) && tg_box_may_receive(box) &&
               tg_choice_is(box, call->delivery) && may_sleep_beside(call, &set) &&
               atomic_load_explicit(&box->interrupts->now, memory_order_seq_cst) ==
                   call->interrupts) {
        /* Both were asked after the bell was read: who ends the mailbox or interrupts rings it. */
        r = sleep_once(box, call, &set);
    }
    if (call->peer != NULL) {
        tg_life_watch_end(call->peer->root);
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

int tg_receive_check(struct tg_box *box)
{
    const int r = tg_box_check(box);
    if (r == 0 && !tg_box_may_receive(box)) {
        return -EPERM;
    }
    return r == 0 && tg_load_relaxed(&box->refused) != 0 ? tg_choice_refusal(box) : r;
}

static bool has_parked(const struct tg_box *box, const struct tg_take *take)
{
    return take->how == TG_TAKE_SKIP && tg_load_relaxed(&box->head->n_parked) != 0;
}

/* 0: it may. */
static int why_not_sleep(struct tg_box *box, const struct tg_call *call)
{
    if (call->deadline == 0) {
        return -EAGAIN;
    }
    if (tg_box_is_interrupted(box, call->interrupts)) {
        return -ECANCELED;
    }
    return tg_is_over(call->deadline) ? -ETIMEDOUT : 0;
}

static bool may_go_short(struct tg_box *box, const struct tg_take *take, const struct tg_call *call)
{
    return take->how == TG_TAKE_COPY && take->info == NULL && !call->queued &&
           tg_load_relaxed(&box->refused) == 0 && tg_from_allows_short(box);
}

static void note_taken(struct tg_box *box, const struct tg_call *call)
{
    tg_choice_served(box);
    if (call->by_backstop && !takes_all(box)) {
        (void)tg_add(&box->head->finds, 1);
    }
}

static bool go_short(struct tg_box *box, struct tg_take *take, bool *may_spin)
{
    bool spun = false;
    if (tg_receive_short(box, take, *may_spin, &spun)) {
        tg_from_tell(box, box->rx.attached[box->rx.cursor], take);
        return true;
    }
    *may_spin = *may_spin && !spun;
    return false;
}

/* Once a call, while nobody sleeps: whether something may be there now. */
static bool spin(struct tg_box *box, bool *may_spin)
{
    if (!*may_spin || tg_load_relaxed(&box->head->n_sleepers) != 0) {
        return false;
    }
    *may_spin = false;
    return tg_receive_spin(box);
}

/* Token held. is_last: what another user sent before the end must be seen. empty: nothing was in the queue just now, and who
 * then sleeps looks again before. */
static int look(struct tg_box *box, const struct tg_call *call, struct tg_take *take, bool is_last,
                bool empty)
{
    if (is_last) {
        tg_box_fresh_users(box);
    }
    if (empty && !is_last && call->deadline != 0) {
        box->carry->is_empty = true;
    }
    const int r = tg_receive_look(box, call, take);
    if (empty) {
        box->carry->is_empty = false;
    }
    return r;
}

/* Of this turn: whether the short way found the queue empty, before it or in it. */
static bool found_empty(struct tg_box *box)
{
    if (!box->rx.empty) {
        return false;
    }
    box->rx.empty = false;
    return true;
}

/* looked: getting what is in a queue tells more than a look; of a call that must not wait that comes first (counted.c, I2). */
static int receive_turns(struct tg_box *box, struct tg_take *take, struct tg_call *call)
{
    bool may_spin = call->deadline != 0 && !call->spun;
    bool looked = box->way == NULL || call->deadline != 0;
    for (;;) {
        if (may_go_short(box, take, call) && !box->rx.empty && go_short(box, take, &may_spin)) {
            return 1;
        }
        bool empty = found_empty(box);
        looked = looked || empty;
        int r = tg_receive_check(box);
        if (r < 0) {
            return tg_receive_give_up(box, call, r);
        }
        /* Before the look: what was sent before the end is taken first. */
        const int end = why_it_ends(call);
        if (looked && !call->queued && (empty || !tg_receive_hint(box)) && !has_parked(box, take)) {
            if (call->deadline == 0 && !looks_closer(box)) {
                return -EAGAIN;
            }
            if (spin(box, &may_spin)) {
                continue;
            }
            empty = box->way != NULL;
        }
        r = tg_box_lock(box, call->deadline);
        if (r < 0) {
            return tg_receive_give_up(box, call, r);
        }
        if (!tg_box_may_take(box)) {
            /* It was given away while this call waited for the token. */
            tg_receive_leave_queue(box, call);
            tg_box_unlock(box);
            continue;
        }
        r = look(box, call, take, end != 0, empty);
        if (r == TG_TAKE_TOO_OFTEN) {
            tg_receive_leave_queue(box, call);
            tg_dead_letter(box);
            continue;
        }
        if (r == 1) {
            note_taken(box, call);
        }
        r = r != 0 ? r : end != 0 ? end : why_not_sleep(box, call);
        if (r != 0) {
            tg_receive_leave_queue(box, call);
            tg_box_unlock(box);
            return r;
        }
        if (!looked) {
            looked = true;
            tg_box_unlock(box);
            continue;
        }
        r = queue_and_sleep(box, call);
        if (r < 0) {
            return tg_receive_give_up(box, call, r);
        }
    }
}

static int receive_gated(struct tg_box *box, struct tg_take *take, struct tg_call *call)
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
int tg_receive_begin(struct tg_box *box, int64_t deadline, struct tg_call *call)
{
    *call = (struct tg_call){ .deadline = deadline, .interrupts = tg_box_interrupts(box) };
    const int r = tg_box_begin(box);
    if (r < 0 || !box->rx.has_slot) {
        return r < 0 ? r : -EBADF;
    }
    if (!tg_box_may_receive(box)) {
        return -EPERM;
    }
    return tg_load_relaxed(&box->refused) != 0 ? tg_choice_refusal(box) : 0;
}

/* Begin, and get the gate. */
static int enter(struct tg_box *box, int64_t timeout_ns, struct tg_call *call)
{
    const int r = tg_receive_begin(box, tg_deadline(timeout_ns), call);
    if (r < 0) {
        return r;
    }
    return tg_gate_enter(&box->rx.gate, call->deadline, &box->interrupts->now, call->interrupts);
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
    const bool is_kept = copied == 0 && take->is_asked && take->may_answer;
    const uint32_t done = TG_ENTRY(TG_RELEASED, take->deliveries);
    take->answering = is_kept ? take->entry : NULL;
    tg_claims_finish(box, take->entry, is_kept ? done | TG_ASKED : done);
    if (take->is_asked && !is_kept) {
        tg_request_tell_now(box);
    }
    return copied < 0 ? copied : 1;
}

/* The gate is held. Of a handle in an event loop: what its descriptor speaks of is taken, not told of
 * again. It speaks of all senders, whoever this call wanted. */
static int receive_polled(struct tg_box *box, struct tg_take *take, struct tg_call *call,
                          const struct tg_wish *wish)
{
    tg_poll_begin(box);
    box->rx.wish = *wish;
    int r = receive_gated(box, take, call);
    box->rx.wish = (struct tg_wish){ .only = NULL };
    for (int tries = 0; tg_poll_settle(box, r) && r == -EAGAIN && !wish->selects && tries < TRIES;
         tries++) {
        r = receive_gated(box, take, call);
    }
    return r;
}

static int receive(struct tg_box *box, struct tg_take *take, int64_t timeout_ns, bool spun)
{
    const struct tg_wish all = { .only = NULL };
    return tg_receive_wish(box, take, timeout_ns, spun, &all, NULL);
}

int tg_receive_wish(struct tg_box *box, struct tg_take *take, int64_t timeout_ns, bool spun,
                    const struct tg_wish *wish, const struct tg_beside *beside)
{
    struct tg_call call;
    int r = enter(box, timeout_ns, &call);
    if (r < 0) {
        box->rx.empty = false;
        return r;
    }
    call.spun = spun;
    call.peer = beside != NULL ? beside->peer : NULL;
    call.where = beside != NULL ? beside->where : NULL;
    r = receive_polled(box, take, &call, wish);
    if (r == 1) {
        r = finish_copy(box, take);
    }
    if (r == 1) {
        TG_PROBE(receive, box->name, take->len);
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
        tg_receive_short(box, &take, timeout_ns != 0, &spun)) {
        TG_PROBE(receive, box->name, take.len);
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

static void tell_info(struct tg_box *box, const struct tg_take *take, int r, tong_message *ret_info)
{
    if (ret_info == NULL || (r != 1 && r != -EMSGSIZE)) {
        return;
    }
    const uint32_t struct_size = ret_info->struct_size;
    *ret_info = *take->info;
    ret_info->struct_size = struct_size;
    ret_info->data = r == 1 ? take->buf : NULL;
    if (r == 1 && take->answering != NULL) {
        tg_claims_mark(box, take->answering, ret_info);
    }
}

static int make_wish(const tong_receive_options *with, struct tg_wish *ret_wish)
{
    const int r = with->from != NULL ? tg_name_check(with->from) : 0;
    if (r < 0 || with->min_priority >= TG_PRIORITIES) {
        return r < 0 ? r : -EINVAL;
    }
    *ret_wish = (struct tg_wish){ .only = with->from,
                                  .tag = with->tag,
                                  .min_priority = with->min_priority,
                                  .selects = with->from != NULL || with->tag != 0 ||
                                             with->min_priority != 0 };
    return 0;
}

ssize_t tg_box_receive_with(struct tg_box *box, void *buf, size_t size,
                            const tong_receive_options *with, int64_t timeout_ns,
                            tong_message *ret_info)
{
    struct tg_wish wish = { .only = NULL };
    int r = with != NULL ? make_wish(with, &wish) : 0;
    if (r < 0) {
        return r;
    }
    tong_message info = TONG_MESSAGE_INIT;
    struct tg_take take = {
        .how = TG_TAKE_COPY, .buf = buf, .size = size, .info = &info, .may_answer = ret_info != NULL
    };
    r = tg_receive_wish(box, &take, timeout_ns, false, &wish, NULL);
    tell_info(box, &take, r, ret_info);
    return r == 1 ? (ssize_t)take.len : r;
}

ssize_t tg_box_await(struct tg_box *box, struct tg_box *reply, const uint64_t where[2],
                     uint64_t number, void *buf, size_t size, int64_t timeout_ns,
                     tong_message *ret_info)
{
    tong_message info = TONG_MESSAGE_INIT;
    struct tg_take take = { .how = TG_TAKE_COPY,
                            .buf = buf,
                            .size = size,
                            .info = &info,
                            .call = number,
                            .by = box->dir_uid };
    const struct tg_wish all = { .only = NULL };
    const struct tg_beside beside = { .peer = box, .where = where };
    const int r = tg_receive_wish(reply, &take, timeout_ns, false, &all, &beside);
    tell_info(reply, &take, r, ret_info);
    return r == 1 ? (ssize_t)take.len : r;
}

int tg_box_claim(struct tg_box *box, const tong_receive_options *with, int64_t timeout_ns,
                 tong_message *ret_message)
{
    struct tg_take take = { .how = TG_TAKE_CLAIM, .info = ret_message };
    struct tg_wish wish = { .only = NULL };
    int r = with != NULL ? make_wish(with, &wish) : 0;
    if (r < 0) {
        return r;
    }
    r = tg_receive_wish(box, &take, timeout_ns, false, &wish, NULL);
    if (r != 1 || take.at == NULL || take.entry == NULL) {
        return r;
    }
    box->rx.copies[take.entry - tg_claims_of(box, box->rx.slot)] =
        take.copy != NULL ? take.copy : take.body;
    ret_message->data = take.data;
    tg_claims_mark(box, take.entry, ret_message);
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
                        const struct tg_call *call, size_t *ret_lens)
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
        TG_PROBE(receive, box->name, take.len);
        ret_lens[taken++] = take.len;
    }
    return taken;
}

/* The first one, as any receive call does. 1, or why there is none. */
static int take_first(struct tg_box *box, const struct iovec *buffer, struct tg_call *call,
                      size_t *ret_len)
{
    struct tg_take take = copy_into(buffer);
    const struct tg_wish all = { .only = NULL };
    int r = receive_polled(box, &take, call, &all);
    if (r == 1) {
        r = finish_copy(box, &take);
    }
    if (r == 1) {
        TG_PROBE(receive, box->name, take.len);
        *ret_len = take.len;
    }
    return r;
}

ssize_t tg_box_receive_many(struct tg_box *box, const struct iovec *buffers, size_t n,
                            int64_t timeout_ns, size_t *ret_lens)
{
    struct tg_call call;
    size_t taken = 0;
    bool spun = false;
    /* As in tg_box_receive(). */
    if (__libc_single_threaded && n != 0 && box->rx.has_slot && tg_box_is_simple(box)) {
        taken = tg_receive_short_many(box, buffers, n, timeout_ns != 0, &spun, ret_lens);
        if (taken == n || (taken != 0 && !tg_receive_hint(box))) {
            return (ssize_t)taken;
        }
    }
    int r = enter(box, n == 0 || taken != 0 ? 0 : timeout_ns, &call);
    if (r < 0) {
        return taken != 0 ? (ssize_t)taken : r;
    }
    if (n != 0 && taken == 0) {
        call.spun = spun;
        r = take_first(box, &buffers[0], &call, &ret_lens[0]);
        taken = r == 1;
    }
    if (taken != 0) {
        if (taken < n && tg_receive_hint(box) && tg_box_lock(box, call.deadline) == 0) {
            taken = take_more(box, buffers, n, taken, &call, ret_lens);
            tg_box_unlock(box);
        }
        (void)tg_poll_settle(box, 1);
    }
    tg_gate_leave(&box->rx.gate);
    return taken != 0 ? (ssize_t)taken : r;
}
