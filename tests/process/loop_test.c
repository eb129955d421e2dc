/* One event loop with a thousand mailboxes: no edge is lost, and none is false. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"

enum {
    BOXES = 1000,
    SENDERS = 2,
    A_BOX = 5, /* descriptors of one: its folder, and what tong_fd stands for */
};

struct loop {
    uint64_t messages;
    kit_barrier open;
};

static bool is_long(void)
{
    const char *text = getenv("TONG_TEST_LONG");
    return text != NULL && strcmp(text, "0") != 0;
}

static const char *name_of(uint32_t i)
{
    char name[16];
    snprintf(name, sizeof(name), "loop%u", i);
    return kit_name(name);
}

static void raise_limit(void)
{
    struct rlimit limit;
    kit_ok(getrlimit(RLIMIT_NOFILE, &limit));
    if (limit.rlim_max < BOXES * A_BOX) {
        kit_skip("%u descriptors are needed, and %llu allowed", BOXES * A_BOX,
                 (unsigned long long)limit.rlim_max);
    }
    limit.rlim_cur = limit.rlim_max;
    kit_ok(setrlimit(RLIMIT_NOFILE, &limit));
}

struct sender {
    struct loop *loop;
    uint32_t which;
};

/* The mailboxes of this sender, in turn and by lot; the n-th message of each is n. */
static int send_all(void *arg)
{
    const struct sender *me = arg;
    struct loop *loop = me->loop;
    static tong_mailbox *boxes[BOXES / SENDERS];
    static uint32_t sent[BOXES / SENDERS];
    struct kit_random random = kit_random_stream(me->which);
    for (uint32_t i = 0; i < BOXES / SENDERS; i++) {
        boxes[i] = kit_open(name_of(i * SENDERS + me->which), TONG_SEND, NULL);
    }
    kit_barrier_wait(&loop->open, SENDERS + 1);
    for (uint64_t n = 0; n < loop->messages / SENDERS; n++) {
        const uint64_t i = kit_random_below(&random, BOXES / SENDERS);
        kit_ok(kit_send_u64(boxes[i], sent[i]++, KIT_PATIENCE));
    }
    for (uint32_t i = 0; i < BOXES / SENDERS; i++) {
        kit_ok(tong_close(boxes[i]));
    }
    return 0;
}

struct watched {
    tong_mailbox *box;
    uint32_t got;
    int64_t since_ns; /* its descriptor is not older */
};

static int make_all(struct watched watched[])
{
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    kit_true(epoll >= 0);
    for (uint32_t i = 0; i < BOXES; i++) {
        watched[i].box = kit_open(name_of(i), TONG_RECEIVE | TONG_CREATE, NULL);
        struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };
        watched[i].since_ns = kit_now_ns();
        const int fd = tong_fd(watched[i].box, TONG_RECEIVE);
        kit_true(fd >= 0);
        kit_ok(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    }
    return epoll;
}

/* The next message must be the next one. */
static bool take(struct watched *w)
{
    uint64_t value;
    const ssize_t r = tong_receive(w->box, &value, sizeof(value), 0);
    if (r < 0) {
        kit_gives(r, -EAGAIN);
        return false;
    }
    kit_equal(value, w->got);
    w->got++;
    return true;
}

/* How often the back-stop may have said "look" by now: after 1, 2, 4, then every 8 s. */
static uint64_t backstops(const struct watched watched[])
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < BOXES; i++) {
        const int64_t now = kit_now_ns();
        uint64_t step = 1;
        for (int64_t at = watched[i].since_ns + TONG_SEC(1); at <= now; n++) {
            step = step < 8 ? 2 * step : 8;
            at += TONG_SEC(1) * (int64_t)step;
        }
    }
    return n;
}

/* An even one takes one message at each event, an odd one all that are there. */
static uint64_t run_loop(int epoll, struct watched watched[], uint64_t messages)
{
    uint64_t false_edges = 0;
    for (uint64_t got = 0; got < messages;) {
        struct epoll_event events[64];
        const int n = epoll_wait(epoll, events, 64, (int)(KIT_PATIENCE / 1000000));
        if (n <= 0) {
            kit_fail("asleep behind %llu of %llu messages", (unsigned long long)got,
                     (unsigned long long)messages);
        }
        for (int i = 0; i < n; i++) {
            struct watched *w = &watched[events[i].data.u32];
            const uint32_t before = w->got;
            while (take(w) && events[i].data.u32 % 2 != 0) {
            }
            false_edges += w->got == before;
            got += w->got - before;
        }
    }
    return false_edges;
}

static void a_thousand_mailboxes_lose_no_edge_and_have_no_false_one(void)
{
    static struct watched watched[BOXES];
    struct kit_child children[SENDERS];
    struct sender senders[SENDERS];
    raise_limit();
    struct loop *loop = kit_shared(sizeof(*loop));
    loop->messages = kit_count("TONG_TEST_LOOP", is_long() ? 1000000 : 20000);
    const int epoll = make_all(watched);
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){ .loop = loop, .which = i };
        children[i] = kit_spawn(send_all, &senders[i]);
    }
    kit_barrier_wait(&loop->open, SENDERS + 1);
    const int64_t began = kit_now_ns();
    const uint64_t false_edges = run_loop(epoll, watched, loop->messages);
    const uint64_t looks = backstops(watched);
    printf("loop: %llu messages of %u mailboxes in %lld ms; %llu times nothing was there, the "
           "back-stop went off %llu times at most\n",
           (unsigned long long)loop->messages, BOXES, (long long)((kit_now_ns() - began) / 1000000),
           (unsigned long long)false_edges, (unsigned long long)looks);
    kit_true(false_edges <= looks);
    for (uint32_t i = 0; i < SENDERS; i++) {
        kit_join(&children[i]);
    }
    for (uint32_t i = 0; i < BOXES; i++) {
        kit_end(watched[i].box, name_of(i)); /* the back-stop found nothing */
    }
    close(epoll);
}

/* ------------------------------------------------------------------ who does not ask pays nothing */

struct quiet {
    kit_event go;
    kit_event over;
    _Atomic uint32_t ready;
    _Atomic uint32_t leave;
    uint64_t n;
};

static int send_quietly(void *arg)
{
    struct quiet *quiet = arg;
    tong_mailbox *box = kit_open(kit_name("quiet"), TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 0, 0));
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    atomic_store(&quiet->ready, 1);
    kit_spin_until(atomic_load(&quiet->go) != 0);
    for (uint64_t i = 0; i < quiet->n; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    atomic_store(&quiet->over, 1);
    kit_spin_until(atomic_load(&quiet->leave) != 0);
    return tong_close(box);
}

static uint64_t calls_of_a_sender(uint64_t n)
{
    struct quiet *quiet = kit_shared(sizeof(*quiet));
    quiet->n = n;
    struct kit_child child = kit_spawn(send_quietly, quiet);
    kit_until(atomic_load(&quiet->ready) != 0);
    const uint64_t calls = kit_traced_calls(&child.pid, 1, &quiet->go, &quiet->over);
    atomic_store(&quiet->leave, 1);
    kit_join(&child);
    return calls;
}

/* A receiver is there, awake; one in an event loop was, and is gone, or has not looked since. */
static void sender_makes_no_call_while_nobody_polls(void)
{
    enum {
        MESSAGES = 30 /* all of them fit into the first segment: it need not grow */
    };
    tong_mailbox *box = kit_open(kit_name("quiet"), TONG_RECEIVE | TONG_CREATE, NULL);
    kit_equal(calls_of_a_sender(MESSAGES), 0);
    tong_mailbox *other = kit_open(kit_name("quiet"), TONG_RECEIVE, NULL);
    kit_true(tong_fd(other, TONG_RECEIVE) >= 0);
    kit_ok(tong_close(other));
    kit_equal(calls_of_a_sender(MESSAGES), 0);
    /* It is readable already: nothing more need be told. */
    kit_true(tong_fd(box, TONG_RECEIVE) >= 0);
    kit_equal(calls_of_a_sender(MESSAGES), 0);
    kit_end(box, kit_name("quiet"));
}

static void write_word(int fd, off_t at, uint32_t word)
{
    kit_equal(pwrite(fd, &word, sizeof(word), at), sizeof(word));
}

/* docs/format.md: in the head of a link. */
enum {
    WAITS = 256,
    POLLS = 576,
    ARMED = 580,
};

/* Its link says that it waits in a loop, with a FIFO of a number that none has. */
static void a_sender_that_lies_about_its_fifo_costs_no_descriptor(void)
{
    char path[4096];
    tong_options options = kit_options();
    options.link_capacity = 2;
    tong_mailbox *box = kit_create(kit_name("lies"), &options);
    kit_ok(kit_send_u64(box, 0, 0));
    (void)kit_receive_u64(box);
    (void)snprintf(path, sizeof(path), "%s/send.0.0", kit_path("lies"));
    kit_ok(mkfifo(path, 0600));
    (void)snprintf(path, sizeof(path), "%s/link.0", kit_path("lies"));
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    kit_true(fd >= 0);
    write_word(fd, POLLS, 1);
    const size_t before = strlen(kit_entries("/proc/self/fd"));
    for (uint32_t i = 1; i <= 100; i++) {
        write_word(fd, ARMED, i);
        write_word(fd, WAITS, i);
        kit_ok(kit_send_u64(box, i, 0));
        kit_equal(kit_receive_u64(box), i);
    }
    kit_equal(strlen(kit_entries("/proc/self/fd")), before);
    (void)close(fd);
    kit_end(box, kit_name("lies"));
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_thousand_mailboxes_lose_no_edge_and_have_no_false_one, 300),
    KIT_TEST_LONG(sender_makes_no_call_while_nobody_polls, 120),
    KIT_TEST(a_sender_that_lies_about_its_fifo_costs_no_descriptor),
};

KIT_MAIN(tests)
