/*
 * Messages in their owner: memory, and what they count for.
 *
 *   a message is         counted in
 *   waiting              head.waiting, list `waiting` or `returned`
 *   claimed              head.claimed, its receiver's claims
 *   finished             head.done, done of its row; its room is free
 *
 * and in head.sent from its arrival on. So sent = done + waiting + claimed, but for the one in hand.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "carrier/unix/call.h"
#include "carrier/unix/everyone.h"
#include "carrier/unix/priority.h"
#include "carrier/unix/unix.h"

struct tg_unix_message *tg_unix_message_new(struct tg_unix_box *box, size_t len)
{
    struct tg_unix_message *m = box->spare;
    if (m != NULL && len <= m->room_size) {
        box->spare = m->next;
    } else {
        const size_t size = len > TG_UNIX_LEAST ? len : TG_UNIX_LEAST;
        m = malloc(sizeof *m + size);
        if (m == NULL) {
            return NULL;
        }
        m->room_size = size;
    }
    m->next = NULL;
    m->link = NULL;
    m->said = NULL;
    m->len = len;
    m->data = m->room;
    m->mapped = 0;
    m->fd = -1;
    m->deliveries = 0;
    m->is_roomless = false;
    m->note = 0;
    m->is_kept = false;
    m->users = 0;
    memset(m->wanted, 0, sizeof m->wanted);
    return m;
}

void tg_unix_message_put_fd(struct tg_unix_box *box, struct tg_unix_message *m, int fd)
{
    m->fd = fd;
    box->n_held += fd >= 0;
}

int tg_unix_message_take_fd(struct tg_unix_box *box, struct tg_unix_message *m)
{
    box->n_held -= m->fd >= 0;
    return tg_steal_fd(&m->fd);
}

void tg_unix_message_free(struct tg_unix_box *box, struct tg_unix_message *m)
{
    if (m->mapped != 0) {
        tg_sys_unmap(m->data, m->mapped);
    }
    tg_sys_close(tg_unix_message_take_fd(box, m));
    free(m->said);
    if (box->spare == NULL && m->room_size == TG_UNIX_LEAST) {
        m->next = NULL;
        box->spare = m;
    } else {
        free(m);
    }
}

void tg_unix_list_init(struct tg_unix_list *list)
{
    *list = (struct tg_unix_list){ .first = NULL, .end = &list->first };
}

void tg_unix_list_add(struct tg_unix_list *list, struct tg_unix_message *m)
{
    if (list->by_priority) {
        tg_unix_priority_add(list, m);
        return;
    }
    m->next = NULL;
    *list->end = m;
    list->end = &m->next;
    list->n++;
}

void tg_unix_list_remove(struct tg_unix_list *list, const struct tg_unix_message *m)
{
    struct tg_unix_message **at = &list->first;
    struct tg_unix_message *before = NULL;
    while (*at != m) {
        before = *at;
        at = &before->next;
    }
    *at = m->next;
    if (list->by_priority) {
        tg_unix_priority_remove(list, m, before);
    }
    if (list->end == &m->next) {
        list->end = at;
    }
    list->n--;
}

/* An offer waits at its sender: see the blocked of its row. */
void tg_unix_count_waiting(struct tg_unix_box *box, const struct tg_unix_message *m, int n)
{
    if (box->capacity != 0 || m->deliveries != 0) {
        tg_unix_count(&box->head->waiting, n);
    }
}

/* Counts of the head have one writer, and readers that want no order: a load and a store. */
void tg_unix_message_arrive(struct tg_unix_box *box, struct tg_unix_link *link,
                            struct tg_unix_message *m)
{
    struct tg_unix_head *head = box->head;
    m->link = link;
    link->received++;
    box->arrived++;
    tg_unix_count(&tg_unix_told_of(box, link)->received, 1);
    link->bytes += m->len;
    tg_unix_list_add(&box->waiting, m);
    box->newest = m;
    tg_unix_count(&head->bytes, (int64_t)m->len);
    if (box->to_all) {
        tg_unix_everyone_arrive(box, m);
        return;
    }
    if (box->capacity != 0) { /* else it is an offer, and was sent once it is taken */
        tg_unix_count(&head->sent, 1);
    }
    tg_unix_count_waiting(box, m, 1);
}

void tg_unix_message_withdraw(struct tg_unix_box *box, struct tg_unix_message *m)
{
    m->link->received--;
    tg_unix_count(&tg_unix_told_of(box, m->link)->received, -1);
    m->link->bytes -= m->len;
    tg_unix_count(&box->head->bytes, -(int64_t)m->len);
    tg_unix_message_free(box, m);
}

/* The driver sleeps on the sockets of one sender, for want of memory or descriptors for what others send: on all again. */
static void look_again(const struct tg_unix_box *box)
{
    if (box->picks && !tg_unix_is_full(box)) {
        tg_event_ring(box->wake);
    }
}

/* What is handed out of a mailbox that drops its oldest has no room there any more. */
void tg_unix_message_take(struct tg_unix_box *box, struct tg_unix_message *m, bool claim)
{
    tg_unix_count_waiting(box, m, -1);
    m->deliveries++;
    look_again(box);
    if (box->capacity == 0 && m->deliveries == 1) {
        tg_unix_count(&box->head->sent, 1);
        tg_unix_drive_answer(box, m, TG_UNIX_TAKEN);
    }
    if (claim && box->full == TONG_DROP_OLDEST && !m->is_roomless) {
        m->is_roomless = true;
        m->link->held++;
        m->link->done++;
        tg_unix_drive_credit(box, m->link);
    }
}

void tg_unix_message_end(struct tg_unix_box *box, struct tg_unix_message *m)
{
    struct tg_unix_link *link = m->link;
    const bool roomless = m->is_roomless;
    const uint32_t uid = link->peer.uid;
    struct tg_said *unanswered = tg_unix_call_unanswered(m);
    tg_unix_count(&box->head->bytes, -(int64_t)m->len);
    link->bytes -= m->len;
    tg_unix_message_free(box, m);
    look_again(box);
    if (roomless) {
        link->held--;
        tg_unix_drive_drop_if_over(box, link);
    } else {
        link->done++;
        tg_unix_drive_credit(box, link);
    }
    if (unanswered != NULL) {
        tg_unix_call_over(box, uid, unanswered);
        free(unanswered);
    }
}

void tg_unix_message_finish(struct tg_unix_box *box, struct tg_unix_message *m)
{
    tg_unix_count(&box->head->done, 1);
    tg_unix_message_end(box, m);
}

void tg_unix_message_drop(struct tg_unix_box *box, struct tg_unix_message *m)
{
    tg_unix_count(&box->head->dropped, 1);
    tg_unix_message_end(box, m);
}

bool tg_unix_message_has_no_place(const struct tg_unix_box *box, const struct tg_unix_message *m)
{
    const struct tg_unix_link *link = m->link;
    return m->is_roomless &&
           (link->received - link->done >= box->link_capacity ||
            (box->capacity != TONG_UNBOUNDED && box->waiting.n + box->returned.n >= box->capacity));
}

void tg_unix_message_back(struct tg_unix_box *box, struct tg_unix_message *m, bool counts)
{
    if (tg_unix_message_has_no_place(box, m)) {
        tg_unix_message_drop(box, m);
        return;
    }
    if (counts) {
        tg_unix_count(&box->head->redelivered, 1);
    } else {
        m->deliveries--;
    }
    tg_unix_list_add(&box->returned, m);
    tg_unix_count_waiting(box, m, 1);
    tg_unix_deliver_wake(box);
}

/* Of a list by priority: its sender may use one link for all priorities. */
static struct tg_unix_message *find_oldest(const struct tg_unix_list *list,
                                           const struct tg_unix_link *link)
{
    struct tg_unix_message *oldest = NULL;
    for (struct tg_unix_message *m = list->first; m != NULL; m = m->next) {
        if (m->link == link && (oldest == NULL || m->sequence < oldest->sequence)) {
            oldest = m;
        }
        if (oldest != NULL && !list->by_priority) {
            break;
        }
    }
    return oldest;
}

bool tg_unix_drop_oldest(struct tg_unix_box *box, const struct tg_unix_link *link)
{
    struct tg_unix_list *const lists[] = { &box->returned, &box->waiting };
    if (box->to_all) {
        return tg_unix_everyone_drop_oldest(box, link);
    }
    for (size_t i = 0; i < 2; i++) {
        struct tg_unix_message *m = find_oldest(lists[i], link);
        if (m != NULL) {
            tg_unix_list_remove(lists[i], m);
            tg_unix_count_waiting(box, m, -1);
            tg_unix_message_drop(box, m);
            return true;
        }
    }
    return false;
}

void tg_unix_message_tell_link(const struct tg_unix_link *link, tong_message *ret_info)
{
    ret_info->pid = link->peer.pid;
    ret_info->uid = link->peer.uid;
    ret_info->gid = link->peer.gid;
    ret_info->verified = TONG_VERIFIED_UID | TONG_VERIFIED_PID | TONG_VERIFIED_GID;
    memcpy(ret_info->sender, link->name, sizeof ret_info->sender);
}

void tg_unix_message_tell(const struct tg_unix_message *m, tong_message *ret_info)
{
    ret_info->len = m->len;
    ret_info->deliveries = m->deliveries;
    ret_info->sequence = m->sequence;
    tg_unix_message_tell_link(m->link, ret_info);
    tg_said_tell(m->said, ret_info);
}
