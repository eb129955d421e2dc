/*
 * A mailbox with several handles in one process: what is refused, the words of the box at rest,
 * and a long random run against a plain model.
 */
#include "mailbox/box.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kit.h"

#define BOTH (TONG_SEND | TONG_RECEIVE)

/* ---- layout */

static void layout_is_as_the_format_says(void)
{
    kit_equal(sizeof(struct tg_box_head), 832);
    kit_equal(offsetof(struct tg_box_head, dead_letter), 320);
    kit_equal(offsetof(struct tg_box_head, max_bytes), 64);
    kit_equal(offsetof(struct tg_box_head, token), 128);
    kit_equal(offsetof(struct tg_box_head, turn), 192);
    kit_equal(offsetof(struct tg_box_head, tickets), 256);
    kit_equal(sizeof(struct tg_box_slot), 128);
    kit_equal(sizeof(struct tg_box_row), 128);
    kit_equal(sizeof(struct tg_box_entry), 32);
    kit_equal(sizeof(struct tg_room_head), 192);
    kit_equal(sizeof(struct tg_room_row), 64);
    kit_equal(sizeof(struct tg_bells), 64 + 8 * 256);
    kit_equal(TG_BOX_SIZE, 4096 + 256 * 128 + 4096 * 128 + 256 * 64 * 32);
    kit_equal(TG_ROOM_SIZE, 4096 + 4096 * 64);
}

static void an_entry_word_keeps_state_and_deliveries(void)
{
    const uint32_t word = TG_ENTRY(TG_RETURNED, 65535);
    kit_equal(TG_ENTRY_STATE(word), TG_RETURNED);
    kit_equal(TG_ENTRY_DELIVERIES(word), 65535);
}

static void a_link_is_bounded_only_where_the_mailbox_is_not(void)
{
    tong_options options = kit_options();
    kit_equal(tg_box_link_capacity(&options), 1024);
    options.capacity = 5;
    kit_equal(tg_box_link_capacity(&options), TONG_UNBOUNDED);
    options.link_capacity = 3;
    kit_equal(tg_box_link_capacity(&options), 3);
}

/* ---- files that are not what they say */

struct damage {
    const char *file;
    size_t offset;
    uint32_t value;
};

static void spoil(const struct damage *damage, uint32_t *ret_was)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s", kit_path("box"));
    const int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int fd = openat(dir, damage->file, O_RDWR | O_CLOEXEC);
    kit_true(fd >= 0);
    kit_equal(pread(fd, ret_was, 4, (off_t)damage->offset), 4);
    kit_equal(pwrite(fd, &damage->value, 4, (off_t)damage->offset), 4);
    close(fd);
    close(dir);
}

static void damaged_words_are_eproto_and_nothing_else(void)
{
    const struct damage all[] = {
        { TG_BOX_FILE, offsetof(struct tg_box_head, magic), 1 },
        { TG_BOX_FILE, offsetof(struct tg_box_head, version), TG_BOX_VERSION + 1 },
        { TG_BOX_FILE, offsetof(struct tg_box_head, size), 4096 },
        { TG_BOX_FILE, offsetof(struct tg_box_head, delivery), 77 },
        { TG_BOX_FILE, offsetof(struct tg_box_head, full), 9 },
        { TG_BOX_FILE, offsetof(struct tg_box_head, capacity), TONG_CAPACITY_MAX + 1 },
        { TG_BOX_FILE, offsetof(struct tg_box_head, link_capacity), 0 },
        { TG_BOX_FILE, offsetof(struct tg_box_head, link_capacity), TONG_CAPACITY_MAX + 1 },
    };
    kit_ok(tong_close(kit_create("box", NULL)));
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct damage back = all[i];
        tong_mailbox *box = NULL;
        spoil(&all[i], &back.value);
        const int r = tong_open("box", BOTH, NULL, &box);
        if (r != -EPROTO || box != NULL) {
            kit_fail("%s at %zu: tong_open gave %d", all[i].file, all[i].offset, r);
        }
        uint32_t ignored;
        spoil(&back, &ignored);
    }
    kit_ok(tong_close(kit_open("box", BOTH, NULL)));
    kit_ok(tong_remove("box"));
}

/* Any sender may write them. */
static void what_stands_in_the_room_shuts_nobody_out(void)
{
    const struct damage all[] = {
        { TG_ROOM_FILE, offsetof(struct tg_room_head, magic), 0 },
        { TG_ROOM_FILE, offsetof(struct tg_room_head, version), 77 },
        { TG_ROOM_FILE, offsetof(struct tg_room_head, box_id), 0 },
    };
    kit_ok(tong_close(kit_create("box", NULL)));
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        uint32_t ignored;
        spoil(&all[i], &ignored);
        tong_mailbox *box = kit_open("box", BOTH, NULL);
        kit_ok(kit_send_u64(box, i, 0));
        kit_equal(kit_receive_u64(box), i);
        kit_ok(tong_close(box));
    }
    kit_ok(tong_remove("box"));
}

static void a_file_of_another_size_or_none_is_eproto(void)
{
    static const char *const files[] = { TG_BOX_FILE, TG_ROOM_FILE };
    for (size_t i = 0; i < 2; i++) {
        char path[64];
        tong_mailbox *box = NULL;
        snprintf(path, sizeof(path), "box/%s", files[i]);
        kit_ok(tong_close(kit_create("box", NULL)));
        kit_ok(truncate(kit_path(path), 4096));
        kit_gives(tong_open("box", BOTH, NULL, &box), -EPROTO);
        kit_ok(truncate(kit_path(path), 0));
        kit_gives(tong_open("box", BOTH, NULL, &box), -EPROTO);
        kit_ok(unlink(kit_path(path)));
        kit_gives(tong_open("box", BOTH, NULL, &box), -EPROTO);
        kit_ok(symlink("/dev/zero", kit_path(path)));
        kit_gives(tong_open("box", BOTH, NULL, &box), -EPROTO);
        kit_ok(tong_remove("box"));
    }
}

/* A sender may take its file away. What was returned of it is no message any more, and is not counted: a
 * receiver that believed the count would not sleep. */
static void what_was_returned_of_a_file_that_is_gone_is_dropped(void)
{
    tong_mailbox *box = kit_create("box", NULL);
    tong_mailbox *liar = kit_open("box", TONG_SEND, NULL);
    tong_mailbox *honest = kit_open("box", TONG_SEND, NULL);
    tong_message m[2] = { TONG_MESSAGE_INIT, TONG_MESSAGE_INIT };
    kit_ok(kit_send_u64(liar, 1, 0)); /* the first link */
    kit_ok(kit_send_u64(honest, 2, 0));
    kit_ok(tong_claim(box, 0, &m[0]));
    kit_ok(tong_claim(box, 0, &m[1]));
    kit_ok(unlink(kit_path("box/link.0")));
    kit_ok(tong_close(box));
    kit_equal(kit_stat("box").waiting, 2);
    box = kit_open("box", TONG_RECEIVE, NULL);
    kit_equal(kit_receive_u64(box), 2);
    kit_gives(tong_wait_any(&box, 1, 0), -EAGAIN);
    kit_equal(kit_stat("box").waiting, 0);
    kit_ok(tong_close(liar));
    kit_ok(tong_close(honest));
    kit_end(box, "box");
}

/* ---- the words at rest */

struct look {
    struct tg_root *root;
    struct tg_box_view view;
    const struct tg_room_head *room;
};

static void look_begin(struct look *look)
{
    void *p = NULL;
    kit_ok(tg_root_get(false, &look->root));
    kit_ok(tg_box_view_open(look->root, "box", false, &look->view));
    tg_fd fd = tg_sys_open(look->view.dir, TG_ROOM_FILE, O_RDONLY, 0);
    kit_true(fd >= 0);
    kit_ok(tg_sys_map(fd, 0, TG_ROOM_SIZE, false, &p));
    look->room = p;
}

static void look_end(struct look *look)
{
    tg_sys_unmap(look->room, TG_ROOM_SIZE);
    tg_box_view_close(&look->view);
    tg_root_put(look->root);
}

static uint32_t rooms_used(const struct look *look)
{
    const uint64_t total = tg_load_acquire(&look->room->word) >> 40;
    const uint64_t done = tg_load_acquire(&look->view.head->done_total);
    return (uint32_t)(total - done) & 0xffffff;
}

static void a_slot_is_given_again_as_another_generation(void)
{
    struct look look;
    tong_mailbox *one = kit_create("box", NULL);
    look_begin(&look);
    for (uint32_t i = 2; i < 10; i++) {
        tong_mailbox *two = kit_open("box", TONG_RECEIVE, NULL);
        kit_equal(tg_load_acquire(&look.view.head->n_slots), 2);
        kit_equal(tg_load_acquire(&look.view.slots[1].gen), i - 1);
        kit_equal(tg_load_acquire(&look.view.head->joins), i);
        kit_true(tg_load_acquire(&look.view.slots[1].owner) != 0);
        kit_ok(tong_close(two));
        kit_equal(tg_load_acquire(&look.view.slots[1].owner), 0);
    }
    look_end(&look);
    kit_end(one, "box");
}

/* A receiver that gives up leaves no ticket, no turn, no token. */
static void who_sleeps_and_gives_up_leaves_nothing(void)
{
    struct look look;
    tong_mailbox *box = kit_create("box", NULL);
    uint64_t value;
    look_begin(&look);
    const struct tg_box_head *head = look.view.head;
    for (uint64_t i = 1; i <= 3; i++) {
        kit_gives(tong_receive(box, &value, sizeof(value), TONG_MS(1)), -ETIMEDOUT);
        kit_equal(tg_load_acquire(&head->tickets), i);
        kit_equal(tg_load_acquire(&head->n_sleepers), 0);
        kit_equal(tg_load_acquire(&head->turn) >> 48, 0);
        kit_equal(tg_load_acquire(&head->token), 0);
        kit_equal(tg_load_acquire(&look.view.slots[0].ticket), 0);
    }
    look_end(&look);
    kit_end(box, "box");
}

static void a_reservation_counts_until_it_is_aborted(void)
{
    struct look look;
    const tong_options options = kit_capacity(2);
    tong_mailbox *box = kit_create("box", &options);
    tong_slot slot = TONG_SLOT_INIT;
    look_begin(&look);
    kit_ok(tong_reserve(box, 8, 0, &slot));
    kit_equal(rooms_used(&look), 1);
    kit_ok(tong_abort(box, &slot));
    kit_equal(rooms_used(&look), 0);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_equal(rooms_used(&look), 1);
    kit_equal(kit_receive_u64(box), 1);
    kit_equal(rooms_used(&look), 0);
    look_end(&look);
    kit_end(box, "box");
}

/* ---- blocked senders tell each other */

static int sends_one(void *arg)
{
    _Atomic uint32_t *sent = arg;
    tong_mailbox *box = kit_open("box", TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 2, TONG_FOREVER));
    atomic_fetch_add(sent, 1);
    kit_await_death(); /* its life is no help to the one behind it */
}

static void each_blocked_sender_gets_through_in_turn(void)
{
    const tong_options options = kit_capacity(1);
    _Atomic uint32_t *sent = kit_shared(sizeof(*sent));
    struct kit_child children[4];
    kit_ok(setenv("TONG_TEST_NO_BACKSTOP", "1", 1));
    tong_mailbox *box = kit_create("box", &options);
    kit_ok(kit_send_u64(box, 2, 0));
    for (uint32_t i = 0; i < 4; i++) {
        children[i] = kit_spawn(sends_one, sent);
        kit_until_blocked("box", i + 1);
    }
    for (uint32_t i = 0; i < 4; i++) {
        kit_equal(kit_receive_u64(box), 2);
        kit_until(atomic_load(sent) == i + 1);
    }
    for (uint32_t i = 0; i < 4; i++) {
        kit_kill(&children[i]);
    }
    kit_end(box, "box");
}

/* ---- limits */

static void a_receiver_has_64_claims(void)
{
    static tong_message claims[TG_CLAIMS_MAX];
    tong_message more = TONG_MESSAGE_INIT;
    tong_mailbox *box = kit_create("box", NULL);
    for (uint32_t i = 0; i < TG_CLAIMS_MAX + 1; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    for (uint32_t i = 0; i < TG_CLAIMS_MAX; i++) {
        claims[i] = (tong_message)TONG_MESSAGE_INIT;
        kit_ok(tong_claim(box, 0, &claims[i]));
    }
    kit_gives(tong_claim(box, 0, &more), -ENOBUFS);
    kit_ok(tong_done(box, &claims[17]));
    kit_ok(tong_claim(box, 0, &more));
    kit_end(box, "box");
}

/* ---- a long random run against a plain model */

#define CAPACITY 7u
#define SENDERS 3u
#define RECEIVERS 3u

enum state {
    WAITING,
    CLAIMED,
    RETURNED,
    DONE
};

struct known {
    enum state state;
    uint32_t sender;
    uint32_t deliveries;
};

struct model {
    tong_mailbox *sender[SENDERS];
    tong_mailbox *receiver[RECEIVERS];
    tong_slot slot[SENDERS];
    bool reserved[SENDERS];
    uint32_t
        reopened[SENDERS]; /* a handle opened anew is another sender: it may get another link */
    tong_message claim[RECEIVERS][CAPACITY];
    uint64_t claimed[RECEIVERS][CAPACITY]; /* numbers */
    uint32_t n_claims[RECEIVERS];
    struct known *known; /* by number */
    uint64_t n;          /* numbers given */
    uint64_t n_done;
    struct kit_random random;
};

static uint32_t count_state(const struct model *m, enum state state)
{
    uint32_t n = 0;
    for (uint64_t i = 0; i < m->n; i++) {
        n += m->known[i].state == state;
    }
    return n;
}

static uint32_t used(const struct model *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < SENDERS; i++) {
        n += m->reserved[i];
    }
    return n + (uint32_t)(m->n - m->n_done);
}

static void add(struct model *m, uint32_t sender)
{
    m->known[m->n++] =
        (struct known){ .state = WAITING, .sender = sender + SENDERS * m->reopened[sender] };
}

static void do_send(struct model *m, uint32_t who)
{
    if (m->reserved[who]) {
        kit_gives(kit_send_u64(m->sender[who], m->n, 0), -EINVAL);
        return;
    }
    const bool room = used(m) < CAPACITY;
    kit_gives(kit_send_u64(m->sender[who], m->n, 0), room ? 0 : -EAGAIN);
    if (room) {
        add(m, who);
    }
}

static void do_reserve(struct model *m, uint32_t who)
{
    if (!m->reserved[who]) {
        const bool room = used(m) < CAPACITY;
        m->slot[who] = (tong_slot)TONG_SLOT_INIT;
        kit_gives(tong_reserve(m->sender[who], 8, 0, &m->slot[who]), room ? 0 : -EAGAIN);
        m->reserved[who] = room;
    } else if (kit_random_below(&m->random, 2) == 0) {
        kit_ok(tong_abort(m->sender[who], &m->slot[who]));
        m->reserved[who] = false;
    } else {
        memcpy(m->slot[who].data, &m->n, 8);
        kit_ok(tong_commit(m->sender[who], &m->slot[who], 8));
        m->reserved[who] = false;
        add(m, who);
    }
}

/* What was handed out had to be next: a returned one first, else the sender's oldest. */
static void check_next(struct model *m, uint64_t number)
{
    kit_true(number < m->n);
    const struct known *k = &m->known[number];
    const bool any_returned = count_state(m, RETURNED) != 0;
    kit_equal(k->state, any_returned ? RETURNED : WAITING);
    for (uint64_t i = 0; i < number && !any_returned; i++) {
        kit_true(m->known[i].state != WAITING || m->known[i].sender != k->sender);
    }
}

static bool is_empty(const struct model *m)
{
    return count_state(m, WAITING) + count_state(m, RETURNED) == 0;
}

static void finish(struct model *m, uint64_t number)
{
    m->known[number].state = DONE;
    m->n_done++;
}

static void do_receive(struct model *m, uint32_t who)
{
    uint64_t number = 0;
    const ssize_t r = tong_receive(m->receiver[who], &number, 8, 0);
    kit_gives(r, is_empty(m) ? -EAGAIN : 8);
    if (r == 8) {
        check_next(m, number);
        finish(m, number);
    }
}

static void do_claim(struct model *m, uint32_t who)
{
    tong_message message = TONG_MESSAGE_INIT;
    const int r = tong_claim(m->receiver[who], 0, &message);
    kit_gives(r, is_empty(m) ? -EAGAIN : 0);
    if (r == 0) {
        uint64_t number;
        memcpy(&number, message.data, 8);
        check_next(m, number);
        m->known[number].state = CLAIMED;
        kit_equal(message.deliveries, ++m->known[number].deliveries);
        m->claimed[who][m->n_claims[who]] = number;
        m->claim[who][m->n_claims[who]++] = message;
    }
}

static void do_finish(struct model *m, uint32_t who)
{
    if (m->n_claims[who] == 0) {
        return;
    }
    const uint32_t k = (uint32_t)kit_random_below(&m->random, m->n_claims[who]);
    const uint64_t number = m->claimed[who][k];
    if (kit_random_below(&m->random, 3) == 0) {
        kit_ok(tong_return(m->receiver[who], &m->claim[who][k]));
        m->known[number].state = RETURNED;
    } else {
        kit_ok(tong_done(m->receiver[who], &m->claim[who][k]));
        finish(m, number);
    }
    m->n_claims[who]--;
    m->claim[who][k] = m->claim[who][m->n_claims[who]];
    m->claimed[who][k] = m->claimed[who][m->n_claims[who]];
}

/* A receiver leaves with its claims, a sender with its reservation; others come. */
static void do_reopen(struct model *m, uint32_t who)
{
    if (kit_random_below(&m->random, 2) == 0) {
        for (uint32_t k = 0; k < m->n_claims[who]; k++) {
            m->known[m->claimed[who][k]].state = RETURNED;
        }
        m->n_claims[who] = 0;
        kit_ok(tong_close(m->receiver[who]));
        m->receiver[who] = kit_open("box", TONG_RECEIVE, NULL);
    } else {
        kit_ok(tong_close(m->sender[who]));
        m->reserved[who] = false;
        m->reopened[who]++;
        m->sender[who] = kit_open("box", TONG_SEND, NULL);
    }
}

static void check_counts(const struct model *m, const struct look *look)
{
    const tong_status status = kit_stat("box");
    kit_equal(status.waiting, count_state(m, WAITING) + count_state(m, RETURNED));
    kit_equal(status.claimed, count_state(m, CLAIMED));
    kit_equal(status.done, m->n_done);
    kit_equal(status.sent, m->n);
    kit_equal(rooms_used(look), used(m));
    kit_equal(tg_load_acquire(&look->view.head->token), 0);
    kit_equal(tg_load_acquire(&look->view.head->n_returned), count_state(m, RETURNED));
}

static void random_step(struct model *m)
{
    const uint32_t who = (uint32_t)kit_random_below(&m->random, 3);
    const uint64_t what = kit_random_below(&m->random, 100);
    if (what < 30) {
        do_send(m, who);
    } else if (what < 45) {
        do_reserve(m, who);
    } else if (what < 60) {
        do_receive(m, who);
    } else if (what < 80) {
        do_claim(m, who);
    } else if (what < 98) {
        do_finish(m, who);
    } else {
        do_reopen(m, who);
    }
}

static void random_calls_agree_with_a_plain_model(void)
{
    const tong_options options = kit_capacity(CAPACITY);
    const uint64_t calls = kit_count("KIT_CALLS", 4000);
    struct model m = { .random = kit_random_stream(1) };
    struct look look;
    m.known = calloc(calls, sizeof(*m.known));
    kit_ok(tong_close(kit_create("box", &options)));
    for (uint32_t i = 0; i < SENDERS; i++) {
        m.sender[i] = kit_open("box", TONG_SEND, NULL);
        m.receiver[i] = kit_open("box", TONG_RECEIVE, NULL);
    }
    look_begin(&look);
    for (uint64_t k = 0; k < calls; k++) {
        random_step(&m);
        check_counts(&m, &look);
    }
    look_end(&look);
    for (uint32_t i = 0; i < SENDERS; i++) {
        kit_ok(tong_close(m.sender[i]));
        kit_ok(tong_close(m.receiver[i]));
    }
    kit_ok(tong_remove("box"));
    free(m.known);
}

static const struct kit_test tests[] = {
    KIT_TEST(layout_is_as_the_format_says),
    KIT_TEST(an_entry_word_keeps_state_and_deliveries),
    KIT_TEST(a_link_is_bounded_only_where_the_mailbox_is_not),
    KIT_TEST(damaged_words_are_eproto_and_nothing_else),
    KIT_TEST(what_stands_in_the_room_shuts_nobody_out),
    KIT_TEST(a_file_of_another_size_or_none_is_eproto),
    KIT_TEST(what_was_returned_of_a_file_that_is_gone_is_dropped),
    KIT_TEST(a_slot_is_given_again_as_another_generation),
    KIT_TEST(who_sleeps_and_gives_up_leaves_nothing),
    KIT_TEST(a_reservation_counts_until_it_is_aborted),
    KIT_TEST(each_blocked_sender_gets_through_in_turn),
    KIT_TEST(a_receiver_has_64_claims),
    KIT_TEST(random_calls_agree_with_a_plain_model),
};

KIT_MAIN(tests)
