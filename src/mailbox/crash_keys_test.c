/*
 * Receivers of a mailbox whose delivery is by key are killed at every point: while they get a key, pass
 * over what is another's, are rung for it, and leave. See crash_test.h.
 */
#include "mailbox/mailbox.h"

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

/* A message's key follows from its id. */
#define KEY_OF(id) (UINT64_C(7) + (id) % 2)

static int send_keyed(struct crash_stage *s, tong_mailbox *box, uint32_t id, int64_t timeout_ns)
{
    struct crash_message *m = &s->world->message[id];
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.key = KEY_OF(id);
    kit_payload_write(crash_buffer, crash_len(id), id, id);
    atomic_store(&m->offered, 1);
    const int r = tong_send_with(box, crash_buffer, crash_len(id), &with, timeout_ns);
    atomic_store(r == 0 ? &m->promised : &m->refused, 1);
    return r;
}

static tong_options by_key(void)
{
    tong_options options = kit_capacity(5);
    options.delivery = TONG_BY_KEY;
    return options;
}

static tong_options by_key_at_0(void)
{
    tong_options options = kit_capacity(0);
    options.delivery = TONG_BY_KEY;
    return options;
}

/* The helper has the key of the even ones. */
static void the_helper_has_a_key(struct crash_stage *s)
{
    crash_start_receiver(s);
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(send_keyed(s, s->sender, 8, KIT_PATIENCE));
    kit_until(atomic_load(&s->world->message[8].consumed) != 0);
    kit_until_asleep(CRASH_BOX, 1);
}

/* Both keys are free, or those of the dead are by now. */
static void uses_keys(struct crash_stage *s)
{
    crash_opens_or_not(s);
    if (s->mine != NULL) {
        (void)send_keyed(s, s->mine, CRASH_SECOND + 1, 0);
        (void)crash_receive(s, s->mine, 0);
    }
    (void)tong_close(s->mine);
}

static void send_four(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 8; id < 12; id++) {
        kit_ok(send_keyed(s, s->sender, id, 0));
    }
}

/* ---- getting keys, alone */

static void receive_two_and_claim(struct crash_stage *s)
{
    kit_gives(crash_receive(s, s->mine, 0), 8);
    kit_gives(crash_receive(s, s->mine, 0), 9);
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[0]), 10);
    crash_done(s, s->mine, 10, &s->claim[0]);
    crash_close_mine(s);
}

static void getting_keys(void)
{
    const struct crash_scene scene = { .operation = "tong_receive tong_claim tong_close",
                                       .role = "receiver that gets keys, by key",
                                       .options = by_key,
                                       .lost = 1,
                                       .free_order = true,
                                       .before = send_four,
                                       .ready = crash_open_receiver,
                                       .act = receive_two_and_claim,
                                       .second = uses_keys };
    crash_all(&scene);
}

/* ---- beside another one */

/* The first one is the helper's, which does not call before it is told to. */
static int has_a_key_and_works(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    kit_gives(crash_receive(s, box, TONG_FOREVER), 8);
    kit_event_set(&s->world->event[0]);
    kit_event_wait(&s->world->event[1]);
    int id;
    do {
        id = crash_receive(s, box, TONG_FOREVER);
    } while (id >= 0 && id != (int)CRASH_END);
    kit_ok(tong_close(box));
    return 0;
}

static void the_helper_works(struct crash_stage *s)
{
    s->helper[0] = kit_spawn(has_a_key_and_works, s);
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(send_keyed(s, s->sender, 8, 0));
    kit_event_wait(&s->world->event[0]);
    for (uint32_t id = 9; id < 14; id++) {
        kit_ok(send_keyed(s, s->sender, id, 0));
    }
}

static void receive_the_odd_ones(struct crash_stage *s)
{
    kit_gives(crash_receive(s, s->mine, 0), 9);
    kit_gives(crash_receive(s, s->mine, 0), 11);
    kit_gives(crash_receive(s, s->mine, 0), 13);
    kit_gives(crash_receive(s, s->mine, 0), -EAGAIN);
}

/* The helper takes what is its own, and what the dead had. */
static void the_helper_goes_on(struct crash_stage *s)
{
    kit_event_set(&s->world->event[1]);
    crash_end_receiver(s);
}

static void passing_over(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver that passes over another one's, by key",
                                       .options = by_key,
                                       .lost = 1,
                                       .free_order = true,
                                       .before = the_helper_works,
                                       .ready = crash_open_receiver,
                                       .act = receive_the_odd_ones,
                                       .second = uses_keys,
                                       .finish = the_helper_goes_on };
    crash_all(&scene);
}

/* The helper has the key of the even ones, the victim that of the others. */
static void one_for_the_victim(struct crash_stage *s)
{
    s->helper[0] = kit_spawn(has_a_key_and_works, s);
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(send_keyed(s, s->sender, 8, KIT_PATIENCE));
    kit_event_wait(&s->world->event[0]);
}

static void have_a_key(struct crash_stage *s)
{
    tong_mailbox *sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    crash_open_receiver(s);
    kit_ok(send_keyed(s, sender, 25, 0));
    kit_gives(crash_receive(s, s->mine, 0), 25);
    kit_ok(tong_close(sender));
    kit_event_set(&s->world->event[1]);
}

static void wait_for_an_odd_one(struct crash_stage *s)
{
    kit_gives(crash_receive(s, s->mine, TONG_FOREVER), 17);
    kit_gives(crash_receive(s, s->mine, TONG_FOREVER), 19);
}

static void some_for_each(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || kit_stat(CRASH_BOX).receivers_asleep == 2);
    for (uint32_t id = 16; id < 20; id++) {
        kit_ok(send_keyed(s, s->sender, id, KIT_PATIENCE));
    }
}

static void asleep(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver asleep beside another one, by key",
                                       .options = by_key,
                                       .lost = 1,
                                       .free_order = true,
                                       .before = one_for_the_victim,
                                       .ready = have_a_key,
                                       .act = wait_for_an_odd_one,
                                       .meanwhile = some_for_each,
                                       .second = uses_keys,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

/* Whose an odd one is, is decided there. */
static void wait_for_one(struct crash_stage *s)
{
    kit_true(crash_receive(s, s->mine, TONG_FOREVER) >= 0);
}

static void offer_some(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || kit_stat(CRASH_BOX).receivers_asleep == 2);
    for (uint32_t id = 16; id < 20; id++) {
        kit_ok(send_keyed(s, s->sender, id, KIT_PATIENCE));
    }
    /* One that has no key is the victim's, if the helper got both. */
    if (!crash_has_ended(victim)) {
        kit_ok(crash_send(s, s->sender, 20, KIT_PATIENCE));
        kit_until(crash_has_ended(victim) || atomic_load(&s->world->message[20].consumed) != 0);
    }
    if (!crash_has_ended(victim)) {
        kit_ok(crash_send(s, s->sender, 21, KIT_PATIENCE));
    }
}

static void asleep_at_capacity_0(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver asleep behind one that has a key, "
                                               "capacity 0",
                                       .options = by_key_at_0,
                                       .lost = 1,
                                       .free_order = true,
                                       .before = the_helper_has_a_key,
                                       .ready = crash_open_receiver,
                                       .act = wait_for_one,
                                       .meanwhile = offer_some,
                                       .second = uses_keys,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void send_two(struct crash_stage *s)
{
    kit_ok(send_keyed(s, s->mine, 1, 0));
    kit_ok(send_keyed(s, s->mine, 2, 0));
}

static void a_sender(void)
{
    const struct crash_scene scene = { .operation = "tong_send_with",
                                       .role = "sender, by key, a receiver asleep",
                                       .options = by_key,
                                       .before = the_helper_has_a_key,
                                       .ready = crash_open_sender,
                                       .act = send_two,
                                       .second = uses_keys,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(getting_keys, 240), KIT_TEST_LONG(passing_over, 240),
    KIT_TEST_LONG(asleep, 240),       KIT_TEST_LONG(asleep_at_capacity_0, 240),
    KIT_TEST_LONG(a_sender, 240),
};

KIT_MAIN(tests)
