/*
 * The least loaded: of those waiting the one with the fewest claims, of several the one that has
 * waited longest. Nobody takes another message while one with fewer waits, however many there are:
 * so an idle worker never waits while another one holds two.
 */
#include <tong/tong.h>

#include "mailbox/policy/policy.h"

static uint32_t needed(const struct tg_arrival *arrival)
{
    return arrival->claims <= arrival->fewest ? arrival->sleepers + 1 : TG_NEVER_TAKES;
}

static uint32_t choose(const struct tg_choice *choice)
{
    const struct tg_waiting *w = choice->waiting;
    uint32_t best = 0;
    for (uint32_t i = 1; i < choice->n; i++) {
        if (w[i].claims < w[best].claims ||
            (w[i].claims == w[best].claims && w[i].ticket < w[best].ticket)) {
            best = i;
        }
    }
    return best;
}

const struct tg_policy tg_policy_least_loaded = {
    .name = "least-loaded",
    .delivery = TONG_LEAST_LOADED,
    .max_receivers = UINT32_MAX,
    .by_claims = true,
    .again = true,
    .needed = needed,
    .choose = choose,
};
