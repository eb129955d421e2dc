/*
 * mq.c - a mailbox over a queue of the kernel beside bare mq_send(3) and mq_receive(3): the same bytes, the same
 * processes, as much room.
 *
 * In turns: one process sends and receives. Round trip: two processes on one processor, both asleep in between.
 * Rate: one sender, one receiver, on two.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <unistd.h>

#include <tong/tong.h>

#include "bench.h"

enum {
    most_bytes = 1024,
    room = 8, /* the system's limit is often 10, and a mailbox's queue has some places more */
    batch = 256,
    over = 0xff
};

/* An end of two flows, tong's or bare. */
struct end {
    uint32_t size;
    bool is_tong;
    tong_mailbox *out, *in;
    mqd_t to, from;
};

struct flow {
    uint32_t size;
    bool is_tong;
    char there[64], back[64];
};

static unsigned char bytes[most_bytes];

/* ------------------------------------------------------------------ an end */

static void put(const struct end *e)
{
    if (e->is_tong) {
        bench_check("tong_send", tong_send(e->out, bytes, e->size, TONG_FOREVER));
    } else if (mq_send(e->to, (const char *)bytes, e->size, 0) < 0) {
        bench_fail("mq_send");
    }
}

static void take(const struct end *e)
{
    if (e->is_tong) {
        bench_check("tong_receive", tong_receive(e->in, bytes, e->size, TONG_FOREVER));
    } else if (mq_receive(e->from, (char *)bytes, e->size, NULL) < 0) {
        bench_fail("mq_receive");
    }
}

static mqd_t open_queue(const char *name, int flags)
{
    const mqd_t q = mq_open(name, flags | O_CLOEXEC);
    if (q < 0) {
        bench_fail("mq_open");
    }
    return q;
}

static struct end open_end(const struct flow *f, const char *out, const char *in)
{
    struct end e = { .size = f->size, .is_tong = f->is_tong };
    if (f->is_tong) {
        bench_check("tong_open", tong_open(out, TONG_SEND, NULL, &e.out));
        bench_check("tong_open", tong_open(in, TONG_RECEIVE, NULL, &e.in));
    } else {
        e.to = open_queue(out, O_WRONLY);
        e.from = open_queue(in, O_RDONLY);
    }
    return e;
}

static void close_end(const struct end *e)
{
    if (e->is_tong) {
        bench_check("tong_close", tong_close(e->out));
        bench_check("tong_close", tong_close(e->in));
    } else {
        mq_close(e->to);
        mq_close(e->from);
    }
}

/* ------------------------------------------------------------------ what is timed */

static void put_and_take(void *ctx, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        put(ctx);
        take(ctx);
    }
}

static void take_all(void *ctx, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        take(ctx);
    }
}

static void turner(struct bench_stage *stage, void *arg, unsigned index)
{
    const struct flow *f = arg;
    struct end e = open_end(f, f->there, f->there);
    (void)index;
    stage->result = bench_median(put_and_take, &e, batch);
    close_end(&e);
}

static void nobody(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)stage;
    (void)arg;
    (void)index;
}

static void asker(struct bench_stage *stage, void *arg, unsigned index)
{
    const struct flow *f = arg;
    struct end e = open_end(f, f->there, f->back);
    (void)index;
    stage->result = bench_median(put_and_take, &e, batch);
    bytes[0] = over;
    put(&e);
    close_end(&e);
}

static void answerer(struct bench_stage *stage, void *arg, unsigned index)
{
    const struct flow *f = arg;
    const struct end e = open_end(f, f->back, f->there);
    (void)stage;
    (void)index;
    for (take(&e); bytes[0] != over; take(&e)) {
        put(&e);
    }
    close_end(&e);
}

static void receiver(struct bench_stage *stage, void *arg, unsigned index)
{
    const struct flow *f = arg;
    struct end e = open_end(f, f->back, f->there);
    (void)index;
    stage->result = bench_mean(take_all, &e, batch);
    atomic_store_explicit(&stage->stop, 1, memory_order_release);
    while (bytes[0] != over) {
        take(&e);
    }
    close_end(&e);
}

static void sender(struct bench_stage *stage, void *arg, unsigned index)
{
    const struct flow *f = arg;
    const struct end e = open_end(f, f->there, f->back);
    (void)index;
    while (atomic_load_explicit(&stage->stop, memory_order_relaxed) == 0) {
        put(&e);
    }
    bytes[0] = over;
    put(&e);
    close_end(&e);
}

/* ------------------------------------------------------------------ samples */

static void make(const struct flow *f, const char *name)
{
    tong_options options = TONG_OPTIONS_INIT;
    struct mq_attr attr = { .mq_maxmsg = room, .mq_msgsize = f->size };
    tong_mailbox *box;
    options.capacity = room;
    if (f->is_tong) {
        bench_check("tong_open", tong_open(name, TONG_SEND | TONG_CREATE, &options, &box));
        bench_check("tong_close", tong_close(box));
        return;
    }
    const mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr);
    if (q < 0) {
        bench_fail("mq_open");
    }
    mq_close(q);
}

static void unmake(const struct flow *f, const char *name)
{
    if (f->is_tong) {
        bench_check("tong_remove", tong_remove(name));
    } else {
        mq_unlink(name);
    }
}

static double sample(struct flow *f, bench_body_fn *measured, bench_body_fn *peer, int peer_cpu)
{
    static unsigned serial;
    const char *prefix = f->is_tong ? "mq:" : "/";
    snprintf(f->there, sizeof f->there, "%sbench-%d-there-%u", prefix, (int)getpid(), serial);
    snprintf(f->back, sizeof f->back, "%sbench-%d-back-%u", prefix, (int)getpid(), serial++);
    make(f, f->there);
    make(f, f->back);
    const double ns = bench_pair(measured, peer, peer_cpu, 0, f);
    unmake(f, f->there);
    unmake(f, f->back);
    return ns;
}

static double turns(void *arg)
{
    return sample(arg, turner, nobody, 0);
}

static double trip(void *arg)
{
    return sample(arg, asker, answerer, 0);
}

static double rate(void *arg)
{
    return sample(arg, receiver, sender, 1);
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv,
                "mq: a mailbox over a queue of the kernel beside mq_send and mq_receive");
    static struct flow tong[] = { { .size = 64, .is_tong = true },
                                  { .size = 1024, .is_tong = true } };
    static struct flow bare[] = { { .size = 64 }, { .size = 1024 } };
    struct bench_measure measures[] = {
        { "in turns, 64 B", turns, &tong[0], turns, &bare[0], 1.33, BENCH_TIME, BENCH_NS },
        { "in turns, 1 KiB", turns, &tong[1], turns, &bare[1], 1.33, BENCH_TIME, BENCH_NS },
        { "round trip, asleep, one CPU, 64 B", trip, &tong[0], trip, &bare[0], 1.33, BENCH_TIME,
          BENCH_NS },
        { "round trip, asleep, one CPU, 1 KiB", trip, &tong[1], trip, &bare[1], 1.33, BENCH_TIME,
          BENCH_NS },
        { "rate, two CPUs, 64 B", rate, &tong[0], rate, &bare[0], 0.75, BENCH_SPEED, BENCH_RATE },
        { "rate, two CPUs, 1 KiB", rate, &tong[1], rate, &bare[1], 0.75, BENCH_SPEED, BENCH_RATE },
    };
    bench_run(measures, sizeof measures / sizeof measures[0]);
    return bench_end();
}
