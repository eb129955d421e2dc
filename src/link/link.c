/* What writer and reader share: names, and the walk to the last committed record. */
#include "link/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link/segment.h"

void tg_link_name(uint32_t row, char ret_name[TG_LINK_NAME_SIZE])
{
    (void)snprintf(ret_name, TG_LINK_NAME_SIZE, "link.%u", (unsigned)row);
}

int tg_link_row(const char *name)
{
    if (strncmp(name, "link.", 5) != 0 || name[5] < '0' || name[5] > '9') {
        return -1;
    }
    char *end = NULL;
    const unsigned long row = strtoul(name + 5, &end, 10);
    if (*end != '\0' || row >= TG_LINKS_MAX || (name[5] == '0' && name[6] != '\0')) {
        return -1;
    }
    return (int)row;
}

int tg_segment_read(const struct tg_link_head *head, uint32_t index, uint32_t *ret_page,
                    uint32_t *ret_pages)
{
    const uint32_t n = tg_load_acquire(&head->n_segments);
    if (n > TG_LINK_SEGMENTS || index >= n) {
        return -EPROTO;
    }
    const struct tg_segment *segment = tg_segment_at(head, index);
    const uint32_t page = tg_load_relaxed(&segment->page);
    const uint32_t pages = tg_load_relaxed(&segment->pages);
    if (page < TG_LINK_DATA_PAGE || pages == 0 || page >= TG_LINK_PAGES_MAX ||
        pages > TG_LINK_PAGES_MAX - page) {
        return -EPROTO;
    }
    *ret_page = page;
    *ret_pages = pages;
    return 0;
}

int tg_segment_find(const struct tg_link_head *head, uint64_t offset, uint32_t *ret_index)
{
    const uint32_t n = tg_load_acquire(&head->n_segments);
    for (uint32_t i = 0; i < n && i < TG_LINK_SEGMENTS; i++) {
        uint32_t page;
        uint32_t pages;
        if (tg_segment_read(head, i, &page, &pages) == 0 && offset >= (uint64_t)page * TG_PAGE &&
            offset < ((uint64_t)page + pages) * TG_PAGE) {
            *ret_index = i;
            return 0;
        }
    }
    return -EPROTO;
}

int tg_link_committed(const struct tg_link_head *head, const uint8_t *window, int dir,
                      const struct tg_link_place *place, uint64_t *ret_place)
{
    /* A reader of our own walks it: the checks are the same. */
    struct tg_reader r = { .head = head,
                           .window = window,
                           .dir = dir,
                           .row = tg_load_relaxed(&head->row),
                           .link_id = tg_load_relaxed(&head->link_id),
                           .borrowed = true };
    uint64_t at = tg_load_acquire(&head->tail);
    if (place->known &&
        (int32_t)(tg_place_sequence(place->next) - tg_place_sequence(at)) > 0) {
        at = place->next;
    }
    struct tg_message_view view;
    int found;
    while ((found = tg_reader_look(&r, at, &view)) == 1) {
        at = view.next;
    }
    if (found == 0) {
        *ret_place = r.next;
    }
    tg_reader_detach(&r);
    return found;
}

int tg_link_sent(int fd, const struct tg_link_place *place, uint32_t *ret_sequence)
{
    uint64_t tail = 0;
    int r = tg_sys_pread(fd, &tail, sizeof tail, offsetof(struct tg_link_head, tail));
    if (r < 0) {
        return r;
    }
    uint32_t record[4];
    uint32_t sent = tg_place_sequence(tail);
    /* At most one record is committed and not counted by tail. */
    r = tg_sys_pread(fd, record, sizeof record, tg_place_offset(tail));
    if (r == 0 && record[0] == TG_COMMITTED && record[2] == sent) {
        sent++;
    }
    /* Consumed, and its memory given back meanwhile: then the box is further. */
    if (place->known && (int32_t)(tg_place_sequence(place->next) - sent) > 0) {
        sent = tg_place_sequence(place->next);
    }
    *ret_sequence = sent;
    return 0;
}
