/* Threads: any number on one handle at once, for every kind of call. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "kit.h"

enum {
    SIDE = 4
};

struct team {
    tong_mailbox *box;
    uint64_t each; /* messages of each sending thread */
    _Atomic uint64_t received;
    _Atomic uint8_t *seen; /* SIDE * each */
    uint32_t way;
};

struct member {
    struct team *team;
    uint64_t number;
};

enum way {
    COPY,
    IN_PLACE,
    MANY
};

static uint64_t total_of(const struct team *team)
{
    return SIDE * team->each;
}

static void send_in_place(tong_mailbox *box, uint64_t value)
{
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, sizeof(value), KIT_PATIENCE, &slot));
    memcpy(slot.data, &value, sizeof(value));
    kit_ok(tong_commit(box, &slot, sizeof(value)));
}

static void send_pair(tong_mailbox *box, uint64_t value)
{
    uint64_t values[2] = { value, value + 1 };
    struct iovec messages[2] = { { &values[0], 8 }, { &values[1], 8 } };
    size_t at = 0;
    while (at < 2) {
        const ssize_t n = tong_send_many(box, messages + at, 2 - at, KIT_PATIENCE);
        if (n <= 0) {
            kit_fail("tong_send_many gave %zd: %s", n, tong_strerror((int)n));
        }
        at += (size_t)n;
    }
}

static void *send_all(void *arg)
{
    struct member *member = arg;
    struct team *team = member->team;
    const uint64_t first = member->number * team->each;
    for (uint64_t i = 0; i < team->each; i++) {
        if (team->way == COPY) {
            kit_ok(kit_send_u64(team->box, first + i, KIT_PATIENCE));
        } else if (team->way == IN_PLACE) {
            send_in_place(team->box, first + i);
        } else {
            send_pair(team->box, first + i);
            i++;
        }
    }
    return NULL;
}

static void note(struct team *team, uint64_t value, uint64_t last[SIDE])
{
    kit_true(value < total_of(team));
    kit_equal(atomic_fetch_add(&team->seen[value], 1), 0);
    /* What one thread sent comes to one receiver in its order. */
    kit_true(last[value / team->each] <= value);
    last[value / team->each] = value;
    if (atomic_fetch_add(&team->received, 1) + 1 == total_of(team)) {
        /* The others wait for messages that do not come. */
        kit_ok(tong_interrupt(team->box));
    }
}

static ssize_t take(struct team *team, uint64_t ret_values[2])
{
    if (team->way == COPY) {
        const ssize_t n = tong_receive(team->box, ret_values, 8, KIT_PATIENCE);
        return n == 8 ? 1 : n;
    }
    if (team->way == MANY) {
        const struct iovec buffers[2] = { { &ret_values[0], 8 }, { &ret_values[1], 8 } };
        size_t lens[2];
        return tong_receive_many(team->box, buffers, 2, KIT_PATIENCE, lens);
    }
    tong_message message = TONG_MESSAGE_INIT;
    const int r = tong_claim(team->box, KIT_PATIENCE, &message);
    if (r != 0) {
        return r;
    }
    kit_equal(message.len, 8);
    kit_equal(message.deliveries, 1);
    memcpy(ret_values, message.data, 8);
    kit_ok(tong_done(team->box, &message));
    return 1;
}

static void *receive_all(void *arg)
{
    struct member *member = arg;
    struct team *team = member->team;
    uint64_t last[SIDE] = { 0 };
    while (atomic_load(&team->received) < total_of(team)) {
        uint64_t values[2];
        const ssize_t n = take(team, values);
        if (n == -ECANCELED) {
            /* For those who did not wait at that moment. */
            kit_ok(tong_interrupt(team->box));
            break;
        }
        if (n < 1) {
            kit_fail("a receive in a thread gave %zd", n);
        }
        for (ssize_t i = 0; i < n; i++) {
            note(team, values[i], last);
        }
    }
    return NULL;
}

static void play(uint32_t way, uint32_t capacity, uint64_t each)
{
    const tong_options options = kit_capacity(capacity);
    struct team team = { .way = way, .each = each };
    team.seen = kit_shared(SIDE * each);
    team.box = kit_create(kit_name("threads"), &options);
    struct member members[SIDE];
    pthread_t ids[2 * SIDE];
    for (uint64_t i = 0; i < SIDE; i++) {
        members[i] = (struct member){ .team = &team, .number = i };
        kit_ok(pthread_create(&ids[i], NULL, receive_all, &members[i]));
    }
    for (uint64_t i = 0; i < SIDE; i++) {
        kit_ok(pthread_create(&ids[SIDE + i], NULL, send_all, &members[i]));
    }
    for (size_t i = 0; i < 2 * SIDE; i++) {
        kit_ok(pthread_join(ids[i], NULL));
    }
    kit_equal(atomic_load(&team.received), total_of(&team));
    kit_is_empty(team.box);
    const tong_status status = kit_stat(kit_name("threads"));
    kit_equal(status.sent, total_of(&team));
    kit_equal(status.done, total_of(&team));
    kit_equal(status.senders, 1);
    kit_equal(status.receivers, 1);
    kit_end(team.box, kit_name("threads"));
}

static void four_threads_send_and_four_receive_on_one_handle(void)
{
    play(COPY, TONG_UNBOUNDED, 10000);
}

static void threads_share_a_bounded_mailbox(void)
{
    play(COPY, 3, 3000);
}

static void threads_meet_at_a_rendezvous(void)
{
    play(COPY, 0, 1000);
}

static void threads_write_and_read_in_place(void)
{
    kit_needs(KIT_IN_PLACE);
    play(IN_PLACE, 8, 4000);
}

static void threads_write_and_read_in_place_at_a_rendezvous(void)
{
    kit_needs(KIT_IN_PLACE);
    play(IN_PLACE, 0, 1000);
}

static void threads_send_and_receive_rows(void)
{
    play(MANY, 16, 6000);
}

/* ------------------------------------------------------------------ handles of their own */

static void *open_send_close(void *arg)
{
    struct member *member = arg;
    for (uint64_t i = 0; i < member->team->each; i++) {
        tong_mailbox *box = kit_open(kit_name("threads"), TONG_SEND, NULL);
        kit_ok(kit_send_u64(box, member->number * member->team->each + i, KIT_PATIENCE));
        kit_ok(tong_close(box));
    }
    return NULL;
}

static void *open_receive_close(void *arg)
{
    struct member *member = arg;
    struct team *team = member->team;
    for (uint64_t i = 0; i < team->each; i++) {
        tong_mailbox *box = kit_open(kit_name("threads"), TONG_RECEIVE, NULL);
        const uint64_t value = kit_receive_u64(box);
        kit_true(value < total_of(team));
        kit_equal(atomic_fetch_add(&team->seen[value], 1), 0);
        kit_ok(tong_close(box));
    }
    return NULL;
}

static void threads_open_and_close_handles_of_their_own(void)
{
    struct team team = { .each = 200 };
    team.seen = kit_shared(SIDE * team.each);
    team.box = kit_open(kit_name("threads"), TONG_SEND | TONG_CREATE, NULL);
    struct member members[SIDE];
    pthread_t ids[2 * SIDE];
    for (uint64_t i = 0; i < SIDE; i++) {
        members[i] = (struct member){ .team = &team, .number = i };
        kit_ok(pthread_create(&ids[i], NULL, open_receive_close, &members[i]));
        kit_ok(pthread_create(&ids[SIDE + i], NULL, open_send_close, &members[i]));
    }
    for (size_t i = 0; i < 2 * SIDE; i++) {
        kit_ok(pthread_join(ids[i], NULL));
    }
    const tong_status status = kit_stat(kit_name("threads"));
    kit_equal(status.waiting, 0);
    kit_equal(status.receivers, 0);
    kit_end(team.box, kit_name("threads"));
}

static void *open_and_send(void *arg)
{
    tong_mailbox **box = arg;
    *box = kit_open(kit_name("threads"), TONG_SEND | TONG_RECEIVE | TONG_CREATE, NULL);
    kit_ok(kit_send_u64(*box, 1, 0));
    return NULL;
}

/* The end of the thread that opened it is not the end of the process. */
static void a_handle_outlives_the_thread_that_opened_it(void)
{
    tong_mailbox *box = NULL;
    pthread_t id;
    kit_ok(pthread_create(&id, NULL, open_and_send, &box));
    kit_ok(pthread_join(id, NULL));
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, 0, &message));
    tong_mailbox *other = kit_open(kit_name("threads"), TONG_SEND | TONG_RECEIVE, NULL);
    kit_is_empty(other);
    tong_status status = kit_stat(kit_name("threads"));
    kit_equal(status.receivers, 2);
    kit_equal(status.deaths, 0);
    kit_equal(status.claimed, 1);
    kit_ok(kit_send_u64(box, 2, 0));
    kit_equal(kit_receive_u64(other), 2);
    kit_ok(tong_done(box, &message));
    kit_ok(tong_close(other));
    kit_end(box, kit_name("threads"));
}

static int hold_from_a_thread(void *arg)
{
    (void)arg;
    tong_mailbox *box = NULL;
    pthread_t id;
    kit_ok(pthread_create(&id, NULL, open_and_send, &box));
    kit_ok(pthread_join(id, NULL));
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, 0, &message));
    kit_report("h", 1);
    kit_await_death();
}

/* Its death is seen though the thread that opened the handle was gone before. */
static void a_death_after_the_opening_thread_ended_is_noticed(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    struct kit_child child = kit_spawn(hold_from_a_thread, NULL);
    char c;
    kit_read_report(&child, &c, 1);
    tong_mailbox *box = kit_open(kit_name("threads"), TONG_RECEIVE, NULL);
    kit_is_empty(box);
    kit_kill(&child);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_equal(message.deliveries, 2);
    kit_ok(tong_done(box, &message));
    kit_end(box, kit_name("threads"));
}

static const struct kit_test tests[] = {
    KIT_TEST(four_threads_send_and_four_receive_on_one_handle),
    KIT_TEST(threads_share_a_bounded_mailbox),
    KIT_TEST(threads_meet_at_a_rendezvous),
    KIT_TEST(threads_write_and_read_in_place),
    KIT_TEST(threads_write_and_read_in_place_at_a_rendezvous),
    KIT_TEST(threads_send_and_receive_rows),
    KIT_TEST(threads_open_and_close_handles_of_their_own),
    KIT_TEST(a_handle_outlives_the_thread_that_opened_it),
    KIT_TEST(a_death_after_the_opening_thread_ended_is_noticed),
};

KIT_MAIN(tests)
