/*
 * The pairs of processes that talk to each other: read from the folders, as stat.c does.
 *
 * A lane is a link in a process's mailbox that bears another process's name; the two lanes of a pair are
 * told as one link.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "mailbox/box.h"

struct lane {
    char from[TONG_NAME_MAX];
    char to[TONG_NAME_MAX];
    uint64_t waiting;
};

struct lanes {
    struct tg_root *root;
    struct tg_box_view view; /* of the mailbox looked at */
    const char *to;
    struct lane *lane;
    size_t n;
    size_t room;
};

/* What went away meanwhile, or may not be looked at, is left out; any other error is told. */
static int unless_left_out(int r)
{
    return r == -ENOENT || r == -EACCES || r == -EPROTO ? 0 : r;
}

static int add_lane(struct lanes *lanes, const char *from, uint64_t waiting)
{
    if (lanes->n == lanes->room) {
        const size_t room = lanes->room == 0 ? 16 : 2 * lanes->room;
        void *p = realloc(lanes->lane, room * sizeof *lanes->lane);
        if (p == NULL) {
            return -ENOMEM;
        }
        lanes->lane = p;
        lanes->room = room;
    }
    struct lane *lane = &lanes->lane[lanes->n++];
    memcpy(lane->from, from, TONG_NAME_MAX);
    memcpy(lane->to, lanes->to, TONG_NAME_MAX);
    lane->waiting = waiting;
    return 0;
}

static uint64_t count_waiting(const struct tg_box_view *view, int fd,
                              const struct tg_link_head *head, uint32_t row)
{
    const struct tg_link_place place =
        tg_row_place(view->head, view->rows, row, tg_load_relaxed(&head->link_id));
    uint32_t sent = 0;
    if (tg_load_relaxed(&view->head->capacity) == 0 || tg_link_sent(fd, &sent) < 0) {
        return 0;
    }
    const uint64_t next = place.known ? place.next : tg_load_relaxed(&head->first);
    const int32_t behind = (int32_t)(sent - tg_place_sequence(next));
    return behind > 0 ? (uint32_t)behind : 0;
}

static int look_at_link(const char *name, unsigned char type, void *arg)
{
    struct lanes *lanes = arg;
    const int row = tg_link_row(name);
    (void)type;
    if (row < 0) {
        return 0;
    }
    tg_fd fd = tg_sys_open(lanes->view.dir, name, O_RDONLY | O_NONBLOCK, 0);
    struct tg_link_head head;
    char from[TONG_NAME_MAX];
    const int r = fd < 0 ? fd : tg_sys_pread(fd, &head, sizeof head, 0);
    if (r < 0) {
        return unless_left_out(r);
    }
    if (tg_load_relaxed(&head.magic) != TG_LINK_MAGIC ||
        tg_load_relaxed(&head.state) == TG_LINK_GONE) {
        return 0;
    }
    (void)tg_link_from(&head, from);
    if (from[0] == '\0') {
        return 0;
    }
    return add_lane(lanes, from, count_waiting(&lanes->view, fd, &head, (uint32_t)row));
}

static int look_at_mailbox(struct lanes *lanes, const char *name)
{
    struct tg_box_view *view = &lanes->view;
    int r = tg_box_view_open(lanes->root, name, false, view);
    if (r < 0) {
        return unless_left_out(r); /* tong_list() tells why */
    }
    if (tg_load_relaxed(&view->head->process) == TG_OF_PROCESS &&
        !tg_box_view_is_dead(lanes->root, view)) {
        lanes->to = name;
        r = unless_left_out(tg_sys_list(view->dir, look_at_link, lanes));
    }
    tg_box_view_close(view);
    return r;
}

static const char *lower(const struct lane *lane)
{
    return strcmp(lane->from, lane->to) <= 0 ? lane->from : lane->to;
}

static const char *upper(const struct lane *lane)
{
    return strcmp(lane->from, lane->to) <= 0 ? lane->to : lane->from;
}

static int by_pair(const void *a, const void *b)
{
    const int r = strcmp(lower(a), lower(b));
    return r != 0 ? r : strcmp(upper(a), upper(b));
}

static int tell_pairs(const struct lanes *lanes, tong_links_fn *each, void *arg)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < lanes->n;) {
        tong_link link = TONG_LINK_INIT;
        const struct lane *first = &lanes->lane[i];
        memcpy(link.a, lower(first), TONG_NAME_MAX);
        memcpy(link.b, upper(first), TONG_NAME_MAX);
        for (; i < lanes->n && by_pair(first, &lanes->lane[i]) == 0; i++) {
            const bool there = strcmp(lanes->lane[i].from, link.a) == 0;
            link.lanes |= there ? TONG_LANE_THERE : TONG_LANE_BACK;
            link.files++;
            link.waiting[there ? 0 : 1] += lanes->lane[i].waiting;
        }
        r = each(&link, arg);
    }
    return r;
}

int tg_box_links(const struct tg_way *way, tong_links_fn *each, void *arg)
{
    struct lanes lanes = { .n = 0 };
    int r = tg_way_root(way, false, &lanes.root);
    if (r < 0) {
        return r == -ENOENT ? 0 : r;
    }
    struct tg_names names = { 0 };
    r = tg_names_read(lanes.root, false, &names);
    for (size_t i = 0; r == 0 && i < names.n; i++) {
        r = look_at_mailbox(&lanes, names.name[i]);
    }
    tg_names_free(&names);
    tg_root_put(lanes.root);
    if (r == 0 && lanes.n != 0) {
        qsort(lanes.lane, lanes.n, sizeof *lanes.lane, by_pair);
        r = tell_pairs(&lanes, each, arg);
    }
    free(lanes.lane);
    return r;
}
