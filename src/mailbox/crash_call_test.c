/*
 * Callers and servers are killed at every point of what they do: see crash_test.h.
 *
 * A caller that lives gets its reply, or is told that nobody will answer; a request is handed out again only
 * where that is on; and of a dead caller's mailbox for replies nothing stays.
 */
#include "mailbox/mailbox.h"

#include "kit.h"
#include "kit_private.h"
#include "mailbox/crash_test.h"

#define ID 8u
#define LONG_ID (CRASH_LONG + 1)

static uint32_t asked = ID; /* of the request of a scene with a server */

/* ---- requests */

/* The answer of the call: the request's number comes back, or an error. */
static int64_t call(struct crash_stage *s, tong_mailbox *box, uint32_t id, int64_t timeout_ns)
{
    uint64_t reply = 0;
    kit_payload_write(crash_buffer, crash_len(id), id, id);
    atomic_store(&s->world->message[id].offered, 1);
    const ssize_t n =
        tong_call(box, crash_buffer, crash_len(id), &reply, sizeof(reply), timeout_ns);
    kit_true(n < 0 || (n == 8 && reply == id));
    return n < 0 ? n : (int64_t)reply;
}

/* Take one, a claim or a copy as the variant says. The id, or the error. */
static int get(struct crash_stage *s, tong_mailbox *box, int64_t timeout_ns, tong_message *message)
{
    *message = (tong_message)TONG_MESSAGE_INIT;
    if (crash_is(s, 1)) {
        return crash_claim(s, box, timeout_ns, message);
    }
    const ssize_t n =
        tong_receive_with(box, crash_buffer, CRASH_LEN_MOST, NULL, timeout_ns, message);
    return n < 0 ? (int)n : (int)crash_know(crash_buffer, (size_t)n);
}

/* Answer it if it is a request; at the end it is consumed. */
static int answer(struct crash_stage *s, tong_mailbox *box, int id, tong_message *message)
{
    int r = 0;
    const uint64_t reply = (uint64_t)id;
    if (message->call != 0) {
        r = tong_reply(box, message, &reply, sizeof(reply), KIT_PATIENCE);
        kit_true(r == 0 || r == -ENOENT);
    } else if (crash_is(s, 1)) {
        kit_ok(tong_done(box, message));
    }
    atomic_fetch_add(&s->world->message[id].consumed, 1);
    return r;
}

/* ---- helpers */

/* Answers what comes, to CRASH_END. */
static int serves(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    int id;
    do {
        tong_message message;
        id = get(s, box, TONG_FOREVER, &message);
        kit_true(id >= 0);
        (void)answer(s, box, id, &message);
    } while (id != (int)CRASH_END);
    kit_ok(tong_close(box));
    return 0;
}

static void a_server_waits(struct crash_stage *s)
{
    s->helper[0] = kit_spawn(serves, s);
    kit_until_asleep(CRASH_BOX, 1);
}

/* Takes one and is killed. */
static int takes_one(void *arg)
{
    struct crash_stage *s = arg;
    tong_message message;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    kit_true(get(s, box, TONG_FOREVER, &message) == (int)ID);
    kit_event_set(&s->world->event[0]);
    kit_await_death();
}

static void a_server_that_takes_one(struct crash_stage *s)
{
    s->helper[0] = kit_spawn(takes_one, s);
    kit_until_asleep(CRASH_BOX, 1);
}

/* Calls once; answer[1]. */
static int calls(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND, NULL);
    atomic_store(&s->world->answer[1], (int32_t)call(s, box, asked, TONG_FOREVER));
    kit_ok(tong_close(box));
    return 0;
}

static void a_caller_waits(struct crash_stage *s)
{
    s->helper[1] = kit_spawn(calls, s);
    kit_until(kit_stat(CRASH_BOX).waiting == 1 && kit_sleeps(s->helper[1].pid));
}

/* ---- what is looked at */

static void no_reply_mailbox_is_left(void)
{
    const int r = tong_doctor(1, kit_ignore_finding, NULL);
    kit_true(r >= 0);
    kit_true(strstr(kit_entries(kit_path("")), "reply-") == NULL);
}

/* The server goes on: it answers the next one. */
static void the_server_goes_on(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    kit_gives(call(s, s->sender, 16, KIT_PATIENCE), 16);
    kit_ok(crash_send(s, s->sender, CRASH_END, KIT_PATIENCE));
    kit_join(&s->helper[0]);
    kit_ok(tong_close(s->sender));
    s->sender = NULL;
    no_reply_mailbox_is_left();
}

/* ---- a caller is killed */

static void call_once(struct crash_stage *s)
{
    kit_gives(call(s, s->mine, ID, KIT_PATIENCE), (int64_t)ID);
}

static void a_caller_that_is_answered(void)
{
    const struct crash_scene scene = { .operation = "tong_call",
                                       .role = "caller, a server answers",
                                       .options = crash_bounded,
                                       .before = a_server_waits,
                                       .ready = crash_open_sender,
                                       .act = call_once,
                                       .finish = the_server_goes_on };
    crash_all(&scene);
}

static void call_twice_with(struct crash_stage *s)
{
    uint64_t reply = 0;
    uint8_t request[128];
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    tong_message info = TONG_MESSAGE_INIT;
    with.key = 7;
    for (uint32_t id = ID; id < ID + 2; id++) {
        kit_payload_write(request, crash_len(id), id, id);
        atomic_store(&s->world->message[id].offered, 1);
        kit_gives(
            tong_call_with(s->mine, request, crash_len(id), &with, &reply, 8, KIT_PATIENCE, &info),
            8);
    }
}

static void a_caller_at_capacity_0(void)
{
    const struct crash_scene scene = { .operation = "tong_call_with",
                                       .role = "caller, a server answers, capacity 0",
                                       .options = crash_rendezvous,
                                       .before = a_server_waits,
                                       .ready = crash_open_sender,
                                       .act = call_twice_with,
                                       .finish = the_server_goes_on };
    crash_all(&scene);
}

static void call_in_vain(struct crash_stage *s)
{
    kit_gives(call(s, s->mine, ID, TONG_FOREVER), -EOWNERDEAD);
}

static void the_server_dies(struct crash_stage *s, struct kit_child *victim)
{
    kit_until(crash_has_ended(victim) || atomic_load(&s->world->event[0]) != 0);
    kit_kill(&s->helper[0]);
}

static void nothing_of_the_caller_is_left(struct crash_stage *s)
{
    (void)s;
    no_reply_mailbox_is_left();
}

static void a_caller_whose_server_dies(void)
{
    const struct crash_scene scene = { .operation = "tong_call",
                                       .role = "caller, its server dies",
                                       .options = crash_bounded,
                                       .lost = 1,
                                       .before = a_server_that_takes_one,
                                       .ready = crash_open_sender,
                                       .act = call_in_vain,
                                       .meanwhile = the_server_dies,
                                       .finish = nothing_of_the_caller_is_left };
    crash_all(&scene);
}

/* ---- a server is killed; the caller lives */

static void serve_one(struct crash_stage *s)
{
    tong_message message;
    kit_gives(get(s, s->mine, KIT_PATIENCE, &message), (int)asked);
    kit_ok(answer(s, s->mine, (int)asked, &message));
}

/* A server that comes after it, and may be killed as well. */
static void serve_what_is_there(struct crash_stage *s)
{
    tong_message message;
    crash_opens_or_not(s);
    if (s->mine != NULL) {
        const int id = get(s, s->mine, 0, &message);
        if (id >= 0) {
            (void)answer(s, s->mine, id, &message);
        }
    }
    (void)tong_close(s->mine);
    (void)tong_doctor(1, kit_ignore_finding, NULL);
}

/* Whoever takes its place answers what waits still, until the caller knows. */
static void the_caller_is_told(struct crash_stage *s)
{
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    while (!crash_has_ended(&s->helper[1])) {
        tong_message message;
        const int id = get(s, box, TONG_MS(1), &message);
        if (id >= 0) {
            (void)answer(s, box, id, &message);
        } else {
            kit_gives(id, -ETIMEDOUT);
        }
    }
    kit_join(&s->helper[1]);
    const int32_t told = atomic_load(&s->world->answer[1]);
    const bool is_once = s->options.max_deliveries < 2;
    kit_true(told == (int32_t)asked || (told == -EOWNERDEAD && is_once));
    /* At most once: who was told otherwise was not served by another one. */
    const uint32_t consumed = atomic_load(&s->world->message[asked].consumed);
    kit_true(told != (int32_t)asked || is_once || consumed >= 1 || s->killed);
    atomic_store(&s->world->message[asked].consumed, consumed != 0 ? 1 : 0);
    kit_ok(tong_close(box));
    no_reply_mailbox_is_left();
}

static void a_server_that_answers(void)
{
    const struct crash_scene scene = { .operation = "tong_claim tong_receive_with tong_reply",
                                       .role = "server, its caller waits",
                                       .options = crash_bounded,
                                       .before = a_caller_waits,
                                       .ready = crash_open_receiver,
                                       .act = serve_one,
                                       .second = serve_what_is_there,
                                       .finish = the_caller_is_told };
    crash_all(&scene);
}

/* It has an entry while it is copied, and another state then. */
static void a_server_that_copies_a_long_request(void)
{
    const struct crash_scene scene = { .operation = "tong_receive_with tong_reply",
                                       .role = "server that copies a long request",
                                       .options = crash_bounded,
                                       .before = a_caller_waits,
                                       .ready = crash_open_receiver,
                                       .act = serve_one,
                                       .second = serve_what_is_there,
                                       .finish = the_caller_is_told };
    asked = LONG_ID;
    crash_all(&scene);
}

static void open_and_get(struct crash_stage *s)
{
    crash_open_receiver(s);
    kit_gives(get(s, s->mine, KIT_PATIENCE, &s->claim[0]), (int)asked);
}

static void answer_it(struct crash_stage *s)
{
    kit_ok(answer(s, s->mine, (int)asked, &s->claim[0]));
}

static void a_server_that_has_the_request(void)
{
    const struct crash_scene scene = { .operation = "tong_reply",
                                       .role = "server, has the request in hand",
                                       .options = crash_unbounded,
                                       .before = a_caller_waits,
                                       .ready = open_and_get,
                                       .act = answer_it,
                                       .second = serve_what_is_there,
                                       .finish = the_caller_is_told };
    crash_all(&scene);
}

static void a_server_that_leaves(void)
{
    const struct crash_scene scene = { .operation = "tong_close",
                                       .role = "server that leaves, has a request in hand",
                                       .options = crash_unbounded,
                                       .before = a_caller_waits,
                                       .ready = open_and_get,
                                       .act = crash_close_mine,
                                       .second = serve_what_is_there,
                                       .finish = the_caller_is_told };
    crash_all(&scene);
}

static tong_options redelivers(void)
{
    tong_options options = kit_options();
    options.max_deliveries = 9;
    return options;
}

static void open_and_claim(struct crash_stage *s)
{
    crash_open_receiver(s);
    kit_gives(crash_claim(s, s->mine, KIT_PATIENCE, &s->claim[0]), (int)ID);
}

static void a_server_where_it_is_redelivered(void)
{
    const struct crash_scene scene = { .operation = "tong_reply",
                                       .role = "server, another one gets the request then",
                                       .options = redelivers,
                                       .before = a_caller_waits,
                                       .ready = open_and_claim,
                                       .act = answer_it,
                                       .second = crash_looks,
                                       .finish = the_caller_is_told };
    crash_all(&scene);
}

static void finish_it(struct crash_stage *s)
{
    kit_ok(tong_done(s->mine, &s->claim[0]));
    atomic_fetch_add(&s->world->message[ID].consumed, 1);
}

static void a_server_that_does_not_answer(void)
{
    const struct crash_scene scene = { .operation = "tong_done",
                                       .role = "server that does not answer",
                                       .options = crash_bounded,
                                       .before = a_caller_waits,
                                       .ready = open_and_claim,
                                       .act = finish_it,
                                       .second = serve_what_is_there,
                                       .finish = the_caller_is_told };
    crash_all(&scene);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_caller_that_is_answered, 240),
    KIT_TEST_LONG(a_caller_at_capacity_0, 240),
    KIT_TEST_LONG(a_caller_whose_server_dies, 240),
    KIT_TEST_LONG(a_server_that_answers, 240),
    KIT_TEST_LONG(a_server_that_copies_a_long_request, 240),
    KIT_TEST_LONG(a_server_that_has_the_request, 240),
    KIT_TEST_LONG(a_server_that_leaves, 240),
    KIT_TEST_LONG(a_server_where_it_is_redelivered, 240),
    KIT_TEST_LONG(a_server_that_does_not_answer, 240),
};

KIT_MAIN(tests)
