/*
 * The oldest record that a sender keeps, where it may take messages away that nobody has read.
 *
 * A reader copies a record and then reads `oldest`: is the record before it, the copy may be torn and is
 * thrown away, and it goes on at `oldest`.
 *
 * I1  Nothing at or behind `oldest` is written over: it is raised and fenced first. So a record is whole
 *     if `oldest`, read after the copy, is not past it.
 * I2  It is one word, number and position, so that a reader never takes the one with another's
 *     other. It only rises.
 * I3  It is never past tail: tail is stored before it. So a successor that walks on from tail walks
 *     over whole records, and a reader knows a lie.
 * I4  The sender finds the next position in its own records and believes no receiver where one is.
 *
 * With delivery to everyone it is where one who joins may begin, and is raised to where the slowest stands: a
 * receiver's word, that is believed for the receivers' sake alone (tg_writer_raise_oldest_to).
 *
 *   killed                     the successor and readers find
 *   before the store           the message
 *   behind it                  it is given up; the one for which it was may not have come
 */
#include <errno.h>

#include "link/link.h"
#include "link/segment.h"

/* A place in the own chain. */
struct spot {
    uint64_t place;
    uint32_t index;
};

static const struct tg_record *record_at(const struct tg_writer *w, const struct spot *spot)
{
    const struct tg_writer_segment *segment = &w->segments[spot->index];
    const uint8_t *base =
        segment->map == NULL ? w->window : segment->map - (uint64_t)segment->page * TG_PAGE;
    return (const struct tg_record *)(const void *)(base + tg_place_offset(spot->place));
}

/* Over a jump, if there is one. */
static int follow(struct tg_writer *w, struct spot *spot)
{
    uint32_t jumps = 0;
    int r = tg_writer_map(w, spot->index, -1);
    while (r == 0 && spot->index != w->current &&
           tg_load_relaxed(&record_at(w, spot)->commit) == (TG_COMMITTED | TG_JUMP)) {
        const uint32_t next = tg_load_relaxed(&tg_segment_at(w->head, spot->index)->next);
        if (next == 0 || next > w->n_segments || !w->segments[next - 1].in_chain ||
            jumps++ == w->n_segments) {
            return -EPROTO;
        }
        spot->index = next - 1;
        spot->place = tg_place(tg_place_sequence(spot->place),
                               (uint64_t)w->segments[spot->index].page * TG_PAGE);
        r = tg_writer_map(w, spot->index, -1);
    }
    return r;
}

/* Over one message. */
static int step(struct tg_writer *w, struct spot *spot)
{
    const struct tg_writer_segment *segment = &w->segments[spot->index];
    const uint64_t offset = tg_place_offset(spot->place);
    const uint64_t end = ((uint64_t)segment->page + segment->pages) * TG_PAGE;
    const struct tg_record *record = record_at(w, spot);
    const uint64_t size = tg_record_size(tg_load_relaxed(&record->length));
    if (!tg_commit_is_message(tg_load_relaxed(&record->commit)) ||
        tg_load_relaxed(&record->sequence) != tg_place_sequence(spot->place) ||
        size + TG_RECORD_HEAD > end - offset) {
        return -EPROTO;
    }
    spot->place = tg_place(tg_place_sequence(spot->place) + 1, offset + size);
    return follow(w, spot);
}

int tg_writer_raise_oldest(struct tg_writer *w, uint32_t sequence)
{
    struct spot spot = { .place = w->oldest, .index = w->oldest_segment };
    int r = follow(w, &spot);
    while (r == 0 && (int32_t)(sequence - tg_place_sequence(spot.place)) > 0 &&
           tg_place_sequence(spot.place) != w->sequence) {
        r = step(w, &spot);
    }
    if (r < 0 || spot.place == w->oldest) {
        return r;
    }
    tg_writer_note_tail(w); /* I3 */
    /* release: tail comes first; pairs with the acquire of readers. */
    tg_store_release(&w->head->oldest, spot.place);
    /* I1: what is written over comes behind. Partner: the fence between a reader's copy and its look. */
    tg_fence();
    w->oldest = spot.place;
    w->oldest_segment = spot.index;
    return 0;
}

/* The segment of a place as it stands in the chain; chain_end: in none of them. */
static uint32_t chained(const struct tg_writer *w, uint64_t place)
{
    const uint64_t offset = tg_place_offset(place);
    uint32_t at = w->chain_first;
    for (; at < w->chain_end; at++) {
        const struct tg_writer_segment *s = &w->segments[w->chain[at]];
        if (offset >= (uint64_t)s->page * TG_PAGE &&
            offset < ((uint64_t)s->page + s->pages) * TG_PAGE) {
            break;
        }
    }
    return at;
}

bool tg_writer_comes_first(const struct tg_writer *w, uint64_t a, uint64_t b)
{
    const int32_t behind = (int32_t)(tg_place_sequence(a) - tg_place_sequence(b));
    return behind < 0 || (behind == 0 && chained(w, a) < chained(w, b));
}

void tg_writer_raise_oldest_to(struct tg_writer *w, uint64_t place)
{
    const uint32_t at = chained(w, place);
    if (at != w->chain_end && tg_writer_comes_first(w, w->oldest, place) &&
        (int32_t)(w->sequence - tg_place_sequence(place)) >= 0) {
        tg_writer_note_tail(w); /* I3 */
        /* release: tail comes first; pairs with the acquire of who joins. */
        tg_store_release(&w->head->oldest, place);
        w->oldest = place;
        w->oldest_segment = w->chain[at];
    }
    /* Partner: the fence of who joins, between its row and its look at oldest. */
    tg_fence();
}

bool tg_writer_can_give_up(const struct tg_writer *w, uint64_t len)
{
    const uint64_t need = tg_record_size(len) + TG_RECORD_HEAD;
    for (uint32_t i = w->chain_first; i < w->chain_end; i++) {
        const struct tg_writer_segment *s = &w->segments[w->chain[i]];
        if (w->chain[i] != w->current && (uint64_t)s->pages * TG_PAGE >= need) {
            return true;
        }
    }
    return false;
}
