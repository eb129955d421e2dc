/* Order by priority where the senders are other processes: each sends by a connection for each priority. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

#define BOX "unix:box"
#define HIGHEST 31u

static tong_options by_priority(uint32_t capacity)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    options.capacity = capacity;
    options.by_priority = 1;
    return options;
}

static tong_mailbox *make(const tong_options *options)
{
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_EXCL, options, &box));
    return box;
}

static tong_mailbox *open_to_send(void)
{
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &box));
    return box;
}

static int send_as(tong_mailbox *box, uint64_t value, uint32_t priority, int64_t timeout_ns)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.priority = priority;
    return tong_send_with(box, &value, sizeof value, &with, timeout_ns);
}

static void get(tong_mailbox *box, const uint64_t values[], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        kit_equal(kit_receive_u64(box), values[i]);
    }
}

struct world {
    kit_event sent;
    kit_event go;
    uint32_t priority;
};

/* ------------------------------------------------------------------ several links of one sender */

static int send_five(void *arg)
{
    static const uint32_t priorities[] = { 3, 0, HIGHEST, 7, 3 };
    struct world *w = arg;
    tong_mailbox *box = open_to_send();
    for (uint64_t i = 0; i < 5; i++) {
        kit_ok(send_as(box, i, priorities[i], 0));
    }
    kit_event_set(&w->sent);
    kit_event_wait(&w->go);
    return tong_close(box);
}

static void a_senders_links_are_read_the_highest_first(void)
{
    const tong_options options = by_priority(TONG_UNBOUNDED);
    tong_mailbox *box = make(&options);
    struct world *w = kit_shared(sizeof *w);
    struct kit_child child = kit_spawn(send_five, w);
    kit_event_wait(&w->sent);
    kit_equal(kit_stat(BOX).waiting, 5);
    kit_equal(kit_stat(BOX).senders, 1);
    kit_equal(kit_stat(BOX).links, 4);
    get(box, (const uint64_t[]){ 2, 3, 0, 4, 1 }, 5);
    kit_event_set(&w->go);
    kit_join(&child);
    kit_is_empty(box);
    kit_equal(kit_stat(BOX).senders, 0);
    kit_ok(tong_close(box));
}

static int send_five_and_die(void *arg)
{
    struct world *w = arg;
    tong_mailbox *box = open_to_send();
    for (uint32_t i = 0; i < 5; i++) {
        kit_ok(send_as(box, i, 5 * i, 0));
    }
    kit_event_set(&w->sent);
    kit_await_death();
}

static void a_death_is_told_once_and_what_was_sent_stays(void)
{
    const tong_options options = by_priority(8);
    tong_mailbox *box = make(&options);
    struct world *w = kit_shared(sizeof *w);
    tong_death death = TONG_DEATH_INIT;
    kit_gives(tong_watch(box, 0, &death), -EAGAIN);
    struct kit_child child = kit_spawn(send_five_and_die, w);
    const pid_t pid = child.pid;
    kit_event_wait(&w->sent);
    kit_kill(&child);
    kit_ok(tong_watch(box, KIT_PATIENCE, &death));
    kit_equal(death.pid, pid);
    kit_gives(tong_watch(box, 0, &death), -EAGAIN);
    get(box, (const uint64_t[]){ 4, 3, 2, 1, 0 }, 5);
    for (uint64_t i = 0; i < 8; i++) { /* no room went with it */
        kit_ok(send_as(box, i, (uint32_t)i, 0));
    }
    kit_gives(send_as(box, 8, 8, 0), -EAGAIN);
    kit_ok(tong_close(box));
}

static int send_and_drop(void *arg)
{
    tong_mailbox *box = open_to_send();
    (void)arg;
    for (uint64_t i = 0; i < 4; i++) {
        kit_gives(send_as(box, i, 1, 0), i < 2 ? 0 : TONG_DROPPED);
        kit_gives(send_as(box, 10 + i, 6, 0), i < 2 ? 0 : TONG_DROPPED);
    }
    return tong_close(box);
}

static void the_oldest_of_the_same_priority_is_dropped(void)
{
    tong_options options = by_priority(TONG_UNBOUNDED);
    options.full = TONG_DROP_OLDEST;
    options.link_capacity = 2;
    tong_mailbox *box = make(&options);
    struct kit_child child = kit_spawn(send_and_drop, NULL);
    kit_join(&child);
    get(box, (const uint64_t[]){ 12, 13, 2, 3 }, 4);
    kit_equal(kit_stat(BOX).dropped, 4);
    kit_ok(tong_close(box));
}

struct sending {
    tong_mailbox *box;
    uint32_t priority;
    int r;
    pthread_t thread;
};

static void *send_blocked(void *arg)
{
    struct sending *s = arg;
    s->r = send_as(s->box, s->priority, s->priority, TONG_FOREVER);
    return NULL;
}

static int block_and_interrupt(void *arg)
{
    tong_mailbox *box = open_to_send();
    struct sending sendings[] = { { .box = box, .priority = 0 },
                                  { .box = box, .priority = 7 },
                                  { .box = box, .priority = 9 } };
    (void)arg;
    kit_ok(send_as(box, 1, 7, 0));
    for (size_t i = 0; i < 3; i++) {
        kit_ok(pthread_create(&sendings[i].thread, NULL, send_blocked, &sendings[i]));
    }
    kit_until_blocked(BOX, 3);
    kit_ok(tong_interrupt(box));
    for (size_t i = 0; i < 3; i++) {
        kit_ok(pthread_join(sendings[i].thread, NULL));
        kit_gives(sendings[i].r, -ECANCELED);
    }
    kit_gives(send_as(box, 2, 9, 0), -EAGAIN);
    return tong_close(box);
}

static void an_interrupt_ends_the_sends_of_all_priorities(void)
{
    const tong_options options = by_priority(1);
    tong_mailbox *box = make(&options);
    struct kit_child child = kit_spawn(block_and_interrupt, NULL);
    kit_join(&child);
    kit_equal(kit_receive_u64(box), 1);
    kit_is_empty(box);
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ where the memory is taken */

static int fill_memory(void *arg)
{
    struct world *w = arg;
    static const uint8_t bytes[1000];
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    tong_mailbox *box = open_to_send();
    for (uint64_t i = 0; i < 20; i++) {
        kit_ok(tong_send_with(box, bytes, sizeof bytes, NULL, 0));
    }
    kit_event_set(&w->sent);
    kit_event_wait(&w->go);
    with.priority = 5;
    kit_ok(tong_send_with(box, bytes, 5, &with, 0));
    kit_ok(tong_close(box));
    box = open_to_send(); /* one that the owner has not heard of */
    with.priority = 9;
    kit_ok(tong_send_with(box, bytes, 9, &with, 0));
    return tong_close(box);
}

static void an_urgent_one_is_read_where_the_memory_is_taken(void)
{
    tong_options options = by_priority(TONG_UNBOUNDED);
    options.max_bytes = 4096;
    tong_mailbox *box = make(&options);
    struct world *w = kit_shared(sizeof *w);
    uint8_t bytes[1000];
    struct kit_child child = kit_spawn(fill_memory, w);
    kit_event_wait(&w->sent);
    kit_gives(tong_receive(box, bytes, sizeof bytes, 0), 1000);
    kit_event_set(&w->go);
    kit_join(&child);
    kit_gives(tong_receive(box, bytes, sizeof bytes, 0), 9);
    kit_true(kit_stat(BOX).bytes <= 5000);
    kit_gives(tong_receive(box, bytes, sizeof bytes, 0), 5);
    for (uint64_t i = 0; i < 19; i++) {
        kit_gives(tong_receive(box, bytes, sizeof bytes, 0), 1000);
    }
    kit_is_empty(box);
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ at capacity 0 */

static int offer_one(void *arg)
{
    const uint32_t *priority = arg;
    tong_mailbox *box = open_to_send();
    kit_ok(send_as(box, *priority, *priority, KIT_PATIENCE));
    return tong_close(box);
}

static void *offer_own(void *arg)
{
    tong_mailbox *box = arg;
    kit_ok(send_as(box, 6, 6, KIT_PATIENCE));
    return NULL;
}

static void the_highest_of_all_offers_is_taken(void)
{
    static uint32_t priorities[] = { 4, 9, 1, HIGHEST };
    const tong_options options = by_priority(0);
    tong_mailbox *box = make(&options);
    struct kit_child children[4];
    pthread_t thread;
    for (uint32_t i = 0; i < 4; i++) {
        children[i] = kit_spawn(offer_one, &priorities[i]);
    }
    kit_until_blocked(BOX, 4);
    kit_ok(pthread_create(&thread, NULL, offer_own, box));
    kit_until_blocked(BOX, 5);
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    uint64_t value;
    want.min_priority = 2;
    kit_gives(tong_receive(box, &value, 4, 0), -EMSGSIZE);
    kit_equal(kit_receive_u64(box), HIGHEST);
    kit_gives(tong_receive_with(box, &value, sizeof value, &want, 0, NULL), sizeof value);
    kit_equal(value, 9);
    kit_gives(tong_receive_with(box, &value, sizeof value, &want, 0, NULL), sizeof value);
    kit_equal(value, 6);
    kit_gives(tong_receive_with(box, &value, sizeof value, &want, 0, NULL), sizeof value);
    kit_equal(value, 4);
    kit_gives(tong_receive_with(box, &value, sizeof value, &want, 0, NULL), -EAGAIN);
    kit_equal(kit_receive_u64(box), 1);
    kit_ok(pthread_join(thread, NULL));
    for (uint32_t i = 0; i < 4; i++) {
        kit_join(&children[i]);
    }
    kit_ok(tong_close(box));
}

static const struct kit_test tests[] = {
    KIT_TEST(a_senders_links_are_read_the_highest_first),
    KIT_TEST(a_death_is_told_once_and_what_was_sent_stays),
    KIT_TEST(the_oldest_of_the_same_priority_is_dropped),
    KIT_TEST(an_interrupt_ends_the_sends_of_all_priorities),
    KIT_TEST(an_urgent_one_is_read_where_the_memory_is_taken),
    KIT_TEST(the_highest_of_all_offers_is_taken),
};

KIT_MAIN(tests)
