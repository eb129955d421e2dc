/*
 * setup.c - from nothing to the first message and back, against Unix sockets; and what it takes of memory.
 *
 * A process on the other CPU receives all the while. Of the mailbox: tong_open, tong_send, tong_close
 * against socket, connect, send, close. Of a process: tong_process_open, tong_send_to, tong_process_close
 * against socket, bind to a name, connect, send, close, unlink.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <tong/tong.h>

#include "bench.h"

enum {
    message_size = 64
};

static const char there[] = "setup";
static unsigned char bytes[message_size];

static void check_call(const char *what, long answer)
{
    if (answer < 0) {
        bench_fail("%s: %s", what, strerror(errno));
    }
}

static void is_ready(struct bench_stage *stage)
{
    atomic_store_explicit(&stage->ready, 1, memory_order_release);
}

static void wait_until_ready(struct bench_stage *stage)
{
    const struct timespec a_while = { 0, 1000000 };
    while (atomic_load_explicit(&stage->ready, memory_order_acquire) == 0) {
        nanosleep(&a_while, NULL);
    }
}

static double sample(bench_body_fn *measured, bench_body_fn *peer)
{
    struct bench_stage *stage = bench_stage_new(128);
    const pid_t other = bench_fork(1, peer, stage, NULL, 1);
    wait_until_ready(stage);
    bench_join(bench_fork(0, measured, stage, NULL, 0));
    bench_kill(other);
    const double ns = stage->result;
    bench_stage_free(stage, 128);
    return ns;
}

/* ------------------------------------------------------------------ a mailbox */

static void box_once(void *ctx, unsigned n)
{
    (void)ctx;
    for (unsigned i = 0; i < n; i++) {
        tong_mailbox *box;
        bench_check("tong_open", tong_open(there, TONG_SEND, NULL, &box));
        bench_check("tong_send", tong_send(box, bytes, sizeof bytes, TONG_FOREVER));
        bench_check("tong_close", tong_close(box));
    }
}

static void box_measured(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)arg;
    (void)index;
    stage->result = bench_median(box_once, NULL, 8);
}

static void box_peer(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)arg;
    (void)index;
    tong_mailbox *box;
    bench_check("tong_open", tong_open(there, TONG_RECEIVE, NULL, &box));
    is_ready(stage);
    for (;;) {
        unsigned char in[message_size];
        bench_check("tong_receive", tong_receive(box, in, sizeof in, TONG_FOREVER));
    }
}

static double box_sample(void *arg)
{
    (void)arg;
    tong_mailbox *box;
    bench_check("tong_open", tong_open(there, TONG_SEND | TONG_CREATE | TONG_EXCL, NULL, &box));
    bench_check("tong_close", tong_close(box));
    const double ns = sample(box_measured, box_peer);
    bench_check("tong_remove", tong_remove(there));
    return ns;
}

/* ------------------------------------------------------------------ a process */

static void process_once(void *ctx, unsigned n)
{
    (void)ctx;
    for (unsigned i = 0; i < n; i++) {
        tong_process *me;
        bench_check("tong_process_open", tong_process_open("P", NULL, &me));
        bench_check("tong_send_to", tong_send_to(me, "Q", bytes, sizeof bytes, TONG_FOREVER));
        bench_check("tong_process_close", tong_process_close(me));
    }
}

static void process_measured(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)arg;
    (void)index;
    stage->result = bench_median(process_once, NULL, 8);
}

static void process_peer(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)arg;
    (void)index;
    tong_process *me;
    bench_check("tong_process_open", tong_process_open("Q", NULL, &me));
    is_ready(stage);
    for (;;) {
        unsigned char in[message_size];
        char from[TONG_NAME_MAX];
        bench_check("tong_receive_any", tong_receive_any(me, in, sizeof in, TONG_FOREVER, from));
    }
}

static double process_sample(void *arg)
{
    (void)arg;
    return sample(process_measured, process_peer);
}

/* ------------------------------------------------------------------ Unix sockets */

static struct sockaddr_un address_of(const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%.80s/%s", getenv("TONG_DIR"), name);
    return address;
}

static void socket_once(void *ctx, unsigned n)
{
    const struct sockaddr_un to = address_of("socket");
    (void)ctx;
    for (unsigned i = 0; i < n; i++) {
        const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        check_call("socket", fd);
        check_call("connect", connect(fd, (const struct sockaddr *)&to, sizeof to));
        check_call("send", send(fd, bytes, sizeof bytes, MSG_NOSIGNAL));
        close(fd);
    }
}

static void socket_measured(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)arg;
    (void)index;
    stage->result = bench_median(socket_once, NULL, 8);
}

static void socket_peer(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)arg;
    (void)index;
    const struct sockaddr_un at = address_of("socket");
    unlink(at.sun_path);
    const int listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    check_call("socket", listening);
    check_call("bind", bind(listening, (const struct sockaddr *)&at, sizeof at));
    check_call("listen", listen(listening, 64));
    is_ready(stage);
    for (;;) {
        unsigned char in[message_size];
        const int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
        check_call("accept", fd);
        check_call("recv", recv(fd, in, sizeof in, 0));
        close(fd);
    }
}

static double socket_sample(void *arg)
{
    (void)arg;
    return sample(socket_measured, socket_peer);
}

static void named_once(void *ctx, unsigned n)
{
    const struct sockaddr_un to = address_of("named"), own = address_of("own");
    (void)ctx;
    for (unsigned i = 0; i < n; i++) {
        const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        check_call("socket", fd);
        check_call("bind", bind(fd, (const struct sockaddr *)&own, sizeof own));
        check_call("connect", connect(fd, (const struct sockaddr *)&to, sizeof to));
        check_call("send", send(fd, bytes, sizeof bytes, MSG_NOSIGNAL));
        close(fd);
        check_call("unlink", unlink(own.sun_path));
    }
}

static void named_measured(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)arg;
    (void)index;
    unlink(address_of("own").sun_path);
    stage->result = bench_median(named_once, NULL, 8);
}

static void named_peer(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)arg;
    (void)index;
    const struct sockaddr_un at = address_of("named");
    unlink(at.sun_path);
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check_call("socket", fd);
    check_call("bind", bind(fd, (const struct sockaddr *)&at, sizeof at));
    is_ready(stage);
    for (;;) {
        unsigned char in[message_size];
        check_call("recv", recv(fd, in, sizeof in, 0));
    }
}

static double named_sample(void *arg)
{
    (void)arg;
    return sample(named_measured, named_peer);
}

/* ------------------------------------------------------------------ memory */

static double link_kib(const char *name)
{
    char path[512];
    double kib = 0;
    snprintf(path, sizeof path, "%s/%s", getenv("TONG_DIR"), name);
    DIR *folder = opendir(path);
    for (struct dirent *e; folder != NULL && (e = readdir(folder)) != NULL;) {
        struct stat st;
        if (strncmp(e->d_name, "link.", 5) == 0 &&
            fstatat(dirfd(folder), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            kib += (double)st.st_blocks / 2;
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return kib;
}

static double resident_kib(void)
{
    char line[128];
    double kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            kib = strtod(line + 6, NULL);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib;
}

/* One end of a talk of 1000 messages each way; its resident memory goes into rest. */
static void talker(struct bench_stage *stage, void *arg, unsigned index)
{
    (void)arg;
    static const char *const names[] = { "talk-0", "talk-1" };
    tong_mailbox *in, *out;
    bench_check("tong_open", tong_open(names[index], TONG_RECEIVE | TONG_CREATE, NULL, &in));
    bench_check("tong_open", tong_open(names[1 - index], TONG_SEND | TONG_CREATE, NULL, &out));
    for (int i = 0; i < 1000; i++) {
        bench_check("tong_send", tong_send(out, bytes, sizeof bytes, TONG_FOREVER));
        bench_check("tong_receive", tong_receive(in, bytes, sizeof bytes, TONG_FOREVER));
    }
    ((double *)stage->rest)[index] = resident_kib();
    tong_close(in);
    tong_close(out);
}

static void print_memory(void)
{
    tong_mailbox *box;
    bench_check("tong_open", tong_open(there, TONG_SEND | TONG_CREATE | TONG_EXCL, NULL, &box));
    bench_check("tong_send", tong_send(box, bytes, sizeof bytes, 0));
    bench_value("a link after its first message", link_kib(there), "KiB", 12);
    bench_check("tong_close", tong_close(box));
    bench_check("tong_remove", tong_remove(there));

    struct bench_stage *stage = bench_stage_new(128);
    const pid_t pids[] = { bench_fork(0, talker, stage, NULL, 0),
                           bench_fork(1, talker, stage, NULL, 1) };
    bench_join(pids[0]);
    bench_join(pids[1]);
    const double *kib = (const double *)stage->rest;
    bench_value("two processes that talk, resident memory", (kib[0] + kib[1]) / 1024, "MiB", 4);
    bench_stage_free(stage, 128);
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv, "the first message, and memory");
    struct bench_measure measures[] = {
        { "open, first message, close : a Unix socket's", box_sample, NULL, socket_sample, NULL, 3,
          BENCH_TIME, BENCH_NS },
        { "process open, first message, close : a bound Unix socket's", process_sample, NULL,
          named_sample, NULL, 3, BENCH_TIME, BENCH_NS },
    };
    bench_run(measures, sizeof measures / sizeof measures[0]);
    if (!bench.raw_only) {
        print_memory();
    }
    return bench_end();
}
