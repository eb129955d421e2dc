/*
 * producer_consumer - the textbook's bounded buffer in shared memory: in, out, and n - 1 slots.
 *
 * The producer alone writes `in`, the consumer alone writes `out`: no lock. in == out means empty, so
 * one of the n slots always stays free: in + 1 == out means full. Who finds it full or empty spins in
 * the textbook; here it waits for an event of the region. tong's mailboxes are this idea, with the
 * waiting, the sizes and the deaths done right: compare bounded.
 */
#include <stdatomic.h>

#include "check.h"

#define NAME "producer_consumer.buffer"

enum {
    SLOTS = 8,
    ITEMS = 1000
};

struct buffer {
    _Atomic unsigned in;   /* next free slot */
    _Atomic unsigned out;  /* next item */
    _Atomic unsigned most; /* items at once, as the producer saw */
    int item[SLOTS];
};

/* Wait for what the other side does next. seen is the count of events this side knows. */
static void wait_for_other(tong_region *region, uint32_t *seen)
{
    check(tong_region_wait(region, seen, TONG_SEC(10)), "wait");
}

static void producer(void)
{
    tong_region *region;
    uint32_t seen = 0;
    check(tong_region_open(NAME, 0, TONG_WRITE, NULL, &region), "open");
    struct buffer *b = tong_region_data(region);
    for (int i = 1; i <= ITEMS; i++) {
        const unsigned in = atomic_load_explicit(&b->in, memory_order_relaxed);
        while ((in + 1) % SLOTS == atomic_load_explicit(&b->out, memory_order_acquire)) {
            wait_for_other(region, &seen);
        }
        b->item[in] = i;
        /* release: the item comes first; pairs with the consumer's acquire of in. */
        atomic_store_explicit(&b->in, (in + 1) % SLOTS, memory_order_release);
        const unsigned out = atomic_load_explicit(&b->out, memory_order_relaxed);
        const unsigned there = (in + 1 - out + SLOTS) % SLOTS;
        if (there > atomic_load_explicit(&b->most, memory_order_relaxed)) {
            atomic_store_explicit(&b->most, there, memory_order_relaxed);
        }
        check(tong_region_notify(region), "notify");
    }
    tong_region_close(region);
}

int main(void)
{
    tong_region *region;
    uint32_t seen = 0;
    check(tong_region_open(NAME, sizeof(struct buffer), TONG_WRITE | TONG_CREATE, NULL, &region),
          "create");
    struct buffer *b = tong_region_data(region);
    const pid_t pid = start(producer);
    long sum = 0;
    for (int i = 0; i < ITEMS; i++) {
        const unsigned out = atomic_load_explicit(&b->out, memory_order_relaxed);
        while (out == atomic_load_explicit(&b->in, memory_order_acquire)) {
            wait_for_other(region, &seen);
        }
        sum += b->item[out];
        /* release: the item was read; pairs with the producer's acquire of out. */
        atomic_store_explicit(&b->out, (out + 1) % SLOTS, memory_order_release);
        check(tong_region_notify(region), "notify");
    }
    join(pid);
    printf("%d items went through %d slots, their sum is %ld\n", ITEMS, SLOTS, sum);
    printf("never more than %d at once: %s\n", SLOTS - 1,
           b->most <= SLOTS - 1 ? "so it was" : "no!");
    tong_region_close(region);
    check(tong_region_remove(NAME), "remove");
    return 0;
}
