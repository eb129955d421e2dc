/* A number for a key that is bytes: see tong_key(). */
#ifndef TG_BASE_KEY_H
#define TG_BASE_KEY_H

#include <stddef.h>
#include <stdint.h>

/* Never 0; the same everywhere and in every version. */
uint64_t tg_key(const void *bytes, size_t len);

#endif
