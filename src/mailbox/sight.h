/* Inside layer 3: a file that another user may cut, looked at through a copy. See sight.c. */
#ifndef TG_MAILBOX_SIGHT_H
#define TG_MAILBOX_SIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/waitset.h"
#include "mailbox/box_layout.h"

struct tg_sight {
    int fd;
    uint8_t *copy;      /* NULL: the file is mapped, as what may be trusted */
    const uint8_t *map; /* to be slept on, never loaded from */
    size_t size;
};

/* Whether a file's owner could cut it without our user's or root's doing. */
bool tg_sight_is_needed(uint32_t uid);
/* Takes *fd over on 0. The copy is all zero. */
int tg_sight_open(struct tg_sight *s, int *fd, size_t size);
void tg_sight_close(struct tg_sight *s);
/* Bring bytes of the copy up to date. 0 (also where there is none), -EPROTO. */
int tg_sight_fetch_slow(const struct tg_sight *s, const volatile void *in_copy, size_t len);
static inline int tg_sight_fetch(const struct tg_sight *s, const volatile void *in_copy, size_t len)
{
    return s->copy != NULL ? tg_sight_fetch_slow(s, in_copy, len) : 0;
}
/* The word to sleep on that stands for one of the copy. */
const tg_a32 *tg_sight_word(const struct tg_sight *s, const tg_a32 *word);
/* Read a word and put it into a waitset; left out if it cannot be read. */
void tg_sight_watch(const struct tg_sight *s, const tg_a32 *word, struct tg_waitset *set);
/* Of a box: its head; the slots in use; a row; everything in use. The head comes with each. */
int tg_sight_fetch_head(const struct tg_sight *s);
int tg_sight_fetch_slots_slow(const struct tg_sight *s);
static inline int tg_sight_fetch_slots(const struct tg_sight *s)
{
    return s->copy != NULL ? tg_sight_fetch_slots_slow(s) : 0;
}
int tg_sight_fetch_row_slow(const struct tg_sight *s, uint32_t row);
static inline int tg_sight_fetch_row(const struct tg_sight *s, uint32_t row)
{
    return s->copy != NULL ? tg_sight_fetch_row_slow(s, row) : 0;
}
int tg_sight_fetch_all(const struct tg_sight *s);

/* A box file as it is mapped, or the copy of one. */
struct tg_box_file {
    struct tg_box_head *head;
    struct tg_box_slot *slots;
    struct tg_box_row *rows;
    struct tg_box_entry *entries;
};

#endif
