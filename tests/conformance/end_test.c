/* How a mailbox ends for its users: removed, its process gone, forked; and who may receive alone. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

/* Every call to send on the handle gives this answer. */
static void expect_no_sending(tong_mailbox *box, int answer)
{
    const uint64_t value = 77;
    const struct iovec one = { (void *)&value, sizeof(value) };
    tong_slot slot = TONG_SLOT_INIT;
    kit_gives(kit_send_u64(box, 1, 0), answer);
    kit_gives(kit_send_u64(box, 1, TONG_FOREVER), answer);
    kit_gives(tong_send_many(box, &one, 1, TONG_FOREVER), answer);
    if (!kit_is_refused(KIT_IN_PLACE)) {
        kit_gives(tong_reserve(box, 8, TONG_FOREVER, &slot), answer);
    }
}

/* Every call on the handle, which is for both, gives this answer. */
static void expect_over(tong_mailbox *box, int answer)
{
    uint64_t value = 77;
    const struct iovec one = { &value, sizeof(value) };
    size_t len = 77;
    tong_message message = TONG_MESSAGE_INIT;
    expect_no_sending(box, answer);
    kit_gives(tong_receive(box, &value, sizeof(value), 0), answer);
    kit_gives(tong_receive(box, &value, sizeof(value), TONG_FOREVER), answer);
    kit_gives(tong_receive_many(box, &one, 1, TONG_FOREVER, &len), answer);
    kit_gives(tong_claim(box, TONG_FOREVER, &message), answer);
    kit_gives(tong_skip(box), answer);
    kit_gives(tong_wait_any(&box, 1, TONG_FOREVER), 0);
    kit_equal(value, 77);
    kit_equal(len, 77);
}

/* ------------------------------------------------------------------ removed */

static void removing_frees_the_name_at_once(void)
{
    kit_gives(tong_remove(kit_name("gone")), -ENOENT);
    tong_mailbox *box = kit_create(kit_name("gone"), NULL);
    kit_ok(tong_remove(kit_name("gone")));
    kit_gives(tong_remove(kit_name("gone")), -ENOENT);
    tong_mailbox *again = NULL;
    tong_status status = TONG_STATUS_INIT;
    kit_gives(tong_open(kit_name("gone"), TONG_SEND, NULL, &again), -ENOENT);
    kit_gives(tong_stat(kit_name("gone"), &status), -ENOENT);
    kit_ok(tong_close(box));
    for (size_t i = 0; i < 50; i++) {
        box = kit_create(kit_name("gone"), NULL);
        kit_ok(kit_send_u64(box, i, 0));
        kit_end(box, kit_name("gone"));
    }
}

static void every_call_after_removal_is_eidrm(void)
{
    tong_mailbox *box = kit_create(kit_name("over"), NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_ok(tong_remove(kit_name("over")));
    expect_over(box, -EIDRM);
    kit_ok(tong_close(box));
}

static void a_reservation_of_a_removed_mailbox_is_eidrm(void)
{
    kit_needs(KIT_IN_PLACE);
    tong_mailbox *box = kit_create(kit_name("over"), NULL);
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 8, 0, &slot));
    kit_ok(tong_remove(kit_name("over")));
    memset(slot.data, 1, 8);
    kit_gives(tong_commit(box, &slot, 8), -EIDRM);
    kit_ok(tong_close(box));
}

static void a_claim_can_be_read_and_done_after_removal(void)
{
    tong_mailbox *box = kit_create(kit_name("over"), NULL);
    kit_ok(kit_send_u64(box, 42, 0));
    kit_ok(kit_send_u64(box, 43, 0));
    tong_message first = TONG_MESSAGE_INIT;
    tong_message second = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, 0, &first));
    kit_ok(tong_claim(box, 0, &second));
    kit_ok(tong_remove(kit_name("over")));
    kit_true(memcmp(first.data, &(uint64_t){ 42 }, 8) == 0);
    kit_true(memcmp(second.data, &(uint64_t){ 43 }, 8) == 0);
    kit_ok(tong_done(box, &first));
    kit_ok(tong_return(box, &second));
    kit_ok(tong_close(box));
}

struct blocked {
    bool sends;
};

static int wait_for_the_end(void *arg)
{
    const struct blocked *blocked = arg;
    tong_mailbox *box = kit_open(kit_name("over"), TONG_SEND | TONG_RECEIVE, NULL);
    uint64_t value = 0;
    if (blocked->sends) {
        kit_gives(kit_send_u64(box, 1, KIT_PATIENCE), -EIDRM);
    } else {
        kit_gives(tong_receive(box, &value, sizeof(value), KIT_PATIENCE), -EIDRM);
    }
    expect_over(box, -EIDRM);
    return tong_close(box);
}

static void wait_blocked(const struct blocked *blocked, uint32_t n)
{
    if (blocked->sends) {
        kit_until_blocked(kit_name("over"), n);
    } else {
        kit_until_asleep(kit_name("over"), n);
    }
}

static void removal_ends_every_wait_with_eidrm(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    enum {
        CHILDREN = 3
    };
    for (uint32_t way = 0; way < (kit_is_refused(KIT_RENDEZVOUS) ? 2 : 3); way++) {
        struct blocked blocked = { .sends = way > 0 };
        /* 0: receivers; 1: senders for want of room; 2: senders at a rendezvous. */
        const tong_options options =
            kit_capacity(way == 1 || kit_is_refused(KIT_RENDEZVOUS) ? 1 : 0);
        tong_mailbox *box = kit_create(kit_name("over"), &options);
        if (way == 1) {
            kit_ok(kit_send_u64(box, 1, 0));
        }
        struct kit_child children[CHILDREN];
        for (size_t i = 0; i < CHILDREN; i++) {
            children[i] = kit_spawn(wait_for_the_end, &blocked);
        }
        wait_blocked(&blocked, CHILDREN);
        kit_ok(tong_remove(kit_name("over")));
        for (size_t i = 0; i < CHILDREN; i++) {
            kit_join(&children[i]);
        }
        expect_over(box, -EIDRM);
        kit_ok(tong_close(box));
    }
}

static void an_old_handle_never_reaches_the_new_mailbox(void)
{
    tong_mailbox *old = kit_create(kit_name("again"), NULL);
    tong_status first = kit_stat(kit_name("again"));
    kit_ok(kit_send_u64(old, 1, 0));
    kit_ok(tong_remove(kit_name("again")));
    tong_mailbox *new = kit_create(kit_name("again"), NULL);
    const tong_status second = kit_stat(kit_name("again"));
    kit_true(memcmp(first.id, second.id, sizeof(first.id)) != 0);
    kit_is_empty(new);
    kit_ok(kit_send_u64(new, 2, 0));
    expect_over(old, -EIDRM);
    kit_equal(kit_receive_u64(new), 2);
    kit_is_empty(new);
    kit_ok(tong_close(old));
    kit_ok(kit_send_u64(new, 3, 0));
    kit_equal(kit_receive_u64(new), 3);
    kit_end(new, kit_name("again"));
}

static int make_and_remove(void *arg)
{
    const uint64_t n = *(uint64_t *)arg;
    for (uint64_t i = 0; i < n; i++) {
        tong_mailbox *box = NULL;
        const int r =
            tong_open(kit_name("fight"), TONG_SEND | TONG_RECEIVE | TONG_CREATE, NULL, &box);
        kit_ok(r);
        uint64_t value = 0;
        const int sent = kit_send_u64(box, i, 0);
        if (sent != 0 && sent != -EIDRM) {
            kit_fail("a send gave %d", sent);
        }
        const ssize_t got = tong_receive(box, &value, sizeof(value), 0);
        if (got != 8 && got != -EAGAIN && got != -EIDRM) {
            kit_fail("a receive gave %zd", got);
        }
        const int removed = tong_remove(kit_name("fight"));
        kit_true(removed == 0 || removed == -ENOENT);
        kit_ok(tong_close(box));
    }
    return 0;
}

static void making_and_removing_at_once_by_many_is_safe(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    enum {
        CHILDREN = 4
    };
    uint64_t n = 150;
    struct kit_child children[CHILDREN];
    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = kit_spawn(make_and_remove, &n);
    }
    for (size_t i = 0; i < CHILDREN; i++) {
        kit_join(&children[i]);
    }
    tong_status status = TONG_STATUS_INIT;
    kit_gives(tong_stat(kit_name("fight"), &status), -ENOENT);
}

static int create_and_say(void *arg)
{
    kit_barrier *barrier = arg;
    for (uint32_t round = 0; round < 50; round++) {
        kit_barrier_wait(barrier, 4);
        tong_mailbox *box = NULL;
        const int r = tong_open(kit_name("race"),
                                TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_EXCL, NULL, &box);
        kit_true(r == 0 || r == -EEXIST);
        const char won = r == 0;
        kit_report(&won, 1);
        kit_barrier_wait(barrier, 4);
        if (won) {
            kit_end(box, kit_name("race"));
        }
    }
    return 0;
}

static void of_several_that_create_it_exactly_one_does(void)
{
    enum {
        CHILDREN = 4
    };
    kit_barrier *barrier = kit_shared(sizeof(*barrier));
    struct kit_child children[CHILDREN];
    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = kit_spawn(create_and_say, barrier);
    }
    for (uint32_t round = 0; round < 50; round++) {
        unsigned n_won = 0;
        for (size_t i = 0; i < CHILDREN; i++) {
            char won;
            kit_read_report(&children[i], &won, 1);
            n_won += won != 0;
        }
        kit_equal(n_won, 1);
    }
    for (size_t i = 0; i < CHILDREN; i++) {
        kit_join(&children[i]);
    }
}

/* ------------------------------------------------------------------ process-owned */

/* A rendezvous, where the carrier has one. */
static uint32_t least_capacity(void)
{
    return kit_is_refused(KIT_RENDEZVOUS) ? 1 : 0;
}

static tong_options process_owned(uint32_t capacity)
{
    tong_options options = kit_capacity(capacity);
    options.owner = TONG_PROCESS;
    return options;
}

struct owner {
    uint32_t capacity;
    bool fill;
    kit_event close;
};

static int own(void *arg)
{
    struct owner *owner = arg;
    const tong_options options = process_owned(owner->capacity);
    tong_mailbox *box = kit_create(kit_name("over"), &options);
    for (uint32_t i = 0; owner->fill && i < owner->capacity; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    kit_report("o", 1);
    kit_event_wait(&owner->close);
    return tong_close(box);
}

static int send_until_the_end(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(kit_name("over"), TONG_SEND, NULL);
    kit_gives(kit_send_u64(box, 1, KIT_PATIENCE), -EOWNERDEAD);
    expect_no_sending(box, -EOWNERDEAD);
    return tong_close(box);
}

/* Senders wait for room (capacity 1) or at a rendezvous (0); the owner is killed or closes. */
static void end_the_owner(uint32_t capacity, bool kill)
{
    enum {
        CHILDREN = 3
    };
    struct owner *owner = kit_shared(sizeof(*owner));
    owner->capacity = capacity;
    owner->fill = capacity > 0;
    struct kit_child process = kit_spawn(own, owner);
    char c;
    kit_read_report(&process, &c, 1);
    tong_mailbox *idle = kit_open(kit_name("over"), TONG_SEND, NULL);
    const tong_status status = kit_stat(kit_name("over"));
    kit_equal(status.owner, TONG_PROCESS);
    kit_equal(status.owner_pid, process.pid);
    struct kit_child children[CHILDREN];
    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = kit_spawn(send_until_the_end, NULL);
    }
    kit_until_blocked(kit_name("over"), CHILDREN);
    if (kill) {
        kit_kill(&process);
    } else {
        kit_event_set(&owner->close);
        kit_join(&process);
    }
    for (size_t i = 0; i < CHILDREN; i++) {
        kit_join(&children[i]);
    }
    expect_no_sending(idle, -EOWNERDEAD);
    tong_mailbox *late = NULL;
    tong_status gone = TONG_STATUS_INIT;
    kit_gives(tong_open(kit_name("over"), TONG_SEND, NULL, &late), -ENOENT);
    kit_gives(tong_stat(kit_name("over"), &gone), -ENOENT);
    /* The name is free; the old handle does not reach what takes it. */
    late = kit_create(kit_name("over"), NULL);
    kit_ok(kit_send_u64(late, 1, 0));
    expect_no_sending(idle, -EOWNERDEAD);
    kit_equal(kit_receive_u64(late), 1);
    kit_ok(tong_close(idle));
    kit_end(late, kit_name("over"));
}

static void the_owners_death_ends_every_wait_with_eownerdead(void)
{
    end_the_owner(1, true);
    end_the_owner(least_capacity(), true);
}

static void the_owners_close_ends_every_wait_with_eownerdead(void)
{
    end_the_owner(1, false);
    end_the_owner(least_capacity(), false);
}

static void *receive_until_the_end(void *arg)
{
    uint64_t value;
    kit_gives(tong_receive(arg, &value, sizeof(value), KIT_PATIENCE), -EOWNERDEAD);
    return NULL;
}

/* Other handles of the owning process may receive, too; they end with the one that created it. */
static void the_owners_own_receivers_end_with_its_close(void)
{
    const tong_options options = process_owned(10);
    tong_mailbox *owner = kit_create(kit_name("over"), &options);
    tong_mailbox *second = kit_open(kit_name("over"), TONG_SEND | TONG_RECEIVE, NULL);
    kit_ok(kit_send_u64(owner, 1, 0));
    kit_equal(kit_receive_u64(second), 1);
    pthread_t id;
    kit_ok(pthread_create(&id, NULL, receive_until_the_end, second));
    kit_until_asleep(kit_name("over"), 1);
    kit_ok(tong_close(owner));
    kit_ok(pthread_join(id, NULL));
    expect_over(second, -EOWNERDEAD);
    kit_ok(tong_close(second));
}

static int receive_from_another(void *arg)
{
    (void)arg;
    tong_mailbox *box = NULL;
    kit_gives(tong_open(kit_name("over"), TONG_RECEIVE, NULL, &box), -EPERM);
    kit_gives(tong_open(kit_name("over"), TONG_SEND | TONG_RECEIVE, NULL, &box), -EPERM);
    kit_true(box == NULL);
    box = kit_open(kit_name("over"), TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 5, 0));
    return tong_close(box);
}

static void only_the_owner_receives_from_a_process_owned_mailbox(void)
{
    const tong_options options = process_owned(10);
    tong_mailbox *owner = kit_create(kit_name("over"), &options);
    struct kit_child child = kit_spawn(receive_from_another, NULL);
    kit_join(&child);
    kit_equal(kit_receive_u64(owner), 5);
    kit_ok(tong_close(owner));
}

static void what_waited_ends_with_the_owner(void)
{
    const tong_options options = process_owned(10);
    tong_mailbox *owner = kit_create(kit_name("waits"), &options);
    tong_mailbox *user = kit_open(kit_name("waits"), TONG_SEND | TONG_RECEIVE, NULL);
    kit_ok(kit_send_u64(user, 1, 0));
    kit_ok(kit_send_u64(owner, 2, 0));
    kit_ok(tong_close(owner));
    expect_over(user, -EOWNERDEAD);
    kit_ok(tong_close(user));
    kit_gives(tong_remove(kit_name("waits")), -ENOENT);
}

static void a_second_handle_of_the_owner_ends_nothing(void)
{
    const tong_options options = process_owned(10);
    tong_mailbox *owner = kit_create(kit_name("second"), &options);
    tong_mailbox *second = kit_open(kit_name("second"), TONG_SEND, NULL);
    kit_ok(kit_send_u64(second, 1, 0));
    kit_ok(tong_close(second));
    kit_equal(kit_receive_u64(owner), 1);
    kit_ok(tong_close(owner));
}

static void a_process_owned_mailbox_can_be_removed_by_name(void)
{
    const tong_options options = process_owned(10);
    tong_mailbox *owner = kit_create(kit_name("named"), &options);
    kit_ok(tong_remove(kit_name("named")));
    expect_over(owner, -EIDRM);
    kit_ok(tong_close(owner));
    kit_gives(tong_remove(kit_name("named")), -ENOENT);
}

/* ------------------------------------------------------------------ exclusive */

static int open_exclusively(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(kit_name("alone"), TONG_RECEIVE, NULL);
    const char c = 'o';
    kit_report(&c, 1);
    kit_equal(kit_receive_u64(box), 1);
    kit_await_death();
}

/* The place of one that was killed. Over a network it is free when the server has seen the connection end. */
static tong_mailbox *open_the_dead_ones_place(const char *name)
{
    tong_mailbox *box = NULL;
    int r = tong_open(name, TONG_RECEIVE, NULL, &box);
    if (strcmp(kit_carrier(), "nats") == 0) {
        kit_until(r != -EBUSY || (r = tong_open(name, TONG_RECEIVE, NULL, &box)) != -EBUSY);
    }
    kit_ok(r);
    return box;
}

static void an_exclusive_mailbox_has_one_receiver(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_options options = kit_options();
    options.delivery = TONG_EXCLUSIVE;
    tong_mailbox *first = kit_open(kit_name("alone"), TONG_RECEIVE | TONG_CREATE, &options);
    tong_mailbox *sender = kit_open(kit_name("alone"), TONG_SEND, NULL);
    tong_mailbox *second = NULL;
    kit_gives(tong_open(kit_name("alone"), TONG_RECEIVE, NULL, &second), -EBUSY);
    kit_gives(tong_open(kit_name("alone"), TONG_SEND | TONG_RECEIVE, NULL, &second), -EBUSY);
    kit_true(second == NULL);
    kit_ok(kit_send_u64(sender, 5, 0));
    kit_equal(kit_receive_u64(first), 5);
    kit_ok(kit_send_u64(sender, 6, 0));
    kit_ok(tong_close(first));
    second = kit_open(kit_name("alone"), TONG_RECEIVE, NULL);
    kit_equal(kit_receive_u64(second), 6);
    kit_ok(tong_close(second));
    for (size_t i = 0; i < 5; i++) {
        struct kit_child child = kit_spawn(open_exclusively, NULL);
        char c;
        kit_read_report(&child, &c, 1);
        kit_ok(kit_send_u64(sender, 1, 0));
        kit_until(kit_stat(kit_name("alone")).waiting == 0);
        kit_gives(tong_open(kit_name("alone"), TONG_RECEIVE, NULL, &second), -EBUSY);
        kit_kill(&child);
        second = open_the_dead_ones_place(kit_name("alone"));
        kit_ok(kit_send_u64(sender, 7, 0));
        kit_equal(kit_receive_u64(second), 7);
        kit_ok(tong_close(second));
    }
    kit_end(sender, kit_name("alone"));
}

static void the_claim_of_an_exclusive_receiver_goes_to_the_next_one(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_options options = kit_options();
    options.delivery = TONG_EXCLUSIVE;
    tong_mailbox *first = kit_create(kit_name("alone"), &options);
    kit_ok(kit_send_u64(first, 5, 0));
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(first, 0, &message));
    kit_ok(tong_close(first));
    tong_mailbox *second = kit_open(kit_name("alone"), TONG_RECEIVE, NULL);
    message = (tong_message)TONG_MESSAGE_INIT;
    kit_ok(tong_claim(second, 0, &message));
    kit_equal(message.deliveries, 2);
    kit_ok(tong_done(second, &message));
    kit_end(second, kit_name("alone"));
}

/* ------------------------------------------------------------------ fork */

struct parent {
    tong_mailbox *box;
    tong_slot slot;
    tong_message message;
};

static int use_the_parents_handle(void *arg)
{
    struct parent *parent = arg;
    tong_mailbox *box = parent->box;
    uint64_t value = 77;
    const struct iovec one = { &value, sizeof(value) };
    size_t len = 0;
    tong_slot slot = TONG_SLOT_INIT;
    tong_message message = TONG_MESSAGE_INIT;
    kit_gives(kit_send_u64(box, 1, 0), -ECHILD);
    kit_gives(kit_send_u64(box, 1, TONG_FOREVER), -ECHILD);
    kit_gives(tong_send_many(box, &one, 1, 0), -ECHILD);
    if (!kit_is_refused(KIT_IN_PLACE)) {
        kit_gives(tong_reserve(box, 8, 0, &slot), -ECHILD);
        kit_gives(tong_commit(box, &parent->slot, 8), -ECHILD);
        kit_gives(tong_abort(box, &parent->slot), -ECHILD);
    }
    kit_gives(tong_receive(box, &value, sizeof(value), TONG_FOREVER), -ECHILD);
    kit_gives(tong_receive_many(box, &one, 1, 0, &len), -ECHILD);
    kit_gives(tong_claim(box, 0, &message), -ECHILD);
    kit_gives(tong_done(box, &parent->message), -ECHILD);
    kit_gives(tong_return(box, &parent->message), -ECHILD);
    kit_gives(tong_skip(box), -ECHILD);
    kit_gives(tong_wait_any(&box, 1, 0), -ECHILD);
    kit_gives(tong_interrupt(box), -ECHILD);
    kit_equal(value, 77);
    kit_gives(tong_close(box), -ECHILD);

    if (kit_is_refused(KIT_OTHERS_RECEIVE)) {
        box = kit_open(kit_name("fork"), TONG_SEND, NULL);
        kit_ok(kit_send_u64(box, 3, 0));
        return tong_close(box);
    }
    box = kit_open(kit_name("fork"), TONG_SEND | TONG_RECEIVE, NULL);
    kit_equal(kit_receive_u64(box), 2);
    kit_ok(kit_send_u64(box, 3, 0));
    return tong_close(box);
}

static void a_forked_child_cannot_use_the_handle_and_can_open_its_own(void)
{
    struct parent parent = { .slot = TONG_SLOT_INIT, .message = TONG_MESSAGE_INIT };
    parent.box = kit_create(kit_name("fork"), NULL);
    kit_ok(kit_send_u64(parent.box, 1, 0));
    kit_ok(tong_claim(parent.box, 0, &parent.message));
    kit_ok(kit_send_u64(parent.box, 2, 0));
    const uint64_t fours = UINT64_C(0x0404040404040404);
    if (!kit_is_refused(KIT_IN_PLACE)) {
        kit_ok(tong_reserve(parent.box, 8, 0, &parent.slot));
        memset(parent.slot.data, 4, 8);
    }
    struct kit_child child = kit_spawn(use_the_parents_handle, &parent);
    kit_join(&child);
    /* The parent's reservation and claim are untouched. */
    if (kit_is_refused(KIT_IN_PLACE)) {
        kit_ok(kit_send_u64(parent.box, fours, 0));
    } else {
        kit_ok(tong_commit(parent.box, &parent.slot, 8));
    }
    kit_ok(tong_done(parent.box, &parent.message));
    uint64_t sum = kit_is_refused(KIT_OTHERS_RECEIVE) ? kit_receive_u64(parent.box) - 2 : 0;
    sum += kit_receive_u64(parent.box);
    sum += kit_receive_u64(parent.box);
    kit_equal(sum, fours + 3);
    kit_is_empty(parent.box);
    kit_end(parent.box, kit_name("fork"));
}

static int end_without_a_close(void *arg)
{
    (void)arg;
    return 0;
}

static void a_child_that_ends_ends_nothing_of_its_parent(void)
{
    const tong_options options = process_owned(5);
    tong_mailbox *box = kit_create(kit_name("fork"), &options);
    kit_ok(kit_send_u64(box, 1, 0));
    for (size_t i = 0; i < 5; i++) {
        struct kit_child child = kit_spawn(end_without_a_close, NULL);
        kit_join(&child);
        tong_mailbox *other = kit_open(kit_name("fork"), TONG_SEND, NULL);
        kit_ok(tong_close(other));
    }
    kit_equal(kit_receive_u64(box), 1);
    kit_ok(tong_close(box));
}

static int own_fork_and_wait(void *arg)
{
    const tong_options options = process_owned(least_capacity());
    tong_mailbox *box = kit_create(kit_name("over"), &options);
    for (uint32_t i = 0; i < options.capacity; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    if (fork() == 0) {
        kit_event_wait((kit_event *)arg);
        _exit(0);
    }
    kit_report("f", 1);
    kit_await_death();
}

static void a_living_child_does_not_keep_its_dead_parents_mailbox(void)
{
    kit_event *end = kit_shared(sizeof(*end));
    struct kit_child owner = kit_spawn(own_fork_and_wait, end);
    char c;
    kit_read_report(&owner, &c, 1);
    struct kit_child waiter = kit_spawn(send_until_the_end, NULL);
    kit_until_blocked(kit_name("over"), 1);
    kit_kill(&owner);
    kit_join(&waiter);
    tong_status status = TONG_STATUS_INIT;
    kit_gives(tong_stat(kit_name("over"), &status), -ENOENT);
    kit_event_set(end);
}

static const struct kit_test tests[] = {
    KIT_TEST(removing_frees_the_name_at_once),
    KIT_TEST(every_call_after_removal_is_eidrm),
    KIT_TEST(a_reservation_of_a_removed_mailbox_is_eidrm),
    KIT_TEST(a_claim_can_be_read_and_done_after_removal),
    KIT_TEST(removal_ends_every_wait_with_eidrm),
    KIT_TEST(an_old_handle_never_reaches_the_new_mailbox),
    KIT_TEST(making_and_removing_at_once_by_many_is_safe),
    KIT_TEST(of_several_that_create_it_exactly_one_does),
    KIT_TEST(the_owners_death_ends_every_wait_with_eownerdead),
    KIT_TEST(the_owners_close_ends_every_wait_with_eownerdead),
    KIT_TEST(the_owners_own_receivers_end_with_its_close),
    KIT_TEST(only_the_owner_receives_from_a_process_owned_mailbox),
    KIT_TEST(what_waited_ends_with_the_owner),
    KIT_TEST(a_second_handle_of_the_owner_ends_nothing),
    KIT_TEST(a_process_owned_mailbox_can_be_removed_by_name),
    KIT_TEST(an_exclusive_mailbox_has_one_receiver),
    KIT_TEST(the_claim_of_an_exclusive_receiver_goes_to_the_next_one),
    KIT_TEST(a_forked_child_cannot_use_the_handle_and_can_open_its_own),
    KIT_TEST(a_child_that_ends_ends_nothing_of_its_parent),
    KIT_TEST(a_living_child_does_not_keep_its_dead_parents_mailbox),
};

KIT_MAIN(tests)
