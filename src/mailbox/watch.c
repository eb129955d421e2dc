/*
 * Watching for deaths.
 *
 * A party is a process that has a receiver's slot or a link here. The watcher keeps a list of those
 * it found; it sleeps on their life words, and on the words that count arrivals.
 *
 * I1  The counts are read first, then slots and links, then the lives: who arrives later changes a
 *     count that the sleep compares, who dies later changes a life word that it compares.
 * I2  A party is told of once: it stays on the list, marked, while a slot or a link names it.
 * I3  A party that is neither listed nor dead has closed its handle and is forgotten; so is one whose
 *     record says that it left in peace.
 *
 * Nothing is written for others to read but what every sleeper does: of the sleepers on a life word
 * the kernel wakes one, and that one wakes the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "mailbox/box.h"

#define SLICE_NS TONG_MS(10) /* of a sleep that could not watch all of them */

/* ---- the list */

static int note(struct tg_box *box, const struct tg_party *found)
{
    struct tg_watch *watch = &box->watch;
    for (uint32_t i = 0; i < watch->n; i++) {
        if (watch->parties[i].id == found->id) {
            watch->parties[i].listed |= found->listed;
            return 0;
        }
    }
    if (watch->n == watch->room) {
        const uint32_t room = watch->room == 0 ? 16 : 2 * watch->room;
        struct tg_party *parties = realloc(watch->parties, room * sizeof *parties);
        if (parties == NULL) {
            return -ENOMEM;
        }
        watch->parties = parties;
        watch->room = room;
    }
    watch->parties[watch->n++] = *found;
    return 0;
}

static int note_receivers(struct tg_box *box)
{
    if (tg_sight_fetch_slots(&box->sight) < 0) {
        return -EPROTO;
    }
    const uint32_t n = tg_load_acquire(&box->main.head->n_slots);
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX; i++) {
        const struct tg_box_slot *slot = &box->main.slots[i];
        const struct tg_party party = { .id = tg_load_acquire(&slot->owner),
                                        .listed = TONG_RECEIVE,
                                        .uid = box->dir_uid,
                                        .pid = (int32_t)tg_load_relaxed(&slot->pid) };
        const int r = party.id == 0 || party.id == box->me ? 0 : note(box, &party);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int note_sender(const char *name, unsigned char type, void *arg)
{
    struct tg_box *box = arg;
    (void)type;
    if (tg_link_row(name) < 0) {
        return 0;
    }
    tg_fd fd = tg_sys_open(box->dir, name, O_RDONLY | O_NONBLOCK, 0);
    struct stat st;
    struct tg_link_head head;
    if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM) {
        return fd;
    }
    if (fd < 0 || tg_sys_fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        tg_sys_pread(fd, &head, sizeof head, 0) < 0 ||
        tg_load_relaxed(&head.magic) != TG_LINK_MAGIC) {
        return 0;
    }
    const struct tg_party party = { .id = tg_load_relaxed(&head.owner),
                                    .listed = TONG_SEND,
                                    .uid = st.st_uid,
                                    .pid = (int32_t)tg_load_relaxed(&head.pid) };
    return party.id == 0 || party.id == box->me ? 0 : note(box, &party);
}

/* Look at who is there. */
static int refresh(struct tg_box *box)
{
    for (uint32_t i = 0; i < box->watch.n; i++) {
        box->watch.parties[i].listed = 0;
    }
    const int r = note_receivers(box);
    return r < 0 ? r : tg_sys_list(box->dir, note_sender, box);
}

/* Bring lives and list together. The index of one whose death is to be told, or -1. */
static int find_dead(struct tg_box *box)
{
    struct tg_watch *watch = &box->watch;
    for (uint32_t i = 0; i < watch->n;) {
        struct tg_party *party = &watch->parties[i];
        const bool alive = tg_life_is_alive_of(box->root, party->id, party->uid);
        if (party->listed != 0) {
            /* What a dead one had goes piece by piece. */
            party->roles = alive ? party->listed : party->roles | party->listed;
        }
        if (!alive && !party->told && !tg_life_has_left(box->root, party->id)) {
            if (watch->begun) {
                return (int)i;
            }
            party->told = true; /* before anybody watched */
        }
        if (party->listed == 0) {
            watch->parties[i] = watch->parties[--watch->n];
        } else {
            i++;
        }
    }
    return -1;
}

/* ---- sleeping */

/* The words that count arrivals (I1). */
static void add_counts(struct tg_box *box, struct tg_waitset *set)
{
    (void)tg_gate_enter(&box->rx.short_, TG_NEVER, NULL, 0);
    tg_sight_watch(&box->room_sight, &box->room->users, set);
    (void)tg_box_find_users(box);
    for (uint32_t i = 0; i < box->n_users; i++) {
        tg_sight_watch(&box->users[i].sight, &box->users[i].bells->links, set);
    }
    tg_gate_leave(&box->rx.short_);
    tg_sight_watch(&box->sight, &box->main.head->arrivals, set);
    /* Rung by the end of the mailbox, and when it is given. */
    tg_sight_watch(&box->sight, &box->main.head->room, set);
}

/* False: somebody is dead. *ret_all: there was place for all of them. */
static bool add_lives(struct tg_box *box, struct tg_waitset *set, bool *ret_all)
{
    struct tg_watch *watch = &box->watch;
    *ret_all = true;
    for (uint32_t i = 0; i < watch->n; i++) {
        const struct tg_party *party = &watch->parties[(watch->first + i) % watch->n];
        if (party->told) {
            continue;
        }
        if (set->n + 2 >= TG_WAITSET_MAX) { /* one is kept for the owner's */
            *ret_all = false;
            watch->first = (watch->first + i) % watch->n;
            return true;
        }
        if (!tg_life_watch_of(box->root, party->id, party->uid, set) &&
            !tg_life_has_left(box->root, party->id)) {
            return false;
        }
    }
    return true;
}

struct call {
    int64_t deadline;
    uint32_t interrupts;
    uint32_t sleeps;
};

/* One look, and if nobody died, one sleep. 1 and *ret_death, 0 look again, -errno. */
static int look_and_sleep(struct tg_box *box, struct call *call, tong_death *ret_death)
{
    struct tg_watch *watch = &box->watch;
    struct tg_waitset set;
    bool all;
    tg_waitset_clear(&set);
    tg_waitset_add(&set, &box->interrupts->now, call->interrupts);
    add_counts(box, &set);
    int r = refresh(box);
    const int dead = r < 0 ? -1 : find_dead(box);
    if (dead >= 0) {
        struct tg_party *party = &watch->parties[dead];
        ret_death->roles = party->roles;
        ret_death->pid = party->pid;
        ret_death->uid = party->uid;
        party->told = true;
        return 1;
    }
    watch->begun = watch->begun || r == 0;
    if (r < 0 || call->deadline == 0) {
        return r < 0 ? tg_box_gone(box, r) : -EAGAIN;
    }
    if (tg_box_is_interrupted(box, call->interrupts)) {
        return -ECANCELED;
    }
    if (tg_is_over(call->deadline)) {
        return -ETIMEDOUT;
    }
    if (!add_lives(box, &set, &all) || !tg_box_may_sleep(box, &set)) {
        return 0;
    }
    const int64_t piece = tg_now_ns() + (all ? tg_backstop_ns(call->sleeps++) : (int64_t)SLICE_NS);
    tg_gate_set_asleep(&watch->gate, true);
    r = tg_waitset_sleep(&set, piece < call->deadline ? piece : call->deadline);
    tg_gate_set_asleep(&watch->gate, false);
    tg_life_pass_on(&set);
    return r == -EINTR ? r : 0;
}

int tg_box_watch(struct tg_box *box, int64_t timeout_ns, tong_death *ret_death)
{
    int r = tg_box_begin(box);
    if (r < 0) {
        return r;
    }
    struct call call = { .deadline = tg_deadline(timeout_ns),
                         .interrupts = tg_box_interrupts(box) };
    r = tg_gate_enter(&box->watch.gate, call.deadline, &box->interrupts->now, call.interrupts);
    if (r < 0) {
        return r;
    }
    do {
        tg_life_renew(box->root);
        tg_life_watch_begin(box->root);
        r = look_and_sleep(box, &call, ret_death);
        tg_life_watch_end(box->root);
        const int end = r == 0 ? tg_box_check(box) : 0;
        r = end < 0 ? end : r;
    } while (r == 0);
    tg_gate_leave(&box->watch.gate);
    return r == 1 ? 0 : r;
}
