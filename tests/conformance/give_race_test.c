/*
 * Giving a mailbox on while others use it, give it, remove it, or die.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "give.h"

enum {
    SENDERS = 3,
    EACH = 10000
};

struct stream {
    _Atomic uint32_t got[SENDERS][EACH];
    _Atomic uint64_t received;
    _Atomic uint32_t gives;
    _Atomic uint32_t stop;
    kit_event ready[2];
};

struct part {
    struct stream *stream;
    uint64_t number;
};

static int send_stream(void *arg)
{
    const struct part *part = arg;
    tong_mailbox *box = open_to_send();
    for (uint64_t i = 0; i < EACH; i++) {
        kit_ok(kit_send_u64(box, part->number << 32 | i, KIT_PATIENCE));
        /* So that it is given away in the midst of it, however the machine divides its time. */
        kit_until(atomic_load(&part->stream->gives) >= i / 500);
    }
    return tong_close(box);
}

static int receive_stream(void *arg)
{
    const struct part *part = arg;
    struct stream *stream = part->stream;
    tong_options options = kit_options();
    options.owner = TONG_PROCESS;
    tong_mailbox *own =
        kit_open(kit_name(part->number ? "r1" : "r0"), TONG_RECEIVE | TONG_CREATE, &options);
    tong_mailbox *box = kit_open(BOX, TONG_RECEIVE, NULL);
    uint64_t next[SENDERS] = { 0 };
    kit_event_set(&stream->ready[part->number]);
    while (!atomic_load(&stream->stop)) {
        uint64_t value = 0;
        const ssize_t n = tong_receive(box, &value, sizeof(value), TONG_MS(1));
        if (n == -EPERM || n == -ETIMEDOUT) {
            continue;
        }
        kit_gives(n, 8);
        const uint64_t sender = value >> 32;
        const uint64_t i = value & UINT32_MAX;
        kit_true(sender < SENDERS && i < EACH && i >= next[sender]);
        next[sender] = i + 1;
        atomic_fetch_add(&stream->got[sender][i], 1);
        atomic_fetch_add(&stream->received, 1);
    }
    kit_ok(tong_close(box));
    return tong_close(own);
}

static void streams_go_on_while_it_is_given_to_and_fro(void)
{
    static const char *const owners[] = { "r0", NULL, "r1" };
    if (strcmp(kit_carrier(), "nats") == 0) {
        kit_skip("nats hands out again what was given back when the server likes, not in order");
    }
    for (uint32_t capacity = 8; capacity != 0; capacity = capacity == 8 ? TONG_UNBOUNDED : 0) {
        struct stream *stream = kit_shared(sizeof(*stream));
        const tong_options options = kit_capacity(capacity);
        struct part parts[SENDERS];
        struct kit_child senders[SENDERS];
        struct kit_child receivers[2];
        tong_mailbox *box = kit_create(BOX, &options);
        for (uint64_t i = 0; i < SENDERS; i++) {
            parts[i] = (struct part){ .stream = stream, .number = i };
        }
        for (uint64_t i = 0; i < 2; i++) {
            receivers[i] = kit_spawn(receive_stream, &parts[i]);
            kit_event_wait(&stream->ready[i]);
        }
        for (uint64_t i = 0; i < SENDERS; i++) {
            senders[i] = kit_spawn(send_stream, &parts[i]);
        }
        while (atomic_load(&stream->received) < (uint64_t)SENDERS * EACH) {
            kit_ok(tong_give(box, owners[atomic_fetch_add(&stream->gives, 1) % 3]));
            (void)sched_yield();
        }
        kit_ok(tong_give(box, NULL));
        atomic_store(&stream->stop, 1);
        for (uint64_t i = 0; i < SENDERS; i++) {
            kit_join(&senders[i]);
            for (uint64_t k = 0; k < EACH; k++) {
                kit_equal(atomic_load(&stream->got[i][k]), 1);
            }
        }
        kit_join(&receivers[0]);
        kit_join(&receivers[1]);
        kit_end(box, BOX);
    }
}

static int give_for_ever(void *arg)
{
    _Atomic uint32_t *gives = arg;
    tong_mailbox *box = open_to_send();
    for (;;) {
        const uint32_t n = atomic_fetch_add(gives, 1);
        kit_ok(tong_give(box, n % 3 == 0 ? "a" : n % 3 == 1 ? "b" : NULL));
    }
    return 0;
}

static void a_giver_that_is_killed_leaves_one_owner_or_the_other(void)
{
    struct kit_random random = kit_random_stream(1);
    struct puppet a = puppet_start("a");
    struct puppet b = puppet_start("b");
    tong_mailbox *box = kit_create(BOX, NULL);
    kit_gives(opens(&a, TONG_RECEIVE), 0);
    kit_gives(opens(&b, TONG_RECEIVE), 0);
    uint64_t owners[3] = { 0 };
    const uint64_t kills = kit_count("TONG_TEST_GIVE_KILLS", kit_fewer(100));
    for (uint64_t round = 0; round < kills; round++) {
        _Atomic uint32_t *gives = kit_shared(sizeof(*gives));
        const uint32_t when = (uint32_t)kit_random_below(&random, 20);
        struct kit_child giver = kit_spawn(give_for_ever, gives);
        kit_spin_until(atomic_load(gives) > when);
        kit_kill(&giver);
        kit_ok(kit_send_u64(box, round, 0));
        const int64_t first = receives(&a, KIT_PATIENCE);
        const tong_status status = kit_stat(BOX);
        if (status.owner == TONG_SYSTEM) {
            owners[0]++;
            kit_equal(first, round);
            kit_gives(receives(&b, 0), -EAGAIN);
        } else if (status.owner_pid == a.child.pid) {
            owners[1]++;
            kit_equal(first, round);
            kit_gives(receives(&b, TONG_FOREVER), -EPERM);
        } else {
            owners[2]++;
            kit_equal(status.owner_pid, b.child.pid);
            kit_gives(first, -EPERM);
            gets(&b, KIT_PATIENCE, round);
        }
    }
    printf("%llu givers killed; the system had it %llu times, the two processes %llu and %llu\n",
           (unsigned long long)kills, (unsigned long long)owners[0], (unsigned long long)owners[1],
           (unsigned long long)owners[2]);
    kit_ok(tong_give(box, "b"));
    puppet_end(&a);
    puppet_kill(&b);
    expect_ended(box);
}

struct race {
    kit_barrier together;
    _Atomic int64_t gave;
    _Atomic int64_t told;
    _Atomic uint32_t stop;
};

/* Sends until it is told of the owner's death, or until the race is over. */
static int send_until_told(void *arg)
{
    struct race *race = arg;
    tong_mailbox *box = open_to_send();
    kit_barrier_wait(&race->together, 3);
    int r = 0;
    while (r != -EOWNERDEAD && !atomic_load(&race->stop)) {
        r = kit_send_u64(box, 1, 0);
        kit_true(r == 0 || r == -EAGAIN || r == -EOWNERDEAD);
    }
    atomic_store(&race->told, r);
    return tong_close(box);
}

static int give_once(void *arg)
{
    struct race *race = arg;
    tong_mailbox *box = open_to_send();
    kit_barrier_wait(&race->together, 3);
    atomic_store(&race->gave, tong_give(box, "b"));
    return tong_close(box);
}

static void an_owner_that_dies_while_it_is_given_was_too_late_or_in_time(void)
{
    struct puppet b = puppet_start("b");
    uint64_t in_time = 0;
    const uint64_t kills = kit_count("TONG_TEST_GIVE_KILLS", kit_fewer(100));
    for (uint64_t round = 0; round < kills; round++) {
        struct race *race = kit_shared(sizeof(*race));
        struct puppet a = puppet_start("a");
        makes(&a, 8);
        tong_mailbox *box = open_to_send();
        struct kit_child sender = kit_spawn(send_until_told, race);
        struct kit_child giver = kit_spawn(give_once, race);
        kit_barrier_wait(&race->together, 3);
        puppet_kill(&a);
        kit_join(&giver);
        atomic_store(&race->stop, 1);
        kit_join(&sender);
        const int64_t gave = atomic_load(&race->gave);
        const int64_t told = atomic_load(&race->told);
        const int now = kit_send_u64(box, 2, 0);
        if (gave == 0) {
            in_time++;
            kit_true(told != -EOWNERDEAD && now != -EOWNERDEAD);
            expect_owner(&b);
            kit_ok(tong_close(box));
            kit_ok(tong_remove(BOX));
        } else {
            kit_gives(gave, -EOWNERDEAD);
            kit_gives(now, -EOWNERDEAD);
            kit_ok(tong_close(box));
        }
    }
    printf("%llu owners killed while it was given away, %llu in time\n", (unsigned long long)kills,
           (unsigned long long)in_time);
    puppet_end(&b);
}

static int remove_once(void *arg)
{
    struct race *race = arg;
    kit_barrier_wait(&race->together, 2);
    kit_ok(tong_remove(BOX));
    return 0;
}

static void given_and_removed_at_once_it_is_gone(void)
{
    struct puppet b = puppet_start("b");
    struct race *race = kit_shared(sizeof(*race));
    for (uint64_t round = 0; round < 100; round++) {
        tong_mailbox *box = kit_create(BOX, NULL);
        struct kit_child remover = kit_spawn(remove_once, race);
        kit_barrier_wait(&race->together, 2);
        const int r = tong_give(box, "b");
        kit_true(r == 0 || r == -EIDRM);
        kit_join(&remover);
        tong_mailbox *again = kit_create(BOX, NULL);
        kit_gives(tong_give(box, "b"), -EIDRM);
        expect_owner(NULL);
        kit_ok(tong_close(box));
        kit_end(again, BOX);
    }
    puppet_end(&b);
}

static void *give_many(void *arg)
{
    static const char *const owners[] = { "a", "b", NULL };
    for (uint32_t i = 0; i < 100; i++) {
        kit_ok(tong_give(arg, owners[i % 3]));
    }
    return NULL;
}

static void any_number_of_threads_may_give(void)
{
    struct puppet a = puppet_start("a");
    struct puppet b = puppet_start("b");
    tong_mailbox *box = kit_create(BOX, NULL);
    pthread_t threads[4];
    kit_gives(opens(&a, TONG_RECEIVE), 0);
    for (size_t i = 0; i < 4; i++) {
        kit_ok(pthread_create(&threads[i], NULL, give_many, box));
    }
    for (size_t i = 0; i < 4; i++) {
        kit_ok(pthread_join(threads[i], NULL));
    }
    kit_ok(tong_give(box, "a"));
    kit_ok(kit_send_u64(box, 5, 0));
    kit_gives(receives(&a, 0), 5);
    puppet_end(&b);
    kit_ok(tong_give(box, NULL));
    puppet_end(&a);
    kit_end(box, BOX);
}

enum {
    SLEEPERS = 40
};

/* Refused, or it was taking a message in that very moment. */
static int sleep_and_be_refused(void *arg)
{
    _Atomic uint32_t *taken = arg;
    uint64_t value = 0;
    tong_mailbox *box = kit_open(BOX, TONG_RECEIVE, NULL);
    const ssize_t n = tong_receive(box, &value, sizeof(value), KIT_PATIENCE);
    kit_true(n == -EPERM || n == 8);
    if (n == 8) {
        atomic_fetch_add(taken, 1);
        kit_gives(tong_receive(box, &value, sizeof(value), KIT_PATIENCE), -EPERM);
    }
    return tong_close(box);
}

static void what_is_sent_after_a_give_is_the_new_owners(void)
{
    enum {
        N = 100
    };
    for (int round = 0; round < 5; round++) {
        struct kit_child sleepers[SLEEPERS];
        struct puppet a = puppet_start("a");
        _Atomic uint32_t *taken = kit_shared(sizeof(*taken));
        tong_mailbox *box = kit_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, NULL);
        for (size_t i = 0; i < SLEEPERS; i++) {
            sleepers[i] = kit_spawn(sleep_and_be_refused, taken);
        }
        kit_until_asleep(BOX, SLEEPERS);
        /* All of them are woken, and stand before the mailbox while this is sent. */
        kit_ok(tong_give(box, "a"));
        for (uint64_t i = 1; i <= N; i++) {
            kit_ok(kit_send_u64(box, i, 0));
        }
        for (size_t i = 0; i < SLEEPERS; i++) {
            kit_join(&sleepers[i]);
        }
        const uint32_t first = atomic_load(taken);
        kit_true(first <= 1);
        kit_gives(opens(&a, TONG_RECEIVE), 0);
        for (uint64_t i = 1 + first; i <= N; i++) {
            gets(&a, KIT_PATIENCE, i);
        }
        puppet_end(&a);
        expect_ended(box);
    }
}

static const struct kit_test tests[] = {
    KIT_TEST(streams_go_on_while_it_is_given_to_and_fro),
    KIT_TEST(a_giver_that_is_killed_leaves_one_owner_or_the_other),
    KIT_TEST(an_owner_that_dies_while_it_is_given_was_too_late_or_in_time),
    KIT_TEST(given_and_removed_at_once_it_is_gone),
    KIT_TEST(what_is_sent_after_a_give_is_the_new_owners),
    KIT_TEST(any_number_of_threads_may_give),
};

KIT_MAIN(tests)
