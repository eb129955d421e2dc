/*
 * Sending: room, place, copy, commit, ring.
 *
 * Room is asked for twice: the link's own (sent - done < link_capacity, no shared word), and, where
 * the mailbox is bounded, one of its rooms (room.c). Who finds none sleeps:
 *
 *   sender                                     receiver, token held
 *   read the bells (row, box)                  head, done
 *   waits + 1                                  fence
 *   fence                                      read waits; new to me? bell + 1, FUTEX_WAKE
 *   look for room again                        give the token back
 *   ring the receiver, wait
 *
 * I1  Of the two fences one comes first: the receiver sees the wait, or the sender sees the room.
 * I2  A blocked sender rings before it sleeps: another sender's message that nobody was told of
 *     (its sender died between commit and ring) may be what fills the mailbox.
 * I3  It watches the lives of the receivers: one that dies between freeing room and ringing leaves
 *     nobody else who would.
 * I4  A message is promised when send returns: it is committed and the receiver is rung.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/probe.h"
#include "mailbox/box.h"

#define WANT_NS 2000000 /* how long a sender waits for more room than one message */

/* ---- ringing */

bool tg_sender_is_handed_out(struct tg_box *box)
{
    if (box->capacity == 0) {
        return tg_rendezvous_is_decided(box);
    }
    const struct tg_link_place place = tg_sender_place(box);
    return place.known && (int32_t)(tg_place_sequence(place.next) - box->tx.writer.sequence) >= 0;
}

static __attribute__((noinline)) void ring_armed(struct tg_box *box, bool always)
{
    tg_poll_ring(box, &box->tx.ringer, always ? NULL : tg_sender_is_handed_out);
}

static inline void ring(struct tg_box *box, bool always)
{
    struct tg_sender *tx = &box->tx;
    if (box->everyone) {
        tg_everyone_ring(box, always);
        return;
    }
    /* Partner: the fence in set_turn. Commit before it, TURN behind it. */
    tg_fence();
    if (tg_sight_fetch(&box->sight, box->main.head, sizeof *box->main.head) < 0) {
        return; /* the next call says so */
    }
    /* In the line of TURN. */
    const uint32_t arms = tg_load_relaxed(&box->head->arms);
    if (arms != tx->ringer.note || (always && arms != 0)) {
        ring_armed(box, always);
    }
    const uint64_t turn = tg_load_relaxed(&box->head->turn);
    const uint32_t slot = (uint32_t)(turn >> 48);
    if (slot == 0 || (turn == tx->note && !always)) {
        return;
    }
    tx->note = turn;
    tg_box_ring_slot(box, slot - 1);
}

void tg_sender_ring(struct tg_box *box, bool always)
{
    ring(box, always);
}

/* ---- room */

bool tg_sender_link_has_room(struct tg_box *box)
{
    struct tg_sender *tx = &box->tx;
    if (box->link_capacity == TONG_UNBOUNDED) {
        return true;
    }
    if (tx->writer.sequence - tx->done_seen < box->link_capacity) {
        return true;
    }
    if (box->everyone) {
        tx->done_seen = tg_everyone_reach(box).done;
    } else if (tx->row_known ? tg_sight_fetch_row(&box->sight, tx->writer.row) == 0
                             : tg_sender_place(box).known) {
        /* acquire: what the receiver read is read before we write over it. */
        tx->done_seen = tg_load_acquire(&box->rows[tx->writer.row].done);
    }
    return tx->writer.sequence - tx->done_seen < box->link_capacity;
}

static bool has_room(struct tg_box *box)
{
    if (!tg_sender_link_has_room(box)) {
        return false;
    }
    struct tg_sender *tx = &box->tx;
    if (box->capacity == TONG_UNBOUNDED || tx->holds_room) {
        return true;
    }
    /* While others queue, who has had its share stands at the end: else those that run would take
     * every room before one that was woken for it. */
    const bool queued = tg_load_relaxed(&box->room->queued) != 0;
    if (queued && tx->quota == 0) {
        return false;
    }
    tx->holds_room = tg_room_take(box, NULL) == 0;
    tx->quota -= queued && tx->holds_room ? 1 : 0;
    return tx->holds_room;
}

/* For a call that must not wait: room is room, whoever queues. */
static bool has_room_now(struct tg_box *box)
{
    struct tg_sender *tx = &box->tx;
    if (!has_room(box) && box->capacity != TONG_UNBOUNDED && tg_sender_link_has_room(box)) {
        tx->holds_room = tg_room_take(box, NULL) == 0;
        return tx->holds_room;
    }
    return has_room(box);
}

void tg_sender_watch_receivers(struct tg_box *box, struct tg_waitset *set)
{
    if (tg_sight_fetch_slots(&box->sight) < 0) {
        return;
    }
    /* Who repairs on its way to a slot frees room, too. Partner: tg_box_announce. */
    uint64_t holder = tg_load_acquire(&box->head->token) & ~TG_TOKEN_FLAGS;
    const uint32_t n = tg_load_acquire(&box->head->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX; i++) {
        const uint64_t owner = tg_load_acquire(&box->slots[i].owner);
        if (owner != 0 && owner != box->me) {
            (void)tg_life_watch_of(box->root, owner, box->dir_uid, set);
        }
        holder = holder == owner ? 0 : holder;
    }
    if (holder != 0 && holder != box->me) {
        (void)tg_life_watch_of(box->root, holder, box->dir_uid, set);
    }
}

/* The words whose change means room in the link, read before the wait is told (I1). */
static void add_bells(struct tg_box *box, struct tg_waitset *set)
{
    tg_sight_watch(&box->sight, &box->main.head->room, set);
    if (box->tx.row_known) {
        tg_sight_watch(&box->sight, &box->rows[box->tx.writer.row].bell, set);
    }
}

static void tell_wait(struct tg_box *box, bool blocked)
{
    struct tg_link_head *head = box->tx.writer.head;
    if (blocked) {
        tg_store_relaxed(&head->want, box->tx.want);
        /* Sequentially consistent; partner: the fence in tg_claims_ring. */
        (void)tg_add(&head->waits, 1);
        tg_fence();
    }
    tg_store_relaxed(&head->blocked, blocked ? UINT32_C(1) : UINT32_C(0));
}

static int sleep_in_pieces(struct tg_box *box, const struct tg_waitset *set, int64_t deadline,
                           bool (*ready)(struct tg_box *box))
{
    struct tg_sender *tx = &box->tx;
    const int64_t now = tg_now_ns();
    const int64_t piece = tx->want > 1 ? now + WANT_NS : now + tg_backstop_ns(tx->sleeps);
    const bool is_piece = piece < deadline;
    TG_PROBE(wait, box->name, TONG_SEND);
    tg_gate_set_asleep(&tx->gate, true);
    const int r = tg_waitset_sleep(set, is_piece ? piece : deadline);
    tg_gate_set_asleep(&tx->gate, false);
    tg_life_pass_on(set);
    if (r == -ETIMEDOUT && is_piece && tx->want > 1) {
        /* Less than wanted came in that time: from now on the first bit will do. */
        tx->want = 1;
        tx->since_wake = 0;
        return 0;
    }
    if (r == -ETIMEDOUT && is_piece) {
        tx->sleeps++;
        if (ready(box) && !tg_waitset_changed(set)) {
            (void)tg_add(&tx->writer.head->finds, 1);
        }
        return 0;
    }
    tx->sleeps = r == 0 ? 0 : tx->sleeps;
    tx->since_wake = 0;
    return r == -EINTR ? r : 0;
}

/* Fill the set. True: do not sleep, look again. */
static bool prepare_sleep(struct tg_box *box, struct tg_waitset *set,
                          bool (*ready)(struct tg_box *box))
{
    const bool bounded = box->capacity != TONG_UNBOUNDED && box->capacity != 0;
    if (bounded && tg_sender_link_has_room(box)) {
        /* It is the mailbox's room that is wanting. */
        tell_wait(box, true);
        return ready(box) || tg_room_queue(box, set) != 0;
    }
    if (box->everyone) {
        if (tg_everyone_watch(box, set)) {
            return true;
        }
        tell_wait(box, true);
        return ready(box) || !tg_everyone_is_held(box);
    }
    add_bells(box, set);
    tg_sender_watch_receivers(box, set);
    tell_wait(box, true);
    return ready(box);
}

int tg_sender_sleep(struct tg_box *box, int64_t deadline, uint32_t interrupts,
                    bool (*ready)(struct tg_box *box))
{
    struct tg_waitset set;
    tg_waitset_clear(&set);
    tg_life_renew(box->root);
    tg_life_watch_begin(box->root);
    tg_waitset_add(&set, &box->interrupts->now, interrupts);
    int r = 0;
    if (!prepare_sleep(box, &set, ready) && tg_box_may_sleep(box, &set)) {
        tg_sender_ring(box, true);
        r = sleep_in_pieces(box, &set, deadline, ready);
    }
    tell_wait(box, false);
    tg_life_watch_end(box->root);
    return r;
}

/* ---- waiting for room */

/* A link full again after fewer messages than a quarter of it wants a quarter at a time: else each
 * freed place would wake its sender for one message, a context switch each. */
static void choose_want(struct tg_box *box)
{
    struct tg_sender *tx = &box->tx;
    const bool bounded = box->capacity != TONG_UNBOUNDED && box->capacity != 0;
    const uint32_t capacity = bounded ? box->capacity : box->link_capacity;
    const uint32_t quarter = capacity == TONG_UNBOUNDED ? 1 : capacity / 4;
    tx->want = quarter > 1 && tx->since_wake < quarter ? quarter : 1;
}

static int wait_for_room(struct tg_box *box, int64_t deadline, uint32_t interrupts)
{
    const bool bounded = box->capacity != TONG_UNBOUNDED;
    if (!(bounded && tg_load_relaxed(&box->room->queued) != 0) && tg_sender_spin(box, has_room)) {
        return 0;
    }
    choose_want(box);
    for (;;) {
        int r = tg_box_check(box);
        if (r < 0 || has_room(box)) {
            return r;
        }
        if (tg_box_is_interrupted(box, interrupts)) {
            return -ECANCELED;
        }
        if (tg_is_over(deadline)) {
            return -ETIMEDOUT;
        }
        r = tg_sender_sleep(box, deadline, interrupts, has_room);
        if (r < 0) {
            return has_room(box) ? 0 : r;
        }
    }
}

static int get_room(struct tg_box *box, int64_t deadline, uint32_t interrupts)
{
    if (box->lossy) {
        return tg_give_up_for_room(box);
    }
    const bool at_once = deadline == 0 || box->full == TONG_DROP_NEWEST;
    if (at_once ? has_room_now(box) : has_room(box)) {
        return 0;
    }
    if (box->full == TONG_DROP_NEWEST) {
        return TONG_DROPPED;
    }
    if (deadline == 0) {
        /* What fills it may be a message nobody was told of (I2). */
        tg_sender_ring(box, true);
        return -EAGAIN;
    }
    const int r = wait_for_room(box, deadline, interrupts);
    if (box->capacity != TONG_UNBOUNDED) {
        tg_room_leave(box);
    }
    return r;
}

/* ---- placing */

static int place(struct tg_box *box, uint64_t len, uint8_t **ret_data)
{
    struct tg_sender *tx = &box->tx;
    if (box->capacity == 0) {
        return tg_writer_reserve_offer(&tx->writer, len, tg_rendezvous_all_finished(box), ret_data);
    }
    struct tg_link_place row = { .known = false };
    if (!tg_writer_fits(&tx->writer, len)) {
        row = box->lossy      ? tg_give_up_place(box)
              : box->everyone ? tg_everyone_place(box)
                              : tg_sender_place(box);
    }
    const int r = tg_writer_reserve(&tx->writer, len, &row, ret_data);
    return r == -ENOSPC && box->lossy ? tg_give_up_for_memory(box, len, ret_data) : r;
}

/* Room and a place for a message. 0, TONG_DROPPED, -errno. */
static int prepare(struct tg_box *box, uint64_t len, int64_t deadline, uint32_t interrupts,
                   uint8_t **ret_data)
{
    struct tg_sender *tx = &box->tx;
    tx->given_up = 0;
    int r = tx->has_link ? 0 : tg_box_gone(box, tg_sender_get_link(box));
    if (r == 0 && box->capacity != 0) {
        r = get_room(box, deadline, interrupts);
    }
    if (r != 0 || box->way != NULL) {
        return r; /* its place is not in the link */
    }
    r = place(box, len, ret_data);
    if (r < 0 && tx->holds_room) {
        tg_room_give_back(box);
    }
    return tg_box_gone(box, r);
}

static inline void note_cpu(struct tg_box *box)
{
    const uint32_t cpu = tg_sys_cpu();
    if (cpu != box->tx.cpu) {
        box->tx.cpu = cpu;
        tg_store_relaxed(&box->tx.writer.head->cpu, cpu);
    }
}

/* Committed: what that means for room. */
static void note_sent(struct tg_box *box)
{
    struct tg_sender *tx = &box->tx;
    tx->since_wake++;
    if (tx->holds_room) {
        tx->holds_room = false;
        /* Whoever counts the rooms of a dead one finds at most one message behind tail. */
        tg_writer_note_tail(&tx->writer);
        tg_store_release(&box->room_rows[tx->writer.row].sent, tx->writer.sequence);
    }
}

static void commit(struct tg_box *box, uint64_t len, uint32_t extension)
{
    note_cpu(box);
    tg_writer_commit_extended(&box->tx.writer, len, extension);
    note_sent(box);
}

/* After the commits: promise them. */
static void tell(struct tg_box *box)
{
    ring(box, false);
    tg_writer_note_tail(&box->tx.writer);
}

/* ---- the call */

struct call {
    int64_t deadline;
    uint32_t interrupts;
};

static int check_length(const struct tg_box *box, size_t len)
{
    const bool is_other = box->message_size != 0 && len != box->message_size;
    return len > TONG_MESSAGE_MAX || is_other ? -EMSGSIZE : 0;
}

/* Wait until no other thread has a reservation on this handle. The gate is held on 0. */
static int enter_gate(struct tg_box *box, const struct call *call)
{
    for (;;) {
        const uint32_t stir = tg_load_acquire(&box->tx.gate.stir);
        int r =
            tg_gate_enter(&box->tx.gate, call->deadline, &box->interrupts->now, call->interrupts);
        if (r < 0 || !box->tx.has_reservation) {
            return r;
        }
        const bool own = pthread_equal(box->tx.reserver, pthread_self()) != 0;
        tg_gate_leave(&box->tx.gate);
        if (own) {
            return -EINVAL; /* it would wait for itself */
        }
        if (call->deadline == 0) {
            return -EAGAIN;
        }
        if (tg_box_is_interrupted(box, call->interrupts)) {
            return -ECANCELED;
        }
        r = tg_sys_futex_wait(&box->tx.gate.stir, stir, call->deadline);
        if (r < 0) {
            return r;
        }
    }
}

static int enter(struct tg_box *box, int64_t timeout_ns, struct call *call)
{
    const int r = tg_box_begin(box);
    if (r < 0) {
        return r;
    }
    if ((box->flags & TONG_SEND) == 0) {
        return -EBADF;
    }
    call->deadline = tg_deadline(timeout_ns);
    call->interrupts = tg_box_interrupts(box);
    const int entered = enter_gate(box, call);
    if (entered == 0 && box->tx.poll != NULL) {
        tg_poll_begin_sender(box);
    }
    return entered;
}

/* r: what the call answers. */
static void leave(struct tg_box *box, int r)
{
    if (box->tx.poll != NULL) {
        tg_poll_settle_sender(box, r);
    }
    tg_gate_leave(&box->tx.gate);
}

/* The common case in one piece: room as last seen, a place in the segment; in a bounded mailbox, who took the last room takes
 * one more. False: nothing was done, go the long way, which does whatever is needed. is_first: of those of one call. */
TG_INLINE bool send_short(struct tg_box *box, const void *data, size_t len, bool is_first)
{
    struct tg_sender *tx = &box->tx;
    struct tg_writer *w = &tx->writer;
    const uint64_t end = w->pos + tg_record_size(len) + TG_RECORD_HEAD;
    if ((!tx->is_plain && !tx->is_bounded) || w->sequence - tx->done_seen >= tx->plain_room ||
        end > w->ready) {
        return false;
    }
    if (!tx->is_plain && !tg_room_take_again(box)) {
        return false;
    }
    tg_box_copy(w->base + w->pos + TG_RECORD_HEAD, data, len);
    if (is_first) {
        note_cpu(box);
    }
    tg_writer_commit(w, len);
    if (w->cold) {
        tg_link_fetch(w->base + w->pos, len);
    }
    note_sent(box);
    return true;
}

/* By another way than the link. The room is taken. What fills the queue though there is room was not sent
 * by tong, or by one that died inside: receivers throw it away. */
static int send_carried(struct tg_box *box, const struct tg_parts *parts, const struct call *call)
{
    note_cpu(box);
    int r = tg_carried_send(box, parts);
    while (r == -EAGAIN && call->deadline != 0) {
        tg_sender_ring(box, true); /* counted.c, I3 */
        box->way->wait_for_room(box->carry->fd);
        r = tg_box_check(box);
        if (r == 0 && tg_box_is_interrupted(box, call->interrupts)) {
            r = -ECANCELED;
        }
        if (r == 0 && tg_is_over(call->deadline)) {
            r = -ETIMEDOUT;
        }
        r = r == 0 ? tg_carried_send(box, parts) : r;
    }
    if (r == -EAGAIN) {
        tg_sender_ring(box, true);
    }
    if (r < 0) {
        if (box->tx.holds_room) {
            tg_room_give_back(box);
        }
        return tg_box_gone(box, r);
    }
    tg_writer_count(&box->tx.writer);
    note_sent(box);
    return 0;
}

static int send_one(struct tg_box *box, const struct tg_parts *parts, const struct call *call)
{
    uint8_t *to;
    const uint64_t len = (uint64_t)parts->extension_len + parts->len;
    int r = prepare(box, len, call->deadline, call->interrupts, &to);
    if (r != 0 || box->way != NULL) {
        return r != 0 ? r : send_carried(box, parts, call);
    }
    tg_box_copy(to, parts->extension, parts->extension_len);
    tg_box_copy(to + parts->extension_len, parts->data, parts->len);
    if (box->capacity == 0) {
        const bool drop = box->full != TONG_BLOCK;
        note_cpu(box);
        const struct tg_offering o = { .len = len,
                                       .extension = parts->extension_len,
                                       .about = parts->about,
                                       .deadline_ns = parts->deadline_ns };
        r = tg_rendezvous_send(box, &o, drop ? 0 : call->deadline, call->interrupts);
        return drop && r == -EAGAIN ? TONG_DROPPED : r;
    }
    commit(box, len, parts->extension_len);
    return 0;
}

/* What a send that put its message into the mailbox answers. */
static int answer(const struct tg_box *box)
{
    return box->tx.given_up != 0 ? TONG_DROPPED : 0;
}

/* Link, row and number: what its caller knows it by. */
static void tell_where(const struct tg_box *box, uint64_t *ret_where)
{
    const struct tg_writer *w = &box->tx.writer;
    const uint32_t number = box->capacity == 0 ? box->tx.offer : w->sequence - 1;
    ret_where[0] = w->link_id;
    ret_where[1] = (uint64_t)w->row << 32 | number;
}

/* 0: it is in the mailbox, see answer(). TONG_DROPPED: it is not. */
static int send_or_drop(struct tg_box *box, const struct tg_parts *parts, const struct call *call)
{
    if (parts->extension_len == 0 && send_short(box, parts->data, parts->len, true)) {
        box->tx.given_up = 0;
        return 0;
    }
    const int r = send_one(box, parts, call);
    if (r == TONG_DROPPED && !parts->is_kept) {
        struct tg_link_head *head = box->tx.writer.head;
        tg_store_relaxed(&head->dropped, tg_load_relaxed(&head->dropped) + 1);
    }
    return r;
}

/* The call, from the gate on. */
static int send_parts(struct tg_box *box, const struct tg_parts *parts, int64_t timeout_ns)
{
    struct call call;
    int r = enter(box, timeout_ns, &call);
    if (r < 0) {
        return r;
    }
    r = send_or_drop(box, parts, &call);
    if (r == 0 && parts->ret_where != NULL) {
        tell_where(box, parts->ret_where);
    }
    if (r == 0) {
        TG_PROBE(send, box->name, parts->len);
    }
    if (r == 0 && box->capacity != 0) {
        tell(box);
        r = parts->is_kept || parts->ret_where != NULL ? 0 : answer(box);
    }
    leave(box, r);
    return r;
}

int tg_box_send_said(struct tg_box *box, const struct tg_said *said, const void *data, size_t len,
                     int64_t timeout_ns,
                     uint64_t *ret_where) /* NOLINT(readability-non-const-parameter) */
{
    uint8_t extension[TG_EXTENSION_MOST];
    const struct tg_parts parts = { .extension = extension,
                                    .extension_len = tg_said_write(said, extension),
                                    .data = data,
                                    .len = len,
                                    .about = tg_said_about(said),
                                    .deadline_ns = said->attributes.deadline_ns,
                                    .priority = said->attributes.priority,
                                    .is_kept = said->has_origin,
                                    .ret_where = ret_where };
    struct tg_box *lane = box;
    const bool too_long =
        check_length(box, len) < 0 || len > TONG_MESSAGE_MAX - parts.extension_len;
    const int r = too_long ? -EMSGSIZE : tg_lane_get(box, parts.priority, &lane);
    return r < 0 ? r : send_parts(lane, &parts, timeout_ns);
}

int tg_box_send_with(struct tg_box *box, const void *data, size_t len,
                     const tong_send_options *with, int64_t timeout_ns)
{
    struct tg_said said;
    const int r = tg_said_from(with, &said);
    return r < 0 ? r : tg_box_send_said(box, &said, data, len, timeout_ns, NULL);
}

int tg_box_ask(struct tg_box *box, const void *data, size_t len, const tong_send_options *with,
               int64_t timeout_ns, uint64_t ret_where[2])
{
    struct tg_said said;
    const int r = tg_said_from(with, &said);
    return r < 0 ? r : tg_box_send_said(box, &said, data, len, timeout_ns, ret_where);
}

/* The same by another way than the link. */
static __attribute__((noinline)) bool send_carried_short(struct tg_box *box, const void *data,
                                                         size_t len)
{
    const struct call at_once = { .deadline = 0 };
    const struct tg_parts parts = { .data = data, .len = len };
    box->tx.given_up = 0;
    return box->way != NULL && box->tx.has_link && has_room(box) &&
           send_carried(box, &parts, &at_once) == 0;
}

int tg_box_send(struct tg_box *box, const void *data, size_t len, int64_t timeout_ns)
{
    const int r = check_length(box, len);
    /* With one thread nobody else is inside: the gate is free. */
    if (__libc_single_threaded && r == 0 && !box->tx.has_reservation && tg_box_begin(box) == 0 &&
        (send_short(box, data, len, true) || send_carried_short(box, data, len))) {
        TG_PROBE(send, box->name, len);
        tell(box);
        return 0;
    }
    const struct tg_parts parts = { .data = data, .len = len };
    return r < 0 ? r : send_parts(box, &parts, timeout_ns);
}

ssize_t tg_box_send_many(struct tg_box *box, const struct iovec *messages, size_t n,
                         int64_t timeout_ns)
{
    struct call call;
    int r = n == 0 ? 0 : check_length(box, messages[0].iov_len);
    if (r == 0) {
        r = enter(box, timeout_ns, &call);
    }
    if (r < 0) {
        return r;
    }
    size_t sent = 0;
    for (size_t i = 0; i < n && r >= 0; i++) {
        r = check_length(box, messages[i].iov_len);
        if (r == 0 && i != 0 && send_short(box, messages[i].iov_base, messages[i].iov_len, false)) {
            box->tx.given_up = 0;
        } else if (r == 0) {
            const struct tg_parts parts = { .data = messages[i].iov_base,
                                            .len = messages[i].iov_len };
            r = send_or_drop(box, &parts, &call);
        }
        if (r == 0) {
            TG_PROBE(send, box->name, messages[i].iov_len);
            sent++;
        }
        call.deadline = 0;
    }
    if (sent != 0 && box->capacity != 0) {
        tell(box);
    }
    leave(box, r);
    return sent != 0 || r >= 0 ? (ssize_t)sent : r;
}

/* ---- in place */

int tg_box_reserve(struct tg_box *box, size_t len, int64_t timeout_ns, tong_slot *ret_slot)
{
    struct call call;
    int r = check_length(box, len);
    if (r == 0) {
        r = enter(box, timeout_ns, &call);
    }
    if (r < 0) {
        return r;
    }
    struct tg_sender *tx = &box->tx;
    uint8_t *to;
    r = prepare(box, len, call.deadline, call.interrupts, &to);
    if (r == TONG_DROPPED) {
        r = -EAGAIN; /* there is no message yet that could be dropped */
    }
    if (r == 0 && box->way != NULL) {
        r = tg_carry_reserve(box, len, &to);
    }
    if (r == 0) {
        tx->has_reservation = true;
        tx->reserver = pthread_self();
        tx->reservation++;
        tx->reserved_len = len;
        tx->timeout_ns = timeout_ns;
        ret_slot->data = to;
        ret_slot->len = len;
        ret_slot->private_[0] = tx->reservation;
    }
    leave(box, r);
    return r;
}

/* The gate is held on 0: this slot is the present reservation. */
static int enter_reservation(struct tg_box *box, const tong_slot *slot)
{
    if (box->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    (void)tg_gate_enter(&box->tx.gate, TG_NEVER, NULL, 0);
    if (!box->tx.has_reservation || slot->private_[0] != box->tx.reservation) {
        tg_gate_leave(&box->tx.gate);
        return -EINVAL;
    }
    return 0;
}

static void end_reservation(struct tg_box *box, tong_slot *slot)
{
    tg_carry_unreserve(box);
    box->tx.has_reservation = false;
    slot->data = NULL;
    slot->private_[0] = 0;
}

static void leave_reservation(struct tg_box *box, int r)
{
    leave(box, r);
    if (box->threads) {
        tg_gate_stir(&box->tx.gate);
    }
}

int tg_box_abort(struct tg_box *box, tong_slot *slot)
{
    const int r = enter_reservation(box, slot);
    if (r < 0) {
        return r;
    }
    if (box->way == NULL) {
        tg_writer_abort(&box->tx.writer);
    }
    if (box->tx.holds_room) {
        tg_room_give_back(box);
    }
    end_reservation(box, slot);
    leave_reservation(box, 0);
    return 0;
}

int tg_box_commit(struct tg_box *box, tong_slot *slot, size_t len)
{
    int r = enter_reservation(box, slot);
    if (r < 0) {
        return r;
    }
    if (len > box->tx.reserved_len) {
        r = -EINVAL;
    } else if (check_length(box, len) < 0) {
        r = -EMSGSIZE;
    }
    if (r < 0) {
        tg_gate_leave(&box->tx.gate);
        return r;
    }
    r = tg_box_check(box);
    if (r < 0 && box->way == NULL) {
        tg_writer_abort(&box->tx.writer);
    } else if (r == 0 && box->way != NULL) {
        const struct call at_once = { .deadline = 0 };
        const struct tg_parts parts = { .data = box->carry->reserved, .len = len };
        r = send_carried(box, &parts, &at_once);
        if (r == 0) {
            tell(box);
        }
    } else if (r == 0 && box->capacity == 0) {
        note_cpu(box);
        const struct tg_offering o = { .len = len };
        r = tg_rendezvous_send(box, &o, tg_deadline(box->tx.timeout_ns), tg_box_interrupts(box));
    } else if (r == 0) {
        commit(box, len, 0);
        tell(box);
        r = answer(box);
    }
    if (r >= 0) {
        TG_PROBE(send, box->name, len);
    }
    end_reservation(box, slot);
    leave_reservation(box, r);
    return r;
}
