/*
 * Receiving some messages only: by tag, priority, sender. What is not wanted waits, in its order, and is
 * not marked; nobody sleeps beside a message that it asks for.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "kit.h"
#include "seats.h"

#define BOX kit_name("select")
#define OVER 64 /* records of a link that may be passed over */

static int send_with(tong_mailbox *box, uint64_t value, uint64_t tag, uint32_t priority,
                     int64_t timeout_ns)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.tag = tag;
    with.priority = priority;
    return tong_send_with(box, &value, sizeof value, &with, timeout_ns);
}

static int send_tag(tong_mailbox *box, uint64_t value, uint64_t tag)
{
    return send_with(box, value, tag, 0, 0);
}

/* The value, or the error. */
static int64_t get(tong_mailbox *box, uint64_t tag, uint32_t min_priority, int64_t timeout_ns)
{
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    want.tag = tag;
    want.min_priority = min_priority;
    uint64_t value = 0;
    tong_message info = TONG_MESSAGE_INIT;
    const ssize_t r = tong_receive_with(box, &value, sizeof value, &want, timeout_ns, &info);
    if (r < 0) {
        return r;
    }
    kit_equal(r, sizeof value);
    kit_true(info.tag == tag || tag == 0);
    kit_true(info.priority >= min_priority && info.deliveries == 1);
    return (int64_t)value;
}

static int64_t get_tag(tong_mailbox *box, uint64_t tag)
{
    return get(box, tag, 0, 0);
}

static tong_mailbox *with_capacity(uint32_t capacity)
{
    const tong_options options = kit_capacity(capacity);
    return kit_create(BOX, &options);
}

static void the_tag_asked_for_comes_and_the_rest_waits_in_order(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    for (uint64_t i = 0; i < 12; i++) {
        kit_ok(send_tag(box, i, 1 + i % 3));
    }
    kit_equal(get_tag(box, 2), 1);
    kit_equal(get_tag(box, 3), 2);
    kit_equal(get_tag(box, 3), 5);
    kit_equal(get_tag(box, 2), 4);
    kit_gives(get_tag(box, 9), -EAGAIN);
    kit_equal(kit_stat(BOX).waiting, 8);
    kit_equal(kit_stat(BOX).done, 4);
    static const uint64_t rest[] = { 0, 3, 6, 7, 8, 9, 10, 11 };
    for (size_t i = 0; i < 8; i++) {
        kit_equal(kit_receive_u64(box), rest[i]);
    }
    kit_is_empty(box);
    kit_end(box, BOX);
}

static void a_priority_that_is_high_enough_comes(void)
{
    kit_needs_order();
    tong_mailbox *box = kit_create(BOX, NULL);
    for (uint32_t i = 0; i <= TONG_PRIORITY_MAX; i++) {
        kit_ok(send_with(box, i, 0, i, 0));
    }
    kit_equal(get(box, 0, 31, 0), 31);
    kit_equal(get(box, 0, 10, 0), 10);
    kit_equal(get(box, 0, 9, 0), 9);
    kit_equal(get(box, 0, 9, 0), 11);
    kit_gives(get(box, 0, 31, 0), -EAGAIN);
    kit_gives(get(box, 7, 0, 0), -EAGAIN);
    for (uint32_t i = 0; i < 28; i++) {
        kit_equal(kit_receive_u64(box), i < 9 ? i : i + 3);
    }
    kit_end(box, BOX);
}

static void all_that_is_asked_must_hold(void)
{
    kit_needs_order();
    tong_mailbox *box = kit_create(BOX, NULL);
    kit_ok(send_with(box, 1, 5, 1, 0));
    kit_ok(send_with(box, 2, 6, 9, 0));
    kit_ok(send_with(box, 3, 5, 9, 0));
    kit_equal(get(box, 5, 2, 0), 3);
    kit_gives(get(box, 5, 2, 0), -EAGAIN);
    kit_equal(kit_receive_u64(box), 1);
    kit_equal(kit_receive_u64(box), 2);
    kit_end(box, BOX);
}

static void a_message_that_says_nothing_has_no_tag_and_priority_0(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_gives(get(box, 0, 1, 0), -EAGAIN);
    kit_gives(get_tag(box, 1), -EAGAIN);
    kit_equal(get(box, 0, 0, 0), 1);
    kit_end(box, BOX);
}

/* ---- what is passed over */

static void what_is_passed_over_is_not_marked(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    for (uint64_t i = 0; i < 4; i++) {
        kit_ok(send_tag(box, i, i == 3 ? 2 : 1));
    }
    kit_equal(get_tag(box, 2), 3);
    kit_equal(kit_stat(BOX).redelivered, 0);
    tong_message first = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, 0, &first));
    kit_true(*(const uint64_t *)first.data == 0 && first.deliveries == 1);
    tong_message second = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, 0, &second));
    kit_true(*(const uint64_t *)second.data == 1 && second.deliveries == 1);
    kit_ok(tong_return(box, &first));
    tong_message again = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, 0, &again));
    kit_true(*(const uint64_t *)again.data == 0 && again.deliveries == 2);
    kit_ok(tong_done(box, &again));
    kit_ok(tong_done(box, &second));
    kit_equal(kit_receive_u64(box), 2);
    kit_equal(kit_stat(BOX).done, 4);
    kit_end(box, BOX);
}

static void a_claim_may_ask_as_well(void)
{
    kit_needs_order();
    tong_mailbox *box = kit_create(BOX, NULL);
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    for (uint64_t i = 0; i < 6; i++) {
        kit_ok(send_with(box, i, 1 + i % 2, (uint32_t)i, 0));
    }
    want.tag = 2;
    want.min_priority = 2;
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim_with(box, &want, 0, &message));
    kit_true(*(const uint64_t *)message.data == 3 && message.tag == 2 && message.deliveries == 1);
    kit_ok(tong_return(box, &message));
    message = (tong_message)TONG_MESSAGE_INIT;
    kit_ok(tong_claim_with(box, &want, 0, &message));
    kit_true(*(const uint64_t *)message.data == 3 && message.deliveries == 2);
    kit_ok(tong_done(box, &message));
    want.tag = 9;
    kit_gives(tong_claim_with(box, &want, 0, &message), -EAGAIN);
    message = (tong_message)TONG_MESSAGE_INIT;
    kit_ok(tong_claim_with(box, NULL, 0, &message));
    kit_equal(*(const uint64_t *)message.data, 0);
    kit_ok(tong_done(box, &message));
    kit_end(box, BOX);
}

static void a_link_waits_behind_sixty_four(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    for (uint64_t i = 0; i <= OVER; i++) {
        kit_ok(send_tag(box, i, 1));
    }
    kit_ok(send_tag(box, 100, 2));
    kit_gives(get_tag(box, 2), -EAGAIN);
    kit_equal(kit_receive_u64(box), 0);
    kit_equal(get_tag(box, 2), 100);
    /* All of them count, however often it was asked. */
    kit_ok(send_tag(box, 101, 2));
    kit_equal(get_tag(box, 2), 101);
    kit_ok(send_tag(box, 102, 1));
    kit_ok(send_tag(box, 103, 2));
    kit_gives(get_tag(box, 2), -EAGAIN);
    kit_equal(get_tag(box, 1), 1);
    kit_equal(get_tag(box, 2), 103);
    for (uint64_t i = 2; i <= OVER; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
    kit_equal(kit_receive_u64(box), 102);
    kit_is_empty(box);
    kit_end(box, BOX);
}

static void sixty_four_of_each_link_and_the_claims_besides(void)
{
    const tong_options options = kit_options_for(4 * OVER);
    tong_mailbox *box = kit_create(BOX, &options);
    tong_mailbox *other = kit_open(BOX, TONG_SEND, NULL);
    for (uint64_t i = 0; i < OVER; i++) {
        kit_ok(send_tag(box, i, 1));
        kit_ok(send_tag(other, 1000 + i, 1));
    }
    kit_ok(send_tag(box, 100, 2));
    kit_ok(send_tag(other, 1100, 2));
    const int64_t both = get_tag(box, 2) + get_tag(box, 2);
    kit_equal(both, 1200);
    kit_equal(kit_stat(BOX).waiting, 2 * OVER);
    tong_message claims[OVER];
    uint64_t next[2] = { 0, 0 };
    for (size_t i = 0; i < OVER; i++) {
        claims[i] = (tong_message)TONG_MESSAGE_INIT;
        kit_ok(tong_claim(box, 0, &claims[i]));
        const uint64_t value = *(const uint64_t *)claims[i].data;
        kit_equal(value % 1000, next[value / 1000]++);
    }
    for (size_t i = 0; i < OVER; i++) {
        kit_ok(tong_done(box, &claims[i]));
    }
    for (size_t i = 0; i < OVER; i++) {
        const uint64_t value = kit_receive_u64(box);
        kit_equal(value % 1000, next[value / 1000]++);
    }
    kit_is_empty(box);
    kit_ok(tong_close(other));
    kit_end(box, BOX);
}

/* With all its entries in use it can pass nothing over, and says so instead of waiting for ever. */
static void who_has_sixty_four_claims_is_told_so(void)
{
    if (strcmp(kit_carrier(), "unix") == 0) {
        kit_skip("over unix no entry is needed to pass a message over");
    }
    tong_mailbox *box = kit_create(BOX, NULL);
    tong_message claim[64];
    for (uint64_t i = 0; i < 64; i++) {
        kit_ok(send_tag(box, i, 0));
        claim[i] = (tong_message)TONG_MESSAGE_INIT;
        kit_ok(tong_claim(box, 0, &claim[i]));
    }
    kit_ok(send_tag(box, 100, 5));
    kit_ok(send_tag(box, 101, 7));
    kit_gives(get_tag(box, 7), -ENOBUFS);
    kit_gives(get(box, 7, 0, KIT_PATIENCE), -ENOBUFS);
    /* A queue shows its first message alone: what lies behind is not known there. */
    kit_gives(get_tag(box, 9), strcmp(kit_carrier(), "shm") == 0 ? -EAGAIN : -ENOBUFS);
    kit_ok(tong_done(box, &claim[0]));
    kit_equal(get_tag(box, 7), 101);
    kit_equal(kit_receive_u64(box), 100);
    for (int i = 1; i < 64; i++) {
        kit_ok(tong_done(box, &claim[i]));
    }
    kit_end(box, BOX);
}

static void it_keeps_its_room(void)
{
    tong_mailbox *box = with_capacity(3);
    kit_ok(send_tag(box, 1, 1));
    kit_ok(send_tag(box, 2, 1));
    kit_ok(send_tag(box, 3, 2));
    kit_equal(get_tag(box, 2), 3);
    kit_ok(send_tag(box, 4, 1));
    kit_gives(send_tag(box, 5, 1), -EAGAIN);
    kit_equal(kit_receive_u64(box), 1);
    kit_ok(send_tag(box, 5, 2));
    kit_equal(get_tag(box, 2), 5);
    kit_equal(kit_receive_u64(box), 2);
    kit_equal(kit_receive_u64(box), 4);
    kit_end(box, BOX);
}

static void a_buffer_that_is_too_short_changes_nothing(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    kit_ok(send_tag(box, 1, 1));
    kit_ok(send_tag(box, 2, 2));
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    want.tag = 2;
    tong_message info = TONG_MESSAGE_INIT;
    char bytes[4];
    kit_gives(tong_receive_with(box, bytes, 4, &want, 0, &info), -EMSGSIZE);
    kit_true(info.len == 8 && info.tag == 2);
    kit_equal(kit_receive_u64(box), 1);
    kit_equal(get_tag(box, 2), 2);
    kit_end(box, BOX);
}

static void what_expired_is_passed_over_for_good(void)
{
    tong_mailbox *box = with_capacity(3);
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.expiry_ns = 1;
    kit_ok(send_tag(box, 1, 1));
    kit_ok(tong_send_with(box, "too late", 8, &with, 0));
    kit_ok(send_tag(box, 2, 2));
    kit_equal(get_tag(box, 2), 2);
    kit_equal(kit_stat(BOX).expired, 1);
    kit_equal(kit_stat(BOX).waiting, 1);
    kit_ok(send_tag(box, 3, 3));
    kit_ok(send_tag(box, 4, 4));
    kit_equal(get_tag(box, 4), 4);
    kit_equal(kit_receive_u64(box), 1);
    kit_equal(kit_receive_u64(box), 3);
    kit_end(box, BOX);
}

static void long_messages_are_passed_over_where_they_lie(void)
{
    enum {
        LEN = 300000
    };
    static uint8_t bytes[LEN];
    tong_mailbox *box = kit_create(BOX, NULL);
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    for (uint32_t i = 0; i < 6; i++) {
        with.tag = i % 2 + 1;
        kit_payload_write(bytes, LEN, i, i);
        kit_ok(tong_send_with(box, bytes, LEN, &with, 0));
    }
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    static const uint32_t order[] = { 1, 3, 5, 0, 2, 4 };
    for (size_t k = 0; k < 6; k++) {
        want.tag = k < 3 ? 2 : 0;
        memset(bytes, 0, sizeof bytes);
        kit_gives(tong_receive_with(box, bytes, LEN, &want, 0, NULL), LEN);
        kit_true(kit_payload_is(bytes, LEN, order[k], order[k]));
    }
    kit_end(box, BOX);
}

static void what_was_returned_is_asked_for_too(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    tong_message claims[3];
    for (uint64_t i = 0; i < 3; i++) {
        kit_ok(send_tag(box, i, i + 1));
        claims[i] = (tong_message)TONG_MESSAGE_INIT;
        kit_ok(tong_claim(box, 0, &claims[i]));
    }
    for (size_t i = 0; i < 3; i++) {
        kit_ok(tong_return(box, &claims[i]));
    }
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    want.tag = 2;
    tong_message info = TONG_MESSAGE_INIT;
    uint64_t value = 0;
    kit_gives(tong_receive_with(box, &value, 8, &want, 0, &info), 8);
    kit_true(value == 1 && info.deliveries == 2);
    kit_gives(tong_receive_with(box, &value, 8, &want, 0, &info), -EAGAIN);
    kit_equal(kit_receive_u64(box), 0);
    kit_equal(kit_receive_u64(box), 2);
    kit_end(box, BOX);
}

static void one_that_may_be_dropped_is_counted(void)
{
    tong_options options = kit_options();
    options.full = TONG_DROP_OLDEST;
    options.link_capacity = 4;
    tong_mailbox *box = kit_create(BOX, &options);
    kit_ok(send_tag(box, 0, 1));
    uint64_t got = 0;
    for (uint64_t i = 1; i <= 1000; i++) {
        kit_true(send_tag(box, i, 2) >= 0);
        kit_equal(get_tag(box, 2), i);
        got++;
    }
    kit_ok(send_tag(box, 2000, 1));
    uint64_t value;
    while (tong_receive(box, &value, sizeof value, 0) == sizeof value) {
        kit_true(value == 0 || value == 2000);
        got++;
    }
    const tong_status status = kit_stat(BOX);
    kit_equal(status.sent, 1002);
    kit_equal(got + status.dropped, 1002);
    kit_equal(status.waiting, 0);
    kit_end(box, BOX);
}

/* ---- by sender */

static int64_t get_from(tong_mailbox *box, const char *from, uint64_t tag)
{
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    want.from = from;
    want.tag = tag;
    uint64_t value = 0;
    tong_message info = TONG_MESSAGE_INIT;
    const ssize_t r = tong_receive_with(box, &value, sizeof value, &want, 0, &info);
    kit_true(r < 0 || strcmp(info.sender, from) == 0);
    return r < 0 ? r : (int64_t)value;
}

static void the_sender_asked_for_comes(void)
{
    tong_process *p;
    tong_process *q;
    tong_process *r;
    kit_ok(tong_process_open(kit_name("P"), NULL, &p));
    kit_ok(tong_process_open(kit_name("Q"), NULL, &q));
    kit_ok(tong_process_open(kit_name("R"), NULL, &r));
    tong_mailbox *box = tong_process_mailbox(r);
    for (uint64_t i = 1; i < 4; i++) {
        uint64_t value = i;
        kit_ok(tong_send_to(p, kit_name("R"), &value, sizeof value, 0));
        value = 10 + i;
        kit_ok(tong_send_to(q, kit_name("R"), &value, sizeof value, 0));
    }
    kit_equal(get_from(box, "Q", 0), 11);
    kit_equal(get_from(box, "Q", 0), 12);
    kit_equal(get_from(box, "P", 0), 1);
    kit_gives(get_from(box, "P", 7), -EAGAIN);
    kit_gives(get_from(box, "S", 0), -EAGAIN);
    kit_equal(get_from(box, "Q", 0), 13);
    kit_gives(get_from(box, "Q", 0), -EAGAIN);
    kit_equal(kit_receive_u64(box), 2);
    kit_equal(kit_receive_u64(box), 3);
    kit_ok(tong_process_close(p));
    kit_ok(tong_process_close(q));
    kit_ok(tong_process_close(r));
}

/* ---- waiting */

struct waiter {
    uint64_t tag; /* 0: whatever comes */
    uint32_t min_priority;
    uint32_t index;
    struct world *world;
};

#define WAITERS_MOST 6
#define MESSAGES 600
#define END 1000000u

struct world {
    _Atomic uint64_t received;
    _Atomic uint32_t who[MESSAGES]; /* index + 1 of who got it */
};

static int wait_on_and_on(void *arg)
{
    const struct waiter *w = arg;
    tong_mailbox *box = kit_open(BOX, TONG_RECEIVE, NULL);
    for (;;) {
        const int64_t value = get(box, w->tag, w->min_priority, KIT_PATIENCE);
        kit_true(value >= 0);
        if (value == END) {
            return tong_close(box);
        }
        kit_equal(atomic_exchange(&w->world->who[value], w->index + 1), 0);
        atomic_fetch_add(&w->world->received, 1);
    }
}

struct hall {
    struct world *world;
    tong_mailbox *box;
    struct waiter waiters[WAITERS_MOST];
    struct seat seats[WAITERS_MOST];
    uint32_t n;
    uint64_t sent;
};

static void until_all_wait(const struct hall *hall)
{
    kit_until(atomic_load(&hall->world->received) == hall->sent &&
              kit_stat(BOX).receivers_asleep == hall->n);
}

static struct hall open_hall(const tong_options *options)
{
    return (struct hall){ .world = kit_shared(sizeof(struct world)),
                          .box = kit_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, options) };
}

static void comes(struct hall *hall, uint64_t tag, uint32_t min_priority)
{
    struct waiter *w = &hall->waiters[hall->n];
    *w = (struct waiter){
        .tag = tag, .min_priority = min_priority, .index = hall->n, .world = hall->world
    };
    seat_take(&hall->seats[hall->n++], wait_on_and_on, w);
    until_all_wait(hall);
}

static bool asks(const struct waiter *w)
{
    return w->tag != 0 || w->min_priority != 0;
}

static void end_those(struct hall *hall, bool who_ask)
{
    for (uint32_t i = 0; i < hall->n; i++) {
        const struct waiter *w = &hall->waiters[i];
        if (asks(w) == who_ask) {
            kit_ok(send_with(hall->box, END, w->tag, w->min_priority, KIT_PATIENCE));
        }
    }
    for (uint32_t i = 0; i < hall->n; i++) {
        if (asks(&hall->waiters[i]) == who_ask) {
            seat_leave(&hall->seats[i]);
        }
    }
}

static void close_hall(struct hall *hall)
{
    until_all_wait(hall);
    end_those(hall, false);
    end_those(hall, true);
    kit_end(hall->box, BOX);
}

/* Tags 1 and 2 are asked for, 3 is anybody's of those who take whatever comes. */
static void each_gets_its_own(const tong_options *options, uint32_t takers)
{
    struct hall hall = open_hall(options);
    struct kit_random random = kit_random_stream(1);
    uint64_t tags[MESSAGES];
    comes(&hall, 1, 0);
    comes(&hall, 0, 0);
    comes(&hall, 2, 0);
    if (takers == 2) {
        comes(&hall, 0, 0);
    }
    for (uint64_t i = 0; i < MESSAGES;) {
        uint64_t burst = 1 + kit_random_below(&random, 4);
        for (; burst > 0 && i < MESSAGES; burst--, i++) {
            tags[i] = 1 + kit_random_below(&random, 3);
            hall.sent++;
            kit_ok(send_with(hall.box, i, tags[i], 0, KIT_PATIENCE));
        }
        if (kit_random_below(&random, 2) == 0) {
            until_all_wait(&hall);
        }
    }
    until_all_wait(&hall);
    for (uint64_t i = 0; i < MESSAGES; i++) {
        const uint32_t who = atomic_load(&hall.world->who[i]) - 1;
        const uint64_t asked = hall.waiters[who].tag;
        if (asked != tags[i] && asked != 0) {
            kit_fail("message %u of tag %u went to %u", (unsigned)i, (unsigned)tags[i], who);
        }
    }
    close_hall(&hall);
}

static void nobody_sleeps_beside_a_message_it_asks_for(void)
{
    each_gets_its_own(NULL, 1);
}

static void nobody_sleeps_beside_a_message_it_asks_for_round_robin(void)
{
    tong_options options = kit_options();
    options.delivery = TONG_ROUND_ROBIN;
    each_gets_its_own(&options, 2);
}

static void nobody_sleeps_beside_a_message_it_asks_for_any(void)
{
    tong_options options = kit_options();
    options.delivery = TONG_ANY;
    each_gets_its_own(&options, 2);
}

static void nobody_sleeps_beside_a_message_it_asks_for_least_loaded(void)
{
    tong_options options = kit_options();
    options.delivery = TONG_LEAST_LOADED;
    each_gets_its_own(&options, 2);
}

static void nobody_sleeps_beside_a_message_it_asks_for_at_capacity_2(void)
{
    const tong_options options = kit_capacity(2);
    each_gets_its_own(&options, 1);
}

static void nobody_sleeps_beside_an_offer_it_asks_for(void)
{
    const tong_options options = kit_capacity(0);
    each_gets_its_own(&options, 1);
}

static void who_asks_gets_it_before_who_takes_whatever_comes(void)
{
    struct hall hall = open_hall(NULL);
    comes(&hall, 0, 0);
    comes(&hall, 5, 0);
    comes(&hall, 0, 0);
    comes(&hall, 0, 3);
    for (uint64_t i = 0; i < 60; i += 3) {
        hall.sent += 3;
        kit_ok(send_with(hall.box, i, 5, 0, 0));
        kit_ok(send_with(hall.box, i + 1, 0, 0, 0));
        kit_ok(send_with(hall.box, i + 2, 0, 4, 0));
        until_all_wait(&hall);
        kit_equal(atomic_load(&hall.world->who[i]), 2);
        kit_true(atomic_load(&hall.world->who[i + 1]) % 2 == 1);
        kit_equal(atomic_load(&hall.world->who[i + 2]), 4);
    }
    close_hall(&hall);
}

static void of_two_who_ask_for_it_the_one_that_waits_longer_gets_it(void)
{
    struct hall hall = open_hall(NULL);
    comes(&hall, 5, 0);
    comes(&hall, 5, 0);
    for (uint64_t i = 0; i < 40; i++) {
        hall.sent++;
        kit_ok(send_tag(hall.box, i, 5));
        until_all_wait(&hall);
        kit_equal(atomic_load(&hall.world->who[i]), 1 + i % 2);
    }
    close_hall(&hall);
}

static void what_a_sleeper_asks_for_is_left_to_it(void)
{
    struct hall hall = open_hall(NULL);
    tong_mailbox *comer = kit_open(BOX, TONG_RECEIVE, NULL);
    kit_ok(send_tag(hall.box, 1, 1));
    comes(&hall, 5, 0); /* what waits is not for it */
    hall.sent = 1;
    kit_equal(kit_receive_u64(comer), 1);
    kit_ok(send_tag(hall.box, 2, 5));
    kit_until(atomic_load(&hall.world->who[2]) == 1);
    kit_ok(tong_close(comer));
    close_hall(&hall);
}

static void who_asks_in_vain_times_out_and_leaves_all_as_it_was(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    for (uint64_t i = 0; i < 5; i++) {
        kit_ok(send_tag(box, i, 1));
    }
    kit_gives(get(box, 2, 0, 1), -ETIMEDOUT);
    kit_gives(get(box, 2, 0, TONG_MS(20)), -ETIMEDOUT);
    kit_ok(tong_interrupt(box));
    kit_gives(get(box, 2, 0, TONG_FOREVER), -ECANCELED);
    for (uint64_t i = 0; i < 5; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
    kit_end(box, BOX);
}

static void an_offer_that_nobody_asks_for_is_not_taken(void)
{
    const tong_options options = kit_capacity(0);
    struct hall hall = open_hall(&options);
    comes(&hall, 5, 0);
    kit_gives(send_with(hall.box, 1, 6, 0, TONG_MS(5)), -ETIMEDOUT);
    kit_gives(send_with(hall.box, 1, 6, 0, 0), -EAGAIN);
    hall.sent = 1;
    kit_ok(send_with(hall.box, 2, 5, 0, KIT_PATIENCE));
    close_hall(&hall);
}

static void one_that_dies_leaves_what_it_asked_for(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    struct hall hall = open_hall(NULL);
    comes(&hall, 5, 0);
    comes(&hall, 0, 0);
    comes(&hall, 5, 0);
    kit_kill(&hall.seats[0].child);
    hall.sent = 2;
    kit_ok(send_tag(hall.box, 1, 5));
    kit_ok(send_tag(hall.box, 2, 6));
    kit_until(atomic_load(&hall.world->received) == 2);
    kit_equal(atomic_load(&hall.world->who[1]), 3);
    kit_equal(atomic_load(&hall.world->who[2]), 2);
    hall.n = 2;
    hall.seats[0] = hall.seats[2];
    hall.waiters[0] = hall.waiters[2];
    close_hall(&hall);
}

static void what_a_handle_passed_over_stays_when_it_is_closed(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    tong_mailbox *other = kit_open(BOX, TONG_RECEIVE, NULL);
    for (uint64_t i = 0; i < 5; i++) {
        kit_ok(send_tag(box, i, i == 4 ? 2 : 1));
    }
    kit_equal(get_tag(other, 2), 4);
    kit_ok(tong_close(other));
    for (uint64_t i = 0; i < 4; i++) {
        kit_equal(get_tag(box, 1), i);
    }
    kit_is_empty(box);
    kit_end(box, BOX);
}

static void mistakes_of_the_caller_are_einval(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    uint64_t value;
    want.min_priority = TONG_PRIORITY_MAX + 1;
    kit_gives(tong_receive_with(box, &value, sizeof value, &want, 0, NULL), -EINVAL);
    want.min_priority = 0;
    want.from = "no name";
    kit_gives(tong_receive_with(box, &value, sizeof value, &want, 0, NULL), -EINVAL);
    char name[TONG_NAME_MAX + 1];
    memset(name, 'n', TONG_NAME_MAX);
    name[TONG_NAME_MAX] = '\0';
    want.from = name;
    kit_gives(tong_receive_with(box, &value, sizeof value, &want, 0, NULL), -ENAMETOOLONG);
    tong_message message = TONG_MESSAGE_INIT;
    kit_gives(tong_claim_with(box, &want, 0, &message), -ENAMETOOLONG);
    want.from = NULL;
    kit_gives(tong_claim_with(NULL, &want, 0, &message), -EINVAL);
    kit_gives(tong_claim_with(box, &want, 0, NULL), -EINVAL);
    kit_gives(tong_claim_with(box, &want, -2, &message), -EINVAL);
    want.struct_size--;
    kit_gives(tong_claim_with(box, &want, 0, &message), -EINVAL);
    kit_end(box, BOX);
}

static const struct kit_test tests[] = {
    KIT_TEST(the_tag_asked_for_comes_and_the_rest_waits_in_order),
    KIT_TEST(a_priority_that_is_high_enough_comes),
    KIT_TEST(all_that_is_asked_must_hold),
    KIT_TEST(a_message_that_says_nothing_has_no_tag_and_priority_0),
    KIT_TEST(what_is_passed_over_is_not_marked),
    KIT_TEST(a_claim_may_ask_as_well),
    KIT_TEST(a_link_waits_behind_sixty_four),
    KIT_TEST(sixty_four_of_each_link_and_the_claims_besides),
    KIT_TEST(who_has_sixty_four_claims_is_told_so),
    KIT_TEST(it_keeps_its_room),
    KIT_TEST(a_buffer_that_is_too_short_changes_nothing),
    KIT_TEST(what_expired_is_passed_over_for_good),
    KIT_TEST(long_messages_are_passed_over_where_they_lie),
    KIT_TEST(what_was_returned_is_asked_for_too),
    KIT_TEST(one_that_may_be_dropped_is_counted),
    KIT_TEST(the_sender_asked_for_comes),
    KIT_TEST(nobody_sleeps_beside_a_message_it_asks_for),
    KIT_TEST(nobody_sleeps_beside_a_message_it_asks_for_round_robin),
    KIT_TEST(nobody_sleeps_beside_a_message_it_asks_for_any),
    KIT_TEST(nobody_sleeps_beside_a_message_it_asks_for_least_loaded),
    KIT_TEST(nobody_sleeps_beside_a_message_it_asks_for_at_capacity_2),
    KIT_TEST(nobody_sleeps_beside_an_offer_it_asks_for),
    KIT_TEST(who_asks_gets_it_before_who_takes_whatever_comes),
    KIT_TEST(of_two_who_ask_for_it_the_one_that_waits_longer_gets_it),
    KIT_TEST(what_a_sleeper_asks_for_is_left_to_it),
    KIT_TEST(who_asks_in_vain_times_out_and_leaves_all_as_it_was),
    KIT_TEST(an_offer_that_nobody_asks_for_is_not_taken),
    KIT_TEST(one_that_dies_leaves_what_it_asked_for),
    KIT_TEST(what_a_handle_passed_over_stays_when_it_is_closed),
    KIT_TEST(mistakes_of_the_caller_are_einval),
};

KIT_MAIN(tests)
