/*
 * Each in turn: of those waiting the one whose slot comes next behind the receiver that took last,
 * around the table. Who does not wait is passed over, and is no worse off for it later. While all wait,
 * each gets every n-th message.
 */
#include <tong/tong.h>

#include "mailbox/policy/policy.h"

static uint32_t needed(const struct tg_arrival *arrival)
{
    return arrival->sleepers + 1;
}

static uint32_t choose(const struct tg_choice *choice)
{
    for (uint32_t i = 0; i < choice->n; i++) {
        if (choice->waiting[i].slot >= choice->served) { /* which is one more than its slot */
            return i;
        }
    }
    return 0;
}

const struct tg_policy tg_policy_round_robin = {
    .name = "round-robin",
    .delivery = TONG_ROUND_ROBIN,
    .max_receivers = UINT32_MAX,
    .needed = needed,
    .choose = choose,
};
