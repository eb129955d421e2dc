/*
 * A sender is killed at every point of what it does with a mailbox that is full or is asleep, and
 * with several messages at once: see crash_test.h.
 */
#include "mailbox/mailbox.h"

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

static void send_one(struct crash_stage *s)
{
    kit_ok(crash_send(s, s->mine, 1, 0));
}

/* ---- full, and what is sent then is dropped */

static tong_options dropping(void)
{
    tong_options options = kit_capacity(4);
    options.full = TONG_DROP_NEWEST;
    return options;
}

static tong_options dropping_for_each_link(void)
{
    tong_options options = crash_link_bounded();
    options.full = TONG_DROP_NEWEST;
    return options;
}

static tong_options dropping_rendezvous(void)
{
    tong_options options = kit_capacity(0);
    options.full = TONG_DROP_NEWEST;
    return options;
}

static void drop_one(struct crash_stage *s)
{
    kit_gives(crash_send(s, s->mine, 1, 0), TONG_DROPPED);
}

static void a_drop_by_capacity(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that drops, capacity n",
                                       .options = dropping,
                                       .before = crash_fill_up,
                                       .ready = crash_open_sender,
                                       .act = drop_one };
    crash_all(&scene);
}

static void a_drop_by_link_capacity(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that drops, link_capacity",
                                       .options = dropping_for_each_link,
                                       .ready = crash_fill_own_link,
                                       .act = drop_one };
    crash_all(&scene);
}

static void a_drop_at_a_rendezvous(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that drops, capacity 0",
                                       .options = dropping_rendezvous,
                                       .ready = crash_open_sender,
                                       .act = drop_one };
    crash_all(&scene);
}

static void no_drop_where_there_is_room(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that need not drop, capacity n",
                                       .options = dropping,
                                       .ready = crash_own_link,
                                       .act = send_one };
    crash_all(&scene);
}

/* ---- full of bytes */

static tong_options few_bytes(void)
{
    tong_options options = kit_options();
    options.max_bytes = 65536;
    return options;
}

static void send_too_many_bytes(struct crash_stage *s)
{
    kit_gives(crash_send(s, s->mine, CRASH_LONG + 1, 0), -ENOSPC);
}

static void a_send_beyond_max_bytes(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender at max_bytes",
                                       .options = few_bytes,
                                       .ready = crash_own_link,
                                       .act = send_too_many_bytes };
    crash_all(&scene);
}

/* ---- full, and the time is over */

static void time_out(struct crash_stage *s)
{
    kit_gives(crash_send(s, s->mine, 1, TONG_MS(1)), -ETIMEDOUT);
}

static void a_time_out_by_link_capacity(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that times out, link_capacity",
                                       .options = crash_link_bounded,
                                       .ready = crash_fill_own_link,
                                       .act = time_out };
    crash_all(&scene);
}

/* ---- several at once; messages 1 to 3 */

static void send_three_of(struct crash_stage *s, ssize_t sent)
{
    static uint8_t bytes[3][64];
    struct iovec messages[3];
    for (uint32_t i = 0; i < 3; i++) {
        messages[i] = (struct iovec){ .iov_base = bytes[i], .iov_len = crash_len(i + 1) };
        kit_payload_write(bytes[i], crash_len(i + 1), i + 1, i + 1);
        atomic_store(&s->world->message[i + 1].offered, 1);
    }
    kit_gives(tong_send_many(s->mine, messages, 3, 0), sent);
    for (uint32_t i = 0; i < 3; i++) {
        struct crash_message *m = &s->world->message[i + 1];
        atomic_store(i < sent ? &m->promised : &m->refused, 1);
    }
}

static void send_three(struct crash_stage *s)
{
    send_three_of(s, 3);
}

static void send_two_of_three(struct crash_stage *s)
{
    send_three_of(s, 2);
}

static void two_wait(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(crash_send(s, s->sender, 8, 0));
    kit_ok(crash_send(s, s->sender, 9, 0));
}

static void send_many_into_the_rest(void)
{
    const struct crash_scene scene = { .operation = "tong_send_many",
                                       .role = "sender, capacity n has room for a part",
                                       .options = crash_bounded,
                                       .before = two_wait,
                                       .ready = crash_open_sender,
                                       .act = send_two_of_three };
    crash_all(&scene);
}

static void send_many_and_drop(void)
{
    const struct crash_scene scene = { .operation = "tong_send_many",
                                       .role = "sender that drops, capacity n",
                                       .options = dropping,
                                       .before = two_wait,
                                       .ready = crash_open_sender,
                                       .act = send_two_of_three };
    crash_all(&scene);
}

static void own_two(struct crash_stage *s)
{
    crash_open_sender(s);
    kit_ok(crash_send(s, s->mine, 8, 0));
    kit_ok(crash_send(s, s->mine, 9, 0));
}

static void send_many_into_the_rest_of_a_link(void)
{
    const struct crash_scene scene = { .operation = "tong_send_many",
                                       .role = "sender, link_capacity has room for a part",
                                       .options = crash_link_bounded,
                                       .ready = own_two,
                                       .act = send_two_of_three };
    crash_all(&scene);
}

/* The receiver has the first message and sleeps again. */
static void sleeper_knows_the_link(struct crash_stage *s)
{
    crash_own_link(s);
    kit_until(atomic_load(&s->world->message[0].consumed) != 0);
    kit_until_asleep(CRASH_BOX, 1);
}

static void send_many_to_a_sleeper(void)
{
    const struct crash_scene scene = { .operation = "tong_send_many",
                                       .role = "sender, unbounded, a receiver asleep",
                                       .options = crash_unbounded,
                                       .before = crash_start_receiver,
                                       .ready = sleeper_knows_the_link,
                                       .act = send_three,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

/* ---- to who sleeps */

static void a_send_to_a_sleeper(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender, capacity n, a receiver asleep",
                                       .options = crash_bounded,
                                       .before = crash_start_receiver,
                                       .ready = sleeper_knows_the_link,
                                       .act = send_one,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void a_first_send_to_a_sleeper(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender without a link, a receiver asleep",
                                       .options = crash_unbounded,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_sender,
                                       .act = send_one,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void send_waiting(struct crash_stage *s)
{
    kit_ok(crash_send(s, s->mine, 1, TONG_FOREVER));
}

static void receiver_comes(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || kit_stat(CRASH_BOX).senders_blocked == 1);
    s->helper[0] = kit_spawn(crash_receiver, s);
}

static void an_offer_that_waits(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender blocked, capacity 0, a receiver comes",
                                       .options = crash_rendezvous,
                                       .ready = crash_open_sender,
                                       .act = send_waiting,
                                       .meanwhile = receiver_comes,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

/* ---- in place */

static tong_options no_bound(void)
{
    tong_options options = kit_options();
    options.link_capacity = TONG_UNBOUNDED;
    return options;
}

static void commit_one(struct crash_stage *s, uint32_t id, size_t reserved)
{
    struct crash_message *m = &s->world->message[id];
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(s->mine, reserved, KIT_PATIENCE, &slot));
    kit_payload_write(slot.data, crash_len(id), id, id);
    atomic_store(&m->offered, 1);
    kit_ok(tong_commit(s->mine, &slot, crash_len(id)));
    atomic_store(&m->promised, 1);
}

static void write_long_in_place(struct crash_stage *s)
{
    tong_slot slot = TONG_SLOT_INIT;
    commit_one(s, CRASH_LONG + 1, 100000);
    kit_ok(tong_reserve(s->mine, 700000, 0, &slot));
    memset(slot.data, 0xff, 700000);
    kit_ok(tong_abort(s->mine, &slot));
    commit_one(s, CRASH_LONG + 2, 100000);
}

static void long_messages_in_place(void)
{
    const struct crash_scene scene = { .operation = "tong_reserve tong_commit tong_abort",
                                       .role = "sender that grows: long messages, unbounded",
                                       .options = no_bound,
                                       .ready = crash_own_link,
                                       .act = write_long_in_place };
    crash_all(&scene);
}

static void write_in_place(struct crash_stage *s)
{
    commit_one(s, 1, 500);
}

static void in_place_at_a_rendezvous(void)
{
    const struct crash_scene scene = { .operation = "tong_reserve tong_commit",
                                       .role = "sender, capacity 0, a receiver asleep",
                                       .options = crash_rendezvous,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_sender,
                                       .act = write_in_place,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void reserve_only(struct crash_stage *s)
{
    tong_slot slot = TONG_SLOT_INIT;
    crash_own_link(s);
    kit_ok(tong_reserve(s->mine, 5000, 0, &slot));
}

static void a_close_with_a_reservation(void)
{
    const struct crash_scene scene = { .operation = "tong_close",
                                       .role = "room holder: a reservation is open",
                                       .options = crash_bounded,
                                       .ready = reserve_only,
                                       .act = crash_close_mine };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_drop_by_capacity, 240),
    KIT_TEST_LONG(a_drop_by_link_capacity, 240),
    KIT_TEST_LONG(a_drop_at_a_rendezvous, 240),
    KIT_TEST_LONG(no_drop_where_there_is_room, 240),
    KIT_TEST_LONG(a_send_beyond_max_bytes, 240),
    KIT_TEST_LONG(a_time_out_by_link_capacity, 240),
    KIT_TEST_LONG(send_many_into_the_rest, 240),
    KIT_TEST_LONG(send_many_and_drop, 240),
    KIT_TEST_LONG(send_many_into_the_rest_of_a_link, 240),
    KIT_TEST_LONG(send_many_to_a_sleeper, 240),
    KIT_TEST_LONG(a_send_to_a_sleeper, 240),
    KIT_TEST_LONG(a_first_send_to_a_sleeper, 240),
    KIT_TEST_LONG(an_offer_that_waits, 240),
    KIT_TEST_LONG(long_messages_in_place, 240),
    KIT_TEST_LONG(in_place_at_a_rendezvous, 240),
    KIT_TEST_LONG(a_close_with_a_reservation, 240),
};

KIT_MAIN(tests)
