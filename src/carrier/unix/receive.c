/* The receive calls of the owner's handles. Claims are messages in hand, each in a slot of its handle. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/name.h"
#include "carrier/unix/call.h"
#include "carrier/unix/everyone.h"
#include "carrier/unix/letter.h"
#include "carrier/unix/unix.h"

/* ---- beginning */

/* 0 and the box's lock held; else the error of a call that cannot begin. */
static int enter(struct tg_unix_handle *h)
{
    if (h->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    if (!h->receives) {
        return (h->flags & TONG_RECEIVE) != 0 ? -EPERM : tg_unix_check(h, -EBADF);
    }
    (void)pthread_mutex_lock(&h->box->lock);
    return 0;
}

/* What was taken or came back may be what a descriptor speaks of. */
static void leave(struct tg_unix_handle *h)
{
    if (h->box->n_levels != 0) {
        tg_unix_level_update_all(h->box);
    }
    (void)pthread_mutex_unlock(&h->box->lock);
}

static struct tg_unix_want want_of(const struct tg_unix_handle *h, int64_t timeout_ns, size_t size)
{
    return (struct tg_unix_want){ .deadline_ns = tg_deadline(timeout_ns),
                                  .interrupts = tg_unix_interrupts_begin(h),
                                  .size = size };
}

/* ---- copies */

/* Lock held: of this receiver. */
static void finish(struct tg_unix_handle *h, struct tg_unix_message *m)
{
    if (h->box->to_all) {
        tg_unix_everyone_finish(h, m);
    } else {
        tg_unix_message_finish(h->box, m);
    }
}

static void give_back(struct tg_unix_handle *h, struct tg_unix_message *m, bool counts)
{
    if (h->box->to_all) {
        tg_unix_everyone_back(h, m, counts);
    } else {
        tg_unix_message_back(h->box, m, counts);
    }
}

static ssize_t copy_and_finish(struct tg_unix_handle *h, struct tg_unix_message *m, void *buf)
{
    const size_t len = m->len;
    if (len != 0) {
        memcpy(buf, m->data, len);
    }
    finish(h, m);
    return (ssize_t)len;
}

ssize_t tg_unix_receive_as(tg_handle handle, void *buf, size_t size, int64_t timeout_ns,
                           const struct tg_unix_how *how)
{
    struct tg_unix_handle *h = handle;
    struct tg_unix_want want = want_of(h, timeout_ns, size);
    int r = enter(h);
    if (r < 0) {
        return r;
    }
    want.info = how->info;
    want.may_answer = how->info != NULL;
    want.from = how->from;
    want.asked = how->asked;
    want.named = how->from != NULL || how->sender != NULL;
    want.peer = how->peer;
    want.fd = how->fd != NULL;
    struct tg_unix_message *m = tg_unix_deliver_next(h, &want, &r);
    ssize_t n = r;
    if (m != NULL) {
        if (how->info != NULL) {
            tg_unix_message_tell(m, how->info);
            how->info->data = buf;
            how->info->private_[0] = m->note != 0 ? TG_UNIX_RECEIVED - m->note : 0;
            how->info->private_[1] = 0;
        }
        if (how->sender != NULL) {
            memcpy(how->sender, m->link->name, TONG_NAME_MAX);
        }
        if (how->fd != NULL) {
            *how->fd =
                h->box->to_all ? tg_unix_everyone_fd(h, m) : tg_unix_message_take_fd(h->box, m);
        }
        n = copy_and_finish(h, m, buf);
    }
    leave(h);
    return n;
}

ssize_t tg_unix_receive(tg_handle h, void *buf, size_t size, int64_t timeout_ns)
{
    const struct tg_unix_how how = { .info = NULL };
    return tg_unix_receive_as(h, buf, size, timeout_ns, &how);
}

/* What is asked for, NULL: whatever comes. */
static int check_asked(const tong_receive_options **with)
{
    const tong_receive_options *w = *with;
    if (w == NULL || (w->min_priority == 0 && w->tag == 0 && w->from == NULL)) {
        *with = NULL;
        return 0;
    }
    const int r = w->from != NULL ? tg_name_check(w->from) : 0;
    return r < 0 ? r : w->min_priority > TONG_PRIORITY_MAX ? -EINVAL : 0;
}

ssize_t tg_unix_receive_with(tg_handle h, void *buf, size_t size, const tong_receive_options *with,
                             int64_t timeout_ns, tong_message *ret_info)
{
    const int r = check_asked(&with);
    const struct tg_unix_how how = { .info = ret_info, .asked = with };
    return r < 0 ? r : tg_unix_receive_as(h, buf, size, timeout_ns, &how);
}

ssize_t tg_unix_receive_fd(tg_handle h, void *buf, size_t size, int64_t timeout_ns, int *ret_fd,
                           tong_message *ret_info)
{
    int fd = -1;
    const struct tg_unix_how how = { .info = ret_info, .fd = &fd };
    const ssize_t n = tg_unix_receive_as(h, buf, size, timeout_ns, &how);
    if (n >= 0) {
        *ret_fd = fd;
    }
    return n;
}

ssize_t tg_unix_receive_many(tg_handle handle, const struct iovec *buffers, size_t n,
                             int64_t timeout_ns, size_t *ret_lens)
{
    struct tg_unix_handle *h = handle;
    struct tg_unix_want want = want_of(h, timeout_ns, 0);
    int r = enter(h);
    if (r < 0) {
        return r;
    }
    size_t i = 0;
    for (; i < n; i++) {
        want.size = buffers[i].iov_len;
        struct tg_unix_message *m = tg_unix_deliver_next(h, &want, &r);
        if (m == NULL) {
            break;
        }
        ret_lens[i] = (size_t)copy_and_finish(h, m, buffers[i].iov_base);
        want.deadline_ns = 0;
    }
    leave(h);
    return i != 0 || n == 0 ? (ssize_t)i : r;
}

ssize_t tg_unix_skip(tg_handle handle)
{
    struct tg_unix_handle *h = handle;
    struct tg_unix_want want = want_of(h, 0, SIZE_MAX);
    want.skip = true;
    int r = enter(h);
    if (r < 0) {
        return r;
    }
    struct tg_unix_message *m = tg_unix_deliver_next(h, &want, &r);
    ssize_t n = r;
    if (m != NULL) {
        n = (ssize_t)m->len;
        finish(h, m);
    } else if (r == -EAGAIN) {
        n = tg_unix_letter_skip(h->box);
    }
    leave(h);
    return n;
}

/* ---- claims */

static void count_claim(const struct tg_unix_handle *h, const struct tg_unix_message *m, int n)
{
    struct tg_unix_box *box = h->box;
    tg_unix_count_small(&box->head->claimed, n);
    tg_unix_count_small(&box->told_slots[h->slot].claimed, n);
    tg_unix_count(&tg_unix_told_of(box, m->link)->in_hand, n);
}

static uint32_t free_slot(const struct tg_unix_handle *h)
{
    uint32_t i = 0;
    while (i < TG_UNIX_CLAIMS && h->claims[i] != NULL) {
        i++;
    }
    return i;
}

static int claim(tg_handle handle, const tong_receive_options *asked, int64_t timeout_ns,
                 tong_message *ret_message)
{
    struct tg_unix_handle *h = handle;
    struct tg_unix_want want = want_of(h, timeout_ns, SIZE_MAX);
    int r = enter(h);
    if (r < 0) {
        return r;
    }
    want.claim = true;
    want.asked = asked;
    struct tg_unix_message *m = NULL;
    if (h->box->ended != 0) {
        r = h->box->ended;
    } else if (h->n_claims == TG_UNIX_CLAIMS) {
        r = -ENOBUFS;
    } else {
        m = tg_unix_deliver_next(h, &want, &r);
    }
    if (m != NULL && h->n_claims == TG_UNIX_CLAIMS) { /* another thread was faster */
        give_back(h, m, false);
        r = -ENOBUFS;
    } else if (m != NULL) {
        const uint32_t i = free_slot(h);
        h->claims[i] = m;
        h->n_claims++;
        tg_unix_everyone_keep(h, i);
        count_claim(h, m, 1);
        tg_unix_message_tell(m, ret_message);
        ret_message->data = m->data;
        ret_message->private_[0] = i + 1;
        ret_message->private_[1] = ++h->stamps[i];
        r = 0;
    }
    leave(h);
    return r;
}

int tg_unix_claim(tg_handle h, int64_t timeout_ns, tong_message *ret_message)
{
    return claim(h, NULL, timeout_ns, ret_message);
}

int tg_unix_claim_with(tg_handle h, const tong_receive_options *with, int64_t timeout_ns,
                       tong_message *ret_message)
{
    const int r = check_asked(&with);
    return r < 0 ? r : claim(h, with, timeout_ns, ret_message);
}

/* Lock held: the claim is over. NULL: it is none. */
static struct tg_unix_message *end_claim(struct tg_unix_handle *h, const tong_message *message)
{
    const uint64_t i = message->private_[0] - 1;
    if (i >= TG_UNIX_CLAIMS || h->claims[i] == NULL || message->private_[1] != h->stamps[i]) {
        return NULL;
    }
    struct tg_unix_message *m = h->claims[i];
    h->claims[i] = NULL;
    h->n_claims--;
    tg_unix_everyone_unkeep(h, (uint32_t)i);
    count_claim(h, m, -1);
    return m;
}

enum end {
    FINISHED,
    GIVEN_BACK,
    ANSWERED
};

static int finish_claim(struct tg_unix_handle *h, tong_message *message, enum end end)
{
    if (h->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    if (!h->receives) {
        return -EINVAL;
    }
    (void)pthread_mutex_lock(&h->box->lock);
    struct tg_unix_message *m = end_claim(h, message);
    if (m != NULL && end == GIVEN_BACK) {
        give_back(h, m, true);
    } else if (m != NULL) {
        m->note = end == ANSWERED ? TG_UNIX_ANSWERED : m->note;
        finish(h, m);
    }
    if (m != NULL && h->box->policy->by_claims) {
        tg_unix_deliver_wake(h->box); /* another one may be the least loaded now */
    }
    leave(h);
    return m != NULL ? 0 : -EINVAL;
}

int tg_unix_done(tg_handle h, tong_message *message)
{
    return finish_claim(h, message, FINISHED);
}

int tg_unix_give_back(tg_handle h, tong_message *message)
{
    return finish_claim(h, message, GIVEN_BACK);
}

int tg_unix_answered(tg_handle handle, tong_message *request)
{
    struct tg_unix_handle *h = handle;
    int r = 0;
    if (request->private_[1] != 0) {
        r = finish_claim(h, request, ANSWERED);
    } else if (h->fork_count != tg_fork_count()) {
        r = -ECHILD;
    } else {
        tg_unix_call_forget(h, request->private_[0]);
    }
    request->call = 0;
    return r == -EINVAL ? 0 : r; /* it has come back meanwhile, or is another mailbox's */
}

void tg_unix_return_all(struct tg_unix_handle *h)
{
    for (uint32_t i = TG_UNIX_CLAIMS; i-- > 0;) {
        struct tg_unix_message *m = h->claims[i];
        if (m != NULL) {
            h->claims[i] = NULL;
            h->n_claims--;
            count_claim(h, m, -1);
            if (h->box->to_all) {
                tg_unix_everyone_unkeep(h, i);
                tg_unix_everyone_let_go(h, m);
            } else if (h->box->max_deliveries == 0 && tg_unix_is_request(m)) {
                tg_unix_message_finish(h->box, m); /* it is handed out once */
            } else {
                tg_unix_message_back(h->box, m, true);
            }
        }
    }
}

int tg_unix_origin(tg_handle handle, const tong_message *message, tong_origin *ret_origin)
{
    struct tg_unix_handle *h = handle;
    if (h->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    if (!h->receives) {
        return -EINVAL;
    }
    (void)pthread_mutex_lock(&h->box->lock);
    const uint64_t i = message->private_[0] - 1;
    int r = -EINVAL;
    if (i < TG_UNIX_CLAIMS && h->claims[i] != NULL && message->private_[1] == h->stamps[i]) {
        const struct tg_said *said = h->claims[i]->said;
        r = said != NULL && said->has_origin;
        if (r == 1) {
            ret_origin->deliveries = said->origin.deliveries;
            ret_origin->sequence = said->origin.sequence;
            ret_origin->uid = said->origin.uid;
            ret_origin->pid = said->origin.pid;
            memcpy(ret_origin->id, said->origin.box_id, sizeof ret_origin->id);
            memcpy(ret_origin->name, said->origin.name, sizeof ret_origin->name);
        }
    }
    leave(h);
    return r;
}
