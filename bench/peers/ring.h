/*
 * ring.h - shared memory of two ways, each with slots for messages, for peers that only queue numbers of slots.
 */
#ifndef TONG_BENCH_PEERS_RING_H
#define TONG_BENCH_PEERS_RING_H

#include "peer.h"

/* Bytes of one slot: whole cache lines. */
static inline size_t slot_size(const struct peer_place *place)
{
    return (place->size + 63) / 64 * 64;
}

/* Bytes of the slots of one way. */
static inline size_t slots_size(const struct peer_place *place)
{
    return slot_size(place) * place->depth;
}

/* Slot *slot* of the way that side *from* sends on, behind *head* bytes of each way. */
static inline unsigned char *slot_of(const struct peer_place *place, size_t head, int from,
                                     size_t slot)
{
    unsigned char *way = (unsigned char *)place->shared + (size_t)from * (head + slots_size(place));
    return way + head + slot * slot_size(place);
}

static inline void *head_of(const struct peer_place *place, size_t head, int from)
{
    return (unsigned char *)place->shared + (size_t)from * (head + slots_size(place));
}

#endif
