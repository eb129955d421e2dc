/*
 * Signal handlers that run while a call waits. Without SA_RESTART, the call ends with -EINTR. With it the
 * kernel may go on sleeping, as it does in read(2): then the call ends with what it waited for, and
 * tong_interrupt() in the handler ends it in any case.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kit.h"

static _Atomic unsigned handled;
static tong_mailbox *_Atomic interrupted;

static void handle(int number)
{
    (void)number;
    atomic_fetch_add(&handled, 1);
    tong_mailbox *box = atomic_load(&interrupted);
    if (box != NULL) {
        (void)tong_interrupt(box);
    }
}

static void install(int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = handle;
    action.sa_flags = flags;
    kit_ok(sigaction(SIGUSR1, &action, NULL));
}

/* ------------------------------------------------------------------ the calls that wait */

struct waits {
    tong_mailbox *empty;      /* nothing to receive */
    tong_mailbox *full;       /* no room */
    tong_mailbox *rendezvous; /* nobody there */
    tong_region *held;        /* another handle has the lock */
    tong_region *holder;
};

static int in_receive(struct waits *w)
{
    return (int)tong_receive(w->empty, NULL, 0, KIT_PATIENCE);
}

static int in_claim(struct waits *w)
{
    tong_message message = TONG_MESSAGE_INIT;
    return tong_claim(w->empty, TONG_FOREVER, &message);
}

static int in_wait_any(struct waits *w)
{
    return tong_wait_any(&w->empty, 1, TONG_FOREVER);
}

static int in_watch(struct waits *w)
{
    tong_death death = TONG_DEATH_INIT;
    return tong_watch(w->empty, TONG_FOREVER, &death);
}

static int in_send(struct waits *w)
{
    return tong_send(w->full, "x", 1, TONG_FOREVER);
}

static int in_reserve(struct waits *w)
{
    tong_slot slot = TONG_SLOT_INIT;
    return tong_reserve(w->full, 1, KIT_PATIENCE, &slot);
}

static int in_rendezvous(struct waits *w)
{
    return tong_send(w->rendezvous, "x", 1, TONG_FOREVER);
}

static int in_lock(struct waits *w)
{
    return tong_region_lock(w->held, TONG_FOREVER);
}

static int in_wait(struct waits *w)
{
    uint32_t seen = 0;
    return tong_region_wait(w->held, &seen, TONG_FOREVER);
}

typedef int wait_fn(struct waits *w);

static wait_fn *const calls[] = { in_receive, in_claim,      in_wait_any, in_watch, in_send,
                                  in_reserve, in_rendezvous, in_lock,     in_wait };
enum {
    N_CALLS = sizeof(calls) / sizeof(calls[0]),
    N_MAILBOX_CALLS = N_CALLS - 2
};

static void open_all(struct waits *w)
{
    const tong_options one = kit_capacity(1);
    const tong_options zero = kit_capacity(0);
    w->empty = kit_create(kit_name("empty"), NULL);
    w->full = kit_create(kit_name("full"), &one);
    kit_ok(tong_send(w->full, "x", 1, 0));
    w->rendezvous = kit_create(kit_name("rendezvous"), &zero);
    kit_ok(tong_region_open("held", 1, TONG_WRITE | TONG_CREATE, NULL, &w->holder));
    kit_ok(tong_region_open("held", 1, TONG_WRITE, NULL, &w->held));
    kit_ok(tong_region_lock(w->holder, 0));
}

static void close_all(struct waits *w)
{
    kit_ok(tong_region_close(w->held));
    kit_ok(tong_region_unlock(w->holder));
    kit_ok(tong_region_close(w->holder));
    kit_ok(tong_region_remove("held"));
    kit_end(w->rendezvous, kit_name("rendezvous"));
    kit_end(w->full, kit_name("full"));
    kit_end(w->empty, kit_name("empty"));
}

/* ------------------------------------------------------------------ one call in a thread */

struct caller {
    struct waits *waits;
    wait_fn *call;
    _Atomic pid_t tid;
    _Atomic bool over;
    int answer;
};

static void *make_the_call(void *arg)
{
    struct caller *caller = arg;
    atomic_store(&caller->tid, (pid_t)syscall(SYS_gettid));
    caller->answer = caller->call(caller->waits);
    atomic_store(&caller->over, true);
    return NULL;
}

static bool is_asleep(pid_t tid)
{
    return tid != 0 && kit_sleeps(tid);
}

/* Signal it until its call is over: the first one may come before it sleeps. */
static int signalled(struct waits *w, wait_fn *call)
{
    struct caller caller = { .waits = w, .call = call };
    pthread_t thread;
    kit_equal(pthread_create(&thread, NULL, make_the_call, &caller), 0);
    kit_until(is_asleep(atomic_load(&caller.tid)));
    struct kit_poll poll = kit_poll_begin();
    while (!atomic_load(&caller.over)) {
        kit_equal(pthread_kill(thread, SIGUSR1), 0);
        kit_poll_next(&poll, __FILE__, __LINE__, "the call ends");
    }
    kit_equal(pthread_join(thread, NULL), 0);
    return caller.answer;
}

static void a_handler_ends_every_wait_with_eintr(void)
{
    struct waits w;
    install(0);
    open_all(&w);
    for (size_t i = 0; i < N_CALLS; i++) {
        kit_gives(signalled(&w, calls[i]), -EINTR);
    }
    kit_true(atomic_load(&handled) >= N_CALLS);
    close_all(&w);
}

static void an_interrupt_in_the_handler_ends_every_wait(void)
{
    const int flags[] = { 0, SA_RESTART };
    struct waits w;
    open_all(&w);
    for (size_t f = 0; f < 2; f++) {
        install(flags[f]);
        for (size_t i = 0; i < N_MAILBOX_CALLS; i++) {
            tong_mailbox *box = calls[i] == in_rendezvous                       ? w.rendezvous
                                : calls[i] == in_send || calls[i] == in_reserve ? w.full
                                                                                : w.empty;
            atomic_store(&interrupted, box);
            const int r = signalled(&w, calls[i]);
            kit_true(r == -ECANCELED || r == -EINTR);
            atomic_store(&interrupted, NULL);
            /* What came behind the call's end is kept for the next one that would wait. */
            (void)tong_interrupt(box);
            kit_gives(calls[i](&w), -ECANCELED);
        }
    }
    close_all(&w);
}

/* ------------------------------------------------------------------ SA_RESTART */

/* Whatever the kernel does with it: nothing is lost, and nothing is received twice. */
static void with_sa_restart_a_wait_ends_with_its_message_or_eintr(void)
{
    struct waits w;
    install(SA_RESTART);
    open_all(&w);
    struct caller caller = { .waits = &w, .call = in_receive };
    pthread_t receiver;
    kit_equal(pthread_create(&receiver, NULL, make_the_call, &caller), 0);
    for (unsigned i = 1; i <= 20; i++) {
        kit_until(is_asleep(atomic_load(&caller.tid)) || atomic_load(&caller.over));
        kit_equal(pthread_kill(receiver, SIGUSR1), 0);
    }
    kit_ok(tong_send(w.empty, NULL, 0, 0));
    kit_equal(pthread_join(receiver, NULL), 0);
    if (caller.answer == -EINTR) {
        kit_gives(in_receive(&w), 0);
    } else {
        kit_gives(caller.answer, 0);
    }
    kit_is_empty(w.empty);
    close_all(&w);
}

static const struct kit_test tests[] = {
    KIT_TEST(a_handler_ends_every_wait_with_eintr),
    KIT_TEST(an_interrupt_in_the_handler_ends_every_wait),
    KIT_TEST(with_sa_restart_a_wait_ends_with_its_message_or_eintr),
};

KIT_MAIN(tests)
