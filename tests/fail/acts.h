/*
 * What the scenes of several files do: to send and to receive in one way or another, and what must be
 * seen of it. See fail.h.
 */
#ifndef FAIL_ACTS_H
#define FAIL_ACTS_H

#include "fail.h"

/* ------------------------------------------------------------------ sending */

static inline int64_t send_one(struct fail_stage *s)
{
    return fail_send(s, s->out, 100, 0);
}

static inline int64_t send_waiting(struct fail_stage *s)
{
    return fail_send(s, s->out, 100, TONG_MS(2));
}

/* It frees a place once the sender sleeps. */
static inline void *skip_one_later(void *stage)
{
    struct fail_stage *s = stage;
    fail_await_sleep(s, false);
    atomic_store(&s->helped, (int)tong_skip(s->in));
    return NULL;
}

static inline int64_t send_blocked(struct fail_stage *s)
{
    const uint64_t id = fail_write(s, 100);
    fail_help(s, skip_one_later);
    const int r = tong_send(s->out, s->data, 100, KIT_PATIENCE);
    fail_helped(s);
    if (r == 0) {
        fail_promise(s, id, 100);
    }
    return r;
}

/* The first one went to the helper. */
static inline void one_was_skipped(struct fail_stage *s, int64_t answer)
{
    (void)answer;
    kit_equal(atomic_load(&s->helped), 100);
    fail_forget(s, 0);
}

/* ------------------------------------------------------------------ receiving */

/* Received into s->data; what fails leaves the message there. */
static inline int64_t receive_for(struct fail_stage *s, int64_t timeout_ns)
{
    const ssize_t n = tong_receive(s->in, s->data, FAIL_DATA, timeout_ns);
    if (n >= 0) {
        fail_take(s, s->data, (size_t)n);
    }
    return n;
}

static inline int64_t receive_one(struct fail_stage *s)
{
    return receive_for(s, 0);
}

static inline int64_t receive_waiting(struct fail_stage *s)
{
    return receive_for(s, TONG_MS(2));
}

static inline void *send_once(void *stage)
{
    struct fail_stage *s = stage;
    fail_await_sleep(s, true);
    kit_payload_write(s->data, 100, 1, 1);
    atomic_store(&s->helped, tong_send(s->out, s->data, 100, 0));
    return NULL;
}

static inline int64_t wait_for_a_message(struct fail_stage *s)
{
    s->next_id = 2;
    fail_promise(s, 1, 100);
    fail_help(s, send_once);
    const ssize_t n = tong_receive(s->in, s->data + 200, 200, KIT_PATIENCE);
    fail_helped(s);
    kit_gives(atomic_load(&s->helped), 0);
    if (n >= 0) {
        fail_take(s, s->data + 200, (size_t)n);
    }
    return n;
}

static inline int64_t skip_one(struct fail_stage *s)
{
    const ssize_t n = tong_skip(s->in);
    if (n >= 0) {
        kit_equal(n, s->waiting[0].len);
        fail_forget(s, 0);
    }
    return n;
}

static inline int64_t claim_one(struct fail_stage *s)
{
    s->message[0] = (tong_message)TONG_MESSAGE_INIT;
    return tong_claim(s->in, 0, &s->message[0]);
}

/* Read in place afterwards, and done. */
static inline void claimed(struct fail_stage *s, int64_t answer)
{
    if (answer == 0) {
        fail_take(s, s->message[0].data, s->message[0].len);
        kit_ok(tong_done(s->in, &s->message[0]));
    }
}

static inline int64_t done_with_it(struct fail_stage *s)
{
    fail_take(s, s->message[0].data, s->message[0].len);
    return tong_done(s->in, &s->message[0]);
}

static inline int64_t give_it_back(struct fail_stage *s)
{
    return tong_return(s->in, &s->message[0]);
}

/* Somebody who claims so many messages, which it holds when it is killed. */
static inline int claim_and_die(void *arg)
{
    const int n = *(const int *)arg;
    tong_mailbox *box = kit_open(FAIL_BOX, TONG_RECEIVE, NULL);
    for (int i = 0; i < n; i++) {
        tong_message message = TONG_MESSAGE_INIT;
        kit_ok(tong_claim(box, 0, &message));
    }
    const char ready = 'r';
    kit_report(&ready, 1);
    kit_await_death();
}

/* A child that has done what main says is killed. */
static inline void fail_with_a_dead_one(int (*main)(void *arg), void *arg)
{
    struct kit_child child = kit_spawn(main, arg);
    char ready;
    kit_read_report(&child, &ready, 1);
    kit_kill(&child);
}

static inline void with_claims_of_a_dead_one(struct fail_stage *s, int n)
{
    fail_with_a_dead_one(claim_and_die, &n);
    s->any_order = true;
}

/* ------------------------------------------------------------------ what must be seen */

static inline void succeeded(struct fail_stage *s, int64_t answer)
{
    (void)s;
    kit_gives(answer, 0);
}

static inline void refused(struct fail_stage *s, int64_t answer)
{
    (void)s;
    kit_true(answer < 0);
}

#endif
