/*
 * Somebody was there first: links, FIFOs, sockets, folders and hard links under every name that tong
 * uses. Nothing behind them changes, no call hangs, every answer is an error or what was asked for, and
 * when they are gone all names work.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kit.h"

#define SECRET "nobody writes here"

enum thing {
    LINK_TO_A_FILE,
    LINK_TO_NOTHING,
    LINK_TO_A_FOLDER,
    HARD_LINK,
    A_FIFO,
    A_SOCKET,
    A_FOLDER,
    AN_EMPTY_FILE,
    THINGS
};

/* Outside of the folder, beside it. */
static const char *beside(const char *name)
{
    static char path[4][4096];
    static unsigned next;
    char *at = path[next++ % 4];
    (void)snprintf(at, sizeof(path[0]), "%s-%s", getenv("TONG_DIR"), name);
    return at;
}

static void make_victims(void)
{
    const int fd = open(beside("file"), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    kit_true(fd >= 0 && write(fd, SECRET, sizeof(SECRET)) == sizeof(SECRET));
    (void)close(fd);
    kit_ok(mkdir(beside("folder"), 0700));
}

static void victims_are_unharmed(void)
{
    char text[64] = "";
    struct stat st;
    const int fd = open(beside("file"), O_RDONLY | O_CLOEXEC);
    kit_true(fd >= 0);
    kit_equal(read(fd, text, sizeof(text)), sizeof(SECRET));
    (void)close(fd);
    kit_true(strcmp(text, SECRET) == 0);
    kit_ok(stat(beside("file"), &st));
    kit_equal(st.st_mode & 07777, 0600);
    kit_true(stat(beside("nothing"), &st) != 0 && errno == ENOENT);
    kit_ok(stat(beside("folder"), &st));
    kit_equal(st.st_mode & 07777, 0700);
    kit_true(kit_entries(beside("folder"))[0] == '\0');
}

static void plant(const char *path, enum thing thing)
{
    switch (thing) {
    case LINK_TO_A_FILE:
        kit_ok(symlink(beside("file"), path));
        break;
    case LINK_TO_NOTHING:
        kit_ok(symlink(beside("nothing"), path));
        break;
    case LINK_TO_A_FOLDER:
        kit_ok(symlink(beside("folder"), path));
        break;
    case HARD_LINK:
        kit_ok(link(beside("file"), path));
        break;
    case A_FIFO:
        kit_ok(mkfifo(path, 0600));
        break;
    case A_SOCKET: {
        /* By a short name: an address has room for 108 bytes. */
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "s" };
        const int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        kit_true(fd >= 0 && here >= 0);
        kit_ok(chdir(getenv("TONG_DIR")));
        kit_ok(bind(fd, (const struct sockaddr *)&address, sizeof(address)));
        kit_ok(rename("s", path));
        kit_ok(fchdir(here));
        (void)close(here);
        (void)close(fd);
        break;
    }
    case A_FOLDER:
        kit_ok(mkdir(path, 0700));
        break;
    default: {
        const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        kit_true(fd >= 0);
        (void)close(fd);
        break;
    }
    }
}

/* Use whatever lets itself be used. */
static void try_all(void)
{
    tong_mailbox *box = NULL;
    tong_region *region = NULL;
    tong_status status = TONG_STATUS_INIT;
    tong_region_status region_status = TONG_REGION_STATUS_INIT;
    char data[16];
    const unsigned flags[] = { TONG_SEND, TONG_RECEIVE, TONG_SEND | TONG_RECEIVE | TONG_CREATE };
    for (size_t i = 0; i < 3; i++) {
        if (tong_open("box", flags[i], NULL, &box) == 0) {
            (void)tong_send(box, "x", 1, 0);
            (void)tong_receive(box, data, sizeof(data), 0);
            kit_ok(tong_close(box));
        }
    }
    (void)tong_stat("box", &status);
    (void)tong_list(kit_ignore_mailbox, NULL);
    if (tong_region_open("box", 10, TONG_WRITE | TONG_CREATE, NULL, &region) == 0) {
        kit_true(tong_region_lock(region, 0) >= 0);
        kit_ok(tong_region_close(region));
    }
    (void)tong_region_stat("box", &region_status);
    (void)tong_region_list(kit_ignore_region, NULL);
    (void)tong_doctor(0, kit_ignore_finding, NULL);
    (void)tong_doctor(1, kit_ignore_finding, NULL);
}

static void all_works(void)
{
    tong_mailbox *box = kit_create("box", NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_equal(kit_receive_u64(box), 1);
    kit_end(box, "box");
    tong_region *region = NULL;
    kit_ok(tong_region_open("box", 10, TONG_WRITE | TONG_CREATE, NULL, &region));
    kit_ok(tong_region_close(region));
    kit_ok(tong_region_remove("box"));
}

/* Whatever it is; a folder with what was put into it. */
static void dig_out(const char *path)
{
    char command[8300];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", path);
    kit_equal(system(command), 0);
}

/* ------------------------------------------------------------------ names of the folder */

static void whatever_stands_in_the_folder_first_harms_nothing_else(void)
{
    static const char *const names[] = { "box", "+box", ".life", ".lock", ".tmp" };
    make_victims();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (int thing = 0; thing < THINGS; thing++) {
            dig_out(kit_path(names[i])); /* what an earlier use made */
            plant(kit_path(names[i]), (enum thing)thing);
            try_all();
            victims_are_unharmed();
            (void)tong_remove("box");
            (void)tong_region_remove("box");
            victims_are_unharmed();
            dig_out(kit_path(names[i]));
            /* Without .lock or .tmp nothing could be taken away. */
            (void)tong_remove("box");
            (void)tong_region_remove("box");
            all_works();
        }
    }
    dig_out(beside("file"));
    dig_out(beside("folder"));
}

/* ------------------------------------------------------------------ names of a mailbox */

static void whatever_stands_in_a_mailbox_harms_nothing_else(void)
{
    char bell[64];
    (void)snprintf(bell, sizeof(bell), "box/bell.%u", (unsigned)geteuid());
    const char *const names[] = { "box/box", "box/room", bell, "box/link.0", "box/bell.4000000" };
    make_victims();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (int thing = 0; thing < THINGS; thing++) {
            tong_mailbox *box = kit_create("box", NULL);
            kit_ok(kit_send_u64(box, 1, 0));
            kit_ok(tong_close(box));
            dig_out(kit_path(names[i]));
            plant(kit_path(names[i]), (enum thing)thing);
            try_all();
            victims_are_unharmed();
            kit_ok(tong_remove("box"));
            kit_true(tong_doctor(1, kit_ignore_finding, NULL) >= 0);
            victims_are_unharmed();
            all_works();
            dig_out(kit_path(".tmp"));
        }
    }
    dig_out(beside("file"));
    dig_out(beside("folder"));
}

/* ------------------------------------------------------------------ parts of another mailbox */

/* A file of one mailbox under its name in another is not that other's: their ids differ. */
static void a_part_of_another_mailbox_is_not_taken_for_its_own(void)
{
    char bell[64];
    (void)snprintf(bell, sizeof(bell), "bell.%u", (unsigned)geteuid());
    const char *const names[] = { "room", bell, "link.0" };
    const tong_options options = kit_capacity(10);
    for (size_t i = 0; i < 3; i++) {
        tong_mailbox *other = kit_create("other", &options);
        kit_ok(kit_send_u64(other, 7, 0));
        tong_mailbox *box = kit_create("box", &options);
        kit_ok(kit_send_u64(box, 1, 0));
        kit_ok(tong_close(box));
        char from[4096];
        char to[4096];
        (void)snprintf(from, sizeof(from), "%s/other/%s", getenv("TONG_DIR"), names[i]);
        (void)snprintf(to, sizeof(to), "%s/box/%s", getenv("TONG_DIR"), names[i]);
        kit_ok(unlink(to));
        kit_ok(link(from, to));
        const int r = tong_open("box", TONG_SEND | TONG_RECEIVE, NULL, &box);
        if (r == 0) {
            uint64_t value = 0;
            const ssize_t n = tong_receive(box, &value, sizeof(value), 0);
            kit_true(n == -EAGAIN || (n == 8 && value == 1)); /* never the other's message */
            kit_ok(tong_close(box));
        } else {
            kit_gives(r, -EPROTO);
        }
        kit_equal(kit_receive_u64(other), 7);
        kit_ok(tong_remove("box"));
        kit_ok(tong_close(other));
        kit_ok(tong_remove("other"));
    }
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(whatever_stands_in_the_folder_first_harms_nothing_else, 120),
    KIT_TEST_LONG(whatever_stands_in_a_mailbox_harms_nothing_else, 120),
    KIT_TEST(a_part_of_another_mailbox_is_not_taken_for_its_own),
};

KIT_MAIN(tests)
