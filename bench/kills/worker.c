/*
 * worker.c - one sender or receiver.
 *
 * A message is its round, its sender's seat, its number, and words that follow from these three. A sender
 * says a message is promised when send has returned; a receiver checks a message off when it has it,
 * before it tells the system that it is done with it.
 */
#include "kills.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    words = KILLS_LEN / 8,
    head_words = 3
};

struct me {
    const struct kills_peer *peer;
    void *handle;
    struct kills_seat_page *seat;
    enum kills_seat number;
    bool notes;
    int64_t last_ns;            /* of the time of the death and later: the last message */
    uint64_t next[KILLS_SEATS]; /* of each sender, the least number that may come */
};

/* ------------------------------------------------------------------ messages */

static uint64_t word_of(const uint64_t head[head_words], unsigned i)
{
    return (head[0] * 0x9e3779b97f4a7c15u + head[1] * 0xbf58476d1ce4e5b9u + head[2]) ^
           ((uint64_t)i * 0x94d049bb133111ebu);
}

static void write_message(uint64_t data[words], unsigned seat, uint64_t number)
{
    data[0] = page->round;
    data[1] = seat;
    data[2] = number;
    for (unsigned i = head_words; i < words; i++) {
        data[i] = word_of(data, i);
    }
}

static bool is_whole(const uint64_t data[words], ssize_t len)
{
    if (len != KILLS_LEN || data[1] >= KILLS_SEATS) {
        return false;
    }
    for (unsigned i = head_words; i < words; i++) {
        if (data[i] != word_of(data, i)) {
            return false;
        }
    }
    return true;
}

/* ------------------------------------------------------------------ stamps */

static void add(_Atomic uint64_t *count)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static void stamp(struct me *me, unsigned sender)
{
    struct kills_seat_page *seat = me->seat;
    add(&seat->n);
    if (atomic_load_explicit(&page->killed, memory_order_acquire) == 0 ||
        atomic_load_explicit(&seat->n_after, memory_order_relaxed) > KILLS_FLOW) {
        if (atomic_load_explicit(&seat->first_of_ns[sender], memory_order_relaxed) == 0) {
            atomic_store(&seat->first_of_ns[sender], now_ns());
        }
        return;
    }
    const int64_t now = now_ns();
    const int64_t before = me->last_ns ? me->last_ns : atomic_load(&page->kill_ns);
    me->last_ns = now;
    if (now - before > atomic_load_explicit(&seat->silence_ns, memory_order_relaxed)) {
        atomic_store(&seat->silence_ns, now - before);
    }
    if (atomic_load_explicit(&seat->first_ns, memory_order_relaxed) == 0) {
        atomic_store(&seat->first_ns, now);
        atomic_store(&seat->queued_ns, queued_ns(getpid()));
    }
    if (atomic_load_explicit(&seat->first_of_ns[sender], memory_order_relaxed) == 0) {
        atomic_store(&seat->first_of_ns[sender], now);
    }
    if (atomic_load_explicit(&page->gone, memory_order_acquire) != 0) {
        add(&seat->n_after);
    }
}

static void note_error(struct me *me, int error)
{
    if (error == -EAGAIN) {
        return;
    }
    add(&me->seat->errors);
    atomic_store(&me->seat->last_error, error);
    sleep_ns(1000000);
}

/* ------------------------------------------------------------------ the two loops */

static void wait_for_go(unsigned number)
{
    while (atomic_load(&page->go[number]) == 0) {
        syscall(SYS_futex, &page->go[number], FUTEX_WAIT, 0, NULL, NULL, 0);
    }
}

static void send_all(struct me *me)
{
    uint64_t data[words];
    wait_for_go(me->number);
    for (uint64_t number = 0;
         atomic_load_explicit(&page->stop_senders, memory_order_relaxed) == 0;) {
        write_message(data, me->number, number);
        const int r = me->peer->send(me->handle, data, sizeof data);
        if (r != 0) {
            note_error(me, r);
            continue;
        }
        number++;
        atomic_store_explicit(&me->seat->promised, number, memory_order_release);
        stamp(me, me->number);
    }
}

/* Check it off, or say what is wrong with it. */
static void note(struct me *me, const uint64_t data[words], ssize_t len, bool again)
{
    if (!is_whole(data, len)) {
        add(&me->seat->broken);
        return;
    }
    if (data[0] != page->round) {
        add(&me->seat->stale);
        return;
    }
    const unsigned sender = (unsigned)data[1];
    const uint64_t number = data[2];
    if (again) {
        add(&me->seat->again);
    } else if (number < me->next[sender]) {
        add(&me->seat->broken);
    } else {
        me->next[sender] = number + 1;
    }
    if (me->notes && number < KILLS_NUMBERS) {
        if (atomic_fetch_add(&page->seen[sender][number], 1) > 0 && !again) {
            add(&me->seat->broken);
        }
    }
    stamp(me, sender);
}

static void receive_all(struct me *me)
{
    uint64_t data[words];
    while (atomic_load_explicit(&page->stop_receivers, memory_order_relaxed) == 0) {
        bool again = false;
        const ssize_t n = me->peer->take(me->handle, data, sizeof data, &again);
        if (n < 0) {
            note_error(me, (int)n);
            continue;
        }
        note(me, data, n, again);
        if (me->peer->done) {
            me->peer->done(me->handle);
        }
    }
}

_Noreturn void worker(const struct kills_system *system, enum kills_seat seat, bool sends,
                      bool notes)
{
    static const char *const names[KILLS_SEATS] = { "survivor", "victim", "second", "victim" };
    const struct kills_place place = {
        .sends = sends,
        .first = seat == SEAT_SURVIVOR,
        .name = settings.queue,
        .folder = system->folder,
        .me = names[seat],
    };
    struct me me = {
        .peer = stage_load(system), .seat = &page->seat[seat], .number = seat, .notes = notes
    };
    me.handle = me.peer->open(&place);
    atomic_store(&me.seat->ready, me.handle ? 1 : 2);
    if (!me.handle) {
        _exit(1);
    }
    if (sends) {
        send_all(&me);
    } else {
        receive_all(&me);
    }
    me.peer->close(me.handle);
    _exit(0);
}
