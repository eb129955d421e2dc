/*
 * request.c - requests, for `call`, `serve` and `relay`: room for a reply, a reply that cannot be sent, and
 * what becomes of a request that nobody answers.
 */
#include "tool.h"

#include <errno.h>
#include <sys/mman.h>

/* A caller that does not take its replies, being stopped or full, is waited for so long. */
#define REPLY_NS TONG_SEC(10)

int tool_request_room(const char *name, struct iovec *ret_room)
{
    tong_status status = TONG_STATUS_INIT;
    const int r = tong_stat(name, &status);
    if (r < 0) {
        return r;
    }
    const uint64_t most = status.max_bytes < TONG_MESSAGE_MAX ? status.max_bytes : TONG_MESSAGE_MAX;
    void *const room = mmap(NULL, (size_t)most, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) {
        return -ENOMEM;
    }
    *ret_room = (struct iovec){ .iov_base = room, .iov_len = (size_t)most };
    return 0;
}

bool tool_request_comes_again(const char *name)
{
    tong_status status = TONG_STATUS_INIT;
    return tong_stat(name, &status) == 0 && status.max_deliveries > 1;
}

int tool_request_refuse(const struct tool_box *box, tong_message *request)
{
    return tool_request_comes_again(box->name) ? tong_return(box->box, request)
                                               : tong_done(box->box, request);
}

int tool_request_reply(const struct tool_box *box, tong_message *request, const void *data,
                       size_t len, bool *ret_failed)
{
    int r;
    do {
        r = tong_reply(box->box, request, data, len, REPLY_NS);
    } while (tool_again(r));
    if (r == 0 || r == -ENOENT || tool_stopping()) {
        return r == -ENOENT ? 0 : r; /* its caller is gone */
    }
    (void)tool_error(box->args, box->name, r,
                     "that was the reply to one caller, who is told that nobody answers");
    *ret_failed = true;
    return tong_done(box->box, request);
}
