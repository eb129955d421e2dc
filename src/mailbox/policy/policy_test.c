/* Policies as functions of numbers: whom they choose, and what they leave to those who wait. */
#include "mailbox/policy/policy.h"

#include <stdio.h>
#include <string.h>
#include <tong/tong.h>

#include "kit.h"

enum {
    N = 4
};

static struct tg_waiting waiting(uint32_t slot, uint64_t ticket, uint32_t claims)
{
    return (struct tg_waiting){ .slot = slot, .ticket = ticket, .claims = claims };
}

static uint32_t choose(const struct tg_policy *policy, const struct tg_waiting *w, uint32_t n,
                       uint32_t served)
{
    uint64_t state = 1;
    const struct tg_choice choice = { .waiting = w, .n = n, .served = served, .random = &state };
    return w[policy->choose(&choice)].slot;
}

static uint32_t needed(const struct tg_policy *policy, uint32_t sleepers, uint32_t claims,
                       uint32_t fewest)
{
    const struct tg_arrival arrival = { .sleepers = sleepers, .claims = claims, .fewest = fewest };
    return policy->needed(&arrival);
}

static void each_is_found_by_its_number_and_no_other(void)
{
    static const char *const names[] = { "first-come", "any",          "exclusive", "round-robin",
                                         "random",     "least-loaded", "by-key" };
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct tg_policy *policy = tg_policy_of(i);
        kit_true(policy != NULL && policy->delivery == i && strcmp(policy->name, names[i]) == 0);
    }
    kit_true(tg_policy_of(1000) == NULL);
}

static void who_comes_leaves_to_each_sleeper_its_message(void)
{
    kit_equal(needed(&tg_policy_first_come, 3, 0, 0), 4);
    kit_equal(needed(&tg_policy_round_robin, 3, 0, 0), 4);
    kit_equal(needed(&tg_policy_random, 3, 0, 0), 4);
    kit_equal(needed(&tg_policy_by_key, 3, 0, 0), 4);
    kit_equal(needed(&tg_policy_any, 3, 0, 0), 1);
    kit_equal(needed(&tg_policy_exclusive, 3, 0, 0), 1);
}

static void who_has_more_claims_leaves_all_to_the_sleepers(void)
{
    kit_equal(needed(&tg_policy_least_loaded, 2, 0, 0), 3);
    kit_equal(needed(&tg_policy_least_loaded, 2, 1, 3), 3);
    kit_equal(needed(&tg_policy_least_loaded, 2, 1, 0), TG_NEVER_TAKES);
}

static void round_robin_goes_around_the_slots_that_wait(void)
{
    const struct tg_waiting w[] = { waiting(0, 9, 0), waiting(3, 2, 0), waiting(255, 5, 0) };
    const struct tg_policy *p = &tg_policy_round_robin;
    kit_equal(choose(p, w, 3, 0), 0); /* nobody was served yet */
    kit_equal(choose(p, w, 3, 1), 3); /* behind slot 0 */
    kit_equal(choose(p, w, 3, 3), 3); /* behind slot 2, which does not wait */
    kit_equal(choose(p, w, 3, 4), 255);
    kit_equal(choose(p, w, 3, 256), 0);
    kit_equal(choose(p, w + 1, 1, 4), 3); /* the only one, though it was served last */
}

static void least_loaded_is_the_fewest_claims_and_then_the_lowest_ticket(void)
{
    const struct tg_waiting w[] = { waiting(0, 1, 2), waiting(1, 9, 1), waiting(2, 7, 1),
                                    waiting(3, 8, 1) };
    kit_equal(choose(&tg_policy_least_loaded, w, 4, 1), 2);
    kit_equal(choose(&tg_policy_least_loaded, w, 1, 1), 0);
}

/* A fixed seed: what comes out is the same on every machine. 3 degrees of freedom, 5 in a hundred. */
static void a_lot_is_fair(void)
{
    enum {
        DRAWS = 1000000
    };
    uint64_t state = 42;
    uint32_t seen[N] = { 0 };
    for (uint32_t i = 0; i < DRAWS; i++) {
        seen[tg_policy_random_below(&state, N)]++;
    }
    double sum = 0;
    for (uint32_t i = 0; i < N; i++) {
        const double off = (double)seen[i] - DRAWS / N;
        sum += off * off / (DRAWS / N);
    }
    printf("chi-square of a million lots: %.2f\n", sum);
    kit_true(sum > 0.35 && sum < 7.81);
}

static void a_lot_among_one_is_that_one(void)
{
    uint64_t state = 7;
    for (uint32_t i = 0; i < 100; i++) {
        kit_equal(tg_policy_random_below(&state, 1), 0);
        kit_true(tg_policy_random_below(&state, 256) < 256);
    }
}

static const struct kit_test tests[] = {
    KIT_TEST(each_is_found_by_its_number_and_no_other),
    KIT_TEST(who_comes_leaves_to_each_sleeper_its_message),
    KIT_TEST(who_has_more_claims_leaves_all_to_the_sleepers),
    KIT_TEST(round_robin_goes_around_the_slots_that_wait),
    KIT_TEST(least_loaded_is_the_fewest_claims_and_then_the_lowest_ticket),
    KIT_TEST(a_lot_is_fair),
    KIT_TEST(a_lot_among_one_is_that_one),
};

KIT_MAIN(tests)
