#include "carrier/nats/long.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/nats/everyone.h"
#include "carrier/nats/net.h"

#define WINDOW 8u /* pieces under way */
#define BEAT_NS INT64_C(1000000000)

static size_t piece_size(const struct tg_nats_conn *conn)
{
    return conn->max_payload - TG_NATS_HEAD_MOST;
}

static void add_bulk_stream(struct tg_text *text, const struct tg_nats_server *server,
                            const char *id)
{
    tg_nats_stream(text, server, id);
    tg_text_add(text, "_b");
}

/* "PROC.HANDLE.NUMBER" */
static void add_owner(struct tg_text *text, const struct tg_nats_box *box, uint64_t number)
{
    tg_text_add(text, box->server->proc);
    tg_text_add(text, ".");
    tg_text_add_u64(text, box->handle);
    tg_text_add(text, ".");
    tg_text_add_u64(text, number);
}

static void add_piece(struct tg_text *text, const struct tg_nats_server *server, const char *name,
                      const char *id, const char *owner)
{
    tg_nats_subject(text, server, 'l', name, id);
    tg_text_add(text, ".");
    tg_text_add(text, owner);
    tg_text_add(text, ".");
}

/* ---- the stream */

static int make_stream(struct tg_nats_box *box, const struct tg_js *js)
{
    char stream_at[96];
    char api_at[192];
    char body_at[1024];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text api = TG_TEXT(api_at);
    struct tg_text body = TG_TEXT(body_at);
    const tong_options standard = TONG_OPTIONS_INIT;
    const uint64_t most = box->record.options.max_bytes;
    add_bulk_stream(&stream, box->server, box->record.id);
    tg_js_subject(&api, "STREAM.CREATE", stream.at, NULL);
    tg_text_add(&body, "{\"name\":\"");
    tg_text_add(&body, stream.at);
    tg_text_add(&body, "\",\"description\":\"tong: pieces of long messages of ");
    tg_text_add(&body, box->name);
    tg_text_add(&body, "\",\"subjects\":[\"");
    tg_nats_subject(&body, box->server, 'l', box->name, box->record.id);
    tg_text_add(&body, ".>\"],\"retention\":\"limits\",\"discard\":\"new\",\"max_msgs\":-1,"
                       "\"max_msgs_per_subject\":1,\"allow_direct\":true,\"max_bytes\":");
    tg_text_add_i64(&body, most == standard.max_bytes || most > INT64_MAX ? -1 : (int64_t)most);
    tg_text_add(&body, ",\"storage\":\"");
    tg_text_add(&body, box->record.is_reply ? "memory" : "file");
    tg_text_add(&body, "\",\"num_replicas\":");
    tg_text_add_u64(&body, box->record.is_reply ? 1 : tg_nats_replicas());
    tg_text_add(&body, "}");
    struct tg_js_answer answer = { .error = 0 };
    const int r = tg_js_request(js, api.at, body.at, &answer);
    /* Another sender makes it at this moment: then its subjects may be taken, and its name not yet. */
    const bool is_made = answer.error == TG_JS_NAME_TAKEN || answer.error == TG_JS_OVERLAP;
    return r < 0 || is_made ? r : tg_js_errno(&answer);
}

static int clear(const struct tg_nats_server *server, const struct tg_js *js, const char *name,
                 const char *id, const char *owner)
{
    char stream_at[96];
    char filter_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text filter = TG_TEXT(filter_at);
    add_bulk_stream(&stream, server, id);
    add_piece(&filter, server, name, id, owner);
    tg_text_add(&filter, ">");
    return tg_js_clear(js, stream.at, filter.at);
}

/* ---- writing */

struct pieces {
    struct tg_nats_box *box;
    const char *owner;
    const char *data;
    size_t len;
    size_t size; /* of each but the last */
    uint64_t n;
    uint64_t posted;
    uint64_t answered;
    uint64_t first_reply;
};

static int post_piece(struct pieces *pieces)
{
    struct tg_nats_box *box = pieces->box;
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    add_piece(&subject, box->server, box->name, box->record.id, pieces->owner);
    tg_text_add_u64(&subject, pieces->posted);
    const size_t from = (size_t)pieces->posted * pieces->size;
    const size_t rest = pieces->len - from;
    const struct iovec part = { (void *)(pieces->data + from),
                                rest < pieces->size ? rest : pieces->size };
    uint64_t reply;
    int r = tg_js_post(box->tx.conn, subject.at, NULL, &part, 1, &reply);
    if (r == 0) {
        pieces->first_reply = pieces->posted == 0 ? reply : pieces->first_reply;
        pieces->posted++;
        r = tg_nats_flush(box->tx.conn, tg_now_ns() + TG_NATS_PATIENCE_NS);
        r = r == -ETIMEDOUT ? -ENOTCONN : r;
    }
    return r;
}

/* A server takes who does not answer its pings for dead; and others take a dead one's pieces away. */
static void show_life(const struct tg_nats_box *box, int64_t *shown_ns)
{
    const int64_t now = tg_now_ns();
    if (now - *shown_ns >= TG_NATS_TICK_NS) {
        *shown_ns = now;
        (void)tg_nats_be_known(box->server);
    }
}

/* -EAGAIN: there is no stream for them yet. */
static int write_all(struct pieces *pieces, uint64_t *ret_first_seq)
{
    const struct tg_js js = tg_nats_js(&pieces->box->tx);
    int64_t shown_ns = tg_now_ns();
    int r = 0;
    int refused = 0;
    while (r == 0 &&
           (pieces->answered < pieces->posted || (refused == 0 && pieces->posted < pieces->n))) {
        while (r == 0 && refused == 0 && pieces->posted < pieces->n &&
               pieces->posted - pieces->answered < WINDOW) {
            r = post_piece(pieces);
        }
        show_life(pieces->box, &shown_ns);
        struct tg_js_answer answer;
        r = r < 0 ? r : tg_js_await(&js, pieces->first_reply + pieces->answered, &answer);
        if (r == 0) {
            const bool is_missing = answer.error == TG_JS_NOBODY || answer.error == TG_JS_NO_STREAM;
            refused = refused != 0 ? refused : is_missing ? -EAGAIN : tg_js_errno(&answer);
            *ret_first_seq = pieces->answered == 0 ? answer.seq : *ret_first_seq;
            pieces->answered++;
        }
    }
    return r < 0 ? r : refused;
}

static int write_pieces(struct tg_nats_box *box, const char *owner, const void *data, size_t len,
                        struct tg_nats_long *ret_long)
{
    int r = -EAGAIN;
    for (unsigned tries = 0; r == -EAGAIN && tries < 3; tries++) {
        const size_t size = piece_size(box->tx.conn);
        struct pieces pieces = { .box = box,
                                 .owner = owner,
                                 .data = data,
                                 .len = len,
                                 .size = size,
                                 .n = (len + size - 1) / size };
        ret_long->n_pieces = pieces.n;
        r = write_all(&pieces, &ret_long->first_seq);
        if (r == -EAGAIN) {
            struct tg_js js = tg_nats_js(&box->tx);
            const int made = make_stream(box, &js);
            r = made < 0 ? made : -EAGAIN;
        }
    }
    return r == -EAGAIN ? -ENOTCONN : r;
}

int tg_nats_write_long(struct tg_nats_box *box, uint64_t number, const void *data, size_t len,
                       struct tg_nats_long *ret_long)
{
    char owner_at[96];
    char more_at[32];
    struct tg_text owner = TG_TEXT(owner_at);
    struct tg_text more = TG_TEXT(more_at);
    add_owner(&owner, box, number);
    tg_text_add(&more, ".");
    tg_text_add_u64(&more, number);
    *ret_long = (struct tg_nats_long){ .len = len };
    int r = tg_nats_write_line(box, 'w', more.at, "", &ret_long->line);
    r = r < 0 ? r : tg_nats_connect_side(box, &box->tx);
    r = r < 0 ? r : write_pieces(box, owner.at, data, len, ret_long);
    if (r < 0) {
        (void)tg_nats_end_long(box, number, ret_long, false);
    }
    return r;
}

int tg_nats_end_long(struct tg_nats_box *box, uint64_t number, struct tg_nats_long *its,
                     bool is_sent)
{
    struct tg_js js;
    int r = 0;
    if (its->line == 0 || tg_nats_enter(box->server, &js) < 0) {
        return 0;
    }
    if (!is_sent) {
        char owner_at[96];
        struct tg_text owner = TG_TEXT(owner_at);
        add_owner(&owner, box, number);
        (void)clear(box->server, &js, box->name, box->record.id, owner.at);
    }
    r = tg_book_delete(box->server, &js, its->line);
    its->line = 0;
    tg_nats_leave(box->server);
    return r == -ESTALE ? r : 0;
}

/* ---- reading */

struct reading {
    struct tg_nats_box *box;
    const char *owner;
    const struct tg_nats_long *its;
    char *to;
    uint64_t size; /* of each piece but the last: that of the first one; 0 not known yet */
    int64_t beat_ns;
    const char *ack;
};

static int ask_for_piece(const struct reading *reading, uint64_t i, uint64_t *ret_reply)
{
    const struct tg_nats_box *box = reading->box;
    char stream_at[96];
    char api_at[192];
    char body_at[TG_NATS_SUBJECT_SIZE + 64];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text api = TG_TEXT(api_at);
    struct tg_text body = TG_TEXT(body_at);
    add_bulk_stream(&stream, box->server, box->record.id);
    tg_js_subject(&api, "DIRECT.GET", stream.at, NULL);
    tg_text_add(&body, "{\"seq\":");
    tg_text_add_u64(&body, reading->its->first_seq > 0 ? reading->its->first_seq : 1);
    tg_text_add(&body, ",\"next_by_subj\":\"");
    add_piece(&body, box->server, box->name, box->record.id, reading->owner);
    tg_text_add_u64(&body, i);
    tg_text_add(&body, "\"}");
    const struct iovec part = { body.at, body.len };
    return tg_js_post(box->rx.conn, api.at, NULL, &part, 1, ret_reply);
}

/* Piece i. 0, -EAGAIN: a copy of the stream does not have it (yet), -EPROTO: it has not the length it must have. */
static int keep_piece(struct reading *reading, uint64_t i, const struct tg_nats_msg *msg)
{
    const uint64_t len = reading->its->len;
    const bool is_last = i + 1 == reading->its->n_pieces;
    if (msg->status == 404 || msg->status == TG_JS_NOBODY) {
        return -EAGAIN;
    }
    if (msg->status != 0 || msg->len > len) {
        return -EPROTO;
    }
    reading->size = i == 0 ? msg->len : reading->size;
    if (i > 0 && (reading->size == 0 || i > (len - msg->len) / reading->size)) {
        return -EPROTO;
    }
    const uint64_t at = i * reading->size;
    if (msg->len != (is_last ? len - at : reading->size)) {
        return -EPROTO;
    }
    memcpy(reading->to + at, msg->data, msg->len);
    return 0;
}

/* The server shall not wonder where the message has gone. */
static int beat(struct reading *reading)
{
    const int64_t now = tg_now_ns();
    if (now < reading->beat_ns || reading->ack[0] == '\0') { /* who only looks has it not in hand */
        return 0;
    }
    reading->beat_ns = now + BEAT_NS;
    (void)tg_nats_be_known(reading->box->server);
    return tg_nats_publish_text(reading->box->rx.conn, reading->ack, NULL, "+WPI");
}

/* Pieces from..to: how many of the first are there now, or -errno. Several copies answer, in any order. */
static int read_some(struct reading *reading, uint64_t from, uint64_t to)
{
    const struct tg_js js = tg_nats_js(&reading->box->rx);
    bool is_here[WINDOW] = { false };
    uint64_t first = 0;
    int r = beat(reading);
    for (uint64_t i = from; i < to && r == 0; i++) {
        uint64_t reply;
        r = ask_for_piece(reading, i, &reply);
        first = i == from ? reply : first;
    }
    for (uint64_t i = from; i < to && r >= 0; i++) {
        struct tg_nats_msg msg;
        r = tg_js_await_one_of(&js, first, to - from, &msg);
        const int nth = r;
        r = r < 0 ? r : keep_piece(reading, from + (uint64_t)nth, &msg);
        if (r == 0) {
            is_here[nth] = true;
        }
        r = r == -EAGAIN ? 0 : r;
    }
    int n = 0;
    while (n < (int)(to - from) && is_here[n]) {
        n++;
    }
    return r < 0 ? r : n;
}

static int note_found(void *arg, const char *subject)
{
    (void)subject;
    *(bool *)arg = true;
    return 0;
}

/* A copy did not have piece i: does the stream's leader? 0: then it will come; -ENODATA. */
static int look_for_piece(const struct reading *reading, uint64_t i)
{
    struct tg_nats_box *box = reading->box;
    struct tg_js js;
    char stream_at[96];
    char filter_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text filter = TG_TEXT(filter_at);
    bool found = false;
    add_bulk_stream(&stream, box->server, box->record.id);
    add_piece(&filter, box->server, box->name, box->record.id, reading->owner);
    tg_text_add_u64(&filter, i);
    int r = tg_nats_enter(box->server, &js);
    if (r == 0) {
        r = tg_js_list_subjects(&js, stream.at, filter.at, note_found, &found);
        tg_nats_leave(box->server);
    }
    return r < 0 ? r : found ? 0 : -ENODATA;
}

int tg_nats_read_long(struct tg_nats_box *box, const char *owner, const struct tg_nats_long *its,
                      const char *ack, void *ret_data)
{
    char ack_at[TG_NATS_ACK_SIZE];
    struct tg_text copy = TG_TEXT(ack_at);
    tg_text_add(&copy, ack);
    struct reading reading = { .box = box,
                               .owner = owner,
                               .its = its,
                               .to = ret_data,
                               .beat_ns = tg_now_ns() + BEAT_NS,
                               .ack = copy.at };
    int64_t patience = tg_now_ns() + TG_NATS_PATIENCE_NS;
    uint64_t at = 0;
    while (at < its->n_pieces) {
        /* The first one alone: it says how long they are. */
        const uint64_t most = at == 0 ? 1 : WINDOW / 2;
        const uint64_t to = its->n_pieces - at < most ? its->n_pieces : at + most;
        const int n = read_some(&reading, at, to);
        if (n < 0) {
            return n;
        }
        at += (uint64_t)n;
        patience = n > 0 ? tg_now_ns() + TG_NATS_PATIENCE_NS : patience;
        const int r = n > 0 ? 0 : look_for_piece(&reading, at);
        if (r < 0 || tg_is_over(patience)) {
            return r < 0 ? r : -ENOTCONN;
        }
        if (n == 0) {
            (void)tg_net_wait(-1, 0, -1, tg_now_ns() + TG_NATS_RETRY_NS);
        }
    }
    return its->n_pieces > 0 ? 0 : -EPROTO;
}

/* Unless a message names them: 0, -errno. */
static int clear_unnamed(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                         const char *id, const char *owner)
{
    char filter_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text filter = TG_TEXT(filter_at);
    bool found = false;
    tg_nats_subject(&filter, server, 'q', name, id);
    tg_text_add(&filter, ".*.");
    tg_text_add(&filter, owner);
    const int r = tg_nats_list_subjects(server, js, id, filter.at, note_found, &found);
    return r < 0 || found ? r : clear(server, js, name, id, owner);
}

int tg_nats_drop_long(struct tg_nats_box *box, const char *owner)
{
    struct tg_js js;
    int r = tg_nats_enter(box->server, &js);
    if (r == 0) {
        r = tg_nats_is_to_everyone(box)
                ? clear_unnamed(box->server, &js, box->name, box->record.id, owner)
                : clear(box->server, &js, box->name, box->record.id, owner);
        tg_nats_leave(box->server);
    }
    return r;
}

/* ---- the dead */

int tg_nats_bury_long(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                      const char *id, const struct tg_nats_party *party)
{
    char owner_at[96];
    struct tg_text owner = TG_TEXT(owner_at);
    tg_text_add(&owner, party->proc);
    tg_text_add(&owner, ".");
    tg_text_add_u64(&owner, party->handle);
    tg_text_add(&owner, ".");
    tg_text_add_u64(&owner, party->number);
    return clear_unnamed(server, js, name, id, owner.at);
}

struct owners {
    char (*all)[96];
    size_t n;
    size_t size;
};

/* SPACE.l.NAME.ID.OWNER.0, of three words */
static int note_owner(void *arg, const char *subject)
{
    struct owners *owners = arg;
    const char *at = subject;
    for (unsigned dots = 0; dots < 4 && at != NULL; dots++) {
        at = strchr(at, '.');
        at = at != NULL ? at + 1 : NULL;
    }
    const size_t len = at != NULL ? (size_t)(strrchr(at, '.') - at) : 0;
    if (len == 0 || len >= sizeof owners->all[0]) {
        return 0;
    }
    if (owners->n == owners->size) {
        const size_t size = owners->size == 0 ? 16 : 2 * owners->size;
        void *all = realloc(owners->all, size * sizeof owners->all[0]);
        if (all == NULL) {
            return -ENOMEM;
        }
        owners->all = all;
        owners->size = size;
    }
    memcpy(owners->all[owners->n], at, len);
    owners->all[owners->n++][len] = '\0';
    return 0;
}

/* Its sender is not writing it any more, and no message names it. First the former: by then there is the message. */
static int clear_if_over(struct tg_nats_box *box, const struct tg_js *js, const char *owner)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_nats_line line;
    tg_nats_subject(&subject, box->server, 'w', box->name, box->record.id);
    tg_text_add(&subject, ".");
    tg_text_add(&subject, owner);
    const int r = tg_book_get(box->server, js, subject.at, &line);
    return r < 0 || line.seq != 0
               ? r
               : clear_unnamed(box->server, js, box->name, box->record.id, owner);
}

int tg_nats_tidy_long(struct tg_nats_box *box, const struct tg_js *js)
{
    char stream_at[96];
    char filter_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text filter = TG_TEXT(filter_at);
    struct owners owners = { .n = 0 };
    add_bulk_stream(&stream, box->server, box->record.id);
    add_piece(&filter, box->server, box->name, box->record.id, "*.*.*");
    tg_text_add(&filter, "0");
    int r = tg_js_list_subjects(js, stream.at, filter.at, note_owner, &owners);
    for (size_t i = 0; i < owners.n && r == 0; i++) {
        r = clear_if_over(box, js, owners.all[i]);
    }
    free(owners.all);
    return r;
}
