/*
 * A mailbox that ends between any two system calls of a call: the call does what it should, or says that
 * the mailbox has ended, and nothing else.
 *
 * A scene is one call. Another process ends the mailbox before its n-th system call, for each n: removes it,
 * or closes it as its owner. Where the call holds the lock that this needs, the end comes behind it.
 */
#ifndef TG_MAILBOX_ENDED_TEST_H
#define TG_MAILBOX_ENDED_TEST_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/point.h"
#include "kit.h"

#define BOX kit_name("box")
#define LONG 100000u

struct stage {
    tong_mailbox *out;
    tong_mailbox *in; /* not where another process receives alone */
    tong_mailbox *more;
    tong_observer *observer;
    tong_process *me;
    tong_message message;
    int error; /* what a list told of */
};

struct scene {
    const char *name;
    void (*prepare)(struct stage *stage); /* may be NULL */
    int64_t (*act)(struct stage *stage);
    int64_t also[2]; /* what it may answer besides */
};

/* ------------------------------------------------------------------ who ends it */

enum order {
    MAKE,         /* the system's */
    MAKE_OWNED,   /* the ending process's, which receives */
    MAKE_PROCESS, /* its own, as a process's */
    END,
};

static struct {
    struct kit_child child;
    int orders[2];
    struct shared {
        _Atomic unsigned taken; /* orders it has begun */
        _Atomic unsigned done;
    } * shared;
    unsigned given;
} ender;

struct owned {
    tong_mailbox *box;
    tong_process *process;
};

static void make_one(struct owned *own, unsigned char order)
{
    tong_options options = kit_options();
    if (order == MAKE_PROCESS) {
        kit_ok(tong_process_open(BOX, NULL, &own->process));
        return;
    }
    options.owner = order == MAKE_OWNED ? TONG_PROCESS : TONG_SYSTEM;
    tong_mailbox *box = kit_open(BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options);
    own->box = order == MAKE_OWNED ? box : NULL;
    kit_ok(own->box == NULL ? tong_close(box) : 0);
}

static void end_one(struct owned *own)
{
    int r = 0;
    if (own->box != NULL || own->process != NULL) {
        kit_ok(tong_close(own->box));
        kit_ok(tong_process_close(own->process));
        *own = (struct owned){ NULL, NULL };
        return;
    }
    do {
        r = tong_remove(BOX);
    } while (r == -EBUSY); /* the call that it ends has the lock, and is put off for long */
    kit_true(r == 0 || r == -ENOENT); /* by the scene's own call */
}

static int obey(void *arg)
{
    (void)arg;
    struct owned own = { NULL, NULL };
    unsigned char order;
    (void)close(ender.orders[1]);
    while (read(ender.orders[0], &order, 1) == 1) {
        atomic_fetch_add(&ender.shared->taken, 1);
        if (order == END) {
            end_one(&own);
        } else {
            make_one(&own, order);
        }
        atomic_fetch_add(&ender.shared->done, 1);
    }
    return 0;
}

static void begin(void)
{
    ender.shared = kit_shared(sizeof(*ender.shared));
    kit_equal(pipe(ender.orders), 0);
    ender.child = kit_spawn(obey, NULL);
    (void)close(ender.orders[0]);
}

static void finish(void)
{
    (void)close(ender.orders[1]);
    kit_join(&ender.child);
}

static void tell(enum order order)
{
    const unsigned char byte = (unsigned char)order;
    kit_equal(write(ender.orders[1], &byte, 1), 1);
    ender.given++;
}

static bool is_done(void)
{
    return atomic_load(&ender.shared->done) == ender.given;
}

/* ------------------------------------------------------------------ one case */

static struct {
    unsigned n;
    unsigned passed;
} plan;

static _Thread_local bool is_armed;

static int end_at_the_nth(const char *call)
{
    (void)call;
    if (is_armed && ++plan.passed == plan.n) {
        tell(END);
        kit_until(is_done() || (atomic_load(&ender.shared->taken) == ender.given &&
                                kit_sleeps(ender.child.pid)));
    }
    return 0;
}

static int64_t act(const struct scene *scene, struct stage *stage, unsigned n)
{
    plan.n = n;
    plan.passed = 0;
    tg_point_on_call(end_at_the_nth);
    is_armed = true;
    const int64_t answer = scene->act(stage);
    is_armed = false;
    tg_point_on_call(NULL);
    return answer;
}

static void look_at(const struct scene *scene, unsigned n, int64_t answer, int64_t end)
{
    const bool refused = answer == -EOPNOTSUPP && strcmp(kit_carrier(), "shm") != 0;
    bool fits = answer >= 0 || answer == end || refused;
    for (size_t i = 0; i < 2; i++) {
        fits = fits || answer == scene->also[i];
    }
    if (!fits) {
        kit_fail("%s, ended before call %u with %s: gave %s", scene->name, n,
                 strerrorname_np((int)-end), strerrorname_np((int)-answer));
    }
}

static int64_t open_or_make(struct stage *s);
static int64_t remove_it(struct stage *s);

static bool removes(const struct scene *scene)
{
    return scene->act == open_or_make || scene->act == remove_it;
}

/* False: the call has fewer system calls. */
static bool once(const struct scene *scene, enum order make, unsigned n)
{
    const int64_t end = make == MAKE ? -EIDRM : -EOWNERDEAD;
    struct stage stage = { .message = TONG_MESSAGE_INIT };
    tell(make);
    kit_until(is_done());
    stage.out = kit_open(BOX, TONG_SEND, NULL);
    stage.in = make == MAKE ? kit_open(BOX, TONG_RECEIVE, NULL) : NULL;
    kit_ok(make == MAKE_PROCESS ? tong_process_open(kit_name("me"), NULL, &stage.me) : 0);
    if (scene->prepare != NULL) {
        scene->prepare(&stage);
    }
    const int64_t answer = act(scene, &stage, n);
    const bool ended = plan.passed >= n;
    if (!ended) {
        tell(END);
    }
    kit_until(is_done());
    look_at(scene, n, answer, end);
    const int after = tong_send(stage.out, "x", 1, 0);
    kit_true(after == end || (after == -EIDRM && removes(scene)));
    kit_gives(stage.in == NULL ? after : tong_skip(stage.in), after);
    kit_ok(tong_observer_close(stage.observer));
    kit_ok(tong_process_close(stage.me));
    kit_ok(tong_close(stage.more));
    kit_ok(tong_close(stage.in));
    kit_ok(tong_close(stage.out));
    return ended;
}

static void all_of(const struct scene *scenes, size_t n_scenes, enum order make)
{
    begin();
    for (size_t i = 0; i < n_scenes; i++) {
        unsigned n = 1;
        while (once(&scenes[i], make, n)) {
            n++;
        }
        /* A short wait may be over before it slept; another carrier may refuse the call. */
        kit_true(n > 1 || scenes[i].also[0] == -ETIMEDOUT || strcmp(kit_carrier(), "shm") != 0);
        printf("%s: %u system calls\n", scenes[i].name, n - 1);
    }
    finish();
}

/* ------------------------------------------------------------------ who sends */

static void with_a_link(struct stage *s)
{
    kit_ok(tong_send(s->out, "first", 5, 0));
}

static int64_t send_one(struct stage *s)
{
    return tong_send(s->out, "second", 6, 0);
}

static int64_t send_long(struct stage *s)
{
    static char data[LONG];
    return tong_send(s->out, data, sizeof(data), 0);
}

static int64_t call_in_vain(struct stage *s)
{
    char reply[8];
    return tong_call(s->out, "request", 7, reply, sizeof(reply), TONG_MS(1));
}

static int64_t watch_now(struct stage *s)
{
    tong_death death = TONG_DEATH_INIT;
    return tong_watch(s->out, 0, &death);
}

static int64_t watch_a_while(struct stage *s)
{
    tong_death death = TONG_DEATH_INIT;
    return tong_watch(s->out, TONG_MS(1), &death);
}

static int64_t get_descriptor(struct stage *s)
{
    return tong_fd(s->out, TONG_SEND);
}

static int64_t give_to_the_system(struct stage *s)
{
    return tong_give(s->out, NULL);
}

static int64_t set_round_robin(struct stage *s)
{
    tong_options options = kit_options();
    options.delivery = TONG_ROUND_ROBIN;
    return tong_set(s->out, &options, TONG_SET_DELIVERY);
}

static const struct scene of_senders[] = {
    { "the first send", NULL, send_one, { 0 } },
    { "a send", with_a_link, send_long, { 0 } },
    { "a call", NULL, call_in_vain, { -ETIMEDOUT } },
    { "a look for deaths", NULL, watch_now, { -EAGAIN } },
    { "a wait for deaths", with_a_link, watch_a_while, { -ETIMEDOUT } },
    { "a descriptor to send", NULL, get_descriptor, { 0 } },
};

/* ------------------------------------------------------------------ who receives */

static void with_a_long_one(struct stage *s)
{
    kit_ok(send_long(s));
}

static int64_t receive_one(struct stage *s)
{
    static char data[LONG];
    return tong_receive(s->in, data, sizeof(data), 0);
}

static int64_t receive_in_vain(struct stage *s)
{
    char data[8];
    return tong_receive(s->in, data, sizeof(data), TONG_MS(1));
}

static int64_t claim_one(struct stage *s)
{
    return tong_claim(s->in, 0, &s->message);
}

static int64_t skip_one(struct stage *s)
{
    return tong_skip(s->in);
}

static int64_t wait_in_vain(struct stage *s)
{
    return tong_wait_any(&s->in, 1, TONG_MS(1));
}

static int64_t get_descriptor_to_receive(struct stage *s)
{
    return tong_fd(s->in, TONG_RECEIVE);
}

static const struct scene of_receivers[] = {
    { "setting", NULL, set_round_robin, { 0 } },
    { "giving", NULL, give_to_the_system, { 0 } },
    { "a receive", with_a_link, receive_one, { 0 } },
    /* over mq: it lies in a file, which is gone */
    { "a long receive", with_a_long_one, receive_one, { -EAGAIN } },
    { "a receive in vain", NULL, receive_in_vain, { -ETIMEDOUT } },
    { "a claim", with_a_link, claim_one, { 0 } },
    { "a skip", with_a_link, skip_one, { 0 } },
    { "a wait", NULL, wait_in_vain, { -ETIMEDOUT } },
    { "a descriptor to receive", with_a_link, get_descriptor_to_receive, { 0 } },
};

/* ------------------------------------------------------------------ who knows its name */

static int64_t open_to_send(struct stage *s)
{
    return tong_open(BOX, TONG_SEND, NULL, &s->more);
}

static int64_t open_to_receive(struct stage *s)
{
    return tong_open(BOX, TONG_RECEIVE, NULL, &s->more);
}

/* There may be another one afterwards. */
static int64_t open_or_make(struct stage *s)
{
    const int r = tong_open(BOX, TONG_SEND | TONG_CREATE, NULL, &s->more);
    is_armed = false;
    const int again = tong_remove(BOX);
    kit_true(again == 0 || again == -ENOENT);
    return r;
}

static int64_t remove_it(struct stage *s)
{
    (void)s;
    return tong_remove(BOX);
}

static int64_t stat_it(struct stage *s)
{
    (void)s;
    tong_status status = TONG_STATUS_INIT;
    return tong_stat(BOX, &status);
}

static int hear_party(const tong_party *party, void *arg)
{
    (void)party;
    (void)arg;
    return 0;
}

static int64_t look_at_parties(struct stage *s)
{
    return tong_parties(BOX, hear_party, s);
}

static int note_error(const tong_status *status, int error, void *arg)
{
    struct stage *s = arg;
    (void)status;
    s->error = error;
    return 0;
}

static int64_t list_all(struct stage *s)
{
    const int r = tong_list(note_error, s);
    kit_ok(s->error);
    return r;
}

static int hear_link(const tong_link *link, void *arg)
{
    (void)link;
    (void)arg;
    return 0;
}

static int64_t list_links(struct stage *s)
{
    return tong_links(hear_link, s);
}

static int hear_finding(const tong_finding *finding, void *arg)
{
    (void)finding;
    (void)arg;
    return 0;
}

static int64_t repair(struct stage *s)
{
    return tong_doctor(1, hear_finding, s);
}

static int64_t observe(struct stage *s)
{
    return tong_observer_open(BOX, &s->observer);
}

static void with_an_observer(struct stage *s)
{
    with_a_link(s);
    const int64_t r = observe(s);
    kit_true(r == 0 || r == -EOPNOTSUPP);
}

static int64_t peek(struct stage *s)
{
    char data[8];
    if (s->observer == NULL) {
        return -EOPNOTSUPP;
    }
    const ssize_t r = tong_peek(s->observer, data, sizeof(data), 0, NULL, NULL);
    return r < 0 ? r : tong_peek(s->observer, data, sizeof(data), TONG_MS(1), NULL, NULL);
}

static const struct scene of_names[] = {
    { "opening to send", NULL, open_to_send, { -ENOENT } },
    { "opening to receive", NULL, open_to_receive, { -ENOENT, -EPERM } },
    { "opening or making", NULL, open_or_make, { 0 } },
    { "removing", with_a_link, remove_it, { -ENOENT } },
    { "stat", with_a_link, stat_it, { -ENOENT } },
    { "parties", with_a_link, look_at_parties, { -ENOENT } },
    { "a list", with_a_link, list_all, { 0 } },
    { "a list of links", with_a_link, list_links, { 0 } },
    { "doctor", with_a_link, repair, { 0 } },
    { "an observer", with_a_link, observe, { -ENOENT } },
    { "a peek", with_an_observer, peek, { -EAGAIN, -ETIMEDOUT } },
};

/* ------------------------------------------------------------------ who names the process */

static int64_t send_to_it(struct stage *s)
{
    return tong_send_to(s->me, BOX, "hello", 5, 0);
}

static void with_a_lane(struct stage *s)
{
    kit_ok(send_to_it(s));
}

static int64_t send_long_to_it(struct stage *s)
{
    static char data[LONG];
    return tong_send_to(s->me, BOX, data, sizeof(data), 0);
}

static int64_t receive_from_it(struct stage *s)
{
    char data[8];
    return tong_receive_from(s->me, BOX, data, sizeof(data), TONG_MS(1));
}

static const struct scene of_peers[] = {
    { "the first message to it", NULL, send_to_it, { -ENOENT, -EAGAIN } },
    { "a message to it", with_a_lane, send_long_to_it, { -ENOENT, -EAGAIN } },
    { "waiting for one of it", with_a_lane, receive_from_it, { -ETIMEDOUT } },
    { "links", with_a_lane, list_links, { 0 } },
    { "stat", with_a_lane, stat_it, { -ENOENT } },
    { "parties", with_a_lane, look_at_parties, { -ENOENT } },
    { "a list", with_a_lane, list_all, { 0 } },
    { "an observer", with_a_lane, observe, { -ENOENT } },
    { "doctor", with_a_lane, repair, { 0 } },
};

/* ------------------------------------------------------------------ tests */

#define ALL_OF(scenes, make) all_of(scenes, sizeof(scenes) / sizeof((scenes)[0]), make)

static inline void removed_under_a_sender(void)
{
    ALL_OF(of_senders, MAKE);
}

static inline void removed_under_a_receiver(void)
{
    ALL_OF(of_receivers, MAKE);
}

static inline void removed_under_who_knows_its_name(void)
{
    ALL_OF(of_names, MAKE);
}

static inline void its_owner_closes_it_under_a_sender(void)
{
    ALL_OF(of_senders, MAKE_OWNED);
}

static inline void its_owner_closes_it_under_who_knows_its_name(void)
{
    ALL_OF(of_names, MAKE_OWNED);
}

static inline void a_process_closes_its_name_under_its_peers(void)
{
    ALL_OF(of_peers, MAKE_PROCESS);
}

#define ENDED_BY_REMOVAL                                                                           \
    KIT_TEST(removed_under_a_sender), KIT_TEST(removed_under_a_receiver),                          \
        KIT_TEST(removed_under_who_knows_its_name)

#define ENDED_BY_ITS_PROCESS                                                                       \
    KIT_TEST(its_owner_closes_it_under_a_sender),                                                  \
        KIT_TEST(its_owner_closes_it_under_who_knows_its_name),                                    \
        KIT_TEST(a_process_closes_its_name_under_its_peers)

#endif
