/*
 * Room in the whole mailbox: never more than `capacity` messages committed and not done.
 *
 * One word, changed by compare-and-swap, names who changed it last and what that one's own count has
 * become; so the next one completes what a dead one left (help). Rooms held in all are its total
 * minus done_total; of a link, got - back - sent are taken and not used.
 *
 *   word: total:24 | n:24 | link:15 | kind:1     kind 0: got[link] is n; kind 1: back[link] is n
 *
 * I1  Before the word is changed to name another count, the one it names is raised to n: so whoever dies behind
 *     its compare-and-swap has left nothing undone. A sender that finds its own `got` named needs not: the word
 *     goes on to carry that count.
 * I2  Counts only rise. Counts and total are compared modulo 2^24; capacity is below 2^23.
 * I3  done_total is read after the word: an old one is too small, so the error is to refuse.
 * I4  A sender that finds the mailbox full gives the unused rooms of the dead back, and refuses only
 *     if the word is still the one it read.
 * I5  Blocked senders stand in a queue. The front waits on the box's bell and on the lives of
 *     those who hold unused room; each other one on its own nudge and on the life of the one before
 *     it. Who leaves nudges the next, behind a fence (partner: the fence before a sleep looks).
 * I6  Who has come through the queue may take a quarter of the capacity before it queues again; the
 *     front is woken for as much at a time, or after 2 ms. So many senders share it, in turns that are
 *     worth a context switch.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/probe.h"
#include "mailbox/box.h"

#define MASK ((UINT32_C(1) << TG_ROOM_COUNT) - 1)
#define GOT 0u
#define BACK 1u

struct word {
    uint32_t total;
    uint32_t n;
    uint32_t link;
    uint32_t kind;
};

static struct word unpack(uint64_t w)
{
    return (struct word){ .total = (uint32_t)(w >> 40) & MASK,
                          .n = (uint32_t)(w >> 16) & MASK,
                          .link = (uint32_t)(w >> 1) & 0x7fff,
                          .kind = (uint32_t)w & 1 };
}

static uint64_t pack(uint32_t total, uint32_t n, uint32_t link, uint32_t kind)
{
    return (uint64_t)(total & MASK) << 40 | (uint64_t)(n & MASK) << 16 | (uint64_t)link << 1 | kind;
}

/* a - b modulo 2^24, signed. */
static int32_t difference(uint32_t a, uint32_t b)
{
    return (int32_t)((a - b) << (32 - TG_ROOM_COUNT)) >> (32 - TG_ROOM_COUNT);
}

static void raise_to(tg_a32 *count, uint32_t n)
{
    uint32_t seen = tg_load_acquire(count);
    while (difference(n, seen) > 0) {
        if (tg_cas(count, &seen, n)) {
            return;
        }
    }
}

/* I1. */
static void help(struct tg_box *box, struct word w)
{
    if (w.link < tg_load_acquire(&box->room->n_rows)) {
        struct tg_room_row *row = &box->room_rows[w.link];
        raise_to(w.kind == GOT ? &row->got : &row->back, w.n);
    }
}

/* A row's count as the word makes it. */
static uint32_t count_of(const tg_a32 *count, struct word w, uint32_t link, uint32_t kind)
{
    return w.link == link && w.kind == kind ? w.n : tg_load_acquire(count) & MASK;
}

/* What a dead link's sender has committed. */
static uint32_t sent_of_dead(struct tg_box *box, uint32_t link, uint32_t sent)
{
    char name[TG_LINK_NAME_SIZE];
    tg_link_name(link, name);
    tg_fd fd = tg_sys_open(box->dir, name, O_RDONLY, 0);
    uint32_t from_file = sent;
    if (fd == -ENOENT) {
        /* Gone since: whoever removed it stored the exact number first. */
        sent = tg_load_acquire(&box->room_rows[link].sent);
    }
    if (fd >= 0 && tg_link_sent(fd, &from_file) == 0 && (int32_t)(from_file - sent) > 0) {
        sent = from_file;
    }
    /* Consumed meanwhile, its memory given back, or the file removed since: the box knows. Read
     * last: what was consumed between the two reads is then counted here. */
    (void)tg_sight_fetch_row(&box->sight, link);
    if (link < tg_load_acquire(&box->head->n_rows)) {
        const uint32_t next = tg_place_sequence(tg_load_acquire(&box->rows[link].next));
        sent = (int32_t)(next - sent) > 0 ? next : sent;
    }
    return sent;
}

/* One other link that holds room it has not used: 1 the word was or may have been changed, look again;
 * 0 it is alive, and watched. */
static int look_at_holder(struct tg_box *box, uint32_t link, uint64_t seen,
                          struct tg_waitset *watch)
{
    struct tg_room_row *row = &box->room_rows[link];
    const struct word w = unpack(seen);
    const uint64_t owner = tg_load_acquire(&row->owner);
    const uint32_t got = count_of(&row->got, w, link, GOT);
    const uint32_t back = count_of(&row->back, w, link, BACK);
    uint32_t sent = tg_load_acquire(&row->sent);
    if (difference(got - back, sent) <= 0 || owner == 0) {
        return 0;
    }
    if (watch != NULL ? tg_life_watch(box->root, owner, watch)
                      : tg_life_is_alive(box->root, owner)) {
        return 0;
    }
    sent = sent_of_dead(box, link, sent);
    const int32_t unused = difference(got - back, sent);
    /* Another sender may have taken the link over meanwhile: then it settles this. */
    if (unused > 0 && tg_load_acquire(&row->owner) == owner) {
        (void)tg_cas(&box->room->word, &seen,
                     pack(w.total - (uint32_t)unused, back + (uint32_t)unused, link, BACK));
        return 1;
    }
    return 0;
}

/* Rooms of what senders gave up and no receiver has passed yet. done_total was read before: what is
 * passed meanwhile is counted in one of the two at most, so the error is to refuse. */
static uint32_t given_up_rooms(struct tg_box *box)
{
    uint32_t sum = 0;
    const uint32_t n = tg_load_acquire(&box->room->n_rows);
    for (uint32_t i = 0; i < n && i < TG_LINKS_MAX; i++) {
        if (tg_sight_fetch_row(&box->sight, i) < 0) {
            continue;
        }
        const bool known = i < tg_load_acquire(&box->head->n_rows);
        const uint32_t next =
            known ? tg_place_sequence(tg_load_acquire(&box->rows[i].next)) : UINT32_C(0);
        const int32_t ahead = (int32_t)(tg_load_acquire(&box->room_rows[i].oldest) - next);
        sum += ahead > 0 ? (uint32_t)ahead : 0;
    }
    return sum;
}

/* Whether the mailbox is full, as its word was read. */
static bool is_full(struct tg_box *box, struct word w)
{
    uint32_t *done = &box->tx.done_total_seen;
    /* An old one will do (I3): the word is asked only when that one says full. */
    if (box->lossy || difference(w.total, *done) >= (int32_t)box->capacity) {
        if (tg_sight_fetch_head(&box->sight) < 0) {
            return true;
        }
        *done = (uint32_t)tg_load_acquire(&box->head->done_total);
    }
    const uint32_t free_ = *done + (box->lossy ? given_up_rooms(box) : 0);
    return difference(w.total, free_) >= (int32_t)box->capacity;
}

int tg_room_take(struct tg_box *box, struct tg_waitset *watch)
{
    tg_a64 *word = &box->room->word;
    const uint32_t me = box->tx.writer.row;
    struct tg_room_row *mine = &box->room_rows[me];
    for (;;) {
        uint64_t seen = tg_load_acquire(word);
        const struct word w = unpack(seen);
        help(box, w);
        if (!is_full(box, w)) {
            const uint32_t got = count_of(&mine->got, w, me, GOT);
            if (tg_cas(word, &seen, pack(w.total + 1, got + 1, me, GOT))) {
                return 0;
            }
            continue;
        }
        int changed = 0;
        const uint32_t n = tg_load_acquire(&box->room->n_rows);
        for (uint32_t i = 0; i < n && i < TG_LINKS_MAX && changed == 0; i++) {
            if (i != me) {
                changed = look_at_holder(box, i, seen, watch);
            }
        }
        if (changed == 0 && tg_load_seq_cst(word) == seen) {
            return -EAGAIN;
        }
        if (watch != NULL) {
            /* The list may name the dead by now: the caller begins it anew. */
            return 1;
        }
    }
}

bool tg_room_take_again(struct tg_box *box)
{
    struct tg_sender *tx = &box->tx;
    if (tx->holds_room) {
        return false;
    }
    uint64_t seen = tg_load_acquire(&box->room->word);
    const struct word w = unpack(seen);
    const uint32_t me = tx->writer.row;
    tx->holds_room = w.link == me && w.kind == GOT && tg_load_relaxed(&box->room->queued) == 0 &&
                     difference(w.total, tx->done_total_seen) < (int32_t)box->capacity &&
                     tg_cas(&box->room->word, &seen, pack(w.total + 1, w.n + 1, me, GOT));
    return tx->holds_room;
}

bool tg_room_is_free(struct tg_box *box)
{
    const struct word w = unpack(tg_load_acquire(&box->room->word));
    if (!is_full(box, w)) {
        return true;
    }
    if (tg_room_take(box, NULL) < 0) {
        return false;
    }
    tg_room_give_back(box); /* a dead one had it */
    return true;
}

bool tg_room_holder(struct tg_box *box, uint32_t *row, uint64_t *ret_owner)
{
    if (box->capacity == 0 || box->capacity == TONG_UNBOUNDED) {
        return false;
    }
    const struct word w = unpack(tg_load_acquire(&box->room->word));
    const uint32_t n = tg_load_acquire(&box->room->n_rows);
    for (uint32_t i = *row; i < n && i < TG_LINKS_MAX; i++) {
        const struct tg_room_row *r = &box->room_rows[i];
        const uint32_t held = count_of(&r->got, w, i, GOT) - count_of(&r->back, w, i, BACK);
        *ret_owner = tg_load_acquire(&r->owner);
        if (*ret_owner != 0 && difference(held, tg_load_acquire(&r->sent)) > 0) {
            *row = i + 1;
            return true;
        }
    }
    return false;
}

/* Give unused rooms of the own link back until none is left; see give_back below for when. */
static void give_unused_back(struct tg_box *box, uint32_t used)
{
    tg_a64 *word = &box->room->word;
    const uint32_t me = box->tx.writer.row;
    struct tg_room_row *row = &box->room_rows[me];
    for (;;) {
        uint64_t seen = tg_load_acquire(word);
        const struct word w = unpack(seen);
        help(box, w);
        const uint32_t got = count_of(&row->got, w, me, GOT);
        const uint32_t back = count_of(&row->back, w, me, BACK);
        const int32_t unused = difference(got - back, used);
        if (unused <= 0) {
            if (tg_load_seq_cst(word) == seen) {
                return;
            }
        } else if (tg_cas(word, &seen,
                          pack(w.total - (uint32_t)unused, back + (uint32_t)unused, me, BACK))) {
            return;
        }
    }
}

static void nudge(struct tg_box *box, uint32_t link)
{
    tg_a32 *bell = &box->room_rows[link].nudge;
    TG_PROBE(wake, box->name, TONG_SEND);
    (void)tg_add(bell, 1);
    tg_sys_futex_wake(bell, INT_MAX);
}

int64_t tg_room_left(const struct tg_box *box)
{
    const struct word w = unpack(tg_load_relaxed(&box->room->word));
    const uint32_t done = (uint32_t)tg_load_relaxed(&box->head->done_total);
    const int32_t used = difference(w.total, done & MASK);
    return (int64_t)box->capacity - (used > 0 ? used : 0);
}

bool tg_room_is_enough(const struct tg_box *box)
{
    const int64_t left = tg_room_left(box);
    return left == box->capacity || left >= tg_load_relaxed(&box->room->wish);
}

/* ---- the queue */

/* The living sender whose ticket is nearest to mine on one side; TG_LINKS_MAX none. ticket 0: the
 * lowest of all. */
static uint32_t neighbour(struct tg_box *box, uint32_t ticket, bool above)
{
    uint32_t best = TG_LINKS_MAX;
    uint32_t best_ticket = 0;
    const uint32_t n = tg_load_acquire(&box->room->n_rows);
    for (uint32_t i = 0; i < n && i < TG_LINKS_MAX; i++) {
        const uint64_t owner = tg_load_acquire(&box->room_rows[i].owner);
        const uint32_t t = tg_load_acquire(&box->room_rows[i].ticket);
        if (t == 0 || owner == 0 || i == box->tx.writer.row) {
            continue;
        }
        const int32_t side = (int32_t)(t - ticket);
        if (ticket != 0 && (above ? side <= 0 : side >= 0)) {
            continue;
        }
        const int32_t better = (int32_t)(t - best_ticket);
        if ((best == TG_LINKS_MAX || (above ? better < 0 : better > 0)) &&
            tg_life_is_alive(box->root, owner)) {
            best = i;
            best_ticket = t;
        }
    }
    return best;
}

static void nudge_front(struct tg_box *box)
{
    const uint32_t front = neighbour(box, 0, true);
    if (front != TG_LINKS_MAX) {
        nudge(box, front);
    }
}

void tg_room_give_back(struct tg_box *box)
{
    box->tx.holds_room = false;
    give_unused_back(box, box->tx.writer.sequence);
    /* Partners: the fence of tg_room_queue, and the one behind `arms` in poll_send.c. */
    tg_fence();
    nudge_front(box);
    if (tg_load_relaxed(&box->room->arms) != 0) {
        tg_poll_wake_senders(box->dir);
    }
}

static void take_ticket(struct tg_box *box)
{
    struct tg_room_row *mine = &box->room_rows[box->tx.writer.row];
    if (tg_load_relaxed(&mine->ticket) != 0) {
        return;
    }
    uint32_t ticket = tg_add(&box->room->next_ticket, 1) + 1;
    if (ticket == 0) {
        ticket = tg_add(&box->room->next_ticket, 1) + 1;
    }
    tg_store_release(&mine->ticket, ticket);
    /* A hint: lost, somebody passes the queue by; left behind, the next one to come clears it. */
    tg_store_relaxed(&box->room->queued, ticket);
}

int tg_room_queue(struct tg_box *box, struct tg_waitset *set)
{
    struct tg_room_row *mine = &box->room_rows[box->tx.writer.row];
    take_ticket(box);
    /* Read before the queue is looked at, slept on by the front alone. */
    struct tg_waitset bell;
    tg_waitset_clear(&bell);
    tg_sight_watch(&box->sight, &box->head->room, &bell);
    tg_waitset_add(set, &mine->nudge, tg_load_acquire(&mine->nudge));
    /* Partner: the fence in tg_room_leave. Nudge before it, the queue behind it. */
    tg_fence();
    const uint32_t before = neighbour(box, tg_load_relaxed(&mine->ticket), false);
    if (before != TG_LINKS_MAX) {
        const uint64_t owner = tg_load_acquire(&box->room_rows[before].owner);
        return owner == 0 || !tg_life_watch(box->root, owner, set);
    }
    /* The front. Partner: tg_claims_ring. */
    tg_waitset_merge(set, &bell);
    tg_sender_watch_receivers(box, set);
    tg_store_relaxed(&box->room->wish, box->tx.want);
    (void)tg_add(&box->room->want, 1);
    tg_fence();
    const int r = tg_room_take(box, set);
    if (r == 0) {
        box->tx.holds_room = true;
    }
    return r != -EAGAIN;
}

void tg_room_leave(struct tg_box *box)
{
    struct tg_room_row *mine = &box->room_rows[box->tx.writer.row];
    const uint32_t ticket = tg_load_relaxed(&mine->ticket);
    if (ticket == 0) {
        return;
    }
    tg_store_release(&mine->ticket, UINT32_C(0));
    /* Partner: the fence in tg_room_queue. */
    tg_fence();
    const uint32_t next = neighbour(box, ticket, true);
    /* A turn is for who came through, not for who gave up. */
    box->tx.quota = box->tx.holds_room ? box->capacity / 4 : 0;
    if (next != TG_LINKS_MAX) {
        nudge(box, next);
    } else {
        tg_store_relaxed(&box->room->queued, UINT32_C(0));
    }
}

/* ---- a link's row */

static int reserve_row_memory(struct tg_box *box, uint32_t row)
{
    const uint32_t rows_a_page = (uint32_t)(TG_PAGE / sizeof(struct tg_room_row));
    const uint32_t end = (row / rows_a_page + 1) * rows_a_page;
    uint32_t n = tg_load_acquire(&box->room->n_rows);
    while (row >= n) {
        tg_fd fd = tg_sys_open(box->dir, "room", O_RDWR, 0);
        const int r = fd < 0 ? fd
                             : tg_sys_allocate(fd, TG_ROOM_ROWS_OFF,
                                               (uint64_t)end * sizeof(struct tg_room_row));
        if (r < 0) {
            return r;
        }
        if (tg_cas(&box->room->n_rows, &n, end)) {
            break;
        }
    }
    return 0;
}

int tg_room_enter(struct tg_box *box, uint32_t row)
{
    const int r = reserve_row_memory(box, row);
    if (r < 0) {
        return r;
    }
    struct tg_room_row *mine = &box->room_rows[row];
    tg_store_release(&mine->sent, box->tx.writer.sequence);
    if (box->lossy) {
        tg_store_release(&mine->oldest, tg_place_sequence(box->tx.writer.oldest));
    }
    give_unused_back(box, box->tx.writer.sequence);
    const bool queued = tg_load_relaxed(&mine->ticket) != 0;
    tg_store_release(&mine->owner, box->me);
    if (queued) {
        tg_room_leave(box);
    } else {
        tg_fence();
        nudge_front(box);
    }
    return 0;
}

void tg_room_exit(struct tg_box *box)
{
    const uint32_t row = box->tx.writer.row;
    if (box->capacity != 0 && box->capacity != TONG_UNBOUNDED &&
        row < tg_load_acquire(&box->room->n_rows)) {
        tg_store_release(&box->room_rows[row].owner, UINT64_C(0));
    }
}
