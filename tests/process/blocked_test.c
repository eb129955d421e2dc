/* Twelve senders blocked at a full mailbox, killed in any order: the living ones get through. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kit.h"

enum {
    SENDERS = 12,
    EACH = 4,
    PARENT = 99
};

struct crowd {
    uint64_t first; /* of each sender: messages it sends without room being short */
    bool in_place;
    _Atomic uint32_t sent[SENDERS]; /* sends that have returned */
    _Atomic uint32_t next_number;
};

struct sender {
    struct crowd *crowd;
    uint32_t number;
};

static int send_each(void *arg)
{
    struct sender *sender = arg;
    tong_mailbox *box = kit_open(kit_name("crowd"), TONG_SEND, NULL);
    for (uint64_t i = 0; i < EACH; i++) {
        const uint64_t value = sender->number * 1000 + i;
        if (sender->crowd->in_place && sender->number % 2) {
            tong_slot slot = TONG_SLOT_INIT;
            kit_ok(tong_reserve(box, 8, KIT_PATIENCE, &slot));
            memcpy(slot.data, &value, 8);
            kit_ok(tong_commit(box, &slot, 8));
        } else {
            kit_ok(kit_send_u64(box, value, KIT_PATIENCE));
        }
        atomic_store(&sender->crowd->sent[sender->number], (uint32_t)i + 1);
    }
    return tong_close(box);
}

/* What came of each sender: always the next one of its row. */
static void note(uint64_t value, uint32_t got[SENDERS], uint64_t *n_parents)
{
    const uint64_t number = value / 1000;
    if (number == PARENT) {
        ++*n_parents;
        return;
    }
    kit_true(number < SENDERS);
    kit_equal(value % 1000, got[number]);
    got[number]++;
}

static bool take_one(tong_mailbox *box, uint32_t got[SENDERS], uint64_t *n_parents)
{
    uint64_t value;
    const ssize_t n = tong_receive(box, &value, sizeof(value), 0);
    if (n == -EAGAIN) {
        return false;
    }
    kit_gives(n, 8);
    note(value, got, n_parents);
    return true;
}

static uint32_t kill_some(struct kit_random *random, struct kit_child children[SENDERS],
                          tong_mailbox *box, uint32_t got[SENDERS], uint64_t *n_parents)
{
    const uint64_t n_kills = 1 + kit_random_below(random, SENDERS - 1);
    uint32_t killed = 0;
    for (uint64_t i = 0; i < n_kills; i++) {
        const size_t who = kit_random_below(random, SENDERS);
        if (children[who].pid != 0) {
            kit_kill(&children[who]);
            killed |= 1u << who;
        }
        /* In between some are let through, or not. */
        for (uint64_t take = kit_random_below(random, 3); take > 0; take--) {
            take_one(box, got, n_parents);
        }
    }
    return killed;
}

static void play(const tong_options *options, uint64_t filled, bool in_place, uint64_t stream)
{
    struct kit_random random = kit_random_stream(stream);
    struct crowd *crowd = kit_shared(sizeof(*crowd));
    crowd->in_place = in_place;
    tong_mailbox *box = kit_create(kit_name("crowd"), options);
    for (uint64_t i = 0; i < filled; i++) {
        kit_ok(kit_send_u64(box, PARENT * 1000, 0));
    }
    struct kit_child children[SENDERS];
    struct sender senders[SENDERS];
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){ .crowd = crowd, .number = i };
        children[i] = kit_spawn(send_each, &senders[i]);
        if (stream % 2) {
            kit_until_blocked(kit_name("crowd"), i + 1);
        }
    }
    kit_until_blocked(kit_name("crowd"), SENDERS);

    uint32_t got[SENDERS] = { 0 };
    uint64_t n_parents = 0;
    const uint32_t killed = kill_some(&random, children, box, got, &n_parents);
    for (uint32_t i = 0; i < SENDERS; i++) {
        while (!(killed & 1u << i) && got[i] < EACH) {
            uint64_t value = kit_receive_u64(box);
            note(value, got, &n_parents);
        }
    }
    for (uint32_t i = 0; i < SENDERS; i++) {
        if (!(killed & 1u << i)) {
            kit_join(&children[i]);
        }
    }
    while (take_one(box, got, &n_parents)) {
    }
    kit_equal(n_parents, filled);
    for (uint32_t i = 0; i < SENDERS; i++) {
        /* What was promised came; what was not may have come, one message at most. */
        const uint32_t sent = atomic_load(&crowd->sent[i]);
        kit_true(got[i] == sent || got[i] == sent + 1);
        kit_true(killed & 1u << i || got[i] == EACH);
    }
    kit_ok(tong_close(box));
    kit_ok(tong_remove(kit_name("crowd")));
}

static void the_living_get_through_at_capacity_3(void)
{
    const uint64_t rounds = kit_count("TONG_TEST_BLOCKED", 60);
    const tong_options options = kit_capacity(3);
    for (uint64_t round = 0; round < rounds; round++) {
        play(&options, 3, false, round);
    }
    printf("twelve blocked at capacity 3, killed in any order: %llu rounds\n",
           (unsigned long long)rounds);
}

static void the_living_get_through_at_capacity_1_in_place(void)
{
    kit_needs(KIT_IN_PLACE);
    const uint64_t rounds = kit_count("TONG_TEST_BLOCKED", 60) / 2 + 1;
    const tong_options options = kit_capacity(1);
    for (uint64_t round = 0; round < rounds; round++) {
        play(&options, 1, true, round);
    }
}

static void the_living_get_through_at_a_link_capacity(void)
{
    const uint64_t rounds = kit_count("TONG_TEST_BLOCKED", 60) / 2 + 1;
    tong_options options = kit_options();
    options.link_capacity = 3;
    for (uint64_t round = 0; round < rounds; round++) {
        play(&options, 0, false, round);
    }
}

static void the_living_get_through_at_a_rendezvous(void)
{
    const uint64_t rounds = kit_count("TONG_TEST_BLOCKED", 60) / 2 + 1;
    const tong_options options = kit_capacity(0);
    for (uint64_t round = 0; round < rounds; round++) {
        play(&options, 0, false, round);
    }
}

static int send_one(void *arg)
{
    tong_mailbox *box = kit_open(kit_name("turns"), TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, *(const uint64_t *)arg, KIT_PATIENCE));
    return tong_close(box);
}

/* This process runs and could take each room it frees before the sleeper is awake. */
static void who_queues_goes_before_who_runs(void)
{
    const tong_options options = kit_capacity(4);
    tong_mailbox *box = kit_create(kit_name("turns"), &options);
    for (uint64_t i = 0; i < 4; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    for (uint64_t i = 4; i < 24; i++) {
        struct kit_child child = kit_spawn(send_one, &i);
        kit_until_blocked(kit_name("turns"), 1);
        kit_equal(kit_receive_u64(box), i - 4);
        kit_gives(kit_send_u64(box, 99, TONG_MS(20)), -ETIMEDOUT);
        kit_join(&child);
        kit_equal(kit_stat(kit_name("turns")).waiting, 4);
    }
    kit_end(box, kit_name("turns"));
}

static const struct kit_test tests[] = {
    KIT_TEST(the_living_get_through_at_capacity_3),
    KIT_TEST(the_living_get_through_at_capacity_1_in_place),
    KIT_TEST(the_living_get_through_at_a_link_capacity),
    KIT_TEST(the_living_get_through_at_a_rendezvous),
    KIT_TEST(who_queues_goes_before_who_runs),
};

KIT_MAIN(tests)
