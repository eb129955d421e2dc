/*
 * Processes of different PID namespaces, each number 1 of its own: the same process number, the same
 * thread number, and none of them knows the other's.
 *
 * Mailboxes are looked at and ended from the outside, in a third namespace. kit_end() refuses a
 * sleep that only the back-stop ended, so a death that is not noticed at once fails the test.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "home.h"
#include "kit.h"

static const struct kit_home alone = { .namespaces = CLONE_NEWPID };

struct scene {
    kit_event ready;
    kit_event go;
    _Atomic uint64_t promised; /* numbers below it have been sent */
    _Atomic uint32_t deliveries;
    _Atomic uint32_t stop;
    _Atomic uint8_t seen[1 << 20];
};

enum {
    ROUNDS = 50
};

static void be_first(void)
{
    kit_equal(getpid(), 1);
    kit_equal(gettid(), 1);
}

/* ------------------------------------------------------------------ sending, sleeping, waking */

static bool is_empty_and_waited_for(void)
{
    const tong_status status = kit_stat(kit_name("a"));
    return status.waiting + status.claimed == 0 && status.receivers_asleep == 1;
}

static int send_in_turns(void *arg)
{
    (void)arg;
    be_first();
    tong_mailbox *box = kit_open(kit_name("a"), TONG_SEND, NULL);
    for (uint64_t i = 0; i < 3 * ROUNDS; i += 3) {
        kit_until(is_empty_and_waited_for());
        kit_ok(kit_send_u64(box, i, 0));
        /* One fits, the other waits for room. */
        kit_ok(kit_send_u64(box, i + 1, KIT_PATIENCE));
        kit_ok(kit_send_u64(box, i + 2, KIT_PATIENCE));
    }
    return tong_close(box);
}

static int receive_in_turns(void *arg)
{
    (void)arg;
    be_first();
    tong_mailbox *box = kit_open(kit_name("a"), TONG_RECEIVE, NULL);
    for (uint64_t i = 0; i < 3 * ROUNDS; i++) {
        tong_message message = TONG_MESSAGE_INIT;
        if (i % 3 == 1) {
            kit_until_blocked(kit_name("a"), 1);
        }
        kit_ok(tong_claim(box, KIT_PATIENCE, &message));
        kit_true(message.len == sizeof(i) && memcmp(message.data, &i, sizeof(i)) == 0);
        kit_equal(message.uid, geteuid());
        kit_true(message.verified & TONG_VERIFIED_UID);
        kit_equal(message.pid, 1);
        kit_ok(tong_done(box, &message));
    }
    return tong_close(box);
}

static void two_first_processes_send_and_receive(void)
{
    kit_needs_home(&alone);
    const tong_options options = kit_capacity(1);
    tong_mailbox *box = kit_open(kit_name("a"), TONG_SEND | TONG_CREATE, &options);
    struct kit_resident receiver = kit_home_spawn(&alone, receive_in_turns, NULL);
    struct kit_resident sender = kit_home_spawn(&alone, send_in_turns, NULL);
    kit_home_join(&sender);
    kit_home_join(&receiver);
    kit_end(box, kit_name("a"));
}

/* ------------------------------------------------------------------ deaths */

static int claim_and_wait(void *arg)
{
    struct scene *scene = arg;
    be_first();
    tong_mailbox *box = kit_open(kit_name("a"), TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    atomic_store(&scene->deliveries, message.deliveries);
    kit_event_set(&scene->ready);
    kit_await_death();
}

static int claim_what_comes_back(void *arg)
{
    (void)arg;
    be_first();
    tong_mailbox *box = kit_open(kit_name("a"), TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_equal(message.deliveries, 2);
    kit_ok(tong_done(box, &message));
    return tong_close(box);
}

static void a_killed_receivers_message_goes_to_the_other_namespace(void)
{
    kit_needs_home(&alone);
    struct scene *scene = kit_shared(sizeof(*scene));
    tong_mailbox *box = kit_open(kit_name("a"), TONG_SEND | TONG_CREATE, NULL);
    kit_ok(kit_send_u64(box, 7, 0));
    struct kit_resident first = kit_home_spawn(&alone, claim_and_wait, scene);
    kit_event_wait(&scene->ready);
    struct kit_resident second = kit_home_spawn(&alone, claim_what_comes_back, scene);
    kit_until_asleep(kit_name("a"), 1);
    kit_home_kill(&first);
    kit_home_join(&second);
    const tong_status status = kit_stat(kit_name("a"));
    kit_equal(status.deaths, 1);
    kit_equal(status.redelivered, 1);
    kit_end(box, kit_name("a"));
}

static void a_successor_of_the_same_number_is_not_the_dead_one(void)
{
    kit_needs_home(&alone);
    struct scene *scene = kit_shared(sizeof(*scene));
    tong_mailbox *box = kit_open(kit_name("a"), TONG_SEND | TONG_CREATE, NULL);
    kit_ok(kit_send_u64(box, 7, 0));
    for (uint32_t i = 1; i <= 10; i++) {
        atomic_store(&scene->ready, 0);
        struct kit_resident receiver = kit_home_spawn(&alone, claim_and_wait, scene);
        kit_event_wait(&scene->ready);
        kit_equal(atomic_load(&scene->deliveries), i);
        kit_home_kill(&receiver);
    }
    kit_end(box, kit_name("a"));
}

static int reserve_and_wait(void *arg)
{
    struct scene *scene = arg;
    be_first();
    tong_mailbox *box = kit_open(kit_name("a"), TONG_SEND, NULL);
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 8, 0, &slot));
    kit_event_set(&scene->ready);
    kit_await_death();
}

static int send_when_there_is_room(void *arg)
{
    (void)arg;
    be_first();
    tong_mailbox *box = kit_open(kit_name("a"), TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 5, KIT_PATIENCE));
    return tong_close(box);
}

static void a_killed_senders_room_goes_to_the_other_namespace(void)
{
    kit_needs_home(&alone);
    kit_needs(KIT_IN_PLACE);
    struct scene *scene = kit_shared(sizeof(*scene));
    const tong_options options = kit_capacity(1);
    tong_mailbox *box = kit_open(kit_name("a"), TONG_RECEIVE | TONG_CREATE, &options);
    struct kit_resident first = kit_home_spawn(&alone, reserve_and_wait, scene);
    kit_event_wait(&scene->ready);
    struct kit_resident second = kit_home_spawn(&alone, send_when_there_is_room, scene);
    kit_until_blocked(kit_name("a"), 1);
    kit_is_empty(box);
    kit_home_kill(&first);
    kit_home_join(&second);
    kit_equal(kit_receive_u64(box), 5);
    kit_is_empty(box);
    kit_end(box, kit_name("a"));
}

static int own_and_wait(void *arg)
{
    struct scene *scene = arg;
    be_first();
    tong_options options = kit_capacity(1);
    options.owner = TONG_PROCESS;
    kit_open(kit_name("a"), TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options);
    kit_event_set(&scene->ready);
    kit_await_death();
}

static int send_until_the_owner_dies(void *arg)
{
    (void)arg;
    be_first();
    tong_mailbox *box = kit_open(kit_name("a"), TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_gives(kit_send_u64(box, 2, KIT_PATIENCE), -EOWNERDEAD);
    return tong_close(box);
}

static void a_killed_owner_ends_its_mailbox_for_the_other_namespace(void)
{
    kit_needs_home(&alone);
    for (int i = 0; i < 5; i++) {
        struct scene *scene = kit_shared(sizeof(*scene));
        struct kit_resident owner = kit_home_spawn(&alone, own_and_wait, scene);
        kit_event_wait(&scene->ready);
        struct kit_resident sender = kit_home_spawn(&alone, send_until_the_owner_dies, scene);
        kit_until_blocked(kit_name("a"), 1);
        kit_home_kill(&owner);
        kit_home_join(&sender);
        tong_status status = TONG_STATUS_INIT;
        kit_gives(tong_stat(kit_name("a"), &status), -ENOENT);
    }
}

static int lock_and_wait(void *arg)
{
    struct scene *scene = arg;
    tong_region *region = NULL;
    be_first();
    kit_ok(tong_region_open("r", 0, TONG_WRITE, NULL, &region));
    kit_ok(tong_region_lock(region, KIT_PATIENCE));
    kit_event_set(&scene->ready);
    kit_await_death();
}

static int lock_after_the_dead(void *arg)
{
    struct scene *scene = arg;
    tong_region *region = NULL;
    be_first();
    kit_ok(tong_region_open("r", 0, TONG_WRITE, NULL, &region));
    for (int i = 0; i < 100; i++) {
        kit_gives(tong_region_lock(region, 0), -EAGAIN);
    }
    kit_event_set(&scene->go);
    kit_gives(tong_region_lock(region, KIT_PATIENCE), TONG_RECOVERED);
    kit_ok(tong_region_unlock(region));
    return tong_region_close(region);
}

static void a_lock_is_the_living_ones_and_passes_from_the_dead(void)
{
    kit_needs_home(&alone);
    struct scene *scene = kit_shared(sizeof(*scene));
    tong_region *region = NULL;
    kit_ok(tong_region_open("r", 64, TONG_WRITE | TONG_CREATE, NULL, &region));
    struct kit_resident holder = kit_home_spawn(&alone, lock_and_wait, scene);
    kit_event_wait(&scene->ready);
    struct kit_resident next = kit_home_spawn(&alone, lock_after_the_dead, scene);
    kit_event_wait(&scene->go);
    kit_until(kit_sleeps(atomic_load(next.pid)));
    kit_home_kill(&holder);
    kit_home_join(&next);
    kit_ok(tong_region_close(region));
    kit_ok(tong_region_remove("r"));
}

/* ------------------------------------------------------------------ a stream and kills */

static int send_numbers(void *arg)
{
    struct scene *scene = arg;
    be_first();
    tong_mailbox *box = kit_open(kit_name("a"), TONG_SEND, NULL);
    while (atomic_load(&scene->stop) == 0) {
        const uint64_t number = atomic_load(&scene->promised);
        if (number + 1 == sizeof(scene->seen)) {
            break;
        }
        kit_ok(kit_send_u64(box, number, KIT_PATIENCE));
        atomic_store(&scene->promised, number + 1);
    }
    return tong_close(box);
}

static int note_numbers(void *arg)
{
    struct scene *scene = arg;
    be_first();
    tong_mailbox *box = kit_open(kit_name("a"), TONG_RECEIVE, NULL);
    for (;;) {
        tong_message message = TONG_MESSAGE_INIT;
        uint64_t number = 0;
        const int r = tong_claim(box, TONG_MS(20), &message);
        if (r == -ETIMEDOUT && atomic_load(&scene->stop) == 2) {
            break;
        }
        if (r == -ETIMEDOUT) {
            continue;
        }
        kit_ok(r);
        kit_equal(message.len, sizeof(number));
        memcpy(&number, message.data, sizeof(number));
        kit_true(number < sizeof(scene->seen));
        atomic_fetch_add(&scene->seen[number], 1);
        kit_ok(tong_done(box, &message));
    }
    return tong_close(box);
}

static void nothing_promised_is_lost_whoever_is_killed(void)
{
    kit_needs_home(&alone);
    struct scene *scene = kit_shared(sizeof(*scene));
    struct kit_random random = kit_random_stream(0);
    const uint64_t kills = kit_count("TONG_TEST_KILLS", 30);
    tong_mailbox *box = kit_open(kit_name("a"), TONG_SEND | TONG_CREATE, NULL);
    struct kit_resident sender = kit_home_spawn(&alone, send_numbers, scene);
    struct kit_resident receiver = kit_home_spawn(&alone, note_numbers, scene);
    for (uint64_t i = 0; i < kills; i++) {
        kit_random_moment(&random);
        struct kit_resident *victim = i % 2 ? &sender : &receiver;
        kit_home_kill(victim);
        *victim = kit_home_spawn(&alone, i % 2 ? send_numbers : note_numbers, scene);
    }
    atomic_store(&scene->stop, 1);
    kit_home_join(&sender);
    atomic_store(&scene->stop, 2);
    kit_home_join(&receiver);
    const uint64_t n = atomic_load(&scene->promised);
    for (uint64_t i = 0; i < n; i++) {
        if (atomic_load(&scene->seen[i]) == 0) {
            kit_fail("number %llu of %llu was promised and lost", (unsigned long long)i,
                     (unsigned long long)n);
        }
    }
    kit_true(n > 0);
    kit_end(box, kit_name("a"));
}

/* ------------------------------------------------------------------ stopped is not dead */

static int hear(const tong_finding *finding, void *arg)
{
    (void)finding;
    (void)arg;
    return 0;
}

/* Whoever could take a stopped one for dead has looked, several times. */
static void let_everybody_look(void)
{
    for (int i = 0; i < 20; i++) {
        tong_mailbox *visitor = kit_open(kit_name("a"), TONG_SEND | TONG_RECEIVE, NULL);
        kit_is_empty(visitor);
        kit_ok(tong_close(visitor));
        kit_true(tong_doctor(1, hear, NULL) >= 0);
    }
}

static int claim_and_finish(void *arg)
{
    struct scene *scene = arg;
    tong_mailbox *box = kit_open(kit_name("a"), TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_event_set(&scene->ready);
    kit_event_wait(&scene->go);
    kit_ok(tong_done(box, &message));
    return tong_close(box);
}

static int expect_alive(void *arg)
{
    (void)arg;
    let_everybody_look();
    const tong_status status = kit_stat(kit_name("a"));
    kit_equal(status.receivers, 1);
    kit_equal(status.claimed, 1);
    kit_equal(status.deaths, 0);
    kit_equal(status.redelivered, 0);
    return 0;
}

struct play {
    struct scene *scene;
    tong_mailbox *box;
    struct kit_resident receiver;
};

static struct play begin_play(void)
{
    kit_needs_home(&alone);
    struct play play = { .scene = kit_shared(sizeof(struct scene)) };
    play.box = kit_open(kit_name("a"), TONG_SEND | TONG_CREATE, NULL);
    kit_ok(kit_send_u64(play.box, 7, 0));
    play.receiver = kit_home_spawn(&alone, claim_and_finish, play.scene);
    kit_event_wait(&play.scene->ready);
    return play;
}

static void end_play(struct play *play)
{
    kit_event_set(&play->scene->go);
    if (play->receiver.keeper.pid != 0) {
        kit_home_join(&play->receiver);
    }
    kit_equal(kit_stat(kit_name("a")).redelivered, 0);
    kit_end(play->box, kit_name("a"));
}

static bool is_stopped(pid_t pid, char state)
{
    char path[64];
    char text[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file) {
        return false;
    }
    const size_t n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    return at && at[1] == ' ' && at[2] == state;
}

static void a_stopped_receiver_is_not_dead(void)
{
    struct play play = begin_play();
    const pid_t pid = atomic_load(play.receiver.pid);
    kit_ok(kill(pid, SIGSTOP));
    kit_until(is_stopped(pid, 'T'));
    expect_alive(NULL);
    kit_ok(kill(pid, SIGCONT));
    end_play(&play);
}

static void a_traced_receiver_is_not_dead(void)
{
    struct play play = begin_play();
    const pid_t pid = atomic_load(play.receiver.pid);
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0) {
        const int error = errno;
        end_play(&play);
        kit_skip("ptrace is not allowed: %s", strerror(error));
    }
    kit_ok((int)ptrace(PTRACE_INTERRUPT, pid, NULL, NULL));
    kit_until(is_stopped(pid, 't'));
    expect_alive(NULL);
    kit_equal(waitpid(pid, NULL, __WALL), pid);
    kit_ok((int)ptrace(PTRACE_DETACH, pid, NULL, NULL));
    end_play(&play);
}

/* ------------------------------------------------------------------ frozen */

static bool put(const char *folder, const char *file, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    FILE *to = fopen(path, "we");
    if (!to) {
        return false;
    }
    const bool written = fputs(text, to) >= 0;
    return fclose(to) == 0 && written;
}

static bool reads(const char *folder, const char *file, const char *text)
{
    char path[512];
    char line[128];
    bool found = false;
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    FILE *from = fopen(path, "re");
    while (from && fgets(line, sizeof(line), from)) {
        found = found || strncmp(line, text, strlen(text)) == 0;
    }
    if (from) {
        fclose(from);
    }
    return found;
}

/* The two forms a freezer has: how to enter, what to write, what it reads then. */
static const struct freezer {
    const char *under;
    const char *file;
    const char *freeze;
    const char *thaw;
    const char *told_by;
    const char *frozen;
} freezers[] = {
    { "/sys/fs/cgroup", "cgroup.freeze", "1", "0", "cgroup.events", "frozen 1" },
    { "/sys/fs/cgroup/unified", "cgroup.freeze", "1", "0", "cgroup.events", "frozen 1" },
    { "/sys/fs/cgroup/freezer", "freezer.state", "FROZEN", "THAWED", "freezer.state", "FROZEN" },
};

static const struct freezer *make_group(char *ret_group, size_t size)
{
    for (size_t i = 0; i < sizeof(freezers) / sizeof(freezers[0]); i++) {
        char file[600];
        snprintf(ret_group, size, "%s/tong-kit.%d", freezers[i].under, (int)getpid());
        if (mkdir(ret_group, 0755) != 0) {
            continue;
        }
        snprintf(file, sizeof(file), "%s/%s", ret_group, freezers[i].file);
        if (access(file, W_OK) == 0) {
            return &freezers[i];
        }
        rmdir(ret_group);
    }
    return NULL;
}

static void a_frozen_receiver_is_not_dead(void)
{
    char group[256];
    char pid[32];
    const struct freezer *freezer = make_group(group, sizeof(group));
    if (!freezer) {
        kit_skip("no cgroup freezer may be used here");
    }
    struct play play = begin_play();
    snprintf(pid, sizeof(pid), "%d", (int)atomic_load(play.receiver.pid));
    kit_true(put(group, "cgroup.procs", pid));
    kit_true(put(group, freezer->file, freezer->freeze));
    kit_until(reads(group, freezer->told_by, freezer->frozen));
    /* Whatever is found, nobody stays frozen: who is could not even be killed. */
    struct kit_child looks = kit_spawn(expect_alive, NULL);
    const int status = kit_join_status(&looks);
    kit_true(put(group, freezer->file, freezer->thaw));
    kit_event_set(&play.scene->go);
    kit_home_join(&play.receiver);
    kit_until(rmdir(group) == 0);
    kit_equal(status, 0);
    end_play(&play);
}

static const struct kit_test tests[] = {
    KIT_TEST(two_first_processes_send_and_receive),
    KIT_TEST(a_killed_receivers_message_goes_to_the_other_namespace),
    KIT_TEST(a_successor_of_the_same_number_is_not_the_dead_one),
    KIT_TEST(a_killed_senders_room_goes_to_the_other_namespace),
    KIT_TEST(a_killed_owner_ends_its_mailbox_for_the_other_namespace),
    KIT_TEST(a_lock_is_the_living_ones_and_passes_from_the_dead),
    KIT_TEST(nothing_promised_is_lost_whoever_is_killed),
    KIT_TEST(a_stopped_receiver_is_not_dead),
    KIT_TEST(a_traced_receiver_is_not_dead),
    KIT_TEST(a_frozen_receiver_is_not_dead),
};

KIT_MAIN(tests)
