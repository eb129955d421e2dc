/*
 * A handle on a mailbox: attach to its folder, open, close; and what every call asks first.
 *
 * Opening looks for a folder that is alive, and makes one if it may; what is dead under the name is
 * taken away on the way. Two who create at once: the rename of one fails, and it attaches to the
 * other's.
 */
#include "mailbox/box.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arguments.h"
#include "base/name.h"
#include "base/probe.h"

/* ---- attaching */

void tg_box_receive_at(struct tg_box *box, const struct tg_box_file *file, const char *name)
{
    box->head = file->head;
    box->slots = file->slots;
    box->rows = file->rows;
    box->entries = file->entries;
    (void)snprintf(box->desk, sizeof box->desk, "%s", name);
}

struct tg_box_view tg_box_view_of(const struct tg_box *box)
{
    return (struct tg_box_view){ .dir = box->dir,
                                 .uid = box->dir_uid,
                                 .head = box->main.head,
                                 .slots = box->main.slots,
                                 .rows = box->main.rows,
                                 .entries = box->main.entries,
                                 .sight = box->sight };
}

static bool options_differ(const struct tg_box *box, const tong_options *o)
{
    const struct tg_box_head *head = box->main.head;
    char policy[TONG_POLICY_MAX];
    uint32_t delivery = 0;
    (void)tg_policy_check(o, &delivery);
    return delivery != TG_DELIVERY(tg_choice_read(head, policy)) ||
           (delivery == TONG_OWN && strcmp(o->policy, policy) != 0) ||
           (o->owner == TONG_PROCESS) != (TG_OWNER(tg_load_acquire(&head->owner)) != 0) ||
           o->full != tg_load_relaxed(&head->full) || o->mode != tg_load_relaxed(&head->mode) ||
           o->capacity != tg_load_relaxed(&head->capacity) ||
           tg_box_link_capacity(o) != tg_load_relaxed(&head->link_capacity) ||
           o->message_size != tg_load_relaxed(&head->message_size) ||
           o->max_bytes != tg_load_relaxed(&head->max_bytes) ||
           o->max_deliveries != tg_load_relaxed(&head->max_deliveries) ||
           o->by_priority != tg_load_relaxed(&head->by_priority) ||
           strcmp(o->dead_letter != NULL ? o->dead_letter : "", box->dead_letter) != 0;
}

static int read_options(struct tg_box *box)
{
    const struct tg_box_head *head = box->main.head;
    memcpy(box->id, head->id, 16);
    box->policy = tg_policy_of(TG_DELIVERY(tg_load_acquire(&head->delivery)));
    box->full = tg_load_relaxed(&head->full);
    box->mode = tg_load_relaxed(&head->mode);
    box->capacity = tg_load_relaxed(&head->capacity);
    box->everyone = box->policy == &tg_policy_everyone;
    box->lossy = box->full == TONG_DROP_OLDEST && box->capacity != 0;
    box->goes_long = box->capacity == 0 || box->lossy || box->way != NULL;
    box->link_capacity = tg_load_relaxed(&head->link_capacity);
    box->message_size = tg_load_relaxed(&head->message_size);
    box->max_bytes = tg_load_relaxed(&head->max_bytes);
    box->max_deliveries = tg_load_relaxed(&head->max_deliveries);
    box->by_priority = tg_load_relaxed(&head->by_priority) != 0;
    atomic_store_explicit(&box->owner, TG_OWNER(tg_load_acquire(&head->owner)),
                          memory_order_relaxed);
    memcpy(box->dead_letter, head->dead_letter, sizeof box->dead_letter);
    box->dead_letter[sizeof box->dead_letter - 1] = '\0';
    const bool bad_name = box->dead_letter[0] != '\0' && tg_name_check(box->dead_letter) < 0;
    const bool bad_capacity = box->capacity > TONG_CAPACITY_MAX && box->capacity != TONG_UNBOUNDED;
    const bool bad_link = box->link_capacity == 0 || (box->link_capacity > TONG_CAPACITY_MAX &&
                                                      box->link_capacity != TONG_UNBOUNDED);
    const bool bad_way = (tg_load_relaxed(&head->carried) != 0) != (box->way != NULL);
    return box->policy == NULL || box->full > TONG_DROP_OLDEST || bad_capacity || bad_link ||
                   bad_name || bad_way
               ? -EPROTO
               : 0;
}

/* Others may write the room, and so cut it; where no room is taken from it, it is a bell alone. */
static bool room_is_bell(const struct tg_box *box)
{
    return (box->mode & 0077) != 0 && (box->capacity == TONG_UNBOUNDED || box->capacity == 0);
}

static int open_room(const struct tg_box *box, bool write, bool bell, int *ret_fd)
{
    tg_fd fd = tg_sys_open(box->dir, TG_ROOM_FILE, (write ? O_RDWR : O_RDONLY) | O_NONBLOCK, 0);
    if (fd < 0) {
        return fd == -ENOENT || fd == -ELOOP || fd == -ENXIO ? -EPROTO : fd;
    }
    struct stat st;
    const int r = tg_sys_fstat(fd, &st);
    if (r < 0) {
        return r;
    }
    /* What stands in it any sender may write, so it proves nothing; the box's version is its, too. */
    if (!S_ISREG(st.st_mode) || st.st_uid != box->dir_uid ||
        (!bell && st.st_size != TG_ROOM_SIZE)) {
        return -EPROTO;
    }
    *ret_fd = tg_steal_fd(&fd);
    return 0;
}

/* made: its file, just made here; or NULL. */
static int map_room(struct tg_box *box, struct tg_made *made)
{
    const bool write = (box->flags & TONG_SEND) != 0 || box->dir_uid != geteuid();
    const bool bell = room_is_bell(box);
    tg_fd fd = made != NULL ? tg_steal_fd(&made->room) : -1;
    int r = made != NULL ? 0 : open_room(box, write, bell, &fd);
    void *p = NULL;
    if (r == 0 && bell) {
        r = tg_sight_open(&box->room_sight, &fd, TG_ROOM_SIZE);
        p = box->room_sight.copy;
    } else if (r == 0) {
        r = tg_sys_map(fd, 0, TG_ROOM_SIZE, write, &p);
    }
    if (r < 0) {
        return r;
    }
    box->room = p;
    box->room_rows = (struct tg_room_row *)(void *)((uint8_t *)p + TG_ROOM_ROWS_OFF);
    return 0;
}

static bool has_enough_of(const struct tg_box *box, uint32_t uid)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < box->n_users; i++) {
        n += box->users[i].uid == uid;
    }
    return n >= TG_BELLS_OF_ONE;
}

static bool are_bells(const struct tg_box *box, const struct tg_bells *bells)
{
    return tg_load_acquire(&bells->magic) == TG_BELL_MAGIC &&
           tg_load_relaxed(&bells->version) == TG_BOX_VERSION &&
           memcmp(bells->box_id, box->id, 16) == 0;
}

static void unmap_bells(struct tg_user_bells *user)
{
    if (user->sight.copy != NULL) {
        tg_sight_close(&user->sight);
    } else {
        tg_sys_unmap(user->bells, TG_BELLS_SIZE);
    }
    user->bells = NULL;
}

/* Whose it is, the kernel says. The number in the name is what its maker has in its user namespace, and
 * may be another one's here. given: its file, or -1. */
static int map_bells(struct tg_box *box, const char *name, uint32_t number, int given)
{
    struct tg_user_bells *user = &box->users[box->n_users];
    *user = (struct tg_user_bells){ .number = number, .writable = true };
    tg_fd fd = given >= 0 ? given : tg_sys_open(box->dir, name, O_RDWR | O_NONBLOCK, 0);
    if (fd == -EACCES) {
        user->writable = false;
        fd = tg_sys_open(box->dir, name, O_RDONLY | O_NONBLOCK, 0);
    }
    struct stat st = { .st_mode = S_IFREG, .st_size = TG_BELLS_SIZE, .st_uid = box->dir_uid };
    int r = fd < 0 ? fd : given >= 0 ? 0 : tg_sys_fstat(fd, &st);
    if (r < 0) {
        return r;
    }
    if (!S_ISREG(st.st_mode) || st.st_size != TG_BELLS_SIZE || has_enough_of(box, st.st_uid)) {
        return 0;
    }
    void *p = NULL;
    user->uid = st.st_uid;
    if (tg_sight_is_needed(user->uid)) {
        user->writable = false;
        r = tg_sight_open(&user->sight, &fd, TG_BELLS_SIZE);
        p = user->sight.copy;
    } else {
        r = tg_sys_map(fd, 0, TG_BELLS_SIZE, user->writable, &p);
    }
    if (r < 0) {
        return r;
    }
    user->bells = p;
    if (tg_sight_fetch(&user->sight, p, sizeof(struct tg_bells)) < 0 || !are_bells(box, p)) {
        unmap_bells(user);
        return 0;
    }
    box->n_users++;
    return 0;
}

/* Gone by now, or no file, or not for us: whoever made it hinders nobody by it. */
static bool is_none(int r)
{
    return r == -ENOENT || r == -ELOOP || r == -ENXIO || r == -EISDIR || r == -EACCES;
}

static int find_user(const char *name, unsigned char type, void *arg)
{
    struct tg_box *box = arg;
    (void)type;
    uint32_t number = 0;
    if (!tg_box_is_bells(name, &number) || box->n_users == TG_USERS_MAX) {
        return 0;
    }
    for (uint32_t i = 0; i < box->n_users; i++) {
        if (box->users[i].number == number) {
            return 0;
        }
    }
    const int r = map_bells(box, name, number, -1);
    return is_none(r) ? 0 : r;
}

/* The own user's bells; for a receiver of the mailbox's user that is where all of its senders ring. A
 * file of another user is not written: it could be cut meanwhile. */
static void choose_ring(struct tg_box *box)
{
    box->ring = UINT32_MAX;
    for (uint32_t i = 0; i < box->n_users; i++) {
        const struct tg_user_bells *user = &box->users[i];
        if (user->writable && (user->uid == box->dir_uid || box->ring == UINT32_MAX)) {
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

/*
 * At first. Where no other user can send there is one bell file, and it has the user's number, unless it
 * was made in another user namespace. It stands in the room's count whether a second one was made.
 */
static int find_first_users(struct tg_box *box, struct tg_made *made)
{
    const uint32_t users = tg_load_acquire(&box->room->users);
    int r = 0;
    if ((box->mode & 0077) == 0 && users == 1) {
        char name[32];
        (void)snprintf(name, sizeof name, TG_BELLS_NAME, box->dir_uid);
        r = map_bells(box, name, box->dir_uid, made != NULL ? tg_steal_fd(&made->bells) : -1);
        choose_ring(box);
    }
    if (is_none(r) || (r == 0 && box->ring == UINT32_MAX)) {
        r = tg_box_find_users(box);
    }
    if (r == 0) {
        box->rx.users_seen = users;
    }
    return r;
}

/* A sender of a user that may not write the owner's bells has a file of its own. */
static int make_own_bells(struct tg_box *box, uint32_t number)
{
    char name[32];
    char temp[64];
    (void)snprintf(name, sizeof name, TG_BELLS_NAME, number);
    (void)snprintf(temp, sizeof temp, ".new.%016llx.%p", (unsigned long long)box->me, (void *)box);
    tg_fd fd = -1;
    int r = tg_box_make_bells(box, box->dir, temp, box->mode, &fd);
    if (r == 0) {
        r = tg_sys_rename(box->dir, temp, name, false);
    }
    if (r < 0) {
        (void)tg_sys_unlink(box->dir, temp);
    }
    if (r < 0 && r != -EEXIST) {
        return r;
    }
    const bool taken = r == -EEXIST;
    r = tg_box_tell_user(box);
    r = r == 0 ? tg_box_find_users(box) : r;
    if (r < 0 || box->ring != UINT32_MAX) {
        return r;
    }
    return taken ? -EEXIST : -EUSERS;
}

static int get_ring(struct tg_box *box)
{
    const int r = make_own_bells(box, geteuid());
    if (r != -EEXIST) {
        return r;
    }
    /* The name is another user's, or was of this number in another namespace: then one that is nobody's. */
    return make_own_bells(box, (uint32_t)(box->me >> 16));
}

/* made: the files, just made by this call; NULL: they are opened. */
static int attach_files(struct tg_box *box, const tong_options *options, const struct stat *opened,
                        struct tg_made *made)
{
    const struct stat st = *opened;
    box->dir_uid = st.st_uid;
    box->dir_ino = st.st_ino;
    void *p = NULL;
    box->writable = (box->flags & TONG_RECEIVE) != 0;
    int r = made != NULL ? tg_sys_map(made->box, 0, TG_BOX_SIZE, box->writable, &p)
                         : tg_box_map(box->dir, box->writable, &box->sight, &p);
    if (r < 0) {
        return r;
    }
    struct tg_box_view view = { .dir = box->dir, .uid = st.st_uid };
    tg_box_view_set(&view, p);
    box->main = (struct tg_box_file){ view.head, view.slots, view.rows, view.entries };
    tg_box_receive_at(box, &box->main, TG_BOX_FILE);
    memcpy(box->id, box->main.head->id, 16);
    if (tg_box_view_is_dead(box->root, &view)) {
        return -EOWNERDEAD;
    }
    r = read_options(box);
    /* First whether it has ended: who ended it may have died behind the mark. */
    if (r == 0) {
        r = tg_box_check(box);
    }
    if (r == 0 && options != NULL && options_differ(box, options)) {
        r = -EEXIST;
    }
    if (r == 0 && (box->flags & TONG_RECEIVE) != 0) {
        r = tg_box_may_receive(box) ? tg_choice_refusal(box) : -EPERM;
        tg_choice_refresh_slow(box);
    }
    if (r == 0) {
        r = map_room(box, made);
    }
    if (r == 0 && box->way != NULL) {
        r = tg_carry_attach(box);
    }
    if (r == 0) {
        r = find_first_users(box, made);
    }
    const bool rings = (box->flags & TONG_SEND) != 0 || box->dir_uid != geteuid();
    if (r == 0 && rings && box->ring == UINT32_MAX) {
        r = get_ring(box);
    }
    return r;
}

/* A refusal of one that somebody is ending just now, or handing on: whether it has ended is known
 * behind that, not here. -EAGAIN: look again. */
static int refuse(struct tg_box *box, int r)
{
    if (box->main.head == NULL ||
        tg_load_acquire(&box->main.head->state) ==
            atomic_load_explicit(&box->state_seen, memory_order_relaxed)) {
        return r;
    }
    tg_fd lock = -1;
    const int locked = tg_root_lock(box->root, true, &lock);
    return locked < 0 ? locked : -EAGAIN;
}

static int attach(struct tg_box *box, const tong_options *options)
{
    struct stat st;
    int r = tg_box_open_dir(box->root, box->name, &box->dir, &st);
    if (r < 0) {
        box->dir = -1;
        return r;
    }
    r = attach_files(box, options, &st, NULL);
    if ((r == 0 || r == -EEXIST || r == -EPERM) && (box->flags & TONG_EXCL) != 0) {
        r = -EEXIST;
    }
    if (r == -EEXIST || r == -EPERM) {
        r = refuse(box, r);
    }
    if (r == 0 && (box->flags & TONG_RECEIVE) != 0) {
        r = tg_slot_join(box);
    }
    if (r == 0) {
        tg_box_accept(box);
    }
    if ((r == -EPROTO || r == -ENOENT) && tg_box_lost_its_name(box->root, box->name, &st)) {
        return -ENOENT;
    }
    return r;
}

static void detach(struct tg_box *box)
{
    tg_carry_detach(box);
    tg_links_detach_all(box);
    tg_everyone_close(box);
    tg_everyone_detach(box);
    tg_poll_close(box);
    tg_poll_close_sender(box);
    tg_ringer_close(&box->tx.ringer);
    tg_ringer_close(&box->rx.ringer);
    for (uint64_t i = 1; i <= TG_CLAIMS_MAX; i++) {
        tg_claims_drop_copy(box, i);
    }
    box->rx.has_slot = false;
    if (box->sight.copy == NULL) {
        tg_sys_unmap(box->main.head, TG_BOX_SIZE);
    }
    if (box->room_sight.copy == NULL) {
        tg_sys_unmap(box->room, TG_ROOM_SIZE);
    }
    tg_sight_close(&box->sight);
    tg_sight_close(&box->room_sight);
    for (uint32_t i = 0; i < box->n_users; i++) {
        unmap_bells(&box->users[i]);
    }
    tg_sys_close(box->dir);
    box->main = (struct tg_box_file){ .head = NULL };
    tg_box_receive_at(box, &box->main, TG_BOX_FILE);
    box->room = NULL;
    box->n_users = 0;
    box->dir = -1;
}

/* Make it and attach to it, and only then give it its name: what fails leaves nothing. -EEXIST:
 * another one has the name. */
static int make(struct tg_box *box, const tong_options *wanted)
{
    char temp[64];
    struct stat st;
    struct tg_made made = { -1, -1, -1 };
    tg_root_temp_name(box->root, "new", temp, sizeof temp);
    int r = tg_box_make_folder(box, wanted, temp, &made);
    if (r == 0) {
        r = tg_sys_fstat(box->dir, &st);
        if (r == 0) {
            r = attach_files(box, NULL, &st, &made);
        }
    }
    tg_made_close(&made);
    if (box->dir < 0) {
        return r;
    }
    box->has_no_name = true;
    if (r == 0 && (box->flags & TONG_RECEIVE) != 0) {
        r = tg_slot_join(box);
    }
    box->has_no_name = false;
    if (r == 0) {
        r = tg_sys_rename(tg_root_fd(box->root), temp, box->name, false);
    }
    if (r < 0) {
        tg_everyone_unmake(box);
        detach(box);
        tg_box_unmake(box, temp);
        return r;
    }
    box->owns = tg_load_relaxed(&box->owner) == box->me;
    return 0;
}

/* -ENOENT: there is none of the name. Who is to create one is told why the dead one stays. */
static int take_dead_away(const struct tg_box *box)
{
    uint8_t id[16];
    memcpy(id, box->id, sizeof id);
    const int r = tg_box_take_away(box->root, box->name, TG_END_DEAD, id);
    if (r == -EEXIST) {
        return -EAGAIN; /* not dead any more, but somebody else's */
    }
    if (r == 0 || r == -ENOENT || (box->flags & TONG_CREATE) == 0) {
        return -ENOENT;
    }
    return r == -EPERM ? -EACCES : r;
}

/* One try. -EAGAIN: another was faster with whatever it did, try again. */
static int find_or_make_once(struct tg_box *box, const tong_options *options)
{
    tong_options standard = TONG_OPTIONS_INIT;
    int r = attach(box, options);
    if (r == -EOWNERDEAD || r == -EIDRM) { /* or removed while this call looked at it */
        r = take_dead_away(box);
    }
    if (r != -ENOENT || (box->flags & TONG_CREATE) == 0) {
        return r;
    }
    detach(box);
    if (box->way != NULL) {
        box->way->defaults(&standard);
    }
    r = make(box, options != NULL ? options : &standard);
    return r == -EEXIST ? -EAGAIN : r;
}

/*
 * A process's own mailbox is made by whoever opens it: what has the name and lives is somebody's. -EBUSY,
 * also one of the folder's lock; -EEXIST: it is no process's.
 */
static int make_process_once(struct tg_box *box, const tong_options *options)
{
    struct tg_box_view view;
    int r = tg_box_view_open(box->root, box->name, false, &view);
    if (r == -ENOENT) {
        r = make(box, options);
        return r == -EEXIST ? -EAGAIN : r;
    }
    if (r < 0) {
        return r;
    }
    memcpy(box->id, view.head->id, sizeof box->id);
    if (tg_box_view_is_dead(box->root, &view)) {
        r = take_dead_away(box);
        r = r == -ENOENT ? -EAGAIN : r;
    } else {
        r = tg_load_relaxed(&view.head->process) == TG_OF_PROCESS ? -EBUSY : -EEXIST;
    }
    tg_box_view_close(&view);
    return r;
}

#define TRIES 100

static int find_or_make(struct tg_box *box, const tong_options *options)
{
    for (int tries = 0; tries < TRIES; tries++) {
        const int r =
            box->is_process ? make_process_once(box, options) : find_or_make_once(box, options);
        if (r != -EAGAIN) {
            return r;
        }
        detach(box);
    }
    return -EBUSY;
}

int tg_box_check_arguments(const char *name, unsigned flags, const tong_options *options)
{
    uint32_t delivery = 0;
    const int r = tg_arguments_check(name, flags, options);
    if (r < 0 || options == NULL) {
        return r;
    }
    const int refused = tg_policy_check(options, &delivery);
    if (refused < 0) {
        return refused;
    }
    /* To everyone, whose messages would be counted? */
    return delivery == TONG_EVERYONE && options->capacity != TONG_UNBOUNDED ? -EOPNOTSUPP : 0;
}

/* A mailbox for other users needs a folder that they can reach. */
static int check_mode(const struct tg_box *box, const tong_options *options)
{
    return options != NULL && (options->mode & 0077) != 0 && !tg_root_is_shared(box->root) ? -EACCES
                                                                                           : 0;
}

static int open_parts(struct tg_box *box, const struct tg_box *as, const tong_options *options)
{
    int r = 0;
    box->root = as != NULL ? tg_root_again(as->root) : NULL; /* others are where it is itself */
    if (box->root == NULL) {
        r = tg_way_root(box->way, (box->flags & TONG_CREATE) != 0, &box->root);
    }
    if (r == 0) {
        r = check_mode(box, options);
    }
    if (r == 0) {
        box->fork_count = tg_fork_count();
        r = tg_life_join(box->root, &box->me);
        box->joined = r == 0;
    }
    if (r == 0) {
        tg_box_bury(box->root);
        r = find_or_make(box, options);
    }
    return r;
}

static uint32_t next_handle(void)
{
    static atomic_uint handles;
    return atomic_fetch_add_explicit(&handles, 1, memory_order_relaxed) + 1;
}

int tg_box_open_with(const char *name, unsigned flags, const tong_options *options,
                     const struct tg_opening *how, struct tg_box **ret_box)
{
    int r = tg_box_check_arguments(name, flags, options);
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
    box->is_process = how->is_process;
    box->way = how->way;
    box->is_replies = how->is_replies;
    box->lane = how->lane;
    box->handle = how->handle != 0 ? how->handle : next_handle();
    struct tg_box *with = how->as != NULL ? how->as : how->interrupted_with;
    box->interrupts = with != NULL ? with->interrupts : &box->own_interrupts;
    if (how->as != NULL) {
        tg_process_name(how->as, box->as.name);
    }
    r = open_parts(box, how->as, options);
    if (r < 0) {
        (void)tg_box_close(box);
        return r;
    }
    *ret_box = box;
    return 0;
}

int tg_box_open(const struct tg_way *way, const char *name, unsigned flags,
                const tong_options *options, struct tg_box **ret_box)
{
    const struct tg_opening nobody = { .is_process = false, .way = way };
    return tg_box_open_with(name, flags, options, &nobody, ret_box);
}

static void close_alive(struct tg_box *box)
{
    const bool is_sender = (box->flags & TONG_RECEIVE) == 0;
    if (box->main.head != NULL && box->rx.has_slot) {
        tg_slot_leave(box);
    }
    if (box->main.head != NULL && box->tx.has_link) {
        tg_sender_put_link(box);
    }
    if (box->owns && box->main.head != NULL) {
        /* The owner is alive, and yet the mailbox ends as by its death. */
        tg_box_end_own(box);
    } else if (box->main.head != NULL && box->joined && !(is_sender && box->tx.was_alone)) {
        const struct tg_box_view view = tg_box_view_of(box);
        /* A sender looks at a few only: a thousand of them may close at once. */
        (void)tg_links_sweep(box->root, &view, is_sender ? 16 : UINT32_MAX, true);
    }
}

int tg_box_close(struct tg_box *box)
{
    if (box == NULL) {
        return 0;
    }
    const bool forked = box->fork_count != tg_fork_count();
    tg_lanes_close(box);
    if (!forked) {
        close_alive(box);
    }
    tg_writer_detach(&box->tx.writer);
    detach(box);
    if (!forked && box->joined) {
        (void)tg_box_sweep(box->root, true);
        tg_life_visit_last(box->root);
        tg_box_bury(box->root);
        tg_life_leave(box->root);
    }
    tg_root_put(box->root);
    free(box->watch.parties);
    free(box);
    return forked ? -ECHILD : 0;
}

/* ---- for all calls */

int tg_box_gone(struct tg_box *box, int r)
{
    if (r >= 0) {
        return r;
    }
    /* The end is told before the files go: what failed on the way there is it. */
    const int state = tg_box_check(box);
    if (state < 0) {
        return state;
    }
    return r == -ENOENT ? -EIDRM : r;
}

void tg_box_note_threads(struct tg_box *box)
{
    box->threads = true;
    tg_life_mark_threads(box->root);
}

int tg_box_begin_slow(struct tg_box *box)
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
    TG_PROBE(wake, box->name, TONG_RECEIVE);
    tg_a32 *bell = &box->users[box->ring].bells->slot[slot].bell;
    /* Sequentially consistent: a sleeper that read the old value does not fall asleep on it. */
    (void)tg_add(bell, 1);
    tg_sys_futex_wake(bell, INT_MAX);
}

int tg_box_interrupt(struct tg_box *box)
{
    if (box->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    (void)atomic_fetch_add_explicit(&box->interrupts->now, 1, memory_order_seq_cst);
    if (box->rx.has_slot) {
        tg_box_ring_slot(box, box->rx.slot);
    }
    tg_sys_futex_wake(&box->interrupts->now, INT_MAX);
    tg_gate_stir(&box->rx.gate);
    tg_gate_stir(&box->tx.gate);
    tg_lanes_stir(box);
    return 0;
}
