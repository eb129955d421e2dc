#include "carrier/nats/net.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/point.h"
#include "base/sys.h"
#include "base/uncancelled.h"
#include "carrier/nats/fork.h"

#define SILENT_S 10 /* a connection that is silent for so long is asked whether it is there */

static int answer(long r)
{
    return r < 0 ? -errno : (int)r;
}

/* One errno for all the ways in which a peer is not there, another for those it goes away. */
static int as_unreachable(int r)
{
    switch (r) {
    case -ENOMEM:
    case -EMFILE:
    case -ENFILE:
    case -ETIMEDOUT:
        return r;
    default:
        return -EHOSTUNREACH;
    }
}

static int as_lost(int r)
{
    return r == -EAGAIN || r == -EINTR || r == -ENOMEM ? r : -ENOTCONN;
}

static struct timespec *rest_of(int64_t deadline, struct timespec *ret_rest)
{
    if (deadline == TG_NEVER) {
        return NULL;
    }
    const int64_t now = deadline == 0 ? 0 : tg_now_ns();
    const int64_t rest = deadline > now ? deadline - now : 0;
    *ret_rest = (struct timespec){ .tv_sec = rest / 1000000000, .tv_nsec = rest % 1000000000 };
    return ret_rest;
}

/* The leak sanitizer cannot read what a library that was loaded later keeps for a thread, unless it is at a fixed place. */
#ifdef __SANITIZE_ADDRESS__
#define FIXED __attribute__((tls_model("initial-exec")))
#else
#define FIXED
#endif
static _Thread_local uint32_t signals FIXED;

uint32_t tg_net_signals(void)
{
    return signals;
}

int tg_net_wait(int fd, unsigned what, int cancel_fd, int64_t deadline)
{
    UNCANCELLED;
    struct pollfd fds[2] = { { .fd = fd }, { .fd = cancel_fd, .events = POLLIN } };
    fds[0].events =
        (short)(((what & TG_NET_IN) != 0 ? POLLIN : 0) | ((what & TG_NET_OUT) != 0 ? POLLOUT : 0));
    struct timespec rest;
    const int r = answer(tg_call(ppoll(fds, 2, rest_of(deadline, &rest), NULL)));
    signals += r == -EINTR;
    if (r <= 0) {
        return r == 0 ? -ETIMEDOUT : r;
    }
    /* An error of the connection is told by the call that reads or writes. */
    const bool over = (fds[0].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
    return (int)(((fds[0].revents & POLLIN) != 0 || over ? TG_NET_IN : 0) |
                 ((fds[0].revents & POLLOUT) != 0 || over ? TG_NET_OUT : 0) |
                 (fds[1].revents != 0 ? TG_NET_CANCEL : 0));
}

int tg_net_wait_many(const int fds[], size_t n, int64_t deadline)
{
    UNCANCELLED;
    struct pollfd polled[128];
    for (size_t i = 0; i < n; i++) {
        polled[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
    }
    struct timespec rest;
    const int r = answer(tg_call(ppoll(polled, n, rest_of(deadline, &rest), NULL)));
    signals += r == -EINTR;
    return r == 0 ? -ETIMEDOUT : r < 0 ? r : 0;
}

static int finish_connecting(int fd, int64_t deadline)
{
    int r;
    do {
        r = tg_net_wait(fd, TG_NET_OUT, -1, deadline);
    } while (r == -EINTR);
    if (r < 0) {
        return r;
    }
    int error = 0;
    socklen_t len = sizeof error;
    r = answer(tg_call(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len)));
    return r < 0 ? r : -error;
}

/* A link that is cut tells nobody: the kernel asks, and gives up what is not answered. */
static int be_alert(int fd)
{
    static const struct {
        int level;
        int name;
        int value;
    } options[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },
        { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, SILENT_S },
        { IPPROTO_TCP, TCP_KEEPINTVL, SILENT_S / 5 },
        { IPPROTO_TCP, TCP_KEEPCNT, 5 },
        { IPPROTO_TCP, TCP_USER_TIMEOUT, 2 * SILENT_S * 1000 },
    };
    int r = 0;
    for (size_t i = 0; i < sizeof options / sizeof options[0] && r == 0; i++) {
        r = answer(tg_call(setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                                      sizeof options[i].value)));
    }
    return r;
}

/* With forks held: a new socket in the place of the old one. */
static int renew(const struct addrinfo *to, int *fd)
{
    tg_nats_hold_forks();
    tg_sys_close(*fd);
    const int r = answer(tg_call(
        socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->ai_protocol)));
    *fd = r < 0 ? -1 : r;
    tg_nats_release_forks();
    return r < 0 ? r : 0;
}

static int connect_one(const struct addrinfo *to, int64_t deadline, int *fd)
{
    int r = renew(to, fd);
    if (r < 0) {
        return r;
    }
    r = answer(tg_call(connect(*fd, to->ai_addr, to->ai_addrlen)));
    if (r == -EINPROGRESS || r == -EINTR) {
        r = finish_connecting(*fd, deadline);
    }
    return r < 0 ? r : be_alert(*fd);
}

int tg_net_connect(const char *host, const char *port, int64_t deadline, int *fd)
{
    UNCANCELLED;
    const struct addrinfo hints = { .ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_flags = AI_ADDRCONFIG };
    struct addrinfo *found = NULL;
    if (tg_call(getaddrinfo(host, port, &hints, &found)) != 0) {
        return -EHOSTUNREACH;
    }
    int64_t left = 0;
    for (const struct addrinfo *to = found; to != NULL; to = to->ai_next) {
        left++;
    }
    int r = -EHOSTUNREACH;
    for (const struct addrinfo *to = found; to != NULL && r < 0; to = to->ai_next) {
        const int64_t now = tg_now_ns();
        r = connect_one(to, now + (deadline > now ? (deadline - now) / left-- : 0), fd);
    }
    freeaddrinfo(found);
    return r < 0 ? as_unreachable(r) : r;
}

ssize_t tg_net_send(int fd, const void *data, size_t len)
{
    UNCANCELLED;
    ssize_t r;
    do {
        r = tg_call(send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT));
    } while (r < 0 && errno == EINTR);
    return r < 0 ? as_lost(-errno) : r;
}

ssize_t tg_net_receive(int fd, void *ret_data, size_t size)
{
    UNCANCELLED;
    ssize_t r;
    do {
        r = tg_call(recv(fd, ret_data, size, MSG_DONTWAIT));
    } while (r < 0 && errno == EINTR);
    return r < 0 ? as_lost(-errno) : r == 0 ? -ENOTCONN : r;
}

int tg_net_bell(void)
{
    return answer(tg_call(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
}

void tg_net_ring(int fd)
{
    (void)eventfd_write(fd, 1);
}

void tg_net_silence(int fd)
{
    eventfd_t count;
    (void)eventfd_read(fd, &count);
}
