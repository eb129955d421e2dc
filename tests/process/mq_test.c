/*
 * Queues of the kernel and programs that are not tong's: mq:/NAME beside mq_send(3) and mq_receive(3), and
 * what a stranger may put into the queue of a mailbox.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"

#define PLAIN "/tong-test-plain"
#define BOX "mq:box"

/* Queues of this test alone, where that is allowed. */
static void begin(void)
{
    (void)unshare(CLONE_NEWIPC);
    (void)mq_unlink(PLAIN);
}

static mqd_t make_plain(long messages, long size)
{
    struct mq_attr attr = { .mq_maxmsg = messages, .mq_msgsize = size };
    const mqd_t q = mq_open(PLAIN, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK | O_CLOEXEC, 0600, &attr);
    kit_true(q >= 0);
    return q;
}

static tong_mailbox *open_plain(unsigned flags)
{
    tong_mailbox *box = NULL;
    kit_ok(tong_open("mq:" PLAIN, flags, NULL, &box));
    return box;
}

static void end(mqd_t q, tong_mailbox *box)
{
    kit_ok(tong_close(box));
    kit_ok(mq_close(q));
    kit_ok(tong_remove("mq:" PLAIN));
}

static void what_a_plain_program_sends_is_received(void)
{
    begin();
    char bytes[128];
    const mqd_t q = make_plain(4, 100);
    tong_mailbox *box = open_plain(TONG_RECEIVE);
    kit_ok(mq_send(q, "low", 3, 1));
    kit_ok(mq_send(q, "high", 4, 7));
    kit_ok(mq_send(q, "", 0, 0));
    tong_message info = TONG_MESSAGE_INIT;
    kit_gives(tong_receive_with(box, bytes, 3, NULL, 0, &info), -EMSGSIZE);
    kit_equal(info.len, 4);
    kit_equal(info.priority, 7);
    kit_gives(tong_receive_with(box, bytes, sizeof(bytes), NULL, 0, &info), 4);
    kit_true(memcmp(bytes, "high", 4) == 0 && info.verified == 0 && info.sender[0] == '\0');
    kit_gives(tong_receive(box, bytes, sizeof(bytes), 0), 3);
    kit_true(memcmp(bytes, "low", 3) == 0);
    kit_gives(tong_receive(box, bytes, sizeof(bytes), KIT_PATIENCE), 0);
    kit_gives(tong_receive(box, bytes, sizeof(bytes), 0), -EAGAIN);
    kit_gives(tong_receive(box, bytes, sizeof(bytes), TONG_MS(1)), -ETIMEDOUT);
    end(q, box);
}

static void what_is_sent_a_plain_program_receives(void)
{
    begin();
    char bytes[128];
    unsigned priority = 0;
    const mqd_t q = make_plain(3, 100);
    tong_mailbox *box = open_plain(TONG_SEND);
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.priority = 9;
    kit_ok(tong_send(box, "first", 5, 0));
    kit_ok(tong_send_with(box, "second", 6, &with, 0));
    kit_ok(tong_send(box, NULL, 0, 0));
    kit_gives(tong_send(box, "full", 4, 0), -EAGAIN);
    kit_gives(tong_send(box, "full", 4, TONG_MS(1)), -ETIMEDOUT);
    kit_gives(tong_send(box, bytes, 101, 0), -EMSGSIZE);
    with.tag = 1;
    kit_gives(tong_send_with(box, "x", 1, &with, 0), -EOPNOTSUPP);
    kit_equal(kit_stat("mq:" PLAIN).waiting, 3);
    kit_equal(kit_stat("mq:" PLAIN).capacity, 3);
    kit_gives(mq_receive(q, bytes, sizeof(bytes), &priority), 6);
    kit_equal(priority, 9);
    kit_gives(mq_receive(q, bytes, sizeof(bytes), &priority), 5);
    kit_true(memcmp(bytes, "first", 5) == 0 && priority == 0);
    kit_gives(mq_receive(q, bytes, sizeof(bytes), &priority), 0);
    end(q, box);
}

static int echo(void *arg)
{
    (void)arg;
    char bytes[128];
    const mqd_t q = mq_open(PLAIN, O_RDWR | O_CLOEXEC);
    kit_true(q >= 0);
    kit_report("r", 1);
    const ssize_t n = mq_receive(q, bytes, sizeof(bytes), NULL);
    kit_true(n == 4 && memcmp(bytes, "ping", 4) == 0);
    return mq_close(q);
}

static void both_wait_for_each_other(void)
{
    begin();
    char c;
    const mqd_t q = make_plain(1, 100);
    struct kit_child child = kit_spawn(echo, NULL);
    kit_read_report(&child, &c, 1);
    kit_until(kit_sleeps(child.pid));
    tong_mailbox *box = open_plain(TONG_SEND | TONG_RECEIVE);
    kit_ok(tong_send(box, "ping", 4, KIT_PATIENCE));
    kit_join(&child);
    kit_gives(tong_skip(box), -EAGAIN);
    kit_ok(tong_interrupt(box));
    kit_gives(tong_receive(box, &c, 1, TONG_FOREVER), -ECANCELED);
    tong_message message = TONG_MESSAGE_INIT;
    kit_gives(tong_claim(box, 0, &message), -EOPNOTSUPP);
    kit_true(tong_fd(box, TONG_RECEIVE) >= 0);
    end(q, box);
}

static void what_cannot_be_opened(void)
{
    begin();
    tong_mailbox *box = NULL;
    tong_options options = TONG_OPTIONS_INIT;
    kit_gives(tong_open("mq:/tong-test-none", TONG_SEND, NULL, &box), -ENOENT);
    kit_gives(tong_open("mq:/", TONG_SEND, NULL, &box), -EINVAL);
    kit_gives(tong_open("mq:/a/b", TONG_SEND, NULL, &box), -EINVAL);
    options.owner = TONG_PROCESS;
    kit_gives(tong_open("mq:" PLAIN, TONG_SEND | TONG_CREATE, &options, &box), -EOPNOTSUPP);
    options = (tong_options)TONG_OPTIONS_INIT;
    options.capacity = 2;
    kit_ok(tong_open("mq:" PLAIN, TONG_SEND | TONG_CREATE | TONG_EXCL, &options, &box));
    tong_mailbox *again = NULL;
    kit_gives(tong_open("mq:" PLAIN, TONG_SEND | TONG_CREATE | TONG_EXCL, NULL, &again), -EEXIST);
    options.capacity = 3;
    kit_gives(tong_open("mq:" PLAIN, TONG_SEND, &options, &again), -EEXIST);
    kit_ok(tong_close(box));
    kit_ok(tong_remove("mq:" PLAIN));
}

/* The queue behind a mailbox, as one who knows its name may open it. */
static mqd_t queue_of(const char *name)
{
    const tong_status status = kit_stat(name);
    char queue[64] = "/tong.";
    for (size_t i = 0; i < sizeof(status.id); i++) {
        snprintf(queue + 6 + 2 * i, 3, "%02x", status.id[i]);
    }
    const mqd_t q = mq_open(queue, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    kit_true(q >= 0);
    return q;
}

static void garbage_in_the_queue_hinders_nobody(void)
{
    begin();
    tong_mailbox *box = NULL;
    tong_options options = TONG_OPTIONS_INIT;
    options.capacity = 4;
    kit_ok(tong_open(BOX, TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options, &box));
    const mqd_t q = queue_of(BOX);
    struct kit_random random = kit_random_stream(0);
    uint64_t got = 0;
    kit_ok(kit_send_u64(box, 0, 0));
    char record[1024];
    const ssize_t n = mq_receive(q, record, sizeof(record) < 1024 ? 0 : 1024, NULL);
    kit_true(n < 0); /* a buffer must hold the longest */
    kit_equal(kit_receive_u64(box), 0);
    for (uint64_t round = 1; round < 3000; round++) {
        char bytes[256];
        for (size_t i = 0; i < sizeof(bytes); i++) {
            bytes[i] = (char)kit_random(&random);
        }
        if (round % 2 == 0) {
            const uint32_t begin_of_record[2] = { 0x79726374, 0 }; /* its magic; of row 0 */
            memcpy(bytes, begin_of_record, sizeof(begin_of_record));
        }
        (void)mq_send(q, bytes, kit_random_below(&random, sizeof(bytes)), 0);
        kit_ok(kit_send_u64(box, round, KIT_PATIENCE));
        kit_equal(kit_receive_u64(box), round);
        got++;
    }
    kit_equal(got, 2999);
    kit_is_empty(box);
    kit_equal(kit_stat(BOX).waiting, 0);
    kit_ok(mq_close(q));
    kit_end(box, BOX);
}

static void a_limit_of_the_system_is_enospc(void)
{
    begin();
    tong_mailbox *box = NULL;
    tong_options options = TONG_OPTIONS_INIT;
    options.capacity = TONG_CAPACITY_MAX;
    kit_gives(tong_open(BOX, TONG_SEND | TONG_CREATE, &options, &box), -ENOSPC);
    const struct rlimit none = { 0, 0 };
    kit_ok(setrlimit(RLIMIT_MSGQUEUE, &none));
    options.capacity = 2;
    kit_gives(tong_open(BOX, TONG_SEND | TONG_CREATE, &options, &box), -ENOSPC);
    tong_status status = TONG_STATUS_INIT;
    kit_gives(tong_stat(BOX, &status), -ENOENT);
}

/* Whoever may put into the queue says whose message it is. */
static void where_a_group_may_send_the_kernel_vouches_for_nobody(void)
{
    kit_needs_root();
    begin();
    const char *folder = kit_make_folder(0, KIT_ANN, 03770);
    kit_equal(setenv("TONG_DIR", folder, 1), 0);
    for (int shared = 0; shared < 2; shared++) {
        tong_options options = kit_capacity(4);
        tong_message info = TONG_MESSAGE_INIT;
        tong_mailbox *box = NULL;
        uint64_t value = 0;
        options.mode = shared ? 0660 : 0600;
        kit_ok(tong_open(BOX, TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options, &box));
        kit_ok(kit_send_u64(box, 1, 0));
        kit_gives(tong_receive_with(box, &value, sizeof(value), NULL, 0, &info), sizeof(value));
        kit_equal(info.verified, shared ? 0 : TONG_VERIFIED_UID);
        kit_ok(tong_close(box));
        kit_ok(tong_remove(BOX));
    }
    kit_remove_folder(folder);
}

/* ------------------------------------------------------------------ a member of the group */

/* A folder that root shares with the group of Ann, who is a member, and Bob, who is another. */
static const char *share(tong_mailbox **ret_box)
{
    kit_needs_root();
    begin();
    const char *folder = kit_make_folder(0, KIT_ANN, 03770);
    tong_options options = kit_capacity(4);
    kit_equal(setenv("TONG_DIR", folder, 1), 0);
    options.mode = 0660;
    kit_ok(tong_open(BOX, TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options, ret_box));
    return folder;
}

static void unshare_folder(const char *folder, tong_mailbox *box)
{
    kit_ok(tong_close(box));
    kit_ok(tong_remove(BOX));
    kit_remove_folder(folder);
}

static const char *at(const char *folder, const char *name)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *path, const void *bytes, size_t len)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 || write(fd, bytes, len) != (ssize_t)len) {
        kit_fail("%s: %s", path, strerror(errno));
    }
    (void)close(fd);
}

struct plan {
    const char *folder;
    char queue[64];
    uint64_t link_id;
    uint32_t first; /* the body's number, and of the last */
    uint32_t last;
};

/* A folder of a dead one, as it seems, and a mailbox's. */
static int name_its_queue(void *arg)
{
    const struct plan *plan = arg;
    kit_become(KIT_ANN, KIT_ANN);
    kit_ok(mkdir(at(plan->folder, ".mq/.tmp/gone.0000000000000010.0"), 0777));
    write_file(at(plan->folder, ".mq/.tmp/gone.0000000000000010.0/queue"), plan->queue,
               strlen(plan->queue));
    write_file(at(plan->folder, "other/queue"), plan->queue, strlen(plan->queue));
    return 0;
}

static void a_queue_that_is_named_by_another_user_stays(void)
{
    tong_mailbox *box = NULL;
    tong_mailbox *other = NULL;
    struct plan plan = { .folder = share(&box) };
    tong_options options = TONG_OPTIONS_INIT;
    options.mode = 0660;
    kit_ok(tong_open("other", TONG_SEND | TONG_CREATE, &options, &other));
    const int fd = open(at(plan.folder, ".mq/box/queue"), O_RDONLY | O_CLOEXEC);
    kit_true(read(fd, plan.queue, sizeof(plan.queue) - 1) > 0);
    (void)close(fd);
    struct kit_child child = kit_spawn(name_its_queue, &plan);
    kit_join(&child);
    kit_ok(tong_close(other));
    kit_ok(tong_remove("other"));
    kit_gives(tong_remove("mq:none"), -ENOENT); /* a visit */
    kit_equal(kit_entries(at(plan.folder, ".mq/.tmp"))[0], '\0');
    kit_ok(mq_close(queue_of(BOX)));
    unshare_folder(plan.folder, box);
}

static int send_to_it(void *arg)
{
    (void)arg;
    kit_become(KIT_BOB, KIT_ANN);
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 7, 0));
    kit_ok(tong_close(box));
    return 0;
}

static void a_queue_is_its_folders_groups(void)
{
    tong_mailbox *box = NULL;
    struct stat st;
    const char *folder = share(&box);
    const mqd_t q = queue_of(BOX);
    kit_ok(fstat(q, &st));
    kit_equal(st.st_gid, KIT_ANN);
    kit_equal(st.st_mode & 0777, 0620);
    kit_ok(mq_close(q));
    struct kit_child child = kit_spawn(send_to_it, NULL);
    kit_join(&child);
    kit_equal(kit_receive_u64(box), 7);
    unshare_folder(folder, box);
}

static const char *body(const struct plan *plan, uint32_t number)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/.mq/box/body.%016llx.%x", plan->folder,
             (unsigned long long)plan->link_id, (unsigned)number);
    return path;
}

static int make_bodies(void *arg)
{
    const struct plan *plan = arg;
    kit_become(KIT_ANN, KIT_ANN);
    for (uint32_t i = plan->first; i <= plan->last; i++) {
        write_file(body(plan, i), "mine", 4);
    }
    return 0;
}

/* docs/format.md: the head of a link. */
static uint64_t link_id(const char *folder)
{
    uint64_t id = 0;
    const int fd = open(at(folder, ".mq/box/link.0"), O_RDONLY | O_CLOEXEC);
    kit_equal(pread(fd, &id, sizeof(id), 32), sizeof(id));
    (void)close(fd);
    return id;
}

static void a_body_that_another_user_made_first_is_no_body(void)
{
    static char bytes[20000];
    tong_mailbox *box = NULL;
    tong_message message = TONG_MESSAGE_INIT;
    struct stat st;
    struct plan plan = { .folder = share(&box), .first = 1, .last = 2 };
    kit_ok(kit_send_u64(box, 0, 0));
    kit_equal(kit_receive_u64(box), 0);
    plan.link_id = link_id(plan.folder);
    struct kit_child child = kit_spawn(make_bodies, &plan);
    kit_join(&child);
    /* 1: a claim makes one; 2: a long message is one. */
    kit_ok(kit_send_u64(box, 11, 0));
    kit_ok(tong_claim(box, 0, &message));
    kit_ok(stat(body(&plan, 1), &st));
    kit_equal(st.st_uid, 0);
    kit_equal(*(const uint64_t *)message.data, 11);
    kit_ok(tong_done(box, &message));
    memset(bytes, 'b', sizeof(bytes));
    kit_ok(tong_send(box, bytes, sizeof(bytes), 0));
    kit_ok(stat(body(&plan, 2), &st));
    kit_equal(st.st_uid, 0);
    kit_gives(tong_receive(box, bytes, sizeof(bytes), 0), sizeof(bytes));
    kit_true(bytes[0] == 'b' && bytes[sizeof(bytes) - 1] == 'b');
    unshare_folder(plan.folder, box);
}

/* Ann takes the place of the body that is there. */
static int swap_body(void *arg)
{
    const struct plan *plan = arg;
    char bytes[21000];
    const int fd = open(body(plan, 0), O_RDONLY | O_CLOEXEC);
    const ssize_t n = read(fd, bytes, sizeof(bytes));
    kit_true(n > 20000);
    (void)close(fd);
    kit_ok(unlink(body(plan, 0)));
    kit_become(KIT_ANN, KIT_ANN);
    bytes[n - 1] = 'x';
    write_file(body(plan, 0), bytes, (size_t)n);
    return 0;
}

static void a_body_of_another_user_is_not_read(void)
{
    static char bytes[20000];
    tong_mailbox *box = NULL;
    struct plan plan = { .folder = share(&box) };
    kit_ok(tong_send(box, bytes, sizeof(bytes), 0));
    plan.link_id = link_id(plan.folder);
    struct kit_child child = kit_spawn(swap_body, &plan);
    kit_join(&child);
    kit_gives(tong_receive(box, bytes, sizeof(bytes), 0), -EAGAIN);
    kit_ok(kit_send_u64(box, 5, 0));
    kit_equal(kit_receive_u64(box), 5);
    unshare_folder(plan.folder, box);
}

static int send_long(void *arg)
{
    static char bytes[20000];
    const struct plan *plan = arg;
    kit_become(KIT_BOB, KIT_ANN);
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 7, 0));
    struct plan next = { .folder = plan->folder, .link_id = link_id(plan->folder), .first = 1 };
    kit_report(&next.link_id, sizeof(next.link_id));
    kit_until(access(body(&next, 1), F_OK) == 0);
    kit_gives(tong_send(box, bytes, sizeof(bytes), 0), -EPROTO);
    kit_ok(kit_send_u64(box, 8, 0));
    kit_ok(tong_close(box));
    return 0;
}

/* Nobody but the folder's user and root may take it away, and the sender is told. */
static void a_sender_in_whose_way_a_body_is_is_told(void)
{
    tong_mailbox *box = NULL;
    struct plan plan = { .folder = share(&box), .first = 1, .last = 1 };
    struct kit_child bob = kit_spawn(send_long, &plan);
    kit_read_report(&bob, &plan.link_id, sizeof(plan.link_id));
    struct kit_child ann = kit_spawn(make_bodies, &plan);
    kit_join(&ann);
    kit_join(&bob);
    kit_equal(kit_receive_u64(box), 7);
    kit_equal(kit_receive_u64(box), 8);
    unshare_folder(plan.folder, box);
}

static const struct kit_test tests[] = {
    KIT_TEST(a_queue_that_is_named_by_another_user_stays),
    KIT_TEST(a_queue_is_its_folders_groups),
    KIT_TEST(a_body_that_another_user_made_first_is_no_body),
    KIT_TEST(a_body_of_another_user_is_not_read),
    KIT_TEST(a_sender_in_whose_way_a_body_is_is_told),
    KIT_TEST(where_a_group_may_send_the_kernel_vouches_for_nobody),
    KIT_TEST(what_a_plain_program_sends_is_received),
    KIT_TEST(what_is_sent_a_plain_program_receives),
    KIT_TEST(both_wait_for_each_other),
    KIT_TEST(what_cannot_be_opened),
    KIT_TEST(garbage_in_the_queue_hinders_nobody),
    KIT_TEST(a_limit_of_the_system_is_enospc),
};

KIT_MAIN(tests)
