#include "base/name.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#define NAME_MAX_LEN 127u

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

int tg_name_check(const char *name)
{
    if (name == NULL || name[0] == '\0' || name[0] == '.' || name[0] == '-') {
        return -EINVAL;
    }
    size_t len = 0;
    for (; name[len] != '\0'; len++) {
        const char c = name[len];
        if (!is_letter_or_digit(c) && c != '.' && c != '_' && c != '-') {
            return -EINVAL;
        }
        if (len == NAME_MAX_LEN) {
            return -ENAMETOOLONG;
        }
    }
    return 0;
}
