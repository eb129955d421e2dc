/* The token: exclusion over processes, taken from the dead, waiters woken, PENDING. */
#include "region/region.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "kit.h"

/* Shared by all processes of a test. */
struct shared {
    tg_a64 token;
    tg_a32 end;
    kit_event locked;
    kit_event done;
    _Atomic uint32_t stolen;
    uint64_t plain; /* guarded by the token */
    unsigned long n;
    _Atomic uint32_t points;
    _Atomic uint32_t inside;
};

static struct shared *shared;
static struct tg_root *root;
static uint64_t me;

static void join(void)
{
    kit_ok(tg_root_get(true, &root));
    kit_ok(tg_life_join(root, &me));
}

static void leave(void)
{
    tg_life_leave(root);
    tg_root_put(root);
}

static void begin(void)
{
    shared = kit_shared(sizeof(*shared));
    join();
}

static int lock(int64_t timeout_ns)
{
    return tg_token_lock(&shared->token, root, me, tg_deadline(timeout_ns), NULL, 0);
}

static void unlock(void)
{
    kit_true(tg_token_unlock(&shared->token, me));
}

static int holds(void *arg)
{
    (void)arg;
    join();
    kit_ok(lock(TONG_FOREVER));
    kit_event_set(&shared->locked);
    kit_await_death();
}

static struct kit_child start_holder(void)
{
    struct kit_child child = kit_spawn(holds, NULL);
    kit_event_wait(&shared->locked);
    return child;
}

/* ---- refused */

static void held_by_a_living_one_it_is_not_given(void)
{
    begin();
    struct kit_child holder = start_holder();
    const uint64_t word = tg_load_acquire(&shared->token);
    kit_gives(lock(0), -EAGAIN);
    kit_gives(lock(TONG_MS(2)), -ETIMEDOUT);
    kit_equal(tg_load_acquire(&shared->token) & ~TG_TOKEN_FLAGS, word & ~TG_TOKEN_FLAGS);
    kit_kill(&holder);
    leave();
}

static void it_is_not_recursive(void)
{
    begin();
    kit_ok(lock(0));
    kit_gives(lock(0), -EAGAIN);
    kit_gives(lock(TONG_MS(1)), -ETIMEDOUT);
    unlock();
    leave();
}

/* ---- smallest success */

static void a_free_token_is_taken_and_given_back(void)
{
    begin();
    for (int i = 0; i < 3; i++) {
        kit_ok(lock(0));
        kit_equal(tg_load_acquire(&shared->token), me);
        unlock();
        kit_equal(tg_load_acquire(&shared->token), 0);
    }
    leave();
}

/* ---- from the dead */

static void taken_from_a_dead_holder_it_says_so_once(void)
{
    begin();
    struct kit_child holder = start_holder();
    kit_kill(&holder);
    kit_gives(lock(0), 1);
    unlock();
    kit_ok(lock(0));
    unlock();
    leave();
}

static void given_up_as_by_dying_the_next_one_is_told(void)
{
    begin();
    kit_ok(lock(0));
    tg_token_leave(&shared->token);
    kit_gives(lock(0), 1);
    unlock();
    kit_ok(lock(0));
    unlock();
    leave();
}

static int waits(void *arg)
{
    (void)arg;
    join();
    const int r = lock(TONG_FOREVER);
    kit_true(r == 0 || r == 1);
    atomic_fetch_add(&shared->stolen, (uint32_t)r);
    unlock();
    leave();
    return 0;
}

#define WAITERS 3

static void start_waiters(struct kit_child waiters[WAITERS])
{
    for (int i = 0; i < WAITERS; i++) {
        waiters[i] = kit_spawn(waits, NULL);
    }
    for (int i = 0; i < WAITERS; i++) {
        kit_until(kit_sleeps(waiters[i].pid));
    }
    kit_until((tg_load_acquire(&shared->token) & TG_TOKEN_WAITERS) != 0);
}

static void waiters_are_woken_when_the_holder_dies(void)
{
    struct kit_child waiters[WAITERS];
    begin();
    struct kit_child holder = start_holder();
    start_waiters(waiters);
    kit_kill(&holder);
    for (int i = 0; i < WAITERS; i++) {
        kit_join(&waiters[i]);
    }
    kit_equal(atomic_load(&shared->stolen), 1);
    kit_equal(tg_load_acquire(&shared->token), 0);
    leave();
}

static void waiters_are_woken_when_it_is_given_back(void)
{
    struct kit_child waiters[WAITERS];
    begin();
    kit_ok(lock(0));
    start_waiters(waiters);
    unlock();
    for (int i = 0; i < WAITERS; i++) {
        kit_join(&waiters[i]);
    }
    kit_equal(atomic_load(&shared->stolen), 0);
    kit_equal(tg_load_acquire(&shared->token), 0);
    leave();
}

static void a_waiter_that_dies_hinders_nobody(void)
{
    struct kit_child waiters[WAITERS];
    begin();
    kit_ok(lock(0));
    start_waiters(waiters);
    kit_kill(&waiters[0]);
    unlock();
    kit_join(&waiters[1]);
    kit_join(&waiters[2]);
    kit_ok(lock(KIT_PATIENCE));
    unlock();
    leave();
}

static int waits_for_the_end(void *arg)
{
    (void)arg;
    join();
    kit_event_set(&shared->locked);
    kit_gives(tg_token_lock(&shared->token, root, me, TG_NEVER, &shared->end, 0), -EIDRM);
    leave();
    return 0;
}

static void the_end_of_what_it_guards_ends_the_wait(void)
{
    begin();
    kit_ok(lock(0));
    struct kit_child waiter = kit_spawn(waits_for_the_end, NULL);
    kit_event_wait(&shared->locked);
    kit_until(kit_sleeps(waiter.pid) && (tg_load_acquire(&shared->token) & TG_TOKEN_WAITERS) != 0);
    atomic_store(&shared->end, 1);
    tg_sys_futex_wake(&shared->end, INT_MAX);
    kit_join(&waiter);
    unlock();
    leave();
}

/* ---- PENDING */

static void pending_keeps_the_holder_from_letting_go(void)
{
    begin();
    kit_ok(lock(0));
    (void)tg_or(&shared->token, TG_TOKEN_PENDING);
    kit_true(!tg_token_unlock(&shared->token, me));
    kit_equal(tg_load_acquire(&shared->token), me); /* held, the bit is gone */
    kit_true(tg_token_unlock(&shared->token, me));
    kit_equal(tg_load_acquire(&shared->token), 0);
    leave();
}

static void pending_and_waiters_are_both_served(void)
{
    struct kit_child waiters[WAITERS];
    begin();
    kit_ok(lock(0));
    start_waiters(waiters);
    (void)tg_or(&shared->token, TG_TOKEN_PENDING);
    kit_true(!tg_token_unlock(&shared->token, me));
    kit_true((tg_load_acquire(&shared->token) & TG_TOKEN_WAITERS) != 0);
    kit_true(tg_token_unlock(&shared->token, me));
    for (int i = 0; i < WAITERS; i++) {
        kit_join(&waiters[i]);
    }
    leave();
}

static void a_thief_collects_anyway_so_pending_falls(void)
{
    begin();
    struct kit_child holder = start_holder();
    (void)tg_or(&shared->token, TG_TOKEN_PENDING | TG_TOKEN_WAITERS);
    kit_kill(&holder);
    kit_gives(lock(0), 1);
    kit_equal(tg_load_acquire(&shared->token), me | TG_TOKEN_WAITERS);
    unlock();
    leave();
}

/* ---- killed at every point of lock and unlock, others waiting */

static int lock_and_unlock_to_death(void *arg)
{
    (void)arg;
    join();
    tg_point_arm(shared->n);
    kit_true(lock(TONG_FOREVER) >= 0);
    unlock();
    kit_true(lock(TONG_FOREVER) >= 0);
    unlock();
    atomic_store(&shared->points, (uint32_t)tg_point_count());
    _exit(0);
}

static bool has_ended(const struct kit_child *child)
{
    siginfo_t info = { .si_pid = 0 };
    kit_ok(waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT));
    return info.si_pid != 0;
}

static void killed_inside_it_hinders_nobody(void)
{
    unsigned kills = 0;
    begin();
    for (shared->n = 1; shared->n < 200; shared->n++) {
        struct kit_child waiters[WAITERS];
        kit_ok(lock(0));
        start_waiters(waiters);
        struct kit_child victim = kit_spawn(lock_and_unlock_to_death, NULL);
        kit_until(kit_sleeps(victim.pid) || has_ended(&victim));
        unlock();
        const bool killed = WIFSIGNALED(kit_join_status(&victim));
        for (int i = 0; i < WAITERS; i++) {
            kit_join(&waiters[i]);
        }
        kit_true(lock(KIT_PATIENCE) >= 0);
        unlock();
        if (!killed) {
            break;
        }
        kills++;
    }
    kit_true(kills >= 4);
    printf("token lock, unlock: %u points, %u kills\n", atomic_load(&shared->points), kills);
    leave();
}

/* ---- many, for long; some die inside */

static int count(void *arg)
{
    const uint64_t *n = arg;
    join();
    for (uint64_t i = 0; i < *n; i++) {
        kit_true(lock(TONG_FOREVER) >= 0);
        kit_equal(atomic_fetch_add(&shared->inside, 1), 0);
        const uint64_t was = shared->plain;
        if (i % 64 == 0) {
            (void)sched_yield();
        }
        shared->plain = was + 1;
        atomic_store(&shared->inside, 0);
        unlock();
    }
    leave();
    return 0;
}

/* With the token in hand, and nothing counted. */
static int die_inside(void *arg)
{
    (void)arg;
    join();
    kit_true(lock(TONG_FOREVER) >= 0);
    (void)kill(getpid(), SIGKILL);
    return 1;
}

static void one_process_at_a_time_is_inside(void)
{
    struct kit_child children[4];
    struct kit_child dying[8];
    uint64_t n = kit_count("KIT_ENTRIES", 5000);
    begin();
    for (int i = 0; i < 4; i++) {
        children[i] = kit_spawn(count, &n);
    }
    for (int i = 0; i < 8; i++) {
        dying[i] = kit_spawn(die_inside, NULL);
    }
    for (int i = 0; i < 8; i++) {
        kit_true(WIFSIGNALED(kit_join_status(&dying[i])));
    }
    for (int i = 0; i < 4; i++) {
        kit_join(&children[i]);
    }
    kit_equal(shared->plain, 4 * n);
    leave();
}

static const struct kit_test tests[] = {
    KIT_TEST(held_by_a_living_one_it_is_not_given),
    KIT_TEST(it_is_not_recursive),
    KIT_TEST(a_free_token_is_taken_and_given_back),
    KIT_TEST(taken_from_a_dead_holder_it_says_so_once),
    KIT_TEST(given_up_as_by_dying_the_next_one_is_told),
    KIT_TEST(waiters_are_woken_when_the_holder_dies),
    KIT_TEST(waiters_are_woken_when_it_is_given_back),
    KIT_TEST(a_waiter_that_dies_hinders_nobody),
    KIT_TEST(the_end_of_what_it_guards_ends_the_wait),
    KIT_TEST(pending_keeps_the_holder_from_letting_go),
    KIT_TEST(pending_and_waiters_are_both_served),
    KIT_TEST(a_thief_collects_anyway_so_pending_falls),
    KIT_TEST(killed_inside_it_hinders_nobody),
    KIT_TEST(one_process_at_a_time_is_inside),
};

KIT_MAIN(tests)
