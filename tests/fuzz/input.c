/* Reading an input from both ends. */
#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void fuzz_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("fuzz: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

bool fuzz_is_over(const struct fuzz_bytes *bytes)
{
    return bytes->input->at == bytes->input->end;
}

uint8_t fuzz_u8(const struct fuzz_bytes *bytes)
{
    if (fuzz_is_over(bytes)) {
        return 0;
    }
    return bytes->from_back ? *--bytes->input->end : *bytes->input->at++;
}

static uint64_t number(const struct fuzz_bytes *bytes, unsigned n_bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < n_bytes; i++) {
        value |= (uint64_t)fuzz_u8(bytes) << (8 * i);
    }
    return value;
}

uint16_t fuzz_u16(const struct fuzz_bytes *bytes)
{
    return (uint16_t)number(bytes, 2);
}

uint32_t fuzz_u32(const struct fuzz_bytes *bytes)
{
    return (uint32_t)number(bytes, 4);
}

uint64_t fuzz_u64(const struct fuzz_bytes *bytes)
{
    return number(bytes, 8);
}

uint32_t fuzz_below(const struct fuzz_bytes *bytes, uint32_t limit)
{
    return (limit <= 256 ? fuzz_u8(bytes) : fuzz_u32(bytes)) % limit;
}
