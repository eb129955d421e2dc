/*
 * cmd_metrics.c - `tong metrics`: all mailboxes and regions as OpenMetrics text, for a collector.
 *
 * The format wants all samples of a family together, so that everything is looked at first and then
 * printed family by family. A family is a row of a table: what it is called, and where its number
 * stands in what tong_stat() tells.
 *
 * A counter never falls. What is one word of the mailbox is a counter; a sum over the links is not, since
 * a link that is drained and left takes its part away, and words read one after the other can miss a
 * message on its way from one to the next. Such a number is a gauge here.
 */
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum width {
    U32,
    U64,
    LIMIT, /* 32 bits, TONG_UNBOUNDED is +Inf */
};

struct family {
    const char *name; /* ends in its unit, if it has one */
    const char *type;
    const char *unit;
    const char *help;
    enum width width;
    size_t offset; /* in tong_status, or tong_region_status */
};

#define MAILBOX(field) offsetof(tong_status, field)
#define REGION(field) offsetof(tong_region_status, field)

static const struct family mailbox_families[] = {
    { "tong_done_messages", "counter", "messages", "Finished: received, done or skipped.", U64,
      MAILBOX(done) },
    { "tong_redelivered_messages", "counter", "messages",
      "Given back by a receiver or its death, to be handed out again.", U64, MAILBOX(redelivered) },
    { "tong_dead_letter_messages", "counter", "messages",
      "Handed out too often and moved to the dead-letter mailbox.", U64, MAILBOX(dead_letters) },
    { "tong_expired_messages", "counter", "messages", "Thrown away because their time was over.",
      U64, MAILBOX(expired) },
    { "tong_receiver_deaths", "counter", "", "Receivers found dead.", U64, MAILBOX(deaths) },
    { "tong_sent_messages", "gauge", "messages",
      "Ever sent; while messages move it may be short by those between two words.", U64,
      MAILBOX(sent) },
    { "tong_dropped_messages", "gauge", "messages",
      "Dropped for want of room by the senders whose links are still there.", U64,
      MAILBOX(dropped) },
    { "tong_backstop_finds", "gauge", "",
      "Sleeps that only the back-stop timer ended, 0 is right; falls as dropped does.", U64,
      MAILBOX(backstop_finds) },
    { "tong_waiting_messages", "gauge", "messages", "To be handed out.", U64, MAILBOX(waiting) },
    { "tong_claimed_messages", "gauge", "messages", "Handed out and not done.", U32,
      MAILBOX(claimed) },
    { "tong_set_aside_messages", "gauge", "messages",
      "Handed out too often, and no mailbox takes them.", U32, MAILBOX(set_aside) },
    { "tong_capacity_messages", "gauge", "messages", "Room in the whole mailbox, 0 is rendezvous.",
      LIMIT, MAILBOX(capacity) },
    { "tong_link_capacity_messages", "gauge", "messages", "Room for each sender.", LIMIT,
      MAILBOX(link_capacity) },
    { "tong_memory_bytes", "gauge", "bytes", "Memory its files take.", U64, MAILBOX(bytes) },
    { "tong_memory_limit_bytes", "gauge", "bytes", "Memory its messages may take.", U64,
      MAILBOX(max_bytes) },
    { "tong_links", "gauge", "", "Links, in use or with messages waiting.", U32, MAILBOX(links) },
    { "tong_senders", "gauge", "", "Living senders.", U32, MAILBOX(senders) },
    { "tong_senders_blocked", "gauge", "", "Senders asleep for want of room.", U32,
      MAILBOX(senders_blocked) },
    { "tong_receivers", "gauge", "", "Living receivers.", U32, MAILBOX(receivers) },
    { "tong_receivers_asleep", "gauge", "", "Receivers asleep for want of a message.", U32,
      MAILBOX(receivers_asleep) },
};

static const struct family region_families[] = {
    { "tong_region_size_bytes", "gauge", "bytes", "Size of a region, as asked for.", U64,
      REGION(size) },
    { "tong_region_memory_bytes", "gauge", "bytes", "Memory a region takes.", U64, REGION(bytes) },
    { "tong_region_locked", "gauge", "", "1 while somebody holds the lock.", U32, REGION(locked) },
};

enum {
    N_MAILBOX_FAMILIES = sizeof(mailbox_families) / sizeof(mailbox_families[0]),
    N_REGION_FAMILIES = sizeof(region_families) / sizeof(region_families[0])
};

/* Everything there is, looked at once. */
struct things {
    const struct tool_args *args;
    tong_status *mailboxes;
    size_t n_mailboxes;
    tong_region_status *regions;
    size_t n_regions;
    int code;
};

/* Room for one more. The array doubles when its length reaches a power of two. */
static void *one_more(void *array, size_t n, size_t size)
{
    return n & (n - 1) ? array : realloc(array, (n ? 2 * n : 1) * size);
}

static int each_mailbox(const tong_status *status, int error, void *arg)
{
    struct things *const things = arg;
    char name[TOOL_NAME_TEXT];
    if (error) {
        things->code = TOOL_FAILED;
        tool_error(things->args, tool_name_text(status, name), error, NULL);
        return 0;
    }
    tong_status *const more =
        one_more(things->mailboxes, things->n_mailboxes, sizeof(*things->mailboxes));
    if (!more) {
        return -ENOMEM;
    }
    things->mailboxes = more;
    things->mailboxes[things->n_mailboxes++] = *status;
    return 0;
}

static int each_region(const tong_region_status *status, int error, void *arg)
{
    struct things *const things = arg;
    if (error) {
        things->code = TOOL_FAILED;
        tool_error(things->args, status->name, error, NULL);
        return 0;
    }
    tong_region_status *const more =
        one_more(things->regions, things->n_regions, sizeof(*things->regions));
    if (!more) {
        return -ENOMEM;
    }
    things->regions = more;
    things->regions[things->n_regions++] = *status;
    return 0;
}

static void print_head(FILE *out, const char *name, const char *type, const char *unit,
                       const char *help)
{
    fprintf(out, "# TYPE %s %s\n", name, type);
    if (*unit) {
        fprintf(out, "# UNIT %s %s\n", name, unit);
    }
    fprintf(out, "# HELP %s %s\n", name, help);
}

/* ,name="value", with the three bytes escaped that the format wants escaped. */
static void print_label(FILE *out, const char *before, const char *name, const char *value)
{
    fprintf(out, "%s%s=\"", before, name);
    for (; *value; value++) {
        if (*value == '\n') {
            fputs("\\n", out);
        } else {
            if (*value == '"' || *value == '\\') {
                putc('\\', out);
            }
            putc(*value, out);
        }
    }
    putc('"', out);
}

static void print_value(FILE *out, const struct family *family, const void *status)
{
    const char *const at = (const char *)status + family->offset;
    uint64_t wide = 0;
    uint32_t narrow = 0;
    if (family->width == U64) {
        memcpy(&wide, at, sizeof(wide));
    } else {
        memcpy(&narrow, at, sizeof(narrow));
        wide = narrow;
    }
    if (family->width == LIMIT && narrow == TONG_UNBOUNDED) {
        fprintf(out, "} +Inf\n");
    } else {
        fprintf(out, "} %llu\n", (unsigned long long)wide);
    }
}

/* name, carrier, and the start of a sample. */
static void print_sample(FILE *out, const char *family, const char *suffix, const char *name,
                         const char *carrier)
{
    fprintf(out, "%s%s", family, suffix);
    print_label(out, "{", "name", name);
    print_label(out, ",", "carrier", carrier);
}

static const char *suffix_of(const struct family *family)
{
    return strcmp(family->type, "counter") == 0 ? "_total" : "";
}

static void print_mailboxes(FILE *out, const struct things *things)
{
    print_head(out, "tong_mailbox", "info", "", "What a mailbox is.");
    for (size_t i = 0; i < things->n_mailboxes; i++) {
        const tong_status *const s = &things->mailboxes[i];
        struct tool_field fields[TOOL_STATUS_FIELDS_MAX];
        char words[TOOL_STATUS_WORDS];
        const size_t n = tool_status_fields(s, fields, words);
        print_sample(out, "tong_mailbox", "_info", s->name, s->carrier);
        for (size_t k = 0; k < n; k++) {
            const char *const name = fields[k].name;
            if (strcmp(name, "id") == 0 || strcmp(name, "delivery") == 0 ||
                strcmp(name, "owner") == 0 || strcmp(name, "full") == 0) {
                print_label(out, ",", name, fields[k].text);
            }
        }
        fprintf(out, "} 1\n");
    }
    for (size_t f = 0; f < N_MAILBOX_FAMILIES; f++) {
        const struct family *const family = &mailbox_families[f];
        print_head(out, family->name, family->type, family->unit, family->help);
        for (size_t i = 0; i < things->n_mailboxes; i++) {
            const tong_status *const s = &things->mailboxes[i];
            print_sample(out, family->name, suffix_of(family), s->name, s->carrier);
            print_value(out, family, s);
        }
    }
}

static void print_regions(FILE *out, const struct things *things)
{
    for (size_t f = 0; f < N_REGION_FAMILIES; f++) {
        const struct family *const family = &region_families[f];
        print_head(out, family->name, family->type, family->unit, family->help);
        for (size_t i = 0; i < things->n_regions; i++) {
            print_sample(out, family->name, suffix_of(family), things->regions[i].name, "shm");
            print_value(out, family, &things->regions[i]);
        }
    }
}

/* Looks and prints. 0, or a negative errno; what could not be looked at is in *ret_code. */
static int print_all(FILE *out, const struct tool_args *args, int *ret_code)
{
    struct things things = { .args = args };
    int r = tong_list(each_mailbox, &things);
    if (r == 0) {
        r = tong_region_list(each_region, &things);
    }
    if (r == 0) {
        print_mailboxes(out, &things);
        print_regions(out, &things);
        fprintf(out, "# EOF\n");
    }
    *ret_code = things.code;
    free(things.mailboxes);
    free(things.regions);
    return r;
}

static char *make_page(void *arg, size_t *ret_len)
{
    char *page = NULL;
    int code;
    FILE *const out = open_memstream(&page, ret_len);
    if (!out) {
        return NULL;
    }
    const int r = print_all(out, arg, &code);
    if (fclose(out) != 0 || r < 0) {
        free(page);
        *ret_len = 0;
        return NULL;
    }
    return page;
}

static int run(const struct tool_args *args)
{
    if (tool_need_words(args, 0, "")) {
        return TOOL_USAGE;
    }
    if (tool_given(args, "--listen")) {
        return tool_listen(args, tool_value(args, "--listen"), make_page, (void *)(uintptr_t)args);
    }
    int code;
    const int r = print_all(stdout, args, &code);
    return r < 0 ? tool_error(args, NULL, r, NULL) : tool_flush(args, code);
}

const struct tool_command tool_metrics = {
    .name = "metrics",
    .line = "print the numbers of all mailboxes and regions as OpenMetrics text",
    .usage = "metrics [--listen ADDRESS:PORT]",
    .examples = "tong metrics                     all of them, for a collector\n"
                "tong metrics | grep waiting      or a person",
    .about = "For the textfile folder of the node exporter, where a half written file must not be\n"
             "seen: tong metrics >tong.tmp && mv tong.tmp FOLDER/tong.prom",
    .options =
        (const struct tool_option[]){
            { "--listen", "A:PORT", "answer HTTP there, as 127.0.0.1:9464, until it is stopped" },
            { NULL, NULL, NULL },
        },
    .run = run,
};
