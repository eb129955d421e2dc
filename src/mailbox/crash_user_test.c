/*
 * Root ends a mailbox of another user and is killed at every crash point of it. The user's processes,
 * which sleep for ever, are told, or the mailbox is alive and is ended by the next one.
 *
 * Root never maps for writing what a user may cut (see folder.c): this is another way than the one in
 * crash_life_test.c. Needs root.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/deaths_test.h"
#include "kit.h"

#define BOX "box"

struct log {
    _Atomic uint32_t points[2];
    _Atomic int32_t answer;
    kit_event made;
};

struct scene {
    const char *role;
    kit_child_fn *user;
};

static tong_mailbox *make_box(void)
{
    const tong_options options = kit_capacity(1);
    kit_become(KIT_ANN, KIT_ANN);
    return kit_open(BOX, TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options);
}

static int receives(void *arg)
{
    struct log *log = arg;
    uint64_t value;
    tong_mailbox *box = make_box();
    kit_event_set(&log->made);
    atomic_store(&log->answer, (int32_t)tong_receive(box, &value, sizeof(value), TONG_FOREVER));
    return tong_close(box);
}

static int sends(void *arg)
{
    struct log *log = arg;
    tong_mailbox *box = make_box();
    kit_ok(kit_send_u64(box, 1, 0));
    kit_event_set(&log->made);
    atomic_store(&log->answer, kit_send_u64(box, 2, TONG_FOREVER));
    return tong_close(box);
}

static int victim(void *arg)
{
    const struct crash_case *c = arg;
    tg_point_arm(c->n);
    kit_ok(tong_remove(BOX));
    tg_point_arm(0);
    fflush(NULL);
    _exit(0);
}

static void holds(const char *name, const char *wanted)
{
    char path[4200];
    snprintf(path, sizeof(path), "%s/%s", getenv("TONG_DIR"), name);
    const char *entries = kit_entries(path);
    if (strcmp(entries, wanted) != 0) {
        kit_fail("\"%s\" holds: %s; wanted: %s", name, entries, wanted);
    }
}

static void once(struct crash_run *run, struct crash_case *c)
{
    const struct scene *scene = run->scene;
    struct log *log = run->world;
    tong_status status = TONG_STATUS_INIT;
    memset(log, 0, sizeof(*log));
    struct kit_child user = kit_spawn(scene->user, log);
    kit_event_wait(&log->made);
    kit_until(kit_sleeps(user.pid));
    struct kit_child child = kit_spawn(victim, c);
    c->killed = crash_dies(&child);
    if (tong_stat(BOX, &status) == 0) {
        kit_true(c->killed);
        kit_ok(tong_remove(BOX));
    }
    kit_join(&user);
    kit_gives(atomic_load(&log->answer), -EIDRM);
    kit_true(tong_doctor(1, kit_ignore_finding, NULL) >= 0);
    holds("", ".life .lock .tmp");
    holds(".life", "");
    holds(".tmp", "");
    c->points = c->n;
}

static void all(const struct scene *scene)
{
    const int64_t began_ns = kit_now_ns();
    struct crash_run run = { .operation = "tong_remove",
                             .role = scene->role,
                             .variants = 1,
                             .once = once,
                             .test = kit_test_name,
                             .scene = scene,
                             .world = kit_shared(sizeof(struct log)) };
    kit_needs_root();
    const char *folder = kit_make_folder(0, KIT_ANN, 03770);
    kit_ok(setenv("TONG_DIR", folder, 1));
    kit_ok(setenv("TONG_TEST_NO_BACKSTOP", "1", 1));
    for (unsigned long n = 1; crash_do(&run, n, 0, 0); n++) {
    }
    crash_say(&run, "two users", run.points, began_ns);
    kit_remove_folder(folder);
}

static void a_users_receiver_is_told(void)
{
    const struct scene scene = { .role = "root, a user's receiver asleep", .user = receives };
    all(&scene);
}

static void a_users_sender_is_told(void)
{
    const struct scene scene = { .role = "root, a user's sender blocked", .user = sends };
    all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_users_receiver_is_told, 120),
    KIT_TEST_LONG(a_users_sender_is_told, 120),
};

KIT_MAIN(tests)
