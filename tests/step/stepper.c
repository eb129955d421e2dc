/*
 * Tracing with ptrace.
 *
 * A single step takes some 20 us, most of it two switches of context, so a place deep inside of a call
 * is not reached by stepping from its entry: the way is recorded once, and a breakpoint is set where
 * the place is near and that is not passed often on the way there. From it the rest is stepped. Children are forks of the test, so addresses are the same in all of them.
 *
 * A breakpoint is an int3 in the child's own copy of the text, and is there only while it runs to it.
 */
#include "stepper.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit_private.h"
#include "watch.h"

#define INT3 UINT64_C(0xcc)
#define SYSCALL 0x050fu

static void must(long r, const char *what)
{
    if (r < 0) {
        kit_fail("ptrace: %s: %s", what, strerror(errno));
    }
}

/* ---- the child's side */

void step_begin(void)
{
    must(ptrace(PTRACE_TRACEME, 0, NULL, NULL), "traceme");
    (void)raise(SIGSTOP);
}

void step_end(void)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0) {
        /* Traced already: its tracer is told. */
        (void)raise(SIGSTOP);
    }
}

/* ---- its memory and registers */

static uint64_t peek(const struct stepper *s, uint64_t at)
{
    errno = 0;
    const long word = ptrace(PTRACE_PEEKTEXT, s->child.pid, (void *)at, NULL);
    must(errno == 0 ? 0 : -1, "peek");
    return (uint64_t)word;
}

static void poke(const struct stepper *s, uint64_t at, uint64_t word)
{
    must(ptrace(PTRACE_POKETEXT, s->child.pid, (void *)at, (void *)word), "poke");
}

static struct user_regs_struct registers(const struct stepper *s)
{
    struct user_regs_struct r;
    must(ptrace(PTRACE_GETREGS, s->child.pid, NULL, &r), "get registers");
    return r;
}

static bool is_syscall(const struct stepper *s)
{
    return (peek(s, s->ip) & 0xffff) == SYSCALL;
}

long step_is_syscall(const struct stepper *s)
{
    return is_syscall(s) ? (long)registers(s).rax : -1;
}

/* ---- breakpoints */

static void plant(struct stepper *s, uint64_t at)
{
    const uint64_t word = peek(s, at);
    poke(s, at, (word & ~UINT64_C(0xff)) | INT3);
    s->planted[s->n_planted++] = (struct step_breakpoint){ .at = at, .word = word };
}

/* It is stopped: the breakpoints go, and if it has hit one it stands before that instruction. */
static void uproot(struct stepper *s, struct user_regs_struct *r)
{
    for (uint32_t i = 0; i < s->n_planted; i++) {
        poke(s, s->planted[i].at, s->planted[i].word);
        if (r->rip == s->planted[i].at + 1) {
            r->rip--;
            must(ptrace(PTRACE_SETREGS, s->child.pid, NULL, r), "set registers");
        }
    }
    s->n_planted = 0;
}

/* ---- going on and stopping */

static enum step_state stopped(struct stepper *s, int status)
{
    s->running = false;
    if (!WIFSTOPPED(status)) {
        kit_fail("the traced process ended by itself (status 0x%x)", status);
    }
    const int signal = WSTOPSIG(status);
    if (signal != SIGTRAP && signal != SIGSTOP) {
        kit_fail("the traced process got signal %d at %#llx", signal,
                 (unsigned long long)registers(s).rip);
    }
    struct user_regs_struct r = registers(s);
    uproot(s, &r);
    s->ip = r.rip;
    if (r.rsp > s->frame) {
        s->frame = 0;
    }
    return signal == SIGSTOP ? STEP_OVER : STEP_STOPPED;
}

/* Its next stop, or that it sleeps. */
static enum step_state look(struct stepper *s)
{
    const int64_t end_ns = kit_now_ns() + KIT_PATIENCE;
    for (;;) {
        int status = 0;
        const pid_t r = waitpid(s->child.pid, &status, WNOHANG | __WALL);
        must(r, "wait");
        if (r != 0) {
            return stopped(s, status);
        }
        if (kit_sleeps(s->child.pid)) {
            return STEP_ASLEEP;
        }
        if (kit_now_ns() > end_ns) {
            kit_fail("the traced process neither stops nor sleeps");
        }
        sched_yield();
    }
}

enum step_state step_awake(struct stepper *s)
{
    kit_until((s->state = look(s)) != STEP_ASLEEP);
    return s->state;
}

/* Let it go on to its next stop. quick: it cannot fall asleep on the way. */
static enum step_state go_on(struct stepper *s, bool one, bool quick)
{
    s->running = true;
    must(ptrace(one ? PTRACE_SINGLESTEP : PTRACE_CONT, s->child.pid, NULL, NULL), "go on");
    if (quick) {
        int status = 0;
        must(waitpid(s->child.pid, &status, __WALL), "wait");
        s->state = stopped(s, status);
        return s->state;
    }
    s->state = look(s);
    return s->state;
}

/* Asleep: it is woken. */
static bool wake_up(struct stepper *s)
{
    if (s->wake == NULL) {
        return false;
    }
    if (!s->woken) {
        s->woken = true;
        s->wake(s->arg);
    }
    return step_awake(s) == STEP_STOPPED;
}

/* A sleep on the way to somewhere. */
static enum step_state go_through(struct stepper *s)
{
    if (go_on(s, false, false) == STEP_ASLEEP) {
        (void)wake_up(s);
    }
    return s->state;
}

/* The length of an instruction that repeats itself; else 0. A step is one turn of it. */
static uint32_t is_repeated(uint64_t text)
{
    const bool wide = (text >> 8 & 0xff) == 0x48;
    const uint64_t code = text >> (wide ? 16 : 8) & 0xff;
    const bool is_string = code == 0xa4 || code == 0xa5 || code == 0xaa || code == 0xab;
    return (text & 0xff) == 0xf3 && is_string ? 2 + wide : 0;
}

enum step_state step_one(struct stepper *s)
{
    const uint64_t text = peek(s, s->ip);
    const uint32_t len = is_repeated(text);
    if (len != 0) {
        plant(s, s->ip + len);
        return go_on(s, false, true);
    }
    return go_on(s, true, (text & 0xffff) != SYSCALL);
}

static enum step_state step_out(struct stepper *s)
{
    while (s->frame != 0) {
        plant(s, s->back);
        const enum step_state state = go_through(s);
        if (state != STEP_STOPPED) {
            return state;
        }
    }
    return STEP_STOPPED;
}

enum step_state step_to_call(struct stepper *s)
{
    enum step_state state = step_out(s);
    if (state != STEP_STOPPED) {
        return state;
    }
    for (uint32_t i = 0; s->calls[i] != NULL; i++) {
        plant(s, (uint64_t)(uintptr_t)s->calls[i]);
    }
    state = go_through(s);
    if (state == STEP_STOPPED) {
        s->frame = registers(s).rsp;
        s->back = peek(s, s->frame);
    }
    return state;
}

enum step_state step_to_end(struct stepper *s)
{
    return go_through(s);
}

/* ---- a life under the tracer */

struct stepper step_spawn(kit_child_fn *function, void *arg, step_call *const *calls)
{
    return (struct stepper){ .calls = calls,
                             .arg = arg,
                             .traced = true,
                             .running = true,
                             .child = kit_spawn(function, arg) };
}

void step_until_ready(struct stepper *s)
{
    int status = 0;
    kit_until(waitpid(s->child.pid, &status, WNOHANG | __WALL) == s->child.pid);
    if (stopped(s, status) != STEP_OVER) {
        kit_fail("the child did not begin");
    }
}

struct stepper step_start(kit_child_fn *function, void *arg, step_call *const *calls)
{
    struct stepper s = step_spawn(function, arg, calls);
    step_until_ready(&s);
    return s;
}

bool step_has_ended(const struct kit_child *child)
{
    siginfo_t info = { .si_pid = 0 };
    must(waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT), "wait");
    return info.si_pid != 0 &&
           (info.si_code == CLD_KILLED || info.si_code == CLD_EXITED || info.si_code == CLD_DUMPED);
}

bool step_release(struct stepper *s)
{
    if (!s->traced) {
        return true;
    }
    if (s->running) {
        int status = 0;
        const pid_t r = waitpid(s->child.pid, &status, WNOHANG | __WALL);
        must(r, "wait");
        if (r == 0) {
            return false;
        }
        (void)stopped(s, status);
    }
    must(ptrace(PTRACE_DETACH, s->child.pid, NULL, NULL), "detach");
    s->traced = false;
    return true;
}

void step_kill(struct stepper *s)
{
    must(kill(s->child.pid, SIGKILL), "kill");
    s->traced = false;
}

/* ---- the way through the calls */

static void add_place(struct step_trace *trace, uint64_t ip, uint32_t call, bool asleep)
{
    if (trace->n == STEP_MOST) {
        kit_fail("the calls do not end after %u instructions", STEP_MOST);
    }
    uint32_t nth = 1;
    for (uint32_t i = trace->n; i-- > 0 && trace->place[i].call == call;) {
        if (trace->place[i].ip == ip && !trace->place[i].asleep) {
            nth = trace->place[i].nth + 1;
            break;
        }
    }
    trace->place[trace->n++] =
        (struct step_place){ .ip = ip, .call = call, .asleep = asleep, .nth = nth };
}

/* One step; a sleep is ended. False: nobody ends it. */
static bool record_one(struct stepper *s, uint32_t call, struct step_trace *trace)
{
    const uint64_t ip = s->ip;
    if (step_one(s) != STEP_ASLEEP) {
        return true;
    }
    add_place(trace, ip, call, true);
    return wake_up(s);
}

void step_record(struct stepper *s, struct watch *shared, struct step_trace *ret_trace)
{
    ret_trace->n = 0;
    for (uint32_t call = 0; step_to_call(s) == STEP_STOPPED; call++) {
        bool is_mark = true;
        watch_refresh(shared, kit_folder);
        while (s->frame != 0) {
            const bool is_call = is_syscall(s);
            add_place(ret_trace, s->ip, call, false);
            struct step_place *before = &ret_trace->place[ret_trace->n - 1];
            before->is_mark = is_mark || is_call;
            if (!record_one(s, call, ret_trace)) {
                return;
            }
            is_mark = !is_call && watch_look(shared, NULL, 0) != 0;
            before->is_mark = before->is_mark || is_mark;
            if (is_call) {
                watch_refresh(shared, kit_folder);
            }
        }
        add_place(ret_trace, s->ip, call, false);
        ret_trace->place[ret_trace->n - 1].is_mark = true;
    }
}

/* From the place `at` of the trace to `to`, step by step. */
static bool step_on(struct stepper *s, const struct step_trace *trace, uint32_t at, uint32_t to,
                    bool any_way)
{
    bool asleep = false;
    while (at < to && s->frame != 0) {
        if (asleep && !wake_up(s)) {
            return false;
        }
        if (!asleep) {
            asleep = step_one(s) == STEP_ASLEEP;
        } else {
            asleep = false;
        }
        at++;
        const struct step_place *place = &trace->place[at];
        if (!any_way && (asleep != place->asleep || (!asleep && s->ip != place->ip))) {
            return false;
        }
    }
    return true;
}

/* To the nth time that it comes to ip in this call. */
static bool run_to(struct stepper *s, uint64_t ip, uint32_t nth)
{
    uint32_t times = s->ip == ip ? 1 : 0;
    while (times < nth) {
        if (s->ip == ip && step_one(s) == STEP_ASLEEP && !wake_up(s)) {
            return false;
        }
        if (s->ip != ip) {
            plant(s, ip);
            if (go_through(s) != STEP_STOPPED || s->ip != ip) {
                return false;
            }
        }
        times++;
    }
    return true;
}

/* The place before it from which it is best stepped: a pass over a breakpoint costs three steps. */
static uint32_t best_start(const struct step_trace *trace, uint32_t place)
{
    const uint32_t call = trace->place[place].call;
    uint32_t best = place;
    uint32_t least = UINT32_MAX;
    for (uint32_t i = place + 1; i-- > 0 && trace->place[i].call == call;) {
        const uint32_t cost = 3 * trace->place[i].nth + (place - i);
        if (cost < least && !trace->place[i].asleep) {
            best = i;
            least = cost;
        }
    }
    return best;
}

static uint32_t entry_of(const struct step_trace *trace, uint32_t place)
{
    while (place > 0 && trace->place[place - 1].call == trace->place[place].call) {
        place--;
    }
    return place;
}

bool step_reach(struct stepper *s, const struct step_trace *trace, uint32_t place,
                enum step_way how)
{
    for (uint32_t i = 0; i <= trace->place[place].call; i++) {
        if (step_to_call(s) != STEP_STOPPED) {
            return false;
        }
    }
    const uint32_t from =
        how == STEP_BY_BREAKPOINT ? best_start(trace, place) : entry_of(trace, place);
    return run_to(s, trace->place[from].ip, trace->place[from].nth) &&
           step_on(s, trace, from, place, how == STEP_ANY_WAY);
}

/* ---- the back-stop is off, in the library as it is shipped, too: the linker puts this in its place */

int64_t never_looks(uint32_t nth) __asm__("__wrap_tg_backstop_ns");

int64_t never_looks(uint32_t nth)
{
    (void)nth;
    return INT64_MAX / 2;
}

/* ---- whether it can be done at all */

static int traces_itself(void *arg)
{
    (void)arg;
    /* Stopped in both cases; what follows fails if it is not traced. */
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    (void)raise(SIGSTOP);
    return 0;
}

static bool may_trace(void)
{
    struct kit_child child = kit_spawn(traces_itself, NULL);
    int status = 0;
    kit_until(waitpid(child.pid, &status, WNOHANG | WUNTRACED) == child.pid);
    const bool may = WIFSTOPPED(status) && ptrace(PTRACE_SINGLESTEP, child.pid, NULL, NULL) == 0;
    kit_kill(&child);
    return may;
}

void step_prepare(void)
{
    if (!may_trace()) {
        kit_skip("this process may not trace another one (ptrace)");
    }
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    must(sched_setaffinity(0, sizeof(one), &one), "affinity");
}
