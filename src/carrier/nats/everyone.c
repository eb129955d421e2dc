#include "carrier/nats/everyone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/nats/long.h"

#define TRIES 100u
#define NAME_SIZE 48

struct consumer {
    char name[NAME_SIZE];
    uint64_t pending;  /* to be handed out */
    uint64_t in_hand;  /* handed out, and not acknowledged */
    uint64_t waiting;  /* requests that stand */
    uint64_t finished; /* behind the first that it was to get */
    bool has_line;
    bool is_there;
};

struct consumers {
    struct consumer *all;
    size_t n;
    size_t size;
};

static void add_consumer_name(struct tg_text *text, const char *proc, uint32_t handle)
{
    tg_text_add(text, proc);
    tg_text_add(text, "_");
    tg_text_add_u64(text, handle);
}

void tg_nats_name_consumer(struct tg_nats_box *box)
{
    struct tg_text name = TG_TEXT(box->consumer);
    if (tg_nats_is_to_everyone(box) && (box->flags & TONG_RECEIVE) != 0) {
        add_consumer_name(&name, box->server->proc, box->handle);
    } else {
        tg_text_add(&name, TG_NATS_FIRST_CONSUMER);
    }
}

/* ---- which there are */

static uint64_t number_at(struct tg_json json, const char *path)
{
    return tg_json_u64(tg_json_get(json, path));
}

static int add(struct consumers *consumers, struct tg_json info)
{
    if (consumers->n == consumers->size) {
        const size_t size = consumers->size == 0 ? 16 : 2 * consumers->size;
        void *all = realloc(consumers->all, size * sizeof consumers->all[0]);
        if (all == NULL) {
            return -ENOMEM;
        }
        consumers->all = all;
        consumers->size = size;
    }
    struct consumer *consumer = &consumers->all[consumers->n];
    *consumer = (struct consumer){ .pending = number_at(info, "num_pending"),
                                   .in_hand = number_at(info, "num_ack_pending"),
                                   .waiting = number_at(info, "num_waiting") };
    const uint64_t start = number_at(info, "config.opt_start_seq");
    const uint64_t handed_out = number_at(info, "delivered.stream_seq");
    const uint64_t before = (start > 0 ? start - 1 : 0) + consumer->in_hand;
    consumer->finished = handed_out > before ? handed_out - before : 0;
    consumers->n +=
        tg_json_string(tg_json_get(info, "name"), consumer->name, sizeof consumer->name) > 0;
    return 0;
}

/* From *offset on: more there are, 1; 0; -errno. */
static int list_some(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                     uint64_t *offset, struct consumers *consumers)
{
    char stream_at[96];
    char api_at[192];
    char body_at[64];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text api = TG_TEXT(api_at);
    struct tg_text body = TG_TEXT(body_at);
    struct tg_js_answer answer;
    tg_nats_stream(&stream, server, id);
    tg_text_add(&body, "{\"offset\":");
    tg_text_add_u64(&body, *offset);
    tg_text_add(&body, "}");
    int r =
        tg_js_request(js, tg_js_subject(&api, "CONSUMER.LIST", stream.at, NULL), body.at, &answer);
    r = r < 0 ? r : tg_js_errno(&answer);
    const struct tg_json list = tg_json_get(answer.json, "consumers");
    struct tg_json key;
    struct tg_json info;
    size_t pos = 0;
    const uint64_t before = *offset;
    while (r == 0 && tg_json_next(list, &pos, &key, &info)) {
        r = add(consumers, info);
        ++*offset;
    }
    return r < 0 ? r : *offset > before && *offset < number_at(answer.json, "total");
}

static int list(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                struct consumers *ret_consumers)
{
    *ret_consumers = (struct consumers){ .n = 0 };
    uint64_t offset = 0;
    int r = 1;
    while (r == 1) {
        r = list_some(server, js, id, &offset, ret_consumers);
    }
    if (r < 0) {
        free(ret_consumers->all);
    }
    return r;
}

static void note_parties(struct consumers *consumers, const struct tg_nats_parties *parties)
{
    for (size_t i = 0; i < parties->n; i++) {
        const struct tg_nats_party *party = &parties->all[i];
        char name_at[NAME_SIZE];
        struct tg_text name = TG_TEXT(name_at);
        add_consumer_name(&name, party->proc, party->handle);
        for (size_t k = 0; party->kind == 'h' && party->role == 'r' && k < consumers->n; k++) {
            if (strcmp(consumers->all[k].name, name.at) == 0) {
                consumers->all[k].has_line = true;
                consumers->all[k].is_there = party->is_there;
            }
        }
    }
}

/* ---- which are needed */

static void add_line(struct tg_text *subject, const struct tg_nats_box *box)
{
    tg_nats_subject(subject, box->server, 'v', box->name, box->record.id);
    tg_text_add(subject, ".all");
}

/* The one that is to be kept: the one that is, if it is somebody's; or that of somebody who is there; or the one that is.
 * NULL: there is none. */
static const struct consumer *choose(const struct consumers *consumers, const char *kept)
{
    const struct consumer *living = NULL;
    const struct consumer *named = NULL;
    for (size_t i = 0; i < consumers->n; i++) {
        const struct consumer *one = &consumers->all[i];
        named = strcmp(one->name, kept) == 0 ? one : named;
        living = living == NULL && one->has_line && one->is_there ? one : living;
    }
    return named != NULL && named->has_line ? named
           : living != NULL                 ? living
           : named != NULL                  ? named
           : consumers->n > 0               ? &consumers->all[0]
                                            : NULL;
}

static bool is_to_go(const struct consumer *one, const struct consumer *kept)
{
    return one != kept && !one->has_line;
}

/* What it had finished is counted by who deletes it. */
static int delete_one(struct tg_nats_box *box, const struct tg_js *js, const struct consumer *one)
{
    char stream_at[96];
    char api_at[256];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text api = TG_TEXT(api_at);
    struct tg_js_answer answer;
    tg_nats_stream(&stream, box->server, box->record.id);
    int r = tg_js_request(js, tg_js_subject(&api, "CONSUMER.DELETE", stream.at, one->name), "",
                          &answer);
    r = r < 0 ? r : tg_js_errno(&answer);
    if (r == 0 && one->finished > 0) {
        r = tg_nats_add_count(box, js, TG_NATS_DONE_BEFORE, one->finished);
    }
    return r == -ENOENT ? 0 : r;
}

static int delete_those(struct tg_nats_box *box, const struct tg_js *js,
                        const struct consumers *consumers, const struct consumer *kept)
{
    int r = 0;
    for (size_t i = 0; i < consumers->n && r == 0; i++) {
        r = is_to_go(&consumers->all[i], kept) ? delete_one(box, js, &consumers->all[i]) : 0;
    }
    r = r < 0 ? r : tg_nats_tidy_long(box, js);
    if (r == 0 && tg_nats_bounds_links(&box->record.options)) {
        char subject_at[TG_NATS_SUBJECT_SIZE];
        struct tg_text subject = TG_TEXT(subject_at);
        tg_nats_subject(&subject, box->server, 'r', box->name, box->record.id);
        r = tg_nats_publish_text(js->conn, subject.at, NULL, "");
        r = r < 0 ? r : tg_nats_flush(js->conn, tg_now_ns() + TG_NATS_PATIENCE_NS);
    }
    return r;
}

/* ---- room */

static int add_up(void *arg, const char *subject, uint64_t n)
{
    (void)subject;
    *(uint64_t *)arg += n;
    return 0;
}

/* What the handle has sent that is there: more is ".>" for its long ones. */
static int count_mine(struct tg_nats_box *box, const struct tg_js *js, const char *more,
                      uint64_t *n)
{
    char stream_at[96];
    char filter_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text filter = TG_TEXT(filter_at);
    tg_nats_stream(&stream, box->server, box->record.id);
    tg_nats_subject(&filter, box->server, 'q', box->name, box->record.id);
    tg_text_add(&filter, ".*.");
    tg_text_add(&filter, box->server->proc);
    tg_text_add(&filter, ".");
    tg_text_add_u64(&filter, box->handle);
    tg_text_add(&filter, more);
    return tg_js_count_subjects(js, stream.at, filter.at, add_up, n);
}

int tg_nats_has_link_room(struct tg_nats_box *box, const struct tg_js *js)
{
    uint64_t n = 0;
    int r = count_mine(box, js, "", &n);
    r = r < 0 ? r : count_mine(box, js, ".>", &n);
    return r < 0 ? r : n < box->record.options.link_capacity;
}

/* -ESTALE: another one has chosen meanwhile (I3). */
static int choose_and_delete(struct tg_nats_box *box, const struct tg_js *js,
                             const struct consumers *consumers, const struct tg_nats_line *line)
{
    const char *was = line->seq != 0 ? line->text : TG_NATS_FIRST_CONSUMER;
    const struct consumer *kept = choose(consumers, was);
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    bool changes = kept != NULL && strcmp(kept->name, was) != 0;
    for (size_t i = 0; kept != NULL && i < consumers->n; i++) {
        changes = changes || is_to_go(&consumers->all[i], kept);
    }
    if (!changes) {
        return 0;
    }
    uint64_t seq;
    add_line(&subject, box);
    const int r = tg_book_put(box->server, js, subject.at, kept->name, line->seq, &seq);
    return r < 0 ? r : delete_those(box, js, consumers, kept);
}

static int tidy_once(struct tg_nats_box *box, const struct tg_js *js)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_nats_line line;
    struct tg_nats_parties parties;
    struct consumers consumers;
    add_line(&subject, box);
    int r = tg_book_get(box->server, js, subject.at, &line);
    r = r < 0 ? r : list(box->server, js, box->record.id, &consumers);
    if (r < 0) {
        return r;
    }
    r = tg_nats_find_parties(box->server, js, box->name, box->record.id, &parties);
    if (r == 0) {
        note_parties(&consumers, &parties);
        tg_nats_free_parties(&parties);
        r = choose_and_delete(box, js, &consumers, &line);
    }
    free(consumers.all);
    return r;
}

int tg_nats_tidy_all(struct tg_nats_box *box, const struct tg_js *js)
{
    int r = -ESTALE;
    for (unsigned tries = 0; r == -ESTALE && tries < TRIES; tries++) {
        r = tidy_once(box, js);
    }
    return r == -ESTALE ? 0 : r; /* those who were quicker have tidied */
}

/* ---- who comes and goes */

/* The number of the first message that it is to get. */
static int find_start(struct tg_nats_box *box, const struct tg_js *js, uint64_t *ret_start)
{
    struct tg_js_answer answer;
    const int r = tg_nats_stream_info(box->server, js, box->record.id, &answer);
    if (r < 0) {
        return r;
    }
    const struct tg_json state = tg_json_get(answer.json, "state");
    const bool is_early = (box->flags & TONG_FROM_OLDEST) != 0 && number_at(state, "messages") > 0;
    *ret_start = is_early ? number_at(state, "first_seq") : number_at(state, "last_seq") + 1;
    return 0;
}

int tg_nats_come_to_all(struct tg_nats_box *box)
{
    struct tg_js js;
    uint64_t start = 0;
    int r = tg_nats_enter(box->server, &js);
    if (r < 0) {
        return r;
    }
    r = find_start(box, &js, &start);
    r = r < 0 ? r : tg_nats_make_consumer(box->server, &js, &box->record, box->consumer, start);
    if (r == 0) {
        box->rx.newest = start - 1;
        r = tg_nats_tidy_all(box, &js);
    }
    tg_nats_leave(box->server);
    return r;
}

void tg_nats_go_from_all(struct tg_nats_box *box)
{
    struct tg_js js;
    if (tg_nats_is_to_everyone(box) && (box->flags & TONG_RECEIVE) != 0 && box->handle != 0 &&
        tg_nats_enter(box->server, &js) == 0) {
        (void)tg_nats_tidy_all(box, &js);
        tg_nats_leave(box->server);
    }
}

int tg_nats_come_again(struct tg_nats_box *box, const struct tg_js *js)
{
    int r = tg_nats_write_receiver(box, js);
    r = r < 0 ? r
              : tg_nats_make_consumer(box->server, js, &box->record, box->consumer,
                                      box->rx.newest + 1);
    return r < 0 ? r : tg_nats_tidy_all(box, js);
}

/* ---- what is told of it */

int tg_nats_fill_all(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                     const struct tg_nats_parties *parties, uint64_t done_before,
                     tong_status *status)
{
    struct consumers consumers;
    uint64_t kept = 0;
    int r = list(server, js, id, &consumers);
    if (r < 0) {
        return r == -ENOENT ? 0 : r;
    }
    note_parties(&consumers, parties);
    status->done = done_before;
    for (size_t i = 0; i < consumers.n; i++) {
        const struct consumer *one = &consumers.all[i];
        status->done += one->finished;
        status->waiting += one->is_there ? one->pending + one->in_hand : 0;
        status->receivers_asleep += one->is_there && one->waiting > 0;
        kept = kept > one->pending + one->in_hand ? kept : one->pending + one->in_hand;
    }
    free(consumers.all);
    status->waiting = status->receivers > 0 ? status->waiting : kept;
    status->waiting -= status->claimed < status->waiting ? status->claimed : status->waiting;
    status->sent = status->done + status->waiting + status->claimed + status->dropped;
    return 0;
}
