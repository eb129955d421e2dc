/*
 * Requests for messages: one at a time, and where its answer goes.
 *
 * A server serves the requests that stand in the order in which they came. With TONG_RANDOM those who wait are a group
 * that listens to one subject, SPACE.g.NAME.ID, and the answer to any of their requests goes there: the server gives it
 * to one of the group, drawn by lot.
 *
 * I1  Each of the group has brought a request, and an answer, whatever it says, takes one request and one of the group: so
 *     there are as many requests as there are of them. Who gives up leaves a request too many, which ends soon; those
 *     that a server has lost are made good by who is passed over (receive.c).
 * I2  The server itself takes who is drawn out of the group (UNSUB with 1): nobody is drawn twice for one wait.
 */
#include <errno.h>
#include <string.h>

#include "carrier/nats/box.h"
#include "carrier/nats/fetch.h"

static int listen(struct tg_nats_side *side)
{
    struct tg_text subject = TG_TEXT(side->fetch_subject);
    tg_text_add(&subject, side->conn->inbox);
    tg_text_add(&subject, ".f.");
    tg_text_add_u64(&subject, ++side->conn->next_reply);
    side->is_drawn = false;
    return tg_nats_subscribe(side->conn, side->fetch_subject, NULL, &side->fetch_sid);
}

static int join(struct tg_nats_side *side, const char *subject)
{
    int r = side->fetch_sid != 0 ? tg_nats_unsubscribe(side->conn, side->fetch_sid) : 0;
    r = r < 0 ? r : tg_nats_subscribe(side->conn, subject, "receivers", &side->fetch_sid);
    side->is_drawn = true;
    return r < 0 ? r : tg_nats_unsubscribe_after(side->conn, side->fetch_sid, 1);
}

/* for_ns 0: of those that are there now. */
static int request(struct tg_nats_box *box, const char *answer_to, unsigned n, int64_t for_ns)
{
    char stream_at[96];
    char subject_at[256];
    char body_at[96];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_text body = TG_TEXT(body_at);
    tg_nats_stream(&stream, box->server, box->record.id);
    tg_js_subject(&subject, "CONSUMER.MSG.NEXT", stream.at, box->consumer);
    tg_text_add(&body, "{\"batch\":");
    tg_text_add_u64(&body, n);
    if (for_ns == 0) {
        tg_text_add(&body, ",\"no_wait\":true}");
    } else {
        tg_text_add(&body, ",\"expires\":");
        tg_text_add_i64(&body, for_ns);
        tg_text_add(&body, "}");
    }
    const int r = tg_nats_publish_text(box->rx.conn, subject.at, answer_to, body.at);
    box->rx.is_fetching = r == 0;
    /* A sender in an event loop cannot see that somebody waits. */
    return r == 0 && for_ns != 0 && box->record.options.capacity == 0 ? tg_nats_tell_of_room(box)
                                                                      : r;
}

int tg_nats_ask_for(struct tg_nats_box *box, unsigned n, int64_t for_ns)
{
    struct tg_nats_side *side = &box->rx;
    int r = side->is_drawn && side->fetch_sid != 0
                ? tg_nats_unsubscribe(side->conn, side->fetch_sid)
                : 0;
    if (r == 0 && (side->fetch_sid == 0 || side->is_closing || side->is_drawn)) {
        r = listen(side);
    }
    side->is_closing = false;
    return r < 0 ? r : request(box, side->fetch_subject, n, for_ns);
}

int tg_nats_stand(struct tg_nats_box *box, int64_t for_ns)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    if (box->record.options.delivery != TONG_RANDOM) {
        return tg_nats_ask_for(box, 1, for_ns);
    }
    tg_nats_subject(&subject, box->server, 'g', box->name, box->record.id);
    const int r = join(&box->rx, subject.at);
    box->rx.is_closing = false;
    return r < 0 ? r : request(box, subject.at, 1, for_ns);
}

void tg_nats_is_served(struct tg_nats_side *side)
{
    side->is_fetching = false;
    side->fetch_sid = side->is_drawn ? 0 : side->fetch_sid; /* I2 */
}

int tg_nats_take_back(struct tg_nats_box *box, struct tg_nats_msg *ret_msg)
{
    struct tg_nats_side *side = &box->rx;
    const uint64_t old = side->fetch_sid;
    int r = tg_nats_unsubscribe(side->conn, old);
    r = r < 0 ? r : tg_nats_ping(side->conn);
    side->is_fetching = false;
    side->fetch_sid = 0;
    const struct tg_nats_wait wait = { .deadline = tg_now_ns() + TG_NATS_PATIENCE_NS,
                                       .cancel_fd = -1 };
    while (r == 0 && !tg_nats_is_answered(side->conn)) {
        struct tg_nats_msg msg;
        r = tg_nats_next(side->conn, &wait, &msg);
        if (r == 0 && msg.sid == old && msg.status == 0) {
            *ret_msg = msg; /* it is the only one that was asked for */
            return 1;
        }
        if (r == 0) {
            tg_nats_note(side, &msg);
        } else if (r == -ETIMEDOUT) {
            r = tg_nats_is_answered(side->conn) ? 0 : -ENOTCONN;
        }
    }
    return r;
}
