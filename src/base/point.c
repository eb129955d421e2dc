#include "base/point.h"

#if defined(TONG_POINTS) && TONG_POINTS

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* Relaxed: threads are counted together, and no order between them may come from this. */
static atomic_ulong passed;
static atomic_ulong fatal;
static atomic_int by = SIGKILL;
static _Atomic(tg_point_call_fn *) on_call;

void tg_point_pass(void)
{
    const unsigned long n = atomic_fetch_add_explicit(&passed, 1, memory_order_relaxed) + 1;
    if (n == atomic_load_explicit(&fatal, memory_order_relaxed)) {
        (void)kill(getpid(), atomic_load_explicit(&by, memory_order_relaxed));
    }
}

static void arm(unsigned long n, int signal)
{
    atomic_store_explicit(&passed, 0, memory_order_relaxed);
    atomic_store_explicit(&by, signal, memory_order_relaxed);
    atomic_store_explicit(&fatal, n, memory_order_relaxed);
}

void tg_point_arm(unsigned long n)
{
    arm(n, SIGKILL);
}

void tg_point_stop(unsigned long n)
{
    arm(n, SIGSTOP);
}

unsigned long tg_point_count(void)
{
    return atomic_load_explicit(&passed, memory_order_relaxed);
}

void tg_point_on_call(tg_point_call_fn *fn)
{
    atomic_store(&on_call, fn);
}

bool tg_point_fails(const char *call)
{
    tg_point_call_fn *fn = atomic_load(&on_call);
    const int error = fn == NULL ? 0 : fn(call);
    if (error != 0) {
        errno = error;
    }
    return error != 0;
}

#else

typedef int tg_point_c_is_not_empty;

#endif
