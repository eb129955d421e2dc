/*
 * Processes that name each other: direct communication on top of mailboxes.
 *
 * A process is its own mailbox and a handle on the mailbox of each other one that it has named, found
 * by name:
 *
 *   peer       facts                                             left by
 *   named      it lives and has the name, as of the last look    hold: it has another name, or ended
 *   nameless   it lives, under a name that nobody here used      hold: found again under its new one
 *   ended      dead, closed or removed; with its name: that is   told, or a new one found: nameless,
 *              still to be told                                  closed with the last use of it
 *
 * I1  Two peers are never handles of one mailbox: a process has one link to another, and a second handle
 *     would make a second one while a call is inside the first.
 * I2  A name is looked up behind a look at the peer: one that ended or is called otherwise is never sent
 *     to by a call that begins behind that.
 * I3  The gate is held while a name is looked up, and while the own one changes; never asleep for a
 *     message or for room.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "base/clock.h"
#include "base/gate.h"
#include "region/region.h"

#define IDLE_MOST 64 /* peers without a call inside that stay open */

struct peer {
    struct peer *next; /* the one used last comes first */
    tg_handle handle;
    uint32_t uses; /* calls inside */
    bool ended;
    char name[TONG_NAME_MAX]; /* "" nameless */
};

struct tong_process {
    struct tong_mailbox own;
    uint32_t fork_count;
    struct tg_gate gate; /* guards what stands below */
    struct peer *peers;
};

/* How long a name is waited for before it is looked for again. */
#define LOOK_NS INT64_C(1000000)
#define LOOKS_DOUBLE 4

/* ---- peers; the gate is held */

static void enter(tong_process *me)
{
    while (tg_gate_enter(&me->gate, TG_NEVER, NULL, 0) < 0) {
    }
}

static void unlink_peer(tong_process *me, const struct peer *peer)
{
    struct peer **at = &me->peers;
    while (*at != peer) {
        at = &(*at)->next;
    }
    *at = peer->next;
}

static void to_front(tong_process *me, struct peer *peer)
{
    unlink_peer(me, peer);
    peer->next = me->peers;
    me->peers = peer;
}

static void close_peer(tong_process *me, struct peer *peer)
{
    unlink_peer(me, peer);
    (void)me->own.carrier->close(peer->handle);
    free(peer);
}

/* Nobody is inside, and nobody will be; or there are more than may stay. */
static void close_idle(tong_process *me)
{
    uint32_t idle = 0;
    struct peer *next = me->peers;
    while (next != NULL) {
        struct peer *peer = next;
        next = peer->next;
        idle += peer->uses == 0;
        const bool over = peer->ended && peer->name[0] == '\0';
        if (peer->uses == 0 && (over || idle > IDLE_MOST)) {
            close_peer(me, peer);
        }
    }
}

static struct peer *find(tong_process *me, const char *name)
{
    struct peer *peer = me->peers;
    while (peer != NULL && strcmp(peer->name, name) != 0) {
        peer = peer->next;
    }
    return peer;
}

/* I1 */
static struct peer *find_same(tong_process *me, tg_handle handle)
{
    struct peer *peer = me->peers;
    while (peer != NULL && (peer->ended || !me->own.carrier->peer_is_same(peer->handle, handle))) {
        peer = peer->next;
    }
    return peer;
}

static bool is_end(ssize_t r)
{
    return r == -EOWNERDEAD || r == -EIDRM;
}

/* What a look at the peer or a call on it answered: it may not be the one of the name any more. */
static void note_answer(struct peer *peer, ssize_t r)
{
    peer->ended = peer->ended || is_end(r);
    if (r == -ENOENT) {
        peer->name[0] = '\0';
    }
}

static int open_peer(tong_process *me, const char *name, struct peer **ret_peer)
{
    const struct tg_carrier *carrier = me->own.carrier;
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        return -ENOMEM;
    }
    int r = carrier->peer_open(me->own.handle, name, &peer->handle);
    if (r < 0) {
        free(peer);
        return r;
    }
    struct peer *same = find_same(me, peer->handle);
    if (same != NULL) {
        (void)carrier->close(peer->handle);
        free(peer);
        peer = same;
        r = carrier->peer_look_up(peer->handle, name);
        if (r < 0) {
            note_answer(peer, r);
            return is_end(r) ? -ENOENT : r;
        }
    } else {
        peer->next = me->peers;
        me->peers = peer;
    }
    memset(peer->name, 0, sizeof peer->name);
    memcpy(peer->name, name, strlen(name) + 1);
    *ret_peer = peer;
    return 0;
}

/* The peer of that name as it is now known: looked at, and brought up to date. NULL: none. */
static int look_at(tong_process *me, const char *name, struct peer **ret_peer)
{
    struct peer *peer = find(me, name);
    const int r = peer == NULL  ? -ENOENT
                  : peer->ended ? -EOWNERDEAD
                                : me->own.carrier->peer_check(peer->handle);
    if (peer != NULL) {
        note_answer(peer, r);
    }
    *ret_peer = peer;
    return r;
}

/* It is nobody's any more: what became of it has been told, or another one has its name. */
static void forget(tong_process *me, const char *name)
{
    struct peer *peer = find(me, name);
    if (peer != NULL && peer->ended) {
        peer->name[0] = '\0';
        close_idle(me);
    }
}

static struct peer *use(tong_process *me, struct peer *peer)
{
    peer->uses++;
    if (me->peers != peer) {
        to_front(me, peer);
    }
    return peer;
}

/*
 * The process of that name, held for a call. 0; -EOWNERDEAD: the one this process knew has ended, which
 * is to be told, and there is no new one; -ENOENT: there is none; -errno.
 * or_new: a new one is as good.
 */
static int hold(tong_process *me, const char *name, bool or_new, struct peer **ret_peer)
{
    enter(me);
    struct peer *peer;
    int r = look_at(me, name, &peer);
    const bool died = is_end(r);
    if (r == -ENOENT || (died && or_new)) {
        struct peer *known = died ? peer : NULL;
        if (known != NULL) {
            known->uses++; /* it is looked at once more */
        }
        close_idle(me);
        r = open_peer(me, name, &peer);
        if (known != NULL) {
            known->uses--;
        }
        if (r == 0 && known != NULL) {
            known->name[0] = '\0';
        }
        r = r == -ENOENT && died ? -EOWNERDEAD : r;
    }
    if (r == 0) {
        *ret_peer = use(me, peer);
    }
    tg_gate_leave(&me->gate);
    return died && is_end(r) ? -EOWNERDEAD : r;
}

static void told(tong_process *me, const char *name)
{
    enter(me);
    forget(me, name);
    tg_gate_leave(&me->gate);
}

/* answer: of the call, which has told what became of the peer if that is what it says. */
static void let_go(tong_process *me, struct peer *peer, ssize_t answer)
{
    enter(me);
    peer->uses--;
    if (is_end(answer) && is_end(me->own.carrier->peer_check(peer->handle))) {
        peer->ended = true;
        peer->name[0] = '\0';
    }
    if (peer->ended) {
        close_idle(me);
    }
    tg_gate_leave(&me->gate);
}

/* ---- names and times */

/* The name in the carrier of me. */
static int name_of(const tong_process *me, const char *name, const char **ret_rest)
{
    int error = -EINVAL;
    if (name == NULL) {
        return -EINVAL;
    }
    *ret_rest = name;
    if (strchr(name, ':') != NULL) {
        const struct tg_carrier *carrier = tg_api_carrier(name, ret_rest, &error);
        if (carrier != me->own.carrier) {
            return carrier == NULL ? error : -EINVAL;
        }
    }
    return strlen(*ret_rest) < TONG_NAME_MAX ? 0 : -ENAMETOOLONG;
}

/* What is left of a time-out. */
static int64_t rest_of(int64_t timeout_ns, int64_t deadline)
{
    if (timeout_ns <= 0) {
        return timeout_ns;
    }
    const int64_t rest = deadline - tg_now_ns();
    return rest > 0 ? rest : 1;
}

/* When a name is looked for again, for the nth time. */
static int64_t next_look(uint32_t nth, int64_t deadline)
{
    const int64_t at = tg_now_ns() + (LOOK_NS << (nth < LOOKS_DOUBLE ? nth : LOOKS_DOUBLE));
    return at < deadline ? at : deadline;
}

/* ---- the calls */

int tong_process_open(const char *name, const tong_options *options, tong_process **ret_me)
{
    int error;
    const char *rest;
    const struct tg_carrier *carrier = tg_api_carrier(name, &rest, &error);
    if (carrier == NULL || ret_me == NULL) {
        return carrier == NULL ? error : -EINVAL;
    }
    tong_process *me = calloc(1, sizeof *me);
    if (me == NULL) {
        return -ENOMEM;
    }
    me->own.carrier = carrier;
    me->own.is_process = true;
    me->fork_count = tg_fork_count();
    const int r = tg_carrier_call(carrier, process_open, rest, options, &me->own.handle);
    if (r < 0) {
        free(me);
        return r;
    }
    *ret_me = me;
    return 0;
}

int tong_process_close(tong_process *me)
{
    if (me == NULL) {
        return 0;
    }
    while (me->peers != NULL) {
        close_peer(me, me->peers);
    }
    tg_api_end_calls(&me->own);
    const int r = me->own.carrier->close(me->own.handle);
    free(me);
    return r;
}

tong_mailbox *tong_process_mailbox(tong_process *me)
{
    return me == NULL ? NULL : &me->own;
}

int tong_send_to(tong_process *me, const char *to, const void *data, size_t len, int64_t timeout_ns)
{
    if (me == NULL || (data == NULL && len != 0) || timeout_ns < TONG_FOREVER) {
        return -EINVAL;
    }
    int r = me->fork_count != tg_fork_count() ? -ECHILD : name_of(me, to, &to);
    const int64_t deadline = tg_deadline(timeout_ns);
    for (uint32_t nth = 0; r == 0; nth++) {
        struct peer *peer = NULL;
        r = hold(me, to, true, &peer);
        if (r == 0) {
            const int64_t rest = nth == 0 ? timeout_ns : rest_of(timeout_ns, deadline);
            r = me->own.carrier->send(peer->handle, data, len, rest);
            let_go(me, peer, r);
            return r;
        }
        if (r == -EOWNERDEAD && timeout_ns != 0) {
            told(me, to);
        }
        if (r != -ENOENT || timeout_ns == 0) {
            return r == -EOWNERDEAD && timeout_ns == 0 ? -ENOENT : r;
        }
        r = tg_is_over(deadline)
                ? -ETIMEDOUT
                : me->own.carrier->process_pause(me->own.handle, next_look(nth, deadline));
    }
    return r;
}

/* One look for a message of that name, and a sleep. TRY_AGAIN: the name is to be looked for again. */
#define TRY_AGAIN (-1000)

struct wait {
    int64_t timeout_ns;
    int64_t deadline;
    uint32_t nth;
};

/* What the one of the name sent before its end is taken first. */
static ssize_t receive_last(tong_process *me, const char *from, void *buf, size_t size,
                            const struct wait *w)
{
    const ssize_t n = me->own.carrier->receive_from(me->own.handle, from, NULL, buf, size, 0);
    if (n != -EAGAIN) {
        return n;
    }
    told(me, from);
    return w->timeout_ns != 0 ? -EOWNERDEAD : TRY_AGAIN;
}

/* Nobody has the name: a message of one that had it, or that comes to have it meanwhile. */
static ssize_t receive_of_nobody(tong_process *me, const char *from, void *buf, size_t size,
                                 const struct wait *w)
{
    int64_t piece = 0;
    if (w->timeout_ns != 0) {
        piece = next_look(w->nth, w->deadline) - tg_now_ns();
        piece = piece > 0 ? piece : 1;
    }
    const ssize_t n = me->own.carrier->receive_from(me->own.handle, from, NULL, buf, size, piece);
    if (n == -EAGAIN) {
        return -ENOENT;
    }
    return n == -ETIMEDOUT && !tg_is_over(w->deadline) ? TRY_AGAIN : n;
}

static ssize_t receive_once(tong_process *me, const char *from, void *buf, size_t size,
                            const struct wait *w)
{
    struct peer *peer = NULL;
    const int r = hold(me, from, false, &peer);
    if (r == -EOWNERDEAD) {
        return receive_last(me, from, buf, size, w);
    }
    if (r < 0 || peer == NULL) {
        return r == -ENOENT ? receive_of_nobody(me, from, buf, size, w) : r;
    }
    const int64_t rest = w->nth == 0 ? w->timeout_ns : rest_of(w->timeout_ns, w->deadline);
    const ssize_t n =
        me->own.carrier->receive_from(me->own.handle, from, peer->handle, buf, size, rest);
    let_go(me, peer, n);
    return n == -ENOENT ? TRY_AGAIN : n;
}

ssize_t tong_receive_from(tong_process *me, const char *from, void *buf, size_t size,
                          int64_t timeout_ns)
{
    if (me == NULL || (buf == NULL && size != 0) || timeout_ns < TONG_FOREVER) {
        return -EINVAL;
    }
    char nothing;
    struct wait w = { .timeout_ns = timeout_ns, .deadline = tg_deadline(timeout_ns) };
    ssize_t r = me->fork_count != tg_fork_count() ? -ECHILD : name_of(me, from, &from);
    if (r < 0) {
        return r;
    }
    do {
        r = receive_once(me, from, buf != NULL ? buf : &nothing, size, &w);
        w.nth++;
    } while (r == TRY_AGAIN);
    return r;
}

ssize_t tong_receive_any(tong_process *me, void *buf, size_t size, int64_t timeout_ns,
                         char ret_from[TONG_NAME_MAX])
{
    if (me == NULL || ret_from == NULL || (buf == NULL && size != 0) || timeout_ns < TONG_FOREVER) {
        return -EINVAL;
    }
    char nothing;
    return me->own.carrier->receive_any(me->own.handle, buf != NULL ? buf : &nothing, size,
                                        timeout_ns, ret_from);
}

int tong_rename(tong_process *me, const char *new_name)
{
    if (me == NULL) {
        return -EINVAL;
    }
    const char *rest;
    int r = me->fork_count != tg_fork_count() ? -ECHILD : name_of(me, new_name, &rest);
    if (r < 0) {
        return r;
    }
    enter(me);
    r = me->own.carrier->process_rename(me->own.handle, rest);
    for (struct peer *peer = me->peers; peer != NULL && r == 0; peer = peer->next) {
        if (!peer->ended) {
            me->own.carrier->peer_rename(peer->handle, rest);
        }
    }
    tg_gate_leave(&me->gate);
    return r;
}

int tong_links(tong_links_fn *each, void *arg)
{
    if (each == NULL) {
        return -EINVAL;
    }
    int r = 0;
    const struct tg_carrier *carrier;
    for (size_t i = 0; r == 0 && (carrier = tg_carrier_at(i)) != NULL; i++) {
        r = carrier->links == NULL ? 0 : carrier->links(each, arg);
    }
    return r;
}
