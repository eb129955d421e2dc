/*
 * Namespaces: a keeper enters them, its only child lives in them.
 */
#include "home.h"

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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    REFUSED = 99,
    KILLED = 98
};

struct move {
    struct kit_home home;
    kit_child_fn *function;
    void *arg;
    _Atomic pid_t pid;
};

static bool write_line(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static bool map_user(unsigned inside, unsigned uid, unsigned gid)
{
    char map[64];
    write_line("/proc/self/setgroups", "deny");
    snprintf(map, sizeof(map), "%u %u 1", inside, uid);
    if (!write_line("/proc/self/uid_map", map)) {
        return false;
    }
    snprintf(map, sizeof(map), "%u %u 1", inside, gid);
    return write_line("/proc/self/gid_map", map);
}

/* Who is not root may have namespaces together with one of users; the numbers stay the same. */
static struct kit_home as_this_user(const struct kit_home *home)
{
    struct kit_home its = *home;
    if (geteuid() != 0 && (its.namespaces & CLONE_NEWUSER) == 0) {
        its.namespaces |= CLONE_NEWUSER;
        its.inside = geteuid();
    }
    return its;
}

static bool enter(const struct kit_home *home)
{
    if (home->group != 0 && setgroups(1, &home->group) != 0) {
        return false;
    }
    if (home->become != 0) {
        kit_become(home->become, home->become);
        /* A change of user makes /proc/self root's. */
        prctl(PR_SET_DUMPABLE, 1);
    }
    const unsigned uid = geteuid();
    const unsigned gid = getegid();
    if (unshare(home->namespaces) != 0) {
        return false;
    }
    if ((home->namespaces & CLONE_NEWUSER) != 0 && !map_user(home->inside, uid, gid)) {
        return false;
    }
    return (home->namespaces & CLONE_NEWNS) == 0 ||
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* Without what is done at exit: a leak sanitizer looks for its own process in vain in there. */
static _Noreturn void leave(int code)
{
    fflush(NULL);
    _exit(code);
}

static int keep(void *arg)
{
    struct move *move = arg;
    if (!enter(&move->home)) {
        leave(REFUSED);
    }
    const pid_t pid = fork();
    if (pid < 0) {
        leave(REFUSED);
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        leave(move->function(move->arg));
    }
    atomic_store(&move->pid, pid);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status)) {
        leave(WEXITSTATUS(status));
    }
    leave(WTERMSIG(status) == SIGKILL ? KILLED : 1);
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

void kit_needs_home(const struct kit_home *home)
{
    struct move move = { .home = as_this_user(home), .function = do_nothing };
    if (home->become != 0) {
        kit_needs_root();
    }
    struct kit_child child = kit_spawn(keep, &move);
    const int status = kit_join_status(&child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        kit_skip("namespaces cannot be entered here (flags %#x)", (unsigned)home->namespaces);
    }
}

struct kit_resident kit_home_spawn(const struct kit_home *home, kit_child_fn *function, void *arg)
{
    struct move *move = kit_shared(sizeof(*move));
    *move = (struct move){ .home = as_this_user(home), .function = function, .arg = arg };
    struct kit_resident resident = { .keeper = kit_spawn(keep, move), .pid = &move->pid };
    kit_until(atomic_load(&move->pid) != 0);
    return resident;
}

void kit_home_join(struct kit_resident *resident)
{
    kit_join(&resident->keeper);
}

void kit_home_kill(struct kit_resident *resident)
{
    kill(atomic_load(resident->pid), SIGKILL);
    const int status = kit_join_status(&resident->keeper);
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != KILLED && WEXITSTATUS(status) != 0)) {
        kit_fail("a resident ended otherwise than by the kill: status %#x", (unsigned)status);
    }
}

/* ------------------------------------------------------------------ another root */

static void must(int answer, const char *what, const char *on)
{
    if (answer != 0) {
        kit_fail("%s %s: %s", what, on, strerror(errno));
    }
}

static void make_parents(char *path)
{
    for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(path, 0755);
        *at = '/';
    }
}

static void bind_one(const char *root, const char *outside, const char *inside)
{
    char path[4200];
    struct stat status;
    snprintf(path, sizeof(path), "%s%s", root, inside);
    must(stat(outside, &status), "stat", outside);
    make_parents(path);
    if (S_ISDIR(status.st_mode)) {
        mkdir(path, 0755);
    } else {
        close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
    must(mount(outside, path, NULL, MS_BIND | MS_REC, NULL), "bind", inside);
}

void kit_home_enclose(size_t bytes, const char *const pairs[])
{
    static const char root[] = "/tmp";
    char options[64];
    snprintf(options, sizeof(options), "size=%zu,mode=0755", bytes);
    /* A file or folder below the place where the new root is put must be held before. */
    const char *inside[16] = { NULL };
    char held[16][64];
    for (size_t i = 0; pairs[2 * i]; i++) {
        const int fd = open(pairs[2 * i], O_PATH | O_CLOEXEC);
        must(fd < 0, "open", pairs[2 * i]);
        snprintf(held[i], sizeof(held[i]), "/proc/self/fd/%d", fd);
        inside[i] = pairs[2 * i + 1];
    }
    must(mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, options), "mount", root);
    for (size_t i = 0; inside[i]; i++) {
        bind_one(root, held[i], inside[i]);
        close(atoi(held[i] + sizeof("/proc/self/fd/") - 1));
    }
    must(chdir(root), "chdir", root);
    must(mkdir("proc", 0755), "mkdir", "proc");
    must(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount", "proc");
    mkdir("dev", 0755);
    mkdir("dev/shm", 0755);
    must(mount("tmpfs", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, options), "mount", "dev/shm");
    /* The old root lies under the new one and is let go. */
    must((int)syscall(SYS_pivot_root, ".", "."), "pivot_root", root);
    must(umount2(".", MNT_DETACH), "umount", "the old root");
    must(chdir("/"), "chdir", "/");
}
