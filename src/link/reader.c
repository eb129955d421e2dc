/*
 * The receiving side of a link: finds records, trusts nothing.
 *
 * I1  A shared word is loaded once into a local, the local is checked and used.
 * I2  What is read lies inside a segment whose place and length were checked against the table's
 *     limits and the size of the file, so that no offset leads outside of it.
 * I3  A record's sequence must be the one that the place says: a sender that jumps is damaged.
 *
 * A file of another user, which may cut it, is never mapped: see foreign.c. What is mapped here is of
 * this user or of root.
 *
 * One acquire a record: the commit word. It pairs with the writer's release, so that length,
 * sequence and payload are those of this record, and the next commit word is not an old one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "link/foreign.h"
#include "link/segment.h"

#define SPARE_SHARE 32u /* of a backlog: so much of it may be left to the sender */
#define SPARE_MORE 128u /* pages beside a segment, for they are not all of one length */

static int open_file(const struct tg_reader *r, int flags, struct stat *ret_st)
{
    char name[TG_LINK_NAME_SIZE];
    tg_link_name(r->row, name);
    tg_fd fd = tg_sys_open(r->dir, name, flags | O_NONBLOCK, 0);
    if (fd < 0) {
        return fd == -ELOOP || fd == -ENXIO || fd == -EISDIR ? -EPROTO : fd;
    }
    const int e = tg_sys_fstat(fd, ret_st);
    if (e < 0) {
        return e;
    }
    return S_ISREG(ret_st->st_mode) ? tg_steal_fd(&fd) : -EPROTO;
}

/* The file again, if it is still this link's, and its user's: another one may copy the number. */
int tg_reader_open_again(const struct tg_reader *r, int flags, struct stat *ret_st)
{
    tg_fd fd = open_file(r, flags, ret_st);
    if (fd < 0) {
        return fd == -ENOENT ? -EIDRM : fd;
    }
    if (ret_st->st_uid != r->uid) {
        return -EIDRM;
    }
    uint64_t id = 0;
    const int e = tg_sys_pread(fd, &id, sizeof id, offsetof(struct tg_link_head, link_id));
    if (e < 0) {
        return e;
    }
    return id == r->link_id ? tg_steal_fd(&fd) : -EIDRM;
}

static int check_head(const struct tg_reader *r, const uint8_t box_id[16])
{
    const struct tg_link_head *head = r->head;
    return tg_load_acquire(&head->magic) == TG_LINK_MAGIC &&
                   tg_load_relaxed(&head->version) == TG_LINK_VERSION &&
                   tg_load_relaxed(&head->row) == r->row && memcmp(head->box_id, box_id, 16) == 0
               ? 0
               : -EPROTO;
}

static int map_window(struct tg_reader *r, int fd)
{
    void *p = NULL;
    const int e = tg_sys_map(fd, 0, TG_LINK_WINDOW, false, &p);
    r->head = p;
    r->window = p;
    return e;
}

int tg_reader_attach(struct tg_reader *r, int dir, uint32_t row, const uint8_t box_id[16])
{
    memset(r, 0, sizeof *r);
    r->dir = dir;
    r->row = row;
    struct stat st;
    tg_fd fd = open_file(r, O_RDONLY, &st);
    if (fd < 0) {
        return fd;
    }
    if (st.st_size < (off_t)((TG_LINK_DATA_PAGE + 1) * TG_PAGE)) {
        return -EPROTO;
    }
    int e = tg_is_foreign(st.st_uid) ? tg_foreign_attach(r, &fd) : map_window(r, fd);
    if (e < 0) {
        return e;
    }
    e = check_head(r, box_id);
    if (e < 0) {
        tg_reader_detach(r);
        return e;
    }
    r->link_id = tg_load_relaxed(&r->head->link_id);
    r->uid = st.st_uid;
    r->file_size = (uint64_t)st.st_size;
    return 0;
}

int tg_reader_borrow(struct tg_reader *r, const struct tg_writer *w)
{
    *r = (struct tg_reader){ .head = w->head,
                             .window = w->window,
                             .dir = w->dir,
                             .row = w->row,
                             .link_id = w->link_id,
                             .uid = geteuid(),
                             .borrowed = true };
    return 0;
}

static void unmap_segment(struct tg_reader_segment *segment)
{
    if (segment->map != NULL) {
        tg_sys_unmap(segment->map, (size_t)segment->pages * TG_PAGE);
        segment->map = NULL;
    }
    segment->page = 0;
}

void tg_reader_detach(struct tg_reader *r)
{
    for (uint32_t i = 0; i < r->segments_room; i++) {
        unmap_segment(&r->segments[i]);
    }
    free(r->segments);
    if (r->foreign != NULL) {
        tg_foreign_detach(r);
    } else if (!r->borrowed) {
        tg_sys_unmap(r->window, TG_LINK_WINDOW);
    }
    memset(r, 0, sizeof *r);
}

static int remember(struct tg_reader *r, uint32_t index)
{
    if (index < r->segments_room) {
        return 0;
    }
    uint32_t room = r->segments_room == 0 ? 8 : r->segments_room;
    while (room <= index) {
        room *= 2;
    }
    struct tg_reader_segment *segments = realloc(r->segments, room * sizeof *segments);
    if (segments == NULL) {
        return -ENOMEM;
    }
    memset(segments + r->segments_room, 0, (room - r->segments_room) * sizeof *segments);
    r->segments = segments;
    r->segments_room = room;
    return 0;
}

/* Make the bytes of a segment readable (I2). *ret_base: address of the file's offset 0. */
static int open_segment(struct tg_reader *r, uint32_t index, uint64_t *ret_begin, uint64_t *ret_end,
                        const uint8_t **ret_base)
{
    uint32_t page;
    uint32_t pages;
    int e = tg_segment_read(r->head, index, &page, &pages);
    if (e == 0) {
        e = remember(r, index);
    }
    if (e < 0) {
        return e;
    }
    const uint64_t begin = (uint64_t)page * TG_PAGE;
    const uint64_t end = begin + (uint64_t)pages * TG_PAGE;
    struct tg_reader_segment *segment = &r->segments[index];
    /* A segment never moves; and a claim may lie in what is mapped. */
    if (segment->page != 0 && (segment->page != page || segment->pages != pages)) {
        return -EPROTO;
    }
    const bool in_window = end <= TG_LINK_WINDOW;
    if (!in_window && segment->map == NULL) {
        struct stat st;
        tg_fd fd = tg_reader_open_again(r, O_RDONLY, &st);
        if (fd < 0) {
            return fd;
        }
        r->file_size = (uint64_t)st.st_size;
        void *p = NULL;
        e = tg_sys_map(fd, begin, (size_t)pages * TG_PAGE, false, &p);
        if (e < 0) {
            return e;
        }
        segment->map = p;
    }
    segment->page = page;
    segment->pages = pages;
    *ret_begin = begin;
    *ret_end = end;
    *ret_base = in_window ? r->window : segment->map - begin;
    return 0;
}

/* What is read must lie in the file: beyond its end a load is a signal. */
static void set_limit(struct tg_reader *r)
{
    const uint64_t end = r->end < r->file_size || r->borrowed ? r->end : r->file_size;
    r->limit = end < TG_RECORD_HEAD ? 0 : (end - TG_RECORD_HEAD) / 16;
}

static int check_size(struct tg_reader *r, uint64_t end)
{
    if (end <= r->file_size || r->borrowed) {
        return 0;
    }
    struct stat st;
    tg_fd fd = tg_reader_open_again(r, O_RDONLY, &st);
    if (fd < 0) {
        return fd;
    }
    r->file_size = (uint64_t)st.st_size;
    set_limit(r);
    return end <= r->file_size ? 0 : -EPROTO;
}

/*
 * Whether the memory of a one-shot segment is given back step by step: of a long one, of one that is much of what
 * the mailbox may take, and of the one in which the sender is, for it may be all that there is.
 */
static bool is_gradual(const struct tg_reader *r, uint32_t index, uint64_t bytes)
{
    const uint64_t most = r->spare < TG_ONESHOT_WHOLE ? r->spare : TG_ONESHOT_WHOLE;
    return bytes > most * TG_PAGE || tg_load_relaxed(&tg_segment_at(r->head, index)->next) == 0;
}

static int enter(struct tg_reader *r, uint32_t index)
{
    const int e = open_segment(r, index, &r->begin, &r->end, &r->base);
    if (e == 0) {
        const uint32_t flags = tg_load_relaxed(&tg_segment_at(r->head, index)->flags);
        r->current = index;
        set_limit(r);
        r->oneshot = (flags & TG_SEGMENT_ONESHOT) != 0;
    }
    return e;
}

/* Point at a place; it may be anywhere in the chain. */
static int point_at(struct tg_reader *r, uint64_t place)
{
    const uint64_t offset = tg_place_offset(place);
    if (offset < r->begin || offset + TG_RECORD_HEAD > r->end) {
        uint32_t index;
        int e = tg_segment_find(r->head, offset, &index);
        if (e == 0) {
            e = enter(r, index);
        }
        if (e == 0 && offset + TG_RECORD_HEAD > r->end) {
            e = -EPROTO;
        }
        if (e < 0) {
            r->record = NULL;
            return e;
        }
    }
    const int e = check_size(r, offset + TG_RECORD_HEAD);
    if (e < 0) {
        r->record = NULL;
        return e;
    }
    r->next = place;
    r->record = (const struct tg_record *)(const void *)(r->base + offset);
    return 0;
}

static int view_record(struct tg_reader *r, uint32_t commit, struct tg_message_view *ret_view)
{
    const uint64_t offset = tg_place_offset(r->next);
    const uint32_t len = tg_load_relaxed(&r->record->length);
    const uint32_t sequence = tg_load_relaxed(&r->record->sequence);
    const uint32_t extension = (commit & TG_EXTENSION) * 16;
    const uint64_t size = tg_record_size(len);
    /* Behind every record stands the head of the next one, in the same segment. */
    if (size + TG_RECORD_HEAD > r->end - offset || sequence != tg_place_sequence(r->next) ||
        extension > len) {
        return -EPROTO;
    }
    const int e = check_size(r, offset + size + TG_RECORD_HEAD);
    if (e < 0) {
        return e;
    }
    ret_view->data = (const uint8_t *)r->record + TG_RECORD_HEAD + extension;
    ret_view->len = len - extension;
    ret_view->extension = extension;
    ret_view->sequence = sequence;
    ret_view->pid = tg_load_relaxed(&r->record->pid);
    ret_view->place = r->next;
    ret_view->next = tg_place(sequence + 1, offset + size);
    return 1;
}

int tg_reader_look(struct tg_reader *r, uint64_t place, struct tg_message_view *ret_view)
{
    if (r->foreign != NULL) {
        return tg_foreign_look(r, place, ret_view);
    }
    if (place != r->next || r->record == NULL) {
        const int e = point_at(r, place);
        if (e < 0) {
            return e;
        }
    }
    /* A chain has no more jumps in a row than segments: a circle is damage. */
    for (uint32_t jumps = 0; jumps <= TG_LINK_SEGMENTS; jumps++) {
        /* acquire: pairs with the release of commit; else length and bytes may be older. */
        const uint32_t commit = tg_load_acquire(&r->record->commit);
        if (commit == 0) {
            return 0;
        }
        if (tg_commit_is_message(commit)) {
            return view_record(r, commit, ret_view);
        }
        const uint32_t next = tg_load_relaxed(&tg_segment_at(r->head, r->current)->next);
        if (commit != (TG_COMMITTED | TG_JUMP) || next == 0) {
            return -EPROTO;
        }
        int e = enter(r, next - 1);
        if (e == 0) {
            e = check_size(r, r->begin + TG_RECORD_HEAD);
        }
        if (e < 0) {
            r->record = NULL;
            r->begin = r->end = 0;
            return e;
        }
        r->next = tg_place(tg_place_sequence(r->next), r->begin);
        r->record = (const struct tg_record *)(const void *)(r->base + r->begin);
    }
    return -EPROTO;
}

int tg_reader_find(struct tg_reader *r, uint64_t offset, uint32_t len, const uint8_t **ret_data)
{
    if (r->foreign != NULL) {
        const int e = tg_foreign_find(r, offset, len);
        *ret_data = e == 0 ? NULL : *ret_data;
        return e;
    }
    uint32_t index;
    uint64_t begin = r->begin;
    uint64_t end = r->end;
    const uint8_t *base = r->base;
    if (offset < begin || offset >= end) {
        int e = tg_segment_find(r->head, offset, &index);
        if (e == 0) {
            e = open_segment(r, index, &begin, &end, &base);
        }
        if (e < 0) {
            return e;
        }
    }
    if (tg_record_size(len) > end - offset) {
        return -EPROTO;
    }
    const int e = check_size(r, offset + tg_record_size(len));
    if (e < 0) {
        return e;
    }
    *ret_data = base + offset + TG_RECORD_HEAD;
    return 0;
}

/* Without the right to write the memory stays until the sender comes by. */
static void punch(const struct tg_reader *r, uint64_t from, uint64_t to)
{
    struct stat st;
    tg_fd fd = tg_reader_open_again(r, O_RDWR, &st);
    if (fd >= 0) {
        (void)tg_sys_punch(fd, from, to - from);
    }
}

static bool is_oneshot(const struct tg_reader *r, uint32_t index)
{
    return (tg_load_relaxed(&tg_segment_at(r->head, index)->flags) & TG_SEGMENT_ONESHOT) != 0;
}

/* Pages of segments. The sender may lie: what is made of it is only how much memory it is left. */
struct count {
    uint64_t kept;  /* of those that are never given back, anywhere */
    uint64_t chain; /* of the one-shot ones from the head to the end of the chain, */
    uint64_t moved; /* and of these behind the one that was the last when this was counted before */
    uint32_t last;  /* which is it now, + 1 */
};

static struct count count_pages(const struct tg_reader *r, uint64_t offset)
{
    struct count c = { .kept = 0 };
    uint32_t page;
    uint32_t pages;
    uint32_t next = 0;
    for (uint32_t i = 0; tg_segment_read(r->head, i, &page, &pages) == 0; i++) {
        c.kept += is_oneshot(r, i) ? 0 : pages;
        const uint64_t begin = (uint64_t)page * TG_PAGE;
        next = offset >= begin && offset < begin + (uint64_t)pages * TG_PAGE ? i + 1 : next;
    }
    for (uint32_t steps = 0; next != 0 && steps < TG_LINK_SEGMENTS; steps++) {
        if (tg_segment_read(r->head, next - 1, &page, &pages) < 0) {
            break;
        }
        pages = is_oneshot(r, next - 1) ? pages : 0;
        c.chain += pages;
        c.moved = next == r->seen_last ? 0 : c.moved + pages;
        c.last = next;
        next = tg_load_relaxed(&tg_segment_at(r->head, next - 1)->next);
    }
    return c;
}

/*
 * Whether the memory of a segment of so many pages, which the head leaves for offset, is better left to the sender. Where a
 * backlog stands, each segment that is emptied is soon filled again, and a new page costs much more than one
 * that is there. So as many pages as the sender has gone on by since are left to it, as long as what the file has beyond what
 * it needs is at most one segment and a half, or a 32nd of the backlog up to 8 MiB, and never more than `spare`. The sender takes
 * it first, and gives it back when it is refused more memory, or closes.
 */
static bool is_left_to_sender(struct tg_reader *r, uint32_t pages, uint64_t offset,
                              const struct stat *st)
{
    const uint64_t most = 2 * TG_ONESHOT_WHOLE;
    if (pages > TG_ONESHOT_WHOLE || pages > r->spare) {
        return false;
    }
    const struct count c = count_pages(r, offset);
    const uint64_t share = c.chain / SPARE_SHARE < most ? c.chain / SPARE_SHARE : most;
    const uint64_t least = (uint64_t)pages + SPARE_MORE;
    const uint64_t wished = share > least ? share : least;
    const uint64_t allowed = wished < r->spare ? wished : r->spare;
    const uint64_t owed = r->seen_last == 0 ? 0 : r->owed + c.moved;
    const bool left =
        owed != 0 && (uint64_t)st->st_blocks * 512 / TG_PAGE <= c.kept + c.chain + allowed;
    r->seen_last = c.last;
    r->owed = owed < allowed ? owed : allowed;
    r->owed -= !left ? 0 : pages < r->owed ? pages : r->owed;
    return left;
}

/* One segment behind the head, which goes on to offset. */
static void leave_segment(struct tg_reader *r, uint32_t index, uint64_t offset)
{
    uint32_t page;
    uint32_t pages;
    if (!is_oneshot(r, index) || tg_segment_read(r->head, index, &page, &pages) < 0) {
        return;
    }
    struct stat st;
    tg_fd fd = tg_reader_open_again(r, O_RDWR, &st);
    if (fd >= 0 && is_left_to_sender(r, pages, offset, &st)) {
        return;
    }
    if (index < r->segments_room && index != r->current) {
        unmap_segment(&r->segments[index]);
    }
    if (fd >= 0) {
        (void)tg_sys_punch(fd, (uint64_t)page * TG_PAGE, (uint64_t)pages * TG_PAGE);
    }
}

/* The head moves on inside the segment at index: give back in steps what lies behind it, where that is the way. */
static void follow(struct tg_reader *r, uint32_t index, uint64_t head)
{
    r->left_limit = r->left_end;
    if (!is_oneshot(r, index) || !is_gradual(r, index, r->left_end - r->left_begin)) {
        return;
    }
    uint64_t from = r->punched > r->left_begin ? r->punched : r->left_begin;
    if (head >= from + TG_ONESHOT_STEP) {
        const uint64_t to = head / TG_PAGE * TG_PAGE;
        punch(r, from, to);
        r->punched = from = to;
    }
    if (from + TG_ONESHOT_STEP < r->left_end) {
        r->left_limit = from + TG_ONESHOT_STEP;
    }
}

void tg_reader_leave(struct tg_reader *r, uint64_t from, uint64_t to)
{
    if (r->foreign != NULL) {
        return; /* its sender gives the memory back */
    }
    const uint64_t source = tg_place_offset(from);
    const uint64_t target = tg_place_offset(to);
    if (source >= r->left_begin && source < r->left_end && target >= r->left_begin &&
        target < r->left_end) {
        follow(r, r->left, target);
        return;
    }
    uint32_t index;
    r->punched = 0;
    if (tg_segment_find(r->head, source, &index) < 0) {
        return;
    }
    for (uint32_t steps = 0; steps < TG_LINK_SEGMENTS; steps++) {
        uint32_t page;
        uint32_t pages;
        if (tg_segment_read(r->head, index, &page, &pages) < 0) {
            return;
        }
        r->left_begin = (uint64_t)page * TG_PAGE;
        r->left_end = r->left_begin + (uint64_t)pages * TG_PAGE;
        if (target >= r->left_begin && target < r->left_end) {
            r->left = index;
            follow(r, index, target);
            return;
        }
        const uint32_t next = tg_load_relaxed(&tg_segment_at(r->head, index)->next);
        leave_segment(r, index, target);
        if (next == 0 || next > TG_LINK_SEGMENTS) {
            r->left_begin = r->left_end = r->left_limit = 0;
            return;
        }
        index = next - 1;
    }
}

uint64_t tg_reader_full_sequence(const struct tg_reader *r, uint32_t sequence)
{
    const uint64_t high = tg_load_relaxed(&r->head->high);
    return high + (uint64_t)(int64_t)(int32_t)(sequence - (uint32_t)high);
}
