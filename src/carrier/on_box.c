#include "carrier/on_box.h"

#include "mailbox/mailbox.h"

int tg_on_box_close(tg_handle h)
{
    return tg_box_close(h);
}

int tg_on_box_send(tg_handle h, const void *data, size_t len, int64_t timeout_ns)
{
    return tg_box_send(h, data, len, timeout_ns);
}

int tg_on_box_send_with(tg_handle h, const void *data, size_t len, const tong_send_options *with,
                        int64_t timeout_ns)
{
    return tg_box_send_with(h, data, len, with, timeout_ns);
}

ssize_t tg_on_box_send_many(tg_handle h, const struct iovec *messages, size_t n, int64_t timeout_ns)
{
    return tg_box_send_many(h, messages, n, timeout_ns);
}

ssize_t tg_on_box_receive(tg_handle h, void *buf, size_t size, int64_t timeout_ns)
{
    return tg_box_receive(h, buf, size, timeout_ns);
}

ssize_t tg_on_box_receive_with(tg_handle h, void *buf, size_t size,
                               const tong_receive_options *with, int64_t timeout_ns,
                               tong_message *ret_info)
{
    return tg_box_receive_with(h, buf, size, with, timeout_ns, ret_info);
}

ssize_t tg_on_box_receive_many(tg_handle h, const struct iovec *buffers, size_t n,
                               int64_t timeout_ns, size_t *ret_lens)
{
    return tg_box_receive_many(h, buffers, n, timeout_ns, ret_lens);
}

int tg_on_box_claim(tg_handle h, int64_t timeout_ns, tong_message *ret_message)
{
    return tg_box_claim(h, NULL, timeout_ns, ret_message);
}

int tg_on_box_claim_with(tg_handle h, const tong_receive_options *with, int64_t timeout_ns,
                         tong_message *ret_message)
{
    return tg_box_claim(h, with, timeout_ns, ret_message);
}

int tg_on_box_wait_any(tg_handle const handles[], size_t n, int64_t timeout_ns)
{
    return tg_box_wait_any((struct tg_box *const *)handles, n, timeout_ns);
}

int tg_on_box_done(tg_handle h, tong_message *message)
{
    return tg_box_done(h, message);
}

int tg_on_box_give_back(tg_handle h, tong_message *message)
{
    return tg_box_return(h, message);
}

ssize_t tg_on_box_skip(tg_handle h)
{
    return tg_box_skip(h);
}

int tg_on_box_origin(tg_handle h, const tong_message *message, tong_origin *ret_origin)
{
    return tg_box_origin(h, message, ret_origin);
}

int tg_on_box_set(tg_handle h, const tong_options *options, unsigned what)
{
    return tg_box_set(h, options, what);
}

int tg_on_box_give(tg_handle h, const char *process)
{
    return tg_box_give(h, process);
}

int tg_on_box_watch(tg_handle h, int64_t timeout_ns, tong_death *ret_death)
{
    return tg_box_watch(h, timeout_ns, ret_death);
}

int tg_on_box_fd(tg_handle h, unsigned what)
{
    return tg_box_fd(h, what);
}

int tg_on_box_interrupt(tg_handle h)
{
    return tg_box_interrupt(h);
}

int tg_on_box_process_rename(tg_handle me, const char *rest)
{
    return tg_process_rename(me, rest);
}

int tg_on_box_process_pause(tg_handle me, int64_t deadline_ns)
{
    return tg_process_pause(me, deadline_ns);
}

ssize_t tg_on_box_receive_any(tg_handle me, void *buf, size_t size, int64_t timeout_ns,
                              char ret_from[TONG_NAME_MAX])
{
    return tg_box_receive_any(me, buf, size, timeout_ns, ret_from);
}

ssize_t tg_on_box_receive_from(tg_handle me, const char *rest, tg_handle peer, void *buf,
                               size_t size, int64_t timeout_ns)
{
    return tg_box_receive_from(me, rest, peer, buf, size, timeout_ns);
}

int tg_on_box_peer_open(tg_handle me, const char *rest, tg_handle *ret_peer)
{
    struct tg_box *box;
    const int r = tg_peer_open(me, rest, &box);
    if (r == 0) {
        *ret_peer = box;
    }
    return r;
}

int tg_on_box_peer_check(tg_handle peer)
{
    return tg_peer_check(peer);
}

int tg_on_box_peer_look_up(tg_handle peer, const char *rest)
{
    return tg_peer_look_up(peer, rest);
}

bool tg_on_box_peer_is_same(tg_handle a, tg_handle b)
{
    return tg_peer_is_same(a, b);
}

void tg_on_box_peer_rename(tg_handle peer, const char *rest)
{
    tg_peer_rename(peer, rest);
}

int tg_on_box_reserve(tg_handle h, size_t len, int64_t timeout_ns, tong_slot *ret_slot)
{
    return tg_box_reserve(h, len, timeout_ns, ret_slot);
}

int tg_on_box_commit(tg_handle h, tong_slot *slot, size_t len)
{
    return tg_box_commit(h, slot, len);
}

int tg_on_box_abort(tg_handle h, tong_slot *slot)
{
    return tg_box_abort(h, slot);
}

int tg_on_box_reply_open(tg_handle h, tg_handle *ret_reply, char ret_name[TONG_NAME_MAX],
                         uint64_t *ret_number)
{
    struct tg_box *box;
    const int r = tg_reply_open(h, &box, ret_name, ret_number);
    if (r == 0) {
        *ret_reply = box;
    }
    return r;
}

int tg_on_box_ask(tg_handle h, tg_handle reply, const void *data, size_t len,
                  const tong_send_options *with, int64_t timeout_ns, uint64_t ret_where[2])
{
    (void)reply;
    return tg_box_ask(h, data, len, with, timeout_ns, ret_where);
}

ssize_t tg_on_box_await(tg_handle h, tg_handle reply, const uint64_t where[2], uint64_t number,
                        void *buf, size_t size, int64_t timeout_ns, tong_message *ret_info)
{
    return tg_box_await(h, reply, where, number, buf, size, timeout_ns, ret_info);
}

int tg_on_box_caller_open(tg_handle h, const char *rest, tg_handle *ret_caller)
{
    struct tg_box *box;
    const int r = tg_caller_open(h, rest, &box);
    if (r == 0) {
        *ret_caller = box;
    }
    return r;
}

int tg_on_box_answered(tg_handle h, tong_message *request)
{
    return tg_box_answered(h, request);
}
