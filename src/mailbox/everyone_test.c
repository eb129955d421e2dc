/*
 * To everyone, at moments that a test with processes meets too seldom: things happen inside of a call, at one
 * of its system calls.
 */
#include "mailbox/everyone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kit.h"
#include "mailbox/box.h"

static tong_options to_all(void)
{
    tong_options options = kit_options();
    options.delivery = TONG_EVERYONE;
    options.link_capacity = 16;
    return options;
}

/* ---- something happens at the n-th system call of a name */

static const char *wanted_call;
static unsigned calls_left;
static void (*meanwhile)(void);

static int on_call(const char *call)
{
    if (meanwhile == NULL || strstr(call, wanted_call) == NULL || --calls_left != 0) {
        return 0;
    }
    void (*const happens)(void) = meanwhile;
    meanwhile = NULL;
    happens();
    return 0;
}

static void arm(const char *call, unsigned nth, void (*happens)(void))
{
    wanted_call = call;
    calls_left = nth;
    meanwhile = happens;
    tg_point_on_call(on_call);
}

static void has_happened(void)
{
    tg_point_on_call(NULL);
    kit_true(meanwhile == NULL);
}

static tong_mailbox *sender;
static tong_mailbox *other;
static tong_mailbox *fast;
static uint64_t sent;

static void send_and_take(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t message[16] = { sent++ };
        uint64_t got[16];
        kit_ok(tong_send(sender, message, sizeof(message), 0));
        kit_gives(tong_receive(fast, got, sizeof(got), 0), sizeof(got));
        kit_equal(got[0], message[0]);
    }
}

/* Where it began, and then all without a gap. */
static uint64_t take_all(tong_mailbox *box)
{
    uint64_t got[16];
    uint64_t begin = UINT64_MAX;
    uint64_t next = UINT64_MAX;
    ssize_t r;
    while ((r = tong_receive(box, got, sizeof(got), 0)) == (ssize_t)sizeof(got)) {
        begin = begin == UINT64_MAX ? got[0] : begin;
        kit_true(next == UINT64_MAX || got[0] == next);
        next = got[0] + 1;
    }
    kit_gives(r, -EAGAIN);
    kit_equal(next, sent);
    return begin;
}

static void begin(void)
{
    const tong_options options = to_all();
    sent = 0;
    sender = kit_open("news", TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
    fast = kit_open("news", TONG_RECEIVE, NULL);
    send_and_take(10);
}

static void end(void)
{
    kit_ok(tong_close(fast));
    kit_end(sender, "news");
}

/* ---- joining */

static void goes_round(void)
{
    send_and_take(3000);
}

/* The link was found and its row begun; before anybody knows of the one who joins all of it is written over. */
static void a_sender_goes_round_while_one_joins(void)
{
    const unsigned flags[] = { TONG_RECEIVE, TONG_RECEIVE | TONG_FROM_OLDEST };
    for (int i = 0; i < 2; i++) {
        begin();
        arm("getdents", 2, goes_round); /* the end of the folder */
        tong_mailbox *late = kit_open("news", flags[i], NULL);
        has_happened();
        kit_equal(sent, 3010);
        send_and_take(5);
        kit_true(take_all(late) > 2000);
        kit_ok(tong_close(late));
        end();
    }
}

static void another_one_comes(void)
{
    uint64_t message[16] = { 1000000 };
    other = kit_open("news", TONG_SEND, NULL);
    kit_ok(tong_send(other, message, sizeof(message), 0));
}

/* The folder was read by then. */
static void a_link_is_made_while_one_joins(void)
{
    begin();
    arm("getdents", 2, another_one_comes);
    tong_mailbox *late = kit_open("news", TONG_RECEIVE, NULL);
    has_happened();
    uint64_t message[16] = { 1000001 };
    uint64_t got[16];
    kit_ok(tong_send(other, message, sizeof(message), 0));
    do {
        kit_gives(tong_receive(late, got, sizeof(got), 0), sizeof(got));
    } while (got[0] == 1000000);
    kit_equal(got[0], 1000001);
    kit_ok(tong_close(late));
    kit_ok(tong_close(other));
    end();
}

/* ---- leaving */

static void leaves(void)
{
    kit_ok(tong_close(fast));
}

/* The sender has seen its slot, and not yet its book. */
static void one_leaves_while_a_sender_looks(void)
{
    begin();
    tong_mailbox *late = kit_open("news", TONG_RECEIVE, NULL);
    arm("openat", 1, leaves);
    uint64_t message[16] = { sent++ };
    kit_ok(tong_send(sender, message, sizeof(message), 0));
    has_happened();
    for (int i = 0; i < 15; i++) {
        message[0] = sent++;
        kit_ok(tong_send(sender, message, sizeof(message), 0));
    }
    kit_gives(tong_send(sender, message, sizeof(message), 0), -EAGAIN);
    kit_equal(take_all(late), 10);
    fast = late;
    end();
}

/* ---- books that are none */

static void forge(uint32_t slot, uint32_t number, size_t size)
{
    char name[TG_BOOK_NAME_SIZE];
    char path[TG_BOOK_NAME_SIZE + 8];
    tg_book_name(slot, number, name);
    snprintf(path, sizeof(path), "news/%s", name);
    const int fd = open(kit_path(path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    kit_true(fd >= 0);
    kit_ok(ftruncate(fd, (off_t)size));
    kit_ok(close(fd));
}

/* What lies under the name of the next book is put away by who comes. */
static void a_forged_book_is_nobodys(void)
{
    begin();
    forge(1, 1, 100);
    tong_mailbox *late = kit_open("news", TONG_RECEIVE, NULL);
    send_and_take(10);
    kit_equal(take_all(late), 10);
    kit_ok(tong_close(late));
    forge(7, 7, TG_BOX_SIZE);
    kit_equal(kit_stat("news").receivers, 1);
    end();
}

/* A living receiver's file is gone: it counts for nobody, and holds nobody up. */
static void a_book_without_its_name_does_not_count(void)
{
    begin();
    kit_ok(unlink(kit_path("news/book.0.1")));
    for (int i = 0; i < 16; i++) {
        uint64_t message[16] = { sent++ };
        kit_ok(tong_send(sender, message, sizeof(message), 0));
    }
    tong_mailbox *another = kit_open("news", TONG_SEND, NULL);
    uint64_t message[16] = { 0 };
    for (int i = 0; i < 16; i++) {
        kit_ok(tong_send(another, message, sizeof(message), 0));
    }
    kit_ok(tong_close(another));
    end();
}

/* ---- what others say of their links */

static struct tg_link_head *map_link(const char *path, size_t size)
{
    const int fd = open(kit_path(path), O_RDWR | O_CLOEXEC);
    kit_true(fd >= 0);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    kit_true(p != MAP_FAILED);
    kit_ok(close(fd));
    return p;
}

static uint64_t place_of_row(const char *book)
{
    struct tg_box_row row;
    const int fd = open(kit_path(book), O_RDONLY | O_CLOEXEC);
    kit_true(fd >= 0);
    kit_gives(pread(fd, &row, sizeof(row), TG_BOX_ROWS_OFF), sizeof(row));
    kit_ok(close(fd));
    return tg_load_relaxed(&row.next);
}

/* Nobody stands behind the end of a link, whatever its sender says; the others' messages come. */
static void an_oldest_past_the_tail_is_damage(void)
{
    for (int lossy = 0; lossy < 2; lossy++) {
        tong_options options = to_all();
        options.full = lossy ? TONG_DROP_OLDEST : TONG_BLOCK;
        sent = 0;
        sender = kit_open("news", TONG_SEND | TONG_CREATE | TONG_EXCL, &options);
        fast = kit_open("news", TONG_RECEIVE, NULL);
        send_and_take(10);
        struct tg_link_head *link = map_link("news/link.0", sizeof(*link));
        const uint64_t tail = tg_load_relaxed(&link->tail);
        tg_store_relaxed(&link->oldest, tail + (UINT64_C(1000) << 32));
        tong_mailbox *late = kit_open("news", TONG_RECEIVE, NULL);
        kit_equal(tg_place_sequence(place_of_row("news/book.1.1")), tg_place_sequence(tail));
        other = kit_open("news", TONG_SEND, NULL);
        uint64_t message[16] = { 77 };
        uint64_t got[16];
        kit_ok(tong_send(other, message, sizeof(message), 0));
        kit_gives(tong_receive(late, got, sizeof(got), KIT_PATIENCE), sizeof(got));
        kit_equal(got[0], 77);
        kit_ok(munmap(link, sizeof(*link)));
        kit_ok(tong_close(late));
        kit_ok(tong_close(other));
        end();
    }
}

#define TELLS_MOST 200

static struct tg_bells *bells;
static unsigned tells;

static int on_call_tell(const char *call)
{
    if (strstr(call, "getdents") != NULL && tells < TELLS_MOST) {
        tells++;
        (void)atomic_fetch_add(&bells->links, 1);
    }
    return 0;
}

/* Who tells of new links without end keeps nobody from joining. */
static void one_who_joins_is_not_kept_by_who_tells_of_links(void)
{
    begin();
    char name[32];
    snprintf(name, sizeof(name), "news/bell.%u", (unsigned)geteuid());
    const int fd = open(kit_path(name), O_RDWR | O_CLOEXEC);
    kit_true(fd >= 0);
    bells = mmap(NULL, TG_BELLS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    kit_true(bells != MAP_FAILED);
    kit_ok(close(fd));
    tells = 0;
    tg_point_on_call(on_call_tell);
    tong_mailbox *late = kit_open("news", TONG_RECEIVE, NULL);
    tg_point_on_call(NULL);
    kit_true(tells > 0 && tells < TELLS_MOST);
    send_and_take(5);
    kit_equal(take_all(late), 10);
    kit_ok(munmap(bells, TG_BELLS_SIZE));
    kit_ok(tong_close(late));
    end();
}

/* ---- many */

static void so_many_receivers_and_no_more(void)
{
    begin();
    static tong_mailbox *all[TG_SLOTS_MAX];
    tong_mailbox *more;
    for (uint32_t i = 1; i < TG_SLOTS_MAX; i++) {
        all[i] = kit_open("news", TONG_RECEIVE, NULL);
    }
    kit_gives(tong_open("news", TONG_RECEIVE, NULL, &more), -EUSERS);
    send_and_take(10);
    for (uint32_t i = 1; i < TG_SLOTS_MAX; i++) {
        kit_equal(take_all(all[i]), 10);
    }
    kit_equal(kit_stat("news").receivers, TG_SLOTS_MAX);
    for (uint32_t i = 1; i < TG_SLOTS_MAX; i++) {
        kit_ok(tong_close(all[i]));
    }
    end();
}

static const struct kit_test tests[] = {
    KIT_TEST(a_sender_goes_round_while_one_joins),
    KIT_TEST(a_link_is_made_while_one_joins),
    KIT_TEST(one_leaves_while_a_sender_looks),
    KIT_TEST(a_forged_book_is_nobodys),
    KIT_TEST(a_book_without_its_name_does_not_count),
    KIT_TEST(an_oldest_past_the_tail_is_damage),
    KIT_TEST(one_who_joins_is_not_kept_by_who_tells_of_links),
    KIT_TEST(so_many_receivers_and_no_more),
};

KIT_MAIN(tests)
