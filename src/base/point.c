#include "base/point.h"

#if defined(TONG_POINTS) && TONG_POINTS

#include <signal.h>
#include <unistd.h>

static unsigned long passed;
static unsigned long fatal;

void tg_point_pass(void)
{
    if (++passed == fatal) {
        (void)kill(getpid(), SIGKILL);
    }
}

void tg_point_arm(unsigned long n)
{
    passed = 0;
    fatal = n;
}

unsigned long tg_point_count(void)
{
    return passed;
}

#else

typedef int tg_point_c_is_not_empty;

#endif
