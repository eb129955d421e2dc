/*
 * cmd_call.c - `tong call`: send a request and print its reply.
 */
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int call_error(const struct tool_box *box, int error, size_t len)
{
    tong_status status = TONG_STATUS_INIT;
    if (tool_stopping()) {
        return TOOL_FAILED;
    }
    switch (error) {
    case -EOWNERDEAD:
        return tool_failed(box->args, box->name,
                           "nobody answers; who had the request died, or finished it without a "
                           "reply: look at what \"tong serve\" said");
    case -ETIMEDOUT:
        return tool_error(
            box->args, box->name, error,
            tong_stat(box->name, &status) == 0 && status.receivers == 0
                ? "nobody serves it; \"tong serve\" does, or wait longer with --timeout"
                : "no reply came; wait longer with --timeout");
    case -EAGAIN:
        return tool_error(
            box->args, box->name, error,
            "a reply takes time: give it some with --timeout; or it is full and drops");
    default:
        return tool_box_send_error(box, error, len);
    }
}

/* A reply may be as long as the memory of a mailbox; what is not written of it costs nothing. */
static int call(struct tool_receive *rx, const void *data, size_t len)
{
    struct tool_box *const box = &rx->box;
    struct iovec room = { 0 };
    const int r = tool_request_room(box->name, &room);
    if (r < 0) {
        return tool_error(box->args, box->name, r, NULL);
    }
    tong_message reply = TONG_MESSAGE_INIT;
    tool_watch_wait();
    /* One that a signal disturbed is not made again: the request may be worked on. */
    const ssize_t n = tong_call_with(box->box, data, len, NULL, room.iov_base, room.iov_len,
                                     box->timeout_ns, &reply);
    tool_watch_go_on();
    const int code = n < 0 ? call_error(box, (int)n, len) : tool_receive_write(rx, &reply);
    (void)munmap(room.iov_base, room.iov_len);
    return code;
}

static int call_with(struct tool_receive *rx, const char *text, char *data, size_t len)
{
    const struct tool_args *const args = rx->box.args;
    int r;
    if (tool_value_timeout(args, &rx->box.timeout_ns)) {
        return TOOL_USAGE;
    }
    /* One that is not there has nobody who would answer: it is not made. */
    do {
        r = tong_open(rx->box.name, TONG_SEND, NULL, &rx->box.box);
    } while (tool_again(r));
    if (r < 0) {
        return tool_error(args, rx->box.name, r, NULL);
    }
    tool_signals_interrupt(rx->box.box);
    tool_watch_start(&rx->box, true);
    return tool_box_close(&rx->box, text ? call(rx, text, strlen(text)) : call(rx, data, len));
}

static int read_request(const struct tool_args *args, char **ret_data, size_t *ret_len)
{
    struct tool_file input;
    int code = tool_file_open_input(args, tool_value(args, "--file"), &input);
    if (code != TOOL_DONE) {
        return code;
    }
    const int r = tool_file_read_all(&input, TONG_MESSAGE_MAX, ret_data, ret_len);
    code = r < 0 ? tool_stopping() ? TOOL_FAILED : tool_file_error(args, input.name, r) : TOOL_DONE;
    return tool_file_close(args, &input, code);
}

static int run(const struct tool_args *args)
{
    const char *const text = args->n_words == 2 ? args->words[1] : NULL;
    char *data = NULL;
    size_t len = 0;
    if (args->n_words > 2) {
        return tool_wrong_usage(args,
                                "%s is one word too many; put a text of several words in quotes",
                                tool_shown(args->words[2]));
    }
    if (!text && tool_need_words(args, 1, "the NAME")) {
        return TOOL_USAGE;
    }
    if (text && tool_given(args, "--file")) {
        return tool_wrong_usage(args, "a TEXT and a file exclude each other");
    }
    struct tool_receive rx = {
        .box = { .args = args, .name = args->words[0], .timeout_ns = TONG_FOREVER },
        .is_reply = true
    };
    int code = tool_receive_form(args, &rx);
    if (code == TOOL_DONE) {
        code = tool_file_open_output(args, tool_value(args, "--output"), &rx.output);
    }
    if (code != TOOL_DONE) {
        return code;
    }
    code = text ? TOOL_DONE : read_request(args, &data, &len);
    code = code == TOOL_DONE ? call_with(&rx, text, data, len) : code;
    free(data);
    return tool_file_close(args, &rx.output, code);
}

const struct tool_command tool_call = {
    .name = "call",
    .line = "send a request and print its reply",
    .usage = "call NAME [TEXT] [--file F] [--timeout S] [--lines | --null | --json] [--output F]",
    .examples = "tong call upper hello                   what `tong serve upper` answers\n"
                "tong call upper --timeout 5 <letter     the request is read from standard input",
    .about = "Without TEXT and --file, standard input is the request. The time is for both ways. "
             "If who\n"
             "serves it dies, or its command fails, this fails at once; where the mailbox has\n"
             "--max-deliveries above 1, another one gets the request instead.",
    .options =
        (const struct tool_option[]){
            { "--file", "F", "the bytes of this file instead of standard input" },
            { "--timeout", "S", "wait at most S seconds for the reply" },
            { "--lines", NULL, "a newline after the reply" },
            { "--null", NULL, "a NUL byte after the reply" },
            { "--json", NULL, "the reply as an object: data (or data_base64), len, uid, pid, ..." },
            { "--output", "F", "write to this file instead of standard output" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = tool_complete_mailbox,
};
