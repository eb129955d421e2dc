/* A descriptor for event loops, and what a sender says of a message: every call fails once. See fail.h. */
/* What lies in an open mailbox was made for its receivers. */
#define FAIL_NEVER EACCES
#include <poll.h>

#include "fail.h"

#define REPLIES "replies"

static bool is_readable(int fd)
{
    struct pollfd one = { .fd = fd, .events = POLLIN };
    const int n = poll(&one, 1, 0);
    kit_true(n >= 0);
    return n == 1;
}

/* ------------------------------------------------------------------ before */

static void with_both(struct fail_stage *s)
{
    s->in = kit_create(FAIL_BOX, NULL);
    s->out = kit_open(FAIL_BOX, TONG_SEND, NULL);
}

static void with_one(struct fail_stage *s)
{
    with_both(s);
    kit_ok(fail_send(s, s->out, 100, 0));
}

static void with_a_descriptor(struct fail_stage *s)
{
    with_both(s);
    s->listed = tong_fd(s->in, TONG_RECEIVE);
    kit_true(s->listed >= 0 && !is_readable(s->listed));
}

static void with_a_readable_descriptor(struct fail_stage *s)
{
    with_a_descriptor(s);
    kit_ok(fail_send(s, s->out, 100, 0));
    kit_true(is_readable(s->listed));
}

static void with_a_said_one(struct fail_stage *s)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with_both(s);
    with.tag = 7;
    const uint64_t id = fail_write(s, 100);
    kit_ok(tong_send_with(s->out, s->data, 100, &with, 0));
    fail_promise(s, id, 100);
}

/* ------------------------------------------------------------------ the operations */

static int64_t ask_for_one(struct fail_stage *s)
{
    return tong_fd(s->in, TONG_RECEIVE);
}

static int64_t send_to_it(struct fail_stage *s)
{
    return fail_send(s, s->out, 100, 0);
}

static int64_t take_one(struct fail_stage *s)
{
    const ssize_t n = tong_receive(s->in, s->data, 200, 0);
    if (n >= 0) {
        fail_take(s, s->data, (size_t)n);
    }
    return n;
}

static int64_t send_all_that_can_be_said(struct fail_stage *s)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.key = 5;
    with.tag = 6;
    with.reply_to = REPLIES;
    with.expiry_ns = TONG_SEC(3600);
    const uint64_t id = fail_write(s, 100);
    const int r = tong_send_with(s->out, s->data, 100, &with, 0);
    if (r == 0) {
        fail_promise(s, id, 100);
    }
    return r;
}

static int64_t receive_and_be_told(struct fail_stage *s)
{
    tong_message info = TONG_MESSAGE_INIT;
    const ssize_t n = tong_receive_with(s->in, s->data, 200, NULL, 0, &info);
    if (n >= 0) {
        kit_equal(info.tag, 7);
        fail_take(s, s->data, (size_t)n);
    }
    return n;
}

/* ------------------------------------------------------------------ what must hold */

/* Its level is right, now and with the next message. */
static void tells_right(struct fail_stage *s, int fd)
{
    kit_true(fd >= 0);
    if (s->n_waiting == 0) {
        kit_is_empty(s->in);
        kit_true(!is_readable(fd));
        kit_ok(fail_send(s, s->out, 100, 0));
    }
    kit_until(is_readable(fd));
    fail_drain(s, s->in);
    kit_true(!is_readable(fd));
}

static void was_given(struct fail_stage *s, int64_t answer)
{
    if (answer >= 0) {
        kit_true(is_readable((int)answer) == (s->n_waiting != 0));
    }
    tells_right(s, tong_fd(s->in, TONG_RECEIVE));
}

static void still_tells(struct fail_stage *s, int64_t answer)
{
    (void)answer;
    kit_true(tong_fd(s->in, TONG_RECEIVE) == s->listed);
    tells_right(s, s->listed);
}

FAIL_SCENE(a_descriptor, "fd, first of a handle", "tong_fd", with_both, ask_for_one, was_given)
FAIL_SCENE(a_descriptor_of_a_full_one, "fd, with a message", "tong_fd", with_one, ask_for_one,
           was_given)
FAIL_SCENE(a_send_to_one_who_polls, "send, first, polled", "tong_send", with_a_descriptor,
           send_to_it, still_tells)
FAIL_SCENE(a_receive_of_one_who_polls, "receive, polled", "tong_receive",
           with_a_readable_descriptor, take_one, still_tells)
FAIL_SCENE(a_send_with_all, "send_with, first of a handle", "tong_send_with", with_both,
           send_all_that_can_be_said, NULL)
FAIL_SCENE(a_receive_that_is_told, "receive_with, first of a handle", "tong_receive_with",
           with_a_said_one, receive_and_be_told, NULL)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_descriptor, 120),
    KIT_TEST_LONG(a_descriptor_of_a_full_one, 120),
    KIT_TEST_LONG(a_send_to_one_who_polls, 120),
    KIT_TEST_LONG(a_receive_of_one_who_polls, 120),
    KIT_TEST_LONG(a_send_with_all, 120),
    KIT_TEST_LONG(a_receive_that_is_told, 120),
};

KIT_MAIN(tests)
