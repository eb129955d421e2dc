/* Limits of the system: descriptors, senders. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kit.h"

static rlim_t limit_descriptors(rlim_t n)
{
    struct rlimit limit;
    kit_ok(getrlimit(RLIMIT_NOFILE, &limit));
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = n;
    kit_ok(setrlimit(RLIMIT_NOFILE, &limit));
    return before;
}

/* From take to give back, so many descriptors are free and no more. */
enum {
    MOST = 512
};
static int taken[MOST];
static size_t n_taken;

static void take_descriptors_but(size_t n_left)
{
    n_taken = 0;
    while (n_taken < MOST && (taken[n_taken] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        n_taken++;
    }
    kit_true(n_taken > n_left && n_taken < MOST);
    while (n_left-- > 0) {
        close(taken[--n_taken]);
    }
}

static void give_descriptors_back(void)
{
    while (n_taken > 0) {
        close(taken[--n_taken]);
    }
}

static int send_one(void *arg)
{
    tong_mailbox *box = kit_open(kit_name("few"), TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, *(uint64_t *)arg, 0));
    return tong_close(box);
}

/* How many descriptors are free: with each number of them, every call works or says -EMFILE. */
static void without_descriptors_it_is_emfile_and_nothing_is_lost(void)
{
    const rlim_t allowed = limit_descriptors(200);
    tong_mailbox *box = kit_create(kit_name("few"), NULL);
    unsigned failed = 0;
    unsigned worked = 0;
    for (size_t more = 0; more < 8; more++) {
        take_descriptors_but(more);
        tong_mailbox *other = NULL;
        const int r = tong_open(kit_name("few"), TONG_SEND | TONG_RECEIVE, NULL, &other);
        if (r != 0) {
            kit_gives(r, -EMFILE);
            failed++;
        }
        int sent = r;
        if (r == 0) {
            sent = kit_send_u64(other, more, 0);
            kit_true(sent == 0 || sent == -EMFILE);
            worked++;
        }
        tong_mailbox *new = NULL;
        const int made = tong_open(kit_name("new"), TONG_SEND | TONG_CREATE, NULL, &new);
        kit_true(made == 0 || made == -EMFILE);
        tong_region *region = NULL;
        const int mapped = tong_region_open("new", 1, TONG_WRITE | TONG_CREATE, NULL, &region);
        kit_true(mapped == 0 || mapped == -EMFILE);
        give_descriptors_back();
        if (sent == 0) {
            kit_equal(kit_receive_u64(box), more);
        }
        kit_is_empty(box);
        kit_ok(tong_close(other));
        if (made == 0) {
            kit_end(new, kit_name("new"));
        } else {
            tong_status status = TONG_STATUS_INIT;
            kit_gives(tong_stat(kit_name("new"), &status), -ENOENT);
        }
        kit_ok(tong_region_close(region));
        kit_gives(tong_region_remove("new"), mapped == 0 ? 0 : -ENOENT);
    }
    printf("few descriptors: %u opened, %u -EMFILE\n", worked, failed);
    kit_true(failed > 0 && worked > 0);
    kit_end(box, kit_name("few"));
    limit_descriptors(allowed);
}

static void a_receiver_without_descriptors_loses_no_message_of_a_new_sender(void)
{
    enum {
        N = 10
    };
    const rlim_t allowed = limit_descriptors(200);
    tong_mailbox *box = kit_create(kit_name("few"), NULL);
    for (uint64_t i = 0; i < N; i++) {
        struct kit_child child = kit_spawn(send_one, &i);
        kit_join(&child);
        take_descriptors_but(0);
        uint64_t value = 77;
        const ssize_t n = tong_receive(box, &value, sizeof(value), TONG_MS(20));
        if (n != 8) {
            /* Its link could not be mapped: that is said, and it does not look like nothing. */
            kit_gives(n, -EMFILE);
            kit_equal(value, 77);
            give_descriptors_back();
            value = kit_receive_u64(box);
        }
        give_descriptors_back();
        kit_equal(value, i);
    }
    kit_is_empty(box);
    kit_end(box, kit_name("few"));
    limit_descriptors(allowed);
}

static void a_4097th_sender_is_eusers(void)
{
    enum {
        SENDERS = 4096
    };
    if (kit_count("TONG_TEST_CROWD", 2) != 1) {
        kit_skip("it takes long; TONG_TEST_CROWD=1 runs it");
    }
    struct rlimit limit;
    kit_ok(getrlimit(RLIMIT_NOFILE, &limit));
    if (limit.rlim_max < SENDERS + 100) {
        kit_skip("it needs 4200 descriptors, %llu are allowed", (unsigned long long)limit.rlim_max);
    }
    if (kit_free_memory() < UINT64_C(512) << 20) {
        kit_skip("it needs half a GiB of shared memory");
    }
    limit_descriptors(SENDERS + 100);
    tong_mailbox *receiver = kit_open(kit_name("crowd"), TONG_RECEIVE | TONG_CREATE, NULL);
    tong_mailbox **boxes = calloc(SENDERS + 1, sizeof(tong_mailbox *));
    kit_true(boxes != NULL);
    for (uint64_t i = 0; i < SENDERS; i++) {
        boxes[i] = kit_open(kit_name("crowd"), TONG_SEND, NULL);
        kit_ok(kit_send_u64(boxes[i], i, 0));
    }
    boxes[SENDERS] = kit_open(kit_name("crowd"), TONG_SEND, NULL);
    kit_gives(kit_send_u64(boxes[SENDERS], SENDERS, 0), -EUSERS);
    kit_gives(kit_send_u64(boxes[SENDERS], SENDERS, TONG_FOREVER), -EUSERS);
    kit_equal(kit_stat(kit_name("crowd")).senders, SENDERS);
    static bool seen[SENDERS + 1];
    for (uint64_t i = 0; i < SENDERS; i++) {
        const uint64_t value = kit_receive_u64(receiver);
        kit_true(value < SENDERS && !seen[value]);
        seen[value] = true;
    }
    kit_is_empty(receiver);
    kit_ok(tong_close(boxes[7]));
    boxes[7] = NULL;
    kit_ok(kit_send_u64(boxes[SENDERS], SENDERS, 0));
    kit_equal(kit_receive_u64(receiver), SENDERS);
    for (uint64_t i = 0; i <= SENDERS; i++) {
        kit_ok(tong_close(boxes[i]));
    }
    free(boxes);
    kit_end(receiver, kit_name("crowd"));
}

static const struct kit_test tests[] = {
    KIT_TEST(without_descriptors_it_is_emfile_and_nothing_is_lost),
    KIT_TEST(a_receiver_without_descriptors_loses_no_message_of_a_new_sender),
    KIT_TEST_LONG(a_4097th_sender_is_eusers, 120),
};

KIT_MAIN(tests)
