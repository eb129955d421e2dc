/* Looking and clearing away: every call in it fails once. See fail.h. */
#include "acts.h"

static void with_three(struct fail_stage *s)
{
    s->in = kit_open(FAIL_BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, NULL);
    s->out = kit_open(FAIL_BOX, TONG_SEND, NULL);
    for (int i = 0; i < 3; i++) {
        kit_ok(fail_send(s, s->out, 100, 0));
    }
    s->message[0] = (tong_message)TONG_MESSAGE_INIT;
    kit_ok(tong_claim(s->in, 0, &s->message[0]));
    kit_ok(tong_return(s->in, &s->message[0]));
    s->any_order = true;
}

static void with_none(struct fail_stage *s)
{
    s->may_be_gone = true;
}

static int use_and_die(void *arg)
{
    (void)arg;
    tong_options options = kit_options();
    options.owner = TONG_PROCESS;
    tong_mailbox *own = kit_open("dead", TONG_RECEIVE | TONG_CREATE, &options);
    tong_mailbox *box = kit_open(FAIL_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, 0, &message));
    tong_mailbox *drained = kit_open(FAIL_BOX, TONG_SEND, NULL);
    kit_ok(tong_send(drained, "x", 1, 0));
    (void)own;
    const char ready = 'r';
    kit_report(&ready, 1);
    kit_await_death();
}

/* What a doctor finds: the mailbox, record and links of a dead one. */
static void with_much_left(struct fail_stage *s)
{
    with_three(s);
    fail_with_a_dead_one(use_and_die, NULL);
}

static int64_t stat_it(struct fail_stage *s)
{
    (void)s;
    tong_status status = TONG_STATUS_INIT;
    const int r = tong_stat(FAIL_BOX, &status);
    if (r < 0) {
        kit_equal(status.name[0], 0);
    }
    return r;
}

static int note_party(const tong_party *party, void *arg)
{
    struct fail_stage *s = arg;
    kit_true(party->role == TONG_SEND || party->role == TONG_RECEIVE);
    s->listed++;
    return 0;
}

static int64_t look_at_parties(struct fail_stage *s)
{
    return tong_parties(FAIL_BOX, note_party, s);
}

/* The receiver, and the sender if its link could be read; or nobody and an error. */
static void both_or_none(struct fail_stage *s, int64_t answer)
{
    kit_true(answer < 0 ? s->listed == 0 : s->listed == 1 || s->listed == 2);
}

static int64_t observe(struct fail_stage *s)
{
    (void)s;
    tong_observer *observer = NULL;
    const int r = tong_observer_open(FAIL_BOX, &observer);
    kit_true(r == 0 || observer == NULL);
    (void)tong_observer_close(observer);
    return r;
}

/* What was not told for a failure is told later. */
static int64_t peek(struct fail_stage *s)
{
    uint64_t missed = 0;
    uint8_t seen[128];
    for (;;) {
        const ssize_t r = tong_peek(s->observer, seen, sizeof(seen), 0, NULL, &missed);
        if (r < 0) {
            return r == -EAGAIN ? 0 : r;
        }
        kit_equal(r, 100);
        s->listed++;
    }
}

static void with_an_observer(struct fail_stage *s)
{
    with_three(s);
    kit_ok(tong_observer_open(FAIL_BOX, &s->observer));
}

static void all_are_seen(struct fail_stage *s, int64_t answer)
{
    if (answer < 0) {
        kit_ok(peek(s));
    }
    kit_equal(s->listed, 3);
    kit_ok(tong_observer_close(s->observer));
}

static int note_name(const tong_status *status, int error, void *arg)
{
    struct fail_stage *s = arg;
    kit_true(strcmp(status->name, FAIL_BOX) == 0);
    kit_true(error == 0 || fail_is_listed("tong_stat", -error));
    s->listed++;
    return 0;
}

static int64_t list_all(struct fail_stage *s)
{
    return tong_list(note_name, s);
}

/* Told of, or an error: never silently left out. */
static void listed(struct fail_stage *s, int64_t answer)
{
    kit_true(answer < 0 || s->listed == (s->in != NULL ? 1 : 0));
}

static int64_t doctor(struct fail_stage *s)
{
    (void)s;
    return tong_doctor(0, kit_ignore_finding, NULL);
}

static int64_t repair(struct fail_stage *s)
{
    (void)s;
    return tong_doctor(1, kit_ignore_finding, NULL);
}

static void cleared(struct fail_stage *s, int64_t answer)
{
    (void)answer;
    (void)s;
    tong_mailbox *box = NULL;
    kit_gives(tong_open("dead", TONG_SEND, NULL, &box), -ENOENT);
    /* The one byte of the dead sender is before or between the others. */
    for (;;) {
        tong_message message = TONG_MESSAGE_INIT;
        const int r = tong_claim(s->in, 0, &message);
        if (r == -EAGAIN) {
            break;
        }
        kit_ok(r);
        if (message.len > 1) {
            fail_take(s, message.data, message.len);
        }
        kit_ok(tong_done(s->in, &message));
    }
}

FAIL_SCENE(a_stat, "stat", "tong_stat", with_three, stat_it, NULL)
FAIL_SCENE(a_stat_of_none, "stat of what is not there", "tong_stat", with_none, stat_it, NULL)
FAIL_SCENE(a_look_at_parties, "parties", "tong_parties", with_three, look_at_parties, both_or_none)
FAIL_SCENE(an_observer, "observer", "tong_observer_open", with_three, observe, NULL)
FAIL_SCENE(a_peek, "peek", "tong_peek", with_an_observer, peek, all_are_seen)
FAIL_SCENE(a_list, "list", "tong_list", with_three, list_all, listed)
FAIL_SCENE(a_list_of_none, "list of none", "tong_list", with_none, list_all, listed)
FAIL_SCENE(a_doctor, "doctor", "tong_doctor", with_much_left, doctor, cleared)
FAIL_SCENE(a_repair, "doctor, repair", "tong_doctor", with_much_left, repair, cleared)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_stat, 120),
    KIT_TEST_LONG(a_stat_of_none, 120),
    KIT_TEST_LONG(a_look_at_parties, 120),
    KIT_TEST_LONG(an_observer, 120),
    KIT_TEST_LONG(a_peek, 120),
    KIT_TEST_LONG(a_list, 120),
    KIT_TEST_LONG(a_list_of_none, 120),
    KIT_TEST_LONG(a_doctor, 120),
    KIT_TEST_LONG(a_repair, 120),
};

KIT_MAIN(tests)
