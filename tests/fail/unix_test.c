/* Mailboxes behind a socket: every call in the operations of their owner fails once. See fail.h. */
/* What lies in an open mailbox was made for its receivers. */
#define FAIL_NEVER EACCES
#define FAIL_BOX "unix:box"
#define FAIL_ENDS_WITH_OWNER true
#include "calls.h"

static void with(struct fail_stage *s, uint32_t capacity)
{
    const tong_options options = kit_capacity(capacity);
    s->in = kit_open(FAIL_BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options);
    s->out = kit_open(FAIL_BOX, TONG_SEND, NULL);
    s->capacity = capacity;
}

static void with_three(struct fail_stage *s)
{
    with(s, 8);
    for (int i = 0; i < 3; i++) {
        kit_ok(fail_send(s, s->out, 100, 0));
    }
}

/* ------------------------------------------------------------------ making, opening, closing one */

static void with_nothing(struct fail_stage *s)
{
    s->may_be_gone = true;
}

static int64_t create(struct fail_stage *s)
{
    const tong_options options = kit_capacity(4);
    return tong_open(FAIL_BOX, TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options, &s->in);
}

static int64_t open_both(struct fail_stage *s)
{
    return tong_open(FAIL_BOX, TONG_SEND | TONG_RECEIVE, NULL, &s->more);
}

/* ------------------------------------------------------------------ the owner's own */

static void with_a_new_handle(struct fail_stage *s)
{
    with(s, 8);
}

static void with_a_full_one(struct fail_stage *s)
{
    with(s, 3);
    for (int i = 0; i < 3; i++) {
        kit_ok(fail_send(s, s->out, 100, 0));
    }
}

static void with_a_claim(struct fail_stage *s)
{
    with_three(s);
    s->message[0] = (tong_message)TONG_MESSAGE_INIT;
    kit_ok(tong_claim(s->in, 0, &s->message[0]));
}

/* ------------------------------------------------------------------ request and reply within a process */

static void with_a_server(struct fail_stage *s)
{
    with(s, 8);
    fail_help(s, serve);
}

static void with_a_server_known(struct fail_stage *s)
{
    with_a_server(s);
    kit_gives(call(s), 5);
}

static void with_a_claimed_request(struct fail_stage *s)
{
    with(s, 8);
    claim_a_request(s);
}

static void with_a_request_that_waits(struct fail_stage *s)
{
    with(s, 8);
    let_a_request_wait(s);
}

FAIL_SCENE(creating, "unix: create", "tong_open", with_nothing, create, NULL)
FAIL_SCENE(opening, "unix: open", "tong_open", with_three, open_both, NULL)
FAIL_SCENE(the_first_send, "unix: send, own, first of a handle", "tong_send", with_a_new_handle,
           send_one, NULL)
FAIL_SCENE(a_further_send, "unix: send, own, further", "tong_send", with_three, send_one, NULL)
FAIL_SCENE(a_send_that_waits, "unix: send, own, full, 2 ms", "tong_send", with_a_full_one,
           send_waiting, refused)
FAIL_SCENE(a_receive, "unix: receive", "tong_receive", with_three, receive_one, NULL)
FAIL_SCENE(a_receive_that_times_out, "unix: receive, empty, 2 ms", "tong_receive",
           with_a_new_handle, receive_waiting, refused)
FAIL_QUIET(a_claim, "unix: claim", "tong_claim", with_three, claim_one, claimed)
FAIL_SCENE(a_done, "unix: done", "tong_done", with_a_claim, done_with_it, succeeded)
FAIL_SCENE(the_first_call, "unix: call, the first", "tong_call", with_a_server, call,
           is_called_again)
FAIL_SCENE(another_call, "unix: call", "tong_call", with_a_server_known, call, is_called_again)
FAIL_SCENE(a_reply, "unix: reply, to a claim", "tong_reply", with_a_claimed_request, reply,
           is_answered)
FAIL_SCENE(a_request_is_received, "unix: receive_with, a request", "tong_receive_with",
           with_a_request_that_waits, receive_request, is_received)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(creating, 120),
    KIT_TEST_LONG(opening, 120),
    KIT_TEST_LONG(the_first_send, 120),
    KIT_TEST_LONG(a_further_send, 120),
    KIT_TEST_LONG(a_send_that_waits, 120),
    KIT_TEST_LONG(a_receive, 120),
    KIT_TEST_LONG(a_receive_that_times_out, 120),
    KIT_TEST_LONG(a_claim, 120),
    KIT_TEST_LONG(a_done, 120),
    KIT_TEST_LONG(the_first_call, 120),
    KIT_TEST_LONG(another_call, 120),
    KIT_TEST_LONG(a_reply, 120),
    KIT_TEST_LONG(a_request_is_received, 120),
};

int main(int argc, char **argv)
{
    kit_equal(setenv("TONG_CARRIER", "unix:", 1), 0);
    return kit_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
