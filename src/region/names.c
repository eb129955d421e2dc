/* The names in a folder: mailboxes are directories "NAME", those of the carrier unix "@NAME", regions
 * are files "+NAME". */
#include "base/name.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "region/region.h"

struct collect {
    struct tg_names *names;
    char first; /* of the file's name, not of the name; 0 nothing stands before it */
};

static int collect_name(const char *file, unsigned char type, void *arg)
{
    const struct collect *collect = arg;
    struct tg_names *names = collect->names;
    (void)type;
    if (collect->first != '\0') {
        if (file[0] != collect->first) {
            return 0;
        }
        file++;
    }
    if (tg_name_check(file) < 0) {
        return 0;
    }
    if (names->n == names->room) {
        const size_t room = names->room == 0 ? 16 : 2 * names->room;
        void *p = realloc(names->name, room * sizeof *names->name);
        if (p == NULL) {
            return -ENOMEM;
        }
        names->name = p;
        names->room = room;
    }
    memset(names->name[names->n], 0, TONG_NAME_MAX);
    memcpy(names->name[names->n], file, strlen(file));
    names->n++;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

int tg_names_read_of(const struct tg_root *root, char first, struct tg_names *names)
{
    struct collect collect = { .names = names, .first = first };
    const int r = tg_sys_list(tg_root_fd(root), collect_name, &collect);
    if (names->n != 0) {
        qsort(names->name, names->n, sizeof *names->name, by_name);
    }
    return r;
}

int tg_names_read(const struct tg_root *root, bool regions, struct tg_names *names)
{
    return tg_names_read_of(root, regions ? '+' : '\0', names);
}

void tg_names_free(struct tg_names *names)
{
    free(names->name);
    *names = (struct tg_names){ .n = 0 };
}
