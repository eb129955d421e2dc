/*
 * Messages that a queue of the kernel carries: who sleeps asks words, not the queue, and is woken for what nobody has counted
 * and is in the way. Without the back-stop, which would find it.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mqueue.h"
#include "kit.h"
#include "mailbox/mailbox.h"
#include "mailbox/way.h"

#define BOX "counted"
#define CAPACITY 4u
#define MESSAGES 20u

static struct asked {
    _Atomic unsigned gets, counts;
    _Atomic uint64_t received;
} * asked;

/* ---- a way that counts what it is asked */

static void name_of(const uint8_t box_id[16], char ret_name[TG_QUEUE_NAME])
{
    int at = snprintf(ret_name, TG_QUEUE_NAME, "/tong.");
    for (int i = 0; i < 16; i++) {
        at += snprintf(ret_name + at, 3, "%02x", box_id[i]);
    }
}

static int open_to_receive(const char *queue, unsigned flags)
{
    kit_equal(flags, TONG_RECEIVE);
    return tg_mq_open(queue, O_RDONLY);
}

static ssize_t get(int fd, void *buf, size_t size)
{
    asked->gets++;
    return tg_mq_receive(fd, buf, size, NULL);
}

static uint32_t count(int fd)
{
    struct tg_mq_status status;
    asked->counts++;
    kit_ok(tg_mq_look(fd, &status));
    return status.waiting;
}

static const struct tg_way counting = {
    .prefix = "mq",
    .folder = ".mq",
    .name = name_of,
    .open = open_to_receive,
    .get = get,
    .count = count,
};

/* ---- two processes */

static tong_mailbox *begin(void)
{
    const tong_options options = kit_capacity(CAPACITY);
    (void)unshare(CLONE_NEWIPC);
    setenv("TONG_TEST_NO_BACKSTOP", "1", 1);
    asked = kit_shared(sizeof(*asked));
    return kit_open("mq:" BOX, TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
}

static int receive_all(void *arg)
{
    struct tg_box *box = NULL;
    (void)arg;
    kit_ok(tg_box_open(&counting, BOX, TONG_RECEIVE, NULL, &box));
    for (uint64_t i = 1; i <= MESSAGES; i++) {
        uint64_t value = 0;
        tong_message info = TONG_MESSAGE_INIT; /* who wants it goes the long way */
        kit_gives(i % 2 == 0
                      ? tg_box_receive(box, &value, sizeof(value), KIT_PATIENCE)
                      : tg_box_receive_with(box, &value, sizeof(value), NULL, KIT_PATIENCE, &info),
                  sizeof(value));
        kit_equal(value, i);
        atomic_store(&asked->received, i);
    }
    return tg_box_close(box);
}

/* So many are received, and the receiver sleeps for the next one. */
static void until_asleep(const struct kit_child *receiver, uint64_t received)
{
    kit_until(atomic_load(&asked->received) == received &&
              kit_stat("mq:" BOX).receivers_asleep == 1 && kit_sleeps(receiver->pid));
}

static void end(tong_mailbox *box, struct kit_child *receiver)
{
    kit_join(receiver);
    kit_end(box, "mq:" BOX);
}

static void who_sleeps_does_not_ask_the_queue(void)
{
    tong_mailbox *box = begin();
    struct kit_child receiver = kit_spawn(receive_all, NULL);
    until_asleep(&receiver, 0);
    kit_equal(asked->gets + asked->counts, 0);
    kit_ok(kit_send_u64(box, 1, 0)); /* a new link is looked for, too */
    for (uint64_t i = 2; i <= MESSAGES; i++) {
        until_asleep(&receiver, i - 1);
        const unsigned gets = asked->gets;
        const unsigned counts = asked->counts;
        kit_ok(kit_send_u64(box, i, 0));
        if (i < MESSAGES) {
            until_asleep(&receiver, i);
            kit_equal(asked->gets, gets + 1);
            kit_equal(asked->counts, counts);
        }
    }
    end(box, &receiver);
}

/* ---- records that nobody has counted */

/* The queue, as a program may open it that is not tong's. */
static mqd_t stranger(void)
{
    const tong_status status = kit_stat("mq:" BOX);
    char queue[TG_QUEUE_NAME];
    name_of(status.id, queue);
    const mqd_t q = mq_open(queue, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    kit_true(q >= 0);
    return q;
}

static void fill(mqd_t q)
{
    while (mq_send(q, "of nobody", 9, 0) == 0) {
    }
    kit_equal(errno, EAGAIN);
}

static void who_finds_no_place_though_there_is_room_wakes_for_it(void)
{
    tong_mailbox *box = begin();
    const mqd_t q = stranger();
    struct kit_child receiver = kit_spawn(receive_all, NULL);
    for (uint64_t i = 1; i <= MESSAGES; i++) {
        until_asleep(&receiver, i - 1);
        fill(q);
        if (i % 2 == 0) {
            kit_ok(kit_send_u64(box, i, KIT_PATIENCE));
        } else {
            kit_until(kit_send_u64(box, i, 0) == 0); /* what was refused has told of it */
        }
    }
    kit_ok(mq_close(q));
    end(box, &receiver);
}

static const struct kit_test tests[] = {
    KIT_TEST(who_sleeps_does_not_ask_the_queue),
    KIT_TEST(who_finds_no_place_though_there_is_room_wakes_for_it),
};

KIT_MAIN(tests)
