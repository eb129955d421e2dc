/*
 * A sender or a reader is killed at every crash point of making a link, of sending, growing,
 * reading, leaving and taking over, and a successor while it takes over what that one left. The
 * next one finds exactly what was committed, and goes on.
 *
 * Everything is done in one child, sender and reader in turn, so that each point is the same one at
 * every run; the words of the box and what was promised live in memory that outlives it.
 */
#include "link/link.h"

#include "base/deaths_test.h"
#include "kit.h"
#include "link/link_test.h"

struct log {
    struct rig_row row;
    _Atomic uint64_t begun;     /* commits begun */
    _Atomic uint64_t committed; /* commits that returned */
    _Atomic uint64_t taken;     /* hand-outs that returned */
    _Atomic uint32_t made;
    _Atomic uint32_t points[2];
};

struct scene {
    const char *operation;
    const char *role;
    void (*act)(struct rig *rig, struct log *log);
    bool begins_with_a_link; /* made and used before the point is armed */
};

struct stage {
    const struct scene *scene;
    struct log *log;
    const struct crash_case *c;
    uint32_t sequence;
};

static size_t len_of(uint64_t i)
{
    static const size_t lens[] = { 40, 0, 4000, 100, 9000, 300000, 17, 700000 };
    return lens[i % (sizeof(lens) / sizeof(lens[0]))];
}

#define KEEP (UINT64_C(64) << 10)

static void put(struct rig *rig, struct log *log)
{
    const uint64_t i = atomic_load(&log->begun);
    uint8_t *data;
    kit_ok(rig_reserve(rig, len_of(i), &data));
    kit_payload_write(data, len_of(i), 1, i);
    atomic_store(&log->begun, i + 1);
    tg_writer_commit(&rig->w, len_of(i));
    atomic_store(&log->committed, i + 1);
    tg_writer_note_tail(&rig->w);
}

/* Take one, look at it, and free it. */
static void get(struct rig *rig, struct log *log)
{
    struct tg_message_view view;
    const uint64_t i = atomic_load(&log->taken);
    kit_gives(rig_take(rig, &view), 1);
    kit_true(view.len == len_of(i) && kit_payload_is(view.data, view.len, 1, i));
    atomic_store(&log->taken, i + 1);
    rig_free(rig);
}

/* ---- what is interrupted */

static void make(struct rig *rig, struct log *log)
{
    (void)log;
    rig_make(rig, 0, KEEP);
}

static void send_and_grow(struct rig *rig, struct log *log)
{
    for (int i = 0; i < 12; i++) {
        put(rig, log);
    }
}

static void send_and_read(struct rig *rig, struct log *log)
{
    for (int i = 0; i < 20; i++) {
        put(rig, log);
        if (i % 3 != 0) {
            get(rig, log);
        }
    }
    while (atomic_load(&log->taken) < atomic_load(&log->committed)) {
        get(rig, log);
    }
    put(rig, log);
}

static void reserve_and_abort(struct rig *rig, struct log *log)
{
    uint8_t *data;
    kit_ok(rig_reserve(rig, 200000, &data));
    memset(data, 0xff, 200000);
    tg_writer_abort(&rig->w);
    put(rig, log);
    kit_ok(rig_reserve(rig, 600000, &data));
    memset(data, 0xff, 600000);
    tg_writer_abort(&rig->w);
    put(rig, log);
}

static void take_over(struct rig *rig)
{
    const int fd = openat(rig->dir, rig_name(), O_RDWR | O_CLOEXEC);
    kit_true(fd >= 0);
    memset(&rig->w, 0, sizeof(rig->w));
    kit_ok(tg_writer_take_over(&rig->w, rig->dir, fd, 0x40, rig_place, rig->row));
    rig->w.keep = KEEP;
    close(fd);
}

static void take_over_and_send(struct rig *rig, struct log *log)
{
    tg_writer_detach(&rig->w);
    take_over(rig);
    put(rig, log);
    const int fd = openat(rig->dir, rig_name(), O_RDWR | O_CLOEXEC);
    const struct tg_link_place place = rig_place(rig->row);
    tg_writer_trim(&rig->w, fd, &place);
    close(fd);
}

/* ---- the victim and its successor */

static int victim(void *arg)
{
    struct stage *stage = arg;
    struct rig rig = { .row = &stage->log->row };
    rig.dir = open(kit_path(RIG_FOLDER), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    kit_true(rig.dir >= 0);
    if (stage->scene->begins_with_a_link) {
        rig_make(&rig, stage->sequence, KEEP);
        rig_attach(&rig);
        atomic_store(&stage->log->made, 1);
        for (int i = 0; i < 9; i++) {
            put(&rig, stage->log);
        }
        get(&rig, stage->log);
        get(&rig, stage->log);
    }
    tg_point_arm(stage->c->n);
    stage->scene->act(&rig, stage->log);
    atomic_store(&stage->log->made, 1);
    atomic_store(&stage->log->points[0], (uint32_t)tg_point_count());
    tg_point_arm(0);
    fflush(NULL);
    _exit(0);
}

/* Where the box says the reader is; a hand-out may have been killed before it was counted here. */
static uint64_t first_left(const struct stage *stage, const struct rig *rig)
{
    const uint32_t handed = tg_place_sequence(atomic_load(&rig->row->next)) - stage->sequence;
    const uint64_t taken = atomic_load(&stage->log->taken);
    kit_true(handed == taken || handed == taken + 1);
    return handed;
}

static void successor_finds_all(const struct stage *stage, struct rig *rig)
{
    struct log *log = stage->log;
    const uint64_t committed = atomic_load(&log->committed);
    const uint64_t begun = atomic_load(&log->begun);
    take_over(rig);
    const uint64_t found = rig->w.sequence - stage->sequence;
    kit_true(found == committed || found == begun);
    uint64_t i = first_left(stage, rig);
    rig_attach(rig);
    /* Some are sent behind them first, so that the chain is used as it was found. */
    for (uint64_t k = found; k < found + 3; k++) {
        kit_ok(rig_put(rig, k, len_of(k)));
    }
    for (; i < found + 3; i++) {
        rig_get(rig, i, len_of(i));
    }
    rig_is_empty(rig);
    for (uint64_t k = found + 3; k < found + 20; k++) {
        kit_ok(rig_put(rig, k, len_of(k)));
        rig_get(rig, k, len_of(k));
    }
    /* Whatever was left half done takes no memory for ever. */
    kit_true(rig_bytes(rig) <= UINT64_C(5) << 20);
}

static void clear(struct rig *rig)
{
    tg_reader_detach(&rig->r);
    tg_writer_detach(&rig->w);
    rig_remove(rig);
}

/* It has its name, so it is whole: begin where a box that knows nothing of it would. */
static bool is_made(const struct stage *stage, const struct rig *rig)
{
    if (stage->scene->begins_with_a_link) {
        kit_true(atomic_load(&stage->log->made) != 0);
        return true;
    }
    if (faccessat(rig->dir, rig_name(), F_OK, 0) != 0) {
        return false;
    }
    if (atomic_load(&rig->row->head) == 0) {
        const uint64_t first = tg_place(0, (uint64_t)TG_LINK_DATA_PAGE * TG_PAGE);
        atomic_store(&rig->row->head, first);
        atomic_store(&rig->row->next, first);
    }
    return true;
}

/* Takes over, sends two, and reads what it can. */
static int second_victim(void *arg)
{
    struct stage *stage = arg;
    struct log *log = stage->log;
    struct rig rig = { .row = &log->row };
    rig.dir = open(kit_path(RIG_FOLDER), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    kit_true(rig.dir >= 0);
    const bool made = is_made(stage, &rig);
    tg_point_arm(stage->c->m);
    if (made) {
        take_over(&rig);
        const uint64_t found = rig.w.sequence - stage->sequence;
        kit_true(found == atomic_load(&log->committed) || found == atomic_load(&log->begun));
        atomic_store(&log->begun, found);
        atomic_store(&log->committed, found);
        atomic_store(&log->taken, first_left(stage, &rig));
        put(&rig, log);
        put(&rig, log);
        rig_attach(&rig);
        get(&rig, log);
        get(&rig, log);
    }
    atomic_store(&log->points[1], (uint32_t)tg_point_count());
    tg_point_arm(0);
    fflush(NULL);
    _exit(0);
}

static void once(struct crash_run *run, struct crash_case *c)
{
    const struct scene *scene = run->scene;
    struct stage stage = { .scene = scene,
                           .log = run->world,
                           .c = c,
                           .sequence = scene->begins_with_a_link ? UINT32_MAX - 5 : 0 };
    memset(stage.log, 0, sizeof(*stage.log));
    struct rig rig = { .dir = rig_folder(), .row = &stage.log->row };
    struct kit_child child = kit_spawn(victim, &stage);
    c->killed = crash_dies(&child);
    if (c->m != 0) {
        child = kit_spawn(second_victim, &stage);
        c->second_killed = crash_dies(&child);
    }
    if (is_made(&stage, &rig)) {
        successor_finds_all(&stage, &rig);
    } else {
        (void)unlinkat(rig.dir, RIG_TEMP, 0);
        rig_make(&rig, 0, KEEP);
    }
    clear(&rig);
    c->points = atomic_load(&stage.log->points[0]);
    c->second_points = atomic_load(&stage.log->points[1]);
}

static void all(const char *operation, const char *role,
                void (*act)(struct rig *rig, struct log *log), bool begins)
{
    const struct scene scene = {
        .operation = operation, .role = role, .act = act, .begins_with_a_link = begins
    };
    struct crash_run run = { .operation = operation,
                             .role = role,
                             .variants = 1,
                             .once = once,
                             .scene = &scene,
                             .world = kit_shared(sizeof(struct log)) };
    crash_run_all(&run);
}

static void a_link_is_made_whole_or_not_at_all(void)
{
    all("tong_send", "one link: made", make, false);
}

static void a_successor_finds_what_was_committed(void)
{
    all("tong_send", "one link: send and grow", send_and_grow, true);
}

static void a_successor_finds_what_was_not_read(void)
{
    all("tong_send tong_receive", "one link: send and read", send_and_read, true);
}

static void an_abort_leaves_nothing(void)
{
    all("tong_reserve tong_abort", "one link: reserve and abort", reserve_and_abort, true);
}

static void a_take_over_can_be_taken_over(void)
{
    all("tong_send", "one link: take-over, send, trim", take_over_and_send, true);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_link_is_made_whole_or_not_at_all, 240),
    KIT_TEST_LONG(a_successor_finds_what_was_committed, 240),
    KIT_TEST_LONG(a_successor_finds_what_was_not_read, 240),
    KIT_TEST_LONG(an_abort_leaves_nothing, 240),
    KIT_TEST_LONG(a_take_over_can_be_taken_over, 240),
};

KIT_MAIN(tests)
