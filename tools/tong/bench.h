/*
 * bench.h - what the parts of `tong bench` share.
 *
 * A sample is two processes, the asking side (0) and the answering side (1), joined by a way there and a way
 * back. A way is one of the machine's own (bench_raw.c) or two mailboxes (bench_box.c); the loops over it are
 * the same (bench_run.c).
 */
#ifndef TONG_BENCH_H
#define TONG_BENCH_H

#include <stdatomic.h>

#include "tool.h"

enum {
    BENCH_MANY = 32,       /* messages of one call */
    BENCH_SLOTS = 64,      /* messages a way holds, */
    BENCH_BYTES = 8 << 20, /* and bytes, if that is less */
    BENCH_LONGEST = 4 << 20
};

/* What is measured. */
struct bench_job {
    const struct tool_args *args;
    size_t size;     /* of a message, 8 at least */
    size_t slots;    /* messages of room */
    uint64_t count;  /* operations of a sample */
    int64_t rest_ns; /* before each round trip, not counted */
    bool rate;       /* one way, as fast as it goes; else round trips */
    bool one_cpu;    /* both sides on the first */
    int cpu[2];
};

struct bench_stage;

/* A way from side to side. Calls end the process, which is that side's, where they fail. */
struct bench_way {
    const char *name;
    /* Before there are sides: 0, or an exit code with a message. Or NULL. */
    int (*prepare)(struct bench_job *job, struct bench_stage *stage);
    void (*open)(struct bench_job *job, struct bench_stage *stage, int side);
    void (*put)(const void *data);
    void (*take)(void *data);
    /* n messages behind each other, data for each the same; NULL: one by one. */
    void (*put_many)(const void *data, size_t n);
    size_t (*take_many)(void *data); /* how many came; the last of them is in data */
    void (*close)(void);
};

/* Memory both sides see. */
struct bench_stage {
    _Alignas(128) _Atomic uint32_t opened;
    _Alignas(128) double ns; /* of one operation */
    _Alignas(128) struct {
        _Alignas(128) _Atomic uint64_t there; /* what the way needs: written by the side it is of */
        _Alignas(128) _Atomic uint64_t freed; /* by the other side */
    } of[2];
    _Alignas(128) unsigned char bytes[2][BENCH_BYTES]; /* payload, from side 0 and 1 */
};

extern const struct bench_way bench_line, bench_futex, bench_copy, bench_ring, bench_ring_many;
extern const struct bench_way bench_box, bench_box_many;

/* One sample. Returns 0 and nanoseconds for one operation, or an exit code with a message. */
int bench_sample(struct bench_job *job, const struct bench_way *way, double *ret_ns);

/* Ends a side of a sample: the call answered r. */
_Noreturn void bench_end_side(const struct bench_job *job, const char *what, int r);

static inline void bench_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

#endif
