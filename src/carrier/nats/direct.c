#include "carrier/nats/direct.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
#include "carrier/nats/fork.h"
#include "carrier/nats/net.h"
#include "carrier/nats/owner.h"
#include "carrier/nats/party.h"

#define TRIES 100u

/* ---- names */

static void enter_name(struct tg_nats_box *box)
{
    while (tg_gate_enter(&box->claims_gate, TG_NEVER, NULL, 0) < 0) {
    }
}

void tg_nats_called(struct tg_nats_box *box, char ret_name[TONG_NAME_MAX])
{
    enter_name(box);
    memcpy(ret_name, box->called, TONG_NAME_MAX);
    tg_gate_leave(&box->claims_gate);
}

static void set_called(struct tg_nats_box *box, const char *name)
{
    enter_name(box);
    memset(box->called, 0, sizeof box->called);
    memcpy(box->called, name, strlen(name));
    tg_gate_leave(&box->claims_gate);
}

static void add_name_line(struct tg_text *subject, const struct tg_nats_server *server,
                          const char *id)
{
    tg_text_add(subject, server->space);
    tg_text_add(subject, ".x.");
    tg_text_add(subject, id);
    tg_text_add(subject, ".name");
}

/* "": it was not renamed. */
static int read_name(struct tg_nats_server *server, const struct tg_js *js, const char *id,
                     char ret_name[TONG_NAME_MAX])
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_nats_line line;
    add_name_line(&subject, server, id);
    const int r = tg_book_get(server, js, subject.at, &line);
    if (r < 0) {
        return r;
    }
    ret_name[0] = '\0';
    if (line.seq != 0 && tg_name_check(line.text) < 0) {
        return -EPROTO;
    }
    if (line.seq != 0) {
        memcpy(ret_name, line.text, line.len + 1);
    }
    return 0;
}

int tg_nats_name_of(struct tg_nats_box *box, const char *id, const char *then,
                    char ret_name[TONG_NAME_MAX])
{
    struct tg_js js;
    int r = tg_nats_enter(box->server, &js);
    if (r < 0) {
        return r == -EHOSTUNREACH ? -ENOTCONN : r;
    }
    r = read_name(box->server, &js, id, ret_name);
    tg_nats_leave(box->server);
    if (r == 0 && ret_name[0] == '\0') {
        memcpy(ret_name, then, strlen(then) + 1);
    }
    return r;
}

static bool is_it(const struct tg_nats_box *box, const struct tg_nats_record *record)
{
    return record->seq != 0 && strcmp(record->id, box->record.id) == 0;
}

int tg_nats_find_again(struct tg_nats_box *box, const struct tg_js *js,
                       struct tg_nats_record *ret_record)
{
    char name[TONG_NAME_MAX];
    tg_nats_called(box, name);
    int r = tg_nats_read_record(box->server, js, name, ret_record);
    if (r < 0 || is_it(box, ret_record)) {
        return r;
    }
    name[0] = '\0';
    r = box->record.is_process ? read_name(box->server, js, box->record.id, name) : 0;
    if (r == 0 && name[0] != '\0') {
        r = tg_nats_read_record(box->server, js, name, ret_record);
        if (r == 0 && is_it(box, ret_record)) {
            if (box->as == NULL) {
                set_called(box, name); /* a peer is of the name that its user said */
            }
            return 0;
        }
    }
    ret_record->seq = 0;
    return r;
}

/* ---- the others */

bool tg_nats_peer_is_same(const struct tg_nats_box *a, const struct tg_nats_box *b)
{
    return strcmp(a->record.id, b->record.id) == 0;
}

/* 1: it lives under this name; 0: it has ended; -ENOENT: another name. */
static int check(struct tg_nats_box *peer, const struct tg_js *js)
{
    struct tg_nats_record now;
    char name[TONG_NAME_MAX];
    tg_nats_called(peer, name);
    int r = tg_nats_read_record(peer->server, js, name, &now);
    if (r < 0) {
        return r;
    }
    if (!is_it(peer, &now)) {
        r = tg_nats_find_again(peer, js, &now);
        return r < 0 ? r : now.seq != 0 ? -ENOENT : 0;
    }
    r = tg_nats_end_if_dead(peer->server, js, &now);
    return r < 0 ? r : r == 0;
}

int tg_nats_peer_check(struct tg_nats_box *peer)
{
    struct tg_js js;
    if (peer->forks != tg_nats_forks()) {
        return -ECHILD;
    }
    int r = -(int)tg_load_acquire(&peer->ended);
    r = r < 0 ? r : tg_nats_enter(peer->server, &js);
    if (r < 0) {
        return r == -EHOSTUNREACH ? -ENOTCONN : r;
    }
    r = check(peer, &js);
    tg_nats_leave(peer->server);
    return r == 1 ? 0 : r == 0 ? tg_nats_look(peer) : r;
}

int tg_nats_peer_look_up(struct tg_nats_box *peer, const char *rest)
{
    struct tg_nats_url url;
    struct tg_nats_record now;
    struct tg_js js;
    char name[TONG_NAME_MAX];
    int r = peer->forks != tg_nats_forks() ? -ECHILD : tg_nats_parse(rest, &url, name);
    r = r < 0 ? r : tg_nats_enter(peer->server, &js);
    if (r < 0) {
        return r == -EHOSTUNREACH ? -ENOTCONN : r;
    }
    r = tg_nats_read_record(peer->server, &js, name, &now);
    tg_nats_leave(peer->server);
    if (r == 0 && is_it(peer, &now)) {
        set_called(peer, name);
        return 0;
    }
    return r < 0 ? r : -ENOENT;
}

/* ---- the process itself */

int tg_nats_process_pause(struct tg_nats_box *me, int64_t deadline)
{
    struct tg_nats_record now;
    struct tg_js js;
    const uint32_t seen = tg_load_relaxed(&me->stop->used);
    int r = me->forks != tg_nats_forks() ? -ECHILD : -(int)tg_load_acquire(&me->ended);
    while (r == 0 && !tg_is_over(deadline)) {
        if (tg_nats_is_interrupted(me, seen)) {
            tg_net_silence(me->tx.bell);
            return -ECANCELED;
        }
        const int slept = tg_net_wait(-1, 0, me->tx.bell, deadline);
        if (slept == -EINTR) {
            return tg_nats_is_interrupted(me, seen) ? -ECANCELED : -EINTR;
        }
        if (slept > 0) {
            tg_net_silence(me->tx.bell);
        }
    }
    if (r < 0 || tg_nats_enter(me->server, &js) < 0) {
        return r; /* the next look will do */
    }
    r = tg_nats_find_again(me, &js, &now);
    tg_nats_leave(me->server);
    return r == 0 && now.seq == 0 ? tg_nats_look(me) : 0;
}

/* Of the name: it is free. -EBUSY, -EEXIST: somebody has it. */
static int clear_name(struct tg_nats_box *me, const struct tg_js *js, const char *name)
{
    struct tg_nats_record its;
    int r = tg_nats_read_record(me->server, js, name, &its);
    if (r < 0 || its.seq == 0) {
        return r;
    }
    r = tg_nats_end_if_dead(me->server, js, &its);
    return r == 1 ? 0 : r < 0 ? r : its.is_process ? -EBUSY : -EEXIST;
}

static int take_name(struct tg_nats_box *me, const struct tg_js *js, const char *name,
                     struct tg_nats_record *record)
{
    int r = -ESTALE;
    for (unsigned tries = 0; r == -ESTALE && tries < TRIES; tries++) {
        r = clear_name(me, js, name);
        r = r < 0 ? r : tg_nats_write_record(me->server, js, name, record, 0);
    }
    return r == -ESTALE ? -EBUSY : r;
}

/* I2. -EIDRM: it was removed; the server's word for all of it is there when this returns. */
static int rename_to(struct tg_nats_box *me, const struct tg_js *js, const char *name)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_nats_record record;
    uint64_t seq;
    int r = tg_nats_find_again(me, js, &record);
    if (r < 0 || record.seq == 0) {
        return r < 0 ? r : -EIDRM;
    }
    const uint64_t old = record.seq;
    r = take_name(me, js, name, &record);
    if (r < 0) {
        return r;
    }
    add_name_line(&subject, me->server, me->record.id);
    r = tg_book_put(me->server, js, subject.at, name, TG_BOOK_ANY, &seq);
    const int deleted = r < 0 ? 0 : tg_book_delete(me->server, js, old);
    if (r < 0 || deleted == -ESTALE) { /* removed meanwhile: so is the new one */
        (void)tg_book_delete(me->server, js, record.seq);
        return r < 0 ? r : -EIDRM;
    }
    me->record.seq = record.seq;
    set_called(me, name);
    subject = (struct tg_text)TG_TEXT(subject_at);
    tg_nats_subject(&subject, me->server, 'e', me->name, me->record.id);
    (void)tg_nats_publish_text(js->conn, subject.at, NULL, "");
    (void)tg_nats_flush(js->conn, tg_now_ns() + TG_NATS_PATIENCE_NS);
    return deleted;
}

int tg_nats_process_rename(struct tg_nats_box *me, const char *rest)
{
    struct tg_nats_url url;
    struct tg_js js;
    char name[TONG_NAME_MAX];
    char now[TONG_NAME_MAX];
    int r = me->forks != tg_nats_forks() ? -ECHILD : tg_nats_parse(rest, &url, name);
    r = r < 0 ? r : -(int)tg_load_acquire(&me->ended);
    tg_nats_called(me, now);
    if (r < 0 || strcmp(name, now) == 0) {
        return r;
    }
    r = tg_nats_enter(me->server, &js);
    if (r == 0) {
        r = rename_to(me, &js, name);
        tg_nats_leave(me->server);
    }
    return r == -EHOSTUNREACH ? -ENOTCONN : r;
}

/* ---- who talks to whom */

struct talker {
    char name[TONG_NAME_MAX];
    char home[TONG_NAME_MAX];
    char id[TG_NATS_ID_SIZE];
};

struct lane {
    bool is_there;
    uint64_t waiting;
};

struct lanes {
    struct talker *talkers; /* in the order of their names */
    size_t n;
    size_t to;          /* whose mailbox is looked at */
    struct lane *lanes; /* n * n: [from * n + to] */
};

/* NULL: it is none that lives. */
static struct lane *lane_from(struct lanes *lanes, const char *id)
{
    for (size_t i = 0; i < lanes->n; i++) {
        if (strcmp(lanes->talkers[i].id, id) == 0) {
            return &lanes->lanes[i * lanes->n + lanes->to];
        }
    }
    return NULL;
}

/* SPACE.q.NAME.ID.FROM.PROC.HANDLE */
static int add_waiting(void *arg, const char *subject, uint64_t n)
{
    char copy[TG_NATS_SUBJECT_SIZE];
    char *words[8];
    memcpy(copy, subject, strlen(subject) + 1);
    struct lane *lane =
        tg_nats_split(copy, words, 8) >= 7 ? lane_from((struct lanes *)arg, words[4]) : NULL;
    if (lane != NULL) {
        lane->is_there = true;
        lane->waiting += n;
    }
    return 0;
}

static int find_lanes_to(struct tg_nats_server *server, const struct tg_js *js, struct lanes *lanes)
{
    const struct talker *to = &lanes->talkers[lanes->to];
    char stream_at[96];
    struct tg_text stream = TG_TEXT(stream_at);
    struct tg_nats_parties parties;
    int r = tg_nats_find_parties(server, js, to->home, to->id, &parties);
    if (r < 0) {
        return r;
    }
    for (size_t i = 0; i < parties.n; i++) {
        const struct tg_nats_party *party = &parties.all[i];
        struct lane *lane =
            party->is_there && party->as[0] != '\0' ? lane_from(lanes, party->as) : NULL;
        if (lane != NULL) {
            lane->is_there = true;
        }
    }
    tg_nats_free_parties(&parties);
    tg_nats_stream(&stream, server, to->id);
    return tg_js_count_subjects(js, stream.at, ">", add_waiting, lanes);
}

/* Those that live, of all names. */
static int find_talkers(struct tg_nats_server *server, const struct tg_js *js,
                        char (*names)[TONG_NAME_MAX], size_t n, struct lanes *lanes)
{
    lanes->talkers = calloc(n + 1, sizeof *lanes->talkers);
    if (lanes->talkers == NULL) {
        return -ENOMEM;
    }
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        struct tg_nats_record record;
        bool dead = false;
        r = tg_nats_read_record(server, js, names[i], &record);
        if (r == 0 && record.seq != 0 && record.is_process) {
            r = tg_nats_is_dead(server, js, record.proc, &dead);
            struct talker *talker = &lanes->talkers[lanes->n];
            memcpy(talker->name, names[i], sizeof talker->name);
            memcpy(talker->home, record.home, sizeof talker->home);
            memcpy(talker->id, record.id, sizeof talker->id);
            lanes->n += r == 0 && !dead;
        }
        r = r == -EPROTO ? 0 : r; /* somebody else's line */
    }
    return r;
}

static int tell_pair(const struct lanes *lanes, size_t a, size_t b, tong_links_fn *each, void *arg)
{
    const struct lane *there = &lanes->lanes[a * lanes->n + b];
    const struct lane *back = &lanes->lanes[b * lanes->n + a];
    const bool is_one = a == b; /* to itself: there is no way back */
    tong_link link = TONG_LINK_INIT;
    if (!there->is_there && !back->is_there) {
        return 0;
    }
    link.lanes =
        (there->is_there ? TONG_LANE_THERE : 0) | (back->is_there && !is_one ? TONG_LANE_BACK : 0);
    link.files = (link.lanes & 1u) + (link.lanes >> 1);
    link.waiting[0] = there->waiting;
    link.waiting[1] = is_one ? 0 : back->waiting;
    memcpy(link.a, lanes->talkers[a].name, sizeof link.a);
    memcpy(link.b, lanes->talkers[b].name, sizeof link.b);
    return each(&link, arg);
}

static int find_lanes(struct tg_nats_server *server, char (*names)[TONG_NAME_MAX], size_t n,
                      struct lanes *lanes)
{
    struct tg_js js;
    int r = tg_nats_enter(server, &js);
    if (r < 0) {
        return r;
    }
    r = find_talkers(server, &js, names, n, lanes);
    lanes->lanes = r == 0 ? calloc(lanes->n * lanes->n + 1, sizeof *lanes->lanes) : NULL;
    r = r == 0 && lanes->lanes == NULL ? -ENOMEM : r;
    for (lanes->to = 0; lanes->to < lanes->n && r == 0; lanes->to++) {
        r = find_lanes_to(server, &js, lanes);
    }
    tg_nats_leave(server);
    return r;
}

int tg_nats_links(tong_links_fn *each, void *arg)
{
    struct tg_nats_url url;
    struct tg_nats_server *server;
    struct lanes lanes = { .n = 0 };
    char(*names)[TONG_NAME_MAX] = NULL;
    size_t n = 0;
    /* Who has said nothing of a server does not wait for one. */
    if (secure_getenv("TONG_NATS_URL") == NULL) {
        return 0;
    }
    int r = tg_nats_parse_default(&url);
    r = r < 0 ? r : tg_nats_server_get(&url, &server);
    if (r < 0) {
        return r;
    }
    r = tg_nats_find_names(server, &names, &n);
    r = r < 0 ? r : find_lanes(server, names, n, &lanes);
    for (size_t a = 0; a < lanes.n && r == 0; a++) {
        for (size_t b = a; b < lanes.n && r == 0; b++) {
            r = tell_pair(&lanes, a, b, each, arg);
        }
    }
    free(lanes.lanes);
    free(lanes.talkers);
    free(names);
    tg_nats_server_put(server);
    return r;
}
