/*
 * Delivery to everyone: each receiver, a handle of the owner, gets every message.
 *
 * A message lies in the list `waiting` once, until all have finished it. Whose it is yet stands in it, a bit for
 * each receiver; a receiver knows the first in the list that has its bit.
 *
 *   a message is, for a receiver     facts                               left by
 *   to be handed out                 its bit is set; waiting             a receive, a claim; dropped; its time is over
 *   in hand                          a hand in its claims                done, return
 *   given back                       a hand in `returned`; waiting       the same as the first
 *   over                             none of these
 *
 *   users = bits + hands of all receivers. Without any, a message is over and goes, or, if no receiver is there at
 *   all, is `kept` for one that begins at the oldest.
 *
 * I1  The list is in the order in which messages are handed out, and `first` of a receiver is the first with its bit,
 *     NULL if there is none; `returned` is in that order, too. Of both the earlier one is handed out first.
 * I2  In the mailbox's counts a message counts once for each receiver; while there is none, once. When
 *     one goes, what it had not finished is not counted as sent any more.
 * I3  A message has room of its link until it is over; where the oldest is dropped until nobody waits for it.
 * I4  A hand is made before anything is changed: a claim that finds no memory changed nothing.
 * I5  The slowest receiver may fill the memory. Then nothing is read; who has nothing to receive sleeps
 *     on no socket, and is woken when there is memory again.
 */
#include "carrier/unix/everyone.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/event.h"
#include "carrier/unix/priority.h"

#define READS_MOST 1024u /* of messages that are not for the call after all */

/* A message in hand, or given back. */
struct tg_unix_hand {
    struct tg_unix_hand *next;
    struct tg_unix_message *m;
    uint32_t deliveries;
};

/* ---- whose it is */

#define WORD(slot) ((slot) / 64)
#define BIT(slot) (UINT64_C(1) << ((slot) % 64))

static bool is_wanted(const struct tg_unix_message *m, uint32_t slot)
{
    return (m->wanted[WORD(slot)] & BIT(slot)) != 0;
}

static bool is_wanted_by_any(const struct tg_unix_message *m)
{
    uint64_t all = 0;
    for (size_t i = 0; i < sizeof m->wanted / sizeof m->wanted[0]; i++) {
        all |= m->wanted[i];
    }
    return all != 0;
}

/* I1 */
static bool is_before(const struct tg_unix_message *a, const struct tg_unix_message *b)
{
    const uint32_t pa = tg_unix_priority_of(a);
    const uint32_t pb = tg_unix_priority_of(b);
    return pa != pb ? pa > pb : a->arrival < b->arrival;
}

static void count_waiting(struct tg_unix_box *box, uint32_t slot, int n)
{
    tg_unix_count(&box->head->waiting, n);
    tg_unix_count(&box->shares[slot].waiting, n);
}

static void want(struct tg_unix_handle *h, struct tg_unix_message *m)
{
    m->wanted[WORD(h->slot)] |= BIT(h->slot);
    m->users++;
    count_waiting(h->box, h->slot, 1);
    tg_unix_count(&tg_unix_told_of(h->box, m->link)->waiting, 1);
    if (h->first == NULL || is_before(m, h->first)) {
        h->first = m;
    }
}

/* Its user it stays. */
static void unwant(struct tg_unix_handle *h, struct tg_unix_message *m)
{
    m->wanted[WORD(h->slot)] &= ~BIT(h->slot);
    count_waiting(h->box, h->slot, -1);
    tg_unix_count(&tg_unix_told_of(h->box, m->link)->waiting, -1);
    while (h->first != NULL && !is_wanted(h->first, h->slot)) {
        h->first = h->first->next;
    }
}

static void keep(struct tg_unix_box *box, struct tg_unix_message *m, bool is_kept)
{
    m->is_kept = is_kept;
    tg_unix_count(&box->head->waiting, is_kept ? 1 : -1);
    tg_unix_count(&tg_unix_told_of(box, m->link)->waiting, is_kept ? 1 : -1);
}

/* ---- its end */

static bool has_no_receiver(const struct tg_unix_box *box)
{
    return tg_load_relaxed(&box->head->receivers) == 0;
}

/* I3: of one that all who are there have in hand. */
static void give_up_room(struct tg_unix_box *box, struct tg_unix_message *m)
{
    if (box->full == TONG_DROP_OLDEST && !m->is_roomless && !is_wanted_by_any(m)) {
        m->is_roomless = true;
        m->link->held++;
        m->link->done++;
        tg_unix_drive_credit(box, m->link);
    }
}

/* A user less: it goes with the last one. */
static void release(struct tg_unix_box *box, struct tg_unix_message *m)
{
    const bool was_full = tg_unix_is_full(box);
    if (--m->users == 0 && !m->is_kept) {
        tg_unix_list_remove(&box->waiting, m);
        tg_unix_message_end(box, m);
    } else {
        give_up_room(box, m);
    }
    if (was_full && !tg_unix_is_full(box)) {
        tg_unix_deliver_wake_all(box); /* I5 */
    }
}

/* What is kept for nobody goes. */
static void forget(struct tg_unix_box *box, struct tg_unix_message *m, tg_a64 *count)
{
    keep(box, m, false);
    tg_unix_count(count, 1);
    m->users++;
    release(box, m);
}

static void count_over(struct tg_unix_box *box, uint32_t slot)
{
    tg_unix_count(&box->head->done, 1);
    tg_unix_count(&box->shares[slot].done, 1);
}

static void count_dropped(struct tg_unix_box *box, uint32_t slot)
{
    tg_unix_count(&box->head->dropped, 1);
    tg_unix_count(&box->shares[slot].dropped, 1);
}

/* ---- receivers come and go */

void tg_unix_everyone_join(struct tg_unix_handle *h, bool from_oldest)
{
    struct tg_unix_box *box = h->box;
    struct tg_unix_share *share = &box->shares[h->slot];
    struct tg_unix_message *next;
    tg_store_relaxed(&share->waiting, UINT64_C(0));
    tg_store_relaxed(&share->done, UINT64_C(0));
    tg_store_relaxed(&share->dropped, UINT64_C(0));
    tg_unix_drive_all(box); /* what lies in the sockets was sent before */
    for (struct tg_unix_message *m = box->waiting.first; m != NULL; m = next) {
        next = m->next;
        if (!from_oldest && m->is_kept) {
            forget(box, m, &box->head->done);
        } else if (from_oldest && !m->is_roomless) {
            tg_unix_count(&box->head->sent, m->is_kept ? 0 : 1);
            if (m->is_kept) {
                keep(box, m, false);
            }
            want(h, m);
        }
    }
    tg_unix_everyone_wake(box, NULL);
}

/* I2 */
static void leave_to_others(struct tg_unix_box *box, struct tg_unix_message *m)
{
    if (m->users == 1 && has_no_receiver(box) && !m->is_roomless) {
        m->users = 0;
        keep(box, m, true);
    } else {
        tg_unix_count(&box->head->sent, -1);
        release(box, m);
    }
}

void tg_unix_everyone_let_go(struct tg_unix_handle *h, struct tg_unix_message *m)
{
    free(h->hand);
    h->hand = NULL;
    leave_to_others(h->box, m);
}

void tg_unix_everyone_leave(struct tg_unix_handle *h)
{
    struct tg_unix_box *box = h->box;
    struct tg_unix_message *next;
    while (h->returned != NULL) {
        struct tg_unix_message *m = h->returned->m;
        h->hand = h->returned;
        h->returned = h->hand->next;
        count_waiting(box, h->slot, -1);
        tg_unix_everyone_let_go(h, m);
    }
    for (struct tg_unix_message *m = h->first; m != NULL; m = next) {
        next = m->next;
        if (is_wanted(m, h->slot)) {
            unwant(h, m);
            leave_to_others(box, m);
        }
    }
}

void tg_unix_everyone_free(struct tg_unix_handle *h)
{
    while (h->returned != NULL) {
        struct tg_unix_hand *hand = h->returned;
        h->returned = hand->next;
        free(hand);
    }
    for (uint32_t i = 0; i < TG_UNIX_CLAIMS; i++) {
        free(h->hands[i]);
        h->hands[i] = NULL;
    }
}

void tg_unix_everyone_arrive(struct tg_unix_box *box, struct tg_unix_message *m)
{
    m->arrival = box->arrived;
    for (uint32_t i = 0; i < TG_UNIX_SLOTS && !has_no_receiver(box); i++) {
        if (box->slots[i] != NULL) {
            want(box->slots[i], m);
        }
    }
    tg_unix_count(&box->head->sent, m->users != 0 ? m->users : 1);
    if (m->users == 0) {
        keep(box, m, true);
    }
}

/* ---- whose turn */

bool tg_unix_everyone_has(const struct tg_unix_handle *h)
{
    return tg_load_relaxed(&h->box->shares[h->slot].waiting) != 0;
}

void tg_unix_everyone_wake(struct tg_unix_box *box, const struct tg_unix_waiter *but)
{
    for (struct tg_unix_waiter *w = box->waiters; w != NULL; w = w->next) {
        if (w != but && tg_unix_everyone_has(w->handle)) {
            tg_unix_deliver_wake_one(box, w);
        }
    }
}

static bool is_over(const struct tg_unix_message *m)
{
    return m->said != NULL && tg_said_is_over(m->said->attributes.deadline_ns);
}

static void expire(struct tg_unix_handle *h, struct tg_unix_message *m)
{
    tg_unix_count(&h->box->head->expired, 1);
    count_over(h->box, h->slot);
    release(h->box, m);
}

/* Of those given back the first that is asked for; what has expired before it goes. */
static struct tg_unix_hand **find_returned(struct tg_unix_handle *h,
                                           const tong_receive_options *asked)
{
    struct tg_unix_hand **at = &h->returned;
    while (*at != NULL) {
        struct tg_unix_hand *hand = *at;
        struct tg_unix_message *m = hand->m;
        if (is_over(m)) {
            *at = hand->next;
            free(hand);
            count_waiting(h->box, h->slot, -1);
            expire(h, m);
        } else if (asked == NULL || tg_unix_match_asks(asked, m->link, m->said)) {
            break;
        } else {
            at = &hand->next;
        }
    }
    return at;
}

/* The same of the others. */
static struct tg_unix_message *find_new(struct tg_unix_handle *h, const tong_receive_options *asked)
{
    struct tg_unix_message *next = NULL;
    h->box->looks++;
    for (struct tg_unix_message *m = h->first; m != NULL; m = next) {
        next = m->next;
        if (!is_wanted(m, h->slot)) {
            continue;
        }
        if (is_over(m)) {
            unwant(h, m);
            expire(h, m);
        } else if (asked == NULL || (!tg_unix_match_is_behind_many(h->box, m->link) &&
                                     tg_unix_match_asks(asked, m->link, m->said))) {
            return m;
        }
    }
    return NULL;
}

static struct tg_unix_found find(struct tg_unix_handle *h, const tong_receive_options *asked)
{
    struct tg_unix_message *new = find_new(h, asked);
    struct tg_unix_hand **at = find_returned(h, asked);
    struct tg_unix_message *m = new;
    h->found = NULL;
    if (*at != NULL && (new == NULL || is_before((*at)->m, new))) {
        h->found = *at;
        m = h->found->m;
    }
    if (m != NULL) {
        m->deliveries = h->found != NULL ? h->found->deliveries : 0;
    }
    return (struct tg_unix_found){ .list = &h->box->waiting, .m = m };
}

struct tg_unix_found tg_unix_everyone_turn(struct tg_unix_handle *h, const struct tg_unix_want *w,
                                           bool may_ask)
{
    struct tg_unix_box *box = h->box;
    if (w->named || w->asked != NULL || box->by_priority) {
        tg_unix_drive_all(box);
    }
    for (uint32_t i = 0; box->ended == 0; i++) {
        const struct tg_unix_found found = find(h, w->asked);
        if (found.m != NULL || i == READS_MOST || !tg_unix_drive_pull(box, NULL, may_ask)) {
            return found;
        }
    }
    return (struct tg_unix_found){ .m = NULL };
}

/* ---- in hand */

static void take_returned(struct tg_unix_handle *h)
{
    struct tg_unix_hand **at = &h->returned;
    while (*at != h->found) {
        at = &(*at)->next;
    }
    *at = h->found->next;
    count_waiting(h->box, h->slot, -1);
}

int tg_unix_everyone_take(struct tg_unix_handle *h, struct tg_unix_message *m,
                          const struct tg_unix_want *w)
{
    struct tg_unix_box *box = h->box;
    const bool was_full = tg_unix_is_full(box);
    struct tg_unix_hand *hand = h->found;
    if (w->fd && m->fd >= 0 && m->users > 1) {
        h->copy = tg_sys_dup(m->fd);
        if (h->copy < 0) {
            return h->copy;
        }
    }
    if (hand == NULL && w->claim) { /* I4 */
        hand = calloc(1, sizeof *hand);
        if (hand == NULL) {
            return -ENOMEM;
        }
        hand->m = m;
    }
    if (h->found != NULL) {
        take_returned(h);
    } else {
        unwant(h, m);
    }
    m->deliveries++;
    if (hand != NULL) {
        hand->deliveries = m->deliveries;
    }
    h->found = NULL;
    h->hand = hand;
    box->served = h->slot + 1;
    if (w->claim) {
        give_up_room(box, m);
    }
    if (was_full && !tg_unix_is_full(box)) {
        tg_unix_deliver_wake_all(box); /* I5: nothing waits any more */
    }
    return 0;
}

int tg_unix_everyone_fd(struct tg_unix_handle *h, struct tg_unix_message *m)
{
    return h->copy >= 0 ? tg_steal_fd(&h->copy) : tg_unix_message_take_fd(h->box, m);
}

void tg_unix_everyone_keep(struct tg_unix_handle *h, uint32_t claim)
{
    h->hands[claim] = h->hand;
    h->hand = NULL;
}

void tg_unix_everyone_unkeep(struct tg_unix_handle *h, uint32_t claim)
{
    h->hand = h->hands[claim];
    h->hands[claim] = NULL;
}

void tg_unix_everyone_finish(struct tg_unix_handle *h, struct tg_unix_message *m)
{
    free(h->hand);
    h->hand = NULL;
    count_over(h->box, h->slot);
    release(h->box, m);
}

void tg_unix_everyone_back(struct tg_unix_handle *h, struct tg_unix_message *m, bool counts)
{
    struct tg_unix_box *box = h->box;
    struct tg_unix_hand *hand = h->hand;
    h->hand = NULL;
    if (tg_unix_message_has_no_place(box, m)) {
        free(hand);
        count_dropped(box, h->slot);
        release(box, m);
        return;
    }
    if (counts) {
        tg_unix_count(&box->head->redelivered, 1);
    } else {
        hand->deliveries--;
    }
    struct tg_unix_hand **at = &h->returned;
    while (*at != NULL && is_before((*at)->m, m)) {
        at = &(*at)->next;
    }
    hand->next = *at;
    *at = hand;
    count_waiting(box, h->slot, 1);
    tg_unix_level_update(h);
    tg_unix_everyone_wake(box, NULL);
}

/* ---- dropping */

/* The receiver h shall not have it, if it waits for it. */
static void drop_for(struct tg_unix_handle *h, struct tg_unix_message *m)
{
    struct tg_unix_hand **at = &h->returned;
    while (*at != NULL && (*at)->m != m) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        struct tg_unix_hand *hand = *at;
        *at = hand->next;
        free(hand);
        count_waiting(h->box, h->slot, -1);
    } else if (is_wanted(m, h->slot)) {
        unwant(h, m);
    } else {
        return;
    }
    count_dropped(h->box, h->slot);
    release(h->box, m);
}

static struct tg_unix_message *find_oldest(const struct tg_unix_box *box,
                                           const struct tg_unix_link *link)
{
    struct tg_unix_message *oldest = NULL;
    for (struct tg_unix_message *m = box->waiting.first; m != NULL; m = m->next) {
        if (m->link == link && !m->is_roomless &&
            (oldest == NULL || m->arrival < oldest->arrival)) {
            oldest = m;
        }
        if (oldest != NULL && !box->by_priority) {
            break;
        }
    }
    return oldest;
}

bool tg_unix_everyone_drop_oldest(struct tg_unix_box *box, const struct tg_unix_link *link)
{
    struct tg_unix_message *m = find_oldest(box, link);
    if (m == NULL) {
        return false;
    }
    if (m->is_kept) {
        forget(box, m, &box->head->dropped);
        return true;
    }
    m->users++; /* not to go in between */
    for (uint32_t i = 0; i < TG_UNIX_SLOTS; i++) {
        if (box->slots[i] != NULL) {
            drop_for(box->slots[i], m);
        }
    }
    release(box, m);
    return true;
}
