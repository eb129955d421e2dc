/*
 * cmd_give.c - `tong give`: another process, or the system, owns a mailbox from now on.
 */
#include "tool.h"

#include <errno.h>

static int give_error(const struct tool_args *args, const char *name, const char *process, int r)
{
    tong_status status = TONG_STATUS_INIT;
    if (r == -EINVAL && process && tong_stat(process, &status) == 0) {
        return tool_failed(args, name,
                           "%s belongs to the system and is no process; name a mailbox that a "
                           "process owns, as \"tong hold\" makes it",
                           tool_shown(process));
    }
    if (process && (r == -EINVAL || r == -ENAMETOOLONG || r == -ENOENT)) {
        return tool_error(args, process, r,
                          r == -ENOENT ? "a process goes by the name of a mailbox that it owns, "
                                         "\"tong ls -l\" shows them under OWNER"
                                       : NULL);
    }
    if (r == -EPERM) {
        return tool_error(args, name, r,
                          "its user may give it, to a process of the same user; \"tong stat\" "
                          "shows owner-uid of both");
    }
    return tool_error(args, name, r,
                      r == -EOPNOTSUPP ? "a mailbox to everyone stays whose it is" : NULL);
}

static int give(const struct tool_args *args, const char *name, const char *process)
{
    tong_mailbox *box;
    int r = tong_open(name, TONG_SEND, NULL, &box);
    if (r < 0) {
        return tool_error(args, name, r, NULL);
    }
    r = tong_give(box, process);
    const int code = r < 0 ? give_error(args, name, process, r) : TOOL_DONE;
    r = tong_close(box);
    return r < 0 && code == TOOL_DONE ? tool_error(args, name, r, NULL) : code;
}

static int run(const struct tool_args *args)
{
    const bool system = tool_given(args, "--system");
    if (args->n_words == 0) {
        return tool_wrong_usage(args, "the NAME is missing");
    }
    if (!system && args->n_words == 1) {
        return tool_wrong_usage(args, "to whom is missing; say a PROCESS, or --system");
    }
    if (system && args->n_words == 2) {
        return tool_wrong_usage(args, "a PROCESS and --system exclude each other");
    }
    if (tool_need_words(args, system ? 1 : 2, "the NAME")) {
        return TOOL_USAGE;
    }
    return give(args, args->words[0], system ? NULL : args->words[1]);
}

/* A mailbox, then one that a process owns. */
static void complete(const struct tool_cursor *cursor)
{
    if (cursor->args->n_words < 2) {
        tool_offer_mailboxes(cursor, cursor->args->n_words == 1);
    }
}

const struct tool_command tool_give = {
    .name = "give",
    .line = "hand a mailbox to another owner, who alone receives then",
    .usage = "give NAME PROCESS | give NAME --system",
    .examples =
        "tong give inbox --system         it stays when its process ends, for all to receive\n"
        "tong give jobs worker            the process that holds the mailbox worker has it",
    .about =
        "PROCESS is a process, by the name of a mailbox that it owns. What waits stays in the\n"
        "mailbox, and senders notice nothing. Other receivers are told that they may not any\n"
        "more; what they hold claimed is theirs to finish. The mailbox ends with its process.",
    .options =
        (const struct tool_option[]){
            { "--system", NULL, "it stays until it is removed" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = complete,
};
