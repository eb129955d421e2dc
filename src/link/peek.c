/*
 * A look at the records of a link without taking them: nobody knows of it, nobody waits for it.
 *
 * So what is read may be written over meanwhile. Nothing is mapped: a load from memory that was given back
 * would take memory, or be a signal where none is left. A run of bytes is read, then what tells whether
 * they stood still:
 *
 *   observer                                     the others
 *   read head: tail                              commit, then tail
 *   read a run of records                        a receiver stores `next` (handed out), gives memory back,
 *   read the box: head, next                     then stores `head`
 *   read head: state, oldest                     the sender finds head outside of a segment, or stores
 *   read the record at the segment's begin       oldest; zeroes the word at its begin; writes over it
 *
 * I1  A record is whole in the run if tail, read before it, is behind it; or if its commit word was seen by
 *     an earlier read.
 * I2  It was not written over if its segment was not left: the box's head, read behind the run, has not
 *     passed the record, or is in its segment and the record at the segment's begin is not a newer one. For
 *     the sender reads head before it writes, and whoever sees what it wrote sees that head, or a later one;
 *     a head that has come round to the segment again sees the newer record at its begin.
 * I3  The memory of a one-shot segment is given back before head is stored, but behind `next`: there a record
 *     is only believed while it has not been handed out.
 * I4  TONG_DROP_OLDEST: what lies before `oldest` may be anything, and nothing else is written over.
 * I5  A link that is gone has no writer: only what was left before may be anything.
 * I6  The sender zeroes the commit word at a segment's begin before it writes a sequence there, and that
 *     before the next commit word. So the word is read before the sequence: is it not 0, and the sequence an
 *     old one, then it was not written over when the word was read.
 * I7  The table says 0 for the segment behind one that is used again: who follows a jump looks behind the
 *     table as behind a run.
 *
 * Who was overtaken goes on at the begin of the segment with the box's head, or at that head. What it did
 * not see is counted by the numbers of the messages. All that is read is input: offsets are held against the
 * segment, the segment against the table.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "link/link.h"
#include "link/segment.h"

#define RUN_SIZE 65536u
#define IMAGE_SIZE (TG_LINK_TABLE_OFF + TG_LINK_SEGMENTS * sizeof(struct tg_segment))
#define TRIES 4 /* in one call, of one who is overtaken again and again */

/* Written over before it was read, or while. */
#define LOST 2

static bool is_past(uint64_t place, uint32_t sequence)
{
    return (int32_t)(tg_place_sequence(place) - sequence) > 0;
}

/* ---- reading */

static int read_all(struct tg_peeker *p, void *to, size_t len, uint64_t off)
{
    const int r = tg_sys_pread(p->fd, to, len, off);
    tg_fence_acquire(); /* what the next call reads is not older */
    return r;
}

int tg_peeker_refresh(struct tg_peeker *p)
{
    return read_all(p, p->head, sizeof *p->head, 0);
}

/* The head was read: the entries it counts are whole. */
static int read_table(struct tg_peeker *p)
{
    const uint32_t n = tg_load_relaxed(&p->head->n_segments);
    if (n > TG_LINK_SEGMENTS) {
        return -EPROTO;
    }
    return read_all(p, (uint8_t *)p->head + TG_LINK_TABLE_OFF, n * sizeof(struct tg_segment),
                    TG_LINK_TABLE_OFF);
}

bool tg_peeker_is_gone(const struct tg_peeker *p)
{
    return tg_load_relaxed(&p->head->state) == TG_LINK_GONE;
}

uint64_t tg_peeker_full_sequence(const struct tg_peeker *p, uint32_t sequence)
{
    const uint64_t high = tg_load_relaxed(&p->head->high);
    return high + (uint64_t)(int64_t)(int32_t)(sequence - (uint32_t)high);
}

/* ---- opening */

static int check_head(const struct tg_peeker *p, const uint8_t box_id[16])
{
    const struct tg_link_head *head = p->head;
    return tg_load_relaxed(&head->magic) == TG_LINK_MAGIC &&
                   tg_load_relaxed(&head->version) == TG_LINK_VERSION &&
                   tg_load_relaxed(&head->row) == p->row && memcmp(head->box_id, box_id, 16) == 0
               ? 0
               : -EPROTO;
}

int tg_peeker_open(struct tg_peeker *p, int dir, uint32_t row, const uint8_t box_id[16])
{
    char name[TG_LINK_NAME_SIZE];
    struct stat st;
    *p = (struct tg_peeker){ .fd = -1, .row = row };
    tg_link_name(row, name);
    tg_fd fd = tg_sys_open(dir, name, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0) {
        return fd == -ELOOP || fd == -ENXIO || fd == -EISDIR ? -EPROTO : fd;
    }
    int r = tg_sys_fstat(fd, &st);
    if (r == 0 && !S_ISREG(st.st_mode)) {
        r = -EPROTO;
    }
    void *image = NULL;
    if (r == 0) {
        r = tg_sys_map_private(IMAGE_SIZE, &image);
    }
    if (r < 0) {
        return r;
    }
    p->fd = tg_steal_fd(&fd);
    p->head = image;
    p->uid = st.st_uid;
    r = tg_peeker_refresh(p);
    if (r == 0) {
        r = check_head(p, box_id);
    }
    if (r < 0) {
        tg_peeker_close(p);
        return r;
    }
    p->link_id = tg_load_relaxed(&p->head->link_id);
    tg_peeker_stand(p, tg_load_relaxed(&p->head->first));
    return 0;
}

void tg_peeker_close(struct tg_peeker *p)
{
    free(p->run);
    tg_sys_unmap(p->head, IMAGE_SIZE);
    tg_sys_close(p->fd);
    *p = (struct tg_peeker){ .fd = -1 };
}

void tg_peeker_rest(struct tg_peeker *p)
{
    free(p->run);
    p->run = NULL;
    p->run_len = 0;
}

static void move_to(struct tg_peeker *p, uint64_t place)
{
    p->place = place;
    p->run_len = 0;
}

void tg_peeker_stand(struct tg_peeker *p, uint64_t place)
{
    move_to(p, place);
    p->expected = tg_place_sequence(place);
}

/* ---- segments */

static int enter(struct tg_peeker *p, uint32_t index)
{
    uint32_t page;
    uint32_t pages;
    const int r = tg_segment_read(p->head, index, &page, &pages);
    if (r == 0) {
        const uint32_t flags = tg_load_relaxed(&tg_segment_at(p->head, index)->flags);
        p->current = index;
        p->begin = (uint64_t)page * TG_PAGE;
        p->end = p->begin + (uint64_t)pages * TG_PAGE;
        p->oneshot = (flags & TG_SEGMENT_ONESHOT) != 0;
    }
    return r;
}

/* Stand in the segment that holds offset and a record's head behind it. */
static int enter_at(struct tg_peeker *p, uint64_t offset)
{
    if (offset >= p->begin && offset + TG_RECORD_HEAD <= p->end) {
        return 0;
    }
    uint32_t index;
    int r = read_table(p);
    if (r == 0) {
        r = tg_segment_find(p->head, offset, &index);
    }
    if (r == 0) {
        r = enter(p, index);
    }
    return r == 0 && offset + TG_RECORD_HEAD > p->end ? -EPROTO : r;
}

int tg_peeker_read(struct tg_peeker *p, uint64_t offset, uint64_t total, uint64_t from,
                   uint64_t len, void *to)
{
    int r = enter_at(p, offset);
    if (r == 0 && tg_record_size(total) > p->end - offset) {
        r = -EPROTO;
    }
    return r == 0 ? read_all(p, to, len, offset + TG_RECORD_HEAD + from) : r;
}

/* ---- whether it stood still */

/* I6 */
static int read_first(struct tg_peeker *p)
{
    const int r = read_all(p, &p->first_commit, sizeof p->first_commit,
                           p->begin + offsetof(struct tg_record, commit));
    return r < 0 ? r
                 : read_all(p, &p->first_sequence, sizeof p->first_sequence,
                            p->begin + offsetof(struct tg_record, sequence));
}

/* Behind a read of the segment's bytes: all that tells. */
static int look_behind(struct tg_peeker *p, tg_link_place_fn *place, void *arg)
{
    p->seen = place(arg);
    tg_fence_acquire();
    const int r = tg_peeker_refresh(p);
    p->oldest = tg_load_relaxed(&p->head->oldest);
    return r == 0 ? read_first(p) : r;
}

static bool is_first_older(const struct tg_peeker *p, uint32_t sequence)
{
    return tg_commit_is_message(p->first_commit) && (int32_t)(sequence - p->first_sequence) >= 0;
}

/* I2..I5, of a record at an offset of the segment. */
static bool stood_still(const struct tg_peeker *p, uint64_t place)
{
    const uint32_t sequence = tg_place_sequence(place);
    if (p->lossy) {
        return !is_past(p->oldest, sequence) &&
               (tg_place_sequence(p->oldest) != sequence || p->oldest == place);
    }
    const bool gone = tg_peeker_is_gone(p);
    if (p->oneshot) {
        return !gone && (!p->seen.known || !is_past(p->seen.next, sequence));
    }

    if (gone) {
        return is_first_older(p, sequence);
    }
    if (!p->seen.known || !is_past(p->seen.head, sequence)) {
        return true;
    }
    const uint64_t head = tg_place_offset(p->seen.head);
    return head >= p->begin && head < p->end && is_first_older(p, sequence);
}

/* The same of a jump, whose number is that of the record behind it: its segment was not left. */
static bool jump_stood_still(const struct tg_peeker *p)
{
    const uint32_t sequence = tg_place_sequence(p->place);
    if (p->lossy || tg_peeker_is_gone(p)) {
        return stood_still(p, p->place);
    }
    const uint64_t at = p->oneshot ? p->seen.next : p->seen.head;
    const bool here = tg_place_offset(at) >= p->begin && tg_place_offset(at) < p->end;
    return !p->seen.known || (int32_t)(sequence - tg_place_sequence(at)) > (here ? -1 : 0);
}

/* ---- records */

static const uint32_t *words_at(const struct tg_peeker *p, uint64_t offset)
{
    return (const uint32_t *)(const void *)(p->run + (offset - p->run_off));
}

/* Whether the record at place is in the run, as far as that reaches. */
static bool is_in_run(const struct tg_peeker *p)
{
    const uint64_t offset = tg_place_offset(p->place);
    return offset >= p->run_off && offset + TG_RECORD_HEAD <= p->run_off + p->run_len;
}

static bool is_whole(const struct tg_peeker *p)
{
    return (int32_t)(p->run_until - tg_place_sequence(p->place)) > 0;
}

static int fill(struct tg_peeker *p, tg_link_place_fn *place, void *arg)
{
    const uint64_t offset = tg_place_offset(p->place);
    int r = enter_at(p, offset);
    if (r < 0) {
        return r;
    }
    if (p->run == NULL) {
        p->run = malloc(RUN_SIZE);
        if (p->run == NULL) {
            return -ENOMEM;
        }
    }
    const uint64_t rest = p->end - offset;
    const ssize_t n = tg_sys_pread_some(p->fd, p->run, rest < RUN_SIZE ? rest : RUN_SIZE, offset);
    tg_fence_acquire();
    if (n < (ssize_t)TG_RECORD_HEAD) {
        return n < 0 ? (int)n : -EPROTO;
    }
    p->run_off = offset;
    p->run_len = (uint32_t)n;
    r = look_behind(p, place, arg);
    p->run_len = r < 0 ? 0 : p->run_len;
    return r;
}

/* Bring what is at place into the run: 1, 0 there is nothing yet, LOST, ... */
static int see(struct tg_peeker *p, tg_link_place_fn *place, void *arg)
{
    if (is_in_run(p) && is_whole(p)) {
        return 1;
    }
    const uint32_t sequence = tg_place_sequence(p->place);
    for (uint32_t seen = 0; seen < 2; seen++) {
        int r = tg_peeker_refresh(p);
        const uint64_t tail = tg_load_relaxed(&p->head->tail);
        r = r == 0 ? fill(p, place, arg) : r;
        if (r < 0) {
            return r;
        }
        const uint32_t commit = words_at(p, p->run_off)[0];
        if (commit == 0) {
            p->run_len = 0;
            return is_past(tail, sequence) ? LOST : 0;
        }
        /* I1 */
        p->run_until = is_past(tail, sequence) ? tg_place_sequence(tail) : sequence + seen;
        if (is_whole(p) || commit == (TG_COMMITTED | TG_JUMP)) {
            return 1;
        }
    }
    return 0;
}

/* The chain goes on elsewhere: the entry was whole before the jump was committed. I7: LOST. */
static int follow_jump(struct tg_peeker *p, tg_link_place_fn *place, void *arg)
{
    int r = read_table(p);
    r = r == 0 ? look_behind(p, place, arg) : r;
    if (r < 0) {
        return r;
    }
    const uint32_t next = tg_load_relaxed(&tg_segment_at(p->head, p->current)->next);
    if (next == 0 || !jump_stood_still(p)) {
        return LOST;
    }
    r = enter(p, next - 1);
    if (r == 0) {
        move_to(p, tg_place(tg_place_sequence(p->place), p->begin));
    }
    return r;
}

/* The record at place is in the run, and stood still: 1, or -EPROTO. Its payload: LOST. */
static int take(struct tg_peeker *p, tg_link_place_fn *place, void *arg, void *buf, size_t size,
                struct tg_peeked *ret_peeked)
{
    const uint64_t offset = tg_place_offset(p->place);
    const uint32_t *words = words_at(p, offset);
    const uint32_t len = words[1];
    const uint32_t extension = (words[0] & TG_EXTENSION) * 16;
    const uint32_t sequence = words[2];
    const uint64_t total = tg_record_size(len);
    if (total + TG_RECORD_HEAD > p->end - offset || sequence != tg_place_sequence(p->place) ||
        extension > len) {
        return -EPROTO;
    }
    const uint64_t behind = tg_place(sequence + 1, offset + total);
    const uint32_t payload = len - extension;
    const size_t wanted = payload < size ? payload : size;
    if (offset + TG_RECORD_HEAD + extension + wanted <= p->run_off + p->run_len) {
        if (wanted != 0) {
            memcpy(buf, p->run + (offset - p->run_off) + TG_RECORD_HEAD + extension, wanted);
        }
    } else if (offset != p->run_off) {
        p->run_len = 0; /* again, with this one first */
        return 0;
    } else if (TG_RECORD_HEAD + (uint64_t)extension > p->run_len) {
        return -EPROTO; /* longer than any that is sent */
    } else {
        int r = read_all(p, buf, wanted, offset + TG_RECORD_HEAD + extension);
        r = r == 0 ? look_behind(p, place, arg) : r;
        if (r < 0 || !stood_still(p, p->place)) {
            return r < 0 ? r : LOST;
        }
    }
    *ret_peeked = (struct tg_peeked){ .len = payload,
                                      .extension = extension,
                                      .said = (const uint8_t *)words + TG_RECORD_HEAD,
                                      .sequence = sequence,
                                      .pid = words[3] };
    tg_peeker_expect(p, sequence);
    p->place = behind;
    p->expected = sequence + 1;
    return 1;
}

/* Over a record that was told before, or had been done before that. */
static int pass(struct tg_peeker *p)
{
    const uint64_t offset = tg_place_offset(p->place);
    const uint32_t *words = words_at(p, offset);
    const uint64_t total = tg_record_size(words[1]);
    if (total + TG_RECORD_HEAD > p->end - offset || words[2] != tg_place_sequence(p->place)) {
        return -EPROTO;
    }
    p->place = tg_place(words[2] + 1, offset + total);
    return 0;
}

/* One who was overtaken: where to go on. False: nowhere for now. */
static bool go_on(struct tg_peeker *p, tg_link_place_fn *place, void *arg)
{
    const uint64_t was = p->place;
    const struct tg_link_place now = place(arg);
    uint64_t to = now.known ? now.head : tg_load_relaxed(&p->head->first);
    if (p->lossy) {
        const uint64_t oldest = tg_load_relaxed(&p->head->oldest);
        to = is_past(oldest, tg_place_sequence(to)) ? oldest : to;
    }
    if (tg_peeker_is_gone(p)) {
        to = tg_load_relaxed(&p->head->tail);
    } else if (now.known && p->oneshot && !is_past(to, tg_place_sequence(was))) {
        to = now.next; /* I3 */
    }
    /* What lies before it in its segment is there as well. */
    if (!p->lossy && enter_at(p, tg_place_offset(to)) == 0 && !p->oneshot && read_first(p) == 0 &&
        is_first_older(p, tg_place_sequence(to))) {
        to = tg_place(p->first_sequence, p->begin);
    }
    move_to(p, to);
    tg_peeker_expect(p, tg_place_sequence(to));
    return to != was;
}

int tg_peeker_next(struct tg_peeker *p, tg_link_place_fn *place, void *arg, void *buf, size_t size,
                   struct tg_peeked *ret_peeked)
{
    uint32_t jumps = 0;
    for (uint32_t lost = 0; lost < TRIES && jumps <= TG_LINK_SEGMENTS;) {
        int r = see(p, place, arg);
        if (r == 1 && !stood_still(p, p->place)) {
            r = LOST;
        }
        if (r == 1) {
            const uint32_t commit = words_at(p, tg_place_offset(p->place))[0];
            if (commit == (TG_COMMITTED | TG_JUMP)) {
                jumps++;
                r = follow_jump(p, place, arg);
            } else if (!tg_commit_is_message(commit)) {
                r = -EPROTO;
            } else if ((int32_t)(tg_place_sequence(p->place) - p->expected) < 0) {
                r = pass(p);
            } else {
                r = take(p, place, arg, buf, size, ret_peeked);
            }
            if (r == 0) {
                continue;
            }
        }
        if (r != LOST) {
            return r;
        }
        lost++;
        if (!go_on(p, place, arg)) {
            return 0;
        }
    }
    return jumps > TG_LINK_SEGMENTS ? -EPROTO : 0;
}
