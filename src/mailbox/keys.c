/*
 * Delivery by key: which receiver has which keys.
 *
 * A key has a place in a table of the box, which names a slot. Who takes a message whose place is nobody's
 * gets the place with it, before the message; from then on all messages of that place are its. It keeps
 * it until it leaves or dies, whatever the delivery is meanwhile.
 *
 *   step, token held                          killed behind it
 *   take: place = my slot                     the place is the dead one's: given up by repair
 *   take: the message is handed out           the same; the message as always (take.c)
 *   leave, repair: each place of the slot = 0 the slot is repaired again, from the beginning
 *   leave, repair: the slot's owner = 0
 *
 * I1  A place names a slot that has an owner: the owner goes last. So who joins in a slot has none.
 * I2  Only the receiver that a place names takes a message of that place; under the token, and the place
 *     is stored before the hand-out. So no key is ever with two living receivers.
 * I3  A receiver that the mailbox does not belong to any more takes nothing, and so has nothing.
 * I4  What is another's is passed over, and rung for, as what another one asks for (select.c).
 */
#include "mailbox/select.h"

static tg_a16 *table(const struct tg_box *box)
{
    uint8_t *page = (uint8_t *)box->head;
    return ((struct tg_box_keys *)(void *)(page + TG_BOX_KEYS_OFF))->slot;
}

/* A user's key may be any number: small ones, or all even. */
static uint32_t place_of(uint64_t key)
{
    return (uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 54);
}

_Static_assert(TG_KEYS_MAX == 1u << (64 - 54), "a place for each value of the upper bits");

uint32_t tg_keys_owner(const struct tg_box *box, uint64_t key)
{
    const uint32_t slot = (uint32_t)tg_load_relaxed(&table(box)[place_of(key)]) - 1;
    if (slot >= TG_SLOTS_MAX || slot >= tg_load_relaxed(&box->head->n_slots)) {
        return TG_SLOTS_MAX;
    }
    const uint64_t owner = tg_load_relaxed(&box->slots[slot].owner);
    const uint64_t only = tg_load_relaxed(&box->owner);
    return owner != 0 && (only == 0 || owner == only) ? slot : TG_SLOTS_MAX; /* I3 */
}

void tg_keys_take(struct tg_box *box, uint64_t key)
{
    tg_a16 *place = &table(box)[place_of(key)];
    const uint32_t mine = box->rx.slot + 1;
    if (box->policy->by_key && key != 0 && tg_load_relaxed(place) != mine) {
        tg_store_relaxed(place, (uint16_t)mine);
    }
}

void tg_keys_give_up(struct tg_box *box, uint32_t slot)
{
    tg_a16 *places = table(box);
    for (uint32_t i = 0; i < TG_KEYS_MAX; i++) {
        if (tg_load_relaxed(&places[i]) == slot + 1) {
            tg_store_relaxed(&places[i], (uint16_t)0);
        }
    }
}
