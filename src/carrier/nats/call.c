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

/* ---- who has it */

static int write_holder(struct tg_nats_box *box, const struct tg_js *js,
                        struct tg_nats_taken *taken)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    char text_at[TG_NATS_ACK_SIZE + TG_NATS_PROC_SIZE + 1];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_text text = TG_TEXT(text_at);
    add_line(&subject, box, taken->seq);
    tg_text_add(&text, box->server->proc);
    tg_text_add(&text, " ");
    tg_text_add(&text, taken->ack);
    const int r = tg_book_put(box->server, js, subject.at, text.at, 0, &taken->asked);
    return r == -ESTALE ? -ENODATA : r;
}

/* It was handed out before: -ENODATA, if by then as a request. */
static int look_at_holder(struct tg_nats_box *box, const struct tg_js *js,
                          const struct tg_nats_taken *taken)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_nats_line line;
    add_line(&subject, box, taken->seq);
    const int r = tg_book_get(box->server, js, subject.at, &line);
    return r < 0 ? r : line.seq != 0 ? -ENODATA : 0;
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
    r = tells ? write_holder(box, &js, taken) : look_at_holder(box, &js, taken);
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
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_nats_line line;
    add_line(&subject, box, seq);
    int r = tg_book_get(box->server, js, subject.at, &line);
    if (r == 0 && line.seq == 0) {
        r = tg_nats_has_message(box->server, js, box->record.id, seq);
        if (r != 0) {
            return r < 0 ? r : 0;
        }
        /* One that was taken between the two looks has a line by now. */
        r = tg_book_get(box->server, js, subject.at, &line);
        if (r == 0 && line.seq == 0) {
            return -EOWNERDEAD;
        }
    }
    if (r < 0) {
        return r;
    }
    bool dead = false;
    char proc[TG_NATS_PROC_SIZE];
    memcpy(proc, line.text, sizeof proc);
    proc[sizeof proc - 1] = '\0';
    r = tg_nats_is_dead(box->server, js, proc, &dead);
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
