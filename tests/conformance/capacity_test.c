/* How much is kept: bounded over the whole mailbox, bounded for each sender, unbounded, dropping. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kit.h"

static void capacity_3_takes_exactly_3_of_one_sender(void)
{
    const tong_options options = kit_capacity(3);
    tong_mailbox *box = kit_create(kit_name("three"), &options);
    for (uint64_t round = 0; round < 200; round++) {
        kit_ok(kit_send_u64(box, 1, 0));
        kit_ok(kit_send_u64(box, 2, 0));
        kit_ok(kit_send_u64(box, 3, 0));
        kit_gives(kit_send_u64(box, 4, 0), -EAGAIN);
        kit_equal(kit_receive_u64(box), 1);
        kit_ok(kit_send_u64(box, 4, 0));
        kit_gives(kit_send_u64(box, 5, 0), -EAGAIN);
        kit_equal(kit_receive_u64(box), 2);
        kit_equal(kit_receive_u64(box), 3);
        kit_equal(kit_receive_u64(box), 4);
        kit_is_empty(box);
    }
    kit_end(box, kit_name("three"));
}

static void every_small_capacity_is_exact(void)
{
    for (uint32_t capacity = 1; capacity <= 64; capacity++) {
        const tong_options options = kit_capacity(capacity);
        tong_mailbox *a = kit_create(kit_name("exact"), &options);
        tong_mailbox *b = kit_open(kit_name("exact"), TONG_SEND, NULL);
        for (uint32_t i = 0; i < capacity; i++) {
            kit_ok(kit_send_u64(i % 3 ? a : b, i, 0));
        }
        kit_gives(kit_send_u64(a, 0, 0), -EAGAIN);
        kit_gives(kit_send_u64(b, 0, 0), -EAGAIN);
        kit_ok(tong_skip(a) == 8 ? 0 : -1);
        kit_ok(kit_send_u64(a, 0, 0));
        kit_gives(kit_send_u64(b, 0, 0), -EAGAIN);
        kit_ok(tong_close(b));
        kit_end(a, kit_name("exact"));
    }
}

/* ------------------------------------------------------------------ many processes, no receiver */

struct race {
    kit_barrier barrier;
    _Atomic uint32_t accepted;
    uint32_t n_senders;
    uint32_t n_rounds;
    char name[64];
};

/* Round after round: all senders fill what there is room for; one process takes one message. */
static int fill_in_rounds(void *arg)
{
    struct race *race = arg;
    tong_mailbox *box = kit_open(kit_name(race->name), TONG_SEND, NULL);
    for (uint32_t round = 0; round < race->n_rounds; round++) {
        kit_barrier_wait(&race->barrier, race->n_senders + 1);
        for (;;) {
            const int r = kit_send_u64(box, round, 0);
            if (r == -EAGAIN) {
                break;
            }
            kit_ok(r);
            atomic_fetch_add(&race->accepted, 1);
        }
        kit_barrier_wait(&race->barrier, race->n_senders + 1);
    }
    return tong_close(box);
}

static void capacity_3_takes_exactly_3_of_eight_senders(void)
{
    enum {
        SENDERS = 8,
        ROUNDS = 100
    };
    struct race *race = kit_shared(sizeof(*race));
    strcpy(race->name, "three");
    race->n_senders = SENDERS;
    race->n_rounds = ROUNDS;
    const tong_options options = kit_capacity(3);
    tong_mailbox *box = kit_create(kit_name("three"), &options);
    struct kit_child children[SENDERS];
    for (size_t i = 0; i < SENDERS; i++) {
        children[i] = kit_spawn(fill_in_rounds, race);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        kit_barrier_wait(&race->barrier, SENDERS + 1);
        kit_barrier_wait(&race->barrier, SENDERS + 1);
        /* The first round takes three, each later one takes what was taken out before it. */
        const uint32_t want = round == 0 ? 3 : 1 + (round - 1) % 3;
        kit_equal(atomic_exchange(&race->accepted, 0), want);
        kit_gives(kit_send_u64(box, 0, 0), -EAGAIN);
        for (uint32_t i = 0; i < 1 + round % 3; i++) {
            kit_receive_u64(box);
        }
    }
    for (size_t i = 0; i < SENDERS; i++) {
        kit_join(&children[i]);
    }
    kit_end(box, kit_name("three"));
}

static void capacity_1000_is_reached_by_eight_senders_and_not_passed(void)
{
    enum {
        SENDERS = 8
    };
    struct race *race = kit_shared(sizeof(*race));
    strcpy(race->name, "thousand");
    race->n_senders = SENDERS;
    race->n_rounds = 1;
    const tong_options options = kit_capacity(1000);
    tong_mailbox *box = kit_create(kit_name("thousand"), &options);
    struct kit_child children[SENDERS];
    for (size_t i = 0; i < SENDERS; i++) {
        children[i] = kit_spawn(fill_in_rounds, race);
    }
    kit_barrier_wait(&race->barrier, SENDERS + 1);
    kit_barrier_wait(&race->barrier, SENDERS + 1);
    for (size_t i = 0; i < SENDERS; i++) {
        kit_join(&children[i]);
    }
    /* All of them are gone: what room they took in advance and did not use is free again. */
    uint32_t accepted = atomic_load(&race->accepted);
    kit_true(accepted <= 1000 && accepted >= 1000 / 16 * 15);
    while (kit_send_u64(box, 0, 0) == 0) {
        accepted++;
        kit_true(accepted <= 1000);
    }
    kit_equal(accepted, 1000);
    printf("capacity 1000: eight senders filled it to %u\n", accepted);
    kit_equal(kit_stat(kit_name("thousand")).waiting, 1000);
    kit_end(box, kit_name("thousand"));
}

/* ------------------------------------------------------------------ many processes, one receiver */

struct flow {
    _Atomic uint64_t sent;  /* sends that have returned */
    _Atomic uint64_t taken; /* receives that were begun */
    _Atomic uint64_t most;
    uint64_t each;
};

static int send_each(void *arg)
{
    struct flow *flow = arg;
    tong_mailbox *box = kit_open(kit_name("flow"), TONG_SEND, NULL);
    for (uint64_t i = 0; i < flow->each; i++) {
        kit_ok(kit_send_u64(box, i, KIT_PATIENCE));
        const uint64_t sent = atomic_fetch_add(&flow->sent, 1) + 1;
        const uint64_t taken = atomic_load(&flow->taken);
        const uint64_t kept = sent > taken ? sent - taken : 0;
        uint64_t most = atomic_load(&flow->most);
        while (kept > most && !atomic_compare_exchange_weak(&flow->most, &most, kept)) {
        }
    }
    return tong_close(box);
}

/*
 * A send that has returned put a message in; a receive that has not begun took none out. So sent
 * (read first) minus taken is at most what the mailbox held at that moment.
 */
static void capacity_1000_holds_while_eight_senders_and_a_receiver_race(void)
{
    enum {
        SENDERS = 8,
        CAPACITY = 1000
    };
    struct flow *flow = kit_shared(sizeof(*flow));
    flow->each = kit_count("TONG_TEST_FLOW", kit_fewer(20000));
    const tong_options options = kit_capacity(CAPACITY);
    tong_mailbox *box = kit_create(kit_name("flow"), &options);
    struct kit_child children[SENDERS];
    for (size_t i = 0; i < SENDERS; i++) {
        children[i] = kit_spawn(send_each, flow);
    }
    kit_until(kit_stat(kit_name("flow")).waiting > CAPACITY / 16 * 15 - SENDERS);
    const uint64_t total = SENDERS * flow->each;
    struct kit_random random = kit_random_stream(1);
    for (uint64_t got = 0; got < total;) {
        /* Sometimes it lets the mailbox fill up again. */
        if (kit_random_below(&random, 4000) == 0 && total - got > 4 * CAPACITY) {
            kit_until(kit_stat(kit_name("flow")).waiting > CAPACITY / 16 * 15 - SENDERS);
        }
        atomic_fetch_add(&flow->taken, 1);
        kit_receive_u64(box);
        got++;
        kit_true(atomic_load(&flow->most) <= CAPACITY);
    }
    for (size_t i = 0; i < SENDERS; i++) {
        kit_join(&children[i]);
    }
    kit_is_empty(box);
    printf("capacity 1000, eight senders and a receiver: %llu messages, at most %llu at once\n",
           (unsigned long long)total, (unsigned long long)atomic_load(&flow->most));
    kit_true(atomic_load(&flow->most) <= CAPACITY);
    kit_true(atomic_load(&flow->most) > CAPACITY / 16 * 15 - 2 * SENDERS);
    kit_end(box, kit_name("flow"));
}

/* ------------------------------------------------------------------ claims, links, no bound, dropping */

static void a_claimed_message_counts_until_done(void)
{
    const tong_options options = kit_capacity(3);
    tong_mailbox *box = kit_create(kit_name("claimed"), &options);
    tong_message messages[3] = { TONG_MESSAGE_INIT, TONG_MESSAGE_INIT, TONG_MESSAGE_INIT };
    for (uint64_t i = 0; i < 3; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    for (size_t i = 0; i < 3; i++) {
        kit_ok(tong_claim(box, 0, &messages[i]));
        kit_gives(kit_send_u64(box, 9, 0), -EAGAIN);
    }
    kit_ok(tong_done(box, &messages[1]));
    kit_ok(kit_send_u64(box, 3, 0));
    kit_gives(kit_send_u64(box, 9, 0), -EAGAIN);
    kit_ok(tong_return(box, &messages[0]));
    kit_gives(kit_send_u64(box, 9, 0), -EAGAIN);
    kit_ok(tong_done(box, &messages[2]));
    kit_ok(kit_send_u64(box, 4, 0));
    kit_gives(kit_send_u64(box, 9, 0), -EAGAIN);
    kit_equal(kit_receive_u64(box), 0);
    kit_equal(kit_receive_u64(box), 3);
    kit_equal(kit_receive_u64(box), 4);
    kit_is_empty(box);
    kit_end(box, kit_name("claimed"));
}

static void link_capacity_3_takes_exactly_3_of_each_sender(void)
{
    enum {
        SENDERS = 8
    };
    tong_options options = kit_options();
    options.link_capacity = 3;
    tong_mailbox *box = kit_create(kit_name("links"), &options);
    struct race *race = kit_shared(sizeof(*race));
    strcpy(race->name, "links");
    race->n_senders = SENDERS;
    race->n_rounds = 2;
    struct kit_child children[SENDERS];
    for (size_t i = 0; i < SENDERS; i++) {
        children[i] = kit_spawn(fill_in_rounds, race);
    }
    kit_barrier_wait(&race->barrier, SENDERS + 1);
    kit_barrier_wait(&race->barrier, SENDERS + 1);
    kit_equal(atomic_load(&race->accepted), 3 * SENDERS);
    for (size_t i = 0; i < SENDERS; i++) {
        kit_receive_u64(box);
    }
    kit_barrier_wait(&race->barrier, SENDERS + 1);
    kit_barrier_wait(&race->barrier, SENDERS + 1);
    kit_equal(atomic_load(&race->accepted), 4 * SENDERS);
    for (size_t i = 0; i < SENDERS; i++) {
        kit_join(&children[i]);
    }
    kit_end(box, kit_name("links"));
}

static void link_capacity_is_1024_by_default(void)
{
    kit_only("shm", "the others have defaults of their own");
    tong_mailbox *box = kit_create(kit_name("default"), NULL);
    for (uint64_t i = 0; i < 1024; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    kit_gives(kit_send_u64(box, 0, 0), -EAGAIN);
    kit_equal(kit_receive_u64(box), 0);
    kit_ok(kit_send_u64(box, 1024, 0));
    kit_gives(kit_send_u64(box, 0, 0), -EAGAIN);
    kit_end(box, kit_name("default"));
}

static void a_bounded_mailbox_has_no_bound_for_each_sender_by_default(void)
{
    const tong_options options = kit_capacity(3000);
    tong_mailbox *box = kit_create(kit_name("whole"), &options);
    for (uint64_t i = 0; i < 3000; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    kit_gives(kit_send_u64(box, 0, 0), -EAGAIN);
    kit_equal(kit_stat(kit_name("whole")).link_capacity, TONG_UNBOUNDED);
    kit_end(box, kit_name("whole"));
}

static void the_smaller_of_both_bounds_holds(void)
{
    tong_options options = kit_capacity(5);
    options.link_capacity = 3;
    tong_mailbox *a = kit_create(kit_name("both"), &options);
    tong_mailbox *b = kit_open(kit_name("both"), TONG_SEND, NULL);
    for (uint64_t i = 0; i < 3; i++) {
        kit_ok(kit_send_u64(a, i, 0));
    }
    kit_gives(kit_send_u64(a, 0, 0), -EAGAIN);
    kit_ok(kit_send_u64(b, 0, 0));
    kit_ok(kit_send_u64(b, 1, 0));
    kit_gives(kit_send_u64(b, 2, 0), -EAGAIN);
    kit_ok(tong_close(b));
    kit_end(a, kit_name("both"));
}

static void an_unbounded_mailbox_never_blocks_a_sender(void)
{
    enum {
        N = 50000
    };
    tong_options options = kit_options();
    options.capacity = TONG_UNBOUNDED;
    options.link_capacity = TONG_UNBOUNDED;
    tong_mailbox *box = kit_create(kit_name("endless"), &options);
    for (uint64_t i = 0; i < N; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    for (uint64_t i = 0; i < N; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
    kit_is_empty(box);
    kit_end(box, kit_name("endless"));
}

static void drop_newest_drops_and_counts(void)
{
    tong_options options = kit_capacity(3);
    options.full = TONG_DROP_NEWEST;
    tong_mailbox *box = kit_create(kit_name("drop"), &options);
    uint64_t dropped = 0;
    for (uint64_t round = 0; round < 10; round++) {
        for (uint64_t i = 0; i < 3; i++) {
            kit_ok(kit_send_u64(box, i, KIT_PATIENCE));
        }
        for (uint64_t i = 0; i <= round; i++) {
            kit_gives(kit_send_u64(box, 9, TONG_FOREVER), TONG_DROPPED);
            dropped++;
        }
        kit_equal(kit_stat(kit_name("drop")).dropped, dropped);
        for (uint64_t i = 0; i < 3; i++) {
            kit_equal(kit_receive_u64(box), i);
        }
        kit_is_empty(box);
    }
    kit_end(box, kit_name("drop"));
}

static void drop_newest_also_at_the_bound_of_a_sender(void)
{
    tong_options options = kit_options();
    options.link_capacity = 2;
    options.full = TONG_DROP_NEWEST;
    tong_mailbox *box = kit_create(kit_name("drop"), &options);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_ok(kit_send_u64(box, 2, 0));
    kit_gives(kit_send_u64(box, 3, 0), TONG_DROPPED);
    kit_equal(kit_receive_u64(box), 1);
    kit_ok(kit_send_u64(box, 4, 0));
    kit_equal(kit_receive_u64(box), 2);
    kit_equal(kit_receive_u64(box), 4);
    kit_equal(kit_stat(kit_name("drop")).dropped, 1);
    kit_end(box, kit_name("drop"));
}

static void room_of_a_closed_sender_is_not_lost(void)
{
    const tong_options options = kit_capacity(4);
    tong_mailbox *box = kit_create(kit_name("room"), &options);
    for (uint64_t round = 0; round < 300; round++) {
        tong_mailbox *sender = kit_open(kit_name("room"), TONG_SEND, NULL);
        for (uint64_t i = 0; i < 4; i++) {
            kit_ok(kit_send_u64(sender, round * 4 + i, 0));
        }
        kit_gives(kit_send_u64(sender, 0, 0), -EAGAIN);
        kit_ok(tong_close(sender));
        for (uint64_t i = 0; i < 4; i++) {
            kit_equal(kit_receive_u64(box), round * 4 + i);
        }
    }
    kit_true(kit_stat(kit_name("room")).links <= 2);
    kit_end(box, kit_name("room"));
}

static int send_17(void *arg)
{
    tong_mailbox *box = kit_open(kit_name(arg), TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 17, KIT_PATIENCE));
    return tong_close(box);
}

static void a_blocked_sender_goes_on_after_one_receive(void)
{
    const tong_options options = kit_capacity(1);
    tong_mailbox *box = kit_create(kit_name("blocked"), &options);
    kit_ok(kit_send_u64(box, 16, 0));
    struct kit_child child = kit_spawn(send_17, "blocked");
    kit_until_blocked(kit_name("blocked"), 1);
    kit_equal(kit_receive_u64(box), 16);
    kit_equal(kit_receive_u64(box), 17);
    kit_join(&child);
    kit_end(box, kit_name("blocked"));
}

static void a_blocked_sender_goes_on_after_done(void)
{
    const tong_options options = kit_capacity(1);
    tong_mailbox *box = kit_create(kit_name("blocked"), &options);
    kit_ok(kit_send_u64(box, 16, 0));
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, 0, &message));
    struct kit_child child = kit_spawn(send_17, "blocked");
    kit_until_blocked(kit_name("blocked"), 1);
    kit_is_empty(box);
    kit_ok(tong_done(box, &message));
    kit_equal(kit_receive_u64(box), 17);
    kit_join(&child);
    kit_end(box, kit_name("blocked"));
}

static void a_blocked_sender_goes_on_after_a_skip(void)
{
    tong_options options = kit_options();
    options.link_capacity = 1;
    tong_mailbox *box = kit_create(kit_name("blocked"), &options);
    struct kit_child child = kit_spawn(send_17, "blocked");
    kit_until(kit_stat(kit_name("blocked")).waiting == 1);
    kit_join(&child);
    child = kit_spawn(send_17, "blocked");
    /* It takes over the link of the first, which is full, or has one of its own: both are right. */
    kit_until(kit_stat(kit_name("blocked")).senders_blocked == 1 ||
              kit_stat(kit_name("blocked")).waiting == 2);
    kit_gives(tong_skip(box), 8);
    kit_equal(kit_receive_u64(box), 17);
    kit_join(&child);
    kit_end(box, kit_name("blocked"));
}

static void a_send_that_timed_out_is_never_delivered(void)
{
    const tong_options options = kit_capacity(1);
    tong_mailbox *box = kit_create(kit_name("late"), &options);
    kit_ok(kit_send_u64(box, 1, 0));
    for (uint64_t i = 0; i < 20; i++) {
        const int64_t begin_ns = kit_now_ns();
        kit_gives(kit_send_u64(box, 2, TONG_MS(1)), -ETIMEDOUT);
        kit_true(kit_now_ns() - begin_ns >= TONG_MS(1));
    }
    kit_equal(kit_receive_u64(box), 1);
    kit_is_empty(box);
    kit_ok(kit_send_u64(box, 3, 0));
    kit_equal(kit_receive_u64(box), 3);
    kit_equal(kit_stat(kit_name("late")).sent, 2);
    kit_end(box, kit_name("late"));
}

static const struct kit_test tests[] = {
    KIT_TEST(capacity_3_takes_exactly_3_of_one_sender),
    KIT_TEST(every_small_capacity_is_exact),
    KIT_TEST(capacity_3_takes_exactly_3_of_eight_senders),
    KIT_TEST(capacity_1000_is_reached_by_eight_senders_and_not_passed),
    KIT_TEST(capacity_1000_holds_while_eight_senders_and_a_receiver_race),
    KIT_TEST(a_claimed_message_counts_until_done),
    KIT_TEST(link_capacity_3_takes_exactly_3_of_each_sender),
    KIT_TEST(link_capacity_is_1024_by_default),
    KIT_TEST(a_bounded_mailbox_has_no_bound_for_each_sender_by_default),
    KIT_TEST(the_smaller_of_both_bounds_holds),
    KIT_TEST(an_unbounded_mailbox_never_blocks_a_sender),
    KIT_TEST(drop_newest_drops_and_counts),
    KIT_TEST(drop_newest_also_at_the_bound_of_a_sender),
    KIT_TEST(room_of_a_closed_sender_is_not_lost),
    KIT_TEST(a_blocked_sender_goes_on_after_one_receive),
    KIT_TEST(a_blocked_sender_goes_on_after_done),
    KIT_TEST(a_blocked_sender_goes_on_after_a_skip),
    KIT_TEST(a_send_that_timed_out_is_never_delivered),
};

KIT_MAIN(tests)
