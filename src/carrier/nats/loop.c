#include "carrier/nats/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/sys.h"
#include "carrier/nats/everyone.h"
#include "carrier/nats/fetch.h"
#include "carrier/nats/give.h"
#include "carrier/nats/net.h"

#define FIRST_NS INT64_C(1000000000)
#define LAST_NS INT64_C(8000000000)
#define TROUBLE_NS INT64_C(125000000)

/* ---- the watch */

static bool is_connected(const struct tg_nats_loop *loop)
{
    return loop->side->conn != NULL && !loop->side->conn->is_lost;
}

static bool sends(const struct tg_nats_loop *loop)
{
    return loop->side == &loop->box->tx;
}

static void drop_watch(struct tg_nats_loop *loop)
{
    if (loop->sid != 0 && is_connected(loop)) {
        (void)tg_nats_unsubscribe(loop->side->conn, loop->sid);
    }
    loop->sid = 0;
    loop->is_standing = false;
}

static int set_watch(struct tg_nats_loop *loop)
{
    struct tg_nats_box *box = loop->box;
    struct tg_nats_conn *conn = loop->side->conn;
    char stream_at[96];
    char subject_at[256];
    char reply_at[96];
    char body_at[96];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_text reply = TG_TEXT(reply_at);
    struct tg_text body = TG_TEXT(body_at);
    tg_text_add(&reply, conn->inbox);
    tg_text_add(&reply, ".w.");
    tg_text_add_u64(&reply, ++conn->next_reply);
    int r = tg_nats_subscribe(conn, reply.at, NULL, &loop->sid);
    tg_nats_stream(&stream, box->server, box->record.id);
    tg_js_subject(&subject, "CONSUMER.MSG.NEXT", stream.at, box->consumer);
    tg_text_add(&body, "{\"batch\":1,\"max_bytes\":1,\"expires\":");
    tg_text_add_i64(&body, TG_NATS_STANDING_NS);
    tg_text_add(&body, "}");
    r = r < 0 ? r : tg_nats_publish_text(conn, subject.at, reply.at, body.at);
    loop->is_standing = r == 0;
    return r == 0 && box->record.options.capacity == 0 ? tg_nats_tell_of_room(box) : r;
}

void tg_nats_loop_note(struct tg_nats_loop *loop, const struct tg_nats_msg *msg)
{
    if (loop == NULL || loop->sid == 0 || msg->sid != loop->sid || msg->status == 100) {
        return;
    }
    const struct tg_json head = { msg->head, msg->head != NULL ? msg->head_len : 0 };
    if (sends(loop)) {
        loop->is_told = true;
        return;
    }
    loop->is_standing = false;
    if (msg->status == 0) { /* a server that does not know how to refuse it: it goes back */
        (void)tg_nats_publish_text(loop->side->conn, msg->reply, NULL, "-NAK");
        loop->is_told = true;
    } else if (msg->status == 409 && tg_json_has(head, "Message Size Exceeds")) {
        loop->is_told = true;
    } else {
        loop->is_refused = msg->status != 408; /* that one is as old as it may become */
    }
}

void tg_nats_loop_connected(struct tg_nats_loop *loop)
{
    if (loop != NULL) {
        loop->sid = 0;
        loop->is_standing = false;
        if (tg_event_add(loop->epoll, loop->side->conn->fd, 0) < 0) {
            loop->side->conn->is_lost = true; /* the next call tries again */
        }
    }
}

static void watch(struct tg_nats_loop *loop)
{
    const bool may = tg_nats_may_receive(loop->box);
    if (loop->is_due || !may) {
        drop_watch(loop); /* it may be lost at the server */
    }
    if (!is_connected(loop)) {
        return;
    }
    if (!loop->is_standing && !loop->is_refused && may) {
        drop_watch(loop);
        (void)set_watch(loop);
    }
    tg_nats_drain(loop->side);
}

/* ---- room */

/* The answer comes behind what was said on the connection before. 1 there is some, 0, -errno. */
static int look_for_room(struct tg_nats_loop *loop)
{
    struct tg_nats_box *box = loop->box;
    const struct tg_js js = tg_nats_js(loop->side);
    const tong_options *o = &box->record.options;
    struct tg_js_answer answer;
    if (o->full == TONG_BLOCK && tg_nats_bounds_links(o)) {
        return tg_nats_has_link_room(box, &js);
    }
    if (o->full != TONG_BLOCK || o->capacity == TONG_UNBOUNDED) {
        return 1;
    }
    if (o->capacity == 0) {
        const int r =
            tg_nats_consumer_info(box->server, &js, box->record.id, box->consumer, &answer);
        return r < 0 ? r : tg_json_u64(tg_json_get(answer.json, "num_waiting")) > 0;
    }
    const int r = tg_nats_stream_info(box->server, &js, box->record.id, &answer);
    return r < 0 ? r : tg_json_u64(tg_json_get(answer.json, "state.messages")) < o->capacity;
}

static int listen_for_room(struct tg_nats_loop *loop)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    tg_nats_subject(&subject, loop->box->server, 'r', loop->box->name, loop->box->record.id);
    return tg_nats_subscribe(loop->side->conn, subject.at, NULL, &loop->sid);
}

/* What was told is of room that a call has used, or of some that is there when it is looked for. */
static void find_room(struct tg_nats_loop *loop)
{
    int r = is_connected(loop) ? look_for_room(loop) : 0;
    if (r == 0 && is_connected(loop) && loop->sid == 0) {
        r = listen_for_room(loop);
        r = r < 0 ? r : look_for_room(loop);
    }
    loop->is_told = false;
    loop->has_room = r != 0; /* also where a call has to find out why it is not known */
    if (r != 0) {
        drop_watch(loop);
    }
    if (is_connected(loop)) {
        tg_nats_drain(loop->side);
    }
}

/* ---- the level */

/* Of who receives: a message, or that it may not any more. */
static bool has_something_here(struct tg_nats_box *box)
{
    return (box->has_pocket && tg_now_ns() < box->pocket_until_ns) || box->stash != NULL ||
           !tg_nats_may_receive(box);
}

/* What no socket tells of: the next call of the side finds it. */
static bool must_ring(const struct tg_nats_loop *loop)
{
    const struct tg_nats_side *side = loop->side;
    const bool is_over = tg_load_acquire(&loop->box->ended) != 0;
    const bool has_read =
        side->conn != NULL && (tg_nats_has_input(side->conn) || side->must_look || loop->is_told);
    return is_over || has_read || (sends(loop) ? loop->has_room : has_something_here(loop->box));
}

static void set_level(struct tg_nats_loop *loop)
{
    const bool up = must_ring(loop);
    if (up != loop->is_up) {
        if (up) {
            tg_net_ring(loop->bell);
        } else {
            tg_net_silence(loop->bell);
        }
        loop->is_up = up;
    }
}

static void set_timer(struct tg_nats_loop *loop, int64_t period_ns)
{
    loop->period_ns = period_ns;
    loop->due_ns = tg_now_ns() + period_ns;
    loop->is_due = false;
    (void)tg_event_timer_set(loop->timer, period_ns);
}

static void go_on_timing(struct tg_nats_loop *loop, bool was_told)
{
    const bool is_troubled = !is_connected(loop) || loop->is_refused;
    if (is_troubled != loop->is_troubled) {
        set_timer(loop, is_troubled ? TROUBLE_NS : FIRST_NS);
    } else if (was_told && !is_troubled && (loop->is_due || loop->period_ns != FIRST_NS)) {
        set_timer(loop, FIRST_NS);
    } else if (loop->is_due) {
        set_timer(loop, 2 * loop->period_ns < LAST_NS ? 2 * loop->period_ns : LAST_NS);
    }
    loop->is_troubled = is_troubled;
}

bool tg_nats_loop_is_due(const struct tg_nats_loop *loop)
{
    return loop != NULL && loop->is_due;
}

void tg_nats_loop_begin(struct tg_nats_loop *loop)
{
    if (loop != NULL) {
        loop->is_told = false;
        loop->is_refused = false;
        loop->is_due = tg_now_ns() >= loop->due_ns;
    }
}

void tg_nats_loop_end(struct tg_nats_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    const bool was_told = loop->is_told;
    loop->is_told = false;
    if (sends(loop)) {
        find_room(loop);
    } else {
        watch(loop);
    }
    go_on_timing(loop, was_told || loop->is_told);
    set_level(loop);
}

/* ---- begin, end */

void tg_nats_loop_free(struct tg_nats_loop *loop)
{
    if (loop != NULL) {
        tg_sys_close(loop->epoll);
        tg_sys_close(loop->bell);
        tg_sys_close(loop->timer);
        free(loop);
    }
}

static int make_descriptors(struct tg_nats_loop *loop)
{
    loop->bell = tg_net_bell();
    loop->timer = loop->bell < 0 ? loop->bell : tg_event_timer();
    loop->epoll = loop->timer < 0 ? loop->timer : tg_event_epoll();
    int r = loop->epoll < 0 ? loop->epoll : tg_event_add(loop->epoll, loop->bell, 0);
    r = r < 0 ? r : tg_event_add(loop->epoll, loop->timer, 0);
    return r < 0 ? r : tg_event_add(loop->epoll, loop->side->conn->fd, 0);
}

static int make_loop(struct tg_nats_box *box, struct tg_nats_side *side)
{
    struct tg_nats_loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        return -ENOMEM;
    }
    *loop = (struct tg_nats_loop){ .box = box, .side = side, .epoll = -1, .bell = -1, .timer = -1 };
    const int r = make_descriptors(loop);
    if (r < 0) {
        tg_nats_loop_free(loop);
        return r;
    }
    set_timer(loop, FIRST_NS);
    side->loop = loop;
    return 0;
}

/* There is a connection, and what was told before it is looked at. */
static int prepare(struct tg_nats_box *box, struct tg_nats_side *side)
{
    int r = tg_nats_connect_side(box, side);
    if (r == 0 && side == &box->tx) {
        side->must_look = false;
        r = tg_nats_look(box);
    } else if (r == 0 && (side->must_look || !tg_nats_may_receive(box))) {
        side->must_look = false;
        r = tg_nats_look_as_receiver(box);
    }
    return tg_nats_why_lost(box, r);
}

int tg_nats_fd(struct tg_nats_box *box, unsigned what)
{
    struct tg_nats_call call;
    struct tg_nats_side *side = what == TONG_SEND ? &box->tx : &box->rx;
    if (what == (TONG_RECEIVE | TONG_SEND)) {
        return -EINVAL;
    }
    int r = tg_nats_begin(box, side, what, 0, &call);
    if (r < 0) {
        return r == -EAGAIN ? -EBUSY : r;
    }
    r = side->loop != NULL ? 0 : prepare(box, side);
    r = r == 0 && side->loop == NULL ? make_loop(box, side) : r;
    tg_nats_finish(side);
    return r < 0 ? r : side->loop->epoll;
}
