/* What others write on a server: messages that no tong has sent, consumers that are taken away, the lines of the dead. */
#include "link.h"

static void hex_id(const char *name, char ret_id[33])
{
    const tong_status status = kit_stat(name);
    for (size_t i = 0; i < 16; i++) {
        snprintf(ret_id + 2 * i, 3, "%02x", status.id[i]);
    }
}

static const char *space(void)
{
    return getenv("TONG_NATS_SPACE");
}

static uint64_t receive_of(tong_mailbox *box, tong_message *ret_info)
{
    uint64_t value = 0;
    kit_gives(tong_receive_with(box, &value, sizeof(value), NULL, KIT_PATIENCE, ret_info),
              sizeof(value));
    return value;
}

static void a_message_that_no_tong_has_sent_is_received_as_it_is(void)
{
    char id[33];
    char lines[512];
    tong_mailbox *box = kit_create(kit_name("box"), NULL);
    hex_id(kit_name("box"), id);
    for (unsigned i = 0; i < 3; i++) {
        tong_message info = TONG_MESSAGE_INIT;
        /* One with a full head before it, so that what it left behind would be found. */
        tong_send_options with = TONG_SEND_OPTIONS_INIT;
        with.priority = 3;
        with.key = 77;
        with.tag = 5;
        with.expiry_ns = TONG_SEC(100);
        const uint64_t first = i;
        kit_ok(tong_send_with(box, &first, sizeof(first), &with, KIT_PATIENCE));
        kit_equal(receive_of(box, &info), i);
        kit_equal(info.key, 77);
        snprintf(lines, sizeof(lines), "PUB %s.q.box.%s.x 8\r\nABCDEFGH\r\n", space(), id);
        link_say(link_server_port(), lines);
        kit_equal(receive_of(box, &info), UINT64_C(0x4847464544434241));
        kit_equal(info.key, 0);
        kit_equal(info.uid, 0);
        kit_equal(info.pid, 0);
        kit_equal(info.priority, 0);
    }
    kit_end(box, kit_name("box"));
}

/* A head that promises more than there can be, or says whom to tell in words that are another line of the protocol. */
static void a_head_that_lies_harms_nobody(void)
{
    static const char *const heads[] = {
        "Tong: 1 1 0 0 1 0\r\nTong-Long: 18446744073709551607 1 1\r\n",
        "Tong: 1 1 0 0 1 0\r\nTong-Long: 9 10 1\r\n",
        "Tong: 1 1 0 0 1 0\r\nTong-Long: 9\r\n",
        "Tong: 1 1 0 0 1 0\r\nTong-Offer: 3 a 0\n\nPUB b\r\n",
        "Tong: 1 \r\n",
        "Tong: 1 99999999999999999999999 -1 x\r\n",
    };
    char id[33];
    tong_mailbox *box = kit_create(kit_name("box"), NULL);
    hex_id(kit_name("box"), id);
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        char lines[512];
        const size_t len = strlen("NATS/1.0\r\n\r\n") + strlen(heads[i]);
        snprintf(lines, sizeof(lines),
                 "HPUB %s.q.box.%s.-.0123456789abcdef01234567.1 %zu %zu\r\n"
                 "NATS/1.0\r\n%s\r\nABCDEFGH\r\n",
                 space(), id, len, len + 8, heads[i]);
        link_say(link_server_port(), lines);
        tong_message info = TONG_MESSAGE_INIT;
        kit_equal(receive_of(box, &info), UINT64_C(0x4847464544434241));
    }
    kit_end(box, kit_name("box"));
}

static void an_offer_that_lies_is_no_line_of_the_receiver(void)
{
    char id[33];
    char lines[512];
    static const char head[] =
        "NATS/1.0\r\nTong: 1 1 0 0 1 0\r\nTong-Offer: 3 a 0\n\nPUB theirs 0\n\n\r\n\r\n";
    const tong_options options = kit_capacity(0);
    tong_mailbox *box = kit_create(kit_name("box"), &options);
    hex_id(kit_name("box"), id);
    snprintf(lines, sizeof(lines),
             "HPUB %s.q.box.%s.-.0123456789abcdef01234567.1 %zu %zu\r\n%sx\r\n", space(), id,
             sizeof(head) - 1, sizeof(head), head);
    link_say(link_server_port(), lines);
    char byte;
    const ssize_t n = tong_receive(box, &byte, 1, TONG_MS(300));
    kit_true(n == 1 || n == -EPROTO || n == -ETIMEDOUT);
    kit_end(box, kit_name("box"));
}

static void a_consumer_that_was_taken_away_is_made_again(void)
{
    char id[33];
    char lines[256];
    tong_mailbox *box = kit_create(kit_name("box"), NULL);
    kit_ok(kit_send_u64(box, 1, KIT_PATIENCE));
    kit_equal(kit_receive_u64(box), 1);
    kit_until(kit_stat(kit_name("box")).done == 1); /* the server has been told */
    hex_id(kit_name("box"), id);
    snprintf(lines, sizeof(lines), "PUB $JS.API.CONSUMER.DELETE.%s_%s.r 0\r\n\r\n", space(), id);
    link_say(link_server_port(), lines);
    kit_ok(kit_send_u64(box, 2, KIT_PATIENCE));
    kit_equal(kit_receive_u64(box), 2);
    kit_until(kit_stat(kit_name("box")).done == 2);
    /* Who does not wait finds it out, too. */
    link_say(link_server_port(), lines);
    kit_ok(kit_send_u64(box, 3, KIT_PATIENCE));
    uint64_t value = 0;
    kit_gives(tong_receive(box, &value, sizeof(value), 0), sizeof(value));
    kit_equal(value, 3);
    kit_end(box, kit_name("box"));
}

static bool has_piece(const char *id, const char *owner)
{
    char subject[128];
    char body[256];
    char answer[4096];
    snprintf(subject, sizeof(subject), "$JS.API.STREAM.MSG.GET.%s_%s_b", space(), id);
    snprintf(body, sizeof(body), "{\"last_by_subj\":\"%s.l.box.%s.%s.1.7.0\"}", space(), id, owner);
    link_ask(link_server_port(), subject, body, answer, sizeof(answer));
    return strstr(answer, "\"message\"") != NULL;
}

static void who_died_while_it_wrote_leaves_no_pieces(void)
{
    enum {
        SIZE = 3 << 20
    };
    static const char dead[] = "0123456789abcdef01234567";
    char id[33];
    char lines[1024];
    char *bytes = calloc(1, SIZE);
    tong_mailbox *box = kit_create(kit_name("box"), NULL);
    kit_ok(tong_send(box, bytes, SIZE, KIT_PATIENCE)); /* there is a stream for pieces */
    kit_gives(tong_receive(box, bytes, SIZE, KIT_PATIENCE), SIZE);
    hex_id(kit_name("box"), id);
    snprintf(lines, sizeof(lines),
             "PUB %s.w.box.%s.%s.1.7 0\r\n\r\nPUB %s.l.box.%s.%s.1.7.0 5\r\npiece\r\n", space(), id,
             dead, space(), id, dead);
    link_say(link_server_port(), lines);
    kit_true(has_piece(id, dead));
    tong_mailbox *other = kit_open(kit_name("box"), TONG_RECEIVE, NULL);
    kit_true(!has_piece(id, dead));
    kit_ok(tong_close(other));
    kit_end(box, kit_name("box"));
    free(bytes);
}

/* What stands in the book becomes part of subjects and of names of streams. */
static void a_line_of_the_book_that_lies_is_foreign(void)
{
    static const char *const texts[] = {
        "{\"version\":1,\"id\":\"********************************\"}",
        "{\"version\":1,\"id\":\"0123456789abcdef0123456789abcde>\"}",
        "{\"version\":1,\"id\":\"0123\"}",
        "{\"version\":2,\"id\":\"0123456789abcdef0123456789abcdef\"}",
        "{\"version\":1,\"id\":\"0123456789abcdef0123456789abcdef\",\"home\":\"a b\"}",
        "{\"version\":1,\"id\":\"0123456789abcdef0123456789abcdef\",\"owner\":1,\"proc\":\"* 0\"}",
        "",
    };
    tong_mailbox *box = kit_create(kit_name("box"), NULL); /* there is a book */
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char lines[512];
        tong_mailbox *other = NULL;
        tong_status status = TONG_STATUS_INIT;
        snprintf(lines, sizeof(lines), "PUB %s.d.lie %zu\r\n%s\r\n", space(), strlen(texts[i]),
                 texts[i]);
        link_say(link_server_port(), lines);
        kit_gives(tong_open(kit_name("lie"), TONG_SEND, NULL, &other), -EPROTO);
        kit_gives(tong_stat(kit_name("lie"), &status), -EPROTO);
    }
    char subject[64];
    char body[64];
    char answer[1024];
    snprintf(subject, sizeof(subject), "$JS.API.STREAM.PURGE.%s", space());
    snprintf(body, sizeof(body), "{\"filter\":\"%s.d.lie\"}", space());
    link_ask(link_server_port(), subject, body, answer, sizeof(answer));
    kit_end(box, kit_name("box"));
}

static void the_same_mailbox_twice_is_a_mistake(void)
{
    tong_mailbox *box = kit_create(kit_name("box"), NULL);
    tong_mailbox *const both[] = { box, box };
    kit_gives(tong_wait_any(both, 2, 0), -EINVAL);
    kit_end(box, kit_name("box"));
}

static const struct kit_test tests[] = {
    KIT_TEST(a_message_that_no_tong_has_sent_is_received_as_it_is),
    KIT_TEST(a_head_that_lies_harms_nobody),
    KIT_TEST(an_offer_that_lies_is_no_line_of_the_receiver),
    KIT_TEST(a_consumer_that_was_taken_away_is_made_again),
    KIT_TEST(who_died_while_it_wrote_leaves_no_pieces),
    KIT_TEST(a_line_of_the_book_that_lies_is_foreign),
    KIT_TEST(the_same_mailbox_twice_is_a_mistake),
};

KIT_MAIN(tests)
