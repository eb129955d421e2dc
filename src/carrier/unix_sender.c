/*
 * A sender of another process: one end of a connection, and its row in the room file.
 *
 *   state        facts                                           left by
 *   new          only looked at                                  the first send
 *   linked       a row is its, HELLO is sent                     close; the end of the connection
 *   over         end says why                                    for ever
 *
 * I1  A message is promised when the kernel has it: it lies in the owner's socket then, whatever becomes
 *     of this process.
 * I2  How many of its messages are finished stands in the box file, and is read there when the room as last
 *     seen is used up. What the owner sends back only wakes it.
 * I3  Room of the mailbox that is not used is given back before the handle is closed, and before a call
 *     that waited for some ends without; the owner grants none to who does not wait.
 * I4  The end of the connection is an end of the mailbox only if its files say so: they are asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/kept.h"
#include "carrier/unix.h"

#define LOOK_NS TONG_SEC(1) /* of a sleep: then the mailbox's state is asked for */
#define LET_IN_NS TONG_MS(1)
#define SEND_BUFFER (4 << 20)
#define SMALL_INLINE (64u << 10)

struct tg_unix_sender {
    struct tg_unix_place place;
    struct tg_root *root;
    int room;
    int fd;
    uint32_t row;
    int end; /* 0, or how it ended */
    bool bounded;
    uint64_t next;  /* number of the next message */
    uint64_t done;  /* finished, as last seen */
    uint64_t taken; /* room of the mailbox: for numbers below that */
    uint64_t dropped;
    size_t inline_max;
};

uint32_t tg_unix_sender_message_size(const struct tg_unix_sender *s)
{
    return s->place.head.message_size;
}

int tg_unix_sender_new(struct tg_unix_place *place, struct tg_unix_sender **ret_sender)
{
    struct tg_unix_sender *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return -ENOMEM;
    }
    const int r = tg_root_get(false, &s->root);
    if (r < 0) {
        free(s);
        return r;
    }
    s->place = *place;
    s->room = -1;
    s->fd = -1;
    const uint32_t capacity = place->head.capacity;
    s->bounded = capacity != 0 && capacity != TONG_UNBOUNDED;
    place->dir = -1;
    place->box = -1;
    *ret_sender = s;
    return 0;
}

static void put_room_back(struct tg_unix_sender *s)
{
    if (s->bounded && s->taken > s->next) {
        (void)tg_unix_room_put(s->room, s->row, s->taken - s->next);
        s->taken = s->next;
    }
}

void tg_unix_sender_free(struct tg_unix_sender *s, bool forked)
{
    if (!forked) {
        if (s->fd >= 0 && s->end == 0) {
            put_room_back(s);
        }
        tg_kept_close(s->fd);
        tg_kept_close(s->room);
        tg_unix_place_close(&s->place);
    }
    tg_root_put(s->root);
    free(s);
}

/* ---- its end */

/* What the owner has sent: whether it refused this sender. Credits are read in the box file. */
static int read_packets(struct tg_unix_sender *s)
{
    struct tg_unix_packet packet;
    struct tg_unix_credit credit;
    const struct iovec parts[] = { { &packet, sizeof packet }, { &credit, sizeof credit } };
    struct tg_socket_got got;
    int r;
    while ((r = tg_socket_receive(s->fd, parts, 2, false, &got)) > 0) {
        for (int i = 0; i < got.n_fds; i++) {
            tg_sys_close(got.fds[i]);
        }
        if (got.len >= sizeof packet && packet.kind == TG_UNIX_REFUSED) {
            s->end = packet.number == EUSERS ? -EUSERS : -EPROTO;
        }
    }
    return r == -EAGAIN ? s->end : -EPIPE;
}

/* I4. The owner's lock and its connections do not go in one moment. */
static int find_end(struct tg_unix_sender *s)
{
    if (s->fd >= 0 && s->end == 0) {
        (void)read_packets(s);
    }
    const int64_t until = tg_now_ns() + LOOK_NS;
    while (s->end == 0) {
        s->end = tg_unix_place_end(&s->place);
        if (s->end == 0 && tg_now_ns() >= until) {
            s->end = -EPROTO;
        } else if (s->end == 0) {
            (void)tg_socket_wait(-1, false, -1, tg_now_ns() + LET_IN_NS);
        }
    }
    return s->end;
}

int tg_unix_sender_check(struct tg_unix_sender *s)
{
    if (s->end == 0) {
        const int r = tg_unix_place_end(&s->place);
        s->end = r == -EIDRM || r == -EOWNERDEAD ? r : 0;
    }
    return s->end;
}

/* ---- the link */

static int say_hello(struct tg_unix_handle *h)
{
    struct tg_unix_sender *s = h->sender;
    const struct tg_unix_packet packet = { .kind = TG_UNIX_HELLO,
                                           .length = sizeof(struct tg_unix_hello),
                                           .number = s->next };
    struct tg_unix_hello hello = {
        .magic = TG_UNIX_MAGIC, .version = TG_UNIX_VERSION, .flags = TG_UNIX_WITH_ROW, .row = s->row
    };
    memcpy(hello.name, h->name, sizeof hello.name);
    const struct iovec parts[] = { { (void *)(uintptr_t)&packet, sizeof packet },
                                   { &hello, sizeof hello } };
    int r = tg_socket_send(s->fd, parts, 2, NULL, 0);
    if (r == 0) {
        const uint32_t linked = TG_UNIX_ROW_LINKED;
        tg_unix_row_set(s->room, s->row, offsetof(struct tg_unix_row, state), &linked,
                        sizeof linked);
    }
    return r;
}

/* Whoever listens there is whose files they are. */
static int check_peer(const struct tg_unix_sender *s)
{
    struct tg_socket_peer peer;
    const int r = tg_socket_peer(s->fd, &peer);
    return r < 0 ? r : peer.uid == s->place.uid || peer.uid == 0 ? 0 : -EACCES;
}

static int connect_(struct tg_unix_sender *s)
{
    s->fd = tg_socket_connect(s->place.dir, TG_UNIX_SOCKET);
    int r = s->fd;
    if (r >= 0) {
        r = check_peer(s);
        const int buffer = tg_socket_buffer(s->fd, SEND_BUFFER);
        s->inline_max = buffer >= SEND_BUFFER ? TG_UNIX_INLINE_MAX : SMALL_INLINE;
    }
    return r < 0 ? r : 0;
}

static int link_once(struct tg_unix_handle *h)
{
    struct tg_unix_sender *s = h->sender;
    int r = 0;
    if (s->room < 0) {
        s->room = tg_unix_open_kept(s->place.dir, TG_UNIX_ROOM, O_RDWR);
        r = s->room < 0 ? s->room : 0;
    }
    if (r == 0 && s->row == 0) {
        r = tg_unix_row_get(s->room, s->place.box, &s->row, &s->next);
        s->done = s->next;
        s->taken = s->next;
    }
    if (r == 0) {
        r = connect_(s);
    }
    if (r == 0) {
        r = say_hello(h);
    }
    if (r < 0) {
        tg_kept_close(s->fd);
        s->fd = -1;
    }
    return r == -ECONNREFUSED || r == -ENOENT || r == -EPIPE || r == -ECONNRESET ? find_end(s) : r;
}

/* More wait to be let in than the system keeps: they are let in when the owner is in a call. */
static int get_link(struct tg_unix_handle *h, const struct tg_unix_call *call)
{
    struct tg_unix_sender *s = h->sender;
    for (;;) {
        const int r = s->end != 0 ? s->end : s->fd >= 0 ? 0 : link_once(h);
        if (r != -EAGAIN || tg_is_over(call->deadline_ns)) {
            return r == -EAGAIN && call->deadline_ns != 0 ? -ETIMEDOUT : r;
        }
        if (tg_unix_is_interrupted(h, call->interrupts)) {
            return -ECANCELED;
        }
        const int slept = tg_socket_wait(-1, false, -1, tg_now_ns() + LET_IN_NS);
        if (slept == -EINTR) {
            return slept;
        }
    }
}

/* ---- room */

/* I2 */
static int look_at_done(struct tg_unix_sender *s)
{
    uint64_t done = 0;
    const int r = tg_sys_pread(s->place.box, &done, sizeof done, TG_UNIX_DONE_OFF + 8 * s->row);
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

/* The fd that a sleep of this handle's calls is ended by. */
static int interrupt_fd(struct tg_unix_handle *h)
{
    tg_a32 *word = &h->interrupts->fd;
    if (tg_load_acquire(word) == 0) {
        const int r = tg_kept_begin();
        const int fd = r < 0 ? r : tg_kept_end(tg_event_counter());
        uint32_t none = 0;
        if (fd < 0) {
            return fd;
        }
        if (!tg_cas(word, &none, (uint32_t)fd + 1)) {
            tg_kept_close(fd);
        }
    }
    return (int)tg_load_acquire(word) - 1;
}

/* Until the owner sends something, its end, or, if writable, there is place in the socket. */
static int sleep_(struct tg_unix_handle *h, bool writable, const struct tg_unix_call *call)
{
    struct tg_unix_sender *s = h->sender;
    const int other = interrupt_fd(h);
    if (other < 0) {
        return other;
    }
    tg_event_calm(other);
    if (tg_unix_is_interrupted(h, call->interrupts)) {
        return -ECANCELED;
    }
    const int64_t look = tg_now_ns() + LOOK_NS;
    tg_gate_set_asleep(&h->gate, true);
    int r =
        tg_socket_wait(s->fd, writable, other, look < call->deadline_ns ? look : call->deadline_ns);
    tg_gate_set_asleep(&h->gate, false);
    if (r == -ETIMEDOUT && look < call->deadline_ns) {
        const int end = tg_unix_place_end(&s->place);
        r = end == -EIDRM ? end : 0;
        s->end = r;
    }
    if (r >= 0) {
        r = read_packets(s);
    }
    return r == -EPIPE ? find_end(s) : r < 0 ? r : 0;
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
            put_room_back(s);
        }
    }
    return r;
}

/* 0: there is room for one message; TONG_DROPPED: there is none. */
static int make_room(struct tg_unix_handle *h, const struct tg_unix_call *call)
{
    struct tg_unix_sender *s = h->sender;
    const int r = get_room(s);
    if (r != -EAGAIN) {
        return r;
    }
    if (s->place.head.full == TONG_DROP_NEWEST) {
        return TONG_DROPPED;
    }
    return call->deadline_ns == 0 ? tg_unix_sender_check(s) < 0 ? s->end : r
                                  : wait_for_room(h, call);
}

static void count_dropped(struct tg_unix_sender *s)
{
    s->dropped++;
    tg_unix_row_set(s->room, s->row, offsetof(struct tg_unix_row, dropped), &s->dropped,
                    sizeof s->dropped);
}

/* ---- sending */

static int make_memfd(const struct tg_unix_parts *parts)
{
    struct tg_unix_message *ready = parts->ready;
    int fd;
    int r = 0;
    if (ready != NULL && ready->mapped != 0) {
        tg_sys_unmap(ready->data, ready->mapped);
        ready->mapped = 0;
        ready->data = NULL;
        fd = tg_steal_fd(&ready->fd);
        r = tg_sys_truncate(fd, parts->len);
    } else {
        const void *data = ready != NULL ? ready->data : parts->data;
        fd = tg_sys_memfd(parts->len);
        r = fd < 0 ? fd : tg_sys_pwrite_all(fd, data, parts->len);
    }
    if (r == 0) {
        r = tg_sys_memfd_seal(fd);
    }
    if (r < 0) {
        tg_sys_close(fd);
        return r;
    }
    return fd;
}

static int transmit(struct tg_unix_sender *s, const struct tg_unix_parts *parts, int memfd)
{
    uint8_t extension[TG_EXTENSION_MOST];
    const size_t n = parts->said != NULL ? tg_said_write(parts->said, extension) : 0;
    const struct tg_unix_packet packet = { .kind = TG_UNIX_MESSAGE,
                                           .flags = (uint8_t)((memfd >= 0 ? TG_UNIX_MEMFD : 0) |
                                                              (parts->fd >= 0 ? TG_UNIX_FD : 0)),
                                           .extension = (uint16_t)n,
                                           .length = (uint32_t)parts->len,
                                           .number = s->next };
    const void *data = parts->ready != NULL ? parts->ready->data : parts->data;
    const struct iovec iov[] = { { (void *)(uintptr_t)&packet, sizeof packet },
                                 { extension, n },
                                 { (void *)(uintptr_t)data, parts->len } };
    const int fds[] = { memfd >= 0 ? memfd : parts->fd, parts->fd };
    const size_t n_fds = (memfd >= 0 ? 1u : 0u) + (parts->fd >= 0 ? 1u : 0u);
    return tg_socket_send(s->fd, iov, memfd >= 0 ? 2 : 3, fds, n_fds);
}

/* The socket has no place for it: wait until it has. */
static int send_blocking(struct tg_unix_handle *h, const struct tg_unix_parts *parts, int memfd,
                         const struct tg_unix_call *call)
{
    struct tg_unix_sender *s = h->sender;
    for (;;) {
        int r = transmit(s, parts, memfd);
        if (r == -ETOOMANYREFS) {
            r = -EAGAIN;
        }
        if (r != -EAGAIN || call->deadline_ns == 0) {
            return r == -EPIPE || r == -ECONNRESET ? find_end(s) : r;
        }
        r = sleep_(h, true, call);
        if (r < 0) {
            return r;
        }
    }
}

int tg_unix_sender_send(struct tg_unix_handle *h, const struct tg_unix_parts *parts,
                        const struct tg_unix_call *call)
{
    struct tg_unix_sender *s = h->sender;
    int memfd = -1;
    int r = get_link(h, call);
    if (r == 0) {
        r = make_room(h, call);
    }
    if (r == TONG_DROPPED) {
        count_dropped(s);
    }
    if (r != 0) {
        return r;
    }
    if (parts->len > s->inline_max || (parts->ready != NULL && parts->ready->mapped != 0)) {
        memfd = make_memfd(parts);
        if (memfd < 0) {
            return memfd;
        }
    }
    r = send_blocking(h, parts, memfd, call);
    tg_sys_close(memfd);
    if (r == 0) {
        s->next++;
        free(parts->ready);
    }
    return r;
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
    int r = get_link(h, call);
    if (r == 0) {
        r = make_room(h, call);
    }
    if (r == 0) {
        r = reserve_memory(h->sender, len, &h->reserved);
    }
    return r == TONG_DROPPED ? -EAGAIN : r;
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
    put_room_back(h->sender);
}

uint32_t tg_unix_full(const struct tg_unix_handle *h)
{
    return h->sender != NULL ? (uint32_t)h->sender->place.head.full : h->box->full;
}
