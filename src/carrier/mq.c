/*
 * POSIX message queues: the mailboxes of layer 3, whose messages a queue of the kernel carries
 * (mailbox/carried.c).
 *
 * Each mailbox has a queue "/tong.ID". It has room for as many messages as the mailbox, and some more: those
 * of senders that died before they counted them are in the way for a moment. A record of the queue holds
 * messages of up to INLINE bytes; longer ones lie in a file, for the kernel counts the room for the
 * longest message against RLIMIT_MSGQUEUE, for each message there might be.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mqueue.h"
#include "carrier/on_box.h"
#include "mailbox/box.h"

#define INLINE 1024u
#define INLINE_MOST 4096u /* of a fixed size */
#define CAPACITY 64u      /* by itself, if the system allows as many */
#define SPARE 2u
#define A_MOMENT TONG_MS(10)

/* ---- the way */

static void defaults(tong_options *options)
{
    const uint32_t most = tg_mq_limit("msg_max", CAPACITY);
    options->capacity = most < CAPACITY ? most : CAPACITY;
    options->by_priority = 1;
}

static void queue_name(const uint8_t box_id[16], char ret_name[TG_QUEUE_NAME])
{
    int at = snprintf(ret_name, TG_QUEUE_NAME, "/tong.");
    for (int i = 0; i < 16; i++) {
        at += snprintf(ret_name + at, 3, "%02x", box_id[i]);
    }
}

/* Other users may put messages in, and take none out. */
static uint32_t queue_mode(uint32_t mode)
{
    return 0600 | ((mode & 0060) != 0 ? 0020u : 0) | ((mode & 0006) != 0 ? 0002u : 0);
}

static int make_queue(const char *queue, const tong_options *o, gid_t group, uint32_t *ret_size)
{
    const uint32_t beside = sizeof(struct tg_carried) + sizeof(struct tg_attributes);
    const bool fits = o->message_size != 0 && o->message_size <= INLINE_MOST;
    const uint32_t wanted = beside + (fits ? o->message_size : INLINE);
    const uint32_t most = tg_mq_limit("msgsize_max", wanted);
    const uint32_t size = wanted < most ? wanted : most;
    int r = tg_mq_make(queue, queue_mode(o->mode), group, o->capacity + SPARE, size);
    if (r == -ENOSPC) {
        r = tg_mq_make(queue, queue_mode(o->mode), group, o->capacity, size);
    }
    if (r == 0) {
        *ret_size = size;
    }
    return r;
}

static int open_queue(const char *queue, unsigned flags)
{
    const bool sends = (flags & TONG_SEND) != 0;
    const bool receives = (flags & TONG_RECEIVE) != 0;
    return tg_mq_open(queue, sends && receives ? O_RDWR : sends ? O_WRONLY : O_RDONLY);
}

static ssize_t get(int fd, void *buf, size_t size)
{
    return tg_mq_receive(fd, buf, size, NULL);
}

static uint32_t count(int fd)
{
    struct tg_mq_status status;
    return tg_mq_look(fd, &status) == 0 ? status.waiting : 0;
}

static void wait_for_room(int fd)
{
    (void)tg_mq_wait(fd, POLLOUT, -1, tg_now_ns() + A_MOMENT);
}

static const struct tg_way way = {
    .prefix = "mq",
    .folder = ".mq",
    .defaults = defaults,
    .name = queue_name,
    .make = make_queue,
    .open = open_queue,
    .put = tg_mq_send,
    .get = get,
    .count = count,
    .wait_for_room = wait_for_room,
};

/* ---- the carrier */

/* The options as they act: no limit on the mailbox and the usual one on a sender is what a queue keeps by
 * itself. */
static int act(const tong_options *o, tong_options *ret_own)
{
    *ret_own = *o;
    ret_own->by_priority = o->by_priority == 0 ? 1 : o->by_priority; /* a queue is */
    if (o->capacity == 0 || o->full == TONG_DROP_OLDEST || o->delivery == TONG_EVERYONE ||
        o->delivery == TONG_BY_KEY ||
        (o->capacity == TONG_UNBOUNDED && o->link_capacity == TONG_UNBOUNDED)) {
        return -EOPNOTSUPP;
    }
    if (o->capacity == TONG_UNBOUNDED) {
        defaults(ret_own);
    }
    return 0;
}

static int open_(const char *rest, unsigned flags, const tong_options *options,
                 tg_handle *ret_handle)
{
    tong_options own;
    struct tg_box *box;
    int r = 0;
    if (options != NULL) {
        r = options->struct_size < sizeof *options ? -EINVAL : act(options, &own);
    }
    if (r == 0) {
        r = tg_box_open(&way, rest, flags, options != NULL ? &own : NULL, &box);
    }
    if (r == 0) {
        *ret_handle = box;
    }
    return r;
}

static int process_open(const char *rest, const tong_options *options, tg_handle *ret_me)
{
    const tong_options standard = TONG_OPTIONS_INIT;
    const tong_options *wanted = options != NULL ? options : &standard;
    tong_options own;
    struct tg_box *box;
    int r = wanted->struct_size < sizeof *wanted ? -EINVAL : act(wanted, &own);
    if (r == 0) {
        r = tg_process_open(&way, rest, &own, &box);
    }
    if (r == 0) {
        *ret_me = box;
    }
    return r;
}

static int remove_(const char *rest)
{
    return tg_box_remove(&way, rest);
}

static int links(tong_links_fn *each, void *arg)
{
    return tg_box_links(&way, each, arg);
}

static int stat_(const char *rest, tong_status *ret_status)
{
    return tg_box_stat(&way, rest, ret_status);
}

static int parties(const char *rest, tong_parties_fn *each, void *arg)
{
    return tg_box_parties(&way, rest, each, arg);
}

static int list(tong_list_fn *each, void *arg)
{
    return tg_box_list(&way, each, arg);
}

static int doctor(int repair, tong_doctor_fn *each, void *arg)
{
    return tg_box_doctor(&way, repair, each, arg);
}

const struct tg_carrier tg_carrier_mq = {
    TG_ON_BOX,
    .prefix = "mq",
    .open = open_,
    .remove = remove_,
    .process_open = process_open,
    .links = links,
    .stat = stat_,
    .parties = parties,
    .list = list,
    .doctor = doctor,
};
