/*
 * process.c - the processes that are timed, and how.
 *
 * Each is forked anew, pinned, dies with its parent, and is ended by SIGALRM when it hangs.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    max_batches = 1 << 16,
    hang_s = 300
};

/* ------------------------------------------------------------------ processes */

static void pin(int which)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < 2; i++) {
        if (which < 0 || which == i) {
            CPU_SET((unsigned)bench.cpu[i], &set);
        }
    }
    if (sched_setaffinity(0, sizeof set, &set) < 0) {
        bench_fail("cannot pin to a CPU: %s", strerror(errno));
    }
}

struct bench_stage *bench_stage_new(size_t rest_size)
{
    void *memory = mmap(NULL, sizeof(struct bench_stage) + rest_size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) {
        bench_fail("no shared memory: %s", strerror(errno));
    }
    return memory;
}

void bench_stage_free(struct bench_stage *stage, size_t rest_size)
{
    munmap(stage, sizeof *stage + rest_size);
}

pid_t bench_fork(int which, bench_body_fn *body, struct bench_stage *stage, void *arg,
                 unsigned index)
{
    fflush(NULL);
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid < 0) {
        bench_fail("fork: %s", strerror(errno));
    }
    if (pid > 0) {
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(1);
    }
    alarm(hang_s);
    pin(which);
    body(stage, arg, index);
    _exit(0);
}

void bench_join(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            bench_fail("waitpid: %s", strerror(errno));
        }
    }
    if (WIFSIGNALED(status)) {
        bench_fail("a measured process was ended by signal %d%s", WTERMSIG(status),
                   WTERMSIG(status) == SIGALRM ? ": it hung" : "");
    }
    if (WEXITSTATUS(status) != 0) {
        bench_fail("a measured process failed");
    }
}

void bench_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

double bench_pair(bench_body_fn *measured, bench_body_fn *peer, int peer_cpu, size_t rest_size,
                  void *arg)
{
    struct bench_stage *stage = bench_stage_new(rest_size);
    const pid_t second = bench_fork(peer_cpu, peer, stage, arg, 1);
    const pid_t first = bench_fork(0, measured, stage, arg, 0);
    bench_join(first);
    bench_join(second);
    const double result = stage->result;
    bench_stage_free(stage, rest_size);
    return result;
}

/* ------------------------------------------------------------------ time */

int64_t bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median_of(double *values, size_t n)
{
    if (n == 0) {
        return 0;
    }
    qsort(values, n, sizeof *values, compare_doubles);
    return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* A tenth of the sample goes before: pages, caches, and the clock of the CPU settle. */
static int64_t warm_up(bench_op_fn *op, void *ctx, unsigned batch)
{
    const int64_t until = bench_now() + bench.sample_ns / 10;
    do {
        op(ctx, batch);
    } while (bench_now() < until);
    return bench_now();
}

double bench_median(bench_op_fn *op, void *ctx, unsigned batch)
{
    static double batches[max_batches];
    int64_t then = warm_up(op, ctx, batch);
    const int64_t until = then + bench.sample_ns;
    size_t n = 0;
    while (then < until && n < max_batches) {
        op(ctx, batch);
        const int64_t now = bench_now();
        batches[n++] = (double)(now - then) / batch;
        then = now;
    }
    return bench_median_of(batches, n);
}

double bench_median_rested(bench_op_fn *op, void *ctx, int64_t rest_ns)
{
    static double each[max_batches];
    const struct timespec rest = { rest_ns / 1000000000, rest_ns % 1000000000 };
    const int64_t until = warm_up(op, ctx, 1) + bench.sample_ns;
    size_t n = 0;
    for (int64_t then = 0; then < until && n < max_batches; n++) {
        nanosleep(&rest, NULL);
        then = bench_now();
        op(ctx, 1);
        each[n] = (double)(bench_now() - then);
    }
    return bench_median_of(each, n);
}

double bench_mean(bench_op_fn *op, void *ctx, unsigned batch)
{
    const int64_t begin = warm_up(op, ctx, batch);
    int64_t now = begin;
    double n = 0;
    while (now < begin + bench.sample_ns) {
        op(ctx, batch);
        n += batch;
        now = bench_now();
    }
    return (double)(now - begin) / n;
}
