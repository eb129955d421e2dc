/*
 * nanomsg: a pair over ipc://; side 1 binds.
 */
#include "peer.h"

#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct handle {
    size_t size;
    int socket;
};

static int open_(const struct peer_place *place, void **ret_handle)
{
    char where[300];
    struct handle *h = calloc(1, sizeof *h);
    const int all = -1;
    *ret_handle = h;
    h->size = place->size;
    h->socket = nn_socket(AF_SP, NN_PAIR);
    if (h->socket < 0) {
        return -errno;
    }
    nn_setsockopt(h->socket, NN_SOL_SOCKET, NN_RCVMAXSIZE, &all, sizeof all);
    snprintf(where, sizeof where, "ipc://%s/nanomsg", place->folder);
    const int r = place->side == 1 ? nn_bind(h->socket, where) : nn_connect(h->socket, where);
    return r < 0 ? -errno : 0;
}

static int send_(void *handle, const void *data)
{
    struct handle *h = handle;
    return nn_send(h->socket, data, h->size, 0) < 0 ? -errno : 0;
}

static int receive(void *handle, void *data)
{
    struct handle *h = handle;
    return nn_recv(h->socket, data, h->size, 0) < 0 ? -errno : 0;
}

/* nn_close() drops what is in the buffer. */
static void close_(void *handle)
{
    struct handle *h = handle;
    usleep(100000);
    nn_close(h->socket);
    free(h);
}

const struct peer peer = {
    .name = "nanomsg",
    .version = PEER_TEXT(NN_VERSION_CURRENT),
    .modes = "block",
    .open = open_,
    .send = send_,
    .receive = receive,
    .close = close_,
};
