/* Unix sockets between processes: messages, room, and the ends of both sides. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"

#define BOX "unix:box"

static tong_mailbox *make(const tong_options *options)
{
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, options, &box));
    return box;
}

static tong_mailbox *open_to_send(void)
{
    tong_mailbox *box = NULL;
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &box));
    return box;
}

static tong_options bounded(uint32_t capacity)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.owner = TONG_PROCESS;
    options.capacity = capacity;
    return options;
}

struct stream {
    uint32_t id;
    uint64_t n;
    size_t most; /* bytes of a message */
};

static size_t length_of(const struct stream *s, uint64_t i)
{
    return s->most == 0 ? 0 : (i * 7919 + s->id) % (s->most + 1);
}

static int send_stream(void *arg)
{
    const struct stream *s = arg;
    tong_mailbox *box = open_to_send();
    char *data = calloc(1, s->most + 16);
    kit_true(data != NULL);
    for (uint64_t i = 0; i < s->n; i++) {
        const size_t len = length_of(s, i);
        const uint64_t id = s->id;
        memcpy(data, &id, 8);
        memcpy(data + 8, &i, 8);
        kit_payload_write(data + 16, len, s->id, i);
        kit_gives(tong_send(box, data, len + 16, KIT_PATIENCE), 0);
    }
    free(data);
    return tong_close(box);
}

/* What n senders send, each in its order, whole. */
static void receive_streams(tong_mailbox *box, const struct stream streams[], uint32_t n)
{
    uint64_t next[16] = { 0 };
    uint64_t left = 0;
    size_t most = 0;
    for (uint32_t i = 0; i < n; i++) {
        left += streams[i].n;
        most = streams[i].most > most ? streams[i].most : most;
    }
    char *buf = malloc(most + 16);
    kit_true(buf != NULL);
    for (; left != 0; left--) {
        const ssize_t got = tong_receive(box, buf, most + 16, KIT_PATIENCE);
        if (got < 16) {
            kit_fail("tong_receive gave %zd: %s", got, tong_strerror((int)got));
        }
        uint64_t id;
        uint64_t i;
        memcpy(&id, buf, 8);
        memcpy(&i, buf + 8, 8);
        kit_true(id < n && i == next[id]);
        next[id]++;
        kit_equal((size_t)got - 16, length_of(&streams[id], i));
        kit_true(kit_payload_is(buf + 16, (size_t)got - 16, (uint32_t)id, i));
    }
    free(buf);
}

static void pass_streams(const tong_options *options, uint64_t n, size_t most)
{
    enum {
        SENDERS = 4
    };
    struct stream streams[SENDERS];
    struct kit_child children[SENDERS];
    tong_mailbox *box = make(options);
    for (uint32_t i = 0; i < SENDERS; i++) {
        streams[i] = (struct stream){ .id = i, .n = n, .most = most };
        children[i] = kit_spawn(send_stream, &streams[i]);
    }
    receive_streams(box, streams, SENDERS);
    for (uint32_t i = 0; i < SENDERS; i++) {
        kit_join(&children[i]);
    }
    const tong_status status = kit_stat(BOX);
    kit_equal(status.sent, SENDERS * n);
    kit_equal(status.done, SENDERS * n);
    kit_ok(tong_close(box));
}

static void messages_of_any_length_arrive_whole_and_in_order(void)
{
    pass_streams(NULL, 3000, 3000);
    pass_streams(NULL, 50, 3 << 20);
}

static void the_same_through_little_room(void)
{
    const tong_options one = bounded(1);
    const tong_options some = bounded(100);
    tong_options link = bounded(TONG_UNBOUNDED);
    link.link_capacity = 2;
    pass_streams(&one, 300, 100);
    pass_streams(&some, 3000, 100);
    pass_streams(&link, 2000, 100);
}

/* ------------------------------------------------------------------ what lies in the folder */

static void the_socket_lies_in_the_folder_with_its_permissions(void)
{
    struct stat st;
    tong_mailbox *box = make(NULL);
    kit_true(strcmp(kit_entries(kit_path("@box")), "box room socket") == 0);
    kit_true(stat(kit_path("@box/socket"), &st) == 0 && S_ISSOCK(st.st_mode));
    kit_equal(st.st_mode & 0777, 0600);
    kit_true(stat(kit_path("@box"), &st) == 0);
    kit_equal(st.st_mode & 0777, 0700);
    kit_ok(tong_close(box));
    kit_true(stat(kit_path("@box"), &st) < 0);
}

static void a_mailbox_in_shared_memory_may_have_the_same_name(void)
{
    tong_mailbox *box = make(NULL);
    tong_mailbox *shm = NULL;
    kit_ok(tong_open("box", TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_EXCL, NULL, &shm));
    tong_mailbox *sender = open_to_send();
    kit_ok(kit_send_u64(sender, 1, 0));
    kit_is_empty(shm);
    kit_equal(kit_receive_u64(box), 1);
    kit_ok(tong_close(sender));
    kit_ok(tong_close(box));
    kit_end(shm, "box");
}

/* ------------------------------------------------------------------ ends */

static int own_and_wait(void *arg)
{
    (void)arg;
    make(NULL);
    kit_report("o", 1);
    kit_await_death();
}

static void a_dead_owners_name_is_free_and_its_socket_is_replaced(void)
{
    for (int i = 0; i < 20; i++) {
        char c;
        struct kit_child owner = kit_spawn(own_and_wait, NULL);
        kit_read_report(&owner, &c, 1);
        tong_mailbox *old = open_to_send();
        kit_ok(kit_send_u64(old, 1, 0));
        kit_kill(&owner);
        kit_gives(kit_send_u64(old, 2, KIT_PATIENCE), -EOWNERDEAD);
        tong_mailbox *box = NULL;
        kit_gives(tong_open(BOX, TONG_SEND, NULL, &box), -ENOENT);
        box = make(NULL);
        kit_is_empty(box);
        kit_gives(kit_send_u64(old, 3, 0), -EOWNERDEAD);
        kit_ok(tong_close(old));
        kit_ok(tong_close(box));
    }
}

static int send_one_and_close(void *arg)
{
    tong_mailbox *box = open_to_send();
    kit_ok(kit_send_u64(box, *(const uint64_t *)arg, KIT_PATIENCE));
    return tong_close(box);
}

static void what_was_sent_is_received_when_its_sender_is_gone(void)
{
    tong_mailbox *box = make(NULL);
    for (uint64_t i = 0; i < 100; i++) {
        struct kit_child child = kit_spawn(send_one_and_close, &i);
        kit_join(&child);
    }
    for (uint64_t i = 0; i < 100; i++) {
        kit_equal(kit_receive_u64(box), i);
    }
    kit_is_empty(box);
    const tong_status status = kit_stat(BOX);
    kit_equal(status.links, 0);
    kit_equal(status.senders, 0);
    kit_ok(tong_close(box));
}

static int remove_it(void *arg)
{
    (void)arg;
    kit_ok(tong_remove(BOX));
    return 0;
}

static void another_process_removes_it_while_its_owner_waits(void)
{
    tong_mailbox *box = make(NULL);
    struct kit_child child = kit_spawn(remove_it, NULL);
    uint64_t value;
    kit_gives(tong_receive(box, &value, sizeof value, KIT_PATIENCE), -EIDRM);
    kit_join(&child);
    kit_ok(tong_close(box));
}

static int fill_and_close(void *arg)
{
    tong_mailbox *box = open_to_send();
    kit_ok(kit_send_u64(box, 1, KIT_PATIENCE));
    kit_gives(kit_send_u64(box, 2, 0), -EAGAIN);
    kit_gives(kit_send_u64(box, 2, TONG_MS(1)), -ETIMEDOUT);
    kit_event_set(arg);
    kit_ok(kit_send_u64(box, 2, KIT_PATIENCE));
    return tong_close(box);
}

/* A room that was granted to one that has given up is not kept by it. */
static void room_goes_to_who_waits(void)
{
    const tong_options one = bounded(1);
    tong_mailbox *box = make(&one);
    tong_mailbox *own = open_to_send();
    kit_event *full = kit_shared(sizeof *full);
    struct kit_child child = kit_spawn(fill_and_close, full);
    kit_event_wait(full);
    kit_until(kit_stat(BOX).senders_blocked == 1);
    kit_gives(kit_send_u64(own, 3, 0), -EAGAIN);
    kit_equal(kit_receive_u64(box), 1);
    kit_equal(kit_receive_u64(box), 2);
    kit_join(&child);
    kit_ok(kit_send_u64(own, 3, 0));
    kit_equal(kit_receive_u64(box), 3);
    kit_ok(tong_close(own));
    kit_ok(tong_close(box));
}

/* ------------------------------------------------------------------ the oldest is dropped */

struct dropping {
    kit_event two;
    kit_event read;
};

static int send_six(void *arg)
{
    struct dropping *d = arg;
    tong_mailbox *box = open_to_send();
    kit_ok(kit_send_u64(box, 1, 0));
    kit_ok(kit_send_u64(box, 2, 0));
    kit_event_set(&d->two);
    kit_event_wait(&d->read);
    for (uint64_t i = 3; i <= 6; i++) {
        kit_gives(kit_send_u64(box, i, 0), TONG_DROPPED);
    }
    return tong_close(box);
}

/* The third asks for room that the owner makes; the fourth takes its place, and still has to ask for it. */
static void what_takes_the_place_of_one_that_asked_for_room_asks_for_it(const tong_options *options)
{
    struct dropping *d = kit_shared(sizeof *d);
    tong_mailbox *box = make(options);
    struct kit_child child = kit_spawn(send_six, d);
    kit_event_wait(&d->two);
    kit_equal(kit_stat(BOX).waiting, 2); /* it has read them */
    kit_event_set(&d->read);
    kit_join(&child);
    kit_equal(kit_stat(BOX).waiting, 2);
    kit_equal(kit_receive_u64(box), 2);
    kit_equal(kit_receive_u64(box), 6);
    kit_is_empty(box);
    kit_equal(kit_stat(BOX).dropped, 4);
    kit_ok(tong_close(box));
}

static void a_sender_that_replaces_its_oldest_twice_is_served_on(void)
{
    tong_options options = bounded(2);
    options.full = TONG_DROP_OLDEST;
    what_takes_the_place_of_one_that_asked_for_room_asks_for_it(&options);
    options.capacity = TONG_UNBOUNDED;
    options.link_capacity = 2;
    what_takes_the_place_of_one_that_asked_for_room_asks_for_it(&options);
}

static const struct kit_test tests[] = {
    KIT_TEST(a_sender_that_replaces_its_oldest_twice_is_served_on),
    KIT_TEST(messages_of_any_length_arrive_whole_and_in_order),
    KIT_TEST(the_same_through_little_room),
    KIT_TEST(the_socket_lies_in_the_folder_with_its_permissions),
    KIT_TEST(a_mailbox_in_shared_memory_may_have_the_same_name),
    KIT_TEST(a_dead_owners_name_is_free_and_its_socket_is_replaced),
    KIT_TEST(what_was_sent_is_received_when_its_sender_is_gone),
    KIT_TEST(another_process_removes_it_while_its_owner_waits),
    KIT_TEST(room_goes_to_who_waits),
};

KIT_MAIN(tests)
