/* Inside layer 3: what finding and taking a message is made of: take.c, returned.c, select.c. The token is
 * held. */
#ifndef TG_MAILBOX_TAKE_H
#define TG_MAILBOX_TAKE_H

#include <errno.h>

#include "mailbox/select.h"

/* What is to become of a message that was found. */
enum tg_verdict {
    TG_WANTED = 0,
    TG_EXPIRED = 1,
    TG_PASSED = 2,    /* one that was thrown away, or some that were passed over: look again */
    TG_OVERTAKEN = 3, /* its sender gave it up meanwhile, what was read may be torn */
    TG_UNWANTED = 4,  /* a late reply, or a request that is not asked again: it is thrown away */
};

/* ---- take.c */

void tg_take_know(struct tg_attached *at, struct tg_take *take, const struct tg_message_view *view);
/* What it says of itself: TG_WANTED, TG_EXPIRED, TG_UNWANTED, -errno. One that expires while it is handed out
 * is a moment too late for that. state: of its entry, 0 it has none. */
int tg_take_judge(const struct tg_box *box, struct tg_take *take, uint32_t state,
                  struct tg_said *ret_said);
/* The first record of a link, of which that was said. */
void tg_take_throw_away(struct tg_box *box, struct tg_take *take,
                        const struct tg_message_view *view, int verdict);
/* The first record of a link becomes an entry with that state. */
void tg_take_hand_out(struct tg_box *box, const struct tg_take *take,
                      const struct tg_message_view *view, struct tg_box_entry *entry,
                      uint32_t state);
/* A claim's own copy, where it needs one. */
int tg_take_make_private(const struct tg_box *box, struct tg_take *take);
void tg_take_note_expired(struct tg_box *box);

/* ---- returned.c: messages that were handed out, or passed over, and came back */

/* Count them for each link, in a look that has just begun (rx.look). How many are of links that are not
 * attached. */
uint32_t tg_returned_scan(struct tg_box *box);
/* What the present look knows of a link (its scratch) is from this look. */
void tg_returned_know(struct tg_box *box, struct tg_attached *at);
/* A look begins: count them, and drop those that nobody can read any more. 0, -errno. */
int tg_returned_begin(struct tg_box *box);
/* Take the first one of these links, behind that. As tg_take_one(); what cannot be read just now is passed over, and told
 * (*ret_error) if nothing else is there. */
int tg_returned_take(struct tg_box *box, struct tg_take *take, uint32_t begin, uint32_t end,
                     int *ret_error);
/* How many of a link are there for that one, up to most; after tg_returned_scan(). */
uint32_t tg_returned_count(struct tg_box *box, struct tg_attached *at,
                           const struct tg_viewer *viewer, uint32_t most);
/* One that was set aside, for who throws away: 1, 0 there is none. */
int tg_returned_skip_parked(struct tg_box *box, struct tg_take *take);

/* ---- counted.c */

/* What a sender has counted was not handed out, or may not have been. */
static inline bool tg_counted_may_be(const struct tg_attached *at)
{
    const uint32_t next = tg_place_sequence(tg_load_relaxed(&at->row->next));
    /* acquire: what it counted is in the queue. */
    const uint32_t tail = tg_place_sequence(tg_load_acquire(&at->reader.head->tail));
    const bool is_known =
        at->reader.foreign == NULL && tg_load_relaxed(&at->row->link_id) == at->reader.link_id;
    return !at->reader.damaged && (!is_known || (int32_t)(tail - next) > 0);
}

/* Of any sender: a look at words. The token need not be held. */
bool tg_counted_any_slow(const struct tg_box *box);
static inline bool tg_counted_any(const struct tg_box *box)
{
    const struct tg_receiver *rx = &box->rx;
    return (rx->cursor < rx->n_attached && tg_counted_may_be(rx->attached[rx->cursor])) ||
           tg_counted_any_slow(box);
}

/* ---- select.c */

#define TG_PASS_MOST 64u /* records of a link that are passed over */

/*
 * The first record from the one just looked at (view, known to take) that the viewer takes. 1: said and
 * view are its, *ret_ahead are in front of it. 0: there is none, or the link waits. TG_OVERTAKEN, -errno.
 */
int tg_select_find(struct tg_box *box, const struct tg_viewer *viewer, struct tg_take *take,
                   struct tg_message_view *view, struct tg_said *said, uint32_t *ret_ahead);
/* Pass over the first n records. 1; -ENOBUFS: all entries are claims; TG_OVERTAKEN, -errno. */
int tg_select_pass_over(struct tg_box *box, struct tg_attached *at, uint32_t n);

#endif
