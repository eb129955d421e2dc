/*
 * The sockets of a mailbox in its owner: who comes is let in, what was sent is read, what is finished is
 * told.
 *
 * Nobody does this by itself: it is done by whoever is in a call on the mailbox. Of several that wait for
 * a message one sleeps on the sockets, the driver; the others on words of this process (deliver.c).
 *
 * I1  A link that is ready was told of by epoll, and not found empty since. It is asked for a packet
 *     before epoll is asked again, but not more often than READS in all: newcomers get their turn.
 * I2  epoll tells of whatever is unread as long as it is unread. So a link may be forgotten at any moment
 *     (it is, where the last tries showed that there is one message at a time): it is told of again.
 * I3  What comes from a connection is input. Whoever sends what cannot be is disconnected and counted;
 *     its messages that came before are kept.
 * I4  What a client has not read is not kept for it: a CREDIT that does not fit is left out, the next one
 *     says more.
 * I5  At capacity 0 a message is an offer, which its sender may take back until it is read: it is read only
 *     by a call that takes it in the same moment, and answered.
 * I6  While a packet is read no other one is, but those of a link that HELLO lets go first: its bytes lie in
 *     the scratch memory, and its link stays as long as it is looked at.
 * I7  No call reads without end: of packets that are no messages at most PACKETS at once, then it looks at its
 *     time, and others get their turn.
 * I8  While the memory that messages may take is taken, they stay in the sockets; but a call that wants those of
 *     one sender reads that one's, one by one, as it takes them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/kept.h"
#include "carrier/unix/call.h"
#include "carrier/unix/unix.h"

#define READS 64u
#define ACCEPTS 64
#define MARKS 16
#define FEW 14u /* connections */
#define MARK_LISTENER UINT64_C(0xffffffff00000001)
#define MARK_WAKE UINT64_C(0xffffffff00000002)
#define PACKETS (2 * TG_UNIX_ROWS)
#define DEAF_NS INT64_C(10000000)

/* ---- newcomers */

static int add_connection(struct tg_unix_box *box, int fd)
{
    struct tg_socket_peer peer;
    int r = tg_socket_peer(fd, &peer);
    struct tg_unix_link *link = r < 0 ? NULL : tg_unix_link_new(box);
    if (link == NULL) {
        return r < 0 ? r : -ENOMEM;
    }
    link->peer = peer;
    r = tg_unix_channel_open(box, &link->control, fd);
    if (r < 0) {
        tg_unix_link_free(box, link);
    }
    return r;
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

void tg_unix_drive_let_in(struct tg_unix_box *box)
{
    struct tg_unix_link *next;
    let_in(box);
    for (struct tg_unix_link *l = box->links; l != NULL; l = next) {
        next = l->next;
        if (!l->greeted && !l->hears && l->control.fd >= 0 && tg_unix_packet_hears(&l->control)) {
            (void)tg_unix_drive_read(box, &l->control); /* refused, it goes alone */
        }
    }
}

static void listen_again(struct tg_unix_box *box)
{
    if (box->deaf_until_ns != 0 && tg_now_ns() >= box->deaf_until_ns) {
        box->deaf_until_ns = 0;
        tg_unix_channel_unmute(box);
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
            tg_unix_channel_ready(box, box->by_fd[marks[i]]);
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
    tg_unix_channel_rest(box, channel);
    if (channel->skipped == 0 || --channel->skipped == 0) {
        tg_unix_channel_ready(box, channel);
    }
}

/* What it sent by the other socket is read first. */
static void end_channel(struct tg_unix_box *box, struct tg_unix_channel *channel)
{
    struct tg_unix_link *link = channel->link;
    if (link->data.fd < 0 || link->control.fd < 0) {
        tg_unix_link_end(box, link);
    } else {
        tg_unix_channel_close(box, channel);
    }
}

/* All that a link has sent by now, if it does not go on sending. It may go with its end. */
void tg_unix_drive_drain(struct tg_unix_box *box, struct tg_unix_link *link)
{
    struct tg_unix_channel *channel =
        link->data.fd >= 0 && box->capacity != 0 ? &link->data : &link->control;
    for (uint32_t i = 0; i < PACKETS && tg_unix_drive_read(box, channel) >= 0; i++) {
    }
}

int tg_unix_drive_read(struct tg_unix_box *box, struct tg_unix_channel *channel)
{
    const bool outer = box->is_reading;
    if (channel->is_unwanted) {
        tg_unix_match_again(box, channel->link); /* what comes behind is another offer */
    }
    if (!tg_unix_packet_may_come(channel)) {
        tg_unix_channel_mute(box, channel);
        box->deaf_until_ns = tg_now_ns() + DEAF_NS;
        return -EAGAIN;
    }
    box->is_reading = true; /* I6 */
    const int r = tg_unix_packet_read(box, channel);
    box->is_reading = outer;
    if (r > 0) {
        after_message(box, channel);
    } else if (r == -EAGAIN) {
        tg_unix_channel_rest(box, channel);
        channel->skipped = TG_UNIX_TRIES_AFTER;
    } else if (r == -EPIPE) {
        end_channel(box, channel);
    } else if (r < 0) {
        tg_unix_packet_refuse(channel->link->control.fd, r);
        tg_unix_count(&box->head->refused, 1);
        tg_unix_link_end(box, channel->link);
    }
    if (!outer && box->untold != NULL) {
        tg_unix_call_tell(box);
    }
    return r;
}

/* I8. From NULL: a call that takes anybody's. */
static bool may_read(const struct tg_unix_box *box, const struct tg_unix_channel *channel,
                     const char *from)
{
    const struct tg_unix_link *link = channel->link;
    return !tg_unix_is_full(box) ||
           (from != NULL && (!link->greeted || strcmp(link->name, from) == 0));
}

static struct tg_unix_channel *next_ready(const struct tg_unix_box *box, const char *from)
{
    struct tg_unix_channel *channel = box->ready;
    while (channel != NULL && !may_read(box, channel, from)) {
        channel = channel->next;
    }
    return channel;
}

/* packets: how many that are no messages may still be read. */
static bool pull(struct tg_unix_box *box, const char *from, bool may_ask, uint32_t *packets)
{
    if (box->ended != 0 || (from == NULL && tg_unix_is_full(box))) {
        return false;
    }
    bool asked = false;
    while (*packets > 0) {
        struct tg_unix_channel *channel = next_ready(box, from);
        if (box->reads >= READS || (channel == NULL && may_ask && !asked)) {
            ask(box);
            channel = next_ready(box, from);
            asked = channel == NULL;
        }
        if (channel == NULL) {
            return false;
        }
        box->reads++;
        if (tg_unix_drive_read(box, channel) > 0) {
            return true;
        }
        (*packets)--;
    }
    return false;
}

bool tg_unix_drive_pull(struct tg_unix_box *box, const char *from, bool may_ask)
{
    uint32_t packets = PACKETS;
    return pull(box, from, may_ask, &packets);
}

struct tg_unix_channel *tg_unix_drive_next_offer(const struct tg_unix_box *box, const char *from)
{
    struct tg_unix_channel *channel = box->offers;
    while (channel != NULL && from != NULL && strcmp(channel->link->name, from) != 0) {
        channel = channel->next;
    }
    return channel;
}

/* The same, of those that are somebody's. */
static bool is_offered(const struct tg_unix_box *box, const char *from)
{
    const struct tg_unix_channel *channel = box->offers;
    while (channel != NULL &&
           (channel->is_unwanted || (from != NULL && strcmp(channel->link->name, from) != 0))) {
        channel = channel->next;
    }
    return channel != NULL;
}

int tg_unix_drive_offer(struct tg_unix_box *box, const struct tg_unix_want *want)
{
    struct tg_unix_channel *channel;
    while (box->ended == 0 && (channel = tg_unix_drive_next_offer(box, want->from)) != NULL) {
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
        r = tg_unix_drive_read(box, channel);
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
    return !box->is_driven && box->capacity != 0 && !tg_unix_is_full(box);
}

void tg_unix_drive_all(struct tg_unix_box *box)
{
    /* A sender that goes on sending is not waited for. */
    uint32_t packets = PACKETS;
    for (uint32_t i = 0; i < 2 * TG_UNIX_ROWS && pull(box, NULL, true, &packets); i++) {
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
    const bool other = from != NULL && tg_unix_channel_is_offer(box, channel) &&
                       strcmp(channel->link->name, from) != 0;
    const bool left = box->picks && !may_read(box, channel, from);
    const bool off = channel->is_mute || channel->is_unwanted;
    if (channel->fd >= 0 && !other && !left && !off && p->n < TG_EVENT_POLL_MOST) {
        p->fds[p->n++] = channel->fd;
    }
}

static void list_polled(struct tg_unix_box *box, struct polled *p, const struct tg_unix_sleep *s)
{
    const size_t most = s->from != NULL ? TG_EVENT_POLL_MOST - 8 : FEW;
    p->n = 0;
    p->fds[p->n++] = box->wake;
    for (size_t i = 0; i < s->n_others; i++) {
        p->fds[p->n++] = s->others[i];
    }
    p->links = p->n;
    box->picks = (s->from != NULL || s->passes) && tg_unix_is_full(box); /* I8 */
    if (!box->picks && (box->n_channels > most || box->deaf_until_ns != 0)) {
        p->fds[p->n++] = box->epoll;
        return;
    }
    if (box->deaf_until_ns == 0) {
        p->fds[p->n++] = box->made.listener;
    }
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
    for (size_t i = 0; s->ret_ready != NULL && i < s->n_others; i++) {
        s->ret_ready[i] = false;
    }
    if (next_ready(box, s->from) != NULL || is_offered(box, s->from)) {
        /* I7: it was not all read. */
        tg_unix_box_unlock(box);
        (void)pthread_mutex_lock(&box->lock);
        return tg_is_over(s->deadline_ns) ? -ETIMEDOUT : 0;
    }
    listen_again(box);
    const bool short_ = box->deaf_until_ns != 0 && box->deaf_until_ns < s->deadline_ns;
    list_polled(box, &p, s);
    memset(p.ready, 0, p.n);
    box->is_driven = true;
    box->driver = s->driver;
    (void)pthread_mutex_unlock(&box->lock);
    const int r = tg_event_poll(p.fds, p.n, p.ready, short_ ? box->deaf_until_ns : s->deadline_ns);
    (void)pthread_mutex_lock(&box->lock);
    box->is_driven = false;
    box->driver = NULL;
    box->picks = false;
    if (r >= 0) {
        note_polled(box, &p);
    }
    for (size_t i = 0; s->ret_ready != NULL && i < s->n_others; i++) {
        s->ret_ready[i] = p.ready[1 + i];
    }
    if (r < 0) {
        return r == -ETIMEDOUT && short_ ? 0 : r;
    }
    return tg_is_over(s->deadline_ns) ? -ETIMEDOUT : 0; /* I7 */
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
void tg_unix_drive_grant(struct tg_unix_box *box)
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
        tg_unix_drive_grant(box);
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
    tg_unix_drive_grant(box);
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
    tg_unix_drive_grant(box);
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
