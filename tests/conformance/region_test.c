/* Regions: memory that processes share, its lock, its event, its end. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

static tong_region *region_open_at(const char *file, int line, const char *name, size_t size,
                                   unsigned flags, const tong_region_options *options)
{
    tong_region *region = NULL;
    const int r = tong_region_open(name, size, flags, options, &region);
    if (r != 0) {
        kit_fail_at(file, line, "tong_region_open gave %d: %s", r, tong_strerror(r));
    }
    return region;
}
#define region_open(name, size, flags, options)                                                    \
    region_open_at(__FILE__, __LINE__, name, size, flags, options)

static tong_region *create(const char *name, size_t size)
{
    return region_open(name, size, TONG_WRITE | TONG_CREATE | TONG_EXCL, NULL);
}

static void end(tong_region *region, const char *name)
{
    kit_ok(tong_region_close(region));
    kit_ok(tong_region_remove(name));
}

/* ------------------------------------------------------------------ memory */

static int write_numbers(void *arg)
{
    (void)arg;
    tong_region *region = region_open("shared", 0, TONG_WRITE, NULL);
    uint32_t *data = tong_region_data(region);
    kit_equal(tong_region_size(region), 100000);
    for (uint32_t i = 0; i < 25000; i++) {
        kit_equal(data[i], i);
        data[i] = i * 3;
    }
    return tong_region_close(region);
}

static void its_bytes_are_the_same_in_every_process(void)
{
    tong_region *region = create("shared", 100000);
    uint32_t *data = tong_region_data(region);
    kit_equal((uintptr_t)data % 4096, 0);
    for (uint32_t i = 0; i < 25000; i++) {
        kit_equal(data[i], 0);
        data[i] = i;
    }
    struct kit_child child = kit_spawn(write_numbers, NULL);
    kit_join(&child);
    for (uint32_t i = 0; i < 25000; i++) {
        kit_equal(data[i], i * 3);
    }
    end(region, "shared");
}

static void any_size_from_one_byte(void)
{
    static const size_t sizes[] = { 1, 2, 4095, 4096, 4097, 65536, 1 << 20, (16 << 20) + 1 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        tong_region *region = create("size", sizes[i]);
        unsigned char *data = tong_region_data(region);
        kit_equal(tong_region_size(region), sizes[i]);
        kit_equal(data[0], 0);
        kit_equal(data[sizes[i] - 1], 0);
        memset(data, 0xab, sizes[i]);
        tong_region *again = region_open("size", sizes[i], TONG_READ, NULL);
        const unsigned char *seen = tong_region_data(again);
        kit_equal(seen[0], 0xab);
        kit_equal(seen[sizes[i] - 1], 0xab);
        kit_ok(tong_region_close(again));
        end(region, "size");
    }
}

static void it_stays_without_a_user_until_it_is_removed(void)
{
    tong_region *region = create("stays", 10);
    strcpy(tong_region_data(region), "here");
    kit_ok(tong_region_close(region));
    region = region_open("stays", 0, TONG_READ, NULL);
    kit_true(strcmp(tong_region_data(region), "here") == 0);
    end(region, "stays");
    tong_region *none = NULL;
    kit_gives(tong_region_open("stays", 0, TONG_READ, NULL, &none), -ENOENT);
    kit_true(none == NULL);
}

static int write_to_a_readable_one(void *arg)
{
    (void)arg;
    tong_region *region = region_open("read", 0, TONG_READ, NULL);
    volatile char *data = tong_region_data(region);
    data[0] = 1;
    return 0;
}

static void a_region_opened_to_read_cannot_be_written(void)
{
    tong_region *region = create("read", 10);
    tong_region *reader = region_open("read", 0, TONG_READ, NULL);
    kit_gives(tong_region_lock(reader, 0), -EBADF);
    kit_gives(tong_region_notify(reader), -EBADF);
    kit_ok(tong_region_close(reader));
    const pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(write_to_a_readable_one(NULL));
    }
    struct kit_child child = { .pid = pid, .report_fd = dup(0) };
    const int status = kit_join_status(&child);
    /* Under a sanitizer the fault is an exit code. */
    kit_true(status != 0);
    kit_equal(*(char *)tong_region_data(region), 0);
    end(region, "read");
}

static void what_cannot_be_is_refused(void)
{
    tong_region *region = NULL;
    static const char *const bad[] = { "", ".", "..", "a/b", "-a", ".a", "\xc3\xa9", "a b" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        kit_gives(tong_region_open(bad[i], 1, TONG_WRITE | TONG_CREATE, NULL, &region), -EINVAL);
        kit_gives(tong_region_remove(bad[i]), -EINVAL);
    }
    char name[TONG_NAME_MAX + 1];
    memset(name, 'r', sizeof(name));
    name[TONG_NAME_MAX] = '\0';
    kit_gives(tong_region_open(name, 1, TONG_WRITE | TONG_CREATE, NULL, &region), -ENAMETOOLONG);
    kit_gives(tong_region_remove(name), -ENAMETOOLONG);
    kit_gives(tong_region_open("r", 1, TONG_WRITE, NULL, &region), -ENOENT);
    kit_gives(tong_region_open("r", 0, TONG_WRITE | TONG_CREATE, NULL, &region), -EINVAL);
    kit_gives(tong_region_open("r", ((size_t)1 << 40) + 1, TONG_WRITE | TONG_CREATE, NULL, &region),
              -EINVAL);
    kit_gives(tong_region_open("r", 1, TONG_CREATE, NULL, &region), -EINVAL);
    kit_gives(tong_region_open("r", 1, 0, NULL, &region), -EINVAL);
    kit_gives(tong_region_open("r", 1, TONG_WRITE | TONG_SEND, NULL, &region), -EINVAL);
    kit_gives(tong_region_open(NULL, 1, TONG_WRITE | TONG_CREATE, NULL, &region), -EINVAL);
    kit_gives(tong_region_open("r", 1, TONG_WRITE | TONG_CREATE, NULL, NULL), -EINVAL);
    tong_region_options options = TONG_REGION_OPTIONS_INIT;
    options.owner = 9;
    kit_gives(tong_region_open("r", 1, TONG_WRITE | TONG_CREATE, &options, &region), -EINVAL);
    kit_true(region == NULL);
    kit_gives(tong_region_remove("r"), -ENOENT);
    kit_gives(tong_region_lock(NULL, 0), -EINVAL);
    kit_gives(tong_region_unlock(NULL), -EINVAL);
    kit_gives(tong_region_notify(NULL), -EINVAL);
    kit_ok(tong_region_close(NULL));
    kit_true(tong_region_data(NULL) == NULL);
    kit_equal(tong_region_size(NULL), 0);
}

static void more_than_the_memory_is_enospc(void)
{
    tong_region *region = NULL;
    const int r =
        tong_region_open("huge", (size_t)1 << 40, TONG_WRITE | TONG_CREATE, NULL, &region);
    kit_true(r == -ENOSPC || r == -ENOMEM);
    kit_true(region == NULL);
    tong_region_status status = TONG_REGION_STATUS_INIT;
    kit_gives(tong_region_stat("huge", &status), -ENOENT);
}

static void another_size_or_option_is_eexist(void)
{
    tong_region *region = create("size", 100);
    tong_region *again = NULL;
    tong_region_options options = TONG_REGION_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    kit_gives(tong_region_open("size", 101, TONG_WRITE, NULL, &again), -EEXIST);
    kit_gives(tong_region_open("size", 99, TONG_WRITE | TONG_CREATE, NULL, &again), -EEXIST);
    kit_gives(tong_region_open("size", 100, TONG_WRITE | TONG_CREATE | TONG_EXCL, NULL, &again),
              -EEXIST);
    kit_gives(tong_region_open("size", 100, TONG_WRITE | TONG_CREATE, &options, &again), -EEXIST);
    kit_true(again == NULL);
    again = region_open("size", 100, TONG_WRITE | TONG_CREATE, NULL);
    kit_ok(tong_region_close(again));
    end(region, "size");
}

static void regions_and_mailboxes_have_separate_names(void)
{
    tong_region *region = create("same", 100);
    tong_mailbox *box = kit_create(kit_name("same"), NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    end(region, "same");
    kit_equal(kit_receive_u64(box), 1);
    region = create("same", 200);
    kit_end(box, kit_name("same"));
    end(region, "same");
}

/* ------------------------------------------------------------------ lock */

struct sum {
    uint64_t a;
    uint64_t b;
};

static void add_under_lock(tong_region *region, uint64_t n)
{
    volatile struct sum *sum = tong_region_data(region);
    for (uint64_t i = 0; i < n; i++) {
        kit_ok(tong_region_lock(region, KIT_PATIENCE));
        kit_equal(sum->a, sum->b);
        sum->a++;
        sum->b++;
        kit_ok(tong_region_unlock(region));
    }
}

static int add_in_a_process(void *arg)
{
    tong_region *region = region_open("lock", 0, TONG_WRITE, NULL);
    add_under_lock(region, *(uint64_t *)arg);
    return tong_region_close(region);
}

static void the_lock_excludes_processes(void)
{
    enum {
        CHILDREN = 6
    };
    uint64_t n = 5000;
    tong_region *region = create("lock", sizeof(struct sum));
    struct kit_child children[CHILDREN];
    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = kit_spawn(add_in_a_process, &n);
    }
    for (size_t i = 0; i < CHILDREN; i++) {
        kit_join(&children[i]);
    }
    kit_equal(((struct sum *)tong_region_data(region))->a, CHILDREN * n);
    end(region, "lock");
}

struct adder {
    tong_region *region;
    uint64_t n;
};

static void *add_in_a_thread(void *arg)
{
    const struct adder *adder = arg;
    add_under_lock(adder->region, adder->n);
    return NULL;
}

static void the_lock_excludes_threads(void)
{
    enum {
        THREADS = 6
    };
    struct adder adder = { .region = create("lock", sizeof(struct sum)), .n = 5000 };
    /* Half of them on a handle of their own. */
    struct adder other = { .region = region_open("lock", 0, TONG_WRITE, NULL), .n = 5000 };
    pthread_t ids[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        kit_ok(pthread_create(&ids[i], NULL, add_in_a_thread, i % 2 ? &adder : &other));
    }
    for (size_t i = 0; i < THREADS; i++) {
        kit_ok(pthread_join(ids[i], NULL));
    }
    kit_equal(((struct sum *)tong_region_data(adder.region))->a, THREADS * adder.n);
    kit_ok(tong_region_close(other.region));
    end(adder.region, "lock");
}

static void a_lock_that_is_held_is_waited_for(void)
{
    tong_region *region = create("held", 1);
    tong_region *other = region_open("held", 0, TONG_WRITE, NULL);
    tong_region_status status = TONG_REGION_STATUS_INIT;
    kit_gives(tong_region_unlock(region), -EPERM);
    kit_ok(tong_region_lock(region, TONG_FOREVER));
    kit_ok(tong_region_stat("held", &status));
    kit_equal(status.locked, 1);
    kit_gives(tong_region_lock(other, 0), -EAGAIN);
    const int64_t begin_ns = kit_now_ns();
    kit_gives(tong_region_lock(other, TONG_MS(5)), -ETIMEDOUT);
    kit_true(kit_now_ns() - begin_ns >= TONG_MS(5));
    kit_gives(tong_region_unlock(other), -EPERM);
    kit_gives(tong_region_lock(region, TONG_MS(1)), -ETIMEDOUT);
    kit_ok(tong_region_unlock(region));
    kit_gives(tong_region_unlock(region), -EPERM);
    kit_ok(tong_region_lock(other, 0));
    kit_ok(tong_region_unlock(other));
    kit_ok(tong_region_stat("held", &status));
    kit_equal(status.locked, 0);
    kit_ok(tong_region_close(other));
    end(region, "held");
}

static int lock_and_die(void *arg)
{
    (void)arg;
    tong_region *region = region_open("died", 0, TONG_WRITE, NULL);
    const int r = tong_region_lock(region, KIT_PATIENCE);
    kit_true(r == 0 || r == TONG_RECOVERED);
    memset(tong_region_data(region), 1, 4);
    kit_report("l", 1);
    kit_await_death();
}

static int lock_after_a_death(void *arg)
{
    (void)arg;
    tong_region *region = region_open("died", 0, TONG_WRITE, NULL);
    kit_report("w", 1);
    kit_gives(tong_region_lock(region, KIT_PATIENCE), TONG_RECOVERED);
    kit_ok(tong_region_unlock(region));
    return tong_region_close(region);
}

static void the_lock_of_a_killed_holder_is_recovered(void)
{
    tong_region *region = create("died", 8);
    for (size_t i = 0; i < 10; i++) {
        struct kit_child child = kit_spawn(lock_and_die, NULL);
        char c;
        kit_read_report(&child, &c, 1);
        kit_gives(tong_region_lock(region, 0), -EAGAIN);
        kit_kill(&child);
        kit_gives(tong_region_lock(region, KIT_PATIENCE), TONG_RECOVERED);
        kit_ok(tong_region_unlock(region));
        kit_ok(tong_region_lock(region, 0));
        kit_ok(tong_region_unlock(region));
    }
    end(region, "died");
}

static void who_sleeps_for_the_lock_gets_it_when_the_holder_is_killed(void)
{
    tong_region *region = create("died", 8);
    for (size_t i = 0; i < 10; i++) {
        struct kit_child holder = kit_spawn(lock_and_die, NULL);
        char c;
        kit_read_report(&holder, &c, 1);
        struct kit_child waiter = kit_spawn(lock_after_a_death, NULL);
        kit_read_report(&waiter, &c, 1);
        kit_until(kit_sleeps(waiter.pid));
        kit_kill(&holder);
        kit_join(&waiter);
    }
    end(region, "died");
}

static void closing_with_the_lock_held_releases_it_as_by_the_dead(void)
{
    tong_region *region = create("closed", 8);
    tong_region *other = region_open("closed", 0, TONG_WRITE, NULL);
    kit_ok(tong_region_lock(other, 0));
    kit_ok(tong_region_close(other));
    kit_gives(tong_region_lock(region, 0), TONG_RECOVERED);
    kit_ok(tong_region_unlock(region));
    kit_ok(tong_region_lock(region, 0));
    kit_ok(tong_region_unlock(region));
    end(region, "closed");
}

static int lock_and_die_at_random(void *arg)
{
    struct kit_random random = kit_random_stream(*(uint64_t *)arg);
    tong_region *region = region_open("dying", 0, TONG_WRITE, NULL);
    volatile struct sum *sum = tong_region_data(region);
    for (;;) {
        const int r = tong_region_lock(region, KIT_PATIENCE);
        kit_true(r == 0 || r == TONG_RECOVERED);
        if (r == TONG_RECOVERED) {
            sum->b = sum->a;
        }
        kit_equal(sum->a, sum->b);
        sum->a++;
        for (uint64_t i = kit_random_below(&random, 200); i > 0; i--) {
            __asm__ volatile("");
        }
        sum->b++;
        kit_ok(tong_region_unlock(region));
    }
}

static void the_lock_survives_kills_at_any_moment(void)
{
    enum {
        LIVING = 3
    };
    const uint64_t rounds = kit_count("TONG_TEST_LOCK_KILLS", 100);
    tong_region *region = create("dying", sizeof(struct sum));
    volatile struct sum *sum = tong_region_data(region);
    struct kit_random random = kit_random_stream(0);
    struct kit_child children[LIVING];
    uint64_t streams[LIVING];
    for (uint64_t i = 0; i < LIVING; i++) {
        streams[i] = i + 1;
        children[i] = kit_spawn(lock_and_die_at_random, &streams[i]);
    }
    for (uint64_t round = 0; round < rounds; round++) {
        const uint64_t goal = sum->a + 1 + kit_random_below(&random, 300);
        kit_until(sum->a >= goal);
        const size_t who = kit_random_below(&random, LIVING);
        kit_kill(&children[who]);
        children[who] = kit_spawn(lock_and_die_at_random, &streams[who]);
    }
    for (size_t i = 0; i < LIVING; i++) {
        kit_kill(&children[i]);
    }
    const int r = tong_region_lock(region, KIT_PATIENCE);
    kit_true(r == 0 || r == TONG_RECOVERED);
    kit_ok(tong_region_unlock(region));
    end(region, "dying");
}

static void a_lock_wait_ends_with_eidrm_on_removal(void)
{
    tong_region *region = create("removed", 8);
    kit_ok(tong_region_remove("removed"));
    uint32_t seen = 0;
    strcpy(tong_region_data(region), "kept");
    kit_gives(tong_region_lock(region, TONG_FOREVER), -EIDRM);
    kit_gives(tong_region_wait(region, &seen, TONG_FOREVER), -EIDRM);
    kit_true(strcmp(tong_region_data(region), "kept") == 0);
    tong_region *new = create("removed", 8);
    kit_equal(*(char *)tong_region_data(new), 0);
    kit_ok(tong_region_close(region));
    end(new, "removed");
}

struct region_wait {
    int answer;
    bool for_the_lock;
};

static int wait_at_a_region(void *arg)
{
    const struct region_wait *wait = arg;
    tong_region *region = region_open("wait", 0, TONG_WRITE, NULL);
    uint32_t seen = 0;
    kit_report("w", 1);
    if (wait->for_the_lock) {
        kit_gives(tong_region_lock(region, KIT_PATIENCE), wait->answer);
    } else {
        kit_gives(tong_region_wait(region, &seen, KIT_PATIENCE), wait->answer);
    }
    kit_gives(tong_region_lock(region, 0), wait->answer);
    kit_gives(tong_region_wait(region, &seen, 0), wait->answer);
    return tong_region_close(region);
}

static struct kit_child start_waiting(const struct region_wait *wait)
{
    struct kit_child child = kit_spawn(wait_at_a_region, (void *)wait);
    char c;
    kit_read_report(&child, &c, 1);
    kit_until(kit_sleeps(child.pid));
    return child;
}

static void removal_wakes_who_waits_with_eidrm(void)
{
    for (int lock = 0; lock < 2; lock++) {
        const struct region_wait wait = { .answer = -EIDRM, .for_the_lock = lock };
        tong_region *region = create("wait", 8);
        kit_ok(tong_region_lock(region, 0));
        struct kit_child child = start_waiting(&wait);
        kit_ok(tong_region_remove("wait"));
        kit_join(&child);
        kit_ok(tong_region_close(region));
    }
}

/* ------------------------------------------------------------------ notify, wait */

static void wait_sees_every_event_once(void)
{
    tong_region *region = create("event", 8);
    uint32_t seen = 0;
    kit_gives(tong_region_wait(region, &seen, 0), -EAGAIN);
    const int64_t begin_ns = kit_now_ns();
    kit_gives(tong_region_wait(region, &seen, TONG_MS(5)), -ETIMEDOUT);
    kit_true(kit_now_ns() - begin_ns >= TONG_MS(5));
    kit_equal(seen, 0);
    kit_ok(tong_region_notify(region));
    kit_ok(tong_region_wait(region, &seen, 0));
    kit_equal(seen, 1);
    kit_gives(tong_region_wait(region, &seen, 0), -EAGAIN);
    for (uint32_t i = 0; i < 10; i++) {
        kit_ok(tong_region_notify(region));
    }
    kit_ok(tong_region_wait(region, &seen, TONG_FOREVER));
    kit_equal(seen, 11);
    kit_gives(tong_region_wait(region, &seen, 0), -EAGAIN);
    kit_gives(tong_region_wait(region, NULL, 0), -EINVAL);
    end(region, "event");
}

static int follow_events(void *arg)
{
    const uint32_t n = *(uint32_t *)arg;
    tong_region *region = region_open("event", 0, TONG_READ, NULL);
    _Atomic uint32_t *data = tong_region_data(region);
    uint32_t seen = 0;
    while (seen < n) {
        const uint32_t before = seen;
        kit_ok(tong_region_wait(region, &seen, KIT_PATIENCE));
        kit_true(seen != before);
        kit_true(atomic_load(data) >= seen);
    }
    return tong_region_close(region);
}

static void notify_wakes_all_who_wait(void)
{
    enum {
        CHILDREN = 4
    };
    uint32_t n = 2000;
    tong_region *region = create("event", sizeof(uint32_t));
    _Atomic uint32_t *data = tong_region_data(region);
    struct kit_child children[CHILDREN];
    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = kit_spawn(follow_events, &n);
    }
    for (size_t i = 0; i < CHILDREN; i++) {
        kit_until(kit_sleeps(children[i].pid));
    }
    for (uint32_t i = 1; i <= n; i++) {
        atomic_store(data, i);
        kit_ok(tong_region_notify(region));
    }
    for (size_t i = 0; i < CHILDREN; i++) {
        kit_join(&children[i]);
    }
    end(region, "event");
}

static void do_nothing(int signal)
{
    (void)signal;
}

static int wait_for_a_signal(void *arg)
{
    const struct sigaction action = { .sa_handler = do_nothing };
    sigaction(SIGUSR1, &action, NULL);
    tong_region *region = region_open("signal", 0, TONG_WRITE, NULL);
    uint32_t seen = 0;
    kit_report("w", 1);
    if (*(int *)arg) {
        kit_gives(tong_region_lock(region, TONG_FOREVER), -EINTR);
    } else {
        kit_gives(tong_region_wait(region, &seen, TONG_FOREVER), -EINTR);
    }
    return tong_region_close(region);
}

static void a_signal_ends_a_wait_with_eintr(void)
{
    tong_region *region = create("signal", 8);
    kit_ok(tong_region_lock(region, 0));
    for (int lock = 0; lock < 2; lock++) {
        struct kit_child child = kit_spawn(wait_for_a_signal, &lock);
        char c;
        kit_read_report(&child, &c, 1);
        kit_until(kit_sleeps(child.pid));
        kit_ok(kill(child.pid, SIGUSR1));
        kit_join(&child);
    }
    kit_ok(tong_region_unlock(region));
    end(region, "signal");
}

/* ------------------------------------------------------------------ process-owned, fork, look */

struct region_owner {
    kit_event close;
};

static int own_a_region(void *arg)
{
    struct region_owner *owner = arg;
    tong_region_options options = TONG_REGION_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    tong_region *region = region_open("wait", 100, TONG_WRITE | TONG_CREATE | TONG_EXCL, &options);
    strcpy(tong_region_data(region), "owned");
    kit_ok(tong_region_lock(region, 0));
    kit_report("o", 1);
    kit_event_wait(&owner->close);
    kit_ok(tong_region_unlock(region));
    return tong_region_close(region);
}

static void a_process_owned_region_ends_with_its_process(void)
{
    for (int way = 0; way < 4; way++) {
        const bool kill = way < 2;
        const struct region_wait wait = { .answer = -EOWNERDEAD, .for_the_lock = way % 2 };
        struct region_owner *owner = kit_shared(sizeof(*owner));
        struct kit_child process = kit_spawn(own_a_region, owner);
        char c;
        kit_read_report(&process, &c, 1);
        tong_region_status status = TONG_REGION_STATUS_INIT;
        kit_ok(tong_region_stat("wait", &status));
        kit_equal(status.owner_pid, process.pid);
        kit_equal(status.owner, TONG_PROCESS);
        tong_region *region = region_open("wait", 0, TONG_WRITE, NULL);
        if (wait.for_the_lock && !kill) {
            /* A close gives the lock free first; who waits may get it before the end. */
            kit_event_set(&owner->close);
            kit_join(&process);
        } else {
            struct kit_child waiter = start_waiting(&wait);
            if (kill) {
                kit_kill(&process);
            } else {
                kit_event_set(&owner->close);
                kit_join(&process);
            }
            kit_join(&waiter);
        }
        kit_true(strcmp(tong_region_data(region), "owned") == 0);
        kit_gives(tong_region_lock(region, TONG_FOREVER), -EOWNERDEAD);
        tong_region *none = NULL;
        kit_gives(tong_region_open("wait", 0, TONG_READ, NULL, &none), -ENOENT);
        kit_gives(tong_region_stat("wait", &status), -ENOENT);
        none = create("wait", 50);
        kit_equal(*(char *)tong_region_data(none), 0);
        kit_ok(tong_region_close(region));
        end(none, "wait");
    }
}

static int use_the_parents_region(void *arg)
{
    tong_region *region = arg;
    uint32_t seen = 0;
    kit_gives(tong_region_lock(region, 0), -ECHILD);
    kit_gives(tong_region_unlock(region), -ECHILD);
    kit_gives(tong_region_notify(region), -ECHILD);
    kit_gives(tong_region_wait(region, &seen, 0), -ECHILD);
    kit_gives(tong_region_close(region), -ECHILD);
    region = region_open("fork", 0, TONG_WRITE, NULL);
    kit_gives(tong_region_lock(region, 0), -EAGAIN);
    return tong_region_close(region);
}

static void a_forked_child_cannot_use_the_handle(void)
{
    tong_region *region = create("fork", 8);
    kit_ok(tong_region_lock(region, 0));
    struct kit_child child = kit_spawn(use_the_parents_region, region);
    kit_join(&child);
    kit_ok(tong_region_unlock(region));
    kit_ok(tong_region_lock(region, 0));
    kit_ok(tong_region_unlock(region));
    end(region, "fork");
}

struct list {
    char names[8][TONG_NAME_MAX];
    size_t n;
};

static int note_region(const tong_region_status *status, int error, void *arg)
{
    struct list *list = arg;
    kit_ok(error);
    kit_equal(status->size, 10);
    strcpy(list->names[list->n++], status->name);
    return list->n == 3 ? 42 : 0;
}

static void list_and_stat_show_the_regions(void)
{
    struct list list = { .n = 0 };
    tong_region_status status = TONG_REGION_STATUS_INIT;
    kit_ok(tong_region_list(note_region, &list));
    kit_equal(list.n, 0);
    kit_gives(tong_region_stat("b", &status), -ENOENT);
    kit_ok(tong_region_close(create("b", 10)));
    kit_ok(tong_region_close(create("a", 10)));
    kit_ok(tong_region_stat("b", &status));
    kit_true(strcmp(status.name, "b") == 0);
    kit_equal(status.size, 10);
    kit_true(status.bytes >= 10);
    kit_equal(status.mode, 0600);
    kit_equal(status.owner, TONG_SYSTEM);
    kit_equal(status.owner_pid, 0);
    kit_equal(status.owner_uid, geteuid());
    kit_equal(status.locked, 0);
    kit_ok(tong_region_list(note_region, &list));
    kit_equal(list.n, 2);
    kit_true(strcmp(list.names[0], "a") == 0 && strcmp(list.names[1], "b") == 0);
    kit_gives(tong_region_list(note_region, &list), 42);
    kit_ok(tong_region_remove("a"));
    kit_ok(tong_region_remove("b"));
}

static const struct kit_test tests[] = {
    KIT_TEST(its_bytes_are_the_same_in_every_process),
    KIT_TEST(any_size_from_one_byte),
    KIT_TEST(it_stays_without_a_user_until_it_is_removed),
    KIT_TEST(a_region_opened_to_read_cannot_be_written),
    KIT_TEST(what_cannot_be_is_refused),
    KIT_TEST(more_than_the_memory_is_enospc),
    KIT_TEST(another_size_or_option_is_eexist),
    KIT_TEST(regions_and_mailboxes_have_separate_names),
    KIT_TEST(the_lock_excludes_processes),
    KIT_TEST(the_lock_excludes_threads),
    KIT_TEST(a_lock_that_is_held_is_waited_for),
    KIT_TEST(the_lock_of_a_killed_holder_is_recovered),
    KIT_TEST(who_sleeps_for_the_lock_gets_it_when_the_holder_is_killed),
    KIT_TEST(closing_with_the_lock_held_releases_it_as_by_the_dead),
    KIT_TEST(the_lock_survives_kills_at_any_moment),
    KIT_TEST(a_lock_wait_ends_with_eidrm_on_removal),
    KIT_TEST(removal_wakes_who_waits_with_eidrm),
    KIT_TEST(wait_sees_every_event_once),
    KIT_TEST(notify_wakes_all_who_wait),
    KIT_TEST(a_signal_ends_a_wait_with_eintr),
    KIT_TEST(a_process_owned_region_ends_with_its_process),
    KIT_TEST(a_forked_child_cannot_use_the_handle),
    KIT_TEST(list_and_stat_show_the_regions),
};

KIT_MAIN(tests)
