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
 * I5  At capacity 0 a message is an offer, which its sender may take back until it is read: it is read only
 *     by a call that takes it in the same moment, and answered.
 * I4  At most LINKS_MOST connections are held, and of one process an eighth of them, so that no client
 *     takes all descriptors; one more is told so and closed. What a client has not read is not kept for
 *     it: a CREDIT that does not fit is left out, the next one says more.
 * I6  While a packet is read no other one is, but those of a link that HELLO lets go first: its bytes lie in
 *     the scratch memory, and its link stays as long as it is looked at.
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
#define FEW 14u /* connections */
#define MARK_LISTENER UINT64_C(0xffffffff00000001)
#define MARK_WAKE UINT64_C(0xffffffff00000002)
#define TRIES_AFTER 16u
#define DEAF_NS INT64_C(10000000)
#define TRIES 50 /* for a lock that others hold for some system calls */

/* ---- links */

/* A table of pointers with room for the ith; NULL: no memory, it is as it was. */
static void *with_room(void *table, uint32_t *n, uint32_t i)
{
    if (i < *n) {
        return table;
    }
    const uint32_t room = i + 64;
    void *p = realloc(table, room * sizeof(void *));
    if (p != NULL) {
        memset((uint8_t *)p + *n * sizeof(void *), 0, (room - *n) * sizeof(void *));
        *n = room;
    }
    return p;
}

uint64_t tg_unix_done_of(const struct tg_unix_box *box, uint32_t row)
{
    return row < box->told_rows ? tg_load_relaxed(&box->told[row].done) : 0;
}

int tg_unix_drive_set_row(struct tg_unix_box *box, struct tg_unix_link *link, uint32_t row)
{
    void *p = with_room(box->rows, &box->n_rows, row);
    if (p == NULL) {
        return -ENOMEM;
    }
    box->rows = p;
    const uint32_t a_page = TG_PAGE / sizeof(struct tg_unix_told);
    while (row >= box->told_rows) {
        const int r = tg_sys_allocate(
            box->made.box, TG_UNIX_TOLD_OFF + box->told_rows * sizeof box->told[0], TG_PAGE);
        if (r < 0) {
            return r;
        }
        box->told_rows += a_page;
    }
    box->rows[row] = link;
    link->row = row;
    return 0;
}

static void init_channel(struct tg_unix_channel *channel, struct tg_unix_link *link)
{
    channel->link = link;
    channel->fd = -1;
    channel->skipped = TRIES_AFTER;
}

struct tg_unix_link *tg_unix_link_new(struct tg_unix_box *box)
{
    struct tg_unix_link *link = calloc(1, sizeof *link);
    if (link != NULL) {
        init_channel(&link->control, link);
        init_channel(&link->data, link);
        link->row = TG_UNIX_NO_ROW;
        link->next = box->links;
        box->links = link;
        tg_unix_count_small(&box->head->links, 1);
    }
    return link;
}

/* I5 */
static bool is_offer(const struct tg_unix_box *box, const struct tg_unix_channel *channel)
{
    return box->capacity == 0 && channel == &channel->link->data;
}

static void remove_ready(struct tg_unix_box *box, struct tg_unix_channel *channel)
{
    const bool offer = is_offer(box, channel);
    struct tg_unix_channel **at = offer ? &box->offers : &box->ready;
    struct tg_unix_channel ***end = offer ? &box->offers_end : &box->ready_end;
    while (channel->is_ready && *at != channel) {
        at = &(*at)->next;
    }
    if (channel->is_ready) {
        *at = channel->next;
        if (*end == &channel->next) {
            *end = at;
        }
        channel->is_ready = false;
    }
}

static void add_ready(struct tg_unix_box *box, struct tg_unix_channel *channel)
{
    struct tg_unix_channel ***end = is_offer(box, channel) ? &box->offers_end : &box->ready_end;
    if (!channel->is_ready) {
        channel->is_ready = true;
        channel->next = NULL;
        **end = channel;
        *end = &channel->next;
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

static void close_channel(struct tg_unix_box *box, struct tg_unix_channel *channel)
{
    remove_ready(box, channel);
    if (channel->fd >= 0) {
        box->by_fd[channel->fd] = NULL;
        box->n_channels--;
        box->n_connections -= channel == &channel->link->control;
        tg_kept_close(channel->fd);
        channel->fd = -1;
    }
}

static void close_channels(struct tg_unix_box *box, struct tg_unix_link *link)
{
    tg_unix_drive_forget_want(box, link);
    close_channel(box, &link->control);
    close_channel(box, &link->data);
    link->ended = true;
}

static int open_channel(struct tg_unix_box *box, struct tg_unix_channel *channel, int fd)
{
    void *p = with_room(box->by_fd, &box->n_by_fd, (uint32_t)fd);
    if (p == NULL) {
        return -ENOMEM;
    }
    box->by_fd = p;
    const int r = tg_event_add(box->epoll, fd, (uint64_t)fd);
    if (r < 0) {
        return r;
    }
    channel->fd = fd;
    box->n_channels++;
    box->by_fd[fd] = channel;
    add_ready(box, channel); /* what was sent before is there */
    return 0;
}

int tg_unix_drive_add_data(struct tg_unix_box *box, struct tg_unix_link *link, int fd)
{
    return open_channel(box, &link->data, fd);
}

void tg_unix_link_free(struct tg_unix_box *box, struct tg_unix_link *link)
{
    close_channels(box, link);
    struct tg_unix_link **at = &box->links;
    while (*at != link) {
        at = &(*at)->next;
    }
    *at = link->next;
    if (link->row != TG_UNIX_NO_ROW) {
        box->rows[link->row] = NULL;
    } else if (link->greeted) {
        tg_unix_count_small(&box->head->plain_links, -1);
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

void tg_unix_drive_drop_if_over(struct tg_unix_box *box, struct tg_unix_link *link)
{
    if (!link->ended || link->done != link->received || link->held != 0) {
        return;
    }
    if (link->row != TG_UNIX_NO_ROW && box->ended == 0) {
        tg_unix_row_free(box->made.room, link->row, &box->head->dropped);
    }
    tg_unix_link_free(box, link);
}

void tg_unix_link_end(struct tg_unix_box *box, struct tg_unix_link *link)
{
    close_channels(box, link);
    if (!link->is_own && link->greeted && !link->said_bye && box->ended == 0) {
        tg_unix_note_death(box, link);
    }
    if (box->capacity != TONG_UNBOUNDED && link->greeted) {
        give_unused_back(box, link);
        grant(box);
    }
    tg_unix_drive_drop_if_over(box, link);
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
            its += l->control.fd >= 0 && l->peer.pid == peer->pid;
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
    struct tg_unix_link *link = r < 0 ? NULL : tg_unix_link_new(box);
    if (link == NULL) {
        return r < 0 ? r : -ENOMEM;
    }
    r = open_channel(box, &link->control, fd);
    if (r < 0) {
        tg_unix_link_free(box, link);
        return r;
    }
    link->peer = peer;
    box->n_connections++;
    return 0;
}

static void let_in(struct tg_unix_box *box)
{
    for (int i = 0; i < ACCEPTS && box->ended == 0; i++) {
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
            if (!box->is_driven) { /* else it is the driver's, who has not seen it yet */
                tg_event_calm(box->wake);
            }
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
static void after_message(struct tg_unix_box *box, struct tg_unix_channel *channel)
{
    remove_ready(box, channel);
    if (channel->skipped == 0 || --channel->skipped == 0) {
        add_ready(box, channel);
    }
}

/* What it sent by the other socket is read first. */
static void end_channel(struct tg_unix_box *box, struct tg_unix_channel *channel)
{
    struct tg_unix_link *link = channel->link;
    if (link->data.fd < 0 || link->control.fd < 0) {
        tg_unix_link_end(box, link);
    } else {
        close_channel(box, channel);
    }
}

static int read_channel(struct tg_unix_box *box, struct tg_unix_channel *channel);

/* All that a link has sent by now. It may go with its end. */
void tg_unix_drive_drain(struct tg_unix_box *box, struct tg_unix_link *link)
{
    struct tg_unix_channel *channel =
        link->data.fd >= 0 && box->capacity != 0 ? &link->data : &link->control;
    int r;
    do {
        r = read_channel(box, channel);
    } while (r >= 0);
}

static int read_channel(struct tg_unix_box *box, struct tg_unix_channel *channel)
{
    const bool outer = box->is_reading;
    box->is_reading = true; /* I6 */
    const int r = tg_unix_packet_read(box, channel);
    box->is_reading = outer;
    if (r > 0) {
        after_message(box, channel);
    } else if (r == -EAGAIN) {
        remove_ready(box, channel);
        channel->skipped = TRIES_AFTER;
    } else if (r == -EPIPE) {
        end_channel(box, channel);
    } else if (r < 0) {
        tg_unix_packet_refuse(channel->link->control.fd, r);
        tg_unix_count(&box->head->refused, 1);
        tg_unix_link_end(box, channel->link);
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
        box->reads++;
        if (read_channel(box, box->ready) > 0) {
            return true;
        }
    }
}

/* The first channel that the call may take from. */
static struct tg_unix_channel *next_offer(const struct tg_unix_box *box, const char *from)
{
    struct tg_unix_channel *channel = box->offers;
    while (channel != NULL && from != NULL && strcmp(channel->link->name, from) != 0) {
        channel = channel->next;
    }
    return channel;
}

int tg_unix_drive_offer(struct tg_unix_box *box, const struct tg_unix_want *want)
{
    struct tg_unix_channel *channel;
    while (box->ended == 0 && (channel = next_offer(box, want->from)) != NULL) {
        uint32_t len = 0;
        int r = tg_unix_packet_peek(channel, &len);
        if (r == 0 && len > want->size) {
            if (want->info != NULL) {
                want->info->len = len;
                want->info->data = NULL;
                tg_unix_message_tell_link(channel->link, want->info);
            }
            return -EMSGSIZE;
        }
        r = read_channel(box, channel);
        if (r > 0) {
            return r;
        }
    }
    return 0;
}

void tg_unix_drive_answer(struct tg_unix_box *box, const struct tg_unix_message *m,
                          enum tg_unix_kind what)
{
    struct tg_unix_link *link = m->link;
    if (link->is_own) {
        link->answered = m->sequence + 1;
        link->answer = what;
        tg_unix_own_wake(box);
        return;
    }
    const struct tg_unix_packet packet = { .kind = (uint8_t)what, .number = m->sequence };
    const struct iovec part = { (void *)(uintptr_t)&packet, sizeof packet };
    if (link->control.fd >= 0) {
        (void)tg_socket_send(link->control.fd, &part, 1, NULL, 0);
    }
}

bool tg_unix_drive_may_sleep(const struct tg_unix_box *box)
{
    return !box->is_driven && box->capacity != 0 && !is_full(box);
}

void tg_unix_drive_all(struct tg_unix_box *box)
{
    /* A sender that goes on sending is not waited for. */
    for (uint32_t i = 0; i < 2 * TG_UNIX_ROWS && tg_unix_drive_pull(box, true); i++) {
    }
}

/*
 * Sleep by poll(2): epoll_wait(2) also ends when the process was stopped and goes on. A moderate number of
 * connections is polled itself, which tells at once who is ready, and leaves those out whose offers the call
 * does not take.
 */
struct polled {
    int fds[TG_EVENT_POLL_MOST];
    bool ready[TG_EVENT_POLL_MOST];
    size_t n;
    size_t links; /* where those of connections begin */
};

static void add_channel(const struct tg_unix_box *box, struct polled *p,
                        const struct tg_unix_channel *channel, const char *from)
{
    const bool other =
        from != NULL && is_offer(box, channel) && strcmp(channel->link->name, from) != 0;
    if (channel->fd >= 0 && !other) {
        p->fds[p->n++] = channel->fd;
    }
}

static void list_polled(const struct tg_unix_box *box, struct polled *p,
                        const struct tg_unix_sleep *s)
{
    const size_t most = s->from != NULL ? TG_EVENT_POLL_MOST - 8 : FEW;
    p->n = 0;
    p->fds[p->n++] = box->wake;
    for (size_t i = 0; i < s->n_others; i++) {
        p->fds[p->n++] = s->others[i];
    }
    p->links = p->n;
    if (box->n_channels > most || box->deaf_until_ns != 0) {
        p->fds[p->n++] = box->epoll;
        return;
    }
    p->fds[p->n++] = box->made.listener;
    for (const struct tg_unix_link *l = box->links; l != NULL; l = l->next) {
        add_channel(box, p, &l->control, s->from);
        add_channel(box, p, &l->data, s->from);
    }
}

static void note_polled(struct tg_unix_box *box, const struct polled *p)
{
    if (p->ready[0]) {
        tg_event_calm(box->wake);
    }
    for (size_t i = p->links; i < p->n; i++) {
        const uint64_t mark =
            p->fds[i] == box->made.listener ? MARK_LISTENER : (uint64_t)(unsigned)p->fds[i];
        if (p->ready[i] && p->fds[i] == box->epoll) {
            ask(box);
        } else if (p->ready[i]) {
            note(box, &mark, 1);
        }
    }
}

int tg_unix_drive_sleep_with(struct tg_unix_box *box, const struct tg_unix_sleep *s)
{
    struct polled p;
    if (box->ready != NULL || next_offer(box, s->from) != NULL) {
        return 0;
    }
    listen_again(box);
    const bool short_ = box->deaf_until_ns != 0 && box->deaf_until_ns < s->deadline_ns;
    list_polled(box, &p, s);
    memset(p.ready, 0, p.n);
    box->is_driven = true;
    (void)pthread_mutex_unlock(&box->lock);
    const int r = tg_event_poll(p.fds, p.n, p.ready, short_ ? box->deaf_until_ns : s->deadline_ns);
    (void)pthread_mutex_lock(&box->lock);
    box->is_driven = false;
    if (r >= 0) {
        note_polled(box, &p);
    }
    return r == -ETIMEDOUT && short_ ? 0 : r < 0 ? r : 0;
}

int tg_unix_drive_sleep(struct tg_unix_box *box, int64_t deadline)
{
    const struct tg_unix_sleep s = { .deadline_ns = deadline };
    return tg_unix_drive_sleep_with(box, &s);
}

void tg_unix_drive_ask(struct tg_unix_box *box)
{
    ask(box);
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
    (void)tg_socket_send(link->control.fd, parts, 2, NULL, 0);
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
        if (link->control.fd >= 0 && r == 0) {
            tg_unix_drive_tell(box, link);
        } else if (r == 0) {
            tg_unix_own_wake(box);
        }
    }
}

void tg_unix_drive_give_room_back(struct tg_unix_box *box, struct tg_unix_link *link)
{
    if (link->granted > link->received) {
        (void)tg_unix_room_settle(box->made.room, link->row, link->base + link->received);
        link->granted = link->received;
        grant(box);
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

/*
 * Who waits for room says so in its connection, behind what it sent: all is read to hear of it, now and then
 * and when nothing waits here. Who has said so is not made to wait for that.
 */
static void look_for_wants(struct tg_unix_box *box)
{
    const uint64_t enough = box->capacity / 16;
    if (box->ended != 0) {
        return;
    }
    box->freed++;
    if (!box->is_reading && (box->freed > enough || box->waiting.n + box->returned.n == 0)) {
        box->freed = 0;
        tg_unix_drive_all(box);
    }
    grant(box);
}

void tg_unix_drive_credit(struct tg_unix_box *box, struct tg_unix_link *link)
{
    tg_unix_count(&tg_unix_told_of(box, link)->done, 1);
    if (link->control.fd >= 0 && box->link_capacity != TONG_UNBOUNDED) {
        const uint64_t enough = box->link_capacity / 4;
        if (link->done - link->told >= (enough != 0 ? enough : 1)) {
            tg_unix_drive_tell(box, link);
        }
    }
    tg_unix_drive_drop_if_over(box, link);
    if (box->capacity != TONG_UNBOUNDED && box->capacity != 0) {
        look_for_wants(box);
    }
    if (box->own_blocked != 0) {
        tg_unix_own_wake(box);
    }
}

/* ---- beginning and end */

int tg_unix_drive_init(struct tg_unix_box *box)
{
    box->ready_end = &box->ready;
    box->offers_end = &box->offers;
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
        if (!link->is_own) {
            tg_unix_link_end(box, link);
        }
    }
    tg_kept_close(box->made.listener);
    box->made.listener = -1;
}

void tg_unix_drive_tell_all(struct tg_unix_box *box, enum tg_unix_kind what)
{
    const struct tg_unix_packet packet = { .kind = (uint8_t)what };
    const struct iovec part = { (void *)(uintptr_t)&packet, sizeof packet };
    for (const struct tg_unix_link *l = box->links; l != NULL; l = l->next) {
        if (l->control.fd >= 0) {
            (void)tg_socket_send(l->control.fd, &part, 1, NULL, 0);
        }
    }
}

void tg_unix_drive_fini(struct tg_unix_box *box)
{
    while (box->links != NULL) {
        tg_unix_link_free(box, box->links);
    }
    tg_kept_close(box->wake);
    tg_kept_close(box->epoll);
}
