/*
 * A sender that drops its oldest message, and a receiver that is overtaken, are killed at every point:
 * see crash_test.h.
 */
#include "mailbox/mailbox.h"

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

static tong_options in_the_mailbox(void)
{
    tong_options options = kit_capacity(4);
    options.full = TONG_DROP_OLDEST;
    return options;
}

static tong_options in_each_link(void)
{
    tong_options options = crash_link_bounded();
    options.full = TONG_DROP_OLDEST;
    return options;
}

/* ---- the sender */

static void drop_two(struct crash_stage *s)
{
    kit_gives(crash_send(s, s->mine, 16, 0), TONG_DROPPED);
    kit_gives(crash_send(s, s->mine, 17, 0), TONG_DROPPED);
}

static void a_drop_by_capacity(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that drops its oldest, capacity n",
                                       .options = in_the_mailbox,
                                       .ready = crash_fill_own_link,
                                       .act = drop_two };
    crash_all(&scene);
}

static void a_drop_by_link_capacity(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that drops its oldest, link_capacity",
                                       .options = in_each_link,
                                       .ready = crash_fill_own_link,
                                       .act = drop_two };
    crash_all(&scene);
}

static void own_one(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 8; id < 11; id++) {
        kit_ok(crash_send(s, s->sender, id, 0));
    }
}

static void drop_own(struct crash_stage *s)
{
    kit_ok(crash_send(s, s->mine, 16, 0));
    kit_gives(crash_send(s, s->mine, 17, 0), TONG_DROPPED);
}

static void a_drop_beside_others(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that drops its oldest, others have the rest",
                                       .options = in_the_mailbox,
                                       .before = own_one,
                                       .ready = crash_open_sender,
                                       .act = drop_own };
    crash_all(&scene);
}

static void many_long(struct crash_stage *s)
{
    crash_open_sender(s);
    for (uint32_t id = CRASH_LONG; id < CRASH_LONG + 4; id++) {
        kit_ok(crash_send(s, s->mine, id, 0));
    }
}

static void drop_long(struct crash_stage *s)
{
    kit_gives(crash_send(s, s->mine, CRASH_LONG + 5, 0), TONG_DROPPED);
    kit_gives(crash_send(s, s->mine, CRASH_LONG + 6, 0), TONG_DROPPED);
    kit_gives(crash_send(s, s->mine, CRASH_LONG + 7, 0), TONG_DROPPED);
}

static void long_ones_are_dropped(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that drops its oldest: long messages",
                                       .options = in_each_link,
                                       .ready = many_long,
                                       .act = drop_long };
    crash_all(&scene);
}

static tong_options few_bytes(void)
{
    tong_options options = in_each_link();
    options.max_bytes = 250000;
    return options;
}

static void fill_bytes(struct crash_stage *s)
{
    crash_open_sender(s);
    kit_ok(crash_send(s, s->mine, CRASH_LONG, 0));
    kit_ok(crash_send(s, s->mine, CRASH_LONG + 1, 0));
    kit_ok(crash_send(s, s->mine, CRASH_LONG + 5, 0));
}

static void drop_for_memory(struct crash_stage *s)
{
    const int r = crash_send(s, s->mine, CRASH_LONG + 6, 0);
    kit_true(r == 0 || r == TONG_DROPPED);
    kit_gives(crash_send(s, s->mine, CRASH_LONG + 11, 0), TONG_DROPPED);
}

static void memory_is_short(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that drops its oldest, at max_bytes",
                                       .options = few_bytes,
                                       .ready = fill_bytes,
                                       .act = drop_for_memory };
    crash_all(&scene);
}

static void reserve_and_drop(struct crash_stage *s)
{
    for (uint32_t id = 16; id < 18; id++) {
        tong_slot slot = TONG_SLOT_INIT;
        struct crash_message *m = &s->world->message[id];
        kit_ok(tong_reserve(s->mine, crash_len(id), 0, &slot));
        kit_payload_write(slot.data, crash_len(id), id, id);
        atomic_store(&m->offered, 1);
        kit_gives(tong_commit(s->mine, &slot, crash_len(id)), TONG_DROPPED);
        atomic_store(&m->promised, 1);
    }
}

static void a_drop_in_place(void)
{
    const struct crash_scene scene = { .operation = "tong_reserve tong_commit",
                                       .role = "sender that drops its oldest, capacity n",
                                       .options = in_the_mailbox,
                                       .ready = crash_fill_own_link,
                                       .act = reserve_and_drop };
    crash_all(&scene);
}

static void send_after_a_drop(struct crash_stage *s)
{
    crash_open_sender(s);
    kit_gives(crash_send(s, s->mine, 16, 0), TONG_DROPPED);
    kit_gives(crash_send(s, s->mine, 17, 0), TONG_DROPPED);
}

static void left_by_one_that_dropped(struct crash_stage *s)
{
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 8; id < 14; id++) {
        kit_gives(crash_send(s, box, id, 0), id < 12 ? 0 : TONG_DROPPED);
    }
    kit_ok(tong_close(box));
}

static void a_take_over(void)
{
    const struct crash_scene scene = { .operation = "tong_open tong_send",
                                       .role = "sender that takes over and drops, capacity n",
                                       .options = in_the_mailbox,
                                       .before = left_by_one_that_dropped,
                                       .act = send_after_a_drop };
    crash_all(&scene);
}

/* ---- the receiver: what it looks for first was dropped */

static void overtake(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 8; id < 11; id++) {
        kit_ok(crash_send(s, s->sender, id, 0));
    }
}

/* The victim has seen the link, and stands at a message that is dropped then. */
static void be_overtaken(struct crash_stage *s)
{
    crash_open_receiver(s);
    kit_gives(crash_receive(s, s->mine, 0), 8);
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(tong_close(box));
}

static void overtake_more(struct crash_stage *s)
{
    be_overtaken(s);
    s->extra = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 16; id < 22; id++) {
        const int r = crash_send(s, s->extra, id, 0);
        kit_true(r == 0 || r == TONG_DROPPED);
    }
    kit_ok(tong_close(s->extra));
    s->extra = NULL;
}

static void receive_two(struct crash_stage *s)
{
    kit_true(crash_receive(s, s->mine, 0) >= 0);
    kit_true(crash_receive(s, s->mine, 0) >= 0);
    kit_true(crash_receive(s, s->mine, 0) >= 0);
}

static void a_receiver_passes_what_was_dropped(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver that is overtaken, link_capacity",
                                       .options = in_each_link,
                                       .lost = 1,
                                       .before = overtake,
                                       .ready = overtake_more,
                                       .act = receive_two };
    crash_all(&scene);
}

static void a_receiver_frees_room_of_what_was_dropped(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver that is overtaken, capacity n",
                                       .options = in_the_mailbox,
                                       .lost = 1,
                                       .before = overtake,
                                       .ready = overtake_more,
                                       .act = receive_two };
    crash_all(&scene);
}

static void claim_and_overtake(struct crash_stage *s)
{
    crash_open_receiver(s);
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[0]), 8);
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[1]), 9);
}

static void claim_return_done(struct crash_stage *s)
{
    tong_message message;
    const int id = crash_claim(s, s->mine, 0, &message);
    kit_gives(id, 10);
    kit_ok(tong_return(s->mine, &s->claim[1]));
    crash_done(s, s->mine, id, &message);
    crash_done(s, s->mine, 8, &s->claim[0]);
}

static void claims_are_copies(void)
{
    const struct crash_scene scene = { .operation = "tong_claim tong_done tong_return",
                                       .role = "receiver, the oldest may be dropped",
                                       .options = in_each_link,
                                       .lost = 1,
                                       .before = overtake,
                                       .ready = claim_and_overtake,
                                       .act = claim_return_done };
    crash_all(&scene);
}

/* Claims whose records are written over: given back they are dropped. */
static void gone_claims(struct crash_stage *s)
{
    crash_open_sender(s);
    for (uint32_t id = 8; id < 10; id++) {
        kit_ok(crash_send(s, s->mine, id, 0));
    }
    s->extra = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    kit_gives(crash_claim(s, s->extra, 0, &s->claim[0]), 8);
    kit_gives(crash_claim(s, s->extra, 0, &s->claim[1]), 9);
    for (uint32_t id = CRASH_LONG; id < CRASH_LONG + 3; id++) {
        kit_ok(crash_send(s, s->mine, id, 0));
    }
    kit_ok(crash_send(s, s->mine, 16, 0));
    kit_gives(crash_send(s, s->mine, 17, 0), TONG_DROPPED);
    kit_ok(tong_return(s->extra, &s->claim[0]));
    kit_ok(tong_return(s->extra, &s->claim[1]));
}

static void take_what_is_gone(struct crash_stage *s)
{
    kit_true(crash_receive(s, s->extra, 0) >= (int)CRASH_LONG);
}

static void a_receiver_finds_a_claim_gone(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver, what was given back is dropped",
                                       .options = in_each_link,
                                       .lost = 1,
                                       .ready = gone_claims,
                                       .act = take_what_is_gone };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_drop_by_capacity, 240),
    KIT_TEST_LONG(a_drop_by_link_capacity, 240),
    KIT_TEST_LONG(a_drop_beside_others, 240),
    KIT_TEST_LONG(long_ones_are_dropped, 240),
    KIT_TEST_LONG(memory_is_short, 240),
    KIT_TEST_LONG(a_drop_in_place, 240),
    KIT_TEST_LONG(a_take_over, 240),
    KIT_TEST_LONG(a_receiver_passes_what_was_dropped, 240),
    KIT_TEST_LONG(a_receiver_frees_room_of_what_was_dropped, 240),
    KIT_TEST_LONG(claims_are_copies, 240),
    KIT_TEST_LONG(a_receiver_finds_a_claim_gone, 240),
};

KIT_MAIN(tests)
