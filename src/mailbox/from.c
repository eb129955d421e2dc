/*
 * Links by the names of their senders.
 *
 * A link bears the name of the process that sends on it (link head, `from`), or none: then it is of
 * somebody who opened the mailbox, and the name told is "". A receive call may take from the links of one
 * name alone (select.c); the messages of the others wait untouched, and do not keep it awake.
 *
 * I1  A name is a living process's alone (a mailbox's folder has it), and a link is taken over under its
 *     name only (sender_link.c, I6): so a name's messages come from one link, in their order.
 * I2  A process that takes another name writes it into its links at once, behind the folder's rename. So
 *     what it sent before is told under the name it has when the message is received.
 * I3  Where other users share the folder anybody may write any name into a link of its own: it counts
 *     only if the process of that name is not another user's.
 * I4  Who waits for one name's messages watches that process. Its end is read before the look that
 *     finds nothing: what it sent is taken first.
 */
#include <errno.h>
#include <string.h>

#include "base/key.h"
#include "mailbox/receive.h"
#include "mailbox/select.h"

/* ---- the name of a link, for its receiver; token held, or the gate short_ */

/* I3 */
static bool is_believed(struct tg_box *box, const struct tg_attached *at)
{
    struct stat st;
    return !tg_root_is_shared(box->root) || tg_sys_stat(tg_root_fd(box->root), at->from, &st) < 0 ||
           st.st_uid == at->reader.uid;
}

const char *tg_from_name(struct tg_box *box, struct tg_attached *at)
{
    if (tg_reader_refresh(&at->reader) < 0) {
        return at->from; /* cut: the call that takes from it says so */
    }
    if (!tg_link_from_is(at->reader.head, at->from_seen)) {
        at->from_seen = tg_link_from(at->reader.head, at->from);
        if (at->from[0] != '\0' && !is_believed(box, at)) {
            at->from[0] = '\0';
        }
        at->from_key = at->from[0] != '\0' ? tg_key(at->from, strlen(at->from)) : 0;
    }
    return at->from;
}

bool tg_from_allows_short(struct tg_box *box)
{
    struct tg_receiver *rx = &box->rx;
    const struct tg_wish *wish = &rx->wish;
    return !wish->selects || (wish->tag == 0 && wish->min_priority == 0 && !box->threads &&
                              rx->cursor < rx->n_attached &&
                              tg_select_link_slow(box, wish, rx->attached[rx->cursor]));
}

void tg_from_tell_slow(struct tg_box *box, struct tg_attached *at, char *ret_from)
{
    const char *name = tg_from_name(box, at);
    memcpy(ret_from, name, strlen(name) + 1);
}

/* ---- the name a handle sends as */

void tg_from_own(struct tg_box *box, char ret_name[TONG_NAME_MAX])
{
    (void)tg_gate_enter(&box->as.gate, TG_NEVER, NULL, 0);
    memcpy(ret_name, box->as.name, TONG_NAME_MAX);
    tg_gate_leave(&box->as.gate);
}

/* Gate held. */
static void bear_name(struct tg_box *box)
{
    char now[TONG_NAME_MAX];
    (void)tg_link_from(box->tx.writer.head, now);
    if (strcmp(now, box->as.name) != 0) {
        tg_link_set_from(box->tx.writer.head, box->as.name);
    }
}

/* It may have got another name since tg_from_own(). */
void tg_from_linked(struct tg_box *box)
{
    if (box->as.name[0] == '\0') {
        return;
    }
    (void)tg_gate_enter(&box->as.gate, TG_NEVER, NULL, 0);
    bear_name(box);
    box->as.is_linked = true;
    tg_gate_leave(&box->as.gate);
}

void tg_from_unlinked(struct tg_box *box)
{
    (void)tg_gate_enter(&box->as.gate, TG_NEVER, NULL, 0);
    box->as.is_linked = false;
    tg_gate_leave(&box->as.gate);
}

void tg_peer_rename(struct tg_box *peer, const char *name)
{
    (void)tg_gate_enter(&peer->as.gate, TG_NEVER, NULL, 0);
    memset(peer->as.name, 0, TONG_NAME_MAX);
    memcpy(peer->as.name, name, strlen(name));
    if (peer->as.is_linked) {
        bear_name(peer);
    }
    tg_gate_leave(&peer->as.gate);
}

/* ---- waiting for one process's messages */

int tg_from_check(struct tg_box *peer)
{
    return peer == NULL ? 0 : tg_peer_check(peer);
}

bool tg_from_may_sleep(struct tg_box *peer, struct tg_waitset *set)
{
    if (peer == NULL) {
        return true;
    }
    /* Read before the question: who ends or renames the mailbox rings this bell behind it. */
    tg_sight_watch(&peer->sight, &peer->head->room, set);
    return tg_box_may_sleep(peer, set) && tg_peer_check(peer) == 0;
}

/* ---- the calls */

static ssize_t take(struct tg_box *box, struct tg_take *take, int64_t timeout_ns,
                    const struct tg_wish *wish, struct tg_box *peer)
{
    bool spun = false;
    /* As tg_box_receive() does: with one thread nobody else is inside. */
    if (__libc_single_threaded && box->rx.has_slot && tg_box_is_simple(box)) {
        box->rx.wish = *wish;
        const bool taken =
            tg_from_allows_short(box) && tg_receive_short(box, take, timeout_ns != 0, &spun);
        box->rx.wish = (struct tg_wish){ .only = NULL };
        if (taken) {
            tg_from_tell(box, box->rx.attached[box->rx.cursor], take);
            return (ssize_t)take->len;
        }
    }
    const struct tg_beside beside = { .peer = peer };
    const int r = tg_receive_wish(box, take, timeout_ns, spun, wish, &beside);
    return r == 1 ? (ssize_t)take->len : r;
}

ssize_t tg_box_receive_from(struct tg_box *box, const char *from, struct tg_box *peer, void *buf,
                            size_t size, int64_t timeout_ns)
{
    struct tg_take t = { .how = TG_TAKE_COPY, .buf = buf, .size = size };
    const struct tg_wish wish = { .only = from, .selects = true };
    return take(box, &t, timeout_ns, &wish, peer);
}

ssize_t tg_box_receive_any(struct tg_box *box, void *buf, size_t size, int64_t timeout_ns,
                           char ret_from[TONG_NAME_MAX])
{
    char from[TONG_NAME_MAX] = "";
    struct tg_take t = { .how = TG_TAKE_COPY, .buf = buf, .size = size, .name = from };
    const struct tg_wish wish = { .only = NULL };
    const ssize_t r = take(box, &t, timeout_ns, &wish, NULL);
    if (r >= 0) {
        memcpy(ret_from, from, strlen(from) + 1);
    }
    return r;
}
