/*
 * home - processes in namespaces of their own.
 *
 * A resident is forked by its keeper, a child of the test that has entered the namespaces before, so
 * that with CLONE_NEWPID the resident is number 1 there. It has no other life than a child of
 * kit_spawn(): it dies with the test, and a failed assertion in it makes kit_home_join() fail.
 */
#ifndef TONG_KIT_HOME_H
#define TONG_KIT_HOME_H

#include "kit.h"

struct kit_home {
    int namespaces; /* CLONE_NEW... of sched.h */
    uid_t become;   /* as in kit_become() before entering, group the same number; 0: stay */
    gid_t group;    /* one more group to be in, before entering; root only; 0: none */
    uid_t inside;   /* with CLONE_NEWUSER: the only user there is, by the number it has inside */
};

struct kit_resident {
    struct kit_child keeper;
    _Atomic pid_t *pid; /* as the test sees it */
};

/* Skip this test unless the machine lets us enter such a home. */
void kit_needs_home(const struct kit_home *home);

/* Run function(arg) there. Returns when the process is there. */
struct kit_resident kit_home_spawn(const struct kit_home *home, kit_child_fn *function, void *arg);

/* As kit_join() and kit_kill(). */
void kit_home_join(struct kit_resident *resident);
void kit_home_kill(struct kit_resident *resident);

/*
 * Make this process's root an empty file system of so many bytes with nothing in it but /proc, /dev/shm and the
 * folders and files given by pairs, outside and inside, ended by NULL. In a mount namespace of its own.
 */
void kit_home_enclose(size_t bytes, const char *const pairs[]);

#endif
