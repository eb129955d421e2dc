/*
 * A handle is its process's: what a child of fork(), vfork() or a daemon's double fork may do with
 * its parent's, and what it does to its parent: nothing.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

extern char **environ;

/* Everything a handle can hold at once. */
struct holder {
    tong_mailbox *box;
    tong_mailbox *writer;
    tong_region *region;
    tong_message claim;
    tong_slot slot;
    uint32_t seen;
};

static void hold_all(struct holder *h)
{
    memset(h, 0, sizeof(*h));
    h->box = kit_create(kit_name("held"), NULL);
    h->writer = kit_open(kit_name("held"), TONG_SEND, NULL);
    kit_ok(kit_send_u64(h->box, 1, 0));
    kit_ok(kit_send_u64(h->box, 2, 0));
    h->claim = (tong_message)TONG_MESSAGE_INIT;
    kit_ok(tong_claim(h->box, 0, &h->claim));
    h->slot = (tong_slot)TONG_SLOT_INIT;
    kit_ok(tong_reserve(h->writer, 100, 0, &h->slot));
    kit_ok(tong_region_open("held", 100, TONG_WRITE | TONG_CREATE, NULL, &h->region));
    kit_ok(tong_region_lock(h->region, 0));
}

/* All of it is as it was, and is let go. */
static void let_go(struct holder *h)
{
    const tong_status status = kit_stat(kit_name("held"));
    kit_equal(status.receivers, 1);
    kit_equal(status.claimed, 1);
    kit_equal(*(const uint64_t *)h->claim.data, 1);
    kit_ok(tong_done(h->box, &h->claim));
    kit_equal(kit_receive_u64(h->box), 2);
    *(uint64_t *)h->slot.data = 3;
    kit_ok(tong_commit(h->writer, &h->slot, sizeof(uint64_t)));
    kit_equal(kit_receive_u64(h->box), 3);
    kit_ok(tong_region_unlock(h->region));
    kit_ok(tong_region_close(h->region));
    kit_ok(tong_region_remove("held"));
    kit_ok(tong_close(h->writer));
    kit_end(h->box, kit_name("held"));
}

static void all_calls_are_echild(struct holder *h)
{
    char data[8] = { 0 };
    size_t len;
    struct iovec row = { .iov_base = data, .iov_len = sizeof(data) };
    tong_mailbox *boxes[] = { h->box };
    tong_message message = TONG_MESSAGE_INIT;
    tong_slot slot = TONG_SLOT_INIT;
    tong_origin origin = TONG_ORIGIN_INIT;
    tong_death death = TONG_DEATH_INIT;
    const tong_send_options with = TONG_SEND_OPTIONS_INIT;
    kit_gives(tong_send(h->box, data, 1, 0), -ECHILD);
    kit_gives(tong_send(h->box, data, 1, TONG_FOREVER), -ECHILD);
    kit_gives(tong_send_with(h->box, data, 1, &with, 0), -ECHILD);
    kit_gives(tong_send_many(h->box, &row, 1, 0), -ECHILD);
    kit_gives(tong_reserve(h->box, 8, 0, &slot), -ECHILD);
    kit_gives(tong_commit(h->writer, &h->slot, 8), -ECHILD);
    kit_gives(tong_abort(h->writer, &h->slot), -ECHILD);
    kit_gives(tong_receive(h->box, data, sizeof(data), 0), -ECHILD);
    kit_gives(tong_receive(h->box, data, sizeof(data), TONG_FOREVER), -ECHILD);
    kit_gives(tong_receive_with(h->box, data, sizeof(data), NULL, 0, &message), -ECHILD);
    kit_gives(tong_receive_many(h->box, &row, 1, 0, &len), -ECHILD);
    kit_gives(tong_claim(h->box, 0, &message), -ECHILD);
    kit_gives(tong_done(h->box, &h->claim), -ECHILD);
    kit_gives(tong_return(h->box, &h->claim), -ECHILD);
    kit_gives(tong_origin_of(h->box, &h->claim, &origin), -ECHILD);
    kit_gives(tong_skip(h->box), -ECHILD);
    kit_gives(tong_wait_any(boxes, 1, TONG_FOREVER), -ECHILD);
    kit_gives(tong_interrupt(h->box), -ECHILD);
    kit_gives(tong_give(h->box, NULL), -ECHILD);
    kit_gives(tong_watch(h->box, TONG_FOREVER, &death), -ECHILD);
    kit_gives(tong_region_lock(h->region, TONG_FOREVER), -ECHILD);
    kit_gives(tong_region_unlock(h->region), -ECHILD);
    kit_gives(tong_region_notify(h->region), -ECHILD);
    kit_gives(tong_region_wait(h->region, &h->seen, TONG_FOREVER), -ECHILD);
}

static int close_in_child(void *arg)
{
    struct holder *h = arg;
    all_calls_are_echild(h);
    /* Its own handles of the same mailbox are handles like any. */
    tong_mailbox *own = kit_open(kit_name("held"), TONG_SEND, NULL);
    kit_ok(tong_close(own));
    kit_gives(tong_region_close(h->region), -ECHILD);
    kit_gives(tong_close(h->box), -ECHILD);
    kit_gives(tong_close(h->writer), -ECHILD);
    return 0;
}

static void every_call_with_a_parents_handle_is_echild(void)
{
    struct holder h;
    hold_all(&h);
    struct kit_child child = kit_spawn(close_in_child, &h);
    kit_join(&child);
    let_go(&h);
}

/* ------------------------------------------------------------------ the child's end */

static int end_by_exit(void *arg)
{
    (void)arg;
    exit(0); /* with the exit handlers that the parent registered */
}

static int end_at_once(void *arg)
{
    (void)arg;
    _exit(0);
}

static int end_by_a_signal(void *arg)
{
    (void)arg;
    (void)raise(SIGKILL);
    return 0;
}

static void no_end_of_a_child_takes_anything_from_its_parent(void)
{
    kit_child_fn *const ends[] = { end_by_exit, end_at_once, end_by_a_signal };
    struct holder h;
    hold_all(&h);
    for (size_t i = 0; i < 3; i++) {
        struct kit_child child = kit_spawn(ends[i], NULL);
        (void)kit_join_status(&child);
    }
    let_go(&h);
}

/* ------------------------------------------------------------------ other threads inside */

struct crowd {
    tong_mailbox *box;
    _Atomic bool over;
    _Atomic uint64_t sent;
    _Atomic uint64_t received;
};

static void *keep_sending(void *arg)
{
    struct crowd *crowd = arg;
    while (!atomic_load(&crowd->over)) {
        const int r = kit_send_u64(crowd->box, 7, TONG_MS(1));
        kit_true(r == 0 || r == -ETIMEDOUT);
        atomic_fetch_add(&crowd->sent, r == 0);
    }
    return NULL;
}

static void *keep_receiving(void *arg)
{
    struct crowd *crowd = arg;
    while (!atomic_load(&crowd->over)) {
        uint64_t value;
        const ssize_t n = tong_receive(crowd->box, &value, sizeof(value), TONG_MS(1));
        kit_true(n == 8 || n == -ETIMEDOUT);
        atomic_fetch_add(&crowd->received, n == 8);
    }
    return NULL;
}

static void *keep_opening(void *arg)
{
    struct crowd *crowd = arg;
    while (!atomic_load(&crowd->over)) {
        tong_mailbox *box =
            kit_open(kit_name("other"), TONG_SEND | TONG_RECEIVE | TONG_CREATE, NULL);
        kit_ok(kit_send_u64(box, 1, 0));
        kit_equal(kit_receive_u64(box), 1);
        kit_ok(tong_close(box));
    }
    return NULL;
}

static int use_own(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(kit_name("child"), TONG_SEND | TONG_RECEIVE, NULL);
    kit_ok(kit_send_u64(box, 5, KIT_PATIENCE));
    kit_equal(kit_receive_u64(box), 5);
    kit_ok(tong_close(box));
    _exit(0); /* what the parent's other threads held is no leak of this process */
}

/* Whatever the others hold at that moment, the child can use the library. */
static void a_fork_while_threads_are_inside_gives_a_child_that_works(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    kit_skip("the sanitizer's own allocator may be locked in a forked child");
#endif
    struct crowd crowd = { .box = kit_create(kit_name("busy"), NULL) };
    tong_mailbox *childs = kit_create(kit_name("child"), NULL);
    pthread_t threads[3];
    kit_equal(pthread_create(&threads[0], NULL, keep_sending, &crowd), 0);
    kit_equal(pthread_create(&threads[1], NULL, keep_receiving, &crowd), 0);
    kit_equal(pthread_create(&threads[2], NULL, keep_opening, &crowd), 0);
    for (int i = 0; i < 50; i++) {
        struct kit_child child = kit_spawn(use_own, NULL);
        kit_join(&child);
    }
    atomic_store(&crowd.over, true);
    for (size_t i = 0; i < 3; i++) {
        kit_equal(pthread_join(threads[i], NULL), 0);
    }
    uint64_t value;
    while (tong_receive(crowd.box, &value, sizeof(value), 0) == 8) {
        atomic_fetch_add(&crowd.received, 1);
    }
    kit_equal(atomic_load(&crowd.sent), atomic_load(&crowd.received));
    kit_ok(tong_close(crowd.box));
    kit_ok(tong_remove(kit_name("busy")));
    kit_ok(tong_close(childs));
    kit_ok(tong_remove(kit_name("child")));
    kit_ok(tong_remove(kit_name("other")));
}

/* ------------------------------------------------------------------ vfork, spawn */

static void a_vfork_and_exec_is_not_noticed(void)
{
    struct holder h;
    hold_all(&h);
    for (int i = 0; i < 20; i++) {
        pid_t pid;
        char *const words[] = { "true", NULL };
        kit_equal(posix_spawn(&pid, "/bin/true", NULL, NULL, words, environ), 0);
        int status;
        kit_equal(waitpid(pid, &status, 0), pid);
        kit_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    let_go(&h);
}

/* ------------------------------------------------------------------ a daemon */

struct daemon {
    kit_event opened;
    kit_event may_end;
    _Atomic int child_gave;
};

static int open_and_daemonize(void *arg)
{
    struct daemon *d = arg;
    tong_options options = kit_options();
    options.owner = TONG_PROCESS;
    tong_mailbox *box = kit_open(kit_name("daemon"), TONG_RECEIVE | TONG_CREATE, &options);
    for (int i = 0; i < 2; i++) {
        const pid_t pid = fork();
        kit_true(pid >= 0);
        if (pid != 0) {
            _exit(0);
        }
        (void)setsid();
    }
    atomic_store(&d->child_gave, (int)tong_skip(box));
    (void)tong_close(box);
    kit_event_set(&d->opened);
    kit_event_wait(&d->may_end);
    _exit(0);
}

/* The mailbox was its parent's, and its parent is gone: open in the daemon, not before. */
static void what_was_opened_before_daemonizing_ends_with_the_parent(void)
{
    struct daemon *d = kit_shared(sizeof(*d));
    struct kit_child child = kit_spawn(open_and_daemonize, d);
    kit_join(&child);
    kit_event_wait(&d->opened);
    kit_gives(atomic_load(&d->child_gave), -ECHILD);
    tong_mailbox *box = NULL;
    kit_gives(tong_open(kit_name("daemon"), TONG_SEND, NULL, &box), -ENOENT);
    box = kit_create(kit_name("daemon"), NULL);
    kit_end(box, kit_name("daemon"));
    kit_event_set(&d->may_end);
}

static const struct kit_test tests[] = {
    KIT_TEST(every_call_with_a_parents_handle_is_echild),
    KIT_TEST(no_end_of_a_child_takes_anything_from_its_parent),
    KIT_TEST_LONG(a_fork_while_threads_are_inside_gives_a_child_that_works, 120),
    KIT_TEST(a_vfork_and_exec_is_not_noticed),
    KIT_TEST(what_was_opened_before_daemonizing_ends_with_the_parent),
};

KIT_MAIN(tests)
