/* Regions: every call in them fails once. See fail.h. */
#include "fail.h"

#define SIZE 70000u
#define MARK 0x7b

static void none(struct fail_stage *s)
{
    s->may_be_gone = true;
}

static int64_t open_as(struct fail_stage *s, size_t size, unsigned flags, uint32_t owner)
{
    tong_region_options options = TONG_REGION_OPTIONS_INIT;
    options.owner = owner;
    return tong_region_open(FAIL_REGION, size, flags, owner == TONG_PROCESS ? &options : NULL,
                            &s->other);
}

static void with_one(struct fail_stage *s)
{
    s->may_be_gone = true;
    kit_ok(tong_region_open(FAIL_REGION, SIZE, TONG_WRITE | TONG_CREATE | TONG_EXCL, NULL,
                            &s->region));
    ((uint8_t *)tong_region_data(s->region))[SIZE - 1] = MARK;
}

static void with_two(struct fail_stage *s)
{
    with_one(s);
    kit_ok(open_as(s, 0, TONG_WRITE, TONG_SYSTEM));
}

static void with_two_and_a_lock(struct fail_stage *s)
{
    with_two(s);
    kit_ok(tong_region_lock(s->region, 0));
}

static void with_an_owned_one(struct fail_stage *s)
{
    s->may_be_gone = true;
    kit_ok(open_as(s, SIZE, TONG_WRITE | TONG_CREATE, TONG_PROCESS));
}

static int own_lock_and_die(void *arg)
{
    const uint32_t owner = *(const uint32_t *)arg;
    tong_region *region = NULL;
    tong_region_options options = TONG_REGION_OPTIONS_INIT;
    options.owner = owner;
    kit_ok(tong_region_open(FAIL_REGION, SIZE, TONG_WRITE | TONG_CREATE, &options, &region));
    kit_ok(tong_region_lock(region, 0));
    const char ready = 'r';
    kit_report(&ready, 1);
    kit_await_death();
}

static void with_a_dead_ones(struct fail_stage *s, uint32_t owner)
{
    s->may_be_gone = true;
    struct kit_child child = kit_spawn(own_lock_and_die, &owner);
    char ready;
    kit_read_report(&child, &ready, 1);
    if (owner == TONG_SYSTEM) {
        kit_ok(open_as(s, 0, TONG_WRITE, TONG_SYSTEM));
    }
    kit_kill(&child);
}

static void with_a_dead_owners(struct fail_stage *s)
{
    with_a_dead_ones(s, TONG_PROCESS);
}

static void with_a_dead_holder(struct fail_stage *s)
{
    with_a_dead_ones(s, TONG_SYSTEM);
}

/* ------------------------------------------------------------------ what is done */

static int64_t create(struct fail_stage *s)
{
    return open_as(s, SIZE, TONG_WRITE | TONG_CREATE, TONG_SYSTEM);
}

static int64_t create_owned(struct fail_stage *s)
{
    return open_as(s, SIZE, TONG_WRITE | TONG_CREATE, TONG_PROCESS);
}

static int64_t open_to_write(struct fail_stage *s)
{
    return open_as(s, 0, TONG_WRITE, TONG_SYSTEM);
}

static int64_t open_to_read(struct fail_stage *s)
{
    return open_as(s, SIZE, TONG_READ, TONG_SYSTEM);
}

static void opened(struct fail_stage *s, int64_t answer)
{
    kit_true((s->other != NULL) == (answer == 0));
    if (answer < 0) {
        kit_ok(create(s));
    }
    kit_equal(tong_region_size(s->other), SIZE);
    const uint8_t *data = tong_region_data(s->other);
    kit_equal(data[0], 0);
    kit_equal(data[SIZE - 1], s->region != NULL ? MARK : 0);
}

static int64_t close_it(struct fail_stage *s)
{
    tong_region *region = s->other;
    s->other = NULL;
    return tong_region_close(region);
}

static int64_t close_the_locked_one(struct fail_stage *s)
{
    tong_region *region = s->region;
    s->region = NULL;
    return tong_region_close(region);
}

static void closed(struct fail_stage *s, int64_t answer)
{
    (void)s;
    kit_gives(answer, 0);
}

static void left_locked(struct fail_stage *s, int64_t answer)
{
    kit_gives(answer, 0);
    kit_gives(tong_region_lock(s->other, KIT_PATIENCE), TONG_RECOVERED);
    kit_ok(tong_region_unlock(s->other));
}

static void ended(struct fail_stage *s, int64_t answer)
{
    kit_gives(answer, 0);
    kit_gives(open_to_write(s), -ENOENT);
}

static int64_t remove_it(struct fail_stage *s)
{
    (void)s;
    return tong_region_remove(FAIL_REGION);
}

/* Gone at once for all, or there as before. */
static void removed(struct fail_stage *s, int64_t answer)
{
    const int r = tong_region_lock(s->region, 0);
    kit_equal(((uint8_t *)tong_region_data(s->region))[SIZE - 1], MARK);
    if (answer == 0) {
        kit_gives(r, -EIDRM);
        kit_gives(open_to_write(s), -ENOENT);
    } else if (r == 0) {
        kit_ok(tong_region_unlock(s->region));
    } else {
        kit_gives(r, -EIDRM);
    }
}

static int64_t lock_it(struct fail_stage *s)
{
    return tong_region_lock(s->other, 0);
}

static int64_t lock_waiting(struct fail_stage *s)
{
    return tong_region_lock(s->other, TONG_MS(2));
}

/* Held by one, or free: never by nobody. */
static void locked(struct fail_stage *s, int64_t answer)
{
    if (answer >= 0) {
        kit_gives(tong_region_lock(s->other, 0), -EAGAIN);
        kit_ok(tong_region_unlock(s->other));
    }
    kit_true(tong_region_lock(s->other, 0) >= 0);
    kit_ok(tong_region_unlock(s->other));
}

static void refused(struct fail_stage *s, int64_t answer)
{
    kit_true(answer < 0);
    kit_ok(tong_region_unlock(s->region));
    kit_ok(tong_region_lock(s->other, 0));
    kit_ok(tong_region_unlock(s->other));
}

static void *unlock_later(void *stage)
{
    struct fail_stage *s = stage;
    fail_await_thread(s);
    atomic_store(&s->helped, tong_region_unlock(s->region));
    return NULL;
}

static int64_t lock_blocked(struct fail_stage *s)
{
    fail_help(s, unlock_later);
    const int r = tong_region_lock(s->other, KIT_PATIENCE);
    fail_helped(s);
    kit_gives(atomic_load(&s->helped), 0);
    return r;
}

static int64_t unlock_it(struct fail_stage *s)
{
    return tong_region_unlock(s->region);
}

static void unlocked(struct fail_stage *s, int64_t answer)
{
    kit_gives(answer, 0);
    kit_ok(tong_region_lock(s->other, 0));
    kit_ok(tong_region_unlock(s->other));
}

static int64_t wait_a_while(struct fail_stage *s)
{
    uint32_t seen = 0;
    return tong_region_wait(s->other, &seen, TONG_MS(2));
}

static void waited_in_vain(struct fail_stage *s, int64_t answer)
{
    uint32_t seen = 0;
    kit_true(answer < 0);
    kit_ok(tong_region_notify(s->region));
    kit_ok(tong_region_wait(s->other, &seen, 0));
    kit_equal(seen, 1);
}

static void *notify_later(void *stage)
{
    struct fail_stage *s = stage;
    fail_await_thread(s);
    atomic_store(&s->helped, tong_region_notify(s->region));
    return NULL;
}

static int64_t wait_for_an_event(struct fail_stage *s)
{
    uint32_t seen = 0;
    fail_help(s, notify_later);
    const int r = tong_region_wait(s->other, &seen, KIT_PATIENCE);
    fail_helped(s);
    kit_gives(atomic_load(&s->helped), 0);
    kit_equal(seen, r == 0 ? 1 : 0);
    return r;
}

static int64_t notify(struct fail_stage *s)
{
    return tong_region_notify(s->region);
}

static int64_t stat_it(struct fail_stage *s)
{
    (void)s;
    tong_region_status status = TONG_REGION_STATUS_INIT;
    return tong_region_stat(FAIL_REGION, &status);
}

static int count(const tong_region_status *status, int error, void *arg)
{
    struct fail_stage *s = arg;
    kit_true(strcmp(status->name, FAIL_REGION) == 0);
    kit_true(error == 0 || fail_is_listed("tong_region_stat", -error));
    s->listed++;
    return 0;
}

static int64_t list_all(struct fail_stage *s)
{
    return tong_region_list(count, s);
}

static void listed(struct fail_stage *s, int64_t answer)
{
    kit_true(answer < 0 || s->listed == 1);
}

FAIL_SCENE(creating, "create", "tong_region_open", none, create, opened)
FAIL_SCENE(creating_an_owned_one, "create, process-owned", "tong_region_open", none, create_owned,
           NULL)
FAIL_SCENE(creating_what_a_dead_one_left, "create over a dead owner's", "tong_region_open",
           with_a_dead_owners, create, opened)
FAIL_SCENE(opening_to_write, "open to write", "tong_region_open", with_one, open_to_write, opened)
FAIL_SCENE(opening_to_read, "open to read", "tong_region_open", with_one, open_to_read, opened)
FAIL_QUIET(closing, "close", "tong_region_close", with_two, close_it, closed)
FAIL_SCENE(closing_with_the_lock, "close, lock held", "tong_region_close", with_two_and_a_lock,
           close_the_locked_one, left_locked)
FAIL_SCENE(closing_an_owner, "close an owner", "tong_region_close", with_an_owned_one, close_it,
           ended)
FAIL_SCENE(removing, "remove", "tong_region_remove", with_one, remove_it, removed)
FAIL_QUIET(locking, "lock, free", "tong_region_lock", with_two, lock_it, locked)
FAIL_SCENE(locking_a_dead_ones, "lock, holder dead", "tong_region_lock", with_a_dead_holder,
           lock_it, locked)
FAIL_SCENE(locking_in_vain, "lock, held, 2 ms", "tong_region_lock", with_two_and_a_lock,
           lock_waiting, refused)
FAIL_SCENE(locking_and_waiting, "lock, held, then free", "tong_region_lock", with_two_and_a_lock,
           lock_blocked, locked)
FAIL_QUIET(unlocking, "unlock", "tong_region_unlock", with_two_and_a_lock, unlock_it, unlocked)
FAIL_SCENE(waiting_in_vain, "wait, 2 ms", "tong_region_wait", with_two, wait_a_while,
           waited_in_vain)
FAIL_SCENE(waiting, "wait, then notified", "tong_region_wait", with_two, wait_for_an_event, NULL)
FAIL_QUIET(notifying, "notify", "tong_region_notify", with_two, notify, closed)
FAIL_SCENE(a_stat, "stat", "tong_region_stat", with_one, stat_it, NULL)
FAIL_SCENE(a_list, "list", "tong_region_list", with_one, list_all, listed)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(creating, 120),
    KIT_TEST_LONG(creating_an_owned_one, 120),
    KIT_TEST_LONG(creating_what_a_dead_one_left, 120),
    KIT_TEST_LONG(opening_to_write, 120),
    KIT_TEST_LONG(opening_to_read, 120),
    KIT_TEST_LONG(closing, 120),
    KIT_TEST_LONG(closing_with_the_lock, 120),
    KIT_TEST_LONG(closing_an_owner, 120),
    KIT_TEST_LONG(removing, 120),
    KIT_TEST_LONG(locking, 120),
    KIT_TEST_LONG(locking_a_dead_ones, 120),
    KIT_TEST_LONG(locking_in_vain, 120),
    KIT_TEST_LONG(locking_and_waiting, 120),
    KIT_TEST_LONG(unlocking, 120),
    KIT_TEST_LONG(waiting_in_vain, 120),
    KIT_TEST_LONG(waiting, 120),
    KIT_TEST_LONG(notifying, 120),
    KIT_TEST_LONG(a_stat, 120),
    KIT_TEST_LONG(a_list, 120),
};

KIT_MAIN(tests)
