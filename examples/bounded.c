/*
 * bounded - a buffer of three messages: the producer waits while it is full, the consumer while it is
 * empty.
 */
#include <errno.h>

#include "check.h"

#define NAME "bounded.items"

static void consumer(void)
{
    tong_mailbox *items;
    int item;
    check(tong_open(NAME, TONG_RECEIVE, NULL, &items), "open");
    for (int i = 0; i < 6; i++) {
        check(tong_receive(items, &item, sizeof(item), TONG_SEC(10)), "receive");
        printf("consumer: item %d\n", item);
    }
    tong_close(items);
}

int main(void)
{
    tong_mailbox *items;
    tong_options options = TONG_OPTIONS_INIT;
    options.capacity = 3;
    check(tong_open(NAME, TONG_SEND | TONG_CREATE, &options, &items), "create");
    int item = 1;
    while (tong_send(items, &item, sizeof(item), 0) == 0) {
        printf("producer: item %d is in the buffer\n", item++);
    }
    const int r = tong_send(items, &item, sizeof(item), 0);
    printf("producer: item %d: %s\n", item, r == -EAGAIN ? "the buffer is full" : tong_strerror(r));
    const pid_t pid = start(consumer);
    for (; item <= 6; item++) {
        check(tong_send(items, &item, sizeof(item), TONG_SEC(10)), "send"); /* waits for room */
    }
    join(pid);
    tong_close(items);
    check(tong_remove(NAME), "remove");
    return 0;
}
