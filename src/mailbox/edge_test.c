/*
 * Edges of a mailbox: paths through this layer that a program seldom takes, found where scripts/coverage
 * said that no test did.
 */
#include "mailbox/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/point.h"
#include "kit.h"

#define LONG 70000u

/* ---- opening */

static void a_flag_without_the_one_it_belongs_to_is_refused(void)
{
    tong_mailbox *box;
    kit_gives(tong_open(kit_name("flags"), TONG_SEND | TONG_EXCL, NULL, &box), -EINVAL);
    kit_gives(tong_open(kit_name("flags"), TONG_CREATE, NULL, &box), -EINVAL);
    kit_gives(tong_open(kit_name("flags"), TONG_SEND | 0x4000u, NULL, &box), -EINVAL);
    kit_gives(tong_open(kit_name("flags"), TONG_SEND, NULL, &box), -ENOENT);
}

static void refuse(tong_options o)
{
    tong_mailbox *box;
    kit_gives(tong_open(kit_name("options"), TONG_SEND | TONG_CREATE, &o, &box), -EINVAL);
}

static void options_that_cannot_be_are_refused(void)
{
    tong_options o = kit_options();
    o.mode = 0060;
    refuse(o);
    o.mode = 0700;
    refuse(o);
    o = kit_options();
    o.max_bytes = 0;
    refuse(o);
    o = kit_options();
    o.delivery = 77;
    refuse(o);
    o = kit_options();
    o.full = TONG_DROP_OLDEST + 1;
    refuse(o);
    o = kit_options();
    o.owner = TONG_PROCESS + 1;
    refuse(o);
    o = kit_options();
    o.link_capacity = TONG_CAPACITY_MAX + 1;
    refuse(o);
    o = kit_options();
    o.struct_size = 8;
    refuse(o);
}

static void differs(tong_options o)
{
    tong_mailbox *box;
    kit_gives(tong_open(kit_name("same"), TONG_SEND, &o, &box), -EEXIST);
}

static void each_option_that_differs_is_told(void)
{
    tong_mailbox *box = kit_create(kit_name("same"), NULL);
    tong_options o = kit_options();
    o.delivery = TONG_ANY;
    differs(o);
    o = kit_options();
    o.owner = TONG_PROCESS;
    differs(o);
    o = kit_options();
    o.full = TONG_DROP_NEWEST;
    differs(o);
    o = kit_options();
    o.capacity = 5;
    differs(o);
    o = kit_options();
    o.link_capacity = 5;
    differs(o);
    o = kit_options();
    o.message_size = 5;
    differs(o);
    o = kit_options();
    o.max_bytes /= 2;
    differs(o);
    kit_end(box, kit_name("same"));
}

/* ---- waiting for any */

static void one_handle_twice_is_refused(void)
{
    tong_mailbox *box = kit_create(kit_name("twice"), NULL);
    tong_mailbox *other = kit_create(kit_name("other"), NULL);
    tong_mailbox *const boxes[] = { box, other, box };
    kit_gives(tong_wait_any(boxes, 3, 0), -EINVAL);
    kit_gives(tong_wait_any(boxes, 2, 0), -EAGAIN);
    kit_end(box, kit_name("twice"));
    kit_end(other, kit_name("other"));
}

static void a_message_given_back_ends_a_wait(void)
{
    tong_mailbox *box = kit_create(kit_name("back"), NULL);
    tong_message m = TONG_MESSAGE_INIT;
    kit_ok(kit_send_u64(box, 5, 0));
    kit_ok(tong_claim(box, 0, &m));
    kit_gives(tong_wait_any(&box, 1, 0), -EAGAIN);
    kit_ok(tong_return(box, &m));
    kit_gives(tong_wait_any(&box, 1, KIT_PATIENCE), 0);
    kit_equal(kit_receive_u64(box), 5);
    kit_end(box, kit_name("back"));
}

static int offer_one(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(kit_name("offer"), TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 9, KIT_PATIENCE));
    kit_ok(tong_close(box));
    return 0;
}

static void an_offer_ends_a_wait_and_is_not_taken_by_it(void)
{
    const tong_options options = kit_capacity(0);
    tong_mailbox *box = kit_create(kit_name("offer"), &options);
    struct kit_child child = kit_spawn(offer_one, NULL);
    kit_gives(tong_wait_any(&box, 1, KIT_PATIENCE), 0);
    kit_gives(tong_wait_any(&box, 1, KIT_PATIENCE), 0);
    kit_equal(kit_receive_u64(box), 9);
    kit_join(&child);
    kit_end(box, kit_name("offer"));
}

/* ---- long ones, and no room for them */

static void a_long_message_comes_among_many(void)
{
    tong_mailbox *box = kit_create(kit_name("long"), NULL);
    uint8_t *data = malloc(LONG);
    uint8_t *back = malloc((size_t)3 * LONG);
    size_t lens[3];
    struct iovec buffers[3];
    kit_true(data != NULL && back != NULL);
    for (uint32_t i = 0; i < 3; i++) {
        const size_t len = i == 0 ? 100 : LONG - i;
        buffers[i] = (struct iovec){ back + (size_t)i * LONG, LONG };
        kit_payload_write(data, len, 1, i);
        kit_ok(tong_send(box, data, len, 0));
    }
    kit_gives(tong_receive_many(box, buffers, 3, KIT_PATIENCE, lens), 3);
    for (uint32_t i = 0; i < 3; i++) {
        kit_true(kit_payload_is(buffers[i].iov_base, lens[i], 1, i));
    }
    kit_equal(kit_stat(kit_name("long")).done, 3);
    kit_equal(kit_stat(kit_name("long")).claimed, 0);
    free(data);
    free(back);
    kit_end(box, kit_name("long"));
}

static void a_send_without_memory_gives_its_room_back(void)
{
    tong_options options = kit_capacity(2);
    options.max_bytes = 200000;
    tong_mailbox *box = kit_create(kit_name("memory"), &options);
    uint8_t *data = calloc(1, 1 << 20);
    kit_true(data != NULL);
    for (int i = 0; i < 5; i++) {
        kit_gives(tong_send(box, data, 1 << 20, 0), -ENOSPC);
    }
    kit_ok(kit_send_u64(box, 1, 0));
    kit_ok(kit_send_u64(box, 2, 0));
    kit_gives(kit_send_u64(box, 3, 0), -EAGAIN);
    kit_equal(kit_receive_u64(box), 1);
    kit_equal(kit_receive_u64(box), 2);
    free(data);
    kit_end(box, kit_name("memory"));
}

/* ---- many links that nobody sends on */

static void many_links_that_were_left_are_read_and_used_again(void)
{
    enum {
        N = 80
    };
    tong_mailbox *box = kit_open(kit_name("left"), TONG_RECEIVE | TONG_CREATE, NULL);
    tong_mailbox *senders[N];
    for (uint64_t i = 0; i < N; i++) {
        senders[i] = kit_open(kit_name("left"), TONG_SEND, NULL);
        kit_ok(kit_send_u64(senders[i], i, 0));
    }
    for (uint64_t i = 0; i < N; i++) {
        kit_ok(tong_close(senders[i]));
    }
    kit_equal(kit_stat(kit_name("left")).links, N);
    tong_mailbox *heir = kit_open(kit_name("left"), TONG_SEND, NULL);
    kit_ok(kit_send_u64(heir, N, 0));
    kit_equal(kit_stat(kit_name("left")).links, N);
    uint64_t sum = 0;
    for (uint64_t i = 0; i <= N; i++) {
        sum += kit_receive_u64(box);
    }
    kit_equal(sum, N * (N + 1) / 2);
    kit_is_empty(box);
    kit_ok(tong_close(heir));
    kit_end(box, kit_name("left"));
}

/* ---- a reservation of another thread */

struct waiting {
    tong_mailbox *box;
    int answer;
};

static void *send_behind(void *arg)
{
    struct waiting *waiting = arg;
    waiting->answer = kit_send_u64(waiting->box, 1, TONG_FOREVER);
    return NULL;
}

static void who_waits_for_a_reservation_can_be_interrupted(void)
{
    tong_mailbox *box = kit_create(kit_name("reserved"), NULL);
    struct waiting waiting = { .box = box };
    tong_slot slot = TONG_SLOT_INIT;
    pthread_t thread;
    kit_ok(tong_reserve(box, 8, 0, &slot));
    kit_ok(pthread_create(&thread, NULL, send_behind, &waiting));
    kit_until(kit_threads_asleep(getpid()) == 1);
    kit_ok(tong_interrupt(box));
    kit_ok(pthread_join(thread, NULL));
    kit_gives(waiting.answer, -ECANCELED);
    kit_ok(tong_abort(box, &slot));
    kit_ok(kit_send_u64(box, 2, 0));
    kit_equal(kit_receive_u64(box), 2);
    kit_end(box, kit_name("reserved"));
}

/* ---- the doctor */

static int count(const tong_finding *finding, void *arg)
{
    uint32_t *severities = arg;
    severities[finding->severity]++;
    return 0;
}

static void a_folder_that_is_not_there_is_no_fault(void)
{
    uint32_t severities[3] = { 0 };
    kit_ok(setenv("TONG_DIR", kit_path("nowhere"), 1));
    kit_gives(tong_doctor(1, count, severities), 0);
    kit_equal(severities[0], 1);
    kit_equal(severities[1] + severities[2], 0);
}

static void little_memory_is_told(void)
{
    uint32_t severities[3] = { 0 };
    kit_small_memory(2 << 20);
    tong_mailbox *box = kit_open(kit_name("small"), TONG_SEND | TONG_CREATE, NULL);
    kit_gives(tong_doctor(0, count, severities), 1);
    kit_equal(severities[2], 1);
    kit_end(box, kit_name("small"));
}

/* ---- the back-stop, and what comes at its very moment */

static tong_mailbox *at_its_end;
static bool receives_at_its_end;

/* The sleep's time is over, and before it looks around there comes what it waited for. */
static int ends_as_it_comes(const char *call)
{
    if (at_its_end == NULL ||
        (strstr(call, "futex_waitv") == NULL && strstr(call, "FUTEX_WAIT") == NULL)) {
        return 0;
    }
    tong_mailbox *box = at_its_end;
    at_its_end = NULL;
    if (receives_at_its_end) {
        kit_equal(kit_receive_u64(box), 1);
    } else {
        kit_ok(kit_send_u64(box, 1, 0));
    }
    return ETIMEDOUT;
}

static void a_ring_at_the_back_stops_moment_was_not_missed(void)
{
    const tong_options options = kit_capacity(1);
    tong_mailbox *box = kit_create(kit_name("moment"), &options);
    tong_mailbox *other = kit_open(kit_name("moment"), TONG_SEND | TONG_RECEIVE, NULL);
    kit_ok(kit_send_u64(other, 0, 0));
    kit_equal(kit_receive_u64(box), 0);
    tg_point_on_call(ends_as_it_comes);
    for (int i = 0; i < 2; i++) {
        receives_at_its_end = i == 1;
        at_its_end = other;
        if (i == 0) {
            kit_equal(kit_receive_u64(box), 1);
            kit_ok(kit_send_u64(box, 1, 0));
        } else {
            kit_ok(kit_send_u64(box, 2, KIT_PATIENCE));
        }
        kit_true(at_its_end == NULL);
    }
    tg_point_on_call(NULL);
    kit_equal(kit_receive_u64(box), 2);
    kit_ok(tong_close(other));
    kit_end(box, kit_name("moment")); /* it looks at what the back-stop found */
}

static const struct kit_test tests[] = {
    KIT_TEST(a_flag_without_the_one_it_belongs_to_is_refused),
    KIT_TEST(options_that_cannot_be_are_refused),
    KIT_TEST(each_option_that_differs_is_told),
    KIT_TEST(one_handle_twice_is_refused),
    KIT_TEST(a_message_given_back_ends_a_wait),
    KIT_TEST(an_offer_ends_a_wait_and_is_not_taken_by_it),
    KIT_TEST(a_long_message_comes_among_many),
    KIT_TEST(a_send_without_memory_gives_its_room_back),
    KIT_TEST(many_links_that_were_left_are_read_and_used_again),
    KIT_TEST(who_waits_for_a_reservation_can_be_interrupted),
    KIT_TEST(a_folder_that_is_not_there_is_no_fault),
    KIT_TEST(little_memory_is_told),
    KIT_TEST(a_ring_at_the_back_stops_moment_was_not_missed),
};

KIT_MAIN(tests)
