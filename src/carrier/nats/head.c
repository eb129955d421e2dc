/* What a fetched message says: the server of how it was handed out, its sender in the head. All of it is input. */
#include <errno.h>
#include <string.h>

#include "base/name.h"
#include "carrier/nats/fetch.h"

static uint64_t number_at(const char **at)
{
    const uint64_t number = tg_json_u64((struct tg_json){ *at, strlen(*at) });
    *at += strspn(*at, "0123456789");
    *at += strspn(*at, " ");
    return number;
}

/* $JS.ACK.[DOMAIN.ACCOUNT.]STREAM.CONSUMER.DELIVERED.SEQ.CONSUMER_SEQ.TIME.PENDING[.RANDOM] */
static int read_ack(const char *ack, struct tg_nats_taken *ret_taken)
{
    char copy[TG_NATS_ACK_SIZE];
    char *words[16];
    const size_t len = strlen(ack);
    if (len >= sizeof copy) {
        return -EPROTO;
    }
    memcpy(copy, ack, len + 1);
    const size_t n = tg_nats_split(copy, words, 16);
    const size_t first = n == 9 ? 4 : 6;
    if (n != 9 && n < 11) {
        return -EPROTO;
    }
    const char *delivered = words[first];
    const char *seq = words[first + 1];
    const char *time = words[first + 3];
    ret_taken->deliveries = (uint32_t)number_at(&delivered);
    ret_taken->seq = number_at(&seq);
    ret_taken->time_ns = (int64_t)number_at(&time);
    return 0;
}

/* The value of a header line. */
static bool find_header(const struct tg_nats_msg *msg, const char *key, char *ret_value,
                        size_t size)
{
    const char *at = msg->head_len > 0 ? memmem(msg->head, msg->head_len, key, strlen(key)) : NULL;
    const char *end = msg->head + msg->head_len;
    size_t len = 0;
    for (at = at != NULL ? at + strlen(key) : end; at < end && *at != '\r' && len + 1 < size;
         at++) {
        ret_value[len++] = *at;
    }
    ret_value[len] = '\0';
    return len > 0;
}

/* SPACE.q.NAME.ID.FROM.PROC.HANDLE.NUMBER: the process that sent it, if it has a name. */
static void read_from(struct tg_nats_taken *taken)
{
    const char *at = taken->msg.subject;
    for (unsigned dots = 0; dots < 4 && at != NULL; dots++) {
        at = strchr(at, '.');
        at = at != NULL ? at + 1 : NULL;
    }
    const size_t len = at != NULL ? strspn(at, "0123456789abcdef") : 0;
    if (len == TG_NATS_ID_SIZE - 1 && at[len] == '.' &&
        find_header(&taken->msg, "\nTong-From: ", taken->from_name, sizeof taken->from_name) &&
        tg_name_check(taken->from_name) == 0) {
        memcpy(taken->from_id, at, len);
    } else {
        taken->from_name[0] = '\0';
    }
}

/* Its last three words. */
static void read_owner(struct tg_nats_taken *taken)
{
    const char *at = taken->msg.subject;
    for (unsigned dots = 0; dots < 5 && at != NULL; dots++) {
        at = strchr(at, '.');
        at = at != NULL ? at + 1 : NULL;
    }
    struct tg_text owner = TG_TEXT(taken->owner);
    tg_text_add(&owner, at != NULL ? at : "");
}

/* "LEN PIECES SEQ": what cannot be is no long message. */
static void read_long(struct tg_nats_taken *taken, const char *at)
{
    const uint64_t len = number_at(&at);
    taken->n_pieces = number_at(&at);
    taken->first_seq = number_at(&at);
    taken->is_long = len <= TONG_MESSAGE_MAX && taken->n_pieces > 0 && taken->n_pieces <= len;
    taken->len = taken->is_long ? (size_t)len : taken->len;
}

/* "TOKEN SUBJECT": who sends says whom to tell. That is an inbox, and nothing of the server or of a space. */
static void read_offer(struct tg_nats_box *box, struct tg_nats_taken *taken, const char *at)
{
    const uint64_t token = number_at(&at);
    const size_t len = strlen(box->server->space);
    if (at[0] == '$' || (strncmp(at, box->server->space, len) == 0 && at[len] == '.')) {
        return;
    }
    taken->token = token;
    struct tg_text tell = TG_TEXT(taken->tell);
    tg_text_add(&tell, at);
}

/* "SEQUENCE DELIVERIES UID PID ID NAME" */
static void read_origin(struct tg_nats_taken *taken, const char *at)
{
    struct tg_nats_origin *origin = &taken->origin;
    origin->sequence = number_at(&at);
    origin->deliveries = (uint32_t)number_at(&at);
    origin->uid = (uint32_t)number_at(&at);
    origin->pid = (int32_t)number_at(&at);
    const size_t len = strspn(at, "0123456789abcdef");
    if (len == TG_NATS_ID_SIZE - 1 && at[len] == ' ' && tg_name_check(at + len + 1) == 0) {
        memcpy(origin->id, at, len);
        memcpy(origin->name, at + len + 1, strlen(at + len + 1) + 1);
    }
}

/* Of a message that no tong has sent nothing is known. */
void tg_nats_read_said(struct tg_nats_box *box, struct tg_nats_taken *taken)
{
    char text[512];
    taken->len = taken->msg.len;
    taken->said = (tong_send_options)TONG_SEND_OPTIONS_INIT;
    if (!find_header(&taken->msg, "\nTong: 1 ", text, sizeof text)) {
        return;
    }
    const char *at = text;
    taken->number = number_at(&at);
    taken->uid = (uint32_t)number_at(&at);
    taken->gid = (uint32_t)number_at(&at);
    taken->pid = (int32_t)number_at(&at);
    taken->until_ns = (int64_t)number_at(&at);
    taken->said.priority = (uint32_t)number_at(&at);
    taken->said.tag = number_at(&at);
    taken->said.key = number_at(&at);
    taken->said.call = number_at(&at);
    taken->expiry_ns = (int64_t)number_at(&at);
    taken->sent_ns = number_at(&at);
    (void)find_header(&taken->msg, "\nTong-Reply-To: ", taken->reply_to, sizeof taken->reply_to);
    if (find_header(&taken->msg, "\nTong-Long: ", text, sizeof text)) {
        read_long(taken, text);
    }
    if (find_header(&taken->msg, "\nTong-Origin: ", text, sizeof text)) {
        read_origin(taken, text);
    }
    if (find_header(&taken->msg, "\nTong-Offer: ", text, sizeof text)) {
        read_offer(box, taken, text);
    }
    read_owner(taken);
    read_from(taken);
}

void tg_nats_tell(const struct tg_nats_taken *taken, tong_message *ret_info)
{
    ret_info->deliveries = taken->deliveries;
    ret_info->sequence = taken->number;
    ret_info->uid = taken->uid;
    ret_info->gid = taken->gid;
    ret_info->pid = taken->pid;
    ret_info->verified = 0;
    ret_info->key = taken->said.key;
    ret_info->tag = taken->said.tag;
    ret_info->call = taken->said.call;
    ret_info->priority = taken->said.priority;
    ret_info->sent_ns = taken->sent_ns;
    memcpy(ret_info->sender, taken->from_name, sizeof ret_info->sender);
    memcpy(ret_info->reply_to, taken->reply_to, sizeof ret_info->reply_to);
}

int tg_nats_read_head(struct tg_nats_box *box, struct tg_nats_taken *taken)
{
    const struct tg_nats_msg msg = taken->msg;
    const bool is_pocketed = taken->is_pocketed;
    memset(taken, 0, sizeof *taken);
    taken->msg = msg;
    taken->is_pocketed = is_pocketed;
    const int r = read_ack(taken->msg.reply, taken);
    if (r < 0) {
        return r;
    }
    struct tg_text ack = TG_TEXT(taken->ack);
    tg_text_add(&ack, taken->msg.reply);
    tg_nats_read_said(box, taken);
    return 0;
}
