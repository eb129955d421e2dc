#include "forge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u

/* ---- files */

static void map_file(struct forge_file *file, int dir, const char *name, size_t size)
{
    file->fd = openat(dir, name, O_RDWR | O_CLOEXEC);
    fuzz_true(file->fd >= 0);
    file->size = size;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
    fuzz_true(p != MAP_FAILED);
    file->map = p;
}

static void unmap_file(struct forge_file *file)
{
    if (file->map != NULL) {
        (void)munmap(file->map, file->size);
    }
    if (file->fd >= 0) {
        close(file->fd);
    }
}

static void make_file(const struct forge *f, int dir, const char *name, uint64_t size)
{
    const int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    fuzz_true(fd >= 0);
    fuzz_true(ftruncate(fd, (off_t)size) == 0);
    if (f->is_other_user) {
        fuzz_true(fchown(fd, FUZZ_OTHER_UID, FUZZ_OTHER_UID) == 0);
    }
    close(fd);
}

static void read_victim(struct forge *f)
{
    void *p = mmap(NULL, TG_BOX_SIZE, PROT_READ, MAP_SHARED, f->box.fd, 0);
    fuzz_true(p != MAP_FAILED);
    f->seen = p;
    f->rows = (const struct tg_box_row *)(const void *)((uint8_t *)p + TG_BOX_ROWS_OFF);
    const struct tg_box_slot *slots =
        (const struct tg_box_slot *)(const void *)((uint8_t *)p + TG_BOX_SLOTS_OFF);
    memcpy(f->box_id, f->seen->id, sizeof(f->box_id));
    f->victim_id = atomic_load(&slots[0].owner);
}

void forge_begin(struct forge *f, const char *folder, const char *name, bool is_other_user)
{
    *f = (struct forge){ .is_other_user = is_other_user, .row = FORGE_ROW };
    f->link.fd = f->room.fd = f->bells.fd = f->life.fd = f->box.fd = -1;
    f->root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->dir = openat(f->root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fuzz_true(f->root >= 0 && f->dir >= 0);
    f->box.fd = openat(f->dir, "box", O_RDWR | O_CLOEXEC);
    fuzz_true(f->box.fd >= 0);
    read_victim(f);
    map_file(&f->room, f->dir, "room", TG_ROOM_SIZE);
}

void forge_end(struct forge *f)
{
    (void)munmap((void *)(uintptr_t)f->seen, TG_BOX_SIZE);
    unmap_file(&f->link);
    unmap_file(&f->room);
    unmap_file(&f->bells);
    unmap_file(&f->life);
    unmap_file(&f->box);
    close(f->dir);
    close(f->root);
}

void forge_take_box(struct forge *f, const char *name)
{
    close(f->box.fd);
    map_file(&f->box, f->dir, "box", TG_BOX_SIZE);
    if (f->is_other_user) {
        fuzz_true(fchownat(f->root, name, FUZZ_OTHER_UID, FUZZ_OTHER_UID, 0) == 0);
        fuzz_true(fchown(f->box.fd, FUZZ_OTHER_UID, FUZZ_OTHER_UID) == 0);
    }
}

/* ---- what a hostile sender owns */

static struct tg_link_head *link_head(const struct forge *f)
{
    return (struct tg_link_head *)(void *)f->link.map;
}

static struct tg_segment *table(const struct forge *f)
{
    return (struct tg_segment *)(void *)(f->link.map + TG_LINK_TABLE_OFF);
}

static struct tg_record *record_at(const struct forge *f, uint64_t offset)
{
    const uint64_t most = f->link.size - sizeof(struct tg_record);
    return (struct tg_record *)(void *)(f->link.map + (offset < most ? offset : most) / 16 * 16);
}

static void enter_segment(struct forge *f, uint32_t page, uint32_t pages)
{
    f->tail = (uint64_t)page * PAGE;
    f->end = f->tail + (uint64_t)pages * PAGE;
}

static void fill_head(struct forge *f)
{
    struct tg_link_head *head = link_head(f);
    const uint64_t first = tg_place(0, (uint64_t)TG_LINK_DATA_PAGE * PAGE);
    memcpy(head->box_id, f->box_id, sizeof(head->box_id));
    atomic_store(&head->version, TG_LINK_VERSION);
    atomic_store(&head->row, f->row);
    atomic_store(&head->link_id, UINT64_C(0x666f7267656421));
    atomic_store(&head->first, first);
    atomic_store(&head->tail, first);
    atomic_store(&head->oldest, first);
    atomic_store(&head->owner, f->life_id);
    atomic_store(&table(f)[0].page, TG_LINK_DATA_PAGE);
    atomic_store(&table(f)[0].pages, UINT32_C(1));
    atomic_store(&head->n_segments, UINT32_C(1));
    atomic_store(&head->magic, TG_LINK_MAGIC);
}

void forge_make_link(struct forge *f)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "link.%u", f->row);
    (void)unlinkat(f->dir, name, 0);
    unmap_file(&f->link);
    make_file(f, f->dir, name, FORGE_SIZE);
    map_file(&f->link, f->dir, name, FORGE_SIZE);
    f->sequence = 0;
    f->n_segments = 1;
    enter_segment(f, TG_LINK_DATA_PAGE, 1);
    fill_head(f);
}

void forge_make_bells(struct forge *f)
{
    char name[32];
    const unsigned uid = f->is_other_user ? FUZZ_OTHER_UID : (unsigned)geteuid();
    (void)snprintf(name, sizeof(name), "bell.%u", uid);
    if (f->is_other_user) {
        make_file(f, f->dir, name, TG_BELLS_SIZE);
    }
    map_file(&f->bells, f->dir, name, TG_BELLS_SIZE);
    struct tg_bells *bells = (struct tg_bells *)(void *)f->bells.map;
    memcpy(bells->box_id, f->box_id, sizeof(bells->box_id));
    atomic_store(&bells->version, TG_BOX_VERSION);
    atomic_store(&bells->magic, TG_BELL_MAGIC);
    atomic_fetch_add(&bells->links, 1);
    atomic_fetch_add(&((struct tg_room_head *)(void *)f->room.map)->users, 1);
}

static void lock_file(int fd)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    fuzz_true(fcntl(fd, F_OFD_SETLK, &lock) == 0);
}

void forge_make_life(struct forge *f, bool locked)
{
    char name[32];
    f->life_id = UINT64_C(0xabcdef0123456780);
    (void)snprintf(name, sizeof(name), ".life/%016llx", (unsigned long long)f->life_id);
    make_file(f, f->root, name, TG_LIFE_SIZE);
    map_file(&f->life, f->root, name, TG_LIFE_SIZE);
    struct tg_life_record *record = (struct tg_life_record *)(void *)f->life.map;
    atomic_store(&record->version, TG_REGION_VERSION);
    atomic_store(&record->id, f->life_id);
    atomic_store(&record->magic, TG_LIFE_MAGIC);
    if (locked) {
        lock_file(f->life.fd);
    }
}

/* ---- values */

static uint64_t value_of_chain(struct forge *f, const struct fuzz_bytes *bytes)
{
    const uint32_t few = fuzz_u8(bytes);
    switch (few % 8) {
    case 0:
        return f->sequence + few / 8;
    case 1:
        return tg_place(f->sequence, f->tail);
    case 2:
        return tg_place(f->sequence + few / 8, f->tail + few / 8 * 16);
    case 3:
        return f->tail / 16;
    case 4:
        return atomic_load(&f->rows[f->row].next);
    case 5:
        return atomic_load(&f->rows[f->row].head);
    case 6:
        return TG_LINK_DATA_PAGE + few / 8;
    default:
        return tg_place(f->offer + few / 8, (uint64_t)TG_LINK_DATA_PAGE * PAGE);
    }
}

static uint64_t constant(const struct fuzz_bytes *bytes)
{
    static const uint64_t constants[] = { 0,
                                          TG_COMMITTED,
                                          TG_COMMITTED | TG_JUMP,
                                          TG_COMMITTED | 1,
                                          TG_COMMITTED | TG_EXTENSION,
                                          UINT32_MAX,
                                          UINT64_MAX,
                                          TG_LINK_PAGES_MAX,
                                          TG_LINK_PAGES_MAX - 1,
                                          TG_LINK_SEGMENTS,
                                          TG_LINK_SEGMENTS + 1,
                                          FORGE_SIZE / PAGE,
                                          FORGE_SIZE / PAGE - 1,
                                          511,
                                          512,
                                          TG_LIFE_DEAD,
                                          TG_LIFE_WAITERS | 1,
                                          TG_LIFE_DEAD | TG_LIFE_WAITERS,
                                          4096 - 32,
                                          4096 - 16,
                                          4096 };
    return constants[fuzz_below(bytes, sizeof(constants) / sizeof(constants[0]))];
}

uint64_t forge_value(struct forge *f, const struct fuzz_bytes *bytes)
{
    switch (fuzz_u8(bytes) % 12) {
    case 0:
        return fuzz_u8(bytes);
    case 1:
        return fuzz_u16(bytes);
    case 2:
        return fuzz_u32(bytes);
    case 3:
        return fuzz_u64(bytes);
    case 4:
        return (uint64_t)0 - fuzz_u8(bytes);
    case 5:
        return UINT64_C(1) << fuzz_below(bytes, 64);
    case 6:
        return f->victim_id;
    case 7:
        return f->life_id;
    case 8:
        return constant(bytes);
    default:
        return value_of_chain(f, bytes);
    }
}

static void store(uint8_t *at, unsigned bytes_wide, uint64_t value)
{
    if (bytes_wide == 8) {
        atomic_store((tg_a64 *)(void *)at, value);
    } else {
        atomic_store((tg_a32 *)(void *)at, (uint32_t)value);
    }
}

void forge_scribble(struct forge *f, struct forge_file *file, size_t size,
                    const struct fuzz_bytes *bytes)
{
    if (file->map == NULL) {
        return;
    }
    const uint32_t at = fuzz_u16(bytes);
    const uint64_t value = forge_value(f, bytes);
    if ((at & 0x8000u) != 0) {
        store(file->map + (size_t)(at & 0x7fffu) * 8 % (size - 7) / 8 * 8, 8, value);
    } else {
        store(file->map + (size_t)at * 4 % (size - 3) / 4 * 4, 4, value);
    }
}

/* ---- steps that are right */

static void commit_at(struct forge *f, uint32_t len, uint32_t extension)
{
    struct tg_record *record = record_at(f, f->tail);
    atomic_store(&record->length, len);
    atomic_store(&record->sequence, f->sequence);
    atomic_store(&record_at(f, f->tail + tg_record_size(len))->commit, UINT32_C(0));
    atomic_store(&record->commit, TG_COMMITTED | extension);
    f->sequence++;
    f->tail += tg_record_size(len);
    atomic_store(&link_head(f)->tail, tg_place(f->sequence, f->tail));
}

static void jump_to(struct forge *f, uint32_t page, uint32_t pages, uint32_t flags)
{
    const uint32_t index = f->n_segments;
    if (index == TG_LINK_SEGMENTS || page + pages > FORGE_SIZE / PAGE) {
        return;
    }
    atomic_store(&table(f)[index].page, page);
    atomic_store(&table(f)[index].pages, pages);
    atomic_store(&table(f)[index].flags, flags);
    atomic_store(&table(f)[index - 1].next, index + 1);
    atomic_store(&link_head(f)->n_segments, index + 1);
    struct tg_record *from = record_at(f, f->tail);
    enter_segment(f, page, pages);
    f->n_segments++;
    atomic_store(&record_at(f, f->tail)->commit, UINT32_C(0));
    atomic_store(&from->commit, TG_COMMITTED | TG_JUMP);
}

/* Everything before a place that may be right is given up. */
static void give_up(struct forge *f, const struct fuzz_bytes *bytes)
{
    if (f->link.map != NULL) {
        atomic_store(&link_head(f)->oldest, value_of_chain(f, bytes));
    }
}

void forge_message(struct forge *f, uint32_t len)
{
    if (f->link.map != NULL && f->tail + tg_record_size(len) + TG_RECORD_HEAD <= f->end &&
        f->end <= FORGE_SIZE) {
        /* Of some lengths a part is said to be an extension: a right one, or none, or one too long. */
        const uint32_t extension = len % 4 == 3 ? len / 4 % 16 : 0;
        if (extension != 0) {
            struct tg_attributes a = { .magic = TG_ATTRIBUTES_MAGIC, .size = extension * 16 };
            a.priority = len / 4 % 40;
            a.reply_size = a.size - (uint32_t)sizeof(a);
            memcpy(f->link.map + f->tail + TG_RECORD_HEAD, &a, len < sizeof(a) ? len : sizeof(a));
        }
        commit_at(f, len, extension);
    }
}

static void make_offer(struct forge *f, const struct fuzz_bytes *bytes)
{
    struct tg_link_head *head = link_head(f);
    const uint32_t len = fuzz_u8(bytes);
    atomic_store(&head->offer_len, len);
    atomic_store(&head->offer_extension, len % 4 == 3 ? len / 4 : 0);
    f->offer++;
    atomic_store(&head->offer, tg_place(f->offer, (uint64_t)TG_LINK_DATA_PAGE * PAGE));
}

/* ---- names */

static void name_junk(char *name, size_t size, uint32_t which, uint32_t n)
{
    static const char *const words[] = { "link.", "bell.", "junk",   "box",
                                         "room",  ".new",  ".life/", ".tmp/new" };
    if (which == 5 || which == 7) {
        (void)snprintf(name, size, "%s.%016x.%x", words[which], n, n);
    } else if (which == 6) {
        (void)snprintf(name, size, "%s%016x", words[which], n);
    } else {
        (void)snprintf(name, size, "%s%u", words[which], n);
    }
}

static void make_junk(struct forge *f, const struct fuzz_bytes *bytes)
{
    char name[64];
    const uint32_t which = fuzz_below(bytes, 8);
    const int dir = which >= 6 ? f->root : f->dir;
    if (f->junk++ == 16) {
        return;
    }
    name_junk(name, sizeof(name), which, fuzz_u8(bytes) + 3u);
    switch (fuzz_u8(bytes) % 6) {
    case 0:
        (void)mkfifoat(dir, name, 0600);
        break;
    case 1:
        (void)mkdirat(dir, name, 0700);
        break;
    case 2:
        (void)symlinkat("box", dir, name);
        break;
    case 3:
        (void)linkat(f->dir, "room", dir, name, 0);
        break;
    default:
        close(openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0644));
        break;
    }
}

/* Of another user, at any moment; what the own user cuts off is a signal, and so is the room's end. */
static void resize(struct forge *f, const struct forge_file *file, const struct fuzz_bytes *bytes)
{
    static const uint64_t sizes[] = {
        0, 1, 512, PAGE, 17 * PAGE, 18 * PAGE, 20 * PAGE, 512 * PAGE
    };
    const uint32_t which = fuzz_below(bytes, 8);
    const bool longer = which >= 6;
    if (file->fd >= 0 && longer && sizes[which] >= file->size) {
        (void)ftruncate(file->fd, (off_t)(file->size * 2));
    } else if (file->fd >= 0 && f->may_resize) {
        (void)ftruncate(file->fd, (off_t)sizes[which]);
        f->is_cut = true;
    }
}

/* What was cut stays so for a while. */
static bool is_whole(struct forge *f, const struct fuzz_bytes *bytes)
{
    const struct forge_file *const files[] = { &f->link, &f->bells, &f->life };
    if (f->is_cut && fuzz_u8(bytes) % 4 != 0) {
        return false;
    }
    for (uint32_t i = 0; i < 3 && f->is_cut; i++) {
        fuzz_true(files[i]->fd < 0 || ftruncate(files[i]->fd, (off_t)files[i]->size) == 0);
    }
    f->is_cut = false;
    return true;
}

static void take_name_away(struct forge *f, const struct fuzz_bytes *bytes)
{
    char name[64];
    struct flock open_lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
    switch (fuzz_u8(bytes) % 4) {
    case 0:
        (void)snprintf(name, sizeof(name), "link.%u", f->row);
        (void)unlinkat(f->dir, name, 0);
        break;
    case 1:
        if (f->life.fd >= 0) {
            (void)snprintf(name, sizeof(name), ".life/%016llx", (unsigned long long)f->life_id);
            (void)unlinkat(f->root, name, 0);
        }
        break;
    case 2:
        if (f->life.fd >= 0) {
            (void)fcntl(f->life.fd, F_OFD_SETLK, &open_lock);
        }
        break;
    default:
        if (f->link.fd >= 0) {
            (void)fcntl(f->link.fd, F_OFD_SETLK, &open_lock);
        }
        break;
    }
}

/* ---- strikes */

static void strike_table(struct forge *f, const struct fuzz_bytes *bytes)
{
    const uint32_t index = fuzz_below(bytes, 8);
    const uint32_t field = fuzz_below(bytes, 4);
    store((uint8_t *)&table(f)[index] + (size_t)field * 4, 4, forge_value(f, bytes));
    if (index >= f->n_segments && field == 0) {
        atomic_store(&link_head(f)->n_segments, index + 1);
    }
}

static void strike_record(struct forge *f, const struct fuzz_bytes *bytes)
{
    const uint32_t which = fuzz_u8(bytes);
    const uint64_t next = tg_place_offset(atomic_load(&f->rows[f->row].next));
    const uint64_t at = which % 2 == 0 ? next : f->tail;
    store((uint8_t *)record_at(f, at) + (size_t)(which / 2 % 4) * 4, 4, forge_value(f, bytes));
}

static void strike_bells(struct forge *f, const struct fuzz_bytes *bytes)
{
    struct tg_bells *bells = (struct tg_bells *)(void *)f->bells.map;
    if (f->is_other_user && fuzz_u8(bytes) % 2 == 0) {
        forge_scribble(f, &f->bells, 256, bytes);
    } else {
        atomic_fetch_add(&bells->links, 1);
    }
}

static void strike_room(struct forge *f, const struct fuzz_bytes *bytes)
{
    struct forge_file rows = f->room;
    if (fuzz_u8(bytes) % 2 == 0) {
        forge_scribble(f, &f->room, sizeof(struct tg_room_head), bytes);
    } else {
        rows.map += TG_ROOM_ROWS_OFF;
        forge_scribble(f, &rows, 8 * sizeof(struct tg_room_row), bytes);
    }
}

static void strike_life(struct forge *f, const struct fuzz_bytes *bytes)
{
    struct forge_file word = f->life;
    if (f->life.map == NULL) {
        return;
    }
    if (fuzz_u8(bytes) % 2 == 0) {
        forge_scribble(f, &f->life, sizeof(struct tg_life_record), bytes);
    } else {
        word.map += TG_LIFE_WORD_OFF;
        forge_scribble(f, &word, 8, bytes);
    }
}

static void strike_names(struct forge *f, const struct fuzz_bytes *bytes)
{
    struct forge_file *const files[] = { &f->link, &f->bells, &f->life };
    switch (fuzz_u8(bytes) % 4) {
    case 0:
        make_junk(f, bytes);
        break;
    case 1:
        take_name_away(f, bytes);
        break;
    case 2:
        resize(f, files[fuzz_below(bytes, 3)], bytes);
        break;
    default:
        if (f->link.map != NULL) {
            forge_make_link(f);
        }
        break;
    }
}

static void strike_chain(struct forge *f, const struct fuzz_bytes *bytes)
{
    const uint32_t page = fuzz_u8(bytes);
    const uint32_t flags = fuzz_u8(bytes) % 2;
    jump_to(f, page % 2 == 0 ? 18 + page / 2 : 520 + page / 2, 1 + flags * 40, flags);
}

void forge_strike_receiver(struct forge *f, const struct fuzz_bytes *bytes)
{
    if (!is_whole(f, bytes)) {
        return;
    }
    switch (fuzz_u8(bytes) % 16) {
    case 0:
    case 1:
        forge_message(f, fuzz_u8(bytes));
        break;
    case 2:
        forge_message(f, fuzz_u16(bytes));
        break;
    case 3:
        strike_chain(f, bytes);
        break;
    case 4:
        give_up(f, bytes);
        break;
    case 5:
        make_offer(f, bytes);
        break;
    case 6:
    case 7:
        strike_table(f, bytes);
        break;
    case 8:
    case 9:
        strike_record(f, bytes);
        break;
    case 10:
        forge_scribble(f, &f->link, sizeof(struct tg_link_head), bytes);
        break;
    case 11:
        forge_scribble(f, &f->link, 20 * PAGE, bytes);
        break;
    case 12:
        strike_room(f, bytes);
        break;
    case 13:
        strike_bells(f, bytes);
        break;
    case 14:
        strike_life(f, bytes);
        break;
    default:
        strike_names(f, bytes);
        break;
    }
}

/* ---- against a sender: the box */

static void strike_rows(struct forge *f, const struct fuzz_bytes *bytes)
{
    struct forge_file part = f->box;
    part.map += TG_BOX_ROWS_OFF;
    forge_scribble(f, &part, 4 * sizeof(struct tg_box_row), bytes);
}

static void strike_slots(struct forge *f, const struct fuzz_bytes *bytes)
{
    struct forge_file part = f->box;
    part.map += TG_BOX_SLOTS_OFF;
    forge_scribble(f, &part, 3 * sizeof(struct tg_box_slot), bytes);
}

/* As an honest receiver would: the row speaks of the victim's link, and something is done. */
static void serve(struct forge *f, const struct fuzz_bytes *bytes)
{
    struct tg_box_head *head = (struct tg_box_head *)(void *)f->box.map;
    struct tg_box_row *row = (struct tg_box_row *)(void *)(f->box.map + TG_BOX_ROWS_OFF);
    char name[32];
    struct tg_link_head link;
    (void)snprintf(name, sizeof(name), "link.%u", f->row);
    const int fd = openat(f->dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, &link, sizeof(link), 0) != (ssize_t)sizeof(link)) {
        close(fd);
        return;
    }
    close(fd);
    row += f->row;
    atomic_store(&head->n_rows, UINT32_C(32));
    const uint64_t tail = atomic_load(&link.tail);
    const uint32_t back = fuzz_u8(bytes) % 4;
    f->sequence = tg_place_sequence(tail);
    f->tail = tg_place_offset(tail);
    f->offer = (uint32_t)(atomic_load(&link.offer) >> 32);
    atomic_store(&row->next, tail);
    atomic_store(&row->head, tail);
    atomic_store(&row->done, tg_place_sequence(tail) - back);
    atomic_fetch_add(&head->done_total, fuzz_u8(bytes) % 4);
    atomic_store(&row->verdict, (uint64_t)f->offer << 32 | (1 + back % 2));
    atomic_store(&row->link_id, atomic_load(&link.link_id));
}

/* A receiver that waits; a grant of its. */
static void receive(struct forge *f, const struct fuzz_bytes *bytes)
{
    struct tg_box_head *head = (struct tg_box_head *)(void *)f->box.map;
    struct tg_box_slot *slot = (struct tg_box_slot *)(void *)(f->box.map + TG_BOX_SLOTS_OFF);
    struct tg_box_row *row = (struct tg_box_row *)(void *)(f->box.map + TG_BOX_ROWS_OFF);
    atomic_store(&head->n_slots, UINT32_C(1));
    atomic_store(&slot->owner, fuzz_u8(bytes) % 2 == 0 ? f->victim_id : f->life_id);
    atomic_store(&slot->waiting, UINT32_C(1));
    atomic_store(&head->turn, UINT64_C(1) << 48 | fuzz_u8(bytes));
    const uint64_t gen = atomic_load(&slot->gen) & 0xffff;
    atomic_store(&row[f->row].grant, (uint64_t)(f->offer + 1) << 32 | gen << 16);
}

void forge_mend_room(struct forge *f)
{
    struct tg_room_head *room = (struct tg_room_head *)(void *)f->room.map;
    memcpy(room->box_id, f->box_id, sizeof(room->box_id));
    atomic_store(&room->version, TG_BOX_VERSION);
    atomic_store(&room->magic, TG_ROOM_MAGIC);
}

void forge_release(struct forge *f)
{
    struct tg_box_slot *slots = (struct tg_box_slot *)(void *)(f->box.map + TG_BOX_SLOTS_OFF);
    for (uint32_t i = 0; i < TG_SLOTS_MAX; i++) {
        atomic_store(&slots[i].owner, UINT64_C(0));
    }
}

void forge_strike_sender(struct forge *f, const struct fuzz_bytes *bytes)
{
    if (!is_whole(f, bytes)) {
        return;
    }
    switch (fuzz_u8(bytes) % 12) {
    case 0:
        forge_scribble(f, &f->box, sizeof(struct tg_box_head), bytes);
        break;
    case 1:
    case 2:
        strike_rows(f, bytes);
        break;
    case 3:
        strike_slots(f, bytes);
        break;
    case 4:
    case 5:
        strike_room(f, bytes);
        break;
    case 6:
        strike_bells(f, bytes);
        break;
    case 7:
        strike_life(f, bytes);
        break;
    case 8:
        strike_names(f, bytes);
        break;
    case 9:
        receive(f, bytes);
        break;
    default:
        serve(f, bytes);
        break;
    }
}
