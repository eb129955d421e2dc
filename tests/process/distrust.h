/* Ann, Bob and Cat share a folder; Bob means harm. For the tests of one member of a group against another. */
#ifndef TONG_TESTS_DISTRUST_H
#define TONG_TESTS_DISTRUST_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kit.h"

enum {
    GROUP = 65530,
    CAT = 65533
};

struct stage {
    const char *folder;
    const char *box; /* name of the mailbox */
    tong_options options;
    kit_event made;
    kit_event ready;
    kit_event held;
    kit_event cut;
    kit_event over;
    kit_event enough; /* Cat ends */
    kit_event all;    /* and has sent everything */
    _Atomic uint64_t cats;
    _Atomic uint64_t cuts;
    _Atomic uint64_t sent; /* by Bob */
    _Atomic uint64_t errors;
    uint64_t times; /* cuts, at least */
};

static inline struct stage *set_up(void)
{
    const char *carrier = getenv("TONG_CARRIER");
    if (carrier && carrier[0] != '\0' && strcmp(carrier, "shm:") != 0) {
        kit_skip("files are shared memory's");
    }
    kit_needs_root();
    struct stage *s = kit_shared(sizeof(*s));
    s->folder = kit_make_folder(0, GROUP, 03770);
    s->box = "box";
    s->options = kit_options();
    s->options.mode = 0660;
    s->times = kit_count("DISTRUST_CUTS", 300);
    return s;
}

static inline void become(const struct stage *s, uid_t uid)
{
    kit_become(uid, GROUP);
    kit_ok(setenv("TONG_DIR", s->folder, 1));
}

static inline const char *path_of(const struct stage *s, const char *folder, const char *name)
{
    static char path[4400];
    snprintf(path, sizeof(path), "%s/%s/%s", s->folder, folder, name);
    return path;
}

/* The records in ".life" of processes of that user; the name of the first. */
static inline unsigned find_records(const struct stage *s, uid_t uid, char ret_name[64])
{
    unsigned n = 0;
    DIR *dir = opendir(path_of(s, ".life", ""));
    kit_true(dir != NULL);
    for (struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        struct stat st;
        if (d->d_name[0] != '.' && fstatat(dirfd(dir), d->d_name, &st, 0) == 0 &&
            st.st_uid == uid && n++ == 0) {
            snprintf(ret_name, 64, "%.63s", d->d_name);
        }
    }
    closedir(dir);
    return n;
}

#endif
