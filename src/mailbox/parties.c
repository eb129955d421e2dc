/*
 * Who uses a mailbox: the receivers in its slots, the senders of its links. Readers only.
 *
 * A link's file is read by system calls, for its user may cut it; the box through tg_box_view. No two
 * words are of one moment. What only grows and can never be more than another word is read before that
 * one: `next` and `done` of the row before `tail`, so that a difference is too large by what moved between,
 * and never less than nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
#include "mailbox/box.h"

/* ---- one link */

/* At capacity 0 the words are numbers of offers; one may be open. */
static void count_offers(const struct tg_box_view *view, const struct tg_link_head *head,
                         uint32_t row, bool known, struct tg_link_look *look)
{
    const uint32_t offer = (uint32_t)(tg_load_relaxed(&head->offer) >> 32);
    const uint64_t verdict = known ? tg_load_relaxed(&view->rows[row].verdict) : 0;
    const bool open = (int32_t)(offer - (uint32_t)(verdict >> 32)) > 0 &&
                      (int32_t)(offer - (uint32_t)tg_load_relaxed(&head->withdrawn)) > 0;
    look->waiting = open && look->owner != 0 ? 1 : 0;
    look->sent = offer;
    look->done = offer - (open ? 1u : 0u);
}

/* How far one receiver has come, or all of them. */
struct come {
    uint32_t next;
    uint32_t done;
    uint32_t passed; /* dropped, and not noticed by it yet */
};

/* What was dropped and no receiver has passed yet neither waits nor is unfinished. */
static struct come come_of(const struct tg_box_view *view, const struct tg_link_head *head,
                           const struct tg_reach *reach, const struct tg_box_row *row)
{
    struct come come = { .next = tg_place_sequence(reach->place.next), .done = reach->done };
    if (tg_load_relaxed(&view->head->full) != TONG_DROP_OLDEST) {
        return come;
    }
    come.next = row != NULL ? tg_overtaken_next(row) : come.next;
    const int32_t ahead = (int32_t)(tg_place_sequence(tg_load_relaxed(&head->oldest)) - come.next);
    if (ahead > 0) {
        come.passed = (uint32_t)ahead;
        come.next += come.passed;
        come.done += come.passed;
    }
    return come;
}

static uint32_t behind(uint32_t sent, uint32_t number)
{
    const int32_t n = (int32_t)(sent - number);
    return n > 0 ? (uint32_t)n : 0;
}

/* To everyone each counts for each receiver; while nobody is there, once. True: somebody is. */
static bool count_books(struct tg_root *root, const struct tg_box_view *view,
                        const struct tg_link_head *head, const struct tg_link_of *link,
                        uint32_t sent, struct tg_link_look *look)
{
    bool any = false;
    for (uint32_t i = 0; i < view->books->n; i++) {
        struct tg_book *book = &view->books->all[i];
        if (!tg_book_counts(book, root, view)) {
            continue;
        }
        const struct tg_reach reach = tg_book_reach(book, link);
        const bool known =
            tg_row_place(book->file.head, book->file.rows, link->row, link->link_id).known;
        const struct come come =
            come_of(view, head, &reach, known ? &book->file.rows[link->row] : NULL);
        book->waiting += behind(sent, come.next);
        book->passed += come.passed;
        look->waiting += behind(sent, come.next);
        look->dropped += come.passed;
        any = true;
    }
    return any;
}

static void count_records(struct tg_root *root, const struct tg_box_view *view,
                          const struct tg_link_head *head, int fd, const struct tg_link_of *link,
                          struct tg_link_look *look)
{
    const struct tg_reach reach = tg_view_reach(root, view, link);
    const bool known = reach.place.known && view->books == NULL;
    const struct come come = come_of(view, head, &reach, known ? &view->rows[link->row] : NULL);
    uint32_t sent = 0;
    if (tg_link_sent(fd, &sent) < 0) {
        return;
    }
    if (view->books == NULL || !count_books(root, view, head, link, sent, look)) {
        look->waiting = behind(sent, come.next);
        look->dropped += come.passed;
    }
    const uint64_t high = tg_load_relaxed(&head->high);
    look->sent = high + (uint64_t)(int64_t)(int32_t)(sent - (uint32_t)high);
    look->done = look->sent - behind(sent, come.done);
}

bool tg_link_look(struct tg_root *root, const struct tg_box_view *view, int fd, uint32_t uid,
                  uint32_t row, struct tg_link_look *ret_look)
{
    struct tg_link_head head;
    struct tg_link_look look = { .owner = 0 };
    if (tg_sys_pread(fd, &head, sizeof head, 0) < 0 ||
        tg_load_relaxed(&head.magic) != TG_LINK_MAGIC ||
        tg_load_relaxed(&head.state) == TG_LINK_GONE) {
        return false;
    }
    look.owner = tg_load_relaxed(&head.owner);
    look.handle = tg_load_relaxed(&head.handle);
    look.pid = (int32_t)tg_load_relaxed(&head.pid);
    look.alive = look.owner != 0 && tg_life_is_alive_of(root, look.owner, uid);
    look.blocked = look.alive && tg_load_relaxed(&head.blocked) != 0;
    look.dropped = tg_load_relaxed(&head.dropped);
    look.finds = tg_load_relaxed(&head.finds);
    const uint64_t id = tg_load_relaxed(&head.link_id);
    if (tg_load_relaxed(&view->head->capacity) == 0) {
        count_offers(view, &head, row, tg_row_place(view->head, view->rows, row, id).known, &look);
    } else {
        const bool kept =
            view->books != NULL && tg_load_relaxed(&view->head->full) != TONG_DROP_OLDEST;
        const struct tg_link_of link = {
            .row = row, .link_id = id, .first = tg_load_relaxed(kept ? &head.oldest : &head.first)
        };
        count_records(root, view, &head, fd, &link, &look);
    }
    *ret_look = look;
    return true;
}

/* ---- all of them */

struct parties {
    struct tg_root *root;
    struct tg_box_view view;
    tong_party *all;
    size_t n;
    size_t room;
};

static int add(struct parties *p, const tong_party *party)
{
    if (p->n == p->room) {
        const size_t room = p->room == 0 ? 16 : 2 * p->room;
        tong_party *all = realloc(p->all, room * sizeof *all);
        if (all == NULL) {
            return -ENOMEM;
        }
        p->all = all;
        p->room = room;
    }
    p->all[p->n++] = *party;
    return 0;
}

static uint32_t count_claims(const struct tg_box_file *file, uint32_t slot)
{
    const struct tg_box_entry *e = &file->entries[(size_t)slot * TG_CLAIMS_MAX];
    const uint32_t used = tg_load_acquire(&file->slots[slot].entries);
    uint32_t n = 0;
    for (uint32_t k = 0; k < used && k < TG_CLAIMS_MAX; k++) {
        n += TG_ENTRY_STATE(tg_load_relaxed(&e[k].state)) == TG_CLAIMED;
    }
    return n;
}

/* The book of a slot, where each receiver has one. */
static const struct tg_book *book_of(const struct tg_box_view *view, uint32_t slot)
{
    const uint32_t n = view->books != NULL ? view->books->n : 0;
    for (uint32_t i = 0; i < n; i++) {
        if (view->books->all[i].slot == slot && tg_book_is_current(view, &view->books->all[i])) {
            return &view->books->all[i];
        }
    }
    return NULL;
}

static void look_into(const struct tg_book *book, tong_party *party)
{
    const uint64_t dropped = tg_book_dropped(&book->file);
    const uint64_t done = tg_load_relaxed(&book->file.head->done_total);
    party->waiting = book->waiting;
    party->done = done - (dropped < done ? dropped : done);
    party->dropped = dropped + book->passed;
}

static int add_receivers(struct parties *p)
{
    const uint32_t n = tg_load_acquire(&p->view.head->n_slots);
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < n && i < TG_SLOTS_MAX; i++) {
        const struct tg_box_slot *slot = &p->view.slots[i];
        tong_party party = TONG_PARTY_INIT;
        party.process = tg_load_acquire(&slot->owner);
        if (party.process == 0) {
            continue;
        }
        party.role = TONG_RECEIVE;
        party.number = i;
        party.uid = p->view.uid;
        party.pid = (int32_t)tg_load_relaxed(&slot->pid);
        party.alive = tg_life_is_alive_of(p->root, party.process, party.uid);
        const struct tg_book *book = book_of(&p->view, i);
        const struct tg_box_file box = { p->view.head, p->view.slots, p->view.rows,
                                         p->view.entries };
        const struct tg_box_file *file = book != NULL ? &book->file : &box;
        party.asleep = party.alive && tg_load_relaxed(&file->slots[i].ticket) != 0;
        party.claimed = count_claims(file, i);
        if (book != NULL) {
            look_into(book, &party);
        }
        r = add(p, &party);
    }
    return r;
}

static int add_sender(const char *name, unsigned char type, void *arg)
{
    struct parties *p = arg;
    struct tg_link_look look;
    struct stat st;
    (void)type;
    const int row = tg_link_row(name);
    if (row < 0) {
        return 0;
    }
    tg_fd fd = tg_sys_open(p->view.dir, name, O_RDONLY | O_NONBLOCK, 0);
    if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM) {
        return fd;
    }
    if (fd < 0 || tg_sys_fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        !tg_link_look(p->root, &p->view, fd, st.st_uid, (uint32_t)row, &look)) {
        return 0;
    }
    tong_party party = TONG_PARTY_INIT;
    party.role = TONG_SEND;
    party.process = look.owner;
    party.pid = look.pid;
    party.uid = st.st_uid;
    party.number = (uint32_t)row;
    party.alive = look.alive;
    party.asleep = look.blocked;
    party.waiting = look.waiting;
    party.sent = look.sent;
    party.done = look.done;
    party.dropped = look.dropped;
    return add(p, &party);
}

/* Receivers first, then senders, by their numbers. */
static int compare(const void *a, const void *b)
{
    const tong_party *x = a;
    const tong_party *y = b;
    if (x->role != y->role) {
        return x->role == TONG_RECEIVE ? -1 : 1;
    }
    return (x->number > y->number) - (x->number < y->number);
}

static int find_all(struct parties *p, const char *name)
{
    int r = tg_box_view_open(p->root, name, false, &p->view);
    if (r < 0) {
        return r;
    }
    if (tg_box_view_is_dead(p->root, &p->view)) {
        r = -ENOENT;
    }
    if (r == 0) {
        r = tg_box_view_books(&p->view);
    }
    /* Senders first: what they sent waits for the receivers. */
    if (r == 0) {
        r = tg_sys_list(p->view.dir, add_sender, p);
    }
    if (r == 0) {
        r = add_receivers(p);
    }
    tg_box_view_close(&p->view);
    return r;
}

int tg_box_parties(const struct tg_way *way, const char *name, tong_parties_fn *each, void *arg)
{
    struct parties p = { .n = 0 };
    int r = tg_name_check(name);
    if (r == 0) {
        r = tg_way_root(way, false, &p.root);
    }
    if (r < 0) {
        return r;
    }
    r = find_all(&p, name);
    tg_root_put(p.root);
    if (r == 0 && p.n != 0) {
        qsort(p.all, p.n, sizeof *p.all, compare);
    }
    /* A name that comes anew while the folder is read is found twice. */
    for (size_t i = 0; r == 0 && i < p.n; i++) {
        if (i == 0 || compare(&p.all[i - 1], &p.all[i]) != 0) {
            r = each(&p.all[i], arg);
        }
    }
    free(p.all);
    return r;
}
