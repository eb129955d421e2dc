/*
 * files - a folder whose files are what a crash, another program or a bad disk made of them.
 *
 * At first there are a mailbox with messages waiting, a region, and the record of a process that is
 * dead. Then the input changes words, lengths, types and names. Then everything is opened, looked at,
 * used, repaired and removed. A file is not changed while it is in use; that is for the other targets.
 */
#include "forge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <tong/tong.h>

#define SHORT_NS 20000

static const char *const names[] = { "box/box",
                                     "box/room",
                                     "box/link.0",
                                     "box/link.1",
                                     "box",
                                     "+region",
                                     ".life/00000000000000a0",
                                     ".life",
                                     ".tmp",
                                     ".tmp/gone.00000000000000a0.0",
                                     ".lock",
                                     "box/bell.0",
                                     "box/.new.00000000000000a0.x",
                                     "other",
                                     "+other",
                                     "other/box" };
#define N_NAMES (sizeof(names) / sizeof(names[0]))

static uint8_t buffer[8192];

/* ---- the folder as it was */

static void make_mailbox(const struct fuzz_bytes *script)
{
    static const uint32_t capacities[] = { TONG_UNBOUNDED, 8, 0, TONG_UNBOUNDED };
    const uint8_t how = fuzz_u8(script);
    tong_options o = TONG_OPTIONS_INIT;
    tong_mailbox *box;
    tong_mailbox *second;
    o.capacity = capacities[how % 4];
    o.max_bytes = UINT64_C(16) << 20;
    fuzz_true(tong_open("box", TONG_SEND | TONG_RECEIVE | TONG_CREATE, &o, &box) == 0);
    fuzz_true(tong_open("box", TONG_SEND, NULL, &second) == 0);
    for (uint32_t i = 0; i < how / 4 % 4; i++) {
        (void)tong_send(second, buffer, i * 3000, 0);
        (void)tong_send(box, buffer, i * 20, 0);
    }
    if (how / 16 % 2 == 0) {
        tong_message m = TONG_MESSAGE_INIT;
        (void)tong_claim(box, 0, &m);
    }
    (void)tong_close(box);
    (void)tong_close(second);
}

static void make_region(void)
{
    tong_region *region;
    fuzz_true(tong_region_open("region", 5000, TONG_WRITE | TONG_CREATE, NULL, &region) == 0);
    (void)tong_region_close(region);
}

static void make_dead(int root)
{
    const int fd = openat(root, names[6], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct tg_life_record record = { .magic = TG_LIFE_MAGIC,
                                     .version = TG_REGION_VERSION,
                                     .id = 0xa0 };
    fuzz_true(fd >= 0);
    fuzz_true(pwrite(fd, &record, sizeof(record), 0) == (ssize_t)sizeof(record));
    fuzz_true(ftruncate(fd, TG_LIFE_SIZE) == 0);
    close(fd);
}

/* ---- what became of it */

static void change_word(struct forge *f, int fd, const struct fuzz_bytes *script)
{
    static const uint32_t parts[] = {
        0, 0, 0, TG_LINK_TABLE_OFF, TG_BOX_SLOTS_OFF, TG_BOX_ROWS_OFF, TG_BOX_ENTRIES_OFF, 17 * 4096
    };
    const uint32_t part = parts[fuzz_below(script, 8)];
    const uint32_t word = fuzz_u8(script);
    const uint64_t value = forge_value(f, script);
    (void)pwrite(fd, &value, word % 2 == 0 ? 4 : 8, (off_t)(part + word / 2 * 4));
}

static void change_size(int fd, const struct fuzz_bytes *script)
{
    static const off_t sizes[] = { 0, 1, 512, 4095, 4096, 4097, 17 * 4096, 18 * 4096 };
    const uint8_t which = fuzz_u8(script);
    struct stat st;
    if (fstat(fd, &st) == 0) {
        const off_t off = which < 8 ? sizes[which] : st.st_size + (which % 2 == 0 ? 1 : -1);
        (void)ftruncate(fd, off < 0 ? 0 : off);
    }
}

static void fill(int fd, const struct fuzz_bytes *script)
{
    uint8_t bytes[64];
    const uint32_t len = fuzz_below(script, sizeof(bytes));
    for (uint32_t i = 0; i < len; i++) {
        bytes[i] = fuzz_u8(script);
    }
    (void)pwrite(fd, bytes, len, 0);
}

static void remove_whatever(int root, const char *name)
{
    const int dir = openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir >= 0) {
        fuzz_empty_folder(dir);
        close(dir);
        (void)unlinkat(root, name, AT_REMOVEDIR);
    } else {
        (void)unlinkat(root, name, 0);
    }
}

static void replace(int root, const char *name, const struct fuzz_bytes *script)
{
    const uint8_t how = fuzz_u8(script);
    remove_whatever(root, name);
    switch (how % 6) {
    case 0:
        (void)mkfifoat(root, name, 0600);
        break;
    case 1:
        (void)mkdirat(root, name, 0700);
        break;
    case 2:
        (void)symlinkat(names[how / 6 % N_NAMES], root, name);
        break;
    case 3:
        (void)linkat(root, names[how / 6 % N_NAMES], root, name, 0);
        break;
    case 4:
        close(openat(root, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        break;
    default:
        break;
    }
}

static void change(struct forge *f, const struct fuzz_bytes *script)
{
    char own_bell[32];
    const uint8_t what = fuzz_u8(script);
    const char *name = names[what % N_NAMES];
    if (strcmp(name, "box/bell.0") == 0) {
        (void)snprintf(own_bell, sizeof(own_bell), "box/bell.%u", (unsigned)geteuid());
        name = own_bell;
    }
    const uint8_t how = fuzz_u8(script);
    if (how % 8 == 7) {
        replace(f->root, name, script);
        return;
    }
    const int fd = openat(f->root, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    if (how % 8 == 6) {
        change_size(fd, script);
    } else if (how % 8 == 5) {
        fill(fd, script);
    } else {
        change_word(f, fd, script);
    }
    close(fd);
}

/* ---- and what is done with it */

static int count(const tong_status *status, int error, void *arg)
{
    (void)error;
    (void)arg;
    fuzz_true(memchr(status->name, '\0', sizeof(status->name)) != NULL);
    return 0;
}

static int look_at_party(const tong_party *party, void *arg)
{
    (void)arg;
    fuzz_true(party->role == TONG_SEND || party->role == TONG_RECEIVE);
    return 0;
}

static int count_region(const tong_region_status *status, int error, void *arg)
{
    (void)error;
    (void)arg;
    fuzz_true(memchr(status->name, '\0', sizeof(status->name)) != NULL);
    return 0;
}

static int find(const tong_finding *finding, void *arg)
{
    (void)arg;
    fuzz_true(finding->what != NULL && finding->why != NULL && finding->what_to_do != NULL);
    return 0;
}

static void observe(void)
{
    tong_observer *observer;
    tong_message info = TONG_MESSAGE_INIT;
    if (tong_observer_open("box", &observer) != 0) {
        return;
    }
    for (int i = 0; i < 20; i++) {
        const ssize_t n = tong_peek(observer, buffer, sizeof(buffer), 0, &info, NULL);
        if (n == -EAGAIN) {
            break;
        }
        fuzz_true(n < 0 || info.len == (size_t)n);
    }
    (void)tong_observer_close(observer);
}

static void look(void)
{
    tong_status status = TONG_STATUS_INIT;
    tong_region_status region = TONG_REGION_STATUS_INIT;
    (void)tong_stat("box", &status);
    (void)tong_stat("other", &status);
    (void)tong_parties("box", look_at_party, NULL);
    observe();
    (void)tong_list(count, NULL);
    (void)tong_region_stat("region", &region);
    (void)tong_region_list(count_region, NULL);
}

static void receive(void)
{
    tong_mailbox *box;
    if (tong_open("box", TONG_RECEIVE, NULL, &box) != 0) {
        return;
    }
    tong_message m = TONG_MESSAGE_INIT;
    for (uint32_t i = 0; i < 8; i++) {
        const ssize_t n = tong_receive(box, buffer, sizeof(buffer), i == 7 ? SHORT_NS : 0);
        fuzz_true(n <= (ssize_t)sizeof(buffer));
        if (n == -EMSGSIZE) {
            (void)tong_skip(box);
        }
        if (i % 4 == 1 && tong_claim(box, 0, &m) == 0) {
            if (m.len != 0) {
                (void)((const volatile uint8_t *)m.data)[m.len - 1];
            }
            (void)tong_done(box, &m);
        }
    }
    (void)tong_close(box);
}

static void send(void)
{
    tong_mailbox *box;
    if (tong_open("box", TONG_SEND, NULL, &box) != 0) {
        return;
    }
    (void)tong_send(box, buffer, 10, 0);
    (void)tong_send(box, buffer, 5000, SHORT_NS);
    (void)tong_send(box, buffer, 0, 0);
    (void)tong_close(box);
}

static void use_region(void)
{
    tong_region *region;
    if (tong_region_open("region", 0, TONG_WRITE, NULL, &region) != 0) {
        return;
    }
    const size_t size = tong_region_size(region);
    uint8_t *data = tong_region_data(region);
    data[0] = 1;
    data[size - 1] = 1;
    (void)tong_region_lock(region, 0);
    (void)tong_region_close(region);
}

static void use(uint8_t what)
{
    switch (what % 8) {
    case 0:
        (void)tong_doctor(0, find, NULL);
        break;
    case 1:
        (void)tong_doctor(1, find, NULL);
        break;
    case 2:
        look();
        break;
    case 3:
        use_region();
        break;
    case 4:
        send();
        break;
    case 5:
        (void)tong_remove(what / 8 % 2 == 0 ? "box" : "other");
        (void)tong_region_remove(what / 8 % 2 == 0 ? "region" : "other");
        break;
    default:
        receive();
        break;
    }
    fuzz_call_ends();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tg_box_row rows[FORGE_ROW + 1];
    const char *folder = fuzz_begin();
    struct fuzz_input input = { data, data + size };
    const struct fuzz_bytes script = { &input, false };
    struct forge forge = { .life_id = 0xa0, .victim_id = 0xb0, .rows = rows, .row = FORGE_ROW };
    forge.tail = (uint64_t)TG_LINK_DATA_PAGE * 4096;
    make_mailbox(&script);
    make_region();
    forge.root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make_dead(forge.root);
    for (uint32_t n = fuzz_u8(&script) % 16; n > 0; n--) {
        change(&forge, &script);
    }
    while (!fuzz_is_over(&script)) {
        use(fuzz_u8(&script));
    }
    close(forge.root);
    fuzz_end();
    return 0;
}
