/* TCP: each call is a crash point and returns 0 or more, or a negative errno. No call raises SIGPIPE. */
#ifndef TG_CARRIER_NATS_NET_H
#define TG_CARRIER_NATS_NET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Connected and not blocking; -EHOSTUNREACH: nobody answers there; -ETIMEDOUT. *fd is what a child has to close, at
 * any moment; it stays also when the call fails, -1 none. */
int tg_net_connect(const char *host, const char *port, int64_t deadline, int *fd);
/* As much as goes at once; -EAGAIN, -ENOTCONN. */
ssize_t tg_net_send(int fd, const void *data, size_t len);
/* As much as is there; -EAGAIN, -ENOTCONN: also when the other side has ended it. */
ssize_t tg_net_receive(int fd, void *ret_data, size_t size);

#define TG_NET_IN 1u  /* the descriptor can be read */
#define TG_NET_OUT 2u /* written */
#define TG_NET_CANCEL 4u

/* Wait for what of fd, and for cancel_fd (-1 none) to be readable: TG_NET_ bits, -ETIMEDOUT, -EINTR. */
int tg_net_wait(int fd, unsigned what, int cancel_fd, int64_t deadline);

/* How often a signal handler has ended one of these waits of this thread. */
uint32_t tg_net_signals(void);

/* Until one of them can be read: 0, -ETIMEDOUT, -EINTR. At most 128. */
int tg_net_wait_many(const int fds[], size_t n, int64_t deadline);

/* An eventfd: readable from tg_net_ring() to tg_net_silence(). Both async-signal-safe. */
int tg_net_bell(void);
void tg_net_ring(int fd);
void tg_net_silence(int fd);

#endif
