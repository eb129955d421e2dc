/*
 * Crash points: every store to shared memory and every system call passes one.
 *
 * In a test build (TONG_POINTS) tg_point() counts, and a test may have it kill the process at
 * any number; in any other build it is nothing.
 */
#ifndef TG_BASE_POINT_H
#define TG_BASE_POINT_H

#if defined(TONG_POINTS) && TONG_POINTS
void tg_point_pass(void);
/* Kill this process with SIGKILL at the n-th point from now; 0 never. */
void tg_point_arm(unsigned long n);
/* Points passed since the last tg_point_arm(). */
unsigned long tg_point_count(void);
#define tg_point() tg_point_pass()
#else
#define tg_point() ((void)0)
#endif

#endif
