/* Capacity 0: a send returns when its message was received, and only then. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kit.h"

static tong_mailbox *create_rendezvous(const char *name)
{
    const tong_options options = kit_capacity(0);
    return kit_create(name, &options);
}

struct sender {
    char name[64];
    uint64_t value;
    uint64_t n;
    int64_t timeout_ns;
    kit_event returned;
    _Atomic int answer;
};

static int send_and_tell(void *arg)
{
    struct sender *sender = arg;
    tong_mailbox *box = kit_open(kit_name(sender->name), TONG_SEND, NULL);
    for (uint64_t i = 0; i < sender->n; i++) {
        atomic_store(&sender->answer, kit_send_u64(box, sender->value + i, sender->timeout_ns));
    }
    kit_event_set(&sender->returned);
    return tong_close(box);
}

static struct sender *new_sender(const char *name, uint64_t value, int64_t timeout_ns)
{
    struct sender *sender = kit_shared(sizeof(*sender));
    strcpy(sender->name, name);
    sender->value = value;
    sender->n = 1;
    sender->timeout_ns = timeout_ns;
    return sender;
}

static void a_send_returns_only_when_received(void)
{
    tong_mailbox *box = create_rendezvous(kit_name("meet"));
    for (uint64_t i = 0; i < 20; i++) {
        struct sender *sender = new_sender("meet", i, KIT_PATIENCE);
        struct kit_child child = kit_spawn(send_and_tell, sender);
        kit_until_blocked(kit_name("meet"), 1);
        kit_equal(atomic_load(&sender->returned), 0);
        kit_equal(kit_receive_u64(box), i);
        kit_event_wait(&sender->returned);
        kit_ok(atomic_load(&sender->answer));
        kit_join(&child);
    }
    kit_is_empty(box);
    kit_end(box, kit_name("meet"));
}

static void a_receive_that_does_not_wait_takes_from_a_waiting_sender(void)
{
    tong_mailbox *box = create_rendezvous(kit_name("meet"));
    uint64_t value = 0;
    kit_gives(tong_receive(box, &value, sizeof(value), 0), -EAGAIN);
    struct sender *sender = new_sender("meet", 5, KIT_PATIENCE);
    struct kit_child child = kit_spawn(send_and_tell, sender);
    kit_until_blocked(kit_name("meet"), 1);
    kit_gives(tong_receive(box, &value, sizeof(value), 0), 8);
    kit_equal(value, 5);
    kit_join(&child);
    kit_end(box, kit_name("meet"));
}

static void timeout_0_without_a_receiver_is_eagain(void)
{
    tong_mailbox *box = create_rendezvous(kit_name("alone"));
    tong_mailbox *receiver = kit_open(kit_name("alone"), TONG_RECEIVE, NULL);
    for (uint64_t i = 0; i < 100; i++) {
        kit_gives(kit_send_u64(box, i, 0), -EAGAIN);
    }
    kit_is_empty(receiver);
    kit_equal(kit_stat(kit_name("alone")).waiting, 0);
    kit_equal(kit_stat(kit_name("alone")).done, 0);
    kit_ok(tong_close(receiver));
    kit_end(box, kit_name("alone"));
}

struct receiver {
    char name[64];
    uint64_t n;
    _Atomic uint64_t got;
    _Atomic uint64_t sum;
};

static int receive_n(void *arg)
{
    struct receiver *receiver = arg;
    tong_mailbox *box = kit_open(kit_name(receiver->name), TONG_RECEIVE, NULL);
    for (uint64_t i = 0; i < receiver->n; i++) {
        const uint64_t value = kit_receive_u64(box);
        atomic_fetch_add(&receiver->sum, value);
        atomic_fetch_add(&receiver->got, 1);
    }
    return tong_close(box);
}

static void timeout_0_succeeds_with_a_receiver_waiting(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    enum {
        N = 50
    };
    tong_mailbox *box = create_rendezvous(kit_name("now"));
    struct receiver *receiver = kit_shared(sizeof(*receiver));
    strcpy(receiver->name, "now");
    receiver->n = N;
    struct kit_child child = kit_spawn(receive_n, receiver);
    uint64_t sum = 0;
    for (uint64_t i = 1; i <= N; i++) {
        kit_until_asleep(kit_name("now"), 1);
        /* A receiver that cannot run at once on a busy machine may be missed; then try again. */
        kit_until(kit_send_u64(box, i, 0) == 0);
        sum += i;
        kit_until(atomic_load(&receiver->got) == i);
        kit_equal(atomic_load(&receiver->sum), sum);
    }
    kit_join(&child);
    kit_gives(kit_send_u64(box, 1, 0), -EAGAIN);
    kit_end(box, kit_name("now"));
}

static void a_send_that_timed_out_is_not_there(void)
{
    tong_mailbox *box = create_rendezvous(kit_name("late"));
    for (uint64_t i = 0; i < 20; i++) {
        const int64_t begin_ns = kit_now_ns();
        kit_gives(kit_send_u64(box, i, TONG_MS(1)), -ETIMEDOUT);
        kit_true(kit_now_ns() - begin_ns >= TONG_MS(1));
    }
    kit_is_empty(box);
    struct sender *sender = new_sender("late", 77, KIT_PATIENCE);
    struct kit_child child = kit_spawn(send_and_tell, sender);
    kit_equal(kit_receive_u64(box), 77);
    kit_join(&child);
    kit_is_empty(box);
    kit_end(box, kit_name("late"));
}

/* ------------------------------------------------------------------ the race */

struct race {
    uint64_t n;
    uint32_t n_receivers;
    uint32_t stream;
    _Atomic uint32_t over;
    _Atomic uint32_t next_stream;
    _Atomic uint8_t answers[1 << 20]; /* 1 sent, 2 timed out */
    _Atomic uint8_t got[1 << 20];
};

/* Time-outs around the time a meeting takes, so that both ends come often. */
static int64_t short_time(struct kit_random *random)
{
    return (int64_t)kit_random_below(random, 60000);
}

static int send_in_a_race(void *arg)
{
    struct race *race = arg;
    struct kit_random random = kit_random_stream(1);
    tong_mailbox *box = kit_open(kit_name("race"), TONG_SEND, NULL);
    for (uint64_t i = 0; i < race->n; i++) {
        const int64_t timeout_ns = short_time(&random);
        const int r = kit_send_u64(box, i, timeout_ns);
        if (r != 0) {
            kit_gives(r, timeout_ns == 0 ? -EAGAIN : -ETIMEDOUT);
        }
        atomic_store(&race->answers[i], r == 0 ? 1 : 2);
    }
    atomic_store(&race->over, 1);
    return tong_close(box);
}

/* Sometimes nobody is there to receive. */
static void be_elsewhere(struct kit_random *random)
{
    const int64_t end_ns = kit_now_ns() + short_time(random);
    while (kit_now_ns() < end_ns) {
    }
}

static int receive_in_a_race(void *arg)
{
    struct race *race = arg;
    struct kit_random random = kit_random_stream(100 + atomic_fetch_add(&race->next_stream, 1));
    tong_mailbox *box = kit_open(kit_name("race"), TONG_RECEIVE, NULL);
    while (atomic_load(&race->over) == 0) {
        uint64_t value = 0;
        be_elsewhere(&random);
        const int64_t timeout_ns = short_time(&random);
        const ssize_t n = tong_receive(box, &value, sizeof(value), timeout_ns);
        if (n < 0) {
            kit_gives(n, timeout_ns == 0 ? -EAGAIN : -ETIMEDOUT);
            continue;
        }
        kit_true(n == 8 && value < race->n);
        kit_equal(atomic_fetch_add(&race->got[value], 1), 0);
    }
    return tong_close(box);
}

static void run_race(uint32_t n_receivers, uint64_t n)
{
    struct race *race = kit_shared(sizeof(*race));
    race->n = n;
    kit_true(n <= sizeof(race->got) / sizeof(race->got[0]));
    tong_mailbox *box = create_rendezvous(kit_name("race"));
    struct kit_child children[4];
    for (uint32_t i = 0; i < n_receivers; i++) {
        children[i] = kit_spawn(receive_in_a_race, race);
    }
    kit_until(kit_stat(kit_name("race")).receivers == n_receivers + 1);
    struct kit_child sender = kit_spawn(send_in_a_race, race);
    /* It may take long, but every try has its deadline. */
    for (uint64_t i = 0; i < n; i++) {
        kit_until(atomic_load(&race->answers[i]) != 0);
    }
    kit_join(&sender);
    for (uint32_t i = 0; i < n_receivers; i++) {
        kit_join(&children[i]);
    }
    kit_is_empty(box);
    uint64_t sent = 0;
    uint64_t late = 0;
    for (uint64_t i = 0; i < n; i++) {
        const uint8_t answer = atomic_load(&race->answers[i]);
        const uint8_t got = atomic_load(&race->got[i]);
        sent += answer == 1;
        late += answer == 2;
        if (got != (answer == 1)) {
            kit_fail("try %llu: the send %s, received %u times", (unsigned long long)i,
                     answer == 1 ? "succeeded" : "timed out", got);
        }
    }
    printf("rendezvous, %u receivers: %llu tries, %llu received, %llu timed out, none in between\n",
           n_receivers, (unsigned long long)n, (unsigned long long)sent, (unsigned long long)late);
    /* Otherwise nothing raced. */
    kit_true(sent >= n / 200 && late >= n / 200);
    kit_end(box, kit_name("race"));
}

static void no_racing_send_is_delivered_after_its_time_out(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    run_race(1, kit_count("TONG_TEST_RENDEZVOUS", 3000));
}

static void no_racing_send_is_delivered_late_by_one_of_three_receivers(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    run_race(3, kit_count("TONG_TEST_RENDEZVOUS", 3000));
}

/* ------------------------------------------------------------------ everything else of a mailbox */

static void many_senders_meet_one_receiver_each_once(void)
{
    enum {
        SENDERS = 6,
        EACH = 200
    };
    tong_mailbox *box = create_rendezvous(kit_name("many"));
    struct kit_child children[SENDERS];
    for (uint64_t i = 0; i < SENDERS; i++) {
        struct sender *sender = new_sender("many", i * EACH, KIT_PATIENCE);
        sender->n = EACH;
        children[i] = kit_spawn(send_and_tell, sender);
    }
    uint64_t next[SENDERS] = { 0 };
    for (uint64_t i = 0; i < SENDERS * EACH; i++) {
        const uint64_t value = kit_receive_u64(box);
        kit_true(value < SENDERS * EACH);
        kit_equal(value % EACH, next[value / EACH]);
        next[value / EACH]++;
    }
    kit_is_empty(box);
    for (size_t i = 0; i < SENDERS; i++) {
        kit_join(&children[i]);
    }
    kit_end(box, kit_name("many"));
}

static int send_payload(void *arg)
{
    static char data[(1 << 20) + 1];
    const size_t *lens = arg;
    tong_mailbox *box = kit_open(kit_name("sizes"), TONG_SEND, NULL);
    for (uint32_t i = 0; lens[i] != SIZE_MAX; i++) {
        kit_payload_write(data, lens[i], 1, i);
        kit_ok(tong_send(box, data, lens[i], KIT_PATIENCE));
    }
    return tong_close(box);
}

static void messages_of_any_length_meet(void)
{
    static size_t lens[] = { 0, 1,     24,      4096,          70000, 0,       (1 << 20) - 1,
                             8, 65536, 1 << 20, (1 << 20) + 1, 3,     SIZE_MAX };
    static char data[(1 << 20) + 1];
    tong_mailbox *box = create_rendezvous(kit_name("sizes"));
    struct kit_child child = kit_spawn(send_payload, lens);
    for (uint32_t i = 0; lens[i] != SIZE_MAX; i++) {
        kit_gives(tong_receive(box, data, sizeof(data), KIT_PATIENCE), (int64_t)lens[i]);
        kit_true(kit_payload_is(data, lens[i], 1, i));
    }
    kit_join(&child);
    kit_end(box, kit_name("sizes"));
}

static void a_short_buffer_leaves_the_sender_waiting(void)
{
    tong_mailbox *box = create_rendezvous(kit_name("short"));
    struct sender *sender = new_sender("short", 42, KIT_PATIENCE);
    struct kit_child child = kit_spawn(send_and_tell, sender);
    kit_until_blocked(kit_name("short"), 1);
    char few[4] = "abc";
    kit_gives(tong_receive(box, few, sizeof(few), KIT_PATIENCE), -EMSGSIZE);
    kit_true(strcmp(few, "abc") == 0);
    kit_equal(atomic_load(&sender->returned), 0);
    kit_equal(kit_receive_u64(box), 42);
    kit_join(&child);
    kit_end(box, kit_name("short"));
}

static void skip_lets_the_sender_go(void)
{
    tong_mailbox *box = create_rendezvous(kit_name("skip"));
    kit_gives(tong_skip(box), -EAGAIN);
    struct sender *sender = new_sender("skip", 42, KIT_PATIENCE);
    struct kit_child child = kit_spawn(send_and_tell, sender);
    kit_until_blocked(kit_name("skip"), 1);
    kit_gives(tong_skip(box), 8);
    kit_join(&child);
    kit_ok(atomic_load(&sender->answer));
    kit_is_empty(box);
    kit_end(box, kit_name("skip"));
}

static void a_claim_lets_the_sender_go_and_is_in_hand(void)
{
    tong_mailbox *box = create_rendezvous(kit_name("claim"));
    struct sender *sender = new_sender("claim", 42, KIT_PATIENCE);
    struct kit_child child = kit_spawn(send_and_tell, sender);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_event_wait(&sender->returned);
    kit_ok(atomic_load(&sender->answer));
    kit_join(&child);
    kit_equal(message.len, 8);
    kit_true(memcmp(message.data, &(uint64_t){ 42 }, 8) == 0);
    kit_equal(kit_stat(kit_name("claim")).claimed, 1);
    kit_ok(tong_return(box, &message));
    message = (tong_message)TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, 0, &message));
    kit_equal(message.deliveries, 2);
    kit_true(memcmp(message.data, &(uint64_t){ 42 }, 8) == 0);
    kit_ok(tong_done(box, &message));
    kit_is_empty(box);
    kit_end(box, kit_name("claim"));
}

static int claim_and_wait(void *arg)
{
    tong_mailbox *box = kit_open(kit_name(arg), TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_report("c", 1);
    kit_await_death();
}

static void a_receiver_killed_with_the_message_in_hand_does_not_lose_it(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = create_rendezvous(kit_name("killed"));
    struct kit_child child = kit_spawn(claim_and_wait, "killed");
    kit_ok(kit_send_u64(box, 9, KIT_PATIENCE));
    char c;
    kit_read_report(&child, &c, 1);
    kit_kill(&child);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_equal(message.deliveries, 2);
    kit_true(memcmp(message.data, &(uint64_t){ 9 }, 8) == 0);
    kit_ok(tong_done(box, &message));
    kit_is_empty(box);
    kit_end(box, kit_name("killed"));
}

static void a_sender_killed_while_it_waits_leaves_at_most_its_one_offer(void)
{
    tong_mailbox *box = create_rendezvous(kit_name("gone"));
    for (uint64_t i = 0; i < 10; i++) {
        struct sender *sender = new_sender("gone", i, KIT_PATIENCE);
        struct kit_child child = kit_spawn(send_and_tell, sender);
        kit_until_blocked(kit_name("gone"), 1);
        kit_kill(&child);
        sender = new_sender("gone", 100 + i, KIT_PATIENCE);
        child = kit_spawn(send_and_tell, sender);
        uint64_t value = kit_receive_u64(box);
        if (value == i) {
            value = kit_receive_u64(box);
        }
        kit_equal(value, 100 + i);
        kit_join(&child);
        kit_is_empty(box);
    }
    kit_end(box, kit_name("gone"));
}

static int commit_42(void *arg)
{
    struct sender *sender = arg;
    tong_mailbox *box = kit_open(kit_name(sender->name), TONG_SEND, NULL);
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 8, sender->timeout_ns, &slot));
    memcpy(slot.data, &sender->value, 8);
    atomic_store(&sender->answer, tong_commit(box, &slot, 8));
    kit_event_set(&sender->returned);
    return tong_close(box);
}

static void a_commit_waits_for_a_receiver(void)
{
    kit_needs(KIT_IN_PLACE);
    tong_mailbox *box = create_rendezvous(kit_name("commit"));
    struct sender *sender = new_sender("commit", 42, KIT_PATIENCE);
    struct kit_child child = kit_spawn(commit_42, sender);
    kit_until_blocked(kit_name("commit"), 1);
    kit_equal(atomic_load(&sender->returned), 0);
    kit_equal(kit_receive_u64(box), 42);
    kit_join(&child);
    kit_ok(atomic_load(&sender->answer));
    kit_end(box, kit_name("commit"));
}

static void a_commit_times_out_and_the_reservation_is_over(void)
{
    kit_needs(KIT_IN_PLACE);
    tong_mailbox *box = create_rendezvous(kit_name("commit"));
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 8, TONG_MS(1), &slot));
    memset(slot.data, 1, 8);
    kit_gives(tong_commit(box, &slot, 8), -ETIMEDOUT);
    kit_gives(tong_commit(box, &slot, 8), -EINVAL);
    kit_gives(tong_abort(box, &slot), -EINVAL);
    kit_is_empty(box);
    slot = (tong_slot)TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 8, 0, &slot));
    kit_gives(tong_commit(box, &slot, 8), -EAGAIN);
    slot = (tong_slot)TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 8, 0, &slot));
    kit_ok(tong_abort(box, &slot));
    kit_is_empty(box);
    kit_end(box, kit_name("commit"));
}

static const struct kit_test tests[] = {
    KIT_TEST(a_send_returns_only_when_received),
    KIT_TEST(a_receive_that_does_not_wait_takes_from_a_waiting_sender),
    KIT_TEST(timeout_0_without_a_receiver_is_eagain),
    KIT_TEST(timeout_0_succeeds_with_a_receiver_waiting),
    KIT_TEST(a_send_that_timed_out_is_not_there),
    KIT_TEST_LONG(no_racing_send_is_delivered_after_its_time_out, 120),
    KIT_TEST_LONG(no_racing_send_is_delivered_late_by_one_of_three_receivers, 120),
    KIT_TEST(many_senders_meet_one_receiver_each_once),
    KIT_TEST(messages_of_any_length_meet),
    KIT_TEST(a_short_buffer_leaves_the_sender_waiting),
    KIT_TEST(skip_lets_the_sender_go),
    KIT_TEST(a_claim_lets_the_sender_go_and_is_in_hand),
    KIT_TEST(a_receiver_killed_with_the_message_in_hand_does_not_lose_it),
    KIT_TEST(a_sender_killed_while_it_waits_leaves_at_most_its_one_offer),
    KIT_TEST(a_commit_waits_for_a_receiver),
    KIT_TEST(a_commit_times_out_and_the_reservation_is_over),
};

KIT_MAIN(tests)
