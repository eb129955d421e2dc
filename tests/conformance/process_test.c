/*
 * Names of processes: taken once, free again at once, changed; what the calls refuse and what ends them.
 */
#include "direct.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define P kit_name("P")
#define Q kit_name("Q")

static tong_process *opens_for(const char *name, uint32_t messages)
{
    const tong_options options = kit_options_for(messages);
    tong_process *me = NULL;
    kit_ok(tong_process_open(name, &options, &me));
    return me;
}

static tong_process *opens(const char *name)
{
    tong_process *me = NULL;
    kit_ok(tong_process_open(name, NULL, &me));
    return me;
}

static int64_t get_from(tong_process *me, const char *from, int64_t wait)
{
    uint64_t value = 0;
    const ssize_t n = tong_receive_from(me, from, &value, sizeof(value), wait);
    return n < 0 ? n : (int64_t)value;
}

static int send_number(tong_process *me, const char *to, uint64_t value, int64_t wait)
{
    return tong_send_to(me, to, &value, sizeof(value), wait);
}

/* ------------------------------------------------------------------ names */

static void a_name_is_taken_once_and_free_again_at_once(void)
{
    tong_process *me = opens(P);
    tong_process *none = NULL;
    struct puppet other = puppet_start("op");
    kit_gives(tong_process_open(P, NULL, &none), -EBUSY);
    kit_gives(becomes(&other, "P"), -EBUSY);
    kit_true(none == NULL);
    kit_ok(tong_process_close(me));
    kit_ok(becomes(&other, "P"));
    kit_gives(tong_process_open(P, NULL, &none), -EBUSY);
    puppet_kill(&other);
    me = opens(P); /* at the first try */
    kit_ok(tong_process_close(me));
    /* A mailbox that is no process's has the name; then a process has the mailbox's. */
    tong_mailbox *box = kit_create(P, NULL);
    kit_gives(tong_process_open(P, NULL, &none), -EEXIST);
    kit_end(box, P);
    me = opens(P);
    kit_gives(tong_open(P, TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_EXCL, NULL, &box),
              -EEXIST);
    kit_ok(tong_process_close(me));
    kit_gives(tong_process_close(NULL), 0);
}

struct race {
    kit_barrier barrier;
    _Atomic uint32_t have;
    _Atomic uint32_t rounds;
};

static int race_for_it(void *arg)
{
    struct race *race = arg;
    for (int i = 0; i < 30; i++) {
        tong_process *me = NULL;
        kit_barrier_wait(&race->barrier, 3);
        const int r = tong_process_open(P, NULL, &me);
        kit_true(r == 0 || r == -EBUSY);
        atomic_fetch_add(&race->have, r == 0);
        kit_barrier_wait(&race->barrier, 3);
        kit_equal(atomic_load(&race->have), 1);
        kit_barrier_wait(&race->barrier, 3);
        atomic_store(&race->have, 0);
        kit_ok(tong_process_close(me));
    }
    return 0;
}

static void of_several_at_once_one_gets_it(void)
{
    struct race *race = kit_shared(sizeof(*race));
    struct kit_child child[3];
    for (int i = 0; i < 3; i++) {
        child[i] = kit_spawn(race_for_it, race);
    }
    for (int i = 0; i < 3; i++) {
        kit_join(&child[i]);
    }
}

static void its_mailbox_is_its_own(void)
{
    tong_options any = TONG_OPTIONS_INIT;
    any.delivery = TONG_ANY;
    tong_process *me = opens(P);
    const tong_status status = kit_stat(P);
    kit_equal(status.owner, TONG_PROCESS);
    kit_equal(status.delivery, TONG_EXCLUSIVE);
    kit_equal(status.receivers, 1);
    kit_equal(status.owner_pid, getpid());
    tong_mailbox *own = tong_process_mailbox(me);
    kit_true(own != NULL && tong_process_mailbox(NULL) == NULL);
    kit_gives(tong_close(own), -EINVAL);
    kit_gives(tong_give(own, NULL), -EINVAL);
    kit_gives(tong_set(own, &any, TONG_SET_DELIVERY), -EINVAL);
    kit_gives(tong_send(own, "x", 1, 0), -EBADF);
    tong_process *other = opens(Q);
    kit_ok(send_number(other, P, 5, 0));
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(own, 0, &message));
    kit_ok(tong_done(own, &message));
    kit_gives(tong_wait_any(&own, 1, 0), -EAGAIN);
    kit_ok(tong_process_close(me));
    kit_ok(tong_process_close(other));
}

static void options_are_those_of_its_mailbox(void)
{
    tong_options options = kit_capacity(3);
    options.message_size = 8;
    tong_process *me = NULL;
    kit_ok(tong_process_open(P, &options, &me));
    kit_equal(kit_stat(P).capacity, 3);
    tong_process *other = opens(Q);
    kit_gives(tong_send_to(other, P, "x", 1, 0), -EMSGSIZE);
    for (uint64_t i = 0; i < 3; i++) {
        kit_ok(send_number(other, P, i, 0));
    }
    kit_gives(send_number(other, P, 3, 0), -EAGAIN);
    kit_ok(tong_process_close(me));
    options.full = TONG_DROP_NEWEST;
    kit_ok(tong_process_open(P, &options, &me));
    for (uint64_t i = 0; i < 3; i++) {
        kit_ok(send_number(other, P, i, 0));
    }
    kit_gives(send_number(other, P, 3, 0), TONG_DROPPED);
    kit_ok(tong_process_close(me));
    kit_ok(tong_process_close(other));
}

/* ------------------------------------------------------------------ refused */

static void mistakes_of_the_caller_are_refused(void)
{
    tong_process *me = opens(P);
    tong_process *none = NULL;
    char from[TONG_NAME_MAX];
    char longer[TONG_NAME_MAX + 1];
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    tong_options options = TONG_OPTIONS_INIT;
    options.max_bytes = 0;
    kit_gives(tong_process_open(NULL, NULL, &none), -EINVAL);
    kit_gives(tong_process_open("", NULL, &none), -EINVAL);
    kit_gives(tong_process_open(Q, NULL, NULL), -EINVAL);
    kit_gives(tong_process_open(Q, &options, &none), -EINVAL);
    options = (tong_options)TONG_OPTIONS_INIT;
    options.struct_size = 8;
    kit_gives(tong_process_open(Q, &options, &none), -EINVAL);
    kit_gives(tong_process_open(kit_name(longer), NULL, &none), -ENAMETOOLONG);
    kit_gives(tong_process_open("other:Q", NULL, &none), -EINVAL);
    kit_gives(tong_send_to(NULL, Q, "x", 1, 0), -EINVAL);
    kit_gives(tong_send_to(me, NULL, "x", 1, 0), -EINVAL);
    kit_gives(tong_send_to(me, "-", "x", 1, 0), -EINVAL);
    kit_gives(tong_send_to(me, Q, NULL, 1, 0), -EINVAL);
    kit_gives(tong_send_to(me, Q, "x", 1, -2), -EINVAL);
    kit_gives(tong_send_to(me, longer, "x", 1, 0), -ENAMETOOLONG);
    kit_gives(tong_send_to(me, strcmp(kit_carrier(), "unix") == 0 ? "shm:Q" : "unix:Q", "x", 1, 0),
              -EINVAL);
    kit_gives(tong_receive_from(NULL, Q, from, 1, 0), -EINVAL);
    kit_gives(tong_receive_from(me, NULL, from, 1, 0), -EINVAL);
    kit_gives(tong_receive_from(me, Q, NULL, 1, 0), -EINVAL);
    kit_gives(tong_receive_from(me, Q, from, 1, -2), -EINVAL);
    kit_gives(tong_receive_from(me, longer, from, 1, 0), -ENAMETOOLONG);
    kit_gives(tong_receive_any(NULL, from, 1, 0, from), -EINVAL);
    kit_gives(tong_receive_any(me, NULL, 1, 0, from), -EINVAL);
    kit_gives(tong_receive_any(me, from, 1, 0, NULL), -EINVAL);
    kit_gives(tong_receive_any(me, from, 1, -2, from), -EINVAL);
    kit_gives(tong_rename(NULL, Q), -EINVAL);
    kit_gives(tong_rename(me, NULL), -EINVAL);
    kit_gives(tong_rename(me, ""), -EINVAL);
    kit_gives(tong_rename(me, longer), -ENAMETOOLONG);
    kit_gives(tong_links(NULL, NULL), -EINVAL);
    /* A mailbox that is nobody's. */
    tong_mailbox *box = kit_create(Q, NULL);
    kit_gives(send_number(me, Q, 1, KIT_PATIENCE), -EINVAL);
    kit_gives(get_from(me, Q, KIT_PATIENCE), -EINVAL);
    kit_end(box, Q);
    kit_ok(tong_process_close(me));
}

static void an_empty_message_needs_no_address(void)
{
    tong_process *me = opens(P);
    char from[TONG_NAME_MAX] = "";
    kit_ok(tong_send_to(me, P, NULL, 0, 0));
    kit_ok(tong_send_to(me, P, NULL, 0, 0));
    kit_gives(tong_receive_from(me, P, NULL, 0, 0), 0);
    kit_gives(tong_receive_any(me, NULL, 0, 0, from), 0);
    kit_true(strcmp(from, "P") == 0);
    kit_ok(tong_process_close(me));
}

static void a_message_too_long_for_the_buffer_stays(void)
{
    tong_process *me = opens(P);
    uint64_t value = 0;
    char byte;
    kit_ok(send_number(me, P, 9, 0));
    kit_gives(tong_receive_from(me, P, &byte, 1, 0), -EMSGSIZE);
    kit_gives(tong_receive_from(me, P, &value, 8, 0), 8);
    kit_equal(value, 9);
    kit_ok(tong_process_close(me));
}

/* ------------------------------------------------------------------ renaming */

static void messages_stay_and_the_old_name_is_nobodys(void)
{
    struct puppet p = starts_as("op", "P");
    tong_process *q = opens(Q);
    for (uint64_t i = 1; i <= 3; i++) {
        kit_ok(send_number(q, P, i, 0));
        kit_ok(sends_to(&p, "Q", i, 0));
    }
    kit_ok(renames(&p, "P2"));
    kit_ok(renames(&p, "P2"));
    kit_gives(send_number(q, P, 4, 0), -ENOENT);
    kit_gives(send_number(q, P, 4, TONG_MS(3)), -ETIMEDOUT);
    kit_gives(get_from(q, P, 0), -ENOENT);
    kit_gives(get_from(q, P, TONG_MS(3)), -ETIMEDOUT);
    pairs_are("P2 <-> Q");
    kit_ok(send_number(q, kit_name("P2"), 4, 0));
    kit_ok(sends_to(&p, "Q", 4, 0));
    pairs_are("P2 <-> Q");
    for (uint64_t i = 1; i <= 4; i++) {
        kit_gives(gets_from(&p, "Q", 0), (int64_t)i);
        kit_gives(get_from(q, kit_name("P2"), 0), (int64_t)i);
    }
    /* The old one is free, and another process's messages are told under it. */
    struct puppet other = starts_as("oo", "P");
    kit_ok(sends_to(&other, "Q", 9, 0));
    kit_gives(get_from(q, kit_name("P2"), 0), -EAGAIN);
    kit_gives(get_from(q, P, 0), 9);
    kit_gives(renames(&p, "P"), -EBUSY);
    kit_gives(renames(&p, "Q"), -EBUSY);
    tong_mailbox *box = kit_create(kit_name("box"), NULL);
    kit_gives(renames(&p, "box"), -EEXIST);
    kit_end(box, kit_name("box"));
    puppet_kill(&other);
    kit_ok(renames(&p, "P")); /* a dead one's */
    kit_ok(send_number(q, P, 10, KIT_PATIENCE));
    kit_gives(gets_from(&p, "Q", 0), 10);
    puppet_end(&p);
    kit_ok(tong_process_close(q));
}

static void who_is_blocked_stays_with_it(void)
{
    struct puppet p = starts_with("op", "P", 1);
    struct puppet q = starts_as("oq", "Q");
    struct puppet r = starts_as("or", "R");
    kit_ok(sends_to(&q, "P", 1, 0));
    begins_to(&q, "P", 2, KIT_PATIENCE);
    kit_until_blocked(P, 1);
    begins_from(&r, "P", TONG_FOREVER);
    kit_until(puppet_waits(&r));
    kit_ok(renames(&p, "P2"));
    kit_gives(gets_any(&p, "Q", 0), 1);
    kit_ok(puppet_answer(&q));
    kit_gives(gets_any(&p, "Q", 0), 2);
    /* One pair, one link, although Q had it open under the other name. */
    kit_ok(sends_to(&q, "P2", 3, 0));
    pairs_are("P2 <-> Q");
    /* R waits for one of the name P. */
    kit_ok(sends_to(&p, "R", 5, 0));
    struct puppet other = starts_as("oo", "P");
    kit_ok(sends_to(&other, "R", 6, 0));
    kit_gives(puppet_answer(&r), 6);
    kit_gives(gets_from(&r, "P2", 0), 5);
    puppet_end(&other);
    puppet_end(&p);
    puppet_end(&q);
    puppet_end(&r);
}

static void a_removed_one_cannot_be_renamed(void)
{
    tong_process *me = opens(P);
    tong_process *other = opens(Q);
    kit_ok(send_number(other, P, 1, 0));
    kit_ok(tong_remove(P));
    kit_gives(tong_rename(me, kit_name("P2")), -EIDRM);
    kit_gives(get_from(me, Q, 0), -EIDRM);
    kit_gives(send_number(other, P, 1, KIT_PATIENCE), -EOWNERDEAD);
    kit_gives(send_number(other, P, 1, 0), -ENOENT);
    kit_ok(tong_process_close(me));
    kit_ok(tong_process_close(other));
}

static void who_waits_when_it_is_removed_is_told(void)
{
    struct puppet p = starts_with("op", "P", 1);
    struct puppet q = starts_as("oq", "Q");
    struct puppet r = starts_as("or", "R");
    kit_ok(sends_to(&q, "P", 1, 0));
    begins_to(&q, "P", 2, TONG_FOREVER);
    kit_until_blocked(P, 1);
    begins_from(&r, "P", TONG_FOREVER);
    kit_until(puppet_waits(&r));
    kit_ok(tong_remove(P));
    kit_gives(puppet_answer(&q), -EIDRM);
    kit_gives(puppet_answer(&r), -EIDRM);
    puppet_end(&p);
    puppet_end(&q);
    puppet_end(&r);
}

/* ------------------------------------------------------------------ interrupts, signals, forks, threads */

enum waits {
    FOR_A_NAME,
    FOR_ROOM,
    FOR_A_MESSAGE,
    FOR_A_MESSAGE_OF_NOBODY,
    FOR_ANY,
    N_WAITS
};

struct waiter {
    tong_process *me;
    enum waits what;
    _Atomic int answer;
};

static void *wait_in_it(void *arg)
{
    struct waiter *w = arg;
    char from[TONG_NAME_MAX];
    uint64_t value = 0;
    ssize_t r = 0;
    switch (w->what) {
    case FOR_A_NAME:
        r = send_number(w->me, kit_name("nobody"), 1, TONG_FOREVER);
        break;
    case FOR_ROOM:
        r = send_number(w->me, Q, 2, TONG_FOREVER);
        break;
    case FOR_A_MESSAGE:
        r = tong_receive_from(w->me, Q, &value, 8, TONG_FOREVER);
        break;
    case FOR_A_MESSAGE_OF_NOBODY:
        r = tong_receive_from(w->me, kit_name("nobody"), &value, 8, TONG_FOREVER);
        break;
    default:
        r = tong_receive_any(w->me, &value, 8, TONG_FOREVER, from);
    }
    atomic_store(&w->answer, (int)r);
    return NULL;
}

static void an_interrupt_ends_every_wait(void)
{
    const tong_options one = kit_capacity(1);
    tong_process *q = NULL;
    kit_ok(tong_process_open(Q, &one, &q));
    tong_process *me = opens(P);
    kit_ok(send_number(me, Q, 1, 0));
    for (int what = 0; what < N_WAITS; what++) {
        struct waiter w = { .me = me, .what = (enum waits)what };
        pthread_t thread;
        kit_ok(pthread_create(&thread, NULL, wait_in_it, &w));
        kit_until(kit_threads_asleep(getpid()) >= 1);
        kit_ok(tong_interrupt(tong_process_mailbox(me)));
        kit_ok(pthread_join(thread, NULL));
        kit_equal(atomic_load(&w.answer), (uint64_t)-ECANCELED);
    }
    kit_ok(tong_process_close(me));
    kit_ok(tong_process_close(q));
}

static void on_alarm(int number)
{
    (void)number;
}

static void a_signal_ends_every_wait(void)
{
    const tong_options one = kit_capacity(1);
    const struct sigaction action = { .sa_handler = on_alarm };
    const struct itimerval every = { { 0, 20000 }, { 0, 20000 } };
    const struct itimerval never = { { 0, 0 }, { 0, 0 } };
    tong_process *q = NULL;
    kit_ok(tong_process_open(Q, &one, &q));
    tong_process *me = opens(P);
    kit_ok(send_number(me, Q, 1, 0));
    kit_ok(sigaction(SIGALRM, &action, NULL));
    kit_ok(setitimer(ITIMER_REAL, &every, NULL));
    for (int what = 0; what < N_WAITS; what++) {
        struct waiter w = { .me = me, .what = (enum waits)what };
        (void)wait_in_it(&w);
        kit_equal(atomic_load(&w.answer), (uint64_t)-EINTR);
    }
    kit_ok(setitimer(ITIMER_REAL, &never, NULL));
    kit_ok(tong_process_close(me));
    kit_ok(tong_process_close(q));
}

static void a_childs_calls_are_refused(void)
{
    tong_process *me = opens(P);
    kit_ok(send_number(me, P, 1, 0));
    const pid_t pid = fork();
    if (pid == 0) {
        char from[TONG_NAME_MAX];
        uint64_t value;
        const bool ok = send_number(me, P, 2, 0) == -ECHILD && get_from(me, P, 0) == -ECHILD &&
                        tong_receive_any(me, &value, 8, 0, from) == -ECHILD &&
                        tong_rename(me, Q) == -ECHILD && tong_process_close(me) == -ECHILD;
        _exit(ok ? 0 : 1);
    }
    int status = 1;
    kit_equal(waitpid(pid, &status, 0), pid);
    kit_equal(status, 0);
    kit_gives(get_from(me, P, 0), 1);
    kit_ok(tong_process_close(me));
}

#define THREADS 4
#define EACH 2000

struct many {
    tong_process *me;
    uint32_t number;
};

static void *send_many_to_q(void *arg)
{
    const struct many *m = arg;
    for (uint64_t i = 1; i <= kit_fewer(EACH); i++) {
        kit_ok(send_number(m->me, Q, (uint64_t)m->number << 32 | i, KIT_PATIENCE));
    }
    return NULL;
}

static void threads_share_a_process(void)
{
    tong_process *me = opens(P);
    tong_process *q = opens(Q);
    pthread_t thread[THREADS];
    struct many many[THREADS];
    uint64_t last[THREADS] = { 0 };
    for (uint32_t i = 0; i < THREADS; i++) {
        many[i] = (struct many){ me, i };
        kit_ok(pthread_create(&thread[i], NULL, send_many_to_q, &many[i]));
    }
    for (uint32_t i = 0; i < THREADS * kit_fewer(EACH); i++) {
        const int64_t value = get_from(q, P, KIT_PATIENCE);
        kit_true(value > 0 && value >> 32 < THREADS);
        kit_equal((uint32_t)value, ++last[value >> 32]);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        kit_ok(pthread_join(thread[i], NULL));
    }
    pairs_are("P <-> Q");
    kit_ok(tong_process_close(me));
    kit_ok(tong_process_close(q));
}

/* One takes other names while the other sends to whichever it has, and gets all in order. */
static void names_change_while_messages_flow(void)
{
    static const char *const names[] = { "A", "B", "C" };
    tong_process *me = opens(kit_name("A"));
    tong_process *q = opens_for(Q, 200);
    uint64_t sent = 0;
    uint64_t received = 0;
    for (uint32_t round = 0; round < 60; round++) {
        for (int i = 0; i < 3; i++) {
            kit_ok(send_number(me, Q, ++sent, 0));
        }
        kit_ok(tong_rename(me, kit_name(names[(round + 1) % 3])));
        kit_gives(send_number(q, kit_name(names[round % 3]), 1, 0), -ENOENT);
        kit_ok(send_number(q, kit_name(names[(round + 1) % 3]), round, 0));
        kit_gives(get_from(me, Q, 0), round);
        char from[TONG_NAME_MAX] = "";
        uint64_t value = 0;
        kit_gives(tong_receive_any(q, &value, 8, 0, from), 8);
        kit_true(value == ++received && strcmp(from, names[(round + 1) % 3]) == 0);
    }
    while (received < sent) {
        kit_gives(get_from(q, kit_name(names[60 % 3]), 0), (int64_t)++received);
    }
    kit_equal(kit_stat(Q).links, 1);
    kit_ok(tong_process_close(me));
    kit_ok(tong_process_close(q));
}

/* ------------------------------------------------------------------ many */

static uint64_t open_descriptors(void)
{
    uint64_t n = 0;
    for (int fd = 0; fd < 4096; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

static void of_many_others_few_stay_open(void)
{
    tong_process *me = opens(Q);
    const uint64_t before = open_descriptors();
    tong_process *other[100]; /* a few messages for each */
    char name[16];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "P%d", i);
        other[i] = opens_for(kit_name(name), 2);
    }
    const uint64_t with_them = open_descriptors();
    for (uint64_t round = 0; round < 2; round++) {
        for (int i = 0; i < 100; i++) {
            snprintf(name, sizeof(name), "P%d", i);
            kit_ok(send_number(me, kit_name(name), round, 0));
        }
    }
    const uint64_t each = strcmp(kit_carrier(), "shm") == 0 ? 1 : 2; /* and its queue */
    kit_true(open_descriptors() - with_them <= each * 65);
    for (int i = 0; i < 100; i++) {
        kit_gives(get_from(other[i], Q, 0), 0);
        kit_gives(get_from(other[i], Q, 0), 1);
        kit_ok(tong_process_close(other[i]));
    }
    /* They are gone: what was open for them is closed by the next that is opened. */
    kit_ok(send_number(me, Q, 1, 0));
    kit_true(open_descriptors() <= before + each * 70);
    kit_ok(tong_process_close(me));
}

static const struct kit_test tests[] = {
    KIT_TEST(a_name_is_taken_once_and_free_again_at_once),
    KIT_TEST(of_several_at_once_one_gets_it),
    KIT_TEST(its_mailbox_is_its_own),
    KIT_TEST(options_are_those_of_its_mailbox),
    KIT_TEST(mistakes_of_the_caller_are_refused),
    KIT_TEST(an_empty_message_needs_no_address),
    KIT_TEST(a_message_too_long_for_the_buffer_stays),
    KIT_TEST(messages_stay_and_the_old_name_is_nobodys),
    KIT_TEST(who_is_blocked_stays_with_it),
    KIT_TEST(a_removed_one_cannot_be_renamed),
    KIT_TEST(who_waits_when_it_is_removed_is_told),
    KIT_TEST(an_interrupt_ends_every_wait),
    KIT_TEST(a_signal_ends_every_wait),
    KIT_TEST(a_childs_calls_are_refused),
    KIT_TEST(threads_share_a_process),
    KIT_TEST(names_change_while_messages_flow),
    KIT_TEST(of_many_others_few_stay_open),
};

KIT_MAIN(tests)
