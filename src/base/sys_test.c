/* System calls: what the kernel says of a limit is one answer, whichever limit it is. */
#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kit.h"

/* A quota (EDQUOT) goes the same way; a test cannot have one. */
static void a_file_beyond_the_limit_is_enospc(void)
{
    struct rlimit before;
    static const char bytes[4096];
    const int fd = open(kit_path(""), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    kit_true(fd >= 0);
    kit_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    kit_ok(getrlimit(RLIMIT_FSIZE, &before));
    const struct rlimit small = { 4096, before.rlim_max };
    kit_ok(setrlimit(RLIMIT_FSIZE, &small));
    kit_ok(tg_sys_pwrite(fd, bytes, sizeof(bytes), 0));
    kit_gives(tg_sys_pwrite(fd, bytes, sizeof(bytes), 4096), -ENOSPC);
    kit_gives(tg_sys_pwrite(fd, bytes, sizeof(bytes), 2048), -ENOSPC);
    kit_gives(tg_sys_allocate(fd, 4096, 4096), -ENOSPC);
    kit_ok(setrlimit(RLIMIT_FSIZE, &before));
    (void)close(fd);
}

static const struct kit_test tests[] = {
    KIT_TEST(a_file_beyond_the_limit_is_enospc),
};

KIT_MAIN(tests)
