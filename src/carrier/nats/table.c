/* The carrier's table of functions, and the one name that this library shows. */
#include "carrier/carrier.h"

#include <errno.h>
#include <string.h>

#include "carrier/nats/box.h"
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

static ssize_t skip(tg_handle h)
{
    return tg_nats_skip(h);
}

static int interrupt(tg_handle h)
{
    return tg_nats_interrupt(h);
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
    .wait_any = wait_any,
    .done = done,
    .give_back = give_back,
    .skip = skip,
    .interrupt = interrupt,
    .stat = tg_nats_stat,
    .list = tg_nats_list,
};

__attribute__((visibility("default"))) const struct tg_carrier *tg_nats_library(size_t size,
                                                                                const char *version)
{
    return size == sizeof table && strcmp(version, TG_NATS_VERSION) == 0 ? &table : NULL;
}
