/* Inside layer 3: which messages a receiver takes. See select.c; the token is held unless said. */
#ifndef TG_MAILBOX_SELECT_H
#define TG_MAILBOX_SELECT_H

#include "mailbox/box.h"

/* Who looks: the present call, or a sleeper as its slot says. */
struct tg_viewer {
    struct tg_wish wish;
    uint64_t ticket; /* its place in the queue, UINT64_MAX: it has none */
    uint32_t slot;
};

struct tg_viewer tg_select_me(const struct tg_box *box);
/* A call of this handle that takes whatever comes, and has just come. */
struct tg_viewer tg_select_comer(const struct tg_box *box);
struct tg_viewer tg_select_sleeper(const struct tg_box *box, uint32_t slot);
/* Before its ticket: what the present call asks for, into its slot. */
void tg_select_announce(struct tg_box *box);
/* Whether a slot's sleeper asks for something; whether any does. */
static inline bool tg_select_is_asking(const struct tg_box *box, uint32_t slot)
{
    return tg_load_relaxed(&box->slots[slot].asks) != 0;
}
static inline bool tg_select_any(const struct tg_box *box)
{
    return tg_load_relaxed(&box->head->selecting) != 0;
}
/* Of those the one that has waited longest; TG_SLOTS_MAX: nobody asks. */
uint32_t tg_select_first(const struct tg_box *box);
/* Nobody has to be asked which messages a viewer takes: it is the first one there is. */
static inline bool tg_select_is_simple(const struct tg_box *box, const struct tg_viewer *viewer)
{
    return !viewer->wish.selects && !tg_select_any(box);
}
/* Whether it may take from that link; no token needed for the present call's own. */
bool tg_select_link_slow(struct tg_box *box, const struct tg_wish *wish, struct tg_attached *at);
static inline bool tg_select_link(struct tg_box *box, const struct tg_wish *wish,
                                  struct tg_attached *at)
{
    return (wish->only == NULL && wish->from == 0) || tg_select_link_slow(box, wish, at);
}

enum tg_judgement {
    TG_MINE,
    TG_NOT_MINE, /* it does not ask for it */
    TG_ANOTHERS, /* another one does that comes before it */
};

/* Whose a message of a link it may take from is. */
enum tg_judgement tg_select_judge(struct tg_box *box, const struct tg_viewer *viewer,
                                  struct tg_attached *at, const struct tg_about *about);

#endif
