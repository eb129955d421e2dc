/*
 * A link whose bytes another process spoiled: every field gives -EPROTO or a clean answer, never
 * a signal, never a loop, never a byte from outside of the file.
 */
#include "link/link.h"

#include <sys/mman.h>

#include "kit.h"
#include "link/link_test.h"

#define N_MESSAGES 12u

static size_t len_of(uint64_t i)
{
    return (size_t)(i * 900);
}

/* Twelve messages in several segments, and the file mapped for spoiling. */
struct wreck {
    struct rig rig;
    uint8_t *bytes;
    size_t size;
    struct tg_link_head *head;
    struct tg_segment *table;
};

static void wreck_open(struct wreck *wreck)
{
    struct rig *rig = &wreck->rig;
    memset(wreck, 0, sizeof(*wreck));
    rig->dir = rig_folder();
    rig_make(rig, 0, 4 << 20);
    for (uint64_t i = 0; i < N_MESSAGES; i++) {
        kit_ok(rig_put(rig, i, len_of(i)));
    }
    tg_writer_detach(&rig->w);
    struct stat st;
    const int fd = openat(rig->dir, rig_name(), O_RDWR | O_CLOEXEC);
    kit_true(fd >= 0);
    kit_ok(fstat(fd, &st));
    wreck->size = (size_t)st.st_size;
    wreck->bytes = mmap(NULL, wreck->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    kit_true(wreck->bytes != MAP_FAILED);
    close(fd);
    wreck->head = (struct tg_link_head *)(void *)wreck->bytes;
    wreck->table = (struct tg_segment *)(void *)(wreck->bytes + TG_LINK_TABLE_OFF);
}

static void wreck_close(struct wreck *wreck)
{
    munmap(wreck->bytes, wreck->size);
    rig_close(&wreck->rig);
}

static struct tg_record *record_at(const struct wreck *wreck, uint64_t offset)
{
    return (struct tg_record *)(void *)(wreck->bytes + offset);
}

static struct tg_record *first_record(const struct wreck *wreck)
{
    return record_at(wreck, (uint64_t)TG_LINK_DATA_PAGE * TG_PAGE);
}

static volatile uint8_t touched;

/* Read until nothing comes or something is wrong: what stopped it, and how many came before. */
static int read_all(struct wreck *wreck, uint32_t *ret_n)
{
    struct tg_message_view view;
    *ret_n = 0;
    for (;;) {
        const int r = rig_take(&wreck->rig, &view);
        if (r != 1) {
            return r;
        }
        /* Every byte is touched, as a copy would. */
        for (uint32_t k = 0; k < view.len; k++) {
            touched = view.data[k];
        }
        rig_free(&wreck->rig);
        kit_true(++*ret_n < 100000);
    }
}

/* Attach and read: -EPROTO behind so many messages. */
#define wreck_is_refused_after(wreck, n)                                                           \
    do {                                                                                           \
        uint32_t n_;                                                                               \
        rig_attach(&(wreck)->rig);                                                                 \
        kit_gives(read_all((wreck), &n_), -EPROTO);                                                \
        kit_equal(n_, (n));                                                                        \
    } while (0)

/* ---- what is read intact: the tests below can fail */

static void an_intact_link_is_read_to_its_end(void)
{
    struct wreck wreck;
    uint32_t n;
    wreck_open(&wreck);
    rig_attach(&wreck.rig);
    kit_ok(read_all(&wreck, &n));
    kit_equal(n, N_MESSAGES);
    wreck_close(&wreck);
}

/* ---- the head */

static void a_foreign_head_is_refused(void)
{
    struct wreck wreck;
    struct tg_reader r;
    wreck_open(&wreck);
    tg_a32 *const words[] = { &wreck.head->magic, &wreck.head->version, &wreck.head->row };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const uint32_t was = atomic_fetch_add(words[i], 1);
        kit_gives(tg_reader_attach(&r, wreck.rig.dir, RIG_ROW, rig_id), -EPROTO);
        atomic_store(words[i], was);
    }
    wreck.head->box_id[15] ^= 1;
    kit_gives(tg_reader_attach(&r, wreck.rig.dir, RIG_ROW, rig_id), -EPROTO);
    wreck_close(&wreck);
}

/* ---- records */

static void a_length_beyond_the_segment_is_refused(void)
{
    static const uint32_t lens[] = { 4096 - 31, 65536, UINT32_MAX - 15, UINT32_MAX };
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct wreck wreck;
        wreck_open(&wreck);
        atomic_store(&first_record(&wreck)->length, lens[i]);
        wreck_is_refused_after(&wreck, 0);
        wreck_close(&wreck);
    }
}

static void another_number_is_refused(void)
{
    struct wreck wreck;
    wreck_open(&wreck);
    struct tg_record *second = first_record(&wreck) + 1; /* behind one of no bytes */
    atomic_store(&second->sequence, 2);
    wreck_is_refused_after(&wreck, 1);
    wreck_close(&wreck);
}

static void unknown_commit_flags_are_refused(void)
{
    static const uint32_t flags[] = { 1, TG_JUMP, TG_COMMITTED | 1, UINT32_MAX,
                                      TG_COMMITTED | 0x20000000 };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct wreck wreck;
        wreck_open(&wreck);
        atomic_store(&first_record(&wreck)->commit, flags[i]);
        wreck_is_refused_after(&wreck, 0);
        wreck_close(&wreck);
    }
}

/* ---- the table and the chain */

static void a_jump_to_nowhere_is_refused(void)
{
    static const uint32_t nexts[] = { 0, 100, TG_LINK_SEGMENTS, TG_LINK_SEGMENTS + 1, UINT32_MAX };
    for (size_t i = 0; i < sizeof(nexts) / sizeof(nexts[0]); i++) {
        struct wreck wreck;
        wreck_open(&wreck);
        atomic_store(&wreck.table[0].next, nexts[i]);
        atomic_store(&first_record(&wreck)->commit, TG_COMMITTED | TG_JUMP);
        wreck_is_refused_after(&wreck, 0);
        wreck_close(&wreck);
    }
}

static void a_circle_of_jumps_is_refused(void)
{
    struct wreck wreck;
    wreck_open(&wreck);
    atomic_store(&wreck.table[0].next, 2);
    atomic_store(&wreck.table[1].next, 1);
    const uint32_t page = atomic_load(&wreck.table[1].page);
    atomic_store(&record_at(&wreck, (uint64_t)page * TG_PAGE)->commit, TG_COMMITTED | TG_JUMP);
    atomic_store(&first_record(&wreck)->commit, TG_COMMITTED | TG_JUMP);
    wreck_is_refused_after(&wreck, 0);
    const struct tg_link_place place = rig_place(wreck.rig.row);
    /* The same circle, for a reader that leaves and for a successor. */
    tg_reader_leave(&wreck.rig.r, place.head, tg_place(0, UINT64_C(40) << 20));
    const int fd = openat(wreck.rig.dir, rig_name(), O_RDWR | O_CLOEXEC);
    atomic_store(&wreck.head->tail, place.head);
    struct tg_writer w = { 0 };
    const unsigned long points = tg_point_count();
    kit_gives(tg_writer_take_over(&w, wreck.rig.dir, fd, 0x40, rig_place, wreck.rig.row), -EPROTO);
    /* It goes round once, not for seconds. */
    kit_true(tg_point_count() - points < 2 * TG_LINK_SEGMENTS);
    close(fd);
    wreck_close(&wreck);
}

static void a_segment_outside_of_the_file_is_refused(void)
{
    const struct {
        uint32_t page;
        uint32_t pages;
    } bad[] = { { 0, 1 },
                { TG_LINK_DATA_PAGE - 1, 1 },
                { 100000, 1 },
                { 100000, 4000 },
                { TG_LINK_PAGES_MAX - 1, 1 },
                { TG_LINK_PAGES_MAX, 1 },
                { UINT32_MAX, 1 },
                { 20, 0 },
                { 20, TG_LINK_PAGES_MAX },
                { 20, UINT32_MAX } };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct wreck wreck;
        wreck_open(&wreck);
        atomic_store(&wreck.table[1].page, bad[i].page);
        atomic_store(&wreck.table[1].pages, bad[i].pages);
        uint32_t n;
        rig_attach(&wreck.rig);
        kit_gives(read_all(&wreck, &n), -EPROTO);
        kit_true(n < N_MESSAGES);
        wreck_close(&wreck);
    }
}

/* The bytes of a claim lie in what is mapped: a segment that changes takes them from nobody. */
static void a_segment_that_moves_is_refused_and_its_bytes_stay(void)
{
    const size_t len = TG_LINK_WINDOW + 1000;
    struct rig rig;
    struct tg_message_view view;
    struct tg_message_view later;
    const uint8_t *data = NULL;
    uint32_t index = 0;
    rig_open(&rig, 0, 4 << 20);
    kit_ok(rig_put(&rig, 1, len));
    kit_ok(rig_put(&rig, 2, len));
    kit_equal(rig_take(&rig, &view), 1);
    kit_equal(rig_take(&rig, &later), 1); /* in a segment of its own */
    const uint64_t offset = tg_place_offset(view.place);
    kit_ok(tg_reader_find(&rig.r, offset, (uint32_t)len, &data));
    kit_true(data == view.data);
    kit_ok(tg_segment_find(rig.w.head, offset, &index));
    tg_a32 *pages = &tg_segment_at(rig.w.head, index)->pages;
    const uint32_t was = atomic_load(pages);
    for (uint32_t lie = was - 1; lie <= was + 1; lie += 2) {
        atomic_store(pages, lie);
        kit_gives(tg_reader_find(&rig.r, offset, (uint32_t)len, &data), -EPROTO);
        kit_true(kit_payload_is(view.data, len, 1, 1));
    }
    rig_close(&rig);
}

static void a_table_that_is_too_long_is_refused(void)
{
    struct wreck wreck;
    wreck_open(&wreck);
    atomic_store(&wreck.head->n_segments, TG_LINK_SEGMENTS + 1);
    wreck_is_refused_after(&wreck, 0);
    atomic_store(&wreck.head->n_segments, 0);
    tg_reader_detach(&wreck.rig.r);
    wreck_is_refused_after(&wreck, 0);
    wreck_close(&wreck);
}

/* ---- the file */

static void a_file_cut_off_in_its_head_is_refused(void)
{
    struct wreck wreck;
    wreck_open(&wreck);
    struct tg_reader r;
    kit_ok(truncate(kit_path(RIG_FOLDER "/link.3"), TG_PAGE));
    kit_gives(tg_reader_attach(&r, wreck.rig.dir, RIG_ROW, rig_id), -EPROTO);
    wreck_close(&wreck);
}

static void a_file_cut_off_in_its_segments_is_refused(void)
{
    struct wreck wreck;
    uint32_t n;
    wreck_open(&wreck);
    kit_ok(truncate(kit_path(RIG_FOLDER "/link.3"), (TG_LINK_DATA_PAGE + 1) * TG_PAGE));
    rig_attach(&wreck.rig);
    kit_gives(read_all(&wreck, &n), -EPROTO);
    kit_true(n > 0 && n < N_MESSAGES);
    wreck_close(&wreck);
}

/* ---- places and claims a damaged box may name */

static void a_place_outside_of_every_segment_is_refused(void)
{
    struct wreck wreck;
    struct tg_message_view view;
    const uint8_t *data;
    wreck_open(&wreck);
    rig_attach(&wreck.rig);
    struct tg_reader *r = &wreck.rig.r;
    kit_gives(tg_reader_look(r, tg_place(0, 0), &view), -EPROTO);
    kit_gives(tg_reader_look(r, tg_place(0, UINT64_C(60) << 30), &view), -EPROTO);
    kit_gives(tg_reader_find(r, 0, 1, &data), -EPROTO);
    kit_gives(tg_reader_find(r, UINT64_C(60) << 30, 1, &data), -EPROTO);
    kit_gives(tg_reader_find(r, (uint64_t)TG_LINK_DATA_PAGE * TG_PAGE, UINT32_MAX, &data), -EPROTO);
    kit_gives(tg_reader_find(r, (uint64_t)TG_LINK_DATA_PAGE * TG_PAGE, 4081, &data), -EPROTO);
    wreck_close(&wreck);
}

static void a_successor_refuses_a_damaged_link(void)
{
    struct wreck wreck;
    wreck_open(&wreck);
    const int fd = openat(wreck.rig.dir, rig_name(), O_RDWR | O_CLOEXEC);
    const uint64_t beyond[] = { tg_place(N_MESSAGES, UINT64_C(60) << 30), tg_place(N_MESSAGES, 0) };
    for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
        struct tg_writer w = { 0 };
        atomic_store(&wreck.head->tail, beyond[i]);
        kit_gives(tg_writer_take_over(&w, wreck.rig.dir, fd, 0x40, rig_place, wreck.rig.row),
                  -EPROTO);
    }
    /* Behind what the box has handed out it is a lower bound and no damage. */
    const uint64_t behind[] = { 0, tg_place(UINT32_MAX, UINT64_C(60) << 30) };
    for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
        struct tg_writer w = { 0 };
        atomic_store(&wreck.head->tail, behind[i]);
        kit_ok(tg_writer_take_over(&w, wreck.rig.dir, fd, 0x40, rig_place, wreck.rig.row));
        kit_equal(w.sequence, N_MESSAGES);
        tg_writer_detach(&w);
    }
    close(fd);
    wreck_close(&wreck);
}

static void refuse_take_over(const struct wreck *wreck)
{
    struct tg_writer w = { 0 };
    const int fd = openat(wreck->rig.dir, rig_name(), O_RDWR | O_CLOEXEC);
    kit_true(fd >= 0);
    kit_gives(tg_writer_take_over(&w, wreck->rig.dir, fd, 0x40, rig_place, wreck->rig.row),
              -EPROTO);
    close(fd);
}

/* It walks over what was committed behind tail: here, over everything. */
static void wreck_open_untold(struct wreck *wreck)
{
    wreck_open(wreck);
    atomic_store(&wreck->head->tail, atomic_load(&wreck->head->first));
}

static void a_successor_refuses_a_record_that_is_none(void)
{
    const uint32_t commits[] = { 1, TG_JUMP, TG_COMMITTED | 0x100, TG_COMMITTED | TG_JUMP | 1 };
    struct wreck wreck;
    wreck_open_untold(&wreck);
    struct tg_record *first = first_record(&wreck);
    for (size_t i = 0; i < sizeof(commits) / sizeof(commits[0]); i++) {
        atomic_store(&first->commit, commits[i]);
        refuse_take_over(&wreck);
    }
    atomic_store(&first->commit, TG_COMMITTED);
    atomic_store(&first->sequence, 1);
    refuse_take_over(&wreck);
    atomic_store(&first->sequence, 0);
    atomic_store(&first->length, UINT32_MAX);
    refuse_take_over(&wreck);
    wreck_close(&wreck);
}

static void a_successor_refuses_a_jump_to_nowhere(void)
{
    const uint32_t nexts[] = { 0, 100, TG_LINK_SEGMENTS + 1, UINT32_MAX };
    struct wreck wreck;
    wreck_open_untold(&wreck);
    atomic_store(&first_record(&wreck)->commit, TG_COMMITTED | TG_JUMP);
    for (size_t i = 0; i < sizeof(nexts) / sizeof(nexts[0]); i++) {
        atomic_store(&wreck.table[0].next, nexts[i]);
        refuse_take_over(&wreck);
    }
    wreck_close(&wreck);
}

/* ---- anything at all */

static void spoil(struct wreck *wreck, struct kit_random *random)
{
    const uint64_t n = 1 + kit_random_below(random, 4);
    for (uint64_t k = 0; k < n; k++) {
        const size_t words = wreck->size / 4;
        uint32_t *word = (uint32_t *)(void *)wreck->bytes;
        size_t at = (size_t)kit_random_below(random, words);
        switch (kit_random_below(random, 4)) {
        case 0:
            at = (size_t)kit_random_below(random, 512 / 4);
            break;
        case 1:
            at = (TG_LINK_TABLE_OFF + (size_t)kit_random_below(random, 160)) / 4;
            break;
        case 2:
            at = TG_LINK_DATA_PAGE * TG_PAGE / 4 + (size_t)kit_random_below(random, 3) * 4 +
                 (size_t)kit_random_below(random, 4);
            break;
        default:
            break;
        }
        const uint32_t few = (uint32_t)kit_random_below(random, 32);
        word[at] = kit_random_below(random, 2) != 0 ? few : (uint32_t)kit_random(random);
    }
}

static bool is_clean(int r)
{
    return r == 0 || r == -EPROTO || r == -EIDRM;
}

/* A link of another id is another link, so reading stops with -EIDRM. */
static void random_damage_is_never_a_signal(void)
{
    struct kit_random random = kit_random_stream(2);
    const uint64_t rounds = kit_count("KIT_ROUNDS", 1500);
    for (uint64_t k = 0; k < rounds; k++) {
        struct wreck wreck;
        uint32_t n;
        uint32_t sent;
        wreck_open(&wreck);
        spoil(&wreck, &random);
        if (tg_reader_attach(&wreck.rig.r, wreck.rig.dir, RIG_ROW, rig_id) == 0) {
            spoil(&wreck, &random);
            kit_true(is_clean(read_all(&wreck, &n)));
        }
        const int fd = openat(wreck.rig.dir, rig_name(), O_RDWR | O_CLOEXEC);
        struct tg_writer w = { 0 };
        (void)tg_link_sent(fd, &sent);
        const int r = tg_writer_take_over(&w, wreck.rig.dir, fd, 0x40, rig_place, wreck.rig.row);
        kit_true(is_clean(r));
        tg_writer_detach(&w);
        close(fd);
        wreck_close(&wreck);
    }
}

static const struct kit_test tests[] = {
    KIT_TEST(an_intact_link_is_read_to_its_end),
    KIT_TEST(a_foreign_head_is_refused),
    KIT_TEST(a_length_beyond_the_segment_is_refused),
    KIT_TEST(another_number_is_refused),
    KIT_TEST(unknown_commit_flags_are_refused),
    KIT_TEST(a_jump_to_nowhere_is_refused),
    KIT_TEST(a_circle_of_jumps_is_refused),
    KIT_TEST(a_segment_outside_of_the_file_is_refused),
    KIT_TEST(a_segment_that_moves_is_refused_and_its_bytes_stay),
    KIT_TEST(a_table_that_is_too_long_is_refused),
    KIT_TEST(a_file_cut_off_in_its_head_is_refused),
    KIT_TEST(a_file_cut_off_in_its_segments_is_refused),
    KIT_TEST(a_place_outside_of_every_segment_is_refused),
    KIT_TEST(a_successor_refuses_a_damaged_link),
    KIT_TEST(a_successor_refuses_a_record_that_is_none),
    KIT_TEST(a_successor_refuses_a_jump_to_nowhere),
    KIT_TEST(random_damage_is_never_a_signal),
};

KIT_MAIN(tests)
