/*
 * epoll_server - one loop over mailboxes and whatever else has a descriptor.
 *
 * The server sleeps in epoll_wait(2) on two mailboxes and a pipe. tong_fd() gives the descriptor of a
 * mailbox: readable while a message is there. It is only watched; messages are taken with
 * tong_receive() and a time-out of 0, as many as one likes at a time.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "check.h"

static const char *const names[2] = { "epoll_server.orders", "epoll_server.news" };
static int stop[2];

static void client(void)
{
    for (int i = 0; i < 2; i++) {
        tong_mailbox *box;
        check(tong_open(names[i], TONG_SEND, NULL, &box), "open");
        for (int k = 0; k < 3; k++) {
            check(tong_send(box, i == 0 ? "order" : "news", i == 0 ? 5 : 4, TONG_SEC(10)), "send");
        }
        tong_close(box);
    }
    check(write(stop[1], "x", 1) == 1 ? 0 : -errno, "write");
}

static void watch(int loop, int fd, uint32_t what)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u32 = what };
    check(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno, "epoll_ctl");
}

/* All that is there. */
static int take(tong_mailbox *box)
{
    char text[16];
    int n = 0;
    ssize_t r;
    while ((r = tong_receive(box, text, sizeof(text), 0)) >= 0) {
        n++;
    }
    if (r != -EAGAIN) {
        check(r, "receive");
    }
    return n;
}

int main(void)
{
    tong_mailbox *boxes[2];
    int got[2] = { 0, 0 };
    int running = 1;
    const int loop = (int)check(epoll_create1(0), "epoll_create1");
    check(pipe(stop) == 0 ? 0 : -errno, "pipe");
    for (uint32_t i = 0; i < 2; i++) {
        check(tong_open(names[i], TONG_RECEIVE | TONG_CREATE, NULL, &boxes[i]), "open");
        watch(loop, (int)check(tong_fd(boxes[i], TONG_RECEIVE), "fd"), i);
    }
    watch(loop, stop[0], 2);

    const pid_t pid = start(client);
    while (running || got[0] + got[1] < 6) {
        struct epoll_event events[4];
        const int n = epoll_wait(loop, events, 4, 10000);
        check(n > 0 ? 0 : -ETIMEDOUT, "epoll_wait");
        for (int i = 0; i < n; i++) {
            const uint32_t what = events[i].data.u32;
            char c;
            if (what < 2) {
                got[what] += take(boxes[what]);
            } else if (read(stop[0], &c, 1) == 1) {
                running = 0;
            }
        }
    }
    join(pid);
    printf("%d orders, %d news, and the pipe said that it is over\n", got[0], got[1]);
    for (int i = 0; i < 2; i++) {
        tong_close(boxes[i]);
        tong_remove(names[i]);
    }
    close(loop);
    return 0;
}
