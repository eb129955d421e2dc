/*
 * FNV-1a over the bytes, and the finisher of MurmurHash3 behind it, so that keys that differ in
 * their last byte alone differ in every bit: who takes a key modulo a small number relies on it.
 * It spreads; it resists nobody who looks for two keys of one number.
 */
#include "base/key.h"

#define OFFSET_BASIS UINT64_C(0xcbf29ce484222325)
#define PRIME UINT64_C(0x100000001b3)

uint64_t tg_key(const void *bytes, size_t len)
{
    const uint8_t *b = bytes;
    uint64_t h = OFFSET_BASIS;
    for (size_t i = 0; i < len; i++) {
        h = (h ^ b[i]) * PRIME;
    }
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    h ^= h >> 33;
    return h != 0 ? h : 1;
}
