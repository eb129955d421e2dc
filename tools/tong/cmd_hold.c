/*
 * cmd_hold.c - `tong hold`: a mailbox of this process, which ends with it, whatever ends it.
 *
 * Its process is the only one that receives from it. So this command receives: what comes goes to
 * standard output, or to the standard input of the command it holds the mailbox for. Then it lives
 * as long as that command, whose end is a signal that ends the wait for messages, and the exit code
 * is the command's. A command that reads no more keeps its mailbox, and what is sent waits in it.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int receive_for_us(struct tool_receive *rx)
{
    const int code = tool_file_open_output(rx->box.args, NULL, &rx->output);
    if (code != TOOL_DONE) {
        return code;
    }
    if (tool_on_terminal()) {
        tool_say(rx->box.args, rx->box.name, "it is there until this ends; Ctrl-C ends it");
    }
    return tool_receive_run(rx);
}

static int receive_for(struct tool_receive *rx, const char *const *argv)
{
    int ends[2];
    pid_t pid = -1;
    /* Whoever runs inside can ask for the name instead of repeating it. */
    (void)setenv("TONG_MAILBOX", rx->box.name, 1);
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return tool_file_error(rx->box.args, "pipe", errno);
    }
    tool_signals_watch_child();
    const int r = tool_spawn(argv, ends[0], -1, &pid);
    close(ends[0]);
    if (r < 0) {
        close(ends[1]);
        return tool_file_error(rx->box.args, argv[0], r);
    }
    rx->output = (struct tool_file){ .fd = ends[1], .name = argv[0], .rest = UINT64_MAX };
    rx->may_close = true;
    (void)tool_receive_run(rx);
    close(ends[1]);
    const int code = tool_spawn_wait(pid);
    /* It was removed, or given to another process, before the command was through. */
    return code == TOOL_DONE && rx->lost ? TOOL_FAILED : code;
}

static int run(const struct tool_args *args)
{
    tong_options options;
    struct tool_receive rx = { .count = UINT64_MAX, .owned = true };
    if (args->n_words > 1 && args->after > 1) {
        return tool_wrong_usage(args, "%s is one word too many; put -- before a command",
                                tool_shown(args->words[1]));
    }
    if (args->after < 1) {
        return tool_wrong_usage(args, "the NAME is missing");
    }
    if (tool_mailbox_options(args, TONG_PROCESS, &options)) {
        return TOOL_USAGE;
    }
    const int code = tool_receive_form(args, &rx);
    if (code != TOOL_DONE) {
        return code;
    }
    rx.box = (struct tool_box){ .args = args, .name = args->words[0], .timeout_ns = TONG_FOREVER };
    const int r =
        tong_open(rx.box.name, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options, &rx.box.box);
    if (r != 0) {
        return tool_make_error(args, rx.box.name, r, &options);
    }
    tool_warn_dead_letter(args, rx.box.name, &options);
    tool_signals_interrupt(rx.box.box);
    const char *const *const command = (const char *const *)(args->words + args->after);
    return tool_box_close(&rx.box, args->after < args->n_words ? receive_for(&rx, command)
                                                               : receive_for_us(&rx));
}

const struct tool_command tool_hold = {
    .name = "hold",
    .line = "make a mailbox that lives as long as this process, and receive from it",
    .usage =
        "hold NAME [--capacity N] [--link-capacity N] [--message-size N] [--max-bytes N]\n"
        "                 [--max-deliveries N [--dead-letter NAME]] [--delivery P] [--full F]\n"
        "                 [--mode M] [--lines | --null | --json] [-- CMD...]",
    .examples = "tong hold inbox --lines          print what is sent to it, until Ctrl-C\n"
                "tong hold upper -- tr a-z A-Z    or let a command read it",
    .about =
        "The process owns the mailbox and alone receives from it. When it ends, whatever ends\n"
        "it, everyone who waits there is told. With CMD it ends with CMD, which reads the\n"
        "messages and finds the name in TONG_MAILBOX; the exit code is that of CMD. If another\n"
        "gives the mailbox away (`tong give`), it has nothing more to receive and fails.",
    .options =
        (const struct tool_option[]){
            TOOL_MAILBOX_OPTIONS,
            { "--lines", NULL, "a newline after each message" },
            { "--null", NULL, "a NUL byte after each message" },
            { "--json", NULL, "an object a line, as `tong receive --json`" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = tool_complete_program,
};
