/*
 * cmd_watch.c - `tong watch`: a line for each process that dies with the mailbox open.
 */
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *role_words(unsigned roles)
{
    return roles == (TONG_SEND | TONG_RECEIVE) ? "sender,receiver"
           : roles == TONG_RECEIVE             ? "receiver"
                                               : "sender";
}

static int print_death(const struct tool_args *args, const char *name, const tong_death *death)
{
    const struct tool_field fields[] = {
        { .name = "mailbox", .kind = TOOL_TEXT, .text = name },
        { .name = "roles", .kind = TOOL_TEXT, .text = role_words(death->roles) },
        { .name = "pid", .kind = TOOL_SIGNED, .number = (uint64_t)(int64_t)death->pid },
        { .name = "uid", .kind = TOOL_NUMBER, .number = death->uid },
    };
    int code = TOOL_DONE;
    if (tool_given(args, "--json")) {
        code = tool_print_fields(args, fields, sizeof(fields) / sizeof(fields[0]));
    } else {
        printf("%s %d of user %u died\n", role_words(death->roles), death->pid, death->uid);
    }
    /* A line at a time: whoever reads it wants it now. */
    return tool_flush(args, code);
}

static int watch_error(const struct tool_box *box, int r)
{
    if (tool_stopping()) {
        return TOOL_FAILED;
    }
    if (r == -EAGAIN || r == -ETIMEDOUT) {
        return tool_error(box->args, box->name, r,
                          "nobody died; watch longer with --timeout, or without a limit");
    }
    return tool_error(box->args, box->name, r, NULL);
}

static int watch(struct tool_box *box, uint64_t count)
{
    int code = TOOL_DONE;
    while (code == TOOL_DONE && count > 0) {
        tong_death death = TONG_DEATH_INIT;
        int r;
        do {
            r = tong_watch(box->box, box->timeout_ns, &death);
        } while (tool_again(r));
        code = r < 0 ? watch_error(box, r) : print_death(box->args, box->name, &death);
        count -= count != UINT64_MAX;
    }
    return code;
}

static int run(const struct tool_args *args)
{
    uint64_t count = UINT64_MAX;
    struct tool_box box = { .args = args, .timeout_ns = TONG_FOREVER };
    if (tool_need_words(args, 1, "the NAME") ||
        tool_value_size(args, "--count", UINT64_MAX - 1, &count) ||
        tool_value_timeout(args, &box.timeout_ns)) {
        return TOOL_USAGE;
    }
    if (count == 0) {
        return tool_wrong_usage(args, "--count: 0 is no death; say 1 or more");
    }
    if (tool_given(args, "--json") && tool_json_need(args)) {
        return TOOL_FAILED;
    }
    box.name = args->words[0];
    const int r = tong_open(box.name, TONG_SEND, NULL, &box.box);
    if (r < 0) {
        return tool_error(args, box.name, r, NULL);
    }
    tool_signals_interrupt(box.box);
    if (tool_on_terminal()) {
        tool_say(args, box.name, "a line for each process that dies; Ctrl-C ends this");
    }
    return tool_box_close(&box, watch(&box, count));
}

const struct tool_command tool_watch = {
    .name = "watch",
    .line = "tell of processes that die with a mailbox open",
    .usage = "watch NAME [--count N] [--timeout S] [--json]",
    .examples =
        "tong watch jobs                  \"receiver 4711 of user 1000 died\", a line each\n"
        "tong watch jobs --count 1        until the first one",
    .about =
        "Senders and receivers that end without closing the mailbox, whatever ended them, from\n"
        "when this begins. A process is a sender once it has sent. Ends with the mailbox.",
    .options =
        (const struct tool_option[]){
            { "--count", "N", "end after N deaths; without it never" },
            { "--timeout", "S", "wait at most S seconds for each death; 0: do not wait" },
            { "--json", NULL, "an object a line: mailbox, roles, pid, uid" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = tool_complete_mailbox,
};
