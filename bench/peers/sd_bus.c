/*
 * sd-bus, peer to peer over a pair of sockets: messages are method calls without a reply, the payload an
 * array of bytes.
 */
#include "peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

static int ends[2];

struct handle {
    size_t size;
    sd_bus *bus;
};

static int prepare(struct peer_place *place)
{
    (void)place;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;
}

static int open_(const struct peer_place *place, void **ret_handle)
{
    /* A message of the bus has at most 128 MiB, an array in it 64 MiB. */
    if (place->size > 60000000) {
        return -EOPNOTSUPP;
    }
    struct handle *h = calloc(1, sizeof *h);
    sd_id128_t id = { 0 };
    *ret_handle = h;
    h->size = place->size;
    close(ends[1 - place->side]);
    int r = sd_bus_new(&h->bus);
    r = r < 0 ? r : sd_bus_set_fd(h->bus, ends[place->side], ends[place->side]);
    if (place->side == 1) {
        r = r < 0 ? r : sd_bus_set_server(h->bus, 1, id);
    }
    r = r < 0 ? r : sd_bus_set_anonymous(h->bus, 1);
    return r < 0 ? r : sd_bus_start(h->bus);
}

static int send_(void *handle, const void *data)
{
    struct handle *h = handle;
    sd_bus_message *m = NULL;
    int r = sd_bus_message_new_method_call(h->bus, &m, NULL, "/p", "a.B", "M");
    r = r < 0 ? r : sd_bus_message_set_expect_reply(m, 0);
    r = r < 0 ? r : sd_bus_message_append_array(m, 'y', data, h->size);
    while (r >= 0 && (r = sd_bus_send(h->bus, m, NULL)) == -ENOBUFS) {
        sd_bus_flush(h->bus);
    }
    r = r < 0 ? r : sd_bus_flush(h->bus);
    sd_bus_message_unref(m);
    return r < 0 ? r : 0;
}

static int receive(void *handle, void *data)
{
    struct handle *h = handle;
    for (;;) {
        sd_bus_message *m = NULL;
        const int r = sd_bus_process(h->bus, &m);
        if (r < 0) {
            return r;
        }
        const void *bytes;
        size_t len;
        if (m != NULL && sd_bus_message_is_method_call(m, "a.B", "M") > 0 &&
            sd_bus_message_read_array(m, 'y', &bytes, &len) > 0) {
            memcpy(data, bytes, len);
            sd_bus_message_unref(m);
            return 0;
        }
        sd_bus_message_unref(m);
        if (r == 0) {
            sd_bus_wait(h->bus, UINT64_MAX);
        }
    }
}

static void close_(void *handle)
{
    struct handle *h = handle;
    sd_bus_flush_close_unref(h->bus);
    free(h);
}

const struct peer peer = {
    .name = "sd-bus",
    .version = PEER_VERSION,
    .modes = "block",
    .prepare = prepare,
    .open = open_,
    .send = send_,
    .receive = receive,
    .close = close_,
};
