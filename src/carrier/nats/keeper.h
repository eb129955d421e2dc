/*
 * The keeper: this process's sign of life at a server, and what keeps its claims alive.
 *
 * The sign is a connection that listens to SPACE.p.PROC. The server pings its clients, and one that does
 * not answer is gone: so where others rely on this process (it owns a mailbox, holds a claim, has a name) a
 * thread answers, the only one there is. It does nothing else, but for saying of each claim that it is still being worked
 * on. Processes that only send and receive have no thread.
 */
#ifndef TG_CARRIER_NATS_KEEPER_H
#define TG_CARRIER_NATS_KEEPER_H

#include <stdbool.h>

#include "carrier/nats/server.h"

#define TG_NATS_ACK_SIZE 320

/* How long the server waits for a word about a message it has handed out. */
#define TG_NATS_ACK_WAIT_NS INT64_C(5000000000)

/* A message in hand. */
struct tg_nats_kept {
    struct tg_nats_kept *next;
    struct tg_nats_kept **before; /* NULL: it is not kept */
    char ack[TG_NATS_ACK_SIZE];
};

int tg_nats_keeper_new(const struct tg_nats_server *server, struct tg_nats_keeper **ret_keeper);
/* NULL is allowed. Ends the thread. */
void tg_nats_keeper_free(struct tg_nats_keeper *keeper);
/* Without a thread: take what came, connect again if that has to be. */
int tg_nats_keeper_look(struct tg_nats_keeper *keeper);
int tg_nats_keeper_start(struct tg_nats_keeper *keeper);
void tg_nats_keep_claim(struct tg_nats_keeper *keeper, struct tg_nats_kept *kept);
void tg_nats_forget_claim(struct tg_nats_keeper *keeper, struct tg_nats_kept *kept);

#endif
