/*
 * A receiver or a sender is killed at every point of what it does with a mailbox of another
 * delivery than first-come, or of a process of its own: see crash_test.h.
 */
#include "mailbox/mailbox.h"

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

/* ---- acts */

static void send_one(struct crash_stage *s)
{
    kit_ok(crash_send(s, s->mine, 1, 0));
}

static void receive_two(struct crash_stage *s)
{
    kit_true(crash_receive(s, s->mine, 0) >= 0);
    kit_true(crash_receive(s, s->mine, 0) >= 0);
}

static void receive_asleep(struct crash_stage *s)
{
    kit_true(crash_receive(s, s->mine, TONG_FOREVER) >= 0);
}

static void claim_two(struct crash_stage *s)
{
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[0]), 8);
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[1]), 9);
}

static void claim_ready(struct crash_stage *s)
{
    crash_open_receiver(s);
    claim_two(s);
}

/* The other one may take all that comes. */
static void receive_until_time_out(struct crash_stage *s)
{
    const int r = crash_receive(s, s->mine, TONG_MS(20));
    kit_true(r >= 0 || r == -ETIMEDOUT);
}

/* Claims both, finishes the later one, gives the other back. */
static void claim_done_return(struct crash_stage *s)
{
    claim_two(s);
    crash_done(s, s->mine, 9, &s->claim[1]);
    kit_ok(tong_return(s->mine, &s->claim[0]));
}

static void wake_all(struct crash_stage *s, struct kit_child *victim)
{
    const uint32_t others = s->helper[0].pid != 0;
    kit_until(crash_has_ended(victim) || kit_stat(CRASH_BOX).receivers_asleep == 1 + others);
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(crash_send(s, s->sender, 8, KIT_PATIENCE));
    kit_ok(crash_send(s, s->sender, 9, KIT_PATIENCE));
}

/* ---- any */

static tong_options any(void)
{
    tong_options options = kit_capacity(4);
    options.delivery = TONG_ANY;
    return options;
}

static tong_options any_link_bounded(void)
{
    tong_options options = crash_link_bounded();
    options.delivery = TONG_ANY;
    return options;
}

static void a_receive_by_any(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver, any",
                                       .options = any,
                                       .lost = 1,
                                       .before = crash_send_three,
                                       .ready = crash_open_receiver,
                                       .act = receive_two };
    crash_all(&scene);
}

static void a_claim_by_any(void)
{
    const struct crash_scene scene = { .operation = "tong_claim tong_done tong_return",
                                       .role = "claim holder, any",
                                       .options = any,
                                       .lost = 1,
                                       .before = crash_send_three,
                                       .ready = crash_open_receiver,
                                       .act = claim_done_return };
    crash_all(&scene);
}

static void a_sleeper_by_any(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver asleep beside another one, any",
                                       .options = any,
                                       .lost = 1,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_receiver,
                                       .act = receive_until_time_out,
                                       .meanwhile = wake_all,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void a_send_by_any(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender, any, a receiver asleep",
                                       .options = any,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_sender,
                                       .act = send_one,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void skip_two(struct crash_stage *s)
{
    for (uint32_t id = 8; id < 10; id++) {
        kit_gives(tong_skip(s->mine), (int64_t)crash_len(id));
        atomic_fetch_add(&s->world->message[id].consumed, 1);
    }
}

static void a_skip_by_any(void)
{
    const struct crash_scene scene = { .operation = "tong_skip",
                                       .role = "receiver, any, link_capacity",
                                       .options = any_link_bounded,
                                       .lost = 1,
                                       .before = crash_send_three,
                                       .ready = crash_open_receiver,
                                       .act = skip_two };
    crash_all(&scene);
}

static void receive_three_at_once(struct crash_stage *s)
{
    static uint8_t bytes[3][64];
    struct iovec buffers[3];
    size_t lens[3];
    for (int i = 0; i < 3; i++) {
        buffers[i] = (struct iovec){ .iov_base = bytes[i], .iov_len = sizeof(bytes[i]) };
    }
    kit_gives(tong_receive_many(s->mine, buffers, 3, KIT_PATIENCE, lens), 3);
    for (int i = 0; i < 3; i++) {
        atomic_fetch_add(&s->world->message[crash_know(bytes[i], lens[i])].consumed, 1);
    }
}

static void receive_many_by_any(void)
{
    const struct crash_scene scene = { .operation = "tong_receive_many",
                                       .role = "receiver, any, link_capacity",
                                       .options = any_link_bounded,
                                       .lost = 3,
                                       .before = crash_send_three,
                                       .ready = crash_open_receiver,
                                       .act = receive_three_at_once };
    crash_all(&scene);
}

static void wait_and_receive(struct crash_stage *s)
{
    tong_mailbox *const boxes[] = { s->mine };
    kit_gives(tong_wait_any(boxes, 1, KIT_PATIENCE), 0);
    kit_true(crash_receive(s, s->mine, 0) >= 0);
}

static void a_wait_by_any(void)
{
    const struct crash_scene scene = { .operation = "tong_wait_any tong_receive",
                                       .role = "receiver, any, messages wait",
                                       .options = any,
                                       .lost = 1,
                                       .before = crash_send_three,
                                       .ready = crash_open_receiver,
                                       .act = wait_and_receive };
    crash_all(&scene);
}

/* ---- a buffer that is too short: the message stays */

static void receive_too_short(struct crash_stage *s)
{
    char byte;
    kit_gives(tong_receive(s->mine, &byte, 1, 0), -EMSGSIZE);
}

static void a_receive_into_a_short_buffer(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver whose buffer is too short",
                                       .options = crash_bounded,
                                       .before = crash_send_three,
                                       .ready = crash_open_receiver,
                                       .act = receive_too_short };
    crash_all(&scene);
}

/* ---- a claim, asleep and long */

static void claim_asleep(struct crash_stage *s)
{
    kit_true(crash_claim(s, s->mine, TONG_FOREVER, &s->claim[0]) >= 0);
}

static void a_claim_asleep(void)
{
    const struct crash_scene scene = { .operation = "tong_claim",
                                       .role = "receiver asleep, behind another one",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_receiver,
                                       .act = claim_asleep,
                                       .meanwhile = wake_all,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void send_two_long(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(crash_send(s, s->sender, CRASH_LONG + 2, 0));
    kit_ok(crash_send(s, s->sender, CRASH_LONG + 4, 0));
}

static void claim_long(struct crash_stage *s)
{
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[0]), CRASH_LONG + 2);
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[1]), CRASH_LONG + 4);
    crash_done(s, s->mine, CRASH_LONG + 4, &s->claim[1]);
    kit_ok(tong_return(s->mine, &s->claim[0]));
}

static void claims_of_long_messages(void)
{
    const struct crash_scene scene = { .operation = "tong_claim tong_done tong_return",
                                       .role = "claim holder of long messages, unbounded",
                                       .options = crash_unbounded,
                                       .lost = 1,
                                       .before = send_two_long,
                                       .ready = crash_open_receiver,
                                       .act = claim_long };
    crash_all(&scene);
}

/* ---- exclusive: nobody else receives while the victim lives */

static tong_options exclusive(void)
{
    tong_options options = kit_capacity(4);
    options.delivery = TONG_EXCLUSIVE;
    return options;
}

static void only_send(struct crash_stage *s)
{
    kit_ok(tong_close(s->box));
    s->box = NULL;
}

static void three_for_one(struct crash_stage *s)
{
    only_send(s);
    crash_send_three(s);
}

static void a_receive_exclusive(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver, exclusive",
                                       .options = exclusive,
                                       .lost = 1,
                                       .before = three_for_one,
                                       .ready = crash_open_receiver,
                                       .act = receive_two };
    crash_all(&scene);
}

static void a_claim_exclusive(void)
{
    const struct crash_scene scene = { .operation = "tong_claim tong_done tong_return",
                                       .role = "claim holder, exclusive",
                                       .options = exclusive,
                                       .lost = 1,
                                       .before = three_for_one,
                                       .ready = crash_open_receiver,
                                       .act = claim_done_return };
    crash_all(&scene);
}

static void a_sleeper_exclusive(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "receiver asleep, exclusive",
                                       .options = exclusive,
                                       .lost = 1,
                                       .before = only_send,
                                       .ready = crash_open_receiver,
                                       .act = receive_asleep,
                                       .meanwhile = wake_all };
    crash_all(&scene);
}

static void a_send_exclusive(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender, exclusive",
                                       .options = exclusive,
                                       .ready = crash_open_sender,
                                       .act = send_one };
    crash_all(&scene);
}

static int dies_with_claims(void *arg)
{
    claim_ready(arg);
    _exit(0);
}

static void dead_with_claims(struct crash_stage *s)
{
    three_for_one(s);
    struct kit_child child = kit_spawn(dies_with_claims, s);
    kit_join(&child);
}

static void a_join_exclusive(void)
{
    const struct crash_scene scene = { .operation = "tong_open",
                                       .role =
                                           "receiver that joins in a dead one's place, exclusive",
                                       .options = exclusive,
                                       .before = dead_with_claims,
                                       .act = crash_open_receiver };
    crash_all(&scene);
}

static void a_leave_exclusive(void)
{
    const struct crash_scene scene = { .operation = "tong_close",
                                       .role = "claim holder that leaves, exclusive",
                                       .options = exclusive,
                                       .before = three_for_one,
                                       .ready = claim_ready,
                                       .act = crash_close_mine };
    crash_all(&scene);
}

static void somebody_receives(struct crash_stage *s)
{
    three_for_one(s);
    s->extra = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
}

static void open_in_vain(struct crash_stage *s)
{
    kit_gives(tong_open(CRASH_BOX, TONG_RECEIVE, NULL, &s->mine), -EBUSY);
}

static void nobody_receives(struct crash_stage *s)
{
    kit_equal(kit_stat(CRASH_BOX).receivers, 1);
    kit_ok(tong_close(s->extra));
    s->extra = NULL;
}

static void a_second_one_exclusive(void)
{
    const struct crash_scene scene = { .operation = "tong_open",
                                       .role = "receiver that is refused, exclusive",
                                       .options = exclusive,
                                       .before = somebody_receives,
                                       .act = open_in_vain,
                                       .finish = nobody_receives };
    crash_all(&scene);
}

/* ---- a mailbox that ends with the victim */

static tong_options process_owned(void)
{
    return crash_process_owned(1);
}

static void own_a_full_one(struct crash_stage *s)
{
    s->mine = kit_create(CRASH_BOX, &s->options);
    kit_ok(crash_send(s, s->mine, 0, 0));
    kit_event_set(&s->world->event[1]);
    kit_event_wait(&s->world->event[2]);
}

static void blocked_in_it(struct crash_stage *s, struct kit_child *victim)
{
    (void)victim;
    kit_event_wait(&s->world->event[1]);
    s->helper[1] = kit_spawn(crash_blocked, s);
    kit_until_blocked(CRASH_BOX, 1);
    kit_event_set(&s->world->event[2]);
}

static void nothing_of_it_is_left(struct crash_stage *s)
{
    kit_gives(tong_open(CRASH_BOX, TONG_SEND, NULL, &s->mine), -ENOENT);
    crash_entries_are("", ".life .lock .tmp");
}

/* It got through, or was told by nobody but the kernel. */
static void blocked_or_told(struct crash_stage *s)
{
    kit_join(&s->helper[1]);
    const int32_t answer = atomic_load(&s->world->answer[1]);
    kit_true(answer == 0 || answer == -EOWNERDEAD);
    nothing_of_it_is_left(s);
}

static void owner_receives(struct crash_stage *s)
{
    kit_gives(crash_receive(s, s->mine, 0), 0);
}

static void an_owners_receive(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "owner, a sender blocked",
                                       .options = process_owned,
                                       .absent = true,
                                       .ready = own_a_full_one,
                                       .act = owner_receives,
                                       .meanwhile = blocked_in_it,
                                       .finish = blocked_or_told,
                                       .gone = true };
    crash_all(&scene);
}

static void owner_claims(struct crash_stage *s)
{
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[0]), 0);
    kit_ok(tong_return(s->mine, &s->claim[0]));
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[0]), 0);
    crash_done(s, s->mine, 0, &s->claim[0]);
}

static void an_owners_claim(void)
{
    const struct crash_scene scene = { .operation = "tong_claim tong_return tong_done",
                                       .role = "owner, a sender blocked",
                                       .options = process_owned,
                                       .absent = true,
                                       .ready = own_a_full_one,
                                       .act = owner_claims,
                                       .meanwhile = blocked_in_it,
                                       .finish = blocked_or_told,
                                       .gone = true };
    crash_all(&scene);
}

/* Sends 24 to the owner, if there is one. */
static int sends_or_not(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = NULL;
    const int r = tong_open(CRASH_BOX, TONG_SEND, NULL, &box);
    atomic_store(&s->world->answer[1], r == 0 ? crash_send(s, box, 24, TONG_FOREVER) : r);
    kit_ok(tong_close(box));
    return 0;
}

static void own_an_empty_one(struct crash_stage *s)
{
    s->mine = kit_create(CRASH_BOX, &s->options);
    kit_event_set(&s->world->event[1]);
}

static bool owner_sleeps(void)
{
    tong_status status = TONG_STATUS_INIT;
    return tong_stat(CRASH_BOX, &status) == 0 && status.receivers_asleep == 1;
}

static void wake_the_owner(struct crash_stage *s, struct kit_child *victim)
{
    kit_event_wait(&s->world->event[1]);
    kit_until(crash_has_ended(victim) || owner_sleeps());
    s->helper[1] = kit_spawn(sends_or_not, s);
}

static void sent_or_told(struct crash_stage *s)
{
    kit_join(&s->helper[1]);
    const int32_t answer = atomic_load(&s->world->answer[1]);
    kit_true(answer == 0 || answer == -EOWNERDEAD || answer == -ENOENT);
    nothing_of_it_is_left(s);
}

static void an_owner_asleep(void)
{
    const struct crash_scene scene = { .operation = "tong_receive",
                                       .role = "owner asleep",
                                       .options = process_owned,
                                       .absent = true,
                                       .ready = own_an_empty_one,
                                       .act = receive_asleep,
                                       .meanwhile = wake_the_owner,
                                       .finish = sent_or_told,
                                       .gone = true };
    crash_all(&scene);
}

/* ---- a mailbox of the survivor's process */

static tong_options owned_by_the_survivor(void)
{
    tong_options options = kit_capacity(4);
    options.owner = TONG_PROCESS;
    return options;
}

static void survivor_owns(struct crash_stage *s)
{
    s->box = kit_create(CRASH_BOX, &s->options);
}

/* All that was promised is there, four fit, and its end leaves nothing. */
static void owner_goes_on(struct crash_stage *s)
{
    crash_drain(s, s->box);
    crash_settle(s);
    for (uint64_t i = 0; i < 4; i++) {
        kit_ok(kit_send_u64(s->box, i, 0));
    }
    kit_gives(kit_send_u64(s->box, 4, 0), -EAGAIN);
    for (uint64_t i = 0; i < 4; i++) {
        kit_equal(kit_receive_u64(s->box), i);
    }
    kit_ok(tong_close(s->sender));
    kit_ok(tong_close(s->box));
    s->sender = s->box = NULL;
    nothing_of_it_is_left(s);
}

static void a_send_to_an_owner(void)
{
    const struct crash_scene scene = { .operation = "tong_send",
                                       .role = "sender, process-owned, owner alive",
                                       .options = owned_by_the_survivor,
                                       .absent = true,
                                       .before = survivor_owns,
                                       .ready = crash_open_sender,
                                       .act = send_one,
                                       .finish = owner_goes_on,
                                       .gone = true };
    crash_all(&scene);
}

static void open_to_receive_in_vain(struct crash_stage *s)
{
    kit_gives(tong_open(CRASH_BOX, TONG_RECEIVE, NULL, &s->mine), -EPERM);
}

static void a_receiver_that_is_not_the_owner(void)
{
    const struct crash_scene scene = { .operation = "tong_open",
                                       .role = "receiver that is refused, process-owned",
                                       .options = owned_by_the_survivor,
                                       .absent = true,
                                       .before = survivor_owns,
                                       .act = open_to_receive_in_vain,
                                       .finish = owner_goes_on,
                                       .gone = true };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_receive_by_any, 240),
    KIT_TEST_LONG(a_claim_by_any, 240),
    KIT_TEST_LONG(a_sleeper_by_any, 240),
    KIT_TEST_LONG(a_send_by_any, 240),
    KIT_TEST_LONG(a_skip_by_any, 240),
    KIT_TEST_LONG(receive_many_by_any, 240),
    KIT_TEST_LONG(a_wait_by_any, 240),
    KIT_TEST_LONG(a_receive_into_a_short_buffer, 240),
    KIT_TEST_LONG(a_claim_asleep, 240),
    KIT_TEST_LONG(claims_of_long_messages, 240),
    KIT_TEST_LONG(a_receive_exclusive, 240),
    KIT_TEST_LONG(a_claim_exclusive, 240),
    KIT_TEST_LONG(a_sleeper_exclusive, 240),
    KIT_TEST_LONG(a_send_exclusive, 240),
    KIT_TEST_LONG(a_join_exclusive, 240),
    KIT_TEST_LONG(a_leave_exclusive, 240),
    KIT_TEST_LONG(a_second_one_exclusive, 240),
    KIT_TEST_LONG(an_owners_receive, 240),
    KIT_TEST_LONG(an_owners_claim, 240),
    KIT_TEST_LONG(an_owner_asleep, 240),
    KIT_TEST_LONG(a_send_to_an_owner, 240),
    KIT_TEST_LONG(a_receiver_that_is_not_the_owner, 240),
};

KIT_MAIN(tests)
