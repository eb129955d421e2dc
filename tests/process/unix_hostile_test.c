/*
 * A mailbox behind a socket, and what its clients and its files may do to it in the moment in which it is busy
 * with something else. Each test speaks as the client and receives as the owner, so the order is certain.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "kit.h"
#include "plain_client.h"

#define BOX "unix:box"
#define LONG (3 << 20)

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

struct passing {
    kit_event read;
    kit_event sent;
    kit_event over;
};

static int send_long(void *arg)
{
    struct passing *passing = arg;
    tong_mailbox *box = NULL;
    char *data = calloc(1, LONG);
    kit_true(data != NULL);
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &box));
    kit_ok(kit_send_u64(box, 1, KIT_PATIENCE));
    kit_event_wait(&passing->read);
    kit_payload_write(data, LONG, 0, 3);
    kit_ok(tong_send(box, data, LONG, KIT_PATIENCE));
    kit_event_set(&passing->sent);
    free(data);
    kit_event_wait(&passing->over); /* its connection would be a descriptor that is left */
    return tong_close(box);
}

static struct rlimit limit_descriptors(rlim_t n)
{
    struct rlimit before;
    kit_true(getrlimit(RLIMIT_NOFILE, &before) == 0);
    const struct rlimit now = { .rlim_cur = n, .rlim_max = before.rlim_max };
    kit_true(setrlimit(RLIMIT_NOFILE, &now) == 0);
    return before;
}

/* A long message comes in a descriptor. */
static void a_message_stays_while_no_descriptor_is_left(const tong_options *options)
{
    struct passing *passing = kit_shared(sizeof *passing);
    int taken[64];
    int n = 0;
    char *data = malloc(LONG);
    tong_mailbox *box = make(options, 0);
    struct kit_child child = kit_spawn(send_long, passing);
    kit_equal(kit_receive_u64(box), 1);
    const struct rlimit before = limit_descriptors(64);
    while (n < 64 && (taken[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        n++;
    }
    kit_true(n > 0);
    kit_event_set(&passing->read);
    kit_event_wait(&passing->sent);
    for (int i = 0; i < 3; i++) {
        kit_gives(tong_receive(box, data, LONG, 0), -EMFILE);
    }
    kit_event_set(&passing->over);
    close(taken[--n]);
    kit_gives(tong_receive(box, data, LONG, 0), LONG);
    kit_true(kit_payload_is(data, LONG, 0, 3));
    kit_is_empty(box);
    while (n > 0) {
        close(taken[--n]);
    }
    kit_true(setrlimit(RLIMIT_NOFILE, &before) == 0);
    kit_join(&child);
    free(data);
    kit_ok(tong_close(box));
}

static void a_long_message_waits_for_a_descriptor(void)
{
    const tong_options oldest = drop_oldest(TONG_UNBOUNDED);
    a_message_stays_while_no_descriptor_is_left(NULL);
    a_message_stays_while_no_descriptor_is_left(&oldest);
}

static bool is_refused(int fd)
{
    uint64_t number;
    uint64_t room;
    const int kind = plain_read(fd, &number, &room);
    kit_true(kind == CREDIT || (kind == REFUSED && number == EUSERS));
    return kind == REFUSED;
}

/* Of 64 descriptors 32, and of one process 4. */
static void connections_are_counted_over_all_mailboxes_of_a_process(void)
{
    tong_mailbox *box = make(NULL, 0);
    tong_mailbox *other = NULL;
    int fds[8];
    kit_ok(tong_open("unix:other", TONG_RECEIVE | TONG_CREATE | TONG_EXCL, NULL, &other));
    const struct rlimit before = limit_descriptors(64);
    for (int i = 0; i < 8; i++) {
        fds[i] = plain_connect_to(i < 4 ? "@box/socket" : "@other/socket");
        kit_true(fds[i] >= 0 && plain_hello(fds[i]) > 0);
    }
    let_read();
    (void)kit_stat("unix:other");
    for (int i = 0; i < 8; i++) {
        kit_equal(is_refused(fds[i]), i >= 4);
    }
    close(fds[0]);
    let_read();
    const int again = plain_connect_to("@other/socket");
    kit_true(again >= 0 && plain_hello(again) > 0);
    (void)kit_stat("unix:other");
    kit_true(!is_refused(again));
    for (int i = 1; i < 8; i++) {
        close(fds[i]);
    }
    close(again);
    kit_true(setrlimit(RLIMIT_NOFILE, &before) == 0);
    kit_ok(tong_close(other));
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ packets without end */

static int want_without_end(void *arg)
{
    const int fd = greeted("");
    (void)arg;
    while (plain_send(fd, WANT, 1, NULL, 0) > 0) {
    }
    return 0;
}

static void who_never_stops_asking_keeps_no_call_beyond_its_time(void)
{
    tong_options one = TONG_OPTIONS_INIT;
    one.owner = TONG_PROCESS;
    one.capacity = 1;
    tong_mailbox *box = make(&one, TONG_SEND);
    uint64_t value;
    struct kit_child children[4]; /* faster than one who answers */
    for (int i = 0; i < 4; i++) {
        children[i] = kit_spawn(want_without_end, NULL);
    }
    kit_until(kit_stat(BOX).links == 4);
    for (int i = 0; i < 3; i++) {
        tong_mailbox *const boxes[] = { box };
        kit_gives(tong_receive(box, &value, sizeof value, 0), -EAGAIN);
        kit_gives(tong_receive(box, &value, sizeof value, TONG_MS(20)), -ETIMEDOUT);
        kit_gives(tong_wait_any(boxes, 1, TONG_MS(20)), -ETIMEDOUT);
    }
    kit_gives(kit_send_u64(box, 1, TONG_MS(20)), -ETIMEDOUT);
    for (int i = 0; i < 4; i++) {
        kit_kill(&children[i]);
    }
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ more than the memory that may be taken */

#define SMALL 600
#define MEMORY 1000

struct speech {
    const char *name;
    kit_event go[4];
    kit_event sent[4];
    uint32_t n;
};

/* So many at once each time that it is told to. */
static int speak(void *arg)
{
    struct speech *s = arg;
    tong_process *me = NULL;
    char data[SMALL] = { 0 };
    kit_ok(tong_process_open(s->name, NULL, &me));
    for (uint32_t i = 0; i < 4; i++) {
        kit_event_wait(&s->go[i]);
        for (uint32_t k = 0; k < s->n; k++) {
            kit_ok(tong_send_to(me, "unix:q", data, sizeof data, KIT_PATIENCE));
        }
        kit_event_set(&s->sent[i]);
    }
    return tong_process_close(me);
}

static void say(struct speech *s, uint32_t round)
{
    kit_event_set(&s->go[round]);
    kit_event_wait(&s->sent[round]);
}

struct hearing {
    tong_process *me;
    _Atomic int n;
};

static void *hear_any(void *arg)
{
    struct hearing *h = arg;
    char data[SMALL];
    char from[TONG_NAME_MAX];
    for (int i = 0; i < 5; i++) {
        kit_gives(tong_receive_any(h->me, data, sizeof data, KIT_PATIENCE, from), SMALL);
        kit_true(strcmp(from, "many") == 0);
        atomic_fetch_add(&h->n, 1);
    }
    return NULL;
}

static void *hear_one(void *arg)
{
    struct hearing *h = arg;
    char data[SMALL];
    kit_gives(tong_receive_from(h->me, "unix:one", data, sizeof data, KIT_PATIENCE), SMALL);
    atomic_fetch_add(&h->n, 1);
    return NULL;
}

static void ones_messages_are_read_where_others_have_taken_the_memory(void)
{
    struct speech *many = kit_shared(sizeof *many);
    struct speech *one = kit_shared(sizeof *one);
    tong_options options = TONG_OPTIONS_INIT;
    tong_process *me = NULL;
    pthread_t threads[2];
    char data[SMALL];
    many->name = "unix:many";
    many->n = 4;
    one->name = "unix:one";
    one->n = 1;
    options.owner = TONG_PROCESS;
    options.max_bytes = MEMORY;
    kit_ok(tong_process_open("unix:q", &options, &me));
    struct kit_child a = kit_spawn(speak, many);
    struct kit_child b = kit_spawn(speak, one);
    say(many, 0);
    (void)kit_stat("unix:q"); /* it has read two of them */
    kit_gives(tong_receive_from(me, "unix:one", data, SMALL, TONG_MS(1)), -ETIMEDOUT);
    say(one, 0);
    kit_gives(tong_receive_from(me, "unix:one", data, SMALL, 0), SMALL);
    say(one, 1);
    kit_gives(tong_receive_from(me, "unix:one", data, SMALL, KIT_PATIENCE), SMALL);
    /* Who sleeps for one alone sees the others again once they can be read. */
    struct hearing hears_one = { .me = me };
    struct hearing hears_any = { .me = me };
    kit_true(pthread_create(&threads[0], NULL, hear_one, &hears_one) == 0);
    kit_until(kit_stat("unix:q").receivers_asleep == 1);
    kit_true(pthread_create(&threads[1], NULL, hear_any, &hears_any) == 0);
    kit_until(atomic_load(&hears_any.n) == 4);
    kit_until(kit_threads_asleep(getpid()) == 2);
    many->n = 1;
    say(many, 1);
    kit_until(atomic_load(&hears_any.n) == 5);
    kit_equal(atomic_load(&hears_one.n), 0);
    say(one, 2);
    kit_until(atomic_load(&hears_one.n) == 1);
    for (int i = 0; i < 2; i++) {
        kit_true(pthread_join(threads[i], NULL) == 0);
    }
    kit_kill(&a);
    kit_kill(&b);
    kit_ok(tong_process_close(me));
}

/* ------------------------------------------------------------------ the box file */

#define DEAD_LETTER 192 /* where its name stands */

static void a_name_of_the_box_file_that_cannot_be_is_refused(void)
{
    const char bad[] = "\33[2J";
    const char none[sizeof bad] = "";
    tong_mailbox *box = make(NULL, 0);
    tong_mailbox *sender = NULL;
    tong_status status = TONG_STATUS_INIT;
    const int file = open(kit_path("@box/box"), O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 2; i++) { /* of the dead-letter mailbox, and of the policy behind it */
        const off_t at = DEAD_LETTER + 128 * i;
        kit_true(pwrite(file, bad, sizeof bad, at) == sizeof bad);
        kit_gives(tong_stat(BOX, &status), -EPROTO);
        kit_gives(tong_open(BOX, TONG_SEND, NULL, &sender), -EPROTO);
        kit_true(pwrite(file, none, sizeof none, at) == sizeof none);
        kit_ok(tong_stat(BOX, &status));
    }
    close(file);
    kit_ok(tong_close(box));
}

static void an_order_that_the_mailbox_has_not_is_another_option(void)
{
    tong_options options = TONG_OPTIONS_INIT;
    tong_mailbox *box = make(NULL, 0);
    tong_mailbox *sender = NULL;
    options.owner = TONG_PROCESS;
    kit_ok(tong_open(BOX, TONG_SEND | TONG_CREATE, &options, &sender));
    kit_ok(tong_close(sender));
    options.by_priority = 1;
    kit_gives(tong_open(BOX, TONG_SEND | TONG_CREATE, &options, &sender), -EEXIST);
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
    KIT_TEST(a_long_message_waits_for_a_descriptor),
    KIT_TEST(connections_are_counted_over_all_mailboxes_of_a_process),
    KIT_TEST(who_never_stops_asking_keeps_no_call_beyond_its_time),
    KIT_TEST(ones_messages_are_read_where_others_have_taken_the_memory),
    KIT_TEST(a_name_of_the_box_file_that_cannot_be_is_refused),
    KIT_TEST(an_order_that_the_mailbox_has_not_is_another_option),
    KIT_TEST(a_lock_on_a_free_row_keeps_nobody_out),
    KIT_TEST(a_mailbox_is_closed_while_it_is_opened),
};

KIT_MAIN(tests)
