/* What the examples share: an error ends the program with a sentence; a function in a child process. */
#ifndef EXAMPLES_CHECK_H
#define EXAMPLES_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tong/tong.h>

/* r as it is, unless it is an error. */
static inline long check(long r, const char *what)
{
    if (r < 0) {
        fprintf(stderr, "%s: %s\n", what, tong_strerror((int)r));
        exit(1);
    }
    return r;
}

/* Run a function in a process of its own. A handle from before fork() is of no use there: open again. */
static inline pid_t start(void (*run)(void))
{
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        run();
        fflush(stdout);
        _exit(0);
    }
    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    return pid;
}

static inline void join(pid_t pid)
{
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "process %d ended with status %d\n", (int)pid, status);
        exit(1);
    }
}

#endif
