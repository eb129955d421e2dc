/*
 * A mailbox in shared memory, as one handle of one process sees it.
 *
 * Links, receivers, delivery policy, owner, claims, recovery. What the calls mean and answer
 * stands in tong.h; the functions here are what the shm carrier's table points to.
 */
#ifndef TG_MAILBOX_MAILBOX_H
#define TG_MAILBOX_MAILBOX_H

#include <stdbool.h>
#include <tong/tong.h>

struct tg_box;
/* What carries the messages, see way.h; NULL: the links themselves. */
struct tg_way;

/* What an opening is given, and who shall get the messages: -EINVAL, -ENAMETOOLONG, -EOPNOTSUPP. */
int tg_box_check_arguments(const char *name, unsigned flags, const tong_options *options);
int tg_box_open(const struct tg_way *way, const char *name, unsigned flags,
                const tong_options *options, struct tg_box **ret_box);
int tg_box_close(struct tg_box *box);
int tg_box_remove(const struct tg_way *way, const char *name);

int tg_box_send(struct tg_box *box, const void *data, size_t len, int64_t timeout_ns);
int tg_box_send_with(struct tg_box *box, const void *data, size_t len,
                     const tong_send_options *with, int64_t timeout_ns);
ssize_t tg_box_send_many(struct tg_box *box, const struct iovec *messages, size_t n,
                         int64_t timeout_ns);
int tg_box_reserve(struct tg_box *box, size_t len, int64_t timeout_ns, tong_slot *ret_slot);
int tg_box_commit(struct tg_box *box, tong_slot *slot, size_t len);
int tg_box_abort(struct tg_box *box, tong_slot *slot);

ssize_t tg_box_receive(struct tg_box *box, void *buf, size_t size, int64_t timeout_ns);
ssize_t tg_box_receive_with(struct tg_box *box, void *buf, size_t size,
                            const tong_receive_options *with, int64_t timeout_ns,
                            tong_message *ret_info);
ssize_t tg_box_receive_many(struct tg_box *box, const struct iovec *buffers, size_t n,
                            int64_t timeout_ns, size_t *ret_lens);
/* with NULL: whatever comes. */
int tg_box_claim(struct tg_box *box, const tong_receive_options *with, int64_t timeout_ns,
                 tong_message *ret_message);
int tg_box_done(struct tg_box *box, tong_message *message);
int tg_box_return(struct tg_box *box, tong_message *message);
ssize_t tg_box_skip(struct tg_box *box);

int tg_box_wait_any(struct tg_box *const boxes[], size_t n, int64_t timeout_ns);
int tg_box_interrupt(struct tg_box *box);
int tg_box_fd(struct tg_box *box, unsigned what);

int tg_box_give(struct tg_box *box, const char *process);
int tg_box_set(struct tg_box *box, const tong_options *options, unsigned what);
int tg_policy_register(const char *name, tong_choose_fn *choose, void *arg);
int tg_box_origin(struct tg_box *box, const tong_message *message, tong_origin *ret_origin);
int tg_box_watch(struct tg_box *box, int64_t timeout_ns, tong_death *ret_death);

/* ---- processes that name each other: process.c, from.c, pairs.c */

/* A process's own mailbox. -EBUSY: the name is a process's; -EEXIST: a mailbox's. */
int tg_process_open(const struct tg_way *way, const char *name, const tong_options *options,
                    struct tg_box **ret_box);
/* Give it another name; the links to others are told by tg_peer_rename(). */
int tg_process_rename(struct tg_box *box, const char *name);
/* Wait, until deadline_ns or tong_interrupt: 0, -EINTR, -ECANCELED, the end of the own mailbox. */
int tg_process_pause(struct tg_box *me, int64_t deadline_ns);
ssize_t tg_box_receive_any(struct tg_box *box, void *buf, size_t size, int64_t timeout_ns,
                           char ret_from[TONG_NAME_MAX]);
/* peer: the process of that name, whose end ends the call, or NULL: not watched. Also -ENOENT: it has
 * another name now. */
ssize_t tg_box_receive_from(struct tg_box *box, const char *from, struct tg_box *peer, void *buf,
                            size_t size, int64_t timeout_ns);

/* Another process's mailbox, to send to it as me, which must outlive it. -ENOENT; -EINVAL: what has the
 * name is no process. */
int tg_peer_open(struct tg_box *me, const char *name, struct tg_box **ret_peer);
/* 0 it lives and has the name it was opened under; -ENOENT it has another one; -EOWNERDEAD, -EIDRM, ... */
int tg_peer_check(struct tg_box *peer);
/* The same, and from now on this name. */
int tg_peer_look_up(struct tg_box *peer, const char *name);
bool tg_peer_is_same(const struct tg_box *a, const struct tg_box *b);
/* From now on this process is called so. */
void tg_peer_rename(struct tg_box *peer, const char *name);

int tg_box_links(const struct tg_way *way, tong_links_fn *each, void *arg);

/* ---- request and reply: request.c. where: a request, as its caller finds it again */

/* A mailbox for the replies to calls on box, ended by its interrupt and closed before it; its name and a
 * number to begin with are drawn by lot. */
int tg_reply_open(struct tg_box *box, struct tg_box **ret_reply, char ret_name[TONG_NAME_MAX],
                  uint64_t *ret_number);
/* As tg_box_send_with(). 0: it is in the mailbox; TONG_DROPPED: it is not. */
int tg_box_ask(struct tg_box *box, const void *data, size_t len, const tong_send_options *with,
               int64_t timeout_ns, uint64_t ret_where[2]);
/* The reply of that number out of reply, which has one call at a time; others that are there are thrown
 * away. As tg_box_receive_with(); also -EOWNERDEAD: nobody will answer. */
ssize_t tg_box_await(struct tg_box *box, struct tg_box *reply, const uint64_t where[2],
                     uint64_t number, void *buf, size_t size, int64_t timeout_ns,
                     tong_message *ret_info);
/* Another one's mailbox for replies, to send one; ended by the interrupt of box. -ENOENT. */
int tg_caller_open(struct tg_box *box, const char *name, struct tg_box **ret_caller);
/* The request is answered: its claim is done, or it is forgotten. 0, -ECHILD. */
int tg_box_answered(struct tg_box *box, tong_message *request);

/* ---- observers: peek.c */

struct tg_observer;

int tg_observer_open(const char *name, struct tg_observer **ret_observer);
int tg_observer_close(struct tg_observer *o);
/* ret_missed: also written on -EAGAIN and other errors but -ECHILD. */
ssize_t tg_observer_peek(struct tg_observer *o, void *buf, size_t size, int64_t timeout_ns,
                         tong_message *ret_info, uint64_t *ret_missed);

int tg_box_stat(const struct tg_way *way, const char *name, tong_status *ret_status);
int tg_box_list(const struct tg_way *way, tong_list_fn *each, void *arg);
int tg_box_parties(const struct tg_way *way, const char *name, tong_parties_fn *each, void *arg);
/* As tong_doctor; of a way's mailboxes there may be none yet. */
int tg_box_doctor(const struct tg_way *way, int repair, tong_doctor_fn *each, void *arg);

#endif
