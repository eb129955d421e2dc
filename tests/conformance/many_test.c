/* Several messages a call, and several mailboxes a wait. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "kit.h"

/* ------------------------------------------------------------------ send_many, receive_many */

static void many_are_sent_and_received_in_order(void)
{
    enum {
        N = 100
    };
    tong_mailbox *box = kit_create(kit_name("many"), NULL);
    static char data[N][300];
    static char back[N][300];
    struct iovec messages[N];
    struct iovec buffers[2 * N];
    size_t lens[2 * N];
    for (size_t i = 0; i < N; i++) {
        kit_payload_write(data[i], i * 3, 1, i);
        messages[i] = (struct iovec){ data[i], i * 3 };
        buffers[i] = (struct iovec){ back[i], sizeof(back[i]) };
        buffers[N + i] = buffers[i];
    }
    kit_gives(tong_send_many(box, messages, N, 0), N);
    kit_equal(kit_stat(kit_name("many")).waiting, N);
    kit_receive_many(box, buffers, 40, lens, 40);
    kit_receive_many(box, buffers + 40, N, lens + 40, N - 40);
    for (size_t i = 0; i < N; i++) {
        kit_equal(lens[i], i * 3);
        kit_true(kit_payload_is(back[i], lens[i], 1, i));
    }
    kit_gives(tong_receive_many(box, buffers, N, 0, lens), -EAGAIN);
    kit_end(box, kit_name("many"));
}

static void none_is_a_number_too(void)
{
    const tong_options options = kit_capacity(1);
    tong_mailbox *box = kit_create(kit_name("none"), &options);
    size_t len = 77;
    kit_gives(tong_send_many(box, NULL, 0, 0), 0);
    kit_gives(tong_receive_many(box, NULL, 0, 0, &len), 0);
    kit_equal(len, 77);
    kit_end(box, kit_name("none"));
}

static void send_many_goes_as_far_as_there_is_room(void)
{
    const tong_options options = kit_capacity(3);
    tong_mailbox *box = kit_create(kit_name("room"), &options);
    uint64_t values[5] = { 0, 1, 2, 3, 4 };
    struct iovec messages[5];
    for (size_t i = 0; i < 5; i++) {
        messages[i] = (struct iovec){ &values[i], sizeof(values[i]) };
    }
    kit_gives(tong_send_many(box, messages, 5, KIT_PATIENCE), 3);
    kit_gives(tong_send_many(box, messages, 5, 0), -EAGAIN);
    kit_gives(tong_send_many(box, messages, 5, TONG_MS(1)), -ETIMEDOUT);
    kit_equal(kit_receive_u64(box), 0);
    kit_gives(tong_send_many(box, messages + 3, 2, 0), 1);
    kit_equal(kit_receive_u64(box), 1);
    kit_equal(kit_receive_u64(box), 2);
    kit_equal(kit_receive_u64(box), 3);
    kit_is_empty(box);
    kit_end(box, kit_name("room"));
}

static int receive_one(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(kit_name("wait"), TONG_RECEIVE, NULL);
    kit_equal(kit_receive_u64(box), 9);
    return tong_close(box);
}

static int send_three(void *arg)
{
    uint64_t values[3] = { 1, 2, 3 };
    struct iovec messages[3];
    for (size_t i = 0; i < 3; i++) {
        messages[i] = (struct iovec){ &values[i], sizeof(values[i]) };
    }
    (void)arg;
    tong_mailbox *box = kit_open(kit_name("wait"), TONG_SEND, NULL);
    kit_gives(tong_send_many(box, messages, 3, KIT_PATIENCE), 1);
    return tong_close(box);
}

static void send_many_waits_for_room_for_the_first_only(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    const tong_options options = kit_capacity(1);
    tong_mailbox *box = kit_create(kit_name("wait"), &options);
    kit_ok(kit_send_u64(box, 9, 0));
    struct kit_child sender = kit_spawn(send_three, NULL);
    kit_until_blocked(kit_name("wait"), 1);
    struct kit_child receiver = kit_spawn(receive_one, NULL);
    kit_join(&receiver);
    kit_join(&sender);
    kit_equal(kit_receive_u64(box), 1);
    kit_is_empty(box);
    kit_end(box, kit_name("wait"));
}

static void an_error_behind_the_first_ends_the_row(void)
{
    tong_options options = kit_options();
    options.message_size = 8;
    tong_mailbox *box = kit_create(kit_name("row"), &options);
    uint64_t values[2] = { 1, 2 };
    struct iovec messages[3] = { { &values[0], 8 }, { &values[1], 8 }, { &values[1], 7 } };
    kit_gives(tong_send_many(box, messages, 3, 0), 2);
    kit_gives(tong_send_many(box, messages + 2, 1, 0), -EMSGSIZE);
    kit_equal(kit_receive_u64(box), 1);
    kit_equal(kit_receive_u64(box), 2);
    kit_is_empty(box);
    kit_end(box, kit_name("row"));
}

static void receive_many_stops_before_what_does_not_fit(void)
{
    tong_mailbox *box = kit_create(kit_name("fit"), NULL);
    char a[8];
    char b[8];
    char c[8];
    struct iovec buffers[3] = { { a, 8 }, { b, 8 }, { c, 8 } };
    size_t lens[3] = { 77, 77, 77 };
    kit_ok(tong_send(box, "12345678", 8, 0));
    kit_ok(tong_send(box, "123456789", 9, 0));
    kit_ok(tong_send(box, "1", 1, 0));
    kit_gives(tong_receive_many(box, buffers, 3, 0, lens), 1);
    kit_equal(lens[0], 8);
    kit_equal(lens[1], 77);
    kit_gives(tong_receive_many(box, buffers, 3, KIT_PATIENCE, lens), -EMSGSIZE);
    kit_gives(tong_skip(box), 9);
    kit_gives(tong_receive_many(box, buffers, 3, 0, lens), 1);
    kit_equal(lens[0], 1);
    kit_true(a[0] == '1');
    kit_end(box, kit_name("fit"));
}

static void receive_many_waits_for_the_first_only(void)
{
    tong_mailbox *box = kit_create(kit_name("first"), NULL);
    uint64_t values[4];
    struct iovec buffers[4];
    size_t lens[4];
    for (size_t i = 0; i < 4; i++) {
        buffers[i] = (struct iovec){ &values[i], sizeof(values[i]) };
    }
    const int64_t begin_ns = kit_now_ns();
    kit_gives(tong_receive_many(box, buffers, 4, TONG_MS(5), lens), -ETIMEDOUT);
    kit_true(kit_now_ns() - begin_ns >= TONG_MS(5));
    kit_ok(kit_send_u64(box, 1, 0));
    kit_ok(kit_send_u64(box, 2, 0));
    kit_receive_many(box, buffers, 4, lens, 2);
    kit_equal(values[0], 1);
    kit_equal(values[1], 2);
    kit_end(box, kit_name("first"));
}

static void many_of_any_size_go_round(void)
{
    enum {
        MOST = 20,
        SIZE = 9000
    };
    static char data[MOST][SIZE];
    struct iovec row[MOST];
    size_t lens[MOST];
    tong_mailbox *box = kit_create(kit_name("round"), NULL);
    struct kit_random random = kit_random_stream(1);
    uint64_t sent = 0;
    uint64_t got = 0;
    for (size_t round = 0; round < 2000; round++) {
        const size_t n = kit_random_below(&random, MOST + 1);
        for (size_t i = 0; i < n; i++) {
            const size_t len =
                KIT_PAYLOAD_MIN + kit_random_below(&random, SIZE - KIT_PAYLOAD_MIN + 1);
            kit_payload_write(data[i], len, 1, sent + i);
            row[i] = (struct iovec){ data[i], len };
        }
        const ssize_t put = tong_send_many(box, row, n, 0);
        kit_true(put >= 0 || put == -EAGAIN);
        sent += put > 0 ? (uint64_t)put : 0;
        const size_t m = kit_random_below(&random, MOST + 1);
        for (size_t i = 0; i < m; i++) {
            row[i] = (struct iovec){ data[i], SIZE };
        }
        const ssize_t taken = tong_receive_many(box, row, m, 0, lens);
        kit_true(taken >= 0 || taken == -EAGAIN);
        for (ssize_t i = 0; i < taken; i++) {
            kit_true(kit_payload_is(data[i], lens[i], 1, got));
            got++;
        }
    }
    while (tong_skip(box) >= 0) {
        got++;
    }
    kit_equal(got, sent);
    kit_end(box, kit_name("round"));
}

/* ------------------------------------------------------------------ wait_any */

enum {
    BOXES = 5
};

static const char *numbered(uint64_t i)
{
    static const char *const names[BOXES] = { "b0", "b1", "b2", "b3", "b4" };
    return kit_name(names[i]);
}

static void open_boxes(tong_mailbox *boxes[BOXES])
{
    for (uint64_t i = 0; i < BOXES; i++) {
        boxes[i] = kit_create(numbered(i), NULL);
    }
}

static void end_boxes(tong_mailbox *boxes[BOXES])
{
    for (uint64_t i = 0; i < BOXES; i++) {
        kit_end(boxes[i], numbered(i));
    }
}

static void wait_any_names_the_first_that_has_something(void)
{
    tong_mailbox *boxes[BOXES];
    open_boxes(boxes);
    for (int i = BOXES - 1; i >= 0; i--) {
        kit_ok(kit_send_u64(boxes[i], (uint64_t)i, 0));
        kit_gives(tong_wait_any(boxes, BOXES, 0), i);
        kit_gives(tong_wait_any(boxes, BOXES, TONG_FOREVER), i);
    }
    for (int i = 0; i < BOXES; i++) {
        kit_gives(tong_wait_any(boxes, BOXES, KIT_PATIENCE), i);
        kit_equal(kit_receive_u64(boxes[i]), (uint64_t)i);
    }
    kit_gives(tong_wait_any(boxes, BOXES, 0), -EAGAIN);
    end_boxes(boxes);
}

static void wait_any_times_out_not_before_its_time(void)
{
    tong_mailbox *boxes[BOXES];
    open_boxes(boxes);
    const int64_t begin_ns = kit_now_ns();
    kit_gives(tong_wait_any(boxes, BOXES, TONG_MS(5)), -ETIMEDOUT);
    kit_true(kit_now_ns() - begin_ns >= TONG_MS(5));
    end_boxes(boxes);
}

static void wait_any_wants_1_to_64_mailboxes(void)
{
    tong_mailbox *box = kit_create(kit_name("one"), NULL);
    tong_mailbox *boxes[65];
    for (size_t i = 0; i < 65; i++) {
        boxes[i] = kit_open(kit_name("one"), TONG_RECEIVE, NULL);
    }
    kit_gives(tong_wait_any(boxes, 0, 0), -EINVAL);
    kit_gives(tong_wait_any(boxes, 65, 0), -EINVAL);
    kit_gives(tong_wait_any(NULL, 1, 0), -EINVAL);
    kit_gives(tong_wait_any(boxes, 64, 0), -EAGAIN);
    tong_mailbox *hole[2] = { boxes[0], NULL };
    kit_gives(tong_wait_any(hole, 2, 0), -EINVAL);
    for (size_t i = 0; i < 65; i++) {
        kit_ok(tong_close(boxes[i]));
    }
    kit_end(box, kit_name("one"));
}

static int wait_for_any(void *arg)
{
    const uint64_t want = *(uint64_t *)arg;
    tong_mailbox *boxes[BOXES];
    for (uint64_t i = 0; i < BOXES; i++) {
        boxes[i] = kit_open(numbered(i), TONG_RECEIVE, NULL);
    }
    kit_gives(tong_wait_any(boxes, BOXES, KIT_PATIENCE), (int64_t)want);
    kit_equal(kit_receive_u64(boxes[want]), want + 50);
    for (uint64_t i = 0; i < BOXES; i++) {
        kit_ok(tong_close(boxes[i]));
    }
    return 0;
}

static void wait_any_wakes_for_each_of_them(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *boxes[BOXES];
    open_boxes(boxes);
    for (uint64_t i = 0; i < BOXES; i++) {
        struct kit_child child = kit_spawn(wait_for_any, &i);
        kit_until_asleep(numbered(i), 1);
        kit_ok(kit_send_u64(boxes[i], i + 50, 0));
        kit_join(&child);
        kit_equal(kit_stat(numbered(i)).backstop_finds, 0);
    }
    end_boxes(boxes);
}

static int wait_for_an_end(void *arg)
{
    const uint64_t which = *(uint64_t *)arg;
    tong_mailbox *boxes[BOXES];
    for (uint64_t i = 0; i < BOXES; i++) {
        boxes[i] = kit_open(numbered(i), TONG_RECEIVE, NULL);
    }
    uint64_t value;
    kit_gives(tong_wait_any(boxes, BOXES, KIT_PATIENCE), (int64_t)which);
    kit_gives(tong_receive(boxes[which], &value, sizeof(value), 0), -EIDRM);
    for (uint64_t i = 0; i < BOXES; i++) {
        kit_ok(tong_close(boxes[i]));
    }
    return 0;
}

static void wait_any_ends_when_one_of_them_is_removed(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *boxes[BOXES];
    open_boxes(boxes);
    uint64_t which = 3;
    struct kit_child child = kit_spawn(wait_for_an_end, &which);
    kit_until_asleep(numbered(3), 1);
    kit_ok(tong_remove(numbered(3)));
    kit_join(&child);
    kit_ok(tong_close(boxes[3]));
    boxes[3] = kit_create(numbered(3), NULL);
    end_boxes(boxes);
}

static void *wait_in_a_thread(void *arg)
{
    tong_mailbox **boxes = arg;
    kit_gives(tong_wait_any(boxes, BOXES, KIT_PATIENCE), 2);
    return NULL;
}

static void wait_any_ends_when_one_of_them_ends_with_its_owner(void)
{
    tong_mailbox *boxes[BOXES];
    open_boxes(boxes);
    kit_end(boxes[2], numbered(2));
    tong_options options = kit_options();
    options.owner = TONG_PROCESS;
    tong_mailbox *owner = kit_create(numbered(2), &options);
    boxes[2] = kit_open(numbered(2), TONG_RECEIVE, NULL);
    pthread_t id;
    kit_ok(pthread_create(&id, NULL, wait_in_a_thread, boxes));
    kit_until_asleep(numbered(2), 1);
    kit_ok(tong_close(owner));
    kit_ok(pthread_join(id, NULL));
    uint64_t value;
    kit_gives(tong_wait_any(boxes, BOXES, 0), 2);
    kit_gives(tong_receive(boxes[2], &value, sizeof(value), 0), -EOWNERDEAD);
    kit_ok(tong_close(boxes[2]));
    boxes[2] = kit_create(numbered(2), NULL);
    end_boxes(boxes);
}

static void wait_any_shows_a_removed_mailbox_at_once(void)
{
    tong_mailbox *boxes[BOXES];
    open_boxes(boxes);
    kit_ok(tong_remove(numbered(1)));
    kit_gives(tong_wait_any(boxes, BOXES, 0), 1);
    kit_gives(tong_wait_any(boxes, BOXES, TONG_FOREVER), 1);
    kit_ok(tong_close(boxes[1]));
    boxes[1] = kit_create(numbered(1), NULL);
    end_boxes(boxes);
}

static void wait_any_ends_when_one_handle_is_interrupted(void)
{
    tong_mailbox *boxes[BOXES];
    open_boxes(boxes);
    kit_ok(tong_interrupt(boxes[4]));
    kit_gives(tong_wait_any(boxes, BOXES, KIT_PATIENCE), -ECANCELED);
    kit_gives(tong_wait_any(boxes, BOXES, TONG_MS(1)), -ETIMEDOUT);
    end_boxes(boxes);
}

static void wait_any_leaves_the_message_to_another_that_is_faster(void)
{
    tong_mailbox *boxes[BOXES];
    open_boxes(boxes);
    tong_mailbox *other = kit_open(numbered(0), TONG_RECEIVE, NULL);
    kit_ok(kit_send_u64(boxes[0], 5, 0));
    kit_gives(tong_wait_any(boxes, BOXES, KIT_PATIENCE), 0);
    kit_equal(kit_receive_u64(other), 5);
    kit_is_empty(boxes[0]);
    kit_gives(tong_wait_any(boxes, BOXES, 0), -EAGAIN);
    kit_ok(tong_close(other));
    end_boxes(boxes);
}

static const struct kit_test tests[] = {
    KIT_TEST(many_are_sent_and_received_in_order),
    KIT_TEST(none_is_a_number_too),
    KIT_TEST(send_many_goes_as_far_as_there_is_room),
    KIT_TEST(send_many_waits_for_room_for_the_first_only),
    KIT_TEST(an_error_behind_the_first_ends_the_row),
    KIT_TEST(receive_many_stops_before_what_does_not_fit),
    KIT_TEST(receive_many_waits_for_the_first_only),
    KIT_TEST(many_of_any_size_go_round),
    KIT_TEST(wait_any_names_the_first_that_has_something),
    KIT_TEST(wait_any_times_out_not_before_its_time),
    KIT_TEST(wait_any_wants_1_to_64_mailboxes),
    KIT_TEST(wait_any_wakes_for_each_of_them),
    KIT_TEST(wait_any_ends_when_one_of_them_is_removed),
    KIT_TEST(wait_any_ends_when_one_of_them_ends_with_its_owner),
    KIT_TEST(wait_any_shows_a_removed_mailbox_at_once),
    KIT_TEST(wait_any_ends_when_one_handle_is_interrupted),
    KIT_TEST(wait_any_leaves_the_message_to_another_that_is_faster),
};

KIT_MAIN(tests)
