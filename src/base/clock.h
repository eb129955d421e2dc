/*
 * Time: nanoseconds of the monotonic clock, and deadlines made of time-outs; and a clock for shared
 * memory.
 */
#ifndef TG_BASE_CLOCK_H
#define TG_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define TG_NEVER INT64_MAX /* a deadline that does not come */

static inline int64_t tg_now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/*
 * The clock of times that stand in shared memory: it goes on while the machine sleeps, so that what
 * expires in a minute is not delivered an hour later, and nobody can set it.
 */
static inline int64_t tg_boot_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* When a call's time is over. A time-out of 0 needs no clock and gives 0, which is past. */
static inline int64_t tg_deadline(int64_t timeout_ns)
{
    if (timeout_ns < 0) {
        return TG_NEVER;
    }
    if (timeout_ns == 0) {
        return 0;
    }
    const int64_t now = tg_now_ns();
    return timeout_ns >= TG_NEVER - now ? TG_NEVER : now + timeout_ns;
}

static inline bool tg_is_over(int64_t deadline_ns)
{
    return deadline_ns != TG_NEVER && (deadline_ns == 0 || tg_now_ns() >= deadline_ns);
}

#endif
