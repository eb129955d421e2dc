/*
 * nng: push and pull over ipc://. Whoever is there first listens, the others dial.
 */
#include "peer.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/supplemental/util/platform.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct handle {
    nng_socket socket;
    bool sends;
};

static void address(char *ret_text, size_t size, const char *name, const char *folder)
{
    snprintf(ret_text, size, "ipc://%s/%s.nng", folder, name);
}

static bool set_up(struct handle *handle, const struct kills_place *place)
{
    char where[300];
    const int r = place->sends ? nng_push0_open(&handle->socket) : nng_pull0_open(&handle->socket);
    if (r != 0) {
        return false;
    }
    handle->sends = place->sends;
    /* What a side does not know is refused, and does not matter. */
    (void)nng_socket_set_int(handle->socket, NNG_OPT_SENDBUF, KILLS_DEPTH);
    (void)nng_socket_set_int(handle->socket, NNG_OPT_RECVBUF, KILLS_DEPTH);
    (void)nng_socket_set_ms(handle->socket, NNG_OPT_SENDTIMEO, KILLS_TICK_MS);
    (void)nng_socket_set_ms(handle->socket, NNG_OPT_RECVTIMEO, KILLS_TICK_MS);
    (void)nng_socket_set_ms(handle->socket, NNG_OPT_RECONNMINT, 1);
    (void)nng_socket_set_ms(handle->socket, NNG_OPT_RECONNMAXT, 10);
    address(where, sizeof where, place->name, place->folder);
    return (place->first ? nng_listen(handle->socket, where, NULL, 0)
                         : nng_dial(handle->socket, where, NULL, 0)) == 0;
}

static void *open_(const struct kills_place *place)
{
    struct handle *handle = calloc(1, sizeof *handle);
    if (handle && !set_up(handle, place)) {
        free(handle);
        return NULL;
    }
    return handle;
}

static int answer(int error)
{
    switch (error) {
    case NNG_ETIMEDOUT:
    case NNG_EAGAIN:
    case NNG_EINTR:
        return -EAGAIN;
    case NNG_ENOMEM:
        return -ENOMEM;
    case NNG_ECLOSED:
        return -EBADF;
    default:
        return -EIO;
    }
}

static int send_(void *arg, const void *data, size_t len)
{
    struct handle *handle = arg;
    const int r = nng_send(handle->socket, (void *)(uintptr_t)data, len, 0);
    return r == 0 ? 0 : answer(r);
}

static ssize_t take(void *arg, void *data, size_t size, bool *ret_again)
{
    struct handle *handle = arg;
    size_t len = size;
    *ret_again = false;
    const int r = nng_recv(handle->socket, data, &len, 0);
    return r == 0 ? (ssize_t)len : answer(r);
}

static void close_(void *arg)
{
    struct handle *handle = arg;
    if (handle->sends) {
        /* nng_close() drops what is in the buffer, and nothing tells when it is empty. */
        nng_msleep(2 * KILLS_TICK_MS);
    }
    nng_close(handle->socket);
    free(handle);
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
    .name = "nng",
    .version = TEXT(NNG_MAJOR_VERSION) "." TEXT(NNG_MINOR_VERSION) "." TEXT(NNG_PATCH_VERSION),
    .open = open_,
    .send = send_,
    .take = take,
    .close = close_,
    .remove = remove_,
};
