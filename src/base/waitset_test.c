/* Sleeping on several words: one, many, changed before, a time-out, a signal, soon. */
#include "base/waitset.h"

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sys.h"
#include "kit.h"

static void at_most_128_words_and_no_null(void)
{
    static tg_a32 words[TG_WAITSET_MAX + 10];
    struct tg_waitset set;
    tg_waitset_clear(&set);
    tg_waitset_add(&set, NULL, 0);
    kit_equal(set.n, 0);
    for (size_t i = 0; i < TG_WAITSET_MAX + 10; i++) {
        tg_waitset_add(&set, &words[i], 0);
    }
    kit_equal(set.n, TG_WAITSET_MAX);
    kit_gives(tg_waitset_sleep(&set, tg_deadline(1)), -ETIMEDOUT);
    tg_waitset_clear(&set);
    kit_equal(set.n, 0);
}

/* n words of which the given one is not as it was seen: the sleep does not begin. */
static void changed_before(uint32_t n, uint32_t which)
{
    static tg_a32 words[TG_WAITSET_MAX];
    struct tg_waitset set;
    tg_waitset_clear(&set);
    for (uint32_t i = 0; i < n; i++) {
        tg_waitset_add(&set, &words[i], i == which ? 77 : 0);
    }
    kit_true(tg_waitset_changed(&set));
    kit_ok(tg_waitset_sleep(&set, TG_NEVER));
}

static void a_word_changed_before_ends_the_sleep_at_once(void)
{
    changed_before(1, 0);
    changed_before(2, 0);
    changed_before(2, 1);
    changed_before(TG_WAITSET_MAX, 0);
    changed_before(TG_WAITSET_MAX, TG_WAITSET_MAX - 1);
}

static void without_a_change_the_time_runs_out(void)
{
    static tg_a32 words[3];
    for (uint32_t n = 1; n <= 3; n++) {
        struct tg_waitset set;
        tg_waitset_clear(&set);
        for (uint32_t i = 0; i < n; i++) {
            tg_waitset_add(&set, &words[i], 0);
        }
        const int64_t deadline = tg_deadline(TONG_MS(2));
        kit_true(!tg_waitset_changed(&set));
        kit_gives(tg_waitset_sleep(&set, deadline), -ETIMEDOUT);
        kit_true(tg_now_ns() >= deadline);
        kit_gives(tg_waitset_sleep(&set, 0), -ETIMEDOUT); /* long past */
    }
}

/* ---- woken by another process */

struct nap {
    tg_a32 word[4];
    kit_event woken;
    uint32_t n;
    uint32_t which;
};

static int sleeper(void *arg)
{
    struct nap *nap = arg;
    struct tg_waitset set;
    tg_waitset_clear(&set);
    for (uint32_t i = 0; i < nap->n; i++) {
        tg_waitset_add(&set, &nap->word[i], 0);
    }
    /* Whatever ends it early, it must not return before the word has changed. */
    while (!tg_waitset_changed(&set)) {
        kit_ok(tg_waitset_sleep(&set, TG_NEVER));
    }
    kit_event_set(&nap->woken);
    return 0;
}

static void a_wake_of_any_word_ends_the_sleep(void)
{
    for (uint32_t n = 1; n <= 4; n++) {
        for (uint32_t which = 0; which < n; which++) {
            struct nap *nap = kit_shared(sizeof(*nap));
            nap->n = n;
            struct kit_child child = kit_spawn(sleeper, nap);
            kit_until(kit_sleeps(child.pid));
            (void)tg_add(&nap->word[which], 1);
            tg_sys_futex_wake(&nap->word[which], INT_MAX);
            kit_event_wait(&nap->woken);
            kit_join(&child);
        }
    }
}

/* ---- a signal handler */

static void on_signal(int number)
{
    (void)number;
}

static int interrupted(void *arg)
{
    const struct nap *nap = arg;
    struct tg_waitset set;
    struct sigaction action = { .sa_handler = on_signal };
    kit_ok(sigaction(SIGUSR1, &action, NULL));
    tg_waitset_clear(&set);
    for (uint32_t i = 0; i < nap->n; i++) {
        tg_waitset_add(&set, &nap->word[i], 0);
    }
    kit_report("r", 1);
    kit_gives(tg_waitset_sleep(&set, tg_deadline(KIT_PATIENCE)), -EINTR);
    return 0;
}

static void a_signal_handler_ends_the_sleep(void)
{
    for (uint32_t n = 1; n <= 2; n++) {
        struct nap *nap = kit_shared(sizeof(*nap));
        char ready;
        nap->n = n;
        struct kit_child child = kit_spawn(interrupted, nap);
        kit_read_report(&child, &ready, 1);
        kit_until(kit_sleeps(child.pid));
        kit_ok(kill(child.pid, SIGUSR1));
        kit_join(&child);
    }
}

/* ---- without futex_waitv */

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

/* From now on the call answers this error, as an old kernel or a container makes it. */
static bool forbid_waitv(uint32_t error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex_waitv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { .len = 4, .filter = code };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
           syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) < 0 && errno == (int)error;
}

struct forbidden {
    struct nap *nap;
    uint32_t error;
};

static int sleeps_without_waitv(void *arg)
{
    const struct forbidden *forbidden = arg;
    const char can = forbid_waitv(forbidden->error) ? 'y' : 'n';
    kit_report(&can, 1);
    return can == 'y' ? sleeper(forbidden->nap) : 0;
}

static void without_waitv_every_word_ends_the_sleep_all_the_same(void)
{
    static const uint32_t errors[] = { ENOSYS, EPERM };
    for (uint32_t k = 0; k < 4; k++) {
        struct forbidden forbidden = { kit_shared(sizeof(struct nap)), errors[k % 2] };
        char can;
        forbidden.nap->n = 2;
        struct kit_child child = kit_spawn(sleeps_without_waitv, &forbidden);
        kit_read_report(&child, &can, 1);
        if (can != 'y') {
            kit_join(&child);
            kit_skip("a process may not forbid itself system calls here");
        }
        kit_until(kit_sleeps(child.pid));
        (void)tg_add(&forbidden.nap->word[k / 2], 1);
        tg_sys_futex_wake(&forbidden.nap->word[k / 2], INT_MAX);
        kit_event_wait(&forbidden.nap->woken);
        kit_join(&child);
    }
}

static int times_out_without_waitv(void *arg)
{
    const struct forbidden *forbidden = arg;
    struct tg_waitset set;
    if (!forbid_waitv(forbidden->error)) {
        return 0; /* the test above says so */
    }
    tg_waitset_clear(&set);
    tg_waitset_add(&set, &forbidden->nap->word[0], 0);
    tg_waitset_add(&set, &forbidden->nap->word[1], 0);
    const int64_t deadline = tg_deadline(TONG_MS(12)); /* more than one piece */
    kit_gives(tg_waitset_sleep(&set, deadline), -ETIMEDOUT);
    kit_true(tg_now_ns() >= deadline);
    return 0;
}

static void without_waitv_the_time_runs_out_all_the_same(void)
{
    struct forbidden forbidden = { kit_shared(sizeof(struct nap)), ENOSYS };
    struct kit_child child = kit_spawn(times_out_without_waitv, &forbidden);
    kit_join(&child);
}

/* ---- soon */

static void soon_ends_the_sleep_without_a_word(void)
{
    static tg_a32 word;
    struct tg_waitset set;
    tg_waitset_clear(&set);
    tg_waitset_add(&set, &word, 0);
    set.soon = true;
    kit_ok(tg_waitset_sleep(&set, TG_NEVER)); /* else it sleeps for ever */
    kit_gives(tg_waitset_sleep(&set, 0), -ETIMEDOUT);
}

static const struct kit_test tests[] = {
    KIT_TEST(at_most_128_words_and_no_null),
    KIT_TEST(a_word_changed_before_ends_the_sleep_at_once),
    KIT_TEST(without_a_change_the_time_runs_out),
    KIT_TEST(a_wake_of_any_word_ends_the_sleep),
    KIT_TEST(a_signal_handler_ends_the_sleep),
    KIT_TEST(without_waitv_every_word_ends_the_sleep_all_the_same),
    KIT_TEST(without_waitv_the_time_runs_out_all_the_same),
    KIT_TEST(soon_ends_the_sleep_without_a_word),
};

KIT_MAIN(tests)
