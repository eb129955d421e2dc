/*
 * Forks. A child has its parent's connections, and would keep them open when the parent dies: so they are
 * closed in it, without a word to the server, and what belongs to them answers -ECHILD.
 */
#ifndef TG_CARRIER_NATS_FORK_H
#define TG_CARRIER_NATS_FORK_H

#include <stdbool.h>
#include <stdint.h>

struct tg_nats_conn;

/* From the first call on, forks are counted. 0, -ENOMEM. */
int tg_nats_watch_forks(void);
uint32_t tg_nats_forks(void);

/* A connection, from its making to its end. */
void tg_nats_list_conn(struct tg_nats_conn *conn);
void tg_nats_unlist_conn(struct tg_nats_conn *conn); /* and close it */
/* No fork comes between: a descriptor that is made meanwhile is noted before a child can have it. For a moment. */
void tg_nats_hold_forks(void);
void tg_nats_release_forks(void);

/* server.c and keeper.c: what a child must not find half changed. */
void tg_nats_servers_before_fork(void);
void tg_nats_servers_after_fork(bool is_child);

#endif
