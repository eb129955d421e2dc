/*
 * cmd_hold.c - `tong hold`: a mailbox of this process, which ends with it, whatever ends it.
 *
 * With a command it lives as long as that, and the exit code is the command's. Without one it lives
 * until a stop signal comes or somebody removes it, which is looked for every two seconds.
 */
#include "tool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int hold_for_command(const struct tool_args *args, const char *name)
{
    pid_t pid;
    /* Whoever runs inside can ask for the name instead of repeating it. */
    (void)setenv("TONG_MAILBOX", name, 1);
    const char *const *const argv = (const char *const *)(args->words + args->after);
    int r = tool_spawn(argv, -1, &pid);
    if (r == 0) {
        r = tool_spawn_wait(pid);
    }
    return r < 0 ? tool_file_error(args, argv[0], r) : r;
}

static bool is_there(const char *name, const uint8_t id[16])
{
    tong_status status = TONG_STATUS_INIT;
    const int r = tong_stat(name, &status);
    return r == 0 ? memcmp(status.id, id, sizeof(status.id)) == 0 : r != -ENOENT;
}

static int hold_until_stopped(const struct tool_args *args, const char *name)
{
    tong_status status = TONG_STATUS_INIT;
    const int r = tong_stat(name, &status);
    if (r != 0) {
        return tool_error(args, name, r, NULL);
    }
    if (tool_on_terminal()) {
        tool_say(args, name, "it is there until this ends; Ctrl-C ends it");
    }
    while (!tool_stop_signal()) {
        const struct timespec pause = { .tv_sec = 2 };
        if (nanosleep(&pause, NULL) == 0 && !is_there(name, status.id)) {
            return tool_error(args, name, -EIDRM, NULL);
        }
    }
    return TOOL_DONE;
}

static int run(const struct tool_args *args)
{
    tong_options options;
    const bool command = args->after < args->n_words;
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
    struct tool_box box = { .args = args, .name = args->words[0], .timeout_ns = TONG_FOREVER };
    const int r = tong_open(box.name, TONG_SEND | TONG_CREATE | TONG_EXCL, &options, &box.box);
    if (r != 0) {
        return tool_error(args, box.name, r, NULL);
    }
    const int code =
        command ? hold_for_command(args, box.name) : hold_until_stopped(args, box.name);
    return tool_box_close(&box, code);
}

const struct tool_command tool_hold = {
    .name = "hold",
    .line = "make a mailbox that lives as long as this process",
    .usage = "hold NAME [--capacity N] [--link-capacity N] [--message-size N] [--max-bytes N]\n"
             "                 [--delivery P] [--full F] [--mode M] [-- CMD...]",
    .examples = "tong hold jobs -- make test      it is there while make runs\n"
                "tong hold inbox --capacity 10    it is there until Ctrl-C",
    .about = "When the process ends, whatever ends it, everyone who waits at the mailbox is told.\n"
             "With CMD the exit code is that of CMD, which finds the name in TONG_MAILBOX.",
    .options =
        (const struct tool_option[]){
            TOOL_MAILBOX_OPTIONS,
            { NULL, NULL, NULL },
        },
    .run = run,
};
