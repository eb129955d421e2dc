/*
 * POSIX message queues. The kernel keeps the messages; an ordinary user gets room for ten.
 */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    depth = 10
};

static void *open_(const struct kills_place *place)
{
    char name[256];
    struct mq_attr attr = { .mq_maxmsg = depth, .mq_msgsize = KILLS_LEN };
    snprintf(name, sizeof name, "/%s", place->name);
    const mqd_t queue =
        mq_open(name, O_CREAT | (place->sends ? O_WRONLY : O_RDONLY) | O_CLOEXEC, 0600, &attr);
    mqd_t *handle = queue == (mqd_t)-1 ? NULL : malloc(sizeof *handle);
    if (handle) {
        *handle = queue;
    }
    return handle;
}

static struct timespec tick(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += KILLS_TICK_MS * 1000000L;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static int answer(void)
{
    return errno == ETIMEDOUT || errno == EINTR ? -EAGAIN : -errno;
}

static int send_(void *handle, const void *data, size_t len)
{
    const mqd_t *queue = handle;
    const struct timespec until = tick();
    return mq_timedsend(*queue, data, len, 0, &until) == 0 ? 0 : answer();
}

static ssize_t take(void *handle, void *data, size_t size, bool *ret_again)
{
    const mqd_t *queue = handle;
    const struct timespec until = tick();
    *ret_again = false;
    const ssize_t n = mq_timedreceive(*queue, data, size, NULL, &until);
    return n >= 0 ? n : answer();
}

static void close_(void *handle)
{
    mqd_t *queue = handle;
    mq_close(*queue);
    free(queue);
}

static void remove_(const char *queue, const char *folder)
{
    char name[256];
    (void)folder;
    snprintf(name, sizeof name, "/%s", queue);
    mq_unlink(name);
}

const struct kills_peer kills_peer = {
    .name = "posix-mq",
    .open = open_,
    .send = send_,
    .take = take,
    .close = close_,
    .remove = remove_,
};
