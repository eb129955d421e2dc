/* Looking at mailboxes of the carrier unix: what stands in their files, and who lives. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/kept.h"
#include "base/name.h"
#include "carrier/unix.h"

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
    s->links = h->own_links;
    s->senders = h->own_links;
    s->senders_blocked = h->own_blocked;
}

/* Who may not look into the room file sees what the owner has let in. */
static void count_senders(tong_status *s, const struct tg_unix_place *place)
{
    struct tg_unix_tally tally = { .rows = 0 };
    const int room = tg_unix_open_kept(place->dir, TG_UNIX_ROOM, O_RDONLY);
    const int r = room < 0 ? room : tg_unix_room_tally(room, place->box, &tally);
    tg_kept_close(room);
    const uint32_t told = place->head.links - place->head.own_links;
    s->links += r < 0 || tally.rows < told ? told : tally.rows;
    s->senders += r < 0 ? told : tally.senders;
    s->senders_blocked += tally.blocked;
    s->dropped += tally.dropped;
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

static int look(struct tg_root *root, const char *name, tong_status *ret_status)
{
    struct tg_unix_place place;
    int r = tg_unix_place_open(root, name, false, &place);
    if (r < 0) {
        return r;
    }
    if (tg_unix_place_is_alive(&place)) {
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
        r = look(root, name, ret_status);
        tg_root_put(root);
    }
    return r;
}

static int list(struct tg_root *root, tong_list_fn *each, void *arg)
{
    struct tg_names names = { 0 };
    int r = tg_names_read_of(root, '@', &names);
    for (size_t i = 0; i < names.n && r == 0; i++) {
        tong_status status = TONG_STATUS_INIT;
        const int error = look(root, names.name[i], &status);
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
