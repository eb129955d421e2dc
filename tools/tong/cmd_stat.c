/*
 * cmd_stat.c - `tong stat`: what one mailbox is and holds. Looking costs its users nothing.
 */
#include "tool.h"

static int run(const struct tool_args *args)
{
    tong_status status = TONG_STATUS_INIT;
    struct tool_field fields[TOOL_STATUS_FIELDS_MAX];
    char words[TOOL_STATUS_WORDS];
    if (tool_need_words(args, 1, "the NAME")) {
        return TOOL_USAGE;
    }
    if (tool_given(args, "--json") && tool_json_need(args)) {
        return TOOL_FAILED;
    }
    const int r = tong_stat(args->words[0], &status);
    if (r < 0) {
        return tool_error(args, args->words[0], r, NULL);
    }
    const size_t n = tool_status_fields(&status, fields, words);
    return tool_flush(args, tool_print_fields(args, fields, n));
}

const struct tool_command tool_stat = {
    .name = "stat",
    .line = "show what a mailbox is and what it holds",
    .usage = "stat NAME [--json]",
    .examples = "tong stat jobs                   one \"name value\" a line\n"
                "tong stat jobs --json            the same as one JSON object",
    .options =
        (const struct tool_option[]){
            { "--json", NULL, "one object; a number without a limit is null" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = tool_complete_mailbox,
};
