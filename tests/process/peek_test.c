/*
 * Observers: what they see, in which order, what they miss; that they take nothing, write nothing and wake
 * nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kit.h"

#define NAME kit_name("box")

static tong_observer *observe(void)
{
    tong_observer *observer = NULL;
    kit_ok(tong_observer_open(NAME, &observer));
    return observer;
}

/* The next message is this number. */
static tong_message see(tong_observer *observer, uint64_t number)
{
    tong_message info = TONG_MESSAGE_INIT;
    uint64_t seen = 0;
    kit_gives(tong_peek(observer, &seen, sizeof seen, KIT_PATIENCE, &info, NULL), sizeof seen);
    kit_equal(seen, number);
    kit_equal(info.len, sizeof seen);
    return info;
}

static uint64_t sees_nothing(tong_observer *observer)
{
    uint64_t seen = 77;
    uint64_t missed = 77;
    kit_gives(tong_peek(observer, &seen, sizeof seen, 0, NULL, &missed), -EAGAIN);
    kit_equal(seen, 77);
    return missed;
}

static void sees_what_waits_then_what_comes_and_takes_nothing(void)
{
    tong_mailbox *box = kit_create(NAME, NULL);
    for (uint64_t i = 0; i < 3; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    tong_observer *observer = observe();
    for (uint64_t i = 0; i < 3; i++) {
        const tong_message info = see(observer, i);
        kit_equal(info.sequence, i);
        kit_equal(info.deliveries, 0);
        kit_equal(info.uid, geteuid());
        kit_equal(info.gid, getegid());
        kit_equal(info.pid, getpid());
        kit_equal(info.verified, TONG_VERIFIED_UID);
        kit_equal(info.sender[0], 0);
    }
    kit_equal(sees_nothing(observer), 0);
    kit_ok(kit_send_u64(box, 3, 0));
    see(observer, 3);
    for (uint64_t i = 0; i < 4; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
    /* Received before anybody looked: its memory is not used again yet. */
    kit_ok(kit_send_u64(box, 4, 0));
    kit_equal(kit_receive_u64(box), 4);
    kit_equal(see(observer, 4).deliveries, 1);
    kit_equal(sees_nothing(observer), 0);
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

static void sees_what_is_in_somebodys_hand_and_not_what_was_done(void)
{
    tong_mailbox *box = kit_create(NAME, NULL);
    tong_message messages[4];
    for (uint64_t i = 0; i < 6; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    for (size_t i = 0; i < 4; i++) {
        messages[i] = (tong_message)TONG_MESSAGE_INIT;
        kit_ok(tong_claim(box, 0, &messages[i]));
    }
    kit_ok(tong_return(box, &messages[3]));
    kit_ok(tong_done(box, &messages[1]));
    tong_observer *observer = observe();
    kit_equal(see(observer, 0).deliveries, 1);
    kit_equal(see(observer, 2).deliveries, 1);
    kit_equal(see(observer, 3).deliveries, 2);
    kit_equal(see(observer, 4).deliveries, 0);
    kit_equal(see(observer, 5).deliveries, 0);
    kit_equal(sees_nothing(observer), 0);
    kit_ok(tong_done(box, &messages[0]));
    kit_ok(tong_done(box, &messages[2]));
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

static void tells_what_the_sender_said(void)
{
    tong_mailbox *box = kit_create(NAME, NULL);
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.tag = 7;
    with.key = 8;
    with.call = 9;
    with.priority = 3;
    with.reply_to = "answers";
    kit_ok(tong_send_with(box, "text", 4, &with, 0));
    tong_observer *observer = observe();
    char text[4];
    tong_message info = TONG_MESSAGE_INIT;
    kit_gives(tong_peek(observer, text, sizeof text, 0, &info, NULL), 4);
    kit_true(memcmp(text, "text", 4) == 0);
    kit_equal(info.tag, 7);
    kit_equal(info.key, 8);
    kit_equal(info.call, 9);
    kit_equal(info.priority, 3);
    kit_true(info.sent_ns != 0 && strcmp(info.reply_to, "answers") == 0);
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

static void tells_the_name_of_the_sending_process(void)
{
    tong_process *p = NULL;
    tong_process *q = NULL;
    kit_ok(tong_process_open("P", NULL, &p));
    kit_ok(tong_process_open("Q", NULL, &q));
    kit_ok(tong_send_to(p, "Q", "x", 1, 0));
    tong_observer *observer = NULL;
    tong_message info = TONG_MESSAGE_INIT;
    char text[4];
    kit_ok(tong_observer_open("Q", &observer));
    kit_gives(tong_peek(observer, text, sizeof text, 0, &info, NULL), 1);
    kit_true(strcmp(info.sender, "P") == 0);
    kit_ok(tong_process_close(p));
    kit_ok(tong_process_close(q));
    kit_gives(tong_peek(observer, text, sizeof text, 0, NULL, NULL), -EOWNERDEAD);
    kit_ok(tong_observer_close(observer));
}

static void of_a_longer_message_comes_what_fits(void)
{
    enum {
        LONG = 3000000
    };
    tong_mailbox *box = kit_create(NAME, NULL);
    uint8_t *data = malloc(LONG);
    uint8_t *seen = malloc(LONG);
    kit_true(data != NULL && seen != NULL);
    for (uint32_t i = 0; i < 4; i++) {
        kit_payload_write(data, LONG, 1, i);
        kit_ok(tong_send(box, data, LONG, 0));
    }
    kit_ok(tong_send(box, NULL, 0, 0));
    tong_observer *observer = observe();
    tong_message info = TONG_MESSAGE_INIT;
    memset(seen, 9, LONG);
    kit_gives(tong_peek(observer, seen, 100, 0, &info, NULL), LONG);
    kit_equal(info.len, LONG);
    kit_payload_write(data, LONG, 1, 0);
    kit_true(memcmp(seen, data, 100) == 0 && seen[100] == 9);
    for (uint32_t i = 1; i < 4; i++) {
        kit_gives(tong_peek(observer, seen, LONG, 0, NULL, NULL), LONG);
        kit_true(kit_payload_is(seen, LONG, 1, i));
    }
    kit_gives(tong_peek(observer, NULL, 0, 0, &info, NULL), 0);
    free(data);
    free(seen);
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

/* A backlog of many sizes, in many segments, some of them given back as they are left. */
static void sees_a_long_backlog_whole(void)
{
    tong_options options = kit_options();
    options.link_capacity = TONG_UNBOUNDED;
    tong_mailbox *box = kit_create(NAME, &options);
    struct kit_random random = kit_random_stream(1);
    static uint8_t data[200000];
    static uint8_t seen[200000];
    const uint32_t n = 3000;
    size_t lens[3000];
    for (uint32_t i = 0; i < n; i++) {
        lens[i] = KIT_PAYLOAD_MIN + kit_random_below(&random, i % 50 == 0 ? 190000 : 900);
        kit_payload_write(data, lens[i], 1, i);
        kit_ok(tong_send(box, data, lens[i], 0));
    }
    tong_observer *observer = observe();
    uint64_t missed = 77;
    for (uint32_t i = 0; i < n; i++) {
        kit_gives(tong_peek(observer, seen, sizeof seen, 0, NULL, &missed), (int64_t)lens[i]);
        kit_true(kit_payload_is(seen, lens[i], 1, i));
        if (i % 2 == 0) {
            kit_gives(tong_receive(box, data, sizeof data, 0), (int64_t)lens[i / 2]);
        }
    }
    kit_equal(missed, 0);
    kit_equal(sees_nothing(observer), 0);
    for (uint32_t i = n / 2; i < n; i++) {
        kit_gives(tong_receive(box, data, sizeof data, 0), (int64_t)lens[i]);
        kit_true(kit_payload_is(data, lens[i], 1, i));
    }
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

static void several_senders_each_in_order_and_those_who_come_later(void)
{
    tong_mailbox *box = kit_create(NAME, NULL);
    tong_mailbox *a = kit_open(NAME, TONG_SEND, NULL);
    tong_mailbox *b = kit_open(NAME, TONG_SEND, NULL);
    for (uint64_t i = 0; i < 10; i++) {
        kit_ok(kit_send_u64(a, i, 0));
        kit_ok(kit_send_u64(b, 100 + i, 0));
    }
    tong_observer *observer = observe();
    tong_mailbox *c = kit_open(NAME, TONG_SEND, NULL);
    for (uint64_t i = 0; i < 10; i++) {
        kit_ok(kit_send_u64(c, 200 + i, 0));
    }
    uint64_t next[3] = { 0, 100, 200 };
    for (int i = 0; i < 30; i++) {
        uint64_t seen = 0;
        kit_gives(tong_peek(observer, &seen, sizeof seen, KIT_PATIENCE, NULL, NULL), sizeof seen);
        kit_equal(seen, next[seen / 100]++);
    }
    kit_equal(sees_nothing(observer), 0);
    kit_ok(tong_close(a));
    kit_ok(tong_close(b));
    kit_ok(tong_close(c));
    for (int i = 0; i < 30; i++) {
        (void)kit_receive_u64(box);
    }
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

/* Links end, and others come in their places. */
static void a_sender_that_is_followed_by_another_one(void)
{
    tong_mailbox *box = kit_create(NAME, NULL);
    tong_observer *observer = observe();
    for (uint64_t i = 0; i < 5; i++) {
        tong_mailbox *sender = kit_open(NAME, TONG_SEND, NULL);
        kit_ok(kit_send_u64(sender, i, 0));
        see(observer, i);
        kit_equal(kit_receive_u64(box), i);
        kit_ok(tong_close(sender));
    }
    /* Sent, received and closed between two looks: the file is gone, what it held is not told. */
    tong_mailbox *sender = kit_open(NAME, TONG_SEND, NULL);
    kit_ok(kit_send_u64(sender, 5, 0));
    see(observer, 5);
    kit_ok(kit_send_u64(sender, 6, 0));
    kit_equal(kit_receive_u64(box), 5);
    kit_equal(kit_receive_u64(box), 6);
    kit_ok(tong_close(sender));
    see(observer, 6);
    kit_equal(sees_nothing(observer), 0);
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

static int wait_at_rendezvous(void *arg)
{
    tong_mailbox *box = kit_open(NAME, TONG_SEND, NULL);
    (void)arg;
    kit_ok(kit_send_u64(box, 41, KIT_PATIENCE));
    kit_ok(kit_send_u64(box, 42, KIT_PATIENCE));
    return tong_close(box);
}

static void who_came_and_went_unseen_is_counted(void)
{
    for (uint32_t capacity = 0; capacity < 8; capacity += 4) {
        const tong_options options = kit_capacity(capacity);
        tong_mailbox *box = kit_create(NAME, &options);
        tong_mailbox *stays = kit_open(NAME, TONG_SEND, NULL);
        tong_observer *observer = observe();
        for (uint64_t i = 0; capacity != 0 && i < 3; i++) {
            tong_mailbox *sender = kit_open(NAME, TONG_SEND, NULL);
            kit_ok(kit_send_u64(sender, i, 0));
            kit_equal(kit_receive_u64(box), i);
            kit_ok(tong_close(sender));
            kit_equal(sees_nothing(observer), i + 1);
        }
        if (capacity == 0) {
            struct kit_child child = kit_spawn(wait_at_rendezvous, NULL);
            kit_equal(kit_receive_u64(box), 41);
            kit_equal(kit_receive_u64(box), 42);
            kit_join(&child);
            kit_equal(sees_nothing(observer), 2);
        } else {
            kit_ok(kit_send_u64(stays, 8, 0));
            see(observer, 8);
            tong_mailbox *sender = kit_open(NAME, TONG_SEND, NULL);
            kit_ok(kit_send_u64(sender, 9, 0));
            see(observer, 9);
            kit_equal(sees_nothing(observer), 3);
            kit_ok(tong_close(sender));
            kit_equal(kit_receive_u64(box) + kit_receive_u64(box), 8 + 9);
            kit_equal(sees_nothing(observer), 3);
        }
        kit_ok(tong_observer_close(observer));
        kit_ok(tong_close(stays));
        kit_end(box, NAME);
    }
}

static void what_is_written_over_is_counted(void)
{
    tong_mailbox *box = kit_create(NAME, NULL);
    tong_observer *observer = observe();
    kit_ok(kit_send_u64(box, 0, 0));
    see(observer, 0);
    kit_equal(kit_receive_u64(box), 0);
    const uint64_t n = 5000;
    for (uint64_t i = 1; i < n; i++) {
        kit_ok(kit_send_u64(box, i, 0));
        kit_equal(kit_receive_u64(box), i);
    }
    uint64_t missed = 0;
    uint64_t last = 0;
    uint64_t told = 1;
    for (uint64_t seen; tong_peek(observer, &seen, sizeof seen, 0, NULL, &missed) >= 0; told++) {
        kit_true(seen > last);
        last = seen;
    }
    kit_equal(last, n - 1);
    kit_equal(told + missed, n);
    kit_true(told > 5 && missed > 1000);
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

struct flow {
    kit_event over;
    bool drops;
    uint64_t n;
};

static int flow_through(void *arg)
{
    struct flow *flow = arg;
    tong_mailbox *box = kit_open(NAME, TONG_SEND | TONG_RECEIVE, NULL);
    struct kit_random random = kit_random_stream(2);
    static uint8_t data[40000];
    static uint8_t back[40000];
    uint64_t received = 0;
    for (uint64_t i = 0; i < flow->n; i++) {
        const size_t len = KIT_PAYLOAD_MIN + kit_random_below(&random, i % 100 == 0 ? 39000 : 200);
        kit_payload_write(data, len, 1, i);
        kit_true(tong_send(box, data, len, 0) >= 0);
        while (i + 1 - received > kit_random_below(&random, 40) &&
               tong_receive(box, back, sizeof back, 0) >= 0) {
            received++;
        }
    }
    while (tong_receive(box, back, sizeof back, 0) >= 0) {
        received++;
    }
    kit_true(flow->drops ? received <= flow->n : received == flow->n);
    kit_event_set(&flow->over);
    kit_await_death();
}

/* Whatever is told is whole, in order, and with what was missed it is all. */
static void watch_a_flow(const tong_options *options)
{
    static uint8_t seen[40000];
    struct flow *flow = kit_shared(sizeof *flow);
    flow->n = kit_count("PEEK_COUNT", 20000);
    flow->drops = options != NULL;
    tong_mailbox *box = kit_create(NAME, options);
    tong_observer *observer = observe();
    struct kit_child child = kit_spawn(flow_through, flow);
    uint64_t told = 0;
    uint64_t missed = 0;
    uint64_t next = 0;
    for (bool over = false;; told++) {
        const bool ends = atomic_load(&flow->over) != 0;
        const ssize_t len = tong_peek(observer, seen, sizeof seen, 0, NULL, &missed);
        if (len == -EAGAIN && over) {
            break;
        }
        over = ends;
        if (len < 0) {
            kit_gives(len, -EAGAIN);
            told--;
            continue;
        }
        struct kit_payload head;
        kit_true(kit_payload_read(seen, (size_t)len, &head));
        kit_true(head.counter >= next);
        next = head.counter + 1;
        kit_equal(told + 1 + missed, next);
    }
    kit_equal(told + missed, flow->n);
    kit_kill(&child);
    kit_ok(tong_observer_close(observer));
    kit_ok(tong_close(box));
    kit_ok(tong_remove(NAME));
}

static void what_is_told_is_whole(void)
{
    watch_a_flow(NULL);
}

static void what_is_told_is_whole_where_it_was_dropped(void)
{
    tong_options options = kit_options();
    options.link_capacity = 20;
    options.full = TONG_DROP_OLDEST;
    tong_mailbox *box = kit_create(NAME, &options);
    tong_observer *observer = observe();
    uint64_t missed = 0;
    for (uint64_t i = 0; i < 50; i++) {
        (void)kit_send_u64(box, i, 0);
    }
    uint64_t seen = 0;
    kit_gives(tong_peek(observer, &seen, sizeof seen, 0, NULL, &missed), sizeof seen);
    kit_equal(seen, 30);
    kit_equal(missed, 30);
    kit_ok(tong_observer_close(observer));
    observer = observe();
    see(observer, 30);
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
    watch_a_flow(&options);
}

static void an_offer_is_seen_while_it_waits(void)
{
    tong_options options = kit_capacity(0);
    tong_mailbox *box = kit_create(NAME, &options);
    tong_observer *observer = observe();
    kit_equal(sees_nothing(observer), 0);
    struct kit_child child = kit_spawn(wait_at_rendezvous, NULL);
    see(observer, 41);
    tong_observer *later = observe();
    see(later, 41);
    kit_equal(sees_nothing(observer), 0);
    kit_equal(kit_receive_u64(box), 41);
    kit_until_blocked(NAME, 1);
    see(later, 42);
    kit_equal(kit_receive_u64(box), 42);
    kit_join(&child);
    kit_equal(sees_nothing(later), 0);
    kit_ok(tong_observer_close(later));
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

static int own_it(void *arg)
{
    kit_event *made = arg;
    tong_options options = TONG_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    tong_mailbox *box = kit_create(NAME, &options);
    kit_ok(kit_send_u64(box, 5, 0));
    kit_event_set(made);
    kit_await_death();
}

static void the_end_is_told_behind_what_there_was(void)
{
    tong_mailbox *box = kit_create(NAME, NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    tong_observer *observer = observe();
    kit_end(box, NAME);
    see(observer, 1);
    kit_gives(tong_peek(observer, NULL, 0, TONG_FOREVER, NULL, NULL), -EIDRM);
    kit_gives(tong_peek(observer, NULL, 0, 0, NULL, NULL), -EIDRM);
    kit_ok(tong_observer_close(observer));

    kit_event *made = kit_shared(sizeof *made);
    struct kit_child child = kit_spawn(own_it, made);
    kit_event_wait(made);
    observer = observe();
    kit_kill(&child);
    see(observer, 5);
    kit_gives(tong_peek(observer, NULL, 0, KIT_PATIENCE, NULL, NULL), -EOWNERDEAD);
    kit_ok(tong_observer_close(observer));
    kit_gives(tong_observer_open(NAME, &observer), -ENOENT);
    kit_true(tong_doctor(1, kit_ignore_finding, NULL) >= 0);
}

static void on_alarm(int number)
{
    (void)number;
}

static void a_wait_ends_by_its_time_or_a_signal(void)
{
    tong_mailbox *box = kit_create(NAME, NULL);
    tong_observer *observer = observe();
    uint64_t missed = 77;
    kit_gives(tong_peek(observer, NULL, 0, TONG_MS(5), NULL, &missed), -ETIMEDOUT);
    kit_equal(missed, 0);
    struct sigaction action = { .sa_handler = on_alarm };
    kit_true(sigaction(SIGALRM, &action, NULL) == 0);
    const struct itimerspec when = { .it_value = { .tv_nsec = 2000000 },
                                     .it_interval = { .tv_nsec = 2000000 } };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
    timer_t timer;
    kit_true(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    kit_true(timer_settime(timer, 0, &when, NULL) == 0);
    kit_gives(tong_peek(observer, NULL, 0, TONG_FOREVER, NULL, NULL), -EINTR);
    kit_true(timer_delete(timer) == 0);
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

static void mistakes_are_told(void)
{
    tong_observer *observer = NULL;
    tong_message info = { .struct_size = 8 };
    kit_gives(tong_observer_open(kit_name("nothing"), &observer), -ENOENT);
    kit_gives(tong_observer_open(kit_name("a/b"), &observer), -EINVAL);
    kit_gives(tong_observer_open(NULL, &observer), -EINVAL);
    kit_gives(tong_observer_open("pigeon:x", &observer), -EINVAL);
    char longer[300];
    memset(longer, 'a', sizeof longer);
    longer[299] = '\0';
    kit_gives(tong_observer_open(longer, &observer), -ENAMETOOLONG);
    kit_true(observer == NULL);
    kit_ok(tong_observer_close(NULL));
    tong_mailbox *box = kit_create(NAME, NULL);
    kit_gives(tong_observer_open(NAME, NULL), -EINVAL);
    observer = observe();
    kit_gives(tong_peek(NULL, NULL, 0, 0, NULL, NULL), -EINVAL);
    kit_gives(tong_peek(observer, NULL, 1, 0, NULL, NULL), -EINVAL);
    kit_gives(tong_peek(observer, NULL, 0, -2, NULL, NULL), -EINVAL);
    kit_gives(tong_peek(observer, NULL, 0, 0, &info, NULL), -EINVAL);
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

static int use_what_the_parent_opened(void *arg)
{
    uint64_t missed = 77;
    kit_gives(tong_peek(arg, NULL, 0, 0, NULL, &missed), -ECHILD);
    kit_equal(missed, 77);
    kit_gives(tong_observer_close(arg), -ECHILD);
    return 0;
}

static void a_forked_child_opens_its_own(void)
{
    tong_mailbox *box = kit_create(NAME, NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    tong_observer *observer = observe();
    struct kit_child child = kit_spawn(use_what_the_parent_opened, observer);
    kit_join(&child);
    see(observer, 1);
    kit_ok(tong_observer_close(observer));
    kit_end(box, NAME);
}

/* ---- it costs the others nothing */

#define AT(field) (uint32_t) offsetof(struct seccomp_data, field)
#define IF(nr, then) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, (then))
#define ENDS BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define GOES BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define LOAD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at))

/* From now on this process dies of a file opened for writing, memory mapped shared and writable, a write
 * to a file, a lock, and a wake. */
static void only_look(void)
{
    /* clang-format off */
    static struct sock_filter filter[] = {
        LOAD(AT(nr)),
        /* openat: no writing, no making */
        IF(SYS_openat, 4), LOAD(AT(args[2])),
            BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, 0, 1), ENDS, GOES,
        /* mmap: not both shared and writable */
        IF(SYS_mmap, 6), LOAD(AT(args[2])),
            BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_WRITE, 0, 3), LOAD(AT(args[3])),
            BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_SHARED, 0, 1), ENDS, GOES,
        /* futex: waits only */
        IF(SYS_futex, 7), LOAD(AT(args[1])),
            BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (uint32_t)FUTEX_CMD_MASK),
            IF(FUTEX_WAIT, 1), GOES, IF(FUTEX_WAIT_BITSET, 1), GOES, ENDS,
        /* fcntl: a lock may be looked at */
        IF(SYS_fcntl, 6), LOAD(AT(args[1])), IF(F_OFD_SETLK, 1), ENDS, IF(F_OFD_SETLKW, 1), ENDS, GOES,
        /* and none of these */
        IF(SYS_pwrite64, 1), ENDS, IF(SYS_write, 1), ENDS, IF(SYS_writev, 1), ENDS,
        IF(SYS_fallocate, 1), ENDS, IF(SYS_ftruncate, 1), ENDS, IF(SYS_mprotect, 1), ENDS,
        IF(SYS_flock, 1), ENDS, IF(SYS_unlinkat, 1), ENDS, IF(SYS_renameat2, 1), ENDS,
        IF(SYS_mkdirat, 1), ENDS, IF(SYS_kill, 1), ENDS, GOES
    };
    /* clang-format on */
    const struct sock_fprog program = { .len = sizeof filter / sizeof filter[0], .filter = filter };
    kit_true(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        _exit(77);
    }
}

static int note_status(const tong_status *status, int error, void *arg)
{
    (void)status;
    *(int *)arg += error == 0;
    return 0;
}

static int note_party(const tong_party *party, void *arg)
{
    *(int *)arg += party->alive != 0;
    return 0;
}

static int note_link(const tong_link *link, void *arg)
{
    (void)link;
    *(int *)arg += 1;
    return 0;
}

static int look_at_everything(void *arg)
{
    int boxes = 0;
    int parties = 0;
    int links = 0;
    int r = 0;
    uint64_t seen = 0;
    tong_observer *observer = NULL;
    tong_status status = TONG_STATUS_INIT;
    (void)arg;
    only_look();
    if (tong_list(note_status, &boxes) != 0 || tong_parties("box", note_party, &parties) != 0 ||
        tong_links(note_link, &links) != 0 || tong_stat("box", &status) != 0 ||
        tong_observer_open("box", &observer) != 0) {
        r = 1;
    }
    for (uint64_t i = 0; r == 0 && i < 2; i++) {
        r = tong_peek(observer, &seen, sizeof seen, 0, NULL, NULL) != sizeof seen || seen != i ? 2
                                                                                               : 0;
    }
    if (r == 0 && tong_peek(observer, &seen, sizeof seen, TONG_MS(3), NULL, NULL) != -ETIMEDOUT) {
        r = 3;
    }
    if (r == 0 && (boxes != 3 || parties != 2 || links != 1 || status.waiting != 2)) {
        r = 4;
    }
    (void)tong_observer_close(observer);
    _exit(r);
}

static int write_a_word(void *arg)
{
    (void)arg;
    only_look();
    (void)tong_remove("box");
    return 0;
}

static void looking_writes_nothing_and_wakes_nobody(void)
{
    tong_process *p = NULL;
    tong_process *q = NULL;
    kit_ok(tong_process_open("P", NULL, &p));
    kit_ok(tong_process_open("Q", NULL, &q));
    kit_ok(tong_send_to(p, "Q", "x", 1, 0));
    tong_mailbox *box = kit_create("box", NULL);
    for (uint64_t i = 0; i < 2; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    struct kit_child child = kit_spawn(look_at_everything, NULL);
    const int status = kit_join_status(&child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        kit_skip("seccomp filters are not allowed here");
    }
    kit_equal(status, 0);
    child = kit_spawn(write_a_word, NULL); /* that the filter bites */
    kit_true(WIFSIGNALED(kit_join_status(&child)));
    kit_equal(kit_receive_u64(box), 0);
    kit_equal(kit_receive_u64(box), 1);
    kit_ok(tong_process_close(p));
    kit_ok(tong_process_close(q));
    kit_end(box, "box");
}

/* ---- what others may have written */

static void overwrite(const char *path, uint64_t offset, const void *data, size_t len)
{
    const int fd = open(kit_path(path), O_WRONLY | O_CLOEXEC);
    kit_true(fd >= 0 && pwrite(fd, data, len, (off_t)offset) == (ssize_t)len);
    kit_true(close(fd) == 0);
}

static void damage_is_told_once_and_passed_over(void)
{
    tong_mailbox *box = kit_create(NAME, NULL);
    tong_mailbox *other = kit_open(NAME, TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_ok(kit_send_u64(other, 2, 0));
    const uint32_t lies[2] = { UINT32_C(0x80000000), 0x7fffffff };
    overwrite("box/link.0", UINT64_C(17) * 4096, lies, sizeof lies);
    tong_observer *observer = observe();
    uint64_t seen[2] = { 0, 0 };
    const ssize_t first = tong_peek(observer, &seen[0], sizeof seen[0], 0, NULL, NULL);
    const ssize_t second = tong_peek(observer, &seen[1], sizeof seen[1], 0, NULL, NULL);
    kit_true((first == 8 && seen[0] == 2 && second == -EPROTO) ||
             (second == 8 && seen[1] == 2 && first == -EPROTO));
    kit_equal(sees_nothing(observer), 0);
    kit_ok(tong_observer_close(observer));
    kit_true(truncate(kit_path("box/link.1"), 100) == 0);
    observer = observe();
    kit_gives(tong_peek(observer, seen, sizeof seen, 0, NULL, NULL), -EPROTO);
    kit_equal(sees_nothing(observer), 0);
    kit_ok(tong_observer_close(observer));
    (void)tong_close(other);
    (void)tong_close(box);
    kit_ok(tong_remove(NAME));
}

static const struct kit_test tests[] = {
    KIT_TEST(sees_what_waits_then_what_comes_and_takes_nothing),
    KIT_TEST(sees_what_is_in_somebodys_hand_and_not_what_was_done),
    KIT_TEST(tells_what_the_sender_said),
    KIT_TEST(tells_the_name_of_the_sending_process),
    KIT_TEST(of_a_longer_message_comes_what_fits),
    KIT_TEST(sees_a_long_backlog_whole),
    KIT_TEST(several_senders_each_in_order_and_those_who_come_later),
    KIT_TEST(a_sender_that_is_followed_by_another_one),
    KIT_TEST(who_came_and_went_unseen_is_counted),
    KIT_TEST(what_is_written_over_is_counted),
    KIT_TEST(what_is_told_is_whole),
    KIT_TEST(what_is_told_is_whole_where_it_was_dropped),
    KIT_TEST(an_offer_is_seen_while_it_waits),
    KIT_TEST(the_end_is_told_behind_what_there_was),
    KIT_TEST(a_wait_ends_by_its_time_or_a_signal),
    KIT_TEST(mistakes_are_told),
    KIT_TEST(a_forked_child_opens_its_own),
    KIT_TEST(looking_writes_nothing_and_wakes_nobody),
    KIT_TEST(damage_is_told_once_and_passed_over),
};

KIT_MAIN(tests)
