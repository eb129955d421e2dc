/*
 * Who waits in an event loop, and who rings it, is killed at every point: see crash_test.h.
 */
#include "mailbox/mailbox.h"

#include <poll.h>

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

/* ---- the survivor in its event loop */

/* 0: readable; else the loop waits too long. */
static int wait_readable(int fd)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    return poll(&ready, 1, (int)(KIT_PATIENCE / 1000000)) == 1 ? 0 : -ETIMEDOUT;
}

static bool is_readable(int fd)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    return poll(&ready, 1, 0) == 1;
}

/* All that is there, and no more. The last answer. */
static int take_all(struct crash_stage *s, tong_mailbox *box)
{
    int id;
    do {
        id = crash_receive(s, box, 0);
    } while (id >= 0 && id != (int)CRASH_END);
    return id;
}

/* Receives until CRASH_END or an error, which is answer[0], only ever when its descriptor says so. */
static int poller(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    const int fd = tong_fd(box, TONG_RECEIVE);
    kit_true(fd >= 0);
    int last = take_all(s, box);
    kit_event_set(&s->world->event[0]);
    while (last == -EAGAIN) {
        atomic_fetch_add(&s->world->event[3], 1);
        kit_ok(wait_readable(fd));
        last = take_all(s, box);
    }
    atomic_store(&s->world->answer[0], last);
    kit_ok(tong_close(box));
    return 0;
}

static void start_poller(struct crash_stage *s)
{
    s->helper[0] = kit_spawn(poller, s);
    kit_event_wait(&s->world->event[0]);
}

/* ---- senders */

static void send_two(struct crash_stage *s)
{
    kit_ok(crash_send(s, s->mine, 0, 0));
    kit_ok(crash_send(s, s->mine, 1, 0));
}

static void a_send(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender, a receiver in an event loop",
                                       .options = crash_unbounded,
                                       .before = start_poller,
                                       .ready = crash_open_sender,
                                       .act = send_two,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void send_at_capacity_0(struct crash_stage *s)
{
    kit_ok(crash_send(s, s->mine, 0, KIT_PATIENCE));
}

static void a_rendezvous_send(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender, capacity 0, a receiver in an event loop",
                                       .options = crash_rendezvous,
                                       .before = start_poller,
                                       .ready = crash_open_sender,
                                       .act = send_at_capacity_0,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

/* ---- receivers beside it */

static void claim_one(struct crash_stage *s)
{
    crash_open_receiver(s);
    s->extra = kit_open(CRASH_BOX, TONG_SEND, NULL);
    /* The one in the loop may be faster: this one sends until it got one ... */
    uint32_t waits = 0;
    int id = -EAGAIN;
    for (uint32_t next = 0; id == -EAGAIN && next < CRASH_SENDER; next++) {
        waits = atomic_load(&s->world->event[3]);
        kit_ok(crash_send(s, s->extra, next, 0));
        id = crash_claim(s, s->mine, 0, &s->claim[0]);
    }
    /* ... and the other one has looked, found nothing, and waits again. */
    kit_until(id == -EAGAIN || atomic_load(&s->world->event[3]) > waits);
}

static void give_back(struct crash_stage *s)
{
    if (s->claim[0].private_[0] != 0) {
        kit_ok(tong_return(s->mine, &s->claim[0]));
    }
}

static void a_return(void)
{
    const struct crash_scene scene = { .operation = "tong_return",
                                       .role = "claim holder, a receiver in an event loop",
                                       .options = crash_unbounded,
                                       .before = start_poller,
                                       .ready = claim_one,
                                       .act = give_back,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

/* Of three, whoever is first takes. */
static void poll_beside(struct crash_stage *s)
{
    const int fd = tong_fd(s->mine, TONG_RECEIVE);
    kit_true(fd >= 0);
    int last = take_all(s, s->mine);
    kit_true(last == -EAGAIN);
    for (uint32_t id = 0; id < 2; id++) {
        kit_ok(crash_send(s, s->extra, id, 0));
        /* Rung, if the other one was not faster. */
        kit_until(is_readable(fd) || atomic_load(&s->world->message[id].consumed) != 0);
        last = take_all(s, s->mine);
        kit_true(last == -EAGAIN);
    }
    kit_ok(tong_close(s->mine));
}

static void open_both(struct crash_stage *s)
{
    crash_open_receiver(s);
    s->extra = kit_open(CRASH_BOX, TONG_SEND, NULL);
}

static void a_receiver_in_an_event_loop(void)
{
    const struct crash_scene scene = { .operation = "tong_fd tong_receive tong_close",
                                       .role = "receiver in an event loop, beside another one",
                                       .options = crash_unbounded,
                                       .lost = 1,
                                       .before = start_poller,
                                       .ready = open_both,
                                       .act = poll_beside,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void poll_alone(struct crash_stage *s)
{
    const int fd = tong_fd(s->mine, TONG_RECEIVE);
    kit_true(fd >= 0);
    kit_ok(wait_readable(fd));
    kit_gives(take_all(s, s->mine), -EAGAIN);
}

static void a_first_call(void)
{
    const struct crash_scene scene = { .operation = "tong_fd tong_receive",
                                       .role = "receiver that begins an event loop",
                                       .options = crash_bounded,
                                       .lost = 3,
                                       .before = crash_send_three,
                                       .ready = crash_open_receiver,
                                       .act = poll_alone };
    crash_all(&scene);
}

/* ---- its end */

static void loop_is_told(struct crash_stage *s)
{
    const int r = tong_open(CRASH_BOX, TONG_SEND, NULL, &s->sender);
    if (r == 0) {
        crash_end_receiver(s);
        kit_equal(atomic_load(&s->world->answer[0]), (int)CRASH_END);
        kit_ok(tong_close(s->sender));
        s->sender = NULL;
        crash_remove(s);
    } else {
        kit_gives(r, -ENOENT);
        kit_join(&s->helper[0]);
        kit_gives(atomic_load(&s->world->answer[0]), -EIDRM);
    }
    kit_ok(tong_close(s->box));
    s->box = NULL;
    (void)tong_doctor(1, kit_ignore_finding, NULL);
    crash_entries_are(".tmp", "");
}

static void a_remove(void)
{
    const struct crash_scene scene = { .operation = "tong_remove",
                                       .role = "remover, a receiver in an event loop",
                                       .options = crash_bounded,
                                       .before = start_poller,
                                       .act = crash_remove,
                                       .second = crash_remove_again,
                                       .finish = loop_is_told,
                                       .gone = true };
    crash_all(&scene);
}

/* ---- it becomes another's */

#define PROCESS kit_name("process")

static void process_and_poller(struct crash_stage *s)
{
    tong_options options = kit_options();
    options.owner = TONG_PROCESS;
    s->extra = kit_create(PROCESS, &options);
    start_poller(s);
}

static void give_to_the_process(struct crash_stage *s)
{
    kit_ok(tong_give(s->mine, PROCESS));
}

/* It receives on, or it knows whose the mailbox is. */
static void loop_knows_its_owner(struct crash_stage *s)
{
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    }
    const bool given = kit_stat(CRASH_BOX).owner == TONG_PROCESS;
    kit_true(given || s->killed);
    if (!given) {
        crash_end_receiver(s);
        kit_equal(atomic_load(&s->world->answer[0]), (int)CRASH_END);
        return;
    }
    kit_join(&s->helper[0]);
    kit_gives(atomic_load(&s->world->answer[0]), -EPERM);
    crash_drain(s, s->box);
    kit_ok(tong_give(s->box, NULL));
}

static void a_give(void)
{
    const struct crash_scene scene = { .operation = "tong_give",
                                       .role = "giver to a process, a receiver in an event loop",
                                       .options = crash_bounded,
                                       .before = process_and_poller,
                                       .ready = crash_own_link,
                                       .act = give_to_the_process,
                                       .finish = loop_knows_its_owner };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_give, 240),
    KIT_TEST_LONG(a_send, 240),
    KIT_TEST_LONG(a_rendezvous_send, 240),
    KIT_TEST_LONG(a_return, 240),
    KIT_TEST_LONG(a_receiver_in_an_event_loop, 240),
    KIT_TEST_LONG(a_first_call, 240),
    KIT_TEST_LONG(a_remove, 240),
};

KIT_MAIN(tests)
