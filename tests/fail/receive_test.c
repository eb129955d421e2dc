/* Receiving, claiming, waiting: every call in it fails once. See fail.h. */
/* What lies in an open mailbox was made for its receivers. */
#define FAIL_NEVER EACCES
#include "acts.h"

static void with(struct fail_stage *s, uint32_t capacity)
{
    const tong_options options = kit_capacity(capacity);
    s->out = kit_open(FAIL_BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    s->in = kit_open(FAIL_BOX, TONG_RECEIVE, NULL);
    s->rendezvous = capacity == 0;
    s->capacity = capacity == TONG_UNBOUNDED ? 0 : capacity;
}

static void with_none(struct fail_stage *s)
{
    with(s, TONG_UNBOUNDED);
}

static void with_some(struct fail_stage *s, int n, size_t len)
{
    with(s, TONG_UNBOUNDED);
    for (int i = 0; i < n; i++) {
        kit_ok(fail_send(s, s->out, len, 0));
    }
}

static void with_three(struct fail_stage *s)
{
    with_some(s, 3, 100);
}

static void with_200(struct fail_stage *s)
{
    with_some(s, 200, 1000);
}

static void with_a_long_one(struct fail_stage *s)
{
    with_some(s, 1, 3 << 20);
}

static void with_a_bounded_one(struct fail_stage *s)
{
    with(s, 3);
    kit_ok(fail_send(s, s->out, 100, 0));
}

static void with_a_rendezvous(struct fail_stage *s)
{
    with(s, 0);
}

/* Ten senders, each with a link of its own. */
static void with_ten_senders(struct fail_stage *s)
{
    with(s, TONG_UNBOUNDED);
    tong_mailbox *sender[10];
    for (uint32_t i = 0; i < 10; i++) {
        s->sender = i + 2;
        sender[i] = kit_open(FAIL_BOX, TONG_SEND, NULL);
        kit_ok(fail_send(s, sender[i], 100, 0));
    }
    for (uint32_t i = 0; i < 10; i++) {
        kit_ok(tong_close(sender[i]));
    }
    s->sender = 1;
}

static void with_a_claim(struct fail_stage *s)
{
    with_three(s);
    s->message[0] = (tong_message)TONG_MESSAGE_INIT;
    kit_ok(tong_claim(s->in, 0, &s->message[0]));
}

static void with_a_dead_receiver(struct fail_stage *s)
{
    with_some(s, 2, 100);
    with_claims_of_a_dead_one(s, 2);
}

/* Its file becomes another user's: then it is read by system calls. Needs root. */
static void with_another_users_link(struct fail_stage *s, int n, size_t len)
{
    s->out = kit_open(FAIL_BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, NULL);
    for (int i = 0; i < n; i++) {
        kit_ok(fail_send(s, s->out, len, 0));
    }
    kit_ok(chown(kit_path(FAIL_BOX "/link.0"), KIT_ANN, KIT_ANN));
    s->in = kit_open(FAIL_BOX, TONG_RECEIVE, NULL);
}

static void with_three_of_another_user(struct fail_stage *s)
{
    with_another_users_link(s, 3, 100);
}

static void with_200_of_another_user(struct fail_stage *s)
{
    with_another_users_link(s, 200, 1000);
}

static void with_a_long_one_of_another_user(struct fail_stage *s)
{
    with_another_users_link(s, 1, 3 << 20);
}

/* ------------------------------------------------------------------ what is done */

static int64_t receive_all(struct fail_stage *s)
{
    int64_t r = 0;
    while (s->n_waiting != 0 && r >= 0) {
        r = receive_for(s, 0);
    }
    return r;
}

static int64_t receive_a_row(struct fail_stage *s)
{
    enum {
        N = 100
    };
    struct iovec row[N];
    size_t lens[N];
    for (size_t i = 0; i < N; i++) {
        row[i] = (struct iovec){ .iov_base = s->data + 2000 * i, .iov_len = 2000 };
    }
    const ssize_t n = tong_receive_many(s->in, row, N, 0, lens);
    for (ssize_t i = 0; i < n; i++) {
        fail_take(s, row[i].iov_base, lens[i]);
    }
    return n;
}

/* They are marked. */
static int64_t claim_a_dead_ones(struct fail_stage *s)
{
    const int64_t r = claim_one(s);
    if (r == 0) {
        kit_equal(s->message[0].deliveries, 2);
    }
    return r;
}

static int64_t wait_for_any(struct fail_stage *s)
{
    tong_mailbox *const boxes[] = { s->in };
    return tong_wait_any(boxes, 1, 0);
}

static int64_t wait_a_while(struct fail_stage *s)
{
    tong_mailbox *const boxes[] = { s->in };
    return tong_wait_any(boxes, 1, TONG_MS(2));
}

static int64_t interrupt_it(struct fail_stage *s)
{
    return tong_interrupt(s->in);
}

static void interrupted(struct fail_stage *s, int64_t answer)
{
    char c;
    kit_gives(answer, 0);
    kit_gives(tong_receive(s->in, &c, 1, KIT_PATIENCE), -ECANCELED);
}

/* ------------------------------------------------------------------ with a sender */

static int64_t wait_for_any_message(struct fail_stage *s)
{
    tong_mailbox *const boxes[] = { s->in };
    s->next_id = 2;
    fail_promise(s, 1, 100);
    fail_help(s, send_once);
    const int r = tong_wait_any(boxes, 1, KIT_PATIENCE);
    fail_helped(s);
    kit_gives(atomic_load(&s->helped), 0);
    return r;
}

/* At capacity 0: the sender waits until the receive is over, and withdraws otherwise. */
static void *meet(void *stage)
{
    struct fail_stage *s = stage;
    kit_payload_write(s->data, 100, 1, 1);
    int r;
    do {
        r = tong_send(s->out, s->data, 100, TONG_MS(1));
    } while (r == -ETIMEDOUT && !atomic_load(&s->over));
    atomic_store(&s->helped, r);
    return NULL;
}

static int64_t receive_at_a_rendezvous(struct fail_stage *s)
{
    s->next_id = 2;
    fail_help(s, meet);
    const ssize_t n = tong_receive(s->in, s->data + 200, 200, KIT_PATIENCE);
    fail_helped(s);
    if (n >= 0) {
        fail_promise(s, 1, 100);
        fail_take(s, s->data + 200, (size_t)n);
    }
    return n;
}

/* Whoever sent was told that it arrived: then it did, or it is there. */
static void met(struct fail_stage *s, int64_t answer)
{
    kit_true(atomic_load(&s->helped) == 0 || answer < 0);
    if (atomic_load(&s->helped) == 0 && answer < 0) {
        fail_promise(s, 1, 100);
    }
}

FAIL_SCENE(the_first_receive, "receive, first of a handle", "tong_receive", with_three, receive_one,
           NULL)
FAIL_SCENE(a_receive_of_ten_links, "receive, ten links", "tong_receive", with_ten_senders,
           receive_all, NULL)
FAIL_SCENE(a_long_backlog, "200 receives of 1000 bytes", "tong_receive", with_200, receive_all,
           NULL)
FAIL_SCENE(a_long_message, "receive of 3 MiB", "tong_receive", with_a_long_one, receive_one, NULL)
FAIL_SCENE(a_bounded_mailbox, "receive, capacity 3", "tong_receive", with_a_bounded_one,
           receive_one, NULL)
FAIL_QUIET(an_empty_mailbox, "receive, empty, timeout 0", "tong_receive", with_none, receive_one,
           refused)
FAIL_SCENE(a_receive_that_times_out, "receive, empty, 2 ms", "tong_receive", with_none,
           receive_waiting, refused)
FAIL_SCENE(a_receive_that_waits, "receive, asleep, then sent", "tong_receive", with_none,
           wait_for_a_message, NULL)
FAIL_SCENE(a_rendezvous, "receive, capacity 0", "tong_receive", with_a_rendezvous,
           receive_at_a_rendezvous, met)
FAIL_SCENE(a_row, "receive_many of 100", "tong_receive_many", with_200, receive_a_row, NULL)
FAIL_SCENE(a_skip, "skip", "tong_skip", with_three, skip_one, NULL)
FAIL_SCENE(a_claim, "claim", "tong_claim", with_three, claim_one, claimed)
FAIL_SCENE(a_claim_of_a_long_message, "claim of 3 MiB", "tong_claim", with_a_long_one, claim_one,
           claimed)
FAIL_SCENE(a_claim_of_a_dead_one, "claim of a dead receiver's", "tong_claim", with_a_dead_receiver,
           claim_a_dead_ones, claimed)
FAIL_QUIET(a_done, "done", "tong_done", with_a_claim, done_with_it, succeeded)
FAIL_QUIET(a_return, "return", "tong_return", with_a_claim, give_it_back, succeeded)
FAIL_SCENE(a_wait_for_any, "wait_any, ready", "tong_wait_any", with_three, wait_for_any, NULL)
FAIL_SCENE(a_wait_for_any_that_times_out, "wait_any, 2 ms", "tong_wait_any", with_none,
           wait_a_while, refused)
FAIL_SCENE(a_wait_for_any_that_waits, "wait_any, asleep, then sent", "tong_wait_any", with_none,
           wait_for_any_message, NULL)
FAIL_SCENE(an_interrupt, "interrupt", "tong_interrupt", with_none, interrupt_it, interrupted)

FAIL_SCENE(of_another_user, "receive, another user's", "tong_receive", with_three_of_another_user,
           receive_one, NULL)
FAIL_SCENE(a_backlog_of_another_user, "200 receives of another user's", "tong_receive",
           with_200_of_another_user, receive_all, NULL)
FAIL_SCENE(a_long_one_of_another_user, "receive of 3 MiB, another user's", "tong_receive",
           with_a_long_one_of_another_user, receive_one, NULL)
FAIL_SCENE(a_claim_of_another_users, "claim of 3 MiB, another user's", "tong_claim",
           with_a_long_one_of_another_user, claim_one, claimed)

static void messages_of_another_user(void)
{
    kit_needs_root();
    of_another_user();
    a_backlog_of_another_user();
    a_long_one_of_another_user();
    a_claim_of_another_users();
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(the_first_receive, 120),
    KIT_TEST_LONG(a_receive_of_ten_links, 120),
    KIT_TEST_LONG(a_long_backlog, 120),
    KIT_TEST_LONG(a_long_message, 120),
    KIT_TEST_LONG(a_bounded_mailbox, 120),
    KIT_TEST_LONG(an_empty_mailbox, 120),
    KIT_TEST_LONG(a_receive_that_times_out, 120),
    KIT_TEST_LONG(a_receive_that_waits, 120),
    KIT_TEST_LONG(a_rendezvous, 120),
    KIT_TEST_LONG(a_row, 120),
    KIT_TEST_LONG(a_skip, 120),
    KIT_TEST_LONG(a_claim, 120),
    KIT_TEST_LONG(a_claim_of_a_long_message, 120),
    KIT_TEST_LONG(a_claim_of_a_dead_one, 120),
    KIT_TEST_LONG(a_done, 120),
    KIT_TEST_LONG(a_return, 120),
    KIT_TEST_LONG(a_wait_for_any, 120),
    KIT_TEST_LONG(a_wait_for_any_that_times_out, 120),
    KIT_TEST_LONG(a_wait_for_any_that_waits, 120),
    KIT_TEST_LONG(an_interrupt, 120),
    KIT_TEST_LONG(messages_of_another_user, 300),
};

KIT_MAIN(tests)
