/*
 * Whose a message is, where not everybody may have it: some calls ask for some messages only, or keys are with
 * receivers. Else all of this is left out, and deliver.c counts.
 *
 *   a message                                       is
 *   whose key a receiver has                        that receiver's alone, by any call of its
 *   that a waiting call asks for, may be its        the call's that has waited longest (not with TONG_ANY)
 *   of neither kind                                 free: the policy says who of those that take whatever
 *                                                   comes gets it; a call that asks for it may have it
 *
 * I1  A key is a receiver's from when it took a message of that key until its handle is closed.
 * I2  Of a link at most TG_UNIX_PASSED messages are passed over; then the others of it wait.
 * I3  At capacity 0 the offers of others are looked at where they lie, in the sockets. One that is nobody's now
 *     is no reason to wake: its socket is not slept on, until its sender says by the other one that it has put
 *     another offer there (OFFER), or a call finds it gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "carrier/unix/priority.h"
#include "carrier/unix/unix.h"

#define FIRST_KEYS 64u
#define READS_MOST 256u /* of offers that are not received after all */

/* ---- keys: a table with open places, at most half full; an entry stays, also when it is nobody's */

static struct tg_unix_key *place_of(struct tg_unix_key *keys, uint32_t n, uint64_t key)
{
    uint32_t i = (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (n - 1);
    while (keys[i].key != 0 && keys[i].key != key) {
        i = (i + 1) & (n - 1);
    }
    return &keys[i];
}

static const struct tg_unix_handle *who_has(const struct tg_unix_box *box, uint64_t key)
{
    return key == 0 || box->n_keys == 0 ? NULL : place_of(box->keys, box->keys_size, key)->who;
}

static int grow(struct tg_unix_box *box)
{
    const uint32_t n = box->keys_size != 0 ? 2 * box->keys_size : FIRST_KEYS;
    struct tg_unix_key *keys = calloc(n, sizeof *keys);
    if (keys == NULL) {
        return -ENOMEM;
    }
    uint32_t used = 0;
    for (uint32_t i = 0; i < box->keys_size; i++) {
        if (box->keys[i].who != NULL) { /* those of nobody need no place in the new one */
            *place_of(keys, n, box->keys[i].key) = box->keys[i];
            used++;
        }
    }
    free(box->keys);
    box->keys = keys;
    box->keys_size = n;
    box->n_keys = used;
    return 0;
}

int tg_unix_match_keep(const struct tg_unix_handle *h, const struct tg_unix_message *m)
{
    struct tg_unix_box *box = h->box;
    const uint64_t key = m->said != NULL ? m->said->attributes.key : 0;
    if (!box->policy->by_key || key == 0) {
        return 0;
    }
    const int r = 2 * box->n_keys >= box->keys_size ? grow(box) : 0;
    if (r < 0) {
        return r;
    }
    struct tg_unix_key *place = place_of(box->keys, box->keys_size, key);
    box->n_keys += place->key == 0;
    *place = (struct tg_unix_key){ .key = key, .who = h };
    return 0;
}

void tg_unix_match_leave(const struct tg_unix_handle *h)
{
    struct tg_unix_box *box = h->box;
    for (uint32_t i = 0; i < box->keys_size; i++) {
        if (box->keys[i].who == h) {
            box->keys[i].who = NULL;
        }
    }
}

/* ---- whose it is */

static bool asks_for(const tong_receive_options *asked, const struct tg_unix_link *link,
                     const struct tg_about *about)
{
    return (asked->from == NULL || strcmp(link->name, asked->from) == 0) &&
           (asked->tag == 0 || asked->tag == about->tag) && asked->min_priority <= about->priority;
}

static struct tg_unix_waiter *asker_of(const struct tg_unix_box *box,
                                       const struct tg_unix_link *link,
                                       const struct tg_about *about,
                                       const struct tg_unix_handle *has_key)
{
    const bool any = box->policy->delivery == TONG_ANY || box->n_asking == 0;
    for (struct tg_unix_waiter *w = any ? NULL : box->waiters; w != NULL; w = w->next) {
        if (w->asked != NULL && (has_key == NULL || has_key == w->handle) &&
            asks_for(w->asked, link, about)) {
            return w;
        }
    }
    return NULL;
}

/* The first call on the handle that takes whatever comes. */
static struct tg_unix_waiter *taker_on(const struct tg_unix_box *box,
                                       const struct tg_unix_handle *h)
{
    struct tg_unix_waiter *w = box->waiters;
    while (w != NULL && (w->handle != h || w->asked != NULL)) {
        w = w->next;
    }
    return w;
}

static struct tg_about about_of(const struct tg_said *said)
{
    return said != NULL ? tg_said_about(said) : (struct tg_about){ .tag = 0 };
}

bool tg_unix_match_asks(const tong_receive_options *asked, const struct tg_unix_link *link,
                        const struct tg_said *said)
{
    const struct tg_about about = about_of(said);
    return asks_for(asked, link, &about);
}

enum whose {
    OTHERS,
    FREE,
    MINE
};

static enum whose whose(const struct tg_unix_look *l, const struct tg_unix_link *link,
                        const struct tg_said *said)
{
    const struct tg_unix_box *box = l->h->box;
    const struct tg_about about = about_of(said);
    const struct tg_unix_handle *has_key = box->policy->by_key ? who_has(box, about.key) : NULL;
    if (has_key != NULL && has_key != l->h) {
        return OTHERS;
    }
    const struct tg_unix_waiter *asker = asker_of(box, link, &about, has_key);
    if (asker != NULL) {
        return asker == l->me ? MINE : OTHERS;
    }
    if (l->want->asked != NULL) {
        return asks_for(l->want->asked, link, &about) ? MINE : OTHERS;
    }
    if (has_key != NULL) {
        const struct tg_unix_waiter *taker = taker_on(box, has_key);
        return taker == NULL || taker == l->me ? MINE : OTHERS;
    }
    return FREE;
}

/* Who waits and gets it. *ret_free: nobody does but by the policy. */
static struct tg_unix_waiter *target_of(const struct tg_unix_box *box,
                                        const struct tg_unix_link *link, const struct tg_said *said,
                                        bool *ret_free)
{
    const struct tg_about about = about_of(said);
    const struct tg_unix_handle *has_key = box->policy->by_key ? who_has(box, about.key) : NULL;
    struct tg_unix_waiter *w = asker_of(box, link, &about, has_key);
    if (w == NULL && has_key != NULL) {
        w = taker_on(box, has_key);
    }
    *ret_free = w == NULL && has_key == NULL;
    return w;
}

/* ---- looking for one */

/* I2 */
bool tg_unix_match_is_behind_many(const struct tg_unix_box *box, struct tg_unix_link *link)
{
    if (link->looked != box->looks) {
        link->looked = box->looks;
        link->passed = 0;
    }
    return link->passed++ > TG_UNIX_PASSED;
}

static bool has_enough(const struct tg_unix_look *l)
{
    return l->n_free >= l->need && l->is_chosen;
}

/* True: one was found that this call takes. */
static bool note(struct tg_unix_look *l, struct tg_unix_list *list, struct tg_unix_message *m)
{
    const enum whose w = whose(l, m->link, m->said);
    if (w == FREE && l->n_free++ == 0) {
        l->free = (struct tg_unix_found){ .list = list, .m = m };
    } else if (w == MINE && l->mine.m == NULL) {
        l->mine = (struct tg_unix_found){ .list = list, .m = m };
        l->is_mine_first = l->n_free == 0;
    }
    return l->is_mine_first || has_enough(l);
}

/* Of the next ones of both lists: what came back goes first, but for what has a higher priority. */
static bool is_new_first(const struct tg_unix_message *back, const struct tg_unix_message *new,
                         bool by_priority)
{
    return back == NULL ||
           (by_priority && new != NULL &&tg_unix_priority_of(new) > tg_unix_priority_of(back));
}

/* False: something was taken out of the lists; look again. */
static bool look_in_both(struct tg_unix_look *l, bool *ret_found)
{
    struct tg_unix_box *box = l->h->box;
    struct tg_unix_message *back = box->returned.first;
    struct tg_unix_message *new = box->waiting.first;
    while (back != NULL || new != NULL) {
        const bool is_new = is_new_first(back, new, box->by_priority);
        struct tg_unix_list *list = is_new ? &box->waiting : &box->returned;
        struct tg_unix_message *m = is_new ? new : back;
        if (tg_unix_deliver_tidy(box, list, m, l->want->skip)) {
            return false;
        }
        if ((!is_new || !tg_unix_match_is_behind_many(box, m->link)) && note(l, list, m)) {
            *ret_found = true;
            return true;
        }
        new = is_new ? m->next : new;
        back = is_new ? back : m->next;
    }
    return true;
}

static bool look_at_lists(struct tg_unix_look *l)
{
    struct tg_unix_box *box = l->h->box;
    bool found;
    do {
        box->looks++;
        l->n_free = 0;
        l->free.m = NULL;
        l->mine.m = NULL;
        l->is_mine_first = false;
        found = false;
    } while (!look_in_both(l, &found));
    return found;
}

/* ---- offers in the sockets: I3 */

static void want(struct tg_unix_box *box, struct tg_unix_channel *channel, bool is_wanted)
{
    if (channel->is_unwanted == is_wanted && channel->fd >= 0) {
        channel->is_unwanted = !is_wanted;
        if (is_wanted || box->n_levels == 0) { /* an event loop looks for itself */
            (void)tg_event_change(box->epoll, channel->fd, (uint64_t)channel->fd, is_wanted);
        }
        if (is_wanted && box->is_driven) {
            tg_event_ring(box->wake); /* the driver sleeps without that one */
        }
    }
}

void tg_unix_match_again(struct tg_unix_box *box, struct tg_unix_link *link)
{
    want(box, &link->data, true);
}

void tg_unix_match_all_again(struct tg_unix_box *box)
{
    for (struct tg_unix_link *l = box->links; l != NULL; l = l->next) {
        want(box, &l->data, true);
    }
}

bool tg_unix_match_takes(struct tg_unix_box *box, const struct tg_unix_link *link,
                         const struct tg_said *said)
{
    bool is_free;
    return tg_load_relaxed(&box->head->armed) != 0 ||
           target_of(box, link, said, &is_free) != NULL ||
           (is_free && tg_unix_deliver_first(box) != NULL);
}

/* Whose it is is known, and he may be told; a sender that does not wait is told that it is nobody's. */
static void pass_over(const struct tg_unix_look *l, struct tg_unix_channel *channel,
                      const struct tg_unix_packet *packet, const struct tg_said *said)
{
    struct tg_unix_box *box = l->h->box;
    bool is_free;
    struct tg_unix_waiter *target = target_of(box, channel->link, said, &is_free);
    want(box, channel, target != NULL || (is_free && tg_unix_deliver_first(box) != NULL));
    if ((packet->flags & TG_UNIX_AT_ONCE) != 0 && channel->link->control.fd >= 0 &&
        !tg_unix_match_takes(box, channel->link, said)) {
        const struct tg_unix_packet unwanted = { .kind = TG_UNIX_UNWANTED,
                                                 .number = packet->number };
        const struct iovec part = { (void *)(uintptr_t)&unwanted, sizeof unwanted };
        (void)tg_socket_send(channel->link->control.fd, &part, 1, NULL, 0);
    }
    if (target != NULL && target != l->me) {
        tg_unix_deliver_wake_one(box, target);
    }
}

/* 1: this call's; 0: not; -EMSGSIZE. */
static int look_at_offer(struct tg_unix_look *l, struct tg_unix_channel *channel)
{
    struct tg_unix_box *box = l->h->box;
    struct tg_said said;
    struct tg_unix_packet packet = { .kind = 0 };
    if (tg_unix_packet_look(channel, &packet, &said) < 0) {
        tg_unix_channel_rest(box, channel); /* it was taken back */
        want(box, channel, true);
        return 0;
    }
    if (said.attributes.priority < l->floor) {
        return 0;
    }
    const enum whose w = whose(l, channel->link, &said);
    l->n_free += w == FREE;
    if (w == OTHERS || (w == FREE && !has_enough(l))) {
        pass_over(l, channel, &packet, &said);
        return 0;
    }
    if (packet.length <= l->want->size) {
        return 1;
    }
    if (l->want->info != NULL) {
        l->want->info->len = packet.length;
        l->want->info->data = NULL;
        tg_unix_message_tell_link(channel->link, l->want->info);
    }
    return -EMSGSIZE;
}

/* What is read is answered now. Its sender may have put another one there meanwhile, which is not this call's:
 * that one is offered again. */
static struct tg_unix_found read_offer(struct tg_unix_look *l, struct tg_unix_channel *channel)
{
    struct tg_unix_box *box = l->h->box;
    const struct tg_unix_found none = { .m = NULL };
    want(box, channel, true);
    if (tg_unix_drive_read(box, channel) <= 0) {
        return none;
    }
    struct tg_unix_message *m = box->newest;
    if (whose(l, m->link, m->said) == OTHERS) {
        tg_unix_drive_answer(box, m, TG_UNIX_LATE);
        tg_unix_list_remove(&box->waiting, m);
        tg_unix_message_withdraw(box, m);
        return none;
    }
    return tg_unix_deliver_tidy(box, &box->waiting, m, l->want->skip)
               ? none
               : (struct tg_unix_found){ .list = &box->waiting, .m = m };
}

static struct tg_unix_found look_at_offers(struct tg_unix_look *l)
{
    struct tg_unix_box *box = l->h->box;
    struct tg_unix_channel *next;
    const uint64_t in_lists = l->n_free;
    uint32_t reads = 0;
    for (struct tg_unix_channel *c = box->offers; c != NULL && reads < READS_MOST; c = next) {
        next = c->next;
        const int r = look_at_offer(l, c);
        if (r < 0) {
            return (struct tg_unix_found){ .error = r };
        }
        l->is_there = l->is_there || r > 0;
        if (r > 0 && l->only_looks) {
            break;
        }
        if (r > 0) {
            const struct tg_unix_found found = read_offer(l, c);
            if (found.m != NULL) {
                return found;
            }
            reads++;
            l->n_free = in_lists;
            next = box->offers; /* once more: what was read may be anywhere now */
        }
    }
    return (struct tg_unix_found){ .m = NULL };
}

/* ---- the call's turn */

static struct tg_unix_found look_for(struct tg_unix_look *l)
{
    struct tg_unix_box *box = l->h->box;
    if (box->by_priority) {
        tg_unix_priority_read(box);
    } else {
        tg_unix_drive_all(box);
    }
    if (box->ended != 0) {
        return (struct tg_unix_found){ .m = NULL };
    }
    const struct tg_unix_found found = look_at_lists(l) && !l->is_mine_first ? l->free : l->mine;
    if (box->capacity != 0 || (found.m != NULL && !box->by_priority)) {
        return found;
    }
    if (box->by_priority) {
        (void)tg_unix_priority_offers(box, NULL);
    }
    l->floor = found.m != NULL ? tg_unix_priority_of(found.m) + 1 : 0;
    const struct tg_unix_found offered = look_at_offers(l);
    return offered.m != NULL || offered.error != 0 || found.m == NULL ? offered : found;
}

static void begin(struct tg_unix_look *l)
{
    struct tg_unix_box *box = l->h->box;
    l->is_chosen = l->me == NULL || box->is_process || tg_unix_deliver_first(box) == l->me;
}

struct tg_unix_found tg_unix_match_turn(struct tg_unix_look *l)
{
    struct tg_unix_box *box = l->h->box;
    begin(l);
    const struct tg_unix_found found = look_for(l);
    struct tg_unix_waiter *first = tg_unix_deliver_first(box);
    if (l->n_free != 0 && !l->is_chosen && first != NULL) {
        tg_unix_deliver_wake_one(box, first);
    }
    return found;
}

bool tg_unix_match_has(struct tg_unix_look *l)
{
    l->only_looks = true;
    begin(l);
    return look_for(l).m != NULL || l->is_there;
}

bool tg_unix_match_is_up(const struct tg_unix_handle *h)
{
    const struct tg_unix_box *box = h->box;
    const struct tg_unix_list *const lists[] = { &box->returned, &box->waiting };
    for (size_t i = 0; i < 2; i++) {
        for (const struct tg_unix_message *m = lists[i]->first; m != NULL; m = m->next) {
            const struct tg_unix_handle *has_key = who_has(box, about_of(m->said).key);
            if (has_key == NULL || has_key == h) {
                return true;
            }
        }
    }
    return false;
}

void tg_unix_match_wake(struct tg_unix_box *box, const struct tg_unix_waiter *but)
{
    const struct tg_unix_list *const lists[] = { &box->returned, &box->waiting };
    bool any_free = false;
    for (struct tg_unix_waiter *w = box->offers != NULL ? box->waiters : NULL; w != NULL;
         w = w->next) {
        if (w != but) {
            tg_unix_deliver_wake_one(box, w); /* each looks at them itself */
        }
    }
    for (size_t i = 0; i < 2; i++) {
        for (const struct tg_unix_message *m = lists[i]->first; m != NULL; m = m->next) {
            bool free_;
            struct tg_unix_waiter *w = target_of(box, m->link, m->said, &free_);
            any_free = any_free || free_;
            if (w != NULL && w != but) {
                tg_unix_deliver_wake_one(box, w);
            }
        }
    }
    struct tg_unix_waiter *first = any_free ? tg_unix_deliver_first(box) : NULL;
    if (first != NULL && first != but) {
        tg_unix_deliver_wake_one(box, first);
    }
}
