/*
 * renaming - the trouble with direct naming: whoever knows a process by name must be told of a new one.
 *
 * Q is called Q2 from now on. P, which was written with the name Q in it, finds nobody; what it had sent
 * before is not lost. With a mailbox between them P notices nothing: that is indirect communication.
 */
#include <errno.h>

#include "check.h"

#define OLD "renaming.Q"
#define NEW "renaming.Q2"
#define BOX "renaming.mailbox"

static void print(const char *what, long r)
{
    printf("%s: %s\n", what, r >= 0 ? "it arrives" : r == -ENOENT ? "-ENOENT, no such name" : "?");
}

int main(void)
{
    tong_process *p;
    tong_process *q;
    tong_mailbox *box;
    char text[16];
    check(tong_process_open("renaming.P", NULL, &p), "open");
    check(tong_process_open(OLD, NULL, &q), "open");
    check(tong_open(BOX, TONG_SEND | TONG_RECEIVE | TONG_CREATE, NULL, &box), "create");

    check(tong_send_to(p, OLD, "before", 6, 0), "send");
    check(tong_rename(q, NEW), "rename");
    print("P sent to Q before it was renamed", tong_receive_from(q, "renaming.P", text, 16, 0));
    print("P sends to Q", tong_send_to(p, OLD, "after", 5, 0));
    print("P is changed and sends to Q2", tong_send_to(p, NEW, "after", 5, 0));

    check(tong_send(box, "for whoever receives", 20, 0), "send");
    print("P sends to the mailbox, whatever Q is called", tong_skip(box));

    tong_close(box);
    check(tong_remove(BOX), "remove");
    check(tong_process_close(p), "close");
    check(tong_process_close(q), "close");
    return 0;
}
