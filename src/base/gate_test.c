/* The gate: threads exclude each other, a sleeper is told of, a cancel ends the wait. */
#include "base/gate.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "kit.h"

static struct tg_gate gate;
static tg_a32 cancel;

static void a_free_gate_is_entered_again_and_again(void)
{
    for (int i = 0; i < 1000; i++) {
        kit_ok(tg_gate_enter(&gate, 0, NULL, 0));
        tg_gate_leave(&gate);
    }
}

/* ---- held */

static kit_event held;
static kit_event leave;
static _Atomic uint32_t entered;

static void *hold(void *arg)
{
    const bool *asleep = arg;
    kit_ok(tg_gate_enter(&gate, TG_NEVER, NULL, 0));
    tg_gate_set_asleep(&gate, *asleep);
    kit_event_set(&held);
    kit_event_wait(&leave);
    tg_gate_set_asleep(&gate, false);
    tg_gate_leave(&gate);
    return NULL;
}

static pthread_t start_holder(bool *asleep)
{
    pthread_t thread;
    kit_ok(pthread_create(&thread, NULL, hold, asleep));
    kit_event_wait(&held);
    return thread;
}

static void end_holder(pthread_t thread)
{
    kit_event_set(&leave);
    kit_ok(pthread_join(thread, NULL));
}

static void a_time_out_of_0_does_not_wait_for_a_sleeper(void)
{
    bool asleep = true;
    const pthread_t holder = start_holder(&asleep);
    kit_gives(tg_gate_enter(&gate, 0, NULL, 0), -EAGAIN);
    end_holder(holder);
    kit_ok(tg_gate_enter(&gate, 0, NULL, 0));
    tg_gate_leave(&gate);
}

static void the_time_runs_out(void)
{
    bool asleep = false;
    const pthread_t holder = start_holder(&asleep);
    kit_gives(tg_gate_enter(&gate, tg_deadline(TONG_MS(2)), NULL, 0), -ETIMEDOUT);
    end_holder(holder);
}

static void *enter_with_0(void *arg)
{
    (void)arg;
    kit_ok(tg_gate_enter(&gate, 0, NULL, 0));
    atomic_store(&entered, 1);
    tg_gate_leave(&gate);
    return NULL;
}

static void a_time_out_of_0_waits_for_a_holder_that_is_awake(void)
{
    bool asleep = false;
    pthread_t other;
    const pthread_t holder = start_holder(&asleep);
    kit_ok(pthread_create(&other, NULL, enter_with_0, NULL));
    kit_until(tg_load_acquire(&gate.state) == 2);
    kit_equal(atomic_load(&entered), 0);
    end_holder(holder);
    kit_ok(pthread_join(other, NULL));
    kit_equal(atomic_load(&entered), 1);
}

static void *enter_until_cancelled(void *arg)
{
    (void)arg;
    kit_gives(tg_gate_enter(&gate, TG_NEVER, &cancel, 0), -ECANCELED);
    return NULL;
}

static void a_cancel_ends_every_wait(void)
{
    bool asleep = true;
    pthread_t others[3];
    const pthread_t holder = start_holder(&asleep);
    for (int i = 0; i < 3; i++) {
        kit_ok(pthread_create(&others[i], NULL, enter_until_cancelled, NULL));
    }
    /* This thread, the holder and the three. */
    kit_until(kit_threads_asleep(getpid()) >= 4);
    atomic_store(&cancel, 1);
    tg_gate_stir(&gate);
    for (int i = 0; i < 3; i++) {
        kit_ok(pthread_join(others[i], NULL));
    }
    end_holder(holder);
}

static void *wait_with_0(void *arg)
{
    (void)arg;
    kit_gives(tg_gate_enter(&gate, 0, NULL, 0), -EAGAIN);
    return NULL;
}

static void who_waits_with_0_is_told_when_the_holder_falls_asleep(void)
{
    pthread_t other;
    kit_ok(tg_gate_enter(&gate, 0, NULL, 0));
    kit_ok(pthread_create(&other, NULL, wait_with_0, NULL));
    kit_until(tg_load_acquire(&gate.state) == 2);
    tg_gate_set_asleep(&gate, true);
    kit_ok(pthread_join(other, NULL));
    tg_gate_set_asleep(&gate, false);
    tg_gate_leave(&gate);
}

static void on_signal(int number)
{
    (void)number;
}

static void *enter_until_signalled(void *arg)
{
    (void)arg;
    kit_gives(tg_gate_enter(&gate, tg_deadline(KIT_PATIENCE), NULL, 0), -EINTR);
    return NULL;
}

static void a_signal_handler_ends_the_wait(void)
{
    bool asleep = true;
    pthread_t other;
    struct sigaction action = { .sa_handler = on_signal };
    kit_ok(sigaction(SIGUSR1, &action, NULL));
    const pthread_t holder = start_holder(&asleep);
    kit_ok(pthread_create(&other, NULL, enter_until_signalled, NULL));
    kit_until(tg_load_acquire(&gate.state) == 2 && kit_threads_asleep(getpid()) >= 2);
    kit_ok(pthread_kill(other, SIGUSR1));
    kit_ok(pthread_join(other, NULL));
    end_holder(holder);
}

/* ---- many, for long */

#define THREADS 4

static uint64_t plain; /* guarded by the gate */

static void *count(void *arg)
{
    const uint64_t *n = arg;
    for (uint64_t i = 0; i < *n; i++) {
        kit_ok(tg_gate_enter(&gate, TG_NEVER, NULL, 0));
        const uint64_t was = plain;
        if (i % 64 == 0) {
            (void)sched_yield();
        }
        plain = was + 1;
        tg_gate_leave(&gate);
    }
    return NULL;
}

static void one_thread_at_a_time_is_inside(void)
{
    pthread_t threads[THREADS];
    uint64_t n = kit_count("KIT_ENTRIES", 20000);
    for (int i = 0; i < THREADS; i++) {
        kit_ok(pthread_create(&threads[i], NULL, count, &n));
    }
    for (int i = 0; i < THREADS; i++) {
        kit_ok(pthread_join(threads[i], NULL));
    }
    kit_equal(plain, THREADS * n);
}

static const struct kit_test tests[] = {
    KIT_TEST(a_free_gate_is_entered_again_and_again),
    KIT_TEST(a_time_out_of_0_does_not_wait_for_a_sleeper),
    KIT_TEST(the_time_runs_out),
    KIT_TEST(a_time_out_of_0_waits_for_a_holder_that_is_awake),
    KIT_TEST(a_cancel_ends_every_wait),
    KIT_TEST(who_waits_with_0_is_told_when_the_holder_falls_asleep),
    KIT_TEST(a_signal_handler_ends_the_wait),
    KIT_TEST(one_thread_at_a_time_is_inside),
};

KIT_MAIN(tests)
