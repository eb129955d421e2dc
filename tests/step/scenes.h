/* The operations on a message's path, as kill_test.c and points_test.c step through them. */
#ifndef TONG_STEP_SCENES_H
#define TONG_STEP_SCENES_H

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"
#include "stepper.h"

struct step_scene {
    struct crash_scene crash; /* meanwhile: when the victim is asleep or dead */
    step_call *calls[STEP_CALLS];
    void (*between)(struct crash_stage *); /* the victim is ready, and has not begun */
};

extern const struct step_scene step_scenes[];
extern const uint32_t step_n_scenes;

/* One victim in its scene. Shared by fork, so that both sides find it by one pointer. */
struct step_case {
    struct crash_stage stage; /* first: the scene's functions get it */
    const struct step_scene *scene;
    struct stepper stepper;
};

/* A fresh mailbox and a victim that has not begun. */
void step_case_begin(struct step_case *c, const struct step_scene *scene, struct crash_world *world,
                     unsigned variant);
/* The victim was killed or let go: what the survivors find. */
void step_case_end(struct step_case *c);

#endif
