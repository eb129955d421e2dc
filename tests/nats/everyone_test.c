/* TONG_EVERYONE over nats: what is kept on the server, and for how long. */
#include "link.h"

#define BOX kit_name("news")

static tong_options to_all(void)
{
    tong_options options = kit_options();
    options.delivery = TONG_EVERYONE;
    return options;
}

/* "SPACE_ID" of the mailbox, and what may come behind. */
static void stream_of(const char *more, char ret_stream[96])
{
    const tong_status status = kit_stat(BOX);
    char id[33];
    for (size_t i = 0; i < 16; i++) {
        snprintf(id + 2 * i, 3, "%02x", status.id[i]);
    }
    snprintf(ret_stream, 96, "%s_%s%s", getenv("TONG_NATS_SPACE"), id, more);
}

/* Messages that the stream holds. */
static uint64_t count(const char *stream)
{
    char subject[160];
    char answer[4096];
    snprintf(subject, sizeof(subject), "$JS.API.STREAM.INFO.%s", stream);
    link_ask(link_server_port(), subject, "", answer, sizeof(answer));
    const char *at = strstr(answer, "\"messages\":");
    kit_true(at != NULL);
    return strtoull(at + strlen("\"messages\":"), NULL, 10);
}

static uint32_t count_consumers(const char *stream, char ret_first[64])
{
    char subject[160];
    char answer[4096];
    snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.NAMES.%s", stream);
    link_ask(link_server_port(), subject, "", answer, sizeof(answer));
    const char *at = strstr(answer, "\"consumers\":[");
    uint32_t n = 0;
    kit_true(at != NULL);
    at += strlen("\"consumers\":[");
    if (*at == '"') {
        snprintf(ret_first, 64, "%.*s", (int)strcspn(at + 1, "\""), at + 1);
    }
    for (; *at != ']' && *at != '\0'; at += *at == ',') {
        at += strcspn(at, ",]");
        n++;
    }
    return n;
}

static tong_mailbox *receiver(void)
{
    return kit_open(BOX, TONG_RECEIVE, NULL);
}

static void what_all_have_is_gone_and_its_pieces(void)
{
    enum {
        SIZE = 3 << 20
    };
    char stream[96];
    char pieces[96];
    const tong_options options = to_all();
    tong_mailbox *box = kit_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    tong_mailbox *each[3] = { receiver(), receiver(), receiver() };
    uint8_t *buffer = calloc(1, SIZE);
    kit_true(buffer != NULL);
    stream_of("", stream);
    stream_of("_b", pieces);
    for (int i = 0; i < 3; i++) {
        kit_ok(tong_send(box, buffer, SIZE, KIT_PATIENCE));
        kit_ok(kit_send_u64(box, 1, KIT_PATIENCE));
    }
    kit_equal(count(stream), 6);
    kit_true(count(pieces) > 0);
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 3; i++) {
            kit_gives(tong_receive(each[k], buffer, SIZE, KIT_PATIENCE), SIZE);
            kit_equal(kit_receive_u64(each[k]), 1);
        }
    }
    for (int i = 0; i < 2; i++) {
        kit_gives(tong_receive(each[2], buffer, SIZE, KIT_PATIENCE), SIZE);
        kit_equal(kit_receive_u64(each[2]), 1);
    }
    kit_equal(count(stream), 2);
    kit_true(count(pieces) > 0);
    /* The last one goes without it. */
    kit_ok(tong_close(each[2]));
    kit_equal(count(stream), 0);
    kit_equal(count(pieces), 0);
    free(buffer);
    kit_ok(tong_close(each[0]));
    kit_ok(tong_close(each[1]));
    kit_end(box, BOX);
}

static void one_consumer_stays(void)
{
    char stream[96];
    char first[64];
    const tong_options options = to_all();
    tong_mailbox *box = kit_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    stream_of("", stream);
    kit_equal(count_consumers(stream, first), 1);
    tong_mailbox *one = receiver();
    kit_equal(count_consumers(stream, first), 1);
    kit_true(strcmp(first, "r") != 0);
    tong_mailbox *two = receiver();
    kit_equal(count_consumers(stream, first), 2);
    kit_ok(tong_close(one));
    kit_equal(count_consumers(stream, first), 1);
    kit_ok(tong_close(two));
    kit_equal(count_consumers(stream, first), 1);
    kit_end(box, BOX);
}

static void a_consumer_that_was_taken_away_is_made_again(void)
{
    char stream[96];
    char first[64];
    char lines[256];
    uint64_t value = 0;
    const tong_options options = to_all();
    tong_mailbox *box = kit_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    tong_mailbox *one = receiver();
    stream_of("", stream);
    kit_ok(kit_send_u64(box, 1, KIT_PATIENCE));
    kit_equal(kit_receive_u64(one), 1);
    kit_equal(count_consumers(stream, first), 1);
    tong_mailbox *two = receiver();
    kit_ok(kit_send_u64(box, 2, KIT_PATIENCE));
    snprintf(lines, sizeof(lines), "PUB $JS.API.CONSUMER.DELETE.%s.%s 0\r\n\r\n", stream, first);
    link_say(link_server_port(), lines);
    /* It goes on with what is kept for the other one. */
    kit_gives(tong_receive(one, &value, sizeof(value), KIT_PATIENCE), sizeof(value));
    kit_equal(value, 2);
    kit_equal(kit_receive_u64(two), 2);
    kit_ok(kit_send_u64(box, 3, KIT_PATIENCE));
    kit_equal(kit_receive_u64(one), 3);
    kit_equal(kit_receive_u64(two), 3);
    kit_equal(count(stream), 0);
    kit_ok(tong_close(one));
    kit_ok(tong_close(two));
    kit_equal(count_consumers(stream, first), 1);
    kit_end(box, BOX);
}

static int is_there(void *arg)
{
    kit_true(receiver() != NULL);
    kit_event_set(arg);
    kit_await_death();
}

static int waits(void *arg)
{
    tong_mailbox *box = receiver();
    for (uint64_t i = 0; i < 7; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
    return arg == NULL || tong_close(box);
}

/* Nobody comes: one that waits finds it out. */
static void nothing_is_kept_for_a_dead_one_while_another_waits(void)
{
    char stream[96];
    const tong_options options = to_all();
    tong_mailbox *box = kit_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    kit_event *there = kit_shared(sizeof(*there));
    stream_of("", stream);
    struct kit_child other = kit_spawn(waits, there);
    kit_until_asleep(BOX, 1);
    struct kit_child child = kit_spawn(is_there, there);
    kit_event_wait(there);
    for (uint64_t i = 0; i < 6; i++) {
        kit_ok(kit_send_u64(box, i, KIT_PATIENCE));
    }
    kit_kill(&child);
    kit_until(count(stream) == 0);
    kit_ok(kit_send_u64(box, 6, KIT_PATIENCE));
    kit_join(&other);
    kit_end(box, BOX);
}

/* Nobody waits: a sender that has no room left finds it out. */
static void a_dead_one_takes_nobodys_room(void)
{
    static uint8_t buffer[65536];
    tong_options options = to_all();
    options.max_bytes = 1 << 20;
    tong_mailbox *box = kit_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    tong_mailbox *one = receiver();
    kit_event *there = kit_shared(sizeof(*there));
    struct kit_child child = kit_spawn(is_there, there);
    kit_event_wait(there);
    kit_kill(&child);
    for (int i = 0; i < 40; i++) {
        kit_ok(tong_send(box, buffer, sizeof(buffer), KIT_PATIENCE));
        kit_gives(tong_receive(one, buffer, sizeof(buffer), 0), sizeof(buffer));
    }
    kit_ok(tong_close(one));
    kit_end(box, BOX);
}

/* The word of a server alone is kept; replicas would acknowledge what they drop. */
static void a_bound_with_replicas_is_refused(void)
{
    tong_options options = to_all();
    tong_mailbox *box = NULL;
    options.link_capacity = 3;
    setenv("TONG_NATS_REPLICAS", "3", 1);
    kit_gives(tong_open(BOX, TONG_SEND | TONG_CREATE, &options, &box), -EOPNOTSUPP);
    unsetenv("TONG_NATS_REPLICAS");
    box = kit_open(BOX, TONG_SEND | TONG_CREATE, &options);
    kit_equal(kit_stat(BOX).link_capacity, 3);
    kit_end(box, BOX);
}

static const struct kit_test tests[] = {
    KIT_TEST(what_all_have_is_gone_and_its_pieces),
    KIT_TEST(one_consumer_stays),
    KIT_TEST(a_consumer_that_was_taken_away_is_made_again),
    KIT_TEST(nothing_is_kept_for_a_dead_one_while_another_waits),
    KIT_TEST(a_dead_one_takes_nobodys_room),
    KIT_TEST(a_bound_with_replicas_is_refused),
};

KIT_MAIN(tests)
