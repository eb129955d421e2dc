/*
 * unix.c - a mailbox behind a socket beside a bare loop over SOCK_SEQPACKET: the same bytes, the same two
 * processes, the same size of the send buffer.
 *
 * Rate: one sender, one receiver on two CPUs. Round trip: one CPU there, the other back, both asleep in
 * between. 1 MiB also beside a bare hand-over of a sealed memory file; the better of both counts.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tong/tong.h>

#include "bench.h"

enum {
    buffer_bytes = 4 << 20,
    most_bytes = 1 << 20,
    over = 0xff
};

struct flow {
    const tong_options *options;
    uint32_t size;
    bool memfd; /* of the bare side: hand a sealed file over */
    char there[TONG_NAME_MAX], back[TONG_NAME_MAX];
    int pair[2];
};

static unsigned char bytes[most_bytes];

/* ------------------------------------------------------------------ bare */

static bool bare_send_fd(int to, const struct flow *f)
{
    const int fd = memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { .space = { 0 } };
    char one = 1;
    struct iovec part = { &one, 1 };
    struct msghdr msg = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    if (fd < 0 || ftruncate(fd, f->size) < 0 || pwrite(fd, bytes, f->size, 0) != f->size ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
        bench_fail("memfd");
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    const bool sent = sendmsg(to, &msg, MSG_NOSIGNAL) == 1;
    close(fd);
    return sent;
}

static void bare_receive_fd(int from, const struct flow *f)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    char one;
    struct iovec part = { &one, 1 };
    struct msghdr msg = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    int fd = -1;
    if (recvmsg(from, &msg, MSG_CMSG_CLOEXEC) != 1) {
        bench_fail("recvmsg");
    }
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
    void *p = mmap(NULL, f->size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        bench_fail("mmap");
    }
    memcpy(bytes, p, f->size);
    munmap(p, f->size);
    close(fd);
}

static bool bare_put(int fd, const struct flow *f)
{
    return f->memfd ? bare_send_fd(fd, f) : send(fd, bytes, f->size, MSG_NOSIGNAL) == f->size;
}

static void bare_take(int fd, const struct flow *f)
{
    if (f->memfd) {
        bare_receive_fd(fd, f);
    } else if (recv(fd, bytes, f->size, 0) != f->size) {
        bench_fail("recv");
    }
}

struct bare_end {
    const struct flow *flow;
    int fd;
};

static void bare_takes(void *ctx, unsigned n)
{
    const struct bare_end *e = ctx;
    for (unsigned i = 0; i < n; i++) {
        bare_take(e->fd, e->flow);
    }
}

static unsigned batch_of(const struct flow *f)
{
    return f->size > 65536 ? 16 : 1024;
}

static void bare_receiver(struct bench_stage *stage, void *arg, unsigned index)
{
    struct flow *f = arg;
    struct bare_end e = { f, f->pair[0] };
    (void)index;
    close(f->pair[1]);
    stage->result = bench_mean(bare_takes, &e, batch_of(f));
    atomic_store_explicit(&stage->stop, 1, memory_order_release);
    shutdown(f->pair[0], SHUT_RDWR); /* others have it open, too */
}

static void bare_sender(struct bench_stage *stage, void *arg, unsigned index)
{
    struct flow *f = arg;
    (void)index;
    close(f->pair[0]);
    while (atomic_load_explicit(&stage->stop, memory_order_relaxed) == 0 &&
           bare_put(f->pair[1], f)) {
    }
}

static void bare_asks(void *ctx, unsigned n)
{
    const struct bare_end *e = ctx;
    for (unsigned i = 0; i < n; i++) {
        (void)bare_put(e->fd, e->flow);
        bare_take(e->fd, e->flow);
    }
}

static void bare_asker(struct bench_stage *stage, void *arg, unsigned index)
{
    struct flow *f = arg;
    struct bare_end e = { f, f->pair[0] };
    (void)index;
    close(f->pair[1]);
    stage->result = bench_median(bare_asks, &e, 64);
    shutdown(f->pair[0], SHUT_RDWR);
}

static void bare_answerer(struct bench_stage *stage, void *arg, unsigned index)
{
    struct flow *f = arg;
    (void)stage;
    (void)index;
    close(f->pair[0]);
    while (recv(f->pair[1], bytes, f->size, 0) == f->size) {
        (void)bare_put(f->pair[1], f);
    }
}

static void make_pair(struct flow *f)
{
    const int size = buffer_bytes;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, f->pair) < 0) {
        bench_fail("socketpair");
    }
    for (int i = 0; i < 2; i++) {
        (void)setsockopt(f->pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    }
}

static double bare(bench_body_fn *measured, bench_body_fn *peer, struct flow *f)
{
    make_pair(f);
    const double ns = bench_pair(measured, peer, 1, 0, f);
    close(f->pair[0]);
    close(f->pair[1]);
    return ns;
}

static double bare_rate(void *arg)
{
    return bare(bare_receiver, bare_sender, arg);
}

static double bare_rtt(void *arg)
{
    return bare(bare_asker, bare_answerer, arg);
}

/* ------------------------------------------------------------------ tong */

static tong_mailbox *make(const char *name, const struct flow *f)
{
    tong_mailbox *box;
    bench_check("tong_open", tong_open(name, TONG_RECEIVE | TONG_CREATE, f->options, &box));
    return box;
}

/* Its owner may not have made it yet. */
static tong_mailbox *find(const char *name)
{
    tong_mailbox *box;
    int r;
    while ((r = tong_open(name, TONG_SEND, NULL, &box)) == -ENOENT) {
        (void)poll(NULL, 0, 1);
    }
    bench_check("tong_open", r);
    return box;
}

struct tong_end {
    const struct flow *flow;
    tong_mailbox *in, *out;
};

static void tong_takes(void *ctx, unsigned n)
{
    const struct tong_end *e = ctx;
    for (unsigned i = 0; i < n; i++) {
        bench_check("tong_receive", tong_receive(e->in, bytes, e->flow->size, TONG_FOREVER));
    }
}

static void tong_receiver(struct bench_stage *stage, void *arg, unsigned index)
{
    struct flow *f = arg;
    struct tong_end e = { f, make(f->there, f), NULL };
    (void)index;
    stage->result = bench_mean(tong_takes, &e, batch_of(f));
    atomic_store_explicit(&stage->stop, 1, memory_order_release);
    tong_close(e.in);
}

static void tong_sender(struct bench_stage *stage, void *arg, unsigned index)
{
    struct flow *f = arg;
    tong_mailbox *box = find(f->there);
    (void)stage;
    (void)index;
    while (tong_send(box, bytes, f->size, TONG_FOREVER) == 0) {
    }
    tong_close(box);
}

static void tong_asks(void *ctx, unsigned n)
{
    const struct tong_end *e = ctx;
    for (unsigned i = 0; i < n; i++) {
        bench_check("tong_send", tong_send(e->out, bytes, e->flow->size, TONG_FOREVER));
        bench_check("tong_receive", tong_receive(e->in, bytes, e->flow->size, TONG_FOREVER));
    }
}

static void tong_asker(struct bench_stage *stage, void *arg, unsigned index)
{
    struct flow *f = arg;
    struct tong_end e = { f, make(f->back, f), find(f->there) };
    (void)index;
    stage->result = bench_median(tong_asks, &e, 64);
    bytes[0] = over;
    bench_check("tong_send", tong_send(e.out, bytes, f->size, TONG_FOREVER));
    tong_close(e.out);
    tong_close(e.in);
}

static void tong_answerer(struct bench_stage *stage, void *arg, unsigned index)
{
    struct flow *f = arg;
    struct tong_end e = { f, make(f->there, f), find(f->back) };
    (void)stage;
    (void)index;
    while (tong_receive(e.in, bytes, f->size, TONG_FOREVER) >= 0 && bytes[0] != over &&
           tong_send(e.out, bytes, f->size, TONG_FOREVER) == 0) {
    }
    tong_close(e.out);
    tong_close(e.in);
}

static double with_names(bench_body_fn *measured, bench_body_fn *peer, struct flow *f)
{
    static unsigned serial;
    snprintf(f->there, sizeof f->there, "unix:there-%u", serial);
    snprintf(f->back, sizeof f->back, "unix:back-%u", serial++);
    return bench_pair(measured, peer, 1, 0, f);
}

static double tong_rate(void *arg)
{
    return with_names(tong_receiver, tong_sender, arg);
}

static double tong_rtt(void *arg)
{
    return with_names(tong_asker, tong_answerer, arg);
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv, "unix: beside a bare loop over SOCK_SEQPACKET, two CPUs");
    static tong_options plain = TONG_OPTIONS_INIT;
    static tong_options free_ = TONG_OPTIONS_INIT;
    static tong_options bounded = TONG_OPTIONS_INIT;
    plain.owner = free_.owner = bounded.owner = TONG_PROCESS;
    free_.link_capacity = TONG_UNBOUNDED;
    bounded.capacity = 1024;
    static struct flow f[] = {
        { .options = &free_, .size = 64 },
        { .options = &free_, .size = 1024 },
        { .options = &plain, .size = 64 },
        { .options = &plain, .size = 1024 },
        { .options = &bounded, .size = 64 },
        { .options = &bounded, .size = 1024 },
        { .options = &free_, .size = 1 << 20 },
        { .options = &free_, .size = 1 << 20, .memfd = true },
    };
    struct bench_measure measures[] = {
        { "rate, no credits, 64 B", tong_rate, &f[0], bare_rate, &f[0], 0.9, BENCH_SPEED,
          BENCH_RATE },
        { "rate, no credits, 1 KiB", tong_rate, &f[1], bare_rate, &f[1], 0.9, BENCH_SPEED,
          BENCH_RATE },
        { "rate, link_capacity 1024, 64 B", tong_rate, &f[2], bare_rate, &f[2], 0.75, BENCH_SPEED,
          BENCH_RATE },
        { "rate, link_capacity 1024, 1 KiB", tong_rate, &f[3], bare_rate, &f[3], 0.75, BENCH_SPEED,
          BENCH_RATE },
        { "rate, capacity 1024, 64 B", tong_rate, &f[4], bare_rate, &f[4], 0.75, BENCH_SPEED,
          BENCH_RATE },
        { "rate, capacity 1024, 1 KiB", tong_rate, &f[5], bare_rate, &f[5], 0.75, BENCH_SPEED,
          BENCH_RATE },
        { "rate, 1 MiB : bare socket", tong_rate, &f[6], bare_rate, &f[6], 0.9, BENCH_SPEED,
          BENCH_RATE },
        { "rate, 1 MiB : bare memfd", tong_rate, &f[6], bare_rate, &f[7], 0.9, BENCH_SPEED,
          BENCH_RATE },
        { "round trip, no credits, 64 B", tong_rtt, &f[0], bare_rtt, &f[0], 1.11, BENCH_TIME,
          BENCH_NS },
        { "round trip, no credits, 1 KiB", tong_rtt, &f[1], bare_rtt, &f[1], 1.11, BENCH_TIME,
          BENCH_NS },
        { "round trip, capacity 1024, 64 B", tong_rtt, &f[4], bare_rtt, &f[4], 1.33, BENCH_TIME,
          BENCH_NS },
    };
    bench_run(measures, sizeof measures / sizeof measures[0]);
    return bench_end();
}
