/*
 * log_collector [PROCESSES] - many processes write their log into one mailbox, one collects.
 *
 * Each has a link of its own: a process that writes much, or is killed in the middle of a line, disturbs
 * no other. Here every tenth is killed after its lines; no line that was sent is lost.
 */
#include <signal.h>
#include <string.h>

#include "check.h"

#define NAME "log_collector.lines"

enum {
    LINES = 3
};

static int number;

static void worker(void)
{
    tong_mailbox *lines;
    char line[64];
    check(tong_open(NAME, TONG_SEND, NULL, &lines), "open");
    for (int i = 1; i <= LINES; i++) {
        const int n = snprintf(line, sizeof(line), "process %d: line %d", number, i);
        check(tong_send(lines, line, (size_t)n, TONG_FOREVER), "send");
    }
    if (number % 10 == 0) {
        raise(SIGKILL);
    }
    tong_close(lines);
}

int main(int argc, char **argv)
{
    const int processes = argc > 1 ? atoi(argv[1]) : 1000;
    tong_mailbox *lines;
    char line[64];
    check(tong_open(NAME, TONG_RECEIVE | TONG_CREATE, NULL, &lines), "create");
    for (number = 1; number <= processes; number++) {
        (void)start(worker);
    }
    int n = 0;
    for (; n < LINES * processes; n++) {
        check(tong_receive(lines, line, sizeof(line), TONG_SEC(60)), "receive");
    }
    int killed = 0;
    int status;
    while (wait(&status) > 0) {
        killed += WIFSIGNALED(status);
    }
    printf("%d lines of %d processes, %d of which were killed\n", n, processes, killed);
    tong_close(lines);
    check(tong_remove(NAME), "remove");
    return 0;
}
