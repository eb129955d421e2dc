/*
 * Claims: a message in hand is one that the server has handed out and nobody has acknowledged.
 *
 * I1  The server hands it out again when it has heard nothing of it for TG_NATS_ACK_WAIT_NS; the
 *     keeper says of each claim that it is being worked on, for as long as this process lives.
 * I2  Each claim stands in the book, with its holder. A receiver that waits looks who of the holders is there,
 *     and gives back what the others held: so a death is known long before the server would wonder.
 * I3  One look in which somebody is absent is no death: he may be connecting again (tg_nats_is_dead).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/nats/box.h"
#include "carrier/nats/call.h"
#include "carrier/nats/dead_letter.h"
#include "carrier/nats/fork.h"
#include "carrier/nats/long.h"
#include "carrier/nats/rendezvous.h"

static void enter(struct tg_nats_box *box)
{
    while (tg_gate_enter(&box->claims_gate, TG_NEVER, NULL, 0) < 0) {
    }
}

static struct tg_nats_claim *find_free(struct tg_nats_box *box)
{
    size_t i = 0;
    while (box->claims[i].number != 0) {
        i++;
    }
    return &box->claims[i];
}

static struct tg_nats_claim *find(struct tg_nats_box *box, const tong_message *message)
{
    const size_t i = (size_t)message->private_[0];
    return message->private_[1] != 0 && i < TG_NATS_CLAIMS &&
                   box->claims[i].number == message->private_[1]
               ? &box->claims[i]
               : NULL;
}

static int keep_origin(const struct tg_nats_taken *taken, struct tg_nats_claim *claim)
{
    claim->origin = taken->origin.id[0] != '\0' ? malloc(sizeof *claim->origin) : NULL;
    if (claim->origin != NULL) {
        *claim->origin = taken->origin;
    }
    return taken->origin.id[0] != '\0' && claim->origin == NULL ? -ENOMEM : 0;
}

static void free_claim(struct tg_nats_claim *claim)
{
    free(claim->data);
    free(claim->origin);
    claim->data = NULL;
    claim->origin = NULL;
}

static int keep(struct tg_nats_box *box, struct tg_nats_taken *taken, struct tg_nats_claim *claim)
{
    char more_at[32];
    struct tg_text more = TG_TEXT(more_at);
    struct tg_text ack = TG_TEXT(claim->kept.ack);
    tg_text_add(&ack, taken->ack);
    memcpy(claim->owner, taken->is_long ? taken->owner : "",
           taken->is_long ? sizeof claim->owner : 1);
    void *data = NULL;
    if (posix_memalign(&data, 16, taken->len + 1) != 0) {
        return -ENOMEM;
    }
    tg_text_add(&more, ".");
    tg_text_add_u64(&more, box->last_claim + 1);
    taken->is_claimed = true;
    int r = tg_nats_take_over(box, taken, true);
    r = r < 0 ? r : tg_nats_copy(box, taken, data);
    r = r < 0 ? r : tg_nats_keep(box->server);
    r = r < 0 ? r : keep_origin(taken, claim);
    r = r < 0 ? r : tg_nats_count_claim(box, taken);
    r = r < 0 ? r : tg_nats_write_line(box, 'c', more.at, claim->kept.ack, &claim->line);
    claim->data = data;
    if (r < 0) {
        free_claim(claim);
        return r;
    }
    enter(box);
    claim->number = ++box->last_claim;
    claim->counted = taken->counted;
    claim->asked = taken->asked;
    claim->is_request = taken->said.call != 0;
    tg_nats_keep_claim(box->server->keeper, &claim->kept);
    box->n_claims++;
    tg_gate_leave(&box->claims_gate);
    return 0;
}

static int take_one(struct tg_nats_box *box, struct tg_nats_call *call, struct tg_nats_taken *taken,
                    struct tg_nats_claim *claim)
{
    int r = -ENODATA;
    while (r == -ENODATA) {
        r = tg_nats_take(box, call, taken);
        if (r < 0) {
            return r;
        }
        r = keep(box, taken, claim);
        if (r < 0) {
            const int refused = tg_nats_refuse(box, taken, r);
            r = r == -ESTALE ? -ENODATA : refused < 0 ? refused : r;
        }
    }
    return r;
}

int tg_nats_claim(struct tg_nats_box *box, int64_t timeout_ns, tong_message *ret_message)
{
    struct tg_nats_call call;
    struct tg_nats_taken taken;
    int r = tg_nats_begin(box, &box->rx, TONG_RECEIVE, timeout_ns, &call);
    if (r < 0) {
        return r;
    }
    /* Only this side adds claims, and one call at a time is in it. */
    enter(box);
    struct tg_nats_claim *claim = box->n_claims < TG_NATS_CLAIMS ? find_free(box) : NULL;
    tg_gate_leave(&box->claims_gate);
    r = claim == NULL ? -ENOBUFS : take_one(box, &call, &taken, claim);
    if (r == 0) {
        tg_nats_tell(&taken, ret_message);
        ret_message->data = claim->data;
        ret_message->len = taken.len;
        ret_message->private_[0] = (uint64_t)(claim - box->claims);
        ret_message->private_[1] = claim->number;
    }
    tg_nats_finish(&box->rx);
    return r;
}

/* ---- the end of a claim */

/* The message is over, or goes back; and the server has carried it out. */
static int say(struct tg_nats_box *box, struct tg_nats_claim *claim, bool is_done)
{
    struct tg_js js;
    int r = tg_nats_enter(box->server, &js);
    if (r < 0) {
        return r;
    }
    /* A request that goes back is nobody's by then. */
    if (claim->asked != 0) {
        (void)tg_book_delete(box->server, &js, claim->asked);
    }
    r = tg_nats_say_of(&js, claim->kept.ack, is_done ? "+ACK" : "-NAK");
    const int deleted = tg_book_delete(box->server, &js, claim->line);
    if (is_done && claim->counted != 0) {
        (void)tg_book_delete(box->server, &js, claim->counted);
    }
    if (is_done) {
        char subject_at[TG_NATS_SUBJECT_SIZE];
        struct tg_text subject = TG_TEXT(subject_at);
        tg_nats_subject(&subject, box->server, 'r', box->name, box->record.id);
        (void)tg_nats_publish_text(js.conn, subject.at, NULL, "");
        (void)tg_nats_flush(js.conn, tg_now_ns() + TG_NATS_PATIENCE_NS);
    }
    tg_nats_leave(box->server);
    if (is_done && claim->owner[0] != '\0') {
        (void)tg_nats_drop_long(box, claim->owner);
    }
    return r < 0 ? r : deleted;
}

/* What cannot be said comes again when the server wonders: the claim is over all the same. */
static void end_claim(struct tg_nats_box *box, struct tg_nats_claim *claim, bool is_done)
{
    tg_nats_forget_claim(box->server->keeper, &claim->kept);
    (void)say(box, claim, is_done);
    free_claim(claim);
    claim->number = 0;
    box->n_claims--;
}

static int finish(struct tg_nats_box *box, tong_message *message, bool is_done)
{
    if (box->forks != tg_nats_forks()) {
        return -ECHILD;
    }
    enter(box);
    struct tg_nats_claim *claim = find(box, message);
    if (claim != NULL) {
        end_claim(box, claim, is_done);
        message->private_[1] = 0;
    }
    tg_gate_leave(&box->claims_gate);
    if (claim != NULL && !is_done) {
        (void)tg_nats_count(box, TG_NATS_REDELIVERED, 1);
    }
    return claim != NULL ? 0 : -EINVAL;
}

int tg_nats_origin(struct tg_nats_box *box, const tong_message *message, tong_origin *ret_origin)
{
    if (box->forks != tg_nats_forks()) {
        return -ECHILD;
    }
    enter(box);
    const struct tg_nats_claim *claim = find(box, message);
    const bool is_letter = claim != NULL && claim->origin != NULL;
    const struct tg_nats_origin origin = is_letter ? *claim->origin : (struct tg_nats_origin){ 0 };
    tg_gate_leave(&box->claims_gate);
    if (!is_letter) {
        return claim == NULL ? -EINVAL : 0;
    }
    ret_origin->deliveries = origin.deliveries;
    ret_origin->sequence = origin.sequence;
    ret_origin->uid = origin.uid;
    ret_origin->pid = origin.pid;
    tg_nats_id_bytes(origin.id, ret_origin->id);
    memcpy(ret_origin->name, origin.name, sizeof ret_origin->name);
    return 1;
}

int tg_nats_done(struct tg_nats_box *box, tong_message *message)
{
    return finish(box, message, true);
}

int tg_nats_return(struct tg_nats_box *box, tong_message *message)
{
    return finish(box, message, false);
}

void tg_nats_return_all(struct tg_nats_box *box)
{
    uint64_t n = 0;
    for (size_t i = 0; i < TG_NATS_CLAIMS; i++) {
        if (box->claims[i].number != 0) {
            /* Who closes with a request answers it no more; it comes back where deliveries are counted. */
            const bool is_over =
                box->claims[i].is_request && box->record.options.max_deliveries == 0;
            end_claim(box, &box->claims[i], is_over);
            n += !is_over;
        }
    }
    if (n > 0) {
        (void)tg_nats_count(box, TG_NATS_REDELIVERED, n);
    }
}
