/*
 * A mailbox behind a socket, and clients that are no programs of tong: one that speaks as docs/carriers.md says,
 * and those that send anything. And deaths of either side.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kit.h"
#include "plain_client.h"

#define BOX "unix:box"

/* ------------------------------------------------------------------ a plain client */

struct plain {
    uint64_t n;
    bool asks; /* for room of the mailbox */
};

static int send_plainly(void *arg)
{
    const struct plain *p = arg;
    const int fd = plain_connect();
    uint64_t number;
    uint64_t room;
    kit_true(fd >= 0 && plain_hello(fd) > 0);
    kit_equal(plain_read(fd, &number, &room), CREDIT);
    for (uint64_t i = 0; i < p->n; i++) {
        while (i >= room) {
            if (p->asks) {
                kit_true(plain_send(fd, WANT, 1, NULL, 0) > 0);
            }
            kit_equal(plain_read(fd, &number, &room), CREDIT);
        }
        kit_true(plain_send(fd, MESSAGE, i, &i, sizeof i) > 0);
    }
    close(fd);
    return 0;
}

static tong_mailbox *make(uint32_t capacity, uint32_t link_capacity)
{
    tong_options options = TONG_OPTIONS_INIT;
    tong_mailbox *box = NULL;
    options.owner = TONG_PROCESS;
    options.capacity = capacity;
    options.link_capacity = link_capacity;
    kit_ok(tong_open(BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options, &box));
    return box;
}

static void talk_to_a_plain_client(uint32_t capacity, uint32_t link_capacity, bool asks)
{
    const struct plain p = { .n = 3000, .asks = asks };
    tong_mailbox *box = make(capacity, link_capacity);
    struct kit_child child = kit_spawn(send_plainly, (void *)(uintptr_t)&p);
    for (uint64_t i = 0; i < p.n; i++) {
        uint64_t value = UINT64_MAX;
        tong_message info = TONG_MESSAGE_INIT;
        kit_gives(tong_receive_with(box, &value, 8, NULL, KIT_PATIENCE, &info), 8);
        kit_true(value == i && info.sequence == i && info.pid == child.pid);
        kit_equal(info.uid, geteuid());
        kit_equal(info.gid, getegid());
        kit_equal(info.verified, TONG_VERIFIED_UID | TONG_VERIFIED_PID | TONG_VERIFIED_GID);
    }
    kit_join(&child);
    kit_ok(tong_close(box));
}

static void a_plain_client_speaks_by_credits(void)
{
    talk_to_a_plain_client(TONG_UNBOUNDED, TONG_DEFAULT, false);
    talk_to_a_plain_client(TONG_UNBOUNDED, 3, false);
    talk_to_a_plain_client(5, TONG_DEFAULT, true);
}

static int offer_plainly(void *arg)
{
    const int fd = plain_connect();
    uint64_t number;
    uint64_t room;
    (void)arg;
    kit_true(fd >= 0 && plain_hello(fd) > 0);
    kit_equal(plain_read(fd, &number, &room), CREDIT);
    for (uint64_t i = 0; i < 100; i++) {
        kit_true(plain_send(fd, MESSAGE, i, &i, sizeof i) > 0);
        do {
            const int kind = plain_read(fd, &number, &room);
            kit_true(kind == CREDIT || (kind == TAKEN && number == i));
            if (kind == TAKEN) {
                break;
            }
        } while (true);
    }
    close(fd);
    return 0;
}

static void a_plain_client_meets_at_capacity_0(void)
{
    tong_mailbox *box = make(0, TONG_DEFAULT);
    struct kit_child child = kit_spawn(offer_plainly, NULL);
    for (uint64_t i = 0; i < 100; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
    kit_join(&child);
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ hostile clients */

static uint64_t memory_kib(void)
{
    struct rusage usage;
    kit_true(getrusage(RUSAGE_SELF, &usage) == 0);
    return (uint64_t)usage.ru_maxrss;
}

struct good {
    kit_event end;
    kit_event done;
    _Atomic uint64_t sent;
};

static int send_on(void *arg)
{
    struct good *good = arg;
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &box));
    for (uint64_t i = 0; atomic_load(&good->end) == 0; i++) {
        kit_ok(kit_send_u64(box, i, KIT_PATIENCE));
        atomic_store(&good->sent, i + 1);
    }
    kit_event_set(&good->done);
    return tong_close(box);
}

/* All that comes while the hostile one is at it is the good one's, whole and in order. */
static void serve_beside(kit_child_fn *hostile)
{
    struct good *good = kit_shared(sizeof *good);
    tong_mailbox *box = make(TONG_UNBOUNDED, TONG_DEFAULT);
    struct kit_child sender = kit_spawn(send_on, good);
    uint64_t next = 0;
    kit_equal(kit_receive_u64(box), next++);
    const unsigned descriptors = open_descriptors();
    struct kit_child child = kit_spawn(hostile, NULL);
    unsigned most = descriptors;
    for (bool over = false; !over;) {
        for (int i = 0; i < 200; i++) {
            kit_equal(kit_receive_u64(box), next++);
        }
        const unsigned now = open_descriptors();
        most = now > most ? now : most;
        struct pollfd ended = { .fd = child.report_fd, .events = POLLIN };
        over = poll(&ended, 1, 0) == 1;
    }
    kit_event_set(&good->end);
    while (atomic_load(&good->done) == 0 || next < atomic_load(&good->sent)) {
        uint64_t value;
        const ssize_t n = tong_receive(box, &value, sizeof value, TONG_MS(5));
        kit_true(n == -ETIMEDOUT || (n == 8 && value == next++));
    }
    kit_join(&sender);
    kit_join(&child);
    printf("descriptors %u, at most %u; memory at most %llu KiB\n", descriptors, most,
           (unsigned long long)memory_kib());
    kit_true(memory_kib() < 64 * 1024);
    kit_is_empty(box);
    kit_true(open_descriptors() <= descriptors);
    kit_ok(tong_close(box));
}

static int end_of_hostility(void)
{
    kit_report("e", 1);
    return 0;
}

static int send_garbage(void *arg)
{
    struct kit_random random = kit_random_stream(3);
    uint8_t bytes[4000];
    (void)arg;
    for (int i = 0; i < 2000; i++) {
        const int fd = plain_connect();
        const size_t len = kit_random_below(&random, sizeof bytes);
        for (size_t k = 0; k < len; k++) {
            bytes[k] = (uint8_t)kit_random(&random);
        }
        if (fd < 0) {
            continue;
        }
        if (i % 2 == 0) {
            (void)plain_hello(fd);
            bytes[0] = (uint8_t)kit_random_below(&random, 8); /* of a kind that there is */
            bytes[1] &= 7;
        }
        (void)send(fd, bytes, len, MSG_NOSIGNAL);
        (void)send(fd, bytes, len / 2, MSG_NOSIGNAL);
        close(fd);
    }
    return end_of_hostility();
}

static int send_half_messages(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        const int fd = plain_connect();
        const struct packet half = { .kind = MESSAGE, .length = 100, .number = 0 };
        const struct packet huge = { .kind = MESSAGE, .length = UINT32_MAX, .flags = 1 };
        if (fd < 0) {
            continue;
        }
        (void)plain_hello(fd);
        (void)send(fd, i % 2 == 0 ? &half : &huge, i % 3 == 0 ? 7 : sizeof half, MSG_NOSIGNAL);
        (void)plain_hello(fd);
        close(fd);
    }
    return end_of_hostility();
}

/* A thousand at once, in four packets, and a memfd that can be changed. */
static int send_descriptors(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++) {
        const int fd = plain_connect();
        if (fd < 0) {
            continue;
        }
        (void)plain_hello(fd);
        for (int k = 0; k < 4; k++) {
            union {
                struct cmsghdr head;
                char bytes[CMSG_SPACE(250 * sizeof(int))];
            } control;
            struct packet packet = { .kind = MESSAGE, .flags = (uint8_t)(k & 3), .length = 8 };
            struct iovec part = { &packet, sizeof packet };
            struct msghdr msg = { .msg_iov = &part,
                                  .msg_iovlen = 1,
                                  .msg_control = &control,
                                  .msg_controllen = sizeof control };
            memset(&control, 0, sizeof control);
            struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(250 * sizeof(int));
            const int memfd = memfd_create("hostile", MFD_CLOEXEC);
            for (int n = 0; n < 250; n++) {
                memcpy(CMSG_DATA(c) + (size_t)n * sizeof(int), &memfd, sizeof memfd);
            }
            (void)sendmsg(fd, &msg, MSG_NOSIGNAL);
            close(memfd);
        }
        close(fd);
    }
    return end_of_hostility();
}

/* Asks again and again, and reads no answer. */
static int never_read(void *arg)
{
    const int fd = plain_connect();
    (void)arg;
    (void)plain_hello(fd);
    for (int i = 0; i < 20000; i++) {
        if (plain_send(fd, WANT, 1, NULL, 0) < 0) {
            break;
        }
    }
    const int end = end_of_hostility();
    close(fd);
    return end;
}

static int connect_ten_thousand_times(void *arg)
{
    int held[500];
    (void)arg;
    for (int i = 0; i < 10000; i++) {
        const int fd = plain_connect();
        if (i < 500) {
            held[i] = fd;
        } else if (fd >= 0) {
            close(fd);
        }
    }
    const int end = end_of_hostility();
    for (int i = 0; i < 500; i++) {
        if (held[i] >= 0) {
            close(held[i]);
        }
    }
    return end;
}

static void garbage_is_refused_and_others_are_served(void)
{
    serve_beside(send_garbage);
}

static void half_messages_are_refused_and_others_are_served(void)
{
    serve_beside(send_half_messages);
}

static void a_thousand_descriptors_are_closed_and_others_are_served(void)
{
    serve_beside(send_descriptors);
}

static void who_never_reads_hurts_nobody(void)
{
    serve_beside(never_read);
}

static void ten_thousand_connections_hurt_nobody(void)
{
    serve_beside(connect_ten_thousand_times);
}

/* ------------------------------------------------------------------ kill -9 */

#define KILLS 200

struct life {
    _Atomic uint64_t promised;
    kit_event begun;
};

static int send_until_killed(void *arg)
{
    struct life *life = arg;
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &box));
    for (uint64_t i = 0;; i++) {
        kit_ok(kit_send_u64(box, i, TONG_FOREVER));
        atomic_store(&life->promised, i + 1);
        kit_event_set(&life->begun);
    }
    return 0;
}

/* What was promised comes, in order and once; at most the one it was killed in comes, too. */
static void kill_senders(uint32_t capacity, uint32_t link_capacity)
{
    struct kit_random random = kit_random_stream(1);
    tong_mailbox *box = make(capacity, link_capacity);
    for (int i = 0; i < KILLS; i++) {
        struct life *life = kit_shared(sizeof *life);
        struct kit_child child = kit_spawn(send_until_killed, life);
        uint64_t next = 0;
        const uint64_t n = kit_random_below(&random, 40);
        for (; next <= n; next++) {
            kit_equal(kit_receive_u64(box), next);
        }
        kit_random_moment(&random);
        kit_kill(&child);
        uint64_t value;
        while (tong_receive(box, &value, sizeof value, 0) == sizeof value) {
            kit_equal(value, next++);
        }
        const uint64_t promised = atomic_load(&life->promised);
        kit_true(next == promised || next == promised + 1);
    }
    const tong_status status = kit_stat(BOX);
    kit_equal(status.waiting + status.claimed + status.links, 0);
    kit_ok(tong_close(box));
    kit_true(strstr(kit_entries(kit_path("")), "@box") == NULL);
}

static void killed_senders_lose_nothing_and_leave_nothing(void)
{
    kill_senders(TONG_UNBOUNDED, TONG_DEFAULT);
    kill_senders(3, TONG_DEFAULT);
    kill_senders(0, TONG_DEFAULT);
}

static int receive_until_killed(void *arg)
{
    kit_event *ready = arg;
    tong_mailbox *box = make(5, TONG_DEFAULT);
    kit_event_set(ready);
    for (uint64_t i = 0;; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
    return 0;
}

static void killed_owners_end_every_wait_and_leave_nothing(void)
{
    struct kit_random random = kit_random_stream(2);
    for (int i = 0; i < KILLS; i++) {
        kit_event *ready = kit_shared(sizeof *ready);
        struct kit_child owner = kit_spawn(receive_until_killed, ready);
        tong_mailbox *box = NULL;
        kit_event_wait(ready);
        kit_ok(tong_open(BOX, TONG_SEND, NULL, &box));
        const uint64_t n = kit_random_below(&random, 60);
        for (uint64_t k = 0; k < n; k++) {
            kit_ok(kit_send_u64(box, k, KIT_PATIENCE));
        }
        kit_kill(&owner);
        int r = 0;
        for (uint64_t k = n; r == 0; k++) {
            r = kit_send_u64(box, k, KIT_PATIENCE);
        }
        kit_gives(r, -EOWNERDEAD);
        kit_ok(tong_close(box));
    }
    tong_mailbox *box = make(5, TONG_DEFAULT);
    kit_ok(tong_close(box));
    kit_true(strstr(kit_entries(kit_path("")), "@box") == NULL);
    kit_true(strcmp(kit_entries(kit_path(".tmp")), "") == 0);
}

static const struct kit_test tests[] = {
    KIT_TEST(a_plain_client_speaks_by_credits),
    KIT_TEST(a_plain_client_meets_at_capacity_0),
    KIT_TEST(garbage_is_refused_and_others_are_served),
    KIT_TEST(half_messages_are_refused_and_others_are_served),
    KIT_TEST(a_thousand_descriptors_are_closed_and_others_are_served),
    KIT_TEST(who_never_reads_hurts_nobody),
    KIT_TEST(ten_thousand_connections_hurt_nobody),
    KIT_TEST(killed_senders_lose_nothing_and_leave_nothing),
    KIT_TEST(killed_owners_end_every_wait_and_leave_nothing),
};

KIT_MAIN(tests)
