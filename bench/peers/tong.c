/*
 * tong: a mailbox for each direction. default: it spins briefly, then sleeps. poll: time-out 0 again and
 * again. in-place: reserve and commit, claim and done.
 */
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tong/tong.h>

struct handle {
    tong_mailbox *out, *in;
    size_t size;
    bool poll;
    bool in_place;
};

static void names(const struct peer_place *place, int side, char ret_name[static 64])
{
    snprintf(ret_name, 64, "%s-%d", place->name, side);
}

static int prepare(struct peer_place *place)
{
    char name[64];
    tong_options options = TONG_OPTIONS_INIT;
    setenv("TONG_DIR", place->folder, 1);
    options.delivery = strcmp(place->mode, "exclusive") == 0 ? TONG_EXCLUSIVE : TONG_FIRST_COME;
    options.link_capacity = (uint32_t)place->depth;
    options.max_bytes = UINT64_C(4) << 30;
    for (int side = 0; side < 2; side++) {
        tong_mailbox *box;
        names(place, side, name);
        const int r = tong_open(name, TONG_SEND | TONG_CREATE | TONG_EXCL, &options, &box);
        if (r < 0) {
            return r;
        }
        tong_close(box);
    }
    return 0;
}

static int open_(const struct peer_place *place, void **ret_handle)
{
    char name[64];
    struct handle *h = calloc(1, sizeof *h);
    if (h == NULL) {
        return -ENOMEM;
    }
    h->size = place->size;
    h->poll = place->poll;
    h->in_place = strcmp(place->mode, "in-place") == 0;
    names(place, place->side, name);
    int r = tong_open(name, TONG_RECEIVE, NULL, &h->in);
    if (r >= 0) {
        names(place, 1 - place->side, name);
        r = tong_open(name, TONG_SEND, NULL, &h->out);
    }
    *ret_handle = h;
    return r;
}

static int send_in_place(struct handle *h, const void *data)
{
    tong_slot slot = TONG_SLOT_INIT;
    const int r = tong_reserve(h->out, h->size, TONG_FOREVER, &slot);
    if (r < 0) {
        return r;
    }
    memcpy(slot.data, data, h->size);
    return tong_commit(h->out, &slot, h->size);
}

static int send_(void *handle, const void *data)
{
    struct handle *h = handle;
    if (h->in_place) {
        return send_in_place(h, data);
    }
    if (!h->poll) {
        return tong_send(h->out, data, h->size, TONG_FOREVER);
    }
    int r;
    while ((r = tong_send(h->out, data, h->size, 0)) == -EAGAIN) {
        peer_pause();
    }
    return r;
}

/* Every byte is read, and the number kept. */
static int receive_in_place(struct handle *h, void *data)
{
    tong_message m = TONG_MESSAGE_INIT;
    const int r = tong_claim(h->in, TONG_FOREVER, &m);
    if (r < 0) {
        return r;
    }
    peer_read(m.data, m.len);
    memcpy(data, m.data, sizeof(uint64_t));
    return tong_done(h->in, &m);
}

static int receive(void *handle, void *data)
{
    struct handle *h = handle;
    if (h->in_place) {
        return receive_in_place(h, data);
    }
    ssize_t n;
    if (h->poll) {
        while ((n = tong_receive(h->in, data, h->size, 0)) == -EAGAIN) {
            peer_pause();
        }
    } else {
        n = tong_receive(h->in, data, h->size, TONG_FOREVER);
    }
    return n < 0 ? (int)n : 0;
}

static void close_(void *handle)
{
    struct handle *h = handle;
    tong_close(h->out);
    tong_close(h->in);
    free(h);
}

const struct peer peer = {
    .name = "tong",
    .version = PEER_TEXT(TONG_VERSION_MAJOR) "." PEER_TEXT(TONG_VERSION_MINOR) "." PEER_TEXT(
        TONG_VERSION_PATCH),
    .modes = "default poll in-place exclusive",
    .prepare = prepare,
    .open = open_,
    .send = send_,
    .receive = receive,
    .close = close_,
};
