/*
 * A delivery policy: who gets the next message when several receivers want one.
 *
 * One file, one struct, one row in policy.c. The functions are called by the token's holder, do
 * not block, and see numbers only.
 */
#ifndef TG_MAILBOX_POLICY_POLICY_H
#define TG_MAILBOX_POLICY_POLICY_H

#include <stdint.h>

struct tg_policy {
    const char *name;       /* as the command line takes it */
    uint32_t delivery;      /* enum tong_delivery */
    uint32_t max_receivers; /* one more gets -EBUSY */
    /* How many messages must wait before a receiver that has just come takes one, when so many
     * others sleep in the queue. At least 1. The sleeper with the lowest ticket needs 1. */
    uint32_t (*needed)(uint32_t sleepers);
};

extern const struct tg_policy tg_policy_first_come;
extern const struct tg_policy tg_policy_any;
extern const struct tg_policy tg_policy_exclusive;

/* NULL: there is no such policy. */
const struct tg_policy *tg_policy_of(uint32_t delivery);

#endif
