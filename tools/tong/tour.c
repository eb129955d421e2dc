/*
 * tour.c - the stage of `tong tour`: a folder of its own, processes, and who tells of them.
 */
#include "tour.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE TONG_SEC(30)

const char *tour_in(const struct tour *tour, const char *english, const char *korean)
{
    return tour->korean ? korean : english;
}

void tour_say(struct tour *tour, const char *format, ...)
{
    char line[256];
    va_list list;
    va_start(list, format);
    int len = vsnprintf(line, sizeof(line) - 1, format, list);
    va_end(list);
    len = len < (int)sizeof(line) - 2 ? len : (int)sizeof(line) - 2;
    line[len++] = '\n';
    /* Short enough to be written at once, whoever else writes. */
    if (write(tour->said, line, (size_t)len) != len) {
        _exit(TOOL_FAILED);
    }
}

long tour_check(struct tour *tour, const char *what, long r, long wanted)
{
    if (wanted < 0 ? r != wanted : r < 0) {
        tour_say(tour, "!! %s: %s", what, r < 0 ? tong_strerror((int)r) : "?");
        _exit(TOOL_FAILED);
    }
    return r;
}

tong_mailbox *tour_open(struct tour *tour, const char *name, unsigned flags,
                        const tong_options *options)
{
    tong_mailbox *box = NULL;
    tour_check(tour, name, tong_open(name, flags, options, &box), 0);
    return box;
}

void tour_send(struct tour *tour, tong_mailbox *box, const char *text)
{
    tour_check(tour, "send", tong_send(box, text, strlen(text), PATIENCE), 0);
}

void tour_receive(struct tour *tour, tong_mailbox *box, char ret_text[32])
{
    const long n = tour_check(tour, "receive", tong_receive(box, ret_text, 31, PATIENCE), 0);
    ret_text[n] = '\0';
}

void tour_create(struct tour *tour, const char *name, uint32_t capacity)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.capacity = capacity;
    tong_close(tour_open(tour, name, TONG_SEND | TONG_CREATE | TONG_EXCL, &options));
}

bool tour_join(struct tour *tour)
{
    bool good = true;
    for (size_t i = 0; i < tour->n; i++) {
        int status = 0;
        while (waitpid(tour->pids[i], &status, 0) < 0 && errno == EINTR) {
            (void)kill(tour->pids[i], SIGKILL);
        }
        good = good && (status == 0 || (tour->dies[i] && WIFSIGNALED(status)));
    }
    tour->n = 0;
    return good;
}

static void start(struct tour *tour, void (*act)(struct tour *tour), bool dies)
{
    fflush(stdout);
    const pid_t narrator = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGINT, SIG_DFL);
        (void)signal(SIGTERM, SIG_DFL);
        (void)signal(SIGHUP, SIG_DFL);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        tour->n = 0;
        if (getppid() == narrator) {
            act(tour);
        }
        _exit(tour_join(tour) ? TOOL_DONE : TOOL_FAILED);
    }
    tour_check(tour, "fork", pid < 0 ? -errno : 0, 0);
    tour->pids[tour->n] = pid;
    tour->dies[tour->n++] = dies;
}

void tour_start(struct tour *tour, void (*act)(struct tour *tour))
{
    start(tour, act, false);
}

void tour_start_mortal(struct tour *tour, void (*act)(struct tour *tour))
{
    start(tour, act, true);
}

void tour_until_asleep(struct tour *tour, const char *name, uint32_t n)
{
    tong_status status = TONG_STATUS_INIT;
    const time_t deadline = time(NULL) + PATIENCE / TONG_SEC(1);
    do {
        (void)sched_yield();
        tour_check(tour, name, tong_stat(name, &status), 0);
        tour_check(tour, name, time(NULL) < deadline ? 0 : -ETIMEDOUT, 0);
    } while (status.receivers_asleep < n);
}
