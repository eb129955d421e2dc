/* Who is alive: records come and go, deaths are noticed and told, the living are not mistaken. */
#include "region/region.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "kit.h"
#include "region/region_layout.h"

static struct tg_root *root;
static uint64_t own_id;

static void join(void)
{
    kit_ok(tg_root_get(true, &root));
    kit_ok(tg_life_join(root, &own_id));
}

static void leave(void)
{
    tg_life_leave(root);
    tg_root_put(root);
}

/* The life word of a record, from its file. */
static uint32_t word_in_file(uint64_t id)
{
    char path[64];
    uint32_t word = 0;
    snprintf(path, sizeof(path), ".life/%016llx", (unsigned long long)id);
    const int fd = open(kit_path(path), O_RDONLY | O_CLOEXEC);
    kit_true(fd >= 0);
    kit_equal(pread(fd, &word, sizeof(word), TG_LIFE_WORD_OFF), sizeof(word));
    close(fd);
    return word;
}

static unsigned n_records(void)
{
    const char *entries = kit_entries(kit_path(".life"));
    unsigned n = entries[0] != '\0';
    for (; *entries != '\0'; entries++) {
        n += *entries == ' ';
    }
    return n;
}

/* ---- a child with a record, which tells its number and then does something */

static void (*then)(void);

static int lives(void *arg)
{
    (void)arg;
    join();
    kit_report(&own_id, sizeof(own_id));
    then();
    return 0;
}

static struct kit_child start(void (*what)(void), uint64_t *ret_id)
{
    then = what;
    struct kit_child child = kit_spawn(lives, NULL);
    kit_read_report(&child, ret_id, sizeof(*ret_id));
    return child;
}

static void wait_for_death(void)
{
    kit_await_death();
}

static void leave_in_peace(void)
{
    leave();
}

static void exit_without_leaving(void)
{
    _exit(0);
}

/* ---- layout, refused */

static void layout_is_as_the_format_says(void)
{
    kit_equal(sizeof(struct tg_life_record), 32);
    kit_equal(TG_LIFE_WORD_OFF, 4080);
    kit_equal(offsetof(struct tg_region_head, lock), 64);
    kit_equal(offsetof(struct tg_region_head, events), 128);
    kit_equal(sizeof(struct tg_region_head), 192);
}

static void a_number_without_a_record_is_dead(void)
{
    struct kit_random random = kit_random_stream(1);
    join();
    for (int i = 0; i < 1000; i++) {
        const uint64_t id = kit_random(&random) & ~TG_TOKEN_FLAGS;
        kit_true(!tg_life_is_alive(root, id | 0x20));
        kit_true(!tg_life_is_alive_surely(root, id | 0x20, TG_ANY_UID));
    }
    kit_equal(tg_life_pid(root, 0x123450), 0);
    kit_true(tg_life_is_alive(root, own_id)); /* and the table of peers has grown */
    leave();
}

/* ---- smallest success */

static void a_process_has_one_record_until_it_has_left_as_often(void)
{
    uint64_t again;
    join();
    kit_equal(own_id & TG_TOKEN_FLAGS, 0);
    kit_true(own_id != 0);
    kit_ok(tg_life_join(root, &again));
    kit_equal(again, own_id);
    kit_equal(n_records(), 1);
    tg_life_leave(root);
    kit_equal(tg_life_id(root), own_id);
    kit_true(tg_life_is_alive(root, own_id));
    tg_life_leave(root);
    kit_equal(tg_life_id(root), 0);
    kit_equal(n_records(), 0);
    kit_true(!tg_life_is_alive(root, own_id));
    kit_ok(tg_life_join(root, &again));
    kit_true(again != own_id);
    tg_life_leave(root);
    tg_root_put(root);
}

static void a_living_process_is_alive_and_tells_its_pid(void)
{
    uint64_t id;
    join();
    struct kit_child child = start(wait_for_death, &id);
    kit_true(tg_life_is_alive(root, id));
    kit_true(tg_life_is_alive_surely(root, id, TG_ANY_UID));
    kit_equal(tg_life_pid(root, id), child.pid);
    kit_equal(word_in_file(id), (uint32_t)child.pid | TG_LIFE_WAITERS);
    kit_kill(&child);
    leave();
}

/* ---- deaths */

static void a_killed_process_is_dead_at_once(void)
{
    uint64_t id;
    join();
    struct kit_child child = start(wait_for_death, &id);
    kit_true(tg_life_is_alive(root, id)); /* seen alive before */
    kit_kill(&child);
    kit_true(!tg_life_is_alive(root, id));
    child = start(wait_for_death, &id);
    kit_kill(&child);
    kit_true(!tg_life_is_alive(root, id)); /* and never seen before */
    leave();
}

static void who_left_or_exited_is_dead(void)
{
    uint64_t id;
    join();
    struct kit_child child = start(leave_in_peace, &id);
    kit_join(&child);
    kit_true(!tg_life_is_alive(root, id));
    child = start(exit_without_leaving, &id);
    kit_join(&child);
    kit_true(!tg_life_is_alive(root, id));
    leave();
}

static void a_zombie_is_dead_and_a_stopped_process_alive(void)
{
    uint64_t id;
    siginfo_t info;
    join();
    struct kit_child child = start(wait_for_death, &id);
    kit_ok(kill(child.pid, SIGSTOP));
    kit_ok(waitid(P_PID, (id_t)child.pid, &info, WSTOPPED | WNOWAIT));
    kit_true(tg_life_is_alive(root, id));
    kit_true(tg_life_is_alive_surely(root, id, TG_ANY_UID));
    kit_ok(kill(child.pid, SIGKILL));
    kit_ok(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT));
    kit_true(!tg_life_is_alive(root, id));
    (void)kit_join_status(&child);
    leave();
}

/* ---- who watches is woken */

struct watch {
    uint64_t id;
    _Atomic uint32_t ready;
};

/* Sleeps without a deadline until the watched one is dead. */
static int watcher(void *arg)
{
    struct watch *watch = arg;
    join();
    for (;;) {
        struct tg_waitset set;
        tg_waitset_clear(&set);
        tg_life_watch_begin(root);
        const bool alive = tg_life_watch(root, watch->id, &set);
        atomic_fetch_add(&watch->ready, 1);
        if (alive) {
            kit_equal(set.n, 1);
            kit_ok(tg_waitset_sleep(&set, TG_NEVER));
            tg_life_pass_on(&set);
        }
        tg_life_watch_end(root);
        if (!alive) {
            break;
        }
    }
    leave();
    return 0;
}

#define WATCHERS 3

static void a_death_wakes_all_who_watch(void)
{
    struct watch *watch = kit_shared(sizeof(*watch));
    struct kit_child watchers[WATCHERS];
    join();
    struct kit_child child = start(wait_for_death, &watch->id);
    for (int i = 0; i < WATCHERS; i++) {
        watchers[i] = kit_spawn(watcher, watch);
    }
    kit_until(atomic_load(&watch->ready) == WATCHERS);
    for (int i = 0; i < WATCHERS; i++) {
        kit_until(kit_sleeps(watchers[i].pid));
    }
    kit_kill(&child);
    for (int i = 0; i < WATCHERS; i++) {
        kit_join(&watchers[i]);
    }
    leave();
}

static kit_event *go;

static void leave_when_told(void)
{
    kit_event_wait(go);
    leave();
}

static void a_leave_wakes_all_who_watch(void)
{
    struct watch *watch = kit_shared(sizeof(*watch));
    struct kit_child watchers[WATCHERS];
    go = kit_shared(sizeof(*go));
    join();
    struct kit_child child = start(leave_when_told, &watch->id);
    for (int i = 0; i < WATCHERS; i++) {
        watchers[i] = kit_spawn(watcher, watch);
        kit_until(atomic_load(&watch->ready) == (uint32_t)i + 1 && kit_sleeps(watchers[i].pid));
    }
    kit_event_set(go);
    kit_join(&child);
    for (int i = 0; i < WATCHERS; i++) {
        kit_join(&watchers[i]);
    }
    leave();
}

/* ---- threads */

static void *join_in_thread(void *arg)
{
    (void)arg;
    join();
    return NULL;
}

static kit_event *renewed;

/* The thread that opened it ends; this one goes on, and arms the word when told to. */
static int opened_by_a_thread(void *arg)
{
    pthread_t thread;
    (void)arg;
    kit_ok(pthread_create(&thread, NULL, join_in_thread, NULL));
    kit_ok(pthread_join(thread, NULL));
    kit_report(&own_id, sizeof(own_id));
    kit_event_wait(go);
    tg_life_renew(root);
    kit_event_set(renewed);
    kit_await_death();
}

static struct kit_child start_orphan(uint64_t *ret_id)
{
    go = kit_shared(sizeof(*go));
    renewed = kit_shared(sizeof(*renewed));
    struct kit_child child = kit_spawn(opened_by_a_thread, NULL);
    kit_read_report(&child, ret_id, sizeof(*ret_id));
    return child;
}

static void a_thread_that_ends_leaves_its_process_alive(void)
{
    uint64_t id;
    join();
    struct kit_child child = start_orphan(&id);
    kit_equal(word_in_file(id), 0);
    kit_true(tg_life_is_alive(root, id));
    kit_true(tg_life_is_alive_surely(root, id, TG_ANY_UID));
    kit_kill(&child);
    kit_true(!tg_life_is_alive(root, id)); /* the lock says so */
    leave();
}

/* Its word is gone with its thread: nothing wakes who watches it, so he asks again by himself. */
static void who_watches_it_asks_again(void)
{
    uint64_t id;
    tg_a32 never = 0;
    struct tg_waitset set;
    join();
    struct kit_child child = start_orphan(&id);
    tg_waitset_clear(&set);
    tg_waitset_add(&set, &never, 0);
    tg_life_watch_begin(root);
    kit_true(tg_life_watch(root, id, &set));
    kit_equal(set.n, 1); /* no word of the orphan's */
    kit_kill(&child);
    kit_gives(tg_waitset_sleep(&set, tg_now_ns() + KIT_PATIENCE), 0);
    tg_life_watch_end(root);
    kit_true(!tg_life_is_alive(root, id));
    leave();
}

static void another_thread_arms_the_word_again(void)
{
    struct watch *watch = kit_shared(sizeof(*watch));
    join();
    struct kit_child child = start_orphan(&watch->id);
    kit_event_set(go);
    kit_event_wait(renewed);
    kit_equal(word_in_file(watch->id), (uint32_t)child.pid | TG_LIFE_WAITERS);
    struct kit_child other = kit_spawn(watcher, watch);
    kit_until(atomic_load(&watch->ready) == 1 && kit_sleeps(other.pid));
    kit_kill(&child);
    kit_join(&other);
    kit_true(!tg_life_is_alive(root, watch->id));
    leave();
}

static void mark_and_wait(void)
{
    tg_life_mark_threads(root);
    kit_event_set(go);
    kit_await_death();
}

static void with_threads_word_and_lock_together_say_dead(void)
{
    uint64_t id;
    go = kit_shared(sizeof(*go));
    join();
    struct kit_child child = start(mark_and_wait, &id);
    kit_event_wait(go);
    kit_true(tg_life_is_alive(root, id));
    kit_kill(&child);
    kit_until(!tg_life_is_alive(root, id));
    leave();
}

/* ---- fork */

/* Forks a child that outlives it, and tells the child's pid. */
static void fork_and_wait(void)
{
    const uint32_t forks = tg_fork_count();
    const pid_t pid = fork();
    if (pid == 0) {
        uint64_t id = 1;
        kit_equal(tg_fork_count(), forks + 1);
        kit_equal(tg_life_id(root), 0);
        kit_ok(tg_life_join(root, &id));
        kit_true(id != own_id);
        tg_life_leave(root);
        kit_event_set(go);
        kit_await_death();
    }
    kit_report(&pid, sizeof(pid));
    kit_await_death();
}

static void mark_fork_and_wait(void)
{
    tg_life_mark_threads(root); /* so that the lock is asked, too */
    fork_and_wait();
}

static void a_forked_child_keeps_no_lock(void)
{
    uint64_t id;
    pid_t grandchild;
    go = kit_shared(sizeof(*go));
    join();
    struct kit_child child = start(mark_fork_and_wait, &id);
    kit_read_report(&child, &grandchild, sizeof(grandchild));
    kit_event_wait(go);
    kit_kill(&child);
    kit_until(!tg_life_is_alive(root, id));
    kit_ok(kill(grandchild, SIGKILL));
    leave();
}

static void a_forked_child_does_not_keep_its_parent_alive(void)
{
    uint64_t id;
    pid_t grandchild;
    go = kit_shared(sizeof(*go));
    join();
    struct kit_child child = start(fork_and_wait, &id);
    kit_read_report(&child, &grandchild, sizeof(grandchild));
    kit_event_wait(go);
    kit_true(tg_life_is_alive(root, id));
    kit_kill(&child);
    kit_ok(kill(grandchild, 0)); /* it is there */
    kit_true(!tg_life_is_alive(root, id));
    kit_true(!tg_life_is_alive_surely(root, id, TG_ANY_UID));
    kit_ok(kill(grandchild, SIGKILL));
    leave();
}

/* ---- clearing away */

static void a_sweep_finds_the_dead_among_any_number_of_living(void)
{
    enum {
        N = 100
    };
    struct kit_child living[N];
    struct kit_child dead;
    uint64_t id;
    join();
    dead = start(wait_for_death, &id);
    for (int i = 0; i < N; i++) {
        living[i] = start(wait_for_death, &id);
        if (i == N / 2) {
            kit_kill(&dead);
        }
    }
    dead = start(wait_for_death, &id);
    kit_kill(&dead);
    (void)tg_life_sweep(root, true);
    kit_equal(n_records(), 1 + N);
    for (int i = 0; i < N; i++) {
        kit_kill(&living[i]);
    }
    kit_equal(tg_life_sweep(root, true), N);
    kit_equal(n_records(), 1);
    leave();
}

static void a_sweep_takes_the_records_of_the_dead_only(void)
{
    struct kit_child living[3];
    struct kit_child dying[3];
    uint64_t id;
    join();
    for (int i = 0; i < 3; i++) {
        living[i] = start(wait_for_death, &id);
        dying[i] = start(wait_for_death, &id);
    }
    kit_equal(n_records(), 7);
    kit_equal(tg_life_sweep(root, true), 0);
    for (int i = 0; i < 3; i++) {
        kit_kill(&dying[i]);
    }
    kit_equal(tg_life_sweep(root, false), 3);
    kit_equal(n_records(), 7);
    kit_equal(tg_life_sweep(root, true), 3);
    kit_equal(n_records(), 4);
    kit_equal(tg_life_sweep(root, true), 0);
    for (int i = 0; i < 3; i++) {
        kit_true(kill(living[i].pid, 0) == 0);
        kit_kill(&living[i]);
    }
    leave();
    join(); /* a join sweeps */
    kit_equal(n_records(), 1);
    leave();
}

/* ---- killed at every point */

struct points {
    unsigned long n;
    _Atomic uint32_t passed;
    _Atomic uint64_t id;
};

static int join_and_leave_to_death(void *arg)
{
    struct points *points = arg;
    tg_point_arm(points->n);
    join();
    atomic_store(&points->id, own_id);
    leave();
    atomic_store(&points->passed, (uint32_t)tg_point_count());
    _exit(0);
}

static void killed_while_joining_or_leaving_it_leaves_nothing_alive(void)
{
    struct points *points = kit_shared(sizeof(*points));
    unsigned kills = 0;
    for (points->n = 1;; points->n++) {
        atomic_store(&points->id, 0);
        struct kit_child child = kit_spawn(join_and_leave_to_death, points);
        const int status = kit_join_status(&child);
        join();
        const uint64_t id = atomic_load(&points->id);
        kit_true(id == 0 || !tg_life_is_alive(root, id));
        kit_equal(n_records(), 1); /* the join swept whatever was left */
        leave();
        kit_equal(n_records(), 0);
        if (!WIFSIGNALED(status)) {
            break;
        }
        kills++;
    }
    kit_equal(kills, atomic_load(&points->passed));
    printf("life join, leave: %u points, %u kills\n", atomic_load(&points->passed), kills);
}

static const struct kit_test tests[] = {
    KIT_TEST(layout_is_as_the_format_says),
    KIT_TEST(a_number_without_a_record_is_dead),
    KIT_TEST(a_process_has_one_record_until_it_has_left_as_often),
    KIT_TEST(a_living_process_is_alive_and_tells_its_pid),
    KIT_TEST(a_killed_process_is_dead_at_once),
    KIT_TEST(who_left_or_exited_is_dead),
    KIT_TEST(a_zombie_is_dead_and_a_stopped_process_alive),
    KIT_TEST(a_death_wakes_all_who_watch),
    KIT_TEST(a_leave_wakes_all_who_watch),
    KIT_TEST(a_thread_that_ends_leaves_its_process_alive),
    KIT_TEST(who_watches_it_asks_again),
    KIT_TEST(another_thread_arms_the_word_again),
    KIT_TEST(with_threads_word_and_lock_together_say_dead),
    KIT_TEST(a_forked_child_does_not_keep_its_parent_alive),
    KIT_TEST(a_forked_child_keeps_no_lock),
    KIT_TEST(a_sweep_takes_the_records_of_the_dead_only),
    KIT_TEST(a_sweep_finds_the_dead_among_any_number_of_living),
    KIT_TEST(killed_while_joining_or_leaving_it_leaves_nothing_alive),
};

KIT_MAIN(tests)
