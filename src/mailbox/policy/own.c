/*
 * A policy of the user: a function that this process has registered under the name that stands in the
 * mailbox. Who comes leaves to each sleeper its message, as with first-come.
 *
 * The list of them only grows, so what was found once may be called without the lock.
 */
#include <errno.h>
#include <pthread.h>
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

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *first;

/* Lock held. */
static struct entry *find(const char *name)
{
    struct entry *e = first;
    while (e != NULL && strcmp(e->name, name) != 0) {
        e = e->next;
    }
    return e;
}

struct tg_own_policy tg_policy_find_own(const char *name)
{
    pthread_mutex_lock(&lock);
    const struct entry *e = find(name);
    const struct tg_own_policy own = e != NULL ? e->own : (struct tg_own_policy){ .choose = NULL };
    pthread_mutex_unlock(&lock);
    return own;
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
    int r = tg_name_check(name);
    struct entry *e = r == 0 ? calloc(1, sizeof *e) : NULL;
    if (e == NULL) {
        return r < 0 ? r : -ENOMEM;
    }
    e->own = (struct tg_own_policy){ .choose = choose, .arg = arg };
    memcpy(e->name, name, len + 1);
    pthread_mutex_lock(&lock);
    if (find(name) != NULL) {
        r = -EEXIST;
    } else {
        e->next = first;
        first = e;
    }
    pthread_mutex_unlock(&lock);
    if (r < 0) {
        free(e);
    }
    return r;
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
