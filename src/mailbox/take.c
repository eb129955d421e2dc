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
#include "mailbox/take.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

static bool hint_for(struct tg_box *box, const struct tg_wish *wish)
{
    if (tg_load_relaxed(&box->head->n_returned) != 0 || tg_links_stale(box)) {
        return true;
    }
    if (box->way != NULL) {
        return tg_carried_hint(box);
    }
    for (uint32_t i = 0; i < box->rx.n_attached; i++) {
        struct tg_attached *at = box->rx.attached[i];
        if (at->reader.damaged || !tg_select_link(box, wish, at)) {
            continue;
        }
        if (hint_of_link(box, at)) {
            return true;
        }
    }
    return hint_of_users(box);
}

bool tg_take_hint(struct tg_box *box)
{
    return hint_for(box, &box->rx.wish);
}

bool tg_take_hint_any(struct tg_box *box)
{
    const struct tg_wish all = { .only = NULL };
    return hint_for(box, &all);
}

bool tg_take_hint_above(struct tg_box *box, const struct tg_attached *at)
{
    struct tg_attached *const *attached = box->rx.attached;
    for (uint32_t i = 0; i < box->rx.n_attached && attached[i]->lane > at->lane; i++) {
        if (!attached[i]->reader.damaged && hint_of_link(box, attached[i])) {
            return true;
        }
    }
    return false;
}

/* For who takes whatever comes. */
static uint32_t count_link(struct tg_box *box, struct tg_attached *at)
{
    if (at->reader.damaged || !tg_links_is_current(box, at)) {
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
    free(take->body);
    take->copy = NULL;
    take->body = NULL;
}

int tg_take_make_private(const struct tg_box *box, struct tg_take *take)
{
    if (take->body != NULL) {
        return 0; /* it is */
    }
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
    /* A link's file is its sender's; which link a carried message is of, whoever may put into the queue says. */
    const bool is_told = box->carry != NULL && (box->mode & 0077) != 0;
    info->verified = is_told ? 0 : TONG_VERIFIED_UID;
    tg_from_tell_slow(box, take->at, info->sender);
    tg_said_tell(take->extension != 0 ? said : NULL, info);
}

#define OVERTAKEN_MOST 16 /* so often in a row, then the call looks whether its time is over */

int tg_take_judge(const struct tg_box *box, struct tg_take *take, uint32_t state,
                  struct tg_said *ret_said)
{
    take->is_asked = false;
    take->answering = NULL;
    ret_said->attributes.deadline_ns = 0;
    ret_said->attributes.tag = 0;
    ret_said->attributes.key = 0;
    ret_said->attributes.priority = 0;
    if (take->extension == 0) {
        return take->call == 0 ? TG_WANTED : TG_UNWANTED;
    }
    const int r = tg_take_said(take, ret_said);
    if (r < 0) {
        return r;
    }
    take->is_asked = tg_request_is(ret_said);
    if (tg_said_is_over(ret_said->attributes.deadline_ns)) {
        return TG_EXPIRED;
    }
    return !tg_request_is_reply(take, ret_said) || tg_request_is_over(box, ret_said, state)
               ? TG_UNWANTED
               : TG_WANTED;
}

void tg_take_note_expired(struct tg_box *box)
{
    tg_store_relaxed(&box->head->expired, tg_load_relaxed(&box->head->expired) + 1);
}

/* ---- fresh ones */

void tg_take_hand_out(struct tg_box *box, const struct tg_take *take,
                      const struct tg_message_view *view, struct tg_box_entry *entry,
                      uint32_t state)
{
    tg_store_relaxed(&entry->row, take->at->reader.row);
    tg_store_relaxed(&entry->sequence, view->sequence);
    tg_store_relaxed(&entry->offset, (uint32_t)view->place);
    tg_store_relaxed(&entry->length, view->len);
    tg_store_relaxed(&entry->pid, view->pid);
    tg_store_relaxed(&entry->extension, view->extension);
    tg_store_release(&entry->state, state);
    if (box->lossy) {
        tg_overtaken_hand_out(take->at, view->sequence + 1);
    }
    /* The hand-out. release: the entry comes first, or a repair would take it for void. */
    tg_store_release(&take->at->row->next, view->next);
    tg_reader_advance(&take->at->reader, view);
}

static int claim_fresh(struct tg_box *box, struct tg_take *take, const struct tg_message_view *view,
                       uint64_t key)
{
    struct tg_box_entry *entry = NULL;
    const int r = tg_claims_free_entry(box, &entry);
    if (r < 0) {
        return r;
    }
    tg_keys_take(box, key);
    tg_take_hand_out(box, take, view, entry, TG_ENTRY(TG_CLAIMED, 1));
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

void tg_take_throw_away(struct tg_box *box, struct tg_take *take,
                        const struct tg_message_view *view, int verdict)
{
    tg_request_keep(box, take, true);
    consume_fresh(box, take, view);
    if (verdict == TG_EXPIRED) {
        tg_take_note_expired(box);
    }
}

/* Asked behind all that was read of a message, and before anything is made of it. */
static bool is_overtaken(const struct tg_box *box, const struct tg_take *take)
{
    return box->lossy && tg_overtaken_message(take->at, take->sequence);
}

static bool fits(const struct tg_take *take, size_t len)
{
    return take->how != TG_TAKE_COPY || len <= take->size;
}

/* 1 taken, TG_OVERTAKEN, -errno. key: 0, or what is this receiver's from now on, if it is taken. */
static int hand_out(struct tg_box *box, struct tg_take *take, const struct tg_message_view *view,
                    uint64_t key)
{
    int r = 0;
    if (!fits(take, view->len)) {
        return -EMSGSIZE;
    }
    if (view->len >= LONG_COPY) {
        box->rx.long_len = view->len;
    }
    if (take->how == TG_TAKE_CLAIM) {
        r = tg_take_make_private(box, take);
        if (is_overtaken(box, take)) {
            r = TG_OVERTAKEN;
        }
        r = r == 0 ? claim_fresh(box, take, view, key) : r;
        if (r != 1) {
            tg_take_drop(take);
        }
        return r;
    }
    if (take->how == TG_TAKE_COPY && view->len >= LONG_COPY && !box->lossy) {
        /* Without an entry it is copied under the token. */
        r = claim_fresh(box, take, view, key);
        if (r == 1) {
            return r;
        }
    }
    r = take->how == TG_TAKE_COPY ? tg_take_copy(take, take->buf) : 0;
    if (is_overtaken(box, take)) {
        return TG_OVERTAKEN;
    }
    if (r < 0) {
        return r;
    }
    tg_keys_take(box, key);
    tg_request_keep(box, take, false);
    consume_fresh(box, take, view);
    return 1;
}

void tg_take_know(struct tg_attached *at, struct tg_take *take, const struct tg_message_view *view)
{
    take->at = at;
    take->len = view->len;
    take->data = view->data;
    take->from = tg_place_offset(view->place) + TG_RECORD_HEAD + view->extension;
    take->extension = view->extension;
    take->sequence = take->handed = view->sequence;
    take->pid = view->pid;
    take->deliveries = 1;
}

/* Find the next one. 1, 0, TG_OVERTAKEN, -errno. */
static int find_fresh(struct tg_box *box, struct tg_attached *at, struct tg_message_view *ret_view)
{
    if (box->lossy) {
        const int r = tg_overtaken_settle(box, at);
        if (r != 0) {
            return r == 1 ? TG_OVERTAKEN : r;
        }
    }
    const uint64_t next = tg_load_relaxed(&at->row->next);
    const int r = tg_reader_look(&at->reader, next, ret_view);
    return box->lossy && r != 0 && tg_overtaken(at, next) ? TG_OVERTAKEN : r;
}

/* Of several records the one that this call may take, made the first of its link. 1; 0: there is none;
 * TG_PASSED: it is now, look again; TG_OVERTAKEN, -errno. */
static int choose(struct tg_box *box, struct tg_take *take, struct tg_message_view *view,
                  struct tg_said *said)
{
    const struct tg_viewer me = tg_select_me(box);
    uint32_t ahead;
    int r = tg_select_find(box, &me, take, view, said, &ahead);
    if (r != 1 || ahead == 0 || take->how == TG_TAKE_LOOK) {
        return r;
    }
    if (!fits(take, view->len)) {
        tg_take_tell(box, take, said);
        return -EMSGSIZE;
    }
    r = tg_select_pass_over(box, take->at, ahead);
    return r == 1 ? TG_PASSED : r;
}

/* One try. 1, 0, TG_PASSED, TG_OVERTAKEN, -errno. */
static int try_fresh(struct tg_box *box, struct tg_attached *at, struct tg_take *take)
{
    struct tg_message_view view;
    int r = find_fresh(box, at, &view);
    if (r != 1) {
        return r;
    }
    tg_take_know(at, take, &view);
    struct tg_said said;
    r = tg_take_judge(box, take, 0, &said);
    if (r != TG_WANTED && is_overtaken(box, take)) {
        return TG_OVERTAKEN;
    }
    if (r == TG_EXPIRED || r == TG_UNWANTED) {
        tg_take_throw_away(box, take, &view, r);
        return TG_PASSED;
    }
    if (r == TG_WANTED && (box->rx.wish.selects || tg_select_is_used(box))) {
        r = choose(box, take, &view, &said);
        if (r != 1) {
            return r;
        }
    }
    if (r < 0 || take->how == TG_TAKE_LOOK) {
        return r < 0 ? r : 1;
    }
    r = hand_out(box, take, &view, take->how != TG_TAKE_SKIP ? said.attributes.key : 0);
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
    int r = TG_PASSED;
    for (int tries = 0; (r == TG_PASSED || r == TG_OVERTAKEN) && tries < OVERTAKEN_MOST;) {
        r = try_fresh(box, at, take);
        tries += r == TG_OVERTAKEN;
    }
    return r == TG_OVERTAKEN ? 0 : r;
}

/* ---- how many wait */

/* Of a link's new ones, for who does not take whatever comes. What cannot be read is one. */
static uint32_t count_ahead(struct tg_box *box, struct tg_attached *at,
                            const struct tg_viewer *viewer, uint32_t most)
{
    struct tg_take take = { .how = TG_TAKE_LOOK };
    struct tg_message_view view;
    struct tg_said said;
    uint32_t ahead;
    uint32_t n = 0;
    if (box->capacity == 0) {
        return tg_rendezvous_see(box, at, viewer) != 0 ? 1 : 0;
    }
    int r = find_fresh(box, at, &view);
    while (r == 1 && n < most) {
        tg_take_know(at, &take, &view);
        r = tg_select_find(box, viewer, &take, &view, &said, &ahead);
        if (r == 1) {
            n++;
            r = tg_reader_look(&at->reader, view.next, &view);
        }
    }
    if (n != 0) {
        (void)tg_reader_look(&at->reader, tg_load_relaxed(&at->row->next), &view);
    }
    return n == 0 && r != 0 ? 1 : n;
}

static uint32_t count_exactly(struct tg_box *box, const struct tg_viewer *viewer, uint32_t most)
{
    box->rx.look++;
    const bool any = tg_load_relaxed(&box->head->n_returned) != 0;
    /* Who looks drops those that nobody can read. */
    uint32_t n = any && tg_returned_scan(box) != 0 ? 1 : 0;
    for (uint32_t i = 0; i < box->rx.n_attached && n < most; i++) {
        struct tg_attached *at = box->rx.attached[i];
        if (at->reader.damaged || !tg_links_is_current(box, at) ||
            !tg_select_link(box, &viewer->wish, at)) {
            continue;
        }
        tg_returned_know(box, at);
        n += at->n_returned != 0 ? tg_returned_count(box, at, viewer, most - n) : 0;
        n +=
            at->waits || n >= most || box->way != NULL ? 0 : count_ahead(box, at, viewer, most - n);
    }
    return n < most && box->way != NULL ? n + tg_carried_count(box, viewer) : n;
}

uint32_t tg_take_count(struct tg_box *box, const struct tg_viewer *viewer, uint32_t most)
{
    if (!tg_select_is_simple(box, viewer)) {
        return count_exactly(box, viewer, most);
    }
    uint32_t n = tg_load_relaxed(&box->head->n_returned);
    if (box->way != NULL) {
        n += tg_carried_count(box, viewer);
        return n < most ? n : most;
    }
    for (uint32_t i = 0; i < box->rx.n_attached && n < most; i++) {
        n += count_link(box, box->rx.attached[i]);
    }
    return n < most ? n : most;
}

/* ---- taking one */

static void note_served(struct tg_receiver *rx, uint32_t index)
{
    rx->served = rx->cursor == index ? rx->served + 1 : 1;
    rx->cursor = index;
    if (rx->served >= IN_A_ROW) {
        rx->cursor = index + 1 < rx->n_attached ? index + 1 : 0;
        rx->served = 0;
    }
}

/* What is new of the links of a lane. As tg_take_one(). */
static int take_new(struct tg_box *box, struct tg_take *take, uint32_t begin, uint32_t end)
{
    struct tg_receiver *rx = &box->rx;
    const uint32_t first = rx->cursor >= begin && rx->cursor < end ? rx->cursor : begin;
    for (uint32_t k = begin; k < end && end <= rx->n_attached; k++) {
        const uint32_t ahead = first + (k - begin);
        const uint32_t index = ahead < end ? ahead : ahead - (end - begin);
        struct tg_attached *at = rx->attached[index];
        if (at->reader.damaged || !tg_links_is_current(box, at) ||
            !tg_select_link(box, &rx->wish, at)) {
            continue;
        }
        tg_returned_know(box, at);
        if (at->waits) {
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
    return 0;
}

static int take_returned(struct tg_box *box, struct tg_take *take, uint32_t begin, uint32_t end,
                         int *ret_error)
{
    const int r = tg_returned_take(box, take, begin, end, ret_error);
    if (r == 1 && take->at != NULL) {
        tg_from_tell(box, take->at, take);
    }
    return r;
}

/* The highest lane first, and of each what came back first. */
static int take_by_lanes(struct tg_box *box, struct tg_take *take, bool returned, int *ret_error)
{
    int r = 0;
    for (uint32_t begin = 0, end; r == 0 && begin < box->rx.n_attached; begin = end) {
        end = box->by_priority ? tg_lane_end(box, begin) : box->rx.n_attached;
        r = returned ? take_returned(box, take, begin, end, ret_error) : 0;
        if (r == 0 && box->way == NULL) {
            r = take_new(box, take, begin, end);
        }
    }
    return r;
}

int tg_take_one(struct tg_box *box, struct tg_take *take)
{
    int error = 0;
    const bool returned = tg_load_relaxed(&box->head->n_returned) != 0;
    take->entry = NULL;
    box->rx.look++;
    if (returned) {
        error = tg_returned_begin(box);
    }
    int r = take_by_lanes(box, take, returned, &error);
    if (r == 0 && box->way != NULL) {
        r = tg_carried_take(box, take);
    }
    if (r != 0) {
        return r;
    }
    if (error == 0 && take->how == TG_TAKE_SKIP && tg_load_relaxed(&box->head->n_parked) != 0) {
        return tg_returned_skip_parked(box, take);
    }
    return error;
}
