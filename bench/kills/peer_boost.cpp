// Boost.Interprocess message_queue. It has no other interface than that of C++.
#include "peer.h"

#include <boost/date_time/posix_time/posix_time_types.hpp>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/version.hpp>
#include <cerrno>

namespace ipc = boost::interprocess;

static void *open_(const kills_place *place)
{
    try {
        return new ipc::message_queue(ipc::open_or_create, place->name, KILLS_DEPTH, KILLS_LEN);
    } catch (const ipc::interprocess_exception &) {
        return nullptr;
    }
}

static boost::posix_time::ptime tick()
{
    return boost::posix_time::microsec_clock::universal_time() +
           boost::posix_time::milliseconds(static_cast<long>(KILLS_TICK_MS));
}

static int send_(void *handle, const void *data, size_t len)
{
    try {
        return static_cast<ipc::message_queue *>(handle)->timed_send(data, len, 0, tick())
                   ? 0
                   : -EAGAIN;
    } catch (const ipc::interprocess_exception &) {
        return -EIO;
    }
}

static ssize_t take(void *handle, void *data, size_t size, bool *ret_again)
{
    ipc::message_queue::size_type len = 0;
    unsigned priority = 0;
    *ret_again = false;
    try {
        return static_cast<ipc::message_queue *>(handle)->timed_receive(data, size, len, priority,
                                                                        tick())
                   ? static_cast<ssize_t>(len)
                   : -EAGAIN;
    } catch (const ipc::interprocess_exception &) {
        return -EIO;
    }
}

static void close_(void *handle)
{
    delete static_cast<ipc::message_queue *>(handle);
}

static void remove_(const char *name, const char *)
{
    ipc::message_queue::remove(name);
}

const struct kills_peer kills_peer = {
    "boost", BOOST_LIB_VERSION, false,  nullptr, nullptr, open_, send_,
    take,    nullptr,           close_, remove_
};
