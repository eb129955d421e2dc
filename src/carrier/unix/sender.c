/*
 * Sending as another process: over one end of a connection (link.c), with room by the room file.
 *
 * I1  A message is promised when the kernel has it: it lies in the owner's socket then, whatever becomes
 *     of this process.
 * I2  How many of its messages are finished stands in the box file, and is read there when the room as last
 *     seen is used up. What the owner sends back only wakes it.
 * I3  Room of the mailbox that is not used is given back before the handle is closed, and before a call
 *     that waited for some ends without; the owner grants none to who does not wait.
 * I5  Where a message may have to be taken back (capacity 0, drop-oldest) it goes through a pair of sockets of
 *     which both sides have the receiving end: of two that read there the kernel gives it to one.
 */
#include "carrier/unix/sender.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/event.h"

#define LOOK_NS TONG_SEC(1) /* of a sleep: then the mailbox's state is asked for */
#define FIRST_LOOK_NS TONG_MS(10)
#define LET_IN_NS TONG_MS(1)

/* ---- room */

/* I2 */
static int look_at_done(struct tg_unix_sender *s)
{
    uint64_t done = 0;
    const int r = tg_sys_pread(s->place.box, &done, sizeof done, TG_UNIX_DONE_OF(s->row));
    if (r == 0 && done - s->done <= s->next - s->done) {
        s->done = done;
    }
    return r;
}

static int get_link_room(struct tg_unix_sender *s)
{
    const uint32_t capacity = s->place.head.link_capacity;
    if (capacity == TONG_UNBOUNDED || s->next - s->done < capacity) {
        return 0;
    }
    const int r = look_at_done(s);
    return r < 0 ? r : s->next - s->done < capacity ? 0 : -EAGAIN;
}

static int get_room(struct tg_unix_sender *s)
{
    uint64_t n = 0;
    int r = get_link_room(s);
    if (r < 0 || !s->bounded || s->taken > s->next) {
        return r;
    }
    r = tg_unix_room_take(s->room, s->place.box, s->row, s->place.head.capacity, UINT64_MAX, &n);
    s->taken += n;
    return r;
}

/* Until the owner sends something, its end, or, if writable, there is place in the socket. */
static int sleep_(struct tg_unix_handle *h, bool writable, const struct tg_unix_call *call)
{
    struct tg_unix_sender *s = h->sender;
    const int other = tg_unix_interrupt_fd(h);
    if (other < 0) {
        return other;
    }
    tg_event_calm(other);
    if (tg_unix_is_interrupted(h, call->interrupts)) {
        return -ECANCELED;
    }
    const int64_t look = tg_now_ns() + s->look_ns;
    const struct tg_socket_waits waits = { .readable = s->fd,
                                           .also = other,
                                           .writable = !writable      ? -1
                                                       : s->data >= 0 ? s->data
                                                                      : s->fd };
    tg_gate_set_asleep(&h->gate, true);
    int r = tg_socket_wait(&waits, look < call->deadline_ns ? look : call->deadline_ns);
    tg_gate_set_asleep(&h->gate, false);
    /* The owner may be in no call, and a dead sender's room be there for who looks. */
    s->look_ns = r >= 0 || s->look_ns >= LOOK_NS ? s->look_ns : 2 * s->look_ns;
    if (r == -ETIMEDOUT && look < call->deadline_ns) {
        const int end = tg_unix_place_end(&s->place);
        r = end == -EIDRM ? end : 0;
        s->end = r;
    }
    if (r >= 0) {
        r = tg_unix_sender_read(s);
    }
    return r == -EPIPE ? tg_unix_sender_find_end(s) : r < 0 ? r : 0;
}

static void say_want(const struct tg_unix_sender *s)
{
    const struct tg_unix_packet packet = { .kind = TG_UNIX_WANT, .number = 1 };
    const struct iovec part = { (void *)(uintptr_t)&packet, sizeof packet };
    (void)tg_socket_send(s->fd, &part, 1, NULL, 0);
}

/* Asleep for want of room, until there is some. 0: there is, and it is this sender's. */
static int wait_for_room(struct tg_unix_handle *h, const struct tg_unix_call *call)
{
    struct tg_unix_sender *s = h->sender;
    int slept = 0;
    s->look_ns = FIRST_LOOK_NS;
    int r = tg_unix_room_wait(s->room, s->row, true);
    bool said = false;
    while (r == 0) {
        (void)tg_unix_room_mine(s->room, s->row, &s->taken);
        r = get_room(s);
        if (r != -EAGAIN || slept < 0) {
            r = r == -EAGAIN ? slept : r;
            break;
        }
        if (s->bounded && !said) {
            say_want(
                s); /* and once more a look: the owner may have freed some before it reads this */
            said = true;
            r = 0;
            continue;
        }
        slept = sleep_(h, false, call);
        r = s->end;
    }
    if (s->end == 0) {
        (void)tg_unix_room_wait(s->room, s->row, false);
        (void)tg_unix_room_mine(s->room, s->row, &s->taken);
        if (r < 0) {
            tg_unix_sender_put_back(s);
        }
    }
    return r;
}

static void count_dropped(struct tg_unix_sender *s)
{
    s->dropped++;
    tg_unix_row_set(s->room, s->row, offsetof(struct tg_unix_row, dropped), &s->dropped,
                    sizeof s->dropped);
}

/* ---- taking back: I5 */

enum room {
    ROOM = 0,
    ROOM_OF_OLDEST = 1, /* an older one was taken back */
    ROOM_BY_PUSH = 2,   /* the owner will drop an older one, which it has read */
    NO_ROOM = 3
};

static void tell_sent(const struct tg_unix_sender *s)
{
    if (s->told != NULL) {
        tg_store_relaxed(&s->told->sent, s->next);
    }
}

/* The oldest message that the owner has not read is gone. If the owner would have dropped one for it, that
 * falls to the one that is sent in its place: room becomes ROOM_BY_PUSH. */
static bool take_back(struct tg_unix_handle *h, int *room)
{
    struct tg_unix_sender *s = h->sender;
    struct tg_unix_packet packet;
    struct tg_socket_got got;
    const struct iovec part = { &packet, sizeof packet };
    if (tg_socket_receive(s->unread, &part, 1, false, &got) <= 0) {
        return false;
    }
    for (int i = 0; i < got.n_fds; i++) {
        tg_sys_close(got.fds[i]);
    }
    s->next--;
    tell_sent(s);
    tg_unix_call_taken_back(h, packet.number);
    if ((packet.flags & TG_UNIX_PUSH) != 0) {
        *room = ROOM_BY_PUSH;
    } else if (*room == ROOM) {
        *room = ROOM_OF_OLDEST;
    }
    return true;
}

/* ---- room for one message */

/* To everyone it is the owner that drops: what is read is the oldest, but some may have it. */
static int drop_oldest(struct tg_unix_handle *h)
{
    struct tg_unix_sender *s = h->sender;
    int room = ROOM;
    if (s->place.head.delivery != TONG_EVERYONE && take_back(h, &room)) {
        count_dropped(s);
        return room;
    }
    (void)look_at_done(s);
    if (s->next == s->done) {
        return get_room(s); /* none of them is its own */
    }
    const int r = s->bounded ? tg_unix_room_force(s->room, s->row) : 0;
    s->taken += s->bounded;
    return r < 0 ? r : ROOM_BY_PUSH;
}

/* enum room, or an error. */
static int make_room(struct tg_unix_handle *h, const struct tg_unix_call *call)
{
    struct tg_unix_sender *s = h->sender;
    if (s->data >= 0) {
        const int r = tg_unix_sender_read(s); /* nothing else tells of the end */
        if (r < 0) {
            return r == -EPIPE ? tg_unix_sender_find_end(s) : r;
        }
    }
    const int r = s->place.head.capacity == 0 ? 0 : get_room(s);
    if (r != -EAGAIN) {
        return r;
    }
    if (s->place.head.full == TONG_DROP_OLDEST) {
        return drop_oldest(h);
    }
    if (s->place.head.full == TONG_DROP_NEWEST) {
        return NO_ROOM;
    }
    return call->deadline_ns == 0 ? tg_unix_sender_check(s) < 0 ? s->end : r
                                  : wait_for_room(h, call);
}

/* ---- sending */

/* Once, before the first descriptor. */
static int say_passes(struct tg_unix_sender *s)
{
    const struct tg_unix_packet packet = { .kind = TG_UNIX_PASSES };
    const struct iovec part = { (void *)(uintptr_t)&packet, sizeof packet };
    const int r = s->has_passed || s->data >= 0 ? 0 : tg_socket_send(s->fd, &part, 1, NULL, 0);
    s->has_passed = r == 0;
    return r;
}

static int transmit(struct tg_unix_sender *s, const struct tg_unix_parts *parts, int memfd,
                    unsigned flags)
{
    uint8_t extension[TG_EXTENSION_MOST];
    const size_t n = parts->said != NULL ? tg_said_write(parts->said, extension) : 0;
    const struct tg_unix_packet packet = { .kind = TG_UNIX_MESSAGE,
                                           .flags =
                                               (uint8_t)((memfd >= 0 ? TG_UNIX_MEMFD : 0) |
                                                         (parts->fd >= 0 ? TG_UNIX_FD : 0) | flags),
                                           .extension = (uint16_t)n,
                                           .length = (uint32_t)parts->len,
                                           .number = s->number };
    const void *data = parts->ready != NULL ? parts->ready->data : parts->data;
    const struct iovec iov[] = { { (void *)(uintptr_t)&packet, sizeof packet },
                                 { extension, n },
                                 { (void *)(uintptr_t)data, parts->len } };
    const int fds[] = { memfd >= 0 ? memfd : parts->fd, parts->fd };
    const size_t n_fds = (memfd >= 0 ? 1u : 0u) + (parts->fd >= 0 ? 1u : 0u);
    const int r = n_fds != 0 ? say_passes(s) : 0;
    if (r < 0) {
        return r;
    }
    return tg_socket_send(s->data >= 0 ? s->data : s->fd, iov, memfd >= 0 ? 2 : 3, fds, n_fds);
}

/* Too many descriptors of this user are under way: nothing tells when there are fewer. */
static int pause_(struct tg_unix_handle *h, const struct tg_unix_call *call)
{
    const int end = tg_unix_sender_check(h->sender);
    if (end < 0 || tg_is_over(call->deadline_ns)) {
        return end < 0 ? end : -ETIMEDOUT;
    }
    if (tg_unix_is_interrupted(h, call->interrupts)) {
        return -ECANCELED;
    }
    return tg_unix_pause() == -EINTR ? -EINTR : 0;
}

/* The socket has no place for it: wait until it has, or make some. */
static int send_blocking(struct tg_unix_handle *h, const struct tg_unix_parts *parts, int memfd,
                         const struct tg_unix_call *call, int *room)
{
    struct tg_unix_sender *s = h->sender;
    const bool at_once = s->place.head.capacity == 0 && call->deadline_ns == 0;
    for (;;) {
        int r = transmit(s, parts, memfd,
                         (*room == ROOM_BY_PUSH ? TG_UNIX_PUSH : 0u) |
                             (at_once ? TG_UNIX_AT_ONCE : 0u));
        const bool too_many = r == -ETOOMANYREFS;
        r = too_many ? -EAGAIN : r;
        if (r == -EAGAIN && s->place.head.full == TONG_DROP_OLDEST && take_back(h, room)) {
            count_dropped(s);
            continue;
        }
        if (r != -EAGAIN || call->deadline_ns == 0) {
            return r == -EPIPE || r == -ECONNRESET ? tg_unix_sender_find_end(s) : r;
        }
        r = too_many ? pause_(h, call) : sleep_(h, true, call);
        if (r < 0) {
            return r;
        }
    }
}

/* ---- a rendezvous: it is sent, and taken back if nobody has received it in time */

static bool is_expected(struct tg_unix_sender *s)
{
    return tg_unix_place_look(&s->place) == 0 &&
           (s->place.head.asleep != 0 || s->place.head.armed != 0);
}

static int wait_for_answer(struct tg_unix_handle *h, const struct tg_unix_call *call)
{
    struct tg_unix_sender *s = h->sender;
    const bool at_once = call->deadline_ns == 0;
    struct tg_unix_call own = *call;
    int r = 0;
    tg_unix_row_set_blocked(s->room, s->row, true);
    for (int64_t until = tg_now_ns() + LOOK_NS; s->answered != s->number && s->end == 0;) {
        if (at_once) {
            own.deadline_ns = tg_now_ns() + LET_IN_NS;
        }
        int none = ROOM;
        if (r < 0 && take_back(h, &none)) {
            s->took_back = true;
            break;
        }
        /* It was read: by a call that answers within a few instructions. */
        own.deadline_ns = r < 0 ? TG_NEVER : own.deadline_ns;
        own.interrupts = r < 0 ? tg_unix_interrupts_begin(h) : own.interrupts;
        const int slept = sleep_(h, false, &own);
        if (slept < 0 && r == 0) {
            const bool on = at_once && slept == -ETIMEDOUT && is_expected(s) && tg_now_ns() < until;
            r = on ? 0 : slept;
        }
        if (at_once && r == 0 && s->unwanted == s->number) {
            r = -ETIMEDOUT;
        }
    }
    if (s->end == 0) {
        tg_unix_row_set_blocked(s->room, s->row, false);
    }
    if (s->answered == s->number) {
        return s->answer == TG_UNIX_TAKEN ? 0 : -ETIMEDOUT;
    }
    return s->end != 0 ? s->end : at_once && r == -ETIMEDOUT ? -EAGAIN : r;
}

/* Said before it is used, and taken back before it is sent: killed in between the owner makes it good. */
static void set_spare(const struct tg_unix_sender *s, uint64_t n)
{
    if (s->bounded) {
        tg_unix_row_set(s->room, s->row, offsetof(struct tg_unix_row, spare), &n, sizeof n);
    }
}

static int send_placed(struct tg_unix_handle *h, const struct tg_unix_parts *parts,
                       const struct tg_unix_call *call, int *room)
{
    struct tg_unix_sender *s = h->sender;
    int memfd = -1;
    if (parts->len > s->inline_max || (parts->ready != NULL && parts->ready->mapped != 0)) {
        memfd = tg_unix_memfd_of(parts);
        if (memfd < 0) {
            return memfd;
        }
    }
    if (parts->ready != NULL) {
        set_spare(s, 0);
    }
    const int r = send_blocking(h, parts, memfd, call, room);
    tg_sys_close(memfd);
    if (r == 0 && parts->asker != NULL) {
        tg_store_relaxed(&parts->asker->asked, tg_unix_asked(h, s->number));
    }
    if (r == 0) {
        s->next++;
        s->number++;
        tell_sent(s);
    }
    if (r == 0 && s->took_back) {
        const struct tg_unix_packet packet = { .kind = TG_UNIX_OFFER };
        const struct iovec part = { (void *)(uintptr_t)&packet, sizeof packet };
        (void)tg_socket_send(s->fd, &part, 1, NULL, 0);
        s->took_back = false;
    }
    return r;
}

/* It was read in the place of another one, and is nobody's who waited: once more. */
static bool is_offered_again(const struct tg_unix_sender *s, const struct tg_unix_call *call)
{
    return s->answered == s->number && s->answer == TG_UNIX_LATE && !tg_is_over(call->deadline_ns);
}

static int offer(struct tg_unix_handle *h, const struct tg_unix_parts *parts,
                 const struct tg_unix_call *call)
{
    struct tg_unix_sender *s = h->sender;
    const bool drops = s->place.head.full != TONG_BLOCK;
    int room = ROOM;
    struct tg_unix_call own = *call;
    own.deadline_ns = drops ? 0 : tg_unix_worth(parts->said, call->deadline_ns);
    int r = own.deadline_ns == 0 && !is_expected(s) ? -EAGAIN : send_placed(h, parts, &own, &room);
    if (r == 0) {
        r = wait_for_answer(h, &own);
    }
    while (r == -ETIMEDOUT && parts->ready == NULL && is_offered_again(s, &own)) {
        r = send_placed(h, parts, &own, &room);
        r = r == 0 ? wait_for_answer(h, &own) : r;
    }
    if (r == -EAGAIN) {
        const int end = tg_unix_sender_check(s);
        r = end < 0 ? end : drops ? NO_ROOM : r;
    }
    return r;
}

int tg_unix_sender_send(struct tg_unix_handle *h, const struct tg_unix_parts *parts,
                        const struct tg_unix_call *call)
{
    struct tg_unix_sender *s = h->sender;
    int r = tg_unix_sender_link(h, call);
    if (r == 0) {
        r = parts->ready != NULL ? h->reserved_room : make_room(h, call);
    }
    if (r < 0) {
        return r;
    }
    int room = r;
    if (room != NO_ROOM) {
        r = s->place.head.capacity == 0 ? offer(h, parts, call)
                                        : send_placed(h, parts, call, &room);
    }
    if (r == NO_ROOM && !parts->is_kept) {
        count_dropped(s);
    }
    if (r == NO_ROOM) {
        return TONG_DROPPED;
    }
    if (r == 0 && parts->ready != NULL) {
        free(parts->ready);
        h->reserved = NULL;
    }
    return r == 0 && room != ROOM ? TONG_DROPPED : r;
}

/* ---- in place: a long message is written into the memfd that is sent */

static int reserve_memory(struct tg_unix_sender *s, size_t len, struct tg_unix_message **ret_m)
{
    struct tg_unix_message *m = calloc(1, sizeof *m + (len > s->inline_max ? 0 : len));
    void *p = NULL;
    if (m == NULL) {
        return -ENOMEM;
    }
    m->data = m->room;
    m->fd = -1;
    int r = 0;
    if (len > s->inline_max) {
        m->fd = tg_sys_memfd(len);
        r = m->fd < 0 ? m->fd : tg_sys_map(m->fd, 0, len, true, &p);
        m->data = p;
        m->mapped = len;
    }
    if (r < 0) {
        tg_sys_close(m->fd);
        free(m);
        return r;
    }
    *ret_m = m;
    return 0;
}

int tg_unix_sender_reserve(struct tg_unix_handle *h, size_t len, const struct tg_unix_call *call)
{
    struct tg_unix_sender *s = h->sender;
    int r = tg_unix_sender_link(h, call);
    if (r == 0) {
        r = make_room(h, call);
    }
    if (r < 0 || r == NO_ROOM) {
        return r < 0 ? r : -EAGAIN;
    }
    h->reserved_room = r;
    r = reserve_memory(s, len, &h->reserved);
    if (r < 0) {
        tg_unix_sender_put_back(s);
    } else {
        set_spare(s, 1);
    }
    return r;
}

void tg_unix_sender_abort(struct tg_unix_handle *h)
{
    struct tg_unix_message *m = h->reserved;
    h->reserved = NULL;
    if (m->mapped != 0) {
        tg_sys_unmap(m->data, m->mapped);
    }
    tg_sys_close(m->fd);
    free(m);
    set_spare(h->sender, 0);
    tg_unix_sender_put_back(h->sender);
}

uint32_t tg_unix_capacity(const struct tg_unix_handle *h)
{
    return h->sender != NULL ? (uint32_t)h->sender->place.head.capacity : h->box->capacity;
}

uint32_t tg_unix_full(const struct tg_unix_handle *h)
{
    return h->sender != NULL ? (uint32_t)h->sender->place.head.full : h->box->full;
}
