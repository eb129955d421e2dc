/* Looking at who uses a mailbox. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"

struct found {
    tong_party all[16];
    size_t n;
    size_t stop_at;
};

static int note(const tong_party *party, void *arg)
{
    struct found *found = arg;
    kit_equal(party->struct_size, sizeof(*party));
    kit_true(found->n < 16);
    found->all[found->n++] = *party;
    return found->n == found->stop_at ? 42 : 0;
}

static struct found look(const char *name)
{
    struct found found = { .n = 0 };
    kit_ok(tong_parties(name, note, &found));
    return found;
}

static void receivers_come_first_then_links_by_their_numbers(void)
{
    const char *name = kit_name("box");
    tong_mailbox *box = kit_create(name, NULL);
    tong_mailbox *a = kit_open(name, TONG_SEND, NULL);
    tong_mailbox *b = kit_open(name, TONG_SEND | TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_equal(look(name).n, 2);
    for (uint64_t i = 0; i < 3; i++) {
        kit_ok(kit_send_u64(a, i, 0));
    }
    kit_ok(tong_claim(box, 0, &message));
    kit_equal(kit_receive_u64(box), 1);
    for (uint64_t i = 0; i < 5; i++) {
        kit_ok(kit_send_u64(b, i, 0));
    }
    const struct found found = look(name);
    kit_equal(found.n, 4);
    for (size_t i = 0; i < 4; i++) {
        const tong_party *p = &found.all[i];
        kit_equal(p->role, i < 2 ? TONG_RECEIVE : TONG_SEND);
        kit_equal(p->number, i % 2);
        kit_equal(p->pid, getpid());
        kit_equal(p->uid, geteuid());
        kit_equal(p->alive, 1);
        kit_equal(p->asleep, 0);
        kit_true(p->process != 0 && p->process == found.all[0].process);
    }
    kit_equal(found.all[0].claimed, 1);
    kit_equal(found.all[1].claimed, 0);
    kit_equal(found.all[2].sent, 3);
    kit_equal(found.all[2].waiting, 1);
    kit_equal(found.all[2].done, 1);
    kit_equal(found.all[3].sent, 5);
    kit_equal(found.all[3].waiting, 5);
    kit_equal(found.all[3].done, 0);
    kit_ok(tong_done(box, &message));
    kit_equal(look(name).all[2].done, 2);
    kit_equal(look(name).all[0].claimed, 0);
    kit_ok(tong_close(a));
    kit_ok(tong_close(b));
    kit_end(box, name);
}

static void what_was_dropped_stands_at_its_link(void)
{
    const char *name = kit_name("box");
    tong_options options = kit_capacity(2);
    options.full = TONG_DROP_NEWEST;
    tong_mailbox *box = kit_create(name, &options);
    for (uint64_t i = 0; i < 5; i++) {
        kit_gives(kit_send_u64(box, i, 0), i < 2 ? 0 : TONG_DROPPED);
    }
    const struct found found = look(name);
    kit_equal(found.n, 2);
    kit_equal(found.all[1].dropped, 3);
    kit_equal(found.all[1].sent, 2);
    kit_end(box, name);
}

static void a_process_has_one_number_in_all_mailboxes(void)
{
    tong_mailbox *a = kit_create(kit_name("a"), NULL);
    tong_mailbox *b = kit_create(kit_name("b"), NULL);
    kit_ok(kit_send_u64(b, 1, 0));
    const struct found in_a = look(kit_name("a"));
    const struct found in_b = look(kit_name("b"));
    kit_equal(in_a.n, 1);
    kit_equal(in_b.n, 2);
    kit_equal(in_a.all[0].process, in_b.all[0].process);
    kit_equal(in_a.all[0].process, in_b.all[1].process);
    kit_end(a, kit_name("a"));
    kit_end(b, kit_name("b"));
}

static int receive_7(void *arg)
{
    tong_mailbox *box = kit_open(arg, TONG_RECEIVE, NULL);
    kit_equal(kit_receive_u64(box), 7);
    return tong_close(box);
}

static int send_7(void *arg)
{
    tong_mailbox *box = kit_open(arg, TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 7, KIT_PATIENCE));
    return tong_close(box);
}

/* A child is asleep: it alone, with its pid and a number of its own. */
static void expect_asleep(const char *name, const struct kit_child *child, uint32_t role)
{
    const struct found found = look(name);
    size_t n = 0;
    for (size_t i = 0; i < found.n; i++) {
        const tong_party *p = &found.all[i];
        const bool is_child = p->pid == child->pid;
        n += is_child;
        kit_equal(p->asleep, is_child);
        kit_true(!is_child || (p->role == role && p->alive && p->process != found.all[0].process));
    }
    kit_equal(n, 1);
}

static void who_is_asleep_is_told(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    char name[TONG_NAME_MAX];
    strcpy(name, kit_name("box"));
    const tong_options options = kit_capacity(1);
    tong_mailbox *box = kit_create(name, &options);
    struct kit_child child = kit_spawn(receive_7, name);
    kit_until_asleep(name, 1);
    expect_asleep(name, &child, TONG_RECEIVE);
    kit_ok(kit_send_u64(box, 7, 0));
    kit_join(&child);
    kit_ok(kit_send_u64(box, 1, 0));
    child = kit_spawn(send_7, name);
    kit_until_blocked(name, 1);
    expect_asleep(name, &child, TONG_SEND);
    kit_equal(kit_receive_u64(box), 1);
    kit_join(&child);
    kit_equal(kit_receive_u64(box), 7);
    kit_end(box, name);
}

static void an_open_offer_waits_in_its_link(void)
{
    char name[TONG_NAME_MAX];
    strcpy(name, kit_name("box"));
    const tong_options options = kit_capacity(0);
    tong_mailbox *box = kit_create(name, &options);
    struct kit_child child = kit_spawn(send_7, name);
    kit_until_blocked(name, 1);
    expect_asleep(name, &child, TONG_SEND);
    struct found found = look(name);
    kit_equal(found.n, 2);
    kit_equal(found.all[1].waiting, 1);
    kit_equal(found.all[1].sent - found.all[1].done, 1);
    kit_equal(kit_receive_u64(box), 7);
    kit_join(&child);
    found = look(name);
    kit_equal(found.all[1].waiting, 0);
    kit_equal(found.all[1].sent - found.all[1].done, 0);
    kit_end(box, name);
}

static void a_closed_link_with_messages_is_nobodys(void)
{
    const char *name = kit_name("box");
    tong_mailbox *box = kit_create(name, NULL);
    tong_mailbox *sender = kit_open(name, TONG_SEND, NULL);
    kit_ok(kit_send_u64(sender, 1, 0));
    kit_ok(tong_close(sender));
    struct found found = look(name);
    kit_equal(found.n, 2);
    kit_equal(found.all[1].process, 0);
    kit_equal(found.all[1].alive, 0);
    kit_equal(found.all[1].waiting, 1);
    /* The next sender has it, and its numbers go on. */
    sender = kit_open(name, TONG_SEND, NULL);
    kit_ok(kit_send_u64(sender, 2, 0));
    found = look(name);
    kit_equal(found.n, 2);
    kit_equal(found.all[1].process, found.all[0].process);
    kit_equal(found.all[1].sent, 2);
    kit_ok(tong_close(sender));
    kit_end(box, name);
}

static int claim_send_and_wait(void *arg)
{
    tong_mailbox *box = kit_open(arg, TONG_SEND | TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, 0, &message));
    kit_ok(kit_send_u64(box, 2, 0));
    kit_report("r", 1);
    kit_await_death();
}

static void the_dead_are_told_as_dead(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    char name[TONG_NAME_MAX];
    strcpy(name, kit_name("box"));
    tong_mailbox *box = kit_open(name, TONG_SEND | TONG_CREATE, NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    struct kit_child child = kit_spawn(claim_send_and_wait, name);
    char ready;
    kit_read_report(&child, &ready, 1);
    const pid_t pid = child.pid;
    kit_equal(look(name).all[0].alive, 1);
    kit_kill(&child);
    const struct found found = look(name);
    kit_equal(found.n, 3);
    kit_equal(found.all[0].role, TONG_RECEIVE);
    kit_equal(found.all[0].pid, pid);
    kit_equal(found.all[0].alive, 0);
    kit_equal(found.all[0].asleep, 0);
    kit_equal(found.all[0].claimed, 1); /* until somebody repairs */
    kit_equal(found.all[1].alive, 1);
    kit_equal(found.all[2].pid, pid);
    kit_equal(found.all[2].alive, 0);
    kit_true(found.all[2].process != 0 && found.all[2].process == found.all[0].process);
    kit_ok(tong_close(box));
    kit_ok(tong_remove(name));
}

static void what_each_returns_ends_it(void)
{
    const char *name = kit_name("box");
    tong_mailbox *box = kit_create(name, NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    struct found found = { .stop_at = 1 };
    kit_gives(tong_parties(name, note, &found), 42);
    kit_equal(found.n, 1);
    kit_end(box, name);
}

static void mistakes_are_told(void)
{
    struct found found = { .n = 0 };
    char longer[200];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    kit_gives(tong_parties(kit_name("nothing"), note, &found), -ENOENT);
    kit_gives(tong_parties(kit_name("a/b"), note, &found), -EINVAL);
    kit_gives(tong_parties(kit_name("nothing"), NULL, NULL), -EINVAL);
    kit_gives(tong_parties(NULL, note, &found), -EINVAL);
    const int r = tong_parties("pigeon:x", note, &found);
    kit_true(r == -EOPNOTSUPP || r == -EINVAL);
    kit_gives(tong_parties(longer, note, &found), -ENAMETOOLONG);
    kit_equal(found.n, 0);
}

/* What stands in the place of a mailbox, and a folder that is not safe. */
static void what_is_no_mailbox_is_told(void)
{
    struct found found = { .n = 0 };
    char path[4096];
    snprintf(path, sizeof(path), "%s/box", getenv("TONG_DIR"));
    kit_ok(mkdir(path, 0700));
    snprintf(path, sizeof(path), "%s/box/box", getenv("TONG_DIR"));
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    kit_true(fd >= 0 && write(fd, "foreign", 7) == 7 && close(fd) == 0);
    kit_gives(tong_parties("box", note, &found), -EPROTO);
    kit_ok(chmod(getenv("TONG_DIR"), 0777));
    kit_gives(tong_parties("box", note, &found), -EACCES);
    kit_ok(chmod(getenv("TONG_DIR"), 0700));
    kit_equal(found.n, 0);
    kit_ok(unlink(path));
    snprintf(path, sizeof(path), "%s/box", getenv("TONG_DIR"));
    kit_ok(rmdir(path));
}

static const struct kit_test tests[] = {
    KIT_TEST(receivers_come_first_then_links_by_their_numbers),
    KIT_TEST(what_was_dropped_stands_at_its_link),
    KIT_TEST(a_process_has_one_number_in_all_mailboxes),
    KIT_TEST(who_is_asleep_is_told),
    KIT_TEST(an_open_offer_waits_in_its_link),
    KIT_TEST(a_closed_link_with_messages_is_nobodys),
    KIT_TEST(the_dead_are_told_as_dead),
    KIT_TEST(what_each_returns_ends_it),
    KIT_TEST(mistakes_are_told),
    KIT_TEST(what_is_no_mailbox_is_told),
};

KIT_MAIN(tests)
