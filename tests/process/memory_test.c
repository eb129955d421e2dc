/*
 * Memory that is full: -ENOSPC and never SIGBUS, what was accepted is intact, and it goes on after
 * draining. In a tmpfs of the test's own, so that nobody else is short of memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"

enum {
    MIB = 1 << 20,
    LONGEST = 300000
};

static tong_options endless(void)
{
    tong_options options = kit_options();
    options.link_capacity = TONG_UNBOUNDED;
    options.max_bytes = UINT64_C(1) << 40;
    return options;
}

static size_t length_of(uint32_t sender, uint64_t counter, size_t longest)
{
    struct kit_random random = { .state = { sender * 7919u + counter * 104729u + 1, counter + 5 } };
    kit_random(&random);
    /* Mostly short ones, so that every place where the memory ends is met. */
    const size_t limit = kit_random_below(&random, 8) == 0 ? longest : 2000;
    return KIT_PAYLOAD_MIN + kit_random_below(&random, limit);
}

/* Sends until the memory is full; how many were accepted. */
static uint64_t fill(tong_mailbox *box, uint32_t sender, uint64_t first, size_t longest)
{
    static char data[KIT_PAYLOAD_MIN + LONGEST];
    for (uint64_t counter = first;; counter++) {
        const size_t len = length_of(sender, counter, longest);
        kit_payload_write(data, len, sender, counter);
        const int r = tong_send(box, data, len, KIT_PATIENCE);
        if (r != 0) {
            kit_gives(r, -ENOSPC);
            return counter;
        }
    }
}

static void drain(tong_mailbox *box, uint64_t next[], const uint64_t end[], uint32_t n_senders)
{
    static char data[KIT_PAYLOAD_MIN + LONGEST];
    ssize_t n;
    while ((n = tong_receive(box, data, sizeof(data), 0)) >= 0) {
        struct kit_payload head;
        kit_true(kit_payload_read(data, (size_t)n, &head) && head.sender < n_senders);
        kit_equal(head.counter, next[head.sender]);
        next[head.sender]++;
    }
    kit_gives(n, -EAGAIN);
    for (uint32_t i = 0; i < n_senders; i++) {
        kit_equal(next[i], end[i]);
    }
}

static void play(size_t bytes, size_t longest)
{
    enum {
        SENDERS = 3,
        ROUNDS = 12
    };
    kit_small_memory(bytes);
    const tong_options options = endless();
    tong_mailbox *box = kit_create(kit_name("full"), &options);
    tong_mailbox *senders[SENDERS];
    uint64_t next[SENDERS] = { 0 };
    uint64_t end[SENDERS] = { 0 };
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = kit_open(kit_name("full"), TONG_SEND, NULL);
    }
    uint64_t total = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < SENDERS; i++) {
            end[i] = fill(senders[i], i, end[i], longest);
            total += end[i] - next[i];
        }
        kit_true(total > round);
        drain(box, next, end, SENDERS);
    }
    printf("memory of %zu KiB: %llu messages accepted before -ENOSPC, all came\n", bytes / 1024,
           (unsigned long long)total);
    for (uint32_t i = 0; i < SENDERS; i++) {
        kit_ok(tong_close(senders[i]));
    }
    kit_end(box, kit_name("full"));
}

static void a_full_memory_of_1_mib_is_enospc_and_loses_nothing(void)
{
    play(MIB, 50000);
}

static void a_full_memory_of_8_mib_is_enospc_and_loses_nothing(void)
{
    play(8 * MIB, LONGEST);
}

static void every_small_memory_is_enospc_and_loses_nothing(void)
{
    /* Page by page: each step of opening and sending meets the end of the memory once. */
    kit_small_memory(64 * 4096);
    const tong_options options = endless();
    unsigned opened = 0;
    unsigned refused = 0;
    for (size_t pages = 1; pages < 64; pages++) {
        char text[64];
        snprintf(text, sizeof(text), "size=%zu,mode=0700", pages * 4096);
        kit_ok(mount("tmpfs", kit_path(""), "tmpfs", MS_REMOUNT | MS_NOSUID | MS_NODEV, text));
        tong_mailbox *box = NULL;
        const int r =
            tong_open(kit_name("small"), TONG_SEND | TONG_RECEIVE | TONG_CREATE, &options, &box);
        if (r != 0) {
            kit_gives(r, -ENOSPC);
            refused++;
            tong_status status = TONG_STATUS_INIT;
            kit_gives(tong_stat(kit_name("small"), &status), -ENOENT);
            continue;
        }
        opened++;
        uint64_t next = 0;
        const uint64_t end = fill(box, 0, 0, 3000);
        drain(box, &next, &end, 1);
        kit_end(box, kit_name("small"));
    }
    printf("memory of 1 to 63 pages: opened %u times, -ENOSPC %u times\n", opened, refused);
    kit_true(opened > 0 && refused > 0);
}

static int fill_the_rest(const char *path)
{
    static char zero[4096];
    const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    kit_true(fd >= 0);
    while (write(fd, zero, sizeof(zero)) > 0) {
    }
    return fd;
}

/* Another program's file takes the last page: receiving needs none, and what is open goes on. */
static void receiving_needs_no_memory(void)
{
    kit_small_memory(4 * MIB);
    const tong_options options = endless();
    tong_mailbox *box = kit_create(kit_name("rest"), &options);
    tong_mailbox *large = kit_open(kit_name("rest"), TONG_SEND, NULL);
    static char data[MIB];
    for (uint64_t i = 0; i < 100; i++) {
        kit_payload_write(data, 300, 0, i);
        kit_ok(tong_send(box, data, 300, 0));
    }
    kit_payload_write(data, sizeof(data), 1, 0);
    kit_ok(tong_send(large, data, sizeof(data), 0));
    const int fd = fill_the_rest(kit_path(".filler"));
    tong_region *region = NULL;
    tong_mailbox *other = NULL;
    kit_gives(tong_open(kit_name("new"), TONG_SEND | TONG_CREATE, NULL, &other), -ENOSPC);
    kit_gives(tong_region_open("new", 1, TONG_WRITE | TONG_CREATE, NULL, &region), -ENOSPC);
    kit_true(other == NULL && region == NULL);
    kit_payload_write(data, sizeof(data), 1, 1);
    kit_gives(tong_send(large, data, sizeof(data), TONG_FOREVER), -ENOSPC);
    tong_slot slot = TONG_SLOT_INIT;
    kit_gives(tong_reserve(large, sizeof(data), TONG_FOREVER, &slot), -ENOSPC);
    kit_equal(kit_stat(kit_name("rest")).waiting, 101);
    uint64_t next[2] = { 0, 0 };
    for (uint64_t i = 0; i < 101; i++) {
        const ssize_t n = tong_receive(box, data, sizeof(data), 0);
        struct kit_payload head;
        kit_true(n > 0 && kit_payload_read(data, (size_t)n, &head) && head.sender < 2);
        kit_equal(head.counter, next[head.sender]);
        next[head.sender]++;
    }
    kit_is_empty(box);
    kit_ok(ftruncate(fd, 0));
    close(fd);
    kit_ok(unlink(kit_path(".filler")));
    kit_payload_write(data, sizeof(data), 1, 2);
    kit_ok(tong_send(large, data, sizeof(data), 0));
    kit_gives(tong_receive(box, data, sizeof(data), 0), (int64_t)sizeof(data));
    kit_true(kit_payload_is(data, sizeof(data), 1, 2));
    kit_ok(tong_close(large));
    kit_end(box, kit_name("rest"));
}

static void removing_needs_no_memory(void)
{
    kit_small_memory(2 * MIB);
    const tong_options options = endless();
    tong_mailbox *box = kit_create(kit_name("rest"), &options);
    tong_region *region = NULL;
    kit_ok(tong_region_open("rest", 100000, TONG_WRITE | TONG_CREATE, NULL, &region));
    kit_ok(tong_region_close(region));
    fill(box, 0, 0, 3000);
    const int fd = fill_the_rest(kit_path(".filler"));
    kit_equal(kit_free_memory(), 0);
    kit_ok(tong_remove(kit_name("rest")));
    kit_ok(tong_region_remove("rest"));
    kit_ok(tong_close(box));
    kit_true(kit_free_memory() > MIB / 2);
    close(fd);
    kit_ok(unlink(kit_path(".filler")));
}

static int receive_when_full(void *arg)
{
    uint64_t n = *(uint64_t *)arg;
    tong_mailbox *box = kit_open(kit_name("death"), TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    while (n-- > 0) {
        kit_ok(tong_claim(box, KIT_PATIENCE, &message));
        kit_ok(tong_done(box, &message));
        message = (tong_message)TONG_MESSAGE_INIT;
    }
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_report("c", 1);
    kit_await_death();
}

/* A death in a full memory is repaired without memory. */
static void a_death_in_a_full_memory_loses_nothing(void)
{
    kit_needs(KIT_IN_PLACE);
    kit_small_memory(2 * MIB);
    const tong_options options = endless();
    tong_mailbox *box = kit_create(kit_name("death"), &options);
    uint64_t n = 10;
    for (uint64_t i = 0; i < 20; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    struct kit_child child = kit_spawn(receive_when_full, &n);
    char c;
    kit_read_report(&child, &c, 1);
    const int fd = fill_the_rest(kit_path(".filler"));
    kit_kill(&child);
    bool seen[20] = { false };
    for (uint64_t i = 10; i < 20; i++) {
        const uint64_t value = kit_receive_u64(box);
        kit_true(value >= 10 && value < 20 && !seen[value]);
        seen[value] = true;
    }
    kit_is_empty(box);
    close(fd);
    kit_ok(unlink(kit_path(".filler")));
    kit_end(box, kit_name("death"));
}

/* ------------------------------------------------------------------ backlog */

static void in_and_out(uint64_t goal)
{
    enum {
        LEN = 3000
    };
    tong_options options = endless();
    tong_mailbox *box = kit_create(kit_name("backlog"), &options);
    static char data[LEN];
    uint64_t sent = 0;
    while (sent * LEN < goal) {
        kit_payload_write(data, LEN, 1, sent);
        kit_ok(tong_send(box, data, LEN, 0));
        sent++;
    }
    const uint64_t full = kit_stat(kit_name("backlog")).bytes;
    kit_true(full >= goal);
    for (uint64_t i = 0; i < sent; i++) {
        kit_gives(tong_receive(box, data, LEN, 0), LEN);
        kit_true(kit_payload_is(data, LEN, 1, i));
    }
    const uint64_t empty = kit_stat(kit_name("backlog")).bytes;
    printf("backlog: %llu MiB in and out, %llu messages, %llu KiB afterwards\n",
           (unsigned long long)(full / MIB), (unsigned long long)sent,
           (unsigned long long)(empty / 1024));
    kit_true(empty < MIB);
    kit_end(box, kit_name("backlog"));
}

static void a_backlog_goes_in_and_out_and_leaves_less_than_1_mib(void)
{
    for (uint64_t mib = 2; mib <= 8; mib += 2) {
        in_and_out(mib * MIB - MIB / 8);
    }
}

static void a_large_backlog_goes_in_and_out_and_leaves_less_than_1_mib(void)
{
    const uint64_t percent = kit_count("TONG_TEST_BACKLOG_PERCENT", 0);
    if (percent == 0) {
        kit_small_memory(64 * MIB);
    }
    /* The long form: so much of the memory of this machine. */
    in_and_out(kit_free_memory() / 100 * (percent ? percent : 80));
}

static const struct kit_test tests[] = {
    KIT_TEST(a_full_memory_of_1_mib_is_enospc_and_loses_nothing),
    KIT_TEST(a_full_memory_of_8_mib_is_enospc_and_loses_nothing),
    KIT_TEST(every_small_memory_is_enospc_and_loses_nothing),
    KIT_TEST(receiving_needs_no_memory),
    KIT_TEST(removing_needs_no_memory),
    KIT_TEST(a_death_in_a_full_memory_loses_nothing),
    KIT_TEST(a_backlog_goes_in_and_out_and_leaves_less_than_1_mib),
    KIT_TEST_LONG(a_large_backlog_goes_in_and_out_and_leaves_less_than_1_mib, 300),
};

KIT_MAIN(tests)
