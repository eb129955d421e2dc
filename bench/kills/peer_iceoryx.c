/*
 * iceoryx, C binding: publisher and subscriber that waits for slow ones, so that nothing is dropped.
 * Needs its daemon, RouDi. A process that has the name of a dead one lets RouDi clear away what that
 * one left, so a replacement has it.
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
#include <time.h>

struct handle {
    bool sends;
    iox_pub_storage_t publisher_room;
    iox_sub_storage_t subscriber_room;
    iox_ws_storage_t waitset_room;
    iox_pub_t publisher;
    iox_sub_t subscriber;
    iox_ws_t waitset;
};

static const struct timespec tick = { .tv_nsec = KILLS_TICK_MS * 1000000L };

static void pause_(void)
{
    const struct timespec ms = { .tv_nsec = 1000000 };
    nanosleep(&ms, NULL);
}

static void open_publisher(struct handle *handle, const char *name)
{
    iox_pub_options_t options;
    iox_pub_options_init(&options);
    options.subscriberTooSlowPolicy = ConsumerTooSlowPolicy_WAIT_FOR_CONSUMER;
    handle->publisher = iox_pub_init(&handle->publisher_room, "tong-kills", name, "", &options);
}

static void open_subscriber(struct handle *handle, const char *name)
{
    iox_sub_options_t options;
    iox_sub_options_init(&options);
    options.queueCapacity = KILLS_DEPTH;
    options.queueFullPolicy = QueueFullPolicy_BLOCK_PRODUCER;
    handle->subscriber = iox_sub_init(&handle->subscriber_room, "tong-kills", name, "", &options);
    handle->waitset = iox_ws_init(&handle->waitset_room);
    iox_ws_attach_subscriber_state(handle->waitset, handle->subscriber, SubscriberState_HAS_DATA, 1,
                                   NULL);
}

static bool is_joined(const struct handle *handle)
{
    return handle->sends
               ? iox_pub_has_subscribers(handle->publisher)
               : iox_sub_get_subscription_state(handle->subscriber) == SubscribeState_SUBSCRIBED;
}

static void *open_(const struct kills_place *place)
{
    char runtime[64];
    struct handle *handle = calloc(1, sizeof *handle);
    if (!handle) {
        return NULL;
    }
    snprintf(runtime, sizeof runtime, "%s-%s", place->name, place->me);
    iox_runtime_init(runtime);
    handle->sends = place->sends;
    if (place->sends) {
        open_publisher(handle, place->name);
    } else {
        open_subscriber(handle, place->name);
    }
    for (int ms = 0; !place->first && !is_joined(handle) && ms < KILLS_START_MS; ms++) {
        pause_();
    }
    return handle;
}

static int send_(void *arg, const void *data, size_t len)
{
    struct handle *handle = arg;
    void *chunk = NULL;
    if (iox_pub_loan_chunk(handle->publisher, &chunk, (uint32_t)len) != AllocationResult_SUCCESS) {
        pause_();
        return -EAGAIN;
    }
    memcpy(chunk, data, len);
    iox_pub_publish_chunk(handle->publisher, chunk);
    return 0;
}

static ssize_t take(void *arg, void *data, size_t size, bool *ret_again)
{
    struct handle *handle = arg;
    const void *chunk = NULL;
    *ret_again = false;
    if (iox_sub_take_chunk(handle->subscriber, &chunk) != ChunkReceiveResult_SUCCESS) {
        iox_notification_info_t info;
        uint64_t missed = 0;
        iox_ws_timed_wait(handle->waitset, tick, &info, 1, &missed);
        if (iox_sub_take_chunk(handle->subscriber, &chunk) != ChunkReceiveResult_SUCCESS) {
            return -EAGAIN;
        }
    }
    /* Its length is not told by this call; all of ours are alike. */
    const size_t len = size < KILLS_LEN ? size : KILLS_LEN;
    memcpy(data, chunk, len);
    iox_sub_release_chunk(handle->subscriber, chunk);
    return (ssize_t)len;
}

static void close_(void *arg)
{
    struct handle *handle = arg;
    if (handle->sends) {
        iox_pub_deinit(handle->publisher);
    } else {
        iox_ws_detach_subscriber_state(handle->waitset, handle->subscriber,
                                       SubscriberState_HAS_DATA);
        iox_ws_deinit(handle->waitset);
        iox_sub_deinit(handle->subscriber);
    }
    iox_runtime_shutdown();
    free(handle);
}

const struct kills_peer kills_peer = {
    .name = "iceoryx",
    .version = ICEORYX_VERSION,
    .everyone = true,
    .daemon = "iox-roudi",
    .ready = "ready for clients",
    .open = open_,
    .send = send_,
    .take = take,
    .close = close_,
};
