/*
 * bench.h - what the measuring programs share.
 *
 * A measure is a ratio: tong against something raw that does the same without tong (two cache
 * lines, a bare futex, cat). Both are timed in the same run, in turn: raw, tong, raw. A round counts only
 * when the raw figures before and after differ by 10 % or less; a figure taken while the machine changed
 * its mind says nothing. The answer is the median of the rounds that count, with their spread.
 *
 * Nothing here is a test: a goal that is missed is printed, it fails nothing. Exit 0 measured,
 * 1 could not measure, 2 usage, 77 this machine cannot (the reason is printed).
 *
 * Every process that is timed is forked anew, pinned, and killed by SIGALRM when it hangs.
 */
#ifndef TONG_BENCH_H
#define TONG_BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the user asked for; filled by bench_begin(). */
struct bench_settings {
    bool quick;       /* short samples and few rounds: a look, not a figure to publish */
    bool json;        /* one JSON object a line */
    bool raw_only;    /* time the raw side alone: is this machine steady enough? */
    unsigned rounds;  /* how many rounds must count */
    unsigned minutes; /* no round begins later than that behind the start; 0: no end */
    const char
        *only; /* measures whose name contains this, or one of these with | between; or NULL */
    const char *command; /* path of the tong command */
    int64_t sample_ns;   /* how long one sample runs, about */
    int cpu[2];          /* the two CPUs used */
    unsigned long count; /* --count, where a program has one; else 0 */
};

extern struct bench_settings bench;

/* Times one sample in fresh processes: nanoseconds for one operation. */
typedef double bench_sample_fn(void *arg);

enum bench_sense {
    BENCH_TIME, /* ratio = tong / raw, smaller is better, the goal is a maximum */
    BENCH_SPEED /* ratio = raw / tong in time, larger is better, the goal is a minimum */
};

/* How the absolute figures beside the ratio are shown. */
enum bench_show {
    BENCH_NS,   /* time of one operation */
    BENCH_RATE, /* operations a second */
    BENCH_BYTES /* an operation is a byte: bytes a second */
};

struct bench_measure {
    const char *name;
    bench_sample_fn *tong;
    void *tong_arg;
    bench_sample_fn *raw;
    void *raw_arg;
    double goal; /* 0: informative, no goal */
    enum bench_sense sense;
    enum bench_show show;
};

/*
 * bench_begin - read the command line, choose the CPUs, make a folder of mailboxes of its own.
 *
 * Does not return for a usage error, --help, or a machine with too few CPUs.
 * The folder ($TONG_DIR) and what is in it vanish with the process.
 */
void bench_begin(int argc, char **argv, const char *about);

/* bench_run - time the measures, interleaved over the rounds, and print a line for each. */
void bench_run(struct bench_measure *measures, size_t n);

/* bench_value - print a figure that is not a ratio; at_most 0: no goal. */
void bench_value(const char *name, double value, const char *unit, double at_most);

/* bench_end - print what else the machine did meanwhile; returns the exit code. */
int bench_end(void);

/* bench_fail - say what went wrong and end with 1, also from a forked process. */
_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* bench_check - fail unless a call of tong answered 0 or more. */
void bench_check(const char *what, int64_t answer);

/* ------------------------------------------------------------------ processes */

/* Shared by the processes of one sample. */
struct bench_stage {
    _Alignas(128) _Atomic uint32_t ready; /* processes that are set up */
    _Alignas(128) _Atomic uint32_t stop;  /* 1: the sample is over */
    _Alignas(128) double result;          /* the measured process writes it */
    _Alignas(128) unsigned char rest[];   /* as asked for, zero */
};

typedef void bench_body_fn(struct bench_stage *stage, void *arg, unsigned index);

struct bench_stage *bench_stage_new(size_t rest_size);
void bench_stage_free(struct bench_stage *stage, size_t rest_size);

/* bench_fork - run body in a new process. which: 0 or 1, the CPU it is pinned to; -1: on both. */
pid_t bench_fork(int which, bench_body_fn *body, struct bench_stage *stage, void *arg,
                 unsigned index);

/* bench_join - wait for a process and fail unless it ended well. */
void bench_join(pid_t pid);

/* bench_kill - end a process that bench_fork() made and wait for it. */
void bench_kill(pid_t pid);

/* bench_pair - measured on CPU 0 of the two, peer on CPU peer_cpu; what measured put into result. */
double bench_pair(bench_body_fn *measured, bench_body_fn *peer, int peer_cpu, size_t rest_size,
                  void *arg);

/* ------------------------------------------------------------------ time */

int64_t bench_now(void);

/* bench_median_of - sorts values; 0 for none. */
double bench_median_of(double *values, size_t n);

/* Does n operations. */
typedef void bench_op_fn(void *ctx, unsigned n);

/* bench_median - runs op for a sample's length in batches; the median batch, ns for one operation.
 * For round trips: what the host does to a few batches does not count. */
double bench_median(bench_op_fn *op, void *ctx, unsigned batch);

/* bench_median_rested - one operation at a time after a rest of rest_ns, which does not count. */
double bench_median_rested(bench_op_fn *op, void *ctx, int64_t rest_ns);

/* bench_mean - the same as bench_median(), all of the time over all operations.
 * For rates. */
double bench_mean(bench_op_fn *op, void *ctx, unsigned batch);

static inline void bench_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

#endif
