/*
 * A mailbox behind a socket, and what its clients and its files may do to it in the moment in which it is busy
 * with something else. Each test speaks as the client and receives as the owner, so the order is certain.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kit.h"
#include "plain_client.h"

#define BOX "unix:box"

static tong_mailbox *make(const tong_options *options, unsigned flags)
{
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL | flags, options, &box));
    return box;
}

static tong_options drop_oldest(uint32_t capacity)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    options.full = TONG_DROP_OLDEST;
    options.capacity = capacity;
    return options;
}

/* All that was sent is in the owner's memory. */
static void let_read(void)
{
    (void)kit_stat(BOX);
}

static int greeted(const char *name)
{
    const int fd = plain_connect();
    kit_true(fd >= 0 && plain_hello_as(fd, name, -1) > 0);
    return fd;
}

/* A client that has room for n messages of a bounded mailbox. */
static int greeted_with_room(uint64_t n)
{
    uint64_t number;
    uint64_t room = 0;
    const int fd = greeted("");
    for (uint64_t i = 0; room < n; i++) {
        kit_true(i <= n && plain_send(fd, WANT, 1, NULL, 0) > 0);
        let_read();
        kit_equal(plain_read(fd, &number, &room), CREDIT);
        if (room == 0) {
            kit_equal(plain_read(fd, &number, &room), CREDIT); /* the first answers HELLO */
        }
    }
    return fd;
}

static void push(int fd, uint64_t number, uint64_t value)
{
    const struct packet packet = {
        .kind = MESSAGE, .flags = PUSH, .length = sizeof value, .number = number
    };
    kit_true(plain_pass(fd, &packet, &value, -1) > 0);
}

static void send_value(int fd, uint64_t number, uint64_t value)
{
    kit_true(plain_send(fd, MESSAGE, number, &value, sizeof value) > 0);
}

/* ------------------------------------------------------------------ one packet while another is read */

/* The message drops the older one; that the mailbox then has room is no reason to read on: what stands behind
 * it ends the link that it came by. */
static void garbage_behind_a_message_that_drops_one(void)
{
    const tong_options two = drop_oldest(2);
    tong_mailbox *box = make(&two, 0);
    const int fd = greeted_with_room(1);
    send_value(fd, 0, 10);
    let_read();
    push(fd, 1, 11);
    kit_true(plain_send(fd, 99, 0, NULL, 0) > 0);
    let_read();
    kit_equal(kit_receive_u64(box), 11);
    kit_is_empty(box);
    kit_equal(kit_stat(BOX).links, 0);
    close(fd);
    kit_ok(tong_close(box));
}

/* An expired message goes, which lets others be read, one of which drops the message behind the expired one. */
static void what_stands_behind_an_expired_message_is_dropped(void)
{
    const tong_options three = drop_oldest(3);
    tong_send_options soon = TONG_SEND_OPTIONS_INIT;
    tong_mailbox *box = make(&three, TONG_SEND);
    const uint64_t value = 1;
    const int fd = greeted_with_room(1);
    soon.expiry_ns = 1;
    kit_ok(tong_send_with(box, &value, sizeof value, &soon, 0));
    send_value(fd, 0, 20);
    let_read();
    push(fd, 1, 21);
    kit_equal(kit_receive_u64(box), 21);
    kit_is_empty(box);
    close(fd);
    kit_ok(tong_close(box));
}

/* HELLO lets an older link of its name go first: what that says last may not end the mailbox under it. */
static void a_client_says_that_the_mailbox_was_removed(void)
{
    const uint32_t removed = 2;
    tong_mailbox *box = make(NULL, 0);
    uint64_t value = 0;
    const int old = greeted("p");
    let_read();
    const int file = open(kit_path("@box/box"), O_RDWR | O_CLOEXEC);
    kit_true(file >= 0 && pwrite(file, &removed, sizeof removed, 40) == sizeof removed);
    close(file);
    kit_true(plain_send(old, LOOK, 0, NULL, 0) > 0);
    const int new = greeted("p");
    send_value(new, 0, 7);
    kit_gives(tong_receive(box, &value, sizeof value, KIT_PATIENCE), sizeof value);
    kit_equal(value, 7);
    const int remover = plain_connect();
    kit_true(plain_send(remover, LOOK, 0, NULL, 0) > 0);
    kit_gives(tong_receive(box, &value, sizeof value, KIT_PATIENCE), -EIDRM);
    close(remover);
    close(new);
    close(old);
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ descriptors */

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

/* The socket is the client's as well, and so is how it is set. */
static void a_socket_that_brings_a_pidfd_with_each_message(void)
{
    const tong_options two = drop_oldest(TONG_UNBOUNDED);
    const int on = 1;
    int ends[2];
    kit_true(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    if (setsockopt(ends[1], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on) < 0) {
        kit_skip("the kernel has no SO_PASSPIDFD");
    }
    tong_mailbox *box = make(&two, 0);
    const int fd = plain_connect();
    kit_true(fd >= 0 && plain_hello_as(fd, "", ends[1]) > 0);
    let_read();
    const unsigned before = open_descriptors();
    for (uint64_t i = 0; i < 100; i++) {
        send_value(ends[0], i, i);
        kit_equal(kit_receive_u64(box), i);
    }
    kit_equal(open_descriptors(), before);
    close(ends[0]);
    close(ends[1]);
    close(fd);
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ the room file */

static int send_one(void *arg)
{
    tong_mailbox *box = NULL;
    (void)arg;
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &box));
    kit_ok(kit_send_u64(box, 5, KIT_PATIENCE / 4));
    return tong_close(box);
}

static void a_lock_on_a_free_row_keeps_nobody_out(void)
{
    tong_mailbox *box = make(NULL, 0);
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 1 };
    const int room = open(kit_path("@box/room"), O_RDWR | O_CLOEXEC);
    kit_true(room >= 0 && fcntl(room, F_OFD_SETLK, &lock) == 0);
    struct kit_child child = kit_spawn(send_one, NULL);
    kit_equal(kit_receive_u64(box), 5);
    kit_join(&child);
    close(room);
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ threads */

#define ROUNDS 3000

static void *open_and_close(void *arg)
{
    const _Atomic bool *over = arg;
    while (!atomic_load(over)) {
        tong_mailbox *box = NULL;
        if (tong_open(BOX, TONG_SEND, NULL, &box) == 0) {
            (void)tong_close(box);
        }
    }
    return NULL;
}

/* Its last handle is closed while another thread finds it by its name. */
static void a_mailbox_is_closed_while_it_is_opened(void)
{
    static _Atomic bool over;
    pthread_t threads[2];
    tong_mailbox *other = NULL; /* this thread is the first that has one, and the last */
    kit_ok(tong_open("unix:other", TONG_RECEIVE | TONG_CREATE, NULL, &other));
    for (int i = 0; i < 2; i++) {
        kit_true(pthread_create(&threads[i], NULL, open_and_close, &over) == 0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        tong_mailbox *box = NULL;
        kit_ok(tong_open(BOX, TONG_RECEIVE | TONG_CREATE, NULL, &box));
        kit_ok(tong_close(box));
    }
    atomic_store(&over, true);
    for (int i = 0; i < 2; i++) {
        kit_true(pthread_join(threads[i], NULL) == 0);
    }
    kit_ok(tong_close(other));
}

static const struct kit_test tests[] = {
    KIT_TEST(garbage_behind_a_message_that_drops_one),
    KIT_TEST(what_stands_behind_an_expired_message_is_dropped),
    KIT_TEST(a_client_says_that_the_mailbox_was_removed),
    KIT_TEST(a_socket_that_brings_a_pidfd_with_each_message),
    KIT_TEST(a_lock_on_a_free_row_keeps_nobody_out),
    KIT_TEST(a_mailbox_is_closed_while_it_is_opened),
};

KIT_MAIN(tests)
