/*
 * Other users: a program that runs with another's rights does not look where its caller wants, and a name
 * that a dead user's mailbox or region keeps is refused with the reason.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

enum {
    GROUP = 65530
};

/* ------------------------------------------------------------------ set-uid */

#define SAY_FOLDER "--folder"

/* What this program does when it is run as a set-uid one. */
static int say_folder(void)
{
    char folder[PATH_MAX];
    if (tong_folder(folder, sizeof(folder)) < 0) {
        return 1;
    }
    (void)printf("%lu %s\n", getauxval(AT_SECURE), folder);
    (void)fflush(NULL);
    _exit(0); /* a sanitizer cannot look at a set-uid program */
}

/* A copy of this program with Ann's set-uid bit, where such a bit counts. */
static void make_program(char *ret_path, size_t size)
{
    struct statvfs fs;
    struct stat st;
    kit_true(snprintf(ret_path, size, "/tmp/tong-test-%d", (int)getpid()) < (int)size);
    if (statvfs("/tmp", &fs) != 0 || (fs.f_flag & (ST_NOSUID | ST_NOEXEC)) != 0) {
        kit_skip("/tmp is mounted nosuid or noexec");
    }
    const int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const int to = open(ret_path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0700);
    kit_true(from >= 0 && to >= 0 && fstat(from, &st) == 0);
    off_t at = 0;
    while (at < st.st_size) {
        kit_true(sendfile(to, from, &at, (size_t)(st.st_size - at)) > 0);
    }
    kit_ok(fchown(to, KIT_ANN, KIT_ANN));
    kit_ok(fchmod(to, 04755));
    (void)close(from);
    (void)close(to);
}

static int run_as_bob(void *arg)
{
    const char *const *words = arg;
    kit_become(KIT_BOB, KIT_BOB);
    const int fd = open(words[1], O_WRONLY | O_CLOEXEC);
    kit_true(fd >= 0 && dup2(fd, 1) == 1);
    kit_ok(setenv("TONG_DIR", "/dev/shm/of-bobs-choice", 1));
    (void)execl(words[0], words[0], SAY_FOLDER, NULL);
    return 1;
}

static void a_set_uid_program_ignores_the_variable(void)
{
    kit_needs_root();
    char program[PATH_MAX];
    char output[PATH_MAX + 8];
    char line[PATH_MAX] = "";
    char wanted[PATH_MAX];
    make_program(program, sizeof(program));
    (void)snprintf(output, sizeof(output), "%s.out", program);
    const int fd = open(output, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0600);
    kit_true(fd >= 0);
    kit_ok(chown(output, KIT_BOB, KIT_BOB));
    const char *words[] = { program, output };
    struct kit_child child = kit_spawn(run_as_bob, words);
    const int status = kit_join_status(&child);
    const ssize_t n = read(fd, line, sizeof(line) - 1);
    (void)close(fd);
    (void)unlink(program);
    (void)unlink(output);
    kit_true(WIFEXITED(status) && WEXITSTATUS(status) == 0 && n > 0);
    (void)snprintf(wanted, sizeof(wanted), "1 /dev/shm/tong-%u\n", (unsigned)KIT_ANN);
    if (strcmp(line, wanted) != 0) {
        kit_fail("a set-uid program uses %s", line);
    }
}

/* ------------------------------------------------------------------ a dead user's names */

static int ann_owns_and_dies(void *arg)
{
    kit_become(KIT_ANN, GROUP);
    kit_ok(setenv("TONG_DIR", arg, 1));
    tong_options options = kit_options();
    options.owner = TONG_PROCESS;
    options.mode = 0660;
    (void)kit_open("common", TONG_RECEIVE | TONG_CREATE, &options);
    tong_region_options region_options = TONG_REGION_OPTIONS_INIT;
    region_options.owner = TONG_PROCESS;
    region_options.mode = 0660;
    tong_region *region = NULL;
    kit_ok(tong_region_open("common", 100, TONG_WRITE | TONG_CREATE, &region_options, &region));
    kit_report("o", 1);
    kit_await_death();
}

static int bob_wants_the_names(void *arg)
{
    kit_become(KIT_BOB, GROUP);
    kit_ok(setenv("TONG_DIR", arg, 1));
    tong_mailbox *box = NULL;
    tong_region *region = NULL;
    kit_gives(tong_open("common", TONG_SEND, NULL, &box), -ENOENT);
    kit_gives(tong_open("common", TONG_SEND | TONG_CREATE, NULL, &box), -EACCES);
    kit_gives(tong_region_open("common", 0, TONG_WRITE, NULL, &region), -ENOENT);
    kit_gives(tong_region_open("common", 100, TONG_WRITE | TONG_CREATE, NULL, &region), -EACCES);
    kit_true(box == NULL && region == NULL);
    return 0;
}

static int ann_comes_back(void *arg)
{
    kit_become(KIT_ANN, GROUP);
    kit_ok(setenv("TONG_DIR", arg, 1));
    tong_mailbox *box = kit_create("common", NULL);
    kit_end(box, "common");
    tong_region *region = NULL;
    kit_ok(tong_region_open("common", 1, TONG_WRITE | TONG_CREATE, NULL, &region));
    kit_ok(tong_region_close(region));
    return tong_region_remove("common");
}

/* In a sticky folder the files go with the next visit of their own user; until then nobody else can
 * have the name, and is told so. */
static void the_name_of_a_dead_users_mailbox_is_refused(void)
{
    kit_needs_root();
    char c;
    const char *folder = kit_make_folder(0, GROUP, 03770);
    struct kit_child ann = kit_spawn(ann_owns_and_dies, (void *)folder);
    kit_read_report(&ann, &c, 1);
    kit_kill(&ann);
    struct kit_child bob = kit_spawn(bob_wants_the_names, (void *)folder);
    kit_join(&bob);
    struct kit_child again = kit_spawn(ann_comes_back, (void *)folder);
    kit_join(&again);
    kit_remove_folder(folder);
}

static const struct kit_test tests[] = {
    KIT_TEST(a_set_uid_program_ignores_the_variable),
    KIT_TEST(the_name_of_a_dead_users_mailbox_is_refused),
};

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], SAY_FOLDER) == 0) {
        return say_folder();
    }
    return kit_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
