/*
 * blocking - send and receive may each wait or not: the four combinations.
 *
 * A send that waits returns when there is room; at capacity 0 that is when somebody received. One that
 * does not wait says -EAGAIN. The same on the other side. A time between is a time-out.
 */
#include <errno.h>

#include "check.h"

#define NAME "blocking.box"

static const char *word(long r)
{
    return r >= 0 ? "done" : r == -EAGAIN ? "-EAGAIN" : r == -ETIMEDOUT ? "-ETIMEDOUT" : "?";
}

static void make(tong_mailbox **ret_box)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.capacity = 1;
    check(tong_open(NAME, TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options, ret_box), "create");
}

static void sender_that_waits(void)
{
    tong_mailbox *box;
    check(tong_open(NAME, TONG_SEND, NULL, &box), "open");
    check(tong_send(box, "1", 1, TONG_FOREVER), "send");
    check(tong_send(box, "2", 1, TONG_FOREVER), "send"); /* waits until the first is received */
    tong_close(box);
}

static void receiver_that_waits(void)
{
    tong_mailbox *box;
    char c;
    check(tong_open(NAME, TONG_RECEIVE, NULL, &box), "open");
    check(tong_receive(box, &c, 1, TONG_FOREVER), "receive");
    tong_close(box);
}

int main(void)
{
    tong_mailbox *box;
    char c;
    make(&box);
    printf("neither waits:      receive %s, ", word(tong_receive(box, &c, 1, 0)));
    printf("send %s, ", word(tong_send(box, "1", 1, 0)));
    printf("send %s, ", word(tong_send(box, "2", 1, 0)));
    printf("receive %s\n", word(tong_receive(box, &c, 1, 0)));

    pid_t pid = start(sender_that_waits);
    int n = 0;
    while (n < 2) {
        n += tong_receive(box, &c, 1, 0) == 1; /* it could do other work here */
    }
    join(pid);
    printf("the sender waits:   %d received without waiting\n", n);

    pid = start(receiver_that_waits);
    printf("the receiver waits: send %s\n", word(tong_send(box, "3", 1, 0)));
    join(pid);

    pid = start(sender_that_waits);
    for (n = 0; n < 2; n++) {
        check(tong_receive(box, &c, 1, TONG_FOREVER), "receive");
    }
    join(pid);
    printf("both wait:          %d received, each when it was there\n", n);
    printf("up to a time:       receive %s\n", word(tong_receive(box, &c, 1, TONG_MS(1))));
    tong_close(box);
    check(tong_remove(NAME), "remove");
    return 0;
}
