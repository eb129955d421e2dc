/*
 * puppet - a process that does what it is told, one call of tong.h at a time.
 *
 * A puppet owns a mailbox of its name, which makes it a process in the sense of tong_give(), and takes
 * its orders from it. It has four places for handles. Every order has one answer: what the call
 * returned, or what it got; so a test reads as a row of calls made by several processes.
 */
#ifndef TONG_KIT_PUPPET_H
#define TONG_KIT_PUPPET_H

#include "kit.h"

enum puppet_verb {
    PUPPET_OPEN,         /* name, flags, options if given */
    PUPPET_CLOSE,        /* */
    PUPPET_SEND,         /* value, timeout_ns */
    PUPPET_RECEIVE,      /* timeout_ns; answers the number received */
    PUPPET_RECEIVE_MANY, /* the same, by tong_receive_many */
    PUPPET_WAIT_ANY, /* timeout_ns; and if that is 0, what a receive that does not wait answers */
    PUPPET_CLAIM,    /* timeout_ns, into the place `claim`; answers number + 1000 * deliveries */
    PUPPET_DONE,     /* claim */
    PUPPET_RETURN,   /* claim */
    PUPPET_TAKE,     /* as PUPPET_CLAIM, by tong_receive_with */
    PUPPET_CALL,     /* value, timeout_ns; answers the number of the reply */
    PUPPET_REPLY,    /* claim, value, timeout_ns */
    PUPPET_GIVE,     /* name, "" the system */
    PUPPET_WATCH,    /* timeout_ns; answers pid * 4 + roles */
    PUPPET_PROCESS,  /* name, options if given: it is the process of that name, "" of none */
    PUPPET_SEND_TO,  /* name, value, timeout_ns */
    PUPPET_RECEIVE_FROM, /* name, timeout_ns; answers the number received */
    PUPPET_RECEIVE_ANY,  /* timeout_ns; the same, but -EBADMSG if it is not from name */
    PUPPET_RENAME,       /* name */
    PUPPET_END           /* ends without closing anything; by itself after closing all of it */
};

struct puppet_order {
    enum puppet_verb verb;
    uint32_t handle; /* 0..3 */
    uint32_t claim;  /* 0..7 */
    unsigned flags;
    uint64_t value;
    int64_t timeout_ns;
    bool has_options;
    tong_options options; /* without dead_letter */
    char name[TONG_NAME_MAX];
};

struct puppet {
    struct kit_child child;
    tong_mailbox *orders;
    const char *name;
};

struct puppet puppet_start(const char *name);

/* It closes what it has and ends; puppet_kill: SIGKILL. */
void puppet_end(struct puppet *puppet);
void puppet_kill(struct puppet *puppet);

/* An order, and its answer; or one after the other, for calls that wait. */
int64_t puppet_ask(struct puppet *puppet, const struct puppet_order *order);
void puppet_tell(struct puppet *puppet, const struct puppet_order *order);
int64_t puppet_answer(struct puppet *puppet);

/* It has begun with its order, and sleeps inside of it. */
bool puppet_waits(const struct puppet *puppet);

#define PUPPET(puppet, ...) puppet_ask(puppet, &(struct puppet_order){ __VA_ARGS__ })
#define PUPPET_TELL(puppet, ...) puppet_tell(puppet, &(struct puppet_order){ __VA_ARGS__ })

#endif
