/* The carrier unix, in its owner: to everyone, and by priority: every call in it fails once. See fail.h. */
/* What lies in an open mailbox was made for its senders. */
#define FAIL_NEVER EACCES
#define FAIL_BOX "unix:box"
#define FAIL_ENDS_WITH_OWNER true
#include "acts.h"

#define HIGH 5u

static void with(struct fail_stage *s, const tong_options *options)
{
    s->in = kit_open(FAIL_BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, options);
    s->out = kit_open(FAIL_BOX, TONG_SEND, NULL);
}

static void to_all(struct fail_stage *s)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    options.delivery = TONG_EVERYONE;
    with(s, &options);
    s->more = kit_open(FAIL_BOX, TONG_RECEIVE, NULL);
}

static void to_all_with_three(struct fail_stage *s)
{
    to_all(s);
    for (int i = 0; i < 3; i++) {
        kit_ok(fail_send(s, s->out, 100, 0));
    }
}

static void by_priority(struct fail_stage *s)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    options.by_priority = 1;
    with(s, &options);
}

/* ------------------------------------------------------------------ what is done */

static int64_t come_for_the_oldest(struct fail_stage *s)
{
    (void)tong_close(s->more);
    s->more = NULL;
    return tong_open(FAIL_BOX, TONG_RECEIVE | TONG_FROM_OLDEST, NULL, &s->more);
}

static int64_t leave(struct fail_stage *s)
{
    tong_mailbox *box = s->more;
    s->more = NULL;
    return tong_close(box);
}

/* To fail.h those of each priority are of a sender of its own. */
static int64_t send_high(struct fail_stage *s)
{
    tong_send_options say = TONG_SEND_OPTIONS_INIT;
    say.priority = HIGH;
    s->sender = 1 + HIGH;
    const uint64_t id = fail_write(s, 100);
    const int r = tong_send_with(s->out, s->data, 100, &say, 0);
    if (r == 0) {
        fail_promise(s, id, 100);
    }
    s->sender = 1;
    return r;
}

/* ------------------------------------------------------------------ what must hold */

/* The other receiver gets all that waits, too. */
static void has_all(struct fail_stage *s, tong_mailbox *box)
{
    static struct fail_stage other;
    other = *s;
    fail_drain(&other, box);
}

static void all_have_it(struct fail_stage *s, int64_t answer)
{
    kit_true(answer <= 0);
    has_all(s, s->more);
}

static void has_the_oldest_or_is_not_there(struct fail_stage *s, int64_t answer)
{
    kit_true((answer == 0) == (s->more != NULL));
    if (answer != 0) {
        kit_ok(come_for_the_oldest(s));
    }
    has_all(s, s->more);
}

static void the_claim_is_done(struct fail_stage *s, int64_t answer)
{
    has_all(s, s->more);
    if (answer != 0) {
        kit_ok(claim_one(s));
    }
    fail_take(s, s->message[0].data, s->message[0].len);
    kit_ok(tong_done(s->in, &s->message[0]));
}

static void left(struct fail_stage *s, int64_t answer)
{
    (void)s;
    kit_equal(answer, 0);
    kit_equal(kit_stat(FAIL_BOX).receivers, 1);
}

static void high_comes_first(struct fail_stage *s, int64_t answer)
{
    (void)answer;
    kit_ok(fail_send(s, s->out, 100, 0));
    kit_ok(send_high(s));
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

FAIL_SCENE(sending, "unix: everyone: send, first of a handle", "tong_send", to_all, send_one,
           all_have_it)
FAIL_SCENE(joining_for_the_oldest, "unix: everyone: join, from the oldest", "tong_open",
           to_all_with_three, come_for_the_oldest, has_the_oldest_or_is_not_there)
FAIL_SCENE(claiming, "unix: everyone: claim", "tong_claim", to_all_with_three, claim_one,
           the_claim_is_done)
FAIL_QUIET(leaving, "unix: everyone: leave", "tong_close", to_all_with_three, leave, left)
FAIL_SCENE(a_new_lane, "unix: lanes: send, first of a priority", "tong_send_with", by_priority,
           send_high, high_comes_first)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(sending, 120),    KIT_TEST_LONG(joining_for_the_oldest, 120),
    KIT_TEST_LONG(claiming, 120),   KIT_TEST_LONG(leaving, 120),
    KIT_TEST_LONG(a_new_lane, 120),
};

KIT_MAIN(tests)
