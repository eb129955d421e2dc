/*
 * A mailbox's folder: look at it, end it, make it.
 *
 * Its life:
 *
 *   state        facts                                          left by
 *   (none)       no folder of that name                         open: rename of a whole folder
 *   ALIVE        the folder has the name                        remove; its owner's close or death
 *                                                               (or another owner, see owner.c)
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

/* ---- looking */

void tg_box_view_set(struct tg_box_view *view, void *p)
{
    view->head = p;
    view->slots = (struct tg_box_slot *)(void *)((uint8_t *)p + TG_BOX_SLOTS_OFF);
    view->rows = (struct tg_box_row *)(void *)((uint8_t *)p + TG_BOX_ROWS_OFF);
    view->entries = (struct tg_box_entry *)(void *)((uint8_t *)p + TG_BOX_ENTRIES_OFF);
}

static void unmap_box(struct tg_sight *sight, const void *p)
{
    if (sight->copy != NULL) {
        tg_sight_close(sight);
    } else {
        tg_sys_unmap(p, TG_BOX_SIZE);
    }
}

static bool is_box(const struct tg_box_head *head)
{
    return tg_load_acquire(&head->magic) == TG_BOX_MAGIC &&
           tg_load_relaxed(&head->version) == TG_BOX_VERSION &&
           tg_load_relaxed(&head->size) == TG_BOX_SIZE;
}

int tg_box_map(int dir, bool write, struct tg_sight *sight, void **ret_p)
{
    tg_fd fd = tg_sys_open(dir, TG_BOX_FILE, (write ? O_RDWR : O_RDONLY) | O_NONBLOCK, 0);
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
    if (!write && tg_sight_is_needed(st.st_uid)) {
        r = tg_sight_open(sight, &fd, TG_BOX_SIZE);
        p = sight->copy;
    } else {
        r = tg_sys_map(fd, 0, TG_BOX_SIZE, write, &p);
    }
    if (r < 0) {
        return r;
    }
    r = tg_sight_fetch_head(sight);
    if (r < 0 || !is_box(p)) {
        unmap_box(sight, p);
        return -EPROTO;
    }
    *ret_p = p;
    return 0;
}

int tg_box_open_dir(struct tg_root *root, const char *name, int *ret_dir, struct stat *ret_st)
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

bool tg_box_lost_its_name(struct tg_root *root, const char *name, const struct stat *opened)
{
    struct stat st;
    const int r = tg_sys_stat(tg_root_fd(root), name, &st);
    return r == -ENOENT || (r == 0 && st.st_ino != opened->st_ino);
}

int tg_box_view_open(struct tg_root *root, const char *name, bool write, struct tg_box_view *view)
{
    struct stat st;
    tg_fd dir = -1;
    int r = tg_box_open_dir(root, name, &dir, &st);
    void *p = NULL;
    memset(view, 0, sizeof *view);
    if (r == 0) {
        r = tg_box_map(dir, write, &view->sight, &p);
    }
    if (r == 0) {
        r = tg_sight_fetch_all(&view->sight);
        if (r < 0) {
            unmap_box(&view->sight, p);
        }
    }
    if (r == -EPROTO && dir >= 0 && tg_box_lost_its_name(root, name, &st)) {
        return -ENOENT;
    }
    if (r < 0) {
        return r;
    }
    tg_box_view_set(view, p);
    view->uid = st.st_uid;
    view->dir = tg_steal_fd(&dir);
    return 0;
}

int tg_box_view_books(struct tg_box_view *view)
{
    if (TG_DELIVERY(tg_load_relaxed(&view->head->delivery)) != TONG_EVERYONE) {
        return 0;
    }
    view->books = calloc(1, sizeof *view->books);
    int r = view->books == NULL ? -ENOMEM : tg_books_refresh(view->books, view);
    for (uint32_t i = 0; r == 0 && i < view->books->n; i++) {
        r = tg_sight_fetch_all(&view->books->all[i].sight);
    }
    return r;
}

void tg_box_view_close(struct tg_box_view *view)
{
    if (view->books != NULL) {
        tg_books_close(view->books);
        free(view->books);
    }
    unmap_box(&view->sight, view->head);
    tg_sys_close(view->dir);
}

/* Whether whoever marked the change is still at it: then it has the root's lock. */
static bool is_change_going_on(struct tg_root *root)
{
    tg_fd lock = -1;
    return tg_root_lock(root, false, &lock) < 0;
}

bool tg_box_view_is_dead(struct tg_root *root, const struct tg_box_view *view)
{
    for (;;) {
        const uint32_t state = tg_load_acquire(&view->head->state);
        const uint64_t owner = tg_load_acquire(&view->head->owner);
        if (TG_STATE(state) != TG_ALIVE) {
            return true;
        }
        if (TG_OWNER(owner) == 0 || tg_life_is_alive_of(root, TG_OWNER(owner), view->uid) ||
            ((state & TG_CHANGING) != 0 && is_change_going_on(root))) {
            return false;
        }
        /* Asked again behind the death: it may have been given away before it. */
        if (tg_sight_fetch(&view->sight, view->head, sizeof *view->head) < 0) {
            return false;
        }
        if (tg_load_acquire(&view->head->state) == state &&
            tg_load_acquire(&view->head->owner) == owner) {
            return true;
        }
    }
}

/* ---- ending */

bool tg_box_is_bells(const char *name, uint32_t *ret_number)
{
    char *end = NULL;
    if (strncmp(name, "bell.", 5) != 0 || name[5] < '0' || name[5] > '9') {
        return false;
    }
    const unsigned long number = strtoul(name + 5, &end, 10);
    if (*end != '\0' || number > UINT32_MAX) {
        return false;
    }
    *ret_number = (uint32_t)number;
    return true;
}

/* A file of the folder for writing, if it has the size it must have and no other user may cut it; else
 * NULL. */
static void *map_whole(int dir, const char *name, size_t size)
{
    tg_fd fd = tg_sys_open(dir, name, O_RDWR | O_NONBLOCK, 0);
    struct stat st;
    void *p = NULL;
    const bool ok = fd >= 0 && tg_sys_fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                    !tg_sight_is_needed(st.st_uid) && st.st_size == (off_t)size &&
                    tg_sys_map(fd, 0, size, true, &p) == 0;
    return ok ? p : NULL;
}

/* Senders that queue for room. */
static void wake_queue(int dir)
{
    void *p = map_whole(dir, TG_ROOM_FILE, TG_ROOM_SIZE);
    if (p == NULL) {
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

static void wake_receivers(const struct tg_box_view *view, const char *name, uint32_t number)
{
    const bool mapped = view->bells != NULL && view->bells_number == number;
    struct tg_bells *bells = mapped ? view->bells : map_whole(view->dir, name, TG_BELLS_SIZE);
    if (bells == NULL) {
        return;
    }
    const uint32_t n = tg_load_acquire(&view->head->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX; i++) {
        (void)tg_add(&bells->slot[i].bell, 1);
        tg_sys_futex_wake(&bells->slot[i].bell, INT_MAX);
    }
    if (!mapped) {
        tg_sys_unmap(bells, TG_BELLS_SIZE);
    }
}

static void wake_row(const struct tg_box_view *view, uint32_t row)
{
    (void)tg_add(&view->rows[row].bell, 1);
    tg_sys_futex_wake(&view->rows[row].bell, INT_MAX);
}

/* All of them, where no descriptor is left to ask which have a link. */
static void wake_rows(const struct tg_box_view *view)
{
    const uint32_t n = tg_load_acquire(&view->head->n_rows);
    for (uint32_t i = 0; i < n && i < TG_LINKS_MAX; i++) {
        wake_row(view, i);
    }
}

/* All bells of the mailbox's own user, which may have another number here than where its file was made: there
 * each receiver listens. And the rows of the links there are: who makes one behind this look finds what this
 * one tells of before it sleeps. */
static int wake_by_name(const char *name, unsigned char type, void *arg)
{
    const struct tg_box_view *view = arg;
    uint32_t number;
    (void)type;
    const int row = tg_link_row(name);
    if (row >= 0 && (uint32_t)row < tg_load_acquire(&view->head->n_rows)) {
        wake_row(view, (uint32_t)row);
    } else if (row < 0 && tg_box_is_bells(name, &number)) {
        wake_receivers(view, name, number);
    } else if (row < 0) {
        tg_poll_wake_sender(view->dir, name);
    }
    return 0;
}

void tg_box_wake_everybody(const struct tg_box_view *view)
{
    struct tg_box_head *head = view->head;
    if (tg_sys_list(view->dir, wake_by_name, (void *)(uintptr_t)view) < 0) {
        wake_rows(view);
    }
    tg_poll_wake_all(view);
    (void)tg_add(&head->room, 1);
    tg_sys_futex_wake(&head->room, INT_MAX);
    const uint32_t capacity = tg_load_relaxed(&head->capacity);
    if (capacity != 0 && capacity != TONG_UNBOUNDED) {
        wake_queue(view->dir);
    }
}

/*
 * Root ends the mailbox of a user, who may cut its files meanwhile: what it writes there it writes by
 * system calls, in the same order as everybody: mark, ring, end, ring.
 */
static int map_to_ring(int dir, const char *name, size_t size, int *ret_fd, uint8_t **ret_p)
{
    void *p = NULL;
    tg_fd fd = tg_sys_open(dir, name, O_RDWR | O_NONBLOCK, 0);
    const int r = fd < 0 ? fd : tg_sys_map(fd, 0, size, true, &p);
    if (r == 0) {
        *ret_fd = tg_steal_fd(&fd);
        *ret_p = p;
    }
    return r;
}

static tg_a32 *word_at(uint8_t *p, size_t off)
{
    return (tg_a32 *)(void *)(p + off);
}

static void ring_receivers_for_user(const struct tg_box_view *view)
{
    char name[32];
    tg_fd fd = -1;
    uint8_t *p = NULL;
    (void)snprintf(name, sizeof name, "bell.%u", (unsigned)view->uid);
    if (map_to_ring(view->dir, name, TG_BELLS_SIZE, &fd, &p) < 0) {
        return;
    }
    const uint32_t n = tg_load_acquire(&view->head->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX; i++) {
        tg_sys_futex_ring_foreign(word_at(p, offsetof(struct tg_bells, slot) + 8 * (size_t)i));
    }
    tg_sys_unmap(p, TG_BELLS_SIZE);
}

static void ring_queue_for_user(const struct tg_box_view *view)
{
    tg_fd fd = -1;
    uint8_t *p = NULL;
    if (map_to_ring(view->dir, TG_ROOM_FILE, TG_ROOM_SIZE, &fd, &p) < 0) {
        return;
    }
    const uint32_t n = tg_load_acquire(&view->head->n_rows);
    for (uint32_t i = 0; i < n && i < TG_LINKS_MAX; i++) {
        tg_sys_futex_ring_foreign(word_at(p, TG_ROOM_ROWS_OFF + i * sizeof(struct tg_room_row) +
                                                 offsetof(struct tg_room_row, nudge)));
    }
    tg_sys_unmap(p, TG_ROOM_SIZE);
}

static void ring_all_for_user(const struct tg_box_view *view, uint8_t *box)
{
    ring_receivers_for_user(view);
    tg_poll_wake_all(view);
    tg_poll_wake_senders(view->dir);
    const uint32_t n = tg_load_acquire(&view->head->n_rows);
    for (uint32_t i = 0; i < n && i < TG_LINKS_MAX; i++) {
        tg_sys_futex_ring_foreign(word_at(box, TG_BOX_ROWS_OFF + i * sizeof(struct tg_box_row) +
                                                   offsetof(struct tg_box_row, bell)));
    }
    tg_sys_futex_ring_foreign(word_at(box, offsetof(struct tg_box_head, room)));
    ring_queue_for_user(view);
}

static int end_for_user(const struct tg_box_view *view, uint32_t state)
{
    const uint32_t seen = tg_load_relaxed(&view->head->state);
    /* Another word than a dead one's mark: see owner.c, I3. */
    const uint32_t mark = ((seen & ~TG_CHANGING) + TG_CHANGE) | TG_CHANGING;
    tg_fd fd = -1;
    uint8_t *p = NULL;
    int r = map_to_ring(view->dir, TG_BOX_FILE, TG_BOX_SIZE, &fd, &p);
    if (r < 0) {
        return r;
    }
    r = tg_sys_pwrite(fd, &mark, sizeof mark, offsetof(struct tg_box_head, state));
    ring_all_for_user(view, p);
    if (r == 0) {
        r = tg_sys_pwrite(fd, &state, sizeof state, offsetof(struct tg_box_head, state));
        ring_all_for_user(view, p);
    }
    tg_sys_unmap(p, TG_BOX_SIZE);
    return r;
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
    const int r = tg_carry_forget_queue(dir);
    if (r < 0) {
        return r; /* the file names the queue to the next visit */
    }
    (void)tg_sys_list(dir, unlink_each, &dir);
    return tg_sys_rmdir(parent, name);
}

/* Root's lock held. view: of it, NULL: it is none that can be looked at. */
static int move_away(struct tg_root *root, const char *name, const struct tg_box_view *view)
{
    char temp[64];
    tg_root_temp_name(root, "gone", temp, sizeof temp);
    int r = tg_sys_rename(tg_root_fd(root), name, temp, false);
    if (r == 0 && view != NULL && tg_load_relaxed(&view->head->carried) == 0) {
        int dir = view->dir;
        (void)tg_sys_list(dir, unlink_each, &dir);
        (void)tg_sys_rmdir(tg_root_fd(root), temp);
    } else if (r == 0) {
        (void)delete_folder(tg_root_fd(root), temp);
    }
    return r;
}

static bool is_orphan(struct tg_root *root, const struct tg_box_view *view)
{
    const uint64_t owner = TG_OWNER(tg_load_acquire(&view->head->owner));
    return owner != 0 && !tg_life_is_alive_of(root, owner, view->uid);
}

/* Root's lock held: nobody gives it away meanwhile, whatever its state says. The mark and the first
 * ring come before the end, so that nobody sleeps through it if this process dies here. */
static int end_view(struct tg_root *root, const char *name, enum tg_end how,
                    const struct tg_box_view *view)
{
    struct tg_box_head *head = view->head;
    if (view->uid != geteuid() && geteuid() != 0) {
        return -EPERM;
    }
    if (TG_STATE(tg_load_acquire(&head->state)) == TG_ALIVE) {
        const bool mine =
            how == TG_END_MINE && tg_load_acquire(&head->owner) == (tg_life_id(root) | TG_ACCEPTED);
        if (how != TG_END_ANY && !mine && !is_orphan(root, view)) {
            return -EEXIST;
        }
        if (view->sight.copy != NULL) {
            const uint32_t end = is_orphan(root, view) ? TG_OWNER_GONE : TG_REMOVED;
            const int r = end_for_user(view, end);
            return r < 0 ? r : move_away(root, name, view);
        }
        tg_box_end_change(head); /* so that the mark makes it another word */
        (void)tg_or(&head->state, TG_CHANGING);
        tg_box_wake_everybody(view);
        const bool gone = mine || is_orphan(root, view);
        /* release: who sees the end sees what was done before it. */
        tg_store_release(&head->state, (uint32_t)(gone ? TG_OWNER_GONE : TG_REMOVED));
    }
    if (view->sight.copy == NULL) {
        tg_box_wake_everybody(view);
    }
    return move_away(root, name, view);
}

int tg_box_take_away(struct tg_root *root, const char *name, enum tg_end how, const uint8_t *id)
{
    tg_fd lock = -1;
    int r = tg_root_lock(root, true, &lock);
    if (r < 0) {
        return r;
    }
    struct tg_box_view view;
    struct stat st;
    r = tg_sys_stat(tg_root_fd(root), name, &st);
    if (r == 0) {
        const bool for_user = geteuid() == 0 && tg_sight_is_needed(st.st_uid);
        r = tg_box_view_open(root, name, !for_user, &view);
    }
    if (r == -EPROTO && how == TG_END_ANY) {
        r = tg_sys_stat(tg_root_fd(root), name, &st);
        if (r == 0 && !S_ISDIR(st.st_mode)) {
            return -EPROTO;
        }
        return r < 0 ? r : move_away(root, name, NULL);
    }
    if (r != 0) {
        return r == -EACCES ? -EPERM : r;
    }
    if (id != NULL && memcmp(view.head->id, id, 16) != 0) {
        r = -ENOENT;
    } else {
        r = end_view(root, name, how, &view);
    }
    tg_box_view_close(&view);
    return r;
}

void tg_box_end_own(struct tg_box *box)
{
    tg_fd lock = -1;
    struct stat named;
    if (!box->writable || box->dir_uid != geteuid()) {
        (void)tg_box_take_away(box->root, box->name, TG_END_MINE, box->id);
        return;
    }
    struct tg_box_view view = tg_box_view_of(box);
    const struct tg_user_bells *own = box->ring != UINT32_MAX ? &box->users[box->ring] : NULL;
    if (own != NULL && own->writable && own->uid == box->dir_uid) {
        view.bells = own->bells;
        view.bells_number = own->number;
    }
    if (tg_root_lock(box->root, true, &lock) == 0 &&
        tg_sys_stat(tg_root_fd(box->root), box->name, &named) == 0 &&
        named.st_ino == box->dir_ino) {
        (void)end_view(box->root, box->name, TG_END_MINE, &view);
    }
}

int tg_box_remove(const struct tg_way *way, const char *name)
{
    int r = tg_name_check(name);
    if (r < 0) {
        return r;
    }
    struct tg_root *root;
    r = tg_way_root(way, false, &root);
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
        r = tg_box_take_away(root, name, TG_END_ANY, NULL);
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
    if (tg_sys_stat(sweep->dir, name, &st) < 0 || (st.st_uid != geteuid() && geteuid() != 0) ||
        !tg_root_temp_is_dead(sweep->root, name, st.st_uid)) {
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
    tg_fd dir = tg_root_temp_is_empty(root) ? -1 : tg_root_temp_open(root);
    struct temp_sweep sweep = { .root = root, .dir = dir, .repair = repair };
    if (dir >= 0) {
        (void)tg_sys_list(dir, sweep_temp, &sweep);
    }
    return sweep.found;
}

void tg_box_bury(struct tg_root *root)
{
    struct tg_names names = { 0 };
    if (!tg_life_found_dead(root)) {
        return;
    }
    (void)tg_names_read(root, false, &names);
    for (size_t i = 0; i < names.n; i++) {
        struct tg_box_view view;
        uint8_t id[16];
        if (tg_box_view_open(root, names.name[i], false, &view) < 0) {
            continue;
        }
        const bool dead = view.uid == geteuid() && tg_box_view_is_dead(root, &view);
        memcpy(id, view.head->id, sizeof id);
        tg_box_view_close(&view);
        if (dead) {
            (void)tg_box_take_away(root, names.name[i], TG_END_DEAD, id);
        }
    }
    tg_names_free(&names);
    tg_region_bury(root);
}

/* ---- making */

uint32_t tg_box_link_capacity(const tong_options *o)
{
    if (o->link_capacity != TONG_DEFAULT) {
        return o->link_capacity;
    }
    return o->capacity == TONG_UNBOUNDED ? 1024 : TONG_UNBOUNDED;
}

static void write_box(struct tg_box_head *head, const tong_options *o, const struct tg_box *box)
{
    const uint64_t owner = o->owner == TONG_PROCESS ? box->me : 0;
    memcpy(head->id, box->id, 16);
    tg_store_relaxed(&head->version, TG_BOX_VERSION);
    tg_store_relaxed(&head->size, TG_BOX_SIZE);
    tg_store_relaxed(&head->state, (uint32_t)TG_ALIVE);
    tg_store_relaxed(&head->delivery, o->policy != NULL ? (uint32_t)TONG_OWN : o->delivery);
    if (o->policy != NULL) {
        memcpy(head->policy[0], o->policy, strlen(o->policy) + 1);
    }
    tg_store_relaxed(&head->full, o->full);
    tg_store_relaxed(&head->mode, o->mode);
    tg_store_relaxed(&head->capacity, o->capacity);
    tg_store_relaxed(&head->link_capacity, tg_box_link_capacity(o));
    tg_store_relaxed(&head->message_size, o->message_size);
    tg_store_relaxed(&head->max_bytes, o->max_bytes);
    tg_store_relaxed(&head->owner, owner != 0 ? owner | TG_ACCEPTED : 0);
    tg_store_relaxed(&head->max_deliveries, o->max_deliveries);
    tg_store_relaxed(&head->by_priority, o->by_priority);
    if (o->dead_letter != NULL) {
        memcpy(head->dead_letter, o->dead_letter, strlen(o->dead_letter) + 1);
    }
    tg_store_relaxed(&head->carried, box->way != NULL ? UINT32_C(1) : UINT32_C(0));
    tg_store_relaxed(&head->owner_pid, owner != 0 ? (uint32_t)getpid() : 0);
    if (box->is_process || box->is_replies) {
        tg_store_relaxed(&head->process, box->is_process ? TG_OF_PROCESS : TG_FOR_REPLIES);
    }
    tg_store_release(&head->magic, TG_BOX_MAGIC);
}

/* The first pages of a file, written before anybody knows its name. */
union first_pages {
    struct tg_box_head box;
    struct tg_room_head room;
    struct tg_bells bells;
    uint8_t bytes[2 * TG_PAGE];
};

static int make_box_file(struct tg_box *box, int dir, const tong_options *o, int *ret_fd)
{
    union first_pages p = { .bytes = { 0 } };
    static const uint8_t rows[TG_PAGE];
    _Static_assert(TG_BOX_SLOTS_OFF == TG_PAGE, "the second page is of slots");
    tg_store_relaxed(&p.box.n_rows, (uint32_t)(TG_PAGE / sizeof(struct tg_box_row)));
    write_box(&p.box, o, box);
    tg_fd fd = -1;
    int r = tg_file_write(dir, TG_BOX_FILE, p.bytes, sizeof p.bytes, TG_BOX_SIZE,
                          tg_file_mode(o->mode, false), &fd);
    if (r == 0) {
        r = tg_sys_pwrite(fd, rows, sizeof rows, TG_BOX_ROWS_OFF);
    }
    if (r == 0) {
        *ret_fd = tg_steal_fd(&fd);
    }
    return r;
}

static int make_room_file(struct tg_box *box, int dir, const tong_options *o, int *ret_fd)
{
    union first_pages p = { .bytes = { 0 } };
    memcpy(p.room.box_id, box->id, 16);
    tg_store_relaxed(&p.room.version, TG_BOX_VERSION);
    tg_store_relaxed(&p.room.users, UINT32_C(1));
    tg_store_release(&p.room.magic, TG_ROOM_MAGIC);
    return tg_file_write(dir, TG_ROOM_FILE, p.bytes, TG_PAGE, TG_ROOM_SIZE,
                         tg_file_mode(o->mode, true), ret_fd);
}

int tg_box_make_bells(const struct tg_box *box, int dir, const char *name, uint32_t mode,
                      int *ret_fd)
{
    union first_pages p = { .bytes = { 0 } };
    _Static_assert(TG_BELLS_SIZE <= sizeof p.bytes, "bells are a page");
    memcpy(p.bells.box_id, box->id, 16);
    tg_store_relaxed(&p.bells.version, TG_BOX_VERSION);
    tg_store_release(&p.bells.magic, TG_BELL_MAGIC);
    return tg_file_write(dir, name, p.bytes, TG_BELLS_SIZE, TG_BELLS_SIZE,
                         tg_file_mode(mode, false), ret_fd);
}

static int fill_folder(struct tg_box *box, int dir, const tong_options *o, struct tg_made *made)
{
    char bell[32];
    (void)snprintf(bell, sizeof bell, TG_BELLS_NAME, (uint32_t)geteuid());
    int r = tg_box_make_bells(box, dir, bell, o->mode, &made->bells);
    if (r == 0) {
        r = make_room_file(box, dir, o, &made->room);
    }
    if (r == 0) {
        r = make_box_file(box, dir, o, &made->box);
    }
    if (r == 0 && box->way != NULL) {
        r = tg_carry_make(box, dir, o);
    }
    /* Users with a group may put their links here, but not take others' away. */
    if (r == 0 && (o->mode & 0077) != 0) {
        r = tg_sys_chmod(dir, 03700 | ((o->mode & 0060) != 0 ? 0070 : 0) |
                                  ((o->mode & 0006) != 0 ? 0007 : 0));
    }
    return r;
}

/* Needs no descriptor: it must work where there is none left. */
void tg_box_unmake(struct tg_box *box, const char *temp)
{
    static const char *const files[] = { TG_BOX_FILE, TG_ROOM_FILE, TG_STAGE_FILE, TG_QUEUE_FILE };
    const int root = tg_root_fd(box->root);
    char path[128];
    tg_carry_unmake(box);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", temp, files[i]);
        (void)tg_sys_unlink(root, path);
    }
    (void)snprintf(path, sizeof path, "%s/" TG_BELLS_NAME, temp, (uint32_t)geteuid());
    (void)tg_sys_unlink(root, path);
    (void)tg_sys_rmdir(root, temp);
}

void tg_made_close(struct tg_made *made)
{
    tg_sys_close(made->box);
    tg_sys_close(made->room);
    tg_sys_close(made->bells);
}

int tg_box_make_folder(struct tg_box *box, const tong_options *o, const char *temp,
                       struct tg_made *ret_made)
{
    int r = tg_sys_random(box->id, sizeof box->id);
    if (r < 0) {
        return r;
    }
    const int root = tg_root_fd(box->root);
    r = tg_sys_mkdir(root, temp, 0700);
    if (r < 0) {
        return r;
    }
    tg_fd dir = tg_sys_open(root, temp, O_RDONLY | O_DIRECTORY, 0);
    r = dir < 0 ? dir : fill_folder(box, dir, o, ret_made);
    if (r < 0) {
        tg_box_unmake(box, temp);
        return r;
    }
    box->dir = tg_steal_fd(&dir);
    return 0;
}
