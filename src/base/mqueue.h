/*
 * The kernel's message queues (mq_overview(7)): each call a crash point, each returning >= 0 or -errno.
 * A descriptor of one is one of files: tg_sys_close() and tg_sys_chmod() take it.
 */
#ifndef TG_BASE_MQUEUE_H
#define TG_BASE_MQUEUE_H

#include <stdint.h>
#include <sys/types.h>

/* name begins with a slash. O_CLOEXEC and O_NONBLOCK are always added. */
int tg_mq_open(const char *name, int flags);
/* Make one, of so many messages of so many bytes; with rights beyond its user's it is that group's.
 * -EEXIST; -ENOSPC: a limit of the system, see tg_mq_limit(). */
#define TG_MQ_OWN_GROUP ((gid_t)-1)
int tg_mq_make(const char *name, mode_t mode, gid_t group, uint32_t messages, uint32_t size);
int tg_mq_unlink(const char *name);
/* -EAGAIN: it is full. */
int tg_mq_send(int fd, const void *data, size_t len, unsigned priority);
/* size must be the queue's at least. -EAGAIN: it is empty. */
ssize_t tg_mq_receive(int fd, void *buf, size_t size, unsigned *ret_priority);

struct tg_mq_status {
    uint32_t messages; /* it has room for */
    uint32_t size;     /* of the longest */
    uint32_t waiting;
};
int tg_mq_look(int fd, struct tg_mq_status *ret_status);

/* A limit of /proc/sys/fs/mqueue: "msg_max", "msgsize_max"; otherwise if it cannot be read. */
uint32_t tg_mq_limit(const char *name, uint32_t otherwise);

/* Sleep until it can be read, or written, or deadline_ns: 0, -ETIMEDOUT, -EINTR. other: one more
 * descriptor to be read, or -1. */
int tg_mq_wait(int fd, short events, int other, int64_t deadline_ns);

#endif
