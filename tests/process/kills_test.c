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
 *   - A message that was handed out too often is in the dead-letter mailbox.
 *   - Of a mailbox that ends with its process what waited may be missing; its senders are told and go
 *     on with the next one.
 *
 * TONG_TEST_LONG=1 makes 1,500 kills of each kind, TONG_TEST_KILLS=n n of them. crash.kills is this
 * program with the library that has crash points, and its back-stop off.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

/* One kind of traffic. */
struct kind {
    const char *role; /* for the account */
    uint32_t capacity;
    uint32_t link_capacity;
    uint32_t delivery;
    uint32_t full;
    uint32_t owner;
    uint32_t max_deliveries; /* with a dead-letter mailbox */
    uint32_t receivers;      /* 0: RECEIVERS */
    bool claims;
};

struct ledger {
    const struct kind *kind;
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

/* Sends the next one or two messages; how many were, or an error. */
static ssize_t send_some(tong_mailbox *box, uint32_t life, uint32_t counter, uint64_t how)
{
    static char data[2][KIT_PAYLOAD_MIN + LENGTHS];
    const size_t len = length_of(life, counter);
    if (how == 0) {
        tong_slot slot = TONG_SLOT_INIT;
        int r = tong_reserve(box, len + 100, KIT_PATIENCE, &slot);
        if (r == 0) {
            kit_payload_write(slot.data, len, life, counter);
            r = tong_commit(box, &slot, len);
        }
        return r == 0 ? 1 : r;
    }
    kit_payload_write(data[0], len, life, counter);
    if (how == 1) {
        const size_t second = length_of(life, counter + 1);
        kit_payload_write(data[1], second, life, counter + 1);
        const struct iovec row[2] = { { data[0], len }, { data[1], second } };
        return tong_send_many(box, row, 2, KIT_PATIENCE);
    }
    const int r = tong_send(box, data[0], len, KIT_PATIENCE);
    return r == 0 ? 1 : r == TONG_DROPPED ? -EAGAIN : r;
}

/* The mailbox of a process may be between two of its lives. */
static tong_mailbox *open_to_send(const struct ledger *ledger)
{
    tong_mailbox *box = NULL;
    if (ledger->kind->owner == TONG_SYSTEM) {
        return kit_open(kit_name("kills"), TONG_SEND, NULL);
    }
    int r;
    kit_until((r = tong_open(kit_name("kills"), TONG_SEND, NULL, &box)) != -ENOENT ||
              atomic_load(&ledger->stop_sending) != 0);
    kit_true(r == 0 || r == -ENOENT);
    return box;
}

/* What a dropping or an ending mailbox may answer; then it is tried again. */
static void expect_to_try_again(const struct ledger *ledger, ssize_t r, tong_mailbox **box)
{
    const bool ended = r == -EOWNERDEAD || r == -EIDRM;
    if (ended && ledger->kind->owner == TONG_PROCESS) {
        kit_ok(tong_close(*box));
        *box = open_to_send(ledger);
    } else if (r != -EAGAIN || ledger->kind->full != TONG_DROP_NEWEST) {
        kit_fail("a send gave %zd: %s", r, tong_strerror((int)r));
    }
}

static int send_until_killed(void *arg)
{
    const struct role *role = arg;
    struct ledger *ledger = role->ledger;
    struct kit_random random = kit_random_stream(role->life);
    tong_mailbox *box = open_to_send(ledger);
    uint32_t counter = 0;
    while (atomic_load(&ledger->stop_sending) == 0 && counter + 2 < EACH) {
        uint64_t how = kit_random_below(&random, 5);
        /* Which of two was dropped is not told. */
        how = ledger->kind->full == TONG_DROP_NEWEST && how == 1 ? 2 : how;
        const ssize_t r = send_some(box, role->life, counter, how);
        if (r < 0) {
            expect_to_try_again(ledger, r, &box);
            continue;
        }
        counter += (uint32_t)r;
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

static tong_options options_of(const struct kind *kind)
{
    tong_options options = kit_capacity(kind->capacity);
    options.link_capacity = kind->link_capacity;
    options.delivery = kind->delivery;
    options.full = kind->full;
    options.owner = kind->owner;
    options.max_deliveries = kind->max_deliveries;
    options.dead_letter = kind->max_deliveries != 0 ? "letters" : NULL;
    return options;
}

static tong_mailbox *open_to_receive(const struct ledger *ledger)
{
    if (ledger->kind->owner == TONG_SYSTEM) {
        return kit_open(kit_name("kills"), TONG_RECEIVE, NULL);
    }
    const tong_options options = options_of(ledger->kind);
    return kit_create(kit_name("kills"), &options);
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
    tong_mailbox *box = open_to_receive(ledger);
    while (atomic_load(&ledger->stop_receiving) == 0) {
        if (ledger->kind->claims) {
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

struct run {
    struct ledger *ledger;
    struct kit_random random;
    struct kit_child senders[SENDERS];
    struct kit_child receivers[RECEIVERS];
    struct role roles[SENDERS];
    uint32_t n_receivers;
    uint32_t lives;
    uint32_t receiver_kills;
    uint32_t kills;
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
    const size_t who = kit_random_below(&run->random, SENDERS + run->n_receivers);
    run->kills++;
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
    for (size_t i = 0; i < run->n_receivers; i++) {
        kit_join(&run->receivers[i]);
    }
}

/* What was handed out too often lies in the other mailbox. */
static uint64_t read_letters(struct ledger *ledger)
{
    static char data[KIT_PAYLOAD_MIN + LENGTHS];
    static uint32_t last[LIVES];
    uint64_t n = 0;
    tong_mailbox *box = kit_open(kit_name("letters"), TONG_RECEIVE, NULL);
    ssize_t len;
    while ((len = tong_receive(box, data, sizeof(data), TONG_MS(1))) >= 0) {
        note(ledger, data, (size_t)len, 2, last);
        n++;
    }
    expect_no_message(len);
    kit_ok(tong_close(box));
    kit_ok(tong_remove(kit_name("letters")));
    return n;
}

static void audit(struct run *run, uint64_t letters)
{
    struct ledger *ledger = run->ledger;
    const struct kind *kind = ledger->kind;
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
    printf("%s: %u kills, %u senders lived, %u receivers were killed: %llu messages promised, "
           "%llu again, %llu letters, %llu in the hand of the dead\n",
           kind->role, run->kills, run->lives, run->receiver_kills, (unsigned long long)promised,
           (unsigned long long)again, (unsigned long long)letters, (unsigned long long)missing);
    kit_true(promised > 0);
    const uint64_t in_hand = kind->claims ? 0 : run->receiver_kills;
    if (missing > in_hand && kind->owner == TONG_SYSTEM) {
        kit_fail("%llu promised messages were lost, at most %llu in the hand of the dead",
                 (unsigned long long)missing, (unsigned long long)in_hand);
    }
    kit_true(again <= (kind->claims ? 5 * run->receiver_kills : 0));
}

static void start(struct run *run, const struct kind *kind)
{
    *run = (struct run){ .random = kit_random_stream(0) };
    run->ledger = kit_shared(sizeof(*run->ledger));
    run->ledger->kind = kind;
    run->n_receivers = kind->receivers != 0 ? kind->receivers : RECEIVERS;
    if (kind->max_deliveries != 0) {
        const tong_options letters = kit_options();
        kit_ok(tong_close(kit_create(kit_name("letters"), &letters)));
    }
    if (kind->owner == TONG_SYSTEM) {
        const tong_options options = options_of(kind);
        kit_ok(tong_close(kit_create(kit_name("kills"), &options)));
    }
    for (size_t i = 0; i < SENDERS; i++) {
        new_sender(run, i);
    }
    for (size_t i = 0; i < run->n_receivers; i++) {
        new_receiver(run, i);
    }
}

/* They all still move. */
static void expect_traffic(struct run *run)
{
    const uint64_t before = atomic_load(&run->ledger->received);
    for (size_t i = 0; i < SENDERS; i++) {
        kit_kill(&run->senders[i]);
        run->kills++;
        new_sender(run, i);
    }
    kit_until(atomic_load(&run->ledger->received) > before);
}

static void end(const struct kind *kind)
{
    if (kind->owner == TONG_PROCESS) {
        tong_mailbox *box = NULL;
        kit_gives(tong_open(kit_name("kills"), TONG_SEND, NULL, &box), -ENOENT);
        return;
    }
    const tong_status status = kit_stat(kit_name("kills"));
    kit_equal(status.receivers, 0);
    kit_equal(status.senders, 0);
    printf("the back-stop found %llu\n", (unsigned long long)status.backstop_finds);
    /* Of a mailbox that is empty and unused its own file is left, and no link. */
    const char *left = kit_entries(kit_box_path("kills"));
    kit_true(strstr(left, "link") == NULL && strstr(left, "body") == NULL);
    kit_true(strstr(left, "box") != NULL);
    kit_ok(tong_remove(kit_name("kills")));
}

static void play(const struct kind *kind)
{
    static struct run run;
    const char *text = getenv("TONG_TEST_LONG");
    const bool is_long = text != NULL && text[0] == '1';
    const uint64_t rounds = kit_count("TONG_TEST_KILLS", is_long ? 1500 : 60);
    const int64_t began_ns = kit_now_ns();
    setenv("TONG_TEST_NO_BACKSTOP", "1", 1);
    start(&run, kind);
    for (uint64_t round = 0; round < rounds; round++) {
        kit_random_moment(&run.random);
        kill_one(&run);
    }
    expect_traffic(&run);
    finish(&run);
    audit(&run, kind->max_deliveries != 0 ? read_letters(run.ledger) : 0);
    end(kind);
    const struct kit_deaths deaths = { .operation = kind->claims
                                                        ? "tong_send tong_send_many tong_reserve "
                                                          "tong_commit tong_claim tong_done"
                                                        : "tong_send tong_send_many tong_reserve "
                                                          "tong_commit tong_receive",
                                       .role = kind->role,
                                       .kind = "random",
                                       .points = run.kills,
                                       .kills = run.kills };
    kit_account(&deaths, began_ns);
}

static void nothing_promised_is_lost_with_copies(void)
{
    play(&(struct kind){ .role = "4 senders, 3 receivers, unbounded", .capacity = TONG_UNBOUNDED });
}

static void nothing_promised_is_lost_with_claims(void)
{
    kit_needs(KIT_IN_PLACE);
    play(&(struct kind){ .role = "4 senders, 3 claim holders, unbounded",
                         .capacity = TONG_UNBOUNDED,
                         .claims = true });
}

static void nothing_promised_is_lost_with_claims_by_any(void)
{
    kit_needs(KIT_IN_PLACE);
    play(&(struct kind){ .role = "4 senders, 3 claim holders, any, unbounded",
                         .capacity = TONG_UNBOUNDED,
                         .delivery = TONG_ANY,
                         .claims = true });
}

static void nothing_promised_is_lost_at_capacity_3(void)
{
    kit_needs(KIT_IN_PLACE);
    play(&(struct kind){
        .role = "4 senders, 3 claim holders, capacity n", .capacity = 3, .claims = true });
}

static void nothing_promised_is_lost_at_capacity_500_by_any(void)
{
    play(&(struct kind){
        .role = "4 senders, 3 receivers, any, capacity n", .capacity = 500, .delivery = TONG_ANY });
}

static void nothing_promised_is_lost_at_a_link_capacity_of_5(void)
{
    kit_needs(KIT_LINK_CAPACITY);
    play(&(struct kind){ .role = "4 senders, 3 receivers, link_capacity",
                         .capacity = TONG_UNBOUNDED,
                         .link_capacity = 5 });
}

static void nothing_promised_is_lost_where_the_newest_is_dropped(void)
{
    play(&(struct kind){ .role = "4 senders that drop, 3 receivers, capacity n",
                         .capacity = 8,
                         .full = TONG_DROP_NEWEST });
}

static void nothing_promised_is_lost_with_an_exclusive_receiver(void)
{
    play(&(struct kind){ .role = "4 senders, 1 receiver, exclusive, capacity n",
                         .capacity = 40,
                         .delivery = TONG_EXCLUSIVE,
                         .receivers = 1 });
}

static void nothing_promised_is_lost_with_dead_letters(void)
{
    kit_needs(KIT_IN_PLACE);
    play(&(struct kind){ .role = "4 senders, 3 claim holders, max_deliveries, unbounded",
                         .capacity = TONG_UNBOUNDED,
                         .max_deliveries = 1,
                         .claims = true });
}

static void nothing_promised_is_lost_at_a_rendezvous(void)
{
    play(&(struct kind){ .role = "4 senders, 3 receivers, capacity 0", .capacity = 0 });
}

static void nothing_promised_is_lost_at_a_rendezvous_with_claims(void)
{
    kit_needs(KIT_IN_PLACE);
    play(&(struct kind){ .role = "4 senders, 3 claim holders, any, capacity 0",
                         .capacity = 0,
                         .delivery = TONG_ANY,
                         .claims = true });
}

static void senders_go_on_when_the_owner_dies(void)
{
    play(&(struct kind){ .role = "4 senders, process-owned: its owner, capacity n",
                         .capacity = 20,
                         .owner = TONG_PROCESS,
                         .receivers = 1 });
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(nothing_promised_is_lost_with_copies, 120),
    KIT_TEST_LONG(nothing_promised_is_lost_with_claims, 120),
    KIT_TEST_LONG(nothing_promised_is_lost_with_claims_by_any, 120),
    KIT_TEST_LONG(nothing_promised_is_lost_at_capacity_3, 120),
    KIT_TEST_LONG(nothing_promised_is_lost_at_capacity_500_by_any, 120),
    KIT_TEST_LONG(nothing_promised_is_lost_at_a_link_capacity_of_5, 120),
    KIT_TEST_LONG(nothing_promised_is_lost_where_the_newest_is_dropped, 120),
    KIT_TEST_LONG(nothing_promised_is_lost_with_an_exclusive_receiver, 120),
    KIT_TEST_LONG(nothing_promised_is_lost_with_dead_letters, 120),
    KIT_TEST_LONG(nothing_promised_is_lost_at_a_rendezvous, 120),
    KIT_TEST_LONG(nothing_promised_is_lost_at_a_rendezvous_with_claims, 120),
    KIT_TEST_LONG(senders_go_on_when_the_owner_dies, 120),
};

KIT_MAIN(tests)
