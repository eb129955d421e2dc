/*
 * Processes: spawning, ending, meeting, and what /proc tells of them.
 *
 * Children are forked from the test and die with it (PR_SET_PDEATHSIG). Events and barriers are
 * futex words in memory shared over the fork, so they need no descriptor and outlive a kill -9 of
 * any process that uses them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kit.h"
#include "kit_private.h"

static int report_to = -1;

/* A sanitizer looks for leaks at the exit, and in a child of a process with threads it may wait for a lock that one of
 * these held at the fork. */
static bool may_exit(void)
{
#if defined(__SANITIZE_ADDRESS__)
    struct stat tasks;
    return stat("/proc/self/task", &tasks) != 0 || tasks.st_nlink == 3; /* a folder for each */
#else
    return true;
#endif
}

struct kit_child kit_spawn(kit_child_fn *function, void *arg)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        kit_fail("pipe2: %s", strerror(errno));
    }
    fflush(NULL);
    const pid_t parent = getpid();
    const bool exits = may_exit();
    const pid_t pid = fork();
    if (pid < 0) {
        kit_fail("fork: %s", strerror(errno));
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
        close(ends[0]);
        report_to = ends[1];
        const int r = function(arg);
        fflush(NULL);
        if (!exits) {
            _exit(r);
        }
        exit(r);
    }
    close(ends[1]);
    return (struct kit_child){ .pid = pid, .report_fd = ends[0] };
}

static void wait_readable(int fd, const char *what, pid_t pid)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    const int64_t end_ns = kit_now_ns() + KIT_PATIENCE;
    for (;;) {
        const int64_t left_ms = (end_ns - kit_now_ns()) / 1000000;
        if (left_ms <= 0) {
            kit_fail("child %d: no %s in time", (int)pid, what);
        }
        const int r = poll(&ready, 1, (int)left_ms);
        if (r == 1) {
            return;
        }
        if (r < 0 && errno != EINTR) {
            kit_fail("poll: %s", strerror(errno));
        }
    }
}

int kit_join_status(struct kit_child *child)
{
    const int fd = pidfd_open(child->pid, 0);
    if (fd < 0) {
        kit_fail("pidfd_open %d: %s", (int)child->pid, strerror(errno));
    }
    wait_readable(fd, "end", child->pid);
    close(fd);
    int status = 0;
    while (waitpid(child->pid, &status, 0) < 0) {
        if (errno != EINTR) {
            kit_fail("waitpid %d: %s", (int)child->pid, strerror(errno));
        }
    }
    close(child->report_fd);
    *child = (struct kit_child){ .pid = 0, .report_fd = -1 };
    return status;
}

void kit_join(struct kit_child *child)
{
    const pid_t pid = child->pid;
    const int status = kit_join_status(child);
    if (WIFSIGNALED(status)) {
        kit_fail("child %d ended by signal %d", (int)pid, WTERMSIG(status));
    }
    if (WEXITSTATUS(status) != 0) {
        kit_fail("child %d ended with %d", (int)pid, WEXITSTATUS(status));
    }
}

void kit_kill(struct kit_child *child)
{
    kill(child->pid, SIGKILL);
    const int status = kit_join_status(child);
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) {
        kit_fail("a child ended by signal %d before it was killed", WTERMSIG(status));
    }
}

_Noreturn void kit_await_death(void)
{
    for (;;) {
        pause();
    }
}

void kit_report(const void *data, size_t size)
{
    if (write(report_to, data, size) != (ssize_t)size) {
        kit_fail("report: %s", strerror(errno));
    }
}

void kit_read_report(struct kit_child *child, void *ret_data, size_t size)
{
    for (size_t got = 0; got < size;) {
        wait_readable(child->report_fd, "report", child->pid);
        const ssize_t n = read(child->report_fd, (char *)ret_data + got, size - got);
        if (n <= 0) {
            kit_fail("child %d ended without its report", (int)child->pid);
        }
        got += (size_t)n;
    }
}

void *kit_shared(size_t size)
{
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        kit_fail("mmap %zu: %s", size, strerror(errno));
    }
    return data;
}

/* ------------------------------------------------------------------ meeting */

static void futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns)
{
    const struct timespec timeout = { .tv_sec = timeout_ns / 1000000000,
                                      .tv_nsec = timeout_ns % 1000000000 };
    syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0);
}

static void futex_wake_all(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void kit_event_set(kit_event *event)
{
    atomic_store(event, 1);
    futex_wake_all(event);
}

void kit_event_wait_at(kit_event *event, const char *file, int line, const char *what)
{
    const int64_t end_ns = kit_now_ns() + KIT_PATIENCE;
    while (atomic_load(event) == 0) {
        const int64_t left_ns = end_ns - kit_now_ns();
        if (left_ns <= 0) {
            kit_fail_at(file, line, "was not set in time: %s", what);
        }
        futex_wait(event, 0, left_ns);
    }
}

void kit_barrier_wait(kit_barrier *barrier, uint32_t n)
{
    const uint32_t round = atomic_load(&barrier->round);
    if (atomic_fetch_add(&barrier->arrived, 1) + 1 == n) {
        atomic_store(&barrier->arrived, 0);
        atomic_fetch_add(&barrier->round, 1);
        futex_wake_all(&barrier->round);
        return;
    }
    const int64_t end_ns = kit_now_ns() + KIT_PATIENCE;
    while (atomic_load(&barrier->round) == round) {
        const int64_t left_ns = end_ns - kit_now_ns();
        if (left_ns <= 0) {
            kit_fail("not all of %u came to the barrier", n);
        }
        futex_wait(&barrier->round, round, left_ns);
    }
}

/* ------------------------------------------------------------------ /proc */

static uint64_t switches_of(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        return 0;
    }
    char line[256];
    uint64_t sum = 0;
    while (fgets(line, sizeof(line), file)) {
        unsigned long long n = 0;
        if (sscanf(line, "voluntary_ctxt_switches: %llu", &n) == 1) {
            sum += n;
        }
    }
    fclose(file);
    return sum;
}

uint64_t kit_switches(pid_t pid)
{
    char path[96];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    if (!folder) {
        kit_fail("%s: %s", path, strerror(errno));
    }
    uint64_t sum = 0;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", (int)pid, entry->d_name);
            sum += switches_of(path);
        }
    }
    closedir(folder);
    return sum;
}

static bool is_asleep(const char *path)
{
    char text[512];
    FILE *file = fopen(path, "re");
    if (!file) {
        return false;
    }
    const size_t n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = '\0';
    const char *state = strrchr(text, ')');
    return state && state[1] == ' ' && state[2] == 'S';
}

bool kit_sleeps(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    return is_asleep(path);
}

unsigned kit_threads_asleep(pid_t pid)
{
    char path[96];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    if (!folder) {
        kit_fail("%s: %s", path, strerror(errno));
    }
    unsigned n = 0;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof(path), "/proc/%d/task/%.20s/stat", (int)pid, entry->d_name);
            n += is_asleep(path);
        }
    }
    closedir(folder);
    return n;
}
