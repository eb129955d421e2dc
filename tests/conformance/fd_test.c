/* Event loops: tong_fd. Readable while a message is there, and not while none is. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "kit.h"

static bool is_readable(int fd)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    kit_true(poll(&ready, 1, 0) >= 0);
    return (ready.revents & POLLIN) != 0;
}

/* Sleeps until it is; fails when its time is over. */
static void wait_readable(int fd)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    kit_equal(poll(&ready, 1, (int)(KIT_PATIENCE / 1000000)), 1);
}

static int fd_of(tong_mailbox *box);
static int try_receive(tong_mailbox *box);

static bool is_told(void)
{
    return strcmp(kit_carrier(), "nats") == 0;
}

/* Between computers the word of it is on its way. */
static void is_up(int fd)
{
    if (is_told()) {
        wait_readable(fd);
    }
    kit_true(is_readable(fd));
}

/*
 * Over a socket the descriptor is readable for what a sender says beside its messages, too: that it came, that it
 * went. Who looks then finds nothing, and then it is not readable any more.
 */
static int receive_woken(tong_mailbox *box, int fd)
{
    int got;
    do {
        wait_readable(fd);
        got = try_receive(box);
    } while (got == -EAGAIN && (strcmp(kit_carrier(), "unix") == 0 || is_told()));
    return got;
}

/* A look at what nobody tells of is due once in a second at most, at each descriptor; where a call takes longer than
 * elsewhere that comes about. And who came, or went, may be told of at any time. */
static void is_down(tong_mailbox *box, int fd)
{
    static struct {
        int64_t began;
        int64_t looks;
    } of[64];
    kit_true(fd < 64);
    of[fd].began = of[fd].began == 0 ? kit_now_ns() : of[fd].began;
    if (is_told() && is_readable(fd)) {
        kit_gives(try_receive(box), -EAGAIN);
        kit_true(++of[fd].looks <= 2 + (kit_now_ns() - of[fd].began) / TONG_MS(1000));
    }
    kit_true(!is_readable(fd));
}

static void is_calm(tong_mailbox *box, int fd)
{
    if (strcmp(kit_carrier(), "unix") == 0 && is_readable(fd)) {
        kit_gives(try_receive(box), -EAGAIN);
    }
    is_down(box, fd);
}

static int fd_of(tong_mailbox *box)
{
    const int fd = tong_fd(box, TONG_RECEIVE);
    if (fd < 0) {
        kit_fail("tong_fd: %s", tong_strerror(fd));
    }
    return fd;
}

static tong_mailbox *create(uint32_t capacity)
{
    const tong_options options = kit_capacity(capacity);
    return kit_create(kit_name("loop"), &options);
}

static int try_receive(tong_mailbox *box)
{
    uint64_t value;
    const ssize_t r = tong_receive(box, &value, sizeof(value), 0);
    return r < 0 ? (int)r : (int)value;
}

/* ------------------------------------------------------------------ the call */

static void fd_is_the_same_at_each_call(void)
{
    tong_mailbox *box = create(4);
    const int fd = fd_of(box);
    kit_equal(fd_of(box), fd);
    kit_equal(kit_send_u64(box, 1, 0), 0);
    kit_equal(fd_of(box), fd);
    kit_end(box, kit_name("loop"));
}

static void fd_refuses_what_is_none(void)
{
    tong_mailbox *box = create(4);
    kit_gives(tong_fd(NULL, TONG_RECEIVE), -EINVAL);
    kit_gives(tong_fd(box, 0), -EINVAL);
    kit_gives(tong_fd(box, TONG_CREATE), -EINVAL);
    tong_mailbox *sender = kit_open(kit_name("loop"), TONG_SEND, NULL);
    kit_gives(tong_fd(sender, TONG_RECEIVE), -EBADF);
    kit_ok(tong_close(sender));
    kit_end(box, kit_name("loop"));
}

static int ask_after_fork(void *arg)
{
    kit_gives(tong_fd(arg, TONG_RECEIVE), -ECHILD);
    return 0;
}

static void fd_of_a_parents_handle_is_none(void)
{
    tong_mailbox *box = create(4);
    struct kit_child child = kit_spawn(ask_after_fork, box);
    kit_join(&child);
    kit_end(box, kit_name("loop"));
}

/* ------------------------------------------------------------------ the level */

static void fd_is_readable_while_messages_are_there(void)
{
    tong_mailbox *box = create(TONG_UNBOUNDED);
    const int fd = fd_of(box);
    for (uint32_t n = 1; n <= 5; n++) {
        is_down(box, fd);
        for (uint32_t i = 0; i < n; i++) {
            kit_ok(kit_send_u64(box, i, 0));
            is_up(fd);
        }
        /* One at a time: it falls with the last one, before anything says -EAGAIN. */
        for (uint32_t i = 0; i < n; i++) {
            is_up(fd);
            kit_gives(try_receive(box), i);
        }
        is_down(box, fd);
        if (n % 2 == 0) {
            kit_gives(try_receive(box), -EAGAIN);
        }
    }
    kit_end(box, kit_name("loop"));
}

static void fd_is_readable_for_what_waited_before(void)
{
    tong_mailbox *box = create(4);
    kit_ok(kit_send_u64(box, 1, 0));
    const int fd = fd_of(box);
    is_up(fd);
    kit_gives(try_receive(box), 1);
    is_down(box, fd);
    kit_end(box, kit_name("loop"));
}

static void fd_falls_by_every_call_that_takes(void)
{
    tong_mailbox *box = create(TONG_UNBOUNDED);
    const int fd = fd_of(box);
    uint64_t values[4];
    size_t lens[4];
    struct iovec buffers[4];
    for (int i = 0; i < 4; i++) {
        buffers[i] = (struct iovec){ .iov_base = &values[i], .iov_len = 8 };
    }
    for (uint32_t i = 0; i < 6; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    kit_receive_many(box, buffers, 4, lens, 4);
    is_up(fd);
    kit_receive_many(box, buffers, 4, lens, 2);
    is_down(box, fd);
    kit_ok(kit_send_u64(box, 1, 0));
    is_up(fd);
    kit_gives(tong_skip(box), 8);
    is_down(box, fd);
    kit_ok(kit_send_u64(box, 2, 0));
    kit_gives(tong_receive(box, values, 8, KIT_PATIENCE), 8);
    is_down(box, fd);
    kit_gives(tong_receive(box, values, 8, TONG_MS(1)), -ETIMEDOUT);
    is_down(box, fd);
    kit_ok(kit_send_u64(box, 3, 0));
    is_up(fd);
    kit_equal(kit_receive_u64(box), 3);
    kit_end(box, kit_name("loop"));
}

static void fd_stays_readable_for_a_message_that_does_not_fit(void)
{
    tong_mailbox *box = create(4);
    const int fd = fd_of(box);
    uint32_t small;
    kit_ok(kit_send_u64(box, 7, 0));
    kit_gives(tong_receive(box, &small, sizeof(small), 0), -EMSGSIZE);
    is_up(fd);
    kit_gives(try_receive(box), 7);
    is_down(box, fd);
    kit_end(box, kit_name("loop"));
}

static void fd_is_readable_for_what_was_given_back(void)
{
    tong_mailbox *box = create(4);
    const int fd = fd_of(box);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(kit_send_u64(box, 7, 0));
    kit_ok(tong_claim(box, 0, &message));
    is_down(box, fd);
    kit_ok(tong_return(box, &message));
    is_up(fd);
    message = (tong_message)TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, 0, &message));
    is_down(box, fd);
    kit_ok(tong_done(box, &message));
    is_down(box, fd);
    kit_gives(try_receive(box), -EAGAIN);
    kit_end(box, kit_name("loop"));
}

static void fd_is_readable_for_each_way_to_send(void)
{
    tong_mailbox *box = create(TONG_UNBOUNDED);
    const int fd = fd_of(box);
    uint64_t value = 3;
    const struct iovec two[2] = { { &value, 8 }, { &value, 8 } };
    kit_gives(tong_send_many(box, two, 2, 0), 2);
    is_up(fd);
    kit_gives(try_receive(box), 3);
    kit_gives(try_receive(box), 3);
    is_down(box, fd);
    kit_needs(KIT_IN_PLACE);
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 8, 0, &slot));
    memcpy(slot.data, &value, 8);
    is_down(box, fd);
    kit_ok(tong_commit(box, &slot, 8));
    is_up(fd);
    kit_gives(try_receive(box), 3);
    kit_end(box, kit_name("loop"));
}

/* ------------------------------------------------------------------ other processes */

static int send_one(void *arg)
{
    tong_mailbox *box = kit_open(kit_name("loop"), TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, *(const uint64_t *)arg, KIT_PATIENCE));
    kit_ok(tong_close(box));
    return 0;
}

static void fd_wakes_for_another_process(void)
{
    tong_mailbox *box = create(4);
    const int fd = fd_of(box);
    for (uint64_t i = 1; i <= 3; i++) {
        struct kit_child child = kit_spawn(send_one, &i);
        kit_gives(receive_woken(box, fd), (int64_t)i);
        kit_join(&child);
        is_calm(box, fd);
    }
    kit_end(box, kit_name("loop"));
}

/* An offer stands: readable. Taken: not. */
static void fd_is_readable_for_an_offer(void)
{
    kit_needs(KIT_RENDEZVOUS);
    tong_mailbox *box = create(0);
    const int fd = fd_of(box);
    is_down(box, fd);
    for (uint64_t i = 1; i <= 3; i++) {
        struct kit_child child = kit_spawn(send_one, &i);
        kit_gives(receive_woken(box, fd), (int64_t)i);
        kit_join(&child);
        is_calm(box, fd);
    }
    kit_end(box, kit_name("loop"));
}

/* A sender that must not wait finds the one in the event loop. */
static int offer_at_once(void *arg)
{
    tong_mailbox *box = kit_open(kit_name("loop"), TONG_SEND, NULL);
    (void)arg;
    /* The receiver may be off its processor for a while. */
    kit_until(kit_send_u64(box, 9, 0) == 0);
    kit_ok(tong_close(box));
    return 0;
}

static void armed_receiver_is_one_that_waits(void)
{
    kit_needs(KIT_RENDEZVOUS);
    tong_mailbox *box = create(0);
    const int fd = fd_of(box);
    struct kit_child child = kit_spawn(offer_at_once, NULL);
    int got;
    do {
        wait_readable(fd);
        got = try_receive(box);
        kit_true(got == 9 || got == -EAGAIN); /* it was taken back */
    } while (got != 9);
    kit_join(&child);
    kit_end(box, kit_name("loop"));
}

/* ------------------------------------------------------------------ several receivers */

static void all_in_event_loops_are_rung_and_one_takes(void)
{
    tong_mailbox *box[3] = { create(4), kit_open(kit_name("loop"), TONG_RECEIVE, NULL),
                             kit_open(kit_name("loop"), TONG_RECEIVE, NULL) };
    int fd[3];
    for (int i = 0; i < 3; i++) {
        fd[i] = fd_of(box[i]);
    }
    /* Who joined rang those that were there: they look again. */
    for (int i = 0; i < 3; i++) {
        kit_gives(try_receive(box[i]), -EAGAIN);
        is_down(box[i], fd[i]);
    }
    for (int round = 0; round < 6; round++) {
        kit_ok(kit_send_u64(box[0], 5, 0));
        for (int i = 0; i < 3; i++) {
            is_up(fd[i]);
        }
        for (int i = 0; i < 3; i++) {
            kit_gives(try_receive(box[(round + i) % 3]), i == 0 ? 5 : -EAGAIN);
        }
        for (int i = 0; i < 3; i++) {
            is_down(box[i], fd[i]);
        }
    }
    kit_ok(tong_close(box[2]));
    kit_ok(tong_close(box[1]));
    kit_end(box[0], kit_name("loop"));
}

/* To be told of a message is not to have it in hand. */
static void what_was_told_of_was_not_handed_out(void)
{
    tong_mailbox *box[2] = { create(4), kit_open(kit_name("loop"), TONG_RECEIVE, NULL) };
    tong_message message = TONG_MESSAGE_INIT;
    const int fd[2] = { fd_of(box[0]), fd_of(box[1]) };
    for (uint64_t i = 0; i < 3; i++) {
        kit_ok(kit_send_u64(box[0], i, 0));
        is_up(fd[0]);
        is_up(fd[1]);
    }
    for (uint64_t i = 0; i < 3; i++) {
        kit_ok(tong_claim(box[1], 0, &message));
        kit_equal(*(const uint64_t *)message.data, i);
        kit_equal(message.deliveries, 1);
        kit_ok(tong_done(box[1], &message));
    }
    kit_ok(tong_close(box[1]));
    kit_end(box[0], kit_name("loop"));
}

static int sleep_in_receive(void *arg)
{
    tong_mailbox *box = kit_open(kit_name("loop"), TONG_RECEIVE, NULL);
    (void)arg;
    kit_equal(kit_receive_u64(box), 1);
    kit_ok(tong_close(box));
    return 0;
}

/* First come: what comes is for the one asleep; what is more, for the one in the loop. */
static void sleeper_comes_before_one_in_a_loop(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = create(TONG_UNBOUNDED);
    const int fd = fd_of(box);
    struct kit_child child = kit_spawn(sleep_in_receive, NULL);
    kit_until_asleep(kit_name("loop"), is_told() ? 2 : 1); /* a watch is counted, too */
    kit_ok(kit_send_u64(box, 1, 0));
    kit_join(&child);
    kit_gives(try_receive(box), -EAGAIN);
    is_down(box, fd);
    kit_ok(kit_send_u64(box, 2, 0));
    is_up(fd);
    kit_gives(try_receive(box), 2);
    kit_end(box, kit_name("loop"));
}

static int die_asleep(void *arg)
{
    tong_mailbox *box = kit_open(kit_name("loop"), TONG_RECEIVE, NULL);
    (void)arg;
    (void)tong_receive(box, &(uint64_t){ 0 }, 8, TONG_FOREVER);
    return 1;
}

/* What a stopped sleeper does not take comes to the one in the loop when it dies. */
static void fd_is_readable_when_the_sleeper_before_it_dies(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    if (is_told()) {
        kit_skip("%s: what a stopped receiver was handed comes again after 5 s", kit_carrier());
    }
    tong_mailbox *box = create(TONG_UNBOUNDED);
    const int fd = fd_of(box);
    struct kit_child child = kit_spawn(die_asleep, NULL);
    kit_until_asleep(kit_name("loop"), 1);
    kit_until(kit_sleeps(child.pid)); /* not stopped with the token in its hand */
    kit_ok(kill(child.pid, SIGSTOP));
    kit_ok(kit_send_u64(box, 1, 0));
    kit_gives(try_receive(box), -EAGAIN);
    is_down(box, fd);
    kit_kill(&child);
    wait_readable(fd);
    kit_gives(try_receive(box), 1);
    is_down(box, fd);
    kit_end(box, kit_name("loop"));
}

static int claim_and_stay(void *arg)
{
    tong_mailbox *box = kit_open(kit_name("loop"), TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    (void)arg;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_report("", 1);
    kit_await_death();
}

static void fd_is_readable_for_the_claim_of_a_dead_one(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = create(4);
    const int fd = fd_of(box);
    char byte;
    for (uint64_t round = 0; round < kit_fewer(3); round++) {
        kit_ok(kit_send_u64(box, 6, 0));
        struct kit_child child = kit_spawn(claim_and_stay, NULL);
        kit_read_report(&child, &byte, 1);
        kit_gives(try_receive(box), -EAGAIN);
        is_down(box, fd);
        kit_kill(&child);
        kit_gives(receive_woken(box, fd), 6);
        is_down(box, fd);
    }
    kit_end(box, kit_name("loop"));
}

static int close_the_parents(void *arg)
{
    kit_gives(tong_close(arg), -ECHILD);
    return 0;
}

/* How many descriptors stand behind this one. */
static int behind(int fd)
{
    char name[64];
    char line[256];
    int n = 0;
    (void)snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
    FILE *file = fopen(name, "re");
    kit_true(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL) {
        n += strncmp(line, "tfd:", 4) == 0;
    }
    (void)fclose(file);
    return n;
}

static void a_childs_close_takes_nothing_from_its_parents_descriptor(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = create(4);
    const int fd = fd_of(box);
    char byte;
    kit_ok(kit_send_u64(box, 6, 0));
    struct kit_child dies = kit_spawn(claim_and_stay, NULL);
    kit_read_report(&dies, &byte, 1);
    kit_gives(try_receive(box), -EAGAIN);
    const int before = behind(fd);
    struct kit_child closes = kit_spawn(close_the_parents, box);
    kit_join(&closes);
    kit_equal(behind(fd), before);
    is_down(box, fd);
    kit_kill(&dies);
    kit_gives(receive_woken(box, fd), 6);
    is_down(box, fd);
    kit_end(box, kit_name("loop"));
}

/* What it is told beside messages: there is nothing, and it is calm again. */
static void fd_falls_when_it_was_told_of_a_change(void)
{
    tong_options options = kit_options();
    tong_mailbox *box = create(4);
    const int fd = fd_of(box);
    for (int i = 0; i < 3; i++) {
        is_down(box, fd);
        options.delivery = i % 2 == 0 ? TONG_ANY : TONG_FIRST_COME;
        const int r = tong_set(box, &options, TONG_SET_DELIVERY);
        if (r == -EOPNOTSUPP) {
            kit_ok(tong_close(box));
            (void)tong_remove(kit_name("loop"));
            kit_skip("%s: a mailbox stays what it is", kit_carrier());
        }
        kit_ok(r);
        kit_gives(try_receive(box), -EAGAIN);
        is_calm(box, fd);
        kit_ok(kit_send_u64(box, 6, 0));
        is_up(fd);
        kit_gives(try_receive(box), 6);
    }
    kit_end(box, kit_name("loop"));
}

/* ------------------------------------------------------------------ the end */

static void fd_stays_readable_when_the_mailbox_is_removed(void)
{
    tong_mailbox *box = create(4);
    const int fd = fd_of(box);
    kit_ok(tong_remove(kit_name("loop")));
    for (int i = 0; i < 3; i++) {
        is_up(fd);
        kit_gives(try_receive(box), -EIDRM);
    }
    kit_ok(tong_close(box));
}

static int own_and_die(void *arg)
{
    tong_options options = kit_options();
    (void)arg;
    options.owner = TONG_PROCESS;
    (void)kit_open(kit_name("owned"), TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options);
    kit_report("", 1);
    kit_await_death();
}

/* Given to this process, it is given on: its descriptor says so; and then that owner dies. */
static void fd_is_readable_when_it_belongs_to_another_and_when_that_one_dies(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = create(4);
    const int fd = fd_of(box);
    struct kit_child child = kit_spawn(own_and_die, NULL);
    char byte;
    kit_read_report(&child, &byte, 1);
    is_down(box, fd);
    kit_ok(tong_give(box, kit_name("owned")));
    is_up(fd);
    kit_gives(try_receive(box), -EPERM);
    is_up(fd);
    kit_kill(&child);
    is_up(fd);
    if (is_told()) {
        kit_until(try_receive(box) != -EPERM); /* the server has seen it */
    }
    kit_gives(try_receive(box), -EOWNERDEAD);
    is_up(fd);
    kit_ok(tong_close(box));
    (void)tong_remove(kit_name("loop"));
    (void)tong_remove(kit_name("owned"));
}

/* ------------------------------------------------------------------ what it leaves */

static void close_takes_the_descriptor_away(void)
{
    tong_mailbox *keeper = create(4);
    tong_mailbox *box = kit_open(kit_name("loop"), TONG_RECEIVE, NULL);
    const int fd = fd_of(box);
    kit_ok(tong_close(box));
    struct pollfd gone = { .fd = fd, .events = POLLIN };
    kit_equal(poll(&gone, 1, 0), 1);
    kit_true((gone.revents & POLLNVAL) != 0);
    kit_ok(kit_send_u64(keeper, 1, 0));
    kit_equal(kit_receive_u64(keeper), 1);
    kit_end(keeper, kit_name("loop"));
}

/* A slot is used again: a sender that kept the old receiver's FIFO rings the new one's. */
static void sender_rings_the_new_receiver_of_a_slot(void)
{
    tong_mailbox *sender =
        kit_open(kit_name("loop"), TONG_SEND | TONG_CREATE, &(tong_options)TONG_OPTIONS_INIT);
    for (int round = 0; round < 4; round++) {
        tong_mailbox *box = kit_open(kit_name("loop"), TONG_RECEIVE, NULL);
        const int fd = fd_of(box);
        for (int i = 0; i < 3; i++) {
            is_down(box, fd);
            kit_ok(kit_send_u64(sender, 4, 0));
            is_up(fd);
            kit_gives(try_receive(box), 4);
        }
        kit_ok(tong_close(box));
    }
    kit_end(sender, kit_name("loop"));
}

int main(int argc, char **argv)
{
    static const struct kit_test tests[] = {
        KIT_TEST(fd_is_the_same_at_each_call),
        KIT_TEST(fd_refuses_what_is_none),
        KIT_TEST(fd_of_a_parents_handle_is_none),
        KIT_TEST(fd_is_readable_while_messages_are_there),
        KIT_TEST(fd_is_readable_for_what_waited_before),
        KIT_TEST(fd_falls_by_every_call_that_takes),
        KIT_TEST(fd_stays_readable_for_a_message_that_does_not_fit),
        KIT_TEST(fd_is_readable_for_what_was_given_back),
        KIT_TEST(fd_is_readable_for_each_way_to_send),
        KIT_TEST(fd_wakes_for_another_process),
        KIT_TEST(fd_is_readable_for_an_offer),
        KIT_TEST(armed_receiver_is_one_that_waits),
        KIT_TEST(all_in_event_loops_are_rung_and_one_takes),
        KIT_TEST(what_was_told_of_was_not_handed_out),
        KIT_TEST(sleeper_comes_before_one_in_a_loop),
        KIT_TEST(fd_is_readable_when_the_sleeper_before_it_dies),
        KIT_TEST(fd_is_readable_for_the_claim_of_a_dead_one),
        KIT_TEST(a_childs_close_takes_nothing_from_its_parents_descriptor),
        KIT_TEST(fd_falls_when_it_was_told_of_a_change),
        KIT_TEST(fd_stays_readable_when_the_mailbox_is_removed),
        KIT_TEST(fd_is_readable_when_it_belongs_to_another_and_when_that_one_dies),
        KIT_TEST(close_takes_the_descriptor_away),
        KIT_TEST(sender_rings_the_new_receiver_of_a_slot),
    };
    return kit_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
