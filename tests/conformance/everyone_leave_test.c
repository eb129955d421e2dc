/* TONG_EVERYONE: receivers that come and go at once, and die: what is kept for the next one, and what is not. */
#include "everyone.h"

#include <errno.h>

/* ---- several come and go at once, each in a process of its own */

struct crowd {
    _Atomic uint32_t there;
    _Atomic uint32_t ready;
    uint64_t taken; /* by who leaves, before that */
    uint32_t n;
    kit_event sent;
    kit_barrier start;
    kit_event all_sent;
};

static int leaves(void *arg)
{
    struct crowd *crowd = arg;
    tong_mailbox *box = receiver_of("news");
    atomic_fetch_add(&crowd->there, 1);
    kit_event_wait(&crowd->sent);
    get_some(box, 0, crowd->taken);
    kit_barrier_wait(&crowd->start, crowd->n);
    return tong_close(box);
}

static int comes(void *arg)
{
    struct crowd *crowd = arg;
    kit_event_wait(&crowd->sent);
    kit_barrier_wait(&crowd->start, crowd->n);
    tong_mailbox *box = late_receiver_of("news");
    atomic_fetch_add(&crowd->ready, 1);
    kit_event_wait(&crowd->all_sent);
    get_some(box, 0, 8);
    kit_is_empty(box);
    return tong_close(box);
}

/* Some leave, others come, all at once; 8 messages are sent. Whoever is there before or behind that misses none. */
static void leave_and_come(uint32_t n_leave, uint64_t taken, uint32_t n_come)
{
    const tong_options options = to_all(TONG_DEFAULT);
    struct crowd *crowd = kit_shared(sizeof(*crowd));
    struct kit_child child[ALL];
    tong_mailbox *box = sender_of("news", &options);
    *crowd = (struct crowd){ .taken = taken, .n = n_leave + n_come };
    for (uint32_t i = 0; i < crowd->n; i++) {
        child[i] = kit_spawn(i < n_leave ? leaves : comes, crowd);
    }
    kit_until(atomic_load(&crowd->there) == n_leave);
    send_some(box, 0, 5);
    kit_event_set(&crowd->sent);
    for (uint32_t i = 0; i < n_leave; i++) {
        kit_join(&child[i]);
    }
    kit_until(atomic_load(&crowd->ready) == n_come);
    send_some(box, 5, 8);
    kit_event_set(&crowd->all_sent);
    for (uint32_t i = n_leave; i < crowd->n; i++) {
        kit_join(&child[i]);
    }
    tong_mailbox *late = late_receiver_of("news");
    get_some(late, n_come > 0 ? 8 : taken, 8);
    kit_is_empty(late);
    kit_ok(tong_close(late));
    kit_end(box, kit_name("news"));
}

static void what_those_that_leave_at_once_had_not_is_kept(void)
{
    const uint64_t rounds = kit_fewer(100);
    for (uint64_t round = 0; round < rounds; round++) {
        leave_and_come(4, 2, 0);
    }
}

static void who_comes_as_the_last_leave_misses_nothing(void)
{
    const uint64_t rounds = kit_fewer(100);
    for (uint64_t round = 0; round < rounds; round++) {
        leave_and_come(2, 0, 2);
    }
}

static int takes_some_when_told(void *arg)
{
    struct pair *p = arg;
    tong_mailbox *box = receiver_of(p->name);
    kit_event_set(&p->there);
    kit_event_wait(&p->go);
    get_some(box, p->from, p->to);
    kit_event_set(&p->done);
    kit_await_death();
}

static void what_a_dead_one_had_not_finished_is_kept(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    struct pair *p = kit_shared(sizeof(*p));
    *p = (struct pair){ .name = "news", .to = 3 };
    struct kit_child child = kit_spawn(takes_some_when_told, p);
    kit_event_wait(&p->there);
    send_some(box, 0, 6);
    kit_event_set(&p->go);
    kit_event_wait(&p->done);
    kit_kill(&child);
    send_some(box, 6, 8);
    tong_mailbox *late = late_receiver_of("news");
    get_some(late, 3, 8);
    kit_is_empty(late);
    kit_ok(tong_close(late));
    kit_end(box, kit_name("news"));
}

static void nothing_is_kept_for_a_dead_one(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *one = receiver_of("news");
    struct pair *p = kit_shared(sizeof(*p));
    *p = (struct pair){ .name = "news" };
    struct kit_child child = kit_spawn(is_there, p);
    kit_event_wait(&p->there);
    send_some(box, 0, 6);
    get_some(one, 0, 6);
    kit_equal(kit_stat(kit_name("news")).waiting, 6);
    kit_kill(&child);
    tong_mailbox *next = receiver_of("news");
    kit_until(kit_stat(kit_name("news")).waiting == 0);
    send_some(box, 6, 8);
    get_some(one, 6, 8);
    get_some(next, 6, 8);
    kit_ok(tong_close(one));
    kit_ok(tong_close(next));
    kit_end(box, kit_name("news"));
}

static const struct kit_test tests[] = {
    KIT_TEST(what_those_that_leave_at_once_had_not_is_kept),
    KIT_TEST(who_comes_as_the_last_leave_misses_nothing),
    KIT_TEST(what_a_dead_one_had_not_finished_is_kept),
    KIT_TEST(nothing_is_kept_for_a_dead_one),
};

KIT_MAIN(tests)
