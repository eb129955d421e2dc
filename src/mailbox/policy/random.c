/*
 * By lot among those waiting, each with the same chance, whatever was drawn before: the lot is drawn
 * anew whenever one more waits, so that who stands in the queue last is no less likely.
 *
 * Every receiver has a generator of its own (SplitMix64, Steele, Lea and Flood 2014), begun with a number
 * from the kernel: no state is shared, and none of the C library's is touched.
 */
#include <tong/tong.h>

#include "mailbox/policy/policy.h"

static uint64_t next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint32_t tg_policy_random_below(uint64_t *state, uint32_t limit)
{
    /* Of the numbers above the last whole multiple of limit some would come once more than the rest. */
    const uint64_t most = UINT64_MAX - UINT64_MAX % limit;
    uint64_t drawn;
    do {
        drawn = next(state);
    } while (drawn >= most);
    return (uint32_t)(drawn % limit);
}

static uint32_t needed(const struct tg_arrival *arrival)
{
    return arrival->sleepers + 1;
}

static uint32_t choose(const struct tg_choice *choice)
{
    return tg_policy_random_below(choice->random, choice->n);
}

const struct tg_policy tg_policy_random = {
    .name = "random",
    .delivery = TONG_RANDOM,
    .max_receivers = UINT32_MAX,
    .needed = needed,
    .choose = choose,
};
