/*
 * A traced process: brought to a call, run for so many instructions, stopped or killed there.
 *
 * What is counted are the instructions inside of the calls that the tracer names (functions of
 * tong.h), what they run of the C library with them. A process that falls asleep inside of a system
 * call is at a place of its own. All processes of a test run on one processor, so that nobody spins
 * and the way through a call is the same each time.
 */
#ifndef TONG_STEPPER_H
#define TONG_STEPPER_H

#include "kit.h"

#define STEP_CALLS 8u
#define STEP_MOST 400000u /* a slow machine goes round a waiting loop often */

/* A call whose instructions are counted: any function, cast. */
typedef void step_call(void);

enum step_state {
    STEP_STOPPED, /* before an instruction */
    STEP_ASLEEP,  /* inside of a system call */
    STEP_OVER,    /* its work is done: step_end() */
};

struct stepper {
    struct kit_child child;
    step_call *const *calls; /* ended by NULL */
    void (*wake)(void *arg); /* called once when it is asleep, to wake it; NULL: STEP_ASLEEP */
    void *arg;               /* of the child's function and of wake */
    bool woken;              /* wake was called */
    bool running;            /* it was let go and has not been seen stopped since */
    bool traced;
    enum step_state state;
    uint64_t ip;
    uint64_t frame; /* stack pointer at the entry of the call it is inside of; 0: outside */
    uint64_t back;  /* where that call returns to */
    struct step_breakpoint {
        uint64_t at;
        uint64_t word; /* what is there */
    } planted[STEP_CALLS];
    uint32_t n_planted;
};

/* The way through the calls: one entry for each place where it can be stopped. */
struct step_place {
    uint64_t ip;
    uint32_t call; /* which call, from 0 */
    bool asleep;   /* behind this instruction, a system call, inside of the kernel */
    uint32_t nth;  /* how often the way has come to this instruction in this call */
    bool
        is_mark; /* just before or just behind a change of the shared bytes; before a system call */
};

struct step_trace {
    uint32_t n;
    struct step_place place[STEP_MOST];
};

/* Skip this test where tracing is not allowed, and on another machine than x86-64. Then stay on one
 * processor. Called once, first. */
void step_prepare(void);

/* Spawn, and wait until the child is at step_begin(); or the two one after the other. */
struct stepper step_start(kit_child_fn *function, void *arg, step_call *const *calls);
struct stepper step_spawn(kit_child_fn *function, void *arg, step_call *const *calls);
void step_until_ready(struct stepper *s);
/* Also of a traced child, whose stops end any wait. */
bool step_has_ended(const struct kit_child *child);

/* In the child: here it begins, and here its work is done. */
void step_begin(void);
void step_end(void);

/* Go on to the entry of the next call. */
enum step_state step_to_call(struct stepper *s);
/* Inside of a call: one instruction, a copy that repeats itself in one. Behind the last one of a call it is outside (frame is 0). */
enum step_state step_one(struct stepper *s);
/* Go on until its work is done. */
enum step_state step_to_end(struct stepper *s);
/* Asleep, and what wakes it was done: its next stop. */
enum step_state step_awake(struct stepper *s);
/* The next instruction is a system call: its number; else -1. */
long step_is_syscall(const struct stepper *s);

/* Let it go on without tracing. False: asleep, not yet; call it again when it may have been woken. */
bool step_release(struct stepper *s);
/* SIGKILL. The child is still to be joined. */
void step_kill(struct stepper *s);

struct watch;
/* All places on the way to step_end(), or to a sleep that nobody ends (wake is NULL). */
void step_record(struct stepper *s, struct watch *shared, struct step_trace *ret_trace);
/*
 * Bring it to a place of the trace. False: it took another way. Others run beside it, so whether it
 * meets them may depend on how fast it goes.
 */
enum step_way {
    STEP_BY_BREAKPOINT, /* run to a breakpoint near it, then by steps */
    STEP_BY_STEPS,      /* from the entry of the call, as it was recorded */
    STEP_ANY_WAY,       /* so many steps from the entry of the call, wherever they lead */
};
bool step_reach(struct stepper *s, const struct step_trace *trace, uint32_t place,
                enum step_way how);

#endif
