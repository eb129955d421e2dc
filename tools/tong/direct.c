/*
 * direct.c - processes that name each other: `send --as P --to Q` and `receive --as Q`.
 *
 * The command is the process of that name for as long as it runs. What it has sent stays when it ends,
 * and is told to come from it.
 */
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_SIZE = 4096
};

struct direct {
    const struct tool_args *args;
    const char *name;
    tong_process *me;
    int64_t timeout_ns;
};

static int open_as(const struct tool_args *args, struct direct *ret_direct)
{
    struct direct d = { .args = args,
                        .name = tool_value(args, "--as"),
                        .timeout_ns = TONG_FOREVER };
    if (tool_value_timeout(args, &d.timeout_ns)) {
        return TOOL_USAGE;
    }
    const int r = tong_process_open(d.name, NULL, &d.me);
    if (r < 0) {
        return tool_error(args, d.name, r,
                          r == -EBUSY    ? "a living process has this name; take another one"
                          : r == -EEXIST ? "a mailbox has this name, which is no process's"
                                         : NULL);
    }
    tool_signals_interrupt(tong_process_mailbox(d.me));
    *ret_direct = d;
    return TOOL_DONE;
}

static int close_as(struct direct *d, int code)
{
    tool_signals_interrupt(NULL);
    const int r = tong_process_close(d->me);
    if (r < 0 && code == TOOL_DONE) {
        code = tool_error(d->args, d->name, r, NULL);
    }
    return tool_stop_signal() ? 128 + tool_stop_signal() : code;
}

static int send_text(struct direct *d, const char *to, const void *data, size_t len)
{
    int r;
    do {
        r = tong_send_to(d->me, to, data, len, d->timeout_ns);
    } while (tool_again(r));
    if (r >= 0 || tool_stopping()) {
        return r == 0 ? TOOL_DONE : TOOL_FAILED;
    }
    return tool_error(
        d->args, to, r,
        r == -ETIMEDOUT || r == -ENOENT
            ? "no process of this name came, or it has no room; \"tong receive --as\" "
              "makes one"
            : NULL);
}

int tool_direct_send(const struct tool_args *args)
{
    const char *const to = tool_value(args, "--to");
    const char *const text = args->n_words == 1 ? args->words[0] : NULL;
    struct tool_file input;
    struct direct d = { 0 };
    if (!to || !tool_value(args, "--as")) {
        return tool_wrong_usage(args, "--as P and --to Q go together");
    }
    if (args->n_words > 1 || tool_given(args, "--lines") || tool_given(args, "--null") ||
        tool_given(args, "--stream") || tool_given(args, "--no-create") ||
        tool_given(args, "--key") || tool_given(args, "--tag") || tool_given(args, "--priority") ||
        tool_given(args, "--expiry")) {
        return tool_wrong_usage(args, "--as P --to Q takes one TEXT, a --file or standard input");
    }
    if (text && tool_given(args, "--file")) {
        return tool_wrong_usage(args, "a TEXT and a file or input exclude each other");
    }
    char *data = NULL;
    size_t len = 0;
    if (!text) {
        int code = tool_file_open_input(args, tool_value(args, "--file"), &input);
        if (code != TOOL_DONE) {
            return code;
        }
        const int r = tool_file_read_all(&input, TONG_MESSAGE_MAX, &data, &len);
        code = r < 0 ? tool_file_error(args, input.name, r) : TOOL_DONE;
        code = tool_file_close(args, &input, code);
        if (code != TOOL_DONE) {
            free(r < 0 ? NULL : data);
            return code;
        }
    }
    int code = open_as(args, &d);
    if (code == TOOL_DONE) {
        code = close_as(&d, send_text(&d, to, text ? text : data, text ? strlen(text) : len));
    }
    free(data);
    return code;
}

/* A buffer that grows: what is too long stays and is asked for again. */
struct buffer {
    char *data;
    size_t size;
};

static ssize_t receive_into(struct direct *d, const char *from, const struct buffer *b,
                            char ret_from[TONG_NAME_MAX])
{
    ssize_t r;
    do {
        r = from ? tong_receive_from(d->me, from, b->data, b->size, d->timeout_ns)
                 : tong_receive_any(d->me, b->data, b->size, d->timeout_ns, ret_from);
    } while (r < 0 && tool_again(r));
    return r;
}

static int receive_error(const struct direct *d, const char *from, int r)
{
    if (tool_stopping()) {
        return TOOL_FAILED;
    }
    if (r == -EOWNERDEAD && from) {
        return tool_error(d->args, from, r, "all that it had sent was received");
    }
    return tool_error(
        d->args, from ? from : d->name, r,
        r == -EAGAIN || r == -ETIMEDOUT
            ? "send one with \"tong send --as P --to Q\", or wait longer with --timeout"
            : NULL);
}

/* "P: text"; without a name, one that used the mailbox alone, just the text. */
static int print_message(const struct direct *d, const char *from, const char *data, size_t len)
{
    if (from[0]) {
        printf("%s: ", from);
    }
    fwrite(data, 1, len, stdout);
    if (len == 0 || data[len - 1] != '\n') {
        putchar('\n');
    }
    return tool_flush(d->args, TOOL_DONE);
}

static int receive_one(struct direct *d, const char *from, struct buffer *b)
{
    char name[TONG_NAME_MAX] = "";
    ssize_t r = receive_into(d, from, b, name);
    while (r == -EMSGSIZE && b->size <= TONG_MESSAGE_MAX / 2) {
        char *const more = realloc(b->data, b->size * 2);
        if (!more) {
            return tool_error(d->args, d->name, -ENOMEM, NULL);
        }
        *b = (struct buffer){ .data = more, .size = b->size * 2 };
        r = receive_into(d, from, b, name);
    }
    return r < 0 ? receive_error(d, from, (int)r)
                 : print_message(d, from ? from : name, b->data, (size_t)r);
}

int tool_direct_receive(const struct tool_args *args)
{
    static const char *const others[] = { "--stream", "--exec",     "--ack", "--lines",
                                          "--null",   "--json",     "--tag", "--min-priority",
                                          "--output", "--no-create" };
    uint64_t count = 1;
    struct direct d = { 0 };
    if (!tool_value(args, "--as")) {
        return tool_wrong_usage(args, "--from P needs --as Q: who receives");
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (tool_given(args, others[i])) {
            return tool_wrong_usage(args, "--as Q and %s exclude each other", others[i]);
        }
    }
    if (tool_need_words(args, 0, "") || tool_value_size(args, "--count", UINT64_MAX - 1, &count)) {
        return TOOL_USAGE;
    }
    count = tool_given(args, "--follow") ? UINT64_MAX : count;
    struct buffer b = { .data = malloc(FIRST_SIZE), .size = FIRST_SIZE };
    if (!b.data) {
        return tool_error(args, NULL, -ENOMEM, NULL);
    }
    int code = open_as(args, &d);
    if (code == TOOL_DONE) {
        for (; count > 0 && code == TOOL_DONE && !tool_stopping(); count--) {
            code = receive_one(&d, tool_value(args, "--from"), &b);
        }
        code = close_as(&d, code);
    }
    free(b.data);
    return code;
}
