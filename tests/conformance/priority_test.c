/*
 * Order by priority: what has a higher priority is received first, what a sender sends with one priority in its
 * order.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "kit.h"

#define BOX kit_name("priority")

static tong_options by_priority(void)
{
    kit_needs(KIT_BY_PRIORITY);
    tong_options options = kit_options();
    options.by_priority = 1;
    return options;
}

static int send_as(tong_mailbox *box, uint64_t value, uint32_t priority, int64_t timeout_ns)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.priority = priority;
    return tong_send_with(box, &value, sizeof value, &with, timeout_ns);
}

static void the_highest_comes_first(void)
{
    const tong_options options = by_priority();
    tong_mailbox *box = kit_create(BOX, &options);
    static const uint32_t priorities[] = { 3, 0, 31, 7, 3 };
    for (uint64_t i = 0; i < 5; i++) {
        kit_ok(send_as(box, i, priorities[i], 0));
    }
    static const uint64_t order[] = { 2, 3, 0, 4, 1 };
    for (size_t i = 0; i < 5; i++) {
        uint64_t value;
        tong_message info = TONG_MESSAGE_INIT;
        kit_gives(tong_receive_with(box, &value, sizeof value, NULL, 0, &info), 8);
        kit_true(value == order[i] && info.priority == priorities[value]);
    }
    kit_is_empty(box);
    kit_end(box, BOX);
}

/* However many priorities it uses. */
static void a_sender_is_counted_once(void)
{
    kit_not("mq", "a queue has no senders' links for each priority");
    const tong_options options = by_priority();
    tong_mailbox *box = kit_create(BOX, &options);
    tong_mailbox *other = kit_open(BOX, TONG_SEND, NULL);
    for (uint32_t i = 0; i < 10; i++) {
        kit_ok(send_as(box, i, i % 5, 0));
        kit_equal(kit_stat(BOX).senders, i < 5 ? 1 : 2);
        if (i >= 4) {
            kit_ok(send_as(other, i, i % 3, 0));
        }
    }
    kit_equal(kit_stat(BOX).links, 8);
    kit_ok(tong_close(other));
    kit_equal(kit_stat(BOX).senders, 1);
    kit_end(box, BOX);
}

static void it_is_said_and_compared(void)
{
    const tong_options options = by_priority();
    tong_mailbox *box = kit_create(BOX, &options);
    kit_equal(kit_stat(BOX).by_priority, 1);
    tong_mailbox *same = kit_open(BOX, TONG_SEND | TONG_CREATE, &options);
    kit_ok(tong_close(same));
    kit_not("mq", "a queue is ordered by priority, whatever is asked");
    tong_options other = options;
    other.by_priority = 0;
    kit_gives(tong_open(BOX, TONG_SEND | TONG_CREATE, &other, &same), -EEXIST);
    other.by_priority = 2;
    kit_gives(tong_open(BOX, TONG_SEND | TONG_CREATE, &other, &same), -EINVAL);
    kit_end(box, BOX);
}

static void without_it_they_come_as_they_were_sent(void)
{
    kit_not("mq", "a queue is ordered by priority, whatever is asked");
    tong_mailbox *box = kit_create(BOX, NULL);
    for (uint32_t i = 0; i < 10; i++) {
        kit_ok(send_as(box, i, i * 7 % 32, 0));
    }
    for (uint32_t i = 0; i < 10; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
    kit_equal(kit_stat(BOX).links, 1);
    kit_end(box, BOX);
}

static void who_uses_no_priority_has_one_link(void)
{
    const tong_options options = by_priority();
    kit_not("mq", "links for each priority");
    tong_mailbox *box = kit_create(BOX, &options);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_ok(send_as(box, 2, 0, 0));
    kit_equal(kit_stat(BOX).links, 1);
    kit_ok(send_as(box, 3, 5, 0));
    kit_equal(kit_stat(BOX).links, 2);
    kit_ok(send_as(box, 4, 5, 0));
    kit_ok(send_as(box, 5, 6, 0));
    kit_equal(kit_stat(BOX).links, 3);
    static const uint64_t order[] = { 5, 3, 4, 1, 2 };
    for (size_t i = 0; i < 5; i++) {
        kit_equal(kit_receive_u64(box), order[i]);
    }
    kit_end(box, BOX);
}

/* Plain messages in a row go the short way; the urgent one among them does not wait for it. */
static void an_urgent_one_comes_between_plain_ones(void)
{
    const tong_options options = by_priority();
    tong_mailbox *box = kit_create(BOX, &options);
    for (uint64_t i = 0; i < 8; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    for (uint64_t i = 0; i < 8; i++) {
        kit_equal(kit_receive_u64(box), i);
        kit_ok(send_as(box, 100 + i, 1, 0));
        kit_equal(kit_receive_u64(box), 100 + i);
    }
    kit_is_empty(box);
    for (uint64_t i = 0; i < 9; i++) {
        kit_ok(i == 4 ? send_as(box, i, 1, 0) : kit_send_u64(box, i, 0));
    }
    uint64_t values[9];
    size_t lens[9];
    struct iovec buffers[9];
    for (size_t i = 0; i < 9; i++) {
        buffers[i] = (struct iovec){ .iov_base = &values[i], .iov_len = 8 };
    }
    kit_receive_many(box, buffers, 9, lens, 9);
    for (uint64_t i = 0; i < 9; i++) {
        kit_equal(values[i], i == 0 ? 4 : i <= 4 ? i - 1 : i);
    }
    kit_end(box, BOX);
}

static void of_one_sender_and_priority_they_keep_their_order(void)
{
    const tong_options options = by_priority();
    enum {
        SENDERS = 3
    };
    tong_mailbox *senders[SENDERS];
    tong_mailbox *box = kit_create(BOX, &options);
    struct kit_random random = kit_random_stream(3);
    uint32_t inside[TONG_PRIORITY_MAX + 1] = { 0 };
    uint64_t next[SENDERS][TONG_PRIORITY_MAX + 1] = { 0 };
    uint64_t got[SENDERS][TONG_PRIORITY_MAX + 1] = { 0 };
    uint32_t n = 0;
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = kit_open(BOX, TONG_SEND, NULL);
    }
    for (uint32_t step = 0; step < 2000; step++) {
        const uint32_t sender = (uint32_t)kit_random_below(&random, SENDERS);
        const uint32_t priority = (uint32_t)kit_random_below(&random, 4) * 7;
        const uint64_t value =
            (uint64_t)sender << 40 | (uint64_t)priority << 32 | next[sender][priority];
        if (n < 10 && kit_random_below(&random, 2) == 0) {
            kit_ok(send_as(senders[sender], value, priority, 0));
            next[sender][priority]++;
            inside[priority]++;
            n++;
        } else if (n > 0) {
            const uint64_t found = kit_receive_u64(box);
            const uint32_t its = (uint32_t)(found >> 32) & 0xff;
            for (uint32_t p = its + 1; p <= TONG_PRIORITY_MAX; p++) {
                kit_equal(inside[p], 0);
            }
            kit_equal(found & UINT32_MAX, got[found >> 40][its]++);
            inside[its]--;
            n--;
        }
    }
    for (int i = 0; i < SENDERS; i++) {
        kit_ok(tong_close(senders[i]));
    }
    while (n-- > 0) {
        (void)kit_receive_u64(box);
    }
    kit_is_empty(box);
    kit_end(box, BOX);
}

static void what_came_back_is_of_its_priority(void)
{
    const tong_options options = by_priority();
    kit_not("mq", "what came back is before what is new");
    tong_mailbox *box = kit_create(BOX, &options);
    tong_message low = TONG_MESSAGE_INIT;
    tong_message high = TONG_MESSAGE_INIT;
    kit_ok(send_as(box, 1, 2, 0));
    kit_ok(tong_claim(box, 0, &low));
    kit_ok(send_as(box, 2, 8, 0));
    kit_ok(tong_claim(box, 0, &high));
    kit_ok(send_as(box, 3, 8, 0));
    kit_ok(send_as(box, 4, 5, 0));
    kit_ok(tong_return(box, &low));
    kit_ok(tong_return(box, &high));
    static const uint64_t order[] = { 2, 3, 4, 1 };
    for (size_t i = 0; i < 4; i++) {
        kit_equal(kit_receive_u64(box), order[i]);
    }
    kit_end(box, BOX);
}

static void a_lower_one_is_not_taken_where_a_least_is_asked(void)
{
    const tong_options options = by_priority();
    kit_not("mq", "links are skipped");
    tong_mailbox *box = kit_create(BOX, &options);
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    uint64_t value;
    for (uint32_t i = 0; i < 200; i++) {
        kit_ok(send_as(box, i, 1, 0));
    }
    kit_ok(send_as(box, 1000, 4, 0));
    kit_ok(send_as(box, 1001, 9, 0));
    want.min_priority = 2;
    kit_gives(tong_receive_with(box, &value, 8, &want, 0, NULL), 8);
    kit_equal(value, 1001);
    kit_gives(tong_receive_with(box, &value, 8, &want, 0, NULL), 8);
    kit_equal(value, 1000);
    kit_gives(tong_receive_with(box, &value, 8, &want, 0, NULL), -EAGAIN);
    kit_gives(tong_receive_with(box, &value, 8, &want, 1, NULL), -ETIMEDOUT);
    for (uint32_t i = 0; i < 200; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
    kit_end(box, BOX);
}

static void each_priority_of_a_sender_has_its_link_capacity(void)
{
    tong_options options = by_priority();
    kit_not("mq", "links for each priority");
    options.link_capacity = 2;
    tong_mailbox *box = kit_create(BOX, &options);
    for (uint32_t p = 0; p < 3; p++) {
        kit_ok(send_as(box, p, p, 0));
        kit_ok(send_as(box, p, p, 0));
        kit_gives(send_as(box, p, p, 0), -EAGAIN);
    }
    for (uint32_t p = 3; p-- > 0;) {
        kit_equal(kit_receive_u64(box), p);
        kit_equal(kit_receive_u64(box), p);
    }
    kit_end(box, BOX);
}

static void the_capacity_of_the_mailbox_is_that_of_all(void)
{
    tong_options options = by_priority();
    options.capacity = 5;
    tong_mailbox *box = kit_create(BOX, &options);
    for (uint32_t i = 0; i < 5; i++) {
        kit_ok(send_as(box, i, i, 0));
    }
    kit_gives(send_as(box, 9, 9, 0), -EAGAIN);
    kit_gives(send_as(box, 9, 9, TONG_MS(5)), -ETIMEDOUT);
    kit_equal(kit_receive_u64(box), 4);
    kit_ok(send_as(box, 9, 9, 0));
    kit_equal(kit_receive_u64(box), 9);
    for (uint32_t i = 4; i-- > 0;) {
        kit_equal(kit_receive_u64(box), i);
    }
    kit_end(box, BOX);
}

static void the_oldest_of_the_same_priority_is_dropped(void)
{
    tong_options options = by_priority();
    options.full = TONG_DROP_OLDEST;
    options.link_capacity = 2;
    tong_mailbox *box = kit_create(BOX, &options);
    for (uint64_t i = 0; i < 4; i++) {
        kit_gives(send_as(box, i, 1, 0), i < 2 ? 0 : TONG_DROPPED);
        kit_gives(send_as(box, 10 + i, 6, 0), i < 2 ? 0 : TONG_DROPPED);
    }
    static const uint64_t order[] = { 12, 13, 2, 3 };
    for (size_t i = 0; i < 4; i++) {
        kit_equal(kit_receive_u64(box), order[i]);
    }
    kit_equal(kit_stat(BOX).dropped, 4);
    kit_equal(kit_stat(BOX).sent, 8);
    kit_end(box, BOX);
}

/* ---- asleep */

struct taker {
    tong_mailbox *box;
    _Atomic uint64_t got;
    uint32_t n;
};

static void *take(void *arg)
{
    struct taker *taker = arg;
    for (uint32_t i = 0; i < taker->n; i++) {
        atomic_store(&taker->got, kit_receive_u64(taker->box));
    }
    return NULL;
}

/* Every message is the first of its lane, and one more is known of only then. */
static void who_sleeps_is_rung_for_each_priority(uint32_t capacity)
{
    tong_options options = by_priority();
    options.capacity = capacity;
    tong_mailbox *sender = kit_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    struct taker taker = { .box = kit_open(BOX, TONG_RECEIVE, NULL), .n = 64 };
    pthread_t thread;
    kit_ok(pthread_create(&thread, NULL, take, &taker));
    for (uint32_t i = 0; i < taker.n; i++) {
        kit_until_asleep(BOX, 1);
        kit_ok(send_as(sender, i + 1, i % 32, KIT_PATIENCE));
        kit_until(atomic_load(&taker.got) == i + 1);
    }
    kit_ok(pthread_join(thread, NULL));
    kit_ok(tong_close(taker.box));
    kit_end(sender, BOX);
}

static void who_sleeps_is_rung(void)
{
    who_sleeps_is_rung_for_each_priority(TONG_UNBOUNDED);
}

static void who_sleeps_is_rung_at_capacity_0(void)
{
    kit_needs(KIT_RENDEZVOUS);
    who_sleeps_is_rung_for_each_priority(0);
}

struct offer {
    tong_mailbox *box;
    uint32_t priority;
};

static void *make_offer(void *arg)
{
    const struct offer *offer = arg;
    kit_ok(send_as(offer->box, offer->priority, offer->priority, KIT_PATIENCE));
    return NULL;
}

/* Three at once, of one handle. */
static void the_highest_offer_is_taken(void)
{
    tong_options options = by_priority();
    kit_needs(KIT_RENDEZVOUS);
    options.capacity = 0;
    tong_mailbox *box = kit_create(BOX, &options);
    struct offer offers[] = { { box, 4 }, { box, 9 }, { box, 1 } };
    pthread_t threads[3];
    for (uint32_t i = 0; i < 3; i++) {
        kit_ok(pthread_create(&threads[i], NULL, make_offer, &offers[i]));
        kit_until_blocked(BOX, i + 1);
    }
    kit_equal(kit_receive_u64(box), 9);
    kit_equal(kit_receive_u64(box), 4);
    kit_equal(kit_receive_u64(box), 1);
    for (uint32_t i = 0; i < 3; i++) {
        kit_ok(pthread_join(threads[i], NULL));
    }
    kit_end(box, BOX);
}

static void *send_blocked(void *arg)
{
    const int r = send_as(arg, 7, 7, TONG_FOREVER);
    return (void *)(intptr_t)r;
}

static void an_interrupt_ends_a_send_of_any_priority(void)
{
    tong_options options = by_priority();
    options.capacity = 1;
    tong_mailbox *box = kit_create(BOX, &options);
    pthread_t thread;
    void *r;
    kit_ok(send_as(box, 1, 7, 0));
    kit_ok(pthread_create(&thread, NULL, send_blocked, box));
    kit_until_blocked(BOX, 1);
    kit_ok(tong_interrupt(box));
    kit_ok(pthread_join(thread, &r));
    kit_equal((uint64_t)(intptr_t)r, (uint64_t)(int64_t)-ECANCELED);
    kit_equal(kit_receive_u64(box), 1);
    kit_end(box, BOX);
}

/* ---- who may not, and whose it is not any more */

static void errors_are_those_of_a_send(void)
{
    const tong_options options = by_priority();
    tong_mailbox *box = kit_create(BOX, &options);
    tong_mailbox *receiver = kit_open(BOX, TONG_RECEIVE, NULL);
    kit_gives(send_as(receiver, 1, 3, 0), -EBADF);
    kit_gives(send_as(box, 1, 32, 0), -EINVAL);
    kit_ok(send_as(box, 1, 3, 0));
    kit_ok(tong_close(receiver));
    kit_not("mq", "what a queue knows of its end");
    kit_ok(tong_remove(BOX));
    kit_gives(send_as(box, 1, 3, 0), -EIDRM);
    kit_gives(send_as(box, 1, 4, 0), -EIDRM);
    tong_mailbox *again = kit_create(BOX, &options);
    kit_gives(send_as(box, 1, 5, 0), -EIDRM);
    kit_is_empty(again);
    kit_ok(tong_close(box));
    kit_end(again, BOX);
}

static int close_and_leave(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    kit_ok(send_as(box, 1, 4, 0));
    kit_ok(send_as(box, 2, 0, 0));
    kit_report("x", 1);
    kit_await_death();
}

/* What a dead one left waits, and its links are taken over by their lanes. */
static void a_link_is_taken_over_by_its_lane(void)
{
    const tong_options options = by_priority();
    kit_only("shm", "a dead sender's link is another one's");
    tong_mailbox *box = kit_create(BOX, &options);
    struct kit_child child = kit_spawn(close_and_leave, NULL);
    char byte;
    kit_read_report(&child, &byte, 1);
    kit_kill(&child);
    kit_equal(kit_stat(BOX).links, 2);
    kit_ok(send_as(box, 3, 4, 0));
    kit_equal(kit_stat(BOX).links, 2);
    kit_ok(send_as(box, 4, 0, 0));
    kit_equal(kit_stat(BOX).links, 2);
    kit_ok(send_as(box, 5, 9, 0));
    kit_equal(kit_stat(BOX).links, 3);
    static const uint64_t order[] = { 5, 1, 3, 2, 4 };
    for (size_t i = 0; i < 5; i++) {
        kit_equal(kit_receive_u64(box), order[i]);
    }
    kit_end(box, BOX);
}

static const struct kit_test tests[] = {
    KIT_TEST(a_sender_is_counted_once),
    KIT_TEST(the_highest_comes_first),
    KIT_TEST(it_is_said_and_compared),
    KIT_TEST(without_it_they_come_as_they_were_sent),
    KIT_TEST(who_uses_no_priority_has_one_link),
    KIT_TEST(an_urgent_one_comes_between_plain_ones),
    KIT_TEST(of_one_sender_and_priority_they_keep_their_order),
    KIT_TEST(what_came_back_is_of_its_priority),
    KIT_TEST(a_lower_one_is_not_taken_where_a_least_is_asked),
    KIT_TEST(each_priority_of_a_sender_has_its_link_capacity),
    KIT_TEST(the_capacity_of_the_mailbox_is_that_of_all),
    KIT_TEST(the_oldest_of_the_same_priority_is_dropped),
    KIT_TEST(who_sleeps_is_rung),
    KIT_TEST(who_sleeps_is_rung_at_capacity_0),
    KIT_TEST(the_highest_offer_is_taken),
    KIT_TEST(an_interrupt_ends_a_send_of_any_priority),
    KIT_TEST(errors_are_those_of_a_send),
    KIT_TEST(a_link_is_taken_over_by_its_lane),
};

KIT_MAIN(tests)
