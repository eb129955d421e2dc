/* The send calls: what is the same for the owner's own handles and for those of other processes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "carrier/unix/priority.h"
#include "carrier/unix/unix.h"

static uint32_t message_size(const struct tg_unix_handle *h)
{
    return h->sender != NULL ? tg_unix_sender_message_size(h->sender) : h->box->message_size;
}

static int check_length(const struct tg_unix_handle *h, size_t len)
{
    if (h->fork_count != tg_fork_count()) {
        return 0; /* -ECHILD comes first */
    }
    const uint32_t fixed = message_size(h);
    return len > TONG_MESSAGE_MAX || (fixed != 0 && len != fixed) ? -EMSGSIZE : 0;
}

/* Wait until no other thread has a reservation on this handle. The gate is held on 0. */
static int enter_gate(struct tg_unix_handle *h, const struct tg_unix_call *call)
{
    for (;;) {
        const uint32_t stir = tg_load_acquire(&h->gate.stir);
        int r = tg_gate_enter(&h->gate, call->deadline_ns, &h->interrupts->now, call->interrupts);
        if (r == -ECANCELED) {
            (void)tg_unix_is_interrupted(h, call->interrupts);
        }
        if (r < 0 || !h->has_reservation) {
            return r;
        }
        const bool own = pthread_equal(h->reserver, pthread_self()) != 0;
        tg_gate_leave(&h->gate);
        if (own) {
            return -EINVAL;
        }
        if (tg_unix_is_interrupted(h, call->interrupts)) {
            return -ECANCELED;
        }
        r = call->deadline_ns == 0 ? -EAGAIN
                                   : tg_sys_futex_wait(&h->gate.stir, stir, call->deadline_ns);
        if (r < 0) {
            return r;
        }
    }
}

static int enter(struct tg_unix_handle *h, int64_t timeout_ns, struct tg_unix_call *call)
{
    const int r = tg_unix_check_fast(h);
    if (r < 0) {
        return r;
    }
    if ((h->flags & TONG_SEND) == 0) {
        return tg_unix_check(h, -EBADF);
    }
    call->deadline_ns = tg_deadline(timeout_ns);
    call->interrupts = tg_unix_interrupts_begin(h);
    return enter_gate(h, call);
}

static int send_one(struct tg_unix_handle *h, const struct tg_unix_parts *parts,
                    const struct tg_unix_call *call)
{
    return h->sender != NULL ? tg_unix_sender_send(h, parts, call)
                             : tg_unix_own_send(h, parts, call);
}

int tg_unix_send_parts(tg_handle handle, const struct tg_unix_parts *parts, int64_t timeout_ns)
{
    struct tg_unix_handle *h = handle;
    struct tg_unix_call call;
    uint8_t extension[TG_EXTENSION_MOST];
    int r = check_length(h, parts->len);
    if (r == 0 && parts->said != NULL &&
        parts->len > TONG_MESSAGE_MAX - tg_said_write(parts->said, extension)) {
        r = -EMSGSIZE;
    }
    if (r == 0) {
        r = tg_unix_lane_get(handle, parts->said, &h);
    }
    if (r == 0) {
        r = enter(h, timeout_ns, &call);
    }
    if (r == 0) {
        r = send_one(h, parts, &call);
        tg_gate_leave(&h->gate);
    }
    return r;
}

int tg_unix_send(tg_handle h, const void *data, size_t len, int64_t timeout_ns)
{
    const struct tg_unix_parts parts = { .data = data, .len = len, .fd = -1 };
    return tg_unix_send_parts(h, &parts, timeout_ns);
}

int tg_unix_send_with(tg_handle h, const void *data, size_t len, const tong_send_options *with,
                      int64_t timeout_ns)
{
    struct tg_said said;
    const int r = tg_said_from(with, &said);
    const struct tg_unix_parts parts = { .said = &said, .data = data, .len = len, .fd = -1 };
    return r < 0 ? r : tg_unix_send_parts(h, &parts, timeout_ns);
}

int tg_unix_send_fd(tg_handle handle, const void *data, size_t len, int fd, int64_t timeout_ns)
{
    struct stat st;
    const struct tg_unix_parts parts = { .data = data, .len = len, .fd = fd };
    const int r = tg_unix_check_fast(handle);
    return r < 0                       ? r
           : tg_sys_fstat(fd, &st) < 0 ? -EINVAL
                                       : tg_unix_send_parts(handle, &parts, timeout_ns);
}

ssize_t tg_unix_send_many(tg_handle handle, const struct iovec *messages, size_t n,
                          int64_t timeout_ns)
{
    struct tg_unix_handle *h = handle;
    struct tg_unix_call call;
    int r = n == 0 ? 0 : check_length(h, messages[0].iov_len);
    if (r == 0) {
        r = enter(h, timeout_ns, &call);
    }
    if (r < 0) {
        return r;
    }
    size_t sent = 0;
    const bool drops_oldest = tg_unix_full(h) == TONG_DROP_OLDEST;
    for (size_t i = 0; i < n && r >= 0; i++) {
        r = check_length(h, messages[i].iov_len);
        if (r == 0) {
            const struct tg_unix_parts parts = { .data = messages[i].iov_base,
                                                 .len = messages[i].iov_len,
                                                 .fd = -1 };
            r = send_one(h, &parts, &call);
        }
        sent += r == 0 || (r == TONG_DROPPED && drops_oldest);
        call.deadline_ns = 0;
    }
    tg_gate_leave(&h->gate);
    return sent != 0 || r >= 0 ? (ssize_t)sent : r;
}

int tg_unix_memfd_of(const struct tg_unix_parts *parts)
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

int64_t tg_unix_worth(const struct tg_said *said, int64_t deadline_ns)
{
    const uint64_t until = said != NULL ? said->attributes.deadline_ns : 0;
    if (until == 0 || deadline_ns == 0) {
        return deadline_ns;
    }
    const int64_t at = tg_now_ns() + (int64_t)(until - (uint64_t)tg_boot_ns());
    return at < deadline_ns ? at : deadline_ns;
}

int tg_unix_pause(void)
{
    const struct tg_socket_waits nothing = { .readable = -1, .also = -1, .writable = -1 };
    return tg_socket_wait(&nothing, tg_now_ns() + TONG_MS(1));
}

/* ---- in place */

int tg_unix_reserve(tg_handle handle, size_t len, int64_t timeout_ns, tong_slot *ret_slot)
{
    struct tg_unix_handle *h = handle;
    struct tg_unix_call call;
    int r = check_length(h, len);
    if (r == 0) {
        r = enter(h, timeout_ns, &call);
    }
    if (r < 0) {
        return r;
    }
    r = h->sender != NULL ? tg_unix_sender_reserve(h, len, &call)
                          : tg_unix_own_reserve(h, len, &call);
    if (r == 0) {
        h->has_reservation = true;
        h->reserver = pthread_self();
        h->reservation++;
        h->reserved_len = len;
        h->reserved_timeout_ns = timeout_ns;
        ret_slot->data = h->reserved->data;
        ret_slot->len = len;
        ret_slot->private_[0] = h->reservation;
    }
    tg_gate_leave(&h->gate);
    return r;
}

/* The gate is held on 0: this slot is the present reservation. */
static int enter_reservation(struct tg_unix_handle *h, const tong_slot *slot)
{
    if (h->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    (void)tg_gate_enter(&h->gate, TG_NEVER, NULL, 0);
    if (!h->has_reservation || slot->private_[0] != h->reservation) {
        tg_gate_leave(&h->gate);
        return -EINVAL;
    }
    return 0;
}

static void leave_reservation(struct tg_unix_handle *h, tong_slot *slot)
{
    h->has_reservation = false;
    slot->data = NULL;
    slot->private_[0] = 0;
    tg_gate_leave(&h->gate);
    tg_gate_stir(&h->gate);
}

static void abort_reservation(struct tg_unix_handle *h)
{
    if (h->sender != NULL) {
        tg_unix_sender_abort(h);
    } else {
        tg_unix_own_abort(h);
    }
}

int tg_unix_abort(tg_handle handle, tong_slot *slot)
{
    struct tg_unix_handle *h = handle;
    const int r = enter_reservation(h, slot);
    if (r < 0) {
        return r;
    }
    abort_reservation(h);
    leave_reservation(h, slot);
    return 0;
}

int tg_unix_commit(tg_handle handle, tong_slot *slot, size_t len)
{
    struct tg_unix_handle *h = handle;
    int r = enter_reservation(h, slot);
    if (r < 0) {
        return r;
    }
    if (len > h->reserved_len || check_length(h, len) < 0) {
        r = len > h->reserved_len ? -EINVAL : -EMSGSIZE;
        tg_gate_leave(&h->gate);
        return r;
    }
    const struct tg_unix_call call = { .deadline_ns = tg_deadline(h->reserved_timeout_ns),
                                       .interrupts = tg_unix_interrupts_begin(h) };
    const struct tg_unix_parts parts = { .len = len, .fd = -1, .ready = h->reserved };
    r = send_one(h, &parts, &call);
    if (h->reserved != NULL) {
        abort_reservation(h); /* it could not be sent */
    }
    leave_reservation(h, slot);
    return r == 0 && h->reservation_dropped ? TONG_DROPPED : r;
}
