/*
 * cmd_top.c - `tong top`: who talks, who waits for whom, and how fast it goes; again and again.
 *
 * It looks by the calls that only read: those who are looked at write nothing and are not woken.
 */
#include "top.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TOP_FIELDS_MAX (TOOL_STATUS_FIELDS_MAX + 4)

/* ---- --json: an object for each mailbox, party, wait and link */

static struct tool_field text(const char *name, const char *value)
{
    return (struct tool_field){ .name = name, .kind = TOOL_TEXT, .text = value };
}

static struct tool_field number(const char *name, uint64_t value)
{
    return (struct tool_field){ .name = name, .kind = TOOL_NUMBER, .number = value };
}

static struct tool_field pid(const char *name, int32_t value)
{
    return (
        struct tool_field){ .name = name, .kind = TOOL_SIGNED, .number = (uint64_t)(int64_t)value };
}

static struct tool_field truth(const char *name, bool value)
{
    return (struct tool_field){ .name = name, .kind = TOOL_TRUTH, .number = value };
}

static struct tool_field rate(const char *name, uint64_t value)
{
    struct tool_field field = number(name, value);
    field.kind = value == TOP_UNKNOWN ? TOOL_NO_LIMIT : TOOL_NUMBER;
    return field;
}

static int print_box(const struct tool_args *args, const struct top_look *look, size_t i)
{
    struct tool_field fields[TOP_FIELDS_MAX] = { text("kind", "mailbox") };
    char words[TOOL_STATUS_WORDS];
    size_t n = 1 + tool_status_fields(&look->scene.boxes[i].status, &fields[1], words);
    fields[n++] = rate("in_per_second", look->boxes[i].in_rate);
    fields[n++] = rate("out_per_second", look->boxes[i].out_rate);
    fields[n++] = truth("in_circle", look->boxes[i].in_circle);
    return tool_print_fields(args, fields, n);
}

static int print_party(const struct tool_args *args, const struct top_look *look, size_t i)
{
    const struct tool_scene_party *const here = &look->scene.parties[i];
    const tong_party *const p = &here->party;
    char name[TOP_NAME];
    char program[17];
    tool_scene_program(&look->scene.processes[here->process], program);
    const struct tool_field fields[] = {
        text("kind", p->role == TONG_SEND ? "sender" : "receiver"),
        text("mailbox", top_box_name(look, here->box, name)),
        number("number", p->number),
        pid("pid", p->pid),
        text("program", *program ? program : NULL),
        number("uid", p->uid),
        truth("alive", p->alive),
        truth("asleep", p->asleep),
        number("claimed", p->claimed),
        number("waiting", p->waiting),
        number("sent", p->sent),
        number("done", p->done),
        number("dropped", p->dropped),
        rate("sent_per_second", p->role == TONG_SEND ? look->parties[i].rate : TOP_UNKNOWN),
    };
    return tool_print_fields(args, fields, sizeof(fields) / sizeof(fields[0]));
}

/* One object for each process that a sleeper waits for; one with null where there is none. */
static int print_waits(const struct tool_args *args, const struct top_look *look, size_t i)
{
    enum {
        MOST = 256
    };
    const struct tool_scene_party *const here = &look->scene.parties[i];
    char name[TOP_NAME];
    int32_t pids[MOST];
    if (!here->party.asleep) {
        return TOOL_DONE;
    }
    size_t n = top_wakers(look, i, pids, MOST);
    n = n < MOST ? n : MOST;
    int code = TOOL_DONE;
    for (size_t k = 0; code == TOOL_DONE && (k < n || k == 0); k++) {
        struct tool_field from = n > 0 ? pid("from", pids[k]) : text("from", NULL);
        const struct tool_field fields[] = {
            text("kind", "wait"),
            text("mailbox", top_box_name(look, here->box, name)),
            pid("pid", here->party.pid),
            text("for", here->party.role == TONG_SEND ? "room" : "message"),
            from,
            number("since_ms", (look->at_ns - look->parties[i].since_ns) / 1000000),
            truth("in_circle", look->scene.processes[here->process].in_circle),
        };
        code = tool_print_fields(args, fields, sizeof(fields) / sizeof(fields[0]));
    }
    return code;
}

static int print_link(const struct tool_args *args, const tong_link *link)
{
    const struct tool_field fields[] = {
        text("kind", "link"),
        text("a", link->a),
        text("b", link->b),
        number("waiting_at_b", link->waiting[0]),
        number("waiting_at_a", link->waiting[1]),
    };
    return tool_print_fields(args, fields, sizeof(fields) / sizeof(fields[0]));
}

static int print_json(const struct tool_args *args, const struct top_look *look,
                      const struct top_show *show, size_t only)
{
    char name[TOP_NAME];
    int code = TOOL_DONE;
    for (size_t i = 0; code == TOOL_DONE && i < look->scene.n_boxes; i++) {
        const struct tool_scene_box *const box = &look->scene.boxes[i];
        if ((only != SIZE_MAX && i != only) || !strstr(top_box_name(look, i, name), show->filter)) {
            continue;
        }
        code = print_box(args, look, i);
        for (size_t k = box->first; code == TOOL_DONE && k < box->first + box->n; k++) {
            code = print_party(args, look, k);
        }
        for (size_t k = box->first; code == TOOL_DONE && k < box->first + box->n; k++) {
            code = print_waits(args, look, k);
        }
    }
    for (size_t i = 0; code == TOOL_DONE && only == SIZE_MAX && i < look->n_links; i++) {
        if (strstr(look->links[i].a, show->filter) || strstr(look->links[i].b, show->filter)) {
            code = print_link(args, &look->links[i]);
        }
    }
    return code;
}

/* ---- --once */

static int print_page(const struct tool_args *args, const struct top_look *look,
                      const struct top_show *show, size_t only)
{
    struct top_page page;
    char summary[120];
    const int r =
        only != SIZE_MAX ? top_page_one(look, only, &page) : top_page_all(look, show, &page);
    if (r < 0) {
        return tool_error(args, NULL, r, NULL);
    }
    top_summary(look, summary, sizeof(summary));
    printf("%s\n", summary);
    for (size_t i = 0; i < page.n; i++) {
        const size_t len = strlen(page.lines[i].text);
        size_t end = len;
        while (end > 0 && page.lines[i].text[end - 1] == ' ') {
            end--;
        }
        printf("%.*s\n", (int)end, page.lines[i].text);
    }
    top_page_free(&page);
    return TOOL_DONE;
}

/* Until the second look is due, or waits are to end. */
static void rest(uint64_t ns)
{
    const uint64_t end = top_now_ns() + ns;
    for (uint64_t now = top_now_ns(); now < end && !tool_stopping(); now = top_now_ns()) {
        const struct timespec t = { .tv_sec = (time_t)((end - now) / 1000000000u),
                                    .tv_nsec = (long)((end - now) % 1000000000u) };
        nanosleep(&t, NULL);
    }
}

/* Two looks, for the rates; with --every 0 one. */
static int print_once(const struct tool_args *args, const struct top_show *show, uint64_t every_ns,
                      const char *name)
{
    struct top_look former = { .at_ns = 0 };
    struct top_look look;
    int r = every_ns > 0 ? top_look_take(NULL, NULL, &former) : 0;
    if (r == 0 && every_ns > 0) {
        rest(every_ns);
    }
    if (r == 0) {
        r = top_look_take(args, every_ns > 0 ? &former : NULL, &look);
    }
    top_look_free(&former);
    if (r < 0) {
        return tool_error(args, NULL, r, NULL);
    }
    const size_t only = name ? top_find_box(&look, name) : SIZE_MAX;
    int code;
    if (name && only == SIZE_MAX) {
        code = tool_error(args, name, -ENOENT, NULL);
    } else {
        code = tool_given(args, "--json") ? print_json(args, &look, show, only)
                                          : print_page(args, &look, show, only);
        code = code == TOOL_DONE && look.scene.unseen > 0 ? TOOL_FAILED : code;
    }
    top_look_free(&look);
    return tool_flush(args, code);
}

/* ---- the command */

static int run(const struct tool_args *args)
{
    static const char *const forms[] = { "--once", "--json", NULL };
    struct top_show show = { .filter = "" };
    uint64_t every_ns = 1000000000;
    if (args->n_words > 1 || tool_only_one_of(args, forms)) {
        return args->n_words > 1 ? tool_need_words(args, 1, "the NAME") : TOOL_USAGE;
    }
    const char *const name = args->n_words == 1 ? args->words[0] : NULL;
    if (tool_value_word(args, "--sort", tool_top_words, &show.sort) ||
        tool_value_every(args, &every_ns)) {
        return TOOL_USAGE;
    }
    show.reverse = tool_given(args, "--reverse");
    show.filter = tool_given(args, "--filter") ? tool_value(args, "--filter") : "";
    if (tool_given(args, "--json") && tool_json_need(args)) {
        return TOOL_FAILED;
    }
    if (name) {
        tong_status status = TONG_STATUS_INIT;
        const int r = tong_stat(name, &status);
        if (r < 0) {
            return tool_error(args, name, r, NULL);
        }
    }
    if (tool_given(args, "--once") || tool_given(args, "--json")) {
        return print_once(args, &show, every_ns, name);
    }
    return every_ns == 0 ? tool_wrong_usage(args, "--every: 0 is for --once and --json")
                         : top_screen_run(args, &show, every_ns, name);
}

const struct tool_command tool_top = {
    .name = "top",
    .line = "watch mailboxes: how fast, how full, who waits for whom",
    .usage = "top [NAME] [--sort COLUMN] [--reverse] [--filter TEXT] [--every S]\n"
             "                [--once | --json]",
    .examples = "tong top                         all mailboxes, again each second\n"
                "tong top --once --sort in        one look, the busiest mailbox first",
    .about =
        "Keys: up and down select, Enter shows one mailbox, Esc goes back, s and r change the\n"
        "order, / shows names with a text in them, p stops looking, + and - its pace, q ends.\n"
        "IN/S and OUT/S are messages that came and were finished. SINCE is since when a sleep\n"
        "has certainly lasted, seen from here. Red is a circle of waiting, as in tong graph.\n"
        "Looking writes nothing and wakes nobody.",
    .options =
        (const struct tool_option[]){
            { "--sort", "COLUMN",
              "waiting, name, in, out, senders, blocked, receivers, asleep, claimed, dropped, "
              "deaths, memory" },
            { "--reverse", NULL, "the other way round" },
            { "--filter", "TEXT", "only mailboxes with this in their names" },
            { "--every", "S", "look every S seconds, 1 without it" },
            { "--once", NULL, "print one look as text and end; --every 0: without rates" },
            { "--json", NULL, "the same as an object a line" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = tool_complete_mailbox,
};
