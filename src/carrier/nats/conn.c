/*
 * The client protocol of NATS: lines, and behind some of them bytes.
 *
 * I1  in[in_at..in_end) is what came and was not handed out. A message that was handed out lies before in_at
 *     and stays until the next call.
 * I2  Whatever the network or the server does, is_lost is set and everything ends with -ENOTCONN from
 *     then on; a connection is never mended, its user makes a new one.
 * I3  All bytes of the server are input: lengths are checked against what is there before they are used.
 */
#include "carrier/nats/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/sys.h"
#include "carrier/nats/fork.h"
#include "carrier/nats/login.h"
#include "carrier/nats/net.h"
#include "carrier/nats/text.h"
#include "carrier/nats/tls.h"

#define FIRST_SIZE 16384u
#define LINE_MOST 65536u                 /* INFO of a large cluster is the longest */
#define MESSAGE_MOST (UINT32_C(1) << 27) /* no server allows more than 64 MiB */
#define OUT_MOST 65536u                  /* more is sent on the way */
#define INBOX_SID 1u

/* ---- buffers */

static int lose(struct tg_nats_conn *conn)
{
    conn->is_lost = true;
    return -ENOTCONN;
}

static int reserve_in(struct tg_nats_conn *conn, size_t more)
{
    if (conn->in_size - conn->in_end >= more) {
        return 0;
    }
    if (conn->in_at > 0) {
        memmove(conn->in, conn->in + conn->in_at, conn->in_end - conn->in_at);
        conn->in_end -= conn->in_at;
        conn->in_at = 0;
    }
    if (conn->in_size - conn->in_end >= more) {
        return 0;
    }
    size_t size = conn->in_size;
    while (size - conn->in_end < more) {
        size *= 2;
    }
    char *in = realloc(conn->in, size);
    if (in == NULL) {
        return -ENOMEM;
    }
    conn->in = in;
    conn->in_size = size;
    return 0;
}

static int reserve_out(struct tg_nats_conn *conn, size_t more)
{
    if (conn->out_at == conn->out_end) {
        conn->out_at = 0;
        conn->out_end = 0;
    }
    size_t size = conn->out_size;
    while (size - conn->out_end < more) {
        size *= 2;
    }
    if (size != conn->out_size) {
        char *out = realloc(conn->out, size);
        if (out == NULL) {
            return -ENOMEM;
        }
        conn->out = out;
        conn->out_size = size;
    }
    return 0;
}

static void put(struct tg_nats_conn *conn, const void *data, size_t len)
{
    if (len > 0) {
        memcpy(conn->out + conn->out_end, data, len);
        conn->out_end += len;
    }
}

int tg_nats_put(struct tg_nats_conn *conn, const struct tg_text *line)
{
    if (conn->is_lost || line->is_over) {
        return conn->is_lost ? -ENOTCONN : -ENAMETOOLONG;
    }
    const int r = reserve_out(conn, line->len);
    if (r == 0) {
        put(conn, line->at, line->len);
    }
    return r;
}

/* ---- bytes */

/* Send what goes at once: 0, -EAGAIN, -ENOTCONN. */
static int push(struct tg_nats_conn *conn)
{
    while (conn->out_at < conn->out_end) {
        const char *data = conn->out + conn->out_at;
        const size_t len = conn->out_end - conn->out_at;
        const ssize_t n = conn->tls != NULL ? tg_nats_tls_send(conn->tls, data, len)
                                            : tg_net_send(conn->fd, data, len);
        if (n < 0) {
            return n == -EAGAIN ? -EAGAIN : lose(conn);
        }
        conn->out_at += (size_t)n;
    }
    /* What TLS has taken may not have gone yet. */
    const int r = conn->tls != NULL ? tg_nats_tls_flush(conn->tls) : 0;
    return r < 0 && r != -EAGAIN ? lose(conn) : r;
}

/* Read what is there: 0, -EAGAIN, -ENOTCONN, -ENOMEM. */
static int pull(struct tg_nats_conn *conn, size_t wanted)
{
    const int r = reserve_in(conn, wanted > 4096 ? wanted : 4096);
    if (r < 0) {
        return r;
    }
    char *data = conn->in + conn->in_end;
    const size_t size = conn->in_size - conn->in_end;
    const ssize_t n = conn->tls != NULL ? tg_nats_tls_receive(conn->tls, data, size)
                                        : tg_net_receive(conn->fd, data, size);
    if (n < 0) {
        return n == -EAGAIN ? -EAGAIN : lose(conn);
    }
    conn->in_end += (size_t)n;
    return 0;
}

int tg_nats_flush(struct tg_nats_conn *conn, int64_t deadline)
{
    int r = conn->is_lost ? -ENOTCONN : push(conn);
    while (r == -EAGAIN) {
        /* A server that waits for its answers to be read must be read. */
        const int ready = tg_net_wait(conn->fd, TG_NET_OUT | TG_NET_IN, -1, deadline);
        if (ready == -ETIMEDOUT) {
            return -ETIMEDOUT;
        }
        if (ready > 0 && ((unsigned)ready & TG_NET_IN) != 0) {
            const int got = pull(conn, 0);
            if (got < 0 && got != -EAGAIN) {
                return got;
            }
        }
        r = push(conn);
    }
    return r;
}

size_t tg_nats_unsent(const struct tg_nats_conn *conn)
{
    return conn->out_end - conn->out_at + (conn->tls != NULL ? tg_nats_tls_unsent(conn->tls) : 0);
}

/* ---- what is sent */

/* Of a subject that somebody else has written nothing becomes a line of its own, or an answer of JSON. */
bool tg_nats_is_subject(const char *subject)
{
    for (const char *at = subject; *at != '\0'; at++) {
        const unsigned char c = (unsigned char)*at;
        if (c <= ' ' || c >= 127 || *at == '*' || *at == '>' || *at == '"' || *at == '\\') {
            return false;
        }
    }
    return subject[0] != '\0';
}

static int publish(struct tg_nats_conn *conn, const char *subject, const char *reply,
                   const char *head, const struct iovec *parts, size_t n_parts)
{
    static const char first[] = "NATS/1.0\r\n";
    size_t len = 0;
    for (size_t i = 0; i < n_parts; i++) {
        len += parts[i].iov_len;
    }
    const size_t head_len = head != NULL ? sizeof first - 1 + strlen(head) + 2 : 0;
    char buffer[1024];
    struct tg_text line = TG_TEXT(buffer);
    tg_text_add(&line, head != NULL ? "HPUB " : "PUB ");
    tg_text_add(&line, subject);
    tg_text_add(&line, " ");
    if (reply != NULL && reply[0] != '\0') {
        tg_text_add(&line, reply);
        tg_text_add(&line, " ");
    }
    if (head != NULL) {
        tg_text_add_u64(&line, head_len);
        tg_text_add(&line, " ");
    }
    tg_text_add_u64(&line, head_len + len);
    tg_text_add(&line, "\r\n");
    const int r = reserve_out(conn, line.len + head_len + len + 2);
    if (r < 0 || line.is_over) {
        return r < 0 ? r : -ENAMETOOLONG;
    }
    put(conn, line.at, line.len);
    if (head != NULL) {
        put(conn, first, sizeof first - 1);
        put(conn, head, strlen(head));
        put(conn, "\r\n", 2);
    }
    for (size_t i = 0; i < n_parts; i++) {
        put(conn, parts[i].iov_base, parts[i].iov_len);
    }
    put(conn, "\r\n", 2);
    return 0;
}

int tg_nats_publish(struct tg_nats_conn *conn, const char *subject, const char *reply,
                    const char *head, const struct iovec *parts, size_t n_parts)
{
    if (conn->is_lost) {
        return -ENOTCONN;
    }
    if (!tg_nats_is_subject(subject) ||
        (reply != NULL && reply[0] != '\0' && !tg_nats_is_subject(reply))) {
        return -EPROTO;
    }
    int r = publish(conn, subject, reply, head, parts, n_parts);
    if (r == 0 && tg_nats_unsent(conn) > OUT_MOST) {
        r = push(conn);
        r = r == -EAGAIN ? 0 : r;
    }
    return r;
}

int tg_nats_publish_text(struct tg_nats_conn *conn, const char *subject, const char *reply,
                         const char *text)
{
    const struct iovec part = { (void *)text, strlen(text) };
    return tg_nats_publish(conn, subject, reply, NULL, &part, 1);
}

int tg_nats_subscribe(struct tg_nats_conn *conn, const char *subject, const char *group,
                      uint64_t *ret_sid)
{
    char buffer[1024];
    struct tg_text line = TG_TEXT(buffer);
    tg_text_add(&line, "SUB ");
    tg_text_add(&line, subject);
    tg_text_add(&line, " ");
    if (group != NULL) {
        tg_text_add(&line, group);
        tg_text_add(&line, " ");
    }
    tg_text_add_u64(&line, conn->next_sid);
    tg_text_add(&line, "\r\n");
    const int r = tg_nats_put(conn, &line);
    if (r == 0) {
        *ret_sid = conn->next_sid++;
    }
    return r;
}

int tg_nats_unsubscribe_after(struct tg_nats_conn *conn, uint64_t sid, uint64_t n)
{
    char buffer[96];
    struct tg_text line = TG_TEXT(buffer);
    tg_text_add(&line, "UNSUB ");
    tg_text_add_u64(&line, sid);
    if (n > 0) {
        tg_text_add(&line, " ");
        tg_text_add_u64(&line, n);
    }
    tg_text_add(&line, "\r\n");
    return tg_nats_put(conn, &line);
}

int tg_nats_unsubscribe(struct tg_nats_conn *conn, uint64_t sid)
{
    return tg_nats_unsubscribe_after(conn, sid, 0);
}

int tg_nats_ping(struct tg_nats_conn *conn)
{
    char buffer[16];
    struct tg_text line = TG_TEXT(buffer);
    tg_text_add(&line, "PING\r\n");
    const int r = tg_nats_put(conn, &line);
    conn->pings += r == 0;
    return r;
}

/* It is written through text. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
uint64_t tg_nats_reply_subject(struct tg_nats_conn *conn, char *ret_subject, size_t size)
{
    struct tg_text text = { ret_subject, size, 0, false };
    tg_text_add(&text, conn->inbox);
    tg_text_add(&text, ".");
    tg_text_add_u64(&text, ++conn->next_reply);
    return conn->next_reply;
}

uint64_t tg_nats_reply_of(const struct tg_nats_conn *conn, const struct tg_nats_msg *msg)
{
    const size_t len = strlen(conn->inbox);
    if (msg->sid != INBOX_SID || strncmp(msg->subject, conn->inbox, len) != 0 ||
        msg->subject[len] != '.') {
        return 0;
    }
    return tg_json_u64((struct tg_json){ msg->subject + len + 1, strlen(msg->subject + len + 1) });
}

/* ---- what comes */

/* The words of a line, at most 6. */
struct words {
    const char *at[6];
    size_t len[6];
    unsigned n;
};

static struct words split(const char *line, size_t len)
{
    struct words words = { .n = 0 };
    size_t i = 0;
    while (i < len && words.n < 6) {
        while (i < len && (line[i] == ' ' || line[i] == '\t')) {
            i++;
        }
        const size_t from = i;
        while (i < len && line[i] != ' ' && line[i] != '\t') {
            i++;
        }
        if (i > from) {
            words.at[words.n] = line + from;
            words.len[words.n++] = i - from;
        }
    }
    return words;
}

static uint64_t number(const struct words *words, unsigned i)
{
    return tg_json_u64((struct tg_json){ words->at[i], words->len[i] });
}

/* "NATS/1.0 503 ..." begins a header that is an answer of the server. */
static void read_head(struct tg_nats_msg *msg, const char *head, size_t len)
{
    static const char first[] = "NATS/1.0";
    const size_t n = sizeof first - 1;
    msg->head = head;
    msg->head_len = len;
    msg->status = 0;
    if (len > n + 4 && memcmp(head, first, n) == 0 && head[n] == ' ') {
        msg->status = (int)tg_json_u64((struct tg_json){ head + n + 1, 3 });
    }
}

/* Subject and reply get a NUL behind them, in conn->names. */
static int keep_names(struct tg_nats_conn *conn, const struct words *words, bool has_reply,
                      struct tg_nats_msg *ret_msg)
{
    const size_t subject_len = words->len[1];
    const size_t reply_len = has_reply ? words->len[3] : 0;
    if (subject_len + reply_len + 2 > sizeof conn->names) {
        return -EPROTO;
    }
    memcpy(conn->names, words->at[1], subject_len);
    conn->names[subject_len] = '\0';
    if (has_reply) {
        memcpy(conn->names + subject_len + 1, words->at[3], reply_len);
    }
    conn->names[subject_len + 1 + reply_len] = '\0';
    ret_msg->subject = conn->names;
    ret_msg->reply = conn->names + subject_len + 1;
    return 0;
}

/* MSG subject sid [reply] len; HMSG subject sid [reply] head-len len. line_len: with its \r\n.
 * 1 a message, 0 it is not whole yet and *ret_wanted more bytes are, -errno. */
static int read_message(struct tg_nats_conn *conn, const struct words *words, size_t line_len,
                        struct tg_nats_msg *ret_msg, size_t *ret_wanted)
{
    const bool has_head = words->at[0][0] == 'H';
    const unsigned few = has_head ? 5 : 4;
    if (words->n != few && words->n != few + 1) {
        return -EPROTO;
    }
    const uint64_t total = number(words, words->n - 1);
    const uint64_t head_len = has_head ? number(words, words->n - 2) : 0;
    if (total > MESSAGE_MOST || head_len > total) {
        return -EPROTO;
    }
    const size_t have = conn->in_end - conn->in_at;
    if (have < line_len + total + 2) {
        *ret_wanted = line_len + (size_t)total + 2 - have;
        return 0;
    }
    struct tg_nats_msg msg = { .sid = number(words, 2) };
    const int r = keep_names(conn, words, words->n == few + 1, &msg);
    if (r < 0) {
        return r;
    }
    const char *body = conn->in + conn->in_at + line_len;
    if (has_head) {
        read_head(&msg, body, (size_t)head_len);
    }
    msg.data = body + head_len;
    msg.len = (size_t)(total - head_len);
    *ret_msg = msg;
    conn->in_at += line_len + (size_t)total + 2;
    return 1;
}

static bool is_word(const struct words *words, const char *word)
{
    const size_t len = strlen(word);
    return words->n > 0 && words->len[0] == len && strncasecmp(words->at[0], word, len) == 0;
}

/* -ERR 'Some Words': what is no refusal ends the connection. */
static void read_error(struct tg_nats_conn *conn, const char *line, size_t len)
{
    const struct tg_json text = { line, len };
    if (tg_json_has(text, "Permissions Violation")) {
        conn->refused = -EACCES;
    } else if (tg_json_has(text, "uthoriz") || tg_json_has(text, "uthentic")) {
        conn->refused = -EACCES;
        conn->is_lost = true;
    } else if (!tg_json_has(text, "Invalid Subject")) {
        conn->is_lost = true;
    }
}

/* One line, and the bytes behind it: 1 a message, 0 more has to come (or nothing of interest was there,
 * *ret_wanted 0), -errno. */
static int read_one(struct tg_nats_conn *conn, struct tg_nats_msg *ret_msg, size_t *ret_wanted)
{
    const char *line = conn->in + conn->in_at;
    const size_t have = conn->in_end - conn->in_at;
    const char *end = have > 0 ? memchr(line, '\n', have) : NULL;
    *ret_wanted = 1;
    if (end == NULL) {
        return have > LINE_MOST ? -EPROTO : 0;
    }
    const size_t line_len = (size_t)(end - line) + 1;
    const struct words words =
        split(line, line_len >= 2 && end[-1] == '\r' ? line_len - 2 : line_len - 1);
    if (is_word(&words, "MSG") || is_word(&words, "HMSG")) {
        return read_message(conn, &words, line_len, ret_msg, ret_wanted);
    }
    *ret_wanted = 0;
    int r = 0;
    if (is_word(&words, "PING")) {
        r = reserve_out(conn, 6);
        if (r == 0) {
            put(conn, "PONG\r\n", 6);
        }
    } else if (is_word(&words, "PONG")) {
        conn->pongs++;
    } else if (is_word(&words, "INFO")) {
        tg_nats_read_info(conn, line + 4, line_len - 4);
    } else if (is_word(&words, "-ERR")) {
        read_error(conn, line, line_len);
    } else if (!is_word(&words, "+OK") && words.n > 0) {
        r = -EPROTO;
    }
    conn->in_at += line_len;
    return r;
}

bool tg_nats_has_input(const struct tg_nats_conn *conn)
{
    return conn->in_at < conn->in_end || conn->refused != 0 || conn->is_lost;
}

/* Sleep until something can be read, or written if something is to be. */
static int sleep_on(struct tg_nats_conn *conn, const struct tg_nats_wait *wait)
{
    const unsigned what = TG_NET_IN | (tg_nats_unsent(conn) > 0 ? TG_NET_OUT : 0);
    const int ready = tg_net_wait(conn->fd, what, wait->cancel_fd, wait->deadline);
    if (ready == -EINTR && !wait->by_signal) {
        return 0;
    }
    if (ready < 0) {
        return ready;
    }
    return ((unsigned)ready & TG_NET_CANCEL) != 0 ? -ECANCELED : 0;
}

int tg_nats_next(struct tg_nats_conn *conn, const struct tg_nats_wait *wait,
                 struct tg_nats_msg *ret_msg)
{
    const uint64_t pongs = conn->pongs;
    for (;;) {
        size_t wanted = 1;
        int r = 0;
        /* What came before the connection was lost is still good. */
        while (r == 0 && wanted != 0 && conn->in_at < conn->in_end) {
            r = read_one(conn, ret_msg, &wanted);
            if (r == 0 && wanted != 0) {
                break;
            }
            wanted = 1;
        }
        if (r == 1) {
            return 0;
        }
        if (r < 0) {
            return r == -ENOMEM ? r : lose(conn);
        }
        if (conn->refused != 0) {
            const int refused = conn->refused;
            conn->refused = 0;
            return refused;
        }
        if (conn->is_lost) {
            return -ENOTCONN;
        }
        /* Whoever waits for the answer to a ping looks. */
        if (conn->pongs != pongs) {
            return -ETIMEDOUT;
        }
        r = push(conn);
        if (r == 0 || r == -EAGAIN) {
            r = pull(conn, wanted);
        }
        if (r == -EAGAIN) {
            r = sleep_on(conn, wait);
            if (r < 0) {
                return r;
            }
        } else if (r == -ENOMEM) {
            return r;
        }
    }
}

/* ---- begin, end */

static struct tg_nats_conn *new_conn(void)
{
    struct tg_nats_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        return NULL;
    }
    conn->fd = -1;
    conn->in = malloc(FIRST_SIZE);
    conn->out = malloc(FIRST_SIZE);
    conn->in_size = FIRST_SIZE;
    conn->out_size = FIRST_SIZE;
    conn->max_payload = UINT32_C(1) << 20;
    conn->next_sid = INBOX_SID;
    tg_nats_list_conn(conn);
    if (conn->in == NULL || conn->out == NULL) {
        tg_nats_disconnect(conn);
        return NULL;
    }
    return conn;
}

void tg_nats_disconnect(struct tg_nats_conn *conn)
{
    if (conn != NULL) {
        tg_nats_tls_end(conn->tls);
        tg_nats_unlist_conn(conn); /* closes it */
        free(conn->in);
        free(conn->out);
        free(conn);
    }
}

void tg_nats_abandon(struct tg_nats_conn *conn)
{
    conn->is_lost = true;
    tg_sys_close(conn->fd);
    conn->fd = -1;
}

static int make_inbox(struct tg_nats_conn *conn)
{
    unsigned char random[12];
    int r = tg_sys_random(random, sizeof random);
    if (r < 0) {
        return r;
    }
    struct tg_text text = TG_TEXT(conn->inbox);
    tg_text_add(&text, tg_nats_inbox_prefix());
    tg_text_add(&text, ".");
    tg_text_add_hex(&text, random, sizeof random);
    char all[sizeof conn->inbox + 2];
    struct tg_text subject = TG_TEXT(all);
    tg_text_add(&subject, conn->inbox);
    tg_text_add(&subject, ".*");
    if (text.is_over || subject.is_over) {
        return -ENAMETOOLONG;
    }
    uint64_t sid;
    return tg_nats_subscribe(conn, all, NULL, &sid);
}

static int greet(const struct tg_nats_url *url, const struct tg_nats_place *place, int64_t deadline,
                 struct tg_nats_conn *conn)
{
    int r = tg_net_connect(place->host, place->port, deadline, &conn->fd);
    r = r < 0 ? r : tg_nats_login(conn, url, place, deadline);
    r = r < 0 ? r : make_inbox(conn);
    r = r < 0 ? r : tg_nats_ping(conn);
    const int64_t asked_ns = tg_now_ns();
    const struct tg_nats_wait wait = { .deadline = deadline, .cancel_fd = -1 };
    struct tg_nats_msg msg;
    while (r == 0 && !tg_nats_is_answered(conn)) {
        r = tg_nats_next(conn, &wait, &msg);
        r = r == -ETIMEDOUT && tg_nats_is_answered(conn) ? 0 : r;
    }
    conn->way_ns = tg_now_ns() - asked_ns;
    return r;
}

int tg_nats_connect(const struct tg_nats_url *url, int64_t deadline, struct tg_nats_conn **ret_conn)
{
    int worst = -EHOSTUNREACH;
    for (unsigned i = 0; i < url->n_places; i++) {
        struct tg_nats_conn *conn = new_conn();
        if (conn == NULL) {
            return -ENOMEM;
        }
        /* One that hangs leaves the others their part of the time. */
        const int64_t now = tg_now_ns();
        const int64_t part = deadline > now ? (deadline - now) / (url->n_places - i) : 0;
        const int r = greet(url, &url->places[i], now + part, conn);
        if (r == 0) {
            *ret_conn = conn;
            return 0;
        }
        tg_nats_disconnect(conn);
        /* What a server says is more than that another one is not there. */
        worst = worst == -EHOSTUNREACH || r == -EACCES || r == -EKEYREJECTED ? r : worst;
    }
    return worst == -ENOTCONN || worst == -ETIMEDOUT ? -EHOSTUNREACH : worst;
}
