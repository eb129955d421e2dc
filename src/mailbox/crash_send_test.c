/*
 * A sender is killed at every point of what it does: see crash_test.h.
 */
#include "mailbox/mailbox.h"

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

/* ---- into its own link */

static void send_one(struct crash_stage *s)
{
    kit_ok(crash_send(s, s->mine, 1, 0));
}

static void a_send_bounded(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender, capacity n",
                                       .options = crash_bounded,
                                       .ready = crash_own_link,
                                       .act = send_one };
    crash_all(&scene);
}

static void a_send_unbounded(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender, unbounded",
                                       .options = crash_unbounded,
                                       .ready = crash_own_link,
                                       .act = send_one };
    crash_all(&scene);
}

static void a_send_link_bounded(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender, link_capacity",
                                       .options = crash_link_bounded,
                                       .ready = crash_own_link,
                                       .act = send_one };
    crash_all(&scene);
}

/* ---- the first send makes a link */

static void a_first_send_bounded(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender without a link, capacity n",
                                       .options = crash_bounded,
                                       .ready = crash_open_sender,
                                       .act = send_one };
    crash_all(&scene);
}

static void a_first_send_unbounded(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender without a link, unbounded",
                                       .options = crash_unbounded,
                                       .ready = crash_open_sender,
                                       .act = send_one };
    crash_all(&scene);
}

/* ---- the first send takes a dead one's link over */

static int predecessor(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND, NULL);
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(crash_send(s, box, 16, 0));
    kit_ok(crash_send(s, box, 17, 0));
    kit_ok(tong_reserve(box, 100, 0, &slot));
    kit_event_set(&s->world->event[0]);
    kit_await_death();
}

static void leave_a_link(struct crash_stage *s)
{
    struct kit_child child = kit_spawn(predecessor, s);
    kit_event_wait(&s->world->event[0]);
    kit_kill(&child);
}

static void a_take_over_bounded(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that takes over, capacity n",
                                       .options = crash_bounded,
                                       .before = leave_a_link,
                                       .ready = crash_open_sender,
                                       .act = send_one };
    crash_all(&scene);
}

static void a_take_over_unbounded(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that takes over, unbounded",
                                       .options = crash_unbounded,
                                       .before = leave_a_link,
                                       .ready = crash_open_sender,
                                       .act = send_one };
    crash_all(&scene);
}

/* ---- long messages: segments, one-shot ones among them */

static void send_long(struct crash_stage *s)
{
    for (uint32_t id = CRASH_LONG; id < CRASH_LONG + 5; id++) {
        kit_ok(crash_send(s, s->mine, id, 0));
    }
}

static tong_options no_bound(void)
{
    tong_options options = kit_options();
    options.link_capacity = TONG_UNBOUNDED;
    return options;
}

static void sends_of_long_messages(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that grows: long messages, new segments",
                                       .options = no_bound,
                                       .ready = crash_own_link,
                                       .act = send_long };
    crash_all(&scene);
}

/* ---- in place, and several */

static void write_in_place(struct crash_stage *s)
{
    struct crash_message *m = &s->world->message[1];
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(s->mine, 500, 0, &slot));
    kit_payload_write(slot.data, crash_len(1), 1, 1);
    atomic_store(&m->offered, 1);
    kit_ok(tong_commit(s->mine, &slot, crash_len(1)));
    atomic_store(&m->promised, 1);
    kit_ok(tong_reserve(s->mine, 5000, 0, &slot));
    kit_ok(tong_abort(s->mine, &slot));
}

static void reserve_commit_abort(void)
{
    const struct crash_scene scene = { .operation = "tong_reserve tong_commit tong_abort",
                                       .role = "sender, capacity n",
                                       .options = crash_bounded,
                                       .ready = crash_own_link,
                                       .act = write_in_place };
    crash_all(&scene);
}

static void send_three(struct crash_stage *s)
{
    static uint8_t bytes[3][64];
    struct iovec messages[3];
    for (uint32_t i = 0; i < 3; i++) {
        messages[i] = (struct iovec){ .iov_base = bytes[i], .iov_len = crash_len(i + 1) };
        kit_payload_write(bytes[i], crash_len(i + 1), i + 1, i + 1);
        atomic_store(&s->world->message[i + 1].offered, 1);
    }
    kit_gives(tong_send_many(s->mine, messages, 3, 0), 3);
    for (uint32_t i = 0; i < 3; i++) {
        atomic_store(&s->world->message[i + 1].promised, 1);
    }
}

static void send_many(void)
{
    const struct crash_scene scene = { .operation = "tong_send_many",
                                       .role = "sender, capacity n",
                                       .options = crash_bounded,
                                       .ready = crash_own_link,
                                       .act = send_three };
    crash_all(&scene);
}

/* ---- full, with another sender behind */

static void send_waiting(struct crash_stage *s)
{
    kit_ok(crash_send(s, s->mine, 1, TONG_FOREVER));
}

static void send_until_time_out(struct crash_stage *s)
{
    const int r = crash_send(s, s->mine, 1, TONG_MS(1));
    kit_true(r == 0 || r == -ETIMEDOUT);
}

/* The victim blocks or dies; another one blocks behind it; then there is room. */
static void one_behind_and_room(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || kit_stat(CRASH_BOX).senders_blocked == 1);
    s->helper[1] = kit_spawn(crash_blocked, s);
    kit_until(kit_stat(CRASH_BOX).senders_blocked == (crash_has_ended(victim) ? 1u : 2u));
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    }
    kit_true(crash_receive(s, s->box, KIT_PATIENCE) >= 0);
    /* The one behind goes first if it came before the victim stood in the queue. */
    kit_until(crash_has_ended(victim) || atomic_load(&s->world->message[24].promised) != 0);
    if (!crash_has_ended(victim)) {
        kit_true(crash_receive(s, s->box, KIT_PATIENCE) >= 0);
    }
}

/* Whoever is blocked gets through: one room is free for it, or comes when the dead one's message is
 * received. */
static void both_get_through(struct crash_stage *s)
{
    struct crash_message *m = s->world->message;
    kit_until(atomic_load(&m[24].promised) != 0 || crash_rooms_used() == 4);
    if (atomic_load(&m[24].promised) == 0) {
        kit_true(crash_receive(s, s->box, KIT_PATIENCE) >= 0);
    }
    kit_until(atomic_load(&m[24].promised) != 0);
    kit_join(&s->helper[1]);
}

static void a_blocked_send(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender blocked by capacity, another one behind",
                                       .options = crash_bounded,
                                       .before = crash_fill_up,
                                       .ready = crash_open_sender,
                                       .act = send_waiting,
                                       .meanwhile = one_behind_and_room,
                                       .finish = both_get_through };
    crash_all(&scene);
}

static void one_behind(struct crash_stage *s, struct kit_child *victim)
{
    s->helper[1] = kit_spawn(crash_blocked, s);
    kit_until(crash_has_ended(victim));
    kit_until_blocked(CRASH_BOX, 1);
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    }
    kit_true(crash_receive(s, s->box, KIT_PATIENCE) >= 0);
}

static void a_send_that_times_out(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that times out, another one behind",
                                       .options = crash_bounded,
                                       .before = crash_fill_up,
                                       .ready = crash_open_sender,
                                       .act = send_until_time_out,
                                       .meanwhile = one_behind,
                                       .finish = both_get_through };
    crash_all(&scene);
}

/* ---- full by what a dead sender took and did not use */

static int reserver(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND, NULL);
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 100, 0, &slot));
    kit_event_set(&s->world->event[0]);
    kit_await_death();
}

static void reserved_and_dead(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 8; id < 10; id++) {
        kit_ok(crash_send(s, s->sender, id, 0));
    }
    struct kit_child child = kit_spawn(reserver, s);
    kit_event_wait(&s->world->event[0]);
    kit_kill(&child);
}

static void reclaim_ready(struct crash_stage *s)
{
    /* A link of its own, before anybody could be taken over: the dead one's is in row 1. */
    crash_open_sender(s);
}

static void send_two(struct crash_stage *s)
{
    kit_ok(crash_send(s, s->mine, 1, 0));
    kit_ok(crash_send(s, s->mine, 2, 0));
}

static void a_send_that_reclaims(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that takes room back from a dead one",
                                       .options = crash_bounded,
                                       .before = reserved_and_dead,
                                       .ready = reclaim_ready,
                                       .act = send_two };
    crash_all(&scene);
}

/* ---- a sender with a link of its own counts what the victim took */

static void other_link(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(crash_send(s, s->sender, 8, 0));
}

/* So many fit, and not one more. */
static void fits_exactly(struct crash_stage *s, uint32_t first, uint64_t room)
{
    for (uint32_t id = first; id < first + room; id++) {
        kit_ok(crash_send(s, s->sender, id, 0));
    }
    kit_gives(kit_send_u64(s->sender, 0, 0), -EAGAIN);
}

static void rest_fits_exactly(struct crash_stage *s)
{
    fits_exactly(s, 9, 4 - kit_stat(CRASH_BOX).waiting);
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    }
    crash_drain(s, s->box);
    fits_exactly(s, 16, 4);
}

static void a_send_beside_another_sender(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "room holder, another sender counts at once",
                                       .options = crash_bounded,
                                       .before = other_link,
                                       .ready = crash_own_link,
                                       .act = send_one,
                                       .second = crash_looks,
                                       .finish = rest_fits_exactly };
    crash_all(&scene);
}

static void received_by_another(struct crash_stage *s)
{
    other_link(s);
    s->extra = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
}

/* The receiver takes what the victim committed before anybody counts its rooms. */
static void all_fits_exactly(struct crash_stage *s)
{
    crash_drain(s, s->extra);
    fits_exactly(s, 16, 4);
}

static void a_send_received_before_it_is_counted(void)
{
    const struct crash_scene scene = { .operation = "tong_reserve tong_commit tong_abort",
                                       .role = "room holder, another sender counts later",
                                       .options = crash_bounded,
                                       .before = received_by_another,
                                       .ready = crash_own_link,
                                       .act = write_in_place,
                                       .finish = all_fits_exactly };
    crash_all(&scene);
}

/* ---- the close of a sender */

static void a_senders_close(void)
{
    const struct crash_scene scene = { .operation = "tong_close",
                                       .role = "sender, a message waits",
                                       .options = crash_bounded,
                                       .ready = crash_own_link,
                                       .act = crash_close_mine };
    crash_all(&scene);
}

static void drained_ready(struct crash_stage *s)
{
    crash_own_link(s);
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    kit_gives(crash_receive(s, box, KIT_PATIENCE), 0);
    kit_ok(tong_close(box));
}

static void a_drained_senders_close(void)
{
    const struct crash_scene scene = { .operation = "tong_close",
                                       .role = "sender, drained",
                                       .options = crash_unbounded,
                                       .ready = drained_ready,
                                       .act = crash_close_mine };
    crash_all(&scene);
}

/* ---- rendezvous */

static void a_rendezvous_send(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender, capacity 0, a receiver asleep",
                                       .options = crash_rendezvous,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_sender,
                                       .act = send_waiting,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

/* One is dead with its offer open; a successor settles it. */
static void offered_and_dead(struct crash_stage *s)
{
    struct kit_child child = kit_spawn(crash_blocked, s);
    kit_until_blocked(CRASH_BOX, 1);
    kit_kill(&child);
}

static int takes_all(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    int id;
    do {
        id = crash_receive(s, box, KIT_PATIENCE);
    } while (id == 24);
    kit_true(id == 1 || id == (int)CRASH_END);
    kit_ok(tong_close(box));
    return 0;
}

static void receiver_for_the_successor(struct crash_stage *s, struct kit_child *victim)
{
    (void)victim;
    s->helper[0] = kit_spawn(takes_all, s);
}

/* The victim's message came through, or another one ends the receiver. */
static void successor_is_received(struct crash_stage *s)
{
    struct crash_message *m = s->world->message;
    if (atomic_load(&m[1].promised) == 0) {
        s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
        while (!crash_has_ended(&s->helper[0])) {
            const int r = crash_send(s, s->sender, CRASH_END, TONG_MS(20));
            kit_true(r == 0 || r == -ETIMEDOUT);
            if (r == 0) {
                break;
            }
            atomic_store(&m[CRASH_END].refused, 0);
        }
    }
    kit_join(&s->helper[0]);
}

static void a_rendezvous_take_over(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that takes over, capacity 0",
                                       .options = crash_rendezvous,
                                       .before = offered_and_dead,
                                       .ready = crash_open_sender,
                                       .act = send_waiting,
                                       .meanwhile = receiver_for_the_successor,
                                       .second = crash_looks,
                                       .finish = successor_is_received };
    crash_all(&scene);
}

/* ---- its own link is full */

static void blocked_or_dead_and_room(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || kit_stat(CRASH_BOX).senders_blocked == 1);
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    }
    kit_gives(crash_receive(s, s->box, KIT_PATIENCE), 8);
}

static void a_send_blocked_by_its_link(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender blocked by link_capacity",
                                       .options = crash_link_bounded,
                                       .ready = crash_fill_own_link,
                                       .act = send_waiting,
                                       .meanwhile = blocked_or_dead_and_room };
    crash_all(&scene);
}

static void withdraw_one(struct crash_stage *s)
{
    kit_gives(crash_send(s, s->mine, 1, TONG_MS(1)), -ETIMEDOUT);
}

static void a_rendezvous_withdrawal(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that times out, capacity 0",
                                       .options = crash_rendezvous,
                                       .ready = crash_open_sender,
                                       .act = withdraw_one };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_send_bounded, 240),
    KIT_TEST_LONG(a_send_unbounded, 240),
    KIT_TEST_LONG(a_send_link_bounded, 240),
    KIT_TEST_LONG(a_first_send_bounded, 240),
    KIT_TEST_LONG(a_first_send_unbounded, 240),
    KIT_TEST_LONG(a_take_over_bounded, 240),
    KIT_TEST_LONG(a_take_over_unbounded, 240),
    KIT_TEST_LONG(sends_of_long_messages, 240),
    KIT_TEST_LONG(reserve_commit_abort, 240),
    KIT_TEST_LONG(send_many, 240),
    KIT_TEST_LONG(a_blocked_send, 240),
    KIT_TEST_LONG(a_send_that_times_out, 240),
    KIT_TEST_LONG(a_send_that_reclaims, 240),
    KIT_TEST_LONG(a_send_beside_another_sender, 240),
    KIT_TEST_LONG(a_send_received_before_it_is_counted, 240),
    KIT_TEST_LONG(a_senders_close, 240),
    KIT_TEST_LONG(a_drained_senders_close, 240),
    KIT_TEST_LONG(a_rendezvous_send, 240),
    KIT_TEST_LONG(a_rendezvous_take_over, 240),
    KIT_TEST_LONG(a_rendezvous_withdrawal, 240),
    KIT_TEST_LONG(a_send_blocked_by_its_link, 240),
};

KIT_MAIN(tests)
