/* What writer and reader share: names, and the walk to the last committed record. */
#include "link/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
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

#define FETCH_MOST 2048u

void tg_link_fetch(const uint8_t *from, uint64_t len)
{
    const uint64_t most = len < FETCH_MOST ? len : FETCH_MOST;
    for (uint64_t at = 0; at < most + 2 * (uint64_t)TG_RECORD_HEAD; at += 64) {
        __builtin_prefetch(from + at);
    }
}

/*
 * The present name is never written: the next one goes into the other place, and counts with one store.
 * So a sender that dies while it takes another name has the old one or the new one.
 */
void tg_link_set_from(struct tg_link_head *head, const char *name)
{
    uint64_t words[TG_LINK_FROM_WORDS] = { 0 };
    const uint32_t next = tg_load_relaxed(&head->from_now) + 1;
    memcpy(words, name, strlen(name));
    for (uint32_t i = 0; i < TG_LINK_FROM_WORDS; i++) {
        /* release: a reader that gets a word of this name finds that the one before it was given. */
        tg_store_release(&head->from[next % 2][i], words[i]);
    }
    /* release: the name is whole; pairs with the acquire in tg_link_from. */
    tg_store_release(&head->from_now, next);
}

/* A name given while another one is copied leaves that alone; only a second one does not. */
#define FROM_TRIES 16

uint32_t tg_link_from(const struct tg_link_head *head, char ret_name[TONG_NAME_MAX])
{
    uint32_t now = tg_load_acquire(&head->from_now);
    for (int tries = 0; tries < FROM_TRIES; tries++) {
        uint64_t words[TG_LINK_FROM_WORDS];
        for (uint32_t i = 0; i < TG_LINK_FROM_WORDS; i++) {
            /* acquire: the count is read behind all of them. */
            words[i] = tg_load_acquire(&head->from[now % 2][i]);
        }
        const uint32_t again = tg_load_acquire(&head->from_now);
        if (again == now) {
            memcpy(ret_name, words, TONG_NAME_MAX);
            ret_name[TONG_NAME_MAX - 1] = '\0';
            if (tg_name_check(ret_name) < 0) {
                ret_name[0] = '\0';
            }
            return now;
        }
        now = again;
    }
    ret_name[0] = '\0'; /* nobody takes so many names */
    return now;
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

/* One step of the walk, *place moved: STEP_RECORD, STEP_JUMP; 0 the end. */
enum {
    STEP_RECORD = 1,
    STEP_JUMP = 2
};

static int step(const struct tg_link_head *head, int fd, uint64_t *place)
{
    uint32_t record[4];
    const uint64_t offset = tg_place_offset(*place);
    int r = tg_sys_pread(fd, record, sizeof record, offset);
    if (r < 0 || record[0] == 0) {
        return r;
    }
    uint32_t index;
    uint32_t page;
    uint32_t pages;
    r = tg_segment_find(head, offset, &index);
    if (r < 0) {
        return r;
    }
    if (record[0] == (TG_COMMITTED | TG_JUMP)) {
        const uint32_t next = tg_load_relaxed(&tg_segment_at(head, index)->next);
        r = next == 0 ? -EPROTO : tg_segment_read(head, next - 1, &page, &pages);
        *place = r < 0 ? *place : tg_place(tg_place_sequence(*place), (uint64_t)page * TG_PAGE);
        return r < 0 ? r : STEP_JUMP;
    }
    if (!tg_commit_is_message(record[0]) || record[2] != tg_place_sequence(*place)) {
        return -EPROTO;
    }
    *place = tg_place(record[2] + 1, offset + tg_record_size(record[1]));
    return STEP_RECORD;
}

/* Where to begin: the further one of tail and next; with equal numbers next, for tail may lie
 * before a jump whose segment was left and given back. */
static uint64_t begin(const struct tg_link_head *head, const struct tg_link_place *place)
{
    const uint64_t tail = tg_load_acquire(&head->tail);
    const bool further =
        place->known && (int32_t)(tg_place_sequence(place->next) - tg_place_sequence(tail)) >= 0;
    return further ? place->next : tail;
}

/*
 * It ends: numbers of records only rise, and a file holds each once; a chain has no more jumps in a row
 * than segments, a circle is damage. A zero where the box has moved meanwhile begins it anew.
 */
int tg_link_committed(const struct tg_link_head *head, int fd, tg_link_place_fn *place, void *arg,
                      uint64_t *ret_place)
{
    struct tg_link_place seen = place(arg);
    uint64_t at = begin(head, &seen);
    uint32_t jumps = 0;
    while (jumps <= TG_LINK_SEGMENTS) {
        const int r = step(head, fd, &at);
        if (r < 0) {
            return r;
        }
        jumps = r == STEP_JUMP ? jumps + 1 : 0;
        if (r != 0) {
            continue;
        }
        /* A zero may be a hole: only if the box stands where it stood is it the end. */
        const struct tg_link_place now = place(arg);
        if (now.known == seen.known && (!now.known || now.next == seen.next)) {
            *ret_place = at;
            return 0;
        }
        seen = now;
        at = begin(head, &seen);
    }
    return -EPROTO;
}

int tg_link_sent(int fd, uint32_t *ret_sequence)
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
    if (r == 0 && tg_commit_is_message(record[0]) && record[2] == sent) {
        sent++;
    }
    *ret_sequence = sent;
    return 0;
}
