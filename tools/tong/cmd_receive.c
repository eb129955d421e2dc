/*
 * cmd_receive.c - `tong receive`: take messages out of a mailbox.
 */
#include "tool.h"

static int check_usage(const struct tool_args *args)
{
    static const char *const amounts[] = { "--count", "--follow", "--stream", NULL };
    static const char *const forms[] = {
        "--lines", "--null", "--json", "--exec", "--stream", NULL
    };
    static const char *const places[] = { "--exec", "--output", NULL };
    static const char *const ways[] = { "--ack", "--stream", NULL };
    static const char *const wants[] = { "--tag", "--stream", NULL };
    static const char *const least[] = { "--min-priority", "--stream", NULL };
    return tool_need_words(args, 1, "the NAME") || tool_only_one_of(args, amounts) ||
                   tool_only_one_of(args, forms) || tool_only_one_of(args, places) ||
                   tool_only_one_of(args, ways) || tool_only_one_of(args, wants) ||
                   tool_only_one_of(args, least)
               ? TOOL_USAGE
               : 0;
}

static int run(const struct tool_args *args)
{
    struct tool_receive rx = { .count = 1 };
    tong_receive_options want;
    if (tool_given(args, "--as") || tool_given(args, "--from")) {
        return tool_direct_receive(args);
    }
    if (check_usage(args) || tool_value_size(args, "--count", UINT64_MAX - 1, &rx.count) ||
        tool_value_want(args, &want)) {
        return TOOL_USAGE;
    }
    if (rx.count == 0) {
        return tool_wrong_usage(args, "--count: 0 is no message; say 1 or more");
    }
    rx.count = tool_given(args, "--follow") ? UINT64_MAX : rx.count;
    rx.exec = tool_value(args, "--exec");
    rx.acks = tool_given(args, "--ack");
    int code = tool_receive_form(args, &rx);
    if (code != TOOL_DONE) {
        return code;
    }
    code = tool_file_open_output(args, tool_value(args, "--output"), &rx.output);
    if (code != TOOL_DONE) {
        return code;
    }
    const tong_options stream = tool_stream_options();
    const bool streams = tool_given(args, "--stream");
    const unsigned oldest = tool_given(args, "--from-oldest") ? TONG_FROM_OLDEST : 0;
    code = tool_box_open(args, args->words[0], TONG_RECEIVE | oldest, streams ? &stream : NULL,
                         &rx.box);
    if (code == TOOL_DONE) {
        rx.box.want = want.tag != 0 || want.min_priority != 0 ? &want : NULL;
        tool_watch_start(&rx.box, false);
        code = tool_box_close(&rx.box, streams ? tool_receive_stream(&rx.box, &rx.output)
                                               : tool_receive_run(&rx));
    }
    return tool_file_close(args, &rx.output, code);
}

const struct tool_command tool_receive = {
    .name = "receive",
    .line = "take a message out of a mailbox",
    .usage = "receive NAME [--count N | --follow | --stream] [--timeout S] [--ack] [--exec CMD]\n"
             "                    [--lines | --null | --json] [--output F] [--from-oldest] "
             "[--no-create]\n"
             "                    [--tag N] [--min-priority N]\n"
             "               receive --as Q [--from P] [--count N | --follow] [--timeout S]",
    .examples = "tong receive hello                       wait for one message and print it\n"
                "tong receive numbers --follow --lines    all that come, each on a line\n"
                "tong receive jobs --follow --exec 'sh'   run each message as a script\n"
                "tong receive jobs --follow --ack --exec './work'\n"
                "                                         a worker: what fails comes again\n"
                "tong receive jobs --min-priority 5       the first urgent one, the rest waits\n"
                "tong receive --as Q --from P             what process P sends to process Q",
    .about =
        "Bytes are written as they came; a terminal gets a newline after each message.\n"
        "A message that cannot be written, or whose CMD fails, goes back into the mailbox, and\n"
        "this ends. With --ack it goes on when CMD fails; the message comes again, here or to\n"
        "another worker, and ends up as a dead letter (`tong create --max-deliveries`); N of\n"
        "--count are then deliveries. CMD finds TONG_MAILBOX, TONG_SEQUENCE, TONG_DELIVERIES,\n"
        "TONG_SENDER_PID and TONG_SENDER_UID, of a dead letter TONG_ORIGIN_MAILBOX and others.\n"
        "A mailbox that is not there is made.\n"
        "With --as this is the process Q while it runs; it prints who sent: P: text. With --from "
        "it\n"
        "takes what P sent, the rest waits; it ends when P is dead and all of it was received.",
    .options =
        (const struct tool_option[]){
            { "--count", "N", "N messages instead of one" },
            { "--follow", NULL, "all that come, until Ctrl-C" },
            { "--stream", NULL, "the pieces of one `send --stream`; fails if they are not whole" },
            { "--timeout", "S", "wait at most S seconds for each message; 0: do not wait" },
            { "--exec", "CMD", "run CMD with sh for each message, which is its standard input" },
            { "--ack", NULL, "go on when CMD fails; without CMD: done when it is on the disk" },
            { "--lines", NULL, "a newline after each message" },
            { "--null", NULL, "a NUL byte after each message" },
            { "--json", NULL, "an object a line: data (or data_base64), len, uid, pid, ..." },
            { "--output", "F", "write to this file instead of standard output" },
            { "--from-oldest", NULL, "to everyone: begin with the oldest message that is kept" },
            { "--no-create", NULL, "fail if there is no mailbox of that name" },
            { "--tag", "N", "only messages with this tag; the others wait" },
            { "--min-priority", "N", "only messages of this priority or a higher one" },
            { "--as", "Q", "receive as the process of this name" },
            { "--from", "P", "with --as: from the process of this name alone" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = tool_complete_mailbox,
};
