/* The shared-memory carrier: the mailboxes of layer 3 as they are. */
#include "carrier/carrier.h"
#include "mailbox/mailbox.h"

static int open_(const char *rest, unsigned flags, const tong_options *options,
                 tg_handle *ret_handle)
{
    struct tg_box *box;
    const int r = tg_box_open(rest, flags, options, &box);
    if (r == 0) {
        *ret_handle = box;
    }
    return r;
}

static int close_(tg_handle h)
{
    return tg_box_close(h);
}

static int send_(tg_handle h, const void *data, size_t len, int64_t timeout_ns)
{
    return tg_box_send(h, data, len, timeout_ns);
}

static int send_with(tg_handle h, const void *data, size_t len, const tong_send_options *with,
                     int64_t timeout_ns)
{
    return tg_box_send_with(h, data, len, with, timeout_ns);
}

static ssize_t send_many(tg_handle h, const struct iovec *messages, size_t n, int64_t timeout_ns)
{
    return tg_box_send_many(h, messages, n, timeout_ns);
}

static int reserve(tg_handle h, size_t len, int64_t timeout_ns, tong_slot *ret_slot)
{
    return tg_box_reserve(h, len, timeout_ns, ret_slot);
}

static int commit(tg_handle h, tong_slot *slot, size_t len)
{
    return tg_box_commit(h, slot, len);
}

static ssize_t receive(tg_handle h, void *buf, size_t size, int64_t timeout_ns)
{
    return tg_box_receive(h, buf, size, timeout_ns);
}

static ssize_t receive_with(tg_handle h, void *buf, size_t size, const tong_receive_options *with,
                            int64_t timeout_ns, tong_message *ret_info)
{
    return tg_box_receive_with(h, buf, size, with, timeout_ns, ret_info);
}

static ssize_t receive_many(tg_handle h, const struct iovec *buffers, size_t n, int64_t timeout_ns,
                            size_t *ret_lens)
{
    return tg_box_receive_many(h, buffers, n, timeout_ns, ret_lens);
}

static int claim(tg_handle h, int64_t timeout_ns, tong_message *ret_message)
{
    return tg_box_claim(h, NULL, timeout_ns, ret_message);
}

static int claim_with(tg_handle h, const tong_receive_options *with, int64_t timeout_ns,
                      tong_message *ret_message)
{
    return tg_box_claim(h, with, timeout_ns, ret_message);
}

static int wait_any(tg_handle const handles[], size_t n, int64_t timeout_ns)
{
    return tg_box_wait_any((struct tg_box *const *)handles, n, timeout_ns);
}

static int abort_(tg_handle h, tong_slot *slot)
{
    return tg_box_abort(h, slot);
}

static int done(tg_handle h, tong_message *message)
{
    return tg_box_done(h, message);
}

static int give_back(tg_handle h, tong_message *message)
{
    return tg_box_return(h, message);
}

static ssize_t skip(tg_handle h)
{
    return tg_box_skip(h);
}

static int origin(tg_handle h, const tong_message *message, tong_origin *ret_origin)
{
    return tg_box_origin(h, message, ret_origin);
}

static int set(tg_handle h, const tong_options *options, unsigned what)
{
    return tg_box_set(h, options, what);
}

static int give(tg_handle h, const char *process)
{
    return tg_box_give(h, process);
}

static int watch(tg_handle h, int64_t timeout_ns, tong_death *ret_death)
{
    return tg_box_watch(h, timeout_ns, ret_death);
}

static int fd_(tg_handle h, unsigned what)
{
    return tg_box_fd(h, what);
}

static int interrupt(tg_handle h)
{
    return tg_box_interrupt(h);
}

static int process_open(const char *rest, const tong_options *options, tg_handle *ret_me)
{
    struct tg_box *box;
    const int r = tg_process_open(rest, options, &box);
    if (r == 0) {
        *ret_me = box;
    }
    return r;
}

static int process_rename(tg_handle me, const char *rest)
{
    return tg_process_rename(me, rest);
}

static int process_pause(tg_handle me, int64_t deadline_ns)
{
    return tg_process_pause(me, deadline_ns);
}

static ssize_t receive_any(tg_handle me, void *buf, size_t size, int64_t timeout_ns,
                           char ret_from[TONG_NAME_MAX])
{
    return tg_box_receive_any(me, buf, size, timeout_ns, ret_from);
}

static ssize_t receive_from(tg_handle me, const char *rest, tg_handle peer, void *buf, size_t size,
                            int64_t timeout_ns)
{
    return tg_box_receive_from(me, rest, peer, buf, size, timeout_ns);
}

static int peer_open(tg_handle me, const char *rest, tg_handle *ret_peer)
{
    struct tg_box *box;
    const int r = tg_peer_open(me, rest, &box);
    if (r == 0) {
        *ret_peer = box;
    }
    return r;
}

static int peer_check(tg_handle peer)
{
    return tg_peer_check(peer);
}

static int peer_look_up(tg_handle peer, const char *rest)
{
    return tg_peer_look_up(peer, rest);
}

static bool peer_is_same(tg_handle a, tg_handle b)
{
    return tg_peer_is_same(a, b);
}

static void peer_rename(tg_handle peer, const char *rest)
{
    tg_peer_rename(peer, rest);
}

static int reply_open(tg_handle h, tg_handle *ret_reply, char ret_name[TONG_NAME_MAX],
                      uint64_t *ret_number)
{
    struct tg_box *box;
    const int r = tg_reply_open(h, &box, ret_name, ret_number);
    if (r == 0) {
        *ret_reply = box;
    }
    return r;
}

static int ask(tg_handle h, const void *data, size_t len, const tong_send_options *with,
               int64_t timeout_ns, uint64_t ret_where[2])
{
    return tg_box_ask(h, data, len, with, timeout_ns, ret_where);
}

static ssize_t await(tg_handle h, tg_handle reply, const uint64_t where[2], uint64_t number,
                     void *buf, size_t size, int64_t timeout_ns, tong_message *ret_info)
{
    return tg_box_await(h, reply, where, number, buf, size, timeout_ns, ret_info);
}

static int caller_open(tg_handle h, const char *rest, tg_handle *ret_caller)
{
    struct tg_box *box;
    const int r = tg_caller_open(h, rest, &box);
    if (r == 0) {
        *ret_caller = box;
    }
    return r;
}

static int answered(tg_handle h, tong_message *request)
{
    return tg_box_answered(h, request);
}

static int observer_open(const char *rest, tg_handle *ret_observer)
{
    struct tg_observer *observer;
    const int r = tg_observer_open(rest, &observer);
    if (r == 0) {
        *ret_observer = observer;
    }
    return r;
}

static int observer_close(tg_handle observer)
{
    return tg_observer_close(observer);
}

static ssize_t peek(tg_handle observer, void *buf, size_t size, int64_t timeout_ns,
                    tong_message *ret_info, uint64_t *ret_missed)
{
    return tg_observer_peek(observer, buf, size, timeout_ns, ret_info, ret_missed);
}

const struct tg_carrier tg_carrier_shm = {
    .prefix = "shm",
    .open = open_,
    .close = close_,
    .remove = tg_box_remove,
    .send = send_,
    .send_with = send_with,
    .send_many = send_many,
    .reserve = reserve,
    .commit = commit,
    .receive = receive,
    .receive_with = receive_with,
    .receive_many = receive_many,
    .claim = claim,
    .claim_with = claim_with,
    .wait_any = wait_any,
    .abort = abort_,
    .done = done,
    .give_back = give_back,
    .skip = skip,
    .origin = origin,
    .give = give,
    .set = set,
    .watch = watch,
    .fd = fd_,
    .interrupt = interrupt,
    .process_open = process_open,
    .process_rename = process_rename,
    .process_pause = process_pause,
    .receive_any = receive_any,
    .receive_from = receive_from,
    .peer_open = peer_open,
    .peer_check = peer_check,
    .peer_look_up = peer_look_up,
    .peer_is_same = peer_is_same,
    .peer_rename = peer_rename,
    .links = tg_box_links,
    .reply_open = reply_open,
    .ask = ask,
    .await = await,
    .caller_open = caller_open,
    .answered = answered,
    .observer_open = observer_open,
    .observer_close = observer_close,
    .peek = peek,
    .stat = tg_box_stat,
    .parties = tg_box_parties,
    .list = tg_box_list,
};
