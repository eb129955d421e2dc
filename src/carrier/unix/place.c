/*
 * The folder of a mailbox of the carrier unix: made, looked at, taken away.
 *
 *   state       facts                                               left by
 *   (none)      no folder "@NAME"                                   make: rename of a whole folder
 *   alive       its box file is locked, its socket listens          remove; the owner's close or death
 *   over        the state word says so, or the lock is free         for ever
 *
 * I1  The box file is locked and the socket listens before the folder has its name; the lock goes with
 *     the owner, also by its death. So a name whose box is not locked is nobody's.
 * I2  A name is taken away only under the root's lock, after a look at the id there: a new mailbox of the
 *     same name is never hit.
 * I3  A folder that lost its name lies in ".tmp"; any visit of its user deletes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/kept.h"
#include "base/name.h"
#include "carrier/unix/unix.h"

#define FILE_MAX (TONG_NAME_MAX + 1) /* "@NAME" */

int tg_unix_open_kept(int dir, const char *name, int flags)
{
    const int r = tg_kept_begin();
    return r < 0 ? r : tg_kept_end(tg_sys_open(dir, name, flags, 0));
}

static void file_name(const char *name, char ret_file[FILE_MAX])
{
    (void)snprintf(ret_file, FILE_MAX, "@%s", name);
}

/* ---- looking */

/* None, or one. */
static bool is_name(const char *name)
{
    return name[0] == '\0' || tg_name_check(name) == 0;
}

int tg_unix_place_look(struct tg_unix_place *place)
{
    struct stat st;
    struct tg_unix_head *head = &place->head;
    int r = tg_sys_fstat(place->box, &st);
    if (r == 0 && (!S_ISREG(st.st_mode) || st.st_size != (off_t)TG_UNIX_BOX_SIZE)) {
        r = -EPROTO;
    }
    if (r == 0) {
        r = tg_sys_pread(place->box, head, sizeof *head, 0);
    }
    if (r < 0) {
        return r;
    }
    head->dead_letter[sizeof head->dead_letter - 1] = '\0';
    head->policy[sizeof head->policy - 1] = '\0';
    place->uid = st.st_uid;
    const bool is_ours = head->magic == TG_UNIX_MAGIC && head->version == TG_UNIX_FILES_VERSION &&
                         head->size == TG_UNIX_BOX_SIZE && is_name(head->dead_letter) &&
                         is_name(head->policy);
    return is_ours ? 0 : -EPROTO;
}

int tg_unix_place_open(struct tg_root *root, const char *name, bool write,
                       struct tg_unix_place *ret_place)
{
    char file[FILE_MAX];
    file_name(name, file);
    struct tg_unix_place place = { .root = root, .dir = -1, .box = -1 };
    place.dir = tg_unix_open_kept(tg_root_fd(root), file, O_RDONLY | O_DIRECTORY);
    if (place.dir < 0) {
        return place.dir == -ENOTDIR || place.dir == -ELOOP ? -EPROTO : place.dir;
    }
    memcpy(place.name, name, strlen(name) + 1);
    place.box = tg_unix_open_kept(place.dir, TG_UNIX_BOX, write ? O_RDWR : O_RDONLY);
    int r = place.box;
    if (r == -ENOENT || r == -ELOOP || r == -ENXIO || r == -EISDIR) {
        r = -EPROTO;
    }
    if (r >= 0) {
        r = tg_unix_place_look(&place);
    }
    if (r < 0) {
        tg_unix_place_close(&place);
        /* Or it was taken away while it was looked at. */
        struct stat st;
        return r == -EPROTO && tg_sys_stat(tg_root_fd(root), file, &st) == -ENOENT ? -ENOENT : r;
    }
    *ret_place = place;
    return 0;
}

static int copy_fd(int fd)
{
    const int r = tg_kept_begin();
    return r < 0 ? r : tg_kept_end(tg_sys_dup(fd));
}

int tg_unix_place_copy(const struct tg_unix_place *place, struct tg_unix_place *ret_copy)
{
    struct tg_unix_place copy = *place;
    copy.dir = copy_fd(place->dir);
    copy.box = copy.dir < 0 ? -1 : copy_fd(place->box);
    if (copy.dir < 0 || copy.box < 0) {
        const int r = copy.dir < 0 ? copy.dir : copy.box;
        tg_kept_close(copy.dir);
        return r;
    }
    *ret_copy = copy;
    return 0;
}

void tg_unix_place_close(struct tg_unix_place *place)
{
    tg_kept_close(place->box);
    tg_kept_close(place->dir);
    place->box = -1;
    place->dir = -1;
}

bool tg_unix_place_is_alive(const struct tg_unix_place *place)
{
    /* Dead is said only of who certainly is. */
    return place->head.state == TG_UNIX_ALIVE && tg_sys_locked(place->box) != 0;
}

int tg_unix_place_probe(const struct tg_unix_place *place, uint32_t *ret_renames)
{
    struct tg_unix_place now = *place; /* the head alone is another one */
    const int r = tg_unix_place_look(&now);
    if (r < 0) {
        return r;
    }
    *ret_renames = now.head.renames;
    return now.head.state == TG_UNIX_REMOVED ? -EIDRM
           : tg_unix_place_is_alive(&now)    ? 0
                                             : -EOWNERDEAD;
}

int tg_unix_place_end(const struct tg_unix_place *place)
{
    uint32_t renames;
    return tg_unix_place_probe(place, &renames);
}

int tg_unix_place_rename(struct tg_root *root, const char *from, const char *to)
{
    char old[FILE_MAX];
    char new[FILE_MAX];
    file_name(from, old);
    file_name(to, new);
    return tg_sys_rename(tg_root_fd(root), old, new, false);
}

bool tg_unix_place_is_of(struct tg_root *root, const char *name, uint32_t uid)
{
    char file[FILE_MAX];
    struct stat st;
    file_name(name, file);
    return !tg_root_is_shared(root) || tg_sys_stat(tg_root_fd(root), file, &st) < 0 ||
           st.st_uid == uid;
}

/* ---- making */

uint32_t tg_unix_link_capacity(const tong_options *o)
{
    if (o->link_capacity != TONG_DEFAULT) {
        return o->link_capacity;
    }
    return o->capacity == TONG_UNBOUNDED ? 1024 : TONG_UNBOUNDED;
}

static void write_head(struct tg_unix_head *head, const tong_options *o, uint32_t process,
                       const uint8_t id[16])
{
    memcpy(head->id, id, 16);
    head->version = TG_UNIX_FILES_VERSION;
    head->size = TG_UNIX_BOX_SIZE;
    head->state = TG_UNIX_ALIVE;
    head->process = process;
    head->delivery = o->policy != NULL ? (uint32_t)TONG_OWN : o->delivery;
    head->full = o->full;
    head->mode = o->mode;
    head->capacity = o->capacity;
    head->link_capacity = tg_unix_link_capacity(o);
    head->message_size = o->message_size;
    head->by_priority = o->by_priority;
    head->max_deliveries = o->max_deliveries;
    head->max_bytes = o->max_bytes;
    head->owner_pid = (uint32_t)getpid();
    if (o->dead_letter != NULL) {
        memcpy(head->dead_letter, o->dead_letter, strlen(o->dead_letter) + 1);
    }
    if (o->policy != NULL) {
        memcpy(head->policy, o->policy, strlen(o->policy) + 1);
    }
    head->magic = TG_UNIX_MAGIC;
}

static int make_file(int dir, const char *name, uint64_t size, uint32_t mode)
{
    int r = tg_kept_begin();
    if (r < 0) {
        return r;
    }
    int fd = -1;
    r = tg_file_make(dir, name, size, TG_PAGE, mode, &fd);
    return tg_kept_end(r < 0 ? r : fd);
}

static int make_box(struct tg_unix_made *made, const tong_options *o, uint32_t process,
                    uint64_t owner)
{
    struct tg_unix_head head;
    memset(&head, 0, sizeof head);
    write_head(&head, o, process, made->id);
    head.owner = owner;
    made->box = make_file(made->dir, TG_UNIX_BOX, TG_UNIX_BOX_SIZE, tg_file_mode(o->mode, false));
    int r = made->box;
    if (r >= 0) {
        r = tg_sys_pwrite(made->box, &head, sizeof head, 0);
    }
    /* What is stored through a mapping must be there: the rows of the first senders, others later. */
    if (r >= 0) {
        r = tg_sys_allocate(made->box, 0, TG_UNIX_TOLD_OFF + TG_PAGE);
    }
    if (r >= 0 && head.delivery == TONG_EVERYONE) {
        r = tg_sys_allocate(made->box, TG_UNIX_SHARES_OFF, TG_UNIX_BOX_SIZE - TG_UNIX_SHARES_OFF);
    }
    return r < 0 ? r : tg_sys_lock(made->box, false);
}

static int fill(struct tg_unix_made *made, const tong_options *o, uint32_t process, uint64_t owner)
{
    int r = make_box(made, o, process, owner);
    if (r == 0) {
        made->room = make_file(made->dir, TG_UNIX_ROOM, TG_PAGE, tg_file_mode(o->mode, true));
        r = made->room;
    }
    if (r >= 0) {
        made->listener = tg_socket_listen(made->dir, TG_UNIX_SOCKET, tg_file_mode(o->mode, true));
        r = made->listener;
    }
    if (r >= 0 && (o->mode & 0077) != 0) {
        r = tg_sys_chmod(made->dir, 0700 | ((o->mode & 0060) != 0 ? 0050 : 0) |
                                        ((o->mode & 0006) != 0 ? 0005 : 0));
    }
    return r < 0 ? r : 0;
}

void tg_unix_made_close(struct tg_unix_made *made)
{
    tg_kept_close(made->listener);
    tg_kept_close(made->room);
    tg_kept_close(made->box);
    tg_kept_close(made->dir);
    made->listener = -1;
    made->room = -1;
    made->box = -1;
    made->dir = -1;
}

/* Needs no descriptor: it must work where there is none left. */
static void unmake(struct tg_root *root, const char *temp)
{
    static const char *const files[] = { TG_UNIX_BOX, TG_UNIX_ROOM, TG_UNIX_SOCKET };
    char path[128];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", temp, files[i]);
        (void)tg_sys_unlink(tg_root_fd(root), path);
    }
    (void)tg_sys_rmdir(tg_root_fd(root), temp);
}

int tg_unix_place_make(struct tg_root *root, const char *name, const tong_options *options,
                       uint32_t process, struct tg_unix_made *ret_made)
{
    char temp[64];
    char file[FILE_MAX];
    struct tg_unix_made made = { .dir = -1, .box = -1, .room = -1, .listener = -1 };
    file_name(name, file);
    int r = tg_sys_random(made.id, sizeof made.id);
    if (r == 0) {
        tg_root_temp_name(root, "new", temp, sizeof temp);
        r = tg_sys_mkdir(tg_root_fd(root), temp, 0700);
    }
    if (r < 0) {
        return r;
    }
    made.dir = tg_unix_open_kept(tg_root_fd(root), temp, O_RDONLY | O_DIRECTORY);
    r = made.dir < 0 ? made.dir : fill(&made, options, process, tg_life_id(root));
    if (r == 0) {
        r = tg_sys_rename(tg_root_fd(root), temp, file, false);
    }
    if (r < 0) {
        tg_unix_made_close(&made);
        unmake(root, temp);
        return r;
    }
    *ret_made = made;
    return 0;
}

/* ---- taking away */

/* Root's lock held. */
static int move_away(struct tg_root *root, const char *file)
{
    char temp[64];
    tg_root_temp_name(root, "gone", temp, sizeof temp);
    const int r = tg_sys_rename(tg_root_fd(root), file, temp, false);
    if (r == 0) {
        unmake(root, temp);
    }
    return r;
}

/* The owner may be asleep on its sockets: one that comes wakes it, and says why. */
static void tell_owner(const struct tg_unix_place *place)
{
    const struct tg_unix_packet look = { .kind = TG_UNIX_LOOK };
    const struct iovec part = { (void *)(uintptr_t)&look, sizeof look };
    const int fd = tg_socket_connect(place->dir, TG_UNIX_SOCKET);
    if (fd >= 0) {
        (void)tg_socket_send(fd, &part, 1, NULL, 0);
        tg_kept_close(fd);
    }
}

static int mark_removed(struct tg_unix_place *place)
{
    struct tg_unix_box *box = tg_unix_box_find(place->head.id);
    if (box != NULL) {
        tg_unix_box_end(box, -EIDRM);
        tg_unix_box_unlock(box);
        return 0;
    }
    const uint32_t state = TG_UNIX_REMOVED;
    const int r =
        tg_sys_pwrite(place->box, &state, sizeof state, offsetof(struct tg_unix_head, state));
    if (r == 0) {
        tell_owner(place);
    }
    return r;
}

/* Root's lock held. */
static int end_place(struct tg_root *root, struct tg_unix_place *place, bool alive)
{
    char file[FILE_MAX];
    file_name(place->name, file);
    if (place->uid != geteuid() && geteuid() != 0) {
        return -EPERM;
    }
    if (tg_unix_place_is_alive(place)) {
        const int r = alive ? mark_removed(place) : -EEXIST;
        if (r < 0) {
            return r;
        }
    }
    return move_away(root, file);
}

static int take_away(struct tg_root *root, const char *name, const uint8_t *id, bool alive)
{
    tg_fd lock = -1;
    struct tg_unix_place place = { .dir = -1, .box = -1 };
    int r = tg_root_lock(root, true, &lock);
    if (r == 0) {
        r = tg_unix_place_open(root, name, true, &place);
    }
    if (r < 0) {
        return r == -EACCES ? -EPERM : r;
    }
    r = id != NULL && memcmp(id, place.head.id, 16) != 0 ? -ENOENT : end_place(root, &place, alive);
    tg_unix_place_close(&place);
    return r;
}

int tg_unix_place_take_away(struct tg_root *root, const char *name, const uint8_t *id, bool alive)
{
    uint64_t me; /* what is taken away goes under this process's number */
    int r = tg_life_join(root, &me);
    if (r == 0) {
        r = take_away(root, name, id, alive);
        tg_life_leave(root);
    }
    return r;
}

void tg_unix_place_unmake(struct tg_root *root, const char *name, const struct tg_unix_made *made)
{
    char file[FILE_MAX];
    struct stat own;
    struct stat now;
    if (tg_unix_place_take_away(root, name, made->id, false) == 0) {
        return;
    }
    /* Without the lock: who is as fast as to take it away and make another one is not hit, but in this moment. */
    file_name(name, file);
    if (tg_sys_fstat(made->dir, &own) == 0 && tg_sys_stat(tg_root_fd(root), file, &now) == 0 &&
        own.st_ino == now.st_ino && own.st_dev == now.st_dev) {
        (void)move_away(root, file);
    }
}

int tg_unix_remove(const char *name)
{
    struct tg_root *root = NULL;
    struct tg_unix_place place;
    bool dead = false;
    int r = tg_name_check(name);
    if (r == 0) {
        r = tg_root_get(false, &root);
    }
    if (r < 0) {
        return r;
    }
    if (tg_unix_place_open(root, name, false, &place) == 0) {
        dead = !tg_unix_place_is_alive(&place);
        tg_unix_place_close(&place);
    }
    r = tg_unix_place_take_away(root, name, NULL, true);
    tg_root_put(root);
    return r == 0 && dead ? -ENOENT : r;
}
