/*
 * The numbered crash points are all there are.
 *
 * A victim is stepped through each operation, and behind each instruction all files of the mailboxes'
 * folder are held against what they were. Between two points at most one protocol word may change, and
 * at most one system call may be made: then a kill at every point leaves every state of the shared bytes
 * that a kill at any instruction could leave, and kill_test.c's finding no more is no luck.
 *
 * Not counted as a change: the copying of a payload into a place that no word speaks of yet. It is what
 * an instruction outside of this program's own text (memcpy of the C library) changes behind the table
 * of a link.
 *
 * Helpers are stopped while the victim is stepped, so that what changes is its doing. Here the library
 * has its points; whether it is optimised depends on the build.
 */
#include "scenes.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#include "link/link_layout.h"
#include "watch.h"

#define MOST 8u

/* The program's own text. */
extern const char __executable_start[];
extern const char etext[];

struct search {
    struct step_case victim;
    struct watch watch;
    bool fresh; /* a point was passed, and nothing has happened since */
    uint32_t points;
    uint32_t stores;
    uint32_t calls;
    uint32_t faults;
};

static struct search search;

/* ---- what does not count */

/* System calls that change nothing anybody else could see. */
static bool is_private(long nr)
{
    static const long calls[] = { SYS_getpid,  SYS_gettid,        SYS_getuid,
                                  SYS_geteuid, SYS_getegid,       SYS_getgid,
                                  SYS_brk,     SYS_clock_gettime, SYS_rt_sigprocmask,
                                  SYS_madvise, SYS_sched_yield };
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls)[0]; i++) {
        if (calls[i] == nr) {
            return true;
        }
    }
    return false;
}

static bool is_payload(const struct watch_change *change, uint64_t ip)
{
    const bool outside = ip < (uintptr_t)__executable_start || ip >= (uintptr_t)etext;
    return outside &&
           strncmp(change->file->name, CRASH_NAME "/link.", sizeof(CRASH_NAME) + 5) == 0 &&
           change->offset >= TG_LINK_DATA_PAGE * 4096u;
}

/* ---- the others stand still */

static void hold(const struct crash_stage *s)
{
    for (int i = 0; i < 2; i++) {
        const pid_t pid = s->helper[i].pid;
        siginfo_t info;
        if (pid != 0) {
            kit_ok(kill(pid, SIGSTOP));
            kit_ok(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT));
        }
    }
}

static void let(const struct crash_stage *s)
{
    for (int i = 0; i < 2; i++) {
        if (s->helper[i].pid != 0) {
            kit_ok(kill(s->helper[i].pid, SIGCONT));
        }
    }
}

/* ---- one instruction */

static void fault(const char *what, uint64_t ip, const struct watch_change *change)
{
    fprintf(stderr, "%s: %s by the instruction at +%#llx", kit_test_name, what,
            (unsigned long long)(ip - (uintptr_t)__executable_start));
    if (change != NULL) {
        fprintf(stderr, " (%s, offset %zu)", change->file->name, change->offset);
    }
    fputc('\n', stderr);
    search.faults++;
}

static void judge_stores(uint64_t ip)
{
    struct watch_change changes[MOST];
    const uint32_t n = watch_look(&search.watch, changes, MOST);
    const struct watch_change *first = NULL;
    for (uint32_t i = 0; i < n && i < MOST; i++) {
        if (is_payload(&changes[i], ip)) {
            continue;
        }
        search.stores++;
        if (first != NULL) {
            fault("a second word is changed", ip, &changes[i]);
        } else if (!search.fresh) {
            fault("a word is changed without a point", ip, &changes[i]);
        }
        first = &changes[i];
        search.fresh = false;
    }
}

static void judge_call(long nr, uint64_t ip)
{
    if (!is_private(nr)) {
        char what[64];
        snprintf(what, sizeof(what), "system call %ld is made without a point", nr);
        if (!search.fresh) {
            fault(what, ip, NULL);
        }
        search.fresh = false;
        search.calls++;
    }
    watch_refresh(&search.watch, kit_folder);
}

static void wake_up(struct step_case *victim)
{
    struct stepper *s = &victim->stepper;
    let(&victim->stage);
    if (!s->woken) {
        s->woken = true;
        s->wake(s->arg);
    }
    (void)step_awake(s);
    hold(&victim->stage);
}

static void look_at_one(struct stepper *s)
{
    const uint64_t ip = s->ip;
    if (ip == (uint64_t)(uintptr_t)tg_point_pass) {
        search.points++;
        search.fresh = true;
    }
    const long nr = step_is_syscall(s);
    if (step_one(s) == STEP_ASLEEP) {
        wake_up(&search.victim);
    }
    if (nr >= 0) {
        judge_call(nr, ip);
    } else {
        judge_stores(ip);
    }
}

/* ---- all */

static uint32_t look_at(const struct step_scene *scene, struct crash_world *world, unsigned variant)
{
    static char where[240];
    struct stepper *s = &search.victim.stepper;
    snprintf(where, sizeof(where), "%s, %s, variant %u", scene->crash.operation, scene->crash.role,
             variant);
    kit_test_name = where;
    search.points = 0;
    search.stores = 0;
    search.calls = 0;
    search.faults = 0;
    step_case_begin(&search.victim, scene, world, variant);
    hold(&search.victim.stage);
    while (step_to_call(s) == STEP_STOPPED) {
        watch_refresh(&search.watch, kit_folder);
        search.fresh = false;
        while (s->frame != 0) {
            look_at_one(s);
        }
    }
    watch_close(&search.watch);
    let(&search.victim.stage);
    kit_true(step_release(s));
    step_case_end(&search.victim);
    printf("%s: %u points, %u stores, %u system calls, %u without a point\n", where, search.points,
           search.stores, search.calls, search.faults);
    if (search.points == 0) {
        kit_fail("no point was passed");
    }
    return search.faults;
}

static void no_shared_byte_changes_without_a_point(void)
{
    const char *only = getenv("STEP_SCENE");
    struct crash_world *world = kit_shared(sizeof(*world));
    uint32_t faults = 0;
    step_prepare();
    setenv("TONG_TEST_NO_BACKSTOP", "1", 1);
    for (uint32_t i = 0; i < step_n_scenes; i++) {
        if (only == NULL || strtoul(only, NULL, 10) == i) {
            faults += look_at(&step_scenes[i], world, 0);
            faults += look_at(&step_scenes[i], world, 1);
        }
    }
    kit_equal(faults, 0);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(no_shared_byte_changes_without_a_point, 240),
};

KIT_MAIN(tests)
