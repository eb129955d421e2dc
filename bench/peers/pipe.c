/*
 * Pipes of 1 MiB, one each way. poll: O_NONBLOCK and pause.
 */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int ends[2][2]; /* of the way that side 0 or 1 sends on */

struct handle {
    size_t size;
    int in, out;
};

static int prepare(struct peer_place *place)
{
    for (int i = 0; i < 2; i++) {
        if (pipe2(ends[i], place->poll ? O_NONBLOCK : 0) < 0) {
            return -errno;
        }
        fcntl(ends[i][1], F_SETPIPE_SZ, 1 << 20);
    }
    return 0;
}

static int open_(const struct peer_place *place, void **ret_handle)
{
    struct handle *h = calloc(1, sizeof *h);
    *h = (struct handle){ place->size, ends[1 - place->side][0], ends[place->side][1] };
    close(ends[place->side][0]);
    close(ends[1 - place->side][1]);
    *ret_handle = h;
    return 0;
}

static int send_(void *handle, const void *data)
{
    struct handle *h = handle;
    for (size_t done = 0; done < h->size;) {
        const ssize_t n = write(h->out, (const char *)data + done, h->size - done);
        if (n < 0 && errno != EAGAIN) {
            return -errno;
        }
        n < 0 ? peer_pause() : (void)(done += (size_t)n);
    }
    return 0;
}

static int receive(void *handle, void *data)
{
    struct handle *h = handle;
    for (size_t done = 0; done < h->size;) {
        const ssize_t n = read(h->in, (char *)data + done, h->size - done);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            return n == 0 ? -EPIPE : -errno;
        }
        n < 0 ? peer_pause() : (void)(done += (size_t)n);
    }
    return 0;
}

const struct peer peer = {
    .name = "pipe",
    .modes = "block poll",
    .prepare = prepare,
    .open = open_,
    .send = send_,
    .receive = receive,
    .close = free,
};
