#include "carrier/nats/dead_letter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
#include "carrier/nats/call.h"
#include "carrier/nats/fetch.h"
#include "carrier/nats/long.h"
#include "carrier/nats/party.h"
#include "carrier/nats/stored.h"

/* ---- lines of the book */

static void add_line(struct tg_text *subject, const struct tg_nats_box *box, char kind,
                     uint64_t seq)
{
    const char word[] = { '.', kind, '.', '\0' };
    tg_nats_subject(subject, box->server, 'n', box->name, box->record.id);
    tg_text_add(subject, word);
    tg_text_add_u64(subject, seq);
}

static int get_line(struct tg_nats_box *box, const struct tg_js *js, char kind, uint64_t seq,
                    struct tg_nats_line *ret_line)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    add_line(&subject, box, kind, seq);
    return tg_book_get(box->server, js, subject.at, ret_line);
}

static int put_line(struct tg_nats_box *box, const struct tg_js *js, char kind, uint64_t seq,
                    uint64_t number, uint64_t seen, uint64_t *ret_line)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    char text_at[24];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_text text = TG_TEXT(text_at);
    add_line(&subject, box, kind, seq);
    tg_text_add_u64(&text, number);
    return tg_book_put(box->server, js, subject.at, text.at, seen, ret_line);
}

static void delete_line(struct tg_nats_box *box, const struct tg_js *js, char kind, uint64_t seq)
{
    struct tg_nats_line line;
    if (get_line(box, js, kind, seq, &line) == 0 && line.seq != 0) {
        (void)tg_book_delete(box->server, js, line.seq);
    }
}

/* ---- counting */

static int as_lost(int r)
{
    return r == -EHOSTUNREACH ? -ENOTCONN : r;
}

static bool is_limited(const struct tg_nats_box *box)
{
    return box->record.options.max_deliveries != 0;
}

static int look_up(struct tg_nats_box *box, const struct tg_js *js, struct tg_nats_taken *taken)
{
    struct tg_nats_line line;
    const int r = get_line(box, js, 'k', taken->seq, &line);
    if (r == 0 && line.seq != 0) {
        taken->claims = (uint32_t)tg_json_u64((struct tg_json){ line.text, line.len });
        taken->deliveries = taken->claims + 1;
    }
    taken->counted = r == 0 ? line.seq : taken->counted;
    return r;
}

int tg_nats_look_up_claims(struct tg_nats_box *box, struct tg_nats_taken *taken)
{
    struct tg_js js;
    /* With replicas one that comes again may say that it is new. */
    if (!is_limited(box) || (taken->deliveries <= 1 && !tg_nats_has_replicas(box))) {
        return 0;
    }
    int r = tg_nats_enter(box->server, &js);
    if (r < 0) {
        return as_lost(r);
    }
    r = look_up(box, &js, taken);
    tg_nats_leave(box->server);
    return as_lost(r);
}

bool tg_nats_is_too_often(const struct tg_nats_box *box, const struct tg_nats_taken *taken)
{
    return is_limited(box) && taken->claims >= box->record.options.max_deliveries;
}

static int count_claim(struct tg_nats_box *box, const struct tg_js *js, struct tg_nats_taken *taken)
{
    int r = -ESTALE;
    while (r == -ESTALE && !tg_nats_is_too_often(box, taken)) {
        uint64_t counted = 0;
        r = put_line(box, js, 'k', taken->seq, (uint64_t)taken->claims + 1, taken->counted,
                     &counted);
        if (r == 0) {
            taken->counted = counted;
        } else if (r == -ESTALE) {
            const int looked = look_up(box, js, taken);
            r = looked < 0 ? looked : r;
        }
    }
    return r;
}

int tg_nats_count_claim(struct tg_nats_box *box, struct tg_nats_taken *taken)
{
    struct tg_js js;
    int r = is_limited(box) ? tg_nats_enter(box->server, &js) : 0;
    if (r < 0 || !is_limited(box)) {
        return as_lost(r);
    }
    r = count_claim(box, &js, taken);
    tg_nats_leave(box->server);
    return as_lost(r);
}

/* ---- sending on */

static struct tg_nats_origin origin_of(struct tg_nats_box *box, const struct tg_nats_taken *taken)
{
    struct tg_nats_origin origin = { .seq = taken->seq,
                                     .sequence = taken->number,
                                     .deliveries = box->record.options.max_deliveries,
                                     .uid = taken->uid,
                                     .pid = taken->pid };
    memcpy(origin.id, box->record.id, sizeof origin.id);
    memcpy(origin.name, box->called, sizeof origin.name);
    return origin;
}

static int send_to(struct tg_nats_box *box, struct tg_nats_box *to, struct tg_nats_taken *taken,
                   const void *data)
{
    const struct tg_nats_origin origin = origin_of(box, taken);
    tong_send_options with = taken->said;
    if (to->record.options.capacity == 0) {
        return -EOPNOTSUPP;
    }
    with.reply_to = tg_name_check(taken->reply_to) == 0 ? taken->reply_to : NULL;
    return tg_nats_send_on(to, data, taken->len, &with, &origin, taken->expiry_ns);
}

/* 0: it is there. */
static int send_on(struct tg_nats_box *box, struct tg_nats_taken *taken)
{
    if (box->record.dead_letter[0] == '\0' || taken->origin.id[0] != '\0') {
        return -ENOENT;
    }
    struct tg_nats_box *to = NULL;
    int r = tg_nats_open_beside(box, box->record.dead_letter, TONG_SEND, &to);
    if (r < 0) {
        return r;
    }
    void *copy = taken->is_long ? malloc(taken->len) : NULL;
    if (taken->is_long) {
        r = copy == NULL ? -ENOMEM : tg_nats_copy(box, taken, copy);
    }
    r = r < 0 ? r : send_to(box, to, taken, taken->is_long ? copy : taken->msg.data);
    free(copy);
    (void)tg_nats_close(to);
    return r;
}

/* The dead-letter mailbox has it. */
static int finish(struct tg_nats_box *box, struct tg_nats_taken *taken)
{
    struct tg_js js;
    if (tg_nats_has_replicas(box)) {
        (void)tg_nats_forget(box, &taken->seq, 1);
    }
    int r = tg_nats_acknowledge_row(box, taken->ack, 1, true);
    r = r == 0 && taken->is_long ? tg_nats_drop_long(box, taken->owner) : r;
    r = r < 0 ? r : tg_nats_enter(box->server, &js);
    if (r < 0) {
        return as_lost(r);
    }
    /* Of two who have sent it on one deletes its line, and counts it. */
    const bool is_mine = tg_book_delete(box->server, &js, taken->counted) == 0;
    delete_line(box, &js, 'a', taken->seq);
    (void)tg_nats_end_request(box, &js, taken, true);
    tg_nats_leave(box->server);
    return is_mine ? as_lost(tg_nats_count(box, TG_NATS_DEAD_LETTERS, 1)) : 0;
}

/* ---- setting aside */

/* Marked first: killed behind it, it comes again, and is set aside again. */
static int keep_aside(struct tg_nats_box *box, const struct tg_nats_taken *taken)
{
    struct tg_js js;
    uint64_t line;
    int r = tg_nats_connect_side(box, &box->rx);
    r = r < 0 ? r : tg_nats_enter(box->server, &js);
    if (r < 0) {
        return as_lost(r);
    }
    r = put_line(box, &js, 'a', taken->seq, taken->claims, TG_BOOK_ANY, &line);
    r = r < 0 ? r : tg_nats_end_request(box, &js, taken, false);
    tg_nats_leave(box->server);
    const struct tg_js own = tg_nats_js(&box->rx);
    r = r < 0 ? r : tg_nats_say_of(&own, taken->ack, TG_NATS_NAK_ASIDE);
    return r < 0 ? as_lost(r) : 0;
}

int tg_nats_dead_letter(struct tg_nats_box *box, struct tg_nats_taken *taken)
{
    const int r = send_on(box, taken);
    /* Its pieces are gone, and so is it. */
    return r == 0          ? finish(box, taken)
           : r == -ENODATA ? finish(box, taken)
                           : keep_aside(box, taken);
}

int tg_nats_pass_over(struct tg_nats_box *box, const struct tg_nats_taken *taken)
{
    struct tg_js js;
    struct tg_nats_line line;
    int r = tg_nats_enter(box->server, &js);
    if (r < 0) {
        return as_lost(r);
    }
    r = get_line(box, &js, 'a', taken->seq, &line);
    tg_nats_leave(box->server);
    return r < 0 ? r : line.seq == 0 ? 1 : keep_aside(box, taken);
}

struct aside {
    uint64_t first; /* 0 none */
    uint64_t n;
};

static int note_aside(void *arg, const char *subject)
{
    struct aside *aside = arg;
    const char *dot = strrchr(subject, '.');
    const uint64_t seq =
        dot != NULL ? tg_json_u64((struct tg_json){ dot + 1, strlen(dot + 1) }) : 0;
    aside->first = seq != 0 && (aside->first == 0 || seq < aside->first) ? seq : aside->first;
    aside->n++;
    return 0;
}

static int list_aside(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                      const char *id, struct aside *ret_aside)
{
    char filter_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text filter = TG_TEXT(filter_at);
    *ret_aside = (struct aside){ .n = 0 };
    tg_nats_subject(&filter, server, 'n', name, id);
    tg_text_add(&filter, ".a.*");
    return tg_book_list(server, js, filter.at, note_aside, ret_aside);
}

int tg_nats_count_set_aside(struct tg_nats_server *server, const struct tg_js *js,
                            const struct tg_nats_record *record, uint32_t *ret_n)
{
    struct aside aside = { .n = 0 };
    const int r = record->options.max_deliveries != 0
                      ? list_aside(server, js, record->home, record->id, &aside)
                      : 0;
    *ret_n = (uint32_t)aside.n;
    return r;
}

/* 0: it is thrown away; -ENOENT: somebody else had it. */
static int throw_away(struct tg_nats_box *box, const struct tg_js *js, uint64_t seq,
                      struct tg_nats_taken *taken)
{
    struct tg_nats_stored stored = { .bytes = NULL };
    int r = tg_nats_get_stored(box->server, js, box->record.id, seq, true, &stored);
    if (r == 0) {
        taken->msg = stored.msg;
        tg_nats_read_said(box, taken);
        tg_nats_free_stored(&stored);
        r = tg_nats_delete_message(box->server, js, box->record.id, seq);
    }
    if (r == 0 || r == -ENOENT) {
        delete_line(box, js, 'a', seq);
        delete_line(box, js, 'k', seq);
        taken->seq = seq;
        (void)tg_nats_end_request(box, js, taken, true);
    }
    return r;
}

ssize_t tg_nats_skip_set_aside(struct tg_nats_box *box)
{
    struct tg_nats_taken taken;
    struct aside aside = { .n = 0 };
    struct tg_js js;
    int r = is_limited(box) ? tg_nats_enter(box->server, &js) : -EAGAIN;
    if (r < 0) {
        return as_lost(r);
    }
    do {
        memset(&taken, 0, sizeof taken);
        r = list_aside(box->server, &js, box->name, box->record.id, &aside);
        r = r == 0 && aside.n == 0 ? -EAGAIN : r;
        r = r == 0 ? throw_away(box, &js, aside.first, &taken) : r;
    } while (r == -ENOENT);
    tg_nats_leave(box->server);
    if (r == 0 && taken.is_long) {
        (void)tg_nats_drop_long(box, taken.owner);
    }
    if (r == 0 && tg_nats_connect_side(box, &box->rx) == 0) {
        (void)tg_nats_tell_of_room(box);
        (void)tg_nats_flush(box->rx.conn, tg_now_ns() + TG_NATS_PATIENCE_NS);
    }
    return r < 0 ? as_lost(r) : (ssize_t)taken.len;
}
