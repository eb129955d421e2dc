/*
 * What a receiver and a sender in an event loop have alike: an epoll descriptor, which the caller gets, over a
 * FIFO, a timer and the deaths that matter.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "base/event.h"
#include "mailbox/box.h"

#define READY_MOST 16
#define PATIENCE_NS 1000000 /* for one that has begun to ring */

/* ---- the level */

void tg_poll_raise(struct tg_poll *p)
{
    if (tg_event_push(p->fifo, false) == 0) {
        p->own++;
    }
}

void tg_poll_empty(struct tg_poll *p, uint32_t epoch,
                   bool (*is_ringing)(struct tg_box *box, uint32_t word), struct tg_box *box)
{
    uint32_t bytes = (uint32_t)tg_event_drain(p->fifo);
    const int64_t until = tg_now_ns() + PATIENCE_NS;
    while (epoch != 0 && bytes <= p->own && is_ringing(box, TG_BEGUN(epoch)) &&
           tg_now_ns() < until) {
        (void)sched_yield();
        bytes += (uint32_t)tg_event_drain(p->fifo);
    }
    /* Its byte came between the two looks. */
    if (epoch != 0 && bytes <= p->own && is_ringing(box, TG_ENDED(epoch))) {
        (void)tg_event_drain(p->fifo);
    }
    p->own = 0;
}

void tg_poll_next_timer(struct tg_poll *p)
{
    const int64_t after = tg_backstop_ns(p->timer_nth++);
    const bool never = after >= TG_NEVER / 2;
    p->timer_ns = never ? TG_NEVER : tg_now_ns() + after;
    (void)tg_event_timer_set(p->timer, never ? 0 : after);
}

bool tg_poll_is_timer_due(const struct tg_poll *p)
{
    return p->timer_ns != TG_NEVER && tg_now_ns() >= p->timer_ns;
}

/* ---- deaths */

void tg_poll_stop_watching(struct tg_poll *p, struct tg_poll_life *life)
{
    if (life->fd >= 0) {
        /* Not by closing alone: a forked child may have it still. */
        (void)tg_event_remove(p->epoll, life->fd);
        tg_sys_close(life->fd);
        life->fd = -1;
    }
}

/* A process of another PID namespace has another number here, or none: the back-stop looks after it. */
int tg_poll_watch_life(struct tg_box *box, struct tg_poll *p, uint64_t id)
{
    for (uint32_t i = 0; i < p->n_lives; i++) {
        if (p->lives[i].id == id) {
            return 0;
        }
    }
    if (p->n_lives == p->lives_room) {
        const uint32_t room = p->lives_room == 0 ? 4 : 2 * p->lives_room;
        void *lives = realloc(p->lives, room * sizeof *p->lives);
        if (lives == NULL) {
            return -ENOMEM;
        }
        p->lives = lives;
        p->lives_room = room;
    }
    const int32_t pid = tg_life_pid(box->root, id);
    int fd = pid > 0 ? tg_event_process(pid) : -ESRCH;
    if (fd >= 0) {
        const int r = tg_event_add(p->epoll, fd, id | TG_POLL_MARK_LIFE);
        if (r < 0) {
            tg_sys_close(fd);
            fd = r;
        }
    }
    if (fd < 0 && fd != -ESRCH && fd != -EINVAL && fd != -ENOSYS) {
        return fd;
    }
    p->lives[p->n_lives++] = (struct tg_poll_life){ .id = id, .fd = fd < 0 ? -1 : fd };
    return 0;
}

bool tg_poll_is_told(struct tg_poll *p)
{
    uint64_t marks[READY_MOST];
    const int n = tg_event_ready(p->epoll, marks, READY_MOST);
    bool any = false;
    for (int k = 0; k < n; k++) {
        any = any || marks[k] == TG_POLL_MARK_FIFO;
        for (uint32_t i = 0; i < p->n_lives && (marks[k] & TG_POLL_MARK_LIFE) != 0; i++) {
            if (p->lives[i].id == (marks[k] & ~TG_POLL_MARK_LIFE)) {
                p->lives[i].over = true;
                any = true;
            }
        }
    }
    return any;
}

/* ---- made and freed */

int tg_poll_make(struct tg_poll **ret_poll)
{
    struct tg_poll *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return -ENOMEM;
    }
    p->fifo = p->timer = -1;
    int r = p->epoll = tg_event_epoll();
    if (r >= 0) {
        r = p->timer = tg_event_timer();
    }
    if (r >= 0) {
        r = tg_event_add(p->epoll, p->timer, TG_POLL_MARK_TIMER);
    }
    if (r < 0) {
        tg_poll_free(p);
        return r;
    }
    *ret_poll = p;
    return 0;
}

void tg_poll_free(struct tg_poll *p)
{
    /* By closing alone: a forked child has the same epoll, and its parent goes on with it. The one's last close
     * ends all; what a child keeps open tells nobody anything, for its epoll is asked no more. */
    for (uint32_t i = 0; i < p->n_lives; i++) {
        tg_sys_close(p->lives[i].fd);
    }
    tg_sys_close(p->fifo);
    tg_sys_close(p->timer);
    tg_sys_close(p->epoll);
    free(p->lives);
    free(p);
}
