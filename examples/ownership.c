/*
 * ownership - whose is a mailbox? Its process's: only that one receives, and it ends with it. The
 * system's: it stays until somebody removes it, and so do the messages in it.
 */
#include <errno.h>
#include <signal.h>

#include "check.h"

#define MINE "ownership.process"
#define OURS "ownership.system"

static void owner(void)
{
    tong_mailbox *mine;
    tong_mailbox *ours;
    tong_options options = TONG_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    check(tong_open(MINE, TONG_RECEIVE | TONG_CREATE, &options, &mine), "create");
    check(tong_open(OURS, TONG_SEND | TONG_CREATE, NULL, &ours), "create");
    check(tong_send(ours, "still here", 10, 0), "send");
    raise(SIGKILL);
}

static void say(const char *what, int r, int expected, const char *text)
{
    printf("%s: %s\n", what, r == expected ? text : tong_strerror(r));
}

static void other(void)
{
    tong_mailbox *box;
    say("another process receives", tong_open(MINE, TONG_RECEIVE, NULL, &box), -EPERM, "-EPERM");
}

int main(void)
{
    tong_mailbox *box;
    char text[16];
    int status;
    waitpid(start(owner), &status, 0);
    printf("the process that made both was killed\n");
    say("its own mailbox", tong_open(MINE, TONG_SEND, NULL, &box), -ENOENT,
        "gone with it, -ENOENT");
    check(tong_open(OURS, TONG_RECEIVE, NULL, &box), "open");
    const long n = check(tong_receive(box, text, sizeof(text), 0), "receive");
    printf("the system's: \"%.*s\"\n", (int)n, text);
    tong_close(box);
    check(tong_remove(OURS), "remove");
    say("and removed", tong_open(OURS, TONG_RECEIVE, NULL, &box), -ENOENT, "-ENOENT");

    /* Only the owner receives; others send. */
    tong_options options = TONG_OPTIONS_INIT;
    tong_mailbox *mine;
    options.owner = TONG_PROCESS;
    check(tong_open(MINE, TONG_RECEIVE | TONG_CREATE, &options, &mine), "create");
    join(start(other));
    tong_close(mine);
    return 0;
}
