/* What the tests of TONG_EVERYONE share. */
#ifndef TONG_TEST_EVERYONE_H
#define TONG_TEST_EVERYONE_H

#include "kit.h"

#define ALL 8

static inline tong_options to_all(uint32_t link_capacity)
{
    tong_options options = kit_options();
    options.delivery = TONG_EVERYONE;
    options.link_capacity = link_capacity;
    return options;
}

static inline tong_mailbox *sender_of(const char *name, const tong_options *options)
{
    return kit_open(kit_name(name), TONG_SEND | TONG_CREATE | TONG_EXCL, options);
}

static inline tong_mailbox *receiver_of(const char *name)
{
    return kit_open(kit_name(name), TONG_RECEIVE, NULL);
}

static inline tong_mailbox *late_receiver_of(const char *name)
{
    return kit_open(kit_name(name), TONG_RECEIVE | TONG_FROM_OLDEST, NULL);
}

static inline void send_some(tong_mailbox *box, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
}

static inline void get_some(tong_mailbox *box, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
}

static inline void close_all(tong_mailbox *box[], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        kit_ok(tong_close(box[i]));
    }
}

struct pair {
    const char *name;
    uint64_t from;
    uint64_t to;
    kit_event there;
    kit_event go;
    kit_event done;
};

static inline int is_there(void *arg)
{
    struct pair *p = arg;
    tong_mailbox *box = receiver_of(p->name);
    get_some(box, p->from, p->to);
    kit_event_set(&p->there);
    kit_await_death();
    return box == NULL;
}

#endif
