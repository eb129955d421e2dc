/*
 * Sending: a message is published to its mailbox's stream, and the stream's acknowledgement is the promise.
 *
 * I1  A message has an id, its handle's and its number. Published again because no answer came, it is known by it and
 *     stored once: until the server forgets ids; then it is not published again. A number that was published and
 *     not answered is no other message's.
 * I2  A message of a call with a time-out says until when it may be stored, in the server's time. One that is
 *     stored later (it was on its way while a link was cut) was not sent: who fetches it throws it away.
 * I3  A full mailbox refuses at once; who is to wait for room listens first, then tries again, then sleeps. One
 *     of those who listen is told of each acknowledgement, by the server that has carried it out. A
 *     try every tick makes good what is lost when that one has no use for it.
 * I4  While a message is open (published, and no answer came) nobody says that it was not sent: -ENOTCONN.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/name.h"
#include "carrier/nats/box.h"
#include "carrier/nats/call.h"
#include "carrier/nats/direct.h"
#include "carrier/nats/everyone.h"
#include "carrier/nats/long.h"
#include "carrier/nats/net.h"
#include "carrier/nats/owner.h"
#include "carrier/nats/rendezvous.h"

#define SAID_MOST 192u               /* bytes that what is said with a message may take */
#define WINDOW 2048u                 /* messages under way in a row */
#define MOMENT_NS INT64_C(100000000) /* an offer of who must not wait */
#define WINDOW_BYTES (4u << 20)      /* and their bytes */

struct message {
    struct tg_nats_box *box;
    const void *data;
    size_t len;
    const tong_send_options *with; /* NULL: nothing is said */
    int64_t until_ns;
    int64_t expiry_ns; /* in the server's time */
    uint64_t sent_ns;
    uint64_t number;
    int64_t ends_ns;   /* the call's time, if it has one; else TG_NEVER */
    bool is_open;      /* published, and no answer came: it may be stored */
    int64_t posted_ns; /* when it was published first, of those that are open */
    bool is_long;      /* its pieces are written */
    struct tg_nats_long pieces;
    const char *tell;                    /* of an offer; NULL none */
    const struct tg_nats_origin *origin; /* of a dead letter; NULL none */
    uint64_t seq;                        /* in the stream */
};

/* ---- the header */

static void add_numbers(struct tg_text *head, const struct message *m)
{
    const tong_send_options *with = m->with;
    const uint64_t numbers[] = { m->number,
                                 geteuid(),
                                 getegid(),
                                 (uint64_t)getpid(),
                                 (uint64_t)m->until_ns,
                                 with != NULL ? with->priority : 0,
                                 with != NULL ? with->tag : 0,
                                 with != NULL ? with->key : 0,
                                 with != NULL ? with->call : 0,
                                 (uint64_t)m->expiry_ns,
                                 m->sent_ns };
    size_t n = with != NULL ? sizeof numbers / sizeof numbers[0] : 5;
    for (size_t i = 0; i < n; i++) {
        tg_text_add(head, i == 0 ? "Tong: 1 " : " ");
        tg_text_add_u64(head, numbers[i]);
    }
    tg_text_add(head, "\r\n");
}

/* A dead letter is known by where it comes from: two receivers may send it on, and one copy is stored. */
static void add_id(struct tg_text *head, const struct message *m)
{
    tg_text_add(head, "Nats-Msg-Id: ");
    tg_text_add(head, m->origin != NULL ? m->origin->id : m->box->server->proc);
    tg_text_add(head, ".");
    if (m->origin == NULL) {
        tg_text_add_u64(head, m->box->handle);
        tg_text_add(head, ".");
    }
    tg_text_add_u64(head, m->origin != NULL ? m->origin->seq : m->number);
    tg_text_add(head, "\r\n");
}

static void add_origin(struct tg_text *head, const struct tg_nats_origin *origin)
{
    const uint64_t numbers[] = { origin->sequence, origin->deliveries, origin->uid,
                                 (uint64_t)origin->pid };
    tg_text_add(head, "Tong-Origin: ");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        tg_text_add_u64(head, numbers[i]);
        tg_text_add(head, " ");
    }
    tg_text_add(head, origin->id);
    tg_text_add(head, " ");
    tg_text_add(head, origin->name);
    tg_text_add(head, "\r\n");
}

static void make_head(struct tg_text *head, const struct message *m)
{
    add_id(head, m);
    add_numbers(head, m);
    if (m->origin != NULL) {
        add_origin(head, m->origin);
    }
    if (m->with != NULL && m->with->reply_to != NULL) {
        tg_text_add(head, "Tong-Reply-To: ");
        tg_text_add(head, m->with->reply_to);
        tg_text_add(head, "\r\n");
    }
    if (m->box->as != NULL) {
        char name[TONG_NAME_MAX];
        tg_nats_called(m->box->as, name);
        tg_text_add(head, "Tong-From: ");
        tg_text_add(head, name);
        tg_text_add(head, "\r\n");
    }
    if (m->tell != NULL) {
        tg_text_add(head, "Tong-Offer: ");
        tg_text_add_u64(head, m->box->token);
        tg_text_add(head, " ");
        tg_text_add(head, m->tell);
        tg_text_add(head, "\r\n");
    }
    if (m->is_long) {
        tg_text_add(head, "Tong-Long: ");
        tg_text_add_u64(head, m->pieces.len);
        tg_text_add(head, " ");
        tg_text_add_u64(head, m->pieces.n_pieces);
        tg_text_add(head, " ");
        tg_text_add_u64(head, m->pieces.first_seq);
        tg_text_add(head, "\r\n");
    }
}

static void make_subject(struct tg_text *subject, const struct message *m)
{
    const struct tg_nats_box *box = m->box;
    tg_nats_subject(subject, box->server, 'q', box->name, box->record.id);
    tg_text_add(subject, ".");
    tg_text_add(subject, box->as != NULL ? box->as->record.id : "-");
    tg_text_add(subject, ".");
    tg_text_add(subject, box->server->proc);
    tg_text_add(subject, ".");
    tg_text_add_u64(subject, box->handle);
    if (m->is_long) {
        tg_text_add(subject, ".");
        tg_text_add_u64(subject, m->number);
    }
}

static int post(const struct message *m, uint64_t *ret_reply)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    char head_at[TG_NATS_HEAD_MOST];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_text head = TG_TEXT(head_at);
    make_subject(&subject, m);
    make_head(&head, m);
    const struct iovec part = { (void *)m->data, m->is_long ? 0 : m->len };
    return tg_js_post(m->box->tx.conn, subject.at, head.at, &part, 1, ret_reply);
}

/* ---- one try */

enum {
    FULL = 1 /* refused for want of room */
};

/* The answer to a publish: 0 stored, FULL, -EAGAIN try again, -errno. */
static int judge(struct tg_nats_box *box, const struct tg_js_answer *answer)
{
    switch (answer->error) {
    case 0:
        return 0;
    case TG_JS_FULL:
        return answer->full_of_bytes ? -ENOSPC : FULL;
    case TG_JS_NOBODY:
    case TG_JS_NO_STREAM:
    case TG_JS_OFF: {
        const int r = tg_nats_look(box);
        return r < 0 ? r : -EAGAIN;
    }
    case TG_JS_BUSY:
        return -ENOTCONN;
    default:
        return tg_js_errno(answer);
    }
}

static bool is_too_long(const struct message *m)
{
    return m->len + TG_NATS_HEAD_MOST > m->box->tx.conn->max_payload;
}

/* A long one that has no room now is not written before it has. */
static int look_for_room(const struct message *m)
{
    struct tg_nats_box *box = m->box;
    struct tg_js_answer answer;
    struct tg_js js;
    if (tg_nats_bounds_links(&box->record.options)) {
        js = tg_nats_js(&box->tx);
        const int has_room = tg_nats_has_link_room(box, &js);
        return has_room == 0 ? FULL : has_room < 0 ? has_room : 0;
    }
    if (box->record.options.capacity == TONG_UNBOUNDED || box->record.options.capacity == 0) {
        return 0;
    }
    int r = tg_nats_enter(box->server, &js);
    if (r < 0) {
        return r;
    }
    r = tg_nats_stream_info(box->server, &js, box->record.id, &answer);
    const uint64_t there = r == 0 ? tg_json_u64(tg_json_get(answer.json, "state.messages")) : 0;
    tg_nats_leave(box->server);
    return r == 0 && there >= box->record.options.capacity ? FULL : 0;
}

static int write_pieces(struct message *m)
{
    const bool looks = !m->is_long && !m->is_open && (is_too_long(m) || m->box->has_sent_long);
    int r = looks ? look_for_room(m) : 0;
    if (r == 0 && !m->is_long && is_too_long(m)) {
        const uint64_t most = m->box->record.options.max_bytes;
        r = m->len > most ? -ENOSPC
                          : tg_nats_write_long(m->box, m->number, m->data, m->len, &m->pieces);
        m->is_long = r == 0;
        m->box->has_sent_long = r == 0 && tg_nats_bounds_links(&m->box->record.options);
    }
    return r;
}

/* It may be stored, and soon the server will not know its id any more (I1). */
static bool is_too_old(const struct message *m)
{
    return m->is_open && tg_now_ns() - m->posted_ns > TG_NATS_DUPLICATES_NS * 2 / 3;
}

static int post_and_await(struct message *m)
{
    struct tg_nats_side *side = &m->box->tx;
    const struct tg_js js = tg_nats_js(side);
    const bool was_open = m->is_open;
    struct tg_js_answer answer;
    uint64_t reply;
    if (is_too_old(m)) {
        return -ENOTCONN;
    }
    int r = post(m, &reply);
    if (r < 0) {
        return r;
    }
    m->posted_ns = was_open ? m->posted_ns : tg_now_ns();
    m->is_open = true;
    r = tg_js_await(&js, reply, &answer);
    if (r < 0) {
        return r;
    }
    /* One that was stored before is known by its id, full or not; other refusals say nothing of earlier tries. */
    m->is_open = was_open && answer.error != 0 && answer.error != TG_JS_FULL;
    m->seq = answer.seq;
    return judge(m->box, &answer);
}

static int try_once(struct message *m)
{
    int r = -EAGAIN;
    for (unsigned tries = 0; r == -EAGAIN && tries < 4; tries++) {
        r = tg_nats_connect_side(m->box, &m->box->tx);
        r = r < 0 ? r : write_pieces(m);
        r = r == 0 ? post_and_await(m) : r;
    }
    r = r == -EAGAIN || r == -EHOSTUNREACH ? -ENOTCONN : r;
    /* A stream that says nothing (its disk is full) says nothing of itself either: that is not waited for, too. */
    return r == -ENOTCONN && tg_is_over(m->ends_ns) ? r : tg_nats_why_lost(m->box, r);
}

/* The connection was lost: have it again, and time left. */
static int try_again(struct message *m, struct tg_nats_call *call)
{
    const int r = tg_nats_reconnect(m->box, &m->box->tx, call);
    return r == 0 && tg_is_over(call->deadline) ? -ENOTCONN : r;
}

/* ---- waiting for room */

static int listen_for_room(struct tg_nats_box *box)
{
    struct tg_nats_side *side = &box->tx;
    if (side->room_sid != 0) {
        return 0;
    }
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    tg_nats_subject(&subject, box->server, 'r', box->name, box->record.id);
    /* Whose room it is only its sender knows, if each has a bound of its own. */
    const char *group = tg_nats_bounds_links(&box->record.options) ? NULL : "senders";
    return tg_nats_subscribe(side->conn, subject.at, group, &side->room_sid);
}

static void stop_listening(struct tg_nats_box *box)
{
    struct tg_nats_side *side = &box->tx;
    if (side->room_sid != 0 && side->conn != NULL && !side->conn->is_lost) {
        (void)tg_nats_unsubscribe(side->conn, side->room_sid);
        (void)tg_nats_flush(side->conn, tg_now_ns() + TG_NATS_PATIENCE_NS);
    }
    side->room_sid = 0;
}

/* Sleep until there may be room, or for a tick. 0, -ETIMEDOUT: the call's time is over, -EINTR, ... */
static int sleep_for_room(struct tg_nats_box *box, struct tg_nats_call *call)
{
    struct tg_nats_side *side = &box->tx;
    const int64_t tick = tg_nats_tick(call->ticks++);
    const struct tg_nats_wait wait = { .deadline = call->deadline < tick ? call->deadline : tick,
                                       .cancel_fd = side->bell,
                                       .by_signal = true };
    if (tg_nats_is_interrupted(box, call->interrupts)) {
        tg_net_silence(side->bell);
        return -ECANCELED;
    }
    if (tg_net_signals() != call->signals) { /* while the server was asked for something else */
        return -EINTR;
    }
    if (tg_is_over(call->deadline)) {
        return -ETIMEDOUT; /* however often it is told of room that others take */
    }
    int r = 0;
    tg_gate_set_asleep(&side->gate, true);
    while (r == 0 && !side->is_rung && !side->must_look) {
        struct tg_nats_msg msg;
        r = tg_nats_next(side->conn, &wait, &msg);
        if (r == 0) {
            tg_nats_note(side, &msg);
        }
    }
    tg_gate_set_asleep(&side->gate, false);
    if (r == -ECANCELED) {
        tg_net_silence(side->bell);
        return tg_nats_is_interrupted(box, call->interrupts) ? -ECANCELED : 0;
    }
    if (r == -ETIMEDOUT) {
        return tg_is_over(call->deadline) ? -ETIMEDOUT : 0;
    }
    return r == -EINTR && tg_nats_is_interrupted(box, call->interrupts) ? -ECANCELED : r;
}

/* A tick, and no room: who owns it may be dead, or who is waited for. */
static int look_for_the_dead(struct tg_nats_box *box)
{
    const int r = tg_nats_look_after_owner(box);
    return r == 0 && tg_nats_is_to_everyone(box) ? tg_nats_relieve(box, false) : r;
}

/* The mailbox is full: until it has taken the message, or the call ends. */
static int send_when_there_is_room(struct message *m, struct tg_nats_call *call)
{
    struct tg_nats_box *box = m->box;
    struct tg_nats_side *side = &box->tx;
    uint64_t line = 0;
    int64_t known_at = tg_now_ns() + TG_NATS_TICK_NS / 8;
    int r = FULL;
    while (r == FULL || (r == -ENOTCONN && !is_too_old(m))) {
        if (r == -ENOTCONN) {
            r = try_again(m, call);
            if (r < 0) {
                break;
            }
        }
        r = listen_for_room(box);
        side->is_rung = false;
        r = r < 0 ? r : try_once(m);
        if (r == FULL) {
            const int slept = sleep_for_room(box, call);
            r = slept < 0 ? slept : FULL;
            if (side->must_look && r == FULL) {
                side->must_look = false;
                const int looked = tg_nats_look(box);
                r = looked < 0 ? looked : FULL;
            }
        }
        if (r == FULL && !side->is_rung) {
            const int looked = look_for_the_dead(box);
            r = looked < 0 ? looked : FULL;
        }
        if (r == FULL && line == 0 && tg_now_ns() >= known_at) {
            (void)tg_nats_write_line(box, 'b', "", "", &line);
        }
    }
    stop_listening(box);
    tg_nats_delete_line(box, &line);
    return r;
}

/* ---- one message */

/* What is said with a message makes the longest one shorter, as it does over every carrier. */
static int check_length(const struct tg_nats_box *box, size_t len, const tong_send_options *with)
{
    const uint32_t fixed = box->record.options.message_size;
    const size_t most = with != NULL ? TONG_MESSAGE_MAX - SAID_MOST : TONG_MESSAGE_MAX;
    return len > most || (fixed != 0 && len != fixed) ? -EMSGSIZE : 0;
}

/* The times that stand in the message, in the server's clock. */
static int set_times(struct message *m, struct tg_nats_call *call)
{
    const bool ends = call->timeout_ns > 0 && call->deadline != TG_NEVER;
    const bool expires = m->with != NULL && m->with->expiry_ns != 0;
    if (m->with != NULL) {
        m->sent_ns = (uint64_t)tg_boot_ns();
    }
    if (!ends && !expires) {
        return 0;
    }
    int64_t now;
    const int r = tg_nats_time(m->box->server, &now);
    if (r < 0) {
        return r == -EHOSTUNREACH ? -ENOTCONN : r;
    }
    /* What is on its way when the time is over is waited for. */
    const int64_t late = now + TG_NATS_PATIENCE_NS;
    const int64_t here = tg_now_ns();
    const int64_t rest = call->deadline > here ? call->deadline - here : 0;
    if (ends && rest < TG_NEVER - late) {
        m->until_ns = late + rest;
    }
    if (expires && m->expiry_ns == 0 && m->with->expiry_ns < TG_NEVER - now) {
        m->expiry_ns = now + m->with->expiry_ns - (here - call->began_ns);
    }
    return 0;
}

/* The handle's first message makes it a sender, for others to see. */
static int be_a_sender(struct tg_nats_box *box)
{
    char more_at[128];
    struct tg_text more = TG_TEXT(more_at);
    if (box->tx.line != 0) {
        return 0;
    }
    tg_text_add(&more, ".s.");
    tg_text_add_u64(&more, (uint64_t)getpid());
    tg_text_add(&more, ".");
    tg_text_add_u64(&more, geteuid());
    if (box->as != NULL) {
        tg_text_add(&more, ".");
        tg_text_add(&more, box->as->record.id);
    }
    const int r = tg_nats_write_line(box, 'h', more.at, "", &box->tx.line);
    return r == -EHOSTUNREACH ? -ENOTCONN : r;
}

static int drop(struct tg_nats_box *box)
{
    (void)tg_nats_count(box, TG_NATS_DROPPED, 1);
    return TONG_DROPPED;
}

/* Capacity 0. Who must not wait offers for a moment, and only if somebody waits for it. */
static int meet(struct message *m, struct tg_nats_call *call)
{
    struct tg_nats_box *box = m->box;
    const bool drops = box->record.options.full != TONG_BLOCK;
    struct tg_nats_call until = *call;
    char tell[96];
    uint64_t waiting = 1;
    int r = call->timeout_ns == 0 || drops ? tg_nats_count_waiting(box, &waiting) : 0;
    if (r == 0 && waiting == 0) {
        return drops ? drop(box) : -EAGAIN;
    }
    if (call->timeout_ns == 0 || drops) {
        until.deadline = tg_now_ns() + MOMENT_NS;
    } else if (m->with != NULL && m->with->expiry_ns != 0) {
        const int64_t expiry = tg_deadline(m->with->expiry_ns);
        until.deadline = expiry < until.deadline ? expiry : until.deadline;
    }
    r = r < 0 ? r : be_a_sender(box);
    r = r < 0 ? r : set_times(m, call);
    r = r < 0 ? r : tg_nats_prepare_offer(box, tell, sizeof tell);
    m->tell = tell;
    r = r < 0 ? r : try_once(m);
    if (m->is_open) {
        box->token =
            0; /* the next offer's line has another version: nobody takes this one in its place */
    }
    r = r < 0 ? r : tg_nats_await_taking(box, m->number, m->seq, &until);
    m->tell = NULL;
    box->n_sent++; /* its number is not used again, taken or not */
    if (r == -ETIMEDOUT && drops) {
        return drop(box);
    }
    return r == -ETIMEDOUT && call->timeout_ns == 0 ? -EAGAIN : r;
}

static int send_one(struct message *m, struct tg_nats_call *call)
{
    struct tg_nats_box *box = m->box;
    if (box->record.options.capacity == 0) {
        return meet(m, call);
    }
    int r = be_a_sender(box);
    r = r < 0 ? r : set_times(m, call);
    r = r < 0 ? r : try_once(m);
    if (r == -ENOSPC && tg_nats_is_to_everyone(box)) { /* it may be kept for a dead one */
        r = tg_nats_relieve(box, false);
        r = r < 0 ? r : try_once(m);
    }
    while (r == -ENOTCONN && call->timeout_ns != 0 && !tg_is_over(call->deadline) &&
           !is_too_old(m)) {
        r = try_again(m, call);
        if (r < 0) {
            return r;
        }
        r = be_a_sender(box);
        r = r < 0 ? r : set_times(m, call);
        r = r < 0 ? r : try_once(m);
    }
    if (r != FULL) {
        return r;
    }
    if (box->record.options.full == TONG_DROP_NEWEST && m->origin == NULL) {
        return drop(box);
    }
    return call->timeout_ns == 0 ? -EAGAIN : send_when_there_is_room(m, call);
}

/* One message, from check to end: its number is used up if it is sent, or may be. */
static int send_whole(struct message *m, struct tg_nats_call *call)
{
    struct tg_nats_box *box = m->box;
    m->number = box->n_sent;
    m->ends_ns = call->timeout_ns > 0 ? call->deadline : TG_NEVER;
    int r = check_length(box, m->len, m->with);
    r = r < 0 ? r : send_one(m, call);
    if (m->is_long) {
        const int ended = tg_nats_end_long(box, m->number, &m->pieces, r == 0);
        m->is_open = m->is_open || (r == 0 && ended < 0);
        r = r == 0 && ended < 0 ? -ENOTCONN : r;
    }
    if (box->record.options.capacity != 0 && (r == 0 || m->is_open)) {
        box->n_sent++;
    }
    const bool is_over =
        r == -EIDRM || r == -EOWNERDEAD; /* and with the mailbox all that was in it */
    return r < 0 && m->is_open && !is_over ? -ENOTCONN : r; /* I4 */
}

/* A dead one's mailbox takes nothing, also if nobody has ended it yet. Who sends by name has looked. */
static int look_for_owner(struct tg_nats_box *box)
{
    struct tg_nats_side *side = &box->tx;
    if (box->as != NULL) {
        return 0;
    }
    if (side->conn != NULL && side->must_look) { /* it may have been given on */
        const int r = tg_nats_look(box);
        if (r < 0) {
            return r == -ENOTCONN ? 0 : r; /* the next one looks */
        }
        side->must_look = false;
    }
    return tg_nats_look_after_owner(box);
}

static int send_message(struct message *m, int64_t timeout_ns)
{
    struct tg_nats_box *box = m->box;
    struct tg_nats_call call;
    int r = tg_nats_begin(box, &box->tx, TONG_SEND, timeout_ns, &call);
    if (r < 0) {
        return r;
    }
    r = look_for_owner(box);
    r = r < 0 ? r : send_whole(m, &call);
    tg_nats_finish(&box->tx);
    return r;
}

int tg_nats_send_on(struct tg_nats_box *box, const void *data, size_t len,
                    const tong_send_options *with, const struct tg_nats_origin *origin,
                    int64_t expiry_ns)
{
    struct message m = {
        .box = box, .data = data, .len = len, .with = with, .origin = origin, .expiry_ns = expiry_ns
    };
    return send_message(&m, 0);
}

/* *ret_seq: where it is. */
static int send_to(struct tg_nats_box *box, const void *data, size_t len,
                   const tong_send_options *with, int64_t timeout_ns, uint64_t *ret_seq)
{
    if (with != NULL && (with->priority > TONG_PRIORITY_MAX || with->expiry_ns < 0)) {
        return -EINVAL;
    }
    int r = with != NULL && with->reply_to != NULL ? tg_name_check(with->reply_to) : 0;
    struct message m = { .box = box, .data = data, .len = len, .with = with };
    r = r < 0 ? r : send_message(&m, timeout_ns);
    *ret_seq = m.seq;
    return r;
}

int tg_nats_send(struct tg_nats_box *box, const void *data, size_t len,
                 const tong_send_options *with, int64_t timeout_ns)
{
    uint64_t seq;
    return send_to(box, data, len, with, timeout_ns, &seq);
}

int tg_nats_ask(struct tg_nats_box *box, const void *data, size_t len,
                const tong_send_options *with, int64_t timeout_ns, uint64_t ret_where[2])
{
    ret_where[1] = 0;
    return send_to(box, data, len, with, timeout_ns, &ret_where[0]);
}

/*
 * ---- several: as many as the window holds are under way at once
 *
 * Where the connection is lost those that were published and not answered are sent again, one by one, under their
 * numbers: what is stored is known by its id. Where one is refused (the server has no storage left) those behind it that
 * were stored are deleted, for the row ends before it.
 */

struct row {
    struct tg_nats_box *box;
    const struct iovec *messages;
    size_t n;
    size_t posted;
    size_t answered;
    size_t good;  /* stored, and all before it */
    size_t bytes; /* posted and not answered */
    bool is_refused;
    uint64_t first_reply;
};

static int post_some(struct row *row)
{
    int r = 0;
    while (r == 0 && row->posted < row->n && row->posted - row->answered < WINDOW &&
           row->bytes < WINDOW_BYTES) {
        const struct iovec *one = &row->messages[row->posted];
        const struct message m = { .box = row->box,
                                   .data = one->iov_base,
                                   .len = one->iov_len,
                                   .number = row->box->n_sent + row->posted };
        if (check_length(row->box, one->iov_len, NULL) < 0 ||
            one->iov_len + TG_NATS_HEAD_MOST > row->box->tx.conn->max_payload) {
            row->n = row->posted; /* the row ends before it */
            break;
        }
        uint64_t reply;
        r = post(&m, &reply);
        if (r == 0) {
            row->first_reply = row->posted == 0 ? reply : row->first_reply;
            row->posted++;
            row->bytes += one->iov_len;
        }
    }
    return r;
}

/* It stands behind one that was refused. */
static void take_away(struct tg_nats_box *box, uint64_t seq)
{
    struct tg_js js;
    if (tg_nats_enter(box->server, &js) == 0) {
        (void)tg_nats_delete_message(box->server, &js, box->record.id, seq);
        tg_nats_leave(box->server);
    }
}

static int await_one(struct row *row)
{
    const struct tg_js js = tg_nats_js(&row->box->tx);
    struct tg_js_answer answer;
    const int r = tg_js_await(&js, row->first_reply + row->answered, &answer);
    if (r < 0) {
        return r;
    }
    row->bytes -= row->messages[row->answered].iov_len;
    row->answered++;
    if (row->is_refused && answer.error == 0) {
        take_away(row->box, answer.seq);
    }
    row->is_refused = row->is_refused || answer.error != 0;
    row->good += !row->is_refused;
    return 0;
}

/* All that can be sent at once. Whatever ends it early, who goes on behind the good ones finds out. */
static void send_row(struct row *row)
{
    int r = 0;
    while (r == 0 && (row->answered < row->posted || (!row->is_refused && row->posted < row->n))) {
        r = row->is_refused ? 0 : post_some(row);
        r = r == 0 && row->answered < row->posted ? await_one(row) : r;
    }
    /* A number that was used for a message that is not to be there is not used again. */
    row->box->n_sent += row->is_refused ? row->posted : row->good;
}

/* Nothing is refused but for want of storage. */
static bool goes_in_rows(const struct tg_nats_box *box)
{
    const tong_options standard = TONG_OPTIONS_INIT;
    const tong_options *o = &box->record.options;
    return o->capacity == TONG_UNBOUNDED && !tg_nats_bounds_links(o) &&
           o->max_bytes == standard.max_bytes;
}

/* The messages in their order: how many were sent, *ret_error why not all. */
static size_t send_all(struct tg_nats_box *box, const struct iovec *messages, size_t n,
                       struct tg_nats_call *call, int *ret_error)
{
    struct tg_nats_call now = { .interrupts = call->interrupts, .signals = call->signals };
    size_t sent = 0;
    size_t open = 0; /* so many are published and not answered */
    size_t i = 0;
    int r = 0;
    while (i < n && r >= 0) {
        struct message m = { .box = box,
                             .data = messages[i].iov_base,
                             .len = messages[i].iov_len,
                             .is_open = open > 0,
                             .posted_ns = tg_now_ns() };
        r = send_whole(&m, i == 0 || open > 0 ? call : &now);
        open -= open > 0;
        sent += r == 0;
        i += r >= 0;
        if (r == 0 && open == 0 && i < n && goes_in_rows(box)) {
            struct row row = { .box = box, .messages = messages + i, .n = n - i };
            send_row(&row);
            sent += row.good;
            i += row.good;
            open = row.is_refused ? 0 : row.posted - row.good;
        }
    }
    box->n_sent += open;
    *ret_error = r;
    return sent;
}

ssize_t tg_nats_send_many(struct tg_nats_box *box, const struct iovec *messages, size_t n,
                          int64_t timeout_ns)
{
    struct tg_nats_call call;
    int r = tg_nats_begin(box, &box->tx, TONG_SEND, timeout_ns, &call);
    if (r < 0) {
        return r;
    }
    r = look_for_owner(box);
    const size_t sent = r == 0 ? send_all(box, messages, n, &call, &r) : 0;
    tg_nats_finish(&box->tx);
    return sent > 0 || r == TONG_DROPPED ? (ssize_t)sent : r;
}
