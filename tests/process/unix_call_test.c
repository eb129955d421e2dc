/* Request and reply over a socket: what its connections say, and who drops or removes what. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kit.h"
#include "plain_client.h"

#define BOX "unix:box"
#define HEARS 9

struct scene {
    kit_event is_there; /* the request, in the owner's memory */
    kit_event may_go;
    kit_event over;
    bool is_read;
};

static tong_mailbox *make(uint32_t full, uint32_t link_capacity)
{
    tong_mailbox *box = NULL;
    tong_options options = TONG_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    options.full = full;
    options.link_capacity = link_capacity;
    kit_ok(tong_open(BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options, &box));
    return box;
}

/* ------------------------------------------------------------------ a request that its sender drops */

struct call {
    tong_mailbox *box;
    _Atomic bool is_over;
};

static void *call_in_vain(void *arg)
{
    struct call *call = arg;
    char reply;
    kit_gives(tong_call(call->box, "request", 7, &reply, 1, TONG_FOREVER), -EOWNERDEAD);
    atomic_store(&call->is_over, true);
    return NULL;
}

static bool drops(struct call *call)
{
    kit_true(tong_send(call->box, "newer", 5, KIT_PATIENCE) >= 0);
    return atomic_load(&call->is_over);
}

static int call_and_drop(void *arg)
{
    struct scene *scene = arg;
    struct call call = { .is_over = false };
    pthread_t thread;
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &call.box));
    kit_ok(pthread_create(&thread, NULL, call_in_vain, &call));
    if (scene->is_read) {
        kit_event_wait(&scene->is_there);
        kit_gives(tong_send(call.box, "newer", 5, KIT_PATIENCE), TONG_DROPPED);
    } else {
        kit_until(drops(&call)); /* one of them comes behind the request */
    }
    kit_event_set(&scene->may_go);
    kit_ok(pthread_join(thread, NULL));
    return tong_close(call.box);
}

/* The owner has not read it: the sender takes it back out of the socket. */
static void a_request_that_is_taken_back_ends_its_call(void)
{
    struct scene *scene = kit_shared(sizeof *scene);
    tong_mailbox *box = make(TONG_DROP_OLDEST, 1);
    struct kit_child child = kit_spawn(call_and_drop, scene);
    kit_join(&child);
    kit_ok(tong_close(box));
}

/* The owner has it, and drops it while it reads the newer one. */
static void a_request_that_its_owner_drops_ends_its_call(void)
{
    struct scene *scene = kit_shared(sizeof *scene);
    tong_mailbox *box = make(TONG_DROP_OLDEST, 1);
    char data[8];
    scene->is_read = true;
    struct kit_child child = kit_spawn(call_and_drop, scene);
    kit_until(kit_stat(BOX).waiting == 1);
    kit_event_set(&scene->is_there);
    kit_event_wait(&scene->may_go);
    (void)kit_stat(BOX); /* reads it */
    kit_gives(tong_receive(box, data, sizeof data, KIT_PATIENCE), 5);
    kit_join(&child);
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ an owner that is in no call */

static int call_the_removed(void *arg)
{
    struct scene *scene = arg;
    tong_mailbox *box = NULL;
    char reply;
    kit_event_wait(&scene->is_there);
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &box));
    kit_event_set(&scene->may_go);
    kit_gives(tong_call(box, "request", 7, &reply, 1, TONG_FOREVER), -EIDRM);
    return tong_close(box);
}

static int own(void *arg)
{
    struct scene *scene = arg;
    tong_mailbox *box = make(TONG_BLOCK, TONG_DEFAULT);
    kit_event_set(&scene->is_there);
    kit_event_wait(&scene->over);
    return tong_close(box);
}

static void a_mailbox_that_a_third_one_removed_ends_the_call(void)
{
    struct scene *scene = kit_shared(sizeof *scene);
    struct kit_child owner = kit_spawn(own, scene);
    struct kit_child caller = kit_spawn(call_the_removed, scene);
    kit_event_wait(&scene->may_go);
    kit_ok(tong_remove(BOX));
    kit_join(&caller);
    kit_event_set(&scene->over);
    kit_join(&owner);
}

/* ------------------------------------------------------------------ what a dead caller leaves */

static int call_for_ever(void *arg)
{
    tong_mailbox *box = NULL;
    char reply;
    (void)arg;
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &box));
    return (int)tong_call(box, "request", 7, &reply, 1, TONG_FOREVER);
}

static unsigned mailboxes_for_replies(void)
{
    unsigned n = 0;
    const char *at = kit_entries(getenv("TONG_DIR"));
    while ((at = strstr(at, "@reply-")) != NULL) {
        n++;
        at++;
    }
    return n;
}

static void what_dead_callers_leave_is_taken_away_by_the_next(void)
{
    tong_mailbox *box = make(TONG_BLOCK, TONG_DEFAULT);
    tong_mailbox *caller = NULL;
    tong_message request = TONG_MESSAGE_INIT;
    char data[8];
    for (int i = 0; i < 3; i++) {
        struct kit_child child = kit_spawn(call_for_ever, NULL);
        kit_gives(tong_receive_with(box, data, sizeof data, NULL, KIT_PATIENCE, &request), 7);
        kit_kill(&child);
        kit_gives(tong_reply(box, &request, "x", 1, 0), -ENOENT);
    }
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &caller));
    kit_gives(tong_call(caller, "request", 7, data, sizeof data, 1), -ETIMEDOUT);
    kit_equal(mailboxes_for_replies(), 1);
    kit_ok(tong_close(caller));
    kit_equal(mailboxes_for_replies(), 0);
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ who hears of ends */

static void is_refused(int client)
{
    uint64_t number = 0;
    uint64_t room = 0;
    (void)kit_stat(BOX);
    kit_equal(plain_read(client, &number, &room), REFUSED);
    kit_equal(number, EPROTO);
    close(client);
}

static int hears(const char *name, uint32_t len)
{
    const int fd = plain_connect();
    kit_true(fd >= 0 && plain_send(fd, HEARS, 0, name, len) > 0);
    return fd;
}

static void who_hears_says_one_name_and_nothing_else(void)
{
    tong_mailbox *box = make(TONG_BLOCK, TONG_DEFAULT);
    char longest[TONG_NAME_MAX + 1];
    memset(longest, 'a', sizeof longest);
    is_refused(hears("", 0));
    is_refused(hears("no/name", 7));
    is_refused(hears(longest, TONG_NAME_MAX));
    int fd = hears("reply-1", 7);
    kit_true(plain_send(fd, HEARS, 0, "reply-2", 7) > 0);
    is_refused(fd);
    fd = hears("reply-1", 7);
    kit_true(plain_hello(fd) > 0);
    is_refused(fd);
    fd = hears("reply-1", 7);
    kit_true(plain_send(fd, MESSAGE, 0, "x", 1) > 0);
    is_refused(fd);
    fd = plain_connect();
    kit_true(fd >= 0 && plain_hello(fd) > 0 && plain_send(fd, HEARS, 0, "reply-1", 7) > 0);
    uint64_t number;
    uint64_t room;
    (void)kit_stat(BOX);
    kit_equal(plain_read(fd, &number, &room), CREDIT);
    is_refused(fd);
    kit_ok(tong_close(box));
}

/* One that is longer than it says comes while a request is ended: it is refused, and the caller is told. */
static void what_another_says_meanwhile_keeps_no_end_from_its_caller(void)
{
    static const char bytes[100000];
    struct call call = { .is_over = false };
    tong_mailbox *box = make(TONG_BLOCK, TONG_DEFAULT);
    pthread_t thread;
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &call.box));
    const struct packet packet = { .kind = HEARS, .length = sizeof bytes };
    const int liar = plain_connect();
    kit_true(liar >= 0 && plain_pass(liar, &packet, bytes, -1) > 0);
    kit_ok(pthread_create(&thread, NULL, call_in_vain, &call));
    char data[8];
    kit_gives(tong_receive(box, data, sizeof data, KIT_PATIENCE), 7);
    kit_ok(pthread_join(thread, NULL));
    is_refused(liar);
    kit_ok(tong_close(call.box));
    kit_ok(tong_close(box));
}

static const struct kit_test tests[] = {
    KIT_TEST(a_request_that_is_taken_back_ends_its_call),
    KIT_TEST(a_request_that_its_owner_drops_ends_its_call),
    KIT_TEST(a_mailbox_that_a_third_one_removed_ends_the_call),
    KIT_TEST(what_dead_callers_leave_is_taken_away_by_the_next),
    KIT_TEST(who_hears_says_one_name_and_nothing_else),
    KIT_TEST(what_another_says_meanwhile_keeps_no_end_from_its_caller),
};

KIT_MAIN(tests)
