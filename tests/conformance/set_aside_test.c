/*
 * Messages that were handed out too often and that no dead-letter mailbox takes, being absent, full, of
 * another size, or not named: kept, counted, not handed out, tried again, and thrown away.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dead_letter.h"

/* Uses the mailbox until so many letters have come: within a second of use, says the contract. */
#define until_letters(box, n)                                                                      \
    do {                                                                                           \
        tong_mailbox *const used_ = (box);                                                         \
        const uint64_t letters_ = (n);                                                             \
        kit_until((tong_receive(used_, NULL, 0, 0), kit_stat(JOBS).dead_letters == letters_));     \
    } while (0)

static void without_a_mailbox_for_them_they_are_set_aside(void)
{
    tong_mailbox *box = create_jobs(2);
    for (uint64_t i = 0; i < 5; i++) {
        send_and_return(box, i, 2);
        kit_is_empty(box);
        expect_counts(JOBS, 0, 0, 0, i + 1);
    }
    kit_equal(kit_stat(JOBS).dead_letters, 0);
    kit_ok(kit_send_u64(box, 99, 0));
    expect_counts(JOBS, 0, 0, 1, 5);
    kit_equal(kit_receive_u64(box), 99);
    expect_counts(JOBS, 1, 0, 0, 5);
    kit_end(box, JOBS);
}

static void set_aside_ones_are_moved_once_the_mailbox_is_there(void)
{
    tong_mailbox *box = create_jobs(1);
    for (uint64_t i = 0; i < 5; i++) {
        send_and_return(box, i, 1);
        kit_is_empty(box);
    }
    tong_mailbox *dead = kit_create(DEAD, NULL);
    until_letters(box, 5);
    expect_counts(JOBS, 5, 0, 0, 0);
    uint64_t seen = 0;
    for (uint64_t i = 0; i < 5; i++) {
        tong_message message = claim(dead, 1);
        tong_origin origin = TONG_ORIGIN_INIT;
        kit_gives(tong_origin_of(dead, &message, &origin), 1);
        kit_equal(origin.deliveries, 1);
        kit_equal(origin.sequence, value_of(&message));
        seen |= UINT64_C(1) << value_of(&message);
        kit_ok(tong_done(dead, &message));
    }
    kit_equal(seen, 31);
    kit_is_empty(dead);
    /* Removed and made again: the same once more. */
    kit_end(dead, DEAD);
    send_and_return(box, 5, 1);
    kit_is_empty(box);
    expect_counts(JOBS, 5, 0, 0, 1);
    dead = kit_create(DEAD, NULL);
    until_letters(box, 6);
    expect_letter(dead, 5, 5, 1);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static void a_full_mailbox_for_them_takes_them_later(void)
{
    for (uint32_t full = TONG_BLOCK; full <= TONG_DROP_NEWEST; full++) {
        tong_options options = kit_capacity(1);
        options.full = full;
        tong_mailbox *dead = kit_create(DEAD, &options);
        tong_mailbox *box = create_jobs(1);
        for (uint64_t i = 0; i < 3; i++) {
            send_and_return(box, i, 1);
            kit_is_empty(box);
            expect_counts(JOBS, 1, 0, 0, i);
        }
        expect_letter(dead, 0, 0, 1);
        until_letters(box, 2);
        expect_counts(JOBS, 2, 0, 0, 1);
        tong_message message = claim(dead, 1);
        const uint64_t second = value_of(&message);
        kit_ok(tong_done(dead, &message));
        until_letters(box, 3);
        expect_letter(dead, 3 - second, 3 - second, 1);
        expect_counts(JOBS, 3, 0, 0, 0);
        kit_equal(kit_stat(DEAD).dropped, 0);
        kit_end(box, JOBS);
        kit_end(dead, DEAD);
    }
}

static void a_mailbox_of_another_size_takes_none(void)
{
    tong_options options = kit_options();
    options.message_size = 9;
    tong_mailbox *dead = kit_create(DEAD, &options);
    tong_mailbox *box = create_jobs(1);
    send_and_return(box, 1, 1);
    kit_is_empty(box);
    expect_counts(JOBS, 0, 0, 0, 1);
    kit_gives(tong_skip(box), 8);
    expect_counts(JOBS, 1, 0, 0, 0);
    kit_equal(kit_stat(DEAD).sent, 0);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static void without_a_name_for_them_all_are_set_aside_and_can_be_thrown_away(void)
{
    tong_options options = kit_options();
    options.max_deliveries = 3;
    tong_mailbox *box = kit_create(JOBS, &options);
    for (uint64_t i = 0; i < 3; i++) {
        send_and_return(box, i, 3);
        kit_is_empty(box);
    }
    expect_counts(JOBS, 0, 0, 0, 3);
    kit_ok(tong_send(box, "abc", 3, 0));
    kit_gives(tong_skip(box), 3); /* what waits comes first */
    for (uint64_t i = 1; i <= 3; i++) {
        kit_gives(tong_skip(box), 8);
        expect_counts(JOBS, 1 + i, 0, 0, 3 - i);
    }
    kit_gives(tong_skip(box), -EAGAIN);
    kit_end(box, JOBS);
}

static void set_aside_ones_take_room(void)
{
    for (int way = 0; way < (kit_is_refused(KIT_LINK_CAPACITY) ? 1 : 2); way++) {
        tong_options options = jobs_options(1);
        if (way == 0) {
            options.capacity = 3;
        } else {
            options.link_capacity = 3;
        }
        tong_mailbox *box = kit_create(JOBS, &options);
        for (uint64_t i = 0; i < 3; i++) {
            send_and_return(box, i, 1);
            kit_is_empty(box);
            expect_counts(JOBS, 0, 0, 0, i + 1);
        }
        kit_gives(kit_send_u64(box, 3, 0), -EAGAIN);
        kit_gives(tong_skip(box), 8);
        kit_ok(kit_send_u64(box, 3, 0));
        kit_gives(kit_send_u64(box, 4, 0), -EAGAIN);
        kit_equal(kit_receive_u64(box), 3);
        expect_counts(JOBS, 2, 0, 0, 2);
        kit_end(box, JOBS);
    }
}

static void any_number_set_aside_leaves_64_claims(void)
{
    const uint64_t n = kit_fewer(150);
    tong_options options = jobs_options(1);
    options.capacity = kit_options_for((uint32_t)n + 64).capacity;
    tong_mailbox *box = kit_create(JOBS, &options);
    for (uint64_t i = 0; i < n; i++) {
        send_and_return(box, i, 1);
        kit_is_empty(box);
        expect_counts(JOBS, 0, 0, 0, i + 1);
    }
    tong_message messages[64];
    for (uint64_t i = 0; i < 64; i++) {
        kit_ok(kit_send_u64(box, n + i, 0));
        messages[i] = claim(box, 1);
        kit_equal(value_of(&messages[i]), n + i);
    }
    expect_counts(JOBS, 0, 64, 0, n);
    for (uint64_t i = 0; i < 64; i++) {
        kit_ok(tong_done(box, &messages[i]));
    }
    options = kit_options_for((uint32_t)n);
    tong_mailbox *dead = kit_create(DEAD, &options);
    until_letters(box, n);
    expect_counts(JOBS, n + 64, 0, 0, 0);
    kit_equal(kit_stat(DEAD).waiting, n);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static void all_64_claims_returned_at_once_go_aside_together(void)
{
    tong_mailbox *box = create_jobs(1);
    tong_message messages[64];
    for (uint64_t i = 0; i < 64; i++) {
        kit_ok(kit_send_u64(box, i, 0));
        messages[i] = claim(box, 1);
    }
    kit_ok(kit_send_u64(box, 64, 0));
    for (uint64_t i = 0; i < 64; i++) {
        kit_ok(tong_return(box, &messages[i]));
    }
    tong_message last = claim(box, 1);
    kit_equal(value_of(&last), 64);
    expect_counts(JOBS, 0, 1, 0, 64);
    kit_ok(tong_done(box, &last));
    for (uint64_t i = 0; i < 64; i++) {
        kit_gives(tong_skip(box), 8);
    }
    kit_gives(tong_skip(box), -EAGAIN);
    expect_counts(JOBS, 65, 0, 0, 0);
    kit_end(box, JOBS);
}

static void a_circle_of_mailboxes_ends(void)
{
    tong_options options = jobs_options(1);
    tong_mailbox *box = create_jobs(1);
    options.dead_letter = "jobs";
    tong_mailbox *dead = kit_create(DEAD, &options);
    send_and_return(box, 1, 1);
    kit_is_empty(box);
    return_until(dead, 1, 1);
    kit_is_empty(dead);
    kit_is_empty(box);
    expect_counts(JOBS, 1, 0, 0, 0);
    expect_counts(DEAD, 0, 0, 0, 1);
    kit_equal(kit_stat(DEAD).dead_letters, 0);
    kit_gives(tong_skip(dead), 8);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

/* ------------------------------------------------------------------ whose receiver goes */

static int set_aside_and_wait(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(JOBS, TONG_RECEIVE, NULL);
    return_until(box, 2, 1);
    kit_is_empty(box);
    kit_report("a", 1);
    kit_await_death();
}

static void they_stay_when_the_receiver_goes_that_set_them_aside(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = create_jobs(1);
    tong_mailbox *other = kit_open(JOBS, TONG_SEND | TONG_RECEIVE, NULL);
    char c;
    send_and_return(other, 1, 1);
    kit_is_empty(other);
    kit_ok(tong_close(other));
    expect_counts(JOBS, 0, 0, 0, 1);
    kit_ok(kit_send_u64(box, 2, 0));
    struct kit_child child = kit_spawn(set_aside_and_wait, NULL);
    kit_read_report(&child, &c, 1);
    kit_kill(&child);
    kit_is_empty(box);
    expect_counts(JOBS, 0, 0, 0, 2);
    /* The places of the two are used again by others meanwhile. */
    for (uint64_t i = 10; i < 30; i++) {
        other = kit_open(JOBS, TONG_RECEIVE, NULL);
        kit_ok(kit_send_u64(box, i, 0));
        tong_message message = claim(other, 1);
        kit_equal(value_of(&message), i);
        kit_ok(tong_done(other, &message));
        kit_ok(tong_close(other));
    }
    expect_counts(JOBS, 20, 0, 0, 2);
    tong_mailbox *dead = kit_create(DEAD, NULL);
    until_letters(box, 2);
    const uint64_t first = kit_receive_u64(dead);
    kit_equal(first + kit_receive_u64(dead), 3);
    kit_is_empty(dead);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static void long_ones_keep_their_bytes(void)
{
    enum {
        LONG = 5 << 20
    };
    tong_mailbox *box = create_jobs(1);
    char *data = malloc(LONG);
    kit_true(data != NULL);
    for (uint64_t i = 0; i < 3; i++) {
        kit_payload_write(data, LONG >> (8 * i), 1, i);
        kit_ok(tong_send(box, data, LONG >> (8 * i), 0));
        tong_message message = claim(box, 1);
        kit_ok(tong_return(box, &message));
        kit_is_empty(box);
    }
    for (uint64_t i = 3; i < 20; i++) {
        kit_payload_write(data, LONG / 5, 1, i);
        kit_ok(tong_send(box, data, LONG / 5, 0));
        kit_gives(tong_receive(box, data, LONG, 0), LONG / 5);
        kit_true(kit_payload_is(data, LONG / 5, 1, i));
    }
    tong_mailbox *dead = kit_create(DEAD, NULL);
    until_letters(box, 3);
    for (uint64_t k = 0; k < 3; k++) {
        tong_message message = claim(dead, 1);
        tong_origin origin = TONG_ORIGIN_INIT;
        kit_gives(tong_origin_of(dead, &message, &origin), 1);
        kit_equal(message.len, LONG >> (8 * origin.sequence));
        kit_true(kit_payload_is(message.data, message.len, 1, origin.sequence));
        kit_ok(tong_done(dead, &message));
    }
    free(data);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

/* ------------------------------------------------------------------ rendezvous */

static int send_one(void *arg)
{
    const uint64_t *value = arg;
    tong_mailbox *box = kit_open(JOBS, TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, *value, KIT_PATIENCE));
    return tong_close(box);
}

static void a_rendezvous_has_dead_letters_too(void)
{
    kit_needs(KIT_RENDEZVOUS);
    tong_options options = jobs_options(2);
    options.capacity = 0;
    tong_mailbox *dead = kit_create(DEAD, NULL);
    tong_mailbox *box = kit_create(JOBS, &options);
    for (uint64_t i = 1; i <= 3; i++) {
        struct kit_child child = kit_spawn(send_one, &i);
        return_until(box, i, 2);
        kit_join(&child);
        kit_is_empty(box);
        expect_counts(JOBS, i, 0, 0, 0);
        tong_message message = claim(dead, 1);
        tong_origin origin = TONG_ORIGIN_INIT;
        kit_equal(value_of(&message), i);
        kit_gives(tong_origin_of(dead, &message, &origin), 1);
        kit_equal(origin.deliveries, 2);
        kit_true(origin.pid != getpid());
        kit_ok(tong_done(dead, &message));
    }
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static void a_rendezvous_takes_no_dead_letters(void)
{
    kit_needs(KIT_RENDEZVOUS);
    const tong_options options = kit_capacity(0);
    tong_mailbox *dead = kit_create(DEAD, &options);
    tong_mailbox *box = create_jobs(1);
    send_and_return(box, 1, 1);
    kit_is_empty(box);
    expect_counts(JOBS, 0, 0, 0, 1);
    kit_is_empty(dead);
    kit_gives(tong_skip(box), 8);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static const struct kit_test tests[] = {
    KIT_TEST(without_a_mailbox_for_them_they_are_set_aside),
    KIT_TEST(set_aside_ones_are_moved_once_the_mailbox_is_there),
    KIT_TEST(a_full_mailbox_for_them_takes_them_later),
    KIT_TEST(a_mailbox_of_another_size_takes_none),
    KIT_TEST(without_a_name_for_them_all_are_set_aside_and_can_be_thrown_away),
    KIT_TEST(set_aside_ones_take_room),
    KIT_TEST(any_number_set_aside_leaves_64_claims),
    KIT_TEST(all_64_claims_returned_at_once_go_aside_together),
    KIT_TEST(they_stay_when_the_receiver_goes_that_set_them_aside),
    KIT_TEST(long_ones_keep_their_bytes),
    KIT_TEST(a_circle_of_mailboxes_ends),
    KIT_TEST(a_rendezvous_has_dead_letters_too),
    KIT_TEST(a_rendezvous_takes_no_dead_letters),
};

KIT_MAIN(tests)
