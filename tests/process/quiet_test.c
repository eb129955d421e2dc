/*
 * What it costs: nothing while waiting, no system call while both sides are busy.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "kit.h"

/* ------------------------------------------------------------------ idle */

static int block_in_receive(void *arg)
{
    kit_receive_u64(kit_open(kit_name(arg), TONG_RECEIVE, NULL));
    return 1;
}

static int block_in_claim(void *arg)
{
    tong_message message = TONG_MESSAGE_INIT;
    return tong_claim(kit_open(kit_name(arg), TONG_RECEIVE, NULL), TONG_FOREVER, &message);
}

static int block_in_send(void *arg)
{
    return kit_send_u64(kit_open(kit_name(arg), TONG_SEND, NULL), 1, TONG_FOREVER);
}

static int block_in_wait_any(void *arg)
{
    tong_mailbox *boxes[2] = { kit_open(kit_name(arg), TONG_RECEIVE, NULL),
                               kit_open(kit_name("empty"), TONG_RECEIVE, NULL) };
    return tong_wait_any(boxes, 2, TONG_FOREVER);
}

static int block_at_a_region(void *arg)
{
    tong_region *region = NULL;
    uint32_t seen = 0;
    kit_ok(tong_region_open(arg, 0, TONG_READ, NULL, &region));
    return tong_region_wait(region, &seen, TONG_FOREVER);
}

static int block_at_a_lock(void *arg)
{
    tong_region *region = NULL;
    kit_ok(tong_region_open(arg, 0, TONG_WRITE, NULL, &region));
    return tong_region_lock(region, TONG_FOREVER);
}

static void backstop_found_nothing(void)
{
    static const char *const names[] = { "empty", "empty2", "full", "meet" };
    for (size_t i = 0; i < 4; i++) {
        kit_equal(kit_stat(kit_name(names[i])).backstop_finds, 0);
    }
}

static void who_waits_makes_at_most_one_context_switch_a_second(void)
{
    enum {
        SECONDS = 3,
        CHILDREN = 9
    };
    static const struct {
        kit_child_fn *block;
        const char *where;
    } ways[CHILDREN] = {
        { block_in_receive, "empty" },   { block_in_receive, "empty" }, { block_in_claim, "empty" },
        { block_in_wait_any, "empty2" }, { block_in_send, "full" },     { block_in_send, "full" },
        { block_in_send, "meet" },       { block_at_a_region, "r" },    { block_at_a_lock, "r" },
    };
    const tong_options bounded = kit_capacity(1);
    const tong_options rendezvous = kit_capacity(0);
    tong_mailbox *empty = kit_open(kit_name("empty"), TONG_SEND | TONG_CREATE, NULL);
    tong_mailbox *empty2 = kit_open(kit_name("empty2"), TONG_SEND | TONG_CREATE, NULL);
    tong_mailbox *full = kit_create(kit_name("full"), &bounded);
    tong_mailbox *meet = kit_create(kit_name("meet"), &rendezvous);
    tong_region *region = NULL;
    kit_ok(tong_region_open("r", 1, TONG_WRITE | TONG_CREATE, NULL, &region));
    kit_ok(tong_region_lock(region, 0));
    kit_ok(kit_send_u64(full, 1, 0));
    struct kit_child children[CHILDREN];
    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = kit_spawn(ways[i].block, (void *)ways[i].where);
    }
    kit_until_asleep(kit_name("empty"), 4);
    kit_until_asleep(kit_name("empty2"), 1);
    kit_until_blocked(kit_name("full"), 2);
    kit_until_blocked(kit_name("meet"), 1);
    for (size_t i = 0; i < CHILDREN; i++) {
        kit_until(kit_sleeps(children[i].pid));
    }
    uint64_t before[CHILDREN];
    for (size_t i = 0; i < CHILDREN; i++) {
        before[i] = kit_switches(children[i].pid);
    }
    const struct timespec some = { .tv_sec = SECONDS };
    nanosleep(&some, NULL);
    for (size_t i = 0; i < CHILDREN; i++) {
        const uint64_t switches = kit_switches(children[i].pid) - before[i];
        printf("idle at %s: %llu context switches in %d s\n", ways[i].where,
               (unsigned long long)switches, SECONDS);
        /* One a second; the first may fall to the very beginning of the time. */
        kit_true(switches <= SECONDS + 1);
        kit_until(kit_sleeps(children[i].pid));
    }
    backstop_found_nothing();
    for (size_t i = 0; i < CHILDREN; i++) {
        kit_kill(&children[i]);
    }
    kit_ok(tong_region_close(region));
    kit_ok(tong_region_remove("r"));
    kit_end(empty, kit_name("empty"));
    kit_end(empty2, kit_name("empty2"));
    kit_end(full, kit_name("full"));
    kit_end(meet, kit_name("meet"));
}

/* ------------------------------------------------------------------ busy */

struct busy {
    kit_event go;
    kit_event over[2];
    _Atomic uint32_t leave;
    _Atomic uint32_t ready;
    uint64_t n;
};

static void be_ready(struct busy *busy)
{
    /* Where only a parent may trace its children, strace is not their parent. */
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    atomic_fetch_add(&busy->ready, 1);
    kit_spin_until(atomic_load(&busy->go) != 0);
}

static void be_over(struct busy *busy, size_t who)
{
    atomic_store(&busy->over[who], 1);
    kit_spin_until(atomic_load(&busy->leave) != 0);
}

static int send_busily(void *arg)
{
    struct busy *busy = arg;
    char data[64] = { 0 };
    tong_mailbox *box = kit_open(kit_name("busy"), TONG_SEND, NULL);
    be_ready(busy);
    for (uint64_t i = 0; i < busy->n; i++) {
        memcpy(data, &i, sizeof(i));
        kit_ok(tong_send(box, data, sizeof(data), TONG_FOREVER));
    }
    be_over(busy, 0);
    return tong_close(box);
}

static int receive_busily(void *arg)
{
    struct busy *busy = arg;
    char data[64];
    tong_mailbox *box = kit_open(kit_name("busy"), TONG_RECEIVE, NULL);
    be_ready(busy);
    for (uint64_t i = 0; i < busy->n; i++) {
        uint64_t value;
        kit_gives(tong_receive(box, data, sizeof(data), TONG_FOREVER), (int64_t)sizeof(data));
        memcpy(&value, data, sizeof(value));
        kit_equal(value, i);
    }
    be_over(busy, 1);
    return tong_close(box);
}

static uint64_t count_calls(struct busy *busy, struct kit_child children[], size_t n)
{
    pid_t pids[2];
    for (size_t i = 0; i < n; i++) {
        pids[i] = children[i].pid;
    }
    kit_until(atomic_load(&busy->ready) == n);
    const uint64_t calls = kit_traced_calls(pids, n, &busy->go, busy->over);
    atomic_store(&busy->leave, 1);
    for (size_t i = 0; i < n; i++) {
        kit_join(&children[i]);
    }
    return calls;
}

/* What else runs on the machine puts both sides onto one processor and wakes them in turn; that is
 * its cost and not theirs. So the best of a few tries counts. */
static void busy_sides_make_a_call_for_a_hundred_messages_at_most(void)
{
    enum {
        TRIES = 5
    };
    tong_mailbox *box = kit_open(kit_name("busy"), TONG_SEND | TONG_CREATE, NULL);
    const uint64_t n = kit_count("TONG_TEST_BUSY", 200000);
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < TRIES && best >= n / 100; i++) {
        struct busy *busy = kit_shared(sizeof(*busy));
        busy->n = n;
        struct kit_child children[2] = { kit_spawn(send_busily, busy),
                                         kit_spawn(receive_busily, busy) };
        const uint64_t calls = count_calls(busy, children, 2);
        printf("busy: %llu system calls for %llu messages, both sides together\n",
               (unsigned long long)calls, (unsigned long long)n);
        best = calls < best ? calls : best;
    }
    kit_true(best < n / 100);
    kit_end(box, kit_name("busy"));
}

static int use_a_region(void *arg)
{
    struct busy *busy = arg;
    tong_region *region = NULL;
    kit_ok(tong_region_open("calm", 0, TONG_WRITE, NULL, &region));
    uint64_t *data = tong_region_data(region);
    uint32_t seen = 0;
    be_ready(busy);
    for (uint64_t i = 0; i < busy->n; i++) {
        kit_ok(tong_region_lock(region, TONG_FOREVER));
        data[0]++;
        kit_ok(tong_region_unlock(region));
        kit_ok(tong_region_notify(region));
        kit_ok(tong_region_wait(region, &seen, TONG_FOREVER));
    }
    be_over(busy, 0);
    return tong_region_close(region);
}

static void a_region_makes_no_call_after_set_up(void)
{
    struct busy *busy = kit_shared(sizeof(*busy));
    busy->n = kit_count("TONG_TEST_BUSY", 200000);
    tong_region *region = NULL;
    kit_ok(tong_region_open("calm", 4096, TONG_WRITE | TONG_CREATE, NULL, &region));
    struct kit_child child = kit_spawn(use_a_region, busy);
    const uint64_t calls = count_calls(busy, &child, 1);
    printf("region: %llu system calls for %llu locks, notices and waits\n",
           (unsigned long long)calls, (unsigned long long)busy->n);
    kit_equal(*(uint64_t *)tong_region_data(region), busy->n);
    kit_equal(calls, 0);
    kit_ok(tong_region_close(region));
    kit_ok(tong_region_remove("calm"));
}

/* So that 0 above means something: the same way of counting finds calls where there are some. */
static int make_calls(void *arg)
{
    struct busy *busy = arg;
    be_ready(busy);
    for (uint64_t i = 0; i < busy->n; i++) {
        (void)getppid();
    }
    be_over(busy, 0);
    return 0;
}

static void the_count_of_calls_counts(void)
{
    struct busy *busy = kit_shared(sizeof(*busy));
    busy->n = 321;
    struct kit_child child = kit_spawn(make_calls, busy);
    kit_equal(count_calls(busy, &child, 1), 321);
}

static const struct kit_test tests[] = {
    KIT_TEST(who_waits_makes_at_most_one_context_switch_a_second),
    KIT_TEST_LONG(busy_sides_make_a_call_for_a_hundred_messages_at_most, 120),
    KIT_TEST(a_region_makes_no_call_after_set_up),
    KIT_TEST(the_count_of_calls_counts),
};

KIT_MAIN(tests)
