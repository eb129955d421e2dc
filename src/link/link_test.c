/* One writer, one reader: records in order, memory that comes and goes, take-over in peace. */
#include "link/link.h"

#include "kit.h"
#include "link/link_test.h"

#define MIB (UINT64_C(1) << 20)

/* ---- layout */

static void layout_is_as_the_format_says(void)
{
    kit_equal(sizeof(struct tg_record), 16);
    kit_equal(sizeof(struct tg_segment), 16);
    kit_equal(sizeof(struct tg_link_head), 960);
    kit_equal(offsetof(struct tg_link_head, link_id), 32);
    kit_equal(offsetof(struct tg_link_head, owner), 48);
    kit_equal(offsetof(struct tg_link_head, tail), 128);
    kit_equal(offsetof(struct tg_link_head, waits), 256);
    kit_equal(offsetof(struct tg_link_head, oldest), 320);
    kit_equal(offsetof(struct tg_link_head, offer), 384);
    /* The table of 4096 segments ends before the first segment. */
    kit_true(TG_LINK_TABLE_OFF + TG_LINK_SEGMENTS * sizeof(struct tg_segment) <=
             TG_LINK_DATA_PAGE * TG_PAGE);
}

static void a_place_keeps_number_and_offset(void)
{
    const uint64_t place = tg_place(0xfffffffe, (UINT64_C(64) << 30) - 16);
    kit_equal(tg_place_sequence(place), 0xfffffffe);
    kit_equal(tg_place_offset(place), (UINT64_C(64) << 30) - 16);
    kit_equal(tg_record_size(0), 16);
    kit_equal(tg_record_size(1), 32);
    kit_equal(tg_record_size(16), 32);
    kit_equal(tg_record_size(UINT32_MAX), (UINT64_C(1) << 32) + 16);
}

/* ---- refused */

static void only_names_of_links_have_a_row(void)
{
    static const char *const others[] = { "link.",   "link.-1", "link.01", "link.4096",
                                          "link.x",  "link.1x", "lin.1",   "link1",
                                          "link. 1", "",        "box",     "link.99999999999",
                                          "link.+1" };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        kit_gives(tg_link_row(others[i]), -1);
    }
    for (uint32_t row = 0; row < TG_LINKS_MAX; row++) {
        char name[TG_LINK_NAME_SIZE];
        tg_link_name(row, name);
        kit_equal(tg_link_row(name), row);
    }
}

static void attach_refuses(struct rig *rig, int want)
{
    struct tg_reader r;
    kit_gives(tg_reader_attach(&r, rig->dir, RIG_ROW, rig_id), want);
    kit_ok(unlinkat(rig->dir, rig_name(), 0));
}

static void attach_refuses_what_is_no_link_of_this_mailbox(void)
{
    struct rig rig = { .dir = rig_folder() };
    struct tg_reader r;
    kit_gives(tg_reader_attach(&r, rig.dir, RIG_ROW, rig_id), -ENOENT);
    close(openat(rig.dir, rig_name(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    attach_refuses(&rig, -EPROTO);
    const int fd = openat(rig.dir, rig_name(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    kit_ok(ftruncate(fd, 4 << 20)); /* zeros */
    close(fd);
    attach_refuses(&rig, -EPROTO);
    kit_ok(mkfifoat(rig.dir, rig_name(), 0600));
    attach_refuses(&rig, -EPROTO);
    kit_ok(symlinkat("elsewhere", rig.dir, rig_name()));
    attach_refuses(&rig, -EPROTO);
    rig_make(&rig, 0, MIB);
    uint8_t other[16] = { 0 };
    kit_gives(tg_reader_attach(&r, rig.dir, RIG_ROW, other), -EPROTO);
    kit_ok(renameat(rig.dir, rig_name(), rig.dir, "link.4"));
    kit_gives(tg_reader_attach(&r, rig.dir, 4, rig_id), -EPROTO); /* it says row 3 */
    kit_ok(renameat(rig.dir, "link.4", rig.dir, rig_name()));
    tg_writer_detach(&rig.w);
    rig_remove(&rig);
}

static void take_over_refuses_what_is_no_link(void)
{
    struct rig rig = { .dir = rig_folder() };
    struct tg_writer w = { 0 };
    int fd = openat(rig.dir, rig_name(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    kit_gives(tg_writer_take_over(&w, rig.dir, fd, 0x20, rig_place, &rig.own), -EPROTO);
    kit_ok(ftruncate(fd, 4 << 20));
    kit_gives(tg_writer_take_over(&w, rig.dir, fd, 0x20, rig_place, &rig.own), -EPROTO);
    close(fd);
    fd = open(kit_path(RIG_FOLDER), O_RDONLY | O_CLOEXEC);
    kit_gives(tg_writer_take_over(&w, rig.dir, fd, 0x20, rig_place, &rig.own), -EPROTO);
    close(fd);
    rig_remove(&rig);
}

/* ---- smallest success */

static void a_message_of_no_bytes_arrives(void)
{
    struct rig rig;
    rig_open(&rig, 0, MIB);
    rig_is_empty(&rig);
    kit_ok(rig_put(&rig, 0, 0));
    rig_get(&rig, 0, 0);
    rig_is_empty(&rig);
    rig_close(&rig);
}

static void the_view_tells_number_process_and_places(void)
{
    struct rig rig;
    struct tg_message_view view;
    rig_open(&rig, 7, MIB);
    kit_ok(rig_put(&rig, 0, 100));
    const uint64_t place = atomic_load(&rig.row->next);
    kit_gives(rig_take(&rig, &view), 1);
    kit_equal(view.sequence, 7);
    kit_equal(view.pid, getpid());
    kit_equal(view.place, place);
    kit_equal(tg_place_sequence(view.next), 8);
    kit_equal(tg_reader_full_sequence(&rig.r, view.sequence), 7);
    kit_equal((uintptr_t)view.data % 16, 0);
    const uint8_t *data;
    kit_ok(tg_reader_find(&rig.r, tg_place_offset(place), 100, &data));
    kit_true(data == view.data);
    rig_close(&rig);
}

/* ---- in place */

static void a_commit_may_be_shorter_than_its_reservation(void)
{
    struct rig rig;
    uint8_t *data;
    rig_open(&rig, 0, MIB);
    for (uint64_t i = 0; i < 50; i++) {
        kit_ok(rig_reserve(&rig, 5000, &data));
        memset(data, 0xff, 5000);
        kit_payload_write(data, (size_t)i * 90, 1, i);
        tg_writer_commit(&rig.w, i * 90);
        tg_writer_note_tail(&rig.w);
    }
    for (uint64_t i = 0; i < 50; i++) {
        rig_get(&rig, i, (size_t)i * 90);
    }
    rig_is_empty(&rig);
    rig_close(&rig);
}

static void an_aborted_reservation_was_never_there(void)
{
    struct rig rig;
    uint8_t *data;
    rig_open(&rig, 0, MIB);
    for (uint64_t i = 0; i < 20; i++) {
        kit_ok(rig_reserve(&rig, 3000 * (i + 1), &data));
        memset(data, 0xff, (size_t)(3000 * (i + 1)));
        tg_writer_abort(&rig.w);
        rig_is_empty(&rig);
        kit_ok(rig_put(&rig, i, 40));
        rig_get(&rig, i, 40);
    }
    rig_close(&rig);
}

/* ---- limits */

static size_t some_len(uint64_t i)
{
    static const size_t lens[] = { 0, 1, 15, 16, 17, 4063, 4064, 4065, 70000, 1000000, 3000000 };
    return lens[i % (sizeof(lens) / sizeof(lens[0]))];
}

static void records_stay_in_order_over_many_segments(void)
{
    struct rig rig;
    rig_open(&rig, 0, 4 * MIB);
    for (uint64_t i = 0; i < 44; i++) {
        kit_ok(rig_put(&rig, i, some_len(i)));
    }
    kit_true(tg_load_relaxed(&rig.w.head->n_segments) > 8);
    for (uint64_t i = 0; i < 44; i++) {
        rig_get(&rig, i, some_len(i));
    }
    rig_is_empty(&rig);
    rig_close(&rig);
}

static void numbers_go_on_past_2_to_the_32(void)
{
    struct rig rig;
    struct tg_message_view view;
    rig_open(&rig, UINT32_MAX - 2, MIB);
    for (uint64_t i = 0; i < 2000; i++) {
        kit_ok(rig_put(&rig, i, 30));
        kit_gives(rig_take(&rig, &view), 1);
        kit_equal(tg_reader_full_sequence(&rig.r, view.sequence), UINT64_C(0xfffffffd) + i);
        kit_true(kit_payload_is(view.data, view.len, 1, i));
        rig_free(&rig);
    }
    rig_close(&rig);
}

static void a_link_that_keeps_up_stays_in_its_first_segments(void)
{
    struct rig rig;
    rig_open(&rig, 0, 4 * MIB);
    for (uint64_t i = 0; i < 20000; i++) {
        kit_ok(rig_put(&rig, i, 64));
        rig_get(&rig, i, 64);
    }
    kit_true(tg_load_relaxed(&rig.w.head->n_segments) <= 3);
    kit_true(rig_bytes(&rig) <= 64 * 1024);
    rig_close(&rig);
}

/* A backlog of 32 MiB, read again: memory falls, and the next one is no larger. */
static void memory_falls_with_the_backlog_and_is_used_again(void)
{
    struct rig rig;
    rig_open(&rig, 0, 512 * 1024);
    uint64_t counter = 0;
    uint32_t segments = 0;
    for (int round = 0; round < 4; round++) {
        for (uint64_t i = 0; i < 4096; i++) {
            kit_ok(rig_put(&rig, counter + i, 8192));
        }
        const uint64_t full = rig_bytes(&rig);
        kit_true(full >= 32 * MIB && full <= 36 * MIB);
        for (uint64_t i = 0; i < 2048; i++) {
            rig_get(&rig, counter + i, 8192);
        }
        kit_true(rig_bytes(&rig) <= 21 * MIB);
        for (uint64_t i = 2048; i < 4096; i++) {
            rig_get(&rig, counter + i, 8192);
        }
        kit_true(rig_bytes(&rig) <= 3 * MIB);
        counter += 4096;
        const uint32_t now = tg_load_relaxed(&rig.w.head->n_segments);
        if (round > 1 && now != segments) {
            kit_fail("round %d: %u segments, %u before", round, now, segments);
        }
        segments = now;
    }
    rig_close(&rig);
}

static int at_most(void *arg, uint64_t bytes)
{
    uint64_t *left = arg;
    if (bytes > *left) {
        return -ENOSPC;
    }
    *left -= bytes;
    return 0;
}

/* So much waits, all the time: where as much is read as is sent no memory is asked for. */
static void a_backlog_that_stands_goes_round_in_the_memory_there_is(void)
{
    static const uint64_t standing[] = { 3 * MIB, 20 * MIB, 300 * MIB };
    for (size_t i = 0; i < sizeof(standing) / sizeof(standing[0]); i++) {
        struct rig rig;
        uint64_t left = UINT64_MAX;
        rig_open(&rig, 0, 512 * 1024);
        rig.w.may_grow = at_most;
        rig.w.arg = &left;
        const uint64_t waiting = standing[i] / 16000;
        uint64_t sent = 0;
        for (; sent < waiting; sent++) {
            kit_ok(rig_put(&rig, sent, 16000));
        }
        for (uint64_t end = 4 * waiting; sent < end; sent++) {
            rig_get(&rig, sent - waiting, 16000);
            left = sent == 3 * waiting ? 0 : left;
            kit_ok(rig_put(&rig, sent, 16000));
        }
        for (uint64_t n = sent - waiting; n < sent; n++) {
            rig_get(&rig, n, 16000);
        }
        kit_true(rig_bytes(&rig) <= standing[i] / 32 + 4 * MIB);
        rig_close(&rig);
    }
}

/* As much is read as is sent, but by turns, two segments each: the memory serves as well. */
static void a_backlog_that_is_read_by_turns_goes_round_in_the_memory_there_is(void)
{
    enum {
        LEN = 16000,
        WAITING = 8000,
        TURN = 130
    };
    struct rig rig;
    uint64_t left = UINT64_MAX;
    rig_open(&rig, 0, 512 * 1024);
    rig.w.may_grow = at_most;
    rig.w.arg = &left;
    uint64_t sent = 0;
    for (; sent < WAITING; sent++) {
        kit_ok(rig_put(&rig, sent, LEN));
    }
    for (uint64_t taken = 0; sent < 4 * WAITING;) {
        left = taken < WAITING ? left : 0;
        for (int i = 0; i < TURN; i++) {
            rig_get(&rig, taken++, LEN);
        }
        for (int i = 0; i < TURN; i++) {
            kit_ok(rig_put(&rig, sent++, LEN));
        }
    }
    rig_close(&rig);
}

struct bound {
    struct rig *rig;
    uint64_t bytes;
};

static int within(void *arg, uint64_t bytes)
{
    const struct bound *bound = arg;
    return rig_bytes(bound->rig) + bytes <= bound->bytes ? 0 : -ENOSPC;
}

/* What readers left of a backlog is given back before a sender is told that there is no memory. */
static void memory_that_was_left_is_no_reason_for_enospc(void)
{
    enum {
        LEN = 16000,
        WAITING = 400
    };
    struct rig rig;
    struct bound bound = { .rig = &rig, .bytes = UINT64_MAX };
    rig_open(&rig, 0, 512 * 1024);
    rig.w.may_grow = within;
    rig.w.arg = &bound;
    uint64_t sent = 0;
    for (; sent < 4 * WAITING; sent++) {
        if (sent >= WAITING) {
            rig_get(&rig, sent - WAITING, LEN);
        }
        kit_ok(rig_put(&rig, sent, LEN));
    }
    for (uint64_t n = sent - WAITING; n < sent; n++) {
        rig_get(&rig, n, LEN);
    }
    kit_true(rig_bytes(&rig) >= MIB);
    bound.bytes = rig_bytes(&rig) + 3 * MIB / 4;
    kit_ok(rig_put(&rig, sent, 3 * MIB / 2));
    rig_get(&rig, sent, 3 * MIB / 2);
    rig_close(&rig);
}

static void without_memory_it_is_enospc_and_what_was_sent_is_intact(void)
{
    struct rig rig;
    uint64_t left = 100000;
    rig_open(&rig, 0, 4 * MIB);
    rig.w.may_grow = at_most;
    rig.w.arg = &left;
    uint64_t sent = 0;
    int r;
    while ((r = rig_put(&rig, sent, 1000)) == 0) {
        sent++;
    }
    kit_gives(r, -ENOSPC);
    kit_true(sent > 50);
    kit_gives(rig_put(&rig, sent, 1000), -ENOSPC);
    for (uint64_t i = 0; i < sent; i++) {
        rig_get(&rig, i, 1000);
    }
    /* What was read is room again. */
    for (uint64_t i = 0; i < 1000; i++) {
        kit_ok(rig_put(&rig, sent + i, 1000));
        rig_get(&rig, sent + i, 1000);
    }
    rig_close(&rig);
}

/* An exchange of long messages, one by one: after the first few no memory is asked for. */
static void long_messages_in_turn_use_the_same_memory(void)
{
    static const uint64_t lens[] = { 70000, 300000, MIB, 2 * MIB, 4 * MIB };
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct rig rig;
        uint64_t left = UINT64_MAX;
        rig_open(&rig, 0, 4 * MIB);
        rig.w.may_grow = at_most;
        rig.w.arg = &left;
        uint64_t n = 0;
        /* Many short ones fill what is kept in any case. */
        for (uint64_t k = 0; k < 100000; k++) {
            kit_ok(rig_put(&rig, k, 100));
        }
        for (uint64_t k = 0; k < 100000; k++) {
            rig_get(&rig, n++, 100);
        }
        for (int k = 0; k < 40; k++) {
            left = k == 20 ? 0 : left;
            kit_ok(rig_put(&rig, n, lens[i]));
            rig_get(&rig, n++, lens[i]);
        }
        rig_close(&rig);
    }
}

/* A stream of 1 MiB each, eight waiting: they, too, go round in what is there. */
static void a_stream_of_long_messages_uses_the_same_memory(void)
{
    struct rig rig;
    uint64_t left = UINT64_MAX;
    rig_open(&rig, 0, 4 * MIB);
    rig.w.may_grow = at_most;
    rig.w.arg = &left;
    for (uint64_t k = 0; k < 60; k++) {
        left = k == 30 ? 0 : left;
        kit_ok(rig_put(&rig, k, MIB));
        if (k >= 7) {
            rig_get(&rig, k - 7, MIB);
        }
    }
    rig_close(&rig);
}

static void a_writer_whose_file_is_gone_is_told(void)
{
    struct rig rig;
    rig_open(&rig, 0, 4 * MIB);
    kit_ok(unlinkat(rig.dir, rig_name(), 0));
    int r = 0;
    for (uint64_t i = 0; r == 0; i++) {
        r = rig_put(&rig, i, 1000);
    }
    kit_gives(r, -EIDRM);
    rig_close(&rig);
}

/* ---- take-over in peace */

static void take_over(struct rig *rig, uint64_t keep)
{
    const int fd = openat(rig->dir, rig_name(), O_RDWR | O_CLOEXEC);
    kit_true(fd >= 0);
    memset(&rig->w, 0, sizeof(rig->w));
    kit_ok(tg_writer_take_over(&rig->w, rig->dir, fd, 0x40, rig_place, rig->row));
    rig->w.keep = keep;
    close(fd);
}

static void a_successor_goes_on_where_the_other_stopped(void)
{
    struct rig rig;
    rig_open(&rig, 0, 512 * 1024);
    uint64_t sent = 0;
    uint64_t got = 0;
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 11; i++, sent++) {
            kit_ok(rig_put(&rig, sent, some_len(sent) / 8));
        }
        tg_writer_detach(&rig.w);
        for (int i = 0; i < (round % 20 == 19 ? 30 : 10) && got < sent; i++, got++) {
            rig_get(&rig, got, some_len(got) / 8);
        }
        take_over(&rig, 512 * 1024);
        kit_equal(tg_load_relaxed(&rig.w.head->owner), 0x40);
        kit_equal(rig.w.sequence, sent);
    }
    for (; got < sent; got++) {
        rig_get(&rig, got, some_len(got) / 8);
    }
    rig_is_empty(&rig);
    rig_close(&rig);
}

static void sent_counts_what_tail_does_not_yet(void)
{
    struct rig rig;
    uint8_t *data;
    rig_open(&rig, 5, MIB);
    kit_ok(rig_put(&rig, 0, 40));
    kit_ok(rig_reserve(&rig, 40, &data));
    tg_writer_commit(&rig.w, 40); /* and no note of it */
    const int fd = openat(rig.dir, rig_name(), O_RDONLY | O_CLOEXEC);
    uint32_t sent = 0;
    kit_ok(tg_link_sent(fd, &sent));
    kit_equal(sent, 7);
    uint64_t place = 0;
    kit_ok(tg_link_committed(rig.w.head, fd, rig_place, rig.row, &place));
    kit_equal(tg_place_sequence(place), 7);
    close(fd);
    rig_close(&rig);
}

/* ---- a long random run */

#define MODEL_ROOM 2048u

static void random_calls_agree_with_a_plain_queue(void)
{
    struct rig rig;
    struct kit_random random = kit_random_stream(1);
    static size_t lens[MODEL_ROOM];
    uint64_t sent = 0;
    uint64_t got = 0;
    const uint64_t calls = kit_count("KIT_CALLS", 60000);
    rig_open(&rig, (uint32_t)kit_random(&random), 512 * 1024);
    for (uint64_t k = 0; k < calls; k++) {
        const uint64_t what = kit_random_below(&random, 1000);
        /* For a while more is sent than read, then the other way round. */
        const uint64_t sends = k / 4000 % 2 == 0 ? 560 : 430;
        if (what == 0) {
            tg_writer_detach(&rig.w);
            take_over(&rig, 512 * 1024);
        } else if (what == 1) {
            tg_reader_detach(&rig.r);
            rig_attach(&rig);
        } else if (what < sends && sent - got < MODEL_ROOM) {
            const unsigned bits = (unsigned)kit_random_below(&random, what < 8 ? 20 : 12);
            const size_t len = (size_t)kit_random_below(&random, UINT64_C(1) << bits);
            lens[sent % MODEL_ROOM] = len;
            kit_ok(rig_put(&rig, sent, len));
            sent++;
        } else if (got < sent) {
            rig_get(&rig, got, lens[got % MODEL_ROOM]);
            got++;
        } else {
            rig_is_empty(&rig);
        }
    }
    for (; got < sent; got++) {
        rig_get(&rig, got, lens[got % MODEL_ROOM]);
    }
    rig_is_empty(&rig);
    rig_close(&rig);
}

static const struct kit_test tests[] = {
    KIT_TEST(layout_is_as_the_format_says),
    KIT_TEST(a_place_keeps_number_and_offset),
    KIT_TEST(only_names_of_links_have_a_row),
    KIT_TEST(attach_refuses_what_is_no_link_of_this_mailbox),
    KIT_TEST(take_over_refuses_what_is_no_link),
    KIT_TEST(a_message_of_no_bytes_arrives),
    KIT_TEST(the_view_tells_number_process_and_places),
    KIT_TEST(a_commit_may_be_shorter_than_its_reservation),
    KIT_TEST(an_aborted_reservation_was_never_there),
    KIT_TEST(records_stay_in_order_over_many_segments),
    KIT_TEST(numbers_go_on_past_2_to_the_32),
    KIT_TEST(a_link_that_keeps_up_stays_in_its_first_segments),
    KIT_TEST(memory_falls_with_the_backlog_and_is_used_again),
    KIT_TEST(a_backlog_that_stands_goes_round_in_the_memory_there_is),
    KIT_TEST(a_backlog_that_is_read_by_turns_goes_round_in_the_memory_there_is),
    KIT_TEST(memory_that_was_left_is_no_reason_for_enospc),
    KIT_TEST(without_memory_it_is_enospc_and_what_was_sent_is_intact),
    KIT_TEST(long_messages_in_turn_use_the_same_memory),
    KIT_TEST(a_stream_of_long_messages_uses_the_same_memory),
    KIT_TEST(a_writer_whose_file_is_gone_is_told),
    KIT_TEST(a_successor_goes_on_where_the_other_stopped),
    KIT_TEST(sent_counts_what_tail_does_not_yet),
    KIT_TEST(random_calls_agree_with_a_plain_queue),
};

KIT_MAIN(tests)
