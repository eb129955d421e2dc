/*
 * The machine around a test: a small memory of its own, other users, folders, strace.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"
#include "kit_private.h"

/* ------------------------------------------------------------------ small memory */

static bool write_text(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return ok;
}

/* Root takes a mount namespace; another user one with a user namespace in which it is root. */
static bool enter_namespace(void)
{
    if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0) {
        return true;
    }
    const unsigned uid = geteuid();
    const unsigned gid = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
        return false;
    }
    char map[64];
    snprintf(map, sizeof(map), "%u %u 1", uid, uid);
    write_text("/proc/self/setgroups", "deny");
    if (!write_text("/proc/self/uid_map", map)) {
        return false;
    }
    snprintf(map, sizeof(map), "%u %u 1", gid, gid);
    return write_text("/proc/self/gid_map", map);
}

void kit_small_memory(size_t bytes)
{
    char options[128];
    snprintf(options, sizeof(options), "size=%zu,mode=0700", bytes);
    if (!enter_namespace() || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", kit_folder, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0) {
        kit_skip("a tmpfs of its own cannot be mounted here: %s", strerror(errno));
    }
}

uint64_t kit_free_memory(void)
{
    struct statvfs room;
    if (statvfs(kit_folder, &room) != 0) {
        kit_fail("statvfs %s: %s", kit_folder, strerror(errno));
    }
    return (uint64_t)room.f_bavail * room.f_frsize;
}

/* ------------------------------------------------------------------ users and folders */

void kit_needs_root(void)
{
    if (geteuid() != 0) {
        kit_skip("only root can act as two users");
    }
}

void kit_become(uid_t uid, gid_t gid)
{
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) {
        kit_fail("cannot become user %u: %s", (unsigned)uid, strerror(errno));
    }
    /* A change of user clears it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

const char *kit_make_folder(uid_t uid, gid_t gid, mode_t mode)
{
    /* Not of the heap: a child that ends with it is no leak. */
    static char paths[8][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, PATH_MAX, KIT_OUTER, (int)kit_test_process, ".XXXXXX");
    if (!mkdtemp(path) || chown(path, uid, gid) != 0 || chmod(path, mode) != 0) {
        kit_fail("cannot make a folder: %s", strerror(errno));
    }
    return path;
}

void kit_remove_folder(const char *path)
{
    kit_remove_tree(path);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

const char *kit_entries(const char *path)
{
    static char text[4096];
    struct dirent **entries = NULL;
    const int n = scandir(path, &entries, NULL, by_name);
    size_t len = 0;
    text[0] = '\0';
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && len < sizeof(text)) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len ? " " : "", name);
        }
        free(entries[i]);
    }
    free(entries);
    return text;
}

const char *kit_path(const char *name)
{
    static char path[PATH_MAX + 256];
    snprintf(path, sizeof(path), "%s/%s", kit_folder, name);
    return path;
}

/* ------------------------------------------------------------------ strace */

static bool is_traced(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file) {
        return false;
    }
    char line[256];
    int tracer = 0;
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "TracerPid: %d", &tracer) == 1) {
            break;
        }
    }
    fclose(file);
    return tracer != 0;
}

static bool have_strace(void)
{
    return system("command -v strace >/dev/null 2>&1") == 0;
}

static _Noreturn void become_strace(const char *summary, const pid_t pids[], size_t n)
{
    char text[16][16];
    char *argv[64] = { "strace", "-f", "-c", "-q", "-o", (char *)summary };
    size_t at = 6;
    for (size_t i = 0; i < n && i < 16; i++) {
        snprintf(text[i], sizeof(text[i]), "%d", (int)pids[i]);
        argv[at++] = "-p";
        argv[at++] = text[i];
    }
    argv[at] = NULL;
    execvp("strace", argv);
    _exit(127);
}

/* The line "100.00 0.01 3 1234 5 total" of the summary; without it nothing was called. */
static uint64_t total_of(const char *summary)
{
    FILE *file = fopen(summary, "re");
    if (!file) {
        kit_fail("no summary of strace: %s", strerror(errno));
    }
    char line[512];
    unsigned long long calls = 0;
    while (fgets(line, sizeof(line), file)) {
        double percent = 0;
        double seconds = 0;
        unsigned long long each = 0;
        if (strstr(line, " total") &&
            sscanf(line, "%lf %lf %llu %llu", &percent, &seconds, &each, &calls) != 4) {
            kit_fail("strace says: %s", line);
        }
    }
    fclose(file);
    return calls;
}

uint64_t kit_traced_calls(const pid_t pids[], size_t n, kit_event *go, kit_event over[])
{
    if (!have_strace()) {
        kit_skip("strace is not installed");
    }
    const char *summary = kit_path("strace-summary");
    const pid_t strace = fork();
    if (strace == 0) {
        become_strace(summary, pids, n);
    }
    struct kit_poll poll = kit_poll_begin();
    for (size_t i = 0; i < n;) {
        if (is_traced(pids[i])) {
            i++;
        } else if (waitpid(strace, NULL, WNOHANG) != 0) {
            kit_skip("strace may not trace here");
        } else {
            kit_poll_next(&poll, __FILE__, __LINE__, "strace attached");
        }
    }
    kit_event_set(go);
    for (size_t i = 0; i < n; i++) {
        kit_until(atomic_load(&over[i]) != 0);
    }
    kill(strace, SIGINT);
    while (waitpid(strace, NULL, 0) < 0 && errno == EINTR) {
    }
    const uint64_t calls = total_of(summary);
    unlink(summary);
    return calls;
}
