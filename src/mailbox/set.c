/*
 * Changing what a mailbox is while it is used: its delivery policy.
 *
 * Written by the mailbox's user with the root's lock held, in the order of a give (owner.c), whose
 * state word tells every call of it:
 *
 *   set                                       killed behind it
 *   1 state |= CHANGING                       the old policy; whoever comes by ends the change
 *   2 the name of an own policy, in the       the old policy: its name stands in the other place, and
 *     place that the word does not speak of   the word speaks of that
 *   3 delivery = {own policies, policy}       the new policy; whoever comes by ends the change
 *   4 state: changes + 1                      the new policy; who sleeps learns it at the next ring
 *   5 ring everybody
 *
 * I1  Policy and name become others in one store, 3.
 * I2  Every holder of the token compares the word with the one its copy is of when it takes the token, so
 *     two never act on two policies in turn but in the order of the switch. A hold that began before 3
 *     ends under the old one.
 * I3  A sleeper reads its bells under the token, and the word once more behind it and the state: if it
 *     is the old one still, 5 rings it. So nobody sleeps on under an old policy. It compares with the
 *     word of its own hold: another thread of the handle may have brought the copy forward meanwhile.
 * I4  Killed before 5, those asleep stand where the old policy put them, and TURN names one of them: it
 *     is rung by the next message, finds the new policy, and makes the choice anew or leaves the queue,
 *     which rings the next. Nothing waits for a ring that does not come.
 */
#include <errno.h>
#include <string.h>

#include "mailbox/box.h"

static void store_delivery(struct tg_box_head *head, uint32_t delivery, const char *policy)
{
    uint32_t n = TG_OWN_POLICIES(tg_load_relaxed(&head->delivery));
    if (delivery == TONG_OWN) {
        n = (n + 1) & 0xffff;
        char *name = head->policy[n % 2];
        for (size_t i = 0; i <= strlen(policy); i++) {
            tg_store_byte(&name[i], policy[i]);
        }
    }
    /* release: the name comes first; pairs with the acquire of who reads the word. */
    tg_store_release(&head->delivery, n << 16 | delivery);
}

/* Lock held. */
static int set(struct tg_box *box, const struct tg_box_view *view, uint32_t delivery,
               const char *policy)
{
    struct tg_box_head *head = view->head;
    if (memcmp(head->id, box->id, 16) != 0) {
        return tg_box_gone(box, -ENOENT);
    }
    tg_box_end_change(head);
    const uint64_t owner = TG_OWNER(tg_load_acquire(&head->owner));
    if (tg_box_view_is_dead(box->root, view)) {
        return owner != 0 ? -EOWNERDEAD : -EIDRM;
    }
    if (owner != 0 && owner != box->me) {
        return -EPERM;
    }
    (void)tg_or(&head->state, TG_CHANGING);
    store_delivery(head, delivery, policy);
    tg_box_end_change(head);
    tg_box_wake_everybody(view);
    return 0;
}

int tg_box_set(struct tg_box *box, const tong_options *options, unsigned what)
{
    uint32_t delivery = 0;
    tg_fd lock = -1;
    struct tg_box_view view;
    if (what != TONG_SET_DELIVERY || options == NULL || options->struct_size < sizeof *options) {
        return -EINVAL;
    }
    int r = tg_policy_check(options, &delivery);
    if (r == 0 && (box->everyone || delivery == TONG_EVERYONE)) {
        return -EOPNOTSUPP; /* what was taken stands in other places there */
    }
    if (r == 0 && box->way != NULL && delivery == TONG_BY_KEY) {
        return -EOPNOTSUPP; /* a queue gives its first message alone */
    }
    if (r == 0) {
        r = tg_box_may_change(box);
    }
    if (r < 0) {
        return r;
    }
    r = tg_box_lock_view(box, &lock, &view);
    if (r < 0) {
        return r;
    }
    r = set(box, &view, delivery, options->policy);
    tg_box_view_close(&view);
    return r;
}
