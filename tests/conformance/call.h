/* What the tests of request and reply share: who plays caller and server. */
#ifndef TONG_CONFORMANCE_CALL_H
#define TONG_CONFORMANCE_CALL_H

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "puppet.h"

#define BOX kit_name("service")

/* ---- who plays */

static inline struct puppet starts(const char *name, unsigned flags)
{
    struct puppet puppet = puppet_start(name);
    kit_ok(PUPPET(&puppet, .verb = PUPPET_OPEN, .name = "service", .flags = flags));
    return puppet;
}

#define server_starts(name) starts(name, TONG_RECEIVE)
#define caller_starts(name) starts(name, TONG_SEND)
#define asks(puppet, number, wait)                                                                 \
    PUPPET_TELL(puppet, .verb = PUPPET_CALL, .value = (number), .timeout_ns = (wait))
#define claims(puppet, n)                                                                          \
    PUPPET(puppet, .verb = PUPPET_CLAIM, .claim = (n), .timeout_ns = KIT_PATIENCE)
#define takes(puppet, n)                                                                           \
    PUPPET(puppet, .verb = PUPPET_TAKE, .claim = (n), .timeout_ns = KIT_PATIENCE)
#define replies(puppet, n, number)                                                                 \
    PUPPET(puppet, .verb = PUPPET_REPLY, .claim = (n), .value = (number))

/* How a server has the request in hand: both are alike but for redelivery. */
#define has(puppet, how, n) ((how) == 0 ? claims(puppet, n) : takes(puppet, n))

static inline int64_t call(tong_mailbox *box, uint64_t value, int64_t wait)
{
    uint64_t reply = 0;
    const ssize_t n = tong_call(box, &value, sizeof(value), &reply, sizeof(reply), wait);
    return n < 0 ? n : (int64_t)reply;
}

/* ---- a server that is a thread of the test */

struct service {
    tong_mailbox *box;
    pthread_t thread;
    uint64_t n;
    bool claims;
};

static inline void *serve(void *arg)
{
    const struct service *s = arg;
    for (uint64_t i = 0; i < s->n; i++) {
        tong_message request = TONG_MESSAGE_INIT;
        uint64_t value = 0;
        if (s->claims) {
            kit_ok(tong_claim(s->box, KIT_PATIENCE, &request));
            memcpy(&value, request.data, sizeof(value));
        } else {
            kit_gives(
                tong_receive_with(s->box, &value, sizeof(value), NULL, KIT_PATIENCE, &request), 8);
        }
        value = 2 * value;
        kit_ok(tong_reply(s->box, &request, &value, sizeof(value), KIT_PATIENCE));
        kit_gives(tong_reply(s->box, &request, &value, sizeof(value), 0), -EINVAL);
        kit_gives(tong_done(s->box, &request), -EINVAL);
    }
    return NULL;
}

static inline void service_starts(struct service *s, tong_mailbox *box, uint64_t n, bool claims)
{
    *s = (struct service){ .box = box, .n = n, .claims = claims };
    kit_ok(pthread_create(&s->thread, NULL, serve, s));
}

static inline void service_ends(struct service *s)
{
    kit_ok(pthread_join(s->thread, NULL));
}

static inline bool is_refused(uint32_t capacity)
{
    return (capacity == 0 && kit_is_refused(KIT_RENDEZVOUS)) ||
           (capacity == TONG_UNBOUNDED && kit_is_refused(KIT_UNBOUNDED));
}

#endif
