/* What a record says beside its payload: what is written is read, and nothing else is believed. */
#include "mailbox/said.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kit.h"

static struct tg_said sample(const char *reply_to, bool with_origin)
{
    struct tg_said said = { .has_attributes = true, .has_origin = with_origin };
    said.attributes = (struct tg_attributes){
        .priority = 31, .tag = UINT64_MAX, .key = 2, .call = 3, .sent_ns = 4, .deadline_ns = 5
    };
    said.origin.deliveries = 7;
    said.origin.sequence = 8;
    strcpy(said.reply_to, reply_to);
    strcpy(said.origin.name, "jobs");
    return said;
}

static void what_is_written_is_read(void)
{
    static const char *const names[] = { "", "a", "fifteen-letters", "sixteen-letters.",
                                         "17-letters-are-it" };
    uint8_t bytes[TG_EXTENSION_MOST];
    for (size_t i = 0; i < 2 * sizeof(names) / sizeof(names[0]); i++) {
        const struct tg_said said = sample(names[i / 2], i % 2 != 0);
        struct tg_said back;
        const uint32_t len = tg_said_write(&said, bytes);
        kit_true(len % 16 == 0 && len <= sizeof(bytes));
        kit_ok(tg_said_parse(bytes, len, &back));
        kit_true(back.has_attributes && back.has_origin == said.has_origin);
        kit_true(strcmp(back.reply_to, said.reply_to) == 0);
        kit_equal(back.attributes.priority, 31);
        kit_equal(back.attributes.tag, UINT64_MAX);
        kit_equal(back.attributes.key, 2);
        kit_equal(back.attributes.call, 3);
        kit_equal(back.attributes.sent_ns, 4);
        kit_equal(back.attributes.deadline_ns, 5);
        kit_true(!back.has_origin || (back.origin.deliveries == 7 && back.origin.sequence == 8 &&
                                      strcmp(back.origin.name, "jobs") == 0));
    }
}

static void the_longest_fits(void)
{
    struct tg_said said = sample("", true);
    struct tg_said back;
    uint8_t bytes[TG_EXTENSION_MOST];
    memset(said.reply_to, 'n', TONG_NAME_MAX - 1);
    said.reply_to[TONG_NAME_MAX - 1] = '\0';
    kit_equal(tg_said_write(&said, bytes), TG_EXTENSION_MOST);
    kit_ok(tg_said_parse(bytes, TG_EXTENSION_MOST, &back));
    kit_true(strcmp(back.reply_to, said.reply_to) == 0);
}

static void nothing_said_is_nothing(void)
{
    struct tg_said said = { .has_attributes = true, .has_origin = true };
    kit_ok(tg_said_parse(NULL, 0, &said));
    kit_true(!said.has_attributes && !said.has_origin && said.reply_to[0] == '\0');
    tong_message info = TONG_MESSAGE_INIT;
    info.key = info.tag = info.call = info.sent_ns = info.priority = 9;
    info.reply_to[0] = 'x';
    tg_said_tell(NULL, &info);
    kit_true((info.key | info.tag | info.call | info.sent_ns | info.priority) == 0);
    kit_true(info.reply_to[0] == '\0');
}

static void every_length_but_the_right_one_is_refused(void)
{
    const struct tg_said said = sample("answers", true);
    uint8_t bytes[TG_EXTENSION_MOST];
    struct tg_said back;
    const uint32_t len = tg_said_write(&said, bytes);
    const uint32_t first = len - (uint32_t)sizeof(struct tg_origin);
    for (uint32_t i = 1; i < len; i++) {
        kit_gives(tg_said_parse(bytes, i, &back), i == first ? 0 : -EPROTO);
    }
}

static void refused(const struct tg_said *said, size_t at, uint32_t value)
{
    uint8_t bytes[TG_EXTENSION_MOST];
    struct tg_said back;
    const uint32_t len = tg_said_write(said, bytes);
    memcpy(bytes + at, &value, sizeof(value));
    kit_gives(tg_said_parse(bytes, len, &back), -EPROTO);
}

static void what_cannot_be_is_refused(void)
{
    const struct tg_said said = sample("answers", false);
    refused(&said, offsetof(struct tg_attributes, magic), 0);
    refused(&said, offsetof(struct tg_attributes, size), 0);
    refused(&said, offsetof(struct tg_attributes, size), 7);
    refused(&said, offsetof(struct tg_attributes, size), 64);
    refused(&said, offsetof(struct tg_attributes, size), UINT32_MAX & ~15u);
    refused(&said, offsetof(struct tg_attributes, priority), TG_PRIORITIES);
    refused(&said, offsetof(struct tg_attributes, priority), UINT32_MAX);
    refused(&said, offsetof(struct tg_attributes, reply_size), 0);
    refused(&said, offsetof(struct tg_attributes, reply_size), 17);
    refused(&said, offsetof(struct tg_attributes, reply_size), UINT32_MAX);
    /* A name of fewer bytes than it says, one with a slash, one that the library could have. */
    refused(&said, sizeof(struct tg_attributes), 0);
    refused(&said, sizeof(struct tg_attributes), UINT32_C(0x2f2f2f2f));
    refused(&said, sizeof(struct tg_attributes), UINT32_C(0x61616161) - 0x61 + '.');
}

static void a_part_may_stand_once_and_in_its_order(void)
{
    struct tg_said back;
    const struct tg_said said = sample("", true);
    uint8_t bytes[2 * TG_EXTENSION_MOST];
    const uint32_t len = tg_said_write(&said, bytes);
    const uint32_t first = (uint32_t)sizeof(struct tg_attributes);
    memcpy(bytes + len, bytes, first);
    kit_gives(tg_said_parse(bytes, len + first, &back), -EPROTO);
    kit_gives(tg_said_parse(bytes + first, len, &back), -EPROTO);
    kit_ok(tg_said_parse(bytes + first, len - first, &back));
    kit_true(!back.has_attributes && back.has_origin);
    memcpy(bytes + len, bytes + first, sizeof(struct tg_origin));
    kit_gives(tg_said_parse(bytes, len + sizeof(struct tg_origin), &back), -EPROTO);
}

static void random_bytes_are_never_more_than_they_are(void)
{
    struct kit_random random = kit_random_stream(0);
    const struct tg_said said = sample("answers", true);
    for (uint32_t i = 0; i < 100000; i++) {
        /* In memory of just this length: the sanitizers see a look behind it. */
        uint8_t whole[TG_EXTENSION_MOST];
        struct tg_said back;
        const uint32_t most = tg_said_write(&said, whole);
        const uint32_t len = (uint32_t)kit_random_below(&random, most / 16 + 1) * 16;
        uint8_t *bytes = malloc(len + 1);
        kit_true(bytes != NULL);
        memcpy(bytes, whole, len);
        for (uint64_t k = kit_random_below(&random, 4); k > 0 && len > 0; k--) {
            bytes[kit_random_below(&random, len)] = (uint8_t)kit_random(&random);
        }
        if (tg_said_parse(bytes, len, &back) == 0) {
            kit_true(back.attributes.priority < TG_PRIORITIES);
            kit_true(memchr(back.reply_to, 0, sizeof(back.reply_to)) != NULL);
            kit_true(!back.has_origin ||
                     memchr(back.origin.name, 0, sizeof(back.origin.name)) != NULL);
        }
        free(bytes);
    }
}

static void options_that_cannot_be_are_refused(void)
{
    struct tg_said said;
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.priority = TONG_PRIORITY_MAX;
    kit_ok(tg_said_from(&with, &said));
    with.priority++;
    kit_gives(tg_said_from(&with, &said), -EINVAL);
    with.priority = 0;
    with.expiry_ns = -1;
    kit_gives(tg_said_from(&with, &said), -EINVAL);
    with.expiry_ns = 0;
    with.reply_to = "";
    kit_gives(tg_said_from(&with, &said), -EINVAL);
    with.reply_to = "a/b";
    kit_gives(tg_said_from(&with, &said), -EINVAL);
    char name[TONG_NAME_MAX + 1];
    memset(name, 'n', TONG_NAME_MAX);
    name[TONG_NAME_MAX] = '\0';
    with.reply_to = name;
    kit_gives(tg_said_from(&with, &said), -ENAMETOOLONG);
    with.reply_to = name + 1;
    kit_ok(tg_said_from(&with, &said));
}

static void a_deadline_is_the_time_from_now_and_never_wraps(void)
{
    struct tg_said said;
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.expiry_ns = TONG_SEC(100);
    const int64_t before = tg_boot_ns();
    kit_ok(tg_said_from(&with, &said));
    const int64_t behind = tg_boot_ns();
    kit_true((int64_t)said.attributes.sent_ns >= before &&
             (int64_t)said.attributes.sent_ns <= behind);
    kit_equal(said.attributes.deadline_ns, said.attributes.sent_ns + (uint64_t)TONG_SEC(100));
    with.expiry_ns = INT64_MAX;
    kit_ok(tg_said_from(&with, &said));
    kit_equal(said.attributes.deadline_ns, 0);
}

static const struct kit_test tests[] = {
    KIT_TEST(what_is_written_is_read),
    KIT_TEST(the_longest_fits),
    KIT_TEST(nothing_said_is_nothing),
    KIT_TEST(every_length_but_the_right_one_is_refused),
    KIT_TEST(what_cannot_be_is_refused),
    KIT_TEST(a_part_may_stand_once_and_in_its_order),
    KIT_TEST(random_bytes_are_never_more_than_they_are),
    KIT_TEST(options_that_cannot_be_are_refused),
    KIT_TEST(a_deadline_is_the_time_from_now_and_never_wraps),
};

KIT_MAIN(tests)
