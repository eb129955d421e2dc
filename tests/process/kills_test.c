/*
 * kill -9 of senders and receivers at random moments, while the others go on.
 *
 * A ledger in memory that outlives every process holds, for each sender that ever lived, how many
 * of its sends returned, and for each of its messages how often a receiver had it as new and how
 * often as delivered before.
 *
 *   - Promised (its send returned): it comes, whoever dies. With copies, a receiver killed between
 *     its receive and its ledger entry takes one message with it, so one may be missing a kill.
 *   - As new (deliveries 1) it comes at most once. Again it comes only marked.
 *   - Of one sender the new ones come to each receiver in their order, and are whole.
 *   - Nothing comes that was not sent: at most one message more than promised.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kit.h"

enum {
    SENDERS = 4,
    RECEIVERS = 3,
    LIVES = 2048, /* senders that ever live in one run */
    EACH = 4096,  /* messages of each, at most */
    LENGTHS = 3000
};

struct ledger {
    bool claims;
    _Atomic uint32_t stop_sending;
    _Atomic uint32_t stop_receiving;
    _Atomic uint64_t received;
    _Atomic uint32_t promised[LIVES];
    _Atomic uint8_t as_new[LIVES][EACH];
    _Atomic uint8_t again[LIVES][EACH];
};

struct role {
    struct ledger *ledger;
    uint32_t life;
};

static size_t length_of(uint32_t life, uint64_t counter)
{
    struct kit_random random = { .state = { life * 7919u + counter * 104729u + 1, counter + 17 } };
    kit_random(&random);
    return KIT_PAYLOAD_MIN + kit_random_below(&random, LENGTHS);
}

/* Sends the next one or two messages; how many were. */
static uint32_t send_some(tong_mailbox *box, uint32_t life, uint32_t counter, uint64_t how)
{
    static char data[2][KIT_PAYLOAD_MIN + LENGTHS];
    const size_t len = length_of(life, counter);
    if (how == 0) {
        tong_slot slot = TONG_SLOT_INIT;
        kit_ok(tong_reserve(box, len + 100, KIT_PATIENCE, &slot));
        kit_payload_write(slot.data, len, life, counter);
        kit_ok(tong_commit(box, &slot, len));
        return 1;
    }
    kit_payload_write(data[0], len, life, counter);
    if (how == 1) {
        const size_t second = length_of(life, counter + 1);
        kit_payload_write(data[1], second, life, counter + 1);
        const struct iovec row[2] = { { data[0], len }, { data[1], second } };
        const ssize_t n = tong_send_many(box, row, 2, KIT_PATIENCE);
        kit_true(n == 1 || n == 2);
        return (uint32_t)n;
    }
    kit_ok(tong_send(box, data[0], len, KIT_PATIENCE));
    return 1;
}

static int send_until_killed(void *arg)
{
    const struct role *role = arg;
    struct ledger *ledger = role->ledger;
    struct kit_random random = kit_random_stream(role->life);
    tong_mailbox *box = kit_open(kit_name("kills"), TONG_SEND, NULL);
    uint32_t counter = 0;
    while (atomic_load(&ledger->stop_sending) == 0 && counter + 2 < EACH) {
        counter += send_some(box, role->life, counter, kit_random_below(&random, 5));
        atomic_store(&ledger->promised[role->life], counter);
    }
    kit_ok(tong_close(box));
    kit_until(atomic_load(&ledger->stop_sending) != 0);
    return 0;
}

static void note(struct ledger *ledger, const void *data, size_t len, uint32_t deliveries,
                 uint32_t last[LIVES])
{
    struct kit_payload head = { .sender = 0 };
    if (!kit_payload_read(data, len, &head) || head.sender >= LIVES || head.counter >= EACH) {
        memcpy(&head, data, len < sizeof(head) ? len : sizeof(head));
        kit_fail("a message of %zu bytes, delivery %u, is not what was sent: its head says sender "
                 "%u, number %llu, %u bytes",
                 len, deliveries, head.sender, (unsigned long long)head.counter, head.len);
    }
    if (deliveries == 1) {
        atomic_fetch_add(&ledger->as_new[head.sender][head.counter], 1);
        kit_true(head.counter + 1 > last[head.sender]);
        last[head.sender] = (uint32_t)head.counter + 1;
    } else {
        atomic_fetch_add(&ledger->again[head.sender][head.counter], 1);
    }
    atomic_fetch_add(&ledger->received, 1);
}

static void expect_no_message(int64_t answer)
{
    if (answer != -ETIMEDOUT && answer != -EAGAIN) {
        kit_fail("a receive gave %lld", (long long)answer);
    }
}

static void claim_some(struct ledger *ledger, tong_mailbox *box, struct kit_random *random,
                       uint32_t last[LIVES])
{
    enum {
        HELD = 5
    };
    tong_message messages[HELD];
    size_t n = 0;
    const size_t want = 1 + kit_random_below(random, HELD);
    while (n < want) {
        messages[n] = (tong_message)TONG_MESSAGE_INIT;
        const int r = tong_claim(box, n == 0 ? TONG_MS(20) : 0, &messages[n]);
        if (r != 0) {
            expect_no_message(r);
            break;
        }
        note(ledger, messages[n].data, messages[n].len, messages[n].deliveries, last);
        n++;
    }
    while (n > 0) {
        const size_t which = kit_random_below(random, n);
        kit_ok(tong_done(box, &messages[which]));
        messages[which] = messages[--n];
    }
}

static int receive_until_killed(void *arg)
{
    static char data[KIT_PAYLOAD_MIN + LENGTHS];
    static uint32_t last[LIVES];
    const struct role *role = arg;
    struct ledger *ledger = role->ledger;
    struct kit_random random = kit_random_stream(100000 + role->life);
    tong_mailbox *box = kit_open(kit_name("kills"), TONG_RECEIVE, NULL);
    while (atomic_load(&ledger->stop_receiving) == 0) {
        if (ledger->claims) {
            claim_some(ledger, box, &random, last);
            continue;
        }
        const ssize_t n = tong_receive(box, data, sizeof(data), TONG_MS(20));
        if (n < 0) {
            expect_no_message(n);
        } else {
            note(ledger, data, (size_t)n, 1, last);
        }
    }
    return tong_close(box);
}

/* A random moment, not a wait for anything. */
static void let_them_run(struct kit_random *random)
{
    const struct timespec some = { .tv_nsec = (long)kit_random_below(random, 3000000) };
    nanosleep(&some, NULL);
}

struct run {
    struct ledger *ledger;
    struct kit_random random;
    struct kit_child senders[SENDERS];
    struct kit_child receivers[RECEIVERS];
    struct role roles[SENDERS];
    uint32_t lives;
    uint32_t receiver_kills;
};

static void new_sender(struct run *run, size_t i)
{
    kit_true(run->lives < LIVES);
    run->roles[i] = (struct role){ .ledger = run->ledger, .life = run->lives++ };
    run->senders[i] = kit_spawn(send_until_killed, &run->roles[i]);
}

static void new_receiver(struct run *run, size_t i)
{
    struct role role = { .ledger = run->ledger, .life = run->receiver_kills * 8 + (uint32_t)i };
    run->receivers[i] = kit_spawn(receive_until_killed, &role);
}

static void kill_one(struct run *run)
{
    const size_t who = kit_random_below(&run->random, SENDERS + RECEIVERS);
    if (who < SENDERS) {
        kit_kill(&run->senders[who]);
        new_sender(run, who);
    } else {
        kit_kill(&run->receivers[who - SENDERS]);
        run->receiver_kills++;
        new_receiver(run, who - SENDERS);
    }
}

/* Let the living finish, until nothing waits and nothing is in hand. */
static void finish(struct run *run)
{
    atomic_store(&run->ledger->stop_sending, 1);
    for (size_t i = 0; i < SENDERS; i++) {
        kit_join(&run->senders[i]);
    }
    kit_until(kit_stat(kit_name("kills")).waiting == 0 && kit_stat(kit_name("kills")).claimed == 0);
    atomic_store(&run->ledger->stop_receiving, 1);
    for (size_t i = 0; i < RECEIVERS; i++) {
        kit_join(&run->receivers[i]);
    }
}

static uint64_t audit(struct run *run)
{
    struct ledger *ledger = run->ledger;
    uint64_t promised = 0;
    uint64_t missing = 0;
    uint64_t again = 0;
    for (uint32_t life = 0; life < run->lives; life++) {
        const uint32_t n = atomic_load(&ledger->promised[life]);
        promised += n;
        for (uint32_t i = 0; i < EACH; i++) {
            const unsigned as_new = atomic_load(&ledger->as_new[life][i]);
            const unsigned more = atomic_load(&ledger->again[life][i]);
            again += more;
            if (as_new > 1) {
                kit_fail("message %u of sender %u came %u times as new", i, life, as_new);
            }
            /* One call may have been under way, for two messages at most. */
            if (i >= n + 2 && as_new + more > 0) {
                kit_fail("message %u of sender %u was never sent", i, life);
            }
            missing += i < n && as_new + more == 0;
        }
    }
    printf("%u senders lived, %u receivers were killed: %llu messages promised, %llu again, "
           "%llu in the hand of the dead\n",
           run->lives, run->receiver_kills, (unsigned long long)promised, (unsigned long long)again,
           (unsigned long long)missing);
    kit_true(promised > 0);
    kit_true(missing <= (ledger->claims ? 0 : run->receiver_kills));
    kit_true(again <= (ledger->claims ? 5 * run->receiver_kills : 0));
    return missing;
}

static void play(uint32_t capacity, uint32_t delivery, bool claims)
{
    static struct run run;
    const uint64_t rounds = kit_count("TONG_TEST_KILLS", 60);
    run = (struct run){ .random = kit_random_stream(capacity + delivery) };
    run.ledger = kit_shared(sizeof(*run.ledger));
    run.ledger->claims = claims;
    tong_options options = kit_capacity(capacity);
    options.delivery = delivery;
    kit_ok(tong_close(kit_create(kit_name("kills"), &options)));
    for (size_t i = 0; i < SENDERS; i++) {
        new_sender(&run, i);
    }
    for (size_t i = 0; i < RECEIVERS; i++) {
        new_receiver(&run, i);
    }
    for (uint64_t round = 0; round < rounds; round++) {
        let_them_run(&run.random);
        kill_one(&run);
    }
    /* They all still move. */
    const uint64_t before = atomic_load(&run.ledger->received);
    for (size_t i = 0; i < SENDERS; i++) {
        kit_kill(&run.senders[i]);
        new_sender(&run, i);
    }
    kit_until(atomic_load(&run.ledger->received) > before);
    finish(&run);
    audit(&run);
    const tong_status status = kit_stat(kit_name("kills"));
    kit_equal(status.receivers, 0);
    kit_equal(status.senders, 0);
    printf("the back-stop found %llu\n", (unsigned long long)status.backstop_finds);
    /* Of a mailbox that is empty and unused its own file is left, and no link. */
    const char *left = kit_entries(kit_path("kills"));
    kit_true(strstr(left, "link") == NULL);
    kit_true(strstr(left, "box") != NULL);
    kit_ok(tong_remove(kit_name("kills")));
}

static void nothing_promised_is_lost_with_copies(void)
{
    play(TONG_UNBOUNDED, TONG_FIRST_COME, false);
}

static void nothing_promised_is_lost_with_claims(void)
{
    kit_needs(KIT_IN_PLACE);
    play(TONG_UNBOUNDED, TONG_FIRST_COME, true);
}

static void nothing_promised_is_lost_with_claims_by_any(void)
{
    kit_needs(KIT_IN_PLACE);
    play(TONG_UNBOUNDED, TONG_ANY, true);
}

static void nothing_promised_is_lost_at_capacity_3(void)
{
    kit_needs(KIT_IN_PLACE);
    play(3, TONG_FIRST_COME, true);
}

static void nothing_promised_is_lost_at_capacity_500_by_any(void)
{
    play(500, TONG_ANY, false);
}

static void nothing_promised_is_lost_at_a_rendezvous(void)
{
    play(0, TONG_FIRST_COME, false);
}

static void nothing_promised_is_lost_at_a_rendezvous_with_claims(void)
{
    kit_needs(KIT_IN_PLACE);
    play(0, TONG_ANY, true);
}

static const struct kit_test tests[] = {
    KIT_TEST(nothing_promised_is_lost_with_copies),
    KIT_TEST(nothing_promised_is_lost_with_claims),
    KIT_TEST(nothing_promised_is_lost_with_claims_by_any),
    KIT_TEST(nothing_promised_is_lost_at_capacity_3),
    KIT_TEST(nothing_promised_is_lost_at_capacity_500_by_any),
    KIT_TEST(nothing_promised_is_lost_at_a_rendezvous),
    KIT_TEST(nothing_promised_is_lost_at_a_rendezvous_with_claims),
};

KIT_MAIN(tests)
