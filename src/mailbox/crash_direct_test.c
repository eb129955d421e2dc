/*
 * Processes that name each other are killed at every point of what they do: see crash_test.h.
 *
 * The victim is P or Q, the survivor the other one; the names are free afterwards, what was promised to
 * a survivor is received, and a pair has one link.
 */
#include "mailbox/mailbox.h"

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

/* Of the process they are in: the survivor's, the victim's. */
static tong_process *q;
static tong_process *mine;

static int send_to(struct crash_stage *s, tong_process *me, const char *to, uint32_t id,
                   int64_t timeout_ns)
{
    struct crash_message *m = &s->world->message[id];
    kit_payload_write(crash_buffer, crash_len(id), id, id);
    atomic_store(&m->offered, 1);
    const int r = tong_send_to(me, to, crash_buffer, crash_len(id), timeout_ns);
    atomic_store(r == 0 ? &m->promised : &m->refused, 1);
    return r;
}

static int note(struct crash_stage *s, ssize_t r)
{
    if (r < 0) {
        return (int)r;
    }
    const uint32_t id = crash_know(crash_buffer, (size_t)r);
    atomic_fetch_add(&s->world->message[id].consumed, 1);
    return (int)id;
}

static int receive_from(struct crash_stage *s, tong_process *me, const char *from,
                        int64_t timeout_ns)
{
    return note(s, tong_receive_from(me, from, crash_buffer, CRASH_LEN_MOST, timeout_ns));
}

static int receive_any(struct crash_stage *s, tong_process *me, int64_t timeout_ns)
{
    char from[TONG_NAME_MAX];
    return note(s, tong_receive_any(me, crash_buffer, CRASH_LEN_MOST, timeout_ns, from));
}

/* One of these is free at once, or a living one has it. */
static tong_process *opens(struct crash_stage *s, const char *name)
{
    tong_process *me = NULL;
    kit_ok(tong_process_open(name, crash_is(s, 0) ? &s->options : NULL, &me));
    return me;
}

static int count_files(const tong_link *link, void *arg)
{
    (void)link;
    *(uint32_t *)arg += link->files == (link->lanes & 1) + (link->lanes >> 1) ? 1 : 1000;
    return 0;
}

/* So many pairs have a link, and each has one. */
static void pairs_are(uint32_t want)
{
    uint32_t n = 0;
    kit_ok(tong_links(count_files, &n));
    kit_equal(n, want);
}

static void nothing_is_left(void)
{
    (void)tong_doctor(1, kit_ignore_finding, NULL);
    const char *found = kit_entries(kit_path(""));
    kit_true(strcmp(found, ".life .lock .tmp") == 0 || strcmp(found, ".life .tmp") == 0);
}

/* The second victim: the name's next one, which sends, receives and goes. */
static void next_one(struct crash_stage *s)
{
    tong_process *me = NULL;
    if (tong_process_open("P", NULL, &me) == 0) {
        (void)send_to(s, me, "Q", CRASH_SECOND, 0);
        (void)receive_any(s, me, 0);
    }
    (void)tong_process_close(me);
    (void)tong_doctor(1, kit_ignore_finding, NULL);
}

/* ---- names */

static void open_p(struct crash_stage *s)
{
    mine = opens(s, "P");
}

static void open_and_close_p(struct crash_stage *s)
{
    mine = opens(s, "P");
    kit_ok(send_to(s, mine, "Q", 0, KIT_PATIENCE));
    kit_ok(tong_process_close(mine));
}

static void q_is_there(struct crash_stage *s)
{
    q = opens(s, "Q");
}

/* What P sent is received, by whatever name; a new P's messages come behind; one link. */
static void a_new_p_goes_on(struct crash_stage *s)
{
    int last = -1;
    int id;
    while ((id = receive_from(s, q, "P", 1)) >= 0) {
        kit_true(id > last);
        last = id;
    }
    kit_true(id == -ETIMEDOUT || id == -EOWNERDEAD);
    crash_settle(s);
    mine = opens(s, "P");
    kit_ok(send_to(s, mine, "Q", 40, KIT_PATIENCE));
    kit_ok(send_to(s, q, "P", 41, KIT_PATIENCE));
    pairs_are(1);
    if (crash_is(s, 1)) {
        kit_gives(receive_any(s, q, KIT_PATIENCE), 40);
    } else {
        id = receive_from(s, q, "P", KIT_PATIENCE);
        kit_gives(id == -EOWNERDEAD ? receive_from(s, q, "P", KIT_PATIENCE) : id, 40);
    }
    kit_gives(receive_from(s, mine, "Q", KIT_PATIENCE), 41);
    crash_settle(s);
    kit_equal(kit_stat("Q").backstop_finds, 0);
    kit_ok(tong_process_close(mine));
    kit_ok(tong_process_close(q));
    nothing_is_left();
}

static void a_process_that_takes_a_name(void)
{
    const struct crash_scene scene = { .operation = "tong_process_open",
                                       .role = "named: takes its name",
                                       .options = crash_bounded,
                                       .absent = true,
                                       .gone = true,
                                       .before = q_is_there,
                                       .act = open_p,
                                       .second = next_one,
                                       .finish = a_new_p_goes_on };
    crash_all(&scene);
}

static int dies_as_p(void *arg)
{
    struct crash_stage *s = arg;
    mine = opens(s, "P");
    kit_ok(send_to(s, mine, "Q", 1, KIT_PATIENCE));
    kit_ok(send_to(s, mine, "Q", 2, KIT_PATIENCE));
    _exit(0);
}

static void q_and_a_dead_p(struct crash_stage *s)
{
    q_is_there(s);
    struct kit_child child = kit_spawn(dies_as_p, s);
    kit_join(&child);
}

static void a_process_that_takes_a_dead_ones_name(void)
{
    const struct crash_scene scene = { .operation = "tong_process_open",
                                       .role = "named: takes a dead one's name",
                                       .options = crash_bounded,
                                       .absent = true,
                                       .gone = true,
                                       .before = q_and_a_dead_p,
                                       .act = open_p,
                                       .second = next_one,
                                       .finish = a_new_p_goes_on };
    crash_all(&scene);
}

static void a_process_that_comes_and_goes(void)
{
    const struct crash_scene scene = { .operation =
                                           "tong_process_open tong_send_to tong_process_close",
                                       .role = "named: comes, sends and goes",
                                       .options = crash_bounded,
                                       .absent = true,
                                       .gone = true,
                                       .before = q_is_there,
                                       .act = open_and_close_p,
                                       .second = next_one,
                                       .finish = a_new_p_goes_on };
    crash_all(&scene);
}

/* ---- sending */

static void send_three(struct crash_stage *s)
{
    for (uint32_t id = 8; id < 11; id++) {
        kit_ok(send_to(s, mine, "Q", id, KIT_PATIENCE));
    }
}

static void a_first_message(void)
{
    const struct crash_scene scene = { .operation = "tong_send_to",
                                       .role = "named: its first messages, the link is made",
                                       .options = crash_bounded,
                                       .absent = true,
                                       .gone = true,
                                       .before = q_is_there,
                                       .ready = open_p,
                                       .act = send_three,
                                       .second = next_one,
                                       .finish = a_new_p_goes_on };
    crash_all(&scene);
}

static void send_one(struct crash_stage *s)
{
    kit_ok(send_to(s, mine, "Q", 8, KIT_PATIENCE));
}

static void a_first_message_behind_a_dead_ones(void)
{
    const struct crash_scene scene = { .operation = "tong_send_to",
                                       .role =
                                           "named: takes the link of a dead one of its name over",
                                       .options = crash_bounded,
                                       .absent = true,
                                       .gone = true,
                                       .before = q_and_a_dead_p,
                                       .ready = open_p,
                                       .act = send_one,
                                       .second = next_one,
                                       .finish = a_new_p_goes_on };
    crash_all(&scene);
}

/* ---- receiving: the victim is Q, the survivor P, which sends; R's messages wait beside */

static int waits_in_send(void *arg)
{
    struct crash_stage *s = arg;
    tong_process *me = opens(s, "R");
    for (uint32_t id = 16; id < 20; id++) {
        kit_ok(send_to(s, me, "Q", id, KIT_PATIENCE));
    }
    kit_event_set(&s->world->event[0]);
    atomic_store(&s->world->answer[0], send_to(s, me, "Q", 20, TONG_FOREVER));
    return tong_process_close(me);
}

static tong_options link_bounded(void)
{
    tong_options options = kit_options();
    options.link_capacity = 4;
    return options;
}

static void open_q(struct crash_stage *s)
{
    tong_process *me = NULL;
    kit_ok(tong_process_open("Q", &s->options, &me));
    q = me;
    kit_event_set(&s->world->event[1]);
    kit_event_wait(&s->world->event[2]);
}

static void p_and_r_send(struct crash_stage *s, struct kit_child *victim)
{
    (void)victim;
    kit_event_wait(&s->world->event[1]);
    mine = opens(s, "P");
    for (uint32_t id = 8; id < 11; id++) {
        kit_ok(send_to(s, mine, "Q", id, KIT_PATIENCE));
    }
    s->helper[0] = kit_spawn(waits_in_send, s);
    kit_event_wait(&s->world->event[0]);
    kit_until_blocked("Q", 1);
    kit_event_set(&s->world->event[2]);
}

static void take_those_of_p(struct crash_stage *s)
{
    kit_gives(receive_from(s, q, "P", 0), 8);
    kit_gives(receive_from(s, q, "P", KIT_PATIENCE), 9);
}

static void take_any(struct crash_stage *s)
{
    for (int i = 0; i < 3; i++) {
        kit_true(receive_any(s, q, KIT_PATIENCE) >= 0);
    }
}

/* Q is dead: who was blocked knows, and its name is free. */
static void a_new_q_is_sent_to(struct crash_stage *s)
{
    kit_join(&s->helper[0]);
    const int answer = atomic_load(&s->world->answer[0]);
    kit_true(answer == -EOWNERDEAD || answer == 0);
    kit_gives(send_to(s, mine, "Q", 41, 0), -ENOENT);
    q = opens(s, "Q");
    kit_ok(send_to(s, mine, "Q", 40, 0));
    pairs_are(1);
    kit_gives(receive_from(s, q, "P", 0), 40);
    kit_gives(receive_any(s, q, 0), -EAGAIN);
    kit_ok(tong_process_close(mine));
    kit_ok(tong_process_close(q));
    nothing_is_left();
}

/* The second victim: somebody of Q's name. */
static void next_q(struct crash_stage *s)
{
    tong_process *me = NULL;
    if (tong_process_open("Q", NULL, &me) == 0) {
        (void)receive_any(s, me, 0);
        (void)send_to(s, me, "P", CRASH_SECOND, 0);
    }
    (void)tong_process_close(me);
    (void)tong_doctor(1, kit_ignore_finding, NULL);
}

static void a_receive_from(void)
{
    const struct crash_scene scene = { .operation = "tong_receive_from",
                                       .role =
                                           "named: takes one's messages, another one is blocked",
                                       .options = link_bounded,
                                       .absent = true,
                                       .gone = true,
                                       .ready = open_q,
                                       .act = take_those_of_p,
                                       .meanwhile = p_and_r_send,
                                       .second = next_q,
                                       .finish = a_new_q_is_sent_to };
    crash_all(&scene);
}

static void a_receive_any(void)
{
    const struct crash_scene scene = { .operation = "tong_receive_any",
                                       .role = "named: takes anybody's messages, one is blocked",
                                       .options = link_bounded,
                                       .absent = true,
                                       .gone = true,
                                       .ready = open_q,
                                       .act = take_any,
                                       .meanwhile = p_and_r_send,
                                       .second = next_q,
                                       .finish = a_new_q_is_sent_to };
    crash_all(&scene);
}

/* Asleep: P sends when it sleeps; then P dies. */
static int plays_p(void *arg)
{
    struct crash_stage *s = arg;
    tong_process *me = opens(s, "P");
    kit_event_set(&s->world->event[0]);
    kit_event_wait(&s->world->event[3]);
    (void)send_to(s, me, "Q", 8, 0); /* there may be none any more */
    kit_event_set(&s->world->event[2]);
    kit_await_death();
}

static void p_is_there(struct crash_stage *s)
{
    s->helper[0] = kit_spawn(plays_p, s);
    kit_event_wait(&s->world->event[0]);
}

static void open_q_alone(struct crash_stage *s)
{
    q = NULL;
    kit_ok(tong_process_open("Q", &s->options, &q));
}

static void sleep_for_p(struct crash_stage *s)
{
    kit_gives(receive_from(s, q, "P", KIT_PATIENCE), 8);
    kit_gives(receive_from(s, q, "P", KIT_PATIENCE), -EOWNERDEAD);
}

static void p_sends_and_dies(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || kit_sleeps(victim->pid));
    kit_event_set(&s->world->event[3]);
    kit_event_wait(&s->world->event[2]);
    kit_until(crash_has_ended(victim) || kit_sleeps(victim->pid));
    kit_kill(&s->helper[0]);
}

static void both_names_are_free(struct crash_stage *s)
{
    mine = opens(s, "P");
    q = opens(s, "Q");
    kit_ok(send_to(s, mine, "Q", 40, 0));
    kit_gives(receive_from(s, q, "P", 0), 40);
    pairs_are(1);
    kit_ok(tong_process_close(mine));
    kit_ok(tong_process_close(q));
    nothing_is_left();
}

static void a_sleeper_for_one(void)
{
    const struct crash_scene scene = { .operation = "tong_receive_from",
                                       .role = "named: asleep for one that sends and dies",
                                       .options = crash_bounded,
                                       .absent = true,
                                       .gone = true,
                                       .before = p_is_there,
                                       .ready = open_q_alone,
                                       .act = sleep_for_p,
                                       .meanwhile = p_sends_and_dies,
                                       .second = next_q,
                                       .finish = both_names_are_free };
    crash_all(&scene);
}

/* ---- another name: one is blocked on the old one, another one waits for its messages */

static int blocked_on_p(void *arg)
{
    struct crash_stage *s = arg;
    tong_process *me = NULL;
    kit_ok(tong_process_open("B", NULL, &me));
    kit_event_wait(&s->world->event[0]);
    for (uint32_t id = 16; id < 20; id++) {
        kit_ok(send_to(s, me, "P", id, KIT_PATIENCE));
    }
    atomic_store(&s->world->answer[0], send_to(s, me, "P", 20, TONG_FOREVER));
    return tong_process_close(me);
}

static int waits_for_p(void *arg)
{
    struct crash_stage *s = arg;
    tong_process *me = NULL;
    kit_ok(tong_process_open("W", NULL, &me));
    kit_event_wait(&s->world->event[0]);
    kit_event_set(&s->world->event[1]);
    int r = receive_from(s, me, "P", KIT_PATIENCE);
    atomic_store(&s->world->answer[1], r);
    return tong_process_close(me);
}

static void two_that_know_p(struct crash_stage *s)
{
    q_is_there(s);
    s->helper[0] = kit_spawn(blocked_on_p, s);
    s->helper[1] = kit_spawn(waits_for_p, s);
}

static void be_p_and_send(struct crash_stage *s)
{
    kit_ok(tong_process_open("P", &s->options, &mine));
    for (uint32_t id = 8; id < 11; id++) {
        kit_ok(send_to(s, mine, "Q", id, KIT_PATIENCE));
    }
    kit_event_set(&s->world->event[0]);
    kit_event_wait(&s->world->event[2]);
}

static void both_wait(struct crash_stage *s, struct kit_child *victim)
{
    (void)victim;
    kit_event_wait(&s->world->event[0]);
    kit_event_wait(&s->world->event[1]);
    kit_until_blocked("P", 1);
    kit_until(kit_sleeps(s->helper[1].pid));
    kit_event_set(&s->world->event[2]);
}

static void take_another_name(struct crash_stage *s)
{
    (void)s;
    kit_ok(tong_rename(mine, "P2"));
}

/* The dead one's messages are all of one name; both names are free; nobody waits for it any more. */
static void either_name_is_free(struct crash_stage *s)
{
    kit_join(&s->helper[0]);
    kit_gives(atomic_load(&s->world->answer[0]), -EOWNERDEAD);
    tong_process *p = opens(s, "P");
    tong_process *p2 = opens(s, "P2");
    /* It was told of the death, or the name was free before, and it waits for this one. */
    kit_payload_write(crash_buffer, crash_len(24), 24, 24);
    kit_until(crash_has_ended(&s->helper[1]) ||
              tong_send_to(p, "W", crash_buffer, crash_len(24), 0) == 1);
    kit_join(&s->helper[1]);
    const bool renamed = receive_from(s, q, "P2", 0) == 8;
    for (int id = renamed ? 9 : 8; id < 11; id++) {
        kit_gives(receive_from(s, q, renamed ? "P2" : "P", 0), id);
    }
    kit_gives(receive_any(s, q, 0), -EAGAIN);
    kit_ok(tong_process_close(p));
    kit_ok(tong_process_close(p2));
    kit_ok(tong_process_close(q));
    nothing_is_left();
}

static void a_rename(void)
{
    const struct crash_scene scene = { .operation = "tong_rename",
                                       .role =
                                           "named: takes another name, one is blocked, one waits",
                                       .options = link_bounded,
                                       .absent = true,
                                       .gone = true,
                                       .before = two_that_know_p,
                                       .ready = be_p_and_send,
                                       .act = take_another_name,
                                       .meanwhile = both_wait,
                                       .second = crash_looks,
                                       .finish = either_name_is_free };
    crash_all(&scene);
}

static int dies_as_p2(void *arg)
{
    struct crash_stage *s = arg;
    mine = opens(s, "P2");
    _exit(0);
}

static void a_dead_p2(struct crash_stage *s)
{
    struct kit_child child = kit_spawn(dies_as_p2, s);
    kit_join(&child);
    q_is_there(s);
}

static void p2_is_free(struct crash_stage *s)
{
    mine = opens(s, "P2");
    kit_ok(send_to(s, q, "P2", 50, 0));
    kit_gives(receive_from(s, mine, "Q", 0), 50);
    kit_ok(tong_process_close(mine));
    a_new_p_goes_on(s);
}

static void a_rename_to_a_dead_ones_name(void)
{
    const struct crash_scene scene = { .operation = "tong_rename",
                                       .role = "named: takes a dead one's name instead of its own",
                                       .options = crash_bounded,
                                       .absent = true,
                                       .gone = true,
                                       .before = a_dead_p2,
                                       .ready = open_p,
                                       .act = take_another_name,
                                       .second = next_one,
                                       .finish = p2_is_free };
    crash_all(&scene);
}

/* ---- looking */

static void look_at_links(struct crash_stage *s)
{
    (void)s;
    pairs_are(1);
}

static void a_look(void)
{
    const struct crash_scene scene = { .operation = "tong_links",
                                       .role = "visitor",
                                       .options = crash_bounded,
                                       .absent = true,
                                       .gone = true,
                                       .before = q_and_a_dead_p,
                                       .act = look_at_links,
                                       .second = next_one,
                                       .finish = a_new_p_goes_on };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_process_that_takes_a_name, 240),
    KIT_TEST_LONG(a_process_that_takes_a_dead_ones_name, 240),
    KIT_TEST_LONG(a_process_that_comes_and_goes, 240),
    KIT_TEST_LONG(a_first_message, 240),
    KIT_TEST_LONG(a_first_message_behind_a_dead_ones, 240),
    KIT_TEST_LONG(a_receive_from, 240),
    KIT_TEST_LONG(a_receive_any, 240),
    KIT_TEST_LONG(a_sleeper_for_one, 240),
    KIT_TEST_LONG(a_rename, 240),
    KIT_TEST_LONG(a_rename_to_a_dead_ones_name, 240),
    KIT_TEST_LONG(a_look, 240),
};

KIT_MAIN(tests)
