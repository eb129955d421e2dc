/* Inside layer 2: the table of segments, read with care. */
#ifndef TG_LINK_SEGMENT_H
#define TG_LINK_SEGMENT_H

#include "link/link_layout.h"

struct tg_writer;

static inline struct tg_segment *tg_segment_at(const struct tg_link_head *head, uint32_t index)
{
    return (struct tg_segment *)((uintptr_t)head + TG_LINK_TABLE_OFF) + index;
}

/* Where a segment lies, in range. -EPROTO. */
int tg_segment_read(const struct tg_link_head *head, uint32_t index, uint32_t *ret_page,
                    uint32_t *ret_pages);
/* The segment that holds an offset. -EPROTO. */
int tg_segment_find(const struct tg_link_head *head, uint64_t offset, uint32_t *ret_index);

/* Map a segment that lies outside of the writer's window. fd < 0: open the file for it. */
int tg_writer_map(struct tg_writer *w, uint32_t index, int fd);

#endif
