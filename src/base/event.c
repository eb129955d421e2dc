#include "base/event.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/point.h"
#include "base/sys.h"
#include "base/uncancelled.h"

#define MOST_AT_ONCE 16
#define READS_MOST 256 /* a pipe's 64 KiB, once: others may write meanwhile */

static int answer(long r)
{
    return r < 0 ? -errno : (int)r;
}

int tg_event_fifo(int dir, const char *path, mode_t mode)
{
    int r = answer(tg_call(mkfifoat(dir, path, 0600)));
    if (r < 0) {
        return r;
    }
    /* Also for writing: then it never says that its last writer has gone. */
    tg_fd fd = tg_sys_open(dir, path, O_RDWR, 0);
    r = fd < 0 ? fd : tg_sys_chmod(fd, mode);
    if (r < 0) {
        (void)tg_sys_unlink(dir, path);
        return r;
    }
    return tg_steal_fd(&fd);
}

static int push(int fd)
{
    UNCANCELLED;
    static const char byte = 1;
    int r;
    do {
        r = answer(tg_call(write(fd, &byte, 1)));
    } while (r == -EINTR);
    return r < 0 ? r : 0;
}

/* Of a signal that this call raised nothing is seen; one that was pending before stays. */
static int push_guarded(int fd)
{
    sigset_t pipe_only;
    sigset_t pending;
    sigset_t before;
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    (void)sigemptyset(&pending);
    (void)sigpending(&pending);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    const int r = push(fd);
    if (r == -EPIPE && sigismember(&pending, SIGPIPE) != 1) {
        const struct timespec now = { 0 };
        while (sigtimedwait(&pipe_only, NULL, &now) < 0 && errno == EINTR) {
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

int tg_event_push(int fd, bool guarded)
{
    return guarded ? push_guarded(fd) : push(fd);
}

int tg_event_drain(int fd)
{
    UNCANCELLED;
    char bytes[256];
    int all = 0;
    int r = -EINTR;
    for (int reads = 0; reads < READS_MOST && (r == -EINTR || r == (int)sizeof bytes); reads++) {
        r = answer(tg_call(read(fd, bytes, sizeof bytes)));
        all += r > 0 ? r : 0;
    }
    return all;
}

int tg_event_epoll(void)
{
    return answer(tg_call(epoll_create1(EPOLL_CLOEXEC)));
}

int tg_event_add(int epoll, int fd, uint64_t mark)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = mark };
    return answer(tg_call(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)));
}

void tg_event_remove(int epoll, int fd)
{
    tg_point();
    (void)epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

int tg_event_ready(int epoll, uint64_t ret_marks[], int n)
{
    UNCANCELLED;
    struct epoll_event events[MOST_AT_ONCE];
    int r;
    n = n < MOST_AT_ONCE ? n : MOST_AT_ONCE;
    do {
        r = answer(tg_call(epoll_wait(epoll, events, n, 0)));
    } while (r == -EINTR);
    for (int i = 0; i < r; i++) {
        ret_marks[i] = events[i].data.u64;
    }
    return r;
}

int tg_event_poll(const int fds[], size_t n, bool ret_ready[], int64_t deadline_ns)
{
    UNCANCELLED;
    struct pollfd polled[TG_EVENT_POLL_MOST];
    struct timespec rest = { 0 };
    n = n < TG_EVENT_POLL_MOST ? n : TG_EVENT_POLL_MOST;
    for (size_t i = 0; i < n; i++) {
        polled[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
    }
    if (deadline_ns != TG_NEVER) {
        const int64_t left = deadline_ns - tg_now_ns();
        rest.tv_sec = left > 0 ? left / 1000000000 : 0;
        rest.tv_nsec = left > 0 ? left % 1000000000 : 0;
    }
    const int r = answer(tg_call(ppoll(polled, n, deadline_ns != TG_NEVER ? &rest : NULL, NULL)));
    for (size_t i = 0; r > 0 && ret_ready != NULL && i < n; i++) {
        ret_ready[i] = polled[i].revents != 0;
    }
    return r == 0 ? -ETIMEDOUT : r;
}

int tg_event_change(int epoll, int fd, uint64_t mark, bool on)
{
    struct epoll_event event = { .events = on ? EPOLLIN : 0, .data.u64 = mark };
    return answer(tg_call(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event)));
}

int tg_event_counter(void)
{
    return answer(tg_call(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
}

void tg_event_ring(int fd)
{
    tg_point();
    const int error =
        errno; /* also of whoever is interrupted by a signal handler that calls this */
    (void)eventfd_write(fd, 1);
    errno = error;
}

void tg_event_calm(int fd)
{
    tg_point();
    eventfd_t count;
    (void)eventfd_read(fd, &count);
}

int tg_event_timer(void)
{
    return answer(tg_call(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)));
}

int tg_event_timer_set(int fd, int64_t after_ns)
{
    /* Also takes back that it is ready. */
    const struct itimerspec once = { .it_value = { .tv_sec = after_ns / 1000000000,
                                                   .tv_nsec = after_ns % 1000000000 } };
    return answer(tg_call(timerfd_settime(fd, 0, &once, NULL)));
}

int tg_event_process(pid_t pid)
{
    return answer(tg_call(syscall(SYS_pidfd_open, pid, 0)));
}
