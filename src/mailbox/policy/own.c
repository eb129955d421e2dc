/*
 * A policy of the user: a function that this process has registered under the name that stands in the
 * mailbox. Who comes leaves to each sleeper its message, as with first-come.
 *
 * The list of them only grows at its front, by compare-and-swap: it is read without a lock, also by
 * a child that was forked meanwhile.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
#include "mailbox/mailbox.h"
#include "mailbox/policy/policy.h"

#define WAITING_MOST 256u /* as many as a mailbox has slots */

struct entry {
    struct entry *next;
    struct tg_own_policy own;
    char name[TONG_POLICY_MAX];
};

static struct entry *_Atomic first;

static struct entry *find(struct entry *from, const char *name)
{
    while (from != NULL && strcmp(from->name, name) != 0) {
        from = from->next;
    }
    return from;
}

struct tg_own_policy tg_policy_find_own(const char *name)
{
    /* acquire: pairs with the compare-and-swap; the entry comes before. */
    const struct entry *e = find(atomic_load_explicit(&first, memory_order_acquire), name);
    return e != NULL ? e->own : (struct tg_own_policy){ .choose = NULL };
}

int tg_policy_register(const char *name, tong_choose_fn *choose, void *arg)
{
    if (name == NULL || choose == NULL) {
        return -EINVAL;
    }
    const size_t len = strnlen(name, TONG_POLICY_MAX);
    if (len == TONG_POLICY_MAX) {
        return -ENAMETOOLONG;
    }
    const int r = tg_name_check(name);
    struct entry *e = r == 0 ? calloc(1, sizeof *e) : NULL;
    if (e == NULL) {
        return r < 0 ? r : -ENOMEM;
    }
    e->own = (struct tg_own_policy){ .choose = choose, .arg = arg };
    memcpy(e->name, name, len + 1);
    e->next = atomic_load_explicit(&first, memory_order_acquire);
    do {
        if (find(e->next, name) != NULL) {
            free(e);
            return -EEXIST;
        }
    } while (!atomic_compare_exchange_weak_explicit(&first, &e->next, e, memory_order_acq_rel,
                                                    memory_order_acquire));
    return 0;
}

static uint32_t needed(const struct tg_arrival *arrival)
{
    return arrival->sleepers + 1;
}

/* One that does not know the function is on its way out: then it is the lowest ticket. */
static uint32_t choose(const struct tg_choice *choice)
{
    tong_waiting waiting[WAITING_MOST];
    if (choice->own->choose == NULL || choice->n > WAITING_MOST) {
        return choice->n;
    }
    for (uint32_t i = 0; i < choice->n; i++) {
        const struct tg_waiting *w = &choice->waiting[i];
        waiting[i] = (tong_waiting){ .order = w->ticket,
                                     .slot = w->slot,
                                     .claims = w->claims,
                                     .pid = (int32_t)w->pid,
                                     .served = w->slot + 1 == choice->served };
    }
    const size_t index = choice->own->choose(waiting, choice->n, choice->own->arg);
    return index < choice->n ? (uint32_t)index : choice->n;
}

const struct tg_policy tg_policy_own = {
    .name = "own",
    .delivery = TONG_OWN,
    .max_receivers = UINT32_MAX,
    .by_claims = true,
    .needed = needed,
    .choose = choose,
};
