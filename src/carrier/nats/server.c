#include "carrier/nats/server.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/name.h"
#include "base/sys.h"
#include "carrier/nats/fork.h"
#include "carrier/nats/keeper.h"
#include "carrier/nats/net.h"

#define MAKING_NS INT64_C(3000000)
#define CLOCK_NS INT64_C(10000000000) /* a clock is looked at again: somebody may have set it */
#define FLOOD_MOST 4096u              /* messages that are thrown away in a row */

/* All servers of this process; guards uses, too. */
static struct tg_gate all_gate;
static struct tg_nats_server *all;

static void enter(struct tg_gate *gate)
{
    while (tg_gate_enter(gate, TG_NEVER, NULL, 0) < 0) {
    }
}

void tg_nats_servers_before_fork(void)
{
    enter(&all_gate);
}

void tg_nats_servers_after_fork(bool is_child)
{
    if (is_child) {
        all = NULL; /* the child makes its own; what is here belongs to handles it may only close */
    }
    tg_gate_leave(&all_gate);
}

/* ---- one more, one less */

static const char *space_name(void)
{
    const char *space = secure_getenv("TONG_NATS_SPACE");
    return space != NULL && space[0] != '\0' ? space : "tong";
}

static int make(const struct tg_nats_url *url, const char *space,
                struct tg_nats_server **ret_server)
{
    if (strlen(space) >= sizeof((struct tg_nats_server *)0)->space || tg_name_check(space) < 0 ||
        strchr(space, '.') != NULL) {
        return -EINVAL;
    }
    struct tg_nats_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return -ENOMEM;
    }
    unsigned char random[12];
    const int r = tg_sys_random(random, sizeof random);
    if (r < 0) {
        free(server);
        return r;
    }
    struct tg_text proc = TG_TEXT(server->proc);
    tg_text_add_hex(&proc, random, sizeof random);
    memcpy(server->space, space, strlen(space) + 1);
    server->url = *url;
    server->next = all;
    all = server;
    *ret_server = server;
    return 0;
}

static struct tg_nats_server *find(const struct tg_nats_url *url, const char *space)
{
    struct tg_nats_server *server = all;
    while (server != NULL &&
           (strcmp(server->url.text, url->text) != 0 || strcmp(server->space, space) != 0)) {
        server = server->next;
    }
    return server;
}

int tg_nats_server_get(const struct tg_nats_url *url, struct tg_nats_server **ret_server)
{
    int r = tg_nats_watch_forks();
    if (r < 0) {
        return r;
    }
    enter(&all_gate);
    struct tg_nats_server *server = find(url, space_name());
    if (server == NULL) {
        r = make(url, space_name(), &server);
    }
    if (r == 0) {
        server->uses++;
        *ret_server = server;
    }
    tg_gate_leave(&all_gate);
    return r;
}

static void free_server(struct tg_nats_server *server)
{
    tg_nats_keeper_free(server->keeper);
    tg_nats_disconnect(server->conn);
    explicit_bzero(&server->url, sizeof server->url);
    free(server);
}

void tg_nats_server_put(struct tg_nats_server *server)
{
    enter(&all_gate);
    const bool is_last = --server->uses == 0;
    struct tg_nats_server **at = &all;
    while (is_last && *at != NULL && *at != server) {
        at = &(*at)->next;
    }
    if (is_last && *at != NULL) {
        *at = server->next;
    }
    tg_gate_leave(&all_gate);
    if (is_last) {
        free_server(server);
    }
}

/* ---- the connection */

static int have_book(const struct tg_nats_server *server, const struct tg_js *js);

static int connect_to(struct tg_nats_server *server)
{
    if (server->conn != NULL && !server->conn->is_lost) {
        return 0;
    }
    if (server->conn != NULL) {
        server->lost_ns = tg_now_ns();
    }
    tg_nats_disconnect(server->conn);
    server->conn = NULL;
    server->clock_seen_ns = 0; /* another server may have another one */
    return tg_nats_connect(&server->url, tg_now_ns() + TG_NATS_PATIENCE_NS, &server->conn);
}

/* What came while nobody looked; a server that has ended an idle connection is found out here. */
static void drain(struct tg_nats_conn *conn)
{
    const struct tg_nats_wait now = { .deadline = 0, .cancel_fd = -1 };
    struct tg_nats_msg msg;
    for (unsigned i = 0; i < FLOOD_MOST && tg_nats_next(conn, &now, &msg) == 0; i++) {
    }
}

int tg_nats_enter(struct tg_nats_server *server, struct tg_js *ret_js)
{
    enter(&server->gate);
    if (server->conn != NULL) {
        drain(server->conn);
    }
    int r = connect_to(server);
    const struct tg_js js = { .conn = server->conn };
    if (r == 0 && !server->knows_book) {
        r = have_book(server, &js);
        server->knows_book = r == 0;
    }
    if (r < 0) {
        tg_gate_leave(&server->gate);
        return r;
    }
    *ret_js = js;
    return 0;
}

void tg_nats_leave(struct tg_nats_server *server)
{
    tg_gate_leave(&server->gate);
}

bool tg_nats_is_clustered(struct tg_nats_server *server)
{
    enter(&server->gate);
    const bool is_clustered = server->conn != NULL && server->conn->is_clustered;
    tg_gate_leave(&server->gate);
    return is_clustered;
}

void tg_nats_add_name(struct tg_text *text, const char *name)
{
    for (; *name != '\0'; name++) {
        tg_text_add_bytes(text, *name == '.' ? "=" : name, 1);
    }
}

unsigned tg_nats_replicas(void)
{
    const char *text = secure_getenv("TONG_NATS_REPLICAS");
    return text != NULL && text[0] >= '1' && text[0] <= '5' && text[1] == '\0'
               ? (unsigned)(text[0] - '0')
               : 1;
}

/* ---- the stream of the book */

static const char book_is_ours[] = "tong: the book of what is there";

static int make_book(const struct tg_nats_server *server, const struct tg_js *js,
                     struct tg_js_answer *ret_answer)
{
    char subject_at[128];
    char body_at[512];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_text body = TG_TEXT(body_at);
    tg_text_add(&body, "{\"name\":\"");
    tg_text_add(&body, server->space);
    tg_text_add(&body, "\",\"description\":\"");
    tg_text_add(&body, book_is_ours);
    tg_text_add(&body, "\",\"subjects\":[");
    static const char kinds[] = "dhbcnwxv";
    for (const char *kind = kinds; *kind != '\0'; kind++) {
        tg_text_add(&body, kind == kinds ? "\"" : ",\"");
        tg_text_add(&body, server->space);
        tg_text_add(&body, ".");
        tg_text_add_bytes(&body, kind, 1);
        tg_text_add(&body, ".>\"");
    }
    tg_text_add(&body,
                "],\"retention\":\"limits\",\"max_msgs_per_subject\":1,\"max_msgs\":-1,"
                "\"max_bytes\":-1,\"discard\":\"new\",\"storage\":\"file\",\"num_replicas\":");
    tg_text_add_u64(&body, tg_nats_replicas());
    tg_text_add(&body, "}");
    return tg_js_request(js, tg_js_subject(&subject, "STREAM.CREATE", server->space, NULL), body.at,
                         ret_answer);
}

/*
 * A publish to the book. 1 there is one, 0, -errno. It is not one that the stream refuses: replicas of 2.9.10 count what they
 * have refused, forget that when they start again, and then take one message for another.
 */
static int is_there_a_book(const struct tg_nats_server *server, const struct tg_js *js)
{
    char subject_at[64];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_js_answer answer;
    tg_text_add(&subject, server->space);
    tg_text_add(&subject, ".v.ready");
    const int r = tg_js_publish(js, subject.at, NULL, NULL, 0, &answer);
    return r < 0 ? r : answer.error != TG_JS_NOBODY && answer.error != TG_JS_OFF;
}

/* Another program's stream has the name, or no stream can be made here. 0: it is ours, and on its way. */
static int look_at_name(const struct tg_nats_server *server, const struct tg_js *js)
{
    char subject_at[128];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_js_answer answer;
    const int r =
        tg_js_request(js, tg_js_subject(&subject, "STREAM.INFO", server->space, NULL), "", &answer);
    if (r < 0 || answer.error != 0) {
        return r < 0 || answer.error == TG_JS_NO_STREAM ? r : tg_js_errno(&answer);
    }
    return tg_json_has(tg_json_get(answer.json, "config.description"), book_is_ours) ? 0 : -EPROTO;
}

/*
 * The book is there, or made. Servers (2.9.10 at least) die when they are asked for something of a stream that is
 * just being made: so nothing is asked of it before it has answered a publish.
 */
static int have_book(const struct tg_nats_server *server, const struct tg_js *js)
{
    const int64_t deadline = tg_now_ns() + TG_NATS_PATIENCE_NS;
    int r = is_there_a_book(server, js);
    while (r == 0) {
        struct tg_js_answer answer;
        r = make_book(server, js, &answer);
        if (r == 0 && answer.error == TG_JS_NOBODY) {
            /* It is elsewhere, and the way there may be cut; or this is a server without JetStream. */
            return tg_js_has_domain() || js->conn->is_clustered ? -ENOTCONN : -EOPNOTSUPP;
        }
        const bool is_made_by_another =
            answer.error == TG_JS_NAME_TAKEN || answer.error == TG_JS_OVERLAP;
        if (r == 0 && answer.error != 0) {
            r = is_made_by_another ? look_at_name(server, js) : tg_js_errno(&answer);
        }
        if (r == 0 && is_made_by_another) {
            (void)tg_net_wait(-1, 0, -1, tg_now_ns() + MAKING_NS);
        }
        r = r < 0 ? r : is_there_a_book(server, js);
        if (r == 0 && tg_now_ns() > deadline) {
            return -EPROTO; /* its subjects are another stream's */
        }
    }
    return r < 0 ? r : 0;
}

/* ---- lines of the book */

static void keep_line(const struct tg_js_answer *answer, struct tg_nats_line *ret_line)
{
    const struct tg_json message = tg_json_get(answer->json, "message");
    ret_line->seq = tg_json_u64(tg_json_get(message, "seq"));
    ret_line->time_ns = tg_js_time(tg_json_get(message, "time"));
    ret_line->len =
        tg_js_bytes(tg_json_get(message, "data"), ret_line->text, sizeof ret_line->text - 1);
    ret_line->text[ret_line->len] = '\0';
}

/* Somebody took the whole book away: it is looked for again. */
static int book_errno(struct tg_nats_server *server, const struct tg_js_answer *answer)
{
    if (answer->error == TG_JS_NOBODY || answer->error == TG_JS_NO_STREAM) {
        server->knows_book = false;
        return -ENOTCONN;
    }
    return tg_js_errno(answer);
}

int tg_book_get(struct tg_nats_server *server, const struct tg_js *js, const char *subject,
                struct tg_nats_line *ret_line)
{
    char api_at[128];
    char body_at[TG_NATS_SUBJECT_SIZE + 32];
    struct tg_text api = TG_TEXT(api_at);
    struct tg_text body = TG_TEXT(body_at);
    tg_js_subject(&api, "STREAM.MSG.GET", server->space, NULL);
    tg_text_add(&body, "{\"last_by_subj\":\"");
    tg_text_add(&body, subject);
    tg_text_add(&body, "\"}");
    struct tg_js_answer answer;
    const int r = tg_js_request(js, api.at, body.at, &answer);
    if (r < 0) {
        return r;
    }
    ret_line->seq = 0;
    if (answer.error == 0) {
        keep_line(&answer, ret_line);
    }
    return answer.error == TG_JS_NO_MESSAGE ? 0 : book_errno(server, &answer);
}

int tg_book_put(struct tg_nats_server *server, const struct tg_js *js, const char *subject,
                const char *text, uint64_t seen, uint64_t *ret_seq)
{
    char head_at[96];
    struct tg_text head = TG_TEXT(head_at);
    tg_text_add(&head, "Nats-Expected-Last-Subject-Sequence: ");
    tg_text_add_u64(&head, seen);
    tg_text_add(&head, "\r\n");
    const struct iovec part = { (void *)text, strlen(text) };
    struct tg_js_answer answer;
    const int r =
        tg_js_publish(js, subject, seen == TG_BOOK_ANY ? NULL : head.at, &part, 1, &answer);
    if (r == 0 && answer.error == 0) {
        *ret_seq = answer.seq;
    }
    return r < 0 ? r : answer.error == TG_JS_WRONG_LAST ? -ESTALE : book_errno(server, &answer);
}

int tg_book_delete(struct tg_nats_server *server, const struct tg_js *js, uint64_t seq)
{
    char api_at[128];
    char body_at[64];
    struct tg_text api = TG_TEXT(api_at);
    struct tg_text body = TG_TEXT(body_at);
    tg_js_subject(&api, "STREAM.MSG.DELETE", server->space, NULL);
    tg_text_add(&body, "{\"no_erase\":true,\"seq\":");
    tg_text_add_u64(&body, seq);
    tg_text_add(&body, "}");
    struct tg_js_answer answer;
    const int r = tg_js_request(js, api.at, body.at, &answer);
    if (r < 0 || answer.error == 0) {
        return r < 0 || tg_json_bool(tg_json_get(answer.json, "success")) ? r : -ESTALE;
    }
    /* Which number says that it is not there differs between versions. */
    const int error = tg_js_errno(&answer);
    return error == -ENOENT || error == -EPROTO ? -ESTALE : error;
}

int tg_book_purge(struct tg_nats_server *server, const struct tg_js *js, const char *filter)
{
    return tg_js_clear(js, server->space, filter);
}

int tg_js_count_subjects(const struct tg_js *js, const char *stream, const char *filter,
                         tg_js_count_fn *each, void *arg)
{
    char api_at[192];
    char body_at[TG_NATS_SUBJECT_SIZE + 32];
    struct tg_text api = TG_TEXT(api_at);
    struct tg_text body = TG_TEXT(body_at);
    tg_js_subject(&api, "STREAM.INFO", stream, NULL);
    tg_text_add(&body, "{\"subjects_filter\":\"");
    tg_text_add(&body, filter);
    tg_text_add(&body, "\"}");
    struct tg_js_answer answer;
    int r = tg_js_request(js, api.at, body.at, &answer);
    if (r < 0 || answer.error != 0) {
        const int error = r < 0 ? r : tg_js_errno(&answer);
        return error == -ENOENT ? 0 : error;
    }
    const struct tg_json subjects = tg_json_get(answer.json, "state.subjects");
    struct tg_json key;
    struct tg_json value;
    size_t pos = 0;
    while (r == 0 && tg_json_next(subjects, &pos, &key, &value)) {
        char subject[TG_NATS_SUBJECT_SIZE];
        (void)tg_json_string(key, subject, sizeof subject);
        r = each(arg, subject, tg_json_u64(value));
    }
    return r;
}

struct listing {
    tg_book_fn *each;
    void *arg;
};

static int tell_subject(void *arg, const char *subject, uint64_t n)
{
    const struct listing *listing = arg;
    (void)n;
    return listing->each(listing->arg, subject);
}

int tg_js_list_subjects(const struct tg_js *js, const char *stream, const char *filter,
                        tg_book_fn *each, void *arg)
{
    struct listing listing = { each, arg };
    return tg_js_count_subjects(js, stream, filter, tell_subject, &listing);
}

int tg_book_list(struct tg_nats_server *server, const struct tg_js *js, const char *filter,
                 tg_book_fn *each, void *arg)
{
    return tg_js_list_subjects(js, server->space, filter, each, arg);
}

/* ---- who is alive */

int tg_nats_be_known(struct tg_nats_server *server)
{
    enter(&server->gate);
    int r = 0;
    if (server->keeper == NULL) {
        r = tg_nats_keeper_new(server, &server->keeper);
    }
    if (r == 0) {
        r = tg_nats_keeper_look(server->keeper);
    }
    tg_gate_leave(&server->gate);
    return r;
}

int tg_nats_keep(struct tg_nats_server *server)
{
    int r = tg_nats_be_known(server);
    if (r == 0) {
        enter(&server->gate);
        r = tg_nats_keeper_start(server->keeper);
        tg_gate_leave(&server->gate);
    }
    return r;
}

struct probes {
    uint64_t first; /* the number of the first one's answer */
    size_t n;
    bool *there;
};

static void note_absent(struct probes *probes, const struct tg_nats_conn *conn,
                        const struct tg_nats_msg *msg)
{
    const uint64_t reply = tg_nats_reply_of(conn, msg);
    if (msg->status == TG_JS_NOBODY && reply >= probes->first &&
        reply - probes->first < probes->n) {
        probes->there[reply - probes->first] = false;
    }
}

int tg_nats_probe(const struct tg_nats_server *server, const struct tg_js *js,
                  const char procs[][TG_NATS_PROC_SIZE], size_t n, bool ret_there[])
{
    struct probes probes = { .first = js->conn->next_reply + 1, .n = n, .there = ret_there };
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        char subject_at[128];
        char reply[96];
        struct tg_text subject = TG_TEXT(subject_at);
        tg_text_add(&subject, server->space);
        tg_text_add(&subject, ".p.");
        tg_text_add(&subject, procs[i]);
        (void)tg_nats_reply_subject(js->conn, reply, sizeof reply);
        ret_there[i] = true;
        r = tg_nats_publish(js->conn, subject.at, reply, NULL, NULL, 0);
    }
    r = r < 0 ? r : tg_nats_ping(js->conn);
    /* What is absent is told before the ping is answered. */
    const struct tg_nats_wait wait = { .deadline = tg_now_ns() + TG_NATS_PATIENCE_NS,
                                       .cancel_fd = -1 };
    while (r == 0 && !tg_nats_is_answered(js->conn)) {
        struct tg_nats_msg msg;
        r = tg_nats_next(js->conn, &wait, &msg);
        if (r == 0) {
            note_absent(&probes, js->conn, &msg);
            if (js->other != NULL && tg_nats_reply_of(js->conn, &msg) == 0) {
                js->other(js->arg, &msg);
            }
        } else if (r == -ETIMEDOUT) {
            r = tg_nats_is_answered(js->conn) ? 0 : -ENOTCONN;
        }
    }
    return r;
}

/* ---- the clock: what the server wrote beside a line that was sent between two looks at the own one */

static int look_at_clock(struct tg_nats_server *server, const struct tg_js *js)
{
    char subject_at[128];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_nats_line line;
    uint64_t seq = 0;
    tg_text_add(&subject, server->space);
    tg_text_add(&subject, ".v.clock.");
    tg_text_add(&subject, server->proc);
    const int64_t before = tg_boot_ns();
    int r = tg_book_put(server, js, subject.at, "", TG_BOOK_ANY, &seq);
    const int64_t after = tg_boot_ns();
    r = r < 0 ? r : tg_book_get(server, js, subject.at, &line);
    r = r < 0 ? r : tg_book_delete(server, js, seq);
    if (r < 0 && r != -ESTALE) {
        return r;
    }
    if (line.seq != seq || line.time_ns == 0) {
        return -ENOTCONN; /* a cluster has changed its leader meanwhile */
    }
    server->clock_ns = line.time_ns - (before + (after - before) / 2);
    server->clock_seen_ns = after;
    return 0;
}

int tg_nats_time(struct tg_nats_server *server, int64_t *ret_ns)
{
    struct tg_js js;
    int r = tg_nats_enter(server, &js);
    if (r < 0) {
        return r;
    }
    if (server->clock_seen_ns == 0 || tg_boot_ns() - server->clock_seen_ns > CLOCK_NS) {
        r = look_at_clock(server, &js);
    }
    if (r == 0) {
        *ret_ns = tg_boot_ns() + server->clock_ns;
    }
    tg_nats_leave(server);
    return r;
}
