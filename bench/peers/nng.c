/*
 * nng: a pair over ipc://; side 1 listens.
 */
#include "peer.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/supplemental/util/platform.h>
#include <stdio.h>
#include <stdlib.h>

struct handle {
    nng_socket socket;
    size_t size;
    bool sends; /* something may be in its buffer */
};

static int open_(const struct peer_place *place, void **ret_handle)
{
    char where[300];
    struct handle *h = calloc(1, sizeof *h);
    *ret_handle = h;
    h->size = place->size;
    if (nng_pair0_open(&h->socket) != 0) {
        return -EIO;
    }
    nng_socket_set_int(h->socket, NNG_OPT_SENDBUF, (int)place->depth);
    nng_socket_set_int(h->socket, NNG_OPT_RECVBUF, (int)place->depth);
    nng_socket_set_size(h->socket, NNG_OPT_RECVMAXSZ, 0);
    snprintf(where, sizeof where, "ipc://%s/nng", place->folder);
    return (place->side == 1 ? nng_listen(h->socket, where, NULL, 0)
                             : nng_dial(h->socket, where, NULL, 0)) == 0
               ? 0
               : -EIO;
}

static int send_(void *handle, const void *data)
{
    struct handle *h = handle;
    return nng_send(h->socket, (void *)(uintptr_t)data, h->size, 0) == 0 ? 0 : -EIO;
}

static int receive(void *handle, void *data)
{
    struct handle *h = handle;
    size_t len = h->size;
    return nng_recv(h->socket, data, &len, 0) == 0 ? 0 : -EIO;
}

/* nng_close() drops what is in the buffer, and nothing tells when it is empty. */
static void close_(void *handle)
{
    struct handle *h = handle;
    nng_msleep(100);
    nng_close(h->socket);
    free(h);
}

const struct peer peer = {
    .name = "nng",
    .version = PEER_TEXT(NNG_MAJOR_VERSION) "." PEER_TEXT(NNG_MINOR_VERSION) "." PEER_TEXT(
        NNG_PATCH_VERSION),
    .modes = "block",
    .open = open_,
    .send = send_,
    .receive = receive,
    .close = close_,
};
