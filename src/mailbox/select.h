/* Inside layer 3: which messages a receiver takes. See select.c; the token is held unless said. */
#ifndef TG_MAILBOX_SELECT_H
#define TG_MAILBOX_SELECT_H

#include "mailbox/box.h"

/* Who looks: the present call, or a sleeper as its slot says. */
struct tg_viewer {
    struct tg_wish wish;
    uint64_t ticket; /* its place in the queue, UINT64_MAX: it has none */
    uint32_t slot;
    bool takes_any; /* by key: also what has no key, or one that is nobody's yet */
};

struct tg_viewer tg_select_me(const struct tg_box *box);
/* A call of this handle that takes whatever comes, and has just come. */
struct tg_viewer tg_select_comer(const struct tg_box *box);
struct tg_viewer tg_select_sleeper(struct tg_box *box, uint32_t slot);
/* By key: one that has no keys, for what is nobody's. */
struct tg_viewer tg_select_nobody(void);
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
/* Whether not everybody takes whatever comes. */
static inline bool tg_select_is_used(const struct tg_box *box)
{
    return tg_select_any(box) || box->policy->by_key;
}
/* Nobody has to be asked which messages a viewer takes: it is the first one there is. */
static inline bool tg_select_is_simple(const struct tg_box *box, const struct tg_viewer *viewer)
{
    return !viewer->wish.selects && !tg_select_is_used(box);
}
/* Whether it may take from that link; no token needed for the present call's own. */
bool tg_select_link_slow(struct tg_box *box, const struct tg_wish *wish, struct tg_attached *at);
static inline bool tg_select_link(struct tg_box *box, const struct tg_wish *wish,
                                  struct tg_attached *at)
{
    if (box->by_priority && at->lane < wish->min_priority && box->way == NULL) {
        return false;
    }
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

/* ---- keys.c: delivery by key */

/* The slot of the receiver that has a key; TG_SLOTS_MAX: nobody. */
uint32_t tg_keys_owner(const struct tg_box *box, uint64_t key);
/* Before a message with that key, 0 none, is handed out here. */
void tg_keys_take(struct tg_box *box, uint64_t key);
/* A receiver goes; before its slot is free. */
void tg_keys_give_up(struct tg_box *box, uint32_t slot);

#endif
