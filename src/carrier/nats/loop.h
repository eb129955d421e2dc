/*
 * tong_fd: a side of a handle in an event loop.
 *
 * The descriptor is an epoll set of the side's connection, of a bell that is rung while there is something that no socket
 * tells of, and of a timer.
 *
 * Who receives has a watch at the server: a request for a message of one byte at most. What is there is longer, so the server
 * answers that it does not fit, keeps it for whoever asks next, and the watch is over. A message that is new, was given
 * back or has not been acknowledged for too long is told of in this way; nobody holds it.
 *
 * Who sends asks at the end of each call whether there is room, listens to the word of room if there is none, and asks once more. At
 * capacity 0 who waits for a message says that word when he begins to.
 *
 * I1  When a call of the side ends, a watch stands (or the bell is rung, or the timer runs): what comes behind it makes the
 *     connection readable. What was read of the connection and means something has rung the bell.
 * I2  What nobody tells of (the holder of a claim has died, a server lost its watches) is looked for when the timer is over: 1,
 *     2, 4, then every 8 s; the first 125 ms where the connection cannot be had.
 */
#ifndef TG_CARRIER_NATS_LOOP_H
#define TG_CARRIER_NATS_LOOP_H

#include "carrier/nats/box.h"

struct tg_nats_loop {
    struct tg_nats_box *box;
    struct tg_nats_side *side;
    int epoll;
    int bell;
    int timer;
    uint64_t sid;     /* the watch's answers come with it, or the word of room; 0 none */
    bool is_standing; /* a watch is at the server */
    bool is_told;     /* that something is there, since the call began */
    bool is_refused;  /* the server would not have the watch */
    bool is_troubled; /* no watch stands, for want of a server */
    bool has_room;    /* of who sends: it need not wait */
    bool is_up;       /* the bell is rung */
    bool is_due;      /* the timer was over when the call began */
    int64_t due_ns;
    int64_t period_ns;
};

/* A descriptor for event loops; what: TONG_RECEIVE, TONG_SEND. */
int tg_nats_fd(struct tg_nats_box *box, unsigned what);

/* All of them: loop NULL is none, and nothing is done. The side's gate is held. */

/* A call begins, and what came before it has not been read yet. */
void tg_nats_loop_begin(struct tg_nats_loop *loop);
/* It ends: the level is brought up to date. */
void tg_nats_loop_end(struct tg_nats_loop *loop);
/* The side has another connection. */
void tg_nats_loop_connected(struct tg_nats_loop *loop);
/* A message came on it. */
void tg_nats_loop_note(struct tg_nats_loop *loop, const struct tg_nats_msg *msg);
/* It is time to look at what nobody tells of. */
bool tg_nats_loop_is_due(const struct tg_nats_loop *loop);
/* The handle is being closed, perhaps in a child. */
void tg_nats_loop_free(struct tg_nats_loop *loop);

#endif
