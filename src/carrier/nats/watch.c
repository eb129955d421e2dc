/*
 * Deaths, told to those who watch.
 *
 *   SPACE.v.NAME.ID.dead    in the book: who died with the mailbox in use, "PROC ROLES PID UID;" each, the latest last
 *
 * Who buries a dead process notes it there before its lines go (party.c), so that it is known who died and who closed.
 * Who watches buries, too, and tells of those that were not there at its look before: so each is told once for each
 * handle. There is room for the last 160 or so: of more that die between two looks the first are not told.
 */
#include "carrier/nats/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/nats/direct.h"
#include "carrier/nats/fork.h"
#include "carrier/nats/give.h"
#include "carrier/nats/net.h"
#include "carrier/nats/owner.h"

#define ENTRY_MOST 64u

static void add_line(struct tg_text *subject, const struct tg_nats_box *box)
{
    tg_nats_subject(subject, box->server, 'v', box->name, box->record.id);
    tg_text_add(subject, ".dead");
}

/* ---- noting */

static void add_entry(struct tg_text *text, const char *proc, const tong_death *death)
{
    tg_text_add(text, proc);
    tg_text_add(text, " ");
    tg_text_add_u64(text, death->roles);
    tg_text_add(text, " ");
    tg_text_add_u64(text, (uint32_t)death->pid);
    tg_text_add(text, " ");
    tg_text_add_u64(text, death->uid);
    tg_text_add(text, ";");
}

static uint64_t number_at(const char **at)
{
    *at += strspn(*at, " ");
    const uint64_t number = tg_json_u64((struct tg_json){ *at, strlen(*at) });
    *at += strspn(*at, "0123456789");
    return number;
}

/* The entry at *at, and behind it. false: there is none. */
static bool read_entry(const char **at, char ret_proc[TG_NATS_PROC_SIZE], tong_death *ret_death)
{
    const size_t len = strspn(*at, "0123456789abcdef");
    if (len != TG_NATS_PROC_SIZE - 1) {
        return false;
    }
    memcpy(ret_proc, *at, len);
    ret_proc[len] = '\0';
    *at += len;
    *ret_death = (tong_death)TONG_DEATH_INIT;
    ret_death->roles = (uint32_t)number_at(at);
    ret_death->pid = (int32_t)number_at(at);
    ret_death->uid = (uint32_t)number_at(at);
    if (**at != ';') {
        return false;
    }
    ++*at;
    return true;
}

/* Of what was noted all but the process itself; and of that the latest that leave room for one more. */
static void copy_others(const char *old, const char *proc, struct tg_text *text, tong_death *death)
{
    char its[TG_NATS_PROC_SIZE];
    tong_death its_death;
    size_t len = strlen(old);
    while (len + ENTRY_MOST >= text->size) {
        const char *end = strchr(old, ';');
        old = end != NULL ? end + 1 : old + len;
        len = strlen(old);
    }
    while (read_entry(&old, its, &its_death)) {
        if (strcmp(its, proc) == 0) {
            death->roles |= its_death.roles; /* another one has buried a part of it */
        } else {
            add_entry(text, its, &its_death);
        }
    }
}

int tg_nats_note_death(struct tg_nats_box *box, const struct tg_js *js, const char *proc,
                       const tong_death *death)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    add_line(&subject, box);
    int r = -ESTALE;
    while (r == -ESTALE) {
        char text_at[sizeof((struct tg_nats_line *)0)->text];
        struct tg_text text = TG_TEXT(text_at);
        struct tg_nats_line line;
        tong_death its = *death;
        uint64_t seq;
        text_at[0] = '\0';
        r = tg_book_get(box->server, js, subject.at, &line);
        if (r < 0) {
            return r;
        }
        copy_others(line.seq != 0 ? line.text : "", proc, &text, &its);
        add_entry(&text, proc, &its);
        r = tg_book_put(box->server, js, subject.at, text.at, line.seq, &seq);
    }
    return r;
}

/* ---- watching */

static bool is_seen(const struct tg_nats_box *box, const char *proc)
{
    for (size_t i = 0; i < box->n_seen; i++) {
        if (strcmp(box->seen[i], proc) == 0) {
            return true;
        }
    }
    return false;
}

static int see(struct tg_nats_box *box, const char *proc)
{
    void *seen = realloc(box->seen, (box->n_seen + 1) * sizeof box->seen[0]);
    if (seen == NULL) {
        return -ENOMEM;
    }
    box->seen = seen;
    memcpy(box->seen[box->n_seen++], proc, TG_NATS_PROC_SIZE);
    return 0;
}

/* Those that are not noted any more are forgotten. */
static void forget_old(struct tg_nats_box *box, const char *text)
{
    size_t n = 0;
    for (size_t i = 0; i < box->n_seen; i++) {
        if (strstr(text, box->seen[i]) != NULL) {
            memmove(box->seen[n++], box->seen[i], TG_NATS_PROC_SIZE);
        }
    }
    box->n_seen = n;
}

/* The first that this handle has not told: 1; 0 none. At the first look all there are count as told. */
static int find_new(struct tg_nats_box *box, const char *text, tong_death *ret_death)
{
    char proc[TG_NATS_PROC_SIZE];
    tong_death death;
    const char *at = text;
    forget_old(box, text);
    while (read_entry(&at, proc, &death)) {
        if (is_seen(box, proc)) {
            continue;
        }
        const int r = see(box, proc);
        if (r < 0) {
            return r;
        }
        if (box->is_watching) {
            *ret_death = death;
            return 1;
        }
    }
    box->is_watching = true;
    return 0;
}

static int look_for_death(struct tg_nats_box *box, tong_death *ret_death)
{
    char subject_at[TG_NATS_SUBJECT_SIZE];
    struct tg_text subject = TG_TEXT(subject_at);
    struct tg_nats_record now;
    struct tg_nats_line line;
    struct tg_js js;
    add_line(&subject, box);
    int r = tg_nats_relieve(box, false);
    r = r < 0 ? r : tg_nats_enter(box->server, &js);
    if (r < 0) {
        return r == -ENOTCONN || r == -EHOSTUNREACH ? 0 : r; /* the next look will do */
    }
    r = tg_nats_find_again(box, &js, &now);
    if (r == 0 && now.seq != 0) {
        tg_nats_adopt(box, &now);
        r = tg_nats_end_if_dead(box->server, &js, &now);
    }
    const bool is_over = r == 1 || (r == 0 && now.seq == 0);
    r = r < 0 || is_over ? r : tg_book_get(box->server, &js, subject.at, &line);
    tg_nats_leave(box->server);
    if (r < 0 || is_over) {
        return is_over ? tg_nats_look(box) : r == -ENOTCONN ? 0 : r;
    }
    return find_new(box, line.seq != 0 ? line.text : "", ret_death);
}

static int sleep_for_death(struct tg_nats_box *box, const struct tg_nats_call *call)
{
    const int64_t tick = tg_nats_tick(call->ticks);
    tg_gate_set_asleep(&box->watch_gate, true);
    const int r = tg_net_wait(-1, 0, box->rx.bell, call->deadline < tick ? call->deadline : tick);
    tg_gate_set_asleep(&box->watch_gate, false);
    if (r > 0) {
        tg_net_silence(box->rx.bell);
    }
    if (tg_nats_is_interrupted(box, call->interrupts)) {
        return -ECANCELED;
    }
    return r == -EINTR ? -EINTR : 0;
}

static int await_death(struct tg_nats_box *box, struct tg_nats_call *call, tong_death *ret_death)
{
    int r = look_for_death(box, ret_death);
    while (r == 0) {
        if (tg_nats_is_interrupted(box, call->interrupts)) {
            tg_net_silence(box->rx.bell);
            return -ECANCELED;
        }
        /* Also one that came while the server was asked. */
        if (tg_net_signals() != call->signals && call->timeout_ns != 0) {
            return -EINTR;
        }
        if (tg_is_over(call->deadline)) {
            return call->timeout_ns == 0 ? -EAGAIN : -ETIMEDOUT;
        }
        r = sleep_for_death(box, call);
        call->ticks++;
        r = r < 0 ? r : look_for_death(box, ret_death);
    }
    return r;
}

int tg_nats_watch(struct tg_nats_box *box, int64_t timeout_ns, tong_death *ret_death)
{
    if (box->forks != tg_nats_forks()) {
        return -ECHILD;
    }
    int r = -(int)tg_load_acquire(&box->ended);
    if (r < 0) {
        return r;
    }
    struct tg_nats_call call = { .timeout_ns = timeout_ns,
                                 .deadline = tg_deadline(timeout_ns),
                                 .interrupts = tg_load_relaxed(&box->stop->used),
                                 .signals = tg_net_signals() };
    r = tg_gate_enter(&box->watch_gate, call.deadline, &box->stop->asked, call.interrupts);
    if (r < 0) {
        if (r == -ECANCELED) {
            (void)tg_nats_is_interrupted(box, call.interrupts);
        }
        return r;
    }
    r = await_death(box, &call, ret_death);
    tg_gate_leave(&box->watch_gate);
    return r == 1 ? 0 : r;
}
