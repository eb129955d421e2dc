/*
 * Crash points: every store to shared memory and every system call passes one.
 *
 * In a test build (TONG_POINTS) tg_point() counts, and a test may have it kill the process at
 * any number; in any other build it is nothing. tg_call() is a system call: a point, and then the
 * call, or, if the test says so, a failure in its place.
 */
#ifndef TG_BASE_POINT_H
#define TG_BASE_POINT_H

#include <stdbool.h>
#include <stdint.h>

#if defined(TONG_POINTS) && TONG_POINTS
void tg_point_pass(void);
/* Kill this process with SIGKILL at the n-th point from now; 0 never. */
void tg_point_arm(unsigned long n);
/* Stop it with SIGSTOP there instead. */
void tg_point_stop(unsigned long n);
/* Points passed since the last tg_point_arm(). */
unsigned long tg_point_count(void);
/* Told of each system call before it is made, as the source writes it. A positive errno: it is not
 * made and fails with that. May be called by several threads at once. */
typedef int tg_point_call_fn(const char *call);
/* NULL: all calls are made. */
void tg_point_on_call(tg_point_call_fn *fn);
/* Sets errno if the call shall fail. */
bool tg_point_fails(const char *call);
#define tg_point() tg_point_pass()
#define tg_call(call)                                                                              \
    (tg_point_pass(), tg_point_fails(#call) ? (__typeof__(call))(intptr_t)-1 : (call))
#else
#define tg_point() ((void)0)
#define tg_call(call) (call)
#endif

#endif
