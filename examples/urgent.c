/*
 * urgent - what comes first, and what waits.
 *
 * A mailbox that is ordered by priority gives the urgent message before the ones sent earlier. A receiver that asks for
 * one tag takes the first message with it; the others wait, in their order. And a message that expires is
 * thrown away instead of being delivered late.
 */
#include <errno.h>
#include <string.h>

#include "check.h"

#define BOX "urgent.box"

enum {
    ORDERS = 1, /* tags: what a message is */
    REPORTS = 2
};

static void post(tong_mailbox *box, const char *text, uint32_t priority, uint64_t tag,
                 int64_t expiry_ns)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.priority = priority;
    with.tag = tag;
    with.expiry_ns = expiry_ns;
    check(tong_send_with(box, text, strlen(text), &with, TONG_FOREVER), "send");
}

static void print_next(tong_mailbox *box, const char *what, const tong_receive_options *want)
{
    char text[64];
    const ssize_t n = tong_receive_with(box, text, sizeof(text), want, 0, NULL);
    if (n >= 0) {
        printf("%s: %.*s\n", what, (int)n, text);
    } else {
        printf("%s: %s\n", what, n == -EAGAIN ? "none is there" : tong_strerror((int)n));
    }
}

int main(void)
{
    tong_options options = TONG_OPTIONS_INIT;
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    tong_mailbox *box;
    options.by_priority = 1;
    check(tong_open(BOX, TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options, &box), "open");

    post(box, "weekly report", 1, REPORTS, 0);
    post(box, "order 17", 1, ORDERS, 0);
    post(box, "offer of the hour", 1, ORDERS, 1); /* a nanosecond is soon over */
    post(box, "order 18", 1, ORDERS, 0);
    post(box, "the kitchen is on fire", 31, REPORTS, 0);

    print_next(box, "first of all", NULL);
    want.tag = ORDERS;
    print_next(box, "an order", &want);
    print_next(box, "an order", &want);
    print_next(box, "an order", &want);
    print_next(box, "what waited", NULL);

    tong_close(box);
    check(tong_remove(BOX), "remove");
    return 0;
}
