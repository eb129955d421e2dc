/*
 * Messages beyond what a server takes at once: their bytes are pieces in a stream beside, and what stands in the
 * mailbox is a message that says where.
 *
 *   SPACE.l.NAME.ID.PROC.HANDLE.NUMBER.I   the I-th piece, in the stream SPACE_ID_b
 *   SPACE.w.NAME.ID.PROC.HANDLE.NUMBER     in the book: its sender is writing pieces
 *
 * I1  The pieces are whole before the message is in the mailbox, and go when it has been received.
 * I2  Who dies while it writes leaves pieces that no message names; the line w tells of them, and who buries it takes
 *     them away.
 */
#ifndef TG_CARRIER_NATS_LONG_H
#define TG_CARRIER_NATS_LONG_H

#include "carrier/nats/party.h"

struct tg_nats_long {
    uint64_t len;
    uint64_t n_pieces;
    uint64_t first_seq; /* of the first piece */
    uint64_t line;      /* w, in the book */
};

/* Write the pieces. -ENOSPC, -ENOTCONN, ...: then none of them is left. */
int tg_nats_write_long(struct tg_nats_box *box, uint64_t number, const void *data, size_t len,
                       struct tg_nats_long *ret_long);
/* The message is in the mailbox: what is left to do. Or it is not, and the pieces go. -ESTALE: this process was taken for
 * dead, and they may be gone (who takes a dead one's away takes its line first). */
int tg_nats_end_long(struct tg_nats_box *box, uint64_t number, struct tg_nats_long *its,
                     bool is_sent);
/* Read them. ack: what keeps the message in hand meanwhile. -ENODATA: they are not there any more. */
int tg_nats_read_long(struct tg_nats_box *box, const char *owner, const struct tg_nats_long *its,
                      const char *ack, void *ret_data);
/* They were received: to everyone, by one of them. */
int tg_nats_drop_long(struct tg_nats_box *box, const char *owner);
/* To everyone, between enter and leave: pieces that no message names any more go. */
int tg_nats_tidy_long(struct tg_nats_box *box, const struct tg_js *js);
/* A sender died while it wrote: between enter and leave of the server. */
int tg_nats_bury_long(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                      const char *id, const struct tg_nats_party *party);

#endif
