/*
 * A way: what carries the bytes of messages from the senders of a mailbox to its receivers, where its
 * links do not (carried.c). Its mailboxes lie in a folder of their own in the root.
 *
 * Every function is called with the sending side's gate, or the token, held, so for one queue by one
 * thread at a time; none blocks.
 */
#ifndef TG_MAILBOX_WAY_H
#define TG_MAILBOX_WAY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tong/tong.h>

#include "region/region.h"

/* The longest name of a queue, with its final 0. */
#define TG_QUEUE_NAME 64

struct tg_way {
    const char *prefix; /* of the carrier, for tong_status */
    const char *folder; /* of its mailboxes, in the root */

    /* What a mailbox is that nobody gave options for. */
    void (*defaults)(tong_options *options);
    /* The name of the queue of a mailbox. */
    void (*name)(const uint8_t box_id[16], char ret_name[TG_QUEUE_NAME]);
    /* Make it, for these options; others who may send are of this group. *ret_size: bytes of the longest
     * record. -ENOSPC: a limit. */
    int (*make)(const char *queue, const tong_options *options, gid_t group, uint32_t *ret_size);
    /* A descriptor of it; flags: TONG_SEND, TONG_RECEIVE. -ENOENT. */
    int (*open)(const char *queue, unsigned flags);
    /* 0; -EAGAIN: it is full. */
    int (*put)(int fd, const void *record, size_t len, unsigned priority);
    /* A record's length, or -EAGAIN: nothing there. It is written from the beginning to the end, and whole
     * even if the process is killed meanwhile. */
    ssize_t (*get)(int fd, void *buf, size_t size);
    /* How many are there. */
    uint32_t (*count)(int fd);
    /* Sleep until it may have room, a moment at most. */
    void (*wait_for_room)(int fd);
};

/* The root of a way's mailboxes; NULL: of those whose links carry. */
static inline int tg_way_root(const struct tg_way *way, bool create, struct tg_root **ret_root)
{
    return tg_root_get_inner(way != NULL ? way->folder : NULL, create, ret_root);
}

static inline const char *tg_way_prefix(const struct tg_way *way)
{
    return way != NULL ? way->prefix : "shm";
}

#endif
