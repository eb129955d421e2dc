/* Deadlines made of time-outs: none, for ever, and those that would overflow. */
#include "base/clock.h"

#include "kit.h"

static void a_time_out_of_0_is_over_and_needs_no_clock(void)
{
    kit_equal(tg_deadline(0), 0);
    kit_true(tg_is_over(0));
}

static void for_ever_never_comes(void)
{
    kit_equal(tg_deadline(TONG_FOREVER), TG_NEVER);
    kit_true(!tg_is_over(TG_NEVER));
}

static void a_time_out_that_would_overflow_is_for_ever(void)
{
    kit_equal(tg_deadline(INT64_MAX), TG_NEVER);
    kit_equal(tg_deadline(INT64_MAX - 1), TG_NEVER);
    kit_equal(tg_deadline(INT64_MAX - tg_now_ns() + TONG_SEC(1)), TG_NEVER);
}

static void the_longest_time_out_that_fits_is_a_deadline(void)
{
    const int64_t now = tg_now_ns();
    const int64_t deadline = tg_deadline(INT64_MAX - now - TONG_SEC(1000));
    kit_true(deadline != TG_NEVER && deadline > now);
    kit_true(!tg_is_over(deadline));
}

static void a_deadline_lies_its_time_out_ahead(void)
{
    const int64_t before = tg_now_ns();
    const int64_t deadline = tg_deadline(TONG_SEC(3600));
    const int64_t after = tg_now_ns();
    kit_true(deadline >= before + TONG_SEC(3600) && deadline <= after + TONG_SEC(3600));
    kit_true(!tg_is_over(deadline));
    kit_true(tg_is_over(before));
}

static void a_short_deadline_comes(void)
{
    const int64_t deadline = tg_deadline(1);
    kit_until(tg_is_over(deadline));
    kit_true(tg_now_ns() >= deadline);
}

static const struct kit_test tests[] = {
    KIT_TEST(a_time_out_of_0_is_over_and_needs_no_clock),
    KIT_TEST(for_ever_never_comes),
    KIT_TEST(a_time_out_that_would_overflow_is_for_ever),
    KIT_TEST(the_longest_time_out_that_fits_is_a_deadline),
    KIT_TEST(a_deadline_lies_its_time_out_ahead),
    KIT_TEST(a_short_deadline_comes),
};

KIT_MAIN(tests)
