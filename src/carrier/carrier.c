#include "carrier/carrier.h"

#include <string.h>

/* A row for each carrier; the first one is meant by a name without a prefix. */
static const struct tg_carrier *const table[] = {
    &tg_carrier_shm, &tg_carrier_unix, &tg_carrier_nats, &tg_carrier_mq_plain, &tg_carrier_mq,
};

#define N_CARRIERS (sizeof table / sizeof table[0])

const struct tg_carrier *tg_carrier_at(size_t i)
{
    return i < N_CARRIERS ? table[i] : NULL;
}

static int is_prefix(const char *name, size_t len, const char *prefix)
{
    return strlen(prefix) == len && strncmp(name, prefix, len) == 0;
}

const struct tg_carrier *tg_carrier_of(const char *name, const char **ret_rest)
{
    const char *colon = strchr(name, ':');
    *ret_rest = name;
    if (colon == NULL) {
        return table[0];
    }
    const size_t len = (size_t)(colon - name);
    for (size_t i = 0; i < N_CARRIERS; i++) {
        if (is_prefix(name, len, table[i]->prefix) &&
            (table[i]->begins == '\0' || table[i]->begins == colon[1])) {
            *ret_rest = colon + 1;
            return table[i];
        }
    }
    *ret_rest = NULL;
    return NULL;
}
