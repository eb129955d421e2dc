/*
 * Two ordinary users of one group, and a folder that root made for the group: each in each role, killed in
 * each role.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kit.h"

enum {
    GROUP = 65530,
    ROUNDS = 50,
    NUMBERS = 1 << 20
};

struct scene {
    const char *folder;
    uid_t owner; /* whose the mailbox is: receives */
    uid_t other; /* sends */
    kit_event ready;
    kit_event go;
    kit_event over;
    _Atomic uint64_t promised;
    _Atomic uint32_t stop;
    _Atomic uint8_t seen[NUMBERS];
};

static void be(const struct scene *scene, uid_t uid)
{
    kit_become(uid, GROUP);
    kit_ok(setenv("TONG_DIR", scene->folder, 1));
}

static tong_options for_the_group(uint32_t capacity)
{
    tong_options options = kit_capacity(capacity);
    options.mode = 0660;
    return options;
}

static const char *folder; /* also here: what shared memory alone points at looks like a leak */

/* Once with ann's mailbox and once with bob's. */
static void play(void (*what)(struct scene *))
{
    kit_needs_root();
    for (int i = 0; i < 2; i++) {
        struct scene *scene = kit_shared(sizeof(*scene));
        folder = kit_make_folder(0, GROUP, 03770);
        scene->folder = folder;
        scene->owner = i ? KIT_ANN : KIT_BOB;
        scene->other = i ? KIT_BOB : KIT_ANN;
        what(scene);
        kit_remove_folder(folder);
    }
}

static void run(struct scene *scene, kit_child_fn *function)
{
    struct kit_child child = kit_spawn(function, scene);
    kit_join(&child);
}

static int create(void *arg)
{
    const struct scene *scene = arg;
    be(scene, scene->owner);
    const tong_options options = for_the_group(TONG_UNBOUNDED);
    return tong_close(kit_open("a", TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options));
}

static int end(void *arg)
{
    const struct scene *scene = arg;
    be(scene, scene->owner);
    tong_mailbox *box = kit_open("a", TONG_RECEIVE, NULL);
    kit_is_empty(box);
    kit_end(box, "a");
    return 0;
}

static int visit(const struct scene *scene, uid_t uid)
{
    be(scene, uid);
    return tong_close(kit_open("visit", TONG_SEND | TONG_CREATE, NULL)) + tong_remove("visit");
}

static int visit_as_owner(void *arg)
{
    const struct scene *scene = arg;
    return visit(scene, scene->owner);
}

static int visit_as_other(void *arg)
{
    const struct scene *scene = arg;
    return visit(scene, scene->other);
}

/* What is left of the dead goes with the next visit of their user; then there is nothing. */
static void expect_nothing_left(struct scene *scene)
{
    char path[4200];
    run(scene, visit_as_other);
    run(scene, visit_as_owner);
    kit_true(strcmp(kit_entries(scene->folder), ".life .lock .tmp") == 0);
    snprintf(path, sizeof(path), "%s/.life", scene->folder);
    kit_true(strcmp(kit_entries(path), "") == 0);
    snprintf(path, sizeof(path), "%s/.tmp", scene->folder);
    kit_true(strcmp(kit_entries(path), "") == 0);
}

/* ------------------------------------------------------------------ sending, sleeping, waking */

static bool is_empty_and_waited_for(void)
{
    const tong_status status = kit_stat("a");
    return status.waiting + status.claimed == 0 && status.receivers_asleep == 1;
}

static int send_in_turns(void *arg)
{
    struct scene *scene = arg;
    be(scene, scene->other);
    kit_event_wait(&scene->ready);
    tong_mailbox *box = kit_open("a", TONG_SEND, NULL);
    for (uint64_t i = 0; i < 3 * ROUNDS; i += 3) {
        kit_until(is_empty_and_waited_for());
        kit_ok(kit_send_u64(box, i, 0));
        kit_ok(kit_send_u64(box, i + 1, KIT_PATIENCE));
        kit_ok(kit_send_u64(box, i + 2, KIT_PATIENCE));
    }
    return tong_close(box);
}

static int receive_in_turns(void *arg)
{
    struct scene *scene = arg;
    be(scene, scene->owner);
    const tong_options options = for_the_group(1);
    tong_mailbox *box = kit_open("a", TONG_RECEIVE | TONG_CREATE, &options);
    kit_event_set(&scene->ready);
    for (uint64_t i = 0; i < 3 * ROUNDS; i++) {
        tong_message message = TONG_MESSAGE_INIT;
        if (i % 3 == 1) {
            kit_until_blocked("a", 1);
        }
        kit_ok(tong_claim(box, KIT_PATIENCE, &message));
        kit_true(message.len == sizeof(i) && memcmp(message.data, &i, sizeof(i)) == 0);
        kit_equal(message.uid, scene->other);
        kit_true(message.verified & TONG_VERIFIED_UID);
        kit_equal(message.gid, GROUP);
        kit_ok(tong_done(box, &message));
    }
    kit_equal(kit_stat("a").owner_uid, scene->owner);
    kit_end(box, "a");
    return 0;
}

static void send_and_receive(struct scene *scene)
{
    struct kit_child receiver = kit_spawn(receive_in_turns, scene);
    struct kit_child sender = kit_spawn(send_in_turns, scene);
    kit_join(&sender);
    kit_join(&receiver);
    expect_nothing_left(scene);
}

static void each_user_sends_to_the_other(void)
{
    play(send_and_receive);
}

/* ------------------------------------------------------------------ deaths */

static int claim_and_wait(void *arg)
{
    struct scene *scene = arg;
    be(scene, scene->owner);
    tong_mailbox *box = kit_open("a", TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_equal(message.deliveries, 1);
    kit_event_set(&scene->ready);
    kit_await_death();
}

static int claim_again(void *arg)
{
    struct scene *scene = arg;
    be(scene, scene->owner);
    tong_mailbox *box = kit_open("a", TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_equal(message.deliveries, 2);
    kit_equal(message.uid, scene->other);
    kit_ok(tong_done(box, &message));
    return tong_close(box);
}

static int send_one(void *arg)
{
    struct scene *scene = arg;
    be(scene, scene->other);
    tong_mailbox *box = kit_open("a", TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 7, 0));
    return tong_close(box);
}

static void kill_a_receiver(struct scene *scene)
{
    run(scene, create);
    run(scene, send_one);
    struct kit_child first = kit_spawn(claim_and_wait, scene);
    kit_event_wait(&scene->ready);
    struct kit_child second = kit_spawn(claim_again, scene);
    kit_ok(setenv("TONG_DIR", scene->folder, 1));
    kit_until_asleep("a", 1);
    kit_kill(&first);
    kit_join(&second);
    run(scene, end);
    expect_nothing_left(scene);
}

static void a_killed_receivers_claim_goes_to_the_users_next(void)
{
    play(kill_a_receiver);
}

static int send_numbers(void *arg)
{
    struct scene *scene = arg;
    be(scene, scene->other);
    tong_mailbox *box = kit_open("a", TONG_SEND, NULL);
    while (atomic_load(&scene->stop) == 0) {
        const uint64_t number = atomic_load(&scene->promised);
        if (number + 1 == NUMBERS) {
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
    be(scene, scene->owner);
    tong_mailbox *box = kit_open("a", TONG_RECEIVE, NULL);
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
        memcpy(&number, message.data, sizeof(number));
        kit_true(message.len == sizeof(number) && number < NUMBERS);
        kit_equal(message.uid, scene->other);
        atomic_fetch_add(&scene->seen[number], 1);
        kit_ok(tong_done(box, &message));
    }
    return tong_close(box);
}

static void kill_both(struct scene *scene)
{
    struct kit_random random = kit_random_stream(scene->owner);
    const uint64_t kills = kit_count("TONG_TEST_KILLS", 20);
    run(scene, create);
    struct kit_child sender = kit_spawn(send_numbers, scene);
    struct kit_child receiver = kit_spawn(note_numbers, scene);
    for (uint64_t i = 0; i < kills; i++) {
        kit_random_moment(&random);
        struct kit_child *victim = i % 2 ? &sender : &receiver;
        kit_kill(victim);
        *victim = kit_spawn(i % 2 ? send_numbers : note_numbers, scene);
    }
    atomic_store(&scene->stop, 1);
    kit_join(&sender);
    atomic_store(&scene->stop, 2);
    kit_join(&receiver);
    const uint64_t n = atomic_load(&scene->promised);
    for (uint64_t i = 0; i < n; i++) {
        if (atomic_load(&scene->seen[i]) == 0) {
            kit_fail("number %llu of %llu was promised and lost", (unsigned long long)i,
                     (unsigned long long)n);
        }
    }
    kit_true(n > 0);
    run(scene, end);
    expect_nothing_left(scene);
}

static void nothing_promised_between_users_is_lost(void)
{
    play(kill_both);
}

/* ------------------------------------------------------------------ whose is what */

static int send_and_wait(void *arg)
{
    struct scene *scene = arg;
    be(scene, scene->other);
    tong_mailbox *box = kit_open("a", TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 7, 0));
    kit_event_set(&scene->ready);
    kit_await_death();
}

static int send_as_owner(void *arg)
{
    struct scene *scene = arg;
    be(scene, scene->owner);
    tong_mailbox *box = kit_open("a", TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 8, 0));
    return tong_close(box);
}

static unsigned n_links(const struct scene *scene, uid_t uid)
{
    unsigned n = 0;
    for (int i = 0; i < 8; i++) {
        char path[4200];
        struct stat status;
        snprintf(path, sizeof(path), "%s/a/link.%d", scene->folder, i);
        n += stat(path, &status) == 0 && status.st_uid == uid;
    }
    return n;
}

static int receive_three(void *arg)
{
    struct scene *scene = arg;
    be(scene, scene->owner);
    tong_mailbox *box = kit_open("a", TONG_RECEIVE, NULL);
    unsigned from_owner = 0;
    unsigned from_other = 0;
    for (int i = 0; i < 3; i++) {
        tong_message message = TONG_MESSAGE_INIT;
        kit_ok(tong_claim(box, 0, &message));
        from_owner += message.uid == scene->owner && memcmp(message.data, &(uint64_t){ 8 }, 8) == 0;
        from_other += message.uid == scene->other && memcmp(message.data, &(uint64_t){ 7 }, 8) == 0;
        kit_ok(tong_done(box, &message));
    }
    kit_equal(from_owner, 1);
    kit_equal(from_other, 2);
    return tong_close(box);
}

static void take_over(struct scene *scene)
{
    run(scene, create);
    struct kit_child first = kit_spawn(send_and_wait, scene);
    kit_event_wait(&scene->ready);
    kit_kill(&first);
    run(scene, send_as_owner);
    kit_equal(n_links(scene, scene->owner), 1);
    kit_equal(n_links(scene, scene->other), 1);
    run(scene, send_one);
    kit_equal(n_links(scene, scene->other), 1);
    run(scene, receive_three);
    run(scene, end);
    expect_nothing_left(scene);
}

static void a_dead_senders_link_goes_to_its_user_alone(void)
{
    play(take_over);
}

static int own_and_wait(void *arg)
{
    struct scene *scene = arg;
    be(scene, scene->owner);
    tong_options options = for_the_group(1);
    options.owner = TONG_PROCESS;
    kit_open("a", TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options);
    kit_event_set(&scene->ready);
    kit_await_death();
}

static int send_until_the_owner_dies(void *arg)
{
    struct scene *scene = arg;
    be(scene, scene->other);
    tong_mailbox *box = kit_open("a", TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_event_set(&scene->go);
    kit_gives(kit_send_u64(box, 2, KIT_PATIENCE), -EOWNERDEAD);
    kit_ok(tong_close(box));
    /* Its files are the dead one's user's; only they make room for another of the name. */
    tong_mailbox *none = NULL;
    kit_gives(tong_open("a", TONG_SEND, NULL, &none), -ENOENT);
    kit_gives(tong_open("a", TONG_SEND | TONG_CREATE, NULL, &none), -EACCES);
    return 0;
}

static void kill_the_owner(struct scene *scene)
{
    struct kit_child owner = kit_spawn(own_and_wait, scene);
    kit_event_wait(&scene->ready);
    struct kit_child sender = kit_spawn(send_until_the_owner_dies, scene);
    kit_event_wait(&scene->go);
    kit_ok(setenv("TONG_DIR", scene->folder, 1));
    kit_until_blocked("a", 1);
    kit_kill(&owner);
    kit_join(&sender);
    run(scene, create);
    run(scene, end);
    expect_nothing_left(scene);
}

static void a_dead_owners_name_is_its_users_at_once(void)
{
    play(kill_the_owner);
}

/* ------------------------------------------------------------------ who may not */

static int find_no_way_in(void *arg)
{
    struct scene *scene = arg;
    tong_mailbox *box = NULL;
    tong_region *region = NULL;
    tong_status status = TONG_STATUS_INIT;
    kit_become(65533, 65533);
    kit_ok(setenv("TONG_DIR", scene->folder, 1));
    kit_gives(tong_open("a", TONG_SEND, NULL, &box), -EACCES);
    kit_gives(tong_open("a", TONG_RECEIVE, NULL, &box), -EACCES);
    kit_gives(tong_open("b", TONG_SEND | TONG_CREATE, NULL, &box), -EACCES);
    kit_gives(tong_stat("a", &status), -EACCES);
    kit_gives(tong_remove("a"), -EACCES);
    kit_gives(tong_region_open("a", 64, TONG_WRITE | TONG_CREATE, NULL, &region), -EACCES);
    kit_true(box == NULL && region == NULL);
    return 0;
}

static int other_does_not_receive(void *arg)
{
    struct scene *scene = arg;
    tong_mailbox *box = NULL;
    be(scene, scene->other);
    kit_gives(tong_open("a", TONG_RECEIVE, NULL, &box), -EACCES);
    kit_gives(tong_remove("a"), -EPERM);
    kit_true(box == NULL);
    return 0;
}

static void try_from_outside(struct scene *scene)
{
    run(scene, create);
    run(scene, find_no_way_in);
    run(scene, other_does_not_receive);
    run(scene, send_one);
    run(scene, send_as_owner);
    run(scene, send_one);
    run(scene, receive_three);
    run(scene, end);
}

static void who_is_not_in_the_group_finds_no_way_in(void)
{
    play(try_from_outside);
}

/* A member takes the name of the bell file that the other's first send would make. */
static int take_the_bells_name(void *arg)
{
    struct scene *scene = arg;
    char path[4200];
    kit_become(65534, GROUP);
    snprintf(path, sizeof(path), "%s/a/bell.%u", scene->folder, (unsigned)scene->other);
    const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0640);
    kit_true(fd >= 0);
    kit_ok(ftruncate(fd, 4096));
    return close(fd);
}

static int receive_one(void *arg)
{
    struct scene *scene = arg;
    be(scene, scene->owner);
    tong_mailbox *box = kit_open("a", TONG_RECEIVE, NULL);
    kit_equal(kit_receive_u64(box), 7);
    return tong_close(box);
}

static void take_a_name(struct scene *scene)
{
    run(scene, create);
    run(scene, take_the_bells_name);
    struct kit_child receiver = kit_spawn(receive_one, scene);
    kit_ok(setenv("TONG_DIR", scene->folder, 1));
    kit_until_asleep("a", 1);
    run(scene, send_one);
    kit_join(&receiver);
    run(scene, end);
}

static void a_taken_name_of_a_bell_hinders_nobody(void)
{
    play(take_a_name);
}

/* ------------------------------------------------------------------ what the command shows */

static const char *command;

static _Noreturn void run_command(const char *const words[])
{
    execv(command, (char *const *)(uintptr_t)words);
    _exit(126);
}

/* Its output goes to the report of the child. */
static int show_message(void *arg)
{
    const struct scene *scene = arg;
    be(scene, scene->owner);
    run_command((const char *const[]){ "tong", "receive", "a", "--json", NULL });
}

static int show_mailbox(void *arg)
{
    const struct scene *scene = arg;
    be(scene, scene->other);
    run_command((const char *const[]){ "tong", "stat", "a", "--json", NULL });
}

static const char *output_of(struct scene *scene, kit_child_fn *function)
{
    static char text[8192];
    char path[4200];
    snprintf(path, sizeof(path), "%s", kit_path("output"));
    fflush(NULL);
    const int kept = dup(STDOUT_FILENO);
    const int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    kit_true(kept >= 0 && fd >= 0 && dup2(fd, STDOUT_FILENO) == STDOUT_FILENO);
    struct kit_child child = kit_spawn(function, scene);
    const int status = kit_join_status(&child);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    const ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    close(fd);
    unlink(path);
    text[n > 0 ? n : 0] = '\0';
    return status == 0 ? text : NULL;
}

static void expect_in(const char *text, const char *before, unsigned number, const char *after)
{
    char want[128];
    snprintf(want, sizeof(want), "%s%u%s", before, number, after);
    if (!strstr(text, want)) {
        kit_fail("not in the output: %s\n%s", want, text);
    }
}

static void show(struct scene *scene)
{
    run(scene, create);
    run(scene, send_one);
    const char *text = output_of(scene, show_mailbox);
    if (!text) {
        kit_skip("another user cannot run %s, or it has no --json", command);
    }
    expect_in(text, "\"owner_uid\":", scene->owner, ",");
    text = output_of(scene, show_message);
    kit_true(text != NULL);
    expect_in(text, "\"uid\":", scene->other, ",");
    kit_true(strstr(text, "\"uid_verified\":true") != NULL);
    run(scene, end);
}

static void the_command_shows_the_verified_user(void)
{
    command = getenv("TONG");
    if (!command) {
        kit_skip("TONG does not say where the command is");
    }
    play(show);
}

static const struct kit_test tests[] = {
    KIT_TEST(each_user_sends_to_the_other),
    KIT_TEST(a_killed_receivers_claim_goes_to_the_users_next),
    KIT_TEST(nothing_promised_between_users_is_lost),
    KIT_TEST(a_dead_senders_link_goes_to_its_user_alone),
    KIT_TEST(a_dead_owners_name_is_its_users_at_once),
    KIT_TEST(who_is_not_in_the_group_finds_no_way_in),
    KIT_TEST(a_taken_name_of_a_bell_hinders_nobody),
    KIT_TEST(the_command_shows_the_verified_user),
};

KIT_MAIN(tests)
