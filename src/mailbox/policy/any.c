/*
 * Whoever reaches it first: nobody waits for a sleeper to wake up, which is the fastest; a woken
 * sleeper may find nothing and goes back to its place.
 */
#include <tong/tong.h>

#include "mailbox/policy/policy.h"

static uint32_t needed(const struct tg_arrival *arrival)
{
    (void)arrival;
    return 1;
}

const struct tg_policy tg_policy_any = {
    .name = "any",
    .delivery = TONG_ANY,
    .max_receivers = UINT32_MAX,
    .needed = needed,
};
