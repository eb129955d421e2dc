/*
 * Named regions: memory that several processes map, with a lock and a count of events.
 *
 * A region is one file "+NAME": a head page, then the data. Its life:
 *
 *   state        facts                                    left by
 *   (none)       no file of that name                     tg_region_open, rename of a whole file
 *   ALIVE        the file has the name                    tg_region_remove, its owner's end
 *   REMOVED      waits end with -EIDRM                     for ever
 *   OWNER_GONE   waits end with -EOWNERDEAD                for ever
 *
 * I1  The state is stored before the name goes; whoever finds a name with another state than
 *     ALIVE, or with a dead owner, finishes the removal.
 * I2  The lock is a token: taken from a dead holder it tells so (TONG_RECOVERED).
 * I3  notify: count; fence; look at waits. wait: count a wait; fence; look at events. One of the
 *     two sees the other.
 * I4  Where somebody sleeps already, counting and waking are one system call, and so are the end and
 *     its ring: who is killed there has done both or nothing.
 */
#include "region/region.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/name.h"
#include "base/probe.h"
#include "region/region_layout.h"

#define FILE_NAME_MAX (TONG_NAME_MAX + 1)
#define SPINS 200
#define OFTEN_NS INT64_C(10000000)

struct tong_region {
    struct tg_root *root;
    struct tg_region_head *head;
    uint8_t *data;
    size_t size;
    uint64_t me;
    uint64_t owner;
    uint32_t fork_count;
    tg_a32 seen_waits; /* sleeps for an event that were already woken; any thread */
    bool head_writable;
    bool writable;
    bool holds; /* the lock */
    bool owns;  /* its end is the region's end */
    bool joined;
    char name[FILE_NAME_MAX];
};

static int file_name(const char *name, char ret_name[FILE_NAME_MAX])
{
    const int r = tg_name_check(name);
    if (r == 0) {
        ret_name[0] = '+';
        memcpy(ret_name + 1, name, strlen(name) + 1);
    }
    return r;
}

/* ---- ending one */

static void set_state(struct tg_region_head *head, enum tg_state state)
{
    if (tg_load_acquire(&head->state) == TG_ALIVE) {
        /* Waiters sleep on events, those for the lock on the state. */
        tg_sys_futex_set_wake(&head->state, (uint32_t)state, &head->events);
    }
}

static int check_head(const struct tg_region_head *head, uint64_t file_size)
{
    if (tg_load_acquire(&head->magic) != TG_REGION_MAGIC ||
        tg_load_relaxed(&head->version) != TG_REGION_VERSION) {
        return -EPROTO;
    }
    const uint64_t size = tg_load_relaxed(&head->size);
    return size == 0 || size > file_size - TG_PAGE ? -EPROTO : 0;
}

/* Open the file and map its head. */
static int open_head(struct tg_root *root, const char *file, bool write, int *ret_fd,
                     struct tg_region_head **ret_head, struct stat *ret_st)
{
    tg_fd fd = tg_sys_open(tg_root_fd(root), file, (write ? O_RDWR : O_RDONLY) | O_NONBLOCK, 0);
    if (fd < 0) {
        return fd == -ELOOP || fd == -EISDIR || fd == -ENXIO ? -EPROTO : fd;
    }
    int r = tg_sys_fstat(fd, ret_st);
    if (r < 0) {
        return r;
    }
    if (!S_ISREG(ret_st->st_mode) || ret_st->st_size <= TG_PAGE) {
        return -EPROTO;
    }
    void *p = NULL;
    r = tg_sys_map(fd, 0, TG_PAGE, write, &p);
    if (r < 0) {
        return r;
    }
    struct tg_region_head *head = p;
    r = check_head(head, (uint64_t)ret_st->st_size);
    if (r < 0) {
        tg_sys_unmap(p, TG_PAGE);
        return r;
    }
    *ret_head = head;
    *ret_fd = tg_steal_fd(&fd);
    return 0;
}

static bool is_dead(struct tg_root *root, const struct tg_region_head *head)
{
    const uint64_t owner = tg_load_relaxed(&head->owner);
    return tg_load_acquire(&head->state) != TG_ALIVE ||
           (owner != 0 && !tg_life_is_alive(root, owner));
}

enum end {
    END_ANY,
    END_DEAD, /* only if it is dead */
    END_MINE  /* if it is dead or this process's */
};

/* Take the name away. Under the root's lock the file is looked at again, so that a new one of the
 * name is never hit. */
static int take_away(struct tg_root *root, const char *file, enum end how, const ino_t *only)
{
    tg_fd lock = -1;
    int r = tg_root_lock(root, true, &lock);
    if (r < 0) {
        return r;
    }
    struct tg_region_head *head = NULL;
    struct stat st;
    tg_fd fd = -1;
    r = open_head(root, file, true, &fd, &head, &st);
    if (r == -EPROTO && how == END_ANY) {
        return tg_sys_unlink(tg_root_fd(root), file);
    }
    if (r < 0) {
        return r;
    }
    if (st.st_uid != geteuid() && geteuid() != 0) {
        r = -EPERM;
    } else if (only == NULL || *only == st.st_ino) {
        const uint64_t owner = tg_load_relaxed(&head->owner);
        const bool mine = how == END_MINE && owner != 0 && owner == tg_life_id(root);
        const bool gone = mine || (owner != 0 && !tg_life_is_alive(root, owner));
        if (how != END_ANY && !mine && !is_dead(root, head)) {
            tg_sys_unmap(head, TG_PAGE);
            return 0;
        }
        set_state(head, gone ? TG_OWNER_GONE : TG_REMOVED);
        r = tg_sys_unlink(tg_root_fd(root), file);
    }
    tg_sys_unmap(head, TG_PAGE);
    return r;
}

int tg_region_remove(const char *name)
{
    char file[FILE_NAME_MAX];
    int r = file_name(name, file);
    if (r < 0) {
        return r;
    }
    struct tg_root *root;
    r = tg_root_get(false, &root);
    if (r < 0) {
        return r;
    }
    r = take_away(root, file, END_ANY, NULL);
    tg_root_put(root);
    return r == -EISDIR ? -EPROTO : r;
}

/* ---- making and opening */

static void unmap(tong_region *region)
{
    tg_sys_unmap(region->data, region->size);
    tg_sys_unmap(region->head, TG_PAGE);
    region->data = NULL;
    region->head = NULL;
}

static int map_data(tong_region *region, int fd, bool write, size_t size,
                    const tong_region_options *options)
{
    const struct tg_region_head *head = region->head;
    region->size = (size_t)tg_load_relaxed(&head->size);
    region->owner = tg_load_relaxed(&head->owner);
    if (size != 0 && size != region->size) {
        return -EEXIST;
    }
    if (options != NULL && (options->owner != tg_load_relaxed(&head->owner_kind) ||
                            options->mode != tg_load_relaxed(&head->mode))) {
        return -EEXIST;
    }
    void *p = NULL;
    const int r = tg_sys_map(fd, TG_PAGE, region->size, write, &p);
    if (r == 0) {
        region->data = p;
        region->writable = write;
    }
    return r;
}

static void write_head(const tong_region *region, size_t size, const tong_region_options *options)
{
    struct tg_region_head *head = region->head;
    const bool owned = options->owner == TONG_PROCESS;
    tg_store_relaxed(&head->version, TG_REGION_VERSION);
    tg_store_relaxed(&head->state, (uint32_t)TG_ALIVE);
    tg_store_relaxed(&head->owner_kind, options->owner);
    tg_store_relaxed(&head->mode, options->mode);
    tg_store_relaxed(&head->size, (uint64_t)size);
    tg_store_relaxed(&head->owner, owned ? region->me : 0);
    tg_store_relaxed(&head->owner_pid, owned ? (uint32_t)getpid() : 0);
    tg_store_release(&head->magic, TG_REGION_MAGIC);
}

/* Make the file and map it, and only then give it its name: what fails leaves nothing. */
static int make(tong_region *region, size_t size, unsigned flags,
                const tong_region_options *options)
{
    char temp[64];
    tg_root_temp_name(region->root, "new", temp, sizeof temp);
    const int dir = tg_root_fd(region->root);
    const uint64_t all = TG_PAGE + ((uint64_t)size + TG_PAGE - 1) / TG_PAGE * TG_PAGE;
    tg_fd fd = -1;
    int r = tg_file_make(dir, temp, all, all, tg_file_mode(options->mode, true), &fd);
    if (r < 0) {
        return r;
    }
    void *p = NULL;
    r = tg_sys_map(fd, 0, TG_PAGE, true, &p);
    if (r == 0) {
        region->head = p;
        region->head_writable = true;
        write_head(region, size, options);
        r = map_data(region, fd, (flags & TONG_WRITE) != 0, size, NULL);
    }
    if (r == 0) {
        r = tg_sys_rename(dir, temp, region->name, false);
    }
    if (r < 0) {
        unmap(region);
        (void)tg_sys_unlink(dir, temp);
        return r;
    }
    region->owns = options->owner == TONG_PROCESS;
    return 0;
}

static int attach(tong_region *region, unsigned flags, size_t size,
                  const tong_region_options *options)
{
    const bool write = (flags & TONG_WRITE) != 0;
    struct stat st;
    tg_fd fd = -1;
    region->head_writable = true;
    int r = open_head(region->root, region->name, true, &fd, &region->head, &st);
    if (r == -EACCES && !write) {
        region->head_writable = false;
        r = open_head(region->root, region->name, false, &fd, &region->head, &st);
    }
    if (r < 0) {
        return r;
    }
    if (is_dead(region->root, region->head)) {
        tg_sys_unmap(region->head, TG_PAGE);
        region->head = NULL;
        r = take_away(region->root, region->name, END_DEAD, &st.st_ino);
        /* Who is to create one is told why the dead one stays. */
        return r == 0 || r == -ENOENT || (flags & TONG_CREATE) == 0 ? -ENOENT
               : r == -EPERM                                        ? -EACCES
                                                                    : r;
    }
    return map_data(region, fd, write, size, options);
}

static int find_or_make(tong_region *region, size_t size, unsigned flags,
                        const tong_region_options *options)
{
    const tong_region_options standard = TONG_REGION_OPTIONS_INIT;
    for (int tries = 0; tries < 100; tries++) {
        int r = attach(region, flags, size, options);
        if (r != -ENOENT) {
            return r == 0 && (flags & TONG_EXCL) != 0 ? -EEXIST : r;
        }
        if ((flags & TONG_CREATE) == 0) {
            return r;
        }
        if (size == 0) {
            return -EINVAL;
        }
        r = make(region, size, flags, options != NULL ? options : &standard);
        if (r != -EEXIST) {
            return r;
        }
    }
    return -EAGAIN;
}

static int check_arguments(size_t size, unsigned flags, const tong_region_options *options)
{
    const unsigned known = TONG_READ | TONG_WRITE | TONG_CREATE | TONG_EXCL;
    if ((flags & ~known) != 0 || (flags & (TONG_READ | TONG_WRITE)) == 0 ||
        ((flags & TONG_EXCL) != 0 && (flags & TONG_CREATE) == 0) ||
        (uint64_t)size > (UINT64_C(1) << 40)) {
        return -EINVAL;
    }
    if (options != NULL && (options->struct_size < sizeof *options ||
                            options->owner > TONG_PROCESS || (options->mode & ~0666u) != 0 ||
                            (options->mode & 0600) != 0600 || options->reserved != 0)) {
        return -EINVAL;
    }
    return 0;
}

int tg_region_open(const char *name, size_t size, unsigned flags,
                   const tong_region_options *options, tong_region **ret_region)
{
    int r = ret_region == NULL ? -EINVAL : check_arguments(size, flags, options);
    if (r < 0) {
        return r;
    }
    tong_region *region = calloc(1, sizeof *region);
    if (region == NULL) {
        return -ENOMEM;
    }
    region->fork_count = tg_fork_count();
    r = file_name(name, region->name);
    if (r == 0) {
        r = tg_root_get((flags & TONG_CREATE) != 0, &region->root);
    }
    /* A region for other users needs a folder that they can reach. */
    if (r == 0 && options != NULL && (options->mode & 0077) != 0 &&
        !tg_root_is_shared(region->root)) {
        r = -EACCES;
    }
    if (r == 0) {
        region->fork_count = tg_fork_count();
        r = tg_life_join(region->root, &region->me);
        region->joined = r == 0;
    }
    if (r == 0) {
        r = find_or_make(region, size, flags, options);
    }
    if (r < 0) {
        (void)tg_region_close(region);
        return r;
    }
    *ret_region = region;
    return 0;
}

int tg_region_close(tong_region *region)
{
    if (region == NULL) {
        return 0;
    }
    const bool forked = region->fork_count != tg_fork_count();
    if (!forked && region->holds) {
        /* Left as by a dead holder: the next one is told to look at the data. */
        tg_token_leave(&region->head->lock);
    }
    if (!forked && region->owns && region->head != NULL) {
        (void)take_away(region->root, region->name, END_MINE, NULL);
    }
    unmap(region);
    if (!forked && region->joined) {
        tg_life_leave(region->root);
    }
    tg_root_put(region->root);
    free(region);
    return forked ? -ECHILD : 0;
}

void *tg_region_data(tong_region *region)
{
    return region == NULL ? NULL : region->data;
}

size_t tg_region_size(const tong_region *region)
{
    return region == NULL ? 0 : region->size;
}

/* ---- lock and events */

/* 0 while it is alive. */
static int check_alive(const tong_region *region)
{
    if (region->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    const uint32_t state = tg_load_acquire(&region->head->state);
    if (state != TG_ALIVE) {
        return state == TG_REMOVED ? -EIDRM : -EOWNERDEAD;
    }
    if (region->owner != 0 && region->owner != region->me &&
        !tg_life_is_alive(region->root, region->owner)) {
        return -EOWNERDEAD;
    }
    return 0;
}

int tg_region_lock(tong_region *region, int64_t timeout_ns)
{
    if (region == NULL) {
        return -EINVAL;
    }
    if (region->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    if (!region->writable) {
        return -EBADF;
    }
    const uint32_t state = tg_load_acquire(&region->head->state);
    if (state != TG_ALIVE) {
        return check_alive(region);
    }
    int r = tg_token_lock(&region->head->lock, region->root, region->me, tg_deadline(timeout_ns),
                          &region->head->state, TG_ALIVE);
    if (r == -EIDRM) {
        return check_alive(region);
    }
    if (r < 0) {
        return r;
    }
    const int alive = check_alive(region);
    if (alive < 0) {
        (void)tg_token_unlock(&region->head->lock, region->me);
        return alive;
    }
    region->holds = true;
    if (r == 1) {
        TG_PROBE(recover, region->name + 1, TG_RECOVERED_REGION);
    }
    return r == 1 ? TONG_RECOVERED : 0;
}

int tg_region_unlock(tong_region *region)
{
    if (region == NULL) {
        return -EINVAL;
    }
    if (region->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    if (!region->holds) {
        return -EPERM;
    }
    region->holds = false;
    (void)tg_token_unlock(&region->head->lock, region->me);
    return 0;
}

int tg_region_notify(tong_region *region)
{
    if (region == NULL) {
        return -EINVAL;
    }
    if (region->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    if (!region->writable) {
        return -EBADF;
    }
    uint32_t waits = tg_load_seq_cst(&region->head->waits);
    if (waits != tg_load_relaxed(&region->seen_waits)) {
        tg_sys_futex_add_wake(&region->head->events); /* I4 */
        atomic_store_explicit(&region->seen_waits, waits, memory_order_relaxed);
        return 0;
    }
    /* Sequentially consistent: pairs with the add to waits of a waiter (I3). */
    (void)tg_add(&region->head->events, 1);
    waits = tg_load_seq_cst(&region->head->waits);
    if (waits != tg_load_relaxed(&region->seen_waits)) {
        tg_sys_futex_wake(&region->head->events, INT_MAX);
        atomic_store_explicit(&region->seen_waits, waits, memory_order_relaxed);
    }
    return 0;
}

static int sleep_watched(tong_region *region, uint32_t seen, int64_t deadline_ns, uint32_t nth)
{
    struct tg_waitset set;
    tg_waitset_clear(&set);
    tg_waitset_add(&set, &region->head->events, seen);
    tg_waitset_add(&set, &region->head->state, TG_ALIVE);
    if (region->owner != 0 && region->owner != region->me &&
        !tg_life_watch(region->root, region->owner, &set)) {
        return 0;
    }
    int64_t piece = tg_now_ns() + tg_backstop_ns(nth);
    if (region->head_writable) {
        (void)tg_add(&region->head->waits, 1);
    } else {
        /* Who may not write cannot be seen waiting: it looks again, often. */
        piece = tg_now_ns() + OFTEN_NS;
    }
    if (tg_load_seq_cst(&region->head->events) != seen) {
        return 0;
    }
    const int r = tg_waitset_sleep(&set, piece < deadline_ns ? piece : deadline_ns);
    tg_life_pass_on(&set);
    return r == -EINTR ? r : 0;
}

static int sleep_for_event(tong_region *region, uint32_t seen, int64_t deadline_ns, uint32_t nth)
{
    tg_life_renew(region->root);
    tg_life_watch_begin(region->root);
    const int r = sleep_watched(region, seen, deadline_ns, nth);
    tg_life_watch_end(region->root);
    return r;
}

int tg_region_wait(tong_region *region, uint32_t *seen, int64_t timeout_ns)
{
    if (region == NULL || seen == NULL) {
        return -EINVAL;
    }
    const int64_t deadline = tg_deadline(timeout_ns);
    uint32_t sleeps = 0;
    for (int spins = 0;; spins++) {
        const int r = check_alive(region);
        if (r < 0) {
            return r;
        }
        const uint32_t events = tg_load_acquire(&region->head->events);
        if (events != *seen) {
            *seen = events;
            return 0;
        }
        if (deadline == 0) {
            return -EAGAIN;
        }
        if (spins < SPINS) {
            tg_pause();
            continue;
        }
        if (tg_is_over(deadline)) {
            return -ETIMEDOUT;
        }
        const int slept = sleep_for_event(region, events, deadline, sleeps++);
        if (slept < 0) {
            return slept;
        }
    }
}

void tg_region_bury(struct tg_root *root)
{
    struct tg_names names = { 0 };
    (void)tg_names_read(root, true, &names);
    for (size_t i = 0; i < names.n; i++) {
        char file[FILE_NAME_MAX] = "+";
        struct tg_region_head *head = NULL;
        struct stat st;
        tg_fd fd = -1;
        memcpy(file + 1, names.name[i], TONG_NAME_MAX);
        if (open_head(root, file, false, &fd, &head, &st) < 0) {
            continue;
        }
        const bool dead = st.st_uid == geteuid() && is_dead(root, head);
        tg_sys_unmap(head, TG_PAGE);
        if (dead) {
            (void)take_away(root, file, END_DEAD, &st.st_ino);
        }
    }
    tg_names_free(&names);
}

/* ---- looking */

static int look(struct tg_root *root, const char *file, tong_region_status *ret_status)
{
    struct tg_region_head *head = NULL;
    struct stat st;
    tg_fd fd = -1;
    const int r = open_head(root, file, false, &fd, &head, &st);
    if (r < 0) {
        return r;
    }
    const bool dead = is_dead(root, head);
    ret_status->owner = tg_load_relaxed(&head->owner_kind);
    ret_status->mode = tg_load_relaxed(&head->mode);
    ret_status->owner_uid = st.st_uid;
    ret_status->owner_pid = (int32_t)tg_load_relaxed(&head->owner_pid);
    ret_status->locked = (tg_load_relaxed(&head->lock) & ~TG_TOKEN_FLAGS) != 0;
    ret_status->size = tg_load_relaxed(&head->size);
    ret_status->bytes = (uint64_t)st.st_blocks * 512;
    tg_sys_unmap(head, TG_PAGE);
    return dead ? -ENOENT : 0;
}

int tg_region_stat(const char *name, tong_region_status *ret_status)
{
    char file[FILE_NAME_MAX];
    int r = ret_status == NULL || ret_status->struct_size < sizeof *ret_status
                ? -EINVAL
                : file_name(name, file);
    if (r < 0) {
        return r;
    }
    struct tg_root *root;
    r = tg_root_get(false, &root);
    if (r < 0) {
        return r;
    }
    tong_region_status status = TONG_REGION_STATUS_INIT;
    r = look(root, file, &status);
    memcpy(status.name, name, strlen(name));
    tg_root_put(root);
    if (r == 0) {
        *ret_status = status;
    }
    return r;
}

int tg_region_list(tong_region_list_fn *each, void *arg)
{
    if (each == NULL) {
        return -EINVAL;
    }
    struct tg_root *root;
    int r = tg_root_get(false, &root);
    if (r < 0) {
        return r == -ENOENT ? 0 : r;
    }
    struct tg_names names = { 0 };
    r = tg_names_read(root, true, &names);
    for (size_t i = 0; r == 0 && i < names.n; i++) {
        tong_region_status status = TONG_REGION_STATUS_INIT;
        char file[FILE_NAME_MAX] = "+";
        memcpy(status.name, names.name[i], TONG_NAME_MAX);
        memcpy(file + 1, names.name[i], TONG_NAME_MAX);
        const int error = look(root, file, &status);
        if (error != -ENOENT) {
            r = each(&status, error, arg);
        }
    }
    tg_names_free(&names);
    tg_root_put(root);
    return r;
}
