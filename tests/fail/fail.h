/*
 * What the tests of failing calls share.
 *
 * A scene is one operation. It is run again and again, each time with everything made anew, and each
 * time another one of its system calls or allocations fails: the n-th, with every error that this call
 * may give. A second round makes all calls from the n-th on fail that can give the error: a process
 * without descriptors or memory stays so for a while. Then, with nothing failing any more:
 *
 *   F1  the answer is 0 or more, or an error that tong.h lists for the call
 *   F2  what was promised is there, whole and once, and nothing else
 *   F3  the handles that were open work on; what failed to open, opens
 *   F4  they close, the name goes, and can be used again
 *   F5  as many descriptors, mappings and allocations are left as before, and after a visit no file
 *
 * The list of F1 is read out of the header, so that the two cannot differ. Calls of other threads
 * never fail. Each scene prints its calls, its allocations, and how many failures it met.
 */
#ifndef TONG_FAIL_H
#define TONG_FAIL_H

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/point.h"
#include "kit.h"

/* An error that no call of this file's scenes gives in life. */
#ifndef FAIL_NEVER
#define FAIL_NEVER (-1)
#endif

#ifndef FAIL_BOX
#define FAIL_BOX "box"
#endif
#define FAIL_REGION "plain"
#ifndef FAIL_ENDS_WITH_OWNER
#define FAIL_ENDS_WITH_OWNER false /* a mailbox does, always */
#endif
#define FAIL_MOST 512u /* messages of a scene */

/* One run of a scene. */
struct fail_stage {
    tong_mailbox *out; /* sends */
    tong_mailbox *in;  /* receives; may be the same */
    tong_mailbox *more;
    tong_region *region;
    tong_region *other;
    tong_process *me;
    tong_process *peer;
    tong_observer *observer;
    struct fail_waiting {
        uint64_t id;
        size_t len;
        uint32_t sender;
    } waiting[FAIL_MOST]; /* promised and not received; those of one sender in their order */
    size_t n_waiting;
    bool pushes_out; /* TONG_DROP_OLDEST */
    uint64_t next_id;
    uint32_t sender; /* whose messages are written now */
    tong_message message[4];
    tong_slot slot;
    uint8_t *data; /* FAIL_DATA bytes */
    pthread_t helper;
    _Atomic bool over;  /* the operation has returned */
    _Atomic int helped; /* what the helper's call gave */
    int listed;         /* names that a list told of */
    uint32_t capacity;  /* 0, or so many messages fit, exactly */
    bool rendezvous;    /* a message cannot be sent without a receiver */
    bool any_order;     /* handed out before: what is returned comes as it comes */
    bool may_be_gone;   /* the name may be free afterwards */
    bool may_repeat;    /* a message handed out may come again, marked */
};

#define FAIL_DATA ((size_t)6 << 20)

struct fail_scene {
    const char *name;
    const char *call; /* whose errors tong.h lists */
    void (*prepare)(struct fail_stage *s);
    int64_t (*run)(struct fail_stage *s);
    void (*check)(struct fail_stage *s, int64_t answer); /* of what it did; may be NULL */
    bool quiet;                                          /* it makes no call that could fail */
};

/* A test of one scene; of one that makes no call. */
#define FAIL_SCENE(function, label, called, before, act, after)                                    \
    FAIL_TEST(function, label, called, before, act, after, false)
#define FAIL_QUIET(function, label, called, before, act, after)                                    \
    FAIL_TEST(function, label, called, before, act, after, true)
#define FAIL_TEST(function, label, called, before, act, after, none)                               \
    static void function(void)                                                                     \
    {                                                                                              \
        static const struct fail_scene scene = { .name = label,                                    \
                                                 .call = called,                                   \
                                                 .prepare = before,                                \
                                                 .run = act,                                       \
                                                 .check = after,                                   \
                                                 .quiet = none };                                  \
        fail_all(&scene);                                                                          \
    }

/* ------------------------------------------------------------------ which call fails how */

struct fail_kind {
    const char *call; /* the source text begins with it, or holds it after syscall( */
    int error[8];
};

static const struct fail_kind fail_kinds[] = {
    { "openat(", { EMFILE, ENFILE, ENOMEM, EACCES, EINTR, EIO } },
    { "fstat(", { ENOMEM, EIO } },
    { "fstatat(", { ENOENT, EACCES, ENOMEM } },
    { "mkdirat(", { ENOSPC, ENOMEM, EACCES, EEXIST } },
    { "fchmod(", { EPERM, ENOMEM } },
    { "fchown(", { EPERM, ENOMEM } },
    { "unlinkat(", { EACCES, ENOENT, ENOMEM } },
    { "renameat2(", { EEXIST, ENOENT, ENOSPC, ENOMEM, EACCES } },
    { "fallocate(fd, 0", { ENOSPC, EDQUOT, EFBIG, ENOMEM, EINTR, EIO } },
    { "fallocate(fd, FALLOC_FL_PUNCH", { EOPNOTSUPP, ENOMEM, EINTR } },
    { "lseek(", { EINVAL, ENXIO } },
    { "ftruncate(", { ENOSPC, EINTR } },
    { "pread(", { EINTR, ENOMEM, EIO } },
    { "pwrite(", { ENOSPC, ENOMEM, EINTR } },
    { "mmap(", { ENOMEM, EAGAIN, ENFILE } },
    { "fcntl(fd, F_OFD_SETLKW", { ENOLCK, EINTR } },
    { "fcntl(fd, F_OFD_SETLK,", { ENOLCK, EAGAIN, EACCES } },
    { "fcntl(fd, F_OFD_GETLK", { ENOLCK } },
    { "getrandom(", { EINTR } },
    { "getdents64(", { ENOMEM, EIO } },
    { "syscall(SYS_futex, word, FUTEX_WAIT", { EINTR, EAGAIN, ENOMEM } },
    { "syscall(SYS_futex, word, FUTEX_WAKE", { ENOMEM } },
    { "syscall(SYS_futex, other, FUTEX_WAKE_OP", { ENOSYS } },
    { "syscall(SYS_futex, word, FUTEX_CMP_REQUEUE", { ENOMEM } },
    { "nanosleep(", { EINTR } },
    { "syscall(SYS_futex_waitv", { ENOSYS, EPERM, EINTR, EAGAIN, ENOMEM } },
    { "syscall(SYS_get_robust_list", { ENOSYS, EPERM } },
    { "statvfs(", { EACCES, ENOSYS } },
    { "access(", { EACCES, ENOENT } },
    { "mkfifoat(", { EEXIST, ENOSPC, ENOMEM, EACCES } },
    { "write(", { EINTR } }, /* a fifo that is full is readable already */
    { "read(", { EINTR } },
    { "epoll_create1(", { EMFILE, ENFILE, ENOMEM } },
    { "epoll_ctl(", { ENOMEM, ENOSPC } },
    { "epoll_wait(", { EINTR } },
    { "timerfd_create(", { EMFILE, ENFILE, ENOMEM } },
    { "timerfd_settime(", { 0 } },
    { "syscall(SYS_pidfd_open", { ESRCH, EMFILE, ENFILE, ENOMEM } },
    { "mq_open(name, O_RDWR | O_CREAT", { ENOSPC, EMFILE, ENFILE, ENOMEM, EINVAL, EACCES } },
    { "mq_open(", { EMFILE, ENFILE, ENOMEM } },
    { "mq_unlink(", { ENOMEM } },
    { "syscall(SYS_mq_timedsend", { EINTR, ENOMEM, EAGAIN } },
    { "syscall(SYS_mq_timedreceive", { EINTR, EAGAIN } },
    { "mq_getattr(", { 0 } },
    { "ppoll(", { EINTR, ENOMEM } },
    { "socket(", { EMFILE, ENFILE, ENOMEM } },
    { "socketpair(", { EMFILE, ENFILE, ENOMEM } },
    { "bind(", { ENOSPC, ENOMEM, EACCES } },
    { "fchmodat(", { ENOMEM } },
    { "listen(", { 0 } },
    { "connect(", { EAGAIN, EINTR, ENOMEM, EACCES } },
    { "accept4(", { EMFILE, ENFILE, ENOMEM, EAGAIN } },
    { "getsockopt(", { ENOMEM } },
    { "setsockopt(", { ENOMEM } },
    { "sendmsg(", { ENOMEM, EINTR } },
    { "recvmsg(", { ENOMEM, EINTR } },
    { "eventfd(", { EMFILE, ENFILE, ENOMEM } },
    { "memfd_create(", { EMFILE, ENFILE, ENOMEM } },
    { "fcntl(fd, F_ADD_SEALS", { ENOMEM } },
    { "fcntl(fd, F_GET_SEALS", { 0 } },
    { "fcntl(fd, F_DUPFD_CLOEXEC", { EMFILE } },
    { "malloc", { ENOMEM } },
};

/* What one run does. */
static struct {
    unsigned n;     /* fails at this one, counted from 1; 0 never */
    unsigned error; /* its so-manieth error */
    bool stays;     /* and so do all behind it */
    int with;       /* the error given; 0 not yet */
    bool more;      /* the call at n has further errors */
    unsigned passed;
    unsigned allocations;
    unsigned failed;
    unsigned kept;    /* mappings that stay since munmap failed */
    const char *what; /* the call at n */
} fail_plan;

static _Thread_local bool fail_is_armed;
static const struct fail_scene *fail_scene_now;
static int64_t fail_answer_now;

static const struct fail_kind *fail_kind_of(const char *call)
{
    for (size_t i = 0; i < sizeof(fail_kinds) / sizeof(fail_kinds[0]); i++) {
        if (strncmp(call, fail_kinds[i].call, strlen(fail_kinds[i].call)) == 0) {
            return &fail_kinds[i];
        }
    }
    kit_fail("no errors are known for %s", call);
}

static bool fail_can_give(const struct fail_kind *kind, int error)
{
    for (size_t i = 0; i < 8 && kind->error[i] != 0; i++) {
        if (kind->error[i] == error) {
            return true;
        }
    }
    return false;
}

static int fail_choose(const char *call)
{
    if (!fail_is_armed) {
        return 0;
    }
    const struct fail_kind *kind = fail_kind_of(call);
    fail_plan.passed++;
    if (fail_plan.passed == fail_plan.n) {
        const unsigned e = fail_plan.error;
        fail_plan.what = call;
        fail_plan.more = kind->error[e] != 0 && kind->error[e + 1] != 0;
        fail_plan.with = kind->error[e];
        if (fail_plan.with == FAIL_NEVER || fail_plan.with == 0) {
            fail_plan.with = 0;
            return 0;
        }
        fail_plan.failed++;
        return fail_plan.with;
    }
    /* Signals and races pass; a limit stays. */
    const int with = fail_plan.with;
    const bool lasts = with != EINTR && with != EEXIST && with != ENOENT && with != EAGAIN;
    if (with != 0 && fail_plan.stays && lasts && fail_can_give(kind, with)) {
        fail_plan.failed++;
        return with;
    }
    return 0;
}

/* The allocations of the library and of this program, by ld --wrap; those of libc are its own. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);

static _Atomic long fail_allocated; /* and not freed */

static void *fail_or(void *(*allocate)(void *p, size_t n, size_t size), void *p, size_t n,
                     size_t size)
{
    if (fail_is_armed) {
        fail_plan.allocations++;
        if (fail_choose("malloc") != 0) {
            errno = ENOMEM;
            return NULL;
        }
    }
    void *made = allocate(p, n, size);
    atomic_fetch_add(&fail_allocated, made != NULL && p == NULL ? 1 : 0);
    return made;
}

static void *fail_malloc(void *p, size_t n, size_t size)
{
    (void)p;
    (void)n;
    return __real_malloc(size);
}

static void *fail_calloc(void *p, size_t n, size_t size)
{
    (void)p;
    return __real_calloc(n, size);
}

static void *fail_realloc(void *p, size_t n, size_t size)
{
    (void)n;
    return __real_realloc(p, size);
}

void *__wrap_malloc(size_t size)
{
    return fail_or(fail_malloc, NULL, 0, size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fail_or(fail_calloc, NULL, n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fail_or(fail_realloc, p, 0, size);
}

void __wrap_free(void *p)
{
    atomic_fetch_sub(&fail_allocated, p != NULL ? 1 : 0);
    __real_free(p);
}

/* ------------------------------------------------------------------ the header's lists */

static const char *fail_header(void)
{
    static char *text;
    if (text == NULL) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s", __FILE__);
        char *end = strstr(path, "tests/fail/");
        kit_true(end != NULL);
        (void)snprintf(end, 64, "include/tong/tong.h");
        FILE *file = fopen(path, "re");
        kit_true(file != NULL);
        text = calloc(1, (size_t)1 << 20);
        kit_true(text != NULL && fread(text, 1, ((size_t)1 << 20) - 1, file) > 1000);
        (void)fclose(file);
    }
    return text;
}

/* The comment that begins with "call - ". */
static void fail_contract(const char *call, char *ret_text, size_t size)
{
    char head[64];
    (void)snprintf(head, sizeof(head), "* %s - ", call);
    const char *at = strstr(fail_header(), head);
    const char *end = at == NULL ? NULL : strstr(at, "*/");
    if (end == NULL || (size_t)(end - at) >= size) {
        kit_fail("tong.h has no contract of %s", call);
    }
    memcpy(ret_text, at, (size_t)(end - at));
    ret_text[end - at] = '\0';
}

static bool fail_names(const char *text, const char *error)
{
    const size_t n = strlen(error);
    for (const char *at = strstr(text, error); at != NULL; at = strstr(at + 1, error)) {
        const char after = at[n];
        if (at > text && at[-1] == '-' && !(after >= 'A' && after <= 'Z') &&
            !(after >= '0' && after <= '9')) {
            return true;
        }
    }
    return false;
}

static bool fail_is_listed(const char *call, int error)
{
    static const char *const also[] = { "tong_send", "tong_receive", "tong_open", "tong_call" };
    char text[16384];
    fail_contract(call, text, sizeof(text));
    /* A broken disk is handed on as it is, by every call. */
    if (error == ECHILD || error == EIO || fail_names(text, strerrorname_np(error))) {
        return true;
    }
    /* "an error of tong_send()", "as tong_send()": its list, too. */
    for (size_t i = 0; i < sizeof(also) / sizeof(also[0]); i++) {
        char of[64];
        char as[64];
        (void)snprintf(of, sizeof(of), " of %s()", also[i]);
        (void)snprintf(as, sizeof(as), "as %s()", also[i]);
        if (strcmp(call, also[i]) != 0 && (strstr(text, of) != NULL || strstr(text, as) != NULL) &&
            fail_is_listed(also[i], error)) {
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------ what is left */

struct fail_left {
    long allocated;
    unsigned descriptors;
    unsigned mappings;
};

static unsigned fail_count_descriptors(void)
{
    unsigned n = 0;
    DIR *folder = opendir("/proc/self/fd");
    kit_true(folder != NULL);
    while (readdir(folder) != NULL) {
        n++;
    }
    closedir(folder);
    return n;
}

/* Those of files in the mailbox folder; the heap may grow and fall as it likes. */
static unsigned fail_count_mappings(void)
{
    unsigned n = 0;
    char line[8192];
    FILE *maps = fopen("/proc/self/maps", "re");
    kit_true(maps != NULL);
    while (fgets(line, sizeof(line), maps) != NULL) {
        n += strstr(line, getenv("TONG_DIR")) != NULL;
    }
    (void)fclose(maps);
    return n;
}

static struct fail_left fail_look(void)
{
    return (struct fail_left){ .allocated = atomic_load(&fail_allocated),
                               .descriptors = fail_count_descriptors(),
                               .mappings = fail_count_mappings() };
}

/* In a folder of mailboxes are those for lives and for what is made, and nothing in them. */
static void fail_look_at_folder(const char *path)
{
    char entries[4096];
    (void)snprintf(entries, sizeof(entries), "%s", kit_entries(path));
    char *rest = NULL;
    for (char *name = strtok_r(entries, " ", &rest); name != NULL;
         name = strtok_r(NULL, " ", &rest)) {
        char within[4096];
        (void)snprintf(within, sizeof(within), "%s/%s", path, name);
        if (strcmp(name, ".mq") == 0) {
            fail_look_at_folder(within);
        } else if (strcmp(name, ".life") == 0 || strcmp(name, ".tmp") == 0) {
            if (kit_entries(within)[0] != '\0') {
                kit_fail("left in %s: %s", within, kit_entries(within));
            }
        } else if (strcmp(name, ".lock") != 0) {
            kit_fail("left in %s: %s", path, name);
        }
    }
}

/* The last visit, and what lies about after it. */
static void fail_look_at_files(void)
{
    kit_true(tong_doctor(1, kit_ignore_finding, NULL) >= 0);
    fail_look_at_folder(getenv("TONG_DIR"));
}

/* ------------------------------------------------------------------ messages */

/* The next message of so many bytes, in s->data. */
static uint64_t fail_write(struct fail_stage *s, size_t len)
{
    kit_true(len >= KIT_PAYLOAD_MIN && len <= FAIL_DATA);
    kit_payload_write(s->data, len, s->sender, s->next_id);
    return s->next_id++;
}

static void fail_promise(struct fail_stage *s, uint64_t id, size_t len)
{
    kit_true(s->n_waiting < FAIL_MOST);
    s->waiting[s->n_waiting++] = (struct fail_waiting){ .id = id, .len = len, .sender = s->sender };
}

/* Received, or otherwise not to be expected any more. */
static void fail_forget(struct fail_stage *s, size_t at)
{
    s->n_waiting--;
    memmove(s->waiting + at, s->waiting + at + 1, (s->n_waiting - at) * sizeof(s->waiting[0]));
}

/* Received: it must be the first of its sender that waits. */
static void fail_take(struct fail_stage *s, const void *data, size_t len)
{
    struct kit_payload head;
    kit_true(kit_payload_read(data, len, &head));
    for (size_t i = 0; i < s->n_waiting; i++) {
        const bool same = s->waiting[i].id == head.counter;
        if (s->waiting[i].sender == head.sender && (same || !s->any_order)) {
            kit_equal(head.counter, s->waiting[i].id);
            kit_equal(len, s->waiting[i].len);
            fail_forget(s, i);
            return;
        }
    }
    kit_fail("message %llu of sender %u, which nobody promised", (unsigned long long)head.counter,
             (unsigned)head.sender);
}

static int fail_send(struct fail_stage *s, tong_mailbox *box, size_t len, int64_t timeout_ns)
{
    const uint64_t id = fail_write(s, len);
    const int r = tong_send(box, s->data, len, timeout_ns);
    if (r == TONG_DROPPED && s->pushes_out) {
        s->n_waiting--; /* the oldest of its sender, the only one */
        memmove(s->waiting, s->waiting + 1, s->n_waiting * sizeof(s->waiting[0]));
    }
    if (r == 0 || (r == TONG_DROPPED && s->pushes_out)) {
        fail_promise(s, id, len);
    }
    return r;
}

static void fail_drain(struct fail_stage *s, tong_mailbox *box)
{
    for (;;) {
        tong_message message = TONG_MESSAGE_INIT;
        const int r = tong_claim(box, 0, &message);
        if (r == -EAGAIN) {
            break;
        }
        kit_ok(r);
        fail_take(s, message.data, message.len);
        kit_ok(tong_done(box, &message));
    }
    if (s->n_waiting != 0) {
        kit_fail("%zu promised messages are lost, the first is %llu", s->n_waiting,
                 (unsigned long long)s->waiting[0].id);
    }
}

/* ------------------------------------------------------------------ the other side */

/* Wait until the operation sleeps (as tong_stat tells) or is over. */
static inline void fail_await_sleep(struct fail_stage *s, bool receiver)
{
    tong_status status = TONG_STATUS_INIT;
    kit_until(tong_stat(FAIL_BOX, &status) != 0 || atomic_load(&s->over) ||
              (receiver ? status.receivers_asleep : status.senders_blocked) != 0);
    kit_ok(tong_stat(FAIL_BOX, &status));
}

/* The same where tong_stat tells nothing: until the thread of the operation sleeps, or it is over. */
static inline void fail_await_thread(struct fail_stage *s)
{
    kit_until(atomic_load(&s->over) || kit_sleeps(getpid()));
}

static inline void fail_help(struct fail_stage *s, void *(*function)(void *stage))
{
    kit_equal(pthread_create(&s->helper, NULL, function, s), 0);
}

static inline void fail_helped(struct fail_stage *s)
{
    atomic_store(&s->over, true);
    kit_equal(pthread_join(s->helper, NULL), 0);
}

/* ------------------------------------------------------------------ afterwards */

static void fail_use_box(struct fail_stage *s)
{
    tong_mailbox *in = s->in;
    if (in == NULL) {
        const int r = tong_open(FAIL_BOX, TONG_RECEIVE, NULL, &in);
        if (r == -ENOENT && s->may_be_gone) {
            return;
        }
        kit_ok(r);
    }
    fail_drain(s, in);
    if (s->out != NULL && !s->rendezvous) {
        kit_ok(fail_send(s, s->out, 100, 0));
        kit_ok(fail_send(s, s->out, 3000, 0));
        fail_drain(s, in);
    }
    for (uint32_t i = 0; i < s->capacity; i++) {
        kit_ok(fail_send(s, s->out, 100, 0));
    }
    if (s->capacity != 0) {
        const int more = fail_send(s, s->out, 100, 0);
        kit_true(more == -EAGAIN || more == TONG_DROPPED);
        fail_drain(s, in);
    }
    if (in != s->in) {
        kit_ok(tong_close(in));
    }
}

static void fail_close(struct fail_stage *s)
{
    if (s->in != s->out) {
        kit_ok(tong_close(s->in));
    }
    kit_ok(tong_close(s->out));
    kit_ok(tong_close(s->more));
    kit_ok(tong_region_close(s->region));
    kit_ok(tong_region_close(s->other));
    kit_ok(tong_process_close(s->me));
    kit_ok(tong_process_close(s->peer));
    s->in = s->out = s->more = NULL;
    s->region = s->other = NULL;
    s->me = s->peer = NULL;
}

/* F4: the names go and come. */
static void fail_use_names_again(struct fail_stage *s)
{
    const int gone = tong_remove(FAIL_BOX);
    kit_true(gone == 0 || (gone == -ENOENT && (s->may_be_gone || FAIL_ENDS_WITH_OWNER)));
    const int region_gone = tong_region_remove(FAIL_REGION);
    kit_true(region_gone == 0 || region_gone == -ENOENT);
    s->in = s->out = kit_create(FAIL_BOX, NULL);
    s->rendezvous = false;
    s->capacity = 0;
    s->n_waiting = 0;
    fail_use_box(s);
    kit_ok(tong_region_open(FAIL_REGION, 5000, TONG_WRITE | TONG_CREATE | TONG_EXCL, NULL,
                            &s->region));
    kit_ok(tong_region_lock(s->region, 0));
    kit_ok(tong_region_unlock(s->region));
    fail_close(s);
    kit_gives(tong_remove(FAIL_BOX), FAIL_ENDS_WITH_OWNER ? -ENOENT : 0);
    kit_ok(tong_region_remove(FAIL_REGION));
}

/* ------------------------------------------------------------------ the runs */

struct fail_counts {
    unsigned calls;
    unsigned allocations;
    unsigned failures; /* calls made to fail */
    unsigned told;     /* operations that gave an error */
    unsigned borne;    /* operations that did what they should all the same */
};

static void fail_say_where(const struct fail_scene *scene, int64_t answer)
{
    (void)fprintf(stderr, "%s: call %u%s, %.60s, fails with %s: answer %lld\n", scene->name,
                  fail_plan.n, fail_plan.stays ? " and all behind it" : "",
                  fail_plan.what == NULL ? "-" : fail_plan.what, strerrorname_np(fail_plan.with),
                  (long long)answer);
}

/* A failed assertion ends in abort: say first what was going on. */
static void fail_on_abort(int signal_number)
{
    (void)signal_number;
    fail_say_where(fail_scene_now, fail_answer_now);
}

static int64_t fail_run_armed(const struct fail_scene *scene, struct fail_stage *s)
{
    fail_plan.passed = 0;
    fail_plan.allocations = 0;
    fail_plan.failed = 0;
    fail_plan.with = 0;
    fail_plan.more = false;
    fail_plan.what = NULL;
    tg_point_on_call(fail_choose);
    fail_is_armed = true;
    const int64_t answer = scene->run(s);
    fail_is_armed = false;
    tg_point_on_call(NULL);
    return answer;
}

/* One run. False: the operation has fewer calls than n. */
static bool fail_once(const struct fail_scene *scene, struct fail_stage *s,
                      struct fail_counts *counts)
{
    uint8_t *data = s->data;
    memset(s, 0, sizeof(*s));
    s->data = data;
    s->next_id = 1;
    s->sender = 1;
    const struct fail_left before = fail_look();
    scene->prepare(s);
    const int64_t answer = fail_run_armed(scene, s);
    fail_answer_now = answer;
    if (answer < 0 && !fail_is_listed(scene->call, (int)-answer)) {
        kit_fail("%s answers %s, which tong.h does not list", scene->call,
                 strerrorname_np((int)-answer));
    }
    if (scene->check != NULL) {
        scene->check(s, answer);
    }
    const bool failed = fail_plan.with != 0;
    counts->calls = fail_plan.passed > counts->calls ? fail_plan.passed : counts->calls;
    counts->allocations =
        fail_plan.allocations > counts->allocations ? fail_plan.allocations : counts->allocations;
    counts->failures += fail_plan.failed;
    counts->told += failed && answer < 0;
    counts->borne += failed && answer >= 0;
    fail_use_box(s);
    fail_close(s);
    fail_use_names_again(s);
    const struct fail_left after = fail_look();
    kit_equal(after.allocated, before.allocated);
    kit_equal(after.descriptors, before.descriptors);
    kit_equal(after.mappings, before.mappings);
    fail_look_at_files();
    return fail_plan.what != NULL;
}

/* Where it is slow, under a sanitizer or where check says so, the second round is for the long form. */
static int fail_rounds(void)
{
    bool slow = kit_count("TONG_TEST_EVERY", 1) > 1;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    slow = true;
#endif
    return slow && getenv("TONG_TEST_LONG") == NULL ? 1 : 2;
}

static void fail_all(const struct fail_scene *scene)
{
    struct fail_counts counts = { 0 };
    struct fail_stage *s = calloc(1, sizeof(*s));
    uint8_t *data = malloc(FAIL_DATA);
    kit_true(s != NULL && data != NULL);
    s->data = data;
    fail_scene_now = scene;
    (void)fail_header();
    (void)signal(SIGABRT, fail_on_abort);
    if (FAIL_ENDS_WITH_OWNER) {
        kit_ok(
            tong_close(kit_create(FAIL_BOX, NULL))); /* what is made once in a process is there */
    }
    for (int stays = 0; stays < fail_rounds(); stays++) {
        bool there = true;
        for (unsigned n = 1; there; n++) {
            unsigned error = 0;
            do {
                fail_plan.n = n;
                fail_plan.error = error++;
                fail_plan.stays = stays != 0;
                there = fail_once(scene, s, &counts);
                /* On a busy machine a short wait may be over before it slept: then it has no call. */
                for (int again = 0; n == 1 && !there && !scene->quiet && again < 50; again++) {
                    there = fail_once(scene, s, &counts);
                }
            } while (there && fail_plan.more);
        }
    }
    (void)signal(SIGABRT, SIG_DFL);
    free(data);
    free(s);
    printf("%-34s %4u calls, %2u allocations, %5u failures: %4u told, %4u borne\n", scene->name,
           counts.calls, counts.allocations, counts.failures, counts.told, counts.borne);
    kit_true(scene->quiet == (counts.calls == 0) && scene->quiet == (counts.failures == 0));
}

#endif
