/* The carrier unix: its table. See unix.h. */
#include "carrier/unix/unix.h"

#include <stddef.h>

#include "carrier/unix/call.h"

static int open_(const char *rest, unsigned flags, const tong_options *options,
                 tg_handle *ret_handle)
{
    return tg_unix_open(rest, flags, options, 0, ret_handle);
}

const struct tg_carrier tg_carrier_unix = {
    .prefix = "unix",
    .open = open_,
    .close = tg_unix_close,
    .remove = tg_unix_remove,
    .send = tg_unix_send,
    .send_with = tg_unix_send_with,
    .send_fd = tg_unix_send_fd,
    .send_many = tg_unix_send_many,
    .reserve = tg_unix_reserve,
    .commit = tg_unix_commit,
    .receive = tg_unix_receive,
    .receive_with = tg_unix_receive_with,
    .receive_fd = tg_unix_receive_fd,
    .receive_many = tg_unix_receive_many,
    .claim = tg_unix_claim,
    .claim_with = tg_unix_claim_with,
    .wait_any = tg_unix_wait_any,
    .watch = tg_unix_watch,
    .fd = tg_unix_fd,
    .set = tg_unix_set,
    .give = tg_unix_give,
    .process_open = tg_unix_process_open,
    .process_rename = tg_unix_process_rename,
    .process_pause = tg_unix_process_pause,
    .receive_any = tg_unix_receive_any,
    .receive_from = tg_unix_receive_from,
    .peer_open = tg_unix_peer_open,
    .peer_check = tg_unix_peer_check,
    .peer_look_up = tg_unix_peer_look_up,
    .peer_is_same = tg_unix_peer_is_same,
    .peer_rename = tg_unix_peer_rename,
    .links = tg_unix_links,
    .reply_open = tg_unix_reply_open,
    .ask = tg_unix_ask,
    .await = tg_unix_await,
    .caller_open = tg_unix_caller_open,
    .answered = tg_unix_answered,
    .abort = tg_unix_abort,
    .done = tg_unix_done,
    .give_back = tg_unix_give_back,
    .skip = tg_unix_skip,
    .origin = tg_unix_origin,
    .interrupt = tg_unix_interrupt,
    .stat = tg_unix_stat,
    .parties = tg_unix_parties,
    .list = tg_unix_list,
};
