/*
 * loop.c - N messages in one of the states a mailbox can be in, to be counted and not to be timed.
 *
 * `valgrind --tool=callgrind` gives instructions, `strace -c` system calls; scripts/bench-count runs it twice
 * with different N, so that the set-up cancels out.
 *
 *     copying, in-place, many   one process sends to itself and receives: both sides are awake
 *     backlog                   all messages are sent before the first is received
 *     asleep                    two processes on one CPU: who receives sleeps before each message
 *     polled                    as copying; the receiver's tong_fd() is asked before each receive
 *     unpolled                  as copying; there is a tong_fd() and nobody asks it
 *     name                      a process takes a name, sends its first message to another one, and goes
 *     everyone                  as copying, with delivery to everyone
 *     queue, queue-asleep       as copying and asleep, over a queue of the kernel (mq:)
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tong/tong.h>

enum {
    many = 32,
    most_bytes = 1 << 20
};

static void check(const char *what, ssize_t answer)
{
    if (answer < 0) {
        fprintf(stderr, "loop: %s: %s\n", what, tong_strerror((int)answer));
        exit(1);
    }
}

static void copying(tong_mailbox *box, unsigned char *bytes, size_t size)
{
    check("tong_send", tong_send(box, bytes, size, TONG_FOREVER));
    check("tong_receive", tong_receive(box, bytes, size, TONG_FOREVER));
}

static void in_place(tong_mailbox *box, unsigned char *bytes, size_t size)
{
    tong_slot slot = TONG_SLOT_INIT;
    check("tong_reserve", tong_reserve(box, size, TONG_FOREVER, &slot));
    memcpy(slot.data, bytes, size);
    check("tong_commit", tong_commit(box, &slot, size));
    tong_message message = TONG_MESSAGE_INIT;
    check("tong_claim", tong_claim(box, TONG_FOREVER, &message));
    memcpy(bytes, message.data, size);
    check("tong_done", tong_done(box, &message));
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the pieces point into bytes */
static void at_once(tong_mailbox *box, unsigned char *bytes, size_t size)
{
    struct iovec pieces[many];
    size_t lens[many];
    for (size_t i = 0; i < many; i++) {
        pieces[i] = (struct iovec){ bytes + i * size, size };
    }
    for (size_t sent = 0; sent < many;) {
        const ssize_t some = tong_send_many(box, pieces + sent, many - sent, TONG_FOREVER);
        check("tong_send_many", some);
        sent += (size_t)some;
    }
    for (size_t taken = 0; taken < many;) {
        const ssize_t some =
            tong_receive_many(box, pieces + taken, many - taken, TONG_FOREVER, lens + taken);
        check("tong_receive_many", some);
        taken += (size_t)some;
    }
}

static int polled_fd;

static void polled(tong_mailbox *box, unsigned char *bytes, size_t size)
{
    check("tong_send", tong_send(box, bytes, size, TONG_FOREVER));
    struct pollfd one = { .fd = polled_fd, .events = POLLIN };
    if (poll(&one, 1, -1) != 1) {
        perror("loop: poll");
        exit(1);
    }
    check("tong_receive", tong_receive(box, bytes, size, 0));
}

typedef void once_fn(tong_mailbox *box, unsigned char *bytes, size_t size);

static uint32_t link_capacity = 1024;
static uint32_t delivery = TONG_FIRST_COME;
static const char *carrier = "";

static const char *named(const char *name)
{
    static char names[4][32];
    static unsigned next;
    char *const full = names[next++ % 4];
    (void)snprintf(full, sizeof names[0], "%s%s", carrier, name);
    return full;
}

static void create(const char *name, uint32_t capacity, tong_mailbox **ret_box)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.capacity = capacity;
    options.link_capacity = link_capacity;
    options.delivery = delivery;
    check("tong_open", tong_open(named(name), TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_EXCL,
                                 &options, ret_box));
}

static void end(const char *name, tong_mailbox *box)
{
    check("tong_close", tong_close(box));
    check("tong_remove", tong_remove(named(name)));
}

struct job {
    unsigned long n;
    size_t size;
    uint32_t capacity;
    unsigned char *bytes;
};

static void repeat(const struct job *job, once_fn *once, unsigned long messages, bool with_fd)
{
    tong_mailbox *box;
    create("loop", job->capacity, &box);
    if (with_fd) {
        polled_fd = tong_fd(box, TONG_RECEIVE);
        check("tong_fd", polled_fd);
    }
    for (unsigned long done = 0; done < job->n; done += messages) {
        once(box, job->bytes, job->size);
    }
    end("loop", box);
}

static void run_copying(const struct job *job)
{
    repeat(job, copying, 1, false);
}

static void run_everyone(const struct job *job)
{
    delivery = TONG_EVERYONE;
    repeat(job, copying, 1, false);
}

static void run_in_place(const struct job *job)
{
    repeat(job, in_place, 1, false);
}

static void run_many(const struct job *job)
{
    repeat(job, at_once, many, false);
}

static void run_polled(const struct job *job)
{
    repeat(job, polled, 1, true);
}

static void run_unpolled(const struct job *job)
{
    repeat(job, copying, 1, true);
}

static void run_backlog(const struct job *job)
{
    tong_mailbox *box;
    link_capacity = TONG_UNBOUNDED;
    create("loop", job->capacity, &box);
    for (unsigned long i = 0; i < job->n; i++) {
        check("tong_send", tong_send(box, job->bytes, job->size, TONG_FOREVER));
    }
    for (unsigned long i = 0; i < job->n; i++) {
        check("tong_receive", tong_receive(box, job->bytes, job->size, TONG_FOREVER));
    }
    end("loop", box);
}

static void stay_on_this_cpu(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)sched_getcpu(), &set);
    if (sched_setaffinity(0, sizeof set, &set) < 0) {
        perror("loop: sched_setaffinity");
        exit(1);
    }
}

/* Half of the messages go there and half come back. */
static void run_asleep(const struct job *job)
{
    tong_mailbox *there, *back;
    create("there", job->capacity, &there);
    create("back", job->capacity, &back);
    tong_close(there);
    tong_close(back);
    stay_on_this_cpu();
    const pid_t child = fork();
    check("tong_open", tong_open(named(child == 0 ? "back" : "there"), TONG_SEND, NULL, &there));
    check("tong_open", tong_open(named(child == 0 ? "there" : "back"), TONG_RECEIVE, NULL, &back));
    for (unsigned long i = 0; i < job->n; i += 2) {
        if (child != 0) {
            check("tong_send", tong_send(there, job->bytes, job->size, TONG_FOREVER));
        }
        check("tong_receive", tong_receive(back, job->bytes, job->size, TONG_FOREVER));
        if (child == 0) {
            check("tong_send", tong_send(there, job->bytes, job->size, TONG_FOREVER));
        }
    }
    check("tong_close", tong_close(there));
    check("tong_close", tong_close(back));
    if (child == 0) {
        _exit(0);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        fprintf(stderr, "loop: the other process failed\n");
        exit(1);
    }
    check("tong_remove", tong_remove(named("there")));
    check("tong_remove", tong_remove(named("back")));
}

static void run_queue(const struct job *job)
{
    carrier = "mq:";
    run_copying(job);
}

static void run_queue_asleep(const struct job *job)
{
    carrier = "mq:";
    run_asleep(job);
}

static void run_name(const struct job *job)
{
    tong_process *me, *other;
    char from[TONG_NAME_MAX];
    check("tong_process_open", tong_process_open("there", NULL, &other));
    for (unsigned long i = 0; i < job->n; i++) {
        check("tong_process_open", tong_process_open("me", NULL, &me));
        check("tong_send_to", tong_send_to(me, "there", job->bytes, job->size, 0));
        check("tong_receive_any", tong_receive_any(other, job->bytes, job->size, 0, from));
        check("tong_process_close", tong_process_close(me));
    }
    check("tong_process_close", tong_process_close(other));
}

static const struct manner {
    const char *name;
    void (*run)(const struct job *job);
} manners[] = {
    { "copying", run_copying },
    { "in-place", run_in_place },
    { "many", run_many },
    { "backlog", run_backlog },
    { "asleep", run_asleep },
    { "polled", run_polled },
    { "unpolled", run_unpolled },
    { "queue", run_queue },
    { "queue-asleep", run_queue_asleep },
    { "name", run_name },
    { "everyone", run_everyone },
};

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 5) {
        fprintf(stderr, "usage: loop copying|in-place|many|backlog|asleep|polled|unpolled|queue|"
                        "queue-asleep|name|everyone N [SIZE [CAPACITY]]\n");
        return 2;
    }
    const struct manner *manner = NULL;
    for (size_t i = 0; i < sizeof manners / sizeof manners[0]; i++) {
        manner = strcmp(argv[1], manners[i].name) == 0 ? &manners[i] : manner;
    }
    static unsigned char bytes[many * most_bytes];
    const struct job job = {
        .n = strtoul(argv[2], NULL, 10),
        .size = argc > 3 ? strtoul(argv[3], NULL, 10) : 64,
        .capacity = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : TONG_UNBOUNDED,
        .bytes = bytes,
    };
    if (manner == NULL || job.n == 0 || job.size > most_bytes) {
        fprintf(stderr, "loop: no such way, no number, or too long a message\n");
        return 2;
    }
    alarm(300); /* nothing here has to wait: a call that does would do so for ever */
    manner->run(&job);
    return 0;
}
