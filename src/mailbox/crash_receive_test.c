/*
 * A receiver is killed at every point of what it does: see crash_test.h.
 */
#include "mailbox/mailbox.h"

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

/* ---- taking */

static void receive_one(struct crash_stage *s)
{
    kit_true(crash_receive(s, s->mine, 0) >= 0);
}

static void a_first_receive(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver, first call: takes the token",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = crash_send_three,
                                       .ready = crash_open_receiver,
                                       .act = receive_one };
    crash_all(&scene);
}

static void short_ready(struct crash_stage *s)
{
    crash_open_receiver(s);
    receive_one(s);
}

static void a_receive_the_short_way(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver, the short way",
                                       .options = crash_unbounded,
                                       .lost = 1,
                                       .before = crash_send_three,
                                       .ready = short_ready,
                                       .act = receive_one };
    crash_all(&scene);
}

static void send_two_long(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(crash_send(s, s->sender, CRASH_LONG + 2, 0));
    kit_ok(crash_send(s, s->sender, CRASH_LONG + 4, 0));
}

static void receive_two(struct crash_stage *s)
{
    receive_one(s);
    receive_one(s);
}

static void a_receive_of_long_messages(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver of long messages",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = send_two_long,
                                       .ready = crash_open_receiver,
                                       .act = receive_two };
    crash_all(&scene);
}

static void skip_one(struct crash_stage *s)
{
    kit_gives(tong_skip(s->mine), (int64_t)crash_len(8));
    atomic_fetch_add(&s->world->message[8].consumed, 1);
}

static void a_skip(void)
{
    const struct crash_scene scene = { .operation = "tong_skip",
                                       .role = "receiver",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = crash_send_three,
                                       .ready = crash_open_receiver,
                                       .act = skip_one };
    crash_all(&scene);
}

static void receive_all_three(struct crash_stage *s)
{
    static uint8_t bytes[3][64];
    struct iovec buffers[3];
    size_t lens[3];
    for (int i = 0; i < 3; i++) {
        buffers[i] = (struct iovec){ .iov_base = bytes[i], .iov_len = sizeof(bytes[i]) };
    }
    kit_gives(tong_receive_many(s->mine, buffers, 3, 0, lens), 3);
    for (int i = 0; i < 3; i++) {
        atomic_fetch_add(&s->world->message[crash_know(bytes[i], lens[i])].consumed, 1);
    }
}

static void receive_many(void)
{
    const struct crash_scene scene = { .operation = "tong_receive_many",
                                       .role = "receiver",
                                       .options = crash_bounded,
                                       .lost = 3,
                                       .before = crash_send_three,
                                       .ready = crash_open_receiver,
                                       .act = receive_all_three };
    crash_all(&scene);
}

/* ---- claims */

static void claim_two(struct crash_stage *s)
{
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[0]), 8);
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[1]), 9);
}

static void a_claim(void)
{
    const struct crash_scene scene = { .operation = "tong_claim",
                                       .role = "receiver: becomes claim holder",
                                       .options = crash_bounded,
                                       .before = crash_send_three,
                                       .ready = crash_open_receiver,
                                       .act = claim_two };
    crash_all(&scene);
}

static void claim_ready(struct crash_stage *s)
{
    crash_open_receiver(s);
    claim_two(s);
}

static void finish_first(struct crash_stage *s)
{
    crash_done(s, s->mine, 8, &s->claim[0]);
}

static void finish_second(struct crash_stage *s)
{
    crash_done(s, s->mine, 9, &s->claim[1]);
}

static void a_done(void)
{
    const struct crash_scene scene = { .operation = "tong_done",
                                       .role = "claim holder",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = crash_send_three,
                                       .ready = claim_ready,
                                       .act = finish_first };
    crash_all(&scene);
}

static void a_done_out_of_order(void)
{
    const struct crash_scene scene = { .operation = "tong_done",
                                       .role = "claim holder, out of order",
                                       .options = crash_link_bounded,
                                       .lost = 1,
                                       .before = crash_send_three,
                                       .ready = claim_ready,
                                       .act = finish_second };
    crash_all(&scene);
}

static void return_both(struct crash_stage *s)
{
    kit_ok(tong_return(s->mine, &s->claim[1]));
    kit_ok(tong_return(s->mine, &s->claim[0]));
}

static void a_return(void)
{
    const struct crash_scene scene = { .operation = "tong_return",
                                       .role = "claim holder",
                                       .options = crash_bounded,
                                       .before = crash_send_three,
                                       .ready = claim_ready,
                                       .act = return_both };
    crash_all(&scene);
}

/* Two messages lie returned in the slot of a receiver that is gone. */
static int returner(void *arg)
{
    struct crash_stage *s = arg;
    claim_ready(s);
    return_both(s);
    kit_ok(tong_close(s->mine));
    return 0;
}

static void returned_before(struct crash_stage *s)
{
    crash_send_three(s);
    struct kit_child child = kit_spawn(returner, s);
    kit_join(&child);
    /* Somebody has that slot now, so that the victim moves the claim into another one. */
    s->extra = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
}

static void claim_one(struct crash_stage *s)
{
    kit_true(crash_claim(s, s->mine, 0, &s->claim[0]) >= 0);
}

static void a_claim_of_a_returned_message(void)
{
    const struct crash_scene scene = { .operation = "tong_claim",
                                       .role = "receiver of a returned message",
                                       .options = crash_bounded,
                                       .before = returned_before,
                                       .ready = crash_open_receiver,
                                       .act = claim_one };
    crash_all(&scene);
}

static void a_receive_of_a_returned_message(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver of a returned message",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = returned_before,
                                       .ready = crash_open_receiver,
                                       .act = receive_one };
    crash_all(&scene);
}

/* ---- repairing what another dead one left, and dying of it */

/* Claims two and is killed at some point of a third claim, mostly with the token. */
static int dies_with_the_token(void *arg)
{
    struct crash_stage *s = arg;
    claim_ready(s);
    tg_point_arm(1 + (s->n + 3 * s->variant) % 10);
    (void)crash_claim(s, s->mine, 0, &s->claim[2]);
    _exit(0);
}

static void dead_with_the_token(struct crash_stage *s)
{
    crash_send_three(s);
    struct kit_child child = kit_spawn(dies_with_the_token, s);
    const int status = kit_join_status(&child);
    kit_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
}

static void a_repair(void)
{
    const struct crash_scene scene = { .operation = "tong_open tong_receive",
                                       .role =
                                           "receiver that repairs a dead token holder with claims",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = dead_with_the_token,
                                       .act = short_ready };
    crash_all(&scene);
}

/* ---- asleep */

static void receive_asleep(struct crash_stage *s)
{
    kit_true(crash_receive(s, s->mine, TONG_FOREVER) >= 0);
}

static void receive_until_time_out(struct crash_stage *s)
{
    const int r = crash_receive(s, s->mine, TONG_MS(1));
    kit_true(r >= 0 || r == -ETIMEDOUT);
}

static void send_both(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(crash_send(s, s->sender, 8, KIT_PATIENCE));
    kit_ok(crash_send(s, s->sender, 9, KIT_PATIENCE));
}

/* The victim sleeps or is dead, the other one sleeps; two messages come. */
static void wake_both(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || kit_stat(CRASH_BOX).receivers_asleep == 2);
    send_both(s);
}

static void the_second_sleeper(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver asleep, behind another one",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_receiver,
                                       .act = receive_asleep,
                                       .meanwhile = wake_both,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void wake_both_first(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || kit_stat(CRASH_BOX).receivers_asleep == 1);
    s->helper[0] = kit_spawn(crash_receiver, s);
    kit_until(crash_has_ended(victim) ? kit_stat(CRASH_BOX).receivers_asleep == 1
                                      : kit_stat(CRASH_BOX).receivers_asleep == 2);
    send_both(s);
}

static void the_first_sleeper(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver asleep, before another one",
                                       .options = crash_unbounded,
                                       .lost = 1,
                                       .ready = crash_open_receiver,
                                       .act = receive_asleep,
                                       .meanwhile = wake_both_first,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void send_after_the_end(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim));
    send_both(s);
}

static void a_sleeper_that_times_out(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver that times out, behind another one",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_receiver,
                                       .act = receive_until_time_out,
                                       .meanwhile = send_after_the_end,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void first_times_out(struct crash_stage *s, struct kit_child *victim)
{
    s->helper[0] = kit_spawn(crash_receiver, s);
    kit_until(crash_has_ended(victim));
    kit_until_asleep(CRASH_BOX, 1);
    send_both(s);
}

static void a_first_sleeper_that_times_out(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver that times out, before another one",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .ready = crash_open_receiver,
                                       .act = receive_until_time_out,
                                       .meanwhile = first_times_out,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

/* ---- waiting on two mailboxes */

static void open_two(struct crash_stage *s)
{
    crash_open_receiver(s);
    s->extra = kit_open(kit_name("other"), TONG_RECEIVE | TONG_CREATE, NULL);
}

static void wait_on_two(struct crash_stage *s)
{
    tong_mailbox *const boxes[] = { s->extra, s->mine };
    kit_gives(tong_wait_any(boxes, 2, TONG_FOREVER), 1);
    const int r = crash_receive(s, s->mine, 0);
    kit_true(r >= 0 || r == -EAGAIN);
}

static void end_two(struct crash_stage *s)
{
    crash_end_receiver(s);
    kit_ok(tong_remove(kit_name("other")));
}

static void a_wait_on_two(void)
{
    const struct crash_scene scene = { .operation = "tong_wait_any",
                                       .role = "receiver asleep on two, behind another one",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = crash_start_receiver,
                                       .ready = open_two,
                                       .act = wait_on_two,
                                       .meanwhile = wake_both,
                                       .finish = end_two };
    crash_all(&scene);
}

/* ---- coming and going beside a sleeper */

static void a_join(void)
{
    const struct crash_scene scene = { .operation = "tong_open",
                                       .role = "receiver that joins, another one asleep",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = crash_start_receiver,
                                       .act = crash_open_receiver,
                                       .meanwhile = send_after_the_end,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

/* Two claimed by the victim; then somebody falls asleep beside it. */
static void claims_beside_a_sleeper(struct crash_stage *s)
{
    claim_ready(s);
    receive_one(s);
    kit_event_set(&s->world->event[1]);
    kit_event_wait(&s->world->event[2]);
}

static void sleeper_beside_claims(struct crash_stage *s, struct kit_child *victim)
{
    (void)victim;
    kit_event_wait(&s->world->event[1]);
    crash_start_receiver(s);
    kit_event_set(&s->world->event[2]);
}

static void a_leave(void)
{
    const struct crash_scene scene = { .operation = "tong_close",
                                       .role = "claim holder that leaves, another one asleep",
                                       .options = crash_bounded,
                                       .before = crash_send_three,
                                       .ready = claims_beside_a_sleeper,
                                       .act = crash_close_mine,
                                       .meanwhile = sleeper_beside_claims,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void a_return_beside_a_sleeper(void)
{
    const struct crash_scene scene = { .operation = "tong_return",
                                       .role = "claim holder, another one asleep",
                                       .options = crash_bounded,
                                       .before = crash_send_three,
                                       .ready = claims_beside_a_sleeper,
                                       .act = return_both,
                                       .meanwhile = sleeper_beside_claims,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

/* ---- freeing room beside a blocked sender */

/* Room that is there is noticed without another call of a receiver (C1). */
static void blocked_gets_through(struct crash_stage *s)
{
    struct crash_message *m = s->world->message;
    kit_until(atomic_load(&m[24].promised) != 0 || crash_rooms_used() == 4);
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    }
    crash_drain(s, s->box);
    kit_until(atomic_load(&m[24].promised) != 0);
    kit_join(&s->helper[1]);
}

static void a_receive_that_frees_room(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver, a sender blocked by capacity",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = crash_full_and_blocked,
                                       .ready = crash_open_receiver,
                                       .act = receive_one,
                                       .finish = blocked_gets_through };
    crash_all(&scene);
}

static void a_done_that_frees_room(void)
{
    const struct crash_scene scene = { .operation = "tong_done",
                                       .role = "claim holder, a sender blocked by capacity",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = crash_full_and_blocked,
                                       .ready = claim_ready,
                                       .act = finish_first,
                                       .finish = blocked_gets_through };
    crash_all(&scene);
}

/* Claims two and is killed at some point of finishing one. */
static int dies_while_it_frees_room(void *arg)
{
    struct crash_stage *s = arg;
    claim_ready(s);
    atomic_store(&s->world->message[8].promised, 0); /* finished or not */
    tg_point_arm(1 + (s->n + 3 * s->variant) % 7);
    kit_ok(tong_done(s->mine, &s->claim[0]));
    _exit(0);
}

static void full_and_dead(struct crash_stage *s)
{
    crash_full_and_blocked(s);
    struct kit_child child = kit_spawn(dies_while_it_frees_room, s);
    (void)crash_dies(&child);
}

/* The room that the dead one had not freed is freed by who joins, before it is a receiver. */
static void a_repair_that_frees_room(void)
{
    const struct crash_scene scene = { .operation = "tong_open",
                                       .role =
                                           "receiver that repairs, a sender blocked by capacity",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = full_and_dead,
                                       .act = crash_open_receiver,
                                       .finish = blocked_gets_through };
    crash_all(&scene);
}

static void offer_gets_through(struct crash_stage *s)
{
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    }
    crash_drain(s, s->box);
    kit_until(atomic_load(&s->world->message[24].promised) != 0);
    kit_join(&s->helper[1]);
}

/* Its own link is full: four messages, and the fifth is blocked. */
static int fills_its_link(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 8; id < 12; id++) {
        kit_ok(crash_send(s, box, id, 0));
    }
    kit_ok(crash_send(s, box, 24, TONG_FOREVER));
    kit_ok(tong_close(box));
    return 0;
}

static void full_link(struct crash_stage *s)
{
    s->helper[1] = kit_spawn(fills_its_link, s);
    kit_until_blocked(CRASH_BOX, 1);
}

static bool link_is_full(void)
{
    struct tg_root *root = crash_root();
    struct tg_box_view view;
    kit_ok(tg_box_view_open(root, CRASH_NAME, false, &view));
    const bool full = tg_load_acquire(&view.rows[0].done) == 0;
    tg_box_view_close(&view);
    tg_root_put(root);
    return full;
}

static void full_link_gets_through(struct crash_stage *s)
{
    struct crash_message *m = s->world->message;
    kit_until(atomic_load(&m[24].promised) != 0 || link_is_full());
    offer_gets_through(s);
}

static void a_receive_that_frees_a_link(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver, a sender blocked by link_capacity",
                                       .options = crash_link_bounded,
                                       .lost = 1,
                                       .before = full_link,
                                       .ready = crash_open_receiver,
                                       .act = receive_one,
                                       .finish = full_link_gets_through };
    crash_all(&scene);
}

static void a_done_that_frees_a_link(void)
{
    const struct crash_scene scene = { .operation = "tong_done",
                                       .role = "claim holder, a sender blocked by link_capacity",
                                       .options = crash_link_bounded,
                                       .lost = 1,
                                       .before = full_link,
                                       .ready = claim_ready,
                                       .act = finish_first,
                                       .finish = full_link_gets_through };
    crash_all(&scene);
}

/* ---- rendezvous */

static void one_offered(struct crash_stage *s)
{
    s->helper[1] = kit_spawn(crash_blocked, s);
    kit_until_blocked(CRASH_BOX, 1);
}

static void receive_offered(struct crash_stage *s)
{
    kit_gives(crash_receive(s, s->mine, KIT_PATIENCE), 24);
}

static void a_rendezvous_receive(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver, capacity 0",
                                       .options = crash_rendezvous,
                                       .lost = 1,
                                       .before = one_offered,
                                       .ready = crash_open_receiver,
                                       .act = receive_offered,
                                       .finish = offer_gets_through };
    crash_all(&scene);
}

static void claim_offered(struct crash_stage *s)
{
    kit_gives(crash_claim(s, s->mine, KIT_PATIENCE, &s->claim[0]), 24);
    crash_done(s, s->mine, 24, &s->claim[0]);
}

static void claim_and_return_offered(struct crash_stage *s)
{
    kit_gives(crash_claim(s, s->mine, KIT_PATIENCE, &s->claim[0]), 24);
    kit_ok(tong_return(s->mine, &s->claim[0]));
    kit_gives(crash_claim(s, s->mine, KIT_PATIENCE, &s->claim[0]), 24);
}

static void a_rendezvous_return(void)
{
    const struct crash_scene scene = { .operation = "tong_claim tong_return",
                                       .role = "claim holder, capacity 0, returns",
                                       .options = crash_rendezvous,
                                       .before = one_offered,
                                       .ready = crash_open_receiver,
                                       .act = claim_and_return_offered,
                                       .finish = offer_gets_through };
    crash_all(&scene);
}

static void a_rendezvous_claim(void)
{
    const struct crash_scene scene = { .operation = "tong_claim tong_done",
                                       .role = "claim holder, capacity 0",
                                       .options = crash_rendezvous,
                                       .lost = 1,
                                       .before = one_offered,
                                       .ready = crash_open_receiver,
                                       .act = claim_offered,
                                       .finish = offer_gets_through };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_first_receive, 240),
    KIT_TEST_LONG(a_receive_the_short_way, 240),
    KIT_TEST_LONG(a_receive_of_long_messages, 240),
    KIT_TEST_LONG(a_skip, 240),
    KIT_TEST_LONG(receive_many, 240),
    KIT_TEST_LONG(a_claim, 240),
    KIT_TEST_LONG(a_done, 240),
    KIT_TEST_LONG(a_done_out_of_order, 240),
    KIT_TEST_LONG(a_return, 240),
    KIT_TEST_LONG(a_claim_of_a_returned_message, 240),
    KIT_TEST_LONG(a_receive_of_a_returned_message, 240),
    KIT_TEST_LONG(a_repair, 240),
    KIT_TEST_LONG(the_second_sleeper, 240),
    KIT_TEST_LONG(the_first_sleeper, 240),
    KIT_TEST_LONG(a_sleeper_that_times_out, 240),
    KIT_TEST_LONG(a_first_sleeper_that_times_out, 240),
    KIT_TEST_LONG(a_wait_on_two, 240),
    KIT_TEST_LONG(a_join, 240),
    KIT_TEST_LONG(a_leave, 240),
    KIT_TEST_LONG(a_return_beside_a_sleeper, 240),
    KIT_TEST_LONG(a_receive_that_frees_room, 240),
    KIT_TEST_LONG(a_done_that_frees_room, 240),
    KIT_TEST_LONG(a_repair_that_frees_room, 240),
    KIT_TEST_LONG(a_rendezvous_receive, 240),
    KIT_TEST_LONG(a_receive_that_frees_a_link, 240),
    KIT_TEST_LONG(a_done_that_frees_a_link, 240),
    KIT_TEST_LONG(a_rendezvous_claim, 240),
    KIT_TEST_LONG(a_rendezvous_return, 240),
};

KIT_MAIN(tests)
