/*
 * cmd_rm.c - `tong rm`: end mailboxes, with what waits in them. Goes on after a failure.
 */
#include "tool.h"

static int run(const struct tool_args *args)
{
    int code = TOOL_DONE;
    if (args->n_words == 0) {
        return tool_wrong_usage(args, "the NAME is missing");
    }
    for (size_t i = 0; i < args->n_words; i++) {
        const int r = tong_remove(args->words[i]);
        if (r < 0) {
            const int failed = tool_error(args, args->words[i], r, NULL);
            code = code == TOOL_DONE ? failed : code;
        }
    }
    return code;
}

const struct tool_command tool_rm = {
    .name = "rm",
    .line = "end mailboxes, with what waits in them",
    .usage = "rm NAME...",
    .examples = "tong rm jobs                     whoever waits at it is told\n"
                "tong rm jobs results             both",
    .options = (const struct tool_option[]){ { NULL, NULL, NULL } },
    .run = run,
    .complete = tool_complete_mailboxes,
};
