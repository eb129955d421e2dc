/*
 * A gate: the private lock of one side of a handle.
 *
 * It is held across a whole call, asleep or not, but whoever finds it held by a sleeper and must
 * not wait is told so at once. In a program with one thread it costs no atomic operation.
 */
#ifndef TG_BASE_GATE_H
#define TG_BASE_GATE_H

#include <stdbool.h>
#include <stdint.h>
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#else
/* A C library that does not tell (musl): there may be others. */
#define __libc_single_threaded 0
#endif

#include "base/atomic.h"

struct tg_gate {
    tg_a32 state;  /* 0 free, 1 held, 2 held and somebody waits */
    tg_a32 asleep; /* the holder sleeps */
    tg_a32 stir;   /* counts the reasons for waiting threads to look up */
};

int tg_gate_enter_slow(struct tg_gate *gate, int64_t deadline_ns, const tg_a32 *cancel,
                       uint32_t seen);
void tg_gate_leave_slow(struct tg_gate *gate);
/* The holder is about to sleep, or has slept. */
void tg_gate_set_asleep(struct tg_gate *gate, bool asleep);
/* Let those who wait look at their cancel word. Async-signal-safe. */
void tg_gate_stir(struct tg_gate *gate);

/* 0; -EAGAIN: deadline_ns is 0 and the holder sleeps; -ETIMEDOUT; -EINTR; -ECANCELED: *cancel is
 * no longer seen. */
static inline int tg_gate_enter(struct tg_gate *gate, int64_t deadline_ns, const tg_a32 *cancel,
                                uint32_t seen)
{
    if (__libc_single_threaded) {
        if (atomic_load_explicit(&gate->state, memory_order_relaxed) == 0) {
            atomic_store_explicit(&gate->state, 1, memory_order_relaxed);
            return 0;
        }
    } else {
        uint32_t free_ = 0;
        if (atomic_compare_exchange_strong_explicit(&gate->state, &free_, 1, memory_order_acquire,
                                                    memory_order_relaxed)) {
            return 0;
        }
    }
    return tg_gate_enter_slow(gate, deadline_ns, cancel, seen);
}

static inline void tg_gate_leave(struct tg_gate *gate)
{
    if (__libc_single_threaded) {
        atomic_store_explicit(&gate->state, 0, memory_order_relaxed);
        return;
    }
    if (atomic_exchange_explicit(&gate->state, 0, memory_order_release) == 2) {
        tg_gate_leave_slow(gate);
    }
}

#endif
