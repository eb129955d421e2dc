/* Several messages at once, and several mailboxes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/nats/box.h"
#include "carrier/nats/call.h"
#include "carrier/nats/dead_letter.h"
#include "carrier/nats/fetch.h"
#include "carrier/nats/give.h"
#include "carrier/nats/long.h"
#include "carrier/nats/net.h"

#define BATCH_MOST 256u

/*
 * ---- a row of messages: the first one as any, then those that are there, with one request for many.
 *
 * While a request is open nothing else is asked for on the connection, for its messages would come in between. So a
 * long message is the last one of its request: those behind it go back, and its pieces are read when the
 * request is over.
 */

struct row {
    struct tg_nats_box *box;
    const struct iovec *buffers;
    size_t n;
    size_t *lens;
    size_t got;
    bool is_over;   /* one did not fit, or could not be received */
    int error;      /* why, of the latter */
    bool gave_back; /* some are at the server again */
    bool has_long;
    struct tg_nats_taken long_one;
    uint64_t seqs[BATCH_MOST]; /* of those that were kept and not yet forgotten (quorum.c) */
    size_t n_seqs;
};

static int put_word(const struct row *row, const char *ack, const char *word)
{
    return tg_nats_publish_text(row->box->rx.conn, ack, NULL, word);
}

static int keep_one(struct row *row, struct tg_nats_taken *taken)
{
    const struct iovec *buffer = &row->buffers[row->got];
    row->is_over = row->is_over || row->got == row->n || taken->len > buffer->iov_len;
    if (row->is_over || row->has_long) {
        row->gave_back = true;
        return put_word(row, taken->ack, "-NAK");
    }
    if (taken->is_long) {
        row->has_long = true;
        row->long_one = *taken;
        return 0;
    }
    const int r = tg_nats_take_over(row->box, taken, false);
    if (r == -ENODATA) {
        return put_word(row, taken->ack, "+ACK");
    }
    if (r < 0) {
        row->is_over = true;
        row->error = r;
        row->gave_back = true;
        return put_word(row, taken->ack, "-NAK");
    }
    if (taken->len > 0) {
        memcpy(buffer->iov_base, taken->msg.data, taken->len);
    }
    row->lens[row->got++] = taken->len;
    row->seqs[row->n_seqs++] = taken->seq;
    tg_nats_delete_line(row->box, &taken->counted);
    return put_word(row, taken->ack, "+ACK");
}

/* No request is open: 0, also if its pieces are gone. */
static int keep_long(struct row *row)
{
    struct tg_nats_taken *taken = &row->long_one;
    row->has_long = false;
    int r = tg_nats_take_over(row->box, taken, false);
    r = r < 0 ? r : tg_nats_copy(row->box, taken, row->buffers[row->got].iov_base);
    if (r < 0) {
        return tg_nats_refuse(row->box, taken, r);
    }
    row->lens[row->got++] = taken->len;
    return tg_nats_acknowledge_taken(row->box, taken);
}

/* Whether they were others' before cannot be told here. */
static void forget(struct row *row)
{
    if (tg_nats_has_replicas(row->box) && row->n_seqs > 0) {
        (void)tg_nats_forget(row->box, row->seqs, row->n_seqs);
    }
    row->n_seqs = 0;
}

/* Those that are there now, with one request: 1 there may be more, 0, -errno. */
static int receive_some(struct row *row)
{
    struct tg_nats_box *box = row->box;
    const size_t rest = row->n - row->got;
    const unsigned asked = rest < BATCH_MOST ? (unsigned)rest : BATCH_MOST;
    unsigned came = 0;
    int r = tg_nats_ask_for(box, asked, 0);
    while (r >= 0 && came < asked) {
        struct tg_nats_taken taken = { .is_pocketed = false };
        r = tg_nats_await_batch(box, &taken.msg);
        if (r == 1) {
            came++;
            r = tg_nats_read_batched(box, &taken);
            r = r == 1 ? keep_one(row, &taken) : r;
        }
    }
    box->rx.is_fetching = false;
    if (r < 0 && r != TG_NATS_NOTHING && box->rx.conn != NULL) {
        box->rx.conn->is_lost = true; /* what else was asked for is not this handle's any more */
    }
    forget(row);
    const bool was_long = row->has_long;
    if ((r == TG_NATS_NOTHING || r >= 0) && was_long) {
        r = keep_long(row);
    }
    r = r == TG_NATS_NOTHING ? 0 : r;
    return r < 0 ? r : !row->is_over && row->got < row->n && (was_long || came == asked);
}

/* 1: it was gone as it is. */
static int take_first(struct row *row, struct tg_nats_call *call, struct tg_nats_taken *first)
{
    struct tg_nats_box *box = row->box;
    int r = tg_nats_take(box, call, first);
    if (r < 0) {
        return r;
    }
    if (first->len > row->buffers[0].iov_len) {
        r = tg_nats_set_aside(box, first);
        return r < 0 ? r : -EMSGSIZE;
    }
    r = tg_nats_take_over(box, first, false);
    r = r == 0 && first->len > 0 ? tg_nats_copy(box, first, row->buffers[0].iov_base) : r;
    if (r < 0) {
        r = tg_nats_refuse(box, first, r);
        return r < 0 ? r : 1;
    }
    return 0;
}

/* The first one's acknowledgement is the last word: when the server has carried it out, it has all others. */
static int receive_row(struct row *row, struct tg_nats_call *call)
{
    struct tg_nats_box *box = row->box;
    struct tg_nats_taken first;
    int r;
    do {
        r = take_first(row, call, &first);
    } while (r == 1);
    if (r < 0) {
        return r;
    }
    row->lens[row->got++] = first.len;
    int more = row->n > 1 && box->stash == NULL; /* these come first, one by one */
    while (more == 1) {
        more = receive_some(row);
    }
    row->seqs[row->n_seqs++] = first.seq;
    forget(row);
    r = tg_nats_acknowledge_row(box, first.ack, row->got, row->gave_back);
    if (first.is_long) {
        (void)tg_nats_drop_long(box, first.owner);
    }
    tg_nats_delete_line(box, &first.counted);
    return r;
}

ssize_t tg_nats_receive_many(
    struct tg_nats_box *box, const struct iovec *buffers, size_t n, int64_t timeout_ns,
    size_t *ret_lens) /* written through row, NOLINT(readability-non-const-parameter) */
{
    struct tg_nats_call call;
    int r = tg_nats_begin(box, &box->rx, TONG_RECEIVE, timeout_ns, &call);
    if (r < 0) {
        return r;
    }
    struct row row = { .box = box, .buffers = buffers, .n = n, .lens = ret_lens };
    if (n > 0) {
        r = receive_row(&row, &call);
    }
    tg_nats_finish(&box->rx);
    return row.got > 0 ? (ssize_t)row.got : r;
}

/* ---- several mailboxes */

struct any {
    struct tg_nats_box *const *boxes;
    size_t n;
    struct tg_nats_call calls[64];
    size_t order[64]; /* by address: two that wait for the same ones do not wait for each other */
    size_t entered;
};

static void sort(struct any *any)
{
    for (size_t i = 0; i < any->n; i++) {
        size_t k = i;
        for (; k > 0 && any->boxes[any->order[k - 1]] > any->boxes[i]; k--) {
            any->order[k] = any->order[k - 1];
        }
        any->order[k] = i;
    }
}

/* The index of one that cannot be waited for, by its end; or -errno; -EAGAIN: all are entered. */
static int enter_all(struct any *any, int64_t timeout_ns)
{
    for (size_t i = 0; i < any->n; i++) {
        struct tg_nats_box *box = any->boxes[any->order[i]];
        const int r =
            tg_nats_begin(box, &box->rx, TONG_RECEIVE, timeout_ns, &any->calls[any->order[i]]);
        if (r == -EIDRM || r == -EOWNERDEAD) {
            return (int)any->order[i];
        }
        if (r < 0) {
            return r == -EAGAIN ? -EBUSY : r;
        }
        any->entered++;
    }
    return -EAGAIN;
}

/* It was fetched to see whether there is one. */
static int put_back(struct tg_nats_box *box, const struct tg_nats_msg *msg)
{
    /* The connection may be lost by now, and be freed for another one. */
    char ack_at[TG_NATS_ACK_SIZE];
    struct tg_text ack = TG_TEXT(ack_at);
    tg_text_add(&ack, msg->reply);
    return tg_nats_give_back(box, ack.at);
}

/* The requests that stand are taken back; what came meanwhile is given back. */
static void leave_all(struct any *any)
{
    for (size_t i = 0; i < any->entered; i++) {
        struct tg_nats_box *box = any->boxes[any->order[i]];
        struct tg_nats_msg msg;
        if (box->rx.is_fetching && tg_nats_take_back(box, &msg) == 1) {
            (void)put_back(box, &msg);
        }
        tg_nats_finish(&box->rx);
    }
}

/* A tick is over: 1 it has something, 0, -errno. */
static int relieve(struct tg_nats_box *box)
{
    struct tg_nats_msg msg;
    int r = tg_nats_relieve(box, true);
    r = r < 0 ? r : tg_nats_renew(box, &msg);
    if (r == 1) {
        r = put_back(box, &msg);
        r = r < 0 ? r : 1;
    }
    return r;
}

/* Whether this one has something: 1, 0, -errno. for_ns 0: ask for what is there now. */
static int look_at(struct tg_nats_box *box, int64_t for_ns)
{
    struct tg_nats_side *side = &box->rx;
    struct tg_nats_taken taken = { .is_pocketed = false };
    if ((box->has_pocket && tg_now_ns() < box->pocket_until_ns) || box->stash != NULL) {
        return 1;
    }
    int r = tg_nats_connect_side(box, side);
    if (r == 0 && (side->must_look || !tg_nats_may_receive(box))) {
        side->must_look = false;
        r = tg_nats_look_as_receiver(box);
    }
    if (r == 0 && for_ns == 0) {
        r = tg_nats_try_once(box, &taken.msg);
    } else if (r == 0) {
        r = side->is_fetching ? 0 : tg_nats_stand(box, for_ns);
        r = r < 0 ? r : tg_nats_await_now(box, &taken.msg);
    }
    if (r == -EIDRM || r == -EOWNERDEAD || r == -EPERM) {
        return 1;
    }
    r = r == TG_NATS_NOTHING ? 0 : r;
    if (r == 1) {
        r = tg_nats_read_taken(box, &taken);
        if (r == 1 && tg_nats_is_too_often(box, &taken)) {
            r = tg_nats_dead_letter(box, &taken);
        }
        if (r == 1) {
            r = tg_nats_give_back(box, taken.ack);
            r = r < 0 ? r : tg_nats_settle(side);
            return r < 0 ? r : 1;
        }
    }
    return r < 0 ? r : 0;
}

static int look_at_all(struct any *any, int64_t for_ns)
{
    for (size_t i = 0; i < any->n; i++) {
        const int r = look_at(any->boxes[i], for_ns);
        if (r != 0) {
            return r < 0 ? r : (int)i;
        }
    }
    return -EAGAIN;
}

static int is_any_interrupted(const struct any *any)
{
    int r = 0;
    for (size_t i = 0; i < any->n; i++) {
        /* First the bell, then the count: it is counted before it is rung. One that was rung late is no reason to wake. */
        tg_net_silence(any->boxes[i]->rx.bell);
        if (tg_nats_is_interrupted(any->boxes[i], any->calls[i].interrupts)) {
            r = -ECANCELED;
        }
    }
    return r;
}

static int sleep_on_all(const struct any *any, int64_t deadline)
{
    int fds[128];
    for (size_t i = 0; i < any->n; i++) {
        struct tg_nats_side *side = &any->boxes[i]->rx;
        if (tg_nats_has_input(side->conn)) {
            return 0;
        }
        fds[2 * i] = side->conn->fd;
        fds[2 * i + 1] = side->bell;
    }
    for (size_t i = 0; i < any->n; i++) {
        tg_gate_set_asleep(&any->boxes[i]->rx.gate, true);
    }
    const int r = tg_net_wait_many(fds, 2 * any->n, deadline);
    for (size_t i = 0; i < any->n; i++) {
        tg_gate_set_asleep(&any->boxes[i]->rx.gate, false);
    }
    return r;
}

static int wait_for_any(struct any *any, int64_t timeout_ns)
{
    const int64_t deadline = any->calls[0].deadline;
    int r = look_at_all(any, 0);
    while (r == -EAGAIN && timeout_ns != 0) {
        const int cancelled = is_any_interrupted(any);
        if (cancelled < 0) {
            return cancelled;
        }
        if (tg_net_signals() != any->calls[0].signals) {
            return -EINTR;
        }
        const int64_t tick = tg_now_ns() + TG_NATS_TICK_NS;
        const int slept = sleep_on_all(any, deadline < tick ? deadline : tick);
        if (slept == -EINTR) {
            return is_any_interrupted(any) < 0 ? -ECANCELED : -EINTR;
        }
        r = look_at_all(any, TG_NATS_STANDING_NS);
        if (r == -EAGAIN && tg_is_over(deadline)) {
            return -ETIMEDOUT;
        }
        for (size_t i = 0; r == -EAGAIN && slept == -ETIMEDOUT && i < any->n; i++) {
            const int relieved = relieve(any->boxes[i]);
            r = relieved != 0 ? (int)i : r;
        }
    }
    return r;
}

int tg_nats_wait_any(struct tg_nats_box *const boxes[], size_t n, int64_t timeout_ns)
{
    struct any any = { .boxes = boxes, .n = n };
    sort(&any);
    for (size_t i = 1; i < n; i++) {
        if (boxes[any.order[i]] == boxes[any.order[i - 1]]) {
            return -EINVAL;
        }
    }
    int r = enter_all(&any, timeout_ns);
    if (r == -EAGAIN) {
        r = wait_for_any(&any, timeout_ns);
    }
    leave_all(&any);
    return r == -EBUSY ? -EAGAIN : r;
}
