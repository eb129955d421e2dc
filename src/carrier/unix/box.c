/*
 * The mailboxes of this process: opened, shared by their handles, ended.
 *
 *   state      facts                                             left by
 *   open       listed; its files are locked, its socket listens  the close of the handle that made it; removal
 *   ended      calls answer with how; no connection is left      the last handle's close: freed
 *
 * I1  A box is listed, once it is made, until its last handle is closed: that close and the end of the listing are
 *     one step, under the lock of the list, so that nobody finds one that is being freed. A forked child
 *     does not see its parent's.
 * I2  The list's lock comes before a box's lock. The root's lock comes before both.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/kept.h"
#include "base/name.h"
#include "carrier/unix/call.h"
#include "carrier/unix/everyone.h"
#include "carrier/unix/priority.h"
#include "carrier/unix/unix.h"
#include "mailbox/mailbox.h"

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct tg_unix_box *boxes;

static void before_fork(void)
{
    (void)pthread_mutex_lock(&list_lock);
    tg_unix_links_fork(TG_UNIX_BEFORE_FORK);
}

static void after_fork(void)
{
    tg_unix_links_fork(TG_UNIX_IN_PARENT);
    (void)pthread_mutex_unlock(&list_lock);
}

/* I1: their memory stays with the handles. */
static void after_fork_in_child(void)
{
    tg_unix_links_fork(TG_UNIX_IN_CHILD);
    boxes = NULL;
    (void)pthread_mutex_unlock(&list_lock);
}

static void init_once(void)
{
    (void)pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

struct tg_unix_box *tg_unix_box_find(const uint8_t id[16])
{
    (void)pthread_once(&once, init_once);
    (void)pthread_mutex_lock(&list_lock);
    struct tg_unix_box *box = boxes;
    while (box != NULL && memcmp(box->made.id, id, 16) != 0) {
        box = box->next;
    }
    if (box != NULL) {
        (void)pthread_mutex_lock(&box->lock);
    }
    (void)pthread_mutex_unlock(&list_lock);
    return box;
}

void tg_unix_box_unlock(struct tg_unix_box *box)
{
    (void)pthread_mutex_unlock(&box->lock);
}

static void enlist(struct tg_unix_box *box)
{
    (void)pthread_once(&once, init_once);
    (void)pthread_mutex_lock(&list_lock);
    box->next = boxes;
    boxes = box;
    (void)pthread_mutex_unlock(&list_lock);
}

/* One handle less; true: it was the last, and nobody finds the box any more. */
static bool let_go(struct tg_unix_box *box)
{
    (void)pthread_mutex_lock(&list_lock);
    (void)pthread_mutex_lock(&box->lock);
    const bool last = --box->refs == 0;
    struct tg_unix_box **at = &boxes;
    while (last && *at != NULL && *at != box) {
        at = &(*at)->next;
    }
    if (last && *at == box) {
        *at = box->next;
    }
    (void)pthread_mutex_unlock(&box->lock);
    (void)pthread_mutex_unlock(&list_lock);
    return last;
}

/* ---- the box */

/* What a forked child frees of its parent's: memory. */
static void free_memory(struct tg_unix_box *box)
{
    struct tg_unix_list *const lists[] = { &box->returned, &box->waiting, &box->aside };
    for (size_t i = 0; i < 3; i++) {
        while (lists[i]->first != NULL) {
            struct tg_unix_message *m = lists[i]->first;
            lists[i]->first = m->next;
            tg_unix_message_free(box, m);
        }
    }
    while (box->links != NULL) {
        struct tg_unix_link *link = box->links;
        box->links = link->next;
        free(link);
    }
    free(box->by_fd);
    free(box->rows);
    free(box->scratch);
    free(box->deaths);
    tg_unix_requests_free(box->untold);
    free(box->keys);
    free(box->spare);
    if (box->head != NULL) {
        tg_sys_unmap(box->head, TG_UNIX_BOX_SIZE);
    }
    (void)pthread_mutex_destroy(&box->lock);
    free(box);
}

static void free_box(struct tg_unix_box *box)
{
    if (box->head != NULL) {
        tg_unix_drive_fini(box);
    }
    tg_unix_made_close(&box->made);
    struct tg_root *root = box->root;
    const bool joined = box->joined;
    free_memory(box);
    if (joined) {
        (void)tg_life_leave(root);
    }
    tg_root_put(root);
}

static void read_options(struct tg_unix_box *box)
{
    const struct tg_unix_head *head = box->head;
    box->full = head->full;
    box->capacity = head->capacity;
    box->link_capacity = head->link_capacity;
    box->message_size = head->message_size;
    box->max_deliveries = head->max_deliveries;
    box->max_bytes = head->max_bytes;
    box->most_held = tg_unix_most_held();
    box->is_process = head->process == TG_OF_PROCESS;
    box->by_priority = head->by_priority != 0;
    box->to_all = head->delivery == TONG_EVERYONE;
    box->returned.by_priority = box->by_priority;
    box->waiting.by_priority = box->by_priority;
    box->policy = tg_policy_of(head->delivery);
    box->own = tg_policy_find_own(head->policy);
}

static int new_box(const char *name, struct tg_root *root, struct tg_unix_box **ret_box)
{
    struct tg_unix_box *box = calloc(1, sizeof *box);
    if (box == NULL) {
        return -ENOMEM;
    }
    memcpy(box->name, name, strlen(name) + 1);
    box->refs = 1;
    box->fork_count = tg_fork_count();
    box->made = (struct tg_unix_made){ .dir = -1, .box = -1, .room = -1, .listener = -1 };
    box->epoll = -1;
    box->wake = -1;
    box->root = root;
    tg_unix_list_init(&box->returned);
    tg_unix_list_init(&box->waiting);
    tg_unix_list_init(&box->aside);
    (void)pthread_mutex_init(&box->lock, NULL);
    *ret_box = box;
    return 0;
}

static int map_box(struct tg_unix_box *box)
{
    void *p = NULL;
    /* A mapping keeps the description open, in a forked child, too: not the one that has the lock. */
    tg_fd fd = tg_sys_open(box->made.dir, TG_UNIX_BOX, O_RDWR, 0);
    int r = fd < 0 ? fd : tg_sys_map(fd, 0, TG_UNIX_BOX_SIZE, true, &p);
    if (r == 0) {
        box->head = p;
        box->told_slots = (struct tg_unix_slot *)(void *)((uint8_t *)p + TG_UNIX_SLOTS_OFF);
        box->shares = (struct tg_unix_share *)(void *)((uint8_t *)p + TG_UNIX_SHARES_OFF);
        box->told = (struct tg_unix_told *)(void *)((uint8_t *)p + TG_UNIX_TOLD_OFF);
        box->told_rows = TG_PAGE / sizeof(struct tg_unix_told);
        read_options(box);
        r = tg_sys_random(&box->random, sizeof box->random);
    }
    return r;
}

/* The root is the box's from then on, also on failure. */
static int make_box(const char *name, struct tg_root *root, const tong_options *options,
                    uint32_t process, struct tg_unix_box **ret_box)
{
    struct tg_unix_box *box;
    uint64_t me;
    int r = new_box(name, root, &box);
    if (r < 0) {
        tg_root_put(root);
        return r;
    }
    r = tg_life_join(root, &me);
    box->joined = r == 0;
    if (r == 0) {
        r = tg_unix_place_make(root, name, options, process, &box->made);
    }
    if (r == 0) {
        r = map_box(box);
    }
    if (r == 0) {
        r = tg_unix_drive_init(box);
    }
    if (r < 0) {
        if (box->made.box >= 0) {
            const uint32_t gone = TG_UNIX_GONE;
            (void)tg_sys_pwrite(box->made.box, &gone, sizeof gone,
                                offsetof(struct tg_unix_head, state));
            tg_unix_place_unmake(root, name, &box->made);
        }
        free_box(box);
        return r;
    }
    enlist(box);
    *ret_box = box;
    return 0;
}

void tg_unix_box_end(struct tg_unix_box *box, int how)
{
    if (box->ended != 0) {
        return;
    }
    box->ended = how;
    /* Before the connections: who sees their end finds out why. */
    tg_store_release(&box->head->state, (uint32_t)(how == -EIDRM ? TG_UNIX_REMOVED : TG_UNIX_GONE));
    tg_unix_drive_stop(box);
    tg_unix_made_close(&box->made);
    tg_unix_deliver_wake_all(box);
    tg_event_ring(box->wake);
    tg_unix_own_wake(box);
}

/* ---- handles */

static int take_slot(struct tg_unix_handle *h)
{
    struct tg_unix_box *box = h->box;
    uint32_t i = 0;
    while (i < TG_UNIX_SLOTS && box->slots[i] != NULL) {
        i++;
    }
    if (i == TG_UNIX_SLOTS) {
        return -EUSERS;
    }
    if (tg_load_relaxed(&box->head->receivers) >= box->policy->max_receivers) {
        return -EBUSY;
    }
    if (box->policy->delivery == TONG_OWN && box->own.choose == NULL) {
        return -ENOSYS;
    }
    h->slot = i;
    if (box->to_all) { /* before it has its slot: what is read then is not for it */
        tg_unix_everyone_join(h, (h->flags & TONG_FROM_OLDEST) != 0);
    }
    box->slots[i] = h;
    tg_store_relaxed(&box->told_slots[i].open, UINT32_C(1));
    h->came = ++box->came;
    h->receives = true;
    tg_unix_count_small(&box->head->receivers, 1);
    return 0;
}

/* Lock held. */
static void leave_box(struct tg_unix_handle *h)
{
    struct tg_unix_box *box = h->box;
    if (h->receives) {
        tg_unix_match_leave(h);
        if (!box->to_all) {
            tg_unix_return_all(h);
        }
        tg_unix_call_leave(h);
        box->slots[h->slot] = NULL;
        tg_store_relaxed(&box->told_slots[h->slot].open, UINT32_C(0));
        h->receives = false;
        tg_unix_count_small(&box->head->receivers, -1);
        if (box->to_all) {
            tg_unix_return_all(h);
            tg_unix_everyone_leave(h);
        }
        tg_unix_deliver_wake(box); /* what was its by a key is anybody's */
    }
    box->n_levels -= h->poll >= 0;
    box->n_watchers -= h->watches;
    tg_unix_level_close(h);
    tg_unix_own_close(h);
    if (h->owns) {
        tg_unix_box_end(box, -EOWNERDEAD);
    }
}

static struct tg_unix_handle *new_handle(unsigned flags)
{
    struct tg_unix_handle *h = calloc(1, sizeof *h);
    if (h != NULL) {
        h->flags = flags;
        h->fork_count = tg_fork_count();
        h->interrupts = &h->own_interrupts;
        h->poll = -1;
        h->level = -1;
        h->copy = -1;
    }
    return h;
}

/* A handle on a box, whose lock is held and given back. */
static int join(struct tg_unix_box *box, struct tg_unix_handle *h)
{
    h->box = box;
    const int r = (h->flags & TONG_RECEIVE) != 0 ? take_slot(h) : 0;
    if (r == 0) {
        box->refs++;
    } else {
        h->box = NULL;
    }
    tg_unix_box_unlock(box);
    return r;
}

int tg_unix_close(tg_handle handle)
{
    struct tg_unix_handle *h = handle;
    struct tg_unix_box *box = h->box;
    const bool forked = h->fork_count != tg_fork_count();
    tg_unix_lanes_close(h);
    if (h->sender != NULL) {
        tg_unix_sender_free(h->sender, forked);
    }
    if (box != NULL && forked) {
        if (--box->refs == 0) {
            free_memory(box);
        }
    } else if (box != NULL) {
        (void)pthread_mutex_lock(&box->lock);
        leave_box(h);
        tg_unix_box_unlock(box);
        if (h->owns) {
            (void)tg_unix_place_take_away(box->root, box->name, box->made.id, false);
        }
        if (let_go(box)) {
            free_box(box);
        }
    }
    if (!forked) {
        tg_kept_close((int)tg_load_relaxed(&h->own_interrupts.fd) - 1);
    }
    tg_unix_call_close(h, forked);
    tg_unix_everyone_free(h);
    free(h->reserved);
    free(h);
    return forked ? -ECHILD : 0;
}

int tg_unix_check(struct tg_unix_handle *h, int r)
{
    if (h->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    if (h->sender != NULL) {
        const int end = tg_unix_sender_check(h->sender);
        return end < 0 ? end : r;
    }
    (void)pthread_mutex_lock(&h->box->lock);
    r = h->box->ended != 0 ? h->box->ended : r;
    tg_unix_box_unlock(h->box);
    return r;
}

int tg_unix_interrupt_fd(struct tg_unix_handle *h)
{
    tg_a32 *word = &h->interrupts->fd;
    if (tg_load_acquire(word) == 0) {
        const int r = tg_kept_begin();
        const int fd = r < 0 ? r : tg_kept_end(tg_event_counter());
        uint32_t none = 0;
        if (fd < 0) {
            return fd;
        }
        if (!tg_cas(word, &none, (uint32_t)fd + 1)) {
            tg_kept_close(fd);
        }
    }
    return (int)tg_load_acquire(word) - 1;
}

int tg_unix_interrupt(tg_handle handle)
{
    struct tg_unix_handle *h = handle;
    struct tg_unix_interrupts *i = h->interrupts;
    if (h->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    (void)atomic_fetch_add_explicit(&i->now, 1, memory_order_seq_cst);
    (void)atomic_fetch_add_explicit(&i->bell, 1, memory_order_seq_cst);
    tg_sys_futex_wake(&i->bell, INT32_MAX);
    const int fd = (int)tg_load_seq_cst(&i->fd) - 1;
    if (fd >= 0) {
        tg_event_ring(fd);
    }
    if (h->box != NULL) {
        tg_event_ring(h->box->wake);
        tg_sys_futex_ring_foreign(&h->box->room_bell);
    }
    tg_unix_call_interrupt(h);
    tg_gate_stir(&h->gate);
    tg_unix_lanes_stir(h);
    return 0;
}

/* ---- opening */

static bool options_differ(const struct tg_unix_head *head, const tong_options *o)
{
    const uint32_t delivery = o->policy != NULL ? (uint32_t)TONG_OWN : o->delivery;
    const char *dead_letter = o->dead_letter != NULL ? o->dead_letter : "";
    return o->owner != TONG_PROCESS || head->delivery != delivery || head->full != o->full ||
           head->capacity != o->capacity || head->link_capacity != tg_unix_link_capacity(o) ||
           head->message_size != o->message_size || head->by_priority != o->by_priority ||
           head->max_bytes != o->max_bytes || head->mode != o->mode ||
           head->max_deliveries != o->max_deliveries ||
           strcmp(head->dead_letter, dead_letter) != 0 ||
           (o->policy != NULL && strcmp(head->policy, o->policy) != 0);
}

struct opening {
    const char *name;
    const tong_options *options;
    struct tg_root *root;
    uint32_t process;
};

/* One that is there and alive. */
static int attach(const struct opening *o, struct tg_unix_place *place, struct tg_unix_handle *h)
{
    if (o->process == TG_OF_PROCESS) {
        return place->head.process == TG_OF_PROCESS ? -EBUSY : -EEXIST;
    }
    if ((h->flags & TONG_EXCL) != 0 ||
        (o->options != NULL && options_differ(&place->head, o->options))) {
        return -EEXIST;
    }
    struct tg_unix_box *box = tg_unix_box_find(place->head.id);
    if (box != NULL) {
        return join(box, h);
    }
    if ((h->flags & TONG_RECEIVE) != 0) {
        return -EPERM;
    }
    return tg_unix_sender_new(place, &h->sender);
}

static int make(const struct opening *o, struct tg_unix_handle *h)
{
    tong_options options = TONG_OPTIONS_INIT;
    if (o->options != NULL) {
        options = *o->options;
        const bool to_all = options.delivery == TONG_EVERYONE && options.policy == NULL;
        if (options.owner != TONG_PROCESS || (to_all && options.max_deliveries != 0)) {
            return -EOPNOTSUPP;
        }
    }
    struct tg_root *root;
    struct tg_unix_box *box = NULL;
    int r = tg_root_get(true, &root);
    if (r == 0) {
        r = make_box(o->name, root, &options, o->process, &box);
    }
    if (r < 0) {
        return r == -EEXIST ? -EAGAIN : r;
    }
    (void)pthread_mutex_lock(&box->lock);
    h->owns = true;
    r = join(box, h);
    if (r < 0) {
        h->box = box;
        return r;
    }
    (void)pthread_mutex_lock(&box->lock);
    box->refs--; /* the maker's, which is the handle's now */
    tg_unix_box_unlock(box);
    return 0;
}

/* -EAGAIN: another was faster with whatever it did. */
static int find_or_make(const struct opening *o, struct tg_unix_handle *h)
{
    struct tg_unix_place place;
    int r = tg_unix_place_open(o->root, o->name, false, &place);
    if (r == 0 && tg_unix_place_is_alive(&place)) {
        r = attach(o, &place, h);
        tg_unix_place_close(&place); /* unless it is the sender's */
        return r;
    }
    if (r == 0) {
        r = tg_unix_place_take_away(o->root, o->name, place.head.id, false);
        tg_unix_place_close(&place);
        if (r == -EEXIST) {
            return -EAGAIN;
        }
        if (r < 0 && r != -ENOENT && (h->flags & TONG_CREATE) != 0) {
            return r == -EPERM ? -EACCES : r;
        }
        r = -ENOENT;
    }
    return r == -ENOENT && (h->flags & TONG_CREATE) != 0 ? make(o, h) : r;
}

#define TRIES 100

static int open_handle(const struct opening *o, struct tg_unix_handle *h)
{
    for (int tries = 0; tries < TRIES; tries++) {
        const int r = find_or_make(o, h);
        if (r != -EAGAIN) {
            return r;
        }
    }
    return -EBUSY;
}

int tg_unix_open(const char *name, unsigned flags, const tong_options *options, uint32_t process,
                 tg_handle *ret_handle)
{
    struct opening o = { .name = name, .options = options, .process = process };
    int r = tg_box_check_arguments(name, flags, options);
    if (r == 0) {
        r = tg_root_get((flags & TONG_CREATE) != 0, &o.root);
    }
    if (r < 0) {
        return r;
    }
    const bool private_ = options != NULL && (options->mode & 0077) != 0;
    struct tg_unix_handle *h = NULL;
    if (private_ && !tg_root_is_shared(o.root)) {
        r = -EACCES;
    } else {
        h = new_handle(flags);
        r = h == NULL ? -ENOMEM : open_handle(&o, h);
    }
    tg_root_put(o.root);
    if (r < 0 && h != NULL) {
        (void)tg_unix_close(h);
    }
    if (r == 0) {
        *ret_handle = h;
    }
    return r;
}

/* ---- peers */

static int open_peer(const struct tg_unix_handle *as, const char *name, struct tg_unix_handle *h)
{
    struct tg_unix_place place;
    int r = tg_unix_place_open(as->box->root, name, false, &place);
    if (r < 0) {
        return r;
    }
    if (!tg_unix_place_is_alive(&place)) {
        r = -ENOENT;
    } else if (place.head.process != TG_OF_PROCESS) {
        r = -EINVAL;
    } else {
        struct tg_unix_box *box = tg_unix_box_find(place.head.id);
        r = box != NULL ? join(box, h) : tg_unix_sender_new(&place, &h->sender);
    }
    tg_unix_place_close(&place);
    return r;
}

/* Box's lock held, if there is one: that one's name. */
static void name_lane(struct tg_unix_handle *h, struct tg_unix_handle *lane)
{
    (void)tg_gate_enter(&h->name_gate, TG_NEVER, NULL, 0);
    memcpy(lane->name, h->name, sizeof lane->name);
    tg_gate_leave(&h->name_gate);
    memcpy(lane->as, h->as, sizeof lane->as);
}

int tg_unix_open_lane(struct tg_unix_handle *h, uint32_t priority, struct tg_unix_handle **ret_lane)
{
    struct tg_unix_handle *lane = new_handle(TONG_SEND);
    int r = 0;
    if (lane == NULL) {
        return -ENOMEM;
    }
    lane->interrupts = h->interrupts;
    lane->main = h;
    lane->lane = priority;
    if (h->sender != NULL) {
        name_lane(h, lane);
        r = tg_unix_sender_copy(h->sender, &lane->sender);
    } else {
        (void)pthread_mutex_lock(&h->box->lock);
        name_lane(h, lane);
        r = join(h->box, lane);
    }
    if (r < 0) {
        (void)tg_unix_close(lane);
        return r;
    }
    *ret_lane = lane;
    return 0;
}

int tg_unix_open_peer(const struct tg_unix_handle *as, const char *name,
                      struct tg_unix_handle **ret_peer)
{
    int r = tg_name_check(name);
    struct tg_unix_handle *h = r < 0 ? NULL : new_handle(TONG_SEND);
    if (h == NULL) {
        return r < 0 ? r : -ENOMEM;
    }
    h->interrupts = as->interrupts;
    memcpy(h->as, as->box->made.id, sizeof h->as);
    (void)pthread_mutex_lock(&as->box->lock);
    memcpy(h->name, as->box->name, sizeof h->name);
    tg_unix_box_unlock(as->box);
    r = open_peer(as, name, h);
    if (r < 0) {
        (void)tg_unix_close(h);
        return r;
    }
    *ret_peer = h;
    return 0;
}
