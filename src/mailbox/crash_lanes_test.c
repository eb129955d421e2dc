/*
 * Senders and receivers of a mailbox that is ordered by priority are killed at every point: while a sender
 * gets a link for one more priority, while a receiver goes from lane to lane. See crash_test.h.
 */
#include "mailbox/mailbox.h"

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

/* A message's priority follows from its id: 0, 3, 6, 9. */
#define PRIORITY_OF(id) ((id) % 4 * 3)

static int send_ranked(struct crash_stage *s, tong_mailbox *box, uint32_t id, int64_t timeout_ns)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.priority = PRIORITY_OF(id);
    return crash_send_with(s, box, id, &with, timeout_ns);
}

static tong_options bounded(void)
{
    tong_options options = kit_capacity(5);
    options.by_priority = 1;
    return options;
}

static tong_options unbounded(void)
{
    tong_options options = kit_options();
    options.by_priority = 1;
    return options;
}

static tong_options rendezvous(void)
{
    tong_options options = kit_capacity(0);
    options.by_priority = 1;
    return options;
}

static tong_options lossy(void)
{
    tong_options options = unbounded();
    options.full = TONG_DROP_OLDEST;
    options.link_capacity = 4;
    return options;
}

static void uses_priorities(struct crash_stage *s)
{
    crash_opens_or_not(s);
    if (s->mine != NULL) {
        (void)send_ranked(s, s->mine, CRASH_SECOND + 1, 0);
        (void)crash_receive(s, s->mine, 0);
    }
    (void)tong_close(s->mine);
}

static void send_of_three(struct crash_stage *s)
{
    kit_true(send_ranked(s, s->mine, 0, 0) >= 0);
    kit_true(send_ranked(s, s->mine, 1, 0) >= 0);
    kit_true(send_ranked(s, s->mine, 3, 0) >= 0);
}

static void a_sender(void)
{
    const struct crash_scene scene = { .operation = "tong_send_with",
                                       .role = "sender without a link, by priority, capacity n",
                                       .options = bounded,
                                       .free_order = true,
                                       .ready = crash_open_sender,
                                       .act = send_of_three,
                                       .second = uses_priorities };
    crash_all(&scene);
}

static void a_sender_that_wakes(void)
{
    const struct crash_scene scene = { .operation = "tong_send_with",
                                       .role = "sender without a link, by priority, a receiver "
                                               "asleep",
                                       .options = unbounded,
                                       .free_order = true,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_sender,
                                       .act = send_of_three,
                                       .second = uses_priorities,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void send_and_close(struct crash_stage *s)
{
    send_of_three(s);
    crash_close_mine(s);
}

static void a_sender_that_closes(void)
{
    const struct crash_scene scene = { .operation = "tong_send_with tong_close",
                                       .role = "sender with several links, by priority",
                                       .options = lossy,
                                       .free_order = true,
                                       .ready = crash_open_sender,
                                       .act = send_and_close,
                                       .second = uses_priorities };
    crash_all(&scene);
}

static void meet_twice(struct crash_stage *s)
{
    kit_ok(send_ranked(s, s->mine, 1, KIT_PATIENCE));
    kit_ok(send_ranked(s, s->mine, 0, KIT_PATIENCE));
}

static void a_sender_at_a_rendezvous(void)
{
    const struct crash_scene scene = { .operation = "tong_send_with",
                                       .role = "sender, by priority, capacity 0, a receiver asleep",
                                       .options = rendezvous,
                                       .free_order = true,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_sender,
                                       .act = meet_twice,
                                       .second = uses_priorities,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void send_four(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 8; id < 12; id++) {
        kit_ok(send_ranked(s, s->sender, id, 0));
    }
}

static void receive_by_rank(struct crash_stage *s)
{
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[0]), 11);
    kit_gives(crash_receive(s, s->mine, 0), 10);
    kit_ok(tong_return(s->mine, &s->claim[0]));
    kit_gives(crash_receive(s, s->mine, 0), 11);
    kit_gives(crash_receive(s, s->mine, 0), 9);
    kit_gives(crash_receive(s, s->mine, 0), 8);
}

static void a_receiver(void)
{
    const struct crash_scene scene = { .operation = "tong_receive tong_claim tong_return",
                                       .role = "receiver, by priority, capacity n",
                                       .options = bounded,
                                       .lost = 1,
                                       .free_order = true,
                                       .before = send_four,
                                       .ready = crash_open_receiver,
                                       .act = receive_by_rank,
                                       .second = uses_priorities };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_sender, 240),
    KIT_TEST_LONG(a_sender_that_wakes, 240),
    KIT_TEST_LONG(a_sender_that_closes, 240),
    KIT_TEST_LONG(a_sender_at_a_rendezvous, 240),
    KIT_TEST_LONG(a_receiver, 240),
};

KIT_MAIN(tests)
