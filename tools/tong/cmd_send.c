/*
 * cmd_send.c - `tong send`: put messages into a mailbox.
 *
 * A file whose length is known is read straight into the room reserved for it; anything else is read
 * to its end first. Parts and streams have files of their own.
 */
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    READ_MOST = 4 << 20
};

static int send_one(struct tool_box *box, const void *data, size_t len)
{
    const int r = tool_box_send(box, data, len);
    return r == 0 ? TOOL_DONE : tool_box_send_error(box, r, len);
}

/* Reads len bytes, or fewer if the file ends before. Returns bytes or a negative errno. */
static ssize_t read_into(struct tool_file *input, char *data, size_t len)
{
    size_t got = 0;
    while (got < len) {
        const size_t left = len - got;
        const ssize_t n = tool_file_read(input, data + got, left < READ_MOST ? left : READ_MOST);
        if (n < 0) {
            return n;
        }
        if (n == 0) {
            break;
        }
        got += (size_t)n;
        tool_watch_moved((uint64_t)n);
        if (tool_stopping()) {
            return -EINTR;
        }
    }
    return (ssize_t)got;
}

static int send_in_place(struct tool_box *box, struct tool_file *input)
{
    const size_t len = (size_t)input->rest;
    tong_slot slot = TONG_SLOT_INIT;
    int r = tool_box_reserve(box, len, &slot);
    if (r != 0) {
        return tool_box_send_error(box, r, len);
    }
    tool_watch_total(len);
    const ssize_t n = read_into(input, slot.data, len);
    if (n < 0) {
        tool_box_abort(box, &slot);
        return tool_stopping() ? TOOL_FAILED : tool_file_error(box->args, input->name, (int)n);
    }
    r = tool_box_commit(box, &slot, (size_t)n);
    if (r == -EMSGSIZE) {
        tool_box_abort(box, &slot);
    }
    return r == 0 ? TOOL_DONE : tool_box_send_error(box, r, (size_t)n);
}

static int send_file(struct tool_box *box, struct tool_file *input)
{
    if (input->regular && input->rest > TONG_MESSAGE_MAX) {
        return tool_box_send_error(box, -EMSGSIZE, (size_t)input->rest);
    }
    if (input->regular && input->rest > 0 && !box->with) {
        return send_in_place(box, input);
    }
    if (input->terminal && tool_on_terminal()) {
        tool_say(box->args, box->name, "reading the message from the terminal; Ctrl-D ends it");
    }
    char *data;
    size_t len;
    const int r = tool_file_read_all(input, TONG_MESSAGE_MAX, &data, &len);
    if (r < 0) {
        return tool_stopping() ? TOOL_FAILED
               : r == -EFBIG   ? tool_box_send_error(box, -EMSGSIZE, 0)
                               : tool_file_error(box->args, input->name, r);
    }
    const int code = send_one(box, data, len);
    free(data);
    return code;
}

/* The defaults, but for what the message at hand could not do with. */
static tong_options options_for(const struct tool_args *args, const struct tool_file *input)
{
    tong_options options = TONG_OPTIONS_INIT;
    if (tool_given(args, "--stream")) {
        return tool_stream_options();
    }
    const uint64_t spare = UINT64_C(16) << 20;
    if (input && input->regular && input->rest <= TONG_MESSAGE_MAX &&
        input->rest + spare > options.max_bytes) {
        options.max_bytes = input->rest + spare;
    }
    return options;
}

static int send_input(struct tool_box *box, struct tool_file *input)
{
    if (tool_given(box->args, "--lines")) {
        return tool_send_parts(box, input, '\n');
    }
    if (tool_given(box->args, "--null")) {
        return tool_send_parts(box, input, '\0');
    }
    return tool_given(box->args, "--stream") ? tool_send_stream(box, input) : send_file(box, input);
}

static int send_to(const struct tool_args *args, const char *text, struct tool_file *input)
{
    struct tool_box box;
    tong_send_options with;
    bool said;
    const tong_options options = options_for(args, input);
    if (tool_value_said(args, &with, &said)) {
        return TOOL_USAGE;
    }
    const int code = tool_box_open(args, args->words[0], TONG_SEND, &options, &box);
    if (code != TOOL_DONE) {
        return code;
    }
    box.with = said ? &with : NULL;
    tool_watch_start(&box, true);
    return tool_box_close(&box,
                          text ? send_one(&box, text, strlen(text)) : send_input(&box, input));
}

static int run(const struct tool_args *args)
{
    static const char *const ways[] = { "--lines", "--null", "--stream", NULL };
    static const char *const said[] = { "--key", "--tag", "--priority", "--expiry", NULL };
    const char *const text = args->n_words == 2 ? args->words[1] : NULL;
    if (tool_given(args, "--as") || tool_given(args, "--to")) {
        return tool_direct_send(args);
    }
    if (tool_only_one_of(args, ways)) {
        return TOOL_USAGE;
    }
    for (size_t i = 0; tool_given(args, "--stream") && said[i]; i++) {
        if (tool_given(args, said[i])) {
            return tool_wrong_usage(args, "--stream and %s exclude each other", said[i]);
        }
    }
    if (args->n_words > 2) {
        return tool_wrong_usage(args,
                                "%s is one word too many; put a text of several words in "
                                "quotes",
                                tool_shown(args->words[2]));
    }
    if (!text && tool_need_words(args, 1, "the NAME")) {
        return TOOL_USAGE;
    }
    if (text) {
        if (tool_given(args, "--file") || tool_given(args, "--lines") ||
            tool_given(args, "--null") || tool_given(args, "--stream")) {
            return tool_wrong_usage(args, "a TEXT and a file or input exclude each other");
        }
        return send_to(args, text, NULL);
    }
    struct tool_file input;
    const int code = tool_file_open_input(args, tool_value(args, "--file"), &input);
    return code != TOOL_DONE ? code : tool_file_close(args, &input, send_to(args, NULL, &input));
}

const struct tool_command tool_send = {
    .name = "send",
    .line = "put a message into a mailbox",
    .usage = "send NAME [TEXT] [--file F] [--lines | --null | --stream] [--timeout S]\n"
             "                 [--key K] [--tag N] [--priority N] [--expiry S] [--no-create]\n"
             "            send --as P --to Q [TEXT] [--file F] [--timeout S]",
    .examples = "tong send hello \"Hi there\"            one message, the text\n"
                "seq 100 | tong send numbers --lines   a message for each line\n"
                "tar c . | tong send files --stream    a pipe of any length, in pieces\n"
                "tong send --as P --to Q hello         from process P to process Q, by their names",
    .about =
        "Without TEXT and --file, standard input is the message. Bytes are sent as they are.\n"
        "A mailbox that is not there is made. A full one is waited for.\n"
        "With --as and --to there is no mailbox to name: this is the process P while it runs, and\n"
        "Q is waited for.",
    .options =
        (const struct tool_option[]){
            { "--file", "F", "the bytes of this file instead of standard input" },
            { "--lines", NULL, "each line is a message, without its newline" },
            { "--null", NULL, "each part that ends with a NUL byte is a message" },
            { "--stream", NULL, "numbered pieces for one `receive --stream`, with an end" },
            { "--key", "K", "what it is about, a text: see delivery by-key" },
            { "--tag", "N", "what it is, a number: see `receive --tag`" },
            { "--priority", "N", "0 to 31, the highest" },
            { "--expiry", "S", "nobody gets it any more when S seconds are over" },
            { "--timeout", "S",
              "wait at most S seconds for room for each message; 0: do not wait" },
            { "--no-create", NULL, "fail if there is no mailbox of that name" },
            { "--as", "P", "send as the process of this name" },
            { "--to", "Q", "to the process of this name" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = tool_complete_mailbox,
};
