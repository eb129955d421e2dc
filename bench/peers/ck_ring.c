/*
 * Concurrency Kit's ck_ring in shared memory, single producer and consumer: for each way a ring of filled
 * slots and one of free slots, the payload beside them. It does not sleep.
 */
#include "ring.h"

#include <ck_ring.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    room = 2 * PEER_DEPTH /* a power of two, above the depth */
};

struct way {
    _Alignas(128) ck_ring_t filled;
    ck_ring_buffer_t filled_buffer[room];
    _Alignas(128) ck_ring_t free;
    ck_ring_buffer_t free_buffer[room];
};

struct handle {
    const struct peer_place *place;
    struct way *out, *in;
};

static size_t shared_size(const struct peer_place *place)
{
    return 2 * (sizeof(struct way) + slots_size(place));
}

static int prepare(struct peer_place *place)
{
    for (int side = 0; side < 2; side++) {
        struct way *way = head_of(place, sizeof(struct way), side);
        ck_ring_init(&way->filled, room);
        ck_ring_init(&way->free, room);
        for (uintptr_t i = 0; i < place->depth; i++) {
            ck_ring_enqueue_spsc(&way->free, way->free_buffer, (void *)(i + 1));
        }
    }
    return 0;
}

static int open_(const struct peer_place *place, void **ret_handle)
{
    struct handle *h = calloc(1, sizeof *h);
    *h = (struct handle){ place, head_of(place, sizeof(struct way), place->side),
                          head_of(place, sizeof(struct way), 1 - place->side) };
    *ret_handle = h;
    return 0;
}

static int send_(void *handle, const void *data)
{
    struct handle *h = handle;
    void *slot;
    while (!ck_ring_dequeue_spsc(&h->out->free, h->out->free_buffer, &slot)) {
        peer_pause();
    }
    memcpy(slot_of(h->place, sizeof(struct way), h->place->side, (uintptr_t)slot - 1), data,
           h->place->size);
    ck_ring_enqueue_spsc(&h->out->filled, h->out->filled_buffer, slot);
    return 0;
}

static int receive(void *handle, void *data)
{
    struct handle *h = handle;
    void *slot;
    while (!ck_ring_dequeue_spsc(&h->in->filled, h->in->filled_buffer, &slot)) {
        peer_pause();
    }
    memcpy(data, slot_of(h->place, sizeof(struct way), 1 - h->place->side, (uintptr_t)slot - 1),
           h->place->size);
    ck_ring_enqueue_spsc(&h->in->free, h->in->free_buffer, slot);
    return 0;
}

const struct peer peer = {
    .name = "ck_ring",
    .modes = "poll",
    .shared_size = shared_size,
    .prepare = prepare,
    .open = open_,
    .send = send_,
    .receive = receive,
    .close = free,
};
