/*
 * A policy is changed while the mailbox is used, and policies of the user's own: what becomes of those
 * who wait already, and who may.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

enum {
    SEATS = 3,
    MESSAGES_MOST = 20000
};
#define END UINT64_MAX

struct world {
    _Atomic uint64_t received;
    _Atomic int32_t refused[SEATS]; /* what a receive gave instead of a message */
    _Atomic uint32_t again[SEATS];  /* receives begun behind that */
    _Atomic uint8_t who[MESSAGES_MOST];
    kit_event go[SEATS];
    kit_event learn[SEATS]; /* to register the own policy */
};

struct seat {
    struct world *world;
    uint32_t index;
};

struct room {
    struct world *world;
    struct seat seats[SEATS];
    struct kit_child children[SEATS];
    uint64_t sent;
    tong_mailbox *box;
};

/* The highest slot first. */
static size_t highest(const tong_waiting *waiting, size_t n, void *arg)
{
    (void)arg;
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        best = waiting[i].slot > waiting[best].slot ? i : best;
    }
    return best;
}

static size_t no_index(const tong_waiting *waiting, size_t n, void *arg)
{
    (void)waiting;
    _Atomic uint32_t *asked = arg;
    atomic_fetch_add(asked, 1);
    return n + 7;
}

/* Receives to the end. Refused, it says so, waits to be told, and tries again. */
static int sit(void *arg)
{
    const struct seat *seat = arg;
    struct world *world = seat->world;
    tong_mailbox *box = kit_open(kit_name("who"), TONG_RECEIVE, NULL);
    for (;;) {
        uint64_t k = 0;
        const ssize_t r = tong_receive(box, &k, sizeof k, KIT_PATIENCE);
        if (r == -EBUSY || r == -ENOSYS) {
            atomic_store(&world->refused[seat->index], (int32_t)r);
            kit_event_wait(&world->go[seat->index]);
            if (atomic_load(&world->learn[seat->index]) != 0) {
                kit_ok(tong_policy_register("highest", highest, NULL));
            }
            atomic_fetch_add(&world->again[seat->index], 1);
            continue;
        }
        kit_gives(r, sizeof k);
        if (k == END) {
            return tong_close(box);
        }
        kit_equal(atomic_exchange(&world->who[k], (uint8_t)(seat->index + 1)), 0);
        atomic_fetch_add(&world->received, 1);
    }
}

static void until_wait(const struct room *room, uint32_t n)
{
    kit_until(atomic_load(&room->world->received) == room->sent &&
              kit_stat(kit_name("who")).receivers_asleep == n);
}

/* They come and go to sleep one after the other. */
static void fill_room(struct room *room, const tong_options *options)
{
    *room = (struct room){ .world = kit_shared(sizeof *room->world) };
    room->box = kit_open(kit_name("who"), TONG_SEND | TONG_CREATE | TONG_EXCL, options);
    for (uint32_t i = 0; i < SEATS; i++) {
        room->seats[i] = (struct seat){ .world = room->world, .index = i };
        room->children[i] = kit_spawn(sit, &room->seats[i]);
        until_wait(room, i + 1);
    }
}

static void send_one(struct room *room)
{
    kit_ok(kit_send_u64(room->box, room->sent++, 0));
}

static void expect(const struct room *room, uint64_t k, uint32_t who)
{
    kit_until(atomic_load(&room->world->received) > k);
    if (atomic_load(&room->world->who[k]) != who + 1) {
        kit_fail("message %u went to %u, not to %u", (unsigned)k,
                 (unsigned)atomic_load(&room->world->who[k]) - 1, (unsigned)who);
    }
}

static void end_one(struct room *room, uint32_t seat)
{
    kit_ok(kit_send_u64(room->box, END, 0));
    kit_join(&room->children[seat]);
}

static void set_delivery(tong_mailbox *box, uint32_t delivery, const char *policy)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.delivery = delivery;
    options.policy = policy;
    kit_ok(tong_set(box, &options, TONG_SET_DELIVERY));
}

static void empty_room(struct room *room)
{
    set_delivery(room->box, TONG_ANY, NULL);
    for (uint32_t i = 0; i < SEATS; i++) {
        kit_event_set(&room->world->go[i]);
    }
    kit_until(kit_stat(kit_name("who")).receivers_asleep == SEATS);
    for (uint32_t i = 0; i < SEATS; i++) {
        kit_ok(kit_send_u64(room->box, END, 0));
    }
    for (uint32_t i = 0; i < SEATS; i++) {
        kit_join(&room->children[i]);
    }
    kit_end(room->box, kit_name("who"));
}

/* ---- what is refused */

static void set_refuses_what_cannot_be(void)
{
    char long_name[TONG_POLICY_MAX + 1];
    memset(long_name, 'a', sizeof long_name);
    long_name[TONG_POLICY_MAX] = '\0';
    tong_options options = kit_options();
    tong_mailbox *box = kit_create(kit_name("who"), NULL);
    kit_gives(tong_set(NULL, &options, TONG_SET_DELIVERY), -EINVAL);
    kit_gives(tong_set(box, NULL, TONG_SET_DELIVERY), -EINVAL);
    kit_gives(tong_set(box, &options, 0), -EINVAL);
    kit_gives(tong_set(box, &options, TONG_SET_DELIVERY | 0x1000u), -EINVAL);
    options.delivery = 99;
    kit_gives(tong_set(box, &options, TONG_SET_DELIVERY), -EINVAL);
    options.delivery = TONG_OWN;
    kit_gives(tong_set(box, &options, TONG_SET_DELIVERY), -EINVAL);
    options.policy = "no name";
    kit_gives(tong_set(box, &options, TONG_SET_DELIVERY), -EINVAL);
    options.policy = long_name;
    kit_gives(tong_set(box, &options, TONG_SET_DELIVERY), -ENAMETOOLONG);
    options.policy = "fine";
    options.delivery = TONG_RANDOM;
    kit_gives(tong_set(box, &options, TONG_SET_DELIVERY), -EINVAL);
    kit_equal(kit_stat(kit_name("who")).delivery, TONG_FIRST_COME);
    kit_ok(tong_remove(kit_name("who")));
    options.policy = NULL;
    kit_gives(tong_set(box, &options, TONG_SET_DELIVERY), -EIDRM);
    kit_ok(tong_close(box));
}

static int own_it(void *arg)
{
    (void)arg;
    tong_options options = kit_options();
    options.owner = TONG_PROCESS;
    tong_mailbox *box = kit_create(kit_name("who"), &options);
    set_delivery(box, TONG_ROUND_ROBIN, NULL); /* its process may */
    kit_report("", 1);
    kit_await_death();
}

static int set_as_a_child(void *arg)
{
    const tong_options options = kit_options();
    kit_gives(tong_set(arg, &options, TONG_SET_DELIVERY), -ECHILD);
    kit_gives(tong_close(arg), -ECHILD);
    return 0;
}

static void of_a_process_only_that_one_may(void)
{
    char ready;
    struct kit_child owner = kit_spawn(own_it, NULL);
    kit_read_report(&owner, &ready, 1);
    tong_options options = kit_options();
    options.delivery = TONG_ANY;
    tong_mailbox *box = kit_open(kit_name("who"), TONG_SEND, NULL);
    kit_gives(tong_set(box, &options, TONG_SET_DELIVERY), -EPERM);
    kit_equal(kit_stat(kit_name("who")).delivery, TONG_ROUND_ROBIN);
    struct kit_child child = kit_spawn(set_as_a_child, box);
    kit_join(&child);
    kit_kill(&owner);
    kit_gives(tong_set(box, &options, TONG_SET_DELIVERY), -EOWNERDEAD);
    kit_ok(tong_close(box));
}

static void register_refuses_what_cannot_be(void)
{
    char long_name[TONG_POLICY_MAX + 1];
    memset(long_name, 'a', sizeof long_name);
    long_name[TONG_POLICY_MAX] = '\0';
    kit_gives(tong_policy_register(NULL, highest, NULL), -EINVAL);
    kit_gives(tong_policy_register("", highest, NULL), -EINVAL);
    kit_gives(tong_policy_register("a b", highest, NULL), -EINVAL);
    kit_gives(tong_policy_register("fine", NULL, NULL), -EINVAL);
    kit_gives(tong_policy_register(long_name, highest, NULL), -ENAMETOOLONG);
    long_name[TONG_POLICY_MAX - 1] = '\0';
    kit_ok(tong_policy_register(long_name, highest, NULL));
    kit_gives(tong_policy_register(long_name, highest, NULL), -EEXIST);
}

/* ---- those who wait */

/* The same, and all that wait have woken, looked at the new policy, and sleep again. */
static void set_and_settle(struct room *room, uint32_t delivery)
{
    uint64_t switches[SEATS];
    for (uint32_t i = 0; i < SEATS; i++) {
        kit_until(kit_sleeps(room->children[i].pid));
        switches[i] = kit_switches(room->children[i].pid);
    }
    set_delivery(room->box, delivery, NULL);
    for (uint32_t i = 0; i < SEATS; i++) {
        kit_until(kit_switches(room->children[i].pid) > switches[i] &&
                  kit_sleeps(room->children[i].pid));
    }
    until_wait(room, SEATS);
}

static void who_waits_counts_as_it_stands(void)
{
    struct room room;
    fill_room(&room, NULL);
    send_one(&room);
    until_wait(&room, SEATS);
    expect(&room, 0, 0); /* who is the last in the queue now */
    set_and_settle(&room, TONG_ROUND_ROBIN);
    for (uint64_t k = 1; k < 7; k++) {
        until_wait(&room, SEATS);
        send_one(&room);
    }
    kit_equal(kit_stat(kit_name("who")).delivery, TONG_ROUND_ROBIN);
    /* In turn, whoever is the first of them. */
    expect(&room, 1, 0);
    for (uint64_t k = 2; k < 7; k++) {
        expect(&room, k, (uint32_t)(k - 1) % SEATS);
    }
    until_wait(&room, SEATS);
    set_and_settle(&room, TONG_FIRST_COME);
    for (uint64_t k = 7; k < 10; k++) {
        until_wait(&room, SEATS);
        send_one(&room);
    }
    until_wait(&room, SEATS);
    for (uint64_t k = 7; k < 10; k++) {
        expect(&room, k, (uint32_t)(k - 1) % SEATS);
    }
    empty_room(&room);
}

static void made_exclusive_the_first_one_stays(void)
{
    struct room room;
    fill_room(&room, NULL);
    set_delivery(room.box, TONG_EXCLUSIVE, NULL);
    for (uint32_t i = 1; i < SEATS; i++) {
        kit_until(atomic_load(&room.world->refused[i]) == -EBUSY);
    }
    until_wait(&room, 1);
    send_one(&room);
    expect(&room, 0, 0);
    tong_mailbox *newcomer = NULL;
    kit_gives(tong_open(kit_name("who"), TONG_RECEIVE, NULL, &newcomer), -EBUSY);
    /* A refused one is let in when those before it are gone, however they go. */
    end_one(&room, 0);
    kit_event_set(&room.world->go[1]);
    until_wait(&room, 1);
    send_one(&room);
    expect(&room, 1, 1);
    until_wait(&room, 1);
    kit_kill(&room.children[1]);
    kit_event_set(&room.world->go[2]);
    until_wait(&room, 1);
    send_one(&room);
    expect(&room, 2, 2);
    end_one(&room, 2);
    kit_end(room.box, kit_name("who"));
}

/* ---- a policy of one's own */

static void an_own_policy_chooses(void)
{
    struct room room;
    tong_options options = kit_options();
    options.policy = "highest";
    kit_ok(tong_policy_register("highest", highest, NULL)); /* children have it, too */
    fill_room(&room, &options);
    const tong_status status = kit_stat(kit_name("who"));
    kit_equal(status.delivery, TONG_OWN);
    kit_true(strcmp(status.policy, "highest") == 0);
    for (uint64_t k = 0; k < 5; k++) {
        until_wait(&room, SEATS);
        send_one(&room);
    }
    for (uint64_t k = 0; k < 5; k++) {
        expect(&room, k, SEATS - 1);
    }
    until_wait(&room, SEATS);
    empty_room(&room);
}

static void a_choice_of_nobody_is_who_has_waited_longest(void)
{
    struct room room;
    tong_options options = kit_options();
    _Atomic uint32_t *asked = kit_shared(sizeof *asked);
    options.policy = "no_index";
    kit_ok(tong_policy_register("no_index", no_index, (void *)asked));
    fill_room(&room, &options);
    for (uint64_t k = 0; k < 6; k++) {
        until_wait(&room, SEATS);
        send_one(&room);
    }
    for (uint64_t k = 0; k < 6; k++) {
        expect(&room, k, (uint32_t)(k % SEATS));
    }
    kit_true(atomic_load(asked) >= 6);
    until_wait(&room, SEATS);
    empty_room(&room);
}

static void who_has_not_registered_it_is_told(void)
{
    struct room room;
    fill_room(&room, NULL);
    set_delivery(room.box, 0, "highest");
    for (uint32_t i = 0; i < SEATS; i++) {
        kit_until(atomic_load(&room.world->refused[i]) == -ENOSYS);
    }
    tong_mailbox *newcomer = NULL;
    kit_gives(tong_open(kit_name("who"), TONG_RECEIVE, NULL, &newcomer), -ENOSYS);
    kit_true(newcomer == NULL);
    /* Two of them register it and go on. */
    for (uint32_t i = 0; i < 2; i++) {
        kit_event_set(&room.world->learn[i]);
        kit_event_set(&room.world->go[i]);
    }
    until_wait(&room, 2);
    send_one(&room);
    expect(&room, 0, 1);
    /* Another one of another name: none of them knows it. Back again: they need not register. */
    atomic_store(&room.world->refused[0], 0);
    atomic_store(&room.world->learn[0], 0);
    atomic_store(&room.world->learn[1], 0);
    set_delivery(room.box, TONG_OWN, "another");
    kit_until(atomic_load(&room.world->refused[0]) == -ENOSYS);
    kit_true(strcmp(kit_stat(kit_name("who")).policy, "another") == 0);
    set_delivery(room.box, TONG_OWN, "highest");
    until_wait(&room, 2);
    send_one(&room);
    expect(&room, 1, 1);
    until_wait(&room, 2);
    empty_room(&room);
}

static void options_name_the_policy(void)
{
    tong_options options = kit_options();
    tong_mailbox *box = NULL;
    options.policy = "unknown_here";
    kit_gives(tong_open(kit_name("who"), TONG_RECEIVE | TONG_CREATE, &options, &box), -ENOSYS);
    kit_gives(tong_remove(kit_name("who")), -ENOENT);
    box = kit_open(kit_name("who"), TONG_SEND | TONG_CREATE, &options);
    tong_mailbox *same = kit_open(kit_name("who"), TONG_SEND | TONG_CREATE, &options);
    kit_ok(tong_close(same));
    options.policy = "other";
    kit_gives(tong_open(kit_name("who"), TONG_SEND | TONG_CREATE, &options, &same), -EEXIST);
    kit_end(box, kit_name("who"));
}

/* ---- again and again */

static int receive_whatever_happens(void *arg)
{
    struct seat *seat = arg;
    tong_mailbox *box = NULL;
    int r;
    while ((r = tong_open(kit_name("who"), TONG_RECEIVE, NULL, &box)) == -EBUSY) {
        sched_yield();
    }
    kit_ok(r);
    for (;;) {
        uint64_t k = 0;
        const ssize_t got = tong_receive(box, &k, sizeof k, TONG_MS(5));
        if (got == -EBUSY || got == -ETIMEDOUT) {
            continue;
        }
        if (got == -EIDRM) {
            return tong_close(box);
        }
        kit_gives(got, sizeof k);
        kit_equal(atomic_exchange(&seat->world->who[k], 1), 0);
        atomic_fetch_add(&seat->world->received, 1);
    }
}

static int send_all(void *arg)
{
    struct world *world = arg;
    tong_mailbox *box = kit_open(kit_name("who"), TONG_SEND, NULL);
    const uint64_t n = kit_count("TONG_TEST_SWITCH", MESSAGES_MOST);
    for (uint64_t k = 0; k < n && k < MESSAGES_MOST; k++) {
        kit_ok(kit_send_u64(box, k, KIT_PATIENCE));
    }
    kit_event_set(&world->go[0]);
    return tong_close(box);
}

static void switched_again_and_again_nothing_is_lost(void)
{
    static const uint32_t policies[] = { TONG_FIRST_COME,  TONG_RANDOM,       TONG_ANY,
                                         TONG_ROUND_ROBIN, TONG_LEAST_LOADED, TONG_OWN,
                                         TONG_BY_KEY,      TONG_EXCLUSIVE };
    struct room room = { .world = kit_shared(sizeof *room.world) };
    struct kit_random random = kit_random_stream(3);
    tong_options options = kit_options();
    options.link_capacity = 16;
    kit_ok(tong_policy_register("highest", highest, NULL));
    room.box = kit_open(kit_name("who"), TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    for (uint32_t i = 0; i < SEATS; i++) {
        room.seats[i] = (struct seat){ .world = room.world, .index = i };
        room.children[i] = kit_spawn(receive_whatever_happens, &room.seats[i]);
    }
    struct kit_child sender = kit_spawn(send_all, room.world);
    uint32_t switches = 0;
    while (atomic_load(&room.world->go[0]) == 0) {
        const uint32_t to = policies[kit_random_below(&random, 7)];
        set_delivery(room.box, to, to == TONG_OWN ? "highest" : NULL);
        switches++;
        kit_random_moment(&random);
    }
    kit_join(&sender);
    set_delivery(room.box, TONG_ANY, NULL);
    kit_until(kit_stat(kit_name("who")).waiting == 0);
    const tong_status status = kit_stat(kit_name("who"));
    kit_equal(status.sent, status.done);
    kit_equal(status.backstop_finds, 0);
    kit_until(atomic_load(&room.world->received) == status.sent);
    kit_true(switches > 0);
    kit_ok(tong_remove(kit_name("who")));
    for (uint32_t i = 0; i < SEATS; i++) {
        kit_join(&room.children[i]);
    }
    kit_ok(tong_close(room.box));
}

static const struct kit_test tests[] = {
    KIT_TEST(set_refuses_what_cannot_be),
    KIT_TEST(of_a_process_only_that_one_may),
    KIT_TEST(register_refuses_what_cannot_be),
    KIT_TEST(who_waits_counts_as_it_stands),
    KIT_TEST(made_exclusive_the_first_one_stays),
    KIT_TEST(an_own_policy_chooses),
    KIT_TEST(a_choice_of_nobody_is_who_has_waited_longest),
    KIT_TEST(who_has_not_registered_it_is_told),
    KIT_TEST(options_name_the_policy),
    KIT_TEST_LONG(switched_again_and_again_nothing_is_lost, 120),
};

KIT_MAIN(tests)
