/*
 * Atomic access named by its order. Every shared field is a tg_a32 or tg_a64, or one of a table of tg_a16.
 *
 * The order sits on the access itself, so that the thread sanitizer understands it. Stores pass
 * a crash point first: a store is where a survivor may see a difference.
 */
#ifndef TG_BASE_ATOMIC_H
#define TG_BASE_ATOMIC_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/point.h"

typedef _Atomic uint16_t tg_a16;
typedef _Atomic uint32_t tg_a32;
typedef _Atomic uint64_t tg_a64;

_Static_assert(ATOMIC_SHORT_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2 &&
                   ATOMIC_LLONG_LOCK_FREE == 2,
               "shared words must be lock-free");
_Static_assert(sizeof(tg_a16) == 2 && sizeof(tg_a32) == 4 && sizeof(tg_a64) == 8,
               "shared words have no padding");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the low half of a 64-bit word is used as a futex");

#define tg_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define tg_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define tg_load_seq_cst(p) atomic_load_explicit((p), memory_order_seq_cst)

#define tg_store_relaxed(p, v)                                                                     \
    do {                                                                                           \
        tg_point();                                                                                \
        atomic_store_explicit((p), (v), memory_order_relaxed);                                     \
    } while (0)

#define tg_store_release(p, v)                                                                     \
    do {                                                                                           \
        tg_point();                                                                                \
        atomic_store_explicit((p), (v), memory_order_release);                                     \
    } while (0)

/* Many bytes that a word behind them makes valid: one point before each, for a death between them. */
#define tg_store_byte(p, v)                                                                        \
    do {                                                                                           \
        tg_point();                                                                                \
        *(p) = (v);                                                                                \
    } while (0)

/* The old value. */
#define tg_add(p, v) (tg_point(), atomic_fetch_add_explicit((p), (v), memory_order_seq_cst))
#define tg_or(p, v) (tg_point(), atomic_fetch_or_explicit((p), (v), memory_order_seq_cst))
#define tg_exchange(p, v) (tg_point(), atomic_exchange_explicit((p), (v), memory_order_seq_cst))

/* True if *p was *expected and is now v; otherwise *expected is what it was. */
#define tg_cas(p, expected, v)                                                                     \
    (tg_point(), atomic_compare_exchange_strong_explicit(                                          \
                     (p), (expected), (v), memory_order_seq_cst, memory_order_acquire))

/* A store before it and a load behind it keep their order, for everybody (Dekker). */
#if defined(__SANITIZE_THREAD__)
/* The thread sanitizer does not know fences; a read-modify-write of a private word stands in. */
static inline void tg_fence(void)
{
    static tg_a32 word;
    (void)atomic_fetch_add_explicit(&word, 0, memory_order_seq_cst);
}
#elif defined(__x86_64__)
/* A locked operation on the own stack orders as mfence does, at a quarter of its time. */
static inline void tg_fence(void)
{
    __asm__ __volatile__("lock; orl $0, -8(%%rsp)" ::: "memory", "cc");
}
#else
static inline void tg_fence(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}
#endif

/* A load before it and a load behind it keep their order. */
static inline void tg_fence_acquire(void)
{
#if defined(__SANITIZE_THREAD__)
    tg_fence();
#else
    atomic_thread_fence(memory_order_acquire);
#endif
}

/* Tell the processor that this is a spin loop. */
static inline void tg_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield" ::: "memory");
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

#endif
