/*
 * region - shared memory: A writes, B reads, and no system call moves the bytes.
 *
 * The textbook's first model. Both processes map the same named memory. That B does not read too
 * early is their own business in this model; here B waits for an event, the count of which A raises.
 * region_by_hand is the same without tong.
 */
#include <string.h>

#include "check.h"

#define NAME "region.page"

static void process_b(void)
{
    tong_region *region;
    uint32_t seen = 0;
    check(tong_region_open(NAME, 0, TONG_READ, NULL, &region), "open");
    check(tong_region_wait(region, &seen, TONG_SEC(10)), "wait");
    printf("B reads: %s\n", (const char *)tong_region_data(region));
    tong_region_close(region);
}

int main(void)
{
    tong_region *region;
    check(tong_region_open(NAME, 4096, TONG_WRITE | TONG_CREATE, NULL, &region), "create");
    const pid_t b = start(process_b);
    strcpy(tong_region_data(region), "what A wrote");
    printf("A wrote %zu bytes into shared memory\n", strlen("what A wrote"));
    fflush(stdout);
    check(tong_region_notify(region), "notify");
    join(b);
    tong_region_close(region);
    check(tong_region_remove(NAME), "remove");
    return 0;
}
