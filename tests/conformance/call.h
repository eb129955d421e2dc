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

#define caller_starts(name) starts(name, TONG_SEND)
#define asks(puppet, number, wait)                                                                 \
    PUPPET_TELL(puppet, .verb = PUPPET_CALL, .value = (number), .timeout_ns = (wait))

/* A server: a process of its own, or where the mailbox's owner alone receives, a handle of the test's. */
struct server {
    bool is_own;
    tong_mailbox *box;
    tong_message request;
    struct puppet puppet;
};

static inline struct server server_starts(const char *name)
{
    struct server s = { .is_own = kit_is_refused(KIT_OTHERS_RECEIVE) };
    if (s.is_own) {
        s.box = kit_open(BOX, TONG_RECEIVE, NULL);
    } else {
        s.puppet = starts(name, TONG_RECEIVE);
    }
    return s;
}

static inline int64_t server_takes(struct server *s, bool claim, int64_t wait)
{
    uint64_t value = 0;
    if (!s->is_own) {
        return PUPPET(&s->puppet, .verb = claim ? PUPPET_CLAIM : PUPPET_TAKE, .timeout_ns = wait);
    }
    s->request = (tong_message)TONG_MESSAGE_INIT;
    const ssize_t r =
        claim ? tong_claim(s->box, wait, &s->request)
              : tong_receive_with(s->box, &value, sizeof(value), NULL, wait, &s->request);
    if (r >= 0 && claim) {
        memcpy(&value, s->request.data, sizeof(value));
    }
    return r < 0 ? r : (int64_t)(value + 1000 * s->request.deliveries);
}

#define claims(server) server_takes(server, true, KIT_PATIENCE)
#define takes(server) server_takes(server, false, KIT_PATIENCE)

/* How a server has the request in hand: both are alike but for redelivery. */
#define has(server, how) server_takes(server, (how) == 0, KIT_PATIENCE)

static inline int64_t replies(struct server *s, uint64_t value)
{
    return s->is_own ? tong_reply(s->box, &s->request, &value, sizeof(value), 0)
                     : PUPPET(&s->puppet, .verb = PUPPET_REPLY, .value = value);
}

static inline int64_t finishes(struct server *s)
{
    return s->is_own ? tong_done(s->box, &s->request) : PUPPET(&s->puppet, .verb = PUPPET_DONE);
}

static inline int64_t gives_back(struct server *s)
{
    return s->is_own ? tong_return(s->box, &s->request) : PUPPET(&s->puppet, .verb = PUPPET_RETURN);
}

/* By a call that cannot reply. */
static inline int64_t only_receives(struct server *s)
{
    return s->is_own ? (int64_t)kit_receive_u64(s->box)
                     : PUPPET(&s->puppet, .verb = PUPPET_RECEIVE, .timeout_ns = KIT_PATIENCE);
}

static inline int close_own(struct server *s)
{
    tong_mailbox *box = s->box;
    s->box = NULL;
    return tong_close(box);
}

static inline int64_t closes(struct server *s)
{
    return s->is_own ? close_own(s) : PUPPET(&s->puppet, .verb = PUPPET_CLOSE);
}

static inline void server_ends(struct server *s)
{
    if (!s->is_own) {
        puppet_end(&s->puppet);
    } else if (s->box != NULL) {
        kit_ok(close_own(s));
    }
}

/* It dies with all that it has in hand; a handle of the test's is closed with it. */
static inline void server_goes(struct server *s)
{
    if (s->is_own) {
        kit_ok(close_own(s));
    } else {
        puppet_kill(&s->puppet);
    }
}

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
