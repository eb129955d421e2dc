/*
 * options.c - what a mailbox is, as words of the command line.
 *
 * The words of delivery, owner and full stand in the order of the enums of tong.h.
 */
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *const tool_delivery_words[] = { "first-come",  "any",      "exclusive",
                                            "round-robin", "random",   "least-loaded",
                                            "by-key",      "everyone", NULL };
static const char *delivery_text(uint32_t delivery, const char *policy,
                                 char buffer[TOOL_DELIVERY_TEXT])
{
    const uint32_t n = sizeof(tool_delivery_words) / sizeof(tool_delivery_words[0]) - 1;
    if (delivery == TONG_OWN) {
        snprintf(buffer, TOOL_DELIVERY_TEXT, TOOL_OWN "%s", policy);
        return buffer;
    }
    return delivery < n ? tool_delivery_words[delivery] : "unknown";
}

const char *tool_delivery_text(const tong_status *s, char buffer[TOOL_DELIVERY_TEXT])
{
    return delivery_text(s->delivery, s->policy, buffer);
}

const char *const tool_owner_words[] = { "system", "process", NULL };
const char *const tool_full_words[] = { "block", "drop-newest", "drop-oldest", NULL };

static int dead_letter_options(const struct tool_args *args, tong_options *options)
{
    const char *const name = tool_value(args, "--dead-letter");
    tong_status status = TONG_STATUS_INIT;
    uint64_t most = 0;
    if (tool_value_size(args, "--max-deliveries", 65534, &most)) {
        return TOOL_USAGE;
    }
    if (tool_given(args, "--max-deliveries") && most == 0) {
        return tool_wrong_usage(args, "--max-deliveries: 0 is no delivery; say 1 or more");
    }
    options->max_deliveries = (uint32_t)most;
    options->dead_letter = name;
    if (!name) {
        return 0;
    }
    if (most == 0) {
        return tool_wrong_usage(args, "--dead-letter needs --max-deliveries; say how often a "
                                      "message may be handed out");
    }
    if (args->n_words > 0 && strcmp(name, args->words[0]) == 0) {
        return tool_wrong_usage(args, "--dead-letter: %s cannot be its own; name another mailbox",
                                tool_shown(name));
    }
    const int r = tong_stat(name, &status);
    if (r == -EINVAL || r == -ENAMETOOLONG || strchr(name, ':')) {
        return tool_wrong_usage(args,
                                "--dead-letter: %s is no name of a mailbox; a name has 1 to "
                                "127 of A-Z a-z 0-9 . _ -",
                                tool_shown(name));
    }
    return 0;
}

void tool_warn_dead_letter(const struct tool_args *args, const char *name,
                           const tong_options *options)
{
    tong_status status = TONG_STATUS_INIT;
    if (options->dead_letter && tong_stat(options->dead_letter, &status) == -ENOENT) {
        tool_say(args, name,
                 "there is no mailbox %s yet, what comes back too often is set aside until there "
                 "is; \"tong create %s\" makes it",
                 options->dead_letter, options->dead_letter);
    }
}

int tool_value_delivery(const struct tool_args *args, tong_options *options)
{
    const char *const word = tool_value(args, "--delivery");
    const size_t own = sizeof(TOOL_OWN) - 1;
    if (!word || strncmp(word, TOOL_OWN, own) != 0) {
        return tool_value_word(args, "--delivery", tool_delivery_words, &options->delivery);
    }
    options->delivery = TONG_OWN;
    options->policy = word + own;
    const size_t len = strlen(options->policy);
    if (len == 0 || len >= TONG_POLICY_MAX || options->policy[0] == '.' ||
        strspn(options->policy, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789._-") != len) {
        return tool_wrong_usage(args,
                                "--delivery: %s is no name of a policy; a name has 1 to %d of "
                                "A-Z a-z 0-9 . _ -",
                                tool_shown(options->policy), TONG_POLICY_MAX - 1);
    }
    return 0;
}

int tool_mailbox_options(const struct tool_args *args, uint32_t owner, tong_options *ret_options)
{
    tong_options options = TONG_OPTIONS_INIT;
    uint64_t size = 0;
    options.owner = owner;
    if (tool_value_capacity(args, "--capacity", true, &options.capacity) ||
        tool_value_capacity(args, "--link-capacity", false, &options.link_capacity) ||
        tool_value_size(args, "--message-size", TONG_MESSAGE_MAX, &size) ||
        tool_value_size(args, "--max-bytes", UINT64_MAX, &options.max_bytes) ||
        tool_value_delivery(args, &options) ||
        tool_value_word(args, "--full", tool_full_words, &options.full) ||
        tool_value_mode(args, &options.mode)) {
        return TOOL_USAGE;
    }
    if (options.max_bytes == 0) {
        return tool_wrong_usage(args, "--max-bytes: 0 is no memory; say 1M or more");
    }
    if (dead_letter_options(args, &options)) {
        return TOOL_USAGE;
    }
    options.message_size = (uint32_t)size;
    options.by_priority = tool_given(args, "--by-priority") ? 1 : 0;
    /* Who says unbounded means it: no limit of each sender either. */
    if (tool_given(args, "--capacity") && options.capacity == TONG_UNBOUNDED &&
        !tool_given(args, "--link-capacity")) {
        options.link_capacity = TONG_UNBOUNDED;
    }
    *ret_options = options;
    return 0;
}

static const char *capacity_text(uint32_t capacity, char *buffer, size_t size)
{
    if (capacity == TONG_UNBOUNDED) {
        return "unbounded";
    }
    snprintf(buffer, size, "%u", capacity);
    return buffer;
}

static const char *limit_text(uint32_t limit, char *buffer, size_t size)
{
    return capacity_text(limit ? limit : TONG_UNBOUNDED, buffer, size);
}

static bool differ(char *out, size_t size, const char *option, const char *is, const char *wanted)
{
    if (strcmp(is, wanted) == 0) {
        return false;
    }
    snprintf(out, size, "%s is %s, not %s", option, is, wanted);
    return true;
}

static bool differ_number(char *out, size_t size, const char *option, const char *format,
                          uint64_t is, uint64_t wanted)
{
    char a[32];
    char b[32];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(a, sizeof(a), format, (unsigned long long)is);
    snprintf(b, sizeof(b), format, (unsigned long long)wanted);
#pragma GCC diagnostic pop
    return differ(out, size, option, a, b);
}

static bool find_difference(const tong_status *s, const tong_options *o, char *out, size_t size)
{
    char a[32];
    char b[32];
    char is[TOOL_DELIVERY_TEXT];
    char wanted[TOOL_DELIVERY_TEXT];
    const uint32_t link = o->link_capacity != TONG_DEFAULT ? o->link_capacity
                          : o->capacity == TONG_UNBOUNDED  ? 1024u
                                                           : s->link_capacity;
    return differ(out, size, "owner", tool_owner_words[s->owner & 1u],
                  tool_owner_words[o->owner]) ||
           differ(out, size, "capacity", capacity_text(s->capacity, a, sizeof(a)),
                  capacity_text(o->capacity, b, sizeof(b))) ||
           differ(out, size, "link-capacity", capacity_text(s->link_capacity, a, sizeof(a)),
                  capacity_text(link, b, sizeof(b))) ||
           differ_number(out, size, "message-size", "%llu", s->message_size, o->message_size) ||
           differ_number(out, size, "max-bytes", "%llu", s->max_bytes, o->max_bytes) ||
           differ(out, size, "delivery", delivery_text(s->delivery, s->policy, is),
                  delivery_text(o->delivery, o->policy, wanted)) ||
           differ(out, size, "full", s->full > 1 ? "?" : tool_full_words[s->full],
                  tool_full_words[o->full]) ||
           differ(out, size, "by-priority", s->by_priority ? "yes" : "no",
                  o->by_priority ? "yes" : "no") ||
           differ(out, size, "max-deliveries", limit_text(s->max_deliveries, a, sizeof(a)),
                  limit_text(o->max_deliveries, b, sizeof(b))) ||
           differ(out, size, "dead-letter", s->dead_letter[0] ? s->dead_letter : "none",
                  o->dead_letter ? o->dead_letter : "none") ||
           differ_number(out, size, "mode", "%04llo", s->mode, o->mode);
}

int tool_options_differ(const struct tool_args *args, const char *name, const tong_options *options)
{
    tong_status status = TONG_STATUS_INIT;
    char difference[320];
    if (tong_stat(name, &status) == 0 &&
        find_difference(&status, options, difference, sizeof(difference))) {
        return tool_failed(args, name,
                           "it is there with other options, %s; use it as it is, or remove it "
                           "first with \"tong rm %s\"",
                           difference, tool_shown(name));
    }
    return tool_error(args, name, -EEXIST, NULL);
}

int tool_make_error(const struct tool_args *args, const char *name, int error,
                    const tong_options *options)
{
    if (error == -EACCES && (options->mode & 077u)) {
        return tool_error(args, name, error,
                          "a --mode for others needs a folder that others may enter, and TONG_DIR "
                          "set to it");
    }
    return tool_error(args, name, error, NULL);
}
