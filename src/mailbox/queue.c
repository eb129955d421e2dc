/*
 * Sleeping receivers: the queue, and how none sleeps beside a message.
 *
 * A receiver that finds nothing takes a ticket; the lowest living ticket is first, or the one that the
 * policy chooses (choice.c). TURN names the first one to the senders, with an epoch that is new at
 * every sleep. It waits on its own bell, which senders and receivers add to, and on the life words
 * of all other receivers.
 *
 *   sleeper (token held)                       sender
 *   read bell                                  commit
 *   TURN = {me, epoch + 1}                     fence
 *   fence                                      read TURN
 *   look at all links again                    new to me? bell + 1, FUTEX_WAKE
 *   give the token back, wait
 *
 * I1  Of the two fences one comes first: the sender sees TURN, or the sleeper sees the message.
 * I2  The bell is read before TURN is stored, so a ring after it changes what the sleep compares.
 * I3  Nothing is assigned to a sleeper: whoever is first when it holds the token takes. So
 *     nothing is lost with one that dies.
 *     Who stops being first by another's choice has lost nothing: TURN names the new one, who is
 *     rung if something is there.
 * I4  Every sleeper watches every receiver that is not reaped. One that dies is noticed by one
 *     sleeper at least, who repairs, wakes the rest and nudges the first. Who joined after a
 *     sleeper made its list is not on it: `joins` tells, and who leaves the queue nudges such a one.
 * I5  The waker's note of the last TURN is private and never inherited; an equal epoch is never
 *     stored twice.
 * I6  One of the others who sleep at least watches the first: with a policy that chooses, those who
 *     slept before it came may have never been first, and so not have been told of it. The same goes
 *     for those that ask for some messages only, who are rung first (select.c, I4).
 */
#include "mailbox/select.h"

#define EPOCH_MASK ((UINT64_C(1) << 48) - 1)

/* What TURN holds for a slot; for TG_SLOTS_MAX: nobody. */
static uint64_t whom_of(uint32_t slot)
{
    return slot == TG_SLOTS_MAX ? 0 : (uint64_t)slot + 1;
}

static bool turn_names(const struct tg_box *box, uint32_t slot)
{
    return tg_load_relaxed(&box->head->turn) >> 48 == whom_of(slot);
}

static void set_turn(struct tg_box *box, uint32_t slot)
{
    const uint64_t turn = tg_load_relaxed(&box->head->turn);
    const uint64_t whom = whom_of(slot);
    const uint64_t epoch = (turn + 1) & EPOCH_MASK;
    tg_store_relaxed(&box->head->turn, whom << 48 | epoch);
    /* Partner: the fence of tg_sender_ring. */
    tg_fence();
}

uint32_t tg_queue_sleepers(struct tg_box *box)
{
    const uint32_t slot = box->rx.slot;
    const uint32_t n = tg_load_relaxed(&box->head->n_sleepers);
    const uint32_t asking = tg_load_relaxed(&box->head->selecting);
    const bool mine =
        tg_load_relaxed(&box->slots[slot].ticket) != 0 && !tg_select_is_asking(box, slot);
    return n - asking - (mine ? 1 : 0);
}

void tg_queue_enter(struct tg_box *box)
{
    struct tg_box_head *head = box->head;
    const uint64_t ticket = tg_load_relaxed(&head->tickets) + 1;
    tg_select_announce(box);
    tg_store_relaxed(&head->tickets, ticket);
    tg_store_relaxed(&head->n_sleepers, tg_load_relaxed(&head->n_sleepers) + 1);
    tg_store_relaxed(&box->slots[box->rx.slot].ticket, ticket);
    tg_choice_renew(box);
}

static bool something_for(struct tg_box *box, const struct tg_viewer *viewer)
{
    tg_box_fresh_users(box);
    return tg_links_stale(box) || tg_take_count(box, viewer, 1) != 0;
}

/* For somebody in an event loop, who may have keys. */
static bool something_at_all(struct tg_box *box)
{
    const struct tg_viewer comer = tg_select_comer(box);
    return box->policy->by_key ? tg_take_hint_any(box) : something_for(box, &comer);
}

static bool something_for_sleeper(struct tg_box *box, uint32_t slot)
{
    const struct tg_viewer sleeper = tg_select_sleeper(box, slot);
    return something_for(box, &sleeper);
}

/* Whom TURN shall name. */
static uint32_t first_one(struct tg_box *box)
{
    const uint32_t asking = tg_select_first(box);
    return asking != TG_SLOTS_MAX ? asking : tg_choice_first(box);
}

/* Another sleeper, or nobody, is first now. */
static void appoint(struct tg_box *box, uint32_t first)
{
    set_turn(box, first);
    if (first == TG_SLOTS_MAX) {
        return;
    }
    const bool knows_all =
        tg_load_relaxed(&box->slots[first].joins) == tg_load_relaxed(&box->head->joins);
    if (!knows_all || something_for_sleeper(box, first)) {
        tg_box_ring_slot(box, first);
    }
}

static void count_sleepers(struct tg_box *box)
{
    uint32_t sleepers = 0;
    uint32_t asking = 0;
    const uint32_t n = tg_n_slots(box->head);
    for (uint32_t i = 0; i < n; i++) {
        const bool sleeps = tg_load_relaxed(&box->slots[i].ticket) != 0;
        sleepers += sleeps;
        asking += sleeps && tg_select_is_asking(box, i);
    }
    if (tg_load_relaxed(&box->head->selecting) != asking) {
        tg_store_relaxed(&box->head->selecting, asking);
    }
    tg_store_relaxed(&box->head->n_sleepers, sleepers);
}

/* I6. Where the lowest ticket is first, whoever sleeps behind it came to know it. */
static void have_watched(struct tg_box *box, uint32_t first)
{
    if ((box->policy->choose == NULL && !tg_select_is_used(box)) || first == TG_SLOTS_MAX) {
        return;
    }
    const uint32_t came = tg_load_relaxed(&box->slots[first].came);
    uint32_t other = TG_SLOTS_MAX;
    const uint32_t n = tg_n_slots(box->head);
    for (uint32_t i = 0; i < n; i++) {
        if (i == first || tg_load_relaxed(&box->slots[i].ticket) == 0) {
            continue;
        }
        if ((int32_t)(tg_load_relaxed(&box->slots[i].joins) - came) >= 0) {
            return;
        }
        other = i;
    }
    if (other != TG_SLOTS_MAX) {
        tg_box_ring_slot(box, other);
    }
}

/* While not all take whatever comes: whoever something is there for is told, but one. */
static void tell_all(struct tg_box *box, uint32_t but)
{
    if (!tg_select_is_used(box)) {
        return;
    }
    const uint32_t chosen = tg_choice_first(box);
    const uint32_t n = tg_n_slots(box->head);
    for (uint32_t i = 0; i < n; i++) {
        const bool waits = tg_load_relaxed(&box->slots[i].ticket) != 0 &&
                           (i == chosen || box->policy->by_key || tg_select_is_asking(box, i));
        if (waits && i != but && something_for_sleeper(box, i)) {
            tg_box_ring_slot(box, i);
            have_watched(box, i);
        }
    }
}

void tg_queue_leave(struct tg_box *box, uint32_t slot)
{
    tg_store_relaxed(&box->slots[slot].ticket, UINT64_C(0));
    /* Counted, not subtracted: a leaver that died half way is made good. */
    count_sleepers(box);
    /* What waited for it may be for one in an event loop now. */
    if (tg_load_relaxed(&box->head->arms) != box->rx.ringer.note && something_at_all(box)) {
        tg_poll_nudge(box);
    }
    const uint32_t first = first_one(box);
    if (!turn_names(box, first)) {
        appoint(box, first);
    }
    have_watched(box, first);
    tell_all(box, slot);
}

bool tg_queue_is_first(struct tg_box *box)
{
    return tg_choice_first(box) == box->rx.slot;
}

bool tg_queue_is_named(const struct tg_box *box)
{
    return turn_names(box, box->rx.slot);
}

void tg_queue_nudge_first(struct tg_box *box)
{
    tg_poll_nudge(box);
    if (tg_load_relaxed(&box->head->n_sleepers) == 0) {
        return;
    }
    const uint32_t first = first_one(box);
    /* Also if it is this receiver, about to sleep: its bell was read before. */
    if (first != TG_SLOTS_MAX) {
        tg_box_ring_slot(box, first);
    }
}

/* The words of the sleep that are read before TURN is stored (I2). */
static void add_bells(struct tg_box *box, struct tg_waitset *set)
{
    for (uint32_t i = 0; i < box->n_users; i++) {
        const struct tg_user_bells *user = &box->users[i];
        tg_sight_watch(&user->sight, &user->bells->slot[box->rx.slot].bell, set);
    }
    const tg_a32 *users = &box->room->users;
    if (box->room_sight.copy == NULL) {
        if ((box->mode & 0077) != 0) {
            tg_waitset_add(set, users, box->rx.users_seen);
        }
    } else if (tg_sight_fetch(&box->room_sight, users, sizeof *users) == 0) {
        tg_waitset_add_foreign(set, tg_sight_word(&box->room_sight, users), box->rx.users_seen);
    }
}

/* I4. False: somebody is dead and not repaired. */
static bool add_lives(struct tg_box *box, struct tg_waitset *set)
{
    bool all = true;
    const uint32_t n = tg_n_slots(box->head);
    for (uint32_t i = 0; i < n && all; i++) {
        const uint64_t owner = tg_load_relaxed(&box->slots[i].owner);
        if (owner != 0 && owner != box->me) {
            all = tg_life_watch_of(box->root, owner, box->dir_uid, set);
        }
    }
    tg_store_relaxed(&box->slots[box->rx.slot].joins, tg_load_relaxed(&box->head->joins));
    return all;
}

int tg_queue_prepare(struct tg_box *box, struct tg_waitset *set)
{
    tg_waitset_clear(set);
    add_bells(box, set);
    if (!add_lives(box, set)) {
        return 1;
    }
    const uint32_t first = first_one(box);
    if (first == box->rx.slot) {
        /* It may be so only now that it stands in the queue. */
        box->rx.takes_any = true;
        const struct tg_viewer me = tg_select_me(box);
        set_turn(box, first);
        if (something_for(box, &me)) {
            return 1;
        }
    } else if (!turn_names(box, first)) {
        appoint(box, first);
    } else if (something_for_sleeper(box, first)) {
        tg_box_ring_slot(box, first);
    }
    have_watched(box, first);
    tell_all(box, box->rx.slot);
    tg_box_unlock(box);
    return 0;
}
