/*
 * Who only looks at mailboxes, is refused, clears away or interrupts is killed at every point: see
 * crash_test.h.
 */
#include "mailbox/mailbox.h"

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

#define BOTH (TONG_SEND | TONG_RECEIVE)

/* ---- dead ones lie about: claims, a mailbox half made, a link without a sender */

static int dies_with_claims(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, BOTH, NULL);
    kit_ok(crash_send(s, box, 16, 0));
    kit_gives(crash_claim(s, box, 0, &s->claim[0]), 16);
    tg_point_arm(12);
    (void)tong_open(kit_name("half"), BOTH | TONG_CREATE, NULL, &s->mine);
    _exit(1);
}

static void much_to_clear(struct crash_stage *s)
{
    struct kit_child child = kit_spawn(dies_with_claims, s);
    kit_true(WIFSIGNALED(kit_join_status(&child)));
}

static void repair(struct crash_stage *s)
{
    (void)s;
    kit_true(tong_doctor(1, kit_ignore_finding, NULL) >= 0);
}

static void a_doctor_that_repairs(void)
{
    const struct crash_scene scene = { .operation = "tong_doctor",
                                       .role = "visitor that repairs",
                                       .options = crash_bounded,
                                       .before = much_to_clear,
                                       .act = repair };
    crash_all(&scene);
}

static void diagnose(struct crash_stage *s)
{
    (void)s;
    kit_true(tong_doctor(0, kit_ignore_finding, NULL) >= 0);
}

static void a_doctor_that_looks(void)
{
    const struct crash_scene scene = { .operation = "tong_doctor",
                                       .role = "visitor that looks",
                                       .options = crash_bounded,
                                       .before = much_to_clear,
                                       .act = diagnose };
    crash_all(&scene);
}

static void look(struct crash_stage *s)
{
    (void)s;
    kit_equal(kit_stat(CRASH_BOX).capacity, 4);
}

static void a_stat(void)
{
    const struct crash_scene scene = { .operation = "tong_stat",
                                       .role = "visitor",
                                       .options = crash_bounded,
                                       .before = much_to_clear,
                                       .act = look };
    crash_all(&scene);
}

static int is_party(const tong_party *party, void *arg)
{
    (void)arg;
    kit_true(party->role == TONG_SEND || party->role == TONG_RECEIVE);
    return 0;
}

static void look_at_parties(struct crash_stage *s)
{
    (void)s;
    kit_ok(tong_parties(CRASH_BOX, is_party, NULL));
}

static void a_look_at_parties(void)
{
    const struct crash_scene scene = { .operation = "tong_parties",
                                       .role = "visitor",
                                       .options = crash_bounded,
                                       .before = much_to_clear,
                                       .act = look_at_parties };
    crash_all(&scene);
}

static void observe(struct crash_stage *s)
{
    (void)s;
    tong_observer *observer = NULL;
    uint64_t seen;
    kit_ok(tong_observer_open(CRASH_BOX, &observer));
    kit_true(tong_peek(observer, &seen, sizeof(seen), 0, NULL, NULL) > 0);
    while (tong_peek(observer, &seen, sizeof(seen), 0, NULL, NULL) != -EAGAIN) {
    }
    kit_ok(tong_observer_close(observer));
}

static void an_observer(void)
{
    kit_only("shm", "nobody sees into a queue");
    const struct crash_scene scene = { .operation =
                                           "tong_observer_open tong_peek tong_observer_close",
                                       .role = "visitor",
                                       .options = crash_bounded,
                                       .before = much_to_clear,
                                       .act = observe };
    crash_all(&scene);
}

static int is_box(const tong_status *status, int error, void *arg)
{
    (void)arg;
    kit_true(error == 0 && strcmp(status->name, CRASH_NAME) == 0);
    return 0;
}

static void look_at_all(struct crash_stage *s)
{
    (void)s;
    kit_ok(tong_list(is_box, NULL));
}

static void a_list(void)
{
    const struct crash_scene scene = { .operation = "tong_list",
                                       .role = "visitor",
                                       .options = crash_bounded,
                                       .before = much_to_clear,
                                       .act = look_at_all };
    crash_all(&scene);
}

/* ---- who is refused */

static void create_again(struct crash_stage *s)
{
    kit_gives(tong_open(CRASH_BOX, BOTH | TONG_CREATE | TONG_EXCL, NULL, &s->mine), -EEXIST);
}

static void an_open_of_what_is_there(void)
{
    const struct crash_scene scene = { .operation = "tong_open",
                                       .role = "creator that is refused: it is there",
                                       .options = crash_bounded,
                                       .before = much_to_clear,
                                       .act = create_again };
    crash_all(&scene);
}

/* A dead process's mailbox lies there; the survivor's is another one, made at the end. */
static int dying_owner(void *arg)
{
    struct crash_stage *s = arg;
    tong_options options = kit_capacity(1);
    options.owner = TONG_PROCESS;
    s->mine = kit_create(CRASH_BOX, &options);
    kit_ok(kit_send_u64(s->mine, 1, 0));
    _exit(0);
}

static void owner_dies(struct crash_stage *s)
{
    struct kit_child child = kit_spawn(dying_owner, s);
    kit_join(&child);
}

static void open_a_dead_one(struct crash_stage *s)
{
    kit_gives(tong_open(CRASH_BOX, BOTH, NULL, &s->mine), -ENOENT);
}

static void the_name_is_free(struct crash_stage *s)
{
    kit_gives(tong_open(CRASH_BOX, TONG_SEND, NULL, &s->mine), -ENOENT);
    s->box = kit_create(CRASH_BOX, &s->options);
}

static void an_open_where_a_dead_one_lies(void)
{
    const struct crash_scene scene = { .operation = "tong_open",
                                       .role = "opener where a dead owner left one",
                                       .options = crash_bounded,
                                       .absent = true,
                                       .before = owner_dies,
                                       .act = open_a_dead_one,
                                       .finish = the_name_is_free };
    crash_all(&scene);
}

static void a_remove_of_a_dead_one(void)
{
    const struct crash_scene scene = { .operation = "tong_remove",
                                       .role = "remover where a dead owner left one",
                                       .options = crash_bounded,
                                       .absent = true,
                                       .before = owner_dies,
                                       .act = crash_remove_again,
                                       .second = crash_remove_again,
                                       .finish = the_name_is_free };
    crash_all(&scene);
}

/* ---- removing what is in use */

static void nothing_is_there(struct crash_stage *s)
{
    kit_ok(tong_close(s->extra));
    kit_ok(tong_close(s->sender));
    kit_ok(tong_close(s->box));
    s->extra = s->sender = s->box = NULL;
    crash_remove_again(s);
    kit_gives(tong_open(CRASH_BOX, TONG_SEND, NULL, &s->mine), -ENOENT);
    crash_entries_are("", ".life .lock .tmp");
}

static void two_are_claimed(struct crash_stage *s)
{
    crash_send_three(s);
    s->extra = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    kit_gives(crash_claim(s, s->extra, 0, &s->claim[0]), 8);
    kit_gives(crash_claim(s, s->extra, 0, &s->claim[1]), 9);
}

/* Its bytes stay readable, whatever became of the mailbox. */
static void claims_can_be_finished(struct crash_stage *s)
{
    const bool there = tong_open(CRASH_BOX, TONG_SEND, NULL, &s->mine) == 0;
    kit_true(s->killed || !there);
    kit_ok(tong_close(there ? s->mine : NULL));
    kit_equal(crash_know(s->claim[0].data, s->claim[0].len), 8);
    kit_ok(tong_done(s->extra, &s->claim[0]));
    kit_ok(tong_return(s->extra, &s->claim[1]));
    nothing_is_there(s);
}

static void a_remove_beside_claims(void)
{
    const struct crash_scene scene = { .operation = "tong_remove",
                                       .role = "remover, a claim holder",
                                       .options = crash_bounded,
                                       .before = two_are_claimed,
                                       .act = crash_remove_again,
                                       .second = crash_remove_again,
                                       .finish = claims_can_be_finished,
                                       .gone = true };
    crash_all(&scene);
}

static void one_offers(struct crash_stage *s)
{
    s->helper[1] = kit_spawn(crash_blocked, s);
    kit_until_blocked(CRASH_BOX, 1);
}

static void offer_is_ended(struct crash_stage *s)
{
    const int r = tong_open(CRASH_BOX, BOTH, NULL, &s->extra);
    if (r == 0) {
        kit_true(s->killed);
        kit_gives(crash_receive(s, s->extra, KIT_PATIENCE), 24);
        kit_join(&s->helper[1]);
        kit_gives(atomic_load(&s->world->answer[1]), 0);
    } else {
        kit_gives(r, -ENOENT);
        kit_join(&s->helper[1]);
        kit_gives(atomic_load(&s->world->answer[1]), -EIDRM);
    }
    nothing_is_there(s);
}

static void a_remove_beside_an_offer(void)
{
    const struct crash_scene scene = { .operation = "tong_remove",
                                       .role = "remover, a sender blocked, capacity 0",
                                       .options = crash_rendezvous,
                                       .before = one_offers,
                                       .act = crash_remove_again,
                                       .second = crash_remove_again,
                                       .finish = offer_is_ended,
                                       .gone = true };
    crash_all(&scene);
}

/* ---- interrupting oneself */

static void interrupt(struct crash_stage *s)
{
    kit_ok(tong_interrupt(s->mine));
    kit_gives(crash_receive(s, s->mine, KIT_PATIENCE), -ECANCELED);
}

static void an_interrupt(void)
{
    const struct crash_scene scene = { .operation = "tong_interrupt tong_receive",
                                       .role = "receiver that is interrupted, another one asleep",
                                       .options = crash_bounded,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_receiver,
                                       .act = interrupt,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_doctor_that_repairs, 240),
    KIT_TEST_LONG(a_doctor_that_looks, 240),
    KIT_TEST_LONG(a_stat, 240),
    KIT_TEST_LONG(a_list, 240),
    KIT_TEST_LONG(a_look_at_parties, 240),
    KIT_TEST_LONG(an_observer, 240),
    KIT_TEST_LONG(an_open_of_what_is_there, 240),
    KIT_TEST_LONG(an_open_where_a_dead_one_lies, 240),
    KIT_TEST_LONG(a_remove_of_a_dead_one, 240),
    KIT_TEST_LONG(a_remove_beside_claims, 240),
    KIT_TEST_LONG(a_remove_beside_an_offer, 240),
    KIT_TEST_LONG(an_interrupt, 240),
};

KIT_MAIN(tests)
