/*
 * hostile_receiver - the victim sends; whoever owns the mailbox writes anything into all of its files.
 *
 * Nothing is promised of messages here: who owns a mailbox decides what becomes of them. The victim
 * must not crash, must not take memory without end, and its calls must end: soon after their time, and
 * if somebody holds them (a receiver at capacity 0 that never decides), as soon as that one is gone.
 */
#include "forge.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include <tong/tong.h>

#define NAME "hostile"
#define SHORT_NS 20000

struct play {
    struct fuzz_input input;
    struct fuzz_bytes script;
    struct fuzz_bytes during;
    uint32_t pause;
    struct forge forge;
    tong_mailbox *box;
    tong_mailbox *other; /* a second sender */
    tong_slot slot;
    bool reserved;
};

static struct play play;

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
    forge_strike_sender(&p->forge, &p->during);
    p->pause = fuzz_u8(&p->during);
}

/* A call is held: whoever holds it goes. What then does not end, never does. */
static void let_go(void)
{
    fuzz_at_excess(NULL);
    play.input.at = play.input.end;
    forge_release(&play.forge);
}

static tong_options options(struct play *p)
{
    static const uint32_t capacities[] = { TONG_UNBOUNDED, 2, 0, 8 };
    const uint8_t how = fuzz_u8(&p->script);
    tong_options o = TONG_OPTIONS_INIT;
    o.capacity = capacities[how % 4];
    o.link_capacity = how / 4 % 4 == 0 ? 2 : TONG_DEFAULT;
    static const uint32_t full[] = { TONG_DROP_NEWEST, TONG_DROP_OLDEST, TONG_BLOCK, TONG_BLOCK };
    o.full = full[how / 16 % 4];
    o.max_bytes = how / 64 % 2 == 0 ? UINT64_C(8) << 20 : UINT64_C(200000);
    return o;
}

static void begin(struct play *p, const uint8_t *data, size_t size)
{
    const char *folder = fuzz_begin();
    memset(p, 0, sizeof(*p));
    p->input = (struct fuzz_input){ data, data + size };
    p->script = (struct fuzz_bytes){ &p->input, false };
    p->during = (struct fuzz_bytes){ &p->input, true };
    const tong_options o = options(p);
    const uint8_t how = fuzz_u8(&p->script);
    fuzz_true(tong_open(NAME, TONG_SEND | TONG_CREATE, &o, &p->box) == 0);
    forge_begin(&p->forge, folder, NAME, fuzz_is_root() && how % 4 != 0);
    p->forge.row = 0;
    p->forge.may_resize = p->forge.is_other_user;
    forge_make_life(&p->forge, how / 4 % 2 == 0);
    forge_take_box(&p->forge, NAME);
    forge_make_bells(&p->forge);
    fuzz_at_points(strike_at_point, p);
    fuzz_at_excess(let_go);
}

static void send_many(struct play *p, uint32_t len, int64_t timeout_ns)
{
    static uint8_t bytes[65536];
    const struct iovec parts[] = { { bytes, len }, { bytes, 0 }, { bytes, 300 } };
    (void)tong_send_many(p->box, parts, 3, timeout_ns);
}

static void end_reservation(struct play *p, uint32_t how)
{
    if (!p->reserved) {
        return;
    }
    if (how % 2 == 0) {
        memset(p->slot.data, 0x5a, p->slot.len);
        (void)tong_commit(p->box, &p->slot, p->slot.len);
    } else {
        (void)tong_abort(p->box, &p->slot);
    }
    p->reserved = false;
}

static void reserve(struct play *p, uint32_t len, int64_t timeout_ns)
{
    if (!p->reserved) {
        p->slot = (tong_slot)TONG_SLOT_INIT;
        p->reserved = tong_reserve(p->box, len, timeout_ns, &p->slot) == 0;
    }
}

static void reopen(struct play *p, uint32_t how)
{
    tong_mailbox **box = how % 2 == 0 ? &p->box : &p->other;
    if (how % 2 == 0) {
        end_reservation(p, 1);
    }
    (void)tong_close(*box);
    *box = NULL;
    (void)tong_open(NAME, TONG_SEND, NULL, box);
}

static void look_around(struct play *p, uint32_t how)
{
    tong_status status = TONG_STATUS_INIT;
    tong_death death = TONG_DEATH_INIT;
    if (how % 4 == 0) {
        (void)tong_watch(p->box, SHORT_NS, &death);
    } else if (how % 8 == 1) {
        (void)tong_give(p->box, NULL);
    } else {
        (void)tong_stat(NAME, &status);
    }
}

static void step(struct play *p)
{
    static uint8_t bytes[262144];
    const uint8_t what = fuzz_u8(&p->script);
    const int64_t timeout_ns = what / 8 % 2 == 0 ? 0 : SHORT_NS;
    const uint32_t len =
        what / 16 % 4 == 0 ? (uint32_t)fuzz_u16(&p->script) * 4 : fuzz_u8(&p->script);
    if (p->box == NULL) {
        reopen(p, 0);
    }
    switch (p->box == NULL ? 0 : what % 8) {
    case 0:
    case 1:
        forge_strike_sender(&p->forge, &p->script);
        break;
    case 2:
        look_around(p, what / 8);
        break;
    case 3:
        send_many(p, len < 65536 ? len : 65536, timeout_ns);
        break;
    case 4:
        reserve(p, len, timeout_ns);
        break;
    case 5:
        end_reservation(p, what / 8);
        break;
    case 6:
        if (what >= 128) {
            reopen(p, what / 8);
        } else if (p->other != NULL) {
            (void)tong_send(p->other, bytes, len, timeout_ns);
        }
        break;
    default:
        (void)tong_send(p->box, bytes, len, timeout_ns);
        break;
    }
    fuzz_call_ends();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin(&play, data, size);
    while (!fuzz_is_over(&play.script)) {
        step(&play);
    }
    end_reservation(&play, 0);
    (void)tong_close(play.box);
    (void)tong_close(play.other);
    fuzz_at_points(NULL, NULL);
    forge_end(&play.forge);
    fuzz_end();
    return 0;
}
