/*
 * stage.c - the surroundings: private file systems, modules, daemons, the shared page.
 *
 * With the right to, the harness lives in mount and IPC namespaces of its own, with an empty /dev/shm and
 * /tmp and with message queues that nobody else sees. Then whatever is there after a kill and was not
 * before it was left by it; and nothing stays on the machine. The modules are opened before that, since the
 * build may lie in /tmp.
 */
#include "kills.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct kills_page *page;
static char tong_dir[64];
static pid_t harness;

/* ------------------------------------------------------------------ namespaces */

static bool write_text(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static bool enter_namespaces(void)
{
    if (unshare(CLONE_NEWNS | CLONE_NEWIPC) == 0) {
        return true;
    }
    const unsigned uid = geteuid();
    const unsigned gid = getegid();
    char map[64];
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC) != 0) {
        return false;
    }
    write_text("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "%u %u 1", uid, uid);
    if (!write_text("/proc/self/uid_map", map)) {
        return false;
    }
    snprintf(map, sizeof map, "%u %u 1", gid, gid);
    return write_text("/proc/self/gid_map", map);
}

static bool isolate(void)
{
    return enter_namespaces() && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0 &&
           mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0 &&
           mkdir("/tmp/queues", 0755) == 0 &&
           mount("mqueue", "/tmp/queues", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;
}

static long n_files;

static int count_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)path;
    (void)status;
    (void)ftw;
    n_files += type != FTW_D;
    return 0;
}

long stage_count_files(void)
{
    if (!settings.isolated) {
        return -1;
    }
    n_files = 0;
    nftw("/dev/shm", count_one, 16, FTW_PHYS);
    nftw("/tmp", count_one, 16, FTW_PHYS);
    return n_files;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    remove(path);
    return 0;
}

void stage_begin(void)
{
    harness = getpid();
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        give_up("no shared memory: %s", strerror(errno));
    }
    settings.isolated = isolate();
    snprintf(tong_dir, sizeof tong_dir, "/dev/shm/tong-kills.%d", (int)harness);
    if (mkdir(tong_dir, 0700) != 0) {
        give_up("cannot make %s: %s", tong_dir, strerror(errno));
    }
    setenv("TONG_DIR", tong_dir, 1);
    /* The one who kills is not to wait for a processor that the killed one fills. */
    const struct sched_param first = { .sched_priority = 1 };
    settings.realtime = sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first) == 0;
}

void stage_end(void)
{
    nftw(tong_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ------------------------------------------------------------------ modules */

pid_t stage_fork(void)
{
    fflush(NULL);
    const pid_t pid = fork();
    if (pid < 0) {
        give_up("fork: %s", strerror(errno));
    }
    if (pid > 0) {
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != harness) {
        _exit(1);
    }
    const int nowhere = settings.verbose ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nowhere >= 0) {
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
    }
    return 0;
}

const struct kills_peer *stage_load(const struct kills_system *system)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", system->module_fd);
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct kills_peer *peer = module ? dlsym(module, "kills_peer") : NULL;
    if (!peer) {
        fprintf(stderr, "kills: %s: %s\n", system->module, dlerror());
        _exit(1);
    }
    return peer;
}

/* For what is done by hand and must not load the module here. */
static bool in_a_child(const struct kills_system *system, void (*what)(const struct kills_system *))
{
    int status = 0;
    const pid_t pid = stage_fork();
    if (pid == 0) {
        what(system);
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status == 0;
}

static void copy(char *ret_text, size_t size, const char *text)
{
    snprintf(ret_text, size, "%s", text ? text : "");
}

static void tell(const struct kills_system *system)
{
    const struct kills_peer *peer = stage_load(system);
    copy(page->about.name, sizeof page->about.name, peer->name);
    copy(page->about.version, sizeof page->about.version, peer->version);
    copy(page->about.daemon, sizeof page->about.daemon, peer->daemon);
    copy(page->about.ready, sizeof page->about.ready, peer->ready);
    page->about.everyone = peer->everyone;
    page->about.loaded = true;
}

bool system_look(struct kills_system *system)
{
    memset(&page->about, 0, sizeof page->about);
    if (system->module_fd < 0 || !in_a_child(system, tell) || !page->about.loaded) {
        return false;
    }
    copy(system->name, sizeof system->name, page->about.name);
    copy(system->version, sizeof system->version, page->about.version);
    copy(system->daemon, sizeof system->daemon, page->about.daemon);
    copy(system->ready, sizeof system->ready, page->about.ready);
    system->everyone = page->about.everyone;
    return true;
}

/* ------------------------------------------------------------------ daemons */

static bool says_ready(const char *log, const char *word)
{
    char text[16384];
    FILE *file = fopen(log, "re");
    if (!file) {
        return false;
    }
    const size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    return strstr(text, word) != NULL;
}

static void start_daemon(struct kills_system *system)
{
    char log[96];
    snprintf(log, sizeof log, "%s/daemon.log", system->folder);
    unlink(log);
    system->daemon_pid = stage_fork();
    if (system->daemon_pid == 0) {
        const int fd = open(log, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        execlp(system->daemon, system->daemon, (char *)NULL);
        _exit(127);
    }
    for (const int64_t end = now_ns() + settings.limit_ns; now_ns() < end; sleep_ns(1000000)) {
        if (says_ready(log, system->ready)) {
            return;
        }
    }
    give_up("%s does not get ready; see it run by hand", system->daemon);
}

void system_start(struct kills_system *system)
{
    if (system->folder[0] == '\0') {
        copy(system->folder, sizeof system->folder, "/tmp/tong-kills.XXXXXX");
        if (!mkdtemp(system->folder)) {
            give_up("cannot make %s: %s", system->folder, strerror(errno));
        }
    }
    if (system->daemon[0] != '\0') {
        start_daemon(system);
    }
}

static void stop_daemon(struct kills_system *system)
{
    if (system->daemon_pid <= 0) {
        return;
    }
    kill(system->daemon_pid, SIGTERM);
    const int64_t end = now_ns() + 3000000000;
    while (waitpid(system->daemon_pid, NULL, WNOHANG) == 0) {
        if (now_ns() > end) {
            kill(system->daemon_pid, SIGKILL);
        }
        sleep_ns(1000000);
    }
    system->daemon_pid = 0;
}

static void remove_queue(const struct kills_system *system)
{
    const struct kills_peer *peer = stage_load(system);
    if (peer->remove) {
        peer->remove(settings.queue, system->folder);
    }
}

void system_stop(struct kills_system *system)
{
    if (system->folder[0] == '\0') {
        return;
    }
    in_a_child(system, remove_queue);
    stop_daemon(system);
    nftw(system->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    system->folder[0] = '\0';
}

void system_clean(struct kills_system *system)
{
    system_stop(system);
    system_start(system);
}
