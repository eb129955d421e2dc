/* Waiting and what ends it: a message, room, the time, a signal, an interrupt. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

/* ------------------------------------------------------------------ every call that waits */

struct wait {
    const char *name;
    bool needs_full; /* it waits for room, not for a message */
    int64_t (*call)(tong_mailbox *box, int64_t timeout_ns);
};

static int64_t call_receive(tong_mailbox *box, int64_t timeout_ns)
{
    uint64_t value;
    return tong_receive(box, &value, sizeof(value), timeout_ns);
}

static int64_t call_receive_many(tong_mailbox *box, int64_t timeout_ns)
{
    uint64_t values[2];
    const struct iovec buffers[2] = { { &values[0], 8 }, { &values[1], 8 } };
    size_t lens[2];
    return tong_receive_many(box, buffers, 2, timeout_ns, lens);
}

static int64_t call_claim(tong_mailbox *box, int64_t timeout_ns)
{
    tong_message message = TONG_MESSAGE_INIT;
    const int r = tong_claim(box, timeout_ns, &message);
    if (r == 0) {
        kit_ok(tong_done(box, &message));
    }
    return r;
}

static int64_t call_wait_any(tong_mailbox *box, int64_t timeout_ns)
{
    return tong_wait_any(&box, 1, timeout_ns);
}

static int64_t call_send(tong_mailbox *box, int64_t timeout_ns)
{
    return kit_send_u64(box, 1, timeout_ns);
}

static int64_t call_send_many(tong_mailbox *box, int64_t timeout_ns)
{
    uint64_t value = 1;
    const struct iovec one = { &value, sizeof(value) };
    return tong_send_many(box, &one, 1, timeout_ns);
}

static int64_t call_reserve(tong_mailbox *box, int64_t timeout_ns)
{
    tong_slot slot = TONG_SLOT_INIT;
    const int r = tong_reserve(box, 8, timeout_ns, &slot);
    if (r == 0) {
        kit_ok(tong_abort(box, &slot));
    }
    return r;
}

static const struct wait waits[] = {
    { "receive", false, call_receive }, { "receive_many", false, call_receive_many },
    { "claim", false, call_claim },     { "wait_any", false, call_wait_any },
    { "send", true, call_send },        { "send_many", true, call_send_many },
    { "reserve", true, call_reserve }, /* the last one: not every carrier has it */
};

static size_t n_waits(void)
{
    return sizeof(waits) / sizeof(waits[0]) - kit_is_refused(KIT_IN_PLACE);
}

/* A mailbox in which this call has to wait. */
static tong_mailbox *create_for(const struct wait *wait, uint32_t capacity)
{
    const tong_options options = kit_capacity(capacity);
    tong_mailbox *box = kit_create(kit_name("wait"), &options);
    for (uint32_t i = 0; wait->needs_full && i < capacity; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    return box;
}

static bool is_waiting(uint32_t n)
{
    const tong_status status = kit_stat(kit_name("wait"));
    return status.receivers_asleep + status.senders_blocked == n;
}

#define gives_in(wait, call, want)                                                                 \
    do {                                                                                           \
        const int64_t r_ = (call);                                                                 \
        if (r_ != (want)) {                                                                        \
            kit_fail("%s: %s gave %lld, wanted %lld", (wait)->name, #call, (long long)r_,          \
                     (long long)(want));                                                           \
        }                                                                                          \
    } while (0)

static void timeout_0_never_waits(void)
{
    for (size_t i = 0; i < n_waits(); i++) {
        tong_mailbox *box = create_for(&waits[i], 2);
        gives_in(&waits[i], waits[i].call(box, 0), -EAGAIN);
        gives_in(&waits[i], waits[i].call(box, 0), -EAGAIN);
        kit_end(box, kit_name("wait"));
    }
}

static void a_time_out_comes_not_before_its_time(void)
{
    static const int64_t times[] = { 1, 1000, 100000, TONG_MS(3), TONG_MS(20) };
    for (size_t i = 0; i < n_waits(); i++) {
        tong_mailbox *box = create_for(&waits[i], 2);
        for (size_t t = 0; t < sizeof(times) / sizeof(times[0]); t++) {
            const int64_t begin_ns = kit_now_ns();
            gives_in(&waits[i], waits[i].call(box, times[t]), -ETIMEDOUT);
            kit_true(kit_now_ns() - begin_ns >= times[t]);
        }
        kit_end(box, kit_name("wait"));
    }
}

static void what_is_ready_needs_no_time(void)
{
    tong_mailbox *box = kit_create(kit_name("wait"), NULL);
    for (size_t i = 0; i < n_waits(); i++) {
        kit_ok(kit_send_u64(box, 1, TONG_FOREVER));
        kit_true(waits[i].call(box, TONG_FOREVER) >= 0);
    }
    kit_end(box, kit_name("wait"));
}

static void a_negative_time_other_than_forever_is_einval(void)
{
    for (size_t i = 0; i < n_waits(); i++) {
        tong_mailbox *box = create_for(&waits[i], 2);
        gives_in(&waits[i], waits[i].call(box, -2), -EINVAL);
        gives_in(&waits[i], waits[i].call(box, INT64_MIN), -EINVAL);
        kit_end(box, kit_name("wait"));
    }
}

/* The longest time must not wrap into the past. */
static int wait_very_long(void *arg)
{
    const struct wait *wait = arg;
    tong_mailbox *box = kit_open(kit_name("wait"), TONG_SEND | TONG_RECEIVE, NULL);
    kit_true(wait->call(box, INT64_MAX) >= 0);
    return tong_close(box);
}

static void the_longest_time_is_not_over_at_once(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    for (size_t i = 0; i < n_waits(); i++) {
        tong_mailbox *box = create_for(&waits[i], 1);
        struct kit_child child = kit_spawn(wait_very_long, (void *)&waits[i]);
        kit_until(is_waiting(1));
        if (waits[i].needs_full) {
            kit_receive_u64(box);
        } else {
            kit_ok(kit_send_u64(box, 1, 0));
        }
        kit_join(&child);
        kit_end(box, kit_name("wait"));
    }
}

/* ------------------------------------------------------------------ signals */

static void do_nothing(int signal)
{
    (void)signal;
}

static int wait_for_a_signal(void *arg)
{
    const struct wait *wait = arg;
    const struct sigaction action = { .sa_handler = do_nothing };
    sigaction(SIGUSR1, &action, NULL);
    tong_mailbox *box = kit_open(kit_name("wait"), TONG_SEND | TONG_RECEIVE, NULL);
    kit_report("w", 1);
    gives_in(wait, wait->call(box, TONG_FOREVER), -EINTR);
    /* The handle is as before. */
    gives_in(wait, wait->call(box, 0), -EAGAIN);
    kit_report("e", 1);
    return tong_close(box);
}

static void a_signal_handler_ends_the_wait_with_eintr(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    for (size_t i = 0; i < n_waits(); i++) {
        tong_mailbox *box = create_for(&waits[i], 1);
        struct kit_child child = kit_spawn(wait_for_a_signal, (void *)&waits[i]);
        char c;
        kit_read_report(&child, &c, 1);
        kit_until(is_waiting(1) && kit_sleeps(child.pid));
        kit_ok(kill(child.pid, SIGUSR1));
        kit_read_report(&child, &c, 1);
        kit_join(&child);
        kit_until(is_waiting(0));
        kit_end(box, kit_name("wait"));
    }
}

static void a_rendezvous_ended_by_a_signal_was_not_sent(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    const tong_options options = kit_capacity(0);
    tong_mailbox *box = kit_create(kit_name("wait"), &options);
    for (size_t i = 0; i < 10; i++) {
        struct kit_child child = kit_spawn(wait_for_a_signal, (void *)&waits[4]);
        kit_until_blocked(kit_name("wait"), 1);
        kit_until(kit_sleeps(child.pid));
        kit_ok(kill(child.pid, SIGUSR1));
        kit_join(&child);
        kit_is_empty(box);
    }
    kit_end(box, kit_name("wait"));
}

/* ------------------------------------------------------------------ interrupt */

struct waiter {
    const struct wait *wait;
    tong_mailbox *box;
    int64_t answer;
};

static void *wait_in_a_thread(void *arg)
{
    struct waiter *waiter = arg;
    waiter->answer = waiter->wait->call(waiter->box, KIT_PATIENCE);
    return NULL;
}

static void interrupt_ends_a_wait_of_another_thread(void)
{
    for (size_t i = 0; i < n_waits(); i++) {
        tong_mailbox *box = create_for(&waits[i], 1);
        struct waiter waiter = { .wait = &waits[i], .box = box };
        pthread_t id;
        kit_ok(pthread_create(&id, NULL, wait_in_a_thread, &waiter));
        kit_until(is_waiting(1));
        kit_ok(tong_interrupt(box));
        kit_ok(pthread_join(id, NULL));
        gives_in(&waits[i], waiter.answer, -ECANCELED);
        gives_in(&waits[i], waits[i].call(box, TONG_MS(1)), -ETIMEDOUT);
        kit_end(box, kit_name("wait"));
    }
}

static void interrupt_ends_all_waits_of_the_handle(void)
{
    enum {
        THREADS = 4
    };
    const tong_options options = kit_capacity(0);
    for (size_t i = 0; i < n_waits(); i++) {
        if (waits[i].call == call_reserve) {
            continue; /* at a rendezvous it waits for nobody */
        }
        tong_mailbox *box =
            waits[i].needs_full ? kit_create(kit_name("wait"), &options) : create_for(&waits[i], 1);
        struct waiter waiters[THREADS];
        pthread_t ids[THREADS];
        for (size_t t = 0; t < THREADS; t++) {
            waiters[t] = (struct waiter){ .wait = &waits[i], .box = box };
            kit_ok(pthread_create(&ids[t], NULL, wait_in_a_thread, &waiters[t]));
        }
        /* To the outside the threads of one handle are one sender or receiver. */
        kit_until(is_waiting(1) && kit_threads_asleep(getpid()) == THREADS);
        kit_ok(tong_interrupt(box));
        for (size_t t = 0; t < THREADS; t++) {
            kit_ok(pthread_join(ids[t], NULL));
            gives_in(&waits[i], waiters[t].answer, -ECANCELED);
        }
        kit_end(box, kit_name("wait"));
    }
}

static void an_interrupt_before_the_wait_is_kept_for_it(void)
{
    for (size_t i = 0; i < n_waits(); i++) {
        tong_mailbox *box = create_for(&waits[i], 1);
        kit_ok(tong_interrupt(box));
        /* This one would not wait. */
        gives_in(&waits[i], waits[i].call(box, 0), -EAGAIN);
        gives_in(&waits[i], waits[i].call(box, TONG_FOREVER), -ECANCELED);
        gives_in(&waits[i], waits[i].call(box, TONG_MS(1)), -ETIMEDOUT);
        kit_end(box, kit_name("wait"));
    }
}

static void an_interrupt_takes_nothing_from_what_is_ready(void)
{
    tong_mailbox *box = kit_create(kit_name("wait"), NULL);
    kit_ok(tong_interrupt(box));
    kit_ok(kit_send_u64(box, 3, TONG_FOREVER));
    kit_equal(kit_receive_u64(box), 3);
    kit_end(box, kit_name("wait"));
}

static void an_interrupt_is_for_one_handle_only(void)
{
    tong_mailbox *box = kit_create(kit_name("wait"), NULL);
    tong_mailbox *other = kit_open(kit_name("wait"), TONG_RECEIVE, NULL);
    kit_ok(tong_interrupt(box));
    gives_in(&waits[0], call_receive(other, TONG_MS(1)), -ETIMEDOUT);
    gives_in(&waits[0], call_receive(box, TONG_FOREVER), -ECANCELED);
    kit_ok(tong_close(other));
    kit_end(box, kit_name("wait"));
}

static tong_mailbox *interrupted;

static void interrupt_from_the_handler(int signal)
{
    (void)signal;
    tong_interrupt(interrupted);
}

static int wait_for_the_handler(void *arg)
{
    const struct wait *wait = arg;
    const struct sigaction action = { .sa_handler = interrupt_from_the_handler,
                                      .sa_flags = SA_RESTART };
    interrupted = kit_open(kit_name("wait"), TONG_SEND | TONG_RECEIVE, NULL);
    sigaction(SIGUSR1, &action, NULL);
    kit_report("w", 1);
    gives_in(wait, wait->call(interrupted, TONG_FOREVER), -ECANCELED);
    gives_in(wait, wait->call(interrupted, TONG_MS(1)), -ETIMEDOUT);
    return tong_close(interrupted);
}

static void interrupt_from_a_signal_handler_ends_the_wait(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    for (size_t i = 0; i < n_waits(); i++) {
        tong_mailbox *box = create_for(&waits[i], 1);
        struct kit_child child = kit_spawn(wait_for_the_handler, (void *)&waits[i]);
        char c;
        kit_read_report(&child, &c, 1);
        kit_until(is_waiting(1));
        kit_ok(kill(child.pid, SIGUSR1));
        kit_join(&child);
        kit_end(box, kit_name("wait"));
    }
}

/* ------------------------------------------------------------------ what comes wakes */

static int echo(void *arg)
{
    const uint64_t n = *(uint64_t *)arg;
    tong_mailbox *to = kit_open(kit_name("back"), TONG_SEND, NULL);
    tong_mailbox *from = kit_open(kit_name("forth"), TONG_RECEIVE, NULL);
    for (uint64_t i = 0; i < n; i++) {
        kit_ok(kit_send_u64(to, kit_receive_u64(from) + 1, KIT_PATIENCE));
    }
    kit_ok(tong_close(to));
    return tong_close(from);
}

static void a_message_goes_to_and_fro_many_times(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    uint64_t n = 20000;
    tong_mailbox *to = kit_create(kit_name("forth"), NULL);
    tong_mailbox *from = kit_create(kit_name("back"), NULL);
    tong_mailbox *send = kit_open(kit_name("forth"), TONG_SEND, NULL);
    kit_ok(tong_close(to));
    struct kit_child child = kit_spawn(echo, &n);
    kit_until(kit_stat(kit_name("forth")).receivers == 1);
    for (uint64_t i = 0; i < n; i++) {
        kit_ok(kit_send_u64(send, i * 2, KIT_PATIENCE));
        kit_equal(kit_receive_u64(from), i * 2 + 1);
    }
    kit_join(&child);
    kit_equal(kit_stat(kit_name("forth")).backstop_finds, 0);
    kit_equal(kit_stat(kit_name("back")).backstop_finds, 0);
    kit_end(send, kit_name("forth"));
    kit_end(from, kit_name("back"));
}

static const struct kit_test tests[] = {
    KIT_TEST(timeout_0_never_waits),
    KIT_TEST(a_time_out_comes_not_before_its_time),
    KIT_TEST(what_is_ready_needs_no_time),
    KIT_TEST(a_negative_time_other_than_forever_is_einval),
    KIT_TEST(the_longest_time_is_not_over_at_once),
    KIT_TEST(a_signal_handler_ends_the_wait_with_eintr),
    KIT_TEST(a_rendezvous_ended_by_a_signal_was_not_sent),
    KIT_TEST(interrupt_ends_a_wait_of_another_thread),
    KIT_TEST(interrupt_ends_all_waits_of_the_handle),
    KIT_TEST(an_interrupt_before_the_wait_is_kept_for_it),
    KIT_TEST(an_interrupt_takes_nothing_from_what_is_ready),
    KIT_TEST(an_interrupt_is_for_one_handle_only),
    KIT_TEST(interrupt_from_a_signal_handler_ends_the_wait),
    KIT_TEST(a_message_goes_to_and_fro_many_times),
};

KIT_MAIN(tests)
