/*
 * circle N - N processes in a circle of waiting, for the tests of the command that looks at them.
 *
 * Process i receives from the mailbox circle.i, and sends to the next one's until there is no room;
 * nobody takes anything out. Says "full" when the first sender found no room; ends with its standard
 * input. The mailboxes stay.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <tong/tong.h>

static tong_mailbox *open_at(int i, unsigned flags)
{
    char name[TONG_NAME_MAX];
    tong_options options = TONG_OPTIONS_INIT;
    tong_mailbox *box = NULL;
    options.capacity = 2;
    snprintf(name, sizeof(name), "circle.%d", i);
    const int r = tong_open(name, flags | TONG_CREATE, &options, &box);
    if (r < 0) {
        fprintf(stderr, "circle: %s: %s\n", name, tong_strerror(r));
        exit(1);
    }
    return box;
}

static void stand_in_circle(int i, int n, int ready)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    tong_mailbox *const in = open_at(i, TONG_RECEIVE);
    tong_mailbox *const out = open_at((i + 1) % n, TONG_SEND);
    while (tong_send(out, "x", 1, 0) == 0) {
    }
    if (write(ready, "r", 1) == 1) {
        (void)tong_send(out, "y", 1, TONG_FOREVER);
    }
    tong_close(in);
    tong_close(out);
    _exit(0);
}

int main(int argc, char **argv)
{
    const int n = argc == 2 ? atoi(argv[1]) : 0;
    int ends[2];
    char c;
    if (n < 1 || pipe(ends) < 0) {
        return 2;
    }
    for (int i = 0; i < n; i++) {
        if (fork() == 0) {
            stand_in_circle(i, n, ends[1]);
        }
    }
    for (int i = 0; i < n; i++) {
        if (read(ends[0], &c, 1) != 1) {
            return 1;
        }
    }
    puts("full");
    fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) > 0) {
    }
    return 0;
}
