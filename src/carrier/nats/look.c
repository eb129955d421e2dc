/* Looking at mailboxes: what the book says, what the server counts, who is alive. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carrier/nats/box.h"
#include "carrier/nats/dead_letter.h"
#include "carrier/nats/direct.h"
#include "carrier/nats/everyone.h"
#include "carrier/nats/owner.h"
#include "carrier/nats/party.h"

/* ---- a receiver comes */

static bool has_absent(const struct tg_nats_parties *parties)
{
    for (size_t i = 0; i < parties->n; i++) {
        if (!parties->all[i].is_there) {
            return true;
        }
    }
    return false;
}

static size_t count_receivers(const struct tg_nats_parties *parties)
{
    size_t n = 0;
    for (size_t i = 0; i < parties->n; i++) {
        n += parties->all[i].is_there && parties->all[i].kind == 'h' && parties->all[i].role == 'r';
    }
    return n;
}

int tg_nats_write_receiver(struct tg_nats_box *box, const struct tg_js *js)
{
    char more_at[64];
    struct tg_text more = TG_TEXT(more_at);
    tg_text_add(&more, ".r.");
    tg_text_add_u64(&more, (uint64_t)getpid());
    tg_text_add(&more, ".");
    tg_text_add_u64(&more, geteuid());
    return tg_nats_put_line(box, js, 'h', more.at, "", &box->rx.line);
}

int tg_nats_come(struct tg_nats_box *box)
{
    struct tg_js js;
    int r = tg_nats_enter(box->server, &js);
    if (r < 0) {
        return r;
    }
    struct tg_nats_parties parties = { .n = 0 };
    bool buries = false;
    r = tg_nats_write_receiver(box, &js);
    r = r < 0 ? r : tg_nats_find_parties(box->server, &js, box->name, box->record.id, &parties);
    if (r == 0) {
        r = count_receivers(&parties) > TG_NATS_RECEIVERS ? -EUSERS : 0;
        buries = has_absent(&parties) && tg_nats_is_calm(box->server);
        tg_nats_free_parties(&parties);
    }
    tg_nats_leave(box->server);
    r = r == 0 && buries ? tg_nats_relieve(box, false) : r;
    return r == 0 && tg_nats_is_to_everyone(box) ? tg_nats_come_to_all(box) : r;
}

/* ---- stat */

static void count_parties(const struct tg_nats_parties *parties, tong_status *status)
{
    for (size_t i = 0; i < parties->n; i++) {
        const struct tg_nats_party *party = &parties->all[i];
        if (!party->is_there) {
            continue;
        }
        status->receivers += party->kind == 'h' && party->role == 'r';
        status->senders += party->kind == 'h' && party->role == 's';
        status->senders_blocked += party->kind == 'b';
        status->claimed += party->kind == 'c';
    }
    status->links = status->senders;
}

/* Who has gone and left messages has a link, too: the words PROC.HANDLE of the subjects. */
struct links {
    const struct tg_nats_parties *parties;
    char (*gone)[64];
    size_t n;
    size_t size;
};

static bool is_known(const struct links *links, const char *proc, const char *handle)
{
    const uint32_t number = (uint32_t)tg_json_u64((struct tg_json){ handle, strlen(handle) });
    for (size_t i = 0; i < links->parties->n; i++) {
        const struct tg_nats_party *party = &links->parties->all[i];
        if (party->is_there && party->role == 's' && party->handle == number &&
            strcmp(party->proc, proc) == 0) {
            return true;
        }
    }
    return false;
}

static int add_link(void *arg, const char *subject)
{
    struct links *links = arg;
    char copy[TG_NATS_SUBJECT_SIZE];
    char *words[9];
    memcpy(copy, subject, strlen(subject) + 1);
    if (tg_nats_split(copy, words, 9) < 7 || is_known(links, words[5], words[6])) {
        return 0;
    }
    struct tg_text name = { (char[64]){ 0 }, 64, 0, false };
    tg_text_add(&name, words[5]);
    tg_text_add(&name, ".");
    tg_text_add(&name, words[6]);
    for (size_t i = 0; i < links->n; i++) {
        if (strcmp(links->gone[i], name.at) == 0) {
            return 0; /* a long message's subject has one word more */
        }
    }
    if (links->n == links->size) {
        const size_t size = links->size == 0 ? 16 : 2 * links->size;
        void *gone = realloc(links->gone, size * sizeof links->gone[0]);
        if (gone == NULL) {
            return -ENOMEM;
        }
        links->gone = gone;
        links->size = size;
    }
    memcpy(links->gone[links->n++], name.at, 64);
    return 0;
}

static int count_links(struct tg_nats_server *server, const struct tg_js *js,
                       const struct tg_nats_record *record, const struct tg_nats_parties *parties,
                       tong_status *status)
{
    struct links links = { .parties = parties };
    const int r = tg_nats_list_subjects(server, js, record->id, ">", add_link, &links);
    status->links += (uint32_t)links.n;
    free(links.gone);
    return r;
}

void tg_nats_id_bytes(const char *id, uint8_t ret_bytes[16])
{
    for (size_t i = 0; i < TG_NATS_ID_SIZE - 1; i++) {
        const char c = id[i];
        const uint8_t four = (uint8_t)(c >= 'a' ? c - 'a' + 10 : c - '0');
        ret_bytes[i / 2] = (uint8_t)(i % 2 == 0 ? four << 4 : ret_bytes[i / 2] | four);
    }
}

static void copy_options(const struct tg_nats_record *record, tong_status *status)
{
    const tong_options *o = &record->options;
    status->delivery = o->delivery;
    status->owner = o->owner;
    status->full = o->full;
    status->capacity = o->capacity;
    status->link_capacity = tg_nats_bounds_links(o) ? o->link_capacity : TONG_UNBOUNDED;
    status->message_size = o->message_size;
    status->mode = o->mode;
    status->max_bytes = o->max_bytes;
    status->max_deliveries = o->max_deliveries;
    memcpy(status->dead_letter, record->dead_letter, sizeof status->dead_letter);
    memcpy(status->policy, record->policy, sizeof status->policy);
    memcpy(status->carrier, "nats", 5);
    tg_nats_id_bytes(record->id, status->id);
    status->owner_uid = record->uid;
    status->owner_pid = o->owner == TONG_PROCESS ? record->pid : 0;
}

static int fill_to_one(struct tg_nats_server *server, const struct tg_js *js,
                       const struct tg_nats_record *record, tong_status *status)
{
    struct tg_js_answer answer;
    int r = tg_nats_count_set_aside(server, js, record, &status->set_aside);
    r = r < 0 ? r : tg_nats_consumer_info(server, js, record->id, TG_NATS_FIRST_CONSUMER, &answer);
    if (r == 0) {
        /* Who gave up may have left a request (ask.c). */
        const uint64_t asleep = tg_json_u64(tg_json_get(answer.json, "num_waiting"));
        status->receivers_asleep =
            asleep < status->receivers ? (uint32_t)asleep : status->receivers;
    }
    r = r < 0 ? r : tg_nats_stream_info(server, js, record->id, &answer);
    if (r < 0) {
        return r;
    }
    const struct tg_json state = tg_json_get(answer.json, "state");
    const uint64_t there = tg_json_u64(tg_json_get(state, "messages"));
    status->sent = tg_json_u64(tg_json_get(state, "last_seq"));
    status->bytes = tg_json_u64(tg_json_get(state, "bytes"));
    const uint64_t held = status->claimed + status->set_aside;
    status->waiting = there > held ? there - held : 0;
    status->done = status->sent - there;
    return 0;
}

static int fill_to_all(struct tg_nats_server *server, const struct tg_js *js,
                       const struct tg_nats_record *record, const struct tg_nats_parties *parties,
                       uint64_t done_before, tong_status *status)
{
    struct tg_js_answer answer;
    const int r = tg_nats_stream_info(server, js, record->id, &answer);
    if (r < 0) {
        return r;
    }
    status->bytes = tg_json_u64(tg_json_get(answer.json, "state.bytes"));
    return tg_nats_fill_all(server, js, record->id, parties, done_before, status);
}

/* What the server counts comes last: acknowledgements that are under way have arrived by then. */
static int fill(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                const struct tg_nats_record *record, tong_status *status)
{
    uint64_t counts[TG_NATS_COUNTS];
    struct tg_nats_parties parties;
    int r = tg_nats_read_counts(server, js, name, record->id, counts);
    r = r < 0 ? r : tg_nats_find_parties(server, js, name, record->id, &parties);
    if (r < 0) {
        return r;
    }
    count_parties(&parties, status);
    r = count_links(server, js, record, &parties, status);
    status->redelivered = counts[TG_NATS_REDELIVERED];
    status->deaths = counts[TG_NATS_DEATHS];
    status->dropped = counts[TG_NATS_DROPPED];
    status->expired = counts[TG_NATS_EXPIRED];
    status->dead_letters = counts[TG_NATS_DEAD_LETTERS];
    if (r == 0) {
        r = record->options.delivery == TONG_EVERYONE
                ? fill_to_all(server, js, record, &parties, counts[TG_NATS_DONE_BEFORE], status)
                : fill_to_one(server, js, record, status);
    }
    tg_nats_free_parties(&parties);
    return r == -ENOENT ? 0 : r; /* nobody has sent or received yet */
}

static int stat_one(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                    tong_status *ret_status)
{
    struct tg_nats_record record;
    tong_status status = TONG_STATUS_INIT;
    int r = tg_nats_read_record(server, js, name, &record);
    if (r == 0 && (record.seq == 0 || record.is_reply)) {
        r = -ENOENT;
    }
    if (r == 0 && record.options.owner == TONG_PROCESS) {
        bool dead = false;
        r = tg_nats_is_dead(server, js, record.proc, &dead);
        r = r == 0 && dead ? -ENOENT : r;
    }
    if (r == 0) {
        memcpy(status.name, name, strlen(name) + 1);
        copy_options(&record, &status);
        r = fill(server, js, record.home, &record, &status);
    }
    if (r == 0) {
        *ret_status = status;
    }
    return r;
}

int tg_nats_stat(const char *rest, tong_status *ret_status)
{
    struct tg_nats_url url;
    struct tg_nats_server *server;
    struct tg_js js;
    char name[TONG_NAME_MAX];
    int r = tg_nats_parse(rest, &url, name);
    r = r < 0 ? r : tg_nats_server_get(&url, &server);
    if (r < 0) {
        return r;
    }
    r = tg_nats_enter(server, &js);
    if (r == 0) {
        r = stat_one(server, &js, name, ret_status);
        tg_nats_leave(server);
    }
    tg_nats_server_put(server);
    return r;
}

/* ---- list */

struct names {
    char (*all)[TONG_NAME_MAX];
    size_t n;
    size_t size;
};

/* SPACE.d.NAME, with = for a dot. */
static int add_name(void *arg, const char *subject)
{
    struct names *names = arg;
    const char *name = strchr(subject, '.');
    name = name != NULL ? strchr(name + 1, '.') : NULL;
    if (name == NULL || strlen(name + 1) >= TONG_NAME_MAX) {
        return 0;
    }
    if (names->n == names->size) {
        const size_t size = names->size == 0 ? 16 : 2 * names->size;
        void *all = realloc(names->all, size * sizeof names->all[0]);
        if (all == NULL) {
            return -ENOMEM;
        }
        names->all = all;
        names->size = size;
    }
    char *to = names->all[names->n++];
    for (name++; *name != '\0'; name++) {
        *to++ = *name == '=' ? '.' : *name;
    }
    *to = '\0';
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

int tg_nats_find_names(struct tg_nats_server *server, char (**ret_names)[TONG_NAME_MAX],
                       size_t *ret_n)
{
    char filter_at[64];
    struct tg_text filter = TG_TEXT(filter_at);
    struct names names = { .n = 0 };
    struct tg_js js;
    tg_text_add(&filter, server->space);
    tg_text_add(&filter, ".d.*");
    int r = tg_nats_enter(server, &js);
    if (r == 0) {
        r = tg_book_list(server, &js, filter.at, add_name, &names);
        tg_nats_leave(server);
    }
    if (r < 0) {
        free(names.all);
        return r;
    }
    if (names.n > 0) {
        qsort(names.all, names.n, sizeof names.all[0], by_name);
    }
    *ret_names = names.all;
    *ret_n = names.n;
    return 0;
}

/* One at a time, so that each() may call what it likes. */
static int list_one(struct tg_nats_server *server, const char *name, tong_list_fn *each, void *arg)
{
    tong_status status = TONG_STATUS_INIT;
    struct tg_js js;
    int r = tg_nats_enter(server, &js);
    if (r == 0) {
        r = stat_one(server, &js, name, &status);
        tg_nats_leave(server);
    }
    if (r == -ENOENT) {
        return 0; /* it has ended meanwhile */
    }
    memcpy(status.name, name, strlen(name) + 1);
    memcpy(status.carrier, "nats", 5);
    return each(&status, r, arg);
}

int tg_nats_list(tong_list_fn *each, void *arg)
{
    struct tg_nats_url url;
    struct tg_nats_server *server;
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
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = list_one(server, names[i], each, arg);
    }
    free(names);
    tg_nats_server_put(server);
    return r;
}
