/*
 * What the crash tests of the mailbox share.
 *
 * A scene is one operation. For every crash point of it: a fresh mailbox, a victim that is killed
 * at that point inside the operation, and then the survivors' side:
 *
 *   C1  nobody hangs: every wait has a deadline, and the back-stop is off
 *   C2  what was promised is received, but for what the victim may have consumed unseen
 *   C3  nothing is received that was not sent, or was refused
 *   C4  nothing is consumed twice; what is handed out again is marked
 *   C5  the capacity is exact: so many messages fit, and not one more; what is dropped is counted
 *   C6  after the last close and a visit nothing is left but the mailbox itself
 *
 * Each point is visited in four variants: bit 0, the survivor has the mailbox open before or comes
 * after the death; bit 1, it receives or it claims. Two deaths: after the victim's, somebody else
 * comes, uses what it finds, repairs on its way, and is killed as well; the survivors' side is the
 * same. base/deaths_test.h says which points, and how one case is done again.
 */
#ifndef TG_MAILBOX_CRASH_TEST_H
#define TG_MAILBOX_CRASH_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/deaths_test.h"
#include "mailbox/box.h"

#define CRASH_NAME "box"
#define CRASH_BOX kit_name(CRASH_NAME)
#define CRASH_IDS 64u
#define CRASH_SENDER 8u  /* ids of one sender: [8 k, 8 k + 8) */
#define CRASH_LONG 40u   /* ids from here are long messages */
#define CRASH_SECOND 32u /* sent by the second victim */
#define CRASH_END 63u    /* ends a helper */

/* What all processes know of one message. */
struct crash_message {
    _Atomic uint32_t offered;  /* its send began */
    _Atomic uint32_t promised; /* its send returned 0 */
    _Atomic uint32_t refused;  /* its send returned something else */
    _Atomic uint32_t handed;   /* claims of it */
    _Atomic uint32_t consumed; /* received, or claimed and done */
};

struct crash_world {
    struct crash_message message[CRASH_IDS];
    _Atomic int32_t answer[2]; /* of the helpers */
    kit_event event[4];
    _Atomic uint32_t points[2]; /* of the victim, of the second one */
};

struct crash_stage {
    const struct crash_scene *scene;
    struct crash_world *world;
    tong_options options;
    unsigned long n;
    unsigned long m; /* where the second one is killed; 0: there is none */
    unsigned variant;
    tong_mailbox *box;    /* the survivor's, to send and receive */
    tong_mailbox *sender; /* the test's own */
    tong_mailbox *mine;   /* the victim's */
    tong_mailbox *extra;
    tong_message claim[4];
    struct kit_child helper[2];
    bool killed;
    bool second_killed;
};

struct crash_scene {
    const char *operation; /* the calls of tong.h that the victim is inside of, with spaces */
    const char *role;      /* what it is, and in which state: see tests/crash/operations */
    tong_options (*options)(void);
    uint32_t lost;                        /* messages the victim may have consumed unseen */
    void (*before)(struct crash_stage *); /* the survivor, before the victim is there */
    void (*ready)(struct crash_stage *);  /* the victim, safe */
    void (*act)(struct crash_stage *);    /* the victim, killed inside */
    void (*meanwhile)(struct crash_stage *, struct kit_child *victim);
    void (*second)(struct crash_stage *); /* the second victim; NULL: crash_uses */
    void (*finish)(struct crash_stage *); /* the survivor, before it drains */
    bool absent;                          /* nothing is there before the victim */
    bool gone;       /* the scene ends the mailbox: finish looks at everything */
    bool free_order; /* of one sender's messages those of a key alone come in order */
};

/* ---- messages */

static inline size_t crash_len(uint32_t id)
{
    static const size_t lens[] = { 5000, 70000, 100000, 700000, 1500000 };
    return id < CRASH_LONG || id == CRASH_END ? 32 + id : lens[(id - CRASH_LONG) % 5];
}

#define CRASH_LEN_MOST 1500000u
static uint8_t crash_buffer[CRASH_LEN_MOST];

/* The oldest gives way, and what is sent is there. */
static inline bool crash_is_lossy(const struct crash_stage *s)
{
    return s->options.full == TONG_DROP_OLDEST && s->options.capacity != 0;
}

static inline int crash_send_with(struct crash_stage *s, tong_mailbox *box, uint32_t id,
                                  const tong_send_options *with, int64_t timeout_ns)
{
    struct crash_message *m = &s->world->message[id];
    const size_t len = crash_len(id);
    kit_payload_write(crash_buffer, len, id, id);
    atomic_store(&m->offered, 1);
    const int r = with != NULL ? tong_send_with(box, crash_buffer, len, with, timeout_ns)
                               : tong_send(box, crash_buffer, len, timeout_ns);
    const bool there = r == 0 || (r == TONG_DROPPED && crash_is_lossy(s));
    atomic_store(there ? &m->promised : &m->refused, 1);
    return r;
}

static inline int crash_send(struct crash_stage *s, tong_mailbox *box, uint32_t id,
                             int64_t timeout_ns)
{
    return crash_send_with(s, box, id, NULL, timeout_ns);
}

static inline uint32_t crash_know(const void *data, size_t len)
{
    struct kit_payload head = { 0 };
    if (len < KIT_PAYLOAD_MIN || !kit_payload_read(data, len, &head) || head.sender >= CRASH_IDS ||
        len != crash_len(head.sender)) {
        kit_fail("a message of %zu bytes is damaged (says %u)", len, head.sender);
    }
    return head.sender;
}

/* The id of the message, or the error. */
static inline int crash_receive(struct crash_stage *s, tong_mailbox *box, int64_t timeout_ns)
{
    const ssize_t r = tong_receive(box, crash_buffer, CRASH_LEN_MOST, timeout_ns);
    if (r < 0) {
        return (int)r;
    }
    const uint32_t id = crash_know(crash_buffer, (size_t)r);
    atomic_fetch_add(&s->world->message[id].consumed, 1);
    return (int)id;
}

static inline int crash_claim(struct crash_stage *s, tong_mailbox *box, int64_t timeout_ns,
                              tong_message *ret_message)
{
    *ret_message = (tong_message)TONG_MESSAGE_INIT;
    const int r = tong_claim(box, timeout_ns, ret_message);
    if (r < 0) {
        return r;
    }
    const uint32_t id = crash_know(ret_message->data, ret_message->len);
    if (atomic_fetch_add(&s->world->message[id].handed, 1) != 0 && ret_message->deliveries < 2 &&
        s->options.delivery != TONG_EVERYONE) {
        kit_fail("message %u is handed out again without a mark", id);
    }
    return (int)id;
}

static inline void crash_done(struct crash_stage *s, tong_mailbox *box, int id,
                              tong_message *message)
{
    kit_ok(tong_done(box, message));
    atomic_fetch_add(&s->world->message[id].consumed, 1);
}

/* ---- the survivor's looks */

static inline bool crash_is(const struct crash_stage *s, unsigned bit)
{
    return (s->variant >> bit & 1) != 0;
}

/* Take all that is there, new messages of one sender in their order. With a time-out, however short:
 * what a sender killed inside its send committed is found by a look under the token only. */
static inline void crash_drain(struct crash_stage *s, tong_mailbox *box)
{
    int last[CRASH_IDS / CRASH_SENDER];
    memset(last, -1, sizeof(last));
    for (;;) {
        tong_message message = TONG_MESSAGE_INIT;
        const bool by_claim = crash_is(s, 1);
        const int id = by_claim ? crash_claim(s, box, 1, &message) : crash_receive(s, box, 1);
        if (id < 0) {
            kit_gives(id, -ETIMEDOUT);
            return;
        }
        int *const before = &last[(unsigned)id / CRASH_SENDER];
        if (by_claim && message.deliveries == 1 && id <= *before && !s->scene->free_order) {
            kit_fail("message %d comes behind %d", id, *before);
        }
        *before = id;
        if (by_claim) {
            crash_done(s, box, id, &message);
        }
    }
}

/* How many promised messages the dead may have consumed unseen. */
static inline uint32_t crash_lost(const struct crash_stage *s)
{
    return (s->killed ? s->scene->lost : 0) + s->second_killed;
}

/* How many of those that are missing were dropped, as the mailbox counts: all but those that the dead
 * were at, and not one more. */
static inline uint32_t crash_dropped(const struct crash_stage *s, uint32_t missing)
{
    if (!crash_is_lossy(s)) {
        return 0;
    }
    const tong_status status = kit_stat(CRASH_BOX);
    const uint64_t dead = (uint64_t)s->killed + (uint64_t)s->second_killed;
    kit_equal(status.waiting, 0);
    kit_true(status.dropped <= missing + 2 * dead);
    return status.dropped < missing ? (uint32_t)status.dropped : missing;
}

/* C2 to C4. */
static inline void crash_settle(const struct crash_stage *s)
{
    uint32_t missing = 0;
    uint32_t last = 0;
    for (uint32_t id = 0; id < CRASH_IDS; id++) {
        struct crash_message *m = &s->world->message[id];
        const uint32_t consumed = atomic_load(&m->consumed);
        if (consumed != 0 && (atomic_load(&m->offered) == 0 || atomic_load(&m->refused) != 0)) {
            kit_fail("message %u was never sent and yet received", id);
        }
        if (consumed > 1) {
            kit_fail("message %u was consumed %u times", id, consumed);
        }
        if (atomic_load(&m->promised) != 0 && consumed == 0) {
            last = id;
            missing++;
        }
    }
    missing -= crash_dropped(s, missing);
    if (missing > crash_lost(s)) {
        kit_fail("%u promised messages were lost, message %u among them", missing, last);
    }
}

static inline int crash_take_one(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    kit_equal(kit_receive_u64(box), 7);
    kit_ok(tong_close(box));
    return 0;
}

/* C5. Rendezvous: one goes through, and none without a receiver. */
static inline void crash_fill(const struct crash_stage *s)
{
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE, NULL);
    const tong_status status = kit_stat(CRASH_BOX);
    uint32_t room = status.capacity < status.link_capacity ? status.capacity : status.link_capacity;
    const int full = s->options.full != TONG_BLOCK ? TONG_DROPPED : -EAGAIN;
    uint32_t first = 0;
    if (s->options.capacity == 0) {
        kit_gives(kit_send_u64(box, 7, 0), full);
        struct kit_child taker = kit_spawn(crash_take_one, NULL);
        /* Where it may be dropped it is, while the receiver is not on a processor. */
        kit_until(kit_send_u64(box, 7, KIT_PATIENCE) == 0);
        kit_join(&taker);
        room = 0;
    }
    const bool bounded = room != TONG_UNBOUNDED;
    room = bounded ? room : 100;
    for (uint32_t i = 0; i < room; i++) {
        const int r = kit_send_u64(box, i, 0);
        if (r != 0) {
            kit_fail("%u of %u messages fit: %s", i, room, tong_strerror(r));
        }
    }
    if (bounded) {
        kit_gives(kit_send_u64(box, room, 0), full);
        first = crash_is_lossy(s) ? 1 : 0;
    }
    for (uint32_t i = 0; i < room; i++) {
        kit_equal(kit_receive_u64(box), first + i);
    }
    kit_is_empty(box);
    kit_equal(kit_stat(CRASH_BOX).backstop_finds, 0);
    kit_ok(tong_close(box));
}

static inline void crash_entries_are(const char *folder, const char *wanted)
{
    const char *found = kit_entries(kit_box_path(folder));
    if (strcmp(found, wanted) != 0) {
        kit_fail("left in %s: \"%s\", wanted: \"%s\"", folder, found, wanted);
    }
}

/* Whether a queue of the kernel carries the messages. */
static inline bool crash_is_carried(void)
{
    return strcmp(kit_carrier(), "mq") == 0;
}

/* The root of its mailboxes. */
static inline struct tg_root *crash_root(void)
{
    struct tg_root *root;
    kit_ok(tg_root_get_inner(crash_is_carried() ? ".mq" : NULL, false, &root));
    return root;
}

/* C6. */
static inline void crash_look_at_folder(bool gone)
{
    if (!gone) {
        char wanted[64];
        kit_ok(tong_close(kit_open(CRASH_BOX, TONG_RECEIVE, NULL)));
        snprintf(wanted, sizeof(wanted), "bell.%u box%s room%s", (unsigned)geteuid(),
                 crash_is_carried() ? " queue" : "", crash_is_carried() ? " stage" : "");
        crash_entries_are(CRASH_NAME, wanted);
    }
    crash_entries_are(".life", "");
    crash_entries_are(".tmp", "");
}

/* Rooms taken and not freed, as a sender counts them. */
static inline uint32_t crash_rooms_used(void)
{
    struct tg_root *root = crash_root();
    struct tg_box_view view;
    void *p = NULL;
    kit_ok(tg_box_view_open(root, CRASH_NAME, false, &view));
    tg_fd fd = tg_sys_open(view.dir, TG_ROOM_FILE, O_RDONLY, 0);
    kit_true(fd >= 0);
    kit_ok(tg_sys_map(fd, 0, TG_ROOM_SIZE, false, &p));
    const struct tg_room_head *room = p;
    const uint64_t total = tg_load_acquire(&room->word) >> 40;
    const uint64_t done = tg_load_acquire(&view.head->done_total) & 0xffffff;
    tg_sys_unmap(p, TG_ROOM_SIZE);
    tg_box_view_close(&view);
    tg_root_put(root);
    return (uint32_t)(total - done) & 0xffffff;
}

/* ---- helpers: survivors that sleep */

/* Receives until CRASH_END or an error, which is answer[0]. */
static inline int crash_receiver(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
    int id;
    do {
        id = crash_receive(s, box, TONG_FOREVER);
    } while (id >= 0 && id != (int)CRASH_END);
    atomic_store(&s->world->answer[0], id);
    kit_ok(tong_close(box));
    return 0;
}

static inline void crash_start_receiver(struct crash_stage *s)
{
    s->helper[0] = kit_spawn(crash_receiver, s);
    kit_until_asleep(CRASH_BOX, 1);
}

/* Nothing that was promised waits. What a dead sender had not promised may. */
static inline bool crash_all_received(const struct crash_stage *s)
{
    bool all = true;
    uint32_t open = 0; /* sends that never returned */
    for (uint32_t id = 0; id < CRASH_IDS; id++) {
        struct crash_message *m = &s->world->message[id];
        const bool promised = atomic_load(&m->promised) != 0;
        all = all && (!promised || atomic_load(&m->consumed) != 0);
        open += atomic_load(&m->offered) != 0 && !promised && atomic_load(&m->refused) == 0;
    }
    if (crash_lost(s) == 0) {
        return all;
    }
    const tong_status status = kit_stat(CRASH_BOX);
    return status.waiting <= open && status.claimed == 0;
}

/* The sleeping receiver gets every promised message without being asked to (C1), and ends. */
static inline void crash_end_receiver(struct crash_stage *s)
{
    kit_until(crash_all_received(s));
    if (s->sender == NULL) {
        s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    }
    kit_ok(crash_send(s, s->sender, CRASH_END, KIT_PATIENCE));
    kit_join(&s->helper[0]);
}

/* Sends 24, for ever; answer[1]. */
static inline int crash_blocked(void *arg)
{
    struct crash_stage *s = arg;
    tong_mailbox *box = kit_open(CRASH_BOX, TONG_SEND, NULL);
    const int r = crash_send(s, box, 24, TONG_FOREVER);
    atomic_store(&s->world->answer[1], r);
    kit_ok(tong_close(box));
    return 0;
}

static inline bool crash_has_ended(const struct kit_child *child)
{
    siginfo_t info = { .si_pid = 0 };
    kit_ok(waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT));
    return info.si_pid != 0;
}

/* ---- one point of one scene */

static inline int crash_victim(void *arg)
{
    struct crash_stage *s = arg;
    if (s->scene->ready != NULL) {
        s->scene->ready(s);
    }
    tg_point_arm(s->n);
    s->scene->act(s);
    atomic_store(&s->world->points[0], (uint32_t)tg_point_count());
    tg_point_arm(0);
    fflush(NULL);
    _exit(0); /* a death as well: its handles are never closed */
}

static inline void crash_opens_or_not(struct crash_stage *s)
{
    const unsigned flags[] = { TONG_SEND | TONG_RECEIVE, TONG_SEND };
    s->mine = NULL;
    for (int i = 0; i < 2 && s->mine == NULL; i++) {
        const int r = tong_open(CRASH_BOX, flags[i], NULL, &s->mine);
        kit_true(r == 0 || r == -ENOENT || r == -EBUSY || r == -EPERM);
    }
}

/* Come, look, and go: no message is touched. */
static inline void crash_looks(struct crash_stage *s)
{
    crash_opens_or_not(s);
    (void)tong_close(s->mine);
    (void)tong_doctor(1, kit_ignore_finding, NULL);
}

/* Come, send, take one, go, and clear away. */
static inline void crash_uses(struct crash_stage *s)
{
    tong_message message;
    crash_opens_or_not(s);
    if (s->mine != NULL) {
        (void)crash_send(s, s->mine, CRASH_SECOND, 0);
        if (crash_is(s, 1)) {
            const int id = crash_claim(s, s->mine, 0, &message);
            if (id >= 0) {
                crash_done(s, s->mine, id, &message);
            }
        } else {
            (void)crash_receive(s, s->mine, 0);
        }
    }
    (void)tong_close(s->mine);
    (void)tong_doctor(1, kit_ignore_finding, NULL);
}

static inline int crash_second_victim(void *arg)
{
    struct crash_stage *s = arg;
    tg_point_arm(s->m);
    (s->scene->second != NULL ? s->scene->second : crash_uses)(s);
    atomic_store(&s->world->points[1], (uint32_t)tg_point_count());
    tg_point_arm(0);
    fflush(NULL);
    _exit(0);
}

static inline void crash_check(struct crash_stage *s)
{
    if (s->scene->finish != NULL) {
        s->scene->finish(s);
    }
    if (!s->scene->gone) {
        if (s->box == NULL) {
            s->box = kit_open(CRASH_BOX, TONG_SEND | TONG_RECEIVE | TONG_FROM_OLDEST, NULL);
        }
        crash_drain(s, s->box);
        crash_settle(s);
    }
    kit_ok(tong_close(s->extra));
    kit_ok(tong_close(s->sender));
    kit_ok(tong_close(s->box));
    if (!s->scene->gone) {
        crash_fill(s);
    }
    crash_look_at_folder(s->scene->gone);
    if (!s->scene->gone) {
        kit_ok(tong_remove(CRASH_BOX));
    }
}

/* One case. s->killed and s->second_killed say who died. */
static inline void crash_once(struct crash_stage *s)
{
    const struct crash_scene *scene = s->scene;
    memset(s->world, 0, sizeof(*s->world));
    s->options = scene->options();
    if (!scene->absent) {
        tong_mailbox *first = kit_create(CRASH_BOX, &s->options);
        if (crash_is(s, 0)) {
            s->box = first;
        } else {
            kit_ok(tong_close(first));
        }
    }
    if (scene->before != NULL) {
        scene->before(s);
    }
    struct kit_child victim = kit_spawn(crash_victim, s);
    if (scene->meanwhile != NULL) {
        scene->meanwhile(s, &victim);
    }
    s->killed = crash_dies(&victim);
    if (s->m != 0) {
        struct kit_child second = kit_spawn(crash_second_victim, s);
        s->second_killed = crash_dies(&second);
    }
    crash_check(s);
}

/* ---- all of a scene */

static inline void crash_case_of(struct crash_run *run, struct crash_case *c)
{
    struct crash_world *world = run->world;
    struct crash_stage s = {
        .scene = run->scene, .world = world, .n = c->n, .m = c->m, .variant = c->variant
    };
    crash_once(&s);
    c->killed = s.killed;
    c->second_killed = s.second_killed;
    c->points = atomic_load(&world->points[0]);
    c->second_points = atomic_load(&world->points[1]);
}

static inline void crash_all(const struct crash_scene *scene)
{
    struct crash_run run = { .operation = scene->operation,
                             .role = scene->role,
                             .variants = 4,
                             .once = crash_case_of,
                             .scene = scene,
                             .world = kit_shared(sizeof(struct crash_world)) };
    crash_run_all(&run);
}

/* ---- options */

static inline tong_options crash_bounded(void)
{
    return kit_capacity(4);
}

static inline tong_options crash_unbounded(void)
{
    return kit_options();
}

static inline tong_options crash_link_bounded(void)
{
    tong_options options = kit_options();
    options.link_capacity = 4;
    return options;
}

static inline tong_options crash_rendezvous(void)
{
    return kit_capacity(0);
}

/* The mailbox of who makes it, a process. */
static inline tong_options crash_process_owned(uint32_t capacity)
{
    tong_options options = kit_capacity(capacity);
    options.owner = TONG_PROCESS;
    return options;
}

/* ---- common acts */

static inline void crash_open_sender(struct crash_stage *s)
{
    s->mine = kit_open(CRASH_BOX, TONG_SEND, NULL);
}

static inline void crash_open_receiver(struct crash_stage *s)
{
    s->mine = kit_open(CRASH_BOX, TONG_RECEIVE, NULL);
}

/* The victim has a link with a message in it. */
static inline void crash_own_link(struct crash_stage *s)
{
    crash_open_sender(s);
    kit_ok(crash_send(s, s->mine, 0, 0));
}

static inline void crash_close_mine(struct crash_stage *s)
{
    kit_ok(tong_close(s->mine));
}

static inline void crash_remove(struct crash_stage *s)
{
    (void)s;
    kit_ok(tong_remove(CRASH_BOX));
}

/* Somebody else removes it, too. */
static inline void crash_remove_again(struct crash_stage *s)
{
    (void)s;
    const int r = tong_remove(CRASH_BOX);
    kit_true(r == 0 || r == -ENOENT);
}

/* Four messages fill the mailbox, of the test's own sender ... */
static inline void crash_fill_up(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 8; id < 12; id++) {
        kit_ok(crash_send(s, s->sender, id, 0));
    }
}

/* ... and another one is blocked. */
static inline void crash_full_and_blocked(struct crash_stage *s)
{
    crash_fill_up(s);
    s->helper[1] = kit_spawn(crash_blocked, s);
    kit_until_blocked(CRASH_BOX, 1);
}

/* The victim's own link is full. */
static inline void crash_fill_own_link(struct crash_stage *s)
{
    crash_open_sender(s);
    for (uint32_t id = 8; id < 12; id++) {
        kit_ok(crash_send(s, s->mine, id, 0));
    }
}

/* Three messages of the test wait. */
static inline void crash_send_three(struct crash_stage *s)
{
    s->sender = kit_open(CRASH_BOX, TONG_SEND, NULL);
    for (uint32_t id = 8; id < 11; id++) {
        kit_ok(crash_send(s, s->sender, id, 0));
    }
}

#endif
