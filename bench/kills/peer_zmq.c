/*
 * ZeroMQ: PUSH and PULL over ipc://. Whoever is there first binds, the others connect.
 */
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

struct handle {
    void *context;
    void *socket;
};

static void address(char *ret_text, size_t size, const char *name, const char *folder)
{
    snprintf(ret_text, size, "ipc://%s/%s.zmq", folder, name);
}

static void close_(void *arg)
{
    struct handle *handle = arg;
    if (handle->socket) {
        zmq_close(handle->socket);
    }
    if (handle->context) {
        zmq_ctx_term(handle->context);
    }
    free(handle);
}

static bool set_up(struct handle *handle, const struct kills_place *place)
{
    char where[300];
    const int room = KILLS_DEPTH;
    const int tick = KILLS_TICK_MS;
    const int linger = 1000;
    handle->context = zmq_ctx_new();
    handle->socket =
        handle->context ? zmq_socket(handle->context, place->sends ? ZMQ_PUSH : ZMQ_PULL) : NULL;
    if (!handle->socket) {
        return false;
    }
    zmq_setsockopt(handle->socket, ZMQ_SNDHWM, &room, sizeof room);
    zmq_setsockopt(handle->socket, ZMQ_RCVHWM, &room, sizeof room);
    zmq_setsockopt(handle->socket, ZMQ_SNDTIMEO, &tick, sizeof tick);
    zmq_setsockopt(handle->socket, ZMQ_RCVTIMEO, &tick, sizeof tick);
    zmq_setsockopt(handle->socket, ZMQ_LINGER, &linger, sizeof linger);
    address(where, sizeof where, place->name, place->folder);
    return (place->first ? zmq_bind(handle->socket, where) : zmq_connect(handle->socket, where)) ==
           0;
}

static void *open_(const struct kills_place *place)
{
    struct handle *handle = calloc(1, sizeof *handle);
    if (handle && !set_up(handle, place)) {
        close_(handle);
        return NULL;
    }
    return handle;
}

static int answer(void)
{
    const int error = zmq_errno();
    return error == EAGAIN || error == EINTR ? -EAGAIN : -error;
}

static int send_(void *arg, const void *data, size_t len)
{
    struct handle *handle = arg;
    return zmq_send(handle->socket, data, len, 0) >= 0 ? 0 : answer();
}

static ssize_t take(void *arg, void *data, size_t size, bool *ret_again)
{
    struct handle *handle = arg;
    *ret_again = false;
    const int n = zmq_recv(handle->socket, data, size, 0);
    return n >= 0 ? n : answer();
}

static void remove_(const char *name, const char *folder)
{
    char where[300];
    address(where, sizeof where, name, folder);
    unlink(where + sizeof "ipc://" - 1);
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const struct kills_peer kills_peer = {
    .name = "zeromq",
    .version = TEXT(ZMQ_VERSION_MAJOR) "." TEXT(ZMQ_VERSION_MINOR) "." TEXT(ZMQ_VERSION_PATCH),
    .open = open_,
    .send = send_,
    .take = take,
    .close = close_,
    .remove = remove_,
};
