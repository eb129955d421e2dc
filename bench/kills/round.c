/*
 * round.c - one kill and what comes after it.
 *
 *   1. survivor, victim and the second one are opened; the stream starts
 *   2. kill() at a random moment; the second sender begins
 *   3. flow: the next message, and KILLS_FLOW more after the victim is gone      else: hung
 *   4. a newcomer with the victim's name: its first message                      else: newcomer hung
 *   5. senders stop; receivers go on until all promised messages came or nothing moves any more
 *   6. what was promised is compared with what came; files are counted
 */
#include "kills.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t ms = 1000000;

struct round {
    struct kills_system *system;
    enum kills_role role;
    struct kills_result *result;
    pid_t pid[KILLS_SEATS];
    int64_t newcomer_ns;
    int64_t queued_ns[KILLS_SEATS]; /* at the kill */
};

/* ------------------------------------------------------------------ processes */

static bool is_sender(const struct round *round, enum kills_seat seat)
{
    return (seat == SEAT_SURVIVOR) == (round->role == KILL_RECEIVER);
}

static void seat(struct round *round, enum kills_seat seat)
{
    /* Where everyone gets everything, the one who is there from the beginning to the end notes. */
    const bool notes = !round->system->everyone ||
                       seat == (round->role == KILL_RECEIVER ? SEAT_SECOND : SEAT_SURVIVOR);
    round->pid[seat] = stage_fork();
    if (round->pid[seat] == 0) {
        worker(round->system, seat, is_sender(round, seat), notes);
    }
}

static void go(enum kills_seat seat)
{
    atomic_store(&page->go[seat], 1);
    syscall(SYS_futex, &page->go[seat], FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* True: it has ended, and is waited for. */
static bool has_ended(struct round *round, enum kills_seat seat, int *ret_status)
{
    if (round->pid[seat] <= 0) {
        return true;
    }
    if (waitpid(round->pid[seat], ret_status, WNOHANG) != round->pid[seat]) {
        return false;
    }
    round->pid[seat] = 0;
    return true;
}

static void end_by_force(struct round *round, enum kills_seat seat)
{
    if (round->pid[seat] > 0) {
        kill(round->pid[seat], SIGKILL);
        while (waitpid(round->pid[seat], NULL, 0) < 0 && errno == EINTR) {
        }
        round->pid[seat] = 0;
    }
}

/* Those on one side end by themselves, or after two seconds by force. */
static void end_side(struct round *round, bool senders)
{
    const int64_t end = now_ns() + 2000 * ms;
    for (int i = 0; i < KILLS_SEATS; i++) {
        if (is_sender(round, (enum kills_seat)i) != senders) {
            continue;
        }
        int status = 0;
        while (!has_ended(round, (enum kills_seat)i, &status) && now_ns() < end) {
            sleep_ns(ms / 2);
        }
        round->result->crashed += status != 0;
        end_by_force(round, (enum kills_seat)i);
    }
}

static void watch_for_crashes(struct round *round)
{
    for (int i = 0; i < KILLS_SEATS; i++) {
        int status = 0;
        const bool was_there = round->pid[i] > 0;
        if (was_there && has_ended(round, (enum kills_seat)i, &status)) {
            round->result->crashed++;
        }
    }
}

/* ------------------------------------------------------------------ steps */

typedef bool condition_fn(const struct round *round);

static bool wait_until(struct round *round, condition_fn *holds)
{
    const int64_t end = now_ns() + settings.limit_ns;
    while (!holds(round)) {
        if (now_ns() > end) {
            return false;
        }
        watch_for_crashes(round);
        sleep_ns(ms / 5);
    }
    return true;
}

static bool survivor_ready(const struct round *round)
{
    (void)round;
    return atomic_load(&page->seat[SEAT_SURVIVOR].ready) == 1;
}

static bool all_ready(const struct round *round)
{
    (void)round;
    return atomic_load(&page->seat[SEAT_VICTIM].ready) == 1 &&
           atomic_load(&page->seat[SEAT_SECOND].ready) == 1;
}

static bool streams(const struct round *round)
{
    (void)round;
    return atomic_load(&page->seat[SEAT_SURVIVOR].n) >= KILLS_FLOW &&
           atomic_load(&page->seat[SEAT_VICTIM].n) >= KILLS_FLOW;
}

static bool flows(const struct round *round)
{
    const struct kills_seat_page *survivor = &page->seat[SEAT_SURVIVOR];
    const struct kills_seat_page *second = &page->seat[SEAT_SECOND];
    if (atomic_load(&survivor->n_after) < KILLS_FLOW) {
        return false;
    }
    if (round->role == KILL_SENDER) {
        return atomic_load(&survivor->first_of_ns[SEAT_SECOND]) != 0;
    }
    return atomic_load(&second->first_ns) != 0 && atomic_load(&second->n_after) >= KILLS_FLOW;
}

static int64_t newcomers_first(const struct round *round)
{
    if (round->role == KILL_SENDER) {
        return atomic_load(&page->seat[SEAT_SURVIVOR].first_of_ns[SEAT_NEWCOMER]);
    }
    return atomic_load(&page->seat[SEAT_NEWCOMER].first_ns);
}

static bool newcomer_flows(const struct round *round)
{
    return newcomers_first(round) != 0;
}

static void clear_page(void)
{
    static uint64_t rounds;
    /* The numbers first: that they are zero again is cheap only for those that were used. */
    for (int i = 0; i < KILLS_SEATS; i++) {
        madvise(&page->seen[i], sizeof page->seen[i], MADV_REMOVE);
    }
    memset(page, 0, offsetof(struct kills_page, about));
    page->round = ++rounds + ((uint64_t)getpid() << 32);
}

static bool start(struct round *round)
{
    clear_page();
    seat(round, SEAT_SURVIVOR);
    if (!wait_until(round, survivor_ready)) {
        return false;
    }
    seat(round, SEAT_VICTIM);
    seat(round, SEAT_SECOND);
    if (!wait_until(round, all_ready)) {
        return false;
    }
    go(round->role == KILL_SENDER ? SEAT_VICTIM : SEAT_SURVIVOR);
    return wait_until(round, streams);
}

static void kill_victim(struct round *round)
{
    static uint64_t state;
    state = (state + (uint64_t)now_ns()) * 6364136223846793005u + 1442695040888963407u;
    sleep_ns(2 * ms + (int64_t)((state >> 33) % (uint64_t)(40 * ms)));
    round->queued_ns[SEAT_SURVIVOR] = queued_ns(round->pid[SEAT_SURVIVOR]);
    round->queued_ns[SEAT_SECOND] = queued_ns(round->pid[SEAT_SECOND]);
    atomic_store(&page->kill_ns, now_ns());
    kill(round->pid[SEAT_VICTIM], SIGKILL);
    atomic_store(&page->killed, 1);
    go(SEAT_SECOND);
    end_by_force(round, SEAT_VICTIM);
    atomic_store(&page->gone, 1);
}

static uint64_t n_taken(const struct round *round)
{
    uint64_t n = 0;
    for (int i = 0; i < KILLS_SEATS; i++) {
        n += is_sender(round, (enum kills_seat)i) ? 0 : atomic_load(&page->seat[i].n);
    }
    return n;
}

static uint64_t n_missing(const struct round *round)
{
    uint64_t missing = 0;
    for (int i = 0; i < KILLS_SEATS; i++) {
        const uint64_t promised = atomic_load(&page->seat[i].promised);
        if (is_sender(round, (enum kills_seat)i)) {
            for (uint64_t k = 0; k < promised && k < KILLS_NUMBERS; k++) {
                missing += atomic_load_explicit(&page->seen[i][k], memory_order_relaxed) == 0;
            }
        }
    }
    return missing;
}

/* Until everything has come, or nothing has moved for a while. */
static void drain(const struct round *round)
{
    uint64_t last = n_taken(round);
    for (int64_t end = now_ns() + 300 * ms; now_ns() < end; sleep_ns(ms)) {
        const uint64_t taken = n_taken(round);
        if (taken == last && n_missing(round) == 0) {
            return;
        }
        if (taken != last) {
            last = taken;
            end = now_ns() + 300 * ms;
        }
    }
}

static void audit(struct round *round)
{
    struct kills_result *result = round->result;
    const uint64_t lost = n_missing(round);
    result->lost += lost;
    result->rounds_lost += lost > 0;
    for (int i = 0; i < KILLS_SEATS; i++) {
        const struct kills_seat_page *its = &page->seat[i];
        const uint64_t promised = atomic_load(&its->promised);
        result->promised += promised;
        result->broken += atomic_load(&its->broken);
        result->again += atomic_load(&its->again);
        const uint64_t errors = atomic_load(&its->errors);
        result->errors += errors;
        result->last_error = errors ? atomic_load(&its->last_error) : result->last_error;
        /* One send may have been under way. */
        for (uint64_t k = promised + 1; k < promised + 65 && k < KILLS_NUMBERS; k++) {
            result->broken += atomic_load(&page->seen[i][k]) != 0;
        }
    }
}

static double since_kill_ms(int64_t stamp)
{
    return (double)(stamp - atomic_load(&page->kill_ns)) / 1e6;
}

/* Between the kill and its first message, the longer of the two. */
static double queued_ms(const struct round *round)
{
    int64_t most = 0;
    for (int i = 0; i < KILLS_SEATS; i += SEAT_SECOND) {
        const int64_t queued = atomic_load(&page->seat[i].queued_ns) - round->queued_ns[i];
        most = queued > most ? queued : most;
    }
    return (double)most / 1e6;
}

static void keep_times(struct round *round)
{
    struct kills_result *result = round->result;
    const struct kills_seat_page *survivor = &page->seat[SEAT_SURVIVOR];
    const struct kills_seat_page *second = &page->seat[SEAT_SECOND];
    const int64_t sent = atomic_load(&survivor->first_ns);
    const int64_t taken = atomic_load(&second->first_ns);
    int64_t at = atomic_load(&survivor->first_of_ns[SEAT_SECOND]);
    int64_t silence = atomic_load(&survivor->silence_ns);
    if (round->role == KILL_RECEIVER) {
        at = sent > taken ? sent : taken;
        silence = atomic_load(&second->silence_ns);
    }
    const double next = since_kill_ms(at);
    if (next > result->worst_ms) {
        result->worst_ms = next;
        const double queued = queued_ms(round);
        result->worst_queued_ms = queued < next ? queued : next;
    }
    result->silence_ms[result->n_next] = (double)silence / 1e6;
    result->next_ms[result->n_next++] = next;
}

static bool try_newcomer(struct round *round)
{
    round->newcomer_ns = now_ns();
    go(SEAT_NEWCOMER);
    seat(round, SEAT_NEWCOMER);
    if (!wait_until(round, newcomer_flows)) {
        return false;
    }
    round->result->newcomer_ms[round->result->n_newcomer++] =
        (double)(newcomers_first(round) - round->newcomer_ns) / 1e6;
    return true;
}

static void end_all(struct round *round)
{
    atomic_store(&page->stop_senders, 1);
    for (int i = 0; i < KILLS_SEATS; i++) {
        go((enum kills_seat)i);
    }
    end_side(round, true);
    drain(round);
    atomic_store(&page->stop_receivers, 1);
    end_side(round, false);
}

/* ------------------------------------------------------------------ a round */

/* Does new processes alone make it flow again, or the removal of everything? Asked thrice a role. */
static void look_for_cure(struct kills_system *system, enum kills_role role)
{
    struct kills_result *result = &system->result[role];
    if (result->cures[0] + result->cures[1] + result->cures[2] < 3) {
        struct kills_result scratch = { 0 };
        struct round round = { .system = system, .role = role, .result = &scratch };
        const bool alone = start(&round);
        end_all(&round);
        system_clean(system);
        result->cures[alone ? 0 : 1]++;
    } else {
        system_clean(system);
    }
    system->warm = false;
}

static bool warm_up(struct kills_system *system, enum kills_role role)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        struct kills_result scratch = { 0 };
        struct round round = { .system = system, .role = role, .result = &scratch };
        const bool started = start(&round);
        end_all(&round);
        if (started) {
            system->warm = true;
            return true;
        }
        system_clean(system);
    }
    return false;
}

bool round_play(struct kills_system *system, enum kills_role role)
{
    struct kills_result *result = &system->result[role];
    if (!system->warm && !warm_up(system, role)) {
        return false;
    }
    struct round round = { .system = system, .role = role, .result = result };
    const long files = stage_count_files();
    if (!start(&round)) {
        /* What an earlier kill left lets nobody begin. */
        result->not_started++;
        end_all(&round);
        look_for_cure(system, role);
        return true;
    }
    kill_victim(&round);
    result->kills++;
    const bool flowed = wait_until(&round, flows);
    bool well = flowed;
    if (flowed) {
        keep_times(&round);
        well = try_newcomer(&round);
        result->newcomer_hung += !well;
    } else {
        result->hung++;
    }
    end_all(&round);
    audit(&round);
    if (!well) {
        look_for_cure(system, role);
    } else if (files >= 0) {
        result->left += stage_count_files() - files;
    }
    return true;
}
