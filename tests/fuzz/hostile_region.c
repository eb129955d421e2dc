/*
 * hostile_region - two handles on a region lock, wait and notify; somebody else who may write it puts
 * anything into its head, between and during the calls.
 *
 * Who may write a region may write all of it, so nothing is promised of the lock then; but every
 * call ends, and a later one with a lock that is free gets it.
 */
#include "forge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tong/tong.h>

#define NAME "shared"
#define SHORT_NS 20000
#define PAGE 4096u

struct play {
    struct fuzz_input input;
    struct fuzz_bytes script;
    struct fuzz_bytes during;
    uint32_t pause;
    struct forge forge; /* for its values */
    struct forge_file head;
    tong_region *regions[2];
    uint32_t seen[2];
    size_t size[2];
};

static struct play play;
static struct tg_box_row rows[FORGE_ROW + 1];

static void strike(struct play *p, const struct fuzz_bytes *bytes)
{
    struct tg_region_head *head = (struct tg_region_head *)(void *)p->head.map;
    switch (fuzz_u8(bytes) % 4) {
    case 0:
        atomic_store(&head->lock, forge_value(&p->forge, bytes));
        break;
    case 1:
        atomic_store(&head->events, (uint32_t)forge_value(&p->forge, bytes));
        break;
    default:
        forge_scribble(&p->forge, &p->head, sizeof(*head), bytes);
        break;
    }
}

static void strike_at_point(void *arg)
{
    struct play *p = arg;
    if (fuzz_is_over(&p->during)) {
        return;
    }
    if (p->pause > 0) {
        p->pause--;
        return;
    }
    strike(p, &p->during);
    p->pause = fuzz_u8(&p->during);
}

static void begin(struct play *p, const uint8_t *data, size_t size)
{
    const char *folder = fuzz_begin();
    char path[256];
    memset(p, 0, sizeof(*p));
    p->input = (struct fuzz_input){ data, data + size };
    p->script = (struct fuzz_bytes){ &p->input, false };
    p->during = (struct fuzz_bytes){ &p->input, true };
    const uint8_t how = fuzz_u8(&p->script);
    tong_region_options o = TONG_REGION_OPTIONS_INIT;
    o.owner = how % 4 == 0 ? TONG_PROCESS : TONG_SYSTEM;
    fuzz_true(tong_region_open(NAME, 3 * PAGE / 2, TONG_WRITE | TONG_CREATE, &o, &p->regions[0]) ==
              0);
    p->size[0] = tong_region_size(p->regions[0]);
    (void)snprintf(path, sizeof(path), "%s/+%s", folder, NAME);
    p->head.fd = open(path, O_RDWR | O_CLOEXEC);
    p->head.map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, p->head.fd, 0);
    fuzz_true(p->head.map != MAP_FAILED);
    p->forge.rows = rows;
    p->forge.row = FORGE_ROW;
    /* A holder who is not there, and the record of this very process, once it has held the lock. */
    p->forge.life_id = 0x1230;
    fuzz_true(tong_region_lock(p->regions[0], 0) == 0);
    p->forge.victim_id =
        atomic_load(&((struct tg_region_head *)(void *)p->head.map)->lock) & ~UINT64_C(0xf);
    fuzz_true(tong_region_unlock(p->regions[0]) == 0);
    fuzz_at_points(strike_at_point, p);
}

static void reopen(struct play *p, uint32_t which)
{
    (void)tong_region_close(p->regions[which]);
    p->regions[which] = NULL;
    (void)tong_region_open(NAME, 0, which == 0 ? TONG_WRITE : TONG_READ, NULL, &p->regions[which]);
    p->size[which] = tong_region_size(p->regions[which]);
}

static int count(const tong_region_status *status, int error, void *arg)
{
    (void)status;
    (void)error;
    (void)arg;
    return 0;
}

static void use(struct play *p, uint32_t which, uint8_t what)
{
    tong_region *region = p->regions[which];
    const int64_t timeout_ns = what / 64 == 3 ? SHORT_NS : 0;
    volatile uint8_t *data = tong_region_data(region);
    switch (what / 8 % 6) {
    case 0:
        (void)tong_region_lock(region, timeout_ns);
        break;
    case 1:
        (void)tong_region_unlock(region);
        break;
    case 2:
        (void)tong_region_notify(region);
        break;
    case 3:
        (void)tong_region_wait(region, &p->seen[which], timeout_ns);
        break;
    default:
        /* Its size is what it was at the opening, whatever the head says by now. */
        fuzz_true(tong_region_size(region) == p->size[which]);
        (void)data[p->size[which] - 1];
        break;
    }
}

static void step(struct play *p)
{
    const uint8_t what = fuzz_u8(&p->script);
    const uint32_t which = what / 4 % 2;
    tong_region_status status = TONG_REGION_STATUS_INIT;
    switch (what % 4) {
    case 0:
        strike(p, &p->script);
        break;
    case 1:
        if (what / 8 % 4 == 0) {
            reopen(p, which);
        } else {
            (void)tong_region_stat(NAME, &status);
            (void)tong_region_list(count, NULL);
        }
        break;
    default:
        if (p->regions[which] != NULL) {
            use(p, which, what);
        }
        break;
    }
    fuzz_call_ends();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play *p = &play;
    begin(p, data, size);
    while (!fuzz_is_over(&p->script)) {
        step(p);
    }
    fuzz_at_points(NULL, NULL);
    atomic_store(&((struct tg_region_head *)(void *)p->head.map)->lock, UINT64_C(0));
    for (uint32_t i = 0; i < 2; i++) {
        const int r = p->regions[i] == NULL ? 0 : tong_region_lock(p->regions[i], 0);
        fuzz_true(r <= 0 || r == TONG_RECOVERED);
        (void)tong_region_close(p->regions[i]);
    }
    (void)munmap(p->head.map, PAGE);
    close(p->head.fd);
    fuzz_end();
    return 0;
}
