/*
 * TONG_EVERYONE between processes: the figure "P1 sends, P2 and P3 have both called receive", where both
 * get it; many messages, receivers that come, go and die meanwhile. TONG_TEST_LONG=1 sends 100,000 messages.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "kit.h"

enum {
    SEATS_MOST = 8,
    SENDERS_MOST = 3,
    LENGTH_MOST = 20000
};

struct seat {
    _Atomic uint64_t received;
    _Atomic bool there;
};

struct world {
    struct seat seat[SEATS_MOST];
    uint64_t n; /* messages of each sender */
    uint32_t senders;
    uint32_t flags; /* of receivers that come and go */
    kit_event over;
    kit_barrier start;
};

struct role {
    struct world *world;
    uint32_t index;
};

static uint64_t messages(uint64_t few)
{
    const char *is_long = getenv("TONG_TEST_LONG");
    return is_long != NULL && is_long[0] == '1' ? 100000 : few;
}

static size_t length_of(uint64_t k)
{
    /* Now and then a long one, so that segments of all sizes are used again. */
    return KIT_PAYLOAD_MIN + (k % 97 == 0 ? LENGTH_MOST - KIT_PAYLOAD_MIN - k % 1000 : k % 100);
}

/* What comes must be whole, and of each sender the next one; of the first any. */
static void check(const void *data, size_t len, uint64_t next[SENDERS_MOST])
{
    struct kit_payload head = { 0 };
    if (len < KIT_PAYLOAD_MIN || !kit_payload_read(data, len, &head) ||
        head.sender >= SENDERS_MOST || len != length_of(head.counter)) {
        kit_fail("a message of %zu bytes is damaged (says sender %u, message %llu)", len,
                 head.sender, (unsigned long long)head.counter);
    }
    uint64_t *wanted = &next[head.sender];
    if (*wanted != UINT64_MAX && head.counter != *wanted) {
        kit_fail("of sender %u message %llu came, wanted was %llu", head.sender,
                 (unsigned long long)head.counter, (unsigned long long)*wanted);
    }
    *wanted = head.counter + 1;
}

static int take(tong_mailbox *box, bool by_claim, int64_t timeout_ns, uint64_t next[SENDERS_MOST])
{
    static uint8_t buffer[LENGTH_MOST];
    if (by_claim) {
        tong_message message = TONG_MESSAGE_INIT;
        const int r = tong_claim(box, timeout_ns, &message);
        if (r == 0) {
            check(message.data, message.len, next);
            kit_ok(tong_done(box, &message));
        }
        return r;
    }
    const ssize_t got = tong_receive(box, buffer, sizeof(buffer), timeout_ns);
    if (got >= 0) {
        check(buffer, (size_t)got, next);
    }
    return got < 0 ? (int)got : 0;
}

static int sends(void *arg)
{
    const struct role *role = arg;
    static uint8_t buffer[LENGTH_MOST];
    tong_mailbox *box = kit_open(kit_name("news"), TONG_SEND, NULL);
    kit_barrier_wait(&role->world->start, role->world->senders);
    for (uint64_t k = 0; k < role->world->n; k++) {
        kit_payload_write(buffer, length_of(k), role->index, k);
        kit_ok(tong_send(box, buffer, length_of(k), KIT_PATIENCE));
    }
    return tong_close(box);
}

/* One that is there from the beginning to the end has every message of everybody. */
static int stays(void *arg)
{
    const struct role *role = arg;
    struct world *world = role->world;
    struct seat *seat = &world->seat[role->index];
    uint64_t next[SENDERS_MOST] = { 0 };
    tong_mailbox *box = kit_open(kit_name("news"), TONG_RECEIVE, NULL);
    atomic_store(&seat->there, true);
    for (uint64_t k = 0; k < world->n * world->senders; k++) {
        kit_ok(take(box, role->index % 2 == 1, KIT_PATIENCE, next));
        atomic_fetch_add(&seat->received, 1);
    }
    for (uint32_t i = 0; i < world->senders; i++) {
        kit_equal(next[i], world->n);
    }
    kit_is_empty(box);
    return tong_close(box);
}

/* Comes and goes; while it is there nothing is missing. */
static int visits(void *arg)
{
    const struct role *role = arg;
    struct world *world = role->world;
    struct kit_random random = kit_random_stream(100 + role->index);
    while (atomic_load(&world->over) == 0) {
        uint64_t next[SENDERS_MOST] = { UINT64_MAX, UINT64_MAX, UINT64_MAX };
        tong_mailbox *box = kit_open(kit_name("news"), TONG_RECEIVE | world->flags, NULL);
        uint64_t n = kit_random_below(&random, 300);
        int r = 0;
        while (n-- > 0 && r == 0 && atomic_load(&world->over) == 0) {
            r = take(box, n % 2 == 0, TONG_MS(5), next);
            kit_true(r == 0 || r == -ETIMEDOUT);
        }
        kit_ok(tong_close(box));
        atomic_fetch_add(&world->seat[role->index].received, 1);
    }
    return 0;
}

struct room {
    struct world *world;
    tong_mailbox *box;
    struct role role[SEATS_MOST];
    struct role sender[SENDERS_MOST];
    struct kit_child child[SEATS_MOST];
    struct kit_child sending[SENDERS_MOST];
    uint32_t stay;
};

static void begin(struct room *room, uint32_t stay, uint32_t senders, uint64_t n,
                  uint32_t link_capacity)
{
    tong_options options = kit_options();
    options.delivery = TONG_EVERYONE;
    options.link_capacity = link_capacity;
    *room = (struct room){ .world = kit_shared(sizeof(*room->world)), .stay = stay };
    room->world->n = n;
    room->world->senders = senders;
    room->box = kit_open(kit_name("news"), TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    for (uint32_t i = 0; i < SEATS_MOST; i++) {
        room->role[i] = (struct role){ .world = room->world, .index = i };
    }
    for (uint32_t i = 0; i < stay; i++) {
        room->child[i] = kit_spawn(stays, &room->role[i]);
        kit_until(atomic_load(&room->world->seat[i].there));
    }
}

static void send_all(struct room *room)
{
    for (uint32_t i = 0; i < room->world->senders; i++) {
        room->sender[i] = (struct role){ .world = room->world, .index = i };
        room->sending[i] = kit_spawn(sends, &room->sender[i]);
    }
}

static void end(struct room *room)
{
    for (uint32_t i = 0; i < room->world->senders; i++) {
        kit_join(&room->sending[i]);
    }
    for (uint32_t i = 0; i < room->stay; i++) {
        if (room->child[i].pid != 0) {
            kit_join(&room->child[i]);
        }
    }
}

static void all_get_all_in_order(void)
{
    struct room room;
    begin(&room, 2, 1, messages(5000), TONG_DEFAULT);
    send_all(&room);
    end(&room);
    kit_end(room.box, kit_name("news"));
}

/* Each message finds all of them asleep. */
static void all_that_wait_get_it(void)
{
    struct room room;
    const uint64_t n = messages(2000) / 10;
    begin(&room, 3, 1, n, TONG_DEFAULT);
    static uint8_t buffer[LENGTH_MOST];
    for (uint64_t k = 0; k < n; k++) {
        kit_until_asleep(kit_name("news"), 3);
        kit_payload_write(buffer, length_of(k), 0, k);
        kit_ok(tong_send(room.box, buffer, length_of(k), 0));
        for (uint32_t i = 0; i < 3; i++) {
            kit_until(atomic_load(&room.world->seat[i].received) == k + 1);
        }
    }
    room.world->senders = 0;
    end(&room);
    kit_end(room.box, kit_name("news"));
}

static void several_senders_reach_all_of_eight(void)
{
    struct room room;
    begin(&room, 8, 3, messages(1500), 64);
    send_all(&room);
    end(&room);
    kit_end(room.box, kit_name("news"));
}

/* One of eight is killed somewhere; the others have everything, and the sender waits for nobody. */
static void one_of_eight_is_killed(void)
{
    struct kit_random random = kit_random_stream(3);
    for (uint32_t round = 0; round < 6; round++) {
        struct room room;
        begin(&room, 8, 1, messages(3000) / 2, 16);
        send_all(&room);
        const uint32_t victim = (uint32_t)kit_random_below(&random, 8);
        kit_until(atomic_load(&room.world->seat[victim].received) > 100);
        kit_random_moment(&random);
        kit_kill(&room.child[victim]);
        room.child[victim].pid = 0;
        end(&room);
        kit_end(room.box, kit_name("news"));
    }
}

/* A receiver that is stopped holds the sender up; killed, it does not any more. */
static void one_that_is_stopped_holds_it_up_until_it_is_killed(void)
{
    struct room room;
    begin(&room, 3, 1, 2000, 16);
    kit_ok(kill(room.child[1].pid, SIGSTOP));
    send_all(&room);
    kit_until_blocked(kit_name("news"), 1);
    kit_kill(&room.child[1]);
    room.child[1].pid = 0;
    end(&room);
    kit_end(room.box, kit_name("news"));
}

static void come_and_go(uint32_t flags, uint32_t link_capacity)
{
    struct room room;
    begin(&room, 2, 2, messages(6000), link_capacity);
    room.world->flags = flags;
    for (uint32_t i = 2; i < 5; i++) {
        room.child[i] = kit_spawn(visits, &room.role[i]);
    }
    send_all(&room);
    end(&room);
    kit_event_set(&room.world->over);
    for (uint32_t i = 2; i < 5; i++) {
        kit_join(&room.child[i]);
        kit_true(atomic_load(&room.world->seat[i].received) > 0);
    }
    kit_end(room.box, kit_name("news"));
}

static void who_comes_and_goes_misses_nothing_meanwhile(void)
{
    come_and_go(0, TONG_DEFAULT);
    come_and_go(0, 8);
}

static void who_begins_at_the_oldest_misses_nothing_either(void)
{
    come_and_go(TONG_FROM_OLDEST, TONG_DEFAULT);
    come_and_go(TONG_FROM_OLDEST, 8);
}

/* Visitors are killed at any moment, one after the other. */
static void visitors_that_die_hinder_nobody(void)
{
    struct room room;
    struct kit_random random = kit_random_stream(4);
    begin(&room, 2, 2, messages(20000), 16);
    room.child[2] = kit_spawn(visits, &room.role[2]);
    send_all(&room);
    uint32_t kills = 0;
    while (atomic_load(&room.world->seat[0].received) < room.world->n * 2) {
        kit_random_moment(&random);
        kit_kill(&room.child[2]);
        room.child[2] = kit_spawn(visits, &room.role[2]);
        kills++;
    }
    kit_event_set(&room.world->over);
    kit_join(&room.child[2]);
    end(&room);
    printf("# %u killed\n", kills);
    kit_ok(tong_close(kit_open(kit_name("news"), TONG_RECEIVE, NULL)));
    kit_equal(kit_stat(kit_name("news")).receivers, 0);
    kit_end(room.box, kit_name("news"));
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(all_get_all_in_order, 240),
    KIT_TEST_LONG(all_that_wait_get_it, 240),
    KIT_TEST_LONG(several_senders_reach_all_of_eight, 240),
    KIT_TEST_LONG(one_of_eight_is_killed, 240),
    KIT_TEST(one_that_is_stopped_holds_it_up_until_it_is_killed),
    KIT_TEST_LONG(who_comes_and_goes_misses_nothing_meanwhile, 240),
    KIT_TEST_LONG(who_begins_at_the_oldest_misses_nothing_either, 240),
    KIT_TEST_LONG(visitors_that_die_hinder_nobody, 240),
};

KIT_MAIN(tests)
