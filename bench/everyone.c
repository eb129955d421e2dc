/*
 * everyone.c - TONG_EVERYONE in place: what one receiver more costs.
 *
 * In one process, so that nothing is measured but the work itself: a message is written in place, and each
 * of n receivers claims it and is done with it. What n = 8 takes more than n = 1, by seven, is the price of a
 * receiver. Nobody copies: it must not grow with the message. Then the same with a process for each receiver,
 * where a delivery is a message at one of them.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tong/tong.h>

#include "bench.h"

enum {
    receivers_most = 8
};

struct hall {
    size_t size;
    unsigned receivers;
    char name[TONG_NAME_MAX];
};

struct handles {
    const struct hall *hall;
    tong_mailbox *box;
    tong_mailbox *each[receivers_most];
};

static void create(struct hall *hall)
{
    static unsigned serial;
    tong_options options = TONG_OPTIONS_INIT;
    tong_mailbox *box;
    options.delivery = TONG_EVERYONE;
    options.link_capacity = hall->size > 65536 ? 64 : TONG_DEFAULT; /* within max_bytes */
    snprintf(hall->name, sizeof hall->name, "hall-%u", serial++);
    bench_check("tong_open",
                tong_open(hall->name, TONG_SEND | TONG_CREATE | TONG_EXCL, &options, &box));
    bench_check("tong_close", tong_close(box));
}

static tong_mailbox *open_as(const struct hall *hall, unsigned flags)
{
    tong_mailbox *box;
    bench_check("tong_open", tong_open(hall->name, flags, NULL, &box));
    return box;
}

/* ------------------------------------------------------------------ the work itself */

static void send_one(tong_mailbox *box, size_t size)
{
    tong_slot slot = TONG_SLOT_INIT;
    bench_check("tong_reserve", tong_reserve(box, size, TONG_FOREVER, &slot));
    *(volatile unsigned char *)slot.data = 1;
    bench_check("tong_commit", tong_commit(box, &slot, size));
}

static void take_one(tong_mailbox *box)
{
    tong_message m = TONG_MESSAGE_INIT;
    bench_check("tong_claim", tong_claim(box, TONG_FOREVER, &m));
    bench_check("tong_done", tong_done(box, &m));
}

static void deliver(void *ctx, unsigned n)
{
    const struct handles *h = ctx;
    for (unsigned i = 0; i < n; i++) {
        send_one(h->box, h->hall->size);
        for (unsigned k = 0; k < h->hall->receivers; k++) {
            take_one(h->each[k]);
        }
    }
}

static void alone(struct bench_stage *stage, void *arg, unsigned index)
{
    struct handles h = { .hall = arg };
    (void)index;
    h.box = open_as(h.hall, TONG_SEND);
    for (unsigned k = 0; k < h.hall->receivers; k++) {
        h.each[k] = open_as(h.hall, TONG_RECEIVE);
    }
    stage->result = bench_mean(deliver, &h, 64);
}

static double one_process(size_t size, unsigned receivers)
{
    struct hall hall = { .size = size, .receivers = receivers };
    create(&hall);
    struct bench_stage *stage = bench_stage_new(128);
    bench_join(bench_fork(0, alone, stage, &hall, 0));
    const double ns = stage->result;
    bench_stage_free(stage, 128);
    bench_check("tong_remove", tong_remove(hall.name));
    return ns;
}

static double median_of_rounds(size_t size, unsigned receivers)
{
    double values[16];
    const unsigned rounds = bench.rounds < 16 ? bench.rounds : 16;
    for (unsigned i = 0; i < rounds; i++) {
        values[i] = one_process(size, receivers);
    }
    return bench_median_of(values, rounds);
}

static void price_of(size_t size, const char *text)
{
    char name[96];
    const double one = median_of_rounds(size, 1);
    const double all = median_of_rounds(size, receivers_most);
    snprintf(name, sizeof name, "everyone, %s: a message to 1 receiver", text);
    bench_value(name, one, "ns", 0);
    snprintf(name, sizeof name, "everyone, %s: each receiver more", text);
    bench_value(name, (all - one) / (receivers_most - 1), "ns", 0);
}

/* ------------------------------------------------------------------ a process for each */

struct done {
    _Alignas(128) _Atomic uint64_t n;
};

static void listener(struct bench_stage *stage, void *arg, unsigned index)
{
    struct done *mine = (struct done *)stage->rest + index;
    tong_mailbox *box = open_as(arg, TONG_RECEIVE);
    atomic_fetch_add_explicit(&stage->ready, 1, memory_order_acq_rel);
    for (;;) {
        take_one(box);
        atomic_store_explicit(&mine->n, mine->n + 1, memory_order_relaxed);
    }
}

static void speaker(struct bench_stage *stage, void *arg, unsigned index)
{
    const struct hall *hall = arg;
    tong_mailbox *box = open_as(hall, TONG_SEND);
    (void)stage;
    (void)index;
    for (;;) {
        send_one(box, hall->size);
    }
}

static uint64_t sum_of(const struct bench_stage *stage, unsigned n)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < n; i++) {
        sum += atomic_load_explicit(&((const struct done *)stage->rest)[i].n, memory_order_relaxed);
    }
    return sum;
}

static void rest(int64_t ns)
{
    const struct timespec t = { ns / 1000000000, ns % 1000000000 };
    nanosleep(&t, NULL);
}

/* ns for one delivery. */
static double processes(size_t size, unsigned receivers)
{
    struct hall hall = { .size = size, .receivers = receivers };
    const size_t bytes = sizeof(struct done) * receivers;
    pid_t pids[receivers_most];
    create(&hall);
    struct bench_stage *stage = bench_stage_new(bytes);
    for (unsigned i = 0; i < receivers; i++) {
        pids[i] = bench_fork((int)i % 2, listener, stage, &hall, i);
    }
    while (atomic_load_explicit(&stage->ready, memory_order_acquire) < receivers) {
        rest(1000000);
    }
    const pid_t source = bench_fork(1, speaker, stage, &hall, 0);
    rest(bench.sample_ns / 4);
    const uint64_t before = sum_of(stage, receivers);
    const int64_t from = bench_now();
    rest(bench.sample_ns);
    const uint64_t n = sum_of(stage, receivers) - before;
    const int64_t ns = bench_now() - from;
    bench_kill(source);
    for (unsigned i = 0; i < receivers; i++) {
        bench_kill(pids[i]);
    }
    bench_stage_free(stage, bytes);
    bench_check("tong_remove", tong_remove(hall.name));
    if (n == 0) {
        bench_fail("nothing was received");
    }
    return (double)ns / (double)n;
}

static void processes_of(size_t size, unsigned receivers, const char *text)
{
    char name[96];
    double values[16];
    const unsigned rounds = bench.rounds < 16 ? bench.rounds : 16;
    for (unsigned i = 0; i < rounds; i++) {
        values[i] = processes(size, receivers);
    }
    snprintf(name, sizeof name, "everyone, %s: a delivery, %u process%s", text, receivers,
             receivers == 1 ? "" : "es");
    bench_value(name, bench_median_of(values, rounds), "ns", 0);
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv, "to everyone in place: what one receiver more costs");
    price_of(64, "64 B");
    price_of(4096, "4 KiB");
    price_of(65536, "64 KiB");
    price_of(1 << 20, "1 MiB");
    processes_of(64, 1, "64 B");
    processes_of(64, receivers_most, "64 B");
    processes_of(1 << 20, receivers_most, "1 MiB");
    return bench_end();
}
