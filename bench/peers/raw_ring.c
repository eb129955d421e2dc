/*
 * A bare ring in shared memory: one sender, one receiver, slots of one size, memcpy in and memcpy out. poll:
 * spins with pause. block: a futex, no spinning; the other side is woken when it said that it sleeps. fence: spins, and
 * looks behind a fence whether the other side sleeps, as all must that may sleep. It can lose its peer, cannot grow,
 * refuses nothing: the floor, not a rival.
 */
#include "ring.h"

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct way {
    _Alignas(128) _Atomic uint32_t tail;
    _Atomic uint32_t sender_sleeps;
    _Alignas(128) _Atomic uint32_t head;
    _Atomic uint32_t receiver_sleeps;
};

struct handle {
    const struct peer_place *place;
    bool spins;
    struct way *out, *in;
    uint32_t sent, freed;   /* my index on the way out; the other one's as last seen */
    uint32_t taken, filled; /* the same of the way in */
};

static size_t shared_size(const struct peer_place *place)
{
    return 2 * (sizeof(struct way) + slots_size(place));
}

static int open_(const struct peer_place *place, void **ret_handle)
{
    struct handle *h = calloc(1, sizeof *h);
    h->place = place;
    h->spins = strcmp(place->mode, "block") != 0;
    h->out = head_of(place, sizeof(struct way), place->side);
    h->in = head_of(place, sizeof(struct way), 1 - place->side);
    *ret_handle = h;
    return 0;
}

/* Until *word is not `same` any more. */
static uint32_t wait_for(const struct handle *h, _Atomic uint32_t *word, uint32_t same,
                         _Atomic uint32_t *sleeps)
{
    uint32_t now;
    while ((now = atomic_load_explicit(word, memory_order_acquire)) == same) {
        if (h->spins) {
            peer_pause();
            continue;
        }
        atomic_store(sleeps, 1);
        if (atomic_load(word) == same) {
            syscall(SYS_futex, word, FUTEX_WAIT, same, NULL, NULL, 0);
        }
        atomic_store_explicit(sleeps, 0, memory_order_relaxed);
    }
    return now;
}

static void publish(const struct handle *h, _Atomic uint32_t *word, uint32_t value,
                    _Atomic uint32_t *sleeps)
{
    atomic_store_explicit(word, value, memory_order_release);
    if (h->place->poll) {
        return;
    }
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(sleeps, memory_order_relaxed) != 0) {
        atomic_store_explicit(sleeps, 0, memory_order_relaxed);
        syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

static int send_(void *handle, const void *data)
{
    struct handle *h = handle;
    if (h->sent - h->freed == h->place->depth) {
        h->freed = wait_for(h, &h->out->head, h->freed, &h->out->sender_sleeps);
    }
    memcpy(slot_of(h->place, sizeof(struct way), h->place->side, h->sent % h->place->depth), data,
           h->place->size);
    publish(h, &h->out->tail, ++h->sent, &h->out->receiver_sleeps);
    return 0;
}

static int receive(void *handle, void *data)
{
    struct handle *h = handle;
    if (h->taken == h->filled) {
        h->filled = wait_for(h, &h->in->tail, h->filled, &h->in->receiver_sleeps);
    }
    memcpy(data,
           slot_of(h->place, sizeof(struct way), 1 - h->place->side, h->taken % h->place->depth),
           h->place->size);
    publish(h, &h->in->head, ++h->taken, &h->in->sender_sleeps);
    return 0;
}

const struct peer peer = {
    .name = "raw-ring",
    .modes = "poll block fence",
    .shared_size = shared_size,
    .open = open_,
    .send = send_,
    .receive = receive,
    .close = free,
};
