/*
 * The carrier that a test runs over: the prefix in TONG_CARRIER ("mq:"), and what that one may refuse.
 *
 * The table is the one of docs/carriers.md, read here: a cell that begins with "no" allows a carrier to
 * refuse. A test that needs such a thing is skipped, with the reason of the cell, but only if the carrier
 * really refuses it; whatever else is refused, and whatever is listed and works, fails the test.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"
#include "kit_private.h"

const char *kit_carrier(void)
{
    static _Thread_local char name[16];
    const char *text = getenv("TONG_CARRIER");
    snprintf(name, sizeof(name), "%s", text && text[0] ? text : "shm");
    name[strcspn(name, ":")] = '\0';
    return name;
}

const char *kit_name(const char *name)
{
    static _Thread_local char names[16][512];
    static _Thread_local unsigned next;
    const char *prefix = getenv("TONG_CARRIER");
    char *text = names[next++ % 16];
    snprintf(text, sizeof(names[0]), "%s%s", prefix ? prefix : "", name);
    return text;
}

/* What a test finds room for that asks for none: enough for most of them. */
#define SMALL 100u

/* ------------------------------------------------------------------ the table */

/* The nth cell of a row, from 0 on, without the spaces around it. */
static bool cell_of(const char *row, unsigned nth, char *ret_cell, size_t size)
{
    const char *at = strchr(row, '|');
    for (unsigned i = 0; at && i < nth; i++) {
        at = strchr(at + 1, '|');
    }
    const char *end = at ? strchr(at + 1, '|') : NULL;
    if (!end) {
        return false;
    }
    at += 1 + strspn(at + 1, " ");
    while (end > at && end[-1] == ' ') {
        end--;
    }
    snprintf(ret_cell, size, "%.*s", (int)(end - at), at);
    return true;
}

/* Read once, by who runs the tests: a test may stand where the file cannot be seen, or where no call may
 * be a cancellation point. */
static char table[1 << 16];

void kit_read_carriers(void)
{
    FILE *file = fopen(KIT_CARRIERS_TABLE, "re");
    if (file) {
        table[fread(table, 1, sizeof(table) - 1, file)] = '\0';
        fclose(file);
    }
}

/* The line that begins at *at, which goes on to the next one; false behind the last. */
static bool next_line(const char **at, char *ret_line, size_t size)
{
    const size_t len = strcspn(*at, "\n");
    if (**at == '\0') {
        return false;
    }
    snprintf(ret_line, size, "%.*s", (int)len, *at);
    *at += len + ((*at)[len] == '\n');
    return true;
}

static unsigned column_of(const char *head, const char *carrier)
{
    char cell[1024];
    for (unsigned i = 1; cell_of(head, i, cell, sizeof(cell)); i++) {
        if (strcmp(cell, carrier) == 0) {
            return i;
        }
    }
    kit_fail("%s has no column %s", KIT_CARRIERS_TABLE, carrier);
}

void kit_carrier_says(const char *carrier, const char *word, char *ret_cell, size_t size)
{
    const char *at = table;
    char line[2048];
    char first[1024];
    char begin[64];
    unsigned column = 0;
    bool found = false;
    snprintf(begin, sizeof(begin), "`%s`", word);
    if (table[0] == '\0') {
        kit_fail("%s cannot be read", KIT_CARRIERS_TABLE);
    }
    while (!found && next_line(&at, line, sizeof(line))) {
        if (line[0] != '|' || !cell_of(line, 0, first, sizeof(first))) {
            continue;
        }
        if (strcmp(first, "choice") == 0) {
            column = column_of(line, carrier);
        } else if (strncmp(first, begin, strlen(begin)) == 0) {
            found = cell_of(line, column, ret_cell, size);
        }
    }
    if (!found) {
        kit_fail("%s has no row %s", KIT_CARRIERS_TABLE, begin);
    }
}

/* ------------------------------------------------------------------ what is refused, and whether it is */

static bool refuses_options(const tong_options *options)
{
    const char *name = kit_name("kit-asks");
    tong_mailbox *box = NULL;
    const int r = tong_open(name, TONG_SEND | TONG_RECEIVE | TONG_CREATE, options, &box);
    if (r == 0) {
        kit_ok(tong_close(box));
        (void)tong_remove(name);
    }
    return r == -EOPNOTSUPP;
}

static bool refuses_rendezvous(void)
{
    tong_options options = kit_options();
    options.capacity = 0;
    return refuses_options(&options);
}

static bool refuses_link_capacity(void)
{
    tong_options options = kit_options();
    options.link_capacity = 3;
    return refuses_options(&options);
}

static bool refuses_unbounded(void)
{
    tong_options options = kit_options();
    options.capacity = TONG_UNBOUNDED;
    options.link_capacity = TONG_UNBOUNDED;
    return refuses_options(&options);
}

static bool refuses_system_owned(void)
{
    tong_options options = kit_options();
    options.owner = TONG_SYSTEM;
    return refuses_options(&options);
}

static size_t choose_first(const tong_waiting *waiting, size_t n, void *arg)
{
    (void)waiting;
    (void)n;
    (void)arg;
    return 0;
}

static bool refuses_own_policy(void)
{
    tong_options options = kit_options();
    options.policy = "kit-first";
    const int r = tong_policy_register("kit-first", choose_first, NULL);
    kit_true(r == 0 || r == -EEXIST);
    return refuses_options(&options);
}

static bool refuses_everyone(void)
{
    tong_options options = kit_options();
    options.delivery = TONG_EVERYONE;
    return refuses_options(&options);
}

static bool refuses_drop_oldest(void)
{
    tong_options options = kit_capacity(3);
    options.full = TONG_DROP_OLDEST;
    return refuses_options(&options);
}

static bool refuses_by_key(void)
{
    tong_options options = kit_options();
    options.delivery = TONG_BY_KEY;
    return refuses_options(&options);
}

static bool refuses_by_priority(void)
{
    tong_options options = kit_options();
    options.by_priority = 1;
    return refuses_options(&options);
}

static bool refuses_dead_letter(void)
{
    tong_options options = kit_options();
    options.max_deliveries = 3;
    return refuses_options(&options);
}

static bool refuses_give(void)
{
    const char *name = kit_name("kit-asks");
    tong_mailbox *box = NULL;
    const tong_options options = kit_options();
    kit_ok(tong_open(name, TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options, &box));
    const int r = tong_give(box, NULL);
    kit_ok(tong_close(box));
    (void)tong_remove(name);
    return r == -EOPNOTSUPP;
}

static bool refuses_in_place(void)
{
    const char *name = kit_name("kit-asks");
    tong_mailbox *box = NULL;
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_open(name, TONG_SEND | TONG_RECEIVE | TONG_CREATE, NULL, &box));
    const int r = tong_reserve(box, 8, 0, &slot);
    if (r == 0) {
        kit_ok(tong_abort(box, &slot));
    }
    kit_ok(tong_close(box));
    (void)tong_remove(name);
    return r == -EOPNOTSUPP;
}

static bool refuses_descriptors(void)
{
    const char *name = kit_name("kit-asks");
    tong_mailbox *box = NULL;
    int fd = -1;
    kit_ok(tong_open(name, TONG_SEND | TONG_RECEIVE | TONG_CREATE, NULL, &box));
    const int sent = tong_send_fd(box, "x", 1, STDIN_FILENO, 0);
    const ssize_t got = tong_receive_fd(box, NULL, 0, 0, &fd, NULL);
    kit_ok(tong_close(box));
    (void)tong_remove(name);
    return sent == -EOPNOTSUPP && got == -EOPNOTSUPP && fd == -1;
}

static const struct feature {
    enum kit_ability ability;
    const char *word;
    bool (*refused)(void); /* NULL: it is no matter of a call, the table alone says it */
} features[] = {
    { KIT_SYSTEM_OWNED, "system-owned", refuses_system_owned },
    { KIT_RENDEZVOUS, "rendezvous", refuses_rendezvous },
    { KIT_UNBOUNDED, "unbounded", refuses_unbounded },
    { KIT_LINK_CAPACITY, "link-capacity", refuses_link_capacity },
    { KIT_IN_PLACE, "in-place", refuses_in_place },
    { KIT_OWN_POLICY, "own-policy", refuses_own_policy },
    { KIT_BY_KEY, "by-key", refuses_by_key },
    { KIT_BY_PRIORITY, "by-priority", refuses_by_priority },
    { KIT_DEATH_NOTICE, "death-notice", NULL },
    { KIT_EVERYONE, "everyone", refuses_everyone },
    { KIT_OTHERS_RECEIVE, "others-receive", NULL },
    { KIT_DROP_OLDEST, "drop-oldest", refuses_drop_oldest },
    { KIT_DESCRIPTORS, "descriptors", refuses_descriptors },
    { KIT_DEAD_LETTER, "dead-letter", refuses_dead_letter },
    { KIT_GIVE, "give", refuses_give },
};

#define N_FEATURES (sizeof(features) / sizeof(features[0]))

static bool may_refuse(const struct feature *feature, char *ret_cell, size_t size)
{
    kit_carrier_says(kit_carrier(), feature->word, ret_cell, size);
    if (strncmp(ret_cell, "yes", 3) != 0 && strncmp(ret_cell, "no: ", 4) != 0) {
        kit_fail("%s of %s is \"%s\", not yes or no: WHY", feature->word, kit_carrier(), ret_cell);
    }
    return ret_cell[0] == 'n';
}

bool kit_is_refused(unsigned abilities)
{
    char cell[1024];
    for (size_t i = 0; i < N_FEATURES; i++) {
        if ((features[i].ability & abilities) != 0 &&
            may_refuse(&features[i], cell, sizeof(cell))) {
            return true;
        }
    }
    return false;
}

void kit_needs(unsigned abilities)
{
    char cell[1024];
    for (size_t i = 0; i < N_FEATURES; i++) {
        const struct feature *const f = &features[i];
        if ((f->ability & abilities) == 0 || !may_refuse(f, cell, sizeof(cell))) {
            continue;
        }
        if (f->refused && !f->refused()) {
            kit_fail("docs/carriers.md lists %s as refused by %s, but it is not", f->word,
                     kit_carrier());
        }
        kit_skip("%s has no %s: %s", kit_carrier(), f->word, cell + strlen("no: "));
    }
}

uint32_t kit_verified(void)
{
    return strcmp(kit_carrier(), "nats") == 0 ? 0 : TONG_VERIFIED_UID;
}

uint64_t kit_fewer(uint64_t n)
{
    return strcmp(kit_carrier(), "nats") == 0 ? n / 20 + 1 : n;
}

void kit_not(const char *carrier, const char *why)
{
    if (strcmp(kit_carrier(), carrier) == 0) {
        kit_skip("not %s: %s", carrier, why);
    }
}

void kit_only(const char *carrier, const char *why)
{
    if (strcmp(kit_carrier(), carrier) != 0) {
        kit_skip("%s alone: %s", carrier, why);
    }
}

/* ------------------------------------------------------------------ opening */

tong_options kit_options(void)
{
    tong_options options = TONG_OPTIONS_INIT;
    if (kit_is_refused(KIT_SYSTEM_OWNED)) {
        options.owner = TONG_PROCESS;
    }
    if (kit_carrier_is_small()) {
        options.capacity = SMALL;
    }
    return options;
}

tong_options kit_options_for(uint32_t messages)
{
    tong_options options = kit_options();
    if (kit_carrier_is_small()) {
        options.capacity = messages;
    }
    return options;
}

tong_options kit_capacity(uint32_t capacity)
{
    tong_options options = kit_options();
    options.capacity = capacity;
    return options;
}

static unsigned abilities_in(const tong_options *options)
{
    unsigned asked = options->owner == TONG_SYSTEM ? KIT_SYSTEM_OWNED : 0;
    if (options->capacity == 0) {
        asked |= KIT_RENDEZVOUS;
    }
    if (options->capacity == TONG_UNBOUNDED && options->link_capacity == TONG_UNBOUNDED) {
        asked |= KIT_UNBOUNDED;
    }
    if (options->link_capacity != TONG_DEFAULT && options->link_capacity != TONG_UNBOUNDED) {
        asked |= KIT_LINK_CAPACITY;
    }
    if (options->delivery == TONG_EVERYONE) {
        asked |= KIT_EVERYONE;
    }
    if (options->full == TONG_DROP_OLDEST) {
        asked |= KIT_DROP_OLDEST;
    }
    if (options->delivery == TONG_BY_KEY) {
        asked |= KIT_BY_KEY;
    }
    if (options->by_priority != 0) {
        asked |= KIT_BY_PRIORITY;
    }
    if (options->max_deliveries != 0) {
        asked |= KIT_DEAD_LETTER;
    }
    if (options->policy || options->delivery == TONG_OWN) {
        asked |= KIT_OWN_POLICY;
    }
    return asked;
}

tong_mailbox *kit_open_at(const char *file, int line, const char *name, unsigned flags,
                          const tong_options *options)
{
    tong_mailbox *box = NULL;
    const bool makes = (flags & TONG_CREATE) != 0 && kit_carrier_is_small();
    const tong_options own = kit_options();
    int r = tong_open(name, flags, makes && !options ? &own : options, &box);
    if (r == -EEXIST && makes && !options && (flags & TONG_EXCL) == 0) {
        r = tong_open(name, flags, NULL, &box);
    }
    if (r == -EOPNOTSUPP && options) {
        kit_needs(abilities_in(options));
    }
    if (r == -ENOSPC && makes && !options) {
        const tong_options few = kit_options_for(8);
        r = tong_open(name, flags, &few, &box);
    }
    if (r == -ENOSPC && makes) {
        kit_skip("%s cannot hold so much on this machine", kit_carrier());
    }
    if (r != 0) {
        kit_fail_at(file, line, "tong_open(%s, 0x%x) gave %d: %s", name, flags, r,
                    tong_strerror(r));
    }
    return box;
}

const char *kit_box_path(const char *name)
{
    char inner[256];
    snprintf(inner, sizeof(inner), "%s%s", strcmp(kit_carrier(), "mq") == 0 ? ".mq/" : "", name);
    return kit_path(inner);
}

/* Whatever is asked: the others do where the mailbox is by priority. */
static bool orders_by_priority(void)
{
    return strcmp(kit_carrier(), "mq") == 0;
}

void kit_needs_order(void)
{
    if (orders_by_priority()) {
        kit_skip("%s hands out messages of the highest priority first", kit_carrier());
    }
}

uint32_t kit_priority(uint32_t priority)
{
    return orders_by_priority() ? 0 : priority;
}

uint64_t kit_room(uint64_t wanted)
{
    return kit_carrier_is_small() && wanted > SMALL ? SMALL : wanted;
}

/* Its room is a limit of the system that an ordinary user cannot raise. */
bool kit_carrier_is_small(void)
{
    return strcmp(kit_carrier(), "mq") == 0;
}
