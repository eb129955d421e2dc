/* The public calls on mailboxes: caller's mistakes are told here, the carrier does the rest. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"

#define WAIT_ANY_MOST 64

const struct tg_carrier *tg_api_carrier(const char *name, const char **ret_rest, int *ret_error)
{
    if (name == NULL) {
        *ret_error = -EINVAL;
        return NULL;
    }
    const struct tg_carrier *carrier = tg_carrier_of(name, ret_rest);
    if (carrier == NULL) {
        *ret_error = *ret_rest == NULL ? -EINVAL : -EOPNOTSUPP;
    }
    return carrier != NULL && carrier->load != NULL ? carrier->load(ret_error) : carrier;
}

int tong_open(const char *name, unsigned flags, const tong_options *options, tong_mailbox **ret_box)
{
    int error;
    const char *rest;
    const struct tg_carrier *carrier = tg_api_carrier(name, &rest, &error);
    if (carrier == NULL || ret_box == NULL) {
        return carrier == NULL ? error : -EINVAL;
    }
    tong_mailbox *box = calloc(1, sizeof *box);
    if (box == NULL) {
        return -ENOMEM;
    }
    box->carrier = carrier;
    const int r = carrier->open(rest, flags, options, &box->handle);
    if (r < 0) {
        free(box);
        return r;
    }
    *ret_box = box;
    return 0;
}

int tong_close(tong_mailbox *box)
{
    if (box == NULL) {
        return 0;
    }
    if (box->is_process) {
        return -EINVAL;
    }
    tg_api_end_calls(box);
    const int r = box->carrier->close(box->handle);
    free(box);
    return r;
}

int tong_remove(const char *name)
{
    int error;
    const char *rest;
    const struct tg_carrier *carrier = tg_api_carrier(name, &rest, &error);
    return carrier == NULL ? error : carrier->remove(rest);
}

int tong_send(tong_mailbox *box, const void *data, size_t len, int64_t timeout_ns)
{
    if (box == NULL || (data == NULL && len != 0) || timeout_ns < TONG_FOREVER) {
        return -EINVAL;
    }
    return box->carrier->send(box->handle, data, len, timeout_ns);
}

/* A name of another mailbox, as the carrier of this one knows it; without a prefix it is of the same. NULL:
 * none. */
static int same_carrier(const tong_mailbox *box, const char *name, const char **ret_rest)
{
    *ret_rest = name;
    if (name == NULL || strchr(name, ':') == NULL) {
        return 0;
    }
    *ret_rest = name;
    if (strchr(name, ':') == NULL) {
        return 0;
    }
    int error = -EINVAL;
    const struct tg_carrier *carrier = tg_api_carrier(name, ret_rest, &error);
    return carrier == NULL ? error : carrier == box->carrier ? 0 : -EINVAL;
}

int tong_send_with(tong_mailbox *box, const void *data, size_t len, const tong_send_options *with,
                   int64_t timeout_ns)
{
    if (box == NULL || (data == NULL && len != 0) || timeout_ns < TONG_FOREVER ||
        (with != NULL && with->struct_size < sizeof *with)) {
        return -EINVAL;
    }
    if (with == NULL) {
        return box->carrier->send(box->handle, data, len, timeout_ns);
    }
    tong_send_options own = *with;
    const int r = same_carrier(box, with->reply_to, &own.reply_to);
    return r < 0
               ? r
               : tg_carrier_call(box->carrier, send_with, box->handle, data, len, &own, timeout_ns);
}

int tong_send_fd(tong_mailbox *box, const void *data, size_t len, int fd, int64_t timeout_ns)
{
    if (box == NULL || (data == NULL && len != 0) || fd < 0 || timeout_ns < TONG_FOREVER) {
        return -EINVAL;
    }
    return tg_carrier_call(box->carrier, send_fd, box->handle, data, len, fd, timeout_ns);
}

ssize_t tong_send_many(tong_mailbox *box, const struct iovec *messages, size_t n,
                       int64_t timeout_ns)
{
    if (box == NULL || (messages == NULL && n != 0) || timeout_ns < TONG_FOREVER) {
        return -EINVAL;
    }
    for (size_t i = 0; i < n; i++) {
        if (messages[i].iov_base == NULL && messages[i].iov_len != 0) {
            return -EINVAL;
        }
    }
    return tg_carrier_call(box->carrier, send_many, box->handle, messages, n, timeout_ns);
}

int tong_reserve(tong_mailbox *box, size_t len, int64_t timeout_ns, tong_slot *ret_slot)
{
    if (box == NULL || ret_slot == NULL || ret_slot->struct_size < sizeof *ret_slot ||
        timeout_ns < TONG_FOREVER) {
        return -EINVAL;
    }
    return tg_carrier_call(box->carrier, reserve, box->handle, len, timeout_ns, ret_slot);
}

int tong_commit(tong_mailbox *box, tong_slot *slot, size_t len)
{
    if (box == NULL || slot == NULL || slot->struct_size < sizeof *slot) {
        return -EINVAL;
    }
    return tg_carrier_call(box->carrier, commit, box->handle, slot, len);
}

int tong_abort(tong_mailbox *box, tong_slot *slot)
{
    if (box == NULL || slot == NULL || slot->struct_size < sizeof *slot) {
        return -EINVAL;
    }
    return tg_carrier_call(box->carrier, abort, box->handle, slot);
}

ssize_t tong_receive(tong_mailbox *box, void *buf, size_t size, int64_t timeout_ns)
{
    if (box == NULL || (buf == NULL && size != 0) || timeout_ns < TONG_FOREVER) {
        return -EINVAL;
    }
    char nothing; /* where an empty message goes: memcpy takes no NULL, whatever the length */
    return box->carrier->receive(box->handle, buf != NULL ? buf : &nothing, size, timeout_ns);
}

ssize_t tong_receive_with(tong_mailbox *box, void *buf, size_t size,
                          const tong_receive_options *with, int64_t timeout_ns,
                          tong_message *ret_info)
{
    if (box == NULL || (buf == NULL && size != 0) || timeout_ns < TONG_FOREVER ||
        (with != NULL && with->struct_size < sizeof *with) ||
        (ret_info != NULL && ret_info->struct_size < sizeof *ret_info)) {
        return -EINVAL;
    }
    char nothing;
    return tg_carrier_call(box->carrier, receive_with, box->handle, buf != NULL ? buf : &nothing,
                           size, with, timeout_ns, ret_info);
}

ssize_t tong_receive_fd(tong_mailbox *box, void *buf, size_t size, int64_t timeout_ns, int *ret_fd,
                        tong_message *ret_info)
{
    if (box == NULL || (buf == NULL && size != 0) || timeout_ns < TONG_FOREVER || ret_fd == NULL ||
        (ret_info != NULL && ret_info->struct_size < sizeof *ret_info)) {
        return -EINVAL;
    }
    char nothing;
    return tg_carrier_call(box->carrier, receive_fd, box->handle, buf != NULL ? buf : &nothing,
                           size, timeout_ns, ret_fd, ret_info);
}

ssize_t tong_receive_many(tong_mailbox *box, const struct iovec *buffers, size_t n,
                          int64_t timeout_ns, size_t *ret_lens)
{
    if (box == NULL || (n != 0 && (buffers == NULL || ret_lens == NULL)) ||
        timeout_ns < TONG_FOREVER) {
        return -EINVAL;
    }
    for (size_t i = 0; i < n; i++) {
        if (buffers[i].iov_base == NULL && buffers[i].iov_len != 0) {
            return -EINVAL;
        }
    }
    return tg_carrier_call(box->carrier, receive_many, box->handle, buffers, n, timeout_ns,
                           ret_lens);
}

int tong_claim(tong_mailbox *box, int64_t timeout_ns, tong_message *ret_message)
{
    if (box == NULL || ret_message == NULL || ret_message->struct_size < sizeof *ret_message ||
        timeout_ns < TONG_FOREVER) {
        return -EINVAL;
    }
    return tg_carrier_call(box->carrier, claim, box->handle, timeout_ns, ret_message);
}

int tong_claim_with(tong_mailbox *box, const tong_receive_options *with, int64_t timeout_ns,
                    tong_message *ret_message)
{
    if (box == NULL || ret_message == NULL || ret_message->struct_size < sizeof *ret_message ||
        (with != NULL && with->struct_size < sizeof *with) || timeout_ns < TONG_FOREVER) {
        return -EINVAL;
    }
    if (with == NULL) {
        return box->carrier->claim(box->handle, timeout_ns, ret_message);
    }
    return box->carrier->claim_with != NULL
               ? box->carrier->claim_with(box->handle, with, timeout_ns, ret_message)
               : -EOPNOTSUPP;
}

int tong_done(tong_mailbox *box, tong_message *message)
{
    if (box == NULL || message == NULL || message->struct_size < sizeof *message) {
        return -EINVAL;
    }
    return tg_carrier_call(box->carrier, done, box->handle, message);
}

int tong_return(tong_mailbox *box, tong_message *message)
{
    if (box == NULL || message == NULL || message->struct_size < sizeof *message) {
        return -EINVAL;
    }
    return tg_carrier_call(box->carrier, give_back, box->handle, message);
}

ssize_t tong_skip(tong_mailbox *box)
{
    return box == NULL ? -EINVAL : tg_carrier_call(box->carrier, skip, box->handle);
}

int tong_wait_any(tong_mailbox *const boxes[], size_t n, int64_t timeout_ns)
{
    if (boxes == NULL || n == 0 || n > WAIT_ANY_MOST || timeout_ns < TONG_FOREVER) {
        return -EINVAL;
    }
    tg_handle handles[WAIT_ANY_MOST];
    for (size_t i = 0; i < n; i++) {
        if (boxes[i] == NULL || boxes[i]->carrier != boxes[0]->carrier) {
            return -EINVAL;
        }
        handles[i] = boxes[i]->handle;
    }
    return tg_carrier_call(boxes[0]->carrier, wait_any, handles, n, timeout_ns);
}

int tong_origin_of(tong_mailbox *box, const tong_message *message, tong_origin *ret_origin)
{
    if (box == NULL || message == NULL || message->struct_size < sizeof *message ||
        ret_origin == NULL || ret_origin->struct_size < sizeof *ret_origin) {
        return -EINVAL;
    }
    return tg_carrier_call(box->carrier, origin, box->handle, message, ret_origin);
}

int tong_give(tong_mailbox *box, const char *process)
{
    if (box == NULL || box->is_process) {
        return -EINVAL;
    }
    const int r = same_carrier(box, process, &process);
    return r < 0 ? r : tg_carrier_call(box->carrier, give, box->handle, process);
}

int tong_set(tong_mailbox *box, const tong_options *options, unsigned what)
{
    return box == NULL || box->is_process
               ? -EINVAL
               : tg_carrier_call(box->carrier, set, box->handle, options, what);
}

int tong_watch(tong_mailbox *box, int64_t timeout_ns, tong_death *ret_death)
{
    if (box == NULL || ret_death == NULL || ret_death->struct_size < sizeof *ret_death ||
        timeout_ns < TONG_FOREVER) {
        return -EINVAL;
    }
    return tg_carrier_call(box->carrier, watch, box->handle, timeout_ns, ret_death);
}

int tong_fd(tong_mailbox *box, unsigned what)
{
    if (box == NULL || what == 0 || (what & ~(TONG_RECEIVE | TONG_SEND)) != 0) {
        return -EINVAL;
    }
    return tg_carrier_call(box->carrier, fd, box->handle, what);
}

int tong_interrupt(tong_mailbox *box)
{
    return box == NULL ? -EINVAL : tg_carrier_call(box->carrier, interrupt, box->handle);
}

int tong_stat(const char *name, tong_status *ret_status)
{
    int error;
    const char *rest;
    const struct tg_carrier *carrier = tg_api_carrier(name, &rest, &error);
    if (carrier == NULL) {
        return error;
    }
    if (ret_status == NULL || ret_status->struct_size < sizeof *ret_status) {
        return -EINVAL;
    }
    return carrier->stat(rest, ret_status);
}

int tong_parties(const char *name, tong_parties_fn *each, void *arg)
{
    int error;
    const char *rest;
    const struct tg_carrier *carrier = tg_api_carrier(name, &rest, &error);
    if (carrier == NULL) {
        return error;
    }
    if (each == NULL) {
        return -EINVAL;
    }
    return tg_carrier_call(carrier, parties, rest, each, arg);
}

int tong_list(tong_list_fn *each, void *arg)
{
    if (each == NULL) {
        return -EINVAL;
    }
    int r = 0;
    const struct tg_carrier *carrier;
    for (size_t i = 0; r == 0 && (carrier = tg_carrier_at(i)) != NULL; i++) {
        r = carrier->list == NULL ? 0 : carrier->list(each, arg);
    }
    return r;
}
