/*
 * POSIX message queues, ten messages deep, as the default limits have it. poll: O_NONBLOCK and pause.
 */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>

struct handle {
    size_t size;
    mqd_t in, out;
};

static void name_of(const struct peer_place *place, int side, char ret_name[static 64])
{
    snprintf(ret_name, 64, "/%s-%d", place->name, side);
}

static int open_one(const struct peer_place *place, int side, int flags, mqd_t *ret_queue)
{
    char name[64];
    struct mq_attr like = { .mq_maxmsg = 10, .mq_msgsize = (long)place->size };
    name_of(place, side, name);
    *ret_queue = mq_open(name, flags | O_CREAT | (place->poll ? O_NONBLOCK : 0), 0600, &like);
    if (*ret_queue != (mqd_t)-1) {
        return 0;
    }
    /* Too long, too many, or none at all on this kernel. */
    return errno == EINVAL || errno == EMFILE || errno == ENOSYS ? -EOPNOTSUPP : -errno;
}

static int open_(const struct peer_place *place, void **ret_handle)
{
    struct handle *h = calloc(1, sizeof *h);
    *ret_handle = h;
    h->size = place->size;
    const int r = open_one(place, place->side, O_RDONLY, &h->in);
    return r < 0 ? r : open_one(place, 1 - place->side, O_WRONLY, &h->out);
}

static int send_(void *handle, const void *data)
{
    struct handle *h = handle;
    int r;
    while ((r = mq_send(h->out, data, h->size, 0)) < 0 && errno == EAGAIN) {
        peer_pause();
    }
    return r < 0 ? -errno : 0;
}

static int receive(void *handle, void *data)
{
    struct handle *h = handle;
    ssize_t r;
    while ((r = mq_receive(h->in, data, h->size, NULL)) < 0 && errno == EAGAIN) {
        peer_pause();
    }
    return r < 0 ? -errno : 0;
}

static void close_(void *handle)
{
    struct handle *h = handle;
    mq_close(h->in);
    mq_close(h->out);
    free(h);
}

static void remove_(const struct peer_place *place)
{
    char name[64];
    for (int side = 0; side < 2; side++) {
        name_of(place, side, name);
        mq_unlink(name);
    }
}

const struct peer peer = {
    .name = "posix-mq",
    .modes = "block poll",
    .open = open_,
    .send = send_,
    .receive = receive,
    .close = close_,
    .remove = remove_,
};
