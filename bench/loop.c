/*
 * loop.c - one process sends to itself and receives, N times: the path without a peer.
 *
 * For counting, not for timing: `valgrind --tool=callgrind` gives instructions, `strace -c` system
 * calls. `scripts/bench-count` runs it twice with different N, so that the set-up cancels out.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tong/tong.h>

enum {
    many = 32,
    most_bytes = 1 << 20
};

static void check(const char *what, ssize_t answer)
{
    if (answer < 0) {
        fprintf(stderr, "loop: %s: %s\n", what, tong_strerror((int)answer));
        exit(1);
    }
}

static void copying(tong_mailbox *box, unsigned char *bytes, size_t size)
{
    check("tong_send", tong_send(box, bytes, size, TONG_FOREVER));
    check("tong_receive", tong_receive(box, bytes, size, TONG_FOREVER));
}

static void in_place(tong_mailbox *box, unsigned char *bytes, size_t size)
{
    tong_slot slot = TONG_SLOT_INIT;
    check("tong_reserve", tong_reserve(box, size, TONG_FOREVER, &slot));
    memcpy(slot.data, bytes, size);
    check("tong_commit", tong_commit(box, &slot, size));
    tong_message message = TONG_MESSAGE_INIT;
    check("tong_claim", tong_claim(box, TONG_FOREVER, &message));
    memcpy(bytes, message.data, size);
    check("tong_done", tong_done(box, &message));
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the pieces point into bytes */
static void at_once(tong_mailbox *box, unsigned char *bytes, size_t size)
{
    struct iovec pieces[many];
    size_t lens[many];
    for (size_t i = 0; i < many; i++) {
        pieces[i] = (struct iovec){ bytes + i * size, size };
    }
    for (size_t sent = 0; sent < many;) {
        const ssize_t some = tong_send_many(box, pieces + sent, many - sent, TONG_FOREVER);
        check("tong_send_many", some);
        sent += (size_t)some;
    }
    for (size_t taken = 0; taken < many;) {
        const ssize_t some =
            tong_receive_many(box, pieces + taken, many - taken, TONG_FOREVER, lens + taken);
        check("tong_receive_many", some);
        taken += (size_t)some;
    }
}

static const struct manner {
    const char *name;
    void (*once)(tong_mailbox *box, unsigned char *bytes, size_t size);
    unsigned long messages;
} manners[] = {
    { "copying", copying, 1 },
    { "in-place", in_place, 1 },
    { "many", at_once, many },
};

static void create(const char *name, uint32_t capacity, tong_mailbox **ret_box)
{
    tong_options options = TONG_OPTIONS_INIT;
    options.capacity = capacity;
    check("tong_open",
          tong_open(name, TONG_SEND | TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options, ret_box));
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 5) {
        fprintf(stderr, "usage: loop copying|in-place|many N [SIZE [CAPACITY]]\n");
        return 2;
    }
    const struct manner *manner = NULL;
    for (size_t i = 0; i < sizeof manners / sizeof manners[0]; i++) {
        manner = strcmp(argv[1], manners[i].name) == 0 ? &manners[i] : manner;
    }
    const unsigned long n = strtoul(argv[2], NULL, 10);
    const size_t size = argc > 3 ? strtoul(argv[3], NULL, 10) : 64;
    const uint32_t capacity = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : TONG_UNBOUNDED;
    static unsigned char bytes[many * most_bytes];
    if (manner == NULL || n == 0 || size > most_bytes) {
        fprintf(stderr, "loop: no such way, no number, or too long a message\n");
        return 2;
    }
    alarm(300); /* nothing here has to wait: a call that does would do so for ever */
    tong_mailbox *box;
    create("loop", capacity, &box);
    for (unsigned long done = 0; done < n; done += manner->messages) {
        manner->once(box, bytes, size);
    }
    check("tong_close", tong_close(box));
    check("tong_remove", tong_remove("loop"));
    return 0;
}
