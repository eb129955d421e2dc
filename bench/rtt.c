/*
 * rtt.c - round trips of 64 bytes: there through one mailbox, back through another.
 *
 * Busy on two CPUs against two cache lines; on one CPU and after a rest against a bare futex. After
 * the rest (longer than anybody spins) the answering side sleeps, so that each way pays for a wake-up.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <string.h>

#include <tong/tong.h>

#include "bench.h"
#include "raw.h"

enum {
    message_size = 64,
    over = 0xff
};

struct trip {
    const tong_options *options; /* of both mailboxes */
    int peer_cpu;                /* 0: one CPU for both; 1: two */
    bool in_place;
    int64_t rest_ns;
    char there[TONG_NAME_MAX], back[TONG_NAME_MAX];
};

struct ends {
    const struct trip *trip;
    tong_mailbox *out, *in;
    unsigned char bytes[message_size];
};

static void put(struct ends *e)
{
    if (!e->trip->in_place) {
        bench_check("tong_send", tong_send(e->out, e->bytes, message_size, TONG_FOREVER));
        return;
    }
    tong_slot slot = TONG_SLOT_INIT;
    bench_check("tong_reserve", tong_reserve(e->out, message_size, TONG_FOREVER, &slot));
    memcpy(slot.data, e->bytes, message_size);
    bench_check("tong_commit", tong_commit(e->out, &slot, message_size));
}

static void take(struct ends *e)
{
    if (!e->trip->in_place) {
        bench_check("tong_receive", tong_receive(e->in, e->bytes, message_size, TONG_FOREVER));
        return;
    }
    tong_message m = TONG_MESSAGE_INIT;
    bench_check("tong_claim", tong_claim(e->in, TONG_FOREVER, &m));
    memcpy(e->bytes, m.data, message_size);
    bench_check("tong_done", tong_done(e->in, &m));
}

static void ask(void *ctx, unsigned n)
{
    struct ends *e = ctx;
    for (unsigned i = 0; i < n; i++) {
        const unsigned char number = (unsigned char)(e->bytes[1] + 1);
        e->bytes[1] = number;
        put(e);
        take(e);
        if (e->bytes[1] != number) {
            bench_fail("another message came back");
        }
    }
}

static void open_ends(struct ends *e, const struct trip *trip, const char *out, const char *in)
{
    memset(e, 0, sizeof *e);
    e->trip = trip;
    bench_check("tong_open", tong_open(out, TONG_SEND, NULL, &e->out));
    bench_check("tong_open", tong_open(in, TONG_RECEIVE, NULL, &e->in));
}

static void close_ends(struct ends *e)
{
    bench_check("tong_close", tong_close(e->out));
    bench_check("tong_close", tong_close(e->in));
}

static void asker(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)index;
    const struct trip *trip = arg;
    struct ends e;
    open_ends(&e, trip, trip->there, trip->back);
    stage->result = trip->rest_ns > 0 ? bench_median_rested(ask, &e, trip->rest_ns)
                                      : bench_median(ask, &e, trip->peer_cpu == 0 ? 64 : 256);
    e.bytes[0] = over;
    put(&e);
    close_ends(&e);
}

static void answerer(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)stage;
    (void)index;
    const struct trip *trip = arg;
    struct ends e;
    open_ends(&e, trip, trip->back, trip->there);
    for (;;) {
        take(&e);
        if (e.bytes[0] == over) {
            break;
        }
        put(&e);
    }
    close_ends(&e);
}

static void create(const char *name, const tong_options *options)
{
    tong_mailbox *box;
    bench_check("tong_open", tong_open(name, TONG_SEND | TONG_CREATE | TONG_EXCL, options, &box));
    bench_check("tong_close", tong_close(box));
}

static double trip_sample(void *arg)
{
    static unsigned serial;
    struct trip *trip = arg;
    snprintf(trip->there, sizeof trip->there, "there-%u", serial);
    snprintf(trip->back, sizeof trip->back, "back-%u", serial++);
    create(trip->there, trip->options);
    create(trip->back, trip->options);
    const double ns = bench_pair(asker, answerer, trip->peer_cpu, 0, trip);
    bench_check("tong_remove", tong_remove(trip->there));
    bench_check("tong_remove", tong_remove(trip->back));
    return ns;
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv, "round trips of 64 bytes through two mailboxes");
    static const tong_options plain = TONG_OPTIONS_INIT;
    static tong_options bounded = TONG_OPTIONS_INIT;
    static tong_options exclusive = TONG_OPTIONS_INIT;
    static tong_options any = TONG_OPTIONS_INIT;
    static tong_options handshake = TONG_OPTIONS_INIT;
    bounded.capacity = 16;
    exclusive.delivery = TONG_EXCLUSIVE;
    any.delivery = TONG_ANY;
    handshake.capacity = 0;

    static struct raw_futex_arg one_cpu = { 0, 0 };
    static struct raw_futex_arg rested = { 1, TONG_MS(1) / 4 };
    static struct trip trips[] = {
        { .options = &plain, .peer_cpu = 1 },
        { .options = &bounded, .peer_cpu = 1 },
        { .options = &exclusive, .peer_cpu = 1 },
        { .options = &any, .peer_cpu = 1 },
        { .options = &plain, .peer_cpu = 1, .in_place = true },
        { .options = &handshake, .peer_cpu = 1 },
        { .options = &plain, .peer_cpu = 0 },
        { .options = &bounded, .peer_cpu = 0 },
        { .options = &plain, .peer_cpu = 1, .rest_ns = TONG_MS(1) / 4 },
    };
    struct trip *t = trips;
    struct bench_measure measures[] = {
        { "round trip, 2 CPUs busy, default : 2 lines", trip_sample, t, raw_line_rtt, NULL, 1.5,
          BENCH_TIME, BENCH_NS },
        { "round trip, 2 CPUs busy, default : 64 bytes and a flag", trip_sample, t, raw_body_rtt,
          NULL, 0, BENCH_TIME, BENCH_NS },
        { "round trip, 2 CPUs busy, capacity 16 : 2 lines", trip_sample, t + 1, raw_line_rtt, NULL,
          1.5, BENCH_TIME, BENCH_NS },
        { "round trip, 2 CPUs busy, exclusive : 2 lines", trip_sample, t + 2, raw_line_rtt, NULL, 0,
          BENCH_TIME, BENCH_NS },
        { "round trip, 2 CPUs busy, any : 2 lines", trip_sample, t + 3, raw_line_rtt, NULL, 0,
          BENCH_TIME, BENCH_NS },
        { "round trip, 2 CPUs busy, in place : 2 lines", trip_sample, t + 4, raw_line_rtt, NULL, 0,
          BENCH_TIME, BENCH_NS },
        { "round trip, 2 CPUs busy, capacity 0 : 2 lines", trip_sample, t + 5, raw_line_rtt, NULL,
          0, BENCH_TIME, BENCH_NS },
        { "round trip, 1 CPU, default : futex", trip_sample, t + 6, raw_futex_rtt, &one_cpu, 1.3,
          BENCH_TIME, BENCH_NS },
        { "round trip, 1 CPU, capacity 16 : futex", trip_sample, t + 7, raw_futex_rtt, &one_cpu,
          1.3, BENCH_TIME, BENCH_NS },
        { "round trip, 2 CPUs asleep, default : futex", trip_sample, t + 8, raw_futex_rtt, &rested,
          0, BENCH_TIME, BENCH_NS },
    };
    bench_run(measures, sizeof measures / sizeof measures[0]);
    return bench_end();
}
