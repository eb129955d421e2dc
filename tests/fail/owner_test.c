/* Handing a mailbox on, watching for deaths, dead letters: every call fails once. See fail.h. */
/* What lies in an open mailbox was made for its receivers. */
#define FAIL_NEVER EACCES
#include "fail.h"

#define HEIR "heir"
#define LETTERS "letters"

static tong_mailbox *make(const char *name, unsigned flags, uint32_t owner)
{
    tong_options options = kit_options();
    options.owner = owner;
    return kit_open(name, flags | TONG_CREATE, &options);
}

/* ------------------------------------------------------------------ give */

static void with_a_system_owned_one(struct fail_stage *s)
{
    s->in = make(FAIL_BOX, TONG_RECEIVE, TONG_SYSTEM);
    s->out = kit_open(FAIL_BOX, TONG_SEND, NULL);
    s->more = make(HEIR, TONG_RECEIVE, TONG_PROCESS);
    kit_ok(fail_send(s, s->out, 100, 0));
    s->may_be_gone = true;
}

static void with_an_owned_one(struct fail_stage *s)
{
    s->in = make(FAIL_BOX, TONG_RECEIVE, TONG_PROCESS);
    s->out = kit_open(FAIL_BOX, TONG_SEND, NULL);
    kit_ok(fail_send(s, s->out, 100, 0));
    s->may_be_gone = true;
}

static int64_t give_to_a_process(struct fail_stage *s)
{
    return tong_give(s->in, HEIR);
}

static int64_t give_to_the_system(struct fail_stage *s)
{
    return tong_give(s->in, NULL);
}

/* One of the two has it. */
static int64_t set_round_robin(struct fail_stage *s)
{
    tong_options options = kit_options();
    options.delivery = TONG_ROUND_ROBIN;
    return tong_set(s->in, &options, TONG_SET_DELIVERY);
}
static void was_set(struct fail_stage *s, int64_t answer)
{
    kit_equal(kit_stat(FAIL_BOX).delivery, answer == 0 ? TONG_ROUND_ROBIN : TONG_FIRST_COME);
    kit_ok(set_round_robin(s));
    kit_equal(kit_stat(FAIL_BOX).delivery, TONG_ROUND_ROBIN);
}
static void given(struct fail_stage *s, int64_t answer)
{
    const tong_status status = kit_stat(FAIL_BOX);
    kit_equal(status.owner, answer == 0 ? TONG_PROCESS : TONG_SYSTEM);
    kit_ok(tong_give(s->in, HEIR));
    kit_equal(kit_stat(FAIL_BOX).owner, TONG_PROCESS);
}

static void left(struct fail_stage *s, int64_t answer)
{
    kit_equal(kit_stat(FAIL_BOX).owner, answer == 0 ? TONG_SYSTEM : TONG_PROCESS);
    kit_ok(tong_give(s->in, NULL));
    kit_equal(kit_stat(FAIL_BOX).owner, TONG_SYSTEM);
    (void)s;
}

/* ------------------------------------------------------------------ watch */

static int receive_and_die(void *arg)
{
    (void)arg;
    (void)kit_open(FAIL_BOX, TONG_RECEIVE, NULL);
    const char ready = 'r';
    kit_report(&ready, 1);
    kit_await_death();
}

static void with_a_watcher(struct fail_stage *s)
{
    s->in = make(FAIL_BOX, TONG_RECEIVE, TONG_SYSTEM);
    s->out = kit_open(FAIL_BOX, TONG_SEND, NULL);
    kit_ok(fail_send(s, s->out, 100, 0));
}

static void with_a_death(struct fail_stage *s)
{
    with_a_watcher(s);
    struct kit_child child = kit_spawn(receive_and_die, NULL);
    char ready;
    kit_read_report(&child, &ready, 1);
    tong_death death = TONG_DEATH_INIT;
    kit_gives(tong_watch(s->in, 0, &death), -EAGAIN);
    kit_kill(&child);
}

static int64_t watch_now(struct fail_stage *s)
{
    tong_death death = TONG_DEATH_INIT;
    return tong_watch(s->in, 0, &death);
}

static int64_t watch_a_while(struct fail_stage *s)
{
    tong_death death = TONG_DEATH_INIT;
    return tong_watch(s->in, TONG_MS(2), &death);
}

/* Told once, now or with the next call. */
static void told(struct fail_stage *s, int64_t answer)
{
    tong_death death = TONG_DEATH_INIT;
    if (answer != 0) {
        kit_ok(tong_watch(s->in, KIT_PATIENCE, &death));
    }
    kit_gives(tong_watch(s->in, 0, &death), -EAGAIN);
}

static void nobody_died(struct fail_stage *s, int64_t answer)
{
    tong_death death = TONG_DEATH_INIT;
    kit_true(answer < 0);
    kit_gives(tong_watch(s->in, 0, &death), -EAGAIN);
}

/* ------------------------------------------------------------------ dead letters */

/* One message was handed out as often as it may be. */
static void with_a_dead_letter(struct fail_stage *s)
{
    kit_ok(tong_close(make(LETTERS, TONG_RECEIVE, TONG_SYSTEM)));
    tong_options options = kit_options();
    options.max_deliveries = 1;
    options.dead_letter = LETTERS;
    s->in = kit_open(FAIL_BOX, TONG_RECEIVE | TONG_CREATE, &options);
    s->out = kit_open(FAIL_BOX, TONG_SEND, NULL);
    kit_ok(fail_send(s, s->out, 100, 0));
    s->message[0] = (tong_message)TONG_MESSAGE_INIT;
    kit_ok(tong_claim(s->in, 0, &s->message[0]));
    kit_ok(tong_return(s->in, &s->message[0]));
}

static int64_t claim_it_again(struct fail_stage *s)
{
    s->message[0] = (tong_message)TONG_MESSAGE_INIT;
    return tong_claim(s->in, 0, &s->message[0]);
}

/* It is among the dead letters, or set aside here until skipped: never lost, never claimed again. */
static void moved(struct fail_stage *s, int64_t answer)
{
    kit_true(answer < 0);
    char data[200];
    const ssize_t aside = tong_skip(s->in);
    tong_mailbox *letters = kit_open(LETTERS, TONG_RECEIVE, NULL);
    const ssize_t n = tong_receive(letters, data, sizeof(data), 0);
    kit_true((aside == 100) != (n == 100));
    if (n == 100) {
        kit_true(kit_payload_is(data, 100, 1, 1));
    }
    fail_forget(s, 0);
    kit_ok(tong_close(letters));
    kit_ok(tong_remove(LETTERS));
}

FAIL_SCENE(setting_a_policy, "set", "tong_set", with_a_system_owned_one, set_round_robin, was_set)
FAIL_SCENE(giving_to_a_process, "give to a process", "tong_give", with_a_system_owned_one,
           give_to_a_process, given)
FAIL_SCENE(giving_to_the_system, "give to the system", "tong_give", with_an_owned_one,
           give_to_the_system, left)
FAIL_SCENE(the_first_watch, "watch, first", "tong_watch", with_a_watcher, watch_now, nobody_died)
FAIL_SCENE(a_watch_in_vain, "watch, 2 ms", "tong_watch", with_a_watcher, watch_a_while, nobody_died)
FAIL_SCENE(a_watch_of_a_death, "watch, a death", "tong_watch", with_a_death, watch_now, told)
FAIL_SCENE(a_dead_letter, "claim, max_deliveries reached", "tong_claim", with_a_dead_letter,
           claim_it_again, moved)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(setting_a_policy, 120),     KIT_TEST_LONG(giving_to_a_process, 120),
    KIT_TEST_LONG(giving_to_the_system, 120), KIT_TEST_LONG(the_first_watch, 120),
    KIT_TEST_LONG(a_watch_in_vain, 120),      KIT_TEST_LONG(a_watch_of_a_death, 120),
    KIT_TEST_LONG(a_dead_letter, 120),
};

KIT_MAIN(tests)
