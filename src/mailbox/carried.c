/*
 * Messages that another way carries than the links: the receiving side. The token is held.
 *
 * A sender takes its room and its number as ever, puts the record into the queue, and then counts it: link
 * tail + 1. The link holds no records; it says whose the messages are, and how many. The receiver that
 * holds the token gets a record out of the queue straight into the stage, a file, so that it is in
 * shared memory at the moment it leaves the kernel. Row words count as ever: next, head, done. The order
 * is the queue's, so they are numbers of messages of the link handed out, whichever ones.
 *
 *   stage       facts                                         left by
 *   empty       record.magic 0                                get: the kernel writes the record, magic first
 *   in hand     handed to nobody; next does not count it      hand-out: magic 0
 *   (intent)    next is about to be {row, number}             after next was stored: intent 0
 *
 *   hand-out, copied:   copy; [body's name goes;] intent; magic 0; next; head, done; intent 0
 *   hand-out, claimed:  body; entry CLAIMED; intent; magic 0; next; intent 0
 *
 * I1  magic 0 is the hand-out. Who takes the token from a dead one and finds an intent: magic 0, next is
 *     brought up to it; not 0, next is put back if it was there: the message is in hand as before.
 * I2  An entry is void while its number is not before next, as with records.
 * I3  A send that was killed between put and count was never promised, and nobody knows of it but the
 *     queue. Its room counts as unused and may have been given back (room.c: of a dead one is sent what its
 *     link or next say). So a message that is not counted is taken only if its sender lives, in this order:
 *     next counts it; fence; the sender still lives. Else next is put back, and the message thrown away unless the
 *     sender counted it before it went: tail is asked once more.
 *     Who gives the room back sees the death first and next behind it: either it sees that the message
 *     was taken, or the message is thrown away.
 * I4  What is not a record of a link that is there, is counted already, or ahead of its sender, was sent
 *     by nobody who may, or by a dead one whose link is gone: it is thrown away and never told.
 * I5  Nobody sees behind the first message of a queue. What a call does not ask for is passed over at once, even if
 *     it finds nothing then: an entry, RETURNED and never delivered, as in select.c.
 *     A claim's bytes are in its body, so that they outlive the claimer.
 * I6  The link of a dead one is never taken over: nobody could tell an uncounted message of it from one of
 *     the successor. One that closed its link has counted all.
 * I7  next and tail say how many, not which. A message that is not counted yet and overtook counted ones of its
 *     link would, handed out, pass for one of these, and the last of them for nobody's. It stays in the
 *     stage, and so does what is behind it, until its sender counts it, which takes a few instructions, and
 *     rings; a dead one's is thrown away. Who sleeps meanwhile looks again after a millisecond, for nobody
 *     tells of that death; in an event loop the back-stop does.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "mailbox/take.h"

#define LOOKS_MOST 256  /* messages looked at in one look */
#define SHORT_MOST 256u /* messages in a row the short way */

/* A message that was found. */
struct found {
    struct tg_carried head;
    struct tg_attached *at;
    const uint8_t *bytes; /* extension and payload; NULL: in the body */
    uint32_t target;      /* what next becomes by it */
    uint32_t next;        /* what it was */
    bool nothing_out;     /* no message of the link is claimed */
    bool counted;         /* by next already (I3) */
};

/* ---- the words */

static uint32_t magic_of(const struct tg_box *box)
{
    return tg_load_acquire(&box->carry->record->magic);
}

static void empty_stage(struct tg_box *box)
{
    /* release: whatever was made of the message comes first (I1). */
    tg_store_release(&box->carry->record->magic, UINT32_C(0));
}

static void set_intent(struct tg_box *box, uint32_t row, uint32_t number)
{
    tg_store_release(&box->carry->stage->intent, ((uint64_t)row + 1) << 32 | number);
}

static void clear_intent(struct tg_box *box)
{
    tg_store_release(&box->carry->stage->intent, UINT64_C(0));
}

static void store_next(struct tg_box_row *row, uint32_t number)
{
    const uint64_t next = tg_load_relaxed(&row->next);
    tg_store_release(&row->next, tg_place(number, tg_place_offset(next)));
}

void tg_carried_repair(struct tg_box *box)
{
    if (box->carry == NULL || box->carry->stage == NULL) {
        return;
    }
    const uint64_t intent = tg_load_relaxed(&box->carry->stage->intent);
    const uint32_t row = (uint32_t)(intent >> 32) - 1;
    if (intent == 0) {
        return;
    }
    if (row < tg_load_relaxed(&box->head->n_rows) && row < TG_LINKS_MAX) {
        const uint32_t number = (uint32_t)intent;
        const uint32_t next = tg_place_sequence(tg_load_relaxed(&box->rows[row].next));
        if (magic_of(box) == 0 && next + 1 == number) {
            store_next(&box->rows[row], number);
        } else if (magic_of(box) != 0 && next == number) {
            store_next(&box->rows[row], number - 1);
        }
    }
    clear_intent(box);
}

/* ---- what a record may be */

static bool is_record(const struct tg_box *box, const struct tg_carried *head)
{
    const uint64_t len = (uint64_t)head->extension + head->length;
    return tg_load_relaxed(&head->magic) == TG_CARRIED_MAGIC && head->row < TG_LINKS_MAX &&
           head->extension % 16 == 0 && head->extension <= TG_EXTENSION_MOST && len <= UINT32_MAX &&
           head->in_body <= 1 &&
           (head->in_body != 0 || len <= box->carry->record_size - sizeof *head) &&
           (box->message_size == 0 || head->length == box->message_size) && len <= box->max_bytes;
}

static struct tg_attached *link_of(struct tg_box *box, const struct tg_carried *head)
{
    struct tg_attached *at = box->rx.by_row != NULL ? box->rx.by_row[head->row] : NULL;
    return at != NULL && at->reader.link_id == head->link_id && !at->reader.damaged &&
                   tg_links_is_current(box, at)
               ? at
               : NULL;
}

/* Of the link in a record, attached if it is not yet. NULL: there is none (I4). */
static int find_link(struct tg_box *box, const struct tg_carried *head, struct tg_attached **ret_at)
{
    *ret_at = link_of(box, head);
    int r = 0;
    if (*ret_at == NULL) {
        r = tg_links_refresh(box);
        *ret_at = r == 0 ? link_of(box, head) : NULL;
    }
    return r;
}

/* ---- the stage */

/* 1: a record is in the stage; 0: nothing; -errno. */
static int get_record(struct tg_box *box)
{
    struct tg_carry *carry = box->carry;
    if (magic_of(box) != 0 || carry->is_empty) {
        return magic_of(box) != 0;
    }
    /* A shorter one than a head must not look like the one before it. */
    memset(carry->record, 0, sizeof *carry->record);
    const ssize_t n = box->way->get(carry->fd, carry->record, carry->record_size);
    if (n < 0) {
        return n == -EAGAIN ? 0 : (int)n;
    }
    const struct tg_carried *head = carry->record;
    const uint64_t bytes = head->in_body != 0 ? 0 : (uint64_t)head->extension + head->length;
    if (!is_record(box, head) || (uint64_t)n != sizeof *head + bytes) {
        empty_stage(box);
    }
    return 1;
}

static void forget_body(struct tg_box *box, const struct tg_carried *head)
{
    char name[TG_BODY_NAME_SIZE];
    tg_carry_body_name(head->link_id, head->sequence, name);
    (void)tg_sys_unlink(box->dir, name);
}

/* The record in the stage is nobody's message. */
static void throw_away(struct tg_box *box, const struct tg_carried *head)
{
    if (head->in_body == 1 && tg_load_relaxed(&head->magic) == TG_CARRIED_MAGIC) {
        forget_body(box, head);
    }
    empty_stage(box);
}

/* The next one that is a message of a link. 1, 0, -errno. */
static int look_at_stage(struct tg_box *box, struct found *ret)
{
    for (int tries = 0; tries < LOOKS_MOST; tries++) {
        int r = get_record(box);
        if (r != 1) {
            return r;
        }
        ret->head = *box->carry->record;
        if (!is_record(box, &ret->head)) {
            empty_stage(box);
            continue;
        }
        r = find_link(box, &ret->head, &ret->at);
        if (r < 0) {
            return r;
        }
        if (ret->at != NULL) {
            ret->bytes = ret->head.in_body != 0 ? NULL : (uint8_t *)(box->carry->record + 1);
            return 1;
        }
        throw_away(box, &ret->head);
    }
    return 0;
}

/* ---- counting it (I3, I4) */

enum counted {
    NOT_OURS,
    COUNTED,   /* its sender counted it */
    UNCOUNTED, /* it is about to */
};

static enum counted compare_with_tail(const struct found *f)
{
    const struct tg_link_head *head = f->at->reader.head;
    const uint32_t tail = tg_place_sequence(tg_load_acquire(&head->tail));
    const int32_t behind = (int32_t)(tail - f->head.sequence);
    const int32_t left = (int32_t)(tail - f->next);
    if (behind > 0) {
        return left > 0 ? COUNTED : NOT_OURS;
    }
    return behind == 0 && left >= 0 ? UNCOUNTED : NOT_OURS;
}

static bool sender_lives(struct tg_box *box, const struct found *f)
{
    const uint64_t owner = tg_load_acquire(&f->at->reader.head->owner);
    return owner != 0 && tg_life_is_alive_of(box->root, owner, f->at->reader.uid);
}

/* Its sender has not counted it, and counted ones are behind it in the queue, for it has a higher priority. */
static bool overtakes_uncounted(struct found *f)
{
    f->next = tg_place_sequence(tg_load_relaxed(&f->at->row->next));
    if (tg_reader_refresh(&f->at->reader) < 0) {
        return false;
    }
    const uint32_t tail = tg_place_sequence(tg_load_acquire(&f->at->reader.head->tail));
    return tail == f->head.sequence && (int32_t)(tail - f->next) > 0;
}

/* I7. */
static bool is_early(struct tg_box *box, struct found *f)
{
    box->carry->early = overtakes_uncounted(f) && sender_lives(box, f);
    return box->carry->early;
}

/* Of one whose sender has closed its link or died since: it may have counted it before. */
static bool counted_at_last(struct found *f)
{
    return tg_reader_refresh(&f->at->reader) == 0 && compare_with_tail(f) == COUNTED;
}

/* Whether it may be handed out. */
static bool count_it(struct tg_box *box, struct found *f)
{
    const struct tg_box_row *row = f->at->row;
    f->next = tg_place_sequence(tg_load_relaxed(&row->next));
    f->target = f->next + 1;
    f->nothing_out = tg_place_sequence(tg_load_relaxed(&row->head)) == f->next;
    if (tg_reader_refresh(&f->at->reader) < 0) {
        return false;
    }
    const enum counted counted = compare_with_tail(f);
    if (counted != UNCOUNTED) {
        return counted == COUNTED;
    }
    if (!sender_lives(box, f)) {
        return counted_at_last(f);
    }
    set_intent(box, f->at->reader.row, f->target);
    store_next(f->at->row, f->target);
    /* Partner: sent_of_dead in room.c, which reads next behind the death. */
    tg_fence();
    f->counted = true;
    if (sender_lives(box, f)) {
        return true;
    }
    store_next(f->at->row, f->next);
    clear_intent(box);
    f->counted = false;
    return counted_at_last(f);
}

/* It is not handed out after all. */
static void uncount(struct tg_box *box, struct found *f)
{
    if (f->counted) {
        store_next(f->at->row, f->next);
        clear_intent(box);
        f->counted = false;
    }
}

/* I1. */
static void hand_out(struct tg_box *box, struct found *f)
{
    set_intent(box, f->at->reader.row, f->target);
    empty_stage(box);
    store_next(f->at->row, f->target);
}

static void consume(struct tg_box *box, struct found *f)
{
    if (f->head.in_body != 0) {
        forget_body(box, &f->head);
    }
    hand_out(box, f);
    if (f->nothing_out) {
        tg_claims_free_room(box, f->at, tg_load_relaxed(&f->at->row->next), f->target);
    } else {
        tg_claims_collect_one(box, f->at);
    }
    clear_intent(box);
}

/* ---- bodies */

/* Made by its sender, or for a claim by a receiver: the mailbox's user or root. */
static bool is_makers(const struct tg_box *box, const struct tg_attached *at, uint32_t uid)
{
    return uid == at->reader.uid || uid == box->dir_uid || uid == 0;
}

/* The body of a message, checked: its descriptor, or -ENOENT, -EPROTO, ... */
static int open_body(struct tg_box *box, const struct tg_attached *at, uint32_t number,
                     struct tg_carried *ret_head)
{
    char name[TG_BODY_NAME_SIZE];
    struct stat st;
    const uint64_t link_id = at->reader.link_id;
    tg_carry_body_name(link_id, number, name);
    tg_fd fd = tg_sys_open(box->dir, name, O_RDONLY, 0);
    if (fd < 0) {
        return fd == -ELOOP || fd == -EISDIR || fd == -EACCES ? -EPROTO : fd;
    }
    int r = tg_sys_fstat(fd, &st);
    if (r == 0 && !is_makers(box, at, st.st_uid)) {
        return -EPROTO;
    }
    r = r == 0 ? tg_sys_pread(fd, ret_head, sizeof *ret_head, 0) : r;
    if (r == 0 && is_record(box, ret_head) && ret_head->link_id == link_id &&
        ret_head->sequence == number) {
        return tg_steal_fd(&fd);
    }
    return r < 0 ? r : -EPROTO;
}

static int read_all(int fd, uint8_t *to, uint64_t len, uint64_t at)
{
    const uint64_t most = UINT64_C(1) << 30;
    int r = 0;
    for (uint64_t done = 0; r == 0 && done < len; done += most) {
        r = tg_sys_pread(fd, to + done, len - done < most ? len - done : most, at + done);
    }
    return r;
}

/* Everything of a body that the call needs, in memory of its own. */
static int read_body(struct tg_take *take, int fd, const struct tg_carried *head)
{
    const bool all = take->how == TG_TAKE_CLAIM || take->how == TG_TAKE_COPY;
    const uint64_t len = (uint64_t)head->extension + (all ? head->length : 0);
    take->body = malloc(len != 0 ? len : 1);
    if (take->body == NULL) {
        return -ENOMEM;
    }
    take->data = take->body + head->extension;
    return read_all(fd, take->body, len, sizeof *head);
}

int tg_carried_view_entry(struct tg_box *box, struct tg_take *take,
                          const struct tg_box_entry *entry)
{
    struct tg_carried head;
    const uint32_t number = tg_load_relaxed(&entry->number);
    tg_fd fd = open_body(box, take->at, number, &head);
    if (fd < 0) {
        return fd == -ENOENT ? -EPROTO : fd;
    }
    if (head.length != take->len || head.extension != take->extension) {
        return -EPROTO;
    }
    take->sequence = number;
    return read_body(take, fd, &head);
}

void tg_carried_finish(struct tg_box *box, const struct tg_box_entry *entry)
{
    const struct tg_attached *at = tg_claims_link_of(box, entry);
    char name[TG_BODY_NAME_SIZE];
    if (box->way != NULL && at != NULL) {
        tg_carry_body_name(at->reader.link_id, tg_load_relaxed(&entry->number), name);
        (void)tg_sys_unlink(box->dir, name);
    }
}

/* I5: of a message that is in the stage, or in memory. */
static int write_body(struct tg_box *box, const struct found *f)
{
    char name[TG_BODY_NAME_SIZE];
    struct tg_carried head = f->head;
    const size_t len = (size_t)head.extension + head.length;
    head.in_body = 1;
    tg_carry_body_name(head.link_id, head.sequence, name);
    tg_fd fd = tg_carry_make_body(box->dir, name);
    int r = fd < 0 ? fd : tg_sys_allocate(fd, 0, sizeof head + len);
    if (r == 0) {
        r = tg_sys_pwrite(fd, &head, sizeof head, 0);
    }
    if (r == 0 && len != 0) {
        r = tg_sys_pwrite(fd, f->bytes, len, sizeof head);
    }
    if (r < 0 && fd >= 0) {
        (void)tg_sys_unlink(box->dir, name);
    }
    return r;
}

/* ---- taking */

/* What stands before the payload, and where the payload is. */
static int view(struct tg_box *box, struct tg_take *take, const struct found *f, int *ret_fd)
{
    take->at = f->at;
    take->len = f->head.length;
    take->extension = f->head.extension;
    take->sequence = f->head.sequence;
    take->pid = f->head.pid;
    take->deliveries = 1;
    if (f->bytes != NULL) {
        take->data = f->bytes + f->head.extension;
        return 0;
    }
    struct tg_carried head;
    tg_fd fd = open_body(box, f->at, f->head.sequence, &head);
    if (fd < 0) {
        return fd == -ENOENT ? -EPROTO : fd;
    }
    if (head.length != f->head.length || head.extension != f->head.extension) {
        return -EPROTO;
    }
    const enum tg_take_how how = take->how;
    take->how =
        how == TG_TAKE_COPY ? TG_TAKE_LOOK : how; /* its payload goes straight to the caller */
    const int r = read_body(take, fd, &head);
    take->how = how;
    *ret_fd = tg_steal_fd(&fd);
    return r;
}

static int copy_out(const struct tg_take *take, int fd)
{
    if (fd < 0) {
        tg_box_copy(take->buf, take->data, take->len);
        return 0;
    }
    return read_all(fd, take->buf, take->len, sizeof(struct tg_carried) + take->extension);
}

/* An entry for it; the bytes in its body and in memory. */
static int prepare_claim(struct tg_box *box, struct tg_take *take, const struct found *f,
                         struct tg_box_entry **ret_entry)
{
    int r = tg_claims_free_entry(box, ret_entry);
    if (r < 0 || f->bytes == NULL) {
        return r;
    }
    const size_t len = (size_t)take->extension + take->len;
    take->body = malloc(len != 0 ? len : 1);
    if (take->body == NULL) {
        return -ENOMEM;
    }
    tg_box_copy(take->body, f->bytes, len);
    take->data = take->body + take->extension;
    return write_body(box, f);
}

/* The message becomes an entry with that state. */
static void make_entry(struct tg_box *box, struct found *f, struct tg_box_entry *entry,
                       uint32_t state)
{
    tg_store_relaxed(&entry->row, f->at->reader.row);
    tg_store_relaxed(&entry->sequence, f->next);
    tg_store_relaxed(&entry->offset, (uint32_t)tg_load_relaxed(&f->at->row->next));
    tg_store_relaxed(&entry->length, f->head.length);
    tg_store_relaxed(&entry->pid, f->head.pid);
    tg_store_relaxed(&entry->extension, f->head.extension);
    tg_store_relaxed(&entry->number, f->head.sequence);
    tg_store_release(&entry->state, state);
    hand_out(box, f);
    clear_intent(box);
}

/* Its answers beside those of tg_take_one(). */
#define AGAIN 2 /* it is out of the way, look for the next one */

/* It counts, and nobody gets it. */
static int throw_out(struct tg_box *box, struct tg_take *take, struct found *f, int verdict)
{
    tg_request_keep(box, take, true);
    consume(box, f);
    if (verdict == TG_EXPIRED) {
        tg_take_note_expired(box);
    }
    return AGAIN;
}

/* To the caller's buffer, or to nowhere. */
static int finish(struct tg_box *box, struct tg_take *take, struct found *f, int fd)
{
    int r = 0;
    if (take->how == TG_TAKE_COPY) {
        r = take->len > take->size ? -EMSGSIZE : copy_out(take, fd);
    }
    if (r < 0 && r != -EPROTO) {
        uncount(box, f);
        return r;
    }
    tg_request_keep(box, take, r < 0);
    consume(box, f);
    return r < 0 ? r : 1;
}

/* This call does not want it: an entry keeps it, as select.c does with records. */
static int pass_over(struct tg_box *box, struct tg_take *take, struct found *f)
{
    struct tg_box_entry *entry = NULL;
    tg_returned_know(box, f->at);
    if (f->at->n_passed >= TG_PASS_MOST) {
        return 0;
    }
    const int r = prepare_claim(box, take, f, &entry);
    if (r < 0) {
        return r;
    }
    if (!count_it(box, f)) {
        forget_body(box, &f->head); /* perhaps just written */
        throw_away(box, &f->head);
        return AGAIN;
    }
    make_entry(box, f, entry, TG_ENTRY(TG_CLAIMED, 0));
    tg_store_release(&entry->state, TG_ENTRY(TG_RETURNED, 0));
    tg_store_relaxed(&box->head->n_returned, tg_load_relaxed(&box->head->n_returned) + 1);
    f->at->n_passed++;
    tg_poll_nudge(box);
    return AGAIN;
}

/* Whose it is. 1: this call's; AGAIN: it was passed over; 0: it is left to another one. */
static int choose(struct tg_box *box, struct tg_take *take, struct found *f,
                  const struct tg_said *said)
{
    const struct tg_viewer me = tg_select_me(box);
    if (tg_select_is_simple(box, &me)) {
        return 1;
    }
    const struct tg_about about = tg_said_about(said);
    if (!tg_select_link(box, &me.wish, f->at)) {
        return pass_over(box, take, f);
    }
    switch (tg_select_judge(box, &me, f->at, &about)) {
    case TG_MINE:
        return 1;
    case TG_ANOTHERS:
        return 0;
    default:
        return pass_over(box, take, f);
    }
}

static int serve(struct tg_box *box, struct tg_take *take, struct found *f, int fd)
{
    struct tg_box_entry *entry = NULL;
    struct tg_said said;
    const int verdict = tg_take_judge(box, take, 0, &said);
    int r = verdict == TG_WANTED ? choose(box, take, f, &said) : 1;
    if (r != 1 || (verdict == TG_WANTED && take->how == TG_TAKE_LOOK)) {
        return r;
    }
    if (verdict == TG_WANTED && take->how == TG_TAKE_CLAIM) {
        r = prepare_claim(box, take, f, &entry);
        if (r < 0) {
            return r;
        }
    }
    if (!count_it(box, f)) {
        forget_body(box, &f->head); /* perhaps just written */
        throw_away(box, &f->head);
        return AGAIN;
    }
    take->handed = f->next;
    if (verdict != TG_WANTED) {
        r = throw_out(box, take, f, verdict);
        return verdict < 0 ? verdict : r;
    }
    if (entry != NULL) {
        tg_take_tell(box, take, &said);
        make_entry(box, f, entry, TG_ENTRY(TG_CLAIMED, 1));
        take->entry = entry;
        return 1;
    }
    r = finish(box, take, f, fd);
    if (r == 1 || r == -EMSGSIZE) {
        tg_take_tell(box, take, &said);
    }
    return r;
}

/* One message. As tg_take_one(), or AGAIN. */
static int take_next(struct tg_box *box, struct tg_take *take)
{
    struct found f = { .at = NULL };
    box->carry->early = false;
    int r = look_at_stage(box, &f);
    if (r != 1) {
        return r;
    }
    tg_returned_know(box, f.at);
    if (f.at->waits || is_early(box, &f)) {
        return 0; /* one before it is left to another receiver; or I7 */
    }
    if (overtakes_uncounted(&f)) {
        forget_body(box, &f.head);
        throw_away(box, &f.head);
        return AGAIN;
    }
    tg_fd fd = -1;
    r = view(box, take, &f, &fd);
    if (r == 0) {
        r = serve(box, take, &f, fd);
    } else if (r == -EPROTO) {
        /* Its body is gone or cut: it was read, and its reader died; or its sender did that. It may have been a
         * request, whose caller hears then that nobody has it. */
        if (count_it(box, &f)) {
            consume(box, &f);
            tg_request_tell(box);
        } else {
            throw_away(box, &f.head);
        }
        r = AGAIN;
    }
    if (r != 1 || take->how != TG_TAKE_CLAIM) {
        tg_take_drop(take);
    }
    if (r == 1) {
        tg_from_tell(box, f.at, take);
    }
    return r;
}

int tg_carried_take(struct tg_box *box, struct tg_take *take)
{
    int r = AGAIN;
    for (int looks = 0; r == AGAIN && looks < LOOKS_MOST; looks++) {
        r = take_next(box, take);
    }
    box->rx.served = 0;
    return r == AGAIN ? 0 : r;
}

/* ---- the short way: one receiver, one thread, nothing claimed, a short message that its sender counted */

/* Under the token: nothing needs the long way. */
static bool is_short(struct tg_box *box)
{
    const struct tg_box_head *head = box->head;
    return tg_box_may_take(box) && tg_load_relaxed(&head->n_taken) == 1 &&
           tg_load_relaxed(&head->n_returned) == 0 && !tg_links_stale(box) && magic_of(box) == 0;
}

/* What the long way speaks of. */
static void point_at(struct tg_receiver *rx, const struct tg_attached *at)
{
    for (uint32_t i = 0; i < rx->n_attached && rx->attached[rx->cursor] != at; i++) {
        rx->cursor = i;
    }
}

/* What is in the stage, if it is such a message. False: it stays there, for the long way. */
static bool take_short(struct tg_box *box, struct tg_take *take)
{
    struct found f = { .head = *box->carry->record };
    if (tg_load_relaxed(&f.head.magic) == 0 || f.head.extension != 0 || f.head.in_body != 0 ||
        f.head.length > take->size || box->rx.cursor >= box->rx.n_attached) {
        return false;
    }
    f.at = link_of(box, &f.head);
    if (f.at == NULL || tg_reader_refresh(&f.at->reader) < 0) {
        return false;
    }
    const struct tg_box_row *row = f.at->row;
    f.next = tg_place_sequence(tg_load_relaxed(&row->next));
    f.target = f.next + 1;
    if (tg_load_relaxed(&row->head) != tg_load_relaxed(&row->next) ||
        compare_with_tail(&f) != COUNTED) {
        return false;
    }
    tg_box_copy(take->buf, (const uint8_t *)(box->carry->record + 1), f.head.length);
    take->len = f.head.length;
    point_at(&box->rx, f.at);
    hand_out(box, &f);
    tg_claims_free_room(box, f.at, tg_load_relaxed(&row->next), f.target);
    clear_intent(box);
    return true;
}

bool tg_carried_short(struct tg_box *box, struct tg_take *take, bool wait, bool *ret_empty)
{
    uint64_t free_ = 0;
    if (box->threads || box->rx.wish.selects || box->rx.served >= SHORT_MOST ||
        !tg_cas(&box->head->token, &free_, box->me)) {
        return false;
    }
    bool taken = false;
    if (is_short(box)) {
        const int r = wait && !tg_counted_any(box) ? 0 : get_record(box);
        *ret_empty = r == 0;
        taken = r == 1 && take_short(box, take);
    }
    /* The long way looks after everything else, now and then, and at what is not for this one. */
    if (taken) {
        box->rx.served++;
    } else if (!*ret_empty) {
        box->rx.served = SHORT_MOST;
    }
    if (box->rx.ring_due) {
        tg_claims_ring(box);
    }
    while (!tg_token_unlock(&box->head->token, box->me)) {
        tg_claims_collect(box, false);
        tg_claims_ring(box);
    }
    return taken;
}

/* ---- hints and counts */

bool tg_carried_hint(struct tg_box *box)
{
    return magic_of(box) != 0 || tg_counted_hint(box);
}

/* Whether what is in the stage is for a viewer. What cannot be read is something to look at, too. */
static bool is_for(struct tg_box *box, const struct tg_viewer *viewer)
{
    struct tg_take take = { .how = TG_TAKE_LOOK };
    struct found f = { .at = NULL };
    struct tg_said said;
    tg_fd fd = -1;
    if (look_at_stage(box, &f) != 1) {
        return false;
    }
    tg_returned_know(box, f.at);
    bool is = !f.at->waits && tg_select_link(box, &viewer->wish, f.at);
    if (is && view(box, &take, &f, &fd) == 0 && tg_take_judge(box, &take, 0, &said) == TG_WANTED) {
        const struct tg_about about = tg_said_about(&said);
        is = tg_select_judge(box, viewer, f.at, &about) == TG_MINE;
    }
    tg_take_drop(&take);
    return is;
}

/* What is in the queue nobody knows before it is out of it. */
uint32_t tg_carried_count(struct tg_box *box, const struct tg_viewer *viewer)
{
    struct found f = { .at = NULL };
    box->carry->early = false;
    if (magic_of(box) == 0) {
        return tg_counted_in_queue(box);
    }
    if (look_at_stage(box, &f) == 1 && is_early(box, &f)) {
        return 0;
    }
    return tg_counted_in_queue(box) +
           (tg_select_is_simple(box, viewer) || is_for(box, viewer) ? 1 : 0);
}
