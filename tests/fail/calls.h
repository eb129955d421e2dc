/*
 * What scenes of requests and replies do, whatever carries them: a server in a thread of the process, a caller in
 * one. s->in and s->out are open. See fail.h.
 */
#ifndef FAIL_CALLS_H
#define FAIL_CALLS_H

#include "acts.h"

/* ------------------------------------------------------------------ the other side */

/* Answers what comes, to the end of the operation. */
static inline void *serve(void *stage)
{
    struct fail_stage *s = stage;
    while (!atomic_load(&s->over)) {
        tong_message request = TONG_MESSAGE_INIT;
        const int r = tong_claim(s->in, TONG_MS(1), &request);
        if (r == 0) {
            const int answered = tong_reply(s->in, &request, "reply", 5, KIT_PATIENCE);
            kit_true(answered == 0 || answered == -ENOENT);
        } else {
            kit_gives(r, -ETIMEDOUT);
        }
    }
    return NULL;
}

static inline void *call_and_wait(void *stage)
{
    struct fail_stage *s = stage;
    char reply[8];
    atomic_store(&s->helped,
                 (int)tong_call(s->out, "request", 7, reply, sizeof(reply), KIT_PATIENCE));
    return NULL;
}

/* ------------------------------------------------------------------ before */

static inline void claim_a_request(struct fail_stage *s)
{
    fail_help(s, call_and_wait);
    s->message[0] = (tong_message)TONG_MESSAGE_INIT;
    kit_ok(tong_claim(s->in, KIT_PATIENCE, &s->message[0]));
}

static inline void let_a_request_wait(struct fail_stage *s)
{
    fail_help(s, call_and_wait);
    kit_until(kit_stat(FAIL_BOX).waiting == 1);
    s->message[0] = (tong_message)TONG_MESSAGE_INIT;
}

/* ------------------------------------------------------------------ the operations */

static inline int64_t call(struct fail_stage *s)
{
    char reply[8];
    const ssize_t n = tong_call(s->out, "request", 7, reply, sizeof(reply), KIT_PATIENCE);
    kit_true(n < 0 || (n == 5 && memcmp(reply, "reply", 5) == 0));
    return n;
}

static inline int64_t reply(struct fail_stage *s)
{
    return tong_reply(s->in, &s->message[0], "reply", 5, KIT_PATIENCE);
}

static inline int64_t receive_request(struct fail_stage *s)
{
    return tong_receive_with(s->in, s->data, 100, NULL, 0, &s->message[0]);
}

/* ------------------------------------------------------------------ what must hold */

/* Requests of calls that failed behind their send. */
static inline void throw_requests_away(struct fail_stage *s)
{
    tong_message request = TONG_MESSAGE_INIT;
    while (tong_claim(s->in, 0, &request) == 0) {
        kit_equal(request.len, 7);
        kit_ok(tong_done(s->in, &request));
    }
}

/* The next call has its reply. */
static inline void is_called_again(struct fail_stage *s, int64_t answer)
{
    (void)answer;
    kit_gives(call(s), 5);
    fail_helped(s);
    throw_requests_away(s);
}

/* The caller has its reply in the end, unless it was said to be gone. */
static inline void is_answered(struct fail_stage *s, int64_t answer)
{
    if (answer < 0 && answer != -ENOENT) {
        kit_ok(reply(s));
    }
    fail_helped(s);
    const int told = atomic_load(&s->helped);
    kit_true(told == 5 || (answer == -ENOENT && told == -EOWNERDEAD));
    kit_gives(reply(s), -EINVAL);
}

/* What was not received now is received, and then answered. */
static inline void is_received(struct fail_stage *s, int64_t answer)
{
    if (answer < 0) {
        kit_gives(receive_request(s), 7);
    }
    is_answered(s, reply(s));
}

#endif
