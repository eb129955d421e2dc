/* TONG_EVERYONE: event loops, what observers are told, what is refused. */
#include "everyone.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- event loops, several mailboxes, deaths */

static bool is_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    const int n = poll(&p, 1, 0);
    kit_true(n >= 0 && (p.revents & ~POLLIN) == 0);
    return n == 1;
}

static void each_has_a_descriptor_of_its_own(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *each[3];
    int fd[3];
    for (int i = 0; i < 3; i++) {
        each[i] = receiver_of("news");
        fd[i] = tong_fd(each[i], TONG_RECEIVE);
        kit_true(fd[i] >= 0);
    }
    for (uint64_t i = 0; i < 300; i++) {
        kit_ok(kit_send_u64(box, i, 0));
        for (int k = 0; k < 3; k++) {
            kit_true(is_readable(fd[k]));
        }
        for (int k = 0; k < 3; k++) {
            kit_equal(kit_receive_u64(each[k]), i);
            kit_true(!is_readable(fd[k]));
        }
    }
    /* Who is behind is told of it until it has caught up. */
    send_some(box, 300, 310);
    get_some(each[0], 300, 310);
    get_some(each[1], 300, 305);
    kit_true(!is_readable(fd[0]) && is_readable(fd[1]) && is_readable(fd[2]));
    close_all(each, 3);
    kit_end(box, kit_name("news"));
}

/* In the slot of one that is gone: what that one was rung for is not what this one waits for. */
static void who_comes_into_anothers_place_is_told(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    for (uint64_t i = 0; i < 20; i++) {
        tong_mailbox *one = receiver_of("news");
        const int fd = tong_fd(one, TONG_RECEIVE);
        kit_true(fd >= 0 && !is_readable(fd));
        for (uint64_t k = 0; k <= i % 3; k++) {
            kit_ok(kit_send_u64(box, k, 0));
            kit_true(is_readable(fd));
            kit_equal(kit_receive_u64(one), k);
            kit_true(!is_readable(fd));
        }
        kit_ok(tong_close(one));
    }
    kit_end(box, kit_name("news"));
}

static int is_in_a_loop(void *arg)
{
    struct pair *p = arg;
    tong_mailbox *box = receiver_of(p->name);
    kit_true(tong_fd(box, TONG_RECEIVE) >= 0);
    kit_event_set(&p->there);
    kit_event_wait(&p->go);
    get_some(box, p->from, p->to);
    kit_event_set(&p->done);
    kit_await_death();
}

/* The same where the one before was killed. */
static void who_comes_into_a_dead_ones_place_is_told(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    struct pair *p = kit_shared(sizeof(*p));
    *p = (struct pair){ .name = "news", .from = 0, .to = 1 };
    struct kit_child child = kit_spawn(is_in_a_loop, p);
    kit_event_wait(&p->there);
    kit_ok(kit_send_u64(box, 0, 0));
    kit_event_set(&p->go);
    kit_event_wait(&p->done);
    kit_kill(&child);
    tong_mailbox *one = receiver_of("news");
    const int fd = tong_fd(one, TONG_RECEIVE);
    kit_true(fd >= 0 && !is_readable(fd));
    kit_ok(kit_send_u64(box, 1, 0));
    kit_true(is_readable(fd));
    kit_equal(kit_receive_u64(one), 1);
    kit_ok(tong_close(one));
    kit_end(box, kit_name("news"));
}

static void one_of_several_is_waited_for(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box[2] = { sender_of("news", &options), sender_of("more", &options) };
    tong_mailbox *one[2] = { receiver_of("news"), receiver_of("more") };
    tong_mailbox *two[2] = { receiver_of("news"), receiver_of("more") };
    kit_gives(tong_wait_any(one, 2, 0), -EAGAIN);
    kit_ok(kit_send_u64(box[1], 7, 0));
    kit_gives(tong_wait_any(one, 2, TONG_FOREVER), 1);
    kit_equal(kit_receive_u64(one[1]), 7);
    kit_gives(tong_wait_any(one, 2, 0), -EAGAIN);
    kit_gives(tong_wait_any(two, 2, TONG_FOREVER), 1);
    kit_equal(kit_receive_u64(two[1]), 7);
    close_all(one, 2);
    close_all(two, 2);
    kit_end(box[1], kit_name("more"));
    kit_end(box[0], kit_name("news"));
}

static void its_end_is_told_to_all(void)
{
    const tong_options options = to_all(4);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *one = receiver_of("news");
    tong_mailbox *two = receiver_of("news");
    const int fd = tong_fd(two, TONG_RECEIVE);
    uint64_t value;
    send_some(box, 0, 4);
    kit_ok(tong_remove(kit_name("news")));
    kit_true(is_readable(fd));
    kit_gives(tong_receive(one, &value, sizeof(value), TONG_FOREVER), -EIDRM);
    kit_gives(tong_receive(two, &value, sizeof(value), TONG_FOREVER), -EIDRM);
    kit_gives(kit_send_u64(box, 4, TONG_FOREVER), -EIDRM);
    kit_ok(tong_close(one));
    kit_ok(tong_close(two));
    kit_ok(tong_close(box));
}

static void a_receivers_death_is_told(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    tong_death death = TONG_DEATH_INIT;
    struct pair *p = kit_shared(sizeof(*p));
    *p = (struct pair){ .name = "news" };
    kit_gives(tong_watch(box, 0, &death), -EAGAIN);
    struct kit_child child = kit_spawn(is_there, p);
    kit_event_wait(&p->there);
    kit_gives(tong_watch(box, 0, &death), -EAGAIN);
    const pid_t pid = child.pid;
    kit_kill(&child);
    kit_ok(tong_watch(box, KIT_PATIENCE, &death));
    kit_equal(death.pid, pid);
    kit_equal(death.roles, TONG_RECEIVE);
    kit_end(box, kit_name("news"));
}

/* ---- what is told of it */

struct told {
    tong_party party[ALL];
    size_t n;
};

static int tell(const tong_party *party, void *arg)
{
    struct told *told = arg;
    kit_true(told->n < ALL);
    told->party[told->n++] = *party;
    return 0;
}

static void each_receiver_has_its_own_backlog(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *one = receiver_of("news");
    tong_mailbox *two = receiver_of("news");
    tong_message message = TONG_MESSAGE_INIT;
    send_some(box, 0, 10);
    get_some(one, 0, 7);
    kit_ok(tong_claim(two, 0, &message));
    struct told told = { .n = 0 };
    kit_ok(tong_parties(kit_name("news"), tell, &told));
    kit_equal(told.n, 3);
    kit_equal(told.party[0].waiting, 3);
    kit_equal(told.party[0].done, 7);
    kit_equal(told.party[0].claimed, 0);
    kit_equal(told.party[1].waiting, 9);
    kit_equal(told.party[1].done, 0);
    kit_equal(told.party[1].claimed, 1);
    kit_equal(told.party[2].role, TONG_SEND);
    kit_equal(told.party[2].sent, 10);
    kit_equal(told.party[2].done, 0);
    kit_equal(told.party[2].waiting, 12);
    const tong_status status = kit_stat(kit_name("news"));
    kit_equal(status.delivery, TONG_EVERYONE);
    kit_equal(status.receivers, 2);
    kit_equal(status.waiting, 12);
    kit_equal(status.claimed, 1);
    kit_equal(status.done, 7);
    kit_equal(status.sent, 20);
    kit_ok(tong_done(two, &message));
    kit_ok(tong_close(one));
    kit_ok(tong_close(two));
    kit_end(box, kit_name("news"));
}

static void an_observer_sees_what_is_kept(void)
{
    kit_only("shm", "observers");
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    tong_mailbox *one = receiver_of("news");
    tong_mailbox *two = receiver_of("news");
    tong_observer *observer;
    uint64_t value;
    tong_message message = TONG_MESSAGE_INIT;
    send_some(box, 0, 10);
    get_some(one, 0, 7);
    get_some(two, 0, 4);
    kit_ok(tong_claim(two, 0, &message));
    kit_ok(tong_observer_open(kit_name("news"), &observer));
    for (uint64_t i = 4; i < 10; i++) {
        kit_gives(tong_peek(observer, &value, sizeof(value), 0, NULL, NULL), sizeof(value));
        kit_equal(value, i);
    }
    kit_gives(tong_peek(observer, &value, sizeof(value), 0, NULL, NULL), -EAGAIN);
    send_some(box, 10, 20);
    get_some(one, 7, 20);
    for (uint64_t i = 10; i < 20; i++) {
        kit_gives(tong_peek(observer, &value, sizeof(value), 0, NULL, NULL), sizeof(value));
        kit_equal(value, i);
    }
    /* What those who go had finished is counted in the mailbox then: nobody has missed it. */
    uint64_t missed = 1;
    kit_ok(tong_close(one));
    kit_gives(tong_peek(observer, &value, sizeof(value), 0, NULL, &missed), -EAGAIN);
    kit_equal(missed, 0);
    one = receiver_of("news");
    kit_ok(tong_observer_close(observer));
    kit_ok(tong_close(one));
    kit_ok(tong_close(two));
    kit_end(box, kit_name("news"));
}

static void its_files_go_with_its_receivers(void)
{
    kit_only("shm", "its files are as they were");
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = sender_of("news", &options);
    for (int i = 0; i < 5; i++) {
        tong_mailbox *one = receiver_of("news");
        tong_mailbox *two = receiver_of("news");
        send_some(box, 0, 3);
        get_some(one, 0, 3);
        kit_ok(tong_close(one));
        kit_ok(tong_close(two));
    }
    kit_ok(tong_close(box));
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "bell.%u box room", (unsigned)geteuid());
    if (strcmp(kit_entries(kit_path("news")), wanted) != 0) {
        kit_fail("left: %s", kit_entries(kit_path("news")));
    }
    kit_ok(tong_remove(kit_name("news")));
}

/* ---- what it cannot */

static void what_it_cannot_is_refused(void)
{
    kit_needs(KIT_EVERYONE);
    tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box;
    options.capacity = 0;
    kit_gives(tong_open(kit_name("no"), TONG_SEND | TONG_CREATE, &options, &box), -EOPNOTSUPP);
    options.capacity = 8;
    kit_gives(tong_open(kit_name("no"), TONG_SEND | TONG_CREATE, &options, &box), -EOPNOTSUPP);
    kit_gives(tong_open(kit_name("no"), TONG_SEND | TONG_CREATE | TONG_FROM_OLDEST, NULL, &box),
              -EINVAL);
    options = to_all(TONG_DEFAULT);
    box = kit_create(kit_name("news"), &options);
    kit_gives(tong_give(box, NULL), -EOPNOTSUPP);
    char reply;
    kit_gives(tong_call(box, "?", 1, &reply, 1, KIT_PATIENCE), -EOPNOTSUPP);
    tong_options other = kit_options();
    kit_gives(tong_set(box, &other, TONG_SET_DELIVERY), -EOPNOTSUPP);
    kit_gives(tong_open(kit_name("news"), TONG_SEND, &other, &box), -EEXIST);
    kit_end(box, kit_name("news"));
    box = kit_create(kit_name("jobs"), &other);
    kit_gives(tong_set(box, &options, TONG_SET_DELIVERY), -EOPNOTSUPP);
    kit_end(box, kit_name("jobs"));
}

/* Of another delivery what waits is handed out in any case. */
static void the_oldest_may_be_asked_for_anywhere(void)
{
    tong_mailbox *box = kit_create(kit_name("jobs"), NULL);
    send_some(box, 0, 3);
    tong_mailbox *late = late_receiver_of("jobs");
    get_some(late, 0, 3);
    kit_ok(tong_close(late));
    kit_end(box, kit_name("jobs"));
}

static const struct kit_test tests[] = {
    KIT_TEST(each_has_a_descriptor_of_its_own),
    KIT_TEST(who_comes_into_anothers_place_is_told),
    KIT_TEST(who_comes_into_a_dead_ones_place_is_told),
    KIT_TEST(one_of_several_is_waited_for),
    KIT_TEST(its_end_is_told_to_all),
    KIT_TEST(a_receivers_death_is_told),
    KIT_TEST(each_receiver_has_its_own_backlog),
    KIT_TEST(an_observer_sees_what_is_kept),
    KIT_TEST(its_files_go_with_its_receivers),
    KIT_TEST(what_it_cannot_is_refused),
    KIT_TEST(the_oldest_may_be_asked_for_anywhere),
};

KIT_MAIN(tests)
