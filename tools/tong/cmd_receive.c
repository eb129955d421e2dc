/*
 * cmd_receive.c - `tong receive`: take messages out of a mailbox.
 *
 * A message is claimed, written from where it lies, and only then done. If it cannot be written (a
 * reader of our output that is gone, a full disk, a command that fails) it goes back into the
 * mailbox for the next receiver: nothing is lost by a receiver's failure.
 */
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

struct receive {
    struct tool_box box;
    struct tool_file output;
    const char *exec;
    uint64_t count; /* messages still wanted */
    bool json;
    int mark; /* the byte behind each message, or -1 */
};

static int write_parts(struct receive *rx, struct iovec *parts, size_t n)
{
    const int r = tool_file_write(&rx->output, parts, n);
    if (r == 0) {
        return TOOL_DONE;
    }
    if (tool_stop_signal()) {
        return TOOL_FAILED;
    }
    return tool_failed(
        rx->box.args, rx->box.name, "cannot write to %s, %s; the message is back in the mailbox",
        rx->output.name, r == -EPIPE ? "nobody reads it any more" : strerror(-r));
}

static int write_plain(struct receive *rx, const tong_message *m)
{
    const char *const data = m->data;
    char mark = (char)rx->mark;
    bool marked = rx->mark >= 0;
    if (!marked && rx->output.terminal) {
        mark = '\n';
        marked = m->len == 0 || data[m->len - 1] != '\n';
    }
    struct iovec parts[] = {
        { .iov_base = (char *)(uintptr_t)data, .iov_len = m->len },
        { .iov_base = &mark, .iov_len = marked ? 1 : 0 },
    };
    return write_parts(rx, parts, 2);
}

static int write_json(struct receive *rx, const tong_message *m)
{
    const struct tool_field fields[] = {
        { .name = "mailbox", .kind = TOOL_TEXT, .text = rx->box.name },
        { .name = "sequence", .kind = TOOL_NUMBER, .number = m->sequence },
        { .name = "deliveries", .kind = TOOL_NUMBER, .number = m->deliveries },
        { .name = "uid", .kind = TOOL_NUMBER, .number = m->uid },
        { .name = "gid", .kind = TOOL_NUMBER, .number = m->gid },
        { .name = "pid", .kind = TOOL_SIGNED, .number = (uint64_t)(int64_t)m->pid },
        { .name = "uid_verified", .kind = TOOL_TRUTH, .number = m->verified & TONG_VERIFIED_UID },
        { .name = "len", .kind = TOOL_NUMBER, .number = m->len },
        { .name = "data", .kind = TOOL_BYTES, .text = m->data, .number = m->len },
    };
    char *const line = tool_json_object(fields, sizeof(fields) / sizeof(fields[0]));
    if (!line) {
        return tool_error(rx->box.args, rx->box.name, -ENOMEM, NULL);
    }
    struct iovec part = { .iov_base = line, .iov_len = strlen(line) };
    const int code = write_parts(rx, &part, 1);
    free(line);
    return code;
}

static int hand_over(struct receive *rx, const tong_message *m)
{
    if (rx->exec) {
        return tool_receive_exec(&rx->box, rx->exec, m);
    }
    return rx->json ? write_json(rx, m) : write_plain(rx, m);
}

static int receive_one(struct receive *rx)
{
    tong_message message = TONG_MESSAGE_INIT;
    int r = tool_box_claim(&rx->box, rx->box.timeout_ns, &message);
    if (r != 0) {
        return tool_box_receive_error(&rx->box, r);
    }
    tool_watch_total(message.len);
    const int code = hand_over(rx, &message);
    r = code == TOOL_DONE ? tong_done(rx->box.box, &message) : tong_return(rx->box.box, &message);
    return r < 0 && code == TOOL_DONE ? tool_error(rx->box.args, rx->box.name, r, NULL) : code;
}

static int receive_all(struct receive *rx)
{
    if (tool_given(rx->box.args, "--stream")) {
        return tool_receive_stream(&rx->box, &rx->output);
    }
    int code = TOOL_DONE;
    while (code == TOOL_DONE && rx->count > 0 && !tool_stop_signal()) {
        code = receive_one(rx);
        if (rx->count != UINT64_MAX) {
            rx->count--;
        }
    }
    return code;
}

static int check_usage(const struct tool_args *args)
{
    static const char *const amounts[] = { "--count", "--follow", "--stream", NULL };
    static const char *const forms[] = {
        "--lines", "--null", "--json", "--exec", "--stream", NULL
    };
    static const char *const places[] = { "--exec", "--output", NULL };
    return tool_need_words(args, 1, "the NAME") || tool_only_one_of(args, amounts) ||
                   tool_only_one_of(args, forms) || tool_only_one_of(args, places)
               ? TOOL_USAGE
               : 0;
}

static int run(const struct tool_args *args)
{
    struct receive rx = { .count = 1, .mark = -1 };
    if (check_usage(args) || tool_value_size(args, "--count", UINT64_MAX - 1, &rx.count)) {
        return TOOL_USAGE;
    }
    if (rx.count == 0) {
        return tool_wrong_usage(args, "--count: 0 is no message; say 1 or more");
    }
    rx.count = tool_given(args, "--follow") ? UINT64_MAX : rx.count;
    rx.mark = tool_given(args, "--lines") ? '\n' : tool_given(args, "--null") ? '\0' : -1;
    rx.exec = tool_value(args, "--exec");
    rx.json = tool_given(args, "--json");
    if (rx.json && tool_json_need(args)) {
        return TOOL_FAILED;
    }
    int code = tool_file_open_output(args, tool_value(args, "--output"), &rx.output);
    if (code != TOOL_DONE) {
        return code;
    }
    const tong_options stream = tool_stream_options();
    code = tool_box_open(args, args->words[0], TONG_RECEIVE,
                         tool_given(args, "--stream") ? &stream : NULL, &rx.box);
    if (code == TOOL_DONE) {
        tool_watch_start(&rx.box, false);
        code = tool_box_close(&rx.box, receive_all(&rx));
    }
    return tool_file_close(args, &rx.output, code);
}

const struct tool_command tool_receive = {
    .name = "receive",
    .line = "take a message out of a mailbox",
    .usage = "receive NAME [--count N | --follow | --stream] [--timeout S] [--exec CMD]\n"
             "                    [--lines | --null | --json] [--output F] [--no-create]",
    .examples = "tong receive hello                       wait for one message and print it\n"
                "tong receive numbers --follow --lines    all that come, each on a line\n"
                "tong receive jobs --follow --exec 'sh'   run each message as a script",
    .about = "Bytes are written as they came; a terminal gets a newline after each message.\n"
             "A message that cannot be written, or whose CMD fails, goes back into the mailbox.\n"
             "A mailbox that is not there is made.",
    .options =
        (const struct tool_option[]){
            { "--count", "N", "N messages instead of one" },
            { "--follow", NULL, "all that come, until Ctrl-C" },
            { "--stream", NULL, "the pieces of one `send --stream`; fails if they are not whole" },
            { "--timeout", "S", "wait at most S seconds for each message; 0: do not wait" },
            { "--exec", "CMD", "run CMD with sh for each message, which is its standard input" },
            { "--lines", NULL, "a newline after each message" },
            { "--null", NULL, "a NUL byte after each message" },
            { "--json", NULL, "an object a line: data (or data_base64), len, uid, pid, ..." },
            { "--output", "F", "write to this file instead of standard output" },
            { "--no-create", NULL, "fail if there is no mailbox of that name" },
            { NULL, NULL, NULL },
        },
    .run = run,
};
