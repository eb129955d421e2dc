/*
 * A receiver is killed at every point of what it does where a policy chooses among those who wait:
 * see crash_test.h and choice.c.
 */
#include "mailbox/mailbox.h"

#include <errno.h>

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

/* ---- options */

static tong_options by(uint32_t delivery)
{
    tong_options options = kit_capacity(4);
    options.delivery = delivery;
    return options;
}

static tong_options round_robin(void)
{
    return by(TONG_ROUND_ROBIN);
}

static tong_options by_lot(void)
{
    return by(TONG_RANDOM);
}

static tong_options least_loaded(void)
{
    return by(TONG_LEAST_LOADED);
}

/* ---- acts */

/* The other one may take all that comes. */
static void receive_until_time_out(struct crash_stage *s)
{
    const int r = crash_receive(s, s->mine, TONG_MS(20));
    kit_true(r >= 0 || r == -ETIMEDOUT);
}

static void send_eight_and_nine(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(crash_send(s, s->sender, 8, KIT_PATIENCE));
    kit_ok(crash_send(s, s->sender, 9, KIT_PATIENCE));
}

/* The victim sleeps or is dead, beside another one. */
static void wake_two(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || kit_stat(CRASH_BOX).receivers_asleep == 2);
    send_eight_and_nine(s);
}

static void send_one(struct crash_stage *s)
{
    kit_ok(crash_send(s, s->mine, 1, 0));
}

static void receive_two(struct crash_stage *s)
{
    kit_true(crash_receive(s, s->mine, 0) >= 0);
    kit_true(crash_receive(s, s->mine, 0) >= 0);
}

/* ---- beside another one */

static void a_receive_in_turn(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver, round-robin",
                                       .options = round_robin,
                                       .lost = 1,
                                       .before = crash_send_three,
                                       .ready = crash_open_receiver,
                                       .act = receive_two };
    crash_all(&scene);
}

static void a_sleeper_in_turn(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver asleep beside another one, round-robin",
                                       .options = round_robin,
                                       .lost = 1,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_receiver,
                                       .act = receive_until_time_out,
                                       .meanwhile = wake_two,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void a_sleeper_by_lot(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver asleep beside another one, random",
                                       .options = by_lot,
                                       .lost = 1,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_receiver,
                                       .act = receive_until_time_out,
                                       .meanwhile = wake_two,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void a_send_in_turn(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender, round-robin, a receiver asleep",
                                       .options = round_robin,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_sender,
                                       .act = send_one,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

/* ---- the one chosen is not known to the one asleep before it came */

static int claim_for_ever(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    kit_true(crash_claim(s, box, TONG_FOREVER, &s->claim[0]) >= 0);
    kit_await_death();
}

/* The turns are: helper 1, the victim, helper 0. Both helpers sleep before it comes; helper 1 is
 * first and told of it, helper 0 is not. */
static void two_asleep_around_a_free_slot(struct crash_stage *s)
{
    s->helper[1] = kit_spawn(claim_for_ever, s);
    kit_until_asleep(CRASH_BOX, 1);
    tong_mailbox *free_slot = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    s->helper[0] = kit_spawn(crash_receiver, s);
    kit_until_asleep(CRASH_BOX, 2);
    kit_ok(tong_close(free_slot));
}

static void wake_three(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || kit_stat(CRASH_BOX).receivers_asleep == 3);
    send_eight_and_nine(s);
}

/* Helper 1 keeps what it has until nothing waits: it is the victim, or helper 0, who took the rest. */
static void end_both(struct crash_stage *s)
{
    kit_until(kit_stat(CRASH_BOX).waiting == 0);
    kit_kill(&s->helper[1]);
    crash_end_receiver(s);
}

static void a_chosen_one_that_came_late(void)
{
    const struct crash_scene scene = { .operation = "tong_open tong_receive",
                                       .role = "receiver that came late and is first, round-robin",
                                       .options = round_robin,
                                       .lost = 1,
                                       .before = two_asleep_around_a_free_slot,
                                       .ready = crash_open_receiver,
                                       .act = receive_until_time_out,
                                       .meanwhile = wake_three,
                                       .finish = end_both };
    crash_all(&scene);
}

/* ---- claims */

/* What comes in 20 ms, twice; then all of it is done. */
static void claim_and_claim(struct crash_stage *s)
{
    int id[2];
    for (int i = 0; i < 2; i++) {
        id[i] = crash_claim(s, s->mine, TONG_MS(20), &s->claim[i]);
        kit_true(id[i] >= 0 || id[i] == -ETIMEDOUT);
    }
    for (int i = 0; i < 2; i++) {
        if (id[i] >= 0) {
            crash_done(s, s->mine, id[i], &s->claim[i]);
        }
    }
}

static void a_claim_by_load(void)
{
    const struct crash_scene scene = { .operation = "tong_claim tong_done",
                                       .role = "claim holder beside another one, least-loaded",
                                       .options = least_loaded,
                                       .lost = 1,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_receiver,
                                       .act = claim_and_claim,
                                       .meanwhile = wake_two,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

/* ---- a switch */

static size_t the_first(const tong_waiting *waiting, size_t n, void *arg)
{
    (void)waiting;
    (void)n;
    (void)arg;
    return 0;
}

/* This process, and those it starts from now on, know it. */
static void receiver_with_a_policy(struct crash_stage *s)
{
    const int r = tong_policy_register("first", the_first, NULL);
    kit_true(r == 0 || r == -EEXIST);
    crash_start_receiver(s);
}

static void set_delivery(tong_mailbox *box, uint32_t delivery, const char *policy)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.delivery = delivery;
    options.policy = policy;
    kit_ok(tong_set(box, &options, TONG_SET_DELIVERY));
}

static void set_round_robin(struct crash_stage *s)
{
    set_delivery(s->mine, TONG_ROUND_ROBIN, NULL);
}

static void set_own(struct crash_stage *s)
{
    set_delivery(s->mine, TONG_OWN, "first");
}

static void set_exclusive(struct crash_stage *s)
{
    set_delivery(s->mine, TONG_EXCLUSIVE, NULL);
}

static void a_switch(void)
{
    const struct crash_scene scene = { .operation = "tong_set",
                                       .role = "setter, a receiver asleep",
                                       .options = crash_bounded,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_sender,
                                       .act = set_round_robin,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void a_switch_to_an_own_policy(void)
{
    const struct crash_scene scene = { .operation = "tong_set",
                                       .role = "setter of an own policy, a receiver asleep",
                                       .options = crash_bounded,
                                       .before = receiver_with_a_policy,
                                       .ready = crash_open_sender,
                                       .act = set_own,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void two_receivers(struct crash_stage *s)
{
    crash_start_receiver(s);
    s->helper[1] = kit_spawn(crash_receiver, s);
    kit_until_asleep(CRASH_BOX, 2);
}

/* Where the test keeps the handle it made the mailbox with, that one came first, and the helper is
 * refused, too. */
static void end_the_helper(struct crash_stage *s)
{
    kit_until(crash_has_ended(&s->helper[0]) || crash_all_received(s));
    if (crash_has_ended(&s->helper[0])) {
        kit_true(s->box != NULL && atomic_load(&s->world->answer[0]) == -EBUSY);
        kit_join(&s->helper[0]);
    } else {
        crash_end_receiver(s);
    }
}

/* The one that came later is refused, or has not heard of it. */
static void end_the_first(struct crash_stage *s)
{
    kit_kill(&s->helper[1]);
    end_the_helper(s);
}

static void a_switch_to_exclusive(void)
{
    const struct crash_scene scene = { .operation = "tong_set",
                                       .role = "setter to exclusive, two receivers asleep",
                                       .options = crash_bounded,
                                       .before = two_receivers,
                                       .ready = crash_open_sender,
                                       .act = set_exclusive,
                                       .finish = end_the_first };
    crash_all(&scene);
}

static void receive_until_refused(struct crash_stage *s)
{
    kit_gives(crash_receive(s, s->mine, TONG_FOREVER), -EBUSY);
}

static void make_it_exclusive(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || kit_stat(CRASH_BOX).receivers_asleep == 2);
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    set_delivery(s->sender, TONG_EXCLUSIVE, NULL);
}

static void one_too_many(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver asleep that is one too many",
                                       .options = crash_bounded,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_receiver,
                                       .act = receive_until_refused,
                                       .meanwhile = make_it_exclusive,
                                       .finish = end_the_helper };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_switch, 240),
    KIT_TEST_LONG(a_switch_to_an_own_policy, 240),
    KIT_TEST_LONG(a_switch_to_exclusive, 240),
    KIT_TEST_LONG(one_too_many, 240),
    KIT_TEST_LONG(a_receive_in_turn, 240),
    KIT_TEST_LONG(a_sleeper_in_turn, 240),
    KIT_TEST_LONG(a_sleeper_by_lot, 240),
    KIT_TEST_LONG(a_send_in_turn, 240),
    KIT_TEST_LONG(a_chosen_one_that_came_late, 240),
    KIT_TEST_LONG(a_claim_by_load, 240),
};

KIT_MAIN(tests)
