/*
 * A member of the group who cuts files.
 *
 * Ann, Bob and Cat share a folder. Bob cuts what is his, and what he may write, at any moment: his
 * links, his bells, his life records, the box of his mailbox, the room. The others get an error or
 * the message, never a signal; honest messages all arrive. What Bob's own processes come to is his
 * affair: they are started anew.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "distrust.h"

/* What a call may answer while somebody cuts files; never a signal. */
static ssize_t allowed(struct stage *s, ssize_t r)
{
    static const int errors[] = { EPROTO,  EAGAIN, ETIMEDOUT, EIDRM,    ENOENT, ENOMEM,
                                  ENOBUFS, EACCES, EBUSY,     EMSGSIZE, ENOSPC, EUSERS };
    if (r >= 0) {
        return r;
    }
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (r == -errors[i]) {
            atomic_fetch_add(&s->errors, 1);
            return r;
        }
    }
    kit_fail("%s", tong_strerror((int)r));
}

/* ------------------------------------------------------------------ Bob */

enum {
    MOST = 2 << 20
};

/* Cut a file that may be written, to some size, and bring back what was there; not always. */
static void cut_file(struct stage *s, int fd, off_t size, struct kit_random *random)
{
    static const off_t sizes[] = { 0, 4, 64, 200, 4096, 8192, 17 * 4096, 18 * 4096 };
    static char bytes[MOST];
    const ssize_t n = pread(fd, bytes, sizeof(bytes), 0);
    const off_t some = sizes[kit_random_below(random, 8)];
    if (kit_random_below(random, 4) == 0) {
        (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size);
    } else {
        kit_ok(ftruncate(fd, some < size ? some : size / 2));
    }
    atomic_fetch_add(&s->cuts, 1);
    for (uint64_t i = kit_random_below(random, 20000); i != 0; i--) {
        (void)atomic_load(&s->over);
    }
    if (kit_random_below(random, 16) != 0) {
        (void)ftruncate(fd, size);
        (void)pwrite(fd, bytes, (size_t)n, 0);
    }
}

static void cut_once(struct stage *s, const char *folder, const char *name,
                     struct kit_random *random)
{
    struct stat st;
    const int fd = open(path_of(s, folder, name), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        cut_file(s, fd, st.st_size, random);
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void cut_in(struct stage *s, const char *folder, struct kit_random *random)
{
    DIR *dir = opendir(path_of(s, folder, ""));
    if (dir == NULL) {
        return;
    }
    for (struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        if (kit_random_below(random, 2) == 0) {
            cut_once(s, folder, d->d_name, random);
        }
    }
    closedir(dir);
}

static int bob_cuts(void *arg)
{
    struct stage *s = arg;
    become(s, KIT_BOB);
    struct kit_random random = kit_random_stream(1);
    kit_event_wait(&s->made);
    while (!atomic_load(&s->over)) {
        cut_in(s, s->box, &random);
        cut_in(s, ".life", &random);
        for (uint64_t i = kit_random_below(&random, 1000000); i != 0; i--) {
            (void)atomic_load(&s->over);
        }
    }
    return 0;
}

/* One life of a process of his that uses the library: cut under its feet, it may die. */
static void bob_lives(struct stage *s, unsigned flags)
{
    char bytes[20000] = { 0 };
    tong_mailbox *box = NULL;
    if (tong_open(s->box, flags, NULL, &box) < 0) {
        return;
    }
    for (int i = 0; i < 200 && !atomic_load(&s->over); i++) {
        if ((flags & TONG_SEND) != 0) {
            const size_t len = i % 16 == 0 ? sizeof(bytes) : (size_t)i;
            atomic_fetch_add(&s->sent, tong_send(box, bytes, len, TONG_MS(1)) == 0);
        } else {
            (void)tong_receive(box, bytes, sizeof(bytes), TONG_MS(1));
        }
    }
    (void)tong_close(box);
}

static int bob_lives_on(struct stage *s, unsigned flags)
{
    become(s, KIT_BOB);
    kit_event_wait(&s->made);
    while (!atomic_load(&s->over)) {
        const pid_t pid = fork();
        kit_true(pid >= 0);
        if (pid == 0) {
            signal(SIGBUS, SIG_DFL);
            alarm(2);
            bob_lives(s, flags);
            _exit(0);
        }
        kit_true(waitpid(pid, NULL, 0) == pid);
    }
    return 0;
}

static int bob_sends(void *arg)
{
    return bob_lives_on(arg, TONG_SEND);
}

static int bob_receives(void *arg)
{
    return bob_lives_on(arg, TONG_RECEIVE);
}

/* ------------------------------------------------------------------ Cat is honest */

static int cat_sends(void *arg)
{
    struct stage *s = arg;
    become(s, CAT);
    kit_event_wait(&s->made);
    tong_mailbox *box = kit_open(s->box, TONG_SEND, NULL);
    for (uint64_t i = 0; !atomic_load(&s->enough); i++) {
        char bytes[9000] = { 0 };
        const size_t len = i % 50 == 7 ? sizeof(bytes) : KIT_PAYLOAD_MIN + i % 100;
        kit_payload_write(bytes, len, CAT, i);
        kit_ok(tong_send(box, bytes, len, KIT_PATIENCE));
        atomic_store(&s->cats, i + 1);
    }
    kit_event_set(&s->all);
    kit_ok(tong_close(box));
    return 0;
}

/* ------------------------------------------------------------------ Ann receives */

static void note_cats(uint64_t *next, const void *bytes, size_t len)
{
    struct kit_payload head;
    if (len >= KIT_PAYLOAD_MIN && kit_payload_read(bytes, len, &head) && head.sender == CAT) {
        kit_equal(head.counter, *next);
        (*next)++;
    }
}

static void receive_somehow(struct stage *s, tong_mailbox *box, uint64_t way, uint64_t *next)
{
    static char bytes[2][20000];
    tong_message message = TONG_MESSAGE_INIT;
    const struct iovec buffers[2] = { { bytes[0], sizeof(bytes[0]) },
                                      { bytes[1], sizeof(bytes[1]) } };
    size_t lens[2];
    ssize_t r;
    switch (way) {
    case 0:
        r = allowed(s, tong_receive(box, bytes[0], sizeof(bytes[0]), TONG_MS(1)));
        if (r >= 0) {
            note_cats(next, bytes[0], (size_t)r);
        }
        break;
    case 1:
        if (allowed(s, tong_claim(box, TONG_MS(1), &message)) == 0) {
            if (message.len <= sizeof(bytes[0])) { /* else it is one of Bob's */
                memcpy(bytes[0], message.data, message.len);
                note_cats(next, bytes[0], message.len);
            }
            kit_ok(tong_done(box, &message));
        }
        break;
    case 2:
        if (allowed(s, tong_claim(box, 0, &message)) == 0) {
            kit_ok(tong_return(box, &message));
        }
        break;
    case 3:
        r = allowed(s, tong_receive_many(box, buffers, 2, 0, lens));
        for (ssize_t i = 0; i < r; i++) {
            note_cats(next, bytes[i], lens[i]);
        }
        break;
    default:
        (void)allowed(s, tong_wait_any(&box, 1, TONG_MS(1)));
    }
}

static bool is_enough(struct stage *s)
{
    return atomic_load(&s->cuts) >= s->times && atomic_load(&s->sent) >= s->times;
}

static void look(struct stage *s)
{
    tong_status status = TONG_STATUS_INIT;
    (void)allowed(s, tong_stat(s->box, &status));
}

static int ann_receives(void *arg)
{
    struct stage *s = arg;
    become(s, KIT_ANN);
    struct kit_random random = kit_random_stream(2);
    tong_mailbox *box = kit_open(s->box, TONG_RECEIVE | TONG_CREATE, &s->options);
    kit_event_set(&s->made);
    uint64_t next = 0;
    const int64_t end = kit_now_ns() + 2 * KIT_PATIENCE;
    while (!atomic_load(&s->all) || next < atomic_load(&s->cats)) {
        kit_true(kit_now_ns() < end);
        if (is_enough(s)) {
            atomic_store(&s->enough, 1);
        }
        receive_somehow(s, box, kit_random_below(&random, 5), &next);
        if (kit_random_below(&random, 200) == 0) {
            look(s);
            kit_ok(tong_close(box));
            box = NULL;
            kit_until(allowed(s, tong_open(s->box, TONG_RECEIVE, NULL, &box)) == 0);
        }
    }
    atomic_store(&s->over, 1);
    kit_ok(tong_close(box));
    kit_ok(tong_remove(s->box));
    return 0;
}

static void others_receive(struct stage *s)
{
    struct kit_child ann = kit_spawn(ann_receives, s);
    struct kit_child cat = kit_spawn(cat_sends, s);
    struct kit_child bob = kit_spawn(bob_sends, s);
    struct kit_child cutter = kit_spawn(bob_cuts, s);
    kit_join(&ann);
    kit_join(&cat);
    kit_join(&bob);
    kit_join(&cutter);
    printf("%llu cuts, %llu of Bob's messages sent, %llu of Cat's, %llu errors\n",
           (unsigned long long)atomic_load(&s->cuts), (unsigned long long)atomic_load(&s->sent),
           (unsigned long long)atomic_load(&s->cats), (unsigned long long)atomic_load(&s->errors));
    kit_remove_folder(s->folder);
}

static void a_receiver_gets_all_honest_messages_while_a_sender_cuts_its_files(void)
{
    others_receive(set_up());
}

static void a_receiver_at_capacity_0_does_so_too(void)
{
    struct stage *s = set_up();
    s->options.capacity = 0;
    s->times /= 6;
    others_receive(s);
}

/* ------------------------------------------------------------------ Ann sends */

static void send_somehow(struct stage *s, tong_mailbox *box, uint64_t way)
{
    static char bytes[9000];
    const struct iovec two[2] = { { bytes, 10 }, { bytes, sizeof(bytes) } };
    tong_slot slot = TONG_SLOT_INIT;
    tong_death death = TONG_DEATH_INIT;
    switch (way) {
    case 0:
        atomic_fetch_add(&s->sent, allowed(s, tong_send(box, bytes, 64, TONG_MS(2))) == 0);
        break;
    case 1:
        (void)allowed(s, tong_send_many(box, two, 2, TONG_MS(1)));
        break;
    case 2:
        if (allowed(s, tong_reserve(box, 100, TONG_MS(1), &slot)) == 0) {
            (void)allowed(s, tong_commit(box, &slot, 50));
        }
        break;
    case 3:
        (void)allowed(s, tong_watch(box, TONG_MS(1), &death));
        break;
    default:
        (void)allowed(s, tong_send(box, bytes, sizeof(bytes), 0));
    }
}

static int list_it(const tong_status *status, int error, void *arg)
{
    (void)status;
    (void)allowed(arg, error);
    return 0;
}

static int ann_sends(void *arg)
{
    struct stage *s = arg;
    become(s, KIT_ANN);
    struct kit_random random = kit_random_stream(3);
    kit_event_wait(&s->made);
    tong_mailbox *box = NULL;
    const int64_t end = kit_now_ns() + 2 * KIT_PATIENCE;
    while (!is_enough(s)) {
        kit_true(kit_now_ns() < end);
        if (box == NULL && allowed(s, tong_open(s->box, TONG_SEND, NULL, &box)) < 0) {
            continue;
        }
        send_somehow(s, box, kit_random_below(&random, 5));
        if (kit_random_below(&random, 20) == 0) {
            kit_ok(tong_close(box));
            box = NULL;
            look(s);
            (void)allowed(s, tong_list(list_it, s));
            (void)allowed(s, tong_doctor(0, kit_ignore_finding, NULL));
        }
    }
    atomic_store(&s->over, 1);
    kit_ok(tong_close(box));
    return 0;
}

/* A mailbox of Bob's, made anew when it is damaged for good. */
static int bob_makes(void *arg)
{
    struct stage *s = arg;
    become(s, KIT_BOB);
    while (!atomic_load(&s->over)) {
        const pid_t pid = fork();
        kit_true(pid >= 0);
        if (pid == 0) {
            tong_mailbox *box = NULL;
            signal(SIGBUS, SIG_DFL);
            alarm(2);
            (void)tong_remove(s->box);
            (void)tong_open(s->box, TONG_RECEIVE | TONG_CREATE, &s->options, &box);
            _exit(0);
        }
        kit_true(waitpid(pid, NULL, 0) == pid);
        kit_event_set(&s->made);
        const uint64_t cuts = atomic_load(&s->cuts);
        kit_until(atomic_load(&s->cuts) >= cuts + 20 || atomic_load(&s->over));
    }
    return 0;
}

static void others_send(struct stage *s)
{
    struct kit_child maker = kit_spawn(bob_makes, s);
    struct kit_child ann = kit_spawn(ann_sends, s);
    struct kit_child bob = kit_spawn(bob_receives, s);
    struct kit_child cutter = kit_spawn(bob_cuts, s);
    kit_join(&ann);
    kit_join(&bob);
    kit_join(&maker);
    kit_join(&cutter);
    printf("%llu cuts, %llu sent, %llu errors\n", (unsigned long long)atomic_load(&s->cuts),
           (unsigned long long)atomic_load(&s->sent), (unsigned long long)atomic_load(&s->errors));
    kit_remove_folder(s->folder);
}

static void a_sender_and_an_observer_survive_a_mailbox_that_is_cut(void)
{
    struct stage *s = set_up();
    s->options.link_capacity = 4;
    others_send(s);
}

static void a_sender_survives_a_rendezvous_that_is_cut(void)
{
    struct stage *s = set_up();
    s->options.capacity = 0;
    s->times /= 6;
    others_send(s);
}

/* ------------------------------------------------------------------ one cut, at a known moment */

/* The process of the test is root: it cuts for Bob, and what it cuts stays so. */
static void cut_now(struct stage *s, const char *folder, const char *name, off_t size)
{
    struct stat st;
    const char *path = path_of(s, folder, name);
    kit_ok(stat(path, &st));
    kit_ok(truncate(path, size < st.st_size ? size : st.st_size - 1));
}

static int bob_sends_some(void *arg)
{
    struct stage *s = arg;
    static char bytes[100000];
    become(s, KIT_BOB);
    tong_mailbox *box = kit_open(s->box, TONG_SEND, NULL);
    for (int i = 0; i < 4 && s->options.capacity != 0; i++) {
        kit_ok(tong_send(box, bytes, i == 2 ? sizeof(bytes) : 20, KIT_PATIENCE));
    }
    kit_event_set(&s->ready);
    if (s->options.capacity == 0) {
        kit_ok(tong_send(box, bytes, 20, KIT_PATIENCE));
        (void)tong_send(box, bytes, sizeof(bytes), TONG_FOREVER);
    }
    kit_await_death();
}

static int ann_receives_a_cut_one(void *arg)
{
    struct stage *s = arg;
    struct kit_random random = kit_random_stream(s->times);
    static char bytes[100000];
    uint64_t next = 0;
    become(s, KIT_ANN);
    tong_mailbox *box = kit_open(s->box, TONG_RECEIVE | TONG_CREATE, &s->options);
    kit_event_set(&s->made);
    kit_event_wait(&s->ready);
    tong_message held = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &held)); /* all is mapped that is going to be */
    kit_event_set(&s->held);
    kit_event_wait(&s->cut);
    kit_true(held.uid == KIT_BOB && held.len == 20 && memcmp(held.data, bytes, 20) == 0);
    for (uint64_t way = 0; way < 5; way++) {
        receive_somehow(s, box, way, &next);
    }
    (void)allowed(s, tong_receive(box, bytes, sizeof(bytes), 0));
    look(s);
    kit_ok(kit_random_below(&random, 2) == 0 ? tong_done(box, &held) : tong_return(box, &held));
    kit_event_set(&s->over);
    while (next == 0) {
        receive_somehow(s, box, kit_random_below(&random, 5), &next);
    }
    kit_ok(tong_close(box));
    kit_ok(tong_remove(s->box));
    return 0;
}

static int cat_sends_one(void *arg)
{
    struct stage *s = arg;
    char bytes[200];
    become(s, CAT);
    tong_mailbox *box = kit_open(s->box, TONG_SEND, NULL);
    kit_payload_write(bytes, sizeof(bytes), CAT, 0);
    kit_ok(tong_send(box, bytes, sizeof(bytes), KIT_PATIENCE));
    kit_ok(tong_close(box));
    return 0;
}

static const off_t sizes_to_cut_to[] = { 0, 100, 4096, 17 * 4096, INT32_MAX };

static void reset(struct stage *s)
{
    atomic_store(&s->made, 0);
    atomic_store(&s->ready, 0);
    atomic_store(&s->held, 0);
    atomic_store(&s->cut, 0);
    atomic_store(&s->over, 0);
    s->times++;
}

/* He may have died of what he did to himself. */
static void end_bob(struct kit_child *bob)
{
    kit_ok(kill(bob->pid, SIGKILL));
    (void)kit_join_status(bob);
}

static void cut_before_the_receiver(struct stage *s, const char *file)
{
    for (size_t i = 0; i < sizeof(sizes_to_cut_to) / sizeof(sizes_to_cut_to[0]); i++) {
        reset(s);
        struct kit_child ann = kit_spawn(ann_receives_a_cut_one, s);
        kit_event_wait(&s->made);
        struct kit_child bob = kit_spawn(bob_sends_some, s);
        kit_event_wait(&s->held);
        cut_now(s, s->box, file, sizes_to_cut_to[i]);
        kit_event_set(&s->cut);
        kit_event_wait(&s->over);
        struct kit_child cat = kit_spawn(cat_sends_one, s);
        kit_join(&ann);
        kit_join(&cat);
        end_bob(&bob);
    }
}

static void receive_cut_files(uint32_t capacity)
{
    struct stage *s = set_up();
    s->options.capacity = capacity;
    cut_before_the_receiver(s, "link.0");
    cut_before_the_receiver(s, "bell.65532");
    cut_before_the_receiver(s, "room");
    kit_remove_folder(s->folder);
}

static void a_receiver_survives_each_cut_of_each_file(void)
{
    receive_cut_files(TONG_UNBOUNDED);
}

static void a_receiver_survives_each_cut_at_capacity_0(void)
{
    receive_cut_files(0);
}

static int bob_receives_one(void *arg)
{
    struct stage *s = arg;
    char bytes[100];
    become(s, KIT_BOB);
    tong_mailbox *box = kit_open(s->box, TONG_RECEIVE | TONG_CREATE, &s->options);
    kit_event_set(&s->made);
    kit_true(tong_receive(box, bytes, sizeof(bytes), KIT_PATIENCE) >= 0);
    kit_event_set(&s->ready);
    kit_await_death();
}

static int ann_sends_to_a_cut_one(void *arg)
{
    struct stage *s = arg;
    become(s, KIT_ANN);
    kit_event_wait(&s->made);
    tong_mailbox *box = kit_open(s->box, TONG_SEND, NULL);
    kit_ok(tong_send(box, "1", 1, KIT_PATIENCE));
    kit_event_wait(&s->ready);
    (void)allowed(s, tong_send(box, "2", 1, 0));
    kit_event_set(&s->held);
    kit_event_wait(&s->cut);
    for (uint64_t way = 0; way < 10; way++) {
        send_somehow(s, box, way % 5);
    }
    look(s);
    (void)allowed(s, tong_list(list_it, s));
    (void)allowed(s, tong_doctor(0, kit_ignore_finding, NULL));
    kit_ok(tong_close(box));
    return 0;
}

static void cut_before_the_sender(struct stage *s, const char *file)
{
    for (size_t i = 0; i < sizeof(sizes_to_cut_to) / sizeof(sizes_to_cut_to[0]); i++) {
        char record[64];
        reset(s);
        struct kit_child bob = kit_spawn(bob_receives_one, s);
        struct kit_child ann = kit_spawn(ann_sends_to_a_cut_one, s);
        kit_event_wait(&s->held);
        if (file != NULL) {
            cut_now(s, s->box, file, sizes_to_cut_to[i]);
        } else {
            kit_equal(find_records(s, KIT_BOB, record), 1);
            cut_now(s, ".life", record, sizes_to_cut_to[i]);
        }
        kit_event_set(&s->cut);
        kit_join(&ann);
        end_bob(&bob);
        kit_ok(setenv("TONG_DIR", s->folder, 1));
        kit_ok(tong_remove(s->box));
    }
}

static void send_to_cut_files(uint32_t capacity)
{
    struct stage *s = set_up();
    s->options.capacity = capacity;
    s->options.link_capacity = 2;
    cut_before_the_sender(s, "box");
    cut_before_the_sender(s, "bell.65532");
    cut_before_the_sender(s, "room");
    cut_before_the_sender(s, NULL);
    kit_remove_folder(s->folder);
}

static void a_sender_and_an_observer_survive_each_cut_of_each_file(void)
{
    send_to_cut_files(TONG_UNBOUNDED);
}

static void a_sender_survives_each_cut_at_capacity_0(void)
{
    send_to_cut_files(0);
}

static const struct kit_test tests[] = {
    KIT_TEST(a_receiver_gets_all_honest_messages_while_a_sender_cuts_its_files),
    KIT_TEST(a_receiver_at_capacity_0_does_so_too),
    KIT_TEST(a_sender_and_an_observer_survive_a_mailbox_that_is_cut),
    KIT_TEST(a_sender_survives_a_rendezvous_that_is_cut),
    KIT_TEST(a_receiver_survives_each_cut_of_each_file),
    KIT_TEST(a_receiver_survives_each_cut_at_capacity_0),
    KIT_TEST(a_sender_and_an_observer_survive_each_cut_of_each_file),
    KIT_TEST(a_sender_survives_each_cut_at_capacity_0),
};

KIT_MAIN(tests)
