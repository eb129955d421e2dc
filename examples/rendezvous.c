/*
 * rendezvous - capacity 0: nothing is kept, sender and receiver meet. And how two can wait for each
 * other for ever.
 *
 * P sends to Q before it receives, and Q sends to P before it receives: at capacity 0 both wait for a
 * receiver that does not come. With room for one message, or with one side receiving first, they don't. A
 * time-out finds it out.
 */
#include <errno.h>

#include "check.h"

static uint32_t capacity;

static void open_both(const char *in, const char *out, tong_mailbox **ret_in,
                      tong_mailbox **ret_out)
{
    check(tong_open(in, TONG_RECEIVE, NULL, ret_in), "open");
    check(tong_open(out, TONG_SEND, NULL, ret_out), "open");
}

static const char *exchange(const char *in_name, const char *out_name)
{
    tong_mailbox *in;
    tong_mailbox *out;
    char c;
    open_both(in_name, out_name, &in, &out);
    const int r = tong_send(out, "x", 1, capacity == 0 ? TONG_MS(100) : TONG_SEC(10));
    const char *text = "waited in vain: neither receives";
    if (r == 0) {
        check(tong_receive(in, &c, 1, TONG_SEC(10)), "receive");
        text = "sent, and received";
    } else if (r != -ETIMEDOUT) {
        check(r, "send");
    }
    tong_close(in);
    tong_close(out);
    return text;
}

static void q(void)
{
    (void)exchange("rendezvous.to_q", "rendezvous.to_p");
}

static void receiver(void)
{
    tong_mailbox *box;
    char c;
    check(tong_open("rendezvous.to_q", TONG_RECEIVE, NULL, &box), "open");
    check(tong_receive(box, &c, 1, TONG_SEC(10)), "receive");
    tong_close(box);
}

static void make(void)
{
    tong_mailbox *box;
    tong_options options = TONG_OPTIONS_INIT;
    options.capacity = capacity;
    check(tong_open("rendezvous.to_p", TONG_SEND | TONG_CREATE, &options, &box), "create");
    tong_close(box);
    check(tong_open("rendezvous.to_q", TONG_SEND | TONG_CREATE, &options, &box), "create");
    tong_close(box);
}

static void meet(void)
{
    tong_mailbox *out;
    check(tong_open("rendezvous.to_q", TONG_SEND, NULL, &out), "open");
    const int r = tong_send(out, "x", 1, 0);
    printf("nobody receives: %s\n", r == -EAGAIN ? "-EAGAIN" : "?");
    const pid_t pid = start(receiver);
    check(tong_send(out, "x", 1, TONG_SEC(10)), "send");
    join(pid);
    printf("they met: the send returned when it was received\n");
    tong_close(out);
}

int main(void)
{
    for (capacity = 0; capacity < 2; capacity++) {
        make();
        if (capacity == 0) {
            meet();
        }
        const pid_t pid = start(q);
        printf("both send first, capacity %u: P %s\n", capacity,
               exchange("rendezvous.to_p", "rendezvous.to_q"));
        join(pid);
        check(tong_remove("rendezvous.to_p"), "remove");
        check(tong_remove("rendezvous.to_q"), "remove");
    }
    return 0;
}
