/*
 * cmd_doctor.c - `tong doctor`: is the folder of mailboxes in order, and the machine?
 *
 * Exit 0 if nothing is left to do: no finding that is repairable (with --repair: that could not be
 * repaired) or needs the user.
 */
#include "tool.h"

#include <stdio.h>
#include <unistd.h>

enum {
    INFORMATION,
    REPAIR,
    USER
};

struct visit {
    const struct tool_args *args;
    bool repair;
    bool colour;
    unsigned open; /* findings that are left to do */
};

static const char *severity_word(const struct visit *visit, uint32_t severity)
{
    if (severity == INFORMATION) {
        return "information";
    }
    if (severity == REPAIR) {
        return visit->repair ? "repaired" : "repairable";
    }
    return "needs you";
}

static int each(const tong_finding *finding, void *arg)
{
    static const char *const colours[] = { "", "\033[33m", "\033[31m" };
    struct visit *const visit = arg;
    const uint32_t severity = finding->severity > USER ? USER : finding->severity;
    const char *const word = severity_word(visit, severity);
    visit->open += severity == USER || (severity == REPAIR && !visit->repair);
    if (tool_given(visit->args, "--json")) {
        const struct tool_field fields[] = {
            { .name = "severity", .kind = TOOL_TEXT, .text = word },
            { .name = "what", .kind = TOOL_TEXT, .text = finding->what },
            { .name = "why", .kind = TOOL_TEXT, .text = finding->why },
            { .name = "what_to_do", .kind = TOOL_TEXT, .text = finding->what_to_do },
        };
        tool_print_fields(visit->args, fields, sizeof(fields) / sizeof(fields[0]));
        return 0;
    }
    printf("%s%s%s: %s: %s", visit->colour ? colours[severity] : "", word,
           visit->colour ? "\033[0m" : "", finding->what, finding->why);
    printf(*finding->what_to_do ? "; %s\n" : "%s\n", finding->what_to_do);
    return 0;
}

static int run(const struct tool_args *args)
{
    struct visit visit = { .args = args };
    if (tool_need_words(args, 0, "")) {
        return TOOL_USAGE;
    }
    if (tool_given(args, "--json") && tool_json_need(args)) {
        return TOOL_FAILED;
    }
    visit.repair = tool_given(args, "--repair");
    visit.colour = tool_has_colour(STDOUT_FILENO);
    const int r = tong_doctor(visit.repair, each, &visit);
    if (r < 0) {
        return tool_error(args, NULL, r, NULL);
    }
    if (!tool_given(args, "--json") && visit.open == 0) {
        printf("nothing to do\n");
    }
    return tool_flush(args, visit.open ? TOOL_FAILED : TOOL_DONE);
}

const struct tool_command tool_doctor = {
    .name = "doctor",
    .line = "check the folder of mailboxes and the machine",
    .usage = "doctor [--repair] [--json]",
    .examples = "tong doctor                      say what is wrong and what to do\n"
                "tong doctor --repair             clear away what the dead left behind",
    .about = "Only what is certainly dead is touched. Exit 1 if something is left to do.",
    .options =
        (const struct tool_option[]){
            { "--repair", NULL, "clear away what can be cleared by this user" },
            { "--json", NULL, "an object a line: severity, what, why, what_to_do" },
            { NULL, NULL, NULL },
        },
    .run = run,
};
