/*
 * Sockets of SOCK_SEQPACKET: each call is a crash point, none blocks, each returns >= 0 or -errno. A
 * descriptor they make is a forked child's not (kept.h); tg_kept_close() closes it.
 */
#ifndef TG_BASE_SOCKET_H
#define TG_BASE_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Who made the other end, as the kernel knows. */
struct tg_socket_peer {
    int32_t pid;
    uint32_t uid;
    uint32_t gid;
};

/* Make the socket dir/name with these permissions, and listen. */
int tg_socket_listen(int dir, const char *name, mode_t mode);
/* -ECONNREFUSED: nobody listens; -EAGAIN: too many wait to be let in; -ENOENT. */
int tg_socket_connect(int dir, const char *name);
/* -EAGAIN: nobody waits. */
int tg_socket_accept(int fd);
int tg_socket_pair(int ret_fds[2]);
/* Whether what another process gave is one end of a connection that tells packets apart. */
bool tg_socket_is_connection(int fd);
int tg_socket_peer(int fd, struct tg_socket_peer *ret_peer);
/* As large a buffer for what is sent as may be had, up to bytes. Returns how large it is. */
int tg_socket_buffer(int fd, int bytes);

#define TG_SOCKET_FDS 4 /* the most descriptors in one packet that this library looks at */

/* One packet, with copies of up to TG_SOCKET_FDS descriptors. -EAGAIN: the buffer is full; -EPIPE, -ECONNRESET: the other
 * end is closed; -EMSGSIZE: larger than a packet may be; -ETOOMANYREFS: too many descriptors are under way. */
int tg_socket_send(int fd, const struct iovec *parts, size_t n, const int passed[],
                   size_t n_passed);

struct tg_socket_got {
    size_t len;    /* bytes; of a cut packet those that it had */
    bool is_cut;   /* the parts were too small for it */
    bool has_more; /* it had more descriptors than may be */
    int n_fds;
    int fds[TG_SOCKET_FDS]; /* the caller closes them; close on exec is set */
};

/* One packet. 1 and *ret_got; 0: the other end is closed and all is read; -EAGAIN: nothing is there. */
int tg_socket_receive(int fd, const struct iovec *parts, size_t n, bool peek,
                      struct tg_socket_got *ret_got);
void tg_socket_shut(int fd);

/* What a wait is ended by; -1 none. */
struct tg_socket_waits {
    int readable; /* or its other end closed */
    int also;     /* the same */
    int writable;
};

/* 0 or more: perhaps; -ETIMEDOUT, -EINTR. */
int tg_socket_wait(const struct tg_socket_waits *waits, int64_t deadline_ns);

#endif
