/*
 * A sender in an event loop: a descriptor that is readable while a send that must not wait would not have to.
 *
 * As a receiver's (poll.c) it is an epoll descriptor over a FIFO, a timer, and the deaths that may mean room;
 * it is brought up to date at the end of each send call of the handle. A sender that waits for room here is to
 * receivers one that is blocked: it counts a sleep in its link's `waits`, and who frees room rings it, with the
 * token held, by a byte into its FIFO.
 *
 *   settle, at the end of a send call           who freed room, token held
 *     room, and a byte is in: nothing to do       done, fence
 *     armed already, nobody rang: the same        waits (or `arms` of the room) new to me?
 *     armed = 0, fence                              e = armed; 0, or row.rung {e, ended}: done
 *     row.rung {armed, begun}? wait for its byte    no room for it: not rung
 *     empty the FIFO                                row.rung = {e, begun}, fence
 *     watch who is there                            armed no longer e: ended, once more
 *     waits + 1; armed = that                       a byte into the FIFO; row.rung = {e, ended}
 *     waits + 1, fence
 *     look for room; there is: a byte of one's own
 *
 * I1  Of the two fences one comes first: who freed room sees the new `waits`, or the sender the room.
 * I2  Nobody believes a ring that has only begun: its ringer may be dead, and the next holder rings.
 * I3  In a mailbox that is bounded as a whole the room that comes free is anybody's, so all that are armed are
 *     rung (`arms` of the room), and one that finds it taken is armed anew. So they are where somebody else holds it
 *     unused: who comes then watches that one. A sender that gives room back unused rings them by their names
 *     (tg_poll_wake_senders).
 * I4  At capacity 0 it is a receiver that begins to wait who rings: it looks at `waits` behind its own
 *     `waiting` and a fence.
 * I5  Watched are all receivers, whoever has the token, senders that hold room they have not used, and the owner:
 *     what they had comes free by their death, or by a repair, whose holder rings always.
 * I6  An end settles nothing: what told of it stays, and the descriptor is readable for good. A change of the
 *     owner, or of a name, is told by a byte as well: see poll.c, I4.
 * I7  An epoch is a value of the link's `waits`, which its next sender goes on counting: so no row, the box's or
 *     a book's, says of a new epoch that it was rung for.
 *
 * The number of a FIFO is never used twice in a link. One that a dead sender left is cleared away by its
 * successor, or with the link.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/event.h"
#include "mailbox/box.h"

#define TRIES                                                                                      \
    16u /* names that another user may have taken; epochs that a sender may be through meanwhile */

static void fifo_name(uint32_t row, uint32_t number, char ret_name[TG_POLL_NAME_SIZE])
{
    (void)snprintf(ret_name, TG_POLL_NAME_SIZE, TG_POLL_SEND_NAME, row, number);
}

bool tg_poll_is_send_name(const char *name, uint32_t *ret_row, uint32_t *ret_number)
{
    char again[TG_POLL_NAME_SIZE];
    if (sscanf(name, TG_POLL_SEND_NAME, ret_row, ret_number) != 2) {
        return false;
    }
    fifo_name(*ret_row, *ret_number, again);
    return strcmp(name, again) == 0;
}

/* ---- who rings; token held */

/* Numbers begin at 1; any other word may be another user's. */
static bool has_fifo(uint32_t polls)
{
    return (polls & TG_POLLS) != 0 && polls >> 1 != 0;
}

/* A byte into its FIFO. False: no descriptor is left, try again. */
static bool push(struct tg_box *box, struct tg_attached *at, uint32_t number)
{
    struct tg_poll_out *out = &at->out;
    if (out->number != number) {
        char name[TG_POLL_NAME_SIZE];
        tg_poll_out_close(out);
        fifo_name(at->reader.row, number, name);
        const int r = tg_poll_out_open(out, box->dir, name, at->reader.uid);
        if (r < 0) {
            return r != -EMFILE && r != -ENFILE && r != -ENOMEM;
        }
        out->number = number;
    }
    (void)tg_event_push(out->fd, out->guarded);
    return true;
}

/* I3. */
static bool has_shared_room(struct tg_box *box)
{
    uint64_t holder;
    uint32_t row = 0;
    return box->capacity == TONG_UNBOUNDED || tg_room_left(box) > 0 ||
           tg_room_holder(box, &row, &holder);
}

/* What its sender would find. */
static bool has_room_for(struct tg_box *box, const struct tg_attached *at)
{
    if (box->capacity == 0) {
        return tg_rendezvous_is_awaited(box);
    }
    const uint32_t tail = tg_place_sequence(tg_load_acquire(&at->reader.head->tail));
    const uint32_t used = tail - tg_load_relaxed(&at->row->done);
    return (box->link_capacity == TONG_UNBOUNDED || (int32_t)(box->link_capacity - used) > 0) &&
           has_shared_room(box);
}

bool tg_poll_ring_sender(struct tg_box *box, struct tg_attached *at, bool always)
{
    const struct tg_link_head *head = at->reader.head;
    tg_a32 *rung = &at->row->rung;
    for (uint32_t tries = 0; tries < TRIES; tries++) {
        const uint32_t polls = tg_load_acquire(&head->polls);
        const uint32_t e = tg_load_acquire(&head->armed) & TG_EPOCHS;
        if (!has_fifo(polls) || e == 0 || tg_load_relaxed(rung) == TG_ENDED(e)) {
            return true;
        }
        /* Behind the epoch: it was given when there was none. */
        if (!has_room_for(box, at) && !(box->everyone && always)) {
            return false;
        }
        tg_store_release(rung, TG_BEGUN(e));
        /* Partner: the fence behind armed = 0. */
        tg_fence();
        if (tg_reader_refresh(&at->reader) < 0) {
            return true; /* who looks at it says so */
        }
        if ((tg_load_acquire(&head->armed) & TG_EPOCHS) == e) {
            const bool told = push(box, at, polls >> 1);
            if (told) {
                tg_store_release(rung, TG_ENDED(e));
            }
            return told;
        }
        tg_store_release(rung, TG_ENDED(e));
    }
    return true; /* it is no sender's: nobody is armed anew so often while one looks */
}

bool tg_poll_ring_senders(struct tg_box *box)
{
    bool all = true;
    for (uint32_t i = 0; i < box->rx.n_attached; i++) {
        struct tg_attached *at = box->rx.attached[i];
        if (tg_reader_refresh(&at->reader) == 0) {
            all = tg_poll_ring_sender(box, at, false) && all;
        }
    }
    return all;
}

void tg_poll_ring_waiting(struct tg_box *box)
{
    struct tg_receiver *rx = &box->rx;
    for (uint32_t i = 0; i < rx->n_attached; i++) {
        rx->attached[i]->ring_due = true;
    }
    rx->ring_one = NULL;
    rx->ring_due = true;
}

/* ---- is there room? The gate is held */

static bool is_ready(struct tg_box *box)
{
    if (box->full != TONG_BLOCK) {
        return true;
    }
    if (box->capacity == 0) {
        return tg_rendezvous_is_awaited(box);
    }
    return tg_sender_link_has_room(box) &&
           (box->capacity == TONG_UNBOUNDED || box->tx.holds_room || tg_room_is_free(box));
}

/* ---- the level */

/* Whether who rings is that far. To everyone each receiver has a word for it. */
static bool is_ringing(struct tg_box *box, uint32_t word)
{
    const struct tg_sender *tx = &box->tx;
    const uint32_t row = tx->writer.row;
    if (!box->everyone) {
        return tg_sender_place(box).known && tg_load_acquire(&box->rows[row].rung) == word;
    }
    bool any = false;
    for (uint32_t i = 0; i < tx->books.n && !any; i++) {
        const struct tg_book *book = &tx->books.all[i];
        any = !book->dead && tg_sight_fetch_row(&book->sight, row) == 0 &&
              tg_row_place(book->file.head, book->file.rows, row, tx->writer.link_id).known &&
              tg_load_acquire(&book->file.rows[row].rung) == word;
    }
    return any;
}

static uint32_t armed(const struct tg_box *box)
{
    return tg_load_relaxed(&box->tx.writer.head->armed);
}

/* Whether a byte is in the FIFO for certain. */
static bool is_up(struct tg_box *box)
{
    return box->tx.poll->own != 0 || (armed(box) != 0 && is_ringing(box, TG_ENDED(armed(box))));
}

static void empty(struct tg_box *box)
{
    struct tg_poll *p = box->tx.poll;
    const uint32_t e = armed(box);
    if (e != 0) {
        tg_store_release(&box->tx.writer.head->armed, UINT32_C(0));
        /* Partner: the fence of tg_poll_ring_sender. It sees the 0, or what it has begun is seen. */
        tg_fence();
    }
    tg_poll_empty(p, e, is_ringing, box);
}

/* ---- who is watched (I5) */

static bool is_wanted(struct tg_box *box, uint64_t id)
{
    const struct tg_box_head *head = box->main.head;
    bool wanted = id == TG_OWNER(tg_load_acquire(&head->owner)) ||
                  id == (tg_load_acquire(&head->token) & ~TG_TOKEN_FLAGS);
    const uint32_t n = tg_load_acquire(&head->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX && !wanted; i++) {
        wanted = tg_load_acquire(&box->main.slots[i].owner) == id;
    }
    uint64_t holder;
    for (uint32_t row = 0; !wanted && tg_room_holder(box, &row, &holder);) {
        wanted = holder == id;
    }
    return wanted && tg_life_is_alive(box->root, id);
}

static void watch_one(struct tg_box *box, uint64_t id)
{
    /* Of one that cannot be watched now only the back-stop tells. */
    if (id != 0 && id != box->me && tg_life_is_alive(box->root, id)) {
        (void)tg_poll_watch_life(box, box->tx.poll, id);
    }
}

static void watch_who_is_there(struct tg_box *box)
{
    struct tg_poll *p = box->tx.poll;
    if (tg_sight_fetch_slots(&box->sight) < 0) {
        return;
    }
    (void)tg_poll_is_told(p);
    for (uint32_t i = p->n_lives; i-- > 0;) {
        if (p->lives[i].over || !is_wanted(box, p->lives[i].id)) {
            tg_poll_stop_watching(p, &p->lives[i]);
            p->lives[i] = p->lives[--p->n_lives];
        }
    }
    const struct tg_box_head *head = box->main.head;
    watch_one(box, TG_OWNER(tg_load_acquire(&head->owner)));
    watch_one(box, tg_load_acquire(&head->token) & ~TG_TOKEN_FLAGS);
    const uint32_t n = tg_load_acquire(&head->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX; i++) {
        watch_one(box, tg_load_acquire(&box->main.slots[i].owner));
    }
    uint64_t holder;
    for (uint32_t row = 0; tg_room_holder(box, &row, &holder);) {
        watch_one(box, holder);
    }
}

/* ---- arming */

/* I7. Counted once before it is armed, so that one killed behind it leaves no epoch that comes again, and once
 * behind it. */
static uint32_t new_epoch(struct tg_link_head *head)
{
    const uint32_t epoch = (tg_add(&head->waits, 1) + 1) & TG_EPOCHS;
    return epoch != 0 ? epoch : 1;
}

/* True: there is room. */
static bool arm(struct tg_box *box)
{
    struct tg_link_head *head = box->tx.writer.head;
    watch_who_is_there(box);
    const uint32_t epoch = new_epoch(head);
    tg_store_relaxed(&head->want, UINT32_C(1));
    tg_store_release(&head->armed, epoch);
    /* Sequentially consistent, behind armed; partner: the fence of tg_claims_ring. */
    (void)tg_add(&head->waits, 1);
    if (box->capacity != 0 && box->capacity != TONG_UNBOUNDED) {
        (void)tg_add(&box->room->arms, 1);
    }
    tg_fence();
    return is_ready(box);
}

/* Neither rung, nor has anything else told of itself: as the last call left it. */
static bool is_as_left(struct tg_box *box)
{
    struct tg_poll *p = box->tx.poll;
    const uint32_t e = armed(box);
    return e != 0 && p->own == 0 && !is_ringing(box, TG_BEGUN(e)) &&
           !is_ringing(box, TG_ENDED(e)) && !tg_poll_is_timer_due(p) && !tg_poll_is_told(p);
}

/* The back-stop: it must not have been needed. */
static void note_timer(struct tg_box *box, bool ready)
{
    struct tg_poll *p = box->tx.poll;
    if (!tg_poll_is_timer_due(p)) {
        return;
    }
    const uint32_t e = armed(box);
    if (ready && e != 0 && p->own == 0 && !is_ringing(box, TG_BEGUN(e)) &&
        !is_ringing(box, TG_ENDED(e)) && !tg_poll_is_told(p)) {
        (void)tg_add(&box->tx.writer.head->finds, 1);
        p->timer_nth = 0;
    }
    tg_poll_next_timer(p);
}

void tg_poll_settle_sender(struct tg_box *box, int r)
{
    struct tg_poll *p = box->tx.poll;
    if (r == -EIDRM || r == -EOWNERDEAD || !box->tx.has_link) {
        return; /* I6 */
    }
    const bool ready = is_ready(box);
    if (ready) {
        if (!is_up(box)) {
            tg_poll_raise(p);
        }
        return;
    }
    if (is_as_left(box)) {
        return;
    }
    const uint64_t owner = TG_OWNER(tg_load_acquire(&box->main.head->owner));
    note_timer(box, false);
    empty(box);
    if (arm(box) || !tg_box_may_poll(box, owner)) {
        tg_poll_raise(p);
    }
}

void tg_poll_begin_sender(struct tg_box *box)
{
    if (box->tx.has_link && tg_poll_is_timer_due(box->tx.poll)) {
        note_timer(box, box->full == TONG_BLOCK && is_ready(box));
    }
}

/* ---- the descriptor */

/* The number is used up before the file is made: whoever clears the link away finds it. */
static int make_fifo(struct tg_box *box, int *ret_fd)
{
    struct tg_link_head *head = box->tx.writer.head;
    const mode_t mode =
        0600 | ((box->mode & 0060) != 0 ? 0020 : 0) | ((box->mode & 0006) != 0 ? 2 : 0);
    int fd = -EEXIST;
    for (uint32_t tries = 0; fd == -EEXIST && tries < TRIES; tries++) {
        const uint32_t number = ((tg_load_relaxed(&head->polls) >> 1) + 1) & TG_EPOCHS;
        char name[TG_POLL_NAME_SIZE];
        fifo_name(box->tx.writer.row, number, name);
        tg_store_release(&head->polls, number << 1 | TG_POLLS);
        fd = tg_event_fifo(box->dir, name, mode);
        if (fd < 0) {
            tg_store_release(&head->polls, number << 1);
        }
    }
    *ret_fd = fd < 0 ? -1 : fd;
    return fd < 0 ? fd : 0;
}

void tg_poll_clear_sender(int dir, struct tg_link_head *head, uint32_t row)
{
    const uint32_t polls = tg_load_relaxed(&head->polls);
    if ((polls & TG_POLLS) != 0) {
        char name[TG_POLL_NAME_SIZE];
        fifo_name(row, polls >> 1, name);
        tg_store_release(&head->armed, UINT32_C(0));
        (void)tg_sys_unlink(dir, name);
        /* Last: killed before, the next one finds it. */
        tg_store_release(&head->polls, polls & ~TG_POLLS);
    }
}

static int make(struct tg_box *box)
{
    struct tg_sender *tx = &box->tx;
    struct tg_poll *p = NULL;
    int r = tx->has_link ? 0 : tg_box_gone(box, tg_sender_get_link(box));
    if (r == 0) {
        r = tg_poll_make(&p);
    }
    if (r < 0 || p == NULL) {
        return r;
    }
    r = tg_box_gone(box, make_fifo(box, &p->fifo));
    if (r == 0) {
        r = tg_event_add(p->epoll, p->fifo, TG_POLL_MARK_FIFO);
    }
    if (r < 0) {
        tg_poll_clear_sender(box->dir, tx->writer.head, tx->writer.row);
        tg_poll_free(p);
        return r;
    }
    tx->poll = p;
    /* Every send goes the long way from now on, and so comes to tg_poll_settle_sender(). */
    tx->is_plain = tx->is_bounded = false;
    tg_poll_next_timer(p);
    tg_poll_settle_sender(box, 0);
    return 0;
}

int tg_poll_sender_fd(struct tg_box *box)
{
    int r = tg_box_begin(box);
    if (r == 0 && (box->flags & TONG_SEND) == 0) {
        r = -EBADF;
    }
    if (r == 0 && box->way != NULL) {
        r = -EOPNOTSUPP;
    }
    if (r == 0) {
        r = tg_gate_enter(&box->tx.gate, 0, &box->interrupts->now, tg_box_interrupts(box));
    }
    if (r < 0) {
        return r == -EAGAIN ? -EBUSY : r;
    }
    if (box->tx.poll == NULL) {
        r = make(box);
    }
    const int fd = box->tx.poll != NULL ? box->tx.poll->epoll : r;
    tg_gate_leave(&box->tx.gate);
    return fd;
}

void tg_poll_close_sender(struct tg_box *box)
{
    if (box->tx.poll != NULL) {
        tg_poll_free(box->tx.poll);
        box->tx.poll = NULL;
    }
}
