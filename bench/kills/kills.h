/*
 * kills.h - what happens when a process is killed in the middle of a stream.
 *
 *   sender ──► queue ──► receiver        1 KiB, numbered, as fast as it goes
 *   kill -9 of one of the two at a random moment. Already there and opened:
 *     - receiver killed: a second receiver, waiting in its call (where a message has one receiver,
 *       the two share them)
 *     - sender killed: a second sender that begins when the first is killed
 *   and after that a newcomer under the dead one's name.
 *
 * All figures come from stamps that the survivors write into memory shared with the harness, so the
 * harness's own turn on a processor is in none of them.
 */
#ifndef TONG_BENCH_KILLS_H
#define TONG_BENCH_KILLS_H

#include "peer.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum {
    KILLS_SEATS = 4,         /* processes of one round */
    KILLS_NUMBERS = 1 << 24, /* messages of one sender that are checked off; later ones are not */
    KILLS_FLOW = 50,         /* so many messages after the death are a flow again */
    KILLS_MAX = 100000       /* kills of one role */
};

/* A seat is a process's place in a round, and the number of a sender in its messages. */
enum kills_seat {
    SEAT_SURVIVOR, /* the one on the other side: the sender if receivers are killed */
    SEAT_VICTIM,
    SEAT_SECOND,
    SEAT_NEWCOMER
};

/* ------------------------------------------------------------------ shared memory */

/* Written by its process alone. Times are CLOCK_MONOTONIC, 0 = not yet. */
struct kills_seat_page {
    _Alignas(128) _Atomic uint32_t ready;     /* 1: opened, 2: could not */
    _Atomic uint64_t n;                       /* messages sent or taken */
    _Atomic uint64_t n_after;                 /* of these, after the victim was gone */
    _Atomic int64_t first_ns;                 /* the first after kill() had returned */
    _Atomic int64_t first_of_ns[KILLS_SEATS]; /* the same, of that sender */
    _Atomic int64_t silence_ns; /* longest time without one, from the kill to the flow */
    _Atomic int64_t queued_ns;  /* at first_ns: ever spent waiting for a processor */
    _Atomic uint64_t broken;    /* not what was sent */
    _Atomic uint64_t again;     /* marked as handed out before */
    _Atomic uint64_t stale;     /* of an earlier round */
    _Atomic uint64_t errors;    /* calls that failed otherwise than for time */
    _Atomic int32_t last_error;
    _Atomic uint64_t promised; /* sends that have returned 0 */
};

struct kills_page {
    _Alignas(128) _Atomic uint32_t go[KILLS_SEATS]; /* futex: a sender may begin */
    _Atomic uint32_t killed;                        /* kill() has returned */
    _Atomic uint32_t gone;                          /* the victim was waited for */
    _Atomic uint32_t stop_senders;
    _Atomic uint32_t stop_receivers;
    _Atomic int64_t kill_ns; /* before kill() */
    uint64_t round;
    struct kills_seat_page seat[KILLS_SEATS];
    struct {
        char name[32];
        char version[32];
        char daemon[64];
        char ready[64];
        bool everyone;
        bool loaded;
    } about; /* what a module says of itself */
    _Alignas(4096) _Atomic uint8_t seen[KILLS_SEATS][KILLS_NUMBERS]; /* how often a number came */
};

/* ------------------------------------------------------------------ systems */

enum kills_role {
    KILL_RECEIVER,
    KILL_SENDER,
    KILL_ROLES
};

struct kills_result {
    unsigned kills;
    unsigned hung;          /* no flow within the limit */
    unsigned newcomer_hung; /* it did flow, but not to or from a newcomer */
    unsigned crashed;       /* survivors that ended by themselves */
    unsigned not_started;   /* rounds before whose kill nothing flowed */
    uint64_t broken;        /* corrupted, invented, out of order, or twice without a mark */
    uint64_t again;         /* twice, marked */
    uint64_t lost;          /* send returned 0 and no survivor ever had it */
    unsigned rounds_lost;   /* rounds with lost ones */
    uint64_t promised;
    uint64_t errors;
    int last_error;
    long left;              /* files more than before the kills; -1: not counted */
    unsigned cures[3];      /* hangs looked into: new processes help; only removal helps; nothing */
    double worst_ms;        /* the worst of next_ms */
    double worst_queued_ms; /* and how long its processes waited for a processor */
    double *next_ms;        /* kill to next message */
    double *silence_ms;
    double *newcomer_ms; /* start of the newcomer to its first message */
    unsigned n_next, n_newcomer;
};

struct kills_system {
    const char *module;  /* kills-NAME.so */
    const char *package; /* what to install */
    int module_fd;
    bool present;
    char name[32];
    char version[32];
    char daemon[64];
    char ready[64];
    bool everyone;
    bool warm; /* a round went by without a kill; what stays for good is there */
    char folder[64];
    pid_t daemon_pid;
    struct kills_result result[KILL_ROLES];
};

struct kills_settings {
    unsigned kills;
    int64_t limit_ns;
    bool verbose;
    bool isolated; /* memory, temporary files and queues of our own: files can be counted */
    bool realtime; /* the harness is scheduled before the others */
    const char *queue;
};
extern struct kills_settings settings;
extern struct kills_page *page;

int64_t now_ns(void);
void sleep_ns(int64_t ns);
/* How long a process has ever been ready to run and has not run; 0: not told here. */
int64_t queued_ns(pid_t pid);
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ------------------------------------------------------------------ stage.c */

/* Own mount and IPC namespaces if this is allowed, and the shared page. */
void stage_begin(void);
void stage_end(void);

/* Load the module in a process that ends again, and fill in what it says. */
bool system_look(struct kills_system *system);
void system_start(struct kills_system *system);
void system_stop(struct kills_system *system);
/* Away with its queue, its files and its daemon, and start anew. */
void system_clean(struct kills_system *system);

/* Files and queues there are, of all systems; -1 if that says nothing. */
long stage_count_files(void);

/* The module's table, in the process that uses it; ends the process if it cannot be had. */
const struct kills_peer *stage_load(const struct kills_system *system);
/* Fork; in the child no output, unless verbose, and death with the harness. */
pid_t stage_fork(void);

/* ------------------------------------------------------------------ worker.c */

/* Take part in a round until told to stop. notes: what it takes is checked off. */
_Noreturn void worker(const struct kills_system *system, enum kills_seat seat, bool sends,
                      bool notes);

/* ------------------------------------------------------------------ round.c, report.c */

/* One round; false: nothing flowed even after cleaning. */
bool round_play(struct kills_system *system, enum kills_role role);

void report_table(struct kills_system systems[], size_t n);
void report_json(const struct kills_system systems[], size_t n, FILE *file);

#endif
