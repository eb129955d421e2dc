#include "mailbox/policy/policy.h"

#include <stddef.h>

static const struct tg_policy *const table[] = {
    &tg_policy_first_come,  &tg_policy_any,    &tg_policy_exclusive,
    &tg_policy_round_robin, &tg_policy_random, &tg_policy_least_loaded,
};

const struct tg_policy *tg_policy_of(uint32_t delivery)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i]->delivery == delivery) {
            return table[i];
        }
    }
    return NULL;
}
