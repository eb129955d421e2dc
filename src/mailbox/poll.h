/* Inside layer 3: descriptors for event loops, and who rings them. See poll.c and poll_ring.c. */
#ifndef TG_MAILBOX_POLL_H
#define TG_MAILBOX_POLL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tg_box;
struct tg_box_view;
struct tg_root;

/* poll.SLOT.NUMBER: what a receiver in an event loop is rung with */
#define TG_POLL_NAME "poll.%u.%u"
/* send.ROW.NUMBER: a sender in one */
#define TG_POLL_SEND_NAME "send.%u.%u"
#define TG_POLL_NAME_SIZE 32u

/* ---- who rings: one of a handle's sending side, one of its receiving side */

struct tg_poll_out {
    uint32_t number; /* of the FIFO that is open */
    int fd;
    bool guarded; /* its reader may be gone */
};

struct tg_ringer {
    uint32_t note; /* arms when all were rung last */
    uint32_t n;
    struct tg_poll_out *out; /* one a slot */
};

void tg_ringer_close(struct tg_ringer *ringer);

/* A FIFO that must be that user's, to be written to. 0, -errno. */
int tg_poll_out_open(struct tg_poll_out *out, int dir, const char *name, uint32_t uid);
void tg_poll_out_close(struct tg_poll_out *out);

/* Ring all receivers that are armed. is_over (may be NULL): whether what it is rung for was taken by
 * now; then it ends, and nothing is noted. */
void tg_poll_ring(struct tg_box *box, struct tg_ringer *ringer, bool (*is_over)(struct tg_box *));
/* Where the words of one receiver are. */
struct tg_box_slot;
struct tg_sight;
struct tg_poll_at {
    uint32_t slot;
    const struct tg_box_slot *polls; /* with its `polls`, in the box */
    const struct tg_box_slot *armed; /* with its `armed`, where it receives, ... */
    const struct tg_sight *sight;    /* ... and of that file */
};
/* Ring that one, if it is armed. False: it was not told, or is_over. */
bool tg_poll_ring_at(struct tg_box *box, struct tg_ringer *ringer, const struct tg_poll_at *at,
                     bool (*is_over)(struct tg_box *));
/* Token held: ring those armed since this handle did so last. */
void tg_poll_nudge(struct tg_box *box);
/* Whoever waits in an event loop looks again: the mailbox ends, or becomes another's. Receivers; a sender,
 * if this is the name of one's FIFO. */
void tg_poll_wake_all(const struct tg_box_view *view);
void tg_poll_wake_sender(int dir, const char *name);
void tg_poll_wake_senders(int dir);

/* The FIFO of a slot that is given up: token held. */
void tg_poll_clear_slot(struct tg_box *box, uint32_t slot);
/* The same of one that is not armed. */
void tg_poll_clear(int dir, struct tg_box_slot *s, uint32_t slot);
/* FIFOs in the folder that are nobody's. Returns how many; only counts unless repair. */
uint32_t tg_poll_sweep(struct tg_root *root, const struct tg_box_view *view, bool repair);

/* ---- who waits: of a handle, from the first tong_fd on */

struct tg_poll_life {
    uint64_t id; /* of a process whose death matters */
    int fd;      /* -1: it cannot be watched from here */
    bool over;   /* this descriptor has told of a death */
};

struct tg_poll {
    int epoll; /* what the caller has */
    int fifo;
    int timer;        /* the back-stop */
    int64_t timer_ns; /* when it goes off */
    uint32_t timer_nth;
    uint32_t own; /* bytes put into the FIFO by this handle */
    uint32_t joins_seen;
    uint64_t owner_seen;
    struct tg_poll_life *lives;
    uint32_t n_lives;
    uint32_t lives_room;
};

/* ---- poll_life.c: what receivers and senders have alike */

#define TG_POLL_MARK_FIFO UINT64_C(1)
#define TG_POLL_MARK_TIMER UINT64_C(2)
#define TG_POLL_MARK_LIFE UINT64_C(4) /* | record number, whose low four bits are 0 */

/* Without a FIFO. */
int tg_poll_make(struct tg_poll **ret_poll);
void tg_poll_free(struct tg_poll *p);
/* Readable from now on. */
void tg_poll_raise(struct tg_poll *p);
/* Empty the FIFO. epoch: the one that was armed until just now, 0 none: of a ring of it that has begun the byte
 * is waited for. is_ringing: whether a ringer's word is that one. */
void tg_poll_empty(struct tg_poll *p, uint32_t epoch,
                   bool (*is_ringing)(struct tg_box *box, uint32_t word), struct tg_box *box);
/* The back-stop: set it, anew and further each time; has it gone off? */
void tg_poll_next_timer(struct tg_poll *p);
bool tg_poll_is_timer_due(const struct tg_poll *p);
/* Watch for the death of a process, once; no more; which were told? */
int tg_poll_watch_life(struct tg_box *box, struct tg_poll *p, uint64_t id);
void tg_poll_stop_watching(struct tg_poll *p, struct tg_poll_life *life);
/* Whether something tells of itself: a death, noted in `lives`, or a byte in the FIFO. */
bool tg_poll_is_told(struct tg_poll *p);

/* ---- poll_send.c: a sender */

struct tg_attached;
struct tg_link_head;

/* tong_fd of its side. */
int tg_poll_sender_fd(struct tg_box *box);
/* A send call begins, ends with r; its gate is held. */
void tg_poll_begin_sender(struct tg_box *box);
void tg_poll_settle_sender(struct tg_box *box, int r);
void tg_poll_close_sender(struct tg_box *box);
/* Whoever freed room of a link, token held: ring its sender, if it is armed. always: to everyone, this
 * receiver leaves. False: it is to be rung still. */
bool tg_poll_ring_sender(struct tg_box *box, struct tg_attached *at, bool always);
/* All of them, where the room is anybody's. */
bool tg_poll_ring_senders(struct tg_box *box);
/* Token held: when it is given back, those that wait for a receiver that waits are rung. */
void tg_poll_ring_waiting(struct tg_box *box);
/* What a sender of a link left, that is closed or dead; the link's lock is held. */
void tg_poll_clear_sender(int dir, struct tg_link_head *head, uint32_t row);
bool tg_poll_is_send_name(const char *name, uint32_t *ret_row, uint32_t *ret_number);

/* ---- poll.c: a receiver */

/* A receive call begins; its gate is held. */
void tg_poll_begin(struct tg_box *box);
/* It is over, with 1 a message, else none: bring the level of the descriptor up to date. True: something
 * is there for this receiver. */
bool tg_poll_settle(struct tg_box *box, int r);
/* The handle is closed. */
void tg_poll_close(struct tg_box *box);

#endif
