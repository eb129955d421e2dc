/*
 * A mailbox's folder: attach to it, end it.
 *
 * Its life:
 *
 *   state        facts                                          left by
 *   (none)       no folder of that name                         open: rename of a whole folder
 *   ALIVE        the folder has the name                        remove; its owner's close or death
 *   REMOVED      calls answer -EIDRM                            for ever
 *   OWNER_GONE   calls answer -EOWNERDEAD                       for ever
 *
 * I1  The state is stored before the name goes. Whoever finds a name whose state is not ALIVE, or
 *     whose owner is dead, treats it as absent and finishes the removal.
 * I2  A name is taken away only under the root's lock and after looking at the folder again there,
 *     so that a new mailbox of the same name is never hit.
 * I3  A folder that lost its name lies in ".tmp"; any visit of its user deletes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/name.h"
#include "mailbox/box.h"

#define BOX_FILE "box"
#define ROOM_FILE "room"

/* ---- looking */

static void view_set(struct tg_box_view *view, void *p)
{
    view->head = p;
    view->slots = (struct tg_box_slot *)(void *)((uint8_t *)p + TG_BOX_SLOTS_OFF);
    view->rows = (struct tg_box_row *)(void *)((uint8_t *)p + TG_BOX_ROWS_OFF);
    view->entries = (struct tg_box_entry *)(void *)((uint8_t *)p + TG_BOX_ENTRIES_OFF);
}

static int map_box(int dir, bool write, void **ret_p)
{
    tg_fd fd = tg_sys_open(dir, BOX_FILE, (write ? O_RDWR : O_RDONLY) | O_NONBLOCK, 0);
    if (fd < 0) {
        return fd == -ENOENT || fd == -ELOOP || fd == -ENXIO || fd == -EISDIR ? -EPROTO : fd;
    }
    struct stat st;
    int r = tg_sys_fstat(fd, &st);
    if (r < 0) {
        return r;
    }
    if (!S_ISREG(st.st_mode) || st.st_size != TG_BOX_SIZE) {
        return -EPROTO;
    }
    void *p = NULL;
    r = tg_sys_map(fd, 0, TG_BOX_SIZE, write, &p);
    if (r < 0) {
        return r;
    }
    const struct tg_box_head *head = p;
    if (tg_load_acquire(&head->magic) != TG_BOX_MAGIC ||
        tg_load_relaxed(&head->version) != TG_BOX_VERSION ||
        tg_load_relaxed(&head->size) != TG_BOX_SIZE) {
        tg_sys_unmap(p, TG_BOX_SIZE);
        return -EPROTO;
    }
    *ret_p = p;
    return 0;
}

static int open_dir(struct tg_root *root, const char *name, int *ret_dir, struct stat *ret_st)
{
    tg_fd dir = tg_sys_open(tg_root_fd(root), name, O_RDONLY | O_DIRECTORY, 0);
    if (dir < 0) {
        return dir == -ENOTDIR || dir == -ELOOP ? -EPROTO : dir;
    }
    const int r = tg_sys_fstat(dir, ret_st);
    if (r < 0) {
        return r;
    }
    *ret_dir = tg_steal_fd(&dir);
    return 0;
}

int tg_box_view_open(struct tg_root *root, const char *name, bool write, struct tg_box_view *view)
{
    struct stat st;
    tg_fd dir = -1;
    int r = open_dir(root, name, &dir, &st);
    void *p = NULL;
    if (r == 0) {
        r = map_box(dir, write, &p);
    }
    if (r < 0) {
        return r;
    }
    view_set(view, p);
    view->uid = st.st_uid;
    view->dir = tg_steal_fd(&dir);
    return 0;
}

void tg_box_view_close(struct tg_box_view *view)
{
    tg_sys_unmap(view->head, TG_BOX_SIZE);
    tg_sys_close(view->dir);
}

bool tg_box_view_is_dead(struct tg_root *root, const struct tg_box_view *view)
{
    const uint64_t owner = tg_load_relaxed(&view->head->owner);
    return tg_load_acquire(&view->head->state) != TG_ALIVE ||
           (owner != 0 && !tg_life_is_alive(root, owner));
}

/* ---- ending */

/* Senders that queue for room. */
static void wake_queue(int dir)
{
    tg_fd fd = tg_sys_open(dir, ROOM_FILE, O_RDWR | O_NONBLOCK, 0);
    struct stat st;
    void *p = NULL;
    if (fd < 0 || tg_sys_fstat(fd, &st) < 0 || st.st_size != TG_ROOM_SIZE ||
        tg_sys_map(fd, 0, TG_ROOM_SIZE, true, &p) < 0) {
        return;
    }
    struct tg_room_head *room = p;
    struct tg_room_row *rows = (struct tg_room_row *)(void *)((uint8_t *)p + TG_ROOM_ROWS_OFF);
    const uint32_t n = tg_load_acquire(&room->n_rows);
    for (uint32_t i = 0; i < n && i < TG_LINKS_MAX; i++) {
        (void)tg_add(&rows[i].nudge, 1);
        tg_sys_futex_wake(&rows[i].nudge, INT_MAX);
    }
    tg_sys_unmap(p, TG_ROOM_SIZE);
}

static void wake_everybody(const struct tg_box_view *view)
{
    struct tg_box_head *head = view->head;
    char name[32];
    (void)snprintf(name, sizeof name, "bell.%u", (unsigned)view->uid);
    tg_fd fd = tg_sys_open(view->dir, name, O_RDWR, 0);
    void *p = NULL;
    if (fd >= 0 && tg_sys_map(fd, 0, TG_BELLS_SIZE, true, &p) == 0) {
        struct tg_bells *bells = p;
        const uint32_t n = tg_load_acquire(&head->n_slots);
        for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX; i++) {
            (void)tg_add(&bells->slot[i].bell, 1);
            tg_sys_futex_wake(&bells->slot[i].bell, INT_MAX);
        }
        tg_sys_unmap(p, TG_BELLS_SIZE);
    }
    const uint32_t n = tg_load_acquire(&head->n_rows);
    for (uint32_t i = 0; i < n && i < TG_LINKS_MAX; i++) {
        (void)tg_add(&view->rows[i].bell, 1);
        tg_sys_futex_wake(&view->rows[i].bell, INT_MAX);
    }
    (void)tg_add(&head->room, 1);
    tg_sys_futex_wake(&head->room, INT_MAX);
    wake_queue(view->dir);
}

static int unlink_each(const char *name, unsigned char type, void *arg)
{
    (void)type;
    (void)tg_sys_unlink(*(const int *)arg, name);
    return 0;
}

/* Delete a folder that has no name any more. */
static int delete_folder(int parent, const char *name)
{
    tg_fd dir = tg_sys_open(parent, name, O_RDONLY | O_DIRECTORY, 0);
    if (dir < 0) {
        return dir == -ENOTDIR ? tg_sys_unlink(parent, name) : dir;
    }
    (void)tg_sys_list(dir, unlink_each, &dir);
    return tg_sys_rmdir(parent, name);
}

/* Root's lock held. */
static int move_away(struct tg_root *root, const char *name)
{
    char temp[64];
    tg_root_temp_name(root, "gone", temp, sizeof temp);
    int r = tg_sys_rename(tg_root_fd(root), name, temp, false);
    if (r == 0) {
        (void)delete_folder(tg_root_fd(root), temp);
    }
    return r;
}

static int end_view(struct tg_root *root, const char *name, bool whatever,
                    const struct tg_box_view *view)
{
    if (view->uid != geteuid() && geteuid() != 0) {
        return -EPERM;
    }
    const bool dead = tg_box_view_is_dead(root, view);
    if (!dead && !whatever) {
        return -EEXIST;
    }
    uint32_t alive = TG_ALIVE;
    const bool owned = tg_load_relaxed(&view->head->owner) != 0;
    (void)tg_cas(&view->head->state, &alive,
                 (uint32_t)(dead && owned ? TG_OWNER_GONE : TG_REMOVED));
    wake_everybody(view);
    return move_away(root, name);
}

int tg_box_take_away(struct tg_root *root, const char *name, bool whatever, bool only_id,
                     const uint8_t id[16])
{
    tg_fd lock = -1;
    int r = tg_root_lock(root, true, &lock);
    if (r < 0) {
        return r;
    }
    struct tg_box_view view;
    r = tg_box_view_open(root, name, true, &view);
    if (r == -EPROTO && whatever) {
        struct stat st;
        r = tg_sys_stat(tg_root_fd(root), name, &st);
        if (r == 0 && !S_ISDIR(st.st_mode)) {
            return -EPROTO;
        }
        return r < 0 ? r : move_away(root, name);
    }
    if (r < 0) {
        return r == -EACCES ? -EPERM : r;
    }
    if (only_id && memcmp(view.head->id, id, 16) != 0) {
        r = -ENOENT;
    } else {
        r = end_view(root, name, whatever, &view);
    }
    tg_box_view_close(&view);
    return r;
}

int tg_box_remove(const char *name)
{
    int r = tg_name_check(name);
    if (r < 0) {
        return r;
    }
    struct tg_root *root;
    r = tg_root_get(false, &root);
    if (r < 0) {
        return r;
    }
    uint64_t me;
    r = tg_life_join(root, &me);
    if (r == 0) {
        struct tg_box_view view;
        bool dead = false;
        if (tg_box_view_open(root, name, false, &view) == 0) {
            dead = tg_box_view_is_dead(root, &view);
            tg_box_view_close(&view);
        }
        r = tg_box_take_away(root, name, true, false, NULL);
        (void)tg_box_sweep(root, true);
        tg_life_leave(root);
        r = r == 0 && dead ? -ENOENT : r;
    }
    tg_root_put(root);
    return r;
}

struct temp_sweep {
    struct tg_root *root;
    int dir;
    uint32_t found;
    bool repair;
};

static int sweep_temp(const char *name, unsigned char type, void *arg)
{
    struct temp_sweep *sweep = arg;
    (void)type;
    struct stat st;
    if (!tg_root_temp_is_dead(sweep->root, name) || tg_sys_stat(sweep->dir, name, &st) < 0 ||
        (st.st_uid != geteuid() && geteuid() != 0)) {
        return 0;
    }
    sweep->found++;
    if (sweep->repair) {
        (void)delete_folder(sweep->dir, name);
    }
    return 0;
}

uint32_t tg_box_sweep(struct tg_root *root, bool repair)
{
    tg_fd dir = tg_root_temp_open(root);
    struct temp_sweep sweep = { .root = root, .dir = dir, .repair = repair };
    if (dir >= 0) {
        (void)tg_sys_list(dir, sweep_temp, &sweep);
    }
    return sweep.found;
}

/* ---- making */

static uint32_t acting_link_capacity(const tong_options *o)
{
    if (o->link_capacity != TONG_DEFAULT) {
        return o->link_capacity;
    }
    return o->capacity == TONG_UNBOUNDED ? 1024 : TONG_UNBOUNDED;
}

static void write_box(struct tg_box_head *head, const tong_options *o, const uint8_t id[16],
                      uint64_t owner)
{
    memcpy(head->id, id, 16);
    tg_store_relaxed(&head->version, TG_BOX_VERSION);
    tg_store_relaxed(&head->size, TG_BOX_SIZE);
    tg_store_relaxed(&head->state, (uint32_t)TG_ALIVE);
    tg_store_relaxed(&head->delivery, o->delivery);
    tg_store_relaxed(&head->owner_kind, o->owner);
    tg_store_relaxed(&head->full, o->full);
    tg_store_relaxed(&head->mode, o->mode);
    tg_store_relaxed(&head->capacity, o->capacity);
    tg_store_relaxed(&head->link_capacity, acting_link_capacity(o));
    tg_store_relaxed(&head->message_size, o->message_size);
    tg_store_relaxed(&head->max_bytes, o->max_bytes);
    tg_store_relaxed(&head->owner, owner);
    tg_store_relaxed(&head->owner_pid, owner != 0 ? (uint32_t)getpid() : 0);
    tg_store_release(&head->magic, TG_BOX_MAGIC);
}

static int make_box_file(struct tg_box *box, int dir, const tong_options *o)
{
    tg_fd fd = -1;
    int r = tg_file_make(dir, BOX_FILE, TG_BOX_SIZE, TG_PAGE, tg_file_mode(o->mode, false), &fd);
    if (r == 0) {
        r = tg_sys_allocate(fd, TG_BOX_SLOTS_OFF, TG_PAGE);
    }
    if (r == 0) {
        r = tg_sys_allocate(fd, TG_BOX_ROWS_OFF, TG_PAGE);
    }
    void *p = NULL;
    if (r == 0) {
        r = tg_sys_map(fd, 0, TG_PAGE, true, &p);
    }
    if (r < 0) {
        return r;
    }
    struct tg_box_head *head = p;
    tg_store_relaxed(&head->n_rows, (uint32_t)(TG_PAGE / sizeof(struct tg_box_row)));
    write_box(head, o, box->id, o->owner == TONG_PROCESS ? box->me : 0);
    tg_sys_unmap(p, TG_PAGE);
    return 0;
}

static int make_room_file(struct tg_box *box, int dir, const tong_options *o)
{
    tg_fd fd = -1;
    int r = tg_file_make(dir, ROOM_FILE, TG_ROOM_SIZE, TG_PAGE, tg_file_mode(o->mode, true), &fd);
    void *p = NULL;
    if (r == 0) {
        r = tg_sys_map(fd, 0, TG_PAGE, true, &p);
    }
    if (r < 0) {
        return r;
    }
    struct tg_room_head *room = p;
    memcpy(room->box_id, box->id, 16);
    tg_store_relaxed(&room->version, TG_BOX_VERSION);
    tg_store_relaxed(&room->users, UINT32_C(1));
    tg_store_release(&room->magic, TG_ROOM_MAGIC);
    tg_sys_unmap(p, TG_PAGE);
    return 0;
}

static int make_bell_file(const struct tg_box *box, int dir, const char *name, uint32_t mode)
{
    tg_fd fd = -1;
    int r = tg_file_make(dir, name, TG_BELLS_SIZE, TG_BELLS_SIZE, tg_file_mode(mode, false), &fd);
    void *p = NULL;
    if (r == 0) {
        r = tg_sys_map(fd, 0, TG_BELLS_SIZE, true, &p);
    }
    if (r < 0) {
        return r;
    }
    struct tg_bells *bells = p;
    memcpy(bells->box_id, box->id, 16);
    tg_store_relaxed(&bells->version, TG_BOX_VERSION);
    tg_store_release(&bells->magic, TG_BELL_MAGIC);
    tg_sys_unmap(p, TG_BELLS_SIZE);
    return 0;
}

static int fill_folder(struct tg_box *box, int dir, const tong_options *o)
{
    char bell[32];
    (void)snprintf(bell, sizeof bell, "bell.%u", (unsigned)geteuid());
    int r = make_bell_file(box, dir, bell, o->mode);
    if (r == 0) {
        r = make_room_file(box, dir, o);
    }
    if (r == 0) {
        r = make_box_file(box, dir, o);
    }
    /* Users with a group may put their links here, but not take others' away. */
    if (r == 0 && (o->mode & 0077) != 0) {
        r = tg_sys_chmod(dir, 03700 | ((o->mode & 0060) != 0 ? 0070 : 0) |
                                  ((o->mode & 0006) != 0 ? 0007 : 0));
    }
    return r;
}

static int make_folder(struct tg_box *box, const tong_options *o)
{
    int r = tg_sys_random(box->id, sizeof box->id);
    if (r < 0) {
        return r;
    }
    char temp[64];
    const int root = tg_root_fd(box->root);
    tg_root_temp_name(box->root, "new", temp, sizeof temp);
    r = tg_sys_mkdir(root, temp, 0700);
    if (r < 0) {
        return r;
    }
    tg_fd dir = tg_sys_open(root, temp, O_RDONLY | O_DIRECTORY, 0);
    r = dir < 0 ? dir : fill_folder(box, dir, o);
    if (r == 0) {
        r = tg_sys_rename(root, temp, box->name, false);
    }
    if (r < 0) {
        (void)delete_folder(root, temp);
    }
    return r;
}

/* ---- attaching */

static bool options_differ(const struct tg_box *box, const tong_options *o)
{
    const struct tg_box_head *head = box->head;
    return o->delivery != tg_load_relaxed(&head->delivery) ||
           o->owner != tg_load_relaxed(&head->owner_kind) ||
           o->full != tg_load_relaxed(&head->full) || o->mode != tg_load_relaxed(&head->mode) ||
           o->capacity != tg_load_relaxed(&head->capacity) ||
           acting_link_capacity(o) != tg_load_relaxed(&head->link_capacity) ||
           o->message_size != tg_load_relaxed(&head->message_size) ||
           o->max_bytes != tg_load_relaxed(&head->max_bytes);
}

static int read_options(struct tg_box *box)
{
    const struct tg_box_head *head = box->head;
    memcpy(box->id, head->id, 16);
    box->policy = tg_policy_of(tg_load_relaxed(&head->delivery));
    box->full = tg_load_relaxed(&head->full);
    box->mode = tg_load_relaxed(&head->mode);
    box->capacity = tg_load_relaxed(&head->capacity);
    box->link_capacity = tg_load_relaxed(&head->link_capacity);
    box->message_size = tg_load_relaxed(&head->message_size);
    box->max_bytes = tg_load_relaxed(&head->max_bytes);
    box->owner = tg_load_relaxed(&head->owner);
    const bool bad_capacity = box->capacity > TONG_CAPACITY_MAX && box->capacity != TONG_UNBOUNDED;
    const bool bad_link = box->link_capacity == 0 || (box->link_capacity > TONG_CAPACITY_MAX &&
                                                      box->link_capacity != TONG_UNBOUNDED);
    return box->policy == NULL || box->full > TONG_DROP_NEWEST || bad_capacity || bad_link
               ? -EPROTO
               : 0;
}

static int map_room(struct tg_box *box)
{
    const bool write = (box->flags & TONG_SEND) != 0;
    tg_fd fd = tg_sys_open(box->dir, ROOM_FILE, (write ? O_RDWR : O_RDONLY) | O_NONBLOCK, 0);
    if (fd < 0) {
        return fd == -ENOENT || fd == -ELOOP || fd == -ENXIO ? -EPROTO : fd;
    }
    struct stat st;
    int r = tg_sys_fstat(fd, &st);
    if (r == 0 && (!S_ISREG(st.st_mode) || st.st_size != TG_ROOM_SIZE)) {
        r = -EPROTO;
    }
    void *p = NULL;
    if (r == 0) {
        r = tg_sys_map(fd, 0, TG_ROOM_SIZE, write, &p);
    }
    if (r < 0) {
        return r;
    }
    box->room = p;
    box->room_rows = (struct tg_room_row *)(void *)((uint8_t *)p + TG_ROOM_ROWS_OFF);
    return tg_load_acquire(&box->room->magic) == TG_ROOM_MAGIC &&
                   memcmp(box->room->box_id, box->id, 16) == 0
               ? 0
               : -EPROTO;
}

static int map_bells(struct tg_box *box, const char *name, uint32_t uid)
{
    struct tg_user_bells *user = &box->users[box->n_users];
    user->writable = true;
    tg_fd fd = tg_sys_open(box->dir, name, O_RDWR | O_NONBLOCK, 0);
    if (fd == -EACCES) {
        user->writable = false;
        fd = tg_sys_open(box->dir, name, O_RDONLY | O_NONBLOCK, 0);
    }
    struct stat st;
    int r = fd < 0 ? fd : tg_sys_fstat(fd, &st);
    if (r < 0) {
        return r;
    }
    /* A bell file is its user's: another one's under this name is not looked at. */
    if (!S_ISREG(st.st_mode) || st.st_size != TG_BELLS_SIZE || st.st_uid != uid) {
        return 0;
    }
    void *p = NULL;
    r = tg_sys_map(fd, 0, TG_BELLS_SIZE, user->writable, &p);
    if (r < 0) {
        return r;
    }
    const struct tg_bells *bells = p;
    if (tg_load_acquire(&bells->magic) != TG_BELL_MAGIC ||
        memcmp(bells->box_id, box->id, 16) != 0) {
        tg_sys_unmap(p, TG_BELLS_SIZE);
        return 0;
    }
    user->bells = p;
    user->uid = uid;
    user->links_seen = 0;
    box->n_users++;
    return 0;
}

static int find_user(const char *name, unsigned char type, void *arg)
{
    struct tg_box *box = arg;
    (void)type;
    char *end = NULL;
    if (strncmp(name, "bell.", 5) != 0 || name[5] < '0' || name[5] > '9') {
        return 0;
    }
    const unsigned long uid = strtoul(name + 5, &end, 10);
    if (*end != '\0' || uid > UINT32_MAX || box->n_users == TG_USERS_MAX) {
        return 0;
    }
    for (uint32_t i = 0; i < box->n_users; i++) {
        if (box->users[i].uid == uid) {
            return 0;
        }
    }
    const int r = map_bells(box, name, (uint32_t)uid);
    return r == -ENOENT ? 0 : r;
}

static void choose_ring(struct tg_box *box)
{
    box->ring = UINT32_MAX;
    for (uint32_t i = 0; i < box->n_users; i++) {
        const struct tg_user_bells *user = &box->users[i];
        if (user->writable &&
            (user->uid == box->dir_uid || (box->ring == UINT32_MAX && user->uid == geteuid()))) {
            box->ring = i;
        }
    }
}

int tg_box_find_users(struct tg_box *box)
{
    const int r = tg_sys_list(box->dir, find_user, box);
    choose_ring(box);
    return r;
}

/* A sender of a user that may not write the owner's bells has a file of its own. */
static int make_own_bells(struct tg_box *box)
{
    char name[32];
    char temp[64];
    (void)snprintf(name, sizeof name, "bell.%u", (unsigned)geteuid());
    (void)snprintf(temp, sizeof temp, ".new.%016llx.bell", (unsigned long long)box->me);
    int r = make_bell_file(box, box->dir, temp, box->mode);
    if (r == 0) {
        r = tg_sys_rename(box->dir, temp, name, false);
    }
    if (r < 0) {
        (void)tg_sys_unlink(box->dir, temp);
    }
    if (r < 0 && r != -EEXIST) {
        return r;
    }
    (void)tg_add(&box->room->users, 1);
    tg_sys_futex_wake(&box->room->users, INT_MAX);
    return tg_box_find_users(box);
}

static int attach(struct tg_box *box, const tong_options *options)
{
    struct stat st;
    int r = open_dir(box->root, box->name, &box->dir, &st);
    if (r < 0) {
        box->dir = -1;
        return r;
    }
    box->dir_uid = st.st_uid;
    void *p = NULL;
    box->writable = (box->flags & TONG_RECEIVE) != 0;
    r = map_box(box->dir, box->writable, &p);
    if (r < 0) {
        return r;
    }
    struct tg_box_view view = { .dir = box->dir, .uid = st.st_uid };
    view_set(&view, p);
    box->head = view.head;
    box->slots = view.slots;
    box->rows = view.rows;
    box->entries = view.entries;
    memcpy(box->id, box->head->id, 16);
    if (tg_box_view_is_dead(box->root, &view)) {
        return -EOWNERDEAD;
    }
    r = read_options(box);
    if (r == 0 && options != NULL && options_differ(box, options)) {
        r = -EEXIST;
    }
    if (r == 0 && (box->flags & TONG_RECEIVE) != 0 && box->owner != 0 && box->owner != box->me) {
        r = -EPERM;
    }
    if (r == 0) {
        r = map_room(box);
    }
    if (r == 0) {
        r = tg_box_find_users(box);
    }
    if (r == 0 && (box->flags & TONG_SEND) != 0 && box->ring == UINT32_MAX) {
        r = make_own_bells(box);
    }
    return r;
}

static void detach(struct tg_box *box)
{
    tg_sys_unmap(box->head, TG_BOX_SIZE);
    tg_sys_unmap(box->room, TG_ROOM_SIZE);
    for (uint32_t i = 0; i < box->n_users; i++) {
        tg_sys_unmap(box->users[i].bells, TG_BELLS_SIZE);
    }
    tg_sys_close(box->dir);
    box->head = NULL;
    box->room = NULL;
    box->n_users = 0;
    box->dir = -1;
}

/* Attach to what this call has made; -ENOENT if it was removed meanwhile, whoever has the name. */
static int attach_made(struct tg_box *box, const tong_options *options)
{
    uint8_t made[16];
    memcpy(made, box->id, sizeof made);
    int r = attach(box, options);
    if (r == -EOWNERDEAD || (box->head != NULL && memcmp(box->id, made, sizeof made) != 0)) {
        r = -ENOENT;
    }
    if (r < 0) {
        detach(box);
        return r;
    }
    box->owns = box->owner == box->me;
    return 0;
}

static int find_or_make(struct tg_box *box, const tong_options *options)
{
    const tong_options standard = TONG_OPTIONS_INIT;
    const tong_options *wanted = options != NULL ? options : &standard;
    for (int tries = 0; tries < 100; tries++) {
        int r = attach(box, options);
        if (r == 0 && (box->flags & TONG_EXCL) != 0) {
            return -EEXIST;
        }
        if (r == -EOWNERDEAD) {
            uint8_t id[16];
            memcpy(id, box->id, sizeof id);
            detach(box);
            (void)tg_box_take_away(box->root, box->name, false, true, id);
            r = (box->flags & TONG_CREATE) != 0 ? -ENOENT : r;
        }
        if (r != -ENOENT || (box->flags & TONG_CREATE) == 0) {
            return r == -EOWNERDEAD ? -ENOENT : r;
        }
        detach(box);
        r = make_folder(box, wanted);
        if (r == 0) {
            r = attach_made(box, options);
        }
        /* Another one was faster, or removed it at once: look again. */
        if (r != -EEXIST && r != -ENOENT) {
            return r;
        }
    }
    return -EBUSY;
}

static int check_options(const tong_options *o)
{
    if (o == NULL) {
        return 0;
    }
    const bool bad_capacity = o->capacity > TONG_CAPACITY_MAX && o->capacity != TONG_UNBOUNDED;
    const bool bad_link = o->link_capacity > TONG_CAPACITY_MAX &&
                          o->link_capacity != TONG_UNBOUNDED;
    if (o->struct_size < sizeof *o || tg_policy_of(o->delivery) == NULL ||
        o->owner > TONG_PROCESS || o->full > TONG_DROP_NEWEST || bad_capacity || bad_link ||
        (o->mode & ~0666u) != 0 || (o->mode & 0600) != 0600 || o->max_bytes == 0) {
        return -EINVAL;
    }
    return 0;
}

static int check_arguments(unsigned flags, const tong_options *options)
{
    const unsigned known = TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_EXCL;
    if ((flags & ~known) != 0 || (flags & (TONG_SEND | TONG_RECEIVE)) == 0 ||
        ((flags & TONG_EXCL) != 0 && (flags & TONG_CREATE) == 0)) {
        return -EINVAL;
    }
    return check_options(options);
}

/* A mailbox for other users needs a folder that they can reach. */
static int check_mode(const struct tg_box *box, const tong_options *options)
{
    return options != NULL && (options->mode & 0077) != 0 && !tg_root_is_shared(box->root)
               ? -EACCES
               : 0;
}

static int open_parts(struct tg_box *box, const tong_options *options)
{
    int r = tg_root_get((box->flags & TONG_CREATE) != 0, &box->root);
    if (r == 0) {
        r = check_mode(box, options);
    }
    if (r == 0) {
        box->fork_count = tg_fork_count();
        r = tg_life_join(box->root, &box->me);
        box->joined = r == 0;
    }
    if (r == 0) {
        r = find_or_make(box, options);
    }
    if (r == 0 && (box->flags & TONG_RECEIVE) != 0) {
        r = tg_slot_join(box);
    }
    return r;
}

int tg_box_open(const char *name, unsigned flags, const tong_options *options,
                struct tg_box **ret_box)
{
    int r = check_arguments(flags, options);
    if (r == 0) {
        r = tg_name_check(name);
    }
    if (r < 0) {
        return r;
    }
    struct tg_box *box = calloc(1, sizeof *box);
    if (box == NULL) {
        return -ENOMEM;
    }
    memcpy(box->name, name, strlen(name) + 1);
    box->flags = flags;
    box->dir = -1;
    box->ring = UINT32_MAX;
    box->fork_count = tg_fork_count();
    r = open_parts(box, options);
    if (r < 0) {
        (void)tg_box_close(box);
        return r;
    }
    *ret_box = box;
    return 0;
}

static void close_alive(struct tg_box *box)
{
    if (box->head != NULL && box->rx.has_slot) {
        tg_slot_leave(box);
    }
    if (box->head != NULL && box->tx.has_link) {
        tg_sender_put_link(box);
    }
    if (box->owns && box->head != NULL) {
        /* Said first: the owner is alive, and yet the mailbox ends as by its death. */
        struct tg_box_view view;
        if (tg_box_view_open(box->root, box->name, true, &view) == 0) {
            if (memcmp(view.head->id, box->id, 16) == 0) {
                tg_store_release(&view.head->state, (uint32_t)TG_OWNER_GONE);
            }
            tg_box_view_close(&view);
        }
        (void)tg_box_take_away(box->root, box->name, false, true, box->id);
    } else if (box->head != NULL && box->joined) {
        struct tg_box_view view = { .dir = box->dir,
                                    .uid = box->dir_uid,
                                    .head = box->head,
                                    .slots = box->slots,
                                    .rows = box->rows,
                                    .entries = box->entries };
        /* A sender looks at a few only: a thousand of them may close at once. */
        (void)tg_links_sweep(box->root, &view, (box->flags & TONG_RECEIVE) != 0 ? UINT32_MAX : 16, true);
    }
}

int tg_box_close(struct tg_box *box)
{
    if (box == NULL) {
        return 0;
    }
    const bool forked = box->fork_count != tg_fork_count();
    if (!forked) {
        close_alive(box);
    }
    tg_links_detach_all(box);
    tg_writer_detach(&box->tx.writer);
    detach(box);
    if (!forked && box->joined) {
        (void)tg_box_sweep(box->root, true);
        tg_life_leave(box->root);
    }
    tg_root_put(box->root);
    free(box);
    return forked ? -ECHILD : 0;
}

/* ---- for all calls */

int tg_box_check(struct tg_box *box)
{
    /* acquire: who sees the end sees what was done before it. */
    const uint32_t state = tg_load_acquire(&box->head->state);
    if (state != TG_ALIVE) {
        return state == TG_OWNER_GONE ? -EOWNERDEAD : -EIDRM;
    }
    if (box->owner != 0 && box->owner != box->me &&
        !tg_life_is_alive(box->root, box->owner)) {
        return -EOWNERDEAD;
    }
    return 0;
}

int tg_box_gone(struct tg_box *box, int r)
{
    if (r != -ENOENT && r != -EIDRM) {
        return r;
    }
    const int state = tg_box_check(box);
    return state < 0 ? state : -EIDRM;
}

void tg_box_note_threads(struct tg_box *box)
{
    box->threads = true;
    tg_life_mark_threads(box->root);
}

int tg_box_begin(struct tg_box *box)
{
    if (box->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    if (!__libc_single_threaded && !box->threads) {
        tg_box_note_threads(box);
    }
    return tg_box_check(box);
}

void tg_box_ring_slot(struct tg_box *box, uint32_t slot)
{
    if (box->ring == UINT32_MAX || slot >= TG_SLOTS_MAX) {
        return;
    }
    tg_a32 *bell = &box->users[box->ring].bells->slot[slot].bell;
    /* Sequentially consistent: a sleeper that read the old value does not fall asleep on it. */
    (void)tg_add(bell, 1);
    tg_sys_futex_wake(bell, INT_MAX);
}

int64_t tg_box_backstop_ns(uint32_t nth)
{
#if defined(TONG_POINTS) && TONG_POINTS
    if (getenv("TONG_TEST_NO_BACKSTOP") != NULL) {
        return TG_NEVER / 2;
    }
#endif
    return TONG_SEC(1) << (nth < 3 ? nth : 3);
}

int tg_box_interrupt(struct tg_box *box)
{
    if (box->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    (void)atomic_fetch_add_explicit(&box->interrupts, 1, memory_order_seq_cst);
    if (box->rx.has_slot) {
        tg_box_ring_slot(box, box->rx.slot);
    }
    tg_sys_futex_wake(&box->interrupts, INT_MAX);
    tg_gate_stir(&box->rx.gate);
    tg_gate_stir(&box->tx.gate);
    return 0;
}
