/*
 * What the tests of direct communication share: processes played by puppets, and what tong_links tells.
 */
#ifndef TONG_CONFORMANCE_DIRECT_H
#define TONG_CONFORMANCE_DIRECT_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "puppet.h"

/* A puppet that is the process of that name. Its orders come by a mailbox of another name. */
static inline struct puppet starts_as(const char *orders, const char *name)
{
    struct puppet puppet = puppet_start(orders);
    struct puppet_order order = { .verb = PUPPET_PROCESS };
    snprintf(order.name, sizeof(order.name), "%s", name);
    kit_ok(puppet_ask(&puppet, &order));
    return puppet;
}

/* The same with a capacity. */
static inline struct puppet starts_with(const char *orders, const char *name, uint32_t capacity)
{
    struct puppet puppet = puppet_start(orders);
    struct puppet_order order = { .verb = PUPPET_PROCESS,
                                  .has_options = true,
                                  .options = kit_capacity(capacity) };
    snprintf(order.name, sizeof(order.name), "%s", name);
    kit_ok(puppet_ask(&puppet, &order));
    return puppet;
}

#define sends_to(puppet, to, number, wait)                                                         \
    PUPPET(puppet, .verb = PUPPET_SEND_TO, .name = to, .value = (number), .timeout_ns = (wait))
#define gets_from(puppet, from, wait)                                                              \
    PUPPET(puppet, .verb = PUPPET_RECEIVE_FROM, .name = from, .timeout_ns = (wait))
#define gets_any(puppet, from, wait)                                                               \
    PUPPET(puppet, .verb = PUPPET_RECEIVE_ANY, .name = from, .timeout_ns = (wait))
#define begins_from(puppet, from, wait)                                                            \
    PUPPET_TELL(puppet, .verb = PUPPET_RECEIVE_FROM, .name = from, .timeout_ns = (wait))
#define begins_to(puppet, to, number, wait)                                                        \
    PUPPET_TELL(puppet, .verb = PUPPET_SEND_TO, .name = to, .value = (number), .timeout_ns = (wait))
#define renames(puppet, to) PUPPET(puppet, .verb = PUPPET_RENAME, .name = to)
#define leaves(puppet) PUPPET(puppet, .verb = PUPPET_PROCESS, .name = "")
#define becomes(puppet, as) PUPPET(puppet, .verb = PUPPET_PROCESS, .name = as)

/* "A <-> B" for each pair, joined by commas; with "!" behind one that has a file more than lanes. */
struct pairs {
    char text[1024];
    uint64_t waiting;
};

static inline int add_pair(const tong_link *link, void *arg)
{
    struct pairs *pairs = arg;
    const size_t len = strlen(pairs->text);
    const uint32_t lanes = (link->lanes & 1) + (link->lanes >> 1);
    snprintf(pairs->text + len, sizeof(pairs->text) - len, "%s%s <-> %s%s", len != 0 ? ", " : "",
             link->a, link->b, link->files != lanes ? "!" : "");
    pairs->waiting += link->waiting[0] + link->waiting[1];
    return 0;
}

static inline struct pairs all_pairs(void)
{
    struct pairs pairs = { .text = "" };
    kit_ok(tong_links(add_pair, &pairs));
    return pairs;
}

#define pairs_are(want)                                                                            \
    do {                                                                                           \
        const struct pairs pairs_ = all_pairs();                                                   \
        if (strcmp(pairs_.text, want) != 0) {                                                      \
            kit_fail("links are \"%s\", not \"%s\"", pairs_.text, want);                           \
        }                                                                                          \
    } while (0)

#endif
