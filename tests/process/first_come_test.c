/* First-come: who has waited longest is served first. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kit.h"

enum {
    RECEIVERS = 5
};

/* A receiver that does one receive each time it is told to. */
struct seat {
    _Atomic uint32_t told;  /* receives it shall have begun */
    _Atomic uint32_t done;  /* receives it has finished */
    _Atomic uint64_t got;   /* by the last one */
    _Atomic uint32_t polls; /* looks with timeout 0 that found nothing */
    int64_t timeout_ns;
    _Atomic uint32_t stop;
};

static int sit(void *arg)
{
    struct seat *seat = arg;
    tong_mailbox *box = kit_open(kit_name("queue"), TONG_RECEIVE, NULL);
    for (uint32_t n = 1;; n++) {
        kit_until(atomic_load(&seat->told) >= n || atomic_load(&seat->stop) != 0);
        if (atomic_load(&seat->stop) != 0) {
            return tong_close(box);
        }
        uint64_t value = 0;
        const ssize_t r = tong_receive(box, &value, sizeof(value), KIT_PATIENCE);
        kit_gives(r, 8);
        atomic_store(&seat->got, value);
        atomic_store(&seat->done, n);
    }
}

static void stand_up(struct seat *seat, struct kit_child *child)
{
    atomic_store(&seat->stop, 1);
    kit_join(child);
}

/* Tell it to receive; it is in the queue once the mailbox shows one more asleep. */
static void tell(struct seat *seat)
{
    atomic_fetch_add(&seat->told, 1);
}

static bool is_done(struct seat *seat)
{
    return atomic_load(&seat->done) == atomic_load(&seat->told);
}

/*
 * P2 is seen asleep, then P3 begins its call: in half of the tries it is seen asleep, too, before
 * the message is sent; in the others the message races with its call.
 */
static void who_is_asleep_gets_it_before_who_comes_later(void)
{
    const uint64_t tries = kit_count("TONG_TEST_FIRST_COME", 500);
    struct seat *seats = kit_shared(2 * sizeof(*seats));
    tong_mailbox *box = kit_create(kit_name("queue"), NULL);
    struct kit_child children[2];
    for (size_t i = 0; i < 2; i++) {
        children[i] = kit_spawn(sit, &seats[i]);
    }
    struct kit_random random = kit_random_stream(1);
    uint64_t right = 0;
    for (uint64_t i = 0; i < tries; i++) {
        struct seat *p2 = &seats[kit_random_below(&random, 2)];
        struct seat *p3 = p2 == seats ? seats + 1 : seats;
        tell(p2);
        kit_until_asleep(kit_name("queue"), 1);
        tell(p3);
        if (i % 2 == 0) {
            kit_until_asleep(kit_name("queue"), 2);
        } else {
            for (uint64_t spin = kit_random_below(&random, 60000); spin > 0; spin--) {
                __asm__ volatile("");
            }
        }
        kit_ok(kit_send_u64(box, 2 * i, 0));
        kit_until(is_done(p2) || is_done(p3));
        if (!is_done(p2)) {
            kit_fail("try %llu: the one that came later got it", (unsigned long long)i);
        }
        kit_equal(atomic_load(&p2->got), 2 * i);
        kit_ok(kit_send_u64(box, 2 * i + 1, 0));
        kit_until(is_done(p3));
        kit_equal(atomic_load(&p3->got), 2 * i + 1);
        right++;
    }
    printf("first-come: the one asleep got it in %llu of %llu tries\n", (unsigned long long)right,
           (unsigned long long)tries);
    for (size_t i = 0; i < 2; i++) {
        stand_up(&seats[i], &children[i]);
    }
    kit_end(box, kit_name("queue"));
}

static int look_again_and_again(void *arg)
{
    struct seat *seat = arg;
    tong_mailbox *box = kit_open(kit_name("queue"), TONG_RECEIVE, NULL);
    while (atomic_load(&seat->stop) == 0) {
        uint64_t value;
        kit_gives(tong_receive(box, &value, sizeof(value), 0), -EAGAIN);
        atomic_fetch_add(&seat->polls, 1);
    }
    return tong_close(box);
}

static void who_only_looks_takes_nothing_from_who_sleeps(void)
{
    const uint64_t tries = kit_count("TONG_TEST_FIRST_COME", 500);
    struct seat *seats = kit_shared(2 * sizeof(*seats));
    tong_mailbox *box = kit_create(kit_name("queue"), NULL);
    struct kit_child sleeper = kit_spawn(sit, &seats[0]);
    tell(&seats[0]);
    kit_until_asleep(kit_name("queue"), 1);
    struct kit_child looker = kit_spawn(look_again_and_again, &seats[1]);
    kit_until(atomic_load(&seats[1].polls) > 0);
    for (uint64_t i = 0; i < tries; i++) {
        kit_until_asleep(kit_name("queue"), 1);
        kit_ok(kit_send_u64(box, i, 0));
        kit_until(is_done(&seats[0]));
        kit_equal(atomic_load(&seats[0].got), i);
        tell(&seats[0]);
    }
    kit_until_asleep(kit_name("queue"), 1);
    stand_up(&seats[1], &looker);
    kit_kill(&sleeper);
    kit_end(box, kit_name("queue"));
}

static void shuffle(struct kit_random *random, size_t order[RECEIVERS])
{
    for (size_t i = 0; i < RECEIVERS; i++) {
        const size_t j = kit_random_below(random, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

static void five_who_wait_are_served_in_the_order_of_waiting(void)
{
    const uint64_t rounds = kit_count("TONG_TEST_QUEUE", 150);
    struct seat *seats = kit_shared(RECEIVERS * sizeof(*seats));
    tong_mailbox *box = kit_create(kit_name("queue"), NULL);
    struct kit_child children[RECEIVERS];
    for (size_t i = 0; i < RECEIVERS; i++) {
        children[i] = kit_spawn(sit, &seats[i]);
    }
    struct kit_random random = kit_random_stream(1);
    for (uint64_t round = 0; round < rounds; round++) {
        size_t order[RECEIVERS];
        shuffle(&random, order);
        for (uint32_t i = 0; i < RECEIVERS; i++) {
            tell(&seats[order[i]]);
            kit_until_asleep(kit_name("queue"), i + 1);
        }
        const bool one_by_one = round % 2 == 0;
        for (uint32_t i = 0; i < RECEIVERS; i++) {
            kit_ok(kit_send_u64(box, i, 0));
            if (one_by_one) {
                kit_until(is_done(&seats[order[i]]));
                kit_equal(kit_stat(kit_name("queue")).receivers_asleep, RECEIVERS - 1 - i);
            }
        }
        for (uint32_t i = 0; i < RECEIVERS; i++) {
            kit_until(is_done(&seats[order[i]]));
            kit_equal(atomic_load(&seats[order[i]].got), i);
        }
    }
    for (size_t i = 0; i < RECEIVERS; i++) {
        stand_up(&seats[i], &children[i]);
    }
    kit_end(box, kit_name("queue"));
}

/* One of the five is killed as it waits; the four others keep their order. */
static void a_death_in_the_queue_changes_no_order(void)
{
    const uint64_t rounds = kit_count("TONG_TEST_QUEUE", 150) / 2 + 1;
    struct seat *seats = kit_shared(RECEIVERS * sizeof(*seats));
    tong_mailbox *box = kit_create(kit_name("queue"), NULL);
    struct kit_child children[RECEIVERS];
    for (size_t i = 0; i < RECEIVERS; i++) {
        children[i] = kit_spawn(sit, &seats[i]);
    }
    struct kit_random random = kit_random_stream(1);
    for (uint64_t round = 0; round < rounds; round++) {
        size_t order[RECEIVERS];
        shuffle(&random, order);
        for (uint32_t i = 0; i < RECEIVERS; i++) {
            tell(&seats[order[i]]);
            kit_until_asleep(kit_name("queue"), i + 1);
        }
        const size_t dead = kit_random_below(&random, RECEIVERS);
        kit_kill(&children[order[dead]]);
        uint32_t sent = 0;
        for (size_t i = 0; i < RECEIVERS; i++) {
            if (i == dead) {
                continue;
            }
            kit_ok(kit_send_u64(box, sent, 0));
            kit_until(is_done(&seats[order[i]]));
            kit_equal(atomic_load(&seats[order[i]].got), sent);
            sent++;
        }
        struct seat *empty = &seats[order[dead]];
        memset(empty, 0, sizeof(*empty));
        children[order[dead]] = kit_spawn(sit, empty);
    }
    for (size_t i = 0; i < RECEIVERS; i++) {
        stand_up(&seats[i], &children[i]);
    }
    kit_end(box, kit_name("queue"));
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(who_is_asleep_gets_it_before_who_comes_later, 120),
    KIT_TEST_LONG(who_only_looks_takes_nothing_from_who_sleeps, 120),
    KIT_TEST(five_who_wait_are_served_in_the_order_of_waiting),
    KIT_TEST(a_death_in_the_queue_changes_no_order),
};

KIT_MAIN(tests)
