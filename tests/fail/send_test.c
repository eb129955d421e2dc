/* Sending: every call in it fails once. See fail.h. */
#include "acts.h"

static void with(struct fail_stage *s, const tong_options *options)
{
    s->in = kit_open(FAIL_BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, options);
    s->out = kit_open(FAIL_BOX, TONG_SEND, NULL);
    s->capacity = options != NULL && options->capacity != TONG_UNBOUNDED ? options->capacity : 0;
}

static void with_a_new_handle(struct fail_stage *s)
{
    with(s, NULL);
}

static void with_a_used_handle(struct fail_stage *s)
{
    with(s, NULL);
    kit_ok(fail_send(s, s->out, 100, 0));
}

/* Another sender's link, left with messages in it. */
static void with_a_link_to_take_over(struct fail_stage *s)
{
    with(s, NULL);
    tong_mailbox *before = kit_open(FAIL_BOX, TONG_SEND, NULL);
    for (int i = 0; i < 40; i++) {
        kit_ok(fail_send(s, before, 1000, 0));
    }
    kit_ok(tong_close(before));
    s->sender = 2;
}

static int send_and_die(void *arg)
{
    struct fail_stage *s = arg;
    tong_mailbox *box = kit_open(FAIL_BOX, TONG_SEND, NULL);
    kit_payload_write(s->data, 100, 1, 1);
    kit_ok(tong_send(box, s->data, 100, 0));
    const char ready = 'r';
    kit_report(&ready, 1);
    kit_await_death();
}

static void with_a_dead_ones_link(struct fail_stage *s, uint32_t capacity)
{
    const tong_options options = kit_capacity(capacity);
    with(s, &options);
    struct kit_child child = kit_spawn(send_and_die, s);
    char ready;
    kit_read_report(&child, &ready, 1);
    kit_kill(&child);
    fail_promise(s, s->next_id++, 100);
    s->sender = 2;
}

static void with_a_dead_senders_link(struct fail_stage *s)
{
    with_a_dead_ones_link(s, TONG_UNBOUNDED);
}

static void with_a_dead_senders_room(struct fail_stage *s)
{
    with_a_dead_ones_link(s, 20);
}

static void with_a_capacity(struct fail_stage *s)
{
    const tong_options options = kit_capacity(20);
    with(s, &options);
}

static void full(struct fail_stage *s, const tong_options *options)
{
    with(s, options);
    while (fail_send(s, s->out, 100, 0) == 0) {
    }
}

/* Full, and the receiver is another thread's business: what s->out sends later finds room, since
 * it is drained first. */
static void with_a_full_one(struct fail_stage *s)
{
    const tong_options options = kit_capacity(3);
    full(s, &options);
}

static void with_a_full_link(struct fail_stage *s)
{
    tong_options options = kit_options();
    options.link_capacity = 3;
    full(s, &options);
}

static void with_a_full_one_that_drops(struct fail_stage *s)
{
    tong_options options = kit_capacity(3);
    options.full = TONG_DROP_NEWEST;
    with(s, &options);
    for (int i = 0; i < 3; i++) {
        kit_ok(fail_send(s, s->out, 100, 0));
    }
}

static void with_a_ring(struct fail_stage *s)
{
    tong_options options = kit_capacity(3);
    options.full = TONG_DROP_OLDEST;
    with(s, &options);
    s->pushes_out = true;
    for (int i = 0; i < 3; i++) {
        kit_ok(fail_send(s, s->out, 100, 0));
    }
}

static void with_a_rendezvous(struct fail_stage *s)
{
    const tong_options options = kit_capacity(0);
    with(s, &options);
    s->rendezvous = true;
}

static void with_few_bytes(struct fail_stage *s)
{
    tong_options options = kit_options();
    options.max_bytes = 200000;
    with(s, &options);
}

/* ------------------------------------------------------------------ what is done */

static int64_t send_many_singly(struct fail_stage *s)
{
    int r = 0;
    for (int i = 0; i < 200 && r == 0; i++) {
        r = fail_send(s, s->out, 1000, 0);
    }
    return r;
}

static int64_t send_300_kib(struct fail_stage *s)
{
    return fail_send(s, s->out, 300 << 10, 0);
}

static int64_t send_5_mib(struct fail_stage *s)
{
    return fail_send(s, s->out, FAIL_DATA - (1 << 20), 0);
}

static int64_t send_to_the_limit(struct fail_stage *s)
{
    int r = 0;
    while (r == 0) {
        r = fail_send(s, s->out, 20000, 0);
    }
    return r;
}

static int64_t send_a_row(struct fail_stage *s)
{
    enum {
        N = 100,
        LEN = 1500
    };
    struct iovec row[N];
    const uint64_t first = s->next_id;
    for (size_t i = 0; i < N; i++) {
        row[i] = (struct iovec){ .iov_base = s->data + i * LEN, .iov_len = LEN };
        kit_payload_write(row[i].iov_base, LEN, s->sender, s->next_id++);
    }
    const ssize_t n = tong_send_many(s->out, row, N, 0);
    for (ssize_t i = 0; i < n; i++) {
        fail_promise(s, first + (uint64_t)i, LEN);
    }
    return n;
}

static int64_t reserve_it(struct fail_stage *s)
{
    s->slot = (tong_slot)TONG_SLOT_INIT;
    return tong_reserve(s->out, 30000, 0, &s->slot);
}

static void with_a_reservation(struct fail_stage *s)
{
    with(s, NULL);
    kit_ok(reserve_it(s));
}

static void reserved(struct fail_stage *s, int64_t answer)
{
    if (answer == 0) {
        kit_payload_write(s->slot.data, 3000, 1, s->next_id);
        kit_ok(tong_commit(s->out, &s->slot, 3000));
        fail_promise(s, s->next_id++, 3000);
    }
}

static int64_t commit_it(struct fail_stage *s)
{
    kit_payload_write(s->slot.data, 3000, 1, s->next_id);
    const int r = tong_commit(s->out, &s->slot, 3000);
    if (r == 0) {
        fail_promise(s, s->next_id++, 3000);
    }
    return r;
}

static int64_t abort_it(struct fail_stage *s)
{
    return tong_abort(s->out, &s->slot);
}

static void dropped(struct fail_stage *s, int64_t answer)
{
    (void)s;
    kit_true(answer == TONG_DROPPED || answer < 0);
}

/* ------------------------------------------------------------------ with a receiver */

/* A rendezvous: it receives until the send is over, once it is over it looks a last time. */
static void *meet(void *stage)
{
    struct fail_stage *s = stage;
    int r = -EAGAIN;
    bool last;
    do {
        last = atomic_load(&s->over);
        r = (int)tong_receive(s->in, s->data + 200, 200, last ? 0 : TONG_MS(1));
    } while (!last && (r == -EAGAIN || r == -ETIMEDOUT));
    atomic_store(&s->helped, r);
    return NULL;
}

static int64_t send_at_a_rendezvous(struct fail_stage *s)
{
    (void)fail_write(s, 100);
    fail_help(s, meet);
    const int r = tong_send(s->out, s->data, 100, KIT_PATIENCE);
    fail_helped(s);
    return r;
}

/* Sent and received are the same. */
static void met(struct fail_stage *s, int64_t answer)
{
    kit_equal(atomic_load(&s->helped) == 100, answer == 0);
}

FAIL_SCENE(the_first_send, "send, first of a handle", "tong_send", with_a_new_handle, send_one,
           NULL)
FAIL_SCENE(the_first_send_to_a_capacity, "send, first, capacity 20", "tong_send", with_a_capacity,
           send_one, NULL)
FAIL_QUIET(a_further_send, "send, further", "tong_send", with_a_used_handle, send_one, NULL)
FAIL_SCENE(taking_a_link_over, "send, takes a closed link over", "tong_send",
           with_a_link_to_take_over, send_one, NULL)
FAIL_SCENE(taking_a_dead_ones_link_over, "send, takes a dead one's link over", "tong_send",
           with_a_dead_senders_link, send_one, NULL)
FAIL_SCENE(taking_a_dead_ones_room_over, "send, takes its rooms over, too", "tong_send",
           with_a_dead_senders_room, send_one, NULL)
FAIL_SCENE(a_send_that_grows, "200 sends of 1000 bytes", "tong_send", with_a_used_handle,
           send_many_singly, NULL)
FAIL_SCENE(a_long_send, "send of 300 KiB", "tong_send", with_a_used_handle, send_300_kib, NULL)
FAIL_SCENE(a_longer_send, "send of 5 MiB", "tong_send", with_a_used_handle, send_5_mib, NULL)
FAIL_SCENE(sends_to_max_bytes, "sends up to max_bytes", "tong_send", with_few_bytes,
           send_to_the_limit, refused)
FAIL_QUIET(a_send_to_a_full_one, "send, full, timeout 0", "tong_send", with_a_full_one, send_one,
           refused)
FAIL_QUIET(a_send_that_drops, "send, full, drop-newest", "tong_send", with_a_full_one_that_drops,
           send_one, dropped)
FAIL_QUIET(a_send_that_drops_its_oldest, "send, full, drop-oldest", "tong_send", with_a_ring,
           send_one, dropped)
FAIL_SCENE(a_send_that_waits, "send, full, 2 ms", "tong_send", with_a_full_one, send_waiting,
           refused)
FAIL_SCENE(a_send_that_waits_for_its_link, "send, link full, 2 ms", "tong_send", with_a_full_link,
           send_waiting, refused)
FAIL_SCENE(a_send_that_gets_room, "send, full, then freed", "tong_send", with_a_full_one,
           send_blocked, one_was_skipped)
FAIL_SCENE(a_send_that_gets_its_links_room, "send, link full, then freed", "tong_send",
           with_a_full_link, send_blocked, one_was_skipped)
FAIL_SCENE(a_rendezvous_without_receiver, "send, capacity 0, timeout 0", "tong_send",
           with_a_rendezvous, send_one, refused)
FAIL_SCENE(a_rendezvous_that_times_out, "send, capacity 0, 2 ms", "tong_send", with_a_rendezvous,
           send_waiting, refused)
FAIL_SCENE(a_rendezvous, "send, capacity 0, received", "tong_send", with_a_rendezvous,
           send_at_a_rendezvous, met)
FAIL_SCENE(a_row_of_sends, "send_many of 100", "tong_send_many", with_a_new_handle, send_a_row,
           NULL)
FAIL_SCENE(a_reservation, "reserve", "tong_reserve", with_a_new_handle, reserve_it, reserved)
FAIL_QUIET(a_commit, "commit", "tong_commit", with_a_reservation, commit_it, succeeded)
FAIL_QUIET(an_abort, "abort", "tong_abort", with_a_reservation, abort_it, succeeded)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(the_first_send, 120),
    KIT_TEST_LONG(the_first_send_to_a_capacity, 120),
    KIT_TEST_LONG(a_further_send, 120),
    KIT_TEST_LONG(taking_a_link_over, 120),
    KIT_TEST_LONG(taking_a_dead_ones_link_over, 120),
    KIT_TEST_LONG(taking_a_dead_ones_room_over, 120),
    KIT_TEST_LONG(a_send_that_grows, 120),
    KIT_TEST_LONG(a_long_send, 120),
    KIT_TEST_LONG(a_longer_send, 120),
    KIT_TEST_LONG(sends_to_max_bytes, 120),
    KIT_TEST_LONG(a_send_to_a_full_one, 120),
    KIT_TEST_LONG(a_send_that_drops, 120),
    KIT_TEST_LONG(a_send_that_drops_its_oldest, 120),
    KIT_TEST_LONG(a_send_that_waits, 120),
    KIT_TEST_LONG(a_send_that_waits_for_its_link, 120),
    KIT_TEST_LONG(a_send_that_gets_room, 120),
    KIT_TEST_LONG(a_send_that_gets_its_links_room, 120),
    KIT_TEST_LONG(a_rendezvous_without_receiver, 120),
    KIT_TEST_LONG(a_rendezvous_that_times_out, 120),
    KIT_TEST_LONG(a_rendezvous, 120),
    KIT_TEST_LONG(a_row_of_sends, 120),
    KIT_TEST_LONG(a_reservation, 120),
    KIT_TEST_LONG(a_commit, 120),
    KIT_TEST_LONG(an_abort, 120),
};

KIT_MAIN(tests)
