/* TONG_DROP_OLDEST: the newest messages stay, what is dropped is counted exactly, and nobody reads half
 * of one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

static tong_options dropping(uint32_t capacity, uint32_t link_capacity)
{
    tong_options options = kit_capacity(capacity);
    options.link_capacity = link_capacity;
    options.full = TONG_DROP_OLDEST;
    return options;
}

/* delivered + dropped + what is there = sent. */
static void counts_are(const char *name, uint64_t sent, uint64_t delivered, uint64_t waiting)
{
    const tong_status status = kit_stat(kit_name(name));
    kit_equal(status.sent, sent);
    kit_equal(status.done, delivered);
    kit_equal(status.waiting, waiting);
    kit_equal(status.dropped, sent - delivered - waiting);
}

static void fill_over(const char *name, const tong_options *options, uint64_t room)
{
    tong_mailbox *box = kit_create(kit_name(name), options);
    uint64_t sent = 0;
    for (uint64_t round = 0; round < 200; round++) {
        for (uint64_t i = 0; i < round; i++) {
            kit_gives(kit_send_u64(box, sent++, TONG_FOREVER), i < room ? 0 : TONG_DROPPED);
        }
        const uint64_t there = round < room ? round : room;
        kit_equal(kit_stat(kit_name(name)).waiting, there);
        for (uint64_t i = 0; i < there; i++) {
            kit_equal(kit_receive_u64(box), sent - there + i);
        }
        kit_is_empty(box);
    }
    uint64_t delivered = 0;
    for (uint64_t round = 0; round < 200; round++) {
        delivered += round < room ? round : room;
    }
    counts_are(name, sent, delivered, 0);
    kit_end(box, kit_name(name));
}

static void the_newest_of_a_sender_stay(void)
{
    for (uint32_t n = 1; n < 100; n += n / 2 + 1) {
        const tong_options options = dropping(TONG_UNBOUNDED, n);
        fill_over("ring", &options, n);
    }
}

static void the_newest_of_a_bounded_mailbox_stay(void)
{
    for (uint32_t n = 1; n < 100; n += n / 2 + 1) {
        const tong_options options = dropping(n, TONG_DEFAULT);
        fill_over("ring", &options, n);
    }
}

static void both_bounds_hold(void)
{
    const tong_options options = dropping(7, 5);
    fill_over("ring", &options, 5);
    const tong_options other = dropping(5, 7);
    fill_over("ring", &other, 5);
}

static void nothing_is_taken_from_other_senders(void)
{
    const tong_options options = dropping(4, TONG_DEFAULT);
    tong_mailbox *box = kit_create(kit_name("ring"), &options);
    tong_mailbox *other = kit_open(kit_name("ring"), TONG_SEND, NULL);
    for (uint64_t i = 0; i < 3; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    kit_ok(kit_send_u64(other, 10, 0));
    kit_gives(kit_send_u64(other, 11, 0), TONG_DROPPED);
    kit_gives(kit_send_u64(box, 3, 0), TONG_DROPPED);
    kit_ok(tong_close(other));
    other = kit_open(kit_name("ring"), TONG_SEND, NULL);
    tong_mailbox *third = kit_open(kit_name("ring"), TONG_SEND, NULL);
    kit_gives(kit_send_u64(other, 12, 0),
              TONG_DROPPED); /* of the one before it, whose link it has */
    kit_gives(kit_send_u64(third, 20, TONG_FOREVER), -EAGAIN);
    uint64_t seen = 0;
    for (int i = 0; i < 4; i++) {
        seen += kit_receive_u64(box);
    }
    kit_equal(seen, 1 + 2 + 3 + 12);
    kit_is_empty(box);
    kit_ok(kit_send_u64(third, 20, 0));
    kit_equal(kit_receive_u64(box), 20);
    counts_are("ring", 8, 5, 0);
    kit_ok(tong_close(third));
    kit_ok(tong_close(other));
    kit_end(box, kit_name("ring"));
}

static void a_rendezvous_keeps_nothing(void)
{
    const tong_options options = dropping(0, TONG_DEFAULT);
    tong_mailbox *box = kit_create(kit_name("ring"), &options);
    kit_gives(kit_send_u64(box, 1, TONG_FOREVER), TONG_DROPPED);
    kit_equal(kit_stat(kit_name("ring")).dropped, 1);
    kit_is_empty(box);
    kit_end(box, kit_name("ring"));
}

static void a_message_of_another_size_drops_none(void)
{
    tong_options options = dropping(TONG_UNBOUNDED, 1);
    options.message_size = 8;
    tong_mailbox *box = kit_create(kit_name("ring"), &options);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_gives(tong_send(box, "1234567", 7, 0), -EMSGSIZE);
    kit_gives(kit_send_u64(box, 2, 0), TONG_DROPPED);
    kit_equal(kit_receive_u64(box), 2);
    kit_end(box, kit_name("ring"));
}

/* ---- memory */

#define LEN 30000u
static uint8_t bytes[LEN * 40];

static void the_newest_stay_where_memory_is_short(void)
{
    tong_options options = dropping(TONG_UNBOUNDED, TONG_UNBOUNDED);
    options.max_bytes = 1000000;
    tong_mailbox *box = kit_create(kit_name("ring"), &options);
    uint64_t told = 0;
    for (uint32_t i = 0; i < 500; i++) {
        kit_payload_write(bytes, LEN, 1, i);
        const int r = tong_send(box, bytes, LEN, 0);
        kit_true(r == 0 || r == TONG_DROPPED);
        told += r == TONG_DROPPED;
    }
    const tong_status status = kit_stat(kit_name("ring"));
    kit_true(told > 0 && told <= status.dropped && status.waiting > 4);
    kit_true(status.bytes < 1200000);
    /* What can never fit costs none of the others its place. */
    kit_gives(tong_send(box, bytes, sizeof(bytes), 0), -ENOSPC);
    kit_equal(kit_stat(kit_name("ring")).waiting, status.waiting);
    for (uint64_t i = 500 - status.waiting; i < 500; i++) {
        struct kit_payload head;
        kit_gives(tong_receive(box, bytes, LEN, 0), LEN);
        kit_true(kit_payload_read(bytes, LEN, &head) && head.counter == i);
    }
    kit_is_empty(box);
    counts_are("ring", 500, status.waiting, 0);
    kit_end(box, kit_name("ring"));
}

/* ---- other ways to send and receive */

static void what_is_claimed_is_not_overwritten(void)
{
    const tong_options options = dropping(TONG_UNBOUNDED, 2);
    tong_mailbox *box = kit_create(kit_name("ring"), &options);
    tong_message message[2] = { TONG_MESSAGE_INIT, TONG_MESSAGE_INIT };
    for (uint64_t i = 0; i < 2; i++) {
        kit_payload_write(bytes, LEN, 1, i);
        kit_ok(tong_send(box, bytes, LEN, 0));
        kit_ok(tong_claim(box, 0, &message[i]));
    }
    kit_equal(kit_stat(kit_name("ring")).claimed, 2);
    for (uint64_t i = 2; i < 100; i++) {
        kit_payload_write(bytes, LEN, 1, i);
        kit_gives(tong_send(box, bytes, LEN, 0), i < 4 ? 0 : TONG_DROPPED);
    }
    for (uint64_t i = 0; i < 2; i++) {
        struct kit_payload head;
        kit_equal(message[i].sequence, i);
        kit_true(kit_payload_read(message[i].data, message[i].len, &head) && head.counter == i);
    }
    kit_ok(tong_done(box, &message[0]));
    /* Its record is gone: given back it is dropped. */
    kit_ok(tong_return(box, &message[1]));
    for (uint64_t i = 98; i < 100; i++) {
        struct kit_payload head;
        kit_gives(tong_receive(box, bytes, LEN, 0), LEN);
        kit_true(kit_payload_read(bytes, LEN, &head) && head.counter == i);
    }
    kit_is_empty(box);
    counts_are("ring", 100, 3, 0);
    kit_end(box, kit_name("ring"));
}

static void what_is_given_back_in_time_comes_again(void)
{
    const tong_options options = dropping(TONG_UNBOUNDED, 4);
    tong_mailbox *box = kit_create(kit_name("ring"), &options);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(kit_send_u64(box, 1, 0));
    kit_ok(kit_send_u64(box, 2, 0));
    kit_ok(tong_claim(box, 0, &message));
    kit_ok(tong_return(box, &message));
    kit_ok(tong_claim(box, 0, &message));
    kit_equal(message.deliveries, 2);
    kit_equal(*(const uint64_t *)message.data, 1);
    kit_ok(tong_return(box, &message));
    kit_equal(kit_receive_u64(box), 1);
    kit_equal(kit_receive_u64(box), 2);
    kit_is_empty(box);
    counts_are("ring", 2, 2, 0);
    kit_end(box, kit_name("ring"));
}

static void many_at_once_keep_the_newest(void)
{
    const tong_options options = dropping(TONG_UNBOUNDED, 3);
    tong_mailbox *box = kit_create(kit_name("ring"), &options);
    uint64_t value[10];
    uint64_t got[10] = { 0 };
    struct iovec in[10];
    struct iovec out[10];
    size_t lens[10];
    for (uint64_t i = 0; i < 10; i++) {
        value[i] = i;
        in[i] = (struct iovec){ &value[i], sizeof(value[i]) };
        out[i] = (struct iovec){ &got[i], sizeof(got[i]) };
    }
    kit_gives(tong_send_many(box, in, 10, 0), 10);
    kit_gives(tong_receive_many(box, out, 10, 0, lens), 3);
    for (uint64_t i = 0; i < 3; i++) {
        kit_equal(got[i], 7 + i);
    }
    counts_are("ring", 10, 3, 0);
    kit_gives(tong_send_many(box, in, 10, 0), 10);
    kit_gives(tong_receive(box, got, 7, 0), -EMSGSIZE);
    kit_gives(tong_skip(box), 8);
    kit_equal(kit_receive_u64(box), 8);
    counts_are("ring", 20, 5, 1);
    kit_end(box, kit_name("ring"));
}

static void one_written_in_place_pushes_out_another(void)
{
    const tong_options options = dropping(2, TONG_DEFAULT);
    tong_mailbox *box = kit_create(kit_name("ring"), &options);
    for (uint64_t i = 0; i < 6; i++) {
        tong_slot slot = TONG_SLOT_INIT;
        kit_ok(tong_reserve(box, 8, 0, &slot));
        memcpy(slot.data, &i, sizeof(i));
        kit_gives(tong_commit(box, &slot, 8), i < 2 ? 0 : TONG_DROPPED);
    }
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 8, 0, &slot));
    kit_ok(tong_abort(box, &slot));
    kit_equal(kit_receive_u64(box), 5);
    kit_is_empty(box);
    kit_ok(kit_send_u64(box, 6, 0));
    kit_ok(kit_send_u64(box, 7, 0));
    kit_gives(kit_send_u64(box, 8, 0), TONG_DROPPED);
    kit_end(box, kit_name("ring"));
}

static void a_later_sender_goes_on(void)
{
    for (uint32_t bounded = 0; bounded < 2; bounded++) {
        const tong_options options =
            bounded != 0 ? dropping(3, TONG_DEFAULT) : dropping(TONG_UNBOUNDED, 3);
        tong_mailbox *box = kit_create(kit_name("ring"), &options);
        uint64_t sent = 0;
        for (uint32_t i = 0; i < 50; i++) {
            tong_mailbox *sender = kit_open(kit_name("ring"), TONG_SEND, NULL);
            for (uint32_t k = 0; k < 1 + i % 5; k++) {
                kit_true(kit_send_u64(sender, sent++, 0) >= 0);
            }
            kit_ok(tong_close(sender));
        }
        for (uint64_t i = sent - 3; i < sent; i++) {
            kit_equal(kit_receive_u64(box), i);
        }
        kit_is_empty(box);
        counts_are("ring", sent, 3, 0);
        kit_end(box, kit_name("ring"));
    }
}

/* ---- a sender that is faster */

struct race {
    const char *name;
    _Atomic uint64_t sent;
    _Atomic uint64_t told;
    _Atomic uint64_t delivered;
    uint32_t longest;
    uint32_t how;
    kit_event over;
};

#define RACERS 2u

static int race_sender(void *arg)
{
    struct race *race = arg;
    static _Thread_local uint8_t buffer[100000];
    tong_mailbox *box = kit_open(race->name, TONG_SEND, NULL);
    struct kit_random random = kit_random_stream((uint64_t)getpid());
    const uint64_t n = kit_count("KIT_MESSAGES", 60000) / (1 + race->longest / 2000);
    for (uint64_t i = 0; i < n; i++) {
        const size_t len =
            KIT_PAYLOAD_MIN + kit_random_below(&random, race->longest - KIT_PAYLOAD_MIN);
        kit_payload_write(buffer, len, (uint32_t)getpid(), i);
        const int r = tong_send(box, buffer, len, TONG_FOREVER);
        kit_true(r == 0 || r == TONG_DROPPED || r == -EAGAIN);
        race->sent += r >= 0;
        race->told += r != 0;
    }
    kit_ok(tong_close(box));
    return 0;
}

static ssize_t race_receive(struct race *race, tong_mailbox *box, uint8_t *buffer)
{
    if (race->how == 0) {
        return tong_receive(box, buffer, 100000, TONG_MS(20));
    }
    tong_message message = TONG_MESSAGE_INIT;
    const int r = tong_claim(box, TONG_MS(20), &message);
    if (r < 0) {
        return r;
    }
    memcpy(buffer, message.data, message.len);
    const ssize_t len = (ssize_t)message.len;
    kit_ok(tong_done(box, &message));
    return len;
}

static int race_receiver(void *arg)
{
    struct race *race = arg;
    static uint8_t buffer[100000];
    struct {
        uint32_t sender;
        uint64_t next;
    } last[64] = { 0 };
    tong_mailbox *box = kit_open(race->name, TONG_RECEIVE, NULL);
    for (;;) {
        const bool over = atomic_load(&race->over) != 0;
        const ssize_t len = race_receive(race, box, buffer);
        if (len < 0) {
            kit_gives(len, -ETIMEDOUT);
            if (over) {
                break;
            }
            continue;
        }
        struct kit_payload head;
        kit_true(kit_payload_read(buffer, (size_t)len, &head));
        size_t i = 0;
        while (last[i].sender != 0 && last[i].sender != head.sender) {
            i++;
        }
        last[i].sender = head.sender;
        kit_true(head.counter >= last[i].next);
        last[i].next = head.counter + 1;
        race->delivered++;
    }
    kit_ok(tong_close(box));
    return 0;
}

static void race_with(const tong_options *options, uint32_t longest, uint32_t receivers,
                      uint32_t how)
{
    struct race *race = kit_shared(sizeof *race);
    race->name = kit_name("race");
    race->longest = longest;
    race->how = how;
    tong_mailbox *box = kit_open(race->name, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, options);
    kit_ok(tong_close(box));
    struct kit_child receiver[2];
    struct kit_child sender[RACERS];
    for (uint32_t i = 0; i < receivers; i++) {
        receiver[i] = kit_spawn(race_receiver, race);
    }
    for (uint32_t i = 0; i < RACERS; i++) {
        sender[i] = kit_spawn(race_sender, race);
    }
    for (uint32_t i = 0; i < RACERS; i++) {
        kit_join(&sender[i]);
    }
    kit_event_set(&race->over);
    for (uint32_t i = 0; i < receivers; i++) {
        kit_join(&receiver[i]);
    }
    counts_are("race", race->sent, race->delivered, 0);
    /* What one made room for others may take in a bounded mailbox: then it makes more. */
    const uint64_t most = options->capacity != TONG_UNBOUNDED ? options->capacity : 1;
    kit_true(kit_stat(race->name).dropped <= most * race->told);
    kit_equal(kit_stat(race->name).backstop_finds, 0);
    kit_ok(tong_remove(race->name));
}

static void a_faster_sender_tears_nothing(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    const tong_options options = dropping(TONG_UNBOUNDED, 3);
    race_with(&options, 400, 1, 0);
    race_with(&options, 90000, 1, 0);
}

static void a_faster_sender_tears_no_claim(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    const tong_options options = dropping(TONG_UNBOUNDED, 2);
    race_with(&options, 400, 1, 1);
    race_with(&options, 90000, 2, 1);
}

static void faster_senders_share_a_bound(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    const tong_options options = dropping(3, TONG_DEFAULT);
    race_with(&options, 300, 2, 0);
    race_with(&options, 300, 1, 1);
}

static void one_place_is_enough(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    const tong_options options = dropping(TONG_UNBOUNDED, 1);
    race_with(&options, 300, 2, 0);
}

static const struct kit_test tests[] = {
    KIT_TEST(the_newest_of_a_sender_stay),
    KIT_TEST(the_newest_of_a_bounded_mailbox_stay),
    KIT_TEST(both_bounds_hold),
    KIT_TEST(nothing_is_taken_from_other_senders),
    KIT_TEST(a_rendezvous_keeps_nothing),
    KIT_TEST(a_message_of_another_size_drops_none),
    KIT_TEST(the_newest_stay_where_memory_is_short),
    KIT_TEST(what_is_claimed_is_not_overwritten),
    KIT_TEST(what_is_given_back_in_time_comes_again),
    KIT_TEST(many_at_once_keep_the_newest),
    KIT_TEST(one_written_in_place_pushes_out_another),
    KIT_TEST(a_later_sender_goes_on),
    KIT_TEST_LONG(a_faster_sender_tears_nothing, 120),
    KIT_TEST_LONG(a_faster_sender_tears_no_claim, 120),
    KIT_TEST_LONG(faster_senders_share_a_bound, 120),
    KIT_TEST_LONG(one_place_is_enough, 120),
};

KIT_MAIN(tests)
