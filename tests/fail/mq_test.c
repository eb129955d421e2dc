/* Mailboxes that a queue of the kernel carries: every call in their operations fails once. See fail.h. */
/* What lies in an open mailbox was made for its receivers. */
#define FAIL_NEVER EACCES
#define FAIL_BOX "mq:box"
#include "acts.h"

#define LONG 100000u /* a body */

static void with(struct fail_stage *s, uint32_t capacity)
{
    const tong_options options = kit_capacity(capacity);
    s->in = kit_open(FAIL_BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options);
    s->out = kit_open(FAIL_BOX, TONG_SEND, NULL);
    s->capacity = capacity;
}

static void with_some(struct fail_stage *s, int n, size_t len)
{
    with(s, 8);
    for (int i = 0; i < n; i++) {
        kit_ok(fail_send(s, s->out, len, 0));
    }
}

/* ------------------------------------------------------------------ making, opening, closing one */

static void with_nothing(struct fail_stage *s)
{
    s->may_be_gone = true;
}

static void with_an_open_one(struct fail_stage *s)
{
    with_some(s, 1, 100);
}

static int own_and_wait(void *arg)
{
    (void)arg;
    tong_options options = kit_capacity(4);
    options.owner = TONG_PROCESS;
    tong_mailbox *box =
        kit_open(FAIL_BOX, TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options);
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

static int64_t create(struct fail_stage *s)
{
    const tong_options options = kit_capacity(4);
    return tong_open(FAIL_BOX, TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options, &s->more);
}

static int64_t open_both(struct fail_stage *s)
{
    return tong_open(FAIL_BOX, TONG_SEND | TONG_RECEIVE, NULL, &s->more);
}

static void opened(struct fail_stage *s, int64_t answer)
{
    kit_true((s->more != NULL) == (answer == 0));
    if (answer != 0) {
        tong_mailbox *again = NULL;
        const tong_options options = kit_capacity(4);
        kit_ok(
            tong_open(FAIL_BOX, TONG_SEND | TONG_CREATE, s->in != NULL ? NULL : &options, &again));
        kit_ok(tong_close(again));
    }
}

static void with_a_sender_behind(struct fail_stage *s)
{
    with(s, 8);
    s->more = s->out;
    s->out = NULL;
    s->capacity = 0;
    kit_ok(fail_send(s, s->more, 100, 0));
    kit_ok(fail_send(s, s->more, LONG, 0));
}

static int64_t close_it(struct fail_stage *s)
{
    tong_mailbox *box = s->more;
    s->more = NULL;
    return tong_close(box);
}

/* ------------------------------------------------------------------ sending */

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

static int64_t send_a_long_one(struct fail_stage *s)
{
    return fail_send(s, s->out, LONG, 0);
}

static int64_t commit_it(struct fail_stage *s)
{
    s->slot = (tong_slot)TONG_SLOT_INIT;
    int r = tong_reserve(s->out, 5000, 0, &s->slot);
    if (r == 0) {
        kit_payload_write(s->slot.data, 3000, s->sender, s->next_id);
        r = tong_commit(s->out, &s->slot, 3000);
    }
    if (r == 0) {
        fail_promise(s, s->next_id++, 3000);
    }
    return r;
}

/* ------------------------------------------------------------------ receiving */

static void with_three(struct fail_stage *s)
{
    with_some(s, 3, 100);
}

static void with_two_long_ones(struct fail_stage *s)
{
    with_some(s, 2, LONG);
}

static void with_a_dead_receiver(struct fail_stage *s)
{
    with_three(s);
    with_claims_of_a_dead_one(s, 1);
}

static void with_a_claim(struct fail_stage *s)
{
    with_three(s);
    s->message[0] = (tong_message)TONG_MESSAGE_INIT;
    kit_ok(tong_claim(s->in, 0, &s->message[0]));
}

FAIL_SCENE(creating, "mq: create", "tong_open", with_nothing, create, opened)
FAIL_SCENE(creating_over_a_dead_one, "mq: create over a dead owner's", "tong_open",
           with_a_dead_owners, create, opened)
FAIL_SCENE(opening, "mq: open", "tong_open", with_an_open_one, open_both, opened)
FAIL_SCENE(closing_a_sender, "mq: close a sender, messages waiting", "tong_close",
           with_a_sender_behind, close_it, succeeded)
FAIL_SCENE(the_first_send, "mq: send, first of a handle", "tong_send", with_a_new_handle, send_one,
           NULL)
FAIL_SCENE(a_further_send, "mq: send, further", "tong_send", with_three, send_one, NULL)
FAIL_SCENE(a_long_send, "mq: send of 100,000 bytes", "tong_send", with_three, send_a_long_one, NULL)
FAIL_SCENE(a_send_that_waits, "mq: send, full, 2 ms", "tong_send", with_a_full_one, send_waiting,
           refused)
FAIL_SCENE(a_send_that_gets_room, "mq: send, full, then freed", "tong_send", with_a_full_one,
           send_blocked, one_was_skipped)
FAIL_SCENE(a_commit, "mq: reserve and commit", "tong_commit", with_three, commit_it, NULL)
FAIL_SCENE(a_receive, "mq: receive", "tong_receive", with_three, receive_one, NULL)
FAIL_SCENE(a_receive_of_a_long_one, "mq: receive of 100,000 bytes", "tong_receive",
           with_two_long_ones, receive_one, NULL)
FAIL_SCENE(a_receive_that_times_out, "mq: receive, empty, 2 ms", "tong_receive", with_a_new_handle,
           receive_waiting, refused)
FAIL_SCENE(a_receive_that_waits, "mq: receive, asleep, then sent", "tong_receive",
           with_a_new_handle, wait_for_a_message, NULL)
FAIL_SCENE(a_skip, "mq: skip", "tong_skip", with_three, skip_one, NULL)
FAIL_SCENE(a_skip_of_a_long_one, "mq: skip of 100,000 bytes", "tong_skip", with_two_long_ones,
           skip_one, NULL)
FAIL_SCENE(a_claim, "mq: claim", "tong_claim", with_three, claim_one, claimed)
FAIL_SCENE(a_claim_of_a_long_one, "mq: claim of 100,000 bytes", "tong_claim", with_two_long_ones,
           claim_one, claimed)
FAIL_SCENE(a_claim_of_a_dead_one, "mq: claim of a dead receiver's", "tong_claim",
           with_a_dead_receiver, claim_one, claimed)
FAIL_SCENE(a_done, "mq: done", "tong_done", with_a_claim, done_with_it, succeeded)
FAIL_QUIET(a_return, "mq: return", "tong_return", with_a_claim, give_it_back, succeeded)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(creating, 120),
    KIT_TEST_LONG(creating_over_a_dead_one, 120),
    KIT_TEST_LONG(opening, 120),
    KIT_TEST_LONG(closing_a_sender, 120),
    KIT_TEST_LONG(the_first_send, 120),
    KIT_TEST_LONG(a_further_send, 120),
    KIT_TEST_LONG(a_long_send, 120),
    KIT_TEST_LONG(a_send_that_waits, 120),
    KIT_TEST_LONG(a_send_that_gets_room, 120),
    KIT_TEST_LONG(a_commit, 120),
    KIT_TEST_LONG(a_receive, 120),
    KIT_TEST_LONG(a_receive_of_a_long_one, 120),
    KIT_TEST_LONG(a_receive_that_times_out, 120),
    KIT_TEST_LONG(a_receive_that_waits, 120),
    KIT_TEST_LONG(a_skip, 120),
    KIT_TEST_LONG(a_skip_of_a_long_one, 120),
    KIT_TEST_LONG(a_claim, 120),
    KIT_TEST_LONG(a_claim_of_a_long_one, 120),
    KIT_TEST_LONG(a_claim_of_a_dead_one, 120),
    KIT_TEST_LONG(a_done, 120),
    KIT_TEST_LONG(a_return, 120),
};

/* So that the kit looks for queues that are left. */
int main(int argc, char **argv)
{
    kit_equal(setenv("TONG_CARRIER", "mq:", 1), 0);
    return kit_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
