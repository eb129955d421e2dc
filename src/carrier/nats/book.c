/* What the book says of mailboxes, and the streams that are made from it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
#include "carrier/nats/box.h"
#include "carrier/nats/everyone.h"

void tg_nats_subject(struct tg_text *text, const struct tg_nats_server *server, char kind,
                     const char *name, const char *id)
{
    const char dotted[3] = { '.', kind, '.' };
    tg_text_add(text, server->space);
    tg_text_add_bytes(text, dotted, 3);
    tg_nats_add_name(text, name);
    if (id != NULL) {
        tg_text_add(text, ".");
        tg_text_add(text, id);
    }
}

void tg_nats_stream(struct tg_text *text, const struct tg_nats_server *server, const char *id)
{
    tg_text_add(text, server->space);
    tg_text_add(text, "_");
    tg_text_add(text, id);
}

size_t tg_nats_split(char *subject, char *ret_words[], size_t n)
{
    size_t found = 0;
    while (subject != NULL && found < n) {
        ret_words[found++] = subject;
        subject = strchr(subject, '.');
        if (subject != NULL) {
            *subject++ = '\0';
        }
    }
    return found;
}

/* ---- the line d.NAME */

static void add_number(struct tg_text *text, const char *key, uint64_t number)
{
    tg_text_add(text, ",\"");
    tg_text_add(text, key);
    tg_text_add(text, "\":");
    tg_text_add_u64(text, number);
}

static void add_string(struct tg_text *text, const char *key, const char *string)
{
    tg_text_add(text, ",\"");
    tg_text_add(text, key);
    tg_text_add(text, "\":");
    tg_text_add_json(text, string);
}

int tg_nats_write_record(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                         struct tg_nats_record *record, uint64_t seen)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    char text_at[1536];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_text text = TG_TEXT(text_at);
    const tong_options *o = &record->options;
    tg_nats_subject(&subject, server, 'd', name, NULL);
    tg_text_add(&text, "{\"version\":1");
    add_string(&text, "id", record->id);
    add_number(&text, "delivery", o->delivery);
    add_number(&text, "owner", o->owner);
    add_number(&text, "full", o->full);
    add_number(&text, "capacity", o->capacity);
    add_number(&text, "link_capacity", o->link_capacity);
    add_number(&text, "message_size", o->message_size);
    add_number(&text, "mode", o->mode);
    add_number(&text, "max_bytes", o->max_bytes);
    add_number(&text, "max_deliveries", o->max_deliveries);
    add_string(&text, "dead_letter", record->dead_letter);
    add_string(&text, "policy", record->policy);
    add_string(&text, "home", record->home);
    add_number(&text, "process", record->is_process);
    add_number(&text, "reply", record->is_reply);
    add_number(&text, "given", record->was_given);
    add_string(&text, "proc", record->proc);
    add_number(&text, "handle", record->handle);
    add_number(&text, "pid", (uint32_t)record->pid);
    add_number(&text, "uid", record->uid);
    add_number(&text, "replicas", record->replicas);
    tg_text_add(&text, "}");
    return tg_book_put(server, js, subject.at, text.at, seen, &record->seq);
}

static uint32_t u32_of(struct tg_json json, const char *key)
{
    return (uint32_t)tg_json_u64(tg_json_get(json, key));
}

/* What others write becomes part of subjects: size - 1 hex digits, or it is nobody's of ours. */
static bool read_hex(struct tg_json json, const char *key, char *ret_text, size_t size)
{
    const size_t len = tg_json_string(tg_json_get(json, key), ret_text, size);
    return len == size - 1 && strspn(ret_text, "0123456789abcdef") == len;
}

int tg_nats_read_record(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                        struct tg_nats_record *ret_record)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_nats_line line;
    tg_nats_subject(&subject, server, 'd', name, NULL);
    const int r = tg_book_get(server, js, subject.at, &line);
    if (r < 0) {
        return r;
    }
    memset(ret_record, 0, sizeof *ret_record);
    ret_record->seq = line.seq;
    if (line.seq == 0) {
        return 0;
    }
    const struct tg_json json = { line.text, line.len };
    if (u32_of(json, "version") != 1 ||
        !read_hex(json, "id", ret_record->id, sizeof ret_record->id)) {
        return -EPROTO;
    }
    if (tg_json_string(tg_json_get(json, "home"), ret_record->home, sizeof ret_record->home) == 0) {
        memcpy(ret_record->home, name, strlen(name) + 1);
    }
    if (tg_name_check(ret_record->home) < 0) {
        return -EPROTO;
    }
    ret_record->is_process = u32_of(json, "process") != 0;
    ret_record->is_reply = u32_of(json, "reply") != 0;
    ret_record->was_given = u32_of(json, "given") != 0;
    tong_options *o = &ret_record->options;
    o->struct_size = sizeof *o;
    o->delivery = u32_of(json, "delivery");
    o->owner = u32_of(json, "owner");
    o->full = u32_of(json, "full");
    o->capacity = u32_of(json, "capacity");
    o->link_capacity = u32_of(json, "link_capacity");
    o->message_size = u32_of(json, "message_size");
    o->mode = u32_of(json, "mode");
    o->max_bytes = tg_json_u64(tg_json_get(json, "max_bytes"));
    o->max_deliveries = u32_of(json, "max_deliveries");
    (void)tg_json_string(tg_json_get(json, "dead_letter"), ret_record->dead_letter,
                         sizeof ret_record->dead_letter);
    (void)tg_json_string(tg_json_get(json, "policy"), ret_record->policy,
                         sizeof ret_record->policy);
    if (o->owner == TONG_PROCESS &&
        !read_hex(json, "proc", ret_record->proc, sizeof ret_record->proc)) {
        return -EPROTO;
    }
    ret_record->handle = u32_of(json, "handle");
    ret_record->pid = (int32_t)u32_of(json, "pid");
    ret_record->uid = u32_of(json, "uid");
    ret_record->replicas = u32_of(json, "replicas");
    return 0;
}

/* ---- the stream */

static void add_stream_config(struct tg_text *body, const struct tg_nats_server *server,
                              const char *name, const struct tg_nats_record *record)
{
    const tong_options *o = &record->options;
    tg_text_add(body, "{\"name\":\"");
    tg_nats_stream(body, server, record->id);
    tg_text_add(body, "\",\"description\":\"tong: ");
    tg_text_add(body, name);
    tg_text_add(body, "\",\"subjects\":[\"");
    tg_nats_subject(body, server, 'q', name, record->id);
    tg_text_add(body, ".>\"],\"retention\":\"");
    tg_text_add(body, o->delivery == TONG_EVERYONE ? "interest" : "workqueue");
    tg_text_add(body, "\",\"discard\":\"new\",\"max_msgs\":");
    tg_text_add_i64(body,
                    o->capacity == TONG_UNBOUNDED || o->capacity == 0 ? -1 : (int64_t)o->capacity);
    if (tg_nats_bounds_links(o)) {
        tg_text_add(body, ",\"discard_new_per_subject\":true,\"max_msgs_per_subject\":");
        tg_text_add_u64(body, o->link_capacity);
    }
    tg_text_add(body, ",\"max_bytes\":");
    /* The default is no limit here: a server keeps room for what is named. */
    const tong_options standard = TONG_OPTIONS_INIT;
    tg_text_add_i64(body, o->max_bytes == standard.max_bytes || o->max_bytes > INT64_MAX
                              ? -1
                              : (int64_t)o->max_bytes);
    tg_text_add(body, ",\"max_consumers\":-1,\"duplicate_window\":");
    tg_text_add_i64(body, TG_NATS_DUPLICATES_NS);
    tg_text_add(body, ",\"storage\":\"");
    /* It may be given to the system; one for replies is not, and ends with its process. */
    tg_text_add(body, record->is_reply ? "memory" : "file");
    tg_text_add(body, "\",\"num_replicas\":");
    tg_text_add_u64(body, record->replicas);
    tg_text_add(body, "}");
}

int tg_nats_make_consumer(struct tg_nats_server *server, const struct tg_js *js,
                          const struct tg_nats_record *record, const char *consumer, uint64_t start)
{
    char stream_at[96];
    char api_at[192];
    char body_at[512];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text api = TG_TEXT(api_at);
    struct tg_text body = TG_TEXT(body_at);
    tg_nats_stream(&stream, server, record->id);
    tg_js_subject(&api, "CONSUMER.DURABLE.CREATE", stream.at, consumer);
    tg_text_add(&body, "{\"stream_name\":\"");
    tg_text_add(&body, stream.at);
    tg_text_add(&body, "\",\"config\":{\"durable_name\":\"");
    tg_text_add(&body, consumer);
    tg_text_add(&body, "\",\"ack_policy\":\"explicit\",\"deliver_policy\":");
    if (start > 0) {
        tg_text_add(&body, "\"by_start_sequence\",\"opt_start_seq\":");
        tg_text_add_u64(&body, start);
    } else {
        tg_text_add(&body, "\"all\"");
    }
    tg_text_add(&body, ",\"replay_policy\":\"instant\",\"ack_wait\":");
    tg_text_add_i64(&body, TG_NATS_ACK_WAIT_NS);
    tg_text_add(&body, ",\"max_deliver\":-1,\"max_ack_pending\":-1,\"max_waiting\":4096}}");
    struct tg_js_answer answer;
    const int r = tg_js_request(js, api.at, body.at, &answer);
    return r < 0 ? r : tg_js_errno(&answer);
}

int tg_nats_make_stream(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                        const struct tg_nats_record *record)
{
    char stream_at[96];
    char api_at[192];
    char body_at[1024];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text api = TG_TEXT(api_at);
    struct tg_text body = TG_TEXT(body_at);
    tg_nats_stream(&stream, server, record->id);
    tg_js_subject(&api, "STREAM.CREATE", stream.at, NULL);
    add_stream_config(&body, server, name, record);
    struct tg_js_answer answer;
    int r = tg_js_request(js, api.at, body.at, &answer);
    /* Another one's limits, as to replicas: it is there, and as good. */
    if (r == 0 && answer.error != TG_JS_NAME_TAKEN) {
        r = tg_js_errno(&answer);
    }
    return r < 0 ? r : tg_nats_make_consumer(server, js, record, TG_NATS_FIRST_CONSUMER, 0);
}

int tg_nats_stream_info(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                        struct tg_js_answer *ret_answer)
{
    char stream_at[96];
    char api_at[192];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text api = TG_TEXT(api_at);
    tg_nats_stream(&stream, server, id);
    const int r =
        tg_js_request(js, tg_js_subject(&api, "STREAM.INFO", stream.at, NULL), "", ret_answer);
    return r < 0 ? r : tg_js_errno(ret_answer);
}

int tg_nats_consumer_info(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                          const char *consumer, struct tg_js_answer *ret_answer)
{
    char stream_at[96];
    char api_at[192];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text api = TG_TEXT(api_at);
    tg_nats_stream(&stream, server, id);
    const int r = tg_js_request(js, tg_js_subject(&api, "CONSUMER.INFO", stream.at, consumer), "",
                                ret_answer);
    return r < 0 ? r : tg_js_errno(ret_answer);
}

int tg_nats_list_subjects(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                          const char *filter, tg_book_fn *each, void *arg)
{
    char stream_at[96];
    struct tg_text stream = TG_TEXT(stream_at);
    tg_nats_stream(&stream, server, id);
    return tg_js_list_subjects(js, stream.at, filter, each, arg);
}

static int ask_of_message(struct tg_nats_server *server, const struct tg_js *js, const char *verb,
                          const char *id, uint64_t seq, struct tg_js_answer *ret_answer)
{
    char stream_at[96];
    char api_at[192];
    char body_at[64];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text api = TG_TEXT(api_at);
    struct tg_text body = TG_TEXT(body_at);
    tg_nats_stream(&stream, server, id);
    tg_text_add(&body, "{\"seq\":");
    tg_text_add_u64(&body, seq);
    tg_text_add(&body, "}");
    return tg_js_request(js, tg_js_subject(&api, verb, stream.at, NULL), body.at, ret_answer);
}

int tg_nats_delete_message(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                           uint64_t seq)
{
    struct tg_js_answer answer;
    const int r = ask_of_message(server, js, "STREAM.MSG.DELETE", id, seq, &answer);
    if (r < 0) {
        return r;
    }
    /* Which number says that it is not there differs between versions. */
    const int error = tg_js_errno(&answer);
    return error == -EPROTO ? -ENOENT : error;
}

int tg_nats_has_message(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                        uint64_t seq)
{
    struct tg_js_answer answer;
    const int r = ask_of_message(server, js, "STREAM.MSG.GET", id, seq, &answer);
    return r < 0                              ? r
           : answer.error == 0                ? 1
           : answer.error == TG_JS_NO_MESSAGE ? 0
                                              : tg_js_errno(&answer);
}

static int delete_stream(const struct tg_js *js, const char *stream)
{
    char api_at[192];
    struct tg_text api = TG_TEXT(api_at);
    struct tg_js_answer answer;
    return tg_js_request(js, tg_js_subject(&api, "STREAM.DELETE", stream, NULL), "", &answer);
}

/* What is left of one that has ended; nobody looks at it any more. */
int tg_nats_clear(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                  const char *id)
{
    char stream_at[96];
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text stream = TG_TEXT(stream_at);
    tg_nats_stream(&stream, server, id);
    int r = delete_stream(js, stream.at);
    tg_text_add(&stream, "_b"); /* of long messages, if there were any */
    r = r < 0 ? r : delete_stream(js, stream.at);
    struct tg_text end = TG_TEXT(subject_at);
    tg_nats_subject(&end, server, 'e', name, id);
    r = r < 0 ? r : tg_nats_publish_text(js->conn, end.at, NULL, "");
    struct tg_text rest = TG_TEXT(subject_at);
    tg_text_add(&rest, server->space);
    tg_text_add(&rest, ".*.");
    tg_nats_add_name(&rest, name);
    tg_text_add(&rest, ".");
    tg_text_add(&rest, id);
    tg_text_add(&rest, ".>");
    return r < 0 ? r : tg_book_purge(server, js, rest.at);
}

int tg_nats_end(struct tg_nats_server *server, const struct tg_js *js,
                const struct tg_nats_record *record)
{
    const int r = tg_book_delete(server, js, record->seq);
    if (r < 0) {
        return r == -ESTALE ? -ENOENT : r;
    }
    return tg_nats_clear(server, js, record->home, record->id);
}

/* ---- counts: numbers on a line */

static int read_counts(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                       const char *id, uint64_t *ret_seq, uint64_t ret_counts[TG_NATS_COUNTS])
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_nats_line line;
    tg_nats_subject(&subject, server, 'n', name, id);
    tg_text_add(&subject, ".all");
    const int r = tg_book_get(server, js, subject.at, &line);
    if (r < 0) {
        return r;
    }
    *ret_seq = line.seq;
    const char *at = line.seq != 0 ? line.text : "";
    for (size_t i = 0; i < TG_NATS_COUNTS; i++) {
        ret_counts[i] = tg_json_u64((struct tg_json){ at, strlen(at) });
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    return 0;
}

int tg_nats_read_counts(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                        const char *id, uint64_t ret_counts[TG_NATS_COUNTS])
{
    uint64_t seq;
    return read_counts(server, js, name, id, &seq, ret_counts);
}

int tg_nats_add_count(struct tg_nats_box *box, const struct tg_js *js, enum tg_nats_count what,
                      uint64_t n)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    tg_nats_subject(&subject, box->server, 'n', box->name, box->record.id);
    tg_text_add(&subject, ".all");
    int r = -ESTALE;
    while (r == -ESTALE) {
        char text_at[128];
        struct tg_text text = TG_TEXT(text_at);
        uint64_t counts[TG_NATS_COUNTS];
        uint64_t seen;
        r = read_counts(box->server, js, box->name, box->record.id, &seen, counts);
        if (r < 0) {
            return r;
        }
        counts[what] += n;
        for (size_t i = 0; i < TG_NATS_COUNTS; i++) {
            tg_text_add_u64(&text, counts[i]);
            tg_text_add(&text, " ");
        }
        r = tg_book_put(box->server, js, subject.at, text.at, seen, &seen);
    }
    return r;
}

int tg_nats_count(struct tg_nats_box *box, enum tg_nats_count what, uint64_t n)
{
    struct tg_js js;
    int r = tg_nats_enter(box->server, &js);
    if (r == 0) {
        r = tg_nats_add_count(box, &js, what, n);
        tg_nats_leave(box->server);
    }
    return r;
}
