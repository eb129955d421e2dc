/* Looking at mailboxes of the carrier unix: what stands in their files, and who lives. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/kept.h"
#include "base/name.h"
#include "carrier/unix/unix.h"

static void fill(tong_status *s, const struct tg_unix_place *place)
{
    const struct tg_unix_head *h = &place->head;
    memcpy(s->name, place->name, sizeof s->name);
    memcpy(s->carrier, "unix", sizeof "unix");
    memcpy(s->id, h->id, sizeof s->id);
    memcpy(s->dead_letter, h->dead_letter, sizeof s->dead_letter);
    memcpy(s->policy, h->policy, sizeof s->policy);
    s->delivery = h->delivery;
    s->owner = TONG_PROCESS;
    s->full = h->full;
    s->capacity = h->capacity;
    s->link_capacity = h->link_capacity;
    s->message_size = h->message_size;
    s->by_priority = h->by_priority;
    s->mode = h->mode;
    s->max_bytes = h->max_bytes;
    s->max_deliveries = h->max_deliveries;
    s->owner_uid = place->uid;
    s->owner_pid = (int32_t)h->owner_pid;
    s->receivers = h->receivers;
    s->receivers_asleep = h->asleep;
    s->claimed = h->claimed;
    s->waiting = h->waiting;
    s->sent = h->sent;
    s->done = h->done;
    s->dropped = h->dropped;
    s->redelivered = h->redelivered;
    s->bytes = h->bytes;
    s->expired = h->expired;
    s->dead_letters = h->dead_letters;
    s->set_aside = h->set_aside;
    s->links = h->plain_links;
    s->senders = h->plain_links;
}

/* Who may not look into the room file sees what the owner has let in. */
static void count_senders(tong_status *s, const struct tg_unix_place *place)
{
    struct tg_unix_tally tally = { .rows = 0 };
    const int room = tg_unix_open_kept(place->dir, TG_UNIX_ROOM, O_RDONLY);
    const int r = room < 0 ? room : tg_unix_room_tally(room, place->box, &tally);
    tg_kept_close(room);
    s->links += r < 0 ? place->head.links - place->head.plain_links : tally.rows;
    s->senders += tally.senders;
    s->senders_blocked += tally.blocked;
    s->dropped += tally.dropped;
    const uint64_t each = s->delivery == TONG_EVERYONE && s->receivers != 0 ? s->receivers : 1;
    s->waiting += s->capacity == 0 ? tally.blocked : tally.unread * each;
}

/* What was sent to this process's own and is not read yet counts, too. */
static void read_own(struct tg_unix_place *place)
{
    struct tg_unix_box *box = tg_unix_box_find(place->head.id);
    if (box != NULL) {
        tg_unix_drive_all(box);
        tg_unix_deliver_wake(box);
        tg_unix_box_unlock(box);
        (void)tg_unix_place_look(place);
    }
}

/* any: also one for the replies to calls, of which nobody is told. */
static int look(struct tg_root *root, const char *name, bool any, tong_status *ret_status)
{
    struct tg_unix_place place;
    int r = tg_unix_place_open(root, name, false, &place);
    if (r < 0) {
        return r;
    }
    if (tg_unix_place_is_alive(&place) && (any || place.head.process != TG_FOR_REPLIES)) {
        const uint32_t size = ret_status->struct_size;
        read_own(&place);
        tong_status status = TONG_STATUS_INIT;
        fill(&status, &place);
        count_senders(&status, &place);
        *ret_status = status;
        ret_status->struct_size = size;
    } else {
        r = -ENOENT;
    }
    tg_unix_place_close(&place);
    return r;
}

int tg_unix_stat(const char *name, tong_status *ret_status)
{
    struct tg_root *root;
    int r = tg_name_check(name);
    if (r == 0) {
        r = tg_root_get(false, &root);
    }
    if (r == 0) {
        r = look(root, name, true, ret_status);
        tg_root_put(root);
    }
    return r;
}

/* ---- parties */

struct telling {
    const struct tg_unix_place *place;
    tong_parties_fn *each;
    void *arg;
};

static int tell_link(const struct tg_unix_row_look *look, void *arg)
{
    const struct telling *t = arg;
    tong_party party = TONG_PARTY_INIT;
    const uint64_t received = look->told->received + tg_unix_unread(look);
    const uint64_t ended = look->told->done + look->told->in_hand;
    const bool offers = t->place->head.capacity == 0 && look->r->blocked != 0 && look->alive;
    party.role = TONG_SEND;
    party.process = look->r->process;
    party.pid = look->r->pid;
    party.uid = look->r->uid;
    party.number = look->row - 1;
    party.alive = look->alive;
    party.asleep = look->alive && look->r->blocked != 0;
    party.waiting = received > ended ? received - ended : offers;
    if (t->place->head.delivery == TONG_EVERYONE) {
        const uint64_t each = t->place->head.receivers != 0 ? t->place->head.receivers : 1;
        party.waiting = look->told->waiting + tg_unix_unread(look) * each;
    }
    party.sent = received;
    party.done = look->told->done;
    party.dropped = look->r->dropped;
    return t->each(&party, t->arg);
}

static int tell_receivers(const struct telling *t)
{
    struct tg_unix_slot slots[TG_UNIX_SLOTS];
    struct tg_unix_share shares[TG_UNIX_SLOTS];
    int r = tg_sys_pread(t->place->box, slots, sizeof slots, TG_UNIX_SLOTS_OFF);
    if (r == 0) {
        r = tg_sys_pread(t->place->box, shares, sizeof shares, TG_UNIX_SHARES_OFF);
    }
    for (uint32_t i = 0; i < TG_UNIX_SLOTS && r == 0; i++) {
        tong_party party = TONG_PARTY_INIT;
        party.role = TONG_RECEIVE;
        party.process = t->place->head.owner;
        party.pid = (int32_t)t->place->head.owner_pid;
        party.uid = t->place->uid;
        party.number = i;
        party.alive = 1;
        party.asleep = slots[i].asleep != 0;
        party.claimed = slots[i].claimed;
        party.waiting = shares[i].waiting;
        party.done = shares[i].done;
        party.dropped = shares[i].dropped;
        r = slots[i].open != 0 ? t->each(&party, t->arg) : 0;
    }
    return r;
}

static int tell_all(struct tg_unix_place *place, tong_parties_fn *each, void *arg)
{
    const struct telling t = { .place = place, .each = each, .arg = arg };
    read_own(place);
    int r = tell_receivers(&t);
    const int room = r != 0 ? r : tg_unix_open_kept(place->dir, TG_UNIX_ROOM, O_RDONLY);
    if (r == 0) {
        r = room < 0 ? room : tg_unix_room_look(room, place->box, tell_link, (void *)(uintptr_t)&t);
        tg_kept_close(room);
    }
    return r;
}

int tg_unix_parties(const char *name, tong_parties_fn *each, void *arg)
{
    struct tg_root *root;
    struct tg_unix_place place;
    int r = tg_name_check(name);
    r = r == 0 ? tg_root_get(false, &root) : r;
    if (r != 0) {
        return r;
    }
    r = tg_unix_place_open(root, name, false, &place);
    if (r == 0) {
        r = tg_unix_place_is_alive(&place) ? tell_all(&place, each, arg) : -ENOENT;
        tg_unix_place_close(&place);
    }
    tg_root_put(root);
    return r;
}

int tg_unix_look_at_links(struct tg_root *root, const char *name,
                          int (*each)(const struct tg_unix_row_look *look, void *arg), void *arg)
{
    struct tg_unix_place place;
    int r = tg_unix_place_open(root, name, false, &place);
    if (r < 0) {
        return r;
    }
    read_own(&place);
    const int room = tg_unix_open_kept(place.dir, TG_UNIX_ROOM, O_RDONLY);
    r = room < 0 ? room : tg_unix_room_look(room, place.box, each, arg);
    tg_kept_close(room);
    tg_unix_place_close(&place);
    return r;
}

/* ---- list */

static int list(struct tg_root *root, tong_list_fn *each, void *arg)
{
    struct tg_names names = { 0 };
    int r = tg_names_read_of(root, '@', &names);
    for (size_t i = 0; i < names.n && r == 0; i++) {
        tong_status status = TONG_STATUS_INIT;
        const int error = look(root, names.name[i], false, &status);
        if (error == -ENOENT) {
            continue;
        }
        memcpy(status.name, names.name[i], sizeof status.name);
        memcpy(status.carrier, "unix", sizeof "unix");
        r = each(&status, error, arg);
    }
    tg_names_free(&names);
    return r;
}

int tg_unix_list(tong_list_fn *each, void *arg)
{
    struct tg_root *root;
    int r = tg_root_get(false, &root);
    if (r == -ENOENT) {
        return 0;
    }
    if (r == 0) {
        r = list(root, each, arg);
        tg_root_put(root);
    }
    return r;
}
