#include "base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/uncancelled.h"

#ifndef RENAME_NOREPLACE
/* A C library without it (musl). */
#define RENAME_NOREPLACE 1u
static int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}
#endif

static int answer(long r)
{
    return r < 0 ? -errno : (int)r;
}

/* O_NONBLOCK: a FIFO that somebody put in a file's place must not be waited for. */
#define OPEN_ALWAYS (O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK)

int tg_sys_open(int dir, const char *path, int flags, mode_t mode)
{
    UNCANCELLED;
    int r;
    do {
        r = answer(tg_call(openat(dir, path, flags | OPEN_ALWAYS, mode)));
    } while (r == -EINTR);
    return r;
}

void tg_sys_close(int fd)
{
    if (fd >= 0) {
        UNCANCELLED;
        /* A point and no tg_call: whatever close answers, the descriptor is free. */
        tg_point();
        (void)close(fd);
    }
}

void tg_sys_closep(int *fd)
{
    tg_sys_close(*fd);
    *fd = -1;
}

int tg_sys_fstat(int fd, struct stat *ret_st)
{
    return answer(tg_call(fstat(fd, ret_st)));
}

int tg_sys_stat(int dir, const char *path, struct stat *ret_st)
{
    return answer(tg_call(fstatat(dir, path, ret_st, AT_SYMLINK_NOFOLLOW)));
}

int tg_sys_mkdir(int dir, const char *path, mode_t mode)
{
    return answer(tg_call(mkdirat(dir, path, mode)));
}

int tg_sys_chmod(int fd, mode_t mode)
{
    return answer(tg_call(fchmod(fd, mode)));
}

int tg_sys_chgrp(int fd, gid_t group)
{
    return answer(tg_call(fchown(fd, (uid_t)-1, group)));
}

int tg_sys_unlink(int dir, const char *path)
{
    return answer(tg_call(unlinkat(dir, path, 0)));
}

int tg_sys_rmdir(int dir, const char *path)
{
    return answer(tg_call(unlinkat(dir, path, AT_REMOVEDIR)));
}

int tg_sys_rename(int dir, const char *from, const char *to, bool replace)
{
    return answer(tg_call(renameat2(dir, from, dir, to, replace ? 0 : RENAME_NOREPLACE)));
}

int tg_sys_dup(int fd)
{
    return answer(tg_call(fcntl(fd, F_DUPFD_CLOEXEC, 3)));
}

int tg_sys_allocate(int fd, uint64_t off, uint64_t len)
{
    UNCANCELLED;
    int r;
    do {
        r = answer(tg_call(fallocate(fd, 0, (off_t)off, (off_t)len)));
    } while (r == -EINTR);
    return r == -EFBIG || r == -EDQUOT ? -ENOSPC : r;
}

int tg_sys_punch(int fd, uint64_t off, uint64_t len)
{
    UNCANCELLED;
    int r;
    do {
        r = answer(tg_call(
            fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len)));
    } while (r == -EINTR);
    return r;
}

bool tg_sys_has_data(int fd, uint64_t off)
{
    /* Not where the hole behind it begins: tmpfs looks at each page before that. */
    return tg_call(lseek(fd, (off_t)off, SEEK_DATA)) == (off_t)off;
}

int tg_sys_truncate(int fd, uint64_t len)
{
    int r;
    do {
        r = answer(tg_call(ftruncate(fd, (off_t)len)));
    } while (r == -EINTR);
    return r;
}

int tg_sys_pread(int fd, void *ret_buf, size_t len, uint64_t off)
{
    UNCANCELLED;
    ssize_t r;
    do {
        r = tg_call(pread(fd, ret_buf, len, (off_t)off));
    } while (r < 0 && errno == EINTR);
    if (r < 0) {
        return -errno;
    }
    return (size_t)r == len ? 0 : -EPROTO;
}

ssize_t tg_sys_pread_some(int fd, void *ret_buf, size_t len, uint64_t off)
{
    UNCANCELLED;
    const ssize_t r = tg_call(pread(fd, ret_buf, len, (off_t)off));
    return r < 0 ? -errno : r;
}

int tg_sys_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
    UNCANCELLED;
    ssize_t r;
    do {
        r = tg_call(pwrite(fd, buf, len, (off_t)off));
    } while (r < 0 && errno == EINTR);
    if (r < 0) {
        return errno == EFBIG || errno == EDQUOT ? -ENOSPC : -errno;
    }
    return (size_t)r == len ? 0 : -ENOSPC;
}

int tg_sys_pwrite_all(int fd, const void *buf, size_t len)
{
    UNCANCELLED;
    const uint8_t *from = buf;
    for (size_t at = 0; at < len;) {
        const ssize_t r = tg_call(pwrite(fd, from + at, len - at, (off_t)at));
        if (r < 0 && errno != EINTR) {
            return errno == EFBIG || errno == EDQUOT ? -ENOSPC : -errno;
        }
        at += r > 0 ? (size_t)r : 0;
    }
    return 0;
}

int tg_sys_map(int fd, uint64_t off, size_t len, bool write, void **ret_p)
{
    void *p = tg_call(
        mmap(NULL, len, write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, (off_t)off));
    if (p == MAP_FAILED) {
        /* EAGAIN: the process locks its memory (mlockall) and may lock no more. */
        return errno == EAGAIN ? -ENOMEM : -errno;
    }
    *ret_p = p;
    return 0;
}

int tg_sys_map_private(size_t len, void **ret_p)
{
    void *p = tg_call(mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (p == MAP_FAILED) {
        return -errno;
    }
    *ret_p = p;
    return 0;
}

void tg_sys_unmap(const void *p, size_t len)
{
    if (p != NULL) {
        tg_point();
        (void)munmap((void *)(uintptr_t)p, len);
    }
}

static struct flock range(short type, uint64_t at, uint64_t len)
{
    return (struct flock){
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)at, .l_len = (off_t)len
    };
}

#define WHOLE_FILE 0 /* bytes: from the first one to whatever comes */

/* The kernel has no memory for one more lock. */
static int no_lock(int r)
{
    return r == -ENOLCK ? -ENOMEM : r;
}

static int try_lock(int fd, uint64_t at, uint64_t len)
{
    UNCANCELLED;
    struct flock lock = range(F_WRLCK, at, len);
    int r;
    do {
        r = answer(tg_call(fcntl(fd, F_OFD_SETLK, &lock)));
    } while (r == -EINTR);
    return r == -EACCES ? -EAGAIN : no_lock(r);
}

static int lock_range(int fd, uint64_t at, uint64_t len, bool wait)
{
    int r = try_lock(fd, at, len);
    /* Not F_OFD_SETLKW, which has no end: whoever may open the file may keep it locked. */
    struct timespec pause = { .tv_nsec = 20000 };
    for (int64_t waited = 0; wait && r == -EAGAIN; waited += pause.tv_nsec) {
        if (waited >= TG_LOCK_PATIENCE_NS) {
            return -EBUSY;
        }
        pause.tv_nsec = pause.tv_nsec < 16000000 ? 2 * pause.tv_nsec : pause.tv_nsec;
        tg_point();
        (void)nanosleep(&pause, NULL);
        r = try_lock(fd, at, len);
    }
    return r;
}

static void unlock_range(int fd, uint64_t at, uint64_t len)
{
    struct flock lock = range(F_UNLCK, at, len);
    /* Of a whole file or of what was locked alone: it needs nothing that could be wanting. */
    tg_point();
    (void)fcntl(fd, F_OFD_SETLK, &lock);
}

static int is_locked(int fd, uint64_t at, uint64_t len)
{
    struct flock lock = range(F_RDLCK, at, len);
    const int r = answer(tg_call(fcntl(fd, F_OFD_GETLK, &lock)));
    return r < 0 ? no_lock(r) : lock.l_type != F_UNLCK;
}

int tg_sys_lock(int fd, bool wait)
{
    return lock_range(fd, 0, WHOLE_FILE, wait);
}

void tg_sys_unlock(int fd)
{
    unlock_range(fd, 0, WHOLE_FILE);
}

int tg_sys_locked(int fd)
{
    return is_locked(fd, 0, WHOLE_FILE);
}

int tg_sys_lock_at(int fd, uint64_t at, bool wait)
{
    return lock_range(fd, at, 1, wait);
}

void tg_sys_unlock_at(int fd, uint64_t at)
{
    unlock_range(fd, at, 1);
}

int tg_sys_locked_at(int fd, uint64_t at)
{
    return is_locked(fd, at, 1);
}

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#define SEALED (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int tg_sys_memfd(uint64_t size)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = answer(tg_call(memfd_create("tong", flags | MFD_NOEXEC_SEAL)));
    if (fd == -EINVAL) { /* before Linux 6.3 */
        fd = answer(tg_call(memfd_create("tong", flags)));
    }
    const int r = fd < 0 ? fd : tg_sys_truncate(fd, size);
    if (r < 0) {
        tg_sys_close(fd);
        return r;
    }
    return fd;
}

int tg_sys_memfd_seal(int fd)
{
    return answer(tg_call(fcntl(fd, F_ADD_SEALS, SEALED)));
}

bool tg_sys_memfd_is_sealed(int fd)
{
    const int seals = answer(tg_call(fcntl(fd, F_GET_SEALS)));
    return seals >= 0 && (seals & SEALED) == SEALED;
}

int tg_sys_random(void *ret_buf, size_t len)
{
    UNCANCELLED;
    ssize_t r;
    do {
        r = tg_call(getrandom(ret_buf, len, 0));
    } while (r < 0 && errno == EINTR);
    return r == (ssize_t)len ? 0 : r < 0 ? -errno : -EIO;
}

int tg_sys_list(int dir, int (*each)(const char *name, unsigned char type, void *arg), void *arg)
{
    /* A description of its own: the position of a shared one would be shared, too. */
    tg_fd fd = tg_sys_open(dir, ".", O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        return fd;
    }
    _Alignas(struct dirent64) char buf[4096];
    for (;;) {
        const ssize_t n = tg_call(getdents64(fd, (void *)buf, sizeof buf));
        if (n <= 0) {
            return n < 0 ? -errno : 0;
        }
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d = (const struct dirent64 *)(const void *)(buf + at);
            at += d->d_reclen;
            if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) {
                continue;
            }
            const int r = each(d->d_name, d->d_type, arg);
            if (r != 0) {
                return r;
            }
        }
    }
}

int tg_sys_futex_pause(int64_t deadline_ns)
{
    UNCANCELLED;
    const int64_t left = deadline_ns - tg_now_ns();
    const struct timespec pause = { .tv_nsec = left < 0 ? 0 : left < 1000000 ? left : 1000000 };
    tg_point();
    return nanosleep(&pause, NULL) < 0 ? -EINTR : 0;
}

int tg_sys_futex_wait(const tg_a32 *word, uint32_t value, int64_t deadline_ns)
{
    const struct timespec at = { .tv_sec = deadline_ns / 1000000000,
                                 .tv_nsec = deadline_ns % 1000000000 };
    const int r = answer(
        tg_call(syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value,
                        deadline_ns == INT64_MAX ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY)));
    if (r == -ENOMEM) {
        return tg_sys_futex_pause(deadline_ns);
    }
    return r == -ETIMEDOUT || r == -EINTR ? r : 0;
}

void tg_sys_futex_wake(const tg_a32 *word, int n)
{
    (void)tg_call(syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0));
}

/* The operation on word, the wake on word and on other; false: the kernel knows no such call. */
static bool change_and_wake(tg_a32 *word, uint32_t operation, tg_a32 *other)
{
    const unsigned long all = INT_MAX;
    /* Compared with a value above all others: whatever word held, its sleepers are woken, too. */
    const uint32_t whatever = (uint32_t)FUTEX_OP_CMP_NE << 24 | 0xfffu;
    return tg_call(syscall(SYS_futex, other, FUTEX_WAKE_OP, INT_MAX, all, word,
                           operation | whatever)) >= 0;
}

void tg_sys_futex_add_wake(tg_a32 *word)
{
    if (!change_and_wake(word, (uint32_t)FUTEX_OP_ADD << 28 | 1u << 12, word)) {
        (void)tg_add(word, 1);
        tg_sys_futex_wake(word, INT_MAX);
    }
}

void tg_sys_futex_set_wake(tg_a32 *word, uint32_t value, tg_a32 *other)
{
    if (!change_and_wake(word, (uint32_t)FUTEX_OP_SET << 28 | value << 12, other)) {
        tg_store_release(word, value);
        tg_sys_futex_wake(word, INT_MAX);
        tg_sys_futex_wake(other, INT_MAX);
    }
}

void tg_sys_futex_ring_foreign(tg_a32 *word)
{
    (void)change_and_wake(word, (uint32_t)FUTEX_OP_ADD << 28 | 1u << 12, word);
}

int tg_sys_futex_probe(const tg_a32 *word, uint32_t value)
{
    /* A requeue of nobody: compares and does nothing else. */
    const int r =
        answer(tg_call(syscall(SYS_futex, word, FUTEX_CMP_REQUEUE, 0, NULL, word, value)));
    return r == -EAGAIN ? 1 : r;
}

uint32_t tg_sys_cpu_slow(void)
{
    const int cpu = sched_getcpu();
    return cpu < 0 ? 0 : (uint32_t)cpu;
}
