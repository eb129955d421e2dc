/*
 * Others' lives: who is alive, and to be woken when they die.
 *
 * A process keeps the records it has looked at in a table, mapped, since a number is asked for again and
 * again and never given twice. The word tells at once, the lock is the truth (life.c).
 *
 * I1  A record counts only if its file belongs to the user whose process is asked for, or to root: a
 *     member of the group could make one under the number of somebody dead.
 * I2  Another user's record is never loaded from, for its owner may cut it. The kernel compares its word
 *     (tg_sys_futex_probe), and when it has changed it is read from the file. Cut, it is judged by its
 *     lock, and not watched.
 * I3  Only a lock for writing says alive: who may read a record can lock it, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "region/region_layout.h"
#include "region/root.h"

struct tg_peer {
    uint64_t id; /* 0: place not used */
    uint8_t *page;
    uint32_t uid; /* whose file it is */
    bool dead;
    bool foreign; /* never to be loaded from (I2): what stands below is what the file said */
    bool cut;     /* the file is too short for a word */
    bool threads;
    uint32_t word;
    int32_t pid;
};

/* ---- the table */

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

/* -ENOENT: it is dead. */
static int open_record(const struct tg_root *root, uint64_t id)
{
    char name[TG_LIFE_NAME_SIZE];
    tg_life_name(id, name);
    const int fd = tg_sys_open(root->life_fd, name, O_RDONLY, 0);
    return fd == -ENOENT && records_are_gone(root) ? -EIDRM : fd;
}

/* Read a foreign record into *peer. -EPROTO: cut, or no record. */
static int read_foreign(int fd, struct tg_peer *peer)
{
    struct tg_life_record rec;
    uint32_t word = 0;
    int r = tg_sys_pread(fd, &rec, sizeof rec, 0);
    if (r == 0) {
        r = tg_sys_pread(fd, &word, sizeof word, TG_LIFE_WORD_OFF);
    }
    if (r == 0 &&
        (tg_load_relaxed(&rec.magic) != TG_LIFE_MAGIC || tg_load_relaxed(&rec.id) != peer->id)) {
        r = -EPROTO;
    }
    if (r == 0) {
        peer->word = word;
        peer->threads = tg_load_relaxed(&rec.threads) != 0;
        peer->pid = (int32_t)tg_load_relaxed(&rec.pid);
    }
    return r;
}

static int map_peer(int fd, struct tg_peer *peer)
{
    void *p = NULL;
    int r = tg_sys_map(fd, 0, TG_LIFE_SIZE, false, &p);
    const struct tg_life_record *rec = p;
    if (r == 0 && !peer->foreign &&
        (tg_load_acquire(&rec->magic) != TG_LIFE_MAGIC || tg_load_relaxed(&rec->id) != peer->id)) {
        tg_sys_unmap(p, TG_LIFE_SIZE);
        r = -EPROTO;
    }
    if (r == 0) {
        peer->page = p;
    }
    return r;
}

/* Find a record. 0, -ENOENT: there is none, so it is dead, or -errno. */
static int find_peer(struct tg_root *root, struct tg_peer *peer)
{
    int r = tg_life_open_dir(root, false);
    if (r < 0) {
        return r;
    }
    tg_fd fd = open_record(root, peer->id);
    if (fd < 0) {
        return fd;
    }
    struct stat st;
    r = tg_sys_fstat(fd, &st);
    if (r < 0) {
        return r;
    }
    peer->uid = st.st_uid;
    peer->foreign = st.st_uid != 0 && st.st_uid != geteuid();
    if (!S_ISREG(st.st_mode)) {
        return -EPROTO;
    }
    if (peer->foreign) {
        peer->cut = read_foreign(fd, peer) < 0;
        return peer->cut ? 0 : map_peer(fd, peer);
    }
    return st.st_size != TG_LIFE_SIZE || st.st_blocks == 0 ? -EPROTO : map_peer(fd, peer);
}

/* root->lock held. NULL: its record cannot be looked at now. */
static struct tg_peer *get_peer(struct tg_root *root, uint64_t id)
{
    if (grow_peers(root) < 0) {
        return NULL;
    }
    struct tg_peer *peer = peer_place(root->peers, root->n_peer_slots, id);
    if (peer->id == 0) {
        struct tg_peer found = { .id = id };
        const int r = find_peer(root, &found);
        if (r < 0 && r != -ENOENT) {
            return NULL;
        }
        found.dead = r == -ENOENT;
        *peer = found;
        root->n_peers++;
    }
    return peer;
}

/* The word of a record as it is now; a foreign one that changed is read again. */
static uint32_t word_now(const struct tg_root *root, struct tg_peer *peer)
{
    if (!peer->foreign) {
        return tg_load_acquire(tg_life_word(peer->page));
    }
    if (!peer->cut && tg_sys_futex_probe(tg_life_word(peer->page), peer->word) != 0) {
        tg_fd fd = open_record(root, peer->id);
        if (fd == -ENOENT) {
            peer->word = TG_LIFE_DEAD; /* its name goes first */
        } else {
            peer->cut = fd < 0 || read_foreign(fd, peer) < 0;
        }
    }
    return peer->cut ? 0 : peer->word;
}

/* What the lock of the file says: false only if it is certainly free, or another user's file has come
 * under the name. */
static bool is_locked(const struct tg_root *root, const struct tg_peer *peer)
{
    tg_fd fd = open_record(root, peer->id);
    if (fd < 0) {
        return fd != -ENOENT;
    }
    struct stat st;
    if (tg_sys_fstat(fd, &st) == 0 && st.st_uid != peer->uid) {
        return false;
    }
    return tg_sys_locked(fd) != 0;
}

static bool has_threads(const struct tg_peer *peer)
{
    const struct tg_life_record *rec = (const struct tg_life_record *)(const void *)peer->page;
    return peer->foreign ? peer->threads : tg_load_acquire(&rec->threads) != 0;
}

/* What a word that can be read means (I5 of life.c). */
static bool judge(struct tg_root *root, const struct tg_peer *peer, uint32_t seen, bool surely)
{
    if ((seen & TG_LIFE_DEAD) != 0) {
        return has_threads(peer) && is_locked(root, peer) && !records_are_gone(root);
    }
    return seen == 0 || surely ? is_locked(root, peer) : true;
}

bool tg_life_has_left(struct tg_root *root, uint64_t id)
{
    bool left = false;
    (void)pthread_mutex_lock(&root->lock);
    if (root->n_peer_slots != 0) {
        const struct tg_peer *peer = peer_place(root->peers, root->n_peer_slots, id);
        if (peer->id == id && peer->page != NULL) {
            const struct tg_life_record *rec =
                (const struct tg_life_record *)(const void *)peer->page;
            left = peer->foreign ? tg_sys_futex_probe(&rec->left, 0) == 1
                                 : tg_load_relaxed(&rec->left) != 0;
        }
    }
    (void)pthread_mutex_unlock(&root->lock);
    return left;
}

static void watch(const struct tg_peer *peer, uint32_t seen, struct tg_waitset *set)
{
    if ((seen & TG_LIFE_DEAD) != 0) {
        set->soon = true;
    } else if (seen != 0 && peer->foreign) {
        tg_waitset_add_foreign(set, tg_life_word(peer->page), seen);
    } else if (seen != 0) {
        tg_waitset_add(set, tg_life_word(peer->page), seen);
    } else {
        set->orphans = true;
    }
}

static bool ask(struct tg_root *root, uint64_t id, uint32_t uid, bool surely,
                struct tg_waitset *set)
{
    (void)pthread_mutex_lock(&root->lock);
    bool alive = true;
    struct tg_peer *peer = tg_life_own(root) != id ? get_peer(root, id) : NULL;
    if (peer != NULL && (peer->dead || (uid != TG_ANY_UID && peer->uid != uid && peer->uid != 0))) {
        alive = false; /* I1 */
    } else if (peer != NULL) {
        const uint32_t seen = word_now(root, peer);
        alive = judge(root, peer, seen, surely);
        /* Its page stays mapped: a waitset may name it. */
        peer->dead = !alive;
        if (alive && set != NULL) {
            watch(peer, seen, set);
        }
    }
    (void)pthread_mutex_unlock(&root->lock);
    return alive;
}

bool tg_life_is_alive_of(struct tg_root *root, uint64_t id, uint32_t uid)
{
    return ask(root, id, uid, false, NULL);
}

bool tg_life_is_alive_surely(struct tg_root *root, uint64_t id, uint32_t uid)
{
    return ask(root, id, uid, true, NULL);
}

bool tg_life_watch_of(struct tg_root *root, uint64_t id, uint32_t uid, struct tg_waitset *set)
{
    return ask(root, id, uid, false, set);
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
            tg_sys_futex_wake(tg_life_word(peer->page), INT_MAX);
        }
    }
    (void)pthread_mutex_unlock(&root->lock);
}

void tg_life_pass_on(const struct tg_waitset *set)
{
    for (uint32_t i = 0; i < set->n; i++) {
        if ((set->seen[i] & TG_LIFE_WAITERS) == 0) {
            continue;
        }
        /* A foreign one cannot be read here: changed is enough, a wake-up too many does no harm. */
        if (set->foreign[i] ? tg_waitset_word_changed(set, i) != 0
                            : (tg_load_acquire(set->word[i]) & TG_LIFE_DEAD) != 0) {
            tg_sys_futex_wake(set->word[i], INT_MAX);
        }
    }
}

int32_t tg_life_pid(struct tg_root *root, uint64_t id)
{
    int32_t pid = 0;
    (void)pthread_mutex_lock(&root->lock);
    const struct tg_peer *peer = get_peer(root, id);
    if (peer != NULL && !peer->dead && peer->foreign) {
        pid = peer->pid;
    } else if (peer != NULL && !peer->dead) {
        const struct tg_life_record *rec = (const struct tg_life_record *)(const void *)peer->page;
        pid = (int32_t)tg_load_relaxed(&rec->pid);
    }
    (void)pthread_mutex_unlock(&root->lock);
    return pid;
}
