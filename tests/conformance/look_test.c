/* Looking: stat, list, the folder, the texts, the doctor. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

static void stat_counts_what_happened(void)
{
    tong_mailbox *box = kit_create(kit_name("counts"), NULL);
    tong_status status = kit_stat(kit_name("counts"));
    kit_equal(status.struct_size, sizeof(status));
    kit_true(strcmp(status.name, "counts") == 0);
    kit_true(status.carrier[0] != '\0');
    kit_equal(status.owner_uid, geteuid());
    kit_equal(status.owner_pid, status.owner == TONG_PROCESS ? getpid() : 0);
    kit_equal(status.receivers, 1);
    kit_equal(status.receivers_asleep, 0);
    kit_equal(status.senders_blocked, 0);
    kit_equal(status.waiting + status.claimed + status.sent + status.done, 0);
    kit_equal(status.dropped + status.redelivered + status.deaths, 0);
    for (uint64_t i = 0; i < 10; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    status = kit_stat(kit_name("counts"));
    kit_equal(status.links, 1);
    kit_equal(status.senders, 1);
    kit_equal(status.waiting, 10);
    kit_equal(status.sent, 10);
    kit_true(status.bytes > 0);
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, 0, &message));
    kit_receive_u64(box);
    kit_gives(tong_skip(box), 8);
    status = kit_stat(kit_name("counts"));
    kit_equal(status.waiting, 7);
    kit_equal(status.claimed, 1);
    kit_equal(status.sent, 10);
    kit_equal(status.done, 2);
    kit_ok(tong_return(box, &message));
    status = kit_stat(kit_name("counts"));
    kit_equal(status.waiting, 8);
    kit_equal(status.claimed, 0);
    kit_equal(status.redelivered, 1);
    tong_mailbox *second = kit_open(kit_name("counts"), TONG_SEND | TONG_RECEIVE, NULL);
    kit_ok(kit_send_u64(second, 1, 0));
    status = kit_stat(kit_name("counts"));
    kit_equal(status.links, 2);
    kit_equal(status.senders, 2);
    kit_equal(status.receivers, 2);
    kit_equal(status.sent, 11);
    kit_ok(tong_close(second));
    status = kit_stat(kit_name("counts"));
    kit_equal(status.links, 2);
    kit_equal(status.senders, 1);
    kit_equal(status.receivers, 1);
    kit_equal(status.backstop_finds, 0);
    kit_end(box, kit_name("counts"));
}

static int receive_7(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(kit_name("asleep"), TONG_RECEIVE, NULL);
    kit_equal(kit_receive_u64(box), 7);
    return tong_close(box);
}

static int send_7(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(kit_name("asleep"), TONG_SEND, NULL);
    kit_ok(kit_send_u64(box, 7, KIT_PATIENCE));
    return tong_close(box);
}

static void stat_counts_who_waits(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    enum {
        N = 3
    };
    const tong_options options = kit_capacity(N);
    tong_mailbox *box = kit_create(kit_name("asleep"), &options);
    struct kit_child children[N];
    for (uint32_t i = 0; i < N; i++) {
        children[i] = kit_spawn(receive_7, NULL);
        kit_until_asleep(kit_name("asleep"), i + 1);
    }
    kit_equal(kit_stat(kit_name("asleep")).receivers, N + 1);
    for (uint32_t i = 0; i < N; i++) {
        kit_ok(kit_send_u64(box, 7, 0));
    }
    for (uint32_t i = 0; i < N; i++) {
        kit_join(&children[i]);
    }
    kit_equal(kit_stat(kit_name("asleep")).receivers_asleep, 0);
    for (uint32_t i = 0; i < N; i++) {
        kit_ok(kit_send_u64(box, 1, 0));
    }
    for (uint32_t i = 0; i < N; i++) {
        children[i] = kit_spawn(send_7, NULL);
        kit_until_blocked(kit_name("asleep"), i + 1);
    }
    for (uint32_t i = 0; i < 2 * N; i++) {
        kit_receive_u64(box);
    }
    for (uint32_t i = 0; i < N; i++) {
        kit_join(&children[i]);
    }
    kit_equal(kit_stat(kit_name("asleep")).senders_blocked, 0);
    kit_end(box, kit_name("asleep"));
}

static int sleep_in_receive(void *arg)
{
    (void)arg;
    kit_receive_u64(kit_open(kit_name("asleep"), TONG_RECEIVE, NULL));
    return 1;
}

static void stat_does_not_count_the_dead(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = kit_create(kit_name("asleep"), NULL);
    struct kit_child child = kit_spawn(sleep_in_receive, NULL);
    kit_until_asleep(kit_name("asleep"), 1);
    kit_kill(&child);
    if (strcmp(kit_carrier(), "nats") == 0) {
        /* The server knows that it sleeps, and hears of its end from the network. */
        kit_until_asleep(kit_name("asleep"), 0);
    }
    const tong_status status = kit_stat(kit_name("asleep"));
    kit_equal(status.receivers, 1);
    kit_equal(status.receivers_asleep, 0);
    kit_end(box, kit_name("asleep"));
}

static void stat_wants_its_struct_size(void)
{
    tong_mailbox *box = kit_create(kit_name("size"), NULL);
    tong_status status = TONG_STATUS_INIT;
    status.struct_size = 0;
    kit_gives(tong_stat(kit_name("size"), &status), -EINVAL);
    kit_end(box, kit_name("size"));
}

static void stat_leaves_its_output_alone_when_it_fails(void)
{
    tong_status status = TONG_STATUS_INIT;
    status.waiting = 77;
    kit_gives(tong_stat(kit_name("nothing"), &status), -ENOENT);
    kit_equal(status.waiting, 77);
}

static void mailboxes_have_ids_of_their_own(void)
{
    tong_mailbox *a = kit_create(kit_name("a"), NULL);
    tong_mailbox *b = kit_create(kit_name("b"), NULL);
    const tong_status of_a = kit_stat(kit_name("a"));
    const tong_status of_b = kit_stat(kit_name("b"));
    const tong_status again = kit_stat(kit_name("a"));
    kit_true(memcmp(of_a.id, of_b.id, sizeof(of_a.id)) != 0);
    kit_true(memcmp(of_a.id, again.id, sizeof(of_a.id)) == 0);
    kit_end(a, kit_name("a"));
    kit_end(b, kit_name("b"));
}

/* ------------------------------------------------------------------ list */

struct list {
    char names[16][TONG_NAME_MAX];
    size_t n;
    size_t stop_at;
};

static int note_name(const tong_status *status, int error, void *arg)
{
    struct list *list = arg;
    kit_ok(error);
    kit_equal(status->struct_size, sizeof(*status));
    kit_true(list->n < 16);
    strcpy(list->names[list->n++], status->name);
    return list->n == list->stop_at ? 42 : 0;
}

static void list_shows_all_in_the_order_of_their_names(void)
{
    static const char *const names[] = { "m", "b", "z", "A", "10", "9", "a.b", "a" };
    static const char *const sorted[] = { "10", "9", "A", "a", "a.b", "b", "m", "z" };
    enum {
        N = sizeof(names) / sizeof(names[0])
    };
    tong_mailbox *boxes[N];
    for (size_t i = 0; i < N; i++) {
        boxes[i] = kit_create(kit_name(names[i]), NULL);
    }
    struct list list = { .n = 0 };
    kit_ok(tong_list(note_name, &list));
    kit_equal(list.n, N);
    for (size_t i = 0; i < N; i++) {
        if (strcmp(list.names[i], sorted[i]) != 0) {
            kit_fail("place %zu has %s, not %s", i, list.names[i], sorted[i]);
        }
    }
    list = (struct list){ .stop_at = 3 };
    kit_gives(tong_list(note_name, &list), 42);
    kit_equal(list.n, 3);
    for (size_t i = 0; i < N; i++) {
        kit_end(boxes[i], kit_name(names[i]));
    }
}

static void list_of_nothing_is_empty(void)
{
    struct list list = { .n = 0 };
    kit_ok(tong_list(note_name, &list));
    kit_equal(list.n, 0);
    tong_mailbox *box = kit_create(kit_name("x"), NULL);
    kit_end(box, kit_name("x"));
    kit_ok(tong_list(note_name, &list));
    kit_equal(list.n, 0);
    kit_gives(tong_list(NULL, NULL), -EINVAL);
}

static void list_without_a_folder_is_empty(void)
{
    char folder[4096];
    snprintf(folder, sizeof(folder), "%s/not-there", getenv("TONG_DIR"));
    kit_ok(setenv("TONG_DIR", folder, 1));
    struct list list = { .n = 0 };
    kit_ok(tong_list(note_name, &list));
    kit_ok(tong_region_list(NULL, NULL) == -EINVAL ? 0 : 1);
    kit_equal(list.n, 0);
    /* Looking does not make it. */
    kit_true(access(folder, F_OK) != 0);
}

/* ------------------------------------------------------------------ the folder, the texts */

static void the_folder_is_the_one_of_the_environment(void)
{
    char path[4096] = "x";
    const char *want = getenv("TONG_DIR");
    kit_gives(tong_folder(path, sizeof(path)), (int64_t)strlen(want));
    kit_true(strcmp(path, want) == 0);
    strcpy(path, "x");
    kit_gives(tong_folder(path, strlen(want)), -ENAMETOOLONG);
    kit_true(strcmp(path, "x") == 0);
    kit_gives(tong_folder(path, strlen(want) + 1), (int64_t)strlen(want));
}

static void the_folder_without_it_is_the_users_own_in_memory(void)
{
    char path[64];
    char want[64];
    kit_ok(unsetenv("TONG_DIR"));
    snprintf(want, sizeof(want), "/dev/shm/tong-%u", (unsigned)geteuid());
    kit_gives(tong_folder(path, sizeof(path)), (int64_t)strlen(want));
    kit_true(strcmp(path, want) == 0);
}

static void the_version_is_the_headers(void)
{
    char want[32];
    snprintf(want, sizeof(want), "%d.%d.%d", TONG_VERSION_MAJOR, TONG_VERSION_MINOR,
             TONG_VERSION_PATCH);
    kit_true(strcmp(tong_version(), want) == 0);
}

static void every_answer_has_a_text_of_its_own(void)
{
    static const int codes[] = {
        EAGAIN,  ETIMEDOUT, EMSGSIZE,   ENOENT,    EEXIST, EBUSY,  EBADF,        EACCES,
        EPERM,   EIDRM,     EOWNERDEAD, EPROTO,    ENOSPC, ENOMEM, EMFILE,       ENFILE,
        ENOBUFS, ECHILD,    EINTR,      ECANCELED, EINVAL, EUSERS, ENAMETOOLONG, EOPNOTSUPP,
    };
    enum {
        N = sizeof(codes) / sizeof(codes[0])
    };
    for (size_t i = 0; i < N; i++) {
        const char *text = tong_strerror(-codes[i]);
        kit_true(text && strlen(text) > 5);
        kit_true(strcmp(text, tong_strerror(codes[i])) == 0);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(text, tong_strerror(codes[j])) == 0) {
                kit_fail("%d and %d have one text: %s", codes[i], codes[j], text);
            }
        }
    }
    kit_true(tong_strerror(0) != NULL);
    kit_true(tong_strerror(99999) != NULL && tong_strerror(-99999) != NULL);
    kit_true(tong_strerror(INT32_MIN) != NULL && tong_strerror(INT32_MAX) != NULL);
}

static int note_finding(const tong_finding *finding, void *arg)
{
    kit_equal(finding->struct_size, sizeof(*finding));
    kit_true(finding->severity <= 2);
    kit_true(finding->what && finding->why && finding->what_to_do);
    unsigned *n = arg;
    n[finding->severity]++;
    return 0;
}

/* Nothing of the mailbox folder is wrong; what the machine lacks (severity 2) is not ours. */
static void a_healthy_folder_has_nothing_to_repair(void)
{
    unsigned n[3] = { 0 };
    tong_mailbox *box = kit_create(kit_name("well"), NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    const int found = tong_doctor(0, note_finding, n);
    kit_equal(found, n[1] + n[2]);
    kit_equal(n[1], 0);
    kit_true(tong_doctor(1, note_finding, n) >= 0);
    kit_equal(n[1], 0);
    kit_equal(kit_receive_u64(box), 1);
    kit_end(box, kit_name("well"));
}

static const struct kit_test tests[] = {
    KIT_TEST(stat_counts_what_happened),
    KIT_TEST(stat_counts_who_waits),
    KIT_TEST(stat_does_not_count_the_dead),
    KIT_TEST(stat_wants_its_struct_size),
    KIT_TEST(stat_leaves_its_output_alone_when_it_fails),
    KIT_TEST(mailboxes_have_ids_of_their_own),
    KIT_TEST(list_shows_all_in_the_order_of_their_names),
    KIT_TEST(list_of_nothing_is_empty),
    KIT_TEST(list_without_a_folder_is_empty),
    KIT_TEST(the_folder_is_the_one_of_the_environment),
    KIT_TEST(the_folder_without_it_is_the_users_own_in_memory),
    KIT_TEST(the_version_is_the_headers),
    KIT_TEST(every_answer_has_a_text_of_its_own),
    KIT_TEST(a_healthy_folder_has_nothing_to_repair),
};

KIT_MAIN(tests)
