/* Calls: their begin and end, connections that were lost, the end of a mailbox. */
#include "carrier/nats/box.h"

#include <errno.h>
#include <string.h>

#include "carrier/nats/direct.h"
#include "carrier/nats/everyone.h"
#include "carrier/nats/fork.h"
#include "carrier/nats/give.h"
#include "carrier/nats/loop.h"
#include "carrier/nats/net.h"
#include "carrier/nats/owner.h"

#define IDLE_MOST 4096u /* messages that came between two calls and are looked at */

/* ---- lines of this handle in the book */

int tg_nats_put_line(struct tg_nats_box *box, const struct tg_js *js, char kind, const char *more,
                     const char *text, uint64_t *ret_line)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    tg_nats_subject(&subject, box->server, kind, box->name, box->record.id);
    tg_text_add(&subject, ".");
    tg_text_add(&subject, box->server->proc);
    tg_text_add(&subject, ".");
    tg_text_add_u64(&subject, box->handle);
    tg_text_add(&subject, more);
    return subject.is_over ? -ENAMETOOLONG
                           : tg_book_put(box->server, js, subject.at, text, TG_BOOK_ANY, ret_line);
}

int tg_nats_write_line(struct tg_nats_box *box, char kind, const char *more, const char *text,
                       uint64_t *ret_line)
{
    struct tg_js js;
    int r = tg_nats_enter(box->server, &js);
    if (r == 0) {
        r = tg_nats_put_line(box, &js, kind, more, text, ret_line);
        tg_nats_leave(box->server);
    }
    return r;
}

void tg_nats_delete_line(struct tg_nats_box *box, uint64_t *line)
{
    struct tg_js js;
    if (*line != 0 && tg_nats_enter(box->server, &js) == 0) {
        (void)tg_book_delete(box->server, &js, *line);
        tg_nats_leave(box->server);
    }
    *line = 0;
}

/* ---- calls */

int tg_nats_interrupt(struct tg_nats_box *box)
{
    if (box->forks != tg_nats_forks()) {
        return -ECHILD;
    }
    (void)tg_add(&box->stop->asked, 1);
    tg_net_ring(box->tx.bell);
    tg_net_ring(box->rx.bell);
    tg_gate_stir(&box->tx.gate);
    tg_gate_stir(&box->rx.gate);
    tg_gate_stir(&box->watch_gate);
    return 0;
}

bool tg_nats_is_interrupted(struct tg_nats_box *box, uint32_t seen)
{
    const uint32_t now = tg_load_seq_cst(&box->stop->asked);
    if (now == seen) {
        return false;
    }
    tg_store_relaxed(&box->stop->used, now);
    return true;
}

static int ended(struct tg_nats_box *box)
{
    return -(int)tg_load_acquire(&box->ended);
}

void tg_nats_drain(struct tg_nats_side *side)
{
    const struct tg_nats_wait now = { .deadline = 0, .cancel_fd = -1 };
    struct tg_nats_conn *conn = side->conn;
    uint64_t pongs = conn->pongs;
    struct tg_nats_msg msg;
    int r = 0;
    for (unsigned i = 0; i < IDLE_MOST && r == 0; i++) {
        r = tg_nats_next(conn, &now, &msg);
        if (r == 0) {
            tg_nats_note(side, &msg);
        } else if (r == -ETIMEDOUT && conn->pongs != pongs) { /* there may be more */
            pongs = conn->pongs;
            r = 0;
        }
    }
}

/* A server ends a connection that nobody answers on; between two calls nobody does. That is found out here, and is no
 * reason for a call to fail. */
static void look_at_idle(struct tg_nats_side *side, bool always)
{
    if (side->conn != NULL && !side->conn->is_lost &&
        (always || side->loop != NULL || tg_now_ns() - side->used_ns >= TG_NATS_IDLE_NS)) {
        tg_nats_drain(side);
    }
}

int tg_nats_begin(struct tg_nats_box *box, struct tg_nats_side *side, unsigned way,
                  int64_t timeout_ns, struct tg_nats_call *ret_call)
{
    int r = box->forks != tg_nats_forks() ? -ECHILD
            : (box->flags & way) == 0     ? -EBADF
            : (r = ended(box)) < 0        ? r
                                          : 0;
    if (r < 0) {
        return r;
    }
    *ret_call = (struct tg_nats_call){ .timeout_ns = timeout_ns,
                                       .deadline = tg_deadline(timeout_ns),
                                       .interrupts = tg_load_relaxed(&box->stop->used),
                                       .signals = tg_net_signals(),
                                       .began_ns = tg_now_ns() };
    r = tg_gate_enter(&side->gate, ret_call->deadline, &box->stop->asked, ret_call->interrupts);
    if (r == -ECANCELED) {
        (void)tg_nats_is_interrupted(box, ret_call->interrupts);
    }
    if (r == 0) {
        tg_nats_loop_begin(side->loop);
        look_at_idle(side, side == &box->rx); /* who receives must hear that he may not any more */
    }
    return r;
}

void tg_nats_finish(struct tg_nats_side *side)
{
    tg_nats_loop_end(side->loop);
    side->used_ns = tg_now_ns();
    tg_gate_leave(&side->gate);
}

struct tg_js tg_nats_js(struct tg_nats_side *side)
{
    return (struct tg_js){ .conn = side->conn, .other = tg_nats_note, .arg = side };
}

void tg_nats_note(void *arg, const struct tg_nats_msg *msg)
{
    struct tg_nats_side *side = arg;
    side->must_look = side->must_look || (side->end_sid != 0 && msg->sid == side->end_sid);
    side->is_rung = side->is_rung || (side->room_sid != 0 && msg->sid == side->room_sid);
    if (side->told != 0 && tg_nats_reply_of(side->conn, msg) == side->told) {
        const struct tg_js_answer answer = tg_js_read(msg);
        side->told_token = answer.error == 0 ? answer.seq : 0;
    }
    tg_nats_loop_note(side->loop, msg);
}

/* ---- connections */

int tg_nats_connect_side(struct tg_nats_box *box, struct tg_nats_side *side)
{
    if (side->conn != NULL && !side->conn->is_lost) {
        return 0;
    }
    tg_nats_disconnect(side->conn);
    side->conn = NULL;
    side->room_sid = 0;
    side->fetch_sid = 0;
    side->is_fetching = false;
    side->is_closing = false;
    side->must_look = true; /* what was told meanwhile was told to nobody */
    int r = tg_nats_connect(&box->server->url, tg_now_ns() + TG_NATS_PATIENCE_NS, &side->conn);
    if (r < 0) {
        return r;
    }
    tg_nats_loop_connected(side->loop);
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    tg_nats_subject(&subject, box->server, 'e', box->name, box->record.id);
    return tg_nats_subscribe(side->conn, subject.at, NULL, &side->end_sid);
}

static bool is_worth_a_try(int r)
{
    return r == -ENOTCONN || r == -EHOSTUNREACH || r == -ETIMEDOUT;
}

int tg_nats_reconnect(struct tg_nats_box *box, struct tg_nats_side *side,
                      const struct tg_nats_call *call)
{
    const int64_t none = tg_now_ns() + TG_NATS_PATIENCE_NS;
    const int64_t end = call->timeout_ns == 0 || call->deadline < none ? none : call->deadline;
    /* One that is connected, and yet has to try again, waits for a moment: a cluster without a leader, say. */
    const bool is_connected = side->conn != NULL && !side->conn->is_lost;
    int r = is_connected ? -ENOTCONN : tg_nats_connect_side(box, side);
    while (is_worth_a_try(r) && tg_now_ns() < end) {
        tg_gate_set_asleep(&side->gate, true);
        const int slept = tg_net_wait(-1, 0, side->bell, tg_now_ns() + TG_NATS_RETRY_NS);
        tg_gate_set_asleep(&side->gate, false);
        if (slept == -EINTR) {
            return -EINTR;
        }
        if (slept > 0) {
            tg_net_silence(side->bell);
        }
        if (tg_nats_is_interrupted(box, call->interrupts)) {
            return -ECANCELED;
        }
        r = tg_nats_connect_side(box, side);
    }
    return is_worth_a_try(r) ? -ENOTCONN : r;
}

int tg_nats_settle(struct tg_nats_side *side)
{
    const struct tg_nats_wait wait = { .deadline = tg_now_ns() + TG_NATS_PATIENCE_NS,
                                       .cancel_fd = -1 };
    int r = tg_nats_ping(side->conn);
    while (r == 0 && !tg_nats_is_answered(side->conn)) {
        struct tg_nats_msg msg;
        r = tg_nats_next(side->conn, &wait, &msg);
        if (r == 0) {
            tg_nats_note(side, &msg);
        } else if (r == -ETIMEDOUT) {
            r = tg_nats_is_answered(side->conn) ? 0 : -ENOTCONN;
        }
    }
    return r;
}

/* ---- the end */

static int note_end(struct tg_nats_box *box, const struct tg_js *js)
{
    const int r = tg_nats_end_of(box->server, js, &box->record);
    if (r == -EIDRM || r == -EOWNERDEAD) {
        tg_store_release(&box->ended, (uint32_t)-r);
    }
    return r;
}

/* Its stream is gone, or the consumer: a server lost its memory, or somebody deleted it. One makes it, the others wait. */
static int mend(struct tg_nats_box *box, const struct tg_js *js,
                const struct tg_nats_record *record)
{
    struct tg_js_answer answer;
    int r = tg_nats_stream_info(box->server, js, record->id, &answer);
    /* To everyone who only sends has none. */
    const bool has_one = !tg_nats_is_to_everyone(box) || (box->flags & TONG_RECEIVE) != 0;
    if (r == 0 && has_one) {
        r = tg_nats_consumer_info(box->server, js, record->id, box->consumer, &answer);
    }
    if (r != -ENOENT) {
        return r;
    }
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_nats_line line;
    tg_nats_subject(&subject, box->server, 'v', box->name, record->id);
    tg_text_add(&subject, ".make");
    r = tg_book_get(box->server, js, subject.at, &line);
    bool dead = true;
    if (r == 0 && line.seq != 0) {
        line.text[TG_NATS_PROC_SIZE - 1] = '\0';
        r = tg_nats_is_dead(box->server, js, line.text, &dead);
    }
    uint64_t seq = 0;
    if (r == 0 && dead) {
        r = tg_book_put(box->server, js, subject.at, box->server->proc, line.seq, &seq);
    }
    if (seq == 0) {
        (void)tg_net_wait(-1, 0, -1, tg_now_ns() + TG_NATS_RETRY_NS);
        return r == -ESTALE ? 0 : r;
    }
    r = tg_nats_make_stream(box->server, js, box->name, record);
    r = r == 0 && tg_nats_is_to_everyone(box) && has_one ? tg_nats_come_again(box, js) : r;
    (void)tg_book_delete(box->server, js, seq);
    return r;
}

static int look(struct tg_nats_box *box, const struct tg_js *js)
{
    struct tg_nats_record now;
    const int r = tg_nats_find_again(box, js, &now);
    if (r < 0) {
        return r;
    }
    if (now.seq == 0) {
        return note_end(box, js);
    }
    tg_nats_adopt(box, &now);
    return mend(box, js, &now);
}

int tg_nats_look(struct tg_nats_box *box)
{
    struct tg_js js;
    int r = ended(box);
    r = r < 0 ? r : tg_nats_enter(box->server, &js);
    if (r < 0) {
        return is_worth_a_try(r) ? -ENOTCONN : r;
    }
    r = look(box, &js);
    /* Ended between the look and the making: the stream that was made is nobody's. */
    if (r == 0) {
        struct tg_nats_record now;
        r = tg_nats_find_again(box, &js, &now);
        if (r == 0 && now.seq == 0) {
            (void)tg_nats_clear(box->server, &js, box->name, box->record.id);
            r = note_end(box, &js);
        }
    }
    tg_nats_leave(box->server);
    return r;
}

int tg_nats_why_lost(struct tg_nats_box *box, int error)
{
    if (error != -ENOTCONN && error != -EHOSTUNREACH) {
        return error;
    }
    const int r = tg_nats_look(box);
    return r == -EIDRM || r == -EOWNERDEAD ? r : -ENOTCONN;
}
