/*
 * raw.h - what the machine can do without tong: the other side of every ratio.
 *
 * Each returns nanoseconds for one operation, as a bench_sample_fn.
 */
#ifndef TONG_BENCH_RAW_H
#define TONG_BENCH_RAW_H

#include <stdint.h>

#include "bench.h"

long raw_futex_wait(_Atomic uint32_t *word, uint32_t value);
long raw_futex_wake(_Atomic uint32_t *word, int how_many);

/* A round trip over two cache lines, each with one writer; both sides spin with `pause`. arg: none. */
double raw_line_rtt(void *arg);

/* The same with 64 bytes copied in and out on a line of their own beside the flag. arg: none. */
double raw_body_rtt(void *arg);

/* Where the two ends of a futex round trip run, and how long the asking side rests in between. */
struct raw_futex_arg {
    int peer_cpu;    /* 0: both on one core; 1: two cores */
    int64_t rest_ns; /* before each round trip, not counted; 0: none */
};

/* A round trip of two words, FUTEX_WAIT and FUTEX_WAKE, no spinning. arg: struct raw_futex_arg. */
double raw_futex_rtt(void *arg);

/* One sender, one receiver, a plain ring; both spin, memcpy in and memcpy out. */
struct raw_ring_arg {
    uint32_t size;  /* bytes of one message, 8 at least */
    uint32_t slots; /* a power of two */
    uint32_t batch; /* messages for one store of an index */
};

double raw_ring_rate(void *arg);

/* The same with the ring full all the time: each message is taken out of memory that no cache holds, and put
 * into such. What a backlog costs at least where its memory is there already. */
double raw_backlog_rate(void *arg);

/* As many bytes wait in a file of shared memory, whose pages are reserved before they are written and given back
 * behind what is read, 128 KiB at a time. What a backlog costs where it is not. slots: messages that wait. */
double raw_fresh_rate(void *arg);

#endif
