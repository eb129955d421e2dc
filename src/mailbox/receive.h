/* Inside layer 3: a receive call on its way, shared by receive.c, receive_short.c and wait.c. */
#ifndef TG_MAILBOX_RECEIVE_H
#define TG_MAILBOX_RECEIVE_H

#include "mailbox/box.h"

struct tg_call {
    int64_t deadline;
    struct tg_box *peer; /* whose messages are waited for: its end ends the call; NULL nobody's */
    const uint64_t
        *where; /* the request in peer whose reply is waited for; NULL: any message of it */
    uint32_t interrupts; /* as the call began */
    uint32_t sleeps;
    uint32_t delivery; /* the word under which its sleep was prepared */
    bool by_backstop;  /* it was the back-stop that ended its last sleep */
    bool queued;
    bool spun;
};

/* ---- receive_short.c */

/* Whether something may be there; for any thread. */
bool tg_receive_hint(struct tg_box *box);
/* Spin for a while, if a sender runs on another processor: whether something may be there now. */
bool tg_receive_spin(struct tg_box *box);
/* The common case in one piece. True: taken. wait: it may spin; *ret_spun: it did. */
bool tg_receive_short(struct tg_box *box, struct tg_take *take, bool wait, bool *ret_spun);
/* Of several, in one go: how many were taken, 0 as false there. */
size_t tg_receive_short_many(struct tg_box *box, const struct iovec *buffers, size_t n, bool wait,
                             bool *ret_spun, size_t *ret_lens);

/* ---- receive.c */

/* What ends a call beside what ends every one, as in struct tg_call. */
struct tg_beside {
    struct tg_box *peer;
    const uint64_t *where;
};
/* A receive call. 1 taken, -errno. spun: the short way was tried and has spun; beside: NULL nothing. */
int tg_receive_wish(struct tg_box *box, struct tg_take *take, int64_t timeout_ns, bool spun,
                    const struct tg_wish *wish, const struct tg_beside *beside);

/* Begin a receive call: 0, -EBADF, -EPERM, or as tg_box_begin(). */
int tg_receive_begin(struct tg_box *box, int64_t deadline, struct tg_call *call);
/* Whether it is to go on: 0, -EIDRM, -EOWNERDEAD, -EPERM. */
int tg_receive_check(struct tg_box *box);
/* Token held: whether what is there is for one that just came. */
bool tg_receive_is_turn(struct tg_box *box);
/* One look, token held: as tg_take_one(). */
int tg_receive_look(struct tg_box *box, const struct tg_call *call, struct tg_take *take);
/* Out of the queue, token held. */
void tg_receive_leave_queue(struct tg_box *box, struct tg_call *call);
/* Out of the queue without the token yet; r is handed through. */
int tg_receive_give_up(struct tg_box *box, struct tg_call *call, int r);

#endif
