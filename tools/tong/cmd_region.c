/*
 * cmd_region.c - `tong region`: named shared memory, from the shell.
 *
 * A small table of its own: verb, options it takes, run. write reads all its input first, so that
 * the lock is held for one copy and never while a slow input is waited for; it then wakes whoever
 * waits for a change.
 */
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

static int region_error(const struct tool_args *args, const char *name, int error)
{
    static const struct {
        int error;
        const char *way_out;
    } ways_out[] = {
        { -ENOENT, "\"tong region ls\" shows what there is, \"tong region create\" makes one" },
        { -EEXIST, "\"tong region stat\" shows it, \"tong region rm\" removes it" },
        { -EPROTO, "\"tong doctor\" says which file, \"tong region rm\" takes it away" },
        { -EPERM, "ask the user it belongs to; \"tong region stat\" shows owner-uid" },
        { -ENOSPC, "take a smaller --size, remove mailboxes and regions, or enlarge the shared "
                   "memory" },
        { -EIDRM, "\"tong region create\" makes a new one" },
        { -EAGAIN, "somebody holds its lock; wait longer with --timeout" },
        { -ETIMEDOUT, "somebody holds its lock; wait longer with --timeout" },
    };
    for (size_t i = 0; i < sizeof(ways_out) / sizeof(ways_out[0]); i++) {
        if (ways_out[i].error == error) {
            return tool_error(args, name, error, ways_out[i].way_out);
        }
    }
    return tool_error(args, name, error, NULL);
}

static int create(const struct tool_args *args, const char *name)
{
    tong_region_options options = TONG_REGION_OPTIONS_INIT;
    uint64_t size = 0;
    if (tool_value_mode(args, &options.mode) ||
        tool_value_size(args, "--size", UINT64_C(1) << 40, &size)) {
        return TOOL_USAGE;
    }
    if (size == 0) {
        return tool_wrong_usage(args, "create needs --size N, 1 or more bytes");
    }
    tong_region *region;
    const unsigned excl = tool_given(args, "--excl") ? TONG_EXCL : 0u;
    const int r = tong_region_open(name, (size_t)size, TONG_READ | TONG_WRITE | TONG_CREATE | excl,
                                   &options, &region);
    if (r < 0) {
        return region_error(args, name, r);
    }
    tong_region_close(region);
    return TOOL_DONE;
}

static int print(const struct tool_args *args, const tong_region_status *s)
{
    char mode[16];
    snprintf(mode, sizeof(mode), "%04o", s->mode & 07777u);
    const struct tool_field fields[] = {
        { .name = "name", .kind = TOOL_TEXT, .text = s->name },
        { .name = "size", .kind = TOOL_NUMBER, .number = s->size },
        { .name = "bytes", .kind = TOOL_NUMBER, .number = s->bytes },
        { .name = "owner", .kind = TOOL_TEXT, .text = tool_owner_words[s->owner & 1u] },
        { .name = "owner_uid", .kind = TOOL_NUMBER, .number = s->owner_uid },
        { .name = "owner_pid", .kind = TOOL_SIGNED, .number = (uint64_t)(int64_t)s->owner_pid },
        { .name = "mode", .kind = TOOL_TEXT, .text = mode },
        { .name = "locked", .kind = TOOL_TRUTH, .number = s->locked },
    };
    return tool_print_fields(args, fields, sizeof(fields) / sizeof(fields[0]));
}

struct list {
    const struct tool_args *args;
    int code;
};

static int each(const tong_region_status *status, int error, void *arg)
{
    struct list *const list = arg;
    if (error) {
        fflush(stdout);
        region_error(list->args, status->name, error);
        list->code = TOOL_FAILED;
    } else if (tool_given(list->args, "--json")) {
        print(list->args, status);
    } else {
        printf("%s\n", status->name);
    }
    return 0;
}

static int list_all(const struct tool_args *args, const char *name)
{
    (void)name;
    struct list list = { .args = args };
    const int r = tong_region_list(each, &list);
    return r < 0 ? region_error(args, NULL, r) : tool_flush(args, list.code);
}

static int look(const struct tool_args *args, const char *name)
{
    tong_region_status status = TONG_REGION_STATUS_INIT;
    const int r = tong_region_stat(name, &status);
    return r < 0 ? region_error(args, name, r) : tool_flush(args, print(args, &status));
}

static int take_away(const struct tool_args *args, const char *name)
{
    const int r = tong_region_remove(name);
    return r < 0 ? region_error(args, name, r) : TOOL_DONE;
}

static int read_out(const struct tool_args *args, const char *name)
{
    uint64_t offset = 0;
    uint64_t length = UINT64_MAX;
    if (tool_value_size(args, "--offset", UINT64_MAX, &offset) ||
        tool_value_size(args, "--length", UINT64_MAX, &length)) {
        return TOOL_USAGE;
    }
    tong_region *region;
    int r = tong_region_open(name, 0, TONG_READ, NULL, &region);
    if (r < 0) {
        return region_error(args, name, r);
    }
    const size_t size = tong_region_size(region);
    int code;
    if (offset > size || (tool_given(args, "--length") && length > size - offset)) {
        code =
            tool_failed(args, name, "it has %zu bytes; take a smaller --offset or --length", size);
    } else {
        struct tool_file output;
        struct iovec part = {
            .iov_base = (char *)tong_region_data(region) + offset,
            .iov_len = tool_given(args, "--length") ? (size_t)length : size - (size_t)offset,
        };
        code = tool_file_open_output(args, NULL, &output);
        r = code == TOOL_DONE ? tool_file_write(&output, &part, 1) : 0;
        if (r < 0 && !tool_stopping()) {
            code = tool_file_error(args, output.name, r);
        }
    }
    tong_region_close(region);
    return code;
}

/* Copies under the lock. */
static int put(const struct tool_args *args, const char *name, tong_region *region, size_t offset,
               const char *data, size_t len)
{
    int64_t timeout_ns = TONG_FOREVER;
    if (tool_value_timeout(args, &timeout_ns)) {
        return TOOL_USAGE;
    }
    int r;
    do {
        r = tong_region_lock(region, timeout_ns);
    } while (tool_again(r));
    if (r < 0) {
        return tool_stopping() ? TOOL_FAILED : region_error(args, name, r);
    }
    if (r == TONG_RECOVERED) {
        tool_say(args, name, "its last writer died while it wrote; what it holds may be half made");
    }
    memcpy((char *)tong_region_data(region) + offset, data, len);
    r = tong_region_unlock(region);
    if (r == 0) {
        r = tong_region_notify(region);
    }
    return r < 0 ? region_error(args, name, r) : TOOL_DONE;
}

static int write_in(const struct tool_args *args, const char *name)
{
    uint64_t offset = 0;
    struct tool_file input;
    if (tool_value_size(args, "--offset", UINT64_MAX, &offset)) {
        return TOOL_USAGE;
    }
    tong_region *region;
    int r = tong_region_open(name, 0, TONG_READ | TONG_WRITE, NULL, &region);
    if (r < 0) {
        return region_error(args, name, r);
    }
    const size_t size = tong_region_size(region);
    char *data;
    size_t len;
    int code = tool_file_open_input(args, NULL, &input);
    if (code == TOOL_DONE && offset > size) {
        code = tool_failed(args, name, "it has %zu bytes; take a smaller --offset", size);
    } else if (code == TOOL_DONE) {
        r = tool_file_read_all(&input, size - (size_t)offset, &data, &len);
        if (r == 0) {
            code = put(args, name, region, (size_t)offset, data, len);
            free(data);
        } else if (r == -EFBIG) {
            code = tool_failed(args, name,
                               "the input is longer than the %zu bytes there are from --offset on, "
                               "nothing was written; make a larger region",
                               size - (size_t)offset);
        } else {
            code = tool_stopping() ? TOOL_FAILED : tool_file_error(args, input.name, r);
        }
    }
    tong_region_close(region);
    return code;
}

static const struct verb {
    const char *name;
    bool names_one; /* takes a NAME */
    const char *takes[4];
    int (*run)(const struct tool_args *args, const char *name);
} verbs[] = {
    { "create", true, { "--size", "--mode", "--excl", NULL }, create },
    { "ls", false, { "--json", NULL }, list_all },
    { "stat", true, { "--json", NULL }, look },
    { "read", true, { "--offset", "--length", NULL }, read_out },
    { "write", true, { "--offset", "--timeout", NULL }, write_in },
    { "rm", true, { NULL }, take_away },
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

static bool takes(const struct tool_args *args, const char *option)
{
    const struct verb *const verb = args->n_words > 0 ? find_verb(args->words[0]) : NULL;
    for (size_t k = 0; verb && verb->takes[k]; k++) {
        if (strcmp(verb->takes[k], option) == 0) {
            return true;
        }
    }
    return false;
}

static int check_options(const struct tool_args *args, const struct verb *verb)
{
    for (size_t i = 0; args->command->options[i].name; i++) {
        if (args->values[i] && !takes(args, args->command->options[i].name)) {
            return tool_wrong_usage(args, "%s is no option of region %s",
                                    args->command->options[i].name, verb->name);
        }
    }
    return 0;
}

static int offer_region(const tong_region_status *status, int error, void *arg)
{
    char text[40] = "cannot be looked at";
    if (error == 0) {
        snprintf(text, sizeof(text), "%s", tool_amount(status->size));
    }
    tool_offer(arg, status->name, text);
    return 0;
}

static void complete(const struct tool_cursor *cursor)
{
    const struct verb *const verb =
        cursor->args->n_words == 1 ? find_verb(cursor->args->words[0]) : NULL;
    if (verb && verb->names_one && verb->run != create) {
        (void)tong_region_list(offer_region, (void *)cursor);
    }
    for (size_t i = 0; cursor->args->n_words == 0 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        tool_offer(cursor, verbs[i].name, NULL);
    }
}

static int run(const struct tool_args *args)
{
    if (args->n_words == 0) {
        return tool_wrong_usage(args, "what to do is missing: create, ls, stat, read, write or rm");
    }
    const struct verb *const verb = find_verb(args->words[0]);
    if (!verb) {
        return tool_wrong_usage(args,
                                "there is no region %s; say create, ls, stat, read, write or rm",
                                tool_shown(args->words[0]));
    }
    if (check_options(args, verb) || tool_need_words(args, verb->names_one ? 2 : 1, "the NAME")) {
        return TOOL_USAGE;
    }
    if (tool_given(args, "--json") && tool_json_need(args)) {
        return TOOL_FAILED;
    }
    return verb->run(args, verb->names_one ? args->words[1] : NULL);
}

const struct tool_command tool_region = {
    .name = "region",
    .line = "make, read and write named shared memory",
    .usage = "region create NAME --size N [--mode M] [--excl]\n"
             "       tong region ls [--json]\n"
             "       tong region stat NAME [--json]\n"
             "       tong region read NAME [--offset N] [--length N]\n"
             "       tong region write NAME [--offset N] [--timeout S]\n"
             "       tong region rm NAME",
    .examples = "tong region create board --size 4K\n"
                "date | tong region write board\n"
                "tong region read board --length 10",
    .about = "write puts standard input into the region, under its lock, and wakes who waits for\n"
             "a change. Regions and mailboxes have separate names.",
    .options =
        (const struct tool_option[]){
            { "--size", "N", "bytes, as 4096, 4K or 1G" },
            { "--offset", "N", "begin at this byte" },
            { "--length", "N", "so many bytes; without it to the end" },
            { "--timeout", "S", "wait at most S seconds for the lock; 0: do not wait" },
            { "--mode", "M", "permissions in octal, 0600 without it" },
            { "--excl", NULL, "fail if it is there" },
            { "--json", NULL, "an object a line" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = complete,
    .takes = takes,
};
