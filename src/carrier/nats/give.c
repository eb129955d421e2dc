/*
 * Giving on: the book's line gets another owner, under the version that the giver has seen.
 *
 * I1  Who receives looks at the line when it is told that it has changed, and at the begin of a call if it may not receive
 *     as far as it knows. The word is on its way before tong_give() returns, and each connection brings it before
 *     a message that is handed out later.
 * I2  The giver waits for the others' requests to be taken back. That of one that is stopped stays at the server: the
 *     message that it gets is handed out again when nobody has said anything of it for TG_NATS_ACK_WAIT_NS.
 * I3  Given, the line names no handle: the first that the new owner opens to receive writes itself there, and ends the mailbox
 *     when it is closed.
 */
#include "carrier/nats/give.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "carrier/nats/direct.h"
#include "carrier/nats/everyone.h"
#include "carrier/nats/fork.h"
#include "carrier/nats/net.h"
#include "carrier/nats/owner.h"
#include "carrier/nats/rendezvous.h"

#define TRIES 100u
#define WITHDRAWAL_NS INT64_C(200000000)
#define PAUSE_NS INT64_C(3000000)

static void enter(struct tg_nats_box *box)
{
    while (tg_gate_enter(&box->claims_gate, TG_NEVER, NULL, 0) < 0) {
    }
}

void tg_nats_adopt(struct tg_nats_box *box, const struct tg_nats_record *now)
{
    enter(box);
    box->record.seq = now->seq;
    box->record.options.owner = now->options.owner;
    memcpy(box->record.proc, now->proc, sizeof box->record.proc);
    box->record.handle = now->handle;
    box->record.pid = now->pid;
    tg_gate_leave(&box->claims_gate);
}

void tg_nats_owner_of(struct tg_nats_box *box, struct tg_nats_record *ret_record)
{
    enter(box);
    *ret_record = box->record;
    tg_gate_leave(&box->claims_gate);
}

bool tg_nats_may_receive(struct tg_nats_box *box)
{
    struct tg_nats_record record;
    tg_nats_owner_of(box, &record);
    return record.options.owner != TONG_PROCESS || strcmp(record.proc, box->server->proc) == 0;
}

int tg_nats_look_as_receiver(struct tg_nats_box *box)
{
    const int r = tg_nats_look(box);
    return r < 0 ? r : tg_nats_may_receive(box) ? 0 : -EPERM;
}

/* ---- the giver */

static bool may_give(const struct tg_nats_record *record)
{
    return geteuid() == record->uid || geteuid() == 0;
}

/* The process that owns the mailbox of that name, and so what the line is to say. 1: it says so already. */
static int name_owner(struct tg_nats_box *box, const struct tg_js *js, const char *name,
                      struct tg_nats_record *record)
{
    struct tg_nats_record its;
    int r = tg_nats_read_record(box->server, js, name, &its);
    if (r < 0 || its.seq == 0) {
        return r < 0 ? r : -ENOENT;
    }
    r = tg_nats_end_if_dead(box->server, js, &its);
    if (r != 0) {
        return r < 0 ? r : -ENOENT;
    }
    if (its.options.owner != TONG_PROCESS) {
        return -EINVAL;
    }
    if (its.uid != record->uid) {
        return -EPERM;
    }
    if (record->options.owner == TONG_PROCESS && strcmp(record->proc, its.proc) == 0) {
        return 1;
    }
    record->options.owner = TONG_PROCESS;
    memcpy(record->proc, its.proc, sizeof record->proc);
    record->handle = 0;
    record->pid = its.pid;
    return 0;
}

static int name_system(struct tg_nats_record *record)
{
    if (record->options.owner == TONG_SYSTEM) {
        return 1;
    }
    record->options.owner = TONG_SYSTEM;
    record->proc[0] = '\0';
    record->handle = 0;
    record->pid = 0;
    return 0;
}

/* The word for all: it has been carried out when the answer to what is asked behind it is there. */
static int tell_all(struct tg_nats_box *box, const struct tg_js *js)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_nats_record now;
    tg_nats_subject(&subject, box->server, 'e', box->name, box->record.id);
    const int r = tg_nats_publish_text(js->conn, subject.at, NULL, "");
    return r < 0 ? r : tg_nats_find_again(box, js, &now);
}

/* 0, -ESTALE: the line has changed meanwhile; -EIDRM: it has ended, somehow. */
static int give_once(struct tg_nats_box *box, const struct tg_js *js, const char *process)
{
    struct tg_nats_record now;
    char called[TONG_NAME_MAX];
    int r = tg_nats_find_again(box, js, &now);
    r = r == 0 && now.seq != 0 ? tg_nats_end_if_dead(box->server, js, &now) : r;
    if (r != 0 || now.seq == 0) {
        return r < 0 ? r : -EIDRM;
    }
    if (!may_give(&now)) {
        return -EPERM;
    }
    r = process != NULL ? name_owner(box, js, process, &now) : name_system(&now);
    if (r != 0) {
        tg_nats_adopt(box, &now);
        return r < 0 ? r : 0;
    }
    tg_nats_called(box, called);
    const bool is_first = !now.was_given;
    now.was_given = true;
    r = tg_nats_write_record(box->server, js, called, &now, now.seq);
    if (r < 0) {
        return r;
    }
    tg_nats_adopt(box, &now);
    r = is_first ? tg_nats_note_given(box->server, js, now.id) : 0;
    return r < 0 ? r : tell_all(box, js);
}

/* Those who wait and may not any more take their requests back: what is sent from now on is the new owner's. One that is
 * stopped does not, and the new owner's own stands there, too: it is for a moment. */
static void await_withdrawal(struct tg_nats_box *box)
{
    const int64_t end = tg_now_ns() + WITHDRAWAL_NS;
    uint64_t waiting = 1;
    while (waiting > 0 && tg_now_ns() < end && tg_nats_count_waiting(box, &waiting) == 0) {
        if (waiting > 0) {
            (void)tg_net_wait(-1, 0, -1, tg_now_ns() + PAUSE_NS);
        }
    }
}

int tg_nats_give(struct tg_nats_box *box, const char *process)
{
    struct tg_nats_url url;
    struct tg_js js;
    char name[TONG_NAME_MAX];
    if (box->forks != tg_nats_forks()) {
        return -ECHILD;
    }
    if (tg_nats_is_to_everyone(box)) {
        return -EOPNOTSUPP;
    }
    int r = process != NULL ? tg_nats_parse(process, &url, name) : 0;
    r = r < 0 ? r : -(int)tg_load_acquire(&box->ended);
    r = r < 0 ? r : tg_nats_enter(box->server, &js);
    if (r < 0) {
        return r == -EHOSTUNREACH ? -ENOTCONN : r;
    }
    r = -ESTALE;
    for (unsigned tries = 0; r == -ESTALE && tries < TRIES; tries++) {
        r = give_once(box, &js, process != NULL ? name : NULL);
    }
    tg_nats_leave(box->server);
    if (r == 0 && process != NULL) {
        await_withdrawal(box);
    }
    if (r == -EIDRM) {
        r = tg_nats_look(box);
        return r == 0 ? -EIDRM : r;
    }
    return r == -ESTALE ? -EBUSY : r;
}

/* ---- the new owner */

int tg_nats_be_given(struct tg_nats_box *box, const struct tg_js *js)
{
    int r = -ESTALE;
    for (unsigned tries = 0; r == -ESTALE && tries < TRIES; tries++) {
        struct tg_nats_record now;
        r = tg_nats_find_again(box, js, &now);
        if (r < 0 || now.seq == 0) {
            return r < 0 ? r : -ENOENT;
        }
        tg_nats_adopt(box, &now);
        const bool is_mine = now.options.owner == TONG_PROCESS && now.handle == 0 &&
                             strcmp(now.proc, box->server->proc) == 0;
        if (!is_mine) {
            return 0;
        }
        now.handle = box->handle;
        r = tg_nats_write_record(box->server, js, box->called, &now, now.seq);
        if (r == 0) {
            tg_nats_adopt(box, &now);
        }
    }
    return r == -ESTALE ? -EBUSY : r;
}
