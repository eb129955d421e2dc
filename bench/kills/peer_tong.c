/*
 * tong: a mailbox of the system, bounded for each sender. Messages are claimed, so that one that a
 * receiver had in its hand when it died comes again, marked.
 */
#include "peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tong/tong.h>

struct handle {
    tong_mailbox *box;
    tong_message message;
};

static void *open_(const struct kills_place *place)
{
    struct handle *handle = calloc(1, sizeof *handle);
    tong_options options = TONG_OPTIONS_INIT;
    options.link_capacity = KILLS_DEPTH;
    const unsigned flags = (place->sends ? TONG_SEND : TONG_RECEIVE) | TONG_CREATE;
    if (handle && tong_open(place->name, flags, &options, &handle->box) != 0) {
        free(handle);
        return NULL;
    }
    return handle;
}

static int send_(void *arg, const void *data, size_t len)
{
    struct handle *handle = arg;
    const int r = tong_send(handle->box, data, len, TONG_MS(KILLS_TICK_MS));
    return r == -ETIMEDOUT ? -EAGAIN : r;
}

static ssize_t take(void *arg, void *data, size_t size, bool *ret_again)
{
    struct handle *handle = arg;
    handle->message = (tong_message)TONG_MESSAGE_INIT;
    const int r = tong_claim(handle->box, TONG_MS(KILLS_TICK_MS), &handle->message);
    if (r != 0) {
        return r == -ETIMEDOUT ? -EAGAIN : r;
    }
    memcpy(data, handle->message.data, handle->message.len < size ? handle->message.len : size);
    *ret_again = handle->message.deliveries > 1;
    return (ssize_t)handle->message.len;
}

static void done(void *arg)
{
    struct handle *handle = arg;
    tong_done(handle->box, &handle->message);
}

static void close_(void *arg)
{
    struct handle *handle = arg;
    tong_close(handle->box);
    free(handle);
}

static void remove_(const char *name, const char *folder)
{
    (void)folder;
    tong_remove(name);
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const struct kills_peer kills_peer = {
    .name = "tong",
    .version = TEXT(TONG_VERSION_MAJOR) "." TEXT(TONG_VERSION_MINOR) "." TEXT(TONG_VERSION_PATCH),
    .open = open_,
    .send = send_,
    .take = take,
    .done = done,
    .close = close_,
    .remove = remove_,
};
