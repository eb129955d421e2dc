/*
 * Many messages of random size, eight senders, four receivers, each a process of its own.
 *
 * Every message proves itself: sender, number, length, a sum over its bytes. None is lost, none
 * comes twice (a ledger with one byte for each), and of each sender every receiver gets growing
 * numbers. Messages below 16 bytes have no room for their number: for them the sums over all that
 * were sent and all that came must agree.
 *
 * TONG_TEST_STREAM is the number of messages of the first run; the others take a part of it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kit.h"

enum {
    SENDERS = 8,
    RECEIVERS = 4,
    LONGEST = 65536,
    NUMBERED = 16 /* shorter messages do not hold their number */
};

struct stream {
    uint64_t each;
    bool claims;
    _Atomic uint64_t received;
    _Atomic uint64_t bytes;
    _Atomic uint64_t short_sent; /* sums over short messages */
    _Atomic uint64_t short_received;
    _Atomic uint64_t by_receiver[RECEIVERS];
    _Atomic uint32_t next_number;
    _Atomic uint8_t seen[];
};

static size_t length_of(uint32_t sender, uint64_t counter)
{
    struct kit_random random = { .state = { sender * 7919u + counter * 104729u + 1,
                                            counter * 31 + 7 } };
    kit_random(&random);
    const uint64_t any = kit_random(&random);
    return (size_t)(any % 2 ? (any >> 8) % (LONGEST + 1) : (any >> 8) % 1025);
}

static uint64_t short_sum(const void *data, size_t len)
{
    unsigned char bytes[NUMBERED + 1] = { 0 };
    if (len > 0) {
        memcpy(bytes, data, len);
    }
    bytes[NUMBERED] = (unsigned char)len;
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i <= NUMBERED; i++) {
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return sum;
}

/* A full memory is no error of a stream without bound: it goes on when there is some again. */
static void send_one(tong_mailbox *box, const void *data, size_t len)
{
    int r = 0;
    kit_until((r = tong_send(box, data, len, KIT_PATIENCE)) != -ENOSPC);
    kit_ok(r);
}

static void send_in_place(tong_mailbox *box, size_t len, uint32_t sender, uint64_t counter)
{
    int r = 0;
    tong_slot slot = TONG_SLOT_INIT;
    kit_until((r = tong_reserve(box, len, KIT_PATIENCE, &slot)) != -ENOSPC);
    kit_ok(r);
    kit_payload_write(slot.data, len, sender, counter);
    kit_ok(tong_commit(box, &slot, len));
}

static int send_all(void *arg)
{
    static char data[LONGEST];
    struct stream *stream = arg;
    const uint32_t sender = atomic_fetch_add(&stream->next_number, 1);
    tong_mailbox *box = kit_open(kit_name("stream"), TONG_SEND, NULL);
    for (uint64_t i = 0; i < stream->each; i++) {
        const size_t len = length_of(sender, i);
        if (stream->claims && len >= NUMBERED && i % 2 == 0) {
            send_in_place(box, len, sender, i);
            continue;
        }
        kit_payload_write(data, len, sender, i);
        if (len < NUMBERED) {
            atomic_fetch_add(&stream->short_sent, short_sum(data, len));
        }
        send_one(box, data, len);
    }
    return tong_close(box);
}

static void note(struct stream *stream, const void *data, size_t len, uint64_t last[SENDERS])
{
    if (len < NUMBERED) {
        atomic_fetch_add(&stream->short_received, short_sum(data, len));
        return;
    }
    struct kit_payload head = { .sender = 0 };
    memcpy(&head, data, len < sizeof(head) ? len : sizeof(head));
    kit_true(head.sender < SENDERS && head.counter < stream->each);
    if (!kit_payload_is(data, len, head.sender, head.counter) ||
        len != length_of(head.sender, head.counter)) {
        kit_fail("message %llu of sender %u is not whole", (unsigned long long)head.counter,
                 head.sender);
    }
    if (atomic_fetch_add(&stream->seen[head.sender * stream->each + head.counter], 1) != 0) {
        kit_fail("message %llu of sender %u came twice", (unsigned long long)head.counter,
                 head.sender);
    }
    if (head.counter + 1 <= last[head.sender]) {
        kit_fail("message %llu of sender %u came after number %llu",
                 (unsigned long long)head.counter, head.sender,
                 (unsigned long long)last[head.sender] - 1);
    }
    last[head.sender] = head.counter + 1;
}

static ssize_t take_one(struct stream *stream, tong_mailbox *box, uint64_t last[SENDERS])
{
    static char data[LONGEST];
    if (!stream->claims) {
        const ssize_t n = tong_receive(box, data, sizeof(data), TONG_MS(50));
        if (n >= 0) {
            note(stream, data, (size_t)n, last);
        }
        return n;
    }
    tong_message message = TONG_MESSAGE_INIT;
    const int r = tong_claim(box, TONG_MS(50), &message);
    if (r != 0) {
        return r;
    }
    kit_equal(message.deliveries, 1);
    note(stream, message.data, message.len, last);
    kit_ok(tong_done(box, &message));
    return (ssize_t)message.len;
}

static int receive_all(void *arg)
{
    struct stream *stream = arg;
    uint64_t last[SENDERS] = { 0 };
    const uint32_t number = atomic_fetch_add(&stream->next_number, 1) - SENDERS;
    tong_mailbox *box = kit_open(kit_name("stream"), TONG_RECEIVE, NULL);
    while (atomic_load(&stream->received) < SENDERS * stream->each) {
        const ssize_t n = take_one(stream, box, last);
        if (n < 0) {
            kit_gives(n, -ETIMEDOUT);
            continue;
        }
        atomic_fetch_add(&stream->received, 1);
        atomic_fetch_add(&stream->bytes, (uint64_t)n);
        atomic_fetch_add(&stream->by_receiver[number], 1);
    }
    return tong_close(box);
}

/* They run for as long as messages come; each one has its deadline. */
static void wait_for_all(struct stream *stream)
{
    const uint64_t total = SENDERS * stream->each;
    for (uint64_t before = 0; before < total; before = atomic_load(&stream->received)) {
        kit_until(atomic_load(&stream->received) > before);
    }
}

static void expect_nothing_missing(struct stream *stream)
{
    for (uint32_t sender = 0; sender < SENDERS; sender++) {
        for (uint64_t i = 0; i < stream->each; i++) {
            if (atomic_load(&stream->seen[sender * stream->each + i]) == 0 &&
                length_of(sender, i) >= NUMBERED) {
                kit_fail("message %llu of sender %u was lost", (unsigned long long)i, sender);
            }
        }
    }
    kit_equal(atomic_load(&stream->short_received), atomic_load(&stream->short_sent));
}

static void play(uint32_t delivery, bool claims, uint32_t capacity, uint64_t part)
{
    const uint64_t each = kit_count("TONG_TEST_STREAM", 100000) / part / SENDERS + 1;
    struct stream *stream = kit_shared(sizeof(*stream) + SENDERS * each);
    stream->each = each;
    stream->claims = claims;
    tong_options options = kit_capacity(capacity);
    options.delivery = delivery;
    if (capacity == TONG_UNBOUNDED) {
        options.link_capacity = TONG_UNBOUNDED;
        const uint64_t half = kit_free_memory() / 2;
        options.max_bytes = half < options.max_bytes ? half : options.max_bytes;
    }
    kit_ok(tong_close(kit_create(kit_name("stream"), &options)));
    struct kit_child children[SENDERS + RECEIVERS];
    for (size_t i = 0; i < SENDERS + RECEIVERS; i++) {
        if (i == SENDERS) {
            /* Numbers are given in this order: the senders first. */
            kit_until(atomic_load(&stream->next_number) == SENDERS);
        }
        children[i] = kit_spawn(i < SENDERS ? send_all : receive_all, stream);
    }
    wait_for_all(stream);
    for (size_t i = 0; i < SENDERS + RECEIVERS; i++) {
        kit_join(&children[i]);
    }
    expect_nothing_missing(stream);
    const tong_status status = kit_stat(kit_name("stream"));
    printf("%llu messages, %llu MiB; receivers got %llu, %llu, %llu, %llu; the back-stop found "
           "%llu\n",
           (unsigned long long)status.done, (unsigned long long)(atomic_load(&stream->bytes) >> 20),
           (unsigned long long)stream->by_receiver[0], (unsigned long long)stream->by_receiver[1],
           (unsigned long long)stream->by_receiver[2], (unsigned long long)stream->by_receiver[3],
           (unsigned long long)status.backstop_finds);
    if (status.sent != SENDERS * each || status.done != SENDERS * each || status.waiting != 0) {
        kit_fail("stat says sent %llu, done %llu, waiting %llu, links %u, files: %s",
                 (unsigned long long)status.sent, (unsigned long long)status.done,
                 (unsigned long long)status.waiting, status.links, kit_entries(kit_path("stream")));
    }
    kit_equal(status.redelivered, 0);
    kit_equal(status.backstop_finds, 0);
    kit_ok(tong_remove(kit_name("stream")));
}

static void a_million_messages_arrive_whole_once_and_in_order(void)
{
    play(TONG_FIRST_COME, false, 1000, 1);
}

#define STREAM(name, delivery, claims, capacity, part)                                             \
    static void name(void)                                                                         \
    {                                                                                              \
        if (claims) {                                                                              \
            kit_needs(KIT_IN_PLACE);                                                               \
        }                                                                                          \
        play(delivery, claims, capacity, part);                                                    \
    }

STREAM(first_come_copies_at_a_rendezvous, TONG_FIRST_COME, false, 0, 50)
STREAM(first_come_copies_at_capacity_1, TONG_FIRST_COME, false, 1, 50)
STREAM(first_come_copies_at_capacity_64, TONG_FIRST_COME, false, 64, 20)
STREAM(first_come_copies_without_bound, TONG_FIRST_COME, false, TONG_UNBOUNDED, 20)
STREAM(first_come_claims_at_a_rendezvous, TONG_FIRST_COME, true, 0, 50)
STREAM(first_come_claims_at_capacity_1, TONG_FIRST_COME, true, 1, 50)
STREAM(first_come_claims_at_capacity_64, TONG_FIRST_COME, true, 64, 20)
STREAM(first_come_claims_at_capacity_1000, TONG_FIRST_COME, true, 1000, 20)
STREAM(first_come_claims_without_bound, TONG_FIRST_COME, true, TONG_UNBOUNDED, 20)
STREAM(any_copies_at_a_rendezvous, TONG_ANY, false, 0, 50)
STREAM(any_copies_at_capacity_1, TONG_ANY, false, 1, 50)
STREAM(any_copies_at_capacity_64, TONG_ANY, false, 64, 20)
STREAM(any_copies_at_capacity_1000, TONG_ANY, false, 1000, 20)
STREAM(any_copies_without_bound, TONG_ANY, false, TONG_UNBOUNDED, 20)
STREAM(any_claims_at_a_rendezvous, TONG_ANY, true, 0, 50)
STREAM(any_claims_at_capacity_1, TONG_ANY, true, 1, 50)
STREAM(any_claims_at_capacity_64, TONG_ANY, true, 64, 20)
STREAM(any_claims_at_capacity_1000, TONG_ANY, true, 1000, 20)
STREAM(any_claims_without_bound, TONG_ANY, true, TONG_UNBOUNDED, 20)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_million_messages_arrive_whole_once_and_in_order, 250),
    KIT_TEST(first_come_copies_at_a_rendezvous),
    KIT_TEST(first_come_copies_at_capacity_1),
    KIT_TEST(first_come_copies_at_capacity_64),
    KIT_TEST(first_come_copies_without_bound),
    KIT_TEST(first_come_claims_at_a_rendezvous),
    KIT_TEST(first_come_claims_at_capacity_1),
    KIT_TEST(first_come_claims_at_capacity_64),
    KIT_TEST(first_come_claims_at_capacity_1000),
    KIT_TEST(first_come_claims_without_bound),
    KIT_TEST(any_copies_at_a_rendezvous),
    KIT_TEST(any_copies_at_capacity_1),
    KIT_TEST(any_copies_at_capacity_64),
    KIT_TEST(any_copies_at_capacity_1000),
    KIT_TEST(any_copies_without_bound),
    KIT_TEST(any_claims_at_a_rendezvous),
    KIT_TEST(any_claims_at_capacity_1),
    KIT_TEST(any_claims_at_capacity_64),
    KIT_TEST(any_claims_at_capacity_1000),
    KIT_TEST(any_claims_without_bound),
};

KIT_MAIN(tests)
