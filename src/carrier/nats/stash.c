/*
 * The stash of a process: messages of others that came while one of a certain sender was asked for. They are in hand,
 * as claims are, until somebody asks for them: the keeper says of each that it is being worked on. Nobody but the
 * process receives from its mailbox, and it ends with the process, so nothing waits here for another one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/nats/direct.h"

struct tg_nats_stashed {
    struct tg_nats_stashed *next;
    struct tg_nats_kept kept;
    uint64_t seq;
    struct tg_nats_msg msg;
    char from_id[TG_NATS_ID_SIZE];
    char from_name[TONG_NAME_MAX]; /* as its sender was called by then */
    char name[TONG_NAME_MAX];      /* as it is called, as was found out at: */
    int64_t named_ns;
    char bytes[];
};

static char *append(char *to, const void *from, size_t len)
{
    if (len > 0) {
        memcpy(to, from, len);
    }
    return to + len;
}

/* The place of that number, or the one it would have. */
static struct tg_nats_stashed **place_of(struct tg_nats_box *box, uint64_t seq)
{
    struct tg_nats_stashed **at = &box->stash;
    while (*at != NULL && (*at)->seq < seq) {
        at = &(*at)->next;
    }
    return at;
}

static void unlink_one(struct tg_nats_box *box, struct tg_nats_stashed **at)
{
    struct tg_nats_stashed *one = *at;
    tg_nats_forget_claim(box->server->keeper, &one->kept);
    *at = one->next;
    box->n_stashed--;
}

static void link_one(struct tg_nats_box *box, struct tg_nats_stashed *one)
{
    struct tg_nats_stashed **at = place_of(box, one->seq);
    if (*at != NULL && (*at)->seq == one->seq) { /* the server wondered, and handed it out again */
        struct tg_nats_stashed *old = *at;
        unlink_one(box, at);
        free(old);
    }
    one->next = *at;
    *at = one;
    box->n_stashed++;
    tg_nats_keep_claim(box->server->keeper, &one->kept);
}

int tg_nats_stash(struct tg_nats_box *box, const struct tg_nats_taken *taken)
{
    struct tg_nats_stashed *one = box->unstashed;
    if (one != NULL && taken->msg.subject == one->bytes) { /* it goes back where it was */
        box->unstashed = NULL;
        link_one(box, one);
        return 0;
    }
    const struct tg_nats_msg *msg = &taken->msg;
    const size_t subject_len = strlen(msg->subject) + 1;
    const size_t ack_len = strlen(taken->ack) + 1;
    one = calloc(1, sizeof *one + subject_len + ack_len + msg->head_len + msg->len);
    if (one == NULL) {
        (void)tg_nats_give_back(box, taken->ack);
        return -ENOMEM;
    }
    one->seq = taken->seq;
    memcpy(one->kept.ack, taken->ack, ack_len);
    memcpy(one->from_id, taken->from_id, sizeof one->from_id);
    memcpy(one->from_name, taken->from_name, sizeof one->from_name);
    one->msg.subject = one->bytes;
    char *at = append(one->bytes, msg->subject, subject_len);
    one->msg.reply = at;
    at = append(at, taken->ack, ack_len);
    one->msg.head = msg->head_len > 0 ? at : NULL;
    one->msg.head_len = msg->head_len;
    at = append(at, msg->head, msg->head_len);
    one->msg.data = at;
    one->msg.len = msg->len;
    (void)append(at, msg->data, msg->len);
    link_one(box, one);
    return 0;
}

/* Whether it is of the one the call asks for: 1, 0, -errno. A name is looked up once in a call. */
static int is_wanted(struct tg_nats_box *box, const struct tg_nats_call *call,
                     struct tg_nats_stashed *one)
{
    if (call->from == NULL) {
        return 1;
    }
    if (one->from_id[0] == '\0') {
        return 0;
    }
    if (one->named_ns < call->began_ns) {
        const int r = tg_nats_name_of(box, one->from_id, one->from_name, one->name);
        if (r < 0) {
            return r;
        }
        one->named_ns = tg_now_ns();
    }
    return strcmp(one->name, call->from) == 0;
}

int tg_nats_from_stash(struct tg_nats_box *box, const struct tg_nats_call *call,
                       struct tg_nats_msg *ret_msg)
{
    int r = 0;
    free(box->unstashed); /* what was taken before is over */
    box->unstashed = NULL;
    for (struct tg_nats_stashed **at = &box->stash; *at != NULL && r == 0;) {
        r = is_wanted(box, call, *at);
        if (r == 1) {
            box->unstashed = *at;
            *ret_msg = (*at)->msg;
            unlink_one(box, at);
        } else {
            at = &(*at)->next;
        }
    }
    return r;
}

void tg_nats_empty_stash(struct tg_nats_box *box)
{
    while (box->stash != NULL) {
        struct tg_nats_stashed *one = box->stash;
        unlink_one(box, &box->stash);
        free(one);
    }
}

void tg_nats_free_stash(struct tg_nats_box *box)
{
    while (box->stash != NULL) {
        struct tg_nats_stashed *one = box->stash;
        box->stash = one->next;
        free(one);
    }
    free(box->unstashed);
}
