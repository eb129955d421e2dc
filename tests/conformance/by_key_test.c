/*
 * Delivery by key: the same key always goes to the same living receiver, in the order of its senders, and no
 * key is with two of them.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "kit.h"
#include "seats.h"

#define BOX kit_name("keys")
#define OVER 64 /* records of a link that may be passed over */

static tong_options by_key(void)
{
    kit_needs(KIT_BY_KEY);
    tong_options options = kit_options();
    options.delivery = TONG_BY_KEY;
    return options;
}

static int send_key(tong_mailbox *box, uint64_t value, uint64_t key, int64_t timeout_ns)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.key = key;
    return tong_send_with(box, &value, sizeof value, &with, timeout_ns);
}

/* The value, or the error. */
static int64_t get(tong_mailbox *box)
{
    uint64_t value = 0;
    const ssize_t r = tong_receive(box, &value, sizeof value, 0);
    return r < 0 ? r : (int64_t)value;
}

struct pair {
    tong_mailbox *sender;
    tong_mailbox *a;
    tong_mailbox *b;
};

static struct pair open_pair(const tong_options *options)
{
    struct pair p;
    p.sender = kit_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, options);
    p.a = kit_open(BOX, TONG_RECEIVE, NULL);
    p.b = kit_open(BOX, TONG_RECEIVE, NULL);
    return p;
}

static void close_pair(struct pair *p)
{
    kit_ok(tong_close(p->b));
    kit_ok(tong_close(p->a));
    kit_end(p->sender, BOX);
}

static void a_key_stays_with_who_took_its_first_message(void)
{
    const tong_options options = by_key();
    struct pair p = open_pair(&options);
    kit_ok(send_key(p.sender, 1, 7, 0));
    kit_equal(get(p.a), 1);
    for (uint64_t i = 2; i < 10; i++) {
        kit_ok(send_key(p.sender, i, i % 2 == 0 ? 7 : 8, 0));
    }
    kit_equal(get(p.b), 3); /* over what is a's */
    kit_equal(get(p.a), 2);
    kit_equal(get(p.b), 5);
    kit_equal(get(p.b), 7);
    kit_equal(get(p.b), 9);
    kit_gives(get(p.b), -EAGAIN);
    kit_equal(get(p.a), 4);
    kit_equal(get(p.a), 6);
    kit_equal(get(p.a), 8);
    kit_gives(get(p.a), -EAGAIN);
    kit_equal(kit_stat(BOX).done, 9);
    kit_equal(kit_stat(BOX).redelivered, 0);
    close_pair(&p);
}

static void what_has_no_key_goes_to_whoever_comes(void)
{
    const tong_options options = by_key();
    struct pair p = open_pair(&options);
    for (uint64_t i = 0; i < 6; i++) {
        kit_ok(i % 2 == 0 ? kit_send_u64(p.sender, i, 0) : send_key(p.sender, i, 0, 0));
    }
    for (uint64_t i = 0; i < 6; i++) {
        kit_equal(get(i % 3 == 0 ? p.a : p.b), i);
    }
    close_pair(&p);
}

static void the_first_one_is_known_before_a_second_one_comes(void)
{
    const tong_options options = by_key();
    tong_mailbox *box = kit_create(BOX, &options);
    kit_ok(send_key(box, 1, 7, 0));
    kit_ok(send_key(box, 2, 7, 0));
    kit_equal(get(box), 1);
    tong_mailbox *second = kit_open(BOX, TONG_RECEIVE, NULL);
    kit_gives(get(second), -EAGAIN);
    kit_equal(get(box), 2);
    kit_ok(tong_close(second));
    kit_end(box, BOX);
}

static void who_leaves_leaves_its_keys(void)
{
    const tong_options options = by_key();
    struct pair p = open_pair(&options);
    for (uint64_t i = 1; i < 7; i++) {
        kit_ok(send_key(p.sender, i, i == 4 ? 8 : 7, 0));
    }
    kit_equal(get(p.a), 1);
    kit_equal(get(p.b), 4);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(p.a, 0, &message));
    kit_equal(*(const uint64_t *)message.data, 2);
    kit_gives(get(p.b), -EAGAIN);
    kit_ok(tong_close(p.a));
    for (uint64_t i = 2; i < 7; i++) {
        if (i != 4) {
            kit_equal(get(p.b), i);
        }
    }
    p.a = kit_open(BOX, TONG_RECEIVE, NULL);
    kit_ok(send_key(p.sender, 9, 7, 0));
    kit_gives(get(p.a), -EAGAIN);
    kit_equal(get(p.b), 9);
    close_pair(&p);
}

static void behind_sixty_four_of_anothers_a_link_waits(void)
{
    const tong_options options = by_key();
    struct pair p = open_pair(&options);
    kit_ok(send_key(p.sender, 0, 7, 0));
    kit_equal(get(p.a), 0);
    for (uint64_t i = 1; i <= OVER + 1; i++) {
        kit_ok(send_key(p.sender, i, 7, 0));
    }
    kit_ok(send_key(p.sender, 1000, 8, 0));
    kit_gives(get(p.b), -EAGAIN);
    kit_equal(get(p.a), 1);
    kit_equal(get(p.b), 1000);
    for (uint64_t i = 2; i <= OVER + 1; i++) {
        kit_equal(get(p.a), i);
    }
    close_pair(&p);
}

static void what_is_thrown_away_gives_nobody_a_key(void)
{
    const tong_options options = by_key();
    struct pair p = open_pair(&options);
    kit_ok(send_key(p.sender, 1, 7, 0));
    kit_ok(send_key(p.sender, 2, 7, 0));
    kit_gives(tong_skip(p.a), 8);
    char byte;
    kit_gives(tong_receive(p.a, &byte, 1, 0), -EMSGSIZE);
    kit_equal(get(p.b), 2);
    kit_ok(send_key(p.sender, 3, 7, 0));
    kit_gives(tong_skip(p.a), -EAGAIN);
    kit_gives(tong_skip(p.b), 8);
    close_pair(&p);
}

/* A message that could not be taken leaves its key to whoever can take it. */
static void who_cannot_take_it_gets_no_key(void)
{
    const tong_options options = by_key();
    struct pair p = open_pair(&options);
    tong_message claim[64];
    tong_message one = TONG_MESSAGE_INIT;
    for (uint64_t i = 0; i < 64; i++) {
        kit_ok(send_key(p.sender, i, 0, 0));
        claim[i] = (tong_message)TONG_MESSAGE_INIT;
        kit_ok(tong_claim(p.a, 0, &claim[i]));
    }
    kit_ok(send_key(p.sender, 100, 9, 0));
    kit_gives(tong_claim(p.a, 0, &one), -ENOBUFS);
    kit_ok(tong_claim(p.b, 0, &one));
    /* The same of one that came back, with a receiver that is gone. */
    kit_ok(tong_close(p.b));
    kit_gives(tong_claim(p.a, 0, &one), -ENOBUFS);
    p.b = kit_open(BOX, TONG_RECEIVE, NULL);
    kit_equal(get(p.b), 100);
    for (int i = 0; i < 64; i++) {
        kit_ok(tong_done(p.a, &claim[i]));
    }
    close_pair(&p);
}

static void a_tag_may_be_asked_for_among_its_keys(void)
{
    const tong_options options = by_key();
    struct pair p = open_pair(&options);
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    for (uint64_t i = 0; i < 8; i++) {
        with.key = 7 + i % 2;
        with.tag = 1 + i / 4;
        kit_ok(tong_send_with(p.sender, &i, sizeof i, &with, 0));
    }
    uint64_t value;
    want.tag = 2;
    kit_gives(tong_receive_with(p.a, &value, sizeof value, &want, 0, NULL), 8);
    kit_equal(value, 4);
    kit_gives(tong_receive_with(p.b, &value, sizeof value, &want, 0, NULL), 8);
    kit_equal(value, 5);
    kit_equal(get(p.b), 1);
    kit_equal(get(p.a), 0);
    kit_gives(tong_receive_with(p.a, &value, sizeof value, &want, 0, NULL), 8);
    kit_equal(value, 6);
    kit_equal(get(p.b), 3);
    kit_equal(get(p.b), 7);
    kit_gives(get(p.b), -EAGAIN);
    kit_equal(get(p.a), 2);
    close_pair(&p);
}

static void it_is_switched_while_it_is_used(void)
{
    (void)by_key();
    struct pair p = open_pair(NULL);
    tong_options options = kit_options();
    options.delivery = TONG_BY_KEY;
    for (uint64_t i = 0; i < 4; i++) {
        kit_ok(send_key(p.sender, i, 7, 0));
    }
    kit_equal(get(p.a), 0);
    kit_equal(get(p.b), 1);
    kit_ok(tong_set(p.sender, &options, TONG_SET_DELIVERY));
    kit_equal(get(p.b), 2);
    kit_gives(get(p.a), -EAGAIN);
    options.delivery = TONG_ANY;
    kit_ok(tong_set(p.sender, &options, TONG_SET_DELIVERY));
    kit_equal(get(p.a), 3);
    kit_ok(send_key(p.sender, 4, 7, 0));
    options.delivery = TONG_BY_KEY;
    kit_ok(tong_set(p.sender, &options, TONG_SET_DELIVERY));
    kit_gives(get(p.a), -EAGAIN); /* b has it still */
    kit_equal(get(p.b), 4);
    close_pair(&p);
}

static bool is_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, 0) == 1;
}

static bool becomes_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, (int)(KIT_PATIENCE / 1000000)) == 1;
}

static void an_event_loop_is_told_of_its_own(void)
{
    const tong_options options = by_key();
    struct pair p = open_pair(&options);
    const int a = tong_fd(p.a, TONG_RECEIVE);
    const int b = tong_fd(p.b, TONG_RECEIVE);
    kit_true(a >= 0 && b >= 0);
    kit_ok(send_key(p.sender, 1, 7, 0));
    kit_true(becomes_readable(a));
    kit_equal(get(p.a), 1);
    kit_gives(get(p.b), -EAGAIN);
    kit_true(!is_readable(b) && !is_readable(a));
    for (uint64_t i = 2; i < 20; i++) {
        kit_ok(send_key(p.sender, i, i % 2 == 0 ? 7 : 8, 0));
    }
    for (uint64_t i = 3; i < 20; i += 2) {
        kit_true(becomes_readable(b));
        kit_equal(get(p.b), i);
    }
    kit_gives(get(p.b), -EAGAIN);
    kit_true(!is_readable(b));
    for (uint64_t i = 2; i < 20; i += 2) {
        kit_true(becomes_readable(a));
        kit_equal(get(p.a), i);
    }
    kit_gives(get(p.a), -EAGAIN);
    kit_true(!is_readable(a));
    close_pair(&p);
}

/* ---- several processes, asleep and awake */

#define SEATS 3
#define KEYS 40
#define MESSAGES 2000
#define END UINT64_MAX

struct world {
    _Atomic uint64_t received;
    _Atomic uint32_t who[KEYS + 1];  /* seat + 1 that has the key */
    _Atomic uint64_t last[KEYS + 1]; /* the last message of the key, + 1 */
    _Atomic uint32_t seats;
};

struct hall {
    struct world *world;
    tong_mailbox *box;
    struct seat seats[SEATS];
    uint64_t sent;
    bool claims;
};

static void note(struct world *world, uint32_t seat, uint64_t value, uint64_t key)
{
    const uint32_t before = atomic_exchange(&world->who[key], seat);
    if (key != 0 && before != 0 && before != seat) {
        kit_fail("message %u of key %u is at %u, the key is at %u", (unsigned)value, (unsigned)key,
                 seat, before);
    }
    const uint64_t last = atomic_exchange(&world->last[key], value + 1);
    if (key != 0 && last > value) {
        kit_fail("message %u of key %u comes behind %u", (unsigned)value, (unsigned)key,
                 (unsigned)last - 1);
    }
    atomic_fetch_add(&world->received, 1);
}

static int sit(void *arg)
{
    const struct hall *hall = arg;
    const uint32_t seat = atomic_fetch_add(&hall->world->seats, 1) + 1;
    tong_mailbox *box = kit_open(BOX, TONG_RECEIVE, NULL);
    for (;;) {
        tong_message message = TONG_MESSAGE_INIT;
        uint64_t value;
        if (hall->claims) {
            kit_ok(tong_claim(box, KIT_PATIENCE, &message));
            value = *(const uint64_t *)message.data;
        } else {
            kit_gives(tong_receive_with(box, &value, 8, NULL, KIT_PATIENCE, &message), 8);
        }
        if (value != END) {
            note(hall->world, seat, value, message.key);
        }
        if (hall->claims) {
            kit_ok(tong_done(box, &message));
        }
        if (value == END) {
            return tong_close(box);
        }
    }
}

static void all_wait(const struct hall *hall, uint32_t n)
{
    kit_until(atomic_load(&hall->world->received) == hall->sent &&
              kit_stat(BOX).receivers_asleep == n);
}

static void open_hall(struct hall *hall, const tong_options *options, bool claims)
{
    *hall = (struct hall){ .world = kit_shared(sizeof(struct world)), .claims = claims };
    hall->box = kit_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, options);
    for (uint32_t i = 0; i < SEATS; i++) {
        seat_take(&hall->seats[i], sit, hall);
        all_wait(hall, i + 1);
    }
}

static void close_hall(struct hall *hall)
{
    all_wait(hall, SEATS);
    for (uint32_t i = 0; i < SEATS; i++) {
        kit_ok(kit_send_u64(hall->box, END, KIT_PATIENCE));
    }
    for (uint32_t i = 0; i < SEATS; i++) {
        seat_leave(&hall->seats[i]);
    }
    kit_end(hall->box, BOX);
}

static void send_all(struct hall *hall, bool pauses)
{
    struct kit_random random = kit_random_stream(7);
    for (uint64_t i = 0; i < MESSAGES; i++) {
        hall->sent++;
        kit_true(send_key(hall->box, i, kit_random_below(&random, KEYS + 1), KIT_PATIENCE) >= 0);
        if (pauses && kit_random_below(&random, 8) == 0) {
            all_wait(hall, SEATS);
        }
    }
}

static void no_key_is_with_two(const tong_options *options, bool claims, bool pauses)
{
    struct hall hall;
    open_hall(&hall, options, claims);
    send_all(&hall, pauses);
    all_wait(&hall, SEATS);
    uint32_t keys[SEATS + 1] = { 0 };
    for (uint32_t k = 1; k <= KEYS; k++) {
        keys[atomic_load(&hall.world->who[k])]++;
    }
    kit_true(keys[0] == 0 && (!pauses || (keys[1] != 0 && keys[2] != 0 && keys[3] != 0)));
    close_hall(&hall);
}

static void no_key_is_with_two_while_they_wait(void)
{
    const tong_options options = by_key();
    no_key_is_with_two(&options, false, true);
}

static void no_key_is_with_two_under_load(void)
{
    const tong_options options = by_key();
    no_key_is_with_two(&options, false, false);
}

static void no_key_is_with_two_that_claim(void)
{
    const tong_options options = by_key();
    no_key_is_with_two(&options, true, true);
}

static void no_key_is_with_two_at_capacity_3(void)
{
    tong_options options = by_key();
    options.capacity = 3;
    no_key_is_with_two(&options, true, false);
}

static void no_key_is_with_two_at_capacity_0(void)
{
    tong_options options = by_key();
    options.capacity = 0;
    no_key_is_with_two(&options, false, true);
}

/* One that is killed gives its keys to others, who get all that it did not take, in order. */
static void one_that_dies_leaves_its_keys(void)
{
    const tong_options options = by_key();
    kit_needs(KIT_OTHERS_RECEIVE);
    struct hall hall;
    open_hall(&hall, &options, true);
    send_all(&hall, true);
    all_wait(&hall, SEATS);
    kit_kill(&hall.seats[1].child);
    for (uint32_t k = 1; k <= KEYS; k++) {
        if (atomic_load(&hall.world->who[k]) == 2) {
            atomic_store(&hall.world->who[k], 0);
        }
    }
    for (uint64_t i = MESSAGES; i < MESSAGES + 10 * KEYS; i++) {
        hall.sent++;
        kit_ok(send_key(hall.box, i, 1 + i % KEYS, KIT_PATIENCE));
    }
    all_wait(&hall, SEATS - 1);
    for (uint32_t k = 1; k <= KEYS; k++) {
        kit_true(atomic_load(&hall.world->who[k]) % 2 == 1);
    }
    seat_take(&hall.seats[1], sit, &hall);
    close_hall(&hall);
}

static const struct kit_test tests[] = {
    KIT_TEST(a_key_stays_with_who_took_its_first_message),
    KIT_TEST(what_has_no_key_goes_to_whoever_comes),
    KIT_TEST(the_first_one_is_known_before_a_second_one_comes),
    KIT_TEST(who_leaves_leaves_its_keys),
    KIT_TEST(behind_sixty_four_of_anothers_a_link_waits),
    KIT_TEST(what_is_thrown_away_gives_nobody_a_key),
    KIT_TEST(who_cannot_take_it_gets_no_key),
    KIT_TEST(a_tag_may_be_asked_for_among_its_keys),
    KIT_TEST(it_is_switched_while_it_is_used),
    KIT_TEST(an_event_loop_is_told_of_its_own),
    KIT_TEST(no_key_is_with_two_while_they_wait),
    KIT_TEST(no_key_is_with_two_under_load),
    KIT_TEST(no_key_is_with_two_that_claim),
    KIT_TEST(no_key_is_with_two_at_capacity_3),
    KIT_TEST(no_key_is_with_two_at_capacity_0),
    KIT_TEST(one_that_dies_leaves_its_keys),
};

KIT_MAIN(tests)
