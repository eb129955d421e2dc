/*
 * A race of two threads on one mapping, for the thread sanitizer: it sees neither a second
 * mapping nor a second process, so the reader borrows the writer's memory. The words a mailbox
 * would keep stand beside them; commit, look and advance are the mailbox's own.
 */
#include "link/link.h"

#include <pthread.h>
#include <sched.h>

#include "kit.h"
#include "link/link_test.h"

#define ROOM 256u

struct race {
    struct rig rig;
    uint64_t n;
};

static size_t len_of(uint64_t i)
{
    return (size_t)(i * 7 % 200);
}

static void *write_all(void *arg)
{
    struct race *race = arg;
    struct rig *rig = &race->rig;
    for (uint64_t i = 0; i < race->n; i++) {
        /* acquire, as a sender reads head: what it frees was read. */
        while (rig->w.sequence - tg_place_sequence(tg_load_acquire(&rig->row->head)) >= ROOM) {
            (void)sched_yield();
        }
        kit_ok(rig_put(rig, i, len_of(i)));
    }
    return NULL;
}

static void a_reader_beside_a_writer_sees_whole_messages(void)
{
    struct race race = { .n = kit_count("KIT_MESSAGES", 100000) };
    struct rig *rig = &race.rig;
    rig->dir = rig_folder();
    rig_make(rig, 0, 1 << 20);
    kit_ok(tg_reader_borrow(&rig->r, &rig->w));
    pthread_t writer;
    kit_ok(pthread_create(&writer, NULL, write_all, &race));
    const int64_t end_ns = kit_now_ns() + 3 * KIT_PATIENCE;
    for (uint64_t i = 0; i < race.n;) {
        struct tg_message_view view;
        const int r = rig_take(rig, &view);
        if (r == 1) {
            kit_equal(view.len, len_of(i));
            kit_true(kit_payload_is(view.data, view.len, 1, i));
            rig_free(rig);
            i++;
        } else {
            kit_gives(r, 0);
            kit_true(kit_now_ns() < end_ns);
            (void)sched_yield();
        }
    }
    kit_ok(pthread_join(writer, NULL));
    rig_close(rig);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_reader_beside_a_writer_sees_whole_messages, 120),
};

KIT_MAIN(tests)
