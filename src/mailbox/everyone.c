/*
 * Delivery to everyone: receivers come, go, and die.
 *
 * A receiver takes from a book of its own, a file laid out as the box, in which it is alone: rows, claims,
 * token, ticket and TURN mean there what they mean in the box, and nobody else writes it. In the box, whose
 * token is held for all of this:
 *
 *   word           meaning with delivery to everyone              written
 *   slot           owner, gen (the book's number), pid, polls     by who joins and leaves; polls by its receiver
 *   arrivals       receivers that came; seq_cst, behind owner     by who joins
 *   rows           how far those had come who are gone            by who leaves, or clears a dead one away
 *   arms           the last epoch of those who are gone           the same, before the file goes (I4)
 *   counts         what those who are gone have counted           the same
 *
 *   joining                                    killed behind it
  *   1 gen + 1, `book` 1                        a number that no book has
 *   2 the book, under its name                 a file of nobody's, that `book` tells of (I3)
 *   3 its rows: the place from where on each   the same
 *     link is wanted
 *   4 owner, arrivals + 1                      a dead receiver
 *   5 fence; new links? oldest past a row?     the same
 *     mend the rows, again
 *   6 ring the blocked senders
 *
 *   leaving, or clearing away                  killed behind it
 *   1 the rows and `arms` of the box, upwards  done again
 *   2 the file goes                            a receiver without a book counts for nobody
 *   3 counts of the box                        (killed before: what it had counted is lost)
 *   4 owner 0; ring the blocked senders
 *
 * I1  A sender that does not see 4 behind its own fence has stored `oldest` and counted its link before that,
 *     so 5 sees both (everyone_send.c). What a receiver is late to see is only a row that is too low.
 * I2  A dead receiver is out of it as soon as a sender it holds up asks whether it lives: nobody need clear it
 *     away for that. What it had not taken is nobody's loss: the others have it, or will.
  * I3  A book's name has its slot and number. It is somebody's while the slot has that gen and an owner; while it
 *     has that gen, `book` and no owner, who comes or goes deletes it.
 * I4  Bells say of a slot for which epoch it was rung last, whoever had it. So one who joins counts its epochs on
 *     from the furthest of those who are gone: none is given twice in a slot.
 */
#include "mailbox/everyone.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mailbox/box.h"

/* ---- the box's token */

static int lock_box(struct tg_box *box)
{
    (void)tg_gate_enter(&box->rx.short_, TG_NEVER, NULL, 0);
    int r;
    do {
        r = tg_token_lock_slow(&box->main.head->token, box->root, box->me, box->dir_uid, TG_NEVER,
                               NULL, 0);
    } while (r == -EINTR);
    if (r < 0) {
        tg_gate_leave(&box->rx.short_);
        return r;
    }
    return 0; /* stolen: whatever the dead one was at is done anew, or was done */
}

static void unlock_box(struct tg_box *box)
{
    while (!tg_token_unlock(&box->main.head->token, box->me)) {
    }
    tg_gate_leave(&box->rx.short_);
}

static void count_taken(const struct tg_box_view *view)
{
    uint32_t taken = 0;
    for (uint32_t i = 0; i < tg_n_slots(view->head); i++) {
        taken += tg_load_relaxed(&view->slots[i].owner) != 0;
    }
    tg_store_relaxed(&view->head->n_taken, taken);
}

/* ---- how far one who goes had come */

static uint64_t id_of_file(const struct tg_box_view *view, uint32_t row)
{
    char name[TG_LINK_NAME_SIZE];
    uint64_t id = 0;
    tg_link_name(row, name);
    tg_fd fd = tg_sys_open(view->dir, name, O_RDONLY, 0);
    if (fd < 0 || tg_sys_pread(fd, &id, sizeof id, offsetof(struct tg_link_head, link_id)) < 0) {
        return 0;
    }
    return id;
}

static void note_row(const struct tg_box_view *view, uint32_t i, const struct tg_box_row *own)
{
    struct tg_box_row *row = &view->rows[i];
    const uint64_t id = tg_load_relaxed(&own->link_id);
    /* What it had not finished is nobody's. acquire: what it read before is read. */
    const uint64_t head = tg_load_acquire(&own->head);
    const bool same = tg_load_relaxed(&row->link_id) == id;
    const int32_t further =
        (int32_t)(tg_place_sequence(head) - tg_place_sequence(tg_load_relaxed(&row->head)));
    if (same ? further <= 0 : id_of_file(view, i) != id) {
        return;
    }
    if (!same) {
        tg_store_release(&row->link_id, UINT64_C(0));
    }
    tg_store_relaxed(&row->next, head);
    /* release: as of who goes, its sender writes over what is before it. */
    tg_store_release(&row->head, head);
    tg_store_release(&row->done, tg_place_sequence(head));
    /* release: pairs with the acquire of senders and observers. */
    tg_store_release(&row->link_id, id);
}

static void note_rows(const struct tg_box_view *view, const struct tg_box_file *book)
{
    const uint32_t n = tg_load_acquire(&book->head->n_rows);
    for (uint32_t i = 0; i < n && i < TG_LINKS_MAX; i++) {
        if (tg_load_relaxed(&book->rows[i].link_id) != 0 &&
            tg_rows_reserve(view->dir, TG_BOX_FILE, view->head, i) == 0) {
            note_row(view, i, &book->rows[i]);
        }
    }
}

static void add_to(tg_a64 *count, uint64_t n)
{
    if (n != 0) {
        tg_store_relaxed(count, tg_load_relaxed(count) + n);
    }
}

static void add_counts(const struct tg_box_view *view, const struct tg_box_head *counted,
                       uint64_t dropped)
{
    struct tg_box_head *head = view->head;
    add_to(&head->done_total, tg_load_relaxed(&counted->done_total));
    add_to(&head->redelivered, tg_load_relaxed(&counted->redelivered));
    add_to(&head->dead_letters, tg_load_relaxed(&counted->dead_letters));
    add_to(&head->expired, tg_load_relaxed(&counted->expired));
    add_to(&head->missed, dropped);
    const uint32_t finds = tg_load_relaxed(&counted->finds);
    if (finds != 0) {
        (void)tg_add(&head->finds, finds);
    }
}

/* I4. */
static void note_arms(const struct tg_box_view *view, const struct tg_box_head *counted)
{
    const uint32_t arms = tg_load_relaxed(&counted->arms);
    const uint32_t further = (arms - tg_load_relaxed(&view->head->arms)) & TG_EPOCHS;
    if (further != 0 && further <= TG_EPOCHS / 2) {
        tg_store_relaxed(&view->head->arms, arms);
    }
}

/* The box's token held. book: NULL: there is none any more. */
static void put_away(const struct tg_box_view *view, uint32_t slot, const struct tg_box_file *book)
{
    char name[TG_BOOK_NAME_SIZE];
    struct tg_box_slot *s = &view->slots[slot];
    tg_book_name(slot, tg_load_relaxed(&s->gen), name);
    const uint64_t dropped = book != NULL ? tg_book_dropped(book) : 0;
    if (book != NULL) {
        note_rows(view, book);
        note_arms(view, book->head);
    }
    if (tg_load_relaxed(&s->book) != 0) {
        (void)tg_sys_unlink(view->dir, name);
        tg_store_relaxed(&s->book, UINT32_C(0));
    }
    if (book != NULL) {
        add_counts(view, book->head, dropped);
    }
    tg_poll_clear(view->dir, s, slot);
    tg_store_release(&s->owner, UINT64_C(0));
    count_taken(view);
}

static void put_dead_away(struct tg_root *root, const struct tg_box_view *view, uint32_t slot,
                          uint64_t owner)
{
    struct tg_book book;
    const int r = tg_book_open(view, slot, tg_load_relaxed(&view->slots[slot].gen), &book);
    if (r < 0 && r != -ENOENT) {
        return; /* it cannot be read now: the next one does it */
    }
    const bool there = r == 0;
    add_to(&view->head->deaths, 1);
    put_away(view, slot, there ? &book.file : NULL);
    if (there) {
        tg_book_close(&book);
    }
    tg_life_wake_watchers(root, owner);
}

/* The box's token held. */
static void put_all_dead_away(struct tg_root *root, const struct tg_box_view *view)
{
    for (uint32_t i = 0; i < tg_n_slots(view->head); i++) {
        const uint64_t owner = tg_load_acquire(&view->slots[i].owner);
        if (owner != 0 && !tg_life_is_alive_of(root, owner, view->uid)) {
            put_dead_away(root, view, i, owner);
        } else if (owner == 0 && tg_load_relaxed(&view->slots[i].book) != 0) {
            put_away(view, i, NULL); /* its maker died before it had the slot */
        }
    }
}

/* ---- joining */

static int find_slot(struct tg_box *box, uint32_t *ret_slot)
{
    const uint32_t n = tg_n_slots(box->main.head);
    for (uint32_t i = 0; i < n; i++) {
        if (tg_load_relaxed(&box->main.slots[i].owner) == 0) {
            *ret_slot = i;
            return 0;
        }
    }
    return tg_slot_add(box, ret_slot);
}

static int reserve_book(int fd, uint32_t slot)
{
    const uint64_t slots = (uint64_t)(slot + 1) * sizeof(struct tg_box_slot);
    int r = tg_sys_allocate(fd, TG_BOX_SLOTS_OFF, (slots + TG_PAGE - 1) / TG_PAGE * TG_PAGE);
    if (r == 0) {
        r = tg_sys_allocate(fd, TG_BOX_ROWS_OFF, TG_PAGE);
    }
    return r;
}

static void write_book(struct tg_box *box, const struct tg_box_file *book, uint32_t slot)
{
    struct tg_box_head *head = book->head;
    struct tg_box_slot *s = &book->slots[slot];
    memcpy(head->id, box->id, 16);
    tg_store_relaxed(&head->version, TG_BOX_VERSION);
    tg_store_relaxed(&head->size, TG_BOX_SIZE);
    tg_store_relaxed(&head->n_rows, (uint32_t)(TG_PAGE / sizeof(struct tg_box_row)));
    tg_store_relaxed(&head->n_slots, slot + 1);
    tg_store_relaxed(&head->n_taken, UINT32_C(1));
    tg_store_relaxed(&head->arms, tg_load_relaxed(&box->main.head->arms)); /* I4 */
    tg_store_relaxed(&s->pid, (uint32_t)getpid());
    tg_store_relaxed(&s->cpu, UINT32_MAX);
    tg_store_relaxed(&s->owner, box->me);
    tg_store_release(&head->magic, TG_BOOK_MAGIC);
}

static int make_file(struct tg_box *box, const char *name, int *ret_fd)
{
    const uint32_t mode = tg_file_mode(box->mode, false);
    int r = tg_file_make(box->dir, name, TG_BOX_SIZE, TG_PAGE, mode, ret_fd);
    if (r == -EEXIST) {
        /* Somebody else's who may write here; the folder is ours. */
        (void)tg_sys_unlink(box->dir, name);
        r = tg_file_make(box->dir, name, TG_BOX_SIZE, TG_PAGE, mode, ret_fd);
    }
    return r;
}

/* This handle receives there from now on. */
static int make_book(struct tg_box *box, uint32_t slot)
{
    struct tg_box_slot *s = &box->main.slots[slot];
    char name[TG_BOOK_NAME_SIZE];
    tg_store_release(&s->gen, tg_load_relaxed(&s->gen) + 1);
    tg_store_relaxed(&s->book, UINT32_C(1));
    tg_book_name(slot, tg_load_relaxed(&s->gen), name);
    tg_fd fd = -1;
    void *p = NULL;
    int r = make_file(box, name, &fd);
    if (r < 0) {
        tg_store_relaxed(&s->book, UINT32_C(0));
        return r;
    }
    r = reserve_book(fd, slot);
    if (r == 0) {
        r = tg_sys_map(fd, 0, TG_BOX_SIZE, true, &p);
    }
    if (r < 0) {
        (void)tg_sys_unlink(box->dir, name);
        tg_store_relaxed(&s->book, UINT32_C(0));
        return r;
    }
    struct tg_box_view view;
    tg_box_view_set(&view, p);
    const struct tg_box_file book = { view.head, view.slots, view.rows, view.entries };
    write_book(box, &book, slot);
    tg_box_receive_at(box, &book, name);
    box->rx.slot = slot;
    return 0;
}

uint64_t tg_everyone_start(struct tg_box *box, const struct tg_attached *at)
{
    const struct tg_link_head *head = at->reader.head;
    if ((box->flags & TONG_FROM_OLDEST) == 0) {
        /* acquire: a send that returned before this stored its tail. */
        return tg_load_acquire(&head->tail);
    }
    const struct tg_box_view view = tg_box_view_of(box);
    const struct tg_link_of link = { .row = at->reader.row,
                                     .link_id = at->reader.link_id,
                                     .first = tg_load_acquire(&head->oldest) };
    return tg_books_reach(&box->tx.books, box->root, &view, &link).place.head;
}

/* Step 4. */
static void appear(struct tg_box *box, uint32_t slot)
{
    struct tg_box_head *head = box->main.head;
    struct tg_box_slot *s = &box->main.slots[slot];
    const struct tg_box_view view = tg_box_view_of(box);
    tg_store_relaxed(&s->pid, (uint32_t)getpid());
    tg_store_relaxed(&head->joins, tg_load_relaxed(&head->joins) + 1);
    /* release: pairs with the acquire of who makes a list of books. */
    tg_store_release(&s->owner, box->me);
    (void)tg_add(&head->arrivals, 1);
    tg_sys_futex_wake(&head->arrivals, INT_MAX);
    count_taken(&view);
}

#define TRIES 16

/* True: it was, and is mended. */
static bool is_too_low(struct tg_attached *at)
{
    struct tg_box_row *row = at->row;
    if (tg_reader_refresh(&at->reader) < 0) {
        return false;
    }
    const uint64_t oldest = tg_load_acquire(&at->reader.head->oldest);
    const uint64_t next = tg_load_relaxed(&row->next);
    if (tg_overtaken_is_damaged(at, oldest)) {
        at->reader.damaged = true;
        return false;
    }
    /* At the same number it may stand behind a jump, and what lies before that is written over, too. */
    if (oldest == next || (int32_t)(tg_place_sequence(oldest) - tg_place_sequence(next)) < 0) {
        return false;
    }
    tg_store_relaxed(&row->dropped, oldest >> 32 << 32);
    tg_store_relaxed(&row->next, oldest);
    tg_store_relaxed(&row->done, tg_place_sequence(oldest));
    tg_store_release(&row->head, oldest);
    return true;
}

/* Step 5. Senders that have told of their link, or raised their oldest, before step 4 are seen by the second round at the
 * latest. Those that go on and on are no reason to stay: their links are found by the first look. */
static int mend_rows(struct tg_box *box)
{
    bool again = true;
    int r = 0;
    for (int i = 0; again && r == 0 && i < TRIES; i++) {
        /* Partner: the fence of tg_writer_raise_oldest_to. */
        tg_fence();
        tg_box_fresh_users(box);
        again = tg_links_stale(box);
        if (again) {
            r = tg_links_refresh(box);
        }
        for (uint32_t k = 0; k < box->rx.n_attached; k++) {
            /* Where the oldest is dropped it goes on rising, and every look asks for it. */
            again = (is_too_low(box->rx.attached[k]) && !box->lossy) || again;
        }
    }
    return r;
}

void tg_everyone_detach(struct tg_box *box)
{
    if (box->head != box->main.head) {
        tg_sys_unmap(box->head, TG_BOX_SIZE);
        tg_box_receive_at(box, &box->main, TG_BOX_FILE);
    }
}

static int enter(struct tg_box *box)
{
    uint32_t slot = 0;
    int r = find_slot(box, &slot);
    if (r == 0) {
        r = make_book(box, slot);
    }
    if (r < 0) {
        return r;
    }
    box->rx.joins = true;
    box->rx.has_slot = true;
    r = tg_links_refresh(box);
    if (r == 0) {
        appear(box, slot);
        r = mend_rows(box);
    }
    box->rx.joins = false;
    tg_everyone_close(box); /* the others' books, of TONG_FROM_OLDEST */
    if (r < 0) {
        const struct tg_box_view view = tg_box_view_of(box);
        put_away(&view, slot, NULL);
        box->rx.has_slot = false;
        tg_links_detach_all(box);
        tg_everyone_detach(box);
    }
    return r;
}

int tg_everyone_join(struct tg_box *box)
{
    if (box->dir_uid != geteuid()) {
        return -EPERM; /* its book would be another user's file */
    }
    int r = lock_box(box);
    if (r < 0) {
        return r;
    }
    const struct tg_box_view view = tg_box_view_of(box);
    put_all_dead_away(box->root, &view);
    r = enter(box);
    tg_box_announce(box); /* step 6; in any case, for the dead who are away */
    unlock_box(box);
    return r;
}

void tg_everyone_unmake(struct tg_box *box)
{
    if (box->head != box->main.head) {
        (void)tg_sys_unlink(box->dir, box->desk);
    }
}

void tg_everyone_leave(struct tg_box *box)
{
    if (lock_box(box) < 0) {
        return;
    }
    const struct tg_box_view view = tg_box_view_of(box);
    const struct tg_box_file book = { box->head, box->slots, box->rows, box->entries };
    put_all_dead_away(box->root, &view);
    put_away(&view, box->rx.slot, &book);
    box->rx.has_slot = false;
    tg_box_announce(box);
    unlock_box(box);
    tg_links_detach_all(box);
    tg_everyone_detach(box);
}

/* ---- clearing away */

struct sweep {
    const struct tg_box_view *view;
    uint32_t found;
    bool repair;
};

static int sweep_one(const char *name, unsigned char type, void *arg)
{
    struct sweep *sweep = arg;
    char again[TG_BOOK_NAME_SIZE];
    uint32_t slot;
    uint32_t number;
    (void)type;
    if (sscanf(name, TG_BOOK_NAME, &slot, &number) != 2) {
        return 0;
    }
    tg_book_name(slot, number, again);
    if (strcmp(name, again) != 0) {
        return 0;
    }
    const struct tg_box_view *view = sweep->view;
    const bool used = slot < tg_n_slots(view->head);
    /* Its slot's words are newer than the name just seen. Without the token somebody may be joining. */
    if (used && tg_sight_fetch_slots(&view->sight) == 0 &&
        tg_load_acquire(&view->slots[slot].gen) == number &&
        (tg_load_acquire(&view->slots[slot].owner) != 0 || !sweep->repair)) {
        return 0;
    }
    sweep->found++;
    if (sweep->repair) {
        (void)tg_sys_unlink(view->dir, name);
    }
    return 0;
}

static uint32_t count_dead(struct tg_root *root, const struct tg_box_view *view)
{
    uint32_t dead = 0;
    for (uint32_t i = 0; i < tg_n_slots(view->head); i++) {
        const uint64_t owner = tg_load_acquire(&view->slots[i].owner);
        dead += owner != 0 && !tg_life_is_alive_of(root, owner, view->uid);
    }
    return dead;
}

static uint32_t sweep_locked(struct tg_root *root, const struct tg_box_view *view, bool repair)
{
    struct sweep sweep = { .view = view, .repair = repair };
    const uint32_t dead = count_dead(root, view);
    if (repair) {
        put_all_dead_away(root, view);
    }
    (void)tg_sys_list(view->dir, sweep_one, &sweep);
    return dead + sweep.found;
}

uint32_t tg_everyone_sweep(struct tg_root *root, const struct tg_box_view *view, bool repair)
{
    if (!repair || view->uid != geteuid()) {
        return sweep_locked(root, view, false);
    }
    struct tg_box_view own = *view;
    void *p = NULL;
    if (tg_box_map(view->dir, true, &own.sight, &p) < 0) {
        return 0;
    }
    tg_box_view_set(&own, p);
    uint32_t found = 0;
    const int r = tg_token_lock_slow(&own.head->token, root, tg_life_id(root), own.uid,
                                     tg_now_ns() + TG_LOCK_PATIENCE_NS, NULL, 0);
    if (r >= 0) {
        found = sweep_locked(root, &own, true);
        (void)tg_add(&own.head->room, 1);
        tg_sys_futex_wake(&own.head->room, INT_MAX);
        (void)tg_token_unlock(&own.head->token, tg_life_id(root));
    }
    tg_sys_unmap(p, TG_BOX_SIZE);
    return found;
}
