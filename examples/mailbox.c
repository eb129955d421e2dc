/*
 * mailbox - indirect communication: P and Q share mailbox A, and need not know each other.
 *
 * P may go and come back under any name or number: Q knows the mailbox alone. That is what direct
 * naming cannot do.
 */
#include <string.h>

#include "check.h"

#define NAME "mailbox.A"

static void p(void)
{
    tong_mailbox *a;
    check(tong_open(NAME, TONG_SEND, NULL, &a), "open");
    check(tong_send(a, "hello", 5, TONG_FOREVER), "send");
    tong_close(a);
}

int main(void)
{
    tong_mailbox *a;
    char text[16];
    check(tong_open(NAME, TONG_RECEIVE | TONG_CREATE, NULL, &a), "create");
    for (int life = 1; life <= 2; life++) {
        const pid_t sender = start(p);
        const long n = check(tong_receive(a, text, sizeof(text), TONG_SEC(10)), "receive");
        printf("Q received \"%.*s\" from the P of life %d\n", (int)n, text, life);
        join(sender);
    }
    tong_close(a);
    check(tong_remove(NAME), "remove");
    return 0;
}
