/*
 * Who sends in an event loop, and who makes room for it, is killed at every point: see crash_test.h.
 *
 * The one in the loop sends when its descriptor says so, and never else; it gets all of its messages into the
 * mailbox, whoever dies beside it.
 */
#include "mailbox/mailbox.h"

#include <poll.h>

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

static int wait_readable(int fd)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    return poll(&ready, 1, (int)(KIT_PATIENCE / 1000000)) == 1 ? 0 : -ETIMEDOUT;
}

/* Sends 16 to 23, each when it is readable. The answer that ended it. */
static int send_in_a_loop(struct crash_stage *s, tong_mailbox *box, int fd)
{
    for (uint32_t id = 16; id < 24;) {
        kit_ok(wait_readable(fd));
        const int r = crash_send(s, box, id, 0);
        if (r != 0 && r != -EAGAIN) {
            return r;
        }
        /* Refused is not sent: it is tried again. */
        atomic_store(&s->world->message[id].refused, 0);
        id += r == 0;
        if (id == 20) {
            kit_event_set(&s->world->event[0]);
        }
    }
    return 0;
}

static int poller(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND, NULL);
    const int fd = tong_fd(box, TONG_SEND);
    kit_true(fd >= 0);
    kit_event_set(&s->world->event[1]);
    atomic_store(&s->world->answer[1], send_in_a_loop(s, box, fd));
    kit_ok(tong_close(box));
    return 0;
}

/* It has sent four, and waits. */
static void a_full_mailbox_and_one_in_a_loop(struct crash_stage *s)
{
    s->helper[1] = kit_spawn(poller, s);
    kit_event_wait(&s->world->event[0]);
    kit_until(kit_sleeps(s->helper[1].pid));
}

static void one_in_a_loop(struct crash_stage *s)
{
    s->helper[1] = kit_spawn(poller, s);
    kit_event_wait(&s->world->event[1]);
    kit_until(kit_sleeps(s->helper[1].pid));
}

/* Whoever lives receives until all were sent. */
static void all_get_in(struct crash_stage *s)
{
    tong_mailbox *box = s->box;
    if (box == NULL) {
        box = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    }
    while (!crash_has_ended(&s->helper[1])) {
        const int id = crash_receive(s, box, TONG_MS(1));
        kit_true(id >= 0 || id == -ETIMEDOUT);
    }
    kit_join(&s->helper[1]);
    kit_ok(atomic_load(&s->world->answer[1]));
    if (box != s->box) {
        kit_ok(tong_close(box));
    }
}

/* ---- receivers */

static void receive_three(struct crash_stage *s)
{
    for (int i = 0; i < 3; i++) {
        kit_true(crash_receive(s, s->mine, KIT_PATIENCE) >= 0);
    }
}

static void a_receive(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver, a sender in an event loop, capacity n",
                                       .options = crash_bounded,
                                       .lost = 3,
                                       .before = a_full_mailbox_and_one_in_a_loop,
                                       .ready = crash_open_receiver,
                                       .act = receive_three,
                                       .finish = all_get_in };
    crash_all(&scene);
}

static void a_receive_from_its_link(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver, a sender in an event loop, link_capacity",
                                       .options = crash_link_bounded,
                                       .lost = 3,
                                       .before = a_full_mailbox_and_one_in_a_loop,
                                       .ready = crash_open_receiver,
                                       .act = receive_three,
                                       .finish = all_get_in };
    crash_all(&scene);
}

static void claim_two(struct crash_stage *s)
{
    crash_open_receiver(s);
    kit_true(crash_claim(s, s->mine, KIT_PATIENCE, &s->claim[0]) == 16);
    kit_true(crash_claim(s, s->mine, KIT_PATIENCE, &s->claim[1]) == 17);
}

static void finish_two(struct crash_stage *s)
{
    atomic_fetch_add(&s->world->message[16].consumed, 1);
    kit_ok(tong_done(s->mine, &s->claim[0]));
    atomic_fetch_add(&s->world->message[17].consumed, 1);
    kit_ok(tong_done(s->mine, &s->claim[1]));
}

/* What was about to be finished may come again. */
static void all_get_in_and_some_again(struct crash_stage *s)
{
    for (uint32_t id = 16; id < 18; id++) {
        if (s->killed) {
            atomic_store(&s->world->message[id].consumed, 0);
        }
    }
    all_get_in(s);
}

static void a_done(void)
{
    const struct crash_scene scene = { .operation = "tong_done",
                                       .role = "claim holder, a sender in an event loop",
                                       .options = crash_bounded,
                                       .lost = 2,
                                       .before = a_full_mailbox_and_one_in_a_loop,
                                       .ready = claim_two,
                                       .act = finish_two,
                                       .finish = all_get_in_and_some_again };
    crash_all(&scene);
}

static void a_close(void)
{
    const struct crash_scene scene = { .operation = "tong_close",
                                       .role =
                                           "claim holder that leaves, a sender in an event loop",
                                       .options = crash_bounded,
                                       .before = a_full_mailbox_and_one_in_a_loop,
                                       .ready = claim_two,
                                       .act = crash_close_mine,
                                       .finish = all_get_in };
    crash_all(&scene);
}

static void receive_one_that_waits(struct crash_stage *s)
{
    kit_true(crash_receive(s, s->mine, KIT_PATIENCE) >= 0);
    kit_true(crash_receive(s, s->mine, KIT_PATIENCE) >= 0);
}

static void a_rendezvous(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver, a sender in an event loop, capacity 0",
                                       .options = crash_rendezvous,
                                       .lost = 2,
                                       .before = one_in_a_loop,
                                       .ready = crash_open_receiver,
                                       .act = receive_one_that_waits,
                                       .finish = all_get_in };
    crash_all(&scene);
}

/* ---- senders */

static void a_receiver_takes_all(struct crash_stage *s)
{
    crash_start_receiver(s);
}

static void open_and_loop(struct crash_stage *s)
{
    const int fd = tong_fd(s->mine, TONG_SEND);
    kit_true(fd >= 0);
    kit_ok(send_in_a_loop(s, s->mine, fd));
    kit_ok(tong_close(s->mine));
}

static void a_sender_in_a_loop(void)
{
    const struct crash_scene scene = { .operation = "tong_fd tong_send tong_close",
                                       .role = "sender in an event loop",
                                       .options = crash_bounded,
                                       .before = a_receiver_takes_all,
                                       .ready = crash_open_sender,
                                       .act = open_and_loop,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void ask_and_fill(struct crash_stage *s)
{
    const int fd = tong_fd(s->mine, TONG_SEND);
    kit_true(fd >= 0);
    for (uint32_t id = 16; id < 20; id++) {
        kit_ok(crash_send(s, s->mine, id, 0));
    }
    kit_gives(kit_send_u64(s->mine, 0, 0), -EAGAIN);
}

static void one_that_waits(void)
{
    const struct crash_scene scene = { .operation = "tong_fd tong_send",
                                       .role = "sender in an event loop that finds it full",
                                       .options = crash_link_bounded,
                                       .ready = crash_open_sender,
                                       .act = ask_and_fill };
    crash_all(&scene);
}

static int fd_and_die(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_true(tong_fd(box, TONG_SEND) >= 0);
    for (uint32_t id = 8; id < 12; id++) {
        kit_ok(crash_send(s, box, id, 0));
    }
    _exit(0);
}

static void a_dead_one_in_a_loop(struct crash_stage *s)
{
    struct kit_child child = kit_spawn(fd_and_die, s);
    kit_join(&child);
}

static void take_over_and_ask(struct crash_stage *s)
{
    crash_open_sender(s);
    kit_true(tong_fd(s->mine, TONG_SEND) >= 0);
    kit_gives(kit_send_u64(s->mine, 0, 0), -EAGAIN);
}

static void one_that_takes_over(void)
{
    const struct crash_scene scene = { .operation = "tong_open tong_fd tong_send",
                                       .role = "sender in an event loop behind a dead one",
                                       .options = crash_bounded,
                                       .before = a_dead_one_in_a_loop,
                                       .act = take_over_and_ask };
    crash_all(&scene);
}

/* ---- room that is given back */

static tong_slot held;

static void hold_while_one_waits(struct crash_stage *s)
{
    held = (tong_slot)TONG_SLOT_INIT;
    crash_open_sender(s);
    kit_ok(tong_reserve(s->mine, 32, 0, &held));
    kit_event_set(&s->world->event[2]);
    kit_event_wait(&s->world->event[3]);
}

/* It has sent three, and waits: the fourth room is the victim's. */
static void one_waits_for_it(struct crash_stage *s, struct kit_child *victim)
{
    (void)victim;
    kit_event_wait(&s->world->event[2]);
    s->helper[1] = kit_spawn(poller, s);
    kit_until(atomic_load(&s->world->message[18].promised) != 0 && kit_sleeps(s->helper[1].pid));
    kit_event_set(&s->world->event[3]);
}

static void give_it_back(struct crash_stage *s)
{
    kit_ok(tong_abort(s->mine, &held));
}

/* Nobody receives: the room alone that came back is what it hears of. (A second one may have taken it.) */
static void the_fourth_gets_in(struct crash_stage *s)
{
    kit_until(s->m != 0 || atomic_load(&s->world->message[19].promised) != 0);
    all_get_in(s);
}

static void an_abort(void)
{
    const struct crash_scene scene = { .operation = "tong_reserve tong_abort",
                                       .role = "room holder, a sender in an event loop",
                                       .options = crash_bounded,
                                       .ready = hold_while_one_waits,
                                       .act = give_it_back,
                                       .meanwhile = one_waits_for_it,
                                       .finish = the_fourth_gets_in };
    crash_all(&scene);
}

/* ---- its end */

static void loop_is_told(struct crash_stage *s)
{
    tong_mailbox *box = NULL;
    const int r = tong_open(CRASH_BOX, TONG_RECEIVE, NULL, &box);
    if (r == 0) {
        kit_ok(tong_close(box));
        all_get_in(s);
        crash_remove(s);
    } else {
        kit_gives(r, -ENOENT);
        kit_join(&s->helper[1]);
        kit_gives(atomic_load(&s->world->answer[1]), -EIDRM);
    }
    kit_ok(tong_close(s->box));
    s->box = NULL;
    (void)tong_doctor(1, kit_ignore_finding, NULL);
    crash_entries_are(".tmp", "");
}

static void a_remove(void)
{
    const struct crash_scene scene = { .operation = "tong_remove",
                                       .role = "remover, a sender in an event loop",
                                       .options = crash_bounded,
                                       .before = a_full_mailbox_and_one_in_a_loop,
                                       .act = crash_remove,
                                       .second = crash_remove_again,
                                       .finish = loop_is_told,
                                       .gone = true };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_receive, 240),      KIT_TEST_LONG(a_receive_from_its_link, 240),
    KIT_TEST_LONG(a_done, 240),         KIT_TEST_LONG(a_close, 240),
    KIT_TEST_LONG(a_rendezvous, 240),   KIT_TEST_LONG(a_sender_in_a_loop, 240),
    KIT_TEST_LONG(one_that_waits, 240), KIT_TEST_LONG(one_that_takes_over, 240),
    KIT_TEST_LONG(a_remove, 240),       KIT_TEST_LONG(an_abort, 240),
};

KIT_MAIN(tests)
