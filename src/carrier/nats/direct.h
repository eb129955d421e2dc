/*
 * Processes that name each other: a process's own mailbox, and handles on those of others.
 *
 *   SPACE.d.NAME     the mailbox of the process that is called so now
 *   SPACE.x.ID.name  how the process with that mailbox is called, if it has been renamed
 *
 * I1  A message's subject says the id of its sender's mailbox, its head what that was called. Who asks for a sender by
 *     name compares with what it is called now, or was called last: so messages sent before a rename are received
 *     under the new name.
 * I2  A rename makes the new line, says the new name, and deletes the old line: whoever finds the old one gone finds
 *     the new one.
 * I3  All else that stands on the server of a mailbox has the name it was made with (record.home): it stays when the
 *     process is renamed.
 */
#ifndef TG_CARRIER_NATS_DIRECT_H
#define TG_CARRIER_NATS_DIRECT_H

#include "carrier/nats/box.h"

/* As the functions of carrier.h with these names. */
int tg_nats_process_open(const char *rest, const tong_options *options,
                         struct tg_nats_box **ret_me);
int tg_nats_process_rename(struct tg_nats_box *me, const char *rest);
int tg_nats_process_pause(struct tg_nats_box *me, int64_t deadline);
int tg_nats_peer_open(struct tg_nats_box *me, const char *rest, struct tg_nats_box **ret_peer);
int tg_nats_peer_check(struct tg_nats_box *peer);
int tg_nats_peer_look_up(struct tg_nats_box *peer, const char *rest);
bool tg_nats_peer_is_same(const struct tg_nats_box *a, const struct tg_nats_box *b);
int tg_nats_links(tong_links_fn *each, void *arg);
/* receive.c. from, peer and ret_from may be NULL. */
ssize_t tg_nats_receive_from(struct tg_nats_box *me, const char *from, struct tg_nats_box *peer,
                             void *buf, size_t size, int64_t timeout_ns, char *ret_from);

/* By which name it is found now, as far as this handle knows. */
void tg_nats_called(struct tg_nats_box *box, char ret_name[TONG_NAME_MAX]);
/* What the process with that mailbox is called now; then: what it was called when it sent. */
int tg_nats_name_of(struct tg_nats_box *box, const char *id, const char *then,
                    char ret_name[TONG_NAME_MAX]);
/* Between enter and leave: what the book says of the mailbox, whatever it is called. seq 0: it has ended. */
int tg_nats_find_again(struct tg_nats_box *box, const struct tg_js *js,
                       struct tg_nats_record *ret_record);

/* ---- stash.c; inside the receiving side */

/* It is not asked for now: in hand, until it is. -ENOMEM: it is given back. */
int tg_nats_stash(struct tg_nats_box *box, const struct tg_nats_taken *taken);
/* The first one that the call asks for: 1, 0, -errno. It is the caller's, and lies there until the next call of this. */
int tg_nats_from_stash(struct tg_nats_box *box, const struct tg_nats_call *call,
                       struct tg_nats_msg *ret_msg);
/* The handle is being closed; its mailbox ends, with what waits here. */
void tg_nats_empty_stash(struct tg_nats_box *box);
/* The memory alone: in a forked child. */
void tg_nats_free_stash(struct tg_nats_box *box);

/* ---- look.c: the names of all mailboxes, in order; freed by the caller */
int tg_nats_find_names(struct tg_nats_server *server, char (**ret_names)[TONG_NAME_MAX],
                       size_t *ret_n);

#endif
