/*
 * cmd_relay.c - `tong relay`: what comes into one mailbox goes on to another, of whatever carrier.
 *
 * A message is claimed, sent, and only then done: where this is killed in between, the first mailbox hands
 * it out again, so nothing is lost and the one in hand may go over twice. A request is called on, for who
 * has it must answer it: its caller watches this process, as this one watches who serves the other mailbox.
 */
#include "tool.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

struct relay {
    struct tool_box from;
    struct tool_box to;
    uint64_t left;      /* messages still to be passed on, UINT64_MAX: all that come */
    bool over;          /* nothing came for the time that was given, and no number was asked for */
    struct iovec reply; /* room for one, mapped at the first request */
    bool failed;        /* a reply could not be handed to its caller */
};

/* What its sender said of it goes with it. A place for replies is a name of its own carrier's. */
static tong_send_options said_of(const tong_message *m)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    with.key = m->key;
    with.tag = m->tag;
    with.call = m->call;
    with.priority = m->priority;
    with.reply_to = m->reply_to[0] ? m->reply_to : NULL;
    return with;
}

static int pass_on(struct relay *relay, const tong_message *m)
{
    tong_send_options with = said_of(m);
    tool_signals_interrupt(relay->to.box);
    int r = tool_box_send_with(&relay->to, m->data, m->len, &with);
    if (r == -EINVAL && with.reply_to) {
        with.reply_to = NULL;
        r = tool_box_send_with(&relay->to, m->data, m->len, &with);
    }
    tool_signals_interrupt(relay->from.box);
    return r == TONG_DROPPED ? 0 : r; /* the other mailbox counts what it drops */
}

/* 1: nobody answers there, which its caller is to be told. */
static int call_on(struct relay *relay, tong_message *request)
{
    const int r = relay->reply.iov_base ? 0 : tool_request_room(relay->to.name, &relay->reply);
    if (r < 0) {
        return r;
    }
    tong_send_options with = said_of(request);
    with.call = 0;
    with.reply_to = NULL;
    tool_signals_interrupt(relay->to.box);
    const ssize_t n =
        tong_call_with(relay->to.box, request->data, request->len, &with, relay->reply.iov_base,
                       relay->reply.iov_len, TONG_FOREVER, NULL);
    tool_signals_interrupt(relay->from.box);
    if (n == -EOWNERDEAD && tong_stat(relay->to.name, &(tong_status)TONG_STATUS_INIT) == 0) {
        return 1;
    }
    if (n < 0) {
        return (int)n;
    }
    return tool_request_reply(&relay->from, request, relay->reply.iov_base, (size_t)n,
                              &relay->failed);
}

/* 0 it is in the other mailbox, and done here. */
static int move(struct relay *relay, tong_message *m)
{
    if (m->call == 0 || m->reply_to[0] == '\0') {
        const int r = pass_on(relay, m);
        return r != 0 ? r : tong_done(relay->from.box, m);
    }
    const int r = call_on(relay, m);
    return r == 1 ? tool_request_refuse(&relay->from, m) : r;
}

static int relay_one(struct relay *relay)
{
    tong_message message = TONG_MESSAGE_INIT;
    int r = tool_box_claim(&relay->from, relay->from.timeout_ns, &message);
    if ((r == -EAGAIN || r == -ETIMEDOUT) && relay->left == UINT64_MAX) {
        relay->over = true;
        return TOOL_DONE;
    }
    if (r != 0) {
        return tool_box_receive_error(&relay->from, r);
    }
    const size_t len = message.len;
    r = move(relay, &message);
    if (r != 0) {
        const int kept = tong_return(relay->from.box, &message);
        const int code = tool_box_send_error(&relay->to, r, len);
        if (kept == 0 && !tool_stopping()) {
            tool_say(relay->from.args, relay->from.name, "the message is back in the mailbox");
        }
        return code;
    }
    relay->left -= relay->left != UINT64_MAX;
    return TOOL_DONE;
}

static int relay_all(struct relay *relay)
{
    int code = TOOL_DONE;
    while (code == TOOL_DONE && relay->left > 0 && !relay->over && !tool_stopping()) {
        code = relay_one(relay);
    }
    return code == TOOL_DONE && relay->failed ? TOOL_FAILED : code;
}

/* ---- A and B are two */

static const char *without_carrier(const char *name)
{
    return strncmp(name, "shm:", 4) == 0 ? name + 4 : name;
}

static bool is_same_name(const char *a, const char *b)
{
    return strcmp(without_carrier(a), without_carrier(b)) == 0;
}

/* A mailbox may have several names, as nats:NAME and nats://HOST/NAME. */
static bool is_same_box(const struct relay *relay)
{
    tong_status a = TONG_STATUS_INIT;
    tong_status b = TONG_STATUS_INIT;
    return tong_stat(relay->from.name, &a) == 0 && tong_stat(relay->to.name, &b) == 0 &&
           strcmp(a.carrier, b.carrier) == 0 && memcmp(a.id, b.id, sizeof(a.id)) == 0;
}

static int wrong_pair(const struct tool_args *args)
{
    return tool_wrong_usage(args, "%s to itself goes on for ever; say two mailboxes",
                            tool_shown(args->words[0]));
}

static int run(const struct tool_args *args)
{
    struct relay relay = { .left = UINT64_MAX };
    if (tool_need_words(args, 2, "the mailboxes A and B") ||
        tool_value_size(args, "--count", UINT64_MAX - 1, &relay.left)) {
        return TOOL_USAGE;
    }
    if (relay.left == 0) {
        return tool_wrong_usage(args, "--count: 0 is no message; say 1 or more");
    }
    if (is_same_name(args->words[0], args->words[1])) {
        return wrong_pair(args);
    }
    int code = tool_box_open(args, args->words[1], TONG_SEND, NULL, &relay.to);
    if (code != TOOL_DONE) {
        return code;
    }
    relay.to.timeout_ns = TONG_FOREVER;
    code = tool_box_open(args, args->words[0], TONG_RECEIVE, NULL, &relay.from);
    if (code == TOOL_DONE && is_same_box(&relay)) {
        code = tool_box_close(&relay.from, wrong_pair(args));
    } else if (code == TOOL_DONE) {
        code = tool_box_close(&relay.from, relay_all(&relay));
    }
    if (relay.reply.iov_base) {
        (void)munmap(relay.reply.iov_base, relay.reply.iov_len);
    }
    return tool_box_close(&relay.to, code);
}

const struct tool_command tool_relay = {
    .name = "relay",
    .line = "pass on what comes into one mailbox to another",
    .usage = "relay A B [--count N] [--timeout S] [--no-create]",
    .examples = "tong relay orders archive               all that comes into orders, until Ctrl-C\n"
                "tong relay jobs backup --timeout 0      what waits in jobs now, then end",
    .about =
        "A and B may be of different carriers. A message is taken out of A when it is in B: if\n"
        "this is killed nothing is lost, and the message in hand may come twice. It takes its "
        "key,\n"
        "tag and priority along; its sender is then this process. While B is full this waits.\n"
        "A request (tong call) is called on: this waits for the reply of who serves B, and hands "
        "it\n"
        "to the caller. Mailboxes that are not there are made.",
    .options =
        (const struct tool_option[]){
            { "--count", "N", "end after N messages" },
            { "--timeout", "S", "end when nothing came for S seconds; 0: when A is empty" },
            { "--no-create", NULL, "fail if one of them is not there" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = tool_complete_mailboxes,
};
