/*
 * watch.c - what a person at a terminal sees of a long call.
 *
 * A thread looks at a few words the main thread writes: how often it began and ended to wait (odd:
 * it waits just now), how many bytes it moved, how many there are. So the main thread pays two plain
 * stores a call and calls nothing. Five times a second the thread draws progress of a transfer over
 * 64 MiB, and once, when the same wait has lasted a second, it says for whom. All signals are
 * blocked in it: they are to disturb the main thread. Without a terminal there is no thread.
 */
#include "tool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    TICKS_A_SECOND = 5,
    BAR = 24
};
static const uint64_t worth_drawing = UINT64_C(64) << 20;

static _Atomic uint64_t waits;
static _Atomic uint64_t total;
static _Atomic uint64_t moved;

static struct {
    bool runs;
    bool sends;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below, and of the line on the terminal */
    pthread_cond_t end;
    bool stop;
    bool drawn;
    bool said;
    const struct tool_args *args;
    const char *name;
    struct timespec begin; /* of the transfer */
    uint64_t seen;         /* bytes moved at the last look */
} watch = { .lock = PTHREAD_MUTEX_INITIALIZER };

void tool_watch_wait(void)
{
    const uint64_t n = atomic_load_explicit(&waits, memory_order_relaxed);
    atomic_store_explicit(&waits, n + 1, memory_order_relaxed);
}

void tool_watch_go_on(void)
{
    tool_watch_wait();
}

void tool_watch_total(uint64_t bytes)
{
    atomic_store_explicit(&total, bytes, memory_order_relaxed);
    atomic_store_explicit(&moved, 0, memory_order_relaxed);
}

void tool_watch_moved(uint64_t bytes)
{
    const uint64_t n = atomic_load_explicit(&moved, memory_order_relaxed);
    atomic_store_explicit(&moved, n + bytes, memory_order_relaxed);
}

static void put(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) {
        return; /* A terminal that is gone needs no picture. */
    }
}

static void erase(void)
{
    if (watch.drawn) {
        put("\r\033[K");
        watch.drawn = false;
    }
}

static void draw(void)
{
    const uint64_t all = atomic_load_explicit(&total, memory_order_relaxed);
    const uint64_t now = atomic_load_explicit(&moved, memory_order_relaxed);
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    if (now == 0 || now < watch.seen) {
        watch.begin = t; /* Nothing of this transfer was moved until now. */
    }
    watch.seen = now;
    if (now == 0 || (all < worth_drawing && now < worth_drawing)) {
        erase();
        return;
    }
    const double seconds =
        (double)(t.tv_sec - watch.begin.tv_sec) + (double)(t.tv_nsec - watch.begin.tv_nsec) * 1e-9;
    const double rate = seconds > 0 ? (double)now / seconds : 0;
    char line[160];
    if (all >= now) {
        char bar[BAR + 1];
        const int full = (int)((double)now * BAR / (double)all);
        memset(bar, ' ', BAR);
        memset(bar, '#', (size_t)full);
        bar[BAR] = '\0';
        snprintf(line, sizeof(line), "\r\033[K[%s] %s of %s, %s/s, %.0f s left", bar,
                 tool_amount(now), tool_amount(all), tool_amount((uint64_t)rate),
                 rate > 0 ? (double)(all - now) / rate : 0.0);
    } else {
        snprintf(line, sizeof(line), "\r\033[K%s, %s/s", tool_amount(now),
                 tool_amount((uint64_t)rate));
    }
    put(line);
    watch.drawn = true;
}

/* Called with the lock held, which tool_say() takes as well: give it up meanwhile. */
static void say_for_whom(void)
{
    char state[160];
    watch.said = true;
    pthread_mutex_unlock(&watch.lock);
    if (watch.sends) {
        tool_box_describe(watch.name, state, sizeof(state));
        tool_say(watch.args, watch.name, "waiting for room: %s", state);
    } else {
        tool_say(watch.args, watch.name, "waiting for a message; Ctrl-C ends this");
    }
    pthread_mutex_lock(&watch.lock);
}

static void *run(void *unused)
{
    (void)unused;
    uint64_t last = 0;
    int same = 0;
    pthread_mutex_lock(&watch.lock);
    while (!watch.stop) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_nsec += 1000000000 / TICKS_A_SECOND;
        t.tv_sec += t.tv_nsec / 1000000000;
        t.tv_nsec %= 1000000000;
        if (pthread_cond_timedwait(&watch.end, &watch.lock, &t) == 0) {
            continue;
        }
        const uint64_t now = atomic_load_explicit(&waits, memory_order_relaxed);
        same = now == last && now % 2 == 1 ? same + 1 : 0;
        last = now;
        if (same >= TICKS_A_SECOND && !watch.said) {
            say_for_whom();
        }
        draw();
    }
    erase();
    pthread_mutex_unlock(&watch.lock);
    return NULL;
}

void tool_watch_start(const struct tool_box *box, bool sends)
{
    if (!tool_on_terminal() || watch.runs) {
        return;
    }
    watch.args = box->args;
    watch.name = box->name;
    watch.sends = sends;
    clock_gettime(CLOCK_MONOTONIC, &watch.begin);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&watch.end, &attr);
    pthread_condattr_destroy(&attr);
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    watch.runs = pthread_create(&watch.thread, NULL, run, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void tool_watch_stop(void)
{
    if (!watch.runs) {
        return;
    }
    pthread_mutex_lock(&watch.lock);
    watch.stop = true;
    pthread_cond_signal(&watch.end);
    pthread_mutex_unlock(&watch.lock);
    pthread_join(watch.thread, NULL);
    watch.runs = false;
}

void tool_watch_hide(void)
{
    pthread_mutex_lock(&watch.lock);
    erase();
}

void tool_watch_show(void)
{
    pthread_mutex_unlock(&watch.lock);
}
