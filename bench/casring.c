/*
 * casring.c - the shared ring; see casring.h.
 *
 * Waking senders that found the ring full, in two ways, for the speed with many senders depends on it:
 *
 * each  A slot is free and somebody sleeps: wake one, as the text book's semaphore `empty` does.
 * few   Call once per quarter of the ring, and before sleeping, and wake the one who slept longest.
 *       It fills what is free in its time slice; hardly anybody competes. The best that was found.
 *
 * Waking all sleepers for each free slot was tried, too: 5,000 messages a second with 64 senders.
 */
#include "casring.h"

#include <string.h>

#include "bench.h"
#include "raw.h"

enum {
    spins = 64
};

size_t casring_size(uint32_t slots)
{
    return sizeof(struct casring) + (size_t)slots * sizeof(struct casring_slot);
}

void casring_init(struct casring *ring, uint32_t slots, enum casring_waking waking)
{
    ring->slots = slots;
    ring->waking = waking;
    for (uint32_t i = 0; i < slots; i++) {
        atomic_store_explicit(&ring->slot[i].turn, i, memory_order_relaxed);
    }
    atomic_thread_fence(memory_order_release);
}

static struct casring_slot *slot_of(struct casring *ring, uint64_t position)
{
    return &ring->slot[position & (ring->slots - 1)];
}

static int is_full(struct casring *ring)
{
    const uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    const uint64_t turn = atomic_load_explicit(&slot_of(ring, tail)->turn, memory_order_acquire);
    return (int64_t)(turn - tail) < 0;
}

static void wait_for_room(struct casring *ring)
{
    for (int i = 0; i < spins; i++) {
        bench_pause();
        if (!is_full(ring)) {
            return;
        }
    }
    const uint32_t room = atomic_load_explicit(&ring->room, memory_order_acquire);
    atomic_fetch_add_explicit(&ring->blocked, 1, memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst);
    if (is_full(ring)) {
        raw_futex_wait(&ring->room, room);
    }
    atomic_fetch_sub_explicit(&ring->blocked, 1, memory_order_relaxed);
}

static struct casring_slot *claim(struct casring *ring, uint64_t *ret_position)
{
    uint64_t position = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    for (;;) {
        struct casring_slot *slot = slot_of(ring, position);
        const uint64_t turn = atomic_load_explicit(&slot->turn, memory_order_acquire);
        const int64_t distance = (int64_t)(turn - position);
        if (distance == 0) {
            if (atomic_compare_exchange_weak_explicit(&ring->tail, &position, position + 1,
                                                      memory_order_relaxed, memory_order_relaxed)) {
                *ret_position = position;
                return slot;
            }
            continue;
        }
        if (distance < 0) {
            wait_for_room(ring);
        }
        position = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    }
}

void casring_send(struct casring *ring, const void *payload)
{
    uint64_t position;
    struct casring_slot *slot = claim(ring, &position);
    memcpy(slot->payload, payload, casring_payload);
    atomic_store_explicit(&slot->turn, position + 1, memory_order_release);
    /* The store above before the load below, as the receiver's asleep before its look at the turn. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&ring->asleep, memory_order_relaxed) != 0 &&
        atomic_exchange_explicit(&ring->asleep, 0, memory_order_seq_cst) != 0) {
        raw_futex_wake(&ring->asleep, 1);
    }
}

static void call_room(struct casring *ring)
{
    ring->called = ring->head;
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&ring->blocked, memory_order_relaxed) != 0) {
        atomic_fetch_add_explicit(&ring->room, 1, memory_order_release);
        raw_futex_wake(&ring->room, 1);
    }
}

static void wait_for_message(struct casring *ring, struct casring_slot *slot)
{
    for (int i = 0; i < spins; i++) {
        if (atomic_load_explicit(&slot->turn, memory_order_acquire) == ring->head + 1) {
            return;
        }
        bench_pause();
    }
    call_room(ring);
    while (atomic_load_explicit(&slot->turn, memory_order_acquire) != ring->head + 1) {
        atomic_store_explicit(&ring->asleep, 1, memory_order_seq_cst);
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_load_explicit(&slot->turn, memory_order_acquire) == ring->head + 1) {
            break;
        }
        raw_futex_wait(&ring->asleep, 1);
    }
    atomic_store_explicit(&ring->asleep, 0, memory_order_relaxed);
}

void casring_receive(struct casring *ring, void *ret_payload)
{
    struct casring_slot *slot = slot_of(ring, ring->head);
    if (atomic_load_explicit(&slot->turn, memory_order_acquire) != ring->head + 1) {
        wait_for_message(ring, slot);
    }
    memcpy(ret_payload, slot->payload, casring_payload);
    atomic_store_explicit(&slot->turn, ring->head + ring->slots, memory_order_release);
    ring->head++;
    if (ring->waking == CASRING_WAKE_EACH || ring->head - ring->called >= ring->slots / 4) {
        call_room(ring);
    }
}
