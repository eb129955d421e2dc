/*
 * cmd_tap.c - `tong tap`: what flows through a mailbox, seen and not taken.
 *
 * A line for each message, escaped for a terminal; or the messages alone, or JSON. What went by unseen is
 * said where it is noticed, and at the end: what is printed is not all there was then.
 */
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHOWN_IN_LINE = 256,
    SHOWN_WHOLE = 1 << 20
};

struct tap {
    const struct tool_args *args;
    const char *name;
    tong_observer *observer;
    char *data;
    size_t size;
    uint64_t missed; /* as said so far */
    bool json;
    bool bare; /* --lines */
};

/* ---- one message */

static size_t shown(const struct tap *tap, const tong_message *m)
{
    return m->len < tap->size ? m->len : tap->size;
}

static void print_escaped(const char *data, size_t len)
{
    for (size_t i = 0; data && i < len; i++) {
        const unsigned char c = (unsigned char)data[i];
        if (c == '\n') {
            fputs("\\n", stdout);
        } else if (c == '\\') {
            fputs("\\\\", stdout);
        } else if (c < ' ' || c > '~') {
            printf("\\x%02x", c);
        } else {
            putchar(c);
        }
    }
}

static void print_line(const struct tap *tap, const tong_message *m)
{
    if (m->sender[0]) {
        printf("%s", tool_shown(m->sender));
    } else {
        printf("pid %d", m->pid);
    }
    printf(" of user %u, number %llu, ", m->uid, (unsigned long long)m->sequence);
    if (m->deliveries > 0) {
        printf("handed out %u time%s, ", m->deliveries, m->deliveries == 1 ? "" : "s");
    }
    printf("%zu byte%s: ", m->len, m->len == 1 ? "" : "s");
    print_escaped(tap->data, shown(tap, m));
    printf("%s\n", m->len > tap->size ? " ..." : "");
}

static int print_json(const struct tap *tap, const tong_message *m)
{
    const struct tool_field fields[] = {
        { .name = "mailbox", .kind = TOOL_TEXT, .text = tap->name },
        { .name = "sender", .kind = TOOL_TEXT, .text = m->sender[0] ? m->sender : NULL },
        { .name = "pid", .kind = TOOL_SIGNED, .number = (uint64_t)(int64_t)m->pid },
        { .name = "uid", .kind = TOOL_NUMBER, .number = m->uid },
        { .name = "sequence", .kind = TOOL_NUMBER, .number = m->sequence },
        { .name = "deliveries", .kind = TOOL_NUMBER, .number = m->deliveries },
        { .name = "priority", .kind = TOOL_NUMBER, .number = m->priority },
        { .name = "tag", .kind = TOOL_NUMBER, .number = m->tag },
        { .name = "key", .kind = TOOL_NUMBER, .number = m->key },
        { .name = "reply_to", .kind = TOOL_TEXT, .text = m->reply_to[0] ? m->reply_to : NULL },
        { .name = "len", .kind = TOOL_NUMBER, .number = m->len },
        { .name = "data", .kind = TOOL_BYTES, .text = tap->data, .number = shown(tap, m) },
    };
    return tool_print_fields(tap->args, fields, sizeof(fields) / sizeof(fields[0]));
}

static int print_message(const struct tap *tap, const tong_message *m)
{
    if (tap->json) {
        return print_json(tap, m);
    }
    if (tap->bare) {
        fwrite(tap->data, 1, shown(tap, m), stdout);
        putchar('\n');
    } else {
        print_line(tap, m);
    }
    return TOOL_DONE;
}

/* ---- what was missed */

static int say_missed(struct tap *tap, uint64_t missed)
{
    const uint64_t more = missed - tap->missed;
    tap->missed = missed;
    if (more == 0 || tap->bare) {
        return TOOL_DONE;
    }
    if (!tap->json) {
        printf("... %llu went by unseen\n", (unsigned long long)more);
        return TOOL_DONE;
    }
    const struct tool_field fields[] = {
        { .name = "mailbox", .kind = TOOL_TEXT, .text = tap->name },
        { .name = "missed", .kind = TOOL_NUMBER, .number = more },
    };
    return tool_print_fields(tap->args, fields, sizeof(fields) / sizeof(fields[0]));
}

static void say_all_missed(const struct tap *tap)
{
    if (tap->missed > 0) {
        tool_say(tap->args, tap->name,
                 "%llu message%s went by unseen: they were received before this "
                 "could look",
                 (unsigned long long)tap->missed, tap->missed == 1 ? "" : "s");
    }
}

/* ---- all of them */

/* What flowed is printed before this waits. */
static ssize_t next(struct tap *tap, int64_t timeout_ns, tong_message *message)
{
    uint64_t missed = tap->missed;
    ssize_t r = tong_peek(tap->observer, tap->data, tap->size, 0, message, &missed);
    if (r == -EAGAIN) {
        (void)say_missed(tap, missed);
        fflush(stdout);
        do {
            r = tong_peek(tap->observer, tap->data, tap->size, timeout_ns, message, &missed);
        } while (tool_again(r));
    }
    return say_missed(tap, missed) == TOOL_DONE ? r : -ENOMEM;
}

static int look_error(const struct tap *tap, ssize_t r)
{
    if (tool_stopping()) {
        return TOOL_DONE;
    }
    if (r == -EAGAIN || r == -ETIMEDOUT) {
        return tool_error(tap->args, tap->name, (int)r,
                          "nothing came; look longer with --timeout, or without a limit");
    }
    return tool_error(tap->args, tap->name, (int)r, NULL);
}

static int look(struct tap *tap, uint64_t count, int64_t timeout_ns)
{
    int code = TOOL_DONE;
    while (code == TOOL_DONE && count > 0 && !ferror(stdout) && !tool_stopping()) {
        tong_message message = TONG_MESSAGE_INIT;
        const ssize_t r = next(tap, timeout_ns, &message);
        if (r == -EPROTO) {
            tool_say(tap->args, tap->name, "a sender's bytes are damaged; it is passed over");
            continue;
        }
        if (r < 0) {
            return look_error(tap, r);
        }
        code = print_message(tap, &message);
        count -= count != UINT64_MAX;
    }
    return code;
}

/* --new: past all there is. */
static void pass_over(struct tap *tap)
{
    while (!tool_stopping() && tong_peek(tap->observer, NULL, 0, 0, NULL, &tap->missed) >= 0) {
    }
    tap->missed = 0;
}

static int run(const struct tool_args *args)
{
    static const char *const forms[] = { "--lines", "--json", NULL };
    struct tap tap = { .args = args };
    uint64_t count = UINT64_MAX;
    int64_t timeout_ns = TONG_FOREVER;
    if (tool_need_words(args, 1, "the NAME") || tool_only_one_of(args, forms) ||
        tool_value_size(args, "--count", UINT64_MAX - 1, &count) ||
        tool_value_timeout(args, &timeout_ns)) {
        return TOOL_USAGE;
    }
    tap.json = tool_given(args, "--json");
    tap.bare = tool_given(args, "--lines");
    uint64_t bytes = tap.json || tap.bare ? SHOWN_WHOLE : SHOWN_IN_LINE;
    if (tool_value_size(args, "--bytes", TONG_MESSAGE_MAX, &bytes)) {
        return TOOL_USAGE;
    }
    if (tap.json && tool_json_need(args)) {
        return TOOL_FAILED;
    }
    tap.name = args->words[0];
    tap.size = (size_t)bytes;
    int r = tong_observer_open(tap.name, &tap.observer);
    tap.data = r == 0 ? malloc(tap.size + 1) : NULL;
    if (r == 0 && !tap.data) {
        (void)tong_observer_close(tap.observer);
        r = -ENOMEM;
    }
    if (r < 0) {
        return tool_error(args, tap.name, r, NULL);
    }
    if (tool_given(args, "--new")) {
        pass_over(&tap);
    }
    const int code = tool_flush(args, look(&tap, count, timeout_ns));
    say_all_missed(&tap);
    free(tap.data);
    (void)tong_observer_close(tap.observer);
    return code;
}

const struct tool_command tool_tap = {
    .name = "tap",
    .line = "see what flows through a mailbox, and take nothing",
    .usage = "tap NAME [--new] [--count N] [--bytes N] [--timeout S] [--lines | --json]",
    .examples = "tong tap jobs                    what is there, then what comes\n"
                "tong tap jobs --new --json       what comes, an object a line",
    .about =
        "Nobody notices: nothing is taken, written or woken. So a message that was received, and\n"
        "its memory used again, before this could look is missed; it says how many were.",
    .options =
        (const struct tool_option[]){
            { "--new", NULL, "pass over what is there already" },
            { "--count", "N", "end after N messages; without it never" },
            { "--bytes", "N", "show N bytes of each message: 256, or 1M with --lines and --json" },
            { "--timeout", "S", "wait at most S seconds for each message; 0: do not wait" },
            { "--lines", NULL, "the messages alone, a newline behind each" },
            { "--json", NULL, "an object a line: what is known of it, and data" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = tool_complete_mailbox,
};
