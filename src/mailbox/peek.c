/*
 * An observer of a mailbox: sees messages and takes none.
 *
 * It begins with what is there: waiting, handed out and not done, given back. Then comes what is sent, of
 * each link in its order, of several links as they are found. It is nobody to the others: it writes no
 * word, holds no lock, and nobody rings it; so it looks again and again, at longer and longer intervals.
 * What came and went between two looks may be written over by then (link/peek.c), and is counted.
 *
 * A link that came and went between two looks is noticed by the sum of finished messages: what it grew by is
 * told, or missed. The sum is read before a look, so that what it counts is seen by the look; and it counts only
 * where all links are seen to their ends. To everyone there is no such sum.
 *
 * At capacity 0 there is one message at most in a link, the one on offer: it was whole if it is still the same
 * offer, undecided and not taken back, behind the copy. Numbers are those of offers; only the sum tells of
 * what was missed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
#include "mailbox/box.h"

#define PAUSE_LEAST_NS INT64_C(1000000)
#define PAUSE_MOST_NS INT64_C(16000000)

struct observed {
    struct tg_peeker peeker;
    uint32_t
        done_before; /* messages before this number that are in nobody's hand were done when it began */
    bool damaged;
};

struct tg_observer {
    struct tg_root *root;
    struct tg_box_view view;
    struct tg_gate gate;
    uint32_t fork_count;
    bool begun; /* links found from now on are new */
    struct observed *links;
    uint32_t n_links;
    uint32_t links_room;
    uint32_t cursor;
    uint64_t missed; /* of links that were seen */
    uint64_t told;
    uint64_t done_at_open;
    uint64_t unseen;                 /* of others */
    uint8_t known[TG_LINKS_MAX / 8]; /* rows with a link in links */
};

/* ---- links */

/* For tg_link_place_fn. */
struct row_of {
    struct tg_observer *o;
    const struct tg_peeker *p;
};

static struct tg_link_place place_of(void *arg)
{
    const struct row_of *of = arg;
    const struct tg_box_view *view = &of->o->view;
    if (view->books != NULL) {
        const struct tg_link_of link = { .row = of->p->row,
                                         .link_id = of->p->link_id,
                                         .first = tg_load_relaxed(&of->p->head->oldest) };
        return tg_view_reach(of->o->root, view, &link).place;
    }
    if (tg_sight_fetch_row(&view->sight, of->p->row) < 0) {
        return (struct tg_link_place){ .known = false };
    }
    return tg_row_place(view->head, view->rows, of->p->row, of->p->link_id);
}

static bool is_rendezvous(const struct tg_observer *o)
{
    return tg_load_relaxed(&o->view.head->capacity) == 0;
}

static uint32_t number_of(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

/* The last offer that was decided. */
static uint32_t verdict_of(struct tg_observer *o, const struct tg_peeker *p)
{
    struct row_of of = { .o = o, .p = p };
    return place_of(&of).known ? number_of(tg_load_acquire(&o->view.rows[p->row].verdict)) : 0;
}

static bool is_open(struct tg_observer *o, const struct tg_peeker *p, uint32_t offer)
{
    return offer != 0 && (int32_t)(offer - verdict_of(o, p)) > 0 &&
           (int32_t)(offer - (uint32_t)tg_load_relaxed(&p->head->withdrawn)) > 0;
}

/* Where a link's messages begin for this observer. */
static void stand(struct tg_observer *o, struct observed *link)
{
    struct tg_peeker *p = &link->peeker;
    struct row_of of = { .o = o, .p = p };
    const bool drops = tg_load_relaxed(&o->view.head->full) == TONG_DROP_OLDEST;
    const bool to_all = o->view.books != NULL;
    p->lossy = drops || to_all; /* `oldest` says what may be written over */
    if (is_rendezvous(o)) {
        const uint32_t offer = number_of(tg_load_relaxed(&p->head->offer));
        p->expected = !o->begun ? offer + !is_open(o, p, offer) : 1;
        return;
    }
    const struct tg_link_place place = place_of(&of);
    link->done_before = p->expected;
    if (!o->begun && place.known) {
        const uint64_t oldest = tg_load_relaxed(&p->head->oldest);
        const uint64_t head = drops ? place.next : place.head;
        const bool left = p->lossy && (int32_t)(number_of(oldest) - number_of(head)) > 0;
        tg_peeker_stand(p, left ? oldest : head);
        link->done_before = number_of(to_all ? head : place.next);
    }
}

static int add_link(struct tg_observer *o, uint32_t row)
{
    if (o->n_links == o->links_room) {
        const uint32_t room = o->links_room == 0 ? 4 : 2 * o->links_room;
        struct observed *links = realloc(o->links, room * sizeof *links);
        if (links == NULL) {
            return -ENOMEM;
        }
        o->links = links;
        o->links_room = room;
    }
    struct observed *link = &o->links[o->n_links];
    *link = (struct observed){ .damaged = false };
    const int r = tg_peeker_open(&link->peeker, o->view.dir, row, o->view.head->id);
    if (r < 0) {
        /* Gone, or nobody's: it is not there. */
        return r == -EMFILE || r == -ENFILE || r == -ENOMEM ? r : 0;
    }
    stand(o, link);
    o->known[row / 8] |= (uint8_t)(1u << (row % 8));
    o->n_links++;
    return 0;
}

static int note_file(const char *name, unsigned char type, void *arg)
{
    struct tg_observer *o = arg;
    const int row = tg_link_row(name);
    (void)type;
    return row < 0 || (o->known[row / 8] & (1u << (row % 8))) != 0 ? 0 : add_link(o, (uint32_t)row);
}

static void forget(struct tg_observer *o, uint32_t i)
{
    const uint32_t row = o->links[i].peeker.row;
    tg_peeker_close(&o->links[i].peeker);
    o->known[row / 8] &= (uint8_t) ~(1u << (row % 8));
    o->links[i] = o->links[--o->n_links];
}

/* ---- open, close */

static uint64_t done_now(const struct tg_observer *o)
{
    return tg_sight_fetch_head(&o->view.sight) < 0 ? 0 : tg_load_acquire(&o->view.head->done_total);
}

int tg_observer_open(const char *name, struct tg_observer **ret_observer)
{
    int r = tg_name_check(name);
    struct tg_observer *o = r < 0 ? NULL : calloc(1, sizeof *o);
    if (o == NULL) {
        return r < 0 ? r : -ENOMEM;
    }
    r = tg_root_get(false, &o->root);
    if (r < 0) {
        free(o);
        return r;
    }
    o->fork_count = tg_fork_count();
    r = tg_box_view_open(o->root, name, false, &o->view);
    if (r < 0) {
        tg_root_put(o->root);
        free(o);
        return r;
    }
    r = tg_box_view_is_dead(o->root, &o->view) ? -ENOENT : tg_box_view_books(&o->view);
    r = r == 0 ? tg_sys_list(o->view.dir, note_file, o) : r;
    if (r < 0) {
        (void)tg_observer_close(o);
        return r;
    }
    o->done_at_open = done_now(o);
    o->begun = true;
    *ret_observer = o;
    return 0;
}

int tg_observer_close(struct tg_observer *o)
{
    const bool forked = o->fork_count != tg_fork_count();
    while (o->n_links != 0) {
        forget(o, o->n_links - 1);
    }
    free(o->links);
    tg_box_view_close(&o->view);
    tg_root_put(o->root);
    free(o);
    return forked ? -ECHILD : 0;
}

/* ---- one message */

struct peek {
    void *buf;
    size_t size;
    tong_message *info;
};

/* How often it was handed out: what an entry says; UINT32_MAX: there is none. */
static uint32_t deliveries_in_entries(struct tg_observer *o, uint32_t row, uint32_t sequence)
{
    const struct tg_box_view *view = &o->view;
    if (tg_sight_fetch_all(&view->sight) < 0) {
        return UINT32_MAX;
    }
    const uint32_t slots = tg_load_acquire(&view->head->n_slots);
    for (uint32_t i = 0; i < slots && i < TG_SLOTS_MAX; i++) {
        const struct tg_box_entry *e = &view->entries[(size_t)i * TG_CLAIMS_MAX];
        const uint32_t used = tg_load_acquire(&view->slots[i].entries);
        for (uint32_t k = 0; k < used && k < TG_CLAIMS_MAX; k++) {
            const uint32_t state = tg_load_acquire(&e[k].state);
            const bool there =
                TG_ENTRY_STATE(state) != TG_FREE && TG_ENTRY_STATE(state) != TG_RELEASED;
            if (there && tg_load_relaxed(&e[k].row) == row &&
                tg_load_relaxed(&e[k].sequence) == sequence) {
                return TG_ENTRY_DELIVERIES(state);
            }
        }
    }
    return UINT32_MAX;
}

/* False: it was done before the observer came. */
static bool count_deliveries(struct tg_observer *o, struct observed *link, uint32_t sequence,
                             uint32_t *ret_deliveries)
{
    struct row_of of = { .o = o, .p = &link->peeker };
    const struct tg_link_place place = place_of(&of);
    *ret_deliveries = 0;
    if (!place.known || (int32_t)(sequence - number_of(place.next)) >= 0) {
        return true;
    }
    const uint32_t n = deliveries_in_entries(o, link->peeker.row, sequence);
    *ret_deliveries = n == UINT32_MAX ? 1 : n;
    return n != UINT32_MAX || (int32_t)(sequence - link->done_before) >= 0;
}

/* 0, or -EPROTO: what the record says beside its payload cannot be. */
static int tell(const struct observed *link, const struct tg_peeked *peeked, uint32_t deliveries,
                const struct peek *peek)
{
    struct tg_said said;
    const struct tg_peeker *p = &link->peeker;
    const int r =
        peeked->extension != 0 ? tg_said_parse(peeked->said, peeked->extension, &said) : 0;
    tong_message *info = peek->info;
    if (r < 0 || info == NULL) {
        return r;
    }
    info->deliveries = deliveries;
    info->data = peek->buf;
    info->len = peeked->len;
    info->sequence = tg_peeker_full_sequence(p, peeked->sequence);
    info->uid = p->uid;
    info->gid = tg_load_relaxed(&p->head->gid);
    info->pid = (int32_t)peeked->pid;
    info->verified = TONG_VERIFIED_UID;
    memset(info->private_, 0, sizeof info->private_);
    tg_said_tell(peeked->extension != 0 ? &said : NULL, info);
    (void)tg_link_from(p->head, info->sender);
    return 0;
}

/* The open offer of a link, if it is a new one. 1, 0, -EPROTO. */
static int see_offer(struct tg_observer *o, struct observed *link, const struct peek *peek,
                     struct tg_peeked *ret_peeked, uint8_t *said)
{
    struct tg_peeker *p = &link->peeker;
    int r = tg_peeker_refresh(p);
    const uint64_t offer = tg_load_relaxed(&p->head->offer);
    const uint32_t number = number_of(offer);
    r = r == 0 ? tg_peeker_refresh(p) : r; /* its length is not older */
    if (r < 0 || (int32_t)(number - link->peeker.expected) < 0 || !is_open(o, p, number)) {
        return r;
    }
    const uint32_t len = tg_load_relaxed(&p->head->offer_len);
    const uint32_t extension = tg_load_relaxed(&p->head->offer_extension);
    const uint64_t total = (uint64_t)len + extension;
    const uint64_t at = tg_place_offset(offer);
    if (extension > TG_EXTENSION_MOST || extension % 16 != 0) {
        r = -EPROTO;
    }
    r = r == 0 ? tg_peeker_read(p, at, total, 0, extension, said) : r;
    r = r == 0 ? tg_peeker_read(p, at, total, extension, len < peek->size ? len : peek->size,
                                peek->buf)
               : r;
    const int again = tg_peeker_refresh(p);
    if (again < 0 || tg_load_relaxed(&p->head->offer) != offer || !is_open(o, p, number)) {
        return again;
    }
    *ret_peeked = (struct tg_peeked){ .len = len,
                                      .extension = extension,
                                      .said = said,
                                      .sequence = number,
                                      .pid = tg_load_relaxed(&p->head->pid) };
    if (r == 0) {
        p->expected = number + 1;
    }
    return r == 0 ? 1 : r;
}

static void count_missed(struct tg_observer *o, struct observed *link)
{
    o->missed += link->peeker.missed;
    link->peeker.missed = 0;
}

/* The next message of a link, told: 1; 0; -EPROTO, -ENOMEM, ... */
static int look_at(struct tg_observer *o, struct observed *link, const struct peek *peek,
                   uint64_t *ret_len)
{
    for (;;) {
        uint8_t said[TG_EXTENSION_MOST];
        struct tg_peeked peeked;
        struct row_of of = { .o = o, .p = &link->peeker };
        uint32_t deliveries = 0;
        const bool meets = is_rendezvous(o);
        int r = meets
                    ? see_offer(o, link, peek, &peeked, said)
                    : tg_peeker_next(&link->peeker, place_of, &of, peek->buf, peek->size, &peeked);
        count_missed(o, link);
        if (r != 1) {
            return r;
        }
        if (!meets && !count_deliveries(o, link, peeked.sequence, &deliveries)) {
            continue;
        }
        o->told++;
        r = tell(link, &peeked, deliveries, peek);
        *ret_len = peeked.len;
        return r < 0 ? r : 1;
    }
}

/* One that is drained and left: what is not seen by now was missed. True: it is. */
static bool is_over(struct tg_observer *o, struct observed *link)
{
    struct tg_peeker *p = &link->peeker;
    if (!tg_peeker_is_gone(p)) {
        return false;
    }
    if (!is_rendezvous(o)) {
        tg_peeker_expect(p, number_of(tg_load_relaxed(&p->head->tail)));
        count_missed(o, link);
    }
    return true;
}

/* Each link once, beginning with the one that spoke last: 1, 0, -errno. */
static int look_around(struct tg_observer *o, const struct peek *peek, uint64_t *ret_len)
{
    for (uint32_t n = o->n_links; n > 0; n--) {
        o->cursor = o->cursor < o->n_links ? o->cursor : 0;
        struct observed *link = &o->links[o->cursor];
        const int r = link->damaged ? 0 : look_at(o, link, peek, ret_len);
        if (r == 1 || (r < 0 && r != -EPROTO)) {
            return r;
        }
        if (r < 0) {
            link->damaged = true;
            return r;
        }
        if (is_over(o, link)) {
            forget(o, o->cursor); /* the last one stands here now */
        } else {
            tg_peeker_rest(&link->peeker);
            o->cursor++;
        }
    }
    return 0;
}

/* How many of a link's messages that were told or missed are not finished. */
static uint32_t unfinished_of(struct tg_observer *o, const struct tg_peeker *p)
{
    struct row_of of = { .o = o, .p = p };
    const uint32_t done = place_of(&of).known ? tg_load_relaxed(&o->view.rows[p->row].done)
                                              : number_of(tg_load_relaxed(&p->head->first));
    const int32_t n = (int32_t)(p->expected - done);
    return n > 0 ? (uint32_t)n : 0;
}

/* done: finished so far, when the look that has just ended began. */
static void count_unseen(struct tg_observer *o, uint64_t done)
{
    uint64_t unfinished = 0;
    if (o->view.books != NULL) {
        return; /* to everyone the sum is of those who are gone, and of each what it had finished */
    }
    for (uint32_t i = 0; i < o->n_links && !is_rendezvous(o); i++) {
        if (!tg_peeker_is_at_end(&o->links[i].peeker)) {
            return;
        }
        unfinished += unfinished_of(o, &o->links[i].peeker);
    }
    const uint64_t finished = done - o->done_at_open;
    const uint64_t counted = o->told + o->missed - unfinished;
    if ((int64_t)(finished - counted) > (int64_t)o->unseen) {
        o->unseen = finished - counted;
    }
}

/* 0 while the mailbox is alive; -EIDRM, -EOWNERDEAD. */
static int check_end(struct tg_observer *o)
{
    const int r = tg_sight_fetch_head(&o->view.sight);
    if (r < 0 || !tg_box_view_is_dead(o->root, &o->view)) {
        return r;
    }
    const uint32_t state = TG_STATE(tg_load_acquire(&o->view.head->state));
    return state == TG_ALIVE || state == TG_OWNER_GONE ? -EOWNERDEAD : -EIDRM;
}

/* Nothing was seen: the end, or a rest of *pause_ns, or less where the deadline comes before. */
static int pause_(struct tg_observer *o, int64_t deadline_ns, int64_t *pause_ns)
{
    static const tg_a32 never;
    int r = check_end(o);
    if (r == 0 && tg_is_over(deadline_ns)) {
        r = deadline_ns == 0 ? -EAGAIN : -ETIMEDOUT;
    }
    if (r < 0) {
        return r;
    }
    const int64_t until = tg_now_ns() + *pause_ns;
    tg_gate_set_asleep(&o->gate, true);
    r = tg_sys_futex_wait(&never, 0, until < deadline_ns ? until : deadline_ns);
    tg_gate_set_asleep(&o->gate, false);
    *pause_ns = 2 * *pause_ns < PAUSE_MOST_NS ? 2 * *pause_ns : PAUSE_MOST_NS;
    return r == -EINTR ? r : 0;
}

static int peek_(struct tg_observer *o, const struct peek *peek, int64_t deadline_ns,
                 uint64_t *ret_len)
{
    int64_t pause_ns = PAUSE_LEAST_NS;
    for (;;) {
        const uint64_t done = done_now(o);
        int r = look_around(o, peek, ret_len);
        if (r == 0) {
            const uint32_t links = o->n_links;
            r = tg_sys_list(o->view.dir, note_file, o);
            r = r == -ENOENT ? 0 : r; /* removed */
            if (r == 0 && o->n_links > links) {
                continue;
            }
            count_unseen(o, done);
        }
        if (r == 0) {
            r = pause_(o, deadline_ns, &pause_ns);
        }
        if (r != 0) {
            return r;
        }
    }
}

ssize_t tg_observer_peek(struct tg_observer *o, void *buf, size_t size, int64_t timeout_ns,
                         tong_message *ret_info, uint64_t *ret_missed)
{
    static const tg_a32 never;
    if (o->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    const int64_t deadline_ns = tg_deadline(timeout_ns);
    const struct peek peek = { .buf = buf, .size = size, .info = ret_info };
    uint64_t len = 0;
    int r = tg_gate_enter(&o->gate, deadline_ns, &never, 0);
    if (r < 0) {
        return r;
    }
    r = peek_(o, &peek, deadline_ns, &len);
    if (ret_missed != NULL) {
        *ret_missed = o->missed + o->unseen;
    }
    tg_gate_leave(&o->gate);
    return r < 0 ? r : (ssize_t)len;
}
