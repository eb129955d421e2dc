/*
 * oneshot.c - a new process for each message: N times `tong send`, against N times /bin/true.
 *
 * Afterwards everything is received: N messages in the order they were sent, and the mailbox must
 * have made do with one link file.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <tong/tong.h>

#include "bench.h"

static const char name[] = "oneshot";
static unsigned long chunk; /* processes for one sample */
static unsigned long sent;

static void spawn(char *const argv[])
{
    pid_t pid;
    const int error = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
    if (error != 0) {
        bench_fail("%s: %s; give the command with --tong", argv[0], strerror(error));
    }
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) {
        bench_fail("%s ended with status %#x", argv[0], (unsigned)status);
    }
}

static double true_sample(void *arg)
{
    (void)arg;
    char *const argv[] = { "/bin/true", NULL };
    const int64_t begin = bench_now();
    for (unsigned long i = 0; i < chunk; i++) {
        spawn(argv);
    }
    return (double)(bench_now() - begin) / (double)chunk;
}

static double send_sample(void *arg)
{
    (void)arg;
    char text[24];
    char *const argv[] = { (char *)(uintptr_t)bench.command, "send", (char *)(uintptr_t)name, text,
                           NULL };
    const int64_t begin = bench_now();
    for (unsigned long i = 0; i < chunk; i++) {
        snprintf(text, sizeof text, "%lu", sent++);
        spawn(argv);
    }
    return (double)(bench_now() - begin) / (double)chunk;
}

static void receive_all(void)
{
    tong_mailbox *box;
    bench_check("tong_open", tong_open(name, TONG_RECEIVE, NULL, &box));
    for (unsigned long i = 0; i < sent; i++) {
        char expected[24], text[24];
        const int len = snprintf(expected, sizeof expected, "%lu", i);
        const ssize_t got = tong_receive(box, text, sizeof text, 0);
        bench_check("tong_receive", got);
        if (got != len || memcmp(expected, text, (size_t)len) != 0) {
            bench_fail("message %lu was expected, \"%.*s\" came", i, (int)got, text);
        }
    }
    char more[24];
    if (tong_receive(box, more, sizeof more, 0) != -EAGAIN) {
        bench_fail("more messages came than were sent");
    }
    bench_check("tong_close", tong_close(box));
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv, "one process for each message, against /bin/true");
    const unsigned long count = bench.count > 0 ? bench.count : bench.quick ? 2000 : 100000;
    chunk = (count + bench.rounds - 1) / bench.rounds;

    tong_options options = TONG_OPTIONS_INIT;
    options.link_capacity = TONG_UNBOUNDED;
    tong_mailbox *box;
    bench_check("tong_open", tong_open(name, TONG_SEND | TONG_CREATE | TONG_EXCL, &options, &box));
    bench_check("tong_close", tong_close(box));

    struct bench_measure measure = { "create, N x tong send : N x /bin/true",
                                     send_sample,
                                     NULL,
                                     true_sample,
                                     NULL,
                                     2,
                                     BENCH_TIME,
                                     BENCH_NS };
    bench_run(&measure, 1);
    if (bench.raw_only) {
        return bench_end();
    }
    tong_status status = TONG_STATUS_INIT;
    bench_check("tong_stat", tong_stat(name, &status));
    bench_value("link files after that", status.links, "files", 1);
    receive_all();
    bench_value("messages received, in order", (double)sent, "messages", 0);
    bench_check("tong_remove", tong_remove(name));
    return bench_end();
}
