/*
 * Whose a mailbox is, and giving it on: who may receive, what happens to waiting and claimed
 * messages and to those who are blocked, with whom it ends.
 *
 * Each death here comes alone, so no sleep may be ended by the back-stop; the same program runs as
 * no_backstop.give with all of them switched off.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "give.h"

static void send_numbers(tong_mailbox *box, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i <= to; i++) {
        kit_ok(kit_send_u64(box, i, KIT_PATIENCE));
    }
}

static void end_all(struct puppet *puppets, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        puppet_end(&puppets[i]);
    }
}

/* ------------------------------------------------------------------ who receives */

static void only_the_new_owner_receives(void)
{
    static const enum puppet_verb waits[] = { PUPPET_RECEIVE, PUPPET_RECEIVE_MANY, PUPPET_CLAIM,
                                              PUPPET_WAIT_ANY };
    tong_mailbox *box = kit_create(BOX, NULL);
    struct puppet a = puppet_start("a");
    struct puppet others[] = { puppet_start("o0"), puppet_start("o1"), puppet_start("o2"),
                               puppet_start("o3") };
    for (uint32_t i = 0; i < 4; i++) {
        kit_gives(opens(&others[i], TONG_RECEIVE), 0);
        begins(&others[i], waits[i]);
    }
    kit_until_asleep(BOX, 4);
    expect_owner(NULL);
    kit_ok(tong_give(box, "a"));
    for (uint32_t i = 0; i < 4; i++) {
        kit_gives(puppet_answer(&others[i]), -EPERM);
        kit_gives(receives(&others[i], TONG_FOREVER), -EPERM);
        kit_gives(receives(&others[i], 0), -EPERM);
    }
    expect_owner(&a);
    /* This handle was opened to receive, too. */
    tong_message message = TONG_MESSAGE_INIT;
    tong_mailbox *more = NULL;
    kit_gives(tong_claim(box, TONG_FOREVER, &message), -EPERM);
    kit_gives(tong_skip(box), -EPERM);
    kit_gives(tong_open(BOX, TONG_RECEIVE, NULL, &more), -EPERM);
    kit_ok(kit_send_u64(box, 7, 0));
    kit_gives(
        PUPPET(&others[0], .verb = PUPPET_OPEN, .handle = 1, .name = "box", .flags = TONG_SEND), 0);
    kit_gives(opens(&a, TONG_RECEIVE), 0);
    kit_gives(receives(&a, KIT_PATIENCE), 7);
    end_all(others, 4);
    kit_equal(kit_stat(BOX).backstop_finds, 0);
    puppet_end(&a);
    kit_gives(kit_send_u64(box, 1, 0), -EOWNERDEAD);
    kit_ok(tong_close(box));
}

static void what_waits_goes_to_the_new_owner_in_order(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    struct puppet p[] = { puppet_start("a"), puppet_start("b") };
    send_numbers(box, 1, 30);
    kit_equal(kit_receive_u64(box), 1);
    kit_ok(tong_give(box, "a"));
    kit_gives(opens(&p[0], TONG_RECEIVE), 0);
    kit_gives(receives(&p[0], 0), 2);
    kit_ok(tong_give(box, "b"));
    kit_gives(receives(&p[0], 0), -EPERM);
    kit_gives(opens(&p[1], TONG_RECEIVE), 0);
    kit_gives(receives(&p[1], 0), 3);
    kit_ok(tong_give(box, "a"));
    kit_gives(receives(&p[1], 0), -EPERM);
    kit_gives(receives(&p[0], 0), 4);
    kit_ok(tong_give(box, NULL));
    expect_owner(NULL);
    for (uint64_t i = 5; i <= 30; i += 3) {
        gets(&p[0], 0, i);
        kit_equal(kit_receive_u64(box), i + 1);
        if (i < 29) {
            gets(&p[1], 0, i + 2);
        }
    }
    end_all(p, 2);
    kit_is_empty(box);
    kit_end(box, BOX);
}

static void claims_are_their_holders_until_given_back(void)
{
    struct puppet p[] = { puppet_start("a"), puppet_start("b"), puppet_start("c") };
    makes(&p[0], TONG_UNBOUNDED);
    tong_mailbox *box = open_to_send();
    send_numbers(box, 1, 5);
    for (uint32_t i = 0; i < 4; i++) {
        kit_gives(PUPPET(&p[0], .verb = PUPPET_CLAIM, .claim = i), 1001 + (int64_t)i);
    }
    kit_ok(tong_give(box, "b"));
    kit_gives(PUPPET(&p[0], .verb = PUPPET_CLAIM, .claim = 4), -EPERM);
    kit_gives(opens(&p[1], TONG_RECEIVE), 0);
    kit_gives(PUPPET(&p[1], .verb = PUPPET_CLAIM, .claim = 4), 1005);
    kit_gives(PUPPET(&p[1], .verb = PUPPET_CLAIM), -EAGAIN);
    kit_equal(kit_stat(BOX).claimed, 5);
    kit_gives(PUPPET(&p[0], .verb = PUPPET_DONE, .claim = 0), 0);
    kit_equal(kit_stat(BOX).done, 1);
    kit_gives(PUPPET(&p[0], .verb = PUPPET_RETURN, .claim = 1), 0);
    kit_gives(PUPPET(&p[1], .verb = PUPPET_CLAIM, .claim = 1), 2002);
    /* A sleeping owner is woken by what comes back, and by its holder's close or death. */
    begins(&p[1], PUPPET_CLAIM);
    kit_until_asleep(BOX, 1);
    kit_gives(PUPPET(&p[0], .verb = PUPPET_RETURN, .claim = 2), 0);
    kit_gives(puppet_answer(&p[1]), 2003);
    begins(&p[1], PUPPET_CLAIM);
    kit_until_asleep(BOX, 1);
    kit_gives(closes(&p[0]), 0);
    kit_gives(puppet_answer(&p[1]), 2004);
    kit_ok(tong_give(box, "c"));
    kit_gives(opens(&p[2], TONG_RECEIVE), 0);
    begins(&p[2], PUPPET_RECEIVE);
    kit_until_asleep(BOX, 1);
    puppet_kill(&p[1]); /* with 2 and 5; 3 and 4 were claimed into one place */
    int64_t sum = puppet_answer(&p[2]);
    for (int i = 0; i < 3; i++) {
        sum += receives(&p[2], 0);
    }
    kit_equal(sum, 2 + 3 + 4 + 5);
    kit_gives(receives(&p[2], 0), -EAGAIN);
    kit_equal(kit_stat(BOX).done, 5);
    kit_equal(kit_stat(BOX).backstop_finds, 0);
    puppet_end(&p[2]);
    expect_ended(box);
    puppet_end(&p[0]);
}

static void an_exclusive_mailbox_lets_its_new_owner_in(void)
{
    tong_options options = kit_options();
    options.delivery = TONG_EXCLUSIVE;
    tong_mailbox *box = kit_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    struct puppet p[] = { puppet_start("a"), puppet_start("o") };
    kit_gives(opens(&p[1], TONG_RECEIVE), 0);
    begins(&p[1], PUPPET_RECEIVE);
    kit_until_asleep(BOX, 1);
    kit_gives(opens(&p[0], TONG_RECEIVE), -EBUSY);
    kit_ok(tong_give(box, "a"));
    kit_gives(puppet_answer(&p[1]), -EPERM);
    kit_gives(opens(&p[0], TONG_RECEIVE), 0);
    send_numbers(box, 1, 3);
    kit_gives(receives(&p[0], KIT_PATIENCE), 1);
    kit_gives(receives(&p[1], 0), -EPERM);
    kit_gives(closes(&p[1]), 0);
    kit_gives(receives(&p[0], 0), 2);
    puppet_end(&p[0]);
    expect_ended(box);
    puppet_end(&p[1]);
}

/* ------------------------------------------------------------------ with whom it ends */

static void the_old_owner_ends_nothing(void)
{
    for (int way = 0; way < 4; way++) {
        struct puppet a = puppet_start("a");
        struct puppet b = puppet_start("b");
        makes(&a, TONG_UNBOUNDED);
        tong_mailbox *box = open_to_send();
        send_numbers(box, 1, 2);
        kit_gives(gives_to(&a, way < 2 ? "b" : ""), 0);
        if (way % 2) {
            puppet_kill(&a);
        } else {
            kit_gives(closes(&a), 0);
            puppet_end(&a);
        }
        kit_ok(kit_send_u64(box, 3, 0));
        expect_owner(way < 2 ? &b : NULL);
        kit_gives(opens(&b, TONG_RECEIVE), 0);
        for (uint64_t i = 1; i <= 3; i++) {
            gets(&b, 0, i);
        }
        puppet_end(&b);
        if (way < 2) {
            expect_ended(box);
        } else {
            kit_ok(kit_send_u64(box, 4, 0));
            kit_end(box, BOX);
        }
    }
}

static void the_new_owners_first_receiving_handle_ends_it(void)
{
    struct puppet b = puppet_start("b");
    tong_mailbox *box = kit_create(BOX, NULL);
    kit_gives(opens(&b, TONG_RECEIVE), 0); /* before: not the first one after this */
    kit_ok(tong_give(box, "b"));
    kit_gives(PUPPET(&b, .verb = PUPPET_OPEN, .handle = 1, .name = "box", .flags = TONG_SEND), 0);
    for (uint32_t i = 2; i < 4; i++) {
        kit_gives(
            PUPPET(&b, .verb = PUPPET_OPEN, .handle = i, .name = "box", .flags = TONG_RECEIVE), 0);
    }
    send_numbers(box, 1, 3);
    kit_gives(receives(&b, 0), 1);
    kit_gives(closes(&b), 0);
    kit_ok(kit_send_u64(box, 4, 0));
    kit_gives(PUPPET(&b, .verb = PUPPET_CLOSE, .handle = 1), 0);
    kit_gives(PUPPET(&b, .verb = PUPPET_CLOSE, .handle = 3), 0);
    kit_ok(kit_send_u64(box, 5, 0));
    kit_gives(PUPPET(&b, .verb = PUPPET_RECEIVE, .handle = 2), 2);
    kit_gives(PUPPET(&b, .verb = PUPPET_CLOSE, .handle = 2), 0);
    expect_ended(box);
    puppet_end(&b);
}

static void given_to_its_owner_nothing_changes(void)
{
    struct puppet a = puppet_start("a");
    makes(&a, TONG_UNBOUNDED);
    tong_mailbox *box = open_to_send();
    send_numbers(box, 1, 3);
    kit_gives(gives_to(&a, "a"), 0);
    kit_ok(tong_give(box, "a"));
    kit_ok(tong_give(box, "box")); /* a is who owns the mailbox of that name */
    kit_gives(receives(&a, 0), 1);
    kit_gives(closes(&a), 0);
    expect_ended(box);
    puppet_end(&a);
    box = kit_create(BOX, NULL);
    kit_ok(tong_give(box, NULL));
    expect_owner(NULL);
    kit_end(box, BOX);
}

static void an_owner_gets_it_back(void)
{
    struct puppet a = puppet_start("a");
    struct puppet b = puppet_start("b");
    makes(&a, TONG_UNBOUNDED);
    tong_mailbox *box = open_to_send();
    kit_ok(tong_give(box, "b"));
    kit_gives(gives_to(&a, "a"), 0);
    expect_owner(&a);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_gives(receives(&a, 0), 1);
    /* The handle that made it has not been opened after this; the next one is. */
    kit_gives(PUPPET(&a, .verb = PUPPET_OPEN, .handle = 1, .name = "box", .flags = BOTH), 0);
    kit_gives(closes(&a), 0);
    kit_ok(kit_send_u64(box, 2, 0));
    kit_gives(PUPPET(&a, .verb = PUPPET_RECEIVE, .handle = 1), 2);
    kit_gives(PUPPET(&a, .verb = PUPPET_CLOSE, .handle = 1), 0);
    expect_ended(box);
    puppet_end(&a);
    puppet_end(&b);
}

static void a_new_owner_that_dies_ends_it_opened_or_not(void)
{
    for (int opened = 0; opened < 2; opened++) {
        struct puppet b = puppet_start("b");
        struct puppet s = puppet_start("s");
        const tong_options options = kit_capacity(1);
        tong_mailbox *box = kit_create(BOX, &options);
        kit_ok(kit_send_u64(box, 1, 0));
        kit_gives(opens(&s, TONG_SEND), 0);
        begins(&s, PUPPET_SEND);
        kit_until_blocked(BOX, 1);
        kit_ok(tong_give(box, "b"));
        if (opened) {
            kit_gives(opens(&b, TONG_RECEIVE), 0);
        }
        kit_until_blocked(BOX, 1);
        puppet_kill(&b);
        kit_gives(puppet_answer(&s), -EOWNERDEAD);
        expect_ended(box);
        puppet_end(&s);
    }
}

static void a_system_mailbox_stays_until_it_is_removed(void)
{
    struct puppet a = puppet_start("a");
    makes(&a, TONG_UNBOUNDED);
    tong_mailbox *box = kit_open(BOX, TONG_SEND, NULL);
    tong_mailbox *rx = NULL;
    kit_gives(tong_open(BOX, TONG_RECEIVE, NULL, &rx), -EPERM);
    begins(&a, PUPPET_RECEIVE);
    kit_until_asleep(BOX, 1);
    kit_ok(tong_give(box, NULL));
    /* Its old owner is one of its receivers now: it may go on waiting. */
    kit_until_asleep(BOX, 1);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_gives(puppet_answer(&a), 1);
    kit_ok(tong_open(BOX, TONG_RECEIVE, NULL, &rx));
    puppet_kill(&a);
    kit_ok(kit_send_u64(box, 2, 0));
    kit_equal(kit_receive_u64(rx), 2);
    kit_ok(tong_close(rx));
    kit_end(box, BOX);
}

/* ------------------------------------------------------------------ who is blocked */

static void blocked_senders_notice_nothing_and_then_the_new_owners_death(void)
{
    for (uint32_t capacity = kit_is_refused(KIT_RENDEZVOUS) ? 1 : 0; capacity < 3; capacity++) {
        struct puppet a = puppet_start("a");
        struct puppet b = puppet_start("b");
        struct puppet s[] = { puppet_start("s0"), puppet_start("s1"), puppet_start("s2") };
        makes(&a, capacity);
        tong_mailbox *box = open_to_send();
        send_numbers(box, 1, capacity);
        for (uint64_t i = 0; i < 3; i++) {
            kit_gives(opens(&s[i], TONG_SEND), 0);
            PUPPET_TELL(&s[i], .verb = PUPPET_SEND, .value = 10 + i, .timeout_ns = KIT_PATIENCE);
            kit_until_blocked(BOX, i + 1);
        }
        kit_ok(tong_give(box, "b"));
        kit_gives(closes(&a), 0);
        kit_until_blocked(BOX, 3);
        kit_gives(opens(&b, TONG_RECEIVE), 0);
        for (uint64_t i = 1; i <= capacity; i++) {
            gets(&b, KIT_PATIENCE, i);
        }
        /* Which of them comes first at a rendezvous is not said. */
        if (capacity < 2) {
            kit_true(receives(&b, KIT_PATIENCE) >= 10);
        }
        /* Not blocked is also one that is awake and about to send. */
        kit_until(kit_stat(BOX).senders_blocked == (capacity == 0 ? 2 : 1) &&
                  (capacity == 0 || kit_stat(BOX).sent == capacity + 2));
        puppet_kill(&b);
        int sent = 0;
        for (uint64_t i = 0; i < 3; i++) {
            const int64_t answer = puppet_answer(&s[i]);
            kit_true(answer == 0 || answer == -EOWNERDEAD);
            sent += answer == 0;
        }
        kit_equal(sent, capacity == 0 ? 1 : 2);
        expect_ended(box);
        end_all(s, 3);
        puppet_end(&a);
    }
}

static void a_full_mailbox_is_emptied_by_its_new_owner(void)
{
    const tong_options options = kit_capacity(4);
    tong_mailbox *box = kit_create(BOX, &options);
    struct puppet b = puppet_start("b");
    struct puppet s = puppet_start("s");
    send_numbers(box, 1, 4);
    kit_gives(opens(&s, TONG_SEND), 0);
    PUPPET_TELL(&s, .verb = PUPPET_SEND, .value = 5, .timeout_ns = KIT_PATIENCE);
    kit_until_blocked(BOX, 1);
    kit_ok(tong_give(box, "b"));
    kit_gives(kit_send_u64(box, 6, 0), -EAGAIN);
    kit_gives(opens(&b, TONG_RECEIVE), 0);
    for (uint64_t i = 1; i <= 5; i++) {
        gets(&b, KIT_PATIENCE, i);
    }
    kit_gives(puppet_answer(&s), 0);
    puppet_end(&s);
    puppet_end(&b);
    expect_ended(box);
}

static void a_rendezvous_is_given_as_any_mailbox(void)
{
    kit_needs(KIT_RENDEZVOUS);
    const tong_options options = kit_capacity(0);
    tong_mailbox *box = kit_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    struct puppet b = puppet_start("b");
    struct puppet o = puppet_start("o");
    kit_gives(opens(&o, TONG_RECEIVE), 0);
    begins(&o, PUPPET_RECEIVE);
    kit_until_asleep(BOX, 1);
    kit_ok(tong_give(box, "b"));
    kit_gives(puppet_answer(&o), -EPERM);
    kit_gives(kit_send_u64(box, 1, 0), -EAGAIN);
    kit_gives(kit_send_u64(box, 2, TONG_MS(1)), -ETIMEDOUT);
    kit_gives(opens(&b, TONG_RECEIVE), 0);
    begins(&b, PUPPET_RECEIVE);
    kit_ok(kit_send_u64(box, 3, KIT_PATIENCE));
    kit_gives(puppet_answer(&b), 3);
    puppet_end(&o);
    puppet_end(&b);
    expect_ended(box);
}

static void a_stopped_receiver_is_not_waited_for(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    struct puppet a = puppet_start("a");
    struct puppet o = puppet_start("o");
    kit_gives(opens(&o, TONG_RECEIVE), 0);
    begins(&o, PUPPET_RECEIVE);
    kit_until_asleep(BOX, 1); /* it stands first in the queue */
    kit_ok(kill(o.child.pid, SIGSTOP));
    kit_ok(waitid(P_PID, (id_t)o.child.pid, &(siginfo_t){ 0 }, WSTOPPED | WNOWAIT));
    kit_ok(tong_give(box, "a"));
    kit_gives(opens(&a, TONG_RECEIVE), 0);
    for (uint64_t i = 1; i <= 5; i++) {
        kit_ok(kit_send_u64(box, i, 0));
        gets(&a, i % 2 ? KIT_PATIENCE : 0, i);
    }
    begins(&a, PUPPET_RECEIVE);
    kit_until(puppet_waits(&a));
    kit_ok(kit_send_u64(box, 6, 0));
    kit_gives(puppet_answer(&a), 6);
    kit_ok(kill(o.child.pid, SIGCONT));
    kit_gives(puppet_answer(&o), -EPERM);
    puppet_end(&o);
    puppet_end(&a);
    expect_ended(box);
}

static void one_given_mailbox_of_several_is_told_of(void)
{
    tong_mailbox *boxes[] = { kit_create(kit_name("left"), NULL), kit_create(BOX, NULL),
                              kit_create(kit_name("right"), NULL) };
    struct puppet a = puppet_start("a");
    uint64_t value = 0;
    kit_gives(tong_wait_any(boxes, 3, 0), -EAGAIN);
    kit_ok(tong_give(boxes[1], "a"));
    kit_gives(tong_wait_any(boxes, 3, TONG_FOREVER), 1);
    kit_gives(tong_receive(boxes[1], &value, sizeof(value), TONG_FOREVER), -EPERM);
    kit_ok(kit_send_u64(boxes[0], 5, 0));
    kit_gives(tong_wait_any((tong_mailbox *[]){ boxes[0], boxes[2] }, 2, TONG_FOREVER), 0);
    kit_equal(kit_receive_u64(boxes[0]), 5);
    puppet_end(&a);
    kit_end(boxes[0], kit_name("left"));
    kit_end(boxes[2], kit_name("right"));
    kit_ok(tong_close(boxes[1]));
}

enum {
    MANY = 150
};

struct many {
    _Atomic uint32_t refused;
    kit_event given;
};

/* Waits as a receiver until it may not, then as a sender until its owner dies. */
static int wait_twice(void *arg)
{
    uint64_t value = 0;
    struct many *many = arg;
    tong_mailbox *box = kit_open(BOX, BOTH, NULL);
    kit_gives(tong_receive(box, &value, sizeof(value), KIT_PATIENCE), -EPERM);
    atomic_fetch_add(&many->refused, 1);
    kit_event_wait(&many->given);
    kit_gives(kit_send_u64(box, 1, KIT_PATIENCE), -EOWNERDEAD);
    return tong_close(box);
}

static void more_than_can_be_watched_are_all_told(void)
{
    struct many *many = kit_shared(sizeof(*many));
    const tong_options options = kit_capacity(1);
    struct kit_child children[MANY];
    struct puppet a = puppet_start("a");
    tong_mailbox *box = kit_open(BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    for (size_t i = 0; i < MANY; i++) {
        children[i] = kit_spawn(wait_twice, many);
    }
    kit_until_asleep(BOX, MANY);
    kit_ok(tong_give(box, "a"));
    kit_until(atomic_load(&many->refused) == MANY);
    kit_gives(opens(&a, TONG_RECEIVE), 0);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_event_set(&many->given);
    kit_until_blocked(BOX, MANY);
    puppet_kill(&a);
    for (size_t i = 0; i < MANY; i++) {
        kit_join(&children[i]);
    }
    expect_ended(box);
}

/* ------------------------------------------------------------------ errors */

static int give_in_child(void *arg)
{
    kit_gives(tong_give(arg, NULL), -ECHILD);
    return 0;
}

static void what_cannot_be_is_refused_and_changes_nothing(void)
{
    char name[TONG_NAME_MAX + 1];
    memset(name, 'n', sizeof(name));
    name[TONG_NAME_MAX] = '\0';
    tong_mailbox *system = kit_create(kit_name("system"), NULL);
    tong_mailbox *box = kit_create(BOX, NULL);
    struct puppet a = puppet_start("a");
    struct puppet dead = puppet_start("dead");
    for (int owned = 0; owned < 2; owned++) {
        kit_gives(tong_give(box, "nobody"), -ENOENT);
        kit_gives(tong_give(box, "system"), -EINVAL);
        kit_gives(tong_give(box, ""), -EINVAL);
        kit_gives(tong_give(box, ".a"), -EINVAL);
        kit_gives(tong_give(box, "a/b"), -EINVAL);
        kit_gives(tong_give(box, name), -ENAMETOOLONG);
        kit_gives(tong_give(NULL, "a"), -EINVAL);
        struct kit_child child = kit_spawn(give_in_child, box);
        kit_join(&child);
        expect_owner(owned ? &a : NULL);
        if (!owned) {
            kit_gives(tong_give(box, "box"), -EINVAL);
            puppet_kill(&dead);
            kit_ok(tong_give(box, "a"));
        }
        kit_gives(tong_give(box, "dead"), -ENOENT);
    }
    kit_ok(tong_remove(BOX));
    kit_gives(tong_give(box, "a"), -EIDRM);
    kit_gives(tong_give(box, NULL), -EIDRM);
    kit_ok(tong_close(box));
    kit_end(system, kit_name("system"));
    puppet_end(&a);
}

static void a_given_mailbox_is_not_what_was_made(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    tong_mailbox *other = NULL;
    tong_options options = kit_options();
    struct puppet a = puppet_start("a");
    kit_ok(tong_give(box, "a"));
    kit_gives(tong_open(BOX, TONG_SEND | TONG_CREATE, &options, &other), -EEXIST);
    options.owner = TONG_PROCESS;
    kit_ok(tong_open(BOX, TONG_SEND | TONG_CREATE, &options, &other));
    kit_ok(tong_close(other));
    puppet_end(&a);
    expect_ended(box);
}

struct two_users {
    const char *folder;
    kit_event made;
    kit_event over;
};

static int bob_has_a_process(void *arg)
{
    struct two_users *two = arg;
    tong_options options = kit_options();
    options.owner = TONG_PROCESS;
    options.mode = 0660;
    kit_become(KIT_BOB, 65530);
    kit_ok(setenv("TONG_DIR", two->folder, 1));
    tong_mailbox *own = kit_open("bob", TONG_RECEIVE | TONG_CREATE, &options);
    kit_event_wait(&two->made);
    tong_mailbox *box = kit_open("box", TONG_SEND, NULL);
    kit_gives(tong_give(box, "bob"), -EPERM);
    kit_gives(tong_give(box, NULL), -EPERM);
    kit_event_set(&two->over);
    kit_ok(tong_close(box));
    kit_equal(kit_receive_u64(own), 1);
    return tong_close(own);
}

static int ann_gives(void *arg)
{
    struct two_users *two = arg;
    tong_options options = kit_options();
    options.mode = 0660;
    kit_become(KIT_ANN, 65530);
    kit_ok(setenv("TONG_DIR", two->folder, 1));
    tong_mailbox *box = kit_create("box", &options);
    kit_event_set(&two->made);
    kit_event_wait(&two->over);
    kit_gives(tong_give(box, "bob"), -EPERM);
    kit_equal(kit_stat("box").owner, TONG_SYSTEM);
    tong_mailbox *bob = kit_open("bob", TONG_SEND, NULL);
    kit_ok(kit_send_u64(bob, 1, KIT_PATIENCE));
    kit_ok(tong_close(bob));
    kit_end(box, "box");
    return 0;
}

static void users_do_not_give_to_each_other(void)
{
    kit_needs_root();
    struct two_users *two = kit_shared(sizeof(*two));
    const char *folder = kit_make_folder(0, 65530, 03770);
    two->folder = folder;
    struct kit_child bob = kit_spawn(bob_has_a_process, two);
    struct kit_child ann = kit_spawn(ann_gives, two);
    kit_join(&ann);
    kit_join(&bob);
    kit_remove_folder(folder);
}

static const struct kit_test tests[] = {
    KIT_TEST(only_the_new_owner_receives),
    KIT_TEST(what_waits_goes_to_the_new_owner_in_order),
    KIT_TEST(claims_are_their_holders_until_given_back),
    KIT_TEST(an_exclusive_mailbox_lets_its_new_owner_in),
    KIT_TEST(the_old_owner_ends_nothing),
    KIT_TEST(the_new_owners_first_receiving_handle_ends_it),
    KIT_TEST(given_to_its_owner_nothing_changes),
    KIT_TEST(an_owner_gets_it_back),
    KIT_TEST(a_new_owner_that_dies_ends_it_opened_or_not),
    KIT_TEST(a_system_mailbox_stays_until_it_is_removed),
    KIT_TEST(blocked_senders_notice_nothing_and_then_the_new_owners_death),
    KIT_TEST(a_full_mailbox_is_emptied_by_its_new_owner),
    KIT_TEST(a_rendezvous_is_given_as_any_mailbox),
    KIT_TEST(a_stopped_receiver_is_not_waited_for),
    KIT_TEST(one_given_mailbox_of_several_is_told_of),
    KIT_TEST(more_than_can_be_watched_are_all_told),
    KIT_TEST(what_cannot_be_is_refused_and_changes_nothing),
    KIT_TEST(a_given_mailbox_is_not_what_was_made),
    KIT_TEST(users_do_not_give_to_each_other),
};

KIT_MAIN(tests)
