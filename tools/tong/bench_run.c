/*
 * bench_run.c - one sample of `tong bench`: two processes, pinned, and the loops they run.
 *
 * A tenth of the operations goes before those that are timed. The first 8 bytes of each message are its
 * number, which is checked: a way that loses or mixes up messages is not measured.
 */
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
    HANG_S = 120
};

static unsigned char *out, *in; /* a message each */

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

void bench_end_side(const struct bench_job *job, const char *what, int r)
{
    tool_say(job->args, NULL, "%s: %s", what, tong_strerror(r));
    fflush(stderr);
    _exit(TOOL_FAILED);
}

/* ------------------------------------------------------------------ round trips */

static void check_echo(const struct bench_job *job, uint64_t number)
{
    uint64_t back;
    memcpy(&back, in, sizeof(back));
    if (back != number) {
        bench_end_side(job, "another message came back", -EPROTO);
    }
}

static void trips(const struct bench_job *job, const struct bench_way *way, uint64_t from,
                  uint64_t n, bool numbered, double *ret_rested)
{
    const struct timespec rest = { .tv_nsec = job->rest_ns };
    for (uint64_t i = from; i < from + n; i++) {
        if (job->rest_ns > 0) {
            const double before = now_ns();
            nanosleep(&rest, NULL);
            *ret_rested += now_ns() - before;
        }
        memcpy(out, &i, sizeof(i));
        way->put(out);
        way->take(in);
        if (numbered) {
            check_echo(job, i);
        }
    }
}

static void ask(const struct bench_job *job, const struct bench_way *way, struct bench_stage *stage)
{
    const bool numbered = way != &bench_futex && way != &bench_line;
    double rested = 0;
    trips(job, way, 0, job->count / 10 + 1, numbered, &rested);
    rested = 0;
    const double begin = now_ns();
    trips(job, way, job->count / 10 + 1, job->count, numbered, &rested);
    stage->ns = (now_ns() - begin - rested) / (double)job->count;
}

static void answer(const struct bench_job *job, const struct bench_way *way)
{
    const uint64_t n = job->count + job->count / 10 + 1;
    for (uint64_t i = 0; i < n; i++) {
        way->take(in);
        way->put(in);
    }
}

/* ------------------------------------------------------------------ one way */

/* In whole batches, so that both sides agree on how many there are. */
static uint64_t batches_of(uint64_t count)
{
    return count / BENCH_MANY + 1;
}

static void pour(const struct bench_way *way, uint64_t batches)
{
    for (uint64_t i = 0; i < batches; i++) {
        if (way->put_many) {
            way->put_many(out, BENCH_MANY);
            continue;
        }
        for (size_t k = 0; k < BENCH_MANY; k++) {
            way->put(out);
        }
    }
}

static void drain(const struct bench_way *way, uint64_t n)
{
    while (n > 0) {
        size_t some = 1;
        if (way->take_many && n >= BENCH_MANY) {
            some = way->take_many(in);
        } else {
            way->take(in);
        }
        n -= some;
    }
}

static void flow(const struct bench_job *job, const struct bench_way *way,
                 struct bench_stage *stage, int side)
{
    const uint64_t before = batches_of(job->count / 10), batches = batches_of(job->count);
    if (side == 0) {
        pour(way, before + batches);
        way->take(in);
        return;
    }
    drain(way, before * BENCH_MANY);
    const double begin = now_ns();
    drain(way, batches * BENCH_MANY);
    stage->ns = (now_ns() - begin) / (double)(batches * BENCH_MANY);
    way->put(in);
}

/* ------------------------------------------------------------------ processes */

static void pin(const struct bench_job *job, int side)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)job->cpu[job->one_cpu ? 0 : side], &set);
    (void)sched_setaffinity(0, sizeof(set), &set);
}

static void meet(struct bench_stage *stage)
{
    const struct timespec moment = { .tv_nsec = 100000 };
    atomic_fetch_add(&stage->opened, 1);
    while (atomic_load(&stage->opened) < 2) {
        nanosleep(&moment, NULL);
    }
}

static void run_side(struct bench_job *job, const struct bench_way *way, struct bench_stage *stage,
                     int side)
{
    signal(SIGALRM, SIG_DFL); /* the command's own handler would live on */
    alarm(HANG_S);
    pin(job, side);
    out = calloc(1, job->size);
    in = calloc(1, job->size);
    if (!out || !in) {
        bench_end_side(job, "memory", -ENOMEM);
    }
    way->open(job, stage, side);
    meet(stage);
    if (job->rate) {
        flow(job, way, stage, side);
    } else if (side == 0) {
        ask(job, way, stage);
    } else {
        answer(job, way);
    }
    way->close();
    free(out);
    free(in);
}

static pid_t start(struct bench_job *job, const struct bench_way *way, struct bench_stage *stage,
                   int side)
{
    const pid_t parent = getpid();
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(TOOL_FAILED);
        }
        run_side(job, way, stage, side);
        _exit(TOOL_DONE);
    }
    return pid;
}

/* When one ends badly the other one would wait for ever. */
static int join(const struct tool_args *args, const pid_t pids[2])
{
    int code = 0;
    for (int left = 2; left > 0;) {
        int status;
        const pid_t ended = waitpid(-1, &status, 0);
        if (ended < 0) {
            if (errno != EINTR) {
                return TOOL_FAILED;
            }
            if (tool_stop_signal()) {
                kill(pids[0], SIGKILL);
                kill(pids[1], SIGKILL);
            }
            continue;
        }
        left--;
        if (WIFSIGNALED(status) && code == 0 && !tool_stop_signal()) {
            tool_say(args, NULL, "a side was ended by signal %d%s", WTERMSIG(status),
                     WTERMSIG(status) == SIGALRM ? ": it took too long" : "");
        }
        if (status != 0 && code == 0) {
            code = WIFEXITED(status) ? WEXITSTATUS(status) : TOOL_FAILED;
            kill(ended == pids[0] ? pids[1] : pids[0], SIGKILL);
        }
    }
    return code;
}

int bench_sample(struct bench_job *job, const struct bench_way *way, double *ret_ns)
{
    struct bench_stage *const stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE,
                                           MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (stage == MAP_FAILED) {
        return tool_failed(job->args, NULL, "no shared memory: %s", strerror(errno));
    }
    const int prepared = way->prepare ? way->prepare(job, stage) : TOOL_DONE;
    if (prepared != TOOL_DONE) {
        munmap(stage, sizeof(*stage));
        return prepared;
    }
    const pid_t pids[2] = { start(job, way, stage, 1), start(job, way, stage, 0) };
    int code = TOOL_FAILED;
    if (pids[0] > 0 && pids[1] > 0) {
        code = join(job->args, pids);
    } else {
        tool_failed(job->args, NULL, "fork: %s", strerror(errno));
        for (int i = 0; i < 2; i++) {
            if (pids[i] > 0) {
                kill(pids[i], SIGKILL);
                waitpid(pids[i], NULL, 0);
            }
        }
    }
    *ret_ns = stage->ns;
    munmap(stage, sizeof(*stage));
    return code;
}
