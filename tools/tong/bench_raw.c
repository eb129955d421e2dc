/*
 * bench_raw.c - what the machine does without tong: two cache lines, a bare futex, one raw copy, a bare ring.
 *
 * They can lose their peer, cannot grow and refuse nothing: the floor, not a rival.
 */
#include "bench.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of this process: one side of one sample. */
static struct {
    const struct bench_job *job;
    struct bench_stage *stage;
    int side;
    uint64_t put, freed;    /* my messages; those of them that were taken, as last seen */
    uint64_t taken, filled; /* the same of the other way */
} me;

static void open_raw(struct bench_job *job, struct bench_stage *stage, int side)
{
    memset(&me, 0, sizeof(me));
    me.job = job;
    me.stage = stage;
    me.side = side;
}

static void close_raw(void)
{
}

static unsigned char *slot_of(int from, uint64_t number)
{
    return me.stage->bytes[from] + number % me.job->slots * me.job->size;
}

static uint64_t spin_past(_Atomic uint64_t *word, uint64_t seen)
{
    uint64_t now;
    while ((now = atomic_load_explicit(word, memory_order_acquire)) == seen) {
        bench_pause();
    }
    return now;
}

/* ---- two cache lines, each with one writer: the number is all there is */

static void put_line(const void *data)
{
    (void)data;
    atomic_store_explicit(&me.stage->of[me.side].there, ++me.put, memory_order_release);
}

static void take_line(void *data)
{
    me.taken = spin_past(&me.stage->of[1 - me.side].there, me.taken);
    memcpy(data, &me.taken, sizeof(me.taken));
}

/* ---- a futex, no spinning: the low half of the word */

static _Atomic uint32_t *half_of(_Atomic uint64_t *word)
{
    return (_Atomic uint32_t *)(void *)word;
}

static void put_futex(const void *data)
{
    _Atomic uint32_t *const word = half_of(&me.stage->of[me.side].there);
    (void)data;
    atomic_store_explicit(word, (uint32_t)++me.put, memory_order_release);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void take_futex(void *data)
{
    _Atomic uint32_t *const word = half_of(&me.stage->of[1 - me.side].there);
    (void)data;
    while (atomic_load_explicit(word, memory_order_acquire) == (uint32_t)me.taken) {
        syscall(SYS_futex, word, FUTEX_WAIT, (uint32_t)me.taken, NULL, NULL, 0);
    }
    me.taken++;
}

/* ---- one slot each way: memcpy in, a word, memcpy out */

static void put_copy(const void *data)
{
    memcpy(slot_of(me.side, 0), data, me.job->size);
    put_line(data);
}

static void take_copy(void *data)
{
    me.taken = spin_past(&me.stage->of[1 - me.side].there, me.taken);
    memcpy(data, slot_of(1 - me.side, 0), me.job->size);
}

/* ---- a ring: memcpy in, memcpy out, an index each way */

static void put_ring_many(const void *data, size_t n)
{
    while (me.put + n - me.freed > me.job->slots) {
        me.freed = spin_past(&me.stage->of[me.side].freed, me.freed);
    }
    for (size_t i = 0; i < n; i++, me.put++) {
        memcpy(slot_of(me.side, me.put), data, me.job->size);
    }
    atomic_store_explicit(&me.stage->of[me.side].there, me.put, memory_order_release);
}

static size_t take_ring_some(void *data, size_t most)
{
    if (me.filled == me.taken) {
        me.filled = spin_past(&me.stage->of[1 - me.side].there, me.taken);
    }
    size_t n = (size_t)(me.filled - me.taken);
    n = n < most ? n : most;
    for (size_t i = 0; i < n; i++, me.taken++) {
        memcpy(data, slot_of(1 - me.side, me.taken), me.job->size);
    }
    atomic_store_explicit(&me.stage->of[1 - me.side].freed, me.taken, memory_order_release);
    return n;
}

static void put_ring(const void *data)
{
    put_ring_many(data, 1);
}

static void take_ring(void *data)
{
    take_ring_some(data, 1);
}

static size_t take_ring_many(void *data)
{
    return take_ring_some(data, BENCH_MANY);
}

const struct bench_way bench_line = {
    .name = "two cache lines",
    .open = open_raw,
    .put = put_line,
    .take = take_line,
    .close = close_raw,
};
const struct bench_way bench_futex = {
    .name = "bare futex",
    .open = open_raw,
    .put = put_futex,
    .take = take_futex,
    .close = close_raw,
};
const struct bench_way bench_copy = {
    .name = "one raw copy",
    .open = open_raw,
    .put = put_copy,
    .take = take_copy,
    .close = close_raw,
};
const struct bench_way bench_ring = {
    .name = "bare ring",
    .open = open_raw,
    .put = put_ring,
    .take = take_ring,
    .close = close_raw,
};
const struct bench_way bench_ring_many = {
    .name = "bare ring",
    .open = open_raw,
    .put = put_ring,
    .take = take_ring,
    .put_many = put_ring_many,
    .take_many = take_ring_many,
    .close = close_raw,
};
