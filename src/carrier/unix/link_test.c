/* Senders of another process that die or are kept waiting at any point of a send over a socket. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/point.h"
#include "kit.h"

#define BOX "unix:box"

static tong_mailbox *open_to_send(void)
{
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &box));
    return box;
}

/* ---- killed at its first send */

static int send_first(void *arg)
{
    tong_mailbox *box = open_to_send();
    tg_point_arm(*(const unsigned long *)arg);
    kit_ok(kit_send_u64(box, 1, KIT_PATIENCE));
    tg_point_arm(0);
    return tong_close(box);
}

static int send_and_stay(void *arg)
{
    tong_mailbox *box = open_to_send();
    kit_ok(kit_send_u64(box, *(const uint64_t *)arg, KIT_PATIENCE));
    kit_report("s", 1);
    kit_await_death();
}

static struct kit_child spawn_sender(uint64_t value)
{
    char c;
    struct kit_child child = kit_spawn(send_and_stay, &value);
    kit_read_report(&child, &c, 1);
    return child;
}

/* The owner has heard of neither when the second one comes. False: nobody was killed. */
static bool kill_the_first_at(unsigned long n)
{
    tong_mailbox *box = NULL;
    uint64_t value = 0;
    kit_ok(tong_open(BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, NULL, &box));
    struct kit_child first = kit_spawn(send_first, &n);
    const bool killed = WIFSIGNALED(kit_join_status(&first));
    struct kit_child second = spawn_sender(2);
    value = kit_receive_u64(box);
    if (value == 1) {
        value = kit_receive_u64(box);
    }
    kit_equal(value, 2);
    kit_is_empty(box);
    struct kit_child third = spawn_sender(3);
    kit_equal(kit_receive_u64(box), 3);
    kit_equal(kit_stat(BOX).senders, 2);
    kit_kill(&second);
    kit_kill(&third);
    kit_ok(tong_close(box));
    return killed;
}

static void the_next_sender_has_a_row_of_its_own_wherever_one_was_killed(void)
{
    unsigned long n = 1;
    while (kill_the_first_at(n)) {
        n++;
    }
    printf("%lu points\n", n - 1);
    kit_true(n > 10);
}

/* ---- a rendezvous with an owner that is stopped */

struct meeting {
    kit_event ready;
    kit_event received;
    unsigned long n;
};

static int receive_stopped(void *arg)
{
    struct meeting *m = arg;
    tong_options options = TONG_OPTIONS_INIT;
    tong_mailbox *box = NULL;
    uint64_t value = 0;
    options.owner = TONG_PROCESS;
    options.capacity = 0;
    kit_ok(tong_open(BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options, &box));
    kit_event_set(&m->ready);
    kit_until(kit_stat(BOX).senders_blocked == 1);
    tg_point_stop(m->n);
    kit_gives(tong_receive(box, &value, sizeof value, KIT_PATIENCE), sizeof value);
    tg_point_stop(0);
    kit_event_set(&m->received);
    kit_await_death();
}

struct sending {
    tong_mailbox *box;
    _Atomic int r; /* 1: it goes on */
};

static void *offer(void *arg)
{
    struct sending *s = arg;
    atomic_store(&s->r, kit_send_u64(s->box, 1, KIT_PATIENCE));
    return NULL;
}

/* It is in the call still, asleep, and has looked around since: it waits for the answer that must come. */
static bool waits_on(const struct sending *s, unsigned long before)
{
    return atomic_load(&s->r) == 1 && tg_point_count() != before &&
           kit_threads_asleep(getpid()) == 1;
}

/* False: the owner was not stopped any more. */
static bool interrupt_at(unsigned long n, unsigned *ret_waits)
{
    struct meeting *m = kit_shared(sizeof *m);
    struct sending s = { .r = 1 };
    siginfo_t info = { 0 };
    pthread_t thread;
    m->n = n;
    struct kit_child owner = kit_spawn(receive_stopped, m);
    kit_event_wait(&m->ready);
    s.box = open_to_send();
    kit_true(pthread_create(&thread, NULL, offer, &s) == 0);
    kit_until(atomic_load(&m->received) != 0 ||
              (waitid(P_PID, (id_t)owner.pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
               info.si_pid == owner.pid));
    const bool stopped = atomic_load(&m->received) == 0;
    if (stopped) {
        const unsigned long before = tg_point_count();
        kit_ok(tong_interrupt(s.box));
        kit_until(atomic_load(&s.r) != 1 || waits_on(&s, before));
        *ret_waits += atomic_load(&s.r) == 1;
        kit_ok(kill(owner.pid, SIGCONT));
    }
    kit_until(atomic_load(&s.r) != 1);
    kit_true(pthread_join(thread, NULL) == 0);
    const int r = atomic_load(&s.r);
    kit_true(r == 0 || (stopped && r == -ECANCELED));
    if (r == 0) {
        kit_event_wait(&m->received);
    }
    kit_kill(&owner);
    kit_ok(tong_close(s.box));
    return stopped;
}

static void an_interrupted_rendezvous_waits_asleep_for_the_answer(void)
{
    unsigned waits = 0;
    unsigned long n = 1;
    while (interrupt_at(n, &waits)) {
        n++;
    }
    printf("%lu points, %u between reading and answering\n", n - 1, waits);
    kit_true(waits > 0);
}

static const struct kit_test tests[] = {
    KIT_TEST(an_interrupted_rendezvous_waits_asleep_for_the_answer),
    KIT_TEST(the_next_sender_has_a_row_of_its_own_wherever_one_was_killed),
};

KIT_MAIN(tests)
