/*
 * Request and reply: the caller's side; the other one is answer.c.
 *
 *   caller                                               owner of the mailbox
 *   makes a mailbox for the reply
 *   connects once more, and says HEARS and its name      who hears of what
 *   the request: a message with that name and a number
 *                                                        the reply: a message to that mailbox, with the number
 *                                                        nobody will answer: ENDED, by that connection
 *                                                        it dies, or ends the mailbox: so does the connection
 *
 * I1  HEARS is sent before the request. So who ends a request and knows nobody who hears of it lets in who waits,
 *     and if there is nobody then, the caller is gone. While another packet is read that waits for its end.
 * I2  A request that was handed out is claimed, or noted at its handle, until it is answered. One that is finished
 *     and neither answered nor noted is told to have ended.
 * I3  A reply is in its mailbox before its server ends or dies. So the caller looks for the end before it looks for
 *     the reply.
 * I4  A reply counts if the kernel says that the mailbox's user sent it, or root; late ones are thrown away.
 * I5  The bells of a handle stay, and their list only grows, until the handle is closed: a signal handler rings
 *     them.
 * I6  The name of a mailbox for replies cannot be guessed, and who hears of it must be the user that asked: nobody
 *     else takes an end away.
 */
#include "carrier/unix/call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/kept.h"
#include "carrier/unix/sender.h"

#define LOOK_NS TONG_SEC(1)
#define FIRST_LOOK_NS TONG_MS(10)
#define REPLY "reply-"
#define LOOKED_AT 32    /* names */
#define THROWN_MOST 256 /* replies of others, between two looks at the time */

/* ---- the caller's side: its mailbox */

static int new_reply(struct tg_unix_handle *h, struct tg_unix_reply **ret_reply)
{
    int r = tg_kept_begin();
    r = r < 0 ? r : tg_kept_end(tg_event_counter());
    if (r < 0) {
        return r;
    }
    struct tg_unix_reply *reply = calloc(1, sizeof *reply);
    if (reply == NULL) {
        tg_kept_close(r);
        return -ENOMEM;
    }
    reply->is_used = 1;
    reply->bell = r;
    reply->watch = -1;
    reply->next = tg_load_acquire(&h->replies);
    while (!tg_cas(&h->replies, &reply->next, reply)) { /* I5 */
    }
    *ret_reply = reply;
    return 0;
}

/* One whose mailbox was closed, or a new one. */
static int get_reply(struct tg_unix_handle *h, struct tg_unix_reply **ret_reply)
{
    for (struct tg_unix_reply *reply = tg_load_acquire(&h->replies); reply != NULL;
         reply = reply->next) {
        uint32_t unused = 0;
        if (tg_cas(&reply->is_used, &unused, UINT32_C(1))) {
            *ret_reply = reply;
            return 0;
        }
    }
    return new_reply(h, ret_reply);
}

/* As the mailbox that is asked: so who answers may send there. */
static int options_of(const struct tg_unix_handle *h, tong_options *ret_options)
{
    const struct tg_unix_head *head =
        h->box != NULL ? h->box->head : &tg_unix_sender_place(h->sender)->head;
    if (tg_load_relaxed(&head->delivery) == TONG_EVERYONE) {
        return -EOPNOTSUPP; /* whose silence would be an answer? */
    }
    ret_options->owner = TONG_PROCESS;
    ret_options->delivery = TONG_EXCLUSIVE;
    ret_options->mode = tg_load_relaxed(&head->mode);
    ret_options->max_bytes = tg_load_relaxed(&head->max_bytes);
    return 0;
}

/* Those of dead callers, whose names nobody will use again: some are looked at, from anywhere on. */
static void tidy(const struct tg_unix_handle *h, uint64_t random)
{
    struct tg_root *root = h->box != NULL ? h->box->root : tg_unix_sender_place(h->sender)->root;
    struct tg_names names = { 0 };
    if (tg_names_read_of(root, '@', &names) == 0) {
        for (size_t i = 0; i < names.n && i < LOOKED_AT; i++) {
            const char *name = names.name[(random + i) % names.n];
            struct tg_unix_place place;
            if (strncmp(name, REPLY, strlen(REPLY)) != 0 ||
                tg_unix_place_open(root, name, false, &place) < 0) {
                continue;
            }
            if (place.head.process == TG_FOR_REPLIES && !tg_unix_place_is_alive(&place)) {
                (void)tg_unix_place_take_away(root, name, place.head.id, false);
            }
            tg_unix_place_close(&place);
        }
    }
    tg_names_free(&names);
}

int tg_unix_reply_open(tg_handle handle, tg_handle *ret_reply, char ret_name[TONG_NAME_MAX],
                       uint64_t *ret_number)
{
    struct tg_unix_handle *h = handle;
    tong_options own = TONG_OPTIONS_INIT;
    char name[TONG_NAME_MAX] = { 0 };
    uint64_t drawn[2];
    tg_handle opened = NULL;
    int r = tg_unix_check(h, (h->flags & TONG_SEND) != 0 ? 0 : -EBADF);
    r = r == 0 ? options_of(h, &own) : r;
    r = r == 0 ? tg_sys_random(drawn, sizeof drawn) : r;
    if (r != 0) {
        return r;
    }
    tidy(h, drawn[1]);
    (void)snprintf(name, sizeof name, REPLY "%016llx", (unsigned long long)drawn[0]); /* I6 */
    r = tg_unix_open(name, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &own, TG_FOR_REPLIES, &opened);
    if (r < 0) {
        return r;
    }
    struct tg_unix_handle *reply = opened;
    r = get_reply(h, &reply->reply);
    if (r < 0) {
        (void)tg_unix_close(reply);
        return r;
    }
    reply->interrupts = h->interrupts;
    memcpy(ret_name, name, sizeof name);
    *ret_number = drawn[1];
    *ret_reply = reply;
    return 0;
}

void tg_unix_call_interrupt(const struct tg_unix_handle *h)
{
    for (const struct tg_unix_reply *reply = tg_load_acquire(&h->replies); reply != NULL;
         reply = reply->next) {
        tg_event_ring(reply->bell);
    }
}

void tg_unix_call_taken_back(const struct tg_unix_handle *h, uint64_t number)
{
    const struct tg_unix_handle *main = h->main != NULL ? h->main : h;
    for (struct tg_unix_reply *reply = tg_load_acquire(&main->replies); reply != NULL;
         reply = reply->next) {
        if (tg_load_relaxed(&reply->asked) == tg_unix_asked(h, number)) {
            tg_store_release(&reply->is_dropped, UINT32_C(1));
            tg_event_ring(reply->bell);
        }
    }
}

static void close_watch(struct tg_unix_reply *reply)
{
    tg_kept_close(reply->watch);
    reply->watch = -1;
}

/* What is open was closed by a fork. */
void tg_unix_call_close(struct tg_unix_handle *h, bool forked)
{
    struct tg_unix_reply *reply = h->reply;
    if (reply != NULL && !forked) {
        close_watch(reply);
        tg_store_release(&reply->is_used, UINT32_C(0));
    }
    tg_unix_requests_free(h->requests);
    struct tg_unix_reply *next = tg_load_acquire(&h->replies);
    while (next != NULL) {
        reply = next;
        next = reply->next;
        if (!forked) {
            tg_kept_close(reply->bell);
        }
        free(reply);
    }
}

/* ---- the caller's side: who hears of the end */

/* The connection has ended: why. The owner's lock does not go in the same moment. */
static int find_end(const struct tg_unix_handle *h)
{
    const int64_t until = tg_now_ns() + LOOK_NS;
    uint32_t renames = 0;
    int r;
    while ((r = tg_unix_probe(h, &renames)) == 0) {
        if (tg_now_ns() >= until) {
            return -EPROTO;
        }
        (void)tg_unix_pause();
    }
    return r;
}

static int say_hears(const struct tg_unix_handle *h, int fd, const char *name)
{
    struct tg_socket_peer peer;
    const struct tg_unix_packet packet = { .kind = TG_UNIX_HEARS,
                                           .length = (uint32_t)strlen(name) };
    const struct iovec parts[] = { { (void *)(uintptr_t)&packet, sizeof packet },
                                   { (void *)(uintptr_t)name, packet.length } };
    const uint32_t uid = h->box != NULL ? geteuid() : tg_unix_sender_place(h->sender)->uid;
    const int r = tg_socket_peer(fd, &peer);
    if (r < 0) {
        return r;
    }
    /* Whoever listens there is whose files they are. */
    return peer.uid == uid || peer.uid == 0 ? tg_socket_send(fd, parts, 2, NULL, 0) : -EACCES;
}

static int connect_(const struct tg_unix_handle *h)
{
    if (h->box == NULL) {
        return tg_socket_connect(tg_unix_sender_place(h->sender)->dir, TG_UNIX_SOCKET);
    }
    (void)pthread_mutex_lock(&h->box->lock);
    const int fd =
        h->box->ended != 0 ? -ENOENT : tg_socket_connect(h->box->made.dir, TG_UNIX_SOCKET);
    tg_unix_box_unlock(h->box);
    return fd;
}

/* I1. -EAGAIN: more wait to be let in than the system keeps. */
static int hear(const struct tg_unix_handle *h, const struct tg_unix_handle *reply)
{
    const int fd = connect_(h);
    const int r = fd < 0 ? fd : say_hears(h, fd, reply->box->name);
    if (r < 0) {
        tg_kept_close(fd);
        return r == -ECONNREFUSED || r == -ENOENT || r == -EPIPE || r == -ECONNRESET ? find_end(h)
                                                                                     : r;
    }
    reply->reply->watch = fd;
    return 0;
}

static int hear_until(struct tg_unix_handle *h, const struct tg_unix_handle *reply,
                      int64_t deadline)
{
    const uint32_t seen = tg_unix_interrupts_begin(h);
    for (;;) {
        const int r = hear(h, reply);
        if (r != -EAGAIN || tg_is_over(deadline)) {
            return r == -EAGAIN ? -ETIMEDOUT : r;
        }
        if (tg_unix_is_interrupted(h, seen)) {
            return -ECANCELED;
        }
        if (tg_unix_pause() == -EINTR) {
            return -EINTR;
        }
    }
}

/* 0; -EOWNERDEAD: nobody will answer; or why there is no connection any more, which may be made again. */
static int read_ends(const struct tg_unix_handle *h, struct tg_unix_reply *reply, uint64_t call)
{
    struct tg_unix_packet packet = { .kind = 0 };
    struct tg_socket_got got;
    const struct iovec part = { &packet, sizeof packet };
    int end = 0;
    int r;
    while ((r = tg_socket_receive(reply->watch, &part, 1, false, &got)) > 0) {
        for (int i = 0; i < got.n_fds; i++) {
            tg_sys_close(got.fds[i]);
        }
        if (got.len >= sizeof packet && packet.kind == TG_UNIX_REFUSED) {
            end = tg_unix_sender_reason(packet.number);
        }
        if (got.len >= sizeof packet && packet.kind == TG_UNIX_ENDED && packet.number == call) {
            end = -EOWNERDEAD;
        }
    }
    if (r == -EAGAIN) {
        return end;
    }
    close_watch(reply);
    return end != 0 ? end : find_end(h);
}

/* ---- the call */

int tg_unix_ask(tg_handle handle, tg_handle reply_handle, const void *data, size_t len,
                const tong_send_options *with, int64_t timeout_ns, uint64_t ret_where[2])
{
    struct tg_unix_handle *h = handle;
    const struct tg_unix_handle *reply = reply_handle;
    struct tg_said said;
    const int64_t deadline = tg_deadline(timeout_ns);
    int r = tg_unix_check_fast(h);
    r = r == 0 ? tg_said_from(with, &said) : r;
    if (r == 0 && reply->reply->watch < 0) {
        r = hear_until(h, reply, deadline);
        const int64_t now = tg_now_ns();
        timeout_ns = deadline == TG_NEVER ? timeout_ns : deadline > now ? deadline - now : 1;
    }
    if (r < 0) {
        return r;
    }
    const struct tg_unix_parts parts = {
        .said = &said, .data = data, .len = len, .fd = -1, .asker = reply->reply
    };
    tg_store_relaxed(&reply->reply->asked, UINT64_C(0));
    tg_store_relaxed(&reply->reply->is_dropped, UINT32_C(0));
    memset(ret_where, 0, 2 * sizeof ret_where[0]);
    r = tg_unix_send_parts(h, &parts, timeout_ns);
    return r == TONG_DROPPED && tg_unix_full(h) == TONG_DROP_OLDEST ? 0 : r; /* an older one was */
}

struct awaiting {
    struct tg_unix_handle *h;
    struct tg_unix_handle *reply;
    uint64_t call;
    uint32_t uid; /* whose replies count */
    uint32_t interrupts;
    int64_t deadline_ns;
    int64_t look_ns;
};

/* I4 */
static bool is_awaited(const struct awaiting *a, const struct tg_unix_message *m)
{
    const uint32_t uid = m->link->peer.uid;
    return m->said != NULL && m->said->attributes.call == a->call && (uid == a->uid || uid == 0);
}

/* Lock of the mailbox for replies held, here and below. The reply, in no list; NULL: it is not there. */
static struct tg_unix_message *take_reply(const struct awaiting *a, bool may_ask)
{
    struct tg_unix_box *box = a->reply->box;
    for (int i = 0; i < THROWN_MOST; i++) {
        struct tg_unix_message *m = box->waiting.first;
        if (m == NULL && !tg_unix_drive_pull(box, NULL, may_ask)) {
            return NULL;
        }
        m = box->waiting.first;
        tg_unix_list_remove(&box->waiting, m);
        tg_unix_message_take(box, m, false);
        if (is_awaited(a, m)) {
            return m;
        }
        tg_unix_message_finish(box, m);
    }
    return NULL;
}

static ssize_t read_reply(struct tg_unix_box *box, struct tg_unix_message *m, void *buf,
                          size_t size, tong_message *ret_info)
{
    const size_t len = m->len;
    const bool fits = len <= size;
    if (fits && len != 0) {
        memcpy(buf, m->data, len);
    }
    if (ret_info != NULL) {
        tg_unix_message_tell(m, ret_info);
        ret_info->data = fits ? buf : NULL;
    }
    tg_unix_message_finish(box, m);
    return fits ? (ssize_t)len : -EMSGSIZE;
}

/* What ends the call without a reply, as far as is told: 0 nothing does. A mailbox that a third process removed while
 * its owner is in no call is looked at now and then. */
static int sleep_(struct awaiting *a)
{
    struct tg_unix_reply *reply = a->reply->reply;
    struct tg_unix_box *box = a->reply->box;
    struct tg_unix_waiter me = { .handle = a->reply, .fd = reply->bell };
    const int64_t look = tg_now_ns() + a->look_ns;
    bool ready[2] = { false, false };
    uint32_t renames = 0;
    const struct tg_unix_sleep s = { .deadline_ns = look < a->deadline_ns ? look : a->deadline_ns,
                                     .others = { reply->watch, reply->bell },
                                     .n_others = 2,
                                     .ret_ready = ready };
    box->waiters = &me; /* the only one: who sends from this process rings it */
    int r = tg_unix_drive_sleep_with(box, &s);
    box->waiters = NULL;
    if (ready[1]) {
        tg_event_calm(reply->bell);
    }
    if (ready[0]) {
        const int end = read_ends(a->h, reply, a->call);
        r = end < 0 ? end : r;
    }
    if (r == -ETIMEDOUT && look < a->deadline_ns) {
        a->look_ns = a->look_ns < LOOK_NS ? 2 * a->look_ns : LOOK_NS;
        r = tg_unix_probe(a->h, &renames);
    }
    return r < 0 ? r : 0;
}

static ssize_t wait_for_reply(struct awaiting *a, void *buf, size_t size, tong_message *ret_info)
{
    struct tg_unix_box *box = a->reply->box;
    int r = 0;
    while (box->ended == 0) {
        if (tg_load_acquire(&a->reply->reply->is_dropped) != 0) {
            r = -EOWNERDEAD;
        }
        struct tg_unix_message *m = take_reply(a, r < 0); /* I3 */
        if (m != NULL) {
            return read_reply(box, m, buf, size, ret_info);
        }
        if (r < 0) {
            return r;
        }
        if (tg_unix_is_interrupted(a->reply, a->interrupts)) {
            return -ECANCELED;
        }
        r = sleep_(a);
    }
    return box->ended;
}

ssize_t tg_unix_await(tg_handle handle, tg_handle reply, const uint64_t where[2], uint64_t number,
                      void *buf, size_t size, int64_t timeout_ns, tong_message *ret_info)
{
    struct tg_unix_handle *h = handle;
    struct awaiting a = { .h = h,
                          .reply = reply,
                          .call = number,
                          .interrupts = tg_unix_interrupts_begin(h),
                          .deadline_ns = tg_deadline(timeout_ns),
                          .look_ns = FIRST_LOOK_NS };
    (void)where;
    const int r = tg_unix_check_fast(h);
    if (r < 0) {
        return r;
    }
    a.uid = h->box != NULL ? geteuid() : tg_unix_sender_place(h->sender)->uid;
    (void)pthread_mutex_lock(&a.reply->box->lock);
    const ssize_t n = wait_for_reply(&a, buf, size, ret_info);
    tg_unix_box_unlock(a.reply->box);
    return n;
}
