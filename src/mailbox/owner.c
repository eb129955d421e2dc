/*
 * Whose a mailbox is: asked at the beginning of every call, and handed on by tong_give.
 *
 * The state word {gives, GIVING, state} and the owner are written under the root's lock alone, by
 * processes of the mailbox's user. A handle keeps a copy of both; while the state word is the one it
 * knows, the owner is, too.
 *
 *   give                                      killed behind it
 *   1 state |= GIVING                         the old owner; whoever comes by ends the giving
 *   2 ring everybody                          the same
 *   3 accepted = 0, owner = the new one       the new owner; the same
 *   4 state = ALIVE, gives + 1                the new owner
 *   5 ring everybody                          (a courtesy: see I2)
 *
 * I1  What a handle concludes from an owner's death it concludes from the owner of a state word
 *     without GIVING, asked again behind the death: so -EOWNERDEAD is never told while a give can
 *     still succeed, and once told it is for ever, since a give looks at the owner's life first and the
 *     state is GIVING from then on.
 * I2  A sleeper reads its bells, then the state and the owner, and watches that owner. If it read
 *     an older state than GIVING, 2 rings it; if it reads GIVING, it sleeps a millisecond at a time
 *     until that is gone; so nobody sleeps on the life of an owner that is none.
 * I3  Whoever gets the lock finds no giver at work: GIVING is then a dead one's, and is ended.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/name.h"
#include "mailbox/box.h"

/* ---- asking */

/* Lock held: end what a dead giver began. */
static void end_giving(struct tg_box_head *head)
{
    const uint32_t word = tg_load_acquire(&head->state);
    if ((word & TG_GIVING) == 0) {
        return;
    }
    const bool owned = tg_load_relaxed(&head->owner) != 0;
    tg_store_relaxed(&head->owner_kind, (uint32_t)(owned ? TONG_PROCESS : TONG_SYSTEM));
    /* release: the owner comes first; pairs with the acquire of every check. */
    tg_store_release(&head->state, (word & ~TG_GIVING) + TG_GIVE);
}

/* Somebody gives it away just now, or died while doing so. */
static void try_to_end_giving(struct tg_box *box)
{
    tg_fd lock = -1;
    if (tg_root_lock(box->root, false, &lock) < 0) {
        return;
    }
    struct tg_box_view view;
    if (box->writable) {
        end_giving(box->head);
    } else if (tg_box_view_open(box->root, box->name, true, &view) == 0) {
        if (memcmp(view.head->id, box->id, 16) == 0) {
            end_giving(view.head);
        }
        tg_box_view_close(&view);
    }
}

/* The copy is private: no crash point. */
static void keep_owner(struct tg_box *box, uint64_t owner)
{
    atomic_store_explicit(&box->owner, owner, memory_order_relaxed);
}

static void keep_state(struct tg_box *box, uint32_t word)
{
    atomic_store_explicit(&box->state_seen, word, memory_order_relaxed);
}

/* Bring the copy up to date with a state word that is another. 0, or the end. */
static int note_state(struct tg_box *box, uint32_t *word)
{
    if ((*word & TG_GIVING) != 0) {
        try_to_end_giving(box);
        *word = tg_load_acquire(&box->head->state);
    }
    if (TG_STATE(*word) != TG_ALIVE) {
        return TG_STATE(*word) == TG_OWNER_GONE ? -EOWNERDEAD : -EIDRM;
    }
    keep_owner(box, tg_load_acquire(&box->head->owner));
    if ((*word & TG_GIVING) == 0) {
        keep_state(box, *word);
    }
    return 0;
}

int tg_box_check(struct tg_box *box)
{
    for (;;) {
        /* acquire: who sees the end, or another owner, sees what was done before it. */
        uint32_t word = tg_load_acquire(&box->head->state);
        if (word != tg_load_relaxed(&box->state_seen)) {
            const int r = note_state(box, &word);
            if (r < 0) {
                return r;
            }
        }
        const uint64_t owner = tg_load_relaxed(&box->owner);
        if (owner == 0 || owner == box->me || (word & TG_GIVING) != 0 ||
            tg_life_is_alive(box->root, owner)) {
            return 0;
        }
        /* I1 */
        if (tg_load_acquire(&box->head->state) == word &&
            tg_load_acquire(&box->head->owner) == owner) {
            return -EOWNERDEAD;
        }
        keep_state(box, 0);
    }
}

bool tg_box_may_sleep(struct tg_box *box, struct tg_waitset *set)
{
    if (tg_box_check(box) < 0) {
        return false;
    }
    const uint64_t owner = tg_load_relaxed(&box->owner);
    if ((tg_load_acquire(&box->head->state) & TG_GIVING) != 0) {
        set->soon = true; /* I2 */
    }
    return owner == 0 || owner == box->me || tg_life_watch(box->root, owner, set) || set->soon;
}

void tg_box_accept(struct tg_box *box)
{
    uint64_t nobody = 0;
    if ((box->flags & TONG_RECEIVE) != 0 && tg_load_relaxed(&box->owner) == box->me &&
        tg_cas(&box->head->accepted, &nobody, box->me)) {
        box->owns = true;
    }
}

/* ---- giving */

/* The process that owns the mailbox of a name, which is how a process is called. */
static int find_process(struct tg_box *box, const char *name, uint64_t *ret_id, uint32_t *ret_pid)
{
    int r = tg_name_check(name);
    if (r < 0) {
        return r;
    }
    struct tg_box_view view;
    r = tg_box_view_open(box->root, name, false, &view);
    if (r < 0) {
        return r;
    }
    const uint64_t owner = tg_load_acquire(&view.head->owner);
    if (tg_box_view_is_dead(box->root, &view)) {
        r = -ENOENT;
    } else if (owner == 0) {
        r = -EINVAL;
    } else if (view.uid != box->dir_uid) {
        r = -EPERM;
    } else {
        *ret_id = owner;
        *ret_pid = tg_load_relaxed(&view.head->owner_pid);
    }
    tg_box_view_close(&view);
    return r;
}

static void hand_on(const struct tg_box_view *view, uint64_t owner, uint32_t pid)
{
    struct tg_box_head *head = view->head;
    (void)tg_or(&head->state, TG_GIVING);
    tg_box_wake_everybody(view);
    tg_store_relaxed(&head->accepted, UINT64_C(0));
    tg_store_relaxed(&head->owner_pid, pid);
    /* release: pairs with the acquire of a check; the new owner finds accepted empty. */
    tg_store_release(&head->owner, owner);
    end_giving(head);
    tg_box_wake_everybody(view);
}

/* Lock held. */
static int give(struct tg_box *box, const struct tg_box_view *view, uint64_t owner, uint32_t pid)
{
    if (memcmp(view->head->id, box->id, 16) != 0) {
        return -EIDRM;
    }
    end_giving(view->head);
    if (tg_box_view_is_dead(box->root, view)) {
        return tg_load_relaxed(&view->head->owner) != 0 ? -EOWNERDEAD : -EIDRM;
    }
    if (tg_load_relaxed(&view->head->owner) != owner) {
        hand_on(view, owner, pid);
    }
    return 0;
}

int tg_box_give(struct tg_box *box, const char *process)
{
    uint64_t owner = 0;
    uint32_t pid = 0;
    int r = tg_box_begin(box);
    if (r == 0 && box->dir_uid != geteuid() && geteuid() != 0) {
        r = -EPERM;
    }
    if (r == 0 && process != NULL) {
        r = find_process(box, process, &owner, &pid);
    }
    if (r < 0) {
        return r;
    }
    tg_fd lock = -1;
    r = tg_root_lock(box->root, true, &lock);
    if (r < 0) {
        return r;
    }
    struct tg_box_view view;
    r = tg_box_view_open(box->root, box->name, true, &view);
    if (r < 0) {
        return r == -ENOENT ? -EIDRM : r;
    }
    r = give(box, &view, owner, pid);
    tg_box_view_close(&view);
    if (r == 0) {
        box->owns = owner != 0 && owner == box->me && box->owns;
    }
    return r;
}
