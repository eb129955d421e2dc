#include "base/arguments.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/name.h"

static bool is_capacity(uint32_t n)
{
    return n <= TONG_CAPACITY_MAX || n == TONG_UNBOUNDED;
}

static bool are_flags(unsigned flags)
{
    const unsigned known = TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_EXCL | TONG_FROM_OLDEST;
    return (flags & ~known) == 0 && (flags & (TONG_SEND | TONG_RECEIVE)) != 0 &&
           ((flags & TONG_EXCL) == 0 || (flags & TONG_CREATE) != 0) &&
           ((flags & TONG_FROM_OLDEST) == 0 || (flags & TONG_RECEIVE) != 0);
}

static bool are_options(const tong_options *o)
{
    return o->struct_size >= sizeof *o && o->owner <= TONG_PROCESS && o->full <= TONG_DROP_OLDEST &&
           is_capacity(o->capacity) && is_capacity(o->link_capacity) && (o->mode & ~0666u) == 0 &&
           (o->mode & 0600) == 0600 && o->max_bytes != 0 && o->by_priority <= 1 &&
           o->max_deliveries < UINT16_MAX && (o->dead_letter == NULL || o->max_deliveries != 0);
}

int tg_arguments_check(const char *name, unsigned flags, const tong_options *options)
{
    if (!are_flags(flags) || (options != NULL && !are_options(options))) {
        return -EINVAL;
    }
    int r = tg_name_check(name);
    if (r == 0 && options != NULL && options->dead_letter != NULL) {
        r = tg_name_check(options->dead_letter);
        /* To itself it would never leave. */
        r = r == 0 && strcmp(options->dead_letter, name) == 0 ? -EINVAL : r;
    }
    return r;
}
