/*
 * A process and its container: nothing is shared but the folder of mailboxes.
 *
 * "Container" is what the kernel makes of one: mount, PID, IPC, network, UTS and cgroup namespaces of
 * its own, another root with nothing in it but /proc, a /dev/shm of 64 MiB and what is bound into it. With a
 * user namespace, too, where the numbers of users differ.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "home.h"
#include "kit.h"

enum {
    ALL_BUT_USERS =
        CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWCGROUP,
    MIB = 1 << 20,
    ROUNDS = 50,
    GROUP = 65530
};

static const struct kit_home container = { .namespaces = ALL_BUT_USERS };
/* As docker with --userns-remap or podman of an ordinary user have it: root there is ann outside. */
static const struct kit_home rootless = { .namespaces = ALL_BUT_USERS | CLONE_NEWUSER,
                                          .become = KIT_ANN,
                                          .inside = 0 };

/* Root by the same number, and nobody else has one. */
static const struct kit_home only_root = { .namespaces = ALL_BUT_USERS | CLONE_NEWUSER,
                                           .group = GROUP };

struct scene {
    const char *folder;
    kit_event ready;
    kit_event go;
    uid_t expected; /* the sender's, as its receiver sees it */
    _Atomic uint32_t uid;
    _Atomic uint64_t n;
};

/* In the process that lives there: the folder is /mail, and there is nothing else. */
static void enclose(const struct scene *scene)
{
    const char *pairs[] = { scene->folder, "/mail", NULL };
    kit_home_enclose(64 * MIB, pairs);
    kit_ok(setenv("TONG_DIR", "/mail", 1));
    kit_equal(getpid(), 1);
    kit_true(strcmp(kit_entries("/"), "dev mail proc") == 0);
    kit_true(strcmp(kit_entries("/dev/shm"), "") == 0);
}

static const char *made; /* also here: what shared memory alone points at looks like a leak */

static void make_folder(struct scene *scene, uid_t uid, gid_t gid, mode_t mode)
{
    made = kit_make_folder(uid, gid, mode);
    scene->folder = made;
}

static struct scene *new_scene(void)
{
    struct scene *scene = kit_shared(sizeof(*scene));
    scene->folder = getenv("TONG_DIR");
    return scene;
}

/* ------------------------------------------------------------------ there and back */

static bool is_waited_for(const char *name)
{
    const tong_status status = kit_stat(name);
    return status.waiting + status.claimed == 0 && status.receivers_asleep == 1;
}

static void ask(tong_mailbox *questions, tong_mailbox *answers)
{
    for (uint64_t i = 0; i < ROUNDS; i++) {
        kit_until(is_waited_for("there"));
        kit_ok(kit_send_u64(questions, i, 0));
        kit_equal(kit_receive_u64(answers), i + 1000);
    }
}

static void answer(tong_mailbox *questions, tong_mailbox *answers, struct scene *scene)
{
    for (uint64_t i = 0; i < ROUNDS; i++) {
        tong_message message = TONG_MESSAGE_INIT;
        kit_ok(tong_claim(questions, KIT_PATIENCE, &message));
        kit_true(message.len == sizeof(i) && memcmp(message.data, &i, sizeof(i)) == 0);
        kit_equal(message.uid, scene->expected);
        kit_true(message.verified & TONG_VERIFIED_UID);
        kit_ok(tong_done(questions, &message));
        kit_until(is_waited_for("back"));
        kit_ok(kit_send_u64(answers, i + 1000, 0));
    }
}

static int answer_inside(void *arg)
{
    struct scene *scene = arg;
    enclose(scene);
    tong_mailbox *questions = kit_open("there", TONG_RECEIVE, NULL);
    tong_mailbox *answers = kit_open("back", TONG_SEND, NULL);
    answer(questions, answers, scene);
    kit_ok(tong_close(questions));
    return tong_close(answers);
}

static int ask_inside(void *arg)
{
    struct scene *scene = arg;
    enclose(scene);
    tong_mailbox *questions = kit_open("there", TONG_SEND, NULL);
    tong_mailbox *answers = kit_open("back", TONG_RECEIVE, NULL);
    ask(questions, answers);
    kit_ok(tong_close(questions));
    return tong_close(answers);
}

static void a_container_that_shares_the_folder_alone_sends_and_receives(void)
{
    kit_needs_home(&container);
    struct scene *scene = new_scene();
    scene->expected = geteuid();
    tong_mailbox *questions = kit_open("there", TONG_SEND | TONG_CREATE, NULL);
    tong_mailbox *answers = kit_open("back", TONG_RECEIVE | TONG_CREATE, NULL);
    struct kit_resident inside = kit_home_spawn(&container, answer_inside, scene);
    ask(questions, answers);
    kit_home_join(&inside);
    kit_end(questions, "there");
    kit_end(answers, "back");
}

static void two_containers_that_share_a_folder_send_and_receive(void)
{
    kit_needs_home(&container);
    struct scene *scene = new_scene();
    scene->expected = geteuid();
    tong_mailbox *questions = kit_open("there", TONG_SEND | TONG_CREATE, NULL);
    tong_mailbox *answers = kit_open("back", TONG_SEND | TONG_CREATE, NULL);
    struct kit_resident one = kit_home_spawn(&container, answer_inside, scene);
    struct kit_resident other = kit_home_spawn(&container, ask_inside, scene);
    kit_home_join(&other);
    kit_home_join(&one);
    kit_end(questions, "there");
    kit_end(answers, "back");
}

/* ------------------------------------------------------------------ deaths */

static int claim_inside(void *arg)
{
    struct scene *scene = arg;
    enclose(scene);
    /* Not the first process of its container, but one that ends with it. */
    const pid_t pid = fork();
    if (pid != 0) {
        kit_true(pid > 0);
        kit_await_death();
    }
    tong_mailbox *box = kit_open("there", TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_event_set(&scene->ready);
    kit_await_death();
}

static int claim_outside(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open("there", TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_equal(message.deliveries, 2);
    kit_ok(tong_done(box, &message));
    return tong_close(box);
}

static void a_container_that_is_killed_gives_back_what_it_had(void)
{
    kit_needs_home(&container);
    struct scene *scene = new_scene();
    tong_mailbox *box = kit_open("there", TONG_SEND | TONG_CREATE, NULL);
    kit_ok(kit_send_u64(box, 7, 0));
    struct kit_resident inside = kit_home_spawn(&container, claim_inside, scene);
    kit_event_wait(&scene->ready);
    struct kit_child outside = kit_spawn(claim_outside, NULL);
    kit_until_asleep("there", 1);
    kit_home_kill(&inside);
    kit_join(&outside);
    kit_end(box, "there");
}

static int own_outside(void *arg)
{
    struct scene *scene = arg;
    tong_options options = kit_capacity(1);
    options.owner = TONG_PROCESS;
    kit_open("there", TONG_RECEIVE | TONG_CREATE, &options);
    kit_event_set(&scene->ready);
    kit_await_death();
}

static int send_inside_until_the_owner_dies(void *arg)
{
    enclose(arg);
    tong_mailbox *box = kit_open("there", TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_gives(kit_send_u64(box, 2, KIT_PATIENCE), -EOWNERDEAD);
    return tong_close(box);
}

static void a_death_outside_is_noticed_inside(void)
{
    kit_needs_home(&container);
    struct scene *scene = new_scene();
    struct kit_child owner = kit_spawn(own_outside, scene);
    kit_event_wait(&scene->ready);
    struct kit_resident inside =
        kit_home_spawn(&container, send_inside_until_the_owner_dies, scene);
    kit_until_blocked("there", 1);
    kit_kill(&owner);
    kit_home_join(&inside);
}

/* ------------------------------------------------------------------ memory and folders */

/* The default: no TONG_DIR, a /dev/shm of 64 MiB that two processes of the container share. */
static int fill_the_memory(void *arg)
{
    static char data[MIB];
    struct scene *scene = arg;
    enclose(scene);
    kit_ok(unsetenv("TONG_DIR"));
    tong_options options = kit_options();
    options.max_bytes = 1024 * (uint64_t)MIB;
    tong_mailbox *box = kit_open("there", TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options);
    uint64_t n = 0;
    int r = 0;
    for (; r == 0; n++) {
        kit_payload_write(data, sizeof(data), 1, n);
        r = tong_send(box, data, sizeof(data), 0);
    }
    n--;
    kit_gives(r, -ENOSPC);
    kit_true(n >= 32);
    for (uint64_t i = 0; i < n; i++) {
        kit_equal(tong_receive(box, data, sizeof(data), 0), sizeof(data));
        kit_true(kit_payload_is(data, sizeof(data), 1, i));
    }
    kit_is_empty(box);
    kit_end(box, "there");
    return 0;
}

static void the_64_mib_of_a_container_are_enough_and_an_error_when_full(void)
{
    kit_needs_home(&container);
    struct kit_resident inside = kit_home_spawn(&container, fill_the_memory, new_scene());
    kit_home_join(&inside);
}

/* What Kubernetes mounts for a memory volume is writable for all: no folder for mailboxes, but one may be made
 * in it. */
static void a_volume_that_all_may_write_holds_a_folder_of_ones_own(void)
{
    const char *volume = kit_make_folder(geteuid(), getegid(), 0777);
    char folder[4200];
    tong_mailbox *box = NULL;
    kit_ok(setenv("TONG_DIR", volume, 1));
    kit_gives(tong_open("a", TONG_SEND | TONG_CREATE, NULL, &box), -EACCES);
    snprintf(folder, sizeof(folder), "%s/tong", volume);
    kit_ok(setenv("TONG_DIR", folder, 1));
    box = kit_open("a", TONG_SEND | TONG_RECEIVE | TONG_CREATE, NULL);
    kit_ok(kit_send_u64(box, 3, 0));
    kit_equal(kit_receive_u64(box), 3);
    kit_end(box, "a");
    struct stat status;
    kit_ok(stat(folder, &status));
    kit_equal(status.st_mode & 07777, 0700);
    kit_remove_folder(volume);
}

/* ------------------------------------------------------------------ other numbers of users */

static int ask_as_ann(void *arg)
{
    struct scene *scene = arg;
    kit_become(KIT_ANN, KIT_ANN);
    kit_ok(setenv("TONG_DIR", scene->folder, 1));
    tong_mailbox *questions = kit_open("there", TONG_SEND | TONG_CREATE, NULL);
    tong_mailbox *answers = kit_open("back", TONG_RECEIVE | TONG_CREATE, NULL);
    kit_event_set(&scene->ready);
    ask(questions, answers);
    kit_equal(kit_stat("there").owner_uid, KIT_ANN);
    kit_event_wait(&scene->go);
    kit_end(questions, "there");
    kit_end(answers, "back");
    return 0;
}

static int answer_as_root_inside(void *arg)
{
    struct scene *scene = arg;
    enclose(scene);
    kit_equal(geteuid(), 0);
    tong_mailbox *questions = kit_open("there", TONG_RECEIVE, NULL);
    tong_mailbox *answers = kit_open("back", TONG_SEND, NULL);
    kit_equal(kit_stat("there").owner_uid, 0);
    answer(questions, answers, scene);
    kit_ok(tong_close(questions));
    return tong_close(answers);
}

/* The same user, by two numbers: each sees the other by the number it has itself. */
static void a_user_of_another_number_inside_is_the_same_user(void)
{
    kit_needs_root();
    kit_needs_home(&rootless);
    struct scene *scene = new_scene();
    make_folder(scene, KIT_ANN, KIT_ANN, 0700);
    scene->expected = 0;
    struct kit_child outside = kit_spawn(ask_as_ann, scene);
    kit_event_wait(&scene->ready);
    struct kit_resident inside = kit_home_spawn(&rootless, answer_as_root_inside, scene);
    kit_home_join(&inside);
    kit_event_set(&scene->go);
    kit_join(&outside);
    kit_remove_folder(made);
}

static int create_inside_and_receive(void *arg)
{
    struct scene *scene = arg;
    enclose(scene);
    tong_mailbox *box = kit_open("there", TONG_RECEIVE | TONG_CREATE, NULL);
    kit_event_set(&scene->ready);
    kit_equal(kit_receive_u64(box), 5);
    kit_end(box, "there");
    return 0;
}

static int send_as_ann(void *arg)
{
    struct scene *scene = arg;
    kit_become(KIT_ANN, KIT_ANN);
    kit_ok(setenv("TONG_DIR", scene->folder, 1));
    tong_mailbox *box = kit_open("there", TONG_SEND, NULL);
    kit_until_asleep("there", 1);
    kit_ok(kit_send_u64(box, 5, 0));
    return tong_close(box);
}

static void a_mailbox_made_inside_is_the_same_users_outside(void)
{
    kit_needs_root();
    kit_needs_home(&rootless);
    struct scene *scene = new_scene();
    make_folder(scene, KIT_ANN, KIT_ANN, 0700);
    struct kit_resident inside = kit_home_spawn(&rootless, create_inside_and_receive, scene);
    kit_event_wait(&scene->ready);
    struct kit_child outside = kit_spawn(send_as_ann, scene);
    kit_join(&outside);
    kit_home_join(&inside);
    kit_remove_folder(made);
}

static uid_t number_of_nobody(void)
{
    FILE *file = fopen("/proc/sys/kernel/overflowuid", "re");
    unsigned number = 65534;
    if (file) {
        kit_equal(fscanf(file, "%u", &number), 1);
        fclose(file);
    }
    return number;
}

static int send_as_bob(void *arg)
{
    struct scene *scene = arg;
    kit_become(KIT_BOB, GROUP);
    kit_ok(setenv("TONG_DIR", scene->folder, 1));
    tong_mailbox *box = kit_open("there", TONG_SEND, NULL);
    kit_until_asleep("there", 1);
    kit_ok(kit_send_u64(box, 5, 0));
    kit_event_wait(&scene->go);
    return tong_close(box);
}

static int see_who_sends(void *arg)
{
    struct scene *scene = arg;
    enclose(scene);
    tong_mailbox *box = kit_open("there", TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_event_set(&scene->ready);
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_true(message.verified & TONG_VERIFIED_UID);
    atomic_store(&scene->uid, message.uid);
    kit_ok(tong_done(box, &message));
    kit_event_set(&scene->go);
    return tong_close(box);
}

/* Who has no number inside is shown by the number that nobody has. */
static void a_user_without_a_number_inside_is_shown_as_nobody(void)
{
    kit_needs_root();
    kit_needs_home(&only_root);
    struct scene *scene = new_scene();
    make_folder(scene, 0, GROUP, 03770);
    kit_ok(setenv("TONG_DIR", scene->folder, 1));
    tong_options options = kit_options();
    options.mode = 0660;
    tong_mailbox *box = kit_open("there", TONG_SEND | TONG_CREATE, &options);
    struct kit_resident inside = kit_home_spawn(&only_root, see_who_sends, scene);
    kit_event_wait(&scene->ready);
    struct kit_child sender = kit_spawn(send_as_bob, scene);
    kit_join(&sender);
    kit_home_join(&inside);
    kit_equal(atomic_load(&scene->uid), number_of_nobody());
    kit_end(box, "there");
    kit_remove_folder(made);
}

static int be_refused_inside(void *arg)
{
    tong_mailbox *box = NULL;
    enclose(arg);
    kit_gives(tong_open("there", TONG_SEND | TONG_CREATE, NULL, &box), -EACCES);
    return 0;
}

static void a_folder_of_a_user_without_a_number_inside_is_refused(void)
{
    static const mode_t modes[] = { 0755, 03770 };
    kit_needs_root();
    kit_needs_home(&rootless);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct scene *scene = new_scene();
        make_folder(scene, 0, KIT_ANN, modes[i]);
        struct kit_resident inside = kit_home_spawn(&rootless, be_refused_inside, scene);
        kit_home_join(&inside);
        kit_remove_folder(made);
    }
}

/* ------------------------------------------------------------------ the command */

static const char *command;

static int run_command_inside(void *arg)
{
    struct scene *scene = arg;
    const char *pairs[] = { scene->folder, "/mail",  command, "/tong", "/usr/lib", "/usr/lib",
                            "/lib64",      "/lib64", "/lib",  "/lib",  NULL };
    kit_home_enclose(64 * MIB, pairs);
    kit_ok(setenv("TONG_DIR", "/mail", 1));
    execl("/tong", "tong", "send", "there", "from inside", (char *)NULL);
    kit_fail("exec /tong: %s", strerror(errno));
}

static void the_command_runs_in_a_container(void)
{
    command = getenv("TONG");
    if (!command) {
        kit_skip("TONG does not say where the command is");
    }
    kit_needs_home(&container);
    struct scene *scene = new_scene();
    tong_mailbox *box = kit_open("there", TONG_RECEIVE | TONG_CREATE, NULL);
    struct kit_resident inside = kit_home_spawn(&container, run_command_inside, scene);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_true(message.len == 11 && memcmp(message.data, "from inside", 11) == 0);
    kit_equal(message.uid, geteuid());
    kit_equal(message.pid, 1);
    kit_ok(tong_done(box, &message));
    kit_home_join(&inside);
    kit_end(box, "there");
}

static const struct kit_test tests[] = {
    KIT_TEST(a_container_that_shares_the_folder_alone_sends_and_receives),
    KIT_TEST(two_containers_that_share_a_folder_send_and_receive),
    KIT_TEST(a_container_that_is_killed_gives_back_what_it_had),
    KIT_TEST(a_death_outside_is_noticed_inside),
    KIT_TEST(the_64_mib_of_a_container_are_enough_and_an_error_when_full),
    KIT_TEST(a_volume_that_all_may_write_holds_a_folder_of_ones_own),
    KIT_TEST(a_user_of_another_number_inside_is_the_same_user),
    KIT_TEST(a_mailbox_made_inside_is_the_same_users_outside),
    KIT_TEST(a_user_without_a_number_inside_is_shown_as_nobody),
    KIT_TEST(a_folder_of_a_user_without_a_number_inside_is_refused),
    KIT_TEST(the_command_runs_in_a_container),
};

KIT_MAIN(tests)
