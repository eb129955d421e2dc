/*
 * ZeroMQ: a PAIR over ipc://; side 1 binds.
 */
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

struct handle {
    size_t size;
    void *context, *socket;
};

static int open_(const struct peer_place *place, void **ret_handle)
{
    char where[300];
    const int room = (int)place->depth;
    struct handle *h = calloc(1, sizeof *h);
    *ret_handle = h;
    h->size = place->size;
    h->context = zmq_ctx_new();
    h->socket = zmq_socket(h->context, ZMQ_PAIR);
    zmq_setsockopt(h->socket, ZMQ_SNDHWM, &room, sizeof room);
    zmq_setsockopt(h->socket, ZMQ_RCVHWM, &room, sizeof room);
    snprintf(where, sizeof where, "ipc://%s/zmq", place->folder);
    const int r = place->side == 1 ? zmq_bind(h->socket, where) : zmq_connect(h->socket, where);
    return r < 0 ? -zmq_errno() : 0;
}

static int send_(void *handle, const void *data)
{
    struct handle *h = handle;
    return zmq_send(h->socket, data, h->size, 0) < 0 ? -zmq_errno() : 0;
}

static int receive(void *handle, void *data)
{
    struct handle *h = handle;
    return zmq_recv(h->socket, data, h->size, 0) < 0 ? -zmq_errno() : 0;
}

static void close_(void *handle)
{
    struct handle *h = handle;
    zmq_close(h->socket);
    zmq_ctx_term(h->context);
    free(h);
}

const struct peer peer = {
    .name = "zeromq",
    .version = PEER_TEXT(ZMQ_VERSION_MAJOR) "." PEER_TEXT(ZMQ_VERSION_MINOR) "." PEER_TEXT(
        ZMQ_VERSION_PATCH),
    .modes = "block",
    .open = open_,
    .send = send_,
    .receive = receive,
    .close = close_,
};
