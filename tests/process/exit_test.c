/*
 * Ends of a process that closes nothing: exit(), _exit(), abort(), a fault, a kill, a zombie. All are the
 * same death: what it held is given back, what it owned ends, nobody waits for it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

enum end {
    BY_EXIT,
    BY_UNDERSCORE_EXIT,
    BY_QUICK_EXIT,
    BY_ABORT,
    BY_FAULT,
    BY_KILL,
    ENDS
};

static void end_it(enum end how)
{
    const struct rlimit no_core = { 0, 0 };
    (void)setrlimit(RLIMIT_CORE, &no_core);
    switch (how) {
    case BY_EXIT:
        exit(0);
    case BY_UNDERSCORE_EXIT:
        _exit(0);
    case BY_QUICK_EXIT:
        quick_exit(0);
    case BY_ABORT:
        (void)signal(SIGABRT, SIG_DFL);
        abort();
    case BY_FAULT:
        (void)signal(SIGSEGV, SIG_DFL);
        (void)raise(SIGSEGV);
        break;
    default:
        (void)raise(SIGKILL);
        break;
    }
}

struct scene {
    enum end how;
    kit_event ready;
    kit_event go;
};

/* Holds a claim, a reservation in a link with a message before it, a lock, and a mailbox of its own. */
static int hold_all_and_end(void *arg)
{
    struct scene *scene = arg;
    tong_options options = kit_options();
    options.owner = TONG_PROCESS;
    (void)kit_open(kit_name("own"), TONG_RECEIVE | TONG_CREATE, &options);
    tong_mailbox *in = kit_open(kit_name("common"), TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(in, KIT_PATIENCE, &message));
    tong_mailbox *out = kit_open(kit_name("common"), TONG_SEND, NULL);
    kit_ok(kit_send_u64(out, 2, 0));
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(out, 8, 0, &slot));
    memset(slot.data, 0xff, 8);
    tong_region *region = NULL;
    kit_ok(tong_region_open("common", 0, TONG_WRITE, NULL, &region));
    kit_ok(tong_region_lock(region, 0));
    kit_event_set(&scene->ready);
    kit_event_wait(&scene->go);
    end_it(scene->how);
    return 1;
}

static int wait_for_the_lock(void *arg)
{
    (void)arg;
    tong_region *region = NULL;
    kit_ok(tong_region_open("common", 0, TONG_WRITE, NULL, &region));
    kit_report("w", 1);
    kit_gives(tong_region_lock(region, KIT_PATIENCE), TONG_RECOVERED);
    kit_ok(tong_region_unlock(region));
    return tong_region_close(region);
}

static int wait_for_the_end(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(kit_name("own"), TONG_SEND, NULL);
    tong_death death = TONG_DEATH_INIT;
    kit_report("w", 1);
    kit_gives(tong_watch(box, KIT_PATIENCE, &death), -EOWNERDEAD);
    return tong_close(box);
}

static void survive(struct scene *scene, bool reap_first)
{
    tong_mailbox *box = kit_create(kit_name("common"), NULL);
    tong_region *region = NULL;
    char c;
    kit_ok(tong_region_open("common", 1, TONG_WRITE | TONG_CREATE, NULL, &region));
    kit_ok(kit_send_u64(box, 1, 0));
    struct kit_child victim = kit_spawn(hold_all_and_end, scene);
    kit_event_wait(&scene->ready);
    struct kit_child locker = kit_spawn(wait_for_the_lock, NULL);
    struct kit_child watcher = kit_spawn(wait_for_the_end, NULL);
    kit_read_report(&locker, &c, 1);
    kit_read_report(&watcher, &c, 1);
    kit_equal(kit_receive_u64(box), 2);
    kit_event_set(&scene->go);
    if (reap_first) {
        (void)kit_join_status(&victim);
    }
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_equal(*(const uint64_t *)message.data, 1);
    kit_equal(message.deliveries, 2);
    kit_ok(tong_done(box, &message));
    kit_join(&locker);
    kit_join(&watcher);
    if (!reap_first) {
        /* It is still there, as a zombie that nobody has waited for. */
        siginfo_t info;
        kit_ok(waitid(P_PID, (id_t)victim.pid, &info, WEXITED | WNOWAIT));
        (void)kit_join_status(&victim);
    }
    /* The reservation was never sent, and its room is free: its link is taken over. */
    kit_is_empty(box);
    kit_ok(kit_send_u64(box, 3, 0));
    kit_equal(kit_receive_u64(box), 3);
    tong_mailbox *own = NULL;
    kit_gives(tong_open(kit_name("own"), TONG_SEND, NULL, &own), -ENOENT);
    kit_ok(tong_region_close(region));
    kit_ok(tong_region_remove("common"));
    kit_end(box, kit_name("common"));
}

static void survive_all(bool reap_first)
{
    for (int how = 0; how < ENDS; how++) {
        struct scene *scene = kit_shared(sizeof(*scene));
        scene->how = (enum end)how;
        survive(scene, reap_first);
    }
}

static void every_end_without_a_close_is_a_death(void)
{
    survive_all(true);
}

static void a_zombie_is_dead(void)
{
    survive_all(false);
}

/* ------------------------------------------------------------------ what a dead owner leaves */

static int own_and_be_killed(void *arg)
{
    (void)arg;
    tong_options options = kit_options();
    options.owner = TONG_PROCESS;
    (void)kit_open("dead", TONG_RECEIVE | TONG_CREATE, &options);
    tong_region_options memory = TONG_REGION_OPTIONS_INIT;
    memory.owner = TONG_PROCESS;
    tong_region *region = NULL;
    kit_ok(tong_region_open("memory", 1, TONG_WRITE | TONG_CREATE, &memory, &region));
    end_it(BY_KILL);
    return 1;
}

static void folder_holds(const char *name, const char *wanted)
{
    const char *entries = kit_entries(kit_path(name));
    if (strcmp(entries, wanted) != 0) {
        kit_fail("\"%s\" holds: %s; wanted: %s", name, entries, wanted);
    }
}

/* Nobody asks for the dead one's names again: a visit of any other name takes the memory back. */
static void a_visit_of_another_name_clears_away(void)
{
    struct kit_child child = kit_spawn(own_and_be_killed, NULL);
    (void)kit_join_status(&child);
    folder_holds("", "+memory .life .tmp dead");
    tong_mailbox *other = kit_create("visit", NULL);
    kit_end(other, "visit");
    folder_holds("", ".life .lock .tmp");
    folder_holds(".life", "");
    folder_holds(".tmp", "");
}

/* ------------------------------------------------------------------ exit handlers */

static tong_mailbox *last_words;

static void say_the_last_words(void)
{
    kit_ok(kit_send_u64(last_words, 9, 0));
    kit_ok(tong_close(last_words));
}

static int speak_at_exit(void *arg)
{
    (void)arg;
    kit_equal(atexit(say_the_last_words), 0);
    last_words = kit_open(kit_name("words"), TONG_SEND, NULL);
    exit(0);
}

/* The library takes nothing away before the program's own exit handlers. */
static void an_exit_handler_can_send_and_close(void)
{
    tong_mailbox *box = kit_create(kit_name("words"), NULL);
    struct kit_child child = kit_spawn(speak_at_exit, NULL);
    kit_join(&child);
    kit_equal(kit_receive_u64(box), 9);
    kit_end(box, kit_name("words"));
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(every_end_without_a_close_is_a_death, 120),
    KIT_TEST_LONG(a_zombie_is_dead, 120),
    KIT_TEST(a_visit_of_another_name_clears_away),
    KIT_TEST(an_exit_handler_can_send_and_close),
};

KIT_MAIN(tests)
