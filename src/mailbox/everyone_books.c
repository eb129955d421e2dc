/*
 * The books of all receivers, as senders and observers see them.
 *
 * I1  `arrivals` of the box is read before the slots: it is counted behind a receiver's owner, so a list made
 *     under a count that is still the same has everybody who came before it.
 * I2  Who left is known by the slot: owner and gen are no longer the book's. It is asked whenever a book
 *     counts, since nobody counts departures.
 * I3  A receiver whose row is not about the link has not met it yet: it wants all of it, and holds the
 *     first record. (One that joins begins a row for every link it finds before it shows itself.)
 * I4  A book that cannot be opened while its receiver is there holds everything. Without its file the
 *     receiver is leaving: the file goes before the owner.
 * I5  With nobody there, what counts is how far those had come who are gone: in the rows of the box, or, of
 *     the dead that nobody has cleared away yet, in their books.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mailbox/box.h"

/* ---- one */

void tg_book_name(uint32_t slot, uint32_t number, char ret_name[TG_BOOK_NAME_SIZE])
{
    (void)snprintf(ret_name, TG_BOOK_NAME_SIZE, TG_BOOK_NAME, slot, number);
}

void tg_book_close(struct tg_book *book)
{
    if (book->sight.copy != NULL) {
        tg_sight_close(&book->sight);
    } else {
        tg_sys_unmap(book->file.head, TG_BOX_SIZE);
    }
    book->file = (struct tg_box_file){ .head = NULL };
}

static int map_book(struct tg_book *book, int *fd, uint32_t uid)
{
    void *p = NULL;
    const bool foreign = tg_sight_is_needed(uid);
    const int r = foreign ? tg_sight_open(&book->sight, fd, TG_BOX_SIZE)
                          : tg_sys_map(*fd, 0, TG_BOX_SIZE, false, &p);
    if (r < 0) {
        return r;
    }
    struct tg_box_view view;
    tg_box_view_set(&view, foreign ? book->sight.copy : p);
    book->file = (struct tg_box_file){ view.head, view.slots, view.rows, view.entries };
    return 0;
}

int tg_book_open(const struct tg_box_view *view, uint32_t slot, uint32_t number,
                 struct tg_book *ret_book)
{
    char name[TG_BOOK_NAME_SIZE];
    struct stat st;
    tg_book_name(slot, number, name);
    tg_fd fd = tg_sys_open(view->dir, name, O_RDONLY | O_NONBLOCK, 0);
    int r = fd < 0 ? fd : tg_sys_fstat(fd, &st);
    if (r < 0) {
        return r == -ELOOP || r == -ENXIO || r == -EISDIR ? -ENOENT : r;
    }
    /* Anybody may put a file there when the receiver's is gone. */
    if (!S_ISREG(st.st_mode) || st.st_uid != view->uid || st.st_size != TG_BOX_SIZE) {
        return -ENOENT;
    }
    struct tg_book book = { .slot = slot, .number = number };
    r = map_book(&book, &fd, st.st_uid);
    if (r < 0) {
        return r;
    }
    if (tg_sight_fetch_head(&book.sight) < 0 ||
        tg_load_acquire(&book.file.head->magic) != TG_BOOK_MAGIC ||
        tg_load_relaxed(&book.file.head->version) != TG_BOX_VERSION ||
        memcmp(book.file.head->id, view->head->id, 16) != 0) {
        tg_book_close(&book);
        return -ENOENT;
    }
    *ret_book = book;
    return 0;
}

bool tg_book_is_current(const struct tg_box_view *view, const struct tg_book *book)
{
    const struct tg_box_slot *s = &view->slots[book->slot];
    return book->slot < tg_n_slots(view->head) && tg_load_acquire(&s->owner) == book->owner &&
           tg_load_acquire(&s->gen) == book->number;
}

uint64_t tg_book_dropped(const struct tg_box_file *book)
{
    uint64_t dropped = 0;
    const uint32_t n = tg_load_acquire(&book->head->n_rows);
    for (uint32_t i = 0; i < n && i < TG_LINKS_MAX; i++) {
        dropped += (uint32_t)tg_load_relaxed(&book->rows[i].dropped);
    }
    return dropped;
}

/* ---- all */

static void drop_those_gone(struct tg_books *books, const struct tg_box_view *view)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < books->n; i++) {
        if (tg_book_is_current(view, &books->all[i])) {
            books->all[n++] = books->all[i];
        } else {
            tg_book_close(&books->all[i]);
        }
    }
    books->n = n;
}

static bool is_listed(const struct tg_books *books, uint32_t slot)
{
    for (uint32_t i = 0; i < books->n; i++) {
        if (books->all[i].slot == slot) {
            return true;
        }
    }
    return false;
}

static int make_room(struct tg_books *books)
{
    if (books->n < books->room) {
        return 0;
    }
    const uint32_t room = books->room == 0 ? 8 : 2 * books->room;
    struct tg_book *all = realloc(books->all, room * sizeof *all);
    if (all == NULL) {
        return -ENOMEM;
    }
    books->all = all;
    books->room = room;
    return 0;
}

static int add(struct tg_books *books, const struct tg_box_view *view, uint32_t slot)
{
    const struct tg_box_slot *s = &view->slots[slot];
    uint64_t owner;
    uint32_t number;
    do {
        /* acquire: gen and the book come before the owner. */
        owner = tg_load_acquire(&s->owner);
        number = tg_load_acquire(&s->gen);
    } while (tg_load_acquire(&s->owner) != owner);
    if (owner == 0) {
        return 0;
    }
    int r = make_room(books);
    if (r == 0) {
        r = tg_book_open(view, slot, number, &books->all[books->n]);
    }
    if (r == 0) {
        books->all[books->n++].owner = owner;
    }
    return r == -ENOENT ? 0 : r; /* I4 */
}

int tg_books_refresh(struct tg_books *books, const struct tg_box_view *view)
{
    int r = tg_sight_fetch_slots(&view->sight);
    if (r < 0) {
        books->is_whole = false;
        return r;
    }
    const uint32_t arrivals = tg_load_acquire(&view->head->arrivals); /* I1 */
    drop_those_gone(books, view);
    const uint32_t n = tg_n_slots(view->head);
    for (uint32_t i = 0; i < n && r == 0; i++) {
        r = is_listed(books, i) ? 0 : add(books, view, i);
    }
    books->is_whole = r == 0;
    books->seen = arrivals;
    return r;
}

void tg_books_close(struct tg_books *books)
{
    for (uint32_t i = 0; i < books->n; i++) {
        tg_book_close(&books->all[i]);
    }
    free(books->all);
    *books = (struct tg_books){ .n = 0 };
}

/* ---- how far they have come */

static bool comes_first(const struct tg_link_of *link, uint64_t a, uint64_t b)
{
    const int32_t behind = (int32_t)(tg_place_sequence(a) - tg_place_sequence(b));
    return behind < 0 ||
           (behind == 0 && a != b && link->own != NULL && tg_writer_comes_first(link->own, a, b));
}

static struct tg_reach begins_at(uint64_t place)
{
    return (struct tg_reach){ .place = { .known = true, .head = place, .next = place },
                              .done = tg_place_sequence(place) };
}

struct tg_reach tg_book_reach(const struct tg_book *book, const struct tg_link_of *link)
{
    struct tg_reach reach = begins_at(link->first); /* I3 */
    if (tg_sight_fetch_row(&book->sight, link->row) == 0) {
        const struct tg_link_place place =
            tg_row_place(book->file.head, book->file.rows, link->row, link->link_id);
        if (place.known) {
            reach.place = place;
            /* acquire: what its receiver read is read before it is written over. */
            reach.done = tg_load_acquire(&book->file.rows[link->row].done);
        }
    }
    reach.slowest = book;
    return reach;
}

/* I5. */
static void pass(const struct tg_link_of *link, uint64_t place, struct tg_reach *reach)
{
    if (comes_first(link, reach->place.head, place)) {
        *reach = begins_at(place);
    }
}

static struct tg_reach reach_of_gone(const struct tg_books *books, const struct tg_box_view *view,
                                     const struct tg_link_of *link)
{
    struct tg_reach reach = begins_at(link->first);
    struct tg_link_place place = { .known = false };
    if (tg_sight_fetch_row(&view->sight, link->row) == 0) {
        place = tg_row_place(view->head, view->rows, link->row, link->link_id);
    }
    if (place.known) {
        pass(link, place.head, &reach);
    }
    for (uint32_t i = 0; i < books->n; i++) {
        if (tg_book_is_current(view, &books->all[i])) {
            pass(link, tg_book_reach(&books->all[i], link).place.head, &reach);
        }
    }
    return reach;
}

static bool is_alive(struct tg_book *book, struct tg_root *root, const struct tg_box_view *view)
{
    book->dead = book->dead || !tg_life_is_alive_of(root, book->owner, view->uid);
    return !book->dead;
}

bool tg_book_counts(struct tg_book *book, struct tg_root *root, const struct tg_box_view *view)
{
    return tg_book_is_current(view, book) && is_alive(book, root, view);
}

/* Who has the least of each word. */
struct last {
    struct tg_book *done;
    struct tg_book *head;
    struct tg_book *next;
};

static void compare(const struct tg_link_of *link, struct tg_book *book, struct tg_reach *all,
                    struct last *last)
{
    const struct tg_reach one = tg_book_reach(book, link);
    if (last->done == NULL || (int32_t)(one.done - all->done) < 0) {
        last->done = book;
        all->done = one.done;
    }
    if (last->head == NULL || comes_first(link, one.place.head, all->place.head)) {
        last->head = book;
        all->place.head = one.place.head;
    }
    if (last->next == NULL || comes_first(link, one.place.next, all->place.next)) {
        last->next = book;
        all->place.next = one.place.next;
    }
}

/* One look. False: one who holds the others up is dead, once more without it. */
static bool look(struct tg_books *books, struct tg_root *root, const struct tg_box_view *view,
                 const struct tg_link_of *link, struct tg_reach *ret_reach)
{
    struct tg_reach all = { .place = { .known = true } };
    struct last last = { .done = NULL };
    for (uint32_t i = 0; i < books->n; i++) {
        struct tg_book *book = &books->all[i];
        if (!book->dead && tg_book_is_current(view, book)) {
            compare(link, book, &all, &last);
        }
    }
    if (last.done == NULL) {
        *ret_reach = reach_of_gone(books, view, link);
        return true;
    }
    all.slowest = last.done;
    *ret_reach = all;
    const bool alive = is_alive(last.done, root, view);
    const bool holder = last.head == last.done || is_alive(last.head, root, view);
    return (last.next == last.head || is_alive(last.next, root, view)) && holder && alive;
}

struct tg_reach tg_books_reach(struct tg_books *books, struct tg_root *root,
                               const struct tg_box_view *view, const struct tg_link_of *link)
{
    struct tg_reach reach;
    do {
        if (tg_sight_fetch_slots(&view->sight) < 0) {
            return begins_at(link->first);
        }
        if (!books->is_whole || tg_load_acquire(&view->head->arrivals) != books->seen) {
            (void)tg_books_refresh(books, view);
        }
        if (!books->is_whole) {
            return begins_at(link->first); /* I4 */
        }
    } while (!look(books, root, view, link, &reach));
    return reach;
}

struct tg_reach tg_view_reach(struct tg_root *root, const struct tg_box_view *view,
                              const struct tg_link_of *link)
{
    if (view->books != NULL) {
        return tg_books_reach(view->books, root, view, link);
    }
    struct tg_reach reach = begins_at(link->first);
    const struct tg_link_place place =
        tg_row_place(view->head, view->rows, link->row, link->link_id);
    if (place.known) {
        reach.place = place;
        reach.done = tg_load_relaxed(&view->rows[link->row].done);
    } else {
        reach.place.known = false;
    }
    return reach;
}
