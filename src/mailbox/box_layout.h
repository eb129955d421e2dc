/*
 * Shared bytes of layer 3: the files of a mailbox's folder besides its links.
 *
 *   box        receivers and the owner write; everybody reads
 *   room       every sender writes: the room word of a bounded mailbox
 *   bell.UID   the senders of one user write; the one of the box's owner exists always, and its
 *              receivers ring there, too
 *   poll.S.N   a FIFO: the receiver of slot S in an event loop is rung there
 *   book.S.N   with delivery to everyone: laid out as the box, of the receiver of slot S alone, which
 *              is "the holder" of all in it; and slots, turns and counts are its own
 *
 * Where another way carries the messages (way.h), also
 *
 *   queue      the name of the kernel's queue, which goes with the folder
 *   stage      receivers write: the message in the holder's hand
 *   body.L.N   a message that the queue does not hold: its sender writes it, or who claims it
 *
 * "Holder" is the receiver that has the token. Words under the token need no order among
 * themselves: taking and giving it back orders them.
 */
#ifndef TG_MAILBOX_BOX_LAYOUT_H
#define TG_MAILBOX_BOX_LAYOUT_H

#include <stddef.h>
#include <stdint.h>
#include <tong/tong.h>

#include "base/atomic.h"
#include "link/link.h"

#define TG_BOX_MAGIC UINT32_C(0x786f6274)  /* "tbox" */
#define TG_ROOM_MAGIC UINT32_C(0x6d6f7274) /* "trom" */
#define TG_BELL_MAGIC UINT32_C(0x6c6c6274) /* "tbll" */
#define TG_BOOK_MAGIC UINT32_C(0x6b6f6274) /* "tbok" */
#define TG_BOX_VERSION 8u

#define TG_SLOTS_MAX 256u
#define TG_CLAIMS_MAX 64u /* entries a slot */

/* ---- box */

struct tg_box_head {
    /* once, before the folder gets its name; options by the owner */
    tg_a32 magic;
    tg_a32 version;
    tg_a32 state; /* {changes:16, TG_CHANGING, enum tg_state:8}; the owner's user, root's lock held.
                     Partner: the beginning of every call */
    tg_a32 size;  /* of this file: TG_BOX_SIZE */
    uint8_t id[16];
    tg_a32
        delivery; /* {own policies so far:16, enum tong_delivery:16}; the owner's user, root's lock
                        held, release. Partner: who takes the token, and the beginning of every call */
    tg_a32 carried; /* 1: the bytes of messages are not in the links, see carried.c; once */
    tg_a32 full;
    tg_a32 mode;
    tg_a32 capacity;
    tg_a32 link_capacity;
    tg_a32 message_size;
    tg_a32 owner_pid; /* for people only */
    tg_a64 max_bytes;
    tg_a64
        owner; /* record number of the owning process, or 0, the system; TG_ACCEPTED; written with
                     the root's lock held, but that the owner adds TG_ACCEPTED */
    tg_a32 max_deliveries; /* 0 no limit; once */
    uint8_t unused0[44];
    /* offset 128: the token; receivers, compare-and-swap */
    tg_a64 token;
    uint8_t unused1[56];
    /* offset 192: seldom written, often read; the holder */
    tg_a64 turn;    /* {slot + 1:16, epoch:48}: whom a sender rings, 0 slot nobody. Partner: send */
    tg_a32 room;    /* bell of blocked senders of the whole mailbox; atomic add */
    tg_a32 n_slots; /* slots ever used: below, their memory is reserved. release */
    tg_a32 n_rows;  /* rows whose memory is reserved. release */
    tg_a32 joins;   /* receivers that ever joined */
    tg_a32 n_sleepers; /* tickets not 0 */
    tg_a32 finds;      /* receivers' sleeps only the back-stop ended */
    tg_a32 arrivals;   /* receivers that came, for tong_watch; a futex; the holder */
    tg_a32 arms; /* last epoch given to a receiver in an event loop. release, behind its slot's
                    `armed`, then a fence. Partner: send */
    uint8_t unused2[24];
    /* offset 256: with every message; the holder */
    tg_a64 tickets;     /* given so far */
    tg_a64 done_total;  /* messages finished; its low half is the sum of done over all rows, but at
                          capacity 0. release */
    tg_a32 n_returned;  /* entries in state RETURNED */
    tg_a32 n_taken;     /* slots with an owner, counted at every join, leave and death */
    tg_a64 redelivered; /* messages given back; receivers, atomic add */
    tg_a64 deaths;      /* receivers found dead */
    tg_a32 n_parked;    /* entries in state PARKED */
    uint8_t unused3[4];
    tg_a64 dead_letters; /* messages moved to the dead-letter mailbox; receivers, atomic add */
    tg_a64 expired;      /* messages thrown away because their time was over; the holder */
    /* offset 320: once */
    char dead_letter[TONG_NAME_MAX]; /* name of that mailbox, "" none */
    /* offset 448: of the own policy, in [own policies so far % 2]; the owner's user, root's lock held */
    char policy[2][TONG_POLICY_MAX];
    /* offset 576: what a policy remembers; the holder */
    tg_a32 chosen; /* slot + 1 of the sleeper that may take next, 0 none chosen; see choice.c */
    tg_a32 served; /* slot + 1 of the receiver that took last, where the policy asks; 0 nobody */
    uint8_t unused6[56];
    /* offset 640: to everyone */
    tg_a64 missed; /* messages dropped before receivers that are gone had taken them; the holder */
    uint8_t unused7[56];
    /* offset 704: of a process's own mailbox */
    tg_a32 process; /* 1: it is one; 2: it is for the replies to calls, see request.c; once */
    tg_a32 renames; /* names it had before: release, behind the rename; the owner, root's lock held.
                       Partner: who sends by name */
    uint8_t unused8[56];
    /* offset 768: what is asked for of a message */
    tg_a32 selecting;   /* of the sleepers those that do not take whatever comes; the holder */
    tg_a32 by_priority; /* 1: messages of a higher priority come first; once */
    uint8_t unused9[56];
};

_Static_assert(offsetof(struct tg_box_head, token) == 128, "format: token");
_Static_assert(offsetof(struct tg_box_head, turn) == 192, "format: turn");
_Static_assert(offsetof(struct tg_box_head, tickets) == 256, "format: tickets");
_Static_assert(offsetof(struct tg_box_head, dead_letter) == 320, "format: dead letter");
_Static_assert(offsetof(struct tg_box_head, policy) == 448, "format: policy name");
_Static_assert(offsetof(struct tg_box_head, chosen) == 576, "format: policy");
_Static_assert(offsetof(struct tg_box_head, missed) == 640, "format: missed");
_Static_assert(offsetof(struct tg_box_head, process) == 704, "format: process");
_Static_assert(offsetof(struct tg_box_head, selecting) == 768, "format: selecting");
_Static_assert(sizeof(struct tg_box_head) == 832, "format: box head");

#define TG_OF_PROCESS 1u
#define TG_FOR_REPLIES 2u

/* Slots ever used. acquire: their memory is reserved by then. */
static inline uint32_t tg_n_slots(const struct tg_box_head *head)
{
    const uint32_t n = tg_load_acquire(&head->n_slots);
    return n < TG_SLOTS_MAX ? n : TG_SLOTS_MAX;
}

/* The parts of the delivery word. */
#define TG_DELIVERY(word) ((word)&0xffffu)
#define TG_OWN_POLICIES(word) ((word) >> 16)

/* The parts of the state word. While CHANGING state and owner may become others at any moment. */
#define TG_STATE(word) ((word)&0xffu)
#define TG_CHANGING 0x100u
#define TG_CHANGE 0x10000u /* one more */

/* A handle of the owner is the one whose close ends the mailbox. */
#define TG_ACCEPTED UINT64_C(1)
#define TG_OWNER(word) ((word) & ~UINT64_C(15))

/* A receiver. */
struct tg_box_slot {
    tg_a64 owner;   /* record number of its process, 0 free; the holder, last, release */
    tg_a64 ticket;  /* place in the queue of sleepers, 0 awake; the holder */
    tg_a32 gen;     /* counts the receivers that had this slot; the holder */
    tg_a32 joins;   /* value of joins when its sleeper made its watch list; the holder */
    tg_a32 entries; /* entries ever used: below, their memory is reserved; the holder, release */
    tg_a32 cpu;     /* where it ran, for spinning; its receiver */
    tg_a32 pid;     /* for people only */
    tg_a32 waiting; /* 1 while it waits, for senders at capacity 0; a hint; its receiver */
    tg_a32 came;    /* value of joins when its receiver came, this one counted; the holder */
    uint8_t unused0[28];
    /* offset 72: in an event loop */
    tg_a32 polls; /* {number of its FIFO:31, TG_POLLS}; counts those it ever had; the holder */
    tg_a32 armed; /* epoch since when it is to be rung, 0 not; its receiver, as the holder */
    uint8_t unused1[8];
    /* offset 88: to everyone */
    tg_a32 book; /* 1: there may be a book of number gen; the holder */
    uint8_t unused2[12];
    /* offset 104: what its sleeper waits for, valid while it has a ticket; the holder, before that */
    tg_a64 tag;     /* messages of this one, 0 any */
    tg_a64 from;    /* of the sender with the name of this key, 0 any */
    tg_a32 asks;    /* 0: whatever comes; else {1 TG_ASKS, the least priority:31} */
    tg_a32 crowded; /* 1: it may have requests to answer that no entry tells of; the holder */
};

_Static_assert(offsetof(struct tg_box_slot, polls) == 72, "format: polls");
_Static_assert(offsetof(struct tg_box_slot, book) == 88, "format: book");
_Static_assert(offsetof(struct tg_box_slot, tag) == 104, "format: what is waited for");
_Static_assert(offsetof(struct tg_box_slot, crowded) == 124, "format: crowded");
_Static_assert(sizeof(struct tg_box_slot) == 128, "format: slot");

#define TG_POLLS 1u /* its receiver has a FIFO */
/* How far the ringing for an epoch is. */
#define TG_BEGUN(epoch) ((epoch) << 1)
#define TG_ENDED(epoch) ((epoch) << 1 | 1)
#define TG_EPOCHS 0x7fffffffu
#define TG_ASKS 0x80000000u /* in asks */

/* What receivers know of a link. The holder writes all of it. */
struct tg_box_row {
    tg_a64 link_id; /* the link these words are about; last, release. Partner: its sender */
    tg_a64 next;    /* place of the first message never handed out; its store is the hand-out */
    tg_a64 head;    /* everything before it may be overwritten. release; partner: its sender */
    tg_a32 done;    /* messages finished, as a sequence number; recomputed, never added to */
    tg_a32 bell;    /* its blocked sender waits here; atomic add */
    tg_a64 grant;   /* rendezvous: {offer:32, gen:16, slot:16} "I am deciding" */
    tg_a64 verdict; /* rendezvous: {offer:32, TG_TAKEN or TG_REFUSED} */
    tg_a64 dropped; /* {next:32, dropped:32} of drop-oldest */
    uint8_t unused[32];
    tg_a32 rung; /* {epoch:31, 1 ended}: the ring of its sender in an event loop; the holder */
    uint8_t unused1[36];
};

_Static_assert(offsetof(struct tg_box_row, rung) == 88, "format: row rung");
_Static_assert(sizeof(struct tg_box_row) == 128, "format: row");

#define TG_TAKEN 1u
#define TG_REFUSED 2u

/* A claim, or a request to be answered. The fields are the holder's and are written while FREE; the
 * state is its slot's receiver's while CLAIMED or ANSWERING, the holder's otherwise. */
struct tg_box_entry {
    tg_a32 state; /* enum tg_entry_state | TG_LEFT, TG_ASKED | deliveries << 16 */
    tg_a32 row;
    tg_a32 sequence;
    tg_a32 offset;    /* of the record, / 16 */
    tg_a32 length;    /* of the payload */
    tg_a32 pid;       /* of the sender, for people only */
    tg_a32 extension; /* bytes of the record before the payload */
    tg_a32 number;    /* of the message in its link, where it is carried: in its body's name */
};

_Static_assert(sizeof(struct tg_box_entry) == 32, "format: entry");

enum tg_entry_state {
    TG_FREE = 0,
    TG_CLAIMED = 1,
    TG_RELEASED = 2,  /* done: the next collect frees it */
    TG_RETURNED = 3,  /* to be served first; deliveries 0: passed over, never handed out */
    TG_PARKED = 4,    /* set aside: handed out too often, and nobody took it as a dead letter */
    TG_ANSWERING = 5, /* a request whose bytes were copied out: no message any more, no room */
};

#define TG_LEFT 0x100u  /* RETURNED: its receiver did not give it back, it died or closed */
#define TG_ASKED 0x200u /* RELEASED: a request whose bytes were copied out, ANSWERING comes next */

#define TG_ENTRY_STATE(word) ((word)&0xffu)
#define TG_ENTRY_DELIVERIES(word) ((word) >> 16)
#define TG_ENTRY(state, deliveries) ((uint32_t)(state) | (uint32_t)(deliveries) << 16)

/* The extension of a record is a row of parts; each says what it is and how long, itself included. */
struct tg_part {
    uint32_t magic;
    uint32_t size; /* bytes, a multiple of 16 */
};

_Static_assert(sizeof(struct tg_part) == 8, "format: part");

/* What its sender said of a message, see tong_send_with. The first part, if it is there. */
#define TG_ATTRIBUTES_MAGIC UINT32_C(0x72747461) /* "attr" */
#define TG_PRIORITIES 32u

struct tg_attributes {
    uint32_t magic;
    uint32_t size;        /* of this and of reply_to behind it, padded to 16 */
    uint32_t priority;    /* 0 .. 31 */
    uint32_t reply_size;  /* bytes of reply_to, a mailbox's name without a NUL; 0 none */
    uint64_t tag;         /* 0 none */
    uint64_t key;         /* 0 none */
    uint64_t call;        /* 0 none */
    uint64_t sent_ns;     /* when its send began, CLOCK_BOOTTIME */
    uint64_t deadline_ns; /* from then on it is not delivered; 0 never. The same clock */
    uint64_t unused;
};

_Static_assert(sizeof(struct tg_attributes) == 64, "format: attributes");

/* What a dead letter says of where it comes from. The last part, if it is there. */
#define TG_ORIGIN_MAGIC UINT32_C(0x6769726f) /* "orig" */

struct tg_origin {
    uint32_t magic;
    uint32_t size;
    uint8_t box_id[16];
    uint64_t sequence;        /* in its link */
    uint32_t row;             /* of its link */
    uint32_t uid;             /* of the link's file */
    int32_t pid;              /* of its sender, as it says itself */
    uint32_t deliveries;      /* how often it was handed out */
    char name[TONG_NAME_MAX]; /* of the mailbox */
};

_Static_assert(sizeof(struct tg_origin) == 176, "format: origin");

#define TG_EXTENSION_MOST (sizeof(struct tg_attributes) + TONG_NAME_MAX + sizeof(struct tg_origin))

/* By key: to whom the messages of each place for keys go. In the page of the head. */
#define TG_KEYS_MAX 1024u

struct tg_box_keys {
    tg_a16 slot[TG_KEYS_MAX]; /* slot + 1 of the receiver that has it, 0 nobody; the holder */
};

_Static_assert(sizeof(struct tg_box_keys) == 2 * TG_KEYS_MAX, "format: keys");

#define TG_BOX_KEYS_OFF 2048u
#define TG_BOX_SLOTS_OFF 4096u

_Static_assert(sizeof(struct tg_box_head) <= TG_BOX_KEYS_OFF &&
                   TG_BOX_KEYS_OFF + sizeof(struct tg_box_keys) <= TG_BOX_SLOTS_OFF,
               "format: keys");
#define TG_BOX_ROWS_OFF (TG_BOX_SLOTS_OFF + TG_SLOTS_MAX * 128u)
#define TG_BOX_ENTRIES_OFF (TG_BOX_ROWS_OFF + TG_LINKS_MAX * 128u)
#define TG_BOX_SIZE (TG_BOX_ENTRIES_OFF + TG_SLOTS_MAX * TG_CLAIMS_MAX * 32u)

_Static_assert(TG_BOX_ROWS_OFF % 4096 == 0 && TG_BOX_ENTRIES_OFF % 4096 == 0, "format: box");

/* ---- carried messages: the queue's record, and the body's beginning */

#define TG_CARRIED_MAGIC UINT32_C(0x79726374) /* "tcry" */
#define TG_STAGE_MAGIC UINT32_C(0x67747374)   /* "tstg" */

/* Then the extension and the payload, here or in the body. */
struct tg_carried {
    tg_a32 magic; /* in the stage: 0, nothing in hand; the holder. Its store is the hand-out */
    uint32_t row; /* of its sender's link */
    uint64_t link_id;
    uint32_t sequence;  /* in its link */
    uint32_t length;    /* bytes of the payload */
    uint32_t extension; /* bytes */
    uint32_t pid;       /* of its sender, as it says itself */
    uint32_t in_body;   /* 1: extension and payload are in the body */
    uint8_t unused[28];
};

_Static_assert(sizeof(struct tg_carried) == 64, "format: carried");

struct tg_stage {
    tg_a32 magic;
    tg_a32 version;
    uint8_t box_id[16];
    tg_a32 record_size; /* bytes of the longest record in the queue; once */
    uint8_t unused0[36];
    /* offset 64 */
    tg_a64
        intent; /* {row + 1:32, number:32}: the row's next is about to be this number, 0 none; the
                      holder. Partner: who takes the token from a dead one */
    uint8_t unused1[56];
};

_Static_assert(offsetof(struct tg_stage, intent) == 64, "format: stage intent");
_Static_assert(sizeof(struct tg_stage) == 128, "format: stage");

#define TG_STAGE_RECORD_OFF 4096u

/* ---- room */

#define TG_ROOM_COUNT 24u /* bits of the counts in the word */

struct tg_room_head {
    tg_a32 magic;
    tg_a32 version;
    uint8_t box_id[16];
    tg_a32 users;  /* bell files ever made; atomic add. Partner: sleeping receivers */
    tg_a32 n_rows; /* rows whose memory is reserved; compare-and-swap upwards */
    uint8_t unused0[32];
    /* offset 64 */
    tg_a64 word; /* {total:24, n:24, link:15, kind:1}: rooms held, and who changed it last */
    uint8_t unused1[56];
    /* offset 128 */
    tg_a32 want;        /* sleeps of the front begun; atomic add. Partner: receivers */
    tg_a32 next_ticket; /* atomic add */
    tg_a32 queued;      /* ticket of one that queues, 0 nobody; any sender, a hint */
    tg_a32 wish;        /* rooms the front wants at a time; the front, before want */
    tg_a32 arms;        /* epochs of senders in event loops begun; atomic add. Partner: receivers */
    uint8_t unused2[44];
};

_Static_assert(offsetof(struct tg_room_head, word) == 64, "format: room word");
_Static_assert(offsetof(struct tg_room_head, want) == 128, "format: room want");
_Static_assert(sizeof(struct tg_room_head) == 192, "format: room head");

struct tg_room_row {
    tg_a32 got;    /* rooms ever taken, modulo 2^24; any sender, compare-and-swap upwards */
    tg_a32 back;   /* rooms ever given back unused; the same */
    tg_a32 sent;   /* messages committed: a copy of the link's own number; its sender */
    tg_a32 ticket; /* place in the queue of blocked senders, 0 none; its sender */
    tg_a32 nudge;  /* its sender waits here; any sender, atomic add */
    tg_a32 oldest; /* TONG_DROP_OLDEST: number of the oldest message kept; its sender */
    tg_a64 owner;  /* record number of its sender's process; its sender */
    uint8_t unused1[32];
};

_Static_assert(sizeof(struct tg_room_row) == 64, "format: room row");

#define TG_ROOM_ROWS_OFF 4096u
#define TG_ROOM_SIZE (TG_ROOM_ROWS_OFF + TG_LINKS_MAX * 64u)

/* ---- bells */

struct tg_bells {
    tg_a32 magic;
    tg_a32 version;
    uint8_t box_id[16];
    tg_a32 links; /* links ever made or taken over by this user; atomic add. Partner: receivers */
    uint8_t unused[36];
    /* offset 64 */
    struct {
        tg_a32 bell; /* atomic add; its slot's receiver waits on it */
        tg_a32 rung; /* {epoch:31, 1 ended}: the ring of its armed receiver; compare-and-swap */
    } slot[TG_SLOTS_MAX];
};

_Static_assert(offsetof(struct tg_bells, slot) == 64, "format: bells");
_Static_assert(sizeof(struct tg_bells) == 64 + 8 * TG_SLOTS_MAX, "format: bells");

#define TG_BELLS_SIZE 4096u

#endif
