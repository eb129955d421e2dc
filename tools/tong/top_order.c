/*
 * top_order.c - which mailboxes are shown, and in which order.
 *
 * A column orders from the largest number down, names from A up; what is equal stands by name. With
 * reverse all of it is turned round.
 */
#include "top.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const tool_top_words[] = { "waiting", "name",      "in",     "out",     "senders",
                                       "blocked", "receivers", "asleep", "claimed", "dropped",
                                       "deaths",  "memory",    NULL };

static uint64_t known(uint64_t rate)
{
    return rate == TOP_UNKNOWN ? 0 : rate;
}

/* The number of a column, as tool_top_words has them; a name has none. */
static uint64_t key_of(const struct top_look *look, size_t box, uint32_t sort)
{
    const tong_status *const s = &look->scene.boxes[box].status;
    const uint64_t keys[] = {
        s->waiting,
        0,
        known(look->boxes[box].in_rate),
        known(look->boxes[box].out_rate),
        s->senders,
        s->senders_blocked,
        s->receivers,
        s->receivers_asleep,
        s->claimed,
        s->dropped,
        s->deaths,
        s->bytes,
    };
    _Static_assert(sizeof(keys) / sizeof(keys[0]) + 1 ==
                       sizeof(tool_top_words) / sizeof(tool_top_words[0]),
                   "a key for each word");
    return keys[sort];
}

const char *top_box_name(const struct top_look *look, size_t box, char buffer[TOP_NAME])
{
    const tong_status *const s = &look->scene.boxes[box].status;
    const bool plain = strcmp(s->carrier, "shm") == 0;
    snprintf(buffer, TOP_NAME, "%s%s%s", plain ? "" : s->carrier, plain ? "" : ":", s->name);
    return buffer;
}

size_t top_find_box(const struct top_look *look, const char *name)
{
    char here[TOP_NAME];
    name = strncmp(name, "shm:", 4) == 0 ? name + 4 : name;
    for (size_t i = 0; i < look->scene.n_boxes; i++) {
        if (strcmp(top_box_name(look, i, here), name) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

struct order {
    const struct top_look *look;
    const struct top_show *show;
};

static int compare(const void *a, const void *b, void *arg)
{
    char name_x[TOP_NAME];
    char name_y[TOP_NAME];
    const struct order *const order = arg;
    const size_t x = *(const size_t *)a;
    const size_t y = *(const size_t *)b;
    const uint64_t key_x = key_of(order->look, x, order->show->sort);
    const uint64_t key_y = key_of(order->look, y, order->show->sort);
    const int way = key_x != key_y ? (key_x > key_y ? -1 : 1)
                                   : strcmp(top_box_name(order->look, x, name_x),
                                            top_box_name(order->look, y, name_y));
    return order->show->reverse ? -way : way;
}

size_t top_order_boxes(const struct top_look *look, const struct top_show *show, size_t *ret_order)
{
    char name[TOP_NAME];
    struct order order = { .look = look, .show = show };
    size_t n = 0;
    for (size_t i = 0; i < look->scene.n_boxes; i++) {
        if (strstr(top_box_name(look, i, name), show->filter)) {
            ret_order[n++] = i;
        }
    }
    qsort_r(ret_order, n, sizeof(*ret_order), compare, &order);
    return n;
}
