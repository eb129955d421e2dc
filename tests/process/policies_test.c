/*
 * Who gets what when several receivers wait: the figure "P1 sends, P2 and P3 have both called
 * receive", policy by policy, with more of them and over many messages.
 *
 * A receiver says of every message which one it was; the sender goes on when all of them are in the
 * queue again, so that what is sent next finds all waiting. TONG_TEST_LONG=1 sends 100,000 messages.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "kit.h"

enum {
    SEATS_MOST = 8,
    MESSAGES_MOST = 100000,
    HOLD_MOST = 8
};
#define END UINT64_MAX

struct world {
    _Atomic uint64_t received;
    _Atomic uint8_t who[MESSAGES_MOST]; /* seat + 1 of who got it */
};

struct seat {
    struct world *world;
    uint8_t index;
};

struct room {
    struct world *world;
    struct seat seats[SEATS_MOST];
    struct kit_child children[SEATS_MOST];
    uint32_t n;
    uint64_t sent;
    tong_mailbox *box;
};

static uint64_t messages(void)
{
    const char *is_long = getenv("TONG_TEST_LONG");
    return is_long != NULL && is_long[0] == '1' ? MESSAGES_MOST : 3000;
}

/* All that was sent was received, and everybody is in the queue again. */
static void until_all_wait(const struct room *room)
{
    const int64_t end = kit_now_ns() + KIT_PATIENCE;
    while (atomic_load(&room->world->received) != room->sent ||
           kit_stat(kit_name("who")).receivers_asleep != room->n) {
        if (kit_now_ns() > end) {
            kit_fail("not all %u wait", room->n);
        }
        sched_yield();
    }
}

static int sit(void *arg)
{
    const struct seat *seat = arg;
    tong_mailbox *box = kit_open(kit_name("who"), TONG_RECEIVE, NULL);
    for (;;) {
        const uint64_t k = kit_receive_u64(box);
        if (k == END) {
            return tong_close(box);
        }
        kit_equal(atomic_exchange(&seat->world->who[k], (uint8_t)(seat->index + 1)), 0);
        atomic_fetch_add(&seat->world->received, 1);
    }
}

/* They come and go to sleep one after the other: slots and tickets in the order of the seats. */
static void fill_room(struct room *room, uint32_t delivery, uint32_t n, kit_child_fn *receiver)
{
    tong_options options = kit_options();
    options.delivery = delivery;
    room->world = kit_shared(sizeof *room->world);
    room->box = kit_open(kit_name("who"), TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    room->sent = 0;
    for (room->n = 0; room->n < n;) {
        struct seat *seat = &room->seats[room->n];
        *seat = (struct seat){ .world = room->world, .index = (uint8_t)room->n };
        room->children[room->n++] = kit_spawn(receiver, seat);
        until_all_wait(room);
    }
}

static void empty_room(struct room *room)
{
    for (uint32_t i = 0; i < room->n; i++) {
        kit_ok(kit_send_u64(room->box, END, 0));
    }
    for (uint32_t i = 0; i < room->n; i++) {
        kit_join(&room->children[i]);
    }
    kit_end(room->box, kit_name("who"));
}

static void send_burst(struct room *room, uint64_t first, uint64_t n)
{
    until_all_wait(room);
    for (uint64_t k = first; k < first + n; k++) {
        kit_ok(kit_send_u64(room->box, k, 0));
    }
    room->sent += n;
}

static uint32_t who_got(const struct room *room, uint64_t k)
{
    return atomic_load(&room->world->who[k]) - 1u;
}

/* ---- first-come */

static void first_come_serves_who_waits_longest(void)
{
    struct room room;
    fill_room(&room, TONG_FIRST_COME, 2, sit);
    const uint64_t n = messages();
    for (uint64_t k = 0; k < n; k++) {
        send_burst(&room, k, 1);
    }
    until_all_wait(&room);
    for (uint64_t k = 0; k < n; k++) {
        kit_equal(who_got(&room, k), k % 2); /* who was served is the last again */
    }
    empty_room(&room);
}

/* ---- any, exclusive */

static void any_gives_each_message_to_one_of_them(void)
{
    struct room room;
    fill_room(&room, TONG_ANY, 2, sit);
    const uint64_t n = messages();
    for (uint64_t k = 0; k < n; k++) {
        send_burst(&room, k, 1);
    }
    until_all_wait(&room);
    kit_equal(atomic_load(&room.world->received), n);
    empty_room(&room);
}

static void exclusive_has_no_second_receiver(void)
{
    struct room room;
    fill_room(&room, TONG_EXCLUSIVE, 1, sit);
    tong_mailbox *second = NULL;
    kit_gives(tong_open(kit_name("who"), TONG_RECEIVE, NULL, &second), -EBUSY);
    send_burst(&room, 0, 1);
    until_all_wait(&room);
    kit_equal(who_got(&room, 0), 0);
    empty_room(&room);
}

/* ---- round robin */

static void round_robin_is_exactly_equal_while_all_wait(void)
{
    struct room room;
    const uint32_t seats = 4;
    fill_room(&room, TONG_ROUND_ROBIN, seats, sit);
    struct kit_random random = kit_random_stream(1);
    const uint64_t n = messages();
    for (uint64_t k = 0; k < n;) {
        /* As many as wait at most: each of these is there for one who waits. */
        uint64_t burst = 1 + kit_random_below(&random, seats);
        burst = burst < n - k ? burst : n - k;
        send_burst(&room, k, burst);
        k += burst;
    }
    until_all_wait(&room);
    uint64_t got[SEATS_MOST] = { 0 };
    for (uint64_t k = 0; k < n; k++) {
        if (who_got(&room, k) != k % seats) {
            kit_fail("message %llu went to receiver %u", (unsigned long long)k,
                     (unsigned)who_got(&room, k));
        }
        got[who_got(&room, k)]++;
    }
    printf("round robin, %llu messages:", (unsigned long long)n);
    for (uint32_t i = 0; i < seats; i++) {
        printf(" %llu", (unsigned long long)got[i]);
        kit_equal(got[i], n / seats);
    }
    printf("\n");
    empty_room(&room);
}

static void round_robin_goes_on_without_one_that_died(void)
{
    struct room room;
    const uint32_t seats = 3;
    fill_room(&room, TONG_ROUND_ROBIN, seats, sit);
    const uint32_t dies = 1;
    for (uint64_t k = 0; k < 4; k++) {
        send_burst(&room, k, 1);
    }
    until_all_wait(&room);
    kit_equal(who_got(&room, 3), 0); /* so that the dead one is the next */
    kit_kill(&room.children[dies]);
    room.n = seats - 1;
    for (uint64_t k = 4; k < 10; k++) {
        send_burst(&room, k, 1);
    }
    until_all_wait(&room);
    for (uint64_t k = 4; k < 10; k++) {
        kit_equal(who_got(&room, k), k % 2 == 0 ? 2 : 0);
    }
    room.children[dies] = room.children[2];
    empty_room(&room);
}

/* ---- random */

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
static void random_is_fair_whoever_was_served_before(void)
{
    struct room room;
    const uint32_t seats = 4;
    fill_room(&room, TONG_RANDOM, seats, sit);
    const uint64_t n = messages();
    for (uint64_t k = 0; k < n; k++) {
        send_burst(&room, k, 1);
    }
    until_all_wait(&room);
    uint64_t got[4] = { 0 };
    uint64_t pairs[16] = { 0 };
    for (uint64_t k = 0; k < n; k++) {
        got[who_got(&room, k)]++;
        if (k % 2 == 1) {
            pairs[who_got(&room, k - 1) * seats + who_got(&room, k)]++;
        }
    }
    const double alone = chi_square(got, seats, n);
    const double paired = chi_square(pairs, seats * seats, n / 2);
    printf("random, %llu messages: %llu %llu %llu %llu, chi-square %.1f, of pairs %.1f\n",
           (unsigned long long)n, (unsigned long long)got[0], (unsigned long long)got[1],
           (unsigned long long)got[2], (unsigned long long)got[3], alone, paired);
    if (alone > 30.67 || paired > 56.50) {
        kit_fail("this is no fair lot: chi-square %.1f, of pairs %.1f", alone, paired);
    }
    empty_room(&room);
}

/* ---- least loaded */

/* A worker that claims what it can, and finishes one when it is told. */
struct worker {
    struct seat seat;
    tong_mailbox *box;
    pthread_mutex_t lock;
    tong_message held[HOLD_MOST];
    uint32_t n_held;
    _Atomic uint32_t *told; /* claims it shall have finished, shared */
    _Atomic uint32_t *finished;
    _Atomic bool stop;
};

struct office {
    struct world world;
    _Atomic uint32_t told[SEATS_MOST];
    _Atomic uint32_t finished[SEATS_MOST];
};

static void *finish_when_told(void *arg)
{
    struct worker *worker = arg;
    uint32_t done = 0;
    while (!atomic_load(&worker->stop)) {
        if (atomic_load(worker->told) == done) {
            sched_yield();
            continue;
        }
        pthread_mutex_lock(&worker->lock);
        kit_true(worker->n_held > 0);
        kit_ok(tong_done(worker->box, &worker->held[--worker->n_held]));
        pthread_mutex_unlock(&worker->lock);
        atomic_store(worker->finished, ++done);
    }
    return NULL;
}

/* Until the end; a claim that would be one too many waits for a finish. */
static void claim_on_and_on(struct worker *worker)
{
    for (;;) {
        tong_message message = TONG_MESSAGE_INIT;
        kit_ok(tong_claim(worker->box, KIT_PATIENCE, &message));
        const uint64_t k = *(const uint64_t *)message.data;
        pthread_mutex_lock(&worker->lock);
        kit_true(worker->n_held < HOLD_MOST);
        worker->held[worker->n_held++] = message;
        pthread_mutex_unlock(&worker->lock);
        if (k == END) {
            return;
        }
        atomic_store(&worker->seat.world->who[k], (uint8_t)(worker->seat.index + 1));
        atomic_fetch_add(&worker->seat.world->received, 1);
    }
}

static int work(void *arg)
{
    const struct seat *seat = arg;
    struct office *office = (struct office *)(void *)seat->world;
    struct worker worker = { .seat = *seat, .lock = PTHREAD_MUTEX_INITIALIZER };
    worker.told = &office->told[seat->index];
    worker.finished = &office->finished[seat->index];
    worker.box = kit_open(kit_name("who"), TONG_RECEIVE, NULL);
    pthread_t finisher;
    kit_ok(pthread_create(&finisher, NULL, finish_when_told, &worker));
    claim_on_and_on(&worker);
    atomic_store(&worker.stop, true);
    kit_ok(pthread_join(finisher, NULL));
    while (worker.n_held > 0) {
        kit_ok(tong_done(worker.box, &worker.held[--worker.n_held]));
    }
    return tong_close(worker.box);
}

static void fill_office(struct room *room, struct office **ret_office, uint32_t n)
{
    struct office *office = kit_shared(sizeof *office);
    tong_options options = kit_options();
    options.delivery = TONG_LEAST_LOADED;
    options.link_capacity = TONG_UNBOUNDED;
    room->world = &office->world;
    room->box = kit_open(kit_name("who"), TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    room->sent = 0;
    for (room->n = 0; room->n < n;) {
        struct seat *seat = &room->seats[room->n];
        *seat = (struct seat){ .world = room->world, .index = (uint8_t)room->n };
        room->children[room->n++] = kit_spawn(work, seat);
        until_all_wait(room);
    }
    *ret_office = office;
}

static void finish_one(struct office *office, uint32_t seat)
{
    const uint32_t told = atomic_fetch_add(&office->told[seat], 1) + 1;
    kit_until(atomic_load(&office->finished[seat]) == told);
}

/* All wait, each with some claims in hand: a message goes to one with the fewest. */
static void least_loaded_serves_one_with_the_fewest_claims(void)
{
    struct room room;
    struct office *office;
    const uint32_t seats = 3;
    fill_office(&room, &office, seats);
    struct kit_random random = kit_random_stream(2);
    uint32_t held[SEATS_MOST] = { 0 };
    const uint64_t n = messages() / 3;
    for (uint64_t k = 0; k < n;) {
        until_all_wait(&room);
        uint32_t fewest = HOLD_MOST;
        for (uint32_t i = 0; i < seats; i++) {
            fewest = held[i] < fewest ? held[i] : fewest;
        }
        const uint32_t seat = (uint32_t)kit_random_below(&random, seats);
        if (held[seat] > 0 && (fewest == HOLD_MOST - 1 || kit_random_below(&random, 2) == 0)) {
            finish_one(office, seat);
            held[seat]--;
        } else if (fewest < HOLD_MOST - 1) {
            send_burst(&room, k, 1);
            until_all_wait(&room);
            const uint32_t who = who_got(&room, k);
            if (held[who] != fewest) {
                kit_fail("message %llu went to one with %u claims, another waited with %u",
                         (unsigned long long)k, held[who], fewest);
            }
            held[who]++;
            k++;
        }
    }
    until_all_wait(&room);
    for (uint32_t i = 0; i < seats; i++) {
        while (held[i] > 0) {
            finish_one(office, i);
            held[i]--;
        }
    }
    empty_room(&room);
}

/* Two for each at once: nobody has two before everybody has one. Of the second four one may get more, when
 * another is still on its way back with its first. */
static void least_loaded_never_lets_one_wait_while_another_holds_two(void)
{
    struct room room;
    struct office *office;
    const uint32_t seats = 4;
    fill_office(&room, &office, seats);
    const uint64_t rounds = messages() / (UINT64_C(2) * seats);
    for (uint64_t round = 0; round < rounds; round++) {
        const uint64_t first = round * 2 * seats;
        send_burst(&room, first, UINT64_C(2) * seats);
        until_all_wait(&room);
        uint32_t got = 0;
        for (uint64_t k = first; k < first + seats; k++) {
            got |= 1u << who_got(&room, k);
        }
        if (got != (1u << seats) - 1) {
            kit_fail("round %llu: of %u messages some went to the same one, %#x",
                     (unsigned long long)round, seats, got);
        }
        uint32_t held[SEATS_MOST] = { 0 };
        for (uint64_t k = first; k < first + UINT64_C(2) * seats; k++) {
            held[who_got(&room, k)]++;
        }
        for (uint32_t i = 0; i < seats; i++) {
            for (; held[i] > 0; held[i]--) {
                finish_one(office, i);
            }
        }
    }
    empty_room(&room);
}

/* ---- by key */

enum {
    KEYS = 97
};

static uint64_t key_of(uint64_t k)
{
    return 1 + (k * UINT64_C(2654435761) >> 13) % KEYS;
}

/* Bursts of some messages, each to a key of its own. */
static void send_keyed(struct room *room, uint64_t first, uint64_t n)
{
    struct kit_random random = kit_random_stream(9);
    for (uint64_t k = first; k < first + n; k++) {
        tong_send_options with = TONG_SEND_OPTIONS_INIT;
        with.key = key_of(k);
        if (kit_random_below(&random, 5) == 0) {
            until_all_wait(room);
        }
        kit_ok(tong_send_with(room->box, &k, sizeof k, &with, KIT_PATIENCE));
        room->sent++;
    }
    until_all_wait(room);
}

/* Who has each key in that part; it must be one alone. */
static void who_has(const struct room *room, uint64_t first, uint64_t n, uint32_t has[KEYS + 1])
{
    for (uint64_t key = 0; key <= KEYS; key++) {
        has[key] = SEATS_MOST;
    }
    for (uint64_t k = first; k < first + n; k++) {
        uint32_t *const seat = &has[key_of(k)];
        if (*seat != SEATS_MOST && *seat != who_got(room, k)) {
            kit_fail("key %u is at %u and at %u", (unsigned)key_of(k), *seat, who_got(room, k));
        }
        *seat = who_got(room, k);
    }
}

static void by_key_no_key_is_with_two_receivers(void)
{
    struct room room;
    const uint32_t seats = 4;
    uint32_t has[KEYS + 1];
    uint32_t keys[SEATS_MOST + 1] = { 0 };
    fill_room(&room, TONG_BY_KEY, seats, sit);
    const uint64_t n = messages();
    send_keyed(&room, 0, n);
    who_has(&room, 0, n, has);
    for (uint32_t key = 1; key <= KEYS; key++) {
        keys[has[key]]++;
    }
    printf("by key, %llu messages: of %d keys", (unsigned long long)n, KEYS);
    for (uint32_t i = 0; i < seats; i++) {
        printf(" %u", keys[i]);
        kit_true(keys[i] != 0);
    }
    printf("\n");
    empty_room(&room);
}

static void by_key_another_one_gets_what_a_dead_one_had(void)
{
    struct room room;
    const uint32_t seats = 3;
    const uint32_t dies = 1;
    uint32_t before[KEYS + 1];
    uint32_t after[KEYS + 1];
    fill_room(&room, TONG_BY_KEY, seats, sit);
    const uint64_t n = messages() / 2;
    send_keyed(&room, 0, n);
    kit_kill(&room.children[dies]);
    room.n = seats - 1;
    send_keyed(&room, n, n);
    who_has(&room, 0, n, before);
    who_has(&room, n, n, after);
    for (uint32_t key = 1; key <= KEYS; key++) {
        kit_true(after[key] != dies && (before[key] == dies || before[key] == after[key]));
    }
    room.children[dies] = room.children[2];
    empty_room(&room);
}

int main(int argc, char **argv)
{
    static const struct kit_test tests[] = {
        KIT_TEST_LONG(first_come_serves_who_waits_longest, 120),
        KIT_TEST_LONG(any_gives_each_message_to_one_of_them, 120),
        KIT_TEST(exclusive_has_no_second_receiver),
        KIT_TEST_LONG(round_robin_is_exactly_equal_while_all_wait, 120),
        KIT_TEST(round_robin_goes_on_without_one_that_died),
        KIT_TEST_LONG(random_is_fair_whoever_was_served_before, 120),
        KIT_TEST_LONG(least_loaded_serves_one_with_the_fewest_claims, 120),
        KIT_TEST_LONG(least_loaded_never_lets_one_wait_while_another_holds_two, 120),
        KIT_TEST_LONG(by_key_no_key_is_with_two_receivers, 120),
        KIT_TEST_LONG(by_key_another_one_gets_what_a_dead_one_had, 120),
    };
    return kit_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
