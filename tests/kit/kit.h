/*
 * kit - what the tests against <tong/tong.h> share.
 *
 * Every test runs in a process of its own, with a mailbox folder of its own and a time limit: a
 * test that hangs is killed, named and failed, and the next one runs. It ends with no descriptor,
 * mapping, mailbox, region or child that it did not have before; kit_main() looks.
 *
 * A failed assertion prints its line and aborts the process it is in. In a spawned child it makes
 * kit_join() fail, so an assertion may stand in any process and any thread of a test.
 *
 * Waiting is for an event and has a deadline (kit_until, kit_event_wait, KIT_PATIENCE): what should
 * happen at once may take long on a busy machine, and what never happens is a failure with a name.
 *
 * Environment: KIT_SEED gives the random numbers of an earlier run; KIT_SECONDS is the patience of
 * every wait, 20 if it is not set, and the tests' limits grow with it; KIT_KEEP=1 leaves the folders
 * of the tests; TONG_CARRIER stands in front of every mailbox name ("unix:"), so that one suite runs
 * over all carriers.
 */
#ifndef TONG_KIT_H
#define TONG_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include <tong/tong.h>

/* ------------------------------------------------------------------ tests */

struct kit_test {
    const char *name; /* a fact: receive_keeps_message_when_buffer_is_short */
    void (*run)(void);
    unsigned seconds; /* time limit at a patience of 20 s; 0 = 60 */
};

#define KIT_TEST(function)                                                                         \
    {                                                                                              \
#function, function, 0                                                                     \
    }
#define KIT_TEST_LONG(function, seconds)                                                           \
    {                                                                                              \
#function, function, seconds                                                               \
    }

/*
 * Run the tests, or only those whose names the command line gives. Returns what main() returns: 0
 * all passed, 1 one failed, 77 all were skipped. "--list" prints the names.
 */
int kit_main(int argc, char **argv, const struct kit_test tests[], size_t n);

#define KIT_MAIN(tests)                                                                            \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return kit_main(argc, argv, tests, sizeof(tests) / sizeof(tests)[0]);                      \
    }

/* End this test here as skipped. Only from the process of the test itself. */
_Noreturn void kit_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Print and fail. */
_Noreturn void kit_fail_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define kit_fail(...) kit_fail_at(__FILE__, __LINE__, __VA_ARGS__)

#define kit_true(condition)                                                                        \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            kit_fail("not true: %s", #condition);                                                  \
        }                                                                                          \
    } while (0)

/* The call must give this answer; else it is printed with its text. kit_ok: 0. */
#define kit_gives(call, want) kit_gives_at(__FILE__, __LINE__, #call, (int64_t)(call), (want))
#define kit_ok(call) kit_gives(call, 0)
void kit_gives_at(const char *file, int line, const char *call, int64_t got, int64_t want);

/* Two numbers must be equal. */
#define kit_equal(got, want)                                                                       \
    kit_equal_at(__FILE__, __LINE__, #got, (uint64_t)(got), #want, (uint64_t)(want))
void kit_equal_at(const char *file, int line, const char *what, uint64_t got, const char *as,
                  uint64_t want);

/* ------------------------------------------------------------------ time and numbers */

int64_t kit_now_ns(void); /* monotonic */

/* How long a call that must succeed may take, as a timeout_ns. */
#define KIT_PATIENCE kit_patience_ns()
int64_t kit_patience_ns(void);

/* Look again and again, with pauses that grow to 5 ms, until the expression holds. */
#define kit_until(condition)                                                                       \
    do {                                                                                           \
        struct kit_poll poll_ = kit_poll_begin();                                                  \
        while (!(condition)) {                                                                     \
            kit_poll_next(&poll_, __FILE__, __LINE__, #condition);                                 \
        }                                                                                          \
    } while (0)
struct kit_poll {
    int64_t end_ns;
    long pause_ns;
};
struct kit_poll kit_poll_begin(void);
void kit_poll_next(struct kit_poll *poll, const char *file, int line, const char *what);

/* A count of the environment, or the short form's. */
uint64_t kit_count(const char *variable, uint64_t short_form);

/* Random numbers: the same for the same KIT_SEED, test and stream. */
struct kit_random {
    uint64_t state[2];
};
struct kit_random kit_random_stream(uint64_t stream);
uint64_t kit_random(struct kit_random *random);
uint64_t kit_random_below(struct kit_random *random, uint64_t limit); /* 0..limit-1; limit > 0 */
/* Let the others run for up to 3 ms: a random moment to kill one, not a wait for anything. */
void kit_random_moment(struct kit_random *random);

/* ------------------------------------------------------------------ processes */

typedef int kit_child_fn(void *arg);

struct kit_child {
    pid_t pid;
    int report_fd; /* what the child says with kit_report() */
};

/* Run function(arg) in a child and end it with what it returns. It dies with the test. */
struct kit_child kit_spawn(kit_child_fn *function, void *arg);

/* Wait for its end, with a deadline. kit_join: it must have returned 0. kit_join_status: the
 * status of waitpid(). kit_kill: SIGKILL first; the child may have ended by itself. */
void kit_join(struct kit_child *child);
int kit_join_status(struct kit_child *child);
void kit_kill(struct kit_child *child);

/* In a child: do nothing until it is killed. */
_Noreturn void kit_await_death(void);

/* Bytes from a child to its parent. The parent waits for all of them, with a deadline. */
void kit_report(const void *data, size_t size);
void kit_read_report(struct kit_child *child, void *ret_data, size_t size);

/* Zeroed memory that children share. Freed with the test's process. */
void *kit_shared(size_t size);

/* In kit_shared() memory: zero at first, set once, waited for by any number. */
typedef _Atomic uint32_t kit_event;
void kit_event_set(kit_event *event);
#define kit_event_wait(event) kit_event_wait_at(event, __FILE__, __LINE__, #event)
void kit_event_wait_at(kit_event *event, const char *file, int line, const char *what);

/* In kit_shared() memory, zero at first: n processes meet, again and again. */
typedef struct kit_barrier {
    _Atomic uint32_t arrived;
    _Atomic uint32_t round;
} kit_barrier;
void kit_barrier_wait(kit_barrier *barrier, uint32_t n);

/* How often the threads of a process went to sleep since it began, from /proc/PID/status. (Switches
 * that others force upon it are the machine's.) */
uint64_t kit_switches(pid_t pid);

/* Is the main thread of the process asleep (state S)? How many threads of the process are? */
bool kit_sleeps(pid_t pid);
unsigned kit_threads_asleep(pid_t pid);

/*
 * The account of the crash tests, one line a call, in the file $TONG_CRASH_REPORT if that is set.
 * What must stand there is the table tests/crash/operations.
 */
struct kit_deaths {
    const char *operation; /* the calls of tong.h inside of which a process died, with spaces */
    const char *role;      /* what it was, and in which state */
    const char *kind;      /* "points", "two deaths", "steps", "pairs" or "random" */
    uint64_t points;       /* different moments */
    uint64_t kills;
};
void kit_account(const struct kit_deaths *deaths, int64_t began_ns);

/* ------------------------------------------------------------------ the machine */

/* Put the mailbox folder of this test onto a tmpfs of its own with so many bytes, in a mount
 * namespace of its own. Skips the test where that is not allowed. Before anything is opened. */
void kit_small_memory(size_t bytes);
uint64_t kit_free_memory(void); /* bytes that are free where the mailbox folder is */

/* Skip unless this is root; then kit_become() in a spawned child makes it another user. */
enum {
    KIT_ANN = 65531,
    KIT_BOB = 65532
};
void kit_needs_root(void);
void kit_become(uid_t uid, gid_t gid);

/* A fresh folder outside of the test's, in memory, that others may enter. Give it to
 * kit_remove_folder() at the end. */
const char *kit_make_folder(uid_t uid, gid_t gid, mode_t mode);
void kit_remove_folder(const char *path);

/* The entries of a folder without . and .., joined with spaces, in the order of their names. */
const char *kit_entries(const char *path);
/* TONG_DIR/name of this test; the folder of a mailbox over the carrier of this test. */
const char *kit_path(const char *name);
const char *kit_box_path(const char *name);

/* How many system calls these processes make from go to their own over, by strace -c -f. They look
 * at go, set over, and wait to be let go without a call (kit_spin_until). Skips the test without
 * strace or the right to trace. */
#define kit_spin_until(condition)                                                                  \
    do {                                                                                           \
        for (const int64_t end_ = kit_now_ns() + KIT_PATIENCE; !(condition);) {                    \
            if (kit_now_ns() > end_) {                                                             \
                kit_fail("did not happen in time: %s", #condition);                                \
            }                                                                                      \
        }                                                                                          \
    } while (0)
uint64_t kit_traced_calls(const pid_t pids[], size_t n, kit_event *go, kit_event over[]);

/* ------------------------------------------------------------------ mailboxes */

/*
 * The conformance suite runs over each carrier: TONG_CARRIER is the prefix, "mq:"; without it the test is
 * about shared memory. What a carrier may refuse is the table of docs/carriers.md.
 */

/* "shm", "unix", "mq", "nats". */
const char *kit_carrier(void);

/* The mailbox's name with the carrier in front. One buffer for each of the last 16 calls. */
const char *kit_name(const char *name);

/* The rows of the table that say "no" of some carrier: carrier.c has their words. */
enum kit_ability {
    KIT_SYSTEM_OWNED = 1u << 0,
    KIT_RENDEZVOUS = 1u << 1,
    KIT_UNBOUNDED = 1u << 2,
    KIT_LINK_CAPACITY = 1u << 3,
    KIT_IN_PLACE = 1u << 4,
    KIT_OWN_POLICY = 1u << 5,
    KIT_DEATH_NOTICE = 1u << 6,
    KIT_EVERYONE = 1u << 7,
    KIT_DROP_OLDEST = 1u << 8,
    KIT_BY_KEY = 1u << 9,
    KIT_OTHERS_RECEIVE = 1u << 10,
    KIT_BY_PRIORITY = 1u << 11,
    KIT_DESCRIPTORS = 1u << 12,
    KIT_DEAD_LETTER = 1u << 13,
    KIT_GIVE = 1u << 14,
};

/* What this test is about (bits). If the table lets the carrier refuse one of them: look that it does
 * refuse, and skip the test with the reason that stands there; fail if it does not. */
void kit_needs(unsigned abilities);

/* Whether the table lets the carrier of this test refuse one of these. */
bool kit_is_refused(unsigned abilities);

/* This test is about something that one carrier alone has: skip it over the others. */
void kit_only(const char *carrier, const char *why);
/* The same, but for that one. */
void kit_not(const char *carrier, const char *why);

/* What the carrier vouches for of a sender, TONG_VERIFIED_ bits: a network for nothing. */
uint32_t kit_verified(void);

/* So many, or fewer where each costs a way over the network. */
uint64_t kit_fewer(uint64_t n);

/* The cell of a carrier in the row of a word. */
void kit_carrier_says(const char *carrier, const char *word, char *ret_cell, size_t size);

/* This test is about messages of several priorities that come in the order in which they were sent. */
void kit_needs_order(void);

/* A priority that changes no order: the carrier may hand out the highest first. */
uint32_t kit_priority(uint32_t priority);

/* So many messages, or as many as a mailbox of kit_create() without options has room for. */
uint64_t kit_room(uint64_t wanted);

/* Whether the system lets it hold few messages only: then -ENOSPC of a tong_open skips the test. */
bool kit_carrier_is_small(void);

/* Open with these flags and options; what it refuses is judged as by kit_needs(). */
#define kit_open(name, flags, options) kit_open_at(__FILE__, __LINE__, name, flags, options)
tong_mailbox *kit_open_at(const char *file, int line, const char *name, unsigned flags,
                          const tong_options *options);

/* Create it, to send and to receive. */
#define kit_create(name, options)                                                                  \
    kit_open(name, TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_EXCL, options)

/* Close and remove it. No sleep in it may have been ended by the back-stop alone: what a test waited
 * for must have come by itself. (Tests with several deaths at once use the plain calls.) */
#define kit_end(box, name) kit_end_at(__FILE__, __LINE__, box, name)
void kit_end_at(const char *file, int line, tong_mailbox *box, const char *name);

/* The defaults, as the carrier of this test allows them; the same with room for so many messages; the same
 * with this capacity. */
tong_options kit_options(void);
tong_options kit_options_for(uint32_t messages);
tong_options kit_capacity(uint32_t capacity);

tong_status kit_stat(const char *name);
#define kit_until_asleep(name, n) kit_until(kit_stat(name).receivers_asleep == (n))
#define kit_until_blocked(name, n) kit_until(kit_stat(name).senders_blocked == (n))

/* Small messages that are numbers. kit_receive_u64 waits for KIT_PATIENCE and fails. */
int kit_send_u64(tong_mailbox *box, uint64_t value, int64_t timeout_ns);
#define kit_receive_u64(box) kit_receive_u64_at(__FILE__, __LINE__, box)
uint64_t kit_receive_u64_at(const char *file, int line, tong_mailbox *box);

/* tong_receive_many() with so many buffers, of the n messages that are there: one call takes them all; over a
 * network one takes what the server hands out at once, and there are several. */
#define kit_receive_many(box, buffers, n_buffers, ret_lens, n)                                     \
    kit_receive_many_at(__FILE__, __LINE__, box, buffers, n_buffers, ret_lens, n)
void kit_receive_many_at(const char *file, int line, tong_mailbox *box,
                         const struct iovec buffers[], size_t n_buffers, size_t ret_lens[],
                         size_t n);

/* Nothing is there for this receiver now. */
#define kit_is_empty(box)                                                                          \
    do {                                                                                           \
        uint64_t nothing_;                                                                         \
        kit_gives(tong_receive(box, &nothing_, sizeof(nothing_), 0), -EAGAIN);                     \
    } while (0)

/* For lists and looks of which only the end counts. */
int kit_ignore_mailbox(const tong_status *status, int error, void *arg);
int kit_ignore_region(const tong_region_status *status, int error, void *arg);
int kit_ignore_finding(const tong_finding *finding, void *arg);

/* ------------------------------------------------------------------ payloads */

/*
 * A message that proves itself: who sent it, which one it is, its length, and a sum over all of
 * its bytes. Below KIT_PAYLOAD_MIN bytes there is no room for that: such a message holds the first
 * bytes of the head and kit_payload_check() compares with what that sender and counter would give.
 */
#define KIT_PAYLOAD_MIN 24u
struct kit_payload {
    uint32_t sender;
    uint32_t len;
    uint64_t counter;
    uint64_t sum; /* over the head before it and the bytes behind it */
};
void kit_payload_write(void *data, size_t len, uint32_t sender, uint64_t counter);
/* True if it is whole; ret_head then says whose it is. len must be at least KIT_PAYLOAD_MIN. */
bool kit_payload_read(const void *data, size_t len, struct kit_payload *ret_head);
/* True if these len bytes are what this sender's message of this counter and length holds. */
bool kit_payload_is(const void *data, size_t len, uint32_t sender, uint64_t counter);

#endif
