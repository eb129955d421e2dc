#include "base/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/kept.h"
#include "base/sys.h"
#include "base/uncancelled.h"

#define BACKLOG 4096
#define KIND (SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK)

static int answer(long r)
{
    return r < 0 ? -errno : (int)r;
}

/* sun_path holds 108 bytes, a folder's path may have more: the way through the open folder is short. */
static int address_of(int dir, const char *name, struct sockaddr_un *ret_address)
{
    memset(ret_address, 0, sizeof *ret_address);
    ret_address->sun_family = AF_UNIX;
    const int n = snprintf(ret_address->sun_path, sizeof ret_address->sun_path,
                           "/proc/self/fd/%d/%s", dir, name);
    return n < (int)sizeof ret_address->sun_path ? 0 : -ENAMETOOLONG;
}

static int make(void)
{
    const int r = tg_kept_begin();
    return r < 0 ? r : tg_kept_end(answer(tg_call(socket(AF_UNIX, KIND, 0))));
}

static int bind_and_listen(int fd, int dir, const char *name, mode_t mode)
{
    struct sockaddr_un address;
    int r = address_of(dir, name, &address);
    if (r == 0) {
        r = answer(tg_call(bind(fd, (const struct sockaddr *)&address, sizeof address)));
    }
    if (r == 0) {
        /* Nobody gets in before it listens. */
        r = answer(tg_call(fchmodat(dir, name, mode, 0)));
    }
    return r < 0 ? r : answer(tg_call(listen(fd, BACKLOG)));
}

int tg_socket_listen(int dir, const char *name, mode_t mode)
{
    const int fd = make();
    const int r = fd < 0 ? fd : bind_and_listen(fd, dir, name, mode);
    if (r < 0) {
        tg_kept_close(fd);
        return r;
    }
    return fd;
}

int tg_socket_connect(int dir, const char *name)
{
    UNCANCELLED;
    struct sockaddr_un address;
    int r = address_of(dir, name, &address);
    const int fd = r < 0 ? r : make();
    if (fd < 0) {
        return fd;
    }
    do {
        r = answer(tg_call(connect(fd, (const struct sockaddr *)&address, sizeof address)));
    } while (r == -EINTR);
    if (r < 0) {
        tg_kept_close(fd);
        return r;
    }
    return fd;
}

int tg_socket_accept(int fd)
{
    UNCANCELLED;
    int r = tg_kept_begin();
    if (r < 0) {
        return r;
    }
    do {
        r = answer(tg_call(accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)));
    } while (r == -EINTR || r == -ECONNABORTED);
    return tg_kept_end(r);
}

int tg_socket_pair(int ret_fds[2])
{
    int fds[2] = { -1, -1 };
    int r = tg_kept_begin();
    if (r < 0) {
        return r;
    }
    r = answer(tg_call(socketpair(AF_UNIX, KIND, 0, fds)));
    const int first = tg_kept_end(r < 0 ? r : fds[0]);
    const int second = r < 0 || tg_kept_begin() < 0 ? -ENOMEM : tg_kept_end(fds[1]);
    if (r < 0 || first < 0 || second < 0) {
        tg_kept_close(first);
        tg_kept_close(second);
        return r < 0 ? r : -ENOMEM;
    }
    ret_fds[0] = first;
    ret_fds[1] = second;
    return 0;
}

static int option(int fd, int name)
{
    int value = 0;
    socklen_t len = sizeof value;
    const int r = answer(tg_call(getsockopt(fd, SOL_SOCKET, name, &value, &len)));
    return r < 0 ? r : value;
}

bool tg_socket_is_connection(int fd)
{
    return option(fd, SO_DOMAIN) == AF_UNIX && option(fd, SO_TYPE) == SOCK_SEQPACKET &&
           option(fd, SO_ACCEPTCONN) == 0;
}

int tg_socket_peer(int fd, struct tg_socket_peer *ret_peer)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    const int r = answer(tg_call(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len)));
    if (r < 0) {
        return r;
    }
    *ret_peer = (struct tg_socket_peer){ .pid = cred.pid, .uid = cred.uid, .gid = cred.gid };
    return 0;
}

int tg_socket_buffer(int fd, int bytes)
{
    /* The system cuts it to what anybody may have; then it is what it is. */
    (void)tg_call(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes));
    return option(fd, SO_SNDBUF);
}

/* ---- packets */

union control {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(TG_SOCKET_FDS * sizeof(int))];
};

int tg_socket_send(int fd, const struct iovec *parts, size_t n, const int passed[], size_t n_passed)
{
    UNCANCELLED;
    union control control;
    struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = n };
    if (n_passed != 0) {
        const size_t size = n_passed * sizeof passed[0];
        memset(&control, 0, sizeof control);
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(size);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(c), passed, size);
    }
    int r;
    do {
        r = answer(tg_call(sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT)));
    } while (r == -EINTR);
    return r < 0 ? (r == -ENOBUFS ? -EAGAIN : r) : 0;
}

#define SCM_PIDFD_ 0x04 /* SCM_PIDFD, Linux 6.5, which older headers do not have */

static void close_pidfd(struct cmsghdr *c)
{
    int fd;
    if (c->cmsg_len == CMSG_LEN(sizeof fd)) {
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
        tg_sys_close(fd);
    }
}

static void take_fds(struct msghdr *msg, struct tg_socket_got *got)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_PIDFD_) {
            close_pidfd(c); /* a socket that another process gave may be set so */
            continue;
        }
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (got->n_fds < TG_SOCKET_FDS) {
                got->fds[got->n_fds++] = fd;
            } else {
                tg_sys_close(fd);
                got->has_more = true;
            }
        }
    }
}

int tg_socket_receive(int fd, const struct iovec *parts, size_t n, bool peek,
                      struct tg_socket_got *ret_got)
{
    UNCANCELLED;
    union control control;
    struct msghdr msg;
    ssize_t r;
    do {
        /* What a peek would bring of descriptors is copies: none is asked for. */
        msg = (struct msghdr){ .msg_iov = (struct iovec *)(uintptr_t)parts,
                               .msg_iovlen = n,
                               .msg_control = peek ? NULL : &control,
                               .msg_controllen = peek ? 0 : sizeof control };
        r = tg_call(
            recvmsg(fd, &msg, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC | (peek ? MSG_PEEK : 0)));
        /* ECONNRESET, once: the other end closed with something unread. What it sent is still there. */
    } while (r < 0 && (errno == EINTR || errno == ECONNRESET));
    if (r < 0) {
        return -errno;
    }
    ret_got->len = (size_t)r;
    ret_got->is_cut = (msg.msg_flags & MSG_TRUNC) != 0;
    ret_got->has_more = !peek && (msg.msg_flags & MSG_CTRUNC) != 0;
    ret_got->n_fds = 0;
    if (!peek && msg.msg_controllen != 0) {
        take_fds(&msg, ret_got);
    }
    return r != 0 || ret_got->n_fds != 0;
}

void tg_socket_shut(int fd)
{
    tg_point();
    (void)shutdown(fd, SHUT_RDWR);
}

int tg_socket_wait(const struct tg_socket_waits *waits, int64_t deadline_ns)
{
    UNCANCELLED;
    /* A negative one is passed over. */
    struct pollfd fds[] = { { .fd = waits->readable, .events = POLLIN },
                            { .fd = waits->also, .events = POLLIN },
                            { .fd = waits->writable, .events = POLLOUT } };
    struct timespec rest = { 0 };
    if (deadline_ns != TG_NEVER) {
        const int64_t ns = deadline_ns - tg_now_ns();
        rest.tv_sec = ns > 0 ? ns / 1000000000 : 0;
        rest.tv_nsec = ns > 0 ? ns % 1000000000 : 0;
    }
    const int r = answer(tg_call(ppoll(fds, 3, deadline_ns != TG_NEVER ? &rest : NULL, NULL)));
    return r == 0 ? -ETIMEDOUT : r;
}
