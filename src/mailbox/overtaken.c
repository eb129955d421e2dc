/*
 * TONG_DROP_OLDEST: receiving from a link whose sender may take away what is about to be read.
 *
 *   receiver, token held                        sender
 *   look at the record, copy it                 oldest = behind the victim (release)
 *   fence                                       fence
 *   read oldest: past the record? again         write over it
 *   {next, dropped}, then next                  commit
 *
 * I1  Of a copy nothing is believed before oldest was read behind it. The fence pairs with the sender's:
 *     who copied one byte of the new record sees the oldest that was stored before it.
 * I2  {next, dropped} is one word and the truth: its store consumes, or counts what was overtaken. So a
 *     death between the two never miscounts; delivered + dropped = sent, but for the message in hand of
 *     each death.
 * I3  row.next, the place, follows it. A receiver killed between the two leaves it behind; the next
 *     holder walks from there (or from oldest) to the number of the word.
 * I4  No claim keeps its room, so every claim has a private copy. One that comes back is handed out
 *     again while its record stands, else it counts as dropped.
 * I5  oldest is its sender's: past the tail, or where no record is, it is damage.
 * I6  oldest stands behind a jump, a receiver perhaps still before it, at the same number: what lies there
 *     may be written over as well, so that one goes to where oldest stands.
 */
#include "mailbox/overtaken.h"

#include <errno.h>

#include "mailbox/box.h"

uint32_t tg_overtaken_next(const struct tg_box_row *row)
{
    return (uint32_t)(tg_load_relaxed(&row->dropped) >> 32);
}

static uint64_t read_oldest(const struct tg_attached *at)
{
    /* I1. What is loaded below is not older than what was copied before. */
    tg_fence_acquire();
    return tg_reader_refresh(&at->reader) < 0 ? 0 : tg_load_acquire(&at->reader.head->oldest);
}

static bool is_past(uint64_t oldest, uint32_t sequence)
{
    return (int32_t)(tg_place_sequence(oldest) - sequence) > 0;
}

/* I6. */
static bool is_left(uint64_t oldest, uint64_t place)
{
    return is_past(oldest, tg_place_sequence(place)) ||
           (tg_place_sequence(oldest) == tg_place_sequence(place) && oldest != place);
}

bool tg_overtaken(const struct tg_attached *at, uint64_t place)
{
    return is_left(read_oldest(at), place);
}

bool tg_overtaken_message(const struct tg_attached *at, uint32_t sequence)
{
    return is_past(read_oldest(at), sequence);
}

static void store_word(struct tg_box_row *row, uint32_t next, uint32_t more_dropped)
{
    const uint32_t dropped = (uint32_t)tg_load_relaxed(&row->dropped) + more_dropped;
    tg_store_release(&row->dropped, (uint64_t)next << 32 | dropped); /* I2 */
}

void tg_overtaken_hand_out(struct tg_attached *at, uint32_t next)
{
    store_word(at->row, next, 0);
}

/* Stand at a place; everything before it is passed. */
static void move_to(struct tg_box *box, struct tg_attached *at, uint64_t place)
{
    struct tg_box_row *row = at->row;
    const bool nothing_out = tg_load_relaxed(&row->head) == tg_load_relaxed(&row->next);
    tg_store_release(&row->next, place);
    if (nothing_out) {
        tg_claims_free_room(box, at, place, tg_place_sequence(place));
    } else {
        tg_claims_collect_one(box, at);
    }
}

/* I3. *place: where the record with the word's number is. 0; 1: overtaken on the way. */
static int walk(struct tg_attached *at, uint32_t next, uint64_t *place)
{
    while (tg_place_sequence(*place) != next) {
        struct tg_message_view view;
        const int r = tg_reader_look(&at->reader, *place, &view);
        if (tg_overtaken(at, *place)) {
            return 1;
        }
        if (r != 1) {
            return r < 0 ? r : -EPROTO;
        }
        *place = view.next;
    }
    return 0;
}

/* Of another user's link both words are in one copy, of which neither is known to be the older one. */
bool tg_overtaken_is_damaged(const struct tg_attached *at, uint64_t oldest)
{
    const tg_a64 *tail = &at->reader.head->tail;
    /* acquire: tail was stored before oldest (I5). */
    return is_past(oldest, tg_place_sequence(tg_load_acquire(tail))) &&
           tg_reader_refresh(&at->reader) == 0 &&
           is_past(oldest, tg_place_sequence(tg_load_acquire(tail)));
}

/* One try. 1: again. */
static int settle_once(struct tg_box *box, struct tg_attached *at)
{
    struct tg_box_row *row = at->row;
    const uint32_t next = tg_overtaken_next(row);
    const uint64_t oldest = read_oldest(at);
    uint64_t place = tg_load_relaxed(&row->next);
    if (is_past(oldest, next)) {
        const uint32_t to = tg_place_sequence(oldest);
        if (tg_overtaken_is_damaged(at, oldest)) {
            return -EPROTO;
        }
        store_word(row, to, to - next);
        move_to(box, at, oldest);
        return 0;
    }
    if (tg_place_sequence(place) == next && !is_left(oldest, place)) {
        return 0;
    }
    if (is_left(oldest, place)) {
        place = oldest;
    }
    const int r = walk(at, next, &place);
    if (r == 0) {
        move_to(box, at, place);
    }
    return r;
}

#define TRIES 16

int tg_overtaken_settle(struct tg_box *box, struct tg_attached *at)
{
    int r = 1;
    for (int i = 0; i < TRIES && r == 1; i++) {
        r = settle_once(box, at);
    }
    return r;
}

bool tg_overtaken_entry(struct tg_box *box, struct tg_box_entry *entry)
{
    struct tg_attached *at = tg_claims_link_of(box, entry);
    if (!box->lossy || at == NULL || !is_past(read_oldest(at), tg_load_relaxed(&entry->sequence))) {
        return false;
    }
    store_word(at->row, tg_overtaken_next(at->row), 1);
    /* Killed between the two it is counted once more, and never not at all. */
    tg_store_release(&entry->state, TG_ENTRY(TG_FREE, 0));
    tg_claims_collect_one(box, at);
    return true;
}

uint32_t tg_overtaken_count(struct tg_box *box, struct tg_attached *at)
{
    const int r = tg_overtaken_settle(box, at);
    if (r != 0) {
        return r == 1 ? 1 : 0;
    }
    const uint64_t next = tg_load_relaxed(&at->row->next);
    const uint32_t tail = tg_place_sequence(tg_load_acquire(&at->reader.head->tail));
    const int32_t behind = (int32_t)(tail - tg_place_sequence(next));
    if (behind > 0) {
        return (uint32_t)behind;
    }
    struct tg_message_view view;
    const bool there = tg_reader_look(&at->reader, next, &view) == 1;
    return there || tg_overtaken(at, next) ? 1 : 0;
}

bool tg_overtaken_hint(const struct tg_attached *at)
{
    /* What stands at the place looked at may be anything by now: tail decides. */
    return tg_reader_refresh(&at->reader) < 0 ||
           tg_place_sequence(tg_load_acquire(&at->reader.head->tail)) !=
               tg_place_sequence(tg_load_relaxed(&at->row->next)) ||
           tg_reader_hint(&at->reader, tg_load_relaxed(&at->row->next));
}
