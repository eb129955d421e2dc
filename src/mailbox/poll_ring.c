/*
 * Who rings those that wait in an event loop.
 *
 * A receiver that waits in an event loop is armed: its slot has an epoch, and `arms`, beside TURN, is
 * the last epoch given. It is rung by a byte into its FIFO, once an epoch for all senders of a user:
 * their bell file has a word for each slot that says how far the ringing is.
 *
 *   ringer                                     receiver: see poll.c
 *   commit, fence
 *   arms new to me? for each slot:
 *     e = armed; 0: not waiting, done
 *     my message taken by now? no more rings
 *     rung = {e, begun}                        armed = 0, fence
 *     armed still e? else once more            rung {armed, begun}? wait for the byte
 *     a byte into its FIFO                     empty the FIFO
 *     rung = {e, ended}                        armed = arms = the next epoch, fence, look again
 *   note = arms, as read first
 *
 * I1  Of the two fences one comes first: the ringer sees the epoch, or the receiver the message.
 * I2  Nobody believes a ring that has only begun: its ringer may be dead. Who finds one rings, too.
 * I3  What is noted is the value of arms read before the slots were looked at; a ringer that stopped,
 *     for its message was taken, notes nothing: it has not rung for what it sends next.
 * I4  Between `begun` and the byte the ringer looks at the epoch again, and the receiver at `begun`
 *     after it took the epoch back: so no byte comes when all is taken (but from one that is overtaken
 *     between the two: then a receive call finds nothing).
 *
 * A FIFO's number is never used twice in a slot: a descriptor kept for one is not another's. Whoever may
 * read it, too, opens it for both, and has no broken pipe to fear.
 */
#include "mailbox/poll.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/event.h"
#include "mailbox/box.h"

/* ---- the FIFOs */

static void fifo_name(uint32_t slot, uint32_t number, char ret_name[TG_POLL_NAME_SIZE])
{
    (void)snprintf(ret_name, TG_POLL_NAME_SIZE, TG_POLL_NAME, slot, number);
}

/* Another user may have put anything there: only a FIFO of the mailbox's user is written to. */
static int open_fifo(int dir, const char *name, uint32_t uid, bool *ret_guarded)
{
    struct stat st;
    bool guarded = false;
    tg_fd fd = tg_sys_open(dir, name, O_RDWR, 0);
    if (fd == -EACCES) {
        guarded = true;
        fd = tg_sys_open(dir, name, O_WRONLY, 0);
    }
    int r = fd < 0 ? fd : tg_sys_fstat(fd, &st);
    if (r < 0) {
        return r;
    }
    if (!S_ISFIFO(st.st_mode) || (uid != TG_ANY_UID && st.st_uid != uid)) {
        return -EPROTO;
    }
    *ret_guarded = guarded;
    return tg_steal_fd(&fd);
}

static void forget(struct tg_poll_out *out)
{
    tg_sys_close(out->fd);
    *out = (struct tg_poll_out){ .fd = -1 };
}

int tg_poll_out_open(struct tg_poll_out *out, int dir, const char *name, uint32_t uid)
{
    const int fd = open_fifo(dir, name, uid, &out->guarded);
    if (fd >= 0) {
        out->fd = fd;
    }
    return fd < 0 ? fd : 0;
}

void tg_poll_out_close(struct tg_poll_out *out)
{
    if (out->number != 0) { /* all 0 it was never open */
        forget(out);
    }
}

static struct tg_poll_out *place_of(struct tg_ringer *ringer, uint32_t slot)
{
    if (slot >= ringer->n) {
        const uint32_t n = (slot / 8 + 1) * 8;
        struct tg_poll_out *out = realloc(ringer->out, n * sizeof *out);
        if (out == NULL) {
            return NULL;
        }
        for (uint32_t i = ringer->n; i < n; i++) {
            out[i] = (struct tg_poll_out){ .fd = -1 };
        }
        ringer->out = out;
        ringer->n = n;
    }
    return &ringer->out[slot];
}

void tg_ringer_close(struct tg_ringer *ringer)
{
    for (uint32_t i = 0; i < ringer->n; i++) {
        forget(&ringer->out[i]);
    }
    free(ringer->out);
    *ringer = (struct tg_ringer){ .n = 0 };
}

/* A byte into the FIFO of a slot. False: it could not be told, and is to be tried again. */
static bool push(struct tg_box *box, struct tg_ringer *ringer, uint32_t slot, uint32_t number)
{
    struct tg_poll_out *out = place_of(ringer, slot);
    if (out == NULL) {
        return false;
    }
    if (out->fd >= 0 && out->number != number) {
        forget(out);
    }
    if (out->fd < 0) {
        char name[TG_POLL_NAME_SIZE];
        fifo_name(slot, number, name);
        const int fd = open_fifo(box->dir, name, box->dir_uid, &out->guarded);
        if (fd < 0) {
            /* Gone with its receiver, or no descriptor is left. */
            return fd != -EMFILE && fd != -ENFILE && fd != -ENOMEM;
        }
        out->fd = fd;
        out->number = number;
    }
    (void)tg_event_push(out->fd, out->guarded);
    return true;
}

/* ---- ringing */

enum rung {
    RUNG,
    OVER,    /* what it is for was taken */
    NOT_YET, /* the next send tries again */
};

static void end(tg_a32 *rung, uint32_t e)
{
    uint32_t seen = TG_BEGUN(e);
    (void)tg_cas(rung, &seen, TG_ENDED(e));
}

/* Begin to ring for that epoch. False: it is rung. */
static bool begin(tg_a32 *rung, uint32_t e)
{
    uint32_t seen = tg_load_acquire(rung);
    while (seen != TG_ENDED(e)) {
        if (seen == TG_BEGUN(e) || tg_cas(rung, &seen, TG_BEGUN(e))) {
            return true; /* I2 */
        }
    }
    return false;
}

static enum rung ring_slot(struct tg_box *box, struct tg_ringer *ringer,
                           const struct tg_poll_at *at, bool (*is_over)(struct tg_box *))
{
    const struct tg_box_slot *s = at->armed;
    tg_a32 *rung = &box->users[box->ring].bells->slot[at->slot].rung;
    for (;;) {
        const uint32_t polls = tg_load_acquire(&at->polls->polls);
        const uint32_t e = tg_load_acquire(&s->armed);
        if ((polls & TG_POLLS) == 0 || e == 0) {
            return RUNG;
        }
        if (is_over != NULL && is_over(box)) {
            return OVER;
        }
        if (!begin(rung, e)) {
            return RUNG;
        }
        /* Partner: the fence behind armed = 0 (I4). */
        tg_fence();
        if (tg_sight_fetch(at->sight, s, sizeof *s) < 0) {
            return RUNG; /* the next call says so */
        }
        if (tg_load_acquire(&s->armed) == e) {
            const bool told = push(box, ringer, at->slot, polls >> 1);
            if (told) {
                end(rung, e);
            }
            return told ? RUNG : NOT_YET;
        }
        end(rung, e);
    }
}

void tg_poll_ring(struct tg_box *box, struct tg_ringer *ringer, bool (*is_over)(struct tg_box *))
{
    if (box->ring == UINT32_MAX || tg_sight_fetch_slots(&box->sight) < 0) {
        return;
    }
    /* acquire: the slots' epochs come before it (I3). */
    const uint32_t arms = tg_load_acquire(&box->head->arms);
    const uint32_t n = tg_load_acquire(&box->head->n_slots);
    enum rung all = RUNG;
    for (uint32_t i = 0; i < n && i < TG_SLOTS_MAX && all != OVER; i++) {
        if ((tg_load_acquire(&box->main.slots[i].polls) & TG_POLLS) != 0) {
            const struct tg_poll_at at = { .slot = i,
                                           .polls = &box->main.slots[i],
                                           .armed = &box->slots[i],
                                           .sight = &box->sight };
            const enum rung one = ring_slot(box, ringer, &at, is_over);
            all = one != RUNG ? one : all;
        }
    }
    if (all == RUNG) {
        ringer->note = arms;
    }
}

bool tg_poll_ring_at(struct tg_box *box, struct tg_ringer *ringer, const struct tg_poll_at *at,
                     bool (*is_over)(struct tg_box *))
{
    return box->ring != UINT32_MAX && ring_slot(box, ringer, at, is_over) == RUNG;
}

void tg_poll_nudge(struct tg_box *box)
{
    if (tg_load_relaxed(&box->head->arms) != box->rx.ringer.note) {
        tg_poll_ring(box, &box->rx.ringer, NULL);
    }
}

/* ---- all names of such FIFOs */

static bool is_fifo_name(const char *name, uint32_t *ret_slot, uint32_t *ret_number)
{
    char again[TG_POLL_NAME_SIZE];
    if (sscanf(name, TG_POLL_NAME, ret_slot, ret_number) != 2) {
        return false;
    }
    fifo_name(*ret_slot, *ret_number, again);
    return strcmp(name, again) == 0;
}

static int wake_one(const char *name, unsigned char type, void *arg)
{
    const struct tg_box_view *view = arg;
    uint32_t slot;
    uint32_t number;
    bool guarded = false;
    (void)type;
    tg_fd fd =
        is_fifo_name(name, &slot, &number) ? open_fifo(view->dir, name, view->uid, &guarded) : -1;
    if (fd >= 0) {
        (void)tg_event_push(fd, guarded);
    }
    return 0;
}

void tg_poll_wake_sender(int dir, const char *name)
{
    uint32_t row;
    uint32_t number;
    bool guarded = false;
    tg_fd fd =
        tg_poll_is_send_name(name, &row, &number) ? open_fifo(dir, name, TG_ANY_UID, &guarded) : -1;
    if (fd >= 0) {
        (void)tg_event_push(fd, guarded);
    }
}

static int wake_one_sender(const char *name, unsigned char type, void *arg)
{
    (void)type;
    tg_poll_wake_sender(*(const int *)arg, name);
    return 0;
}

void tg_poll_wake_senders(int dir)
{
    (void)tg_sys_list(dir, wake_one_sender, &dir);
}

void tg_poll_wake_all(const struct tg_box_view *view)
{
    /* Nobody was ever armed: nothing is looked for. (To everyone, the books would say so.) */
    if (tg_load_acquire(&view->head->arms) != 0 ||
        TG_DELIVERY(tg_load_relaxed(&view->head->delivery)) == TONG_EVERYONE) {
        (void)tg_sys_list(view->dir, wake_one, (void *)(uintptr_t)view);
    }
}

/* ---- clearing away */

void tg_poll_clear_slot(struct tg_box *box, uint32_t slot)
{
    if ((tg_load_relaxed(&box->main.slots[slot].polls) & TG_POLLS) != 0) {
        tg_store_release(&box->slots[slot].armed, UINT32_C(0));
        tg_poll_clear(box->dir, &box->main.slots[slot], slot);
    }
}

void tg_poll_clear(int dir, struct tg_box_slot *s, uint32_t slot)
{
    const uint32_t polls = tg_load_relaxed(&s->polls);
    char name[TG_POLL_NAME_SIZE];
    if ((polls & TG_POLLS) == 0) {
        return;
    }
    fifo_name(slot, polls >> 1, name);
    (void)tg_sys_unlink(dir, name);
    /* Last: killed before, the next repair finds it. */
    tg_store_release(&s->polls, polls & ~TG_POLLS);
}

struct sweep {
    struct tg_root *root;
    const struct tg_box_view *view;
    uint32_t found;
    bool repair;
};

/* The same of a link: it has that FIFO while its sender lives. */
static bool has_sender(const struct sweep *sweep, uint32_t row, uint32_t number)
{
    char name[TG_LINK_NAME_SIZE];
    struct tg_link_head head;
    struct stat st;
    tg_link_name(row, name);
    tg_fd fd = row < TG_LINKS_MAX ? tg_sys_open(sweep->view->dir, name, O_RDONLY | O_NONBLOCK, 0)
                                  : -ENOENT;
    if (fd < 0 || tg_sys_fstat(fd, &st) < 0 || tg_sys_pread(fd, &head, sizeof head, 0) < 0) {
        return fd != -ENOENT; /* it cannot be told */
    }
    const uint64_t owner = tg_load_relaxed(&head.owner);
    return tg_load_relaxed(&head.polls) == (number << 1 | TG_POLLS) && owner != 0 &&
           tg_life_is_alive_of(sweep->root, owner, st.st_uid);
}

/* The name says of which slot and which use of it: if that is over, it is for ever. */
static int sweep_one(const char *name, unsigned char type, void *arg)
{
    struct sweep *sweep = arg;
    uint32_t slot;
    uint32_t number;
    (void)type;
    if (tg_poll_is_send_name(name, &slot, &number)) {
        if (has_sender(sweep, slot, number)) {
            return 0;
        }
    } else if (!is_fifo_name(name, &slot, &number)) {
        return 0;
    } else if (slot < TG_SLOTS_MAX && slot < tg_load_acquire(&sweep->view->head->n_slots)) {
        const struct tg_box_slot *s = &sweep->view->slots[slot];
        /* Its slot's word is older than the name just seen. */
        if (tg_sight_fetch(&sweep->view->sight, s, sizeof *s) < 0) {
            return 0;
        }
        const uint64_t owner = tg_load_acquire(&s->owner);
        if (tg_load_acquire(&s->polls) == (number << 1 | TG_POLLS) && owner != 0 &&
            tg_life_is_alive_of(sweep->root, owner, sweep->view->uid)) {
            return 0;
        }
    }
    sweep->found++;
    if (sweep->repair) {
        (void)tg_sys_unlink(sweep->view->dir, name);
    }
    return 0;
}

uint32_t tg_poll_sweep(struct tg_root *root, const struct tg_box_view *view, bool repair)
{
    struct sweep sweep = { .root = root, .view = view, .repair = repair };
    (void)tg_sys_list(view->dir, sweep_one, &sweep);
    return sweep.found;
}
