/* Opening and closing a mailbox: every call in them fails once. See fail.h. */
#include "acts.h"

static tong_mailbox *make(unsigned flags, const tong_options *options)
{
    return kit_open(FAIL_BOX, flags | TONG_CREATE | TONG_EXCL, options);
}

static void leave_one(void)
{
    kit_ok(tong_close(make(TONG_SEND, NULL)));
}

/* ------------------------------------------------------------------ open */

static void with_nothing(struct fail_stage *s)
{
    s->may_be_gone = true;
}

static void with_one(struct fail_stage *s)
{
    (void)s;
    leave_one();
}

static void with_an_open_one(struct fail_stage *s)
{
    s->in = s->out = make(TONG_SEND | TONG_RECEIVE, NULL);
    kit_ok(fail_send(s, s->out, 100, 0));
}

static int64_t open_as(struct fail_stage *s, unsigned flags, const tong_options *options)
{
    return tong_open(FAIL_BOX, flags, options, &s->more);
}

static int64_t create(struct fail_stage *s)
{
    return open_as(s, TONG_SEND | TONG_RECEIVE | TONG_CREATE, NULL);
}

static int64_t create_bounded(struct fail_stage *s)
{
    const tong_options options = kit_capacity(3);
    return open_as(s, TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options);
}

static int64_t create_owned(struct fail_stage *s)
{
    tong_options options = kit_options();
    options.owner = TONG_PROCESS;
    return open_as(s, TONG_RECEIVE | TONG_CREATE, &options);
}

static int64_t open_to_send(struct fail_stage *s)
{
    return open_as(s, TONG_SEND, NULL);
}

static int64_t open_to_receive(struct fail_stage *s)
{
    return open_as(s, TONG_RECEIVE, NULL);
}

static int64_t create_over_it(struct fail_stage *s)
{
    return open_as(s, TONG_SEND | TONG_CREATE | TONG_EXCL, NULL);
}

/* A failed open gives no handle, and may be tried again at once. */
static void opened(struct fail_stage *s, int64_t answer)
{
    kit_true((s->more != NULL) == (answer == 0));
    if (answer == 0) {
        return;
    }
    tong_mailbox *again = NULL;
    kit_ok(tong_open(FAIL_BOX, TONG_SEND | TONG_CREATE, NULL, &again));
    kit_ok(tong_close(again));
}

static void not_opened(struct fail_stage *s, int64_t answer)
{
    kit_true(answer < 0 && s->more == NULL);
}

/* ------------------------------------------------------------------ open what a dead one left */

static int own_and_wait(void *arg)
{
    (void)arg;
    tong_options options = kit_options();
    options.owner = TONG_PROCESS;
    tong_mailbox *box = make(TONG_SEND | TONG_RECEIVE, &options);
    kit_ok(kit_send_u64(box, 1, 0));
    const char ready = 'r';
    kit_report(&ready, 1);
    kit_await_death();
}

static void with_a_dead_owners(struct fail_stage *s)
{
    fail_with_a_dead_one(own_and_wait, NULL);
    s->may_be_gone = true;
}

/* Where the death could not be seen, the handle shows it. */
static void found_dead(struct fail_stage *s, int64_t answer)
{
    if (answer == 0) {
        kit_gives(tong_send(s->more, "x", 1, 0), -EOWNERDEAD);
    }
    kit_true((s->more != NULL) == (answer == 0));
}

/* ------------------------------------------------------------------ close */

static void with_a_sender_behind(struct fail_stage *s)
{
    leave_one();
    s->more = kit_open(FAIL_BOX, TONG_SEND, NULL);
    kit_ok(fail_send(s, s->more, 100, 0));
    kit_ok(fail_send(s, s->more, 100000, 0));
}

static void with_a_drained_sender(struct fail_stage *s)
{
    s->in = make(TONG_RECEIVE, NULL);
    s->more = kit_open(FAIL_BOX, TONG_SEND, NULL);
    kit_ok(fail_send(s, s->more, 100, 0));
    fail_drain(s, s->in);
}

static void with_claims(struct fail_stage *s)
{
    s->out = make(TONG_SEND, NULL);
    s->more = kit_open(FAIL_BOX, TONG_RECEIVE, NULL);
    for (size_t i = 0; i < 3; i++) {
        kit_ok(fail_send(s, s->out, 100 + i, 0));
    }
    for (size_t i = 0; i < 2; i++) {
        s->message[i] = (tong_message)TONG_MESSAGE_INIT;
        kit_ok(tong_claim(s->more, 0, &s->message[i]));
    }
}

static void with_an_owner(struct fail_stage *s)
{
    tong_options options = kit_options();
    options.owner = TONG_PROCESS;
    s->more = make(TONG_RECEIVE | TONG_SEND, &options);
    kit_ok(kit_send_u64(s->more, 1, 0));
    s->may_be_gone = true;
}

static void with_a_reservation(struct fail_stage *s)
{
    s->more = make(TONG_SEND | TONG_RECEIVE, NULL);
    s->slot = (tong_slot)TONG_SLOT_INIT;
    kit_ok(tong_reserve(s->more, 5000, 0, &s->slot));
}

static int64_t close_it(struct fail_stage *s)
{
    tong_mailbox *box = s->more;
    s->more = NULL;
    return tong_close(box);
}

static void closed(struct fail_stage *s, int64_t answer)
{
    (void)s;
    kit_gives(answer, 0);
}

/* The mailbox ended, whatever failed. */
static void ended(struct fail_stage *s, int64_t answer)
{
    tong_mailbox *box = NULL;
    kit_gives(answer, 0);
    kit_gives(tong_open(FAIL_BOX, TONG_SEND, NULL, &box), -ENOENT);
    (void)s;
}

/* ------------------------------------------------------------------ scenes */

FAIL_SCENE(creating, "create", "tong_open", with_nothing, create, opened)
FAIL_SCENE(creating_a_bounded_one, "create, bounded", "tong_open", with_nothing, create_bounded,
           opened)
FAIL_SCENE(creating_an_owned_one, "create, process-owned", "tong_open", with_nothing, create_owned,
           opened)
FAIL_SCENE(creating_what_a_dead_one_left, "create over a dead owner's", "tong_open",
           with_a_dead_owners, create, opened)
FAIL_SCENE(opening_to_send, "open to send", "tong_open", with_one, open_to_send, opened)
FAIL_SCENE(opening_to_receive, "open to receive", "tong_open", with_an_open_one, open_to_receive,
           opened)
FAIL_SCENE(opening_what_is_there_with_excl, "open, TONG_EXCL, there", "tong_open", with_one,
           create_over_it, not_opened)
FAIL_SCENE(opening_what_a_dead_one_left, "open a dead owner's", "tong_open", with_a_dead_owners,
           open_to_send, found_dead)
FAIL_SCENE(opening_none, "open what is not there", "tong_open", with_nothing, open_to_send,
           not_opened)
FAIL_SCENE(closing_a_sender, "close a sender, messages waiting", "tong_close", with_a_sender_behind,
           close_it, closed)
FAIL_SCENE(closing_a_drained_sender, "close a sender, drained", "tong_close", with_a_drained_sender,
           close_it, closed)
FAIL_SCENE(closing_a_receiver_with_claims, "close a receiver with claims", "tong_close",
           with_claims, close_it, closed)
FAIL_SCENE(closing_with_a_reservation, "close with a reservation", "tong_close", with_a_reservation,
           close_it, closed)
FAIL_SCENE(closing_an_owner, "close an owner", "tong_close", with_an_owner, close_it, ended)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(creating, 120),
    KIT_TEST_LONG(creating_a_bounded_one, 120),
    KIT_TEST_LONG(creating_an_owned_one, 120),
    KIT_TEST_LONG(creating_what_a_dead_one_left, 120),
    KIT_TEST_LONG(opening_to_send, 120),
    KIT_TEST_LONG(opening_to_receive, 120),
    KIT_TEST_LONG(opening_what_is_there_with_excl, 120),
    KIT_TEST_LONG(opening_what_a_dead_one_left, 120),
    KIT_TEST_LONG(opening_none, 120),
    KIT_TEST_LONG(closing_a_sender, 120),
    KIT_TEST_LONG(closing_a_drained_sender, 120),
    KIT_TEST_LONG(closing_a_receiver_with_claims, 120),
    KIT_TEST_LONG(closing_with_a_reservation, 120),
    KIT_TEST_LONG(closing_an_owner, 120),
};

KIT_MAIN(tests)
