/*
 * Who makes, opens, closes or removes a mailbox is killed at every point: see
 * crash_test.h.
 */
#include "mailbox/mailbox.h"

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

#define BOTH (TONG_SEND | TONG_RECEIVE)

static int opens(unsigned flags, const tong_options *options, tong_mailbox **ret_box)
{
    return tong_open(CRASH_BOX, flags, options, ret_box);
}

/* ---- making one */

static void create(struct crash_stage *s)
{
    s->mine = kit_create(CRASH_BOX, &s->options);
}

/* It is there, whole, or not at all; then somebody else makes it. */
static void there_or_made(struct crash_stage *s)
{
    const int r = opens(BOTH, &s->options, &s->box);
    if (r != 0) {
        kit_gives(r, -ENOENT);
        kit_true(s->killed);
        create(s);
        s->box = s->mine;
    }
}

static void a_create(void)
{
    const struct crash_scene scene = { .operation = "tong_open",
                                       .role = "creator",
                                       .options = crash_bounded,
                                       .absent = true,
                                       .act = create,
                                       .finish = there_or_made };
    crash_all(&scene);
}

static tong_options process_owned(void)
{
    return crash_process_owned(1);
}

/* Its owner is dead in any case. */
static void owner_is_dead(struct crash_stage *s)
{
    kit_gives(opens(TONG_SEND, NULL, &s->box), -ENOENT);
    s->options = kit_capacity(4);
    create(s);
    s->box = s->mine;
}

static void a_process_owned_create(void)
{
    const struct crash_scene scene = { .operation = "tong_open",
                                       .role = "owner: creates a process-owned one",
                                       .options = process_owned,
                                       .absent = true,
                                       .act = create,
                                       .finish = owner_is_dead };
    crash_all(&scene);
}

static void create_and_close(struct crash_stage *s)
{
    create(s);
    kit_ok(tong_close(s->mine));
}

static void a_process_owned_create_and_close(void)
{
    const struct crash_scene scene = { .operation = "tong_open tong_close",
                                       .role = "owner: creates and ends it",
                                       .options = process_owned,
                                       .absent = true,
                                       .act = create_and_close,
                                       .finish = owner_is_dead };
    crash_all(&scene);
}

/* ---- opening what is there */

static void open_and_close(struct crash_stage *s)
{
    kit_ok(tong_close(kit_open(CRASH_BOX, BOTH | TONG_CREATE, &s->options)));
}

static void an_open_and_close(void)
{
    const struct crash_scene scene = { .operation = "tong_open tong_close",
                                       .role = "opener, sender and receiver; messages wait",
                                       .options = crash_bounded,
                                       .before = crash_send_three,
                                       .act = open_and_close };
    crash_all(&scene);
}

/* What a dead owner left is taken away by an open that creates. */
static int dying_owner(void *arg)
{
    struct crash_stage *s = arg;
    const tong_options options = process_owned();
    s->mine = kit_create(CRASH_BOX, &options);
    kit_ok(crash_send(s, s->mine, 16, 0));
    atomic_store(&s->world->message[16].promised, 0); /* it goes with the mailbox */
    _exit(0);
}

static void owner_dies(struct crash_stage *s)
{
    struct kit_child child = kit_spawn(dying_owner, s);
    kit_join(&child);
}

static void a_create_over_a_dead_one(void)
{
    const struct crash_scene scene = { .operation = "tong_open",
                                       .role = "creator where a dead owner left one",
                                       .options = crash_bounded,
                                       .absent = true,
                                       .before = owner_dies,
                                       .act = create,
                                       .finish = there_or_made };
    crash_all(&scene);
}

/* ---- ending one */

/* Its name is free and nothing of it is left. */
static void nothing_is_there(struct crash_stage *s)
{
    kit_gives(opens(TONG_SEND, NULL, &s->mine), -ENOENT);
    crash_entries_are("", ".life .lock .tmp");
}

/* The sleeper is told that it was removed, or goes on in one that is alive. */
static void sleeper_is_told(struct crash_stage *s)
{
    kit_ok(tong_close(s->box));
    s->box = NULL;
    const int r = opens(TONG_SEND, NULL, &s->sender);
    if (r == 0) {
        kit_true(s->killed);
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
    nothing_is_there(s);
}

static void a_remove_beside_a_sleeper(void)
{
    const struct crash_scene scene = { .operation = "tong_remove",
                                       .role = "remover, a receiver asleep",
                                       .options = crash_bounded,
                                       .before = crash_start_receiver,
                                       .act = crash_remove,
                                       .second = crash_remove_again,
                                       .finish = sleeper_is_told,
                                       .gone = true };
    crash_all(&scene);
}

static void blocked_is_told(struct crash_stage *s)
{
    tong_mailbox *box = NULL;
    const int r = opens(BOTH, NULL, &box);
    if (r == 0) {
        kit_true(s->killed);
        kit_gives(crash_receive(s, box, 0), 8);
        kit_join(&s->helper[1]);
        kit_gives(atomic_load(&s->world->answer[1]), 0);
        kit_ok(tong_close(box));
        crash_remove(s);
    } else {
        kit_gives(r, -ENOENT);
        kit_join(&s->helper[1]);
        kit_gives(atomic_load(&s->world->answer[1]), -EIDRM);
    }
    kit_gives(crash_send(s, s->sender, 13, 0), -EIDRM);
    kit_ok(tong_close(s->sender));
    kit_ok(tong_close(s->box));
    s->sender = NULL;
    s->box = NULL;
    nothing_is_there(s);
}

static void a_remove_beside_a_blocked_sender(void)
{
    const struct crash_scene scene = { .operation = "tong_remove",
                                       .role = "remover, a sender blocked",
                                       .options = crash_bounded,
                                       .before = crash_full_and_blocked,
                                       .act = crash_remove,
                                       .second = crash_remove_again,
                                       .finish = blocked_is_told,
                                       .gone = true };
    crash_all(&scene);
}

/* The victim owns a full mailbox in which somebody is blocked. */
static void own_a_full_one(struct crash_stage *s)
{
    create(s);
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

/* Told by nobody but the kernel, if the owner was killed early. */
static void owners_end_is_told(struct crash_stage *s)
{
    kit_join(&s->helper[1]);
    kit_gives(atomic_load(&s->world->answer[1]), -EOWNERDEAD);
    nothing_is_there(s);
}

static void an_owners_close(void)
{
    const struct crash_scene scene = { .operation = "tong_close",
                                       .role = "owner, a sender blocked",
                                       .options = process_owned,
                                       .absent = true,
                                       .ready = own_a_full_one,
                                       .act = crash_close_mine,
                                       .meanwhile = blocked_in_it,
                                       .finish = owners_end_is_told,
                                       .gone = true };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_create, 240),
    KIT_TEST_LONG(a_process_owned_create, 240),
    KIT_TEST_LONG(a_process_owned_create_and_close, 240),
    KIT_TEST_LONG(an_open_and_close, 240),
    KIT_TEST_LONG(a_create_over_a_dead_one, 240),
    KIT_TEST_LONG(a_remove_beside_a_sleeper, 240),
    KIT_TEST_LONG(a_remove_beside_a_blocked_sender, 240),
    KIT_TEST_LONG(an_owners_close, 240),
};

KIT_MAIN(tests)
