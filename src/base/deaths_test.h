/*
 * What all crash tests share: which process is killed where.
 *
 * A scene is one operation in one role. A case of it kills the victim at its n-th crash point, and
 * with m > 0 a second one, which repairs what the first left, at its m-th.
 *
 *   points      m = 0, every n; TONG_TEST_LONG=1 in every variant of the scene, otherwise every n in
 *               one variant, in turn (every third n under a sanitizer, and every TONG_TEST_EVERY-th
 *               where that is set: a fork is slow there; KIT_SEED says which)
 *   two deaths  the short form takes one m for each n; the long form takes pairs in an order without
 *               pattern until all are done or CRASH_SECONDS (2) are over
 *
 * CRASH_KIND=points or deaths takes one of the two. CRASH_AT=n or n.m, with CRASH_VARIANT, does one
 * case again: a failure names it..
 */
#ifndef TG_BASE_DEATHS_TEST_H
#define TG_BASE_DEATHS_TEST_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/point.h"
#include "kit.h"
#include "kit_private.h"

#define CRASH_POINTS_MOST 4000u
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define CRASH_STRIDE 3u
#else
#define CRASH_STRIDE 1u
#endif

/* One case: what is asked, and what became of it. */
struct crash_case {
    unsigned long n;
    unsigned long m;
    unsigned variant;
    bool killed;
    bool second_killed;
    uint64_t points; /* passed by the victim, if it was not killed */
    uint64_t second_points;
};

struct crash_run {
    const char *operation; /* the calls of tong.h that the victim is inside of, with spaces */
    const char *role;      /* what it is, and in which state: see tests/crash/operations */
    unsigned variants;
    void (*once)(struct crash_run *run, struct crash_case *c);
    const void *scene;
    void *world;
    /* counted */
    const char *test;
    uint64_t points; /* the most that one case had */
    uint64_t second_points;
    uint64_t kills;
};

static inline bool crash_long(void)
{
    const char *text = getenv("TONG_TEST_LONG");
    return text != NULL && text[0] == '1';
}

/* The short form takes every so many-th point. */
static inline unsigned long crash_stride(void)
{
    return crash_long() ? 1 : CRASH_STRIDE * kit_count("TONG_TEST_EVERY", 1);
}

static inline bool crash_wants(const char *kind)
{
    const char *text = getenv("CRASH_KIND");
    return text == NULL || text[0] == '\0' || strcmp(text, kind) == 0;
}

/* Whether the child was killed; it must not have failed by itself. */
static inline bool crash_dies(struct kit_child *child)
{
    const int status = kit_join_status(child);
    const bool killed = WIFSIGNALED(status);
    if (killed ? WTERMSIG(status) != SIGKILL : WEXITSTATUS(status) != 0) {
        kit_fail("the victim failed by itself (status 0x%x)", status);
    }
    return killed;
}

/* True if the victim was killed; false: the operation has fewer points. */
static inline bool crash_do(struct crash_run *run, unsigned long n, unsigned long m,
                            unsigned variant)
{
    static char where[160];
    struct crash_case c = { .n = n, .m = m, .variant = variant };
    if (n > CRASH_POINTS_MOST && m == 0) {
        kit_fail("the operation does not end after %u points", CRASH_POINTS_MOST);
    }
    snprintf(where, sizeof(where), "%s: CRASH_AT=%lu.%lu CRASH_VARIANT=%u", run->test, n, m,
             variant);
    kit_test_name = where; /* what fails says at which point */
    run->once(run, &c);
    run->points = c.points > run->points ? c.points : run->points;
    run->second_points =
        c.second_points > run->second_points ? c.second_points : run->second_points;
    run->kills += c.killed + (uint64_t)c.second_killed;
    return c.killed;
}

static inline void crash_say(const struct crash_run *run, const char *kind, uint64_t points,
                             int64_t began_ns)
{
    const struct kit_deaths deaths = { .operation = run->operation,
                                       .role = run->role,
                                       .kind = kind,
                                       .points = points,
                                       .kills = run->kills };
    printf("%s | %s | %s: %llu points, %llu kills\n", deaths.operation, deaths.role, kind,
           (unsigned long long)points, (unsigned long long)run->kills);
    kit_account(&deaths, began_ns);
}

static inline void crash_points(struct crash_run *run)
{
    const int64_t began_ns = kit_now_ns();
    const unsigned long stride = crash_stride();
    const unsigned long step = crash_long() ? 1 : stride * run->variants;
    const unsigned long phase = kit_seed() % stride;
    for (unsigned variant = 0; variant < run->variants; variant++) {
        unsigned long n = step == 1 ? 1 : 1 + phase + variant * stride;
        while (crash_do(run, n, 0, variant)) {
            n += step;
        }
    }
    if (run->kills == 0) {
        (void)crash_do(run, 1, 0, 0); /* so few points that the stride went past them */
    }
    crash_say(run, "points", run->points, began_ns);
}

/* The i-th of n numbers in an order without pattern, each once; n below 2^31. */
static inline uint64_t crash_shuffled(uint64_t i, uint64_t n)
{
    return i * (UINT64_C(2654435761) % n) % n; /* a prime that does not divide n */
}

/* Cases in which nobody is killed say how many points there are. */
static inline void crash_measure(struct crash_run *run)
{
    for (unsigned variant = 0; variant < run->variants; variant++) {
        (void)crash_do(run, CRASH_POINTS_MOST, CRASH_POINTS_MOST, variant);
    }
    if (run->points == 0 || run->second_points == 0) {
        kit_fail("%s has no points, or its second victim has none", run->role);
    }
}

static inline void crash_two_deaths(struct crash_run *run)
{
    const int64_t began_ns = kit_now_ns();
    run->kills = 0;
    crash_measure(run);
    const unsigned variants = run->variants;
    const uint64_t pairs = run->points * run->second_points * variants;
    const int64_t end_ns = began_ns + TONG_SEC(1) * (int64_t)kit_count("CRASH_SECONDS", 2);
    if (crash_long()) {
        /* Another run begins elsewhere. */
        for (uint64_t i = 0; i < pairs && kit_now_ns() < end_ns; i++) {
            const uint64_t pair = crash_shuffled(i + kit_seed() % pairs, pairs);
            const uint64_t both = pair / variants;
            (void)crash_do(run, 1 + both % run->points, 1 + both / run->points,
                           (unsigned)(pair % variants));
        }
    } else {
        for (uint64_t n = 1; n <= run->points; n += crash_stride()) {
            (void)crash_do(run, n, 1 + crash_shuffled(n + kit_seed() % 65536, run->second_points),
                           (unsigned)((kit_seed() + n) % variants));
        }
    }
    crash_say(run, "two deaths", pairs, began_ns);
}

static inline void crash_again(struct crash_run *run, const char *at)
{
    unsigned long n = 0;
    unsigned long m = 0;
    const char *variant = getenv("CRASH_VARIANT");
    if (sscanf(at, "%lu.%lu", &n, &m) < 1 || n == 0) {
        kit_fail("CRASH_AT=%s is not n or n.m", at);
    }
    (void)crash_do(run, n, m,
                   variant != NULL ? (unsigned)strtoul(variant, NULL, 10) % run->variants : 0);
    printf("%s: %llu kills\n", kit_test_name, (unsigned long long)run->kills);
}

static inline void crash_run_all(struct crash_run *run)
{
    setenv("TONG_TEST_NO_BACKSTOP", "1", 1);
    run->test = kit_test_name;
    if (getenv("CRASH_AT") != NULL) {
        crash_again(run, getenv("CRASH_AT"));
        return;
    }
    if (crash_wants("points")) {
        crash_points(run);
    }
    if (crash_wants("deaths")) {
        crash_two_deaths(run);
    }
}

#endif
