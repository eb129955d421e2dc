/* TONG_EVERYONE over unix: where the senders are other processes, and the receivers handles and threads of the owner. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

#define BOX "unix:box"
#define ALL 3

static tong_options to_all(uint32_t link_capacity)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    options.delivery = TONG_EVERYONE;
    options.link_capacity = link_capacity;
    return options;
}

static tong_mailbox *make(const tong_options *options)
{
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, options, &box));
    return box;
}

static tong_mailbox *open_to(unsigned flags)
{
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, flags, NULL, &box));
    return box;
}

static void get_some(tong_mailbox *box, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
}

static bool is_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    const int n = poll(&p, 1, 0);
    kit_true(n >= 0 && (p.revents & ~POLLIN) == 0);
    return n == 1;
}

/* What a sender in another process does, step by step. */
struct world {
    kit_event sent[4];
    kit_event go[4];
    uint64_t n;
    int r;
};

/* ------------------------------------------------------------------ all get all */

#define MESSAGES 300
#define LONGEST 1200000 /* in a memory file */

static size_t length_of(uint64_t k)
{
    return k % 50 == 49 ? LONGEST - k : KIT_PAYLOAD_MIN + k % 100;
}

static int send_all(void *arg)
{
    static uint8_t bytes[LONGEST];
    const uint32_t sender = *(const uint32_t *)arg;
    tong_mailbox *box = open_to(TONG_SEND);
    for (uint64_t k = 0; k < MESSAGES; k++) {
        kit_payload_write(bytes, length_of(k), sender, k);
        kit_ok(tong_send(box, bytes, length_of(k), KIT_PATIENCE));
    }
    return tong_close(box);
}

struct seat {
    tong_mailbox *box;
    pthread_t thread;
    uint8_t bytes[LONGEST];
};

static void *sit(void *arg)
{
    struct seat *seat = arg;
    uint64_t next[ALL] = { 0 };
    for (uint64_t n = 0; n < (uint64_t)ALL * MESSAGES; n++) {
        struct kit_payload head = { 0 };
        const ssize_t len = tong_receive(seat->box, seat->bytes, LONGEST, KIT_PATIENCE);
        kit_true(len > 0 && kit_payload_read(seat->bytes, (size_t)len, &head));
        kit_true(head.sender < ALL && head.counter == next[head.sender]++);
        kit_equal(len, length_of(head.counter));
    }
    return NULL;
}

/* Each at its own pace, and the slowest is one of them. */
static void each_thread_gets_every_message(void)
{
    static struct seat seats[ALL];
    uint32_t ids[ALL];
    struct kit_child children[ALL];
    const tong_options options = to_all(16);
    tong_mailbox *box = make(&options);
    for (uint32_t i = 0; i < ALL; i++) {
        ids[i] = i;
        seats[i].box = open_to(TONG_RECEIVE);
    }
    for (uint32_t i = 0; i < ALL; i++) {
        children[i] = kit_spawn(send_all, &ids[i]);
    }
    for (uint32_t i = 0; i < ALL; i++) {
        kit_ok(pthread_create(&seats[i].thread, NULL, sit, &seats[i]));
    }
    for (uint32_t i = 0; i < ALL; i++) {
        kit_ok(pthread_join(seats[i].thread, NULL));
        kit_is_empty(seats[i].box);
        kit_ok(tong_close(seats[i].box));
        kit_join(&children[i]);
    }
    const tong_status status = kit_stat(BOX);
    kit_equal(status.done, ALL * ALL * MESSAGES);
    kit_equal(status.sent, ALL * ALL * MESSAGES);
    kit_equal(status.bytes, 0);
    kit_ok(tong_close(box));
}

struct half {
    tong_mailbox *box;
    _Atomic uint64_t *got;
    uint64_t n;
};

static void *take_some(void *arg)
{
    const struct half *half = arg;
    uint64_t value;
    while (atomic_load(half->got) < half->n) {
        const ssize_t n = tong_receive(half->box, &value, sizeof value, TONG_MS(20));
        if (n != -ETIMEDOUT) {
            kit_gives(n, 8);
            atomic_fetch_add(half->got, 1);
        }
    }
    return NULL;
}

/* A handle's messages are its threads': each gets some. */
static void the_threads_of_a_handle_share_its_messages(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = make(&options);
    tong_mailbox *shared = open_to(TONG_RECEIVE);
    tong_mailbox *other = open_to(TONG_RECEIVE);
    static _Atomic uint64_t got;
    struct half half = { .box = shared, .got = &got, .n = 500 };
    pthread_t threads[2];
    atomic_store(&got, 0);
    for (int i = 0; i < 2; i++) {
        kit_ok(pthread_create(&threads[i], NULL, take_some, &half));
    }
    for (uint64_t i = 0; i < half.n; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    for (int i = 0; i < 2; i++) {
        kit_ok(pthread_join(threads[i], NULL));
    }
    kit_equal(atomic_load(&got), half.n);
    get_some(other, 0, half.n);
    kit_is_empty(shared);
    kit_is_empty(other);
    kit_ok(tong_close(shared));
    kit_ok(tong_close(other));
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ who comes late */

static int send_twice_five(void *arg)
{
    struct world *w = arg;
    tong_mailbox *box = open_to(TONG_SEND);
    for (uint64_t i = 0; i < 10; i++) {
        kit_ok(kit_send_u64(box, i, 0));
        if (i == 4) {
            kit_event_set(&w->sent[0]);
            kit_event_wait(&w->go[0]);
        }
    }
    return tong_close(box);
}

/* Nobody has read them when it comes: they lie in the socket. */
static void what_lies_in_the_socket_is_older(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    for (int first = 0; first < 2; first++) {
        tong_mailbox *box = make(&options);
        tong_mailbox *early = first != 0 ? open_to(TONG_RECEIVE) : NULL;
        struct world *w = kit_shared(sizeof *w);
        struct kit_child child = kit_spawn(send_twice_five, w);
        kit_event_wait(&w->sent[0]);
        tong_mailbox *now = open_to(TONG_RECEIVE);
        tong_mailbox *oldest = open_to(TONG_RECEIVE | TONG_FROM_OLDEST);
        kit_is_empty(now);
        kit_event_set(&w->go[0]);
        kit_join(&child);
        get_some(now, 5, 10);
        get_some(oldest, early != NULL ? 0 : 5, 10);
        kit_is_empty(now);
        kit_is_empty(oldest);
        if (early != NULL) {
            get_some(early, 0, 10);
            kit_ok(tong_close(early));
        }
        kit_equal(kit_stat(BOX).waiting, 0);
        kit_ok(tong_close(now));
        kit_ok(tong_close(oldest));
        kit_ok(tong_close(box));
    }
}

/* ------------------------------------------------------------------ the slowest fills the memory */

#define LENGTH 1000u
#define MANY 40u

static int fill_memory(void *arg)
{
    static const uint8_t bytes[LENGTH];
    tong_mailbox *box = open_to(TONG_SEND);
    (void)arg;
    for (uint64_t i = 0; i < MANY; i++) {
        kit_ok(tong_send(box, bytes, sizeof bytes, KIT_PATIENCE));
    }
    return tong_close(box);
}

static uint32_t take_all(tong_mailbox *box)
{
    uint8_t bytes[LENGTH];
    uint32_t n = 0;
    ssize_t got;
    while ((got = tong_receive(box, bytes, sizeof bytes, 0)) == LENGTH) {
        n++;
    }
    kit_gives(got, -EAGAIN);
    return n;
}

/* What comes then stays in the socket, and is no reason for a descriptor to be readable. */
static void who_waits_behind_the_slowest_is_not_told_of_what_is_not_read(void)
{
    tong_options options = to_all(TONG_DEFAULT);
    options.max_bytes = 8192;
    tong_mailbox *box = make(&options);
    tong_mailbox *fast = open_to(TONG_RECEIVE);
    tong_mailbox *slow = open_to(TONG_RECEIVE);
    const int fd = tong_fd(fast, TONG_RECEIVE);
    struct kit_child child = kit_spawn(fill_memory, NULL);
    kit_join(&child);
    kit_true(is_readable(fd));
    uint32_t got_fast = take_all(fast);
    uint32_t got_slow = 0;
    kit_true(got_fast > 0 && got_fast < MANY);
    kit_true(kit_stat(BOX).bytes < 8192 + LENGTH);
    kit_true(!is_readable(fd));
    kit_gives(tong_wait_any(&fast, 1, TONG_MS(1)), -ETIMEDOUT);
    while (got_slow < MANY) {
        uint8_t bytes[LENGTH];
        kit_gives(tong_receive(slow, bytes, sizeof bytes, 0), LENGTH);
        got_slow++;
        kit_true(is_readable(fd) || got_fast == MANY);
        got_fast += take_all(fast);
        kit_true(!is_readable(fd));
    }
    kit_equal(got_fast, MANY);
    kit_equal(take_all(slow), 0);
    kit_equal(kit_stat(BOX).bytes, 0);
    kit_ok(tong_close(fast));
    kit_ok(tong_close(slow));
    kit_ok(tong_close(box));
}

#define EMPTY 1500u
#define AT_ONCE 1024u

static int send_empty(void *arg)
{
    struct world *w = arg;
    tong_mailbox *box = open_to(TONG_SEND);
    for (uint32_t i = 0; i < EMPTY; i++) {
        kit_ok(tong_send(box, NULL, 0, KIT_PATIENCE));
        if (i == AT_ONCE + 50) {
            kit_event_set(&w->sent[0]);
        }
    }
    return tong_close(box);
}

/* A message without bytes takes memory, too. */
static void empty_messages_fill_the_memory(void)
{
    tong_options options = to_all(TONG_UNBOUNDED);
    options.max_bytes = 4096;
    tong_mailbox *box = make(&options);
    tong_mailbox *fast = open_to(TONG_RECEIVE);
    tong_mailbox *slow = open_to(TONG_RECEIVE);
    struct world *w = kit_shared(sizeof *w);
    struct kit_child child = kit_spawn(send_empty, w);
    uint32_t n = 0;
    for (; n < AT_ONCE; n++) {
        kit_gives(tong_receive(fast, NULL, 0, KIT_PATIENCE), 0);
    }
    kit_event_wait(&w->sent[0]);
    kit_gives(tong_receive(fast, NULL, 0, 0), -EAGAIN);
    for (uint32_t i = 0; i < EMPTY; i++) {
        kit_gives(tong_receive(slow, NULL, 0, KIT_PATIENCE), 0);
        n += tong_receive(fast, NULL, 0, 0) == 0;
    }
    for (; n < EMPTY; n++) {
        kit_gives(tong_receive(fast, NULL, 0, KIT_PATIENCE), 0);
    }
    kit_join(&child);
    kit_gives(tong_receive(fast, NULL, 0, 0), -EAGAIN);
    kit_gives(tong_receive(slow, NULL, 0, 0), -EAGAIN);
    kit_ok(tong_close(fast));
    kit_ok(tong_close(slow));
    kit_ok(tong_close(box));
}

static void *wait_for_all(void *arg)
{
    const struct half *half = arg;
    uint8_t bytes[LENGTH];
    for (uint64_t i = 0; i < half->n; i++) {
        if (half->got != NULL) {
            kit_gives(tong_wait_any(&half->box, 1, KIT_PATIENCE), 0);
        }
        kit_gives(tong_receive(half->box, bytes, sizeof bytes, KIT_PATIENCE), LENGTH);
    }
    return NULL;
}

static void who_sleeps_behind_the_slowest_is_woken(void)
{
    static _Atomic uint64_t any;
    tong_options options = to_all(TONG_DEFAULT);
    options.max_bytes = 8192;
    tong_mailbox *box = make(&options);
    tong_mailbox *slow = open_to(TONG_RECEIVE);
    struct half half[] = { { .box = open_to(TONG_RECEIVE), .n = MANY },
                           { .box = open_to(TONG_RECEIVE), .n = MANY, .got = &any } };
    pthread_t threads[2];
    struct kit_child child = kit_spawn(fill_memory, NULL);
    kit_join(&child);
    for (int i = 0; i < 2; i++) {
        kit_ok(pthread_create(&threads[i], NULL, wait_for_all, &half[i]));
    }
    for (uint32_t i = 0; i < MANY; i++) {
        uint8_t bytes[LENGTH];
        if (i + 10 < MANY) {
            kit_until_asleep(BOX, 2); /* they have all that was read */
        }
        kit_gives(tong_receive(slow, bytes, sizeof bytes, KIT_PATIENCE), LENGTH);
    }
    for (int i = 0; i < 2; i++) {
        kit_ok(pthread_join(threads[i], NULL));
        kit_ok(tong_close(half[i].box));
    }
    kit_ok(tong_close(slow));
    kit_ok(tong_close(box));
}

/* The one that held all up goes. */
static void who_sleeps_behind_the_slowest_is_woken_when_it_goes(void)
{
    tong_options options = to_all(TONG_DEFAULT);
    options.max_bytes = 8192;
    tong_mailbox *box = make(&options);
    tong_mailbox *slow = open_to(TONG_RECEIVE);
    struct half half = { .box = open_to(TONG_RECEIVE), .n = MANY };
    pthread_t thread;
    struct kit_child child = kit_spawn(fill_memory, NULL);
    kit_join(&child);
    kit_ok(pthread_create(&thread, NULL, wait_for_all, &half));
    kit_until_asleep(BOX, 1);
    kit_ok(tong_close(slow));
    kit_ok(pthread_join(thread, NULL));
    kit_ok(tong_close(half.box));
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ the oldest is dropped */

static int send_and_drop(void *arg)
{
    struct world *w = arg;
    tong_mailbox *box = open_to(TONG_SEND);
    for (uint64_t i = 0; i < 12; i++) {
        kit_gives(kit_send_u64(box, i, 0), i < 4 ? 0 : TONG_DROPPED);
    }
    kit_event_set(&w->sent[0]);
    kit_event_wait(&w->go[0]);
    for (uint64_t i = 12; i < 16; i++) {
        kit_gives(kit_send_u64(box, i, 0), TONG_DROPPED);
    }
    kit_event_set(&w->sent[1]);
    kit_event_wait(&w->go[1]);
    return tong_close(box);
}

static void the_slow_one_misses_the_oldest(void)
{
    tong_options options = to_all(4);
    options.full = TONG_DROP_OLDEST;
    tong_mailbox *box = make(&options);
    tong_mailbox *fast = open_to(TONG_RECEIVE);
    tong_mailbox *slow = open_to(TONG_RECEIVE);
    struct world *w = kit_shared(sizeof *w);
    struct kit_child child = kit_spawn(send_and_drop, w);
    kit_event_wait(&w->sent[0]);
    get_some(fast, 0, 12); /* each when it is read */
    kit_is_empty(fast);
    kit_event_set(&w->go[0]);
    kit_event_wait(&w->sent[1]);
    get_some(fast, 12, 16);
    kit_is_empty(fast);
    get_some(slow, 12, 16);
    kit_is_empty(slow);
    const tong_status status = kit_stat(BOX);
    kit_equal(status.dropped, 12);
    kit_equal(status.done, 16 + 4);
    kit_equal(status.waiting, 0);
    kit_event_set(&w->go[1]);
    kit_join(&child);
    kit_ok(tong_close(fast));
    kit_ok(tong_close(slow));
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ what each has of its own */

static void each_gets_a_descriptor(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = make(&options);
    tong_mailbox *each[ALL];
    int ends[2];
    kit_ok(pipe2(ends, O_CLOEXEC));
    for (int i = 0; i < ALL; i++) {
        each[i] = open_to(TONG_RECEIVE);
    }
    kit_ok(tong_send_fd(box, "x", 1, ends[1], 0));
    close(ends[1]);
    for (int i = 0; i < ALL; i++) {
        char byte;
        int fd = -1;
        if (i == 1) { /* who does not ask for it takes it from nobody */
            kit_gives(tong_receive(each[i], &byte, 1, 0), 1);
            continue;
        }
        kit_gives(tong_receive_fd(each[i], &byte, 1, 0, &fd, NULL), 1);
        kit_true(fd >= 0 && write(fd, "y", 1) == 1 && read(ends[0], &byte, 1) == 1);
        close(fd);
    }
    char byte;
    kit_equal(read(ends[0], &byte, 1), 0); /* nobody has it any more */
    close(ends[0]);
    for (int i = 0; i < ALL; i++) {
        kit_ok(tong_close(each[i]));
    }
    kit_ok(tong_close(box));
}

static int send_with(tong_mailbox *box, uint64_t value, uint64_t tag, uint32_t priority,
                     int64_t expiry_ns)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.tag = tag;
    with.priority = priority;
    with.expiry_ns = expiry_ns;
    return tong_send_with(box, &value, sizeof value, &with, 0);
}

static void what_expires_is_counted_for_each(void)
{
    const tong_options options = to_all(2);
    tong_mailbox *box = make(&options);
    tong_mailbox *one = open_to(TONG_RECEIVE);
    tong_mailbox *two = open_to(TONG_RECEIVE);
    tong_message claim = TONG_MESSAGE_INIT;
    kit_ok(send_with(box, 0, 0, 0, 1));
    kit_ok(send_with(box, 1, 0, 0, 0));
    kit_gives(send_with(box, 2, 0, 0, 0), -EAGAIN);
    kit_ok(tong_claim(one, 0, &claim));
    kit_equal(*(const uint64_t *)claim.data, 1);
    kit_equal(kit_stat(BOX).expired, 1);
    get_some(two, 1, 2);
    kit_equal(kit_stat(BOX).expired, 2);
    kit_ok(tong_done(one, &claim));
    const tong_status status = kit_stat(BOX);
    kit_equal(status.done, 4);
    kit_equal(status.sent, 4);
    kit_equal(status.waiting, 0);
    kit_ok(tong_close(one));
    kit_ok(tong_close(two));
    kit_ok(tong_close(box));
}

static void each_asks_for_its_own(void)
{
    const tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = make(&options);
    tong_mailbox *one = open_to(TONG_RECEIVE);
    tong_mailbox *two = open_to(TONG_RECEIVE);
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    tong_message claim = TONG_MESSAGE_INIT;
    uint64_t value;
    for (uint64_t i = 0; i < 10; i++) {
        kit_ok(send_with(box, i, 1 + i % 2, 0, 0));
    }
    want.tag = 2;
    kit_ok(tong_claim_with(one, &want, 0, &claim));
    kit_equal(*(const uint64_t *)claim.data, 1);
    for (uint64_t i = 3; i < 10; i += 2) {
        kit_gives(tong_receive_with(one, &value, sizeof value, &want, 0, NULL), 8);
        kit_equal(value, i);
    }
    kit_gives(tong_receive_with(one, &value, sizeof value, &want, 0, NULL), -EAGAIN);
    get_some(two, 0, 10);
    kit_equal(kit_receive_u64(one), 0);
    kit_ok(tong_return(one, &claim));
    for (uint64_t i = 1; i < 10; i = i == 1 ? 2 : i + 2) {
        kit_equal(kit_receive_u64(one), i);
    }
    kit_is_empty(one);
    kit_is_empty(two);
    kit_ok(tong_close(one));
    kit_ok(tong_close(two));
    kit_ok(tong_close(box));
}

static void each_gets_the_highest_first(void)
{
    static const uint32_t priorities[] = { 0, 5, 0, 9, 5 };
    tong_options options = to_all(TONG_DEFAULT);
    options.by_priority = 1;
    tong_mailbox *box = make(&options);
    tong_mailbox *one = open_to(TONG_RECEIVE);
    tong_mailbox *two = open_to(TONG_RECEIVE);
    tong_message claim = TONG_MESSAGE_INIT;
    for (uint64_t i = 0; i < 4; i++) {
        kit_ok(send_with(box, i, 0, priorities[i], 0));
    }
    kit_equal(kit_receive_u64(one), 3);
    kit_ok(tong_claim(one, 0, &claim));
    kit_equal(*(const uint64_t *)claim.data, 1);
    kit_equal(kit_receive_u64(one), 0);
    kit_ok(send_with(box, 4, 0, priorities[4], 0));
    kit_ok(tong_return(one, &claim));
    static const uint64_t rest[] = { 1, 4, 2 };
    static const uint64_t all[] = { 3, 1, 4, 0, 2 };
    for (int i = 0; i < 3; i++) {
        kit_equal(kit_receive_u64(one), rest[i]);
    }
    for (int i = 0; i < 5; i++) {
        kit_equal(kit_receive_u64(two), all[i]);
    }
    kit_is_empty(one);
    kit_ok(tong_close(one));
    kit_ok(tong_close(two));
    kit_ok(tong_close(box));
}

static void what_it_cannot_is_refused(void)
{
    tong_options options = to_all(TONG_DEFAULT);
    tong_mailbox *box = NULL;
    options.max_deliveries = 3;
    kit_gives(tong_open(BOX, TONG_SEND | TONG_CREATE, &options, &box), -EOPNOTSUPP);
    options = to_all(TONG_DEFAULT);
    options.capacity = 8;
    kit_gives(tong_open(BOX, TONG_SEND | TONG_CREATE, &options, &box), -EOPNOTSUPP);
}

/* ------------------------------------------------------------------ a long run against what must hold */

#define SEATS 5u
#define HELD 4u
#define STEPS 4000u

struct chair {
    tong_mailbox *box; /* NULL: nobody */
    uint64_t next;     /* none below that comes again, but those given back */
    tong_message claims[HELD];
    uint32_t n_claims;
};

static void counts_hold(void)
{
    const tong_status s = kit_stat(BOX);
    const uint64_t dropped = s.full == TONG_DROP_OLDEST ? s.dropped : 0; /* else it was not sent */
    kit_equal(s.sent, s.done + dropped + s.waiting + s.claimed);
}

static void stand_up(struct chair *c)
{
    kit_ok(tong_close(c->box));
    *c = (struct chair){ .box = NULL };
}

static void use(struct chair *c, struct kit_random *random)
{
    uint64_t value;
    switch (kit_random_below(random, 4)) {
    case 0:
        if (c->n_claims < HELD) {
            c->claims[c->n_claims] = (tong_message)TONG_MESSAGE_INIT;
            const int r = tong_claim(c->box, 0, &c->claims[c->n_claims]);
            c->n_claims += r == 0;
            kit_true(r == 0 || r == -EAGAIN);
        }
        break;
    case 1:
        if (c->n_claims > 0) {
            kit_ok(tong_return(c->box, &c->claims[--c->n_claims]));
        }
        break;
    case 2:
        if (c->n_claims > 0) {
            kit_ok(tong_done(c->box, &c->claims[--c->n_claims]));
        }
        break;
    default:
        if (tong_receive(c->box, &value, sizeof value, 0) == 8 && value >= c->next) {
            c->next = value + 1;
        }
    }
}

static void a_long_run(uint32_t full, uint32_t stream)
{
    tong_options options = to_all(6);
    options.full = full;
    tong_mailbox *box = make(&options);
    struct chair chairs[SEATS] = { { .box = NULL } };
    struct kit_random random = kit_random_stream(stream);
    for (uint64_t step = 0; step < STEPS; step++) {
        struct chair *c = &chairs[kit_random_below(&random, SEATS)];
        const uint64_t what = kit_random_below(&random, 20);
        if (what < 8) {
            const int r = kit_send_u64(box, step, 0);
            kit_true(r == 0 || r == (full == TONG_BLOCK ? -EAGAIN : TONG_DROPPED));
        } else if (c->box == NULL) {
            c->box = open_to(TONG_RECEIVE | (what % 2 != 0 ? TONG_FROM_OLDEST : 0u));
        } else if (what == 8) {
            stand_up(c);
        } else {
            use(c, &random);
        }
        counts_hold();
    }
    for (uint32_t i = 0; i < SEATS; i++) {
        if (chairs[i].box != NULL) {
            stand_up(&chairs[i]);
        }
    }
    counts_hold();
    tong_mailbox *last = open_to(TONG_RECEIVE);
    kit_is_empty(last);
    kit_equal(kit_stat(BOX).bytes, 0);
    kit_ok(tong_close(last));
    kit_ok(tong_close(box));
}

static void the_counts_hold(void)
{
    a_long_run(TONG_BLOCK, 1);
    a_long_run(TONG_DROP_NEWEST, 2);
    a_long_run(TONG_DROP_OLDEST, 3);
}

static const struct kit_test tests[] = {
    KIT_TEST(each_thread_gets_every_message),
    KIT_TEST(the_threads_of_a_handle_share_its_messages),
    KIT_TEST(what_lies_in_the_socket_is_older),
    KIT_TEST(who_waits_behind_the_slowest_is_not_told_of_what_is_not_read),
    KIT_TEST(empty_messages_fill_the_memory),
    KIT_TEST(who_sleeps_behind_the_slowest_is_woken),
    KIT_TEST(who_sleeps_behind_the_slowest_is_woken_when_it_goes),
    KIT_TEST(the_slow_one_misses_the_oldest),
    KIT_TEST(each_gets_a_descriptor),
    KIT_TEST(what_expires_is_counted_for_each),
    KIT_TEST(each_asks_for_its_own),
    KIT_TEST(each_gets_the_highest_first),
    KIT_TEST(what_it_cannot_is_refused),
    KIT_TEST(the_counts_hold),
};

KIT_MAIN(tests)
