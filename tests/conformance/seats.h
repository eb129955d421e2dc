/*
 * Receivers that wait each in a process of its own; in a thread, where a mailbox is received from by its owner
 * alone.
 */
#ifndef TONG_TEST_SEATS_H
#define TONG_TEST_SEATS_H

#include <pthread.h>

#include "kit.h"

struct seat {
    bool is_thread;
    kit_child_fn *sit;
    void *arg;
    pthread_t thread;
    struct kit_child child;
};

static inline void *seat_run(void *arg)
{
    const struct seat *seat = arg;
    kit_ok(seat->sit(seat->arg));
    return NULL;
}

static inline void seat_take(struct seat *seat, kit_child_fn *sit, void *arg)
{
    *seat =
        (struct seat){ .is_thread = kit_is_refused(KIT_OTHERS_RECEIVE), .sit = sit, .arg = arg };
    if (seat->is_thread) {
        kit_true(pthread_create(&seat->thread, NULL, seat_run, seat) == 0);
    } else {
        seat->child = kit_spawn(sit, arg);
    }
}

/* It leaves by itself. */
static inline void seat_leave(struct seat *seat)
{
    if (seat->is_thread) {
        kit_true(pthread_join(seat->thread, NULL) == 0);
    } else {
        kit_join(&seat->child);
    }
}

#endif
