/* Inside layer 5: what a handle of tong.h is. */
#ifndef TG_API_HANDLE_H
#define TG_API_HANDLE_H

#include <stdbool.h>

#include "base/gate.h"
#include "carrier/carrier.h"

/* What calls and replies need: call.c. All 0 at first. */
struct tg_calls {
    struct tg_gate gate;
    struct tg_reply *idle; /* mailboxes for replies that no call has */
    struct tg_caller *callers;
};

struct tong_mailbox {
    const struct tg_carrier *carrier;
    tg_handle handle;
    bool is_process; /* part of a tong_process, closed with it */
    struct tg_calls calls;
};

/* The carrier of a name, and the rest of the name. NULL and the error. */
const struct tg_carrier *tg_api_carrier(const char *name, const char **ret_rest, int *ret_error);

/* Before its carrier's close. */
void tg_api_end_calls(tong_mailbox *box);

#endif
