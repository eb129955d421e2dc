/*
 * Shared bytes of layer 2: a link, one sender's chain of segments in one file.
 *
 *   offset 0      head: the words of the sender
 *   offset 2048   table of segments, 16 bytes each
 *   page 17 ...   segments: rows of records, each behind the other, 16-byte aligned
 *
 * All of it is written by the sender alone, readers map it read-only. A record:
 *
 *   commit u32 | length u32 | sequence u32 | pid u32 | extension | payload, padded to 16
 *
 * commit 0: nothing here yet. TG_COMMITTED|n: a message whose first n * 16 bytes are an extension:
 * what the library says of it, where it says something. TG_COMMITTED|TG_JUMP: the chain goes on at
 * the start of the segment that the table names as next. A place is {sequence:32, offset/16:32} in one
 * word, so that a number and its position never part.
 */
#ifndef TG_LINK_LINK_LAYOUT_H
#define TG_LINK_LINK_LAYOUT_H

#include <stddef.h>
#include <stdint.h>
#include <tong/tong.h>

#include "base/atomic.h"

#define TG_LINK_MAGIC UINT32_C(0x6b6e6c74) /* "tlnk" */
#define TG_LINK_VERSION 5u

#define TG_LINK_FROM_WORDS 16u /* of a name, with its final NUL */

#define TG_LINK_TABLE_OFF 2048u
#define TG_LINK_SEGMENTS 4096u
#define TG_LINK_DATA_PAGE 17u
#define TG_LINK_PAGES_MAX (UINT32_C(1) << 24) /* 64 GiB: an offset / 16 fits 32 bits */

#define TG_COMMITTED UINT32_C(0x80000000)
#define TG_JUMP UINT32_C(0x40000000)

#define TG_EXTENSION UINT32_C(0xff) /* of a commit word: the extension's length / 16 */

#define TG_RECORD_HEAD 16u

struct tg_record {
    tg_a32 commit;   /* release: what follows is whole and the next commit word is 0 */
    tg_a32 length;   /* bytes of extension and payload */
    tg_a32 sequence; /* of this message in its link, modulo 2^32 */
    tg_a32 pid;      /* of its sender, for people only */
};

_Static_assert(sizeof(struct tg_record) == TG_RECORD_HEAD, "format: record head");

/* Its memory is reserved as the tail comes, and given back when the head leaves it; one of more pages than
 * TG_ONESHOT_WHOLE, and the one in which the sender is, step by step as the head goes. What its sender will soon want is left to it. */
#define TG_SEGMENT_ONESHOT 0x1u
#define TG_ONESHOT_STEP (UINT64_C(128) << 10) /* bytes, of either */
#define TG_ONESHOT_WHOLE 1024u                /* 4 MiB */

struct tg_segment {
    tg_a32 page;  /* first page in the file, >= TG_LINK_DATA_PAGE */
    tg_a32 pages; /* its length */
    tg_a32 next;  /* index + 1 of the segment the chain goes on with; before the jump's commit */
    tg_a32 flags; /* TG_SEGMENT_ */
};

_Static_assert(sizeof(struct tg_segment) == 16, "format: segment");

enum tg_link_state {
    TG_LINK_USED = 0,
    TG_LINK_GONE = 1, /* drained and without a sender: whoever sees it forgets it */
};

struct tg_link_head {
    /* once, before the file gets its name */
    tg_a32 magic;
    tg_a32 version;
    tg_a32 row;  /* N of "link.N" and of the row in the box */
    tg_a32 lane; /* the priority of its messages, where the mailbox is ordered by it; else 0 */
    uint8_t box_id[16];
    tg_a64 link_id; /* random: another file of the same name is another link */
    tg_a64 first;   /* place of the first record */
    /* at a take-over, by whoever holds the file's lock */
    tg_a64 owner; /* record number of the sending process; 0: closed. Last, release */
    tg_a32 pid;
    tg_a32 gid;
    tg_a32 state; /* enum tg_link_state */
    /* its sender, for observers */
    tg_a32 handle; /* which of its process's: all links of one have the same; 0 not known */
    uint8_t unused1[56];
    /* offset 128: with every message */
    tg_a64 tail; /* place behind the last record, a lower bound: release, after its commit */
    tg_a64 high; /* full sequence number of a message not long ago: gives the upper 32 bits */
    uint8_t unused2[112];
    /* offset 256: seldom */
    tg_a32 waits;      /* sleeps for room begun; partner: receiver, after it freed room */
    tg_a32 blocked;    /* 1 while asleep for room, for observers */
    tg_a64 dropped;    /* messages dropped because it was full */
    tg_a32 n_segments; /* entries of the table in use: release, after the entry */
    tg_a32 finds;      /* sleeps only the back-stop ended */
    tg_a32 cpu;        /* where the sender ran, for spinning */
    tg_a32 want;       /* how much room it wants to be rung for, messages */
    uint8_t unused3[32];
    tg_a64 oldest; /* place of the oldest record kept (drop-oldest, everyone) */
    uint8_t unused4[56];
    /* offset 384: rendezvous */
    tg_a64 offer;     /* {number:32, offset/16:32}: the message on offer; release: it is whole */
    tg_a64 withdrawn; /* highest offer number taken back */
    tg_a32 offer_len; /* its length; before offer, release */
    tg_a32 offer_extension; /* bytes before it; before offer, release */
    tg_a64 offer_deadline;  /* when it expires, 0 never; before offer, release */
    tg_a64 offer_tag;       /* what its sender says of it ...; before offer, release */
    tg_a64 offer_key;       /* ... */
    tg_a32 offer_priority;  /* ...; the same */
    uint8_t unused5[76];
    uint8_t unused6[64];
    /* offset 576: in an event loop, see poll_send.c */
    tg_a32 polls; /* {number of its FIFO:31, 1 has one}; counts those it ever had; its sender */
    tg_a32 armed; /* epoch in which it is to be rung for room, 0 not. release; partner: receivers */
    uint8_t unused8[56];
    /* offset 640: the name of the sending process; "": it is none's. See from.c */
    tg_a32 from_now; /* names given: from[from_now % 2] is the present one. release, behind it */
    uint8_t unused7[60];
    tg_a64 from[2][TG_LINK_FROM_WORDS];
};

_Static_assert(offsetof(struct tg_link_head, tail) == 128, "format: link tail");
_Static_assert(offsetof(struct tg_link_head, waits) == 256, "format: link waits");
_Static_assert(offsetof(struct tg_link_head, oldest) == 320, "format: link oldest");
_Static_assert(offsetof(struct tg_link_head, offer) == 384, "format: link offer");
_Static_assert(TG_LINK_FROM_WORDS * 8 == TONG_NAME_MAX, "format: link from");
_Static_assert(offsetof(struct tg_link_head, polls) == 576, "format: link polls");
_Static_assert(offsetof(struct tg_link_head, from_now) == 640, "format: link from");
_Static_assert(sizeof(struct tg_link_head) == 960, "format: link head");

/* A place: sequence and offset in one word. */
static inline uint64_t tg_place(uint32_t sequence, uint64_t offset)
{
    return (uint64_t)sequence << 32 | (offset >> 4 & UINT32_MAX);
}

static inline uint32_t tg_place_sequence(uint64_t place)
{
    return (uint32_t)(place >> 32);
}

static inline uint64_t tg_place_offset(uint64_t place)
{
    return (place & UINT32_MAX) << 4;
}

static inline int tg_commit_is_message(uint32_t commit)
{
    return (commit & ~TG_EXTENSION) == TG_COMMITTED;
}

/* What a message of len bytes, extension included, takes in a segment. */
static inline uint64_t tg_record_size(uint64_t len)
{
    return TG_RECORD_HEAD + ((len + 15) & ~UINT64_C(15));
}

#endif
