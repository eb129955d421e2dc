/*
 * The links of a mailbox in its owner, and their sockets.
 *
 *   a link is     facts                                                 left by
 *   new           its connection was accepted, nothing read             HELLO; anything else: refused
 *   greeted       it has its number space, and its row if it has one    the end of the connection
 *   ended         closed here; its messages are still in the mailbox    the last of them is finished: free
 *
 * I1  At most half of the descriptors that this process may have are connections, whichever mailboxes they
 *     are for, and of one process an eighth of these: no client takes all. One more is told so and closed.
 *     Messages of a mailbox hold as many as one process may; what brings more stays in the sockets.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/event.h"
#include "base/kept.h"
#include "carrier/unix/unix.h"

#define LEAST_HELD 4u

/* ---- how many */

/* Links of all mailboxes of this process that have connections. */
static pthread_mutex_t everyones_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tg_unix_link *everyones;
static uint32_t n_everyones; /* descriptors of theirs */

void tg_unix_links_fork(enum tg_unix_forking when)
{
    if (when == TG_UNIX_BEFORE_FORK) {
        (void)pthread_mutex_lock(&everyones_lock);
        return;
    }
    if (when == TG_UNIX_IN_CHILD) {
        everyones = NULL; /* their memory stays with the handles */
        n_everyones = 0;
    }
    (void)pthread_mutex_unlock(&everyones_lock);
}

static uint32_t connections_most(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / 2 > TG_UNIX_ROWS) {
        return TG_UNIX_ROWS;
    }
    return (uint32_t)(limit.rlim_cur / 2);
}

uint32_t tg_unix_most_held(void)
{
    const uint32_t n = connections_most() / 8;
    return n < LEAST_HELD ? LEAST_HELD : n;
}

/* I1: one descriptor more of that link. */
static int count_in(struct tg_unix_link *link)
{
    const uint32_t most = connections_most();
    uint32_t its = 0;
    (void)pthread_mutex_lock(&everyones_lock);
    const bool few = n_everyones < most / 8;
    for (const struct tg_unix_link *l = few ? NULL : everyones; l != NULL; l = l->next_of_all) {
        its += l->peer.pid == link->peer.pid ? l->n_fds : 0;
    }
    const bool welcome = n_everyones < most && its < most / 8;
    if (welcome && link->n_fds++ == 0) {
        link->next_of_all = everyones;
        everyones = link;
    }
    n_everyones += welcome;
    (void)pthread_mutex_unlock(&everyones_lock);
    return welcome ? 0 : -EUSERS;
}

static void count_out(struct tg_unix_link *link)
{
    (void)pthread_mutex_lock(&everyones_lock);
    struct tg_unix_link **at = &everyones;
    while (*at != link) {
        at = &(*at)->next_of_all;
    }
    n_everyones--;
    if (--link->n_fds == 0) {
        *at = link->next_of_all;
    }
    (void)pthread_mutex_unlock(&everyones_lock);
}

/* ---- links */

/* A table of pointers with room for the ith; NULL: no memory, it is as it was. */
static void *with_room(void *table, uint32_t *n, uint32_t i)
{
    if (i < *n) {
        return table;
    }
    const uint32_t room = i + 64;
    void *p = realloc(table, room * sizeof(void *));
    if (p != NULL) {
        memset((uint8_t *)p + *n * sizeof(void *), 0, (room - *n) * sizeof(void *));
        *n = room;
    }
    return p;
}

uint64_t tg_unix_done_of(const struct tg_unix_box *box, uint32_t row)
{
    return row < box->told_rows ? tg_load_relaxed(&box->told[row].done) : 0;
}

int tg_unix_drive_set_row(struct tg_unix_box *box, struct tg_unix_link *link, uint32_t row)
{
    void *p = with_room(box->rows, &box->n_rows, row);
    if (p == NULL) {
        return -ENOMEM;
    }
    box->rows = p;
    const uint32_t a_page = TG_PAGE / sizeof(struct tg_unix_told);
    while (row >= box->told_rows) {
        const int r = tg_sys_allocate(
            box->made.box, TG_UNIX_TOLD_OFF + box->told_rows * sizeof box->told[0], TG_PAGE);
        if (r < 0) {
            return r;
        }
        box->told_rows += a_page;
    }
    box->rows[row] = link;
    link->row = row;
    return 0;
}

static void init_channel(struct tg_unix_channel *channel, struct tg_unix_link *link)
{
    channel->link = link;
    channel->fd = -1;
    channel->skipped = TG_UNIX_TRIES_AFTER;
}

struct tg_unix_link *tg_unix_link_new(struct tg_unix_box *box)
{
    struct tg_unix_link *link = calloc(1, sizeof *link);
    if (link != NULL) {
        init_channel(&link->control, link);
        init_channel(&link->data, link);
        link->row = TG_UNIX_NO_ROW;
        link->next = box->links;
        box->links = link;
        tg_unix_count_small(&box->head->links, 1);
    }
    return link;
}

/* At capacity 0: drive.c, I5. */
bool tg_unix_channel_is_offer(const struct tg_unix_box *box, const struct tg_unix_channel *channel)
{
    return box->capacity == 0 && channel == &channel->link->data;
}

void tg_unix_channel_rest(struct tg_unix_box *box, struct tg_unix_channel *channel)
{
    const bool offer = tg_unix_channel_is_offer(box, channel);
    struct tg_unix_channel **at = offer ? &box->offers : &box->ready;
    struct tg_unix_channel ***end = offer ? &box->offers_end : &box->ready_end;
    while (channel->is_ready && *at != channel) {
        at = &(*at)->next;
    }
    if (channel->is_ready) {
        *at = channel->next;
        if (*end == &channel->next) {
            *end = at;
        }
        channel->is_ready = false;
    }
}

void tg_unix_channel_ready(struct tg_unix_box *box, struct tg_unix_channel *channel)
{
    struct tg_unix_channel ***end =
        tg_unix_channel_is_offer(box, channel) ? &box->offers_end : &box->ready_end;
    if (!channel->is_ready) {
        channel->is_ready = true;
        channel->next = NULL;
        **end = channel;
        *end = &channel->next;
    }
}

void tg_unix_drive_forget_want(struct tg_unix_box *box, struct tg_unix_link *link)
{
    struct tg_unix_link **at = &box->wants;
    while (link->wants != 0 && *at != link) {
        at = &(*at)->next_want;
    }
    if (link->wants != 0) {
        *at = link->next_want;
        link->wants = 0;
    }
}

void tg_unix_channel_close(struct tg_unix_box *box, struct tg_unix_channel *channel)
{
    tg_unix_channel_rest(box, channel);
    if (channel->fd >= 0) {
        box->by_fd[channel->fd] = NULL;
        box->n_mute -= channel->is_mute;
        channel->is_mute = false;
        channel->is_unwanted = false;
        box->n_channels--;
        count_out(channel->link);
        tg_kept_close(channel->fd);
        channel->fd = -1;
    }
}

static void close_channels(struct tg_unix_box *box, struct tg_unix_link *link)
{
    tg_unix_drive_forget_want(box, link);
    tg_unix_channel_close(box, &link->control);
    tg_unix_channel_close(box, &link->data);
    link->ended = true;
}

int tg_unix_channel_open(struct tg_unix_box *box, struct tg_unix_channel *channel, int fd)
{
    void *p = with_room(box->by_fd, &box->n_by_fd, (uint32_t)fd);
    if (p == NULL) {
        return -ENOMEM;
    }
    box->by_fd = p;
    int r = count_in(channel->link);
    if (r < 0) {
        return r;
    }
    r = tg_event_add(box->epoll, fd, (uint64_t)fd);
    if (r < 0) {
        count_out(channel->link);
        return r;
    }
    channel->fd = fd;
    box->n_channels++;
    box->by_fd[fd] = channel;
    tg_unix_channel_ready(box, channel); /* what was sent before is there */
    return 0;
}

void tg_unix_channel_mute(struct tg_unix_box *box, struct tg_unix_channel *channel)
{
    tg_unix_channel_rest(box, channel);
    if (!channel->is_mute) {
        channel->is_mute = true;
        box->n_mute++;
        (void)tg_event_change(box->epoll, channel->fd, (uint64_t)channel->fd, false);
    }
}

static void unmute(struct tg_unix_box *box, struct tg_unix_channel *channel)
{
    if (channel->is_mute) {
        channel->is_mute = false;
        box->n_mute--;
        (void)tg_event_change(box->epoll, channel->fd, (uint64_t)channel->fd, true);
        tg_unix_channel_ready(box, channel);
    }
}

void tg_unix_channel_unmute(struct tg_unix_box *box)
{
    for (struct tg_unix_link *l = box->links; l != NULL && box->n_mute != 0; l = l->next) {
        unmute(box, &l->control);
        unmute(box, &l->data);
    }
}

void tg_unix_link_free(struct tg_unix_box *box, struct tg_unix_link *link)
{
    close_channels(box, link);
    struct tg_unix_link **at = &box->links;
    while (*at != link) {
        at = &(*at)->next;
    }
    *at = link->next;
    if (link->row != TG_UNIX_NO_ROW) {
        box->rows[link->row] = NULL;
    } else if (link->greeted) {
        tg_unix_count_small(&box->head->plain_links, -1);
    }
    tg_unix_count_small(&box->head->links, -1);
    free(link);
}

/* What it took and did not use is free: of the row's taken, all that came is left. */
static void give_unused_back(struct tg_unix_box *box, struct tg_unix_link *link)
{
    if (link->row != TG_UNIX_NO_ROW) {
        (void)tg_unix_room_settle(box->made.room, link->row, link->base + link->received);
    } else if (link->granted > link->received) {
        (void)tg_unix_room_put_own(box->made.room, link->granted - link->received);
    }
}

void tg_unix_drive_drop_if_over(struct tg_unix_box *box, struct tg_unix_link *link)
{
    if (!link->ended || link->done != link->received || link->held != 0) {
        return;
    }
    if (link->row != TG_UNIX_NO_ROW && box->ended == 0) {
        tg_unix_row_free(box->made.room, link->row, &box->head->dropped);
    }
    tg_unix_link_free(box, link);
}

void tg_unix_link_end(struct tg_unix_box *box, struct tg_unix_link *link)
{
    close_channels(box, link);
    if (!link->is_own && link->greeted && !link->said_bye && box->ended == 0) {
        tg_unix_note_death(box, link);
    }
    if (box->capacity != TONG_UNBOUNDED && link->greeted) {
        give_unused_back(box, link);
        tg_unix_drive_grant(box);
    }
    tg_unix_drive_drop_if_over(box, link);
}
