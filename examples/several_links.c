/*
 * several_links - P and Q share two mailboxes: two links between one pair, one for each mailbox.
 *
 * What goes into one does not come out of the other, and each has its own rules: A keeps one message,
 * B any number.
 */
#include <errno.h>

#include "check.h"

static void p(void)
{
    tong_mailbox *a;
    tong_mailbox *b;
    check(tong_open("several_links.A", TONG_SEND, NULL, &a), "open");
    check(tong_open("several_links.B", TONG_SEND, NULL, &b), "open");
    check(tong_send(a, "to A", 4, 0), "send");
    printf("P: a second one into A: %s\n",
           tong_send(a, "more", 4, 0) == -EAGAIN ? "it is full" : "there was room");
    check(tong_send(b, "to B", 4, 0), "send");
    check(tong_send(b, "to B", 4, 0), "send");
    tong_close(a);
    tong_close(b);
}

int main(void)
{
    tong_mailbox *a;
    tong_mailbox *b;
    tong_status status = TONG_STATUS_INIT;
    tong_options one = TONG_OPTIONS_INIT;
    char text[16];
    one.capacity = 1;
    check(tong_open("several_links.A", TONG_RECEIVE | TONG_CREATE, &one, &a), "create");
    check(tong_open("several_links.B", TONG_RECEIVE | TONG_CREATE, NULL, &b), "create");
    join(start(p));
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "several_links.A" : "several_links.B";
        check(tong_stat(name, &status), "stat");
        printf("%c: %u link, %d waiting\n", name[14], status.links, (int)status.waiting);
    }
    check(tong_receive(b, text, sizeof(text), 0), "receive");
    printf("Q: out of B: %.4s\n", text);
    check(tong_receive(a, text, sizeof(text), 0), "receive");
    printf("Q: out of A: %.4s\n", text);
    tong_close(a);
    tong_close(b);
    check(tong_remove("several_links.A"), "remove");
    check(tong_remove("several_links.B"), "remove");
    return 0;
}
