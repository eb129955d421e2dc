/*
 * uv_server - mailboxes in libuv's event loop.
 *
 * A server with one loop: it takes orders from one mailbox and sends the answers to another one that holds
 * four. A uv_poll_t over tong_fd() watches each of them, for UV_READABLE, whether it is received from or sent
 * to; nothing is read from the descriptor. An answer for which there is no room (-EAGAIN) stops the watch for
 * orders and starts the one for room, until it is sent. A timer beside them shows that the loop is free for
 * other work meanwhile.
 */
#include <errno.h>
#include <uv.h>

#include "check.h"

enum {
    ORDERS = 200,
    ROOM = 4
};

static const char *const orders = "uv_server.orders";
static const char *const answers = "uv_server.answers";

static void client(void)
{
    tong_mailbox *out, *in;
    int right = 0;
    check(tong_open(orders, TONG_SEND, NULL, &out), "open");
    check(tong_open(answers, TONG_RECEIVE, NULL, &in), "open");
    for (int i = 1; i <= ORDERS; i++) { /* all of them, before the first answer is taken */
        check(tong_send(out, &i, sizeof(i), TONG_SEC(10)), "send");
    }
    for (int i = 1; i <= ORDERS; i++) {
        int answer;
        check(tong_receive(in, &answer, sizeof(answer), TONG_SEC(10)), "receive");
        right += answer == 2 * i;
    }
    printf("the client has %d answers to %d orders\n", right, ORDERS);
    tong_close(out);
    tong_close(in);
}

struct server {
    uv_poll_t for_orders;
    uv_poll_t for_room;
    uv_timer_t timer;
    tong_mailbox *in;
    tong_mailbox *out;
    int answer; /* not sent yet; 0 none */
    int answered;
    int full; /* how often there was no room */
    int ticks;
};

/* 1: it is done; 0: it would have to wait. */
static int done(ssize_t answer, const char *what)
{
    return answer == -EAGAIN ? 0 : check(answer, what) >= 0;
}

static void on_ready(uv_poll_t *poll, int status, int events);

static void watch(struct server *s, int for_room)
{
    uv_poll_stop(for_room ? &s->for_orders : &s->for_room);
    check(uv_poll_start(for_room ? &s->for_room : &s->for_orders, UV_READABLE, on_ready), "watch");
}

/* There are orders, or room: go on until one side would have to wait. */
static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct server *s = poll->data;
    const int was_full = s->answer != 0;
    int order;
    (void)events;
    check(status, "poll");
    while (s->answer != 0 || done(tong_receive(s->in, &order, sizeof(order), 0), "receive")) {
        s->answer = s->answer != 0 ? s->answer : 2 * order;
        if (!done(tong_send(s->out, &s->answer, sizeof(s->answer), 0), "send")) {
            break;
        }
        s->answer = 0;
        s->answered++;
    }
    if ((s->answer != 0) != was_full) {
        s->full += s->answer != 0;
        watch(s, s->answer != 0);
    }
    if (s->answered == ORDERS) {
        uv_stop(poll->loop);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct server *s = timer->data;
    s->ticks++;
    check(s->ticks < 10000 ? 0 : -ETIMEDOUT, "the loop");
}

static void begin(uv_loop_t *loop, struct server *s)
{
    check(uv_poll_init(loop, &s->for_orders, (int)check(tong_fd(s->in, TONG_RECEIVE), "fd")),
          "watch");
    check(uv_poll_init(loop, &s->for_room, (int)check(tong_fd(s->out, TONG_SEND), "fd")), "watch");
    check(uv_timer_init(loop, &s->timer), "timer");
    s->for_orders.data = s->for_room.data = s->timer.data = s;
    check(uv_timer_start(&s->timer, on_tick, 0, 1), "timer");
    watch(s, 0);
}

/* The watches go before the descriptors, which tong_close() closes. */
static void end(uv_loop_t *loop, struct server *s)
{
    uv_close((uv_handle_t *)&s->for_orders, NULL);
    uv_close((uv_handle_t *)&s->for_room, NULL);
    uv_close((uv_handle_t *)&s->timer, NULL);
    check(uv_run(loop, UV_RUN_DEFAULT), "run");
    check(uv_loop_close(loop), "close");
    tong_close(s->in);
    tong_close(s->out);
}

int main(void)
{
    uv_loop_t loop;
    struct server s = { .ticks = 0 };
    tong_options small = TONG_OPTIONS_INIT;
    small.capacity = ROOM;
    check(tong_open(orders, TONG_RECEIVE | TONG_CREATE, NULL, &s.in), "open");
    check(tong_open(answers, TONG_SEND | TONG_CREATE, &small, &s.out), "open");
    const pid_t pid = start(client);

    check(uv_loop_init(&loop), "loop");
    begin(&loop, &s);
    uv_run(&loop, UV_RUN_DEFAULT);
    join(pid);
    printf("the server sent %d answers; %s, and the timer went on\n", s.answered,
           s.full != 0 ? "it waited for room, too" : "there was always room");
    end(&loop, &s);
    tong_remove(orders);
    tong_remove(answers);
    return 0;
}
