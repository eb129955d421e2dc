/*
 * Waiting for a message on several mailboxes: a place in the queue of each, and one sleep on all their
 * bells.
 */
#include <errno.h>

#include "base/probe.h"
#include "mailbox/receive.h"

#define WAIT_ANY_MOST 64

/* One look at one mailbox: 1 something to do there (a message, or its end), 0 nothing, or
 * TG_TAKE_TOO_OFTEN. */
static int look_at(struct tg_box *box, const struct tg_call *call)
{
    if (tg_receive_check(box) < 0) {
        return 1;
    }
    struct tg_take take = { .how = TG_TAKE_LOOK };
    tg_box_fresh_users(box);
    const int r = tg_receive_look(box, call, &take);
    return r == TG_TAKE_TOO_OFTEN ? r : r != 0;
}

static void leave_all(struct tg_box *const boxes[], size_t n, struct tg_call calls[])
{
    for (size_t i = 0; i < n; i++) {
        (void)tg_receive_give_up(boxes[i], &calls[i], 0);
    }
}

/* Look at all, and prepare a sleep on those that have nothing. Index, -1 nothing, or -errno - 2. */
static int look_at_all(struct tg_box *const boxes[], size_t n, struct tg_call calls[],
                       struct tg_waitset *all)
{
    tg_waitset_clear(all);
    for (size_t i = 0; i < n; i++) {
        struct tg_box *box = boxes[i];
        struct tg_call *call = &calls[i];
        for (;;) {
            while (tg_box_lock(box, TG_NEVER) < 0) {
            }
            const int found = look_at(box, call);
            if (found == TG_TAKE_TOO_OFTEN) {
                tg_receive_leave_queue(box, call);
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
            call->delivery = box->rx.delivery;
            if (tg_queue_prepare(box, &one) == 0) {
                tg_waitset_merge(all, &one);
                break;
            }
            tg_box_unlock(box);
        }
    }
    return -1;
}

static bool any_interrupted(struct tg_box *const boxes[], size_t n, const struct tg_call calls[])
{
    for (size_t i = 0; i < n; i++) {
        if (tg_box_is_interrupted(boxes[i], calls[i].interrupts)) {
            return true;
        }
    }
    return false;
}

static int sleep_on_all(struct tg_box *const boxes[], size_t n, struct tg_call calls[],
                        struct tg_waitset *all)
{
    for (size_t i = 0; i < n; i++) {
        if (!tg_box_may_sleep(boxes[i], all) || !tg_box_may_receive(boxes[i]) ||
            !tg_choice_is(boxes[i], calls[i].delivery)) {
            return 0;
        }
    }
    if (any_interrupted(boxes, n, calls)) {
        return -ECANCELED;
    }
    const int64_t piece = tg_now_ns() + tg_backstop_ns(calls[0].sleeps++);
    for (size_t i = 0; i < n; i++) {
        TG_PROBE(wait, boxes[i]->name, TONG_RECEIVE);
        tg_gate_set_asleep(&boxes[i]->rx.gate, true);
    }
    const int r = tg_waitset_sleep(all, piece < calls[0].deadline ? piece : calls[0].deadline);
    for (size_t i = 0; i < n; i++) {
        tg_gate_set_asleep(&boxes[i]->rx.gate, false);
    }
    tg_life_pass_on(all);
    return r == -EINTR ? r : 0;
}

static int wait_gated(struct tg_box *const boxes[], size_t n, struct tg_call calls[])
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
static int begin_all(struct tg_box *const boxes[], size_t n, int64_t deadline,
                     struct tg_call calls[])
{
    for (size_t i = 0; i < n; i++) {
        const int r = tg_receive_begin(boxes[i], deadline, &calls[i]);
        if (r == -EIDRM || r == -EOWNERDEAD || r == -EPERM || r == -ENOSYS) {
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
    struct tg_call calls[WAIT_ANY_MOST];
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
        r = tg_gate_enter(&box->rx.gate, deadline, &box->interrupts->now,
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
