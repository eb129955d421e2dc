/* Folders that are not safe, files that are not tong's, and users who may not. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"

/* ------------------------------------------------------------------ the folder */

static int list_nothing(const tong_status *status, int error, void *arg)
{
    (void)status;
    (void)error;
    (void)arg;
    return 1;
}

static int list_no_region(const tong_region_status *status, int error, void *arg)
{
    (void)status;
    (void)error;
    (void)arg;
    return 1;
}

/* Every way in answers -EACCES, and nothing is written there. */
static void expect_refused(const char *folder)
{
    tong_mailbox *box = NULL;
    tong_region *region = NULL;
    tong_status status = TONG_STATUS_INIT;
    kit_ok(setenv("TONG_DIR", folder, 1));
    kit_gives(tong_open("a", TONG_SEND | TONG_CREATE, NULL, &box), -EACCES);
    kit_gives(tong_open("a", TONG_SEND, NULL, &box), -EACCES);
    kit_gives(tong_stat("a", &status), -EACCES);
    kit_gives(tong_remove("a"), -EACCES);
    kit_gives(tong_list(list_nothing, NULL), -EACCES);
    kit_gives(tong_region_open("a", 1, TONG_WRITE | TONG_CREATE, NULL, &region), -EACCES);
    kit_gives(tong_region_remove("a"), -EACCES);
    kit_gives(tong_region_list(list_no_region, NULL), -EACCES);
    kit_true(box == NULL && region == NULL);
}

static void a_folder_that_others_may_write_is_refused(void)
{
    static const mode_t modes[] = { 0702, 0707, 0777, 01777, 0720, 0770, 03777 };
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        const char *folder = kit_make_folder(geteuid(), getegid(), modes[i]);
        expect_refused(folder);
        kit_true(strcmp(kit_entries(folder), "") == 0);
        kit_remove_folder(folder);
    }
}

static void a_link_to_a_folder_is_refused(void)
{
    const char *folder = kit_make_folder(geteuid(), getegid(), 0700);
    char target[4200];
    char link[4200];
    snprintf(target, sizeof(target), "%s/target", folder);
    snprintf(link, sizeof(link), "%s/link", folder);
    kit_ok(mkdir(target, 0700));
    kit_ok(symlink("target", link));
    expect_refused(link);
    kit_true(strcmp(kit_entries(target), "") == 0);
    kit_remove_folder(folder);
}

static void a_file_in_the_place_of_the_folder_is_refused(void)
{
    const char *folder = kit_make_folder(geteuid(), getegid(), 0700);
    char file[4200];
    snprintf(file, sizeof(file), "%s/file", folder);
    const int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    kit_true(fd >= 0);
    close(fd);
    expect_refused(file);
    kit_remove_folder(folder);
}

static int be_refused(void *arg)
{
    kit_become(KIT_BOB, KIT_BOB);
    expect_refused(arg);
    return 0;
}

static void another_users_folder_is_refused(void)
{
    kit_needs_root();
    const char *folder = kit_make_folder(KIT_ANN, KIT_ANN, 0755);
    struct kit_child child = kit_spawn(be_refused, (void *)folder);
    kit_join(&child);
    kit_true(strcmp(kit_entries(folder), "") == 0);
    kit_remove_folder(folder);
}

static void another_users_closed_folder_is_refused(void)
{
    kit_needs_root();
    const char *folder = kit_make_folder(KIT_ANN, KIT_ANN, 0700);
    struct kit_child child = kit_spawn(be_refused, (void *)folder);
    kit_join(&child);
    kit_remove_folder(folder);
}

/* ------------------------------------------------------------------ two users, one folder */

enum {
    GROUP = 65530
};

struct two {
    const char *folder;
    kit_event made;
    kit_event used;
};

static int ann_makes(void *arg)
{
    struct two *two = arg;
    kit_become(KIT_ANN, GROUP);
    kit_ok(setenv("TONG_DIR", two->folder, 1));
    tong_options options = kit_options();
    tong_mailbox *box = kit_open("private", TONG_RECEIVE | TONG_CREATE, &options);
    options.mode = 0660;
    tong_mailbox *common = kit_open("common", TONG_RECEIVE | TONG_CREATE, &options);
    kit_event_set(&two->made);
    kit_event_wait(&two->used);
    tong_message message = TONG_MESSAGE_INIT;
    kit_is_empty(box);
    kit_ok(tong_claim(common, 0, &message));
    kit_equal(message.uid, KIT_BOB);
    kit_true(message.verified & TONG_VERIFIED_UID);
    kit_true(message.len == 3 && memcmp(message.data, "bob", 3) == 0);
    kit_ok(tong_done(common, &message));
    kit_is_empty(common);
    kit_end(common, "common");
    kit_end(box, "private");
    return 0;
}

static int bob_uses(void *arg)
{
    struct two *two = arg;
    kit_become(KIT_BOB, GROUP);
    kit_ok(setenv("TONG_DIR", two->folder, 1));
    kit_event_wait(&two->made);
    tong_mailbox *box = NULL;
    tong_status status = TONG_STATUS_INIT;
    kit_gives(tong_open("private", TONG_SEND, NULL, &box), -EACCES);
    kit_gives(tong_open("private", TONG_RECEIVE, NULL, &box), -EACCES);
    kit_gives(tong_stat("private", &status), -EACCES);
    const int r = tong_remove("private");
    kit_true(r == -EPERM || r == -EACCES);
    kit_true(box == NULL);
    box = kit_open("common", TONG_SEND, NULL);
    kit_ok(tong_send(box, "bob", 3, 0));
    kit_gives(tong_remove("common"), -EPERM);
    kit_ok(tong_close(box));
    /* What is his own he may make and remove there. */
    box = kit_open("bobs", TONG_SEND | TONG_CREATE, NULL);
    kit_end(box, "bobs");
    kit_event_set(&two->used);
    return 0;
}

static int eve_tries(void *arg)
{
    struct two *two = arg;
    kit_become(65533, 65533);
    kit_ok(setenv("TONG_DIR", two->folder, 1));
    tong_mailbox *box = NULL;
    kit_event_wait(&two->made);
    kit_gives(tong_open("common", TONG_SEND, NULL, &box), -EACCES);
    kit_gives(tong_open("eves", TONG_SEND | TONG_CREATE, NULL, &box), -EACCES);
    kit_true(box == NULL);
    return 0;
}

static void a_group_shares_a_folder_and_each_keeps_its_own(void)
{
    kit_needs_root();
    struct two *two = kit_shared(sizeof(*two));
    const char *folder = kit_make_folder(0, GROUP, 03770);
    two->folder = folder;
    struct kit_child ann = kit_spawn(ann_makes, two);
    struct kit_child eve = kit_spawn(eve_tries, two);
    kit_join(&eve);
    struct kit_child bob = kit_spawn(bob_uses, two);
    kit_join(&bob);
    kit_join(&ann);
    kit_remove_folder(folder);
}

static int live_as_a_user(void *arg)
{
    kit_become(KIT_ANN, KIT_ANN);
    kit_ok(setenv("TONG_DIR", arg, 1));
    tong_mailbox *box = kit_create("own", NULL);
    for (uint64_t i = 0; i < 1000; i++) {
        kit_ok(kit_send_u64(box, i, 0));
        kit_equal(kit_receive_u64(box), i);
    }
    kit_equal(kit_stat("own").owner_uid, KIT_ANN);
    kit_end(box, "own");
    return 0;
}

static void an_ordinary_user_needs_no_right(void)
{
    kit_needs_root();
    const char *folder = kit_make_folder(KIT_ANN, KIT_ANN, 0700);
    struct kit_child child = kit_spawn(live_as_a_user, (void *)folder);
    kit_join(&child);
    kit_remove_folder(folder);
}

/* ------------------------------------------------------------------ files that are not tong's */

static void needs_shm(void)
{
    const char *carrier = getenv("TONG_CARRIER");
    if (carrier && carrier[0] != '\0' && strcmp(carrier, "shm:") != 0) {
        kit_skip("files are shared memory's");
    }
}

static void overwrite(const char *path, long offset, const void *data, size_t size)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    kit_true(fd >= 0);
    kit_true(pwrite(fd, data, size, offset) == (ssize_t)size);
    close(fd);
}

static void expect_no_mailbox(int answer)
{
    tong_mailbox *box = NULL;
    tong_status status = TONG_STATUS_INIT;
    kit_gives(tong_open("strange", TONG_SEND, NULL, &box), answer);
    kit_gives(tong_open("strange", TONG_RECEIVE, NULL, &box), answer);
    kit_gives(tong_stat("strange", &status), answer);
    kit_true(box == NULL);
}

static void foreign_and_damaged_files_are_eproto(void)
{
    needs_shm();
    static const uint32_t nonsense = 0x12345678;
    for (int way = 0; way < 4; way++) {
        kit_ok(tong_close(kit_create("strange", NULL)));
        const char *file = kit_path("strange/box");
        switch (way) {
        case 0: /* not tong's */
            overwrite(file, 0, &nonsense, sizeof(nonsense));
            break;
        case 1: /* another version */
            overwrite(file, 4, &nonsense, sizeof(nonsense));
            break;
        case 2:
            kit_ok(truncate(file, 1000));
            break;
        default:
            kit_ok(truncate(file, 0));
            break;
        }
        expect_no_mailbox(-EPROTO);
        kit_ok(tong_remove("strange"));
        expect_no_mailbox(-ENOENT);
    }
}

static int count_listed(const tong_status *status, int error, void *arg)
{
    int *errors = arg;
    kit_true(strcmp(status->name, "strange") == 0 || strcmp(status->name, "well") == 0);
    errors[status->name[0] == 'w'] = error;
    return 0;
}

static void a_damaged_mailbox_hides_no_other_from_list(void)
{
    needs_shm();
    tong_mailbox *well = kit_create("well", NULL);
    kit_ok(tong_close(kit_create("strange", NULL)));
    kit_ok(truncate(kit_path("strange/box"), 10));
    int errors[2] = { 1, 1 };
    kit_ok(tong_list(count_listed, errors));
    kit_equal(errors[1], 0);
    kit_gives(errors[0], -EPROTO);
    kit_ok(tong_remove("strange"));
    kit_end(well, "well");
}

static void a_folder_that_is_not_tongs_is_eproto(void)
{
    needs_shm();
    kit_ok(mkdir(kit_path("strange"), 0700));
    expect_no_mailbox(-EPROTO);
    kit_ok(rmdir(kit_path("strange")));
    const int fd = open(kit_path("strange"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    kit_true(fd >= 0);
    close(fd);
    expect_no_mailbox(-EPROTO);
    kit_ok(unlink(kit_path("strange")));
}

static char region_file[4096];

static int note_file(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)ftw;
    if (type == FTW_F && strstr(path, "strange")) {
        snprintf(region_file, sizeof(region_file), "%s", path);
    }
    return 0;
}

static void a_damaged_region_is_eproto(void)
{
    needs_shm();
    tong_region *region = NULL;
    kit_ok(tong_region_open("strange", 100, TONG_WRITE | TONG_CREATE, NULL, &region));
    kit_ok(tong_region_close(region));
    region = NULL;
    kit_ok(nftw(getenv("TONG_DIR"), note_file, 8, FTW_PHYS));
    kit_true(region_file[0] != '\0');
    kit_ok(truncate(region_file, 10));
    kit_gives(tong_region_open("strange", 100, TONG_WRITE, NULL, &region), -EPROTO);
    kit_true(region == NULL);
    kit_ok(tong_region_remove("strange"));
}

static const struct kit_test tests[] = {
    KIT_TEST(a_folder_that_others_may_write_is_refused),
    KIT_TEST(a_link_to_a_folder_is_refused),
    KIT_TEST(a_file_in_the_place_of_the_folder_is_refused),
    KIT_TEST(another_users_folder_is_refused),
    KIT_TEST(another_users_closed_folder_is_refused),
    KIT_TEST(a_group_shares_a_folder_and_each_keeps_its_own),
    KIT_TEST(an_ordinary_user_needs_no_right),
    KIT_TEST(foreign_and_damaged_files_are_eproto),
    KIT_TEST(a_damaged_mailbox_hides_no_other_from_list),
    KIT_TEST(a_folder_that_is_not_tongs_is_eproto),
    KIT_TEST(a_damaged_region_is_eproto),
};

KIT_MAIN(tests)
