/* Descriptors that come with messages over sockets, from clients that send too many, none, or die. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "kit.h"
#include "plain_client.h"

#define BOX "unix:box"

static tong_mailbox *make(const tong_options *options)
{
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, options, &box));
    return box;
}

static struct rlimit limit_descriptors(rlim_t n)
{
    struct rlimit before;
    kit_true(getrlimit(RLIMIT_NOFILE, &before) == 0);
    const struct rlimit now = { .rlim_cur = n, .rlim_max = before.rlim_max };
    kit_true(setrlimit(RLIMIT_NOFILE, &now) == 0);
    return before;
}

static void unlimit(const struct rlimit *before)
{
    kit_true(setrlimit(RLIMIT_NOFILE, before) == 0);
}

static int greeted(void)
{
    const int fd = plain_connect();
    uint64_t number;
    uint64_t room;
    kit_true(fd >= 0 && plain_hello(fd) > 0);
    (void)kit_stat(BOX);
    kit_equal(plain_read(fd, &number, &room), CREDIT);
    return fd;
}

static void pass(int client, uint8_t flags, uint64_t number, int passed)
{
    const uint64_t value = number;
    const struct packet packet = {
        .kind = MESSAGE, .flags = flags, .length = sizeof value, .number = number
    };
    kit_true(plain_pass(client, &packet, &value, passed) > 0);
}

static void is_refused(int client)
{
    uint64_t number = 0;
    uint64_t room = 0;
    (void)kit_stat(BOX);
    kit_equal(plain_read(client, &number, &room), REFUSED);
    kit_equal(number, EPROTO);
    close(client);
}

/* ------------------------------------------------------------------ what a client says */

static void a_plain_client_passes_a_descriptor(void)
{
    tong_mailbox *box = make(NULL);
    const int client = greeted();
    uint64_t value = 9;
    int ends[2];
    int fd = -1;
    tong_message info = TONG_MESSAGE_INIT;
    kit_true(pipe2(ends, O_CLOEXEC) == 0);
    kit_true(plain_send(client, PASSES, 0, NULL, 0) > 0);
    pass(client, WITH_FD, 0, ends[1]);
    kit_gives(tong_receive_fd(box, &value, sizeof value, KIT_PATIENCE, &fd, &info), sizeof value);
    kit_equal(info.pid, getpid());
    kit_equal(info.gid, getegid());
    kit_equal(info.verified, TONG_VERIFIED_UID | TONG_VERIFIED_PID | TONG_VERIFIED_GID);
    kit_equal(write(fd, "x", 1), 1);
    kit_equal(read(ends[0], &value, 1), 1);
    close(fd);
    close(ends[0]);
    close(ends[1]);
    close(client);
    kit_ok(tong_close(box));
}

static void what_is_said_of_descriptors_must_be_so(void)
{
    tong_mailbox *box = make(NULL);
    const unsigned before = open_descriptors();
    int client = greeted();
    pass(client, WITH_FD, 0, -1);
    is_refused(client);
    client = greeted();
    pass(client, 0, 0, STDIN_FILENO);
    is_refused(client);
    client = greeted();
    pass(client, MEMFD | WITH_FD, 0, STDIN_FILENO);
    is_refused(client);
    client = plain_connect();
    kit_true(plain_send(client, PASSES, 0, NULL, 0) > 0); /* before HELLO */
    is_refused(client);
    kit_is_empty(box);
    kit_equal(open_descriptors(), before);
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ how many */

#define MANY 20u
#define HELD 4u /* of 64: half, and of that an eighth */

static void messages_hold_few_descriptors_and_none_is_lost(void)
{
    const struct rlimit before = limit_descriptors(64);
    tong_mailbox *box = make(NULL);
    const int client = greeted();
    const unsigned descriptors = open_descriptors();
    kit_true(plain_send(client, PASSES, 0, NULL, 0) > 0);
    for (uint64_t i = 0; i < MANY; i++) {
        pass(client, WITH_FD, i, STDIN_FILENO);
    }
    for (uint64_t i = 0; i < MANY; i++) {
        uint64_t value = MANY;
        int fd = -1;
        (void)kit_stat(BOX);
        kit_true(open_descriptors() <= descriptors + HELD);
        kit_gives(tong_receive_fd(box, &value, sizeof value, 0, &fd, NULL), sizeof value);
        kit_equal(value, i);
        kit_true(fd >= 0);
        close(fd);
    }
    kit_equal(open_descriptors(), descriptors);
    close(client);
    kit_ok(tong_close(box));
    unlimit(&before);
}

static void a_message_waits_for_a_descriptor(void)
{
    tong_mailbox *box = make(NULL);
    const int client = greeted();
    uint64_t value = 9;
    int taken[64];
    int n = 0;
    int fd = 99;
    kit_true(plain_send(client, PASSES, 0, NULL, 0) > 0);
    (void)kit_stat(BOX);
    const struct rlimit before = limit_descriptors(64);
    while (n < 64 && (taken[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        n++;
    }
    kit_true(n > 0);
    pass(client, WITH_FD, 0, STDIN_FILENO);
    kit_gives(tong_receive_fd(box, &value, sizeof value, 0, &fd, NULL), -EMFILE);
    kit_gives(tong_receive_fd(box, &value, sizeof value, KIT_PATIENCE, &fd, NULL), -EMFILE);
    kit_gives(fd, 99);
    close(taken[--n]);
    kit_gives(tong_receive_fd(box, &value, sizeof value, 0, &fd, NULL), sizeof value);
    kit_true(fd >= 0 && fd != 99);
    close(fd);
    while (n > 0) {
        close(taken[--n]);
    }
    unlimit(&before);
    close(client);
    kit_ok(tong_close(box));
}

/* Who does not say before that it passes some loses its message and its link, and nobody else anything. */
static void who_does_not_announce_descriptors_is_refused_where_none_is_left(void)
{
    tong_mailbox *box = make(NULL);
    const int client = greeted();
    const int other = greeted();
    uint64_t value = 9;
    int taken[64];
    int n = 0;
    const struct rlimit before = limit_descriptors(64);
    while (n < 64 && (taken[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        n++;
    }
    pass(client, WITH_FD, 0, STDIN_FILENO);
    kit_true(plain_send(other, MESSAGE, 0, &value, sizeof value) > 0);
    kit_equal(kit_receive_u64(box), 9);
    kit_is_empty(box);
    while (n > 0) {
        close(taken[--n]);
    }
    unlimit(&before);
    is_refused(client);
    close(other);
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ deaths */

static int send_and_die(void *arg)
{
    const int *ends = arg;
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &box));
    kit_ok(tong_send_fd(box, "kept", 4, ends[1], KIT_PATIENCE));
    kit_report("s", 1);
    kit_await_death();
}

static void a_descriptor_outlives_its_sender(void)
{
    tong_mailbox *box = make(NULL);
    char text[8];
    int ends[2];
    int fd = -1;
    kit_true(pipe2(ends, O_CLOEXEC) == 0);
    struct kit_child child = kit_spawn(send_and_die, ends);
    kit_read_report(&child, text, 1);
    kit_kill(&child);
    close(ends[1]);
    kit_gives(tong_receive_fd(box, text, sizeof text, KIT_PATIENCE, &fd, NULL), 4);
    kit_equal(write(fd, "x", 1), 1);
    close(fd);
    kit_equal(read(ends[0], text, 1), 1);
    kit_equal(read(ends[0], text, 1), 0);
    close(ends[0]);
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ more than a user may have under way */

#define SENT 200

static int send_too_many(void *arg)
{
    kit_event *full = arg;
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &box));
    (void)limit_descriptors(64);
    for (uint64_t i = 0; i < SENT; i++) {
        int r = tong_send_fd(box, &i, sizeof i, STDIN_FILENO, 0);
        if (r == -EAGAIN) {
            if (atomic_load(full) == 0) {
                kit_gives(tong_send_fd(box, &i, sizeof i, STDIN_FILENO, TONG_MS(3)), -ETIMEDOUT);
                kit_event_set(full);
            }
            r = tong_send_fd(box, &i, sizeof i, STDIN_FILENO, KIT_PATIENCE);
        }
        kit_ok(r);
    }
    return tong_close(box);
}

static int own_as_ann(void *arg)
{
    kit_become(KIT_ANN, KIT_ANN);
    setenv("TONG_DIR", arg, 1);
    tong_mailbox *box = make(NULL);
    kit_event *full = kit_shared(sizeof *full);
    struct kit_child sender = kit_spawn(send_too_many, full);
    kit_event_wait(full);
    for (uint64_t i = 0; i < SENT; i++) {
        uint64_t value = SENT;
        int fd = -1;
        kit_gives(tong_receive_fd(box, &value, sizeof value, KIT_PATIENCE, &fd, NULL),
                  sizeof value);
        kit_equal(value, i);
        close(fd);
    }
    kit_join(&sender);
    return tong_close(box);
}

static void a_sender_waits_while_too_many_of_its_user_are_under_way(void)
{
    kit_needs_root();
    const char *folder = kit_make_folder(KIT_ANN, KIT_ANN, 0700);
    struct kit_child ann = kit_spawn(own_as_ann, (void *)(uintptr_t)folder);
    kit_join(&ann);
    kit_remove_folder(folder);
}

static const struct kit_test tests[] = {
    KIT_TEST(a_plain_client_passes_a_descriptor),
    KIT_TEST(what_is_said_of_descriptors_must_be_so),
    KIT_TEST(messages_hold_few_descriptors_and_none_is_lost),
    KIT_TEST(a_message_waits_for_a_descriptor),
    KIT_TEST(who_does_not_announce_descriptors_is_refused_where_none_is_left),
    KIT_TEST(a_descriptor_outlives_its_sender),
    KIT_TEST(a_sender_waits_while_too_many_of_its_user_are_under_way),
};

KIT_MAIN(tests)
