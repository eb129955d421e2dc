/* Inside layer 5: what a handle of tong.h is. */
#ifndef TG_API_HANDLE_H
#define TG_API_HANDLE_H

#include <stdbool.h>

#include "carrier/carrier.h"

struct tong_mailbox {
    const struct tg_carrier *carrier;
    tg_handle handle;
    bool is_process; /* part of a tong_process, closed with it */
};

/* The carrier of a name, and the rest of the name. NULL and the error. */
const struct tg_carrier *tg_api_carrier(const char *name, const char **ret_rest, int *ret_error);

#endif
