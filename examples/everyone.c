/*
 * everyone - P1 sends, and all who are there have it: each gets every message, in order, at its own pace.
 *
 * Nothing is copied for them: a claim looks at the very bytes that P1 wrote. The slowest one may be
 * link_capacity messages behind, then P1 waits for it; one that dies is not waited for. Who comes late begins
 * with the next message, or with TONG_FROM_OLDEST at the oldest that somebody has not finished.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "check.h"

#define BOX "everyone.news"
#define REPORT "everyone.report"

static tong_mailbox *news;
static tong_mailbox *report;

/* P3 reads A and B, keeps C in its hands, and is killed with it. */
static void p3(void)
{
    tong_mailbox *box;
    tong_mailbox *to;
    tong_message message = TONG_MESSAGE_INIT;
    check(tong_open(BOX, TONG_RECEIVE, NULL, &box), "open");
    check(tong_open(REPORT, TONG_SEND, NULL, &to), "open");
    check(tong_send(to, "!", 1, TONG_FOREVER), "report");
    for (int i = 0; i < 3; i++) {
        check(tong_claim(box, TONG_FOREVER, &message), "claim");
        check(tong_send(to, message.data, 1, TONG_FOREVER), "report");
        if (i < 2) {
            check(tong_done(box, &message), "done");
        }
    }
    pause();
}

static void read_report(char *text, int n)
{
    for (int i = 0; i < n; i++) {
        check(tong_receive(report, &text[i], 1, TONG_FOREVER), "receive");
    }
}

static void send(const char *letters)
{
    for (const char *c = letters; *c != '\0'; c++) {
        check(tong_send(news, c, 1, TONG_SEC(10)), "send");
    }
    printf("P1 sends %s\n", letters);
}

static void show(const char *who, tong_mailbox *box)
{
    char text[16] = "";
    size_t n = 0;
    while (n < sizeof(text) - 1 && tong_receive(box, &text[n], 1, 0) == 1) {
        n++;
    }
    text[n] = '\0';
    printf("   %s has %s\n", who, n != 0 ? text : "nothing");
}

int main(void)
{
    tong_options options = TONG_OPTIONS_INIT;
    tong_mailbox *p2;
    tong_mailbox *p4;
    tong_mailbox *p5;
    char text[4] = "";
    options.delivery = TONG_EVERYONE;
    options.link_capacity = 4;
    check(tong_open(BOX, TONG_SEND | TONG_CREATE, &options, &news), "create");
    check(tong_open(BOX, TONG_RECEIVE, NULL, &p2), "open");
    check(tong_open(REPORT, TONG_RECEIVE | TONG_CREATE, NULL, &report), "create");
    const pid_t pid = start(p3);
    read_report(text, 1); /* it is there */

    send("ABC");
    show("P2", p2);
    read_report(text, 3);
    printf("   P3 has %s, and works on C\n", text);

    check(tong_open(BOX, TONG_RECEIVE, NULL, &p4), "open");
    check(tong_open(BOX, TONG_RECEIVE | TONG_FROM_OLDEST, NULL, &p5), "open");
    printf("P4 comes, and P5, which wants what is kept\n");
    send("DE");
    show("P2", p2);
    show("P4", p4);
    show("P5", p5);

    send("F"); /* and no more: P3 is four messages behind */
    const int full = tong_send(news, "G", 1, 0);
    printf("G: %s\n", tong_strerror(full));
    check(kill(pid, SIGKILL), "kill");
    printf("P3 is killed\n");
    send("GHI");
    show("P2", p2);
    show("P4", p4);
    show("P5", p5);
    waitpid(pid, NULL, 0);
    tong_close(p5);
    tong_close(p4);
    tong_close(p2);
    tong_close(report);
    tong_close(news);
    check(tong_remove(REPORT), "remove");
    check(tong_remove(BOX), "remove");
    return 0;
}
