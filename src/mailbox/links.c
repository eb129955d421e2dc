/*
 * The links a receiver knows, and the rows of the box that are about them.
 *
 * A sender tells of a new link by adding to `links` in its bell file before its first message; a
 * new user by adding to `users` in the room file. A receiver that finds a count changed reads
 * the folder. Both are looked at after the fence before a sleep, so a first message is never slept
 * over (see queue.c).
 *
 * I1  A row is about one link: link_id says which. The holder makes it anew when another file has
 *     come under the name, which happens only when the old one was drained: nothing refers to it.
 * I2  link_id is stored last (release), so that a sender that finds its own number there finds the
 *     words that belong to it.
 * I3  `done` goes on from where it stood, as the new link's numbers do: the sums stay right.
 * I4  Another receiver may have made the row anew while this one still has the old file mapped: the
 *     row is compared before it is used, under the token.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "mailbox/box.h"

#define LEFT_SHARE 256u /* of max_bytes: so much of a backlog's memory a sender may be left */

bool tg_links_is_current(struct tg_box *box, const struct tg_attached *at)
{
    if (tg_load_relaxed(&at->row->link_id) == at->reader.link_id) {
        return true;
    }
    box->rx.stale = true;
    return false;
}

int tg_rows_reserve(int dir, const char *file, struct tg_box_head *head, uint32_t row)
{
    const uint32_t n = tg_load_relaxed(&head->n_rows);
    if (row < n) {
        return 0;
    }
    const uint32_t rows_a_page = (uint32_t)(TG_PAGE / sizeof(struct tg_box_row));
    const uint32_t end = (row / rows_a_page + 1) * rows_a_page;
    tg_fd fd = tg_sys_open(dir, file, O_RDWR, 0);
    if (fd < 0) {
        return fd;
    }
    const int r = tg_sys_allocate(fd, TG_BOX_ROWS_OFF + (uint64_t)n * sizeof(struct tg_box_row),
                                  (uint64_t)(end - n) * sizeof(struct tg_box_row));
    if (r == 0) {
        /* release: who sees the count may read the rows. */
        tg_store_release(&head->n_rows, end);
    }
    return r;
}

/* I1 to I3. */
static void set_row(struct tg_box *box, struct tg_attached *at)
{
    struct tg_box_row *row = at->row;
    if (tg_load_relaxed(&row->link_id) == at->reader.link_id) {
        return;
    }
    const uint64_t first =
        box->rx.joins ? tg_everyone_start(box, at) : tg_load_relaxed(&at->reader.head->first);
    /* At capacity 0 head counts offers, and the first one has number 1. */
    const uint64_t head = box->capacity == 0 ? UINT64_C(1) << 32 : first;
    const uint32_t done = tg_place_sequence(first);
    const uint32_t old = tg_load_relaxed(&row->done);
    tg_store_release(&row->link_id, UINT64_C(0));
    tg_store_relaxed(&row->next, first);
    tg_store_relaxed(&row->head, head);
    tg_store_relaxed(&row->grant, UINT64_C(0));
    tg_store_relaxed(&row->verdict, UINT64_C(0));
    /* What was dropped on the links before stays counted. */
    tg_store_relaxed(&row->dropped, first >> 32 << 32 | (uint32_t)tg_load_relaxed(&row->dropped));
    tg_store_relaxed(&row->done, done);
    tg_store_relaxed(&row->rung, UINT32_C(0));
    if (box->capacity != 0 && !box->everyone && (int32_t)(done - old) > 0) {
        tg_claims_note_done(box, done - old);
    }
    tg_store_release(&row->link_id, at->reader.link_id);
    /* Its sender may sleep already, without a row to wait on. */
    box->rx.ring_due = true;
    box->rx.ring_always = true;
}

static void drop(struct tg_box *box, struct tg_attached *at)
{
    struct tg_receiver *rx = &box->rx;
    uint32_t i = 0;
    while (rx->attached[i] != at) {
        i++;
    }
    memmove(rx->attached + i, rx->attached + i + 1,
            (rx->n_attached - i - 1) * sizeof *rx->attached);
    rx->n_attached--;
    rx->by_row[at->reader.row] = NULL;
    if (rx->ring_one == at) {
        rx->ring_one = NULL;
    }
    tg_poll_out_close(&at->out);
    tg_reader_detach(&at->reader);
    free(at);
}

static int make_room_for_one(struct tg_receiver *rx)
{
    if (rx->by_row == NULL) {
        rx->by_row = calloc(TG_LINKS_MAX, sizeof(struct tg_attached *));
        if (rx->by_row == NULL) {
            return -ENOMEM;
        }
    }
    if (rx->n_attached < rx->attached_room) {
        return 0;
    }
    const uint32_t room = rx->attached_room == 0 ? 8 : 2 * rx->attached_room;
    struct tg_attached **attached = realloc(rx->attached, room * sizeof(struct tg_attached *));
    if (attached == NULL) {
        return -ENOMEM;
    }
    rx->attached = attached;
    rx->attached_room = room;
    return 0;
}

static int attach(struct tg_box *box, uint32_t row)
{
    struct tg_receiver *rx = &box->rx;
    int r = make_room_for_one(rx);
    if (r == 0) {
        r = tg_rows_reserve(box->dir, box->desk, box->head, row);
    }
    if (r < 0) {
        return r;
    }
    struct tg_attached *at = calloc(1, sizeof *at);
    if (at == NULL) {
        return -ENOMEM;
    }
    r = tg_reader_attach(&at->reader, box->dir, row, box->id);
    if (r < 0) {
        free(at);
        /* Gone by now, or not a link: nothing that hinders the others. */
        return r == -ENOENT || r == -EPROTO || r == -EACCES ? 0 : r;
    }
    at->row = &box->rows[row];
    at->reader.spare = box->max_bytes / LEFT_SHARE / TG_PAGE;
    at->from_seen = UINT32_MAX; /* asked when it is wanted */
    set_row(box, at);
    rx->by_row[row] = at;
    tg_lane_attach(box, at);
    return 0;
}

/* Nothing of it is handed out and not finished. */
static bool is_drained(const struct tg_box *box, const struct tg_attached *at)
{
    const uint64_t head = tg_load_relaxed(&at->row->head);
    if (box->capacity != 0) {
        /* With delivery to everyone one who joins may begin before what the others have left. */
        const bool all =
            !box->everyone ||
            tg_place_sequence(head) == tg_place_sequence(tg_load_acquire(&at->reader.head->tail));
        return head == tg_load_relaxed(&at->row->next) && all;
    }
    const uint64_t verdict = tg_load_relaxed(&at->row->verdict);
    return verdict == 0 || (uint32_t)(head >> 32) == (uint32_t)(verdict >> 32) + 1;
}

/* One that is cut is damaged and not gone; nor is one that says so while somebody works on what it
 * sent. */
static bool is_gone(const struct tg_box *box, const struct tg_attached *at)
{
    return tg_reader_refresh(&at->reader) == 0 &&
           tg_load_acquire(&at->reader.head->state) == TG_LINK_GONE && is_drained(box, at);
}

static int attach_new(const char *name, unsigned char type, void *arg)
{
    struct tg_box *box = arg;
    (void)type;
    const int row = tg_link_row(name);
    if (row < 0) {
        return 0;
    }
    struct tg_attached *at = box->rx.by_row == NULL ? NULL : box->rx.by_row[row];
    if (at != NULL) {
        if (!is_gone(box, at) && tg_load_relaxed(&at->row->link_id) == at->reader.link_id) {
            return 0;
        }
        drop(box, at);
    }
    return attach(box, (uint32_t)row);
}

static void forget_gone(struct tg_box *box)
{
    for (uint32_t i = box->rx.n_attached; i-- > 0;) {
        struct tg_attached *at = box->rx.attached[i];
        if (is_gone(box, at) || tg_load_relaxed(&at->row->link_id) != at->reader.link_id) {
            drop(box, at);
        }
    }
}

int tg_links_refresh(struct tg_box *box)
{
    tg_box_fresh_users(box);
    const uint32_t users = tg_load_acquire(&box->room->users);
    if (users != box->rx.users_seen) {
        const int r = tg_box_find_users(box);
        if (r < 0) {
            return r;
        }
    }
    /* Counts first, folder second: what comes between is found again. */
    uint32_t links[TG_USERS_MAX];
    for (uint32_t i = 0; i < box->n_users; i++) {
        links[i] = tg_load_acquire(&box->users[i].bells->links);
    }
    box->rx.stale = false;
    forget_gone(box);
    const int r = tg_sys_list(box->dir, attach_new, box);
    if (r < 0) {
        box->rx.stale = true; /* no count may tell of it again */
        return r;
    }
    for (uint32_t i = 0; i < box->n_users; i++) {
        box->users[i].links_seen = links[i];
    }
    box->rx.users_seen = users;
    return 0;
}

void tg_links_detach_all(struct tg_box *box)
{
    while (box->rx.n_attached != 0) {
        drop(box, box->rx.attached[box->rx.n_attached - 1]);
    }
    free(box->rx.attached);
    free(box->rx.by_row);
    box->rx.attached = NULL;
    box->rx.by_row = NULL;
    box->rx.attached_room = 0;
}
