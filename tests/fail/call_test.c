/* Request and reply: every call fails once. See fail.h. */
/* What lies in an open mailbox was made for its receivers. */
#define FAIL_NEVER EACCES
#include "calls.h"

/* ------------------------------------------------------------------ before */

static void with_both(struct fail_stage *s)
{
    kit_ok(tong_open(FAIL_BOX, TONG_SEND | TONG_CREATE, NULL, &s->out));
    kit_ok(tong_open(FAIL_BOX, TONG_RECEIVE, NULL, &s->in));
}

static void with_a_server(struct fail_stage *s)
{
    with_both(s);
    fail_help(s, serve);
}

/* It has called before: its mailbox for replies is there. */
static void with_a_server_known(struct fail_stage *s)
{
    with_a_server(s);
    kit_gives(call(s), 5);
}

static void with_a_claimed_request(struct fail_stage *s)
{
    with_both(s);
    claim_a_request(s);
}

static void with_a_received_request(struct fail_stage *s)
{
    with_both(s);
    fail_help(s, call_and_wait);
    s->message[0] = (tong_message)TONG_MESSAGE_INIT;
    kit_gives(tong_receive_with(s->in, s->data, 100, NULL, KIT_PATIENCE, &s->message[0]), 7);
}

static void with_a_request_that_waits(struct fail_stage *s)
{
    with_both(s);
    let_a_request_wait(s);
}

/* ------------------------------------------------------------------ the operations */

static int64_t call_with(struct fail_stage *s)
{
    char reply[8];
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    tong_message info = TONG_MESSAGE_INIT;
    with.tag = 7;
    return tong_call_with(s->out, "request", 7, &with, reply, sizeof(reply), KIT_PATIENCE, &info);
}

static int64_t call_nobody(struct fail_stage *s)
{
    char reply[8];
    return tong_call(s->out, "request", 7, reply, sizeof(reply), TONG_MS(2));
}

/* ------------------------------------------------------------------ what must hold */

static void was_nobody(struct fail_stage *s, int64_t answer)
{
    kit_true(answer < 0);
    throw_requests_away(s);
}

FAIL_SCENE(the_first_call, "call, the first", "tong_call", with_a_server, call, is_called_again)
FAIL_SCENE(another_call, "call", "tong_call", with_a_server_known, call, is_called_again)
FAIL_SCENE(a_call_that_says_more, "call_with", "tong_call_with", with_a_server_known, call_with,
           is_called_again)
FAIL_SCENE(a_call_of_nobody, "call, nobody serves, 2 ms", "tong_call", with_both, call_nobody,
           was_nobody)
FAIL_SCENE(a_reply_to_a_claim, "reply, to a claim", "tong_reply", with_a_claimed_request, reply,
           is_answered)
FAIL_SCENE(a_reply_to_what_was_received, "reply, to what was received", "tong_reply",
           with_a_received_request, reply, is_answered)
FAIL_SCENE(a_request_is_received, "receive_with, a request", "tong_receive_with",
           with_a_request_that_waits, receive_request, is_received)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(the_first_call, 120),        KIT_TEST_LONG(another_call, 120),
    KIT_TEST_LONG(a_call_that_says_more, 120), KIT_TEST_LONG(a_call_of_nobody, 120),
    KIT_TEST_LONG(a_reply_to_a_claim, 120),    KIT_TEST_LONG(a_reply_to_what_was_received, 120),
    KIT_TEST_LONG(a_request_is_received, 120),
};

KIT_MAIN(tests)
