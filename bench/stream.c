/*
 * stream.c - /dev/zero through `tong send --stream` and `tong receive --stream` to /dev/null, against
 * `cat | cat` of the same; and the private memory of the two.
 *
 * Both pairs run for a sample's length and are then ended. What went through is what the last process
 * wrote, as the kernel counts it (wchar in /proc/PID/io).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tong/tong.h>

#include "bench.h"

static double largest_kib[2]; /* RssAnon of sender and receiver */

/* The number behind a word in a file of /proc/PID; -1 when it is not there. */
static long long number_in(pid_t pid, const char *file, const char *word)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return -1;
    }
    long long number = -1;
    while (number < 0 && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, word, strlen(word)) == 0) {
            number = strtoll(line + strlen(word), NULL, 10);
        }
    }
    fclose(f);
    return number;
}

static pid_t spawn(char *const argv[], int in, int out)
{
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    pid_t pid;
    const int error = posix_spawnp(&pid, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) {
        bench_fail("%s: %s; give the command with --tong", argv[0], strerror(error));
    }
    return pid;
}

static int open_or_fail(const char *path, int flags)
{
    const int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) {
        bench_fail("%s: %s", path, strerror(errno));
    }
    return fd;
}

static void rest(int64_t ns)
{
    const struct timespec t = { ns / 1000000000, ns % 1000000000 };
    nanosleep(&t, NULL);
}

static long long written_by(pid_t pid)
{
    const long long bytes = number_in(pid, "io", "wchar:");
    if (bytes < 0) {
        bench_fail("/proc/%d/io cannot be read", (int)pid);
    }
    return bytes;
}

/* Lets the pair run; nanoseconds a byte. A process that ends by itself is an error. */
static double watch(pid_t first, pid_t last, double *ret_kib)
{
    rest(bench.sample_ns);
    const int64_t begin = bench_now();
    const long long before = written_by(last);
    for (int i = 0; i < 10; i++) {
        rest(bench.sample_ns / 4);
        for (int side = 0; side < 2 && ret_kib != NULL; side++) {
            const long long kib = number_in(side == 0 ? first : last, "status", "RssAnon:");
            ret_kib[side] = (double)kib > ret_kib[side] ? (double)kib : ret_kib[side];
        }
    }
    const long long bytes = written_by(last) - before;
    const int64_t end = bench_now();
    if (waitpid(first, NULL, WNOHANG) != 0 || waitpid(last, NULL, WNOHANG) != 0 || bytes <= 0) {
        bench_fail("the stream ended or stood still");
    }
    return (double)(end - begin) / (double)bytes;
}

static double cat_sample(void *arg)
{
    (void)arg;
    char *const argv[] = { "cat", NULL };
    const int zero = open_or_fail("/dev/zero", O_RDONLY);
    const int null = open_or_fail("/dev/null", O_WRONLY);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        bench_fail("pipe: %s", strerror(errno));
    }
    const pid_t first = spawn(argv, zero, ends[1]);
    const pid_t last = spawn(argv, ends[0], null);
    close(ends[0]);
    close(ends[1]);
    const double ns = watch(first, last, NULL);
    bench_kill(first);
    bench_kill(last);
    close(zero);
    close(null);
    return ns;
}

static double tong_sample(void *arg)
{
    (void)arg;
    static unsigned serial;
    char name[TONG_NAME_MAX];
    snprintf(name, sizeof name, "stream-%u", serial++);
    char *const command = (char *)(uintptr_t)bench.command;
    char *const send[] = { command, "send", name, "--stream", NULL };
    char *const receive[] = { command, "receive", name, "--stream", NULL };
    const int zero = open_or_fail("/dev/zero", O_RDONLY);
    const int null = open_or_fail("/dev/null", O_WRONLY);
    const pid_t first = spawn(send, zero, null);
    const pid_t last = spawn(receive, null, null);
    const double ns = watch(first, last, largest_kib);
    bench_kill(first);
    bench_kill(last);
    close(zero);
    close(null);
    bench_check("tong_remove", tong_remove(name));
    return ns;
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv, "/dev/zero to /dev/null by tong --stream, against cat | cat");
    struct bench_measure measure = { "send --stream | receive --stream : cat | cat",
                                     tong_sample,
                                     NULL,
                                     cat_sample,
                                     NULL,
                                     0.5,
                                     BENCH_SPEED,
                                     BENCH_BYTES };
    bench_run(&measure, 1);
    if (!bench.raw_only) {
        bench_value("RssAnon of send --stream, largest", largest_kib[0] / 1024, "MiB", 19.07);
        bench_value("RssAnon of receive --stream, largest", largest_kib[1] / 1024, "MiB", 19.07);
    }
    return bench_end();
}
