/*
 * pipe - the system's own pipe beside a mailbox: a pipe carries bytes, a mailbox messages.
 *
 * Two writes into a pipe may come out as one read: where one message ends the reader must find out. Two
 * sends come out as two messages. A pipe joins relatives; a mailbox has a name and anybody may come.
 */
#include "check.h"

#define NAME "pipe.box"

int main(void)
{
    int fds[2];
    char text[16];
    if (pipe(fds) != 0 || write(fds[1], "one", 3) != 3 || write(fds[1], "two", 3) != 3) {
        perror("pipe");
        return 1;
    }
    const ssize_t n = read(fds[0], text, sizeof(text));
    printf("out of the pipe at once: \"%.*s\"\n", (int)n, text);
    close(fds[0]);
    close(fds[1]);

    tong_mailbox *box;
    check(tong_open(NAME, TONG_SEND | TONG_RECEIVE | TONG_CREATE, NULL, &box), "create");
    check(tong_send(box, "one", 3, 0), "send");
    check(tong_send(box, "two", 3, 0), "send");
    for (int i = 0; i < 2; i++) {
        const long len = check(tong_receive(box, text, sizeof(text), 0), "receive");
        printf("out of the mailbox: \"%.*s\"\n", (int)len, text);
    }
    tong_close(box);
    check(tong_remove(NAME), "remove");
    return 0;
}
