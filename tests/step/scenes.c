/*
 * The scenes. A victim is before its call, alone or beside others that sleep or wait; what it holds and
 * what the others need of it is what may go wrong when it dies.
 */
#include "scenes.h"

#include <fcntl.h>

#include "mailbox/box.h"

/* ---- sending */

static void own_link_ready(struct crash_stage *s)
{
    crash_open_sender(s);
    kit_ok(crash_send(s, s->mine, 0, 0));
}

static void send_ready(struct crash_stage *s)
{
    crash_open_sender(s);
    kit_ok(crash_send(s, s->mine, 0, KIT_PATIENCE));
    kit_until_asleep(CRASH_BOX, 1);
}

static void send_one(struct crash_stage *s)
{
    kit_ok(crash_send(s, s->mine, 1, 0));
}

static void send_waiting(struct crash_stage *s)
{
    kit_ok(crash_send(s, s->mine, 1, TONG_FOREVER));
}

static void write_in_place(struct crash_stage *s)
{
    struct crash_message *m = &s->world->message[1];
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(s->mine, 100, 0, &slot));
    kit_payload_write(slot.data, crash_len(1), 1, 1);
    atomic_store(&m->offered, 1);
    kit_ok(tong_commit(s->mine, &slot, crash_len(1)));
    atomic_store(&m->promised, 1);
}

static void fill_up(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 8; id < 12; id++) {
        kit_ok(crash_send(s, s->sender, id, 0));
    }
}

/* The last room is the victim's own. */
static void fill_but_one(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 8; id < 11; id++) {
        kit_ok(crash_send(s, s->sender, id, 0));
    }
}

static void fill_own_link(struct crash_stage *s)
{
    crash_open_sender(s);
    for (uint32_t id = 8; id < 12; id++) {
        kit_ok(crash_send(s, s->mine, id, 0));
    }
}

static void make_room(struct crash_stage *s)
{
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    }
    kit_true(crash_receive(s, s->box, KIT_PATIENCE) >= 0);
}

static void room_comes(struct crash_stage *s, struct kit_child *victim)
{
    (void)victim;
    make_room(s);
}

/* The helper, which has just come, sleeps in its call. The victim is dead, or asleep, or was woken by
 * it and is stopped on its way. */
static void until_asleep(const struct kit_child *helper)
{
    kit_until(kit_sleeps(helper->pid) &&
              kit_stat(CRASH_BOX).senders_blocked + kit_stat(CRASH_BOX).receivers_asleep != 0);
}

/* Somebody blocks behind the victim, or in its place. */
static void one_behind_and_room(struct crash_stage *s, struct kit_child *victim)
{
    (void)victim;
    s->helper[1] = kit_spawn(crash_blocked, s);
    until_asleep(&s->helper[1]);
    make_room(s);
}

static void both_get_through(struct crash_stage *s)
{
    struct crash_message *m = s->world->message;
    if (atomic_load(&m[1].promised) != 0 || kit_stat(CRASH_BOX).waiting == 4) {
        make_room(s);
    }
    kit_until(atomic_load(&m[24].promised) != 0);
    kit_join(&s->helper[1]);
}

/* ---- receiving */

static void receive_one(struct crash_stage *s)
{
    kit_true(crash_receive(s, s->mine, 0) >= 0);
}

static void short_ready(struct crash_stage *s)
{
    crash_open_receiver(s);
    receive_one(s);
}

static void claim_one(struct crash_stage *s)
{
    kit_true(crash_claim(s, s->mine, 0, &s->claim[2]) >= 0);
}

static void claim_ready(struct crash_stage *s)
{
    crash_open_receiver(s);
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[0]), 8);
    kit_gives(crash_claim(s, s->mine, 0, &s->claim[1]), 9);
}

static void finish_first(struct crash_stage *s)
{
    crash_done(s, s->mine, 8, &s->claim[0]);
}

static void finish_second(struct crash_stage *s)
{
    crash_done(s, s->mine, 9, &s->claim[1]);
}

static void return_first(struct crash_stage *s)
{
    kit_ok(tong_return(s->mine, &s->claim[0]));
}

static void all_taken(struct crash_stage *s)
{
    claim_ready(s);
    receive_one(s);
}

static void sleeper_beside(struct crash_stage *s)
{
    crash_start_receiver(s);
}

static void returned_ready(struct crash_stage *s)
{
    claim_ready(s);
    return_first(s);
}

/* ---- asleep */

static void receive_asleep(struct crash_stage *s)
{
    kit_true(crash_receive(s, s->mine, TONG_FOREVER) >= 0);
}

/* One message, and the others when the victim's fate is known: what comes for both is for both. */
static int modest_receiver(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    int id = crash_receive(s, box, TONG_FOREVER);
    kit_event_wait(&s->world->event[2]);
    while (id >= 0 && id != (int)CRASH_END) {
        id = crash_receive(s, box, TONG_FOREVER);
    }
    kit_ok(tong_close(box));
    return 0;
}

static void start_modest_receiver(struct crash_stage *s)
{
    s->helper[0] = kit_spawn(modest_receiver, s);
    kit_until_asleep(CRASH_BOX, 1);
}

static void end_modest_receiver(struct crash_stage *s)
{
    kit_event_set(&s->world->event[2]);
    crash_end_receiver(s);
}

static void send_both(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_ok(crash_send(s, s->sender, 8, KIT_PATIENCE));
    kit_ok(crash_send(s, s->sender, 9, KIT_PATIENCE));
}

static void two_come(struct crash_stage *s, struct kit_child *victim)
{
    (void)victim;
    send_both(s);
}

static void two_come_for_both(struct crash_stage *s, struct kit_child *victim)
{
    (void)victim;
    s->helper[0] = kit_spawn(modest_receiver, s);
    until_asleep(&s->helper[0]);
    send_both(s);
}

static void wait_for_one(struct crash_stage *s)
{
    tong_mailbox *const boxes[] = { s->mine };
    kit_gives(tong_wait_any(boxes, 1, TONG_FOREVER), 0);
}

/* ---- freeing room beside a blocked sender */

static void full_and_blocked(struct crash_stage *s)
{
    fill_up(s);
    s->helper[1] = kit_spawn(crash_blocked, s);
    kit_until_blocked(CRASH_BOX, 1);
}

/* Room that is there is noticed without another call of a receiver. */
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

static void claim_offered(struct crash_stage *s)
{
    kit_gives(crash_claim(s, s->mine, KIT_PATIENCE, &s->claim[0]), 24);
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

/* ---- the table */

#define CALL(f) ((step_call *)(f))

const struct step_scene step_scenes[] = {
    { .crash = { .operation = "tong_send",
                 .role = "sender, unbounded",
                 .options = crash_unbounded,
                 .ready = own_link_ready,
                 .act = send_one },
      .calls = { CALL(tong_send) } },
    { .crash = { .operation = "tong_send",
                 .role = "sender, capacity n",
                 .options = crash_bounded,
                 .ready = own_link_ready,
                 .act = send_one },
      .calls = { CALL(tong_send) } },
    { .crash = { .operation = "tong_send",
                 .role = "sender that wakes a receiver",
                 .options = crash_unbounded,
                 .before = crash_start_receiver,
                 .ready = send_ready,
                 .act = send_one,
                 .finish = crash_end_receiver },
      .calls = { CALL(tong_send) } },
    { .crash = { .operation = "tong_send",
                 .role = "sender blocked and woken, capacity n, another one behind it",
                 .options = crash_bounded,
                 .before = fill_but_one,
                 .ready = own_link_ready,
                 .act = send_waiting,
                 .meanwhile = one_behind_and_room,
                 .finish = both_get_through },
      .calls = { CALL(tong_send) } },
    { .crash = { .operation = "tong_send",
                 .role = "sender blocked and woken, link_capacity",
                 .options = crash_link_bounded,
                 .ready = fill_own_link,
                 .act = send_waiting,
                 .meanwhile = room_comes },
      .calls = { CALL(tong_send) } },
    { .crash = { .operation = "tong_reserve tong_commit",
                 .role = "sender, capacity n",
                 .options = crash_bounded,
                 .ready = own_link_ready,
                 .act = write_in_place },
      .calls = { CALL(tong_reserve), CALL(tong_commit) } },
    { .crash = { .operation = "tong_receive",
                 .role = "receiver, the short way",
                 .options = crash_unbounded,
                 .lost = 1,
                 .before = crash_send_three,
                 .ready = short_ready,
                 .act = receive_one },
      .calls = { CALL(tong_receive) } },
    { .crash = { .operation = "tong_receive",
                 .role = "receiver that repeats what was returned",
                 .options = crash_bounded,
                 .lost = 1,
                 .before = crash_send_three,
                 .ready = returned_ready,
                 .act = receive_one },
      .calls = { CALL(tong_receive) } },
    { .crash = { .operation = "tong_claim",
                 .role = "claim holder",
                 .options = crash_bounded,
                 .before = crash_send_three,
                 .ready = claim_ready,
                 .act = claim_one },
      .calls = { CALL(tong_claim) } },
    { .crash = { .operation = "tong_done",
                 .role = "claim holder",
                 .options = crash_bounded,
                 .lost = 1,
                 .before = crash_send_three,
                 .ready = claim_ready,
                 .act = finish_first },
      .calls = { CALL(tong_done) } },
    { .crash = { .operation = "tong_done",
                 .role = "claim holder, the later one first, link_capacity",
                 .options = crash_link_bounded,
                 .lost = 1,
                 .before = crash_send_three,
                 .ready = claim_ready,
                 .act = finish_second },
      .calls = { CALL(tong_done) } },
    { .crash = { .operation = "tong_return",
                 .role = "claim holder",
                 .options = crash_bounded,
                 .before = crash_send_three,
                 .ready = claim_ready,
                 .act = return_first },
      .calls = { CALL(tong_return) } },
    { .crash = { .operation = "tong_return",
                 .role = "claim holder, a receiver asleep",
                 .options = crash_bounded,
                 .before = crash_send_three,
                 .ready = all_taken,
                 .act = return_first,
                 .finish = crash_end_receiver },
      .calls = { CALL(tong_return) },
      .between = sleeper_beside },
    { .crash = { .operation = "tong_receive",
                 .role = "receiver that sleeps and is woken",
                 .options = crash_unbounded,
                 .lost = 1,
                 .ready = crash_open_receiver,
                 .act = receive_asleep,
                 .meanwhile = two_come_for_both,
                 .finish = end_modest_receiver },
      .calls = { CALL(tong_receive) } },
    { .crash = { .operation = "tong_receive",
                 .role = "receiver that sleeps and is woken, behind another one",
                 .options = crash_bounded,
                 .lost = 1,
                 .before = start_modest_receiver,
                 .ready = crash_open_receiver,
                 .act = receive_asleep,
                 .meanwhile = two_come,
                 .finish = end_modest_receiver },
      .calls = { CALL(tong_receive) } },
    { .crash = { .operation = "tong_wait_any",
                 .role = "receiver that sleeps and is woken, behind another one",
                 .options = crash_bounded,
                 .lost = 1,
                 .before = start_modest_receiver,
                 .ready = crash_open_receiver,
                 .act = wait_for_one,
                 .meanwhile = two_come,
                 .finish = end_modest_receiver },
      .calls = { CALL(tong_wait_any) } },
    { .crash = { .operation = "tong_receive",
                 .role = "receiver that frees room, a sender blocked",
                 .options = crash_bounded,
                 .lost = 1,
                 .before = full_and_blocked,
                 .ready = crash_open_receiver,
                 .act = receive_one,
                 .finish = blocked_gets_through },
      .calls = { CALL(tong_receive) } },
    { .crash = { .operation = "tong_done",
                 .role = "claim holder that frees room, a sender blocked",
                 .options = crash_bounded,
                 .lost = 1,
                 .before = full_and_blocked,
                 .ready = claim_ready,
                 .act = finish_first,
                 .finish = blocked_gets_through },
      .calls = { CALL(tong_done) } },
    { .crash = { .operation = "tong_send",
                 .role = "sender, capacity 0, a receiver asleep",
                 .options = crash_rendezvous,
                 .before = crash_start_receiver,
                 .ready = send_ready,
                 .act = send_waiting,
                 .finish = crash_end_receiver },
      .calls = { CALL(tong_send) } },
    { .crash = { .operation = "tong_receive",
                 .role = "receiver, capacity 0, a sender waits",
                 .options = crash_rendezvous,
                 .lost = 1,
                 .before = one_offered,
                 .ready = crash_open_receiver,
                 .act = receive_offered,
                 .finish = offer_gets_through },
      .calls = { CALL(tong_receive) } },
    { .crash = { .operation = "tong_claim",
                 .role = "claim holder, capacity 0, a sender waits",
                 .options = crash_rendezvous,
                 .before = one_offered,
                 .ready = crash_open_receiver,
                 .act = claim_offered,
                 .finish = offer_gets_through },
      .calls = { CALL(tong_claim) } },
};

const uint32_t step_n_scenes = sizeof(step_scenes) / sizeof(step_scenes)[0];

/* ---- one case */

static int victim(void *arg)
{
    struct step_case *c = arg;
    const struct crash_scene *scene = &c->scene->crash;
    if (scene->ready != NULL) {
        scene->ready(&c->stage);
    }
    step_begin();
    scene->act(&c->stage);
    step_end();
    _exit(0); /* a death as well: its handles are never closed */
}

static void wake(void *arg)
{
    struct step_case *c = arg;
    if (c->scene->crash.meanwhile != NULL) {
        c->scene->crash.meanwhile(&c->stage, &c->stepper.child);
    }
}

void step_case_begin(struct step_case *c, const struct step_scene *scene, struct crash_world *world,
                     unsigned variant)
{
    *c = (struct step_case){ .scene = scene };
    struct crash_stage *s = &c->stage;
    s->scene = &scene->crash;
    s->world = world;
    s->variant = variant;
    memset(world, 0, sizeof(*world));
    s->options = scene->crash.options();
    tong_mailbox *first = kit_create(CRASH_BOX, &s->options);
    if (crash_is(s, 0)) {
        s->box = first;
    } else {
        kit_ok(tong_close(first));
    }
    if (scene->crash.before != NULL) {
        scene->crash.before(s);
    }
    c->stepper = step_start(victim, c, scene->calls);
    c->stepper.wake = wake;
    if (scene->between != NULL) {
        scene->between(s);
    }
}

void step_case_end(struct step_case *c)
{
    struct stepper *v = &c->stepper;
    if (!v->woken) {
        kit_until(step_has_ended(&v->child));
        v->woken = true;
        wake(c);
    }
    c->stage.killed = crash_dies(&v->child);
    crash_check(&c->stage);
}
