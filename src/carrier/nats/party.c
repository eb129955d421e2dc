#include "carrier/nats/party.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/nats/everyone.h"
#include "carrier/nats/long.h"
#include "carrier/nats/owner.h"
#include "carrier/nats/watch.h"

#define PROBES_AT_ONCE 64u

static uint64_t number_of(const char *word)
{
    return tg_json_u64((struct tg_json){ word, strlen(word) });
}

/* SPACE.KIND.NAME.ID.PROC.HANDLE[.ROLE.PID.UID[.AS] | .NUMBER] */
static bool read_party(const char *subject, struct tg_nats_party *ret_party)
{
    char copy[TG_NATS_SUBJECT_SIZE];
    char *words[11];
    const size_t len = strlen(subject);
    if (len >= sizeof copy) {
        return false;
    }
    memcpy(copy, subject, len + 1);
    memcpy(ret_party->subject, subject, len + 1);
    const size_t n = tg_nats_split(copy, words, 11);
    if (n < 6 || strlen(words[4]) != TG_NATS_PROC_SIZE - 1) {
        return false;
    }
    ret_party->kind = words[1][0];
    memcpy(ret_party->proc, words[4], TG_NATS_PROC_SIZE);
    ret_party->handle = (uint32_t)number_of(words[5]);
    if (ret_party->kind == 'h' && n == 10 && strlen(words[9]) == TG_NATS_ID_SIZE - 1) {
        memcpy(ret_party->as, words[9], TG_NATS_ID_SIZE);
    }
    if (ret_party->kind == 'h' && (n == 9 || ret_party->as[0] != '\0')) {
        ret_party->role = words[6][0];
        ret_party->pid = (int32_t)number_of(words[7]);
        ret_party->uid = (uint32_t)number_of(words[8]);
        return true;
    }
    ret_party->number = n == 7 ? number_of(words[6]) : 0;
    return ((ret_party->kind == 'b' || ret_party->kind == 'v') && n == 6) ||
           ((ret_party->kind == 'c' || ret_party->kind == 'w') && n == 7);
}

static int add_party(void *arg, const char *subject)
{
    struct tg_nats_parties *parties = arg;
    if (parties->n == parties->size) {
        const size_t size = parties->size == 0 ? 16 : 2 * parties->size;
        struct tg_nats_party *all = realloc(parties->all, size * sizeof *all);
        if (all == NULL) {
            return -ENOMEM;
        }
        parties->all = all;
        parties->size = size;
    }
    struct tg_nats_party *party = &parties->all[parties->n];
    memset(party, 0, sizeof *party);
    parties->n += read_party(subject, party);
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct tg_nats_party *x = a;
    const struct tg_nats_party *y = b;
    const int by_proc = strcmp(x->proc, y->proc);
    if (by_proc != 0) {
        return by_proc;
    }
    return x->handle != y->handle ? (x->handle < y->handle ? -1 : 1) : x->kind - y->kind;
}

/* Of sorted ones: each process is asked for once. */
static int probe_all(const struct tg_nats_server *server, const struct tg_js *js,
                     struct tg_nats_parties *parties)
{
    char procs[PROBES_AT_ONCE][TG_NATS_PROC_SIZE];
    bool there[PROBES_AT_ONCE];
    size_t from = 0;
    while (from < parties->n) {
        size_t n = 0;
        size_t to = from;
        for (; to < parties->n; to++) {
            const char *proc = parties->all[to].proc;
            const bool is_new = n == 0 || strcmp(procs[n - 1], proc) != 0;
            if (is_new && n == PROBES_AT_ONCE) {
                break;
            }
            if (is_new) {
                memcpy(procs[n++], proc, TG_NATS_PROC_SIZE);
            }
        }
        const int r = tg_nats_probe(server, js, procs, n, there);
        if (r < 0) {
            return r;
        }
        for (size_t k = 0; from < to; from++) {
            k += strcmp(procs[k], parties->all[from].proc) != 0;
            parties->all[from].is_there = parties->all[from].is_there || there[k] ||
                                          strcmp(server->proc, parties->all[from].proc) == 0;
        }
    }
    return 0;
}

int tg_nats_find_parties(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                         const char *id, struct tg_nats_parties *ret_parties)
{
    char filter_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text filter = TG_TEXT(filter_at);
    memset(ret_parties, 0, sizeof *ret_parties);
    tg_text_add(&filter, server->space);
    tg_text_add(&filter, ".*.");
    tg_nats_add_name(&filter, name);
    tg_text_add(&filter, ".");
    tg_text_add(&filter, id);
    tg_text_add(&filter, ".>");
    int r = tg_book_list(server, js, filter.at, add_party, ret_parties);
    if (r == 0 && ret_parties->n > 0) {
        qsort(ret_parties->all, ret_parties->n, sizeof *ret_parties->all, by_place);
        r = probe_all(server, js, ret_parties);
    }
    if (r < 0) {
        tg_nats_free_parties(ret_parties);
    }
    return r;
}

void tg_nats_free_parties(struct tg_nats_parties *parties)
{
    free(parties->all);
    memset(parties, 0, sizeof *parties);
}

int tg_nats_say_of(const struct tg_js *js, const char *ack, const char *word)
{
    const struct iovec part = { (void *)word, strlen(word) };
    uint64_t reply;
    struct tg_nats_msg msg;
    const int r = tg_js_post(js->conn, ack, NULL, &part, 1, &reply);
    return r < 0 ? r : tg_js_await_message(js, reply, &msg);
}

/* ---- the dead */

/* A line of a dead one: whoever deletes it does what is to be done. 1 this one. */
static int take_line(struct tg_nats_server *server, const struct tg_js *js, const char *subject,
                     struct tg_nats_line *ret_line)
{
    int r = tg_book_get(server, js, subject, ret_line);
    if (r < 0 || ret_line->seq == 0) {
        return r;
    }
    r = tg_book_delete(server, js, ret_line->seq);
    return r == -ESTALE ? 0 : r < 0 ? r : 1;
}

/* What stands in a line anybody may have written: no other message than one of this mailbox. */
bool tg_nats_is_ack_of(const struct tg_nats_box *box, const char *text)
{
    char stream_at[96];
    struct tg_text stream = TG_TEXT(stream_at);
    tg_text_add(&stream, ".");
    tg_nats_stream(&stream, box->server, box->record.id);
    tg_text_add(&stream, ".");
    return strncmp(text, "$JS.ACK.", 8) == 0 && strstr(text, stream.at) != NULL;
}

static int bury(struct tg_nats_box *box, const struct tg_js *js, const struct tg_nats_party *party,
                uint64_t counts[TG_NATS_COUNTS])
{
    struct tg_nats_line line;
    int r = take_line(box->server, js, party->subject, &line);
    if (r <= 0) {
        return r;
    }
    if (party->kind == 'w') {
        return tg_nats_bury_long(box->server, js, box->name, box->record.id, party);
    }
    if (party->kind == 'c') {
        /* To everyone it goes to nobody else. */
        counts[TG_NATS_REDELIVERED] += !tg_nats_is_to_everyone(box);
        return tg_nats_is_ack_of(box, line.text) ? tg_nats_say_of(js, line.text, "-NAK") : 0;
    }
    counts[TG_NATS_DEATHS] += party->role == 'r';
    return 0;
}

static bool has_absent(const struct tg_nats_parties *parties)
{
    for (size_t i = 0; i < parties->n; i++) {
        if (!parties->all[i].is_there) {
            return true;
        }
    }
    return false;
}

/* Who is absent once may be connecting again: all of them are looked at until it is certain. */
static int confirm(const struct tg_nats_server *server, const struct tg_js *js,
                   struct tg_nats_parties *parties)
{
    int r = 0;
    for (unsigned i = tg_nats_looks(server); i > 1 && r == 0 && has_absent(parties); i--) {
        tg_nats_pause_between_looks();
        r = probe_all(server, js, parties);
    }
    return r;
}

/* What the process had open here: from the first of its lines, which are in a row. */
static tong_death death_of(const struct tg_nats_parties *parties, size_t first)
{
    tong_death death = TONG_DEATH_INIT;
    const char *proc = parties->all[first].proc;
    for (size_t i = first; i < parties->n && strcmp(parties->all[i].proc, proc) == 0; i++) {
        const struct tg_nats_party *party = &parties->all[i];
        if (party->kind == 'h') {
            death.roles |= party->role == 'r' ? TONG_RECEIVE : TONG_SEND;
            death.pid = party->pid;
            death.uid = party->uid;
        }
    }
    return death;
}

static int bury_the_dead(struct tg_nats_box *box, const struct tg_js *js,
                         struct tg_nats_parties *parties, uint64_t counts[TG_NATS_COUNTS])
{
    const char *noted = "";
    int r = confirm(box->server, js, parties);
    for (size_t i = 0; i < parties->n && r == 0; i++) {
        const struct tg_nats_party *party = &parties->all[i];
        if (party->is_there) {
            continue;
        }
        if (strcmp(noted, party->proc) != 0) {
            const tong_death death = death_of(parties, i);
            noted = party->proc;
            r = death.roles != 0 ? tg_nats_note_death(box, js, noted, &death) : 0;
        }
        r = r < 0 ? r : bury(box, js, party, counts);
    }
    return r;
}

static int relieve(struct tg_nats_box *box, const struct tg_js *js, uint64_t counts[TG_NATS_COUNTS])
{
    struct tg_nats_parties parties;
    int r = tg_nats_find_parties(box->server, js, box->name, box->record.id, &parties);
    if (r == 0) {
        r = bury_the_dead(box, js, &parties, counts);
        tg_nats_free_parties(&parties);
    }
    return r;
}

/* Messages that are handed out and not acknowledged; and whether there are some for who waits. */
static int count_pending(struct tg_nats_box *box, const struct tg_js *js, uint64_t *ret_n)
{
    struct tg_js_answer answer;
    const int r = tg_nats_consumer_info(box->server, js, box->record.id, box->consumer, &answer);
    if (r == 0) {
        *ret_n = tg_json_u64(tg_json_get(answer.json, "num_ack_pending"));
        box->rx.is_passed_over = tg_json_u64(tg_json_get(answer.json, "num_pending")) > 0;
    } else if (r == -ENOENT) {
        /* A request to a consumer that is not there is answered by nobody. */
        box->rx.must_look = true;
        box->rx.is_passed_over = true;
    }
    return r;
}

int tg_nats_relieve(struct tg_nats_box *box, bool only_claims)
{
    struct tg_js js;
    uint64_t counts[TG_NATS_COUNTS] = { 0 };
    uint64_t pending = 0;
    int r = tg_nats_enter(box->server, &js);
    if (r < 0) {
        return r == -EACCES ? r : 0; /* the next tick will do */
    }
    r = only_claims ? count_pending(box, &js, &pending) : 0;
    if (r == 0 && (!only_claims || pending > 0)) {
        r = relieve(box, &js, counts);
        r = r == 0 && tg_nats_is_to_everyone(box) ? tg_nats_tidy_all(box, &js) : r;
    }
    tg_nats_leave(box->server);
    for (size_t i = 0; i < TG_NATS_COUNTS; i++) {
        if (counts[i] > 0) {
            (void)tg_nats_count(box, (enum tg_nats_count)i, counts[i]);
        }
    }
    return r == -EACCES ? r : 0;
}
