/*
 * Receivers that ask for some messages only are killed at every point: while they pass others over, and
 * asleep, when they are rung for what is not theirs. See crash_test.h.
 */
#include "mailbox/mailbox.h"

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

/* A message's tag follows from its id. */
#define TAG_OF(id) ((id) % 2 + 1)
#define ODD 2u /* the tag of odd ids */

static int send_tagged(struct crash_stage *s, tong_mailbox *box, uint32_t id, int64_t timeout_ns)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.tag = TAG_OF(id);
    return crash_send_with(s, box, id, &with, timeout_ns);
}

/* The id, or the error. */
static int receive_tagged(struct crash_stage *s, tong_mailbox *box, uint64_t tag,
                          int64_t timeout_ns)
{
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    tong_message info = TONG_MESSAGE_INIT;
    want.tag = tag;
    const ssize_t r =
        tong_receive_with(box, crash_buffer, CRASH_LEN_MOST, &want, timeout_ns, &info);
    if (r < 0) {
        return (int)r;
    }
    const uint32_t id = crash_know(crash_buffer, (size_t)r);
    atomic_fetch_add(&s->world->message[id].consumed, 1);
    kit_true(info.tag == tag && tag == TAG_OF(id));
    return (int)id;
}

/* ---- passing over */

static void send_four(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 8; id < 12; id++) {
        kit_true(send_tagged(s, s->sender, id, 0) >= 0);
    }
}

static void receive_the_odd_ones(struct crash_stage *s)
{
    kit_gives(receive_tagged(s, s->mine, ODD, 0), 9);
    kit_gives(receive_tagged(s, s->mine, ODD, 0), 11);
    kit_gives(receive_tagged(s, s->mine, ODD, 0), -EAGAIN);
}

static void take_the_rest(struct crash_stage *s)
{
    receive_the_odd_ones(s);
    kit_gives(crash_receive(s, s->mine, 0), 8);
    kit_gives(receive_tagged(s, s->mine, 1, 0), 10);
}

/* The one that comes behind asks, too. */
static void asks_as_well(struct crash_stage *s)
{
    crash_opens_or_not(s);
    if (s->mine != NULL) {
        (void)send_tagged(s, s->mine, CRASH_SECOND + 1, 0);
        (void)receive_tagged(s, s->mine, ODD, 0);
    }
    (void)tong_close(s->mine);
}

static void passing_over(void)
{
    const struct crash_scene scene = { .operation = "tong_receive_with",
                                       .role = "receiver that passes over, capacity n",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = send_four,
                                       .ready = crash_open_receiver,
                                       .act = take_the_rest,
                                       .second = asks_as_well };
    crash_all(&scene);
}

/* A claim of an odd one. */
static int claim_tagged(struct crash_stage *s, tong_mailbox *box, tong_message *ret_message)
{
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    want.tag = ODD;
    *ret_message = (tong_message)TONG_MESSAGE_INIT;
    const int r = tong_claim_with(box, &want, 0, ret_message);
    if (r < 0) {
        return r;
    }
    const uint32_t id = crash_know(ret_message->data, ret_message->len);
    if (atomic_fetch_add(&s->world->message[id].handed, 1) != 0 && ret_message->deliveries < 2) {
        kit_fail("message %u is handed out again without a mark", id);
    }
    return (int)id;
}

static void claim_the_odd_ones(struct crash_stage *s)
{
    kit_gives(claim_tagged(s, s->mine, &s->claim[0]), 9);
    kit_gives(claim_tagged(s, s->mine, &s->claim[1]), 11);
    crash_done(s, s->mine, 11, &s->claim[1]);
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[1]), 8);
    crash_done(s, s->mine, 9, &s->claim[0]);
}

static void claiming(void)
{
    const struct crash_scene scene = { .operation = "tong_claim_with tong_done",
                                       .role = "claim holder that passes over, capacity n",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = send_four,
                                       .ready = crash_open_receiver,
                                       .act = claim_the_odd_ones,
                                       .second = asks_as_well };
    crash_all(&scene);
}

static tong_options lossy(void)
{
    tong_options options = kit_options();
    options.full = TONG_DROP_OLDEST;
    options.link_capacity = 4;
    return options;
}

static void passing_over_what_may_be_dropped(void)
{
    const struct crash_scene scene = { .operation = "tong_receive_with",
                                       .role = "receiver that passes over, the oldest may be "
                                               "dropped",
                                       .options = lossy,
                                       .lost = 1,
                                       .before = send_four,
                                       .ready = crash_open_receiver,
                                       .act = receive_the_odd_ones,
                                       .second = asks_as_well };
    crash_all(&scene);
}

/* Its sender waits for the room of one, and gets it. */
static void four_and_blocked(struct crash_stage *s)
{
    send_four(s);
    s->helper[1] = kit_spawn(crash_blocked, s);
    kit_until_blocked(CRASH_BOX, 1);
}

static void end_the_blocked(struct crash_stage *s)
{
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    }
    crash_drain(s, s->box);
    kit_until(crash_has_ended(&s->helper[1]));
    kit_join(&s->helper[1]);
    kit_equal(atomic_load(&s->world->answer[1]), 0);
}

static void passing_over_with_a_sender_blocked(void)
{
    const struct crash_scene scene = { .operation = "tong_receive_with",
                                       .role = "receiver that passes over, a sender blocked",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = four_and_blocked,
                                       .ready = crash_open_receiver,
                                       .act = receive_the_odd_ones,
                                       .second = asks_as_well,
                                       .finish = end_the_blocked };
    crash_all(&scene);
}

/* ---- asleep */

/* Rung for one that is the other's, and then for its own. */
static void wait_for_an_odd_one(struct crash_stage *s)
{
    kit_gives(receive_tagged(s, s->mine, ODD, TONG_FOREVER), 17);
}

static void one_for_each(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || kit_stat(CRASH_BOX).receivers_asleep == 2);
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(send_tagged(s, s->sender, 16, 0));
    kit_ok(send_tagged(s, s->sender, 17, 0));
}

static void asleep_beside_one_that_takes_all(void)
{
    const struct crash_scene scene = { .operation = "tong_receive_with",
                                       .role = "receiver asleep that asks, behind another one",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_receiver,
                                       .act = wait_for_an_odd_one,
                                       .meanwhile = one_for_each,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

/* The other one asks, this one takes all. */
static int receive_the_odd_ones_for_ever(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    int id;
    do {
        id = receive_tagged(s, box, ODD, TONG_FOREVER);
    } while (id >= 0 && id != (int)CRASH_END);
    kit_ok(tong_close(box));
    return 0;
}

static void start_one_that_asks(struct crash_stage *s)
{
    s->helper[0] = kit_spawn(receive_the_odd_ones_for_ever, s);
    kit_until_asleep(CRASH_BOX, 1);
}

static void wait_for_any(struct crash_stage *s)
{
    kit_gives(crash_receive(s, s->mine, TONG_FOREVER), 16);
}

/* What nobody asks for is left to who comes. */
static void end_one_that_asks(struct crash_stage *s)
{
    kit_until(atomic_load(&s->world->message[17].consumed) != 0);
    kit_ok(send_tagged(s, s->sender, CRASH_END, KIT_PATIENCE));
    kit_join(&s->helper[0]);
}

static void asleep_beside_one_that_asks(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver asleep, behind one that asks",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = start_one_that_asks,
                                       .ready = crash_open_receiver,
                                       .act = wait_for_any,
                                       .meanwhile = one_for_each,
                                       .finish = end_one_that_asks };
    crash_all(&scene);
}

static void wait_in_vain(struct crash_stage *s)
{
    kit_gives(receive_tagged(s, s->mine, ODD, TONG_MS(5)), -ETIMEDOUT);
}

static void one_that_is_not_its_own(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || kit_stat(CRASH_BOX).receivers_asleep == 2 ||
              kit_stat(CRASH_BOX).receivers == 1);
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(send_tagged(s, s->sender, 16, 0));
}

static void asks_in_vain(void)
{
    const struct crash_scene scene = { .operation = "tong_receive_with",
                                       .role = "receiver that asks and times out, behind another "
                                               "one",
                                       .options = crash_bounded,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_receiver,
                                       .act = wait_in_vain,
                                       .meanwhile = one_that_is_not_its_own,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void meet_an_odd_one(struct crash_stage *s)
{
    kit_gives(receive_tagged(s, s->mine, ODD, TONG_FOREVER), 17);
}

static void offer_both(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || kit_stat(CRASH_BOX).receivers_asleep == 2);
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(send_tagged(s, s->sender, 16, KIT_PATIENCE));
    kit_ok(send_tagged(s, s->sender, 17, KIT_PATIENCE));
}

static void asks_at_a_rendezvous(void)
{
    const struct crash_scene scene = { .operation = "tong_receive_with",
                                       .role = "receiver asleep that asks, capacity 0",
                                       .options = crash_rendezvous,
                                       .lost = 1,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_receiver,
                                       .act = meet_an_odd_one,
                                       .meanwhile = offer_both,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(passing_over, 240),
    KIT_TEST_LONG(claiming, 240),
    KIT_TEST_LONG(passing_over_what_may_be_dropped, 240),
    KIT_TEST_LONG(passing_over_with_a_sender_blocked, 240),
    KIT_TEST_LONG(asleep_beside_one_that_takes_all, 240),
    KIT_TEST_LONG(asleep_beside_one_that_asks, 240),
    KIT_TEST_LONG(asks_in_vain, 240),
    KIT_TEST_LONG(asks_at_a_rendezvous, 240),
};

KIT_MAIN(tests)
