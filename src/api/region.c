/* The public calls on regions. */
#include <errno.h>

#include "region/region.h"

int tong_region_open(const char *name, size_t size, unsigned flags,
                     const tong_region_options *options, tong_region **ret_region)
{
    return tg_region_open(name, size, flags, options, ret_region);
}

int tong_region_close(tong_region *region)
{
    return tg_region_close(region);
}

int tong_region_remove(const char *name)
{
    return tg_region_remove(name);
}

void *tong_region_data(tong_region *region)
{
    return tg_region_data(region);
}

size_t tong_region_size(const tong_region *region)
{
    return tg_region_size(region);
}

int tong_region_lock(tong_region *region, int64_t timeout_ns)
{
    return timeout_ns < TONG_FOREVER ? -EINVAL : tg_region_lock(region, timeout_ns);
}

int tong_region_unlock(tong_region *region)
{
    return tg_region_unlock(region);
}

int tong_region_notify(tong_region *region)
{
    return tg_region_notify(region);
}

int tong_region_wait(tong_region *region, uint32_t *seen, int64_t timeout_ns)
{
    return timeout_ns < TONG_FOREVER ? -EINVAL : tg_region_wait(region, seen, timeout_ns);
}

int tong_region_stat(const char *name, tong_region_status *ret_status)
{
    return tg_region_stat(name, ret_status);
}

int tong_region_list(tong_region_list_fn *each, void *arg)
{
    return tg_region_list(each, arg);
}
