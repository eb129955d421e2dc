/*
 * Mailboxes of the tests: names with the carrier in front, what a carrier may refuse, and short
 * ways to open, look and pass numbers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kit.h"
#include "kit_private.h"

char kit_folder[PATH_MAX];

/* ------------------------------------------------------------------ carriers */

struct carrier {
    const char *prefix;
    unsigned may_refuse; /* enum kit_ability */
};

/* A prefix that is not here may refuse nothing. */
static const struct carrier carriers[] = {
    { "", 0 },
    { "shm:", 0 },
};

static const char *prefix(void)
{
    const char *text = getenv("TONG_CARRIER");
    return text ? text : "";
}

static unsigned may_refuse(void)
{
    for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++) {
        if (strcmp(carriers[i].prefix, prefix()) == 0) {
            return carriers[i].may_refuse;
        }
    }
    return 0;
}

void kit_needs(enum kit_ability ability)
{
    if (may_refuse() & ability) {
        kit_skip("%s refuses what this test is about", prefix());
    }
}

const char *kit_name(const char *name)
{
    static _Thread_local char names[16][512];
    static _Thread_local unsigned next;
    char *text = names[next++ % 16];
    snprintf(text, sizeof(names[0]), "%s%s", prefix(), name);
    return text;
}

static unsigned abilities_in(const tong_options *options)
{
    unsigned asked = options->owner == TONG_PROCESS ? KIT_PROCESS_OWNED : KIT_SYSTEM_OWNED;
    if (options->capacity == 0) {
        asked |= KIT_RENDEZVOUS;
    }
    if (options->capacity == TONG_UNBOUNDED && options->link_capacity == TONG_UNBOUNDED) {
        asked |= KIT_UNBOUNDED;
    }
    if (options->link_capacity != TONG_DEFAULT && options->link_capacity != TONG_UNBOUNDED) {
        asked |= KIT_LINK_CAPACITY;
    }
    if (options->max_deliveries != 0) {
        asked |= KIT_DEAD_LETTERS;
    }
    return asked;
}

tong_mailbox *kit_open_at(const char *file, int line, const char *name, unsigned flags,
                          const tong_options *options)
{
    tong_mailbox *box = NULL;
    const int r = tong_open(name, flags, options, &box);
    if (r == -EOPNOTSUPP && options && (abilities_in(options) & may_refuse())) {
        kit_skip("%s refuses these options", prefix());
    }
    if (r != 0) {
        kit_fail_at(file, line, "tong_open(%s, 0x%x) gave %d: %s", name, flags, r,
                    tong_strerror(r));
    }
    return box;
}

tong_options kit_options(void)
{
    return (tong_options)TONG_OPTIONS_INIT;
}

tong_options kit_capacity(uint32_t capacity)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.capacity = capacity;
    return options;
}

tong_status kit_stat(const char *name)
{
    tong_status status = TONG_STATUS_INIT;
    kit_ok(tong_stat(name, &status));
    return status;
}

void kit_end_at(const char *file, int line, tong_mailbox *box, const char *name)
{
    const tong_status status = kit_stat(name);
    if (status.backstop_finds != 0) {
        kit_fail_at(file, line, "the back-stop ended %llu sleeps in %s",
                    (unsigned long long)status.backstop_finds, name);
    }
    kit_gives_at(file, line, "tong_close(box)", tong_close(box), 0);
    kit_gives_at(file, line, "tong_remove(name)", tong_remove(name), 0);
}

int kit_send_u64(tong_mailbox *box, uint64_t value, int64_t timeout_ns)
{
    return tong_send(box, &value, sizeof(value), timeout_ns);
}

uint64_t kit_receive_u64_at(const char *file, int line, tong_mailbox *box)
{
    uint64_t value = 0;
    const ssize_t n = tong_receive(box, &value, sizeof(value), KIT_PATIENCE);
    if (n != (ssize_t)sizeof(value)) {
        kit_fail_at(file, line, "tong_receive gave %zd: %s", n, n < 0 ? tong_strerror((int)n) : "");
    }
    return value;
}
