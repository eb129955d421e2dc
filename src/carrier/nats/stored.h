/* A message of a mailbox's stream, looked at: nobody has it in hand for that. */
#ifndef TG_CARRIER_NATS_STORED_H
#define TG_CARRIER_NATS_STORED_H

#include "carrier/nats/box.h"

struct tg_nats_stored {
    struct tg_nats_msg msg;
    uint64_t seq;
    int64_t time_ns;
    char *bytes; /* what msg points to */
};

/* The first with this number or a higher one; is_exact: with this one. -ENOENT: there is none. */
int tg_nats_get_stored(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                       uint64_t seq, bool is_exact, struct tg_nats_stored *ret_stored);
void tg_nats_free_stored(struct tg_nats_stored *stored);

#endif
