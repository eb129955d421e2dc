/*
 * Messages of the owner to itself: into the list, by no socket.
 *
 * The link of such a handle counts as that of any sender. Who waits for room sleeps on the box's room
 * bell, and for room of the whole mailbox stands in the same queue as the clients.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "carrier/unix.h"

void tg_unix_own_wake(struct tg_unix_box *box)
{
    (void)tg_add(&box->room_bell, 1);
    tg_sys_futex_wake(&box->room_bell, INT_MAX);
}

/* Lock held, here and below. */
static int get_link(struct tg_unix_handle *h)
{
    if (h->link != NULL) {
        return 0;
    }
    struct tg_unix_link *link = tg_unix_link_new(h->box);
    if (link == NULL) {
        return -ENOMEM;
    }
    link->own = h;
    link->greeted = true;
    link->peer = (struct tg_socket_peer){ .pid = getpid(), .uid = geteuid(), .gid = getegid() };
    memcpy(link->name, h->name, sizeof link->name);
    tg_unix_count_small(&h->box->head->own_links, 1);
    h->link = link;
    return 0;
}

void tg_unix_own_close(struct tg_unix_handle *h)
{
    struct tg_unix_link *link = h->link;
    h->link = NULL;
    if (link != NULL) {
        tg_unix_count_small(&h->box->head->own_links, -1);
        link->own = NULL;
        tg_unix_link_end(h->box, link);
    }
}

/* ---- room */

static bool has_link_room(const struct tg_unix_box *box, const struct tg_unix_link *link)
{
    return box->link_capacity == TONG_UNBOUNDED || link->received - link->done < box->link_capacity;
}

static bool is_bounded(const struct tg_unix_box *box)
{
    return box->capacity != TONG_UNBOUNDED && box->capacity != 0;
}

/* 0: a room of the mailbox is this link's. */
static int get_room(struct tg_unix_box *box, struct tg_unix_link *link)
{
    uint64_t n = 0;
    if (!is_bounded(box) || link->granted > link->received) {
        return 0;
    }
    if (box->wants != NULL) {
        return -EAGAIN; /* others were first */
    }
    const int r =
        tg_unix_room_take(box->made.room, box->made.box, TG_UNIX_OWN_ROW, box->capacity, 1, &n);
    link->granted += n;
    return r;
}

static int try_room(struct tg_unix_box *box, struct tg_unix_link *link)
{
    return has_link_room(box, link) ? get_room(box, link) : -EAGAIN;
}

/* The oldest message of the link that nobody has in hand. */
static bool drop_oldest(struct tg_unix_box *box, const struct tg_unix_link *link)
{
    struct tg_unix_list *const lists[] = { &box->returned, &box->waiting };
    for (size_t i = 0; i < 2; i++) {
        struct tg_unix_message *m = lists[i]->first;
        while (m != NULL && m->link != link) {
            m = m->next;
        }
        if (m != NULL) {
            tg_unix_list_remove(lists[i], m);
            tg_unix_count(&box->head->waiting, -1);
            tg_unix_message_drop(box, m);
            return true;
        }
    }
    return false;
}

/* Sleep for room. The lock is given back meanwhile. */
static int sleep_for_room(struct tg_unix_handle *h, const struct tg_unix_call *call)
{
    struct tg_unix_box *box = h->box;
    if (tg_unix_is_interrupted(h, call->interrupts)) {
        return -ECANCELED;
    }
    const uint32_t seen = tg_load_acquire(&box->room_bell);
    tg_unix_count_small(&box->head->own_blocked, 1);
    tg_gate_set_asleep(&h->gate, true);
    tg_unix_box_unlock(box);
    const int r = tg_sys_futex_wait(&box->room_bell, seen, call->deadline_ns);
    (void)pthread_mutex_lock(&box->lock);
    tg_gate_set_asleep(&h->gate, false);
    tg_unix_count_small(&box->head->own_blocked, -1);
    return r;
}

static int wait_for_room(struct tg_unix_handle *h, const struct tg_unix_call *call)
{
    struct tg_unix_box *box = h->box;
    struct tg_unix_link *link = h->link;
    int slept = 0;
    for (;;) {
        int r = box->ended != 0 ? box->ended : try_room(box, link);
        if (r == -EAGAIN && slept == 0 && has_link_room(box, link)) {
            /* It stands in the queue from now on; perhaps there is a room by now. */
            tg_unix_drive_want(box, link, 1);
            r = link->granted > link->received ? 0 : r;
        }
        if (r == -EAGAIN && slept == 0) {
            slept = sleep_for_room(h, call);
            continue;
        }
        tg_unix_drive_forget_want(box, link);
        return r == -EAGAIN ? slept : r;
    }
}

/* 0: there is room for one message; TONG_DROPPED: there is none. ret_dropped: an older one was dropped. */
static int make_room(struct tg_unix_handle *h, const struct tg_unix_call *call, bool *ret_dropped)
{
    struct tg_unix_box *box = h->box;
    *ret_dropped = false;
    int r = try_room(box, h->link);
    while (r == -EAGAIN && box->full == TONG_DROP_OLDEST && drop_oldest(box, h->link)) {
        *ret_dropped = true;
        r = try_room(box, h->link);
    }
    if (r != -EAGAIN || box->full == TONG_DROP_OLDEST) {
        return r;
    }
    if (box->full == TONG_DROP_NEWEST) {
        return TONG_DROPPED;
    }
    return call->deadline_ns == 0 ? r : wait_for_room(h, call);
}

/* ---- sending */

static struct tg_said *copy_said(const struct tg_said *said)
{
    struct tg_said *own = malloc(sizeof *own);
    if (own != NULL) {
        *own = *said;
    }
    return own;
}

static int make_message(struct tg_unix_box *box, const struct tg_unix_parts *parts,
                        struct tg_unix_message **ret_m)
{
    struct tg_unix_message *m = parts->ready;
    if (m == NULL) {
        m = tg_unix_message_new(box, parts->len);
        if (m == NULL) {
            return -ENOMEM;
        }
        if (parts->len != 0) {
            memcpy(m->data, parts->data, parts->len);
        }
    }
    m->len = parts->len;
    if (parts->said != NULL) {
        m->said = copy_said(parts->said);
    }
    if (parts->fd >= 0) {
        m->fd = tg_sys_dup(parts->fd);
    }
    const int r = m->fd < -1 ? m->fd : parts->said != NULL && m->said == NULL ? -ENOMEM : 0;
    if (r < 0) {
        m->fd = m->fd < 0 ? -1 : m->fd;
        tg_unix_message_free(box, m);
        return r;
    }
    *ret_m = m;
    return 0;
}

static int send_locked(struct tg_unix_handle *h, const struct tg_unix_parts *parts,
                       const struct tg_unix_call *call)
{
    struct tg_unix_box *box = h->box;
    struct tg_unix_message *m;
    bool dropped = false;
    int r = box->ended != 0 ? box->ended : get_link(h);
    if (r < 0) {
        return r;
    }
    if (tg_load_relaxed(&box->head->bytes) + parts->len > box->max_bytes) {
        return -ENOSPC;
    }
    r = parts->ready != NULL ? 0 : make_room(h, call, &dropped);
    if (r == TONG_DROPPED) {
        tg_unix_count(&box->head->dropped, 1);
    }
    if (r == 0) {
        r = make_message(box, parts, &m);
        if (r == 0) {
            m->sequence = h->link->next_number++;
            tg_unix_message_arrive(box, h->link, m);
            tg_unix_deliver_wake(box);
        }
    }
    return r == 0 && dropped ? TONG_DROPPED : r;
}

int tg_unix_own_send(struct tg_unix_handle *h, const struct tg_unix_parts *parts,
                     const struct tg_unix_call *call)
{
    (void)pthread_mutex_lock(&h->box->lock);
    const int r = send_locked(h, parts, call);
    tg_unix_box_unlock(h->box);
    return r;
}

/* ---- in place: the message that will be sent, with its room */

int tg_unix_own_reserve(struct tg_unix_handle *h, size_t len, const struct tg_unix_call *call)
{
    struct tg_unix_box *box = h->box;
    (void)pthread_mutex_lock(&box->lock);
    bool dropped = false;
    int r = box->ended != 0 ? box->ended : get_link(h);
    if (r == 0 && tg_load_relaxed(&box->head->bytes) + len > box->max_bytes) {
        r = -ENOSPC;
    }
    if (r == 0 && box->capacity != 0) {
        r = make_room(h, call, &dropped);
    }
    h->reservation_dropped = dropped;
    if (r == 0) {
        h->reserved = tg_unix_message_new(box, len);
        r = h->reserved == NULL ? -ENOMEM : 0;
    }
    tg_unix_box_unlock(box);
    return r == TONG_DROPPED ? -EAGAIN : r;
}

void tg_unix_own_abort(struct tg_unix_handle *h)
{
    (void)pthread_mutex_lock(&h->box->lock);
    tg_unix_message_free(h->box, h->reserved);
    h->reserved = NULL;
    tg_unix_box_unlock(h->box);
}
