// Boost.Interprocess message_queue. poll: try_send, try_receive, and pause.
#include "peer.h"

#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/version.hpp>
#include <cerrno>
#include <string>

namespace ipc = boost::interprocess;

namespace
{

struct handle {
    size_t size;
    bool poll;
    ipc::message_queue in, out;
};

std::string name_of(const peer_place *place, int side)
{
    return std::string(place->name) + "-" + std::to_string(side);
}

int open_(const peer_place *place, void **ret_handle)
{
    try {
        *ret_handle = new handle{
            place->size,
            place->poll,
            { ipc::open_or_create, name_of(place, place->side).c_str(), place->depth, place->size },
            { ipc::open_or_create, name_of(place, 1 - place->side).c_str(), place->depth,
              place->size },
        };
    } catch (const ipc::interprocess_exception &) {
        return -EIO;
    }
    return 0;
}

int send_(void *arg, const void *data)
{
    auto *h = static_cast<handle *>(arg);
    if (!h->poll) {
        h->out.send(data, h->size, 0);
        return 0;
    }
    while (!h->out.try_send(data, h->size, 0)) {
        peer_pause();
    }
    return 0;
}

int receive(void *arg, void *data)
{
    auto *h = static_cast<handle *>(arg);
    ipc::message_queue::size_type len = 0;
    unsigned priority = 0;
    if (!h->poll) {
        h->in.receive(data, h->size, len, priority);
        return 0;
    }
    while (!h->in.try_receive(data, h->size, len, priority)) {
        peer_pause();
    }
    return 0;
}

void close_(void *arg)
{
    delete static_cast<handle *>(arg);
}

void remove_(const peer_place *place)
{
    for (int side = 0; side < 2; side++) {
        ipc::message_queue::remove(name_of(place, side).c_str());
    }
}

} // namespace

const struct peer peer = {
    "boost-mq", BOOST_LIB_VERSION, "block poll", nullptr, nullptr, false,   nullptr,
    nullptr,    nullptr,           open_,        nullptr, send_,   receive, close_,
    remove_,
};
