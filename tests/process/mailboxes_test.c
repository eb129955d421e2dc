/*
 * Links and mailboxes as the textbook has them: only who has the mailbox can send to it, many processes
 * may share one, and two processes may share several without their messages or policies mixing.
 */
#include <errno.h>
#include <string.h>

#include "kit.h"

enum {
    SENDERS = 8,
    RECEIVERS = 3,
};

/* ---------------------------------------------------------------- without the mailbox */

struct outsider {
    kit_event go;
    kit_event tried;
    tong_mailbox *inherited;
};

static int try_to_send(void *arg)
{
    struct outsider *outsider = arg;
    tong_mailbox *box = NULL;
    kit_event_wait(&outsider->go);
    /* What another process opened is not this one's. */
    kit_gives(kit_send_u64(outsider->inherited, 1, 0), -ECHILD);
    /* It shares B with nobody. */
    box = kit_open(kit_name("B"), TONG_SEND | TONG_CREATE, NULL);
    kit_ok(kit_send_u64(box, 2, 0));
    kit_ok(tong_close(box));
    /* Who may take cannot put for that. */
    box = kit_open(kit_name("A"), TONG_RECEIVE, NULL);
    kit_gives(kit_send_u64(box, 3, 0), -EBADF);
    kit_ok(tong_close(box));
    box = NULL;
    kit_gives(tong_open(kit_name("C"), TONG_SEND, NULL, &box), -ENOENT);
    kit_true(box == NULL);
    kit_event_set(&outsider->tried);
    return 0;
}

static void a_process_without_the_mailbox_cannot_send_to_it(void)
{
    struct outsider *outsider = kit_shared(sizeof(*outsider));
    tong_mailbox *a = kit_create(kit_name("A"), NULL);
    outsider->inherited = a;
    struct kit_child child = kit_spawn(try_to_send, outsider);
    kit_event_set(&outsider->go);
    kit_join(&child);
    kit_equal(atomic_load(&outsider->tried), 1);
    kit_is_empty(a);
    kit_equal(kit_stat(kit_name("A")).sent, 0);
    kit_end(a, kit_name("A"));
    kit_equal(kit_stat(kit_name("B")).waiting, 1);
    kit_ok(tong_remove(kit_name("B")));
}

/* Ann's folder is hers alone. */
static int send_as_bob(void *arg)
{
    tong_mailbox *box = NULL;
    (void)arg;
    kit_become(KIT_BOB, KIT_BOB);
    kit_gives(tong_open(kit_name("A"), TONG_SEND, NULL, &box), -EACCES);
    return 0;
}

static void nor_one_of_a_user_who_may_not_see_it(void)
{
    kit_needs_root();
    tong_mailbox *a = kit_create(kit_name("A"), NULL);
    struct kit_child bob = kit_spawn(send_as_bob, NULL);
    kit_join(&bob);
    kit_is_empty(a);
    kit_end(a, kit_name("A"));
}

/* ---------------------------------------------------------------- one mailbox, many processes */

struct crowd {
    kit_barrier seated;
    kit_event go;
    uint64_t each;
    _Atomic uint32_t next_sender;
    _Atomic uint64_t taken;
    _Atomic uint32_t seen[]; /* of message sender × each + number: how often */
};

static int send_each(void *arg)
{
    struct crowd *crowd = arg;
    const uint64_t me = atomic_fetch_add(&crowd->next_sender, 1);
    tong_mailbox *box = kit_open(kit_name("many"), TONG_SEND, NULL);
    /* The link is made by the first message. */
    kit_ok(kit_send_u64(box, me * crowd->each, KIT_PATIENCE));
    kit_barrier_wait(&crowd->seated, SENDERS + RECEIVERS + 1);
    kit_event_wait(&crowd->go);
    for (uint64_t i = 1; i < crowd->each; i++) {
        kit_ok(kit_send_u64(box, me * crowd->each + i, KIT_PATIENCE));
    }
    return tong_close(box);
}

static int receive_some(void *arg)
{
    struct crowd *crowd = arg;
    uint64_t last[SENDERS] = { 0 };
    tong_mailbox *box = kit_open(kit_name("many"), TONG_RECEIVE, NULL);
    kit_barrier_wait(&crowd->seated, SENDERS + RECEIVERS + 1);
    kit_event_wait(&crowd->go);
    while (atomic_load(&crowd->taken) < SENDERS * crowd->each) {
        uint64_t value;
        const ssize_t r = tong_receive(box, &value, sizeof(value), TONG_MS(20));
        if (r == -ETIMEDOUT) {
            continue;
        }
        kit_gives(r, sizeof(value));
        const uint64_t sender = value / crowd->each;
        kit_true(sender < SENDERS);
        /* What one receiver gets of one sender is in its order. */
        kit_true(value % crowd->each + 1 > last[sender]);
        last[sender] = value % crowd->each + 1;
        atomic_fetch_add(&crowd->seen[value], 1);
        atomic_fetch_add(&crowd->taken, 1);
    }
    return tong_close(box);
}

static void many_processes_share_one_mailbox(void)
{
    const uint64_t each = kit_count("TONG_TEST_MESSAGES", 2000);
    struct crowd *crowd = kit_shared(sizeof(*crowd) + SENDERS * each * sizeof(crowd->seen[0]));
    struct kit_child children[SENDERS + RECEIVERS];
    tong_mailbox *box = kit_create(kit_name("many"), NULL);
    crowd->each = each;
    for (size_t i = 0; i < SENDERS + RECEIVERS; i++) {
        children[i] = kit_spawn(i < SENDERS ? send_each : receive_some, crowd);
    }
    kit_barrier_wait(&crowd->seated, SENDERS + RECEIVERS + 1);
    const tong_status status = kit_stat(kit_name("many"));
    kit_equal(status.links, SENDERS);
    kit_equal(status.receivers, RECEIVERS + 1);
    kit_event_set(&crowd->go);
    for (size_t i = 0; i < SENDERS + RECEIVERS; i++) {
        kit_join(&children[i]);
    }
    for (uint64_t i = 0; i < SENDERS * each; i++) {
        kit_equal(atomic_load(&crowd->seen[i]), 1);
    }
    kit_end(box, kit_name("many"));
}

/* ---------------------------------------------------------------- two mailboxes, one pair */

struct pair {
    kit_event sent;
};

static int be_p(void *arg)
{
    struct pair *pair = arg;
    tong_mailbox *a = kit_open(kit_name("A"), TONG_SEND, NULL);
    tong_mailbox *b = kit_open(kit_name("B"), TONG_SEND, NULL);
    for (uint64_t i = 0; i < 5; i++) {
        /* A holds two, B any number: what A refuses, B takes. */
        kit_gives(kit_send_u64(a, 100 + i, 0), i < 2 ? 0 : -EAGAIN);
        kit_ok(kit_send_u64(b, 200 + i, 0));
    }
    kit_event_set(&pair->sent);
    kit_await_death();
}

static int find_sender(const tong_party *party, void *arg)
{
    if (party->role == TONG_SEND) {
        *(int32_t *)arg = party->pid;
    }
    return 0;
}

static void two_processes_share_two_mailboxes(void)
{
    struct pair *pair = kit_shared(sizeof(*pair));
    const char *const names[] = { "A", "B" };
    tong_options exclusive = TONG_OPTIONS_INIT;
    tong_mailbox *other = NULL;
    exclusive.capacity = 2;
    exclusive.delivery = TONG_EXCLUSIVE;
    tong_mailbox *a = kit_create(kit_name("A"), &exclusive);
    tong_mailbox *b = kit_create(kit_name("B"), NULL);
    struct kit_child p = kit_spawn(be_p, pair);
    kit_event_wait(&pair->sent);
    for (size_t i = 0; i < 2; i++) {
        int32_t pid = 0;
        kit_equal(kit_stat(kit_name(names[i])).links, 1);
        kit_equal(kit_stat(kit_name(names[i])).waiting, i == 0 ? 2 : 5);
        kit_ok(tong_parties(kit_name(names[i]), find_sender, &pid));
        kit_true(pid == p.pid);
    }
    /* Each its policy. */
    kit_gives(tong_open(kit_name("A"), TONG_RECEIVE, NULL, &other), -EBUSY);
    other = kit_open(kit_name("B"), TONG_RECEIVE, NULL);
    kit_ok(tong_close(other));
    /* Each its messages, in whatever turn they are asked for. */
    for (uint64_t i = 0; i < 5; i++) {
        kit_equal(kit_receive_u64(b), 200 + i);
        if (i < 2) {
            kit_equal(kit_receive_u64(a), 100 + i);
        }
    }
    kit_is_empty(a);
    kit_is_empty(b);
    kit_kill(&p);
    kit_end(a, kit_name("A"));
    kit_end(b, kit_name("B"));
}

static const struct kit_test tests[] = {
    KIT_TEST(a_process_without_the_mailbox_cannot_send_to_it),
    KIT_TEST(nor_one_of_a_user_who_may_not_see_it),
    KIT_TEST(many_processes_share_one_mailbox),
    KIT_TEST(two_processes_share_two_mailboxes),
};
KIT_MAIN(tests)
