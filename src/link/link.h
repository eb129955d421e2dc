/*
 * A link: what joins one living sender to one mailbox.
 *
 * The writer is the sender's side, the reader any receiver's. A link knows bytes, places and
 * memory; who may send, who takes what and who sleeps is the mailbox's business. Nothing here
 * blocks. Not safe for two threads on one writer or reader.
 */
#ifndef TG_LINK_LINK_H
#define TG_LINK_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/distrust.h"
#include "link/link_layout.h"
#include "region/region.h"

#define TG_LINK_NAME_SIZE 24
#define TG_LINKS_MAX 4096u

/* The part of the file that is mapped in one piece; segments beyond it are mapped on their own. */
#define TG_LINK_WINDOW (UINT64_C(2) << 20)

void tg_link_name(uint32_t row, char ret_name[TG_LINK_NAME_SIZE]);
/* The row of a file's name, or -1. */
int tg_link_row(const char *name);

/* The name of the sending process, "" none; what is no name is "". Returns which of its names it is.
 * Of another user's link: as last refreshed. */
uint32_t tg_link_from(const struct tg_link_head *head, char ret_name[TONG_NAME_MAX]);
/* Whether it is still that one. */
static inline bool tg_link_from_is(const struct tg_link_head *head, uint32_t which)
{
    return tg_load_acquire(&head->from_now) == which;
}
/* The sender: from now on this is its name. */
void tg_link_set_from(struct tg_link_head *head, const char *name);

/* ---- writer */

/* What the box says of a link: nothing yet, or its two places. */
struct tg_link_place {
    bool known;
    uint64_t head; /* everything before it is free */
    uint64_t next; /* everything before it was handed out */
};

/* Memory of a backlog is in no cache: what comes next is asked for while the present message is seen to. */
void tg_link_fetch(const uint8_t *from, uint64_t len);

struct tg_writer_segment {
    uint32_t page;
    uint32_t pages;
    uint8_t *map; /* a mapping of its own, or NULL */
    bool oneshot;
    bool in_chain;     /* between the reader's head and the tail */
    bool warm;         /* one-shot and left: its memory may be there still, ... */
    uint64_t reserved; /* ... from its begin up to here in the file */
};

struct tg_writer {
    struct tg_link_head *head;
    uint8_t *window;
    int dir;
    uint32_t row;
    uint64_t link_id;
    struct tg_writer_segment *segments;
    uint32_t n_segments;
    uint32_t segments_room;
    uint32_t *chain; /* indices in the order of the chain; [chain_first, chain_end) */
    uint32_t chain_first;
    uint32_t chain_end;
    uint32_t chain_room;
    uint32_t current;  /* segment of pos */
    uint32_t sequence; /* of the next message */
    uint64_t pos;      /* offset of the next record */
    uint64_t end;      /* of the current segment */
    uint64_t ready;    /* up to here its memory is reserved; no more than end */
    uint8_t *base;     /* address of offset 0, as the current segment is mapped */
    uint64_t reserved; /* bytes of the reservation, valid while is_reserved */
    uint64_t end_page; /* of the file */
    uint64_t kept;     /* bytes of segments that are not one-shot */
    uint64_t keep;     /* how many of those may be */
    uint32_t pid;
    bool is_reserved;
    bool cold;               /* the current segment is one of a backlog */
    bool borrowed;           /* the memory is somebody else's (tests) */
    bool keeps_oldest;       /* set before it is made or taken over: the head says `oldest` */
    uint64_t oldest;         /* what it says, */
    uint32_t oldest_segment; /* and the segment with it */
    /* Asked before bytes are added to the file. 0 or -ENOSPC. */
    int (*may_grow)(void *arg, uint64_t bytes);
    void *arg;
};

/* What a new link is told. */
struct tg_link_birth {
    uint32_t row;
    uint8_t box_id[16];
    uint32_t sequence; /* of its first message */
    uint64_t owner;    /* record number of the process */
    uint32_t mode;     /* of the file */
    uint32_t lane;     /* see lanes.c of the mailbox */
    const char *from;  /* name of the sending process, "" none */
};

/* Make a link's file under the name temp, whole; the caller renames it. */
int tg_writer_make(struct tg_writer *w, int dir, const char *temp,
                   const struct tg_link_birth *birth);
/* What the box says now; asked again when it may have changed. */
typedef struct tg_link_place tg_link_place_fn(void *arg);
/* Take over the link in fd, whose lock the caller holds and whose sender is closed or dead.
 * -EPROTO: damaged. */
int tg_writer_take_over(struct tg_writer *w, int dir, int fd, uint64_t owner,
                        tg_link_place_fn *place, void *arg);
/* Unmap. The words stay as they are: tg_link_retire() says what becomes of them. */
void tg_writer_detach(struct tg_writer *w);
/* Whether a message of len bytes fits without asking where the reader's head is. */
bool tg_writer_fits(const struct tg_writer *w, uint64_t len);
/*
 * Room for a message of len bytes, contiguous. place is looked at only if tg_writer_fits() is
 * false. *ret_data: where to write.
 * 0, -ENOSPC, -EMSGSIZE, -ENOMEM, -EMFILE, -EIDRM (the file is gone), ...
 */
int tg_writer_reserve(struct tg_writer *w, uint64_t len, const struct tg_link_place *place,
                      uint8_t **ret_data);
/* Keep the upper half of the numbers known to readers. */
void tg_writer_note_high(struct tg_writer *w);

static inline struct tg_record *tg_writer_record(const struct tg_writer *w, uint64_t offset)
{
    return (struct tg_record *)(void *)(w->base + offset);
}

/* Publish the reservation, len bytes of it, of which the first extension bytes, a multiple of 16,
 * are no payload. tg_writer_note_tail() is to follow soon. */
static inline void tg_writer_commit_extended(struct tg_writer *w, uint64_t len, uint32_t extension)
{
    struct tg_record *record = tg_writer_record(w, w->pos);
    const uint64_t next = w->pos + tg_record_size(len);
    if ((w->sequence & UINT32_C(0x3fffffff)) == 0) {
        tg_writer_note_high(w);
    }
    tg_store_relaxed(&record->length, (uint32_t)len);
    tg_store_relaxed(&record->sequence, w->sequence);
    tg_store_relaxed(&record->pid, w->pid);
    tg_store_relaxed(&tg_writer_record(w, next)->commit, UINT32_C(0));
    /* release: payload, length and the zero behind come first (I1 of writer.c); pairs with the
     * acquire in tg_reader_look. */
    tg_store_release(&record->commit, TG_COMMITTED | extension / 16);
    w->sequence++;
    w->pos = next;
    w->is_reserved = false;
}

static inline void tg_writer_commit(struct tg_writer *w, uint64_t len)
{
    tg_writer_commit_extended(w, len, 0);
}

static inline void tg_writer_note_tail(struct tg_writer *w)
{
    /* release, after the commits (I4): pairs with the acquire of a successor or observer. */
    tg_store_release(&w->head->tail, tg_place(w->sequence, w->pos));
}

/* One message more, whose bytes are not in the chain. */
static inline void tg_writer_count(struct tg_writer *w)
{
    if ((w->sequence & UINT32_C(0x3fffffff)) == 0) {
        tg_writer_note_high(w);
    }
    w->sequence++;
    tg_writer_note_tail(w);
}

void tg_writer_abort(struct tg_writer *w);
/* After a take-over: what the sender before offered may be claimed still, nobody here knows where. */
int tg_writer_hold_all(struct tg_writer *w);
/* Rendezvous: put the place where the reservation lies, and go past it once it was taken. */
uint64_t tg_writer_reserved_offset(const struct tg_writer *w);
int tg_writer_reserve_offer(struct tg_writer *w, uint64_t len, bool all_finished,
                            uint8_t **ret_data);
void tg_writer_taken(struct tg_writer *w, uint64_t len);
/* Give the memory of one-shot segments that were left back, if readers could not. */
void tg_writer_trim(struct tg_writer *w, int fd, const struct tg_link_place *place);

/* ---- oldest.c: what the sender itself takes away */

/* Move `oldest` up to a message's number, the next one's at most; never back. Readers that stand before
 * it are overtaken. On 0 it is stored and everything before it may be written over: a place for
 * tg_writer_reserve. -EPROTO: damaged, ... */
int tg_writer_raise_oldest(struct tg_writer *w, uint32_t sequence);
/* Move it up to where a receiver stands, if that is behind it and in the chain; then a fence in any case. */
void tg_writer_raise_oldest_to(struct tg_writer *w, uint64_t place);
/* Of two places of receivers in the chain: whether a comes before b. */
bool tg_writer_comes_first(const struct tg_writer *w, uint64_t a, uint64_t b);
/* Whether giving up messages may make room for one of len bytes. */
bool tg_writer_can_give_up(const struct tg_writer *w, uint64_t len);

/* Place behind the last committed record of a sender that is dead or closed: walks on from tail, or
 * from next where the box is further. Reads the file and does not touch its memory, which a receiver
 * may give back meanwhile. -EPROTO: damaged. */
int tg_link_committed(const struct tg_link_head *head, int fd, tg_link_place_fn *place, void *arg,
                      uint64_t *ret_place);
/* The number of messages a dead sender committed, as its file tells. A receiver may have consumed
 * and given back meanwhile: whoever asks compares with the box's next, read after this. */
int tg_link_sent(int fd, uint32_t *ret_sequence);

/* ---- reader */

struct tg_reader_segment {
    uint32_t page; /* 0: not known yet */
    uint32_t pages;
    uint8_t *map;
};

struct tg_reader {
    const struct tg_link_head *head;
    const uint8_t *window;
    int dir;
    uint32_t row;
    uint64_t link_id;
    uint32_t uid; /* of the file: the kernel vouches for it */
    struct tg_reader_segment *segments;
    uint32_t segments_room;
    uint64_t file_size; /* as last asked */
    uint32_t current;   /* segment of next */
    uint64_t begin;     /* its bytes */
    uint64_t end;
    uint64_t limit; /* where a record must end that is read without asking more, / 16 */
    const uint8_t *base;
    uint64_t next;                  /* place looked at, cached; the truth is in the box */
    const struct tg_record *record; /* at next */
    bool oneshot;  /* the segment of next may lose its memory to another; also: nothing is mapped */
    uint32_t left; /* the segment that holds the head place, cached; its bytes: */
    uint64_t left_begin;
    uint64_t left_end;
    uint64_t left_limit;        /* before here the head has no memory to give back behind it */
    uint64_t punched;           /* of a one-shot segment, the bytes before this were given back */
    uint64_t spare;             /* pages beyond what is in use that it may leave to the sender */
    uint32_t seen_last;         /* where the chain ended when the head left a segment, + 1 */
    uint64_t owed;              /* pages that the sender went on by, and that were not left to it */
    bool damaged;               /* passed over for good */
    bool borrowed;              /* the memory is somebody else's (tests) */
    struct tg_foreign *foreign; /* another user's file: head is a copy, nothing is mapped */
};

struct tg_message_view {
    const uint8_t
        *data; /* the payload; its extension lies right before it. NULL: tg_reader_read() */
    uint32_t len;
    uint32_t extension; /* bytes */
    uint32_t sequence;
    uint32_t pid;
    uint64_t place; /* of the message */
    uint64_t next;  /* behind it */
};

/* Map "link.ROW". -ENOENT: gone. -EPROTO: foreign, damaged, or another mailbox's. */
int tg_reader_attach(struct tg_reader *r, int dir, uint32_t row, const uint8_t box_id[16]);
/* Read what a writer of this process writes, through the same mapping. */
int tg_reader_borrow(struct tg_reader *r, const struct tg_writer *w);
void tg_reader_detach(struct tg_reader *r);
/* Look at place: 1 and the message; 0 nothing there yet, with r->next moved past jumps; -EPROTO
 * and other errors. The place must have come from the box or from this function. */
int tg_reader_look(struct tg_reader *r, uint64_t place, struct tg_message_view *ret_view);
/*
 * The same for the common case: a mapped record at r->next that was seen committed (acquire), without
 * an extension. False: ask tg_reader_look. The number is the one the place says; whether the record says
 * the same, which tells of a damaged sender, is asked there, at every new segment at the latest.
 */
static inline __attribute__((always_inline)) bool tg_reader_view(const struct tg_reader *r,
                                                                 struct tg_message_view *ret_view)
{
    const uint32_t sequence = tg_place_sequence(r->next);
    const uint32_t len = tg_load_relaxed(&r->record->length);
    /* In units of 16 bytes, as places count. */
    const uint64_t end = (r->next & UINT32_MAX) + TG_RECORD_HEAD / 16 + (((uint64_t)len + 15) >> 4);
    if (tg_distrust(end > r->limit)) {
        return false;
    }
    ret_view->data = (const uint8_t *)r->record + TG_RECORD_HEAD;
    ret_view->len = len;
    ret_view->sequence = sequence;
    ret_view->next = ((uint64_t)sequence + 1) << 32 | end;
    return true;
}
/* Stand behind the message just looked at: there the next hint looks. */
static inline void tg_reader_advance(struct tg_reader *r, const struct tg_message_view *view)
{
    r->next = view->next;
    r->record = (const struct tg_record *)(const void *)(r->base + tg_place_offset(view->next));
}
/* The bytes of a message known by place and length (a claim), extension included. NULL: they are in
 * the file behind the record's head, for tg_reader_read(). */
int tg_reader_find(struct tg_reader *r, uint64_t offset, uint32_t len, const uint8_t **ret_data);
/* The head moves from one place to another: give the memory of one-shot segments that it leaves
 * back. To be called before the head is stored. */
void tg_reader_leave(struct tg_reader *r, uint64_t from, uint64_t to);
/*
 * A link of another user: what this process holds of it is a copy. read: bytes of the file; -EPROTO
 * if they are not there. refresh: the words of the head; what is asked for in a certain order is
 * refreshed between. Of a link that is mapped they need not, and read cannot, be asked.
 */
int tg_reader_read(const struct tg_reader *r, uint64_t offset, uint64_t len, void *to);
int tg_reader_refresh_slow(const struct tg_reader *r);
static inline int tg_reader_refresh(const struct tg_reader *r)
{
    return r->foreign != NULL ? tg_reader_refresh_slow(r) : 0;
}
/* The full number of a message. */
uint64_t tg_reader_full_sequence(const struct tg_reader *r, uint32_t sequence);

/*
 * Whether something may be there at place, as the box has it now: a hint, for whoever does not hold
 * the token. Memory that another reader may give back at any moment is not touched: a load from a
 * hole would reserve a page, or be a signal where none is left.
 */
bool tg_reader_hint_slow(const struct tg_reader *r, uint64_t place);
static inline bool tg_reader_hint(const struct tg_reader *r, uint64_t place)
{
    if (r->record == NULL) {
        return true; /* never looked at */
    }
    if (r->oneshot) {
        return tg_reader_hint_slow(r, place);
    }
    return tg_place_sequence(place) != tg_place_sequence(r->next) ||
           tg_load_relaxed(&r->record->commit) != 0;
}

/* ---- peek.c: a look at records, of whatever user, without taking them and without a mapping */

struct tg_peeker {
    int fd;
    uint32_t row;
    uint32_t uid; /* of the file: the kernel vouches for it */
    uint64_t link_id;
    struct tg_link_head *head; /* a copy, the table behind it */
    bool lossy;                /* TONG_DROP_OLDEST */
    uint64_t place;            /* of the record to be seen next */
    uint64_t missed;           /* messages passed unseen; whoever counts them sets it to 0 */
    uint32_t expected; /* number of the message to be told next: older ones are passed over */
    uint32_t current;  /* segment of place; its bytes, end 0: not known: */
    uint64_t begin;
    uint64_t end;
    bool oneshot;
    uint8_t *run;              /* bytes of that segment, read at one time, ... */
    uint64_t run_off;          /* ... from here, ... */
    uint32_t run_len;          /* ... so many; ... */
    uint32_t run_until;        /* ... records before this number are whole in it */
    struct tg_link_place seen; /* read behind them: the box's places, ... */
    uint64_t oldest;           /* ... the sender's, ... */
    uint32_t first_commit;     /* ... and the record at the segment's begin */
    uint32_t first_sequence;
};

/* A message that was seen. */
struct tg_peeked {
    uint32_t len;        /* of the payload */
    uint32_t extension;  /* bytes; they are at ... */
    const uint8_t *said; /* ... here, until the next call */
    uint32_t sequence;
    uint32_t pid;
};

/* "link.ROW", to be seen from the place the box says, or from its first message. -ENOENT: gone; -EPROTO:
 * foreign, damaged, or another mailbox's; -ENOMEM, ... */
int tg_peeker_open(struct tg_peeker *p, int dir, uint32_t row, const uint8_t box_id[16]);
void tg_peeker_close(struct tg_peeker *p);
/* Nothing is there: give back what only a look needs. */
void tg_peeker_rest(struct tg_peeker *p);
/* Stand at a place that the box has told, or that the head tells. */
void tg_peeker_stand(struct tg_peeker *p, uint64_t place);
/*
 * The next message: its first size bytes into buf. place: what the box says now.
 * 1 and *ret_peeked; 0 there is none, or none that can be seen now; -EPROTO damaged; -ENOMEM, ...
 */
int tg_peeker_next(struct tg_peeker *p, tg_link_place_fn *place, void *arg, void *buf, size_t size,
                   struct tg_peeked *ret_peeked);
/* The copy of the head, anew. -EPROTO: cut. */
int tg_peeker_refresh(struct tg_peeker *p);
/* Whether nothing will be written any more, as the copy says. */
bool tg_peeker_is_gone(const struct tg_peeker *p);
/* The next message to be told is this one: those before it were missed. */
static inline void tg_peeker_expect(struct tg_peeker *p, uint32_t sequence)
{
    if ((int32_t)(sequence - p->expected) > 0) {
        p->missed += sequence - p->expected;
        p->expected = sequence;
    }
}
/* Whether all that the copy of the head tells of was told, or missed. */
static inline bool tg_peeker_is_at_end(const struct tg_peeker *p)
{
    return (int32_t)(tg_place_sequence(tg_load_relaxed(&p->head->tail)) - p->expected) <= 0;
}
/* Bytes behind a record's head, [from, from + len) of total ones; they may be anything. -EPROTO. */
int tg_peeker_read(struct tg_peeker *p, uint64_t offset, uint64_t total, uint64_t from,
                   uint64_t len, void *to);
/* The full number of a message, as tg_reader_full_sequence. */
uint64_t tg_peeker_full_sequence(const struct tg_peeker *p, uint32_t sequence);

#endif
