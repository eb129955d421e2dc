/*
 * The token of a mailbox, with what belongs to it.
 *
 * I1  The private gate `short_` is held whenever this handle holds the token, so that threads of
 *     one handle exclude each other; it is never held asleep but for the token itself.
 * I2  Taken from a dead holder, nothing is served before everything is repaired: entries of the
 *     dead, heads, sums, and whoever may have missed a ring is rung.
 *     Before the first change the blocked senders are rung (tg_box_announce): they then watch this
 *     holder's life, be it a receiver already or not.
 * I3  It is given back only after the senders that wait for freed room were rung, and never past a
 *     PENDING: who finished a claim meanwhile relies on this holder's collect.
 */
#include <errno.h>

#include "base/probe.h"
#include "mailbox/box.h"

/* A call with time-out 0 waits this long for a holder that is about to leave. */
#define PATIENCE_NS 2000000

void tg_box_announce(struct tg_box *box)
{
    box->rx.ring_always = true;
    tg_claims_ring(box);
}

static void repair_all(struct tg_box *box)
{
    TG_PROBE(recover, box->name, TG_RECOVERED_TOKEN);
    tg_carried_repair(box);
    (void)tg_links_refresh(box);
    tg_box_announce(box);
    (void)tg_slot_repair(box);
    tg_claims_collect(box, true);
    tg_claims_sum(box);
    box->rx.ring_due = true;
    box->rx.ring_always = true;
    tg_queue_nudge_first(box);
}

int tg_box_lock(struct tg_box *box, int64_t deadline)
{
    (void)tg_gate_enter(&box->rx.short_, TG_NEVER, NULL, 0);
    uint64_t free_ = 0;
    if (tg_cas(&box->head->token, &free_, box->me)) {
        tg_choice_refresh(box);
        return 0;
    }
    const int64_t patience = deadline == 0 ? tg_now_ns() + PATIENCE_NS : deadline;
    const int r =
        tg_token_lock_slow(&box->head->token, box->root, box->me, box->dir_uid, patience, NULL, 0);
    if (r < 0) {
        tg_gate_leave(&box->rx.short_);
        return r == -ETIMEDOUT && deadline == 0 ? -EAGAIN : r;
    }
    tg_choice_refresh(box);
    if (r == 1) {
        repair_all(box);
    }
    return 0;
}

bool tg_box_lock_or_pend(struct tg_box *box)
{
    tg_a64 *token = &box->head->token;
    (void)tg_gate_enter(&box->rx.short_, TG_NEVER, NULL, 0);
    uint64_t seen = tg_load_seq_cst(token);
    for (;;) {
        const uint64_t holder = seen & ~TG_TOKEN_FLAGS;
        if (holder == 0) {
            if (tg_cas(token, &seen, box->me)) {
                tg_choice_refresh(box);
                return true;
            }
        } else if (holder != box->me && !tg_life_is_alive_of(box->root, holder, box->dir_uid)) {
            if (tg_cas(token, &seen, box->me | (seen & TG_TOKEN_WAITERS))) {
                tg_life_wake_watchers(box->root, holder);
                tg_choice_refresh(box);
                repair_all(box);
                return true;
            }
        } else if ((seen & TG_TOKEN_PENDING) != 0 ||
                   tg_cas(token, &seen, seen | TG_TOKEN_PENDING)) {
            tg_gate_leave(&box->rx.short_);
            return false;
        }
    }
}

void tg_box_unlock(struct tg_box *box)
{
    for (;;) {
        if (box->rx.ring_due) {
            tg_claims_ring(box);
        }
        if (tg_token_unlock(&box->head->token, box->me)) {
            break;
        }
        tg_claims_collect(box, false);
    }
    tg_gate_leave(&box->rx.short_);
}
