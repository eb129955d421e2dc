/*
 * Two ordinary users of one group who talk by name, in a folder that root made for the group.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"

enum {
    GROUP = 65530
};

struct scene {
    const char *folder;
    kit_event event[8];
};

static const char *folder; /* also here: what shared memory alone points at looks like a leak */

static tong_process *be(const struct scene *scene, uid_t uid, const char *name)
{
    tong_process *me = NULL;
    tong_options options = kit_options();
    options.mode = 0660;
    kit_become(uid, GROUP);
    kit_ok(setenv("TONG_DIR", scene->folder, 1));
    if (name != NULL) {
        kit_ok(tong_process_open(name, &options, &me));
    }
    return me;
}

static void play(kit_child_fn *ann, kit_child_fn *bob)
{
    kit_needs_root();
    struct scene *scene = kit_shared(sizeof(*scene));
    folder = kit_make_folder(0, GROUP, 03770);
    scene->folder = folder;
    struct kit_child a = kit_spawn(ann, scene);
    struct kit_child b = kit_spawn(bob, scene);
    kit_join(&a);
    kit_join(&b);
    kit_remove_folder(folder);
}

static int64_t get_from(tong_process *me, const char *from, int64_t wait)
{
    uint64_t value = 0;
    const ssize_t n = tong_receive_from(me, from, &value, sizeof(value), wait);
    return n < 0 ? n : (int64_t)value;
}

static int send_number(tong_process *me, const char *to, uint64_t value)
{
    return tong_send_to(me, to, &value, sizeof(value), KIT_PATIENCE);
}

static void gets_any(tong_process *me, const char *from, uint64_t value)
{
    char name[TONG_NAME_MAX] = "untouched";
    uint64_t got = 0;
    kit_gives(tong_receive_any(me, &got, sizeof(got), KIT_PATIENCE, name), 8);
    kit_equal(got, value);
    kit_true(strcmp(name, from) == 0);
}

/* ------------------------------------------------------------------ by name */

static int ann_talks(void *arg)
{
    struct scene *scene = arg;
    tong_process *me = be(scene, KIT_ANN, "A");
    for (uint64_t i = 1; i <= 100; i++) {
        kit_ok(send_number(me, "B", i));
        kit_gives(get_from(me, "B", KIT_PATIENCE), (int64_t)i);
    }
    gets_any(me, "B", 101);
    kit_event_set(&scene->event[0]);
    kit_event_wait(&scene->event[4]);
    gets_any(me, "B2", 102); /* sent when it was called B */
    gets_any(me, "B2", 103);
    kit_gives(get_from(me, "B", 0), -ENOENT);
    kit_gives(get_from(me, "B2", 0), -EAGAIN); /* it is known: its death is told */
    kit_event_set(&scene->event[1]);
    kit_gives(get_from(me, "B2", KIT_PATIENCE), -EOWNERDEAD);
    kit_gives(get_from(me, "B2", 0), -ENOENT);
    /* Its name is its user's until that one comes again. */
    tong_process *none = NULL;
    kit_gives(tong_process_open("B2", NULL, &none), -EACCES);
    kit_event_set(&scene->event[2]);
    kit_event_wait(&scene->event[3]);
    return tong_process_close(me);
}

static int bob_dies(void *arg)
{
    struct scene *scene = arg;
    tong_process *me = be(scene, KIT_BOB, "B");
    tong_process *none = NULL;
    for (uint64_t i = 1; i <= 100; i++) {
        kit_gives(get_from(me, "A", KIT_PATIENCE), (int64_t)i);
        kit_ok(send_number(me, "A", i));
    }
    kit_gives(tong_process_open("A", NULL, &none), -EBUSY);
    kit_ok(send_number(me, "A", 101));
    kit_event_wait(&scene->event[0]);
    kit_ok(send_number(me, "A", 102));
    kit_ok(tong_rename(me, "B2"));
    kit_ok(send_number(me, "A", 103));
    kit_event_set(&scene->event[4]);
    kit_event_wait(&scene->event[1]);
    _exit(0);
}

static int bob_talks(void *arg)
{
    struct scene *scene = arg;
    struct kit_child first = kit_spawn(bob_dies, arg);
    kit_join(&first);
    kit_event_wait(&scene->event[2]);
    tong_process *me = be(scene, KIT_BOB, "B2");
    kit_event_set(&scene->event[3]);
    return tong_process_close(me);
}

static void users_talk_by_name(void)
{
    play(ann_talks, bob_talks);
}

/* ------------------------------------------------------------------ in another user's name */

enum {
    AT_COUNT = 640, /* docs/format.md: from_now, from */
    AT_NAMES = 704
};

static int ann_is_asked(void *arg)
{
    struct scene *scene = arg;
    tong_process *me = be(scene, KIT_ANN, "A");
    tong_process *other = NULL;
    kit_ok(tong_process_open("ann", NULL, &other));
    kit_event_set(&scene->event[0]);
    kit_event_wait(&scene->event[1]);
    kit_gives(get_from(me, "ann", 0), -EAGAIN);
    kit_gives(get_from(me, "bob", 0), -EAGAIN); /* alive, and its link has another name now */
    gets_any(me, "", 1);
    kit_event_set(&scene->event[2]);
    kit_event_wait(&scene->event[3]);
    kit_ok(tong_process_close(other));
    return tong_process_close(me);
}

static int bob_forges(void *arg)
{
    struct scene *scene = arg;
    kit_event_wait(&scene->event[0]);
    tong_process *me = be(scene, KIT_BOB, "bob");
    kit_ok(send_number(me, "A", 1));
    char path[4200];
    snprintf(path, sizeof(path), "%s/A/link.0", scene->folder);
    const int fd = open(path, O_RDWR);
    kit_true(fd >= 0);
    const char name[TONG_NAME_MAX] = "ann";
    const uint32_t count = 2;
    kit_gives(pwrite(fd, name, sizeof(name), AT_NAMES), (int64_t)sizeof(name));
    kit_gives(pwrite(fd, &count, sizeof(count), AT_COUNT), (int64_t)sizeof(count));
    kit_ok(close(fd));
    kit_event_set(&scene->event[1]);
    kit_event_wait(&scene->event[2]);
    kit_event_set(&scene->event[3]);
    return tong_process_close(me);
}

static void a_name_of_another_users_process_is_not_believed(void)
{
    play(ann_is_asked, bob_forges);
}

static const struct kit_test tests[] = {
    KIT_TEST(users_talk_by_name),
    KIT_TEST(a_name_of_another_users_process_is_not_believed),
};

KIT_MAIN(tests)
