/*
 * A process's own mailbox, and how others find it by its name.
 *
 * It is a mailbox of the process (owner.c), with one receiver, marked as such (box head, `process`). Its
 * name is the folder's: whoever makes it has the name while it lives; what a dead one left is taken away.
 *
 * To take another name:                       killed behind it
 *   1  rename of the folder, root's lock held   the mailbox ends with its process, under either name
 *   2  renames + 1                              the same
 *   3  ring everybody
 *   4  the name in the links to others (from.c) the links of a dead process: old name or new one
 *
 * I1  Who sends by name reads `renames`, then asks whether the folder it has open still has the name.
 *     A rename before the question is seen by it; one behind it changes `renames`.
 * I2  Who is inside a call on the mailbox stays there: the handle is the mailbox's, whatever it is called.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/name.h"
#include "mailbox/box.h"

void tg_process_name(struct tg_box *box, char ret_name[TONG_NAME_MAX])
{
    (void)tg_gate_enter(&box->as.gate, TG_NEVER, NULL, 0);
    memcpy(ret_name, box->name, TONG_NAME_MAX);
    tg_gate_leave(&box->as.gate);
}

int tg_process_open(const struct tg_way *way, const char *name, const tong_options *options,
                    struct tg_box **ret_box)
{
    tong_options own = TONG_OPTIONS_INIT;
    if (options != NULL && options->struct_size < sizeof *options) {
        return -EINVAL;
    }
    if (options != NULL) {
        own = *options;
    }
    own.owner = TONG_PROCESS;
    own.delivery = TONG_EXCLUSIVE;
    const struct tg_opening how = { .is_process = true, .way = way };
    return tg_box_open_with(name, TONG_RECEIVE | TONG_CREATE, &own, &how, ret_box);
}

/* ---- the others */

/* Whether the folder this handle has open is the one of that name (I1). */
static bool has_name(struct tg_box *box, const char *name)
{
    struct stat named;
    return tg_sys_stat(tg_root_fd(box->root), name, &named) == 0 && named.st_ino == box->dir_ino;
}

static int look_up(struct tg_box *peer, const char *name)
{
    if (tg_sight_fetch_head(&peer->sight) < 0) {
        return -EPROTO;
    }
    if (tg_load_relaxed(&peer->head->process) != TG_OF_PROCESS) {
        return -EINVAL;
    }
    /* acquire, before the question. */
    atomic_store_explicit(&peer->as.renames, tg_load_acquire(&peer->head->renames),
                          memory_order_relaxed);
    return has_name(peer, name) ? 0 : -ENOENT;
}

int tg_peer_open(struct tg_box *me, const char *name, struct tg_box **ret_peer)
{
    const struct tg_opening how = { .as = me, .way = me->way };
    struct tg_box *peer = NULL;
    int r = tg_box_open_with(name, TONG_SEND, NULL, &how, &peer);
    if (r < 0) {
        return r;
    }
    r = look_up(peer, name);
    if (r < 0) {
        (void)tg_box_close(peer);
        return r;
    }
    *ret_peer = peer;
    return 0;
}

int tg_peer_check(struct tg_box *peer)
{
    const int r = tg_box_begin(peer);
    if (r < 0) {
        return r;
    }
    /* acquire: who sees the count finds the folder renamed. */
    return tg_load_acquire(&peer->head->renames) == tg_load_relaxed(&peer->as.renames) ? 0
                                                                                       : -ENOENT;
}

int tg_peer_look_up(struct tg_box *peer, const char *name)
{
    const int r = tg_box_begin(peer);
    return r < 0 ? r : look_up(peer, name);
}

bool tg_peer_is_same(const struct tg_box *a, const struct tg_box *b)
{
    return memcmp(a->id, b->id, sizeof a->id) == 0;
}

int tg_process_pause(struct tg_box *me, int64_t deadline)
{
    int r = tg_box_begin(me);
    if (r < 0) {
        return r;
    }
    const uint32_t seen = tg_box_interrupts(me);
    r = tg_sys_futex_wait(&me->interrupts->now, seen, deadline);
    if (tg_box_is_interrupted(me, seen)) {
        return -ECANCELED;
    }
    return r == -EINTR ? r : 0;
}

/* ---- another name */

/* Take away what a dead one left under the name. 0: nobody has it; -EBUSY, -EEXIST as for open. */
static int clear_name(struct tg_box *box, const char *name)
{
    struct tg_box_view view;
    int r = tg_box_view_open(box->root, name, false, &view);
    if (r < 0) {
        return r == -ENOENT ? 0 : r;
    }
    uint8_t id[16];
    memcpy(id, view.head->id, sizeof id);
    r = tg_load_relaxed(&view.head->process) == TG_OF_PROCESS ? -EBUSY : -EEXIST;
    if (tg_box_view_is_dead(box->root, &view)) {
        r = tg_box_take_away(box->root, name, TG_END_DEAD, id);
        r = r == -ENOENT || r == -EEXIST ? 0 : r == -EPERM ? -EACCES : r;
    }
    tg_box_view_close(&view);
    return r;
}

static void ring_all(struct tg_box *box)
{
    struct tg_box_view view = { .dir = box->dir, .uid = box->dir_uid, .sight = box->sight };
    tg_box_view_set(&view, box->main.head);
    tg_box_wake_everybody(&view);
}

/* Root's lock held. -EEXIST: somebody has the name. */
static int rename_folder(struct tg_box *box, const char *name)
{
    int r = tg_box_begin(box);
    if (r < 0) {
        return r;
    }
    if (!has_name(box, box->name)) {
        return -EIDRM;
    }
    r = tg_sys_rename(tg_root_fd(box->root), box->name, name, false);
    if (r < 0) {
        return r;
    }
    /* release: behind the rename (I1). */
    tg_store_release(&box->main.head->renames, tg_load_relaxed(&box->main.head->renames) + 1);
    (void)tg_gate_enter(&box->as.gate, TG_NEVER, NULL, 0);
    memset(box->name, 0, sizeof box->name);
    memcpy(box->name, name, strlen(name));
    tg_gate_leave(&box->as.gate);
    ring_all(box);
    return 0;
}

#define TRIES 100

int tg_process_rename(struct tg_box *box, const char *name)
{
    char now[TONG_NAME_MAX];
    int r = tg_name_check(name);
    if (r == 0) {
        r = tg_box_begin(box);
    }
    tg_process_name(box, now);
    if (r < 0 || strcmp(name, now) == 0) {
        return r;
    }
    for (int tries = 0; tries < TRIES; tries++) {
        r = clear_name(box, name);
        if (r < 0) {
            return r;
        }
        tg_fd lock = -1;
        r = tg_root_lock(box->root, true, &lock);
        r = r == 0 ? rename_folder(box, name) : r;
        if (r != -EEXIST) {
            return r;
        }
    }
    return -EBUSY;
}
