/*
 * Processes that name each other: symmetric, asymmetric, the link between two, their deaths.
 *
 * Each death here comes alone, so no sleep may be ended by the back-stop; the same program runs as
 * no_backstop.direct with all of them switched off.
 */
#include "direct.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define P kit_name("P")
#define Q kit_name("Q")
#define R kit_name("R")

static tong_process *opens(const char *name, const tong_options *options)
{
    tong_process *me = NULL;
    kit_ok(tong_process_open(name, options, &me));
    return me;
}

static int64_t get_from(tong_process *me, const char *from, int64_t wait)
{
    uint64_t value = 0;
    const ssize_t n = tong_receive_from(me, from, &value, sizeof(value), wait);
    return n < 0 ? n : (int64_t)value;
}

static int send_number(tong_process *me, const char *to, uint64_t value, int64_t wait)
{
    return tong_send_to(me, to, &value, sizeof(value), wait);
}

/* ------------------------------------------------------------------ who is received from */

static void symmetric_takes_the_named_one_and_leaves_the_others(void)
{
    struct puppet p = starts_as("op", "P");
    struct puppet r = starts_as("or", "R");
    tong_process *q = opens(Q, NULL);
    for (uint64_t i = 1; i <= 20; i++) {
        kit_ok(sends_to(&r, "Q", 100 + i, 0));
        kit_ok(sends_to(&p, "Q", i, 0));
    }
    for (uint64_t i = 1; i <= 20; i++) {
        kit_gives(get_from(q, P, 0), (int64_t)i);
    }
    kit_gives(get_from(q, P, 0), -EAGAIN);
    kit_gives(get_from(q, P, TONG_MS(5)), -ETIMEDOUT);
    kit_equal(kit_stat(Q).waiting, 20);
    for (uint64_t i = 1; i <= 20; i++) {
        kit_gives(get_from(q, R, 0), (int64_t)(100 + i));
    }
    kit_gives(get_from(q, R, 0), -EAGAIN);
    kit_equal(kit_stat(Q).waiting, 0);
    pairs_are("P <-> Q, Q <-> R");
    puppet_end(&p);
    puppet_end(&r);
    kit_ok(tong_process_close(q));
}

static void asymmetric_tells_who_sent(void)
{
    struct puppet p = starts_as("op", "P");
    struct puppet r = starts_as("or", "R");
    tong_process *q = opens(Q, NULL);
    uint64_t value = 0;
    char from[TONG_NAME_MAX] = "untouched";
    kit_gives(tong_receive_any(q, &value, 8, 0, from), -EAGAIN);
    kit_gives(tong_receive_any(q, &value, 8, TONG_MS(1), from), -ETIMEDOUT);
    kit_ok(sends_to(&p, "Q", 1, 0));
    kit_gives(tong_receive_any(q, &value, 7, 0, from), -EMSGSIZE);
    kit_true(strcmp(from, "untouched") == 0);
    kit_gives(tong_receive_any(q, &value, 8, 0, from), 8);
    kit_true(value == 1 && strcmp(from, "P") == 0);
    kit_ok(sends_to(&r, "Q", 2, 0));
    kit_gives(tong_receive_any(q, &value, 8, 0, from), 8);
    kit_true(value == 2 && strcmp(from, "R") == 0);
    /* One that knows the mailbox and is no process. */
    tong_mailbox *box = kit_open(Q, TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 3, 0));
    kit_gives(tong_receive_any(q, &value, 8, 0, from), 8);
    kit_true(value == 3 && strcmp(from, "") == 0);
    for (uint64_t i = 0; i < 40; i++) { /* the short way and back, and from one to the other */
        kit_ok(i % 8 < 4 ? sends_to(&p, "Q", i, 0) : sends_to(&r, "Q", i, 0));
        kit_gives(tong_receive_any(q, &value, 8, 0, from), 8);
        kit_true(value == i && strcmp(from, i % 8 < 4 ? "P" : "R") == 0);
    }
    kit_ok(tong_close(box));
    puppet_end(&p);
    puppet_end(&r);
    kit_ok(tong_process_close(q));
}

static void waiting_for_one_is_not_disturbed_by_others(void)
{
    struct puppet p = starts_as("op", "P");
    struct puppet q = starts_as("oq", "Q");
    struct puppet r = starts_as("or", "R");
    begins_from(&q, "P", KIT_PATIENCE);
    kit_until(puppet_waits(&q));
    for (uint64_t i = 0; i < 50; i++) {
        kit_ok(sends_to(&r, "Q", i, 0));
    }
    /* They wait; it sleeps, and does not look at them again and again. */
    kit_until(kit_sleeps(q.child.pid));
    const uint64_t switches = kit_switches(q.child.pid);
    tong_process *s = opens(kit_name("S"), NULL);
    kit_gives(get_from(s, P, TONG_MS(100)), -ETIMEDOUT);
    kit_ok(tong_process_close(s));
    kit_true(kit_switches(q.child.pid) - switches < 20);
    kit_ok(sends_to(&p, "Q", 7, 0));
    kit_gives(puppet_answer(&q), 7);
    for (uint64_t i = 0; i < 50; i++) {
        kit_gives(gets_any(&q, "R", 0), (int64_t)i);
    }
    kit_equal(kit_stat(Q).backstop_finds, 0);
    puppet_end(&p);
    puppet_end(&q);
    puppet_end(&r);
}

static void what_was_given_back_comes_again_to_who_asks_for_its_sender(void)
{
    struct puppet p = starts_as("op", "P");
    struct puppet r = starts_as("or", "R");
    tong_process *q = opens(Q, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(sends_to(&p, "Q", 1, 0));
    kit_ok(tong_claim(tong_process_mailbox(q), 0, &message));
    kit_ok(tong_return(tong_process_mailbox(q), &message));
    kit_gives(get_from(q, R, 0), -EAGAIN);
    kit_gives(get_from(q, R, TONG_MS(20)), -ETIMEDOUT); /* and sleeps beside it */
    kit_ok(sends_to(&r, "Q", 2, 0));
    kit_gives(get_from(q, R, 0), 2);
    char from[TONG_NAME_MAX];
    uint64_t value = 0;
    kit_gives(tong_receive_any(q, &value, 8, 0, from), 8);
    kit_true(value == 1 && strcmp(from, "P") == 0);
    puppet_end(&p);
    puppet_end(&r);
    kit_ok(tong_process_close(q));
}

static void at_capacity_0_the_named_one_is_taken_alone(void)
{
    kit_needs(KIT_RENDEZVOUS);
    struct puppet p = starts_as("op", "P");
    struct puppet q = starts_with("oq", "Q", 0);
    struct puppet r = starts_as("or", "R");
    begins_to(&r, "Q", 2, KIT_PATIENCE);
    kit_until(kit_stat(Q).waiting == 1);
    begins_from(&q, "P", KIT_PATIENCE);
    kit_until(puppet_waits(&q));
    kit_ok(sends_to(&p, "Q", 1, KIT_PATIENCE));
    kit_gives(puppet_answer(&q), 1);
    kit_equal(kit_stat(Q).waiting, 1);
    kit_gives(gets_any(&q, "R", 0), 2);
    kit_ok(puppet_answer(&r));
    puppet_end(&p);
    puppet_end(&q);
    puppet_end(&r);
}

/* ------------------------------------------------------------------ names that are not there */

static void nobody_of_the_name_is_enoent_or_waited_for(void)
{
    tong_process *q = opens(Q, NULL);
    kit_gives(send_number(q, P, 1, 0), -ENOENT);
    kit_gives(get_from(q, P, 0), -ENOENT);
    kit_gives(send_number(q, P, 1, TONG_MS(3)), -ETIMEDOUT);
    kit_gives(get_from(q, P, TONG_MS(3)), -ETIMEDOUT);
    kit_ok(tong_process_close(q));

    struct puppet a = starts_as("oq", "Q");
    struct puppet b = puppet_start("op");
    begins_to(&a, "P", 5, KIT_PATIENCE);
    kit_until(puppet_waits(&a));
    kit_ok(becomes(&b, "P"));
    kit_ok(puppet_answer(&a));
    kit_gives(gets_from(&b, "Q", 0), 5);
    kit_ok(leaves(&b));
    kit_gives(gets_from(&a, "P", 0), -ENOENT);
    begins_from(&a, "P", KIT_PATIENCE);
    kit_until(puppet_waits(&a));
    kit_ok(becomes(&b, "P"));
    kit_ok(sends_to(&b, "Q", 6, 0));
    kit_gives(puppet_answer(&a), 6);
    puppet_end(&a);
    puppet_end(&b);
}

/* ------------------------------------------------------------------ deaths */

static void its_death_ends_the_wait_behind_its_messages(void)
{
    struct puppet p = starts_as("op", "P");
    struct puppet q = starts_as("oq", "Q");
    kit_ok(sends_to(&p, "Q", 1, 0));
    kit_ok(sends_to(&p, "Q", 2, 0));
    kit_gives(gets_from(&q, "P", 0), 1);
    puppet_kill(&p);
    kit_gives(gets_from(&q, "P", KIT_PATIENCE), 2);
    kit_gives(gets_from(&q, "P", KIT_PATIENCE), -EOWNERDEAD);
    kit_gives(gets_from(&q, "P", TONG_MS(3)), -ETIMEDOUT);
    kit_gives(gets_from(&q, "P", 0), -ENOENT);
    kit_gives(gets_from(&q, "P", TONG_MS(3)), -ETIMEDOUT); /* a new one is waited for */

    p = starts_as("op2", "P");
    begins_from(&q, "P", KIT_PATIENCE);
    kit_until(puppet_waits(&q));
    puppet_kill(&p);
    kit_gives(puppet_answer(&q), -EOWNERDEAD);

    p = starts_as("op3", "P");
    begins_from(&q, "P", KIT_PATIENCE);
    kit_until(puppet_waits(&q));
    kit_ok(leaves(&p)); /* it gives its name back, and lives on */
    kit_gives(puppet_answer(&q), -EOWNERDEAD);
    kit_equal(kit_stat(Q).backstop_finds, 0);
    puppet_end(&p);
    puppet_end(&q);
}

static void a_death_between_two_calls_is_told_once(void)
{
    struct puppet p = starts_as("op", "P");
    tong_process *q = opens(Q, NULL);
    kit_ok(send_number(q, P, 1, 0));
    puppet_kill(&p);
    int told = send_number(q, P, 2, KIT_PATIENCE);
    if (strcmp(kit_carrier(), "nats") == 0) {
        /* The server hears of it from the network, and takes what is sent before. */
        kit_until(told != 0 || (told = send_number(q, P, 2, KIT_PATIENCE)) != 0);
    }
    kit_gives(told, -EOWNERDEAD);
    kit_gives(send_number(q, P, 2, TONG_MS(3)), -ETIMEDOUT);
    kit_gives(send_number(q, P, 2, 0), -ENOENT);
    /* A new one is another one: what is sent goes there, what is received from it is told of. */
    p = starts_as("op2", "P");
    kit_ok(send_number(q, P, 3, 0));
    puppet_kill(&p);
    p = starts_as("op3", "P");
    kit_gives(get_from(q, P, KIT_PATIENCE), -EOWNERDEAD);
    kit_ok(send_number(q, P, 4, 0));
    kit_gives(gets_from(&p, "Q", 0), 4);
    kit_ok(sends_to(&p, "Q", 5, 0));
    puppet_kill(&p);
    p = starts_as("op4", "P");
    kit_ok(send_number(q, P, 6, KIT_PATIENCE));
    kit_gives(get_from(q, P, KIT_PATIENCE), 5);
    puppet_end(&p);
    kit_ok(tong_process_close(q));
}

static void a_blocked_sender_learns_of_the_death_at_once(void)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        char orders[16];
        snprintf(orders, sizeof(orders), "op%d", i);
        struct puppet q = starts_as("oq", "Q");
        struct puppet p = starts_with(orders, "P", 1);
        kit_ok(sends_to(&q, "P", 1, 0));
        kit_gives(sends_to(&q, "P", 2, 0), -EAGAIN);
        kit_gives(sends_to(&q, "P", 2, TONG_MS(1)), -ETIMEDOUT);
        begins_to(&q, "P", 2, KIT_PATIENCE);
        kit_until_blocked(P, 1);
        const int64_t began = kit_now_ns();
        puppet_kill(&p);
        kit_gives(puppet_answer(&q), -EOWNERDEAD);
        const int64_t took = kit_now_ns() - began;
        least = took < least ? took : least;
        kit_gives(sends_to(&q, "P", 3, 0), -ENOENT);
        puppet_end(&q);
    }
    /* The promise is 10 ms, over a network half a second. The machine may be busy; but what came by the
     * back-stop alone would have taken a second, each time. */
    kit_true(least < (strcmp(kit_carrier(), "nats") == 0 ? TONG_SEC(2) : TONG_MS(900)));
}

static void messages_of_a_dead_one_stay(void)
{
    struct puppet p = starts_as("op", "P");
    tong_process *q = opens(Q, NULL);
    kit_ok(sends_to(&p, "Q", 1, 0));
    kit_ok(sends_to(&p, "Q", 2, 0));
    puppet_kill(&p);
    kit_gives(get_from(q, P, 0), 1); /* it was never named before */
    p = starts_as("op2", "P");
    kit_ok(sends_to(&p, "Q", 3, 0));
    if (strcmp(kit_carrier(), "shm") == 0) {
        pairs_are("P <-> Q"); /* the same link */
    }
    kit_gives(get_from(q, P, 0), 2);
    kit_gives(get_from(q, P, 0), 3);
    puppet_end(&p);
    kit_ok(tong_process_close(q));
}

/* ------------------------------------------------------------------ the link of a pair */

/* Elsewhere what one that left had sent lies in a connection of its own, until it is received. */
static bool is_shm(void)
{
    return strcmp(kit_carrier(), "shm") == 0;
}

static void a_pair_has_one_link_whoever_begins(void)
{
    struct puppet p = starts_as("op", "P");
    struct puppet q = starts_as("oq", "Q");
    pairs_are("");
    kit_ok(sends_to(&q, "P", 1, 0));
    pairs_are("P <-> Q");
    kit_ok(sends_to(&p, "Q", 2, 0));
    pairs_are("P <-> Q");
    kit_equal(all_pairs().waiting, 2);
    kit_equal(kit_stat(P).links + kit_stat(Q).links, 2);
    /* P comes back: what it had sent waits, in the same link. */
    kit_ok(leaves(&p));
    kit_ok(becomes(&p, "P"));
    kit_ok(sends_to(&p, "Q", 3, 0));
    kit_ok(sends_to(&q, "P", 4, 0));
    pairs_are("P <-> Q");
    kit_true(kit_stat(Q).links == 1 || !is_shm());
    kit_gives(gets_from(&q, "P", 0), 2);
    kit_gives(gets_from(&q, "P", 0), 3);
    kit_gives(gets_from(&p, "Q", 0), 4);
    pairs_are("P <-> Q");
    puppet_end(&p);
    puppet_end(&q);
    pairs_are("");
}

static void both_that_open_at_once_have_one_link(void)
{
    struct puppet p = puppet_start("op");
    struct puppet q = puppet_start("oq");
    for (uint64_t i = 0; i < 30; i++) {
        PUPPET_TELL(&p, .verb = PUPPET_PROCESS, .name = "P");
        PUPPET_TELL(&q, .verb = PUPPET_PROCESS, .name = "Q");
        kit_ok(puppet_answer(&p));
        kit_ok(puppet_answer(&q));
        begins_to(&p, "Q", i, KIT_PATIENCE);
        begins_to(&q, "P", i, KIT_PATIENCE);
        kit_ok(puppet_answer(&p));
        kit_ok(puppet_answer(&q));
        pairs_are("P <-> Q");
        if (i % 3 == 0) {
            kit_gives(gets_from(&p, "Q", 0), (int64_t)i);
        }
        PUPPET_TELL(&p, .verb = PUPPET_PROCESS, .name = "");
        PUPPET_TELL(&q, .verb = PUPPET_PROCESS, .name = "");
        kit_ok(puppet_answer(&p));
        kit_ok(puppet_answer(&q));
    }
    puppet_end(&p);
    puppet_end(&q);
}

static void a_third_one_neither_sends_nor_reads_on_it(void)
{
    struct puppet p = starts_as("op", "P");
    struct puppet q = starts_as("oq", "Q");
    struct puppet r = starts_as("or", "R");
    tong_process *none = NULL;
    tong_mailbox *box = NULL;
    kit_ok(sends_to(&p, "Q", 1, 0));
    /* It can take neither's name, nor receive from its mailbox. */
    kit_gives(tong_process_open(P, NULL, &none), -EBUSY);
    kit_gives(renames(&r, "P"), -EBUSY);
    kit_gives(tong_open(Q, TONG_RECEIVE, NULL, &box), -EPERM);
    kit_gives(PUPPET(&q, .verb = PUPPET_OPEN, .name = "Q", .flags = TONG_RECEIVE), -EBUSY);
    /* What it sends to Q, by name or by the mailbox, is on another link. */
    kit_ok(sends_to(&r, "Q", 2, 0));
    box = kit_open(Q, TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 3, 0));
    kit_gives(gets_from(&q, "P", 0), 1);
    kit_gives(gets_from(&q, "P", 0), -EAGAIN);
    kit_gives(gets_from(&q, "R", 0), 2);
    kit_gives(gets_any(&q, "", 0), 3);
    pairs_are("P <-> Q, Q <-> R");
    /* A link that P left with messages is not taken over by others. */
    kit_ok(sends_to(&p, "Q", 4, 0));
    puppet_kill(&p);
    kit_ok(tong_close(box));
    box = kit_open(Q, TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 5, 0));
    kit_gives(gets_from(&q, "P", 0), 4);
    kit_gives(gets_any(&q, "", 0), 5);
    kit_ok(tong_close(box));
    puppet_end(&q);
    puppet_end(&r);
}

static void a_process_may_send_to_itself(void)
{
    tong_process *q = opens(Q, NULL);
    for (uint64_t i = 1; i <= 10; i++) {
        kit_ok(send_number(q, Q, i, 0));
    }
    pairs_are("Q <-> Q");
    for (uint64_t i = 1; i <= 10; i++) {
        kit_gives(get_from(q, Q, KIT_PATIENCE), (int64_t)i);
    }
    kit_gives(get_from(q, Q, TONG_MS(1)), -ETIMEDOUT);
    kit_ok(tong_process_close(q));
}

/* ------------------------------------------------------------------ both ways at once */

#define EACH_WAY 20000

struct talker {
    const char *name;
    const char *other;
    kit_barrier *barrier;
};

struct sending {
    tong_process *me;
    const char *other;
    uint64_t n;
};

static void *send_all(void *arg)
{
    const struct sending *s = arg;
    for (uint64_t i = 1; i <= s->n; i++) {
        kit_ok(send_number(s->me, kit_name(s->other), i, KIT_PATIENCE));
    }
    return NULL;
}

static int talk_both_ways(void *arg)
{
    const struct talker *t = arg;
    const tong_options one = kit_capacity(1);
    tong_process *me = opens(kit_name(t->name), &one);
    struct sending s = { me, t->other, kit_count("TONG_TEST_MESSAGES", kit_fewer(EACH_WAY)) };
    pthread_t thread;
    kit_ok(pthread_create(&thread, NULL, send_all, &s));
    for (uint64_t i = 1; i <= s.n; i++) {
        kit_gives(get_from(me, kit_name(t->other), KIT_PATIENCE), (int64_t)i);
    }
    kit_ok(pthread_join(thread, NULL));
    kit_barrier_wait(t->barrier, 3);
    kit_barrier_wait(t->barrier, 3);
    return tong_process_close(me);
}

static void both_ways_at_capacity_1_do_not_block_each_other(void)
{
    kit_barrier *barrier = kit_shared(sizeof(*barrier));
    struct talker a = { "P", "Q", barrier };
    struct talker b = { "Q", "P", barrier };
    struct kit_child p = kit_spawn(talk_both_ways, &a);
    struct kit_child q = kit_spawn(talk_both_ways, &b);
    kit_barrier_wait(barrier, 3);
    pairs_are("P <-> Q");
    kit_equal(kit_stat(P).backstop_finds + kit_stat(Q).backstop_finds, 0);
    kit_barrier_wait(barrier, 3);
    kit_join(&p);
    kit_join(&q);
}

/* Timed sends: who finds no room receives, and goes on. */
static int talk_in_turns(void *arg)
{
    const struct talker *t = arg;
    const tong_options one = kit_capacity(1);
    tong_process *me = opens(kit_name(t->name), &one);
    const char *other = kit_name(t->other);
    const uint64_t n = kit_count("TONG_TEST_MESSAGES", kit_fewer(EACH_WAY));
    uint64_t sent = 0;
    uint64_t received = 0;
    while (sent < n || received < n) {
        if (sent < n) {
            const int r =
                send_number(me, other, sent + 1, received < n ? TONG_MS(1) : KIT_PATIENCE);
            kit_true(r == 0 || r == -ETIMEDOUT);
            sent += r == 0;
        }
        int64_t value = 1;
        while (received < n && value > 0) {
            value = get_from(me, other, sent < n ? 0 : KIT_PATIENCE);
            if (value > 0) {
                kit_equal(value, ++received);
            }
        }
        kit_true(value > 0 || value == -EAGAIN || value == -ENOENT);
    }
    kit_barrier_wait(t->barrier, 3);
    kit_barrier_wait(t->barrier, 3);
    return tong_process_close(me);
}

static void both_ways_by_timed_sends_do_not_block_each_other(void)
{
    kit_barrier *barrier = kit_shared(sizeof(*barrier));
    struct talker a = { "P", "Q", barrier };
    struct talker b = { "Q", "P", barrier };
    struct kit_child p = kit_spawn(talk_in_turns, &a);
    struct kit_child q = kit_spawn(talk_in_turns, &b);
    kit_barrier_wait(barrier, 3);
    pairs_are("P <-> Q");
    kit_barrier_wait(barrier, 3);
    kit_join(&p);
    kit_join(&q);
}

static const struct kit_test tests[] = {
    KIT_TEST(symmetric_takes_the_named_one_and_leaves_the_others),
    KIT_TEST(asymmetric_tells_who_sent),
    KIT_TEST(waiting_for_one_is_not_disturbed_by_others),
    KIT_TEST(what_was_given_back_comes_again_to_who_asks_for_its_sender),
    KIT_TEST(at_capacity_0_the_named_one_is_taken_alone),
    KIT_TEST(nobody_of_the_name_is_enoent_or_waited_for),
    KIT_TEST(its_death_ends_the_wait_behind_its_messages),
    KIT_TEST(a_death_between_two_calls_is_told_once),
    KIT_TEST(a_blocked_sender_learns_of_the_death_at_once),
    KIT_TEST(messages_of_a_dead_one_stay),
    KIT_TEST(a_pair_has_one_link_whoever_begins),
    KIT_TEST(both_that_open_at_once_have_one_link),
    KIT_TEST(a_third_one_neither_sends_nor_reads_on_it),
    KIT_TEST(a_process_may_send_to_itself),
    KIT_TEST_LONG(both_ways_at_capacity_1_do_not_block_each_other, 600),
    KIT_TEST_LONG(both_ways_by_timed_sends_do_not_block_each_other, 600),
};

KIT_MAIN(tests)
