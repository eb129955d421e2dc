/*
 * The files: their permissions whatever the umask is, nothing that could be run, other versions refused,
 * and the whole folder taken away under its users' feet.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

/* Everything that makes a file: a bounded mailbox with a long link, claims, a region. */
struct all {
    tong_mailbox *box;
    tong_message message;
    tong_region *region;
};

static void use_all(struct all *all, uint32_t mode)
{
    tong_options options = kit_capacity(100);
    options.mode = mode;
    tong_region_options region_options = TONG_REGION_OPTIONS_INIT;
    region_options.mode = mode;
    char *data = calloc(1, 3 << 20);
    kit_true(data != NULL);
    all->box = kit_create("box", &options);
    kit_ok(kit_send_u64(all->box, 1, 0));
    kit_ok(tong_send(all->box, data, 3 << 20, 0));
    all->message = (tong_message)TONG_MESSAGE_INIT;
    kit_ok(tong_claim(all->box, 0, &all->message));
    kit_ok(
        tong_region_open("region", 10000, TONG_WRITE | TONG_CREATE, &region_options, &all->region));
    free(data);
}

static void end_all(struct all *all)
{
    kit_ok(tong_done(all->box, &all->message));
    kit_gives(tong_skip(all->box), 3 << 20);
    kit_end(all->box, "box");
    kit_ok(tong_region_close(all->region));
    kit_ok(tong_region_remove("region"));
}

/* ------------------------------------------------------------------ permissions */

static mode_t most_for_files;
static mode_t most_for_folders;
static unsigned n_looked_at;

static int look_at_mode(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    const mode_t most = type == FTW_D ? most_for_folders : most_for_files;
    const mode_t mode = st->st_mode & 07777;
    n_looked_at++;
    if ((mode & ~most) != 0 || (mode & 0600) != 0600) {
        kit_fail("%s has mode %o, at most %o is right", path, (unsigned)mode, (unsigned)most);
    }
    return 0;
}

static void look_at_modes(mode_t files, mode_t folders)
{
    most_for_files = files;
    most_for_folders = folders;
    n_looked_at = 0;
    kit_ok(nftw(getenv("TONG_DIR"), look_at_mode, 16, FTW_PHYS));
    kit_true(n_looked_at >= 8);
}

static void the_umask_changes_no_permission(void)
{
    const mode_t masks[] = { 0, 022, 027, 077 };
    for (size_t i = 0; i < 4; i++) {
        struct all all;
        const mode_t before = umask(masks[i]);
        use_all(&all, 0600);
        /* Nothing for others, and nothing that can be run, ever. */
        look_at_modes(0600, 0700);
        end_all(&all);
        (void)umask(before);
    }
}

/* In a folder for a group, which may write two files: the room of a bounded mailbox, and a region. */
static void a_groups_files_are_for_the_group_and_never_to_be_run(void)
{
    const mode_t masks[] = { 0, 077 };
    kit_ok(chmod(getenv("TONG_DIR"), 01770));
    for (size_t i = 0; i < 2; i++) {
        struct all all;
        struct stat st;
        const mode_t before = umask(masks[i]);
        use_all(&all, 0660);
        (void)umask(before);
        look_at_modes(0660, 07770);
        kit_ok(stat(kit_path("box/room"), &st));
        kit_equal(st.st_mode & 07777, 0660);
        kit_ok(stat(kit_path("+region"), &st));
        kit_equal(st.st_mode & 07777, 0660);
        kit_ok(stat(kit_path("box/box"), &st));
        kit_equal(st.st_mode & 07777, 0640);
        kit_ok(stat(kit_path("box/link.0"), &st));
        kit_equal(st.st_mode & 07777, 0640);
        end_all(&all);
    }
}

static void nothing_is_mapped_to_be_run(void)
{
    struct all all;
    char line[8192];
    unsigned n = 0;
    use_all(&all, 0600);
    FILE *maps = fopen("/proc/self/maps", "re");
    kit_true(maps != NULL);
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (strstr(line, getenv("TONG_DIR")) != NULL) {
            const char *rights = strchr(line, ' ') + 1;
            kit_true(rights[2] == '-' && rights[3] == 's');
            n++;
        }
    }
    (void)fclose(maps);
    kit_true(n >= 5);
    end_all(&all);
}

static int write_into_a_claim(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open("box", TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, 0, &message));
    kit_report("c", 1);
    *(volatile char *)(uintptr_t)message.data = 'x';
    return 0;
}

/* Another process's link is mapped to be read. */
static void a_receiver_cannot_write_what_it_claimed(void)
{
    char c;
    tong_mailbox *box = kit_create("box", NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    struct kit_child child = kit_spawn(write_into_a_claim, NULL);
    kit_read_report(&child, &c, 1);
    const int status = kit_join_status(&child);
    /* A sanitizer ends with a code of its own. */
    kit_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGSEGV : WEXITSTATUS(status) != 0);
    kit_equal(kit_receive_u64(box), 1);
    kit_end(box, "box");
}

/* ------------------------------------------------------------------ other versions */

/* Magic, then version, in every kind of file; see docs/format.md. */
static void another_version_is_refused_in_every_file(void)
{
    char bell[64];
    (void)snprintf(bell, sizeof(bell), "box/bell.%u", (unsigned)geteuid());
    const char *const names[] = { "box/box", "box/room", bell, "box/link.0" };
    for (size_t i = 0; i < 4; i++) {
        for (uint32_t version = 0; version < 3; version++) {
            const uint32_t versions[] = { 0, 77, UINT32_MAX };
            tong_mailbox *box = kit_create("box", NULL);
            kit_ok(kit_send_u64(box, 1, 0));
            kit_ok(tong_close(box));
            const int fd = open(kit_path(names[i]), O_WRONLY | O_CLOEXEC);
            kit_true(fd >= 0 && pwrite(fd, &versions[version], 4, 4) == 4);
            (void)close(fd);
            box = NULL;
            const int r = tong_open("box", TONG_SEND | TONG_RECEIVE, NULL, &box);
            if (i == 0) {
                kit_gives(r, -EPROTO);
            }
            /* Of the others some are not needed here, and a link is its sender's: whoever has an old
             * library is not heard, and hinders nobody. */
            kit_true(r == 0 || r == -EPROTO);
            if (r == 0) {
                kit_ok(kit_send_u64(box, 2, 0));
                const uint64_t value = kit_receive_u64(box);
                kit_true(value == 2 || (i != 3 && value == 1));
                kit_ok(tong_close(box));
            }
            kit_ok(tong_remove("box"));
        }
    }
    tong_region *region = NULL;
    kit_ok(tong_region_open("region", 1, TONG_WRITE | TONG_CREATE, NULL, &region));
    kit_ok(tong_region_close(region));
    const uint32_t version = 77;
    const int fd = open(kit_path("+region"), O_WRONLY | O_CLOEXEC);
    kit_true(fd >= 0 && pwrite(fd, &version, 4, 4) == 4);
    (void)close(fd);
    kit_gives(tong_region_open("region", 1, TONG_WRITE, NULL, &region), -EPROTO);
    kit_ok(tong_region_remove("region"));
}

/* ------------------------------------------------------------------ all of it is taken away */

static void take_all_away(void)
{
    char command[4200];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'/* '%s'/.[a-z]*", getenv("TONG_DIR"),
                   getenv("TONG_DIR"));
    kit_equal(system(command), 0);
}

static int echo(void *arg)
{
    (void)arg;
    tong_mailbox *in = kit_open("there", TONG_RECEIVE, NULL);
    tong_mailbox *out = kit_open("back", TONG_SEND, NULL);
    kit_ok(kit_send_u64(out, 0, 0));
    for (uint64_t i = 1; i <= 2000; i++) {
        kit_equal(kit_receive_u64(in), i);
        kit_ok(kit_send_u64(out, i, KIT_PATIENCE));
    }
    kit_ok(tong_close(in));
    return tong_close(out);
}

static void play(tong_mailbox *out, tong_mailbox *in, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i <= to; i++) {
        kit_ok(kit_send_u64(out, i, KIT_PATIENCE));
        kit_equal(kit_receive_u64(in), i);
    }
}

/* As at a log-out with RemoveIPC, by a clean-up of /dev/shm, or by a mistyped command: who has it open
 * goes on, who comes begins anew, and the two do not meet. */
static void who_has_it_open_goes_on_when_the_folder_is_emptied(void)
{
    tong_mailbox *out = kit_create("there", NULL);
    tong_mailbox *in = kit_create("back", NULL);
    struct kit_child child = kit_spawn(echo, NULL);
    kit_equal(kit_receive_u64(in), 0);
    play(out, in, 1, 1000); /* the links have the segments they work in */
    take_all_away();
    play(out, in, 1001, 1500);
    tong_status status = TONG_STATUS_INIT;
    kit_gives(tong_stat("there", &status), -ENOENT);
    tong_mailbox *again = kit_create("there", NULL);
    kit_ok(kit_send_u64(again, 12345, 0));
    play(out, in, 1501, 2000);
    kit_equal(kit_receive_u64(again), 12345);
    kit_join(&child);
    kit_ok(tong_close(out));
    kit_ok(tong_close(in));
    kit_end(again, "there");
}

/* A handle that has no link yet cannot get one there: the mailbox is gone for it. */
static void a_first_send_after_that_is_eidrm(void)
{
    tong_mailbox *in = kit_create("gone", NULL);
    tong_mailbox *out = kit_open("gone", TONG_SEND, NULL);
    take_all_away();
    kit_gives(kit_send_u64(out, 1, 0), -EIDRM);
    kit_is_empty(in);
    kit_ok(tong_close(out));
    kit_ok(tong_close(in));
    in = kit_create("gone", NULL);
    kit_end(in, "gone");
}

/* ------------------------------------------------------------------ who lives there still */

static int claim_and_wait(void *arg)
{
    (void)arg;
    tong_mailbox *in = kit_open("left", TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(in, 0, &message));
    kit_report("c", 1);
    kit_await_death();
}

/* What was looked at before is seen to die; a claim that needs a new page of the box cannot be. */
static void a_death_after_that_gives_its_claims_back(void)
{
    char c;
    uint64_t value = 0;
    tong_mailbox *box = kit_create("left", NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    struct kit_child child = kit_spawn(claim_and_wait, NULL);
    kit_read_report(&child, &c, 1);
    kit_is_empty(box); /* it knows the other now */
    take_all_away();
    kit_is_empty(box);
    kit_kill(&child);
    tong_message message = TONG_MESSAGE_INIT;
    kit_gives(tong_claim(box, KIT_PATIENCE, &message), -EIDRM);
    kit_gives(tong_receive(box, &value, sizeof(value), KIT_PATIENCE), 8);
    kit_equal(value, 1);
    kit_ok(tong_close(box));
}

/* A record that cannot be found any more is no proof of a death. */
static void who_was_not_looked_at_before_is_taken_for_alive(void)
{
    char c;
    tong_mailbox *box = kit_create("left", NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_ok(kit_send_u64(box, 2, 0));
    kit_equal(kit_receive_u64(box), 1);
    struct kit_child child = kit_spawn(claim_and_wait, NULL);
    kit_read_report(&child, &c, 1);
    take_all_away();
    for (int i = 0; i < 200; i++) {
        kit_is_empty(box);
    }
    kit_ok(kit_send_u64(box, 3, 0));
    kit_equal(kit_receive_u64(box), 3);
    kit_kill(&child);
    kit_ok(tong_close(box));
}

static const struct kit_test tests[] = {
    KIT_TEST(the_umask_changes_no_permission),
    KIT_TEST(a_groups_files_are_for_the_group_and_never_to_be_run),
    KIT_TEST(nothing_is_mapped_to_be_run),
    KIT_TEST(a_receiver_cannot_write_what_it_claimed),
    KIT_TEST(another_version_is_refused_in_every_file),
    KIT_TEST(who_has_it_open_goes_on_when_the_folder_is_emptied),
    KIT_TEST(a_first_send_after_that_is_eidrm),
    KIT_TEST(a_death_after_that_gives_its_claims_back),
    KIT_TEST(who_was_not_looked_at_before_is_taken_for_alive),
};

KIT_MAIN(tests)
