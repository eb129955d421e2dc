/*
 * bench_box.c - two mailboxes, one for each side, as a way of `tong bench`.
 */
#include "bench.h"

static struct {
    const struct bench_job *job;
    tong_mailbox *in, *out;
} me;

static const char *const names[] = { "side-0", "side-1" };

static void must(const char *what, int64_t r)
{
    if (r < 0) {
        bench_end_side(me.job, what, (int)r);
    }
}

/* A fresh pair of them: what is left of a sample before goes. */
static int prepare(struct bench_job *job, struct bench_stage *stage)
{
    tong_options options = TONG_OPTIONS_INIT;
    (void)stage;
    options.link_capacity = (uint32_t)job->slots;
    for (int side = 0; side < 2; side++) {
        tong_mailbox *box;
        (void)tong_remove(names[side]);
        int r = tong_open(names[side], TONG_SEND | TONG_CREATE | TONG_EXCL, &options, &box);
        r = r == 0 ? tong_close(box) : r;
        if (r < 0) {
            return tool_error(job->args, NULL, r, NULL);
        }
    }
    return TOOL_DONE;
}

static void open_box(struct bench_job *job, struct bench_stage *stage, int side)
{
    (void)stage;
    me.job = job;
    must("tong_open", tong_open(names[side], TONG_RECEIVE, NULL, &me.in));
    must("tong_open", tong_open(names[1 - side], TONG_SEND, NULL, &me.out));
}

static void put(const void *data)
{
    must("tong_send", tong_send(me.out, data, me.job->size, TONG_FOREVER));
}

static void take(void *data)
{
    must("tong_receive", tong_receive(me.in, data, me.job->size, TONG_FOREVER));
}

static void put_many(const void *data, size_t n)
{
    struct iovec messages[BENCH_MANY];
    for (size_t i = 0; i < n; i++) {
        messages[i] = (struct iovec){ (void *)(uintptr_t)data, me.job->size };
    }
    for (size_t sent = 0; sent < n;) {
        const ssize_t some = tong_send_many(me.out, messages + sent, n - sent, TONG_FOREVER);
        must("tong_send_many", some);
        sent += (size_t)some;
    }
}

/* They all go to the same place: the last one stays. */
static size_t take_many(void *data)
{
    struct iovec places[BENCH_MANY];
    size_t lens[BENCH_MANY];
    for (size_t i = 0; i < BENCH_MANY; i++) {
        places[i] = (struct iovec){ data, me.job->size };
    }
    const ssize_t n = tong_receive_many(me.in, places, BENCH_MANY, TONG_FOREVER, lens);
    must("tong_receive_many", n);
    return (size_t)n;
}

static void close_box(void)
{
    must("tong_close", tong_close(me.out));
    must("tong_close", tong_close(me.in));
}

const struct bench_way bench_box = {
    .name = "tong",
    .prepare = prepare,
    .open = open_box,
    .put = put,
    .take = take,
    .close = close_box,
};
const struct bench_way bench_box_many = {
    .name = "tong",
    .prepare = prepare,
    .open = open_box,
    .put = put,
    .take = take,
    .put_many = put_many,
    .take_many = take_many,
    .close = close_box,
};
