/* Messages that were handed out too often and go to the dead-letter mailbox; where they come from. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dead_letter.h"

/* ------------------------------------------------------------------ options */

static void expect_refused(uint32_t max_deliveries, const char *dead_letter, int answer)
{
    tong_mailbox *box = NULL;
    tong_options options = kit_options();
    options.max_deliveries = max_deliveries;
    options.dead_letter = dead_letter;
    kit_gives(tong_open(JOBS, TONG_RECEIVE | TONG_CREATE, &options, &box), answer);
    kit_true(box == NULL);
}

static void options_that_cannot_be_are_refused(void)
{
    char name[TONG_NAME_MAX + 1];
    memset(name, 'n', sizeof(name));
    name[TONG_NAME_MAX] = '\0';
    expect_refused(65535, "dead", -EINVAL);
    expect_refused(UINT32_MAX, "dead", -EINVAL);
    expect_refused(0, "dead", -EINVAL);
    expect_refused(3, "jobs", -EINVAL);
    expect_refused(3, "", -EINVAL);
    expect_refused(3, ".dead", -EINVAL);
    expect_refused(3, "a/b", -EINVAL);
    expect_refused(3, name, -ENAMETOOLONG);
    tong_mailbox *box = NULL;
    tong_options options = kit_options();
    options.by_priority = 2;
    kit_gives(tong_open(JOBS, TONG_RECEIVE | TONG_CREATE, &options, &box), -EINVAL);
    tong_status status = TONG_STATUS_INIT;
    kit_gives(tong_stat(JOBS, &status), -ENOENT);
}

static void options_show_in_stat_and_are_compared(void)
{
    static const uint32_t limits[] = { 1, 2, 65534 };
    for (size_t i = 0; i < 3; i++) {
        tong_mailbox *box = create_jobs(limits[i]);
        tong_mailbox *other = NULL;
        kit_equal(kit_stat(JOBS).max_deliveries, limits[i]);
        kit_true(strcmp(kit_stat(JOBS).dead_letter, "dead") == 0);
        kit_equal(kit_stat(JOBS).dead_letters, 0);
        tong_options options = jobs_options(limits[i]);
        kit_ok(tong_open(JOBS, TONG_SEND | TONG_CREATE, &options, &other));
        kit_ok(tong_close(other));
        options.dead_letter = "other";
        kit_gives(tong_open(JOBS, TONG_SEND | TONG_CREATE, &options, &other), -EEXIST);
        options.dead_letter = NULL;
        kit_gives(tong_open(JOBS, TONG_SEND | TONG_CREATE, &options, &other), -EEXIST);
        options = jobs_options(limits[i] + 1 == 65535 ? 7 : limits[i] + 1);
        kit_gives(tong_open(JOBS, TONG_SEND | TONG_CREATE, &options, &other), -EEXIST);
        kit_end(box, JOBS);
    }
    tong_mailbox *plain = kit_create(JOBS, NULL);
    tong_mailbox *other = NULL;
    const tong_options options = jobs_options(1);
    kit_equal(kit_stat(JOBS).max_deliveries, 0);
    kit_true(kit_stat(JOBS).dead_letter[0] == '\0');
    kit_gives(tong_open(JOBS, TONG_SEND | TONG_CREATE, &options, &other), -EEXIST);
    kit_end(plain, JOBS);
}

/* ------------------------------------------------------------------ to the dead-letter mailbox */

static void a_message_that_comes_back_then_is_a_dead_letter(void)
{
    static const uint32_t limits[] = { 1, 2, 5 };
    for (size_t i = 0; i < 3; i++) {
        const uint32_t max = limits[i];
        tong_mailbox *dead = kit_create(DEAD, NULL);
        tong_mailbox *box = create_jobs(max);
        kit_ok(kit_send_u64(box, 100, 0));
        for (uint32_t k = 1; k <= max; k++) {
            expect_counts(JOBS, 0, 0, 1, 0);
            kit_equal(kit_stat(JOBS).redelivered, k - 1);
            tong_message message = claim(box, k);
            kit_equal(value_of(&message), 100);
            kit_equal(message.sequence, 0);
            expect_counts(JOBS, 0, 1, 0, 0);
            kit_ok(tong_return(box, &message));
        }
        kit_equal(kit_stat(DEAD).sent, 0);
        kit_is_empty(box);
        expect_counts(JOBS, 1, 0, 0, 0);
        kit_equal(kit_stat(JOBS).dead_letters, 1);
        expect_counts(DEAD, 0, 0, 1, 0);
        expect_letter(dead, 100, 0, max);
        kit_is_empty(dead);
        kit_end(box, JOBS);
        kit_end(dead, DEAD);
    }
}

static void what_is_done_in_time_is_no_dead_letter(void)
{
    tong_mailbox *dead = kit_create(DEAD, NULL);
    tong_mailbox *box = create_jobs(3);
    for (uint64_t i = 0; i < 10; i++) {
        kit_ok(kit_send_u64(box, i, 0));
        return_until(box, i, 2);
        tong_message message = claim(box, 3);
        kit_ok(tong_done(box, &message));
        kit_is_empty(box);
    }
    expect_counts(JOBS, 10, 0, 0, 0);
    kit_equal(kit_stat(JOBS).dead_letters, 0);
    kit_is_empty(dead);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static void dead_letters_keep_their_order_and_let_others_pass(void)
{
    tong_mailbox *dead = kit_create(DEAD, NULL);
    tong_mailbox *box = create_jobs(2);
    for (uint64_t i = 0; i < 40; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    for (uint64_t i = 0; i < 40; i++) {
        if (i % 2) {
            kit_equal(kit_receive_u64(box), i);
        } else {
            return_until(box, i, 2);
        }
    }
    kit_is_empty(box);
    expect_counts(JOBS, 40, 0, 0, 0);
    kit_equal(kit_stat(JOBS).dead_letters, 20);
    for (uint64_t i = 0; i < 40; i += 2) {
        expect_letter(dead, i, i, 2);
    }
    kit_is_empty(dead);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static int claim_and_die(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(JOBS, TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_report(&message.deliveries, sizeof(message.deliveries));
    kit_await_death();
}

static void deaths_and_closed_handles_count_as_returns(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *dead = kit_create(DEAD, NULL);
    tong_mailbox *box = create_jobs(4);
    kit_ok(kit_send_u64(box, 7, 0));
    for (uint32_t i = 1; i <= 4; i++) {
        if (i == 3) {
            tong_mailbox *other = kit_open(JOBS, TONG_RECEIVE, NULL);
            (void)claim(other, 3);
            kit_ok(tong_close(other));
            continue;
        }
        struct kit_child child = kit_spawn(claim_and_die, NULL);
        uint32_t deliveries = 0;
        kit_read_report(&child, &deliveries, sizeof(deliveries));
        kit_equal(deliveries, i);
        kit_kill(&child);
    }
    /* A death is seen by who waits for a while. */
    kit_until((kit_gives(tong_receive(box, NULL, 0, TONG_MS(100)), -ETIMEDOUT),
               kit_stat(JOBS).dead_letters == 1));
    expect_counts(JOBS, 1, 0, 0, 0);
    expect_letter(dead, 7, 0, 4);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static void every_receiving_call_moves_them(void)
{
    tong_mailbox *dead = kit_create(DEAD, NULL);
    tong_mailbox *box = create_jobs(1);
    uint64_t value = 0;
    size_t len = 0;
    const struct iovec one = { &value, sizeof(value) };
    tong_message message = TONG_MESSAGE_INIT;
    for (uint64_t way = 0; way < 5; way++) {
        send_and_return(box, way, 1);
        switch (way) {
        case 0:
            kit_gives(tong_receive(box, &value, sizeof(value), TONG_MS(1)), -ETIMEDOUT);
            break;
        case 1:
            kit_gives(tong_claim(box, 0, &message), -EAGAIN);
            break;
        case 2:
            kit_gives(tong_receive_many(box, &one, 1, 0, &len), -EAGAIN);
            break;
        case 3:
            kit_gives(tong_wait_any(&box, 1, 0), -EAGAIN);
            break;
        default:
            kit_gives(tong_wait_any(&box, 1, TONG_MS(1)), -ETIMEDOUT);
        }
        kit_equal(kit_stat(JOBS).dead_letters, way + 1);
        expect_letter(dead, way, way, 1);
    }
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static void tong_skip_throws_away_what_was_not_moved_yet(void)
{
    tong_mailbox *dead = kit_create(DEAD, NULL);
    tong_mailbox *box = create_jobs(1);
    send_and_return(box, 1, 1);
    kit_gives(tong_skip(box), 8);
    kit_gives(tong_skip(box), -EAGAIN);
    expect_counts(JOBS, 1, 0, 0, 0);
    kit_is_empty(dead);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static int wait_and_receive(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(JOBS, TONG_RECEIVE, NULL);
    kit_equal(kit_receive_u64(box), 2);
    return tong_close(box);
}

static void a_sleeping_receiver_moves_it_and_sleeps_on(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *dead = kit_create(DEAD, NULL);
    tong_mailbox *box = create_jobs(1);
    kit_ok(kit_send_u64(box, 1, 0));
    tong_message message = claim(box, 1);
    struct kit_child child = kit_spawn(wait_and_receive, NULL);
    kit_until_asleep(JOBS, 1);
    kit_ok(tong_return(box, &message));
    message = claim(dead, 1);
    tong_origin origin = TONG_ORIGIN_INIT;
    kit_equal(value_of(&message), 1);
    kit_equal(message.pid, child.pid);
    kit_gives(tong_origin_of(dead, &message, &origin), 1);
    kit_equal(origin.pid, getpid());
    kit_ok(tong_done(dead, &message));
    kit_until_asleep(JOBS, 1);
    kit_ok(kit_send_u64(box, 2, 0));
    kit_join(&child);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static void letters_of_any_length(void)
{
    static const size_t lens[] = { 0, 1, 17, 5000, 65535, 65536, 65537, 1 << 20, 5 << 20 };
    tong_mailbox *dead = kit_create(DEAD, NULL);
    tong_mailbox *box = create_jobs(2);
    char *data = malloc((5 << 20) + 1);
    kit_true(data != NULL);
    for (uint64_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        kit_payload_write(data, lens[i], 1, i);
        kit_ok(tong_send(box, data, lens[i], 0));
        for (uint32_t k = 1; k <= 2; k++) {
            tong_message message = claim(box, k);
            kit_ok(tong_return(box, &message));
        }
        kit_is_empty(box);
        tong_message message = claim(dead, 1);
        tong_origin origin = TONG_ORIGIN_INIT;
        kit_equal(message.len, lens[i]);
        kit_equal((uintptr_t)message.data % 16, 0);
        kit_true(kit_payload_is(message.data, message.len, 1, i));
        kit_gives(tong_origin_of(dead, &message, &origin), 1);
        kit_equal(origin.sequence, i);
        kit_ok(tong_done(dead, &message));
    }
    free(data);
    expect_counts(JOBS, sizeof(lens) / sizeof(lens[0]), 0, 0, 0);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static void a_dead_letter_can_be_received_as_any_message(void)
{
    tong_mailbox *dead = kit_create(DEAD, NULL);
    tong_mailbox *box = create_jobs(1);
    uint64_t values[2] = { 0, 0 };
    size_t lens[2];
    const struct iovec two[2] = { { &values[0], 8 }, { &values[1], 8 } };
    for (uint64_t i = 0; i < 4; i++) {
        send_and_return(box, i, 1);
        kit_is_empty(box);
    }
    kit_equal(kit_receive_u64(dead), 0);
    kit_receive_many(dead, two, 2, lens, 2);
    kit_equal(values[0] * 10 + values[1], 12);
    kit_equal(lens[0] + lens[1], 16);
    kit_gives(tong_skip(dead), 8);
    kit_is_empty(dead);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static void a_copying_receive_counts_no_delivery(void)
{
    tong_mailbox *dead = kit_create(DEAD, NULL);
    tong_mailbox *box = create_jobs(1);
    char *data = calloc(1, 200000);
    kit_true(data != NULL);
    for (size_t len = 100; len <= 200000; len += 199900) {
        kit_ok(tong_send(box, data, len, 0));
        for (int i = 0; i < 100; i++) {
            kit_gives(tong_receive(box, data, 50, 0), -EMSGSIZE);
        }
        tong_message message = claim(box, 1);
        kit_equal(message.len, len);
        kit_ok(tong_done(box, &message));
    }
    free(data);
    kit_equal(kit_stat(JOBS).dead_letters, 0);
    kit_equal(kit_stat(DEAD).sent, 0);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static void the_largest_limit_is_exact_and_without_one_nothing_ends(void)
{
    if (kit_fewer(100) < 100) {
        kit_skip("%s: 130,000 claims take too long", kit_carrier());
    }
    enum {
        LARGEST = 65534
    };
    tong_mailbox *dead = kit_create(DEAD, NULL);
    tong_mailbox *box = create_jobs(LARGEST);
    send_and_return(box, 1, LARGEST);
    kit_is_empty(box);
    expect_letter(dead, 1, 0, LARGEST);
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
    box = kit_create(JOBS, NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    uint32_t last = 0;
    for (uint32_t i = 0; i < 70000; i++) {
        tong_message message = TONG_MESSAGE_INIT;
        kit_ok(tong_claim(box, 0, &message));
        /* Counted as far as the book goes, and never as new again. */
        kit_true(message.deliveries == i + 1 || (i >= LARGEST && message.deliveries == last));
        last = message.deliveries;
        kit_ok(tong_return(box, &message));
    }
    kit_equal(kit_receive_u64(box), 1);
    kit_end(box, JOBS);
}

/* ------------------------------------------------------------------ tong_origin_of */

static int ask_in_child(void *arg)
{
    tong_origin origin = TONG_ORIGIN_INIT;
    tong_message message = TONG_MESSAGE_INIT;
    kit_gives(tong_origin_of(arg, &message, &origin), -ECHILD);
    return 0;
}

static void an_origin_is_asked_of_a_claim(void)
{
    tong_mailbox *dead = kit_create(DEAD, NULL);
    tong_mailbox *box = create_jobs(1);
    tong_mailbox *other = kit_open(DEAD, TONG_RECEIVE, NULL);
    tong_origin origin = TONG_ORIGIN_INIT;
    tong_message message = TONG_MESSAGE_INIT;
    origin.deliveries = 77;
    kit_gives(tong_origin_of(dead, &message, &origin), -EINVAL);
    kit_ok(kit_send_u64(dead, 1, 0));
    message = claim(dead, 1);
    kit_gives(tong_origin_of(dead, &message, &origin), 0);
    kit_gives(tong_origin_of(NULL, &message, &origin), -EINVAL);
    kit_gives(tong_origin_of(dead, NULL, &origin), -EINVAL);
    kit_gives(tong_origin_of(dead, &message, NULL), -EINVAL);
    kit_gives(tong_origin_of(other, &message, &origin), -EINVAL);
    struct kit_child child = kit_spawn(ask_in_child, dead);
    kit_join(&child);
    const tong_message copy = message;
    kit_ok(tong_done(dead, &message));
    kit_gives(tong_origin_of(dead, &copy, &origin), -EINVAL);
    kit_equal(origin.deliveries, 77);
    send_and_return(box, 2, 1);
    kit_is_empty(box);
    /* Returned and claimed again it is the same dead letter. */
    for (uint32_t i = 1; i <= 3; i++) {
        message = claim(dead, i);
        kit_gives(tong_origin_of(dead, &message, &origin), 1);
        kit_equal(origin.deliveries, 1);
        kit_ok(tong_return(dead, &message));
    }
    origin.struct_size = 0;
    message = claim(other, 4);
    kit_gives(tong_origin_of(other, &message, &origin), -EINVAL);
    kit_ok(tong_done(other, &message));
    kit_ok(tong_close(other));
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

static void a_message_that_looks_like_a_dead_letter_is_none(void)
{
    kit_only("shm", "it looks at what stands around a message in shared memory");
    tong_mailbox *dead = kit_create(DEAD, NULL);
    tong_mailbox *box = create_jobs(1);
    char bytes[1024];
    send_and_return(box, 1, 1);
    kit_is_empty(box);
    tong_message message = claim(dead, 1);
    /* Its bytes, with whatever stands before and behind them in memory, sent as a message. */
    memcpy(bytes, (const char *)message.data - 512, sizeof(bytes));
    kit_ok(tong_send(dead, bytes, sizeof(bytes), 0));
    kit_ok(tong_done(dead, &message));
    message = claim(dead, 1);
    tong_origin origin = TONG_ORIGIN_INIT;
    kit_gives(tong_origin_of(dead, &message, &origin), 0);
    kit_ok(tong_done(dead, &message));
    kit_end(box, JOBS);
    kit_end(dead, DEAD);
}

/* ------------------------------------------------------------------ many workers that die */

enum {
    WORKERS = 4,
    MESSAGES = 600,
    MAX = 3
};

struct ledger {
    _Atomic uint32_t tried[MESSAGES];
    _Atomic uint32_t done[MESSAGES];
    _Atomic uint32_t stop;
};

struct worker {
    struct ledger *ledger;
    uint64_t life;
};

/* Every third message is poison: its worker returns it, closes, or dies. */
static int work(void *arg)
{
    const struct worker *worker = arg;
    struct ledger *ledger = worker->ledger;
    struct kit_random random = kit_random_stream(worker->life);
    tong_mailbox *box = kit_open(JOBS, TONG_RECEIVE, NULL);
    while (!atomic_load(&ledger->stop)) {
        tong_message message = TONG_MESSAGE_INIT;
        const int r = tong_claim(box, TONG_MS(1), &message);
        if (r == -ETIMEDOUT) {
            continue;
        }
        kit_ok(r);
        const uint64_t value = value_of(&message);
        kit_true(message.deliveries <= MAX && value < MESSAGES);
        atomic_fetch_add(&ledger->tried[value], 1);
        if (value % 3 != 0) {
            atomic_fetch_add(&ledger->done[value], 1);
            kit_ok(tong_done(box, &message));
        } else if (kit_random_below(&random, 10) == 0) {
            (void)kill(getpid(), SIGKILL);
        } else {
            kit_ok(tong_return(box, &message));
        }
    }
    return tong_close(box);
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = { .si_pid = 0 };
    kit_ok(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT));
    return info.si_pid != 0;
}

static void replace_the_dead(struct worker *workers, struct kit_child *children, uint64_t *life)
{
    for (size_t i = 0; i < WORKERS; i++) {
        if (has_ended(children[i].pid)) {
            kit_kill(&children[i]);
            workers[i].life = (*life)++;
            children[i] = kit_spawn(work, &workers[i]);
        }
    }
}

static void poison_ends_up_as_dead_letters_whatever_dies(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    struct ledger *ledger = kit_shared(sizeof(*ledger));
    const uint64_t jobs = kit_room(kit_fewer(MESSAGES));
    tong_mailbox *dead = kit_create(DEAD, NULL);
    tong_mailbox *box = create_jobs(MAX);
    struct worker workers[WORKERS];
    struct kit_child children[WORKERS];
    for (uint64_t i = 0; i < jobs; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    for (uint64_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){ .ledger = ledger, .life = i };
        children[i] = kit_spawn(work, &workers[i]);
    }
    uint64_t life = WORKERS;
    kit_until((replace_the_dead(workers, children, &life), kit_stat(JOBS).done == jobs));
    atomic_store(&ledger->stop, 1);
    for (uint64_t i = 0; i < WORKERS; i++) {
        (void)kit_join_status(&children[i]);
    }
    uint64_t letters = 0;
    uint32_t seen[MESSAGES] = { 0 };
    for (;; letters++) {
        uint64_t value = 0;
        const ssize_t n = tong_receive(dead, &value, sizeof(value), 0);
        if (n == -EAGAIN) {
            break;
        }
        kit_gives(n, 8);
        kit_true(value < jobs && value % 3 == 0);
        seen[value]++;
    }
    const bool is_far =
        strcmp(kit_carrier(), "nats") == 0; /* at least once: one may be in two hands */
    for (uint64_t i = 0; i < jobs; i++) {
        const uint32_t tried = atomic_load(&ledger->tried[i]);
        const uint32_t done = atomic_load(&ledger->done[i]);
        kit_true(i % 3 != 0 ? tried >= 1 && done == tried : done == 0 && tried <= MAX);
        kit_true(is_far || tried == (i % 3 == 0 ? MAX : 1));
        kit_equal(seen[i], i % 3 == 0);
    }
    kit_equal(kit_stat(JOBS).dead_letters, letters);
    expect_counts(JOBS, jobs, 0, 0, 0);
    kit_ok(tong_close(box));
    kit_ok(tong_remove(JOBS));
    kit_end(dead, DEAD);
}

static const struct kit_test tests[] = {
    KIT_TEST(options_that_cannot_be_are_refused),
    KIT_TEST(options_show_in_stat_and_are_compared),
    KIT_TEST(a_message_that_comes_back_then_is_a_dead_letter),
    KIT_TEST(what_is_done_in_time_is_no_dead_letter),
    KIT_TEST(dead_letters_keep_their_order_and_let_others_pass),
    KIT_TEST(deaths_and_closed_handles_count_as_returns),
    KIT_TEST(every_receiving_call_moves_them),
    KIT_TEST(tong_skip_throws_away_what_was_not_moved_yet),
    KIT_TEST(a_sleeping_receiver_moves_it_and_sleeps_on),
    KIT_TEST(letters_of_any_length),
    KIT_TEST(a_dead_letter_can_be_received_as_any_message),
    KIT_TEST(a_copying_receive_counts_no_delivery),
    KIT_TEST(the_largest_limit_is_exact_and_without_one_nothing_ends),
    KIT_TEST(an_origin_is_asked_of_a_claim),
    KIT_TEST(a_message_that_looks_like_a_dead_letter_is_none),
    KIT_TEST(poison_ends_up_as_dead_letters_whatever_dies),
};

KIT_MAIN(tests)
