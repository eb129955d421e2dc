/*
 * Who meets whom: a waiter and what wakes it, first. A is the one that is stopped at each of its
 * places.
 */
#include "pairs.h"

#define LAST 30u /* this message and the next end a receiver */

/* ---- states */

static bool is_promised(const struct pair_case *c, uint32_t id)
{
    return atomic_load(&c->stage.world->message[id].promised) != 0;
}

static bool is_consumed(const struct pair_case *c, uint32_t id)
{
    return atomic_load(&c->stage.world->message[id].consumed) != 0;
}

/* ---- receivers that go to sleep */

static void receive_until_told(struct crash_stage *s)
{
    int id;
    do {
        id = crash_receive(s, s->mine, TONG_FOREVER);
        kit_true(id >= 0);
    } while (id != (int)LAST && id != (int)LAST + 1);
}

static void receiver_ready(struct crash_stage *s)
{
    crash_open_receiver(s);
    kit_gives(crash_receive(s, s->mine, KIT_PATIENCE), 0);
}

static void sender_ready(struct crash_stage *s)
{
    crash_open_sender(s);
    kit_ok(crash_send(s, s->mine, 0, KIT_PATIENCE));
}

static void send_one(struct crash_stage *s)
{
    kit_ok(crash_send(s, s->mine, 1, 0));
}

static void send_waiting(struct crash_stage *s)
{
    kit_ok(crash_send(s, s->mine, 1, TONG_FOREVER));
}

static int another_receiver(void *arg)
{
    struct crash_stage *s = arg;
    crash_open_receiver(s);
    receive_until_told(s);
    kit_ok(tong_close(s->mine));
    return 0;
}

/* It waits for a message, or for the token, to come in at all. */
static void another_behind(struct crash_stage *s)
{
    s->helper[0] = kit_spawn(another_receiver, s);
    kit_until(kit_sleeps(s->helper[0].pid));
}

static bool is_received(const struct pair_case *c)
{
    const bool receiver = c->killed != PAIR_A || c->stage.helper[0].pid != 0;
    return !receiver || !is_promised(c, 1) || is_consumed(c, 1);
}

static void end_receivers(struct pair_case *c)
{
    const uint32_t n = (c->killed != PAIR_A ? 1u : 0u) + (c->stage.helper[0].pid != 0 ? 1u : 0u);
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t i = 0; i < n; i++) {
        kit_ok(crash_send(&c->stage, box, LAST + i, KIT_PATIENCE));
    }
    kit_ok(tong_close(box));
}

/* ---- a claim comes back */

static void one_waits(struct crash_stage *s)
{
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(crash_send(s, box, 8, 0));
    kit_ok(tong_close(box));
}

static void claim_ready(struct crash_stage *s)
{
    crash_open_receiver(s);
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[0]), 8);
    kit_event_set(&s->world->event[0]);
}

static void return_it(struct crash_stage *s)
{
    kit_ok(tong_return(s->mine, &s->claim[0]));
}

static void finish_it(struct crash_stage *s)
{
    crash_done(s, s->mine, 8, &s->claim[0]);
}

static void behind_a_claim(struct crash_stage *s)
{
    kit_event_wait(&s->world->event[0]);
    crash_open_receiver(s);
}

static bool is_received_again(const struct pair_case *c)
{
    return c->killed == PAIR_A || is_consumed(c, 8);
}

/* ---- blocked senders */

static void three_wait(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 8; id < 11; id++) {
        kit_ok(crash_send(s, s->sender, id, 0));
    }
}

/* It fills what the claim holder left. */
static void sender_ready_behind_a_claim(struct crash_stage *s)
{
    kit_event_wait(&s->world->event[0]);
    sender_ready(s);
}

static void receive_one(struct crash_stage *s)
{
    kit_true(crash_receive(s, s->mine, 0) >= 0);
}

/* A receiver rings a link that is new to it whatever it finds; here it knows the link. */
static void receiver_that_knows(struct crash_stage *s)
{
    kit_event_wait(&s->world->event[2]);
    crash_open_receiver(s);
    receive_one(s);
    kit_event_set(&s->world->event[0]);
}

static void fill_known_link(struct crash_stage *s)
{
    crash_open_sender(s);
    kit_ok(crash_send(s, s->mine, 7, 0));
    kit_event_set(&s->world->event[2]);
    kit_event_wait(&s->world->event[0]);
    for (uint32_t id = 8; id < 12; id++) {
        kit_ok(crash_send(s, s->mine, id, 0));
    }
}

/* Three wait: four, three, four. */
static void fill_with_known_link(struct crash_stage *s)
{
    crash_open_sender(s);
    kit_ok(crash_send(s, s->mine, 0, 0));
    kit_event_set(&s->world->event[2]);
    kit_event_wait(&s->world->event[0]);
    kit_ok(crash_send(s, s->mine, 2, 0));
}

static bool has_got_through(const struct pair_case *c)
{
    return c->killed == PAIR_A || (c->killed == PAIR_B && !c->b_over) || is_promised(c, 1);
}

/* The blocked sender lives: somebody receives, so that it gets through. Where there is a capacity one
 * message is enough, and the others are left to who waits for one. */
static void receive_for_it(struct pair_case *c)
{
    const uint32_t id = c->stage.helper[1].pid != 0 ? 24 : 1;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    if (c->stage.options.capacity != 0) {
        kit_true(crash_receive(&c->stage, box, KIT_PATIENCE) >= 0);
        kit_until(is_promised(c, id));
    }
    while (!is_promised(c, id)) {
        const int r = crash_receive(&c->stage, box, TONG_MS(5));
        kit_true(r >= 0 || r == -ETIMEDOUT);
    }
    kit_ok(tong_close(box));
}

static void receive_if_b_did_not(struct pair_case *c)
{
    if (c->killed == PAIR_B) {
        receive_for_it(c);
    }
}

/* ---- who finished a claim and who has the token */

static void four_wait_and_one_is_blocked(struct crash_stage *s)
{
    three_wait(s);
    kit_ok(crash_send(s, s->sender, 11, 0));
    s->helper[1] = kit_spawn(crash_blocked, s);
    kit_until_blocked(CRASH_BOX, 1);
}

static void open_receiver(struct crash_stage *s)
{
    crash_open_receiver(s);
}

static void receive_patiently(struct crash_stage *s)
{
    kit_true(crash_receive(s, s->mine, KIT_PATIENCE) >= 0);
    kit_event_set(&s->world->event[1]);
}

static void claim_next(struct crash_stage *s)
{
    kit_true(crash_claim(s, s->mine, KIT_PATIENCE, &s->claim[1]) >= 0);
}

/* What was finished is room, and nobody else frees any. A token holder that dies leaves that to whoever
 * takes the token next. */
static bool is_blocked_no_more(const struct pair_case *c)
{
    return c->killed != PAIR_NONE || is_promised(c, 24);
}

/* ---- two of one side */

static void other_sender_ready(struct crash_stage *s)
{
    crash_open_sender(s);
    kit_ok(crash_send(s, s->mine, 16, 0));
}

static void send_other(struct crash_stage *s)
{
    kit_ok(crash_send(s, s->mine, 17, 0));
}

static void short_ready(struct crash_stage *s)
{
    crash_open_receiver(s);
    receive_one(s);
}

static void join_and_receive(struct crash_stage *s)
{
    crash_open_receiver(s);
    receive_patiently(s);
}

/* ---- rendezvous */

static bool have_met(const struct pair_case *c)
{
    return c->killed != PAIR_NONE || (is_promised(c, 1) && is_consumed(c, 1));
}

static void end_receiver_or_receive(struct pair_case *c)
{
    if (c->killed == PAIR_A) {
        receive_for_it(c);
    } else {
        end_receivers(c);
    }
}

/* The receiver got what the dead one had on offer, or gets this one. */
static void offer_or_receive(struct pair_case *c)
{
    struct crash_message *last = &c->stage.world->message[LAST];
    if (c->killed == PAIR_B) {
        receive_for_it(c);
    }
    if (c->killed != PAIR_A) {
        return;
    }
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND, NULL);
    while (atomic_load(&c->stage.world->event[1]) == 0) {
        const int r = crash_send(&c->stage, box, LAST, TONG_MS(5));
        kit_true(r == 0 || r == -ETIMEDOUT);
        if (r == 0) {
            break;
        }
        atomic_store(&last->refused, 0);
    }
    kit_ok(tong_close(box));
}

static void send_briefly(struct crash_stage *s)
{
    const int r = crash_send(s, s->mine, 1, TONG_MS(1));
    kit_true(r == 0 || r == -ETIMEDOUT);
}

static void receive_if_there(struct crash_stage *s)
{
    const int r = crash_receive(s, s->mine, 0);
    kit_true(r >= 0 || r == -EAGAIN);
}

/* ---- the table */

#define CALL(f) ((step_call *)(f))

const struct pair_scene pair_scenes[] = {
    { .operation = "tong_receive tong_send",
      .role = "receiver going to sleep, sender",
      .options = crash_unbounded,
      .a = { receiver_ready, receive_until_told, { CALL(tong_receive) }, 0 },
      .b = { sender_ready, send_one, { CALL(tong_send) }, 0 },
      .settled = is_received,
      .finish = end_receivers },
    { .operation = "tong_receive tong_send",
      .role = "receiver going to sleep, one behind it, sender",
      .options = crash_bounded,
      .a = { receiver_ready, receive_until_told, { CALL(tong_receive) }, 0 },
      .b = { sender_ready, send_one, { CALL(tong_send) }, 0 },
      .between = another_behind,
      .settled = is_received,
      .finish = end_receivers },
    { .operation = "tong_receive tong_return",
      .role = "receiver going to sleep, claim holder",
      .options = crash_bounded,
      .before = one_waits,
      .a = { behind_a_claim, receive_until_told, { CALL(tong_receive) }, 0 },
      .b = { claim_ready, return_it, { CALL(tong_return) }, 0 },
      .settled = is_received_again,
      .finish = end_receivers },
    { .operation = "tong_send tong_receive",
      .role = "sender going to sleep, receiver, capacity n",
      .options = crash_bounded,
      .before = three_wait,
      .a = { fill_with_known_link, send_waiting, { CALL(tong_send) }, 0 },
      .b = { receiver_that_knows, receive_patiently, { CALL(tong_receive) }, 1 },
      .settled = has_got_through,
      .finish = receive_if_b_did_not },
    { .operation = "tong_send tong_receive",
      .role = "sender going to sleep, receiver, link_capacity",
      .options = crash_link_bounded,
      .a = { fill_known_link, send_waiting, { CALL(tong_send) }, 0 },
      .b = { receiver_that_knows, receive_patiently, { CALL(tong_receive) }, 1 },
      .settled = has_got_through,
      .finish = receive_if_b_did_not },
    { .operation = "tong_send tong_done",
      .role = "sender going to sleep, claim holder, capacity n",
      .options = crash_bounded,
      .before = three_wait,
      .a = { sender_ready_behind_a_claim, send_waiting, { CALL(tong_send) }, 0 },
      .b = { claim_ready, finish_it, { CALL(tong_done) }, 1 },
      .settled = has_got_through,
      .finish = receive_if_b_did_not },
    { .operation = "tong_claim tong_done",
      .role = "token holder, claim holder, a sender blocked",
      .options = crash_bounded,
      .before = four_wait_and_one_is_blocked,
      .a = { open_receiver, claim_next, { CALL(tong_claim) }, 0 },
      .b = { claim_ready, finish_it, { CALL(tong_done) }, 1 },
      .settled = is_blocked_no_more,
      .finish = receive_for_it },
    { .operation = "tong_done tong_claim",
      .role = "claim holder, token holder, a sender blocked",
      .options = crash_bounded,
      .before = four_wait_and_one_is_blocked,
      .a = { claim_ready, finish_it, { CALL(tong_done) }, 1 },
      .b = { open_receiver, claim_next, { CALL(tong_claim) }, 0 },
      .settled = is_blocked_no_more,
      .finish = receive_for_it },
    { .operation = "tong_send tong_send",
      .role = "two senders, capacity n",
      .options = crash_bounded,
      .a = { sender_ready, send_one, { CALL(tong_send) }, 0 },
      .b = { other_sender_ready, send_other, { CALL(tong_send) }, 0 } },
    { .operation = "tong_receive tong_open",
      .role = "only receiver, another one that joins",
      .options = crash_unbounded,
      .before = crash_send_three,
      .a = { short_ready, receive_patiently, { CALL(tong_receive) }, 1 },
      .b = { NULL, join_and_receive, { CALL(tong_open), CALL(tong_receive) }, 1 } },
    { .operation = "tong_receive tong_send",
      .role = "receiver going to sleep, sender, capacity 0",
      .options = crash_rendezvous,
      .a = { receiver_ready, receive_until_told, { CALL(tong_receive) }, 0 },
      .b = { sender_ready, send_waiting, { CALL(tong_send) }, 0 },
      .settled = have_met,
      .finish = end_receiver_or_receive },
    { .operation = "tong_send tong_receive",
      .role = "sender going to sleep, receiver, capacity 0",
      .options = crash_rendezvous,
      .a = { sender_ready, send_waiting, { CALL(tong_send) }, 0 },
      .b = { receiver_ready, receive_patiently, { CALL(tong_receive) }, 1 },
      .settled = have_met,
      .finish = offer_or_receive },
    { .operation = "tong_send tong_receive",
      .role = "sender that takes its offer back, receiver, capacity 0",
      .options = crash_rendezvous,
      .a = { sender_ready, send_briefly, { CALL(tong_send) }, 0 },
      .b = { receiver_ready, receive_if_there, { CALL(tong_receive) }, 1 },
      .sleeps_on = true },
};

const uint32_t pair_n_scenes = sizeof(pair_scenes) / sizeof(pair_scenes)[0];
