/* Keys, and asking for some messages only, where the senders are other processes: what lies in their sockets. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

#define BOX "unix:box"
#define SEATS 3
#define SENDERS 3
#define KEYS 20
#define MESSAGES 400

static tong_options options_of(uint32_t capacity, uint32_t delivery)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    options.capacity = capacity;
    options.delivery = delivery;
    return options;
}

static tong_mailbox *make(const tong_options *options)
{
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, options, &box));
    return box;
}

static tong_mailbox *open_to(unsigned flags)
{
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, flags, NULL, &box));
    return box;
}

static int send_with(tong_mailbox *box, uint64_t value, uint64_t key, uint64_t tag, int64_t timeout)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.key = key;
    with.tag = tag;
    return tong_send_with(box, &value, sizeof value, &with, timeout);
}

/* ------------------------------------------------------------------ keys */

struct world {
    _Atomic uint32_t who[KEYS + 1];           /* seat + 1 */
    _Atomic uint64_t last[SENDERS][KEYS + 1]; /* value + 1 */
    _Atomic uint64_t received;
};

struct chair {
    struct world *world;
    uint32_t seat;
    uint64_t all;
    pthread_t thread;
};

static void *sit(void *arg)
{
    const struct chair *chair = arg;
    struct world *w = chair->world;
    tong_mailbox *box = open_to(TONG_RECEIVE);
    while (atomic_load(&w->received) < chair->all) {
        tong_message info = TONG_MESSAGE_INIT;
        uint64_t value;
        const ssize_t n = tong_receive_with(box, &value, sizeof value, NULL, TONG_MS(50), &info);
        if (n == -ETIMEDOUT) {
            continue; /* perhaps all is there */
        }
        kit_gives(n, sizeof value);
        const uint64_t sender = value / MESSAGES;
        const uint32_t before = atomic_exchange(&w->who[info.key], chair->seat + 1);
        kit_true(info.key == 0 || before == 0 || before == chair->seat + 1);
        kit_true(info.key == 0 || atomic_exchange(&w->last[sender][info.key], value + 1) <= value);
        atomic_fetch_add(&w->received, 1);
    }
    kit_ok(tong_close(box));
    return NULL;
}

static int send_keys(void *arg)
{
    const uint64_t sender = *(const uint64_t *)arg;
    struct kit_random random = kit_random_stream(sender);
    tong_mailbox *box = open_to(TONG_SEND);
    for (uint64_t i = 0; i < MESSAGES; i++) {
        const uint64_t key = kit_random_below(&random, KEYS + 1);
        kit_ok(send_with(box, sender * MESSAGES + i, key, 0, KIT_PATIENCE));
    }
    return tong_close(box);
}

static void no_key_is_with_two(uint32_t capacity)
{
    static struct chair chairs[SEATS];
    uint64_t ids[SENDERS];
    struct kit_child children[SENDERS];
    struct world *world = kit_shared(sizeof *world);
    const tong_options options = options_of(capacity, TONG_BY_KEY);
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, &options, &box));
    for (uint64_t i = 0; i < SENDERS; i++) {
        ids[i] = i;
        children[i] = kit_spawn(send_keys, &ids[i]);
    }
    for (uint32_t i = 0; i < SEATS; i++) {
        chairs[i] = (struct chair){ .world = world, .seat = i, .all = SENDERS * MESSAGES };
        kit_true(pthread_create(&chairs[i].thread, NULL, sit, &chairs[i]) == 0);
    }
    for (uint32_t i = 0; i < SEATS; i++) {
        kit_true(pthread_join(chairs[i].thread, NULL) == 0);
    }
    for (uint32_t i = 0; i < SENDERS; i++) {
        kit_join(&children[i]);
    }
    kit_equal(atomic_load(&world->received), SENDERS * MESSAGES);
    kit_equal(kit_stat(BOX).waiting, 0);
    kit_ok(tong_close(box));
}

static void no_key_is_with_two_receivers(void)
{
    no_key_is_with_two(TONG_UNBOUNDED);
    no_key_is_with_two(4);
}

static void no_key_is_with_two_receivers_at_capacity_0(void)
{
    no_key_is_with_two(0);
}

/* ------------------------------------------------------------------ asking, at capacity 0 */

struct asking {
    tong_mailbox *box;
    uint64_t tag;
    int64_t r; /* what came, or the error */
    _Atomic bool over;
};

static void *ask(void *arg)
{
    struct asking *a = arg;
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    uint64_t value = 0;
    want.tag = a->tag;
    const ssize_t n = tong_receive_with(a->box, &value, sizeof value, &want, KIT_PATIENCE, NULL);
    a->r = n < 0 ? n : (int64_t)value;
    atomic_store(&a->over, true);
    return NULL;
}

static int offer_in_turn(void *arg)
{
    kit_event *offered = arg;
    tong_mailbox *box = open_to(TONG_SEND);
    kit_gives(send_with(box, 1, 0, 6, TONG_MS(10)), -ETIMEDOUT);
    kit_gives(send_with(box, 2, 0, 7, TONG_MS(10)), -ETIMEDOUT);
    kit_event_set(offered);
    kit_ok(send_with(box, 3, 0, 8, KIT_PATIENCE)); /* stays, until somebody comes for it */
    kit_ok(send_with(box, 4, 0, 5, KIT_PATIENCE));
    return tong_close(box);
}

static void an_offer_is_left_to_who_asks_for_it(void)
{
    const tong_options none = options_of(0, TONG_FIRST_COME);
    kit_event *offered = kit_shared(sizeof *offered);
    tong_mailbox *box = make(&none);
    struct asking five = { .box = box, .tag = 5 };
    struct asking eight = { .box = box, .tag = 8 };
    pthread_t threads[2];
    kit_true(pthread_create(&threads[0], NULL, ask, &five) == 0);
    kit_until(kit_stat(BOX).receivers_asleep == 1);
    struct kit_child child = kit_spawn(offer_in_turn, offered);
    kit_event_wait(offered);
    kit_until(kit_stat(BOX).senders_blocked == 1);
    /* It sleeps beside the offer, which is not its. */
    kit_until(kit_threads_asleep(getpid()) == 1);
    kit_true(!atomic_load(&five.over));
    kit_true(pthread_create(&threads[1], NULL, ask, &eight) == 0);
    kit_until(atomic_load(&eight.over));
    kit_equal(eight.r, 3);
    kit_until(atomic_load(&five.over));
    kit_equal(five.r, 4);
    for (int i = 0; i < 2; i++) {
        kit_true(pthread_join(threads[i], NULL) == 0);
    }
    kit_join(&child);
    kit_ok(tong_close(box));
}

static int offer_one(void *arg)
{
    (void)arg;
    tong_mailbox *box = open_to(TONG_SEND);
    kit_ok(send_with(box, 9, 0, 6, KIT_PATIENCE));
    return tong_close(box);
}

/* Whoever takes whatever comes gets what those who ask do not want; and it is a call that comes later. */
static void an_offer_that_nobody_asks_for_is_whoevers_comes(void)
{
    const tong_options none = options_of(0, TONG_FIRST_COME);
    tong_mailbox *box = make(&none);
    struct asking five = { .box = box, .tag = 5 };
    pthread_t thread;
    char byte;
    tong_message info = TONG_MESSAGE_INIT;
    kit_true(pthread_create(&thread, NULL, ask, &five) == 0);
    kit_until(kit_stat(BOX).receivers_asleep == 1);
    struct kit_child child = kit_spawn(offer_one, NULL);
    kit_until(kit_stat(BOX).senders_blocked == 1);
    kit_gives(tong_receive_with(box, &byte, 1, NULL, KIT_PATIENCE, &info), -EMSGSIZE);
    kit_equal(info.len, 8);
    kit_equal(info.pid, child.pid);
    kit_equal(kit_receive_u64(box), 9);
    kit_join(&child);
    kit_ok(tong_interrupt(box));
    kit_true(pthread_join(thread, NULL) == 0);
    kit_gives(five.r, -ECANCELED);
    kit_ok(tong_close(box));
}

static int offer_two(void *arg)
{
    kit_event *asleep = arg;
    tong_mailbox *box = open_to(TONG_SEND);
    kit_ok(send_with(box, 9, 0, 6, KIT_PATIENCE));
    kit_event_wait(asleep);
    kit_ok(send_with(box, 10, 0, 6, KIT_PATIENCE));
    return tong_close(box);
}

/* That nobody wanted an offer is over when it was taken. */
static void the_next_offer_wakes_though_the_one_before_did_not(void)
{
    const tong_options none = options_of(0, TONG_FIRST_COME);
    kit_event *asleep = kit_shared(sizeof *asleep);
    tong_mailbox *box = make(&none);
    struct asking five = { .box = box, .tag = 5 };
    struct asking any = { .box = box };
    pthread_t thread;
    kit_true(pthread_create(&thread, NULL, ask, &five) == 0);
    kit_until(kit_stat(BOX).receivers_asleep == 1);
    struct kit_child child = kit_spawn(offer_two, asleep);
    kit_until(kit_stat(BOX).senders_blocked == 1);
    kit_until(kit_threads_asleep(getpid()) == 1);
    kit_ok(tong_interrupt(box));
    kit_true(pthread_join(thread, NULL) == 0);
    kit_gives(five.r, -ECANCELED);
    kit_equal(kit_receive_u64(box), 9);
    kit_true(pthread_create(&thread, NULL, ask, &any) == 0);
    kit_until(kit_stat(BOX).receivers_asleep == 1);
    kit_event_set(asleep);
    kit_true(pthread_join(thread, NULL) == 0);
    kit_equal(any.r, 10);
    kit_join(&child);
    kit_ok(tong_close(box));
}

static int offer_key(void *arg)
{
    tong_mailbox *box = open_to(TONG_SEND);
    (void)arg;
    kit_ok(send_with(box, 1, 7, 0, KIT_PATIENCE));
    kit_ok(send_with(box, 2, 7, 0, KIT_PATIENCE));
    return tong_close(box);
}

static void becomes_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    kit_equal(poll(&p, 1, (int)(KIT_PATIENCE / 1000000)), 1);
}

static void receive_soon(tong_mailbox *box, int fd, uint64_t want)
{
    uint64_t value = 0;
    ssize_t n;
    do {
        becomes_readable(fd);
        n = tong_receive(box, &value, sizeof value, 0);
    } while (n == -EAGAIN);
    kit_gives(n, sizeof value);
    kit_equal(value, want);
}

/* The one that has the key is in an event loop, another one in a call. */
static void an_event_loop_hears_of_the_offer_that_has_its_key(void)
{
    for (int when = 0; when < 2; when++) {
        const tong_options none = options_of(0, TONG_BY_KEY);
        tong_mailbox *box = make(&none);
        tong_mailbox *other = open_to(TONG_RECEIVE);
        struct asking any = { .box = other };
        pthread_t thread;
        int fd = when == 0 ? tong_fd(box, TONG_RECEIVE) : -1;
        struct kit_child child = kit_spawn(offer_key, NULL);
        kit_equal(kit_receive_u64(box), 1);
        kit_true(pthread_create(&thread, NULL, ask, &any) == 0);
        kit_until(kit_stat(BOX).receivers_asleep == 1);
        kit_until(kit_stat(BOX).senders_blocked == 1);
        fd = when == 0 ? fd : tong_fd(box, TONG_RECEIVE);
        kit_true(fd >= 0);
        receive_soon(box, fd, 2);
        kit_join(&child);
        kit_ok(tong_interrupt(other));
        kit_true(pthread_join(thread, NULL) == 0);
        kit_gives(any.r, -ECANCELED);
        kit_ok(tong_close(other));
        kit_ok(tong_close(box));
    }
}

/* ------------------------------------------------------------------ asking, where the memory is full */

#define SMALL 600

static int send_small(void *arg)
{
    kit_event *asked = arg;
    char data[SMALL] = { 0 };
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    tong_mailbox *box = open_to(TONG_SEND);
    with.tag = 1;
    for (int i = 0; i < 4; i++) {
        kit_ok(tong_send_with(box, data, sizeof data, &with, KIT_PATIENCE));
    }
    kit_event_wait(asked);
    with.tag = 5;
    kit_ok(tong_send_with(box, data, 8, &with, KIT_PATIENCE));
    return tong_close(box);
}

static void who_asks_sleeps_while_the_memory_is_full_of_others(void)
{
    tong_options options = options_of(TONG_UNBOUNDED, TONG_FIRST_COME);
    options.max_bytes = 1000;
    kit_event *asked = kit_shared(sizeof *asked);
    tong_mailbox *box = make(&options);
    struct asking five = { .box = box, .tag = 5, .r = -1 };
    pthread_t thread;
    char data[SMALL];
    struct kit_child child = kit_spawn(send_small, asked);
    kit_until(kit_stat(BOX).waiting == 4);
    kit_true(pthread_create(&thread, NULL, ask, &five) == 0);
    kit_until(kit_stat(BOX).receivers_asleep == 1);
    kit_until(kit_threads_asleep(getpid()) == 1);
    kit_event_set(asked);
    kit_join(&child);
    kit_true(!atomic_load(&five.over));
    for (int i = 0; i < 4; i++) {
        kit_gives(tong_receive(box, data, sizeof data, KIT_PATIENCE), SMALL);
    }
    kit_true(pthread_join(thread, NULL) == 0);
    kit_equal(five.r, 0);
    kit_is_empty(box);
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ time-out 0 where nobody waits for it */

static void *ask_for_a_tag(void *arg)
{
    tong_receive_options asked = TONG_RECEIVE_OPTIONS_INIT;
    uint64_t value = 0;
    asked.tag = 7;
    kit_gives(tong_receive_with(arg, &value, sizeof value, &asked, TONG_FOREVER, NULL),
              sizeof value);
    kit_equal(value, 77);
    return NULL;
}

/* So many that the test does not end in time if one of them waits. */
static int send_at_once(void *arg)
{
    (void)arg;
    tong_mailbox *box = open_to(TONG_SEND);
    for (uint64_t i = 0; i < 200; i++) {
        kit_gives(send_with(box, i, 0, 8, 0), -EAGAIN);
    }
    kit_ok(send_with(box, 77, 0, 7, 0));
    return tong_close(box);
}

static void who_asks_for_others_keeps_no_send_waiting_that_does_not_wait(void)
{
    for (int how = 0; how < 2; how++) {
        const tong_options options = options_of(0, TONG_FIRST_COME);
        tong_mailbox *box = make(&options);
        pthread_t thread;
        kit_ok(pthread_create(&thread, NULL, ask_for_a_tag, box));
        kit_until_asleep(BOX, 1);
        if (how == 0) {
            struct kit_child child = kit_spawn(send_at_once, NULL);
            kit_join(&child);
        } else {
            kit_ok(send_at_once(NULL));
        }
        kit_ok(pthread_join(thread, NULL));
        kit_ok(tong_close(box));
    }
}

static const struct kit_test tests[] = {
    KIT_TEST(no_key_is_with_two_receivers),
    KIT_TEST(no_key_is_with_two_receivers_at_capacity_0),
    KIT_TEST(an_offer_is_left_to_who_asks_for_it),
    KIT_TEST(an_offer_that_nobody_asks_for_is_whoevers_comes),
    KIT_TEST(the_next_offer_wakes_though_the_one_before_did_not),
    KIT_TEST(an_event_loop_hears_of_the_offer_that_has_its_key),
    KIT_TEST(who_asks_sleeps_while_the_memory_is_full_of_others),
    KIT_TEST(who_asks_for_others_keeps_no_send_waiting_that_does_not_wait),
};

KIT_MAIN(tests)
