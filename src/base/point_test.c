/* Crash points: every store and every system call counts one, and the n-th one kills. */
#include "base/point.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/atomic.h"
#include "base/sys.h"
#include "kit.h"

static void stores_count_and_loads_do_not(void)
{
    static tg_a32 word;
    static tg_a64 wide;
    uint32_t expected = 5;
    tg_point_arm(0);
    kit_equal(tg_point_count(), 0);
    tg_store_relaxed(&word, UINT32_C(1));
    tg_store_release(&wide, UINT64_C(1));
    kit_equal(tg_point_count(), 2);
    (void)tg_load_relaxed(&word);
    (void)tg_load_acquire(&word);
    (void)tg_load_seq_cst(&wide);
    tg_fence();
    kit_equal(tg_point_count(), 2);
    kit_equal(tg_add(&word, 4), 1);
    kit_true(tg_cas(&word, &expected, 6));
    kit_true(!tg_cas(&word, &expected, 7));
    kit_equal(expected, 6);
    kit_equal(tg_or(&word, 8u), 6);
    kit_equal(tg_exchange(&wide, UINT64_C(9)), 1);
    kit_equal(tg_point_count(), 7);
    kit_equal(atomic_load(&word), 14);
}

static void system_calls_count(void)
{
    struct stat st;
    tg_point_arm(0);
    const int fd = tg_sys_open(AT_FDCWD, kit_path("."), O_RDONLY, 0);
    kit_true(fd >= 0);
    kit_ok(tg_sys_fstat(fd, &st));
    tg_sys_close(fd);
    tg_sys_close(-1);
    kit_equal(tg_point_count(), 3);
}

struct run {
    unsigned long n;
    _Atomic uint32_t *stored;
};

static int store_ten(void *arg)
{
    const struct run *run = arg;
    static tg_a32 word;
    tg_point_arm(run->n);
    for (uint32_t i = 1; i <= 10; i++) {
        tg_store_relaxed(&word, i);
        atomic_store(run->stored, i);
    }
    return 0;
}

static void the_armed_point_kills_before_its_store(void)
{
    struct run run = { .stored = kit_shared(sizeof(uint32_t)) };
    for (run.n = 1; run.n <= 11; run.n++) {
        atomic_store(run.stored, 0);
        struct kit_child child = kit_spawn(store_ten, &run);
        const int status = kit_join_status(&child);
        kit_equal(atomic_load(run.stored), run.n - 1);
        if (run.n <= 10) {
            kit_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        } else {
            kit_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
    }
}

static void zero_kills_never(void)
{
    struct run run = { .n = 0, .stored = kit_shared(sizeof(uint32_t)) };
    struct kit_child child = kit_spawn(store_ten, &run);
    kit_join(&child);
    kit_equal(atomic_load(run.stored), 10);
}

static char called[8][64];
static unsigned n_called;

static int note_and_fail_fstat(const char *call)
{
    (void)snprintf(called[n_called++ % 8], sizeof(called[0]), "%s", call);
    return strncmp(call, "fstat(", 6) == 0 ? EIO : 0;
}

static void a_call_that_is_told_to_fail_is_not_made(void)
{
    struct stat st = { .st_size = 77 };
    const int fd = tg_sys_open(AT_FDCWD, kit_path("."), O_RDONLY, 0);
    kit_true(fd >= 0);
    tg_point_on_call(note_and_fail_fstat);
    kit_gives(tg_sys_fstat(fd, &st), -EIO);
    kit_equal(st.st_size, 77);
    kit_ok(tg_sys_stat(AT_FDCWD, kit_path("."), &st));
    tg_point_on_call(NULL);
    kit_equal(n_called, 2);
    kit_true(strncmp(called[0], "fstat(fd", 8) == 0 && strncmp(called[1], "fstatat(", 8) == 0);
    kit_ok(tg_sys_fstat(fd, &st));
    tg_sys_close(fd);
}

static void a_mapping_that_is_told_to_fail_is_an_error(void)
{
    void *p = &n_called;
    n_called = 0;
    tg_point_on_call(note_and_fail_fstat);
    kit_gives(tg_sys_map(-1, 0, TG_PAGE, false, &p), -EBADF);
    tg_point_on_call(NULL);
    kit_true(p == &n_called);
    kit_true(strncmp(called[0], "mmap(", 5) == 0);
}

static const struct kit_test tests[] = {
    KIT_TEST(stores_count_and_loads_do_not),
    KIT_TEST(system_calls_count),
    KIT_TEST(the_armed_point_kills_before_its_store),
    KIT_TEST(zero_kills_never),
    KIT_TEST(a_call_that_is_told_to_fail_is_not_made),
    KIT_TEST(a_mapping_that_is_told_to_fail_is_an_error),
};

KIT_MAIN(tests)
