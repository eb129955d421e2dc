/*
 * Request and reply on top of mailboxes.
 *
 * A handle has mailboxes for replies, made as they are needed and gone with it, and a handle on those of the
 * callers that it has answered:
 *
 *   reply      a mailbox of this handle      one call at a time has it, so a call needs to look for its own
 *                                            reply only; what comes late is thrown away by a later call
 *   caller     another one's, to send to     found by its name; 64 without a call inside stay open
 *
 * I1  The number of a call is never used again in its mailbox for replies: a reply that comes behind the end
 *     of its call is nobody's.
 * I2  The gate guards the lists, and is never held asleep.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "base/clock.h"

#define IDLE_MOST 64 /* callers without a call inside that stay open */

struct tg_reply {
    struct tg_reply *next;
    tg_handle handle;
    uint64_t number; /* of the last call */
    char name[TONG_NAME_MAX];
};

struct tg_caller {
    struct tg_caller *next; /* the one used last comes first */
    tg_handle handle;
    uint32_t uses; /* calls inside */
    bool gone;
    char name[TONG_NAME_MAX];
};

static void enter(tong_mailbox *box)
{
    while (tg_gate_enter(&box->calls.gate, TG_NEVER, NULL, 0) < 0) {
    }
}

static void leave(tong_mailbox *box)
{
    tg_gate_leave(&box->calls.gate);
}

/* ---- calling */

static int open_reply(tong_mailbox *box, struct tg_reply **ret_reply)
{
    struct tg_reply *reply = calloc(1, sizeof *reply);
    if (reply == NULL) {
        return -ENOMEM;
    }
    const int r =
        box->carrier->reply_open(box->handle, &reply->handle, reply->name, &reply->number);
    if (r < 0) {
        free(reply);
        return r;
    }
    *ret_reply = reply;
    return 0;
}

static void close_reply(tong_mailbox *box, struct tg_reply *reply)
{
    (void)box->carrier->close(reply->handle);
    free(reply);
}

static int take_reply(tong_mailbox *box, struct tg_reply **ret_reply)
{
    enter(box);
    struct tg_reply *reply = box->calls.idle;
    if (reply != NULL) {
        box->calls.idle = reply->next;
    }
    leave(box);
    *ret_reply = reply;
    return reply != NULL ? 0 : open_reply(box, ret_reply);
}

/* answer: of the call. A mailbox that somebody removed or damaged is not used again. */
static void put_reply(tong_mailbox *box, struct tg_reply *reply, ssize_t answer)
{
    if (answer == -EIDRM || answer == -EPROTO || answer == -ECHILD) {
        close_reply(box, reply);
        return;
    }
    enter(box);
    reply->next = box->calls.idle;
    box->calls.idle = reply;
    leave(box);
}

/* I1 */
static uint64_t next_number(struct tg_reply *reply)
{
    reply->number++;
    reply->number += reply->number == 0;
    return reply->number;
}

struct request {
    const void *data;
    size_t len;
    tong_send_options with;
    void *buf;
    size_t size;
    int64_t timeout_ns;
    tong_message *ret_info;
};

static ssize_t call(tong_mailbox *box, struct tg_reply *reply, struct request *q)
{
    uint64_t where[2];
    const int64_t deadline = tg_deadline(q->timeout_ns);
    q->with.reply_to = reply->name;
    q->with.call = next_number(reply);
    /* Behind the end of the call nobody needs to work on it. */
    if (q->timeout_ns > 0 && (q->with.expiry_ns == 0 || q->with.expiry_ns > q->timeout_ns)) {
        q->with.expiry_ns = q->timeout_ns;
    }
    const int r = box->carrier->ask(box->handle, reply->handle, q->data, q->len, &q->with,
                                    q->timeout_ns, where);
    if (r != 0) {
        return r == TONG_DROPPED ? -EAGAIN : r;
    }
    int64_t rest = q->timeout_ns;
    if (deadline != TG_NEVER) {
        rest = deadline - tg_now_ns();
        rest = rest > 0 ? rest : 1;
    }
    return box->carrier->await(box->handle, reply->handle, where, q->with.call, q->buf, q->size,
                               rest, q->ret_info);
}

ssize_t tong_call_with(tong_mailbox *box, const void *request, size_t len,
                       const tong_send_options *with, void *buf, size_t size, int64_t timeout_ns,
                       tong_message *ret_info)
{
    if (box == NULL || (request == NULL && len != 0) || (buf == NULL && size != 0) ||
        timeout_ns < TONG_FOREVER ||
        (with != NULL &&
         (with->struct_size < sizeof *with || with->reply_to != NULL || with->call != 0)) ||
        (ret_info != NULL && ret_info->struct_size < sizeof *ret_info)) {
        return -EINVAL;
    }
    if (box->carrier->reply_open == NULL) {
        return -EOPNOTSUPP;
    }
    if (timeout_ns == 0) {
        return -EAGAIN; /* no reply is there before its request */
    }
    char nothing = 0;
    struct request q = { .data = request,
                         .len = len,
                         .with = TONG_SEND_OPTIONS_INIT,
                         .buf = buf != NULL ? buf : &nothing,
                         .size = size,
                         .timeout_ns = timeout_ns,
                         .ret_info = ret_info };
    if (with != NULL) {
        q.with = *with;
    }
    struct tg_reply *reply;
    int r = take_reply(box, &reply);
    if (r < 0) {
        return r;
    }
    const ssize_t n = call(box, reply, &q);
    put_reply(box, reply, n);
    return n;
}

ssize_t tong_call(tong_mailbox *box, const void *request, size_t len, void *buf, size_t size,
                  int64_t timeout_ns)
{
    return tong_call_with(box, request, len, NULL, buf, size, timeout_ns, NULL);
}

/* ---- replying; the gate is held */

static void close_caller(tong_mailbox *box, struct tg_caller **at)
{
    struct tg_caller *caller = *at;
    *at = caller->next;
    (void)box->carrier->close(caller->handle);
    free(caller);
}

static void close_idle(tong_mailbox *box)
{
    uint32_t idle = 0;
    struct tg_caller **at = &box->calls.callers;
    while (*at != NULL) {
        struct tg_caller *caller = *at;
        idle += caller->uses == 0;
        if (caller->uses == 0 && (caller->gone || idle > IDLE_MOST)) {
            close_caller(box, at);
        } else {
            at = &caller->next;
        }
    }
}

static struct tg_caller *find_caller(tong_mailbox *box, const char *name)
{
    struct tg_caller **at = &box->calls.callers;
    while (*at != NULL && ((*at)->gone || strcmp((*at)->name, name) != 0)) {
        at = &(*at)->next;
    }
    struct tg_caller *caller = *at;
    if (caller != NULL && at != &box->calls.callers) {
        *at = caller->next;
        caller->next = box->calls.callers;
        box->calls.callers = caller;
    }
    return caller;
}

static int open_caller(tong_mailbox *box, const char *name, struct tg_caller **ret_caller)
{
    struct tg_caller *caller = calloc(1, sizeof *caller);
    if (caller == NULL) {
        return -ENOMEM;
    }
    const int r = box->carrier->caller_open(box->handle, name, &caller->handle);
    if (r < 0) {
        free(caller);
        return r;
    }
    memcpy(caller->name, name, strlen(name) + 1);
    caller->next = box->calls.callers;
    box->calls.callers = caller;
    *ret_caller = caller;
    return 0;
}

/* ---- the call */

static int hold_caller(tong_mailbox *box, const char *name, struct tg_caller **ret_caller)
{
    int r = 0;
    enter(box);
    struct tg_caller *caller = find_caller(box, name);
    if (caller == NULL) {
        r = open_caller(box, name, &caller);
    }
    if (r == 0) {
        caller->uses++;
        *ret_caller = caller;
    }
    leave(box);
    return r;
}

static void let_go(tong_mailbox *box, struct tg_caller *caller, bool gone)
{
    enter(box);
    caller->uses--;
    caller->gone = caller->gone || gone;
    close_idle(box);
    leave(box);
}

int tong_reply(tong_mailbox *box, tong_message *request, const void *data, size_t len,
               int64_t timeout_ns)
{
    if (box == NULL || request == NULL || request->struct_size < sizeof *request ||
        (data == NULL && len != 0) || timeout_ns < TONG_FOREVER || request->call == 0 ||
        memchr(request->reply_to, '\0', sizeof request->reply_to) == NULL ||
        request->reply_to[0] == '\0') {
        return -EINVAL;
    }
    if (box->carrier->caller_open == NULL) {
        return -EOPNOTSUPP;
    }
    struct tg_caller *caller = NULL;
    int r = hold_caller(box, request->reply_to, &caller);
    if (r == 0) {
        tong_send_options with = TONG_SEND_OPTIONS_INIT;
        with.call = request->call;
        r = box->carrier->send_with(caller->handle, data, len, &with, timeout_ns);
        const bool gone = r == -EIDRM || r == -EOWNERDEAD;
        let_go(box, caller, gone || r == -EPROTO);
        r = gone ? -ENOENT : r;
    }
    if (r == 0 || r == -ENOENT) {
        const int finished = box->carrier->answered(box->handle, request);
        r = finished < 0 ? finished : r;
    }
    return r;
}

void tg_api_end_calls(tong_mailbox *box)
{
    struct tg_reply *reply;
    while ((reply = box->calls.idle) != NULL) {
        box->calls.idle = reply->next;
        close_reply(box, reply);
    }
    while (box->calls.callers != NULL) {
        close_caller(box, &box->calls.callers);
    }
}
