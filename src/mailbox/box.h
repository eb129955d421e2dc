/* Inside layer 3: what a handle is made of, and what its parts offer each other. */
#ifndef TG_MAILBOX_BOX_H
#define TG_MAILBOX_BOX_H

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/gate.h"
#include "link/link.h"
#include "mailbox/box_layout.h"
#include "mailbox/carry.h"
#include "mailbox/everyone.h"
#include "mailbox/lanes.h"
#include "mailbox/mailbox.h"
#include "mailbox/overtaken.h"
#include "mailbox/policy/policy.h"
#include "mailbox/poll.h"
#include "mailbox/request.h"
#include "mailbox/said.h"
#include "mailbox/sight.h"
#include "mailbox/way.h"
#include "region/region.h"
#include "region/region_layout.h"

#define TG_USERS_MAX 64u
#define TG_BELLS_NAME "bell.%u"
#define TG_BELLS_OF_ONE 16u /* bell files of one user that are looked at */

/* ---- the sending side; guarded by its gate */

struct tg_sender {
    struct tg_gate gate;
    struct tg_writer writer;
    bool has_link;
    bool is_plain;   /* has_link, and its own room is all that a message needs, ... */
    bool is_bounded; /* ... or beside it one of the mailbox's rooms */
    uint32_t plain_room;
    bool row_known;  /* the box's row is about this link */
    bool holds_room; /* taken from the room word, not used yet */
    bool has_reservation;
    bool out_of_order;        /* some of its messages overtake others on their way */
    uint32_t done_seen;       /* of the row; never ahead of it */
    uint32_t done_total_seen; /* of the box; never ahead of it */
    uint32_t want;            /* room to be rung for */
    uint32_t given_up;        /* messages the present call dropped for its own */
    uint32_t quota;           /* rooms it may take beside a queue */
    uint32_t since_wake;      /* messages sent since the last sleep for room */
    uint64_t note;            /* the turn rung for last */
    struct tg_ringer ringer;  /* of those in an event loop */
    uint64_t reservation;     /* number of the present one */
    uint64_t reserved_len;
    int64_t timeout_ns; /* of the reservation: rendezvous waits in commit */
    pthread_t reserver;
    uint32_t offer; /* rendezvous: number of the last offer */
    uint32_t cpu;
    uint32_t spin; /* pauses before the next sleep */
    uint32_t sleeps;
    struct tg_books books; /* to everyone: the receivers'; ... */
    const struct tg_book *ringing;
    uint32_t held_by; /* ... slot + 1 of one that leaves no room, 0 nobody; and its number */
    uint32_t held_number;
    bool was_alone;       /* when its link was made there was no other */
    uint64_t max_sum;     /* bytes of the mailbox's links when last counted ... */
    uint64_t added;       /* ... and added by this link since */
    struct tg_poll *poll; /* NULL until it is asked for its descriptor */
};

/* ---- the receiving side */

/* What a receive call asks for: see select.c. All zero: it takes whatever comes. */
struct tg_wish {
    const char *only;      /* senders of this name alone; NULL: see from */
    uint64_t from;         /* of the name with this tg_key() alone, 0 all; a sleeper's */
    uint64_t tag;          /* messages of this one, 0 any */
    uint32_t min_priority; /* of this one or a higher */
    bool selects;          /* one of these is asked for */
};

/* What is private to a receiver of a link, beside the reader. */
struct tg_attached {
    struct tg_reader reader;
    struct tg_box_row *row;
    uint32_t waits_note; /* sleeps of its sender already rung for */
    /* scratch of collect */
    uint32_t lowest;
    uint64_t lowest_place;
    uint32_t unfinished;
    bool touched;
    bool ring_due;            /* room was freed: its sender may wait */
    uint32_t lane;            /* see lanes.c */
    uint32_t from_seen;       /* which of its sender's names ... */
    char from[TONG_NAME_MAX]; /* ... this is */
    uint64_t from_key;        /* tg_key() of it; "": 0 */
    /* scratch of a look, valid while it is the present one: see returned.c */
    uint32_t look;
    uint32_t n_returned;    /* entries that were returned, ... */
    uint32_t n_passed;      /* ... those that were only passed over, ... */
    bool waits;             /* ... and one of them is another receiver's to take first */
    struct tg_poll_out out; /* its sender's FIFO, in an event loop */
};

struct tg_user_bells {
    uint32_t uid;    /* of the file, as this process sees it */
    uint32_t number; /* in its name */
    struct tg_bells *bells;
    bool writable;
    uint32_t links_seen;
    struct tg_sight sight; /* of another user's: bells is its copy */
};

struct tg_receiver {
    struct tg_gate gate;   /* the right to wait, held asleep too */
    struct tg_gate short_; /* held with the token; guards all below against other threads */
    uint32_t slot;
    struct tg_attached **attached; /* in the order in which they were found */
    uint32_t n_attached;
    uint32_t attached_room;
    struct tg_attached **by_row; /* TG_LINKS_MAX pointers */
    uint32_t cursor;             /* link looked at first */
    uint32_t look;               /* counts looks */
    uint32_t n_back; /* in the present one: messages that came back, of links attached */
    uint32_t served; /* messages taken from it in a row */
    uint32_t users_seen;
    uint32_t want_note;             /* sleeps of the senders' front already rung for */
    uint32_t arms_note;             /* ... and epochs of senders in event loops */
    int64_t parked_ns;              /* when one that was set aside was tried again */
    struct tg_box_entry *too_often; /* found by this look, for dead_letter.c */
    struct tg_box_entry *serving;   /* a returned one that must stay where it is */
    uint32_t forgets;               /* entries of requests that were taken for others */
    uint32_t polls;                 /* calls that must not wait and saw nothing */
    uint32_t looks;                 /* calls since the others' lives were looked at */
    uint32_t user_looks;            /* calls since the others' bells were read */
    uint8_t *copies[TG_CLAIMS_MAX]; /* of claimed messages of other users, by entry */
    struct tg_attached *ring_one;   /* the only one with ring_due, or NULL */
    bool has_slot;
    bool joins;      /* to everyone: it is being decided where its rows begin */
    bool retry;      /* this collect lets those set aside be tried again */
    bool is_unknown; /* its policy is an own one that this process had not registered then */
    bool ring_due;
    bool ring_always;        /* a new holder rings without condition */
    bool dirty;              /* a collect could not see every link */
    bool stale;              /* a row speaks of another file than the one attached */
    struct tg_ringer ringer; /* of those in an event loop; used under the token */
    uint32_t spin;
    uint32_t sleeps;
    uint32_t long_len; /* of the last long message; halved by a spin in vain */
    uint32_t cpu;
    uint32_t delivery;   /* the word that policy and own were made from */
    uint64_t random;     /* state of the generator, see policy/random.c */
    struct tg_wish wish; /* of the present call; its gate guards it */
    bool takes_any;      /* of the present look, by key: see select.h */
    bool empty;          /* the short way found nothing in the queue, just now: see carried.c */
    struct tg_own_policy own;
};

/* ---- tong_watch */

struct tg_party {
    uint64_t id; /* record number of its process */
    uint32_t roles;
    uint32_t listed; /* roles found at the last look */
    uint32_t uid;
    int32_t pid;
    bool told; /* of its death */
};

struct tg_watch {
    struct tg_gate gate; /* held asleep too; guards the rest */
    struct tg_party *parties;
    uint32_t n;
    uint32_t room;
    uint32_t first; /* where the next sleep's list begins */
    bool begun;
};

struct tg_interrupts {
    tg_a32 now;
    tg_a32 used; /* what the calls that are over have used up */
};

/* The process that a handle sends as: see from.c. */
struct tg_as {
    struct tg_gate gate;      /* never held asleep; guards the rest, and the box's own name */
    bool is_linked;           /* the link bears the name */
    char name[TONG_NAME_MAX]; /* "": as nobody */
    tg_a32 renames;           /* of the other side, when its name was looked up; any thread */
};

struct tg_box {
    const struct tg_way *way; /* NULL: the links carry */
    struct tg_carry *carry;   /* NULL likewise */
    struct tg_root *root;
    int dir;
    uint32_t dir_uid; /* whose mailbox it is */
    uint64_t dir_ino; /* the folder's number */
    uint32_t flags;
    uint32_t fork_count;
    uint64_t me;
    bool joined;      /* has a life */
    bool writable;    /* the box file is mapped for writing */
    bool is_process;  /* a process's own mailbox, opened by that process */
    bool has_no_name; /* being made: nobody else knows of it */
    bool is_replies;  /* for the replies to calls of this process */
    atomic_bool owns; /* its close ends the mailbox, if it is this process's still */
    bool threads;     /* told that several threads use it */
    uint8_t id[16];
    struct tg_box_file main; /* the mailbox's: what it is, whose, and who is there */
    /* Where this handle receives: the same, or its own book, which is the file `desk`. */
    char desk[TG_BOOK_NAME_SIZE];
    struct tg_box_head *head;
    struct tg_box_slot *slots;
    struct tg_box_row *rows;
    struct tg_box_entry *entries;
    struct tg_room_head *room;
    struct tg_room_row *room_rows;
    struct tg_sight sight; /* of the box, if it is another user's: head and the rest are its copy */
    struct tg_sight room_sight; /* of the room, if others may cut it and no room is taken from it */
    struct tg_user_bells users[TG_USERS_MAX];
    uint32_t n_users;
    uint32_t ring; /* index of the bells this process rings, UINT32_MAX none */
    /* options, as they act */
    const struct tg_policy *policy;
    uint32_t capacity;
    uint32_t link_capacity;
    uint32_t message_size;
    uint32_t full;
    bool everyone;    /* delivery is TONG_EVERYONE, for good */
    bool lossy;       /* full is TONG_DROP_OLDEST: a sender may overtake a receiver */
    bool goes_long;   /* a receive never goes the short way */
    bool by_priority; /* see lanes.c */
    uint32_t lane;    /* the priority of what this handle sends, if it is inside of another one */
    uint32_t handle;  /* counts those of this process; of a lane its outer one's */
    uint32_t mode;
    uint32_t max_deliveries;
    uint64_t max_bytes;
    /* as last seen, see owner.c; any thread */
    tg_a64 owner;
    tg_a32 state_seen;
    tg_a32 state_simple; /* the same, if nothing else is to be asked; or 0 */
    tg_a32 refused;      /* 1: its policy is not known to this process, when last asked */
    struct tg_interrupts *interrupts; /* own_interrupts, or those of the process it is opened as */
    struct tg_interrupts own_interrupts;
    struct tg_as as;
    struct tg_sender tx;
    struct tg_gate lanes_gate;                   /* who opens one */
    struct tg_box *_Atomic lanes[TG_PRIORITIES]; /* handles for what has another priority than 0 */
    struct tg_receiver rx;
    struct tg_watch watch;
    struct tg_poll *poll; /* NULL until it is asked for its descriptor; the receiving side's gate */
    char name[TONG_NAME_MAX];
    char dead_letter[TONG_NAME_MAX];
};

/* ---- owner.c: whose it is */

/* 0 while the mailbox is alive for this handle; -EIDRM, -EOWNERDEAD. */
int tg_box_check_slow(struct tg_box *box);
/* From now on no call takes the short way, nor leaves out what it begins with. */
void tg_box_not_simple(struct tg_box *box);
static inline int tg_box_check(struct tg_box *box)
{
    const bool simple =
        tg_load_acquire(&box->main.head->state) == tg_load_relaxed(&box->state_simple);
    return simple ? 0 : tg_box_check_slow(box);
}
/* The owner's process id, as it says itself. Not the head's alone: a giver killed behind that store and before
 * the owner's left there the one of the process that did not get it. */
uint32_t tg_box_pid_of(struct tg_root *root, const struct tg_box_head *head, uint64_t owner);
/* Root's lock held: end what a dead one began to change. */
void tg_box_end_change(struct tg_box_head *head);
/* Whether its owner is one that lets this process receive, at this moment. */
static inline bool tg_box_may_take(const struct tg_box *box)
{
    const uint64_t owner = TG_OWNER(tg_load_acquire(&box->main.head->owner));
    return owner == 0 || owner == box->me;
}
/* Of the short ways: used in two places, and as fast in each as if it were used in one. */
#define TG_INLINE static inline __attribute__((always_inline))

/* The bytes of a message; of none, either may be NULL, which memcpy() must not be given. */
static inline void tg_box_copy(void *to, const void *from, size_t len)
{
    if (len != 0) {
        memcpy(to, from, len);
    }
}

static inline bool tg_box_may_receive(const struct tg_box *box)
{
    const uint64_t owner = tg_load_relaxed(&box->owner);
    return owner == 0 || owner == box->me;
}
/* The set is full of bells read before: whether to sleep on it. The owner's life is added. */
bool tg_box_may_sleep(struct tg_box *box, struct tg_waitset *set);
/* The same of who sleeps on descriptors, which were emptied before, and watches the life of that owner. */
bool tg_box_may_poll(struct tg_box *box, uint64_t owner);
/* A receiver's handle was opened: if it is the first one of a new owner, its close is the end. */
void tg_box_accept(struct tg_box *box);

/* ---- box.c: attach, end */

/* How a handle is opened beside what tong.h knows. */
struct tg_opening {
    bool is_process;   /* as a process's own mailbox, which is made here */
    bool is_replies;   /* for the replies to calls */
    struct tg_box *as; /* to send as this process, with its interrupts; NULL: as nobody */
    struct tg_box *interrupted_with; /* by its interrupts; NULL: by its own */
    const struct tg_way *way;        /* NULL: the links carry */
    uint32_t lane;                   /* the priority of what it sends, if it is for one */
    uint32_t handle;                 /* ... and which handle's it is */
};
int tg_box_open_with(const char *name, unsigned flags, const tong_options *options,
                     const struct tg_opening *how, struct tg_box **ret_box);
/* Begin a public call: 0, -ECHILD, or tg_box_check(). */
int tg_box_begin_slow(struct tg_box *box);
/* Nothing is to be asked: alive, as last seen, the system's, and mapped. */
static inline bool tg_box_is_simple(const struct tg_box *box)
{
    return box->fork_count == tg_fork_count() && (__libc_single_threaded || box->threads) &&
           tg_load_acquire(&box->main.head->state) == tg_load_relaxed(&box->state_simple);
}
static inline int tg_box_begin(struct tg_box *box)
{
    return tg_box_is_simple(box) ? 0 : tg_box_begin_slow(box);
}
/* From now on it receives there. */
void tg_box_receive_at(struct tg_box *box, const struct tg_box_file *file, const char *name);
/* The mailbox of a handle. Nothing of it is to be closed. */
struct tg_box_view tg_box_view_of(const struct tg_box *box);
/* Map the bell files of the folder that are not mapped yet. */
int tg_box_find_users(struct tg_box *box);
/* sight.c: read anew what other users tell of new links; tell of the own bell file, just made. */
void tg_box_fresh_users_slow(struct tg_box *box);
static inline void tg_box_fresh_users(struct tg_box *box)
{
    if (box->room_sight.copy != NULL || box->n_users > 1) {
        tg_box_fresh_users_slow(box);
    }
}
int tg_box_tell_user(struct tg_box *box);
/* Ring a receiver's own bell, as a receiver or as a sender. */
void tg_box_ring_slot(struct tg_box *box, uint32_t slot);
/* An error of a file call, told as what it means: the mailbox is gone, if it is. */
int tg_box_gone(struct tg_box *box, int r);
/* Several threads use this handle: say so once. */
void tg_box_note_threads(struct tg_box *box);

/* Open a mailbox's folder and its box file for a look. Nothing is written. */
struct tg_box_view {
    int dir;
    uint32_t uid;
    struct tg_box_head *head; /* read-only unless write was asked for */
    struct tg_box_slot *slots;
    struct tg_box_row *rows;
    struct tg_box_entry *entries;
    struct tg_sight sight;  /* of another user's: what stands above names a copy, as it was then */
    struct tg_books *books; /* of one to everyone, if they were asked for; else NULL */
    struct tg_bells *bells; /* mapped by a handle for writing: the file of that number; NULL none */
    uint32_t bells_number;
};
#define TG_BOX_FILE "box"
#define TG_ROOM_FILE "room"

/* ---- folder.c: look, end, make */

int tg_box_open_dir(struct tg_root *root, const char *name, int *ret_dir, struct stat *ret_st);
/* Map the box file of a folder, checked; or get sight of it, if it is another user's and not to be
 * written: then *ret_p is the copy, with the head in it. */
int tg_box_map(int dir, bool write, struct tg_sight *sight, void **ret_p);
void tg_box_view_set(struct tg_box_view *view, void *p);
/* The files of a folder that was just made, open for writing. */
struct tg_made {
    int box;
    int room;
    int bells;
};

void tg_made_close(struct tg_made *made);
/* Make a folder with a fresh box->id under a temporary name; box->dir is it. */
int tg_box_make_folder(struct tg_box *box, const tong_options *o, const char *temp,
                       struct tg_made *ret_made);
/* Delete it again. */
void tg_box_unmake(struct tg_box *box, const char *temp);
/* Is it the name of a bell file, and which number is in it? */
bool tg_box_is_bells(const char *name, uint32_t *ret_number);
int tg_box_make_bells(const struct tg_box *box, int dir, const char *name, uint32_t mode,
                      int *ret_fd);
/* How link_capacity acts. */
uint32_t tg_box_link_capacity(const tong_options *o);
/* Whether a folder that was opened has lost its name meanwhile: what is wrong with it then is its end. */
bool tg_box_lost_its_name(struct tg_root *root, const char *name, const struct stat *opened);
int tg_box_view_open(struct tg_root *root, const char *name, bool write, struct tg_box_view *view);
/* Of one to everyone: the receivers' books. 0, -errno: not all. */
int tg_box_view_books(struct tg_box_view *view);
void tg_box_view_close(struct tg_box_view *view);
bool tg_box_view_is_dead(struct tg_root *root, const struct tg_box_view *view);
/* How a give and a set begin: may the caller change whose the mailbox is, or what? No for that of a
 * process, whose name it has: -EINVAL. Then the root's lock, and the mailbox as it is under it. */
int tg_box_may_change(struct tg_box *box);
int tg_box_lock_view(struct tg_box *box, int *ret_lock, struct tg_box_view *ret_view);
/* End a mailbox by name under the root's lock; id, if not NULL, must be its. */
enum tg_end {
    TG_END_ANY,
    TG_END_DEAD, /* only if it is dead */
    TG_END_MINE  /* if it is dead or this process's */
};
int tg_box_take_away(struct tg_root *root, const char *name, enum tg_end how, const uint8_t *id);
/* The mailbox of this handle, whose process owns it: with the handle's own mapping. */
void tg_box_end_own(struct tg_box *box);
/* Whoever sleeps in it looks again. */
void tg_box_wake_everybody(const struct tg_box_view *view);
/* Clear away what the dead left in ".tmp". Returns how many. */
uint32_t tg_box_sweep(struct tg_root *root, bool repair);
/* If a process of this user was found dead: remove the mailboxes and regions whose owners are. */
void tg_box_bury(struct tg_root *root);

/* ---- sender_link.c: which link a handle sends on */

int tg_sender_get_link(struct tg_box *box);
void tg_sender_put_link(struct tg_box *box);
/* What the box says of the own link now. */
struct tg_link_place tg_sender_place(struct tg_box *box);
/* Remove the link files of a folder that are drained and without a sender. */
uint32_t tg_links_sweep(struct tg_root *root, const struct tg_box_view *view, uint32_t most,
                        bool repair);
/* The row's words as a place, if the row is about this link. */
struct tg_link_place tg_row_place(const struct tg_box_head *head, const struct tg_box_row *rows,
                                  uint32_t row, uint64_t link_id);

/* ---- parties.c: who is there */

/* A link, as an observer sees it. */
struct tg_link_look {
    uint64_t owner; /* record number of its sender's process, 0 nobody's */
    uint32_t handle;
    int32_t pid;
    bool alive;
    bool blocked; /* alive, and asleep for want of room */
    uint64_t waiting;
    uint64_t sent; /* numbers of records; at capacity 0 of offers */
    uint64_t done;
    uint64_t dropped;
    uint32_t finds;
};
/* fd: its file; uid: whose that is. False: no link, or one that is gone. */
bool tg_link_look(struct tg_root *root, const struct tg_box_view *view, int fd, uint32_t uid,
                  uint32_t row, struct tg_link_look *ret_look);

/* ---- room.c: capacity of the whole mailbox */

/* Take one room: 0, -EAGAIN full; watch (may be NULL) gets the lives that hold unused room. */
int tg_room_take(struct tg_box *box, struct tg_waitset *watch);
/* The same in short, for who took the last one, too; tx.holds_room is set. False: nothing was done, go the long way. */
bool tg_room_take_again(struct tg_box *box);
/* For a receiver: how many are free; whether the front of the queue shall be woken for them. */
int64_t tg_room_left(const struct tg_box *box);
bool tg_room_is_enough(const struct tg_box *box);
/* Give a room that was taken and not used back. */
void tg_room_give_back(struct tg_box *box);
/* Whether one could be taken now; what the dead had is given back for it. */
bool tg_room_is_free(struct tg_box *box);
/* The next link from *row on whose sender holds room that it has not used. */
bool tg_room_holder(struct tg_box *box, uint32_t *row, uint64_t *ret_owner);
/* Before a sleep for room: stand in the queue and fill the waitset. 1: look again first. */
int tg_room_queue(struct tg_box *box, struct tg_waitset *set);
/* Leave the queue, having got room or given up; the next one is told. */
void tg_room_leave(struct tg_box *box);
/* A link's row in the room file, reserved; its predecessor's unused rooms are given back. */
int tg_room_enter(struct tg_box *box, uint32_t row);
/* The own link is closed: nothing of it is taken and unused. */
void tg_room_exit(struct tg_box *box);

/* ---- send.c */

/* As tong_send, of a message that says something of itself. ret_where, if not NULL: where it is, see
 * request.c; then 0 means that it is in the mailbox. */
int tg_box_send_said(struct tg_box *box, const struct tg_said *said, const void *data, size_t len,
                     int64_t timeout_ns, uint64_t *ret_where);

/* Whether what was sent last on the own link was handed out, so that nobody need be told of it. */
bool tg_sender_is_handed_out(struct tg_box *box);
/* Tell the receiver whose turn it is. After the commit. */
void tg_sender_ring(struct tg_box *box, bool always);
/* Whether the own link has room, as far as it alone counts. */
bool tg_sender_link_has_room(struct tg_box *box);
/* send_spin.c: spin for a while, if a receiver runs on another processor: whether it is ready now. */
bool tg_sender_spin(struct tg_box *box, bool (*ready)(struct tg_box *box));
/* Sleep until a receiver may have freed room. 0, -ETIMEDOUT, -EINTR, -ECANCELED. */
int tg_sender_sleep(struct tg_box *box, int64_t deadline, uint32_t interrupts,
                    bool (*ready)(struct tg_box *box));
/* Living receivers, into a waitset. */
void tg_sender_watch_receivers(struct tg_box *box, struct tg_waitset *set);

/* ---- give_up.c: TONG_DROP_OLDEST, the sender's side */

/* Room for one more message, made if need be. 0; -EAGAIN: nothing of its own to drop; -errno. */
int tg_give_up_for_room(struct tg_box *box);
/* A place for one, where memory is short: after -ENOSPC. */
int tg_give_up_for_memory(struct tg_box *box, uint64_t len, uint8_t **ret_data);
/* Where the writer may go on, as the box and the own drops have it. */
struct tg_link_place tg_give_up_place(struct tg_box *box);

/* ---- rendezvous.c */

struct tg_offering {
    uint64_t len;         /* of the whole reservation */
    uint32_t extension;   /* bytes of it, at its beginning */
    uint64_t deadline_ns; /* as in tg_attributes */
    struct tg_about about;
};

/* The reservation is whole: offer it and wait for the verdict. */
int tg_rendezvous_send(struct tg_box *box, const struct tg_offering *o, int64_t deadline,
                       uint32_t interrupts);
/* Whether some receiver waits, so that an offer would be taken. */
bool tg_rendezvous_is_awaited(struct tg_box *box);
/* Whether every message taken from the own link is finished. */
bool tg_rendezvous_all_finished(struct tg_box *box);
/* Whether the last offer has its verdict. */
bool tg_rendezvous_is_decided(struct tg_box *box);
/* A successor settles what its predecessor had on offer. */
void tg_rendezvous_settle(struct tg_box *box);
/* Whether an offer is open, a hint. */
bool tg_rendezvous_hint(const struct tg_attached *at);
struct tg_take;
struct tg_viewer;
/* Token held: whether an offer is open for that one. 1, 0, -errno. */
int tg_rendezvous_see(struct tg_box *box, struct tg_attached *at, const struct tg_viewer *viewer);
/* Token held: take the offer of a link. As tg_take_one(). */
int tg_rendezvous_take(struct tg_box *box, struct tg_attached *at, struct tg_take *take);

/* ---- slot.c: receivers come and go; token held */

int tg_slot_join(struct tg_box *box);
/* One slot more than were ever used. 0, -EUSERS, -errno. */
int tg_slot_add(struct tg_box *box, uint32_t *ret_slot);
void tg_slot_leave(struct tg_box *box);
/* Bring what dead receivers held back. True if there were any. */
bool tg_slot_repair(struct tg_box *box);
/* Whether a receiver in some slot is dead and not repaired yet; needs no token. */
bool tg_slot_any_dead(struct tg_box *box);

/* ---- lock.c: the token with what belongs to it */

/* 0, or -EAGAIN, -ETIMEDOUT, -EINTR. Stolen from a dead one: everything is repaired first. */
int tg_box_lock(struct tg_box *box, int64_t deadline);
/* Take it if it is free or its holder dead; else have the holder collect. True: taken. */
bool tg_box_lock_or_pend(struct tg_box *box);
void tg_box_unlock(struct tg_box *box);
/* Before room is freed by who may not be a receiver yet: have the blocked senders watch its life. */
void tg_box_announce(struct tg_box *box);

/* ---- links.c: links a receiver knows; token held */

/* Attach new links, forget those gone. */
int tg_links_refresh(struct tg_box *box);
/* Whether the folder may hold links not attached yet; a hint, no token needed. */
static inline bool tg_links_stale(const struct tg_box *box)
{
    for (uint32_t i = 0; i < box->n_users; i++) {
        if (tg_load_acquire(&box->users[i].bells->links) != box->users[i].links_seen) {
            return true;
        }
    }
    return box->rx.stale || tg_load_acquire(&box->room->users) != box->rx.users_seen;
}
/* Whether a link's row speaks of the file attached; if not, the links are stale. */
bool tg_links_is_current(struct tg_box *box, const struct tg_attached *at);
void tg_links_detach_all(struct tg_box *box);
/* Memory for a row of a box or a book. */
int tg_rows_reserve(int dir, const char *file, struct tg_box_head *head, uint32_t row);

/* ---- claim.c: entries; token held unless said */

/* Recompute head and done of links whose entries were released; of all, if all. */
void tg_claims_collect(struct tg_box *box, bool all);
/* Whether it is time to try those set aside again; the next collect does. */
bool tg_claims_want_retry(const struct tg_box *box);
/* Recompute one link. */
void tg_claims_collect_one(struct tg_box *box, struct tg_attached *at);
/* A free entry of the own slot. 0, -ENOBUFS (all are claims), -errno (no memory for it). One of a request
 * to be answered is taken for it, at last. */
int tg_claims_free_entry(struct tg_box *box, struct tg_box_entry **ret_entry);
struct tg_box_entry *tg_claims_of(struct tg_box *box, uint32_t slot);
/* What an entry says of its message, all but the state. */
void tg_claims_copy_fields(struct tg_box_entry *to, const struct tg_box_entry *from);
/* End a claim of the own slot with that state; no token held. */
void tg_claims_finish(struct tg_box *box, struct tg_box_entry *entry, uint32_t state);
/* The entry a message speaks of, if this handle holds it claimed; else NULL. */
struct tg_box_entry *tg_claims_entry_of(struct tg_box *box, const tong_message *message,
                                        uint32_t *ret_state);
/* The same in whatever state. */
struct tg_box_entry *tg_claims_entry_in(struct tg_box *box, const tong_message *message,
                                        uint32_t *ret_state);
/* How a message calls its entry. */
void tg_claims_mark(struct tg_box *box, const struct tg_box_entry *entry, tong_message *message);
/* The link an entry is of, if it is attached. */
struct tg_attached *tg_claims_link_of(const struct tg_box *box, const struct tg_box_entry *entry);
/* Free the private copy of the claim that a message calls by this number, if it has one. */
void tg_claims_drop_copy(struct tg_box *box, uint64_t index);
/* Set head and done of a link, and ring its sender if it waits for room. */
void tg_claims_free_room(struct tg_box *box, struct tg_attached *at, uint64_t head, uint32_t done);
/* Ring the senders that wait for the room freed since the token was taken; before it is given
 * back. */
void tg_claims_ring(struct tg_box *box);
/* Count finished messages, for observers. */
void tg_claims_note_done(struct tg_box *box, uint32_t n);
/* Sum of done over all rows: after a theft. */
void tg_claims_sum(struct tg_box *box);

/* ---- take.c: finding and taking; token held */

enum tg_take_how {
    TG_TAKE_COPY,  /* into the buffer */
    TG_TAKE_CLAIM, /* an entry */
    TG_TAKE_SKIP,  /* throw away */
    TG_TAKE_LOOK   /* only whether there is one */
};

struct tg_take {
    enum tg_take_how how;
    void *buf;
    size_t size;
    /* what was taken */
    size_t len;
    struct tg_box_entry *entry; /* of the own slot: a claim, or a long copy to be made unlocked */
    const uint8_t *data;        /* NULL: in another user's file, ... */
    uint64_t from;              /* ... here; see tg_take_copy() */
    uint8_t *copy;              /* of a claim of such a one, kept until it is done */
    uint8_t *body; /* of a carried one: memory of this process that data is in, or NULL */
    struct tg_attached *at;
    uint32_t sequence;
    uint32_t handed; /* of its link before it; where the links carry the same as sequence */
    uint32_t pid;
    uint32_t deliveries;
    uint32_t extension; /* bytes before data */
    tong_message *info; /* NULL, or to be told all that is known, also on -EMSGSIZE */
    /* requests and replies, see request.c */
    uint64_t call;   /* wanted is the reply of this number, 0 anything */
    uint32_t by;     /* ... sent by this user, or by root */
    bool may_answer; /* a request that is copied is to be answered by who made this call */
    bool is_asked;   /* ... and what was found is one */
    struct tg_box_entry *answering; /* of the own slot, where it is kept; or NULL */
    char *name; /* where the name of its sender goes; NULL: it is not asked for */
};

/* For a claim of another user's message: memory for a copy, reserved, filled, given up. Of others
 * nothing is done. 0, -ENOMEM, -EPROTO: its sender cut it off, or says it is longer than can be. */
int tg_take_reserve(const struct tg_box *box, struct tg_take *take);
int tg_take_fill(struct tg_take *take);
void tg_take_drop(struct tg_take *take);
/* The bytes taken, to where they belong. 0, -EPROTO: its sender cut them off. */
int tg_take_copy_slow(const struct tg_take *take, void *to);
static inline int tg_take_copy(const struct tg_take *take, void *to)
{
    if (take->data == NULL) {
        return tg_take_copy_slow(take, to);
    }
    if (take->len != 0) {
        memcpy(to, take->data, take->len);
    }
    return 0;
}

/* What the record of a message found says of it, taken under the token. 0, -EPROTO, ... */
int tg_take_said(const struct tg_take *take, struct tg_said *ret_said);
/* All of it to who wants to know; said: what that gave, if there is an extension. */
void tg_take_tell(struct tg_box *box, const struct tg_take *take, const struct tg_said *said);

/* Next comes one that was handed out too often: dead_letter.c moves it out of the way. */
#define TG_TAKE_TOO_OFTEN 2

/* 1 taken, 0 nothing there, TG_TAKE_TOO_OFTEN, -EMSGSIZE, -ENOBUFS, -EPROTO, ... */
int tg_take_one(struct tg_box *box, struct tg_take *take);
/* Claim the next one that was handed out too often; set it aside if there is no entry for it. */
int tg_take_too_often(struct tg_box *box, struct tg_take *take);
/* How many wait for that one, counted up to most. */
uint32_t tg_take_count(struct tg_box *box, const struct tg_viewer *viewer, uint32_t most);
/* Whether something may be there; a hint, no token needed. */
bool tg_take_hint(struct tg_box *box);
/* The same whatever the present call asks for. */
bool tg_take_hint_any(struct tg_box *box);
/* The same of the links of higher lanes than that one's. */
bool tg_take_hint_above(struct tg_box *box, const struct tg_attached *at);

/* ---- dead_letter.c */

/* After TG_TAKE_TOO_OFTEN; token held, given back inside. */
void tg_dead_letter(struct tg_box *box);

/* ---- choice.c: which sleeper is first, token held */

/* A slot; TG_SLOTS_MAX: nobody sleeps. */
uint32_t tg_choice_first(struct tg_box *box);
/* Somebody stands in the queue anew: choose again, where the policy does. */
void tg_choice_renew(struct tg_box *box);
/* How many messages must wait for this receiver to take one though so many others sleep and it is
 * not first. UINT32_MAX: it must not. */
uint32_t tg_choice_needed(struct tg_box *box, uint32_t sleepers);
/* This receiver has taken one; before it leaves the queue. */
void tg_choice_served(struct tg_box *box);
/* 0, -EBUSY: others came before, and the policy lets no more receive. */
int tg_choice_admits(struct tg_box *box);
/* The token was just taken: which policy is it? */
void tg_choice_refresh_slow(struct tg_box *box);
static inline bool tg_choice_is(const struct tg_box *box, uint32_t delivery)
{
    /* acquire: pairs with the release of a switch; the name of an own policy comes before. */
    return tg_load_acquire(&box->main.head->delivery) == delivery;
}
static inline void tg_choice_refresh(struct tg_box *box)
{
    if (!tg_choice_is(box, box->rx.delivery) || box->rx.is_unknown) {
        tg_choice_refresh_slow(box);
    }
}
/* The delivery word, and the name of the own policy or "". No token needed. */
uint32_t tg_choice_read(const struct tg_box_head *head, char name[TONG_POLICY_MAX]);
/* 0, -ENOSYS: this process does not know the own policy. Keeps it in box->refused. No token needed. */
int tg_choice_refusal(struct tg_box *box);

/* ---- process.c */

/* The name of the handle's mailbox, which a process may change. */
void tg_process_name(struct tg_box *box, char ret_name[TONG_NAME_MAX]);

/* ---- from.c: links by the names of their senders */

/* Token held: the name of a link's sender now, "" none. */
const char *tg_from_name(struct tg_box *box, struct tg_attached *at);
/* Whether the short way, from the link looked at first, is one for the present call. */
bool tg_from_allows_short(struct tg_box *box);
/* Tell the name of the link's sender, if it is asked for. */
void tg_from_tell_slow(struct tg_box *box, struct tg_attached *at, char *ret_from);
static inline void tg_from_tell(struct tg_box *box, struct tg_attached *at, struct tg_take *take)
{
    if (take->name != NULL) {
        tg_from_tell_slow(box, at, take->name);
    }
}
/* The name a handle sends as, "" none; the link just got bears it from now on; is put away. */
void tg_from_own(struct tg_box *box, char ret_name[TONG_NAME_MAX]);
void tg_from_linked(struct tg_box *box);
void tg_from_unlinked(struct tg_box *box);
/* A peer that is watched while its messages are waited for: 0, or its end; whether to sleep, its words
 * added to the set. NULL: nobody is. */
int tg_from_check(struct tg_box *peer);
bool tg_from_may_sleep(struct tg_box *peer, struct tg_waitset *set);

/* ---- queue.c: sleeping receivers */

uint32_t tg_queue_sleepers(struct tg_box *box);
/* Token held: stand at the end of the queue. */
void tg_queue_enter(struct tg_box *box);
/* Token held: leave it; the next one is told. */
void tg_queue_leave(struct tg_box *box, uint32_t slot);
bool tg_queue_is_first(struct tg_box *box);
/* Whether senders ring this receiver; needs no token. */
bool tg_queue_is_named(const struct tg_box *box);
/* Token held: nudge the sleeper that is first, if any. */
void tg_queue_nudge_first(struct tg_box *box);
/*
 * Token held and given back inside: prepare the sleep and fill the set. 0: sleep, the token was
 * given back; 1: do not, look again, the token is still held.
 */
int tg_queue_prepare(struct tg_box *box, struct tg_waitset *set);

/* ---- interrupts, for both sides */

/* A call begins: what to compare with. */
static inline uint32_t tg_box_interrupts(struct tg_box *box)
{
    return tg_load_relaxed(&box->interrupts->used);
}

/* Whether tong_interrupt was called since; it is used up then. */
static inline bool tg_box_is_interrupted(struct tg_box *box, uint32_t seen)
{
    const uint32_t now = atomic_load_explicit(&box->interrupts->now, memory_order_seq_cst);
    if (now == seen) {
        return false;
    }
    atomic_store_explicit(&box->interrupts->used, now, memory_order_relaxed);
    return true;
}

#endif
