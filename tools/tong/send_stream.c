/*
 * send_stream.c - `tong send NAME --stream`: standard input, or a file, as the chunks of a stream.
 *
 * A chunk is reserved when there is something to read, and no larger than what can be read: a
 * reservation that waits for a slow pipe would keep room from others. Whatever ends the stream early
 * (a stop signal, a failed read) is told to the receiver, as far as there is room.
 */
#include "tool.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>

struct stream {
    struct tool_box *box;
    struct tool_file *input;
    size_t chunk_size; /* of a message with its head, at most */
    bool fixed;        /* every message has that size */
    struct tool_chunk next;
    uint64_t bytes;
};

/* Bytes that can be read now, at most what a chunk holds; waits for the first. 0 may be the end. */
static ssize_t readable(const struct stream *s)
{
    const size_t most = s->chunk_size - TOOL_CHUNK_HEAD;
    if (s->input->regular) {
        return (ssize_t)(s->input->rest < most ? s->input->rest : most);
    }
    struct pollfd wait = { .fd = s->input->fd, .events = POLLIN };
    while (poll(&wait, 1, -1) < 0) {
        if (!tool_again(-errno)) {
            return -errno;
        }
    }
    int now = 0;
    if (ioctl(s->input->fd, FIONREAD, &now) < 0) {
        return (ssize_t)most; /* A device that does not know: /dev/zero. */
    }
    return (size_t)now < most ? now : (ssize_t)most;
}

/* A chunk that is a head alone. */
static int send_mark(struct stream *s, uint32_t flags)
{
    const size_t len = s->fixed ? s->chunk_size : TOOL_CHUNK_HEAD;
    tong_slot slot = TONG_SLOT_INIT;
    s->next.flags = flags;
    s->next.value = s->bytes;
    const int r = tool_box_reserve(s->box, len, &slot);
    if (r != 0) {
        return r;
    }
    memset(slot.data, 0, len);
    tool_chunk_encode(&s->next, slot.data);
    return tool_box_commit(s->box, &slot, len);
}

/* Reads into a reservation and commits it. Returns bytes, 0 at the end, or a negative errno; then
 * *ret_reading says whether it was the file that failed. */
static ssize_t send_chunk(struct stream *s, size_t want, bool *ret_reading)
{
    tong_slot slot = TONG_SLOT_INIT;
    /* Nothing to read is the end, or a pipe that was just filled: room for a little. */
    const size_t len = TOOL_CHUNK_HEAD + (want ? want : 1);
    int r = tool_box_reserve(s->box, s->fixed ? s->chunk_size : len, &slot);
    if (r != 0) {
        return r == TONG_DROPPED ? -ENOBUFS : r;
    }
    unsigned char *const data = slot.data;
    const ssize_t n = tool_file_read(s->input, data + TOOL_CHUNK_HEAD, len - TOOL_CHUNK_HEAD);
    if (n <= 0) {
        *ret_reading = true;
        tool_box_abort(s->box, &slot);
        return n;
    }
    s->next.value = (uint64_t)n;
    tool_chunk_encode(&s->next, data);
    size_t used = TOOL_CHUNK_HEAD + (size_t)n;
    if (s->fixed) {
        memset(data + used, 0, s->chunk_size - used);
        used = s->chunk_size;
    }
    r = tool_box_commit(s->box, &slot, used);
    if (r != 0) {
        return r == TONG_DROPPED ? -ENOBUFS : r;
    }
    s->next.number++;
    s->bytes += (uint64_t)n;
    if (s->input->regular) {
        s->input->rest -= (uint64_t)n < s->input->rest ? (uint64_t)n : s->input->rest;
    }
    tool_watch_moved((uint64_t)n);
    return n;
}

static int report(const struct stream *s, ssize_t error, bool reading)
{
    if (tool_stopping()) {
        return TOOL_FAILED;
    }
    if (error == -ENOBUFS || error == TONG_DROPPED) {
        return tool_failed(s->box->args, s->box->name,
                           "the stream is broken, the mailbox was full and drops what comes then; "
                           "make one for streams with --full block");
    }
    if (reading) {
        return tool_file_error(s->box->args, s->input->name, (int)error);
    }
    return tool_box_send_error(s->box, (int)error, s->chunk_size);
}

static int send_all(struct stream *s)
{
    bool reading = false;
    for (;;) {
        reading = true;
        ssize_t n = readable(s);
        if (n >= 0) {
            reading = false;
            n = send_chunk(s, (size_t)n, &reading);
        }
        if (n == 0) {
            const int r = send_mark(s, TOOL_CHUNK_END);
            return r == 0 ? TOOL_DONE : report(s, r, false);
        }
        if (n < 0) {
            const int code = report(s, n, reading);
            s->box->timeout_ns = 0;
            (void)send_mark(s, TOOL_CHUNK_GIVEN_UP);
            return code;
        }
    }
}

int tool_send_stream(struct tool_box *box, struct tool_file *input)
{
    tong_status status = TONG_STATUS_INIT;
    int r = tong_stat(box->name, &status);
    if (r != 0) {
        return tool_error(box->args, box->name, r, NULL);
    }
    struct stream s = { .box = box, .input = input, .fixed = status.message_size != 0 };
    s.chunk_size = tool_stream_chunk(&status);
    if (s.chunk_size <= TOOL_CHUNK_HEAD) {
        return tool_failed(box->args, box->name,
                           "messages of %zu bytes are too short for a stream; it needs %u or more",
                           s.chunk_size, TOOL_CHUNK_HEAD + 1);
    }
    if (getrandom(&s.next.id, sizeof(s.next.id), 0) != (ssize_t)sizeof(s.next.id)) {
        return tool_file_error(box->args, "random bytes", errno);
    }
    if (input->regular) {
        tool_watch_total(input->rest);
    }
    return send_all(&s);
}
