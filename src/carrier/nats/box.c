/* Handles: open and close, begin and end of calls, connections that were lost. */
#include "carrier/nats/box.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/name.h"
#include "base/sys.h"
#include "carrier/nats/fetch.h"
#include "carrier/nats/fork.h"
#include "carrier/nats/net.h"

/* ---- arguments */

static int check_options(const tong_options *o, const char *name)
{
    const bool bad_capacity = o->capacity > TONG_CAPACITY_MAX && o->capacity != TONG_UNBOUNDED;
    const bool bad_link =
        o->link_capacity > TONG_CAPACITY_MAX && o->link_capacity != TONG_UNBOUNDED;
    if (o->struct_size < sizeof *o || o->owner > TONG_PROCESS || o->full > TONG_DROP_OLDEST ||
        bad_capacity || bad_link || (o->mode & ~0666u) != 0 || (o->mode & 0600) != 0600 ||
        o->max_bytes == 0 || o->by_priority > 1 || o->max_deliveries >= UINT16_MAX ||
        (o->dead_letter != NULL && o->max_deliveries == 0) ||
        (o->delivery > TONG_BY_KEY && o->delivery != TONG_EVERYONE && o->delivery != TONG_OWN)) {
        return -EINVAL;
    }
    if (o->dead_letter != NULL) {
        const int r = tg_name_check(o->dead_letter);
        return r == 0 && strcmp(o->dead_letter, name) == 0 ? -EINVAL : r;
    }
    return 0;
}

static int check_arguments(const char *name, unsigned flags, const tong_options *options)
{
    const unsigned known = TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_EXCL | TONG_FROM_OLDEST;
    if ((flags & ~known) != 0 || (flags & (TONG_SEND | TONG_RECEIVE)) == 0 ||
        ((flags & TONG_EXCL) != 0 && (flags & TONG_CREATE) == 0)) {
        return -EINVAL;
    }
    return options != NULL ? check_options(options, name) : 0;
}

/* What is not here: links have no files, and what chooses is the server. */
static int check_abilities(const tong_options *o)
{
    const bool limits_links =
        o->link_capacity != TONG_DEFAULT && o->link_capacity != TONG_UNBOUNDED;
    return limits_links || o->policy != NULL || o->delivery == TONG_OWN ||
                   o->delivery >= TONG_RANDOM || o->delivery == TONG_EXCLUSIVE ||
                   o->capacity == 0 || o->owner == TONG_PROCESS || o->full == TONG_DROP_OLDEST ||
                   o->max_deliveries != 0 || o->by_priority != 0
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
    record->pid = getpid();
    record->uid = geteuid();
    return tg_nats_write_record(box->server, js, box->name, record, 0);
}

/* -ESTALE: it was not there, and then it was. */
static int find_or_make_once(struct tg_nats_box *box, const struct tg_js *js,
                             const tong_options *options)
{
    static const tong_options standard = TONG_OPTIONS_INIT;
    int r = tg_nats_read_record(box->server, js, box->name, &box->record);
    if (r < 0) {
        return r;
    }
    if (box->record.seq != 0) {
        return (box->flags & TONG_EXCL) != 0 || (options != NULL && !is_same(&box->record, options))
                   ? -EEXIST
                   : 0;
    }
    if ((box->flags & TONG_CREATE) == 0) {
        return -ENOENT;
    }
    r = make(box, js, options != NULL ? options : &standard);
    return r < 0 ? r : tg_nats_make_stream(box->server, js, box->name, &box->record);
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

/* ---- lines of this handle in the book */

int tg_nats_write_line(struct tg_nats_box *box, char kind, const char *more, const char *text,
                       uint64_t *ret_line)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_js js;
    tg_nats_subject(&subject, box->server, kind, box->name, box->record.id);
    tg_text_add(&subject, ".");
    tg_text_add(&subject, box->server->proc);
    tg_text_add(&subject, ".");
    tg_text_add_u64(&subject, box->handle);
    tg_text_add(&subject, more);
    int r = subject.is_over ? -ENAMETOOLONG : tg_nats_enter(box->server, &js);
    if (r == 0) {
        r = tg_book_put(box->server, &js, subject.at, text, TG_BOOK_ANY, ret_line);
        tg_nats_leave(box->server);
    }
    return r;
}

void tg_nats_delete_line(struct tg_nats_box *box, uint64_t *line)
{
    struct tg_js js;
    if (*line != 0 && tg_nats_enter(box->server, &js) == 0) {
        (void)tg_book_delete(box->server, &js, *line);
        tg_nats_leave(box->server);
    }
    *line = 0;
}

/* ---- open, close, remove */

static int open_side(struct tg_nats_side *side)
{
    side->bell = tg_net_bell();
    return side->bell < 0 ? side->bell : 0;
}

static int open_parts(struct tg_nats_box *box, const tong_options *options)
{
    struct tg_js js;
    int r = open_side(&box->tx);
    r = r < 0 ? r : open_side(&box->rx);
    r = r < 0 ? r : tg_nats_enter(box->server, &js);
    if (r < 0) {
        return r;
    }
    box->handle = ++box->server->next_handle;
    r = find_or_make(box, &js, options);
    tg_nats_leave(box->server);
    r = r < 0 ? r : tg_nats_be_known(box->server);
    if (r == 0 && (box->flags & TONG_RECEIVE) != 0) {
        r = tg_nats_come(box);
    }
    return r;
}

int tg_nats_open(const char *rest, unsigned flags, const tong_options *options,
                 struct tg_nats_box **ret_box)
{
    struct tg_nats_url url;
    char name[TONG_NAME_MAX];
    int r = tg_nats_parse(rest, &url, name);
    r = r < 0 ? r : check_arguments(name, flags, options);
    if (r < 0) {
        return r;
    }
    struct tg_nats_box *box = calloc(1, sizeof *box);
    if (box == NULL) {
        return -ENOMEM;
    }
    memcpy(box->name, name, sizeof box->name);
    box->flags = flags;
    box->tx.bell = -1;
    box->rx.bell = -1;
    r = tg_nats_server_get(&url, &box->server);
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

static void close_side(struct tg_nats_side *side)
{
    tg_nats_disconnect(side->conn);
    tg_sys_close(side->bell);
}

int tg_nats_close(struct tg_nats_box *box)
{
    const bool forked = box->server != NULL && box->forks != tg_nats_forks();
    if (box->server != NULL && !forked) {
        tg_nats_return_all(box);
        tg_nats_empty_pocket(box);
        tg_nats_delete_line(box, &box->rx.line);
        tg_nats_delete_line(box, &box->tx.line);
    }
    free(box->pocket_bytes);
    for (size_t i = 0; i < TG_NATS_CLAIMS; i++) {
        free(box->claims[i].data);
    }
    close_side(&box->tx);
    close_side(&box->rx);
    if (box->server != NULL && !forked) {
        tg_nats_server_put(box->server);
    }
    free(box);
    return forked ? -ECHILD : 0;
}

int tg_nats_remove(const char *rest)
{
    struct tg_nats_url url;
    struct tg_nats_server *server;
    struct tg_nats_record record;
    struct tg_js js;
    char name[TONG_NAME_MAX];
    int r = tg_nats_parse(rest, &url, name);
    r = r < 0 ? r : tg_nats_server_get(&url, &server);
    if (r < 0) {
        return r;
    }
    r = tg_nats_enter(server, &js);
    if (r == 0) {
        r = tg_nats_read_record(server, &js, name, &record);
        if (r == 0) {
            r = record.seq == 0 ? -ENOENT : tg_nats_end(server, &js, name, &record);
        }
        tg_nats_leave(server);
    }
    tg_nats_server_put(server);
    return r;
}

/* ---- calls */

int tg_nats_interrupt(struct tg_nats_box *box)
{
    if (box->forks != tg_nats_forks()) {
        return -ECHILD;
    }
    (void)tg_add(&box->interrupts, 1);
    tg_net_ring(box->tx.bell);
    tg_net_ring(box->rx.bell);
    tg_gate_stir(&box->tx.gate);
    tg_gate_stir(&box->rx.gate);
    return 0;
}

bool tg_nats_is_interrupted(struct tg_nats_box *box, uint32_t seen)
{
    const uint32_t now = tg_load_seq_cst(&box->interrupts);
    if (now == seen) {
        return false;
    }
    tg_store_relaxed(&box->used, now);
    return true;
}

static int ended(struct tg_nats_box *box)
{
    return -(int)tg_load_acquire(&box->ended);
}

int tg_nats_begin(struct tg_nats_box *box, struct tg_nats_side *side, unsigned way,
                  int64_t timeout_ns, struct tg_nats_call *ret_call)
{
    int r = box->forks != tg_nats_forks() ? -ECHILD
            : (box->flags & way) == 0     ? -EBADF
            : (r = ended(box)) < 0        ? r
                                          : 0;
    if (r < 0) {
        return r;
    }
    *ret_call = (struct tg_nats_call){ .timeout_ns = timeout_ns,
                                       .deadline = tg_deadline(timeout_ns),
                                       .interrupts = tg_load_relaxed(&box->used) };
    r = tg_gate_enter(&side->gate, ret_call->deadline, &box->interrupts, ret_call->interrupts);
    if (r == -ECANCELED) {
        (void)tg_nats_is_interrupted(box, ret_call->interrupts);
    }
    return r;
}

void tg_nats_finish(struct tg_nats_side *side)
{
    tg_gate_leave(&side->gate);
}

struct tg_js tg_nats_js(struct tg_nats_side *side)
{
    return (struct tg_js){ .conn = side->conn, .other = tg_nats_note, .arg = side };
}

void tg_nats_note(void *arg, const struct tg_nats_msg *msg)
{
    struct tg_nats_side *side = arg;
    side->must_look = side->must_look || (side->end_sid != 0 && msg->sid == side->end_sid);
    side->is_rung = side->is_rung || (side->room_sid != 0 && msg->sid == side->room_sid);
}

/* ---- connections */

int tg_nats_connect_side(struct tg_nats_box *box, struct tg_nats_side *side)
{
    if (side->conn != NULL && !side->conn->is_lost) {
        return 0;
    }
    tg_nats_disconnect(side->conn);
    side->conn = NULL;
    side->room_sid = 0;
    side->fetch_sid = 0;
    side->is_fetching = false;
    side->must_look = true; /* what was told meanwhile was told to nobody */
    int r = tg_nats_connect(&box->server->url, tg_now_ns() + TG_NATS_PATIENCE_NS, &side->conn);
    if (r < 0) {
        return r;
    }
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    tg_nats_subject(&subject, box->server, 'e', box->name, box->record.id);
    return tg_nats_subscribe(side->conn, subject.at, NULL, &side->end_sid);
}

static bool is_worth_a_try(int r)
{
    return r == -ENOTCONN || r == -EHOSTUNREACH || r == -ETIMEDOUT;
}

int tg_nats_reconnect(struct tg_nats_box *box, struct tg_nats_side *side,
                      const struct tg_nats_call *call)
{
    const int64_t none = tg_now_ns() + TG_NATS_PATIENCE_NS;
    const int64_t end = call->timeout_ns == 0 || call->deadline < none ? none : call->deadline;
    int r = tg_nats_connect_side(box, side);
    while (is_worth_a_try(r) && tg_now_ns() < end) {
        tg_gate_set_asleep(&side->gate, true);
        const int slept = tg_net_wait(-1, 0, side->bell, tg_now_ns() + TG_NATS_RETRY_NS);
        tg_gate_set_asleep(&side->gate, false);
        if (slept == -EINTR) {
            return -EINTR;
        }
        if (slept > 0) {
            tg_net_silence(side->bell);
        }
        if (tg_nats_is_interrupted(box, call->interrupts)) {
            return -ECANCELED;
        }
        r = tg_nats_connect_side(box, side);
    }
    return is_worth_a_try(r) ? -ENOTCONN : r;
}

int tg_nats_settle(struct tg_nats_side *side)
{
    const struct tg_nats_wait wait = { .deadline = tg_now_ns() + TG_NATS_PATIENCE_NS,
                                       .cancel_fd = -1 };
    int r = tg_nats_ping(side->conn);
    while (r == 0 && !tg_nats_is_answered(side->conn)) {
        struct tg_nats_msg msg;
        r = tg_nats_next(side->conn, &wait, &msg);
        if (r == 0) {
            tg_nats_note(side, &msg);
        } else if (r == -ETIMEDOUT) {
            r = tg_nats_is_answered(side->conn) ? 0 : -ENOTCONN;
        }
    }
    return r;
}

/* ---- the end */

static int look(struct tg_nats_box *box, const struct tg_js *js)
{
    struct tg_nats_record now;
    const int r = tg_nats_read_record(box->server, js, box->name, &now);
    if (r < 0) {
        return r;
    }
    if (now.seq == 0 || strcmp(now.id, box->record.id) != 0) {
        tg_store_release(&box->ended, (uint32_t)EIDRM);
        return -EIDRM;
    }
    return tg_nats_make_stream(box->server, js, box->name, &now);
}

int tg_nats_look(struct tg_nats_box *box)
{
    struct tg_js js;
    int r = ended(box);
    r = r < 0 ? r : tg_nats_enter(box->server, &js);
    if (r < 0) {
        return is_worth_a_try(r) ? -ENOTCONN : r;
    }
    r = look(box, &js);
    /* Ended between the look and the making: the stream that was made is nobody's. */
    if (r == 0) {
        struct tg_nats_record now;
        r = tg_nats_read_record(box->server, &js, box->name, &now);
        if (r == 0 && (now.seq == 0 || strcmp(now.id, box->record.id) != 0)) {
            tg_nats_clear(box->server, &js, box->name, box->record.id);
            tg_store_release(&box->ended, (uint32_t)EIDRM);
            r = -EIDRM;
        }
    }
    tg_nats_leave(box->server);
    return r;
}
