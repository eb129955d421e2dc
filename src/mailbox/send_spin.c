/* How a sender spins before it sleeps, as receive_short.c does it. */
#include "mailbox/box.h"

#define SPIN_MOST 1024u
#define SPIN_LEAST 16u

static bool receiver_runs_elsewhere(struct tg_box *box, uint32_t cpu)
{
    if (box->everyone) {
        return tg_everyone_runs_elsewhere(box, cpu);
    }
    if (tg_sight_fetch_slots(&box->sight) < 0) {
        return false;
    }
    const uint32_t n = tg_load_relaxed(&box->head->n_slots);
    for (uint32_t i = 0; i < n && i < 8; i++) {
        const uint32_t other = tg_load_relaxed(&box->slots[i].cpu);
        if (tg_load_relaxed(&box->slots[i].owner) != 0 && other != UINT32_MAX && other != cpu) {
            return true;
        }
    }
    return false;
}

bool tg_sender_spin(struct tg_box *box, bool (*ready)(struct tg_box *box))
{
    struct tg_sender *tx = &box->tx;
    if (!receiver_runs_elsewhere(box, tg_sys_cpu())) {
        return false;
    }
    const uint32_t budget = tx->spin == 0 || tx->sleeps % 16 == 0 ? SPIN_MOST : tx->spin;
    for (uint32_t i = 0; i < budget; i++) {
        if (ready(box)) {
            tx->spin = SPIN_MOST;
            return true;
        }
        tg_pause();
    }
    tx->spin = budget / 2 < SPIN_LEAST ? SPIN_LEAST : budget / 2;
    return false;
}
