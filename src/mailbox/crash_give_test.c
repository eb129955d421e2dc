/*
 * Who hands a mailbox on, takes it, watches for deaths or moves dead letters is killed at every
 * point: see crash_test.h.
 */
#include "mailbox/mailbox.h"

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

#define PROCESS kit_name("process")

/* ---- giving it to the survivor's process, another receiver asleep */

static void become_a_process(struct crash_stage *s)
{
    tong_options options = kit_options();
    options.owner = TONG_PROCESS;
    s->extra = kit_create(PROCESS, &options);
}

static void process_and_sleeper(struct crash_stage *s)
{
    become_a_process(s);
    crash_start_receiver(s);
}

static void give_to_the_process(struct crash_stage *s)
{
    kit_ok(tong_give(s->mine, PROCESS));
}

/* It is the old owner's or the new one's, and everybody knows. */
static void old_or_new_owner(struct crash_stage *s)
{
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    }
    const tong_status status = kit_stat(CRASH_BOX);
    const bool given = status.owner == TONG_PROCESS;
    kit_true(given || s->killed);
    kit_equal(status.owner_pid, given ? getpid() : 0);
    if (!given) {
        crash_end_receiver(s);
        return;
    }
    kit_join(&s->helper[0]);
    kit_gives(atomic_load(&s->world->answer[0]), -EPERM);
    crash_drain(s, s->box);
    /* Given on to the system, it outlives this process. */
    kit_ok(tong_give(s->box, NULL));
    kit_equal(kit_stat(CRASH_BOX).owner, TONG_SYSTEM);
}

static void a_give_to_a_process(void)
{
    const struct crash_scene scene = { .operation = "tong_give",
                                       .role = "giver to a process, a receiver asleep",
                                       .options = crash_bounded,
                                       .before = process_and_sleeper,
                                       .ready = crash_own_link,
                                       .act = give_to_the_process,
                                       .finish = old_or_new_owner };
    crash_all(&scene);
}

/* ---- giving the survivor's mailbox to the system, a sender blocked */

static tong_options process_owned(void)
{
    return crash_process_owned(4);
}

static void own_a_full_one(struct crash_stage *s)
{
    s->box = kit_create(CRASH_BOX, &s->options);
    crash_full_and_blocked(s);
}

static void give_to_the_system(struct crash_stage *s)
{
    kit_ok(tong_give(s->mine, NULL));
}

static void owner_can_receive(struct crash_stage *s)
{
    const tong_status status = kit_stat(CRASH_BOX);
    kit_true(status.owner == TONG_SYSTEM || s->killed);
    kit_equal(status.owner_pid, status.owner == TONG_SYSTEM ? 0 : getpid());
    crash_drain(s, s->box);
    kit_until(atomic_load(&s->world->message[24].promised) != 0);
    kit_join(&s->helper[1]);
    kit_ok(tong_give(s->box, NULL));
}

static void a_give_to_the_system(void)
{
    const struct crash_scene scene = { .operation = "tong_give",
                                       .role = "giver to the system, a sender blocked",
                                       .options = process_owned,
                                       .absent = true,
                                       .before = own_a_full_one,
                                       .ready = crash_open_sender,
                                       .act = give_to_the_system,
                                       .finish = owner_can_receive };
    crash_all(&scene);
}

/* ---- taking: the victim's process is given a full mailbox */

static tong_options of_one(void)
{
    return kit_capacity(1);
}

static void be_given_it(struct crash_stage *s)
{
    become_a_process(s);
    kit_event_set(&s->world->event[1]);
    kit_event_wait(&s->world->event[2]);
}

static void give_it_full(struct crash_stage *s, struct kit_child *victim)
{
    (void)victim;
    kit_event_wait(&s->world->event[1]);
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(crash_send(s, s->sender, 8, 0));
    s->helper[1] = kit_spawn(crash_blocked, s);
    kit_until_blocked(CRASH_BOX, 1);
    kit_ok(tong_give(s->sender, PROCESS));
    kit_event_set(&s->world->event[2]);
}

static void take_and_end_it(struct crash_stage *s)
{
    s->mine = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    kit_gives(crash_receive(s, s->mine, 0), 8);
    kit_ok(tong_close(s->mine));
}

static void it_ended_with_the_taker(struct crash_stage *s)
{
    kit_join(&s->helper[1]);
    const int32_t answer = atomic_load(&s->world->answer[1]);
    kit_true(answer == 0 || answer == -EOWNERDEAD);
    kit_gives(crash_send(s, s->sender, 9, 0), -EOWNERDEAD);
    kit_ok(tong_close(s->sender));
    kit_ok(tong_close(s->box));
    s->sender = s->box = NULL;
    kit_gives(tong_open(CRASH_BOX, TONG_SEND, NULL, &s->mine), -ENOENT);
    kit_true(tong_doctor(1, kit_ignore_finding, NULL) >= 0);
    crash_entries_are("", ".life .lock .tmp");
}

static void a_new_owner(void)
{
    const struct crash_scene scene = { .operation = "tong_open tong_receive tong_close",
                                       .role = "taker: owner by a give, a sender blocked",
                                       .options = of_one,
                                       .ready = be_given_it,
                                       .act = take_and_end_it,
                                       .meanwhile = give_it_full,
                                       .finish = it_ended_with_the_taker,
                                       .gone = true };
    crash_all(&scene);
}

/* ---- dead letters: message 8 was handed out as often as it may be */

static tong_options once(void)
{
    tong_options options = kit_capacity(4);
    options.max_deliveries = 1;
    options.dead_letter = "letters";
    return options;
}

static int dies_with_a_claim(void *arg)
{
    struct crash_stage *s = arg;
    crash_open_receiver(s);
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[0]), 8);
    _exit(0);
}

static void one_too_often(struct crash_stage *s)
{
    crash_send_three(s);
    struct kit_child child = kit_spawn(dies_with_a_claim, s);
    kit_join(&child);
}

static void too_often_with_letters(struct crash_stage *s)
{
    s->extra = kit_open(kit_name("letters"), TONG_RECEIVE | TONG_CREATE, NULL);
    one_too_often(s);
}

static void claim_the_next(struct crash_stage *s)
{
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[0]), 9);
    crash_done(s, s->mine, 9, &s->claim[0]);
}

/* Each is in one of the two; after a death in two copies, of the same message. */
static void all_are_somewhere(struct crash_stage *s)
{
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    }
    crash_drain(s, s->box);
    ssize_t r;
    while ((r = tong_receive(s->extra, crash_buffer, CRASH_LEN_MOST, TONG_MS(1))) >= 0) {
        struct crash_message *m = &s->world->message[crash_know(crash_buffer, (size_t)r)];
        if (atomic_load(&m->consumed) == 0) {
            atomic_store(&m->consumed, 1);
        }
    }
    kit_gives(r, -ETIMEDOUT);
    kit_equal(kit_stat(CRASH_BOX).set_aside, 0);
    kit_ok(tong_remove(kit_name("letters")));
}

static void a_mover(void)
{
    const struct crash_scene scene = { .operation = "tong_claim tong_done",
                                       .role = "receiver that moves a dead letter",
                                       .options = once,
                                       .lost = 1,
                                       .before = too_often_with_letters,
                                       .ready = crash_open_receiver,
                                       .act = claim_the_next,
                                       .finish = all_are_somewhere };
    crash_all(&scene);
}

/* There is no mailbox for them: they are kept, take room, and are thrown away when asked for. */
static void thrown_away(struct crash_stage *s)
{
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    }
    crash_drain(s, s->box);
    ssize_t r;
    uint32_t n = 0;
    while ((r = tong_skip(s->box)) >= 0) {
        const uint32_t id = (uint32_t)r - 32;
        kit_true(id < CRASH_LONG && atomic_load(&s->world->message[id].handed) <= 1);
        atomic_fetch_add(&s->world->message[id].consumed, 1);
        n++;
    }
    kit_gives(r, -EAGAIN);
    kit_true(n >= 1 || s->second_killed);
    kit_equal(kit_stat(CRASH_BOX).set_aside, 0);
}

static void a_letter_set_aside(void)
{
    const struct crash_scene scene = { .operation = "tong_claim tong_done",
                                       .role = "receiver that sets a message aside",
                                       .options = once,
                                       .lost = 1,
                                       .before = one_too_often,
                                       .ready = crash_open_receiver,
                                       .act = claim_the_next,
                                       .finish = thrown_away };
    crash_all(&scene);
}

/* ---- a receiver whose 64 claims are all used by messages set aside: one of them gives way */

#define TIMES 3u /* more often than victim, second victim and survivor together */

static tong_options three_times(void)
{
    tong_options options = kit_options();
    options.link_capacity = 100;
    options.max_deliveries = TIMES;
    return options;
}

static void set_all_claims_aside(struct crash_stage *s)
{
    tong_message message[TG_CLAIMS_MAX];
    s->mine = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    for (uint32_t i = 0; i < TG_CLAIMS_MAX; i++) {
        kit_ok(kit_send_u64(s->mine, i, 0));
    }
    for (uint32_t k = 0; k < TIMES * TG_CLAIMS_MAX; k++) {
        const uint32_t i = k % TG_CLAIMS_MAX;
        message[i] = (tong_message)TONG_MESSAGE_INIT;
        kit_ok(tong_claim(s->mine, 0, &message[i]));
        if (i == TG_CLAIMS_MAX - 1) {
            for (uint32_t j = 0; j < TG_CLAIMS_MAX; j++) {
                kit_ok(tong_return(s->mine, &message[j]));
            }
        }
    }
    kit_is_empty(s->mine);
    kit_equal(kit_stat(CRASH_BOX).set_aside, TG_CLAIMS_MAX);
    kit_ok(crash_send(s, s->mine, 8, 0));
}

static void claim_it(struct crash_stage *s)
{
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[0]), 8);
    crash_done(s, s->mine, 8, &s->claim[0]);
}

static void each_is_aside_once(struct crash_stage *s)
{
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    }
    crash_drain(s, s->box);
    kit_equal(kit_stat(CRASH_BOX).set_aside, TG_CLAIMS_MAX);
    for (uint32_t i = 0; i < TG_CLAIMS_MAX; i++) {
        kit_equal(tong_skip(s->box), 8);
    }
    kit_gives(tong_skip(s->box), -EAGAIN);
}

static void a_letter_that_gives_way(void)
{
    const struct crash_scene scene = { .operation = "tong_claim tong_done",
                                       .role = "receiver that moves one set aside away",
                                       .options = three_times,
                                       .lost = 1,
                                       .ready = set_all_claims_aside,
                                       .act = claim_it,
                                       .finish = each_is_aside_once };
    crash_all(&scene);
}

/* ---- watching: the helper watches, too, and must be told of a third one's death */

static int watches(void *arg)
{
    struct crash_stage *s = arg;
    tong_death death = TONG_DEATH_INIT;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_event_set(&s->world->event[0]);
    const int r = tong_watch(box, KIT_PATIENCE, &death);
    atomic_store(&s->world->answer[0], r);
    atomic_store(&s->world->answer[1], death.pid);
    kit_ok(tong_close(box));
    return 0;
}

static int third(void *arg)
{
    struct crash_stage *s = arg;
    crash_open_receiver(s);
    kit_event_set(&s->world->event[1]);
    kit_await_death();
}

static void third_and_watcher(struct crash_stage *s)
{
    s->helper[1] = kit_spawn(third, s);
    kit_event_wait(&s->world->event[1]);
    s->helper[0] = kit_spawn(watches, s);
    kit_event_wait(&s->world->event[0]);
    kit_until(kit_sleeps(s->helper[0].pid));
}

static void watch(struct crash_stage *s)
{
    tong_death death = TONG_DEATH_INIT;
    kit_ok(tong_watch(s->mine, KIT_PATIENCE, &death));
}

static void third_dies(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || kit_sleeps(victim->pid));
    const int32_t pid = (int32_t)s->helper[1].pid;
    kit_kill(&s->helper[1]);
    kit_join(&s->helper[0]);
    kit_gives(atomic_load(&s->world->answer[0]), 0);
    kit_equal(atomic_load(&s->world->answer[1]), pid);
}

static void a_watcher(void)
{
    const struct crash_scene scene = { .operation = "tong_watch",
                                       .role = "watcher asleep, beside another one",
                                       .options = crash_bounded,
                                       .before = third_and_watcher,
                                       .ready = crash_open_sender,
                                       .act = watch,
                                       .meanwhile = third_dies };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_give_to_a_process, 240), KIT_TEST_LONG(a_give_to_the_system, 240),
    KIT_TEST_LONG(a_new_owner, 240),         KIT_TEST_LONG(a_mover, 240),
    KIT_TEST_LONG(a_letter_set_aside, 240),  KIT_TEST_LONG(a_letter_that_gives_way, 240),
    KIT_TEST_LONG(a_watcher, 240),
};

KIT_MAIN(tests)
