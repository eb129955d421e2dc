/*
 * What the carrier unix writes where others read it: the two files beside the socket, and the packets.
 * docs/format.md has all of it, byte by byte. Numbers are little-endian, as the machine has them.
 *
 *   @NAME/socket   SOCK_SEQPACKET, its owner listens
 *   @NAME/box      its owner alone writes; the lock on it is the owner's life
 *   @NAME/room     one row for each sender, which alone writes it but where said; the lock on byte 0 goes
 *                  around what is said below, the one on byte 1 + i is the life of row i's sender
 */
#ifndef TG_CARRIER_UNIX_LAYOUT_H
#define TG_CARRIER_UNIX_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

#define TG_UNIX_MAGIC UINT64_C(0x31786e75676e6f74) /* "tongunx1" */
#define TG_UNIX_VERSION 1u                         /* of the packets */
#define TG_UNIX_FILES_VERSION 2u                   /* of the box file, and the room file with it */
#define TG_UNIX_ROWS 4096u
#define TG_UNIX_NO_ROW UINT32_MAX
#define TG_UNIX_OWN_ROW 0u /* the owner's, for clients without one */
#define TG_UNIX_SLOTS 256u

#define TG_UNIX_SOCKET "socket"
#define TG_UNIX_BOX "box"
#define TG_UNIX_ROOM "room"

enum tg_unix_state {
    TG_UNIX_ALIVE = 1,
    TG_UNIX_REMOVED = 2, /* also written by who removes it */
    TG_UNIX_GONE = 3,    /* its owner closed it */
};

/* The beginning of the box file. Each word is written by the owner alone, but state; readers copy. */
struct tg_unix_head {
    tg_a64 magic; /* last: what else stands here is whole then */
    tg_a32 version;
    tg_a32 size; /* of the file */
    uint8_t id[16];
    tg_a64 owner; /* record number of its process, as in shared memory */
    tg_a32 state; /* enum tg_unix_state */
    tg_a32
        process; /* TG_OF_PROCESS: a process's own mailbox; TG_FOR_REPLIES: nobody is told of it */
    tg_a32 renames; /* counts the names it had */

    tg_a32 delivery; /* as in tong_options, from here ... */
    tg_a32 full;
    tg_a32 mode;
    tg_a32 capacity;
    tg_a32 link_capacity; /* never TONG_DEFAULT */
    tg_a32 message_size;
    tg_a32 max_deliveries;
    tg_a64 max_bytes; /* ... to here */

    tg_a32 owner_pid;   /* as it says itself, in its own namespace */
    tg_a32 receivers;   /* handles of the owner that receive */
    tg_a32 asleep;      /* of these, those with a call that waits for a message */
    tg_a32 armed;       /* of these handles, those in an event loop that found nothing */
    tg_a32 claimed;     /* messages in hand */
    tg_a32 links;       /* senders that the owner has let in and not let go, and its own */
    tg_a32 plain_links; /* of these, without a row */
    tg_a32 set_aside;   /* messages that its dead-letter mailbox did not take */

    tg_a64 waiting; /* what tong_status tells, from here ... */
    tg_a64 sent;
    tg_a64 done;
    tg_a64 dropped; /* and what the rows say */
    tg_a64 redelivered;
    tg_a64 bytes; /* memory of the owner that messages take */
    tg_a64 expired;
    tg_a64 dead_letters; /* ... to here */
    tg_a64 refused;      /* clients that were disconnected for what they sent */

    char dead_letter[128];
    char policy[64];
    tg_a32 by_priority; /* as in tong_options */
    tg_a32 reserved;
};

/* A receiver, behind the head. */
struct tg_unix_slot {
    tg_a32 open;    /* 1: there is one */
    tg_a32 asleep;  /* its calls that wait */
    tg_a32 claimed; /* messages it has in hand */
    tg_a32 reserved;
};

/* What the owner tells of row i of the room file, behind the receivers. */
struct tg_unix_told {
    tg_a64 done;     /* messages of its senders, ever, that are finished: their room is free */
    tg_a64 received; /* messages of its senders, ever, that came */
    tg_a64 in_hand;  /* of these, handed out and not finished */
    tg_a64 waiting;  /* to everyone: of these, to be handed out, once for each receiver */
};

/* To everyone: what the owner tells of a receiver, behind that, since it came. */
struct tg_unix_share {
    tg_a64 waiting; /* messages to be handed out to it */
    tg_a64 done;    /* those it has finished */
    tg_a64 dropped; /* those it has missed */
    tg_a64 reserved;
};

#define TG_UNIX_SLOTS_OFF 4096u
#define TG_UNIX_TOLD_OFF (TG_UNIX_SLOTS_OFF + 16u * TG_UNIX_SLOTS)
#define TG_UNIX_DONE_OF(row) (TG_UNIX_TOLD_OFF + 32u * (row))
#define TG_UNIX_SHARES_OFF (TG_UNIX_TOLD_OFF + 32u * TG_UNIX_ROWS)
#define TG_UNIX_BOX_SIZE (TG_UNIX_SHARES_OFF + 32u * TG_UNIX_SLOTS)

/*
 * A row of the room file. FREE; TAKEN by a sender that sends no HELLO yet; LINKED from before its HELLO
 * on, until the owner has read the end of the connection and all messages are finished.
 */
enum tg_unix_row_state {
    TG_UNIX_ROW_FREE = 0,
    TG_UNIX_ROW_TAKEN = 1,
    TG_UNIX_ROW_LINKED = 2,
};

/* taken: rooms of a bounded mailbox, those of messages sent and those for the next ones; under the lock,
 * also raised by the owner for one that waits. */
struct tg_unix_row {
    uint32_t state;
    uint32_t blocked; /* 1: asleep for want of room; under the lock */
    uint64_t taken;
    uint64_t dropped; /* messages dropped because it was full */
    int32_t pid;
    uint32_t uid;
    uint64_t spare;   /* of taken: for a message that is being written in place, and not sent */
    uint64_t process; /* record number of the sender's process, 0: it has closed the row */
    uint8_t as[16];   /* id of the own mailbox of the process it sends as, 0 none */
    tg_a64 sent;      /* numbers given to messages, less those taken back; 0: not told */
    uint32_t more;    /* 1: its handle has another row, too, which is counted as the sender */
    uint8_t reserved[52];
};

/* ---- packets: a header, an extension, the payload */

enum tg_unix_kind {
    /* to the owner */
    TG_UNIX_HELLO = 1,   /* first: struct tg_unix_hello; number: of its first message */
    TG_UNIX_MESSAGE = 2, /* number: from HELLO's on, each higher than the one before */
    TG_UNIX_WANT = 3,    /* number: how many rooms of the mailbox are wanted */
    TG_UNIX_NAME = 4,    /* payload: from now on its process is called so */
    TG_UNIX_LOOK = 5,    /* look at the box's state: it was removed */
    TG_UNIX_BYE = 6,     /* the end that follows is no death */
    TG_UNIX_PASSES =
        7, /* before the first message that comes with descriptors, but by a socket of its own */
    TG_UNIX_OFFER = 8, /* at capacity 0, behind a message in the place of one that was taken back */
    TG_UNIX_HEARS =
        9, /* alone on a connection, before a request; payload: the mailbox for its reply */
    /* to the sender */
    TG_UNIX_CREDIT = 16,   /* number: how many messages are finished; struct tg_unix_credit */
    TG_UNIX_REFUSED = 17,  /* number: the errno; the connection ends */
    TG_UNIX_TAKEN = 18,    /* number: of the message that was received, at capacity 0 */
    TG_UNIX_LATE = 19,     /* the same, of one that is not received: late, or to be offered again */
    TG_UNIX_RENAMED = 20,  /* the process has another name now */
    TG_UNIX_UNWANTED = 22, /* number: of an offer AT_ONCE; nobody who waits takes it */
    TG_UNIX_ENDED = 21,    /* to who HEARS; number: the call's, which will have no reply */
};

/* Flags of a message: the payload is in a descriptor that comes with it; one for its receiver comes with it,
 * behind that; where its sender has no room, its oldest is dropped for it; at capacity 0, it is for who waits now. */
#define TG_UNIX_MEMFD 0x1u
#define TG_UNIX_FD 0x2u
#define TG_UNIX_PUSH 0x4u
#define TG_UNIX_AT_ONCE 0x8u

struct tg_unix_packet {
    uint8_t kind;       /* enum tg_unix_kind */
    uint8_t flags;      /* of a message */
    uint16_t extension; /* bytes, a multiple of 16 */
    uint32_t length;    /* bytes of the payload */
    uint64_t number;
};

/* Flags of HELLO: row is a row of the room file; a socket comes with it, from which messages are read: the
 * sender keeps that end, too, to take back what is not read yet. */
#define TG_UNIX_WITH_ROW 0x1u
#define TG_UNIX_WITH_DATA 0x2u

struct tg_unix_hello {
    uint64_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t row;
    uint32_t reserved;
    char name[128]; /* of the process that sends, "" none */
};

struct tg_unix_credit {
    uint64_t room; /* the number that no message may have yet; UINT64_MAX: there is none */
};

/* The longest payload inside of a packet; a longer one comes in a memfd. */
#define TG_UNIX_INLINE_MAX (1u << 20)

_Static_assert(sizeof(struct tg_unix_head) == 392, "format: head");
_Static_assert(sizeof(struct tg_unix_slot) == 16, "format: slot");
_Static_assert(sizeof(struct tg_unix_told) == 32, "format: told");
_Static_assert(sizeof(struct tg_unix_share) == 32, "format: share");
_Static_assert(sizeof(struct tg_unix_row) == 128, "format: row");
_Static_assert(sizeof(struct tg_unix_packet) == 16, "format: packet");
_Static_assert(sizeof(struct tg_unix_hello) == 152, "format: hello");

#endif
