/* Messages whose time is over: never handed out, neither new nor returned; their room comes free. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kit.h"

#define BOX kit_name("late")

static int64_t boot_now(void)
{
    struct timespec t;
    kit_ok(clock_gettime(CLOCK_BOOTTIME, &t));
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int send_u64_for(tong_mailbox *box, uint64_t value, int64_t expiry_ns)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.expiry_ns = expiry_ns;
    return tong_send_with(box, &value, sizeof(value), &with, 0);
}

/* One that expires, and then has. */
static void send_expired(tong_mailbox *box)
{
    kit_ok(send_u64_for(box, 666, 1000));
    const int64_t end = boot_now() + 1000;
    kit_until(boot_now() >= end);
}

static void expect_counts(uint64_t done, uint64_t waiting, uint64_t expired)
{
    const tong_status status = kit_stat(BOX);
    kit_equal(status.done, done);
    kit_equal(status.waiting, waiting);
    kit_equal(status.expired, expired);
}

static void an_expired_message_is_never_received(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    send_expired(box);
    expect_counts(0, 1, 0);
    kit_is_empty(box);
    expect_counts(1, 0, 1);
    kit_end(box, BOX);
}

static void one_that_has_time_is(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    kit_ok(send_u64_for(box, 1, TONG_SEC(3600)));
    kit_ok(send_u64_for(box, 2, INT64_MAX));
    kit_ok(send_u64_for(box, 3, 0));
    for (uint64_t i = 1; i <= 3; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
    expect_counts(3, 0, 0);
    kit_end(box, BOX);
}

static void those_around_it_keep_their_order(void)
{
    const tong_options options = kit_options_for(270);
    tong_mailbox *box = kit_create(BOX, &options);
    for (uint64_t i = 0; i < 200; i++) {
        if (i % 3 == 0) {
            kit_ok(send_u64_for(box, 666, 1));
        }
        kit_ok(i % 2 == 0 ? kit_send_u64(box, i, 0) : send_u64_for(box, i, TONG_SEC(3600)));
    }
    send_expired(box);
    for (uint64_t i = 0; i < 200; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
    kit_is_empty(box);
    expect_counts(268, 0, 68);
    kit_end(box, BOX);
}

static void no_receiving_call_hands_it_out(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    char bytes[64];
    size_t len = 0;
    const struct iovec row = { bytes, sizeof(bytes) };
    tong_message message = TONG_MESSAGE_INIT;
    for (uint64_t way = 0; way < 8; way++) {
        send_expired(box);
        switch (way) {
        case 0:
            kit_gives(tong_receive(box, bytes, sizeof(bytes), 0), -EAGAIN);
            break;
        case 1:
            kit_gives(tong_receive(box, bytes, sizeof(bytes), 1), -ETIMEDOUT);
            break;
        case 2:
            /* Nor is it told how long it is. */
            kit_gives(tong_receive(box, bytes, 1, 0), -EAGAIN);
            break;
        case 3:
            kit_gives(tong_receive_with(box, bytes, sizeof(bytes), NULL, 0, &message), -EAGAIN);
            break;
        case 4:
            kit_gives(tong_receive_many(box, &row, 1, 0, &len), -EAGAIN);
            break;
        case 5:
            kit_gives(tong_claim(box, 0, &message), -EAGAIN);
            break;
        case 6:
            kit_gives(tong_wait_any(&box, 1, 0), -EAGAIN);
            break;
        default:
            kit_gives(tong_skip(box), -EAGAIN);
        }
        expect_counts(way + 1, 0, way + 1);
    }
    kit_end(box, BOX);
}

/* Which are still in time is known to the machine alone: a claim is tried with more and more time. */
static tong_message claim_one_that_expires(tong_mailbox *box, int64_t *ret_end)
{
    for (int64_t expiry_ns = TONG_MS(50);; expiry_ns *= 2) {
        tong_message message = TONG_MESSAGE_INIT;
        kit_ok(send_u64_for(box, 666, expiry_ns));
        *ret_end = boot_now() + expiry_ns;
        const int r = tong_claim(box, 0, &message);
        if (r == 0) {
            return message;
        }
        kit_gives(r, -EAGAIN);
    }
}

static void a_claim_is_its_receivers_and_expires_when_it_comes_back(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    for (int how = 0; how < 3; how++) {
        int64_t end = 0;
        tong_message message = claim_one_that_expires(box, &end);
        const uint64_t before = kit_stat(BOX).expired;
        kit_until(boot_now() >= end);
        kit_true(*(const uint64_t *)message.data == 666);
        if (how == 0) {
            kit_ok(tong_done(box, &message));
        } else {
            kit_ok(tong_return(box, &message));
        }
        if (how == 2) {
            kit_gives(tong_claim(box, 0, &message), -EAGAIN);
        } else {
            kit_is_empty(box);
        }
        kit_equal(kit_stat(BOX).expired, before + (how != 0));
        kit_equal(kit_stat(BOX).done, kit_stat(BOX).sent);
    }
    kit_end(box, BOX);
}

static void it_is_no_dead_letter(void)
{
    tong_mailbox *dead = kit_create(kit_name("dead"), NULL);
    tong_options options = kit_options();
    options.max_deliveries = 1;
    options.dead_letter = "dead";
    tong_mailbox *box = kit_create(BOX, &options);
    int64_t end = 0;
    tong_message message = claim_one_that_expires(box, &end);
    kit_until(boot_now() >= end);
    kit_ok(tong_return(box, &message));
    kit_is_empty(box);
    kit_equal(kit_stat(BOX).dead_letters, 0);
    kit_equal(kit_stat(BOX).set_aside, 0);
    kit_equal(kit_stat(BOX).done, kit_stat(BOX).sent);
    kit_is_empty(dead);
    kit_end(box, BOX);
    kit_end(dead, kit_name("dead"));
}

static void its_room_is_free_when_a_receiver_has_looked(void)
{
    for (int how = 0; how < 2; how++) {
        tong_options options = how == 0 ? kit_capacity(2) : kit_options();
        options.link_capacity = how == 0 ? TONG_DEFAULT : 2;
        tong_mailbox *box = kit_create(BOX, &options);
        kit_ok(send_u64_for(box, 666, 1));
        send_expired(box);
        kit_gives(kit_send_u64(box, 1, 0), -EAGAIN);
        kit_is_empty(box);
        kit_ok(kit_send_u64(box, 1, 0));
        kit_ok(kit_send_u64(box, 2, 0));
        kit_gives(kit_send_u64(box, 3, 0), -EAGAIN);
        kit_equal(kit_receive_u64(box), 1);
        kit_equal(kit_receive_u64(box), 2);
        kit_end(box, BOX);
    }
}

static void *send_seven(void *arg)
{
    kit_ok(kit_send_u64(arg, 7, KIT_PATIENCE));
    return NULL;
}

static void a_sender_that_waits_for_its_room_wakes(void)
{
    const tong_options options = kit_capacity(1);
    tong_mailbox *box = kit_create(BOX, &options);
    tong_mailbox *sender = kit_open(BOX, TONG_SEND, NULL);
    pthread_t thread;
    send_expired(box);
    kit_ok(pthread_create(&thread, NULL, send_seven, sender));
    kit_until_blocked(BOX, 1);
    kit_equal(kit_receive_u64(box), 7);
    kit_ok(pthread_join(thread, NULL));
    kit_ok(tong_close(sender));
    kit_end(box, BOX);
}

/* ------------------------------------------------------------------ capacity 0 */

static void a_rendezvous_waits_no_longer_than_it_is_worth(void)
{
    const tong_options options = kit_capacity(0);
    tong_mailbox *box = kit_create(BOX, &options);
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.expiry_ns = TONG_MS(1);
    kit_gives(tong_send_with(box, "x", 1, &with, TONG_FOREVER), -ETIMEDOUT);
    with.expiry_ns = TONG_SEC(3600);
    kit_gives(tong_send_with(box, "x", 1, &with, TONG_MS(1)), -ETIMEDOUT);
    kit_gives(tong_send_with(box, "x", 1, &with, 0), -EAGAIN);
    kit_is_empty(box);
    kit_end(box, BOX);
}

static int offer_for_a_while(void *arg)
{
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.expiry_ns = TONG_SEC(3);
    kit_event_set(arg);
    kit_gives(tong_send_with(box, "x", 1, &with, TONG_FOREVER), -ETIMEDOUT);
    kit_ok(tong_close(box));
    return 0;
}

/* The sender cannot withdraw what is on offer: it is stopped. */
static void an_offer_that_expired_is_not_taken(void)
{
    const tong_options options = kit_capacity(0);
    tong_mailbox *box = kit_create(BOX, &options);
    kit_event *begun = kit_shared(sizeof(*begun));
    struct kit_child child = kit_spawn(offer_for_a_while, begun);
    kit_event_wait(begun);
    kit_until_blocked(BOX, 1);
    const int64_t end = boot_now() + TONG_SEC(3);
    kit_ok(kill(child.pid, SIGSTOP));
    kit_until(boot_now() >= end);
    char byte;
    kit_gives(tong_receive(box, &byte, 1, 0), -EAGAIN);
    kit_gives(tong_receive(box, &byte, 1, TONG_MS(1)), -ETIMEDOUT);
    kit_ok(kill(child.pid, SIGCONT));
    kit_join(&child);
    kit_end(box, BOX);
}

static const struct kit_test tests[] = {
    KIT_TEST(an_expired_message_is_never_received),
    KIT_TEST(one_that_has_time_is),
    KIT_TEST(those_around_it_keep_their_order),
    KIT_TEST(no_receiving_call_hands_it_out),
    KIT_TEST(a_claim_is_its_receivers_and_expires_when_it_comes_back),
    KIT_TEST(it_is_no_dead_letter),
    KIT_TEST(its_room_is_free_when_a_receiver_has_looked),
    KIT_TEST(a_sender_that_waits_for_its_room_wakes),
    KIT_TEST(a_rendezvous_waits_no_longer_than_it_is_worth),
    KIT_TEST(an_offer_that_expired_is_not_taken),
};

KIT_MAIN(tests)
