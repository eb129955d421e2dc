/*
 * The world around one input: its folder, the points, the mappings.
 *
 * The linker puts the functions named __wrap_ here in the place of those the library calls:
 *
 *   mmap      reserves a page more on either side, without access, and maps in between
 *   munmap    takes the access away and keeps the addresses until fuzz_end()
 *   tg_point_pass   goes on to the library's own, and then to the function of fuzz_at_points()
 *
 * What may be counted is counted: descriptors and mappings before and after, points of one call.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define GIVEN_UP_MOST 16384u
#define FILE_MOST (64u << 20)
#define HELD_NS 20000000
#define POINTS_MOST 3000000ul

void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int __real_munmap(void *addr, size_t len);
void __real_tg_point_pass(void);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int __wrap_munmap(void *addr, size_t len);
void __wrap_tg_point_pass(void);

/* ---- mappings */

static struct {
    char *p;
    size_t len;
} given_up[GIVEN_UP_MOST];
static size_t n_given_up;
static size_t n_mapped;

static size_t whole(size_t len)
{
    return (len + PAGE - 1) / PAGE * PAGE;
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    const size_t all = whole(len) + 2 * PAGE;
    if (addr != NULL || all < len) {
        return __real_mmap(addr, len, prot, flags, fd, off);
    }
    char *around =
        __real_mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (around == MAP_FAILED) {
        return MAP_FAILED;
    }
    void *p = __real_mmap(around + PAGE, len, prot, flags | MAP_FIXED, fd, off);
    if (p == MAP_FAILED) {
        const int e = errno;
        (void)__real_munmap(around, all);
        errno = e;
        return p;
    }
    n_mapped++;
    return p;
}

int __wrap_munmap(void *addr, size_t len)
{
    char *around = (char *)addr - PAGE;
    const size_t all = whole(len) + 2 * PAGE;
    n_mapped--;
    if (n_given_up == GIVEN_UP_MOST) {
        return __real_munmap(around, all);
    }
    (void)__real_mmap(addr, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
                      -1, 0);
    given_up[n_given_up].p = around;
    given_up[n_given_up].len = all;
    n_given_up++;
    return 0;
}

static void unmap_given_up(void)
{
    while (n_given_up > 0) {
        n_given_up--;
        (void)__real_munmap(given_up[n_given_up].p, given_up[n_given_up].len);
    }
}

/* ---- points */

static struct {
    void (*strike)(void *arg);
    void *arg;
    bool inside;
    unsigned long passed;
    int64_t since_ns;
    void (*excess)(void);
} points;

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void fuzz_at_points(void (*strike)(void *arg), void *arg)
{
    points.strike = strike;
    points.arg = arg;
}

void fuzz_at_excess(void (*excess)(void))
{
    points.excess = excess;
}

void fuzz_call_ends(void)
{
    points.passed = 0;
    points.since_ns = now_ns();
}

/* Long enough for a machine that is busy with something else. */
static bool is_excess(void)
{
    if (++points.passed > POINTS_MOST) {
        return true;
    }
    return points.excess != NULL && points.passed % 16 == 0 && now_ns() - points.since_ns > HELD_NS;
}

void __wrap_tg_point_pass(void)
{
    __real_tg_point_pass();
    if (points.inside) {
        return;
    }
    if (is_excess()) {
        points.passed = 0;
        if (points.excess == NULL) {
            fuzz_fail("a call passed %lu points and has not ended", POINTS_MOST);
        }
        points.excess();
    }
    if (points.strike != NULL) {
        points.inside = true;
        points.strike(points.arg);
        points.inside = false;
    }
}

/* ---- the folder */

static char base[128];
static char folder[160];
static size_t n_fds_before;
static size_t n_mapped_before;

void fuzz_empty_folder(int dir)
{
    const int own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = own < 0 ? NULL : fdopendir(own);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            unlinkat(dir, e->d_name, 0) == 0) {
            continue;
        }
        const int inner = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner >= 0) {
            fuzz_empty_folder(inner);
            close(inner);
        }
        (void)unlinkat(dir, e->d_name, AT_REMOVEDIR);
    }
    if (d != NULL) {
        closedir(d);
    }
}

static void empty(const char *path)
{
    const int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        fuzz_empty_folder(dir);
        close(dir);
    }
}

static void remove_base(void)
{
    empty(base);
    (void)rmdir(base);
}

/* Whatever an input asks for, the memory of this machine is not it: beyond it, no space is left. */
static void limit_files(void)
{
    const struct rlimit limit = { FILE_MOST, FILE_MOST };
    (void)signal(SIGXFSZ, SIG_IGN);
    fuzz_true(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void choose_folder(void)
{
    limit_files();
    const char *where = getenv("TONG_TEST_BASE");
    if (where == NULL || access(where, W_OK) != 0) {
        where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    }
    (void)snprintf(base, sizeof(base), "%s/tong-fuzz.XXXXXX", where);
    fuzz_true(mkdtemp(base) != NULL);
    (void)snprintf(folder, sizeof(folder), "%s/tong", base);
    fuzz_true(setenv("TONG_DIR", folder, 1) == 0);
    atexit(remove_base);
}

void fuzz_enter_scratch(void)
{
    char path[192];
    (void)snprintf(path, sizeof(path), "%s/scratch", base);
    (void)mkdir(path, 0700);
    fuzz_true(chdir(path) == 0);
    empty(path);
}

static size_t count_fds(void)
{
    size_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d != NULL && readdir(d) != NULL) {
        n++;
    }
    if (d != NULL) {
        closedir(d);
    }
    return n;
}

const char *fuzz_begin(void)
{
    if (base[0] == '\0') {
        choose_folder();
    }
    fuzz_true(mkdir(folder, 0700) == 0 || errno == EEXIST);
    fuzz_true(chmod(folder, 0700) == 0);
    empty(folder);
    n_fds_before = count_fds();
    n_mapped_before = n_mapped;
    fuzz_call_ends();
    return folder;
}

void fuzz_end(void)
{
    points.strike = NULL;
    points.excess = NULL;
    const size_t fds = count_fds();
    if (fds != n_fds_before || n_mapped != n_mapped_before) {
        fuzz_fail("left behind: %ld descriptors, %ld mappings", (long)(fds - n_fds_before),
                  (long)(n_mapped - n_mapped_before));
    }
    unmap_given_up();
    empty(folder);
}

bool fuzz_is_root(void)
{
    return geteuid() == 0;
}

uint64_t fuzz_secret(void)
{
    static uint64_t secret;
    if (secret == 0) {
        fuzz_true(getrandom(&secret, sizeof(secret), 0) == (ssize_t)sizeof(secret));
        secret |= 1;
    }
    return secret;
}
