/* Handles: what may be asked for; find or make a mailbox, close, remove. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arguments.h"
#include "base/sys.h"
#include "carrier/nats/call.h"
#include "carrier/nats/direct.h"
#include "carrier/nats/everyone.h"
#include "carrier/nats/fetch.h"
#include "carrier/nats/fork.h"
#include "carrier/nats/loop.h"
#include "carrier/nats/net.h"
#include "carrier/nats/owner.h"

#define ELECTION_NS INT64_C(10000000000) /* servers need 4 to 9 s for one */

/* ---- arguments */

static int check_arguments(const char *name, unsigned flags, const tong_options *o)
{
    const bool is_known = o == NULL || o->delivery <= TONG_BY_KEY || o->delivery == TONG_EVERYONE ||
                          o->delivery == TONG_OWN;
    return is_known ? tg_arguments_check(name, flags, o) : -EINVAL;
}

/* What is not here: links have no files, and what chooses is the server. */
static int check_abilities(const tong_options *o)
{
    /* Replicas of 2.9 store what a subject has no room for as if it had, and then drop it. */
    const bool limits_links =
        tg_nats_bounds_links(o) && (o->delivery != TONG_EVERYONE || tg_nats_replicas() > 1);
    return limits_links || o->policy != NULL || o->delivery == TONG_OWN ||
                   (o->delivery > TONG_RANDOM && o->delivery != TONG_EVERYONE) ||
                   (o->delivery == TONG_EVERYONE &&
                    (o->capacity != TONG_UNBOUNDED || o->max_deliveries != 0)) ||
                   o->full == TONG_DROP_OLDEST || o->by_priority != 0
               ? -EOPNOTSUPP
               : 0;
}

/* ---- find or make */

static bool is_same(const struct tg_nats_record *record, const tong_options *o)
{
    const tong_options *its = &record->options;
    const char *dead_letter = o->dead_letter != NULL ? o->dead_letter : "";
    const char *policy = o->policy != NULL ? o->policy : "";
    return its->delivery == o->delivery && its->owner == o->owner && its->full == o->full &&
           its->capacity == o->capacity && its->link_capacity == o->link_capacity &&
           its->message_size == o->message_size && its->mode == o->mode &&
           its->max_bytes == o->max_bytes && its->max_deliveries == o->max_deliveries &&
           strcmp(record->dead_letter, dead_letter) == 0 && strcmp(record->policy, policy) == 0;
}

static void copy_string(const char *from, char *to, size_t size)
{
    const size_t len = from != NULL ? strlen(from) : 0;
    if (len > 0 && len < size) {
        memcpy(to, from, len + 1);
    }
}

static int make(struct tg_nats_box *box, const struct tg_js *js, const tong_options *o)
{
    unsigned char random[16];
    int r = check_abilities(o);
    r = r < 0 ? r : tg_sys_random(random, sizeof random);
    if (r < 0) {
        return r;
    }
    struct tg_nats_record *record = &box->record;
    memset(record, 0, sizeof *record);
    struct tg_text id = TG_TEXT(record->id);
    tg_text_add_hex(&id, random, sizeof random);
    record->options = *o;
    record->options.dead_letter = NULL;
    record->options.policy = NULL;
    copy_string(o->dead_letter, record->dead_letter, sizeof record->dead_letter);
    copy_string(o->policy, record->policy, sizeof record->policy);
    memcpy(record->home, box->called, sizeof record->home);
    memcpy(box->name, box->called, sizeof box->name);
    record->is_process = box->is_process;
    record->is_reply = box->is_reply;
    record->pid = getpid();
    record->uid = geteuid();
    record->replicas = box->is_reply ? 1 : tg_nats_replicas();
    if (o->owner == TONG_PROCESS) {
        memcpy(record->proc, box->server->proc, sizeof record->proc);
        record->handle = box->handle;
    }
    /* The stream first: who reads the line finds it whole. */
    r = tg_nats_make_stream(box->server, js, box->name, record);
    r = r < 0 ? r : tg_nats_write_record(box->server, js, box->called, record, 0);
    if (r < 0) {
        (void)tg_nats_clear(box->server, js, box->name, record->id);
    }
    return r;
}

/* -ESTALE: it was not there, and then it was. */
static int find_or_make_once(struct tg_nats_box *box, const struct tg_js *js,
                             const tong_options *options)
{
    static const tong_options standard = TONG_OPTIONS_INIT;
    int r = tg_nats_read_record(box->server, js, box->called, &box->record);
    if (r == 0 && box->record.seq != 0) {
        r = tg_nats_end_if_dead(box->server, js, &box->record);
        box->record.seq = r == 1 ? 0 : box->record.seq;
    }
    if (r < 0) {
        return r;
    }
    if (box->record.seq != 0 && box->is_process) {
        return box->record.is_process ? -EBUSY : -EEXIST;
    }
    if (box->record.seq != 0 && box->as != NULL && !box->record.is_process) {
        return -EINVAL;
    }
    if (box->record.seq != 0 && box->is_reply && !box->record.is_reply) {
        return -ENOENT;
    }
    if (box->record.seq != 0) {
        memcpy(box->name, box->record.home, sizeof box->name);
        return (box->flags & TONG_EXCL) != 0 || (options != NULL && !is_same(&box->record, options))
                   ? -EEXIST
                   : 0;
    }
    if ((box->flags & TONG_CREATE) == 0) {
        return -ENOENT;
    }
    return make(box, js, options != NULL ? options : &standard);
}

static int find_or_make(struct tg_nats_box *box, const struct tg_js *js,
                        const tong_options *options)
{
    int r = -ESTALE;
    for (unsigned tries = 0; r == -ESTALE && tries < 100; tries++) {
        r = find_or_make_once(box, js, options);
    }
    return r == -ESTALE ? -EBUSY : r;
}

/* A cluster that is just forming, or has lost a leader, is waited for. */
static int find_or_make_soon(struct tg_nats_box *box, const tong_options *options)
{
    const int64_t end = tg_now_ns() + ELECTION_NS;
    struct tg_js js;
    int r;
    do {
        r = tg_nats_enter(box->server, &js);
        if (r == 0) {
            box->handle = box->handle != 0 ? box->handle : ++box->server->next_handle;
            r = find_or_make(box, &js, options);
            tg_nats_leave(box->server);
        }
    } while (r == -ENOTCONN && tg_nats_is_clustered(box->server) && tg_now_ns() < end &&
             tg_net_wait(-1, 0, -1, tg_now_ns() + ELECTION_NS / 50) == -ETIMEDOUT);
    return r;
}

/* ---- open, close, remove */

static int open_side(struct tg_nats_side *side)
{
    side->bell = tg_net_bell();
    return side->bell < 0 ? side->bell : 0;
}

static int open_bells(struct tg_nats_box *box)
{
    if (box->shares != NULL) {
        box->tx.bell = box->shares->tx.bell;
        box->rx.bell = box->shares->tx.bell;
        return 0;
    }
    const int r = open_side(&box->tx);
    return r < 0 ? r : open_side(&box->rx);
}

static int open_parts(struct tg_nats_box *box, const tong_options *options)
{
    int r = open_bells(box);
    /* Others must know an owner before they hear of what it owns. */
    if (r == 0 && options != NULL && options->owner == TONG_PROCESS) {
        r = tg_nats_keep(box->server);
    }
    r = r < 0 ? r : find_or_make_soon(box, options);
    if (r == 0) {
        tg_nats_name_consumer(box);
    }
    r = r < 0 ? r : tg_nats_be_known(box->server);
    if (r == 0 && (box->flags & TONG_RECEIVE) != 0) {
        r = tg_nats_be_receiver(box);
        r = r < 0 ? r : tg_nats_come(box);
    }
    return r;
}

/* What else it is. */
struct kind {
    bool is_process;
    bool is_reply;
    struct tg_nats_box *as;
    const struct tg_nats_box *shares;
};

static int open_at(const struct tg_nats_url *url, const char *name, unsigned flags,
                   const tong_options *options, const struct kind *kind,
                   struct tg_nats_box **ret_box)
{
    int r = check_arguments(name, flags, options);
    if (r < 0) {
        return r;
    }
    struct tg_nats_box *box = calloc(1, sizeof *box);
    if (box == NULL) {
        return -ENOMEM;
    }
    memcpy(box->called, name, strlen(name) + 1);
    box->flags = flags;
    box->as = kind->as;
    box->shares = kind->shares;
    box->is_process = kind->is_process;
    box->is_reply = kind->is_reply;
    box->stop = kind->shares != NULL ? kind->shares->stop : &box->own_stop;
    box->tx.bell = -1;
    box->rx.bell = -1;
    r = tg_nats_server_get(url, &box->server);
    if (r == 0) {
        box->forks = tg_nats_forks();
        r = open_parts(box, options);
    }
    if (r < 0) {
        (void)tg_nats_close(box);
        return r;
    }
    *ret_box = box;
    return 0;
}

int tg_nats_open(const char *rest, unsigned flags, const tong_options *options,
                 struct tg_nats_box **ret_box)
{
    struct tg_nats_url url;
    char name[TONG_NAME_MAX];
    const int r = tg_nats_parse(rest, &url, name);
    const struct kind kind = { .as = NULL };
    return r < 0 ? r : open_at(&url, name, flags, options, &kind, ret_box);
}

int tg_nats_open_beside(const struct tg_nats_box *box, const char *name, unsigned flags,
                        struct tg_nats_box **ret_box)
{
    const struct kind kind = { .as = NULL };
    return open_at(&box->server->url, name, flags, NULL, &kind, ret_box);
}

int tg_nats_process_open(const char *rest, const tong_options *options, struct tg_nats_box **ret_me)
{
    struct tg_nats_url url;
    char name[TONG_NAME_MAX];
    tong_options own = TONG_OPTIONS_INIT;
    if (options != NULL && options->struct_size < sizeof *options) {
        return -EINVAL;
    }
    if (options != NULL) {
        own = *options;
    }
    own.owner = TONG_PROCESS;
    own.delivery = TONG_EXCLUSIVE;
    own.policy = NULL;
    const int r = tg_nats_parse(rest, &url, name);
    const struct kind kind = { .is_process = true };
    return r < 0 ? r : open_at(&url, name, TONG_RECEIVE | TONG_CREATE, &own, &kind, ret_me);
}

int tg_nats_peer_open(struct tg_nats_box *me, const char *rest, struct tg_nats_box **ret_peer)
{
    const struct tg_nats_url url = me->server->url;
    if (me->forks != tg_nats_forks()) {
        return -ECHILD;
    }
    /* On the server of me: a name with another one is another process's. */
    struct tg_nats_url said;
    char name[TONG_NAME_MAX];
    const int r = tg_nats_parse(rest, &said, name);
    const struct kind kind = { .as = me, .shares = me };
    return r < 0 ? r : open_at(&url, name, TONG_SEND, NULL, &kind, ret_peer);
}

int tg_nats_open_reply(struct tg_nats_box *box, const char *name, unsigned flags,
                       struct tg_nats_box **ret_reply)
{
    const struct kind kind = { .is_reply = true, .shares = box };
    tong_options options = TONG_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    return open_at(&box->server->url, name, flags, (flags & TONG_CREATE) != 0 ? &options : NULL,
                   &kind, ret_reply);
}

/* The owner is alive, and yet the mailbox ends as by its death. */
static void end_mine(struct tg_nats_box *box)
{
    struct tg_js js;
    if (tg_nats_owns(box) && tg_nats_enter(box->server, &js) == 0) {
        (void)tg_nats_end(box->server, &js, &box->record);
        tg_nats_leave(box->server);
    }
}

static void close_side(struct tg_nats_side *side, bool has_bell)
{
    tg_nats_loop_free(side->loop);
    tg_nats_disconnect(side->conn);
    if (has_bell) {
        tg_sys_close(side->bell);
    }
}

int tg_nats_close(struct tg_nats_box *box)
{
    const bool forked = box->server != NULL && box->forks != tg_nats_forks();
    if (box->server != NULL && !forked) {
        tg_nats_return_all(box);
        tg_nats_forget_requests(box);
        tg_nats_empty_pocket(box);
        tg_nats_empty_stash(box);
        tg_nats_be_receiver_no_more(box);
        tg_nats_delete_line(box, &box->token);
        tg_nats_delete_line(box, &box->rx.line);
        tg_nats_go_from_all(box);
        tg_nats_delete_line(box, &box->tx.line);
        end_mine(box);
    }
    free(box->pocket_bytes);
    for (size_t i = 0; i < TG_NATS_CLAIMS; i++) {
        free(box->claims[i].data);
        free(box->claims[i].origin);
    }
    close_side(&box->tx, box->shares == NULL);
    close_side(&box->rx, box->shares == NULL);
    tg_nats_free_stash(box);
    tg_nats_free_requests(box);
    free(box->seen);
    if (box->server != NULL) {
        tg_nats_server_put(box->server); /* in a child memory alone: no connection is open there */
    }
    free(box);
    return forked ? -ECHILD : 0;
}

/* -ESTALE: it has ended, or was given on meanwhile. */
static int remove_once(struct tg_nats_server *server, const struct tg_js *js, const char *name)
{
    struct tg_nats_record record;
    int r = tg_nats_read_record(server, js, name, &record);
    if (r < 0 || record.seq == 0) {
        return r < 0 ? r : -ENOENT;
    }
    r = tg_nats_end_if_dead(server, js, &record);
    if (r != 0) {
        return r == 1 ? -ESTALE : r; /* unless it was given on at that moment */
    }
    r = record.options.owner == TONG_PROCESS || record.was_given
            ? tg_nats_note_removed(server, js, &record)
            : 0;
    r = r < 0 ? r : tg_nats_end(server, js, &record);
    return r == -ENOENT ? -ESTALE : r; /* whether it is gone is seen at the next look */
}

static int remove_one(struct tg_nats_server *server, const struct tg_js *js, const char *name)
{
    int r = -ESTALE;
    for (unsigned tries = 0; r == -ESTALE && tries < 100; tries++) {
        r = remove_once(server, js, name);
    }
    return r == -ESTALE ? -EBUSY : r;
}

int tg_nats_remove(const char *rest)
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
        r = remove_one(server, &js, name);
        tg_nats_leave(server);
    }
    tg_nats_server_put(server);
    return r;
}
