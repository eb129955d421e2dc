/* The public calls of an observer. */
#include <errno.h>
#include <stdlib.h>

#include "api/handle.h"

struct tong_observer {
    const struct tg_carrier *carrier;
    tg_handle handle;
};

int tong_observer_open(const char *name, tong_observer **ret_observer)
{
    int error;
    const char *rest;
    const struct tg_carrier *carrier = tg_api_carrier(name, &rest, &error);
    if (carrier == NULL || ret_observer == NULL) {
        return carrier == NULL ? error : -EINVAL;
    }
    tong_observer *observer = malloc(sizeof *observer);
    if (observer == NULL) {
        return -ENOMEM;
    }
    observer->carrier = carrier;
    const int r = tg_carrier_call(carrier, observer_open, rest, &observer->handle);
    if (r < 0) {
        free(observer);
        return r;
    }
    *ret_observer = observer;
    return 0;
}

int tong_observer_close(tong_observer *observer)
{
    if (observer == NULL) {
        return 0;
    }
    const int r = observer->carrier->observer_close(observer->handle);
    free(observer);
    return r;
}

ssize_t tong_peek(tong_observer *observer, void *buf, size_t size, int64_t timeout_ns,
                  tong_message *ret_info, uint64_t *ret_missed)
{
    if (observer == NULL || (buf == NULL && size != 0) || timeout_ns < TONG_FOREVER ||
        (ret_info != NULL && ret_info->struct_size < sizeof *ret_info)) {
        return -EINVAL;
    }
    return observer->carrier->peek(observer->handle, buf, size, timeout_ns, ret_info, ret_missed);
}
