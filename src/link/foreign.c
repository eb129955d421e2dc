/*
 * The receiving side of another user's link.
 *
 * Who owns a file may cut it, or punch holes into it while the memory is full; a load from a mapping is
 * a signal then, and neither a check before it nor a seal helps (shared tmpfs has none). So nothing is
 * mapped: pread gives the bytes, or fewer of them, which is damage like any other.
 *
 * I1  What is looked at is a private copy: it holds still while it is checked and used.
 * I2  A record is parsed only if it was whole when it was read: its commit word, or a tail that lies
 *     behind it, was read by an earlier call. One call copies in no known order.
 * I3  A record whose commit word is 0 in the buffer is asked for in the file.
 *
 * Three calls get a record (commit word, head, records), and with it all behind it that the tail tells
 * of, up to the buffer's size. Descriptors are kept open for the first KEPT_MOST links of a process; of
 * more, the file is opened at each look, so that a user with many links takes nobody's descriptors.
 */
#include "link/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "link/segment.h"

#define AHEAD_SIZE 8192u
#define RECORDS_AHEAD (AHEAD_SIZE / TG_RECORD_HEAD)
#define KEPT_MOST 64u
#define READ_MOST (UINT64_C(1) << 30) /* bytes a call */

#define IMAGE_SIZE (TG_LINK_TABLE_OFF + TG_LINK_SEGMENTS * sizeof(struct tg_segment))

struct tg_foreign {
    int fd;             /* -1: opened at each look */
    uint8_t *ahead;     /* AHEAD_SIZE bytes of the file, ... */
    uint64_t ahead_off; /* ... from here, ... */
    uint32_t ahead_len; /* ... so many of them valid; ... */
    uint32_t until;     /* ... records before this number are whole in it (I2) */
};

static tg_a32 kept;

bool tg_is_foreign(uint32_t uid)
{
    return uid != 0 && uid != geteuid();
}

/* ---- reading */

static int get_fd(const struct tg_reader *r, int *ret_close)
{
    *ret_close = -1;
    if (r->foreign->fd >= 0) {
        return r->foreign->fd;
    }
    struct stat st;
    *ret_close = tg_reader_open_again(r, O_RDONLY, &st);
    return *ret_close;
}

/* len bytes, or -EPROTO: the file was cut. */
static int read_all(const struct tg_reader *r, void *to, uint64_t len, uint64_t off)
{
    tg_fd close_ = -1;
    const int fd = get_fd(r, &close_);
    int e = fd < 0 ? fd : 0;
    for (uint64_t at = 0; e == 0 && at < len;) {
        const uint64_t piece = len - at < READ_MOST ? len - at : READ_MOST;
        e = tg_sys_pread(fd, (uint8_t *)to + at, piece, off + at);
        at += piece;
    }
    /* What the next call reads is not older than this (I2). */
    tg_fence_acquire();
    return e;
}

static uint8_t *image_of(const struct tg_reader *r)
{
    return (uint8_t *)(uintptr_t)r->head;
}

int tg_reader_refresh_slow(const struct tg_reader *r)
{
    return read_all(r, image_of(r), sizeof(struct tg_link_head), 0);
}

/* The head was read: the entries it counts are whole. */
static int read_table(const struct tg_reader *r)
{
    const uint32_t n = tg_load_relaxed(&r->head->n_segments);
    if (n > TG_LINK_SEGMENTS) {
        return -EPROTO;
    }
    return read_all(r, image_of(r) + TG_LINK_TABLE_OFF, n * sizeof(struct tg_segment),
                    TG_LINK_TABLE_OFF);
}

int tg_reader_read(const struct tg_reader *r, uint64_t offset, uint64_t len, void *to)
{
    const struct tg_foreign *f = r->foreign;
    if (f == NULL) {
        return -EINVAL;
    }
    return read_all(r, to, len, offset);
}

/* ---- attach */

int tg_foreign_attach(struct tg_reader *r, int *fd)
{
    struct tg_foreign *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return -ENOMEM;
    }
    void *image = NULL;
    int e = tg_sys_map_private(IMAGE_SIZE, &image);
    if (e == 0) {
        e = tg_sys_pread(*fd, image, sizeof(struct tg_link_head), 0);
    }
    if (e < 0) {
        tg_sys_unmap(image, IMAGE_SIZE);
        free(f);
        return e;
    }
    f->fd = -1;
    if (atomic_fetch_add_explicit(&kept, 1, memory_order_relaxed) < KEPT_MOST) {
        f->fd = tg_steal_fd(fd);
    } else {
        (void)atomic_fetch_sub_explicit(&kept, 1, memory_order_relaxed);
    }
    r->foreign = f;
    r->head = image;
    /* The short way asks for both, and never goes on to load. */
    r->base = image;
    r->record = image;
    r->oneshot = true;
    return 0;
}

void tg_foreign_detach(struct tg_reader *r)
{
    struct tg_foreign *f = r->foreign;
    if (f->fd >= 0) {
        tg_sys_close(f->fd);
        (void)atomic_fetch_sub_explicit(&kept, 1, memory_order_relaxed);
    }
    free(f->ahead);
    free(f);
    tg_sys_unmap(r->head, IMAGE_SIZE);
}

/* ---- segments */

static int enter(struct tg_reader *r, uint32_t index)
{
    uint32_t page;
    uint32_t pages;
    const int e = tg_segment_read(r->head, index, &page, &pages);
    if (e == 0) {
        r->current = index;
        r->begin = (uint64_t)page * TG_PAGE;
        r->end = r->begin + (uint64_t)pages * TG_PAGE;
    }
    return e;
}

/* Stand in the segment that holds offset and a record's head behind it. */
static int enter_at(struct tg_reader *r, uint64_t offset)
{
    if (offset >= r->begin && offset + TG_RECORD_HEAD <= r->end) {
        return 0;
    }
    uint32_t index;
    int e = tg_reader_refresh_slow(r);
    if (e == 0) {
        e = read_table(r);
    }
    if (e == 0) {
        e = tg_segment_find(r->head, offset, &index);
    }
    if (e == 0) {
        e = enter(r, index);
    }
    return e == 0 && offset + TG_RECORD_HEAD > r->end ? -EPROTO : e;
}

/* The chain goes on elsewhere: the entry was whole before the jump was committed. */
static int follow_jump(struct tg_reader *r, uint64_t *at)
{
    int e = tg_reader_refresh_slow(r);
    if (e == 0) {
        e = read_table(r);
    }
    if (e < 0) {
        return e;
    }
    const uint32_t next = tg_load_relaxed(&tg_segment_at(r->head, r->current)->next);
    e = next == 0 ? -EPROTO : enter(r, next - 1);
    if (e == 0) {
        *at = tg_place(tg_place_sequence(*at), r->begin);
    }
    return e;
}

/* ---- records */

static const struct tg_record *record_in(const struct tg_foreign *f, uint64_t offset)
{
    return (const struct tg_record *)(const void *)(f->ahead + (offset - f->ahead_off));
}

/* Whether the record at a place is in the buffer, whole as far as it reaches. */
static bool is_ahead(const struct tg_foreign *f, uint64_t place)
{
    const uint64_t offset = tg_place_offset(place);
    return offset >= f->ahead_off && offset + TG_RECORD_HEAD <= f->ahead_off + f->ahead_len &&
           f->until - tg_place_sequence(place) - 1 < RECORDS_AHEAD;
}

/* Read records from a place on; the commit word there was seen. */
static int read_ahead(struct tg_reader *r, uint64_t at)
{
    struct tg_foreign *f = r->foreign;
    const uint64_t offset = tg_place_offset(at);
    const uint64_t rest = r->end - offset;
    if (f->ahead == NULL) {
        f->ahead = malloc(AHEAD_SIZE);
        if (f->ahead == NULL) {
            return -ENOMEM;
        }
    }
    f->ahead_len = 0;
    const int e = tg_reader_refresh_slow(r);
    if (e < 0) {
        return e;
    }
    tg_fd close_ = -1;
    const int fd = get_fd(r, &close_);
    if (fd < 0) {
        return fd;
    }
    /* A segment may be longer than the file is yet. */
    const ssize_t n =
        tg_sys_pread_some(fd, f->ahead, rest < AHEAD_SIZE ? rest : AHEAD_SIZE, offset);
    if (n < (ssize_t)TG_RECORD_HEAD) {
        return n < 0 ? (int)n : -EPROTO;
    }
    const uint32_t sequence = tg_place_sequence(at);
    const uint32_t more = tg_place_sequence(tg_load_relaxed(&r->head->tail)) - sequence;
    const uint32_t most = (int32_t)more < 1 ? 1 : more;
    f->ahead_off = offset;
    f->ahead_len = (uint32_t)n;
    f->until = sequence + (most < RECORDS_AHEAD ? most : RECORDS_AHEAD);
    return 0;
}

/* The commit word at a place: if not 0, its record is in the buffer. */
static int get_commit(struct tg_reader *r, uint64_t at, uint32_t *ret_commit)
{
    struct tg_foreign *f = r->foreign;
    int e = enter_at(r, tg_place_offset(at));
    if (e < 0) {
        return e;
    }
    if (is_ahead(f, at)) {
        *ret_commit = tg_load_relaxed(&record_in(f, tg_place_offset(at))->commit);
        if (*ret_commit != 0) {
            return 0;
        }
        f->ahead_len = 0; /* I3 */
    }
    e = read_all(r, ret_commit, sizeof *ret_commit, tg_place_offset(at));
    if (e < 0 || *ret_commit == 0) {
        return e;
    }
    e = read_ahead(r, at);
    if (e == 0) {
        *ret_commit = tg_load_relaxed(&record_in(f, tg_place_offset(at))->commit);
    }
    return e;
}

static int view_record(struct tg_reader *r, uint32_t commit, struct tg_message_view *ret_view)
{
    const struct tg_foreign *f = r->foreign;
    const uint64_t offset = tg_place_offset(r->next);
    const struct tg_record *record = record_in(f, offset);
    const uint32_t len = tg_load_relaxed(&record->length);
    const uint32_t sequence = tg_load_relaxed(&record->sequence);
    const uint32_t extension = (commit & TG_EXTENSION) * 16;
    const uint64_t size = tg_record_size(len);
    if (size + TG_RECORD_HEAD > r->end - offset || sequence != tg_place_sequence(r->next) ||
        extension > len) {
        return -EPROTO;
    }
    const bool whole = offset + TG_RECORD_HEAD + len <= f->ahead_off + f->ahead_len;
    ret_view->data = whole ? (const uint8_t *)record + TG_RECORD_HEAD + extension : NULL;
    ret_view->len = len - extension;
    ret_view->extension = extension;
    ret_view->sequence = sequence;
    ret_view->pid = tg_load_relaxed(&record->pid);
    ret_view->place = r->next;
    ret_view->next = tg_place(sequence + 1, offset + size);
    return 1;
}

/* Where to look: a place that a former look moved past jumps, if it is of the same message. */
static uint64_t start_of(const struct tg_reader *r, uint64_t place)
{
    return r->begin != 0 && tg_place_sequence(r->next) == tg_place_sequence(place) ? r->next
                                                                                   : place;
}

int tg_foreign_look(struct tg_reader *r, uint64_t place, struct tg_message_view *ret_view)
{
    uint64_t at = start_of(r, place);
    for (uint32_t jumps = 0; jumps <= TG_LINK_SEGMENTS; jumps++) {
        uint32_t commit;
        /* First: a look that fails here for want of memory goes on here, see start_of. */
        r->next = at;
        int e = get_commit(r, at, &commit);
        if (e < 0) {
            return e;
        }
        if (commit == 0) {
            return 0;
        }
        if (tg_commit_is_message(commit)) {
            return view_record(r, commit, ret_view);
        }
        e = commit == (TG_COMMITTED | TG_JUMP) ? follow_jump(r, &at) : -EPROTO;
        if (e < 0) {
            r->begin = r->end = 0;
            return e;
        }
    }
    return -EPROTO;
}

bool tg_reader_hint_slow(const struct tg_reader *r, uint64_t place)
{
    if (r->foreign == NULL) {
        /* relaxed: who acts on it looks again with acquire. */
        return tg_place_sequence(tg_load_relaxed(&r->head->tail)) != tg_place_sequence(place);
    }
    uint32_t commit;
    const uint64_t at = start_of(r, place);
    /* Damage is something to look at, too: the look says so, once. */
    return r->begin == 0 || read_all(r, &commit, sizeof commit, tg_place_offset(at)) < 0 ||
           commit != 0;
}

int tg_foreign_find(struct tg_reader *r, uint64_t offset, uint32_t len)
{
    uint32_t index;
    uint32_t page;
    uint32_t pages;
    int e = tg_reader_refresh_slow(r);
    if (e == 0) {
        e = read_table(r);
    }
    if (e == 0) {
        e = tg_segment_find(r->head, offset, &index);
    }
    if (e == 0) {
        e = tg_segment_read(r->head, index, &page, &pages);
    }
    if (e < 0) {
        return e;
    }
    const uint64_t end = ((uint64_t)page + pages) * TG_PAGE;
    return tg_record_size(len) > end - offset ? -EPROTO : 0;
}
