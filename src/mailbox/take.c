/*
 * Finding a message and taking it. The token is held.
 *
 * RETURNED entries are served first, then the links in turn, from where the last one was found: a
 * link is left after a row of messages, so that none starves and the cache is not left for each.
 *
 * Fresh message, copied: copy; next; head. No entry: killed before `next` it comes again,
 * killed behind it, it was consumed. Fresh message, claimed: entry; next. A long copy is a claim for
 * as long as it lasts, so that the token is not held over it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mailbox/box.h"

#define IN_A_ROW 256u /* and as many the short way, see receive.c */
#define LONG_COPY 65536u

/* ---- hints and counts */

/* Whether other users have made new links; of them there is only a copy. */
static bool hint_of_users(struct tg_box *box)
{
    tg_box_fresh_users(box);
    return tg_links_stale(box);
}

static bool hint_of_link(const struct tg_box *box, const struct tg_attached *at)
{
    if (box->capacity == 0) {
        return tg_rendezvous_hint(at);
    }
    return box->lossy ? tg_overtaken_hint(at)
                      : tg_reader_hint(&at->reader, tg_load_relaxed(&at->row->next));
}

bool tg_take_hint(struct tg_box *box)
{
    if (tg_from_count_returned(box) != 0 || tg_links_stale(box)) {
        return true;
    }
    for (uint32_t i = 0; i < box->rx.n_attached; i++) {
        struct tg_attached *at = box->rx.attached[i];
        if (at->reader.damaged || !tg_from_is_wanted(box, at)) {
            continue;
        }
        if (hint_of_link(box, at)) {
            return true;
        }
    }
    return hint_of_users(box);
}

static uint32_t count_link(struct tg_box *box, struct tg_attached *at)
{
    if (at->reader.damaged || !tg_links_is_current(box, at) || !tg_from_is_wanted(box, at)) {
        return 0;
    }
    if (box->capacity == 0) {
        return tg_rendezvous_hint(at) ? 1 : 0;
    }
    if (box->lossy) {
        return tg_overtaken_count(box, at);
    }
    const uint64_t next = tg_load_relaxed(&at->row->next);
    struct tg_message_view view;
    const int r = tg_reader_look(&at->reader, next, &view);
    if (r != 1) {
        /* The commit word decides, whatever tail says. An error is worth a look: who takes tells of it. */
        return r < 0 && r != -EIDRM ? 1u : 0u;
    }
    const uint32_t tail = tg_place_sequence(tg_load_acquire(&at->reader.head->tail));
    const int32_t behind = (int32_t)(tail - tg_place_sequence(next));
    return behind > 1 ? (uint32_t)behind : 1;
}

uint32_t tg_take_count(struct tg_box *box, uint32_t most)
{
    uint32_t n = tg_from_count_returned(box);
    for (uint32_t i = 0; i < box->rx.n_attached && n < most; i++) {
        n += count_link(box, box->rx.attached[i]);
    }
    return n < most ? n : most;
}

/* ---- bytes in another user's file */

int tg_take_copy_slow(const struct tg_take *take, void *to)
{
    struct tg_attached *at = take->at;
    const int r = tg_reader_read(&at->reader, take->from, take->len, to);
    at->reader.damaged = at->reader.damaged || r == -EPROTO;
    return r;
}

/*
 * A claimed message of another user, or one that its sender may give up, is read into memory of this
 * process, that neither changes nor vanishes while the receiver works on it, extension and all. Nobody sends more than max_bytes: a record
 * that says so is not worth the memory.
 */
int tg_take_reserve(const struct tg_box *box, struct tg_take *take)
{
    const size_t len = take->extension + take->len;
    if ((take->at->reader.foreign == NULL && !box->lossy) || take->how != TG_TAKE_CLAIM) {
        return 0;
    }
    if (len > box->max_bytes) {
        return -EPROTO;
    }
    take->copy = malloc(len != 0 ? len : 1);
    return take->copy != NULL ? 0 : -ENOMEM;
}

int tg_take_fill(struct tg_take *take)
{
    const size_t len = take->extension + take->len;
    if (take->copy == NULL) {
        return 0;
    }
    int r = 0;
    if (take->data != NULL) {
        memcpy(take->copy, take->data - take->extension, len);
    } else {
        r = tg_reader_read(&take->at->reader, take->from - take->extension, len, take->copy);
    }
    take->data = take->copy + take->extension;
    return r;
}

void tg_take_drop(struct tg_take *take)
{
    free(take->copy);
    take->copy = NULL;
}

static int make_private(const struct tg_box *box, struct tg_take *take)
{
    int r = tg_take_reserve(box, take);
    if (r == 0) {
        r = tg_take_fill(take);
    }
    if (r < 0) {
        tg_take_drop(take);
    }
    return r;
}

/* ---- what a message says of itself */

int tg_take_said(const struct tg_take *take, struct tg_said *ret_said)
{
    uint8_t bytes[TG_EXTENSION_MOST];
    const size_t len = take->extension;
    if (len > sizeof bytes) {
        return -EPROTO;
    }
    int r = 0;
    if (take->data != NULL) {
        tg_box_copy(bytes, take->data - len, len);
    } else {
        r = tg_reader_read(&take->at->reader, take->from - len, len, bytes);
    }
    return r == 0 ? tg_said_parse(bytes, len, ret_said) : r;
}

void tg_take_tell(struct tg_box *box, const struct tg_take *take, const struct tg_said *said)
{
    tong_message *info = take->info;
    if (info == NULL) {
        return;
    }
    const struct tg_reader *reader = &take->at->reader;
    info->deliveries = take->deliveries;
    info->len = take->len;
    info->sequence = tg_reader_full_sequence(reader, take->sequence);
    info->uid = reader->uid;
    info->gid = tg_load_relaxed(&reader->head->gid);
    info->pid = (int32_t)take->pid;
    info->verified = TONG_VERIFIED_UID;
    tg_from_tell_slow(box, take->at, info->sender);
    tg_said_tell(take->extension != 0 ? said : NULL, info);
}

/* What is to become of a message that was found. */
enum verdict {
    WANTED = 0,
    EXPIRED = 1,
    PASSED = 2,    /* one that was thrown away, look again */
    OVERTAKEN = 3, /* its sender gave it up meanwhile, what was read may be torn */
    UNWANTED = 4,  /* a late reply, or a request that is not asked again */
};

#define OVERTAKEN_MOST 16 /* so often in a row, then the call looks whether its time is over */

/* One that expires while it is handed out is a moment too late for that. state: of its entry, 0 it has
 * none. */
static int judge(const struct tg_box *box, struct tg_take *take, uint32_t state,
                 struct tg_said *ret_said)
{
    take->is_asked = false;
    take->answering = NULL;
    if (take->extension == 0) {
        return take->call == 0 ? WANTED : UNWANTED;
    }
    ret_said->attributes.deadline_ns = 0;
    const int r = tg_take_said(take, ret_said);
    if (r < 0) {
        return r;
    }
    take->is_asked = tg_request_is(ret_said);
    if (tg_said_is_over(ret_said->attributes.deadline_ns)) {
        return EXPIRED;
    }
    return !tg_request_is_reply(take, ret_said) || tg_request_is_over(box, ret_said, state)
               ? UNWANTED
               : WANTED;
}

static void note_expired(struct tg_box *box)
{
    tg_store_relaxed(&box->head->expired, tg_load_relaxed(&box->head->expired) + 1);
}

/* ---- returned ones */

/* The first but skip in that state that the present call may take. orphans: of those whose link is not
 * attached instead. */
static struct tg_box_entry *find_entry(struct tg_box *box, uint32_t wanted, uint32_t skip,
                                       bool orphans, uint32_t *ret_state)
{
    const uint32_t n = tg_load_relaxed(&box->head->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX; i++) {
        struct tg_box_entry *e = tg_claims_of(box, i);
        const uint32_t used = tg_load_acquire(&box->slots[i].entries);
        for (uint32_t k = 0; k < used && k < TG_CLAIMS_MAX; k++) {
            *ret_state = tg_load_acquire(&e[k].state);
            struct tg_attached *at = tg_claims_link_of(box, &e[k]);
            if (TG_ENTRY_STATE(*ret_state) == wanted && (at == NULL) == orphans &&
                (at == NULL || tg_from_is_wanted(box, at)) && skip-- == 0) {
                return &e[k];
            }
        }
    }
    return NULL;
}

/*
 * What was returned and whose link cannot be attached any more: its sender took the file away, or
 * the right to read it. Counted as waiting, it would keep everybody awake for nothing.
 */
static int drop_orphans(struct tg_box *box)
{
    uint32_t state;
    box->rx.stale = true;
    const int r = tg_links_refresh(box);
    if (r < 0) {
        return r;
    }
    struct tg_box_entry *entry;
    while ((entry = find_entry(box, TG_RETURNED, 0, true, &state)) != NULL) {
        tg_store_release(&entry->state, TG_ENTRY(TG_FREE, 0));
    }
    tg_claims_collect(box, false); /* counts anew */
    return 0;
}

static bool is_own(struct tg_box *box, const struct tg_box_entry *entry)
{
    const struct tg_box_entry *own = tg_claims_of(box, box->rx.slot);
    return entry >= own && entry < own + TG_CLAIMS_MAX;
}

/* Make the RETURNED entry a claim of this receiver. */
static int move_here(struct tg_box *box, struct tg_take *take, struct tg_box_entry *from,
                     uint32_t state)
{
    const uint32_t claimed = TG_ENTRY(TG_CLAIMED, TG_ENTRY_DELIVERIES(state));
    if (is_own(box, from)) {
        tg_store_release(&from->state, claimed);
        take->entry = from;
        return 0;
    }
    struct tg_box_entry *entry = NULL;
    const int r = tg_claims_free_entry(box, &entry);
    if (r < 0) {
        return r;
    }
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
    take->sequence = tg_load_relaxed(&entry->sequence);
    take->pid = tg_load_relaxed(&entry->pid);
    take->deliveries = TG_ENTRY_DELIVERIES(state);
    const uint64_t len = (uint64_t)take->len + take->extension;
    if (len > UINT32_MAX) {
        return -EPROTO;
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
                      uint32_t state)
{
    int r = 0;
    if (take->how == TG_TAKE_COPY) {
        r = take->len > take->size ? -EMSGSIZE : tg_take_copy(take, take->buf);
    } else if (take->how == TG_TAKE_CLAIM) {
        r = make_private(box, take);
    }
    if (tg_overtaken_entry(box, entry)) {
        r = OVERTAKEN;
    } else if (r == 0 && take->how == TG_TAKE_CLAIM) {
        r = move_here(box, take, entry, state);
    }
    if (r != 0) {
        tg_take_drop(take);
    }
    return r;
}

/* 1 taken, 0 it was nothing, TG_TAKE_TOO_OFTEN, -errno. */
static int serve_entry(struct tg_box *box, struct tg_take *take, struct tg_box_entry *entry,
                       uint32_t state)
{
    struct tg_said said;
    int r = view_entry(box, take, entry, state);
    r = r == 0 ? judge(box, take, state, &said) : r;
    if (tg_overtaken_entry(box, entry)) {
        one_returned_less(box);
        return 0;
    }
    const bool expired = r == EXPIRED;
    const bool thrown_away = expired || r == UNWANTED;
    if (!thrown_away && take->how != TG_TAKE_SKIP && is_too_often(box, state)) {
        return TG_TAKE_TOO_OFTEN;
    }
    if (r == WANTED) {
        if (take->how == TG_TAKE_LOOK) {
            return 1;
        }
        r = take_entry(box, take, entry, state);
        if (r == OVERTAKEN) {
            one_returned_less(box);
            return 0;
        }
        if (r == 0 || r == -EMSGSIZE) {
            tg_take_tell(box, take, &said);
        }
    }
    if (r < 0 && r != -EPROTO) {
        return r;
    }
    if (r >= 0) {
        tg_request_keep(box, take, thrown_away);
    }
    /* What its sender made unreadable is no message any more. */
    take->at->reader.damaged = take->at->reader.damaged || r == -EPROTO;
    if (r < 0 || thrown_away || take->how != TG_TAKE_CLAIM) {
        free_entry(box, take, entry);
    }
    one_returned_less(box);
    if (expired) {
        note_expired(box);
    }
    return r < 0 ? r : thrown_away ? 0 : 1;
}

/* The trouble of one is not the others': what cannot be read just now is passed over, and told
 * (*ret_error) if nothing else is there. */
static int take_returned(struct tg_box *box, struct tg_take *take, int *ret_error)
{
    uint32_t state;
    struct tg_box_entry *entry;
    for (uint32_t skip = 0; (entry = find_entry(box, TG_RETURNED, skip, false, &state)) != NULL;) {
        const int r = serve_entry(box, take, entry, state);
        if (r == TG_TAKE_TOO_OFTEN) {
            box->rx.too_often = entry;
        }
        if (r > 0 || r == -EMSGSIZE || r == -ENOBUFS) {
            return r;
        }
        if (r < 0) {
            *ret_error = r;
            skip += r == -EPROTO ? 0 : 1;
        }
    }
    const int r = *ret_error == 0 ? drop_orphans(box) : 0;
    *ret_error = r < 0 ? r : *ret_error;
    return 0;
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
    r = r == 0 ? make_private(box, take) : r;
    if (tg_overtaken_entry(box, entry)) {
        tg_take_drop(take);
        one_returned_less(box);
        return 0;
    }
    if (r == 0) {
        r = move_here(box, take, entry, state);
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
static int skip_parked(struct tg_box *box, struct tg_take *take)
{
    uint32_t state;
    struct tg_box_entry *entry = find_entry(box, TG_PARKED, 0, false, &state);
    if (entry == NULL) {
        tg_store_relaxed(&box->head->n_parked, UINT32_C(0));
        return 0;
    }
    (void)view_entry(box, take, entry, state);
    free_entry(box, take, entry);
    tg_claims_collect(box, false); /* counts the rest */
    return 1;
}

/* ---- fresh ones */

static int claim_fresh(struct tg_box *box, struct tg_take *take, const struct tg_message_view *view)
{
    struct tg_box_entry *entry = NULL;
    const int r = tg_claims_free_entry(box, &entry);
    if (r < 0) {
        return r;
    }
    tg_store_relaxed(&entry->row, take->at->reader.row);
    tg_store_relaxed(&entry->sequence, view->sequence);
    tg_store_relaxed(&entry->offset, (uint32_t)view->place);
    tg_store_relaxed(&entry->length, view->len);
    tg_store_relaxed(&entry->pid, view->pid);
    tg_store_relaxed(&entry->extension, view->extension);
    tg_store_release(&entry->state, TG_ENTRY(TG_CLAIMED, 1));
    if (box->lossy) {
        tg_overtaken_hand_out(take->at, view->sequence + 1);
    }
    /* The hand-out. release: the entry comes first, or a repair would take it for void. */
    tg_store_release(&take->at->row->next, view->next);
    tg_reader_advance(&take->at->reader, view);
    take->entry = entry;
    return 1;
}

static void consume_fresh(struct tg_box *box, struct tg_take *take,
                          const struct tg_message_view *view)
{
    struct tg_box_row *row = take->at->row;
    const bool nothing_out = tg_load_relaxed(&row->head) == tg_load_relaxed(&row->next);
    if (box->lossy) {
        tg_overtaken_hand_out(take->at, view->sequence + 1);
    }
    /* The consumption. release: the copy comes first. */
    tg_store_release(&row->next, view->next);
    tg_reader_advance(&take->at->reader, view);
    if (nothing_out) {
        tg_claims_free_room(box, take->at, view->next, view->sequence + 1);
    } else {
        tg_claims_collect_one(box, take->at);
    }
}

/* Asked behind all that was read of a message, and before anything is made of it. */
static bool is_overtaken(const struct tg_box *box, const struct tg_take *take)
{
    return box->lossy && tg_overtaken_message(take->at, take->sequence);
}

/* 1 taken, OVERTAKEN, -errno. */
static int hand_out(struct tg_box *box, struct tg_take *take, const struct tg_message_view *view)
{
    int r = 0;
    if (take->how == TG_TAKE_COPY && view->len > take->size) {
        return -EMSGSIZE;
    }
    if (view->len >= LONG_COPY) {
        box->rx.long_len = view->len;
    }
    if (take->how == TG_TAKE_CLAIM) {
        r = make_private(box, take);
        if (is_overtaken(box, take)) {
            r = OVERTAKEN;
        }
        r = r == 0 ? claim_fresh(box, take, view) : r;
        if (r != 1) {
            tg_take_drop(take);
        }
        return r;
    }
    if (take->how == TG_TAKE_COPY && view->len >= LONG_COPY && !box->lossy) {
        /* Without an entry it is copied under the token. */
        r = claim_fresh(box, take, view);
        if (r == 1) {
            return r;
        }
    }
    r = take->how == TG_TAKE_COPY ? tg_take_copy(take, take->buf) : 0;
    if (is_overtaken(box, take)) {
        return OVERTAKEN;
    }
    if (r < 0) {
        return r;
    }
    tg_request_keep(box, take, false);
    consume_fresh(box, take, view);
    return 1;
}

static void know_fresh(struct tg_attached *at, struct tg_take *take,
                       const struct tg_message_view *view)
{
    take->at = at;
    take->len = view->len;
    take->data = view->data;
    take->from = tg_place_offset(view->place) + TG_RECORD_HEAD + view->extension;
    take->extension = view->extension;
    take->sequence = view->sequence;
    take->pid = view->pid;
    take->deliveries = 1;
}

/* Find the next one. 1, 0, OVERTAKEN, -errno. */
static int find_fresh(struct tg_box *box, struct tg_attached *at, struct tg_message_view *ret_view)
{
    if (box->lossy) {
        const int r = tg_overtaken_settle(box, at);
        if (r != 0) {
            return r == 1 ? OVERTAKEN : r;
        }
    }
    const uint64_t next = tg_load_relaxed(&at->row->next);
    const int r = tg_reader_look(&at->reader, next, ret_view);
    return box->lossy && r != 0 && tg_overtaken(at, next) ? OVERTAKEN : r;
}

/* One try. 1, 0, PASSED, OVERTAKEN, -errno. */
static int try_fresh(struct tg_box *box, struct tg_attached *at, struct tg_take *take)
{
    struct tg_message_view view;
    int r = find_fresh(box, at, &view);
    if (r != 1) {
        return r;
    }
    know_fresh(at, take, &view);
    struct tg_said said;
    r = judge(box, take, 0, &said);
    if (r != WANTED && is_overtaken(box, take)) {
        return OVERTAKEN;
    }
    if (r == EXPIRED || r == UNWANTED) {
        tg_request_keep(box, take, true);
        consume_fresh(box, take, &view);
        if (r == EXPIRED) {
            note_expired(box);
        }
        return PASSED;
    }
    if (r < 0 || take->how == TG_TAKE_LOOK) {
        return r < 0 ? r : 1;
    }
    r = hand_out(box, take, &view);
    if (r == 1 || r == -EMSGSIZE) {
        tg_take_tell(box, take, &said);
    }
    return r;
}

static int take_fresh(struct tg_box *box, struct tg_attached *at, struct tg_take *take)
{
    if (box->capacity == 0) {
        return tg_rendezvous_take(box, at, take);
    }
    int r = PASSED;
    for (int tries = 0; (r == PASSED || r == OVERTAKEN) && tries < OVERTAKEN_MOST;) {
        r = try_fresh(box, at, take);
        tries += r == OVERTAKEN;
    }
    return r == OVERTAKEN ? 0 : r;
}

static void note_served(struct tg_receiver *rx, uint32_t index)
{
    rx->served = rx->cursor == index ? rx->served + 1 : 1;
    rx->cursor = index;
    if (rx->served >= IN_A_ROW) {
        rx->cursor = index + 1 < rx->n_attached ? index + 1 : 0;
        rx->served = 0;
    }
}

int tg_take_one(struct tg_box *box, struct tg_take *take)
{
    struct tg_receiver *rx = &box->rx;
    int error = 0;
    take->entry = NULL;
    if (tg_from_count_returned(box) != 0) {
        const int r = take_returned(box, take, &error);
        if (r == 1 && take->at != NULL) {
            tg_from_tell(box, take->at, take);
        }
        if (r != 0) {
            return r;
        }
    }
    if (rx->cursor >= rx->n_attached) {
        rx->cursor = 0;
    }
    const uint32_t first = rx->cursor;
    for (uint32_t k = 0; k < rx->n_attached; k++) {
        const uint32_t index = first + k < rx->n_attached ? first + k : first + k - rx->n_attached;
        struct tg_attached *at = rx->attached[index];
        if (at->reader.damaged || !tg_links_is_current(box, at) || !tg_from_is_wanted(box, at)) {
            continue;
        }
        const int r = take_fresh(box, at, take);
        if (r == 1) {
            note_served(rx, index);
            tg_from_tell(box, at, take);
        }
        if (r == -EPROTO) {
            at->reader.damaged = true;
        }
        if (r < 0 && r != -EMSGSIZE && r != -ENOBUFS) {
            rx->cursor = index + 1; /* this link's trouble is not the others' */
        }
        if (r != 0 && r != -EIDRM) {
            return r;
        }
    }
    if (error == 0 && take->how == TG_TAKE_SKIP && tg_load_relaxed(&box->head->n_parked) != 0) {
        return skip_parked(box, take);
    }
    return error;
}
