/*
 * The account of the crash tests: one line for each operation and role in which a process was
 * killed, appended to the file that $TONG_CRASH_REPORT names. tests/crash/complete reads it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

void kit_account(const struct kit_deaths *deaths, int64_t began_ns)
{
    const char *path = getenv("TONG_CRASH_REPORT");
    if (!path || path[0] == '\0') {
        return;
    }
    char line[512];
    const int n =
        snprintf(line, sizeof(line), "%s\t%s\t%s\t%llu\t%llu\t%.2f\n", deaths->operation,
                 deaths->role, deaths->kind, (unsigned long long)deaths->points,
                 (unsigned long long)deaths->kills, (double)(kit_now_ns() - began_ns) / 1e9);
    /* One write at the end of the file: the lines of several programs do not mix. */
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (n < 0 || (size_t)n >= sizeof(line) || fd < 0 || write(fd, line, (size_t)n) != n) {
        kit_fail("%s: %s", path, strerror(errno));
    }
    close(fd);
}
