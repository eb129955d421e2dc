/* Inside layer 3: messages that another way carries than the links. See carried.c. */
#ifndef TG_MAILBOX_CARRY_H
#define TG_MAILBOX_CARRY_H

#include <stdbool.h>

#include "mailbox/box_layout.h"
#include "mailbox/said.h"
#include "mailbox/way.h"

struct tg_box;
struct tg_box_entry;
struct tg_take;
struct tg_viewer;

/* What a handle has where another way carries the messages. */
struct tg_carry {
    int fd; /* of the queue */
    uint32_t record_size;
    struct tg_stage *stage; /* of a receiver, else NULL */
    struct tg_carried *record;
    size_t stage_size;
    bool early; /* the last look found a message whose sender is about to count it: carried.c, I7 */
    bool is_empty;     /* this look need not ask the queue: nothing was there just now */
    uint8_t *out;      /* of a sender: a record being made */
    uint8_t *reserved; /* and what a reservation is written into */
};

/* ---- carry.c: where another way carries the messages; the handle and the folder */

#define TG_QUEUE_FILE "queue"
#define TG_STAGE_FILE "stage"

int tg_carry_attach(struct tg_box *box);
void tg_carry_detach(struct tg_box *box);
/* The files and the queue of a new folder; take the queue away again. */
int tg_carry_make(struct tg_box *box, int dir, const tong_options *o);
void tg_carry_unmake(const struct tg_box *box);
/* The folder is being deleted: the queue named in its file goes. -errno: it is there still, and named. */
int tg_carry_forget_queue(int dir);
/* The bodies of a link that is gone: what a death left. */
void tg_carry_forget_bodies(int dir, uint64_t link_id);
bool tg_carry_is_body(const char *name, uint64_t *ret_link_id);
#define TG_BODY_NAME_SIZE 32u
void tg_carry_body_name(uint64_t link_id, uint32_t number, char ret_name[TG_BODY_NAME_SIZE]);
/* A new file of that name: its descriptor, or -errno; -EPROTO: another user's is in the way. */
int tg_carry_make_body(int dir, const char *name);

/* The sending side: room is taken and the link there. 0, -EAGAIN: the queue is full, -ENOSPC, ... */
struct tg_parts {
    const uint8_t *extension; /* see said.h */
    uint32_t extension_len;   /* 0: none */
    const void *data;
    size_t len;
    struct tg_about about;
    uint64_t deadline_ns; /* as in tg_attributes */
    uint32_t priority;
    bool is_kept;        /* refused, it is not lost: a dead letter is set aside then */
    uint64_t *ret_where; /* where it is then, for a request; or NULL */
};
int tg_carried_send(struct tg_box *box, const struct tg_parts *parts);
/* Memory for a message that is written in place; room is taken. 0, -ENOMEM: the room is given back. */
int tg_carry_reserve(struct tg_box *box, size_t len, uint8_t **ret_data);
void tg_carry_unreserve(struct tg_box *box);

/* ---- carried.c: the receiving side; token held but for the hint */

/* As tg_take_one(), of what was never handed out. */
int tg_carried_take(struct tg_box *box, struct tg_take *take);
/* Token not held: the common case in one piece, as tg_receive_short(). True: taken. *ret_empty: nothing was
 * there; of a call that waits, by the words of counted.c. */
bool tg_carried_short(struct tg_box *box, struct tg_take *take, bool wait, bool *ret_empty);
/* Whether something may be there. */
bool tg_carried_hint(struct tg_box *box);
/* How many may be there for a viewer (select.h). */
uint32_t tg_carried_count(struct tg_box *box, const struct tg_viewer *viewer);
/* The token was taken from a dead one: first of all. */
void tg_carried_repair(struct tg_box *box);
/* The message of an entry, into take->body. */
int tg_carried_view_entry(struct tg_box *box, struct tg_take *take,
                          const struct tg_box_entry *entry);
/* An entry is about to be free: its message is finished. */
void tg_carried_finish(struct tg_box *box, const struct tg_box_entry *entry);

/* ---- counted.c: what the senders have counted; the token need not be held */

/* How many are in the queue, if anything is counted; it is asked then. */
uint32_t tg_counted_in_queue(const struct tg_box *box);
/* Other users send: words are not enough, and the queue is asked, too. */
bool tg_counted_is_asked(const struct tg_box *box);
/* Whether something is there, the stage aside. */
bool tg_counted_hint(const struct tg_box *box);

#endif
