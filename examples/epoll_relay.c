/*
 * epoll_relay - one loop that receives and sends, and never waits in either.
 *
 * The relay takes numbers from one mailbox and sends their squares to another one that holds four. Its only
 * sleep is epoll_wait(2). While there is room it watches for numbers; when a send would have to wait
 * (-EAGAIN) it watches for room instead: tong_fd(box, TONG_SEND) is readable, not writable, while there is
 * some. What it cannot pass on stays where it is, and it has one number in hand at most.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "check.h"

enum {
    NUMBERS = 200,
    ROOM = 4
};

static const char *const from = "epoll_relay.numbers";
static const char *const to = "epoll_relay.squares";

static void producer(void)
{
    tong_mailbox *box;
    check(tong_open(from, TONG_SEND, NULL, &box), "open");
    for (int i = 1; i <= NUMBERS; i++) {
        check(tong_send(box, &i, sizeof(i), TONG_SEC(10)), "send");
    }
    tong_close(box);
}

static void consumer(void)
{
    tong_mailbox *box;
    int in_order = 1;
    check(tong_open(to, TONG_RECEIVE, NULL, &box), "open");
    for (int i = 1; i <= NUMBERS; i++) {
        int square;
        check(tong_receive(box, &square, sizeof(square), TONG_SEC(10)), "receive");
        in_order = in_order && square == i * i;
    }
    printf("the consumer has %d squares, %s\n", NUMBERS, in_order ? "in order" : "in disorder");
    tong_close(box);
}

struct relay {
    tong_mailbox *in;
    tong_mailbox *out;
    int loop;
    int held; /* a square for which there was no room; 0 none */
    int passed;
    int full; /* how often that was so */
};

static void watch(const struct relay *r, int for_room)
{
    struct epoll_event event = { .events = EPOLLIN };
    const int fds[2] = { (int)check(tong_fd(r->in, TONG_RECEIVE), "fd"),
                         (int)check(tong_fd(r->out, TONG_SEND), "fd") };
    (void)epoll_ctl(r->loop, EPOLL_CTL_DEL, fds[!for_room], NULL);
    check(epoll_ctl(r->loop, EPOLL_CTL_ADD, fds[for_room], &event) == 0 ? 0 : -errno, "epoll_ctl");
}

/* 1: it is done; 0: it would have to wait. */
static int done(ssize_t answer, const char *what)
{
    return answer == -EAGAIN ? 0 : check(answer, what) >= 0;
}

/* What is in hand, then all that is there, until one side would have to wait. */
static void pass_on(struct relay *r)
{
    const int was_held = r->held;
    int number;
    while (r->held != 0 || done(tong_receive(r->in, &number, sizeof(number), 0), "receive")) {
        r->held = r->held != 0 ? r->held : number * number;
        if (!done(tong_send(r->out, &r->held, sizeof(r->held), 0), "send")) {
            break;
        }
        r->held = 0;
        r->passed++;
    }
    if ((r->held != 0) != (was_held != 0)) {
        r->full += r->held != 0;
        watch(r, r->held != 0);
    }
}

int main(void)
{
    struct relay r = { .loop = (int)check(epoll_create1(0), "epoll_create1") };
    tong_options small = TONG_OPTIONS_INIT;
    small.capacity = ROOM;
    check(tong_open(from, TONG_RECEIVE | TONG_CREATE, NULL, &r.in), "open");
    check(tong_open(to, TONG_SEND | TONG_CREATE, &small, &r.out), "open");
    watch(&r, 0);

    const pid_t producing = start(producer);
    pid_t consuming = 0;
    while (r.passed < NUMBERS) {
        struct epoll_event event;
        check(epoll_wait(r.loop, &event, 1, 10000) == 1 ? 0 : -ETIMEDOUT, "epoll_wait");
        pass_on(&r);
        if (consuming == 0 && r.full != 0) {
            printf("full after %d squares: the relay watches for room\n", r.passed);
            consuming = start(consumer);
        }
    }
    join(producing);
    join(consuming);
    printf("the relay passed on %d numbers\n", r.passed);
    tong_close(r.in);
    tong_close(r.out);
    tong_remove(from);
    tong_remove(to);
    close(r.loop);
    return 0;
}
