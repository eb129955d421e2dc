/*
 * box.c - a mailbox in use by one command.
 *
 * Every call that may wait goes through here: the watch thread is told, calls that were merely
 * disturbed begin again, and a mailbox without memory is waited for while messages of this process
 * still wait in it (a stream is faster than its reader for a while; that is no failure). What went
 * wrong is reported with the state of the mailbox, since that is what the user has to change.
 */
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

int tool_box_open(const struct tool_args *args, const char *name, unsigned flags,
                  const tong_options *options, struct tool_box *ret_box)
{
    struct tool_box box = { .args = args, .name = name, .timeout_ns = TONG_FOREVER };
    if (tool_value_timeout(args, &box.timeout_ns)) {
        return TOOL_USAGE;
    }
    bool made = false;
    int r;
    /* Somebody may make it, or remove it, between the two calls: look again, a few times. */
    for (int tries = 0; tries < 8; tries++) {
        r = tong_open(name, flags, NULL, &box.box);
        if (r != -ENOENT || tool_given(args, "--no-create")) {
            break;
        }
        r = tong_open(name, flags | TONG_CREATE, options, &box.box);
        made = r == 0;
        if (r != -EEXIST) {
            break;
        }
    }
    if (r == -EPERM && (flags & TONG_RECEIVE)) {
        return tool_error(args, name, r,
                          "another process owns it and is its only receiver; \"tong create\" makes "
                          "one for all");
    }
    if (r < 0) {
        return tool_error(args, name, r, NULL);
    }
    if (made && tool_on_terminal()) {
        tool_say(args, name, "made the mailbox; \"tong rm %s\" takes it away", tool_shown(name));
    }
    tool_signals_interrupt(box.box);
    *ret_box = box;
    return TOOL_DONE;
}

int tool_box_close(struct tool_box *box, int code)
{
    tool_watch_stop();
    tool_signals_interrupt(NULL);
    const int r = tong_close(box->box);
    box->box = NULL;
    if (r < 0 && code == TOOL_DONE) {
        code = tool_error(box->args, box->name, r, NULL);
    }
    return tool_stop_signal() ? 128 + tool_stop_signal() : code;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return TONG_SEC(t.tv_sec) + t.tv_nsec;
}

/* One wait for memory: while something waits in the mailbox, a receiver may free some. */
struct memory_wait {
    int64_t since_ns;
    int64_t pause_ns;
    unsigned empty; /* looks in a row that saw nothing in the mailbox */
};

/* What was there may have been taken between the answer and this look, so several have to agree. */
#define EMPTY_LOOKS 4u

/* After -ENOSPC: 0 to try again, else the answer to give. */
static int wait_for_memory(const struct tool_box *box, struct memory_wait *wait)
{
    tong_status status = TONG_STATUS_INIT;
    if (box->sent == 0 || box->timeout_ns == 0 || tool_stopping() ||
        tong_stat(box->name, &status) != 0) {
        return -ENOSPC;
    }
    wait->empty = status.waiting + status.claimed == 0 ? wait->empty + 1 : 0;
    if (wait->empty >= EMPTY_LOOKS) {
        return -ENOSPC;
    }
    if (wait->since_ns == 0) {
        wait->since_ns = now_ns();
        wait->pause_ns = TONG_MS(1);
    }
    if (box->timeout_ns != TONG_FOREVER && now_ns() - wait->since_ns >= box->timeout_ns) {
        return -ETIMEDOUT;
    }
    const struct timespec pause = { .tv_nsec = (long)wait->pause_ns };
    nanosleep(&pause, NULL);
    if (wait->pause_ns < TONG_MS(64)) {
        wait->pause_ns *= 2;
    }
    return 0;
}

/* What has to be done after an answer: true to call again, or false with *answer to give. */
static bool call_again(struct tool_box *box, struct memory_wait *wait, ssize_t *answer)
{
    if (*answer == -ENOSPC) {
        const int r = wait_for_memory(box, wait);
        *answer = r;
        return r == 0;
    }
    return tool_again(*answer);
}

/* Whether a full mailbox drops an older message and takes the one that is sent. */
static bool pushes_out(const struct tool_box *box)
{
    tong_status status = TONG_STATUS_INIT;
    return tong_stat(box->name, &status) == 0 && status.full == TONG_DROP_OLDEST &&
           status.capacity != 0;
}

int tool_box_send(struct tool_box *box, const void *data, size_t len)
{
    return tool_box_send_with(box, data, len, box->with);
}

int tool_box_send_with(struct tool_box *box, const void *data, size_t len,
                       const tong_send_options *with)
{
    struct memory_wait wait = { 0 };
    ssize_t r;
    tool_watch_wait();
    do {
        r = tong_send_with(box->box, data, len, with, box->timeout_ns);
    } while (r < 0 && call_again(box, &wait, &r));
    tool_watch_go_on();
    if (r == TONG_DROPPED && pushes_out(box)) {
        r = 0; /* it is there; tong stat tells of the older one */
    }
    box->sent += r == 0;
    return (int)r;
}

ssize_t tool_box_send_many(struct tool_box *box, const struct iovec *messages, size_t n)
{
    struct memory_wait wait = { 0 };
    ssize_t r;
    tool_watch_wait();
    do {
        r = tong_send_many(box->box, messages, n, box->timeout_ns);
    } while (r < 0 && call_again(box, &wait, &r));
    tool_watch_go_on();
    box->sent += r > 0 ? (uint64_t)r : 0u;
    return r;
}

/* A carrier without a place to write in gets the message from a buffer. */
static int reserve_copy(struct tool_box *box, size_t len, tong_slot *ret_slot)
{
    box->copy = malloc(len + 1);
    if (!box->copy) {
        return -ENOMEM;
    }
    ret_slot->data = box->copy;
    ret_slot->len = len;
    return 0;
}

static void free_copy(struct tool_box *box)
{
    free(box->copy);
    box->copy = NULL;
}

int tool_box_reserve(struct tool_box *box, size_t len, tong_slot *ret_slot)
{
    struct memory_wait wait = { 0 };
    ssize_t r;
    tool_watch_wait();
    do {
        r = tong_reserve(box->box, len, box->timeout_ns, ret_slot);
    } while (r < 0 && call_again(box, &wait, &r));
    tool_watch_go_on();
    if (r == -EOPNOTSUPP) {
        return reserve_copy(box, len, ret_slot);
    }
    /* Asked to wait it would have waited: the mailbox is one that drops. */
    return r == -EAGAIN && box->timeout_ns != 0 ? TONG_DROPPED : (int)r;
}

int tool_box_commit(struct tool_box *box, tong_slot *slot, size_t len)
{
    if (box->copy) {
        const int sent = tool_box_send(box, box->copy, len);
        free_copy(box);
        return sent;
    }
    tool_watch_wait();
    const int r = tong_commit(box->box, slot, len);
    tool_watch_go_on();
    box->sent += r == 0;
    return r;
}

void tool_box_abort(struct tool_box *box, tong_slot *slot)
{
    if (box->copy) {
        free_copy(box);
    } else {
        (void)tong_abort(box->box, slot);
    }
}

int tool_box_claim(struct tool_box *box, int64_t timeout_ns, tong_message *ret_message)
{
    int r;
    tool_watch_wait();
    do {
        r = tong_claim_with(box->box, box->want, timeout_ns, ret_message);
    } while (tool_again(r));
    tool_watch_go_on();
    return r;
}

/* Of a mailbox without room: "3 of 3 messages are in it, 1 receiver is there". */
static void describe(const tong_status *s, char *out, size_t size)
{
    const unsigned long long inside = s->waiting + s->claimed;
    const unsigned n = s->receivers;
    const char *const receivers = n == 1 ? "receiver is" : "receivers are";
    if (s->capacity == 0) {
        snprintf(out, size, "it takes a message when a receiver waits, and %u %s there", n,
                 receivers);
    } else if (s->capacity != TONG_UNBOUNDED) {
        snprintf(out, size, "%llu of %u messages are in it, %u %s there", inside, s->capacity, n,
                 receivers);
    } else {
        snprintf(out, size, "%llu messages are in it, %u from each sender at most, %u %s there",
                 inside, s->link_capacity, n, receivers);
    }
}

void tool_box_describe(const char *name, char *out, size_t size)
{
    tong_status status = TONG_STATUS_INIT;
    if (tong_stat(name, &status) == 0) {
        describe(&status, out, size);
    } else {
        snprintf(out, size, "it is gone");
    }
}

static int no_memory(const struct tool_box *box, size_t len)
{
    tong_status status = TONG_STATUS_INIT;
    char way_out[256];
    char folder[512];
    struct statvfs vfs;
    if (tong_stat(box->name, &status) == 0 &&
        (status.bytes > status.max_bytes || len > status.max_bytes - status.bytes)) {
        snprintf(way_out, sizeof(way_out),
                 "%s more do not fit, it holds %s of max-bytes %s; receive what waits, or make it "
                 "with more --max-bytes",
                 tool_amount(len), tool_amount(status.bytes), tool_amount(status.max_bytes));
    } else if (tong_folder(folder, sizeof(folder)) > 0 && statvfs(folder, &vfs) == 0) {
        snprintf(way_out, sizeof(way_out),
                 "the memory of %.60s has %s left; receive what waits, or remove mailboxes", folder,
                 tool_amount((uint64_t)vfs.f_bavail * vfs.f_frsize));
    } else {
        return tool_error(box->args, box->name, -ENOSPC, NULL);
    }
    return tool_error(box->args, box->name, -ENOSPC, way_out);
}

int tool_box_send_error(const struct tool_box *box, int error, size_t len)
{
    tong_status status = TONG_STATUS_INIT;
    char state[160];
    char way_out[256];
    if (tool_stopping()) {
        return TOOL_FAILED;
    }
    switch (error) {
    case -ENOSPC:
        return no_memory(box, len);
    case -EAGAIN:
    case -ETIMEDOUT:
        tool_box_describe(box->name, state, sizeof(state));
        snprintf(way_out, sizeof(way_out), "%s; receive some, or wait longer with --timeout",
                 state);
        return tool_error(box->args, box->name, error, way_out);
    case TONG_DROPPED:
        tool_say(
            box->args, box->name,
            "it is full and drops what comes then; receive some, or make it with --full block");
        return TOOL_LATE;
    case -EMSGSIZE:
        if (tong_stat(box->name, &status) == 0 && status.message_size) {
            snprintf(way_out, sizeof(way_out), "every message of it has %u bytes, this one has %zu",
                     status.message_size, len);
            return tool_error(box->args, box->name, error, way_out);
        }
        return tool_error(box->args, box->name, error,
                          "send it in pieces, with \"--stream\" on both sides");
    default:
        return tool_error(box->args, box->name, error, NULL);
    }
}

int tool_box_receive_error(const struct tool_box *box, int error)
{
    if (tool_stopping()) {
        return TOOL_FAILED;
    }
    if (error == -EAGAIN || error == -ETIMEDOUT) {
        return tool_error(box->args, box->name, error,
                          box->want ? "what waits is not asked for; send one with \"tong send\", "
                                      "or wait longer with --timeout"
                                    : "send one with \"tong send\", or wait longer with "
                                      "--timeout");
    }
    if (error == -EPERM) {
        return tool_error(box->args, box->name, error,
                          "it was given to another process while it was open here, which is its "
                          "only receiver now; \"tong stat\" shows owner-pid");
    }
    return tool_error(box->args, box->name, error, NULL);
}
