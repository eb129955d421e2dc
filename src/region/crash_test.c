/*
 * A process is killed at every crash point of what it does with a named region, and a second one
 * while it uses what the first left: whoever comes then finds the region whole or not at all, gets
 * the lock, and after its end nothing is left.
 *
 * In variant 1 the survivor has the region mapped before the death, in variant 0 it comes after.
 */
#include "region/region.h"

#include <errno.h>
#include <unistd.h>

#include "base/deaths_test.h"
#include "kit.h"
#include "kit_private.h"

#define NAME "memory"
#define SIZE 10000u
#define USE (TONG_READ | TONG_WRITE)

struct log {
    _Atomic uint32_t points[2];
    _Atomic int32_t answer; /* of the other one */
    kit_event waits;
    kit_event go;
};

struct stage {
    const struct scene *scene;
    struct log *log;
    struct crash_case *c;
    tong_region *mine;
    tong_region *kept; /* the survivor's */
    struct kit_child other;
};

struct scene {
    const char *operation;
    const char *role;
    bool absent; /* nothing is there before */
    bool gone;   /* it ends the region */
    void (*before)(struct stage *);
    kit_child_fn *other;           /* somebody else, asleep or waiting before the victim acts */
    void (*ready)(struct stage *); /* safe */
    void (*act)(struct stage *);   /* killed inside */
    void (*meanwhile)(struct stage *, struct kit_child *victim);
    void (*finish)(struct stage *);
};

static tong_region *open_region(unsigned flags)
{
    tong_region *region = NULL;
    kit_ok(tong_region_open(NAME, SIZE, flags, NULL, &region));
    return region;
}

static tong_region *make_owned(void)
{
    tong_region *region = NULL;
    tong_region_options options = TONG_REGION_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    kit_ok(tong_region_open(NAME, SIZE, USE | TONG_CREATE, &options, &region));
    return region;
}

static bool has_ended(const struct kit_child *child)
{
    siginfo_t info = { .si_pid = 0 };
    kit_ok(waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT));
    return info.si_pid != 0;
}

/* ---- one case */

static int victim(void *arg)
{
    struct stage *s = arg;
    if (s->scene->ready != NULL) {
        s->scene->ready(s);
    }
    tg_point_arm(s->c->n);
    s->scene->act(s);
    atomic_store(&s->log->points[0], (uint32_t)tg_point_count());
    tg_point_arm(0);
    fflush(NULL);
    _exit(0);
}

/* Come, use it, go, and clear away. */
static int second_victim(void *arg)
{
    struct stage *s = arg;
    tong_region *region = NULL;
    tg_point_arm(s->c->m);
    if (tong_region_open(NAME, 0, USE, NULL, &region) == 0) {
        if (tong_region_lock(region, 0) >= 0) {
            (void)tong_region_notify(region);
            (void)tong_region_unlock(region);
        }
        (void)tong_region_lock(region, 0);
    }
    (void)tong_region_close(region); /* locked */
    (void)tong_doctor(1, kit_ignore_finding, NULL);
    atomic_store(&s->log->points[1], (uint32_t)tg_point_count());
    tg_point_arm(0);
    fflush(NULL);
    _exit(0);
}

/* Everything works, for whoever comes. */
static void is_whole(struct stage *s)
{
    tong_region *region = s->kept;
    s->kept = NULL;
    if (region == NULL) {
        const int r = tong_region_open(NAME, SIZE, USE, NULL, &region);
        if (r != 0) {
            kit_gives(r, -ENOENT);
            region = open_region(USE | TONG_CREATE | TONG_EXCL);
        }
    }
    kit_equal(tong_region_size(region), SIZE);
    uint8_t *data = tong_region_data(region);
    memset(data, 7, SIZE);
    const int r = tong_region_lock(region, KIT_PATIENCE);
    kit_true(r == 0 || r == TONG_RECOVERED);
    kit_ok(tong_region_unlock(region));
    kit_ok(tong_region_lock(region, 0));
    kit_ok(tong_region_unlock(region));
    uint32_t seen = 0;
    kit_ok(tong_region_notify(region));
    kit_ok(tong_region_wait(region, &seen, KIT_PATIENCE));
    kit_gives(tong_region_wait(region, &seen, 0), -EAGAIN);
    kit_ok(tong_region_close(region));
}

static void nothing_is_left(void)
{
    tong_region *region = NULL;
    kit_gives(tong_region_open(NAME, 0, TONG_READ, NULL, &region), -ENOENT);
    /* A mailbox's close is a visit that clears away, too. */
    tong_mailbox *box = kit_create("visit", NULL);
    kit_ok(tong_close(box));
    kit_ok(tong_remove("visit"));
    if (strcmp(kit_entries(kit_path("")), ".life .lock .tmp") != 0 ||
        kit_entries(kit_path(".life"))[0] != '\0' || kit_entries(kit_path(".tmp"))[0] != '\0') {
        kit_fail("left: %s; in .tmp: %s", kit_entries(kit_path("")), kit_entries(kit_path(".tmp")));
    }
}

static void begin(struct stage *s)
{
    memset(s->log, 0, sizeof(*s->log));
    if (!s->scene->absent) {
        tong_region *region = open_region(USE | TONG_CREATE | TONG_EXCL);
        if (s->c->variant == 1) {
            s->kept = region;
        } else {
            kit_ok(tong_region_close(region));
        }
    }
    if (s->scene->before != NULL) {
        s->scene->before(s);
    }
    if (s->scene->other != NULL) {
        s->other = kit_spawn(s->scene->other, s);
        kit_event_wait(&s->log->waits);
        kit_until(kit_sleeps(s->other.pid));
    }
}

static void once(struct crash_run *run, struct crash_case *c)
{
    struct stage s = { .scene = run->scene, .log = run->world, .c = c };
    begin(&s);
    struct kit_child child = kit_spawn(victim, &s);
    if (s.scene->meanwhile != NULL) {
        s.scene->meanwhile(&s, &child);
    }
    c->killed = crash_dies(&child);
    if (c->m != 0) {
        child = kit_spawn(second_victim, &s);
        c->second_killed = crash_dies(&child);
    }
    if (s.scene->finish != NULL) {
        s.scene->finish(&s);
    }
    if (!s.scene->gone) {
        is_whole(&s);
        kit_ok(tong_region_remove(NAME));
    }
    kit_ok(tong_region_close(s.kept));
    nothing_is_left();
    c->points = atomic_load(&s.log->points[0]);
    c->second_points = atomic_load(&s.log->points[1]);
}

static void all(const struct scene *scene)
{
    struct crash_run run = { .operation = scene->operation,
                             .role = scene->role,
                             .variants = 2,
                             .once = once,
                             .scene = scene,
                             .world = kit_shared(sizeof(struct log)) };
    crash_run_all(&run);
}

/* ---- making and opening */

static void create(struct stage *s)
{
    s->mine = open_region(USE | TONG_CREATE);
}

static void a_region_is_made_whole_or_not_at_all(void)
{
    const struct scene scene = {
        .operation = "tong_region_open", .role = "creator", .absent = true, .act = create
    };
    all(&scene);
}

static void open_use_close(struct stage *s)
{
    create(s);
    kit_ok(tong_region_lock(s->mine, 0));
    kit_ok(tong_region_unlock(s->mine));
    kit_ok(tong_region_notify(s->mine));
    kit_ok(tong_region_lock(s->mine, 0));
    kit_ok(tong_region_close(s->mine)); /* locked */
}

static void who_uses_it_hinders_nobody(void)
{
    const struct scene scene = { .operation = "tong_region_open tong_region_lock "
                                              "tong_region_unlock tong_region_notify "
                                              "tong_region_close",
                                 .role = "opener, nobody else there",
                                 .act = open_use_close };
    all(&scene);
}

static int dying_owner(void *arg)
{
    (void)arg;
    kit_ok(tong_region_lock(make_owned(), 0));
    _exit(0);
}

static void owner_dies(struct stage *s)
{
    struct kit_child child = kit_spawn(dying_owner, s);
    kit_join(&child);
}

static void a_dead_one_is_replaced(void)
{
    const struct scene scene = { .operation = "tong_region_open",
                                 .role = "creator where a dead owner left one",
                                 .absent = true,
                                 .before = owner_dies,
                                 .act = create };
    all(&scene);
}

static void open_in_vain(struct stage *s)
{
    kit_gives(tong_region_open(NAME, 0, USE, NULL, &s->mine), -ENOENT);
}

static void a_dead_one_is_not_there(void)
{
    const struct scene scene = { .operation = "tong_region_open",
                                 .role = "opener where a dead owner left one",
                                 .absent = true,
                                 .before = owner_dies,
                                 .act = open_in_vain };
    all(&scene);
}

/* ---- the lock */

static int waits_for_the_lock(void *arg)
{
    struct stage *s = arg;
    tong_region *region = open_region(USE);
    kit_event_set(&s->log->waits);
    uint32_t seen = 0;
    /* The victim has the lock when it notifies. */
    kit_ok(tong_region_wait(region, &seen, KIT_PATIENCE));
    const int r = tong_region_lock(region, KIT_PATIENCE);
    kit_true(r == 0 || r == TONG_RECOVERED);
    kit_ok(tong_region_unlock(region));
    kit_ok(tong_region_close(region));
    return 0;
}

static void hold(struct stage *s)
{
    create(s);
    kit_ok(tong_region_lock(s->mine, KIT_PATIENCE));
    kit_ok(tong_region_notify(s->mine)); /* now the other one wants it */
    kit_until(kit_sleeps(s->other.pid));
}

static void give_it_back(struct stage *s)
{
    kit_ok(tong_region_unlock(s->mine));
    kit_ok(tong_region_lock(s->mine, KIT_PATIENCE));
    kit_ok(tong_region_close(s->mine));
}

static void other_ends(struct stage *s)
{
    kit_join(&s->other);
}

static void who_waits_for_the_lock_gets_it(void)
{
    const struct scene scene = { .operation = "tong_region_unlock tong_region_lock "
                                              "tong_region_close",
                                 .role = "lock holder, another one waits for the lock",
                                 .other = waits_for_the_lock,
                                 .ready = hold,
                                 .act = give_it_back,
                                 .finish = other_ends };
    all(&scene);
}

static int dying_holder(void *arg)
{
    (void)arg;
    kit_ok(tong_region_lock(open_region(USE), 0));
    _exit(0);
}

static void holder_dies(struct stage *s)
{
    struct kit_child child = kit_spawn(dying_holder, s);
    kit_join(&child);
}

static void lock_after_a_death(struct stage *s)
{
    s->mine = open_region(USE);
    kit_gives(tong_region_lock(s->mine, 0), TONG_RECOVERED);
    kit_ok(tong_region_unlock(s->mine));
}

static void a_dead_holders_lock_is_taken(void)
{
    const struct scene scene = { .operation = "tong_region_lock tong_region_unlock",
                                 .role = "locker after a dead holder",
                                 .before = holder_dies,
                                 .act = lock_after_a_death };
    all(&scene);
}

/* Holds the lock until it is told to go. */
static int holds_the_lock(void *arg)
{
    struct stage *s = arg;
    tong_region *region = open_region(USE);
    kit_ok(tong_region_lock(region, 0));
    kit_event_set(&s->log->waits);
    kit_event_wait(&s->log->go);
    kit_ok(tong_region_unlock(region));
    kit_ok(tong_region_close(region));
    return 0;
}

static void open_it(struct stage *s)
{
    s->mine = open_region(USE);
}

static void lock_waiting(struct stage *s)
{
    kit_ok(tong_region_lock(s->mine, TONG_FOREVER));
    kit_ok(tong_region_unlock(s->mine));
}

static void let_the_holder_go(struct stage *s, struct kit_child *child)
{
    kit_until(has_ended(child) || kit_sleeps(child->pid));
    kit_event_set(&s->log->go);
}

static void who_waits_for_the_lock_may_die(void)
{
    const struct scene scene = { .operation = "tong_region_lock tong_region_unlock",
                                 .role = "locker that waits",
                                 .other = holds_the_lock,
                                 .ready = open_it,
                                 .act = lock_waiting,
                                 .meanwhile = let_the_holder_go,
                                 .finish = other_ends };
    all(&scene);
}

static void lock_in_vain(struct stage *s)
{
    kit_gives(tong_region_lock(s->mine, TONG_MS(1)), -ETIMEDOUT);
}

static void holder_goes(struct stage *s)
{
    kit_event_set(&s->log->go);
    kit_join(&s->other);
}

static void who_gives_up_the_lock_may_die(void)
{
    const struct scene scene = { .operation = "tong_region_lock",
                                 .role = "locker that times out",
                                 .other = holds_the_lock,
                                 .ready = open_it,
                                 .act = lock_in_vain,
                                 .finish = holder_goes };
    all(&scene);
}

/* ---- events */

static int waits_for_an_event(void *arg)
{
    struct stage *s = arg;
    tong_region *region = open_region(USE);
    uint32_t seen = 0;
    kit_event_set(&s->log->waits);
    atomic_store(&s->log->answer, tong_region_wait(region, &seen, TONG_FOREVER));
    kit_ok(tong_region_close(region));
    return 0;
}

static void notify(struct stage *s)
{
    kit_ok(tong_region_notify(s->mine));
}

/* Counting and waking are one step: an event that is counted wakes whoever waits for it, without a next. */
static void a_counted_event_wakes(struct stage *s)
{
    tong_region *region = open_region(USE);
    uint32_t seen = 0;
    if (tong_region_wait(region, &seen, 0) == -EAGAIN) {
        kit_true(s->c->killed);
        kit_ok(tong_region_notify(region));
    }
    kit_ok(tong_region_close(region));
    kit_join(&s->other);
    kit_gives(atomic_load(&s->log->answer), 0);
}

static void who_notifies_may_die(void)
{
    const struct scene scene = { .operation = "tong_region_notify",
                                 .role = "notifier, another one waits for an event",
                                 .other = waits_for_an_event,
                                 .ready = open_it,
                                 .act = notify,
                                 .finish = a_counted_event_wakes };
    all(&scene);
}

static void wait_for_an_event(struct stage *s)
{
    uint32_t seen = 0;
    kit_ok(tong_region_wait(s->mine, &seen, TONG_FOREVER));
}

/* The victim waits beside another one; then there is an event. */
static void one_event(struct stage *s, struct kit_child *child)
{
    kit_until(has_ended(child) || kit_sleeps(child->pid));
    tong_region *region = open_region(USE);
    kit_ok(tong_region_notify(region));
    kit_ok(tong_region_close(region));
    kit_join(&s->other);
}

static void who_waits_for_an_event_may_die(void)
{
    const struct scene scene = { .operation = "tong_region_wait",
                                 .role = "waiter, another one beside it",
                                 .other = waits_for_an_event,
                                 .ready = open_it,
                                 .act = wait_for_an_event,
                                 .meanwhile = one_event };
    all(&scene);
}

static void wait_in_vain(struct stage *s)
{
    uint32_t seen = 0;
    kit_gives(tong_region_wait(s->mine, &seen, TONG_MS(1)), -ETIMEDOUT);
}

static void who_gives_up_waiting_may_die(void)
{
    const struct scene scene = { .operation = "tong_region_wait",
                                 .role = "waiter that times out",
                                 .ready = open_it,
                                 .act = wait_in_vain };
    all(&scene);
}

/* ---- ending it beside others */

static void remove_it(struct stage *s)
{
    (void)s;
    kit_ok(tong_region_remove(NAME));
}

/* It is told, or the region is alive and goes on. */
static void waiter_is_told(struct stage *s)
{
    tong_region *region = NULL;
    const int r = tong_region_open(NAME, 0, USE, NULL, &region);
    if (r == 0) {
        kit_true(s->c->killed);
        kit_ok(tong_region_notify(region));
        kit_ok(tong_region_close(region));
        kit_join(&s->other);
        kit_gives(atomic_load(&s->log->answer), 0);
        remove_it(s);
    } else {
        kit_gives(r, -ENOENT);
        kit_join(&s->other);
        const int32_t answer = atomic_load(&s->log->answer);
        kit_true(answer == -EIDRM || (answer == 0 && s->c->m != 0));
    }
}

static void who_waits_is_told_of_a_remove(void)
{
    const struct scene scene = { .operation = "tong_region_remove",
                                 .role = "remover, another one waits for an event",
                                 .gone = true,
                                 .other = waits_for_an_event,
                                 .act = remove_it,
                                 .finish = waiter_is_told };
    all(&scene);
}

/* The survivor holds the lock that the other one waits for. */
static int locks(void *arg)
{
    struct stage *s = arg;
    tong_region *region = open_region(USE);
    kit_event_set(&s->log->waits);
    const int r = tong_region_lock(region, TONG_FOREVER);
    atomic_store(&s->log->answer, r);
    kit_gives(tong_region_unlock(region), r == 0 ? 0 : -EPERM);
    kit_ok(tong_region_close(region));
    return 0;
}

static void survivor_locks(struct stage *s)
{
    if (s->kept == NULL) {
        s->kept = open_region(USE);
    }
    kit_ok(tong_region_lock(s->kept, 0));
}

static void locker_is_told(struct stage *s)
{
    tong_region *region = NULL;
    const int r = tong_region_open(NAME, 0, USE, NULL, &region);
    if (r == 0) {
        kit_true(s->c->killed);
        kit_ok(tong_region_close(region));
    } else {
        kit_gives(r, -ENOENT);
        kit_join(&s->other);
        kit_gives(atomic_load(&s->log->answer), -EIDRM);
    }
    kit_ok(tong_region_unlock(s->kept));
    if (r == 0) {
        kit_join(&s->other);
        kit_gives(atomic_load(&s->log->answer), 0);
        remove_it(s);
    }
}

static void who_waits_for_the_lock_is_told_of_a_remove(void)
{
    const struct scene scene = { .operation = "tong_region_remove",
                                 .role = "remover, another one waits for the lock",
                                 .gone = true,
                                 .before = survivor_locks,
                                 .other = locks,
                                 .act = remove_it,
                                 .finish = locker_is_told };
    all(&scene);
}

static void remove_a_dead_one(struct stage *s)
{
    (void)s;
    const int r = tong_region_remove(NAME);
    kit_true(r == 0 || r == -ENOENT);
}

static void a_dead_one_is_removed(void)
{
    const struct scene scene = { .operation = "tong_region_remove",
                                 .role = "remover where a dead owner left one",
                                 .absent = true,
                                 .before = owner_dies,
                                 .act = remove_a_dead_one };
    all(&scene);
}

/* ---- a region that ends with its process */

static void own(struct stage *s)
{
    s->mine = make_owned();
    kit_ok(tong_region_lock(s->mine, 0));
    kit_ok(tong_region_close(s->mine));
}

static void a_process_owned_one_ends_with_its_process(void)
{
    const struct scene scene = { .operation = "tong_region_open tong_region_lock "
                                              "tong_region_close",
                                 .role = "owner: creates, locks and ends it",
                                 .absent = true,
                                 .gone = true,
                                 .act = own };
    all(&scene);
}

static void own_and_be_waited_for(struct stage *s)
{
    s->mine = make_owned();
    kit_event_set(&s->log->go);
    kit_event_wait(&s->log->waits);
    kit_until(kit_sleeps((pid_t)atomic_load(&s->log->answer)));
}

static void close_it(struct stage *s)
{
    kit_ok(tong_region_close(s->mine));
}

static int waits_and_says_who(void *arg)
{
    struct stage *s = arg;
    tong_region *region = open_region(USE);
    uint32_t seen = 0;
    atomic_store(&s->log->answer, (int32_t)getpid());
    kit_event_set(&s->log->waits);
    kit_gives(tong_region_wait(region, &seen, TONG_FOREVER), -EOWNERDEAD);
    kit_ok(tong_region_close(region));
    return 0;
}

static void waiter_comes(struct stage *s, struct kit_child *child)
{
    (void)child;
    kit_event_wait(&s->log->go);
    s->other = kit_spawn(waits_and_says_who, s);
}

static void who_waits_is_told_of_the_owners_end(void)
{
    const struct scene scene = { .operation = "tong_region_close",
                                 .role = "owner, another one waits for an event",
                                 .absent = true,
                                 .gone = true,
                                 .ready = own_and_be_waited_for,
                                 .act = close_it,
                                 .meanwhile = waiter_comes,
                                 .finish = other_ends };
    all(&scene);
}

/* ---- looking */

static int is_it(const tong_region_status *status, int error, void *arg)
{
    (void)arg;
    kit_true(error == 0 && strcmp(status->name, NAME) == 0);
    return 0;
}

static void look(struct stage *s)
{
    (void)s;
    tong_region_status status = TONG_REGION_STATUS_INIT;
    kit_ok(tong_region_stat(NAME, &status));
    kit_equal(status.locked, 1);
    kit_ok(tong_region_list(is_it, NULL));
}

static void who_looks_changes_nothing(void)
{
    const struct scene scene = { .operation = "tong_region_stat tong_region_list",
                                 .role = "visitor",
                                 .before = holder_dies,
                                 .act = look };
    all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_region_is_made_whole_or_not_at_all, 240),
    KIT_TEST_LONG(who_uses_it_hinders_nobody, 240),
    KIT_TEST_LONG(a_dead_one_is_replaced, 240),
    KIT_TEST_LONG(a_dead_one_is_not_there, 240),
    KIT_TEST_LONG(who_waits_for_the_lock_gets_it, 240),
    KIT_TEST_LONG(a_dead_holders_lock_is_taken, 240),
    KIT_TEST_LONG(who_waits_for_the_lock_may_die, 240),
    KIT_TEST_LONG(who_gives_up_the_lock_may_die, 240),
    KIT_TEST_LONG(who_notifies_may_die, 240),
    KIT_TEST_LONG(who_waits_for_an_event_may_die, 240),
    KIT_TEST_LONG(who_gives_up_waiting_may_die, 240),
    KIT_TEST_LONG(who_waits_is_told_of_a_remove, 240),
    KIT_TEST_LONG(who_waits_for_the_lock_is_told_of_a_remove, 240),
    KIT_TEST_LONG(a_dead_one_is_removed, 240),
    KIT_TEST_LONG(a_process_owned_one_ends_with_its_process, 240),
    KIT_TEST_LONG(who_waits_is_told_of_the_owners_end, 240),
    KIT_TEST_LONG(who_looks_changes_nothing, 240),
};

KIT_MAIN(tests)
