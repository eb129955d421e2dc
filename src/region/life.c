/*
 * Who is alive.
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
#define NUMBER_LEN 16

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

struct tg_peer {
    uint64_t id; /* 0: place not used */
    uint8_t *page;
    bool dead;
};

static pthread_key_t thread_end;

/* ---- the word and the list */

static tg_a32 *word_of(const uint8_t *page)
{
    return (tg_a32 *)(uintptr_t)(page + TG_LIFE_WORD_OFF);
}

/* Where the node's next pointer must be so that the kernel finds the word, if the layout fits. */
static struct robust_list *node_place(struct tg_life *life, struct robust_list_head **ret_head)
{
    size_t len = 0;
    struct robust_list_head *head = NULL;
    if (tg_call(syscall(SYS_get_robust_list, 0, &head, &len)) != 0 || head == NULL ||
        len != sizeof *head) {
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
    tg_store_release(word_of(life->page), tid | TG_LIFE_WAITERS);
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
            tg_store_release(word_of(life->page), UINT32_C(0));
            tg_sys_futex_wake(word_of(life->page), INT_MAX);
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

static void number_name(uint64_t id, char ret_name[NUMBER_LEN + 1])
{
    (void)snprintf(ret_name, NUMBER_LEN + 1, "%016llx", (unsigned long long)id);
}

static int open_life_dir(struct tg_root *root, bool create)
{
    if (root->life_fd >= 0) {
        return 0;
    }
    int fd = tg_sys_open(root->fd, LIFE_DIR, O_RDONLY | O_DIRECTORY, 0);
    if (fd == -ENOENT && create) {
        int r = tg_sys_mkdir(root->fd, LIFE_DIR, 0700);
        if (r < 0 && r != -EEXIST) {
            return r;
        }
        const bool made = r == 0;
        fd = tg_sys_open(root->fd, LIFE_DIR, O_RDONLY | O_DIRECTORY, 0);
        if (fd >= 0 && made && tg_root_is_shared(root)) {
            (void)tg_sys_chmod(fd, root->mode);
        }
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
    char name[NUMBER_LEN + 1];
    char temp[NUMBER_LEN + 2] = ".";
    number_name(life->id, name);
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
    int r = open_life_dir(root, true);
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
    char name[NUMBER_LEN + 1];
    number_name(life->id, name);
    (void)tg_sys_unlink(root->life_fd, name);
    const bool mine = life->node == NULL || drop_from_thread(life);
    if (mine && life->node != NULL) {
        unlink_node(life);
    }
    life->closed = true;
    tg_store_relaxed(&((struct tg_life_record *)(void *)life->page)->left, UINT32_C(1));
    /* release: who sees it dead sees that it left. */
    tg_store_release(word_of(life->page), TG_LIFE_DEAD);
    tg_sys_futex_wake(word_of(life->page), INT_MAX);
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
    if (last) {
        tg_life_visit(root);
    }
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
    char path[sizeof LIFE_DIR + 1 + NUMBER_LEN + 1];
    struct stat st;
    const uint64_t id = tg_life_id(root);
    (void)snprintf(path, sizeof path, LIFE_DIR "/%016llx", (unsigned long long)id);
    return id == 0 || tg_sys_stat(root->fd, path, &st) != -ENOENT;
}

void tg_life_renew(struct tg_root *root)
{
    struct tg_life *life = root->life;
    if (life == NULL || tg_load_relaxed(word_of(life->page)) != 0) {
        return;
    }
    (void)pthread_mutex_lock(&root->lock);
    if (root->life != NULL && tg_load_relaxed(word_of(root->life->page)) == 0) {
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

/* ---- others */

static struct tg_peer *peer_place(struct tg_peer *peers, uint32_t n, uint64_t id)
{
    uint32_t at = (uint32_t)(id >> 20) & (n - 1);
    while (peers[at].id != 0 && peers[at].id != id) {
        at = (at + 1) & (n - 1);
    }
    return &peers[at];
}

/* Make room for one more; the dead are forgotten on the way. */
static int grow_peers(struct tg_root *root)
{
    if ((root->n_peers + 1) * 2 <= root->n_peer_slots) {
        return 0;
    }
    /* While a thread sleeps, a waitset may name the page of one dead by now. */
    const bool keep_dead = root->watchers != 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < root->n_peer_slots; i++) {
        kept += root->peers[i].id != 0 && (keep_dead || !root->peers[i].dead);
    }
    uint32_t n = 16;
    while (n < (kept + 1) * 4) {
        n *= 2;
    }
    struct tg_peer *peers = calloc(n, sizeof *peers);
    if (peers == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < root->n_peer_slots; i++) {
        if (root->peers[i].id != 0 && (keep_dead || !root->peers[i].dead)) {
            *peer_place(peers, n, root->peers[i].id) = root->peers[i];
        } else {
            tg_sys_unmap(root->peers[i].page, TG_LIFE_SIZE);
        }
    }
    free(root->peers);
    root->peers = peers;
    root->n_peer_slots = n;
    root->n_peers = kept;
    return 0;
}

void tg_life_forget_peers(struct tg_root *root)
{
    for (uint32_t i = 0; i < root->n_peer_slots; i++) {
        tg_sys_unmap(root->peers[i].page, TG_LIFE_SIZE);
    }
    free(root->peers);
    root->peers = NULL;
    root->n_peer_slots = 0;
    root->n_peers = 0;
}

/* The folder of the records was deleted under us: who is not found there may be alive. */
static bool records_are_gone(const struct tg_root *root)
{
    struct stat st;
    return tg_sys_fstat(root->life_fd, &st) == 0 && st.st_nlink == 0;
}

/* Map a record. 0, -ENOENT: there is none, so it is dead, or -errno. */
static int map_peer(struct tg_root *root, uint64_t id, uint8_t **ret_page)
{
    int r = open_life_dir(root, false);
    if (r < 0) {
        return r;
    }
    char name[NUMBER_LEN + 1];
    number_name(id, name);
    tg_fd fd = tg_sys_open(root->life_fd, name, O_RDONLY, 0);
    if (fd < 0) {
        return fd == -ENOENT && records_are_gone(root) ? -EIDRM : fd;
    }
    struct stat st;
    r = tg_sys_fstat(fd, &st);
    if (r < 0) {
        return r;
    }
    if (!S_ISREG(st.st_mode) || st.st_size != TG_LIFE_SIZE || st.st_blocks == 0) {
        return -EPROTO;
    }
    void *p;
    r = tg_sys_map(fd, 0, TG_LIFE_SIZE, false, &p);
    const struct tg_life_record *rec = p;
    if (r == 0 && (tg_load_acquire(&rec->magic) != TG_LIFE_MAGIC || rec->id != id)) {
        tg_sys_unmap(p, TG_LIFE_SIZE);
        r = -EPROTO;
    }
    if (r == 0) {
        *ret_page = p;
    }
    return r;
}

/* root->lock held. NULL: its record cannot be looked at now; *ret_dead tells if it is dead. */
static const tg_a32 *peer_word(struct tg_root *root, uint64_t id, bool *ret_dead)
{
    *ret_dead = false;
    if (grow_peers(root) < 0) {
        return NULL;
    }
    struct tg_peer *peer = peer_place(root->peers, root->n_peer_slots, id);
    if (peer->id == 0) {
        uint8_t *page = NULL;
        const int r = map_peer(root, id, &page);
        if (r < 0 && r != -ENOENT) {
            return NULL;
        }
        *peer = (struct tg_peer){ .id = id, .page = page, .dead = r == -ENOENT };
        root->n_peers++;
    }
    *ret_dead = peer->dead;
    return peer->dead ? NULL : word_of(peer->page);
}

/* What the lock of the file says: false only if it is certainly free. */
static bool is_locked(struct tg_root *root, uint64_t id)
{
    char name[NUMBER_LEN + 1];
    number_name(id, name);
    tg_fd fd = tg_sys_open(root->life_fd, name, O_RDONLY, 0);
    if (fd < 0) {
        return fd != -ENOENT || records_are_gone(root);
    }
    return tg_sys_locked(fd) != 0;
}

/* root->lock held. Its page stays mapped: a waitset may name it. */
static void mark_dead(struct tg_root *root, uint64_t id)
{
    struct tg_peer *peer = peer_place(root->peers, root->n_peer_slots, id);
    if (peer->id == id) {
        peer->dead = true;
    }
}

static bool has_threads(const tg_a32 *word)
{
    const uint8_t *page = (const uint8_t *)word - TG_LIFE_WORD_OFF;
    return tg_load_acquire(&((const struct tg_life_record *)(const void *)page)->threads) != 0;
}

/* What a word that can be read means (I5). */
static bool judge(struct tg_root *root, uint64_t id, const tg_a32 *word, uint32_t seen, bool surely)
{
    if ((seen & TG_LIFE_DEAD) != 0) {
        return has_threads(word) && is_locked(root, id) && !records_are_gone(root);
    }
    return seen == 0 || surely ? is_locked(root, id) : true;
}

bool tg_life_has_left(struct tg_root *root, uint64_t id)
{
    bool left = false;
    (void)pthread_mutex_lock(&root->lock);
    if (root->n_peer_slots != 0) {
        const struct tg_peer *peer = peer_place(root->peers, root->n_peer_slots, id);
        if (peer->id == id && peer->page != NULL) {
            const void *page = peer->page;
            left = tg_load_relaxed(&((const struct tg_life_record *)page)->left) != 0;
        }
    }
    (void)pthread_mutex_unlock(&root->lock);
    return left;
}

static bool ask(struct tg_root *root, uint64_t id, bool surely, struct tg_waitset *set)
{
    (void)pthread_mutex_lock(&root->lock);
    bool alive = true;
    if (root->life == NULL || root->life->id != id) {
        bool dead;
        const tg_a32 *word = peer_word(root, id, &dead);
        alive = !dead;
        if (word != NULL) {
            const uint32_t seen = tg_load_acquire(word);
            alive = judge(root, id, word, seen, surely);
            if (!alive) {
                mark_dead(root, id);
            } else if (set != NULL && (seen & TG_LIFE_DEAD) != 0) {
                set->soon = true;
            } else if (set != NULL && seen != 0) {
                tg_waitset_add(set, word, seen);
            } else if (set != NULL) {
                set->orphans = true;
            }
        }
    }
    (void)pthread_mutex_unlock(&root->lock);
    return alive;
}

bool tg_life_is_alive(struct tg_root *root, uint64_t id)
{
    return ask(root, id, false, NULL);
}

bool tg_life_is_alive_surely(struct tg_root *root, uint64_t id)
{
    return ask(root, id, true, NULL);
}

bool tg_life_watch(struct tg_root *root, uint64_t id, struct tg_waitset *set)
{
    return ask(root, id, false, set);
}

void tg_life_watch_begin(struct tg_root *root)
{
    (void)pthread_mutex_lock(&root->lock);
    root->watchers++;
    (void)pthread_mutex_unlock(&root->lock);
}

void tg_life_watch_end(struct tg_root *root)
{
    (void)pthread_mutex_lock(&root->lock);
    root->watchers--;
    (void)pthread_mutex_unlock(&root->lock);
}

void tg_life_wake_watchers(struct tg_root *root, uint64_t id)
{
    (void)pthread_mutex_lock(&root->lock);
    if (root->n_peer_slots != 0) {
        const struct tg_peer *peer = peer_place(root->peers, root->n_peer_slots, id);
        if (peer->id == id && peer->page != NULL) {
            tg_sys_futex_wake(word_of(peer->page), INT_MAX);
        }
    }
    (void)pthread_mutex_unlock(&root->lock);
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

void tg_life_pass_on(const struct tg_waitset *set)
{
    for (uint32_t i = 0; i < set->n; i++) {
        if ((tg_load_acquire(set->word[i]) & TG_LIFE_DEAD) != 0 &&
            (set->seen[i] & TG_LIFE_WAITERS) != 0) {
            tg_sys_futex_wake(set->word[i], INT_MAX);
        }
    }
}

int32_t tg_life_pid(struct tg_root *root, uint64_t id)
{
    int32_t pid = 0;
    (void)pthread_mutex_lock(&root->lock);
    bool dead;
    const tg_a32 *word = peer_word(root, id, &dead);
    if (word != NULL) {
        const uint8_t *page = (const uint8_t *)word - TG_LIFE_WORD_OFF;
        pid = (int32_t)tg_load_relaxed(&((const struct tg_life_record *)(const void *)page)->pid);
    }
    (void)pthread_mutex_unlock(&root->lock);
    return pid;
}

/* ---- clearing away */

struct sweep {
    struct tg_root *root;
    uint32_t found;
    uint32_t looks; /* left */
    bool repair;
};

static int sweep_one(const char *name, unsigned char type, void *arg)
{
    struct sweep *sweep = arg;
    (void)type;
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
    const int r = open_life_dir(root, false);
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
