/* Records that another user makes, and locks that it holds. */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "distrust.h"

static void *stay(void *arg)
{
    pause();
    return arg;
}

/* Dies with a claim in its hands. cut: as a process with threads, whose record's lock is asked, too. */
static int ann_dies_with_a_claim(void *arg)
{
    struct stage *s = arg;
    become(s, KIT_ANN);
    tong_mailbox *box = kit_open(s->box, TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    if (atomic_load(&s->cut)) {
        pthread_t thread;
        kit_ok(pthread_create(&thread, NULL, stay, NULL));
    }
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_event_set(&s->held);
    kit_await_death();
}

static int ann_makes_and_sends(void *arg)
{
    struct stage *s = arg;
    become(s, KIT_ANN);
    tong_mailbox *box = kit_open(s->box, TONG_SEND | TONG_CREATE, &s->options);
    kit_ok(tong_send(box, "work", 4, 0));
    kit_ok(tong_close(box));
    return 0;
}

/* Any visit of hers clears the records of her dead away. */
static int ann_visits(void *arg)
{
    struct stage *s = arg;
    become(s, KIT_ANN);
    kit_ok(tong_close(kit_open("another", TONG_SEND | TONG_CREATE, NULL)));
    kit_ok(tong_remove("another"));
    return 0;
}

static int ann_gets_the_claim_back(void *arg)
{
    struct stage *s = arg;
    become(s, KIT_ANN);
    tong_mailbox *box = kit_open(s->box, TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_true(message.len == 4 && message.deliveries == 2);
    kit_ok(tong_done(box, &message));
    kit_ok(tong_close(box));
    kit_ok(tong_remove(s->box));
    return 0;
}

static char stolen[64]; /* name of a record */

static void lock_file(const char *path, int flags, short type, int how)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET };
    const int fd = open(path, flags | O_CLOEXEC);
    kit_true(fd >= 0);
    kit_ok(fcntl(fd, how, &lock));
}

/* A record under the number of somebody dead: alive, to judge by its word and its lock. */
static int bob_forges(void *arg)
{
    struct stage *s = arg;
    become(s, KIT_BOB);
    char own[64];
    char page[4096];
    tong_mailbox *box = kit_open(s->box, TONG_SEND, NULL);
    kit_equal(find_records(s, KIT_BOB, own), 1);
    int fd = open(path_of(s, ".life", own), O_RDONLY | O_CLOEXEC);
    kit_true(fd >= 0 && read(fd, page, sizeof(page)) == sizeof(page));
    close(fd);
    const uint64_t number = strtoull(stolen, NULL, 16);
    memcpy(page + 8, &number, sizeof(number));
    fd = open(path_of(s, ".life", stolen), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    kit_true(fd >= 0 && write(fd, page, sizeof(page)) == sizeof(page));
    close(fd);
    lock_file(path_of(s, ".life", stolen), O_RDWR, F_WRLCK, F_OFD_SETLK);
    kit_event_set(&s->ready);
    kit_true(box != NULL);
    kit_await_death();
}

static int bob_locks(void *arg)
{
    struct stage *s = arg;
    become(s, KIT_BOB);
    /* At the moment of its death. */
    lock_file(path_of(s, ".life", stolen), O_RDONLY, F_RDLCK, F_OFD_SETLKW);
    kit_event_set(&s->ready);
    kit_await_death();
}

static struct stage *claim_by_somebody(bool threads, struct kit_child *ret_holder)
{
    struct stage *s = set_up();
    struct kit_child maker = kit_spawn(ann_makes_and_sends, s);
    kit_join(&maker);
    atomic_store(&s->cut, threads ? 1 : 0);
    *ret_holder = kit_spawn(ann_dies_with_a_claim, s);
    kit_event_wait(&s->held);
    kit_equal(find_records(s, KIT_ANN, stolen), 1);
    return s;
}

static void a_record_made_by_another_user_gives_nobody_life(void)
{
    struct kit_child holder;
    struct stage *s = claim_by_somebody(false, &holder);
    kit_kill(&holder);
    struct kit_child visitor = kit_spawn(ann_visits, s);
    kit_join(&visitor);
    struct kit_child bob = kit_spawn(bob_forges, s);
    kit_event_wait(&s->ready);
    struct kit_child next = kit_spawn(ann_gets_the_claim_back, s);
    kit_join(&next);
    kit_kill(&bob);
    kit_remove_folder(s->folder);
}

static void a_readers_lock_on_a_record_gives_nobody_life(void)
{
    struct kit_child holder;
    struct stage *s = claim_by_somebody(true, &holder);
    struct kit_child bob = kit_spawn(bob_locks, s);
    kit_until(kit_sleeps(bob.pid));
    kit_kill(&holder);
    kit_event_wait(&s->ready);
    struct kit_child next = kit_spawn(ann_gets_the_claim_back, s);
    kit_join(&next);
    kit_kill(&bob);
    kit_remove_folder(s->folder);
}

static int bob_holds_locks(void *arg)
{
    struct stage *s = arg;
    become(s, KIT_BOB);
    lock_file(path_of(s, "", ".lock"), O_RDWR, F_WRLCK, F_OFD_SETLK);
    lock_file(path_of(s, s->box, "link.0"), O_RDONLY, F_RDLCK, F_OFD_SETLK);
    kit_event_set(&s->ready);
    kit_await_death();
}

static int ann_is_kept_waiting(void *arg)
{
    struct stage *s = arg;
    become(s, KIT_ANN);
    kit_ok(tong_close(kit_open("another", TONG_SEND | TONG_CREATE, NULL)));
    kit_ok(tong_remove("another")); /* makes .lock */
    tong_mailbox *box = kit_open(s->box, TONG_SEND | TONG_CREATE, &s->options);
    kit_ok(tong_send(box, "1", 1, 0));
    kit_event_set(&s->made);
    kit_event_wait(&s->ready);
    kit_ok(tong_close(box));
    kit_gives(tong_remove(s->box), -EBUSY);
    kit_event_set(&s->over);
    kit_event_wait(&s->cut);
    kit_ok(tong_remove(s->box));
    return 0;
}

static void a_lock_that_is_held_for_ever_is_an_error_in_the_end(void)
{
    struct stage *s = set_up();
    struct kit_child ann = kit_spawn(ann_is_kept_waiting, s);
    kit_event_wait(&s->made);
    struct kit_child bob = kit_spawn(bob_holds_locks, s);
    kit_event_wait(&s->over);
    kit_kill(&bob);
    kit_event_set(&s->cut);
    kit_join(&ann);
    kit_remove_folder(s->folder);
}

static const struct kit_test tests[] = {
    KIT_TEST(a_record_made_by_another_user_gives_nobody_life),
    KIT_TEST(a_readers_lock_on_a_record_gives_nobody_life),
    KIT_TEST(a_lock_that_is_held_for_ever_is_an_error_in_the_end),
};

KIT_MAIN(tests)
