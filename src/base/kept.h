/*
 * Descriptors that a forked child does not keep: where one side learns of the other's death by the end of
 * a connection, a child that keeps it open would keep the dead alive.
 *
 * The child closes them before fork() returns there; the numbers are then whoever's. Handles of the parent
 * must not close them in the child.
 */
#ifndef TG_BASE_KEPT_H
#define TG_BASE_KEPT_H

/* Between making a descriptor and tg_kept_add: no fork comes in between. Not held asleep. 0 or -ENOMEM. */
int tg_kept_begin(void);
/* Takes what the call that made it answered, and hands it on: a negative one is only handed on. -ENOMEM:
 * it was closed. */
int tg_kept_end(int fd);
/* Close it; a negative number is nothing. */
void tg_kept_close(int fd);

#endif
