/* A sender of another process, for the two files that make it: link.c and sender.c. */
#ifndef TG_CARRIER_UNIX_SENDER_H
#define TG_CARRIER_UNIX_SENDER_H

#include "carrier/unix/call.h"
#include "carrier/unix/unix.h"

struct tg_unix_sender {
    struct tg_unix_place place;
    struct tg_root *root;
    uint64_t process; /* record number of this one */
    bool joined;      /* it has one, for the folder */
    int room;
    int fd;
    int data;   /* where messages go, and ... */
    int unread; /* ... the other end of it, which the owner has, too; -1: they go to fd */
    uint32_t row;
    int end; /* 0, or how it ended */
    bool bounded;
    bool has_said;     /* HELLO */
    bool has_passed;   /* PASSES */
    bool took_back;    /* the offer before */
    int watch;         /* see tg_unix_sender_watch(); -1 none */
    uint64_t number;   /* of the next message */
    uint64_t next;     /* the same, without those that were taken back */
    uint64_t answered; /* at capacity 0: number of the offer answered last, + 1 */
    uint8_t answer;    /* enum tg_unix_kind */
    uint64_t unwanted; /* of an offer that nobody takes who waits now, + 1 */
    uint64_t done;     /* finished, as last seen */
    uint64_t taken;    /* room of the mailbox: for numbers below that */
    uint64_t dropped;
    void *page;               /* of the room file, that has ... */
    struct tg_unix_row *told; /* ... the own row; NULL: it is not told how many were sent */
    int64_t look_ns;          /* how long the next sleep is before a look */
    size_t inline_max;
};

/* ---- link.c */

/* It is linked on 0. -EAGAIN, -ETIMEDOUT: more wait to be let in than the system keeps. */
int tg_unix_sender_link(struct tg_unix_handle *h, const struct tg_unix_call *call);
/* What the owner has sent is read: 0, how it ended, or -EPIPE: the connection has. */
int tg_unix_sender_read(struct tg_unix_sender *s);
/* The error that a REFUSED says. */
int tg_unix_sender_reason(uint64_t number);
/* The connection has ended: why. */
int tg_unix_sender_find_end(struct tg_unix_sender *s);
/* Room of the mailbox that was taken and is not used. */
void tg_unix_sender_put_back(struct tg_unix_sender *s);

#endif
