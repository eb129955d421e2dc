/*
 * Cyclone DDS with its default configuration: reliable, keep all, so that the writer waits for the reader. A
 * topic each way; who receives sleeps in a waitset.
 */
#include "peer.h"

#include <cyclonedds.h>
#include <dds/dds.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct handle {
    size_t size;
    dds_entity_t participant, reader, writer, waitset;
};

static dds_entity_t topic_of(const struct handle *h, const struct peer_place *place, int side)
{
    char name[64];
    snprintf(name, sizeof name, "%s_%d", place->name, side);
    for (char *c = name; *c != '\0'; c++) {
        *c = *c == '-' ? '_' : *c;
    }
    return dds_create_topic(h->participant, &tong_bench_Bytes_desc, name, NULL, NULL);
}

static int open_(const struct peer_place *place, void **ret_handle)
{
    struct handle *h = calloc(1, sizeof *h);
    *ret_handle = h;
    h->size = place->size;
    dds_qos_t *qos = dds_create_qos();
    dds_qset_reliability(qos, DDS_RELIABILITY_RELIABLE, DDS_SECS(10));
    dds_qset_history(qos, DDS_HISTORY_KEEP_ALL, 0);
    dds_qset_resource_limits(qos, (int)place->depth, DDS_LENGTH_UNLIMITED, DDS_LENGTH_UNLIMITED);
    h->participant = dds_create_participant(DDS_DOMAIN_DEFAULT, NULL, NULL);
    if (h->participant < 0) {
        return -EOPNOTSUPP; /* no network interface it likes */
    }
    h->writer = dds_create_writer(h->participant, topic_of(h, place, place->side), qos, NULL);
    h->reader = dds_create_reader(h->participant, topic_of(h, place, 1 - place->side), qos, NULL);
    dds_delete_qos(qos);
    if (h->writer < 0 || h->reader < 0) {
        return -EIO;
    }
    h->waitset = dds_create_waitset(h->participant);
    dds_set_status_mask(h->reader, DDS_DATA_AVAILABLE_STATUS);
    dds_waitset_attach(h->waitset, dds_create_readcondition(h->reader, DDS_ANY_STATE), h->reader);
    return 0;
}

static int join(void *handle)
{
    struct handle *h = handle;
    for (int ms = 0; ms < PEER_START_MS; ms++) {
        dds_publication_matched_status_t out;
        dds_subscription_matched_status_t in;
        dds_get_publication_matched_status(h->writer, &out);
        dds_get_subscription_matched_status(h->reader, &in);
        if (out.current_count > 0 && in.current_count > 0) {
            return 0;
        }
        usleep(1000);
    }
    return -ETIMEDOUT;
}

static int send_(void *handle, const void *data)
{
    struct handle *h = handle;
    tong_bench_Bytes bytes = { { ._maximum = (uint32_t)h->size,
                                 ._length = (uint32_t)h->size,
                                 ._buffer = (uint8_t *)(uintptr_t)data,
                                 ._release = false } };
    return dds_write(h->writer, &bytes) < 0 ? -EIO : 0;
}

static int receive(void *handle, void *data)
{
    struct handle *h = handle;
    for (;;) {
        void *sample = NULL;
        dds_sample_info_t info;
        const dds_return_t n = dds_take(h->reader, &sample, &info, 1, 1);
        if (n < 0) {
            return -EIO;
        }
        const tong_bench_Bytes *bytes = sample;
        const bool whole = n == 1 && info.valid_data && bytes->data._length == h->size;
        if (whole) {
            memcpy(data, bytes->data._buffer, h->size);
        }
        if (n == 1) {
            dds_return_loan(h->reader, &sample, 1);
        }
        if (whole) {
            return 0;
        }
        dds_waitset_wait(h->waitset, NULL, 0, DDS_INFINITY);
    }
}

static void close_(void *handle)
{
    struct handle *h = handle;
    usleep(50000); /* what was written last is still to be taken */
    dds_delete(h->participant);
    free(h);
}

const struct peer peer = {
    .name = "cyclonedds",
    .version = PEER_VERSION,
    .modes = "block",
    .open = open_,
    .join = join,
    .send = send_,
    .receive = receive,
    .close = close_,
};
