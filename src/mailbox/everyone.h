/*
 * Inside layer 3: delivery to everyone.
 *
 * Each receiver has a book, a file laid out as the box: what it has taken of each link, its claims, how
 * it sleeps. In its book it is the only receiver, so receiving is there what it is elsewhere. The box says
 * who is there, and how far those who are gone had come.
 */
#ifndef TG_MAILBOX_EVERYONE_H
#define TG_MAILBOX_EVERYONE_H

#include <stdbool.h>
#include <stdint.h>

#include "link/link.h"
#include "mailbox/box_layout.h"
#include "mailbox/sight.h"

struct tg_attached;
struct tg_box;
struct tg_box_view;

/* book.SLOT.NUMBER: of the slot's receiver with that number, its `gen` */
#define TG_BOOK_NAME "book.%u.%u"
#define TG_BOOK_NAME_SIZE 32u

/* ---- everyone.c: receivers come, go, and are cleared away */

/* As tg_slot_join() and tg_slot_leave(). */
int tg_everyone_join(struct tg_box *box);
void tg_everyone_leave(struct tg_box *box);
/* It joined a mailbox that gets no name after all: its book goes. */
void tg_everyone_unmake(struct tg_box *box);
void tg_everyone_detach(struct tg_box *box);
/* Place of the first message of a link that one who joins wants. */
uint64_t tg_everyone_start(struct tg_box *box, const struct tg_attached *at);
/* Count the dead receivers, and books that are nobody's; clear them away if repair. */
uint32_t tg_everyone_sweep(struct tg_root *root, const struct tg_box_view *view, bool repair);

/* ---- everyone_books.c: the books of all receivers, as senders and observers see them */

struct tg_book {
    uint32_t slot;
    uint32_t number;
    uint64_t owner;
    struct tg_box_file file;
    struct tg_sight sight;
    uint64_t note; /* its turn that was rung for last */
    uint32_t arms; /* its epoch that was rung for last, in event loops */
    bool dead;
    uint64_t waiting; /* for observers: messages it has not been handed yet, ... */
    uint64_t passed;  /* ... and those dropped that it has not noticed; of the links looked at */
};

struct tg_books {
    struct tg_book *all;
    uint32_t n;
    uint32_t room;
    uint32_t seen; /* arrivals when the list was made */
    bool is_whole; /* nobody is missing from it */
};

void tg_book_name(uint32_t slot, uint32_t number, char ret_name[TG_BOOK_NAME_SIZE]);
/* -ENOENT: there is none, or its receiver is leaving. */
int tg_book_open(const struct tg_box_view *view, uint32_t slot, uint32_t number,
                 struct tg_book *ret_book);
void tg_book_close(struct tg_book *book);
/* What its receiver has missed, TONG_DROP_OLDEST. */
uint64_t tg_book_dropped(const struct tg_box_file *book);
/* Whether its receiver has the slot still. */
bool tg_book_is_current(const struct tg_box_view *view, const struct tg_book *book);

/* Bring the list up to date with the box. 0; -errno: somebody's book cannot be opened now. */
int tg_books_refresh(struct tg_books *books, const struct tg_box_view *view);
void tg_books_close(struct tg_books *books);

/* What is asked of a link. */
struct tg_link_of {
    uint32_t row;
    uint64_t link_id;
    uint64_t first;              /* place of the first record that may be there */
    const struct tg_writer *own; /* tells which of two places comes first; NULL: their numbers do */
};

/* How far the receivers of a link have come. */
struct tg_reach {
    struct tg_link_place place; /* of each word the earliest */
    uint32_t done;              /* the fewest finished */
    const struct tg_book
        *slowest; /* who has; NULL: nobody is there, this is how far the gone were */
};

struct tg_reach tg_book_reach(const struct tg_book *book, const struct tg_link_of *link);
/* Of one whose receiver is there: alive, and not gone. */
bool tg_book_counts(struct tg_book *book, struct tg_root *root, const struct tg_box_view *view);
/* Of all who live: those who would hold the others up are asked. */
struct tg_reach tg_books_reach(struct tg_books *books, struct tg_root *root,
                               const struct tg_box_view *view, const struct tg_link_of *link);
/* For observers, whatever the delivery: of one to everyone view->books are open. */
struct tg_reach tg_view_reach(struct tg_root *root, const struct tg_box_view *view,
                              const struct tg_link_of *link);

/* ---- everyone_send.c: a sender among them; its gate is held */

struct tg_reach tg_everyone_reach(struct tg_box *box);
/* The same before what lies there is written over. */
struct tg_link_place tg_everyone_place(struct tg_box *box);
/* Tell every receiver that waits. After the commit. */
void tg_everyone_ring(struct tg_box *box, bool always);
/* Before a sleep for room: the words of one who holds it up. True: look again instead. */
bool tg_everyone_watch(struct tg_box *box, struct tg_waitset *set);
/* Behind the fence that tells of the sleep: whether that one does still. */
bool tg_everyone_is_held(struct tg_box *box);
/* Whether a receiver runs on another processor. */
bool tg_everyone_runs_elsewhere(struct tg_box *box, uint32_t cpu);
void tg_everyone_close(struct tg_box *box);

#endif
