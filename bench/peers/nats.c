/*
 * NATS core over loopback: publish, and a synchronous subscription. It has no back-pressure: the sender
 * flushes now and then, and what a slow subscriber loses is counted as lost.
 */
#include "peer.h"

#include <errno.h>
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct handle {
    size_t size;
    natsConnection *connection;
    natsSubscription *in;
    const char *out;
    unsigned sent;
    char url[64];
};

static int open_(const struct peer_place *place, void **ret_handle)
{
    if (place->size > 1 << 20) {
        return -EOPNOTSUPP; /* the default limit of the server */
    }
    static const char *const subjects[] = { "from.0", "from.1" };
    struct handle *h = calloc(1, sizeof *h);
    natsOptions *options = NULL;
    *ret_handle = h;
    h->size = place->size;
    h->out = subjects[place->side];
    natsOptions_Create(&options);
    snprintf(h->url, sizeof h->url, "nats://127.0.0.1:%s", getenv("PEER_PORT"));
    natsOptions_SetURL(options, h->url);
    natsOptions_SetSendAsap(options, true);
    natsStatus s = natsConnection_Connect(&h->connection, options);
    natsOptions_Destroy(options);
    if (s == NATS_OK) {
        s = natsConnection_SubscribeSync(&h->in, h->connection, subjects[1 - place->side]);
    }
    if (s == NATS_OK) {
        natsSubscription_SetPendingLimits(h->in, -1, -1);
        s = natsConnection_Flush(h->connection);
    }
    return s == NATS_OK ? 0 : -EIO;
}

static int send_(void *handle, const void *data)
{
    struct handle *h = handle;
    natsStatus s = natsConnection_Publish(h->connection, h->out, data, (int)h->size);
    if (s == NATS_OK && ++h->sent % 512 == 0) {
        s = natsConnection_Flush(h->connection);
    }
    return s == NATS_OK ? 0 : -EIO;
}

static int receive(void *handle, void *data)
{
    struct handle *h = handle;
    natsMsg *m = NULL;
    const natsStatus s = natsSubscription_NextMsg(&m, h->in, 30000);
    if (s != NATS_OK && s != NATS_SLOW_CONSUMER) {
        return s == NATS_TIMEOUT ? -ETIMEDOUT : -EIO;
    }
    memcpy(data, natsMsg_GetData(m), h->size);
    natsMsg_Destroy(m);
    return 0;
}

static void close_(void *handle)
{
    struct handle *h = handle;
    natsConnection_Flush(h->connection);
    natsSubscription_Destroy(h->in);
    natsConnection_Close(h->connection);
    natsConnection_Destroy(h->connection);
    nats_Close();
    free(h);
}

const struct peer peer = {
    .name = "nats",
    .version = NATS_VERSION_STRING,
    .modes = "block",
    .daemon = "exec nats-server -a 127.0.0.1 -p $PEER_PORT",
    .ready = "Server is ready",
    .open = open_,
    .send = send_,
    .receive = receive,
    .close = close_,
};
