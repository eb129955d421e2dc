/*
 * The sending side of a link: places records and publishes them.
 *
 * The chain. Records fill a segment; a jump leads to the next one. Segments that the reader's
 * head has left wholly are used again, so a link that keeps up goes round in its first few, in the
 * cache. When none is free the file grows: 4 KiB first, each twice as long as the one before up to
 * 1 MiB, longer for long messages and long backlogs. What goes beyond `keep` bytes is one-shot: its
 * memory is reserved in steps before the tail and given back behind the head (tg_reader_leave); once the
 * head has left it, it may be filled again, at the same place. Where a backlog stands the reader leaves the
 * memory of a segment or two to the sender, which asks the file and takes these first: a page that is there costs
 * a copy, a new one is reserved, zeroed, and faulted in on both sides. So are the mappings kept.
 *
 * I1  Before a commit word is stored (release), the payload and a zero in the commit word behind it
 *     are. So a reader never takes old bytes for a record.
 * I2  Behind every record there is room for one more head in the same segment: for the jump.
 * I3  Nothing is written into a segment between the reader's head and the tail but behind the tail.
 * I4  tail is stored after the commit, so it is a lower bound; a successor walks on from it. It comes
 *     behind the ring, so that the fence there waits for the record's line only.
 * I5  Memory is reserved (fallocate) before it is touched: a full file system is an error of
 *     tg_writer_reserve, never a signal.
 *
 *   killed                                 the successor finds
 *   before the commit                      nothing; its first message is written over the half
 *   between commit and tail                the message; tail one behind, walked over
 *   after a segment was added, unjoined    a free segment in the table
 *   after fallocate, before the table      bytes at the file's end, which the next growth uses
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "link/link.h"
#include "link/segment.h"

#define SEGMENT_MAX_PAGES 256u           /* 1 MiB: where doubling ends */
#define SHARED_PAGES 512u                /* 2 MiB: four messages share a segment up to here */
#define KEPT_LONG (UINT64_C(4608) << 10) /* 4.5 MiB: longer segments are given back, always */
#define CHAIN_WISH 256u /* a backlog of more segments than this makes longer ones, up to 4 MiB; */
#define CHAIN_MUCH 512u /* of more of those, longer still */

/* ---- the private picture of the table */

static int remember(struct tg_writer *w, uint32_t page, uint32_t pages, uint32_t flags)
{
    if (w->n_segments == w->segments_room) {
        const uint32_t room = w->segments_room == 0 ? 8 : 2 * w->segments_room;
        struct tg_writer_segment *segments = realloc(w->segments, room * sizeof *segments);
        if (segments == NULL) {
            return -ENOMEM;
        }
        w->segments = segments;
        w->segments_room = room;
    }
    const bool oneshot = (flags & TG_SEGMENT_ONESHOT) != 0;
    w->segments[w->n_segments++] =
        (struct tg_writer_segment){ .page = page,
                                    .pages = pages,
                                    .oneshot = oneshot,
                                    .warm = oneshot,
                                    .reserved = (uint64_t)page * TG_PAGE };
    if (!oneshot) {
        w->kept += (uint64_t)pages * TG_PAGE;
    }
    if ((uint64_t)page + pages > w->end_page) {
        w->end_page = (uint64_t)page + pages;
    }
    return 0;
}

static int push_chain(struct tg_writer *w, uint32_t index)
{
    if (w->chain_end == w->chain_room) {
        const uint32_t n = w->chain_end - w->chain_first;
        const uint32_t room = n < 4 ? 8 : 2 * n;
        uint32_t *chain = malloc(room * sizeof *chain);
        if (chain == NULL) {
            return -ENOMEM;
        }
        if (n != 0) {
            memcpy(chain, w->chain + w->chain_first, n * sizeof *chain);
        }
        free(w->chain);
        w->chain = chain;
        w->chain_first = 0;
        w->chain_end = n;
        w->chain_room = room;
    }
    w->chain[w->chain_end++] = index;
    w->segments[index].in_chain = true;
    return 0;
}

static bool holds(const struct tg_writer_segment *segment, uint64_t offset)
{
    return offset >= (uint64_t)segment->page * TG_PAGE &&
           offset < ((uint64_t)segment->page + segment->pages) * TG_PAGE;
}

/* The segments before the one with the head are free (I3). */
static void reclaim(struct tg_writer *w, const struct tg_link_place *place)
{
    if (!place->known) {
        return;
    }
    uint32_t at = w->chain_first;
    while (at < w->chain_end && !holds(&w->segments[w->chain[at]], tg_place_offset(place->head))) {
        at++;
    }
    if (at == w->chain_end) {
        return; /* a head outside of the chain frees nothing */
    }
    for (; w->chain_first < at; w->chain_first++) {
        struct tg_writer_segment *left = &w->segments[w->chain[w->chain_first]];
        left->in_chain = false;
        left->warm = left->oneshot;
    }
}

/* ---- mapping */

static int open_again(const struct tg_writer *w)
{
    char name[TG_LINK_NAME_SIZE];
    tg_link_name(w->row, name);
    tg_fd fd = tg_sys_open(w->dir, name, O_RDWR | O_NONBLOCK, 0);
    if (fd < 0) {
        return fd == -ENOENT ? -EIDRM : fd;
    }
    uint64_t id = 0;
    const int r = tg_sys_pread(fd, &id, sizeof id, offsetof(struct tg_link_head, link_id));
    if (r < 0) {
        return r;
    }
    return id == w->link_id ? tg_steal_fd(&fd) : -EIDRM;
}

static bool in_window(const struct tg_writer_segment *segment)
{
    return ((uint64_t)segment->page + segment->pages) * TG_PAGE <= TG_LINK_WINDOW;
}

/* Map a segment that lies outside of the window. fd < 0: open the file for it. */
int tg_writer_map(struct tg_writer *w, uint32_t index, int fd)
{
    struct tg_writer_segment *segment = &w->segments[index];
    if (in_window(segment) || segment->map != NULL) {
        return 0;
    }
    tg_fd own = -1;
    if (fd < 0) {
        own = open_again(w);
        if (own < 0) {
            return own;
        }
        fd = own;
    }
    void *p = NULL;
    const int r = tg_sys_map(fd, (uint64_t)segment->page * TG_PAGE,
                             (size_t)segment->pages * TG_PAGE, true, &p);
    if (r == 0) {
        segment->map = p;
    }
    return r;
}

static void unmap_segment(struct tg_writer_segment *segment)
{
    if (segment->map != NULL) {
        tg_sys_unmap(segment->map, (size_t)segment->pages * TG_PAGE);
        segment->map = NULL;
    }
}

/* Stand in a mapped segment. */
static void enter(struct tg_writer *w, uint32_t index, uint64_t pos)
{
    const struct tg_writer_segment *segment = &w->segments[index];
    w->current = index;
    w->pos = pos;
    w->end = ((uint64_t)segment->page + segment->pages) * TG_PAGE;
    w->cold = segment->oneshot;
    w->ready = segment->oneshot ? pos : w->end;
    w->base = segment->map == NULL ? w->window : segment->map - (uint64_t)segment->page * TG_PAGE;
}

/* ---- growing */

/* How long a new segment should be for a message that takes need bytes. */
static uint32_t wanted_pages(const struct tg_writer *w, uint64_t need)
{
    uint64_t longest = 0;
    uint64_t chained = 0;
    for (uint32_t i = 0; i < w->n_segments; i++) {
        longest = w->segments[i].pages > longest ? w->segments[i].pages : longest;
        chained += w->segments[i].in_chain ? w->segments[i].pages : 0;
    }
    uint64_t pages = longest * 2 < SEGMENT_MAX_PAGES ? longest * 2 : SEGMENT_MAX_PAGES;
    const uint64_t whole =
        chained / CHAIN_WISH < TG_ONESHOT_WHOLE ? chained / CHAIN_WISH : TG_ONESHOT_WHOLE;
    const uint64_t share = chained / CHAIN_MUCH > whole ? chained / CHAIN_MUCH : whole;
    pages = share > pages ? share : pages;
    const uint64_t needed = (need + TG_PAGE - 1) / TG_PAGE;
    const uint64_t several = needed * 4 <= SHARED_PAGES ? needed * 4 : needed;
    return (uint32_t)(pages > several ? pages : several);
}

static int reserve_once(const struct tg_writer *w, int fd, uint64_t page, uint64_t pages)
{
    const int r = w->may_grow == NULL ? 0 : w->may_grow(w->arg, pages * TG_PAGE);
    return r == 0 ? tg_sys_allocate(fd, page * TG_PAGE, pages * TG_PAGE) : r;
}

/* What readers left of a backlog: it is this sender's alone, as when it closes (tg_writer_trim). True: there may be more
 * memory now. */
static bool give_back_left(struct tg_writer *w, int fd)
{
    bool gave = false;
    for (uint32_t i = 0; i < w->n_segments; i++) {
        struct tg_writer_segment *s = &w->segments[i];
        if (s->warm && !s->in_chain && i != w->current) {
            s->warm = false;
            gave |=
                tg_sys_punch(fd, (uint64_t)s->page * TG_PAGE, (uint64_t)s->pages * TG_PAGE) == 0;
        }
    }
    return gave;
}

static int reserve_file(struct tg_writer *w, int fd, uint64_t page, uint64_t pages)
{
    int r = reserve_once(w, fd, page, pages);
    if (r == -ENOSPC && give_back_left(w, fd)) {
        r = reserve_once(w, fd, page, pages);
    }
    return r;
}

/* Whether the memory of a segment that was left is there: if its begin is, for readers give back from there on.
 * Each is asked about once, until it is left again. */
static bool is_warm(struct tg_writer_segment *segment, int fd)
{
    segment->warm = segment->warm && tg_sys_has_data(fd, (uint64_t)segment->page * TG_PAGE);
    return segment->warm;
}

/* A one-shot segment that was left and is long enough: one that has its memory still, else the shortest. */
static bool find_left(struct tg_writer *w, int fd, uint64_t need, uint32_t *ret_index)
{
    const uint64_t needed = (need + TG_PAGE - 1) / TG_PAGE;
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < w->n_segments; i++) {
        struct tg_writer_segment *s = &w->segments[i];
        if (!s->oneshot || s->in_chain || i == w->current || s->pages < needed) {
            continue;
        }
        if (is_warm(s, fd)) {
            *ret_index = i;
            return true;
        }
        best = best == UINT32_MAX || s->pages < w->segments[best].pages ? i : best;
    }
    *ret_index = best;
    return best != UINT32_MAX;
}

static bool table_page_is_new(uint32_t index)
{
    const uint64_t off = TG_LINK_TABLE_OFF + (uint64_t)index * sizeof(struct tg_segment);
    return off % TG_PAGE == 0;
}

/* Put a segment at the file's end into the table. */
static int add_to_table(struct tg_writer *w, int fd, uint32_t pages, bool oneshot)
{
    const uint32_t index = w->n_segments;
    if (table_page_is_new(index)) {
        const int r = tg_sys_allocate(
            fd, TG_LINK_TABLE_OFF + (uint64_t)index * sizeof(struct tg_segment), TG_PAGE);
        if (r < 0) {
            return r;
        }
    }
    const uint32_t page = (uint32_t)w->end_page;
    const uint32_t flags = oneshot ? TG_SEGMENT_ONESHOT : 0;
    const int r = remember(w, page, pages, flags);
    if (r < 0) {
        return r;
    }
    struct tg_segment *segment = tg_segment_at(w->head, index);
    tg_store_relaxed(&segment->page, page);
    tg_store_relaxed(&segment->pages, pages);
    tg_store_relaxed(&segment->next, UINT32_C(0));
    tg_store_relaxed(&segment->flags, flags);
    /* release: pairs with the acquire of readers of the table, who then find the entry whole. */
    tg_store_release(&w->head->n_segments, index + 1);
    return 0;
}

/* How many bytes of segments may be kept when one of bytes is added for a message of need: of long messages as
 * much as two of the longest beside what is kept anyway, so that an exchange goes to and fro between two,
 * and a stream of 1 MiB each goes round in nine. */
static uint64_t allowance(const struct tg_writer *w, uint64_t need, uint64_t bytes)
{
    return need > 65536 && bytes <= KEPT_LONG ? w->keep + 2 * KEPT_LONG : w->keep;
}

/* A new segment at the file's end, as long as wanted, or as short as it must be. */
static int append(struct tg_writer *w, int fd, uint64_t need, uint32_t *ret_index)
{
    if (w->n_segments == TG_LINK_SEGMENTS) {
        return -ENOSPC;
    }
    const uint32_t least = (uint32_t)((need + TG_PAGE - 1) / TG_PAGE);
    uint32_t pages = wanted_pages(w, need);
    if (w->end_page + pages > TG_LINK_PAGES_MAX) {
        return -ENOSPC;
    }
    const uint64_t bytes = (uint64_t)pages * TG_PAGE;
    const bool oneshot = w->kept + bytes > allowance(w, need, bytes);
    int r = 0;
    while (!oneshot) {
        r = reserve_file(w, fd, w->end_page, pages);
        if (r != -ENOSPC || pages == least) {
            break;
        }
        pages = pages / 4 > least ? pages / 4 : least;
    }
    if (r < 0) {
        return r;
    }
    *ret_index = w->n_segments;
    const uint64_t page = w->end_page;
    r = add_to_table(w, fd, pages, oneshot);
    if (r < 0 && !oneshot) {
        (void)tg_sys_punch(fd, page * TG_PAGE, (uint64_t)pages * TG_PAGE);
    }
    return r;
}

/* Reserve up to offset, in steps. */
static int make_ready(struct tg_writer *w, int fd, uint64_t offset)
{
    const uint64_t from = w->ready / TG_PAGE * TG_PAGE;
    uint64_t to = from + TG_ONESHOT_STEP > offset ? from + TG_ONESHOT_STEP : offset;
    to = (to + TG_PAGE - 1) / TG_PAGE * TG_PAGE;
    to = to < w->end ? to : w->end;
    tg_fd own = -1;
    if (fd < 0) {
        own = open_again(w);
        if (own < 0) {
            return own;
        }
        fd = own;
    }
    int r = reserve_file(w, fd, from / TG_PAGE, (to - from) / TG_PAGE);
    if (r == -ENOSPC) {
        to = (offset + TG_PAGE - 1) / TG_PAGE * TG_PAGE;
        r = reserve_file(w, fd, from / TG_PAGE, (to - from) / TG_PAGE);
    }
    if (r == 0) {
        w->ready = to;
    }
    return r;
}

static int grow(struct tg_writer *w, uint64_t need, uint32_t *ret_index)
{
    tg_fd fd = open_again(w);
    if (fd < 0) {
        return fd;
    }
    int r = find_left(w, fd, need, ret_index) ? 0 : append(w, fd, need, ret_index);
    if (r == 0) {
        r = tg_writer_map(w, *ret_index, fd);
    }
    return r;
}

/* A kept segment that is free and long enough, the shortest of them. */
static bool find_kept(const struct tg_writer *w, uint64_t need, uint32_t *ret_index)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < w->n_segments; i++) {
        const struct tg_writer_segment *s = &w->segments[i];
        if (!s->oneshot && !s->in_chain && i != w->current &&
            (uint64_t)s->pages * TG_PAGE >= need &&
            (best == UINT32_MAX || s->pages < w->segments[best].pages)) {
            best = i;
        }
    }
    *ret_index = best;
    return best != UINT32_MAX;
}

/* A segment with room for need bytes that nobody uses, mapped. */
static int find_segment(struct tg_writer *w, uint64_t need, uint32_t *ret_index)
{
    if (find_kept(w, need, ret_index)) {
        return tg_writer_map(w, *ret_index, -1);
    }
    return grow(w, need, ret_index);
}

/* Go on in another segment, if memory for need bytes can be had there. */
static int jump(struct tg_writer *w, uint32_t index, uint64_t need)
{
    struct tg_record *from = tg_writer_record(w, w->pos);
    struct tg_writer_segment *left = &w->segments[w->current];
    const uint32_t old = w->current;
    const uint64_t old_pos = w->pos;
    const uint64_t old_ready = w->ready;
    enter(w, index, (uint64_t)w->segments[index].page * TG_PAGE);
    if (w->segments[index].warm) {
        w->ready = w->segments[index].reserved;
    }
    const int r = w->pos + need > w->ready ? make_ready(w, -1, w->pos + need) : 0;
    if (r < 0) {
        enter(w, old, old_pos);
        w->ready = old_ready;
        return r;
    }
    tg_store_relaxed(&tg_segment_at(w->head, old)->next, index + 1);
    tg_store_relaxed(&tg_segment_at(w->head, index)->next, UINT32_C(0));
    tg_store_relaxed(&tg_writer_record(w, w->pos)->commit, UINT32_C(0));
    /* release: the zero in the new segment and the table's next come first (I1); pairs with the
     * acquire of tg_reader_look. */
    tg_store_release(&from->commit, TG_COMMITTED | TG_JUMP);
    tg_store_release(&w->head->tail, tg_place(w->sequence, w->pos));
    left->reserved = old_ready;
    if (left->oneshot && left->pages > TG_ONESHOT_WHOLE) {
        unmap_segment(left);
    }
    return 0;
}

/* ---- birth and take-over */

static int map_window(struct tg_writer *w, int fd)
{
    void *p = NULL;
    const int r = tg_sys_map(fd, 0, TG_LINK_WINDOW, true, &p);
    if (r == 0) {
        w->window = p;
        w->head = p;
    }
    return r;
}

static void write_birth(struct tg_writer *w, const struct tg_link_birth *birth)
{
    struct tg_link_head *head = w->head;
    struct tg_segment *segment = tg_segment_at(head, 0);
    const uint64_t first = tg_place(birth->sequence, (uint64_t)TG_LINK_DATA_PAGE * TG_PAGE);
    memcpy(head->box_id, birth->box_id, 16);
    tg_store_relaxed(&head->version, TG_LINK_VERSION);
    tg_store_relaxed(&head->row, birth->row);
    tg_store_relaxed(&head->lane, birth->lane);
    tg_store_relaxed(&head->link_id, w->link_id);
    tg_store_relaxed(&head->first, first);
    tg_store_relaxed(&head->tail, first);
    if (w->keeps_oldest) {
        tg_store_relaxed(&head->oldest, first);
        w->oldest = first;
        w->oldest_segment = 0;
    }
    tg_store_relaxed(&head->high, (uint64_t)birth->sequence);
    tg_store_relaxed(&head->pid, (uint32_t)getpid());
    tg_store_relaxed(&head->gid, (uint32_t)getegid());
    tg_store_relaxed(&head->owner, birth->owner);
    if (birth->from != NULL && birth->from[0] != '\0') {
        tg_link_set_from(head, birth->from);
    }
    tg_store_relaxed(&segment->page, TG_LINK_DATA_PAGE);
    tg_store_relaxed(&segment->pages, UINT32_C(1));
    tg_store_relaxed(&head->n_segments, UINT32_C(1));
    tg_store_release(&head->magic, TG_LINK_MAGIC);
}

int tg_writer_make(struct tg_writer *w, int dir, const char *temp,
                   const struct tg_link_birth *birth)
{
    w->dir = dir;
    w->row = birth->row;
    int r = tg_sys_random(&w->link_id, sizeof w->link_id);
    if (r < 0) {
        return r;
    }
    tg_fd fd = -1;
    r = tg_file_make(dir, temp, 0, TG_PAGE, birth->mode, &fd);
    if (r == -EEXIST) {
        /* The name is this sender's alone: left by a try of its own that could not clear it away. */
        (void)tg_sys_unlink(dir, temp);
        r = tg_file_make(dir, temp, 0, TG_PAGE, birth->mode, &fd);
    }
    if (r < 0) {
        return r;
    }
    r = tg_sys_allocate(fd, (uint64_t)TG_LINK_DATA_PAGE * TG_PAGE, TG_PAGE);
    if (r == 0) {
        r = map_window(w, fd);
    }
    if (r == 0) {
        r = remember(w, TG_LINK_DATA_PAGE, 1, 0);
    }
    if (r == 0) {
        r = push_chain(w, 0);
    }
    if (r < 0) {
        (void)tg_sys_unlink(dir, temp);
        tg_writer_detach(w);
        return r;
    }
    w->pid = (uint32_t)getpid();
    write_birth(w, birth);
    w->sequence = birth->sequence;
    enter(w, 0, (uint64_t)TG_LINK_DATA_PAGE * TG_PAGE);
    return 0;
}

static int read_table(struct tg_writer *w)
{
    const uint32_t n = tg_load_acquire(&w->head->n_segments);
    if (n == 0 || n > TG_LINK_SEGMENTS) {
        return -EPROTO;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t page;
        uint32_t pages;
        int r = tg_segment_read(w->head, i, &page, &pages);
        if (r == 0) {
            r = remember(w, page, pages, tg_load_relaxed(&tg_segment_at(w->head, i)->flags));
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* The segments from the head's to the tail's are in use. */
static int read_chain(struct tg_writer *w, uint64_t head, uint64_t tail)
{
    uint32_t index;
    int r = tg_segment_find(w->head, tg_place_offset(head), &index);
    if (r < 0) {
        return r;
    }
    for (uint32_t steps = 0; steps < w->n_segments; steps++) {
        r = push_chain(w, index);
        if (r < 0 || holds(&w->segments[index], tg_place_offset(tail))) {
            return r;
        }
        const uint32_t next = tg_load_relaxed(&tg_segment_at(w->head, index)->next);
        if (next == 0 || next > w->n_segments || w->segments[next - 1].in_chain) {
            return -EPROTO;
        }
        index = next - 1;
    }
    return -EPROTO;
}

static int stand_at_tail(struct tg_writer *w, int fd, tg_link_place_fn *place, void *arg)
{
    uint64_t tail;
    int r = tg_link_committed(w->head, fd, place, arg, &tail);
    if (r == 0) {
        r = read_table(w);
    }
    if (r == 0) {
        const struct tg_link_place now = place(arg);
        uint64_t head = now.known ? now.head : tg_load_relaxed(&w->head->first);
        if (w->keeps_oldest) {
            /* Everything from there on stands as it was written, and perhaps nothing before it. */
            w->oldest = head = tg_load_relaxed(&w->head->oldest);
        }
        r = read_chain(w, head, tail);
        w->oldest_segment = r == 0 ? w->chain[w->chain_first] : 0;
    }
    uint32_t index = 0;
    if (r == 0) {
        r = tg_segment_find(w->head, tg_place_offset(tail), &index);
    }
    if (r == 0) {
        r = tg_writer_map(w, index, fd);
    }
    if (r == 0) {
        w->sequence = tg_place_sequence(tail);
        enter(w, index, tg_place_offset(tail));
        /* The head at the tail was reserved with the record before it. */
        if (w->ready < w->end) {
            w->ready = (w->pos + TG_RECORD_HEAD + TG_PAGE - 1) / TG_PAGE * TG_PAGE;
        }
        tg_store_release(&w->head->tail, tail);
    }
    return r;
}

int tg_writer_take_over(struct tg_writer *w, int dir, int fd, uint64_t owner,
                        tg_link_place_fn *place, void *arg)
{
    w->dir = dir;
    struct stat st;
    int r = tg_sys_fstat(fd, &st);
    if (r == 0 &&
        (!S_ISREG(st.st_mode) || st.st_size < (off_t)((TG_LINK_DATA_PAGE + 1) * TG_PAGE))) {
        r = -EPROTO;
    }
    if (r == 0) {
        r = map_window(w, fd);
    }
    if (r < 0) {
        return r;
    }
    if (tg_load_acquire(&w->head->magic) != TG_LINK_MAGIC ||
        tg_load_relaxed(&w->head->version) != TG_LINK_VERSION) {
        r = -EPROTO;
    } else {
        w->row = tg_load_relaxed(&w->head->row);
        w->link_id = tg_load_relaxed(&w->head->link_id);
        r = stand_at_tail(w, fd, place, arg);
    }
    if (r < 0) {
        tg_writer_detach(w);
        return r;
    }
    w->pid = (uint32_t)getpid();
    tg_store_relaxed(&w->head->blocked, UINT32_C(0));
    tg_store_relaxed(&w->head->pid, w->pid);
    tg_store_relaxed(&w->head->gid, (uint32_t)getegid());
    tg_store_release(&w->head->owner, owner);
    return 0;
}

void tg_writer_detach(struct tg_writer *w)
{
    for (uint32_t i = 0; i < w->n_segments; i++) {
        unmap_segment(&w->segments[i]);
    }
    free(w->segments);
    free(w->chain);
    if (!w->borrowed) {
        tg_sys_unmap(w->window, TG_LINK_WINDOW);
    }
    w->segments = NULL;
    w->chain = NULL;
    w->window = NULL;
    w->head = NULL;
    w->n_segments = w->segments_room = 0;
    w->chain_first = w->chain_end = w->chain_room = 0;
    w->kept = w->end_page = w->ready = 0;
    w->is_reserved = false;
}

/* ---- messages */

static bool fits(const struct tg_writer *w, uint64_t need)
{
    return need + TG_RECORD_HEAD <= w->end - w->pos;
}

bool tg_writer_fits(const struct tg_writer *w, uint64_t len)
{
    return fits(w, tg_record_size(len));
}

int tg_writer_reserve(struct tg_writer *w, uint64_t len, const struct tg_link_place *place,
                      uint8_t **ret_data)
{
    const uint64_t need = tg_record_size(len);
    if (!fits(w, need)) {
        reclaim(w, place);
        uint32_t index;
        int r = find_segment(w, need + TG_RECORD_HEAD, &index);
        if (r == 0) {
            r = push_chain(w, index);
        }
        if (r == 0) {
            r = jump(w, index, need + TG_RECORD_HEAD);
            if (r < 0) {
                w->segments[index].in_chain = false;
                w->chain_end--;
            }
        }
        if (r < 0) {
            return r;
        }
    } else if (w->pos + need + TG_RECORD_HEAD > w->ready) {
        const int r = make_ready(w, -1, w->pos + need + TG_RECORD_HEAD);
        if (r < 0) {
            return r;
        }
    }
    w->reserved = need;
    w->is_reserved = true;
    *ret_data = w->base + w->pos + TG_RECORD_HEAD;
    return 0;
}

void tg_writer_note_high(struct tg_writer *w)
{
    const uint64_t high = tg_load_relaxed(&w->head->high);
    tg_store_relaxed(&w->head->high, high + (uint32_t)(w->sequence - (uint32_t)high));
}

void tg_writer_abort(struct tg_writer *w)
{
    w->is_reserved = false;
}

/* ---- rendezvous: the offer word publishes, commit words are not used */

int tg_writer_hold_all(struct tg_writer *w)
{
    for (uint32_t i = 0; i < w->n_segments; i++) {
        const int r = i == w->current || w->segments[i].in_chain ? 0 : push_chain(w, i);
        if (r < 0) {
            return r;
        }
    }
    w->pos = w->end;
    return 0;
}

uint64_t tg_writer_reserved_offset(const struct tg_writer *w)
{
    return w->pos;
}

int tg_writer_reserve_offer(struct tg_writer *w, uint64_t len, bool all_finished,
                            uint8_t **ret_data)
{
    const uint64_t need = tg_record_size(len);
    if (all_finished) {
        const uint64_t ready = w->ready;
        enter(w, w->current, (uint64_t)w->segments[w->current].page * TG_PAGE);
        w->ready = ready;
        for (uint32_t i = w->chain_first; i < w->chain_end; i++) {
            w->segments[w->chain[i]].in_chain = false;
        }
        w->chain_first = w->chain_end = 0;
    }
    if (!fits(w, need)) {
        uint32_t index;
        int r = find_segment(w, need + TG_RECORD_HEAD, &index);
        if (r == 0) {
            r = push_chain(w, w->current);
        }
        if (r < 0) {
            return r;
        }
        enter(w, index, (uint64_t)w->segments[index].page * TG_PAGE);
    }
    if (w->pos + need + TG_RECORD_HEAD > w->ready) {
        const int r = make_ready(w, -1, w->pos + need + TG_RECORD_HEAD);
        if (r < 0) {
            return r;
        }
    }
    struct tg_record *record = tg_writer_record(w, w->pos);
    tg_store_relaxed(&record->length, (uint32_t)len);
    tg_store_relaxed(&record->pid, w->pid);
    w->reserved = need;
    w->is_reserved = true;
    *ret_data = w->base + w->pos + TG_RECORD_HEAD;
    return 0;
}

void tg_writer_taken(struct tg_writer *w, uint64_t len)
{
    w->pos += tg_record_size(len);
    w->is_reserved = false;
}

/* ---- giving memory back */

void tg_writer_trim(struct tg_writer *w, int fd, const struct tg_link_place *place)
{
    reclaim(w, place);
    for (uint32_t i = 0; i < w->n_segments; i++) {
        struct tg_writer_segment *s = &w->segments[i];
        if (s->oneshot && !s->in_chain && i != w->current) {
            unmap_segment(s);
            (void)tg_sys_punch(fd, (uint64_t)s->page * TG_PAGE, (uint64_t)s->pages * TG_PAGE);
        }
    }
}
