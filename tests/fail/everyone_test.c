/* To everyone: who comes, who goes, who sends to all: every call in it fails once. See fail.h. */
/* What lies in an open mailbox was made for its receivers. */
#define FAIL_NEVER EACCES
#include <poll.h>

#include "acts.h"

static void with(struct fail_stage *s, uint32_t link_capacity)
{
    tong_options options = kit_options();
    options.delivery = TONG_EVERYONE;
    options.link_capacity = link_capacity;
    s->in = kit_open(FAIL_BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options);
    s->out = kit_open(FAIL_BOX, TONG_SEND, NULL);
}

static void with_one(struct fail_stage *s)
{
    with(s, TONG_DEFAULT);
}

static void send_three(struct fail_stage *s)
{
    for (int i = 0; i < 3; i++) {
        kit_ok(fail_send(s, s->out, 100, 0));
    }
}

static void with_three_messages(struct fail_stage *s)
{
    with_one(s);
    send_three(s);
}

static void with_two(struct fail_stage *s)
{
    with_one(s);
    s->more = kit_open(FAIL_BOX, TONG_RECEIVE, NULL);
}

static void with_two_that_have_three(struct fail_stage *s)
{
    with_two(s);
    send_three(s);
}

/* The sender has sent before one more came. */
static void with_one_more_since(struct fail_stage *s)
{
    with_three_messages(s);
    s->more = kit_open(FAIL_BOX, TONG_RECEIVE, NULL);
}

/* The second one holds the sender up. */
static void with_a_slow_one(struct fail_stage *s)
{
    with(s, 3);
    s->more = kit_open(FAIL_BOX, TONG_RECEIVE, NULL);
    send_three(s);
    fail_drain(s, s->in);
}

static int take_two_and_die(void *arg)
{
    (void)arg;
    uint8_t data[200];
    tong_mailbox *box = kit_open(FAIL_BOX, TONG_RECEIVE, NULL);
    const char ready = 'r';
    kit_report(&ready, 1);
    for (int i = 0; i < 2; i++) {
        kit_gives(tong_receive(box, data, sizeof(data), KIT_PATIENCE), 100);
    }
    kit_report(&ready, 1);
    kit_await_death();
}

static void with_a_dead(struct fail_stage *s, uint32_t link_capacity)
{
    with(s, link_capacity);
    struct kit_child child = kit_spawn(take_two_and_die, NULL);
    char ready;
    kit_read_report(&child, &ready, 1);
    send_three(s);
    kit_read_report(&child, &ready, 1);
    kit_kill(&child);
}

static void with_a_dead_one(struct fail_stage *s)
{
    with_a_dead(s, TONG_DEFAULT);
}

static void with_a_dead_one_in_the_way(struct fail_stage *s)
{
    with_a_dead(s, 3);
    fail_drain(s, s->in);
}

static bool is_readable(int fd)
{
    struct pollfd one = { .fd = fd, .events = POLLIN };
    const int n = poll(&one, 1, 0);
    kit_true(n >= 0);
    return n == 1;
}

static void with_one_in_a_loop(struct fail_stage *s)
{
    with_two(s);
    s->listed = tong_fd(s->more, TONG_RECEIVE);
    kit_true(s->listed >= 0 && !is_readable(s->listed));
}

/* ------------------------------------------------------------------ what is done */

static int64_t come(struct fail_stage *s)
{
    return tong_open(FAIL_BOX, TONG_RECEIVE, NULL, &s->more);
}

static int64_t come_for_the_oldest(struct fail_stage *s)
{
    return tong_open(FAIL_BOX, TONG_RECEIVE | TONG_FROM_OLDEST, NULL, &s->more);
}

static int64_t leave(struct fail_stage *s)
{
    tong_mailbox *box = s->more;
    s->more = NULL;
    return tong_close(box);
}

static int64_t ask_for_one(struct fail_stage *s)
{
    return tong_fd(s->more, TONG_RECEIVE);
}

static int64_t ask_to_send(struct fail_stage *s)
{
    return tong_fd(s->out, TONG_SEND);
}

static int64_t stat_it(struct fail_stage *s)
{
    (void)s;
    tong_status status = TONG_STATUS_INIT;
    return tong_stat(FAIL_BOX, &status);
}

static int note_party(const tong_party *party, void *arg)
{
    struct fail_stage *s = arg;
    kit_true(party->role == TONG_SEND || party->role == TONG_RECEIVE);
    s->listed++;
    return 0;
}

static int64_t look_at_parties(struct fail_stage *s)
{
    return tong_parties(FAIL_BOX, note_party, s);
}

/* ------------------------------------------------------------------ what must hold */

/* The other receiver gets all that waits, too. */
static void has_all(struct fail_stage *s, tong_mailbox *box)
{
    static struct fail_stage other;
    other = *s;
    fail_drain(&other, box);
}

/* It gets what is sent from now on, as the first one does. */
static void takes_part(struct fail_stage *s, tong_mailbox *box)
{
    kit_is_empty(box);
    fail_drain(s, s->in);
    kit_ok(fail_send(s, s->out, 100, 0));
    has_all(s, box);
}

static void is_there_or_not(struct fail_stage *s, int64_t answer)
{
    kit_true((answer == 0) == (s->more != NULL));
    if (answer != 0) {
        kit_equal(kit_stat(FAIL_BOX).receivers, 1);
        kit_ok(come(s));
    }
    kit_equal(kit_stat(FAIL_BOX).receivers, 2);
    takes_part(s, s->more);
}

static void has_the_oldest_or_is_not_there(struct fail_stage *s, int64_t answer)
{
    kit_true((answer == 0) == (s->more != NULL));
    if (answer != 0) {
        kit_ok(come_for_the_oldest(s));
    }
    has_all(s, s->more);
    takes_part(s, s->more);
}

/* What the dead one had finished stays counted, and it is put away at last. */
static void the_dead_one_is_counted(struct fail_stage *s, int64_t answer)
{
    if (answer != 0) {
        kit_ok(come(s));
    }
    kit_ok(tong_close(s->more));
    s->more = kit_open(FAIL_BOX, TONG_RECEIVE, NULL);
    kit_equal(kit_stat(FAIL_BOX).receivers, 2);
    kit_equal(kit_stat(FAIL_BOX).done, 2);
    takes_part(s, s->more);
}

static void left(struct fail_stage *s, int64_t answer)
{
    kit_equal(answer, 0);
    kit_equal(kit_stat(FAIL_BOX).receivers, 1);
    s->more = kit_open(FAIL_BOX, TONG_RECEIVE, NULL);
    takes_part(s, s->more);
}

static void all_have_it(struct fail_stage *s, int64_t answer)
{
    kit_true(answer <= 0);
    has_all(s, s->more);
}

static void the_later_one_has_it(struct fail_stage *s, int64_t answer)
{
    static struct fail_stage other;
    other = *s;
    for (int i = 0; i < 3; i++) {
        fail_forget(&other, 0);
    }
    kit_true(other.n_waiting == (answer == 0 ? 1 : 0));
    fail_drain(&other, s->more);
}

/* The slow one has three still: there is room when it has taken them. */
static void it_waits_for_the_slow_one(struct fail_stage *s, int64_t answer)
{
    uint8_t data[200];
    kit_true(answer < 0);
    for (int i = 0; i < 3; i++) {
        kit_gives(tong_receive(s->more, data, sizeof(data), 0), 100);
    }
    takes_part(s, s->more);
    fail_drain(s, s->in);
    kit_ok(leave(s)); /* what is sent from now on is more than it has room for */
}

static void room_was_found(struct fail_stage *s, int64_t answer)
{
    if (answer != 0) {
        kit_ok(send_one(s));
    }
}

static void the_claim_is_done(struct fail_stage *s, int64_t answer)
{
    if (answer != 0) {
        kit_ok(claim_one(s));
    }
    fail_take(s, s->message[0].data, s->message[0].len);
    kit_ok(tong_done(s->in, &s->message[0]));
}

static void it_is_told(struct fail_stage *s, int64_t answer)
{
    (void)answer;
    const int fd = tong_fd(s->more, TONG_RECEIVE);
    kit_true(fd >= 0);
    if (s->n_waiting == 0) {
        kit_is_empty(s->more);
        kit_true(!is_readable(fd));
        kit_ok(fail_send(s, s->out, 100, 0));
    }
    kit_until(is_readable(fd));
    has_all(s, s->more);
    kit_true(!is_readable(fd));
}

static void the_sender_is_told(struct fail_stage *s, int64_t answer)
{
    uint8_t data[200];
    (void)answer;
    const int fd = tong_fd(s->out, TONG_SEND);
    kit_true(fd >= 0);
    kit_gives(send_one(s), -EAGAIN);
    kit_true(!is_readable(fd));
    kit_gives(tong_receive(s->more, data, sizeof(data), 0), 100);
    kit_until(is_readable(fd));
    kit_ok(leave(s));
}

FAIL_SCENE(joining, "everyone: join", "tong_open", with_three_messages, come, is_there_or_not)
FAIL_SCENE(joining_for_the_oldest, "everyone: join, from the oldest", "tong_open",
           with_three_messages, come_for_the_oldest, has_the_oldest_or_is_not_there)
FAIL_SCENE(joining_behind_a_dead_one, "everyone: join, one is dead", "tong_open", with_a_dead_one,
           come, the_dead_one_is_counted)
FAIL_SCENE(leaving, "everyone: leave", "tong_close", with_two_that_have_three, leave, left)
FAIL_SCENE(sending_first, "everyone: send, first of a handle", "tong_send", with_two, send_one,
           all_have_it)
FAIL_SCENE(sending_to_one_who_came, "everyone: send, one has come", "tong_send",
           with_one_more_since, send_one, the_later_one_has_it)
FAIL_SCENE(sending_to_a_slow_one, "everyone: send, one is slow", "tong_send", with_a_slow_one,
           send_waiting, it_waits_for_the_slow_one)
FAIL_SCENE(sending_past_a_dead_one, "everyone: send, one is dead", "tong_send",
           with_a_dead_one_in_the_way, send_waiting, room_was_found)
FAIL_SCENE(receiving, "everyone: receive, first", "tong_receive", with_three_messages, receive_one,
           NULL)
FAIL_SCENE(claiming, "everyone: claim, first", "tong_claim", with_three_messages, claim_one,
           the_claim_is_done)
FAIL_SCENE(a_descriptor, "everyone: fd", "tong_fd", with_two, ask_for_one, it_is_told)
FAIL_SCENE(sending_to_one_who_polls, "everyone: send, polled", "tong_send", with_one_in_a_loop,
           send_one, it_is_told)
FAIL_SCENE(a_descriptor_for_sending, "everyone: fd, to send", "tong_fd", with_a_slow_one,
           ask_to_send, the_sender_is_told)
FAIL_SCENE(stating, "everyone: stat", "tong_stat", with_two_that_have_three, stat_it, NULL)
FAIL_SCENE(looking_at_parties, "everyone: parties", "tong_parties", with_two_that_have_three,
           look_at_parties, NULL)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(joining, 120),
    KIT_TEST_LONG(joining_for_the_oldest, 120),
    KIT_TEST_LONG(joining_behind_a_dead_one, 120),
    KIT_TEST_LONG(leaving, 120),
    KIT_TEST_LONG(sending_first, 120),
    KIT_TEST_LONG(sending_to_one_who_came, 120),
    KIT_TEST_LONG(sending_to_a_slow_one, 120),
    KIT_TEST_LONG(sending_past_a_dead_one, 120),
    KIT_TEST_LONG(receiving, 120),
    KIT_TEST_LONG(claiming, 120),
    KIT_TEST_LONG(a_descriptor, 120),
    KIT_TEST_LONG(sending_to_one_who_polls, 120),
    KIT_TEST_LONG(a_descriptor_for_sending, 120),
    KIT_TEST_LONG(stating, 120),
    KIT_TEST_LONG(looking_at_parties, 120),
};

KIT_MAIN(tests)
