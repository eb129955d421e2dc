/*
 * unbounded - a buffer without a limit in messages: the producer never waits, the consumer only while
 * it is empty. What it takes is memory, and max_bytes bounds that.
 */
#include <errno.h>
#include <string.h>

#include "check.h"

#define NAME "unbounded.items"

int main(void)
{
    tong_mailbox *items;
    tong_options options = TONG_OPTIONS_INIT;
    tong_status status = TONG_STATUS_INIT;
    char item[1000];
    options.capacity = TONG_UNBOUNDED;
    options.link_capacity = TONG_UNBOUNDED;
    options.max_bytes = 4 << 20;
    check(tong_open(NAME, TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options, &items), "create");
    memset(item, 'x', sizeof(item));
    for (int i = 0; i < 2000; i++) {
        check(tong_send(items, item, sizeof(item), 0), "send");
    }
    check(tong_stat(NAME, &status), "stat");
    printf("2000 messages sent without waiting, %d wait\n", (int)status.waiting);
    int more = 0;
    int r;
    while ((r = tong_send(items, item, sizeof(item), 0)) == 0) {
        more++;
    }
    printf("%s more, until the memory allowed is full: %s\n", more > 500 ? "hundreds" : "too few",
           r == -ENOSPC ? "-ENOSPC" : tong_strerror(r));
    for (int i = 0; i < 2000 + more; i++) {
        check(tong_receive(items, item, sizeof(item), 0), "receive");
    }
    r = (int)tong_receive(items, item, sizeof(item), 0);
    printf("then it is empty: %s\n", r == -EAGAIN ? "-EAGAIN" : tong_strerror(r));
    tong_close(items);
    check(tong_remove(NAME), "remove");
    return 0;
}
