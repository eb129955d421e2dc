/* What libtong and libtong-nats know of each other. */
#ifndef TG_CARRIER_NATS_LIBRARY_H
#define TG_CARRIER_NATS_LIBRARY_H

#include <stddef.h>

#include "carrier/carrier.h"

/* Both are of one build or do not fit: the table of functions is no interface for others. */
#define TG_NATS_TEXT_OF(x) #x
#define TG_NATS_TEXT(x) TG_NATS_TEXT_OF(x)
#define TG_NATS_VERSION                                                                            \
    TG_NATS_TEXT(TONG_VERSION_MAJOR)                                                               \
    "." TG_NATS_TEXT(TONG_VERSION_MINOR) "." TG_NATS_TEXT(TONG_VERSION_PATCH)

#define TG_NATS_LIBRARY "libtong-nats.so." TG_NATS_TEXT(TONG_VERSION_MAJOR)

/* The one function that libtong-nats shows. size: of struct tg_carrier. NULL: of another build. */
typedef const struct tg_carrier *tg_nats_library_fn(size_t size, const char *version);
tg_nats_library_fn tg_nats_library;

#endif
