/*
 * A sender stopped at any point of a send: what it promised before is received, by now or when it goes on, and
 * nothing comes twice. And a receiver stopped at any point, while another one takes the room that it freed.
 */
#include <errno.h>
#include <poll.h>
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

/* ---- a receiver that takes what its sender is about to count */

struct meeting {
    unsigned long n;
    kit_event over;
    _Atomic int got;
};

static int send_one_and_close(void *arg)
{
    const struct meeting *sender = arg;
    tong_mailbox *box = NULL;
    kit_ok(tong_open("mq:meeting", TONG_SEND, NULL, &box));
    kit_ok(send_with(box, LOW, 0));
    tg_point_stop(sender->n);
    kit_ok(send_with(box, HIGH, 0));
    tg_point_stop(0);
    return tong_close(box);
}

static int receive_one_stopped(void *arg)
{
    struct meeting *receiver = arg;
    uint64_t value = 0;
    tong_mailbox *box = NULL;
    kit_ok(tong_open("mq:meeting", TONG_RECEIVE, NULL, &box));
    tg_point_stop(receiver->n);
    const ssize_t r = tong_receive(box, &value, sizeof(value), 0);
    tg_point_stop(0);
    atomic_store(&receiver->got, r < 0 ? (int)r : (int)value);
    kit_event_set(&receiver->over);
    kit_await_death();
}

static bool is_stopped(const struct kit_child *child)
{
    siginfo_t info = { 0 };
    return waitid(P_PID, (id_t)child->pid, &info, WSTOPPED | WNOWAIT | WNOHANG) == 0 &&
           info.si_pid == child->pid;
}

/* The sender is stopped at its k-th point, the receiver then at its n-th; then the sender goes on and is gone, and then
 * the receiver. 0: so many points the sender has not; 1: nor the receiver; 2. */
static int meet_at(unsigned long k, unsigned long n)
{
    const tong_options options = kit_capacity(4);
    struct meeting *sender = kit_shared(sizeof(*sender));
    struct meeting *receiver = kit_shared(sizeof(*receiver));
    tong_mailbox *box = NULL;
    unsigned seen = 0;
    siginfo_t info = { 0 };
    kit_ok(tong_open("mq:meeting", TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options,
                     &box));
    sender->n = k;
    receiver->n = n;
    struct kit_child sends = kit_spawn(send_one_and_close, sender);
    kit_ok(waitid(P_PID, (id_t)sends.pid, &info, WSTOPPED | WEXITED | WNOWAIT));
    const bool sender_stopped = info.si_code == CLD_STOPPED;
    kit_equal(kit_receive_u64(box), LOW);
    struct kit_child receives = kit_spawn(receive_one_stopped, receiver);
    kit_until(atomic_load(&receiver->over) != 0 || is_stopped(&receives));
    const bool receiver_stopped = atomic_load(&receiver->over) == 0;
    if (sender_stopped) {
        kit_ok(kill(sends.pid, SIGCONT));
    }
    kit_join(&sends);
    kit_ok(kill(receives.pid, SIGCONT));
    kit_event_wait(&receiver->over);
    take_all(box, &seen);
    const int got = atomic_load(&receiver->got);
    kit_true(got == HIGH || got == -EAGAIN);
    kit_equal(seen, got == HIGH ? 0 : HIGH);
    kit_kill(&receives);
    kit_ok(tong_close(box));
    kit_ok(tong_remove("mq:meeting"));
    return !sender_stopped ? 0 : receiver_stopped ? 2 : 1;
}

static void what_a_sender_counted_before_it_went_is_received(void)
{
    unsigned long k = 1;
    unsigned long most = 0;
    int r;
    do {
        unsigned long n = 1;
        while ((r = meet_at(k, n)) == 2) {
            n++;
        }
        most = n > most ? n : most;
        k++;
    } while (r != 0);
    kit_true(k > 3 && most > 5);
}

/* ---- room that another one takes before who freed it has rung */

struct room {
    unsigned long n;
    kit_event opened;
    kit_event go;
    kit_event tried;
    _Atomic int holds;
};

#define ROOM "room"

static int receive_one(void *arg)
{
    struct room *room = arg;
    uint64_t value = 0;
    tong_mailbox *box = NULL;
    kit_ok(tong_open(ROOM, TONG_RECEIVE, NULL, &box));
    tg_point_stop(room->n);
    kit_gives(tong_receive(box, &value, sizeof(value), 0), sizeof(value));
    tg_point_stop(0);
    kit_event_set(&room->opened);
    kit_await_death();
}

static int hold(void *arg)
{
    struct room *room = arg;
    tong_mailbox *box = NULL;
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_open(ROOM, TONG_SEND, NULL, &box));
    kit_gives(tong_reserve(box, 8, 0, &slot), -EAGAIN); /* it has a link */
    kit_event_set(&room->opened);
    kit_event_wait(&room->go);
    atomic_store(&room->holds, tong_reserve(box, 8, 0, &slot) == 0);
    kit_event_set(&room->tried);
    kit_await_death();
}

static bool is_readable(int fd, int64_t timeout_ns)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    return poll(&ready, 1, (int)(timeout_ns / 1000000)) == 1;
}

/* One is stopped at the n-th point of a receive; another takes what room there is then, and dies with it when the first
 * has gone on. The sender in a loop hears of it. */
static bool room_at(unsigned long n)
{
    const tong_options options = kit_capacity(1);
    struct room *receiver = kit_shared(sizeof(*receiver));
    struct room *holder = kit_shared(sizeof(*holder));
    tong_mailbox *box = NULL;
    siginfo_t info = { 0 };
    kit_ok(tong_open(ROOM, TONG_SEND | TONG_CREATE | TONG_EXCL, &options, &box));
    const int fd = tong_fd(box, TONG_SEND);
    kit_ok(kit_send_u64(box, 1, 0));
    struct kit_child holds = kit_spawn(hold, holder);
    kit_event_wait(&holder->opened);
    kit_gives(kit_send_u64(box, 2, 0), -EAGAIN);
    receiver->n = n;
    struct kit_child receives = kit_spawn(receive_one, receiver);
    kit_until(atomic_load(&receiver->opened) != 0 ||
              (waitid(P_PID, (id_t)receives.pid, &info, WSTOPPED | WNOWAIT | WNOHANG) == 0 &&
               info.si_pid == receives.pid));
    const bool stopped = atomic_load(&receiver->opened) == 0;
    kit_event_set(&holder->go);
    kit_event_wait(&holder->tried);
    kit_ok(kill(receives.pid, SIGCONT));
    kit_event_wait(&receiver->opened);
    /* It may have been told already, and found nothing. */
    int r = is_readable(fd, 0) ? kit_send_u64(box, 2, 0) : -EAGAIN;
    kit_true(r == 0 || r == -EAGAIN);
    kit_kill(&holds);
    while (r == -EAGAIN) {
        kit_true(is_readable(fd, KIT_PATIENCE));
        r = kit_send_u64(box, 2, 0);
    }
    kit_ok(r);
    kit_equal(kit_stat(ROOM).backstop_finds, 0);
    kit_kill(&receives);
    kit_ok(tong_close(box));
    kit_ok(tong_remove(ROOM));
    return stopped;
}

static void room_taken_before_it_was_told_of_is_told_of_when_its_taker_dies(void)
{
    unsigned long n = 1;
    while (room_at(n)) {
        n++;
    }
    kit_true(n > 5);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(what_a_sender_counted_before_it_went_is_received, 120),
    KIT_TEST_LONG(room_taken_before_it_was_told_of_is_told_of_when_its_taker_dies, 120),
    KIT_TEST_LONG(in_shared_memory, 120),
    KIT_TEST_LONG(over_queues_of_the_kernel, 120),
};

KIT_MAIN(tests)
