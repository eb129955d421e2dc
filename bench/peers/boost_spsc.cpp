// Boost.Lockfree spsc_queue in shared memory: for each way a queue of filled slots and one of free slots,
// the payload beside them. It does not sleep.
#include "ring.h"

#include <boost/lockfree/spsc_queue.hpp>
#include <boost/version.hpp>
#include <cstring>
#include <new>

namespace
{

using Queue = boost::lockfree::spsc_queue<uint32_t, boost::lockfree::capacity<2 * PEER_DEPTH>>;

struct way {
    alignas(128) Queue filled;
    alignas(128) Queue free;
};

struct handle {
    const peer_place *place;
    way *out, *in;
};

size_t shared_size(const peer_place *place)
{
    return 2 * (sizeof(way) + slots_size(place));
}

int prepare(peer_place *place)
{
    for (int side = 0; side < 2; side++) {
        way *w = new (head_of(place, sizeof(way), side)) way;
        for (uint32_t i = 0; i < place->depth; i++) {
            w->free.push(i);
        }
    }
    return 0;
}

int open_(const peer_place *place, void **ret_handle)
{
    *ret_handle = new handle{ place, static_cast<way *>(head_of(place, sizeof(way), place->side)),
                              static_cast<way *>(head_of(place, sizeof(way), 1 - place->side)) };
    return 0;
}

int send_(void *arg, const void *data)
{
    auto *h = static_cast<handle *>(arg);
    uint32_t slot;
    while (!h->out->free.pop(slot)) {
        peer_pause();
    }
    memcpy(slot_of(h->place, sizeof(way), h->place->side, slot), data, h->place->size);
    h->out->filled.push(slot);
    return 0;
}

int receive(void *arg, void *data)
{
    auto *h = static_cast<handle *>(arg);
    uint32_t slot;
    while (!h->in->filled.pop(slot)) {
        peer_pause();
    }
    memcpy(data, slot_of(h->place, sizeof(way), 1 - h->place->side, slot), h->place->size);
    h->in->free.push(slot);
    return 0;
}

void close_(void *arg)
{
    delete static_cast<handle *>(arg);
}

} // namespace

const struct peer peer = {
    "boost-spsc", BOOST_LIB_VERSION, "poll", nullptr, nullptr, false,   nullptr,
    shared_size,  prepare,           open_,  nullptr, send_,   receive, close_,
    nullptr,
};
