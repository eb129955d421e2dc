/*
 * fuzz - what the fuzz targets share.
 *
 * A target is one file with one function, LLVMFuzzerTestOneInput(), and lets bytes play the part of
 * somebody who may not be trusted. Linked with libFuzzer it searches; linked with plain_main.c it
 * runs the inputs it is given, and as many random variations of them as it is told.
 *
 * Input. One row of bytes, read from both ends: the front is the script (which calls are made, with
 * which arguments), the back is what the other side does during those calls. So one byte more in the
 * script does not shift what happens inside of every call.
 *
 * During. The library passes a numbered point before every store to shared memory and every system
 * call (src/base/point.h). fuzz_at_points() has a function called there, between any two steps of the
 * victim: what a hostile process could do at that moment it does in a reproducible order. What happens
 * between two loads is the business of hostile_race.c, which has a thread of its own.
 *
 * Memory. Every mapping of the library has an unmapped page before and behind it, and its addresses
 * are not used again within one input: a read beyond the end of a file's mapping, or in one that was
 * given up, is a fault and never another file's bytes.
 */
#ifndef TONG_FUZZ_H
#define TONG_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is against the rules: print and abort, which is what a fuzzer looks for. */
_Noreturn void fuzz_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define fuzz_true(condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fuzz_fail("%s:%d: not true: %s", __FILE__, __LINE__, #condition);                      \
        }                                                                                          \
    } while (0)

/* ---- the input */

struct fuzz_input {
    const uint8_t *at;
    const uint8_t *end;
};

/* One end of it; both ends move towards each other. Behind the last byte there are zeros. */
struct fuzz_bytes {
    struct fuzz_input *input;
    bool from_back;
};

bool fuzz_is_over(const struct fuzz_bytes *bytes);
uint8_t fuzz_u8(const struct fuzz_bytes *bytes);
uint16_t fuzz_u16(const struct fuzz_bytes *bytes);
uint32_t fuzz_u32(const struct fuzz_bytes *bytes);
uint64_t fuzz_u64(const struct fuzz_bytes *bytes);
uint32_t fuzz_below(const struct fuzz_bytes *bytes, uint32_t limit); /* limit > 0 */

/* ---- the world around one input */

/* A fresh, empty folder, named by TONG_DIR; its path. fuzz_end() wants it left by everybody: no
 * mapping and no descriptor more than before. */
const char *fuzz_begin(void);
void fuzz_end(void);
/* A folder that is not TONG_DIR, empty, as the working directory; once. */
void fuzz_enter_scratch(void);
/* Remove whatever is in a folder, as its owner. */
void fuzz_empty_folder(int dir);

/* Have strike(arg) called after some points, not from within itself; NULL ends that. */
void fuzz_at_points(void (*strike)(void *arg), void *arg);
/* A call has ended. One that passes too many points without ending is a failure; with a function of
 * fuzz_at_excess(), that is called instead, also when a call takes longer than 20 ms. */
void fuzz_call_ends(void);
void fuzz_at_excess(void (*excess)(void));

/* Whether this process may give files to another user. */
bool fuzz_is_root(void);
#define FUZZ_OTHER_UID 4242u

/* Memory that no input can guess: what proves that bytes are an honest sender's. */
uint64_t fuzz_secret(void);

#endif
