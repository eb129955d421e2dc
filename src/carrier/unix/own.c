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
#include "base/event.h"
#include "carrier/unix/priority.h"
#include "carrier/unix/unix.h"

#define AT_ONCE_NS TONG_SEC(1)

void tg_unix_own_wake(struct tg_unix_box *box)
{
    (void)tg_add(&box->room_bell, 1);
    tg_sys_futex_wake(&box->room_bell, INT_MAX);
    if (box->is_driven && box->driver == NULL) {
        tg_event_ring(box->wake);
    }
}

/* Lock held, here and below. */
static struct tg_unix_link *find_left(const struct tg_unix_handle *h)
{
    struct tg_unix_link *link = h->box->links;
    while (link != NULL && !(link->is_own && link->own == NULL && link->lane == h->lane &&
                             strcmp(link->name, h->name) == 0)) {
        link = link->next;
    }
    return link;
}

static int get_row(struct tg_unix_box *box, struct tg_unix_link *link,
                   const struct tg_unix_who *who)
{
    uint32_t row = 0;
    int r = tg_unix_row_get(box->made.room, box->made.box, who, &row, &link->base);
    if (r == 0) {
        r = tg_unix_drive_set_row(box, link, row);
    }
    if (r == 0) {
        const uint32_t linked = TG_UNIX_ROW_LINKED;
        link->next_number = link->base;
        tg_unix_row_set(box->made.room, row, offsetof(struct tg_unix_row, state), &linked,
                        sizeof linked);
    }
    return r;
}

/* One that a former handle has left with messages, which go first, or a new one. */
static int get_link(struct tg_unix_handle *h)
{
    if (h->link != NULL) {
        return 0;
    }
    struct tg_unix_link *link = find_left(h);
    if (link == NULL) {
        link = tg_unix_link_new(h->box);
    }
    if (link == NULL) {
        return -ENOMEM;
    }
    link->own = h;
    link->is_own = true;
    link->lane = h->lane;
    link->ended = false;
    link->greeted = true;
    link->peer = (struct tg_socket_peer){ .pid = getpid(), .uid = geteuid(), .gid = getegid() };
    memcpy(link->name, h->name, sizeof link->name);
    struct tg_unix_who who = { .process = tg_load_relaxed(&h->box->head->owner),
                               .more = tg_unix_lane_links(h) };
    memcpy(who.as, h->as, sizeof who.as);
    int r = 0;
    if (link->row == TG_UNIX_NO_ROW) {
        r = get_row(h->box, link, &who);
    } else {
        tg_unix_row_open(h->box->made.room, link->row, &who);
    }
    if (r < 0) {
        tg_unix_lane_links_not(h, who.more);
        tg_unix_link_free(h->box, link);
        return r;
    }
    h->link = link;
    return 0;
}

void tg_unix_own_close(struct tg_unix_handle *h)
{
    struct tg_unix_link *link = h->link;
    h->link = NULL;
    if (link != NULL) {
        link->own = NULL;
        if (h->box->ended == 0) {
            tg_unix_row_close(h->box->made.room, link->row);
        }
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
    if (!is_bounded(box) || link->granted > link->received + link->reserved) {
        return 0;
    }
    if (box->wants != NULL) {
        return -EAGAIN; /* others were first */
    }
    const int r = tg_unix_room_take(box->made.room, box->made.box, link->row, box->capacity, 1, &n);
    link->granted += n;
    return r;
}

static int try_room(struct tg_unix_box *box, struct tg_unix_link *link)
{
    return has_link_room(box, link) ? get_room(box, link) : -EAGAIN;
}

/* Until the box's room bell rings, or the handle is interrupted. */
static int sleep_on_bells(struct tg_unix_handle *h, int64_t deadline)
{
    struct tg_unix_box *box = h->box;
    struct tg_waitset set;
    tg_waitset_clear(&set);
    tg_waitset_add(&set, &box->room_bell, tg_load_acquire(&box->room_bell));
    tg_waitset_add(&set, &h->interrupts->bell, tg_load_acquire(&h->interrupts->bell));
    tg_unix_box_unlock(box);
    const int r = tg_waitset_sleep(&set, deadline);
    (void)pthread_mutex_lock(&box->lock);
    return r;
}

int tg_unix_own_sleep(struct tg_unix_handle *h, int64_t deadline)
{
    struct tg_unix_box *box = h->box;
    if (!tg_unix_drive_may_sleep(box)) {
        return sleep_on_bells(h, deadline);
    }
    /* The interrupts may be those of the process that it sends as. */
    const bool others = h->interrupts != &h->own_interrupts;
    const struct tg_unix_sleep s = { .deadline_ns = deadline,
                                     .others = { others ? tg_unix_interrupt_fd(h) : -1 },
                                     .n_others = 1 };
    const int r = tg_unix_drive_sleep_with(box, &s);
    tg_unix_drive_all(box);
    tg_unix_deliver_wake(box);
    tg_unix_deliver_drive(box);
    return r;
}

/* Sleep for room, the lock given back meanwhile. It may be the end of another sender that frees some: if
 * nobody else sleeps on the sockets, this call does. */
static int sleep_for_room(struct tg_unix_handle *h, const struct tg_unix_call *call)
{
    struct tg_unix_box *box = h->box;
    if (h->interrupts != &h->own_interrupts) {
        tg_event_calm(tg_unix_interrupt_fd(h));
    }
    if (tg_unix_is_interrupted(h, call->interrupts)) {
        return -ECANCELED;
    }
    box->own_blocked++;
    tg_unix_row_set_blocked(box->made.room, h->link->row, true);
    tg_gate_set_asleep(&h->gate, true);
    const int r = tg_unix_own_sleep(h, call->deadline_ns);
    tg_gate_set_asleep(&h->gate, false);
    box->own_blocked--;
    if (box->ended == 0) {
        tg_unix_row_set_blocked(box->made.room, h->link->row, false);
    }
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
            r = link->granted > link->received + link->reserved ? 0 : r;
        }
        if (r == -EAGAIN && slept == 0) {
            slept = sleep_for_room(h, call);
            continue;
        }
        tg_unix_drive_forget_want(box, link);
        return r == -EAGAIN ? slept : r;
    }
}

/* Memory for a message of that length; older ones of the sender are dropped for it, if that is enough. */
static int make_memory_room(struct tg_unix_handle *h, size_t len, bool *ret_dropped)
{
    struct tg_unix_box *box = h->box;
    const uint64_t most = box->max_bytes;
    const bool drops = box->full == TONG_DROP_OLDEST;
    const uint64_t kept = tg_load_relaxed(&box->head->bytes) - (drops ? h->link->bytes : 0);
    if (len > most || kept + len > most) {
        return -ENOSPC;
    }
    while (tg_load_relaxed(&box->head->bytes) + len > most && tg_unix_drop_oldest(box, h->link)) {
        *ret_dropped = true;
    }
    return tg_load_relaxed(&box->head->bytes) + len > most ? -ENOSPC : 0;
}

/* 0: there is room for one message; TONG_DROPPED: there is none. ret_dropped: an older one was dropped. */
static int make_room(struct tg_unix_handle *h, const struct tg_unix_call *call, bool *ret_dropped)
{
    struct tg_unix_box *box = h->box;
    *ret_dropped = false;
    int r = try_room(box, h->link);
    while (r == -EAGAIN && box->full == TONG_DROP_OLDEST && tg_unix_drop_oldest(box, h->link)) {
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

/* ---- a rendezvous: the message is an offer until a receiver takes it */

/* A receiver waits that none of the offers there is for. */
static bool is_expected(const struct tg_unix_box *box)
{
    uint64_t waits = tg_load_relaxed(&box->head->armed);
    for (const struct tg_unix_waiter *w = box->waiters; w != NULL; w = w->next) {
        waits++;
    }
    return waits > box->waiting.n + box->returned.n;
}

static int wait_for_answer(struct tg_unix_handle *h, struct tg_unix_message *m,
                           const struct tg_unix_call *call)
{
    struct tg_unix_box *box = h->box;
    const uint64_t number = m->sequence;
    /* With a receiver on its way a time-out of 0 waits for that one. */
    const bool at_once = call->deadline_ns == 0;
    struct tg_unix_call own = *call;
    own.deadline_ns = at_once ? tg_now_ns() + AT_ONCE_NS : own.deadline_ns;
    int r = 0;
    while (h->link->answered != number + 1) {
        if (box->ended != 0 || r < 0) {
            tg_unix_list_remove(&box->waiting, m);
            tg_unix_message_withdraw(box, m);
            r = box->ended != 0 ? box->ended : r;
            return at_once && r == -ETIMEDOUT ? -EAGAIN : r;
        }
        r = sleep_for_room(h, &own);
    }
    return h->link->answer == TG_UNIX_TAKEN ? 0 : -ETIMEDOUT;
}

static int offer(struct tg_unix_handle *h, struct tg_unix_message *m,
                 const struct tg_unix_call *call)
{
    struct tg_unix_box *box = h->box;
    struct tg_unix_call own = *call;
    if (box->full != TONG_BLOCK) {
        own.deadline_ns = 0;
    }
    if (m->said != NULL && m->said->attributes.deadline_ns != 0 && own.deadline_ns != 0) {
        const int64_t worth =
            tg_now_ns() + (int64_t)(m->said->attributes.deadline_ns - (uint64_t)tg_boot_ns());
        own.deadline_ns = worth < own.deadline_ns ? worth : own.deadline_ns;
    }
    int r = -EAGAIN;
    if (own.deadline_ns != 0 || (is_expected(box) && tg_unix_match_takes(box, h->link, m->said))) {
        m->sequence = h->link->next_number++;
        tg_unix_message_arrive(box, h->link, m);
        tg_unix_deliver_wake(box);
        r = wait_for_answer(h, m, &own);
    } else {
        tg_unix_message_free(box, m);
    }
    return r == -EAGAIN && box->full != TONG_BLOCK ? TONG_DROPPED : r;
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
    const int fd = parts->fd >= 0 ? tg_sys_dup(parts->fd) : -1;
    if (fd >= 0) {
        tg_unix_message_put_fd(box, m, fd);
    }
    const int r = fd < -1 ? fd : parts->said != NULL && m->said == NULL ? -ENOMEM : 0;
    if (r < 0) {
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
    struct tg_unix_message *m = NULL;
    bool dropped = false;
    bool short_ = false;
    int r = box->ended != 0 ? box->ended : get_link(h);
    if (r < 0) {
        return r;
    }
    r = parts->ready != NULL ? 0 : make_memory_room(h, parts->len, &short_);
    if (r < 0) {
        return r;
    }
    r = parts->ready != NULL || box->capacity == 0 ? 0 : make_room(h, call, &dropped);
    if (r == 0) {
        r = make_message(box, parts, &m);
    }
    if (r == 0 && parts->ready != NULL) {
        h->reserved = NULL; /* it is the mailbox's now */
        h->link->reserved--;
    }
    if (r == 0 && box->capacity == 0) {
        r = offer(h, m, call);
    } else if (r == 0) {
        m->sequence = h->link->next_number++;
        tg_unix_message_arrive(box, h->link, m);
        tg_unix_deliver_wake(box);
    }
    if (r == TONG_DROPPED && !parts->is_kept) {
        h->link->dropped++;
        tg_unix_row_set(box->made.room, h->link->row, offsetof(struct tg_unix_row, dropped),
                        &h->link->dropped, sizeof h->link->dropped);
    }
    return r == 0 && (dropped || short_) ? TONG_DROPPED : r;
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
    bool short_ = false;
    int r = box->ended != 0 ? box->ended : get_link(h);
    if (r == 0) {
        r = make_memory_room(h, len, &short_);
    }
    if (r == 0 && box->capacity != 0) {
        r = make_room(h, call, &dropped);
    }
    h->reservation_dropped = dropped || short_;
    if (r == 0) {
        h->reserved = tg_unix_message_new(box, len);
        r = h->reserved == NULL ? -ENOMEM : 0;
        h->link->reserved += r == 0;
    }
    tg_unix_box_unlock(box);
    return r == TONG_DROPPED ? -EAGAIN : r;
}

void tg_unix_own_abort(struct tg_unix_handle *h)
{
    (void)pthread_mutex_lock(&h->box->lock);
    tg_unix_message_free(h->box, h->reserved);
    h->reserved = NULL;
    h->link->reserved--;
    tg_unix_drive_give_room_back(h->box, h->link);
    tg_unix_own_wake(h->box);
    tg_unix_box_unlock(h->box);
}
