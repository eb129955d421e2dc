/*
 * The kernel's message queues of a test: in a namespace of its own, where that is allowed, with the
 * limits a system's owner may set; and whether one is left when the test is over.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"
#include "kit_private.h"

static bool own_namespace;

static bool set_limit(const char *name, const char *value)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/sys/fs/mqueue/%s", name);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool ok = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* The memory of queues is a user's, whatever namespace they are in: one test of all at a time. */
void kit_queues_lock(void)
{
    const int fd = open("/tmp/tong-kit-mqueue.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0) {
        flock(fd, LOCK_EX); /* until this process ends */
    }
}

void kit_queues_begin(void)
{
    own_namespace = unshare(CLONE_NEWIPC) == 0 && set_limit("msg_max", "1024");
}

unsigned kit_queues_left(void)
{
    /* What the dead owned goes with a visit. */
    kit_true(tong_doctor(1, kit_ignore_finding, NULL) >= 0);
    if (!own_namespace || unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("mqueue", "/tmp", "mqueue", 0, NULL) != 0) {
        return 0;
    }
    const char *names = kit_entries("/tmp");
    if (names[0] == '\0') {
        return 0;
    }
    fprintf(stderr, "leak: %s: queues are left: %s\n", kit_test_name, names);
    return 1;
}
