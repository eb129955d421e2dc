/*
 * senders.c - many senders, one receiver, all on two CPUs: a mailbox against one shared ring.
 *
 * N processes send messages of 64 bytes as fast as they can; one process receives. The senders lie
 * in turn on both CPUs, the receiver on the first. The shared ring gets as many slots in all as the
 * mailbox keeps messages. Both sides look at each message: its sender's numbers must rise by one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tong/tong.h>

#include "bench.h"
#include "casring.h"

enum {
    most_senders = 512,
    message_size = 64,
    most_batch = 32
};

struct message {
    uint32_t sender;
    uint32_t unused;
    uint64_t number; /* counts the messages of this sender from 0 */
    unsigned char rest[48];
};
_Static_assert(sizeof(struct message) == message_size, "64 bytes");

struct crowd {
    unsigned senders;
    unsigned batch; /* messages the mailbox is given and asked for at once; 0: one by one */
    uint32_t slots; /* of the shared ring */
    enum casring_waking waking;
    const tong_options *box;  /* of the mailbox */
    char name[TONG_NAME_MAX]; /* its name */
    double ring_fairness;     /* Jain's index over the senders, of the last sample */
    double box_fairness;
};

struct taker {
    struct casring *ring;
    tong_mailbox *box;
    uint64_t next[most_senders];
};

static void look_at(struct taker *t, const struct message *m)
{
    if (m->sender >= most_senders || m->number != t->next[m->sender]) {
        bench_fail("a message of sender %u is out of order", m->sender);
    }
    t->next[m->sender]++;
}

/* 1 when all got the same share, 1/N when one got everything. */
static double fairness_of(const struct taker *t, unsigned n)
{
    double sum = 0, squares = 0;
    for (unsigned i = 0; i < n; i++) {
        sum += (double)t->next[i];
        squares += (double)t->next[i] * (double)t->next[i];
    }
    return squares > 0 ? sum * sum / (n * squares) : 0;
}

static void wait_until_ready(struct bench_stage *stage, unsigned n)
{
    const struct timespec a_while = { 0, 1000000 };
    while (atomic_load_explicit(&stage->ready, memory_order_acquire) < n) {
        nanosleep(&a_while, NULL);
    }
}

/* Everybody has sent one message, and so has its link, before it begins. */
static void get_ready(struct bench_stage *stage, unsigned n)
{
    atomic_fetch_add_explicit(&stage->ready, 1, memory_order_acq_rel);
    wait_until_ready(stage, n);
}

static void finish(struct bench_stage *stage, const struct crowd *crowd, const struct taker *t,
                   double ns)
{
    stage->result = ns;
    *(double *)stage->rest = fairness_of(t, crowd->senders);
    atomic_store_explicit(&stage->stop, 1, memory_order_release);
}

/* ------------------------------------------------------------------ the shared ring */

static struct casring *ring_of(struct bench_stage *stage)
{
    return (struct casring *)(stage->rest + 128);
}

static void ring_take(void *ctx, unsigned n)
{
    struct taker *t = ctx;
    for (unsigned i = 0; i < n; i++) {
        struct message m;
        casring_receive(t->ring, &m);
        look_at(t, &m);
    }
}

static void ring_receiver(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)index;
    static struct taker t;
    t.ring = ring_of(stage);
    wait_until_ready(stage, ((const struct crowd *)arg)->senders);
    finish(stage, arg, &t, bench_mean(ring_take, &t, 256));
}

static void ring_sender(struct bench_stage *stage, void *arg, unsigned index)
{
    const struct crowd *crowd = arg;
    struct message m = { .sender = index };
    for (struct casring *ring = ring_of(stage);; m.number++) {
        if (m.number == 1) {
            get_ready(stage, crowd->senders);
        }
        casring_send(ring, &m);
    }
}

/* ------------------------------------------------------------------ the mailbox */

static void box_take(void *ctx, unsigned n)
{
    struct taker *t = ctx;
    for (unsigned i = 0; i < n; i++) {
        struct message m;
        bench_check("tong_receive", tong_receive(t->box, &m, sizeof m, TONG_FOREVER));
        look_at(t, &m);
    }
}

static void box_take_many(void *ctx, unsigned n)
{
    struct taker *t = ctx;
    struct message m[most_batch];
    struct iovec pieces[most_batch];
    size_t lens[most_batch];
    for (size_t i = 0; i < most_batch; i++) {
        pieces[i] = (struct iovec){ &m[i], sizeof m[i] };
    }
    for (unsigned done = 0; done < n;) {
        const ssize_t some = tong_receive_many(t->box, pieces, most_batch, TONG_FOREVER, lens);
        bench_check("tong_receive_many", some);
        for (ssize_t i = 0; i < some; i++) {
            look_at(t, &m[i]);
        }
        done += (unsigned)some;
    }
}

static void box_receiver(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)index;
    const struct crowd *crowd = arg;
    static struct taker t;
    bench_check("tong_open", tong_open(crowd->name, TONG_RECEIVE, NULL, &t.box));
    wait_until_ready(stage, crowd->senders);
    /* Up to most_batch more may come than were asked for: a batch of many makes them count little. */
    finish(stage, crowd, &t,
           crowd->batch > 0 ? bench_mean(box_take_many, &t, 256 * most_batch)
                            : bench_mean(box_take, &t, 256));
    tong_close(t.box);
}

static bool is_ended(int64_t answer)
{
    if (answer == -EIDRM || answer == -EOWNERDEAD) {
        return true;
    }
    bench_check("a send", answer);
    return false;
}

static void send_batches(tong_mailbox *box, unsigned index, unsigned batch)
{
    struct message m[most_batch];
    struct iovec pieces[most_batch];
    memset(m, 0, sizeof m);
    for (uint64_t number = 1;; number += batch) {
        for (unsigned i = 0; i < batch; i++) {
            m[i].sender = index;
            m[i].number = number + i;
            pieces[i] = (struct iovec){ &m[i], sizeof m[i] };
        }
        for (unsigned sent = 0; sent < batch;) {
            const ssize_t n = tong_send_many(box, pieces + sent, batch - sent, TONG_FOREVER);
            if (is_ended(n)) {
                return;
            }
            sent += (unsigned)n;
        }
    }
}

static void box_sender(struct bench_stage *stage, void *arg, unsigned index)
{
    const struct crowd *crowd = arg;
    tong_mailbox *box;
    bench_check("tong_open", tong_open(crowd->name, TONG_SEND, NULL, &box));
    for (struct message m = { .sender = index };; m.number++) {
        if (m.number == 1) {
            get_ready(stage, crowd->senders);
            if (crowd->batch > 0) {
                send_batches(box, index, crowd->batch);
                return;
            }
        }
        if (is_ended(tong_send(box, &m, sizeof m, TONG_FOREVER))) {
            return;
        }
    }
}

/* ------------------------------------------------------------------ samples */

static double run_crowd(struct crowd *crowd, bench_body_fn *receiver, bench_body_fn *sender,
                        struct bench_stage *stage, double *ret_fairness)
{
    pid_t pids[most_senders] = { 0 };
    for (unsigned i = 0; i < crowd->senders; i++) {
        pids[i] = bench_fork((int)(i + 1) % 2, sender, stage, crowd, i);
    }
    bench_join(bench_fork(0, receiver, stage, crowd, 0));
    for (unsigned i = 0; i < crowd->senders; i++) {
        bench_kill(pids[i]);
    }
    *ret_fairness = *(double *)stage->rest;
    return stage->result;
}

static double ring_sample(void *arg)
{
    struct crowd *crowd = arg;
    const size_t rest = 128 + casring_size(crowd->slots);
    struct bench_stage *stage = bench_stage_new(rest);
    casring_init(ring_of(stage), crowd->slots, crowd->waking);
    const double ns = run_crowd(crowd, ring_receiver, ring_sender, stage, &crowd->ring_fairness);
    bench_stage_free(stage, rest);
    return ns;
}

static double box_sample(void *arg)
{
    static unsigned serial;
    struct crowd *crowd = arg;
    snprintf(crowd->name, sizeof crowd->name, "crowd-%u", serial++);
    tong_mailbox *box;
    bench_check("tong_open",
                tong_open(crowd->name, TONG_SEND | TONG_CREATE | TONG_EXCL, crowd->box, &box));
    bench_check("tong_close", tong_close(box));
    struct bench_stage *stage = bench_stage_new(128);
    const double ns = run_crowd(crowd, box_receiver, box_sender, stage, &crowd->box_fairness);
    bench_stage_free(stage, 128);
    bench_check("tong_remove", tong_remove(crowd->name));
    return ns;
}

/* Speed alone says little: it is easy to be fast for one sender of 64. */
static void print_fairness(const struct crowd *crowd)
{
    char what[64];
    const struct {
        const char *of;
        double value;
    } sides[] = { { "mailbox", crowd->box_fairness }, { "shared ring", crowd->ring_fairness } };
    for (size_t i = 0; i < 2; i++) {
        if (sides[i].value > 0) {
            snprintf(what, sizeof what, "%u senders, fairness (Jain) of the %s", crowd->senders,
                     sides[i].of);
            bench_value(what, sides[i].value, "", 0);
        }
    }
}

static const char *ways_of(const struct crowd *crowd)
{
    if (crowd->batch > 0) {
        return "32 at once";
    }
    return crowd->box->capacity == TONG_UNBOUNDED ? "default" : "capacity 1024";
}

static struct bench_measure measure_of(struct crowd *crowd, char *name, size_t size)
{
    snprintf(name, size, "%u senders, %s : shared ring of %u, waking %s", crowd->senders,
             ways_of(crowd), crowd->slots, crowd->waking == CASRING_WAKE_EACH ? "each" : "few");
    return (struct bench_measure){
        .name = name,
        .tong = box_sample,
        .tong_arg = crowd,
        .raw = ring_sample,
        .raw_arg = crowd,
        .goal = crowd->senders < 64 || crowd->waking != CASRING_WAKE_EACH ? 0
                : crowd->batch > 0                                        ? 10
                                                                          : 4,
        .sense = BENCH_SPEED,
        .show = BENCH_RATE,
    };
}

/* The mailbox against itself: many senders against one, a mailbox-wide capacity against one of each link. */
static void run_against_itself(void)
{
    static const tong_options plain = TONG_OPTIONS_INIT;
    static tong_options bounded = TONG_OPTIONS_INIT;
    bounded.capacity = 1024;
    static struct crowd c[] = {
        { .senders = 1, .box = &plain, .batch = 32 },
        { .senders = 64, .box = &plain, .batch = 32 },
        { .senders = 512, .box = &plain, .batch = 32 },
        { .senders = 1, .box = &plain },
        { .senders = 1, .box = &bounded },
        { .senders = 8, .box = &plain },
        { .senders = 8, .box = &bounded },
    };
    struct bench_measure measures[] = {
        { "64 senders, 32 at once : 1 sender, 32 at once", box_sample, c + 1, box_sample, c, 0.5,
          BENCH_SPEED, BENCH_RATE },
        { "512 senders, 32 at once : 1 sender, 32 at once", box_sample, c + 2, box_sample, c, 0.5,
          BENCH_SPEED, BENCH_RATE },
        { "1 sender, capacity 1024 : link_capacity 1024", box_sample, c + 4, box_sample, c + 3, 0.9,
          BENCH_SPEED, BENCH_RATE },
        { "8 senders, capacity 1024 : link_capacity 1024", box_sample, c + 6, box_sample, c + 5,
          0.7, BENCH_SPEED, BENCH_RATE },
    };
    bench_run(measures, sizeof measures / sizeof measures[0]);
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv, "many senders to one receiver, against one shared ring");
    static const tong_options plain = TONG_OPTIONS_INIT;
    static tong_options bounded = TONG_OPTIONS_INIT;
    bounded.capacity = 1024;
    static struct crowd crowds[] = {
        { .senders = 64, .slots = 1024, .waking = CASRING_WAKE_EACH, .box = &plain },
        { .senders = 64, .slots = 1024, .waking = CASRING_WAKE_EACH, .box = &bounded },
        { .senders = 64, .slots = 65536, .waking = CASRING_WAKE_EACH, .box = &plain },
        { .senders = 64, .slots = 65536, .waking = CASRING_WAKE_FEW, .box = &plain },
        { .senders = 64, .slots = 1024, .waking = CASRING_WAKE_FEW, .box = &bounded },
        { .senders = 512, .slots = 1024, .waking = CASRING_WAKE_EACH, .box = &plain },
        { .senders = 512, .slots = 524288, .waking = CASRING_WAKE_FEW, .box = &plain },
        { .senders = 64, .slots = 1024, .waking = CASRING_WAKE_EACH, .box = &plain, .batch = 32 },
        { .senders = 512, .slots = 1024, .waking = CASRING_WAKE_EACH, .box = &plain, .batch = 32 },
        { .senders = 8, .slots = 1024, .waking = CASRING_WAKE_EACH, .box = &plain },
        { .senders = 1, .slots = 1024, .waking = CASRING_WAKE_EACH, .box = &plain },
    };
    enum {
        n = sizeof crowds / sizeof crowds[0]
    };
    struct bench_measure measures[n];
    static char names[n][64];
    for (size_t i = 0; i < n; i++) {
        measures[i] = measure_of(&crowds[i], names[i], sizeof names[i]);
    }
    bench_run(measures, n);
    for (size_t i = 0; i < n; i++) {
        print_fairness(&crowds[i]);
    }
    run_against_itself();
    return bench_end();
}
