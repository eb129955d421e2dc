/* Request and reply: one deadline, whose reply it is, many at once. */
#include "call.h"

/* ------------------------------------------------------------------ the reply */

static void a_call_gives_its_reply(void)
{
    const uint32_t capacities[] = { TONG_UNBOUNDED, 1, 0 };
    for (size_t c = 0; c < 3; c++) {
        if (is_refused(capacities[c])) {
            continue;
        }
        const tong_options options = kit_capacity(capacities[c]);
        for (int how = 0; how < 2; how++) {
            struct service s;
            tong_mailbox *server = kit_create(BOX, &options);
            tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
            service_starts(&s, server, 50, how == 0);
            for (uint64_t i = 1; i <= 50; i++) {
                kit_gives(call(box, i, KIT_PATIENCE), (int64_t)(2 * i));
            }
            service_ends(&s);
            kit_equal(kit_stat(BOX).waiting + kit_stat(BOX).claimed, 0);
            kit_ok(tong_close(box));
            kit_end(server, BOX);
        }
    }
}

static void *echo(void *arg)
{
    tong_mailbox *box = arg;
    for (;;) {
        tong_message request = TONG_MESSAGE_INIT;
        kit_ok(tong_claim(box, KIT_PATIENCE, &request));
        const size_t len = request.len;
        kit_ok(tong_reply(box, &request, request.data, len, KIT_PATIENCE));
        if (len == 1) {
            return NULL;
        }
    }
}

static void request_and_reply_may_have_any_length(void)
{
    static uint8_t out[3000000];
    static uint8_t in[3000000];
    static const size_t lens[] = { 0, 2, 4096, 65535, 65536, 3000000, 1 };
    tong_mailbox *server = kit_create(BOX, NULL);
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    pthread_t thread;
    kit_ok(pthread_create(&thread, NULL, echo, server));
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        kit_payload_write(out, lens[i], 1, i);
        memset(in, 0, sizeof(in));
        kit_gives(tong_call(box, out, lens[i], lens[i] != 0 ? in : NULL, lens[i], KIT_PATIENCE),
                  (int64_t)lens[i]);
        kit_true(kit_payload_is(in, lens[i], 1, i));
    }
    kit_ok(pthread_join(thread, NULL));
    kit_ok(tong_close(box));
    kit_end(server, BOX);
}

/* A long request that is copied out without the mailbox held. */
static void long_requests_are_received_and_answered(void)
{
    static uint8_t bytes[200000];
    const uint32_t capacities[] = { TONG_UNBOUNDED, 0 };
    for (size_t c = 0; c < 2; c++) {
        if (is_refused(capacities[c])) {
            continue;
        }
        const tong_options options = kit_capacity(capacities[c]);
        tong_mailbox *server = kit_create(BOX, &options);
        struct puppet p = caller_starts("p");
        asks(&p, 1, KIT_PATIENCE);
        uint64_t value = 0;
        tong_message request = TONG_MESSAGE_INIT;
        kit_gives(tong_receive_with(server, &value, 8, NULL, KIT_PATIENCE, &request), 8);
        kit_equal(kit_stat(BOX).claimed, 0);
        kit_ok(tong_reply(server, &request, &value, 8, 0));
        kit_gives(puppet_answer(&p), 1);
        puppet_end(&p);
        pid_t pid = fork();
        if (pid == 0) {
            tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
            char byte;
            kit_gives(tong_call(box, bytes, sizeof(bytes), &byte, 1, KIT_PATIENCE), 1);
            _exit(tong_close(box) == 0 ? 0 : 1);
        }
        kit_gives(tong_receive_with(server, bytes, sizeof(bytes), NULL, KIT_PATIENCE, &request),
                  (int64_t)sizeof(bytes));
        kit_equal(kit_stat(BOX).claimed, 0);
        kit_ok(tong_reply(server, &request, "x", 1, 0));
        int status = 1;
        kit_gives(waitpid(pid, &status, 0), pid);
        kit_equal(status, 0);
        kit_end(server, BOX);
    }
}

static void a_request_says_what_it_is_and_the_reply_who_answered(void)
{
    tong_mailbox *server = kit_create(BOX, NULL);
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    struct service s;
    tong_message info = TONG_MESSAGE_INIT;
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    uint64_t value = 4;
    uint64_t reply = 0;
    with.tag = 7;
    with.priority = 3;
    with.key = 11;
    service_starts(&s, server, 1, false);
    kit_gives(tong_call_with(box, &value, 8, &with, &reply, 8, KIT_PATIENCE, &info), 8);
    kit_true(reply == 8 && info.len == 8 && info.data == &reply && info.pid == getpid());
    kit_true(info.uid == geteuid() && (info.verified & kit_verified()) == kit_verified() &&
             info.call != 0);
    service_ends(&s);
    struct puppet p = caller_starts("p");
    asks(&p, 5, KIT_PATIENCE);
    kit_ok(tong_claim(server, KIT_PATIENCE, &info));
    kit_true(info.call != 0 && info.reply_to[0] != '\0' && info.sent_ns != 0);
    kit_true(info.pid == p.child.pid && info.deliveries == 1);
    kit_ok(tong_reply(server, &info, &value, 8, 0));
    kit_gives(puppet_answer(&p), 4);
    puppet_end(&p);
    with.reply_to = "service";
    kit_gives(tong_call_with(box, &value, 8, &with, &reply, 8, TONG_MS(1), NULL), -EINVAL);
    with.reply_to = NULL;
    with.call = 1;
    kit_gives(tong_call_with(box, &value, 8, &with, &reply, 8, TONG_MS(1), NULL), -EINVAL);
    kit_ok(tong_close(box));
    kit_end(server, BOX);
}

static void what_a_request_says_of_itself_reaches_its_server(void)
{
    tong_mailbox *server = kit_create(BOX, NULL);
    pid_t pid = fork();
    if (pid == 0) {
        tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
        tong_send_options with = TONG_SEND_OPTIONS_INIT;
        char byte;
        with.tag = 7;
        with.key = 11;
        with.priority = 3;
        kit_gives(tong_call_with(box, "x", 1, &with, &byte, 1, KIT_PATIENCE, NULL), 1);
        _exit(tong_close(box) == 0 ? 0 : 1);
    }
    tong_message request = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(server, KIT_PATIENCE, &request));
    kit_true(request.tag == 7 && request.key == 11 && request.priority == 3);
    kit_ok(tong_reply(server, &request, "y", 1, 0));
    int status = 1;
    kit_gives(waitpid(pid, &status, 0), pid);
    kit_equal(status, 0);
    kit_end(server, BOX);
}

static void a_reply_that_is_too_long_is_thrown_away(void)
{
    tong_mailbox *server = kit_create(BOX, NULL);
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    struct service s;
    tong_message info = TONG_MESSAGE_INIT;
    uint64_t value = 3;
    uint64_t reply = 99;
    service_starts(&s, server, 2, true);
    kit_gives(tong_call_with(box, &value, 8, NULL, &reply, 7, KIT_PATIENCE, &info), -EMSGSIZE);
    kit_true(info.len == 8 && info.data == NULL && reply == 99);
    kit_gives(call(box, 21, KIT_PATIENCE), 42);
    service_ends(&s);
    kit_ok(tong_close(box));
    kit_end(server, BOX);
}

/* ------------------------------------------------------------------ time */

static void one_deadline_is_for_both_ways(void)
{
    const tong_options options = kit_capacity(1);
    tong_mailbox *server = kit_create(BOX, &options);
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    kit_gives(call(box, 1, 0), -EAGAIN);
    kit_equal(kit_stat(BOX).waiting, 0);
    kit_gives(call(box, 1, TONG_MS(5)), -ETIMEDOUT); /* nobody answers */
    kit_is_empty(server);
    kit_ok(kit_send_u64(server, 1, KIT_PATIENCE));
    kit_gives(call(box, 1, TONG_MS(5)), -ETIMEDOUT); /* there is no room */
    kit_equal(kit_receive_u64(server), 1);
    kit_ok(tong_close(box));
    kit_end(server, BOX);
}

static void a_request_expires_with_its_call(void)
{
    tong_mailbox *server = kit_create(BOX, NULL);
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    tong_message request = TONG_MESSAGE_INIT;
    kit_gives(call(box, 1, TONG_MS(2)), -ETIMEDOUT);
    kit_gives(tong_claim(server, 0, &request), -EAGAIN);
    kit_equal(kit_stat(BOX).expired, 1);
    kit_ok(tong_close(box));
    kit_end(server, BOX);
}

static void *call_until_canceled(void *arg)
{
    kit_gives(call(arg, 1, TONG_FOREVER), -ECANCELED);
    return NULL;
}

static void a_late_reply_is_nobodys(void)
{
    enum {
        N = 5
    };
    for (int how = 0; how < 2; how++) {
        tong_mailbox *server = kit_create(BOX, NULL);
        tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
        tong_message late[N];
        uint64_t value = 0;
        pthread_t thread;
        for (size_t i = 0; i < N; i++) {
            late[i] = (tong_message)TONG_MESSAGE_INIT;
            kit_ok(pthread_create(&thread, NULL, call_until_canceled, box));
            if (how == 0) {
                kit_ok(tong_claim(server, KIT_PATIENCE, &late[i]));
            } else {
                kit_gives(tong_receive_with(server, &value, 8, NULL, KIT_PATIENCE, &late[i]), 8);
            }
            kit_ok(tong_interrupt(box));
            kit_ok(pthread_join(thread, NULL));
        }
        for (size_t i = 0; i < N; i++) {
            kit_ok(tong_reply(server, &late[i], "late", 4, 0));
        }
        struct service s;
        service_starts(&s, server, 1, how == 0);
        kit_gives(call(box, 20, KIT_PATIENCE), 40);
        service_ends(&s);
        kit_ok(tong_close(box));
        kit_end(server, BOX);
    }
}

static void a_full_mailbox_that_drops_sends_nothing(void)
{
    tong_options options = kit_capacity(1);
    options.full = TONG_DROP_NEWEST;
    tong_mailbox *box = kit_create(BOX, &options);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_gives(call(box, 2, KIT_PATIENCE), -EAGAIN);
    kit_equal(kit_receive_u64(box), 1);
    kit_end(box, BOX);
}

static void *call_once(void *arg)
{
    kit_gives(call(arg, 2, KIT_PATIENCE), 4);
    return NULL;
}

static void a_request_that_drops_an_older_message_is_one(void)
{
    tong_options options = kit_options();
    options.full = TONG_DROP_OLDEST;
    options.link_capacity = 1;
    tong_mailbox *server = kit_create(BOX, &options);
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    tong_message request = TONG_MESSAGE_INIT;
    const uint64_t value = 4;
    pthread_t thread;
    kit_ok(kit_send_u64(box, 1, 0));
    kit_ok(pthread_create(&thread, NULL, call_once, box));
    kit_until(kit_stat(BOX).dropped == 1);
    kit_ok(tong_claim(server, KIT_PATIENCE, &request));
    kit_ok(tong_reply(server, &request, &value, sizeof(value), KIT_PATIENCE));
    kit_ok(pthread_join(thread, NULL));
    kit_ok(tong_close(box));
    kit_end(server, BOX);
}

static void only_a_request_can_be_answered(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(kit_send_u64(box, 1, 0));
    kit_ok(tong_claim(box, 0, &message));
    kit_gives(tong_reply(box, &message, "x", 1, 0), -EINVAL);
    kit_ok(tong_done(box, &message));
    kit_gives(tong_reply(NULL, &message, "x", 1, 0), -EINVAL);
    kit_gives(tong_reply(box, NULL, "x", 1, 0), -EINVAL);
    kit_gives(tong_reply(box, &message, NULL, 1, 0), -EINVAL);
    kit_gives(tong_call(NULL, "x", 1, NULL, 0, TONG_MS(1)), -EINVAL);
    kit_gives(tong_call(box, NULL, 1, NULL, 0, TONG_MS(1)), -EINVAL);
    kit_gives(tong_call(box, "x", 1, NULL, 1, TONG_MS(1)), -EINVAL);
    kit_gives(tong_call(box, "x", 1, NULL, 0, -2), -EINVAL);
    tong_mailbox *receiver = kit_open(BOX, TONG_RECEIVE, NULL);
    kit_gives(tong_call(receiver, "x", 1, NULL, 0, TONG_MS(1)), -EBADF);
    kit_ok(tong_close(receiver));
    kit_end(box, BOX);
}

/* ------------------------------------------------------------------ interrupts, forks */

static void an_interrupt_ends_all_calls_on_the_handle(void)
{
    enum {
        N = 3
    };
    tong_mailbox *box = kit_create(BOX, NULL);
    pthread_t threads[N];
    for (size_t i = 0; i < N; i++) {
        kit_ok(pthread_create(&threads[i], NULL, call_until_canceled, box));
    }
    kit_until(kit_stat(BOX).waiting == N);
    kit_until(kit_threads_asleep(getpid()) == N);
    kit_ok(tong_interrupt(box));
    for (size_t i = 0; i < N; i++) {
        kit_ok(pthread_join(threads[i], NULL));
    }
    kit_end(box, BOX);
}

static void a_handle_from_before_a_fork_calls_nobody(void)
{
    tong_mailbox *server = kit_create(BOX, NULL);
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    struct service s;
    service_starts(&s, server, 1, true);
    kit_gives(call(box, 1, KIT_PATIENCE), 2);
    service_ends(&s);
    const pid_t pid = fork();
    if (pid == 0) {
        tong_message request = TONG_MESSAGE_INIT;
        request.call = 1;
        memcpy(request.reply_to, "anybody", 8);
        kit_gives(call(box, 1, KIT_PATIENCE), -ECHILD);
        kit_gives(tong_reply(server, &request, "x", 1, 0), -ECHILD);
        kit_gives(tong_close(box), -ECHILD);
        kit_gives(tong_close(server), -ECHILD);
        _exit(0);
    }
    int status = 1;
    kit_gives(waitpid(pid, &status, 0), pid);
    kit_equal(status, 0);
    service_starts(&s, server, 1, true);
    kit_gives(call(box, 2, KIT_PATIENCE), 4);
    service_ends(&s);
    kit_ok(tong_close(box));
    kit_end(server, BOX);
}

/* ------------------------------------------------------------------ many */

struct many {
    tong_mailbox *box;
    uint64_t first;
};

static void *call_often(void *arg)
{
    const struct many *m = arg;
    for (uint64_t i = 0; i < 200; i++) {
        kit_gives(call(m->box, m->first + i, KIT_PATIENCE), (int64_t)(2 * (m->first + i)));
    }
    return NULL;
}

static void any_number_of_threads_call_on_one_handle(void)
{
    enum {
        N = 8,
        SERVERS = 3
    };
    const tong_options options = kit_capacity(2);
    tong_mailbox *box = kit_create(BOX, &options);
    struct many many[N];
    struct service services[SERVERS];
    pthread_t threads[N];
    tong_mailbox *servers[SERVERS];
    for (size_t i = 0; i < SERVERS; i++) {
        servers[i] = kit_open(BOX, TONG_RECEIVE, NULL);
    }
    /* 1600 in all; each server takes what comes until it has had its part. */
    for (size_t i = 0; i < SERVERS; i++) {
        service_starts(&services[i], servers[i], i == 0 ? 534 : 533, i % 2 == 0);
    }
    for (size_t i = 0; i < N; i++) {
        many[i] = (struct many){ box, 1000 * i };
        kit_ok(pthread_create(&threads[i], NULL, call_often, &many[i]));
    }
    for (size_t i = 0; i < N; i++) {
        kit_ok(pthread_join(threads[i], NULL));
    }
    for (size_t i = 0; i < SERVERS; i++) {
        service_ends(&services[i]);
        kit_ok(tong_close(servers[i]));
    }
    kit_end(box, BOX);
}

/* More than a receiver can be watched for: nothing false is told, and its death ends all. */
static void a_server_may_have_more_in_hand_than_entries(void)
{
    enum {
        N = 70
    };
    tong_mailbox *box = kit_create(BOX, NULL);
    tong_message requests[N];
    struct puppet p = caller_starts("p");
    asks(&p, 1, TONG_FOREVER);
    uint64_t value;
    requests[0] = (tong_message)TONG_MESSAGE_INIT;
    kit_gives(tong_receive_with(box, &value, 8, NULL, KIT_PATIENCE, &requests[0]), 8);
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.call = 1;
    with.reply_to = "nobody";
    for (size_t i = 1; i < N; i++) {
        requests[i] = (tong_message)TONG_MESSAGE_INIT;
        kit_ok(tong_send_with(box, &value, 8, &with, 0));
        kit_gives(tong_receive_with(box, &value, 8, NULL, 0, &requests[i]), 8);
    }
    /* Claims come before them. */
    tong_message claims[64];
    for (size_t i = 0; i < 64; i++) {
        claims[i] = (tong_message)TONG_MESSAGE_INIT;
        kit_ok(kit_send_u64(box, i, 0));
        kit_ok(tong_claim(box, 0, &claims[i]));
    }
    kit_ok(kit_send_u64(box, 64, 0));
    kit_gives(tong_claim(box, 0, &requests[1]), -ENOBUFS);
    for (size_t i = 0; i < 64; i++) {
        kit_ok(tong_done(box, &claims[i]));
    }
    kit_equal(kit_receive_u64(box), 64);
    kit_until(puppet_waits(&p));
    value = 5;
    kit_ok(tong_reply(box, &requests[0], &value, 8, 0));
    kit_gives(puppet_answer(&p), 5);
    kit_gives(tong_reply(box, &requests[1], &value, 8, 0), -ENOENT);
    puppet_end(&p);
    kit_end(box, BOX);
}

static int note_name(const tong_status *status, int error, void *arg)
{
    (void)error;
    strcat(arg, status->name);
    strcat(arg, " ");
    return 0;
}

static void nobody_is_told_of_the_mailboxes_for_replies(void)
{
    tong_mailbox *server = kit_create(BOX, NULL);
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    struct service s;
    char names[1024] = "";
    service_starts(&s, server, 1, true);
    kit_gives(call(box, 1, KIT_PATIENCE), 2);
    service_ends(&s);
    kit_ok(tong_list(note_name, names));
    kit_true(strcmp(names, "service ") == 0);
    kit_ok(tong_close(box));
    kit_end(server, BOX);
}

static const struct kit_test tests[] = {
    KIT_TEST(a_call_gives_its_reply),
    KIT_TEST(request_and_reply_may_have_any_length),
    KIT_TEST(long_requests_are_received_and_answered),
    KIT_TEST(a_request_says_what_it_is_and_the_reply_who_answered),
    KIT_TEST(what_a_request_says_of_itself_reaches_its_server),
    KIT_TEST(a_reply_that_is_too_long_is_thrown_away),
    KIT_TEST(one_deadline_is_for_both_ways),
    KIT_TEST(a_request_expires_with_its_call),
    KIT_TEST(a_late_reply_is_nobodys),
    KIT_TEST(a_full_mailbox_that_drops_sends_nothing),
    KIT_TEST(a_request_that_drops_an_older_message_is_one),
    KIT_TEST(only_a_request_can_be_answered),
    KIT_TEST(an_interrupt_ends_all_calls_on_the_handle),
    KIT_TEST(a_handle_from_before_a_fork_calls_nobody),
    KIT_TEST(any_number_of_threads_call_on_one_handle),
    KIT_TEST(a_server_may_have_more_in_hand_than_entries),
    KIT_TEST(nobody_is_told_of_the_mailboxes_for_replies),
};

KIT_MAIN(tests)
