/*
 * Messages that came back: handed out and returned, left by a death, or passed over (select.c).
 *
 * They are served before new ones, of each link in the order of their numbers. An entry says where
 * its record lies; whose slot it lies in means nothing once it is RETURNED. What cannot be read just now
 * hinders nobody: it is gone over, and told if nothing else is there.
 */
#include <errno.h>

#include "mailbox/take.h"

/* ---- finding them */

/* What this look knows of a link. */
static struct tg_attached *known(struct tg_box *box, struct tg_attached *at)
{
    if (at->look != box->rx.look) {
        at->look = box->rx.look;
        at->n_returned = 0;
        at->n_passed = 0;
        at->waits = false;
    }
    return at;
}

void tg_returned_know(struct tg_box *box, struct tg_attached *at)
{
    (void)known(box, at);
}

/* Calls each for all entries in that state. */
static void for_all(struct tg_box *box, uint32_t wanted,
                    void (*each)(struct tg_box *box, struct tg_box_entry *entry, uint32_t state,
                                 void *arg),
                    void *arg)
{
    const uint32_t n = tg_load_relaxed(&box->head->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX; i++) {
        struct tg_box_entry *e = tg_claims_of(box, i);
        const uint32_t used = tg_load_acquire(&box->slots[i].entries);
        for (uint32_t k = 0; k < used && k < TG_CLAIMS_MAX; k++) {
            const uint32_t state = tg_load_acquire(&e[k].state);
            if (TG_ENTRY_STATE(state) == wanted) {
                each(box, &e[k], state, arg);
            }
        }
    }
}

static void count_entry(struct tg_box *box, struct tg_box_entry *entry, uint32_t state, void *arg)
{
    uint32_t *orphans = arg;
    struct tg_attached *at = tg_claims_link_of(box, entry);
    if (at == NULL) {
        (*orphans)++;
        return;
    }
    box->rx.n_back++;
    known(box, at)->n_returned++;
    at->n_passed += TG_ENTRY_DELIVERIES(state) == 0;
}

uint32_t tg_returned_scan(struct tg_box *box)
{
    uint32_t orphans = 0;
    box->rx.n_back = 0;
    for_all(box, TG_RETURNED, count_entry, &orphans);
    return orphans;
}

/* Those of one link in the order of their numbers, some at a time. */
#define BATCH 64u

struct walk {
    struct tg_attached *at;
    bool begun;
    uint32_t last; /* number of the one given last, if begun */
    uint32_t n;
    uint32_t i;
    struct {
        struct tg_box_entry *entry;
        uint32_t state;
        uint32_t sequence;
    } found[BATCH];
};

/* Into its place among the lowest ones. */
static void insert(struct tg_box *box, struct tg_box_entry *entry, uint32_t state, void *arg)
{
    struct walk *w = arg;
    const uint32_t sequence = tg_load_relaxed(&entry->sequence);
    if (tg_claims_link_of(box, entry) != w->at ||
        (w->begun && (int32_t)(sequence - w->last) <= 0)) {
        return;
    }
    uint32_t k = w->n < BATCH ? w->n++ : BATCH;
    if (k == BATCH && (int32_t)(w->found[--k].sequence - sequence) <= 0) {
        return;
    }
    for (; k > 0 && (int32_t)(w->found[k - 1].sequence - sequence) > 0; k--) {
        w->found[k] = w->found[k - 1];
    }
    w->found[k].entry = entry;
    w->found[k].state = state;
    w->found[k].sequence = sequence;
}

/* The next one. False: there is none. */
static bool walk_on(struct tg_box *box, struct walk *w, struct tg_box_entry **ret_entry,
                    uint32_t *ret_state)
{
    if (w->i == w->n) {
        if (w->begun && w->n < BATCH) {
            return false;
        }
        w->n = w->i = 0;
        for_all(box, TG_RETURNED, insert, w);
        if (w->n == 0) {
            return false;
        }
    }
    *ret_entry = w->found[w->i].entry;
    *ret_state = w->found[w->i].state;
    w->last = w->found[w->i].sequence;
    w->begun = true;
    w->i++;
    return true;
}

static void first_one(struct tg_box *box, struct tg_box_entry *entry, uint32_t state, void *arg)
{
    struct tg_box_entry **first = arg;
    (void)state;
    if (*first == NULL && tg_claims_link_of(box, entry) != NULL) {
        *first = entry;
    }
}

static void free_orphan(struct tg_box *box, struct tg_box_entry *entry, uint32_t state, void *arg)
{
    (void)state;
    (void)arg;
    if (tg_claims_link_of(box, entry) == NULL) {
        tg_store_release(&entry->state, TG_ENTRY(TG_FREE, 0));
    }
}

/*
 * What was returned and whose link cannot be attached any more: its sender took the file away, or
 * the right to read it. Counted as waiting, it would keep everybody awake for nothing.
 */
static int drop_orphans(struct tg_box *box)
{
    box->rx.stale = true;
    const int r = tg_links_refresh(box);
    if (r < 0) {
        return r;
    }
    for_all(box, TG_RETURNED, free_orphan, NULL);
    tg_claims_collect(box, false); /* counts anew */
    return 0;
}

/* ---- taking one */

static bool is_own(struct tg_box *box, const struct tg_box_entry *entry)
{
    const struct tg_box_entry *own = tg_claims_of(box, box->rx.slot);
    return entry >= own && entry < own + TG_CLAIMS_MAX;
}

/* Which delivery the next one is. */
static uint32_t deliveries_of(uint32_t state)
{
    const uint32_t n = TG_ENTRY_DELIVERIES(state);
    return n != 0 ? n : 1; /* passed over: its first */
}

/* Make the RETURNED entry a claim of this receiver, and the key, 0 none, its own. */
static int move_here(struct tg_box *box, struct tg_take *take, struct tg_box_entry *from,
                     uint32_t state, uint64_t key)
{
    const uint32_t claimed = TG_ENTRY(TG_CLAIMED, deliveries_of(state));
    if (is_own(box, from)) {
        tg_keys_take(box, key);
        tg_store_release(&from->state, claimed);
        take->entry = from;
        return 0;
    }
    struct tg_box_entry *entry = NULL;
    const int r = tg_claims_free_entry(box, &entry);
    if (r < 0) {
        return r;
    }
    tg_keys_take(box, key);
    tg_claims_copy_fields(entry, from);
    /* New one first: killed between the two, the old one stands and the new one is freed. */
    tg_store_release(&entry->state, claimed);
    tg_store_release(&from->state, TG_ENTRY(TG_FREE, 0));
    take->entry = entry;
    return 0;
}

static void one_returned_less(struct tg_box *box)
{
    const uint32_t n = tg_load_relaxed(&box->head->n_returned);
    tg_store_relaxed(&box->head->n_returned, n != 0 ? n - 1 : 0);
}

/* What is known of the message of an entry. */
static int view_entry(struct tg_box *box, struct tg_take *take, const struct tg_box_entry *entry,
                      uint32_t state)
{
    struct tg_attached *at = tg_claims_link_of(box, entry);
    take->at = at;
    take->len = tg_load_relaxed(&entry->length);
    take->extension = tg_load_relaxed(&entry->extension);
    take->sequence = take->handed = tg_load_relaxed(&entry->sequence);
    take->pid = tg_load_relaxed(&entry->pid);
    take->deliveries = deliveries_of(state);
    const uint64_t len = (uint64_t)take->len + take->extension;
    if (len > UINT32_MAX) {
        return -EPROTO;
    }
    if (box->way != NULL) {
        return tg_carried_view_entry(box, take, entry);
    }
    const uint64_t offset = (uint64_t)tg_load_relaxed(&entry->offset) << 4;
    const int r = tg_reader_find(&at->reader, offset, (uint32_t)len, &take->data);
    if (r == 0) {
        take->from = offset + TG_RECORD_HEAD + take->extension;
        take->data = take->data != NULL ? take->data + take->extension : NULL;
    }
    return r;
}

/* Its message is out of the mailbox. */
static void free_entry(struct tg_box *box, const struct tg_take *take, struct tg_box_entry *entry)
{
    tg_store_release(&entry->state, TG_ENTRY(TG_FREE, 0));
    /* Behind it: killed before, it comes again. */
    tg_carried_finish(box, entry);
    if (box->capacity == 0) {
        tg_claims_note_done(box, 1);
    }
    tg_claims_collect_one(box, take->at);
}

static bool is_too_often(const struct tg_box *box, uint32_t state)
{
    return box->max_deliveries != 0 && TG_ENTRY_DELIVERIES(state) > box->max_deliveries;
}

static int take_entry(struct tg_box *box, struct tg_take *take, struct tg_box_entry *entry,
                      uint32_t state, uint64_t key)
{
    int r = 0;
    if (take->how == TG_TAKE_COPY) {
        r = take->len > take->size ? -EMSGSIZE : tg_take_copy(take, take->buf);
    } else if (take->how == TG_TAKE_CLAIM) {
        r = tg_take_make_private(box, take);
    }
    if (tg_overtaken_entry(box, entry)) {
        r = TG_OVERTAKEN;
    } else if (r == 0 && take->how == TG_TAKE_CLAIM) {
        r = move_here(box, take, entry, state, key);
    } else if (r == 0 && take->how == TG_TAKE_COPY) {
        tg_keys_take(box, key);
    }
    if (r != 0) {
        tg_take_drop(take);
    }
    return r;
}

/* Its answers beside those of tg_take_one(). */
#define NOT_MINE 3 /* another one may want it */
#define LEFT 4     /* another one wants it, and comes first */

/* For a viewer that does not take whatever comes. 0: it is to be taken. */
static int whose(struct tg_box *box, const struct tg_viewer *viewer, const struct tg_take *take,
                 const struct tg_said *said)
{
    const struct tg_about about = tg_said_about(said);
    switch (tg_select_judge(box, viewer, take->at, &about)) {
    case TG_MINE:
        return 0;
    case TG_ANOTHERS:
        return LEFT;
    default:
        return NOT_MINE;
    }
}

/* It is this receiver's. 1 taken, 0 it was nothing, -errno. */
static int take_it(struct tg_box *box, struct tg_take *take, struct tg_box_entry *entry,
                   uint32_t state, const struct tg_said *said)
{
    int r = take_entry(box, take, entry, state, said->attributes.key);
    if (r == TG_OVERTAKEN) {
        one_returned_less(box);
        return 0;
    }
    if (r == 0 || r == -EMSGSIZE) {
        tg_take_tell(box, take, said);
    }
    return r == 0 ? 1 : r;
}

/* It was served: r < 0: it could not be read. */
static void leave_entry(struct tg_box *box, struct tg_take *take, struct tg_box_entry *entry,
                        bool thrown_away, int r)
{
    if (r >= 0) {
        box->rx.serving = entry;
        tg_request_keep(box, take, thrown_away);
        box->rx.serving = NULL;
    }
    /* What its sender made unreadable is no message any more. */
    take->at->reader.damaged = take->at->reader.damaged || (r == -EPROTO && box->way == NULL);
    if (r < 0 || thrown_away || take->how != TG_TAKE_CLAIM) {
        free_entry(box, take, entry);
    }
    one_returned_less(box);
}

/* 1 taken, 0 it was nothing, NOT_MINE, LEFT, TG_TAKE_TOO_OFTEN, -errno. */
static int serve(struct tg_box *box, struct tg_take *take, const struct tg_viewer *viewer,
                 struct tg_box_entry *entry, uint32_t state)
{
    struct tg_said said;
    int r = view_entry(box, take, entry, state);
    r = r == 0 ? tg_take_judge(box, take, state, &said) : r;
    if (tg_overtaken_entry(box, entry)) {
        one_returned_less(box);
        return 0;
    }
    if (r == TG_WANTED && !tg_select_is_simple(box, viewer)) {
        const int other = whose(box, viewer, take, &said);
        if (other != 0) {
            return other;
        }
    }
    const bool expired = r == TG_EXPIRED;
    const bool thrown_away = expired || r == TG_UNWANTED;
    if (!thrown_away && take->how != TG_TAKE_SKIP && is_too_often(box, state)) {
        box->rx.too_often = entry;
        return TG_TAKE_TOO_OFTEN;
    }
    if (r == TG_WANTED) {
        if (take->how == TG_TAKE_LOOK) {
            return 1;
        }
        r = take_it(box, take, entry, state, &said);
        if (r == 0) {
            return 0;
        }
    }
    if (r < 0 && r != -EPROTO) {
        return r;
    }
    leave_entry(box, take, entry, thrown_away, r);
    if (expired) {
        tg_take_note_expired(box);
    }
    return r < 0 ? r : thrown_away ? 0 : 1;
}

static int serve_entry(struct tg_box *box, struct tg_take *take, const struct tg_viewer *viewer,
                       struct tg_box_entry *entry, uint32_t state)
{
    const int r = serve(box, take, viewer, entry, state);
    if (take->body != NULL && (r != 1 || take->how != TG_TAKE_CLAIM)) {
        tg_take_drop(take);
    }
    return r;
}

/* As serve_entry(), of one link; 0: there is none for this call. */
static int take_of_link(struct tg_box *box, struct tg_take *take, const struct tg_viewer *viewer,
                        struct tg_attached *at, int *ret_error)
{
    struct walk w = { .at = at };
    struct tg_box_entry *entry;
    uint32_t state;
    while (walk_on(box, &w, &entry, &state)) {
        const int r = serve_entry(box, take, viewer, entry, state);
        if (r == LEFT) {
            at->waits = true;
            return 0;
        }
        if (r == 1 || r == TG_TAKE_TOO_OFTEN || r == -EMSGSIZE || r == -ENOBUFS) {
            return r;
        }
        *ret_error = r < 0 ? r : *ret_error;
    }
    return 0;
}

int tg_returned_begin(struct tg_box *box)
{
    const uint32_t orphans = tg_returned_scan(box);
    int r = 0;
    if (orphans != 0) {
        r = drop_orphans(box);
        box->rx.look++;
        (void)tg_returned_scan(box);
    } else if (box->rx.n_back == 0) {
        tg_claims_collect(box, false); /* counts anew */
    }
    return r;
}

int tg_returned_take(struct tg_box *box, struct tg_take *take, uint32_t begin, uint32_t end,
                     int *ret_error)
{
    const struct tg_viewer me = tg_select_me(box);
    for (uint32_t i = begin; i < end && i < box->rx.n_attached; i++) {
        struct tg_attached *at = box->rx.attached[i];
        if (known(box, at)->n_returned == 0) {
            continue;
        }
        const int r =
            tg_select_link(box, &me.wish, at) ? take_of_link(box, take, &me, at, ret_error) : 0;
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

uint32_t tg_returned_count(struct tg_box *box, struct tg_attached *at,
                           const struct tg_viewer *viewer, uint32_t most)
{
    struct walk w = { .at = at };
    struct tg_box_entry *entry;
    uint32_t state;
    uint32_t n = 0;
    while (n < most && walk_on(box, &w, &entry, &state)) {
        struct tg_take take = { .how = TG_TAKE_LOOK };
        struct tg_said said;
        int r = view_entry(box, &take, entry, state);
        r = r == 0 ? tg_take_judge(box, &take, state, &said) : r;
        if (r == TG_WANTED && !(box->lossy && tg_overtaken_message(at, take.sequence))) {
            r = whose(box, viewer, &take, &said);
        }
        tg_take_drop(&take);
        if (r == LEFT) {
            at->waits = true;
            return n;
        }
        /* What cannot be read is something to look at, too. */
        n += r != NOT_MINE && r != TG_EXPIRED && r != TG_UNWANTED;
    }
    return n;
}

int tg_take_too_often(struct tg_box *box, struct tg_take *take)
{
    struct tg_box_entry *entry = box->rx.too_often;
    const uint32_t state = entry != NULL ? tg_load_relaxed(&entry->state) : 0;
    box->rx.too_often = NULL;
    if (entry == NULL || TG_ENTRY_STATE(state) != TG_RETURNED ||
        tg_claims_link_of(box, entry) == NULL) {
        return 0;
    }
    box->rx.parked_ns = tg_now_ns();
    int r = view_entry(box, take, entry, state);
    r = r == 0 ? tg_take_make_private(box, take) : r;
    if (tg_overtaken_entry(box, entry)) {
        tg_take_drop(take);
        one_returned_less(box);
        return 0;
    }
    if (r == 0) {
        r = move_here(box, take, entry, state, 0);
    }
    if (r < 0) {
        tg_take_drop(take);
        /* Out of the way in any case: it must not be found again and again. */
        tg_store_release(&entry->state, TG_ENTRY(TG_PARKED, TG_ENTRY_DELIVERIES(state)));
        tg_store_relaxed(&box->head->n_parked, tg_load_relaxed(&box->head->n_parked) + 1);
    }
    one_returned_less(box);
    return r < 0 ? r : 1;
}

/* Of those set aside, for who throws away: whether it can be read or not. */
int tg_returned_skip_parked(struct tg_box *box, struct tg_take *take)
{
    struct tg_box_entry *entry = NULL;
    for_all(box, TG_PARKED, first_one, &entry);
    if (entry == NULL) {
        tg_store_relaxed(&box->head->n_parked, UINT32_C(0));
        return 0;
    }
    (void)view_entry(box, take, entry, tg_load_relaxed(&entry->state));
    tg_take_drop(take);
    free_entry(box, take, entry);
    tg_claims_collect(box, false); /* counts the rest */
    return 1;
}
