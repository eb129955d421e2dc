/*
 * What comes from a connection, packet by packet. All of it is input: a client may send anything.
 *
 * I1  A packet is one or it is refused: its parts are as long as they say, its kind is known, it stands
 *     where it may. -EPROTO drops the connection; what came before it counts.
 * I2  A message is taken only while its sender may have one more under way: no client makes this process
 *     keep more than link_capacity, or what it was granted.
 * I3  Descriptors that come are closed, unless the packet is a message that says it has them. Only as many as
 *     that are looked at; a packet with more is refused, and the kernel drops the rest.
 *     The kernel drops those for which this process has none left: who sends some says so before
 *     (PASSES; by a socket for messages they may always come), and then the packet stays where it is until
 *     there are some again.
 * I4  The bytes of a memfd are read only if nobody can change or cut them any more: sealed against writing,
 *     growing and shrinking, and against unsealing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/kept.h"
#include "base/name.h"
#include "carrier/unix/unix.h"

/* Of the longest packet what does not fit into a message that is at hand. */
#define SCRATCH_SIZE (TG_UNIX_INLINE_MAX + TG_EXTENSION_MOST)

struct got {
    struct tg_unix_packet packet;
    struct tg_socket_got socket;
    struct tg_unix_message *m; /* its room has the beginning of what is behind the header */
    size_t in_room;
};

static void close_fds(struct tg_socket_got *got)
{
    for (int i = 0; i < got->n_fds; i++) {
        tg_sys_close(got->fds[i]);
    }
    got->n_fds = 0;
}

static int take_fd(struct tg_socket_got *got, int i)
{
    return i < got->n_fds ? tg_steal_fd(&got->fds[i]) : -1;
}

/* ---- the message */

/* The bytes [off, off + len) of what is behind the header. */
static void copy_out(const struct tg_unix_box *box, const struct got *got, size_t off, size_t len,
                     uint8_t *to)
{
    const size_t first = off >= got->in_room        ? 0
                         : len < got->in_room - off ? len
                                                    : got->in_room - off;
    memmove(to, got->m->room + off, first);
    if (len > first) {
        memcpy(to + first, box->scratch + (off + first - got->in_room), len - first);
    }
}

static int read_said(const struct tg_unix_box *box, const struct got *got,
                     struct tg_said **ret_said)
{
    uint8_t bytes[TG_EXTENSION_MOST];
    *ret_said = NULL;
    if (got->packet.extension == 0) {
        return 0;
    }
    struct tg_said *said = malloc(sizeof *said);
    if (said == NULL) {
        return -ENOMEM;
    }
    copy_out(box, got, 0, got->packet.extension, bytes);
    const int r = tg_said_parse(bytes, got->packet.extension, said);
    if (r < 0) {
        free(said);
        return r;
    }
    *ret_said = said;
    return 0;
}

/* I4 */
static int map_memfd(struct got *got, struct tg_unix_message *m)
{
    struct stat st;
    void *p = NULL;
    const size_t len = got->packet.length;
    const int fd = got->socket.n_fds > 0 ? got->socket.fds[0] : -1;
    if (len == 0 || fd < 0 || !tg_sys_memfd_is_sealed(fd) || tg_sys_fstat(fd, &st) < 0 ||
        st.st_size < 0 || (uint64_t)st.st_size < len) {
        return -EPROTO;
    }
    const int r = tg_sys_map(fd, 0, len, false, &p);
    if (r < 0) {
        return r == -ENOMEM ? r : -EPROTO;
    }
    m->data = p;
    m->mapped = len;
    m->len = len;
    return 0;
}

static int fill_message(struct tg_unix_box *box, struct got *got, struct tg_unix_message **ret_m)
{
    const struct tg_unix_packet *p = &got->packet;
    struct tg_unix_message *m = got->m;
    struct tg_said *said = NULL;
    int r = read_said(box, got, &said);
    if (r < 0) {
        return r;
    }
    if ((p->flags & TG_UNIX_MEMFD) != 0) {
        r = map_memfd(got, m);
    } else if (p->length <= m->room_size) {
        copy_out(box, got, p->extension, p->length, m->room);
        m->len = p->length;
    } else {
        m = tg_unix_message_new(box, p->length);
        if (m != NULL) {
            copy_out(box, got, p->extension, p->length, m->room);
        }
        r = m != NULL ? 0 : -ENOMEM;
    }
    if (r < 0) {
        free(said);
        return r;
    }
    m->said = said;
    m->sequence = p->number;
    if ((p->flags & TG_UNIX_FD) != 0) {
        tg_unix_message_put_fd(box, m,
                               take_fd(&got->socket, (p->flags & TG_UNIX_MEMFD) != 0 ? 1 : 0));
    }
    *ret_m = m;
    return 0;
}

static bool has_right_length(const struct got *got)
{
    const struct tg_unix_packet *p = &got->packet;
    const size_t rest = got->socket.len - sizeof *p;
    const size_t payload = (p->flags & TG_UNIX_MEMFD) != 0 ? 0 : p->length;
    return p->extension % 16 == 0 && p->extension <= TG_EXTENSION_MOST &&
           payload <= TG_UNIX_INLINE_MAX && rest == p->extension + payload;
}

static int read_message(struct tg_unix_box *box, struct tg_unix_link *link, struct got *got)
{
    const struct tg_unix_packet *p = &got->packet;
    const int fds =
        ((p->flags & TG_UNIX_MEMFD) != 0 ? 1 : 0) + ((p->flags & TG_UNIX_FD) != 0 ? 1 : 0);
    if (!link->greeted ||
        (p->flags & ~(TG_UNIX_MEMFD | TG_UNIX_FD | TG_UNIX_PUSH | TG_UNIX_AT_ONCE)) != 0 ||
        ((p->flags & TG_UNIX_PUSH) != 0 && box->full != TONG_DROP_OLDEST) ||
        got->socket.n_fds != fds || !has_right_length(got) || p->number < link->next_number ||
        (box->message_size != 0 && p->length != box->message_size)) {
        return -EPROTO;
    }
    const bool is_over = link->base + link->received >= tg_unix_drive_limit(box, link);
    if (is_over && (p->flags & TG_UNIX_PUSH) == 0) {
        return -EPROTO; /* I2 */
    }
    if (is_over || ((p->flags & TG_UNIX_PUSH) != 0 && box->capacity != TONG_UNBOUNDED)) {
        (void)tg_unix_drop_oldest(box, link);
    }
    struct tg_unix_message *m = NULL;
    const int r = fill_message(box, got, &m);
    if (r < 0) {
        return r;
    }
    if (m == got->m) {
        got->m = NULL;
    }
    link->next_number = p->number + 1;
    tg_unix_message_arrive(box, link, m);
    return 1;
}

/* ---- the others */

/* A name is a process's alone whose mailbox is the same user's. */
static int take_name(const struct tg_unix_box *box, struct tg_unix_link *link, const char *bytes,
                     size_t len)
{
    char own[TONG_NAME_MAX] = { 0 };
    if (len >= sizeof own) {
        return -EPROTO;
    }
    memcpy(own, bytes, len);
    if (own[0] != '\0' && tg_name_check(own) < 0) {
        return -EPROTO;
    }
    if (own[0] != '\0' && !tg_unix_place_is_of(box->root, own, link->peer.uid)) {
        own[0] = '\0';
    }
    memcpy(link->name, own, sizeof own);
    return 0;
}

/* The row is its: no other link has it, and it goes on where the row's last sender ended. */
static int take_row(struct tg_unix_box *box, struct tg_unix_link *link, uint32_t row)
{
    if (row == TG_UNIX_OWN_ROW || row >= TG_UNIX_ROWS ||
        (row < box->n_rows && box->rows[row] != NULL) || link->base != tg_unix_done_of(box, row)) {
        return -EPROTO;
    }
    return tg_unix_drive_set_row(box, link, row);
}

/* A name is one living process's alone: who had it before has sent all it will, and goes first. */
static void drain_older(struct tg_unix_box *box, const struct tg_unix_link *link)
{
    struct tg_unix_link *next = link->name[0] != '\0' ? box->links : NULL;
    while (next != NULL) {
        struct tg_unix_link *l = next;
        next = l->next;
        if (l != link && !l->ended && !l->is_own && l->greeted &&
            strcmp(l->name, link->name) == 0) {
            tg_unix_drive_drain(box, l);
        }
    }
}

/* A socket that its sender also has. */
static int take_data(struct tg_unix_box *box, struct tg_unix_link *link, struct got *got)
{
    if (got->socket.n_fds != 1 || !tg_socket_is_connection(got->socket.fds[0])) {
        return -EPROTO;
    }
    int r = tg_kept_begin();
    if (r == 0) {
        r = tg_kept_end(take_fd(&got->socket, 0));
    }
    const int fd = r;
    r = r < 0 ? r : tg_unix_channel_open(box, &link->data, fd);
    if (r < 0) {
        tg_kept_close(fd);
    }
    return r;
}

static int read_hello(struct tg_unix_box *box, struct tg_unix_link *link, struct got *got)
{
    struct tg_unix_hello hello;
    if (link->greeted || link->hears || got->packet.length != sizeof hello ||
        got->packet.extension != 0 || got->socket.len != sizeof got->packet + sizeof hello) {
        return -EPROTO;
    }
    memcpy(&hello, got->m->room, sizeof hello);
    hello.name[sizeof hello.name - 1] = '\0';
    if (hello.magic != TG_UNIX_MAGIC || hello.version != TG_UNIX_VERSION ||
        (hello.flags & ~(TG_UNIX_WITH_ROW | TG_UNIX_WITH_DATA)) != 0 ||
        ((hello.flags & TG_UNIX_WITH_DATA) != 0) != (got->socket.n_fds != 0)) {
        return -EPROTO;
    }
    const bool has_row = (hello.flags & TG_UNIX_WITH_ROW) != 0;
    int r = take_name(box, link, hello.name, strlen(hello.name));
    link->base = has_row ? got->packet.number : 0;
    link->next_number = link->base;
    if (r == 0 && has_row) {
        r = take_row(box, link, hello.row);
    }
    if (r == 0 && (hello.flags & TG_UNIX_WITH_DATA) != 0) {
        r = take_data(box, link, got);
    }
    if (r < 0) {
        return r;
    }
    link->greeted = true;
    drain_older(box, link);
    if (!has_row) {
        tg_unix_count_small(&box->head->plain_links, 1);
        tg_unix_drive_tell(box, link);
    }
    return 0;
}

static int read_want(struct tg_unix_box *box, struct tg_unix_link *link, const struct got *got)
{
    if (!link->greeted || got->packet.length != 0 || got->socket.len != sizeof got->packet) {
        return -EPROTO;
    }
    const uint64_t most = box->capacity;
    const uint64_t n = got->packet.number;
    if (box->capacity != TONG_UNBOUNDED && box->capacity != 0 && n != 0) {
        tg_unix_drive_want(box, link, n < most ? n : most);
    } else if (n == 0) {
        tg_unix_drive_forget_want(box, link);
    }
    return 0;
}

static int read_name(struct tg_unix_box *box, struct tg_unix_link *link, const struct got *got)
{
    const size_t len = got->packet.length;
    if (!link->greeted || got->packet.extension != 0 || len >= TONG_NAME_MAX ||
        got->socket.len != sizeof got->packet + len) {
        return -EPROTO;
    }
    const int r = take_name(box, link, (const char *)got->m->room, len);
    if (r == 0) {
        tg_unix_deliver_wake_all(box); /* who waits for that name's messages looks again */
    }
    return r;
}

/* It sends nothing else, and is told of requests that nobody answers. */
static int read_hears(struct tg_unix_link *link, const struct got *got)
{
    char name[TONG_NAME_MAX] = { 0 };
    const size_t len = got->packet.length;
    if (link->greeted || link->hears || got->packet.extension != 0 || len >= sizeof name ||
        got->socket.len != sizeof got->packet + len) {
        return -EPROTO;
    }
    memcpy(name, got->m->room, len);
    if (tg_name_check(name) < 0) {
        return -EPROTO;
    }
    memcpy(link->name, name, sizeof name);
    link->hears = true;
    return 0;
}

/* Who removed it comes for this alone: the end of the mailbox frees links, that of this packet, too. */
static int read_look(struct tg_unix_box *box, const struct tg_unix_link *link)
{
    if (link->greeted) {
        return -EPROTO;
    }
    if (tg_load_acquire(&box->head->state) == TG_UNIX_REMOVED) {
        tg_unix_box_end(box, -EIDRM);
    }
    return 0;
}

/* I1: messages come by the one, all else by the other; where there is one, by that. */
static bool stands_where_it_may(const struct tg_unix_channel *channel, const struct got *got)
{
    const bool is_data = channel == &channel->link->data;
    if (got->packet.kind == TG_UNIX_MESSAGE) {
        return is_data || channel->link->data.fd < 0;
    }
    return !is_data && (got->socket.n_fds == 0 || got->packet.kind == TG_UNIX_HELLO);
}

static int read_packet(struct tg_unix_box *box, struct tg_unix_channel *channel, struct got *got)
{
    struct tg_unix_link *link = channel->link;
    if (got->socket.is_cut || got->socket.has_more || got->socket.len < sizeof got->packet) {
        return -EPROTO;
    }
    if (!stands_where_it_may(channel, got)) {
        return -EPROTO;
    }
    switch (got->packet.kind) {
    case TG_UNIX_MESSAGE:
        return read_message(box, link, got);
    case TG_UNIX_HELLO:
        return read_hello(box, link, got);
    case TG_UNIX_WANT:
        return read_want(box, link, got);
    case TG_UNIX_NAME:
        return read_name(box, link, got);
    case TG_UNIX_PASSES:
        link->passes = link->greeted;
        return link->greeted ? 0 : -EPROTO;
    case TG_UNIX_OFFER:
        tg_unix_match_again(box, link);
        return link->greeted ? 0 : -EPROTO;
    case TG_UNIX_BYE:
        link->said_bye = true;
        return 0;
    case TG_UNIX_LOOK:
        return read_look(box, link);
    case TG_UNIX_HEARS:
        return read_hears(link, got);
    default:
        return -EPROTO;
    }
}

/* The header of the next packet, which stays; false: nothing is there, or it is none. */
static bool peek(const struct tg_unix_channel *channel, struct tg_unix_packet *ret_packet)
{
    struct tg_socket_got got;
    const struct iovec part = { ret_packet, sizeof *ret_packet };
    return tg_socket_receive(channel->fd, &part, 1, true, &got) > 0 &&
           got.len >= sizeof *ret_packet;
}

bool tg_unix_packet_hears(const struct tg_unix_channel *channel)
{
    struct tg_unix_packet packet = { .kind = 0 };
    return peek(channel, &packet) && packet.kind == TG_UNIX_HEARS;
}

int tg_unix_packet_peek(const struct tg_unix_channel *channel, uint32_t *ret_len)
{
    struct tg_unix_packet packet = { .kind = 0 };
    if (!peek(channel, &packet)) {
        return -EAGAIN; /* whatever it is, who reads it is told */
    }
    *ret_len = packet.length;
    return 0;
}

int tg_unix_packet_look(const struct tg_unix_channel *channel, struct tg_unix_packet *ret_packet,
                        struct tg_said *ret_said)
{
    struct tg_unix_packet packet = { .kind = 0 };
    uint8_t bytes[TG_EXTENSION_MOST];
    struct tg_socket_got got;
    const struct iovec parts[] = { { &packet, sizeof packet }, { bytes, sizeof bytes } };
    if (tg_socket_receive(channel->fd, parts, 2, true, &got) <= 0) {
        return -EAGAIN;
    }
    *ret_said = (struct tg_said){ .has_attributes = false };
    *ret_packet = packet;
    /* What is said otherwise is refused by who reads it. */
    if (packet.extension <= sizeof bytes && got.len >= sizeof packet + packet.extension &&
        packet.extension != 0 && tg_said_parse(bytes, packet.extension, ret_said) < 0) {
        *ret_said = (struct tg_said){ .has_attributes = false };
    }
    return 0;
}

/* Whether so many more may be opened now. */
static bool are_left(int fd, int n)
{
    int fds[2] = { -1, -1 };
    bool all = true;
    for (int i = 0; i < n && all; i++) {
        fds[i] = tg_sys_dup(fd);
        all = fds[i] >= 0;
    }
    tg_sys_close(fds[0]);
    tg_sys_close(fds[1]);
    return all;
}

bool tg_unix_packet_may_come(const struct tg_unix_channel *channel)
{
    struct tg_unix_packet packet = { .kind = 0 };
    const struct tg_unix_link *link = channel->link;
    if ((!link->passes && channel != &link->data) || !peek(channel, &packet) ||
        packet.kind != TG_UNIX_MESSAGE) {
        return true;
    }
    const int n = ((packet.flags & TG_UNIX_MEMFD) != 0) + ((packet.flags & TG_UNIX_FD) != 0);
    return are_left(channel->fd, n);
}

int tg_unix_packet_read(struct tg_unix_box *box, struct tg_unix_channel *channel)
{
    if (box->scratch == NULL) {
        box->scratch = malloc(SCRATCH_SIZE); /* what is not touched costs nothing */
    }
    struct got got = { .m = box->scratch != NULL ? tg_unix_message_new(box, 0) : NULL };
    if (got.m == NULL) {
        return -EAGAIN; /* it stays there */
    }
    const struct iovec parts[] = { { &got.packet, sizeof got.packet },
                                   { got.m->room, got.m->room_size },
                                   { box->scratch, SCRATCH_SIZE } };
    int r = tg_socket_receive(channel->fd, parts, 3, false, &got.socket);
    if (r > 0) {
        got.in_room = got.m->room_size;
        r = read_packet(box, channel, &got);
        close_fds(&got.socket);
        r = r == -EAGAIN ? -EPROTO : r;
    } else {
        r = r == 0 ? -EPIPE : r;
    }
    if (got.m != NULL) {
        tg_unix_message_free(box, got.m);
    }
    return r;
}

void tg_unix_packet_refuse(int fd, int error)
{
    const struct tg_unix_packet packet = { .kind = TG_UNIX_REFUSED, .number = (uint64_t)-error };
    const struct iovec part = { (void *)(uintptr_t)&packet, sizeof packet };
    if (fd >= 0) {
        (void)tg_socket_send(fd, &part, 1, NULL, 0);
    }
}
