/*
 * peer.h - one messaging system, or one bare way of the machine, as bench/peers sees it.
 *
 * main.c is linked with one file of this folder, which has one object of this type: bin/bench/peer-NAME. Two
 * processes, the asking side (0) and the answering side (1), are joined by one way there and one way
 * back. Calls answer 0 or a negative errno; -EOPNOTSUPP from open(): this size or mode is impossible.
 */
#ifndef TONG_BENCH_PEERS_PEER_H
#define TONG_BENCH_PEERS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    PEER_DEPTH = 64,      /* messages of room, where the system lets us choose */
    PEER_START_MS = 5000, /* how long open() may wait for the other side */
    PEER_LARGEST = 1 << 26
};

/* What a run is about; the same for both sides, but for `side`. */
struct peer_place {
    int side;
    size_t size;        /* of every message, 8 at least */
    size_t depth;       /* messages of room: fewer when they are large */
    const char *mode;   /* one of the peer's modes */
    bool poll;          /* mode is "poll": nobody sleeps */
    const char *name;   /* unlike that of any other run: letters, digits, hyphens */
    const char *folder; /* for sockets and the like */
    void *shared;       /* memory that both sides see, as much as shared_size() asked for, zero */
};

struct peer {
    const char *name;
    const char *version; /* or NULL */
    const char *modes;   /* with a space between; the first is the default */
    /* A daemon that must run: a command line for /bin/sh, with the folder in $PEER_DIR and a port in
     * $PEER_PORT, and what it prints when it is ready; or NULL. */
    const char *daemon;
    const char *ready;

    bool trips_only; /* there is no queue: one message each way at a time */

    /* Where the peer starts its processes itself, and main() is one of the two: its side. Else NULL. */
    int (*start)(int *argc, char ***argv);
    /* Bytes of peer_place.shared; NULL: none. */
    size_t (*shared_size)(const struct peer_place *place);
    /* In the parent, before there are two sides; what it opens they inherit. NULL: nothing to do. */
    int (*prepare)(struct peer_place *place);

    /* Side 1 first, then side 0. */
    int (*open)(const struct peer_place *place, void **ret_handle);
    /* When both are open: wait until they are joined. NULL: they are. */
    int (*join)(void *handle);
    /* One message of place->size bytes, with the pauses or sleeps of the mode. */
    int (*send)(void *handle, const void *data);
    int (*receive)(void *handle, void *data);
    void (*close)(void *handle);
    /* After both sides: take away what stays behind. NULL: nothing does. */
    void (*remove)(const struct peer_place *place);
};

/* What a file of this folder gives. */
#ifdef __cplusplus
extern "C"
#else
extern
#endif
    const struct peer peer;

static inline void peer_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Reads every byte, as who takes a message in place does. */
static inline void peer_read(const void *data, size_t len)
{
    typedef uint64_t words __attribute__((vector_size(32), may_alias, aligned(8)));
    const unsigned char *at = (const unsigned char *)data;
    words sums[4] = { { 0 }, { 0 }, { 0 }, { 0 } };
    for (; len >= sizeof sums; at += sizeof sums, len -= sizeof sums) {
        for (int i = 0; i < 4; i++) {
            words w;
            __builtin_memcpy(&w, at + (size_t)i * sizeof w, sizeof w);
            sums[i] += w;
        }
    }
    sums[0] += sums[1] + sums[2] + sums[3];
    __asm__ volatile("" : : "r"(sums[0][0] + sums[0][1] + sums[0][2] + sums[0][3]));
}

#define PEER_TEXT_(x) #x
#define PEER_TEXT(x) PEER_TEXT_(x)

#endif
