/* Observers: see messages of a mailbox's stream and take none. */
#ifndef TG_CARRIER_NATS_PEEK_H
#define TG_CARRIER_NATS_PEEK_H

#include "carrier/nats/box.h"

struct tg_nats_observer;

/* As the functions of carrier.h with these names. */
int tg_nats_observer_open(const char *rest, struct tg_nats_observer **ret_observer);
int tg_nats_observer_close(struct tg_nats_observer *observer);
ssize_t tg_nats_peek(struct tg_nats_observer *observer, void *buf, size_t size, int64_t timeout_ns,
                     tong_message *ret_info, uint64_t *ret_missed);

#endif
