/*
 * A bit for each number. The lock is held from before a descriptor is made until its bit is set, and the
 * fork handler takes it: so a child knows all of them.
 */
#include "base/kept.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_result;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t *bits;
static size_t n_words;

#define BITS 64u

static void before_fork(void)
{
    (void)pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    (void)pthread_mutex_unlock(&lock);
}

static void after_fork_in_child(void)
{
    for (size_t w = 0; w < n_words; w++) {
        for (uint32_t b = 0; bits[w] != 0; b++) {
            if ((bits[w] >> b & 1) != 0) {
                bits[w] &= ~(UINT64_C(1) << b);
                tg_sys_close((int)(w * BITS + b));
            }
        }
    }
    (void)pthread_mutex_unlock(&lock);
}

static void init_once(void)
{
    once_result = -pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

int tg_kept_begin(void)
{
    (void)pthread_once(&once, init_once);
    if (once_result == 0) {
        (void)pthread_mutex_lock(&lock);
    }
    return once_result;
}

static int make_room(size_t words)
{
    if (words <= n_words) {
        return 0;
    }
    uint64_t *p = realloc(bits, words * sizeof *p);
    if (p == NULL) {
        return -ENOMEM;
    }
    memset(p + n_words, 0, (words - n_words) * sizeof *p);
    bits = p;
    n_words = words;
    return 0;
}

int tg_kept_end(int fd)
{
    if (fd >= 0) {
        const size_t w = (size_t)fd / BITS;
        if (make_room(w + 1) < 0) {
            tg_sys_close(fd);
            fd = -ENOMEM;
        } else {
            bits[w] |= UINT64_C(1) << ((unsigned)fd % BITS);
        }
    }
    (void)pthread_mutex_unlock(&lock);
    return fd;
}

void tg_kept_close(int fd)
{
    if (fd < 0) {
        return;
    }
    (void)pthread_mutex_lock(&lock);
    const size_t w = (size_t)fd / BITS;
    if (w < n_words) {
        bits[w] &= ~(UINT64_C(1) << ((unsigned)fd % BITS));
    }
    tg_sys_close(fd);
    (void)pthread_mutex_unlock(&lock);
}
