/* The calls of a carrier whose handle is a mailbox of layer 3. */
#ifndef TG_CARRIER_ON_BOX_H
#define TG_CARRIER_ON_BOX_H

#include "carrier/carrier.h"

int tg_on_box_close(tg_handle h);
int tg_on_box_send(tg_handle h, const void *data, size_t len, int64_t timeout_ns);
int tg_on_box_send_with(tg_handle h, const void *data, size_t len, const tong_send_options *with,
                        int64_t timeout_ns);
ssize_t tg_on_box_send_many(tg_handle h, const struct iovec *messages, size_t n,
                            int64_t timeout_ns);
int tg_on_box_reserve(tg_handle h, size_t len, int64_t timeout_ns, tong_slot *ret_slot);
int tg_on_box_commit(tg_handle h, tong_slot *slot, size_t len);
int tg_on_box_abort(tg_handle h, tong_slot *slot);
ssize_t tg_on_box_receive(tg_handle h, void *buf, size_t size, int64_t timeout_ns);
ssize_t tg_on_box_receive_with(tg_handle h, void *buf, size_t size,
                               const tong_receive_options *with, int64_t timeout_ns,
                               tong_message *ret_info);
ssize_t tg_on_box_receive_many(tg_handle h, const struct iovec *buffers, size_t n,
                               int64_t timeout_ns, size_t *ret_lens);
int tg_on_box_claim(tg_handle h, int64_t timeout_ns, tong_message *ret_message);
int tg_on_box_claim_with(tg_handle h, const tong_receive_options *with, int64_t timeout_ns,
                         tong_message *ret_message);
int tg_on_box_watch(tg_handle h, int64_t timeout_ns, tong_death *ret_death);
int tg_on_box_wait_any(tg_handle const handles[], size_t n, int64_t timeout_ns);
int tg_on_box_done(tg_handle h, tong_message *message);
int tg_on_box_give_back(tg_handle h, tong_message *message);
ssize_t tg_on_box_skip(tg_handle h);
int tg_on_box_origin(tg_handle h, const tong_message *message, tong_origin *ret_origin);
int tg_on_box_give(tg_handle h, const char *process);
int tg_on_box_fd(tg_handle h, unsigned what);
int tg_on_box_set(tg_handle h, const tong_options *options, unsigned what);
int tg_on_box_interrupt(tg_handle h);
int tg_on_box_process_rename(tg_handle me, const char *rest);
int tg_on_box_process_pause(tg_handle me, int64_t deadline_ns);
ssize_t tg_on_box_receive_any(tg_handle me, void *buf, size_t size, int64_t timeout_ns,
                              char ret_from[TONG_NAME_MAX]);
ssize_t tg_on_box_receive_from(tg_handle me, const char *rest, tg_handle peer, void *buf,
                               size_t size, int64_t timeout_ns);
int tg_on_box_peer_open(tg_handle me, const char *rest, tg_handle *ret_peer);
int tg_on_box_peer_check(tg_handle peer);
int tg_on_box_peer_look_up(tg_handle peer, const char *rest);
bool tg_on_box_peer_is_same(tg_handle a, tg_handle b);
void tg_on_box_peer_rename(tg_handle peer, const char *rest);

int tg_on_box_reply_open(tg_handle h, tg_handle *ret_reply, char ret_name[TONG_NAME_MAX],
                         uint64_t *ret_number);
int tg_on_box_ask(tg_handle h, tg_handle reply, const void *data, size_t len,
                  const tong_send_options *with, int64_t timeout_ns, uint64_t ret_where[2]);
ssize_t tg_on_box_await(tg_handle h, tg_handle reply, const uint64_t where[2], uint64_t number,
                        void *buf, size_t size, int64_t timeout_ns, tong_message *ret_info);
int tg_on_box_caller_open(tg_handle h, const char *rest, tg_handle *ret_caller);
int tg_on_box_answered(tg_handle h, tong_message *request);

/* Their places in struct tg_carrier. */
#define TG_ON_BOX                                                                                  \
    .close = tg_on_box_close, .send = tg_on_box_send, .send_with = tg_on_box_send_with,            \
    .send_many = tg_on_box_send_many, .reserve = tg_on_box_reserve, .commit = tg_on_box_commit,    \
    .abort = tg_on_box_abort, .receive = tg_on_box_receive,                                        \
    .receive_with = tg_on_box_receive_with, .receive_many = tg_on_box_receive_many,                \
    .claim = tg_on_box_claim, .claim_with = tg_on_box_claim_with, .watch = tg_on_box_watch,        \
    .wait_any = tg_on_box_wait_any, .done = tg_on_box_done, .give_back = tg_on_box_give_back,      \
    .skip = tg_on_box_skip, .origin = tg_on_box_origin, .give = tg_on_box_give,                    \
    .fd = tg_on_box_fd, .set = tg_on_box_set, .interrupt = tg_on_box_interrupt,                    \
    .process_rename = tg_on_box_process_rename, .process_pause = tg_on_box_process_pause,          \
    .receive_any = tg_on_box_receive_any, .receive_from = tg_on_box_receive_from,                  \
    .peer_open = tg_on_box_peer_open, .peer_check = tg_on_box_peer_check,                          \
    .peer_look_up = tg_on_box_peer_look_up, .peer_is_same = tg_on_box_peer_is_same,                \
    .peer_rename = tg_on_box_peer_rename, .reply_open = tg_on_box_reply_open,                      \
    .ask = tg_on_box_ask, .await = tg_on_box_await, .caller_open = tg_on_box_caller_open,          \
    .answered = tg_on_box_answered

#endif
