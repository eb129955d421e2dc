#include "carrier/nats/js.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct tg_js_answer tg_js_read(const struct tg_nats_msg *msg)
{
    struct tg_js_answer answer = { .json = { msg->data, msg->len } };
    if (msg->status != 0) {
        answer.error = (unsigned)msg->status;
        return answer;
    }
    const struct tg_json error = tg_json_get(answer.json, "error");
    if (error.at != NULL) {
        const uint64_t code = tg_json_u64(tg_json_get(error, "err_code"));
        answer.error = (unsigned)(code != 0 ? code : tg_json_u64(tg_json_get(error, "code")));
        answer.error = answer.error == 0 ? 500 : answer.error;
        answer.full_of_bytes = answer.error == TG_JS_FULL &&
                               !tg_json_has(tg_json_get(error, "description"), "maximum messages");
        return answer;
    }
    answer.seq = tg_json_u64(tg_json_get(answer.json, "seq"));
    answer.duplicate = tg_json_bool(tg_json_get(answer.json, "duplicate"));
    return answer;
}

int tg_js_errno(const struct tg_js_answer *answer)
{
    switch (answer->error) {
    case 0:
        return 0;
    case TG_JS_ACCOUNT_FULL:
    case TG_JS_MANY_STREAMS:
    case TG_JS_MANY_CONSUMERS:
    case TG_JS_NO_MEMORY:
    case TG_JS_NO_RESOURCES:
    case TG_JS_NO_STORAGE:
    case TG_JS_FULL:
        return -ENOSPC;
    case TG_JS_NOT_ENABLED:
    case TG_JS_OFF:
    case TG_JS_NO_CLUSTER:
        return -EOPNOTSUPP;
    case TG_JS_NO_STREAM:
    case TG_JS_NO_CONSUMER:
    case TG_JS_NO_MESSAGE:
        return -ENOENT;
    case TG_JS_NOBODY:
    case TG_JS_BUSY:
    case TG_JS_NO_PEERS:
    case TG_JS_INCOMPLETE:
    case TG_JS_NOT_LEADER:
    case TG_JS_STREAM_OFFLINE:
    case TG_JS_CONSUMER_OFFLINE:
        return -ENOTCONN;
    default:
        return -EPROTO;
    }
}

int tg_js_post(struct tg_nats_conn *conn, const char *subject, const char *head,
               const struct iovec *parts, size_t n_parts, uint64_t *ret_reply)
{
    char reply[96];
    *ret_reply = tg_nats_reply_subject(conn, reply, sizeof reply);
    return tg_nats_publish(conn, subject, reply, head, parts, n_parts);
}

int tg_js_await_one_of(const struct tg_js *js, uint64_t first, uint64_t n,
                       struct tg_nats_msg *ret_msg)
{
    const struct tg_nats_wait wait = { .deadline = tg_now_ns() + TG_NATS_PATIENCE_NS,
                                       .cancel_fd = -1 };
    for (;;) {
        struct tg_nats_msg msg;
        const uint64_t pongs = js->conn->pongs;
        const int r = tg_nats_next(js->conn, &wait, &msg);
        if (r == -ETIMEDOUT && js->conn->pongs == pongs) {
            js->conn->is_lost = true; /* what comes later answers nobody */
            return -ENOTCONN;
        }
        if (r < 0 && r != -ETIMEDOUT) {
            return r;
        }
        const uint64_t nth = r == 0 ? tg_nats_reply_of(js->conn, &msg) - first : n;
        if (nth < n) {
            *ret_msg = msg;
            return (int)nth;
        }
        if (r == 0 && js->other != NULL) {
            js->other(js->arg, &msg);
        }
    }
}

int tg_js_await_message(const struct tg_js *js, uint64_t reply, struct tg_nats_msg *ret_msg)
{
    return tg_js_await_one_of(js, reply, 1, ret_msg);
}

int tg_js_await(const struct tg_js *js, uint64_t reply, struct tg_js_answer *ret_answer)
{
    struct tg_nats_msg msg;
    const int r = tg_js_await_message(js, reply, &msg);
    if (r == 0) {
        *ret_answer = tg_js_read(&msg);
    }
    return r;
}

int tg_js_publish(const struct tg_js *js, const char *subject, const char *head,
                  const struct iovec *parts, size_t n_parts, struct tg_js_answer *ret_answer)
{
    uint64_t reply;
    const int r = tg_js_post(js->conn, subject, head, parts, n_parts, &reply);
    return r < 0 ? r : tg_js_await(js, reply, ret_answer);
}

int tg_js_request(const struct tg_js *js, const char *subject, const char *text,
                  struct tg_js_answer *ret_answer)
{
    const struct iovec part = { (void *)text, strlen(text) };
    return tg_js_publish(js, subject, NULL, &part, 1, ret_answer);
}

bool tg_js_has_domain(void)
{
    const char *domain = secure_getenv("TONG_NATS_DOMAIN");
    return domain != NULL && domain[0] != '\0';
}

const char *tg_js_subject(struct tg_text *text, const char *verb, const char *stream,
                          const char *more)
{
    tg_text_add(text, "$JS.");
    if (tg_js_has_domain()) {
        tg_text_add(text, secure_getenv("TONG_NATS_DOMAIN"));
        tg_text_add(text, ".");
    }
    tg_text_add(text, "API.");
    tg_text_add(text, verb);
    if (stream != NULL) {
        tg_text_add(text, ".");
        tg_text_add(text, stream);
    }
    if (more != NULL) {
        tg_text_add(text, ".");
        tg_text_add(text, more);
    }
    return text->at;
}

int tg_js_post_delete(struct tg_nats_conn *conn, const char *stream, uint64_t seq,
                      uint64_t *ret_reply)
{
    char api_at[192];
    char body_at[64];
    struct tg_text api = TG_TEXT(api_at);
    struct tg_text body = TG_TEXT(body_at);
    tg_js_subject(&api, "STREAM.MSG.DELETE", stream, NULL);
    tg_text_add(&body, "{\"no_erase\":true,\"seq\":");
    tg_text_add_u64(&body, seq);
    tg_text_add(&body, "}");
    const struct iovec part = { body.at, body.len };
    return tg_js_post(conn, api.at, NULL, &part, 1, ret_reply);
}

/* Days from 1970-01-01 to a date of the Gregorian calendar. */
static int64_t days_to(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    const int64_t era = year / 400;
    const int64_t of_era = year - era * 400;
    const int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t digits(const char *at, size_t n)
{
    return (int64_t)tg_json_u64((struct tg_json){ at, n });
}

int64_t tg_js_time(struct tg_json value)
{
    char text[48];
    if (tg_json_string(value, text, sizeof text) < 20 || text[10] != 'T') {
        return 0;
    }
    int64_t time = days_to(digits(text, 4), digits(text + 5, 2), digits(text + 8, 2));
    time = time * 24 + digits(text + 11, 2);
    time = time * 60 + digits(text + 14, 2);
    time = (time * 60 + digits(text + 17, 2)) * 1000000000;
    int64_t unit = 100000000;
    for (size_t i = 20; text[19] == '.' && text[i] >= '0' && text[i] <= '9'; i++) {
        time += (text[i] - '0') * unit;
        unit /= 10;
    }
    return time;
}

static int from_base64(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t tg_js_bytes(struct tg_json value, void *ret_bytes, size_t size)
{
    unsigned char *bytes = ret_bytes;
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;
    for (size_t i = 1; value.at != NULL && i + 1 < value.len; i++) {
        const int six = from_base64(value.at[i]);
        if (six < 0 || n == size) {
            break;
        }
        bits = bits << 6 | (uint32_t)six;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            bytes[n++] = (unsigned char)(bits >> n_bits);
        }
    }
    return n;
}
