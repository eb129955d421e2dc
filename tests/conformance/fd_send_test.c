/* Event loops: tong_fd for sending. Readable while a send that must not wait need not, and not while it must. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "puppet.h"

#define BOX kit_name("loop")

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
 * There the word of room that has been used since may come late, and a look at what nobody tells of be due, once in a second
 * at each descriptor: who looks then finds none.
 */
static void is_down(tong_mailbox *box, int fd)
{
    static struct {
        int64_t began;
        int64_t looks;
    } of[64];
    kit_true(fd < 64);
    of[fd].began = of[fd].began == 0 ? kit_now_ns() : of[fd].began;
    while (is_told() && is_readable(fd)) {
        kit_gives(kit_send_u64(box, 0, 0), -EAGAIN);
        kit_true(++of[fd].looks <= 3 + (kit_now_ns() - of[fd].began) / TONG_MS(1000));
    }
    kit_true(!is_readable(fd));
}

static int fd_of(tong_mailbox *box)
{
    const int fd = tong_fd(box, TONG_SEND);
    if (fd < 0) {
        kit_fail("tong_fd: %s", tong_strerror(fd));
    }
    return fd;
}

/* A carrier may have descriptors for receiving only. */
static void needs_it(void)
{
    tong_mailbox *box = kit_create(kit_name("asks"), NULL);
    const int fd = tong_fd(box, TONG_SEND);
    kit_ok(tong_close(box));
    (void)tong_remove(kit_name("asks"));
    if (fd == -EOPNOTSUPP && strcmp(kit_carrier(), "shm") != 0) {
        kit_skip("%s has no descriptor for sending", kit_carrier());
    }
}

static tong_mailbox *create(uint32_t capacity)
{
    const tong_options options = kit_capacity(capacity);
    return kit_create(BOX, &options);
}

static struct puppet starts(const char *name, unsigned flags)
{
    struct puppet puppet = puppet_start(name);
    kit_ok(PUPPET(&puppet, .verb = PUPPET_OPEN, .name = "loop", .flags = flags));
    return puppet;
}

/* Send until it must wait; how many went. The level says so before each, and behind the last. */
static uint32_t fill(tong_mailbox *box, int fd)
{
    for (uint32_t n = 0;; n++) {
        const bool readable = is_readable(fd);
        const int r = kit_send_u64(box, n, 0);
        if (r == -EAGAIN) {
            kit_true(!readable || is_told());
            is_down(box, fd);
            return n;
        }
        kit_ok(r);
        kit_true(readable || is_told());
    }
}

/* ------------------------------------------------------------------ the call */

static void fd_is_one_for_each_way(void)
{
    needs_it();
    tong_mailbox *box = create(4);
    const int fd = fd_of(box);
    const int other = tong_fd(box, TONG_RECEIVE);
    kit_true(other >= 0 && other != fd);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_equal(fd_of(box), fd);
    kit_equal(tong_fd(box, TONG_RECEIVE), other);
    kit_gives(tong_fd(box, TONG_SEND | TONG_RECEIVE), -EINVAL);
    tong_mailbox *receiver = kit_open(BOX, TONG_RECEIVE, NULL);
    kit_gives(tong_fd(receiver, TONG_SEND), -EBADF);
    kit_ok(tong_close(receiver));
    kit_equal(kit_receive_u64(box), 1);
    kit_end(box, BOX);
}

static int ask_after_fork(void *arg)
{
    kit_gives(tong_fd(arg, TONG_SEND), -ECHILD);
    return 0;
}

static void fd_of_a_parents_handle_is_none(void)
{
    needs_it();
    tong_mailbox *box = create(4);
    (void)fd_of(box);
    struct kit_child child = kit_spawn(ask_after_fork, box);
    kit_join(&child);
    kit_end(box, BOX);
}

/* ------------------------------------------------------------------ the level */

static void fd_is_readable_while_there_is_room(void)
{
    needs_it();
    for (int how = 0; how < 3; how++) {
        if (how == 1 && kit_is_refused(KIT_LINK_CAPACITY)) {
            continue;
        }
        tong_options options = how == 0 ? kit_capacity(4) : kit_options();
        options.link_capacity = how == 1 ? 4 : TONG_DEFAULT;
        options.delivery = how == 2 ? TONG_EXCLUSIVE : TONG_FIRST_COME;
        if (how == 2) {
            options.capacity = 4;
        }
        tong_mailbox *box = kit_create(BOX, &options);
        const int fd = fd_of(box);
        kit_equal(fill(box, fd), 4);
        for (uint64_t i = 0; i < 20; i++) {
            is_down(box, fd);
            kit_equal(kit_receive_u64(box), i < 4 ? i : 100 + i - 4);
            is_up(fd);
            kit_ok(kit_send_u64(box, 100 + i, 0));
        }
        is_down(box, fd);
        kit_gives(kit_send_u64(box, 1, TONG_MS(1)), -ETIMEDOUT);
        is_down(box, fd);
        for (int i = 0; i < 4; i++) {
            (void)kit_receive_u64(box);
            is_up(fd);
        }
        kit_equal(fill(box, fd), 4);
        kit_end(box, BOX);
    }
}

static void fd_is_readable_for_ever_where_no_send_waits(void)
{
    needs_it();
    for (int how = 0; how < 4; how++) {
        if (how == 1 && kit_is_refused(KIT_DROP_OLDEST)) {
            continue;
        }
        tong_options options = kit_capacity(how == 0 ? TONG_UNBOUNDED : how == 3 ? 0 : 2);
        options.link_capacity = how == 0 ? TONG_UNBOUNDED : TONG_DEFAULT;
        options.full = how == 0 ? TONG_BLOCK : how == 1 ? TONG_DROP_OLDEST : TONG_DROP_NEWEST;
        tong_mailbox *box = kit_create(BOX, &options);
        const int fd = fd_of(box);
        for (uint64_t i = 0; i < 5; i++) {
            is_up(fd);
            kit_true(kit_send_u64(box, i, 0) >= 0);
        }
        is_up(fd);
        kit_end(box, BOX);
    }
}

static void fd_rises_by_every_call_that_frees(void)
{
    needs_it();
    tong_mailbox *box = create(2);
    const int fd = fd_of(box);
    uint64_t values[2];
    size_t lens[2];
    const struct iovec buffers[2] = { { &values[0], 8 }, { &values[1], 8 } };
    tong_message message = TONG_MESSAGE_INIT;
    kit_equal(fill(box, fd), 2);
    kit_gives(tong_receive_many(box, buffers, 2, 0, lens), 2);
    is_up(fd);
    kit_equal(fill(box, fd), 2);
    kit_gives(tong_skip(box), 8);
    is_up(fd);
    kit_equal(fill(box, fd), 1);
    /* A claimed one counts until it is done, and one that is given back counts. */
    kit_ok(tong_claim(box, 0, &message));
    is_down(box, fd);
    kit_ok(tong_return(box, &message));
    is_down(box, fd);
    kit_ok(tong_claim(box, 0, &message));
    kit_ok(tong_done(box, &message));
    is_up(fd);
    kit_equal(fill(box, fd), 1);
    kit_gives(tong_receive_many(box, buffers, 2, 0, lens), 2);
    kit_end(box, BOX);
}

static void fd_falls_by_every_way_to_send(void)
{
    needs_it();
    tong_mailbox *box = create(1);
    const int fd = fd_of(box);
    uint64_t value = 7;
    const struct iovec one = { &value, 8 };
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    tong_slot slot = TONG_SLOT_INIT;
    const bool in_place = !kit_is_refused(KIT_IN_PLACE);
    for (int way = 0; way < (in_place ? 4 : 3); way++) {
        is_up(fd);
        if (way == 0) {
            kit_ok(tong_send(box, &value, 8, 0));
        } else if (way == 1) {
            kit_ok(tong_send_with(box, &value, 8, &with, 0));
        } else if (way == 2) {
            kit_gives(tong_send_many(box, &one, 1, 0), 1);
        } else {
            kit_ok(tong_reserve(box, 8, 0, &slot));
            memcpy(slot.data, &value, 8);
            kit_ok(tong_commit(box, &slot, 8));
        }
        is_down(box, fd);
        kit_equal(kit_receive_u64(box), 7);
    }
    if (in_place) {
        kit_ok(tong_reserve(box, 8, 0, &slot));
        kit_ok(tong_abort(box, &slot));
        is_up(fd);
    }
    kit_equal(fill(box, fd), 1);
    kit_end(box, BOX);
}

/* ------------------------------------------------------------------ others */

static void fd_wakes_for_another_process(void)
{
    needs_it();
    tong_mailbox *box = create(1);
    struct puppet p = starts("p", TONG_RECEIVE);
    const int fd = fd_of(box);
    for (uint64_t i = 0; i < 20; i++) {
        kit_ok(kit_send_u64(box, i, 0));
        is_down(box, fd);
        PUPPET_TELL(&p, .verb = PUPPET_RECEIVE, .timeout_ns = KIT_PATIENCE);
        wait_readable(fd);
        kit_gives(puppet_answer(&p), (int64_t)i);
    }
    puppet_end(&p);
    kit_end(box, BOX);
}

/* The room is anybody's: all are rung, and who finds it taken is armed anew. */
static void all_that_wait_for_room_are_rung_and_one_takes_it(void)
{
    needs_it();
    tong_mailbox *receiver = create(1);
    tong_mailbox *box[3];
    int fds[3];
    for (int i = 0; i < 3; i++) {
        box[i] = kit_open(BOX, TONG_SEND, NULL);
        fds[i] = fd_of(box[i]);
    }
    kit_ok(kit_send_u64(box[0], 0, 0));
    for (int i = 1; i < 3; i++) {
        kit_gives(kit_send_u64(box[i], 0, 0), -EAGAIN);
    }
    for (uint64_t n = 0; n < 12; n++) {
        for (int i = 0; i < 3; i++) {
            is_down(box[i], fds[i]);
        }
        (void)kit_receive_u64(receiver);
        for (int i = 0; i < 3; i++) {
            is_up(fds[i]);
        }
        for (int i = 0; i < 3; i++) {
            kit_gives(kit_send_u64(box[(n + (uint64_t)i) % 3], n, 0), i == 0 ? 0 : -EAGAIN);
        }
    }
    for (int i = 0; i < 3; i++) {
        kit_ok(tong_close(box[i]));
    }
    kit_equal(kit_receive_u64(receiver), 11);
    kit_end(receiver, BOX);
}

static void one_that_blocks_and_one_in_a_loop_both_get_on(void)
{
    needs_it();
    tong_mailbox *receiver = create(1);
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    struct puppet p = starts("p", TONG_SEND);
    const int fd = fd_of(box);
    kit_ok(kit_send_u64(box, 1, 0));
    PUPPET_TELL(&p, .verb = PUPPET_SEND, .value = 2, .timeout_ns = KIT_PATIENCE);
    kit_until_blocked(BOX, 1);
    kit_equal(kit_receive_u64(receiver), 1);
    wait_readable(fd);
    kit_ok(puppet_answer(&p));
    kit_equal(kit_receive_u64(receiver), 2);
    wait_readable(fd);
    kit_ok(kit_send_u64(box, 3, 0));
    kit_equal(kit_receive_u64(receiver), 3);
    puppet_end(&p);
    kit_ok(tong_close(box));
    kit_end(receiver, BOX);
}

/* Room is what the slowest receiver leaves. */
static void to_everyone_the_slowest_makes_room(void)
{
    needs_it();
    kit_needs(KIT_EVERYONE);
    tong_options options = kit_options();
    options.delivery = TONG_EVERYONE;
    options.link_capacity = 2;
    tong_mailbox *quick = kit_create(BOX, &options);
    tong_mailbox *slow = kit_open(BOX, TONG_RECEIVE, NULL);
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    const int fd = fd_of(box);
    kit_equal(fill(box, fd), 2);
    for (uint64_t i = 0; i < 10; i++) {
        const uint64_t value = i < 2 ? i : 100 + i - 2;
        kit_equal(kit_receive_u64(quick), value);
        /* That one alone is none; it may be told of. */
        kit_gives(kit_send_u64(box, 0, 0), -EAGAIN);
        is_down(box, fd);
        kit_equal(kit_receive_u64(slow), value);
        is_up(fd);
        kit_ok(kit_send_u64(box, 100 + i, 0));
        is_down(box, fd);
    }
    kit_ok(tong_close(slow));
    wait_readable(fd);
    kit_ok(tong_close(box));
    kit_end(quick, BOX);
}

/* ------------------------------------------------------------------ capacity 0 */

/* Who takes over a closed one's link is rung, however often that one was. */
static void who_goes_on_in_anothers_link_is_rung(void)
{
    needs_it();
    kit_needs(KIT_LINK_CAPACITY);
    const uint32_t ways[] = { TONG_FIRST_COME, TONG_EVERYONE };
    for (int k = 0; k < 2; k++) {
        tong_options options = kit_options();
        options.delivery = ways[k];
        options.link_capacity = 1;
        tong_mailbox *receiver = kit_open(BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options);
        for (uint32_t i = 0; i < 12; i++) {
            tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
            const int fd = fd_of(box);
            if (i == 0) {
                kit_equal(fill(box, fd), 1);
            }
            is_down(box, fd); /* a message is left: so is the link */
            for (uint32_t j = 0; j <= i % 3; j++) {
                kit_equal(kit_receive_u64(receiver), 0);
                is_up(fd);
                kit_equal(fill(box, fd), 1);
            }
            kit_ok(tong_close(box));
        }
        kit_end(receiver, BOX);
    }
}

static void fd_is_readable_while_a_receiver_waits(void)
{
    needs_it();
    kit_needs(KIT_RENDEZVOUS);
    tong_mailbox *box = create(0);
    struct puppet p = starts("p", TONG_RECEIVE);
    const int fd = fd_of(box);
    is_down(box, fd);
    for (uint64_t i = 1; i < 20; i++) {
        kit_gives(kit_send_u64(box, i, 0), -EAGAIN);
        is_down(box, fd);
        PUPPET_TELL(&p, .verb = PUPPET_RECEIVE, .timeout_ns = KIT_PATIENCE);
        wait_readable(fd);
        /* It may need a moment to come to a processor. */
        kit_until(kit_send_u64(box, i, 0) == 0);
        kit_gives(puppet_answer(&p), (int64_t)i);
    }
    puppet_end(&p);
    kit_end(box, BOX);
}

static int receive_in_a_loop(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(BOX, TONG_RECEIVE, NULL);
    const int fd = tong_fd(box, TONG_RECEIVE);
    uint64_t value = 0;
    kit_true(fd >= 0);
    kit_report("r", 1);
    for (uint64_t i = 0; i < 20;) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        kit_equal(poll(&ready, 1, (int)(KIT_PATIENCE / 1000000)), 1);
        if (tong_receive(box, &value, 8, 0) == 8) {
            kit_equal(value, i);
            i++;
        }
    }
    kit_ok(tong_close(box));
    return 0;
}

static void both_sides_may_be_in_loops(void)
{
    needs_it();
    kit_needs(KIT_RENDEZVOUS);
    tong_mailbox *box = create(0);
    tong_mailbox *sender = kit_open(BOX, TONG_SEND, NULL);
    const int fd = fd_of(sender);
    char ready;
    kit_ok(tong_close(box));
    kit_true(!is_readable(fd) || kit_send_u64(sender, 0, 0) == -EAGAIN);
    struct kit_child child = kit_spawn(receive_in_a_loop, NULL);
    kit_read_report(&child, &ready, 1);
    for (uint64_t i = 0; i < 20;) {
        wait_readable(fd);
        i += kit_send_u64(sender, i, 0) == 0;
    }
    kit_join(&child);
    kit_end(sender, BOX);
}

/* ------------------------------------------------------------------ deaths and ends */

static int hold_room(void *arg)
{
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    tong_slot slot = TONG_SLOT_INIT;
    (void)arg;
    kit_ok(tong_reserve(box, 8, 0, &slot));
    kit_report("r", 1);
    kit_await_death();
}

static void fd_is_readable_when_room_comes_back_by_a_death(void)
{
    needs_it();
    kit_needs(KIT_IN_PLACE);
    tong_mailbox *box = create(1);
    tong_mailbox *sender = kit_open(BOX, TONG_SEND, NULL);
    const int fd = fd_of(sender);
    for (uint64_t i = 0; i < 3; i++) {
        char ready;
        struct kit_child child = kit_spawn(hold_room, NULL);
        kit_read_report(&child, &ready, 1);
        kit_gives(kit_send_u64(sender, i, 0), -EAGAIN);
        is_down(sender, fd);
        kit_kill(&child);
        wait_readable(fd);
        kit_ok(kit_send_u64(sender, i, 0));
        kit_equal(kit_receive_u64(box), i);
    }
    kit_ok(tong_close(sender));
    kit_end(box, BOX);
}

static void fd_is_readable_when_room_is_given_back(void)
{
    needs_it();
    kit_needs(KIT_IN_PLACE);
    tong_slot slot = TONG_SLOT_INIT;
    tong_mailbox *box = create(1);
    tong_mailbox *sender = kit_open(BOX, TONG_SEND, NULL);
    tong_mailbox *holder = kit_open(BOX, TONG_SEND, NULL);
    const int fd = fd_of(sender);
    for (int closes = 0; closes < 2; closes++) {
        kit_ok(tong_reserve(holder, 8, 0, &slot));
        kit_gives(kit_send_u64(sender, 1, 0), -EAGAIN);
        is_down(sender, fd);
        kit_ok(closes ? tong_close(holder) : tong_abort(holder, &slot));
        is_up(fd);
        kit_ok(kit_send_u64(sender, 2, 0));
        is_down(sender, fd);
        kit_equal(kit_receive_u64(box), 2);
    }
    kit_ok(tong_close(sender));
    kit_end(box, BOX);
}

/* Of a change it is told as receivers are. */
static void fd_falls_when_it_was_told_of_a_change(void)
{
    needs_it();
    tong_options options = kit_options();
    tong_mailbox *box = create(1);
    const int fd = fd_of(box);
    kit_equal(fill(box, fd), 1);
    for (int i = 0; i < 3; i++) {
        options.delivery = i % 2 == 0 ? TONG_ANY : TONG_FIRST_COME;
        const int r = tong_set(box, &options, TONG_SET_DELIVERY);
        if (r == -EOPNOTSUPP) {
            kit_ok(tong_close(box));
            (void)tong_remove(BOX);
            kit_skip("%s: a mailbox stays what it is", kit_carrier());
        }
        kit_ok(r);
        kit_gives(kit_send_u64(box, 2, 0), -EAGAIN);
        is_down(box, fd);
    }
    (void)kit_receive_u64(box);
    is_up(fd);
    kit_end(box, BOX);
}

static void a_dead_receivers_claims_are_room_when_they_are_done(void)
{
    needs_it();
    tong_mailbox *box = create(1);
    struct puppet p = starts("p", TONG_RECEIVE);
    const int fd = fd_of(box);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_gives(PUPPET(&p, .verb = PUPPET_CLAIM, .timeout_ns = KIT_PATIENCE), 1001);
    is_down(box, fd);
    puppet_kill(&p);
    wait_readable(fd);
    /* It is told of the death, but what was claimed is there still. */
    kit_gives(kit_send_u64(box, 2, 0), -EAGAIN);
    is_down(box, fd);
    kit_equal(kit_receive_u64(box), 1);
    is_up(fd);
    kit_equal(fill(box, fd), 1);
    kit_end(box, BOX);
}

static void fd_stays_readable_when_the_mailbox_is_removed(void)
{
    needs_it();
    for (int full = 0; full < 2; full++) {
        tong_mailbox *box = create(1);
        const int fd = fd_of(box);
        if (full == 1) {
            kit_ok(kit_send_u64(box, 1, 0));
            is_down(box, fd);
        }
        kit_ok(tong_remove(BOX));
        is_up(fd);
        kit_gives(kit_send_u64(box, 2, 0), -EIDRM);
        is_up(fd);
        kit_ok(tong_close(box));
    }
}

static void fd_is_readable_when_the_owner_dies(void)
{
    needs_it();
    struct puppet owner = puppet_start("o");
    tong_options options = kit_capacity(1);
    options.owner = TONG_PROCESS;
    kit_ok(PUPPET(&owner, .verb = PUPPET_OPEN, .name = "loop", .flags = TONG_RECEIVE | TONG_CREATE,
                  .has_options = true, .options = options));
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    const int fd = fd_of(box);
    kit_equal(fill(box, fd), 1);
    puppet_kill(&owner);
    wait_readable(fd);
    kit_gives(kit_send_u64(box, 1, 0), -EOWNERDEAD);
    is_up(fd);
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ files */

static void expect_entries(const char *wanted)
{
    const char *found = kit_entries(kit_path("loop"));
    if (strcmp(found, wanted) != 0) {
        kit_fail("in the folder: \"%s\", not \"%s\"", found, wanted);
    }
}

static int fd_and_die(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    (void)fd_of(box);
    kit_ok(kit_send_u64(box, 1, 0));
    _exit(0);
}

static void close_takes_the_fifo_away_and_so_does_who_comes_behind_a_dead_one(void)
{
    needs_it();
    kit_only("shm", "it looks at its files");
    char bare[64];
    char linked[64];
    snprintf(bare, sizeof(bare), "bell.%u box room", (unsigned)geteuid());
    snprintf(linked, sizeof(linked), "bell.%u box link.0 room", (unsigned)geteuid());
    tong_mailbox *receiver = create(4);
    for (int i = 0; i < 3; i++) {
        tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
        (void)fd_of(box);
        kit_true(strstr(kit_entries(kit_path("loop")), "send.0.") != NULL);
        kit_ok(tong_close(box));
        expect_entries(bare);
    }
    struct kit_child child = kit_spawn(fd_and_die, NULL);
    kit_join(&child);
    kit_true(strstr(kit_entries(kit_path("loop")), "send.0.") != NULL);
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 2, 0));
    expect_entries(linked);
    kit_equal(kit_receive_u64(receiver), 1);
    kit_equal(kit_receive_u64(receiver), 2);
    kit_ok(tong_close(box));
    kit_end(receiver, BOX);
}

/* ------------------------------------------------------------------ many */

struct pump {
    uint64_t n;
    uint64_t false_edges;
};

static int pump(void *arg)
{
    struct pump *pump = arg;
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    const int fd = fd_of(box);
    for (uint64_t i = 0; i < pump->n;) {
        wait_readable(fd);
        const int r = kit_send_u64(box, i, 0);
        if (r == 0) {
            i++;
        } else {
            kit_gives(r, -EAGAIN);
            pump->false_edges++;
        }
    }
    kit_ok(tong_close(box));
    return 0;
}

static void no_edge_is_lost_and_none_is_false(void)
{
    needs_it();
    static const uint32_t capacities[] = { 1, 7, 100 };
    for (int how = 0; how < (kit_is_refused(KIT_LINK_CAPACITY) ? 3 : 6); how++) {
        tong_options options = kit_options();
        if (how < 3) {
            options.capacity = capacities[how];
        } else {
            options.link_capacity = capacities[how - 3];
        }
        tong_mailbox *box = kit_create(BOX, &options);
        struct pump *p = kit_shared(sizeof(*p));
        p->n = kit_fewer(kit_count("TONG_TEST_MESSAGES", 5000));
        struct kit_child child = kit_spawn(pump, p);
        for (uint64_t i = 0; i < p->n; i++) {
            kit_equal(kit_receive_u64(box), i);
        }
        kit_join(&child);
        kit_true(is_told() || p->false_edges == 0);
        kit_end(box, BOX);
    }
}

static const struct kit_test tests[] = {
    KIT_TEST(fd_is_one_for_each_way),
    KIT_TEST(fd_of_a_parents_handle_is_none),
    KIT_TEST(fd_is_readable_while_there_is_room),
    KIT_TEST(fd_is_readable_for_ever_where_no_send_waits),
    KIT_TEST(fd_rises_by_every_call_that_frees),
    KIT_TEST(fd_falls_by_every_way_to_send),
    KIT_TEST(fd_wakes_for_another_process),
    KIT_TEST(all_that_wait_for_room_are_rung_and_one_takes_it),
    KIT_TEST(one_that_blocks_and_one_in_a_loop_both_get_on),
    KIT_TEST(to_everyone_the_slowest_makes_room),
    KIT_TEST(who_goes_on_in_anothers_link_is_rung),
    KIT_TEST(fd_is_readable_while_a_receiver_waits),
    KIT_TEST(both_sides_may_be_in_loops),
    KIT_TEST(fd_is_readable_when_room_comes_back_by_a_death),
    KIT_TEST(fd_is_readable_when_room_is_given_back),
    KIT_TEST(fd_falls_when_it_was_told_of_a_change),
    KIT_TEST(a_dead_receivers_claims_are_room_when_they_are_done),
    KIT_TEST(fd_stays_readable_when_the_mailbox_is_removed),
    KIT_TEST(fd_is_readable_when_the_owner_dies),
    KIT_TEST(close_takes_the_fifo_away_and_so_does_who_comes_behind_a_dead_one),
    KIT_TEST(no_edge_is_lost_and_none_is_false),
};

KIT_MAIN(tests)
