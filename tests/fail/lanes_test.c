/* Order by priority: a sender has a link for each it uses: every call in it fails once. See fail.h. */
/* What lies in an open mailbox was made for its receivers. */
#define FAIL_NEVER EACCES
#include "acts.h"

#define HIGH 5u

static void with(struct fail_stage *s, uint32_t link_capacity)
{
    tong_options options = kit_options();
    options.by_priority = 1;
    options.link_capacity = link_capacity;
    s->in = kit_open(FAIL_BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options);
    s->out = kit_open(FAIL_BOX, TONG_SEND, NULL);
}

/* Those of one priority come in their order: to fail.h each is a sender of its own. */
static int send_with(struct fail_stage *s, uint32_t priority, int64_t timeout_ns)
{
    tong_send_options say = TONG_SEND_OPTIONS_INIT;
    say.priority = priority;
    s->sender = 1 + priority;
    const uint64_t id = fail_write(s, 100);
    const int r = tong_send_with(s->out, s->data, 100, &say, timeout_ns);
    if (r == 0) {
        fail_promise(s, id, 100);
    }
    s->sender = 1;
    return r;
}

static void with_none(struct fail_stage *s)
{
    with(s, TONG_DEFAULT);
}

static void with_a_plain_one(struct fail_stage *s)
{
    with(s, TONG_DEFAULT);
    kit_ok(send_with(s, 0, 0));
}

static void with_both(struct fail_stage *s)
{
    with_a_plain_one(s);
    kit_ok(send_with(s, HIGH, 0));
}

static void with_a_full_lane(struct fail_stage *s)
{
    with(s, 3);
    while (send_with(s, HIGH, 0) == 0) {
    }
}

/* ------------------------------------------------------------------ what is done */

static int64_t send_high(struct fail_stage *s)
{
    return send_with(s, HIGH, 0);
}

static int64_t send_high_waiting(struct fail_stage *s)
{
    return send_with(s, HIGH, TONG_MS(2));
}

static int64_t close_it(struct fail_stage *s)
{
    tong_mailbox *box = s->out;
    s->out = NULL;
    return tong_close(box);
}

/* ------------------------------------------------------------------ what must hold */

/* What has a higher priority comes first, with the lane that failed and with a new one. */
static void high_comes_first(struct fail_stage *s, int64_t answer)
{
    (void)answer;
    kit_ok(send_with(s, 0, 0));
    kit_ok(send_with(s, HIGH, 0));
    kit_ok(send_with(s, HIGH + 1, 0));
    tong_message message = TONG_MESSAGE_INIT;
    uint32_t last = TONG_PRIORITY_MAX;
    while (tong_claim(s->in, 0, &message) == 0) {
        kit_true(message.priority <= last);
        last = message.priority;
        fail_take(s, message.data, message.len);
        kit_ok(tong_done(s->in, &message));
        message = (tong_message)TONG_MESSAGE_INIT;
    }
    kit_equal(s->n_waiting, 0);
}

static void high_came_first(struct fail_stage *s, int64_t answer)
{
    if (answer >= 0) {
        kit_equal(s->n_waiting, 1);
        kit_equal(s->waiting[0].sender, 1);
    }
    high_comes_first(s, answer);
}

static void it_is_full(struct fail_stage *s, int64_t answer)
{
    kit_true(answer < 0);
    kit_ok(send_with(s, 0, 0)); /* the others are not */
}

static void closed(struct fail_stage *s, int64_t answer)
{
    kit_equal(answer, 0);
    s->out = kit_open(FAIL_BOX, TONG_SEND, NULL);
}

FAIL_SCENE(a_first_one, "lanes: send, first of a handle", "tong_send_with", with_none, send_high,
           high_comes_first)
FAIL_SCENE(a_new_lane, "lanes: send, another priority", "tong_send_with", with_a_plain_one,
           send_high, high_comes_first)
FAIL_SCENE(a_full_lane, "lanes: send, a full one", "tong_send_with", with_a_full_lane,
           send_high_waiting, it_is_full)
FAIL_SCENE(receiving, "lanes: receive, first", "tong_receive", with_both, receive_one,
           high_came_first)
FAIL_SCENE(closing, "lanes: close a sender", "tong_close", with_both, close_it, closed)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_first_one, 120), KIT_TEST_LONG(a_new_lane, 120),
    KIT_TEST_LONG(a_full_lane, 120), KIT_TEST_LONG(receiving, 120),
    KIT_TEST_LONG(closing, 120),
};

KIT_MAIN(tests)
