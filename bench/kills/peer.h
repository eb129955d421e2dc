/*
 * peer.h - one messaging system as the kill benchmark sees it.
 *
 * Each system is a module (kills-NAME.so) with one object of this type. It is loaded in the processes
 * that use it and nowhere else, so that none of them has more in it than a program of its own would.
 *
 * The queue has a name, bounded room and one or more senders and receivers. A call that cannot go on waits
 * KILLS_TICK_MS, then answers -EAGAIN, so that its process can look whether it is to stop.
 */
#ifndef TONG_BENCH_KILLS_PEER_H
#define TONG_BENCH_KILLS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    KILLS_TICK_MS = 100,
    KILLS_LEN = 1024,     /* bytes of every message */
    KILLS_DEPTH = 64,     /* messages of room, where the system lets us choose */
    KILLS_START_MS = 5000 /* how long open() may wait for the other side */
};

/* Where and as whom a process takes part. */
struct kills_place {
    bool sends; /* else it receives */
    bool first; /* it was here before the other side: it has the address, where one side must */
    const char *name;   /* of the queue: letters, digits, hyphens */
    const char *folder; /* for sockets and the like */
    const char *me;     /* of the process; whoever replaces a dead one has the same */
};

struct kills_peer {
    const char *name;
    const char *version; /* or NULL */
    bool everyone;       /* each receiver gets every message; else each message has one receiver */
    const char *daemon;  /* command that must run, or NULL */
    const char *ready;   /* what the daemon prints when it is */

    /* NULL: could not. With everyone, a receiver that is not first answers when it is joined. */
    void *(*open)(const struct kills_place *place);
    /* 0: the system has accepted it. */
    int (*send)(void *handle, const void *data, size_t len);
    /* The length. *ret_again: told to have been handed out before. */
    ssize_t (*take)(void *handle, void *data, size_t size, bool *ret_again);
    /* After take, when the message has been dealt with. NULL where there is no such thing. */
    void (*done)(void *handle);
    /* What was accepted goes on its way first. */
    void (*close)(void *handle);
    /* Take the queue away by hand, whoever is in it. NULL where nothing stays behind. */
    void (*remove)(const char *name, const char *folder);
};

/* What a module gives. */
#ifdef __cplusplus
extern "C"
#else
extern
#endif
    __attribute__((visibility("default"))) const struct kills_peer kills_peer;

#endif
