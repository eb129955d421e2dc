/*
 * Shared memory between processes: the folder (root), who is alive (life), locks that are stolen
 * from the dead (token), and named regions.
 *
 * Root. One folder holds everything of a user, or of users that share it: one directory a
 * mailbox, one file "+NAME" a region, ".life" with one record a process, ".lock" for taking names
 * away. What is made is made whole in ".tmp" and then renamed, so that nobody sees half of it; what is
 * removed goes back there first.
 *
 * Life. A process has one record in a root: a file it holds locked while it lives, and in it a
 * life word that the kernel marks when the process dies. Numbers of records are random and
 * never given twice, so a number without a file belongs to somebody dead.
 */
#ifndef TG_REGION_REGION_H
#define TG_REGION_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tong/tong.h>

#include "base/atomic.h"
#include "base/sys.h"
#include "base/waitset.h"

struct tg_root;

/* ---- root */

/* $TONG_DIR or /dev/shm/tong-UID. Its length, or -ENAMETOOLONG. */
int tg_root_path(char *ret_path, size_t size);
/* The root of this process, checked; made if create. -ENOENT, -EACCES, -EINVAL, ... */
int tg_root_get(bool create, struct tg_root **ret_root);
/* The same of a folder in it that stands for itself, with lives and names of its own: the mailboxes of
 * another carrier. NULL: the root. */
int tg_root_get_inner(const char *name, bool create, struct tg_root **ret_root);
/* One more use of a root that this process has open; NULL: who opens it now opens another one (see find_root). */
struct tg_root *tg_root_again(struct tg_root *root);
void tg_root_put(struct tg_root *root);
/* Its descriptor; belongs to the root. */
int tg_root_fd(const struct tg_root *root);
/* Whether a file of that user may name this process's record as its owner. */
bool tg_root_may_own(const struct tg_root *root, uint32_t uid);
/* Whether other users share it; then records are readable for the group. */
bool tg_root_is_shared(const struct tg_root *root);
/* Hold the lock under which names are taken away. 0 and a descriptor to close, or -errno;
 * -EAGAIN if somebody has it and wait is false. */
int tg_root_lock(struct tg_root *root, bool wait, int *ret_fd);
/* A name in ".tmp" that begins with what ("new", "gone"), carries this process's record number and
 * was never used before. size >= 64. */
void tg_root_temp_name(struct tg_root *root, const char *what, char *ret_name, size_t size);
/* Whether a name of that kind, of that user, belongs to a process that is dead. */
bool tg_root_temp_is_dead(struct tg_root *root, const char *name, uint32_t uid);

/* Whether there is none of them, where one look can tell. */
bool tg_root_temp_is_empty(const struct tg_root *root);
/* The folder of temporary names, to be read; -ENOENT. */
int tg_root_temp_open(const struct tg_root *root);

/* Counts the forks this process is the child of; a handle made under another count is dead. */
extern tg_a32 tg_fork_counter;
static inline uint32_t tg_fork_count(void)
{
    return tg_load_relaxed(&tg_fork_counter);
}

/* For who counts forks and has no root. 0 or -errno. */
int tg_process_init(void);

/* ---- life */

/* Take part: this process has a record until as many leaves. ret_id: its number, low 4 bits 0. */
int tg_life_join(struct tg_root *root, uint64_t *ret_id);
void tg_life_leave(struct tg_root *root);
/* This process's record number, 0 if it has none. */
uint64_t tg_life_id(struct tg_root *root);
/* Before a sleep: if the thread that held the life word has ended, this one holds it now. */
void tg_life_renew(struct tg_root *root);
/* False only if that process is certainly dead. Cheap when asked before. uid: whose process it must
 * be to count; the record of another one's is nobody's. */
#define TG_ANY_UID UINT32_MAX
bool tg_life_is_alive_of(struct tg_root *root, uint64_t id, uint32_t uid);
static inline bool tg_life_is_alive(struct tg_root *root, uint64_t id)
{
    return tg_life_is_alive_of(root, id, TG_ANY_UID);
}
/* The same, and does not trust the life word alone: for back-stops. */
bool tg_life_is_alive_surely(struct tg_root *root, uint64_t id, uint32_t uid);
/* Whether one that is dead had closed its handles; false if its record was never looked at. */
bool tg_life_has_left(struct tg_root *root, uint64_t id);
/* Around the making and the use of a waitset with life words in it. */
void tg_life_watch_begin(struct tg_root *root);
void tg_life_watch_end(struct tg_root *root);
/* Watch for the death of a living process; false if it is dead by now. */
bool tg_life_watch_of(struct tg_root *root, uint64_t id, uint32_t uid, struct tg_waitset *set);
static inline bool tg_life_watch(struct tg_root *root, uint64_t id, struct tg_waitset *set)
{
    return tg_life_watch_of(root, id, TG_ANY_UID, set);
}
/* After a sleep: of the life words in the set, the kernel woke one waiter; wake all others. */
void tg_life_pass_on(const struct tg_waitset *set);
/* Wake all who watch a dead process: for who finds it dead without having slept on it. */
void tg_life_wake_watchers(struct tg_root *root, uint64_t id);
/* From now on several threads of this process use its handles. */
void tg_life_mark_threads(struct tg_root *root);
/* The process id it told, 0 if unknown. */
int32_t tg_life_pid(struct tg_root *root, uint64_t id);
/* Remove the records of this user's dead. Returns how many; only counts unless repair. */
uint32_t tg_life_sweep(struct tg_root *root, bool repair);
/* Whether this process cleared a record away since it was last asked: what else the dead had is to be
 * looked for. */
bool tg_life_found_dead(struct tg_root *root);
/* Remove some of them: what every visit does. */
void tg_life_visit(struct tg_root *root);
/* The visit of the last leave, made before it: what it finds is cleared away by one that has a record. */
void tg_life_visit_last(struct tg_root *root);

/* ---- token: one u64 {record number of the holder | flags}, 0 free */

#define TG_TOKEN_WAITERS 0x1u /* somebody sleeps for it */
#define TG_TOKEN_PENDING 0x2u /* its holder shall collect before it lets go */
#define TG_TOKEN_FLAGS UINT64_C(0xf)

/*
 * Take the token. 0; 1: taken from a dead holder, repair what it guarded; -EAGAIN (deadline 0),
 * -ETIMEDOUT, -EINTR. me is this process's record number. end, if given, ends the wait when it
 * differs from end_seen (then -EIDRM). uid: whose process a holder must be, or TG_ANY_UID.
 */
int tg_token_lock_slow(tg_a64 *token, struct tg_root *root, uint64_t me, uint32_t uid,
                       int64_t deadline_ns, const tg_a32 *end, uint32_t end_seen);
/* Give it back. False: PENDING was set; it is cleared and the token still held. */
bool tg_token_unlock_slow(tg_a64 *token);

/* Give it up as by dying: the next one takes it as from the dead. */
void tg_token_leave(tg_a64 *token);

static inline int tg_token_lock(tg_a64 *token, struct tg_root *root, uint64_t me,
                                int64_t deadline_ns, const tg_a32 *end, uint32_t end_seen)
{
    uint64_t free_ = 0;
    /* Pairs with the unlock: what the last holder wrote is seen. */
    if (tg_cas(token, &free_, me)) {
        return 0;
    }
    return tg_token_lock_slow(token, root, me, TG_ANY_UID, deadline_ns, end, end_seen);
}

static inline bool tg_token_unlock(tg_a64 *token, uint64_t me)
{
    uint64_t mine = me;
    if (tg_cas(token, &mine, UINT64_C(0))) {
        return true;
    }
    return tg_token_unlock_slow(token);
}

/* ---- files */

/* Make a file under a new name and reserve its first reserved bytes; it is size bytes long. */
int tg_file_make(int dir, const char *name, uint64_t size, uint64_t reserved, uint32_t mode,
                 int *ret_fd);
/* The same with its first bytes, whole pages, which writing reserves; behind them it is a hole. */
int tg_file_write(int dir, const char *name, const void *content, size_t len, uint64_t size,
                  uint32_t mode, int *ret_fd);
/* Permissions of files for a mailbox or region of that mode. */
uint32_t tg_file_mode(uint32_t mode, bool all_write);

/* ---- names.c: what is in the folder, in the order of names */

struct tg_names {
    char (*name)[TONG_NAME_MAX];
    size_t n;
    size_t room;
};

/* Append the names of all regions, or of all that may be mailboxes. 0, -ENOMEM, -EMFILE, ... */
int tg_names_read(const struct tg_root *root, bool regions, struct tg_names *names);
/* Those behind that character. */
int tg_names_read_of(const struct tg_root *root, char first, struct tg_names *names);
void tg_names_free(struct tg_names *names);

/* Remove the regions of this user whose owners are dead. */
void tg_region_bury(struct tg_root *root);

/* ---- named regions: behind tong_region_*, see tong.h */

int tg_region_open(const char *name, size_t size, unsigned flags,
                   const tong_region_options *options, tong_region **ret_region);
int tg_region_close(tong_region *region);
int tg_region_remove(const char *name);
void *tg_region_data(tong_region *region);
size_t tg_region_size(const tong_region *region);
int tg_region_lock(tong_region *region, int64_t timeout_ns);
int tg_region_unlock(tong_region *region);
int tg_region_notify(tong_region *region);
int tg_region_wait(tong_region *region, uint32_t *seen, int64_t timeout_ns);
int tg_region_stat(const char *name, tong_region_status *ret_status);
int tg_region_list(tong_region_list_fn *each, void *arg);

#endif
