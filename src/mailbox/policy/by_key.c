/*
 * By key: messages of one key all go to one receiver, the one that took the first of them, for as long as it
 * is there (keys.c). What has no key, or one that is nobody's yet, goes as with first-come.
 */
#include <tong/tong.h>

#include "mailbox/policy/policy.h"

static uint32_t needed(const struct tg_arrival *arrival)
{
    return arrival->sleepers + 1;
}

const struct tg_policy tg_policy_by_key = {
    .name = "by-key",
    .delivery = TONG_BY_KEY,
    .max_receivers = UINT32_MAX,
    .by_key = true,
    .needed = needed,
};
