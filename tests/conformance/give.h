/*
 * What the tests of giving share: one mailbox, BOX, and puppets that use it by their first handle.
 */
#ifndef TONG_CONFORMANCE_GIVE_H
#define TONG_CONFORMANCE_GIVE_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "puppet.h"

#define BOX kit_name("box")
#define BOTH (TONG_SEND | TONG_RECEIVE)

/* What a puppet does with its first handle. */
#define opens(puppet, flags_) PUPPET(puppet, .verb = PUPPET_OPEN, .name = "box", .flags = (flags_))
#define closes(puppet) PUPPET(puppet, .verb = PUPPET_CLOSE)
#define receives(puppet, wait) PUPPET(puppet, .verb = PUPPET_RECEIVE, .timeout_ns = (wait))
#define begins(puppet, verb_) PUPPET_TELL(puppet, .verb = (verb_), .timeout_ns = KIT_PATIENCE)

/* The puppet makes the mailbox, and owns it. */
static inline void makes(struct puppet *puppet, uint32_t capacity)
{
    struct puppet_order order = { .verb = PUPPET_OPEN,
                                  .name = "box",
                                  .flags = BOTH | TONG_CREATE | TONG_EXCL,
                                  .has_options = true,
                                  .options = kit_capacity(capacity) };
    order.options.owner = TONG_PROCESS;
    kit_gives(puppet_ask(puppet, &order), 0);
}

static inline int64_t gives_to(struct puppet *puppet, const char *process)
{
    struct puppet_order order = { .verb = PUPPET_GIVE };
    snprintf(order.name, sizeof(order.name), "%s", process);
    return puppet_ask(puppet, &order);
}

/* The puppet receives this number. */
#define gets(puppet, wait, number) kit_gives(receives(puppet, wait), (int64_t)(number))

static inline tong_mailbox *open_to_send(void)
{
    return kit_open(BOX, TONG_SEND, NULL);
}

static inline void expect_owner(const struct puppet *puppet)
{
    const tong_status status = kit_stat(BOX);
    kit_equal(status.owner, puppet ? TONG_PROCESS : TONG_SYSTEM);
    kit_equal(status.owner_pid, puppet ? puppet->child.pid : 0);
}

static inline void expect_ended(tong_mailbox *box)
{
    tong_mailbox *other = NULL;
    tong_status status = TONG_STATUS_INIT;
    /* A server hears of the end of a process a moment later. */
    kit_until(strcmp(kit_carrier(), "nats") != 0 || kit_send_u64(box, 1, 0) == -EOWNERDEAD);
    kit_gives(kit_send_u64(box, 1, 0), -EOWNERDEAD);
    kit_gives(kit_send_u64(box, 1, TONG_FOREVER), -EOWNERDEAD);
    kit_gives(tong_give(box, NULL), -EOWNERDEAD);
    kit_gives(tong_open(BOX, TONG_SEND, NULL, &other), -ENOENT);
    kit_gives(tong_stat(BOX, &status), -ENOENT);
    kit_ok(tong_close(box));
    box = kit_create(BOX, NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_equal(kit_receive_u64(box), 1);
    kit_end(box, BOX);
}

#endif
