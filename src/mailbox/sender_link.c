/*
 * Which link a handle sends on: one that a closed or dead sender of this user left, or a new one.
 *
 *   link       facts                                            left by
 *   owned      owner's process lives and has it open             its close; its death
 *   left       owner 0 or dead; messages may wait                tg_sender_get_link (take-over)
 *   gone       drained, no owner; the name goes                  tg_links_sweep, tg_sender_put_link
 *
 * I1  Only the holder of the file's lock makes a left link owned or gone; the lock is the
 *     kernel's, so it goes with its holder. An owner needs no lock to send.
 * I2  A link is gone only when drained: the box's head has reached its last message.
 * I3  state is stored before the name goes: who has it mapped lets go of it.
 * I4  A name seen after the lock is still this file's only if the file has a name at all (st_nlink).
 * I5  Of a link that is gone the room file keeps the exact last number, stored before state: the next
 *     one of the name goes on there, and the sums over all rows stay right.
 * I6  A link bears the name of the process that sends on it, or none, and is taken over under that name
 *     alone: its messages are all of one name. A name is one living process's, so the pair has one link.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/probe.h"
#include "mailbox/box.h"

/* The head's words that a look needs, as one piece of the file. */
struct brief {
    uint64_t link_id;
    uint64_t owner;
    uint32_t state;
    uint32_t lane;
    char from[TONG_NAME_MAX];
};

static int read_brief(int fd, struct brief *ret)
{
    struct tg_link_head head;
    const int r = tg_sys_pread(fd, &head, sizeof head, 0);
    if (r < 0) {
        return r;
    }
    if (tg_load_relaxed(&head.magic) != TG_LINK_MAGIC) {
        return -EPROTO;
    }
    ret->link_id = tg_load_relaxed(&head.link_id);
    ret->owner = tg_load_relaxed(&head.owner);
    ret->state = tg_load_relaxed(&head.state);
    ret->lane = tg_load_relaxed(&head.lane);
    (void)tg_link_from(&head, ret->from);
    return 0;
}

/* What a link must be to be taken over. */
struct kind {
    const char *from; /* of whom */
    uint32_t lane;
};

/* The file is this user's. kind: NULL any. */
static bool is_left(struct tg_root *root, const struct brief *brief, const struct kind *kind)
{
    return (brief->owner == 0 || !tg_life_is_alive_of(root, brief->owner, geteuid())) &&
           (kind == NULL || (strcmp(brief->from, kind->from) == 0 && brief->lane == kind->lane));
}

/* Open a link file of this user whose sender is closed or dead, and lock it. -EAGAIN: it is
 * somebody's. A process's own it waits for: who has it locked only looks (I6). */
static int open_left(struct tg_root *root, int dir, const char *name, const struct kind *kind,
                     struct brief *ret_brief)
{
    tg_fd fd = tg_sys_open(dir, name, O_RDWR | O_NONBLOCK, 0);
    if (fd < 0) {
        return fd;
    }
    struct stat st;
    int r = tg_sys_fstat(fd, &st);
    if (r == 0 && (!S_ISREG(st.st_mode) || st.st_uid != geteuid())) {
        r = -EAGAIN;
    }
    if (r == 0) {
        r = read_brief(fd, ret_brief);
    }
    if (r == 0 && !is_left(root, ret_brief, kind)) {
        r = -EAGAIN;
    }
    if (r == 0) {
        r = tg_sys_lock(fd, kind != NULL && kind->from[0] != '\0');
    }
    /* Again, now that nobody else can change it (I1, I4). */
    if (r == 0) {
        r = tg_sys_fstat(fd, &st);
    }
    if (r == 0) {
        r = st.st_nlink == 0 ? -EAGAIN : read_brief(fd, ret_brief);
    }
    if (r == 0 && !is_left(root, ret_brief, kind)) {
        r = -EAGAIN;
    }
    return r < 0 ? r : tg_steal_fd(&fd);
}

struct tg_link_place tg_row_place(const struct tg_box_head *head, const struct tg_box_row *rows,
                                  uint32_t row, uint64_t link_id)
{
    struct tg_link_place place = { .known = false };
    if (row >= tg_load_acquire(&head->n_rows)) {
        return place;
    }
    const struct tg_box_row *r = &rows[row];
    /* acquire: pairs with set_row; the words behind are this link's. head before next: each
     * only grows, so head stays the lower one. */
    if (tg_load_acquire(&r->link_id) == link_id) {
        place.known = true;
        place.head = tg_load_acquire(&r->head);
        place.next = tg_load_acquire(&r->next);
    }
    return place;
}

static bool is_to_all(const struct tg_box_head *head)
{
    return TG_DELIVERY(tg_load_relaxed(&head->delivery)) == TONG_EVERYONE;
}

/* A row to be asked again. */
struct row_of {
    const struct tg_box_head *head;
    const struct tg_box_row *rows;
    uint32_t row;
    uint64_t link_id;
    const struct tg_sight *sight;
};

static struct tg_link_place row_place(void *arg)
{
    const struct row_of *of = arg;
    if (tg_sight_fetch_row(of->sight, of->row) < 0) {
        return (struct tg_link_place){ .known = false };
    }
    struct tg_link_place place = tg_row_place(of->head, of->rows, of->row, of->link_id);
    /* At capacity 0 the chain is not used: its words are numbers of offers, not places. */
    place.known = place.known && tg_load_relaxed(&of->head->capacity) != 0 && !is_to_all(of->head);
    return place;
}

struct tg_link_place tg_sender_place(struct tg_box *box)
{
    struct tg_sender *tx = &box->tx;
    struct tg_link_place place = { .known = false };
    if (box->everyone) {
        return tg_everyone_reach(box).place;
    }
    if (tg_sight_fetch_row(&box->sight, tx->writer.row) == 0) {
        place = tg_row_place(box->main.head, box->main.rows, tx->writer.row, tx->writer.link_id);
    }
    tx->row_known = place.known;
    return place;
}

/* Whether nothing of a link is waiting or claimed. It has no sender. */
static bool is_drained(const struct tg_box_head *box_head, const struct tg_box_row *rows,
                       const struct tg_writer *w, const struct tg_link_place *place)
{
    if (tg_load_relaxed(&box_head->capacity) == 0) {
        if (!place->known) {
            return true;
        }
        const uint64_t verdict = tg_load_acquire(&rows[w->row].verdict);
        return (uint32_t)(place->head >> 32) == (uint32_t)(verdict >> 32) + 1 || verdict == 0;
    }
    const uint64_t head = place->known ? place->head : tg_load_relaxed(&w->head->first);
    return tg_place_sequence(head) == w->sequence;
}

/* I2, I3. The lock is held. row: of the room file, where the mailbox is bounded; the number stored there
 * first is where the next link of this name goes on (I5). */
static void make_gone(int dir, const char *name, struct tg_writer *w, struct tg_room_row *row)
{
    tg_poll_clear_sender(dir, w->head, w->row);
    if (row != NULL) {
        tg_store_release(&row->sent, w->sequence);
    }
    tg_store_release(&w->head->state, (uint32_t)TG_LINK_GONE);
    tg_store_release(&w->head->owner, UINT64_C(0));
    (void)tg_sys_unlink(dir, name);
}

/* ---- getting one */

/* A look at one costs some system calls; of many only so many are looked at, from a random one on. */
#define LOOKS_MOST 64u

struct search {
    uint8_t used[TG_LINKS_MAX / 8];
    uint32_t n_used;
    char from[TONG_NAME_MAX]; /* the name it sends as */
    uint32_t lane;
};

static int may_grow(void *arg, uint64_t bytes);

static void prepare_writer(struct tg_box *box)
{
    struct tg_writer *w = &box->tx.writer;
    memset(w, 0, sizeof *w);
    w->may_grow = may_grow;
    w->arg = box;
    w->keeps_oldest = box->lossy || box->everyone;
}

static int take_over(struct tg_box *box, int fd, const char *name, const struct brief *brief)
{
    struct tg_sender *tx = &box->tx;
    const int row = tg_link_row(name);
    struct row_of row_of = { box->main.head, box->main.rows, (uint32_t)row, brief->link_id,
                             &box->sight };
    prepare_writer(box);
    int r = tg_writer_take_over(&tx->writer, box->dir, fd, box->me, row_place, &row_of);
    if (r == 0 && box->capacity == 0) {
        r = tg_writer_hold_all(&tx->writer);
    }
    if (r == 0 && tx->writer.row != (uint32_t)row) {
        tg_writer_detach(&tx->writer);
        return -EPROTO;
    }
    return r;
}

static bool is_used(const struct search *search, uint32_t row)
{
    return (search->used[row / 8] & (1u << (row % 8))) != 0;
}

static int note_used(const char *name, unsigned char type, void *arg)
{
    struct search *search = arg;
    (void)type;
    const int row = tg_link_row(name);
    if (row >= 0) {
        search->used[row / 8] |= (uint8_t)(1u << (row % 8));
        search->n_used++;
    }
    return 0;
}

/* 1: taken over. 0: it is somebody's, or damaged and left to its readers and tong_doctor. */
static int try_left(struct tg_box *box, struct search *search, uint32_t row)
{
    char name[TG_LINK_NAME_SIZE];
    struct brief brief;
    tg_link_name(row, name);
    const struct kind kind = { .from = search->from, .lane = search->lane };
    tg_fd fd = open_left(box->root, box->dir, name, &kind, &brief);
    if (fd < 0) {
        return fd == -EMFILE || fd == -ENFILE ? fd : 0;
    }
    if (brief.state == TG_LINK_GONE) {
        (void)tg_sys_unlink(box->dir, name);
        search->used[row / 8] &= (uint8_t) ~(1u << (row % 8));
        return 0;
    }
    if (box->way != NULL && brief.owner != 0) {
        return 0; /* of a dead one: carried.c, I6 */
    }
    const int r = take_over(box, fd, name, &brief);
    if (r == 0 && brief.owner != 0) {
        TG_PROBE(recover, box->name, TG_RECOVERED_LINK);
    }
    /* The mapping keeps the description, and so the lock, alive: give it up by name. */
    tg_sys_unlock(fd);
    return r == -EPROTO || r == -EIDRM ? 0 : r < 0 ? r : 1;
}

static int find_left(struct tg_box *box, struct search *search)
{
    int r = tg_sys_list(box->dir, note_used, search);
    uint32_t first = 0;
    /* A process's own must be found: there is one only (I6). */
    const uint32_t most = search->from[0] != '\0' ? TG_LINKS_MAX : LOOKS_MOST;
    if (r == 0 && search->n_used > most) {
        r = tg_sys_random(&first, sizeof first);
    }
    uint32_t looks = 0;
    for (uint32_t k = 0; r == 0 && k < TG_LINKS_MAX && looks < most; k++) {
        const uint32_t row = (first + k) % TG_LINKS_MAX;
        if (is_used(search, row)) {
            looks++;
            r = try_left(box, search, row);
        }
    }
    return r;
}

/*
 * No link was ever told of: there is nothing to look for. One whose sender died between its name and that
 * stands in the way of the first new one (-EEXIST), which is when it is looked for.
 */
static bool has_no_link_yet(const struct tg_box *box)
{
    return (box->mode & 0077) == 0 && tg_load_acquire(&box->room->users) == 1 &&
           box->n_users == 1 && tg_load_acquire(&box->users[0].bells->links) == 0;
}

static struct tg_room_row *room_row(const struct tg_box *box, uint32_t row)
{
    const bool bounded = box->capacity != TONG_UNBOUNDED && box->capacity != 0;
    return bounded && row < tg_load_acquire(&box->room->n_rows) ? &box->room_rows[row] : NULL;
}

/* Numbers go on where the last link of this row stopped (I5). */
static uint32_t first_sequence(const struct tg_box *box, uint32_t row)
{
    if (box->capacity == TONG_UNBOUNDED) {
        /* Where it cannot be read the row is not said to be another link's: its reader knows. */
        (void)tg_sight_fetch_row(&box->sight, row);
        return row < tg_load_acquire(&box->main.head->n_rows)
                   ? tg_load_acquire(&box->main.rows[row].done)
                   : 0;
    }
    const struct tg_room_row *r = room_row(box, row);
    return r != NULL ? tg_load_acquire(&r->sent) : 0;
}

/* A link just made whose numbers begin in the wrong place: nothing was sent on it. */
static void unmake_link(struct tg_box *box, const char *name)
{
    tg_fd fd = tg_sys_open(box->dir, name, O_RDWR, 0);
    if (fd >= 0 && tg_sys_lock(fd, true) == 0) {
        make_gone(box->dir, name, &box->tx.writer, NULL);
    }
    tg_writer_detach(&box->tx.writer);
}

static int make_link(struct tg_box *box, uint32_t row, const struct search *search)
{
    struct tg_sender *tx = &box->tx;
    struct tg_link_birth birth = { .row = row,
                                   .sequence = first_sequence(box, row),
                                   .owner = box->me,
                                   .mode = tg_file_mode(box->mode, false),
                                   .lane = search->lane,
                                   .from = search->from };
    memcpy(birth.box_id, box->id, 16);
    char temp[64];
    char name[TG_LINK_NAME_SIZE];
    (void)snprintf(temp, sizeof temp, ".new.%016llx.%p", (unsigned long long)box->me, (void *)box);
    tg_link_name(row, name);
    prepare_writer(box);
    int r = tg_writer_make(&tx->writer, box->dir, temp, &birth);
    if (r == 0) {
        r = tg_sys_rename(box->dir, temp, name, false);
        if (r < 0) {
            (void)tg_sys_unlink(box->dir, temp);
            tg_writer_detach(&tx->writer);
        }
    }
    /* Between the look and the rename another link may have come and gone in this row. */
    if (r == 0 && first_sequence(box, row) != birth.sequence) {
        unmake_link(box, name);
        r = -EEXIST;
    }
    return r;
}

static int make_somewhere(struct tg_box *box, const struct search *search)
{
    for (uint32_t row = 0; row < TG_LINKS_MAX; row++) {
        if (is_used(search, row)) {
            continue;
        }
        const int r = make_link(box, row, search);
        if (r != -EEXIST) {
            return r;
        }
    }
    return -EUSERS;
}

static void tell_receivers(struct tg_box *box)
{
    tg_a32 *links = &box->users[box->ring].bells->links;
    /* Before the first message: a receiver that looks behind its fence sees it. */
    (void)tg_add(links, 1);
    /* For tong_watch; receivers do not sleep on it. */
    tg_sys_futex_wake(links, INT_MAX);
}

int tg_sender_get_link(struct tg_box *box)
{
    struct tg_sender *tx = &box->tx;
    struct search search = { .lane = box->lane };
    tg_from_own(box, search.from);
    /* The link's file would be one user's and its sender's record another's: who took it for dead
     * then would be right. */
    int r = tg_root_may_own(box->root, geteuid()) ? 0 : -EACCES;
    bool new_one = r == 0 && has_no_link_yet(box);
    if (new_one) {
        r = make_link(box, 0, &search);
    }
    if ((r == 0 && !new_one) || r == -EEXIST) {
        r = find_left(box, &search);
        new_one = r == 0;
        if (new_one) {
            r = make_somewhere(box, &search);
        }
    }
    if (r < 0) {
        return r;
    }
    /* Bounded, a link holds no more than that anyway; unbounded, it shall fall back to little. */
    const bool bounded = box->link_capacity != TONG_UNBOUNDED || box->capacity != TONG_UNBOUNDED;
    tx->writer.keep = bounded ? UINT64_C(4) << 20 : UINT64_C(512) << 10;
    if (box->lossy || box->everyone) {
        tx->writer.keep = UINT64_MAX / 2; /* I4 of give_up.c; and no receiver knows of the others */
    }
    tx->has_link = true;
    tg_store_relaxed(&tx->writer.head->handle, box->handle);
    tg_poll_clear_sender(box->dir, tx->writer.head, tx->writer.row);
    tx->was_alone = search.n_used == (new_one ? 0 : 1);
    tg_from_linked(box);
    tx->is_plain = box->capacity == TONG_UNBOUNDED && box->way == NULL && tx->poll == NULL;
    tx->is_bounded = box->capacity != TONG_UNBOUNDED && box->capacity != 0 && box->way == NULL &&
                     tx->poll == NULL && !box->lossy && !box->everyone;
    tx->plain_room = box->link_capacity;
    tx->row_known = false;
    tx->note = 0;
    tx->want = 1;
    tx->since_wake = UINT32_MAX / 2;
    tx->cpu = UINT32_MAX;
    const uint64_t first = tg_load_relaxed(&tx->writer.head->first);
    tx->done_seen = tg_place_sequence(tx->writer.keeps_oldest ? tx->writer.oldest : first);
    tx->offer = (uint32_t)(tg_load_relaxed(&tx->writer.head->offer) >> 32);
    if (box->capacity != 0 && box->capacity != TONG_UNBOUNDED) {
        r = tg_room_enter(box, tx->writer.row);
    }
    if (r < 0) {
        tg_sender_put_link(box);
        return r;
    }
    tell_receivers(box);
    if (box->capacity == 0) {
        tg_rendezvous_settle(box);
    } else if (!new_one && !tg_sender_is_handed_out(box)) {
        /* What the one before committed and told nobody of. */
        tg_sender_ring(box, true);
    }
    return 0;
}

void tg_sender_put_link(struct tg_box *box)
{
    struct tg_sender *tx = &box->tx;
    struct tg_writer *w = &tx->writer;
    char name[TG_LINK_NAME_SIZE];
    tg_link_name(w->row, name);
    if (tx->holds_room) {
        tg_room_give_back(box);
    }
    tg_room_exit(box);
    tx->has_link = false;
    tx->is_plain = tx->is_bounded = false;
    tg_from_unlinked(box);
    tg_poll_clear_sender(box->dir, w->head, w->row);
    tg_fd fd = tg_sys_open(box->dir, name, O_RDWR, 0);
    struct brief brief;
    if (fd < 0 || read_brief(fd, &brief) < 0 || brief.link_id != w->link_id ||
        tg_sys_lock(fd, true) < 0) {
        tg_store_release(&w->head->owner, UINT64_C(0));
        tg_writer_detach(w);
        return;
    }
    const struct tg_link_place place = tg_sender_place(box);
    if (is_drained(box->main.head, box->main.rows, w, &place)) {
        if (box->way != NULL) {
            tg_carry_forget_bodies(box->dir, w->link_id);
        }
        make_gone(box->dir, name, w, room_row(box, w->row));
    } else if (box->way != NULL) {
        /* release: all that was sent comes before. */
        tg_store_release(&w->head->owner, UINT64_C(0));
    } else {
        tg_writer_trim(w, fd, &place);
        /* release: all that was sent comes before. */
        tg_store_release(&w->head->owner, UINT64_C(0));
    }
    tg_writer_detach(w);
}

/* ---- max_bytes */

struct sum {
    int dir;
    uint64_t bytes;
};

static int add_bytes(const char *name, unsigned char type, void *arg)
{
    struct sum *sum = arg;
    struct stat st;
    uint64_t id;
    (void)type;
    if ((tg_link_row(name) >= 0 || tg_carry_is_body(name, &id)) &&
        tg_sys_stat(sum->dir, name, &st) == 0) {
        sum->bytes += (uint64_t)st.st_blocks * 512;
    }
    return 0;
}

/* The files' sizes are the truth; they are counted again when this link has added enough to
 * matter. */
static int may_grow(void *arg, uint64_t bytes)
{
    struct tg_box *box = arg;
    struct tg_sender *tx = &box->tx;
    if (tx->max_sum + tx->added + bytes > box->max_bytes || tx->max_sum == 0 ||
        tx->added > box->max_bytes / 64) {
        struct sum sum = { .dir = box->dir };
        const int r = tg_sys_list(box->dir, add_bytes, &sum);
        if (r < 0) {
            return r;
        }
        tx->max_sum = sum.bytes;
        tx->added = 0;
    }
    if (tx->max_sum + bytes > box->max_bytes) {
        return -ENOSPC;
    }
    TG_PROBE(grow, box->name, bytes);
    tx->added += bytes;
    return 0;
}

/* ---- clearing away */

struct links_sweep {
    struct tg_root *root;
    const struct tg_box_view *view;
    struct tg_room_head *room; /* of a bounded mailbox */
    uint32_t found;
    uint32_t looked_at;
    uint32_t most;
    bool repair;
};

static bool map_room(struct links_sweep *sweep)
{
    tg_fd fd = tg_sys_open(sweep->view->dir, TG_ROOM_FILE, O_RDWR | O_NONBLOCK, 0);
    struct stat st;
    void *p = NULL;
    if (fd >= 0 && tg_sys_fstat(fd, &st) == 0 && st.st_size == TG_ROOM_SIZE &&
        tg_sys_map(fd, 0, TG_ROOM_SIZE, true, &p) == 0) {
        sweep->room = p;
    }
    return sweep->room != NULL;
}

static struct tg_room_row *row_of_room(const struct links_sweep *sweep, uint32_t row)
{
    if (sweep->room == NULL || row >= tg_load_acquire(&sweep->room->n_rows)) {
        return NULL;
    }
    return (struct tg_room_row *)(void *)((uint8_t *)sweep->room + TG_ROOM_ROWS_OFF) + row;
}

/* Of a carried link: nothing of it waits, is claimed, or is one that its sender died with (carried.c, I3). */
static void sweep_carried(struct links_sweep *sweep, int fd, const char *name,
                          const struct brief *brief)
{
    const struct tg_box_view *view = sweep->view;
    const uint32_t row = (uint32_t)tg_link_row(name);
    struct row_of row_of = { view->head, view->rows, row, brief->link_id, &view->sight };
    void *p = NULL;
    if (tg_sys_map(fd, 0, TG_PAGE, true, &p) < 0) {
        return;
    }
    struct tg_writer w = { .head = p, .row = row, .link_id = brief->link_id };
    const struct tg_link_place place = row_place(&row_of);
    const uint32_t tail = tg_place_sequence(tg_load_acquire(&w.head->tail));
    const uint32_t next = place.known ? tg_place_sequence(place.next) : tail;
    w.sequence = (int32_t)(next - tail) > 0 ? next : tail;
    if (tg_load_relaxed(&w.head->row) == row && is_drained(view->head, view->rows, &w, &place)) {
        sweep->found++;
        if (sweep->repair) {
            tg_carry_forget_bodies(view->dir, w.link_id);
            make_gone(view->dir, name, &w, row_of_room(sweep, row));
        }
    }
    tg_sys_unmap(p, TG_PAGE);
}

/* The lock of fd is held, the link has no sender. */
static void sweep_left(struct links_sweep *sweep, int fd, const char *name,
                       const struct brief *brief)
{
    const struct tg_box_view *view = sweep->view;
    const uint32_t row = (uint32_t)tg_link_row(name);
    struct row_of row_of = { view->head, view->rows, row, brief->link_id, &view->sight };
    struct tg_writer w = { .keeps_oldest =
                               is_to_all(view->head) ||
                               (tg_load_relaxed(&view->head->full) == TONG_DROP_OLDEST &&
                                tg_load_relaxed(&view->head->capacity) != 0) };
    /* As a successor would: what was committed and not counted is found, and then it is left. */
    if (brief->state == TG_LINK_GONE) {
        sweep->found++;
        if (sweep->repair) {
            (void)tg_sys_unlink(view->dir, name);
        }
    } else if (tg_load_relaxed(&view->head->carried) != 0) {
        sweep_carried(sweep, fd, name, brief);
    } else if (tg_writer_take_over(&w, view->dir, fd, 0, row_place, &row_of) == 0) {
        const struct tg_link_of of = {
            .row = row, .link_id = brief->link_id, .first = w.oldest, .own = &w
        };
        const struct tg_link_place place = tg_view_reach(sweep->root, view, &of).place;
        if (w.row == row && is_drained(view->head, view->rows, &w, &place)) {
            sweep->found++;
            if (sweep->repair) {
                make_gone(view->dir, name, &w, row_of_room(sweep, row));
            }
        }
        tg_writer_detach(&w);
    }
}

static int sweep_one(const char *name, unsigned char type, void *arg)
{
    struct links_sweep *sweep = arg;
    (void)type;
    unsigned long long id;
    if (sscanf(name, ".new.%16llx.", &id) == 1) {
        struct stat st;
        if (tg_sys_stat(sweep->view->dir, name, &st) == 0 && st.st_uid == geteuid() &&
            !tg_life_is_alive_of(sweep->root, id, st.st_uid)) {
            sweep->found++;
            if (sweep->repair) {
                (void)tg_sys_unlink(sweep->view->dir, name);
            }
        }
        return 0;
    }
    if (tg_link_row(name) < 0) {
        return 0;
    }
    if (sweep->looked_at++ == sweep->most) {
        return 1;
    }
    struct brief brief;
    tg_fd fd = open_left(sweep->root, sweep->view->dir, name, NULL, &brief);
    if (fd >= 0) {
        sweep_left(sweep, fd, name, &brief);
    }
    return 0;
}

uint32_t tg_links_sweep(struct tg_root *root, const struct tg_box_view *view, uint32_t most,
                        bool repair)
{
    struct tg_books books = { .n = 0 };
    struct tg_box_view own = *view;
    struct links_sweep sweep = { .root = root, .view = &own, .most = most, .repair = repair };
    own.books = is_to_all(view->head) ? &books : NULL;
    const uint32_t capacity = tg_load_relaxed(&view->head->capacity);
    if (capacity != 0 && capacity != TONG_UNBOUNDED && !map_room(&sweep)) {
        return 0; /* without it no link may go (I5) */
    }
    (void)tg_sys_list(view->dir, sweep_one, &sweep);
    tg_sys_unmap(sweep.room, TG_ROOM_SIZE);
    tg_books_close(&books);
    return sweep.found;
}
