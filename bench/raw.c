/*
 * raw.c - round trips over cache lines and futexes, and a plain ring.
 *
 * Nothing here can lose its peer, grow, refuse or sleep politely; it is the floor, not a rival.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "raw.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

long raw_futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    return syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

long raw_futex_wake(_Atomic uint32_t *word, int how_many)
{
    return syscall(SYS_futex, word, FUTEX_WAKE, how_many, NULL, NULL, 0);
}

/* ------------------------------------------------------------------ round trips */

enum {
    over = 0
}; /* the number that ends a run; round trips count from 1 */

struct two_words {
    _Alignas(128) _Atomic uint32_t there;
    _Alignas(128) _Atomic uint32_t back;
};

struct asker {
    struct two_words *words;
    const struct raw_futex_arg *futex;
    uint32_t number;
};

static uint32_t next_number(uint32_t number)
{
    return number + 1 == over ? 1 : number + 1;
}

static void line_ask(void *ctx, unsigned n)
{
    struct asker *a = ctx;
    for (unsigned i = 0; i < n; i++) {
        a->number = next_number(a->number);
        atomic_store_explicit(&a->words->there, a->number, memory_order_release);
        while (atomic_load_explicit(&a->words->back, memory_order_acquire) != a->number) {
            bench_pause();
        }
    }
}

static void line_measured(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)arg;
    (void)index;
    struct asker a = { .words = (struct two_words *)stage->rest };
    stage->result = bench_median(line_ask, &a, 256);
    atomic_store_explicit(&stage->stop, 1, memory_order_release);
}

/* Spins for a number that is not *seen. False: the run is over. */
static bool next_of(struct bench_stage *stage, _Atomic uint32_t *word, uint32_t *seen)
{
    uint32_t now;
    while ((now = atomic_load_explicit(word, memory_order_acquire)) == *seen) {
        bench_pause();
        if (atomic_load_explicit(&stage->stop, memory_order_relaxed) != 0) {
            return false;
        }
    }
    *seen = now;
    return true;
}

static void line_peer(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)arg;
    (void)index;
    struct two_words *words = (struct two_words *)stage->rest;
    for (uint32_t seen = 0; next_of(stage, &words->there, &seen);) {
        atomic_store_explicit(&words->back, seen, memory_order_release);
    }
}

double raw_line_rtt(void *arg)
{
    return bench_pair(line_measured, line_peer, 1, sizeof(struct two_words), arg);
}

struct two_bodies {
    struct two_words words;
    _Alignas(64) unsigned char there[64];
    _Alignas(64) unsigned char back[64];
};

static void body_ask(void *ctx, unsigned n)
{
    struct asker *a = ctx;
    struct two_bodies *bodies = (struct two_bodies *)(void *)a->words;
    unsigned char bytes[64] = { 0 };
    for (unsigned i = 0; i < n; i++) {
        memcpy(bodies->there, bytes, sizeof bytes);
        line_ask(a, 1);
        memcpy(bytes, bodies->back, sizeof bytes);
        bytes[0]++;
    }
}

static void body_measured(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)arg;
    (void)index;
    struct asker a = { .words = (struct two_words *)stage->rest };
    stage->result = bench_median(body_ask, &a, 256);
    atomic_store_explicit(&stage->stop, 1, memory_order_release);
}

static void body_peer(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)arg;
    (void)index;
    struct two_bodies *bodies = (struct two_bodies *)stage->rest;
    for (uint32_t seen = 0; next_of(stage, &bodies->words.there, &seen);) {
        unsigned char bytes[64];
        memcpy(bytes, bodies->there, sizeof bytes);
        memcpy(bodies->back, bytes, sizeof bytes);
        atomic_store_explicit(&bodies->words.back, seen, memory_order_release);
    }
}

double raw_body_rtt(void *arg)
{
    return bench_pair(body_measured, body_peer, 1, sizeof(struct two_bodies), arg);
}

static void futex_ask(void *ctx, unsigned n)
{
    struct asker *a = ctx;
    for (unsigned i = 0; i < n; i++) {
        const uint32_t before = atomic_load_explicit(&a->words->back, memory_order_relaxed);
        a->number = next_number(a->number);
        atomic_store_explicit(&a->words->there, a->number, memory_order_release);
        raw_futex_wake(&a->words->there, 1);
        while (atomic_load_explicit(&a->words->back, memory_order_acquire) != a->number) {
            raw_futex_wait(&a->words->back, before);
        }
    }
}

static void futex_measured(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)index;
    struct asker a = { .words = (struct two_words *)stage->rest, .futex = arg };
    stage->result = a.futex->rest_ns > 0 ? bench_median_rested(futex_ask, &a, a.futex->rest_ns)
                                         : bench_median(futex_ask, &a, 64);
    atomic_store_explicit(&a.words->there, over, memory_order_release);
    raw_futex_wake(&a.words->there, 1);
}

static void futex_peer(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)arg;
    (void)index;
    struct two_words *words = (struct two_words *)stage->rest;
    for (uint32_t seen = 0;;) {
        uint32_t now;
        while ((now = atomic_load_explicit(&words->there, memory_order_acquire)) == seen) {
            raw_futex_wait(&words->there, seen);
        }
        if (now == over) {
            return;
        }
        seen = now;
        atomic_store_explicit(&words->back, now, memory_order_release);
        raw_futex_wake(&words->back, 1);
    }
}

double raw_futex_rtt(void *arg)
{
    const struct raw_futex_arg *a = arg;
    return bench_pair(futex_measured, futex_peer, a->peer_cpu, sizeof(struct two_words), arg);
}

/* ------------------------------------------------------------------ a plain ring */

struct ring {
    _Alignas(128) _Atomic uint64_t tail; /* sender */
    _Alignas(128) _Atomic uint64_t head; /* receiver */
    _Alignas(128) unsigned char slots[];
};

struct ring_end {
    struct bench_stage *stage;
    struct ring *ring;
    const struct raw_ring_arg *arg;
    uint64_t mine, theirs; /* my index; the other one as last seen */
    unsigned char *buffer;
};

static void ring_take(void *ctx, unsigned n)
{
    struct ring_end *e = ctx;
    for (unsigned i = 0; i < n; i++, e->mine++) {
        while (e->theirs == e->mine) {
            e->theirs = atomic_load_explicit(&e->ring->tail, memory_order_acquire);
            if (e->theirs == e->mine) {
                bench_pause();
            }
        }
        const size_t slot = (size_t)(e->mine & (e->arg->slots - 1)) * e->arg->size;
        memcpy(e->buffer, e->ring->slots + slot, e->arg->size);
        if ((e->mine + 1) % e->arg->batch == 0) {
            atomic_store_explicit(&e->ring->head, e->mine + 1, memory_order_release);
        }
    }
}

static unsigned char *buffer_of(uint32_t size)
{
    static _Alignas(64) unsigned char buffer[1 << 20];
    if (size > sizeof buffer) {
        bench_fail("message too long for this program");
    }
    memset(buffer, 1, size);
    return buffer;
}

static void ring_measured(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)index;
    struct ring_end e = { stage, (struct ring *)stage->rest, arg, 0, 0, NULL };
    e.buffer = buffer_of(e.arg->size);
    stage->result = bench_mean(ring_take, &e, e.arg->size > 4096 ? 16 : 1024);
    atomic_store_explicit(&stage->stop, 1, memory_order_release);
}

static void ring_peer(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)index;
    struct ring_end e = { stage, (struct ring *)stage->rest, arg, 0, 0, NULL };
    e.buffer = buffer_of(e.arg->size);
    for (;;) {
        while (e.mine - e.theirs == e.arg->slots) {
            e.theirs = atomic_load_explicit(&e.ring->head, memory_order_acquire);
            if (e.mine - e.theirs != e.arg->slots) {
                break;
            }
            if (atomic_load_explicit(&stage->stop, memory_order_relaxed) != 0) {
                return;
            }
            bench_pause();
        }
        const size_t slot = (size_t)(e.mine & (e.arg->slots - 1)) * e.arg->size;
        memcpy(e.ring->slots + slot, e.buffer, e.arg->size);
        e.mine++;
        if (e.mine % e.arg->batch == 0) {
            atomic_store_explicit(&e.ring->tail, e.mine, memory_order_release);
        }
    }
}

double raw_ring_rate(void *arg)
{
    const struct raw_ring_arg *a = arg;
    return bench_pair(ring_measured, ring_peer, 1, sizeof(struct ring) + (size_t)a->slots * a->size,
                      arg);
}

/* ------------------------------------------------------------------ a backlog */

static void wait_until_full(const struct ring_end *e)
{
    const struct timespec a_while = { 0, 1000000 };
    while (atomic_load_explicit(&e->ring->tail, memory_order_acquire) < e->arg->slots) {
        nanosleep(&a_while, NULL);
    }
}

static void backlog_measured(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)index;
    struct ring_end e = { stage, (struct ring *)stage->rest, arg, 0, 0, NULL };
    e.buffer = buffer_of(e.arg->size);
    wait_until_full(&e);
    stage->result = bench_median(ring_take, &e, 1024);
    atomic_store_explicit(&stage->stop, 1, memory_order_release);
}

double raw_backlog_rate(void *arg)
{
    const struct raw_ring_arg *a = arg;
    return bench_pair(backlog_measured, ring_peer, 1,
                      sizeof(struct ring) + (size_t)a->slots * a->size, arg);
}

static const size_t fresh_step = 128 << 10;
static const size_t fresh_span = (size_t)64
                                 << 30; /* of addresses, more than a sample gets through */

struct fresh_end {
    struct ring_end ring;
    int fd;
    unsigned char *bytes; /* of the file */
    size_t edge;          /* up to here: reserved, or given back */
};

static int fresh_file; /* open in both */

static void fresh_fail(const char *what)
{
    bench_fail("%s: %s", what, strerror(errno));
}

static struct fresh_end fresh_begin(struct bench_stage *stage, void *arg, int protection)
{
    struct fresh_end e = { .ring = { stage, (struct ring *)stage->rest, arg, 0, 0, NULL },
                           .fd = fresh_file };
    e.ring.buffer = buffer_of(e.ring.arg->size);
    void *p = mmap(NULL, fresh_span, protection, MAP_SHARED | MAP_NORESERVE, e.fd, 0);
    if (p == MAP_FAILED) {
        fresh_fail("mmap");
    }
    e.bytes = p;
    return e;
}

static void fresh_take(void *ctx, unsigned n)
{
    struct fresh_end *e = ctx;
    const uint32_t size = e->ring.arg->size;
    for (unsigned i = 0; i < n; i++) {
        while (e->ring.theirs == e->ring.mine) {
            e->ring.theirs = atomic_load_explicit(&e->ring.ring->tail, memory_order_acquire);
        }
        const size_t at = (size_t)e->ring.mine * size;
        memcpy(e->ring.buffer, e->bytes + at, size);
        e->ring.mine++;
        if (at + size - e->edge >= fresh_step) {
            if (fallocate(e->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)e->edge,
                          (off_t)fresh_step) < 0) {
                fresh_fail("fallocate");
            }
            e->edge += fresh_step;
        }
        atomic_store_explicit(&e->ring.ring->head, e->ring.mine, memory_order_release);
    }
}

static void fresh_measured(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)index;
    struct fresh_end e = fresh_begin(stage, arg, PROT_READ);
    wait_until_full(&e.ring);
    stage->result = bench_median(fresh_take, &e, 1024);
    atomic_store_explicit(&stage->stop, 1, memory_order_release);
}

/* False: the sample is over. */
static bool fresh_has_room(struct ring_end *e)
{
    while (e->mine - e->theirs >= e->arg->slots) {
        e->theirs = atomic_load_explicit(&e->ring->head, memory_order_acquire);
        if (atomic_load_explicit(&e->stage->stop, memory_order_relaxed) != 0) {
            return false;
        }
        bench_pause();
    }
    return true;
}

static void fresh_peer(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)index;
    struct fresh_end e = fresh_begin(stage, arg, PROT_READ | PROT_WRITE);
    const uint32_t size = e.ring.arg->size;
    while (fresh_has_room(&e.ring)) {
        const size_t at = (size_t)e.ring.mine * size;
        if (at + size > fresh_span) {
            bench_fail("the sample is too long for the file");
        }
        if (at + size > e.edge) {
            if (fallocate(e.fd, 0, (off_t)e.edge, (off_t)fresh_step) < 0) {
                fresh_fail("fallocate");
            }
            e.edge += fresh_step;
        }
        memcpy(e.bytes + at, e.ring.buffer, size);
        e.ring.mine++;
        atomic_store_explicit(&e.ring.ring->tail, e.ring.mine, memory_order_release);
    }
}

double raw_fresh_rate(void *arg)
{
    fresh_file = memfd_create("fresh", MFD_CLOEXEC);
    if (fresh_file < 0 || ftruncate(fresh_file, (off_t)fresh_span) < 0) {
        fresh_fail("memfd_create");
    }
    const double ns = bench_pair(fresh_measured, fresh_peer, 1, sizeof(struct ring), arg);
    close(fresh_file);
    return ns;
}
