/*
 * crowd.c - many who are there: 512 attached and one that sends; four receivers that claim.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tong/tong.h>

#include "bench.h"

enum {
    most = 512,
    message_size = 64
};

struct crowd {
    unsigned idle;      /* senders that are attached and send nothing any more */
    unsigned receivers; /* 0: one that copies; else so many that claim */
    char name[TONG_NAME_MAX];
};

/* What each receiver has done, on a line of its own. */
struct done {
    _Alignas(128) _Atomic uint64_t n;
};

static void rest(int64_t ns)
{
    const struct timespec t = { ns / 1000000000, ns % 1000000000 };
    nanosleep(&t, NULL);
}

static tong_mailbox *open_as(const struct crowd *crowd, unsigned flags)
{
    tong_mailbox *box;
    bench_check("tong_open", tong_open(crowd->name, flags, NULL, &box));
    return box;
}

static void wait_until_ready(struct bench_stage *stage, unsigned n)
{
    while (atomic_load_explicit(&stage->ready, memory_order_acquire) < n) {
        rest(1000000);
    }
}

/* ------------------------------------------------------------------ senders */

/* Has a link and nothing more to say. Killed at the end. */
static void idle_sender(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)index;
    unsigned char bytes[message_size] = { 0 };
    tong_mailbox *box = open_as(arg, TONG_SEND);
    bench_check("tong_send", tong_send(box, bytes, sizeof bytes, TONG_FOREVER));
    atomic_fetch_add_explicit(&stage->ready, 1, memory_order_acq_rel);
    for (;;) {
        pause();
    }
}

static void sender(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)stage;
    (void)index;
    unsigned char bytes[message_size] = { 0 };
    tong_mailbox *box = open_as(arg, TONG_SEND);
    for (;;) {
        const int answer = tong_send(box, bytes, sizeof bytes, TONG_FOREVER);
        if (answer == -EIDRM) {
            return;
        }
        bench_check("tong_send", answer);
    }
}

/* ------------------------------------------------------------------ receivers */

static void take(void *ctx, unsigned n)
{
    unsigned char bytes[message_size];
    for (unsigned i = 0; i < n; i++) {
        bench_check("tong_receive", tong_receive(ctx, bytes, sizeof bytes, TONG_FOREVER));
    }
}

static void receiver(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)index;
    tong_mailbox *box = open_as(arg, TONG_RECEIVE);
    stage->result = bench_mean(take, box, 256);
}

static void claimer(struct bench_stage *stage, void *arg, unsigned index)
{
    struct done *mine = (struct done *)stage->rest + index;
    tong_mailbox *box = open_as(arg, TONG_RECEIVE);
    atomic_fetch_add_explicit(&stage->ready, 1, memory_order_acq_rel);
    for (;;) {
        tong_message m = TONG_MESSAGE_INIT;
        const int answer = tong_claim(box, TONG_FOREVER, &m);
        if (answer == -EIDRM) {
            return;
        }
        bench_check("tong_claim", answer);
        bench_check("tong_done", tong_done(box, &m));
        atomic_store_explicit(&mine->n, mine->n + 1, memory_order_relaxed);
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

/* ------------------------------------------------------------------ samples */

static void create(struct crowd *crowd)
{
    static unsigned serial;
    tong_mailbox *box;
    snprintf(crowd->name, sizeof crowd->name, "crowd-%u", serial++);
    bench_check("tong_open",
                tong_open(crowd->name, TONG_SEND | TONG_CREATE | TONG_EXCL, NULL, &box));
    bench_check("tong_close", tong_close(box));
}

static double attached_sample(void *arg)
{
    struct crowd *crowd = arg;
    pid_t pids[most + 1];
    create(crowd);
    struct bench_stage *stage = bench_stage_new(128);
    for (unsigned i = 0; i < crowd->idle; i++) {
        pids[i] = bench_fork((int)i % 2, idle_sender, stage, crowd, i);
    }
    wait_until_ready(stage, crowd->idle);
    pids[crowd->idle] = bench_fork(1, sender, stage, crowd, 0);
    bench_join(bench_fork(0, receiver, stage, crowd, 0));
    for (unsigned i = 0; i <= crowd->idle; i++) {
        bench_kill(pids[i]);
    }
    const double ns = stage->result;
    bench_stage_free(stage, 128);
    bench_check("tong_remove", tong_remove(crowd->name));
    return ns;
}

static double claims_sample(void *arg)
{
    struct crowd *crowd = arg;
    const size_t size = sizeof(struct done) * crowd->receivers;
    pid_t pids[16];
    create(crowd);
    struct bench_stage *stage = bench_stage_new(size);
    for (unsigned i = 0; i < crowd->receivers; i++) {
        pids[i] = bench_fork((int)i % 2, claimer, stage, crowd, i);
    }
    wait_until_ready(stage, crowd->receivers);
    const pid_t source = bench_fork(1, sender, stage, crowd, 0);
    rest(bench.sample_ns / 4);
    const uint64_t before = sum_of(stage, crowd->receivers);
    const int64_t from = bench_now();
    rest(bench.sample_ns);
    const uint64_t n = sum_of(stage, crowd->receivers) - before;
    const int64_t ns = bench_now() - from;
    bench_kill(source);
    for (unsigned i = 0; i < crowd->receivers; i++) {
        bench_kill(pids[i]);
    }
    bench_stage_free(stage, size);
    bench_check("tong_remove", tong_remove(crowd->name));
    if (n == 0) {
        bench_fail("nothing was received");
    }
    return (double)ns / (double)n;
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv, "512 attached, one of them sends; several receivers that claim");
    static struct crowd alone = { .idle = 0 }, all = { .idle = most - 1 };
    static struct crowd one = { .receivers = 1 }, four = { .receivers = 4 };
    struct bench_measure measures[] = {
        { "512 attached, 1 sends : 1 attached", attached_sample, &all, attached_sample, &alone, 0.8,
          BENCH_SPEED, BENCH_RATE },
        { "4 receivers claim, first-come : 1 receiver claims", claims_sample, &four, claims_sample,
          &one, 0.5, BENCH_SPEED, BENCH_RATE },
    };
    bench_run(measures, sizeof measures / sizeof measures[0]);
    return bench_end();
}
