/* One receiver at a time: links of this mailbox join at most two processes. */
#include <tong/tong.h>

#include "mailbox/policy/policy.h"

static uint32_t needed(const struct tg_arrival *arrival)
{
    (void)arrival;
    return 1;
}

const struct tg_policy tg_policy_exclusive = {
    .name = "exclusive",
    .delivery = TONG_EXCLUSIVE,
    .max_receivers = 1,
    .needed = needed,
};
