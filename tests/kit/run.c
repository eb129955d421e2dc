/*
 * Running tests: each in a process group of its own, below a runner that adopts what the test
 * leaves behind.
 *
 *   runner ── test process ── children of the test
 *     │          │ setpgid, a folder of its own in TONG_DIR, the test, then the look for leaks
 *     │          └ exit code 0 passed, 77 skipped, anything else failed
 *     └ waits for the pidfd until the time limit, then kills the group by its id, reaps it, removes
 *       the folder
 *
 * cmocka runs the runner's side and counts. In the test process its way of failing, longjmp, would
 * go back into the runner's copy of the stack: CMOCKA_TEST_ABORT makes it abort instead, in any
 * process and thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"
#include "kit_private.h"

enum {
    SKIPPED = 77,
    DEFAULT_SECONDS = 60,
    MAX_DESCRIPTORS = 8192
};

const char *kit_test_name = "";
pid_t kit_test_process;
static unsigned n_run;
static unsigned n_skipped;

_Noreturn void kit_skip(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "skipped: %s: ", kit_test_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    if (getpid() != kit_test_process) {
        kit_fail("only the process of the test may skip it");
    }
    fflush(NULL);
    _exit(SKIPPED);
}

_Noreturn void kit_fail_at(const char *file, int line, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(stderr, "%s:%d: %s (process %d): %s\n", file, line, kit_test_name, (int)getpid(), text);
    fflush(NULL);
    abort();
}

/* ------------------------------------------------------------------ the look for leaks */

struct descriptors {
    bool open[MAX_DESCRIPTORS];
};

static void look_at_descriptors(struct descriptors *ret)
{
    memset(ret, 0, sizeof(*ret));
    DIR *folder = opendir("/proc/self/fd");
    if (!folder) {
        return;
    }
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        const int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd != dirfd(folder) && fd < MAX_DESCRIPTORS) {
            ret->open[fd] = true;
        }
    }
    closedir(folder);
}

static void describe(int fd, char *ret_text, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(path, ret_text, size - 1);
    ret_text[n > 0 ? n : 0] = '\0';
}

/* tong keeps one descriptor a process while it runs, for its record of life; no other may stay. */
static unsigned leaked_descriptors(const struct descriptors *before)
{
    static struct descriptors now;
    look_at_descriptors(&now);
    unsigned kept = 0;
    unsigned leaked = 0;
    for (int fd = 0; fd < MAX_DESCRIPTORS; fd++) {
        if (!now.open[fd] || before->open[fd]) {
            continue;
        }
        char text[PATH_MAX];
        describe(fd, text, sizeof(text));
        if (strncmp(text, kit_folder, strlen(kit_folder)) == 0 && kept == 0) {
            kept++;
            continue;
        }
        leaked++;
        fprintf(stderr, "leak: %s: descriptor %d is open: %s\n", kit_test_name, fd, text);
    }
    return leaked;
}

/* As with descriptors: the record of life may stay mapped, one file in all. */
static unsigned leaked_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps) {
        return 0;
    }
    char line[PATH_MAX + 128];
    char kept[PATH_MAX] = "";
    unsigned leaked = 0;
    while (fgets(line, sizeof(line), maps)) {
        line[strcspn(line, "\n")] = '\0';
        const char *path = strstr(line, kit_folder);
        if (!path || strcmp(path, kept) == 0) {
            continue;
        }
        if (kept[0] == '\0') {
            snprintf(kept, sizeof(kept), "%s", path);
            continue;
        }
        leaked++;
        fprintf(stderr, "leak: %s: mapped: %s\n", kit_test_name, path);
    }
    fclose(maps);
    return leaked;
}

static int count_name(const tong_status *status, int error, void *arg)
{
    fprintf(stderr, "leak: %s: mailbox %s is there (%d)\n", kit_test_name, status->name, error);
    ++*(unsigned *)arg;
    return 0;
}

static int count_region(const tong_region_status *status, int error, void *arg)
{
    fprintf(stderr, "leak: %s: region %s is there (%d)\n", kit_test_name, status->name, error);
    ++*(unsigned *)arg;
    return 0;
}

static unsigned leaked_names(void)
{
    unsigned n = 0;
    kit_ok(tong_list(count_name, &n));
    kit_ok(tong_region_list(count_region, &n));
    return n;
}

static unsigned leaked_children(void)
{
    const pid_t pid = waitpid(-1, NULL, WNOHANG);
    if (pid < 0) {
        return 0;
    }
    fprintf(stderr, "leak: %s: a child runs or was not waited for\n", kit_test_name);
    return 1;
}

/* ------------------------------------------------------------------ the test's own process */

static void default_signals(void)
{
    /* cmocka's handlers of these longjmp into the runner. */
    static const int signals[] = { SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS };
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        signal(signals[i], SIG_DFL);
    }
}

static _Noreturn void be_the_test(const struct kit_test *test)
{
    static struct descriptors before;
    kit_test_process = getpid();
    kit_test_name = test->name;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const struct rlimit no_core = { 0, 0 };
    setrlimit(RLIMIT_CORE, &no_core);
    default_signals();
    kit_nats_test();
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    look_at_descriptors(&before);
    if (kit_carrier_is_small()) {
        kit_queues_begin();
    }

    test->run();

    setenv("TONG_DIR", kit_folder, 1); /* the test may have looked elsewhere */
    unsigned leaks = leaked_children();
    leaks += leaked_descriptors(&before);
    leaks += leaked_mappings();
    leaks += leaked_names();
    leaks += kit_carrier_is_small() ? kit_queues_left() : 0;
    fflush(NULL);
    /* exit, not _exit: the leak sanitizer looks at the heap on the way. */
    exit(leaks == 0 ? 0 : 1);
}

/* ------------------------------------------------------------------ the runner */

static int unlink_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    remove(path);
    return 0;
}

void kit_remove_tree(const char *path)
{
    nftw(path, unlink_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void remove_outer_folders(pid_t test)
{
    char pattern[64];
    glob_t found;
    snprintf(pattern, sizeof(pattern), KIT_OUTER, (int)test, ".*");
    if (glob(pattern, 0, NULL, &found) != 0) {
        return;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        kit_remove_tree(found.gl_pathv[i]);
    }
    globfree(&found);
}

static void enter_folder(const struct kit_test *test, const char *base)
{
    const int n = snprintf(kit_folder, sizeof(kit_folder), "%s/%s", base, test->name);
    if (n < 0 || (size_t)n >= sizeof(kit_folder)) {
        kit_fail("TONG_DIR is too long: %s", base);
    }
    kit_remove_tree(kit_folder);
    if (mkdir(kit_folder, 0700) != 0) {
        kit_fail("mkdir %s: %s", kit_folder, strerror(errno));
    }
    setenv("TONG_DIR", kit_folder, 1);
}

/* Files that belong to nobody: records of processes that are all dead by now, half-made files and
 * folders that lost their name. */
static unsigned litter_in(const char *path, bool all)
{
    DIR *folder = opendir(path);
    if (!folder) {
        return 0;
    }
    unsigned n = 0;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
            continue;
        }
        if (all || (name[0] == '.' && strcmp(name, ".life") != 0 && strcmp(name, ".lock") != 0 &&
                    strcmp(name, ".tmp") != 0 && strcmp(name, ".mq") != 0)) {
            fprintf(stderr, "leak: %s: %s/%s was left\n", kit_test_name, path, name);
            n++;
        }
    }
    closedir(folder);
    return n;
}

static unsigned litter_of(const char *root)
{
    char life[PATH_MAX + 16];
    char temporary[PATH_MAX + 16];
    snprintf(life, sizeof(life), "%s/.life", root);
    snprintf(temporary, sizeof(temporary), "%s/.tmp", root);
    return litter_in(root, false) + litter_in(life, true) + litter_in(temporary, true);
}

/* The mailboxes of mq: lie in a folder with lives and names of its own. */
static unsigned litter(void)
{
    char inner[PATH_MAX + 8];
    snprintf(inner, sizeof(inner), "%s/.mq", kit_folder);
    return litter_of(kit_folder) + litter_of(inner);
}

/* What a hung test was doing, from outside: its processes and the system calls they are in. */
static void describe_group(pid_t group)
{
    DIR *folder = opendir("/proc");
    if (!folder) {
        return;
    }
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        const pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid <= 0 || getpgid(pid) != group) {
            continue;
        }
        char path[64];
        char wchan[64] = "?";
        snprintf(path, sizeof(path), "/proc/%d/wchan", (int)pid);
        FILE *file = fopen(path, "re");
        if (file) {
            if (!fgets(wchan, sizeof(wchan), file)) {
                wchan[0] = '\0';
            }
            fclose(file);
        }
        fprintf(stderr, "  process %d of the test is in %s\n", (int)pid, wchan);
    }
    closedir(folder);
}

static bool wait_for_end(pid_t pid, int64_t limit_ns)
{
    const int fd = pidfd_open(pid, 0);
    if (fd < 0) {
        kit_fail("pidfd_open: %s", strerror(errno));
    }
    struct pollfd ended = { .fd = fd, .events = POLLIN };
    const int64_t end_ns = kit_now_ns() + limit_ns;
    int r = 0;
    do {
        const int64_t left_ms = (end_ns - kit_now_ns()) / 1000000;
        r = poll(&ended, 1, left_ms > 0 ? (int)left_ms : 0);
    } while (r < 0 && errno == EINTR);
    close(fd);
    return r == 1;
}

static int64_t limit_of(const struct kit_test *test)
{
    const unsigned seconds = test->seconds ? test->seconds : DEFAULT_SECONDS;
    return (int64_t)seconds * (KIT_PATIENCE / 20);
}

static void run_forked(void **state)
{
    const struct kit_test *test = *state;
    static char base[PATH_MAX];
    if (base[0] == '\0') {
        snprintf(base, sizeof(base), "%s", getenv("TONG_DIR"));
    }
    kit_test_name = test->name;
    enter_folder(test, base);
    fflush(NULL);
    const pid_t pid = fork();
    if (pid < 0) {
        kit_fail("fork: %s", strerror(errno));
    }
    if (pid == 0) {
        be_the_test(test);
    }
    setpgid(pid, pid);
    const bool ended = wait_for_end(pid, limit_of(test));
    if (!ended) {
        fprintf(stderr, "hung: %s did not end in %lld s\n", test->name,
                (long long)(limit_of(test) / 1000000000));
        describe_group(pid);
    }
    kill(-pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    while (waitpid(-pid, NULL, 0) > 0) {
    }
    unsigned left = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        left = litter();
    }
    if (!getenv("KIT_KEEP")) {
        kit_remove_tree(kit_folder);
        remove_outer_folders(pid);
    }
    n_run++;
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
        n_skipped++;
        skip();
    }
    if (!ended) {
        fail_msg("%s hung", test->name);
    }
    if (WIFSIGNALED(status)) {
        fail_msg("%s ended by signal %d", test->name, WTERMSIG(status));
    }
    if (WEXITSTATUS(status) != 0 || left != 0) {
        fail_msg("%s failed", test->name);
    }
}

static bool is_wanted(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return true;
        }
    }
    return argc < 2;
}

/* Without isolate around it: a base of its own, removed at the end. */
static void make_base(char *ret_base, size_t size)
{
    ret_base[0] = '\0';
    if (getenv("TONG_DIR")) {
        mkdir(getenv("TONG_DIR"), 0700);
        return;
    }
    snprintf(ret_base, size, "/dev/shm/tong-kit.XXXXXX");
    if (!mkdtemp(ret_base)) {
        kit_fail("mkdtemp %s: %s", ret_base, strerror(errno));
    }
    setenv("TONG_DIR", ret_base, 1);
}

int kit_main(int argc, char **argv, const struct kit_test tests[], size_t n)
{
    struct CMUnitTest *units = calloc(n, sizeof(*units));
    size_t n_units = 0;
    for (size_t i = 0; units && i < n; i++) {
        if (argc == 2 && strcmp(argv[1], "--list") == 0) {
            puts(tests[i].name);
        } else if (is_wanted(argc, argv, tests[i].name)) {
            units[n_units++] = (struct CMUnitTest){ .name = tests[i].name,
                                                    .test_func = run_forked,
                                                    .initial_state = (void *)&tests[i] };
        }
    }
    if (n_units == 0) {
        free(units);
        return argc == 2 && strcmp(argv[1], "--list") == 0 ? 0 : 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    kit_read_carriers();
    printf("KIT_SEED=%llu\n", (unsigned long long)kit_seed());
    char base[64];
    make_base(base, sizeof(base));
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    kit_nats_begin(getenv("TONG_DIR"));
    if (kit_carrier_is_small()) {
        kit_queues_lock();
    }
    const char *program = strrchr(argv[0], '/');
    const int failed =
        _cmocka_run_group_tests(program ? program + 1 : argv[0], units, n_units, NULL, NULL);
    kit_nats_end();
    if (base[0] != '\0') {
        kit_remove_tree(base);
    }
    free(units);
    if (failed != 0) {
        return 1;
    }
    return n_skipped == n_run ? SKIPPED : 0;
}
