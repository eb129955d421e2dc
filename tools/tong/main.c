/*
 * main.c - the command `tong`: the table of commands, and the help that is made from it.
 */
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int run_help(const struct tool_args *args);
static int run_version(const struct tool_args *args);
static void complete_help(const struct tool_cursor *cursor);

static const struct tool_option no_options[] = { { NULL, NULL, NULL } };

static const struct tool_command help_command = {
    .name = "help",
    .line = "show what a command does",
    .usage = "help [COMMAND]",
    .examples = "tong help                        all commands\n"
                "tong help send                   one of them",
    .options = no_options,
    .run = run_help,
    .complete = complete_help,
};

static const struct tool_command version_command = {
    .name = "version",
    .line = "show the version",
    .usage = "version",
    .examples = "tong version                     of the command and its library\n"
                "tong --version                   the same",
    .options = no_options,
    .run = run_version,
};

static const struct tool_command *const commands[] = {
    &tool_create,  &tool_hold,  &tool_send,   &tool_receive, &tool_call,    &tool_serve,
    &tool_relay,   &tool_chat,  &tool_ls,     &tool_stat,    &tool_rm,      &tool_give,
    &tool_set,     &tool_watch, &tool_region, &tool_top,     &tool_tap,     &tool_graph,
    &tool_metrics, &tool_tour,  &tool_bench,  &tool_doctor,  &help_command, &version_command,
};

enum {
    N_COMMANDS = sizeof(commands) / sizeof(commands[0])
};

static const struct tool_command *find(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

/* Letters to insert, remove or replace to make b of a; only small answers matter. */
static size_t distance(const char *a, const char *b)
{
    size_t row[32];
    const size_t len = strlen(b);
    if (len >= sizeof(row) / sizeof(row[0])) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= len; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i]; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= len; j++) {
            const size_t replaced = corner + (a[i] != b[j - 1]);
            corner = row[j];
            const size_t other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = replaced < other ? replaced : other;
        }
    }
    return row[len];
}

static int no_such_command(const char *name)
{
    const char *nearest = NULL;
    size_t least = 3;
    for (size_t i = 0; i < N_COMMANDS; i++) {
        const size_t d = distance(name, commands[i]->name);
        if (d < least) {
            least = d;
            nearest = commands[i]->name;
        }
    }
    if (nearest) {
        tool_say(NULL, name, "there is no such command; \"tong %s\" is like it", nearest);
    } else {
        tool_say(NULL, name, "there is no such command; \"tong help\" lists them all");
    }
    return TOOL_USAGE;
}

static void print_welcome(void)
{
    printf("tong %s: processes talk through mailboxes\n"
           "\n"
           "  tong receive hello             wait for a message (in one terminal)\n"
           "  tong send hello \"Hi there\"     send it (in another one)\n"
           "\n"
           "\"tong help\" lists all commands, \"tong help send\" explains one.\n",
           tong_version());
}

static void print_commands(void)
{
    printf("tong %s: processes talk through mailboxes\n\n", tong_version());
    for (size_t i = 0; i < N_COMMANDS; i++) {
        printf("  tong %-10s %s\n", commands[i]->name, commands[i]->line);
    }
    printf(
        "\nA NAME is 1 to 127 of A-Z a-z 0-9 . _ - and begins with none of . and -\n"
        "Exit: 0 done, 1 failed, 2 wrong usage, 3 timed out or would wait, 4 no such name,\n"
        "      128 + the signal that stopped it.\n"
        "TONG_DIR: the folder of the mailboxes, else /dev/shm/tong-UID. NO_COLOR: no colours.\n");
}

static void print_command(const struct tool_command *command)
{
    const char *line = command->examples;
    printf("tong %s - %s\n\n", command->name, command->line);
    while (*line) {
        const size_t len = strcspn(line, "\n");
        printf("  %.*s\n", (int)len, line);
        line += len + (line[len] == '\n');
    }
    printf("\nusage: tong %s\n", command->usage);
    if (command->about) {
        printf("\n%s\n", command->about);
    }
    if (command->options[0].name) {
        printf("\n");
    }
    for (const struct tool_option *option = command->options; option->name; option++) {
        char head[40];
        snprintf(head, sizeof(head), "%s%s%s", option->name, option->arg ? " " : "",
                 option->arg ? option->arg : "");
        printf("  %-18s %s\n", head, option->text);
    }
}

static int run_help(const struct tool_args *args)
{
    if (args->n_words > 1) {
        return tool_need_words(args, 1, "the COMMAND");
    }
    if (args->n_words == 1) {
        const struct tool_command *const command = find(args->words[0]);
        if (!command) {
            return no_such_command(args->words[0]);
        }
        print_command(command);
    } else {
        print_commands();
    }
    return tool_flush(args, TOOL_DONE);
}

static void complete_help(const struct tool_cursor *cursor)
{
    if (cursor->args->n_words == 0) {
        tool_offer_commands(cursor);
    }
}

static int run_version(const struct tool_args *args)
{
    if (tool_need_words(args, 0, "")) {
        return TOOL_USAGE;
    }
    printf("tong %s\n", tong_version());
    return tool_flush(args, TOOL_DONE);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    struct tool_args args = { .command = &help_command };
    if (!name) {
        print_welcome();
        return tool_flush(&args, TOOL_DONE);
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        name = "help";
    } else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        name = "version";
    }
    if (strcmp(name, "complete") == 0) {
        return tool_complete(commands, N_COMMANDS, argv + 2, (size_t)argc - 2);
    }
    const struct tool_command *const command = find(name);
    if (!command) {
        return no_such_command(name);
    }
    tool_signals_catch();
    if (tool_args_parse(command, argv + 2, (size_t)argc - 2, &args) != 0) {
        return TOOL_USAGE;
    }
    if (args.help) {
        print_command(command);
        return tool_flush(&args, TOOL_DONE);
    }
    const int code = command->run(&args);
    return tool_stop_signal() ? 128 + tool_stop_signal() : code;
}
