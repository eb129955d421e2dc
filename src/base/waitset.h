/*
 * A waitset: the words a sleeper waits on, each with the value it has seen there.
 *
 * The sleep ends when any of them is woken or holds another value already. Up to TG_WAITSET_MAX
 * words; those beyond are left out and only the back-stop of the caller notices them.
 *
 * A foreign word lies in a file that another user may cut at any moment: it is never loaded, only the
 * kernel looks at it. When it is gone the sleep ends at once; whoever made the set finds out why.
 */
#ifndef TG_BASE_WAITSET_H
#define TG_BASE_WAITSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

#define TG_WAITSET_MAX 128u

struct tg_waitset {
    uint32_t n;
    bool soon;    /* something is about to happen that no word tells: sleep a millisecond at most */
    bool orphans; /* a life that is watched has no word now: ask again every 50 ms */
    const tg_a32 *word[TG_WAITSET_MAX];
    uint32_t seen[TG_WAITSET_MAX];
    bool foreign[TG_WAITSET_MAX];
};

static inline void tg_waitset_clear(struct tg_waitset *set)
{
    set->n = 0;
    set->soon = false;
    set->orphans = false;
}

static inline void tg_waitset_add(struct tg_waitset *set, const tg_a32 *word, uint32_t seen)
{
    if (word == NULL || set->n == TG_WAITSET_MAX) {
        return;
    }
    set->word[set->n] = word;
    set->seen[set->n] = seen;
    set->foreign[set->n] = false;
    set->n++;
}

static inline void tg_waitset_add_foreign(struct tg_waitset *set, const tg_a32 *word, uint32_t seen)
{
    const uint32_t at = set->n;
    tg_waitset_add(set, word, seen);
    if (set->n != at) {
        set->foreign[at] = true;
    }
}

/* All of one set into another. */
static inline void tg_waitset_merge(struct tg_waitset *set, const struct tg_waitset *one)
{
    for (uint32_t i = 0; i < one->n; i++) {
        if (one->foreign[i]) {
            tg_waitset_add_foreign(set, one->word[i], one->seen[i]);
        } else {
            tg_waitset_add(set, one->word[i], one->seen[i]);
        }
    }
    set->soon |= one->soon;
    set->orphans |= one->orphans;
}

/* True if a word no longer holds what was seen, or is gone. */
int tg_waitset_word_changed(const struct tg_waitset *set, uint32_t i);
/* The same of any word. */
int tg_waitset_changed(const struct tg_waitset *set);

/* Sleep. 0 woken or changed, -ETIMEDOUT, -EINTR. deadline_ns absolute, TG_NEVER none. */
int tg_waitset_sleep(const struct tg_waitset *set, int64_t deadline_ns);

/* How long the nth sleep in a row lasts before its caller looks at everything, whatever woke it. */
int64_t tg_backstop_ns(uint32_t nth);

#endif
