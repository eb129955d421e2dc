#include "watch.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"

#define WORD 8u

static struct watch *filling; /* nftw() has no argument for it */
static size_t folder_len;

static void find_ranges(int fd, struct watch_file *f)
{
    off_t at = 0;
    f->n_ranges = 0;
    while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
        const off_t end = lseek(fd, at, SEEK_HOLE);
        if (f->n_ranges == sizeof(f->range) / sizeof(f->range)[0]) {
            kit_fail("%s is in too many pieces", f->name);
        }
        f->range[f->n_ranges].from = (size_t)at;
        f->range[f->n_ranges++].to = (size_t)end;
        at = end;
    }
}

static int add_file(const char *path, const struct stat *st, int type, struct FTW *place)
{
    (void)place;
    if (type != FTW_F || !S_ISREG(st->st_mode) || st->st_size == 0) {
        return 0;
    }
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0; /* gone since */
    }
    struct stat now;
    struct watch_file *f = &filling->file[filling->n];
    if (filling->n == WATCH_FILES || fstat(fd, &now) != 0) {
        kit_fail("there are too many files, or %s cannot be read", path);
    }
    *f = (struct watch_file){ .size = (size_t)now.st_size };
    snprintf(f->name, sizeof(f->name), "%s", path + folder_len + 1);
    find_ranges(fd, f);
    f->now = mmap(NULL, f->size, PROT_READ, MAP_SHARED, fd, 0);
    f->copy = malloc(f->size);
    if (f->now == MAP_FAILED || f->copy == NULL) {
        kit_fail("%s cannot be mapped", path);
    }
    for (uint32_t i = 0; i < f->n_ranges; i++) {
        const size_t from = f->range[i].from;
        memcpy(f->copy + from, f->now + from, f->range[i].to - from);
    }
    close(fd);
    filling->n++;
    return 0;
}

void watch_close(struct watch *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        munmap((void *)(uintptr_t)w->file[i].now, w->file[i].size);
        free(w->file[i].copy);
    }
    w->n = 0;
}

void watch_refresh(struct watch *w, const char *folder)
{
    watch_close(w);
    filling = w;
    folder_len = strlen(folder);
    if (nftw(folder, add_file, 8, FTW_PHYS) != 0) {
        kit_fail("%s cannot be looked at", folder);
    }
}

static uint32_t compare(struct watch_file *f, size_t from, size_t to, struct watch_change ret[],
                        uint32_t n, uint32_t most)
{
    for (size_t at = from; at < to; at += WORD) {
        const size_t len = to - at < WORD ? to - at : WORD;
        if (memcmp(f->copy + at, f->now + at, len) == 0) {
            continue;
        }
        memcpy(f->copy + at, f->now + at, len);
        if (n < most) {
            ret[n] = (struct watch_change){ .file = f, .offset = at };
        }
        n++;
    }
    return n;
}

uint32_t watch_look(struct watch *w, struct watch_change ret_changes[], uint32_t most)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        struct watch_file *f = &w->file[i];
        for (uint32_t k = 0; k < f->n_ranges; k++) {
            const size_t from = f->range[k].from;
            const size_t to = f->range[k].to;
            if (memcmp(f->copy + from, f->now + from, to - from) != 0) {
                n = compare(f, from, to, ret_changes, n, most);
            }
        }
    }
    return n;
}
