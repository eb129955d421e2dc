/*
 * Threads that end: by pthread_exit(), by cancellation, the first one before the others. What a handle
 * holds is the process's, not the thread's.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

#if defined(__SANITIZE_ADDRESS__)
__attribute__((visibility("default"))) const char *__asan_default_options(void);

/* Its own end of a thread takes an unwound stack for a fault. */
const char *__asan_default_options(void)
{
    return "use_sigaltstack=0";
}
#endif

struct shared {
    tong_mailbox *box;
    tong_region *region;
    tong_message message;
    tong_slot slot;
    _Atomic bool reached;
    _Atomic int gave;
};

static void run_to_its_end(void *(*function)(void *arg), void *arg)
{
    pthread_t thread;
    kit_equal(pthread_create(&thread, NULL, function, arg), 0);
    kit_equal(pthread_join(thread, NULL), 0);
}

/* ------------------------------------------------------------------ pthread_exit */

static void *claim_lock_and_exit(void *arg)
{
    struct shared *s = arg;
    s->message = (tong_message)TONG_MESSAGE_INIT;
    kit_ok(tong_claim(s->box, 0, &s->message));
    kit_ok(tong_region_open("threads", 100, TONG_WRITE | TONG_CREATE, NULL, &s->region));
    kit_ok(tong_region_lock(s->region, 0));
    pthread_exit(NULL);
}

static void what_a_thread_held_is_held_after_its_end(void)
{
    struct shared s = { .box = kit_create(kit_name("threads"), NULL) };
    kit_ok(kit_send_u64(s.box, 1, 0));
    run_to_its_end(claim_lock_and_exit, &s);
    tong_mailbox *other = kit_open(kit_name("threads"), TONG_RECEIVE, NULL);
    kit_is_empty(other);
    tong_region *again = NULL;
    kit_ok(tong_region_open("threads", 0, TONG_WRITE, NULL, &again));
    kit_gives(tong_region_lock(again, 0), -EAGAIN);
    kit_equal(kit_stat(kit_name("threads")).deaths, 0);
    kit_ok(tong_region_unlock(s.region));
    kit_ok(tong_region_lock(again, KIT_PATIENCE));
    kit_ok(tong_region_close(s.region));
    kit_ok(tong_region_close(again));
    kit_ok(tong_region_remove("threads"));
    kit_ok(tong_done(s.box, &s.message));
    kit_ok(tong_close(other));
    kit_end(s.box, kit_name("threads"));
}

/* ------------------------------------------------------------------ the first thread */

struct first {
    kit_event gone;
    kit_event sent;
    kit_event may_end;
};

static void *live_on(void *arg)
{
    struct shared *s = ((void **)arg)[0];
    struct first *first = ((void **)arg)[1];
    kit_event_wait(&first->sent);
    kit_equal(kit_receive_u64(s->box), 2);
    kit_ok(tong_done(s->box, &s->message));
    kit_ok(tong_close(s->box));
    kit_event_set(&first->may_end);
    _exit(0); /* what the first thread had on its stack is no leak */
}

static int end_the_first_thread(void *arg)
{
    static struct shared s;
    static void *both[2];
    both[0] = &s;
    both[1] = arg;
    s.box = kit_open(kit_name("first"), TONG_RECEIVE, NULL);
    s.message = (tong_message)TONG_MESSAGE_INIT;
    kit_ok(tong_claim(s.box, 0, &s.message));
    pthread_t thread;
    kit_equal(pthread_create(&thread, NULL, live_on, both), 0);
    kit_event_set(&((struct first *)arg)->gone);
    pthread_exit(NULL);
}

static bool first_is_a_zombie(pid_t pid)
{
    char path[64];
    char line[512];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    const bool is = fgets(line, sizeof(line), file) != NULL && strstr(line, ") Z") != NULL;
    (void)fclose(file);
    return is;
}

/* The process has its first thread's number, and lives on without it. */
static void the_end_of_the_first_thread_is_no_death(void)
{
    struct first *first = kit_shared(sizeof(*first));
    tong_mailbox *box = kit_create(kit_name("first"), NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    struct kit_child child = kit_spawn(end_the_first_thread, first);
    kit_event_wait(&first->gone);
    kit_until(first_is_a_zombie(child.pid));
    kit_is_empty(box);
    kit_equal(kit_stat(kit_name("first")).receivers, 2);
    kit_equal(kit_stat(kit_name("first")).deaths, 0);
    kit_ok(kit_send_u64(box, 2, 0));
    kit_event_set(&first->sent);
    kit_event_wait(&first->may_end);
    kit_join(&child);
    kit_is_empty(box);
    kit_end(box, kit_name("first"));
}

/* ------------------------------------------------------------------ cancellation */

static void use_a_mailbox(uint32_t capacity)
{
    tong_options options = kit_options();
    options.capacity = capacity;
    char *data = calloc(1, 3 << 20);
    tong_mailbox *box = NULL;
    tong_message message = TONG_MESSAGE_INIT;
    tong_status status = TONG_STATUS_INIT;
    tong_death death = TONG_DEATH_INIT;
    kit_true(data != NULL);
    kit_ok(tong_open(kit_name("cancel"), TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options, &box));
    kit_ok(tong_send(box, data, 3 << 20, 0));
    kit_ok(tong_send(box, data, 10, 0));
    kit_gives(tong_receive(box, data, 3 << 20, 0), 3 << 20);
    kit_ok(tong_claim(box, 0, &message));
    kit_ok(tong_return(box, &message));
    kit_gives(tong_skip(box), 10);
    kit_gives(tong_receive(box, data, 10, TONG_MS(2)), -ETIMEDOUT);
    kit_gives(tong_wait_any(&box, 1, TONG_MS(2)), -ETIMEDOUT);
    kit_gives(tong_watch(box, TONG_MS(2), &death), -ETIMEDOUT);
    kit_ok(tong_interrupt(box));
    kit_ok(tong_give(box, NULL));
    kit_ok(tong_stat(kit_name("cancel"), &status));
    kit_ok(tong_list(kit_ignore_mailbox, NULL));
    kit_true(tong_doctor(1, kit_ignore_finding, NULL) >= 0);
    kit_ok(tong_close(box));
    kit_ok(tong_remove(kit_name("cancel")));
    free(data);
}

static void use_a_region(void)
{
    tong_region *region = NULL;
    tong_region_status status = TONG_REGION_STATUS_INIT;
    uint32_t seen = 0;
    kit_ok(tong_region_open("cancel", 100, TONG_WRITE | TONG_CREATE, NULL, &region));
    kit_ok(tong_region_lock(region, 0));
    kit_gives(tong_region_lock(region, TONG_MS(2)), -ETIMEDOUT);
    kit_ok(tong_region_unlock(region));
    kit_gives(tong_region_wait(region, &seen, TONG_MS(2)), -ETIMEDOUT);
    kit_ok(tong_region_notify(region));
    kit_ok(tong_region_stat("cancel", &status));
    kit_ok(tong_region_list(kit_ignore_region, NULL));
    kit_ok(tong_region_close(region));
    kit_ok(tong_region_remove("cancel"));
}

/* Cancelled before it begins: it gets through every call, and ends at the first point outside. */
static void *use_all_cancelled(void *arg)
{
    struct shared *s = arg;
    kit_equal(pthread_cancel(pthread_self()), 0);
    use_a_mailbox(TONG_UNBOUNDED);
    use_a_mailbox(20);
    use_a_region();
    atomic_store(&s->reached, true);
    pthread_testcancel();
    kit_fail("it was not cancelled");
}

static void no_call_is_a_cancellation_point(void)
{
    struct shared s = { .box = NULL };
    pthread_t thread;
    void *end = NULL;
    kit_equal(pthread_create(&thread, NULL, use_all_cancelled, &s), 0);
    kit_equal(pthread_join(thread, &end), 0);
    kit_true(end == PTHREAD_CANCELED && atomic_load(&s.reached));
}

static void *wait_then_end(void *arg)
{
    struct shared *s = arg;
    uint64_t value = 0;
    kit_gives(tong_receive(s->box, &value, sizeof(value), KIT_PATIENCE), 8);
    atomic_store(&s->gave, (int)value);
    pthread_testcancel();
    kit_fail("it was not cancelled");
}

/* A wait goes on; its message is not lost with the thread. */
static void a_cancelled_wait_ends_with_its_message(void)
{
    struct shared s = { .box = kit_create(kit_name("cancel"), NULL) };
    pthread_t thread;
    kit_equal(pthread_create(&thread, NULL, wait_then_end, &s), 0);
    kit_until_asleep(kit_name("cancel"), 1);
    kit_equal(pthread_cancel(thread), 0);
    kit_ok(kit_send_u64(s.box, 7, 0));
    kit_equal(pthread_join(thread, NULL), 0);
    kit_equal(atomic_load(&s.gave), 7);
    kit_end(s.box, kit_name("cancel"));
}

/* ------------------------------------------------------------------ keys */

static int open_without_a_key(void *arg)
{
    (void)arg;
    static pthread_key_t keys[PTHREAD_KEYS_MAX];
    size_t n = 0;
    while (n < PTHREAD_KEYS_MAX && pthread_key_create(&keys[n], NULL) == 0) {
        n++;
    }
    tong_mailbox *box = NULL;
    kit_gives(tong_open(kit_name("key"), TONG_SEND | TONG_CREATE, NULL, &box), -ENOMEM);
    return 0;
}

static void without_a_thread_key_open_is_enomem(void)
{
    struct kit_child child = kit_spawn(open_without_a_key, NULL);
    kit_join(&child);
}

static const struct kit_test tests[] = {
    KIT_TEST(what_a_thread_held_is_held_after_its_end),
    KIT_TEST(the_end_of_the_first_thread_is_no_death),
    KIT_TEST(no_call_is_a_cancellation_point),
    KIT_TEST(a_cancelled_wait_ends_with_its_message),
    KIT_TEST(without_a_thread_key_open_is_enomem),
};

KIT_MAIN(tests)
