/*
 * kill -9 of servers and callers at random moments, while the others call on.
 *
 * A ledger in memory that outlives every process holds for each call that was begun how often a server worked
 * on it, and how often as new.
 *
 *   - Nobody hangs: each call of a living caller ends with its own reply, or with -EOWNERDEAD.
 *   - Where a request is handed out once it is worked on once at most, whoever dies.
 *   - Where it is handed out again each call has its reply, worked on as often as deaths want it, the later
 *     times marked.
 *   - A reply is of work that was done.
 *
 * Each caller has two threads on one handle. TONG_TEST_LONG=1 makes 1,000 kills of each kind,
 * TONG_TEST_KILLS=n n of them.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kit.h"

enum {
    CALLERS = 2,
    THREADS = 2,
    SERVERS = 3,
    LIVES = 512, /* callers that ever live in one run, with two threads each */
    EACH = 16384 /* calls of each thread, at most */
};

struct kind {
    const char *what;
    uint32_t capacity;
    uint32_t delivery;
    uint32_t max_deliveries;
    bool claims;
};

struct ledger {
    const struct kind *kind;
    _Atomic uint32_t stop_calling;
    _Atomic uint32_t stop_serving;
    _Atomic uint64_t replies;
    _Atomic uint64_t nobody;
    _Atomic uint32_t begun[LIVES][THREADS];
    _Atomic uint8_t as_new[LIVES][THREADS][EACH];
    _Atomic uint8_t again[LIVES][THREADS][EACH];
    _Atomic uint8_t done[LIVES][THREADS][EACH]; /* the work was finished */
};

struct request {
    uint32_t life;
    uint32_t thread;
    uint32_t number;
};

struct caller {
    struct ledger *ledger;
    tong_mailbox *box;
    uint32_t life;
    uint32_t thread;
};

/* ---- callers */

static void *call_until_stopped(void *arg)
{
    const struct caller *c = arg;
    struct ledger *ledger = c->ledger;
    for (uint32_t i = 0; i < EACH && atomic_load(&ledger->stop_calling) == 0; i++) {
        const struct request request = { c->life, c->thread, i };
        struct request reply = { 0 };
        atomic_store(&ledger->begun[c->life][c->thread], i + 1);
        const ssize_t n =
            tong_call(c->box, &request, sizeof(request), &reply, sizeof(reply), KIT_PATIENCE);
        if (n == -EOWNERDEAD && ledger->kind->max_deliveries < 2) {
            atomic_fetch_add(&ledger->nobody, 1);
            continue;
        }
        kit_gives(n, (int64_t)sizeof(reply));
        kit_true(memcmp(&reply, &request, sizeof(reply)) == 0);
        kit_true(atomic_load(&ledger->done[c->life][c->thread][i]) != 0);
        atomic_fetch_add(&ledger->replies, 1);
    }
    return NULL;
}

static int be_caller(void *arg)
{
    struct caller all[THREADS];
    pthread_t threads[THREADS];
    const struct caller *c = arg;
    tong_mailbox *box = kit_open(kit_name("calls"), TONG_SEND, NULL);
    for (uint32_t i = 0; i < THREADS; i++) {
        all[i] = (struct caller){ c->ledger, box, c->life, i };
        kit_ok(pthread_create(&threads[i], NULL, call_until_stopped, &all[i]));
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        kit_ok(pthread_join(threads[i], NULL));
    }
    kit_ok(tong_close(box));
    kit_until(atomic_load(&c->ledger->stop_calling) != 0);
    return 0;
}

/* ---- servers */

static void work(struct ledger *ledger, const struct request *r, uint32_t deliveries)
{
    kit_true(r->life < LIVES && r->thread < THREADS && r->number < EACH);
    kit_true(r->number < atomic_load(&ledger->begun[r->life][r->thread]));
    atomic_fetch_add(deliveries == 1 ? &ledger->as_new[r->life][r->thread][r->number]
                                     : &ledger->again[r->life][r->thread][r->number],
                     1);
    atomic_store(&ledger->done[r->life][r->thread][r->number], 1);
}

static int be_server(void *arg)
{
    struct ledger *ledger = arg;
    tong_mailbox *box = kit_open(kit_name("calls"), TONG_RECEIVE, NULL);
    while (atomic_load(&ledger->stop_serving) == 0) {
        tong_message request = TONG_MESSAGE_INIT;
        struct request r;
        ssize_t n;
        if (ledger->kind->claims) {
            n = tong_claim(box, TONG_MS(20), &request);
            if (n == 0) {
                kit_equal(request.len, sizeof(r));
                memcpy(&r, request.data, sizeof(r));
            }
        } else {
            n = tong_receive_with(box, &r, sizeof(r), NULL, TONG_MS(20), &request);
        }
        if (n < 0) {
            kit_true(n == -ETIMEDOUT || n == -EAGAIN);
            continue;
        }
        work(ledger, &r, request.deliveries);
        const int answered = tong_reply(box, &request, &r, sizeof(r), KIT_PATIENCE);
        kit_true(answered == 0 || answered == -ENOENT);
    }
    return tong_close(box);
}

/* ---- one run */

struct run {
    struct ledger *ledger;
    struct kit_random random;
    struct kit_child callers[CALLERS];
    struct kit_child servers[SERVERS];
    uint32_t caller_life[CALLERS];
    uint32_t lives;
};

static void new_caller(struct run *run, size_t i)
{
    kit_true(run->lives < LIVES);
    run->caller_life[i] = run->lives++;
    struct caller c = { .ledger = run->ledger, .life = run->caller_life[i] };
    run->callers[i] = kit_spawn(be_caller, &c);
}

static void new_server(struct run *run, size_t i)
{
    run->servers[i] = kit_spawn(be_server, run->ledger);
}

/* All that a caller may do is done. */
static bool is_spent(const struct run *run, size_t i)
{
    const uint32_t life = run->caller_life[i];
    bool spent = true;
    for (uint32_t t = 0; t < THREADS; t++) {
        spent = spent && atomic_load(&run->ledger->begun[life][t]) == EACH;
    }
    return spent;
}

static void kill_one(struct run *run)
{
    /* Servers rather than callers. */
    size_t who = kit_random_below(&run->random, CALLERS + 2 * SERVERS);
    for (size_t i = 0; i < CALLERS; i++) {
        who = is_spent(run, i) ? i : who;
    }
    if (who < CALLERS) {
        kit_kill(&run->callers[who]);
        new_caller(run, who);
    } else {
        kit_kill(&run->servers[(who - CALLERS) / 2]);
        new_server(run, (who - CALLERS) / 2);
    }
}

static void audit(const struct run *run)
{
    struct ledger *ledger = run->ledger;
    const bool once = ledger->kind->max_deliveries < 2;
    for (uint32_t life = 0; life < run->lives; life++) {
        for (uint32_t t = 0; t < THREADS; t++) {
            const uint32_t begun = atomic_load(&ledger->begun[life][t]);
            for (uint32_t i = 0; i < EACH; i++) {
                const unsigned as_new = atomic_load(&ledger->as_new[life][t][i]);
                const unsigned more = atomic_load(&ledger->again[life][t][i]);
                if (as_new > 1 || (once && more != 0) || (i >= begun && as_new + more != 0)) {
                    kit_fail("call %u of thread %u of caller %u (%u begun) was worked on %u times "
                             "as new, %u times again",
                             i, t, life, begun, as_new, more);
                }
            }
        }
    }
}

static void run_kind(const struct kind *kind)
{
    const uint64_t kills = kit_count("TONG_TEST_KILLS", getenv("TONG_TEST_LONG") ? 1000 : 40);
    struct run run = { .ledger = kit_shared(sizeof(struct ledger)),
                       .random = kit_random_stream(1) };
    run.ledger->kind = kind;
    tong_options options = kit_capacity(kind->capacity);
    options.delivery = kind->delivery;
    options.max_deliveries = kind->max_deliveries;
    tong_mailbox *box = kit_open(kit_name("calls"), TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    kit_ok(tong_close(box));
    for (size_t i = 0; i < SERVERS; i++) {
        new_server(&run, i);
    }
    for (size_t i = 0; i < CALLERS; i++) {
        new_caller(&run, i);
    }
    uint64_t had = 0;
    for (uint64_t k = 0; k < kills; k++) {
        /* They go on after each death. */
        kit_until(atomic_load(&run.ledger->replies) > had || is_spent(&run, 0));
        had = atomic_load(&run.ledger->replies);
        kit_random_moment(&run.random);
        kill_one(&run);
    }
    atomic_store(&run.ledger->stop_calling, 1);
    for (size_t i = 0; i < CALLERS; i++) {
        kit_join(&run.callers[i]);
    }
    atomic_store(&run.ledger->stop_serving, 1);
    for (size_t i = 0; i < SERVERS; i++) {
        kit_join(&run.servers[i]);
    }
    audit(&run);
    printf("# %s: %llu kills, %llu replies, %llu times nobody answered\n", kind->what,
           (unsigned long long)kills, (unsigned long long)atomic_load(&run.ledger->replies),
           (unsigned long long)atomic_load(&run.ledger->nobody));
    kit_ok(tong_remove(kit_name("calls")));
}

static void a_claimed_request_is_worked_on_once(void)
{
    const struct kind kind = { .what = "claims", .capacity = TONG_UNBOUNDED, .claims = true };
    run_kind(&kind);
}

static void a_received_request_is_worked_on_once(void)
{
    const struct kind kind = { .what = "copies", .capacity = TONG_UNBOUNDED };
    run_kind(&kind);
}

static void at_capacity_1_as_well(void)
{
    const struct kind kind = { .what = "claims, capacity 1", .capacity = 1, .claims = true };
    run_kind(&kind);
}

static void at_capacity_0_as_well(void)
{
    const struct kind kind = { .what = "copies, capacity 0", .capacity = 0 };
    run_kind(&kind);
}

static void where_it_is_handed_out_again_each_call_has_its_reply(void)
{
    const struct kind kind = { .what = "handed out again",
                               .capacity = TONG_UNBOUNDED,
                               .delivery = TONG_ANY,
                               .max_deliveries = 60000,
                               .claims = true };
    run_kind(&kind);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_claimed_request_is_worked_on_once, 200),
    KIT_TEST_LONG(a_received_request_is_worked_on_once, 200),
    KIT_TEST_LONG(at_capacity_1_as_well, 200),
    KIT_TEST_LONG(at_capacity_0_as_well, 200),
    KIT_TEST_LONG(where_it_is_handed_out_again_each_call_has_its_reply, 200),
};

KIT_MAIN(tests)
