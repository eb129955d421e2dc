/* What is promised of messages whose answers are lost on the way. */
#include <pthread.h>

#include "link.h"

static struct kit_child child;
static struct link_orders *orders;

static tong_mailbox *begin(const tong_options *options)
{
    orders = link_begin(&child);
    return kit_create(kit_name("box"), options);
}

static void finish(tong_mailbox *box)
{
    kit_ok(tong_close(box));
    kit_ok(tong_remove(kit_name("box")));
    link_end(orders, &child);
}

/* From here on: the answers behind so many are lost, and the connection. */
static void lose_answers(uint32_t skip)
{
    orders->skip = skip;
    orders->swallow = 1;
}

/* ------------------------------------------------------------------ sending */

static void one_that_was_not_answered_does_not_swallow_the_next(void)
{
    tong_mailbox *box = begin(NULL);
    lose_answers(0);
    kit_gives(kit_send_u64(box, 1, 0), -ENOTCONN);
    kit_equal(orders->swallowed, 1);
    kit_ok(kit_send_u64(box, 2, KIT_PATIENCE));
    kit_equal(kit_receive_u64(box), 1); /* it had arrived */
    kit_equal(kit_receive_u64(box), 2);
    kit_is_empty(box);
    finish(box);
}

static void within_a_call_it_is_sent_again_and_stored_once(void)
{
    tong_mailbox *box = begin(NULL);
    lose_answers(0);
    kit_ok(kit_send_u64(box, 1, KIT_PATIENCE));
    kit_equal(orders->swallowed, 1);
    kit_ok(kit_send_u64(box, 2, KIT_PATIENCE));
    kit_equal(kit_receive_u64(box), 1);
    kit_equal(kit_receive_u64(box), 2);
    kit_is_empty(box);
    finish(box);
}

static void *interrupt_when_lost(void *box)
{
    kit_until(orders->swallowed == 1);
    kit_ok(tong_interrupt(box));
    return NULL;
}

/* Refused connections: the call waits for one, and may not say that nothing was sent. */
static void an_interrupt_does_not_make_a_stored_one_unsent(void)
{
    tong_mailbox *box = begin(NULL);
    pthread_t thread;
    kit_ok(kit_send_u64(box, 1, KIT_PATIENCE));
    lose_answers(1);
    kit_ok(pthread_create(&thread, NULL, interrupt_when_lost, box));
    orders->refuse = 0;
    int r = kit_send_u64(box, 2, KIT_PATIENCE);
    kit_ok(pthread_join(thread, NULL));
    /* The connection was there again before the interrupt, or not. */
    kit_true(r == 0 || r == -ENOTCONN);
    kit_equal(kit_receive_u64(box), 1);
    kit_equal(kit_receive_u64(box), 2);
    kit_is_empty(box);
    finish(box);
}

static void a_row_whose_answers_are_lost_is_sent_once_and_in_order(void)
{
    enum {
        N = 60
    };
    uint64_t values[N];
    struct iovec parts[N];
    tong_options options = kit_options();
    options.capacity = TONG_UNBOUNDED;
    options.link_capacity = TONG_UNBOUNDED;
    tong_mailbox *box = begin(&options);
    for (uint64_t i = 0; i < N; i++) {
        values[i] = i;
        parts[i] = (struct iovec){ &values[i], sizeof(values[i]) };
    }
    lose_answers(10);
    kit_gives(tong_send_many(box, parts, N, KIT_PATIENCE), N);
    kit_equal(orders->swallowed, 1);
    for (uint64_t i = 0; i < N; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
    kit_is_empty(box);
    finish(box);
}

/* From here on: the connection, when this is said. */
static void cut_before(const char *word)
{
    snprintf(orders->cut_word, sizeof(orders->cut_word), "%s", word);
    orders->cut_before = 1;
}

/* ------------------------------------------------------------------ receiving */

static void stream_of(const char *name, char ret_id[33])
{
    const tong_status status = kit_stat(name);
    for (size_t i = 0; i < 16; i++) {
        snprintf(ret_id + 2 * i, 3, "%02x", status.id[i]);
    }
}

static void publish(const char *subject, const char *text)
{
    char lines[1024];
    snprintf(lines, sizeof(lines), "PUB %s %zu\r\n%s\r\n", subject, strlen(text), text);
    link_say(orders->server_port, lines);
}

/* Its line in the book says that its stream has three replicas, as those that open it then believe. */
static tong_mailbox *begin_with_replicas(void)
{
    char text[256];
    char subject[64];
    char id[33];
    tong_mailbox *box = begin(NULL);
    stream_of(kit_name("box"), id);
    snprintf(subject, sizeof(subject), "%s.d.box", getenv("TONG_NATS_SPACE"));
    snprintf(text, sizeof(text),
             "{\"version\":1,\"id\":\"%s\",\"capacity\":%u,\"link_capacity\":%u,\"max_bytes\":%llu,"
             "\"home\":\"box\",\"replicas\":3}",
             id, TONG_UNBOUNDED, TONG_UNBOUNDED, 256ull << 20);
    publish(subject, text);
    kit_ok(tong_close(box));
    return kit_open(kit_name("box"), TONG_SEND | TONG_RECEIVE, NULL);
}

static uint32_t receive_one(tong_mailbox *box)
{
    uint64_t value = 0;
    tong_message info = TONG_MESSAGE_INIT;
    kit_gives(tong_receive_with(box, &value, sizeof(value), NULL, KIT_PATIENCE, &info),
              sizeof(value));
    kit_equal(value, 1);
    return info.deliveries;
}

/* A server that dies forgets what it has not told the others: here another consumer does. */
static void what_was_handed_out_by_replicas_comes_not_again_when_they_forget_it(void)
{
    char subject[128];
    char text[256];
    char id[33];
    tong_mailbox *box = begin_with_replicas();
    tong_mailbox *other = kit_open(kit_name("box"), TONG_RECEIVE, NULL);
    stream_of(kit_name("box"), id);
    kit_ok(kit_send_u64(box, 1, KIT_PATIENCE));
    cut_before("+ACK");
    kit_equal(receive_one(box), 1);
    kit_until(!orders->cut_before);
    const char *space = getenv("TONG_NATS_SPACE");
    snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.DELETE.%s_%s.r", space, id);
    publish(subject, "");
    snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.DURABLE.CREATE.%s_%s.r", space, id);
    snprintf(text, sizeof(text),
             "{\"stream_name\":\"%s_%s\",\"config\":{\"durable_name\":\"r\","
             "\"ack_policy\":\"explicit\",\"ack_wait\":5000000000}}",
             space, id);
    publish(subject, text);
    kit_is_empty(other);
    kit_ok(tong_close(other));
    finish(box);
}

static void who_is_not_told_that_it_is_gone_from_replicas_marks_it(void)
{
    tong_mailbox *box = begin_with_replicas();
    kit_ok(kit_send_u64(box, 1, KIT_PATIENCE));
    cut_before("MSG.DELETE");
    kit_equal(receive_one(box), 2);
    kit_equal(orders->cut_before, 0);
    finish(box);
}

static void one_whose_bytes_did_not_come_is_not_acknowledged(void)
{
    enum {
        SIZE = 4 << 20
    };
    char *bytes = calloc(2, SIZE);
    tong_mailbox *box = begin(NULL);
    memset(bytes, 'x', SIZE);
    kit_ok(tong_send(box, bytes, SIZE, KIT_PATIENCE));
    const struct iovec part = { bytes + SIZE, SIZE };
    size_t len = 0;
    orders->cut_after = 2 << 20;
    ssize_t n = tong_receive_many(box, &part, 1, KIT_PATIENCE, &len);
    kit_equal(orders->cut_after, 0);
    for (unsigned i = 0; i < 5 && n != 1; i++) {
        kit_gives(n, -ENOTCONN);
        n = tong_receive_many(box, &part, 1, KIT_PATIENCE, &len);
    }
    kit_gives(n, 1);
    kit_equal(len, SIZE);
    kit_true(memcmp(bytes, bytes + SIZE, SIZE) == 0);
    finish(box);
    free(bytes);
}

static void a_connection_that_ended_between_two_calls_fails_none(void)
{
    tong_mailbox *box = begin(NULL);
    kit_ok(kit_send_u64(box, 1, KIT_PATIENCE));
    kit_equal(kit_receive_u64(box), 1);
    orders->refuse = 1;
    usleep(1100000); /* longer than a call trusts a connection */
    orders->refuse = 0;
    kit_ok(kit_send_u64(box, 2, 0));
    uint64_t value = 0;
    kit_gives(tong_receive(box, &value, sizeof(value), 0), sizeof(value));
    kit_equal(value, 2);
    finish(box);
}

/* It takes connections, for the kernel does, and says nothing. */
static void a_dead_letter_whose_answer_is_lost_is_stored_once(void)
{
    tong_options options = kit_options();
    options.max_deliveries = 1;
    options.dead_letter = "dead";
    tong_mailbox *box = begin(&options);
    tong_mailbox *dead = kit_create(kit_name("dead"), NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(kit_send_u64(box, 7, 0));
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_ok(tong_return(box, &message));
    lose_answers(0); /* the first message on a connection that is made for it */
    kit_is_empty(box);
    kit_equal(orders->swallowed, 1);
    kit_equal(kit_stat(kit_name("box")).set_aside, 1);
    kit_until((tong_receive(box, NULL, 0, 0), kit_stat(kit_name("box")).dead_letters == 1));
    kit_equal(kit_stat(kit_name("box")).set_aside, 0);
    kit_equal(kit_stat(kit_name("dead")).sent, 1);
    kit_equal(kit_receive_u64(dead), 7);
    kit_is_empty(dead);
    kit_end(dead, kit_name("dead"));
    finish(box);
}

/* Readable so long: receive what is there, 0 or what receiving says. */
static int receive_when_readable(tong_mailbox *box, int fd, int milliseconds, uint64_t *ret_value)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    if (poll(&ready, 1, milliseconds) == 0) {
        return -ETIMEDOUT;
    }
    const ssize_t r = tong_receive(box, ret_value, sizeof(*ret_value), 0);
    return r < 0 ? (int)r : 0;
}

static void a_descriptor_without_a_server_is_calm_and_comes_back(void)
{
    tong_mailbox *box = begin(NULL);
    uint64_t value = 0;
    const int fd = tong_fd(box, TONG_RECEIVE);
    kit_true(fd >= 0);
    orders->refuse = 1;
    int r;
    do {
        r = receive_when_readable(box, fd, (int)(KIT_PATIENCE / 1000000), &value);
    } while (r == -EAGAIN);
    kit_gives(r, -ENOTCONN);
    const int64_t began = kit_now_ns();
    int64_t looks = 0;
    while (kit_now_ns() - began < TONG_MS(500)) {
        looks += receive_when_readable(box, fd, 50, &value) != -ETIMEDOUT;
        kit_true(looks <= 2 + (kit_now_ns() - began) / TONG_MS(125));
    }
    orders->refuse = 0;
    kit_ok(kit_send_u64(box, 7, KIT_PATIENCE));
    do {
        r = receive_when_readable(box, fd, (int)(KIT_PATIENCE / 1000000), &value);
    } while (r == -EAGAIN || r == -ENOTCONN);
    kit_ok(r);
    kit_equal(value, 7);
    finish(box);
}

static void a_server_that_hangs_leaves_the_others_their_time(void)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    char url[96];
    char *before = strdup(getenv("TONG_NATS_URL"));
    const int hangs = link_socket(&address);
    kit_ok(bind(hangs, (struct sockaddr *)&address, len));
    kit_ok(listen(hangs, 16));
    kit_ok(getsockname(hangs, (struct sockaddr *)&address, &len));
    snprintf(url, sizeof(url), "nats://127.0.0.1:%u,%s", (unsigned)ntohs(address.sin_port), before);
    setenv("TONG_NATS_URL", url, 1);
    tong_mailbox *box = kit_create(kit_name("box"), NULL);
    kit_ok(kit_send_u64(box, 1, KIT_PATIENCE));
    kit_end(box, kit_name("box"));
    setenv("TONG_NATS_URL", before, 1);
    free(before);
    close(hangs);
}

static const struct kit_test tests[] = {
    KIT_TEST(one_that_was_not_answered_does_not_swallow_the_next),
    KIT_TEST(within_a_call_it_is_sent_again_and_stored_once),
    KIT_TEST(an_interrupt_does_not_make_a_stored_one_unsent),
    KIT_TEST(a_row_whose_answers_are_lost_is_sent_once_and_in_order),
    KIT_TEST(what_was_handed_out_by_replicas_comes_not_again_when_they_forget_it),
    KIT_TEST(who_is_not_told_that_it_is_gone_from_replicas_marks_it),
    KIT_TEST(one_whose_bytes_did_not_come_is_not_acknowledged),
    KIT_TEST(a_connection_that_ended_between_two_calls_fails_none),
    KIT_TEST(a_dead_letter_whose_answer_is_lost_is_stored_once),
    KIT_TEST(a_descriptor_without_a_server_is_calm_and_comes_back),
    KIT_TEST(a_server_that_hangs_leaves_the_others_their_time),
};

KIT_MAIN(tests)
