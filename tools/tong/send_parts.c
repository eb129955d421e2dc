/*
 * send_parts.c - `tong send NAME --lines` and `--null`: each part of the input is a message.
 *
 * The input is read into one buffer, in which all whole parts are found and sent together with
 * tong_send_many(); what is left of the last one moves to the front. The buffer grows to the longest
 * part. A part without its mark at the end of the input is a message, too.
 */
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

enum {
    ROOM = 1 << 18,
    MANY = 256
};

struct parts {
    struct tool_box *box;
    struct tool_file *input;
    char mark;
    bool one_by_one; /* the mailbox drops, or something is said of each part */
    char *data;
    size_t size;
    size_t len;
    uint64_t number; /* parts handled */
    uint64_t dropped;
};

static int report(const struct parts *p, ssize_t error, size_t len)
{
    if (error == -EMSGSIZE) {
        tool_say(p->box->args, p->box->name, "%s %llu cannot be a message, %llu were sent before",
                 p->mark == '\n' ? "line" : "part", (unsigned long long)p->number + 1,
                 (unsigned long long)(p->number - p->dropped));
    }
    return tool_box_send_error(p->box, (int)error, len);
}

static int send_each(struct parts *p, const struct iovec *messages, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const int r = tool_box_send(p->box, messages[i].iov_base, messages[i].iov_len);
        if (r < 0) {
            return report(p, r, messages[i].iov_len);
        }
        p->dropped += r == TONG_DROPPED;
        p->number++;
    }
    return TOOL_DONE;
}

static int send_these(struct parts *p, const struct iovec *messages, size_t n)
{
    if (p->one_by_one) {
        return send_each(p, messages, n);
    }
    while (n > 0) {
        const ssize_t sent = tool_box_send_many(p->box, messages, n);
        if (sent < 0) {
            return report(p, sent, messages->iov_len);
        }
        p->number += (uint64_t)sent;
        messages += sent;
        n -= (size_t)sent;
    }
    return TOOL_DONE;
}

/* Sends the whole parts of the buffer and keeps the rest. */
static int send_whole(struct parts *p, size_t from)
{
    struct iovec messages[MANY];
    size_t n = 0;
    size_t begin = 0;
    int code = TOOL_DONE;
    size_t at = from;
    char *found;
    while (code == TOOL_DONE && (found = memchr(p->data + at, p->mark, p->len - at)) != NULL) {
        messages[n].iov_base = p->data + begin;
        messages[n++].iov_len = (size_t)(found - (p->data + begin));
        begin = at = (size_t)(found - p->data) + 1;
        if (n == MANY) {
            code = send_these(p, messages, n);
            n = 0;
        }
    }
    if (code == TOOL_DONE) {
        code = send_these(p, messages, n);
    }
    memmove(p->data, p->data + begin, p->len - begin);
    p->len -= begin;
    return code;
}

static bool make_room(struct parts *p)
{
    if (p->len < p->size) {
        return true;
    }
    char *const more = realloc(p->data, p->size * 2);
    if (more) {
        p->data = more;
        p->size *= 2;
    }
    return more != NULL;
}

static int send_rest(struct parts *p)
{
    const struct iovec last = { .iov_base = p->data, .iov_len = p->len };
    const int code = p->len ? send_these(p, &last, 1) : TOOL_DONE;
    if (code == TOOL_DONE && p->dropped) {
        tool_say(p->box->args, p->box->name, "%llu of %llu messages were dropped, it was full",
                 (unsigned long long)p->dropped, (unsigned long long)p->number);
        return TOOL_LATE;
    }
    return code;
}

static int run(struct parts *p)
{
    for (;;) {
        if (!make_room(p)) {
            return tool_error(p->box->args, p->box->name, -ENOMEM, NULL);
        }
        const ssize_t n = tool_file_read(p->input, p->data + p->len, p->size - p->len);
        if (n < 0) {
            return tool_stopping() ? TOOL_FAILED
                                   : tool_file_error(p->box->args, p->input->name, (int)n);
        }
        if (n == 0) {
            return send_rest(p);
        }
        const size_t from = p->len;
        p->len += (size_t)n;
        const int code = send_whole(p, from);
        if (code != TOOL_DONE) {
            return code;
        }
    }
}

int tool_send_parts(struct tool_box *box, struct tool_file *input, char mark)
{
    tong_status status = TONG_STATUS_INIT;
    const int r = tong_stat(box->name, &status);
    if (r != 0) {
        return tool_error(box->args, box->name, r, NULL);
    }
    struct parts p = { .box = box, .input = input, .mark = mark, .size = ROOM };
    p.one_by_one = status.full == TONG_DROP_NEWEST || box->with != NULL;
    p.data = malloc(p.size);
    if (!p.data) {
        return tool_error(box->args, box->name, -ENOMEM, NULL);
    }
    const int code = run(&p);
    free(p.data);
    return code;
}
