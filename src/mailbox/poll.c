/*
 * A receiver in an event loop: a descriptor that is readable while a message may be there.
 *
 * What the caller has is an epoll descriptor over its own FIFO, the deaths it must hear of, and the
 * timer of the back-stop. It is rung as poll_ring.c says. All here is done inside the receive calls of the
 * handle, by the one thread that has the gate: nothing happens behind the caller's back.
 *
 *   settle, at the end of a receive call
 *     armed, nothing taken since, nobody rang: nothing to do
 *     more is there: see that a byte is in the FIFO
 *     armed = 0, fence; a ring has begun? wait for its byte; empty the FIFO
 *     token: watch who came; armed, arms = the next epoch; fence; look at everything again
 *     nothing: the descriptor is not readable, and will be rung
 *
 * I1  The FIFO is emptied before the epoch is given, never behind it: a byte of this epoch stays.
 * I2  An error that is none of the moment (-EIDRM, -EOWNERDEAD, -EPERM) settles nothing: the byte, or
 *     the death, that told of it stays, and the descriptor is readable for ever.
 * I3  Every receiver that is not reaped is watched (its claims come back), and the owner. Who joins
 *     behind the look rings; so does everything that rings the first sleeper (tg_queue_nudge_first).
 * I4  A byte need not be a ring of the epoch: who ends the mailbox, gives it away or renames it puts one into
 *     every FIFO. It is emptied as one of a ring; but while such a change goes on, or if it gave the mailbox to
 *     another owner than the one that is watched, a byte is left in it (tg_box_may_poll).
 * I5  An armed receiver stands outside of the queue: it takes when its policy lets one that just came
 *     take. Several armed ones are rung all; who finds nothing is armed again.
 */
#include "mailbox/poll.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/event.h"
#include "mailbox/receive.h"
#include "mailbox/select.h"

#define BEGIN_NS 1000000000 /* tong_fd waits so long for the token */

static struct tg_box_slot *own_slot(const struct tg_box *box)
{
    return &box->slots[box->rx.slot];
}

/* ---- the level */

/* Whether a user's ringers are that far, of those whose words can be loaded. */
static bool is_ringing(struct tg_box *box, uint32_t word)
{
    bool any = false;
    for (uint32_t i = 0; i < box->n_users; i++) {
        const struct tg_user_bells *user = &box->users[i];
        any |= user->sight.copy == NULL &&
               tg_load_acquire(&user->bells->slot[box->rx.slot].rung) == word;
    }
    return any;
}

/* Whether a byte is in the FIFO for certain. */
static bool is_up(struct tg_box *box)
{
    const uint32_t e = tg_load_relaxed(&own_slot(box)->armed);
    return box->poll->own != 0 || (e != 0 && is_ringing(box, TG_ENDED(e)));
}

static bool has_foreign_users(const struct tg_box *box)
{
    bool any = false;
    for (uint32_t i = 0; i < box->n_users; i++) {
        any |= box->users[i].sight.copy != NULL;
    }
    return any;
}

/* ---- who is watched */

static bool is_wanted(const struct tg_box *box, uint64_t id, uint64_t owner)
{
    bool wanted = id == owner;
    const uint32_t n = tg_load_relaxed(&box->head->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX; i++) {
        wanted |= tg_load_relaxed(&box->slots[i].owner) == id;
    }
    return wanted;
}

/* Token held, the dead are reaped. */
static int watch_all(struct tg_box *box, uint64_t owner)
{
    struct tg_poll *p = box->poll;
    for (uint32_t i = p->n_lives; i-- > 0;) {
        struct tg_poll_life *life = &p->lives[i];
        if (!is_wanted(box, life->id, owner)) {
            tg_poll_stop_watching(p, life);
            *life = p->lives[--p->n_lives];
        } else if (life->over) {
            /* Alive, and yet a death was told: it was another process. */
            tg_poll_stop_watching(p, life);
            life->over = false;
        }
    }
    int r = owner != 0 && owner != box->me ? tg_poll_watch_life(box, box->poll, owner) : 0;
    const uint32_t n = tg_load_relaxed(&box->head->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX && r == 0; i++) {
        const uint64_t id = tg_load_relaxed(&box->slots[i].owner);
        if (id != 0 && id != box->me) {
            r = tg_poll_watch_life(box, box->poll, id);
        }
    }
    return r;
}

/* Token held. 0, 1: somebody died meanwhile, once more, or -errno. */
static int watch_who_is_there(struct tg_box *box)
{
    struct tg_poll *p = box->poll;
    const uint32_t joins = tg_load_relaxed(&box->head->joins);
    const uint64_t owner = TG_OWNER(tg_load_acquire(&box->main.head->owner));
    bool same = joins == p->joins_seen && owner == p->owner_seen;
    for (uint32_t i = 0; i < p->n_lives && same; i++) {
        same = !p->lives[i].over;
    }
    if (same) {
        return 0;
    }
    const int r = watch_all(box, owner);
    if (r < 0) {
        return r;
    }
    /* Asked behind the making of the descriptors: one that was dead by then tells nothing, or is of
     * another process of its number. */
    if (tg_slot_any_dead(box)) {
        return 1;
    }
    p->joins_seen = joins;
    p->owner_seen = owner;
    return 0;
}

/* ---- emptying */

/* I1. is_told: there may be a byte of nobody's ring (I4). */
static void empty(struct tg_box *box, bool is_told)
{
    struct tg_poll *p = box->poll;
    const uint32_t e = tg_load_relaxed(&own_slot(box)->armed);
    if (e != 0) {
        tg_store_release(&own_slot(box)->armed, UINT32_C(0));
        /* Partner: the fence of ring_slot. It sees the 0, or what it has begun is seen. */
        tg_fence();
    }
    const bool known_empty = e != 0 && p->own == 0 && !is_told && !is_ringing(box, TG_BEGUN(e)) &&
                             !is_ringing(box, TG_ENDED(e)) && !has_foreign_users(box);
    if (known_empty) {
        return;
    }
    tg_poll_empty(p, e, is_ringing, box);
}

/* ---- arming */

/* Token held: what a receive call would find. */
static bool is_for_me(struct tg_box *box)
{
    if (tg_load_relaxed(&box->head->n_slots) > 1 && tg_slot_any_dead(box)) {
        (void)tg_slot_repair(box);
    }
    tg_box_fresh_users(box);
    if (tg_links_stale(box) && tg_links_refresh(box) < 0) {
        return true; /* a receive call says why */
    }
    const struct tg_viewer comer = tg_select_comer(box);
    return tg_receive_is_turn(box) && tg_take_count(box, &comer, 1) != 0;
}

static void give_epoch(struct tg_box *box)
{
    const uint32_t last = tg_load_relaxed(&box->head->arms);
    const uint32_t e = (last + 1) & TG_EPOCHS;
    const uint32_t epoch = e != 0 ? e : 1;
    tg_store_release(&own_slot(box)->armed, epoch);
    /* release: who sees it sees the slot's. */
    tg_store_release(&box->head->arms, epoch);
    /* Partner: the fence of a send. */
    tg_fence();
}

/* Token held. True: do not wait. */
static bool arm(struct tg_box *box)
{
    int r;
    do {
        if (tg_load_relaxed(&box->head->n_slots) > 1 && tg_slot_any_dead(box)) {
            (void)tg_slot_repair(box);
        }
        r = watch_who_is_there(box);
    } while (r > 0);
    give_epoch(box);
    if (box->capacity == 0) {
        tg_poll_ring_waiting(box);
    }
    /* Of somebody who cannot be watched now (no descriptor is left) only the back-stop tells. */
    return is_for_me(box);
}

/* Neither rung, nor anything taken since: as the last call left it. */
static bool is_as_left(struct tg_box *box)
{
    struct tg_poll *p = box->poll;
    const uint32_t e = tg_load_relaxed(&own_slot(box)->armed);
    return e != 0 && p->own == 0 && !is_ringing(box, TG_BEGUN(e)) &&
           !is_ringing(box, TG_ENDED(e)) && !has_foreign_users(box) && !tg_poll_is_timer_due(p) &&
           !tg_poll_is_told(p);
}

/* Behind what was just taken: the next one of its link is there, and nobody else could take it. */
static bool is_next_there(struct tg_box *box)
{
    const struct tg_receiver *rx = &box->rx;
    if (box->threads || box->capacity == 0 || rx->cursor >= rx->n_attached ||
        tg_load_relaxed(&box->head->n_taken) != 1) {
        return false;
    }
    const struct tg_attached *at = rx->attached[rx->cursor];
    return at->reader.record != NULL && !at->reader.oneshot &&
           tg_place_sequence(tg_load_relaxed(&at->row->next)) ==
               tg_place_sequence(at->reader.next) &&
           (tg_load_relaxed(&at->reader.record->commit) & (TG_COMMITTED | TG_JUMP)) == TG_COMMITTED;
}

/* More is there. A hint may be wrong, and then the descriptor would be. */
static bool is_more(struct tg_box *box)
{
    if (is_next_there(box)) {
        return true;
    }
    bool found = false;
    if (tg_receive_hint(box) && tg_box_lock(box, 0) == 0) {
        found = is_for_me(box);
        tg_box_unlock(box);
    }
    return found;
}

bool tg_poll_settle(struct tg_box *box, int r)
{
    struct tg_poll *p = box->poll;
    if (p == NULL || (r < 0 && r != -EAGAIN && r != -ETIMEDOUT && r != -EINTR && r != -ECANCELED)) {
        return false; /* I2 */
    }
    if (r != 1 && is_as_left(box)) {
        return false;
    }
    bool found = r == 1 && is_more(box);
    if (!found) {
        const uint64_t owner = TG_OWNER(tg_load_acquire(&box->main.head->owner));
        /* Rung it is emptied anyway: then there is nothing to ask but who died. */
        const bool is_told = (p->n_lives == 0 && is_up(box)) || tg_poll_is_told(p);
        if (tg_poll_is_timer_due(p)) {
            tg_poll_next_timer(p);
        }
        empty(box, is_told);
        if (tg_box_lock(box, 0) < 0) {
            tg_poll_raise(box->poll); /* its holder is stopped: look again */
            return false;
        }
        found = arm(box);
        tg_box_unlock(box);
        found = found || !tg_box_may_poll(box, owner) || tg_receive_check(box) < 0;
    }
    if (found && !is_up(box)) {
        tg_poll_raise(box->poll);
    }
    return found;
}

void tg_poll_begin(struct tg_box *box)
{
    struct tg_poll *p = box->poll;
    if (p == NULL || !tg_poll_is_timer_due(p)) {
        return;
    }
    /* The back-stop: look under the token. What nobody told of is counted. */
    box->rx.polls |= 63;
    const uint32_t e = tg_load_relaxed(&own_slot(box)->armed);
    if (e != 0 && p->own == 0 && !is_ringing(box, TG_BEGUN(e)) && !is_ringing(box, TG_ENDED(e)) &&
        !has_foreign_users(box) && !tg_poll_is_told(p) && tg_receive_hint(box)) {
        (void)tg_add(&box->head->finds, 1);
        p->timer_nth = 0;
    }
}

/* ---- the descriptor */

/* Token held. The number is used up first: killed here, whoever repairs the slot finds the file. */
static int make_fifo(struct tg_box *box, int *ret_fd)
{
    struct tg_box_slot *s = &box->main.slots[box->rx.slot];
    const uint32_t number = ((tg_load_relaxed(&s->polls) >> 1) + 1) & TG_EPOCHS;
    const mode_t mode =
        0600 | ((box->mode & 0060) != 0 ? 0020 : 0) | ((box->mode & 0006) != 0 ? 2 : 0);
    char name[TG_POLL_NAME_SIZE];
    (void)snprintf(name, sizeof name, TG_POLL_NAME, box->rx.slot, number);
    tg_store_release(&s->polls, number << 1 | TG_POLLS);
    int fd = tg_event_fifo(box->dir, name, mode);
    if (fd == -EEXIST) {
        /* Somebody else's who may write here; the folder is ours. */
        (void)tg_sys_unlink(box->dir, name);
        fd = tg_event_fifo(box->dir, name, mode);
    }
    if (fd < 0) {
        tg_store_release(&s->polls, number << 1);
        return fd;
    }
    *ret_fd = fd;
    return 0;
}

static int fill(struct tg_box *box, struct tg_poll *p)
{
    int r = tg_box_lock(box, tg_now_ns() + BEGIN_NS);
    if (r < 0) {
        return r == -ETIMEDOUT || r == -EINTR ? -EBUSY : r;
    }
    r = make_fifo(box, &p->fifo);
    tg_box_unlock(box);
    return r == 0 ? tg_event_add(p->epoll, p->fifo, TG_POLL_MARK_FIFO) : tg_box_gone(box, r);
}

void tg_poll_close(struct tg_box *box)
{
    if (box->poll != NULL) {
        tg_poll_free(box->poll);
        box->poll = NULL;
    }
}

static int make(struct tg_box *box)
{
    struct tg_poll *p = NULL;
    int r = tg_poll_make(&p);
    if (r < 0) {
        return r;
    }
    r = fill(box, p);
    if (r < 0) {
        if (p->fifo >= 0 && tg_box_lock(box, TG_NEVER) == 0) {
            tg_poll_clear_slot(box, box->rx.slot);
            tg_box_unlock(box);
        }
        tg_poll_free(p);
        return r;
    }
    box->poll = p;
    /* Every call goes the long way from now on, and so comes to tg_poll_settle(). */
    tg_box_not_simple(box);
    tg_poll_next_timer(p);
    return 0;
}

int tg_box_fd(struct tg_box *box, unsigned what)
{
    if (what == TONG_SEND) {
        return tg_poll_sender_fd(box);
    }
    if (what != TONG_RECEIVE) {
        return -EINVAL;
    }
    struct tg_call call;
    int r = tg_receive_begin(box, 0, &call);
    if (r == 0) {
        r = tg_gate_enter(&box->rx.gate, 0, &box->interrupts->now, call.interrupts);
    }
    if (r < 0) {
        return r == -EAGAIN ? -EBUSY : r;
    }
    if (box->poll == NULL) {
        r = make(box);
        if (r == 0) {
            (void)tg_poll_settle(box, 1);
        }
    }
    const int fd = r == 0 ? box->poll->epoll : r;
    tg_gate_leave(&box->rx.gate);
    return fd;
}
