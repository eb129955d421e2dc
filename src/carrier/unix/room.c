/*
 * The room file: a row for each sender, and through them the rooms of a bounded mailbox.
 *
 * The owner may be in no call while others send, so the room of the whole mailbox is not its to give: it is
 * taken by whoever sends, under a lock that the kernel takes back from the dead. Nothing is ever added up:
 *
 *     rooms taken = sum over the rows in use of (taken - done)
 *
 * where `taken` is the row's own count, and done its count in the box file, of messages finished.
 *
 *   killed behind                     what is there              made good by
 *   a row TAKEN, no HELLO             a row without a lock       the next one that wants a row
 *   a row LINKED, no HELLO            a row that nobody uses     nobody, until the mailbox ends
 *   rooms taken, not all used         taken is too high          the owner, at the end of the connection
 *   a room taken for a message that   `spare` says so          the next one that finds no room
 *     is written in place
 *   a message sent                    taken, as it should be
 *
 * I1  A row in use is written by its sender alone, but for `taken`, which is raised under the lock, by
 *     the owner for one that waits, too. Once its connection has ended the owner alone writes it.
 *     The lock is held for some system calls, never asleep.
 * I2  Rooms are taken only by a sender that is connected, so that the owner hears of its end.
 * I3  A sender goes on with the numbers of its row: it begins at done. So the row is free only when all
 *     that was sent on it is finished.
 * Who may send may write here: senders of a bounded mailbox trust each other. The owner does not: a count
 * of its own says what each link may have under way (packet.c, I2).
 */
#include "carrier/unix/room.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "carrier/unix/unix.h"

#define LOCK UINT64_C(0)
#define LIFE(row) (1 + (uint64_t)(row))
#define AT_ONCE 32u

static uint64_t offset_of(uint32_t row)
{
    return (uint64_t)row * sizeof(struct tg_unix_row);
}

int tg_unix_row_read(int room, uint32_t row, struct tg_unix_row *ret_row)
{
    const ssize_t n = tg_sys_pread_some(room, ret_row, sizeof *ret_row, offset_of(row));
    if (n < 0) {
        return (int)n;
    }
    memset((uint8_t *)ret_row + n, 0, sizeof *ret_row - (size_t)n);
    return 0;
}

int tg_unix_row_write(int room, uint32_t row, const struct tg_unix_row *r)
{
    return tg_sys_pwrite(room, r, sizeof *r, offset_of(row));
}

typedef bool each_fn(uint32_t row, const struct tg_unix_row *r, const struct tg_unix_told *told,
                     void *arg);

/* All rows that were ever used, some at a time, with what the box file tells of them. */
static int each_row(int room, int box, each_fn *each, void *arg)
{
    struct tg_unix_row rows[AT_ONCE];
    struct tg_unix_told told[AT_ONCE];
    for (uint32_t first = 0; first < TG_UNIX_ROWS; first += AT_ONCE) {
        const ssize_t n = tg_sys_pread_some(room, rows, sizeof rows, offset_of(first));
        if (n < (ssize_t)sizeof rows[0]) {
            return n < 0 ? (int)n : 0;
        }
        const int r = tg_sys_pread(box, told, sizeof told,
                                   TG_UNIX_TOLD_OFF + first * sizeof(struct tg_unix_told));
        if (r < 0) {
            return r;
        }
        for (uint32_t i = 0; i < (size_t)n / sizeof rows[0]; i++) {
            if (!each(first + i, &rows[i], &told[i], arg)) {
                return 0;
            }
        }
        if (n < (ssize_t)sizeof rows) {
            return 0;
        }
    }
    return 0;
}

/* ---- rooms */

struct sum {
    int room;
    uint64_t used;
    uint64_t links;
    uint32_t orphan; /* a dead sender's row with rooms to spare, 0 none */
};

static bool add(uint32_t row, const struct tg_unix_row *r, const struct tg_unix_told *told,
                void *arg)
{
    struct sum *sum = arg;
    const uint64_t done = told->done;
    if (row == TG_UNIX_OWN_ROW || r->state != TG_UNIX_ROW_FREE) {
        const uint64_t mine = r->taken > done ? r->taken - done : 0;
        sum->used = mine > UINT64_MAX - sum->used ? UINT64_MAX : sum->used + mine;
        sum->links++;
    }
    if (r->state == TG_UNIX_ROW_LINKED && r->spare != 0 && row != TG_UNIX_OWN_ROW &&
        tg_sys_locked_at(sum->room, LIFE(row)) == 0) {
        sum->orphan = row;
    }
    return true;
}

/* Of the row this word alone: its sender may be about to write others. */
static int set_taken(int room, uint32_t row, uint64_t taken)
{
    return tg_sys_pwrite(room, &taken, sizeof taken,
                         offset_of(row) + offsetof(struct tg_unix_row, taken));
}

/* A dead sender's rooms that it certainly did not use. First they are no spare ones any more. */
static int take_spare(int room, uint32_t row)
{
    struct tg_unix_row own;
    const uint64_t none = 0;
    int r = tg_unix_row_read(room, row, &own);
    if (r == 0) {
        r = tg_sys_pwrite(room, &none, sizeof none,
                          offset_of(row) + offsetof(struct tg_unix_row, spare));
    }
    return r < 0 ? r : set_taken(room, row, own.taken - own.spare);
}

/* Small mailboxes are exact to the last message; of large ones a sender takes some rooms in advance. */
static uint64_t block_of(uint32_t capacity, uint64_t links)
{
    const uint64_t n = capacity <= 64 ? 1 : capacity / (16 * (links != 0 ? links : 1));
    return n != 0 ? n : 1;
}

static int take_locked(int room, int box, uint32_t row, uint32_t capacity, uint64_t want,
                       bool granted, uint64_t *ret_n)
{
    struct sum sum;
    struct tg_unix_row own = { .blocked = 0 };
    int r;
    do {
        sum = (struct sum){ .room = room };
        r = each_row(room, box, add, &sum);
    } while (r == 0 && sum.used >= capacity && sum.orphan != 0 &&
             take_spare(room, sum.orphan) == 0);
    if (r == 0) {
        r = tg_unix_row_read(room, row, &own);
    }
    if (r == 0 && sum.used >= capacity) {
        r = -EAGAIN;
    }
    if (r == 0 && granted && own.blocked == 0) {
        r = -ESRCH;
    }
    if (r < 0) {
        return r;
    }
    const uint64_t free_ = capacity - sum.used;
    const uint64_t block = block_of(capacity, sum.links);
    uint64_t n = want < block ? want : block;
    n = n < free_ ? n : free_;
    r = set_taken(room, row, own.taken + n);
    if (r == 0) {
        *ret_n = n;
    }
    return r;
}

int tg_unix_room_take(int room, int box, uint32_t row, uint32_t capacity, uint64_t want,
                      uint64_t *ret_n)
{
    int r = tg_sys_lock_at(room, LOCK, true);
    if (r == 0) {
        r = take_locked(room, box, row, capacity, want, false, ret_n);
        tg_sys_unlock_at(room, LOCK);
    }
    return r;
}

int tg_unix_room_grant(int room, int box, uint32_t row, uint32_t capacity, uint64_t want,
                       uint64_t *ret_n)
{
    int r = tg_sys_lock_at(room, LOCK, false);
    if (r == 0) {
        r = take_locked(room, box, row, capacity, want, row != TG_UNIX_OWN_ROW, ret_n);
        tg_sys_unlock_at(room, LOCK);
        return r;
    }
    return r == -EAGAIN ? -EBUSY : r;
}

/* What was taken is that much less; or, if it is more, that alone. */
static int lower(int room, uint32_t row, uint64_t less, uint64_t most)
{
    struct tg_unix_row own;
    const int r = tg_unix_row_read(room, row, &own);
    if (r < 0 || (less == 0 && own.taken <= most)) {
        return r;
    }
    return set_taken(room, row, less != 0 ? own.taken - less : most);
}

/* The owner may be about to grant some. */
int tg_unix_room_put(int room, uint32_t row, uint64_t n)
{
    int r = tg_sys_lock_at(room, LOCK, true);
    if (r == 0) {
        r = lower(room, row, n, 0);
        tg_sys_unlock_at(room, LOCK);
    }
    return r;
}

/* These two without the lock, which a living sender may keep: the row has no other writer by then, and a
 * sum that is made meanwhile is the old one or the new one. */
int tg_unix_room_put_own(int room, uint64_t n)
{
    return lower(room, TG_UNIX_OWN_ROW, n, 0);
}

int tg_unix_room_settle(int room, uint32_t row, uint64_t taken)
{
    return lower(room, row, 0, taken);
}

int tg_unix_room_force(int room, uint32_t row)
{
    struct tg_unix_row own;
    int r = tg_sys_lock_at(room, LOCK, true);
    if (r == 0) {
        r = tg_unix_row_read(room, row, &own);
        if (r == 0) {
            r = set_taken(room, row, own.taken + 1);
        }
        tg_sys_unlock_at(room, LOCK);
    }
    return r;
}

void tg_unix_row_set_blocked(int room, uint32_t row, bool blocked)
{
    const uint32_t word = blocked;
    tg_unix_row_set(room, row, offsetof(struct tg_unix_row, blocked), &word, sizeof word);
}

int tg_unix_room_mine(int room, uint32_t row, uint64_t *ret_taken)
{
    struct tg_unix_row own;
    const int r = tg_unix_row_read(room, row, &own);
    if (r == 0) {
        *ret_taken = own.taken;
    }
    return r;
}

/* Under the lock: behind the end of the wait the owner grants nothing any more. */
int tg_unix_room_wait(int room, uint32_t row, bool waits)
{
    const uint32_t blocked = waits;
    int r = tg_sys_lock_at(room, LOCK, true);
    if (r == 0) {
        r = tg_sys_pwrite(room, &blocked, sizeof blocked,
                          offset_of(row) + offsetof(struct tg_unix_row, blocked));
        tg_sys_unlock_at(room, LOCK);
    }
    return r;
}

/* ---- rows */

void tg_unix_row_free(int room, uint32_t row, tg_a64 *dropped)
{
    struct tg_unix_row own;
    if (tg_unix_row_read(room, row, &own) == 0) {
        const struct tg_unix_row none = { .state = TG_UNIX_ROW_FREE };
        tg_unix_count(dropped, (int64_t)own.dropped);
        (void)tg_unix_row_write(room, row, &none);
    }
}

void tg_unix_row_set(int room, uint32_t row, size_t field, const void *value, size_t size)
{
    (void)tg_sys_pwrite(room, value, size, offset_of(row) + field);
}

struct find {
    int room;
    uint32_t row;
    uint64_t base;
};

static bool is_not_free(uint32_t row, const struct tg_unix_row *r, const struct tg_unix_told *told,
                        void *arg)
{
    struct find *find = arg;
    find->row = row + 1;
    /* A lock is kept on a free one, too: by a sender that was refused, or by whoever likes to. */
    if (row == TG_UNIX_OWN_ROW || r->state == TG_UNIX_ROW_LINKED ||
        tg_sys_locked_at(find->room, LIFE(row)) != 0) {
        return true;
    }
    find->row = row;
    find->base = told->done;
    return false;
}

static int get_locked(int room, int box, const struct tg_unix_who *who, uint32_t *ret_row,
                      uint64_t *ret_base)
{
    struct find find = { .room = room, .row = 1 };
    int r = each_row(room, box, is_not_free, &find);
    if (r == 0 && find.row >= TG_UNIX_ROWS) {
        r = -EUSERS;
    }
    if (r == 0) {
        r = tg_sys_pread(box, &find.base, sizeof find.base, TG_UNIX_DONE_OF(find.row));
    }
    if (r == 0) {
        r = tg_sys_lock_at(room, LIFE(find.row), false);
    }
    struct tg_unix_row own = { .state = TG_UNIX_ROW_TAKEN,
                               .taken = find.base,
                               .pid = (int32_t)getpid(),
                               .uid = geteuid(),
                               .process = who->process,
                               .more = who->more };
    memcpy(own.as, who->as, sizeof own.as);
    if (r == 0) {
        r = tg_unix_row_write(room, find.row, &own);
    }
    if (r == 0) {
        *ret_row = find.row;
        *ret_base = find.base;
    }
    return r;
}

int tg_unix_row_get(int room, int box, const struct tg_unix_who *who, uint32_t *ret_row,
                    uint64_t *ret_base)
{
    int r = tg_sys_lock_at(room, LOCK, true);
    if (r == 0) {
        r = get_locked(room, box, who, ret_row, ret_base);
        tg_sys_unlock_at(room, LOCK);
    }
    return r;
}

void tg_unix_row_open(int room, uint32_t row, const struct tg_unix_who *who)
{
    const uint32_t more = who->more;
    (void)tg_sys_lock_at(room, LIFE(row), false);
    tg_unix_row_set(room, row, offsetof(struct tg_unix_row, more), &more, sizeof more);
    tg_unix_row_set(room, row, offsetof(struct tg_unix_row, process), &who->process,
                    sizeof who->process);
}

void tg_unix_row_close(int room, uint32_t row)
{
    const uint64_t nobody = 0;
    tg_unix_row_set(room, row, offsetof(struct tg_unix_row, process), &nobody, sizeof nobody);
    tg_sys_unlock_at(room, LIFE(row));
}

/* ---- looking */

struct looking {
    int room;
    int result;
    int (*each)(const struct tg_unix_row_look *look, void *arg);
    void *arg;
};

static bool look_at(uint32_t row, const struct tg_unix_row *r, const struct tg_unix_told *told,
                    void *arg)
{
    struct looking *looking = arg;
    if (row == TG_UNIX_OWN_ROW || r->state != TG_UNIX_ROW_LINKED) {
        return true;
    }
    const struct tg_unix_row_look look = {
        .row = row,
        .alive = r->process != 0 && tg_sys_locked_at(looking->room, LIFE(row)) == 1,
        .r = r,
        .told = told,
    };
    looking->result = looking->each(&look, looking->arg);
    return looking->result == 0;
}

int tg_unix_room_look(int room, int box,
                      int (*each)(const struct tg_unix_row_look *look, void *arg), void *arg)
{
    struct looking looking = { .room = room, .each = each, .arg = arg };
    const int r = each_row(room, box, look_at, &looking);
    return r < 0 ? r : looking.result;
}

uint64_t tg_unix_unread(const struct tg_unix_row_look *look)
{
    const uint64_t sent = tg_load_relaxed(&look->r->sent);
    return sent > look->told->received ? sent - look->told->received : 0;
}

static int tally_row(const struct tg_unix_row_look *look, void *arg)
{
    struct tg_unix_tally *tally = arg;
    tally->rows++;
    tally->senders += look->alive && look->r->more == 0;
    tally->blocked += look->alive && look->r->blocked != 0;
    tally->dropped += look->r->dropped;
    tally->unread += tg_unix_unread(look);
    return 0;
}

int tg_unix_room_tally(int room, int box, struct tg_unix_tally *ret_tally)
{
    *ret_tally = (struct tg_unix_tally){ .rows = 0 };
    return tg_unix_room_look(room, box, tally_row, ret_tally);
}
