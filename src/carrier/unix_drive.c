/*
 * The sockets of a mailbox in its owner: who comes is let in, what was sent is read, what is finished is
 * told.
 *
 * Nobody does this by itself: it is done by whoever is in a call on the mailbox. Of several that wait for
 * a message one sleeps on the sockets, the driver; the others on words of this process (unix_deliver.c).
 *
 *   a link is     facts                                                 left by
 *   new           its connection was accepted, nothing read             HELLO; anything else: refused
 *   greeted       it has its number space, and its row if it has one    the end of the connection
 *   ended         closed here; its messages are still in the mailbox    the last of them is finished: free
 *
 * I1  A link that is ready was told of by epoll, and not found empty since. It is asked for a packet
 *     before epoll is asked again, but not more often than READS in all: newcomers get their turn.
 * I2  epoll tells of whatever is unread as long as it is unread. So a link may be forgotten at any moment
 *     (it is, where the last tries showed that there is one message at a time): it is told of again.
 * I3  What comes from a connection is input. Whoever sends what cannot be is disconnected and counted;
 *     its messages that came before are kept.
 * I4  At most LINKS_MOST connections are held, and of one process an eighth of them, so that no client
 *     takes all descriptors; one more is told so and closed. What a client has not read is not kept for
 *     it: a CREDIT that does not fit is left out, the next one says more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/kept.h"
#include "carrier/unix.h"

#define READS 64u
#define ACCEPTS 64
#define MARKS 16
#define MARK_LISTENER UINT64_C(0xffffffff00000001)
#define MARK_WAKE UINT64_C(0xffffffff00000002)
#define TRIES_AFTER 16u
#define DEAF_NS INT64_C(10000000)
#define TRIES 50 /* for a lock that others hold for some system calls */

/* ---- links */

static int make_room(struct tg_unix_link ***table, uint32_t *n, uint32_t i)
{
    if (i < *n) {
        return 0;
    }
    const uint32_t room = i + 64;
    struct tg_unix_link **p = realloc(*table, room * sizeof *p);
    if (p == NULL) {
        return -ENOMEM;
    }
    memset(p + *n, 0, (room - *n) * sizeof *p);
    *table = p;
    *n = room;
    return 0;
}

int tg_unix_drive_set_row(struct tg_unix_box *box, struct tg_unix_link *link, uint32_t row)
{
    const int r = make_room(&box->rows, &box->n_rows, row);
    if (r == 0) {
        box->rows[row] = link;
        link->row = row;
    }
    return r;
}

struct tg_unix_link *tg_unix_link_new(struct tg_unix_box *box)
{
    struct tg_unix_link *link = calloc(1, sizeof *link);
    if (link != NULL) {
        link->fd = -1;
        link->row = TG_UNIX_NO_ROW;
        link->skipped = TRIES_AFTER;
        link->next = box->links;
        box->links = link;
        tg_unix_count_small(&box->head->links, 1);
    }
    return link;
}

static void remove_ready(struct tg_unix_box *box, struct tg_unix_link *link)
{
    struct tg_unix_link **at = &box->ready;
    while (link->ready && *at != link) {
        at = &(*at)->next_ready;
    }
    if (link->ready) {
        *at = link->next_ready;
        if (box->ready_end == &link->next_ready) {
            box->ready_end = at;
        }
        link->ready = false;
    }
}

static void add_ready(struct tg_unix_box *box, struct tg_unix_link *link)
{
    if (!link->ready) {
        link->ready = true;
        link->next_ready = NULL;
        *box->ready_end = link;
        box->ready_end = &link->next_ready;
    }
}

void tg_unix_drive_forget_want(struct tg_unix_box *box, struct tg_unix_link *link)
{
    struct tg_unix_link **at = &box->wants;
    while (link->wants != 0 && *at != link) {
        at = &(*at)->next_want;
    }
    if (link->wants != 0) {
        *at = link->next_want;
        link->wants = 0;
    }
}

/* The connection goes; its messages stay. */
static void close_connection(struct tg_unix_box *box, struct tg_unix_link *link)
{
    remove_ready(box, link);
    tg_unix_drive_forget_want(box, link);
    if (link->fd >= 0) {
        box->by_fd[link->fd] = NULL;
        tg_kept_close(link->fd);
        link->fd = -1;
        box->n_connections--;
    }
    link->ended = true;
}

void tg_unix_link_free(struct tg_unix_box *box, struct tg_unix_link *link)
{
    close_connection(box, link);
    struct tg_unix_link **at = &box->links;
    while (*at != link) {
        at = &(*at)->next;
    }
    *at = link->next;
    if (link->row != TG_UNIX_NO_ROW) {
        box->rows[link->row] = NULL;
    }
    tg_unix_count_small(&box->head->links, -1);
    free(link);
}

static void grant(struct tg_unix_box *box);

/* What it took and did not use is free: of the row's taken, all that came is left. */
static void give_unused_back(struct tg_unix_box *box, struct tg_unix_link *link)
{
    if (link->row != TG_UNIX_NO_ROW) {
        (void)tg_unix_room_settle(box->made.room, link->row, link->base + link->received);
    } else if (link->granted > link->received) {
        (void)tg_unix_room_put_own(box->made.room, link->granted - link->received);
    }
}

static void drop_if_over(struct tg_unix_box *box, struct tg_unix_link *link)
{
    if (!link->ended || link->done != link->received) {
        return;
    }
    if (link->row != TG_UNIX_NO_ROW && box->ended == 0) {
        tg_unix_row_free(box->made.room, link->row, &box->head->dropped);
    }
    tg_unix_link_free(box, link);
}

void tg_unix_link_end(struct tg_unix_box *box, struct tg_unix_link *link)
{
    close_connection(box, link);
    if (box->capacity != TONG_UNBOUNDED && link->greeted) {
        give_unused_back(box, link);
        grant(box);
    }
    drop_if_over(box, link);
}

/* ---- newcomers */

static uint32_t links_most(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / 2 > TG_UNIX_ROWS) {
        return TG_UNIX_ROWS;
    }
    return (uint32_t)(limit.rlim_cur / 2);
}

/* I4 */
static bool is_welcome(const struct tg_unix_box *box, const struct tg_socket_peer *peer)
{
    const uint32_t most = links_most();
    if (box->n_connections >= most) {
        return false;
    }
    uint32_t its = 0;
    if (box->n_connections >= most / 8) {
        for (const struct tg_unix_link *l = box->links; l != NULL; l = l->next) {
            its += l->fd >= 0 && l->peer.pid == peer->pid;
        }
    }
    return its < most / 8;
}

static int add_connection(struct tg_unix_box *box, int fd)
{
    struct tg_socket_peer peer;
    int r = tg_socket_peer(fd, &peer);
    if (r == 0 && !is_welcome(box, &peer)) {
        r = -EUSERS;
    }
    if (r == 0) {
        r = make_room(&box->by_fd, &box->n_by_fd, (uint32_t)fd);
    }
    if (r == 0) {
        r = tg_event_add(box->epoll, fd, (uint64_t)fd);
    }
    struct tg_unix_link *link = r < 0 ? NULL : tg_unix_link_new(box);
    if (link == NULL) {
        return r < 0 ? r : -ENOMEM;
    }
    link->fd = fd;
    link->peer = peer;
    box->by_fd[fd] = link;
    box->n_connections++;
    add_ready(box, link); /* what it sent before it was let in is there */
    return 0;
}

static void let_in(struct tg_unix_box *box)
{
    for (int i = 0; i < ACCEPTS; i++) {
        const int fd = tg_socket_accept(box->made.listener);
        if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM) {
            /* Those who wait wait on; not to be told of them without end. */
            (void)tg_event_change(box->epoll, box->made.listener, MARK_LISTENER, false);
            box->deaf_until_ns = tg_now_ns() + DEAF_NS;
        }
        if (fd < 0) {
            return;
        }
        const int r = add_connection(box, fd);
        if (r < 0) {
            tg_unix_packet_refuse(fd, r);
            tg_kept_close(fd);
            tg_unix_count(&box->head->refused, 1);
        }
    }
}

static void listen_again(struct tg_unix_box *box)
{
    if (box->deaf_until_ns != 0 && tg_now_ns() >= box->deaf_until_ns) {
        box->deaf_until_ns = 0;
        (void)tg_event_change(box->epoll, box->made.listener, MARK_LISTENER, true);
    }
}

/* ---- reading */

static void note(struct tg_unix_box *box, const uint64_t marks[], int n)
{
    for (int i = 0; i < n; i++) {
        if (marks[i] == MARK_LISTENER) {
            let_in(box);
        } else if (marks[i] == MARK_WAKE) {
            tg_event_calm(box->wake);
        } else if (marks[i] < box->n_by_fd && box->by_fd[marks[i]] != NULL) {
            add_ready(box, box->by_fd[marks[i]]);
        }
    }
}

/* Ask who is ready, without waiting. */
static void ask(struct tg_unix_box *box)
{
    uint64_t marks[MARKS];
    listen_again(box);
    const int n = tg_event_ready(box->epoll, marks, MARKS);
    note(box, marks, n);
    box->reads = 0;
}

/* I2: whether it is asked for another one at once. */
static void after_message(struct tg_unix_box *box, struct tg_unix_link *link)
{
    remove_ready(box, link);
    if (link->skipped == 0 || --link->skipped == 0) {
        add_ready(box, link);
    }
}

static int read_first(struct tg_unix_box *box)
{
    struct tg_unix_link *link = box->ready;
    const int r = tg_unix_packet_read(box, link);
    box->reads++;
    if (r > 0) {
        after_message(box, link);
    } else if (r == -EAGAIN) {
        remove_ready(box, link);
        link->skipped = TRIES_AFTER;
    } else if (r < 0) {
        if (r != -EPIPE) {
            tg_unix_packet_refuse(link->fd, r);
            tg_unix_count(&box->head->refused, 1);
        }
        tg_unix_link_end(box, link);
    }
    return r;
}

/* The memory of this process that may be taken is: what comes stays in the sockets. */
static bool is_full(const struct tg_unix_box *box)
{
    return tg_load_relaxed(&box->head->bytes) >= box->max_bytes &&
           box->waiting.n + box->returned.n != 0;
}

bool tg_unix_drive_pull(struct tg_unix_box *box, bool may_ask)
{
    if (box->ended != 0 || is_full(box)) {
        return false;
    }
    bool asked = false;
    for (;;) {
        if (box->reads >= READS || (box->ready == NULL && may_ask && !asked)) {
            ask(box);
            asked = box->ready == NULL;
        }
        if (box->ready == NULL) {
            return false;
        }
        if (read_first(box) > 0) {
            return true;
        }
    }
}

void tg_unix_drive_all(struct tg_unix_box *box)
{
    /* A sender that goes on sending is not waited for. */
    for (uint32_t i = 0; i < 2 * TG_UNIX_ROWS && tg_unix_drive_pull(box, true); i++) {
    }
}

int tg_unix_drive_sleep(struct tg_unix_box *box, int64_t deadline)
{
    uint64_t marks[MARKS];
    if (box->ready != NULL) {
        return 0;
    }
    listen_again(box);
    const bool short_ = box->deaf_until_ns != 0 && box->deaf_until_ns < deadline;
    const int64_t until = short_ ? box->deaf_until_ns : deadline;
    box->is_driven = true;
    (void)pthread_mutex_unlock(&box->lock);
    const int n = tg_event_wait(box->epoll, marks, MARKS, until);
    (void)pthread_mutex_lock(&box->lock);
    box->is_driven = false;
    note(box, marks, n);
    box->reads = 0;
    return n < 0 ? (n == -ETIMEDOUT && short_ ? 0 : n) : 0;
}

/* ---- what is finished */

/* How many messages of it there may have been: numbers below that. */
uint64_t tg_unix_drive_limit(const struct tg_unix_box *box, const struct tg_unix_link *link)
{
    const uint64_t by_link = box->link_capacity == TONG_UNBOUNDED
                                 ? UINT64_MAX
                                 : link->base + link->done + box->link_capacity;
    if (box->capacity == TONG_UNBOUNDED || box->capacity == 0 || link->row != TG_UNIX_NO_ROW) {
        return by_link;
    }
    const uint64_t by_room = link->base + link->granted;
    return by_room < by_link ? by_room : by_link;
}

void tg_unix_drive_tell(struct tg_unix_box *box, struct tg_unix_link *link)
{
    const struct tg_unix_packet packet = { .kind = TG_UNIX_CREDIT,
                                           .length = sizeof(struct tg_unix_credit),
                                           .number = link->base + link->done };
    const struct tg_unix_credit credit = { .room = tg_unix_drive_limit(box, link) };
    const struct iovec parts[] = { { (void *)(uintptr_t)&packet, sizeof packet },
                                   { (void *)(uintptr_t)&credit, sizeof credit } };
    link->told = link->done;
    (void)tg_socket_send(link->fd, parts, 2, NULL, 0);
}

/* Rooms for those who wait for them, in the order in which they came. */
static void grant(struct tg_unix_box *box)
{
    while (box->wants != NULL) {
        struct tg_unix_link *link = box->wants;
        const uint32_t row = link->row != TG_UNIX_NO_ROW ? link->row : TG_UNIX_OWN_ROW;
        uint64_t n = 0;
        const int r =
            tg_unix_room_grant(box->made.room, box->made.box, row, box->capacity, link->wants, &n);
        if (r < 0 && r != -ESRCH) {
            return; /* it stays in the queue, and looks itself once a second */
        }
        link->granted += n;
        tg_unix_drive_forget_want(box, link);
        if (link->fd >= 0 && r == 0) {
            tg_unix_drive_tell(box, link);
        } else if (r == 0) {
            tg_unix_own_wake(box);
        }
    }
}

void tg_unix_drive_want(struct tg_unix_box *box, struct tg_unix_link *link, uint64_t n)
{
    if (link->wants == 0) {
        struct tg_unix_link **at = &box->wants;
        while (*at != NULL) {
            at = &(*at)->next_want;
        }
        *at = link;
        link->next_want = NULL;
    }
    link->wants = n;
    grant(box);
}

/* Who waits for room says so in its connection, behind what it sent: all is read. */
static void look_for_wants(struct tg_unix_box *box)
{
    const uint64_t enough = box->capacity / 16;
    if (++box->freed <= enough || box->ended != 0) {
        return;
    }
    box->freed = 0;
    tg_unix_drive_all(box);
    grant(box);
}

void tg_unix_drive_credit(struct tg_unix_box *box, struct tg_unix_link *link)
{
    const bool has_row = link->row != TG_UNIX_NO_ROW;
    tg_a64 *done = &box->done[has_row ? link->row : TG_UNIX_OWN_ROW];
    tg_unix_count(done, 1);
    if (link->fd >= 0 && box->link_capacity != TONG_UNBOUNDED) {
        const uint64_t enough = box->link_capacity / 4;
        if (link->done - link->told >= (enough != 0 ? enough : 1)) {
            tg_unix_drive_tell(box, link);
        }
    }
    drop_if_over(box, link);
    if (box->capacity != TONG_UNBOUNDED && box->capacity != 0) {
        look_for_wants(box);
    }
    if (tg_load_relaxed(&box->head->own_blocked) != 0) {
        tg_unix_own_wake(box);
    }
}

/* ---- beginning and end */

int tg_unix_drive_init(struct tg_unix_box *box)
{
    box->ready_end = &box->ready;
    int r = tg_kept_begin();
    if (r == 0) {
        box->epoll = tg_kept_end(tg_event_epoll());
        r = box->epoll < 0 ? box->epoll : tg_kept_begin();
    }
    if (r == 0) {
        box->wake = tg_kept_end(tg_event_counter());
        r = box->wake;
    }
    if (r >= 0) {
        r = tg_event_add(box->epoll, box->made.listener, MARK_LISTENER);
    }
    return r < 0 ? r : tg_event_add(box->epoll, box->wake, MARK_WAKE);
}

/* Nobody is let in any more; who is connected sees the end. */
void tg_unix_drive_stop(struct tg_unix_box *box)
{
    struct tg_unix_link *next = box->links;
    while (next != NULL) {
        struct tg_unix_link *link = next;
        next = link->next;
        if (link->fd >= 0) {
            tg_unix_link_end(box, link);
        }
    }
    tg_kept_close(box->made.listener);
    box->made.listener = -1;
}

void tg_unix_drive_fini(struct tg_unix_box *box)
{
    while (box->links != NULL) {
        tg_unix_link_free(box, box->links);
    }
    tg_kept_close(box->wake);
    tg_kept_close(box->epoll);
    free(box->by_fd);
    free(box->rows);
    free(box->scratch);
}
