/*
 * complete.c - `tong complete`: what may stand at the cursor of a shell.
 *
 * The files of packaging/completion/ ask here, with all words behind `tong` up to the cursor; the last
 * one is what has been typed of the word at the cursor, "" if nothing. The answer is one candidate a
 * line, with a tab and a few words about it where there are any. A line that begins with a colon, which
 * no candidate does, is for the shell itself: ":files" or ":commands", it offers these as it always does.
 *
 * Options come from the table of their command, their values from the table below; which words a
 * command takes, its complete() knows. Nothing is ever wrong here: an unknown option or a word too many
 * has no candidates.
 */
#include "tool.h"

#include <stdio.h>
#include <string.h>

static void offer_mailboxes(const struct tool_cursor *cursor)
{
    tool_offer_mailboxes(cursor, false);
}

static void offer_files(const struct tool_cursor *cursor)
{
    (void)cursor;
    printf(":files\n");
}

static void offer_commands(const struct tool_cursor *cursor)
{
    (void)cursor;
    printf(":commands\n");
}

static const char *const unbounded[] = { "unbounded", NULL };
static const char *const modes[] = { "0600", "0620", "0640", "0660", NULL };

/* Values of options, of whichever command. An option without a row has values nobody can list. */
static const struct {
    const char *option;
    const char *const *words;
    void (*offer)(const struct tool_cursor *cursor);
} values[] = {
    { "--capacity", unbounded, NULL },           { "--link-capacity", unbounded, NULL },
    { "--delivery", tool_delivery_words, NULL }, { "--full", tool_full_words, NULL },
    { "--sort", tool_top_words, NULL },          { "--mode", modes, NULL },
    { "--dead-letter", NULL, offer_mailboxes },  { "--file", NULL, offer_files },
    { "--output", NULL, offer_files },           { "--exec", NULL, offer_commands },
};

void tool_offer(const struct tool_cursor *cursor, const char *word, const char *text)
{
    if (strncmp(word, cursor->start, strlen(cursor->start)) == 0) {
        printf("%.*s%s%s%s\n", (int)cursor->before_len, cursor->before, word, text ? "\t" : "",
               text ? text : "");
    }
}

static void offer_values(struct tool_cursor *cursor, const char *option)
{
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        if (strcmp(values[i].option, option) == 0) {
            if (values[i].offer) {
                values[i].offer(cursor);
            }
            for (size_t k = 0; values[i].words && values[i].words[k]; k++) {
                tool_offer(cursor, values[i].words[k], NULL);
            }
        }
    }
}

static bool was_given(const struct tool_cursor *cursor, const char *word)
{
    for (size_t i = 0; i < cursor->args->n_words; i++) {
        if (strcmp(cursor->args->words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

struct offer {
    const struct tool_cursor *cursor;
    bool owned; /* only those of a process */
};

/* What cannot be looked at may be removed all the same. */
static int offer_mailbox(const tong_status *status, int error, void *arg)
{
    const struct offer *const offer = arg;
    char text[80] = "cannot be looked at";
    char name[TOOL_NAME_TEXT];
    if (error == 0) {
        snprintf(text, sizeof(text), "%llu waiting, %u senders, %u receivers",
                 (unsigned long long)status->waiting, status->senders, status->receivers);
    }
    if (!was_given(offer->cursor, tool_name_text(status, name)) &&
        (!offer->owned || (error == 0 && status->owner == TONG_PROCESS))) {
        tool_offer(offer->cursor, name, text);
    }
    return 0;
}

void tool_offer_mailboxes(const struct tool_cursor *cursor, bool owned)
{
    static const char carrier[] = "shm:";
    struct tool_cursor here = *cursor;
    struct offer offer = { .cursor = &here, .owned = owned };
    if (strncmp(here.start, carrier, strlen(carrier)) == 0) {
        here.before = carrier;
        here.before_len = strlen(carrier);
        here.start += here.before_len;
    }
    (void)tong_list(offer_mailbox, &offer);
}

void tool_complete_mailbox(const struct tool_cursor *cursor)
{
    if (cursor->args->n_words == 0) {
        tool_offer_mailboxes(cursor, false);
    }
}

void tool_complete_mailboxes(const struct tool_cursor *cursor)
{
    tool_offer_mailboxes(cursor, false);
}

void tool_complete_program(const struct tool_cursor *cursor)
{
    if (cursor->after_options) {
        printf("%s\n", cursor->args->n_words == cursor->args->after ? ":commands" : ":files");
    }
}

static void offer_options(const struct tool_cursor *cursor)
{
    const struct tool_args *const args = cursor->args;
    for (size_t i = 0; args->command->options[i].name; i++) {
        const struct tool_option *const option = &args->command->options[i];
        if (!args->values[i] &&
            (!args->command->takes || args->command->takes(args, option->name))) {
            tool_offer(cursor, option->name, option->text);
        }
    }
    tool_offer(cursor, "--help", "show what the command does");
}

/* "--name=start": the values of that option, with its name in front. */
static void offer_assigned(struct tool_cursor *cursor, const char *equals)
{
    size_t index;
    const struct tool_option *const option = tool_find_option(
        cursor->args->command, cursor->start, (size_t)(equals - cursor->start), &index);
    if (option && option->arg) {
        cursor->before = cursor->start;
        cursor->before_len = (size_t)(equals + 1 - cursor->start);
        cursor->start = equals + 1;
        offer_values(cursor, option->name);
    }
}

/* Sorts what stands before the cursor as tool_args_parse() would, but is silent about what is wrong.
 * Returns the option whose value stands at the cursor, or NULL. */
static const char *look_at_words(struct tool_cursor *cursor, struct tool_args *args, char **words,
                                 size_t n)
{
    size_t index;
    args->words = words;
    for (size_t i = 0; i < n; i++) {
        if (cursor->after_options || words[i][0] != '-' || words[i][1] == '\0') {
            args->words[args->n_words++] = words[i];
        } else if (strcmp(words[i], "--") == 0) {
            cursor->after_options = true;
            args->after = args->n_words;
        } else {
            const char *const equals = strchr(words[i], '=');
            const size_t len = equals ? (size_t)(equals - words[i]) : strlen(words[i]);
            const struct tool_option *const option =
                tool_find_option(args->command, words[i], len, &index);
            if (option) {
                args->values[index] = "";
            }
            if (option && option->arg && !equals && ++i == n) {
                return option->name;
            }
        }
    }
    return NULL;
}

static void complete_command(struct tool_cursor *cursor, const struct tool_command *command,
                             char **words, size_t n)
{
    struct tool_args args = { .command = command };
    cursor->args = &args;
    const char *const option = look_at_words(cursor, &args, words, n);
    const char *const equals = strchr(cursor->start, '=');
    if (option) {
        offer_values(cursor, option);
    } else if (cursor->start[0] != '-' || cursor->after_options) {
        if (command->complete) {
            command->complete(cursor);
        }
    } else if (equals) {
        offer_assigned(cursor, equals);
    } else {
        offer_options(cursor);
    }
    cursor->args = NULL;
}

void tool_offer_commands(const struct tool_cursor *cursor)
{
    for (size_t i = 0; i < cursor->n_commands; i++) {
        tool_offer(cursor, cursor->commands[i]->name, cursor->commands[i]->line);
    }
}

int tool_complete(const struct tool_command *const *commands, size_t n_commands, char **words,
                  size_t n)
{
    struct tool_cursor cursor = {
        .commands = commands,
        .n_commands = n_commands,
        .start = n > 0 ? words[n - 1] : "",
        .before = "",
    };
    if (n <= 1) {
        tool_offer_commands(&cursor);
        if (cursor.start[0] == '-') {
            tool_offer(&cursor, "--help", "show all commands");
            tool_offer(&cursor, "--version", "show the version");
        }
    }
    for (size_t i = 0; n > 1 && i < n_commands; i++) {
        if (strcmp(commands[i]->name, words[0]) == 0) {
            complete_command(&cursor, commands[i], words + 1, n - 2);
        }
    }
    static const struct tool_command this_command = { .name = "complete" };
    const struct tool_args args = { .command = &this_command };
    return tool_flush(&args, TOOL_DONE);
}
