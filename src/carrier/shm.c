/* The shared-memory carrier: the mailboxes of layer 3 as they are. */
#include "carrier/on_box.h"
#include "mailbox/mailbox.h"

static int open_(const char *rest, unsigned flags, const tong_options *options,
                 tg_handle *ret_handle)
{
    struct tg_box *box;
    const int r = tg_box_open(NULL, rest, flags, options, &box);
    if (r == 0) {
        *ret_handle = box;
    }
    return r;
}

static int process_open(const char *rest, const tong_options *options, tg_handle *ret_me)
{
    struct tg_box *box;
    const int r = tg_process_open(NULL, rest, options, &box);
    if (r == 0) {
        *ret_me = box;
    }
    return r;
}

static int remove_(const char *rest)
{
    return tg_box_remove(NULL, rest);
}

static int links(tong_links_fn *each, void *arg)
{
    return tg_box_links(NULL, each, arg);
}

static int stat_(const char *rest, tong_status *ret_status)
{
    return tg_box_stat(NULL, rest, ret_status);
}

static int parties(const char *rest, tong_parties_fn *each, void *arg)
{
    return tg_box_parties(NULL, rest, each, arg);
}

static int list(tong_list_fn *each, void *arg)
{
    return tg_box_list(NULL, each, arg);
}

static int doctor(int repair, tong_doctor_fn *each, void *arg)
{
    return tg_box_doctor(NULL, repair, each, arg);
}

static int observer_open(const char *rest, tg_handle *ret_observer)
{
    struct tg_observer *observer;
    const int r = tg_observer_open(rest, &observer);
    if (r == 0) {
        *ret_observer = observer;
    }
    return r;
}

static int observer_close(tg_handle observer)
{
    return tg_observer_close(observer);
}

static ssize_t peek(tg_handle observer, void *buf, size_t size, int64_t timeout_ns,
                    tong_message *ret_info, uint64_t *ret_missed)
{
    return tg_observer_peek(observer, buf, size, timeout_ns, ret_info, ret_missed);
}

const struct tg_carrier tg_carrier_shm = {
    TG_ON_BOX,
    .prefix = "shm",
    .open = open_,
    .remove = remove_,
    .process_open = process_open,
    .doctor = doctor,
    .links = links,
    .observer_open = observer_open,
    .observer_close = observer_close,
    .peek = peek,
    .stat = stat_,
    .parties = parties,
    .list = list,
};
