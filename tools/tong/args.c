/*
 * args.c - the command line.
 *
 * Options stand anywhere behind the command, as "--name value" or "--name=value"; they are not
 * shortened. "--" ends them. Everything else is a word: a name, a text. A single letter option
 * ("-l") stands in the table like any other; a word that begins with a hyphen has to stand behind
 * "--".
 */
#include "tool.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct tool_option *tool_find_option(const struct tool_command *command, const char *name,
                                           size_t len, size_t *ret_index)
{
    for (size_t i = 0; command->options[i].name; i++) {
        const char *row = command->options[i].name;
        if (strlen(row) == len && memcmp(row, name, len) == 0) {
            *ret_index = i;
            return &command->options[i];
        }
    }
    return NULL;
}

/* Takes the option at argv[*i], and its value behind it. */
static int take_option(struct tool_args *args, char **argv, size_t n, size_t *i)
{
    const char *const given = argv[*i];
    const char *const equals = strchr(given, '=');
    const size_t len = equals ? (size_t)(equals - given) : strlen(given);
    size_t index;
    const struct tool_option *option = tool_find_option(args->command, given, len, &index);
    if (!option) {
        return tool_wrong_usage(args,
                                "there is no option %s; put -- before a text that begins "
                                "with a hyphen",
                                tool_shown(given));
    }
    if (args->values[index]) {
        return tool_wrong_usage(args, "%s was given twice", option->name);
    }
    if (!option->arg) {
        args->values[index] = "";
        return equals ? tool_wrong_usage(args, "%s takes no value", option->name) : 0;
    }
    if (!equals && *i + 1 >= n) {
        return tool_wrong_usage(args, "%s needs a value", option->name);
    }
    args->values[index] = equals ? equals + 1 : argv[++*i];
    return 0;
}

int tool_args_parse(const struct tool_command *command, char **argv, size_t n,
                    struct tool_args *ret_args)
{
    struct tool_args *const args = ret_args;
    *args = (struct tool_args){ .command = command, .words = argv };
    bool options_end = false;
    for (size_t i = 0; i < n; i++) {
        char *const given = argv[i];
        if (options_end || given[0] != '-' || given[1] == '\0') {
            argv[args->n_words++] = given;
        } else if (strcmp(given, "--") == 0) {
            options_end = true;
            args->after = args->n_words;
        } else if (strcmp(given, "--help") == 0 || strcmp(given, "-h") == 0) {
            args->help = true;
        } else if (take_option(args, argv, n, &i) != 0) {
            return TOOL_USAGE;
        }
    }
    if (!options_end) {
        args->after = args->n_words;
    }
    argv[args->n_words] = NULL; /* The words are the argv of a command to run. */
    return 0;
}

const char *tool_value(const struct tool_args *args, const char *name)
{
    for (size_t i = 0; args->command->options[i].name; i++) {
        if (strcmp(args->command->options[i].name, name) == 0) {
            return args->values[i];
        }
    }
    return NULL;
}

bool tool_given(const struct tool_args *args, const char *name)
{
    return tool_value(args, name) != NULL;
}

int tool_need_words(const struct tool_args *args, size_t n, const char *what)
{
    if (args->n_words < n) {
        return tool_wrong_usage(args, "%s is missing", what);
    }
    if (args->n_words > n) {
        return tool_wrong_usage(args, "%s is one word too many", tool_shown(args->words[n]));
    }
    return 0;
}

int tool_only_one_of(const struct tool_args *args, const char *const *names)
{
    const char *first = NULL;
    for (; *names; names++) {
        if (tool_given(args, *names)) {
            if (first) {
                return tool_wrong_usage(args, "%s and %s exclude each other", first, *names);
            }
            first = *names;
        }
    }
    return 0;
}

/* Decimal digits and at most one letter K, M, G, T for powers of 1024. */
static bool parse_size(const char *text, uint64_t *ret_value)
{
    if (*text < '0' || *text > '9') {
        return false;
    }
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    static const char letters[] = "KMGT";
    unsigned shift = 0;
    if (*end) {
        const char *letter = strchr(letters, *end);
        if (!letter || end[1]) {
            return false;
        }
        shift = 10u * (unsigned)(letter - letters + 1);
    }
    if (errno || number > UINT64_MAX >> shift) {
        *ret_value = UINT64_MAX;
    } else {
        *ret_value = (uint64_t)number << shift;
    }
    return true;
}

int tool_value_size(const struct tool_args *args, const char *name, uint64_t most,
                    uint64_t *ret_value)
{
    const char *const text = tool_value(args, name);
    uint64_t value;
    if (!text) {
        return 0;
    }
    if (!parse_size(text, &value)) {
        return tool_wrong_usage(args, "%s: %s is not a number; say 10, or 4K, 64M, 2G", name,
                                tool_shown(text));
    }
    if (value > most) {
        return tool_wrong_usage(args, "%s: %s is too much; at most %llu", name, tool_shown(text),
                                (unsigned long long)most);
    }
    *ret_value = value;
    return 0;
}

int tool_value_capacity(const struct tool_args *args, const char *name, bool zero,
                        uint32_t *ret_value)
{
    const char *const text = tool_value(args, name);
    uint64_t value;
    if (!text) {
        return 0;
    }
    if (strcmp(text, "unbounded") == 0) {
        *ret_value = TONG_UNBOUNDED;
        return 0;
    }
    if (!parse_size(text, &value) || value > TONG_CAPACITY_MAX || (value == 0 && !zero)) {
        return tool_wrong_usage(args, "%s: %s cannot be; say %d to %u, or unbounded", name,
                                tool_shown(text), zero ? 0 : 1, TONG_CAPACITY_MAX);
    }
    *ret_value = (uint32_t)value;
    return 0;
}

int tool_value_mode(const struct tool_args *args, uint32_t *ret_mode)
{
    const char *const text = tool_value(args, "--mode");
    if (!text) {
        return 0;
    }
    const size_t digits = strspn(text, "01234567");
    const unsigned long mode = digits && digits <= 5 ? strtoul(text, NULL, 8) : 0;
    /* As tong.h has it: its user reads and writes, nobody runs it. */
    if (text[digits] || (mode & 0600u) != 0600u || (mode & ~0666ul) != 0) {
        return tool_wrong_usage(args, "--mode: %s is not a mode; say 0600 or 0660",
                                tool_shown(text));
    }
    *ret_mode = (uint32_t)mode;
    return 0;
}

/* -1: the option was not given. */
static int value_seconds(const struct tool_args *args, const char *name, double *ret_seconds)
{
    const char *const text = tool_value(args, name);
    if (!text) {
        *ret_seconds = -1;
        return 0;
    }
    /* Digits and a dot only: strtod also knows signs, exponents, hexadecimals and "inf". */
    const size_t digits = strspn(text, "0123456789.");
    char *end;
    const double seconds = strtod(text, &end);
    if (digits == 0 || text[digits] || *end || end == text) {
        return tool_wrong_usage(args, "%s: %s is not a time; say seconds, as 2 or 0.5", name,
                                tool_shown(text));
    }
    *ret_seconds = seconds;
    return 0;
}

int tool_value_timeout(const struct tool_args *args, int64_t *ret_timeout_ns)
{
    double seconds = 0;
    const int r = value_seconds(args, "--timeout", &seconds);
    if (r == 0 && seconds >= 0) {
        /* A hundred years and more are no limit. */
        *ret_timeout_ns = seconds > 3.2e9 ? TONG_FOREVER : (int64_t)(seconds * 1e9);
    }
    return r;
}

int tool_value_expiry(const struct tool_args *args, int64_t *ret_expiry_ns)
{
    double seconds;
    const int r = value_seconds(args, "--expiry", &seconds);
    if (r == 0 && seconds >= 0) {
        *ret_expiry_ns = seconds > 3.2e9 ? 0 : (int64_t)(seconds * 1e9);
        return seconds > 3.2e9 ? tool_wrong_usage(args, "--expiry: that is a hundred years and "
                                                        "more; leave it out")
                               : 0;
    }
    return r;
}

int tool_value_every(const struct tool_args *args, uint64_t *ret_ns)
{
    double seconds = 0;
    const int r = value_seconds(args, "--every", &seconds);
    if (r == 0 && seconds >= 0) {
        *ret_ns = (uint64_t)((seconds > 3600 ? 3600 : seconds) * 1e9);
    }
    return r;
}

int tool_value_word(const struct tool_args *args, const char *name, const char *const *choices,
                    uint32_t *ret_index)
{
    const char *const text = tool_value(args, name);
    if (!text) {
        return 0;
    }
    char all[128] = "";
    size_t len = 0;
    for (uint32_t i = 0; choices[i]; i++) {
        if (strcmp(choices[i], text) == 0) {
            *ret_index = i;
            return 0;
        }
        len +=
            (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", i == 0 ? "" : ", ", choices[i]);
        assert(len < sizeof(all));
    }
    return tool_wrong_usage(args, "%s: there is no %s; say one of %s", name, tool_shown(text), all);
}
