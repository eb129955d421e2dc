/*
 * direct_symmetric - direct communication, both sides naming each other: send(Q), receive(P).
 *
 * P and Q know each other's names and nothing else. The link between them is made by itself, is one, and
 * is theirs alone: what R sends to Q waits until Q asks for R.
 */
#include <string.h>

#include "check.h"

static void say(tong_process *me, const char *to, const char *text)
{
    check(tong_send_to(me, to, text, strlen(text), TONG_SEC(10)), "send");
}

static void hear(tong_process *me, const char *name, const char *from)
{
    char text[32];
    const long n = check(tong_receive_from(me, from, text, sizeof(text), TONG_SEC(10)), "receive");
    printf("%s receives from %s: %.*s\n", name, from, (int)n, text);
    fflush(stdout);
}

static void p(void)
{
    tong_process *me;
    check(tong_process_open("direct_symmetric.P", NULL, &me), "open");
    say(me, "direct_symmetric.Q", "hello Q");
    hear(me, "P", "direct_symmetric.Q");
    say(me, "direct_symmetric.Q", "goodbye");
    check(tong_process_close(me), "close");
}

static void r(void)
{
    tong_process *me;
    check(tong_process_open("direct_symmetric.R", NULL, &me), "open");
    say(me, "direct_symmetric.Q", "R was first");
    check(tong_process_close(me), "close");
}

static int count(const tong_link *link, void *arg)
{
    (void)link;
    ++*(int *)arg;
    return 0;
}

int main(void)
{
    tong_process *me;
    int links = 0;
    check(tong_process_open("direct_symmetric.Q", NULL, &me), "open");
    join(start(r));
    const pid_t child = start(p);
    hear(me, "Q", "direct_symmetric.P");
    check(tong_links(count, &links), "links");
    printf("links: %d, Q with P and Q with R\n", links);
    fflush(stdout);
    say(me, "direct_symmetric.P", "hello P");
    hear(me, "Q", "direct_symmetric.P");
    hear(me, "Q", "direct_symmetric.R");
    join(child);
    check(tong_process_close(me), "close");
    return 0;
}
