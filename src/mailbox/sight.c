/*
 * Looking at a file of the mailbox that another user may cut.
 *
 * A load beyond the end of a cut file is a signal, and so is one from a hole while the memory is full.
 * So the pointers of a handle (head, slots, rows, bells, room) then name a private copy, and the words
 * wanted are read into it first, at the places that need them fresh (tg_sight_fetch...): the code behind
 * is the same as for a mapping. A short read is -EPROTO. The file is mapped only to be slept on: the
 * kernel looks at a futex without a signal (tg_waitset_add_foreign).
 *
 *   file        copy for                                        a mapping for
 *   box         senders and observers of another user           its user, root
 *   bell.UID    everybody but that user and root                that user, root
 *   room        everybody, where users with a group or others   a mailbox of one user; a bounded one
 *               share a mailbox that is not bounded             (its senders trust each other)
 *
 * I1  One read copies in no known order. Where the order of two words matters, the later one is read
 *     by a later call (tg_sight_fetch_row).
 * I2  Of the room only `users` is looked at here, a bell: who cuts it hides nothing for long, since its
 *     user mends it and the folder itself is read.
 */
#include "mailbox/sight.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "mailbox/box.h"

bool tg_sight_is_needed(uint32_t uid)
{
    return uid != 0 && uid != geteuid();
}

int tg_sight_open(struct tg_sight *s, int *fd, size_t size)
{
    void *copy = NULL;
    void *map = NULL;
    int r = tg_sys_map_private(size, &copy);
    if (r == 0) {
        r = tg_sys_map(*fd, 0, size, false, &map);
    }
    if (r < 0) {
        tg_sys_unmap(copy, size);
        return r;
    }
    *s = (struct tg_sight){ .copy = copy, .map = map, .size = size, .fd = tg_steal_fd(fd) };
    return 0;
}

void tg_sight_close(struct tg_sight *s)
{
    if (s->copy != NULL) {
        tg_sys_unmap(s->copy, s->size);
        tg_sys_unmap(s->map, s->size);
        tg_sys_close(s->fd);
        memset(s, 0, sizeof *s);
    }
}

int tg_sight_fetch_slow(const struct tg_sight *s, const volatile void *in_copy, size_t len)
{
    const size_t off = (size_t)((const volatile uint8_t *)in_copy - s->copy);
    const int r = tg_sys_pread(s->fd, s->copy + off, len, off);
    /* What is read next is not older (I1). */
    tg_fence_acquire();
    return r;
}

const tg_a32 *tg_sight_word(const struct tg_sight *s, const tg_a32 *word)
{
    if (s->copy == NULL) {
        return word;
    }
    const size_t off = (size_t)((const uint8_t *)word - s->copy);
    return (const tg_a32 *)(const void *)(s->map + off);
}

void tg_sight_watch(const struct tg_sight *s, const tg_a32 *word, struct tg_waitset *set)
{
    if (s->copy == NULL) {
        tg_waitset_add(set, word, tg_load_acquire(word));
    } else if (tg_sight_fetch_slow(s, word, sizeof *word) == 0) {
        tg_waitset_add_foreign(set, tg_sight_word(s, word), tg_load_relaxed(word));
    }
}

/* ---- the box */

static struct tg_box_head *head_of(const struct tg_sight *s)
{
    return (struct tg_box_head *)(void *)s->copy;
}

int tg_sight_fetch_head(const struct tg_sight *s)
{
    return tg_sight_fetch(s, s->copy, sizeof(struct tg_box_head));
}

int tg_sight_fetch_slots_slow(const struct tg_sight *s)
{
    const int r = tg_sight_fetch_head(s);
    const uint32_t n = r == 0 ? tg_load_relaxed(&head_of(s)->n_slots) : 0;
    return r < 0
               ? r
               : tg_sight_fetch(s, s->copy + TG_BOX_SLOTS_OFF,
                                (n < TG_SLOTS_MAX ? n : TG_SLOTS_MAX) * sizeof(struct tg_box_slot));
}

/*
 * The words of a row: next and verdict are not older than head and grant, as by loads in that order;
 * a row that became another link's meanwhile is nobody's.
 */
int tg_sight_fetch_row_slow(const struct tg_sight *s, uint32_t row)
{
    int r = tg_sight_fetch_head(s);
    if (r < 0 || row >= TG_LINKS_MAX || row >= tg_load_relaxed(&head_of(s)->n_rows)) {
        return r;
    }
    struct tg_box_row *copy = (struct tg_box_row *)(void *)(s->copy + TG_BOX_ROWS_OFF) + row;
    struct tg_box_row later;
    r = tg_sight_fetch(s, copy, sizeof *copy);
    if (r == 0) {
        r = tg_sys_pread(s->fd, &later, sizeof later,
                         TG_BOX_ROWS_OFF + (uint64_t)row * sizeof later);
    }
    if (r < 0) {
        return r;
    }
    const bool same = tg_load_relaxed(&later.link_id) == tg_load_relaxed(&copy->link_id);
    /* The copy is private: no crash point. */
    atomic_store_explicit(&copy->next, tg_load_relaxed(&later.next), memory_order_relaxed);
    atomic_store_explicit(&copy->verdict, tg_load_relaxed(&later.verdict), memory_order_relaxed);
    if (!same) {
        atomic_store_explicit(&copy->link_id, UINT64_C(0), memory_order_relaxed);
    }
    return 0;
}

int tg_sight_fetch_all(const struct tg_sight *s)
{
    if (s->copy == NULL) {
        return 0;
    }
    int r = tg_sight_fetch_slots_slow(s);
    if (r < 0) {
        return r;
    }
    uint32_t slots = tg_load_relaxed(&head_of(s)->n_slots);
    uint32_t rows = tg_load_relaxed(&head_of(s)->n_rows);
    slots = slots < TG_SLOTS_MAX ? slots : TG_SLOTS_MAX;
    rows = rows < TG_LINKS_MAX ? rows : TG_LINKS_MAX;
    r = tg_sight_fetch(s, s->copy + TG_BOX_ROWS_OFF, rows * sizeof(struct tg_box_row));
    if (r == 0) {
        r = tg_sight_fetch(s, s->copy + TG_BOX_ENTRIES_OFF,
                           (size_t)slots * TG_CLAIMS_MAX * sizeof(struct tg_box_entry));
    }
    return r;
}

/* ---- what tells of new links */

/* Its user brings it back to its size: whoever sleeps on it sleeps on the same word. */
static void mend_room(struct tg_box *box)
{
    if (box->dir_uid != geteuid()) {
        return;
    }
    tg_fd fd = tg_sys_open(box->dir, TG_ROOM_FILE, O_RDWR | O_NONBLOCK, 0);
    if (fd >= 0) {
        (void)tg_sys_allocate(fd, 0, TG_PAGE);
        (void)tg_sys_truncate(fd, TG_ROOM_SIZE);
    }
}

void tg_box_fresh_users_slow(struct tg_box *box)
{
    if (tg_sight_fetch(&box->room_sight, &box->room->users, sizeof box->room->users) < 0) {
        mend_room(box);
    }
    for (uint32_t i = 0; i < box->n_users; i++) {
        const struct tg_user_bells *user = &box->users[i];
        /* Cut: nothing new is heard of that user. */
        (void)tg_sight_fetch(&user->sight, &user->bells->links, sizeof user->bells->links);
    }
}

int tg_box_tell_user(struct tg_box *box)
{
    tg_a32 *users = &box->room->users;
    uint32_t any = 0;
    if (box->room_sight.copy == NULL) {
        (void)tg_add(users, 1);
        tg_sys_futex_wake(users, INT32_MAX);
        return 0;
    }
    /* Not counted, for nobody can add to it without a mapping: another value, that is all. */
    int r = tg_sys_random(&any, sizeof any);
    if (r == 0) {
        r = tg_sys_pwrite(box->room_sight.fd, &any, sizeof any,
                          offsetof(struct tg_room_head, users));
    }
    tg_sys_futex_wake(tg_sight_word(&box->room_sight, users), INT32_MAX);
    return r;
}
