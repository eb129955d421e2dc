#include "carrier/nats/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
#include "base/sys.h"
#include "carrier/nats/direct.h"
#include "carrier/nats/everyone.h"
#include "carrier/nats/fork.h"
#include "carrier/nats/owner.h"
#include "carrier/nats/party.h"
#include "carrier/nats/rendezvous.h"

/* A request that this handle received by a call that can reply, and has not answered. */
struct tg_nats_request {
    struct tg_nats_request *next;
    uint64_t number; /* of the request at this handle, never used again */
    uint64_t line;
};

#define RECEIVED UINT64_MAX /* in tong_message.private_[0] */

static void enter(struct tg_nats_box *box)
{
    while (tg_gate_enter(&box->claims_gate, TG_NEVER, NULL, 0) < 0) {
    }
}

static int as_lost(int r)
{
    return r == -EHOSTUNREACH ? -ENOTCONN : r;
}

static void add_line(struct tg_text *subject, const struct tg_nats_box *box, uint64_t seq)
{
    tg_nats_subject(subject, box->server, 'v', box->name, box->record.id);
    tg_text_add(subject, ".ask.");
    tg_text_add_u64(subject, seq);
}

static int get_line(struct tg_nats_box *box, const struct tg_js *js, uint64_t seq,
                    struct tg_nats_line *ret_line)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    add_line(&subject, box, seq);
    return tg_book_get(box->server, js, subject.at, ret_line);
}

/* ---- who has it */

#define BACK "+" /* I3; another one: " " */
#define OVER "-"

static bool does_come_back(const struct tg_nats_line *line)
{
    return line->len >= TG_NATS_PROC_SIZE && line->text[TG_NATS_PROC_SIZE - 1] == BACK[0];
}

static int is_holder_dead(struct tg_nats_box *box, const struct tg_js *js,
                          const struct tg_nats_line *line, bool *ret_dead)
{
    char proc[TG_NATS_PROC_SIZE];
    memcpy(proc, line->text, sizeof proc);
    proc[sizeof proc - 1] = '\0';
    return tg_nats_is_dead(box->server, js, proc, ret_dead);
}

static int put_holder(struct tg_nats_box *box, const struct tg_js *js, uint64_t seen,
                      struct tg_nats_taken *taken)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    char text_at[TG_NATS_ACK_SIZE + TG_NATS_PROC_SIZE + 1];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_text text = TG_TEXT(text_at);
    const bool comes_back = taken->is_claimed && box->record.options.max_deliveries != 0;
    add_line(&subject, box, taken->seq);
    tg_text_add(&text, box->server->proc);
    tg_text_add(&text, comes_back ? BACK : " ");
    tg_text_add(&text, taken->ack);
    return tg_book_put(box->server, js, subject.at, text.at, seen, &taken->asked);
}

/* What the line says of a request that was handed out before, in ret_line. 0: it may be handed out now; -ENODATA: it is
 * nobody's any more, or its holder's alone; -ESTALE: that one lives, and may give it back. */
static int look_at_holder(struct tg_nats_box *box, const struct tg_js *js,
                          const struct tg_nats_taken *taken, struct tg_nats_line *ret_line)
{
    bool dead = false;
    int r = get_line(box, js, taken->seq, ret_line);
    if (r < 0 || ret_line->seq == 0) {
        return r;
    }
    if (!does_come_back(ret_line)) {
        return -ENODATA;
    }
    r = is_holder_dead(box, js, ret_line, &dead);
    return r < 0 || dead ? r : -ESTALE;
}

static int write_holder(struct tg_nats_box *box, const struct tg_js *js,
                        struct tg_nats_taken *taken)
{
    struct tg_nats_line line = { .seq = 0 };
    int r = put_holder(box, js, 0, taken);
    if (r == -ESTALE) {
        r = look_at_holder(box, js, taken, &line);
        r = r < 0 ? r : put_holder(box, js, line.seq, taken);
    }
    return r;
}

/* By a call that cannot reply: its caller hears that nobody will. */
static int hand_out_mutely(struct tg_nats_box *box, const struct tg_js *js,
                           struct tg_nats_taken *taken)
{
    struct tg_nats_line line;
    int r = look_at_holder(box, js, taken, &line);
    if (r == 0 && line.seq != 0) {
        r = tg_book_delete(box->server, js, line.seq);
    }
    return r;
}

int tg_nats_end_request(struct tg_nats_box *box, const struct tg_js *js,
                        const struct tg_nats_taken *taken, bool is_gone)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_nats_line line;
    uint64_t written;
    if (taken->said.call == 0) {
        return 0;
    }
    add_line(&subject, box, taken->seq);
    if (!is_gone) {
        return tg_book_put(box->server, js, subject.at, OVER, TG_BOOK_ANY, &written);
    }
    const int r = tg_book_get(box->server, js, subject.at, &line);
    return r < 0 || line.seq == 0 ? r : tg_book_delete(box->server, js, line.seq);
}

int tg_nats_take_over(struct tg_nats_box *box, struct tg_nats_taken *taken, bool tells)
{
    struct tg_js js;
    int r = tg_nats_accept(box, taken);
    if (r < 0 || taken->said.call == 0 || (!tells && taken->deliveries <= 1)) {
        return r;
    }
    r = tg_nats_enter(box->server, &js);
    if (r < 0) {
        return as_lost(r);
    }
    r = tells ? write_holder(box, &js, taken) : hand_out_mutely(box, &js, taken);
    tg_nats_leave(box->server);
    return r;
}

void tg_nats_note_request(struct tg_nats_box *box, const struct tg_nats_taken *taken,
                          tong_message *info)
{
    struct tg_nats_request *request = taken->asked != 0 ? malloc(sizeof *request) : NULL;
    if (request == NULL) {
        return; /* it can be answered all the same; that it is over is noticed when this process ends */
    }
    enter(box);
    request->number = ++box->last_request;
    request->line = taken->asked;
    request->next = box->requests;
    box->requests = request;
    tg_gate_leave(&box->claims_gate);
    info->private_[0] = RECEIVED - request->number;
    info->private_[1] = 0;
}

/* The line that is to go; 0 none. */
static uint64_t take_request(struct tg_nats_box *box, uint64_t number)
{
    uint64_t line = 0;
    enter(box);
    struct tg_nats_request **at = &box->requests;
    while (*at != NULL && (*at)->number != number) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        struct tg_nats_request *request = *at;
        line = request->line;
        *at = request->next;
        free(request);
    }
    tg_gate_leave(&box->claims_gate);
    return line;
}

void tg_nats_forget_requests(struct tg_nats_box *box)
{
    while (box->requests != NULL) {
        uint64_t line = take_request(box, box->requests->number);
        tg_nats_delete_line(box, &line);
    }
}

void tg_nats_free_requests(struct tg_nats_box *box)
{
    while (box->requests != NULL) {
        struct tg_nats_request *request = box->requests;
        box->requests = request->next;
        free(request);
    }
}

/* ---- the server's side */

int tg_nats_caller_open(struct tg_nats_box *box, const char *name, struct tg_nats_box **ret_caller)
{
    if (box->forks != tg_nats_forks()) {
        return -ECHILD;
    }
    const int r = tg_name_check(name);
    return r < 0 ? -EINVAL : tg_nats_open_reply(box, name, TONG_SEND, ret_caller);
}

int tg_nats_answered(struct tg_nats_box *box, tong_message *request)
{
    int r = 0;
    if (request->private_[1] != 0) {
        r = tg_nats_done(box, request);
    } else {
        uint64_t line = take_request(box, RECEIVED - request->private_[0]);
        tg_nats_delete_line(box, &line);
    }
    request->call = 0;
    return r;
}

/* ---- the caller's side */

int tg_nats_reply_open(struct tg_nats_box *box, struct tg_nats_box **ret_reply,
                       char ret_name[TONG_NAME_MAX], uint64_t *ret_number)
{
    char name_at[TONG_NAME_MAX] = "";
    struct tg_text name = TG_TEXT(name_at);
    if (box->forks != tg_nats_forks()) {
        return -ECHILD;
    }
    if ((box->flags & TONG_SEND) == 0) {
        return -EBADF;
    }
    if (tg_nats_is_to_everyone(box)) {
        return -EOPNOTSUPP;
    }
    unsigned char random[12];
    int r = tg_sys_random(random, sizeof random);
    r = r < 0 ? r : tg_sys_random(ret_number, sizeof *ret_number);
    if (r < 0) {
        return r;
    }
    tg_text_add(&name, "reply-");
    tg_text_add_hex(&name, random, sizeof random);
    r = tg_nats_open_reply(box, name.at, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, ret_reply);
    if (r == 0) {
        memcpy(ret_name, name_at, TONG_NAME_MAX);
    }
    return r;
}

/* Its holder died: what was done of it is not known, and it is handed out no more. */
static int end_request(struct tg_nats_box *box, const struct tg_js *js,
                       const struct tg_nats_line *line)
{
    const char *ack = line->text + TG_NATS_PROC_SIZE;
    int r = line->len > TG_NATS_PROC_SIZE && tg_nats_is_ack_of(box, ack)
                ? tg_nats_say_of(js, ack, "+ACK")
                : 0;
    r = r < 0 ? r : tg_book_delete(box->server, js, line->seq);
    return r < 0 && r != -ESTALE ? r : -EOWNERDEAD;
}

/* 0: it waits, or somebody has it; -EOWNERDEAD: nobody will answer (I2). */
static int look_at_request(struct tg_nats_box *box, const struct tg_js *js, uint64_t seq)
{
    struct tg_nats_line line;
    int r = get_line(box, js, seq, &line);
    if (r == 0 && line.seq == 0) {
        r = tg_nats_has_message(box->server, js, box->record.id, seq);
        if (r != 0) {
            return r < 0 ? r : 0;
        }
        /* One that was taken between the two looks has a line by now. */
        r = get_line(box, js, seq, &line);
        if (r == 0 && line.seq == 0) {
            return -EOWNERDEAD;
        }
    }
    if (r == 0 && line.text[0] == OVER[0]) {
        return -EOWNERDEAD;
    }
    const bool comes_back = r == 0 && does_come_back(&line);
    if (r < 0 || (comes_back && box->record.options.max_deliveries > 1)) {
        return r;
    }
    bool dead = false;
    r = is_holder_dead(box, js, &line, &dead);
    if (r == 0 && dead && comes_back) {
        return -EOWNERDEAD; /* it becomes a dead letter */
    }
    return r < 0 || !dead ? r : end_request(box, js, &line);
}

static int look_at_call(const struct tg_nats_call *call)
{
    struct tg_nats_box *box = call->looked_at;
    struct tg_nats_record now;
    struct tg_js js;
    int r = tg_nats_look_after_owner(box);
    r = r < 0 ? r : tg_nats_enter(box->server, &js);
    if (r < 0) {
        return as_lost(r);
    }
    r = tg_nats_find_again(box, &js, &now);
    const bool is_over = r == 0 && now.seq == 0;
    r = r == 0 && !is_over ? look_at_request(box, &js, call->asked) : r;
    tg_nats_leave(box->server);
    r = is_over ? tg_nats_look(box) : r;
    return as_lost(r);
}

/* The one of that number: its length; -EAGAIN: another call's, which is over. */
static ssize_t read_reply(struct tg_nats_box *reply, struct tg_nats_taken *taken, uint64_t number,
                          void *buf, size_t size, tong_message *ret_info)
{
    const bool fits = taken->len <= size;
    int r = taken->said.call != number ? -EAGAIN : fits ? tg_nats_copy(reply, taken, buf) : 0;
    if (r < 0 && r != -EAGAIN && r != -ENODATA) {
        return tg_nats_refuse(reply, taken, r);
    }
    (void)tg_nats_acknowledge_taken(reply, taken);
    if (r < 0) {
        return -EAGAIN;
    }
    if (ret_info != NULL) {
        tg_nats_tell(taken, ret_info);
        ret_info->len = taken->len;
        ret_info->data = fits ? buf : NULL;
    }
    return fits ? (ssize_t)taken->len : -EMSGSIZE;
}

ssize_t tg_nats_await(struct tg_nats_box *box, struct tg_nats_box *reply, const uint64_t where[2],
                      uint64_t number, void *buf, size_t size, int64_t timeout_ns,
                      tong_message *ret_info)
{
    struct tg_nats_call call;
    ssize_t r = tg_nats_begin(reply, &reply->rx, TONG_RECEIVE, timeout_ns, &call);
    if (r < 0) {
        return r;
    }
    call.look = look_at_call;
    call.looked_at = box;
    call.asked = where[0];
    do {
        struct tg_nats_taken taken;
        r = tg_nats_take(reply, &call, &taken);
        r = r < 0 ? r : read_reply(reply, &taken, number, buf, size, ret_info);
    } while (r == -EAGAIN);
    tg_nats_finish(&reply->rx);
    return r;
}
