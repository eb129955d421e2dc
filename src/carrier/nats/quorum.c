/*
 * Messages of a mailbox with replicas that were handed out.
 *
 * What is acknowledged a server tells the others a moment later: one that dies within it has them hand the message out
 * again, as if for the first time. A deletion is told by its answer to be stored by most of them, and of one
 * message it succeeds once. So who receives deletes, and then acknowledges:
 *
 * I1  A message that was handed out with deliveries 1 was deleted by who handed it out, before the call returned: no other
 *     one can delete it, and it comes never again.
 * I2  Who is not told that he has deleted it (another one did, or the answer is lost) says deliveries 2: it may have been, or
 *     be, another's.
 */
#include <errno.h>

#include "carrier/nats/fetch.h"

int tg_nats_forget(struct tg_nats_box *box, const uint64_t seqs[], size_t n)
{
    char stream_at[96];
    struct tg_text stream = TG_TEXT(stream_at);
    uint64_t first = 0;
    int r = tg_nats_connect_side(box, &box->rx);
    tg_nats_stream(&stream, box->server, box->record.id);
    for (size_t i = 0; i < n && r == 0; i++) {
        uint64_t reply;
        r = tg_js_post_delete(box->rx.conn, stream.at, seqs[i], &reply);
        first = i == 0 ? reply : first;
    }
    const struct tg_js js = tg_nats_js(&box->rx);
    bool is_mine = true;
    for (size_t i = 0; i < n && r >= 0; i++) {
        struct tg_nats_msg msg;
        r = tg_js_await_one_of(&js, first, n, &msg);
        const struct tg_js_answer answer = r >= 0 ? tg_js_read(&msg) : (struct tg_js_answer){ 0 };
        is_mine = is_mine && tg_json_bool(tg_json_get(answer.json, "success"));
    }
    return r < 0 ? r : is_mine ? 0 : -ENOENT;
}
