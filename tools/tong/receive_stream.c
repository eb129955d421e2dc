/*
 * receive_stream.c - `tong receive NAME --stream`: the bytes of one stream, written from place.
 *
 *   before   nothing was received; any wait is the user's
 *   inside   chunks of one id came, each next number; ends with the end mark (done), with a chunk
 *            that does not fit, or when nothing waits and no sender lives any more (not whole)
 *
 * A message that does not belong here goes back into the mailbox.
 */
#include "tool.h"

#include <errno.h>
#include <sys/uio.h>

struct stream {
    struct tool_box *box;
    struct tool_file *output;
    bool inside;
    uint64_t id;
    uint64_t number; /* of the chunk that has to come */
    uint64_t bytes;
    unsigned alone; /* looks in a row that saw neither message nor sender */
};

static int incomplete(const struct stream *s, const char *why)
{
    return tool_failed(s->box->args, s->box->name,
                       "incomplete, after %llu bytes %s; send it again, with one sender and one "
                       "receiver",
                       (unsigned long long)s->bytes, why);
}

/* True if nothing can come any more. One look may fall between a sender's end and another's
 * beginning, so two in a row have to agree. */
static bool is_abandoned(struct stream *s)
{
    tong_status status = TONG_STATUS_INIT;
    const bool alone =
        tong_stat(s->box->name, &status) == 0 && status.senders == 0 && status.waiting == 0;
    s->alone = alone ? s->alone + 1 : 0;
    return s->alone >= 2;
}

/* The next message. 0, or an exit code with a message. */
static int next_message(struct stream *s, tong_message *message)
{
    const int64_t limit = s->box->timeout_ns;
    int64_t waited = 0;
    for (;;) {
        int64_t slice = limit;
        if (s->inside && (limit == TONG_FOREVER || limit - waited > TONG_MS(500))) {
            slice = TONG_MS(500);
        } else if (limit != TONG_FOREVER) {
            slice = limit - waited;
        }
        const int r = tool_box_claim(s->box, slice, message);
        if (r == 0) {
            s->alone = 0;
            return 0;
        }
        if (r == -ETIMEDOUT && (limit == TONG_FOREVER || (waited += slice) < limit)) {
            if (s->inside && is_abandoned(s)) {
                return incomplete(s, "no sender is left and no end came");
            }
            continue;
        }
        if (s->inside && !tool_stopping() && r != -ETIMEDOUT && r != -EAGAIN) {
            return incomplete(s, tong_strerror(r));
        }
        return tool_box_receive_error(s->box, r);
    }
}

/* 0 if the chunk is the next one of this stream. */
static int check(struct stream *s, const struct tool_chunk *chunk)
{
    if (s->inside && chunk->id != s->id) {
        return incomplete(s, "a chunk of another stream came, two senders mix");
    }
    if (!s->inside && chunk->number != 0) {
        return incomplete(s, "it begins in the middle, another receiver took chunks of it");
    }
    if (s->inside && chunk->number != s->number) {
        return incomplete(s, "a chunk is missing, another receiver took it");
    }
    s->inside = true;
    s->id = chunk->id;
    return 0;
}

/* Handles one message. *ret_ends is set when it was the last. The message is still claimed. */
static int take(struct stream *s, const tong_message *message, bool *ret_ends)
{
    struct tool_chunk chunk;
    if (!tool_chunk_decode(message->data, message->len, &chunk)) {
        return s->inside
                   ? incomplete(s, "a message that is no part of a stream came")
                   : tool_failed(s->box->args, s->box->name,
                                 "the message is no part of a stream, it stays in the mailbox; "
                                 "receive it without --stream");
    }
    const int code = check(s, &chunk);
    if (code != 0) {
        return code;
    }
    if (chunk.flags == TOOL_CHUNK_GIVEN_UP) {
        *ret_ends = true;
        return incomplete(s, "the sender gave up");
    }
    if (chunk.flags == TOOL_CHUNK_END) {
        *ret_ends = true;
        return chunk.value == s->bytes ? 0 : incomplete(s, "the end counts other bytes");
    }
    struct iovec part = {
        .iov_base = (char *)(uintptr_t)message->data + TOOL_CHUNK_HEAD,
        .iov_len = (size_t)chunk.value,
    };
    const int r = tool_file_write(s->output, &part, 1);
    if (r < 0) {
        return tool_stopping() ? TOOL_FAILED : tool_file_error(s->box->args, s->output->name, r);
    }
    s->bytes += chunk.value;
    s->number++;
    return 0;
}

int tool_receive_stream(struct tool_box *box, struct tool_file *output)
{
    struct stream s = { .box = box, .output = output };
    bool ends = false;
    int code = 0;
    while (code == 0 && !ends) {
        tong_message message = TONG_MESSAGE_INIT;
        code = next_message(&s, &message);
        if (code != 0) {
            break;
        }
        code = take(&s, &message, &ends);
        const int r =
            code == 0 || ends ? tong_done(box->box, &message) : tong_return(box->box, &message);
        if (r < 0 && code == 0) {
            code = tool_error(box->args, box->name, r, NULL);
        }
    }
    return code;
}
