/* Observers of a mailbox on a server: what they see, in which order, what they miss; that they take nothing. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

#define NAME kit_name("box")

static tong_observer *observe(void)
{
    tong_observer *observer = NULL;
    kit_ok(tong_observer_open(NAME, &observer));
    return observer;
}

/* The next message is this number. */
static tong_message see(tong_observer *observer, uint64_t number)
{
    tong_message info = TONG_MESSAGE_INIT;
    uint64_t seen = 0;
    kit_gives(tong_peek(observer, &seen, sizeof(seen), KIT_PATIENCE, &info, NULL), sizeof(seen));
    kit_equal(seen, number);
    kit_equal(info.len, sizeof(seen));
    return info;
}

static uint64_t sees_nothing(tong_observer *observer)
{
    uint64_t seen = 77;
    uint64_t missed = 77;
    kit_gives(tong_peek(observer, &seen, sizeof(seen), 0, NULL, &missed), -EAGAIN);
    kit_equal(seen, 77);
    return missed;
}

static void sees_what_waits_then_what_comes_and_takes_nothing(void)
{
    tong_mailbox *box = kit_create(NAME, NULL);
    for (uint64_t i = 0; i < 3; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    const tong_status before = kit_stat(NAME);
    tong_observer *observer = observe();
    for (uint64_t i = 0; i < 3; i++) {
        const tong_message info = see(observer, i);
        kit_equal(info.sequence, i);
        kit_equal(info.deliveries, 0);
        kit_equal(info.uid, geteuid());
        kit_equal(info.pid, getpid());
        kit_equal(info.verified, 0);
        kit_equal(info.sender[0], 0);
    }
    kit_equal(sees_nothing(observer), 0);
    const tong_status after = kit_stat(NAME);
    kit_true(memcmp(&before, &after, sizeof(before)) == 0);
    kit_ok(kit_send_u64(box, 3, 0));
    see(observer, 3);
    tong_message message = TONG_MESSAGE_INIT;
    for (uint64_t i = 0; i < 4; i++) {
        kit_ok(tong_claim(box, 0, &message));
        kit_equal(message.deliveries, 1);
        kit_equal(*(const uint64_t *)message.data, i);
        kit_ok(tong_done(box, &message));
    }
    kit_equal(sees_nothing(observer), 0);
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

static void sees_what_is_in_somebodys_hand_and_not_what_was_done(void)
{
    tong_mailbox *box = kit_create(NAME, NULL);
    tong_message messages[3];
    for (uint64_t i = 0; i < 5; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    for (size_t i = 0; i < 3; i++) {
        messages[i] = (tong_message)TONG_MESSAGE_INIT;
        kit_ok(tong_claim(box, 0, &messages[i]));
    }
    kit_ok(tong_done(box, &messages[1]));
    tong_observer *observer = observe();
    kit_equal(see(observer, 0).deliveries, 1);
    kit_equal(see(observer, 2).deliveries, 1);
    kit_equal(see(observer, 3).deliveries, 0);
    kit_equal(see(observer, 4).deliveries, 0);
    kit_equal(sees_nothing(observer), 0);
    kit_ok(tong_done(box, &messages[0]));
    kit_ok(tong_done(box, &messages[2]));
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

static void tells_what_the_sender_said_and_who_it_is(void)
{
    tong_process *p = NULL;
    tong_process *q = NULL;
    kit_ok(tong_process_open(kit_name("p"), NULL, &p));
    kit_ok(tong_process_open(NAME, NULL, &q));
    tong_mailbox *box = kit_open(NAME, TONG_SEND, NULL);
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.tag = 7;
    with.key = 8;
    with.call = 9;
    with.priority = 3;
    with.reply_to = "answers";
    kit_ok(tong_send_with(box, "text", 4, &with, 0));
    kit_ok(tong_send_to(p, NAME, "more", 4, KIT_PATIENCE));
    tong_observer *observer = observe();
    char text[4];
    tong_message info = TONG_MESSAGE_INIT;
    kit_gives(tong_peek(observer, text, sizeof(text), 0, &info, NULL), 4);
    kit_true(memcmp(text, "text", 4) == 0);
    kit_equal(info.tag, 7);
    kit_equal(info.key, 8);
    kit_equal(info.call, 9);
    kit_equal(info.priority, 3);
    kit_true(info.sent_ns != 0 && strcmp(info.reply_to, "answers") == 0);
    kit_equal(info.sender[0], 0);
    kit_gives(tong_peek(observer, text, sizeof(text), 0, &info, NULL), 4);
    kit_true(strcmp(info.sender, "p") == 0);
    kit_ok(tong_observer_close(observer));
    kit_ok(tong_close(box));
    kit_ok(tong_process_close(q));
    kit_ok(tong_process_close(p));
}

static void of_a_longer_message_comes_what_fits(void)
{
    enum {
        LONG = 3 << 20
    };
    tong_mailbox *box = kit_create(NAME, NULL);
    char *data = malloc(LONG);
    char *seen = malloc(LONG);
    kit_true(data != NULL && seen != NULL);
    kit_payload_write(data, LONG, 1, 0);
    kit_ok(tong_send(box, "0123456789", 10, 0));
    kit_ok(tong_send(box, data, LONG, 0));
    kit_ok(tong_send(box, NULL, 0, 0));
    tong_observer *observer = observe();
    kit_gives(tong_peek(observer, seen, 4, 0, NULL, NULL), 10);
    kit_true(memcmp(seen, "0123", 4) == 0);
    kit_gives(tong_peek(observer, seen, LONG, 0, NULL, NULL), LONG);
    kit_true(memcmp(seen, data, LONG) == 0);
    kit_gives(tong_peek(observer, NULL, 0, 0, NULL, NULL), 0);
    kit_equal(sees_nothing(observer), 0);
    kit_ok(tong_observer_close(observer));
    observer = observe();
    kit_gives(tong_peek(observer, NULL, 0, 0, NULL, NULL), 10);
    memset(seen, 0, LONG);
    kit_gives(tong_peek(observer, seen, 1000, 0, NULL, NULL), LONG);
    kit_true(memcmp(seen, data, 1000) == 0 && seen[1000] == 0);
    kit_ok(tong_observer_close(observer));
    free(seen);
    free(data);
    kit_end(box, NAME);
}

static void who_came_and_went_unseen_is_counted(void)
{
    /* Where it can be full a message has gone from the server when it was received. */
    const tong_options options = kit_capacity(100);
    tong_mailbox *box = kit_create(NAME, &options);
    for (uint64_t i = 0; i < 3; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    tong_observer *observer = observe();
    kit_equal(kit_receive_u64(box), 0); /* it was there before the observer */
    see(observer, 1);
    for (uint64_t i = 3; i < 8; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    for (uint64_t i = 1; i < 7; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
    see(observer, 7);
    kit_equal(sees_nothing(observer), 4);
    kit_ok(kit_send_u64(box, 8, 0));
    kit_equal(kit_receive_u64(box), 7);
    kit_equal(kit_receive_u64(box), 8);
    kit_equal(sees_nothing(observer), 5);
    kit_equal(sees_nothing(observer), 5);
    kit_ok(kit_send_u64(box, 9, 0));
    see(observer, 9);
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

static int offer_one(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(NAME, TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 5, KIT_PATIENCE));
    return tong_close(box);
}

static void an_offer_is_seen_while_it_waits(void)
{
    const tong_options options = kit_capacity(0);
    tong_mailbox *box = kit_create(NAME, &options);
    tong_observer *observer = observe();
    struct kit_child child = kit_spawn(offer_one, NULL);
    see(observer, 5);
    kit_equal(kit_receive_u64(box), 5);
    kit_join(&child);
    kit_equal(sees_nothing(observer), 0);
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

static int own_it(void *arg)
{
    tong_options options = kit_options();
    (void)arg;
    options.owner = TONG_PROCESS;
    tong_mailbox *box = kit_open(NAME, TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_report("", 1);
    kit_await_death();
}

static void the_end_is_told(void)
{
    tong_mailbox *box = kit_create(NAME, NULL);
    tong_observer *observer = observe();
    uint64_t value = 0;
    kit_ok(tong_remove(NAME));
    kit_gives(tong_peek(observer, &value, 8, KIT_PATIENCE, NULL, NULL), -EIDRM);
    kit_gives(tong_peek(observer, &value, 8, 0, NULL, NULL), -EIDRM);
    kit_ok(tong_observer_close(observer));
    kit_ok(tong_close(box));

    struct kit_child child = kit_spawn(own_it, NULL);
    char byte;
    kit_read_report(&child, &byte, 1);
    observer = observe();
    kit_kill(&child);
    see(observer, 1);
    kit_gives(tong_peek(observer, &value, 8, KIT_PATIENCE, NULL, NULL), -EOWNERDEAD);
    kit_ok(tong_observer_close(observer));
    (void)tong_remove(NAME);
}

/* How long the first message is that can be seen now. */
static ssize_t see_first(void)
{
    tong_observer *observer = observe();
    const ssize_t len = tong_peek(observer, NULL, 0, 0, NULL, NULL);
    kit_ok(tong_observer_close(observer));
    return len;
}

static void what_has_expired_is_not_seen(void)
{
    tong_mailbox *box = kit_create(NAME, NULL);
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.expiry_ns = TONG_MS(1);
    kit_ok(tong_send_with(box, "gone", 4, &with, 0));
    kit_ok(kit_send_u64(box, 2, 0));
    kit_until(see_first() == 8);
    kit_end(box, NAME);
}

static int use_what_the_parent_opened(void *arg)
{
    uint64_t value;
    kit_gives(tong_peek(arg, &value, 8, 0, NULL, NULL), -ECHILD);
    kit_gives(tong_observer_close(arg), -ECHILD);
    return 0;
}

static void waits_end_and_mistakes_are_told(void)
{
    tong_observer *observer = NULL;
    kit_gives(tong_observer_open(NAME, &observer), -ENOENT);
    kit_gives(tong_observer_open(kit_name("a/b"), &observer), -EINVAL);
    tong_mailbox *box = kit_create(NAME, NULL);
    observer = observe();
    kit_gives(tong_peek(observer, NULL, 0, TONG_MS(20), NULL, NULL), -ETIMEDOUT);
    struct kit_child child = kit_spawn(use_what_the_parent_opened, observer);
    kit_join(&child);
    kit_equal(sees_nothing(observer), 0);
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

static const struct kit_test tests[] = {
    KIT_TEST(sees_what_waits_then_what_comes_and_takes_nothing),
    KIT_TEST(sees_what_is_in_somebodys_hand_and_not_what_was_done),
    KIT_TEST(tells_what_the_sender_said_and_who_it_is),
    KIT_TEST(of_a_longer_message_comes_what_fits),
    KIT_TEST(who_came_and_went_unseen_is_counted),
    KIT_TEST(an_offer_is_seen_while_it_waits),
    KIT_TEST(the_end_is_told),
    KIT_TEST(what_has_expired_is_not_seen),
    KIT_TEST(waits_end_and_mistakes_are_told),
};

KIT_MAIN(tests)
