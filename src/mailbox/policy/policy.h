/*
 * A delivery policy: who gets the next message when several receivers want one.
 *
 * One file, one struct, one row in policy.c. The functions are called by the token's holder, do
 * not block, and see numbers only. May come twice for one message: nothing is given away by a choice.
 */
#ifndef TG_MAILBOX_POLICY_POLICY_H
#define TG_MAILBOX_POLICY_POLICY_H

#include <stdbool.h>
#include <stdint.h>
#include <tong/tong.h>

/* A receiver that sleeps in the queue, or is about to. */
struct tg_waiting {
    uint64_t ticket; /* the lower, the longer it has waited; never 0 */
    uint32_t slot;
    uint32_t claims; /* messages it has in hand; 0 unless by_claims */
    uint32_t pid;
};

/* A function of the user. */
struct tg_own_policy {
    tong_choose_fn *choose; /* NULL: not known to this process */
    void *arg;
};

/* What a choice is made from. */
struct tg_choice {
    const struct tg_waiting *waiting; /* in the order of their slots */
    uint32_t n;                       /* at least 1 */
    uint32_t served;                  /* slot + 1 of the receiver that took last, 0 none yet */
    uint64_t *random;                 /* the state of the chooser's own generator */
    const struct tg_own_policy *own;
};

/* A receiver that comes while others sleep. */
struct tg_arrival {
    uint32_t sleepers; /* at least 1 */
    uint32_t claims;   /* its own, and ... */
    uint32_t fewest;   /* ... those of the sleeper that has the fewest; 0 unless by_claims */
};

#define TG_NEVER_TAKES UINT32_MAX

struct tg_policy {
    const char *name;       /* as the command line takes it */
    uint32_t delivery;      /* enum tong_delivery */
    uint32_t max_receivers; /* one more gets -EBUSY */
    bool by_claims;         /* claims are counted for it */
    bool again;             /* a choice is made anew at every look */
    bool by_key;            /* a message with a key goes to the receiver that has the key */
    /* How many messages must wait before a receiver that has just come takes one. At least 1, which
     * goes for every sleeper, too; or TG_NEVER_TAKES: it stands in the queue first. The sleeper that
     * is chosen needs 1. */
    uint32_t (*needed)(const struct tg_arrival *arrival);
    /* Who of those waiting takes next: an index. Asked whenever one comes, and when the one chosen
     * goes. NULL: the lowest ticket. */
    uint32_t (*choose)(const struct tg_choice *choice);
};

extern const struct tg_policy tg_policy_first_come;
extern const struct tg_policy tg_policy_any;
extern const struct tg_policy tg_policy_exclusive;
extern const struct tg_policy tg_policy_round_robin;
extern const struct tg_policy tg_policy_random;
extern const struct tg_policy tg_policy_least_loaded;
extern const struct tg_policy tg_policy_by_key;
extern const struct tg_policy tg_policy_everyone;
extern const struct tg_policy tg_policy_own;

/* NULL: there is no such policy. */
const struct tg_policy *tg_policy_of(uint32_t delivery);

/* Whether these options name one; TONG_OWN where they name one of the user. 0 or -EINVAL,
 * -ENAMETOOLONG. */
int tg_policy_check(const tong_options *options, uint32_t *ret_delivery);

/* own.c: choose NULL if this process has no policy of that name. */
struct tg_own_policy tg_policy_find_own(const char *name);

/* A number below limit, every one as likely as the others; the generator moves on. */
uint32_t tg_policy_random_below(uint64_t *state, uint32_t limit);

#endif
