/* TONG_EVERYONE: each receiver gets every message, once, in the order of its sender; the slowest one that is
 * there holds the sender up, and who comes late begins now or at the oldest kept. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "everyone.h"

/* ---- all get all */

static void each_gets_every_message(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *each[ALL];
    for (int i = 0; i < ALL; i++) {
        each[i] = receiver_of("news");
    }
    uint64_t sent = 0;
    const uint64_t rounds = kit_fewer(60);
    for (uint64_t round = 0; round < rounds; round++) {
        const uint64_t first = sent;
        for (uint64_t i = 0; i < round * 7 % 100; i++) {
            kit_ok(kit_send_u64(box, sent++, 0));
        }
        for (int i = 0; i < ALL; i++) {
            get_some(each[i], first, sent);
            kit_is_empty(each[i]);
        }
    }
    close_all(each, ALL);
    kit_end(box, kit_name("news"));
}

/* Of any length, each at its own pace, over many segments that are used again. */
static void each_at_its_own_pace(void)
{
    static const size_t lens[] = { 0, 1, 100, 5000, 70000, 300000 };
    static uint8_t buffer[300000];
    const tong_options options = to_all(64);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *each[3];
    uint64_t taken[3] = { 0 };
    for (int i = 0; i < 3; i++) {
        each[i] = receiver_of("news");
    }
    struct kit_random random = kit_random_stream(1);
    uint64_t sent = 0;
    const uint64_t n = kit_fewer(3000);
    while (sent < n) {
        const size_t len = lens[sent % 6];
        kit_payload_write(buffer, len, 1, sent);
        const int r = tong_send(box, buffer, len, 0);
        sent += r == 0;
        for (int i = 0; i < 3; i++) {
            while (taken[i] < sent && (r != 0 || kit_random_below(&random, 3) != 0)) {
                const ssize_t got = tong_receive(each[i], buffer, sizeof(buffer), 0);
                kit_equal(got, lens[taken[i] % 6]);
                kit_true(kit_payload_is(buffer, (size_t)got, 1, taken[i]));
                taken[i]++;
            }
        }
    }
    close_all(each, 3);
    kit_end(box, kit_name("news"));
}

static void several_senders_keep_their_order(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box[3] = { sender_of("news", &options) };
    tong_mailbox *each[3];
    for (int i = 0; i < 3; i++) {
        each[i] = receiver_of("news");
        if (i != 0) {
            box[i] = kit_open(kit_name("news"), TONG_SEND, NULL);
        }
    }
    for (uint64_t i = 0; i < 300; i++) {
        kit_ok(kit_send_u64(box[i % 3], i, 0));
    }
    for (int i = 0; i < 3; i++) {
        uint64_t next[3] = { 0, 1, 2 };
        for (int k = 0; k < 300; k++) {
            const uint64_t got = kit_receive_u64(each[i]);
            kit_equal(got, next[got % 3]);
            next[got % 3] += 3;
        }
        kit_is_empty(each[i]);
    }
    close_all(each, 3);
    close_all(box + 1, 2);
    kit_end(box[0], kit_name("news"));
}

/* ---- who comes late, and who goes */

static void who_comes_late_begins_now(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *first = receiver_of("news");
    send_some(box, 0, 10);
    tong_mailbox *late = receiver_of("news");
    kit_is_empty(late);
    send_some(box, 10, 20);
    get_some(late, 10, 20);
    get_some(first, 0, 20);
    kit_is_empty(late);
    kit_ok(tong_close(late));
    kit_ok(tong_close(first));
    kit_end(box, kit_name("news"));
}

static void who_comes_late_begins_at_the_oldest(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *first = receiver_of("news");
    send_some(box, 0, 10);
    tong_mailbox *late = late_receiver_of("news");
    get_some(late, 0, 10);
    send_some(box, 10, 20);
    get_some(late, 10, 20);
    get_some(first, 0, 20);
    kit_ok(tong_close(late));
    kit_ok(tong_close(first));
    kit_end(box, kit_name("news"));
}

static void what_nobody_has_is_kept(void)
{
    const tong_options options = to_all(8);
    tong_mailbox *box = sender_of("news", &options);
    send_some(box, 0, 8);
    kit_gives(kit_send_u64(box, 8, 0), -EAGAIN);
    kit_equal(kit_stat(kit_name("news")).waiting, 8);
    tong_mailbox *late = late_receiver_of("news");
    get_some(late, 0, 8);
    kit_ok(tong_close(late));
    /* It had them: there is room for as many again. */
    send_some(box, 8, 16);
    kit_gives(kit_send_u64(box, 16, 0), -EAGAIN);
    late = late_receiver_of("news");
    get_some(late, 8, 16);
    kit_is_empty(late);
    kit_ok(tong_close(late));
    kit_end(box, kit_name("news"));
}

static void a_later_sender_goes_on(void)
{
    if (strcmp(kit_carrier(), "nats") == 0) {
        kit_skip("nats counts for each handle that sends");
    }
    const tong_options options = to_all(8);
    tong_mailbox *maker = sender_of("news", &options);
    tong_mailbox *box = kit_open(kit_name("news"), TONG_SEND, NULL);
    send_some(box, 0, 5);
    kit_ok(tong_close(box));
    box = kit_open(kit_name("news"), TONG_SEND, NULL);
    send_some(box, 5, 8);
    kit_gives(kit_send_u64(box, 8, 0), -EAGAIN);
    tong_mailbox *late = late_receiver_of("news");
    get_some(late, 0, 8);
    kit_is_empty(late);
    kit_ok(tong_close(late));
    kit_ok(tong_close(box));
    kit_end(maker, kit_name("news"));
}

static void the_slowest_holds_the_sender(void)
{
    const tong_options options = to_all(4);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *fast = receiver_of("news");
    tong_mailbox *slow = receiver_of("news");
    send_some(box, 0, 4);
    get_some(fast, 0, 4);
    kit_gives(kit_send_u64(box, 4, 0), -EAGAIN);
    get_some(slow, 0, 1);
    kit_ok(kit_send_u64(box, 4, 0));
    kit_gives(kit_send_u64(box, 5, 0), -EAGAIN);
    kit_ok(tong_close(slow));
    send_some(box, 5, 8);
    kit_gives(kit_send_u64(box, 8, 0), -EAGAIN);
    get_some(fast, 4, 8);
    kit_ok(tong_close(fast));
    kit_end(box, kit_name("news"));
}

/* ---- sleeping and waking */

static int receives_all(void *arg)
{
    struct pair *p = arg;
    tong_mailbox *box = receiver_of(p->name);
    kit_event_set(&p->there);
    get_some(box, p->from, p->to);
    kit_ok(tong_close(box));
    return 0;
}

static void all_that_sleep_are_woken(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    struct pair *p = kit_shared(sizeof(*p) * ALL);
    struct kit_child child[ALL];
    for (int i = 0; i < ALL; i++) {
        p[i] = (struct pair){ .name = "news", .to = 20 };
        child[i] = kit_spawn(receives_all, &p[i]);
    }
    for (uint64_t i = 0; i < 20; i++) {
        kit_until_asleep(kit_name("news"), ALL);
        kit_ok(kit_send_u64(box, i, 0));
        kit_until(kit_stat(kit_name("news")).waiting == 0);
    }
    for (int i = 0; i < ALL; i++) {
        kit_join(&child[i]);
    }
    kit_end(box, kit_name("news"));
}

/* The sender knows who was there at its first message; this one comes behind it. */
static void who_comes_later_is_woken_too(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    struct pair *p = kit_shared(sizeof(*p) * ALL);
    struct kit_child child[ALL];
    uint64_t sent = 0;
    for (uint32_t i = 0; i < ALL; i++) {
        kit_ok(kit_send_u64(box, sent++, 0));
        p[i] = (struct pair){ .name = "news", .from = sent, .to = ALL + 1 };
        child[i] = kit_spawn(receives_all, &p[i]);
        kit_event_wait(&p[i].there);
        kit_until_asleep(kit_name("news"), i + 1);
    }
    kit_ok(kit_send_u64(box, sent, 0));
    for (int i = 0; i < ALL; i++) {
        kit_join(&child[i]);
    }
    kit_end(box, kit_name("news"));
}

static int sends_all(void *arg)
{
    struct pair *p = arg;
    tong_mailbox *box = kit_open(kit_name(p->name), TONG_SEND, NULL);
    for (uint64_t i = p->from; i < p->to; i++) {
        kit_ok(kit_send_u64(box, i, TONG_FOREVER));
        kit_equal(kit_stat(kit_name(p->name)).backstop_finds, 0);
    }
    kit_ok(tong_close(box));
    return 0;
}

static void a_blocked_sender_waits_for_the_slowest(void)
{
    const tong_options options = to_all(4);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *each[3];
    for (int i = 0; i < 3; i++) {
        each[i] = receiver_of("news");
    }
    struct pair *p = kit_shared(sizeof(*p));
    *p = (struct pair){ .name = "news", .to = 12 };
    struct kit_child child = kit_spawn(sends_all, p);
    for (int i = 0; i < 3; i++) {
        kit_until_blocked(kit_name("news"), 1);
        get_some(each[i], 0, 4);
    }
    for (int i = 2; i >= 0; i--) {
        kit_until_blocked(kit_name("news"), 1);
        get_some(each[i], 4, 8);
    }
    kit_join(&child);
    for (int i = 0; i < 3; i++) {
        get_some(each[i], 8, 12);
    }
    close_all(each, 3);
    kit_end(box, kit_name("news"));
}

static void a_blocked_sender_goes_on_when_the_slowest_leaves(void)
{
    const tong_options options = to_all(4);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *slow = receiver_of("news");
    tong_mailbox *fast = receiver_of("news");
    struct pair *p = kit_shared(sizeof(*p));
    *p = (struct pair){ .name = "news", .to = 8 };
    struct kit_child child = kit_spawn(sends_all, p);
    get_some(fast, 0, 4);
    kit_until_blocked(kit_name("news"), 1);
    kit_ok(tong_close(slow));
    get_some(fast, 4, 8);
    kit_join(&child);
    kit_ok(tong_close(fast));
    kit_end(box, kit_name("news"));
}

/* With nobody there what was sent is kept for one who wants it; one who begins now does not. */
static void a_blocked_sender_goes_on_when_one_comes(void)
{
    const tong_options options = to_all(4);
    tong_mailbox *box = sender_of("news", &options);
    struct pair *p = kit_shared(sizeof(*p));
    *p = (struct pair){ .name = "news", .to = 8 };
    struct kit_child child = kit_spawn(sends_all, p);
    kit_until_blocked(kit_name("news"), 1);
    tong_mailbox *late = receiver_of("news");
    kit_until(kit_stat(kit_name("news")).waiting == 4); /* it has not even asked yet */
    get_some(late, 4, 8);
    kit_join(&child);
    kit_is_empty(late);
    kit_ok(tong_close(late));
    kit_end(box, kit_name("news"));
}

static void a_dead_receiver_holds_nobody(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    const tong_options options = to_all(4);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *other = receiver_of("news");
    struct pair *p = kit_shared(2 * sizeof(*p));
    p[0] = (struct pair){ .name = "news" };
    p[1] = (struct pair){ .name = "news", .to = 40 };
    struct kit_child slow = kit_spawn(is_there, &p[0]);
    kit_event_wait(&p[0].there);
    struct kit_child child = kit_spawn(sends_all, &p[1]);
    get_some(other, 0, 4);
    kit_until_blocked(kit_name("news"), 1);
    kit_kill(&slow);
    get_some(other, 4, 40);
    kit_join(&child);
    tong_mailbox *next = receiver_of("news");
    kit_equal(kit_stat(kit_name("news")).deaths, 1);
    kit_ok(tong_close(next));
    kit_ok(tong_close(other));
    kit_end(box, kit_name("news"));
}

/* ---- claims, and what a receiver may do */

static void a_claim_is_the_senders_bytes(void)
{
    kit_needs(KIT_IN_PLACE);
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *each[ALL];
    tong_message message[ALL];
    for (int i = 0; i < ALL; i++) {
        each[i] = receiver_of("news");
    }
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 4096, 0, &slot));
    uint8_t *written = slot.data;
    memset(written, 1, 4096);
    kit_ok(tong_commit(box, &slot, 4096));
    for (int i = 0; i < ALL; i++) {
        message[i] = (tong_message)TONG_MESSAGE_INIT;
        kit_ok(tong_claim(each[i], 0, &message[i]));
        kit_equal(message[i].len, 4096);
    }
    /* Nobody may do this: it shows that all of them look at the page that the sender wrote. */
    for (int k = 0; k < 4096; k++) {
        written[k] = (uint8_t)(k * 7);
    }
    for (int i = 0; i < ALL; i++) {
        kit_equal(memcmp(message[i].data, written, 4096), 0);
        kit_ok(tong_done(each[i], &message[i]));
    }
    kit_equal(kit_stat(kit_name("news")).waiting, 0);
    close_all(each, ALL);
    kit_end(box, kit_name("news"));
}

static void a_claim_keeps_its_room(void)
{
    const tong_options options = to_all(2);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *one = receiver_of("news");
    tong_mailbox *two = receiver_of("news");
    tong_message message = TONG_MESSAGE_INIT;
    send_some(box, 0, 2);
    kit_ok(tong_claim(one, 0, &message));
    get_some(one, 1, 2);
    get_some(two, 0, 2);
    kit_equal(kit_stat(kit_name("news")).claimed, 1);
    kit_ok(kit_send_u64(box, 2, 0));
    kit_gives(kit_send_u64(box, 3, 0), -EAGAIN);
    get_some(two, 2, 3);
    get_some(one, 2, 3);
    kit_equal(*(const uint64_t *)message.data, 0);
    kit_ok(kit_send_u64(box, 3, 0));
    kit_gives(kit_send_u64(box, 4, 0), -EAGAIN);
    kit_ok(tong_done(one, &message));
    kit_ok(kit_send_u64(box, 4, 0));
    kit_gives(kit_send_u64(box, 5, 0), -EAGAIN);
    kit_ok(tong_close(one));
    kit_ok(tong_close(two));
    kit_end(box, kit_name("news"));
}

static void what_is_returned_comes_again_to_the_same(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *one = receiver_of("news");
    tong_mailbox *two = receiver_of("news");
    tong_message message = TONG_MESSAGE_INIT;
    send_some(box, 0, 2);
    kit_ok(tong_claim(one, 0, &message));
    kit_ok(tong_return(one, &message));
    get_some(two, 0, 2);
    kit_is_empty(two);
    kit_ok(tong_claim(one, 0, &message));
    kit_equal(message.deliveries, 2);
    kit_equal(*(const uint64_t *)message.data, 0);
    kit_ok(tong_done(one, &message));
    get_some(one, 1, 2);
    kit_is_empty(one);
    kit_equal(kit_stat(kit_name("news")).redelivered, 1);
    kit_ok(tong_close(one));
    kit_equal(kit_stat(kit_name("news")).redelivered, 1);
    kit_ok(tong_close(two));
    kit_end(box, kit_name("news"));
}

/* Whether what all had finished is kept for the next one behind what they had not: docs/carriers.md. */
static bool keeps_what_is_behind(void)
{
    return strcmp(kit_carrier(), "nats") != 0;
}

/* What one had in hand when it went is kept for the next, if nobody else is there. */
static void what_the_last_had_not_finished_is_kept(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *one = receiver_of("news");
    tong_message message = TONG_MESSAGE_INIT;
    send_some(box, 0, 5);
    get_some(one, 0, 2);
    kit_ok(tong_claim(one, 0, &message));
    if (keeps_what_is_behind()) {
        get_some(one, 3, 4);
    }
    kit_ok(tong_close(one));
    one = late_receiver_of("news");
    get_some(one, 2, 3);
    uint64_t next = kit_receive_u64(one);
    if (next == 3) { /* where what is kept has no holes */
        next = kit_receive_u64(one);
    }
    kit_equal(next, 4);
    kit_is_empty(one);
    kit_ok(tong_close(one));
    kit_end(box, kit_name("news"));
}

static void each_skips_for_itself(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *one = receiver_of("news");
    tong_mailbox *two = receiver_of("news");
    send_some(box, 0, 3);
    kit_gives(tong_skip(one), 8);
    get_some(one, 1, 3);
    uint64_t small[3];
    struct iovec buffers[3] = { { &small[0], 8 }, { &small[1], 8 }, { &small[2], 8 } };
    size_t lens[3];
    kit_gives(tong_receive_many(two, buffers, 3, 0, lens), 3);
    kit_equal(small[0] + 10 * small[1] + 100 * small[2], 210);
    kit_gives(tong_skip(one), -EAGAIN);
    kit_ok(tong_close(one));
    kit_ok(tong_close(two));
    kit_end(box, kit_name("news"));
}

static void one_handle_may_send_and_receive(void)
{
    const tong_options options = to_all(4);
    tong_mailbox *one = kit_create(kit_name("news"), &options);
    tong_mailbox *two = kit_open(kit_name("news"), TONG_SEND | TONG_RECEIVE, NULL);
    for (uint64_t i = 0; i < 50; i++) {
        kit_ok(kit_send_u64(one, i, 0));
        kit_ok(kit_send_u64(two, i, 0));
        for (int k = 0; k < 2; k++) {
            kit_equal(kit_receive_u64(one), i);
            kit_equal(kit_receive_u64(two), i);
        }
    }
    kit_ok(tong_close(two));
    kit_end(one, kit_name("news"));
}

/* ---- long ones, and what it refuses */

static void a_long_one_comes_whole_to_each(void)
{
    enum {
        SIZE = 3 << 20
    };
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *each[3] = { receiver_of("news"), receiver_of("news") };
    uint8_t *buffer = malloc(SIZE);
    kit_true(buffer != NULL);
    kit_payload_write(buffer, SIZE, 1, 7);
    kit_ok(tong_send(box, buffer, SIZE, KIT_PATIENCE));
    for (int i = 0; i < 3; i++) {
        memset(buffer, 0, SIZE);
        kit_gives(tong_receive(each[i], buffer, SIZE, KIT_PATIENCE), SIZE);
        kit_true(kit_payload_is(buffer, SIZE, 1, 7));
        if (i == 0) {
            each[2] = late_receiver_of("news");
        }
    }
    free(buffer);
    close_all(each, 3);
    kit_end(box, kit_name("news"));
}

static void long_ones_take_room_too(void)
{
    enum {
        SIZE = 3 << 20
    };
    const tong_options options = to_all(3);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *one = receiver_of("news");
    uint8_t *buffer = calloc(1, SIZE);
    kit_true(buffer != NULL);
    for (uint64_t i = 0; i < 2; i++) {
        kit_ok(tong_send(box, buffer, SIZE, 0));
        kit_ok(kit_send_u64(box, i, 0));
        kit_ok(tong_send(box, buffer, SIZE, 0));
        kit_gives(kit_send_u64(box, 2, 0), -EAGAIN);
        kit_gives(tong_send(box, buffer, SIZE, 0), -EAGAIN);
        kit_gives(tong_receive(one, buffer, SIZE, 0), SIZE);
        kit_ok(kit_send_u64(box, 3, 0));
        kit_gives(tong_send(box, buffer, SIZE, 0), -EAGAIN);
        kit_equal(kit_receive_u64(one), i);
        kit_gives(tong_receive(one, buffer, SIZE, 0), SIZE);
        kit_equal(kit_receive_u64(one), 3);
        kit_is_empty(one);
    }
    free(buffer);
    kit_ok(tong_close(one));
    kit_end(box, kit_name("news"));
}

static void nobody_is_given_it_or_answers(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = kit_create(kit_name("news"), &options);
    char reply;
    kit_gives(tong_give(box, NULL), -EOPNOTSUPP);
    kit_gives(tong_call(box, "?", 1, &reply, 1, KIT_PATIENCE), -EOPNOTSUPP);
    kit_end(box, kit_name("news"));
}

/* ---- when full */

static void the_newest_is_dropped(void)
{
    tong_options options = to_all(4);
    options.full = TONG_DROP_NEWEST;
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *one = receiver_of("news");
    tong_mailbox *two = receiver_of("news");
    send_some(box, 0, 4);
    get_some(one, 0, 4);
    kit_gives(kit_send_u64(box, 4, TONG_FOREVER), TONG_DROPPED);
    get_some(two, 0, 4);
    kit_ok(kit_send_u64(box, 5, 0));
    kit_equal(kit_receive_u64(one), 5);
    kit_equal(kit_receive_u64(two), 5);
    kit_equal(kit_stat(kit_name("news")).dropped, 1);
    kit_ok(tong_close(one));
    kit_ok(tong_close(two));
    kit_end(box, kit_name("news"));
}

/* delivered + dropped = sent, for each. */
static void the_oldest_is_dropped_for_the_slow_ones(void)
{
    tong_options options = to_all(8);
    options.full = TONG_DROP_OLDEST;
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *fast = receiver_of("news");
    tong_mailbox *slow = receiver_of("news");
    for (uint64_t i = 0; i < 5000; i++) {
        const int r = kit_send_u64(box, i, TONG_FOREVER);
        kit_gives(r, i < 8 ? 0 : TONG_DROPPED);
        kit_equal(kit_receive_u64(fast), i);
    }
    tong_status status = kit_stat(kit_name("news"));
    kit_equal(status.sent, 10000);
    kit_equal(status.dropped, 4992);
    kit_equal(status.waiting, 8);
    get_some(slow, 4992, 5000);
    kit_is_empty(slow);
    kit_ok(tong_close(slow));
    kit_ok(tong_close(fast));
    status = kit_stat(kit_name("news"));
    kit_equal(status.sent, 10000);
    kit_equal(status.dropped, 4992);
    kit_equal(status.done, 5008);
    kit_end(box, kit_name("news"));
}

/* One that is dead makes nobody drop what all the living were handed. */
static void the_oldest_is_not_dropped_for_a_dead_one(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_options options = to_all(8);
    options.full = TONG_DROP_OLDEST;
    tong_mailbox *box = sender_of("news", &options);
    struct pair *p = kit_shared(sizeof(*p));
    *p = (struct pair){ .name = "news", .from = 0, .to = 5 };
    struct kit_child child = kit_spawn(is_there, p);
    tong_mailbox *one = receiver_of("news");
    tong_message claim[6];
    kit_until(kit_stat(kit_name("news")).receivers == 2);
    send_some(box, 0, 5);
    kit_event_wait(&p->there);
    kit_kill(&child);
    get_some(one, 0, 4);
    send_some(box, 5, 10);
    /* Behind the dead one in what it has finished, and before it in what it was handed. */
    for (int i = 0; i < 6; i++) {
        claim[i] = (tong_message)TONG_MESSAGE_INIT;
        kit_ok(tong_claim(one, 0, &claim[i]));
    }
    send_some(box, 10, 18);
    for (int i = 0; i < 6; i++) {
        kit_ok(tong_return(one, &claim[i]));
    }
    get_some(one, 4, 18);
    kit_ok(tong_close(one));
    kit_equal(kit_stat(kit_name("news")).dropped, 0);
    kit_end(box, kit_name("news"));
}

static const struct kit_test tests[] = {
    KIT_TEST(each_gets_every_message),
    KIT_TEST(each_at_its_own_pace),
    KIT_TEST(several_senders_keep_their_order),
    KIT_TEST(who_comes_late_begins_now),
    KIT_TEST(who_comes_late_begins_at_the_oldest),
    KIT_TEST(what_nobody_has_is_kept),
    KIT_TEST(a_later_sender_goes_on),
    KIT_TEST(the_slowest_holds_the_sender),
    KIT_TEST(all_that_sleep_are_woken),
    KIT_TEST(who_comes_later_is_woken_too),
    KIT_TEST(a_blocked_sender_waits_for_the_slowest),
    KIT_TEST(a_blocked_sender_goes_on_when_the_slowest_leaves),
    KIT_TEST(a_blocked_sender_goes_on_when_one_comes),
    KIT_TEST(a_dead_receiver_holds_nobody),
    KIT_TEST(a_claim_is_the_senders_bytes),
    KIT_TEST(a_claim_keeps_its_room),
    KIT_TEST(what_is_returned_comes_again_to_the_same),
    KIT_TEST(what_the_last_had_not_finished_is_kept),
    KIT_TEST(each_skips_for_itself),
    KIT_TEST(one_handle_may_send_and_receive),
    KIT_TEST(a_long_one_comes_whole_to_each),
    KIT_TEST(long_ones_take_room_too),
    KIT_TEST(nobody_is_given_it_or_answers),
    KIT_TEST(the_newest_is_dropped),
    KIT_TEST(the_oldest_is_dropped_for_the_slow_ones),
    KIT_TEST(the_oldest_is_not_dropped_for_a_dead_one),
};

KIT_MAIN(tests)
