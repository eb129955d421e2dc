/*
 * cmd_create.c - `tong create`: make a mailbox that stays until it is removed.
 *
 * Creating what is there with the same options is no failure, so that a script can be run again;
 * --excl wants to be the one who made it.
 */
#include "tool.h"

#include <errno.h>

static int run(const struct tool_args *args)
{
    tong_options options;
    if (tool_need_words(args, 1, "the NAME") || tool_mailbox_options(args, TONG_SYSTEM, &options)) {
        return TOOL_USAGE;
    }
    const char *const name = args->words[0];
    const bool excl = tool_given(args, "--excl");
    const unsigned flags = TONG_SEND | TONG_CREATE | (excl ? TONG_EXCL : 0u);
    tong_mailbox *box;
    int r = tong_open(name, flags, &options, &box);
    if (r == -EEXIST && !excl) {
        return tool_options_differ(args, name, &options);
    }
    if (r == 0) {
        r = tong_close(box);
    }
    if (r < 0) {
        return tool_make_error(args, name, r, &options);
    }
    tool_warn_dead_letter(args, name, &options);
    return TOOL_DONE;
}

const struct tool_command tool_create = {
    .name = "create",
    .line = "make a mailbox that stays until it is removed",
    .usage =
        "create NAME [--capacity N] [--link-capacity N] [--message-size N] [--max-bytes N]\n"
        "                   [--max-deliveries N [--dead-letter NAME]] [--delivery P] [--full F]\n"
        "                   [--mode M] [--excl]",
    .examples = "tong create jobs                 without a limit, 1024 messages from each sender\n"
                "tong create buffer --capacity 3  at most three messages at any time\n"
                "tong create meet --capacity 0    a send returns when it was received\n"
                "tong create jobs2 --max-deliveries 3 --dead-letter failed\n"
                "                                 what came back three times goes to failed",
    .about =
        "If it is there with the same options, this does nothing. A message comes back when its\n"
        "receiver returns it (as `tong receive --exec` does when its command fails) or dies.\n"
        "What the mailbox of --dead-letter does not take is set aside, see `tong stat`.\n"
        "--delivery own:NAME is a policy that the programs which receive have registered.",
    .options =
        (const struct tool_option[]){
            TOOL_MAILBOX_OPTIONS,
            { "--excl", NULL, "fail if it is there" },
            { NULL, NULL, NULL },
        },
    .run = run,
};
