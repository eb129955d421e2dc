/*
 * TONG_RANDOM: of those who wait each has the same chance, whoever was served before; who gives up, is killed or comes
 * later takes nothing away from the others.
 */
#include <errno.h>

#include "kit.h"
#include "seats.h"

#define BOX kit_name("lot")
#define SEATS 4u
#define MESSAGES 2000u
#define END UINT64_MAX

static tong_options at_random(void)
{
    tong_options options = kit_options();
    options.delivery = TONG_RANDOM;
    return options;
}

struct world {
    _Atomic uint64_t received;
    _Atomic uint32_t seats;
    _Atomic uint32_t who[MESSAGES]; /* seat + 1 of who got it */
};

struct hall {
    struct world *world;
    tong_mailbox *box;
    struct seat seats[SEATS];
    uint64_t sent;
};

static int sit(void *arg)
{
    const struct hall *hall = arg;
    const uint32_t seat = atomic_fetch_add(&hall->world->seats, 1) + 1;
    tong_mailbox *box = kit_open(BOX, TONG_RECEIVE, NULL);
    for (;;) {
        const uint64_t value = kit_receive_u64(box);
        if (value == END) {
            return tong_close(box);
        }
        kit_equal(atomic_exchange(&hall->world->who[value], seat), 0);
        atomic_fetch_add(&hall->world->received, 1);
    }
}

static void all_wait(const struct hall *hall, uint32_t n)
{
    kit_until(atomic_load(&hall->world->received) == hall->sent &&
              kit_stat(BOX).receivers_asleep == n);
}

static void open_hall(struct hall *hall)
{
    const tong_options options = at_random();
    *hall = (struct hall){ .world = kit_shared(sizeof(struct world)) };
    hall->box = kit_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    for (uint32_t i = 0; i < SEATS; i++) {
        seat_take(&hall->seats[i], sit, hall);
        all_wait(hall, i + 1);
    }
}

static void send_one(struct hall *hall)
{
    kit_ok(kit_send_u64(hall->box, hall->sent, KIT_PATIENCE));
    hall->sent++;
}

static void close_hall(struct hall *hall)
{
    for (uint32_t i = 0; i < SEATS; i++) {
        kit_ok(kit_send_u64(hall->box, END, KIT_PATIENCE));
    }
    for (uint32_t i = 0; i < SEATS; i++) {
        seat_leave(&hall->seats[i]);
    }
    kit_end(hall->box, BOX);
}

/* Of n equally likely kinds. */
static double chi_square(const uint64_t *seen, uint32_t n, uint64_t total)
{
    const double expected = (double)total / n;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        const double off = (double)seen[i] - expected;
        sum += off * off / expected;
    }
    return sum;
}

/* The bounds are passed once in a million runs of a fair lot: chi-square with 3 and 15 degrees. */
static void each_has_the_same_chance_whoever_was_served_before(void)
{
    struct hall hall;
    uint64_t got[SEATS] = { 0 };
    uint64_t pairs[SEATS * SEATS] = { 0 };
    const uint64_t n = 2 * kit_fewer(MESSAGES / 2);
    open_hall(&hall);
    for (uint64_t i = 0; i < n; i++) {
        send_one(&hall);
        all_wait(&hall, SEATS);
    }
    for (uint64_t i = 0; i < n; i++) {
        const uint32_t who = atomic_load(&hall.world->who[i]) - 1;
        got[who]++;
        if (i % 2 == 1) {
            pairs[(atomic_load(&hall.world->who[i - 1]) - 1) * SEATS + who]++;
        }
    }
    const double alone = chi_square(got, SEATS, n);
    const double paired = chi_square(pairs, SEATS * SEATS, n / 2);
    if (alone > 30.67 || paired > 56.50) {
        kit_fail("this is no fair lot: chi-square %.1f, of pairs %.1f", alone, paired);
    }
    close_hall(&hall);
}

/* As many as wait, at once: one for each. */
static void nobody_is_drawn_twice_for_one_wait(void)
{
    struct hall hall;
    const uint64_t rounds = kit_fewer(100) + 10;
    open_hall(&hall);
    for (uint64_t i = 0; i < rounds; i++) {
        for (uint32_t k = 0; k < SEATS; k++) {
            send_one(&hall);
        }
        all_wait(&hall, SEATS);
    }
    close_hall(&hall);
}

/* Those whose time is over have left nothing behind that takes a message. */
static void who_gives_up_takes_nothing(void)
{
    const tong_options options = at_random();
    tong_mailbox *box = kit_create(BOX, &options);
    tong_mailbox *other = kit_open(BOX, TONG_RECEIVE, NULL);
    uint64_t value;
    for (uint64_t i = 0; i < 10; i++) {
        kit_gives(tong_receive(other, &value, sizeof value, TONG_MS(20)), -ETIMEDOUT);
        kit_gives(tong_receive(other, &value, sizeof value, 0), -EAGAIN);
        kit_ok(kit_send_u64(box, 2 * i, 0));
        kit_equal(kit_receive_u64(box), 2 * i);
        kit_ok(kit_send_u64(box, 2 * i + 1, 0));
        kit_gives(tong_receive(other, &value, sizeof value, 0), 8);
        kit_equal(value, 2 * i + 1);
    }
    kit_ok(tong_close(other));
    kit_end(box, BOX);
}

static void what_comes_back_is_drawn_again(void)
{
    struct hall hall;
    tong_message message = TONG_MESSAGE_INIT;
    const tong_options options = at_random();
    tong_mailbox *box = kit_create(BOX, &options);
    kit_ok(kit_send_u64(box, 0, 0));
    kit_ok(tong_claim(box, 0, &message));
    hall = (struct hall){ .world = kit_shared(sizeof(struct world)), .box = box, .sent = 1 };
    for (uint32_t i = 0; i < SEATS; i++) {
        seat_take(&hall.seats[i], sit, &hall);
    }
    kit_until(kit_stat(BOX).receivers_asleep == SEATS);
    kit_ok(tong_return(box, &message));
    all_wait(&hall, SEATS);
    close_hall(&hall);
}

static int dies_waiting(void *arg)
{
    kit_receive_u64(kit_open(BOX, TONG_RECEIVE, NULL));
    return arg == NULL;
}

static void one_that_is_killed_while_it_waits_takes_nothing(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    struct hall hall;
    open_hall(&hall);
    for (int round = 0; round < 3; round++) {
        struct kit_child child = kit_spawn(dies_waiting, NULL);
        all_wait(&hall, SEATS + 1);
        kit_kill(&child);
        for (uint64_t i = 0; i < 20; i++) {
            send_one(&hall);
        }
        all_wait(&hall, SEATS);
    }
    close_hall(&hall);
}

static const struct kit_test tests[] = {
    KIT_TEST(each_has_the_same_chance_whoever_was_served_before),
    KIT_TEST(nobody_is_drawn_twice_for_one_wait),
    KIT_TEST(who_gives_up_takes_nothing),
    KIT_TEST(what_comes_back_is_drawn_again),
    KIT_TEST(one_that_is_killed_while_it_waits_takes_nothing),
};

KIT_MAIN(tests)
