/*
 * The token: a lock that is taken from a dead holder.
 *
 *   word                                   means
 *   0                                      free
 *   holder                                 held by the process with that record number
 *   holder | WAITERS                       and somebody sleeps for it
 *   holder | PENDING                       and it shall collect before it lets go (mailboxes)
 *
 * I1  Only compare-and-swap changes it, and a thief swaps the very word it read and judged. Record
 *     numbers are never given twice, so a word whose holder was dead can only be stolen once.
 * I2  WAITERS is kept by a thief: whoever it stood for sleeps still.
 * I3  A sleeper waits on the low half of the word and on the holder's life word, so that neither
 *     an unlock nor a death is missed. Killed between an unlock and its wake-up, the waker is
 *     seen dead by the same life word.
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>

#include "base/clock.h"
#include "region/region.h"

#define SPINS 64

static const tg_a32 *low_half(const tg_a64 *token)
{
    return (const tg_a32 *)(const void *)token;
}

/* One look: 0 taken, 1 stolen, -EAGAIN held by somebody alive; *ret_seen is what stands there. */
static int try_take(tg_a64 *token, struct tg_root *root, uint64_t me, uint32_t uid,
                    uint64_t *ret_seen)
{
    uint64_t seen = tg_load_acquire(token);
    for (;;) {
        const uint64_t holder = seen & ~TG_TOKEN_FLAGS;
        if (holder == 0) {
            if (tg_cas(token, &seen, me)) {
                return 0;
            }
        } else if (holder != me && !tg_life_is_alive_of(root, holder, uid)) {
            /* PENDING falls: the thief repairs and collects anyway. WAITERS stays (I2). */
            if (tg_cas(token, &seen, me | (seen & TG_TOKEN_WAITERS))) {
                tg_life_wake_watchers(root, holder);
                return 1;
            }
        } else {
            *ret_seen = seen;
            return -EAGAIN;
        }
    }
}

static int spin(tg_a64 *token, struct tg_root *root, uint64_t me, uint32_t uid, uint64_t *ret_seen)
{
    for (int i = 0; i < SPINS; i++) {
        if ((tg_load_relaxed(token) & ~TG_TOKEN_FLAGS) == 0) {
            break;
        }
        tg_pause();
    }
    int r = try_take(token, root, me, uid, ret_seen);
    if (r == -EAGAIN) {
        /* The holder may have been put off this very processor. */
        (void)sched_yield();
        r = try_take(token, root, me, uid, ret_seen);
    }
    return r;
}

/* The sleep of I3. */
static int sleep_for(tg_a64 *token, struct tg_root *root, uint32_t uid, uint64_t seen,
                     int64_t deadline_ns, const tg_a32 *end, uint32_t end_seen)
{
    if ((seen & TG_TOKEN_WAITERS) == 0) {
        if (!tg_cas(token, &seen, seen | TG_TOKEN_WAITERS)) {
            return 0;
        }
        seen |= TG_TOKEN_WAITERS;
    }
    struct tg_waitset set;
    tg_waitset_clear(&set);
    tg_waitset_add(&set, low_half(token), (uint32_t)seen);
    if (end != NULL) {
        tg_waitset_add(&set, end, end_seen);
    }
    tg_life_watch_begin(root);
    int r = 0;
    if (tg_life_watch_of(root, seen & ~TG_TOKEN_FLAGS, uid, &set)) {
        const int64_t piece = tg_now_ns() + tg_backstop_ns(0);
        r = tg_waitset_sleep(&set, piece < deadline_ns ? piece : deadline_ns);
        tg_life_pass_on(&set);
    }
    tg_life_watch_end(root);
    return r == -EINTR ? r : 0;
}

int tg_token_lock_slow(tg_a64 *token, struct tg_root *root, uint64_t me, uint32_t uid,
                       int64_t deadline_ns, const tg_a32 *end, uint32_t end_seen)
{
    tg_life_renew(root);
    for (;;) {
        uint64_t seen = 0;
        int r = spin(token, root, me, uid, &seen);
        if (r >= 0) {
            return r;
        }
        if (end != NULL && tg_load_acquire(end) != end_seen) {
            return -EIDRM;
        }
        if (tg_is_over(deadline_ns)) {
            return deadline_ns == 0 ? -EAGAIN : -ETIMEDOUT;
        }
        r = sleep_for(token, root, uid, seen, deadline_ns, end, end_seen);
        if (r < 0) {
            return r;
        }
    }
}

bool tg_token_unlock_slow(tg_a64 *token)
{
    uint64_t seen = tg_load_relaxed(token);
    for (;;) {
        if ((seen & TG_TOKEN_PENDING) != 0) {
            if (tg_cas(token, &seen, seen & ~(uint64_t)TG_TOKEN_PENDING)) {
                return false;
            }
        } else if (tg_cas(token, &seen, UINT64_C(0))) {
            if ((seen & TG_TOKEN_WAITERS) != 0) {
                tg_sys_futex_wake(low_half(token), INT_MAX);
            }
            return true;
        }
    }
}

/* A record number that no process ever has: see make_record in life.c. */
#define NOBODY UINT64_C(16)

void tg_token_leave(tg_a64 *token)
{
    (void)tg_exchange(token, NOBODY);
    tg_sys_futex_wake(low_half(token), INT_MAX);
}
