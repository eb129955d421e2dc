/*
 * The C library makes some calls cancellation points (pthreads(7)): a thread unwound in one of them
 * would keep locks and tokens for ever. Where UNCANCELLED stands, it goes on until it is outside.
 */
#ifndef TG_BASE_UNCANCELLED_H
#define TG_BASE_UNCANCELLED_H

#include <pthread.h>

#include "base/sys.h"

static inline int tg_hold_cancel(void)
{
    int state = PTHREAD_CANCEL_ENABLE;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    return state;
}

static inline void tg_let_cancel(const int *state)
{
    (void)pthread_setcancelstate(*state, NULL);
}

#define UNCANCELLED                                                                                \
    tg_cleanup(tg_let_cancel) __attribute__((unused)) const int state_ = tg_hold_cancel()

#endif
