/*
 * cmd_set.c - `tong set`: change what a mailbox is, while it is used.
 */
#include "tool.h"

#include <errno.h>

static int set(const struct tool_args *args, const char *name, const tong_options *options)
{
    tong_mailbox *box;
    int r = tong_open(name, TONG_SEND, NULL, &box);
    if (r < 0) {
        return tool_error(args, name, r, NULL);
    }
    r = tong_set(box, options, TONG_SET_DELIVERY);
    int code = TOOL_DONE;
    if (r == -EPERM) {
        code = tool_error(args, name, r,
                          "its user may change it; where a process owns it, that process alone");
    } else if (r == -EOPNOTSUPP) {
        code = tool_error(args, name, r,
                          "a mailbox is to everyone from its beginning and for good; make another "
                          "one with \"tong create\"");
    } else if (r < 0) {
        code = tool_error(args, name, r, NULL);
    }
    r = tong_close(box);
    return r < 0 && code == TOOL_DONE ? tool_error(args, name, r, NULL) : code;
}

static int run(const struct tool_args *args)
{
    tong_options options = TONG_OPTIONS_INIT;
    if (tool_need_words(args, 1, "the NAME")) {
        return TOOL_USAGE;
    }
    if (!tool_given(args, "--delivery")) {
        return tool_wrong_usage(args, "what to change is missing; say --delivery P");
    }
    if (tool_value_delivery(args, &options)) {
        return TOOL_USAGE;
    }
    return set(args, args->words[0], &options);
}

static void complete(const struct tool_cursor *cursor)
{
    if (cursor->args->n_words < 1) {
        tool_offer_mailboxes(cursor, false);
    }
}

const struct tool_command tool_set = {
    .name = "set",
    .line = "change who gets a message, while the mailbox is used",
    .usage = "set NAME --delivery P",
    .examples = "tong set jobs --delivery round-robin    those who wait are served in turn now\n"
                "tong set jobs --delivery exclusive      the first receiver stays, others are told",
    .about = "What waits stays, and who waits to receive waits on under the new policy. Made "
             "exclusive,\n"
             "the receiver that came first goes on; the others are told that it is taken. Of a "
             "policy of\n"
             "your own (own:NAME) those are told who have not registered it.",
    .options =
        (const struct tool_option[]){
            { "--delivery", "P",
              "who gets a message: first-come, any, exclusive, round-robin, random, "
              "least-loaded, by-key, or own:NAME" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = complete,
};
