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

static void print_head(const char *name, const char *type, const char *unit, const char *help)
{
    printf("# TYPE %s %s\n", name, type);
    if (*unit) {
        printf("# UNIT %s %s\n", name, unit);
    }
    printf("# HELP %s %s\n", name, help);
}

/* ,name="value", with the three bytes escaped that the format wants escaped. */
static void print_label(const char *before, const char *name, const char *value)
{
    printf("%s%s=\"", before, name);
    for (; *value; value++) {
        if (*value == '\n') {
            fputs("\\n", stdout);
        } else {
            if (*value == '"' || *value == '\\') {
                putchar('\\');
            }
            putchar(*value);
        }
    }
    putchar('"');
}

static void print_value(const struct family *family, const void *status)
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
        printf("} +Inf\n");
    } else {
        printf("} %llu\n", (unsigned long long)wide);
    }
}

/* name, carrier, and the start of a sample. */
static void print_sample(const char *family, const char *suffix, const char *name,
                         const char *carrier)
{
    printf("%s%s", family, suffix);
    print_label("{", "name", name);
    print_label(",", "carrier", carrier);
}

static const char *suffix_of(const struct family *family)
{
    return strcmp(family->type, "counter") == 0 ? "_total" : "";
}

static void print_mailboxes(const struct things *things)
{
    print_head("tong_mailbox", "info", "", "What a mailbox is.");
    for (size_t i = 0; i < things->n_mailboxes; i++) {
        const tong_status *const s = &things->mailboxes[i];
        struct tool_field fields[TOOL_STATUS_FIELDS_MAX];
        char words[TOOL_STATUS_WORDS];
        const size_t n = tool_status_fields(s, fields, words);
        print_sample("tong_mailbox", "_info", s->name, s->carrier);
        for (size_t k = 0; k < n; k++) {
            const char *const name = fields[k].name;
            if (strcmp(name, "id") == 0 || strcmp(name, "delivery") == 0 ||
                strcmp(name, "owner") == 0 || strcmp(name, "full") == 0) {
                print_label(",", name, fields[k].text);
            }
        }
        printf("} 1\n");
    }
    for (size_t f = 0; f < N_MAILBOX_FAMILIES; f++) {
        const struct family *const family = &mailbox_families[f];
        print_head(family->name, family->type, family->unit, family->help);
        for (size_t i = 0; i < things->n_mailboxes; i++) {
            const tong_status *const s = &things->mailboxes[i];
            print_sample(family->name, suffix_of(family), s->name, s->carrier);
            print_value(family, s);
        }
    }
}

static void print_regions(const struct things *things)
{
    for (size_t f = 0; f < N_REGION_FAMILIES; f++) {
        const struct family *const family = &region_families[f];
        print_head(family->name, family->type, family->unit, family->help);
        for (size_t i = 0; i < things->n_regions; i++) {
            print_sample(family->name, suffix_of(family), things->regions[i].name, "shm");
            print_value(family, &things->regions[i]);
        }
    }
}

static int run(const struct tool_args *args)
{
    struct things things = { .args = args };
    if (tool_need_words(args, 0, "")) {
        return TOOL_USAGE;
    }
    int r = tong_list(each_mailbox, &things);
    if (r == 0) {
        r = tong_region_list(each_region, &things);
    }
    int code = things.code;
    if (r < 0) {
        code = tool_error(args, NULL, r, NULL);
    } else {
        print_mailboxes(&things);
        print_regions(&things);
        printf("# EOF\n");
        code = tool_flush(args, code);
    }
    free(things.mailboxes);
    free(things.regions);
    return code;
}

const struct tool_command tool_metrics = {
    .name = "metrics",
    .line = "print the numbers of all mailboxes and regions as OpenMetrics text",
    .usage = "metrics",
    .examples = "tong metrics                     all of them, for a collector\n"
                "tong metrics | grep waiting      or a person",
    .about = "For the textfile folder of the node exporter, where a half written file must not be\n"
             "seen: tong metrics >tong.tmp && mv tong.tmp FOLDER/tong.prom",
    .options = (const struct tool_option[]){ { NULL, NULL, NULL } },
    .run = run,
};
