/*
 * To everyone: each receiver gets every message. Nobody chooses, for each takes from a book of its own, in
 * which it is alone: see everyone.c.
 */
#include <tong/tong.h>

#include "mailbox/policy/policy.h"

static uint32_t needed(const struct tg_arrival *arrival)
{
    (void)arrival;
    return 1;
}

const struct tg_policy tg_policy_everyone = {
    .name = "everyone",
    .delivery = TONG_EVERYONE,
    .max_receivers = UINT32_MAX,
    .needed = needed,
};
