#include "base/mqueue.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sys.h"
#include "base/uncancelled.h"

/* Where the kernel knows no other time. Nobody gives one here. */
#ifndef SYS_mq_timedsend
#define SYS_mq_timedsend SYS_mq_timedsend_time64
#define SYS_mq_timedreceive SYS_mq_timedreceive_time64
#endif

static int answer(long r)
{
    return r < 0 ? -errno : (int)r;
}

int tg_mq_open(const char *name, int flags)
{
    return answer(tg_call(mq_open(name, flags | O_CLOEXEC | O_NONBLOCK)));
}

/* EMFILE has two meanings: no descriptor left, or no memory for queues (RLIMIT_MSGQUEUE). */
static int which_limit(void)
{
    tg_fd fd = tg_sys_open(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY, 0);
    return fd < 0 ? fd : -ENOSPC;
}

int tg_mq_make(const char *name, mode_t mode, gid_t group, uint32_t messages, uint32_t size)
{
    struct mq_attr attr = { .mq_maxmsg = messages, .mq_msgsize = size };
    tg_fd fd = answer(
        tg_call(mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NONBLOCK, 0600, &attr)));
    if (fd == -EINVAL) {
        return -ENOSPC;
    }
    if (fd == -EMFILE) {
        return which_limit();
    }
    if (fd < 0) {
        return fd;
    }
    /* A queue is in no folder that could give it its group. Before it is opened to a group. */
    int r = mode != 0600 && group != TG_MQ_OWN_GROUP ? tg_sys_chgrp(fd, group) : 0;
    /* Against the umask. */
    r = r == 0 && mode != 0600 ? tg_sys_chmod(fd, mode) : r;
    if (r < 0) {
        (void)tg_mq_unlink(name);
    }
    return r;
}

int tg_mq_unlink(const char *name)
{
    return answer(tg_call(mq_unlink(name)));
}

/* Not mq_send() and mq_receive(): they are cancellation points, which to hold off takes longer than all else here. */
int tg_mq_send(int fd, const void *data, size_t len, unsigned priority)
{
    int r;
    do {
        r = answer(tg_call(syscall(SYS_mq_timedsend, fd, data, len, priority, NULL)));
    } while (r == -EINTR);
    return r;
}

ssize_t tg_mq_receive(int fd, void *buf, size_t size, unsigned *ret_priority)
{
    ssize_t r;
    do {
        r = tg_call(syscall(SYS_mq_timedreceive, fd, buf, size, ret_priority, NULL));
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

int tg_mq_look(int fd, struct tg_mq_status *ret_status)
{
    struct mq_attr attr;
    const int r = answer(tg_call(mq_getattr(fd, &attr)));
    if (r == 0) {
        ret_status->messages = (uint32_t)attr.mq_maxmsg;
        ret_status->size = (uint32_t)attr.mq_msgsize;
        ret_status->waiting = (uint32_t)attr.mq_curmsgs;
    }
    return r;
}

uint32_t tg_mq_limit(const char *name, uint32_t otherwise)
{
    char path[64];
    char text[24];
    (void)snprintf(path, sizeof path, "/proc/sys/fs/mqueue/%s", name);
    tg_fd fd = tg_sys_open(AT_FDCWD, path, O_RDONLY, 0);
    const ssize_t n = fd < 0 ? fd : tg_sys_pread_some(fd, text, sizeof text - 1, 0);
    if (n <= 0) {
        return otherwise;
    }
    text[n] = '\0';
    const unsigned long limit = strtoul(text, NULL, 10);
    return limit == 0 ? otherwise : limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
}

int tg_mq_wait(int fd, short events, int other, int64_t deadline_ns)
{
    UNCANCELLED;
    struct pollfd fds[2] = { { .fd = fd, .events = events }, { .fd = other, .events = POLLIN } };
    struct timespec rest = { 0 };
    const bool ends = deadline_ns != TG_NEVER;
    if (ends) {
        const int64_t ns = deadline_ns - tg_now_ns();
        rest.tv_sec = ns > 0 ? ns / 1000000000 : 0;
        rest.tv_nsec = ns > 0 ? ns % 1000000000 : 0;
    }
    const int r = answer(tg_call(ppoll(fds, 2, ends ? &rest : NULL, NULL)));
    return r == 0 ? -ETIMEDOUT : r > 0 ? 0 : r;
}
