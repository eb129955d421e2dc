#include "mailbox/policy/policy.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/name.h"

static const struct tg_policy *const table[] = {
    &tg_policy_first_come,  &tg_policy_any,      &tg_policy_exclusive,
    &tg_policy_round_robin, &tg_policy_random,   &tg_policy_least_loaded,
    &tg_policy_by_key,      &tg_policy_everyone, &tg_policy_own,
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

int tg_policy_check(const tong_options *options, uint32_t *ret_delivery)
{
    const uint32_t delivery = options->delivery;
    if (options->policy == NULL) {
        *ret_delivery = delivery;
        return delivery != TONG_OWN && tg_policy_of(delivery) != NULL ? 0 : -EINVAL;
    }
    if (delivery != TONG_OWN && delivery != 0) {
        return -EINVAL;
    }
    *ret_delivery = TONG_OWN;
    if (strnlen(options->policy, TONG_POLICY_MAX) == TONG_POLICY_MAX) {
        return -ENAMETOOLONG;
    }
    return tg_name_check(options->policy);
}
