/*
 * Messages that were handed out too often: to the dead-letter mailbox, or set aside.
 *
 * The receiver that comes upon one claims it, gives the token back, sends a copy with its origin, and
 * finishes the claim. Killed before that, the next one sends it again: there are two copies then,
 * with the same origin. It is never lost: not sent, it is set aside (PARKED), where it takes room, is
 * counted, and is tried again while the mailbox is used, at most once a second.
 *
 * A message that has an origin already is set aside rather than sent on, so that a circle of
 * dead-letter mailboxes ends.
 */
#include <errno.h>
#include <string.h>

#include "mailbox/box.h"

static struct tg_origin origin_of(struct tg_box *box, const struct tg_take *take)
{
    struct tg_origin origin = { .deliveries = box->max_deliveries,
                                .sequence =
                                    tg_reader_full_sequence(&take->at->reader, take->sequence),
                                .row = take->at->reader.row,
                                .uid = take->at->reader.uid,
                                .pid = (int32_t)take->pid };
    memcpy(origin.box_id, box->id, sizeof origin.box_id);
    tg_process_name(box, origin.name);
    return origin;
}

/* No token held. 0: it is there. */
static int send_on(struct tg_box *box, const struct tg_take *take)
{
    if (box->dead_letter[0] == '\0') {
        return -ENOENT;
    }
    /* What its sender said of it goes with it. */
    struct tg_said said;
    int r = tg_take_said(take, &said);
    if (r < 0 || said.has_origin) {
        return r < 0 ? r : -EEXIST;
    }
    said.has_origin = true;
    said.origin = origin_of(box, take);
    struct tg_box *to = NULL;
    r = tg_box_open(box->way, box->dead_letter, TONG_SEND, NULL, &to);
    if (r < 0) {
        return r;
    }
    r = to->capacity == 0 ? -EOPNOTSUPP
                          : tg_box_send_said(to, &said, take->data, take->len, 0, NULL);
    (void)tg_box_close(to);
    return r;
}

void tg_dead_letter(struct tg_box *box)
{
    struct tg_take take = { .how = TG_TAKE_CLAIM };
    const int r = tg_take_too_often(box, &take);
    tg_box_unlock(box);
    if (r != 1) {
        return;
    }
    if (send_on(box, &take) == 0) {
        (void)tg_add(&box->head->dead_letters, 1);
        tg_claims_finish(box, take.entry, TG_ENTRY(TG_RELEASED, take.deliveries));
    } else {
        tg_claims_finish(box, take.entry, TG_ENTRY(TG_PARKED, take.deliveries));
    }
    tg_request_tell_now(box); /* if it is one, nobody answers it here */
    tg_take_drop(&take);
}

int tg_box_origin(struct tg_box *box, const tong_message *message, tong_origin *ret_origin)
{
    if (box->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    uint32_t state;
    const struct tg_box_entry *entry = tg_claims_entry_of(box, message, &state);
    if (entry == NULL) {
        return -EINVAL;
    }
    struct tg_take take = { .data = message->data,
                            .extension = tg_load_relaxed(&entry->extension) };
    struct tg_said said;
    if (tg_take_said(&take, &said) < 0 || !said.has_origin) {
        return 0;
    }
    const struct tg_origin origin = said.origin;
    ret_origin->deliveries = origin.deliveries;
    ret_origin->sequence = origin.sequence;
    ret_origin->uid = origin.uid;
    ret_origin->pid = origin.pid;
    memcpy(ret_origin->id, origin.box_id, sizeof ret_origin->id);
    memcpy(ret_origin->name, origin.name, sizeof ret_origin->name);
    return 1;
}
