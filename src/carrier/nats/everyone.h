/*
 * To everyone: the stream keeps a message until each of its consumers has acknowledged it, and each receiving handle has a
 * consumer of its own, PROC_HANDLE.
 *
 *   SPACE.v.NAME.ID.all    the consumer that is kept, whoever is gone; without it "r", which is made with the stream
 *
 * I1  A stream without a consumer throws away what is sent: so the one that this line names is not deleted.
 * I2  A receiver writes its line h before it makes its consumer, and deletes it before it looks what is to go. What goes
 *     are the consumers without a line h, but for the one that is kept.
 * I3  Who deletes consumers reads the line, then which consumers there are, then who has a line h; and writes the line again
 *     under the version that it has read, perhaps with another consumer of somebody who is there, before it deletes. So
 *     of two that go at the same time the second one sees what the first has chosen, and looks again.
 * I4  The consumer of the last one stays when that is gone, and keeps what it had not finished, and what is sent then: for who
 *     begins at the oldest. The next receiver's takes its place.
 * I5  Where link_capacity bounds it the stream keeps so many messages of a subject, and refuses more: those of a sending
 *     handle have one. A long one's has a word more, so a handle that has sent one counts its messages first.
 * I6  The pieces of a long message go when the message is gone: who finishes it looks whether it is the last one.
 */
#ifndef TG_CARRIER_NATS_EVERYONE_H
#define TG_CARRIER_NATS_EVERYONE_H

#include "carrier/nats/box.h"
#include "carrier/nats/party.h"

static inline bool tg_nats_is_to_everyone(const struct tg_nats_box *box)
{
    return box->record.options.delivery == TONG_EVERYONE;
}

static inline bool tg_nats_bounds_links(const tong_options *o)
{
    return o->link_capacity != TONG_DEFAULT && o->link_capacity != TONG_UNBOUNDED;
}

/* Whether the handle may send one more, as far as its link goes, as the connection's server says it: 1, 0, -errno. */
int tg_nats_has_link_room(struct tg_nats_box *box, const struct tg_js *js);

/* The handle's consumer, whatever its mailbox is. */
void tg_nats_name_consumer(struct tg_nats_box *box);
/* A receiver comes, and its line h stands. */
int tg_nats_come_to_all(struct tg_nats_box *box);
/* Its line h is gone. */
void tg_nats_go_from_all(struct tg_nats_box *box);
/* Between enter and leave. Its consumer is gone, for it was taken for dead or a server has lost it: it goes on behind what it
 * had. */
int tg_nats_come_again(struct tg_nats_box *box, const struct tg_js *js);
/* Between enter and leave. What nobody needs any more goes. */
int tg_nats_tidy_all(struct tg_nats_box *box, const struct tg_js *js);

/* Between enter and leave. What the consumers say of it: each message counts once for each receiver. */
int tg_nats_fill_all(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                     const struct tg_nats_parties *parties, uint64_t done_before,
                     tong_status *status);

#endif
