/*
 * The pocket: a message that was fetched and did not fit the caller's buffer. It is this handle's next one, as
 * long as the server does not wonder where it is; then it is the server's again, and another one's to fetch.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/nats/fetch.h"

#define KEPT_NS (TG_NATS_ACK_WAIT_NS * 3 / 4)

static char *append(char *to, const void *from, size_t len)
{
    if (len > 0) {
        memcpy(to, from, len);
    }
    return to + len;
}

int tg_nats_pocket(struct tg_nats_box *box, const struct tg_nats_taken *taken)
{
    const struct tg_nats_msg *msg = &taken->msg;
    const size_t subject_len = strlen(msg->subject) + 1;
    const size_t reply_len = strlen(taken->ack) + 1;
    char *bytes = malloc(subject_len + reply_len + msg->head_len + msg->len);
    if (bytes == NULL) {
        return tg_nats_give_back(box, taken->ack);
    }
    struct tg_nats_msg kept = { .subject = bytes };
    char *at = append(bytes, msg->subject, subject_len);
    kept.reply = at;
    at = append(at, taken->ack, reply_len);
    kept.head = msg->head_len > 0 ? at : NULL;
    kept.head_len = msg->head_len;
    at = append(at, msg->head, msg->head_len);
    kept.data = at;
    kept.len = msg->len;
    (void)append(at, msg->data, msg->len);
    free(box->pocket_bytes);
    box->pocket_bytes = bytes;
    box->pocket = kept;
    box->pocket_until_ns = taken->is_pocketed ? box->pocket_until_ns : tg_now_ns() + KEPT_NS;
    box->has_pocket = true;
    return 0;
}

bool tg_nats_from_pocket(struct tg_nats_box *box, struct tg_nats_msg *ret_msg)
{
    if (!box->has_pocket) {
        return false;
    }
    box->has_pocket = false;
    if (tg_now_ns() >= box->pocket_until_ns) {
        return false;
    }
    *ret_msg = box->pocket;
    return true;
}

void tg_nats_empty_pocket(struct tg_nats_box *box)
{
    if (box->has_pocket && box->rx.conn != NULL && !box->rx.conn->is_lost) {
        (void)tg_nats_give_back(box, box->pocket.reply);
    }
    box->has_pocket = false;
    free(box->pocket_bytes);
    box->pocket_bytes = NULL;
}
