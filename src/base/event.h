/*
 * Descriptors that tell of events: what an event loop sleeps on. Each call is a crash point and returns
 * >= 0 or -errno.
 */
#ifndef TG_BASE_EVENT_H
#define TG_BASE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A FIFO of exactly that mode, opened by its only reader. -EEXIST. */
int tg_event_fifo(int dir, const char *path, mode_t mode);
/* One byte into it. -EAGAIN: it is full, -EPIPE: nobody reads. guarded: it may be that nobody reads, and
 * the signal for that is held back; a writer that could read, too, needs no guard. */
int tg_event_push(int fd, bool guarded);
/* All that is in it now, thrown away: how many bytes. */
int tg_event_drain(int fd);

int tg_event_epoll(void);
int tg_event_add(int epoll, int fd, uint64_t mark);
void tg_event_remove(int epoll, int fd);
/* Marks of those that are ready now: how many, at most n. */
int tg_event_ready(int epoll, uint64_t ret_marks[], int n);

/* Wait until one of the descriptors is readable: 0 or more, and which (NULL: not wanted); -ETIMEDOUT, -EINTR. */
#define TG_EVENT_POLL_MOST 256u
int tg_event_poll(const int fds[], size_t n, bool ret_ready[], int64_t deadline_ns);
/* Whether what is told of fd is told now. */
int tg_event_change(int epoll, int fd, uint64_t mark, bool on);

/* A counter that is ready while it is not 0. Ring: async-signal-safe. */
int tg_event_counter(void);
void tg_event_ring(int fd);
void tg_event_calm(int fd);

/* A timer of the monotonic clock, stopped. */
int tg_event_timer(void);
/* Ready once, after so long. */
int tg_event_timer_set(int fd, int64_t after_ns);

/* Ready when the process dies, or has died. -ESRCH. */
int tg_event_process(pid_t pid);

#endif
