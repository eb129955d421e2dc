/*
 * The folder that holds everything, found, made and checked.
 *
 * A folder is safe to use if it is a real directory, belongs to this user or to root, and nobody
 * else may take files out of it: either only its owner can write there, or it is sticky and
 * closed to all but a group. One struct a folder and process, shared by all handles.
 */
#include "region/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCK_NAME ".lock"
#define TEMP_DIR ".tmp"

static pthread_mutex_t roots_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tg_root *roots;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_result;
tg_a32 tg_fork_counter;

static void before_fork(void)
{
    (void)pthread_mutex_lock(&roots_lock);
    for (struct tg_root *r = roots; r != NULL; r = r->next) {
        (void)pthread_mutex_lock(&r->lock);
    }
}

static void release_all(void)
{
    for (struct tg_root *r = roots; r != NULL; r = r->next) {
        (void)pthread_mutex_unlock(&r->lock);
    }
    (void)pthread_mutex_unlock(&roots_lock);
}

/* The child holds no record: its parent's lock must end with its parent. */
static void after_fork_in_child(void)
{
    (void)atomic_fetch_add_explicit(&tg_fork_counter, 1, memory_order_relaxed);
    for (struct tg_root *r = roots; r != NULL; r = r->next) {
        tg_life_after_fork(r);
    }
    release_all();
}

static void init_once(void)
{
    once_result = tg_life_process_init();
    if (once_result == 0) {
        once_result = -pthread_atfork(before_fork, release_all, after_fork_in_child);
    }
}

int tg_process_init(void)
{
    (void)pthread_once(&once, init_once);
    return once_result;
}

int tg_root_path(char *ret_path, size_t size)
{
    const char *dir = secure_getenv("TONG_DIR");
    char own[64];
    if (dir == NULL || dir[0] == '\0') {
        (void)snprintf(own, sizeof own, "/dev/shm/tong-%u", (unsigned)geteuid());
        dir = own;
    }
    const size_t len = strlen(dir);
    if (len >= size) {
        return -ENAMETOOLONG;
    }
    memcpy(ret_path, dir, len + 1);
    return (int)len;
}

static int check_folder(const struct stat *st)
{
    const uid_t me = geteuid();
    if (!S_ISDIR(st->st_mode) || (st->st_uid != me && st->st_uid != 0)) {
        return -EACCES;
    }
    const bool others_write = (st->st_mode & S_IWOTH) != 0;
    const bool group_writes = (st->st_mode & S_IWGRP) != 0;
    const bool sticky = (st->st_mode & S_ISVTX) != 0;
    if (others_write || (group_writes && !sticky)) {
        return -EACCES;
    }
    return 0;
}

static int open_folder(bool create, int *ret_fd, struct stat *ret_st)
{
    char path[4096];
    int r = tg_root_path(path, sizeof path);
    if (r < 0) {
        return r;
    }
    if (path[0] != '/') {
        return -EACCES;
    }
    tg_fd fd = tg_sys_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd == -ENOENT && create) {
        r = tg_sys_mkdir(AT_FDCWD, path, 0700);
        if (r < 0 && r != -EEXIST) {
            return r == -ENOENT ? -EACCES : r; /* nothing to make it in */
        }
        fd = tg_sys_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    }
    if (fd < 0) {
        /* A link, or no directory: somebody else may have put it there. */
        return fd == -ELOOP || fd == -ENOTDIR ? -EACCES : fd;
    }
    r = tg_sys_fstat(fd, ret_st);
    if (r == 0) {
        r = check_folder(ret_st);
    }
    if (r < 0) {
        return r;
    }
    *ret_fd = tg_steal_fd(&fd);
    return 0;
}

/* roots_lock held; fd becomes the root's. */
static int add_root(int fd, const struct stat *st, struct tg_root **ret_root)
{
    struct tg_root *root = calloc(1, sizeof *root);
    if (root == NULL) {
        return -ENOMEM;
    }
    root->dev = st->st_dev;
    root->ino = st->st_ino;
    root->uid = geteuid();
    root->mode = st->st_mode & 07777;
    root->refs = 1;
    root->fd = fd;
    root->life_fd = -1;
    (void)pthread_mutex_init(&root->lock, NULL);
    root->next = roots;
    roots = root;
    *ret_root = root;
    return 0;
}

/* roots_lock held. In a folder that somebody emptied the old handles go on, and new ones begin anew; so
 * does a process that has become another user. */
static struct tg_root *find_root(const struct stat *st)
{
    const uint32_t me = geteuid();
    struct tg_root *root = roots;
    while (root != NULL && (root->dev != st->st_dev || root->ino != st->st_ino || root->uid != me ||
                            !tg_life_is_published(root))) {
        root = root->next;
    }
    if (root != NULL) {
        root->refs++;
        root->mode = st->st_mode & 07777;
    }
    return root;
}

/* The folder of the path, if this process has it open: one look instead of opening it. */
static struct tg_root *find_open_root(void)
{
    char path[4096];
    struct stat st;
    (void)pthread_mutex_lock(&roots_lock);
    const bool none = roots == NULL;
    (void)pthread_mutex_unlock(&roots_lock);
    if (none || tg_root_path(path, sizeof path) < 0 || path[0] != '/' ||
        tg_sys_stat(AT_FDCWD, path, &st) < 0 || check_folder(&st) < 0) {
        return NULL; /* open_folder() tells why */
    }
    (void)pthread_mutex_lock(&roots_lock);
    struct tg_root *root = find_root(&st);
    (void)pthread_mutex_unlock(&roots_lock);
    return root;
}

/* The root of a folder that is open and safe. *fd is the root's, if there was none yet. */
static int find_or_add(int *fd, const struct stat *st, struct tg_root **ret_root)
{
    int r = 0;
    (void)pthread_mutex_lock(&roots_lock);
    struct tg_root *root = find_root(st);
    if (root == NULL) {
        r = add_root(*fd, st, &root);
        if (r == 0) {
            (void)tg_steal_fd(fd);
        }
    }
    (void)pthread_mutex_unlock(&roots_lock);
    if (r == 0) {
        *ret_root = root;
    }
    return r;
}

int tg_root_get(bool create, struct tg_root **ret_root)
{
    int r = tg_process_init();
    if (r < 0) {
        return r;
    }
    struct tg_root *root = find_open_root();
    if (root != NULL) {
        *ret_root = root;
        return 0;
    }
    struct stat st;
    tg_fd fd = -1;
    r = open_folder(create, &fd, &st);
    return r < 0 ? r : find_or_add(&fd, &st, ret_root);
}

struct tg_root *tg_root_again(struct tg_root *root)
{
    if (root->uid != geteuid() || !tg_life_is_published(root)) {
        return NULL;
    }
    (void)pthread_mutex_lock(&roots_lock);
    root->refs++;
    (void)pthread_mutex_unlock(&roots_lock);
    return root;
}

void tg_root_put(struct tg_root *root)
{
    if (root == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&roots_lock);
    const bool last = --root->refs == 0;
    if (last) {
        struct tg_root **at = &roots;
        while (*at != root) {
            at = &(*at)->next;
        }
        *at = root->next;
    }
    (void)pthread_mutex_unlock(&roots_lock);
    if (last) {
        tg_life_forget_peers(root);
        tg_sys_close(root->life_fd);
        tg_sys_close(root->fd);
        (void)pthread_mutex_destroy(&root->lock);
        free(root);
    }
}

bool tg_root_may_own(const struct tg_root *root, uint32_t uid)
{
    return root->uid == uid || root->uid == 0;
}

int tg_root_fd(const struct tg_root *root)
{
    return root->fd;
}

bool tg_root_is_shared(const struct tg_root *root)
{
    return (root->mode & (S_IWGRP | S_IRGRP)) != 0;
}

/* ---- what all users of a shared folder need: whole, with its rights, before it has its name */

#define NEW_PREFIX ".new."

/* What a maker of this user left that died, or is about to name: that one begins again. */
static int sweep_new(const char *name, unsigned char type, void *arg)
{
    const struct tg_root *root = arg;
    struct stat st;
    (void)type;
    if (strncmp(name, NEW_PREFIX, strlen(NEW_PREFIX)) == 0 &&
        tg_sys_stat(root->fd, name, &st) == 0 && st.st_uid == geteuid()) {
        (void)(S_ISDIR(st.st_mode) ? tg_sys_rmdir(root->fd, name) : tg_sys_unlink(root->fd, name));
    }
    return 0;
}

static int make_under(const struct tg_root *root, const char *temp, bool folder)
{
    const uint32_t mode = folder ? root->mode & 07777 : 0660;
    int r = folder ? tg_sys_mkdir(root->fd, temp, 0700) : 0;
    tg_fd fd = r < 0
                   ? r
                   : tg_sys_open(root->fd, temp,
                                 folder ? O_RDONLY | O_DIRECTORY : O_RDWR | O_CREAT | O_EXCL, 0600);
    r = fd < 0 ? fd : tg_sys_chmod(fd, mode);
    return r;
}

/* 0: it is there now, whoever made it. */
static int make_for_all(struct tg_root *root, const char *name, bool folder)
{
    int r;
    (void)tg_sys_list(root->fd, sweep_new, root);
    for (int tries = 0; tries < 16; tries++) {
        uint64_t random;
        char temp[32];
        r = tg_sys_random(&random, sizeof random);
        if (r < 0) {
            return r;
        }
        (void)snprintf(temp, sizeof temp, NEW_PREFIX "%016llx", (unsigned long long)random);
        r = make_under(root, temp, folder);
        if (r == 0) {
            r = tg_sys_rename(root->fd, temp, name, false);
        }
        if (r < 0) {
            (void)(folder ? tg_sys_rmdir(root->fd, temp) : tg_sys_unlink(root->fd, temp));
        }
        if (r != -ENOENT) {
            break; /* swept away by another one of this user: again */
        }
    }
    return r == -EEXIST ? 0 : r;
}

int tg_root_make_folder(struct tg_root *root, const char *name)
{
    if (tg_root_is_shared(root)) {
        return make_for_all(root, name, true);
    }
    const int r = tg_sys_mkdir(root->fd, name, 0700);
    return r == -EEXIST ? 0 : r;
}

static int open_inner(struct tg_root *outer, const char *name, bool create, int *ret_fd,
                      struct stat *ret_st)
{
    tg_fd fd = tg_sys_open(outer->fd, name, O_RDONLY | O_DIRECTORY, 0);
    if (fd == -ENOENT && create) {
        const int r = tg_root_make_folder(outer, name);
        if (r < 0) {
            return r;
        }
        fd = tg_sys_open(outer->fd, name, O_RDONLY | O_DIRECTORY, 0);
    }
    if (fd < 0) {
        return fd == -ELOOP || fd == -ENOTDIR ? -EACCES : fd;
    }
    int r = tg_sys_fstat(fd, ret_st);
    if (r == 0) {
        r = check_folder(ret_st);
    }
    if (r == 0) {
        *ret_fd = tg_steal_fd(&fd);
    }
    return r;
}

int tg_root_get_inner(const char *name, bool create, struct tg_root **ret_root)
{
    struct tg_root *outer;
    int r = tg_root_get(create, &outer);
    if (r < 0 || name == NULL) {
        if (r == 0) {
            *ret_root = outer;
        }
        return r;
    }
    struct stat st;
    tg_fd fd = -1;
    r = open_inner(outer, name, create, &fd, &st);
    tg_root_put(outer);
    return r < 0 ? r : find_or_add(&fd, &st, ret_root);
}

/* Not O_CREAT on one that is there: in a sticky folder the kernel may refuse another user's. */
static int open_lock(struct tg_root *root, int *ret_fd)
{
    int fd = tg_sys_open(root->fd, LOCK_NAME, O_RDWR, 0);
    while (fd == -ENOENT || fd == -EEXIST) {
        if (tg_root_is_shared(root)) {
            const int r = make_for_all(root, LOCK_NAME, false);
            fd = r < 0 ? r : tg_sys_open(root->fd, LOCK_NAME, O_RDWR, 0);
        } else {
            fd = tg_sys_open(root->fd, LOCK_NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
            fd = fd == -EEXIST ? tg_sys_open(root->fd, LOCK_NAME, O_RDWR, 0) : fd;
        }
    }
    *ret_fd = fd;
    return fd < 0 ? fd : 0;
}

int tg_root_lock(struct tg_root *root, bool wait, int *ret_fd)
{
    tg_fd fd = -1;
    int r = open_lock(root, &fd);
    if (r == 0) {
        r = tg_sys_lock(fd, wait);
    }
    if (r < 0) {
        return r;
    }
    *ret_fd = tg_steal_fd(&fd);
    return 0;
}

/* The length, and last the rights, so that nobody else opens what is not whole, and against the umask. What is
 * not whole goes. r: what came of the first bytes. */
static int finish_file(int dir, const char *name, int fd, int r, bool longer, uint64_t size,
                       uint32_t mode)
{
    if (r == 0 && longer) {
        r = tg_sys_truncate(fd, size);
    }
    if (r == 0 && mode != 0600) {
        r = tg_sys_chmod(fd, mode);
    }
    if (r < 0) {
        (void)tg_sys_unlink(dir, name);
    }
    return r;
}

int tg_file_make(int dir, const char *name, uint64_t size, uint64_t reserved, uint32_t mode,
                 int *ret_fd)
{
    tg_fd fd = tg_sys_open(dir, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
        return fd;
    }
    int r = tg_sys_allocate(fd, 0, reserved);
    r = finish_file(dir, name, fd, r, size > reserved, size, mode);
    if (r == 0) {
        *ret_fd = tg_steal_fd(&fd);
    }
    return r;
}

int tg_file_write(int dir, const char *name, const void *content, size_t len, uint64_t size,
                  uint32_t mode, int *ret_fd)
{
    tg_fd fd = tg_sys_open(dir, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
        return fd;
    }
    int r = tg_sys_pwrite(fd, content, len, 0);
    r = finish_file(dir, name, fd, r, size > len, size, mode);
    if (r == 0) {
        *ret_fd = tg_steal_fd(&fd);
    }
    return r;
}

uint32_t tg_file_mode(uint32_t mode, bool all_write)
{
    uint32_t file = 0600;
    if ((mode & 0060) != 0) {
        file |= all_write ? 0060 : 0040;
    }
    if ((mode & 0006) != 0) {
        file |= all_write ? 0006 : 0004;
    }
    return file;
}

void tg_root_temp_name(struct tg_root *root, const char *what, char *ret_name, size_t size)
{
    (void)pthread_mutex_lock(&root->lock);
    const uint32_t n = root->temp_count++;
    (void)pthread_mutex_unlock(&root->lock);
    if (n == 0) {
        (void)tg_root_make_folder(root, TEMP_DIR);
    }
    (void)snprintf(ret_name, size, TEMP_DIR "/%s.%016llx.%x", what,
                   (unsigned long long)tg_life_id(root), n);
}

bool tg_root_temp_is_dead(struct tg_root *root, const char *name, uint32_t uid)
{
    const char *dot = strchr(name, '.');
    unsigned long long id = 0;
    if (dot == NULL || sscanf(dot + 1, "%16llx", &id) != 1 || id == 0) {
        return false;
    }
    return !tg_life_is_alive_of(root, id, uid);
}

/* What tmpfs says of a folder without an entry. Elsewhere an empty one has another number and is looked at; one that
 * has this number by chance is passed by, until the next visit that finds another. */
#define TMPFS_EMPTY 40

bool tg_root_temp_is_empty(const struct tg_root *root)
{
    struct stat st;
    return tg_sys_stat(root->fd, TEMP_DIR, &st) == 0 && st.st_size == TMPFS_EMPTY;
}

int tg_root_temp_open(const struct tg_root *root)
{
    return tg_sys_open(root->fd, TEMP_DIR, O_RDONLY | O_DIRECTORY, 0);
}
