#include "carrier/nats/rendezvous.h"

#include <errno.h>
#include <string.h>

#include "carrier/nats/login.h"
#include "carrier/nats/net.h"
#include "carrier/nats/owner.h"

/* ---- sender */

int tg_nats_prepare_offer(struct tg_nats_box *box, char *ret_tell, size_t size)
{
    struct tg_nats_side *side = &box->tx;
    if (box->token == 0) {
        const int r = tg_nats_write_line(box, 'v', "", "O", &box->token);
        if (r < 0) {
            return r == -EHOSTUNREACH ? -ENOTCONN : r;
        }
    }
    const int r = tg_nats_connect_side(box, side);
    if (r == 0) {
        side->told = tg_nats_reply_subject(side->conn, ret_tell, size);
        side->told_token = 0;
    }
    return r;
}

int tg_nats_count_waiting(struct tg_nats_box *box, uint64_t *ret_n)
{
    struct tg_js js;
    struct tg_js_answer answer;
    int r = tg_nats_enter(box->server, &js);
    if (r == 0) {
        r = tg_nats_consumer_info(box->server, &js, box->record.id, box->consumer, &answer);
        *ret_n = r == 0 ? tg_json_u64(tg_json_get(answer.json, "num_waiting")) : 0;
        tg_nats_leave(box->server);
    }
    if (r == -ENOENT) {
        r = tg_nats_look(box);
    }
    return r == -EHOSTUNREACH ? -ENOTCONN : r;
}

static void add_line(struct tg_text *subject, const struct tg_nats_server *server,
                     const struct tg_nats_box *box, const char *owner)
{
    tg_nats_subject(subject, server, 'v', box->name, box->record.id);
    tg_text_add(subject, ".");
    tg_text_add(subject, owner);
}

static void add_owner(struct tg_text *owner, const struct tg_nats_box *box)
{
    tg_text_add(owner, box->server->proc);
    tg_text_add(owner, ".");
    tg_text_add_u64(owner, box->handle);
}

static void add_verdict(struct tg_text *text, char verdict, uint64_t number)
{
    const char word[2] = { verdict, ' ' };
    tg_text_add_bytes(text, word, 2);
    tg_text_add_u64(text, number);
}

/* Write over the token that it is taken back: 0, -ESTALE: the other side has written. */
static int decide(struct tg_nats_box *box, const struct tg_js *js, const char *owner,
                  uint64_t number, uint64_t *ret_token)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    char text_at[32];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_text text = TG_TEXT(text_at);
    add_line(&subject, box->server, box, owner);
    add_verdict(&text, 'W', number);
    return tg_book_put(box->server, js, subject.at, text.at, box->token, ret_token);
}

static int read_line(struct tg_nats_box *box, const struct tg_js *js, const char *owner,
                     struct tg_nats_line *ret_line)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    add_line(&subject, box->server, box, owner);
    return tg_book_get(box->server, js, subject.at, ret_line);
}

/* Take the offer back: 0 it was taken before; otherwise reason, or -errno. */
static int withdraw(struct tg_nats_box *box, uint64_t number, uint64_t seq, int reason)
{
    char owner_at[64];
    struct tg_text owner = TG_TEXT(owner_at);
    struct tg_js js;
    add_owner(&owner, box);
    int r = tg_nats_enter(box->server, &js);
    if (r < 0) {
        box->token = 0; /* the next line has another version: nobody can take it any more then */
        return -ENOTCONN;
    }
    r = decide(box, &js, owner.at, number, &box->token);
    if (r == 0) {
        r = tg_nats_delete_message(box->server, &js, box->record.id, seq);
        r = r < 0 && r != -ENOENT ? r : reason;
    } else if (r == -ESTALE) {
        struct tg_nats_line line;
        r = read_line(box, &js, owner.at, &line);
        box->token = r == 0 ? line.seq : 0;
    } else {
        box->token = 0;
    }
    tg_nats_leave(box->server);
    return r == -EHOSTUNREACH ? -ENOTCONN : r;
}

/* A tick: the tell may have been lost, the mailbox may have ended. 1 taken, 0, -errno. */
static int look_around(struct tg_nats_box *box)
{
    char owner_at[64];
    struct tg_text owner = TG_TEXT(owner_at);
    struct tg_nats_line line;
    struct tg_js js;
    int r = tg_nats_look_after_owner(box);
    r = r < 0 ? r : tg_nats_enter(box->server, &js);
    if (r < 0) {
        return r == -EHOSTUNREACH || r == -ENOTCONN ? 0 : r;
    }
    add_owner(&owner, box);
    r = read_line(box, &js, owner.at, &line);
    tg_nats_leave(box->server);
    if (r < 0) {
        return r == -ENOTCONN ? 0 : r;
    }
    if (line.seq == 0) {
        return tg_nats_look(box); /* whoever ended the mailbox cleared the book */
    }
    if (line.seq != box->token) {
        box->token = line.seq;
        return 1;
    }
    return 0;
}

/* 1 taken, 0 a tick, -errno. */
static int sleep_once(struct tg_nats_box *box, struct tg_nats_call *call)
{
    struct tg_nats_side *side = &box->tx;
    const int64_t tick = tg_nats_tick(call->ticks++);
    const struct tg_nats_wait wait = { .deadline = call->deadline < tick ? call->deadline : tick,
                                       .cancel_fd = side->bell,
                                       .by_signal = true };
    int r = 0;
    tg_gate_set_asleep(&side->gate, true);
    while (r == 0 && side->told_token == 0 && !side->must_look) {
        struct tg_nats_msg msg;
        r = tg_nats_next(side->conn, &wait, &msg);
        if (r == 0) {
            tg_nats_note(side, &msg);
        }
    }
    tg_gate_set_asleep(&side->gate, false);
    if (side->told_token != 0) {
        box->token = side->told_token;
        return 1;
    }
    if (r == -ECANCELED) {
        tg_net_silence(side->bell);
    }
    return r;
}

int tg_nats_await_taking(struct tg_nats_box *box, uint64_t number, uint64_t seq,
                         struct tg_nats_call *call)
{
    struct tg_nats_side *side = &box->tx;
    const int64_t known_at = tg_now_ns() + TG_NATS_TICK_NS / 8;
    struct tg_nats_call until = *call;
    uint64_t line = 0;
    int r = 0;
    while (r == 0) {
        if (tg_nats_is_interrupted(box, call->interrupts)) {
            tg_net_silence(side->bell);
            r = withdraw(box, number, seq, -ECANCELED);
            break;
        }
        /* A sender that has waited for a moment is one that is blocked, for others to see. */
        until.deadline = line == 0 && known_at < call->deadline ? known_at : call->deadline;
        r = sleep_once(box, &until);
        if (r == -ENOTCONN) {
            r = tg_nats_reconnect(box, side, call);
            if (r < 0) {
                r = withdraw(box, number, seq, r);
                break;
            }
        } else if (r == -EINTR) {
            const bool by_handler = tg_nats_is_interrupted(box, call->interrupts);
            r = withdraw(box, number, seq, by_handler ? -ECANCELED : -EINTR);
            break;
        } else if (r == -ETIMEDOUT && tg_is_over(call->deadline)) {
            r = withdraw(box, number, seq, -ETIMEDOUT);
            break;
        } else if (r == -ETIMEDOUT || r == -ECANCELED) {
            r = 0;
        }
        if (r == 0 && line == 0 && tg_now_ns() >= known_at) {
            (void)tg_nats_write_line(box, 'b', "", "", &line);
        }
        if (r == 0 && side->must_look) {
            side->must_look = false;
            r = tg_nats_look(box);
        }
        r = r == 0 ? look_around(box) : r;
    }
    tg_nats_delete_line(box, &line);
    return r == 1 ? 0 : r;
}

/* ---- receiver */

static int judge(struct tg_nats_box *box, const struct tg_js *js, const char *owner,
                 const struct tg_nats_taken *taken)
{
    struct tg_nats_line line;
    char taken_at[32];
    char back_at[32];
    struct tg_text is_taken = TG_TEXT(taken_at);
    struct tg_text is_back = TG_TEXT(back_at);
    const int r = read_line(box, js, owner, &line);
    if (r < 0) {
        return r;
    }
    add_verdict(&is_taken, 'T', taken->number);
    add_verdict(&is_back, 'W', taken->number);
    if (line.seq != 0 && strcmp(line.text, is_taken.at) == 0) {
        return 0;
    }
    if (line.seq != 0 && strcmp(line.text, is_back.at) == 0) {
        return -ENODATA;
    }
    const int there = tg_nats_has_message(box->server, js, box->record.id, taken->seq); /* I2 */
    return there < 0 ? there : there == 1 ? 0 : -ENODATA;
}

/* The line is the handle's: "PROC.HANDLE", without the number that a long message has behind it. */
static void add_handle(struct tg_text *owner, const struct tg_nats_taken *taken)
{
    const char *dot = strchr(taken->owner, '.');
    const size_t len = dot != NULL ? 1 + (size_t)(dot - taken->owner) : 0;
    tg_text_add_bytes(owner, taken->owner, len);
    tg_text_add_bytes(owner, taken->owner + len, strcspn(taken->owner + len, "."));
}

/* Put it into the buffer: the verdict, whose answer is for the two of us. */
static int post_aloud(struct tg_nats_box *box, const struct tg_js *js, const char *owner,
                      const struct tg_nats_taken *taken, uint64_t *ret_sid)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    char head_at[96];
    char text_at[32];
    char once_at[64];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_text head = TG_TEXT(head_at);
    struct tg_text text = TG_TEXT(text_at);
    struct tg_text once = TG_TEXT(once_at);
    add_line(&subject, box->server, box, owner);
    tg_text_add(&head, "Nats-Expected-Last-Subject-Sequence: ");
    tg_text_add_u64(&head, taken->token);
    tg_text_add(&head, "\r\n");
    add_verdict(&text, 'T', taken->number);
    const struct iovec part = { text.at, text.len };
    int r = tg_nats_is_subject(taken->tell)
                ? tg_nats_subscribe(js->conn, taken->tell, NULL, ret_sid)
                : -EPROTO;
    r = r < 0 ? r : tg_nats_publish(js->conn, subject.at, taken->tell, head.at, &part, 1);
    tg_text_add(&once, "UNSUB ");
    tg_text_add_u64(&once, *ret_sid);
    tg_text_add(&once, " 1\r\n");
    return r < 0 ? r : tg_nats_put(js->conn, &once);
}

/* As decide() by the receiver; the sender is told by the same answer of the server. */
static int decide_aloud(struct tg_nats_box *box, const struct tg_js *js, const char *owner,
                        const struct tg_nats_taken *taken)
{
    const struct tg_nats_wait wait = { .deadline = tg_now_ns() + TG_NATS_PATIENCE_NS,
                                       .cancel_fd = -1 };
    struct tg_nats_msg msg = { .sid = 0 };
    uint64_t sid = 0;
    int r = post_aloud(box, js, owner, taken, &sid);
    while (r == 0 && msg.sid != sid) {
        const uint64_t pongs = js->conn->pongs;
        r = tg_nats_next(js->conn, &wait, &msg);
        if (r == -ETIMEDOUT && js->conn->pongs == pongs) {
            js->conn->is_lost = true;
            return -ENOTCONN;
        }
        r = r == -ETIMEDOUT ? 0 : r;
    }
    if (r < 0) {
        return r == -EACCES ? -ESTALE : r; /* it may not hear the answer, and looks for it */
    }
    const struct tg_js_answer answer = tg_js_read(&msg);
    return answer.error == TG_JS_WRONG_LAST ? -ESTALE : tg_js_errno(&answer);
}

int tg_nats_accept(struct tg_nats_box *box, const struct tg_nats_taken *taken)
{
    char owner_at[64];
    struct tg_text owner = TG_TEXT(owner_at);
    struct tg_js js;
    if (box->record.options.capacity != 0 || taken->token == 0) {
        return 0;
    }
    add_handle(&owner, taken);
    int r = tg_nats_enter(box->server, &js);
    if (r < 0) {
        return r == -EHOSTUNREACH ? -ENOTCONN : r;
    }
    r = decide_aloud(box, &js, owner.at, taken);
    if (r == -ESTALE) {
        r = judge(box, &js, owner.at, taken);
    }
    tg_nats_leave(box->server);
    return r;
}
