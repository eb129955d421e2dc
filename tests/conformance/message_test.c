/* Messages: lengths, order, wholeness, fixed size, limits of memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kit.h"

enum {
    MIB = 1 << 20
};

static void pass(tong_mailbox *box, size_t len, uint64_t counter)
{
    char *data = malloc(len + 1);
    char *back = malloc(len + 1);
    kit_true(data && back);
    kit_payload_write(data, len, 5, counter);
    back[len] = 'x';
    kit_gives(tong_send(box, data, len, KIT_PATIENCE), 0);
    kit_gives(tong_receive(box, back, len, KIT_PATIENCE), (int64_t)len);
    kit_true(memcmp(data, back, len) == 0);
    kit_true(back[len] == 'x');
    free(data);
    free(back);
}

static void a_message_arrives_as_it_was_sent(void)
{
    static const size_t lens[] = {
        0,      1,      2,      3,      7,        8,        9,       15,    16,      17,
        31,     32,     33,     63,     64,       65,       255,     256,   257,     1000,
        1008,   1023,   1024,   1025,   2047,     2048,     4079,    4080,  4081,    4095,
        4096,   4097,   8191,   8192,   8193,     65519,    65535,   65536, 65537,   262127,
        262128, 262143, 262144, 262145, MIB - 17, MIB - 16, MIB - 1, MIB,   MIB + 1, 20 * MIB,
    };
    const size_t n = sizeof(lens) / sizeof(lens[0]);
    tong_mailbox *box = kit_create(kit_name("lengths"), NULL);
    for (size_t i = 0; i < n; i++) {
        pass(box, lens[i], i);
    }
    for (size_t i = n; i-- > 0;) {
        pass(box, lens[i], i);
    }
    kit_is_empty(box);
    kit_end(box, kit_name("lengths"));
}

static void every_length_up_to_3000_works(void)
{
    tong_mailbox *box = kit_create(kit_name("each"), NULL);
    for (size_t len = 0; len <= 3000; len++) {
        pass(box, len, len);
    }
    kit_end(box, kit_name("each"));
}

static void an_empty_message_needs_no_data(void)
{
    tong_mailbox *box = kit_create(kit_name("empty"), NULL);
    char byte = 'x';
    kit_ok(tong_send(box, NULL, 0, 0));
    kit_ok(tong_send(box, &byte, 0, 0));
    kit_gives(tong_receive(box, &byte, 0, 0), 0);
    kit_gives(tong_receive(box, &byte, 1, 0), 0);
    kit_true(byte == 'x');
    /* Again and again, until every way through the library was taken. */
    const struct iovec none[2] = { { NULL, 0 }, { NULL, 0 } };
    size_t lens[2] = { 77, 77 };
    for (int i = 0; i < 100; i++) {
        kit_ok(tong_send(box, NULL, 0, 0));
        kit_gives(tong_send_many(box, none, 2, 0), 2);
        kit_receive_many(box, none, 2, lens, 2);
        kit_equal(lens[0] + lens[1], 0);
        kit_gives(tong_receive(box, NULL, 0, 0), 0);
        tong_message message = TONG_MESSAGE_INIT;
        kit_ok(tong_send(box, NULL, 0, 0));
        kit_ok(tong_claim(box, 0, &message));
        kit_ok(tong_return(box, &message));
        kit_gives(tong_receive(box, NULL, 0, 0), 0);
    }
    kit_is_empty(box);
    kit_end(box, kit_name("empty"));
}

static void no_data_for_a_length_is_einval(void)
{
    tong_mailbox *box = kit_create(kit_name("null"), NULL);
    char byte = 'x';
    kit_gives(tong_send(box, NULL, 1, 0), -EINVAL);
    kit_ok(tong_send(box, &byte, 1, 0));
    kit_gives(tong_receive(box, NULL, 1, 0), -EINVAL);
    kit_gives(tong_receive(box, &byte, 1, 0), 1);
    kit_end(box, kit_name("null"));
}

static void no_handle_is_einval(void)
{
    uint64_t value = 0;
    struct iovec one = { &value, sizeof(value) };
    size_t len = 0;
    tong_message message = TONG_MESSAGE_INIT;
    tong_slot slot = TONG_SLOT_INIT;
    kit_gives(tong_send(NULL, &value, 8, 0), -EINVAL);
    kit_gives(tong_receive(NULL, &value, 8, 0), -EINVAL);
    kit_gives(tong_send_many(NULL, &one, 1, 0), -EINVAL);
    kit_gives(tong_receive_many(NULL, &one, 1, 0, &len), -EINVAL);
    kit_gives(tong_reserve(NULL, 8, 0, &slot), -EINVAL);
    kit_gives(tong_commit(NULL, &slot, 8), -EINVAL);
    kit_gives(tong_abort(NULL, &slot), -EINVAL);
    kit_gives(tong_claim(NULL, 0, &message), -EINVAL);
    kit_gives(tong_done(NULL, &message), -EINVAL);
    kit_gives(tong_return(NULL, &message), -EINVAL);
    kit_gives(tong_skip(NULL), -EINVAL);
    kit_gives(tong_interrupt(NULL), -EINVAL);
}

static void messages_of_one_sender_keep_their_order(void)
{
    enum {
        N = 20000,
        WINDOW = 500
    };
    tong_mailbox *box = kit_create(kit_name("order"), NULL);
    struct kit_random sizes = kit_random_stream(1);
    struct kit_random steps = kit_random_stream(2);
    static char data[4096];
    uint64_t sent = 0;
    uint64_t got = 0;
    while (got < N) {
        const bool send =
            sent < N && sent - got < kit_room(WINDOW) && kit_random_below(&steps, 2) == 0;
        if (send || sent == got) {
            const size_t len = KIT_PAYLOAD_MIN + kit_random_below(&sizes, 1200);
            kit_payload_write(data, len, 1, sent);
            kit_ok(tong_send(box, data, len, 0));
            sent++;
            continue;
        }
        const ssize_t n = tong_receive(box, data, sizeof(data), 0);
        struct kit_payload head;
        kit_true(n >= 0 && kit_payload_read(data, (size_t)n, &head));
        kit_equal(head.counter, got);
        got++;
    }
    kit_is_empty(box);
    kit_end(box, kit_name("order"));
}

static void receive_keeps_message_when_buffer_is_short(void)
{
    tong_mailbox *box = kit_create(kit_name("short"), NULL);
    static char data[100000];
    static char back[100000];
    for (size_t len = 1; len < sizeof(data); len = len * 7 + 1) {
        kit_payload_write(data, len, 2, len);
        kit_ok(tong_send(box, data, len, 0));
        kit_ok(kit_send_u64(box, len, 0));
        memset(back, 'x', sizeof(back));
        kit_gives(tong_receive(box, back, len - 1, 0), -EMSGSIZE);
        kit_gives(tong_receive(box, back, 0, KIT_PATIENCE), -EMSGSIZE);
        kit_true(back[0] == 'x' && back[len - 1] == 'x');
        kit_gives(tong_receive(box, back, len, 0), (int64_t)len);
        kit_true(kit_payload_is(back, len, 2, len));
        kit_equal(kit_receive_u64(box), len);
    }
    kit_end(box, kit_name("short"));
}

static void a_fixed_size_refuses_any_other_length(void)
{
    tong_options options = kit_options();
    options.message_size = 24;
    tong_mailbox *box = kit_create(kit_name("fixed"), &options);
    char data[64] = { 0 };
    tong_slot slot = TONG_SLOT_INIT;
    kit_gives(tong_send(box, data, 23, 0), -EMSGSIZE);
    kit_gives(tong_send(box, data, 25, 0), -EMSGSIZE);
    kit_gives(tong_send(box, NULL, 0, 0), -EMSGSIZE);
    if (!kit_is_refused(KIT_IN_PLACE)) {
        kit_gives(tong_reserve(box, 25, 0, &slot), -EMSGSIZE);
    }
    kit_is_empty(box);
    kit_payload_write(data, 24, 9, 1);
    kit_ok(tong_send(box, data, 24, 0));
    kit_gives(tong_receive(box, data, 24, 0), 24);
    kit_true(kit_payload_is(data, 24, 9, 1));
    kit_end(box, kit_name("fixed"));
}

static void a_fixed_size_may_be_large(void)
{
    tong_options options = kit_options();
    options.message_size = 3 * MIB + 5;
    tong_mailbox *box = kit_create(kit_name("fixed"), &options);
    pass(box, 3 * MIB + 5, 1);
    char byte = 'x';
    kit_gives(tong_send(box, &byte, 1, 0), -EMSGSIZE);
    kit_end(box, kit_name("fixed"));
}

static void a_length_over_the_limit_is_emsgsize(void)
{
    tong_mailbox *box = kit_create(kit_name("long"), NULL);
    tong_slot slot = TONG_SLOT_INIT;
    char byte = 'x';
    kit_gives(tong_send(box, &byte, (size_t)TONG_MESSAGE_MAX + 1, 0), -EMSGSIZE);
    kit_gives(tong_send(box, &byte, SIZE_MAX, 0), -EMSGSIZE);
    if (!kit_is_refused(KIT_IN_PLACE)) {
        kit_gives(tong_reserve(box, (size_t)TONG_MESSAGE_MAX + 1, 0, &slot), -EMSGSIZE);
    }
    kit_is_empty(box);
    kit_end(box, kit_name("long"));
}

static void beyond_max_bytes_is_enospc_and_what_was_accepted_is_intact(void)
{
    tong_options options = kit_options();
    options.link_capacity = TONG_UNBOUNDED;
    options.max_bytes = 4 * MIB;
    tong_mailbox *box = kit_create(kit_name("bytes"), &options);
    static char data[50000];
    uint64_t sent = 0;
    int r = 0;
    while (r == 0) {
        kit_payload_write(data, sizeof(data), 3, sent);
        r = tong_send(box, data, sizeof(data), 0);
        sent += r == 0;
        kit_true(sent * sizeof(data) <= options.max_bytes);
    }
    kit_gives(r, -ENOSPC);
    kit_true(sent > 10);
    kit_true(kit_stat(kit_name("bytes")).waiting == sent);
    for (uint64_t i = 0; i < sent; i++) {
        kit_gives(tong_receive(box, data, sizeof(data), 0), (int64_t)sizeof(data));
        kit_true(kit_payload_is(data, sizeof(data), 3, i));
    }
    kit_is_empty(box);
    for (uint64_t i = 0; i < 2 * sent; i++) {
        pass(box, sizeof(data), i);
    }
    kit_end(box, kit_name("bytes"));
}

static void a_message_longer_than_max_bytes_is_enospc(void)
{
    tong_options options = kit_options();
    options.max_bytes = 2 * MIB;
    tong_mailbox *box = kit_create(kit_name("bytes"), &options);
    char *data = calloc(1, 3 * MIB);
    kit_true(data != NULL);
    kit_gives(tong_send(box, data, 3 * MIB, 0), -ENOSPC);
    kit_is_empty(box);
    pass(box, MIB / 2, 1);
    free(data);
    kit_end(box, kit_name("bytes"));
}

static void the_longest_message_arrives(void)
{
    if (kit_count("TONG_TEST_LONGEST", 2) != 1) {
        kit_skip("a message of 4 GiB - 1 needs 14 GiB of memory; TONG_TEST_LONGEST=1 runs it");
    }
    tong_options options = kit_options();
    options.max_bytes = UINT64_C(5) << 30;
    tong_mailbox *box = kit_create(kit_name("longest"), &options);
    pass(box, TONG_MESSAGE_MAX, 1);
    kit_end(box, kit_name("longest"));
}

static void skip_throws_the_next_message_away(void)
{
    tong_mailbox *box = kit_create(kit_name("skip"), NULL);
    static char large[3 * MIB];
    kit_gives(tong_skip(box), -EAGAIN);
    kit_ok(tong_send(box, NULL, 0, 0));
    kit_ok(kit_send_u64(box, 1, 0));
    kit_ok(tong_send(box, large, sizeof(large), 0));
    kit_ok(kit_send_u64(box, 2, 0));
    kit_gives(tong_skip(box), 0);
    kit_gives(tong_skip(box), 8);
    kit_gives(tong_receive(box, large, 8, 0), -EMSGSIZE);
    kit_gives(tong_skip(box), (int64_t)sizeof(large));
    kit_equal(kit_receive_u64(box), 2);
    kit_gives(tong_skip(box), -EAGAIN);
    kit_equal(kit_stat(kit_name("skip")).done, 4);
    kit_end(box, kit_name("skip"));
}

static void two_mailboxes_do_not_mix(void)
{
    tong_mailbox *a = kit_create(kit_name("a"), NULL);
    tong_mailbox *b = kit_create(kit_name("b"), NULL);
    for (uint64_t i = 0; i < 100; i++) {
        kit_ok(kit_send_u64(a, i, 0));
        kit_ok(kit_send_u64(b, i + 1000, 0));
    }
    for (uint64_t i = 0; i < 100; i++) {
        kit_equal(kit_receive_u64(b), i + 1000);
        kit_equal(kit_receive_u64(a), i);
    }
    kit_end(a, kit_name("a"));
    kit_end(b, kit_name("b"));
}

static const struct kit_test tests[] = {
    KIT_TEST(a_message_arrives_as_it_was_sent),
    KIT_TEST(every_length_up_to_3000_works),
    KIT_TEST(an_empty_message_needs_no_data),
    KIT_TEST(no_data_for_a_length_is_einval),
    KIT_TEST(no_handle_is_einval),
    KIT_TEST(messages_of_one_sender_keep_their_order),
    KIT_TEST(receive_keeps_message_when_buffer_is_short),
    KIT_TEST(a_fixed_size_refuses_any_other_length),
    KIT_TEST(a_fixed_size_may_be_large),
    KIT_TEST(a_length_over_the_limit_is_emsgsize),
    KIT_TEST(beyond_max_bytes_is_enospc_and_what_was_accepted_is_intact),
    KIT_TEST(a_message_longer_than_max_bytes_is_enospc),
    KIT_TEST_LONG(the_longest_message_arrives, 300),
    KIT_TEST(skip_throws_the_next_message_away),
    KIT_TEST(two_mailboxes_do_not_mix),
};

KIT_MAIN(tests)
