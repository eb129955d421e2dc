/*
 * Redis: RPUSH and BLPOP over a Unix socket to a server without persistence. A list has no bound.
 */
#include "peer.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct handle {
    size_t size;
    redisContext *context;
    char in[64], out[64];
};

static int open_(const struct peer_place *place, void **ret_handle)
{
    char where[300];
    struct handle *h = calloc(1, sizeof *h);
    *ret_handle = h;
    h->size = place->size;
    snprintf(where, sizeof where, "%s/redis", place->folder);
    snprintf(h->in, sizeof h->in, "to-%d", place->side);
    snprintf(h->out, sizeof h->out, "to-%d", 1 - place->side);
    h->context = redisConnectUnix(where);
    return h->context == NULL || h->context->err != 0 ? -EIO : 0;
}

static int send_(void *handle, const void *data)
{
    struct handle *h = handle;
    redisReply *reply = redisCommand(h->context, "RPUSH %s %b", h->out, data, h->size);
    const int r = reply != NULL && reply->type == REDIS_REPLY_INTEGER ? 0 : -EIO;
    freeReplyObject(reply);
    return r;
}

static int receive(void *handle, void *data)
{
    struct handle *h = handle;
    redisReply *reply = redisCommand(h->context, "BLPOP %s 0", h->in);
    int r = -EIO;
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[1]->len == h->size) {
        memcpy(data, reply->element[1]->str, h->size);
        r = 0;
    }
    freeReplyObject(reply);
    return r;
}

static void close_(void *handle)
{
    struct handle *h = handle;
    redisFree(h->context);
    free(h);
}

const struct peer peer = {
    .name = "redis",
    .version = PEER_VERSION,
    .modes = "block",
    .daemon = "exec redis-server --port 0 --unixsocket $PEER_DIR/redis --save '' --appendonly no",
    .ready = "eady to accept connections",
    .open = open_,
    .send = send_,
    .receive = receive,
    .close = close_,
};
