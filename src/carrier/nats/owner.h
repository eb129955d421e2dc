/*
 * Whose a mailbox is, and who alone receives from it.
 *
 * A process-owned mailbox names its owner in the book's line: process and handle. It ends when that handle is closed, or
 * when its process is dead: whoever finds that out ends it for all.
 *
 *   SPACE.v.NAME.ID.one    of an exclusive mailbox: "PROC HANDLE", who receives
 *   SPACE.x.ID.NAME        a process-owned mailbox was removed, and did not end with its owner
 *   SPACE.x.ID.given       it was given on: who knows of no owner may not have heard
 *
 * A process is dead if it is absent in three looks, for a moment each; for longer after a connection of our own was
 * lost, for then others have lost theirs, too.
 */
#ifndef TG_CARRIER_NATS_OWNER_H
#define TG_CARRIER_NATS_OWNER_H

#include "carrier/nats/box.h"

/* No connection of our own was lost a moment ago. */
bool tg_nats_is_calm(const struct tg_nats_server *server);
/* In how many looks who is dead is absent, and the time between two. */
unsigned tg_nats_looks(const struct tg_nats_server *server);
void tg_nats_pause_between_looks(void);
/* Between enter and leave. */
int tg_nats_is_dead(struct tg_nats_server *server, const struct tg_js *js, const char *proc,
                    bool *ret_dead);
/* If its owner is dead: end it. 1: it was. */
int tg_nats_end_if_dead(struct tg_nats_server *server, const struct tg_js *js,
                        const struct tg_nats_record *record);
/* Before a process-owned mailbox is removed by its name. */
int tg_nats_note_removed(struct tg_nats_server *server, const struct tg_js *js,
                         const struct tg_nats_record *record);
/* Once it is given on. */
int tg_nats_note_given(struct tg_nats_server *server, const struct tg_js *js, const char *id);
/* Why a mailbox that is not in the book any more has ended: -EIDRM, -EOWNERDEAD. */
int tg_nats_end_of(struct tg_nats_server *server, const struct tg_js *js,
                   const struct tg_nats_record *record);
bool tg_nats_owns(struct tg_nats_box *box);

/* The handle is to be the one that receives: -EBUSY, -EPERM. */
int tg_nats_be_receiver(struct tg_nats_box *box);
void tg_nats_be_receiver_no_more(struct tg_nats_box *box);

/* A call has waited for a tick: is the owner alive? -EOWNERDEAD, 0. */
int tg_nats_look_after_owner(struct tg_nats_box *box);

#endif
