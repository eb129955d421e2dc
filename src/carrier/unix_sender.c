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
 * I5  Where a message may have to be taken back (capacity 0, drop-oldest) it goes through a pair of sockets of
 *     which both sides have the receiving end: of two that read there the kernel gives it to one.
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
#define FIRST_LOOK_NS TONG_MS(10)
#define LET_IN_NS TONG_MS(1)
#define SEND_BUFFER (4 << 20)
#define SMALL_INLINE (64u << 10)

struct tg_unix_sender {
    struct tg_unix_place place;
    struct tg_root *root;
    uint64_t process; /* record number of this one */
    bool joined;      /* it has one, for the folder */
    int room;
    int fd;
    int data;   /* where messages go, and ... */
    int unread; /* ... the other end of it, which the owner has, too; -1: they go to fd */
    uint32_t row;
    int end; /* 0, or how it ended */
    bool bounded;
    bool has_said;     /* HELLO */
    int watch;         /* see tg_unix_sender_watch(); -1 none */
    uint64_t number;   /* of the next message */
    uint64_t next;     /* the same, without those that were taken back */
    uint64_t answered; /* at capacity 0: number of the offer answered last, + 1 */
    uint8_t answer;    /* enum tg_unix_kind */
    uint64_t done;     /* finished, as last seen */
    uint64_t taken;    /* room of the mailbox: for numbers below that */
    uint64_t dropped;
    void *page;               /* of the room file, that has ... */
    struct tg_unix_row *told; /* ... the own row; NULL: it is not told how many were sent */
    int64_t look_ns;          /* how long the next sleep is before a look */
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
    s->data = -1;
    s->unread = -1;
    s->watch = -1;
    s->look_ns = LOOK_NS;
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

static void close_sockets(struct tg_unix_sender *s)
{
    tg_kept_close(s->fd);
    tg_kept_close(s->data);
    tg_kept_close(s->unread);
    s->fd = -1;
    s->data = -1;
    s->unread = -1;
}

static void say_bye(const struct tg_unix_sender *s)
{
    const struct tg_unix_packet packet = { .kind = TG_UNIX_BYE };
    const struct iovec part = { (void *)(uintptr_t)&packet, sizeof packet };
    (void)tg_socket_send(s->fd, &part, 1, NULL, 0);
}

void tg_unix_sender_free(struct tg_unix_sender *s, bool forked)
{
    if (!forked) {
        if (s->fd >= 0 && s->end == 0) {
            put_room_back(s);
            tg_unix_row_close(s->room, s->row);
            say_bye(s);
        }
        close_sockets(s);
        tg_kept_close(s->watch);
        tg_kept_close(s->room);
        tg_unix_place_close(&s->place);
    }
    if (!forked && s->joined) {
        tg_life_leave(s->root);
    }
    if (s->page != NULL) {
        tg_sys_unmap(s->page, TG_PAGE);
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
        if (got.len >= sizeof packet &&
            (packet.kind == TG_UNIX_TAKEN || packet.kind == TG_UNIX_LATE)) {
            s->answered = packet.number + 1;
            s->answer = packet.kind;
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
            (void)tg_unix_pause();
        }
    }
    return s->end;
}

const struct tg_unix_place *tg_unix_sender_place(const struct tg_unix_sender *s)
{
    return &s->place;
}

int tg_unix_sender_watch(struct tg_unix_sender *s)
{
    if (s->watch < 0) {
        s->watch = tg_socket_connect(s->place.dir, TG_UNIX_SOCKET);
    }
    const int r = s->watch;
    s->watch = r < 0 ? -1 : r;
    return r;
}

void tg_unix_sender_watched(struct tg_unix_sender *s)
{
    struct tg_unix_packet packet;
    struct tg_socket_got got;
    const struct iovec part = { &packet, sizeof packet };
    int r;
    while ((r = tg_socket_receive(s->watch, &part, 1, false, &got)) > 0) {
        for (int i = 0; i < got.n_fds; i++) {
            tg_sys_close(got.fds[i]);
        }
    }
    if (r == 0) {
        tg_kept_close(s->watch); /* what became of it stands in its files */
        s->watch = -1;
    }
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

static int send_hello(const struct tg_unix_sender *s, const char name[TONG_NAME_MAX])
{
    const struct tg_unix_packet packet = { .kind = TG_UNIX_HELLO,
                                           .length = sizeof(struct tg_unix_hello),
                                           .number = s->next };
    struct tg_unix_hello hello = { .magic = TG_UNIX_MAGIC, .version = TG_UNIX_VERSION };
    hello.flags = TG_UNIX_WITH_ROW | (s->unread >= 0 ? TG_UNIX_WITH_DATA : 0u);
    hello.row = s->row;
    memcpy(hello.name, name, sizeof hello.name);
    const struct iovec parts[] = { { (void *)(uintptr_t)&packet, sizeof packet },
                                   { &hello, sizeof hello } };
    return tg_socket_send(s->fd, parts, 2, &s->unread, s->unread >= 0 ? 1 : 0);
}

static int say_hello(struct tg_unix_handle *h)
{
    struct tg_unix_sender *s = h->sender;
    (void)tg_gate_enter(&h->name_gate, TG_NEVER, NULL, 0);
    const int r = send_hello(s, h->name);
    s->has_said = r == 0;
    tg_gate_leave(&h->name_gate);
    if (r == 0) {
        const uint32_t linked = TG_UNIX_ROW_LINKED;
        tg_unix_row_set(s->room, s->row, offsetof(struct tg_unix_row, state), &linked,
                        sizeof linked);
    }
    return r;
}

void tg_unix_sender_rename(struct tg_unix_handle *h, const char *name)
{
    const struct tg_unix_sender *s = h->sender;
    const struct tg_unix_packet packet = { .kind = TG_UNIX_NAME, .length = (uint32_t)strlen(name) };
    const struct iovec parts[] = { { (void *)(uintptr_t)&packet, sizeof packet },
                                   { (void *)(uintptr_t)name, packet.length } };
    (void)tg_gate_enter(&h->name_gate, TG_NEVER, NULL, 0);
    memset(h->name, 0, sizeof h->name);
    memcpy(h->name, name, packet.length);
    if (s->has_said) {
        (void)tg_socket_send(s->fd, parts, 2, NULL, 0);
    }
    tg_gate_leave(&h->name_gate);
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
    }
    if (r == 0 && (s->place.head.capacity == 0 || s->place.head.full == TONG_DROP_OLDEST)) {
        int ends[2];
        r = tg_socket_pair(ends);
        if (r == 0) {
            s->data = ends[0];
            s->unread = ends[1];
        }
    }
    if (r == 0) {
        const int buffer = tg_socket_buffer(s->data >= 0 ? s->data : s->fd, SEND_BUFFER);
        s->inline_max = buffer >= SEND_BUFFER ? TG_UNIX_INLINE_MAX : SMALL_INLINE;
    }
    return r < 0 ? r : 0;
}

/*
 * The own row, mapped, to tell how many messages were sent without a call for each. Only where nobody else may
 * cut the file: NULL elsewhere, and the owner tells what it has read.
 */
static void map_row(struct tg_unix_sender *s)
{
    void *p = NULL;
    const uint64_t at = s->row * sizeof(struct tg_unix_row);
    const uint64_t page = at & ~(uint64_t)(TG_PAGE - 1);
    const bool trusted =
        (s->place.uid == geteuid() || s->place.uid == 0) && (s->place.head.mode & 0077) == 0;
    /* A description of its own: a mapping keeps it open in a forked child, and the other one has the lock. */
    tg_fd fd = trusted ? tg_sys_open(s->place.dir, TG_UNIX_ROOM, O_RDWR, 0) : -1;
    if (fd >= 0 && tg_sys_map(fd, page, TG_PAGE, true, &p) == 0) {
        s->page = p;
        s->told = (struct tg_unix_row *)(void *)((uint8_t *)p + (at - page));
    }
}

static int link_once(struct tg_unix_handle *h)
{
    struct tg_unix_sender *s = h->sender;
    int r = s->joined ? 0 : tg_life_join(s->root, &s->process);
    s->joined = r == 0;
    if (r == 0 && s->room < 0) {
        s->room = tg_unix_open_kept(s->place.dir, TG_UNIX_ROOM, O_RDWR);
        r = s->room < 0 ? s->room : 0;
    }
    struct tg_unix_who who = { .process = s->process };
    memcpy(who.as, h->as, sizeof who.as);
    if (r == 0 && s->row == 0) {
        r = tg_unix_row_get(s->room, s->place.box, &who, &s->row, &s->next);
        s->number = s->next;
        s->done = s->next;
        s->taken = s->next;
        if (r == 0) {
            map_row(s);
        }
    }
    if (r == 0) {
        r = connect_(s);
    }
    if (r == 0) {
        r = say_hello(h);
    }
    if (r < 0) {
        close_sockets(s);
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
        if (tg_unix_pause() == -EINTR) {
            return -EINTR;
        }
    }
}

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
            put_room_back(s);
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

static void tell_sent(const struct tg_unix_sender *s)
{
    if (s->told != NULL) {
        tg_store_relaxed(&s->told->sent, s->next);
    }
}

/* The oldest message that the owner has not read is gone. */
static bool take_back(struct tg_unix_sender *s)
{
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
    return true;
}

/* ---- room for one message */

enum room {
    ROOM = 0,
    ROOM_OF_OLDEST = 1, /* an older one was taken back */
    ROOM_BY_PUSH = 2,   /* the owner will drop an older one, which it has read */
    NO_ROOM = 3
};

static int drop_oldest(struct tg_unix_sender *s)
{
    if (take_back(s)) {
        count_dropped(s);
        return ROOM_OF_OLDEST;
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
        const int r = read_packets(s); /* nothing else tells of the end */
        if (r < 0) {
            return r == -EPIPE ? find_end(s) : r;
        }
    }
    const int r = s->place.head.capacity == 0 ? 0 : get_room(s);
    if (r != -EAGAIN) {
        return r;
    }
    if (s->place.head.full == TONG_DROP_OLDEST) {
        return drop_oldest(s);
    }
    if (s->place.head.full == TONG_DROP_NEWEST) {
        return NO_ROOM;
    }
    return call->deadline_ns == 0 ? tg_unix_sender_check(s) < 0 ? s->end : r
                                  : wait_for_room(h, call);
}

/* ---- sending */

static int transmit(struct tg_unix_sender *s, const struct tg_unix_parts *parts, int memfd,
                    bool push)
{
    uint8_t extension[TG_EXTENSION_MOST];
    const size_t n = parts->said != NULL ? tg_said_write(parts->said, extension) : 0;
    const struct tg_unix_packet packet = { .kind = TG_UNIX_MESSAGE,
                                           .flags = (uint8_t)((memfd >= 0 ? TG_UNIX_MEMFD : 0) |
                                                              (parts->fd >= 0 ? TG_UNIX_FD : 0) |
                                                              (push ? TG_UNIX_PUSH : 0)),
                                           .extension = (uint16_t)n,
                                           .length = (uint32_t)parts->len,
                                           .number = s->number };
    const void *data = parts->ready != NULL ? parts->ready->data : parts->data;
    const struct iovec iov[] = { { (void *)(uintptr_t)&packet, sizeof packet },
                                 { extension, n },
                                 { (void *)(uintptr_t)data, parts->len } };
    const int fds[] = { memfd >= 0 ? memfd : parts->fd, parts->fd };
    const size_t n_fds = (memfd >= 0 ? 1u : 0u) + (parts->fd >= 0 ? 1u : 0u);
    return tg_socket_send(s->data >= 0 ? s->data : s->fd, iov, memfd >= 0 ? 2 : 3, fds, n_fds);
}

/* The socket has no place for it: wait until it has, or make some. */
static int send_blocking(struct tg_unix_handle *h, const struct tg_unix_parts *parts, int memfd,
                         const struct tg_unix_call *call, int *room)
{
    struct tg_unix_sender *s = h->sender;
    for (;;) {
        int r = transmit(s, parts, memfd, *room == ROOM_BY_PUSH);
        if (r == -ETOOMANYREFS) {
            r = -EAGAIN;
        }
        if (r == -EAGAIN && s->place.head.full == TONG_DROP_OLDEST && take_back(s)) {
            count_dropped(s);
            *room = *room == ROOM ? ROOM_OF_OLDEST : *room;
            continue;
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
        if (r < 0 && take_back(s)) {
            break;
        }
        /* It was read: by a call that answers within a few instructions. */
        own.deadline_ns = r < 0 ? TG_NEVER : own.deadline_ns;
        const int slept = sleep_(h, false, &own);
        if (slept < 0 && r == 0) {
            const bool on = at_once && slept == -ETIMEDOUT && is_expected(s) && tg_now_ns() < until;
            r = on ? 0 : slept;
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
    if (r == 0) {
        s->next++;
        s->number++;
        tell_sent(s);
    }
    return r;
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
    int r = get_link(h, call);
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
    int r = get_link(h, call);
    if (r == 0) {
        r = make_room(h, call);
    }
    if (r < 0 || r == NO_ROOM) {
        return r < 0 ? r : -EAGAIN;
    }
    h->reserved_room = r;
    r = reserve_memory(s, len, &h->reserved);
    if (r < 0) {
        put_room_back(s);
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
    put_room_back(h->sender);
}

uint32_t tg_unix_capacity(const struct tg_unix_handle *h)
{
    return h->sender != NULL ? (uint32_t)h->sender->place.head.capacity : h->box->capacity;
}

uint32_t tg_unix_full(const struct tg_unix_handle *h)
{
    return h->sender != NULL ? (uint32_t)h->sender->place.head.full : h->box->full;
}
