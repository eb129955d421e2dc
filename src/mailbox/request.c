/*
 * Request and reply.
 *
 * A request is a message with a mailbox for its reply and a number; the reply is a message with that
 * number. The mailbox for replies belongs to the caller's process and is marked (box head, `process`), so
 * that nobody is told of it. A call waits in it, and for whoever has the request:
 *
 *   the request                               found by its caller as            the call
 *   waits                                     not before row `next`; RETURNED   waits
 *   is claimed by a living receiver           CLAIMED                           waits
 *   was copied out by one that may reply      ANSWERING, or RELEASED on its     waits
 *                                             way there (TG_ASKED)
 *   came back by a death or a close           RETURNED with TG_LEFT, or CLAIMED waits, if it is handed
 *                                             in the slot of a dead one         out again; else ends
 *   was finished, thrown away, given up       none of these                     ends: -EOWNERDEAD
 *
 * It is handed out again after a death only where max_deliveries is above 1: at least once there, at most
 * once elsewhere. Who comes upon one with TG_LEFT elsewhere throws it away.
 *
 *   who answers                               caller, in the mailbox for replies
 *   reply: commit, ring                       bells of replies, TURN, look (queue.c)
 *   entry: RELEASED or FREE                   bell `room`, lives of all receivers of the mailbox
 *                                             look for the request
 *                                             sleep on all of these
 *
 * I1  The reply comes before the end of its entry, and the caller looks for the request before it looks
 *     for the reply: so a request that nobody has, and no reply, is one that nobody will answer.
 * I2  Who takes a request and cannot reply, lets go of one, or takes the place of a receiver rings `room`
 *     behind it; who dies is told by the kernel, or by who repairs, who rings it too. The bell is read
 *     before the list of lives is made, and the request is looked for behind that.
 * I3  ANSWERING is stored before `next`, as a claim is. There are 64 entries a receiver: one that has more
 *     to answer is `crowded` from then on, said before an entry is taken for another; while such a one
 *     lives, a request that is not found may be in its hands.
 * I4  An entry that moves from slot to slot may be missed by one look over all slots, and who moved it may
 *     be dead, which is no end then. To move it must come back first, and that is counted before
 *     (`redelivered`): an end is concluded from looks without a count between them. One that is passed
 *     over comes back uncounted, and may be moved to a spare slot before it is taken: so there are three
 *     looks.
 * I5  A reply counts if the kernel says that the mailbox's user sent it, or root; others are thrown away, as
 *     late ones are.
 */
#include "mailbox/request.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "mailbox/box.h"

/* ---- for who receives; token held */

bool tg_request_is(const struct tg_said *said)
{
    return said->attributes.call != 0 && said->reply_to[0] != '\0';
}

bool tg_request_is_reply(const struct tg_take *take, const struct tg_said *said)
{
    const uint32_t uid = take->at->reader.uid;
    return take->call == 0 ||
           (said->attributes.call == take->call && (uid == take->by || uid == 0)); /* I5 */
}

static bool is_asked_again(const struct tg_box *box)
{
    return box->max_deliveries > 1;
}

bool tg_request_is_over(const struct tg_box *box, const struct tg_said *said, uint32_t state)
{
    /* At max_deliveries 1 it is one that was handed out too often, and goes where these go. */
    return (state & TG_LEFT) != 0 && box->max_deliveries == 0 && tg_request_is(said);
}

void tg_request_tell(struct tg_box *box)
{
    box->rx.ring_due = true;
    box->rx.ring_always = true;
}

void tg_request_tell_now(struct tg_box *box)
{
    (void)tg_add(&box->main.head->room, 1);
    tg_sys_futex_wake(&box->main.head->room, INT_MAX);
}

/* I3 */
static void keep(struct tg_box *box, struct tg_take *take)
{
    struct tg_box_entry *entry = NULL;
    if (tg_claims_free_entry(box, &entry) < 0) {
        tg_store_release(&box->slots[box->rx.slot].crowded, UINT32_C(1));
        return;
    }
    tg_store_relaxed(&entry->row, take->at->reader.row);
    tg_store_relaxed(&entry->sequence, take->handed);
    tg_store_relaxed(&entry->number, take->sequence);
    tg_store_relaxed(&entry->pid, take->pid);
    tg_store_release(&entry->state, TG_ENTRY(TG_ANSWERING, take->deliveries));
    take->answering = entry;
}

static bool is_kept(const struct tg_take *take, bool thrown_away)
{
    return take->is_asked && !thrown_away && take->how == TG_TAKE_COPY && take->may_answer;
}

void tg_request_keep(struct tg_box *box, struct tg_take *take, bool thrown_away)
{
    if (is_kept(take, thrown_away)) {
        keep(box, take);
    } else if (take->is_asked && (thrown_away || take->how != TG_TAKE_CLAIM)) {
        tg_request_tell(box);
    }
}

void tg_request_leave(struct tg_box *box, struct tg_take *take, bool thrown_away)
{
    if (is_kept(take, thrown_away)) {
        take->answering = take->entry;
        tg_store_release(&take->entry->state, TG_ENTRY(TG_ANSWERING, take->deliveries));
        return;
    }
    tg_store_release(&take->entry->state, TG_ENTRY(TG_FREE, 0));
    if (take->is_asked) {
        tg_request_tell(box);
    }
}

int tg_box_answered(struct tg_box *box, tong_message *request)
{
    if (box->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    uint32_t state;
    /* Other threads of this handle take entries meanwhile. */
    (void)tg_gate_enter(&box->rx.short_, TG_NEVER, NULL, 0);
    struct tg_box_entry *entry = tg_claims_entry_in(box, request, &state);
    if (entry != NULL && TG_ENTRY_STATE(state) == TG_RELEASED && (state & TG_ASKED) != 0) {
        /* Its holder may make it ANSWERING at this moment. */
        (void)tg_cas(&entry->state, &state, state & ~TG_ASKED);
    }
    if (entry != NULL && TG_ENTRY_STATE(state) == TG_ANSWERING) {
        tg_store_release(&entry->state, TG_ENTRY(TG_FREE, 0));
    }
    tg_gate_leave(&box->rx.short_);
    const bool is_claim = entry != NULL && TG_ENTRY_STATE(state) == TG_CLAIMED;
    request->call = 0;
    return is_claim ? tg_box_done(box, request) : 0;
}

/* ---- for who calls; no token, any thread */

enum found {
    NOWHERE,
    LEFT,  /* with one that died or closed, and not handed out again */
    WAITS, /* for a receiver */
    HELD,  /* by a living one */
};

/* Part of the box as it is now: of another user's it is read to local, for its copy is the sender's. NULL:
 * it cannot be read. */
static const void *part(const struct tg_box *box, const void *at, size_t len, void *local)
{
    if (box->sight.copy == NULL) {
        return at;
    }
    const size_t off = (size_t)((const uint8_t *)at - box->sight.copy);
    const int r = tg_sys_pread(box->sight.fd, local, len, off);
    tg_fence_acquire();
    return r < 0 ? NULL : local;
}

static bool is_alive(struct tg_box *box, uint64_t owner)
{
    return owner == box->me || (owner != 0 && tg_life_is_alive_of(box->root, owner, box->dir_uid));
}

static enum found judge_entry(struct tg_box *box, uint64_t owner, uint32_t state)
{
    switch (TG_ENTRY_STATE(state)) {
    case TG_CLAIMED:
        if (TG_ENTRY_DELIVERIES(state) == 0) {
            return WAITS; /* it is being passed over */
        }
        return is_alive(box, owner) ? HELD : is_asked_again(box) ? WAITS : LEFT;
    case TG_ANSWERING:
        return is_alive(box, owner) ? HELD : NOWHERE;
    case TG_RELEASED:
        return (state & TG_ASKED) != 0 && is_alive(box, owner) ? HELD : NOWHERE;
    case TG_RETURNED:
        return (state & TG_LEFT) == 0 || is_asked_again(box) ? WAITS : LEFT;
    default:
        return NOWHERE;
    }
}

static enum found look_in_slot(struct tg_box *box, uint32_t i, const struct tg_box_slot *slot,
                               const uint64_t where[2])
{
    struct tg_box_entry local[TG_CLAIMS_MAX];
    enum found found = NOWHERE;
    const uint64_t owner = tg_load_acquire(&slot->owner);
    uint32_t used = tg_load_acquire(&slot->entries);
    used = used < TG_CLAIMS_MAX ? used : TG_CLAIMS_MAX;
    const struct tg_box_entry *e = part(box, tg_claims_of(box, i), used * sizeof local[0], local);
    for (uint32_t k = 0; e != NULL && k < used; k++) {
        const uint32_t state = tg_load_acquire(&e[k].state);
        const uint32_t number = tg_load_relaxed(box->way != NULL ? &e[k].number : &e[k].sequence);
        const uint64_t which = (uint64_t)tg_load_relaxed(&e[k].row) << 32 | number;
        if (which == where[1] && TG_ENTRY_STATE(state) != TG_FREE) {
            const enum found one = judge_entry(box, owner, state);
            found = one > found ? one : found;
        }
    }
    return found;
}

static enum found look_in_slots(struct tg_box *box, const uint64_t where[2])
{
    struct tg_box_head head;
    struct tg_box_slot local;
    enum found found = NOWHERE;
    const struct tg_box_head *h = part(box, box->head, sizeof head, &head);
    const uint32_t n = h == NULL ? 0 : tg_load_acquire(&h->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX && found != HELD; i++) {
        const struct tg_box_slot *slot = part(box, &box->slots[i], sizeof local, &local);
        const enum found one = slot == NULL ? NOWHERE : look_in_slot(box, i, slot, where);
        found = one > found ? one : found;
    }
    return found;
}

static bool any_crowded(struct tg_box *box)
{
    struct tg_box_slot local;
    struct tg_box_head head;
    const struct tg_box_head *h = part(box, box->head, sizeof head, &head);
    const uint32_t n = h == NULL ? 0 : tg_load_acquire(&h->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX; i++) {
        const struct tg_box_slot *slot = part(box, &box->slots[i], sizeof local, &local);
        if (slot != NULL && tg_load_acquire(&slot->crowded) != 0 &&
            is_alive(box, tg_load_acquire(&slot->owner))) {
            return true;
        }
    }
    return false;
}

static uint64_t redelivered(struct tg_box *box)
{
    struct tg_box_head head;
    const struct tg_box_head *h = part(box, box->head, sizeof head, &head);
    return h == NULL ? 0 : tg_load_acquire(&h->redelivered);
}

/* Whether a receiver has taken it, or its sender has dropped it. */
static bool is_handed_out(struct tg_box *box, const uint64_t where[2])
{
    const uint32_t row = (uint32_t)(where[1] >> 32);
    const uint32_t number = (uint32_t)where[1];
    struct tg_box_row local;
    struct tg_box_head head;
    const struct tg_box_head *h = part(box, box->head, sizeof head, &head);
    if (h == NULL || row >= TG_LINKS_MAX || row >= tg_load_acquire(&h->n_rows)) {
        return false;
    }
    const struct tg_box_row *r = part(box, &box->rows[row], sizeof local, &local);
    /* acquire: pairs with who makes the row another link's; its words are this link's then. */
    if (r == NULL || tg_load_acquire(&r->link_id) != where[0]) {
        return false;
    }
    if (box->capacity == 0) {
        return true; /* else its send would wait still */
    }
    /* acquire: the entry comes before it (I3). */
    const uint32_t next = tg_place_sequence(tg_load_acquire(&r->next));
    if (box->way != NULL && box->tx.out_of_order) {
        return (int32_t)(next - box->tx.writer.sequence) >= 0; /* all of them were */
    }
    if (!box->lossy) {
        return (int32_t)(next - number) > 0;
    }
    const struct tg_link_head *link = tg_lane_with(box, where[0])->tx.writer.head;
    const uint32_t oldest = tg_place_sequence(tg_load_acquire(&link->oldest));
    const uint32_t out = (uint32_t)(tg_load_acquire(&r->dropped) >> 32);
    return (int32_t)(out - number) > 0 || (int32_t)(oldest - number) > 0;
}

static enum found find(struct tg_box *box, const uint64_t where[2])
{
    if (!is_handed_out(box, where)) {
        return WAITS;
    }
    for (;;) {
        const uint64_t before = redelivered(box);
        enum found found = NOWHERE;
        for (int looks = 0; looks < 3 && found < WAITS; looks++) {
            found = look_in_slots(box, where);
        }
        if (found >= WAITS) {
            return found;
        }
        if (redelivered(box) == before) { /* I4 */
            return found == NOWHERE && any_crowded(box) ? HELD : found;
        }
    }
}

int tg_request_check(struct tg_box *box, const uint64_t where[2])
{
    const int r = tg_box_begin(box);
    if (r < 0) {
        return r;
    }
    return find(box, where) >= WAITS ? 0 : -EOWNERDEAD;
}

/* All receivers, for any may come to have it. Without room for all of them the others are asked now and
 * then. What a dead one has the check finds. */
static void watch_receivers(struct tg_box *box, struct tg_waitset *set)
{
    struct tg_box_slot local;
    struct tg_box_head head;
    const struct tg_box_head *h = part(box, box->head, sizeof head, &head);
    const uint32_t n = h == NULL ? 0 : tg_load_acquire(&h->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX; i++) {
        const struct tg_box_slot *slot = part(box, &box->slots[i], sizeof local, &local);
        const uint64_t owner = slot == NULL ? 0 : tg_load_acquire(&slot->owner);
        if (owner == 0 || owner == box->me) {
            continue;
        }
        set->orphans = set->orphans || set->n == TG_WAITSET_MAX;
        (void)tg_life_watch_of(box->root, owner, box->dir_uid, set);
    }
}

bool tg_request_may_sleep(struct tg_box *box, const uint64_t where[2], struct tg_waitset *set)
{
    /* I2 */
    tg_sight_watch(&box->sight, &box->head->room, set);
    watch_receivers(box, set);
    return tg_box_may_sleep(box, set) && tg_request_check(box, where) == 0;
}

/* ---- mailboxes for replies */

int tg_reply_open(struct tg_box *box, struct tg_box **ret_reply, char ret_name[TONG_NAME_MAX],
                  uint64_t *ret_number)
{
    uint64_t drawn[2];
    char name[TONG_NAME_MAX];
    int r = tg_box_begin(box);
    r = r == 0 && (box->flags & TONG_SEND) == 0 ? -EBADF : r;
    r = r == 0 && box->everyone ? -EOPNOTSUPP : r; /* whose silence would be an answer? */
    r = r == 0 ? tg_sys_random(drawn, sizeof drawn) : r;
    if (r != 0) {
        return r;
    }
    /* Nobody can have such a name by then but by guessing it. */
    (void)snprintf(name, sizeof name, "reply-%016llx", (unsigned long long)drawn[0]);
    tong_options own = TONG_OPTIONS_INIT;
    own.owner = TONG_PROCESS;
    own.delivery = TONG_EXCLUSIVE;
    own.mode = box->mode;
    own.max_bytes = box->max_bytes;
    if (box->way != NULL) {
        box->way->defaults(&own);
    }
    const struct tg_opening how = { .is_replies = true, .interrupted_with = box, .way = box->way };
    r = tg_box_open_with(name, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &own, &how, ret_reply);
    if (r == 0) {
        memcpy(ret_name, name, sizeof name);
        *ret_number = drawn[1];
    }
    return r;
}

int tg_caller_open(struct tg_box *box, const char *name, struct tg_box **ret_caller)
{
    if (box->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    const struct tg_opening how = { .interrupted_with = box, .way = box->way };
    return tg_box_open_with(name, TONG_SEND, NULL, &how, ret_caller);
}
