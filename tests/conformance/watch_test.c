/*
 * Who is told of a death: every watching handle, once, of each process that used the mailbox and did
 * not close it.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "puppet.h"

#define BOX kit_name("box")

static void opens(struct puppet *puppet, unsigned flags)
{
    kit_gives(PUPPET(puppet, .verb = PUPPET_OPEN, .name = "box", .flags = flags), 0);
    if (flags & TONG_SEND) {
        kit_gives(PUPPET(puppet, .verb = PUPPET_SEND), 0);
    }
}

static struct puppet start(const char *name, unsigned flags)
{
    struct puppet puppet = puppet_start(name);
    opens(&puppet, flags);
    return puppet;
}

static void expect_death(tong_mailbox *box, pid_t pid, unsigned roles)
{
    tong_death death = TONG_DEATH_INIT;
    kit_ok(tong_watch(box, KIT_PATIENCE, &death));
    kit_equal(death.pid, pid);
    kit_equal(death.roles, roles);
    kit_equal(death.uid, geteuid());
}

static void expect_none(tong_mailbox *box)
{
    tong_death death = TONG_DEATH_INIT;
    death.pid = 77;
    kit_gives(tong_watch(box, 0, &death), -EAGAIN);
    kit_gives(tong_watch(box, TONG_MS(1), &death), -ETIMEDOUT);
    kit_equal(death.pid, 77);
}

static void dies(struct puppet *puppet, bool by_itself)
{
    if (!by_itself) {
        puppet_kill(puppet);
        return;
    }
    PUPPET_TELL(puppet, .verb = PUPPET_END);
    kit_join(&puppet->child);
    kit_ok(tong_close(puppet->orders));
}

/* ------------------------------------------------------------------ what is a death */

static void a_death_tells_what_it_was(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    static const unsigned roles[] = { TONG_SEND, TONG_RECEIVE, TONG_SEND | TONG_RECEIVE };
    tong_mailbox *box = kit_create(BOX, NULL);
    expect_none(box);
    for (int by_itself = 0; by_itself < 2; by_itself++) {
        for (size_t i = 0; i < 3; i++) {
            struct puppet p = start("p", roles[i]);
            const pid_t pid = p.child.pid;
            expect_none(box);
            dies(&p, by_itself);
            expect_death(box, pid, roles[i]);
            expect_none(box);
        }
    }
    kit_end(box, BOX);
}

static void both_roles_by_two_handles_are_one_death(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = kit_create(BOX, NULL);
    expect_none(box);
    struct puppet p = start("p", TONG_SEND);
    kit_gives(PUPPET(&p, .verb = PUPPET_OPEN, .handle = 1, .name = "box", .flags = TONG_RECEIVE),
              0);
    const pid_t pid = p.child.pid;
    expect_none(box);
    puppet_kill(&p);
    expect_death(box, pid, TONG_SEND | TONG_RECEIVE);
    expect_none(box);
    kit_end(box, BOX);
}

static void to_close_is_no_death(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = kit_create(BOX, NULL);
    expect_none(box);
    for (unsigned roles = TONG_SEND; roles <= (TONG_SEND | TONG_RECEIVE); roles++) {
        struct puppet p = start("p", roles);
        expect_none(box);
        kit_gives(PUPPET(&p, .verb = PUPPET_CLOSE), 0);
        expect_none(box);
        puppet_kill(&p); /* of no concern any more */
        expect_none(box);
        p = start("p", roles);
        expect_none(box);
        puppet_end(&p); /* closes, and ends */
        expect_none(box);
    }
    kit_end(box, BOX);
}

static void who_sent_nothing_is_no_sender(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    expect_none(box);
    struct puppet p = puppet_start("p");
    kit_gives(PUPPET(&p, .verb = PUPPET_OPEN, .name = "box", .flags = TONG_SEND), 0);
    expect_none(box);
    puppet_kill(&p);
    expect_none(box);
    kit_end(box, BOX);
}

static void a_death_before_the_first_call_is_not_told(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = kit_create(BOX, NULL);
    for (unsigned roles = TONG_SEND; roles <= TONG_RECEIVE; roles++) {
        struct puppet p = start("p", roles);
        puppet_kill(&p);
    }
    expect_none(box);
    struct puppet p = start("p", TONG_RECEIVE);
    const pid_t pid = p.child.pid;
    expect_none(box);
    puppet_kill(&p);
    expect_death(box, pid, TONG_RECEIVE);
    kit_end(box, BOX);
}

static void deaths_between_two_calls_are_told(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = kit_create(BOX, NULL);
    struct puppet p[] = { start("p0", TONG_SEND), start("p1", TONG_RECEIVE),
                          start("p2", TONG_SEND | TONG_RECEIVE) };
    uint64_t pids = 0;
    expect_none(box);
    for (size_t i = 0; i < 3; i++) {
        pids += (uint64_t)p[i].child.pid;
        puppet_kill(&p[i]);
    }
    /* What they left is taken over, repaired and swept by others meanwhile. */
    struct puppet q = start("q", TONG_SEND | TONG_RECEIVE);
    for (size_t i = 0; i < 10; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    kit_gives(PUPPET(&q, .verb = PUPPET_CLAIM), 1000);
    puppet_end(&q);
    unsigned roles = 0;
    for (size_t i = 0; i < 3; i++) {
        tong_death death = TONG_DEATH_INIT;
        kit_ok(tong_watch(box, 0, &death));
        pids -= (uint64_t)death.pid;
        roles += death.roles;
    }
    kit_equal(pids, 0);
    kit_equal(roles, 1 + 2 + 3);
    expect_none(box);
    kit_ok(tong_close(box));
    kit_ok(tong_remove(BOX));
}

static void a_zombie_is_dead_and_a_stopped_one_is_not(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    struct puppet p = start("p", TONG_SEND);
    siginfo_t info;
    const id_t pid = (id_t)p.child.pid;
    tong_death death = TONG_DEATH_INIT;
    expect_none(box);
    kit_ok(kill(p.child.pid, SIGSTOP));
    kit_ok(waitid(P_PID, pid, &info, WSTOPPED));
    expect_none(box);
    kit_gives(tong_watch(box, TONG_MS(30), &death), -ETIMEDOUT);
    kit_ok(kill(p.child.pid, SIGCONT));
    kit_gives(PUPPET(&p, .verb = PUPPET_SEND), 0);
    expect_none(box);
    kit_ok(kill(p.child.pid, SIGKILL));
    kit_ok(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
    expect_death(box, p.child.pid, TONG_SEND);
    puppet_kill(&p);
    expect_none(box);
    kit_end(box, BOX);
}

/* ------------------------------------------------------------------ who is told, and when */

static int64_t answer_of(pid_t pid, unsigned roles)
{
    return (int64_t)pid * 4 + (int64_t)roles;
}

static void every_handle_of_every_process_is_told_once(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = kit_create(BOX, NULL);
    struct puppet w[] = { puppet_start("w0"), puppet_start("w1"), puppet_start("w2") };
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t k = 0; k < 2; k++) {
            kit_gives(
                PUPPET(&w[i], .verb = PUPPET_OPEN, .handle = k, .name = "box", .flags = TONG_SEND),
                0);
            kit_gives(PUPPET(&w[i], .verb = PUPPET_WATCH, .handle = k), -EAGAIN);
        }
    }
    struct puppet p = start("p", TONG_RECEIVE);
    const int64_t answer = answer_of(p.child.pid, TONG_RECEIVE);
    for (uint32_t i = 0; i < 3; i++) {
        kit_gives(PUPPET(&w[i], .verb = PUPPET_WATCH, .handle = 1), -EAGAIN);
        PUPPET_TELL(&w[i], .verb = PUPPET_WATCH, .timeout_ns = KIT_PATIENCE);
        kit_until(puppet_waits(&w[i]));
    }
    puppet_kill(&p);
    for (uint32_t i = 0; i < 3; i++) {
        kit_gives(puppet_answer(&w[i]), answer);
        kit_gives(PUPPET(&w[i], .verb = PUPPET_WATCH, .handle = 1), answer);
        kit_gives(PUPPET(&w[i], .verb = PUPPET_WATCH), -EAGAIN);
        kit_gives(PUPPET(&w[i], .verb = PUPPET_WATCH, .handle = 1), -EAGAIN);
    }
    for (uint32_t i = 0; i < 3; i++) {
        puppet_end(&w[i]);
    }
    kit_end(box, BOX);
}

static void who_comes_while_it_is_watched_is_watched_too(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = kit_create(BOX, NULL);
    struct puppet w = puppet_start("w");
    kit_gives(PUPPET(&w, .verb = PUPPET_OPEN, .name = "box", .flags = TONG_SEND), 0);
    kit_gives(PUPPET(&w, .verb = PUPPET_WATCH), -EAGAIN);
    for (unsigned i = 0; i < 3; i++) {
        const unsigned roles = i == 1 ? TONG_SEND : TONG_RECEIVE;
        PUPPET_TELL(&w, .verb = PUPPET_WATCH, .timeout_ns = KIT_PATIENCE);
        struct puppet p = puppet_start("p");
        kit_until(puppet_waits(&w));
        const uint64_t before = kit_switches(w.child.pid);
        opens(&p, roles);
        /* It was woken, looked, and sleeps again. */
        kit_until(kit_switches(w.child.pid) > before && puppet_waits(&w));
        const pid_t pid = p.child.pid;
        puppet_kill(&p);
        kit_gives(puppet_answer(&w), answer_of(pid, roles));
    }
    puppet_end(&w);
    kit_end(box, BOX);
}

enum {
    MANY = 300
};

static int send_and_wait(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_report("s", 1);
    kit_await_death();
}

/* Tells of n deaths, each of one of these, none twice. */
static void expect_deaths(tong_mailbox *box, pid_t *pids, size_t n)
{
    for (size_t told = 0; told < n; told++) {
        tong_death death = TONG_DEATH_INIT;
        kit_ok(tong_watch(box, KIT_PATIENCE, &death));
        kit_equal(death.roles, TONG_SEND);
        size_t i = 0;
        while (i < MANY && pids[i] != death.pid) {
            i++;
        }
        kit_true(i < MANY);
        pids[i] = 0;
    }
}

static int hear(const tong_finding *finding, void *arg)
{
    (void)finding;
    (void)arg;
    return 0;
}

static void three_hundred_senders_are_watched(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    const size_t many = kit_fewer(MANY); /* processes; over a network each has connections */
    const tong_options options = kit_options_for(MANY);
    tong_mailbox *box = kit_create(BOX, &options);
    struct kit_child *children = calloc(MANY, sizeof(*children));
    pid_t *pids = calloc(MANY, sizeof(*pids));
    kit_true(children && pids);
    expect_none(box);
    for (size_t i = 0; i < many; i++) {
        char c;
        children[i] = kit_spawn(send_and_wait, NULL);
        kit_read_report(&children[i], &c, 1);
    }
    expect_none(box);
    for (size_t i = 0; i < many; i += 37) {
        pids[i] = children[i].pid;
        kit_kill(&children[i]);
        expect_deaths(box, pids, 1);
    }
    expect_none(box);
    /* One that sleeps has place for some of them only. */
    struct puppet w = puppet_start("w");
    kit_gives(PUPPET(&w, .verb = PUPPET_OPEN, .name = "box", .flags = TONG_SEND), 0);
    kit_gives(PUPPET(&w, .verb = PUPPET_WATCH), -EAGAIN);
    for (size_t i = 1; i < many; i += 37) {
        PUPPET_TELL(&w, .verb = PUPPET_WATCH, .timeout_ns = KIT_PATIENCE);
        kit_until(puppet_waits(&w));
        const pid_t pid = children[i].pid;
        kit_kill(&children[i]);
        kit_gives(puppet_answer(&w), answer_of(pid, TONG_SEND));
        pids[i] = pid;
        expect_deaths(box, pids, 1);
    }
    puppet_end(&w);
    size_t left = 0;
    for (size_t i = 0; i < many; i++) {
        if (i % 37 > 1) {
            pids[i] = children[i].pid;
            kit_kill(&children[i]);
            left++;
        }
    }
    expect_deaths(box, pids, left);
    expect_none(box);
    free(children);
    free(pids);
    kit_ok(tong_close(box));
    kit_ok(tong_remove(BOX));
    /* So many dead are cleared away by several visits, or by this. */
    kit_true(tong_doctor(1, hear, NULL) >= 0);
}

/* ------------------------------------------------------------------ the mailbox's end */

static void the_mailboxs_end_ends_the_watching(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    for (int way = 0; way < (kit_is_refused(KIT_GIVE) ? 1 : 4); way++) {
        struct puppet owner = puppet_start("owner");
        struct puppet w = puppet_start("w");
        tong_mailbox *box = kit_create(BOX, NULL);
        kit_gives(PUPPET(&w, .verb = PUPPET_OPEN, .name = "box", .flags = TONG_SEND), 0);
        kit_gives(PUPPET(&w, .verb = PUPPET_WATCH), -EAGAIN);
        PUPPET_TELL(&w, .verb = PUPPET_WATCH, .timeout_ns = KIT_PATIENCE);
        kit_until(puppet_waits(&w));
        int end = -EIDRM;
        if (way > 0) {
            kit_ok(tong_give(box, "owner"));
            end = -EOWNERDEAD;
        }
        switch (way) {
        case 0:
            kit_ok(tong_remove(BOX));
            break;
        case 1: /* which had opened nothing, and is no party */
            puppet_kill(&owner);
            break;
        case 2:
            opens(&owner, TONG_RECEIVE);
            kit_gives(PUPPET(&owner, .verb = PUPPET_CLOSE), 0);
            break;
        default:
            opens(&owner, TONG_RECEIVE);
            puppet_kill(&owner);
        }
        const int64_t answer = puppet_answer(&w);
        if (way != 3 || answer < 0) { /* else it was the owner's own death */
            kit_gives(answer, end);
        }
        kit_gives(PUPPET(&w, .verb = PUPPET_WATCH, .timeout_ns = TONG_FOREVER), end);
        kit_gives(PUPPET(&w, .verb = PUPPET_WATCH), end);
        tong_death death = TONG_DEATH_INIT;
        kit_gives(tong_watch(box, TONG_FOREVER, &death), end);
        kit_ok(tong_close(box));
        puppet_end(&w);
        if (way == 0 || way == 2) {
            puppet_end(&owner);
        }
    }
}

/* ------------------------------------------------------------------ calls that wait */

struct call {
    tong_mailbox *box;
    _Atomic int started;
    _Atomic int over;
    int answer;
    tong_death death;
    pthread_t thread;
};

static void *watch(void *arg)
{
    struct call *call = arg;
    call->death = (tong_death)TONG_DEATH_INIT;
    atomic_store(&call->started, 1);
    call->answer = tong_watch(call->box, KIT_PATIENCE, &call->death);
    atomic_store(&call->over, 1);
    return NULL;
}

static struct call *start_call(tong_mailbox *box)
{
    struct call *call = calloc(1, sizeof(*call));
    kit_true(call != NULL);
    call->box = box;
    kit_ok(pthread_create(&call->thread, NULL, watch, call));
    kit_until(atomic_load(&call->started));
    return call;
}

static struct call end_call(struct call *call)
{
    kit_ok(pthread_join(call->thread, NULL));
    const struct call copy = *call;
    free(call);
    return copy;
}

static void threads_take_turns_on_a_handle(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = kit_create(BOX, NULL);
    struct puppet p[] = { start("p0", TONG_SEND), start("p1", TONG_SEND),
                          start("p2", TONG_RECEIVE) };
    uint64_t pids = 0;
    expect_none(box);
    struct call *calls[] = { start_call(box), start_call(box), start_call(box) };
    for (size_t i = 0; i < 3; i++) {
        pids += (uint64_t)p[i].child.pid;
        puppet_kill(&p[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        const struct call call = end_call(calls[i]);
        kit_ok(call.answer);
        pids -= (uint64_t)call.death.pid;
    }
    kit_equal(pids, 0);
    expect_none(box);
    kit_ok(tong_close(box));
    kit_ok(tong_remove(BOX));
}

static void nothing_special(int number)
{
    (void)number;
}

static void interrupts_and_signals_end_the_wait(void)
{
    struct sigaction action = { .sa_handler = nothing_special };
    kit_ok(sigaction(SIGUSR1, &action, NULL));
    tong_mailbox *box = kit_create(BOX, NULL);
    struct puppet p = start("p", TONG_SEND);
    const pid_t pid = p.child.pid;
    tong_death death = TONG_DEATH_INIT;
    kit_ok(tong_interrupt(box));
    kit_gives(tong_watch(box, TONG_FOREVER, &death), -ECANCELED);
    expect_none(box);
    struct call *call = start_call(box);
    kit_until(kit_threads_asleep(getpid()) == 1);
    kit_ok(tong_interrupt(box));
    kit_gives(end_call(call).answer, -ECANCELED);
    call = start_call(box);
    kit_until(kit_threads_asleep(getpid()) == 1);
    /* Where it asks a server it is asleep at other places, too: a handler may run between two of them. */
    kit_until(pthread_kill(call->thread, SIGUSR1) == 0 && atomic_load(&call->over));
    kit_gives(end_call(call).answer, -EINTR);
    puppet_kill(&p);
    expect_death(box, pid, TONG_SEND);
    kit_end(box, BOX);
}

static int watch_in_child(void *arg)
{
    tong_death death = TONG_DEATH_INIT;
    kit_gives(tong_watch(arg, 0, &death), -ECHILD);
    return 0;
}

static void what_cannot_be_is_refused(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    tong_death death = TONG_DEATH_INIT;
    kit_gives(tong_watch(NULL, 0, &death), -EINVAL);
    kit_gives(tong_watch(box, 0, NULL), -EINVAL);
    kit_gives(tong_watch(box, -5, &death), -EINVAL);
    death.struct_size = 4;
    kit_gives(tong_watch(box, 0, &death), -EINVAL);
    struct kit_child child = kit_spawn(watch_in_child, box);
    kit_join(&child);
    kit_end(box, BOX);
}

static const struct kit_test tests[] = {
    KIT_TEST(a_death_tells_what_it_was),
    KIT_TEST(both_roles_by_two_handles_are_one_death),
    KIT_TEST(to_close_is_no_death),
    KIT_TEST(who_sent_nothing_is_no_sender),
    KIT_TEST(a_death_before_the_first_call_is_not_told),
    KIT_TEST(deaths_between_two_calls_are_told),
    KIT_TEST(a_zombie_is_dead_and_a_stopped_one_is_not),
    KIT_TEST(every_handle_of_every_process_is_told_once),
    KIT_TEST(who_comes_while_it_is_watched_is_watched_too),
    KIT_TEST(three_hundred_senders_are_watched),
    KIT_TEST(the_mailboxs_end_ends_the_watching),
    KIT_TEST(threads_take_turns_on_a_handle),
    KIT_TEST(interrupts_and_signals_end_the_wait),
    KIT_TEST(what_cannot_be_is_refused),
};

KIT_MAIN(tests)
