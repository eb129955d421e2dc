/* Writing in place: reserve, commit, abort. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

static void commit_sends_what_was_written(void)
{
    static const size_t lens[] = { 0, 1, 15, 16, 17, 1000, 4095, 4096, 65536, 1 << 20, 5 << 20 };
    static char back[5 << 20];
    kit_needs(KIT_IN_PLACE);
    tong_mailbox *box = kit_create(kit_name("place"), NULL);
    for (uint64_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        tong_slot slot = TONG_SLOT_INIT;
        kit_ok(tong_reserve(box, lens[i], 0, &slot));
        kit_equal(slot.len, lens[i]);
        kit_true(lens[i] == 0 || slot.data != NULL);
        kit_equal((uintptr_t)slot.data % 16, 0);
        kit_payload_write(slot.data, lens[i], 4, i);
        kit_is_empty(box);
        kit_ok(tong_commit(box, &slot, lens[i]));
        kit_gives(tong_receive(box, back, sizeof(back), 0), (int64_t)lens[i]);
        kit_true(kit_payload_is(back, lens[i], 4, i));
    }
    kit_end(box, kit_name("place"));
}

static void a_shorter_commit_sends_the_first_bytes(void)
{
    static char back[1 << 20];
    kit_needs(KIT_IN_PLACE);
    tong_mailbox *box = kit_create(kit_name("shorter"), NULL);
    struct kit_random random = kit_random_stream(1);
    for (uint64_t i = 0; i < 400; i++) {
        const size_t room = kit_random_below(&random, i % 10 == 0 ? sizeof(back) : 3000);
        const size_t len = kit_random_below(&random, room + 1);
        tong_slot slot = TONG_SLOT_INIT;
        kit_ok(tong_reserve(box, room, 0, &slot));
        if (room > 0) {
            memset(slot.data, 0xee, room);
        }
        kit_payload_write(slot.data, len, 4, i);
        kit_ok(tong_commit(box, &slot, len));
        kit_ok(kit_send_u64(box, i, 0));
        kit_gives(tong_receive(box, back, sizeof(back), 0), (int64_t)len);
        kit_true(kit_payload_is(back, len, 4, i));
        kit_equal(kit_receive_u64(box), i);
    }
    kit_end(box, kit_name("shorter"));
}

static void a_longer_commit_is_refused_and_the_reservation_stands(void)
{
    kit_needs(KIT_IN_PLACE);
    tong_mailbox *box = kit_create(kit_name("longer"), NULL);
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 8, 0, &slot));
    memset(slot.data, 1, 8);
    kit_gives(tong_commit(box, &slot, 9), -EINVAL);
    kit_is_empty(box);
    kit_ok(tong_commit(box, &slot, 8));
    kit_equal(kit_receive_u64(box), UINT64_C(0x0101010101010101));
    kit_end(box, kit_name("longer"));
}

static void an_abort_leaves_nothing(void)
{
    kit_needs(KIT_IN_PLACE);
    const tong_options options = kit_capacity(1);
    tong_mailbox *box = kit_create(kit_name("abort"), &options);
    for (size_t i = 0; i < 500; i++) {
        tong_slot slot = TONG_SLOT_INIT;
        kit_ok(tong_reserve(box, i * 37, 0, &slot));
        if (i > 0) {
            memset(slot.data, 0xee, i * 37);
        }
        kit_ok(tong_abort(box, &slot));
        kit_is_empty(box);
    }
    kit_equal(kit_stat(kit_name("abort")).sent, 0);
    kit_ok(kit_send_u64(box, 5, 0));
    kit_equal(kit_receive_u64(box), 5);
    kit_end(box, kit_name("abort"));
}

static void a_reservation_is_over_once(void)
{
    kit_needs(KIT_IN_PLACE);
    tong_mailbox *box = kit_create(kit_name("once"), NULL);
    tong_mailbox *other = kit_open(kit_name("once"), TONG_SEND, NULL);
    tong_slot slot = TONG_SLOT_INIT;
    kit_gives(tong_commit(box, &slot, 0), -EINVAL);
    kit_gives(tong_abort(box, &slot), -EINVAL);
    kit_ok(tong_reserve(box, 8, 0, &slot));
    memset(slot.data, 0, 8);
    kit_gives(tong_commit(other, &slot, 8), -EINVAL);
    kit_gives(tong_abort(other, &slot), -EINVAL);
    tong_slot copy = slot;
    kit_ok(tong_commit(box, &slot, 8));
    kit_gives(tong_commit(box, &copy, 8), -EINVAL);
    kit_gives(tong_abort(box, &copy), -EINVAL);
    kit_equal(kit_receive_u64(box), 0);
    slot = (tong_slot)TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 8, 0, &slot));
    copy = slot;
    kit_ok(tong_abort(box, &slot));
    kit_gives(tong_abort(box, &copy), -EINVAL);
    kit_gives(tong_commit(box, &copy, 8), -EINVAL);
    kit_is_empty(box);
    kit_ok(tong_close(other));
    kit_end(box, kit_name("once"));
}

static void a_fixed_size_holds_for_reservations(void)
{
    kit_needs(KIT_IN_PLACE);
    tong_options options = kit_options();
    options.message_size = 8;
    tong_mailbox *box = kit_create(kit_name("fixed"), &options);
    tong_slot slot = TONG_SLOT_INIT;
    kit_gives(tong_reserve(box, 7, 0, &slot), -EMSGSIZE);
    kit_gives(tong_reserve(box, 9, 0, &slot), -EMSGSIZE);
    kit_ok(tong_reserve(box, 8, 0, &slot));
    memset(slot.data, 2, 8);
    kit_gives(tong_commit(box, &slot, 7), -EMSGSIZE);
    kit_is_empty(box);
    kit_ok(tong_commit(box, &slot, 8));
    kit_equal(kit_receive_u64(box), UINT64_C(0x0202020202020202));
    kit_end(box, kit_name("fixed"));
}

static void a_reservation_takes_room_until_its_end(void)
{
    kit_needs(KIT_IN_PLACE);
    const tong_options options = kit_capacity(2);
    tong_mailbox *box = kit_create(kit_name("room"), &options);
    tong_mailbox *other = kit_open(kit_name("room"), TONG_SEND, NULL);
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 8, 0, &slot));
    kit_ok(kit_send_u64(other, 1, 0));
    kit_gives(kit_send_u64(other, 2, 0), -EAGAIN);
    kit_ok(tong_abort(box, &slot));
    kit_ok(kit_send_u64(other, 2, 0));
    slot = (tong_slot)TONG_SLOT_INIT;
    kit_gives(tong_reserve(box, 8, 0, &slot), -EAGAIN);
    kit_gives(tong_reserve(box, 8, TONG_MS(1), &slot), -ETIMEDOUT);
    kit_equal(kit_receive_u64(box), 1);
    kit_ok(tong_reserve(box, 8, 0, &slot));
    memset(slot.data, 0, 8);
    kit_ok(tong_commit(box, &slot, 8));
    kit_gives(kit_send_u64(other, 3, 0), -EAGAIN);
    kit_equal(kit_receive_u64(box), 2);
    kit_equal(kit_receive_u64(box), 0);
    kit_ok(tong_close(other));
    kit_end(box, kit_name("room"));
}

struct waiting_thread {
    tong_mailbox *box;
    kit_event refused;
};

static void *send_from_a_thread(void *arg)
{
    struct waiting_thread *thread = arg;
    tong_slot slot = TONG_SLOT_INIT;
    kit_gives(kit_send_u64(thread->box, 2, 0), -EAGAIN);
    kit_gives(kit_send_u64(thread->box, 2, TONG_MS(2)), -ETIMEDOUT);
    kit_gives(tong_reserve(thread->box, 8, 0, &slot), -EAGAIN);
    kit_event_set(&thread->refused);
    kit_ok(kit_send_u64(thread->box, 2, KIT_PATIENCE));
    return NULL;
}

static void sends_on_the_same_handle_wait_for_the_reservation(void)
{
    kit_needs(KIT_IN_PLACE);
    tong_mailbox *box = kit_create(kit_name("handle"), NULL);
    struct waiting_thread thread = { .box = box };
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 8, 0, &slot));
    memset(slot.data, 0, 8);
    pthread_t id;
    kit_ok(pthread_create(&id, NULL, send_from_a_thread, &thread));
    kit_event_wait(&thread.refused);
    kit_until(kit_threads_asleep(getpid()) == 1);
    kit_is_empty(box);
    kit_ok(tong_commit(box, &slot, 8));
    kit_ok(pthread_join(id, NULL));
    kit_equal(kit_receive_u64(box), 0);
    kit_equal(kit_receive_u64(box), 2);
    kit_is_empty(box);
    kit_end(box, kit_name("handle"));
}

/* It would wait for itself. */
static void a_send_of_the_thread_that_has_the_reservation_is_einval(void)
{
    kit_needs(KIT_IN_PLACE);
    tong_mailbox *box = kit_create(kit_name("handle"), NULL);
    tong_slot slot = TONG_SLOT_INIT;
    tong_slot second = TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 8, 0, &slot));
    kit_gives(kit_send_u64(box, 2, TONG_FOREVER), -EINVAL);
    kit_gives(tong_reserve(box, 8, TONG_FOREVER, &second), -EINVAL);
    memset(slot.data, 0, 8);
    kit_ok(tong_commit(box, &slot, 8));
    kit_equal(kit_receive_u64(box), 0);
    kit_is_empty(box);
    kit_end(box, kit_name("handle"));
}

static void an_abort_lets_the_other_threads_go_on(void)
{
    kit_needs(KIT_IN_PLACE);
    tong_mailbox *box = kit_create(kit_name("handle"), NULL);
    struct waiting_thread thread = { .box = box };
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 8, 0, &slot));
    pthread_t id;
    kit_ok(pthread_create(&id, NULL, send_from_a_thread, &thread));
    kit_event_wait(&thread.refused);
    kit_ok(tong_abort(box, &slot));
    kit_ok(pthread_join(id, NULL));
    kit_equal(kit_receive_u64(box), 2);
    kit_is_empty(box);
    kit_end(box, kit_name("handle"));
}

static void closing_gives_the_reservation_up(void)
{
    kit_needs(KIT_IN_PLACE);
    const tong_options options = kit_capacity(1);
    tong_mailbox *box = kit_create(kit_name("close"), &options);
    for (size_t i = 0; i < 50; i++) {
        tong_mailbox *sender = kit_open(kit_name("close"), TONG_SEND, NULL);
        tong_slot slot = TONG_SLOT_INIT;
        kit_ok(tong_reserve(sender, 4000, 0, &slot));
        memset(slot.data, 0xee, 4000);
        kit_gives(kit_send_u64(box, 1, 0), -EAGAIN);
        kit_ok(tong_close(sender));
        kit_is_empty(box);
        kit_ok(kit_send_u64(box, 1, 0));
        kit_equal(kit_receive_u64(box), 1);
    }
    kit_end(box, kit_name("close"));
}

static int reserve_and_wait(void *arg)
{
    tong_mailbox *box = kit_open(kit_name(arg), TONG_SEND, NULL);
    tong_slot slot = TONG_SLOT_INIT;
    kit_ok(tong_reserve(box, 4000, 0, &slot));
    memset(slot.data, 0xee, 4000);
    kit_report("r", 1);
    kit_await_death();
}

static void a_sender_killed_before_commit_never_sent_and_its_room_is_free(void)
{
    kit_needs(KIT_IN_PLACE);
    const tong_options options = kit_capacity(1);
    tong_mailbox *box = kit_create(kit_name("kill"), &options);
    for (size_t i = 0; i < 20; i++) {
        struct kit_child child = kit_spawn(reserve_and_wait, "kill");
        char c;
        kit_read_report(&child, &c, 1);
        kit_gives(kit_send_u64(box, 1, 0), -EAGAIN);
        kit_kill(&child);
        kit_ok(kit_send_u64(box, 1, KIT_PATIENCE));
        kit_equal(kit_receive_u64(box), 1);
        kit_is_empty(box);
    }
    kit_end(box, kit_name("kill"));
}

static int send_one(void *arg)
{
    tong_mailbox *box = kit_open(kit_name(arg), TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 3, KIT_PATIENCE));
    return tong_close(box);
}

static void a_sender_blocked_by_a_reservation_goes_on_when_its_holder_is_killed(void)
{
    kit_needs(KIT_IN_PLACE);
    const tong_options options = kit_capacity(1);
    tong_mailbox *box = kit_create(kit_name("kill"), &options);
    for (size_t i = 0; i < 10; i++) {
        struct kit_child holder = kit_spawn(reserve_and_wait, "kill");
        char c;
        kit_read_report(&holder, &c, 1);
        struct kit_child waiter = kit_spawn(send_one, "kill");
        kit_until_blocked(kit_name("kill"), 1);
        kit_kill(&holder);
        kit_join(&waiter);
        kit_equal(kit_receive_u64(box), 3);
    }
    kit_end(box, kit_name("kill"));
}

static const struct kit_test tests[] = {
    KIT_TEST(commit_sends_what_was_written),
    KIT_TEST(a_shorter_commit_sends_the_first_bytes),
    KIT_TEST(a_longer_commit_is_refused_and_the_reservation_stands),
    KIT_TEST(an_abort_leaves_nothing),
    KIT_TEST(a_reservation_is_over_once),
    KIT_TEST(a_fixed_size_holds_for_reservations),
    KIT_TEST(a_reservation_takes_room_until_its_end),
    KIT_TEST(sends_on_the_same_handle_wait_for_the_reservation),
    KIT_TEST(a_send_of_the_thread_that_has_the_reservation_is_einval),
    KIT_TEST(an_abort_lets_the_other_threads_go_on),
    KIT_TEST(closing_gives_the_reservation_up),
    KIT_TEST(a_sender_killed_before_commit_never_sent_and_its_room_is_free),
    KIT_TEST(a_sender_blocked_by_a_reservation_goes_on_when_its_holder_is_killed),
};

KIT_MAIN(tests)
