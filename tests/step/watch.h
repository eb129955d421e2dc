/* The shared bytes as an observer sees them: all files of the mailboxes' folder, held against a copy. */
#ifndef TONG_STEP_WATCH_H
#define TONG_STEP_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WATCH_FILES 64u

struct watch_file {
    char name[64]; /* in the folder */
    const uint8_t *now;
    uint8_t *copy;
    size_t size;
    uint32_t n_ranges;
    struct {
        size_t from;
        size_t to;
    } range[16]; /* what has memory; the rest is not touched, so that it gets none */
};

struct watch {
    uint32_t n;
    struct watch_file file[WATCH_FILES];
};

/* Look at the folder anew: what there is now is no change. */
void watch_refresh(struct watch *w, const char *folder);
void watch_close(struct watch *w);

struct watch_change {
    const struct watch_file *file;
    size_t offset; /* of an aligned word of 8 bytes */
};

/* Words changed since the last look, up to most of them in ret_changes. */
uint32_t watch_look(struct watch *w, struct watch_change ret_changes[], uint32_t most);

#endif
