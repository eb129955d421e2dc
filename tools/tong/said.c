/*
 * said.c - what a sender says of a message, and what a receiver asks for, as options of the command line.
 */
#include "tool.h"

#include <string.h>

int tool_value_said(const struct tool_args *args, tong_send_options *ret_with, bool *ret_given)
{
    tong_send_options with = TONG_SEND_OPTIONS_INIT;
    const char *const key = tool_value(args, "--key");
    uint64_t priority = 0;
    if (tool_value_size(args, "--priority", TONG_PRIORITY_MAX, &priority) ||
        tool_value_size(args, "--tag", UINT64_MAX, &with.tag) ||
        tool_value_expiry(args, &with.expiry_ns)) {
        return TOOL_USAGE;
    }
    if (tool_given(args, "--expiry") && with.expiry_ns == 0) {
        return tool_wrong_usage(args, "--expiry: in 0 seconds nobody gets it; say 1 or more");
    }
    with.priority = (uint32_t)priority;
    with.key = key ? tong_key(key, strlen(key)) : 0;
    *ret_with = with;
    *ret_given = key || tool_given(args, "--priority") || tool_given(args, "--tag") ||
                 tool_given(args, "--expiry");
    return 0;
}

int tool_value_want(const struct tool_args *args, tong_receive_options *ret_want)
{
    tong_receive_options want = TONG_RECEIVE_OPTIONS_INIT;
    uint64_t priority = 0;
    if (tool_value_size(args, "--min-priority", TONG_PRIORITY_MAX, &priority) ||
        tool_value_size(args, "--tag", UINT64_MAX, &want.tag)) {
        return TOOL_USAGE;
    }
    want.min_priority = (uint32_t)priority;
    *ret_want = want;
    return 0;
}
