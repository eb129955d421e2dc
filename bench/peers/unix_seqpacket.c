/*
 * A pair of Unix sockets, SOCK_SEQPACKET, with 4 MiB to send. poll: MSG_DONTWAIT and pause.
 */
#include "peer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int ends[2];

struct handle {
    size_t size;
    int fd;
    int flags;
};

static int prepare(struct peer_place *place)
{
    (void)place;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0) {
        return -errno;
    }
    for (int i = 0; i < 2; i++) {
        const int size = 4 << 20;
        if (setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0) {
            setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        }
    }
    return 0;
}

static int open_(const struct peer_place *place, void **ret_handle)
{
    struct handle *h = calloc(1, sizeof *h);
    *h = (struct handle){ place->size, ends[place->side], place->poll ? MSG_DONTWAIT : 0 };
    close(ends[1 - place->side]);
    *ret_handle = h;
    return 0;
}

static int answer(ssize_t n)
{
    if (n > 0) {
        return 0;
    }
    return n == 0 ? -EPIPE : errno == EMSGSIZE ? -EOPNOTSUPP : -errno;
}

static int send_(void *handle, const void *data)
{
    struct handle *h = handle;
    ssize_t n;
    while ((n = send(h->fd, data, h->size, h->flags | MSG_NOSIGNAL)) < 0 && errno == EAGAIN) {
        peer_pause();
    }
    return answer(n);
}

static int receive(void *handle, void *data)
{
    struct handle *h = handle;
    ssize_t n;
    while ((n = recv(h->fd, data, h->size, h->flags)) < 0 && errno == EAGAIN) {
        peer_pause();
    }
    return answer(n);
}

const struct peer peer = {
    .name = "unix-seqpacket",
    .modes = "block poll",
    .prepare = prepare,
    .open = open_,
    .send = send_,
    .receive = receive,
    .close = free,
};
