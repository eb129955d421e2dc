/*
 * Probes for tracing (USDT): places that gdb, perf, bpftrace or SystemTap find by name in the files that were
 * built. Each is one nop, and a note in the file that says where it is and where its arguments are; whether
 * somebody traces is not asked, so one that nobody uses costs that nop and an argument in a register.
 *
 * They are there where <sys/sdt.h> (systemtap-sdt-dev) was at the build; without it nothing is left of them. What
 * each tells stands in tong_probes(7); the test abi.probes holds that page against the notes.
 *
 *   send     name, length     a message was put into the mailbox, and whom it concerns was rung
 *   receive  name, length     a message was taken out, or claimed
 *   wait     name, TONG_SEND or TONG_RECEIVE    a call goes to sleep in the kernel
 *   wake     name, TONG_SEND or TONG_RECEIVE    one that sleeps is rung: a sender or a receiver
 *   grow     name, bytes      a link's file is about to grow
 *   recover  name, what       something that a dead process left is repaired: enum tg_recovered
 *
 * The name is that of the mailbox, without its carrier. It is of this process's memory: nothing is read from
 * what others can write.
 */
#ifndef TG_BASE_PROBE_H
#define TG_BASE_PROBE_H

#ifndef TONG_PROBES
#define TONG_PROBES 0
#endif

enum tg_recovered {
    TG_RECOVERED_TOKEN = 1,    /* the right to take */
    TG_RECOVERED_RECEIVER = 2, /* a receiver's place, and what it had claimed */
    TG_RECOVERED_LINK = 3,     /* a sender's link, gone on with */
    TG_RECOVERED_REGION = 4    /* the lock of a region */
};

#if TONG_PROBES
#include <sys/sdt.h>
#define TG_PROBE(what, name, number) DTRACE_PROBE2(tong, what, (const char *)(name), number)
#else
#define TG_PROBE(what, name, number) ((void)(name), (void)(number))
#endif

#endif
