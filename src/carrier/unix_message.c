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

#include "carrier/unix.h"

#define SPARE_SIZE 2048u

struct tg_unix_message *tg_unix_message_new(struct tg_unix_box *box, size_t len)
{
    struct tg_unix_message *m = box->spare;
    if (m != NULL && len <= m->room_size) {
        box->spare = m->next;
    } else {
        const size_t size = len > SPARE_SIZE ? len : SPARE_SIZE;
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
    return m;
}

void tg_unix_message_free(struct tg_unix_box *box, struct tg_unix_message *m)
{
    if (m->mapped != 0) {
        tg_sys_unmap(m->data, m->mapped);
    }
    tg_sys_close(m->fd);
    free(m->said);
    if (box->spare == NULL && m->room_size == SPARE_SIZE) {
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
    m->next = NULL;
    *list->end = m;
    list->end = &m->next;
    list->n++;
}

void tg_unix_list_remove(struct tg_unix_list *list, const struct tg_unix_message *m)
{
    struct tg_unix_message **at = &list->first;
    while (*at != m) {
        at = &(*at)->next;
    }
    *at = m->next;
    if (list->end == &m->next) {
        list->end = at;
    }
    list->n--;
}

/* Counts of the head have one writer, and readers that want no order: a load and a store. */
void tg_unix_message_arrive(struct tg_unix_box *box, struct tg_unix_link *link,
                            struct tg_unix_message *m)
{
    struct tg_unix_head *head = box->head;
    m->link = link;
    link->received++;
    link->bytes += m->len;
    tg_unix_list_add(&box->waiting, m);
    tg_unix_count(&head->sent, 1);
    tg_unix_count(&head->waiting, 1);
    tg_unix_count(&head->bytes, (int64_t)m->len);
}

static void end_message(struct tg_unix_box *box, struct tg_unix_message *m, tg_a64 *count)
{
    struct tg_unix_link *link = m->link;
    tg_unix_count(count, 1);
    tg_unix_count(&box->head->bytes, -(int64_t)m->len);
    link->bytes -= m->len;
    link->done++;
    tg_unix_message_free(box, m);
    tg_unix_drive_credit(box, link);
}

void tg_unix_message_finish(struct tg_unix_box *box, struct tg_unix_message *m)
{
    end_message(box, m, &box->head->done);
}

void tg_unix_message_drop(struct tg_unix_box *box, struct tg_unix_message *m)
{
    end_message(box, m, &box->head->dropped);
}

void tg_unix_message_back(struct tg_unix_box *box, struct tg_unix_message *m, bool counts)
{
    if (counts) {
        tg_unix_count(&box->head->redelivered, 1);
    } else {
        m->deliveries--;
    }
    tg_unix_list_add(&box->returned, m);
    tg_unix_count(&box->head->waiting, 1);
    tg_unix_deliver_wake(box);
}

void tg_unix_message_tell(const struct tg_unix_message *m, tong_message *ret_info)
{
    const struct tg_unix_link *link = m->link;
    ret_info->len = m->len;
    ret_info->deliveries = m->deliveries;
    ret_info->sequence = m->sequence;
    ret_info->pid = link->peer.pid;
    ret_info->uid = link->peer.uid;
    ret_info->gid = link->peer.gid;
    ret_info->verified = TONG_VERIFIED_UID;
    memcpy(ret_info->sender, link->name, sizeof ret_info->sender);
    tg_said_tell(m->said, ret_info);
}
