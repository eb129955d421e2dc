/*
 * A sender of another process: how it comes to its link with the owner, and how that ends.
 *
 *   state        facts                                           left by
 *   new          only looked at                                  the first send
 *   linked       a row is its, HELLO is sent                     close; the end of the connection
 *   over         end says why                                    for ever
 *
 * I4  The end of the connection is an end of the mailbox only if its files say so: they are asked.
 * I6  The row is LINKED before HELLO is sent: the next one that wants a row leaves it alone, for the owner may
 *     hear of it yet. Who is killed in between leaves a row that nobody uses until the mailbox ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/kept.h"
#include "carrier/unix/priority.h"
#include "carrier/unix/sender.h"

#define SEND_BUFFER (4 << 20)
#define SMALL_INLINE (64u << 10)
#define LOOK_NS TONG_SEC(1)

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

int tg_unix_sender_copy(const struct tg_unix_sender *s, struct tg_unix_sender **ret_copy)
{
    struct tg_unix_place place;
    int r = tg_unix_place_copy(&s->place, &place);
    if (r == 0) {
        r = tg_unix_sender_new(&place, ret_copy);
        tg_unix_place_close(&place); /* unless it is the copy's */
    }
    return r;
}

void tg_unix_sender_put_back(struct tg_unix_sender *s)
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
            tg_unix_sender_put_back(s);
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

/* Why it was refused. What is no limit of the owner's is a quarrel about bytes. */
int tg_unix_sender_reason(uint64_t number)
{
    static const int limits[] = { EUSERS, ENOMEM, ENOSPC, EMFILE, ENFILE };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (number == (uint64_t)limits[i]) {
            return -limits[i];
        }
    }
    return -EPROTO;
}

/* What the owner has sent: whether it refused this sender. Credits are read in the box file. */
int tg_unix_sender_read(struct tg_unix_sender *s)
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
            s->end = tg_unix_sender_reason(packet.number);
        }
        if (got.len >= sizeof packet &&
            (packet.kind == TG_UNIX_TAKEN || packet.kind == TG_UNIX_LATE)) {
            s->answered = packet.number + 1;
            s->answer = packet.kind;
        }
        if (got.len >= sizeof packet && packet.kind == TG_UNIX_UNWANTED) {
            s->unwanted = packet.number + 1;
        }
    }
    return r == -EAGAIN ? s->end : -EPIPE;
}

/* I4. The owner's lock and its connections do not go in one moment. */
int tg_unix_sender_find_end(struct tg_unix_sender *s)
{
    if (s->fd >= 0 && s->end == 0) {
        (void)tg_unix_sender_read(s);
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

static void set_state(const struct tg_unix_sender *s, uint32_t state)
{
    tg_unix_row_set(s->room, s->row, offsetof(struct tg_unix_row, state), &state, sizeof state);
}

static int say_hello(struct tg_unix_handle *h)
{
    struct tg_unix_sender *s = h->sender;
    set_state(s, TG_UNIX_ROW_LINKED); /* I6 */
    (void)tg_gate_enter(&h->name_gate, TG_NEVER, NULL, 0);
    const int r = send_hello(s, h->name);
    s->has_said = r == 0;
    tg_gate_leave(&h->name_gate);
    if (r < 0) {
        set_state(s, TG_UNIX_ROW_TAKEN);
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
        who.more = tg_unix_lane_links(h);
        r = tg_unix_row_get(s->room, s->place.box, &who, &s->row, &s->next);
        if (r < 0) {
            tg_unix_lane_links_not(h, who.more);
        }
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
    return r == -ECONNREFUSED || r == -ENOENT || r == -EPIPE || r == -ECONNRESET
               ? tg_unix_sender_find_end(s)
               : r;
}

/* More wait to be let in than the system keeps: they are let in when the owner is in a call. */
int tg_unix_sender_link(struct tg_unix_handle *h, const struct tg_unix_call *call)
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
