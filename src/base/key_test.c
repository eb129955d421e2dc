/* Keys as numbers: the same for ever, spread, never 0. */
#include "base/key.h"

#include <string.h>

#include "kit.h"

/* Written down when it was made: a program that stored one finds it again in every version. */
static void the_numbers_never_change(void)
{
    kit_equal(tg_key(NULL, 0), UINT64_C(0xefd01f60ba992926));
    kit_equal(tg_key("a", 1), UINT64_C(0x82a2a958a9bece5b));
    kit_equal(tg_key("customer 17", 11), UINT64_C(0xebb73a428cb02fc6));
    kit_equal(tong_key("customer 17", 11), tg_key("customer 17", 11));
    kit_equal(tong_key(NULL, 0), tg_key("", 0));
}

static void every_byte_counts_and_the_length(void)
{
    uint8_t bytes[64] = { 0 };
    const uint64_t zero = tg_key(bytes, sizeof(bytes));
    kit_true(tg_key(bytes, sizeof(bytes) - 1) != zero);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] = (uint8_t)(1u << bit);
            kit_true(tg_key(bytes, sizeof(bytes)) != zero);
        }
        bytes[i] = 0;
    }
}

/* 64,000 keys that count up, in 64 drawers: none has less than half or more than twice its share. */
static void keys_that_count_up_are_spread(void)
{
    uint32_t drawers[64] = { 0 };
    for (uint32_t key = 0; key < 64000; key++) {
        const uint64_t number = tg_key(&key, sizeof(key));
        kit_true(number != 0);
        drawers[number % 64]++;
    }
    for (size_t i = 0; i < 64; i++) {
        kit_true(drawers[i] > 500 && drawers[i] < 2000);
    }
}

static const struct kit_test tests[] = {
    KIT_TEST(the_numbers_never_change),
    KIT_TEST(every_byte_counts_and_the_length),
    KIT_TEST(keys_that_count_up_are_spread),
};

KIT_MAIN(tests)
