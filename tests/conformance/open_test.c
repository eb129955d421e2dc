/* Opening: names, flags, options, and what is refused. */
#include <errno.h>
#include <string.h>

#include "kit.h"

static void none_of_that_name_is_enoent(void)
{
    tong_mailbox *box = NULL;
    kit_gives(tong_open(kit_name("nothing"), TONG_SEND, NULL, &box), -ENOENT);
    kit_gives(tong_open(kit_name("nothing"), TONG_RECEIVE, NULL, &box), -ENOENT);
    kit_true(box == NULL);
}

static void create_makes_it_and_others_find_it(void)
{
    tong_mailbox *first = kit_open(kit_name("jobs"), TONG_SEND | TONG_CREATE, NULL);
    tong_mailbox *second = kit_open(kit_name("jobs"), TONG_RECEIVE, NULL);
    tong_mailbox *third = kit_open(kit_name("jobs"), TONG_RECEIVE | TONG_CREATE, NULL);
    kit_ok(kit_send_u64(first, 7, 0));
    kit_equal(kit_receive_u64(second), 7);
    kit_ok(tong_close(third));
    kit_ok(tong_close(second));
    kit_end(first, kit_name("jobs"));
}

static void closing_all_handles_keeps_a_system_owned_mailbox(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = kit_create(kit_name("stays"), NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_ok(kit_send_u64(box, 2, 0));
    kit_ok(tong_close(box));
    box = kit_open(kit_name("stays"), TONG_RECEIVE, NULL);
    kit_equal(kit_receive_u64(box), 1);
    kit_equal(kit_receive_u64(box), 2);
    kit_end(box, kit_name("stays"));
}

static void excl_refuses_what_is_there(void)
{
    tong_mailbox *box = kit_create(kit_name("one"), NULL);
    tong_mailbox *other = NULL;
    kit_gives(tong_open(kit_name("one"), TONG_SEND | TONG_CREATE | TONG_EXCL, NULL, &other),
              -EEXIST);
    kit_true(other == NULL);
    kit_end(box, kit_name("one"));
}

static void flags_that_cannot_be_are_einval(void)
{
    static const unsigned bad[] = {
        0,
        TONG_CREATE,
        TONG_CREATE | TONG_EXCL,
        TONG_SEND | TONG_READ,
        TONG_RECEIVE | TONG_WRITE,
        TONG_SEND | 0x40u,
        TONG_SEND | 0x80000000u,
    };
    tong_mailbox *box = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        kit_gives(tong_open(kit_name("flags"), bad[i], NULL, &box), -EINVAL);
    }
    kit_true(box == NULL);
}

static void missing_arguments_are_einval(void)
{
    tong_mailbox *box = NULL;
    tong_status status = TONG_STATUS_INIT;
    kit_gives(tong_open(NULL, TONG_SEND | TONG_CREATE, NULL, &box), -EINVAL);
    kit_gives(tong_open(kit_name("null"), TONG_SEND | TONG_CREATE, NULL, NULL), -EINVAL);
    kit_gives(tong_remove(NULL), -EINVAL);
    kit_gives(tong_stat(NULL, &status), -EINVAL);
    kit_gives(tong_stat(kit_name("null"), NULL), -EINVAL);
    kit_true(box == NULL);
}

static void bad_names_are_einval(void)
{
    static const char *const bad[] = {
        "",      ".",     "..",        ".hidden",     "-option",    "a/b",       "/a",
        "../a",  "a b",   " ",         "caf\xc3\xa9", "\xff\xfe",   "new\nline", "tab\t",
        "star*", "a\x7f", "question?", "back\\slash", "semi;colon", "a,b",       "a=b",
    };
    tong_mailbox *box = NULL;
    tong_status status = TONG_STATUS_INIT;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *name = kit_name(bad[i]);
        if (strcmp(kit_carrier(), "mq") == 0 && bad[i][0] == '/') {
            continue; /* a queue of another program: mq_plain_test.c */
        }
        kit_gives(tong_open(name, TONG_SEND | TONG_CREATE, NULL, &box), -EINVAL);
        kit_gives(tong_stat(name, &status), -EINVAL);
        kit_gives(tong_remove(name), -EINVAL);
    }
    kit_true(box == NULL);
}

static void names_of_127_characters_work_and_128_are_too_long(void)
{
    char name[TONG_NAME_MAX + 1];
    memset(name, 'n', sizeof(name));
    name[TONG_NAME_MAX] = '\0';
    tong_mailbox *box = NULL;
    tong_status status = TONG_STATUS_INIT;
    kit_gives(tong_open(kit_name(name), TONG_SEND | TONG_CREATE, NULL, &box), -ENAMETOOLONG);
    kit_gives(tong_stat(kit_name(name), &status), -ENAMETOOLONG);
    kit_gives(tong_remove(kit_name(name)), -ENAMETOOLONG);
    name[TONG_NAME_MAX - 1] = '\0';
    box = kit_create(kit_name(name), NULL);
    status = kit_stat(kit_name(name));
    kit_true(strcmp(status.name, name) == 0);
    kit_end(box, kit_name(name));
}

static void every_allowed_character_makes_a_name(void)
{
    static const char *const good[] = {
        "a",
        "Z",
        "0",
        "_",
        "abcdefghijklmnopqrstuvwxyz",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "0123456789",
        "_.-",
        "a.b",
        "a-b",
        "9-",
        "x.",
        "x..y",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        tong_mailbox *box = kit_create(kit_name(good[i]), NULL);
        kit_end(box, kit_name(good[i]));
    }
}

static void names_that_differ_in_case_are_two_mailboxes(void)
{
    tong_mailbox *small = kit_create(kit_name("name"), NULL);
    tong_mailbox *large = kit_create(kit_name("NAME"), NULL);
    kit_ok(kit_send_u64(small, 1, 0));
    kit_is_empty(large);
    kit_end(small, kit_name("name"));
    kit_end(large, kit_name("NAME"));
}

static bool is_refused(int r)
{
    return r == -EOPNOTSUPP || r == -EINVAL;
}

static void a_carrier_that_is_not_there_is_refused(void)
{
    tong_mailbox *box = NULL;
    tong_status status = TONG_STATUS_INIT;
    kit_true(is_refused(tong_open("pigeon:jobs", TONG_SEND | TONG_CREATE, NULL, &box)));
    kit_true(is_refused(tong_stat("pigeon:jobs", &status)));
    kit_true(is_refused(tong_remove("pigeon:jobs")));
    kit_true(box == NULL);
}

static void shm_in_front_is_the_default_carrier(void)
{
    kit_only("shm", "it is about its prefix");
    tong_mailbox *box = kit_open("shm:same", TONG_RECEIVE | TONG_CREATE, NULL);
    tong_mailbox *again = kit_open("same", TONG_SEND, NULL);
    kit_ok(kit_send_u64(again, 3, 0));
    kit_equal(kit_receive_u64(box), 3);
    const tong_status status = kit_stat("shm:same");
    kit_true(strcmp(status.name, "same") == 0);
    kit_true(strcmp(status.carrier, "shm") == 0);
    kit_gives(tong_remove("shm:"), -EINVAL);
    kit_ok(tong_close(again));
    kit_end(box, "shm:same");
}

static void options_that_cannot_be_are_einval(void)
{
    tong_options bad[8];
    size_t n = 0;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        bad[i] = kit_options();
    }
    bad[n++].delivery = 99;
    bad[n++].owner = 2;
    bad[n++].full = 99;
    bad[n++].capacity = TONG_CAPACITY_MAX + 1;
    bad[n++].capacity = TONG_UNBOUNDED - 1;
    bad[n++].link_capacity = TONG_CAPACITY_MAX + 1;
    bad[n++].mode = 010000;
    bad[n++].struct_size = 0;
    tong_mailbox *box = NULL;
    tong_status status = TONG_STATUS_INIT;
    for (size_t i = 0; i < n; i++) {
        const int r = tong_open(kit_name("bad"), TONG_SEND | TONG_CREATE, &bad[i], &box);
        if (r != -EINVAL) {
            kit_fail("options number %zu gave %d", i, r);
        }
        kit_gives(tong_stat(kit_name("bad"), &status), -ENOENT);
    }
    kit_true(box == NULL);
}

static void the_largest_capacity_is_accepted(void)
{
    const tong_options options = kit_capacity(TONG_CAPACITY_MAX);
    tong_mailbox *box = kit_create(kit_name("large"), &options);
    kit_equal(kit_stat(kit_name("large")).capacity, TONG_CAPACITY_MAX);
    kit_end(box, kit_name("large"));
}

static void options_that_differ_from_what_exists_are_eexist(void)
{
    tong_options made = kit_options();
    made.delivery = TONG_ANY;
    made.capacity = 5;
    made.message_size = 8;
    tong_mailbox *box = kit_create(kit_name("made"), &made);
    tong_options other[8];
    size_t n = 0;
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        other[i] = made;
    }
    other[n++].delivery = TONG_FIRST_COME;
    other[n++].owner = made.owner == TONG_PROCESS ? TONG_SYSTEM : TONG_PROCESS;
    other[n++].full = TONG_DROP_NEWEST;
    other[n++].capacity = 6;
    other[n++].link_capacity = 2;
    other[n++].message_size = 9;
    other[n++].max_bytes = made.max_bytes / 2;
    other[n++].message_size = 0;
    tong_mailbox *again = NULL;
    for (size_t i = 0; i < n; i++) {
        int r = tong_open(kit_name("made"), TONG_SEND, &other[i], &again);
        if (r != -EEXIST) {
            kit_fail("options number %zu gave %d", i, r);
        }
        r = tong_open(kit_name("made"), TONG_SEND | TONG_CREATE, &other[i], &again);
        if (r != -EEXIST) {
            kit_fail("options number %zu with TONG_CREATE gave %d", i, r);
        }
    }
    kit_true(again == NULL);
    kit_ok(tong_open(kit_name("made"), TONG_SEND, &made, &again));
    kit_ok(tong_close(again));
    kit_end(box, kit_name("made"));
}

static void without_options_it_has_the_defaults(void)
{
    kit_only("shm", "the others have defaults of their own");
    const tong_options defaults = TONG_OPTIONS_INIT;
    tong_mailbox *box = kit_create(kit_name("plain"), NULL);
    const tong_status status = kit_stat(kit_name("plain"));
    kit_equal(status.delivery, defaults.delivery);
    kit_equal(status.owner, defaults.owner);
    kit_equal(status.full, defaults.full);
    kit_equal(status.capacity, TONG_UNBOUNDED);
    kit_equal(status.link_capacity, 1024);
    kit_equal(status.message_size, 0);
    kit_equal(status.mode, 0600);
    kit_equal(status.max_bytes, 256u << 20);
    kit_end(box, kit_name("plain"));
}

static void options_are_kept(void)
{
    tong_options options = kit_options();
    options.delivery = TONG_EXCLUSIVE;
    options.owner = TONG_PROCESS;
    options.full = TONG_DROP_NEWEST;
    options.capacity = 11;
    options.link_capacity = kit_is_refused(KIT_LINK_CAPACITY) ? TONG_UNBOUNDED : 7;
    options.message_size = 13;
    options.mode = 0600;
    options.max_bytes = 8u << 20;
    tong_mailbox *box = kit_create(kit_name("kept"), &options);
    const tong_status status = kit_stat(kit_name("kept"));
    kit_equal(status.delivery, TONG_EXCLUSIVE);
    kit_equal(status.owner, TONG_PROCESS);
    kit_equal(status.full, TONG_DROP_NEWEST);
    kit_equal(status.capacity, 11);
    kit_equal(status.link_capacity, options.link_capacity);
    kit_equal(status.message_size, 13);
    kit_equal(status.mode, 0600);
    kit_equal(status.max_bytes, 8u << 20);
    kit_ok(tong_close(box));
}

static void closing_nothing_is_allowed(void)
{
    kit_ok(tong_close(NULL));
}

static void a_handle_for_sending_does_not_receive(void)
{
    tong_mailbox *box = kit_open(kit_name("way"), TONG_SEND | TONG_CREATE, NULL);
    uint64_t value = 0;
    struct iovec one = { &value, sizeof(value) };
    size_t len = 0;
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(kit_send_u64(box, 1, 0));
    kit_gives(tong_receive(box, &value, sizeof(value), 0), -EBADF);
    kit_gives(tong_receive_many(box, &one, 1, 0, &len), -EBADF);
    kit_gives(tong_claim(box, 0, &message), -EBADF);
    kit_gives(tong_skip(box), -EBADF);
    kit_gives(tong_wait_any(&box, 1, 0), -EBADF);
    kit_equal(value, 0);
    kit_end(box, kit_name("way"));
}

static void a_handle_for_receiving_does_not_send(void)
{
    tong_mailbox *box = kit_open(kit_name("way"), TONG_RECEIVE | TONG_CREATE, NULL);
    uint64_t value = 1;
    const struct iovec one = { &value, sizeof(value) };
    tong_slot slot = TONG_SLOT_INIT;
    kit_gives(tong_send(box, &value, sizeof(value), 0), -EBADF);
    kit_gives(tong_send_many(box, &one, 1, 0), -EBADF);
    if (!kit_is_refused(KIT_IN_PLACE)) {
        kit_gives(tong_reserve(box, 8, 0, &slot), -EBADF);
    }
    kit_is_empty(box);
    kit_end(box, kit_name("way"));
}

static void a_257th_receiver_is_eusers(void)
{
    tong_mailbox *boxes[256];
    boxes[0] = kit_open(kit_name("crowd"), TONG_RECEIVE | TONG_CREATE, NULL);
    for (size_t i = 1; i < 256; i++) {
        boxes[i] = kit_open(kit_name("crowd"), TONG_RECEIVE, NULL);
    }
    kit_equal(kit_stat(kit_name("crowd")).receivers, 256);
    tong_mailbox *more = NULL;
    kit_gives(tong_open(kit_name("crowd"), TONG_RECEIVE, NULL, &more), -EUSERS);
    kit_ok(tong_close(boxes[100]));
    more = kit_open(kit_name("crowd"), TONG_RECEIVE, NULL);
    boxes[100] = more;
    for (size_t i = 0; i < 256; i++) {
        kit_ok(tong_close(boxes[i]));
    }
    kit_gives(tong_remove(kit_name("crowd")), kit_is_refused(KIT_SYSTEM_OWNED) ? -ENOENT : 0);
}

static const struct kit_test tests[] = {
    KIT_TEST(none_of_that_name_is_enoent),
    KIT_TEST(create_makes_it_and_others_find_it),
    KIT_TEST(closing_all_handles_keeps_a_system_owned_mailbox),
    KIT_TEST(excl_refuses_what_is_there),
    KIT_TEST(flags_that_cannot_be_are_einval),
    KIT_TEST(missing_arguments_are_einval),
    KIT_TEST(bad_names_are_einval),
    KIT_TEST(names_of_127_characters_work_and_128_are_too_long),
    KIT_TEST(every_allowed_character_makes_a_name),
    KIT_TEST(names_that_differ_in_case_are_two_mailboxes),
    KIT_TEST(a_carrier_that_is_not_there_is_refused),
    KIT_TEST(shm_in_front_is_the_default_carrier),
    KIT_TEST(options_that_cannot_be_are_einval),
    KIT_TEST(the_largest_capacity_is_accepted),
    KIT_TEST(options_that_differ_from_what_exists_are_eexist),
    KIT_TEST(without_options_it_has_the_defaults),
    KIT_TEST(options_are_kept),
    KIT_TEST(closing_nothing_is_allowed),
    KIT_TEST(a_handle_for_sending_does_not_receive),
    KIT_TEST(a_handle_for_receiving_does_not_send),
    KIT_TEST(a_257th_receiver_is_eusers),
};

KIT_MAIN(tests)
