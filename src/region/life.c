/*
 * To be alive, and to leave. How others ask stands in peer.c.
 *
 * A record is the file ".life/NUMBER": locked by its process (the kernel frees the lock with the
 * last descriptor), and mapped by it. The life word at the page's end is a robust futex of the
 * thread that opened it, so that the kernel marks it within microseconds of a death:
 *
 *   word                  means                                     lock
 *   TID | WAITERS         alive, the death of thread TID is told    held
 *   0 (orphan)            the thread ended in peace, others live     held: alive, free: dead
 *   OWNER_DIED ...        dead, or has left for good                 may still be held for a while
 *
 * I1  A record is visible under its number only while locked and with its word armed or orphaned:
 *     it is made under ".NUMBER" and renamed. So "no file" and "not locked" mean dead.
 * I2  While the word holds TID, the node is in that thread's robust list or is its pending entry:
 *     the kernel is told (list_op_pending) before the word is armed.
 * I3  Only the thread that armed a word takes the node out of its list. A thread's end does so
 *     by a key destructor, which leaves the word orphaned; the next call that may sleep arms
 *     it again in its own thread.
 * I4  No other shared word ever holds a TID: the kernel compares it inside one PID namespace only.
 * I5  The word is one thread's, and a killed process's threads do not end in the same instant: of a
 *     process that uses its handles from several threads, only word and lock together say dead.
 *
 * The robust list is shared with the C library's mutexes, so the node has their layout: a word
 * before the next pointer holds the previous one. Layout and offset come from the kernel's copy of
 * the list head (get_robust_list); where they do not fit, words stay orphaned and the lock decides.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "region/region_layout.h"
#include "region/root.h"

#define LIFE_DIR ".life"

_Static_assert(TG_LIFE_DEAD == FUTEX_OWNER_DIED && TG_LIFE_WAITERS == FUTEX_WAITERS,
               "format: the kernel writes these");

struct tg_life {
    uint64_t id;
    int fd;                   /* holds the lock */
    uint8_t *page;            /* the shared page, and behind it the private one with the node */
    struct robust_list *node; /* NULL: not in a list */
    struct robust_list_head *head; /* of the thread it is in the list of */
    struct tg_life *next_in_thread;
    bool closed; /* left for good by another thread; freed at the end of the arming one */
};

static pthread_key_t thread_end;

/* ---- the word and the list */

/* A C library may tell the kernel of a thread's list only when it locks a robust mutex that is shared (musl). */
static void use_a_robust_mutex(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t mutex;
    (void)pthread_mutexattr_init(&attr);
    (void)pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    (void)pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    if (pthread_mutex_init(&mutex, &attr) == 0 && pthread_mutex_lock(&mutex) == 0) {
        (void)pthread_mutex_unlock(&mutex);
        (void)pthread_mutex_destroy(&mutex);
    }
    (void)pthread_mutexattr_destroy(&attr);
}

static struct robust_list_head *list_of_thread(void)
{
    size_t len = 0;
    struct robust_list_head *head = NULL;
    const bool ok = tg_call(syscall(SYS_get_robust_list, 0, &head, &len)) == 0;
    return ok && len == sizeof *head ? head : NULL;
}

/* Where the node's next pointer must be so that the kernel finds the word, if the layout fits. */
static struct robust_list *node_place(struct tg_life *life, struct robust_list_head **ret_head)
{
    struct robust_list_head *head = list_of_thread();
    if (head == NULL) {
        use_a_robust_mutex();
        head = list_of_thread();
    }
    if (head == NULL) {
        return NULL;
    }
    const long at = (long)TG_LIFE_WORD_OFF - head->futex_offset;
    if (at < (long)TG_LIFE_SIZE + 8 || at > 2 * (long)TG_LIFE_SIZE - 8 || at % 8 != 0) {
        return NULL;
    }
    *ret_head = head;
    return (struct robust_list *)(void *)(life->page + at);
}

/* The previous pointer stands right before the next pointer. */
static void *volatile *prev_of(struct robust_list *node)
{
    return (void *volatile *)node - 1;
}

static struct robust_list *untag(struct robust_list *p)
{
    return (struct robust_list *)((uintptr_t)p & ~(uintptr_t)1);
}

/* Arm the word in this thread (I2). */
static void arm(struct tg_life *life)
{
    struct robust_list_head *head = NULL;
    struct robust_list *volatile *first;
    struct robust_list *node = node_place(life, &head);
    if (node == NULL) {
        return;
    }
    const uint32_t tid = (uint32_t)syscall(SYS_gettid);
    first = (struct robust_list *volatile *)&head->list.next;
    *(struct robust_list *volatile *)&head->list_op_pending = node;
    atomic_signal_fence(memory_order_seq_cst);
    tg_store_release(tg_life_word(life->page), tid | TG_LIFE_WAITERS);
    atomic_signal_fence(memory_order_seq_cst);
    struct robust_list *old = *first;
    node->next = old;
    *prev_of(node) = head;
    if (untag(old) != &head->list) {
        *prev_of(untag(old)) = node;
    }
    *first = node;
    atomic_signal_fence(memory_order_seq_cst);
    *(struct robust_list *volatile *)&head->list_op_pending = NULL;
    life->node = node;
    life->head = head;
    life->next_in_thread = pthread_getspecific(thread_end);
    (void)pthread_setspecific(thread_end, life);
}

/* Take the node out of this thread's list; the word is written by the caller. */
static void unlink_node(struct tg_life *life)
{
    struct robust_list *node = life->node;
    struct robust_list *next = node->next;
    struct robust_list *volatile *prev = (struct robust_list *volatile *)*prev_of(node);
    if (untag(next) != &life->head->list) {
        *prev_of(untag(next)) = (void *)(uintptr_t)prev;
    }
    *prev = next;
    atomic_signal_fence(memory_order_seq_cst);
    life->node = NULL;
}

static void free_life(struct tg_life *life)
{
    tg_sys_unmap(life->page, 2 * TG_LIFE_SIZE);
    free(life);
}

/* The key's destructor: the thread that armed these words ends (I3). */
static void at_thread_end(void *list)
{
    struct tg_life *life = list;
    while (life != NULL) {
        struct tg_life *next = life->next_in_thread;
        unlink_node(life);
        if (life->closed) {
            free_life(life);
        } else {
            tg_store_release(tg_life_word(life->page), UINT32_C(0));
            tg_sys_futex_wake(tg_life_word(life->page), INT_MAX);
        }
        life = next;
    }
}

int tg_life_process_init(void)
{
    /* EAGAIN: the process has no key left. */
    return pthread_key_create(&thread_end, at_thread_end) == 0 ? 0 : -ENOMEM;
}

/* Whether this thread armed it; if so it is no longer in the thread's list of records. */
static bool drop_from_thread(struct tg_life *life)
{
    struct tg_life *at = pthread_getspecific(thread_end);
    if (at == life) {
        (void)pthread_setspecific(thread_end, life->next_in_thread);
        return true;
    }
    for (; at != NULL; at = at->next_in_thread) {
        if (at->next_in_thread == life) {
            at->next_in_thread = life->next_in_thread;
            return true;
        }
    }
    return false;
}

/* ---- making and leaving */

void tg_life_name(uint64_t id, char ret_name[TG_LIFE_NAME_SIZE])
{
    (void)snprintf(ret_name, TG_LIFE_NAME_SIZE, "%016llx", (unsigned long long)id);
}

int tg_life_open_dir(struct tg_root *root, bool create)
{
    if (root->life_fd >= 0) {
        return 0;
    }
    int fd = tg_sys_open(root->fd, LIFE_DIR, O_RDONLY | O_DIRECTORY, 0);
    if (fd == -ENOENT && create) {
        const int r = tg_root_make_folder(root, LIFE_DIR);
        if (r < 0) {
            return r;
        }
        fd = tg_sys_open(root->fd, LIFE_DIR, O_RDONLY | O_DIRECTORY, 0);
    }
    if (fd < 0) {
        return fd == -ELOOP || fd == -ENOTDIR ? -EACCES : fd;
    }
    root->life_fd = fd;
    return 0;
}

/* The shared page with a private one right behind it. */
static int map_record(int fd, uint8_t **ret_page)
{
    uint8_t *p = tg_call(
        mmap(NULL, 2 * TG_LIFE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (p == MAP_FAILED) {
        return -errno;
    }
    if (tg_call(mmap(p, TG_LIFE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0)) ==
        MAP_FAILED) {
        const int r = -errno;
        tg_sys_unmap(p, 2 * TG_LIFE_SIZE);
        return r;
    }
    *ret_page = p;
    return 0;
}

static void fill_record(struct tg_life *life)
{
    struct tg_life_record *rec = (struct tg_life_record *)(void *)life->page;
    tg_store_relaxed(&rec->version, TG_REGION_VERSION);
    tg_store_relaxed(&rec->id, life->id);
    tg_store_relaxed(&rec->pid, (uint32_t)getpid());
    tg_store_release(&rec->magic, TG_LIFE_MAGIC);
    arm(life);
}

/* One try under a fresh number. -EAGAIN: a sweeper took the unfinished file, try again. */
static int make_record(struct tg_root *root, struct tg_life *life)
{
    uint64_t random;
    int r = tg_sys_random(&random, sizeof random);
    if (r < 0) {
        return r;
    }
    life->id = (random & ~TG_TOKEN_FLAGS) | 32u; /* never 0, nor NOBODY of token.c */
    char name[TG_LIFE_NAME_SIZE];
    char temp[TG_LIFE_NAME_SIZE + 1] = ".";
    tg_life_name(life->id, name);
    memcpy(temp + 1, name, sizeof name);
    tg_fd fd = -1;
    r = tg_file_make(root->life_fd, temp, TG_LIFE_SIZE, TG_LIFE_SIZE,
                     tg_root_is_shared(root) ? 0640 : 0600, &fd);
    if (r < 0) {
        return r;
    }
    r = tg_sys_lock(fd, false);
    if (r == 0) {
        r = map_record(fd, &life->page);
    }
    if (r < 0) {
        (void)tg_sys_unlink(root->life_fd, temp);
        return r;
    }
    fill_record(life);
    r = tg_sys_rename(root->life_fd, temp, name, false);
    if (r < 0) {
        if (life->node != NULL) {
            (void)drop_from_thread(life);
            unlink_node(life);
        }
        tg_sys_unmap(life->page, 2 * TG_LIFE_SIZE);
        (void)tg_sys_unlink(root->life_fd, temp);
        return r == -ENOENT || r == -EEXIST ? -EAGAIN : r;
    }
    life->fd = tg_steal_fd(&fd);
    return 0;
}

static int new_life(struct tg_root *root)
{
    int r = tg_life_open_dir(root, true);
    if (r < 0) {
        return r;
    }
    struct tg_life *life = calloc(1, sizeof *life);
    if (life == NULL) {
        return -ENOMEM;
    }
    life->fd = -1;
    for (int tries = 0;; tries++) {
        r = make_record(root, life);
        if (r != -EAGAIN || tries == 16) {
            break;
        }
    }
    if (r < 0) {
        free(life);
        return r;
    }
    root->life = life;
    return 0;
}

int tg_life_join(struct tg_root *root, uint64_t *ret_id)
{
    int r = 0;
    (void)pthread_mutex_lock(&root->lock);
    const bool first = root->life == NULL;
    if (first) {
        r = new_life(root);
    }
    if (r == 0) {
        root->life_refs++;
        *ret_id = root->life->id;
    }
    (void)pthread_mutex_unlock(&root->lock);
    if (r == 0 && first) {
        tg_life_visit(root);
    }
    return r;
}

static void end_life(struct tg_root *root)
{
    struct tg_life *life = root->life;
    char name[TG_LIFE_NAME_SIZE];
    tg_life_name(life->id, name);
    (void)tg_sys_unlink(root->life_fd, name);
    const bool mine = life->node == NULL || drop_from_thread(life);
    if (mine && life->node != NULL) {
        unlink_node(life);
    }
    life->closed = true;
    tg_store_relaxed(&((struct tg_life_record *)(void *)life->page)->left, UINT32_C(1));
    /* release: who sees it dead sees that it left. */
    tg_store_release(tg_life_word(life->page), TG_LIFE_DEAD);
    tg_sys_futex_wake(tg_life_word(life->page), INT_MAX);
    /* By name: a mapping that stays keeps the description, and so the lock, alive. */
    tg_sys_unlock(life->fd);
    tg_sys_close(life->fd);
    life->fd = -1;
    if (mine) {
        free_life(life);
    }
    root->life = NULL;
}

void tg_life_leave(struct tg_root *root)
{
    (void)pthread_mutex_lock(&root->lock);
    const bool last = root->life != NULL && --root->life_refs == 0;
    if (last) {
        end_life(root);
    }
    (void)pthread_mutex_unlock(&root->lock);
    if (last && !atomic_exchange_explicit(&root->visited, false, memory_order_relaxed)) {
        tg_life_visit(root);
    }
}

uint64_t tg_life_own(const struct tg_root *root)
{
    return root->life != NULL ? root->life->id : 0;
}

uint64_t tg_life_id(struct tg_root *root)
{
    (void)pthread_mutex_lock(&root->lock);
    const uint64_t id = root->life != NULL ? root->life->id : 0;
    (void)pthread_mutex_unlock(&root->lock);
    return id;
}

bool tg_life_is_published(struct tg_root *root)
{
    char path[sizeof LIFE_DIR + TG_LIFE_NAME_SIZE];
    struct stat st;
    const uint64_t id = tg_life_id(root);
    (void)snprintf(path, sizeof path, LIFE_DIR "/%016llx", (unsigned long long)id);
    return id == 0 || tg_sys_stat(root->fd, path, &st) != -ENOENT;
}

void tg_life_renew(struct tg_root *root)
{
    struct tg_life *life = root->life;
    if (life == NULL || tg_load_relaxed(tg_life_word(life->page)) != 0) {
        return;
    }
    (void)pthread_mutex_lock(&root->lock);
    if (root->life != NULL && tg_load_relaxed(tg_life_word(root->life->page)) == 0) {
        arm(root->life);
    }
    (void)pthread_mutex_unlock(&root->lock);
}

void tg_life_after_fork(struct tg_root *root)
{
    struct tg_life *life = root->life;
    if (life == NULL) {
        return;
    }
    /* The parent's page stays as it is; the list of this thread is empty in a child. */
    tg_sys_close(life->fd);
    life->fd = -1;
    life->node = NULL;
    (void)pthread_setspecific(thread_end, NULL);
    tg_sys_unmap(life->page, 2 * TG_LIFE_SIZE);
    free(life);
    root->life = NULL;
    root->life_refs = 0;
}

void tg_life_mark_threads(struct tg_root *root)
{
    (void)pthread_mutex_lock(&root->lock);
    if (root->life != NULL) {
        struct tg_life_record *rec = (struct tg_life_record *)(void *)root->life->page;
        /* release: before anything that a second thread does. */
        tg_store_release(&rec->threads, UINT32_C(1));
    }
    (void)pthread_mutex_unlock(&root->lock);
}

/* ---- clearing away */

struct sweep {
    struct tg_root *root;
    uint32_t found;
    uint32_t looks; /* left */
    bool repair;
    char own[TG_LIFE_NAME_SIZE]; /* the record of this process, "" none */
};

static int sweep_one(const char *name, unsigned char type, void *arg)
{
    struct sweep *sweep = arg;
    (void)type;
    if (strcmp(name, sweep->own) == 0) {
        return 0;
    }
    if (sweep->looks-- == 0) {
        return 1;
    }
    tg_fd fd = tg_sys_open(sweep->root->life_fd, name, O_RDONLY, 0);
    struct stat st;
    if (fd < 0 || tg_sys_fstat(fd, &st) < 0 || st.st_uid != geteuid()) {
        return 0;
    }
    uint32_t word = 0;
    if (st.st_size == TG_LIFE_SIZE) {
        (void)tg_sys_pread(fd, &word, sizeof word, TG_LIFE_WORD_OFF);
    }
    if ((word & TG_LIFE_DEAD) == 0 && tg_sys_locked(fd) != 0) {
        return 0;
    }
    sweep->found++;
    if (sweep->repair) {
        (void)tg_sys_unlink(sweep->root->life_fd, name);
    }
    return 0;
}

/* A look costs some system calls: one visit makes at most this many. */
#define VISIT_MOST 64

static void sweep_dir(struct sweep *sweep)
{
    struct tg_root *root = sweep->root;
    (void)pthread_mutex_lock(&root->lock);
    const int r = tg_life_open_dir(root, false);
    if (root->life != NULL) {
        tg_life_name(root->life->id, sweep->own);
    }
    (void)pthread_mutex_unlock(&root->lock);
    if (r == 0) {
        (void)tg_sys_list(root->life_fd, sweep_one, sweep);
    }
}

void tg_life_visit(struct tg_root *root)
{
    struct sweep sweep = { .root = root, .looks = VISIT_MOST, .repair = true };
    sweep_dir(&sweep);
    if (sweep.found != 0) {
        atomic_store_explicit(&root->found_dead, true, memory_order_relaxed);
    }
}

void tg_life_visit_last(struct tg_root *root)
{
    (void)pthread_mutex_lock(&root->lock);
    const bool last = root->life_refs == 1;
    (void)pthread_mutex_unlock(&root->lock);
    if (last) {
        tg_life_visit(root);
        atomic_store_explicit(&root->visited, true, memory_order_relaxed);
    }
}

bool tg_life_found_dead(struct tg_root *root)
{
    return atomic_exchange_explicit(&root->found_dead, false, memory_order_relaxed);
}

uint32_t tg_life_sweep(struct tg_root *root, bool repair)
{
    struct sweep sweep = { .root = root, .looks = UINT32_MAX, .repair = repair };
    sweep_dir(&sweep);
    return sweep.found;
}
