/*
 * receive.c - messages out of a mailbox, for `receive` and `hold`.
 *
 * A message is claimed, written from where it lies, and only then done. If it cannot be written (a
 * reader of our output that is gone, a full disk, a command that fails) it goes back into the
 * mailbox for the next receiver: nothing is lost by a receiver's failure. A command that fails ends the
 * work, unless that is a worker's (--ack), who goes on with the next message.
 */
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

enum {
    COMMAND_FAILED = -1,
    JSON_FIELDS = 12
};

static int write_error(struct tool_receive *rx, int r)
{
    if (tool_stopping() || (r == -EPIPE && rx->may_close)) {
        return TOOL_FAILED;
    }
    return tool_failed(rx->box.args, rx->box.name, "cannot write to %s, %s; %s", rx->output.name,
                       r == -EPIPE ? "nobody reads it any more" : strerror(-r),
                       rx->is_reply ? "the reply is lost"
                       : rx->owned  ? "the mailbox ends, with what waits in it"
                                    : "the message is back in the mailbox");
}

static int write_parts(struct tool_receive *rx, struct iovec *parts, size_t n)
{
    const int r = tool_file_write(&rx->output, parts, n);
    return r == 0 ? TOOL_DONE : write_error(rx, r);
}

static int write_plain(struct tool_receive *rx, const tong_message *m)
{
    const char *const data = m->data;
    char mark = (char)rx->mark;
    bool marked = rx->mark >= 0;
    if (!marked && rx->output.terminal) {
        mark = '\n';
        marked = m->len == 0 || data[m->len - 1] != '\n';
    }
    struct iovec parts[] = {
        { .iov_base = (char *)(uintptr_t)data, .iov_len = m->len },
        { .iov_base = &mark, .iov_len = marked ? 1 : 0 },
    };
    return write_parts(rx, parts, 2);
}

/* What its sender said of it, as far as there is something. */
static size_t said_fields(const tong_message *m, struct tool_field *fields, char key[20])
{
    size_t n = 0;
    if (m->priority != 0) {
        fields[n++] =
            (struct tool_field){ .name = "priority", .kind = TOOL_NUMBER, .number = m->priority };
    }
    if (m->tag != 0) {
        fields[n++] = (struct tool_field){ .name = "tag", .kind = TOOL_NUMBER, .number = m->tag };
    }
    if (m->key != 0) {
        snprintf(key, 20, "%016llx", (unsigned long long)m->key);
        fields[n++] = (struct tool_field){ .name = "key", .kind = TOOL_TEXT, .text = key };
    }
    return n;
}

static int write_json(struct tool_receive *rx, const tong_message *m)
{
    tong_origin origin = TONG_ORIGIN_INIT;
    struct tool_field fields[JSON_FIELDS + TOOL_ORIGIN_FIELDS_MAX];
    char words[TOOL_STATUS_WORDS];
    char key[20];
    const struct tool_field first[] = {
        { .name = "mailbox", .kind = TOOL_TEXT, .text = rx->box.name },
        { .name = "sequence", .kind = TOOL_NUMBER, .number = m->sequence },
        { .name = "deliveries", .kind = TOOL_NUMBER, .number = m->deliveries },
        { .name = "uid", .kind = TOOL_NUMBER, .number = m->uid },
        { .name = "gid", .kind = TOOL_NUMBER, .number = m->gid },
        { .name = "pid", .kind = TOOL_SIGNED, .number = (uint64_t)(int64_t)m->pid },
        { .name = "uid_verified", .kind = TOOL_TRUTH, .number = m->verified & TONG_VERIFIED_UID },
    };
    const struct tool_field last[] = {
        { .name = "len", .kind = TOOL_NUMBER, .number = m->len },
        { .name = "data", .kind = TOOL_BYTES, .text = m->data, .number = m->len },
    };
    size_t n = sizeof(first) / sizeof(first[0]);
    memcpy(fields, first, sizeof(first));
    n += said_fields(m, fields + n, key);
    if (tong_origin_of(rx->box.box, m, &origin) == 1) {
        n += tool_origin_fields(&origin, fields + n, words);
    }
    memcpy(fields + n, last, sizeof(last));
    n += sizeof(last) / sizeof(last[0]);
    char *const line = tool_json_object(fields, n);
    if (!line) {
        return tool_error(rx->box.args, rx->box.name, -ENOMEM, NULL);
    }
    struct iovec part = { .iov_base = line, .iov_len = strlen(line) };
    const int code = write_parts(rx, &part, 1);
    free(line);
    return code;
}

int tool_receive_write(struct tool_receive *rx, const tong_message *message)
{
    return rx->json ? write_json(rx, message) : write_plain(rx, message);
}

/* What becomes of a message whose command failed. */
static void describe_future(const struct tool_receive *rx, const tong_message *m, char *out,
                            size_t size)
{
    tong_status status = TONG_STATUS_INIT;
    if (tong_stat(rx->box.name, &status) != 0 || status.max_deliveries == 0) {
        snprintf(out, size, "and the message is back in the mailbox");
    } else if (m->deliveries < status.max_deliveries) {
        snprintf(out, size, "and the message is back in the mailbox, delivered %u of %u times",
                 m->deliveries, status.max_deliveries);
    } else if (status.dead_letter[0]) {
        snprintf(out, size, "for the last time, and the message goes to the dead letters in %s",
                 status.dead_letter);
    } else {
        snprintf(out, size, "for the last time, and the message is set aside");
    }
}

static int run_command(struct tool_receive *rx, const tong_message *m)
{
    int ended = 0;
    char future[256];
    const int code = tool_receive_exec(&rx->box, rx->exec, m, -1, &ended);
    if (code != TOOL_DONE || ended == 0) {
        return code;
    }
    describe_future(rx, m, future, sizeof(future));
    (void)tool_failed(rx->box.args, rx->box.name,
                      "the command ended with %d %s; look at what it printed%s", ended, future,
                      rx->acks ? "" : ", or take the message without --exec");
    return COMMAND_FAILED;
}

/* TOOL_DONE: the message is done. COMMAND_FAILED, or an exit code: it goes back. */
static int hand_over(struct tool_receive *rx, const tong_message *m)
{
    if (rx->exec) {
        return run_command(rx, m);
    }
    const int code = tool_receive_write(rx, m);
    const int r = code == TOOL_DONE && rx->acks ? tool_file_sync(&rx->output) : 0;
    return r < 0 ? write_error(rx, r) : code;
}

static int receive_one(struct tool_receive *rx)
{
    tong_message message = TONG_MESSAGE_INIT;
    int r = tool_box_claim(&rx->box, rx->box.timeout_ns, &message);
    if (r != 0) {
        rx->lost = !tool_stopping() && r != -EAGAIN && r != -ETIMEDOUT;
        return tool_box_receive_error(&rx->box, r);
    }
    tool_watch_total(message.len);
    const int code = hand_over(rx, &message);
    r = code == TOOL_DONE ? tong_done(rx->box.box, &message) : tong_return(rx->box.box, &message);
    return r < 0 && code == TOOL_DONE ? tool_error(rx->box.args, rx->box.name, r, NULL) : code;
}

int tool_receive_run(struct tool_receive *rx)
{
    int code = TOOL_DONE;
    bool failed = false;
    while (code == TOOL_DONE && rx->count > 0 && !tool_stopping()) {
        code = receive_one(rx);
        if (code == COMMAND_FAILED) {
            failed = true;
            code = rx->acks ? TOOL_DONE : TOOL_FAILED;
        }
        if (rx->count != UINT64_MAX) {
            rx->count--;
        }
    }
    return code == TOOL_DONE && failed ? TOOL_FAILED : code;
}

int tool_receive_form(const struct tool_args *args, struct tool_receive *rx)
{
    static const char *const forms[] = { "--lines", "--null", "--json", NULL };
    if (tool_only_one_of(args, forms)) {
        return TOOL_USAGE;
    }
    rx->mark = tool_given(args, "--lines") ? '\n' : tool_given(args, "--null") ? '\0' : -1;
    rx->json = tool_given(args, "--json");
    return rx->json ? tool_json_need(args) : 0;
}
