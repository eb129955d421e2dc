/* The carrier's table of functions, and the one name that this library shows. */
#include "carrier/carrier.h"

#include <errno.h>
#include <string.h>

#include "carrier/nats/box.h"
#include "carrier/nats/call.h"
#include "carrier/nats/dead_letter.h"
#include "carrier/nats/direct.h"
#include "carrier/nats/give.h"
#include "carrier/nats/loop.h"
#include "carrier/nats/peek.h"
#include "carrier/nats/watch.h"
#include "carrier/nats_library.h"

static int open_(const char *rest, unsigned flags, const tong_options *options,
                 tg_handle *ret_handle)
{
    struct tg_nats_box *box;
    const int r = tg_nats_open(rest, flags, options, &box);
    if (r == 0) {
        *ret_handle = box;
    }
    return r;
}

static int close_(tg_handle h)
{
    return tg_nats_close(h);
}

static int send_(tg_handle h, const void *data, size_t len, int64_t timeout_ns)
{
    return tg_nats_send(h, data, len, NULL, timeout_ns);
}

static int send_with(tg_handle h, const void *data, size_t len, const tong_send_options *with,
                     int64_t timeout_ns)
{
    return tg_nats_send(h, data, len, with, timeout_ns);
}

static ssize_t send_many(tg_handle h, const struct iovec *messages, size_t n, int64_t timeout_ns)
{
    return tg_nats_send_many(h, messages, n, timeout_ns);
}

static ssize_t receive(tg_handle h, void *buf, size_t size, int64_t timeout_ns)
{
    return tg_nats_receive(h, buf, size, NULL, timeout_ns, NULL);
}

static ssize_t receive_with(tg_handle h, void *buf, size_t size, const tong_receive_options *with,
                            int64_t timeout_ns, tong_message *ret_info)
{
    return tg_nats_receive(h, buf, size, with, timeout_ns, ret_info);
}

static ssize_t receive_many(tg_handle h, const struct iovec *buffers, size_t n, int64_t timeout_ns,
                            size_t *ret_lens)
{
    return tg_nats_receive_many(h, buffers, n, timeout_ns, ret_lens);
}

static int claim(tg_handle h, int64_t timeout_ns, tong_message *ret_message)
{
    return tg_nats_claim(h, timeout_ns, ret_message);
}

static int wait_any(tg_handle const handles[], size_t n, int64_t timeout_ns)
{
    return tg_nats_wait_any((struct tg_nats_box *const *)handles, n, timeout_ns);
}

static int done(tg_handle h, tong_message *message)
{
    return tg_nats_done(h, message);
}

static int give_back(tg_handle h, tong_message *message)
{
    return tg_nats_return(h, message);
}

static int origin(tg_handle h, const tong_message *message, tong_origin *ret_origin)
{
    return tg_nats_origin(h, message, ret_origin);
}

static ssize_t skip(tg_handle h)
{
    return tg_nats_skip(h);
}

static int interrupt(tg_handle h)
{
    return tg_nats_interrupt(h);
}

static int process_open(const char *rest, const tong_options *options, tg_handle *ret_me)
{
    struct tg_nats_box *me;
    const int r = tg_nats_process_open(rest, options, &me);
    if (r == 0) {
        *ret_me = me;
    }
    return r;
}

static int process_rename(tg_handle me, const char *rest)
{
    return tg_nats_process_rename(me, rest);
}

static int process_pause(tg_handle me, int64_t deadline_ns)
{
    return tg_nats_process_pause(me, deadline_ns);
}

static ssize_t receive_any(tg_handle me, void *buf, size_t size, int64_t timeout_ns,
                           char ret_from[TONG_NAME_MAX])
{
    return tg_nats_receive_from(me, NULL, NULL, buf, size, timeout_ns, ret_from);
}

static ssize_t receive_from(tg_handle me, const char *rest, tg_handle peer, void *buf, size_t size,
                            int64_t timeout_ns)
{
    return tg_nats_receive_from(me, rest, peer, buf, size, timeout_ns, NULL);
}

static int peer_open(tg_handle me, const char *rest, tg_handle *ret_peer)
{
    struct tg_nats_box *peer;
    const int r = tg_nats_peer_open(me, rest, &peer);
    if (r == 0) {
        *ret_peer = peer;
    }
    return r;
}

static int peer_check(tg_handle peer)
{
    return tg_nats_peer_check(peer);
}

static int peer_look_up(tg_handle peer, const char *rest)
{
    return tg_nats_peer_look_up(peer, rest);
}

static bool peer_is_same(tg_handle a, tg_handle b)
{
    return tg_nats_peer_is_same(a, b);
}

/* It looks at the name of the process that it sends as. */
static void peer_rename(tg_handle peer, const char *rest)
{
    (void)peer;
    (void)rest;
}

static int reply_open(tg_handle h, tg_handle *ret_reply, char ret_name[TONG_NAME_MAX],
                      uint64_t *ret_number)
{
    struct tg_nats_box *reply;
    const int r = tg_nats_reply_open(h, &reply, ret_name, ret_number);
    if (r == 0) {
        *ret_reply = reply;
    }
    return r;
}

static int ask(tg_handle h, tg_handle reply, const void *data, size_t len,
               const tong_send_options *with, int64_t timeout_ns, uint64_t ret_where[2])
{
    (void)reply;
    return tg_nats_ask(h, data, len, with, timeout_ns, ret_where);
}

static ssize_t await(tg_handle h, tg_handle reply, const uint64_t where[2], uint64_t number,
                     void *buf, size_t size, int64_t timeout_ns, tong_message *ret_info)
{
    return tg_nats_await(h, reply, where, number, buf, size, timeout_ns, ret_info);
}

static int caller_open(tg_handle h, const char *rest, tg_handle *ret_caller)
{
    struct tg_nats_box *caller;
    const int r = tg_nats_caller_open(h, rest, &caller);
    if (r == 0) {
        *ret_caller = caller;
    }
    return r;
}

static int answered(tg_handle h, tong_message *request)
{
    return tg_nats_answered(h, request);
}

static int observer_open(const char *rest, tg_handle *ret_observer)
{
    struct tg_nats_observer *observer;
    const int r = tg_nats_observer_open(rest, &observer);
    if (r == 0) {
        *ret_observer = observer;
    }
    return r;
}

static int observer_close(tg_handle observer)
{
    return tg_nats_observer_close(observer);
}

static ssize_t peek(tg_handle observer, void *buf, size_t size, int64_t timeout_ns,
                    tong_message *ret_info, uint64_t *ret_missed)
{
    return tg_nats_peek(observer, buf, size, timeout_ns, ret_info, ret_missed);
}

static int give(tg_handle h, const char *process)
{
    return tg_nats_give(h, process);
}

static int fd(tg_handle h, unsigned what)
{
    return tg_nats_fd(h, what);
}

static int watch(tg_handle h, int64_t timeout_ns, tong_death *ret_death)
{
    return tg_nats_watch(h, timeout_ns, ret_death);
}

static const struct tg_carrier table = {
    .prefix = "nats",
    .open = open_,
    .close = close_,
    .remove = tg_nats_remove,
    .send = send_,
    .send_with = send_with,
    .send_many = send_many,
    .receive = receive,
    .receive_with = receive_with,
    .receive_many = receive_many,
    .claim = claim,
    .watch = watch,
    .give = give,
    .wait_any = wait_any,
    .fd = fd,
    .done = done,
    .give_back = give_back,
    .skip = skip,
    .origin = origin,
    .interrupt = interrupt,
    .process_open = process_open,
    .process_rename = process_rename,
    .process_pause = process_pause,
    .receive_any = receive_any,
    .receive_from = receive_from,
    .peer_open = peer_open,
    .peer_check = peer_check,
    .peer_look_up = peer_look_up,
    .peer_is_same = peer_is_same,
    .peer_rename = peer_rename,
    .observer_open = observer_open,
    .observer_close = observer_close,
    .peek = peek,
    .links = tg_nats_links,
    .reply_open = reply_open,
    .ask = ask,
    .await = await,
    .caller_open = caller_open,
    .answered = answered,
    .stat = tg_nats_stat,
    .list = tg_nats_list,
};

__attribute__((visibility("default"))) const struct tg_carrier *tg_nats_library(size_t size,
                                                                                const char *version)
{
    return size == sizeof table && strcmp(version, TG_NATS_VERSION) == 0 ? &table : NULL;
}
