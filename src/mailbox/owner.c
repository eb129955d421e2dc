/*
 * Whose a mailbox is: asked at the beginning of every call, and handed on by tong_give.
 *
 * The state word {changes, CHANGING, state} and the owner are written under the root's lock alone,
 * by processes of the mailbox's user. A handle keeps a copy of both; while the state word is the one
 * it knows, the owner is, too.
 *
 *   give                                      killed behind it
 *   1 state |= CHANGING                       the old owner; whoever comes by ends the change
 *   2 ring everybody                          the same
 *   3 the old owner dead? then state = OWNER_GONE and no more
 *   4 owner = the new one                     the new owner; the same
 *   5 state = ALIVE, changes + 1              the new owner
 *   6 ring everybody                          (a courtesy: see I2)
 *
 * I1  What a handle concludes from an owner's death it concludes from the owner of a settled state
 *     word, asked again behind the death; and a giver looks at the owner's life behind its mark. So of
 *     the two one sees the other: -EOWNERDEAD is never told while a give can still succeed, and once
 *     told it is for ever. Settled: without CHANGING, or read under the lock.
 * I2  A sleeper reads its bells, then the state and the owner, and watches that owner. If it read
 *     an older state than CHANGING, 2 rings it; if its state is not settled, it sleeps a millisecond at
 *     a time until it is; so nobody sleeps on the life of an owner that is none.
 * I3  Whoever gets the lock finds no giver at work: CHANGING is then a dead one's, and is ended by
 *     those who may write. The next giver ends it, too, before it begins, so that the word differs.
 * I4  The owner word tells whether a handle of the owner has accepted it, in one store with the
 *     owner; that handle's close is the mailbox's end only while the word says both.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/name.h"
#include "mailbox/box.h"

/* ---- asking */

void tg_box_end_change(struct tg_box_head *head)
{
    const uint32_t word = tg_load_acquire(&head->state);
    if ((word & TG_CHANGING) != 0) {
        /* release: the owner comes first; pairs with the acquire of every check. */
        tg_store_release(&head->state, (word & ~TG_CHANGING) + TG_CHANGE);
    }
}

/* Lock held; who may not write the box leaves it as it is. */
static void try_to_end_change(struct tg_box *box)
{
    struct tg_box_view view;
    if (box->writable) {
        tg_box_end_change(box->main.head);
    } else if (tg_box_view_open(box->root, box->name, true, &view) == 0) {
        if (memcmp(view.head->id, box->id, 16) == 0) {
            tg_box_end_change(view.head);
        }
        tg_box_view_close(&view);
    }
}

/* The copies are private: no crash points. */
static void keep_owner(struct tg_box *box, uint64_t owner)
{
    if (owner != box->me) {
        box->owns = false; /* given away, whoever gives it back */
    }
    atomic_store_explicit(&box->owner, owner, memory_order_relaxed);
}

/* That it is simple is said with the word, in one store: an older thread's is of an older word. Of
 * another user's box there is only a copy: every call asks. */
static void keep_state(struct tg_box *box, uint32_t word, uint64_t owner)
{
    const bool simple = owner == 0 && box->sight.copy == NULL && box->poll == NULL &&
                        ((box->flags & TONG_RECEIVE) == 0 || tg_choice_refusal(box) == 0);
    atomic_store_explicit(&box->state_seen, word, memory_order_relaxed);
    atomic_store_explicit(&box->state_simple, simple ? word : 0, memory_order_relaxed);
}

void tg_box_not_simple(struct tg_box *box)
{
    atomic_store_explicit(&box->state_simple, 0, memory_order_relaxed);
}

static bool is_settled(const struct tg_box *box, uint32_t word)
{
    return word == tg_load_relaxed(&box->state_seen);
}

/* Bring the copies up to date with a state word that is another. 0, or the end. */
static int note_state(struct tg_box *box, uint32_t *word)
{
    tg_fd lock = -1;
    bool settled = (*word & TG_CHANGING) == 0;
    if (!settled && tg_root_lock(box->root, false, &lock) == 0) {
        try_to_end_change(box);
        const int r = tg_sight_fetch_head(&box->sight);
        if (r < 0) {
            return r;
        }
        *word = tg_load_acquire(&box->main.head->state);
        settled = true;
    }
    if (TG_STATE(*word) != TG_ALIVE) {
        return TG_STATE(*word) == TG_OWNER_GONE ? -EOWNERDEAD : -EIDRM;
    }
    const uint64_t owner = TG_OWNER(tg_load_acquire(&box->main.head->owner));
    keep_owner(box, owner);
    if (settled) {
        keep_state(box, *word, owner);
    }
    return 0;
}

/* As tg_box_check. *ret_word: the settled state word it was concluded from, 0: there was none. Not
 * what is kept: another thread may have brought that forward. */
static int check(struct tg_box *box, uint32_t *ret_word)
{
    for (;;) {
        int r = tg_sight_fetch_head(&box->sight);
        if (r < 0) {
            return r;
        }
        /* acquire: who sees the end, or another owner, sees what was done before it. */
        uint32_t word = tg_load_acquire(&box->main.head->state);
        if (!is_settled(box, word)) {
            r = note_state(box, &word);
            if (r < 0) {
                return r;
            }
        }
        const bool settled = is_settled(box, word);
        *ret_word = settled ? word : 0;
        /* Not the copy, which another thread may have made older: an owner newer than this word has
         * CHANGING before it, which the question behind sees. */
        const uint64_t owner = TG_OWNER(tg_load_acquire(&box->main.head->owner));
        if (owner == 0 || owner == box->me || !settled ||
            tg_life_is_alive_of(box->root, owner, box->dir_uid)) {
            return 0;
        }
        /* I1 */
        r = tg_sight_fetch_head(&box->sight);
        if (r < 0) {
            return r;
        }
        if (tg_load_acquire(&box->main.head->state) == word) {
            return -EOWNERDEAD;
        }
    }
}

int tg_box_check_slow(struct tg_box *box)
{
    uint32_t word;
    return check(box, &word);
}

bool tg_box_may_sleep(struct tg_box *box, struct tg_waitset *set)
{
    uint32_t word;
    if (check(box, &word) < 0) {
        return false;
    }
    const uint64_t owner = TG_OWNER(tg_load_acquire(&box->main.head->owner));
    bool alive = true;
    if (owner != 0 && owner != box->me) {
        /* A place is kept for it: of the many others the back-stop may tell, of the end nothing
         * else. */
        if (set->n == TG_WAITSET_MAX) {
            set->n--;
        }
        alive = tg_life_watch_of(box->root, owner, box->dir_uid, set);
    }
    if (tg_sight_fetch_head(&box->sight) < 0) {
        return false;
    }
    /* I2 */
    set->soon = set->soon || word == 0 || tg_load_acquire(&box->main.head->state) != word ||
                (box->carry != NULL && box->carry->early);
    return alive || set->soon;
}

bool tg_box_may_poll(struct tg_box *box, uint64_t owner)
{
    uint32_t word;
    if (check(box, &word) < 0 || word == 0 || tg_sight_fetch_head(&box->sight) < 0) {
        return false;
    }
    /* The owner first: with the same state behind it, it is the one of this state. */
    return TG_OWNER(tg_load_acquire(&box->main.head->owner)) == owner &&
           tg_load_acquire(&box->main.head->state) == word;
}

void tg_box_accept(struct tg_box *box)
{
    uint64_t mine = box->me;
    if ((box->flags & TONG_RECEIVE) != 0 && tg_load_relaxed(&box->owner) == box->me &&
        tg_cas(&box->main.head->owner, &mine, box->me | TG_ACCEPTED)) {
        box->owns = true;
    }
}

/* ---- giving */

uint32_t tg_box_pid_of(struct tg_root *root, const struct tg_box_head *head, uint64_t owner)
{
    const int32_t pid = owner == 0 ? 0 : tg_life_pid(root, owner);
    return owner == 0 || pid != 0 ? (uint32_t)pid : tg_load_relaxed(&head->owner_pid);
}

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
    const uint64_t owner = TG_OWNER(tg_load_acquire(&view.head->owner));
    if (tg_box_view_is_dead(box->root, &view)) {
        r = -ENOENT;
    } else if (owner == 0) {
        r = -EINVAL;
    } else if (view.uid != box->dir_uid) {
        r = -EPERM;
    } else {
        *ret_id = owner;
        *ret_pid = tg_box_pid_of(box->root, view.head, owner);
    }
    tg_box_view_close(&view);
    return r;
}

static int hand_on(struct tg_root *root, const struct tg_box_view *view, uint64_t owner,
                   uint32_t pid)
{
    struct tg_box_head *head = view->head;
    (void)tg_or(&head->state, TG_CHANGING);
    tg_box_wake_everybody(view);
    const uint64_t old = TG_OWNER(tg_load_acquire(&head->owner));
    const bool dead = old != 0 && !tg_life_is_alive_of(root, old, view->uid); /* I1 */
    if (dead) {
        tg_store_release(&head->state, (uint32_t)TG_OWNER_GONE);
    } else {
        tg_store_relaxed(&head->owner_pid, pid);
        /* release: pairs with the acquire of a check. */
        tg_store_release(&head->owner, owner);
        tg_box_end_change(head);
    }
    tg_box_wake_everybody(view);
    return dead ? -EOWNERDEAD : 0;
}

/* Lock held. */
static int give(struct tg_box *box, const struct tg_box_view *view, uint64_t owner, uint32_t pid)
{
    if (memcmp(view->head->id, box->id, 16) != 0) {
        return tg_box_gone(box, -ENOENT);
    }
    tg_box_end_change(view->head);
    if (tg_box_view_is_dead(box->root, view)) {
        return TG_OWNER(tg_load_relaxed(&view->head->owner)) != 0 ? -EOWNERDEAD : -EIDRM;
    }
    if (owner != 0 && !tg_life_is_alive_of(box->root, owner, box->dir_uid)) {
        return -ENOENT;
    }
    if (TG_OWNER(tg_load_relaxed(&view->head->owner)) == owner) {
        return 0;
    }
    const int r = hand_on(box->root, view, owner, pid);
    box->owns = box->owns && r < 0;
    return r;
}

int tg_box_may_change(struct tg_box *box)
{
    int r = tg_box_begin(box);
    if (r == 0 && tg_load_relaxed(&box->main.head->process) != 0) {
        r = -EINVAL;
    }
    if (r == 0 && box->dir_uid != geteuid() && geteuid() != 0) {
        r = -EPERM;
    }
    return r;
}

int tg_box_lock_view(struct tg_box *box, int *ret_lock, struct tg_box_view *ret_view)
{
    int r = tg_root_lock(box->root, true, ret_lock);
    if (r < 0) {
        return r;
    }
    r = tg_box_view_open(box->root, box->name, true, ret_view);
    return r == -ENOENT ? tg_box_gone(box, r)
                        : r; /* what its owner's death ended may be cleared away */
}

int tg_box_give(struct tg_box *box, const char *process)
{
    uint64_t owner = 0;
    uint32_t pid = 0;
    tg_fd lock = -1;
    struct tg_box_view view;
    int r = tg_box_may_change(box);
    if (r == 0 && box->everyone) {
        r = -EOPNOTSUPP; /* the books of those who may not receive any more would keep all room */
    }
    if (r == 0 && process != NULL) {
        r = find_process(box, process, &owner, &pid);
    }
    if (r < 0) {
        return r;
    }
    r = tg_box_lock_view(box, &lock, &view);
    if (r < 0) {
        return r;
    }
    r = give(box, &view, owner, pid);
    tg_box_view_close(&view);
    return r;
}
