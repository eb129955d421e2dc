/*
 * To everyone: senders, and receivers that come, take and go, are killed at every point: see crash_test.h.
 *
 * In variants 1 and 3 the survivor is a receiver from the beginning: what the victim takes beside it is not
 * counted, for the survivor has it, too. In 0 and 2 nobody else is there: what the victim has taken it has
 * taken for good, and the survivor that comes later begins behind it.
 */
#include "mailbox/mailbox.h"

#include <poll.h>

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

static tong_options to_all(void)
{
    tong_options options = crash_link_bounded();
    options.delivery = TONG_EVERYONE;
    return options;
}

static tong_options to_all_dropping(void)
{
    tong_options options = to_all();
    options.full = TONG_DROP_OLDEST;
    return options;
}

/* Whether the survivor will have what is taken beside it. */
static bool is_heard(const struct crash_stage *s)
{
    return crash_is(s, 0) && !s->scene->absent;
}

/* Take one, and count it if nobody else will. */
static int take(struct crash_stage *s, tong_mailbox *box)
{
    if (!is_heard(s)) {
        return crash_receive(s, box, 0);
    }
    const ssize_t r = tong_receive(box, crash_buffer, CRASH_LEN_MOST, 0);
    return r < 0 ? (int)r : (int)crash_know(crash_buffer, (size_t)r);
}

/* Come from the oldest on, send, take one, go, and clear away. */
static void second(struct crash_stage *s)
{
    tong_mailbox *box = NULL;
    const int r = tong_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE | TONG_FROM_OLDEST, NULL, &box);
    kit_true(r == 0 || r == -ENOENT);
    if (box != NULL) {
        (void)crash_send(s, box, CRASH_SECOND, 0);
        (void)take(s, box);
    }
    (void)tong_close(box);
    (void)tong_doctor(1, kit_ignore_finding, NULL);
}

/* ---- sending */

static void send_three(struct crash_stage *s)
{
    for (uint32_t id = 0; id < 3; id++) {
        kit_ok(crash_send(s, s->mine, id, 0));
    }
}

static void a_send(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender, everyone",
                                       .options = to_all,
                                       .ready = crash_open_sender,
                                       .act = send_three,
                                       .second = second };
    crash_all(&scene);
}

/* The survivor sleeps in a process of its own; the first handle is closed, so that nobody else takes. */
static void sleep_alone(struct crash_stage *s)
{
    kit_ok(tong_close(s->box));
    s->box = NULL;
    crash_start_receiver(s);
}

/* What the second one takes beside the sleeping one does not count. */
static void second_beside(struct crash_stage *s)
{
    tong_mailbox *box = NULL;
    kit_ok(tong_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL, &box));
    (void)crash_send(s, box, CRASH_SECOND, 0);
    (void)tong_receive(box, crash_buffer, CRASH_LEN_MOST, 0);
    (void)tong_close(box);
    (void)tong_doctor(1, kit_ignore_finding, NULL);
}

static void a_send_wakes_all(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender, everyone, a receiver asleep",
                                       .options = to_all,
                                       .before = sleep_alone,
                                       .ready = crash_open_sender,
                                       .act = send_three,
                                       .second = second_beside,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

/* Long ones, taken at once by a receiver of the victim's process: segments are used again, and the place where
 * one who joins may begin is raised. */
static void open_both(struct crash_stage *s)
{
    crash_open_sender(s);
    s->extra = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    for (uint32_t id = CRASH_LONG; id < CRASH_LONG + 3; id++) {
        kit_ok(crash_send(s, s->mine, id, 0));
        kit_gives(take(s, s->extra), (int)id);
    }
}

static void send_long(struct crash_stage *s)
{
    for (uint32_t id = CRASH_LONG + 5; id < CRASH_LONG + 8; id++) {
        const int r = crash_send(s, s->mine, id, 0);
        kit_true(r == 0 || r == -EAGAIN);
        (void)take(s, s->extra);
    }
}

static void segments_are_used_again(void)
{
    const struct crash_scene scene = { .operation = "tong_send tong_receive",
                                       .role = "sender and receiver, everyone: long messages",
                                       .options = to_all,
                                       .lost = 1,
                                       .ready = open_both,
                                       .act = send_long,
                                       .second = second };
    crash_all(&scene);
}

static void fill_link(struct crash_stage *s)
{
    crash_open_sender(s);
    for (uint32_t id = 8; id < 12; id++) {
        kit_ok(crash_send(s, s->mine, id, 0));
    }
}

/* What is dropped is counted for each who is there. */
static void be_there(struct crash_stage *s)
{
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    }
}

/* The survivor is there in any case. */
static void second_there(struct crash_stage *s)
{
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    const int r = crash_send(s, box, CRASH_SECOND, 0);
    kit_true(r == 0 || r == TONG_DROPPED);
    (void)tong_receive(box, crash_buffer, CRASH_LEN_MOST, 0);
    (void)tong_close(box);
    (void)tong_doctor(1, kit_ignore_finding, NULL);
}

static void drop_two(struct crash_stage *s)
{
    kit_gives(crash_send(s, s->mine, 16, 0), TONG_DROPPED);
    kit_gives(crash_send(s, s->mine, 17, 0), TONG_DROPPED);
}

static void the_oldest_is_dropped(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender that drops its oldest, everyone",
                                       .options = to_all_dropping,
                                       .before = be_there,
                                       .ready = fill_link,
                                       .act = drop_two,
                                       .second = second_there };
    crash_all(&scene);
}

/* ---- a sender that is blocked by the victim */

/* Four fit, the fifth waits for the victim; the rest for the survivor. */
static int floods(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 24; id < 31; id++) {
        kit_ok(crash_send(s, box, id, TONG_FOREVER));
    }
    kit_ok(tong_close(box));
    return 0;
}

/* The victim has joined before a sender floods. */
static void join_and_be_flooded(struct crash_stage *s)
{
    crash_open_receiver(s);
    kit_event_set(&s->world->event[0]);
    kit_event_wait(&s->world->event[1]);
}

static void flood(struct crash_stage *s, struct kit_child *victim)
{
    (void)victim;
    kit_event_wait(&s->world->event[0]);
    s->helper[1] = kit_spawn(floods, s);
    if (crash_is(s, 0)) {
        /* The survivor is not who holds it up. */
        for (uint32_t id = 24; id < 28; id++) {
            kit_gives(crash_receive(s, s->box, KIT_PATIENCE), (int)id);
        }
    }
    kit_until_blocked(CRASH_BOX, 1);
    kit_event_set(&s->world->event[1]);
}

/* It is not blocked by the dead: as fast as the survivor takes, it goes on. */
static void let_it_end(struct crash_stage *s)
{
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE | TONG_FROM_OLDEST, NULL);
    }
    while (!crash_has_ended(&s->helper[1])) {
        const int id = crash_receive(s, s->box, TONG_MS(1));
        kit_true(id >= 0 || id == -ETIMEDOUT);
    }
    kit_join(&s->helper[1]);
}

static void take_two(struct crash_stage *s)
{
    kit_true(take(s, s->mine) >= 0);
    kit_true(take(s, s->mine) >= 0);
}

static void a_receiver_frees_room(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver, everyone, a sender blocked by it",
                                       .options = to_all,
                                       .lost = 1,
                                       .ready = join_and_be_flooded,
                                       .act = take_two,
                                       .meanwhile = flood,
                                       .second = second,
                                       .finish = let_it_end };
    crash_all(&scene);
}

static void leave(struct crash_stage *s)
{
    kit_ok(tong_close(s->mine));
}

static void a_receiver_leaves(void)
{
    const struct crash_scene scene = { .operation = "tong_close",
                                       .role = "receiver, everyone, a sender blocked by it",
                                       .options = to_all,
                                       .ready = join_and_be_flooded,
                                       .act = leave,
                                       .meanwhile = flood,
                                       .second = second,
                                       .finish = let_it_end };
    crash_all(&scene);
}

static void claim_two(struct crash_stage *s)
{
    tong_message message[2] = { TONG_MESSAGE_INIT, TONG_MESSAGE_INIT };
    kit_ok(tong_claim(s->mine, 0, &message[0]));
    kit_ok(tong_claim(s->mine, 0, &message[1]));
    kit_ok(tong_return(s->mine, &message[0]));
    kit_ok(tong_claim(s->mine, 0, &message[0]));
    kit_equal(crash_know(message[0].data, message[0].len), 24);
    kit_ok(tong_done(s->mine, &message[1]));
    kit_ok(tong_done(s->mine, &message[0]));
    if (!is_heard(s)) {
        atomic_fetch_add(&s->world->message[24].consumed, 1);
        atomic_fetch_add(&s->world->message[25].consumed, 1);
    }
}

static void claims_keep_room(void)
{
    const struct crash_scene scene = { .operation = "tong_claim tong_done tong_return",
                                       .role = "claim holder, everyone, a sender blocked by it",
                                       .options = to_all,
                                       .lost = 2,
                                       .ready = join_and_be_flooded,
                                       .act = claim_two,
                                       .meanwhile = flood,
                                       .second = second,
                                       .finish = let_it_end };
    crash_all(&scene);
}

/* ---- coming and going */

static void join_and_leave(struct crash_stage *s)
{
    (void)s;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_RECEIVE | TONG_FROM_OLDEST, NULL);
    kit_ok(tong_close(box));
}

static void a_receiver_comes_and_goes(void)
{
    const struct crash_scene scene = { .operation = "tong_open tong_close",
                                       .role = "receiver, everyone; messages wait",
                                       .options = to_all,
                                       .before = crash_send_three,
                                       .act = join_and_leave,
                                       .second = second };
    crash_all(&scene);
}

static int dies_there(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_RECEIVE | TONG_FROM_OLDEST, NULL);
    kit_gives(take(s, box), 8);
    kit_gives(tong_fd(box, TONG_RECEIVE) >= 0, true);
    kit_event_set(&s->world->event[2]);
    kit_await_death();
    return 0;
}

/* One that took the first of three is dead. */
static void leave_one_dead(struct crash_stage *s)
{
    crash_send_three(s);
    struct kit_child child = kit_spawn(dies_there, s);
    kit_event_wait(&s->world->event[2]);
    kit_kill(&child);
}

static void a_receiver_clears_the_dead_away(void)
{
    const struct crash_scene scene = { .operation = "tong_open tong_close",
                                       .role = "receiver that clears a dead one away, everyone",
                                       .options = to_all,
                                       .before = leave_one_dead,
                                       .act = join_and_leave,
                                       .second = second };
    crash_all(&scene);
}

static void clear_away(struct crash_stage *s)
{
    (void)s;
    (void)tong_doctor(1, kit_ignore_finding, NULL);
}

static void doctor_clears_the_dead_away(void)
{
    const struct crash_scene scene = { .operation = "tong_doctor",
                                       .role = "a dead receiver, everyone",
                                       .options = to_all,
                                       .before = leave_one_dead,
                                       .act = clear_away,
                                       .second = second };
    crash_all(&scene);
}

static void create(struct crash_stage *s)
{
    const tong_options options = to_all();
    s->mine = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options);
    kit_ok(crash_send(s, s->mine, 0, 0));
}

static void open_or_create(struct crash_stage *s)
{
    const tong_options options = to_all();
    s->box =
        kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_FROM_OLDEST, &options);
}

static void its_creator(void)
{
    const struct crash_scene scene = { .operation = "tong_open tong_send",
                                       .role = "creator, everyone",
                                       .options = to_all,
                                       .absent = true,
                                       .act = create,
                                       .second = second,
                                       .finish = open_or_create };
    crash_all(&scene);
}

/* ---- in an event loop */

static void join_a_loop(struct crash_stage *s)
{
    crash_open_receiver(s);
    kit_true(tong_fd(s->mine, TONG_RECEIVE) >= 0);
    crash_send_three(s);
}

static void take_in_a_loop(struct crash_stage *s)
{
    while (take(s, s->mine) >= 0) {
    }
}

static void a_receiver_in_an_event_loop(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver in an event loop, everyone",
                                       .options = to_all,
                                       .lost = 1,
                                       .ready = join_a_loop,
                                       .act = take_in_a_loop,
                                       .second = second };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_send, 240),
    KIT_TEST_LONG(a_send_wakes_all, 240),
    KIT_TEST_LONG(segments_are_used_again, 240),
    KIT_TEST_LONG(the_oldest_is_dropped, 240),
    KIT_TEST_LONG(a_receiver_frees_room, 240),
    KIT_TEST_LONG(a_receiver_leaves, 240),
    KIT_TEST_LONG(claims_keep_room, 240),
    KIT_TEST_LONG(a_receiver_comes_and_goes, 240),
    KIT_TEST_LONG(a_receiver_clears_the_dead_away, 240),
    KIT_TEST_LONG(doctor_clears_the_dead_away, 240),
    KIT_TEST_LONG(its_creator, 240),
    KIT_TEST_LONG(a_receiver_in_an_event_loop, 240),
};

KIT_MAIN(tests)
