#include "base/waitset.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sys.h"

/* The kernel's struct futex_waitv, which older headers lack. */
struct waitv {
    uint64_t val;
    uint64_t uaddr;
    uint32_t flags;
    uint32_t reserved;
};

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#define WAITV_U32 2u

#define SOON_NS INT64_C(1000000)
#define ORPHANS_NS INT64_C(50000000)

int tg_waitset_word_changed(const struct tg_waitset *set, uint32_t i)
{
    if (set->foreign[i]) {
        return tg_sys_futex_probe(set->word[i], set->seen[i]) != 0;
    }
    return tg_load_acquire(set->word[i]) != set->seen[i];
}

int tg_waitset_changed(const struct tg_waitset *set)
{
    for (uint32_t i = 0; i < set->n; i++) {
        if (tg_waitset_word_changed(set, i)) {
            return 1;
        }
    }
    return 0;
}

/* Without futex_waitv (before Linux 5.16, or forbidden) the first word is slept on in short
 * pieces, and the others are looked at between them. */
static int sleep_in_pieces(const struct tg_waitset *set, int64_t deadline_ns)
{
    for (;;) {
        if (tg_waitset_changed(set)) {
            return 0;
        }
        const int64_t piece = tg_now_ns() + 5000000;
        const int64_t until = piece < deadline_ns ? piece : deadline_ns;
        const int r = tg_sys_futex_wait(set->word[0], set->seen[0], until);
        if (r != -ETIMEDOUT || until == deadline_ns) {
            return r;
        }
    }
}

static int sleep_on_all(const struct tg_waitset *set, int64_t deadline_ns)
{
    if (set->n == 1) {
        return tg_sys_futex_wait(set->word[0], set->seen[0], deadline_ns);
    }
    struct waitv words[TG_WAITSET_MAX];
    for (uint32_t i = 0; i < set->n; i++) {
        words[i] = (struct waitv){ .val = set->seen[i],
                                   .uaddr = (uintptr_t)set->word[i],
                                   .flags = WAITV_U32 };
    }
    const struct timespec at = { .tv_sec = deadline_ns / 1000000000,
                                 .tv_nsec = deadline_ns % 1000000000 };
    const long r = tg_call(syscall(SYS_futex_waitv, words, set->n, 0,
                                   deadline_ns == TG_NEVER ? NULL : &at, CLOCK_MONOTONIC));
    if (r >= 0) {
        return 0;
    }
    if (errno == ENOSYS || errno == EPERM) {
        return sleep_in_pieces(set, deadline_ns);
    }
    if (errno == ENOMEM) {
        return tg_sys_futex_pause(deadline_ns);
    }
    return errno == ETIMEDOUT || errno == EINTR ? -errno : 0;
}

int tg_waitset_sleep(const struct tg_waitset *set, int64_t deadline_ns)
{
    if (set->soon || set->orphans) {
        const int64_t again = tg_now_ns() + (set->soon ? SOON_NS : ORPHANS_NS);
        const int r = sleep_on_all(set, again < deadline_ns ? again : deadline_ns);
        return r == -ETIMEDOUT && again < deadline_ns ? 0 : r;
    }
    return sleep_on_all(set, deadline_ns);
}

int64_t tg_backstop_ns(uint32_t nth)
{
#if defined(TONG_POINTS) && TONG_POINTS
    if (getenv("TONG_TEST_NO_BACKSTOP") != NULL) {
        return TG_NEVER / 2;
    }
    const char *ms = getenv("TONG_TEST_BACKSTOP_MS");
    if (ms != NULL) {
        return INT64_C(1000000) * atoi(ms);
    }
#endif
    return INT64_C(1000000000) << (nth < 3 ? nth : 3);
}
