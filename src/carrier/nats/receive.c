/*
 * Receiving: a request for one message stands at the server, and the server serves those who wait in the order in
 * which they came.
 *
 * I1  A request that is given up is taken back: the subject for its answer is unsubscribed from and the server's
 *     word awaited. A message that was on its way comes before that word, and is this call's.
 * I2  While a receiver waits it looks, tick by tick, whether messages are in the hands of the dead, and gives
 *     them back on their behalf (claim.c).
 * I3  A server (2.9.10 at least) that was killed and comes back may have written down as handed out what is
 *     not there any more; it stops at that, and goes on with the next request. So who is passed over asks again.
 * I4  To everyone a dead receiver has no message in hand that another one waits for, but messages are kept for it: so
 *     who waits looks for the dead now and then in any case.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/nats/box.h"
#include "carrier/nats/call.h"
#include "carrier/nats/dead_letter.h"
#include "carrier/nats/direct.h"
#include "carrier/nats/everyone.h"
#include "carrier/nats/fetch.h"
#include "carrier/nats/give.h"
#include "carrier/nats/long.h"
#include "carrier/nats/loop.h"
#include "carrier/nats/net.h"
#include "carrier/nats/owner.h"
#include "carrier/nats/party.h"

#define MOMENT_NS INT64_C(20000000)   /* besides the way to the server and back */
#define ANSWER_NS INT64_C(250000000)  /* of a server that answers at once, and has much to do */
#define BEYOND_NS INT64_C(1000000000) /* from there to another site, and back */
#define SHORT_NS INT64_C(10000000)
#define SPARE_NS INT64_C(2000000000)
#define SELDOM 8u /* ticks */

/* ---- one message */

/* What came on the side of a receiver that has asked: 1 its message, 0 something else, TG_NATS_NOTHING, -errno. */
static int judge(struct tg_nats_box *box, const struct tg_nats_msg *msg)
{
    struct tg_nats_side *side = &box->rx;
    if (msg->sid != side->fetch_sid) {
        tg_nats_note(side, msg);
        return 0;
    }
    if (msg->status == 100) {
        return 0; /* a sign of life */
    }
    tg_nats_is_served(side);
    if (msg->status == 0) {
        return 1;
    }
    if (msg->status == 404 || msg->status == 408) {
        return TG_NATS_NOTHING;
    }
    /* 409: consumer or leader gone; 503: nobody is there. It is made, or comes back: then not at once. */
    const int r = tg_nats_look_as_receiver(box);
    if (r == 0) {
        (void)tg_net_wait(-1, 0, -1, tg_now_ns() + TG_NATS_RETRY_NS);
    }
    return r < 0 ? r : TG_NATS_NOTHING;
}

/* Wait for the answer to a request. As judge(); 0 at a tick, or when the book has to be looked at. */
static int await_until(struct tg_nats_box *box, const struct tg_nats_wait *wait,
                       struct tg_nats_msg *ret_msg)
{
    struct tg_nats_side *side = &box->rx;
    for (;;) {
        struct tg_nats_msg msg;
        int r = tg_nats_next(side->conn, wait, &msg);
        if (r < 0) {
            return r;
        }
        r = judge(box, &msg);
        if (r != 0) {
            *ret_msg = msg;
            return r;
        }
        if (side->must_look) {
            return 0;
        }
        if (tg_is_over(wait->deadline)) {
            return -ETIMEDOUT; /* however much comes that is nothing */
        }
    }
}

static int look_if_told(struct tg_nats_box *box)
{
    if (!box->rx.must_look) {
        return 0;
    }
    box->rx.must_look = false;
    return tg_nats_look_as_receiver(box);
}

static int count_mine(struct tg_nats_box *box, const struct tg_js *js, uint64_t *ret_n)
{
    struct tg_js_answer answer;
    const int r = tg_nats_consumer_info(box->server, js, box->record.id, box->consumer, &answer);
    if (r == 0) {
        *ret_n = tg_json_u64(tg_json_get(answer.json, "num_pending")) +
                 tg_json_u64(tg_json_get(answer.json, "num_ack_pending"));
    } else if (r == -ENOENT) {
        *ret_n = UINT64_MAX; /* it may be another one's word that it is gone */
    }
    return r;
}

static int count_all(struct tg_nats_box *box, const struct tg_js *js, uint64_t *ret_n)
{
    struct tg_js_answer answer;
    const int r = tg_nats_stream_info(box->server, js, box->record.id, &answer);
    if (r == 0) {
        *ret_n = tg_json_u64(tg_json_get(answer.json, "state.messages"));
    }
    return r;
}

/* How many messages there are, in hand or not. */
static int count_messages(struct tg_nats_box *box, uint64_t *ret_n)
{
    struct tg_js js;
    int r = tg_nats_enter(box->server, &js);
    if (r == 0) {
        r = tg_nats_is_to_everyone(box) ? count_mine(box, &js, ret_n) : count_all(box, &js, ret_n);
        tg_nats_leave(box->server);
    }
    return r == -ENOENT ? 0 : r;
}

static int64_t end_of(const struct tg_nats_side *side, int64_t moment_ns)
{
    const int64_t beyond_ns = tg_js_has_domain() ? BEYOND_NS : 0;
    return tg_now_ns() + moment_ns + 2 * side->conn->way_ns + beyond_ns;
}

/* How many of them are in somebody's hand, or came back from it. -ENOENT: nobody hands any out. */
static int count_out(struct tg_nats_box *box, uint64_t *ret_n)
{
    struct tg_js js;
    struct tg_js_answer answer;
    int r = tg_nats_enter(box->server, &js);
    if (r < 0) {
        return r;
    }
    r = tg_nats_consumer_info(box->server, &js, box->record.id, box->consumer, &answer);
    *ret_n = r == 0 ? tg_json_u64(tg_json_get(answer.json, "num_ack_pending")) : 0;
    tg_nats_leave(box->server);
    return r;
}

/* Let a request stand for a moment. */
static int ask_for_a_moment(struct tg_nats_box *box, int64_t moment_ns, struct tg_nats_msg *ret_msg)
{
    const struct tg_nats_wait wait = { .deadline = end_of(&box->rx, moment_ns), .cancel_fd = -1 };
    int r = tg_nats_ask_for(box, 1, SPARE_NS);
    while (r == 0) {
        r = await_until(box, &wait, ret_msg);
        if (r == -ETIMEDOUT && tg_now_ns() >= wait.deadline) {
            r = tg_nats_take_back(box, ret_msg);
            return r == 0 ? TG_NATS_NOTHING : r;
        }
        r = r == -ETIMEDOUT ? 0 : r;
        r = r == 0 ? look_if_told(box) : r;
    }
    return r;
}

/*
 * What is there now: 1 a message, TG_NATS_NOTHING, -ENOENT: some are there, and nobody hands them out, -errno. A server
 * says that there is none also when it has acknowledged one a moment ago, and of those that were given back: if there are
 * any, a request that stands for a moment gets one that nobody has in hand. One that was never handed out comes for certain.
 */
static int try_asking(struct tg_nats_box *box, struct tg_nats_msg *ret_msg)
{
    uint64_t n = 0;
    uint64_t out = 0;
    int r = tg_nats_ask_for(box, 1, 0);
    r = r < 0 ? r : tg_nats_await_batch(box, ret_msg);
    if (r != TG_NATS_NOTHING) {
        return r;
    }
    r = count_messages(box, &n);
    if (r < 0 || n <= box->n_stashed + box->n_claims) {
        return r < 0 ? r : TG_NATS_NOTHING;
    }
    r = count_out(box, &out);
    return r < 0 ? r : ask_for_a_moment(box, out < n ? ANSWER_NS : MOMENT_NS, ret_msg);
}

int tg_nats_try_once(struct tg_nats_box *box, struct tg_nats_msg *ret_msg)
{
    int r = try_asking(box, ret_msg);
    if (r == -ENOENT) {
        r = tg_nats_look_as_receiver(box);
        r = r < 0 ? r : try_asking(box, ret_msg);
    }
    return r == -ENOENT ? TG_NATS_NOTHING : r;
}

/* The request is taken back, and what comes before the server's word is still its answer. */
static int begin_to_close(struct tg_nats_side *side)
{
    const int r = tg_nats_unsubscribe(side->conn, side->fetch_sid);
    return r < 0 ? r : tg_nats_ping(side->conn);
}

static int end_of_closed(struct tg_nats_side *side)
{
    side->fetch_sid = 0;
    side->is_fetching = false;
    side->is_closing = false;
    return TG_NATS_NOTHING;
}

/*
 * A server answers at once, with messages or that there are none; but if a message was there when it looked and is gone
 * when it would hand it out (taken back, expired), it says nothing.
 */
int tg_nats_await_batch(struct tg_nats_box *box, struct tg_nats_msg *ret_msg)
{
    struct tg_nats_side *side = &box->rx;
    struct tg_nats_wait wait = { .deadline = end_of(side, ANSWER_NS), .cancel_fd = -1 };
    int r = 0;
    while (r == 0) {
        r = await_until(box, &wait, ret_msg);
        if (r == -ETIMEDOUT && side->is_closing && tg_nats_is_answered(side->conn)) {
            return end_of_closed(side);
        }
        if (r == -ETIMEDOUT && tg_now_ns() >= wait.deadline) {
            if (side->is_closing) {
                side->conn->is_lost = true;
                return -ENOTCONN;
            }
            side->is_closing = true;
            wait.deadline = tg_now_ns() + TG_NATS_PATIENCE_NS;
            r = begin_to_close(side);
        }
        r = r == -ETIMEDOUT ? 0 : r;
        r = r == 0 ? look_if_told(box) : r;
    }
    return r;
}

int tg_nats_await_now(struct tg_nats_box *box, struct tg_nats_msg *ret_msg)
{
    const struct tg_nats_wait now = { .deadline = 0, .cancel_fd = -1 };
    const int r = await_until(box, &now, ret_msg);
    return r == -ETIMEDOUT || r == TG_NATS_NOTHING ? 0 : r;
}

/* The wait is over, for a reason; but a message may have come meanwhile. */
static int give_up(struct tg_nats_box *box, int reason, struct tg_nats_msg *ret_msg)
{
    const int r = box->rx.is_fetching ? tg_nats_take_back(box, ret_msg) : 0;
    return r == 1 ? 1 : reason;
}

int tg_nats_renew(struct tg_nats_box *box, struct tg_nats_msg *ret_msg)
{
    struct tg_nats_side *side = &box->rx;
    if (!side->is_passed_over || !side->is_fetching) {
        return 0;
    }
    side->is_passed_over = false;
    return tg_nats_take_back(box, ret_msg);
}

/* Sleep: as await_until(), with the call's end. */
static int sleep_once(struct tg_nats_box *box, struct tg_nats_call *call,
                      struct tg_nats_msg *ret_msg)
{
    struct tg_nats_side *side = &box->rx;
    if (tg_nats_is_interrupted(box, call->interrupts)) {
        tg_net_silence(side->bell);
        return give_up(box, -ECANCELED, ret_msg);
    }
    if (tg_net_signals() != call->signals) { /* while the server was asked for something else */
        return give_up(box, -EINTR, ret_msg);
    }
    if (tg_is_over(call->deadline) && call->ticks > 0) {
        return give_up(box, -ETIMEDOUT, ret_msg); /* however often it is told to look */
    }
    const int64_t tick = tg_nats_tick(call->ticks++);
    const struct tg_nats_wait wait = { .deadline = call->deadline < tick ? call->deadline : tick,
                                       .cancel_fd = side->bell,
                                       .by_signal = true };
    tg_gate_set_asleep(&side->gate, true);
    const int r = await_until(box, &wait, ret_msg);
    tg_gate_set_asleep(&side->gate, false);
    if (r == -ECANCELED) {
        tg_net_silence(side->bell);
        return tg_nats_is_interrupted(box, call->interrupts) ? give_up(box, -ECANCELED, ret_msg)
                                                             : 0;
    }
    if (r == -EINTR) {
        const bool by_handler = tg_nats_is_interrupted(box, call->interrupts);
        return give_up(box, by_handler ? -ECANCELED : -EINTR, ret_msg);
    }
    if (r == -ETIMEDOUT) {
        if (tg_is_over(call->deadline)) {
            return give_up(box, -ETIMEDOUT, ret_msg);
        }
        if (call->look != NULL) {
            return give_up(box, TG_NATS_LOOK, ret_msg);
        }
        const bool is_whole = tg_nats_is_to_everyone(box) && call->ticks % SELDOM == 0; /* I4 */
        const int relieved = tg_nats_relieve(box, !is_whole);
        return relieved < 0 ? relieved : tg_nats_renew(box, ret_msg);
    }
    return r;
}

/* The time that a request stands at the server at most: longer than the call, which ends it itself. */
static int64_t standing_time(struct tg_nats_call *call)
{
    const int64_t rest =
        call->deadline == TG_NEVER ? TG_NATS_STANDING_NS : call->deadline - tg_now_ns();
    return rest < 0                                ? SPARE_NS
           : rest > TG_NATS_STANDING_NS - SPARE_NS ? TG_NATS_STANDING_NS
                                                   : rest + SPARE_NS;
}

static int wait_for_one(struct tg_nats_box *box, struct tg_nats_call *call,
                        struct tg_nats_msg *ret_msg)
{
    struct tg_nats_side *side = &box->rx;
    int r = 0;
    while (r == 0 || r == TG_NATS_NOTHING || r == -ENOTCONN) {
        if (r == -ENOTCONN) {
            r = tg_nats_reconnect(box, side, call);
        } else if (side->must_look) {
            side->must_look = false;
            r = tg_nats_look_as_receiver(box);
        }
        if (r == TG_NATS_NOTHING) {
            r = 0;
        }
        if (r == 0 && !side->is_fetching) {
            r = tg_nats_stand(box, standing_time(call));
        }
        if (r == 0) {
            r = sleep_once(box, call, ret_msg);
        }
    }
    return r;
}

static int fetch(struct tg_nats_box *box, struct tg_nats_call *call, struct tg_nats_msg *ret_msg)
{
    int r = tg_nats_connect_side(box, &box->rx);
    if (r < 0) {
        r = call->timeout_ns == 0 ? r : tg_nats_reconnect(box, &box->rx, call);
        if (r < 0) {
            return tg_nats_why_lost(box, r);
        }
    }
    const bool pending = tg_load_seq_cst(&box->stop->asked) != call->interrupts;
    const bool is_short = call->timeout_ns >= 0 && call->timeout_ns < SHORT_NS;
    if (!is_short && !pending) {
        return wait_for_one(box, call, ret_msg);
    }
    /* Neither an interrupt nor a short time takes anything from what is ready. */
    r = tg_nats_try_once(box, ret_msg);
    if (r != TG_NATS_NOTHING) {
        return tg_nats_why_lost(box, r);
    }
    if (call->timeout_ns == 0) {
        return -EAGAIN;
    }
    return tg_nats_is_interrupted(box, call->interrupts) ? -ECANCELED
                                                         : wait_for_one(box, call, ret_msg);
}

/* Whether it was sent in time and is still worth something. */
static bool is_late(const struct tg_nats_taken *taken)
{
    return taken->until_ns != 0 && taken->time_ns > taken->until_ns;
}

static bool is_good(struct tg_nats_box *box, const struct tg_nats_taken *taken)
{
    if (is_late(taken)) {
        return false;
    }
    int64_t now = 0;
    return taken->expiry_ns == 0 || tg_nats_time(box->server, &now) < 0 || now < taken->expiry_ns;
}

static int put_ack(struct tg_nats_box *box, const char *ack);

/*
 * A server that dies may have handed out a message and not yet told the others, which then do it again as if for the first
 * time. What this handle has seen it knows.
 */
static void mark_seen(struct tg_nats_box *box, struct tg_nats_taken *taken)
{
    struct tg_nats_side *side = &box->rx;
    const bool is_older = taken->seq < side->newest && taken->time_ns <= side->newest_ns;
    const bool is_same = taken->seq == side->newest && taken->time_ns == side->newest_ns;
    if (box->is_process) {
        return; /* it takes them in another order */
    }
    if (taken->deliveries == 1 && (is_older || (is_same && !taken->is_pocketed))) {
        taken->deliveries = 2;
    }
    if (!is_older) {
        side->newest = taken->seq;
        side->newest_ns = taken->time_ns;
    }
}

/* What it says: 1; 0: it was not sent in time, or has expired; -errno. */
static int read_taken(struct tg_nats_box *box, struct tg_nats_taken *taken)
{
    const int r = tg_nats_read_head(box, taken);
    if (r < 0) {
        return r;
    }
    mark_seen(box, taken);
    if (!is_good(box, taken)) {
        return 0;
    }
    const int counted = tg_nats_look_up_claims(box, taken);
    return counted < 0 ? counted : 1;
}

int tg_nats_read_taken(struct tg_nats_box *box, struct tg_nats_taken *taken)
{
    int r = read_taken(box, taken);
    if (r == 0) {
        r = tg_nats_acknowledge_row(box, taken->ack, 1, true);
        r = r == 0 && taken->is_long ? tg_nats_drop_long(box, taken->owner) : r;
        r = r == 0 && !is_late(taken) ? tg_nats_count(box, TG_NATS_EXPIRED, 1) : r;
    }
    return r;
}

int tg_nats_read_batched(struct tg_nats_box *box, struct tg_nats_taken *taken)
{
    int r = read_taken(box, taken);
    if (r == 0) {
        r = put_ack(box, taken->ack);
        r = r == 0 && !is_late(taken) ? tg_nats_count(box, TG_NATS_EXPIRED, 1) : r;
        r = r == 0 && taken->is_long ? tg_nats_drop_long(box, taken->owner) : r;
    } else if (r == 1 && tg_nats_is_too_often(
                             box, taken)) { /* the next request gets it, and can send it on */
        r = tg_nats_publish_text(box->rx.conn, taken->ack, NULL, TG_NATS_NAK_SOON);
    }
    return r;
}

/* One that the call did not ask for is stashed: 0. 1: it is its. */
static int sort_out(struct tg_nats_box *box, const struct tg_nats_call *call,
                    const struct tg_nats_taken *taken)
{
    char name[TONG_NAME_MAX];
    bool is_its = call->from == NULL;
    int r = 0;
    if (!is_its && taken->from_id[0] != '\0') {
        /* The peer was called so when the call looked at it, and when it sent. */
        is_its = call->peer != NULL && strcmp(call->peer->record.id, taken->from_id) == 0 &&
                 strcmp(call->from, taken->from_name) == 0;
        r = is_its ? 0 : tg_nats_name_of(box, taken->from_id, taken->from_name, name);
        is_its = is_its || (r == 0 && strcmp(name, call->from) == 0);
    }
    if (is_its) {
        return 1;
    }
    const int stashed = tg_nats_stash(box, taken);
    return stashed < 0 ? stashed : r;
}

/* A message that comes, or what ends the wait for it. *ended: what was looked at has; then what is there is taken. */
static int fetch_or_end(struct tg_nats_box *box, struct tg_nats_call *call, int *ended,
                        struct tg_nats_msg *ret_msg)
{
    const bool looks =
        call->look != NULL && *ended == 0 && tg_now_ns() - call->looked_ns >= TG_NATS_TICK_NS;
    if (looks) {
        *ended = call->look(call);
        *ended = *ended == -ENOTCONN ? 0 : *ended;
        call->looked_ns = tg_now_ns();
    }
    if (*ended != 0) {
        const int r = tg_nats_connect_side(box, &box->rx);
        const int tried = r < 0 ? r : tg_nats_try_once(box, ret_msg);
        return tried == TG_NATS_NOTHING ? *ended : tried;
    }
    const int r = fetch(box, call, ret_msg);
    if (r == TG_NATS_LOOK) {
        call->looked_ns = 0;
        return 0;
    }
    return r;
}

/* The next one, out of where they lie or from the server: 1, 0 look again, -errno. */
static int take_next(struct tg_nats_box *box, struct tg_nats_call *call, int *ended,
                     struct tg_nats_taken *taken)
{
    taken->is_pocketed = false;
    int r = box->is_process ? tg_nats_from_stash(box, call, &taken->msg) : 0;
    const bool is_stashed = r == 1;
    if (r == 0) {
        taken->is_pocketed = tg_nats_from_pocket(box, &taken->msg);
        r = taken->is_pocketed ? 1 : fetch_or_end(box, call, ended, &taken->msg);
    }
    r = r == 1 ? tg_nats_read_taken(box, taken) : r;
    if (r == 1 && tg_nats_is_too_often(box, taken)) {
        r = call->skips ? tg_nats_pass_over(box, taken) : tg_nats_dead_letter(box, taken);
    }
    return r == 1 && box->is_process && !is_stashed ? sort_out(box, call, taken) : r;
}

/* It is another process's now: what was asked for is that one's. */
static void give_up_right(struct tg_nats_box *box)
{
    struct tg_nats_side *side = &box->rx;
    struct tg_nats_msg msg = { .reply = "" };
    if (side->is_fetching && side->conn != NULL && !side->conn->is_lost &&
        tg_nats_take_back(box, &msg) == 1) {
        char ack_at[TG_NATS_ACK_SIZE];
        struct tg_text ack = TG_TEXT(ack_at);
        tg_text_add(&ack, msg.reply);
        (void)tg_nats_give_back(box, ack.at);
    }
}

int tg_nats_take(struct tg_nats_box *box, struct tg_nats_call *call,
                 struct tg_nats_taken *ret_taken)
{
    int ended = 0;
    int r = tg_nats_loop_is_due(box->rx.loop) ? tg_nats_relieve(box, true) : 0;
    r = r < 0 ? r : look_if_told(box);
    r = r == 0 && !tg_nats_may_receive(box) ? tg_nats_look_as_receiver(box) : r;
    call->began_ns = tg_now_ns();
    call->looked_ns = call->began_ns;
    while (r == 0) {
        r = take_next(box, call, &ended, ret_taken);
    }
    if (r == -EPERM) {
        give_up_right(box);
        const int owned = tg_nats_look_after_owner(box);
        r = owned < 0 ? owned : r;
    }
    if (r == 1 && ret_taken->from_id[0] != '\0') {
        char name[TONG_NAME_MAX];
        if (tg_nats_name_of(box, ret_taken->from_id, ret_taken->from_name, name) == 0) {
            memcpy(ret_taken->from_name, name, sizeof name);
        }
    }
    return r == 1 ? 0 : r;
}

int tg_nats_set_aside(struct tg_nats_box *box, const struct tg_nats_taken *taken)
{
    return box->is_process ? tg_nats_stash(box, taken) : tg_nats_pocket(box, taken);
}

/* ---- what becomes of it */

/* Where a mailbox can be full the server's word is awaited: the room is there when the call returns. To everyone, too: what a
 * receiver has finished when it closes is not kept for the next one. */
static bool can_be_full(const struct tg_nats_box *box)
{
    const tong_options *o = &box->record.options;
    return (o->capacity != TONG_UNBOUNDED && o->capacity != 0) || tg_nats_bounds_links(o);
}

static bool is_word_awaited(const struct tg_nats_box *box)
{
    const bool is_forgotten = tg_nats_has_replicas(box); /* there is room by now */
    return (can_be_full(box) && !is_forgotten) || tg_nats_is_to_everyone(box);
}

static int put_ack(struct tg_nats_box *box, const char *ack)
{
    return tg_nats_publish_text(box->rx.conn, ack, NULL, "+ACK");
}

int tg_nats_tell_of_room(struct tg_nats_box *box)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    tg_nats_subject(&subject, box->server, 'r', box->name, box->record.id);
    const tong_options *o = &box->record.options;
    return o->capacity != TONG_UNBOUNDED || tg_nats_bounds_links(o)
               ? tg_nats_publish_text(box->rx.conn, subject.at, NULL, "")
               : 0;
}

int tg_nats_acknowledge(struct tg_nats_box *box, const char *ack)
{
    return tg_nats_acknowledge_row(box, ack, 1, false);
}

int tg_nats_acknowledge_row(struct tg_nats_box *box, const char *ack, size_t n, bool is_awaited)
{
    const int connected = tg_nats_connect_side(box, &box->rx);
    if (connected < 0) {
        return connected;
    }
    const struct tg_js js = tg_nats_js(&box->rx);
    int r =
        is_word_awaited(box) || is_awaited ? tg_nats_say_of(&js, ack, "+ACK") : put_ack(box, ack);
    for (size_t i = 0; i < n && r == 0; i++) {
        r = tg_nats_tell_of_room(box);
    }
    return r < 0 ? r : tg_nats_flush(box->rx.conn, tg_now_ns() + TG_NATS_PATIENCE_NS);
}

int tg_nats_give_back(struct tg_nats_box *box, const char *ack)
{
    const int connected = tg_nats_connect_side(box, &box->rx);
    if (connected < 0) {
        return connected;
    }
    /* It is there for the next call: the server's word is awaited. */
    const struct tg_js js = tg_nats_js(&box->rx);
    return tg_nats_say_of(&js, ack, "-NAK");
}

/* ---- the calls */

int tg_nats_acknowledge_taken(struct tg_nats_box *box, struct tg_nats_taken *taken)
{
    const int forgotten = tg_nats_has_replicas(box) ? tg_nats_forget(box, &taken->seq, 1) : 0;
    taken->deliveries += forgotten < 0 && taken->deliveries == 1;
    const int r = tg_nats_acknowledge(box, taken->ack);
    tg_nats_delete_line(box, &taken->counted);
    return r == 0 && taken->is_long ? tg_nats_drop_long(box, taken->owner) : r;
}

int tg_nats_copy(struct tg_nats_box *box, const struct tg_nats_taken *taken, void *ret_data)
{
    if (!taken->is_long) {
        memcpy(ret_data, taken->msg.data, taken->len);
        return 0;
    }
    const struct tg_nats_long its = { .len = taken->len,
                                      .n_pieces = taken->n_pieces,
                                      .first_seq = taken->first_seq };
    return tg_nats_read_long(box, taken->owner, &its, taken->ack, ret_data);
}

int tg_nats_refuse(struct tg_nats_box *box, const struct tg_nats_taken *taken, int reason)
{
    uint64_t line = taken->asked;
    tg_nats_delete_line(box, &line);
    if (reason == -ENODATA) {
        return tg_nats_acknowledge(box, taken->ack);
    }
    (void)tg_nats_give_back(box, taken->ack);
    return reason;
}

/* 1: it was gone as it is. */
static ssize_t receive_next(struct tg_nats_box *box, void *buf, size_t size,
                            struct tg_nats_call *call, struct tg_nats_taken *taken)
{
    int r = tg_nats_take(box, call, taken);
    if (r < 0) {
        return r;
    }
    if (taken->len > size) {
        r = tg_nats_set_aside(box, taken);
        return r < 0 ? r : -EMSGSIZE;
    }
    r = tg_nats_take_over(box, taken, call->tells);
    r = r < 0 ? r : tg_nats_copy(box, taken, buf);
    if (r < 0) {
        const bool is_others = r == -ESTALE;
        r = tg_nats_refuse(box, taken, r);
        return r < 0 && !is_others ? r : 1;
    }
    /* It is in the caller's hands: an acknowledgement that is lost makes it come again, marked. */
    (void)tg_nats_acknowledge_taken(box, taken);
    return 0;
}

static ssize_t receive_one(struct tg_nats_box *box, void *buf, size_t size,
                           struct tg_nats_call *call, tong_message *ret_info, char *ret_from)
{
    struct tg_nats_taken taken;
    ssize_t r;
    call->tells = ret_info != NULL;
    do {
        r = receive_next(box, buf, size, call, &taken);
    } while (r == 1);
    if (ret_info != NULL && (r == 0 || r == -EMSGSIZE)) {
        tg_nats_tell(&taken, ret_info);
        ret_info->len = taken.len;
        ret_info->data = r < 0 ? NULL : buf;
    }
    if (ret_info != NULL && r == 0) {
        tg_nats_note_request(box, &taken, ret_info);
    }
    if (ret_from != NULL && r == 0) {
        memcpy(ret_from, taken.from_name, sizeof taken.from_name);
    }
    return r < 0 ? r : (ssize_t)taken.len;
}

ssize_t tg_nats_receive(struct tg_nats_box *box, void *buf, size_t size,
                        const tong_receive_options *with, int64_t timeout_ns,
                        tong_message *ret_info)
{
    struct tg_nats_call call;
    if (with != NULL && (with->min_priority != 0 || with->tag != 0 || with->from != NULL)) {
        return -EOPNOTSUPP;
    }
    ssize_t r = tg_nats_begin(box, &box->rx, TONG_RECEIVE, timeout_ns, &call);
    if (r == 0) {
        r = receive_one(box, buf, size, &call, ret_info, NULL);
        tg_nats_finish(&box->rx);
    }
    return r;
}

static int look_at_peer(const struct tg_nats_call *call)
{
    return tg_nats_peer_check(call->peer);
}

ssize_t tg_nats_receive_from(struct tg_nats_box *me, const char *from, struct tg_nats_box *peer,
                             void *buf, size_t size, int64_t timeout_ns, char *ret_from)
{
    struct tg_nats_url url;
    struct tg_nats_call call;
    char name[TONG_NAME_MAX];
    ssize_t r = from != NULL ? tg_nats_parse(from, &url, name) : 0;
    r = r < 0 ? r : tg_nats_begin(me, &me->rx, TONG_RECEIVE, timeout_ns, &call);
    if (r == 0) {
        call.from = from != NULL ? name : NULL;
        call.peer = peer;
        call.look = peer != NULL && timeout_ns != 0 ? look_at_peer : NULL;
        r = receive_one(me, buf, size, &call, NULL, ret_from);
        tg_nats_finish(&me->rx);
    }
    return r;
}

ssize_t tg_nats_skip(struct tg_nats_box *box)
{
    struct tg_nats_call call;
    struct tg_nats_taken taken;
    ssize_t r = tg_nats_begin(box, &box->rx, TONG_RECEIVE, 0, &call);
    if (r == 0) {
        call.skips = true;
        do {
            r = tg_nats_take(box, &call, &taken);
            const int accepted = r < 0 ? 0 : tg_nats_take_over(box, &taken, false);
            if (r == 0 && accepted == 0) {
                (void)tg_nats_acknowledge_taken(box, &taken);
            } else if (r == 0) {
                r = tg_nats_refuse(box, &taken, accepted);
                r = r == 0 ? -ENODATA : r;
            }
        } while (r == -ENODATA);
        r = r == 0 ? (ssize_t)taken.len : r == -EAGAIN ? tg_nats_skip_set_aside(box) : r;
        tg_nats_finish(&box->rx);
    }
    return r;
}
