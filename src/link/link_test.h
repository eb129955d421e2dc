/*
 * What the tests of the link share: one link in a folder, its writer, its reader, and the two words
 * that a mailbox would keep of it. Include kit.h before this header.
 */
#ifndef TG_LINK_LINK_TEST_H
#define TG_LINK_LINK_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "link/link.h"
#include "link/segment.h"

#define RIG_ROW 3u
#define RIG_FOLDER "folder"
#define RIG_TEMP "temp"

static const uint8_t rig_id[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

/* In memory that processes share, where they do. */
struct rig_row {
    tg_a64 head;
    tg_a64 next;
};

struct rig {
    int dir;
    struct tg_writer w;
    struct tg_reader r;
    struct rig_row own;
    struct rig_row *row;
};

static inline int rig_folder(void)
{
    kit_ok(mkdir(kit_path(RIG_FOLDER), 0700));
    const int dir = open(kit_path(RIG_FOLDER), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    kit_true(dir >= 0);
    return dir;
}

static inline struct tg_link_birth rig_birth(uint32_t sequence)
{
    struct tg_link_birth birth = {
        .row = RIG_ROW, .sequence = sequence, .owner = 0x20, .mode = 0600
    };
    memcpy(birth.box_id, rig_id, sizeof(rig_id));
    return birth;
}

static inline const char *rig_name(void)
{
    static char name[TG_LINK_NAME_SIZE];
    tg_link_name(RIG_ROW, name);
    return name;
}

/* Make the link under its name. */
static inline void rig_make(struct rig *rig, uint32_t sequence, uint64_t keep)
{
    const struct tg_link_birth birth = rig_birth(sequence);
    rig->row = rig->row != NULL ? rig->row : &rig->own;
    kit_ok(tg_writer_make(&rig->w, rig->dir, RIG_TEMP, &birth));
    rig->w.keep = keep;
    kit_ok(tg_sys_rename(rig->dir, RIG_TEMP, rig_name(), false));
    atomic_store(&rig->row->head, tg_load_relaxed(&rig->w.head->first));
    atomic_store(&rig->row->next, tg_load_relaxed(&rig->w.head->first));
}

static inline void rig_attach(struct rig *rig)
{
    kit_ok(tg_reader_attach(&rig->r, rig->dir, RIG_ROW, rig_id));
    rig->r.spare = UINT64_MAX;
}

/* A folder, a link, a reader. */
static inline void rig_open(struct rig *rig, uint32_t sequence, uint64_t keep)
{
    memset(rig, 0, sizeof(*rig));
    rig->dir = rig_folder();
    rig_make(rig, sequence, keep);
    rig_attach(rig);
}

static inline void rig_remove(struct rig *rig)
{
    (void)unlinkat(rig->dir, rig_name(), 0);
    (void)unlinkat(rig->dir, RIG_TEMP, 0);
    close(rig->dir);
    kit_ok(rmdir(kit_path(RIG_FOLDER)));
}

static inline void rig_close(struct rig *rig)
{
    tg_reader_detach(&rig->r);
    tg_writer_detach(&rig->w);
    rig_remove(rig);
}

static inline struct tg_link_place rig_place(void *arg)
{
    struct rig_row *row = arg;
    return (struct tg_link_place){ .known = true,
                                   .head = atomic_load(&row->head),
                                   .next = atomic_load(&row->next) };
}

/* As a sender does it. */
static inline int rig_reserve(struct rig *rig, uint64_t len, uint8_t **ret_data)
{
    struct tg_link_place place = { .known = false };
    if (!tg_writer_fits(&rig->w, len)) {
        place = rig_place(rig->row);
    }
    return tg_writer_reserve(&rig->w, len, &place, ret_data);
}

static inline int rig_put(struct rig *rig, uint64_t counter, size_t len)
{
    uint8_t *data;
    const int r = rig_reserve(rig, len, &data);
    if (r == 0) {
        kit_payload_write(data, len, 1, counter);
        tg_writer_commit(&rig->w, len);
        tg_writer_note_tail(&rig->w);
    }
    return r;
}

/* As a receiver does it: 1 and the view, or what tg_reader_look says. */
static inline int rig_take(struct rig *rig, struct tg_message_view *ret_view)
{
    const int r = tg_reader_look(&rig->r, atomic_load(&rig->row->next), ret_view);
    if (r == 1) {
        tg_store_release(&rig->row->next, ret_view->next);
        tg_reader_advance(&rig->r, ret_view);
    }
    return r;
}

/* What was taken is done with. */
static inline void rig_free(struct rig *rig)
{
    const uint64_t next = atomic_load(&rig->row->next);
    tg_reader_leave(&rig->r, atomic_load(&rig->row->head), next);
    tg_store_release(&rig->row->head, next);
}

/* The next message must be this one. */
#define rig_get(rig, counter, len) rig_get_at(__FILE__, __LINE__, rig, counter, len)
static inline void rig_get_at(const char *file, int line, struct rig *rig, uint64_t counter,
                              size_t len)
{
    struct tg_message_view view;
    const int r = rig_take(rig, &view);
    if (r != 1 || view.len != len || !kit_payload_is(view.data, len, 1, counter)) {
        kit_fail_at(file, line, "message %llu of %zu bytes: look gave %d, length %u",
                    (unsigned long long)counter, len, r, r == 1 ? view.len : 0);
    }
    rig_free(rig);
}

#define rig_is_empty(rig)                                                                          \
    do {                                                                                           \
        struct tg_message_view view_;                                                              \
        kit_gives(tg_reader_look(&(rig)->r, atomic_load(&(rig)->row->next), &view_), 0);           \
    } while (0)

static inline uint64_t rig_bytes(const struct rig *rig)
{
    struct stat st;
    kit_ok(fstatat(rig->dir, rig_name(), &st, 0));
    return (uint64_t)st.st_blocks * 512;
}

#endif
