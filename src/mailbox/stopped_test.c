/*
 * A sender stopped at any point of a send: what it promised before is received, by now or when it goes on, and
 * nothing comes twice.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/point.h"
#include "kit.h"

enum {
    LOW = 1,
    HIGH = 2,
    BOTH = LOW | HIGH,
};

struct stage {
    const char *name;
    unsigned long n;
    _Atomic int sent; /* the second send has returned */
};

static int send_with(tong_mailbox *box, uint64_t value, uint32_t priority)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.priority = priority;
    return tong_send_with(box, &value, sizeof(value), &with, 0);
}

static int send_two(void *arg)
{
    struct stage *stage = arg;
    tong_mailbox *box = NULL;
    kit_ok(tong_open(stage->name, TONG_SEND, NULL, &box));
    kit_ok(send_with(box, LOW, 0));
    tg_point_stop(stage->n);
    kit_ok(send_with(box, HIGH, 9));
    tg_point_stop(0);
    atomic_store(&stage->sent, 1);
    return tong_close(box);
}

/* All that is there, each once. */
static void take_all(tong_mailbox *box, unsigned *seen)
{
    uint64_t value = 0;
    ssize_t r;
    while ((r = tong_receive(box, &value, sizeof(value), 0)) >= 0) {
        kit_true((value == LOW || value == HIGH) && (*seen & value) == 0);
        *seen |= (unsigned)value;
    }
    kit_gives(r, -EAGAIN);
}

/* True: it was stopped. False: it had fewer points. */
static bool stop_at(const char *name, const tong_options *options, unsigned long n, bool kills)
{
    struct stage *stage = kit_shared(sizeof(*stage));
    tong_mailbox *box = NULL;
    unsigned seen = 0;
    siginfo_t info = { 0 };
    kit_ok(tong_open(name, TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_EXCL, options, &box));
    stage->name = name;
    stage->n = n;
    struct kit_child child = kit_spawn(send_two, stage);
    kit_ok(waitid(P_PID, (id_t)child.pid, &info, WSTOPPED | WEXITED | WNOWAIT));
    const bool stopped = atomic_load(&stage->sent) == 0;
    take_all(box, &seen);
    if (stopped && kills) {
        kit_kill(&child);
        kit_until((take_all(box, &seen), (seen & LOW) != 0));
    } else {
        kit_ok(kill(child.pid, SIGCONT));
        kit_join(&child);
        take_all(box, &seen);
        kit_equal(seen, BOTH);
    }
    take_all(box, &seen);
    kit_equal(kit_stat(name).waiting, 0);
    kit_ok(tong_close(box));
    kit_ok(tong_remove(name));
    return stopped;
}

static void stop_everywhere(const char *name)
{
    tong_options options = kit_capacity(4);
    options.by_priority = 1;
    unsigned long n = 1;
    while (stop_at(name, &options, n, false)) {
        kit_true(stop_at(name, &options, n, true));
        n++;
    }
    kit_true(n > 5);
}

static void in_shared_memory(void)
{
    stop_everywhere("stopped");
}

static void over_queues_of_the_kernel(void)
{
    stop_everywhere("mq:stopped");
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(in_shared_memory, 120),
    KIT_TEST_LONG(over_queues_of_the_kernel, 120),
};

KIT_MAIN(tests)
