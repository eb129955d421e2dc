/*
 * mqueue_tong.h - the calls of <mqueue.h>, on tong. A program for POSIX message queues becomes one for tong
 * without a change:
 *
 *     cc -include mqueue_tong.h program.c -ltong
 *
 * What is the same: names, priorities, sizes, time-outs, O_NONBLOCK, errno; a child of fork() goes on with the
 * queues of its parent. What is better: no limits of the system (10 messages, 8 KiB, 64 queues), and nobody who
 * is killed loses a message.
 *
 * What is not: priorities end at 31. mq_unlink() ends the queue for those who have it open, too. Permissions
 * are 0600: for other users see tong_security(7). There is no mq_notify(): tong_fd(3) is for event loops.
 */
#ifndef MQUEUE_TONG_H
#define MQUEUE_TONG_H

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tong/tong.h>

#define MQ_TONG_MOST 64

struct mq_tong {
    tong_mailbox *box; /* NULL: free */
    pid_t pid;         /* who opened it: after fork() the child opens it again */
    unsigned flags;    /* TONG_SEND, TONG_RECEIVE */
    long oflag;        /* O_NONBLOCK or 0 */
    long msgsize;
    char name[TONG_NAME_MAX];
};

static struct mq_tong mq_tong_all[MQ_TONG_MOST];

static inline int mq_tong_fail(int error)
{
    errno = error;
    return -1;
}

/* r of a call of tong as one of mqueue: -1 and errno. */
static inline int mq_tong_result(long r)
{
    return r < 0 ? mq_tong_fail((int)-r) : (int)r;
}

static inline struct mq_tong *mq_tong_of(mqd_t queue)
{
    struct mq_tong *q = queue >= 0 && queue < MQ_TONG_MOST ? &mq_tong_all[queue] : NULL;
    if (q == NULL || q->box == NULL) {
        errno = EBADF;
        return NULL;
    }
    if (q->pid != getpid()) {
        tong_mailbox *own = NULL;
        const int r = tong_open(q->name, q->flags, NULL, &own);
        if (r < 0) {
            errno = -r;
            return NULL;
        }
        q->box = own;
        q->pid = getpid();
    }
    return q;
}

static inline int mq_tong_make(struct mq_tong *q, int oflag, const struct mq_attr *attr)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.by_priority = 1;
    options.capacity = attr != NULL ? (uint32_t)attr->mq_maxmsg : 10;
    if (attr != NULL &&
        (attr->mq_maxmsg <= 0 || attr->mq_maxmsg > TONG_CAPACITY_MAX || attr->mq_msgsize <= 0)) {
        return -EINVAL;
    }
    q->msgsize = attr != NULL ? attr->mq_msgsize : 8192;
    int r = tong_open(q->name, q->flags | TONG_CREATE | TONG_EXCL, &options, &q->box);
    if (r == -EEXIST && (oflag & O_EXCL) == 0) {
        r = tong_open(q->name, q->flags, NULL, &q->box);
    }
    return r;
}

static inline mqd_t mq_tong_open(const char *name, int oflag, ...)
{
    const struct mq_attr *attr = NULL;
    mqd_t i = 0;
    while (i < MQ_TONG_MOST && mq_tong_all[i].box != NULL) {
        i++;
    }
    if (i == MQ_TONG_MOST || name[0] != '/' || strlen(name + 1) >= TONG_NAME_MAX) {
        return mq_tong_fail(i == MQ_TONG_MOST ? EMFILE : name[0] != '/' ? EINVAL : ENAMETOOLONG);
    }
    if ((oflag & O_CREAT) != 0) {
        va_list rest;
        va_start(rest, oflag);
        (void)va_arg(rest, unsigned); /* the mode, as an int */
        attr = va_arg(rest, const struct mq_attr *);
        va_end(rest);
    }
    struct mq_tong q = { .pid = getpid(), .oflag = oflag & O_NONBLOCK, .msgsize = 8192 };
    const int how = oflag & O_ACCMODE;
    q.flags = how == O_RDONLY   ? TONG_RECEIVE
              : how == O_WRONLY ? TONG_SEND
                                : TONG_SEND | TONG_RECEIVE;
    strcpy(q.name, name + 1);
    const int r = (oflag & O_CREAT) != 0 ? mq_tong_make(&q, oflag, attr)
                                         : tong_open(q.name, q.flags, NULL, &q.box);
    if (r < 0) {
        return mq_tong_fail(-r);
    }
    mq_tong_all[i] = q;
    return i;
}

static inline int mq_tong_close(mqd_t queue)
{
    struct mq_tong *q = mq_tong_of(queue);
    if (q == NULL) {
        return -1;
    }
    tong_mailbox *box = q->box;
    q->box = NULL;
    return mq_tong_result(tong_close(box));
}

static inline int mq_tong_unlink(const char *name)
{
    return name[0] == '/' ? mq_tong_result(tong_remove(name + 1)) : mq_tong_fail(EINVAL);
}

/* From a time of the day to what is left until then. */
static inline int64_t mq_tong_left(const struct mq_tong *q, const struct timespec *until)
{
    struct timespec now;
    if (q->oflag != 0) {
        return 0;
    }
    if (until == NULL) {
        return TONG_FOREVER;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    const int64_t left = TONG_SEC(until->tv_sec - now.tv_sec) + (until->tv_nsec - now.tv_nsec);
    return left > 0 ? left : 1; /* 0 would not be a time that is over, but no wait */
}

static inline int mq_tong_timedsend(mqd_t queue, const char *data, size_t len, unsigned priority,
                                    const struct timespec *until)
{
    struct mq_tong *q = mq_tong_of(queue);
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.priority = priority;
    if (q == NULL) {
        return -1;
    }
    if ((long)len > q->msgsize) {
        return mq_tong_fail(EMSGSIZE);
    }
    return mq_tong_result(tong_send_with(q->box, data, len, &with, mq_tong_left(q, until)));
}

static inline ssize_t mq_tong_timedreceive(mqd_t queue, char *buf, size_t size,
                                           unsigned *ret_priority, const struct timespec *until)
{
    struct mq_tong *q = mq_tong_of(queue);
    tong_message info = TONG_MESSAGE_INIT;
    if (q == NULL) {
        return -1;
    }
    const ssize_t n = tong_receive_with(q->box, buf, size, NULL, mq_tong_left(q, until), &info);
    if (n >= 0 && ret_priority != NULL) {
        *ret_priority = info.priority;
    }
    return mq_tong_result(n);
}

static inline int mq_tong_getattr(mqd_t queue, struct mq_attr *ret_attr)
{
    const struct mq_tong *q = mq_tong_of(queue);
    tong_status status = TONG_STATUS_INIT;
    if (q == NULL) {
        return -1;
    }
    const int r = tong_stat(q->name, &status);
    if (r == 0) {
        *ret_attr = (struct mq_attr){ .mq_flags = q->oflag,
                                      .mq_maxmsg = (long)status.capacity,
                                      .mq_msgsize = q->msgsize,
                                      .mq_curmsgs = (long)status.waiting };
    }
    return mq_tong_result(r);
}

static inline int mq_tong_setattr(mqd_t queue, const struct mq_attr *attr,
                                  struct mq_attr *ret_before)
{
    struct mq_tong *q = mq_tong_of(queue);
    if (q == NULL || (ret_before != NULL && mq_tong_getattr(queue, ret_before) < 0)) {
        return -1;
    }
    q->oflag = attr->mq_flags & O_NONBLOCK;
    return 0;
}

#define mq_open mq_tong_open
#define mq_close mq_tong_close
#define mq_unlink mq_tong_unlink
#define mq_send(queue, data, len, priority) mq_tong_timedsend(queue, data, len, priority, NULL)
#define mq_receive(queue, buf, size, ret_priority)                                                 \
    mq_tong_timedreceive(queue, buf, size, ret_priority, NULL)
#define mq_timedsend mq_tong_timedsend
#define mq_timedreceive mq_tong_timedreceive
#define mq_getattr mq_tong_getattr
#define mq_setattr mq_tong_setattr

#endif
