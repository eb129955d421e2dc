/* Pairs of operations that meet at shared words, as pairs_test.c steps through them. */
#ifndef TONG_STEP_PAIRS_H
#define TONG_STEP_PAIRS_H

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"
#include "stepper.h"

enum pair_killed {
    PAIR_NONE,
    PAIR_A,
    PAIR_B,
};

struct pair_case;

struct pair_side {
    void (*ready)(struct crash_stage *);
    void (*act)(struct crash_stage *);
    step_call *calls[STEP_CALLS];
    uint32_t lost; /* messages it may have consumed unseen if it is killed */
};

struct pair_scene {
    const char *operation;
    const char *role;
    tong_options (*options)(void);
    void (*before)(struct crash_stage *);
    struct pair_side a;
    struct pair_side b;
    bool sleeps_on;                        /* A's sleep ends by itself */
    void (*between)(struct crash_stage *); /* A is at its place, B has not begun */
    /* Becomes true by itself when who lives goes on. */
    bool (*settled)(const struct pair_case *);
    /* In a process of its own: what ends those that live. */
    void (*finish)(struct pair_case *);
};

extern const struct pair_scene pair_scenes[];
extern const uint32_t pair_n_scenes;

struct pair_case {
    struct crash_stage stage;
    struct crash_scene crash; /* what crash_check() needs to know */
    const struct pair_scene *scene;
    struct stepper a;
    struct stepper b;
    struct kit_child finisher;
    enum pair_killed killed;
    bool b_over; /* B's call was over while A stood still */
};

#endif
