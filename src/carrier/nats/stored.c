#include "carrier/nats/stored.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t bytes_of(struct tg_json value)
{
    return value.at != NULL ? value.len / 4 * 3 + 3 : 0;
}

/* Subject, head and data, one behind the other. */
static int keep(const struct tg_js_answer *answer, struct tg_nats_stored *ret_stored)
{
    const struct tg_json subject = tg_json_get(answer->json, "message.subject");
    const struct tg_json head = tg_json_get(answer->json, "message.hdrs");
    const struct tg_json data = tg_json_get(answer->json, "message.data");
    char *bytes = calloc(1, subject.len + 1 + bytes_of(head) + bytes_of(data));
    if (bytes == NULL) {
        return -ENOMEM;
    }
    struct tg_nats_msg msg = { .subject = bytes, .reply = "" };
    tg_json_string(subject, bytes, subject.len + 1);
    char *at = bytes + subject.len + 1;
    msg.head_len = tg_js_bytes(head, at, bytes_of(head));
    msg.head = msg.head_len > 0 ? at : NULL;
    at += bytes_of(head);
    msg.len = tg_js_bytes(data, at, bytes_of(data));
    msg.data = at;
    ret_stored->msg = msg;
    ret_stored->bytes = bytes;
    ret_stored->time_ns = tg_js_time(tg_json_get(answer->json, "message.time"));
    ret_stored->seq = tg_json_u64(tg_json_get(answer->json, "message.seq"));
    return 0;
}

int tg_nats_get_stored(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                       uint64_t seq, bool is_exact, struct tg_nats_stored *ret_stored)
{
    char stream_at[96];
    char api_at[192];
    char body_at[96];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_text api = TG_TEXT(api_at);
    struct tg_text body = TG_TEXT(body_at);
    struct tg_js_answer answer;
    tg_nats_stream(&stream, server, id);
    tg_text_add(&body, "{\"seq\":");
    tg_text_add_u64(&body, seq);
    tg_text_add(&body, is_exact ? "}" : ",\"next_by_subj\":\">\"}");
    tg_js_subject(&api, "STREAM.MSG.GET", stream.at, NULL);
    const int r = tg_js_request(js, api.at, body.at, &answer);
    if (r < 0 || answer.error == TG_JS_NO_MESSAGE) {
        return r < 0 ? r : -ENOENT;
    }
    return answer.error != 0 ? tg_js_errno(&answer) : keep(&answer, ret_stored);
}

void tg_nats_free_stored(struct tg_nats_stored *stored)
{
    free(stored->bytes);
    stored->bytes = NULL;
}
