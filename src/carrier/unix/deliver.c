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
#include "base/kept.h"
#include "carrier/unix/call.h"
#include "carrier/unix/everyone.h"
#include "carrier/unix/letter.h"
#include "carrier/unix/priority.h"
#include "carrier/unix/unix.h"

/* Between looks at what nobody tells of, at most, and the first time. */
#define LOOK_NS TONG_SEC(1)
#define FIRST_LOOK_NS TONG_MS(10)

/* ---- the one chosen */

static uint32_t list_waiting(const struct tg_unix_box *box,
                             struct tg_waiting waiting[TG_UNIX_SLOTS])
{
    uint32_t n = 0;
    for (const struct tg_unix_waiter *w = box->waiters; w != NULL && n < TG_UNIX_SLOTS;
         w = w->next) {
        if (w->asked != NULL) {
            continue;
        }
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

/* Who takes whatever comes. */
static struct tg_unix_waiter *first_taker(const struct tg_unix_box *box)
{
    struct tg_unix_waiter *w = box->waiters;
    while (w != NULL && w->asked != NULL) {
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
    return box->chosen != 0 ? find_ticket(box, box->chosen) : first_taker(box);
}

/* NULL: nobody waits. */
struct tg_unix_waiter *tg_unix_deliver_first(struct tg_unix_box *box)
{
    if (box->policy->choose == NULL) {
        return first_taker(box);
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
        const uint32_t claims = w->handle->n_claims;
        if (w->asked != NULL) {
            continue;
        }
        arrival.sleepers++;
        arrival.fewest = claims < arrival.fewest ? claims : arrival.fewest;
    }
    return arrival.sleepers == 0 || h->has_turn ? 1 : box->policy->needed(&arrival);
}

/* ---- waking */

void tg_unix_deliver_wake_one(struct tg_unix_box *box, struct tg_unix_waiter *w)
{
    if (w->fd >= 0 || box->driver == w) {
        tg_event_ring(w->fd >= 0 ? w->fd : box->wake);
        return;
    }
    tg_a32 *bell = &w->handle->interrupts->bell;
    (void)tg_add(bell, 1);
    tg_sys_futex_wake(bell, INT_MAX);
}

void tg_unix_deliver_wake_all(struct tg_unix_box *box)
{
    tg_unix_level_update_all(box);
    for (struct tg_unix_waiter *w = box->waiters; w != NULL; w = w->next) {
        tg_unix_deliver_wake_one(box, w);
    }
}

/* Those that this call has read are others', too. */
static void wake_others(struct tg_unix_box *box, const struct tg_unix_waiter *me)
{
    if (box->waiters == NULL) {
        return;
    }
    if (box->to_all) {
        tg_unix_everyone_wake(box, me);
        return;
    }
    if (!box->is_process && (box->n_asking != 0 || box->policy->by_key)) {
        tg_unix_match_wake(box, me);
        return;
    }
    struct tg_unix_waiter *first = box->is_process ? NULL : tg_unix_deliver_first(box);
    if (first != NULL && first != me) {
        tg_unix_deliver_wake_one(box, first);
    }
    for (struct tg_unix_waiter *w = box->waiters; box->is_process && w != NULL; w = w->next) {
        if (w != me) {
            tg_unix_deliver_wake_one(box, w);
        }
    }
}

void tg_unix_level_update_all(struct tg_unix_box *box)
{
    for (uint32_t i = 0; box->n_levels != 0 && i < TG_UNIX_SLOTS; i++) {
        if (box->slots[i] != NULL) {
            tg_unix_level_update(box->slots[i]);
        }
    }
}

void tg_unix_deliver_wake(struct tg_unix_box *box)
{
    tg_unix_level_update_all(box);
    if (box->waiters == NULL || (box->waiting.n + box->returned.n == 0 && box->offers == NULL)) {
        return;
    }
    if (box->to_all) {
        tg_unix_everyone_wake(box, NULL);
        return;
    }
    if (box->is_process) {
        tg_unix_deliver_wake_all(box); /* each may wait for another sender's */
        return;
    }
    if (box->n_asking != 0 || box->policy->by_key) {
        tg_unix_match_wake(box, NULL);
        return;
    }
    tg_unix_deliver_wake_one(box, tg_unix_deliver_first(box));
}

void tg_unix_deliver_drive(struct tg_unix_box *box)
{
    if (!box->is_driven && box->waiters != NULL) {
        struct tg_unix_waiter *first = tg_unix_deliver_first(box);
        tg_unix_deliver_wake_one(box, first != NULL ? first : box->waiters);
    }
}

/* ---- taking */

static uint64_t n_there(const struct tg_unix_box *box)
{
    return box->waiting.n + box->returned.n;
}

static bool is_wanted(const struct tg_unix_message *m, const char *from)
{
    return from == NULL || strcmp(m->link->name, from) == 0;
}

static bool is_over(const struct tg_unix_message *m)
{
    return m->said != NULL && tg_said_is_over(m->said->attributes.deadline_ns);
}

static void throw_away(struct tg_unix_box *box, struct tg_unix_list *list,
                       struct tg_unix_message *m)
{
    if (box->capacity == 0 && m->deliveries == 0) {
        tg_unix_drive_answer(box, m, TG_UNIX_LATE);
    }
    tg_unix_list_remove(list, m);
    tg_unix_count_waiting(box, m, -1);
    tg_unix_count(&box->head->expired, 1);
    tg_unix_message_finish(box, m);
}

bool tg_unix_deliver_tidy(struct tg_unix_box *box, struct tg_unix_list *list,
                          struct tg_unix_message *m, bool skip)
{
    if (is_over(m)) {
        throw_away(box, list, m);
        return true;
    }
    if (skip || !tg_unix_is_spent(box, m)) {
        return false;
    }
    tg_unix_list_remove(list, m);
    tg_unix_count_waiting(box, m, -1);
    tg_unix_letter(box, m);
    return true;
}

/* The first message of a list that is wanted, NULL none; what has expired before it is thrown away, and what
 * was handed out too often sent on. */
static struct tg_unix_message *find_in(struct tg_unix_box *box, struct tg_unix_list *list,
                                       const struct tg_unix_want *want, bool *ret_tidied)
{
    struct tg_unix_message *m = list->first;
    while (m != NULL) {
        if (tg_unix_deliver_tidy(box, list, m, want->skip)) {
            *ret_tidied = true;
            m = list->first; /* others may have gone meanwhile: what is finished lets others be read */
        } else if (is_wanted(m, want->from)) {
            return m;
        } else {
            m = m->next;
        }
    }
    return NULL;
}

/* What came back goes first, but for what has a higher priority. */
static struct tg_unix_found find(struct tg_unix_box *box, const struct tg_unix_want *want)
{
    struct tg_unix_message *back;
    struct tg_unix_message *new;
    bool tidied = false;
    do {
        back = find_in(box, &box->returned, want, &tidied);
        tidied = false;
        new = back == NULL || box->by_priority ? find_in(box, &box->waiting, want, &tidied) : NULL;
    } while (tidied && back != NULL); /* it may be gone */
    if (back == NULL || (new != NULL &&tg_unix_priority_of(new) > tg_unix_priority_of(back))) {
        return (struct tg_unix_found){ .list = &box->waiting, .m = new };
    }
    return (struct tg_unix_found){ .list = &box->returned, .m = back };
}

/* Read on until a message of that sender is there. */
static struct tg_unix_found find_from(struct tg_unix_box *box, const struct tg_unix_want *want,
                                      bool may_ask)
{
    struct tg_unix_found found = find(box, want);
    while (found.m == NULL && tg_unix_drive_pull(box, want->from, may_ask)) {
        found = find(box, want);
    }
    return found;
}

static bool is_first(struct tg_unix_box *box, const struct tg_unix_waiter *me)
{
    if (me == NULL || box->is_process || tg_unix_deliver_first(box) == me) {
        return true;
    }
    tg_unix_deliver_wake_one(box, tg_unix_deliver_first(box));
    return false;
}

static uint64_t n_offers(const struct tg_unix_box *box)
{
    uint64_t n = 0;
    for (const struct tg_unix_channel *c = box->offers; c != NULL; c = c->next) {
        n++;
    }
    return n;
}

/* Whether what others offer goes before what was found, if anything was. */
static bool is_offer_first(struct tg_unix_box *box, const struct tg_unix_want *want,
                           const struct tg_unix_found *found)
{
    const int of_offers = box->by_priority ? tg_unix_priority_offers(box, want->from) : 0;
    return found->m == NULL || of_offers > (int)tg_unix_priority_of(found->m);
}

/* The offer that was read. */
static struct tg_unix_found newest(struct tg_unix_box *box, const struct tg_unix_want *want)
{
    struct tg_unix_message *m = box->newest;
    return tg_unix_deliver_tidy(box, &box->waiting, m, want->skip)
               ? find(box, want)
               : (struct tg_unix_found){ .list = &box->waiting, .m = m };
}

/* At capacity 0. What others offer is read only by the call that takes it. */
static struct tg_unix_found turn_to_offer(struct tg_unix_handle *h, struct tg_unix_waiter *me,
                                          const struct tg_unix_want *want, uint64_t need)
{
    struct tg_unix_box *box = h->box;
    struct tg_unix_found found = { .m = NULL };
    if (box->by_priority) {
        tg_unix_priority_read(box);
    } else {
        (void)tg_unix_drive_pull(box, want->from, me == NULL);
    }
    const uint64_t there = n_there(box) + n_offers(box);
    if (there < need || box->ended != 0 || !is_first(box, me)) {
        return found;
    }
    found = find(box, want);
    if (is_offer_first(box, want, &found)) {
        const int r = tg_unix_drive_offer(box, want);
        if (r > 0) {
            found = newest(box, want);
        } else if (r < 0) {
            found = (struct tg_unix_found){ .error = r };
        }
    }
    return found;
}

/* me: the call waits already, NULL: it has just come. What is for this call. */
static struct tg_unix_found turn(struct tg_unix_handle *h, struct tg_unix_waiter *me,
                                 const struct tg_unix_want *want, bool may_ask)
{
    struct tg_unix_box *box = h->box;
    if (box->to_all) {
        return tg_unix_everyone_turn(h, want, may_ask);
    }
    const uint64_t need = me != NULL || want->from != NULL ? 1 : needed(box, h);
    if (want->from == NULL && tg_unix_is_matched(box, want)) {
        struct tg_unix_look look = { .h = h, .me = me, .want = want, .need = need };
        return tg_unix_match_turn(&look);
    }
    if (need == TG_NEVER_TAKES) {
        return (struct tg_unix_found){ .m = NULL };
    }
    if (box->capacity == 0) {
        return turn_to_offer(h, me, want, need);
    }
    if (box->by_priority) {
        tg_unix_priority_read(box);
    } else if (want->named) {
        tg_unix_drive_all(box); /* a sender may say that it is called otherwise now */
    }
    if (want->from != NULL) {
        return find_from(box, want, may_ask);
    }
    for (;;) {
        while (n_there(box) < need && tg_unix_drive_pull(box, NULL, may_ask)) {
        }
        if (n_there(box) < need || box->ended != 0 || !is_first(box, me)) {
            return (struct tg_unix_found){ .m = NULL };
        }
        const struct tg_unix_found found = find(box, want);
        if (found.m != NULL) {
            return found;
        }
    }
}

/* 0, -ENOMEM, -EMFILE: it stays. */
static int take(struct tg_unix_handle *h, const struct tg_unix_found *found,
                const struct tg_unix_want *want)
{
    struct tg_unix_box *box = h->box;
    if (box->to_all) {
        return tg_unix_everyone_take(h, found->m, want);
    }
    int r = want->skip ? 0 : tg_unix_match_keep(h, found->m);
    r = r == 0 && want->may_answer ? tg_unix_call_note(h, found->m) : r;
    if (r == 0) {
        tg_unix_list_remove(found->list, found->m);
        box->served = h->slot + 1;
        tg_unix_message_take(box, found->m, want->claim);
    }
    return r;
}

/* ---- waiting */

static void enter_queue(struct tg_unix_box *box, struct tg_unix_waiter *me)
{
    struct tg_unix_waiter **at = &box->waiters;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = me;
    me->next = NULL; /* it may have stood here before */
    me->ticket = ++box->tickets;
    box->n_asking += me->asked != NULL;
    tg_a32 *asleep = &box->told_slots[me->handle->slot].asleep;
    tg_unix_count_small(&box->head->asleep, tg_load_relaxed(asleep) == 0 ? 1 : 0);
    tg_unix_count_small(asleep, 1);
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
    box->n_asking -= me->asked != NULL;
    tg_a32 *asleep = &box->told_slots[me->handle->slot].asleep;
    tg_unix_count_small(asleep, -1);
    tg_unix_count_small(&box->head->asleep, tg_load_relaxed(asleep) == 0 ? -1 : 0);
    if (box->chosen == me->ticket) {
        box->chosen = 0;
    }
    tg_unix_deliver_wake(box);  /* I2 */
    tg_unix_deliver_drive(box); /* I3 */
}

/*
 * Sleep on descriptors, one of them of an interrupt. Another thread may have calmed that one behind the ring
 * and before this one saw it: it is looked for once a second.
 */
int tg_unix_poll(const int fds[], size_t n, int64_t deadline)
{
    const int64_t look = tg_now_ns() + LOOK_NS;
    const int r = tg_event_poll(fds, n, NULL, look < deadline ? look : deadline);
    return r == -ETIMEDOUT && look < deadline ? 0 : r;
}

/* Somebody else drives: until that one, or whoever adds a message, wakes this call. */
static int sleep_behind(struct tg_unix_handle *h, const struct tg_unix_waiter *me, int watch,
                        int64_t deadline)
{
    struct tg_unix_box *box = h->box;
    tg_a32 *bell = &h->interrupts->bell;
    const uint32_t seen = tg_load_acquire(bell);
    const bool polls = me->fd >= 0;
    const int fds[] = { me->fd, watch, polls ? tg_unix_interrupt_fd(h) : -1 };
    tg_unix_box_unlock(box);
    const int r = polls ? tg_unix_poll(fds, 3, deadline) : tg_sys_futex_wait(bell, seen, deadline);
    (void)pthread_mutex_lock(&box->lock);
    if (polls) {
        tg_event_calm(me->fd);
        tg_event_calm(fds[2]);
    }
    return r;
}

/* The end of another process, too, ends the sleep: -1 if it needs no watching, or has ended. */
static int watch_of(const struct tg_unix_want *want, int *ret_error)
{
    const bool other = want->peer != NULL && want->peer->sender != NULL;
    const int r = other ? tg_unix_sender_watch(want->peer->sender) : -1;
    *ret_error = other && r < 0 && r != -ECONNREFUSED && r != -ENOENT ? r : 0;
    return r < 0 ? -1 : r;
}

/* The other process's death is told at once. That a third one removed its mailbox, while it is in no call, is
 * told by nobody: it is asked for now and then. */
static int64_t next_look(struct tg_unix_waiter *me, int64_t deadline)
{
    const int64_t until = tg_now_ns() + me->look_ns;
    me->look_ns = me->look_ns < LOOK_NS ? 2 * me->look_ns : LOOK_NS;
    return until < deadline ? until : deadline;
}

static int sleep_(struct tg_unix_handle *h, struct tg_unix_waiter *me,
                  const struct tg_unix_want *want)
{
    struct tg_unix_box *box = h->box;
    int r;
    const int watch = watch_of(want, &r);
    if (r < 0) {
        return r;
    }
    if (watch < 0 && want->peer != NULL && want->peer->sender != NULL) {
        return 0; /* its end is looked at again */
    }
    const int64_t until = watch >= 0 ? next_look(me, want->deadline_ns) : want->deadline_ns;
    if (box->is_driven) {
        r = sleep_behind(h, me, watch, until);
    } else {
        const struct tg_unix_sleep s = { .deadline_ns = until,
                                         .from = want->from,
                                         .others = { watch, me->fd },
                                         .n_others = 2,
                                         .passes = box->to_all || tg_unix_is_matched(box, want),
                                         .driver = me };
        r = tg_unix_drive_sleep_with(box, &s);
        if (me->fd >= 0) {
            tg_event_calm(me->fd);
        }
    }
    if (watch >= 0) {
        tg_unix_sender_watched(want->peer->sender);
    }
    return r == -ETIMEDOUT && until < want->deadline_ns ? 0 : r;
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

static struct tg_unix_found wait_turn(struct tg_unix_handle *h, const struct tg_unix_want *want,
                                      struct tg_unix_waiter *me, int *ret_error)
{
    struct tg_unix_found found = { .m = NULL };
    int r = 0;
    bool waits = false;
    tg_unix_letter_again(h->box);
    tg_unix_channel_unmute(h->box);
    for (;;) {
        *ret_error = refusal(h);
        /* Before the look that finds nothing: what it sent before its end is taken first. */
        const int end = want->peer != NULL ? tg_unix_peer_check(want->peer) : 0;
        if (*ret_error == 0) {
            const uint64_t arrived = h->box->arrived;
            found = turn(h, waits ? me : NULL, want, want->deadline_ns == 0 || end < 0);
            if (h->box->arrived != arrived) {
                wake_others(h->box, me); /* I2 */
            }
            *ret_error = found.error != 0 ? found.error : found.m == NULL ? end : 0;
        }
        if (found.m == NULL && *ret_error == 0 && h->box->n_mute != 0) {
            *ret_error = -EMFILE;
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
        r = sleep_(h, me, want);
    }
    return found;
}

struct tg_unix_message *tg_unix_deliver_next(struct tg_unix_handle *h,
                                             const struct tg_unix_want *want, int *ret_error)
{
    struct tg_unix_box *box = h->box;
    struct tg_unix_waiter me = {
        .handle = h, .asked = want->asked, .fd = -1, .look_ns = FIRST_LOOK_NS
    };
    if (want->peer != NULL && want->peer->sender != NULL && want->deadline_ns != 0) {
        const int r = tg_kept_begin();
        me.fd = r < 0 ? r : tg_kept_end(tg_event_counter());
        if (me.fd < 0) {
            *ret_error = me.fd;
            return NULL;
        }
    }
    const struct tg_unix_found found = wait_turn(h, want, &me, ret_error);
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
        *ret_error = take(h, &found, want);
        m = *ret_error == 0 ? m : NULL;
    }
    h->has_turn = false;
    if (me.ticket != 0) {
        leave_queue(box, &me);
    }
    tg_kept_close(me.fd);
    tg_unix_level_update(h);
    return m;
}

/* ---- for who waits for several */

bool tg_unix_deliver_has(struct tg_unix_handle *h, const struct tg_unix_waiter *me)
{
    struct tg_unix_box *box = h->box;
    const struct tg_unix_want any = { .from = NULL };
    const struct tg_unix_want *want = &any;
    if (refusal(h) < 0 || box->n_mute != 0) {
        return true;
    }
    if (box->to_all) {
        return tg_unix_everyone_turn(h, want, true).m != NULL;
    }
    const uint64_t need = me != NULL ? 1 : needed(box, h);
    if (tg_unix_is_matched(box, want)) {
        struct tg_unix_look look = { .h = h, .me = me, .want = want, .need = need };
        return tg_unix_match_has(&look);
    }
    if (need == TG_NEVER_TAKES) {
        return false;
    }
    if (box->capacity == 0) {
        (void)tg_unix_drive_pull(box, NULL, true);
        (void)find(box, want);
        return n_there(box) + n_offers(box) >= need;
    }
    for (;;) {
        while (n_there(box) < need && tg_unix_drive_pull(box, NULL, true)) {
        }
        if (n_there(box) < need || (me != NULL && tg_unix_deliver_first(box) != me)) {
            return false;
        }
        if (find(box, want).m != NULL) {
            return true;
        }
    }
}

void tg_unix_deliver_enter(struct tg_unix_box *box, struct tg_unix_waiter *me)
{
    enter_queue(box, me);
    if (!box->is_driven) {
        box->is_driven = true;
        box->driver = me;
        me->drives = true;
    }
}

void tg_unix_deliver_leave(struct tg_unix_box *box, struct tg_unix_waiter *me)
{
    if (!box->to_all && tg_unix_deliver_has(me->handle, me)) {
        me->handle->has_turn = true;
    }
    if (me->drives) {
        box->is_driven = false;
        box->driver = NULL;
        me->drives = false;
    }
    leave_queue(box, me);
}
