/*
 * Messages that another way carries: whether there are any, from words alone.
 *
 * To ask the queue is a system call. What is promised is counted, and the counts are in shared memory: a link's
 * tail, its sender's, and next of its row, the holder's. Where no tail is past its next nothing waits, whatever
 * lies in the queue.
 *
 *   a receiver that sleeps (token held)        a sender
 *   TURN = {me, epoch + 1}                     put; tail + 1
 *   fence                                      fence
 *   a tail past its next? look again           read TURN; new to me? bell + 1, FUTEX_WAKE
 *   wait; woken for whatever: get
 *
 * I1  Of the two fences one comes first: the sender sees TURN, or the sleeper sees the count (queue.c, I1). A
 *     sender that died between put and count had promised nothing, and rings nobody.
 * I2  Words are believed when they say that nothing is there, and only by who is about to wait: a call that must not
 *     wait gets. Who was woken gets, whatever they say: so what nobody counted, the dead's and strangers', leaves
 *     the queue with the next message at the latest.
 * I3  A sender that finds the queue full though it has room rings, without condition: such records fill it, and
 *     whoever sleeps is woken for them.
 * I4  When words say that something is there, who is about to sleep asks the queue: a tail may be a lie, and
 *     nobody shall be kept awake by it.
 * I5  What is not known from words counts as something: a link of another user, of which only a copy is here;
 *     a row that became another link's. Where other users send, the queue is asked.
 */
#include "mailbox/take.h"

bool tg_counted_is_asked(const struct tg_box *box)
{
    bool is = false;
    for (uint32_t i = 0; i < box->rx.n_attached && !is; i++) {
        is = box->rx.attached[i]->reader.foreign != NULL;
    }
    return is;
}

bool tg_counted_any_slow(const struct tg_box *box)
{
    const struct tg_receiver *rx = &box->rx;
    uint32_t index = rx->cursor;
    for (uint32_t i = 0; i < rx->n_attached; i++, index++) {
        index = index < rx->n_attached ? index : 0;
        if (tg_counted_may_be(rx->attached[index])) {
            return true;
        }
    }
    return false;
}

uint32_t tg_counted_in_queue(const struct tg_box *box)
{
    return tg_counted_any(box) ? box->way->count(box->carry->fd) : 0;
}

bool tg_counted_hint(const struct tg_box *box)
{
    return tg_counted_any(box) &&
           (!tg_counted_is_asked(box) || box->way->count(box->carry->fd) != 0);
}
