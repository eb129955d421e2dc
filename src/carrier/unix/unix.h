/*
 * Inside the carrier unix: a mailbox that lives in the process that made it, and the sockets to it.
 *
 *   box       the mailbox, in its owner: links, messages, receivers, one lock; handles share it
 *   link      one sender, as the owner has it: a connection, or a handle of the owner itself
 *   sender    one sender in another process: the other end of a connection
 *   place     the folder "@NAME" with the socket and two files, see layout.h
 *
 * There is no thread: whoever is in a call on the box lets senders in and reads what they sent (drive.c).
 */
#ifndef TG_CARRIER_UNIX_H
#define TG_CARRIER_UNIX_H

#include <pthread.h>
#include <stdbool.h>
#include <tong/tong.h>

#include "base/gate.h"
#include "base/socket.h"
#include "carrier/carrier.h"
#include "carrier/unix/layout.h"
#include "carrier/unix/room.h"
#include "mailbox/policy/policy.h"
#include "mailbox/said.h"
#include "region/region.h"

#define TG_UNIX_CLAIMS 64u
#define TG_UNIX_LEAST 2048u /* bytes of memory that any message takes */
#define TG_UNIX_FEW 1024u   /* messages, for which there is some in any case */

/* ---- places: place.c */

struct tg_unix_place {
    struct tg_root *root;
    int dir;
    int box;
    uint32_t uid; /* whose it is */
    char name[TONG_NAME_MAX];
    struct tg_unix_head head; /* as it was looked at last */
};

/* What is open of the folder of that name. -ENOENT, -EPROTO, -EACCES, ... */
int tg_unix_place_open(struct tg_root *root, const char *name, bool write,
                       struct tg_unix_place *ret_place);
void tg_unix_place_close(struct tg_unix_place *place);
/* Read the head anew. */
int tg_unix_place_look(struct tg_unix_place *place);
bool tg_unix_place_is_alive(const struct tg_unix_place *place);
/* What became of it: -EIDRM or -EOWNERDEAD; 0 it lives. */
int tg_unix_place_end(const struct tg_unix_place *place);
/* The same, and how often it was renamed. */
int tg_unix_place_probe(const struct tg_unix_place *place, uint32_t *ret_renames);
/* The same place once more, with descriptors of its own. */
int tg_unix_place_copy(const struct tg_unix_place *place, struct tg_unix_place *ret_copy);
int tg_unix_place_rename(struct tg_root *root, const char *from, const char *to);
/* Open a file of a place, not to be kept by a forked child. */
int tg_unix_open_kept(int dir, const char *name, int flags);

struct tg_unix_made {
    int dir;
    int box; /* locked */
    int room;
    int listener;
    uint8_t id[16];
};

/* Make the folder and give it its name. -EEXIST: somebody has it. */
int tg_unix_place_make(struct tg_root *root, const char *name, const tong_options *options,
                       uint32_t process, struct tg_unix_made *ret_made);
void tg_unix_made_close(struct tg_unix_made *made);
/* Take the name away, if it is still that mailbox's (id NULL: any) and, unless it may be alive, it is
 * dead. 0, -ENOENT, -EEXIST: it lives. */
int tg_unix_place_take_away(struct tg_root *root, const char *name, const uint8_t *id, bool alive);
/* What was just made under that name goes, also where no descriptor is left. */
void tg_unix_place_unmake(struct tg_root *root, const char *name, const struct tg_unix_made *made);
/* Whether a name is that user's, or nobody's. */
bool tg_unix_place_is_of(struct tg_root *root, const char *name, uint32_t uid);
uint32_t tg_unix_link_capacity(const tong_options *options);
int tg_unix_remove(const char *name);

/* ---- messages */

struct tg_unix_link;
struct tg_unix_reply;
struct tg_unix_request;

struct tg_unix_message {
    struct tg_unix_message *next;
    struct tg_unix_link *link;
    struct tg_said *said; /* NULL: nothing */
    uint64_t sequence;
    size_t len;
    uint8_t *data; /* in room, or mapped */
    size_t mapped; /* bytes mapped at data, 0: data is room */
    int fd;        /* a descriptor for the receiver, -1 none */
    uint32_t deliveries;
    bool is_roomless; /* its room was freed when it was handed out */
    uint64_t note;    /* a request: who answers it has noted it under that, see call.h */
    /* To everyone: everyone.c. Deliveries are then those to the receiver whose call is at it. */
    bool is_kept;                        /* for one that comes; nobody is there */
    uint32_t users;                      /* receivers that have not finished it */
    uint64_t arrival;                    /* counts messages */
    uint64_t wanted[TG_UNIX_SLOTS / 64]; /* by slots: to whom it is to be handed out */
    size_t room_size;
    _Alignas(16) uint8_t room[];
};

/* In the order of arrival; or by priority, and of one priority in that order. */
struct tg_unix_list {
    struct tg_unix_message *first;
    struct tg_unix_message **end;
    uint64_t n;
    bool by_priority;
    struct tg_unix_message *last[TG_PRIORITIES]; /* of each, where it is by priority */
};

/* ---- links */

/* One socket of a link. */
struct tg_unix_channel {
    struct tg_unix_channel *next; /* of those that are ready */
    struct tg_unix_link *link;
    int fd;           /* -1 none */
    bool is_ready;    /* it is to be read */
    bool is_unwanted; /* the offer that waits there is nobody's now: see match.c */
    bool is_mute;     /* what waits there brings descriptors, for which there were none left */
    uint8_t skipped;  /* see drive.c, I2 */
};

struct tg_unix_link {
    struct tg_unix_link *next;
    bool is_own;                    /* of the owner itself: there is no connection */
    struct tg_unix_handle *own;     /* its handle, NULL: closed */
    struct tg_unix_channel control; /* the connection */
    struct tg_unix_channel
        data;     /* where its messages come from, if its sender may take them back */
    uint32_t row; /* TG_UNIX_NO_ROW none */
    bool greeted;
    bool hears; /* name is the mailbox for replies to its calls, of which it hears the end */
    bool said_bye;
    bool passes;  /* it has said that its messages may bring descriptors */
    bool is_told; /* its process's death was */
    bool ended;   /* the end of the connection was read */
    bool ready;   /* in the list of those that are to be read */
    struct tg_socket_peer peer;
    uint64_t base; /* number of its first message */
    uint64_t next_number;
    uint64_t received; /* messages of it that came */
    uint64_t done;     /* of these, finished: their room is free */
    uint64_t held;     /* of these, still in hand or given back */
    uint64_t told;     /* of these, told in a CREDIT */
    uint64_t reserved; /* messages that are being written in place */
    uint64_t granted;  /* rooms of the mailbox taken for one without a row */
    uint64_t wants;    /* rooms it waits for, 0 none */
    struct tg_unix_link *next_want;
    uint64_t bytes;
    uint32_t lane;     /* of an own link: the priority of its messages */
    uint64_t dropped;  /* of an own link: as its row says */
    uint64_t answered; /* at capacity 0: number of the offer answered last, + 1; of an own link */
    enum tg_unix_kind answer;
    char name[TONG_NAME_MAX];         /* of its process, "" none */
    uint64_t looked;                  /* of the box's looks, the last one that ... */
    uint32_t passed;                  /* ... met so many messages of it */
    struct tg_unix_link *next_of_all; /* of all mailboxes of this process that have connections */
    uint32_t n_fds;                   /* of this link */
};

/* ---- boxes */

/* A receive call that waits. */
struct tg_unix_waiter {
    struct tg_unix_waiter *next;
    struct tg_unix_handle *handle;
    const tong_receive_options *asked; /* which messages, NULL: whatever comes */
    uint64_t ticket;
    int fd;          /* it sleeps on that, too; -1: it does not */
    int64_t look_ns; /* until the next look at another process's mailbox */
    bool is_stuck;   /* the memory is taken by what others wait for: it sleeps on no socket */
    bool drives;     /* while it stands in the queue */
};

/* Whose the messages of a key are. */
struct tg_unix_key {
    uint64_t key;                     /* 0: no entry */
    const struct tg_unix_handle *who; /* NULL: nobody's */
};

/* A sender that died. */
struct tg_unix_death {
    int32_t pid;
    uint32_t uid;
};

struct tg_unix_box {
    struct tg_unix_box *next; /* of those of this process */
    uint32_t refs;
    uint32_t fork_count;
    struct tg_root *root;
    struct tg_unix_made made;
    char name[TONG_NAME_MAX];
    struct tg_unix_head *head; /* mapped; counts that are told are kept there alone */
    struct tg_unix_slot *told_slots;
    struct tg_unix_share *shares; /* to everyone: of the receivers */
    struct tg_unix_told *told;    /* of the rows */
    uint32_t told_rows;           /* of these, there is memory for */
    int epoll;
    int wake;             /* ends the sleep of the driver */
    pthread_mutex_t lock; /* guards what stands below; not held asleep */
    int ended;            /* 0, -EIDRM, -EOWNERDEAD */
    bool joined;          /* takes part in the root's life */
    bool is_process;
    bool is_driven;
    bool by_priority;
    bool is_reading; /* a packet is being read: see drive.c, I6 */
    bool picks;      /* the driver sleeps on those of one sender alone: see drive.c, I8 */
    bool to_all;     /* to everyone */
    uint32_t full;
    uint32_t capacity;
    uint32_t link_capacity;
    uint32_t message_size;
    uint32_t max_deliveries;
    uint32_t served; /* slot + 1 of the receiver that took last */
    uint64_t max_bytes;
    const struct tg_policy *policy;
    struct tg_own_policy own;
    struct tg_unix_request *untold; /* ended while a packet was read */
    uint64_t random;
    uint64_t chosen; /* ticket of the waiter that was chosen, 0 none */
    struct tg_unix_handle *slots[TG_UNIX_SLOTS];
    uint64_t came; /* counts receivers that were opened */
    struct tg_unix_link *links;
    struct tg_unix_link **rows; /* those with a row, by it */
    uint32_t n_rows;
    uint32_t reads; /* since the sockets were asked who is ready */
    struct tg_unix_channel **by_fd;
    uint32_t n_by_fd;
    uint32_t n_channels;
    uint32_t n_mute;       /* of these */
    uint32_t own_blocked;  /* senders of this process, asleep for want of room */
    int64_t deaf_until_ns; /* no descriptor was left to let one in; 0: nobody is kept waiting */
    struct tg_unix_channel *ready;
    struct tg_unix_channel **ready_end;
    struct tg_unix_channel *offers; /* those ready that are read only to be taken at once */
    struct tg_unix_channel **offers_end;
    struct tg_unix_link *wants; /* who waits for room of the mailbox, in the order of coming */
    uint32_t n_held;            /* descriptors in messages */
    uint32_t most_held;         /* no more are read, unless nothing waits */
    uint64_t arrived;           /* counts messages */
    uint64_t freed;             /* rooms since the last look for who wants some */
    struct tg_unix_list returned;
    struct tg_unix_list waiting;
    struct tg_unix_message *newest; /* that came, while nobody has taken one */
    struct tg_unix_list aside; /* handed out too often, and not taken by the dead-letter mailbox */
    int64_t aside_ns;          /* when that was last tried */
    struct tg_unix_message *spare; /* for the next one */
    uint32_t n_asking;        /* of the calls that wait, those that ask for some messages only */
    uint64_t looks;           /* counts looks through the lists */
    struct tg_unix_key *keys; /* a table, see match.c */
    uint32_t keys_size;
    uint32_t n_keys;                /* entries */
    struct tg_unix_waiter *waiters; /* in the order of tickets */
    uint64_t tickets;
    struct tg_unix_waiter *driver; /* sleeps on the sockets */
    uint32_t n_levels;             /* handles in event loops */
    uint32_t n_watchers;           /* handles that are told of deaths */
    uint32_t n_deaths;
    struct tg_unix_death *deaths;
    tg_a32 room_bell; /* senders of this process wait on it for room */
    uint8_t *scratch;
};

/* To everyone empty messages take memory, too, while the slowest receiver has not had them: so many may wait. */
static inline bool tg_unix_is_crowded(const struct tg_unix_box *box)
{
    const uint64_t most = box->max_bytes / TG_UNIX_LEAST;
    return box->to_all && box->waiting.n >= (most > TG_UNIX_FEW ? most : TG_UNIX_FEW);
}

/* The memory of this process that may be taken is, or its descriptors: what comes stays in the sockets. */
static inline bool tg_unix_is_full(const struct tg_unix_box *box)
{
    const bool some = box->to_all ? tg_load_relaxed(&box->head->waiting) != 0
                                  : box->waiting.n + box->returned.n != 0;
    return some && (tg_load_relaxed(&box->head->bytes) >= box->max_bytes ||
                    box->n_held >= box->most_held || tg_unix_is_crowded(box));
}

/* What a receive call wants. */
struct tg_unix_want {
    int64_t deadline_ns;
    uint32_t interrupts;
    const char *from;                  /* this process's messages only, NULL: any */
    const tong_receive_options *asked; /* the same, or NULL: which messages, beside that */
    bool named;                        /* senders are told apart by their names */
    struct tg_unix_handle *peer;       /* whose end ends the call, NULL nobody's */
    size_t size;                       /* a longer one is -EMSGSIZE and stays */
    bool claim;                        /* it is to be finished later */
    bool may_answer;                   /* it is told what it needs to answer a request */
    bool fd;                           /* its descriptor is wanted */
    bool skip;          /* it is to be thrown away: also one that was handed out too often */
    tong_message *info; /* told of one that stays; NULL: not wanted */
};

/* A message that a call may take. */
struct tg_unix_found {
    struct tg_unix_list *list;
    struct tg_unix_message *m;
    int error; /* why there is none that can be taken, 0 there is none */
};

/* ---- handles */

struct tg_unix_interrupts {
    tg_a32 now;
    tg_a32 used; /* what the calls that are over have used up */
    tg_a32 bell; /* calls of the handle sleep on it */
    tg_a32 fd;   /* + 1; ready once interrupted; 0: nobody slept on it yet */
};

struct tg_unix_sender;

struct tg_unix_handle {
    uint32_t flags;
    uint32_t fork_count;
    struct tg_unix_box *box;       /* the owner's own, or NULL */
    struct tg_unix_sender *sender; /* another process's, or NULL */
    struct tg_unix_interrupts *interrupts;
    struct tg_unix_interrupts own_interrupts;
    bool owns; /* the mailbox ends with it */
    /* Sending: the gate is held through a call and guards these. */
    struct tg_gate gate;
    bool threads;
    bool has_reservation;
    pthread_t reserver;
    uint64_t reservation;
    struct tg_unix_message *reserved;
    size_t reserved_len;
    int64_t reserved_timeout_ns;
    bool reservation_dropped;  /* it had to drop an older message */
    int reserved_room;         /* see sender.c */
    struct tg_gate name_gate;  /* never held asleep; guards the name */
    char name[TONG_NAME_MAX];  /* of the process it sends as, "" none */
    uint8_t as[16];            /* id of that one's mailbox */
    uint32_t renames;          /* of the other side, when its name was looked up */
    struct tg_unix_link *link; /* in the own box */
    /* Where a mailbox is by priority: priority.c. */
    struct tg_unix_handle *main;                         /* whose lane this is, NULL: it is none */
    uint32_t lane;                                       /* the priority of what is sent by it */
    tg_a32 linked;                                       /* it, or one of its lanes, is a sender */
    struct tg_gate lanes_gate;                           /* never held asleep; who opens one */
    struct tg_unix_handle *_Atomic lanes[TG_PRIORITIES]; /* NULL: not used yet */
    /* Receiving: the box's lock guards these. */
    bool receives;
    uint32_t slot;
    uint64_t came;
    uint32_t n_claims;
    int copy; /* to everyone: of a descriptor, for its call, -1 none */
    struct tg_unix_message *claims[TG_UNIX_CLAIMS];
    uint32_t stamps[TG_UNIX_CLAIMS];
    bool has_turn;                    /* it was told that something is there for it */
    struct tg_unix_request *requests; /* received, to be answered still */
    uint64_t notes;                   /* counts those */
    /* Request and reply: call.h. */
    struct tg_unix_reply *_Atomic replies; /* of this handle */
    struct tg_unix_reply *reply;           /* whose mailbox this is, NULL: it is none for replies */
    /* To everyone: everyone.c. */
    struct tg_unix_message *first;              /* to be handed to it, NULL none */
    struct tg_unix_hand *returned;              /* what it gave back */
    struct tg_unix_hand *hands[TG_UNIX_CLAIMS]; /* of its claims */
    struct tg_unix_hand *found;                 /* by its call: of those it gave back; else NULL */
    struct tg_unix_hand *hand;                  /* the message that its call is at; or NULL */
    /* In an event loop: the set, the level in it; -1 none. */
    int poll;
    int level;
    bool is_up;
    bool is_deaf;  /* the sockets are not in its set: nothing of them is read */
    bool is_armed; /* it found nothing */
    bool watches;
    uint32_t deaths_seen;
};

/* ---- box.c: the boxes of this process */

/* process: 0, TG_OF_PROCESS, TG_FOR_REPLIES. */
int tg_unix_open(const char *name, unsigned flags, const tong_options *options, uint32_t process,
                 tg_handle *ret_handle);
/* To send to a process by its name, as another one. -ENOENT, -EINVAL: it is no process's. */
int tg_unix_open_peer(const struct tg_unix_handle *as, const char *name,
                      struct tg_unix_handle **ret_peer);
/* A handle inside a handle, for what it sends with that priority. */
int tg_unix_open_lane(struct tg_unix_handle *h, uint32_t priority,
                      struct tg_unix_handle **ret_lane);
int tg_unix_close(tg_handle h);
/* The box of that id, if this process is its owner; locked. */
struct tg_unix_box *tg_unix_box_find(const uint8_t id[16]);
void tg_unix_box_unlock(struct tg_unix_box *box);
/* Lock held: it has ended; everybody is told. */
void tg_unix_box_end(struct tg_unix_box *box, int how);
/* What stands before a call: -ECHILD, the end of the mailbox, or else r. */
int tg_unix_check(struct tg_unix_handle *h, int r);
static inline int tg_unix_check_fast(const struct tg_unix_handle *h)
{
    return h->fork_count != tg_fork_count() ? -ECHILD : 0;
}
int tg_unix_interrupt(tg_handle h);
/* A descriptor that is readable once the handle was interrupted, made if it is not there. */
int tg_unix_interrupt_fd(struct tg_unix_handle *h);

/* ---- links.c; lock held */

#define TG_UNIX_TRIES_AFTER 16u /* see drive.c, I2 */

struct tg_unix_link *tg_unix_link_new(struct tg_unix_box *box);
void tg_unix_link_free(struct tg_unix_box *box, struct tg_unix_link *link);
/* Nothing comes from it any more; it goes with its last message. */
void tg_unix_link_end(struct tg_unix_box *box, struct tg_unix_link *link);
/* From now on that socket is its. -EUSERS: this process has too many. */
int tg_unix_channel_open(struct tg_unix_box *box, struct tg_unix_channel *channel, int fd);
void tg_unix_channel_close(struct tg_unix_box *box, struct tg_unix_channel *channel);
/* How many descriptors the messages of one mailbox may hold. */
uint32_t tg_unix_most_held(void);
/* It is to be read; it is not. */
void tg_unix_channel_ready(struct tg_unix_box *box, struct tg_unix_channel *channel);
void tg_unix_channel_rest(struct tg_unix_box *box, struct tg_unix_channel *channel);
/* What waits there cannot be read now; it is tried again. */
void tg_unix_channel_mute(struct tg_unix_box *box, struct tg_unix_channel *channel);
void tg_unix_channel_unmute(struct tg_unix_box *box);
bool tg_unix_channel_is_offer(const struct tg_unix_box *box, const struct tg_unix_channel *channel);
/* No lock: what is counted of all mailboxes comes through a fork. */
enum tg_unix_forking {
    TG_UNIX_BEFORE_FORK,
    TG_UNIX_IN_PARENT,
    TG_UNIX_IN_CHILD,
};
void tg_unix_links_fork(enum tg_unix_forking when);

/* ---- drive.c; lock held */

int tg_unix_drive_init(struct tg_unix_box *box);
void tg_unix_drive_fini(struct tg_unix_box *box);
/* Read until there is one message more. From: of that sender, if there is no memory for others', NULL: anybody's.
 * False: nothing is there; unless may_ask: that is known of. */
bool tg_unix_drive_pull(struct tg_unix_box *box, const char *from, bool may_ask);
/* Let in whoever waits and read all that is there. */
void tg_unix_drive_all(struct tg_unix_box *box);
/* Ask who is ready, after a sleep on its sockets elsewhere. */
void tg_unix_drive_ask(struct tg_unix_box *box);
void tg_unix_drive_drain(struct tg_unix_box *box, struct tg_unix_link *link);
/* Let in whoever waits, and read what those say who hear of the end of requests. */
void tg_unix_drive_let_in(struct tg_unix_box *box);
/* Whether a sleep on the sockets is one: there is nothing in them that nobody reads. */
bool tg_unix_drive_may_sleep(const struct tg_unix_box *box);
/* A room that was granted to it and is not used. */
void tg_unix_drive_give_room_back(struct tg_unix_box *box, struct tg_unix_link *link);
/* Sleep until something comes, the lock given back meanwhile; what else ends it, and whose offers alone do, NULL:
 * anybody's. 0, -ETIMEDOUT, -EINTR. */
struct tg_unix_sleep {
    int64_t deadline_ns;
    const char *from;
    bool passes; /* what fills the memory may be others', and stays there */
    int others[4];
    size_t n_others;
    bool *ret_ready;               /* which of these ended it; NULL: not wanted */
    struct tg_unix_waiter *driver; /* the call that sleeps, if it stands in the queue */
};
int tg_unix_drive_sleep_with(struct tg_unix_box *box, const struct tg_unix_sleep *s);
/* A message of the link is finished; the link may go with it. */
void tg_unix_drive_credit(struct tg_unix_box *box, struct tg_unix_link *link);
/* One that has ended goes with its last message. */
void tg_unix_drive_drop_if_over(struct tg_unix_box *box, struct tg_unix_link *link);
uint64_t tg_unix_done_of(const struct tg_unix_box *box, uint32_t row);
/* The link's number space and row are known. -ENOMEM, -ENOSPC. */
int tg_unix_drive_set_row(struct tg_unix_box *box, struct tg_unix_link *link, uint32_t row);
/* It waits for n rooms of the mailbox; it does not any more. */
void tg_unix_drive_want(struct tg_unix_box *box, struct tg_unix_link *link, uint64_t n);
void tg_unix_drive_forget_want(struct tg_unix_box *box, struct tg_unix_link *link);
/* Its messages have numbers below that; tell its sender. */
uint64_t tg_unix_drive_limit(const struct tg_unix_box *box, const struct tg_unix_link *link);
void tg_unix_drive_tell(struct tg_unix_box *box, struct tg_unix_link *link);
void tg_unix_drive_stop(struct tg_unix_box *box);
/* To everybody who is connected. */
void tg_unix_drive_tell_all(struct tg_unix_box *box, enum tg_unix_kind what);
/* At capacity 0: read the next offer of another process, not longer than is wanted. 1: it is the last of
 * the messages that wait; 0: there is none; -EMSGSIZE, and its sender and length are told. */
/* Read one packet: 1 a message came. */
int tg_unix_drive_read(struct tg_unix_box *box, struct tg_unix_channel *channel);
/* The first channel there with an offer of that sender, NULL: of anybody. */
struct tg_unix_channel *tg_unix_drive_next_offer(const struct tg_unix_box *box, const char *from);
int tg_unix_drive_offer(struct tg_unix_box *box, const struct tg_unix_want *want);
/* What became of an offer: TG_UNIX_TAKEN, TG_UNIX_LATE. */
void tg_unix_drive_answer(struct tg_unix_box *box, const struct tg_unix_message *m,
                          enum tg_unix_kind what);
/* Rooms for those who wait for them, in the order in which they came. */
void tg_unix_drive_grant(struct tg_unix_box *box);

/* ---- packet.c: what one packet says; lock held */

/* 1: a message came; 0: something else; -EAGAIN: nothing there; other errors: the link is to be dropped,
 * -EPIPE: for it has ended. */
int tg_unix_packet_read(struct tg_unix_box *box, struct tg_unix_channel *channel);
/* Whether there are descriptors left for those that the next packet brings. */
bool tg_unix_packet_may_come(const struct tg_unix_channel *channel);
/* How long the next message of a channel is, without taking it; -EAGAIN. */
/* The same, and what it says. */
int tg_unix_packet_look(const struct tg_unix_channel *channel, struct tg_unix_packet *ret_packet,
                        struct tg_said *ret_said);
int tg_unix_packet_peek(const struct tg_unix_channel *channel, uint32_t *ret_len);
/* Whether it says that it hears of ends. */
bool tg_unix_packet_hears(const struct tg_unix_channel *channel);
void tg_unix_packet_refuse(int fd, int error);

/* ---- message.c; lock held */

struct tg_unix_message *tg_unix_message_new(struct tg_unix_box *box, size_t len);
/* That descriptor is the message's, -1 none; it is the caller's. */
void tg_unix_message_put_fd(struct tg_unix_box *box, struct tg_unix_message *m, int fd);
int tg_unix_message_take_fd(struct tg_unix_box *box, struct tg_unix_message *m);
void tg_unix_message_free(struct tg_unix_box *box, struct tg_unix_message *m);
void tg_unix_list_init(struct tg_unix_list *list);
void tg_unix_list_add(struct tg_unix_list *list, struct tg_unix_message *m);
void tg_unix_list_remove(struct tg_unix_list *list, const struct tg_unix_message *m);
void tg_unix_count_waiting(struct tg_unix_box *box, const struct tg_unix_message *m, int n);
/* It is in the mailbox. */
void tg_unix_message_arrive(struct tg_unix_box *box, struct tg_unix_link *link,
                            struct tg_unix_message *m);
/* An offer is taken back; it is in no list. */
void tg_unix_message_withdraw(struct tg_unix_box *box, struct tg_unix_message *m);
/* It is handed out; claim: to be finished later. */
void tg_unix_message_take(struct tg_unix_box *box, struct tg_unix_message *m, bool claim);
/* It is done with: its room is free. */
void tg_unix_message_finish(struct tg_unix_box *box, struct tg_unix_message *m);
/* The same, by its sender's wish. */
void tg_unix_message_drop(struct tg_unix_box *box, struct tg_unix_message *m);
/* It is anybody's again; counts: it was handed out. */
void tg_unix_message_back(struct tg_unix_box *box, struct tg_unix_message *m, bool counts);
/* It goes, counted by who ends it. */
void tg_unix_message_end(struct tg_unix_box *box, struct tg_unix_message *m);
/* Others of its sender have taken the place of one that was handed out without a room. */
bool tg_unix_message_has_no_place(const struct tg_unix_box *box, const struct tg_unix_message *m);
/* Of its sender alone. */
void tg_unix_message_tell_link(const struct tg_unix_link *link, tong_message *ret_info);
/* The oldest message of the link that nobody has in hand; false: there is none. */
bool tg_unix_drop_oldest(struct tg_unix_box *box, const struct tg_unix_link *link);
void tg_unix_message_tell(const struct tg_unix_message *m, tong_message *ret_info);

/* A count of the head: its owner alone writes it, under the lock. */
static inline void tg_unix_count(tg_a64 *count, int64_t n)
{
    tg_store_relaxed(count, tg_load_relaxed(count) + (uint64_t)n);
}

static inline void tg_unix_count_small(tg_a32 *count, int n)
{
    tg_store_relaxed(count, tg_load_relaxed(count) + (uint32_t)n);
}

/* What is told of a link's row; those without one share theirs. */
static inline struct tg_unix_told *tg_unix_told_of(const struct tg_unix_box *box,
                                                   const struct tg_unix_link *link)
{
    return &box->told[link->row != TG_UNIX_NO_ROW ? link->row : TG_UNIX_OWN_ROW];
}

/* ---- deliver.c: who takes next; lock held */

/* Somebody who waits is told, if there is something for him. */
void tg_unix_deliver_wake(struct tg_unix_box *box);
void tg_unix_deliver_wake_all(struct tg_unix_box *box);
/* Nobody drives any more: if receivers wait, one of them does. */
void tg_unix_deliver_drive(struct tg_unix_box *box);
/* Sleep on descriptors, until one is readable: 0 or more, also for a look; -ETIMEDOUT, -EINTR. */
int tg_unix_poll(const int fds[], size_t n, int64_t deadline_ns);
/* Whether the next receive call of the handle, me: of one that waits already, has something to say. */
bool tg_unix_deliver_has(struct tg_unix_handle *h, const struct tg_unix_waiter *me);
/* Stand in the queue, as the driver if there is none; leave it. */
void tg_unix_deliver_enter(struct tg_unix_box *box, struct tg_unix_waiter *me);
void tg_unix_deliver_leave(struct tg_unix_box *box, struct tg_unix_waiter *me);
/* Wait for a message that is this handle's turn, and take it: NULL and the error. */
struct tg_unix_message *tg_unix_deliver_next(struct tg_unix_handle *h,
                                             const struct tg_unix_want *want, int *ret_error);

/* The one of those that take whatever comes which takes next; NULL: none waits. */
struct tg_unix_waiter *tg_unix_deliver_first(struct tg_unix_box *box);
void tg_unix_deliver_wake_one(struct tg_unix_box *box, struct tg_unix_waiter *w);
/* Whether the message was taken out of its list, for it has expired or was handed out too often; the lock may
 * have been given back then. */
bool tg_unix_deliver_tidy(struct tg_unix_box *box, struct tg_unix_list *list,
                          struct tg_unix_message *m, bool skip);

/* ---- match.c: whose a message is where not everybody may have it; lock held */

#define TG_UNIX_PASSED 64u /* messages of a link that are passed over */

/* A call that looks for a message. */
struct tg_unix_look {
    struct tg_unix_handle *h;
    const struct tg_unix_waiter *me; /* NULL: it does not wait yet */
    const struct tg_unix_want *want;
    uint64_t need; /* free messages that must be there for it to take one */
    bool only_looks;
    bool is_there; /* it found an offer, and only looks */
    bool is_chosen;
    uint64_t n_free;
    uint32_t floor; /* of an offer's priority: what has a lower one comes behind what was found */
    struct tg_unix_found free;
    struct tg_unix_found mine;
    bool is_mine_first;
};

/* Whether this is where that is asked. */
static inline bool tg_unix_is_matched(const struct tg_unix_box *box,
                                      const struct tg_unix_want *want)
{
    return want->asked != NULL || box->n_asking != 0 || box->policy->by_key;
}
bool tg_unix_match_asks(const tong_receive_options *asked, const struct tg_unix_link *link,
                        const struct tg_said *said);
/* Of a look, once for each message: of that link so many were passed over that the rest of it waits. */
bool tg_unix_match_is_behind_many(const struct tg_unix_box *box, struct tg_unix_link *link);
/* What is there for the call; has: without taking it. */
struct tg_unix_found tg_unix_match_turn(struct tg_unix_look *l);
bool tg_unix_match_has(struct tg_unix_look *l);
/* Whether its descriptor is readable. */
bool tg_unix_match_is_up(const struct tg_unix_handle *h);
/* Whoever waits for one of those there, and for those that are anybody's the first. */
void tg_unix_match_wake(struct tg_unix_box *box, const struct tg_unix_waiter *but);
/* The key of what it takes is its from now on. 0, -ENOMEM. Those that it has are nobody's. */
int tg_unix_match_keep(const struct tg_unix_handle *h, const struct tg_unix_message *m);
void tg_unix_match_leave(const struct tg_unix_handle *h);
/* Whether one who waits takes what is offered at once, as far as is known. */
bool tg_unix_match_takes(struct tg_unix_box *box, const struct tg_unix_link *link,
                         const struct tg_said *said);
/* There may be another offer of that link. */
void tg_unix_match_again(struct tg_unix_box *box, struct tg_unix_link *link);
void tg_unix_match_all_again(struct tg_unix_box *box);

/* ---- wait.c */

int tg_unix_wait_any(tg_handle const handles[], size_t n, int64_t timeout_ns);
int tg_unix_fd(tg_handle h, unsigned what);
int tg_unix_watch(tg_handle h, int64_t timeout_ns, tong_death *ret_death);
int tg_unix_set(tg_handle h, const tong_options *options, unsigned what);
/* Its messages lie in its owner. */
int tg_unix_give(tg_handle h, const char *process);
/* Lock held: whether the handle's descriptor is readable is brought up to date; it goes. */
void tg_unix_level_update(struct tg_unix_handle *h);
void tg_unix_level_update_all(struct tg_unix_box *box);
void tg_unix_level_close(struct tg_unix_handle *h);
/* Lock held: a link has ended without a word. */
void tg_unix_note_death(struct tg_unix_box *box, const struct tg_unix_link *dead);

/* ---- direct.c */

int tg_unix_process_open(const char *name, const tong_options *options, tg_handle *ret_me);
int tg_unix_process_rename(tg_handle handle, const char *name);
int tg_unix_process_pause(tg_handle handle, int64_t deadline);
ssize_t tg_unix_receive_any(tg_handle me, void *buf, size_t size, int64_t timeout_ns,
                            char ret_from[TONG_NAME_MAX]);
ssize_t tg_unix_receive_from(tg_handle me, const char *from, tg_handle peer, void *buf, size_t size,
                             int64_t timeout_ns);
int tg_unix_peer_open(tg_handle me, const char *name, tg_handle *ret_peer);
/* Whether the mailbox lives: 0, -EIDRM, -EOWNERDEAD; and how often it was renamed. */
int tg_unix_probe(const struct tg_unix_handle *h, uint32_t *ret_renames);
int tg_unix_peer_check(tg_handle handle);
int tg_unix_peer_look_up(tg_handle handle, const char *name);
bool tg_unix_peer_is_same(tg_handle a, tg_handle b);
void tg_unix_peer_rename(tg_handle handle, const char *name);
int tg_unix_links(tong_links_fn *each, void *arg);

/* ---- receive.c */

struct tg_unix_how {
    tong_message *info; /* NULL: not wanted, as the others */
    const char *from;   /* this process's only */
    const tong_receive_options *asked;
    tg_handle peer; /* whose end ends the call */
    char *sender;   /* told the name of its process */
    int *fd;        /* given its descriptor, -1 if it has none */
};
ssize_t tg_unix_receive_as(tg_handle h, void *buf, size_t size, int64_t timeout_ns,
                           const struct tg_unix_how *how);
ssize_t tg_unix_receive(tg_handle h, void *buf, size_t size, int64_t timeout_ns);
ssize_t tg_unix_receive_with(tg_handle h, void *buf, size_t size, const tong_receive_options *with,
                             int64_t timeout_ns, tong_message *ret_info);
ssize_t tg_unix_receive_fd(tg_handle h, void *buf, size_t size, int64_t timeout_ns, int *ret_fd,
                           tong_message *ret_info);
ssize_t tg_unix_receive_many(tg_handle h, const struct iovec *buffers, size_t n, int64_t timeout_ns,
                             size_t *ret_lens);
ssize_t tg_unix_skip(tg_handle h);
int tg_unix_claim_with(tg_handle h, const tong_receive_options *with, int64_t timeout_ns,
                       tong_message *ret_message);
int tg_unix_claim(tg_handle h, int64_t timeout_ns, tong_message *ret_message);
int tg_unix_done(tg_handle h, tong_message *message);
int tg_unix_give_back(tg_handle h, tong_message *message);
int tg_unix_origin(tg_handle h, const tong_message *message, tong_origin *ret_origin);
/* Lock held: what the handle has claimed is anybody's again. */
void tg_unix_return_all(struct tg_unix_handle *h);

/* ---- send.c: the calls; own.c: into the own box; sender.c: over a connection */

/* A message to be sent. */
struct tg_unix_parts {
    const struct tg_said *said; /* NULL: nothing */
    const void *data;
    size_t len;
    int fd;                        /* -1 none */
    struct tg_unix_message *ready; /* has the data already, and is used up; NULL: none */
    bool is_kept;                  /* refused, it is not lost, and not counted */
    struct tg_unix_reply *asker;   /* it is a request of that one, NULL: it is none */
};

struct tg_unix_call {
    int64_t deadline_ns;
    uint32_t interrupts;
};

int tg_unix_send(tg_handle h, const void *data, size_t len, int64_t timeout_ns);
int tg_unix_send_with(tg_handle h, const void *data, size_t len, const tong_send_options *with,
                      int64_t timeout_ns);
int tg_unix_send_fd(tg_handle h, const void *data, size_t len, int fd, int64_t timeout_ns);
ssize_t tg_unix_send_many(tg_handle h, const struct iovec *messages, size_t n, int64_t timeout_ns);
int tg_unix_reserve(tg_handle h, size_t len, int64_t timeout_ns, tong_slot *ret_slot);
int tg_unix_commit(tg_handle h, tong_slot *slot, size_t len);
int tg_unix_abort(tg_handle h, tong_slot *slot);

/* The handle's gate is held. 0, TONG_DROPPED: full. */
int tg_unix_own_send(struct tg_unix_handle *h, const struct tg_unix_parts *parts,
                     const struct tg_unix_call *call);
int tg_unix_own_reserve(struct tg_unix_handle *h, size_t len, const struct tg_unix_call *call);
void tg_unix_own_abort(struct tg_unix_handle *h);
/* Box's lock held: the handle's link goes. */
void tg_unix_own_close(struct tg_unix_handle *h);
/* Lock held, given back meanwhile: until something comes or the handle is interrupted, on the sockets if
 * nobody else sleeps there. */
int tg_unix_own_sleep(struct tg_unix_handle *h, int64_t deadline_ns);
/* Lock held: senders of this process look for room again. */
void tg_unix_own_wake(struct tg_unix_box *box);

/* The place is the sender's on success. */
int tg_unix_sender_new(struct tg_unix_place *place, struct tg_unix_sender **ret_sender);
/* Another one to the same mailbox. */
int tg_unix_sender_copy(const struct tg_unix_sender *sender, struct tg_unix_sender **ret_copy);
void tg_unix_sender_free(struct tg_unix_sender *sender, bool forked);
int tg_unix_sender_check(struct tg_unix_sender *sender);
const struct tg_unix_place *tg_unix_sender_place(const struct tg_unix_sender *sender);
/* A connection that tells of the owner's end and of its new names, kept by the sender; read all of it. */
int tg_unix_sender_watch(struct tg_unix_sender *sender);
void tg_unix_sender_watched(struct tg_unix_sender *sender);
/* The name of its process is another one now. */
void tg_unix_sender_rename(struct tg_unix_handle *h, const char *name);
uint32_t tg_unix_full(const struct tg_unix_handle *h);
uint32_t tg_unix_capacity(const struct tg_unix_handle *h);
/* A millisecond; -EINTR. */
int tg_unix_pause(void);
/* A sealed memfd with the bytes of a message; what was written in place is that. */
int tg_unix_memfd_of(const struct tg_unix_parts *parts);
/* The deadline of a rendezvous: no later than the message is worth. */
int64_t tg_unix_worth(const struct tg_said *said, int64_t deadline_ns);
int tg_unix_send_parts(tg_handle h, const struct tg_unix_parts *parts, int64_t timeout_ns);
uint32_t tg_unix_sender_message_size(const struct tg_unix_sender *sender);
int tg_unix_sender_send(struct tg_unix_handle *h, const struct tg_unix_parts *parts,
                        const struct tg_unix_call *call);
/* Room for one message, and memory for it. */
int tg_unix_sender_reserve(struct tg_unix_handle *h, size_t len, const struct tg_unix_call *call);
void tg_unix_sender_abort(struct tg_unix_handle *h);

/* ---- stat.c */

int tg_unix_stat(const char *name, tong_status *ret_status);
/* Each link of a mailbox by its name. */
int tg_unix_look_at_links(struct tg_root *root, const char *name,
                          int (*each)(const struct tg_unix_row_look *look, void *arg), void *arg);
int tg_unix_parties(const char *name, tong_parties_fn *each, void *arg);
int tg_unix_list(tong_list_fn *each, void *arg);

/* ---- interrupts */

static inline uint32_t tg_unix_interrupts_begin(const struct tg_unix_handle *h)
{
    return tg_load_relaxed(&h->interrupts->used);
}

static inline bool tg_unix_is_interrupted(const struct tg_unix_handle *h, uint32_t seen)
{
    const uint32_t now = tg_load_seq_cst(&h->interrupts->now);
    if (now == seen) {
        return false;
    }
    atomic_store_explicit(&h->interrupts->used, now, memory_order_relaxed);
    return true;
}

#endif
