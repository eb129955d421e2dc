/* Processes that name each other: every call fails once. See fail.h. */
/* What lies in an open mailbox was made for its receivers. */
#define FAIL_NEVER EACCES
#include "fail.h"

#define P "P"
#define Q "Q"
#define R "R"

/* ------------------------------------------------------------------ before */

static void with_nobody(struct fail_stage *s)
{
    s->may_be_gone = true;
}

static void with_p(struct fail_stage *s)
{
    kit_ok(tong_process_open(P, NULL, &s->me));
    s->may_be_gone = true;
}

static void with_p_and_q(struct fail_stage *s)
{
    with_p(s);
    kit_ok(tong_process_open(Q, NULL, &s->peer));
}

static int send_to(struct fail_stage *s, tong_process *me, const char *to, int64_t timeout_ns)
{
    const uint64_t id = fail_write(s, 100);
    const int r = tong_send_to(me, to, s->data, 100, timeout_ns);
    if (r == 0) {
        fail_promise(s, id, 100);
    }
    return r;
}

/* Q has sent three to P. */
static void with_three_of_q(struct fail_stage *s)
{
    with_p_and_q(s);
    for (int i = 0; i < 3; i++) {
        kit_ok(send_to(s, s->peer, P, 0));
    }
}

/* ------------------------------------------------------------------ the operations */

static int64_t open_p(struct fail_stage *s)
{
    return tong_process_open(P, NULL, &s->me);
}

static int64_t send_to_q(struct fail_stage *s)
{
    return send_to(s, s->me, Q, 0);
}

static int64_t send_to_nobody(struct fail_stage *s)
{
    return send_to(s, s->me, R, TONG_MS(2));
}

static int64_t receive_any_now(struct fail_stage *s)
{
    char from[TONG_NAME_MAX] = "untouched";
    const ssize_t n = tong_receive_any(s->me, s->data, 200, 0, from);
    kit_true(strcmp(from, n < 0 ? "untouched" : Q) == 0);
    if (n >= 0) {
        fail_take(s, s->data, (size_t)n);
    }
    return n;
}

static int64_t receive_any_a_while(struct fail_stage *s)
{
    char from[TONG_NAME_MAX];
    return tong_receive_any(s->me, s->data, 200, TONG_MS(2), from);
}

static int64_t receive_from_q(struct fail_stage *s)
{
    const ssize_t n = tong_receive_from(s->me, Q, s->data, 200, 0);
    if (n >= 0) {
        fail_take(s, s->data, (size_t)n);
    }
    return n;
}

static int64_t receive_from_q_a_while(struct fail_stage *s)
{
    return tong_receive_from(s->me, Q, s->data, 200, TONG_MS(2));
}

static int64_t receive_from_nobody(struct fail_stage *s)
{
    return tong_receive_from(s->me, R, s->data, 200, TONG_MS(2));
}

static int64_t rename_to_r(struct fail_stage *s)
{
    return tong_rename(s->me, R);
}

static int count_pair(const tong_link *link, void *arg)
{
    kit_true(strcmp(link->a, P) == 0 && strcmp(link->b, Q) == 0);
    ++*(int *)arg;
    return 0;
}

static int64_t list_pairs(struct fail_stage *s)
{
    s->listed = 0;
    return tong_links(count_pair, &s->listed);
}

/* ------------------------------------------------------------------ what must hold */

static void receive_all_at(struct fail_stage *s, tong_process *process)
{
    while (s->n_waiting > 0) {
        char from[TONG_NAME_MAX];
        const ssize_t n = tong_receive_any(process, s->data, 200, 0, from);
        kit_true(n >= 0);
        fail_take(s, s->data, (size_t)n);
    }
    char from[TONG_NAME_MAX];
    kit_gives(tong_receive_any(process, s->data, 200, 0, from), -EAGAIN);
}

/* The name is taken by who was told so, and otherwise free. */
static void is_taken(struct fail_stage *s, int64_t answer)
{
    if (answer < 0) {
        kit_true(s->me == NULL);
        kit_ok(open_p(s));
    }
    tong_process *again = NULL;
    kit_gives(tong_process_open(P, NULL, &again), -EBUSY);
    kit_ok(tong_process_open(Q, NULL, &s->peer));
    kit_ok(send_to(s, s->peer, P, 0));
    receive_all_at(s, s->me);
}

/* What was sent is at Q, and P can send more. */
static void is_at_q(struct fail_stage *s, int64_t answer)
{
    (void)answer;
    kit_ok(send_to(s, s->me, Q, 0));
    receive_all_at(s, s->peer);
}

static void was_nobody(struct fail_stage *s, int64_t answer)
{
    kit_true(answer < 0);
    is_at_q(s, answer);
}

/* What was not received is there. */
static void is_at_p(struct fail_stage *s, int64_t answer)
{
    (void)answer;
    kit_ok(send_to(s, s->peer, P, 0));
    receive_all_at(s, s->me);
}

static void was_nothing(struct fail_stage *s, int64_t answer)
{
    kit_true(answer < 0);
    is_at_p(s, answer);
}

/* It has one of the two names, and its messages. */
static void has_a_name(struct fail_stage *s, int64_t answer)
{
    tong_process *third = NULL;
    kit_gives(tong_process_open(answer == 0 ? R : P, NULL, &third), -EBUSY);
    kit_gives(send_to(s, s->peer, answer == 0 ? P : R, 0), -ENOENT);
    kit_ok(send_to(s, s->peer, answer == 0 ? R : P, 0));
    kit_ok(tong_rename(s->me, R));
    kit_ok(send_to(s, s->peer, R, 0));
    receive_all_at(s, s->me);
}

static void was_told_of(struct fail_stage *s, int64_t answer)
{
    kit_true(answer < 0 || s->listed == 1);
    is_at_p(s, answer);
}

FAIL_SCENE(a_process_opens, "process_open", "tong_process_open", with_nobody, open_p, is_taken)
FAIL_SCENE(the_first_send, "send_to, first of a pair", "tong_send_to", with_p_and_q, send_to_q,
           is_at_q)
FAIL_SCENE(a_send_to_nobody, "send_to, nobody there, 2 ms", "tong_send_to", with_p_and_q,
           send_to_nobody, was_nobody)
FAIL_SCENE(a_receive_of_anyone, "receive_any", "tong_receive_any", with_three_of_q, receive_any_now,
           is_at_p)
FAIL_SCENE(a_receive_of_anyone_that_waits, "receive_any, empty, 2 ms", "tong_receive_any",
           with_p_and_q, receive_any_a_while, was_nothing)
FAIL_SCENE(a_receive_of_one, "receive_from", "tong_receive_from", with_three_of_q, receive_from_q,
           is_at_p)
FAIL_SCENE(a_receive_of_one_that_waits, "receive_from, empty, 2 ms", "tong_receive_from",
           with_p_and_q, receive_from_q_a_while, was_nothing)
FAIL_SCENE(a_receive_of_nobody, "receive_from, nobody there, 2 ms", "tong_receive_from",
           with_three_of_q, receive_from_nobody, is_at_p)
FAIL_SCENE(a_rename, "rename", "tong_rename", with_three_of_q, rename_to_r, has_a_name)
FAIL_SCENE(a_look_at_the_links, "links", "tong_links", with_three_of_q, list_pairs, was_told_of)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_process_opens, 120),
    KIT_TEST_LONG(the_first_send, 120),
    KIT_TEST_LONG(a_send_to_nobody, 120),
    KIT_TEST_LONG(a_receive_of_anyone, 120),
    KIT_TEST_LONG(a_receive_of_anyone_that_waits, 120),
    KIT_TEST_LONG(a_receive_of_one, 120),
    KIT_TEST_LONG(a_receive_of_one_that_waits, 120),
    KIT_TEST_LONG(a_receive_of_nobody, 120),
    KIT_TEST_LONG(a_rename, 120),
    KIT_TEST_LONG(a_look_at_the_links, 120),
};

KIT_MAIN(tests)
