/*
 * What the carrier unix writes where others read it: the two files beside the socket, and the packets.
 * docs/format.md has all of it, byte by byte. Numbers are little-endian, as the machine has them.
 *
 *   @NAME/socket   SOCK_SEQPACKET, its owner listens
 *   @NAME/box      its owner alone writes; the lock on its byte 0 is the owner's life
 *   @NAME/room     one row for each sender, which alone writes it but where said; the lock on byte 0 goes
 *                  around what is said below, the one on byte 1 + i is the life of row i's sender
 */
#ifndef TG_CARRIER_UNIX_LAYOUT_H
#define TG_CARRIER_UNIX_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

#define TG_UNIX_MAGIC UINT64_C(0x31786e75676e6f74) /* "tongunx1" */
#define TG_UNIX_VERSION 1u
#define TG_UNIX_ROWS 4096u
#define TG_UNIX_NO_ROW UINT32_MAX
#define TG_UNIX_OWN_ROW                                                                            \
    0u /* of the owner, for its own messages and those of clients without a row */

#define TG_UNIX_SOCKET "socket"
#define TG_UNIX_BOX "box"
#define TG_UNIX_ROOM "room"

enum tg_unix_state {
    TG_UNIX_ALIVE = 1,
    TG_UNIX_REMOVED = 2, /* also written by who removes it */
    TG_UNIX_GONE = 3     /* its owner closed it */
};

/* The beginning of the box file. Each word is written by the owner alone, but state; readers copy. */
struct tg_unix_head {
    tg_a64 magic; /* last: what else stands here is whole then */
    tg_a32 version;
    tg_a32 size;
    uint8_t id[16];
    tg_a32 state;    /* enum tg_unix_state */
    tg_a32 process;  /* 1: a process's own mailbox */
    tg_a32 renames;  /* counts the names it had */
    tg_a32 delivery; /* as in tong_options, from here ... */
    tg_a32 full;
    tg_a32 mode;
    tg_a32 capacity;
    tg_a32 link_capacity; /* never TONG_DEFAULT */
    tg_a32 message_size;
    tg_a32 max_deliveries;
    tg_a64 max_bytes; /* ... to here */
    tg_a32 owner_pid; /* as it says itself, in its own namespace */
    tg_a32 receivers; /* handles of the owner that receive */
    tg_a32 asleep;    /* of these calls, asleep for want of a message */
    tg_a32 claimed;
    tg_a32 links;     /* senders, with a row or without, that the owner has let in and not let go */
    tg_a32 own_links; /* of these, handles of the owner itself */
    tg_a32 own_blocked; /* of these, asleep for want of room */
    tg_a32 set_aside;
    tg_a64 waiting;
    tg_a64 sent;
    tg_a64 done;
    tg_a64 dropped; /* and what the rows say */
    tg_a64 redelivered;
    tg_a64 bytes; /* memory of the owner that messages take */
    tg_a64 expired;
    tg_a64 dead_letters;
    tg_a64 refused; /* clients that were disconnected for what they sent */
    char dead_letter[128];
    char policy[64];
};

#define TG_UNIX_DONE_OFF 4096u
#define TG_UNIX_BOX_SIZE (TG_UNIX_DONE_OFF + 8u * TG_UNIX_ROWS)

/* Row i of done: how many messages of row i's senders, ever, are finished. */

/* A row of the room file: which of its senders' messages are under way. */
enum tg_unix_row_state {
    TG_UNIX_ROW_FREE = 0,
    TG_UNIX_ROW_TAKEN = 1, /* by a sender that has not sent its HELLO */
    TG_UNIX_ROW_LINKED =
        2, /* from before its first message on; back to FREE by the owner alone, when it
                               has read the end of the connection and all messages are finished */
};

struct tg_unix_row {
    uint32_t state;
    uint32_t blocked; /* 1: asleep for want of room */
    uint64_t
        taken; /* rooms of the mailbox taken: those of messages sent and those for the next ones;
                         under the lock, also by the owner for it. 0 less done[i] where it is not bounded */
    uint64_t dropped;
    int32_t pid;
    uint32_t uid;
    uint8_t reserved[32];
};

/* ---- packets: a header, an extension, the payload */

enum tg_unix_kind {
    /* to the owner */
    TG_UNIX_HELLO = 1,   /* first: struct tg_unix_hello */
    TG_UNIX_MESSAGE = 2, /* number: 0, 1, 2, ... from HELLO's on; each higher than the one before */
    TG_UNIX_WANT = 3,    /* number: how many rooms of the mailbox are wanted */
    TG_UNIX_NAME = 4,    /* payload: from now on its process is called so */
    TG_UNIX_LOOK = 5,    /* look at the box's state: it was removed */
    /* to the sender */
    TG_UNIX_CREDIT =
        16, /* number: how many messages are finished; room: how many more may be sent */
    TG_UNIX_REFUSED = 17, /* number: the errno; the connection ends */
    TG_UNIX_TAKEN = 18,   /* number: of the message that was received, at capacity 0 */
};

#define TG_UNIX_MEMFD 0x1u /* of a message: the payload is in the descriptor that comes with it */
#define TG_UNIX_FD                                                                                 \
    0x2u /* of a message: a descriptor for its receiver comes with it, behind the other */

struct tg_unix_packet {
    uint8_t kind;       /* enum tg_unix_kind */
    uint8_t flags;      /* TG_UNIX_MEMFD, TG_UNIX_FD */
    uint16_t extension; /* bytes, a multiple of 16 */
    uint32_t length;    /* bytes of the payload */
    uint64_t number;
};

#define TG_UNIX_WITH_ROW 0x1u /* of HELLO: row is a row of the room file */

struct tg_unix_hello {
    uint64_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t row;
    uint32_t reserved;
    char name[128]; /* of the process that sends, "" none */
};

/* The payload of CREDIT. */
struct tg_unix_credit {
    uint64_t room; /* messages that may be under way, those sent included; UINT64_MAX: any number */
};

/* The longest payload inside of a packet; a longer one comes in a memfd. */
#define TG_UNIX_INLINE_MAX (1u << 20)

_Static_assert(sizeof(struct tg_unix_packet) == 16, "a packet's header");
_Static_assert(sizeof(struct tg_unix_hello) == 152, "a hello");
_Static_assert(sizeof(struct tg_unix_row) == 64, "a row");
_Static_assert(sizeof(struct tg_unix_head) <= TG_UNIX_DONE_OFF, "the head of a box");

#endif
