#include "base/gate.h"

#include <errno.h>
#include <limits.h>

#include "base/clock.h"
#include "base/sys.h"

int tg_gate_enter_slow(struct tg_gate *gate, int64_t deadline_ns, const tg_a32 *cancel,
                       uint32_t seen)
{
    for (;;) {
        const uint32_t stir = tg_load_acquire(&gate->stir);
        /* State 2 also when it was free: whoever leaves then wakes the next one behind us. */
        if (atomic_exchange_explicit(&gate->state, 2, memory_order_acquire) == 0) {
            return 0;
        }
        if (cancel != NULL && tg_load_acquire(cancel) != seen) {
            return -ECANCELED;
        }
        const bool asleep = tg_load_acquire(&gate->asleep) != 0;
        if (deadline_ns == 0 && asleep) {
            return -EAGAIN;
        }
        /* A holder that does not sleep leaves soon: a time-out of 0 waits for that. */
        const int r = tg_sys_futex_wait(&gate->stir, stir,
                                        deadline_ns == 0 ? tg_now_ns() + 1000000 : deadline_ns);
        if (r == -EINTR || (r == -ETIMEDOUT && deadline_ns != 0)) {
            return r;
        }
    }
}

void tg_gate_stir(struct tg_gate *gate)
{
    (void)atomic_fetch_add_explicit(&gate->stir, 1, memory_order_seq_cst);
    tg_sys_futex_wake(&gate->stir, INT_MAX);
}

void tg_gate_leave_slow(struct tg_gate *gate)
{
    tg_gate_stir(gate);
}

void tg_gate_set_asleep(struct tg_gate *gate, bool asleep)
{
    atomic_store_explicit(&gate->asleep, asleep ? 1 : 0, memory_order_release);
    if (asleep && tg_load_relaxed(&gate->state) == 2) {
        tg_gate_stir(gate);
    }
}
