/*
 * Observers. The stream is read message by message, by their numbers: that asks the server, and changes nothing there. Nobody
 * rings an observer, so it looks again, soon and then less often.
 *
 * I1  `next` is the number of the first message that was not seen. Numbers between it and the next one that is there are of
 *     messages that have gone: unseen, if they were sent since the observer was opened (`opened` is the last before that).
 * I2  The stream's last number is asked for before the message: if there is none, all up to that number have gone.
 */
#include "carrier/nats/peek.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/nats/direct.h"
#include "carrier/nats/fetch.h"
#include "carrier/nats/long.h"
#include "carrier/nats/net.h"
#include "carrier/nats/owner.h"
#include "carrier/nats/stored.h"

#define FIRST_NS INT64_C(8000000)
#define LAST_NS INT64_C(128000000)

struct tg_nats_observer {
    struct tg_nats_box *box; /* a handle that sends nothing: nobody knows of it */
    uint64_t next;           /* I1 */
    uint64_t opened;
    uint64_t missed;
    uint64_t handed_out; /* messages up to this number were handed out */
    int64_t looked_ns;   /* whether the owner is alive, last */
};

/* ---- what is there */

static int as_lost(int r)
{
    return r == -EHOSTUNREACH ? -ENOTCONN : r;
}

/* An offer that was taken back was not sent. */
static void pass_to(struct tg_nats_observer *observer, uint64_t seq)
{
    const uint64_t from =
        observer->next > observer->opened + 1 ? observer->next : observer->opened + 1;
    const bool offers = observer->box->record.options.capacity == 0;
    observer->missed += seq > from && !offers ? seq - from : 0;
    observer->next = seq > observer->next ? seq : observer->next;
}

static int read_last(struct tg_nats_observer *observer, const struct tg_js *js, uint64_t *ret_last)
{
    struct tg_js_answer answer;
    struct tg_nats_box *box = observer->box;
    const int r = tg_nats_stream_info(box->server, js, box->record.id, &answer);
    if (r == 0) {
        *ret_last = tg_json_u64(tg_json_get(answer.json, "state.last_seq"));
    }
    return r;
}

/* The next one: 1, 0 none. -EIDRM, ...: the mailbox has ended. */
static int find(struct tg_nats_observer *observer, const struct tg_js *js,
                struct tg_nats_stored *ret_stored)
{
    struct tg_nats_box *box = observer->box;
    struct tg_nats_record now;
    uint64_t last = 0;
    int r = read_last(observer, js, &last);
    r = r < 0 ? r
              : tg_nats_get_stored(box->server, js, box->record.id, observer->next, false,
                                   ret_stored);
    if (r == 0) {
        pass_to(observer, ret_stored->seq);
        return 1;
    }
    if (r != -ENOENT) {
        return r;
    }
    r = tg_nats_find_again(box, js, &now);
    if (r == 0 && now.seq == 0) {
        r = tg_nats_end_of(box->server, js, &box->record);
        return r < 0 ? r : -EIDRM;
    }
    pass_to(observer, last + 1);
    return r;
}

/* How often it was handed out: 0 never, 1 once or more. */
static int look_up_deliveries(struct tg_nats_observer *observer, const struct tg_js *js,
                              uint64_t seq, uint32_t *ret_n)
{
    struct tg_nats_box *box = observer->box;
    struct tg_js_answer answer;
    *ret_n = 1;
    if (seq <= observer->handed_out) {
        return 0;
    }
    const int r =
        tg_nats_consumer_info(box->server, js, box->record.id, TG_NATS_FIRST_CONSUMER, &answer);
    if (r < 0) {
        return r == -ENOENT ? 0 : r;
    }
    const uint64_t most = tg_json_u64(tg_json_get(answer.json, "delivered.stream_seq"));
    const bool may_be_back = tg_json_u64(tg_json_get(answer.json, "num_redelivered")) > 0;
    observer->handed_out = most > observer->handed_out ? most : observer->handed_out;
    *ret_n = seq <= observer->handed_out || may_be_back ? 1 : 0;
    return 0;
}

/* Whether it was sent in time, and is still worth something. */
static bool is_good(struct tg_nats_box *box, const struct tg_nats_taken *taken)
{
    int64_t now = 0;
    if (taken->until_ns != 0 && taken->time_ns > taken->until_ns) {
        return false;
    }
    return taken->expiry_ns == 0 || tg_nats_time(box->server, &now) < 0 || now < taken->expiry_ns;
}

static int copy_long(struct tg_nats_box *box, const struct tg_nats_taken *taken, void *buf,
                     size_t size)
{
    char *whole = malloc(taken->len);
    int r = whole == NULL ? -ENOMEM : tg_nats_connect_side(box, &box->rx);
    r = r < 0 ? r : tg_nats_copy(box, taken, whole);
    if (r == 0 && size > 0) {
        memcpy(buf, whole, size < taken->len ? size : taken->len);
    }
    free(whole);
    return r;
}

/* ---- one look */

/* What of it fits: its length; -ENODATA: it is none that can be seen. */
static ssize_t show(struct tg_nats_observer *observer, struct tg_nats_taken *taken, void *buf,
                    size_t size, tong_message *ret_info)
{
    int r = is_good(observer->box, taken) ? 0 : -ENODATA;
    if (r == 0 && taken->is_long) {
        r = copy_long(observer->box, taken, buf, size);
    } else if (r == 0 && taken->len > 0 && size > 0) {
        memcpy(buf, taken->msg.data, size < taken->len ? size : taken->len);
    }
    if (r == 0 && ret_info != NULL) {
        tg_nats_tell(taken, ret_info);
        ret_info->len = taken->len;
        ret_info->data = buf;
    }
    return r < 0 ? r : (ssize_t)taken->len;
}

/* Its length; -EAGAIN: there is none. */
static ssize_t look(struct tg_nats_observer *observer, void *buf, size_t size,
                    tong_message *ret_info)
{
    struct tg_nats_box *box = observer->box;
    struct tg_nats_stored stored = { .bytes = NULL };
    struct tg_nats_taken taken = { .is_pocketed = false };
    struct tg_js js;
    int r = tg_nats_enter(box->server, &js);
    if (r < 0) {
        return as_lost(r);
    }
    r = find(observer, &js, &stored);
    if (r == 1) {
        observer->next = stored.seq + 1;
        r = look_up_deliveries(observer, &js, stored.seq, &taken.deliveries);
        r = r < 0 ? r : 1;
    }
    tg_nats_leave(box->server);
    ssize_t n = r == 0 ? -EAGAIN : as_lost(r);
    if (r == 1) {
        taken.msg = stored.msg;
        taken.time_ns = stored.time_ns;
        tg_nats_read_said(box, &taken);
        n = show(observer, &taken, buf, size, ret_info);
    }
    tg_nats_free_stored(&stored);
    return n;
}

/* A dead one's mailbox ends when somebody finds that out: not who only looks. */
static int look_after_owner(struct tg_nats_observer *observer)
{
    struct tg_nats_box *box = observer->box;
    struct tg_js js;
    bool dead = false;
    if (box->record.options.owner != TONG_PROCESS ||
        tg_now_ns() - observer->looked_ns < TG_NATS_TICK_NS) {
        return 0;
    }
    int r = tg_nats_enter(box->server, &js);
    if (r == 0) {
        r = tg_nats_is_dead(box->server, &js, box->record.proc, &dead);
        tg_nats_leave(box->server);
    }
    observer->looked_ns = tg_now_ns();
    return r == 0 && dead ? -EOWNERDEAD : 0; /* the next look will do */
}

/* -EAGAIN: look again. */
static int sleep_a_while(struct tg_nats_observer *observer, const struct tg_nats_call *call,
                         int64_t *pause_ns)
{
    if (call->timeout_ns == 0) {
        return -EAGAIN;
    }
    if (tg_net_signals() != call->signals) {
        return -EINTR;
    }
    if (tg_is_over(call->deadline)) {
        return -ETIMEDOUT;
    }
    const int64_t until = tg_now_ns() + *pause_ns;
    *pause_ns = 2 * *pause_ns < LAST_NS ? 2 * *pause_ns : LAST_NS;
    const int r =
        tg_net_wait(-1, 0, observer->box->tx.bell, call->deadline < until ? call->deadline : until);
    return r == -EINTR ? -EINTR : 0;
}

static ssize_t look_until(struct tg_nats_observer *observer, void *buf, size_t size,
                          const struct tg_nats_call *call, tong_message *ret_info)
{
    int64_t pause_ns = FIRST_NS;
    int r = 0;
    while (r == 0) {
        const ssize_t n = look(observer, buf, size, ret_info);
        if (n != -EAGAIN && n != -ENODATA) {
            return n;
        }
        if (n == -EAGAIN) {
            r = look_after_owner(observer);
            r = r < 0 ? r : sleep_a_while(observer, call, &pause_ns);
        }
    }
    return r;
}

/* ---- the calls */

ssize_t tg_nats_peek(struct tg_nats_observer *observer, void *buf, size_t size, int64_t timeout_ns,
                     tong_message *ret_info, uint64_t *ret_missed)
{
    struct tg_nats_call call;
    struct tg_nats_side *side = &observer->box->tx;
    ssize_t r = tg_nats_begin(observer->box, side, TONG_SEND, timeout_ns, &call);
    if (r < 0) {
        return r;
    }
    r = look_until(observer, buf, size, &call, ret_info);
    if (ret_missed != NULL) {
        *ret_missed = observer->missed;
    }
    tg_nats_finish(side);
    return r;
}

static int begin(struct tg_nats_observer *observer)
{
    struct tg_nats_box *box = observer->box;
    struct tg_js js;
    int r = tg_nats_enter(box->server, &js);
    if (r == 0) {
        r = read_last(observer, &js, &observer->opened);
        tg_nats_leave(box->server);
    }
    return r == -ENOENT ? 0 : as_lost(r);
}

int tg_nats_observer_open(const char *rest, struct tg_nats_observer **ret_observer)
{
    struct tg_nats_observer *observer = calloc(1, sizeof *observer);
    if (observer == NULL) {
        return -ENOMEM;
    }
    observer->next = 1;
    int r = tg_nats_open(rest, TONG_SEND, NULL, &observer->box);
    r = r < 0 ? r : begin(observer);
    if (r < 0) {
        (void)tg_nats_observer_close(observer);
        return r;
    }
    *ret_observer = observer;
    return 0;
}

int tg_nats_observer_close(struct tg_nats_observer *observer)
{
    const int r = observer->box != NULL ? tg_nats_close(observer->box) : 0;
    free(observer);
    return r;
}
