/*
 * A process is killed at every crash point of what it does with a named region: whoever comes then
 * finds the region whole or not at all, gets the lock, and after its end nothing is left.
 */
#include "region/region.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

#define NAME "memory"
#define SIZE 10000u
#define USE (TONG_READ | TONG_WRITE)
#define POINTS_MOST 2000u

struct log {
    _Atomic uint32_t points;
    _Atomic int32_t answer; /* of the one that waits */
    kit_event waits;
};

struct stage {
    const struct scene *scene;
    struct log *log;
    unsigned long n;
    tong_region *mine;
    struct kit_child waiter;
    bool killed;
};

struct scene {
    const char *name;
    bool absent;                   /* nothing is there before */
    bool gone;                     /* it ends the region */
    kit_child_fn *waiter;          /* somebody else, before the victim acts */
    void (*ready)(struct stage *); /* safe */
    void (*act)(struct stage *);   /* killed inside */
    void (*finish)(struct stage *);
};

static tong_region *open_region(unsigned flags)
{
    tong_region *region = NULL;
    kit_ok(tong_region_open(NAME, SIZE, flags, NULL, &region));
    return region;
}

static int victim(void *arg)
{
    struct stage *s = arg;
    if (s->scene->ready != NULL) {
        s->scene->ready(s);
    }
    tg_point_arm(s->n);
    s->scene->act(s);
    atomic_store(&s->log->points, (uint32_t)tg_point_count());
    tg_point_arm(0);
    fflush(NULL);
    _exit(0);
}

/* Everything works, for whoever comes. */
static void is_whole(void)
{
    tong_region *region = NULL;
    int r = tong_region_open(NAME, SIZE, USE, NULL, &region);
    if (r != 0) {
        kit_gives(r, -ENOENT);
        region = open_region(USE | TONG_CREATE | TONG_EXCL);
    }
    kit_equal(tong_region_size(region), SIZE);
    uint8_t *data = tong_region_data(region);
    memset(data, 7, SIZE);
    r = tong_region_lock(region, KIT_PATIENCE);
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

static bool once(struct stage *s)
{
    memset(s->log, 0, sizeof(*s->log));
    if (!s->scene->absent) {
        kit_ok(tong_region_close(open_region(USE | TONG_CREATE | TONG_EXCL)));
    }
    if (s->scene->waiter != NULL) {
        s->waiter = kit_spawn(s->scene->waiter, s);
        kit_event_wait(&s->log->waits);
        kit_until(kit_sleeps(s->waiter.pid));
    }
    struct kit_child child = kit_spawn(victim, s);
    const int status = kit_join_status(&child);
    s->killed = WIFSIGNALED(status);
    if (s->killed ? WTERMSIG(status) != SIGKILL : WEXITSTATUS(status) != 0) {
        kit_fail("%s, point %lu: it failed by itself (status 0x%x)", s->scene->name, s->n, status);
    }
    if (s->scene->finish != NULL) {
        s->scene->finish(s);
    }
    if (!s->scene->gone) {
        is_whole();
        kit_ok(tong_region_remove(NAME));
    }
    nothing_is_left();
    return s->killed;
}

static void all_points(const struct scene *scene)
{
    struct stage s = { .scene = scene, .log = kit_shared(sizeof(struct log)) };
    unsigned kills = 0;
    for (s.n = 1; once(&s); s.n++) {
        kills++;
        kit_true(s.n < POINTS_MOST);
    }
    printf("region: %-36s %4u points %4u kills\n", scene->name, atomic_load(&s.log->points), kills);
}

/* ---- making and opening */

static void create(struct stage *s)
{
    s->mine = open_region(USE | TONG_CREATE);
}

static void a_region_is_made_whole_or_not_at_all(void)
{
    const struct scene scene = { .name = "open that creates", .absent = true, .act = create };
    all_points(&scene);
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
    const struct scene scene = { .name = "open, lock, unlock, notify, close",
                                 .act = open_use_close };
    all_points(&scene);
}

/* ---- beside one that waits for the lock */

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
    kit_until(kit_sleeps(s->waiter.pid));
}

static void give_it_back(struct stage *s)
{
    kit_ok(tong_region_unlock(s->mine));
    const int r = tong_region_lock(s->mine, KIT_PATIENCE);
    kit_true(r == 0);
    kit_ok(tong_region_close(s->mine));
}

static void waiter_ends(struct stage *s)
{
    kit_join(&s->waiter);
}

static void who_waits_for_the_lock_gets_it(void)
{
    const struct scene scene = { .name = "unlock, lock, close beside a waiter",
                                 .waiter = waits_for_the_lock,
                                 .ready = hold,
                                 .act = give_it_back,
                                 .finish = waiter_ends };
    all_points(&scene);
}

/* ---- ending it beside one that waits for an event */

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
        kit_true(s->killed);
        kit_ok(tong_region_notify(region));
        kit_ok(tong_region_close(region));
        kit_join(&s->waiter);
        kit_gives(atomic_load(&s->log->answer), 0);
        remove_it(s);
    } else {
        kit_gives(r, -ENOENT);
        kit_join(&s->waiter);
        kit_gives(atomic_load(&s->log->answer), -EIDRM);
    }
}

static void who_waits_is_told_of_a_remove(void)
{
    const struct scene scene = { .name = "remove beside a waiter",
                                 .gone = true,
                                 .waiter = waits_for_an_event,
                                 .act = remove_it,
                                 .finish = waiter_is_told };
    all_points(&scene);
}

/* ---- a region that ends with its process */

static void own(struct stage *s)
{
    tong_region_options options = TONG_REGION_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    kit_ok(tong_region_open(NAME, SIZE, USE | TONG_CREATE, &options, &s->mine));
    kit_ok(tong_region_lock(s->mine, 0));
    kit_ok(tong_region_close(s->mine));
}

static void a_process_owned_one_ends_with_its_process(void)
{
    const struct scene scene = {
        .name = "process-owned: create, lock, close", .absent = true, .gone = true, .act = own
    };
    all_points(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_region_is_made_whole_or_not_at_all, 120),
    KIT_TEST_LONG(who_uses_it_hinders_nobody, 120),
    KIT_TEST_LONG(who_waits_for_the_lock_gets_it, 120),
    KIT_TEST_LONG(who_waits_is_told_of_a_remove, 120),
    KIT_TEST_LONG(a_process_owned_one_ends_with_its_process, 120),
};

KIT_MAIN(tests)
