/*
 * Messages that were handed out too often: to the dead-letter mailbox, or set aside.
 *
 * The call that comes upon one takes it out of its list, gives the box's lock back, sends it on with its
 * origin, and finishes it. What the other mailbox does not take is set aside: not handed out, counted, its
 * room kept; the first of them is tried again while the mailbox is used, at most once a second.
 *
 * A message that has an origin already is set aside rather than sent on, so that a circle of dead-letter
 * mailboxes ends.
 */
#include "carrier/unix/letter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "carrier/unix/call.h"

#define AGAIN_NS TONG_SEC(1)

bool tg_unix_is_spent(const struct tg_unix_box *box, const struct tg_unix_message *m)
{
    return box->max_deliveries != 0 && m->deliveries >= box->max_deliveries;
}

static void fill_origin(const struct tg_unix_box *box, const struct tg_unix_message *m,
                        struct tg_said *said)
{
    const struct tg_said nothing = { .has_attributes = false };
    *said = m->said != NULL ? *m->said : nothing;
    said->has_origin = true;
    said->origin = (struct tg_origin){ .deliveries = m->deliveries,
                                       .sequence = m->sequence,
                                       .row = m->link->row,
                                       .uid = m->link->peer.uid,
                                       .pid = m->link->peer.pid };
    memcpy(said->origin.box_id, box->made.id, sizeof said->origin.box_id);
    memcpy(said->origin.name, box->name, sizeof said->origin.name);
}

/* No lock held; the message is in no list, and its said is what is sent. 0: it is there. */
static int send_on(const char *to_name, const struct tg_unix_message *m, const struct tg_said *said)
{
    tg_handle to;
    const struct tg_unix_parts parts = {
        .said = said, .data = m->data, .len = m->len, .fd = m->fd, .is_kept = true
    };
    if (to_name[0] == '\0') {
        return -ENOENT;
    }
    int r = tg_unix_open(to_name, TONG_SEND, NULL, 0, &to);
    if (r < 0) {
        return r;
    }
    r = tg_unix_capacity(to) == 0 ? -EOPNOTSUPP : tg_unix_send_parts(to, &parts, 0);
    (void)tg_unix_close(to);
    return r == TONG_DROPPED ? -EAGAIN : r;
}

static int pass_on(struct tg_unix_box *box, const struct tg_unix_message *m)
{
    char to[TONG_NAME_MAX];
    struct tg_said said;
    if (m->said != NULL && m->said->has_origin) {
        return -EEXIST;
    }
    memcpy(to, box->head->dead_letter, sizeof to);
    fill_origin(box, m, &said);
    tg_unix_box_unlock(box);
    const int r = send_on(to, m, &said);
    (void)pthread_mutex_lock(&box->lock);
    return r;
}

void tg_unix_letter(struct tg_unix_box *box, struct tg_unix_message *m)
{
    if (pass_on(box, m) == 0) {
        tg_unix_count(&box->head->dead_letters, 1);
        tg_unix_message_finish(box, m);
        return;
    }
    tg_unix_list_add(&box->aside, m);
    tg_unix_count_small(&box->head->set_aside, 1);
    tg_unix_call_set_aside(box, m);
    box->aside_ns = tg_now_ns();
}

/* The first of those set aside. */
static struct tg_unix_message *take_aside(struct tg_unix_box *box)
{
    struct tg_unix_message *m = box->aside.first;
    if (m != NULL) {
        tg_unix_list_remove(&box->aside, m);
        tg_unix_count_small(&box->head->set_aside, -1);
    }
    return m;
}

void tg_unix_letter_again(struct tg_unix_box *box)
{
    if (box->aside.first == NULL || tg_now_ns() - box->aside_ns < AGAIN_NS) {
        return;
    }
    for (uint64_t n = box->aside.n; n > 0 && box->aside.first != NULL; n--) {
        const uint64_t before = box->aside.n;
        tg_unix_letter(box, take_aside(box));
        if (box->aside.n >= before) {
            break; /* it is not taken now either */
        }
    }
}

ssize_t tg_unix_letter_skip(struct tg_unix_box *box)
{
    struct tg_unix_message *m = take_aside(box);
    if (m == NULL) {
        return -EAGAIN;
    }
    const ssize_t len = (ssize_t)m->len;
    tg_unix_message_finish(box, m);
    return len;
}
