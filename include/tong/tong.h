/*
 * tong - inter-process communication for Linux: send and receive through mailboxes.
 *
 * A mailbox has a name. Processes open it to send, to receive, or both. A message is
 * a row of bytes with a length; it is whole or it is not there. Messages of one sender
 * arrive in the order they were sent. Nothing needs a daemon or a configuration file.
 *
 * Rules of every call:
 *   - It returns 0 or more, or a negative errno; tong_strerror() gives the text. errno is not used.
 *     Beyond those listed, every call hands on -EIO of a folder on a disk that fails.
 *   - Times are relative nanoseconds on the monotonic clock: TONG_MS(5), TONG_SEC(2).
 *     0 does not wait for the other side, TONG_FOREVER has no limit, another negative time is -EINVAL.
 *   - Outputs stand last, are called ret_, and keep their value when the call fails.
 *   - Structs begin with struct_size, set by their INIT macro.
 *   - The library starts no thread, installs no signal handler, prints nothing, never aborts.
 *   - Any number of threads may use one handle at once; one handle a thread is the fast way.
 *     No call is async-signal-safe but tong_interrupt() and tong_strerror().
 *   - A handle made before fork() gives -ECHILD in the child: open again there.
 *   - To the others exec(), exit() and whatever else ends a process without tong_close() are its death.
 *   - pthread_cancel() takes effect outside of the calls, never in one. A signal handler must not
 *     leave a call by longjmp(). One that runs while a call waits ends it with -EINTR; with
 *     SA_RESTART the call may go on instead, and tong_interrupt() in the handler ends it.
 *
 * Names are 1 to 127 characters of A-Z a-z 0-9 . _ - and do not begin with a dot or a
 * hyphen. A name may say its carrier in front ("shm:jobs"); without one it is shared memory.
 */
#ifndef TONG_TONG_H
#define TONG_TONG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TONG_VERSION_MAJOR 0
#define TONG_VERSION_MINOR 1
#define TONG_VERSION_PATCH 0

#if defined(__GNUC__)
#define TONG_API __attribute__((visibility("default")))
#else
#define TONG_API
#endif

/* The size of a buffer that holds any name with its final NUL. */
#define TONG_NAME_MAX 128

/* Times, for every timeout_ns. */
#define TONG_FOREVER ((int64_t)-1)
#define TONG_MS(n) ((int64_t)(n)*INT64_C(1000000))
#define TONG_SEC(n) ((int64_t)(n)*INT64_C(1000000000))

/* Flags of tong_open() and tong_region_open(). */
#define TONG_SEND 0x01u    /* the handle may send */
#define TONG_RECEIVE 0x02u /* the handle may receive */
#define TONG_CREATE 0x04u  /* make it if it is not there */
#define TONG_EXCL 0x08u    /* with TONG_CREATE: -EEXIST if it is there */
#define TONG_READ 0x10u    /* regions: map for reading */
#define TONG_WRITE 0x20u   /* regions: map for writing, too */
/* With TONG_RECEIVE, of a mailbox with TONG_EVERYONE: begin not with the next message sent, but with the
 * oldest that a receiver has not finished; if none is there, that none had. Elsewhere it changes nothing. */
#define TONG_FROM_OLDEST 0x40u

/* Capacities. */
#define TONG_UNBOUNDED UINT32_MAX             /* no limit in messages; max_bytes still holds */
#define TONG_DEFAULT 0u                       /* of link_capacity, see there */
#define TONG_CAPACITY_MAX ((uint32_t)8388607) /* the largest bounded capacity, 2^23 - 1 */

/* The longest message, bytes. */
#define TONG_MESSAGE_MAX UINT32_MAX

/* Who gets a message when several receivers wait. Where it is neither any nor exclusive, a receiver
 * that comes leaves to each of those who wait the message that is there for it, and takes one only
 * if there is one more. */
enum tong_delivery {
    TONG_FIRST_COME = 0,  /* the one who has waited longest */
    TONG_ANY = 1,         /* whoever reaches it first; fastest with several receivers */
    TONG_EXCLUSIVE = 2,   /* there is one receiver at a time; a second one gets -EBUSY */
    TONG_ROUND_ROBIN = 3, /* each in turn: of those who wait the next one behind the last served */
    TONG_RANDOM = 4,      /* one of those who wait, each with the same chance */
    /* who has the fewest claims, of several the one who has waited longest; who comes with more than one
     * who waits leaves it to that one, always */
    TONG_LEAST_LOADED = 5,
    /* who has the message's key (tong_send_options): it took the first message with that key, and gets all
     * others until it closes its handle or dies; no key is with two receivers at a time. What has no key, or
     * one that is nobody's yet, goes as with first-come. A receiver passes over what is another's, 64
     * messages of a sender at most: then what stands behind them waits for the other one. There are 1024
     * places for keys: several may share one, and go to the same receiver. */
    TONG_BY_KEY = 6,
    TONG_EVERYONE = 7, /* all of them: each gets every message; see tong_open() */
    TONG_OWN = 8       /* whom your function chooses: tong_options.policy, tong_policy_register() */
};

/* The longest name of a policy of your own, with the final 0. */
#define TONG_POLICY_MAX 64

/* A receiver that waits, as a policy of your own sees it. */
typedef struct tong_waiting {
    uint64_t order;  /* the lower, the longer it has waited */
    uint32_t slot;   /* its number, while its handle is open; lower ones are given first */
    uint32_t claims; /* messages it has in hand */
    int32_t pid;     /* its process, as it says itself, in its own namespace */
    uint32_t served; /* 1: it was the last to take a message */
} tong_waiting;

/* Choose one of waiting[0..n), n >= 1: an index; any other answer is the one who has waited longest. Called
 * in any of the receivers, perhaps oftener than messages come. All wait for it: it calls nothing of tong. */
typedef size_t tong_choose_fn(const tong_waiting *waiting, size_t n, void *arg);

/* Whose the mailbox or region is. */
enum tong_owner {
    TONG_SYSTEM = 0, /* stays until it is removed */
    TONG_PROCESS = 1 /* ends when the process that created it closes it or dies */
};

/* What a send does when there is no room. */
enum tong_full {
    TONG_BLOCK = 0, /* wait for room, up to the time-out */
    TONG_DROP_NEWEST =
        1, /* drop the message being sent, count it, return TONG_DROPPED; at capacity 0
                            that is: unless a receiver waits */
    TONG_DROP_OLDEST =
        2 /* drop the sender's oldest, count it, send this one, return TONG_DROPPED */
};

/* Positive answers. */
#define TONG_DROPPED 1   /* tong_send: the mailbox was full and a message was dropped */
#define TONG_RECOVERED 1 /* tong_region_lock: yours, but its last holder died inside */

typedef struct tong_mailbox tong_mailbox;
typedef struct tong_region tong_region;

/*
 * What a mailbox is. Given to tong_open() when it is created; NULL there takes it as it is.
 */
typedef struct tong_options {
    uint32_t struct_size;
    uint32_t delivery;      /* enum tong_delivery */
    uint32_t owner;         /* enum tong_owner */
    uint32_t full;          /* enum tong_full */
    uint32_t capacity;      /* messages in the whole mailbox, a claimed one counts until done:
                               0 = rendezvous, a send returns when it was received;
                               1..TONG_CAPACITY_MAX; TONG_UNBOUNDED */
    uint32_t link_capacity; /* messages in the mailbox from each sender: 1..TONG_CAPACITY_MAX,
                               TONG_UNBOUNDED, or TONG_DEFAULT: 1024 where capacity is
                               TONG_UNBOUNDED, otherwise no limit of its own */
    uint32_t message_size;  /* bytes every message has; 0 = any length up to TONG_MESSAGE_MAX */
    uint32_t mode;          /* permissions as in chmod, 0600 and more of 0666; more needs a folder
                               that others may use, else -EACCES */
    uint64_t max_bytes; /* memory the messages may take, not 0; beyond it a send gives -ENOSPC */
    uint32_t max_deliveries; /* how often tong_claim() hands a message out: one that comes back
                                then goes to dead_letter; 1..65534, 0 no limit */
    uint32_t
        by_priority; /* 1: what has a higher priority (tong_send_options) is received first, what a
                             sender sends with one priority in its order. Each sender has a link for
                             each priority it uses, with link_capacity, and where it is
                             TONG_DROP_OLDEST drops its oldest of the same priority. 0: in the order
                             in which they were sent, whatever their priority */
    /* The mailbox for those; it must exist by then. What it does not take, being absent, full or of
     * capacity 0, is set aside: not lost, not handed out, counted by tong_stat(), tried again once a
     * second while the mailbox is used, thrown away by tong_skip() when nothing else waits. It keeps
     * its room and the memory behind it. NULL: all of them are. */
    const char *dead_letter;
    const char *policy; /* of your own, by its name: delivery is TONG_OWN or left at 0; or NULL */
} tong_options;

#define TONG_OPTIONS_INIT                                                                          \
    {                                                                                              \
        (uint32_t)sizeof(tong_options), TONG_FIRST_COME, TONG_SYSTEM, TONG_BLOCK, TONG_UNBOUNDED,  \
            TONG_DEFAULT, 0u, 0600u, UINT64_C(268435456), 0u, 0u, NULL, NULL                       \
    }

/* A message that is being written in place: between tong_reserve() and tong_commit(). */
typedef struct tong_slot {
    uint32_t struct_size;
    uint32_t reserved;
    void *data; /* write here; aligned to 16 bytes */
    size_t len; /* bytes you may write */
    uint64_t private_[2];
} tong_slot;

#define TONG_SLOT_INIT                                                                             \
    {                                                                                              \
        (uint32_t)sizeof(tong_slot), 0u, NULL, 0u,                                                 \
        {                                                                                          \
            0u, 0u                                                                                 \
        }                                                                                          \
    }

/* Bits of tong_message.verified. */
#define TONG_VERIFIED_UID 0x1u /* the kernel says that uid is the sender's */
#define TONG_VERIFIED_PID 0x2u /* unix: and pid, of who made the connection, in this namespace */
#define TONG_VERIFIED_GID 0x4u /* unix: and gid, its effective group by then */

/* The highest priority. */
#define TONG_PRIORITY_MAX 31u

/* What a sender says of a message: see tong_send_with(). */
typedef struct tong_send_options {
    uint32_t struct_size;
    uint32_t priority; /* 0..TONG_PRIORITY_MAX, the highest */
    uint64_t tag;      /* what the message is: any number of yours; 0 none */
    uint64_t key;      /* what it is about: see tong_key(); 0 none */
    uint64_t call;     /* a number that comes back with the reply; 0 none */
    int64_t expiry_ns; /* from the beginning of the call on; then nobody is handed the message any
                             more: who would receive it throws it away. 0 never */
    const char *reply_to; /* the mailbox for a reply, of the same carrier; NULL none */
} tong_send_options;

#define TONG_SEND_OPTIONS_INIT                                                                     \
    {                                                                                              \
        (uint32_t)sizeof(tong_send_options), 0u, 0u, 0u, 0u, 0, NULL                               \
    }

/* Which messages a receiver wants: see tong_receive_with(). All that is said must hold. */
typedef struct tong_receive_options {
    uint32_t struct_size;
    uint32_t min_priority; /* this or a higher one; 0: any */
    uint64_t tag;          /* this one; 0: any, and none */
    const char *from;      /* the sender's process, by name; NULL: any, and one without a name */
} tong_receive_options;

#define TONG_RECEIVE_OPTIONS_INIT                                                                  \
    {                                                                                              \
        (uint32_t)sizeof(tong_receive_options), 0u, 0u, NULL                                       \
    }

/* A message that was claimed, between tong_claim() and tong_done() or tong_return(); or what
 * tong_receive_with() tells of one that was received. */
typedef struct tong_message {
    uint32_t struct_size;
    uint32_t deliveries; /* 1 the first time; more: it was handed out before and not done */
    const void *data;    /* read here; aligned to 16 bytes; valid until done or returned */
    size_t len;          /* bytes */
    uint64_t sequence;   /* number in its sender's link: by one more each time (at capacity 0 by one
                            or more); a later sender in the link's place goes on with it */
    uint32_t uid;        /* the sender's user; see verified */
    uint32_t gid;        /* the sender's group; unless verified as it says itself */
    int32_t pid;         /* its process; unless verified as it says itself, in its own namespace */
    uint32_t verified;   /* TONG_VERIFIED_ bits: which of these the kernel vouches for */
    uint64_t private_[2];
    uint64_t key; /* as tong_send_options, from here ... */
    uint64_t tag;
    uint64_t call;
    uint32_t priority; /* ... to here: 0 where the sender said nothing */
    uint32_t reserved;
    uint64_t sent_ns; /* when tong_send_with() was called, nanoseconds of CLOCK_BOOTTIME; else 0 */
    char sender[TONG_NAME_MAX];   /* the sender's process, if it has a name; else "" */
    char reply_to[TONG_NAME_MAX]; /* as in tong_send_options, without a carrier, "" none */
} tong_message;

#define TONG_MESSAGE_INIT                                                                          \
    {                                                                                              \
        (uint32_t)sizeof(tong_message), 0u, NULL, 0u, 0u, 0u, 0u, 0, 0u, { 0u, 0u }, 0u, 0u, 0u,   \
            0u, 0u, 0u, { 0 },                                                                     \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* What tong_stat() and tong_list() tell. Counts are a snapshot; they move while you read. */
typedef struct tong_status {
    uint32_t struct_size;
    uint32_t delivery; /* as in tong_options, from here ... */
    uint32_t owner;
    uint32_t full;
    uint32_t capacity;
    uint32_t link_capacity; /* as it acts: never TONG_DEFAULT */
    uint32_t message_size;
    uint32_t mode;
    uint64_t max_bytes; /* ... to here */
    char name[TONG_NAME_MAX];
    char carrier[16];
    uint8_t id[16];                  /* a mailbox removed and made again has another id */
    uint32_t owner_uid;              /* whose files they are */
    int32_t owner_pid;               /* of a process-owned mailbox, as it says itself; else 0 */
    uint32_t links;                  /* link files, in use or with messages waiting */
    uint32_t senders;                /* living ones: handles that have sent */
    uint32_t senders_blocked;        /* links whose living sender is asleep for want of room */
    uint32_t receivers;              /* living receivers */
    uint32_t receivers_asleep;       /* of these, asleep waiting for a message */
    uint32_t claimed;                /* messages handed out and not done */
    uint64_t waiting;                /* messages to be handed out, returned ones included. With
                                        TONG_EVERYONE a message counts once for each receiver, from
                                        claimed to dropped; while there is none, once */
    uint64_t sent;                   /* messages ever committed; TONG_DROP_OLDEST: those dropped,
                                        too: done + dropped + what is still there */
    uint64_t done;                   /* messages ever finished: received, done, skipped, expired */
    uint64_t dropped;                /* messages dropped because it was full */
    uint64_t redelivered;            /* messages given back by tong_return or a death */
    uint64_t deaths;                 /* receivers found dead */
    uint64_t bytes;                  /* memory the files of the mailbox take */
    uint64_t backstop_finds;         /* sleeps that only the back-stop timer ended: 0 is right */
    uint64_t dead_letters;           /* messages moved to the dead-letter mailbox */
    uint32_t set_aside;              /* messages handed out too often that it did not take */
    uint32_t max_deliveries;         /* as in tong_options */
    char dead_letter[TONG_NAME_MAX]; /* as in tong_options, "" none */
    char policy[TONG_POLICY_MAX];    /* as in tong_options, "" none */
    uint64_t expired;                /* of those done, thrown away because their time was over */
    uint32_t by_priority;            /* as in tong_options */
    uint32_t reserved;
} tong_status;

#define TONG_STATUS_INIT                                                                           \
    {                                                                                              \
        (uint32_t)sizeof(tong_status), 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, { 0 }, { 0 }, { 0 }, 0u, 0, \
            0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, { 0 }, { 0 }, 0u,  \
            0u, 0u                                                                                 \
    }

/* Where a dead letter comes from: see tong_origin_of(). */
typedef struct tong_origin {
    uint32_t struct_size;
    uint32_t deliveries; /* how often it was handed out there */
    uint64_t sequence;   /* as tong_message.sequence there */
    uint32_t uid;        /* of its sender, as the kernel told who moved it */
    int32_t pid;         /* of its sender, as it said itself */
    uint8_t id[16];      /* of the mailbox */
    char name[TONG_NAME_MAX];
} tong_origin;

#define TONG_ORIGIN_INIT                                                                           \
    {                                                                                              \
        (uint32_t)sizeof(tong_origin), 0u, 0u, 0u, 0, { 0 },                                       \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* The death of a process that used a mailbox: see tong_watch(). */
typedef struct tong_death {
    uint32_t struct_size;
    uint32_t roles; /* what it had open there: TONG_SEND, TONG_RECEIVE, or both */
    int32_t pid;    /* as it said itself, in its own namespace */
    uint32_t uid;   /* whose files it had: the kernel vouches for it */
} tong_death;

#define TONG_DEATH_INIT                                                                            \
    {                                                                                              \
        (uint32_t)sizeof(tong_death), 0u, 0, 0u                                                    \
    }

/* ------------------------------------------------------------------ mailboxes: open and end */

/*
 * tong_open - open a mailbox by name, or create it.
 *
 * Shape    flags: TONG_SEND, TONG_RECEIVE or both; TONG_CREATE, TONG_EXCL, TONG_FROM_OLDEST. options
 *          NULL: as it is, or the defaults of TONG_OPTIONS_INIT when it is created here.
 * Rules    With TONG_EVERYONE a receiver gets every message whose send begins after this returns, of each
 *          sender in order; link_capacity is then what the slowest receiver may be behind. One that closes
 *          or dies holds nobody up, and what it had claimed goes to nobody else. While there is none, up to
 *          link_capacity messages of each sender are kept for one that comes with TONG_FROM_OLDEST, and
 *          then the mailbox is full; one that comes without it wants none of them, and they go.
 * Blocks   no.
 * Returns  0, or
 *            -EINVAL        a name, flag or option that cannot be
 *            -ENAMETOOLONG  the name has more than 127 characters
 *            -ENOENT        there is none of that name (or its owner is dead) and no TONG_CREATE
 *            -EEXIST        it is there and TONG_EXCL was given, or options differ from what exists
 *            -EBUSY         TONG_EXCLUSIVE: it has a receiver already; or a dead one has the name, and
 *                           somebody keeps the folder's lock, for 2 s now
 *            -EPERM         TONG_RECEIVE on a mailbox that another process owns: only that one receives
 *            -EUSERS        it has 256 receivers already
 *            -EACCES        no permission; or the folder of mailboxes is not safe to use: not a
 *                           folder, a link, another user's, or writable by others
 *            -EPROTO        its files are not tong's, are damaged, or of another version
 *            -EOPNOTSUPP    the carrier named in front is not built in, or cannot do the options;
 *                           TONG_EVERYONE with a capacity: use link_capacity
 *            -ENOSPC, -ENOMEM, -EMFILE, -ENFILE   a limit of the system
 * Threads  any. Crash: a caller that dies inside leaves nothing that hinders another one.
 * Memory   a handle; tong_close() frees it. A receiver's slot is taken here, a sender's link at
 *          its first message. One file descriptor a handle, three a process; where
 *          other users may send three a handle, and one for each other user and for each of their links,
 *          of these 64 at most.
 * Cost     about 30 system calls to open, 85 to create.
 */
TONG_API int tong_open(const char *name, unsigned flags, const tong_options *options,
                       tong_mailbox **ret_box);

/*
 * tong_close - close a handle.
 *
 * What was sent stays. Claimed messages that are not done go to the next receiver, marked. A
 * reservation is given up. If this process owns the mailbox and created it with this handle,
 * the mailbox ends for everyone, with what waits in it.
 *
 * Blocks   no, but for a receiver that is stopped inside a call. NULL is allowed. No other thread
 *          may be inside a call on the handle.
 * Returns  0, or -ECHILD: in a forked child; the memory is freed all the same, nothing else touched;
 *          -EINVAL: it is a process's (tong_process_mailbox), nothing is done.
 */
TONG_API int tong_close(tong_mailbox *box);

/*
 * tong_remove - end a mailbox by name, with all that waits in it.
 *
 * Whoever has it open gets -EIDRM from then on, waiting or not. The name is free at once; a new
 * mailbox of the name is another one, which old handles never reach.
 *
 * Blocks   no.
 * Returns  0, -ENOENT, -EINVAL, -ENAMETOOLONG, -EPERM (you are not its owner's user), -EACCES,
 *          -EOPNOTSUPP, -EPROTO (what has the name is not a mailbox's folder), -EBUSY (somebody keeps
 *          the folder's lock, for 2 s now); -ENOSPC, -ENOMEM, -EMFILE, -ENFILE (a limit of the system).
 * Crash    a caller that dies inside leaves it there or gone; the rest is cleared away by the next
 *          visit of the same user.
 */
TONG_API int tong_remove(const char *name);

/*
 * tong_give - hand the right to receive on: the mailbox gets another owner.
 *
 * Shape    process: a process, by the name of a mailbox that it owns (TONG_PROCESS); NULL: the
 *          system. The mailbox keeps its name, its links and every message that waits.
 * Rules    From then on only the new owner receives: receivers of other processes get -EPERM, also
 *          from a call that waits; one that is taking a message in that very moment still has it.
 *          What they hold claimed is theirs to finish, and goes to the new owner when they return
 *          it, close or die. The mailbox ends with its new owner: when that dies, or closes the
 *          first handle that it opened to receive after this; one given to the system stays until
 *          it is removed. Senders notice nothing.
 *          The handle may be a sender's. Any process of the mailbox's user may give, as it may remove.
 * Blocks   no, but for another giver or remover of this folder.
 * Returns  0, also if it is the owner already, or
 *            -ENOENT        no such name, or its process is dead
 *            -EINVAL        the mailbox of that name belongs to the system, or it is no name; or the
 *                           mailbox is a process's own (tong_process_open)
 *            -ENAMETOOLONG  it has more than 127 characters
 *            -EPERM         you are not the mailbox's user, or the process is another user's
 *            -EBUSY         somebody keeps the folder's lock, for 2 s now
 *            -EIDRM, -EOWNERDEAD   it has ended; -ECHILD; -EPROTO; -ENOMEM, -EMFILE, -ENFILE
 *            -EOPNOTSUPP    the carrier cannot; or TONG_EVERYONE, where those who may not receive any
 *                           more would go on being waited for
 * Threads  any. Crash: the old or the new owner has it; a death of the new one before it opened
 *          anything is the mailbox's end.
 * Cost     about 20 system calls, and a wake-up of everybody who waits in it.
 */
TONG_API int tong_give(tong_mailbox *box, const char *process);

/* What tong_set() changes. */
#define TONG_SET_DELIVERY 0x1u /* options.delivery and options.policy */

/*
 * tong_set - change what a mailbox is, while it is used. What waits stays, and so do claims.
 *
 * Shape    what: TONG_SET_DELIVERY; options gives the new value, its other fields are not looked at.
 *          Who waits already waits on, under the new policy, with its place: a receive call that is
 *          taking a message just now takes it under the old one. Made exclusive: the receiver that came
 *          first stays, the others get -EBUSY, those that wait at once, until it is gone. A policy of your
 *          own: a receiver whose process has not registered it gets -ENOSYS, those that wait at once,
 *          until it registers it or another policy is set.
 * Returns  0, or
 *            -EINVAL     what is 0 or unknown, such an option cannot be, or the mailbox is a process's own
 *                        (tong_process_open), from which it alone receives
 *            -EPERM      the mailbox's user may; of a process-owned one, its process alone
 *            -EOPNOTSUPP the carrier cannot; or to TONG_EVERYONE or away from it: that is for good
 *            -EIDRM, -EOWNERDEAD, -ECHILD, -EBUSY (somebody keeps the folder's lock), -EACCES, -ENOMEM, -EMFILE, -ENFILE
 * Crash    a caller that dies inside leaves the old policy or the new one; who waited then learns it at
 *          the next message, and no message waits longer for it.
 */
TONG_API int tong_set(tong_mailbox *box, const tong_options *options, unsigned what);

/*
 * tong_policy_register - a delivery policy of your own, for the receivers of this process.
 *
 * Every process that receives from a mailbox of that policy registers it, before it opens it, for the
 * choice is made by whichever receiver has the mailbox in hand.
 *
 * Returns  0, -EINVAL (no name that can be, or no function), -ENAMETOOLONG, -EEXIST (this process has it
 *          already), -ENOMEM.
 * Threads  any. Memory: the name is copied; function and arg stay in use to the end of the process.
 */
TONG_API int tong_policy_register(const char *name, tong_choose_fn *choose, void *arg);

/*
 * tong_watch - wait for the death of a process that uses the mailbox.
 *
 * The first call takes note of the senders and receivers there are; each death since then, or of one
 * that came since then, is told once for each handle that watches. To close a handle is no death; to
 * end without closing it is one. Between two looks this one cannot see: a process that came and died
 * is not told, one that closed its handle, had others here, and died then is. A sender is one once it
 * has sent.
 *
 * Blocks   until a death, the time-out, or the mailbox's end; 0: only looks.
 * Returns  0 and *ret_death, or
 *            -EAGAIN, -ETIMEDOUT    nobody died
 *            -EOWNERDEAD            its owner did, or closed it: the mailbox has ended; -EIDRM
 *            -EINTR                 a signal handler ran while waiting; -ECANCELED: tong_interrupt
 *            -EINVAL, -ECHILD, -ENOMEM, -EMFILE, -ENFILE, -EOPNOTSUPP
 * Threads  one at a time; others wait for their turn.
 * Cost     nothing to those who are watched. With more than about 100 processes it looks around
 *          every 10 ms.
 */
TONG_API int tong_watch(tong_mailbox *box, int64_t timeout_ns, tong_death *ret_death);

/* ------------------------------------------------------------------ send */

/*
 * tong_send - put one message into a mailbox.
 *
 * Shape    data[0..len), 0 <= len <= TONG_MESSAGE_MAX; NULL is allowed for len 0.
 * Blocks   while there is no room, until timeout_ns; at capacity 0 until a receiver has taken it.
 * Returns  0: promised, it will be received whatever happens to this process; or
 *            TONG_DROPPED   full, and the mailbox is TONG_DROP_NEWEST: the message was dropped; or it
 *                           is TONG_DROP_OLDEST: the message is in the mailbox as for 0, and the oldest
 *                           of this sender (several, where memory was short) was dropped for it, unless
 *                           a receiver took that one at this moment. At capacity 0 either drops the
 *                           message, unless a receiver waits
 *            -EAGAIN        no room (at capacity 0: no receiver waiting) and timeout_ns 0; or, without
 *                           waiting, TONG_DROP_OLDEST in a mailbox that other senders keep full, also
 *                           if they took what it made room by dropping its own
 *            -ETIMEDOUT     the time is over; the message will never be delivered
 *            -EMSGSIZE      the mailbox has a fixed size and len is another, or len is too long
 *            -ENOSPC        max_bytes is reached or the memory is full; what was accepted is intact
 *            -EBADF         the handle was opened without TONG_SEND
 *            -EINVAL        this thread has a reservation on this handle
 *            -EIDRM         the mailbox was removed; -EOWNERDEAD: its process is gone
 *            -EINTR         a signal handler ran while waiting; -ECANCELED: tong_interrupt
 *            -EPROTO        its files were damaged
 *            -EUSERS        4096 senders have links already
 *            -EBUSY         over unix:, somebody keeps the lock of the mailbox's room, for 2 s now
 *            -ENOMEM, -EMFILE, -ENFILE, -EACCES   a new link or segment could not be made
 *            -ECHILD        the handle is from before fork
 * Threads  any number at once on one handle; another thread's reservation is waited for.
 * Crash    killed before the message is whole: it was never sent. Afterwards: it is delivered.
 * Memory   data is copied. Cost: no system call while there is room and no receiver sleeps.
 */
TONG_API int tong_send(tong_mailbox *box, const void *data, size_t len, int64_t timeout_ns);

/*
 * tong_send_with - put one message into a mailbox, with what its receiver shall know of it.
 *
 * Shape    with (TONG_SEND_OPTIONS_INIT); NULL: as tong_send(). The message takes 64 bytes more, with
 *          reply_to 192 at most; len is that much below TONG_MESSAGE_MAX.
 * Rules    A message that has expired is never handed out, neither new nor returned; one claimed before
 *          that is its receiver's to finish. It takes its room until a receiver looks. The time-out is
 *          another matter; at capacity 0 the shorter one ends the call with -ETIMEDOUT.
 * Returns  as tong_send(); also -EINVAL: a priority, expiry or name that cannot be, and -ENAMETOOLONG.
 * Blocks, Threads, Crash, Memory   as tong_send(); all of it is copied. Cost: one look at the clock.
 */
TONG_API int tong_send_with(tong_mailbox *box, const void *data, size_t len,
                            const tong_send_options *with, int64_t timeout_ns);

/*
 * tong_send_fd - put one message into a mailbox, and an open descriptor with it.
 *
 * Shape    data, len as tong_send(). fd: an open file, pipe, socket, memory file, ...: its receiver gets a
 *          descriptor of its own for the same, with what it was opened for, whatever it might open itself.
 *          The caller's stays open and is the caller's.
 * Rules    tong_receive_fd() hands it out; whatever else becomes of the message closes it: another receive
 *          call, tong_done(), tong_skip(), expiry, drops, the end of the mailbox.
 * Returns  as tong_send(); also -EINVAL: fd is no open descriptor; -EOPNOTSUPP: this carrier carries bytes
 *          alone.
 * Blocks   as tong_send(); also while more descriptors of this user are under way in all than RLIMIT_NOFILE
 *          says.
 * Threads, Crash   as tong_send(). Memory   data is copied. Cost: some system calls.
 */
TONG_API int tong_send_fd(tong_mailbox *box, const void *data, size_t len, int fd,
                          int64_t timeout_ns);

/* tong_key - a number for a key that is bytes, never 0: equal bytes, equal number, in every process,
 * on every machine, for ever. NULL is allowed for len 0. Who chooses the bytes can make two of them
 * have one number. */
TONG_API uint64_t tong_key(const void *bytes, size_t len);

/*
 * tong_send_many - put several messages into a mailbox, in order.
 *
 * Shape    messages[i] is iov_base[0..iov_len). Each is a message of its own.
 * Blocks   for room for the first one only; the others go as far as there is room. Where the mailbox
 *          is TONG_DROP_NEWEST, those without room are dropped and counted, and it goes on; where it is
 *          TONG_DROP_OLDEST, all are sent, and tong_stat() tells what was dropped.
 * Returns  how many were sent (0 only if all were dropped, or for n 0), or an error of tong_send()
 *          that met the first.
 * Cost     one fence and at most one wake-up for all.
 */
TONG_API ssize_t tong_send_many(tong_mailbox *box, const struct iovec *messages, size_t n,
                                int64_t timeout_ns);

/*
 * tong_reserve - get room for a message and write it in place.
 *
 * Shape    *ret_slot (TONG_SLOT_INIT): data, 16-byte aligned, len bytes to write.
 * Blocks   as tong_send(); one reservation a handle at a time, other senders on it wait. A thread
 *          that has one gets -EINVAL from its next send or reserve on the handle.
 * Returns  0 or an error of tong_send(); -EAGAIN also where tong_send would drop. At capacity 0 it
 *          waits for nobody; tong_commit does.
 * Crash    killed before tong_commit(): never sent, the room is free again.
 */
TONG_API int tong_reserve(tong_mailbox *box, size_t len, int64_t timeout_ns, tong_slot *ret_slot);

/*
 * tong_commit - send what was written into a reservation; len bytes of it, at most what was reserved.
 *
 * Blocks   no; at capacity 0 as tong_send(), with the timeout_ns of the reservation.
 * Returns  0, TONG_DROPPED (TONG_DROP_OLDEST: sent, the reservation had to drop an older one), -EINVAL
 *          (no such reservation, len too long), -EMSGSIZE (fixed size), -EIDRM,
 *          -EOWNERDEAD, -ECHILD; at capacity 0 also -EAGAIN, -ETIMEDOUT, -EINTR, -ECANCELED. The
 *          reservation is over in every case but -EINVAL and -EMSGSIZE.
 */
TONG_API int tong_commit(tong_mailbox *box, tong_slot *slot, size_t len);

/* tong_abort - give a reservation up. Returns 0, -EINVAL (no such reservation), -ECHILD. */
TONG_API int tong_abort(tong_mailbox *box, tong_slot *slot);

/* ------------------------------------------------------------------ receive */

/*
 * tong_receive - take the next message out of a mailbox.
 *
 * Shape    writes buf[0..n), n <= size; a message is whole or absent.
 * Blocks   until a message, the timeout, or the mailbox's end; sleeps in the kernel, no busy loop.
 * Returns  n >= 0, or
 *            -EAGAIN     nothing there (or not this receiver's turn) and timeout_ns 0
 *            -ETIMEDOUT  the time is over
 *            -EMSGSIZE   the message is longer than size; it stays in the mailbox
 *            -EBADF      the handle was opened without TONG_RECEIVE
 *            -EIDRM      the mailbox was removed; -EOWNERDEAD: its process is gone
 *            -EINTR      a signal handler ran while waiting; -ECANCELED: tong_interrupt
 *            -EPROTO     a sender's bytes are damaged; its link is passed over from then on
 *            -ENOMEM, -EMFILE, -ENFILE, -ENOSPC   a sender's link could not be mapped, or the
 *                        mailbox's book needs a page more; nothing is lost
 *            -ENOBUFS    this handle has 64 claims, and capacity is 0 or some must be passed over
 *            -ECHILD     the handle is from before fork
 * Threads  any number at once on one handle.
 * Crash    a caller that dies inside: the message goes to the next receiver unless it was copied out.
 * Memory   buf is the caller's. Cost: no system call while messages are present.
 */
TONG_API ssize_t tong_receive(tong_mailbox *box, void *buf, size_t size, int64_t timeout_ns);

/*
 * tong_receive_with - take the next message, and be told whose it is and what its sender said of it.
 *
 * Shape    as tong_receive(). with (TONG_RECEIVE_OPTIONS_INIT): which messages; NULL: any.
 *          *ret_info (TONG_MESSAGE_INIT) is not a claim: data is buf. Also written
 *          on -EMSGSIZE: then len says how much room it needs and data is NULL; at capacity 0 the
 *          length and the sender are all that is known by then. NULL: not wanted.
 * Rules    Where with asks for some, of each sender the first such message is taken. Those before it are
 *          passed over: they wait for other calls as before, in their order, not marked, and keep their
 *          room; at most 64 of a sender, then its others wait until one of these is taken. (Where the
 *          mailbox is TONG_DROP_OLDEST they are dropped when their sender needs the memory.)
 *          A message that a waiting receiver asks for is left to it, and of several to the one that has
 *          waited longest, before those who take whatever comes; not where delivery is TONG_ANY.
 *          The end of the sender that is asked for ends nothing: see tong_receive_from().
 * Returns  as tong_receive(); also -EINVAL: a priority or name that cannot be, -ENAMETOOLONG, and
 *          -EOPNOTSUPP: with asks for some, which this carrier cannot.
 * Blocks, Threads, Crash, Memory   as tong_receive(). Cost: with several senders or a sleeping one the
 *          same; alone with one sender some instructions more; for each message that is looked at and
 *          not asked for some more. A message that comes while some wait for others wakes the one of
 *          them that has waited longest, and that one the one it is for.
 */
TONG_API ssize_t tong_receive_with(tong_mailbox *box, void *buf, size_t size,
                                   const tong_receive_options *with, int64_t timeout_ns,
                                   tong_message *ret_info);

/*
 * tong_receive_fd - take the next message, and the descriptor that its sender has put into it.
 *
 * Shape    as tong_receive_with() with NULL. *ret_fd: close-on-exec, and the caller's to close; -1: the message
 *          has none. ret_fd keeps its value on failure. What it is a descriptor of, its sender alone
 *          has chosen: look (fstat) before it is read, written or mapped.
 * Returns  as tong_receive(); also -EMFILE, -ENFILE: no descriptor is left for it, and it stays;
 *          -EOPNOTSUPP: this carrier carries bytes alone.
 * Blocks, Threads, Memory   as tong_receive(). Crash: as tong_receive(); the descriptor ends with the message.
 * Cost     some system calls.
 */
TONG_API ssize_t tong_receive_fd(tong_mailbox *box, void *buf, size_t size, int64_t timeout_ns,
                                 int *ret_fd, tong_message *ret_info);

/*
 * tong_receive_many - take up to n messages.
 *
 * Shape    message i goes to buffers[i]; ret_lens[i] is its length. Stops before a message that
 *          does not fit into its buffer.
 * Blocks   for the first one only.
 * Returns  how many, 1..n (0 for n 0), or an error of tong_receive() that met the first.
 */
TONG_API ssize_t tong_receive_many(tong_mailbox *box, const struct iovec *buffers, size_t n,
                                   int64_t timeout_ns, size_t *ret_lens);

/*
 * tong_claim - take the next message and read it in place.
 *
 * The message stays in the mailbox, counted, until tong_done(); if this process dies or closes the
 * handle before, the next receiver gets it with deliveries raised. Up to 64 a handle at once,
 * finished in any order.
 *
 * Shape    *ret_message (TONG_MESSAGE_INIT): data, len, who sent it.
 * Blocks   as tong_receive().
 * Returns  0, an error of tong_receive(), or -ENOBUFS: this handle has 64 claims already.
 * Memory   data belongs to the mailbox; read only. Another process of the sender's user could change
 *          it while you read: copy what you check before you trust it. Where the mailbox is
 *          TONG_DROP_OLDEST it is a copy of this process, whose room in the mailbox is free: given back
 *          or left by a death it may be dropped as others are.
 */
TONG_API int tong_claim(tong_mailbox *box, int64_t timeout_ns, tong_message *ret_message);

/*
 * tong_claim_with - take the next message that is asked for and read it in place.
 *
 * Shape    with (TONG_RECEIVE_OPTIONS_INIT): which messages, and what becomes of the others, as
 *          tong_receive_with() says; NULL: any. The rest as tong_claim().
 * Returns  as tong_claim(); also -EINVAL, -ENAMETOOLONG, -EOPNOTSUPP as tong_receive_with().
 */
TONG_API int tong_claim_with(tong_mailbox *box, const tong_receive_options *with,
                             int64_t timeout_ns, tong_message *ret_message);

/* tong_done - finish a claimed message; its room is free. Never blocks. 0, -EINVAL (not a claim
 * of this handle, or finished already), -ECHILD. */
TONG_API int tong_done(tong_mailbox *box, tong_message *message);

/* tong_return - give a claimed message back, for whoever receives next, deliveries raised. Never
 * blocks. 0, -EINVAL (not a claim of this handle, or finished already), -ECHILD. */
TONG_API int tong_return(tong_mailbox *box, tong_message *message);

/*
 * tong_origin_of - where a claimed message comes from, if it is a dead letter: one that another
 * mailbox moved here because it was handed out too often there (see max_deliveries). After deaths the
 * same one may come twice, with the same id, sequence and uid.
 * Returns  1 and *ret_origin, 0 it is none, -EINVAL (not a claim of this handle), -ECHILD,
 *          -EOPNOTSUPP.
 */
TONG_API int tong_origin_of(tong_mailbox *box, const tong_message *message,
                            tong_origin *ret_origin);

/*
 * tong_skip - take the next message and throw it away, whatever its length; never blocks. When
 * nothing else waits: one that was set aside (see max_deliveries).
 * Returns  its length, or -EAGAIN and the other errors of tong_receive().
 */
TONG_API ssize_t tong_skip(tong_mailbox *box);

/* ------------------------------------------------------------------ request and reply */

/*
 * tong_call - send a request and wait for its reply.
 *
 * Whoever receives from the mailbox answers with tong_reply(). The reply comes to a mailbox that the handle
 * makes at its first call and nobody else sees; one more for each other call at the same time.
 *
 * Shape    request[0..len) as tong_send(); writes buf[0..n), n <= size, the reply.
 * Blocks   until the reply; timeout_ns is for both ways. The request expires with it: it is not handed out
 *          any more then, and a reply that comes later is thrown away.
 * Returns  n >= 0, or
 *            -EOWNERDEAD    nobody will answer: who had the request died, closed its handle, finished it
 *                           without a reply, or received it by a call that cannot reply; or the
 *                           mailbox's process is gone
 *            -ETIMEDOUT     no reply in time, perhaps since nobody receives
 *            -EAGAIN        timeout_ns is 0; or the mailbox is full and drops: nothing was sent
 *            -EMSGSIZE      the reply is longer than size; it is thrown away. Or as tong_send()
 *            -EIDRM         the mailbox was removed
 *            -EOPNOTSUPP    the carrier cannot; or TONG_EVERYONE, where each would have the request
 *            -EINTR         a signal handler ran while waiting; -ECANCELED: tong_interrupt; the request may
 *                           be worked on all the same
 *            -EINVAL, -EBADF, -ENOSPC, -EPROTO, -EUSERS, -ENOMEM, -EMFILE, -ENFILE, -EACCES, -ECHILD
 *                           as tong_send(), and of the mailbox for replies as tong_open()
 * Rules    At most once: a request is handed out once. If who took it dies, closes, or finishes it without a
 *          reply, the call ends with -EOWNERDEAD at once, and what was done of it is not known. Given back
 *          (tong_return) it is handed out again.
 *          At least once, where the mailbox's max_deliveries is above 1: who dies with a claimed request leaves
 *          it to another one, marked, and the call goes on; the reply may then come of a second or
 *          later delivery. One that was received, not claimed, is not handed out again.
 *          A reply counts if the mailbox's user or root sent it.
 * Threads  any number at once on one handle.
 * Crash    the request of a caller that died is handed out until it expires; its reply is nobody's.
 * Memory   a mailbox for each call at once, kept until tong_close(); one file descriptor each, over unix: nine.
 * Cost     the first call makes a mailbox, about 85 system calls; then as a send and a receive. The death of
 *          who has the request ends the call within a millisecond. While a receiver has more than 64
 *          requests that it received, did not claim, and has not answered, of some of them only its own
 *          death is noticed, not that they were let go.
 */
TONG_API ssize_t tong_call(tong_mailbox *box, const void *request, size_t len, void *buf,
                           size_t size, int64_t timeout_ns);

/*
 * tong_call_with - the same, with what its receiver shall know of the request, and who answered.
 *
 * Shape    with (TONG_SEND_OPTIONS_INIT): as tong_send_with(); call and reply_to stay 0. NULL: nothing.
 *          *ret_info (TONG_MESSAGE_INIT): of the reply, as tong_receive_with(); also written on -EMSGSIZE.
 *          NULL: not wanted.
 * Returns  as tong_call().
 * Blocks, Rules, Threads, Crash, Memory, Cost   as tong_call().
 */
TONG_API ssize_t tong_call_with(tong_mailbox *box, const void *request, size_t len,
                                const tong_send_options *with, void *buf, size_t size,
                                int64_t timeout_ns, tong_message *ret_info);

/*
 * tong_reply - answer a request, and finish it.
 *
 * Shape    request: claimed on box and not done, or what tong_receive_with() told of one that was received;
 *          a message with call and reply_to. data[0..len) is the reply, of any length, whatever the mailbox's
 *          message_size is.
 * Blocks   as tong_send(), if the caller has many late replies waiting.
 * Returns  0: the caller has it, and a claim is done. Or
 *            -ENOENT   the caller is gone: dead, or its handle is closed. A claim is done
 *            -EINVAL   it is no request, or answered already
 *            -EAGAIN, -ETIMEDOUT, -EINTR, -ECANCELED (tong_interrupt on box), -ENOSPC, -EMSGSIZE, -EUSERS,
 *            -EPROTO, -EACCES, -ENOMEM, -EMFILE, -ENFILE, -ECHILD   as tong_send(); it is to be answered
 *                      still
 * Rules    Whether the caller waits still is not told: a late reply is thrown away.
 * Threads  any number at once, of one request one at a time.
 * Crash    a caller that dies inside has sent the reply or not; a claim may come again, where it does.
 * Memory   data is copied. A handle for each caller, 64 idle ones stay open until tong_close(box).
 * Cost     the first reply to a caller opens its mailbox; then as tong_send_with().
 */
TONG_API int tong_reply(tong_mailbox *box, tong_message *request, const void *data, size_t len,
                        int64_t timeout_ns);

/* ------------------------------------------------------------------ wait, look */

/*
 * tong_wait_any - wait until one of several mailboxes has a message for this process.
 *
 * Shape    boxes[0..n), 1 <= n <= 64, each opened with TONG_RECEIVE, all of one carrier: else -EINVAL.
 * Blocks   until a message, the timeout, or the end of one of them.
 * Returns  the index of one that has something; its next receive call gives the message, the
 *          error, or -EAGAIN if another receiver was faster. Or
 *            -EAGAIN (timeout_ns 0), -ETIMEDOUT, -EINVAL, -EBADF, -EINTR, -ECANCELED, -ECHILD
 * Cost     busy: as a receive call on each; asleep: one system call, a few words a mailbox.
 */
TONG_API int tong_wait_any(tong_mailbox *const boxes[], size_t n, int64_t timeout_ns);

/*
 * tong_fd - a descriptor for event loops: poll, epoll, libuv.
 *
 * Shape    what: TONG_RECEIVE or TONG_SEND, a descriptor for each. It is always POLLIN that is looked for, and
 *          nothing is read from it. TONG_RECEIVE: readable while a message is there for this handle.
 *          TONG_SEND: readable while a send with timeout_ns 0 would be accepted: there is room; at capacity 0
 *          a receiver waits; where it drops, always. Either is readable for ever once the mailbox has ended
 *          (then the call says why).
 * Blocks   no.
 * Returns  the descriptor, the same at each call, or
 *            -EINVAL     what is 0, both, or has other bits
 *            -EOPNOTSUPP this carrier cannot
 *            -EBADF      the handle was opened without it; -EPERM: it belongs to another process
 *            -EBUSY      another thread waits in such a call on the handle, or the mailbox's
 *                        token is held by a process that does not run
 *            -EIDRM      the mailbox was removed; -EOWNERDEAD: its process is gone
 *            -EUSERS, -EACCES   TONG_SEND: the link could not be made
 *            -EMFILE, -ENFILE, -ENOMEM, -ENOSPC, -EPROTO, -ECHILD
 * Rules    Its level is brought up to date by the receive, or send, calls of the handle, with any time-out: take
 *          or send with timeout_ns 0 when it is readable. Of several receivers all may be woken, and of several
 *          senders all that wait for the room of the whole mailbox; one that comes too late gets -EAGAIN,
 *          and then the descriptor is not readable any more. At capacity 0 a send with timeout_ns 0 gives the
 *          receiver a millisecond, so that both of one thread never meet.
 *          Now and then (1, 2, 4, then every 8 s) it is readable for a look at what nobody told of.
 * Memory   it belongs to the handle: tong_close() closes it. It stands for a few descriptors more.
 * Cost     each time it becomes readable one system call of the other side, one of this one. Who does
 *          not ask for it pays nothing, nor does who sends to such a mailbox, or receives from it.
 */
TONG_API int tong_fd(tong_mailbox *box, unsigned what);

/*
 * tong_interrupt - end the calls that wait on a handle with -ECANCELED; if none waits, the next
 * one that would. Async-signal-safe, callable from any thread. Returns 0 or -ECHILD.
 */
TONG_API int tong_interrupt(tong_mailbox *box);

/*
 * tong_stat - look at a mailbox without opening it. Read-only; costs its users nothing.
 * Returns  0, -ENOENT, -EINVAL, -ENAMETOOLONG, -EACCES, -EPROTO, -EOPNOTSUPP, -ENOMEM, -EMFILE,
 *          -ENFILE.
 */
TONG_API int tong_stat(const char *name, tong_status *ret_status);

/* What tong_list() calls for each mailbox. error is 0, or why it could not be looked at (then
 * only status->name and status->carrier are set). Return 0 to go on; another value ends the list and is returned. */
typedef int tong_list_fn(const tong_status *status, int error, void *arg);

/*
 * tong_list - look at all mailboxes of the folder, those of each carrier in the order of their names;
 * whatever has a name that a mailbox could have is told of.
 * Returns  0, what each returned, or -EACCES, -ENOMEM, -EMFILE, -ENFILE. No folder yet: 0, no mailbox.
 */
TONG_API int tong_list(tong_list_fn *each, void *arg);

/* One that uses a mailbox: see tong_parties(). */
typedef struct tong_party {
    uint32_t struct_size;
    uint32_t role;    /* TONG_SEND: a link, TONG_RECEIVE: a receiver */
    uint64_t process; /* the same wherever it has something open in the folder; 0: closed */
    int32_t pid;      /* of who has it, or had it last: as it says itself, in its own namespace */
    uint32_t uid;     /* whose files: the kernel vouches for it */
    uint32_t number;  /* of the link or the receiver in its mailbox */
    uint32_t alive;   /* 1 unless its process is dead, or closed the link */
    uint32_t asleep;  /* 1: a sender for want of room, a receiver for want of a message */
    uint32_t claimed; /* of a receiver: messages handed out to it and not done */
    /* Of a link: messages to be handed out, without those given back. With TONG_EVERYONE each counts
     * once for each receiver; and a receiver has numbers, too: what is to be handed out to it, ... */
    uint64_t waiting;
    uint64_t sent;    /* of a link: messages ever committed, by former senders, too; at capacity 0
                         offers made, those taken back included */
    uint64_t done;    /* of a link: how many of these are finished; ... what it has finished, ... */
    uint64_t dropped; /* of a link: messages dropped because it was full; ... what it has missed */
} tong_party;

#define TONG_PARTY_INIT                                                                            \
    {                                                                                              \
        (uint32_t)sizeof(tong_party), 0u, 0u, 0, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u                \
    }

/* What tong_parties() calls for each. Return 0 to go on; another value ends it and is returned. */
typedef int tong_parties_fn(const tong_party *party, void *arg);

/*
 * tong_parties - look at who uses a mailbox: its receivers, then its links, by their numbers. A sender
 * has a link once it has sent. Read-only; costs its users nothing. The numbers are of one moment each,
 * not all of the same one. A link that may not be read is left out.
 * Returns  0, what each returned, or -ENOENT, -EINVAL, -ENAMETOOLONG, -EACCES, -EPROTO, -EOPNOTSUPP,
 *          -ENOMEM, -EMFILE, -ENFILE.
 */
TONG_API int tong_parties(const char *name, tong_parties_fn *each, void *arg);

/* One who looks at the messages of a mailbox and takes none. */
typedef struct tong_observer tong_observer;

/*
 * tong_observer_open - look at what is in a mailbox, and at what comes, without taking it.
 *
 * The others do not know of it: nothing is written, nobody is woken, nothing becomes slower or later, and
 * its death changes nothing. Who may read the mailbox's files may look: its user, root, and the group
 * where the mode says so; a link that may not be read is left out.
 * Returns  0, -ENOENT, -EINVAL, -ENAMETOOLONG, -EACCES, -EPROTO, -EOPNOTSUPP, -ENOMEM, -EMFILE, -ENFILE.
 * Memory   a handle, and a descriptor for each sender.
 */
TONG_API int tong_observer_open(const char *name, tong_observer **ret_observer);

/* tong_observer_close - stop looking. NULL is allowed. No call may be inside. Returns 0, or -ECHILD: in a
 * forked child; the memory is freed all the same. */
TONG_API int tong_observer_close(tong_observer *observer);

/*
 * tong_peek - see the next message that this observer has not seen, and leave it where it is.
 *
 * First come those there are: waiting, in somebody's hand, given back, or set aside; then those that are
 * sent, each once. Those of one sender come in order.
 *
 * Shape    writes buf[0..min(n, size)): of a longer message what fits. *ret_info (TONG_MESSAGE_INIT): as
 *          tong_receive_with(); deliveries is how often it was handed out when it was seen, 0 never, 1 also
 *          where nobody can tell. *ret_missed: messages that went by unseen since the observer was opened, as
 *          far as is known by now: never too many. Also written where the answer is an error, but for
 *          -EINVAL and -ECHILD. Both may be NULL.
 * Blocks   until a message, the timeout, or the mailbox's end. Nobody rings it, so it looks every 1 to 16 ms.
 * Returns  n >= 0, the length of the whole message, or
 *            -EAGAIN     nothing new and timeout_ns 0; -ETIMEDOUT
 *            -EIDRM      the mailbox was removed; -EOWNERDEAD: its process is gone; what could be seen was
 *            -EINTR      a signal handler ran while waiting
 *            -EPROTO     a sender's bytes are damaged; its link is passed over from then on
 *            -EINVAL, -EACCES (the folder may not be read any more), -ENOMEM, -EMFILE, -ENFILE
 *            -ECHILD     the observer is from before fork
 * Rules    A message is missed when it was received, and its memory used again, before this call looked: with
 *          a sender that fills memory faster than a few KiB in 16 ms some are. A rendezvous is seen while
 *          it is waited for. What is seen may have been received meanwhile, or be received by whoever is next.
 * Threads  one at a time; others wait for their turn.
 * Memory   buf is the caller's. Cost: a few system calls a look and for each 64 KiB of messages.
 */
TONG_API ssize_t tong_peek(tong_observer *observer, void *buf, size_t size, int64_t timeout_ns,
                           tong_message *ret_info, uint64_t *ret_missed);

/* ------------------------------------------------------------------ processes that name each other */

/*
 * A process, in this part of the header, is a party with a name and a mailbox of its own that it alone
 * receives from. Two of them talk by naming each other; the link between them is made by itself at the
 * first message, one for the pair, whoever sends first and however often either is opened again.
 */
typedef struct tong_process tong_process;

/*
 * tong_process_open - take a name, to send and to be sent to under it.
 *
 * Shape    me: a name as of a mailbox; nothing else of the folder has it. options: what its mailbox is
 *          (capacity, link_capacity, full, ...); owner and delivery are not looked at: it is
 *          TONG_PROCESS and TONG_EXCLUSIVE. NULL: the defaults.
 * Rules    A name is one process's while that lives: a second tong_process_open, by whom ever, gets
 *          -EBUSY. It is free again at once when it is closed or its process dies, with what waits
 *          there lost. Where users share a folder, a dead one's name is its user's until that one comes
 *          again: -EACCES to the others. To be sent to by them it needs a mode of 0660.
 * Blocks   no.
 * Returns  0, or
 *            -EBUSY         a living process has the name; or a dead one, and somebody keeps the
 *                           folder's lock, for 2 s now
 *            -EEXIST        a mailbox that is no process's has it
 *            -EINVAL, -ENAMETOOLONG, -EACCES, -EPROTO, -EOPNOTSUPP, -ENOSPC, -ENOMEM, -EMFILE, -ENFILE
 *                           as tong_open()
 * Threads  any. Crash: a caller that dies inside leaves nothing that hinders another one.
 * Memory   a handle, and one for each process that it has sent to or waited for, up to 64 idle ones.
 */
TONG_API int tong_process_open(const char *me, const tong_options *options, tong_process **ret_me);

/*
 * tong_process_close - give the name back; the mailbox ends, with what waits in it.
 *
 * What was sent to others stays with them. No other thread may be inside a call on the process or its
 * mailbox. NULL is allowed.
 * Returns  0, or -ECHILD: in a forked child; the memory is freed all the same, nothing else touched.
 */
TONG_API int tong_process_close(tong_process *me);

/*
 * tong_process_mailbox - the process's own mailbox: for tong_claim, tong_receive_many, tong_wait_any,
 * tong_interrupt and whatever else receives. It belongs to the process: do not close it, and tong_give
 * refuses it. NULL for NULL.
 *
 * tong_interrupt on it ends every call that waits on the process, tong_send_to included.
 */
TONG_API tong_mailbox *tong_process_mailbox(tong_process *me);

/*
 * tong_send_to - send a message to a process by its name.
 *
 * Shape    as tong_send(). to: its name; a carrier's prefix must be the one of me.
 * Blocks   until there is such a process and it has room. timeout_ns 0: it must be there.
 * Returns  0, TONG_DROPPED, or
 *            -ENOENT      no process of that name lives, and timeout_ns 0: also if it has another name now
 *            -ETIMEDOUT   nor did until the time was over, or it had no room
 *            -EAGAIN      it has no room and timeout_ns 0
 *            -EOWNERDEAD  it died, or closed its name, while this call waited; or since the last call
 *                         of this process that named it, none of the name lives now, and timeout_ns is
 *                         not 0: told once, the next call waits for a new one
 *            -EIDRM       its mailbox was removed while this call waited
 *            -EINVAL      a mailbox that is no process's has the name; another carrier's name; or a
 *                         name or time that cannot be
 *            -EINTR, -ECANCELED (tong_interrupt on the own mailbox), -EMSGSIZE, -ENOSPC, -EUSERS,
 *            -EPROTO, -ENOMEM, -EMFILE, -ENFILE, -EACCES, -ECHILD, -ENAMETOOLONG   as tong_send()
 *            -EIDRM, -EOWNERDEAD   also when the own mailbox has ended while a name was waited for
 * Rules    Messages of one process to another arrive in the order in which they were sent, over a
 *          tong_rename() of either, too. One that blocks while the other takes another name stays with
 *          it. A process may send to itself.
 * Threads  any number at once. Crash: as tong_send().
 * Cost     the first message to a process opens its mailbox and makes the link; then as tong_send(),
 *          and a look at whether it lives. While a name is waited for it is looked for every 1 to 16 ms.
 */
TONG_API int tong_send_to(tong_process *me, const char *to, const void *data, size_t len,
                          int64_t timeout_ns);

/*
 * tong_receive_from - take the next message of one process, by its name; those of others wait untouched.
 *
 * Shape    as tong_receive().
 * Blocks   until a message of it, the time-out, or its end; one that is not there yet is waited for.
 * Returns  n >= 0, or
 *            -ENOENT      no message of it waits, no process of that name lives, and timeout_ns 0
 *            -EAGAIN      it lives, no message of it waits, and timeout_ns 0
 *            -ETIMEDOUT   the time is over
 *            -EOWNERDEAD  it died or closed its name, while this call waited or since the last call of
 *                         this process that named it, and all it had sent is received: told once, the
 *                         next call waits for a new one
 *            -EMSGSIZE    its next message is longer than size; it stays
 *            -EINVAL      a mailbox that is no process's has the name; another carrier's name; ...
 *            -EIDRM       the own mailbox was removed; or the other one's, as -EOWNERDEAD
 *            -EINTR, -ECANCELED, -EPROTO, -ENOMEM, -EMFILE, -ENFILE, -ENOSPC, -ENOBUFS, -EACCES,
 *            -ECHILD, -ENAMETOOLONG   as tong_receive()
 * Rules    If it takes another name, this one is nobody's: its messages are then received under the
 *          new one, those sent before, too, and this call waits for another process of the name.
 * Threads  any number at once, in turn: while one waits for a process's message, the others that
 *          receive on me wait for it.
 * Cost     as tong_receive(); the first call that names a process opens its mailbox.
 */
TONG_API ssize_t tong_receive_from(tong_process *me, const char *from, void *buf, size_t size,
                                   int64_t timeout_ns);

/*
 * tong_receive_any - take the next message, whoever sent it, and learn who did.
 *
 * Shape    as tong_receive(). ret_from[TONG_NAME_MAX]: the name its sender has now; "" if it was sent
 *          to the mailbox by one that is no named process (tong_send). Untouched on failure.
 * Returns  as tong_receive().
 */
TONG_API ssize_t tong_receive_any(tong_process *me, void *buf, size_t size, int64_t timeout_ns,
                                  char ret_from[TONG_NAME_MAX]);

/*
 * tong_rename - take another name; the mailbox, its links and every message in it stay.
 *
 * From then on the old name is nobody's (-ENOENT, or waited for), and what this process has sent and is
 * not received yet is received under the new name. Who is blocked in a send to it stays blocked on it.
 *
 * Blocks   no, but for another one that removes, gives or renames in this folder.
 * Returns  0, also if it has the name already, or
 *            -EBUSY   a living process has it, or somebody keeps the folder's lock, for 2 s now
 *            -EEXIST  a mailbox that is no process's has it
 *            -EINVAL, -ENAMETOOLONG, -EIDRM (the own mailbox was removed), -ECHILD, -EACCES, -EPROTO,
 *            -EOPNOTSUPP, -ENOSPC, -ENOMEM, -EMFILE, -ENFILE
 * Crash    a caller that dies inside had the old name or the new one; both are free.
 */
TONG_API int tong_rename(tong_process *me, const char *new_name);

/* Bits of tong_link.lanes. */
#define TONG_LANE_THERE 0x1u /* a has sent to b */
#define TONG_LANE_BACK 0x2u  /* b has sent to a */

/* The link between two processes that have sent to each other, or one to the other. */
typedef struct tong_link {
    uint32_t struct_size;
    uint32_t lanes;    /* TONG_LANE_ bits: two at most, one each way */
    uint32_t files;    /* link files behind them: as many as lanes, but while one of a dead process
                            that had the name still holds messages */
    uint32_t reserved; /* 0 */
    uint64_t waiting[2]; /* messages that wait: of a at b, of b at a */
    char a[TONG_NAME_MAX];
    char b[TONG_NAME_MAX]; /* not before a in the order of names */
} tong_link;

#define TONG_LINK_INIT                                                                             \
    {                                                                                              \
        (uint32_t)sizeof(tong_link), 0u, 0u, 0u, { 0u, 0u }, { 0 },                                \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* What tong_links() calls for each. Return 0 to go on; another value ends it and is returned. */
typedef int tong_links_fn(const tong_link *link, void *arg);

/*
 * tong_links - look at the links between processes, one call for each pair, in the order of names.
 *
 * Told are those at a living process: a link is there from the first message until its sender has closed
 * or died and all is received.
 * Returns  0, what each returned, or -EINVAL, -EACCES, -ENOMEM, -EMFILE, -ENFILE. No folder yet: 0.
 */
TONG_API int tong_links(tong_links_fn *each, void *arg);

/* ------------------------------------------------------------------ regions: raw shared memory */

typedef struct tong_region_options {
    uint32_t struct_size;
    uint32_t owner; /* enum tong_owner */
    uint32_t mode;  /* permissions as in chmod */
    uint32_t reserved;
} tong_region_options;

#define TONG_REGION_OPTIONS_INIT                                                                   \
    {                                                                                              \
        (uint32_t)sizeof(tong_region_options), TONG_SYSTEM, 0600u, 0u                              \
    }

/*
 * tong_region_open - map a named piece of memory that several processes share.
 *
 * Shape    size in bytes, 1..2^40; 0 = as it is. flags: TONG_READ, TONG_WRITE (implies reading),
 *          TONG_CREATE, TONG_EXCL. New memory is zero. Regions and mailboxes have separate names.
 * Blocks   no.
 * Returns  0, or -EINVAL, -ENAMETOOLONG, -ENOENT, -EEXIST (TONG_EXCL, or size or options differ),
 *          -EACCES, -EPROTO, -ENOSPC (all of it is reserved here: a full memory is this error and
 *          never a signal), -EBUSY (what a dead one left has the name, and somebody keeps the folder's
 *          lock), -ENOMEM, -EMFILE, -ENFILE.
 */
TONG_API int tong_region_open(const char *name, size_t size, unsigned flags,
                              const tong_region_options *options, tong_region **ret_region);

/* tong_region_close - unmap. A lock still held is released as by a dead holder. If this handle
 * created a process-owned region, it ends. NULL is allowed. Returns 0 or -ECHILD. */
TONG_API int tong_region_close(tong_region *region);

/* tong_region_remove - end a region by name. Who has it mapped keeps the memory; waits end with
 * -EIDRM. Returns 0, -ENOENT, -EINVAL, -ENAMETOOLONG, -EPERM, -EACCES, -EPROTO (what has the name is
 * no file), -EBUSY (somebody keeps the folder's lock, for 2 s now), -ENOMEM, -EMFILE, -ENFILE. */
TONG_API int tong_region_remove(const char *name);

/* tong_region_data - the memory, aligned to 4096 bytes; the same bytes in every process, at
 * addresses of their own. NULL for NULL. */
TONG_API void *tong_region_data(tong_region *region);

/* tong_region_size - its size in bytes, as it was created. 0 for NULL. */
TONG_API size_t tong_region_size(const tong_region *region);

/*
 * tong_region_lock - exclude the others: one holder among all threads of all processes.
 *
 * Blocks   up to timeout_ns; spins briefly, then sleeps. Not recursive: a second lock by the same
 *          handle waits for itself.
 * Returns  0, TONG_RECOVERED (yours; the holder before died inside, look at the data first), or
 *          -EAGAIN, -ETIMEDOUT, -EBADF (opened without TONG_WRITE), -EIDRM, -EOWNERDEAD (its
 *          process is gone), -EINTR, -ECHILD.
 * Cost     no system call when it is free.
 */
TONG_API int tong_region_lock(tong_region *region, int64_t timeout_ns);

/* tong_region_unlock - 0, -EPERM (this handle does not hold it), -ECHILD. */
TONG_API int tong_region_unlock(tong_region *region);

/* tong_region_notify - count one event and wake all who wait for one. No system call if nobody
 * waits; counting and waking are one step where somebody sleeps. 0, -EBADF
 * (opened without TONG_WRITE), -ECHILD. */
TONG_API int tong_region_notify(tong_region *region);

/*
 * tong_region_wait - wait for an event after those already seen.
 *
 * Shape    *seen counts the events; begin with 0 or the value a former call left. On return 0 it is
 *          the present count, different from before.
 * Blocks   up to timeout_ns.
 * Returns  0, -EAGAIN, -ETIMEDOUT, -EIDRM, -EOWNERDEAD, -EINTR, -EINVAL (seen NULL), -ECHILD.
 */
TONG_API int tong_region_wait(tong_region *region, uint32_t *seen, int64_t timeout_ns);

/* What tong_region_list() calls for each region; as tong_list_fn. */
typedef struct tong_region_status {
    uint32_t struct_size;
    uint32_t owner;
    uint32_t mode;
    uint32_t owner_uid;
    int32_t owner_pid; /* of a process-owned region, as it says itself; else 0 */
    uint32_t locked;   /* 1 while somebody holds the lock */
    uint64_t size;     /* bytes asked for */
    uint64_t bytes;    /* memory it takes */
    char name[TONG_NAME_MAX];
} tong_region_status;

#define TONG_REGION_STATUS_INIT                                                                    \
    {                                                                                              \
        (uint32_t)sizeof(tong_region_status), 0u, 0u, 0u, 0, 0u, 0u, 0u,                           \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

typedef int tong_region_list_fn(const tong_region_status *status, int error, void *arg);

/* tong_region_stat - look at one region. 0, -ENOENT, -EINVAL, -ENAMETOOLONG, -EACCES, -EPROTO,
 * -ENOMEM, -EMFILE, -ENFILE. */
TONG_API int tong_region_stat(const char *name, tong_region_status *ret_status);

/* tong_region_list - look at all regions of the folder, in the order of their names; as tong_list.
 * Returns 0, what each returned, or -EACCES, -ENOMEM, -EMFILE, -ENFILE. */
TONG_API int tong_region_list(tong_region_list_fn *each, void *arg);

/* ------------------------------------------------------------------ the folder, the library */

/* One finding of tong_doctor(). */
typedef struct tong_finding {
    uint32_t struct_size;
    uint32_t severity;      /* 0 information, 1 repaired or repairable, 2 needs the user */
    const char *what;       /* the file or setting */
    const char *why;        /* one sentence */
    const char *what_to_do; /* one sentence, or "" */
} tong_finding;

typedef int tong_doctor_fn(const tong_finding *finding, void *arg);

/*
 * tong_doctor - check the folder of mailboxes and the machine; with repair, clear away what the
 * dead left behind and can be cleared by this user. Only what is certainly dead is touched.
 *
 * Returns  how many findings have severity 1 or 2, or what each returned if that is negative, or
 *          -EACCES, -ENOMEM, -EMFILE, -ENFILE.
 */
TONG_API int tong_doctor(int repair, tong_doctor_fn *each, void *arg);

/* tong_folder - the folder of this process's mailboxes: $TONG_DIR, else /dev/shm/tong-UID.
 * Returns its length without the NUL, or -ENAMETOOLONG if size is too small. It need not exist. */
TONG_API int tong_folder(char *ret_path, size_t size);

/* tong_strerror - one sentence for an answer of this library, never NULL. Accepts both signs. */
TONG_API const char *tong_strerror(int error);

/* tong_version - "0.1.0", of the library that runs. */
TONG_API const char *tong_version(void);

#ifdef __cplusplus
}
#endif

#endif
