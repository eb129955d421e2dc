/*
 * mq:/NAME, a POSIX message queue that is not tong's: messages are the bytes of the queue's, as any program
 * sends and receives them, and nothing stands beside them. What needs more than a queue is refused.
 *
 * A call holds the gate of its side, asleep or not, as in layer 3; it sleeps on the queue and on a counter
 * that tong_interrupt() adds to.
 *
 * A message that was longer than its buffer cannot go back to where it was: it stays in this handle, for the
 * next call on it, and is lost with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/gate.h"
#include "base/mqueue.h"
#include "carrier/carrier.h"
#include "region/region.h"

struct side {
    struct tg_gate gate;
    int wake; /* ready once interrupted */
};

struct plain {
    int fd;
    unsigned flags;
    uint32_t fork_count;
    uint32_t size; /* of the longest message */
    bool drops;
    tg_a32 interrupts; /* so many */
    tg_a32 used;       /* by the calls that are over */
    struct side tx;
    struct side rx;
    uint8_t *held; /* the message in hand, if has_held; else room for one */
    bool has_held;
    size_t held_len;
    unsigned held_priority;
};

/* ---- open, close */

static int check_name(const char *rest)
{
    const size_t len = strlen(rest);
    if (len < 2 || strchr(rest + 1, '/') != NULL) {
        return -EINVAL;
    }
    return len < TONG_NAME_MAX ? 0 : -ENAMETOOLONG;
}

static int check_options(const tong_options *o)
{
    if (o == NULL) {
        return 0;
    }
    if (o->struct_size < sizeof *o || o->owner > TONG_PROCESS || o->full > TONG_DROP_OLDEST ||
        (o->capacity > TONG_CAPACITY_MAX && o->capacity != TONG_UNBOUNDED) ||
        (o->mode & ~0666u) != 0) {
        return -EINVAL;
    }
    const bool limits = o->capacity == 0 || o->message_size != 0 ||
                        (o->link_capacity != TONG_DEFAULT && o->link_capacity != TONG_UNBOUNDED) ||
                        (o->capacity == TONG_UNBOUNDED && o->link_capacity == TONG_UNBOUNDED);
    const bool whose = o->owner != TONG_SYSTEM || o->policy != NULL ||
                       (o->delivery != TONG_FIRST_COME && o->delivery != TONG_ANY);
    return limits || whose || o->full == TONG_DROP_OLDEST || o->max_deliveries != 0 ? -EOPNOTSUPP
                                                                                    : 0;
}

#define MESSAGES 10u /* by itself, as the kernel's */
#define SIZE 8192u

static int make(const char *name, const tong_options *o)
{
    const uint32_t most = tg_mq_limit("msg_max", MESSAGES);
    const bool said = o != NULL && o->capacity != TONG_UNBOUNDED;
    const uint32_t messages = said ? o->capacity : most < MESSAGES ? most : MESSAGES;
    const uint32_t longest = tg_mq_limit("msgsize_max", SIZE);
    return tg_mq_make(name, o != NULL ? o->mode : 0600, TG_MQ_OWN_GROUP, messages,
                      longest < SIZE ? longest : SIZE);
}

static int open_queue(const char *name, unsigned flags, const tong_options *o)
{
    const bool sends = (flags & TONG_SEND) != 0;
    const int how = sends && (flags & TONG_RECEIVE) != 0 ? O_RDWR : sends ? O_WRONLY : O_RDONLY;
    int fd = (flags & TONG_EXCL) != 0 ? -ENOENT : tg_mq_open(name, how);
    if (fd == -ENOENT && (flags & TONG_CREATE) != 0) {
        const int r = make(name, o);
        if (r < 0 && (r != -EEXIST || (flags & TONG_EXCL) != 0)) {
            return r;
        }
        fd = tg_mq_open(name, how);
    }
    return fd;
}

static int close_(tg_handle h)
{
    struct plain *p = h;
    const bool forked = p->fork_count != tg_fork_count();
    tg_sys_close(p->fd);
    tg_sys_close(p->tx.wake);
    tg_sys_close(p->rx.wake);
    free(p->held);
    free(p);
    return forked ? -ECHILD : 0;
}

static int set_up(struct plain *p, const char *name, const tong_options *o)
{
    struct tg_mq_status status;
    p->fd = open_queue(name, p->flags, o);
    int r = p->fd < 0 ? p->fd : tg_mq_look(p->fd, &status);
    if (r < 0) {
        return r;
    }
    if (o != NULL && o->capacity != TONG_UNBOUNDED && o->capacity != status.messages) {
        return -EEXIST;
    }
    p->size = status.size;
    p->held = malloc(p->size);
    p->tx.wake = tg_event_counter();
    p->rx.wake = p->tx.wake < 0 ? p->tx.wake : tg_event_counter();
    return p->held == NULL ? -ENOMEM : p->rx.wake < 0 ? p->rx.wake : 0;
}

static int open_(const char *rest, unsigned flags, const tong_options *options,
                 tg_handle *ret_handle)
{
    const unsigned known = TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_EXCL;
    if ((flags & ~known) != 0 || (flags & (TONG_SEND | TONG_RECEIVE)) == 0 ||
        ((flags & TONG_EXCL) != 0 && (flags & TONG_CREATE) == 0)) {
        return -EINVAL;
    }
    int r = check_name(rest);
    r = r == 0 ? check_options(options) : r;
    /* For the fork count. */
    r = r == 0 ? tg_process_init() : r;
    if (r < 0) {
        return r;
    }
    struct plain *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return -ENOMEM;
    }
    p->fd = p->tx.wake = p->rx.wake = -1;
    p->flags = flags;
    p->fork_count = tg_fork_count();
    p->drops = options != NULL && options->full == TONG_DROP_NEWEST;
    r = set_up(p, rest, options);
    if (r < 0) {
        (void)close_(p);
        return r;
    }
    *ret_handle = p;
    return 0;
}

static int remove_(const char *rest)
{
    const int r = check_name(rest);
    return r < 0 ? r : tg_mq_unlink(rest);
}

/* ---- waiting */

struct call {
    int64_t deadline;
    uint32_t interrupts;
};

static int begin(struct plain *p, struct side *side, unsigned right, int64_t timeout_ns,
                 struct call *call)
{
    if (p->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    if ((p->flags & right) == 0) {
        return -EBADF;
    }
    call->deadline = tg_deadline(timeout_ns);
    call->interrupts = tg_load_relaxed(&p->used);
    return tg_gate_enter(&side->gate, call->deadline, &p->interrupts, call->interrupts);
}

/* The gate is held: until the queue may be ready. */
static int sleep_once(struct plain *p, struct side *side, short events, const struct call *call)
{
    tg_event_calm(side->wake);
    const uint32_t now = tg_load_seq_cst(&p->interrupts);
    if (now != call->interrupts) {
        tg_store_relaxed(&p->used, now);
        return -ECANCELED;
    }
    if (call->deadline == 0) {
        return -EAGAIN;
    }
    if (tg_is_over(call->deadline)) {
        return -ETIMEDOUT;
    }
    tg_gate_set_asleep(&side->gate, true);
    const int r = tg_mq_wait(p->fd, events, side->wake, call->deadline);
    tg_gate_set_asleep(&side->gate, false);
    return r == -ETIMEDOUT ? 0 : r;
}

static int interrupt(tg_handle h)
{
    struct plain *p = h;
    if (p->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    (void)tg_add(&p->interrupts, 1);
    tg_event_ring(p->tx.wake);
    tg_event_ring(p->rx.wake);
    tg_gate_stir(&p->tx.gate);
    tg_gate_stir(&p->rx.gate);
    return 0;
}

/* ---- send */

static int put(struct plain *p, const void *data, size_t len, unsigned priority,
               const struct call *call)
{
    static const char nothing;
    if (len > p->size) {
        return -EMSGSIZE;
    }
    for (;;) {
        int r = tg_mq_send(p->fd, data != NULL ? data : &nothing, len, priority);
        if (r != -EAGAIN) {
            return r;
        }
        if (p->drops) {
            return TONG_DROPPED;
        }
        r = sleep_once(p, &p->tx, POLLOUT, call);
        if (r < 0) {
            return r;
        }
    }
}

static int send_one(struct plain *p, const void *data, size_t len, unsigned priority,
                    int64_t timeout_ns)
{
    struct call call;
    int r = begin(p, &p->tx, TONG_SEND, timeout_ns, &call);
    if (r == 0) {
        r = put(p, data, len, priority, &call);
        tg_gate_leave(&p->tx.gate);
    }
    return r;
}

static int send_(tg_handle h, const void *data, size_t len, int64_t timeout_ns)
{
    return send_one(h, data, len, 0, timeout_ns);
}

static int send_with(tg_handle h, const void *data, size_t len, const tong_send_options *with,
                     int64_t timeout_ns)
{
    if (with->priority > TONG_PRIORITY_MAX || with->expiry_ns < 0) {
        return -EINVAL;
    }
    if (with->tag != 0 || with->key != 0 || with->call != 0 || with->expiry_ns != 0 ||
        with->reply_to != NULL) {
        return -EOPNOTSUPP;
    }
    return send_one(h, data, len, with->priority, timeout_ns);
}

static ssize_t send_many(tg_handle h, const struct iovec *messages, size_t n, int64_t timeout_ns)
{
    struct plain *p = h;
    struct call call;
    int r = begin(p, &p->tx, TONG_SEND, timeout_ns, &call);
    if (r < 0) {
        return r;
    }
    ssize_t sent = 0;
    for (size_t i = 0; i < n && r >= 0; i++) {
        r = put(p, messages[i].iov_base, messages[i].iov_len, 0, &call);
        sent += r == 0;
        call.deadline = 0;
    }
    tg_gate_leave(&p->tx.gate);
    return sent != 0 || r >= 0 ? sent : r;
}

/* ---- receive; the gate is held */

/* A message comes into hand. */
static int hold(struct plain *p, const struct call *call)
{
    while (!p->has_held) {
        const ssize_t n = tg_mq_receive(p->fd, p->held, p->size, &p->held_priority);
        if (n >= 0) {
            p->held_len = (size_t)n;
            p->has_held = true;
            break;
        }
        const int r = n == -EAGAIN ? sleep_once(p, &p->rx, POLLIN, call) : (int)n;
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static ssize_t take(struct plain *p, void *buf, size_t size, const struct call *call)
{
    const int r = hold(p, call);
    if (r < 0) {
        return r;
    }
    if (p->held_len > size) {
        return -EMSGSIZE;
    }
    if (p->held_len != 0) {
        memcpy(buf, p->held, p->held_len);
    }
    p->has_held = false;
    return (ssize_t)p->held_len;
}

static ssize_t receive_with(tg_handle h, void *buf, size_t size, const tong_receive_options *with,
                            int64_t timeout_ns, tong_message *ret_info)
{
    struct plain *p = h;
    struct call call;
    if (with != NULL && (with->min_priority != 0 || with->tag != 0 || with->from != NULL)) {
        return -EOPNOTSUPP;
    }
    ssize_t r = begin(p, &p->rx, TONG_RECEIVE, timeout_ns, &call);
    if (r < 0) {
        return r;
    }
    r = take(p, buf, size, &call);
    if (ret_info != NULL && (r >= 0 || r == -EMSGSIZE)) {
        tong_message info = TONG_MESSAGE_INIT;
        info.struct_size = ret_info->struct_size;
        info.deliveries = 1;
        info.len = p->held_len;
        info.data = r >= 0 ? buf : NULL;
        info.priority = p->held_priority;
        *ret_info = info;
    }
    tg_gate_leave(&p->rx.gate);
    return r;
}

static ssize_t receive(tg_handle h, void *buf, size_t size, int64_t timeout_ns)
{
    return receive_with(h, buf, size, NULL, timeout_ns, NULL);
}

static ssize_t receive_many(tg_handle h, const struct iovec *buffers, size_t n, int64_t timeout_ns,
                            size_t *ret_lens)
{
    struct plain *p = h;
    struct call call;
    ssize_t r = begin(p, &p->rx, TONG_RECEIVE, n == 0 ? 0 : timeout_ns, &call);
    if (r < 0) {
        return r;
    }
    ssize_t taken = 0;
    while ((size_t)taken < n) {
        r = take(p, buffers[taken].iov_base, buffers[taken].iov_len, &call);
        if (r < 0) {
            break;
        }
        ret_lens[taken++] = (size_t)r;
        call.deadline = 0;
    }
    tg_gate_leave(&p->rx.gate);
    return taken != 0 || r >= 0 ? taken : r;
}

static ssize_t skip(tg_handle h)
{
    struct plain *p = h;
    struct call call;
    int r = begin(p, &p->rx, TONG_RECEIVE, 0, &call);
    if (r < 0) {
        return r;
    }
    r = hold(p, &call);
    p->has_held = r < 0 && p->has_held;
    const ssize_t len = (ssize_t)p->held_len;
    tg_gate_leave(&p->rx.gate);
    return r < 0 ? r : len;
}

/* The queue's own descriptor. */
static int fd_(tg_handle h, unsigned what)
{
    const struct plain *p = h;
    if (p->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    return (p->flags & what) != what ? -EBADF : p->fd;
}

/* ---- look */

static int stat_(const char *rest, tong_status *ret_status)
{
    struct tg_mq_status queue;
    struct stat st;
    int r = check_name(rest);
    if (r < 0) {
        return r;
    }
    tg_fd fd = tg_mq_open(rest, O_RDONLY);
    r = fd < 0 ? fd : tg_mq_look(fd, &queue);
    r = r == 0 ? tg_sys_fstat(fd, &st) : r;
    if (r < 0) {
        return r;
    }
    tong_status status = TONG_STATUS_INIT;
    status.struct_size = ret_status->struct_size;
    memcpy(status.name, rest, strlen(rest));
    memcpy(status.carrier, "mq", sizeof "mq");
    status.capacity = queue.messages;
    status.link_capacity = TONG_UNBOUNDED;
    status.mode = st.st_mode & 0666;
    status.owner_uid = st.st_uid;
    status.waiting = queue.waiting;
    status.max_bytes = status.bytes = (uint64_t)queue.messages * queue.size;
    *ret_status = status;
    return 0;
}

const struct tg_carrier tg_carrier_mq_plain = {
    .prefix = "mq",
    .begins = '/',
    .open = open_,
    .close = close_,
    .remove = remove_,
    .send = send_,
    .send_with = send_with,
    .send_many = send_many,
    .receive = receive,
    .receive_with = receive_with,
    .receive_many = receive_many,
    .skip = skip,
    .fd = fd_,
    .interrupt = interrupt,
    .stat = stat_,
};
