/*
 * Which messages a receiver takes, where it does not take whatever comes.
 *
 * A receive call may ask for some only: of one sender's name, with a tag, of a priority at least. It
 * looks ahead in each link, past records that it does not want; 64 of a link at most, with those that
 * were passed over before: then the link waits. If one is found that it wants, those in front of it
 * are passed over: each becomes an entry, RETURNED and never delivered, and the one found is the first
 * of its link and is taken as any other.
 *
 *   pass over, token held              killed behind it
 *   an own entry: row, number, place   FREE, nothing
 *   state = CLAIMED, 0 deliveries      void while its number is not before next: freed by repair
 *   next = behind the record           repair makes it RETURNED, passed over
 *   state = RETURNED, 0 deliveries     passed over
 *
 * Who sleeps is known by its slot: what it waits for stands there before its ticket does.
 *
 * I1  Nothing is passed over but to take, in the same hold, what lies behind it: who looks and finds
 *     nothing changes nothing.
 * I2  Of one sender a receiver takes what it wants in the order in which it was sent: what was
 *     passed over first, by its number, then new ones; and nothing that lies behind one it wants
 *     and leaves to another.
 * I3  A message that a sleeper asks for is left to it, and of several to the one that has waited longest,
 *     where the policy leaves messages to those who wait. Who takes whatever comes stands behind.
 * I4  TURN names the sleeper that asks for something and has waited longest, if there is one; else
 *     the one that the policy chooses. Whoever goes to sleep, or leaves the queue, while some ask
 *     for something rings everybody for whom something is there (queue.c): so one that is rung for
 *     a message that is not for it tells the one that it is for.
 * I5  What another receiver has the key of is passed over in the same way, where delivery is by key (keys.c);
 *     what is nobody's is the one's that has waited longest.
 * I6  One function judges for the caller and for a sleeper that may be rung. Who is rung takes the
 *     message, or another one was faster: two never ring each other in a circle.
 */
#include "mailbox/select.h"

#include <string.h>

#include "base/key.h"
#include "mailbox/take.h"

/* ---- who looks */

struct tg_viewer tg_select_me(const struct tg_box *box)
{
    const uint64_t ticket = tg_load_relaxed(&box->slots[box->rx.slot].ticket);
    return (struct tg_viewer){ .wish = box->rx.wish,
                               .slot = box->rx.slot,
                               .ticket = ticket != 0 ? ticket : UINT64_MAX,
                               .takes_any = box->rx.takes_any };
}

struct tg_viewer tg_select_comer(const struct tg_box *box)
{
    return (struct tg_viewer){ .slot = box->rx.slot,
                               .ticket = UINT64_MAX,
                               .takes_any = box->rx.takes_any };
}

struct tg_viewer tg_select_nobody(void)
{
    return (struct tg_viewer){ .slot = TG_SLOTS_MAX, .ticket = UINT64_MAX, .takes_any = true };
}

struct tg_viewer tg_select_sleeper(struct tg_box *box, uint32_t slot)
{
    const struct tg_box_slot *s = &box->slots[slot];
    struct tg_viewer viewer = { .slot = slot, .ticket = tg_load_relaxed(&s->ticket) };
    viewer.takes_any =
        !box->policy->by_key || tg_select_is_asking(box, slot) || tg_choice_first(box) == slot;
    const uint32_t asks = tg_load_relaxed(&s->asks);
    if (asks != 0) {
        viewer.wish = (struct tg_wish){ .from = tg_load_relaxed(&s->from),
                                        .tag = tg_load_relaxed(&s->tag),
                                        .min_priority = asks & ~TG_ASKS,
                                        .selects = true };
    }
    return viewer;
}

void tg_select_announce(struct tg_box *box)
{
    struct tg_box_slot *s = &box->slots[box->rx.slot];
    const struct tg_wish *wish = &box->rx.wish;
    if (wish->selects) {
        tg_store_relaxed(&s->tag, wish->tag);
        tg_store_relaxed(&s->from, wish->only != NULL ? tg_key(wish->only, strlen(wish->only)) : 0);
        /* One too many until the next count, if this one is killed before it has its ticket. */
        tg_store_relaxed(&box->head->selecting, tg_load_relaxed(&box->head->selecting) + 1);
    }
    const uint32_t asks = wish->selects ? TG_ASKS | wish->min_priority : 0;
    if (tg_load_relaxed(&s->asks) != asks) {
        tg_store_relaxed(&s->asks, asks);
    }
}

uint32_t tg_select_first(const struct tg_box *box)
{
    uint32_t first = TG_SLOTS_MAX;
    uint64_t lowest = UINT64_MAX;
    const uint32_t n = tg_select_any(box) ? tg_n_slots(box->head) : 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t ticket = tg_load_relaxed(&box->slots[i].ticket);
        if (ticket != 0 && ticket < lowest && tg_select_is_asking(box, i)) {
            lowest = ticket;
            first = i;
        }
    }
    return first;
}

/* ---- what it takes */

bool tg_select_link_slow(struct tg_box *box, const struct tg_wish *wish, struct tg_attached *at)
{
    const char *name = tg_from_name(box, at);
    if (wish->only != NULL) {
        return strcmp(name, wish->only) == 0;
    }
    return wish->from == 0 || at->from_key == wish->from;
}

static bool wants(const struct tg_wish *wish, const struct tg_about *about)
{
    return (wish->tag == 0 || about->tag == wish->tag) && about->priority >= wish->min_priority;
}

/* By key: whether a message is that receiver's, or anybody's. */
static bool has_key(const struct tg_box *box, uint32_t slot, const struct tg_about *about,
                    bool *ret_any)
{
    const uint32_t owner = about->key != 0 ? tg_keys_owner(box, about->key) : TG_SLOTS_MAX;
    *ret_any = owner == TG_SLOTS_MAX;
    return *ret_any || owner == slot;
}

static bool leaves(const struct tg_box *box)
{
    const struct tg_arrival one = { .sleepers = 1 };
    return box->policy->needed(&one) > 1;
}

/* I3. */
static bool is_left(struct tg_box *box, const struct tg_viewer *viewer, struct tg_attached *at,
                    const struct tg_about *about)
{
    const uint32_t n = tg_select_any(box) && leaves(box) ? tg_n_slots(box->head) : 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t ticket = tg_load_relaxed(&box->slots[i].ticket);
        if (ticket == 0 || i == viewer->slot || !tg_select_is_asking(box, i) ||
            (viewer->wish.selects && ticket > viewer->ticket)) {
            continue;
        }
        const struct tg_viewer other = tg_select_sleeper(box, i);
        bool any;
        if (tg_select_link(box, &other.wish, at) && wants(&other.wish, about) &&
            (!box->policy->by_key || has_key(box, i, about, &any))) {
            return true;
        }
    }
    return false;
}

enum tg_judgement tg_select_judge(struct tg_box *box, const struct tg_viewer *viewer,
                                  struct tg_attached *at, const struct tg_about *about)
{
    bool any = false;
    if (!wants(&viewer->wish, about) ||
        (box->policy->by_key && !has_key(box, viewer->slot, about, &any))) {
        return TG_NOT_MINE;
    }
    if (any && !viewer->takes_any) {
        return TG_ANOTHERS;
    }
    return is_left(box, viewer, at, about) ? TG_ANOTHERS : TG_MINE;
}

/* ---- looking ahead */

/* One record. 1 it is wanted, 0 it is not, or an end of the walk. */
enum step {
    FOUND,
    GO_ON,
    END,
};

static enum step look_at(struct tg_box *box, const struct tg_viewer *viewer, struct tg_take *take,
                         struct tg_said *said, int verdict)
{
    if (verdict != TG_WANTED) {
        return GO_ON;
    }
    const struct tg_about about = tg_said_about(said);
    switch (tg_select_judge(box, viewer, take->at, &about)) {
    case TG_MINE:
        return FOUND;
    case TG_ANOTHERS:
        return END;
    default:
        return GO_ON;
    }
}

int tg_select_find(struct tg_box *box, const struct tg_viewer *viewer, struct tg_take *take,
                   struct tg_message_view *view, struct tg_said *said, uint32_t *ret_ahead)
{
    struct tg_attached *at = take->at;
    const uint64_t next = tg_load_relaxed(&at->row->next);
    const uint32_t most = at->n_passed < TG_PASS_MOST ? TG_PASS_MOST - at->n_passed : 0;
    for (uint32_t ahead = 0;; ahead++) {
        const int verdict = tg_take_judge(box, take, 0, said);
        if (box->lossy && tg_overtaken_message(at, view->sequence)) {
            return TG_OVERTAKEN;
        }
        if (verdict < 0) {
            /* What is damaged behind others is told when they are gone. */
            return ahead == 0 ? verdict : 0;
        }
        const enum step step = look_at(box, viewer, take, said, verdict);
        if (step == FOUND) {
            *ret_ahead = ahead;
            return 1;
        }
        if (step == END || ahead == most || tg_reader_look(&at->reader, view->next, view) != 1) {
            break;
        }
        tg_take_know(at, take, view);
    }
    /* Stand where the link does: there the next hint looks. */
    (void)tg_reader_look(&at->reader, next, view);
    return 0;
}

/* ---- passing over */

/* The first record of the link. 0, TG_OVERTAKEN, -errno. */
static int pass_one(struct tg_box *box, struct tg_attached *at)
{
    struct tg_message_view view;
    struct tg_said said;
    struct tg_take take = { .how = TG_TAKE_SKIP };
    int r = tg_reader_look(&at->reader, tg_load_relaxed(&at->row->next), &view);
    if (r != 1) {
        return r < 0 ? r : TG_OVERTAKEN;
    }
    tg_take_know(at, &take, &view);
    r = tg_take_judge(box, &take, 0, &said);
    if (box->lossy && tg_overtaken_message(at, view.sequence)) {
        return TG_OVERTAKEN;
    }
    if (r == TG_EXPIRED || r == TG_UNWANTED) {
        tg_take_throw_away(box, &take, &view, r);
        return 0;
    }
    struct tg_box_entry *entry = NULL;
    r = r < 0 ? r : tg_claims_free_entry(box, &entry);
    if (r < 0) {
        return r;
    }
    tg_take_hand_out(box, &take, &view, entry, TG_ENTRY(TG_CLAIMED, 0));
    tg_store_release(&entry->state, TG_ENTRY(TG_RETURNED, 0));
    tg_store_relaxed(&box->head->n_returned, tg_load_relaxed(&box->head->n_returned) + 1);
    at->n_returned++;
    at->n_passed++;
    return 0;
}

int tg_select_pass_over(struct tg_box *box, struct tg_attached *at, uint32_t n)
{
    int r = 0;
    for (uint32_t i = 0; i < n && r == 0; i++) {
        r = pass_one(box, at);
    }
    /* Their sender may believe that they were taken, and ring nobody in an event loop. */
    tg_poll_nudge(box);
    return r == 0 ? 1 : r;
}
