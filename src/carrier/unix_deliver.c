/*
 * Who of the receivers takes the next message.
 *
 * The receivers of a mailbox are handles and threads of its owner. A call that waits stands in a queue, by
 * its ticket. One of them, the driver, sleeps on the sockets; the others sleep on the bell of their handle.
 *
 *   a call that     does
 *   comes           takes if more messages are there than the policy leaves to those who wait
 *   waits           takes if it is the one chosen; else it wakes that one
 *   leaves          if nobody drives, somebody else is woken to do it
 *
 * I1  Nothing is assigned to a call that waits: the one chosen may give up, and another one is chosen.
 * I2  Whoever adds a message wakes the one chosen. Whoever takes one and leaves some wakes the next.
 * I3  While calls wait one of them drives, or was woken to do it.
 * All of it under the box's lock, but the sleeps.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/clock.h"
#include "base/event.h"
#include "carrier/unix.h"

/* ---- the one chosen */

static uint32_t list_waiting(const struct tg_unix_box *box,
                             struct tg_waiting waiting[TG_UNIX_SLOTS])
{
    uint32_t n = 0;
    for (const struct tg_unix_waiter *w = box->waiters; w != NULL && n < TG_UNIX_SLOTS;
         w = w->next) {
        waiting[n++] = (struct tg_waiting){
            .ticket = w->ticket,
            .slot = w->handle->slot,
            .claims = box->policy->by_claims ? w->handle->n_claims : 0,
            .pid = tg_load_relaxed(&box->head->owner_pid),
        };
    }
    /* A policy sees them by their slots; there are few. */
    for (uint32_t i = 1; i < n; i++) {
        for (uint32_t k = i; k > 0 && waiting[k].slot < waiting[k - 1].slot; k--) {
            const struct tg_waiting w = waiting[k];
            waiting[k] = waiting[k - 1];
            waiting[k - 1] = w;
        }
    }
    return n;
}

static struct tg_unix_waiter *find_ticket(const struct tg_unix_box *box, uint64_t ticket)
{
    struct tg_unix_waiter *w = box->waiters;
    while (w != NULL && w->ticket != ticket) {
        w = w->next;
    }
    return w;
}

static struct tg_unix_waiter *choose(struct tg_unix_box *box)
{
    struct tg_waiting waiting[TG_UNIX_SLOTS];
    const struct tg_choice choice = { .waiting = waiting,
                                      .n = list_waiting(box, waiting),
                                      .served = box->served,
                                      .random = &box->random,
                                      .own = &box->own };
    const uint32_t i = choice.n != 0 ? box->policy->choose(&choice) : 0;
    box->chosen = i < choice.n ? waiting[i].ticket : 0;
    return box->chosen != 0 ? find_ticket(box, box->chosen) : box->waiters;
}

/* NULL: nobody waits. */
static struct tg_unix_waiter *first_of(struct tg_unix_box *box)
{
    if (box->policy->choose == NULL) {
        return box->waiters;
    }
    struct tg_unix_waiter *w =
        box->chosen != 0 && !box->policy->again ? find_ticket(box, box->chosen) : NULL;
    return w != NULL ? w : choose(box);
}

/* How many messages must be there for a call that has just come. */
static uint64_t needed(const struct tg_unix_box *box, const struct tg_unix_handle *h)
{
    struct tg_arrival arrival = { .claims = h->n_claims, .fewest = UINT32_MAX };
    for (const struct tg_unix_waiter *w = box->waiters; w != NULL; w = w->next) {
        arrival.sleepers++;
        const uint32_t claims = w->handle->n_claims;
        arrival.fewest = claims < arrival.fewest ? claims : arrival.fewest;
    }
    return arrival.sleepers == 0 ? 1 : box->policy->needed(&arrival);
}

/* ---- waking */

static void wake(struct tg_unix_box *box, struct tg_unix_waiter *w)
{
    if (box->driver == w) {
        tg_event_ring(box->wake);
        return;
    }
    tg_a32 *bell = &w->handle->interrupts->bell;
    (void)tg_add(bell, 1);
    tg_sys_futex_wake(bell, INT_MAX);
}

void tg_unix_deliver_wake_all(struct tg_unix_box *box)
{
    for (struct tg_unix_waiter *w = box->waiters; w != NULL; w = w->next) {
        wake(box, w);
    }
}

void tg_unix_deliver_wake(struct tg_unix_box *box)
{
    if (box->waiters == NULL || box->waiting.n + box->returned.n == 0) {
        return;
    }
    if (box->is_process) {
        tg_unix_deliver_wake_all(box); /* each may wait for another sender's */
        return;
    }
    wake(box, first_of(box));
}

/* ---- taking */

static bool is_wanted(const struct tg_unix_message *m, const char *from)
{
    return from == NULL || strcmp(m->link->name, from) == 0;
}

static bool is_over(const struct tg_unix_message *m)
{
    return m->said != NULL && tg_said_is_over(m->said->attributes.deadline_ns);
}

/* The first message of a list that is wanted, NULL none; what has expired before it is thrown away. */
static struct tg_unix_message *find_in(struct tg_unix_box *box, struct tg_unix_list *list,
                                       const char *from)
{
    struct tg_unix_message *m = list->first;
    while (m != NULL && (!is_wanted(m, from) || is_over(m))) {
        struct tg_unix_message *next = m->next;
        if (is_over(m)) {
            tg_unix_list_remove(list, m);
            tg_unix_count(&box->head->waiting, -1);
            tg_unix_count(&box->head->expired, 1);
            tg_unix_message_finish(box, m);
        }
        m = next;
    }
    return m;
}

struct found {
    struct tg_unix_list *list;
    struct tg_unix_message *m;
};

static struct found find(struct tg_unix_box *box, const char *from)
{
    struct found found = { .list = &box->returned, .m = find_in(box, &box->returned, from) };
    if (found.m == NULL) {
        found = (struct found){ .list = &box->waiting, .m = find_in(box, &box->waiting, from) };
    }
    return found;
}

static uint64_t n_there(const struct tg_unix_box *box)
{
    return box->waiting.n + box->returned.n;
}

/* Read on until a message of that sender is there. */
static struct found find_from(struct tg_unix_box *box, const char *from, bool may_ask)
{
    struct found found = find(box, from);
    while (found.m == NULL && tg_unix_drive_pull(box, may_ask)) {
        found = find(box, from);
    }
    return found;
}

/* me: the call waits already, NULL: it has just come. What is for this call. */
static struct found turn(struct tg_unix_handle *h, struct tg_unix_waiter *me, const char *from,
                         bool may_ask)
{
    struct tg_unix_box *box = h->box;
    const struct found none = { .m = NULL };
    if (from != NULL) {
        return find_from(box, from, may_ask);
    }
    const uint64_t need = me != NULL ? 1 : needed(box, h);
    if (need == TG_NEVER_TAKES) {
        return none;
    }
    for (;;) {
        while (n_there(box) < need && tg_unix_drive_pull(box, may_ask)) {
        }
        if (n_there(box) < need || box->ended != 0) {
            return none;
        }
        if (me != NULL && !box->is_process && first_of(box) != me) {
            wake(box, first_of(box));
            return none;
        }
        const struct found found = find(box, NULL);
        if (found.m != NULL) {
            return found;
        }
    }
}

static void take(struct tg_unix_handle *h, const struct found *found)
{
    struct tg_unix_box *box = h->box;
    tg_unix_list_remove(found->list, found->m);
    tg_unix_count(&box->head->waiting, -1);
    found->m->deliveries++;
    box->served = h->slot + 1;
}

/* ---- waiting */

static void enter_queue(struct tg_unix_box *box, struct tg_unix_waiter *me)
{
    struct tg_unix_waiter **at = &box->waiters;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = me;
    me->ticket = ++box->tickets;
    tg_unix_count_small(&box->head->asleep, 1);
    if (box->policy->choose != NULL) {
        (void)choose(box);
    }
}

static void leave_queue(struct tg_unix_box *box, struct tg_unix_waiter *me)
{
    struct tg_unix_waiter **at = &box->waiters;
    while (*at != me) {
        at = &(*at)->next;
    }
    *at = me->next;
    tg_unix_count_small(&box->head->asleep, -1);
    if (box->chosen == me->ticket) {
        box->chosen = 0;
    }
    tg_unix_deliver_wake(box); /* I2 */
    if (!box->is_driven && box->waiters != NULL) {
        wake(box, first_of(box)); /* I3 */
    }
}

static int sleep_(struct tg_unix_handle *h, struct tg_unix_waiter *me, int64_t deadline)
{
    struct tg_unix_box *box = h->box;
    if (!box->is_driven) {
        box->driver = me;
        const int r = tg_unix_drive_sleep(box, deadline);
        box->driver = NULL;
        return r;
    }
    tg_a32 *bell = &h->interrupts->bell;
    const uint32_t seen = tg_load_acquire(bell);
    (void)pthread_mutex_unlock(&box->lock);
    const int r = tg_sys_futex_wait(bell, seen, deadline);
    (void)pthread_mutex_lock(&box->lock);
    return r;
}

/* What keeps this receiver from receiving. */
static int refusal(const struct tg_unix_handle *h)
{
    const struct tg_unix_box *box = h->box;
    if (box->ended != 0) {
        return box->ended;
    }
    if (box->policy->delivery == TONG_OWN && box->own.choose == NULL) {
        return -ENOSYS;
    }
    uint32_t before = 0;
    for (uint32_t i = 0; box->policy->max_receivers != UINT32_MAX && i < TG_UNIX_SLOTS; i++) {
        before += box->slots[i] != NULL && box->slots[i]->came < h->came;
    }
    return before < box->policy->max_receivers ? 0 : -EBUSY;
}

static struct found wait_turn(struct tg_unix_handle *h, const struct tg_unix_want *want,
                              struct tg_unix_waiter *me, int *ret_error)
{
    struct found found = { .m = NULL };
    int r = 0;
    bool waits = false;
    for (;;) {
        *ret_error = refusal(h);
        if (*ret_error == 0) {
            found = turn(h, waits ? me : NULL, want->from, want->deadline_ns == 0);
        }
        if (found.m != NULL || *ret_error < 0) {
            break;
        }
        if (want->deadline_ns == 0 || r < 0) {
            *ret_error = r < 0 ? r : -EAGAIN;
            break;
        }
        if (tg_unix_is_interrupted(h, want->interrupts)) {
            *ret_error = -ECANCELED;
            break;
        }
        if (!waits) {
            enter_queue(h->box, me);
            waits = true;
            continue;
        }
        r = sleep_(h, me, want->deadline_ns);
    }
    return found;
}

struct tg_unix_message *tg_unix_deliver_next(struct tg_unix_handle *h,
                                             const struct tg_unix_want *want, int *ret_error)
{
    struct tg_unix_box *box = h->box;
    struct tg_unix_waiter me = { .handle = h, .from = want->from };
    const struct found found = wait_turn(h, want, &me, ret_error);
    struct tg_unix_message *m = found.m;
    if (m != NULL && m->len > want->size) {
        *ret_error = -EMSGSIZE;
        if (want->info != NULL) {
            tg_unix_message_tell(m, want->info);
            want->info->data = NULL;
            want->info->deliveries++;
        }
        m = NULL;
    } else if (m != NULL) {
        take(h, &found);
    }
    if (me.ticket != 0) {
        leave_queue(box, &me);
    }
    return m;
}
