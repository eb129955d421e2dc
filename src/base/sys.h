/*
 * The system calls tong makes, each a crash point, each returning >= 0 or -errno.
 */
#ifndef TG_BASE_SYS_H
#define TG_BASE_SYS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#if defined(__has_include)
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define TG_HAVE_RSEQ 1
#endif
#endif

#include "base/atomic.h"

#ifndef TG_HAVE_RSEQ
#define TG_HAVE_RSEQ 0
#endif

#define TG_PAGE 4096u

/* O_CLOEXEC, O_NOFOLLOW, O_NOCTTY and O_NONBLOCK are always added. */
int tg_sys_open(int dir, const char *path, int flags, mode_t mode);
void tg_sys_close(int fd);
/* Close *fd if it is one; for the cleanup attribute. */
void tg_sys_closep(int *fd);
int tg_sys_fstat(int fd, struct stat *ret_st);
int tg_sys_stat(int dir, const char *path, struct stat *ret_st);
int tg_sys_mkdir(int dir, const char *path, mode_t mode);
int tg_sys_chmod(int fd, mode_t mode);
int tg_sys_chgrp(int fd, gid_t group);
int tg_sys_unlink(int dir, const char *path);
int tg_sys_rmdir(int dir, const char *path);
/* Fails with -EEXIST if to is there, unless replace. */
int tg_sys_rename(int dir, const char *from, const char *to, bool replace);
/* The same file by another number, from 3 on. */
int tg_sys_dup(int fd);
/* Reserve [off, off + len); the file grows to hold it. A full file system is -ENOSPC. */
int tg_sys_allocate(int fd, uint64_t off, uint64_t len);
/* Give the memory of [off, off + len) back; it reads as zero. */
int tg_sys_punch(int fd, uint64_t off, uint64_t len);
/* Whether off lies in memory that was written. False where that is not known. */
bool tg_sys_has_data(int fd, uint64_t off);
int tg_sys_truncate(int fd, uint64_t len);
/* All of len bytes or -EPROTO. */
int tg_sys_pread(int fd, void *ret_buf, size_t len, uint64_t off);
/* As much as there is. */
ssize_t tg_sys_pread_some(int fd, void *ret_buf, size_t len, uint64_t off);
/* All of len bytes or -ENOSPC. */
int tg_sys_pwrite(int fd, const void *buf, size_t len, uint64_t off);
/* The same from the beginning, of any length. */
int tg_sys_pwrite_all(int fd, const void *buf, size_t len);
/* Map [off, off + len) shared. */
int tg_sys_map(int fd, uint64_t off, size_t len, bool write, void **ret_p);
/* Zeroed memory of this process alone; what is not touched costs nothing. */
int tg_sys_map_private(size_t len, void **ret_p);
void tg_sys_unmap(const void *p, size_t len);
/* Lock a whole file for this open description: 0, -EAGAIN (somebody has it and wait is false), -EBUSY
 * (and keeps it), -errno. */
#define TG_LOCK_PATIENCE_NS INT64_C(2000000000)
int tg_sys_lock(int fd, bool wait);
void tg_sys_unlock(int fd);
/* 1 locked by another description, 0 free, -errno. Only who may write the file can lock it so that it
 * counts: a reader's own lock is not asked for. */
int tg_sys_locked(int fd);
/* The same for one byte of it: at, which need not be there. */
int tg_sys_lock_at(int fd, uint64_t at, bool wait);
void tg_sys_unlock_at(int fd, uint64_t at);
int tg_sys_locked_at(int fd, uint64_t at);
/* A file without a name, of that size, never to be run. */
int tg_sys_memfd(uint64_t size);
/* From now on nobody changes it, its size included. Not while it is mapped for writing: -EBUSY. */
int tg_sys_memfd_seal(int fd);
/* Whether that was done to a descriptor that came from anywhere. */
bool tg_sys_memfd_is_sealed(int fd);
/* Random bytes, never predictable. */
int tg_sys_random(void *ret_buf, size_t len);

/* Read a folder: calls each with the name and d_type; a non-zero answer ends it and is returned. */
int tg_sys_list(int dir, int (*each)(const char *name, unsigned char type, void *arg), void *arg);

/* Sleep while *word == value; deadline_ns absolute, INT64_MAX none. 0 woken or changed,
 * -ETIMEDOUT, -EINTR. */
int tg_sys_futex_wait(const tg_a32 *word, uint32_t value, int64_t deadline_ns);
/* The kernel has no memory to sleep on a word: a millisecond, so that looking again costs little. 0, or
 * -EINTR. */
int tg_sys_futex_pause(int64_t deadline_ns);
/* Add 1 and wake all, without touching it: nothing happens where the page is gone. */
void tg_sys_futex_ring_foreign(tg_a32 *word);
/* Whether *word is value, without touching it: 0 it is, 1 it is not, -EFAULT the page is gone (its
 * file was cut). */
int tg_sys_futex_probe(const tg_a32 *word, uint32_t value);
/* Wake up to n sleepers. Works on read-only mappings. */
void tg_sys_futex_wake(const tg_a32 *word, int n);

/* Add one to a word and wake all who sleep on it, or store a small value in one and wake all who
 * sleep on it and on another: in one system call each, so that a kill comes before or behind both. */
void tg_sys_futex_add_wake(tg_a32 *word);
void tg_sys_futex_set_wake(tg_a32 *word, uint32_t value, tg_a32 *other);

uint32_t tg_sys_cpu_slow(void);

/* The processor this thread runs on now: one load where the C library keeps it (rseq). */
static inline uint32_t tg_sys_cpu(void)
{
#if TG_HAVE_RSEQ
    if (__rseq_size != 0) {
        const struct rseq *rseq =
            (const struct rseq *)(const void *)((const char *)__builtin_thread_pointer() +
                                                __rseq_offset);
        return *(const volatile uint32_t *)&rseq->cpu_id;
    }
#endif
    return tg_sys_cpu_slow();
}

#define tg_cleanup(f) __attribute__((cleanup(f)))
#define tg_fd tg_cleanup(tg_sys_closep) int

/* Hand a descriptor on: the variable no longer owns it. */
static inline int tg_steal_fd(int *fd)
{
    const int r = *fd;
    *fd = -1;
    return r;
}

#endif
