#include "carrier/nats/owner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/nats/give.h"
#include "carrier/nats/net.h"

#define LOOKS 3u
#define PAUSE_NS INT64_C(40000000)

/* ---- deaths */

bool tg_nats_is_calm(const struct tg_nats_server *server)
{
    return tg_now_ns() - server->lost_ns > TG_NATS_TURMOIL_NS;
}

unsigned tg_nats_looks(const struct tg_nats_server *server)
{
    return tg_nats_is_calm(server) ? LOOKS : (unsigned)(TG_NATS_TURMOIL_NS / PAUSE_NS);
}

void tg_nats_pause_between_looks(void)
{
    (void)tg_net_wait(-1, 0, -1, tg_now_ns() + PAUSE_NS);
}

int tg_nats_is_dead(struct tg_nats_server *server, const struct tg_js *js, const char *proc,
                    bool *ret_dead)
{
    char procs[1][TG_NATS_PROC_SIZE];
    bool there = strcmp(proc, server->proc) == 0;
    int r = 0;
    memcpy(procs[0], proc, TG_NATS_PROC_SIZE);
    const unsigned looks = tg_nats_looks(server);
    for (unsigned i = 0; i < looks && !there && r == 0; i++) {
        if (i > 0) {
            tg_nats_pause_between_looks();
        }
        r = tg_nats_probe(server, js, procs, 1, &there);
    }
    *ret_dead = !there;
    return r;
}

int tg_nats_end_if_dead(struct tg_nats_server *server, const struct tg_js *js,
                        const struct tg_nats_record *record)
{
    bool dead = false;
    if (record->options.owner != TONG_PROCESS) {
        return 0;
    }
    int r = tg_nats_is_dead(server, js, record->proc, &dead);
    if (r < 0 || !dead) {
        return r;
    }
    r = tg_nats_end(server, js, record);
    return r == 0 || r == -ENOENT ? 1 : r;
}

/* ---- how it ended */

static void add_removed(struct tg_text *subject, const struct tg_nats_server *server,
                        const char *name, const char *id)
{
    tg_text_add(subject, server->space);
    tg_text_add(subject, ".x.");
    tg_text_add(subject, id);
    tg_text_add(subject, ".");
    tg_nats_add_name(subject, name);
}

int tg_nats_note_removed(struct tg_nats_server *server, const struct tg_js *js,
                         const struct tg_nats_record *record)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    uint64_t seq;
    add_removed(&subject, server, record->home, record->id);
    return tg_book_put(server, js, subject.at, "", TG_BOOK_ANY, &seq);
}

static void add_given(struct tg_text *subject, const struct tg_nats_server *server, const char *id)
{
    tg_text_add(subject, server->space);
    tg_text_add(subject, ".x.");
    tg_text_add(subject, id);
    tg_text_add(subject, ".given");
}

int tg_nats_note_given(struct tg_nats_server *server, const struct tg_js *js, const char *id)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    uint64_t seq;
    add_given(&subject, server, id);
    return tg_book_put(server, js, subject.at, "", TG_BOOK_ANY, &seq);
}

/* 1 it was, 0, -errno. */
static int was_given(struct tg_nats_server *server, const struct tg_js *js, const char *id)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_nats_line line;
    add_given(&subject, server, id);
    const int r = tg_book_get(server, js, subject.at, &line);
    return r < 0 ? r : line.seq != 0;
}

int tg_nats_end_of(struct tg_nats_server *server, const struct tg_js *js,
                   const struct tg_nats_record *record)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_nats_line line;
    if (record->options.owner != TONG_PROCESS) {
        const int given = was_given(server, js, record->id);
        if (given <= 0) {
            return given < 0 ? given : -EIDRM;
        }
    }
    add_removed(&subject, server, record->home, record->id);
    const int r = tg_book_get(server, js, subject.at, &line);
    return r < 0 ? r : line.seq != 0 ? -EIDRM : -EOWNERDEAD;
}

bool tg_nats_owns(struct tg_nats_box *box)
{
    struct tg_nats_record record;
    tg_nats_owner_of(box, &record);
    return record.options.owner == TONG_PROCESS && record.handle == box->handle &&
           strcmp(record.proc, box->server->proc) == 0;
}

int tg_nats_look_after_owner(struct tg_nats_box *box)
{
    struct tg_js js;
    struct tg_nats_record record;
    tg_nats_owner_of(box, &record);
    if (record.options.owner != TONG_PROCESS || strcmp(record.proc, box->server->proc) == 0) {
        return 0;
    }
    int r = tg_nats_enter(box->server, &js);
    if (r < 0) {
        return r == -EACCES ? r : 0; /* the next tick will do */
    }
    r = tg_nats_end_if_dead(box->server, &js, &record);
    tg_nats_leave(box->server);
    return r == 1 ? tg_nats_look(box) : r == -EACCES ? r : 0;
}

/* ---- the one that receives */

static void add_one(struct tg_text *subject, const struct tg_nats_box *box)
{
    tg_nats_subject(subject, box->server, 'v', box->name, box->record.id);
    tg_text_add(subject, ".one");
}

static int take_place(struct tg_nats_box *box, const struct tg_js *js)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    char text_at[64];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_text text = TG_TEXT(text_at);
    struct tg_nats_line line;
    add_one(&subject, box);
    int r = tg_book_get(box->server, js, subject.at, &line);
    if (r < 0) {
        return r;
    }
    if (line.seq != 0) {
        bool dead = false;
        line.text[TG_NATS_PROC_SIZE - 1] = '\0'; /* the handle is told for who reads it */
        r = tg_nats_is_dead(box->server, js, line.text, &dead);
        /* One that received before it was given to this process does not any more. */
        const bool is_over =
            box->record.options.owner == TONG_PROCESS && strcmp(line.text, box->server->proc) != 0;
        if (r < 0 || (!dead && !is_over)) {
            return r < 0 ? r : -EBUSY;
        }
    }
    tg_text_add(&text, box->server->proc);
    tg_text_add(&text, " ");
    tg_text_add_u64(&text, box->handle);
    r = tg_book_put(box->server, js, subject.at, text.at, line.seq, &box->place);
    return r == -ESTALE ? -EBUSY : r;
}

int tg_nats_be_receiver(struct tg_nats_box *box)
{
    const tong_options *o = &box->record.options;
    const bool is_owned = o->owner == TONG_PROCESS;
    const bool is_one = o->delivery == TONG_EXCLUSIVE;
    struct tg_js js;
    if (!tg_nats_may_receive(box)) {
        return -EPERM;
    }
    if (!is_one && !is_owned && o->delivery != TONG_EVERYONE) {
        return 0;
    }
    int r = tg_nats_keep(box->server);
    r = r < 0 ? r : tg_nats_enter(box->server, &js);
    if (r < 0) {
        return r;
    }
    r = is_one ? take_place(box, &js) : 0;
    r = r == 0 && is_owned ? tg_nats_be_given(box, &js) : r;
    tg_nats_leave(box->server);
    return r < 0 ? r : tg_nats_may_receive(box) ? 0 : -EPERM;
}

void tg_nats_be_receiver_no_more(struct tg_nats_box *box)
{
    tg_nats_delete_line(box, &box->place);
}
