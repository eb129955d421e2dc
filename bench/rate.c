/*
 * rate.c - how many messages one sender and one receiver pass on two CPUs.
 *
 * Against a plain ring that copies in and out, spins, and knows nothing else (informative), and
 * unbounded against bounded: there a window of about 64 KiB keeps the sender close, so that neither is
 * ever full and no backlog grows.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include <tong/tong.h>

#include "bench.h"
#include "raw.h"

enum {
    most_bytes = 65536,
    many = 32,
    window_step = 32 /* messages between two notes of how many were taken */
};

enum manner {
    COPYING,
    IN_PLACE,
    MANY
};

struct stream {
    const tong_options *options;
    uint32_t size;
    enum manner manner;
    uint32_t window;  /* messages the sender may be ahead; 0: as many as fit */
    uint32_t backlog; /* so many wait before the first is taken; less than window */
    char name[TONG_NAME_MAX];
};

struct end {
    struct bench_stage *stage;
    const struct stream *stream;
    tong_mailbox *box;
    uint64_t number; /* of the next message */
    uint64_t taken;  /* as the sender last saw it */
    unsigned char *buffers;
    struct iovec pieces[many];
    size_t lens[many];
};

static _Atomic uint64_t *taken_word(struct end *e)
{
    return (_Atomic uint64_t *)e->stage->rest;
}

/* ------------------------------------------------------------------ receiver */

static void look_at(struct end *e, const void *data, size_t len)
{
    uint64_t number;
    memcpy(&number, data, sizeof number);
    if (len != e->stream->size || number != e->number) {
        bench_fail("message %llu was expected, %llu came", (unsigned long long)e->number,
                   (unsigned long long)number);
    }
    e->number++;
}

static void take_one(struct end *e)
{
    const ssize_t len = tong_receive(e->box, e->buffers, e->stream->size, TONG_FOREVER);
    bench_check("tong_receive", len);
    look_at(e, e->buffers, (size_t)len);
}

/* Reads every byte, as who takes a message in place does. */
static uint64_t sum_of(const void *data, size_t len)
{
    uint64_t sum = 0;
    for (const uint64_t *p = data, *end = p + len / sizeof *p; p < end; p++) {
        sum += *p;
    }
    return sum;
}

static volatile uint64_t sink; /* keeps the sums from being optimised away */

static void take_in_place(struct end *e)
{
    tong_message m = TONG_MESSAGE_INIT;
    bench_check("tong_claim", tong_claim(e->box, TONG_FOREVER, &m));
    sink = sum_of(m.data, m.len);
    look_at(e, m.data, m.len);
    bench_check("tong_done", tong_done(e->box, &m));
}

static unsigned take_many(struct end *e)
{
    const ssize_t n = tong_receive_many(e->box, e->pieces, many, TONG_FOREVER, e->lens);
    bench_check("tong_receive_many", n);
    for (ssize_t i = 0; i < n; i++) {
        look_at(e, e->pieces[i].iov_base, e->lens[i]);
    }
    return (unsigned)n;
}

static unsigned take_some(struct end *e)
{
    switch (e->stream->manner) {
    case COPYING:
        take_one(e);
        return 1;
    case IN_PLACE:
        take_in_place(e);
        return 1;
    case MANY:
        return take_many(e);
    }
    return 0;
}

/* Up to `many` - 1 more than n may come in one go: noise beside the batches of this program. */
static void take(void *ctx, unsigned n)
{
    struct end *e = ctx;
    for (unsigned i = 0; i < n;) {
        const unsigned some = take_some(e);
        if (e->stream->window != 0 && (e->number & (window_step - 1)) < some) {
            atomic_store_explicit(taken_word(e), e->number, memory_order_release);
        }
        i += some;
    }
}

static void make_buffers(struct end *e)
{
    static _Alignas(64) unsigned char memory[many][most_bytes];
    e->buffers = memory[0];
    for (size_t i = 0; i < many; i++) {
        memset(memory[i], 1, e->stream->size);
        e->pieces[i] = (struct iovec){ memory[i], e->stream->size };
    }
}

static void receiver(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)index;
    static struct end e;
    e = (struct end){ .stage = stage, .stream = arg };
    make_buffers(&e);
    bench_check("tong_open", tong_open(e.stream->name, TONG_RECEIVE, NULL, &e.box));
    const struct timespec a_while = { 0, 1000000 };
    while (e.stream->backlog > 0 &&
           atomic_load_explicit(&stage->ready, memory_order_acquire) == 0) {
        nanosleep(&a_while, NULL);
    }
    /* Of a backlog of 1 KiB each a batch is a segment, whose change belongs to the rate. */
    const unsigned batch = e.stream->backlog != 0  ? 128 * many
                           : e.stream->size > 4096 ? many
                                                   : 32 * many;
    /* Windowed, nobody sleeps and every batch is alike; else bursts and sleeps belong to the rate. */
    stage->result =
        e.stream->window != 0 ? bench_median(take, &e, batch) : bench_mean(take, &e, batch);
    atomic_store_explicit(&stage->stop, 1, memory_order_release);
    bench_check("tong_remove", tong_remove(e.stream->name));
    tong_close(e.box);
}

/* ------------------------------------------------------------------ sender */

static bool ended(int64_t answer)
{
    if (answer == -EIDRM) {
        return true;
    }
    bench_check("a send", answer);
    return false;
}

static bool put_one(struct end *e)
{
    memcpy(e->buffers, &e->number, sizeof e->number);
    e->number++;
    return !ended(tong_send(e->box, e->buffers, e->stream->size, TONG_FOREVER));
}

/* Writes every byte, as who makes a message in place does. */
static bool put_in_place(struct end *e)
{
    tong_slot slot = TONG_SLOT_INIT;
    if (ended(tong_reserve(e->box, e->stream->size, TONG_FOREVER, &slot))) {
        return false;
    }
    memset(slot.data, (int)e->number, e->stream->size);
    memcpy(slot.data, &e->number, sizeof e->number);
    e->number++;
    return !ended(tong_commit(e->box, &slot, e->stream->size));
}

static bool put_many(struct end *e)
{
    for (size_t i = 0; i < many; i++, e->number++) {
        memcpy(e->pieces[i].iov_base, &e->number, sizeof e->number);
    }
    for (size_t sent = 0; sent < many;) {
        const ssize_t n = tong_send_many(e->box, e->pieces + sent, many - sent, TONG_FOREVER);
        if (ended(n)) {
            return false;
        }
        sent += (size_t)n;
    }
    return true;
}

static bool put(struct end *e)
{
    switch (e->stream->manner) {
    case COPYING:
        return put_one(e);
    case IN_PLACE:
        return put_in_place(e);
    case MANY:
        return put_many(e);
    }
    return false;
}

/* False when the sample is over. Sender and receiver are on two CPUs: spinning is right. */
static bool window_opens(struct end *e)
{
    if (e->number == e->stream->backlog) {
        atomic_store_explicit(&e->stage->ready, 1, memory_order_release);
    }
    while (e->number - e->taken >= e->stream->window) {
        e->taken = atomic_load_explicit(taken_word(e), memory_order_acquire);
        if (atomic_load_explicit(&e->stage->stop, memory_order_relaxed) != 0) {
            return false;
        }
        bench_pause();
    }
    return true;
}

static void sender(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)index;
    static struct end e;
    e = (struct end){ .stage = stage, .stream = arg };
    make_buffers(&e);
    bench_check("tong_open", tong_open(e.stream->name, TONG_SEND, NULL, &e.box));
    while ((e.stream->window == 0 || window_opens(&e)) && put(&e)) {
    }
    tong_close(e.box);
}

/* ------------------------------------------------------------------ samples */

static double box_sample(void *arg)
{
    static unsigned serial;
    struct stream *stream = arg;
    snprintf(stream->name, sizeof stream->name, "rate-%u", serial++);
    tong_mailbox *box;
    bench_check("tong_open", tong_open(stream->name, TONG_SEND | TONG_CREATE | TONG_EXCL,
                                       stream->options, &box));
    bench_check("tong_close", tong_close(box));
    return bench_pair(receiver, sender, 1, 128, stream);
}

/* A backlog needs memory that is there: /dev/shm may be small. */
static bool has_room_for(uint64_t bytes)
{
    struct statvfs of;
    return statvfs("/dev/shm", &of) == 0 && (uint64_t)of.f_bavail * of.f_frsize > bytes;
}

static void run_backlog(void)
{
    const uint64_t gib = UINT64_C(1) << 30;
    static const tong_options plain = TONG_OPTIONS_INIT;
    static tong_options unbounded = TONG_OPTIONS_INIT;
    unbounded.link_capacity = TONG_UNBOUNDED;
    unbounded.max_bytes = 4 * gib;
    if (!has_room_for(2 * gib)) {
        printf("skipped: a backlog of 1 GiB: /dev/shm has no 2 GiB\n");
        return;
    }
    static struct stream w[] = {
        { .options = &plain, .size = 1024, .window = 64 },
        { .options = &plain, .size = 64, .window = 512 },
    };
    static struct stream deep[2];
    for (size_t i = 0; i < 2; i++) {
        deep[i] = w[i];
        deep[i].options = &unbounded;
        deep[i].backlog = (uint32_t)(gib / (w[i].size + 16));
        deep[i].window += deep[i].backlog;
    }
    /* What the machine does with as much: a ring of 1 GiB that is full, and pages that are new each time. */
    static struct raw_ring_arg r1k = { 1024, 1 << 20, 1 }, r64 = { 64, 1 << 24, 1 };
    struct bench_measure measures[] = {
        { "unbounded, 1 GiB waits : link_capacity 1024, 1 KiB", box_sample, deep, box_sample, w,
          0.5, BENCH_SPEED, BENCH_RATE },
        { "unbounded, 1 GiB waits : link_capacity 1024, 64 B", box_sample, deep + 1, box_sample,
          w + 1, 0.5, BENCH_SPEED, BENCH_RATE },
        { "unbounded, 1 GiB waits : full ring of 1 GiB, 1 KiB", box_sample, deep, raw_backlog_rate,
          &r1k, 0, BENCH_SPEED, BENCH_RATE },
        { "unbounded, 1 GiB waits : full ring of 1 GiB, 64 B", box_sample, deep + 1,
          raw_backlog_rate, &r64, 0, BENCH_SPEED, BENCH_RATE },
        { "unbounded, 1 GiB waits : new pages, 1 KiB", box_sample, deep, raw_fresh_rate, &r1k, 0,
          BENCH_SPEED, BENCH_RATE },
    };
    bench_run(measures, sizeof measures / sizeof measures[0]);
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv, "messages a second, one sender, one receiver, two CPUs");
    static const tong_options plain = TONG_OPTIONS_INIT;
    static tong_options unbounded = TONG_OPTIONS_INIT;
    static tong_options bounded = TONG_OPTIONS_INIT;
    unbounded.link_capacity = TONG_UNBOUNDED;
    bounded.capacity = 1024;

    static struct stream w[] = {
        { .options = &unbounded, .size = 64, .window = 512 },
        { .options = &plain, .size = 64, .window = 512 },
        { .options = &bounded, .size = 64, .window = 512 },
        { .options = &unbounded, .size = 1024, .window = 64 },
        { .options = &plain, .size = 1024, .window = 64 },
    };
    struct bench_measure windowed[] = {
        { "unbounded : link_capacity 1024, no backlog, 64 B", box_sample, w, box_sample, w + 1,
          0.95, BENCH_SPEED, BENCH_RATE },
        { "unbounded : capacity 1024, no backlog, 64 B", box_sample, w, box_sample, w + 2, 0.95,
          BENCH_SPEED, BENCH_RATE },
        { "unbounded : link_capacity 1024, no backlog, 1 KiB", box_sample, w + 3, box_sample, w + 4,
          0.95, BENCH_SPEED, BENCH_RATE },
    };
    bench_run(windowed, sizeof windowed / sizeof windowed[0]);

    static struct raw_ring_arg r64 = { 64, 1024, 1 }, r64_many = { 64, 1024, many },
                               r1k = { 1024, 1024, 1 }, r64k = { most_bytes, 64, 1 };
    static struct stream s[] = {
        { .options = &plain, .size = 64, .manner = COPYING },
        { .options = &bounded, .size = 64, .manner = COPYING },
        { .options = &plain, .size = 64, .manner = IN_PLACE },
        { .options = &plain, .size = 64, .manner = MANY },
        { .options = &plain, .size = 1024, .manner = COPYING },
        { .options = &plain, .size = 1024, .manner = IN_PLACE },
        { .options = &plain, .size = most_bytes, .manner = COPYING },
        { .options = &plain, .size = most_bytes, .manner = IN_PLACE },
    };
    struct bench_measure measures[] = {
        { "64 B one by one, default : plain ring", box_sample, s, raw_ring_rate, &r64, 0,
          BENCH_SPEED, BENCH_RATE },
        { "64 B one by one, capacity 1024 : plain ring", box_sample, s + 1, raw_ring_rate, &r64, 0,
          BENCH_SPEED, BENCH_RATE },
        { "64 B in place : plain ring", box_sample, s + 2, raw_ring_rate, &r64, 0, BENCH_SPEED,
          BENCH_RATE },
        { "64 B 32 at once : plain ring, 32 at once", box_sample, s + 3, raw_ring_rate, &r64_many,
          0.8, BENCH_SPEED, BENCH_RATE },
        { "1 KiB one by one : plain ring", box_sample, s + 4, raw_ring_rate, &r1k, 0, BENCH_SPEED,
          BENCH_RATE },
        { "1 KiB in place : plain ring", box_sample, s + 5, raw_ring_rate, &r1k, 0, BENCH_SPEED,
          BENCH_RATE },
        { "64 KiB one by one : plain ring", box_sample, s + 6, raw_ring_rate, &r64k, 0, BENCH_SPEED,
          BENCH_RATE },
        { "64 KiB in place : plain ring", box_sample, s + 7, raw_ring_rate, &r64k, 0, BENCH_SPEED,
          BENCH_RATE },
    };
    bench_run(measures, sizeof measures / sizeof measures[0]);
    run_backlog();
    return bench_end();
}
