/*
 * Waiting for several mailboxes, in an event loop, and for deaths; and what a mailbox is, changed.
 *
 * A call that waits for several mailboxes stands in the queue of each, and sleeps on a descriptor of its own
 * and on the sockets of those that nobody else sleeps on: there it is the driver.
 *
 * A descriptor for event loops is an epoll set of two: the sockets of the mailbox, and a level, which is up
 * while messages are there in the owner's memory, and for ever once the mailbox has ended. So it is also
 * readable for what a client says beside its messages, until a receive call has read that.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/kept.h"
#include "carrier/unix/everyone.h"
#include "carrier/unix/unix.h"
#include "mailbox/mailbox.h"

#define WAITS_MOST 64u

/* ---- several mailboxes */

struct waits {
    struct tg_unix_waiter waiter[WAITS_MOST];
    uint32_t seen[WAITS_MOST];
    size_t n;
    int bell;
};

static int check(struct tg_unix_handle *h)
{
    if (h->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    if (!h->receives) {
        return (h->flags & TONG_RECEIVE) != 0 ? -EPERM : tg_unix_check(h, -EBADF);
    }
    return 0;
}

static void stand_in_queues(struct waits *w, size_t *n)
{
    for (*n = 0; *n < w->n; (*n)++) {
        struct tg_unix_waiter *me = &w->waiter[*n];
        struct tg_unix_box *box = me->handle->box;
        (void)pthread_mutex_lock(&box->lock);
        me->fd = w->bell;
        const bool there = tg_unix_deliver_has(me->handle, NULL);
        if (!there) {
            tg_unix_deliver_enter(box, me);
            me->is_stuck = box->to_all && tg_unix_is_full(box);
        }
        tg_unix_box_unlock(box);
        if (there) {
            return;
        }
    }
}

static void leave_queues(struct waits *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct tg_unix_box *box = w->waiter[i].handle->box;
        (void)pthread_mutex_lock(&box->lock);
        tg_unix_deliver_leave(box, &w->waiter[i]);
        tg_unix_box_unlock(box);
    }
}

static int sleep_for_any(struct waits *w, int64_t deadline)
{
    int fds[1 + 2 * WAITS_MOST];
    size_t n_fds = 0;
    size_t n;
    int r = 0;
    stand_in_queues(w, &n);
    fds[n_fds++] = w->bell;
    for (size_t i = 0; i < n; i++) {
        struct tg_unix_handle *h = w->waiter[i].handle;
        const int interrupt = tg_unix_interrupt_fd(h);
        r = interrupt < 0 ? interrupt : r;
        tg_event_calm(interrupt);
        r = r == 0 && tg_unix_is_interrupted(h, w->seen[i]) ? -ECANCELED : r;
        fds[n_fds++] = interrupt;
        if (w->waiter[i].drives && !w->waiter[i].is_stuck) {
            fds[n_fds++] = h->box->epoll;
        }
    }
    if (r == 0 && n == w->n) {
        r = tg_unix_poll(fds, n_fds, deadline);
    }
    leave_queues(w, n);
    tg_event_calm(w->bell);
    return r;
}

/* The index of one that has something for this process, or an error. */
static int look_at_all(struct waits *w)
{
    for (size_t i = 0; i < w->n; i++) {
        struct tg_unix_handle *h = w->waiter[i].handle;
        (void)pthread_mutex_lock(&h->box->lock);
        const bool there = tg_unix_deliver_has(h, NULL);
        tg_unix_box_unlock(h->box);
        if (there) {
            return (int)i;
        }
    }
    return -EAGAIN;
}

static int wait_for_any(struct waits *w, int64_t deadline)
{
    int slept = 0;
    for (;;) {
        const int i = look_at_all(w);
        if (i >= 0 || deadline == 0) {
            return i;
        }
        for (size_t k = 0; k < w->n; k++) {
            if (tg_unix_is_interrupted(w->waiter[k].handle, w->seen[k])) {
                return -ECANCELED;
            }
        }
        if (slept < 0) {
            return slept;
        }
        if (w->bell < 0) {
            const int r = tg_kept_begin();
            w->bell = r < 0 ? r : tg_kept_end(tg_event_counter());
        }
        slept = w->bell < 0 ? w->bell : sleep_for_any(w, deadline);
        /* What comes without end is not waited out: one more look. */
        slept = slept >= 0 && tg_is_over(deadline) ? -ETIMEDOUT : slept;
    }
}

int tg_unix_wait_any(tg_handle const handles[], size_t n, int64_t timeout_ns)
{
    struct waits w = { .n = n, .bell = -1 };
    const int64_t deadline = tg_deadline(timeout_ns);
    for (size_t i = 0; i < n; i++) {
        struct tg_unix_handle *h = handles[i];
        const int r = check(h);
        if (r < 0) {
            return r;
        }
        w.waiter[i] = (struct tg_unix_waiter){ .handle = h, .fd = -1 };
        w.seen[i] = tg_unix_interrupts_begin(h);
    }
    const int r = wait_for_any(&w, deadline);
    tg_kept_close(w.bell);
    return r;
}

/* ---- event loops */

/* Lock held. */
void tg_unix_level_update(struct tg_unix_handle *h)
{
    struct tg_unix_box *box = h->box;
    const bool some = box->to_all           ? tg_unix_everyone_has(h)
                      : box->policy->by_key ? tg_unix_match_is_up(h)
                                            : box->waiting.n + box->returned.n != 0;
    const bool up = box->ended != 0 || some || box->n_mute != 0;
    if (h->poll < 0) {
        return;
    }
    const bool deaf = box->to_all && !up && tg_unix_is_full(box);
    if (deaf != h->is_deaf) {
        h->is_deaf = deaf;
        (void)tg_event_change(h->poll, box->epoll, 1, !deaf);
    }
    if (up != h->is_up) {
        h->is_up = up;
        if (up) {
            tg_event_ring(h->level);
        } else {
            tg_event_calm(h->level);
        }
    }
    if (up == h->is_armed) {
        h->is_armed = !up;
        tg_unix_count_small(&box->head->armed, up ? -1 : 1);
    }
}

static int make_level(struct tg_unix_handle *h)
{
    int r = tg_kept_begin();
    if (r == 0) {
        h->poll = tg_kept_end(tg_event_epoll());
        r = h->poll < 0 ? h->poll : tg_kept_begin();
    }
    if (r == 0) {
        h->level = tg_kept_end(tg_event_counter());
        r = h->level;
    }
    if (r >= 0) {
        r = tg_event_add(h->poll, h->level, 0);
    }
    if (r >= 0) {
        r = tg_event_add(h->poll, h->box->epoll, 1);
    }
    if (r < 0) {
        tg_unix_level_close(h);
    }
    return r;
}

void tg_unix_level_close(struct tg_unix_handle *h)
{
    if (h->is_armed) {
        tg_unix_count_small(&h->box->head->armed, -1);
    }
    tg_kept_close(h->poll);
    tg_kept_close(h->level);
    h->is_deaf = false;
    h->is_armed = false;
    h->poll = -1;
    h->level = -1;
}

int tg_unix_fd(tg_handle handle, unsigned what)
{
    struct tg_unix_handle *h = handle;
    int r = h->fork_count != tg_fork_count() ? -ECHILD : 0;
    if (r == 0 && what != TONG_RECEIVE) {
        return -EOPNOTSUPP;
    }
    r = r < 0 ? r : check(h);
    if (r < 0) {
        return r;
    }
    struct tg_unix_box *box = h->box;
    (void)pthread_mutex_lock(&box->lock);
    r = box->ended;
    if (r == 0 && h->poll < 0) {
        r = make_level(h);
        box->n_levels += r >= 0;
        tg_unix_match_all_again(box);
    }
    if (r >= 0) {
        tg_unix_drive_all(box);
        tg_unix_level_update(h);
        r = h->poll;
    }
    tg_unix_box_unlock(box);
    return r;
}

/* ---- deaths */

/* Lock held. A process is told of once, however many links it had. */
void tg_unix_note_death(struct tg_unix_box *box, const struct tg_unix_link *dead)
{
    if (box->n_watchers == 0 || dead->is_told) {
        return;
    }
    struct tg_unix_death *deaths = realloc(box->deaths, (box->n_deaths + 1) * sizeof *deaths);
    if (deaths == NULL) {
        return;
    }
    deaths[box->n_deaths++] =
        (struct tg_unix_death){ .pid = dead->peer.pid, .uid = dead->peer.uid };
    box->deaths = deaths;
    for (struct tg_unix_link *l = box->links; l != NULL; l = l->next) {
        l->is_told = l->is_told || (!l->is_own && l->peer.pid == dead->peer.pid);
    }
    tg_unix_own_wake(box);
}

static int watch(struct tg_unix_handle *h, int64_t deadline, tong_death *ret_death)
{
    struct tg_unix_box *box = h->box;
    const uint32_t interrupts = tg_unix_interrupts_begin(h);
    int slept = 0;
    tg_unix_drive_all(box);
    tg_unix_deliver_wake(box);
    if (!h->watches) {
        h->watches = true;
        box->n_watchers++;
        h->deaths_seen = box->n_deaths;
    }
    for (;;) {
        if (box->ended != 0) {
            return box->ended;
        }
        if (h->deaths_seen < box->n_deaths) {
            const struct tg_unix_death *d = &box->deaths[h->deaths_seen++];
            ret_death->roles = TONG_SEND;
            ret_death->pid = d->pid;
            ret_death->uid = d->uid;
            return 0;
        }
        if (deadline == 0 || slept < 0) {
            return slept < 0 ? slept : -EAGAIN;
        }
        if (tg_unix_is_interrupted(h, interrupts)) {
            return -ECANCELED;
        }
        slept = tg_unix_own_sleep(h, deadline);
    }
}

int tg_unix_watch(tg_handle handle, int64_t timeout_ns, tong_death *ret_death)
{
    struct tg_unix_handle *h = handle;
    const int64_t deadline = tg_deadline(timeout_ns);
    if (h->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    if (h->box == NULL) {
        return tg_unix_check(h, -EOPNOTSUPP);
    }
    (void)pthread_mutex_lock(&h->box->lock);
    const int r = watch(h, deadline, ret_death);
    tg_unix_box_unlock(h->box);
    return r;
}

/* ---- what it is */

int tg_unix_give(tg_handle handle, const char *process)
{
    struct tg_unix_handle *h = handle;
    (void)process;
    return tg_unix_check(h, h->box != NULL && h->box->is_process ? -EINVAL : -EOPNOTSUPP);
}

/* Lock held. */
static int set_policy(struct tg_unix_box *box, uint32_t delivery, const char *policy)
{
    if (box->ended != 0) {
        return box->ended;
    }
    char name[TONG_POLICY_MAX] = { 0 };
    (void)snprintf(name, sizeof name, "%s", policy != NULL ? policy : "");
    box->policy = tg_policy_of(delivery);
    box->own = tg_policy_find_own(name);
    box->chosen = 0;
    memcpy(box->head->policy, name, sizeof name);
    tg_store_release(&box->head->delivery, delivery);
    tg_unix_deliver_wake_all(box);
    return 0;
}

int tg_unix_set(tg_handle handle, const tong_options *options, unsigned what)
{
    struct tg_unix_handle *h = handle;
    uint32_t delivery = 0;
    if (what != TONG_SET_DELIVERY || options == NULL || options->struct_size < sizeof *options) {
        return -EINVAL;
    }
    int r = tg_policy_check(options, &delivery);
    if (r < 0) {
        return r;
    }
    r = tg_unix_check(h, h->box == NULL ? -EPERM : 0);
    if (r == 0 && (delivery == TONG_EVERYONE || h->box->to_all)) {
        r = -EOPNOTSUPP;
    }
    if (r == 0 && h->box->is_process) {
        r = -EINVAL;
    }
    if (r == 0) {
        (void)pthread_mutex_lock(&h->box->lock);
        r = set_policy(h->box, delivery, options->policy);
        tg_unix_box_unlock(h->box);
    }
    return r;
}
