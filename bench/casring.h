/*
 * casring.h - one ring that many senders share, by compare and swap: the usual other design.
 *
 * A sender claims a slot by moving the tail, writes it, and publishes it by the slot's own turn number
 * (D. Vyukov, "Bounded MPMC queue", with one receiver). Whoever cannot go on sleeps on a futex; see
 * casring.c for how the sleepers are woken, which decides the speed when there are many.
 */
#ifndef TONG_BENCH_CASRING_H
#define TONG_BENCH_CASRING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
    casring_payload = 64
};

enum casring_waking {
    CASRING_WAKE_EACH, /* a slot is free: wake one sender, as a counting semaphore does */
    CASRING_WAKE_FEW   /* a quarter of the ring is free: wake one sender, see casring.c */
};

struct casring_slot {
    _Atomic uint64_t turn; /* position p: free for p; p + 1: holds message p */
    unsigned char payload[casring_payload];
};

struct casring {
    uint32_t slots;                        /* a power of two */
    uint32_t waking;                       /* enum casring_waking */
    _Alignas(128) _Atomic uint64_t tail;   /* next position to claim; senders */
    _Alignas(128) _Atomic uint32_t asleep; /* the receiver sleeps; it sets, a sender clears */
    _Alignas(128) _Atomic uint32_t room;   /* counts the receiver's calls that there is room */
    _Atomic uint32_t blocked;              /* senders that sleep or are about to */
    _Alignas(128) uint64_t head;           /* next position to take; receiver alone */
    uint64_t called;                       /* head at the last call of room */
    struct casring_slot slot[];
};

size_t casring_size(uint32_t slots);
void casring_init(struct casring *ring, uint32_t slots, enum casring_waking waking);
void casring_send(struct casring *ring, const void *payload);
void casring_receive(struct casring *ring, void *ret_payload);

#endif
