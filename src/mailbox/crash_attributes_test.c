/*
 * A sender that says something of its message, and a receiver that asks for it, are killed at every
 * point: see crash_test.h. What is said is whole wherever the message is.
 */
#include "mailbox/mailbox.h"

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

/* What is said of the message of this id: all of it follows from the id. */
static tong_send_options about(uint32_t id)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.priority = kit_priority(id % 32);
    with.tag = id + 1;
    with.key = tong_key(&id, sizeof(id));
    with.call = id + 2;
    with.expiry_ns = TONG_SEC(3600);
    with.reply_to = id % 2 == 0 ? "answers" : NULL;
    return with;
}

static int send_about(struct crash_stage *s, tong_mailbox *box, uint32_t id, int64_t timeout_ns)
{
    struct crash_message *m = &s->world->message[id];
    const tong_send_options with = about(id);
    kit_payload_write(crash_buffer, crash_len(id), id, id);
    atomic_store(&m->offered, 1);
    const int r = tong_send_with(box, crash_buffer, crash_len(id), &with, timeout_ns);
    atomic_store(r == 0 ? &m->promised : &m->refused, 1);
    return r;
}

/* The id, or the error. */
static int receive_about(struct crash_stage *s, tong_mailbox *box, int64_t timeout_ns)
{
    tong_message info = TONG_MESSAGE_INIT;
    const ssize_t r = tong_receive_with(box, crash_buffer, CRASH_LEN_MOST, NULL, timeout_ns, &info);
    if (r < 0) {
        return (int)r;
    }
    const uint32_t id = crash_know(crash_buffer, (size_t)r);
    const tong_send_options with = about(id);
    atomic_fetch_add(&s->world->message[id].consumed, 1);
    kit_true(info.priority == with.priority && info.tag == with.tag && info.key == with.key);
    kit_true(info.call == with.call && info.sent_ns != 0 && info.len == (size_t)r);
    kit_true(strcmp(info.reply_to, with.reply_to != NULL ? with.reply_to : "") == 0);
    return (int)id;
}

/* The survivor takes all there is and looks at what is said of it. */
static void all_is_said(struct crash_stage *s)
{
    if (s->box == NULL) {
        s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    }
    int r;
    while ((r = receive_about(s, s->box, 1)) >= 0) {
    }
    kit_gives(r, -ETIMEDOUT);
}

static void send_three_about(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 8; id < 11; id++) {
        kit_ok(send_about(s, s->sender, id, 0));
    }
}

static void send_two_about(struct crash_stage *s)
{
    kit_ok(send_about(s, s->mine, 1, 0));
    kit_ok(send_about(s, s->mine, 2, 0));
}

static void receive_two_about(struct crash_stage *s)
{
    kit_gives(receive_about(s, s->mine, 0), 8);
    kit_gives(receive_about(s, s->mine, 0), 9);
}

/* The second victim's messages say nothing: it would be told so. */
static void uses_them_too(struct crash_stage *s)
{
    s->mine = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    (void)send_about(s, s->mine, CRASH_SECOND, 0);
    (void)receive_about(s, s->mine, 1);
}

static void a_sender_that_says_something(void)
{
    const struct crash_scene scene = { .operation = "tong_send_with",
                                       .role = "sender, capacity n",
                                       .options = crash_bounded,
                                       .ready = crash_open_sender,
                                       .act = send_two_about,
                                       .second = uses_them_too,
                                       .finish = all_is_said };
    crash_all(&scene);
}

static tong_options rendezvous(void)
{
    return kit_capacity(0);
}

static void meet(struct crash_stage *s)
{
    kit_ok(send_about(s, s->mine, 1, KIT_PATIENCE));
}

static void a_sender_that_says_something_at_a_rendezvous(void)
{
    const struct crash_scene scene = { .operation = "tong_send_with",
                                       .role = "sender, capacity 0, a receiver asleep",
                                       .options = rendezvous,
                                       .before = crash_start_receiver,
                                       .ready = crash_open_sender,
                                       .act = meet,
                                       .finish = crash_end_receiver };
    crash_all(&scene);
}

static void a_receiver_that_is_told(void)
{
    const struct crash_scene scene = { .operation = "tong_receive_with",
                                       .role = "receiver, capacity n",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = send_three_about,
                                       .ready = crash_open_receiver,
                                       .act = receive_two_about,
                                       .second = uses_them_too,
                                       .finish = all_is_said };
    crash_all(&scene);
}

/* Four that nobody gets, before, between and behind three that are promised; all of the room is taken. */
static tong_options seven(void)
{
    return kit_capacity(7);
}

static void send_expired(tong_mailbox *box)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.expiry_ns = 1;
    kit_ok(tong_send_with(box, "too late", 8, &with, 0));
}

static void send_three_and_four_expired(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 8; id < 11; id++) {
        send_expired(s->sender);
        kit_ok(send_about(s, s->sender, id, 0));
    }
    send_expired(s->sender);
    kit_gives(tong_send(s->sender, "", 0, 0), -EAGAIN);
}

static void receive_all_about(struct crash_stage *s)
{
    receive_two_about(s);
    kit_gives(receive_about(s, s->mine, 0), 10);
    kit_gives(receive_about(s, s->mine, 0), -EAGAIN);
}

static void a_receiver_that_throws_expired_ones_away(void)
{
    const struct crash_scene scene = { .operation = "tong_receive_with",
                                       .role = "receiver among expired messages, capacity n",
                                       .options = seven,
                                       .lost = 1,
                                       .before = send_three_and_four_expired,
                                       .ready = crash_open_receiver,
                                       .act = receive_all_about,
                                       .second = uses_them_too,
                                       .finish = all_is_said };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_sender_that_says_something, 240),
    KIT_TEST_LONG(a_sender_that_says_something_at_a_rendezvous, 240),
    KIT_TEST_LONG(a_receiver_that_is_told, 240),
    KIT_TEST_LONG(a_receiver_that_throws_expired_ones_away, 240),
};

KIT_MAIN(tests)
