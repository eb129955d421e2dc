/*
 * mq_program - a program for POSIX message queues, and nothing of tong in it.
 *
 * Compiled as it stands it uses the queues of the kernel. Compiled with
 *
 *     cc -include mqueue_tong.h mq_program.c -ltong
 *
 * it uses tong: mqueue_tong.h has the calls of <mqueue.h>. Both print the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAME "/mq_program"

static void fail(const char *what)
{
    perror(what);
    mq_unlink(NAME);
    exit(1);
}

static void put(mqd_t queue, const char *text, unsigned priority)
{
    if (mq_send(queue, text, strlen(text), priority) != 0) {
        fail("mq_send");
    }
}

static void get(mqd_t queue)
{
    char text[64];
    unsigned priority;
    const ssize_t n = mq_receive(queue, text, sizeof(text), &priority);
    if (n < 0) {
        fail("mq_receive");
    }
    printf("received: %.*s, priority %u\n", (int)n, text, priority);
}

/* Three that wait, and one that comes later. */
static void child(mqd_t queue)
{
    for (int i = 0; i < 4; i++) {
        get(queue);
    }
    fflush(stdout);
    _exit(0);
}

int main(void)
{
    struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 64 };
    char text[64];
    int status = 0;
    const mqd_t queue = mq_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
    if (queue == (mqd_t)-1 && errno == ENOSYS) {
        puts("this system has no POSIX message queues");
        return 77;
    }
    if (queue == (mqd_t)-1) {
        fail("mq_open");
    }
    put(queue, "a report", 1);
    put(queue, "an alarm", 9);
    put(queue, "another report", 1);
    if (mq_getattr(queue, &attr) != 0) {
        fail("mq_getattr");
    }
    printf("%ld of %ld wait\n", attr.mq_curmsgs, attr.mq_maxmsg);
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        child(queue);
    }
    put(queue, "the last one", 0);
    waitpid(pid, &status, 0);

    for (int i = 0; i < 4; i++) {
        put(queue, "full", 0);
    }
    attr.mq_flags = O_NONBLOCK;
    if (mq_setattr(queue, &attr, NULL) != 0) {
        fail("mq_setattr");
    }
    const int r = mq_send(queue, "one more", 8, 0);
    printf("a fifth one: %s\n", r != 0 && errno == EAGAIN ? "EAGAIN" : "?");
    for (int i = 0; i < 4; i++) {
        get(queue);
    }
    attr.mq_flags = 0;
    mq_setattr(queue, &attr, NULL);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 50 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    const ssize_t n = mq_timedreceive(queue, text, sizeof(text), NULL, &until);
    printf("nobody sends: %s\n", n < 0 && errno == ETIMEDOUT ? "ETIMEDOUT" : "?");
    mq_close(queue);
    mq_unlink(NAME);
    return status != 0;
}
