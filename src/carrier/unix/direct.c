/*
 * Processes that name each other: a process's own mailbox, and handles on those of others.
 *
 * I1  A sender says the name of its process in HELLO, and says it anew when that takes another one. The
 *     messages that it sent before are then its under the new name, too.
 * I2  Who is called otherwise now says so to all who are connected, behind the rename: `renames` in its head
 *     counts, and whoever sends by name looks at it first.
 * I3  Where other users share the folder, a name is believed if the mailbox of that name is the same user's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/name.h"
#include "carrier/unix/unix.h"

int tg_unix_process_open(const char *name, const tong_options *options, tg_handle *ret_me)
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
    own.policy = NULL;
    return tg_unix_open(name, TONG_RECEIVE | TONG_CREATE, &own, TG_OF_PROCESS, ret_me);
}

int tg_unix_process_pause(tg_handle handle, int64_t deadline)
{
    struct tg_unix_handle *me = handle;
    int r = tg_unix_check(me, 0);
    const uint32_t seen = tg_unix_interrupts_begin(me);
    tg_a32 *bell = &me->interrupts->bell;
    while (r == 0) {
        const uint32_t rung = tg_load_acquire(bell);
        if (tg_unix_is_interrupted(me, seen)) {
            return -ECANCELED;
        }
        if (tg_is_over(deadline)) {
            return 0;
        }
        r = tg_sys_futex_wait(bell, rung, deadline);
        r = r == -ETIMEDOUT ? 0 : r;
    }
    return r;
}

/* ---- the others */

static const uint8_t *id_of(const struct tg_unix_handle *h)
{
    return h->box != NULL ? h->box->made.id : tg_unix_sender_place(h->sender)->head.id;
}

static struct tg_root *root_of(const struct tg_unix_handle *h)
{
    return h->box != NULL ? h->box->root : tg_unix_sender_place(h->sender)->root;
}

int tg_unix_probe(const struct tg_unix_handle *h, uint32_t *ret_renames)
{
    if (h->box == NULL) {
        return tg_unix_place_probe(tg_unix_sender_place(h->sender), ret_renames);
    }
    *ret_renames = tg_load_acquire(&h->box->head->renames);
    const uint32_t state = tg_load_acquire(&h->box->head->state);
    return state == TG_UNIX_ALIVE ? 0 : state == TG_UNIX_REMOVED ? -EIDRM : -EOWNERDEAD;
}

bool tg_unix_peer_is_same(tg_handle a, tg_handle b)
{
    return memcmp(id_of(a), id_of(b), 16) == 0;
}

int tg_unix_peer_open(tg_handle me, const char *name, tg_handle *ret_peer)
{
    const struct tg_unix_handle *as = me;
    struct tg_unix_handle *peer = NULL;
    const int r = tg_unix_open_peer(as, name, &peer);
    if (r < 0) {
        return r;
    }
    (void)tg_unix_probe(peer, &peer->renames);
    *ret_peer = peer;
    return 0;
}

int tg_unix_peer_check(tg_handle handle)
{
    struct tg_unix_handle *peer = handle;
    uint32_t renames = 0;
    if (peer->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    const int r = tg_unix_probe(peer, &renames);
    return r < 0 ? r : renames == peer->renames ? 0 : -ENOENT;
}

int tg_unix_peer_look_up(tg_handle handle, const char *name)
{
    struct tg_unix_handle *peer = handle;
    struct tg_unix_place place;
    if (peer->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    /* Before the question: a rename behind it changes the count. */
    int r = tg_unix_probe(peer, &peer->renames);
    if (r < 0) {
        return r;
    }
    r = tg_unix_place_open(root_of(peer), name, false, &place);
    if (r == 0) {
        r = memcmp(place.head.id, id_of(peer), 16) == 0 ? 0 : -ENOENT;
        tg_unix_place_close(&place);
    }
    return r;
}

static void rename_one(struct tg_unix_handle *h, const char *name)
{
    if (h->sender != NULL) {
        tg_unix_sender_rename(h, name);
        return;
    }
    (void)pthread_mutex_lock(&h->box->lock);
    memset(h->name, 0, sizeof h->name);
    memcpy(h->name, name, strlen(name));
    if (h->link != NULL) {
        memcpy(h->link->name, h->name, sizeof h->name);
    }
    tg_unix_deliver_wake_all(h->box);
    tg_unix_box_unlock(h->box);
}

void tg_unix_peer_rename(tg_handle handle, const char *name)
{
    struct tg_unix_handle *peer = handle;
    (void)tg_gate_enter(&peer->lanes_gate, TG_NEVER, NULL,
                        0); /* one that is opened has the new one */
    rename_one(peer, name);
    for (uint32_t i = 0; i < TG_PRIORITIES; i++) {
        if (peer->lanes[i] != NULL) {
            rename_one(peer->lanes[i], name);
        }
    }
    tg_gate_leave(&peer->lanes_gate);
}

/* ---- another name */

/* Take away what a dead one left under the name. 0: nobody has it; -EBUSY, -EEXIST as for open. */
static int clear_name(struct tg_root *root, const char *name)
{
    struct tg_unix_place place;
    int r = tg_unix_place_open(root, name, false, &place);
    if (r < 0) {
        return r == -ENOENT ? 0 : r;
    }
    r = place.head.process == TG_OF_PROCESS ? -EBUSY : -EEXIST;
    if (!tg_unix_place_is_alive(&place)) {
        r = tg_unix_place_take_away(root, name, place.head.id, false);
        r = r == -ENOENT || r == -EEXIST ? 0 : r == -EPERM ? -EACCES : r;
    }
    tg_unix_place_close(&place);
    return r;
}

/* Root's lock and the box's lock held. */
static int rename_place(struct tg_unix_box *box, const char *name)
{
    struct tg_unix_place place;
    if (box->ended != 0) {
        return box->ended;
    }
    int r = tg_unix_place_open(box->root, box->name, false, &place);
    if (r == 0) {
        r = memcmp(place.head.id, box->made.id, 16) == 0 ? 0 : -EIDRM;
        tg_unix_place_close(&place);
    }
    if (r == 0) {
        r = tg_unix_place_rename(box->root, box->name, name);
    }
    if (r < 0) {
        return r == -ENOENT ? -EIDRM : r;
    }
    /* release: behind the rename (I2). */
    tg_store_release(&box->head->renames, tg_load_relaxed(&box->head->renames) + 1);
    memset(box->name, 0, sizeof box->name);
    memcpy(box->name, name, strlen(name));
    tg_unix_drive_tell_all(box, TG_UNIX_RENAMED);
    return 0;
}

#define TRIES 100

int tg_unix_process_rename(tg_handle handle, const char *name)
{
    struct tg_unix_handle *me = handle;
    struct tg_unix_box *box = me->box;
    int r = tg_name_check(name);
    if (r == 0) {
        r = tg_unix_check(me, 0);
    }
    if (r < 0 || strcmp(name, box->name) == 0) {
        return r;
    }
    for (int tries = 0; tries < TRIES; tries++) {
        tg_fd lock = -1;
        r = clear_name(box->root, name);
        if (r < 0) {
            return r;
        }
        r = tg_root_lock(box->root, true, &lock);
        if (r == 0) {
            (void)pthread_mutex_lock(&box->lock);
            r = rename_place(box, name);
            tg_unix_box_unlock(box);
        }
        if (r != -EEXIST) {
            return r;
        }
    }
    return -EBUSY;
}

/* ---- receiving by name */

ssize_t tg_unix_receive_any(tg_handle me, void *buf, size_t size, int64_t timeout_ns,
                            char ret_from[TONG_NAME_MAX])
{
    char from[TONG_NAME_MAX] = "";
    const struct tg_unix_how how = { .sender = from };
    const ssize_t n = tg_unix_receive_as(me, buf, size, timeout_ns, &how);
    if (n >= 0) {
        memcpy(ret_from, from, sizeof from);
    }
    return n;
}

ssize_t tg_unix_receive_from(tg_handle me, const char *from, tg_handle peer, void *buf, size_t size,
                             int64_t timeout_ns)
{
    const struct tg_unix_how how = { .from = from, .peer = peer };
    return tg_unix_receive_as(me, buf, size, timeout_ns, &how);
}

/* ---- who talks to whom */

struct lane {
    uint8_t from[16]; /* id of the mailbox of the process that sends; then its name is looked up */
    const char *from_name;
    const char *to_name;
    uint64_t waiting;
};

struct party {
    uint8_t id[16];
    char name[TONG_NAME_MAX];
};

struct lanes {
    struct party *party;
    size_t n_parties;
    struct lane *lane;
    size_t n;
    size_t of; /* the party whose links are read */
};

static int add_lane(const struct tg_unix_row_look *look, void *arg)
{
    static const uint8_t nobody[16];
    struct lanes *lanes = arg;
    if (memcmp(look->r->as, nobody, 16) == 0) {
        return 0;
    }
    void *p = realloc(lanes->lane, (lanes->n + 1) * sizeof *lanes->lane);
    if (p == NULL) {
        return -ENOMEM;
    }
    lanes->lane = p;
    struct lane *lane = &lanes->lane[lanes->n++];
    const uint64_t over = look->told->done + look->told->in_hand;
    memcpy(lane->from, look->r->as, 16);
    lane->from_name = NULL;
    lane->to_name = lanes->party[lanes->of].name;
    const uint64_t sent = look->told->received + tg_unix_unread(look);
    lane->waiting = sent > over ? sent - over : 0;
    return 0;
}

static int read_parties(struct tg_root *root, const struct tg_names *names, struct lanes *lanes)
{
    lanes->party = calloc(names->n != 0 ? names->n : 1, sizeof *lanes->party);
    if (lanes->party == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < names->n; i++) {
        struct tg_unix_place place;
        if (tg_unix_place_open(root, names->name[i], false, &place) < 0) {
            continue;
        }
        if (place.head.process == TG_OF_PROCESS && tg_unix_place_is_alive(&place)) {
            struct party *party = &lanes->party[lanes->n_parties++];
            memcpy(party->id, place.head.id, 16);
            memcpy(party->name, names->name[i], TONG_NAME_MAX);
        }
        tg_unix_place_close(&place);
    }
    return 0;
}

static int read_lanes(struct tg_root *root, struct lanes *lanes)
{
    int r = 0;
    for (lanes->of = 0; lanes->of < lanes->n_parties && r == 0; lanes->of++) {
        r = tg_unix_look_at_links(root, lanes->party[lanes->of].name, add_lane, lanes);
        r = r == -ENOENT || r == -EACCES || r == -EPROTO ? 0 : r;
    }
    for (size_t i = 0; i < lanes->n; i++) {
        for (size_t k = 0; k < lanes->n_parties; k++) {
            if (memcmp(lanes->lane[i].from, lanes->party[k].id, 16) == 0) {
                lanes->lane[i].from_name = lanes->party[k].name;
            }
        }
    }
    return r;
}

static int by_pair(const void *a, const void *b)
{
    const struct lane *x = a;
    const struct lane *y = b;
    if (x->from_name == NULL || y->from_name == NULL) {
        return (x->from_name == NULL) - (y->from_name == NULL);
    }
    const bool x_there = strcmp(x->from_name, x->to_name) <= 0;
    const bool y_there = strcmp(y->from_name, y->to_name) <= 0;
    const int r = strcmp(x_there ? x->from_name : x->to_name, y_there ? y->from_name : y->to_name);
    return r != 0
               ? r
               : strcmp(x_there ? x->to_name : x->from_name, y_there ? y->to_name : y->from_name);
}

static int tell_pairs(struct lanes *lanes, tong_links_fn *each, void *arg)
{
    int r = 0;
    if (lanes->n != 0) {
        qsort(lanes->lane, lanes->n, sizeof *lanes->lane, by_pair);
    }
    for (size_t i = 0; r == 0 && i < lanes->n && lanes->lane[i].from_name != NULL;) {
        const struct lane *first = &lanes->lane[i];
        tong_link link = TONG_LINK_INIT;
        const bool in_order = strcmp(first->from_name, first->to_name) <= 0;
        memcpy(link.a, in_order ? first->from_name : first->to_name, TONG_NAME_MAX);
        memcpy(link.b, in_order ? first->to_name : first->from_name, TONG_NAME_MAX);
        for (; i < lanes->n && by_pair(first, &lanes->lane[i]) == 0; i++) {
            const bool there = strcmp(lanes->lane[i].from_name, link.a) == 0;
            link.lanes |= there ? TONG_LANE_THERE : TONG_LANE_BACK;
            link.files++;
            link.waiting[there ? 0 : 1] += lanes->lane[i].waiting;
        }
        r = each(&link, arg);
    }
    return r;
}

int tg_unix_links(tong_links_fn *each, void *arg)
{
    struct tg_root *root;
    struct tg_names names = { 0 };
    struct lanes lanes = { .n = 0 };
    int r = tg_root_get(false, &root);
    if (r < 0) {
        return r == -ENOENT ? 0 : r;
    }
    r = tg_names_read_of(root, '@', &names);
    if (r == 0) {
        r = read_parties(root, &names, &lanes);
    }
    if (r == 0) {
        r = read_lanes(root, &lanes);
    }
    if (r == 0) {
        r = tell_pairs(&lanes, each, arg);
    }
    free(lanes.lane);
    free(lanes.party);
    tg_names_free(&names);
    tg_root_put(root);
    return r;
}
