/* What a sender says of a message: key, tag, priority, call, reply_to; and what a receiver is told. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

#define BOX kit_name("told")

static tong_send_options all_of_it(void)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.priority = kit_priority(17);
    with.tag = UINT64_C(0x8000000000000001);
    with.key = tong_key("customer", 8);
    with.call = UINT64_MAX;
    with.expiry_ns = TONG_SEC(3600);
    with.reply_to = "answers";
    return with;
}

static void expect_all_of_it(const tong_message *info)
{
    const tong_send_options with = all_of_it();
    kit_equal(info->priority, with.priority);
    kit_equal(info->tag, with.tag);
    kit_equal(info->key, with.key);
    kit_equal(info->call, with.call);
    kit_true(info->sent_ns != 0);
    kit_true(strcmp(info->reply_to, with.reply_to) == 0);
}

static void expect_sender(const tong_message *info, size_t len, uint64_t sequence)
{
    kit_equal(info->struct_size, sizeof(*info));
    kit_equal(info->len, len);
    kit_equal(info->sequence, sequence);
    kit_equal(info->deliveries, 1);
    kit_equal(info->pid, getpid());
    kit_equal(info->uid, geteuid());
    kit_equal(info->gid, getegid());
    kit_equal(info->verified & kit_verified(), kit_verified());
    kit_true(info->sender[0] == '\0');
}

static void what_is_said_arrives_with_a_message_of_any_length(void)
{
    static uint8_t data[200000];
    static uint8_t back[sizeof(data)];
    static const size_t lens[] = { 0, 1, 15, 16, 17, 3900, 4000, 4080, 65536, sizeof(data) };
    tong_mailbox *box = kit_create(BOX, NULL);
    const tong_send_options with = all_of_it();
    for (uint64_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        tong_message info = TONG_MESSAGE_INIT;
        kit_payload_write(data, lens[i], 5, i);
        kit_ok(tong_send_with(box, data, lens[i], &with, 0));
        kit_gives(tong_receive_with(box, back, sizeof(back), NULL, KIT_PATIENCE, &info),
                  (int64_t)lens[i]);
        kit_true(memcmp(data, back, lens[i]) == 0);
        kit_true(info.data == back);
        expect_sender(&info, lens[i], i);
        expect_all_of_it(&info);
    }
    kit_end(box, BOX);
}

static void a_claim_tells_it_too_each_time(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    const tong_send_options with = all_of_it();
    kit_ok(tong_send_with(box, "work", 4, &with, 0));
    for (uint32_t i = 1; i < 4; i++) {
        tong_message claim = TONG_MESSAGE_INIT;
        kit_ok(tong_claim(box, 0, &claim));
        kit_equal(claim.deliveries, i);
        kit_true(claim.len == 4 && memcmp(claim.data, "work", 4) == 0);
        kit_true((uintptr_t)claim.data % 16 == 0);
        expect_all_of_it(&claim);
        kit_ok(tong_return(box, &claim));
    }
    tong_message info = TONG_MESSAGE_INIT;
    char back[8];
    kit_gives(tong_receive_with(box, back, sizeof(back), NULL, 0, &info), 4);
    kit_equal(info.deliveries, 4);
    expect_all_of_it(&info);
    kit_end(box, BOX);
}

static void who_does_not_ask_gets_the_payload_alone(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    const tong_send_options with = all_of_it();
    uint64_t numbers[3] = { 0 };
    size_t lens[3];
    struct iovec rows[3];
    for (uint64_t i = 0; i < 6; i++) {
        kit_ok(i % 2 == 0 ? tong_send_with(box, &i, sizeof(i), &with, 0)
                          : tong_send(box, &i, sizeof(i), 0));
    }
    kit_equal(kit_receive_u64(box), 0);
    kit_equal(kit_receive_u64(box), 1);
    kit_gives(tong_receive_with(box, &numbers[0], 8, NULL, 0, NULL), 8);
    for (size_t i = 0; i < 3; i++) {
        rows[i] = (struct iovec){ &numbers[i], sizeof(numbers[i]) };
    }
    kit_equal(numbers[0], 2);
    kit_receive_many(box, rows, 3, lens, 3);
    kit_true(numbers[0] == 3 && numbers[1] == 4 && numbers[2] == 5);
    kit_ok(tong_send_with(box, "gone", 4, &with, 0));
    kit_gives(tong_skip(box), 4);
    kit_is_empty(box);
    kit_end(box, BOX);
}

static void of_a_plain_message_nothing_is_said(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    const tong_send_options nothing = TONG_SEND_OPTIONS_INIT;
    for (uint64_t i = 0; i < 3; i++) {
        tong_message info = TONG_MESSAGE_INIT;
        char back[8];
        kit_ok(i == 0   ? tong_send(box, "plain", 5, 0)
               : i == 1 ? tong_send_with(box, "plain", 5, NULL, 0)
                        : tong_send_with(box, "plain", 5, &nothing, 0));
        kit_gives(tong_receive_with(box, back, sizeof(back), NULL, 0, &info), 5);
        expect_sender(&info, 5, i);
        kit_true((info.key | info.tag | info.call | info.priority) == 0);
        kit_true(info.reply_to[0] == '\0');
        kit_true((info.sent_ns != 0) == (i == 2));
    }
    kit_end(box, BOX);
}

static void a_buffer_that_is_too_short_is_told_the_length_and_more(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    const tong_send_options with = all_of_it();
    char back[16];
    kit_ok(tong_send_with(box, "0123456789", 10, &with, 0));
    for (int again = 0; again < 2; again++) {
        tong_message info = TONG_MESSAGE_INIT;
        kit_gives(tong_receive_with(box, back, 9, NULL, 0, &info), -EMSGSIZE);
        expect_sender(&info, 10, 0);
        expect_all_of_it(&info);
        kit_true(info.data == NULL);
    }
    tong_message claim = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, 0, &claim));
    kit_ok(tong_return(box, &claim));
    tong_message info = TONG_MESSAGE_INIT;
    kit_gives(tong_receive_with(box, back, 9, NULL, 0, &info), -EMSGSIZE);
    kit_equal(info.deliveries, 2);
    expect_all_of_it(&info);
    kit_gives(tong_receive_with(box, back, 10, NULL, 0, &info), 10);
    kit_end(box, BOX);
}

static void a_failed_call_tells_nothing(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    tong_mailbox *sender = kit_open(BOX, TONG_SEND, NULL);
    tong_message info = TONG_MESSAGE_INIT;
    char byte;
    info.len = 77;
    info.tag = 78;
    kit_gives(tong_receive_with(box, &byte, 1, NULL, 0, &info), -EAGAIN);
    kit_gives(tong_receive_with(box, &byte, 1, NULL, 1, &info), -ETIMEDOUT);
    kit_gives(tong_receive_with(sender, &byte, 1, NULL, 0, &info), -EBADF);
    kit_true(info.len == 77 && info.tag == 78);
    kit_ok(tong_close(sender));
    kit_end(box, BOX);
}

static void mistakes_of_the_caller_are_einval(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    tong_mailbox *receiver = kit_open(BOX, TONG_RECEIVE, NULL);
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    tong_message info = TONG_MESSAGE_INIT;
    char byte = 'x';
    kit_gives(tong_send_with(NULL, &byte, 1, &with, 0), -EINVAL);
    kit_gives(tong_send_with(box, NULL, 1, &with, 0), -EINVAL);
    kit_gives(tong_send_with(box, &byte, 1, &with, -2), -EINVAL);
    kit_gives(tong_send_with(receiver, &byte, 1, &with, 0), -EBADF);
    with.struct_size--;
    kit_gives(tong_send_with(box, &byte, 1, &with, 0), -EINVAL);
    with.struct_size++;
    with.priority = TONG_PRIORITY_MAX + 1;
    kit_gives(tong_send_with(box, &byte, 1, &with, 0), -EINVAL);
    with.priority = 0;
    with.expiry_ns = -1;
    kit_gives(tong_send_with(box, &byte, 1, &with, 0), -EINVAL);
    with.expiry_ns = 0;
    with.reply_to = "no name";
    kit_gives(tong_send_with(box, &byte, 1, &with, 0), -EINVAL);
    with.reply_to = "nobody:answers";
    kit_gives(tong_send_with(box, &byte, 1, &with, 0), -EINVAL);
    char name[TONG_NAME_MAX + 1];
    memset(name, 'n', TONG_NAME_MAX);
    name[TONG_NAME_MAX] = '\0';
    with.reply_to = name;
    kit_gives(tong_send_with(box, &byte, 1, &with, 0), -ENAMETOOLONG);
    kit_gives(tong_receive_with(NULL, &byte, 1, NULL, 0, &info), -EINVAL);
    kit_gives(tong_receive_with(box, NULL, 1, NULL, 0, &info), -EINVAL);
    kit_gives(tong_receive_with(box, &byte, 1, NULL, -2, &info), -EINVAL);
    info.struct_size--;
    kit_gives(tong_receive_with(box, &byte, 1, NULL, 0, &info), -EINVAL);
    info.struct_size++;
    want.struct_size--;
    kit_gives(tong_receive_with(box, &byte, 1, &want, 0, &info), -EINVAL);
    kit_is_empty(box);
    kit_ok(tong_close(receiver));
    kit_end(box, BOX);
}

static void a_fixed_length_is_that_of_the_payload(void)
{
    tong_options options = kit_options();
    options.message_size = 8;
    tong_mailbox *box = kit_create(BOX, &options);
    const tong_send_options with = all_of_it();
    kit_gives(tong_send_with(box, "1234567", 7, &with, 0), -EMSGSIZE);
    kit_gives(tong_send_with(box, "123456789", 9, &with, 0), -EMSGSIZE);
    kit_ok(tong_send_with(box, "12345678", 8, &with, 0));
    tong_message info = TONG_MESSAGE_INIT;
    char back[8];
    kit_gives(tong_receive_with(box, back, 8, NULL, 0, &info), 8);
    expect_all_of_it(&info);
    kit_end(box, BOX);
}

static void the_longest_message_is_so_much_shorter(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    const tong_send_options with = all_of_it();
    char byte;
    kit_gives(tong_send_with(box, &byte, TONG_MESSAGE_MAX - 64, &with, 0), -EMSGSIZE);
    kit_end(box, BOX);
}

static void full_is_full_and_drops_are_counted(void)
{
    for (uint32_t full = TONG_BLOCK; full <= TONG_DROP_NEWEST; full++) {
        tong_options options = kit_capacity(2);
        options.full = full;
        tong_mailbox *box = kit_create(BOX, &options);
        const tong_send_options with = all_of_it();
        kit_ok(tong_send_with(box, "a", 1, &with, 0));
        kit_ok(tong_send_with(box, "b", 1, &with, 0));
        kit_gives(tong_send_with(box, "c", 1, &with, 0),
                  full == TONG_BLOCK ? -EAGAIN : TONG_DROPPED);
        kit_gives(tong_send_with(box, "c", 1, &with, 1),
                  full == TONG_BLOCK ? -ETIMEDOUT : TONG_DROPPED);
        kit_equal(kit_stat(BOX).dropped, full == TONG_BLOCK ? 0 : 2);
        kit_end(box, BOX);
    }
}

/* ------------------------------------------------------------------ capacity 0 */

struct rendezvous {
    tong_mailbox *sender;
    int answer;
};

static void *send_at_rendezvous(void *arg)
{
    struct rendezvous *r = arg;
    const tong_send_options with = all_of_it();
    r->answer = tong_send_with(r->sender, "0123456789", 10, &with, KIT_PATIENCE);
    return NULL;
}

static void a_rendezvous_says_it_as_well(void)
{
    const tong_options options = kit_capacity(0);
    tong_mailbox *box = kit_create(BOX, &options);
    for (int how = 0; how < 3; how++) {
        struct rendezvous r = { .sender = kit_open(BOX, TONG_SEND, NULL), .answer = 1 };
        pthread_t thread;
        kit_ok(pthread_create(&thread, NULL, send_at_rendezvous, &r));
        tong_message info = TONG_MESSAGE_INIT;
        char back[16];
        if (how == 0) {
            kit_gives(tong_receive_with(box, back, sizeof(back), NULL, KIT_PATIENCE, &info), 10);
        } else if (how == 1) {
            kit_ok(tong_claim(box, KIT_PATIENCE, &info));
            kit_true(memcmp(info.data, "0123456789", 10) == 0);
            kit_ok(tong_return(box, &info));
            kit_gives(tong_receive_with(box, back, sizeof(back), NULL, 0, &info), 10);
            kit_equal(info.deliveries, 2);
        } else {
            kit_gives(tong_receive_with(box, back, 9, NULL, KIT_PATIENCE, &info), -EMSGSIZE);
            kit_true(info.len == 10 && info.pid == getpid() && info.data == NULL);
            kit_gives(tong_receive_with(box, back, sizeof(back), NULL, KIT_PATIENCE, &info), 10);
        }
        expect_all_of_it(&info);
        kit_true(memcmp(back, "0123456789", 10) == 0);
        kit_ok(pthread_join(thread, NULL));
        kit_ok(r.answer);
        kit_ok(tong_close(r.sender));
    }
    kit_end(box, BOX);
}

/* ------------------------------------------------------------------ dead letters */

static void a_dead_letter_keeps_it(void)
{
    tong_mailbox *dead = kit_create(kit_name("dead"), NULL);
    tong_options options = kit_options();
    options.max_deliveries = 1;
    options.dead_letter = "dead";
    tong_mailbox *box = kit_create(BOX, &options);
    const tong_send_options with = all_of_it();
    tong_message message = TONG_MESSAGE_INIT;
    tong_origin origin = TONG_ORIGIN_INIT;
    kit_ok(tong_send_with(box, "work", 4, &with, 0));
    kit_ok(tong_claim(box, 0, &message));
    kit_gives(tong_origin_of(box, &message, &origin), 0);
    kit_ok(tong_return(box, &message));
    kit_is_empty(box);
    kit_ok(tong_claim(dead, 0, &message));
    kit_true(message.len == 4 && memcmp(message.data, "work", 4) == 0);
    expect_all_of_it(&message);
    kit_gives(tong_origin_of(dead, &message, &origin), 1);
    kit_true(strcmp(origin.name, "told") == 0);
    kit_equal(origin.deliveries, 1);
    kit_equal(origin.pid, getpid());
    kit_ok(tong_done(dead, &message));
    kit_end(box, BOX);
    kit_end(dead, kit_name("dead"));
}

static void a_named_sender_is_told(void)
{
    tong_process *p = NULL;
    tong_process *q = NULL;
    kit_ok(tong_process_open("p", NULL, &p));
    kit_ok(tong_process_open("q", NULL, &q));
    tong_message info = TONG_MESSAGE_INIT;
    char back[8];
    kit_ok(tong_send_to(p, "q", "one", 3, 0));
    kit_ok(tong_send_to(p, "q", "two", 3, 0));
    kit_gives(tong_receive_with(tong_process_mailbox(q), back, 2, NULL, 0, &info), -EMSGSIZE);
    kit_true(strcmp(info.sender, "p") == 0);
    info.sender[0] = '\0';
    kit_gives(tong_receive_with(tong_process_mailbox(q), back, 8, NULL, 0, &info), 3);
    kit_true(strcmp(info.sender, "p") == 0);
    kit_ok(tong_rename(p, "r"));
    kit_ok(tong_claim(tong_process_mailbox(q), 0, &info));
    kit_true(strcmp(info.sender, "r") == 0);
    kit_ok(tong_done(tong_process_mailbox(q), &info));
    kit_ok(tong_process_close(q));
    kit_ok(tong_process_close(p));
}

static void long_streams_keep_their_order_and_what_is_said(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    struct kit_random random = kit_random_stream(0);
    uint64_t sent = 0;
    uint64_t received = 0;
    while (received < 20000) {
        tong_send_options with = TONG_SEND_OPTIONS_INIT;
        with.tag = sent + 1;
        with.reply_to = sent % 3 == 0 ? "answers" : NULL;
        if (sent - received < kit_room(1000) && kit_random_below(&random, 2) == 0) {
            kit_ok(sent % 4 == 0 ? tong_send(box, &sent, sizeof(sent), 0)
                                 : tong_send_with(box, &sent, sizeof(sent), &with, 0));
            sent++;
        } else if (received < sent) {
            tong_message info = TONG_MESSAGE_INIT;
            uint64_t number = 0;
            kit_gives(tong_receive_with(box, &number, sizeof(number), NULL, 0, &info), 8);
            kit_equal(number, received);
            kit_equal(info.tag, received % 4 == 0 ? 0 : received + 1);
            kit_true((info.reply_to[0] != '\0') == (received % 3 == 0 && received % 4 != 0));
            received++;
        }
    }
    kit_end(box, BOX);
}

static const struct kit_test tests[] = {
    KIT_TEST(what_is_said_arrives_with_a_message_of_any_length),
    KIT_TEST(a_claim_tells_it_too_each_time),
    KIT_TEST(who_does_not_ask_gets_the_payload_alone),
    KIT_TEST(of_a_plain_message_nothing_is_said),
    KIT_TEST(a_buffer_that_is_too_short_is_told_the_length_and_more),
    KIT_TEST(a_failed_call_tells_nothing),
    KIT_TEST(mistakes_of_the_caller_are_einval),
    KIT_TEST(a_fixed_length_is_that_of_the_payload),
    KIT_TEST(the_longest_message_is_so_much_shorter),
    KIT_TEST(full_is_full_and_drops_are_counted),
    KIT_TEST(a_rendezvous_says_it_as_well),
    KIT_TEST(a_dead_letter_keeps_it),
    KIT_TEST(a_named_sender_is_told),
    KIT_TEST(long_streams_keep_their_order_and_what_is_said),
};

KIT_MAIN(tests)
