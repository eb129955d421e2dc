/*
 * Capacity 0: a send returns when its message was taken.
 *
 * The sender writes the message at a place, and offers it: offer = {number, place}. A receiver says
 * which offer it is deciding (grant), looks for a withdrawal, and gives the verdict, which is the one
 * point of decision. Numbers only grow, over take-overs too.
 *
 *   sender at its time-out                     receiver, token held
 *   withdrawn = s                              grant = {s, me}
 *   fence                                      fence
 *   read grant, then verdict                   read withdrawn: >= s? verdict = REFUSED
 *                                              else entry, verdict = TAKEN, then read the message
 *
 * I1  Of the two fences one comes first: the receiver sees the withdrawal, or the sender sees the
 *     grant and waits for the verdict. So a withdrawn message is never delivered.
 * I2  A verdict TAKEN stands behind its entry: killed between the two, the entry is void; killed
 *     behind both, the message is delivered again, marked.
 * I3  The record is read only after TAKEN: before it the place may be written anew.
 * I4  The granter is named in the grant, slot and generation: if it is dead or has left, its verdict,
 *     if there is one, is visible, and is read once more.
 * I5  A place is used again when its offer was withdrawn, or all that was taken is finished.
 */
#include <errno.h>
#include <string.h>

#include "mailbox/select.h"

#define LONG_COPY 65536u
#define OFFERS_MOST 16 /* that a sender may withdraw while one looks */
#define TRY_NS 1000000 /* a send that must not wait offers for this long */

static uint32_t number_of(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

/* a comes after b. */
static bool is_later(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

/* ---- sender */

static uint64_t verdict_now(struct tg_box *box)
{
    /* acquire: TAKEN comes behind everything the receiver did before. */
    return tg_sender_place(box).known ? tg_load_acquire(&box->rows[box->tx.writer.row].verdict) : 0;
}

static bool is_taken(struct tg_box *box, uint32_t s)
{
    return verdict_now(box) == ((uint64_t)s << 32 | TG_TAKEN);
}

static bool has_verdict(struct tg_box *box)
{
    return number_of(verdict_now(box)) == box->tx.offer;
}

bool tg_rendezvous_is_decided(struct tg_box *box)
{
    return has_verdict(box);
}

bool tg_rendezvous_all_finished(struct tg_box *box)
{
    const struct tg_link_place place = tg_sender_place(box);
    if (!place.known) {
        return true;
    }
    const uint64_t verdict = tg_load_acquire(&box->rows[box->tx.writer.row].verdict);
    const uint64_t head = tg_load_acquire(&box->rows[box->tx.writer.row].head);
    return verdict == 0 || number_of(head) == number_of(verdict) + 1;
}

/* Whether the receiver that a grant names is still there (I4). */
static bool is_granter_alive(struct tg_box *box, uint64_t grant)
{
    const uint32_t slot = (uint32_t)grant & 0xffff;
    const uint32_t gen = (uint32_t)grant >> 16;
    if (tg_sight_fetch_slots(&box->sight) < 0) {
        return false;
    }
    if (slot >= TG_SLOTS_MAX || slot >= tg_load_acquire(&box->head->n_slots)) {
        return false;
    }
    const uint64_t owner = tg_load_acquire(&box->slots[slot].owner);
    return owner != 0 && (tg_load_acquire(&box->slots[slot].gen) & 0xffff) == gen &&
           tg_life_is_alive_of(box->root, owner, box->dir_uid);
}

/* Take the offer s back. True: too late, it was taken. */
static bool withdraw(struct tg_box *box, uint32_t s)
{
    tg_store_release(&box->tx.writer.head->withdrawn, (uint64_t)s);
    /* Partner: the fence in decide. */
    tg_fence();
    for (uint32_t looks = 0;; looks++) {
        if (!tg_sender_place(box).known) {
            return false;
        }
        const struct tg_box_row *row = &box->rows[box->tx.writer.row];
        /* acquire, the grant first: a verdict that follows it is then seen by the next look. */
        const uint32_t bell = tg_load_acquire(&row->bell);
        const uint64_t grant = tg_load_acquire(&row->grant);
        const uint64_t verdict = tg_load_acquire(&row->verdict);
        if (number_of(verdict) == s) {
            return (uint32_t)verdict == TG_TAKEN;
        }
        if (number_of(grant) != s) {
            return false;
        }
        if (!is_granter_alive(box, grant)) {
            return is_taken(box, s);
        }
        /* The granter is within a few instructions of its verdict, unless it is stopped. */
        if (looks < 1000) {
            tg_pause();
        } else {
            (void)tg_sys_futex_wait(tg_sight_word(&box->sight, &row->bell), bell,
                                    tg_now_ns() + TRY_NS);
        }
    }
}

bool tg_rendezvous_is_awaited(struct tg_box *box)
{
    if (tg_sight_fetch_slots(&box->sight) < 0) {
        return false;
    }
    const uint32_t n = tg_load_acquire(&box->head->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX; i++) {
        const uint64_t owner = tg_load_acquire(&box->slots[i].owner);
        const bool waits = tg_load_acquire(&box->slots[i].waiting) != 0 ||
                           tg_load_acquire(&box->slots[i].armed) != 0;
        if (owner != 0 && waits && tg_life_is_alive_of(box->root, owner, box->dir_uid)) {
            return true;
        }
    }
    return false;
}

static void make_offer(struct tg_box *box, const struct tg_offering *o)
{
    struct tg_writer *w = &box->tx.writer;
    const uint32_t next = box->tx.offer + 1;
    box->tx.offer = next != 0 ? next : 1;
    tg_store_release(&w->head->offer_len, (uint32_t)(o->len - o->extension));
    tg_store_release(&w->head->offer_extension, o->extension);
    tg_store_release(&w->head->offer_deadline, o->deadline_ns);
    tg_store_release(&w->head->offer_tag, o->about.tag);
    tg_store_release(&w->head->offer_key, o->about.key);
    tg_store_release(&w->head->offer_priority, o->about.priority);
    /* release: record and lengths are whole first. */
    tg_store_release(&w->head->offer, tg_place(box->tx.offer, tg_writer_reserved_offset(w)));
    tg_sender_ring(box, false);
}

/* Wait until the offer is decided. 0 decided; else why the wait is over. */
static int wait_for_verdict(struct tg_box *box, int64_t deadline, uint32_t interrupts)
{
    const bool spun = tg_sender_spin(box, has_verdict);
    for (;;) {
        if (spun || has_verdict(box)) {
            return 0;
        }
        int r = tg_box_check(box);
        if (r < 0) {
            return r;
        }
        if (tg_box_is_interrupted(box, interrupts)) {
            return -ECANCELED;
        }
        if (tg_is_over(deadline)) {
            return -ETIMEDOUT;
        }
        r = tg_sender_sleep(box, deadline, interrupts, has_verdict);
        if (r < 0) {
            return r;
        }
    }
}

/* Nobody takes it behind its deadline, so nobody needs to wait longer. */
static int64_t sooner(int64_t deadline, uint64_t deadline_ns)
{
    if (deadline_ns == 0) {
        return deadline;
    }
    const int64_t left = (int64_t)deadline_ns - tg_boot_ns();
    const int64_t end = tg_now_ns() + (left > 0 ? left : 0);
    return end < deadline ? end : deadline;
}

int tg_rendezvous_send(struct tg_box *box, const struct tg_offering *o, int64_t deadline,
                       uint32_t interrupts)
{
    struct tg_writer *w = &box->tx.writer;
    const bool must_not_wait = deadline == 0;
    if (must_not_wait) {
        if (!tg_rendezvous_is_awaited(box)) {
            tg_writer_abort(w);
            return -EAGAIN;
        }
        deadline = tg_now_ns() + TRY_NS;
    }
    deadline = sooner(deadline, o->deadline_ns);
    make_offer(box, o);
    const int r = wait_for_verdict(box, deadline, interrupts);
    const bool taken = r == 0 ? is_taken(box, box->tx.offer) : withdraw(box, box->tx.offer);
    if (taken) {
        tg_writer_taken(w, o->len);
        return 0;
    }
    tg_writer_abort(w);
    return must_not_wait && r == -ETIMEDOUT ? -EAGAIN : r;
}

void tg_rendezvous_settle(struct tg_box *box)
{
    const uint64_t verdict = verdict_now(box);
    if (box->tx.offer != 0 && is_later(box->tx.offer, number_of(verdict))) {
        (void)withdraw(box, box->tx.offer);
    }
}

/* ---- receiver */

bool tg_rendezvous_hint(const struct tg_attached *at)
{
    const struct tg_link_head *head = at->reader.head;
    if (tg_reader_refresh(&at->reader) < 0) {
        return true; /* who looks says what is wrong */
    }
    const uint32_t s = number_of(tg_load_acquire(&head->offer));
    /* acquire, behind the offer: the deadline is not an older one's. */
    return !tg_said_is_over(tg_load_acquire(&head->offer_deadline)) &&
           is_later(s, number_of(tg_load_relaxed(&at->row->verdict))) &&
           is_later(s, (uint32_t)tg_load_relaxed(&head->withdrawn));
}

static void ring_later(struct tg_box *box, struct tg_attached *at)
{
    if (!at->ring_due) {
        at->ring_due = true;
        box->rx.ring_one = box->rx.ring_due ? NULL : at;
        box->rx.ring_due = true;
    }
}

struct offer {
    uint64_t word; /* number and place */
    uint32_t len;
    uint32_t extension; /* bytes before it */
    struct tg_about about;
};

/* The decision. True: taken. */
static bool decide(struct tg_box *box, struct tg_attached *at, struct tg_box_entry *entry,
                   const struct offer *offer, uint64_t key)
{
    struct tg_box_row *row = at->row;
    const uint32_t s = number_of(offer->word);
    const uint32_t gen = tg_load_relaxed(&box->slots[box->rx.slot].gen) & 0xffff;
    tg_store_release(&row->grant, (uint64_t)s << 32 | (uint64_t)gen << 16 | box->rx.slot);
    /* Partner: the fence in withdraw. */
    tg_fence();
    const bool damaged = tg_reader_refresh(&at->reader) < 0;
    const uint32_t withdrawn = (uint32_t)tg_load_acquire(&at->reader.head->withdrawn);
    if (damaged || !is_later(s, withdrawn)) {
        tg_store_release(&row->verdict, (uint64_t)s << 32 | TG_REFUSED);
        tg_claims_collect_one(box, at);
        ring_later(box, at);
        return false;
    }
    tg_keys_take(box, key);
    tg_store_relaxed(&entry->row, at->reader.row);
    tg_store_relaxed(&entry->sequence, s);
    tg_store_relaxed(&entry->offset, (uint32_t)offer->word);
    tg_store_relaxed(&entry->length, offer->len);
    tg_store_relaxed(&entry->extension, offer->extension);
    tg_store_relaxed(&entry->pid, tg_load_relaxed(&at->reader.head->pid));
    tg_store_release(&entry->state, TG_ENTRY(TG_CLAIMED, 1));
    /* release: the entry first (I2). */
    tg_store_release(&row->verdict, (uint64_t)s << 32 | TG_TAKEN);
    ring_later(box, at);
    return true;
}

/* What was taken is copied or thrown away at once, unless it is claimed or long. -EPROTO: another
 * user's bytes that are no more there. */
static int consume(struct tg_box *box, struct tg_attached *at, struct tg_take *take)
{
    struct tg_said said;
    int r = take->extension != 0 ? tg_take_said(take, &said) : 0;
    take->is_asked = r == 0 && take->extension != 0 && tg_request_is(&said);
    take->answering = NULL;
    if (take->how == TG_TAKE_CLAIM) {
        r = r == 0 ? tg_take_fill(take) : r;
        if (r == 0) {
            tg_take_tell(box, take, &said);
            return r;
        }
        tg_take_drop(take);
    } else if (r == 0 && take->how == TG_TAKE_COPY) {
        tg_take_tell(box, take, &said);
        if (take->len >= LONG_COPY) {
            return r;
        }
        r = tg_take_copy(take, take->buf);
    }
    if (r < 0 && r != -EPROTO) {
        /* Its sender was told that it is received: it waits for who can read it. */
        tg_store_release(&take->entry->state, TG_ENTRY(TG_RETURNED, 1));
        take->entry = NULL;
        tg_claims_collect(box, false);
        return r;
    }
    tg_request_leave(box, take, r < 0);
    take->entry = NULL;
    tg_claims_note_done(box, 1);
    tg_claims_collect_one(box, at);
    return r;
}

/* The offer that is open: 1, 0 there is none, -EPROTO. */
static int see_offer(const struct tg_attached *at, struct offer *ret_offer)
{
    const struct tg_link_head *head = at->reader.head;
    for (int tries = 0; tries < OFFERS_MOST; tries++) {
        int r = tg_reader_refresh(&at->reader);
        /* acquire: length and record are those of this offer, or of a later one. */
        const uint64_t offer = tg_load_acquire(&head->offer);
        r = r == 0 ? tg_reader_refresh(&at->reader) : r;
        if (r < 0) {
            return r;
        }
        const uint32_t len = tg_load_acquire(&head->offer_len);
        const uint32_t extension = tg_load_acquire(&head->offer_extension);
        const uint64_t deadline_ns = tg_load_acquire(&head->offer_deadline);
        const struct tg_about about = { .tag = tg_load_acquire(&head->offer_tag),
                                        .key = tg_load_acquire(&head->offer_key),
                                        .priority = tg_load_acquire(&head->offer_priority) };
        const uint32_t s = number_of(offer);
        if (!is_later(s, number_of(tg_load_relaxed(&at->row->verdict)))) {
            return 0;
        }
        if (is_later(s, (uint32_t)tg_load_acquire(&head->withdrawn))) {
            if (tg_said_is_over(deadline_ns)) {
                return 0;
            }
            *ret_offer =
                (struct offer){ .word = offer, .len = len, .extension = extension, .about = about };
            return extension <= TG_EXTENSION_MOST && extension % 16 == 0 &&
                           extension <= UINT32_MAX - len
                       ? 1
                       : -EPROTO;
        }
        if (tg_load_acquire(&head->offer) == offer) {
            return 0;
        }
    }
    return 0; /* no sender withdraws so often while one looks, unless it wants to keep a receiver busy */
}

/* All that can fail comes before the verdict: what was taken is this receiver's. */
static int prepare(struct tg_box *box, struct tg_take *take, const struct offer *offer,
                   struct tg_box_entry **ret_entry)
{
    const uint64_t offset = tg_place_offset(offer->word);
    take->len = offer->len;
    take->extension = offer->extension;
    take->from = offset + TG_RECORD_HEAD + offer->extension;
    int r = tg_reader_find(&take->at->reader, offset, offer->len + offer->extension, &take->data);
    if (r == 0) {
        take->data = take->data != NULL ? take->data + offer->extension : NULL;
        r = tg_claims_free_entry(box, ret_entry);
    }
    return r == 0 ? tg_take_reserve(box, take) : r;
}

int tg_rendezvous_see(struct tg_box *box, struct tg_attached *at, const struct tg_viewer *viewer)
{
    struct offer offer;
    const int r = see_offer(at, &offer);
    return r == 1 && tg_select_judge(box, viewer, at, &offer.about) != TG_MINE ? 0 : r;
}

int tg_rendezvous_take(struct tg_box *box, struct tg_attached *at, struct tg_take *take)
{
    const struct tg_viewer me = tg_select_me(box);
    for (;;) {
        struct offer offer;
        int r = see_offer(at, &offer);
        if (r == 1 && tg_select_judge(box, &me, at, &offer.about) != TG_MINE) {
            return 0;
        }
        if (r != 1 || take->how == TG_TAKE_LOOK) {
            return r;
        }
        take->at = at;
        take->sequence = take->handed = number_of(offer.word);
        take->pid = tg_load_relaxed(&at->reader.head->pid);
        take->deliveries = 1;
        if (take->how == TG_TAKE_COPY && offer.len > take->size) {
            /* Of one that is not taken its length and its sender alone are known (I3). */
            take->len = offer.len;
            take->extension = 0;
            tg_take_tell(box, take, NULL);
            return -EMSGSIZE;
        }
        struct tg_box_entry *entry = NULL;
        r = prepare(box, take, &offer, &entry);
        if (r < 0) {
            return r;
        }
        if (!decide(box, at, entry, &offer, take->how != TG_TAKE_SKIP ? offer.about.key : 0)) {
            tg_take_drop(take);
            continue;
        }
        take->entry = entry;
        r = consume(box, at, take);
        return r < 0 ? r : 1;
    }
}
