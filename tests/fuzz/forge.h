/*
 * forge - the files of a mailbox in the hands of somebody hostile.
 *
 * A forge has the files mapped that the other side may write, knows their layout, and writes what
 * the input says: words at random, words that are nearly right (the next number, the place behind the
 * last record, somebody's record number), and whole steps of the protocol done well, so that the
 * victim gets deep enough to be hurt.
 */
#ifndef TONG_FUZZ_FORGE_H
#define TONG_FUZZ_FORGE_H

#include "fuzz.h"

#include "link/link_layout.h"
#include "mailbox/box_layout.h"
#include "region/region_layout.h"

#define FORGE_ROW 2u
#define FORGE_SIZE (UINT64_C(768) * 4096u) /* of the link: a part lies beyond the window */

struct forge_file {
    uint8_t *map;
    size_t size;
    int fd; /* to change the size, or to hold a lock */
};

struct forge {
    int root; /* the folder of mailboxes */
    int dir;  /* of the mailbox */
    uint8_t box_id[16];
    bool is_other_user; /* the files are another user's */
    bool may_resize;    /* shorten them while they are mapped */
    bool is_cut;        /* one of them is: nothing is written until it has its size again */
    struct forge_file link;
    struct forge_file room;
    struct forge_file bells;
    struct forge_file life;
    struct forge_file box;          /* only if the mailbox's user is the hostile one */
    const struct tg_box_head *seen; /* the box, to read */
    const struct tg_box_row *rows;
    uint64_t life_id;
    uint64_t victim_id;
    uint32_t row; /* of the link that is written or attacked */
    /* of the chain, as long as it is written well */
    uint32_t sequence;
    uint64_t tail;
    uint64_t end;
    uint32_t n_segments;
    uint32_t offer;
    uint32_t junk; /* names made so far */
};

/* Look at the mailbox NAME in the folder; map its room, and take note of who is the victim. */
void forge_begin(struct forge *f, const char *folder, const char *name, bool is_other_user);
void forge_end(struct forge *f);

/* A link of its own with an empty segment, bells of its own, a life of its own. */
void forge_make_link(struct forge *f);
void forge_make_bells(struct forge *f);
void forge_make_life(struct forge *f, bool locked);
/* Map the box for writing; give it away if the files are another user's. */
void forge_take_box(struct forge *f, const char *name);

/* One step against a receiver, against a sender; what it is comes out of the bytes. */
void forge_strike_receiver(struct forge *f, const struct fuzz_bytes *bytes);
void forge_strike_sender(struct forge *f, const struct fuzz_bytes *bytes);
/* A step that is right: a message of so many bytes, behind the last one. */
void forge_message(struct forge *f, uint32_t len);
/* Put the head of the room back: a mailbox whose room is damaged cannot be opened any more. */
void forge_mend_room(struct forge *f);
/* Put the words back without which a call cannot end: who owns them is held to nothing. */
void forge_release(struct forge *f);

/* A value for a word: anything, with a liking for what matters. */
uint64_t forge_value(struct forge *f, const struct fuzz_bytes *bytes);
/* Write it to a word somewhere in the first size bytes of a file. */
void forge_scribble(struct forge *f, struct forge_file *file, size_t size,
                    const struct fuzz_bytes *bytes);

#endif
