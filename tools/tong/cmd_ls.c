/*
 * cmd_ls.c - `tong ls`: the mailboxes of the folder. One name a line; -l adds what they hold.
 *
 * What cannot be looked at is reported and does not hide the others.
 */
#include "tool.h"

#include <stdio.h>

static void print_head(void)
{
    printf("%-24s %9s %9s %8s %9s %8s %9s %10s %-7s %-12s %5s %s\n", "NAME", "CAPACITY", "WAITING",
           "CLAIMED", "SET-ASIDE", "SENDERS", "RECEIVERS", "BYTES", "OWNER", "DELIVERY", "TIMES",
           "DEAD-LETTER");
}

static void print_row(const tong_status *s)
{
    char capacity[16];
    char times[16];
    char delivery[TOOL_DELIVERY_TEXT];
    char name[TOOL_NAME_TEXT];
    snprintf(capacity, sizeof(capacity), "%u", s->capacity);
    snprintf(times, sizeof(times), "%u", s->max_deliveries);
    printf("%-24s %9s %9llu %8u %9u %8u %9u %10llu %-7s %-12s %5s %s\n", tool_name_text(s, name),
           s->capacity == TONG_UNBOUNDED ? "unbounded" : capacity, (unsigned long long)s->waiting,
           s->claimed, s->set_aside, s->senders, s->receivers, (unsigned long long)s->bytes,
           tool_owner_words[s->owner & 1u], tool_delivery_text(s, delivery),
           s->max_deliveries ? times : "-", s->dead_letter[0] ? s->dead_letter : "-");
}

struct list {
    const struct tool_args *args;
    bool head;
    int code;
};

static int each(const tong_status *status, int error, void *arg)
{
    struct list *const list = arg;
    struct tool_field fields[TOOL_STATUS_FIELDS_MAX];
    char words[TOOL_STATUS_WORDS];
    char name[TOOL_NAME_TEXT];
    if (error) {
        fflush(stdout);
        tool_error(list->args, tool_name_text(status, name), error, NULL);
        list->code = TOOL_FAILED;
    } else if (tool_given(list->args, "--json")) {
        const size_t n = tool_status_fields(status, fields, words);
        tool_print_fields(list->args, fields, n);
    } else if (tool_given(list->args, "-l")) {
        if (!list->head) {
            print_head();
            list->head = true;
        }
        print_row(status);
    } else {
        printf("%s\n", tool_name_text(status, name));
    }
    return 0;
}

static int each_link(const tong_link *link, void *arg)
{
    const struct list *const list = arg;
    const struct tool_field fields[] = {
        { .name = "a", .kind = TOOL_TEXT, .text = link->a },
        { .name = "b", .kind = TOOL_TEXT, .text = link->b },
        { .name = "waiting_at_b", .kind = TOOL_NUMBER, .number = link->waiting[0] },
        { .name = "waiting_at_a", .kind = TOOL_NUMBER, .number = link->waiting[1] },
    };
    if (tool_given(list->args, "--json")) {
        tool_print_fields(list->args, fields, sizeof(fields) / sizeof(fields[0]));
    } else {
        printf("%s <-> %s\n", link->a, link->b);
    }
    return 0;
}

static int run(const struct tool_args *args)
{
    static const char *const forms[] = { "-l", "--json", NULL };
    static const char *const kinds[] = { "-l", "--links", NULL };
    struct list list = { .args = args };
    const bool links = tool_given(args, "--links");
    if (tool_only_one_of(args, kinds) || tool_need_words(args, 0, "") ||
        tool_only_one_of(args, forms)) {
        return TOOL_USAGE;
    }
    if (tool_given(args, "--json") && tool_json_need(args)) {
        return TOOL_FAILED;
    }
    int r = links ? 0 : tong_list(each, &list);
    if (r == 0 && (links || !tool_given(args, "--json"))) {
        r = tong_links(each_link, &list);
    }
    if (r < 0) {
        return tool_error(args, NULL, r, NULL);
    }
    return tool_flush(args, list.code);
}

const struct tool_command tool_ls = {
    .name = "ls",
    .line = "list the mailboxes",
    .usage = "ls [-l | --links] [--json]",
    .examples = "tong ls                          the names, one a line\n"
                "tong ls -l                       and what they hold, who is there\n"
                "tong ls --links                  which processes have sent to each other",
    .about = "Behind the mailboxes stand the links of processes that name each other: P <-> Q.",
    .options =
        (const struct tool_option[]){
            { "-l", NULL,
              "capacity, messages, who is there, memory, owner, delivery, dead letters" },
            { "--links", NULL, "the links between processes alone" },
            { "--json", NULL, "an object a line, as `tong stat --json`; of links with --links" },
            { NULL, NULL, NULL },
        },
    .run = run,
};
