/*
 * iceoryx, C binding: a publisher and a subscriber on each side that wait for slow ones, so that nothing
 * is dropped. poll: take again and again. block: a WaitSet. Needs its daemon, RouDi.
 */
#include "peer.h"

#include <errno.h>
#include <iceoryx_binding_c/publisher.h>
#include <iceoryx_binding_c/runtime.h>
#include <iceoryx_binding_c/subscriber.h>
#include <iceoryx_binding_c/types.h>
#include <iceoryx_binding_c/wait_set.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct handle {
    size_t size;
    bool poll;
    iox_pub_storage_t publisher_room;
    iox_sub_storage_t subscriber_room;
    iox_ws_storage_t waitset_room;
    iox_pub_t publisher;
    iox_sub_t subscriber;
    iox_ws_t waitset;
};

static int open_(const struct peer_place *place, void **ret_handle)
{
    /* The largest pool of the default configuration has chunks of 4 MiB, their headers included; it ends
     * the program that asks for more. */
    if (place->size > 4000000) {
        return -EOPNOTSUPP;
    }
    char text[64];
    struct handle *h = calloc(1, sizeof *h);
    *ret_handle = h;
    h->size = place->size;
    h->poll = place->poll;
    snprintf(text, sizeof text, "%s-%d", place->name, place->side);
    iox_runtime_init(text);

    iox_pub_options_t out;
    iox_pub_options_init(&out);
    out.subscriberTooSlowPolicy = ConsumerTooSlowPolicy_WAIT_FOR_CONSUMER;
    snprintf(text, sizeof text, "from-%d", place->side);
    h->publisher = iox_pub_init(&h->publisher_room, "tong-bench", place->name, text, &out);

    iox_sub_options_t in;
    iox_sub_options_init(&in);
    in.queueCapacity = place->size > 1000000 ? 4 : place->depth;
    in.queueFullPolicy = QueueFullPolicy_BLOCK_PRODUCER;
    snprintf(text, sizeof text, "from-%d", 1 - place->side);
    h->subscriber = iox_sub_init(&h->subscriber_room, "tong-bench", place->name, text, &in);
    h->waitset = iox_ws_init(&h->waitset_room);
    iox_ws_attach_subscriber_state(h->waitset, h->subscriber, SubscriberState_HAS_DATA, 1, NULL);
    return 0;
}

static int join(void *handle)
{
    struct handle *h = handle;
    for (int ms = 0; ms < PEER_START_MS; ms++) {
        if (iox_pub_has_subscribers(h->publisher) &&
            iox_sub_get_subscription_state(h->subscriber) == SubscribeState_SUBSCRIBED) {
            return 0;
        }
        usleep(1000);
    }
    return -ETIMEDOUT;
}

static int send_(void *handle, const void *data)
{
    struct handle *h = handle;
    void *chunk = NULL;
    while (iox_pub_loan_chunk(h->publisher, &chunk, (uint32_t)h->size) !=
           AllocationResult_SUCCESS) {
        peer_pause();
    }
    memcpy(chunk, data, h->size);
    iox_pub_publish_chunk(h->publisher, chunk);
    return 0;
}

static int receive(void *handle, void *data)
{
    struct handle *h = handle;
    const void *chunk = NULL;
    while (iox_sub_take_chunk(h->subscriber, &chunk) != ChunkReceiveResult_SUCCESS) {
        iox_notification_info_t info;
        uint64_t missed = 0;
        if (h->poll) {
            peer_pause();
        } else {
            iox_ws_wait(h->waitset, &info, 1, &missed);
        }
    }
    memcpy(data, chunk, h->size);
    iox_sub_release_chunk(h->subscriber, chunk);
    return 0;
}

static void close_(void *handle)
{
    struct handle *h = handle;
    usleep(50000); /* what was sent last is still to be taken */
    iox_ws_detach_subscriber_state(h->waitset, h->subscriber, SubscriberState_HAS_DATA);
    iox_ws_deinit(h->waitset);
    iox_sub_deinit(h->subscriber);
    iox_pub_deinit(h->publisher);
    iox_runtime_shutdown();
    free(h);
}

const struct peer peer = {
    .name = "iceoryx",
    .version = ICEORYX_VERSION,
    .modes = "poll block",
    .daemon = "exec iox-roudi",
    .ready = "ready for clients",
    .open = open_,
    .join = join,
    .send = send_,
    .receive = receive,
    .close = close_,
};
