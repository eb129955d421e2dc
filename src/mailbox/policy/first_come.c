/*
 * First come, first served: a newcomer leaves to each sleeper the message it waits for, and
 * takes one only if there is one more. No message is assigned to a sleeper, so none is lost
 * with it.
 */
#include <tong/tong.h>

#include "mailbox/policy/policy.h"

static uint32_t needed(const struct tg_arrival *arrival)
{
    return arrival->sleepers + 1;
}

const struct tg_policy tg_policy_first_come = {
    .name = "first-come",
    .delivery = TONG_FIRST_COME,
    .max_receivers = UINT32_MAX,
    .needed = needed,
};
