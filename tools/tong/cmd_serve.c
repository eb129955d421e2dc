/*
 * cmd_serve.c - `tong serve`: answer each request with what a command prints.
 *
 * The request is claimed, and is the standard input of the command; what that writes to its standard
 * output is gathered in a file without a name, and is the reply if it exits with 0. If it does not, the
 * claim is finished without a reply, which its caller is told at once, or, where the mailbox hands a request
 * out again, given back for another server.
 */
#include "tool.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct serve {
    struct tool_box box;
    const char *exec;
    uint64_t count; /* requests still wanted; UINT64_MAX: all */
    bool failed;
};

static int refuse(struct serve *s, tong_message *request, int ended)
{
    const bool again = tool_request_comes_again(s->box.name);
    const int r = tool_request_refuse(&s->box, request);
    s->failed = true;
    (void)tool_failed(
        s->box.args, s->box.name, "the command ended with %d and %s; look at what it said", ended,
        again ? "the request goes to the next server" : "the caller is told that nobody answers");
    return r < 0 ? tool_error(s->box.args, s->box.name, r, NULL) : TOOL_DONE;
}

static int reply(struct serve *s, tong_message *request, const void *data, size_t len)
{
    int r;
    if (request->call == 0) { /* no request: nobody waits for what was said */
        r = tong_done(s->box.box, request);
    } else {
        tool_watch_wait();
        r = tool_request_reply(&s->box, request, data, len, &s->failed);
        tool_watch_go_on();
    }
    return r < 0 ? tool_box_send_error(&s->box, r, len) : TOOL_DONE;
}

/* What the command wrote. */
static int send_output(struct serve *s, tong_message *request, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return tool_file_error(s->box.args, "memory", errno);
    }
    if (st.st_size == 0) {
        return reply(s, request, NULL, 0);
    }
    void *const data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
        return tool_file_error(s->box.args, "memory", errno);
    }
    const int code = reply(s, request, data, (size_t)st.st_size);
    (void)munmap(data, (size_t)st.st_size);
    return code;
}

static int answer(struct serve *s, tong_message *request)
{
    int ended = 0;
    const int fd = memfd_create("tong-serve", MFD_CLOEXEC);
    if (fd < 0) {
        return tool_file_error(s->box.args, "memory", errno);
    }
    int code = tool_receive_exec(&s->box, s->exec, request, fd, &ended);
    if (code == TOOL_DONE) {
        code = ended != 0 ? refuse(s, request, ended) : send_output(s, request, fd);
    }
    (void)close(fd);
    return code;
}

/* Stopped, or failed in itself, it leaves what it has claimed with the handle: that tells the caller. */
static int serve(struct serve *s)
{
    int code = TOOL_DONE;
    while (code == TOOL_DONE && s->count > 0 && !tool_stopping()) {
        tong_message request = TONG_MESSAGE_INIT;
        const int r = tool_box_claim(&s->box, s->box.timeout_ns, &request);
        code = r < 0 ? tool_box_receive_error(&s->box, r) : answer(s, &request);
        s->count -= s->count != UINT64_MAX ? 1 : 0;
    }
    return code == TOOL_DONE && s->failed ? TOOL_FAILED : code;
}

static int run(const struct tool_args *args)
{
    struct serve s = { .exec = tool_value(args, "--exec"), .count = UINT64_MAX };
    if (tool_need_words(args, 1, "the NAME") ||
        tool_value_size(args, "--count", UINT64_MAX - 1, &s.count)) {
        return TOOL_USAGE;
    }
    if (!s.exec) {
        return tool_wrong_usage(args, "--exec CMD is missing: what answers a request");
    }
    if (s.count == 0) {
        return tool_wrong_usage(args, "--count: 0 is no request; say 1 or more");
    }
    const int code = tool_box_open(args, args->words[0], TONG_RECEIVE, NULL, &s.box);
    if (code != TOOL_DONE) {
        return code;
    }
    tool_watch_start(&s.box, false);
    return tool_box_close(&s.box, serve(&s));
}

const struct tool_command tool_serve = {
    .name = "serve",
    .line = "answer requests with what a command prints",
    .usage = "serve NAME --exec CMD [--count N] [--timeout S] [--no-create]",
    .examples = "tong serve upper --exec 'tr a-z A-Z'    each request in capitals\n"
                "tong serve add --exec bc --count 10     ten requests, then it ends",
    .about =
        "CMD is run with sh for each request, one at a time: the request is its standard input, "
        "its\n"
        "standard output is the reply. It finds TONG_MAILBOX and the others as `tong receive "
        "--exec`.\n"
        "When CMD fails the caller is told that nobody answers, at once; where the mailbox has\n"
        "--max-deliveries above 1, the request goes to the next server. Several servers may\n"
        "serve one mailbox. A mailbox that is not there is made.",
    .options =
        (const struct tool_option[]){
            { "--exec", "CMD", "what answers a request" },
            { "--count", "N", "end behind N requests; without it, at a signal" },
            { "--timeout", "S", "wait at most S seconds for each request" },
            { "--no-create", NULL, "fail if there is no mailbox of that name" },
            { NULL, NULL, NULL },
        },
    .run = run,
    .complete = tool_complete_mailbox,
};
