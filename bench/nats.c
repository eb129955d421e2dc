/*
 * nats.c - mailboxes of nats: against what a program with the same server and NATS's own client, libnats, does.
 *
 * The server is that of $TONG_NATS_URL; ./scripts/bench-nats starts one. Each side has a stream that is a work queue in a
 * file, an acknowledgement for each message, and one consumer that remembers what was handed out, so both have the same
 * promises of the server. The client of NATS sends without delay (SendAsap), as tong does.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include <tong/tong.h>

#include "bench.h"

enum {
    message_most = 1024,
    patience_ms = 30000
};

static const char box_name[] = "nats:bench";
static const char stream_name[] = "bench";

struct what {
    size_t size;
    uint32_t capacity;
};

/* ------------------------------------------------------------------ the client of NATS */

struct client {
    natsConnection *connection;
    jsCtx *js;
    natsSubscription *sub;
    size_t size;
    char bytes[message_most];
};

static void check(const char *call, natsStatus s)
{
    if (s != NATS_OK) {
        bench_fail("%s: %s, %s", call, natsStatus_GetText(s), nats_GetLastError(NULL));
    }
}

static void connect_client(struct client *c, const struct what *what)
{
    natsOptions *options = NULL;
    memset(c, 0, sizeof *c);
    c->size = what->size;
    check("natsOptions_Create", natsOptions_Create(&options));
    check("natsOptions_SetURL", natsOptions_SetURL(options, getenv("TONG_NATS_URL")));
    check("natsOptions_SetSendAsap", natsOptions_SetSendAsap(options, true));
    check("natsConnection_Connect", natsConnection_Connect(&c->connection, options));
    natsOptions_Destroy(options);
    check("natsConnection_JetStream", natsConnection_JetStream(&c->js, c->connection, NULL));
}

static void end_client(struct client *c)
{
    natsSubscription_Destroy(c->sub);
    jsCtx_Destroy(c->js);
    natsConnection_Destroy(c->connection);
    nats_Close();
}

static void make_stream(struct client *c)
{
    static const char *subjects[] = { "bench" };
    jsStreamConfig config;
    jsConsumerConfig consumer;
    jsStreamConfig_Init(&config);
    config.Name = stream_name;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Retention = js_WorkQueuePolicy;
    config.Storage = js_FileStorage;
    check("js_AddStream", js_AddStream(NULL, c->js, &config, NULL, NULL));
    jsConsumerConfig_Init(&consumer);
    consumer.Durable = "r";
    consumer.AckPolicy = js_AckExplicit;
    consumer.MaxAckPending = -1;
    check("js_AddConsumer", js_AddConsumer(NULL, c->js, stream_name, &consumer, NULL, NULL));
}

static void remove_stream(struct client *c)
{
    check("js_DeleteStream", js_DeleteStream(c->js, stream_name, NULL, NULL));
}

static void publish(void *ctx, unsigned n)
{
    struct client *c = ctx;
    for (unsigned i = 0; i < n; i++) {
        check("js_Publish", js_Publish(NULL, c->js, "bench", c->bytes, (int)c->size, NULL, NULL));
    }
}

static void publish_async(void *ctx, unsigned n)
{
    struct client *c = ctx;
    for (unsigned i = 0; i < n; i++) {
        check("js_PublishAsync", js_PublishAsync(c->js, "bench", c->bytes, (int)c->size, NULL));
    }
    check("js_PublishAsyncComplete", js_PublishAsyncComplete(c->js, NULL));
}

static void subscribe(struct client *c)
{
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Stream = stream_name;
    options.Consumer = "r";
    check("js_PullSubscribe", js_PullSubscribe(&c->sub, c->js, "bench", "r", NULL, &options, NULL));
}

static void fetch(void *ctx, unsigned n)
{
    struct client *c = ctx;
    for (unsigned i = 0; i < n; i++) {
        natsMsgList list;
        check("natsSubscription_Fetch",
              natsSubscription_Fetch(&list, c->sub, 1, patience_ms, NULL));
        memcpy(c->bytes, natsMsg_GetData(list.Msgs[0]), c->size);
        check("natsMsg_Ack", natsMsg_Ack(list.Msgs[0], NULL));
        natsMsgList_Destroy(&list);
    }
}

static void request(void *ctx, unsigned n)
{
    struct client *c = ctx;
    for (unsigned i = 0; i < n; i++) {
        natsMsg *reply = NULL;
        check("natsConnection_Request",
              natsConnection_Request(&reply, c->connection, "bench.ask", c->bytes, (int)c->size,
                                     patience_ms));
        natsMsg_Destroy(reply);
    }
}

/* ------------------------------------------------------------------ tong */

struct user {
    tong_mailbox *box;
    size_t size;
    char bytes[message_most];
};

static void open_user(struct user *u, const struct what *what, unsigned flags)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.capacity = what->capacity;
    memset(u, 0, sizeof *u);
    u->size = what->size;
    bench_check("tong_open", tong_open(box_name, flags | TONG_CREATE, &options, &u->box));
}

static void end_user(struct user *u)
{
    bench_check("tong_close", tong_close(u->box));
    bench_check("tong_remove", tong_remove(box_name));
}

static void send_each(void *ctx, unsigned n)
{
    struct user *u = ctx;
    for (unsigned i = 0; i < n; i++) {
        bench_check("tong_send", tong_send(u->box, u->bytes, u->size, TONG_FOREVER));
    }
}

static void send_many(void *ctx, unsigned n)
{
    struct user *u = ctx;
    struct iovec *all = calloc(n, sizeof *all);
    for (unsigned i = 0; i < n; i++) {
        all[i] = (struct iovec){ u->bytes, u->size };
    }
    if (tong_send_many(u->box, all, n, TONG_FOREVER) != (ssize_t)n) {
        bench_fail("tong_send_many: not all were sent");
    }
    free(all);
}

static void receive(void *ctx, unsigned n)
{
    struct user *u = ctx;
    for (unsigned i = 0; i < n; i++) {
        bench_check("tong_receive", tong_receive(u->box, u->bytes, u->size, TONG_FOREVER));
    }
}

/* ------------------------------------------------------------------ what is timed */

enum kind {
    ONE, /* one after the other */
    MANY,
    TAKE, /* of those that are there */
    MEET
};

struct row {
    enum kind kind;
    struct what what;
};

/* How many in a row are timed together; of these the median is taken. */
static unsigned batch_of(const struct row *row)
{
    return row->kind == MANY ? 4096 : 32;
}

/* How many are there to be taken. */
static unsigned waiting(void)
{
    return bench.quick ? 1024 : 4096;
}

/* The median of the batches of those that are there. */
static double time_taking(bench_op_fn *op, void *ctx, const struct row *row)
{
    static double all[4096];
    const unsigned batch = batch_of(row);
    size_t n = 0;
    for (unsigned taken = 0; taken < waiting(); taken += batch) {
        const int64_t begin = bench_now();
        op(ctx, batch);
        all[n++] = (double)(bench_now() - begin) / (double)batch;
    }
    return bench_median_of(all, n);
}

static void time_client(struct bench_stage *stage, void *arg, unsigned index)
{
    const struct row *row = arg;
    struct client c;
    (void)index;
    connect_client(&c, &row->what);
    if (row->kind == MEET) {
        stage->result = bench_median(request, &c, batch_of(row));
        end_client(&c);
        return;
    }
    make_stream(&c);
    if (row->kind == TAKE) {
        publish_async(&c, waiting());
        subscribe(&c);
        stage->result = time_taking(fetch, &c, row);
    } else {
        stage->result = bench_median(row->kind == ONE ? publish : publish_async, &c, batch_of(row));
    }
    remove_stream(&c);
    end_client(&c);
}

static void time_tong(struct bench_stage *stage, void *arg, unsigned index)
{
    const struct row *row = arg;
    struct user u;
    (void)index;
    open_user(&u, &row->what, row->kind == TAKE ? TONG_SEND | TONG_RECEIVE : TONG_SEND);
    if (row->kind == TAKE) {
        send_many(&u, waiting());
        stage->result = time_taking(receive, &u, row);
    } else {
        stage->result = bench_median(row->kind == MANY ? send_many : send_each, &u, batch_of(row));
    }
    end_user(&u);
}

/* The other side of a meeting; it is killed. */
static void answer(struct bench_stage *stage, void *arg, unsigned index)
{
    const struct row *row = arg;
    struct client c;
    (void)index;
    connect_client(&c, &row->what);
    check("natsConnection_QueueSubscribeSync",
          natsConnection_QueueSubscribeSync(&c.sub, c.connection, "bench.ask", "q"));
    check("natsConnection_Flush", natsConnection_Flush(c.connection));
    stage->ready = 1;
    for (;;) {
        natsMsg *msg = NULL;
        check("natsSubscription_NextMsg", natsSubscription_NextMsg(&msg, c.sub, patience_ms));
        memcpy(c.bytes, natsMsg_GetData(msg), c.size);
        check("natsConnection_Publish",
              natsConnection_Publish(c.connection, natsMsg_GetReply(msg), "", 0));
        natsMsg_Destroy(msg);
    }
}

static void take(struct bench_stage *stage, void *arg, unsigned index)
{
    const struct row *row = arg;
    struct user u;
    (void)index;
    open_user(&u, &row->what, TONG_RECEIVE);
    stage->ready = 1;
    for (;;) {
        if (tong_receive(u.box, u.bytes, u.size, TONG_FOREVER) < 0) {
            _Exit(0); /* it was removed */
        }
    }
}

static double sample(const struct row *row, bench_body_fn *measured, bench_body_fn *peer)
{
    struct bench_stage *stage = bench_stage_new(0);
    const pid_t other = peer != NULL ? bench_fork(-1, peer, stage, (void *)row, 1) : 0;
    while (peer != NULL && stage->ready == 0) {
        bench_pause();
    }
    bench_join(bench_fork(-1, measured, stage, (void *)row, 0));
    if (peer != NULL) {
        bench_kill(other);
    }
    const double result = stage->result;
    bench_stage_free(stage, 0);
    return result;
}

static double client_sample(void *arg)
{
    const struct row *row = arg;
    return sample(row, time_client, row->kind == MEET ? answer : NULL);
}

static double tong_sample(void *arg)
{
    const struct row *row = arg;
    return sample(row, time_tong, row->kind == MEET ? take : NULL);
}

int main(int argc, char **argv)
{
    const struct what small = { 64, TONG_UNBOUNDED };
    const struct what larger = { 1024, TONG_UNBOUNDED };
    const struct what meeting = { 64, 0 };
    struct row rows[] = { { ONE, small },  { TAKE, small },  { MEET, meeting }, { MANY, small },
                          { ONE, larger }, { TAKE, larger }, { MANY, larger } };
    static const char *const names[] = { "nats, 64 B, tong_send : js_Publish",
                                         "nats, 64 B, tong_receive : Fetch and Ack",
                                         "nats, 64 B, tong_send at capacity 0 : Request",
                                         "nats, 64 B, tong_send_many : js_PublishAsync",
                                         "nats, 1 KiB, tong_send : js_Publish",
                                         "nats, 1 KiB, tong_receive : Fetch and Ack",
                                         "nats, 1 KiB, tong_send_many : js_PublishAsync" };
    enum {
        n = sizeof rows / sizeof rows[0]
    };
    struct bench_measure measures[n];
    bench_begin(argc, argv, "mailboxes of nats: against libnats with the same server");
    if (getenv("TONG_NATS_URL") == NULL) {
        bench_fail("TONG_NATS_URL says no server; ./scripts/bench-nats starts one");
    }
    for (size_t i = 0; i < n; i++) {
        measures[i] = (struct bench_measure){ .name = names[i],
                                              .tong = tong_sample,
                                              .tong_arg = &rows[i],
                                              .raw = client_sample,
                                              .raw_arg = &rows[i],
                                              .goal = 0.9,
                                              .sense = BENCH_SPEED,
                                              .show = BENCH_RATE };
    }
    bench_run(measures, n);
    return bench_end();
}
