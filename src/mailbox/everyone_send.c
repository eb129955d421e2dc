/*
 * A sender among receivers that all get everything.
 *
 * It sends as elsewhere, once: the record is everybody's. What it asks of one receiver elsewhere it asks of
 * all books: room is what the slowest living one has left, and every one that waits is rung.
 *
 *   sender, room wanted                        one that joins
 *   first = the earliest head of the living    row: tail, or oldest
 *   oldest = first, if that is further         owner, arrivals + 1
 *   fence                                      fence
 *   the earliest head again, at most first     oldest past the row? row = oldest, fence, again
 *   what lies before it may be written over
 *
 * I1  Only the second look permits writing over, and `oldest` never goes back: of the two fences one comes
 *     first, so the sender sees the row, or who joins sees `oldest`.
 * I2  A message is promised when every receiver that was there is rung: `arrivals` is read behind the fence
 *     of the commit. Who comes behind it finds the message, or begins after it.
 * I3  A blocked sender sleeps on the words of one receiver that holds it up, and asks behind the fence that
 *     tells of the sleep whether that one does so still: if it does, it rings when it has left enough, or
 *     dies. If another one does by then it looks again. Who joins or leaves rings `room`.
 */
#include "mailbox/box.h"

static struct tg_link_of own_link(const struct tg_box *box)
{
    const struct tg_writer *w = &box->tx.writer;
    return (struct tg_link_of){ .row = w->row,
                                .link_id = w->link_id,
                                .first = box->lossy ? tg_load_relaxed(&w->head->first) : w->oldest,
                                .own = w };
}

struct tg_reach tg_everyone_reach(struct tg_box *box)
{
    const struct tg_box_view view = tg_box_view_of(box);
    const struct tg_link_of link = own_link(box);
    return tg_books_reach(&box->tx.books, box->root, &view, &link);
}

struct tg_link_place tg_everyone_place(struct tg_box *box)
{
    struct tg_writer *w = &box->tx.writer;
    const uint64_t first = tg_everyone_reach(box).place.head;
    tg_writer_raise_oldest_to(w, first);
    struct tg_link_place place = tg_everyone_reach(box).place; /* I1 */
    if (tg_writer_comes_first(w, first, place.head)) {
        place.head = first;
    }
    return place;
}

/* ---- ringing */

/* Of the book being rung: its receiver was handed the last message. */
static bool is_handed_out(struct tg_box *box)
{
    const struct tg_link_of link = own_link(box);
    const struct tg_reach reach = tg_book_reach(box->tx.ringing, &link);
    return (int32_t)(tg_place_sequence(reach.place.next) - box->tx.writer.sequence) >= 0;
}

static __attribute__((noinline)) void ring_armed(struct tg_box *box, struct tg_book *book,
                                                 bool always)
{
    const struct tg_poll_at at = { .slot = book->slot,
                                   .polls = &box->main.slots[book->slot],
                                   .armed = &book->file.slots[book->slot],
                                   .sight = &book->sight };
    if (tg_sight_fetch_slots(&box->sight) < 0 || tg_sight_fetch_slots(&book->sight) < 0) {
        return;
    }
    /* acquire: the slot's epoch comes before it. */
    const uint32_t arms = tg_load_acquire(&book->file.head->arms);
    box->tx.ringing = book;
    if (tg_poll_ring_at(box, &box->tx.ringer, &at, always ? NULL : is_handed_out)) {
        book->arms = arms;
    }
}

static void ring_book(struct tg_box *box, struct tg_book *book, bool always)
{
    if (book->dead || tg_sight_fetch_head(&book->sight) < 0) {
        return;
    }
    const struct tg_box_head *head = book->file.head;
    const uint32_t arms = tg_load_relaxed(&head->arms);
    if (arms != book->arms || (always && arms != 0)) {
        ring_armed(box, book, always);
    }
    const uint64_t turn = tg_load_relaxed(&head->turn);
    if (turn >> 48 != 0 && (turn != book->note || always)) {
        book->note = turn;
        tg_box_ring_slot(box, book->slot);
    }
}

/* Somebody's book could not be opened: whether it waits is not known. */
static void ring_blindly(struct tg_box *box)
{
    const uint32_t n = tg_load_acquire(&box->main.head->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX; i++) {
        if (tg_load_relaxed(&box->main.slots[i].owner) != 0) {
            tg_box_ring_slot(box, i);
        }
    }
}

void tg_everyone_ring(struct tg_box *box, bool always)
{
    struct tg_books *books = &box->tx.books;
    /* Partner: the fence in set_turn, and that of who joins. Commit before it, the rest behind it. */
    tg_fence();
    if (tg_sight_fetch(&box->sight, box->main.head, sizeof *box->main.head) < 0) {
        return; /* the next call says so */
    }
    if (!books->is_whole || tg_load_acquire(&box->main.head->arrivals) != books->seen) {
        const struct tg_box_view view = tg_box_view_of(box);
        (void)tg_books_refresh(books, &view);
    }
    for (uint32_t i = 0; i < books->n; i++) {
        ring_book(box, &books->all[i], always);
    }
    if (!books->is_whole) {
        ring_blindly(box);
    }
}

/* ---- waiting for room */

bool tg_everyone_watch(struct tg_box *box, struct tg_waitset *set)
{
    struct tg_sender *tx = &box->tx;
    const uint32_t row = tx->writer.row;
    tg_sight_watch(&box->sight, &box->main.head->room, set);
    const struct tg_book *book = tg_everyone_reach(box).slowest;
    tx->held_by = 0;
    if (book == NULL) {
        return false;
    }
    tx->held_by = book->slot + 1;
    tx->held_number = book->number;
    /* Without a row it has not met the link; when it does it rings `room`. */
    if (tg_row_place(book->file.head, book->file.rows, row, tx->writer.link_id).known) {
        tg_sight_watch(&book->sight, &book->file.rows[row].bell, set);
    }
    return book->owner != box->me && !tg_life_watch_of(box->root, book->owner, box->dir_uid, set);
}

bool tg_everyone_is_held(struct tg_box *box)
{
    const struct tg_sender *tx = &box->tx;
    const struct tg_book *book = tg_everyone_reach(box).slowest;
    return book == NULL ? tx->held_by == 0
                        : tx->held_by == book->slot + 1 && tx->held_number == book->number;
}

bool tg_everyone_runs_elsewhere(struct tg_box *box, uint32_t cpu)
{
    const struct tg_books *books = &box->tx.books;
    for (uint32_t i = 0; i < books->n && i < 8; i++) {
        const struct tg_book *book = &books->all[i];
        if (book->dead || tg_sight_fetch_slots(&book->sight) < 0) {
            continue;
        }
        const uint32_t other = tg_load_relaxed(&book->file.slots[book->slot].cpu);
        if (other != UINT32_MAX && other != cpu) {
            return true;
        }
    }
    return false;
}

void tg_everyone_close(struct tg_box *box)
{
    tg_books_close(&box->tx.books);
}
